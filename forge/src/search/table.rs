//! The outcome as a text.

use super::{Fate, Listed, Outcome, Point, Ratio};
use crate::size::bytes;

/// A ratio of perplexities as a change: 1.05 is "+5.0 %".
fn percent(ratio: f64) -> String {
    let change = (ratio - 1.0) * 100.0;
    if change.abs() >= 1_000.0 { format!("×{ratio:.1}") } else { format!("{change:+.2} %") }
}

fn interval(ratio: &Ratio) -> String {
    format!("{} [{}, {}]", percent(ratio.ratio), percent(ratio.low), percent(ratio.high))
}

fn tokens(count: u64) -> String {
    if count >= 1_000 { format!("{} k", (count as f64 / 1_000.0).round()) } else { count.to_string() }
}

impl Fate {
    /// The reason in words, with the number. `label` names other candidates.
    pub fn words(&self, label: &dyn Fn(&Point) -> String) -> String {
        match self {
            Self::Winner => "winner".into(),
            Self::TooLarge { limit } => format!("larger than {}", bytes(*limit)),
            Self::Predicted { ratio, limit } => {
                format!("predicted {}, limit of guesses {}", percent(*ratio), percent(*limit))
            }
            Self::AboveGate { low, gate } => format!("at least {}, gate {}", percent(*low), percent(*gate)),
            Self::NotShown { high, gate, more_tokens } => {
                let more = more_tokens.map_or("no number of tokens would show it".into(), |more| {
                    format!("{} tokens more might show it", tokens(more))
                });
                format!("not shown: up to {}, gate {}; {more}", percent(*high), percent(*gate))
            }
            Self::NotConfirmed { high, gate, p } => {
                format!("not confirmed: up to {} on held text, gate {}, p {p:.3}", percent(*high), percent(*gate))
            }
            Self::Presumed { below, low } => {
                format!("presumed above the gate: {} is better and at least {}", label(below), percent(*low))
            }
            Self::Below { better } => format!("not measured: {} fits and is better on every axis", label(better)),
            Self::Unlikely { probability } => format!("below the gate with probability {probability:.4}"),
            Self::Outvoted { passed, votes } => format!("below the gate in {passed} of {votes} subsamples"),
            Self::Larger { by } => format!("{} larger than the winner", bytes(*by)),
            Self::Worse { low } => format!("at least {} against the winner", percent(*low)),
            Self::NotWorse { low, high } => {
                format!("not shown to be worse: {} to {} against the winner", percent(*low), percent(*high))
            }
            Self::Unchecked { high } => format!("up to {}, not confirmed on held text", percent(*high)),
            Self::NotReached => "not decided".into(),
            Self::Failed { reason } => format!("failed: {reason}"),
        }
    }
}

impl Outcome {
    /// The outcome for a terminal: the verdict, a line a candidate, and what it cost.
    pub fn table(&self) -> String {
        let mut lines = vec![self.verdict()];
        let widest = self.listed.iter().map(|listed| listed.label.chars().count()).max().unwrap_or(0);
        let (candidate, size, ratio, step) = ("candidate", "size", "perplexity", "step");
        let widest = widest.max(candidate.len());
        lines.push(format!("{candidate:widest$}  {size:>8}  {ratio:>34}  {step:8}  decided by"));
        for Listed { label, size, measured, step, fate, .. } in &self.listed {
            let size = size.map_or("?".into(), bytes);
            let measured = measured.as_ref().map_or("·".into(), interval);
            let step = format!("{step:?}").to_lowercase();
            let words = fate.words(&|point| self.label(point));
            lines.push(format!("{label:widest$}  {size:>8}  {measured:>34}  {step:8}  {words}"));
        }
        let tokens_of = |part: u64| {
            if self.tokens.exhaustive == 0 { 0.0 } else { part as f64 * 100.0 / self.tokens.exhaustive as f64 }
        };
        lines.push(format!(
            "{}: {} tokens, {:.0} % of a full evaluation of all that fit; {} on held text",
            self.strategy,
            tokens(self.tokens.search),
            tokens_of(self.tokens.search),
            tokens(self.tokens.held)
        ));
        lines.extend(self.notes.iter().cloned());
        lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// A candidate in words.
    fn label(&self, point: &Point) -> String {
        let listed = self.listed.iter().find(|listed| listed.point == *point);
        listed.map_or_else(|| format!("{:?}", point.0), |listed| listed.label.clone())
    }

    fn verdict(&self) -> String {
        if let (Some(winner), Some(confirmation)) = (self.winner(), self.confirmation()) {
            let size = winner.size.map_or("?".into(), bytes);
            let held = interval(&confirmation.held);
            let name = &winner.label;
            let rest = match (&confirmation.against, self.gate) {
                (_, Some(gate)) => format!("kept, gate {}", percent(gate)),
                (Some(versus), None) => {
                    let shown = if confirmation.shown { "better" } else { "not shown to be better" };
                    format!("{shown} than {}: {}", versus.label, interval(&versus.ratio))
                }
                (None, None) => "not compared: no other candidate was measured".into(),
            };
            return format!("winner: {name}, {size}; {held} perplexity on held text; {rest}");
        }
        if let Some(winner) = self.winner() {
            return format!("winner: {}, without a measurement on held text", winner.label);
        }
        match &self.nearest {
            None => "no winner".into(),
            Some(nearest) => {
                let ratio = nearest.ratio.as_ref().map_or("not measured".into(), interval);
                let more = nearest.more_tokens.map_or("more tokens would not show it".into(), |more| {
                    format!("{} tokens more might show it", tokens(more))
                });
                let gate = self.gate.map_or("none".into(), percent);
                format!(
                    "not shown: no candidate is below the gate of {gate}; nearest {}: {ratio}; {more}",
                    nearest.label
                )
            }
        }
    }
}
