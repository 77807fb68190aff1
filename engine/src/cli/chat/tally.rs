//! What a chat has come to so far; for `/stats`.

use crate::{
    cli::{hooks, render::columns},
    engine::Engine,
    reply::Reply,
};

/// Sums over the replies of a chat.
#[derive(Debug, Default)]
pub struct Tally {
    replies: u32,
    tokens: u64,
    milliseconds: f64,
    confidence: f64,
    retractions: usize,
    adjustments: usize,
    context: u32,
}

impl Tally {
    /// Counts a reply.
    pub fn add(&mut self, reply: &Reply) {
        self.replies += 1;
        self.tokens += u64::from(reply.tokens);
        self.milliseconds += reply.timings.reply_ms;
        self.confidence += f64::from(reply.avg_confidence) * f64::from(reply.tokens);
        self.retractions += reply.retractions.len();
        self.adjustments += reply.modifications.iter().filter(|change| change.kind == "adjust").count();
        self.context = reply.timings.prompt_tokens + reply.tokens;
    }

    /// In words, with what is known of the ensemble.
    pub fn describe(&self, engine: &Engine, seed: u64) -> String {
        let mut rows = Vec::new();
        for member in engine.members() {
            rows.push((
                member.name.as_str(),
                format!(
                    "{} parameters, {:.1} MB, trained for {} tokens\n{}",
                    short(member.parameters),
                    member.bytes as f64 / 1e6,
                    member.context,
                    member.path.display()
                ),
            ));
        }
        let room = engine.context();
        rows.push(("context", format!("{} of {room} tokens after the last reply", self.context.min(room))));
        rows.push(("replies", self.replies()));
        rows.push(("fusion", engine.settings().fusion_mode.clone()));
        rows.push(("policies", hooks::names(&engine.policies())));
        rows.push(("seed", seed.to_string()));
        table(&rows)
    }

    fn replies(&self) -> String {
        if self.replies == 0 {
            return "none yet".into();
        }
        format!(
            "{} with {} tokens at {:.0} tokens/s\nmean confidence {:.2}, {} retractions, {} adjustments",
            self.replies,
            self.tokens,
            self.tokens as f64 / (self.milliseconds / 1e3).max(1e-9),
            self.confidence / (self.tokens as f64).max(1.0),
            self.retractions,
            self.adjustments
        )
    }
}

/// Names on the left, what is said of them on the right.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for (name, values) in rows {
        let mut left = *name;
        for value in values.lines() {
            text += &format!("{left}{}{value}\n", " ".repeat(width - columns(left)));
            left = "";
        }
    }
    text
}

/// 260032 as `0.26 M`.
fn short(count: u64) -> String {
    match count {
        0..=999_999_999 => format!("{:.2} M", count as f64 / 1e6),
        _ => format!("{:.2} G", count as f64 / 1e9),
    }
}
