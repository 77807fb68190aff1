//! The signals, each a number for every token of a reply.

use super::{Reply, Token};
use serde::Serialize;

/// The least probability: below it a logarithm says more about rounding than about text.
const LEAST: f64 = 1e-12;

/// Tokens before a running mean and deviation say anything.
const FIRST_TOKENS: usize = 4;

/// An addition to every running deviation, in nats. In text that is certain the deviation is near 0, and the least surprise
/// would be many deviations.
const FLOOR: f64 = 0.1;

/// Tokens over which confidence is averaged.
const WINDOW: usize = 5;

/// Tokens after an error in which a model might become unsure.
const LATER: usize = 3;

/// A number that is known at each token of a reply, greater where the text is more likely to have gone wrong.
///
/// Surprise is −ln p in nats, where p is the probability of the token in the fused row. A running mean or deviation is that of
/// all tokens of the reply before the token. "In deviations" is (x − mean) / (deviation + 0.1), and 0 at the first four
/// tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Surprise of the token.
    Surprise,
    /// Surprise minus its running mean.
    SurpriseRise,
    /// Surprise against its running mean, in deviations.
    SurpriseInDeviations,
    /// The log-probability of the likeliest token minus that of the token: 0 for the likeliest.
    BelowLikeliest,
    /// Entropy of the fused row, in nats.
    Entropy,
    /// Entropy against its running mean, in deviations.
    EntropyInDeviations,
    /// Surprise minus entropy: how much more surprising the token is than was to be expected.
    Excess,
    /// The negative mean probability of the last five tokens.
    LowConfidence,
    /// 1 where the mean probability of the last five tokens is below 0.5, else 0.
    BelowHalf,
    /// 1 where the mean probability of the last five tokens is below 0.35, else 0.
    BelowThird,
    /// Mean entropy one to three tokens later. The mean entropy of the reply stands for tokens after its end.
    LaterEntropy,
    /// Mean entropy one to three tokens later minus the running mean of entropy.
    LaterEntropyRise,
    /// Surprise of the member that gave the token the least probability.
    LeastWilling,
    /// Surprise of the member that gave the token the least probability, against its running mean, in deviations.
    LeastWillingInDeviations,
    /// The greatest minus the least log-probability that a member gave the token.
    MemberGap,
    /// One minus the members' agreement.
    Disagreement,
}

impl Signal {
    const OF_ONE: [Self; 12] = [
        Self::Surprise,
        Self::SurpriseRise,
        Self::SurpriseInDeviations,
        Self::BelowLikeliest,
        Self::Entropy,
        Self::EntropyInDeviations,
        Self::Excess,
        Self::LowConfidence,
        Self::BelowHalf,
        Self::BelowThird,
        Self::LaterEntropy,
        Self::LaterEntropyRise,
    ];

    const OF_SEVERAL: [Self; 4] =
        [Self::LeastWilling, Self::LeastWillingInDeviations, Self::MemberGap, Self::Disagreement];

    /// The signals that replies have: those of members only where several of them read a token.
    pub fn of(replies: &[Reply]) -> Vec<Self> {
        let several = replies.iter().flat_map(|reply| &reply.tokens).any(|token| token.members.len() > 1);
        let members: &[Self] = if several { &Self::OF_SEVERAL } else { &[] };
        [&Self::OF_ONE, members].concat()
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Surprise => "surprise −ln p",
            Self::SurpriseRise => "surprise minus its running mean",
            Self::SurpriseInDeviations => "surprise against its running mean, in deviations",
            Self::BelowLikeliest => "ln p of the likeliest − ln p",
            Self::Entropy => "entropy H",
            Self::EntropyInDeviations => "entropy against its running mean, in deviations",
            Self::Excess => "excess −ln p − H",
            Self::LowConfidence => "mean confidence of 5, low",
            Self::BelowHalf => "mean of 5 below 0.5",
            Self::BelowThird => "mean of 5 below 0.35",
            Self::LaterEntropy => "mean entropy, 1–3 tokens later",
            Self::LaterEntropyRise => "mean entropy, 1–3 tokens later, minus its running mean",
            Self::LeastWilling => "surprise of the member that likes it least",
            Self::LeastWillingInDeviations => "surprise of the member that likes it least, in deviations",
            Self::MemberGap => "members' difference in ln p",
            Self::Disagreement => "1 − agreement",
        }
    }

    /// Its value at each token of a reply.
    pub fn values(self, reply: &Reply) -> Vec<f64> {
        let each = |value: fn(&Token) -> f64| reply.tokens.iter().map(value).collect::<Vec<_>>();
        match self {
            Self::Surprise => each(own_surprise),
            Self::SurpriseRise => rise(&each(own_surprise), &each(own_surprise)),
            Self::SurpriseInDeviations => in_deviations(&each(own_surprise)),
            Self::BelowLikeliest => each(|token| own_surprise(token) - surprise(token.likeliest)),
            Self::Entropy => each(|token| token.entropy),
            Self::EntropyInDeviations => in_deviations(&each(|token| token.entropy)),
            Self::Excess => each(|token| own_surprise(token) - token.entropy),
            Self::LowConfidence => mean_confidence(reply).map(|mean| -mean).collect(),
            Self::BelowHalf => mean_confidence(reply).map(|mean| f64::from(mean < 0.5)).collect(),
            Self::BelowThird => mean_confidence(reply).map(|mean| f64::from(mean < 0.35)).collect(),
            Self::LaterEntropy => later(&each(|token| token.entropy)),
            Self::LaterEntropyRise => {
                let entropy = each(|token| token.entropy);
                rise(&later(&entropy), &entropy)
            }
            Self::LeastWilling => each(least_willing),
            Self::LeastWillingInDeviations => in_deviations(&each(least_willing)),
            Self::MemberGap => each(|token| least_willing(token) - most_willing(token)),
            Self::Disagreement => each(|token| 1.0 - token.agreement),
        }
    }
}

fn surprise(probability: f64) -> f64 {
    -probability.max(LEAST).ln()
}

fn own_surprise(token: &Token) -> f64 {
    surprise(token.probability)
}

/// The greatest surprise of a member; the token's own where no member is known.
fn least_willing(token: &Token) -> f64 {
    token.members.iter().copied().reduce(f64::min).map_or_else(|| own_surprise(token), surprise)
}

/// The least surprise of a member; the token's own where no member is known.
fn most_willing(token: &Token) -> f64 {
    token.members.iter().copied().reduce(f64::max).map_or_else(|| own_surprise(token), surprise)
}

/// The mean probability of each token and the up to four before it.
fn mean_confidence(reply: &Reply) -> impl Iterator<Item = f64> {
    let tokens = &reply.tokens;
    (0..tokens.len()).map(|at| {
        let window = &tokens[at.saturating_sub(WINDOW - 1)..=at];
        window.iter().map(|token| token.probability.max(LEAST)).sum::<f64>() / window.len() as f64
    })
}

/// Mean and population deviation of the values before each value, 0 before the first.
///
/// Welford (1962), "Note on a method for calculating corrected sums of squares and products", Technometrics 4:419–420.
fn running(values: &[f64]) -> impl Iterator<Item = (f64, f64)> {
    values.iter().zip(1..).scan((0.0, 0.0, 0.0), |(number, mean, squares), (value, next)| {
        let before = (*mean, if *number > 0.0 { f64::sqrt(*squares / *number) } else { 0.0 });
        *number = f64::from(next);
        let difference = value - *mean;
        *mean += difference / *number;
        *squares += difference * (value - *mean);
        Some(before)
    })
}

/// Each value minus the running mean of others.
fn rise(values: &[f64], others: &[f64]) -> Vec<f64> {
    values.iter().zip(running(others)).map(|(value, (mean, _))| value - mean).collect()
}

fn in_deviations(values: &[f64]) -> Vec<f64> {
    let all = values.iter().zip(running(values)).enumerate();
    all.map(
        |(at, (value, (mean, deviation)))| {
            if at < FIRST_TOKENS { 0.0 } else { (value - mean) / (deviation + FLOOR) }
        },
    )
    .collect()
}

/// The mean of the values one to three places later; after the end, that of all.
fn later(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let at = |place: usize| values.get(place).copied().unwrap_or(mean);
    (0..values.len()).map(|place| (1..=LATER).map(|by| at(place + by)).sum::<f64>() / LATER as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(probabilities: &[f64]) -> Reply {
        let token = |(at, &probability): (usize, &f64)| Token {
            at,
            probability,
            likeliest: 0.5,
            entropy: at as f64,
            agreement: 0.75,
            members: vec![probability, probability / 2.0],
        };
        let tokens = probabilities.iter().enumerate().map(token).collect();
        Reply { id: "a".into(), tokens, faults: Vec::new(), is_wrong: None }
    }

    fn is(signal: Signal, probabilities: &[f64], expected: &[f64]) {
        let found = signal.values(&reply(probabilities));
        let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9);
        assert!(close && found.len() == expected.len(), "{signal:?}: {found:?} instead of {expected:?}");
    }

    /// Probabilities of tokens by their surprise.
    fn surprises(nats: &[f64]) -> Vec<f64> {
        nats.iter().map(|nats| (-nats).exp()).collect()
    }

    #[test]
    fn surprise_is_compared_with_the_tokens_before_it_alone() {
        let tokens = surprises(&[1.0, 3.0, 1.0, 3.0, 4.0, 0.0]);
        is(Signal::Surprise, &tokens, &[1.0, 3.0, 1.0, 3.0, 4.0, 0.0]);
        is(Signal::SurpriseRise, &tokens, &[1.0, 2.0, -1.0, 3.0 - 5.0 / 3.0, 2.0, -2.4]);
        // Before the fifth token 1, 3, 1, 3: mean 2, deviation 1. Before the sixth: mean 2.4, variance 1.44.
        is(Signal::SurpriseInDeviations, &tokens, &[0.0, 0.0, 0.0, 0.0, 2.0 / 1.1, -2.4 / 1.3]);
    }

    #[test]
    fn certain_text_before_a_token_does_not_make_it_infinitely_surprising() {
        is(Signal::SurpriseInDeviations, &surprises(&[0.0, 0.0, 0.0, 0.0, 1.0]), &[0.0, 0.0, 0.0, 0.0, 10.0]);
        is(Signal::Surprise, &[0.0], &[12.0 * 10.0_f64.ln()]);
    }

    #[test]
    fn the_row_says_how_far_a_token_is_from_what_was_expected() {
        is(Signal::BelowLikeliest, &[0.5, 0.25], &[0.0, 2.0_f64.ln()]);
        is(Signal::Excess, &surprises(&[2.0, 2.0, 2.0]), &[2.0, 1.0, 0.0]);
        is(Signal::EntropyInDeviations, &[1.0; 5], &[0.0, 0.0, 0.0, 0.0, 2.5 / (1.25_f64.sqrt() + 0.1)]);
    }

    #[test]
    fn confidence_is_the_mean_of_at_most_five() {
        let tokens = [1.0, 0.0, 0.2, 0.0, 0.0, 0.5, 1.0];
        let means = [1.0, 0.5, 0.4, 0.3, 0.24, 0.14, 0.34];
        is(Signal::LowConfidence, &tokens, &means.map(|mean: f64| -mean));
        is(Signal::BelowHalf, &[0.5, 0.5, 0.4], &[0.0, 0.0, 1.0]);
        is(Signal::BelowThird, &tokens, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn what_follows_the_end_is_the_mean_of_the_reply() {
        // Entropies 0, 1, 2, 3, 4, mean 2.
        let later = [2.0, 3.0, 3.0, 8.0 / 3.0, 2.0];
        is(Signal::LaterEntropy, &[1.0; 5], &later);
        is(Signal::LaterEntropyRise, &[1.0; 5], &[2.0, 3.0, 2.5, 5.0 / 3.0, 0.5]);
        is(Signal::LaterEntropy, &[], &[]);
    }

    #[test]
    fn members_are_compared_where_there_are_several() {
        is(Signal::LeastWilling, &[1.0], &[2.0_f64.ln()]);
        is(Signal::MemberGap, &[0.3, 1.0], &[2.0_f64.ln(); 2]);
        is(Signal::Disagreement, &[1.0], &[0.25]);
        let mut one = reply(&[0.5, 0.5]);
        assert_eq!(Signal::of(&[one.clone()]).len(), 16);
        one.tokens.iter_mut().for_each(|token| token.members.truncate(1));
        assert_eq!(Signal::of(&[one.clone()]).len(), 12);
        one.tokens.iter_mut().for_each(|token| token.members.clear());
        assert_eq!(Signal::LeastWilling.values(&one), Signal::Surprise.values(&one));
    }
}
