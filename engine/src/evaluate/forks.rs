//! The places at which a policy changed a reply, and both ways to go on from there.

use super::seed_of;
use crate::decode::Request;
use crate::engine::Engine;
use crate::error::Error;
use crate::settings::Prompt;
use measure::explain::{Account, Step};
use measure::tasks::{Item, Task};
use std::sync::Arc;

/// A place at which a policy refused a token or took text back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The reply up to there as it stood, what was refused or taken back included.
    pub kept: String,
    /// The reply up to there as the policy had it, with the token that came in place of the other.
    pub changed: String,
    /// Tokens of the two.
    pub tokens: usize,
}

/// All forks of a reply, in their order.
pub fn forks(account: &Account) -> Vec<Fork> {
    let mut forks = Vec::new();
    let mut standing: Vec<&str> = Vec::new();
    // What stood where a policy changed it, until it is known what came instead.
    let mut open: Option<String> = None;
    for step in &account.steps {
        match step {
            Step::Token(token) if token.is_refused => {
                // The first refusal at a place is the fork; what is refused after that is not what would have stood.
                if open.is_none() {
                    open = Some(format!("{}{}", standing.concat(), token.text));
                }
            }
            Step::Token(token) => {
                standing.truncate(token.index);
                standing.push(&token.text);
                if let Some(kept) = open.take() {
                    let changed = standing.concat();
                    if kept != changed {
                        forks.push(Fork { kept, changed, tokens: standing.len() });
                    }
                }
            }
            Step::Retraction(retraction) => {
                let stood = standing.concat();
                standing.truncate(retraction.index);
                open.get_or_insert(stood);
            }
        }
    }
    forks
}

/// Continues both lines of a fork, so many times each, with the same seeds: whole replies, kept and changed.
pub fn continued(
    engine: &Arc<Engine>,
    task: &Task,
    item: &Item,
    fork: &Fork,
    samples: usize,
    seed: u64,
) -> Result<[Vec<String>; 2], Error> {
    let mut replies = [Vec::new(), Vec::new()];
    for (begun, replies) in [&fork.kept, &fork.changed].into_iter().zip(&mut replies) {
        let mut sessions = Vec::with_capacity(samples);
        for sample in 0..samples {
            let mut request: Request = engine.request(&Prompt::Text(format!("{}{begun}", item.prompt)));
            request.seed = seed_of(seed, &format!("{} {}", item.id, fork.tokens), sample as u64 + 1);
            request.stop = task.stop().to_vec();
            let left = task.max_tokens().saturating_sub(fork.tokens).max(1);
            request.limits.n_predict = u32::try_from(left).unwrap_or(u32::MAX);
            sessions.push(engine.open(request)?);
        }
        for session in sessions {
            replies.push(format!("{begun}{}", session.reply()?.text));
        }
    }
    Ok(replies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::explain::{Retraction, Token};

    fn token(index: usize, text: &str, is_refused: bool) -> Step {
        Step::Token(Token {
            index,
            text: text.into(),
            confidence: 0.5,
            likeliest: 0.5,
            entropy: 1.0,
            agreement: 1.0,
            leader: 0,
            mean: 1.0,
            deviation: 0.5,
            members: Vec::new(),
            fused: Vec::new(),
            temperature: 0.7,
            repeat_penalty: 1.0,
            verdicts: Vec::new(),
            is_refused,
        })
    }

    fn of(steps: Vec<Step>) -> Vec<Fork> {
        let (title, prompt) = Default::default();
        forks(&Account { title, members: Vec::new(), policies: Vec::new(), prompt, steps })
    }

    #[test]
    fn a_refused_token_and_what_came_instead_are_a_fork() {
        let found = of(vec![token(0, "a", false), token(1, "b", true), token(1, "c", true), token(1, "d", false)]);
        assert_eq!(found, [Fork { kept: "ab".into(), changed: "ad".into(), tokens: 2 }]);
    }

    #[test]
    fn text_that_was_taken_back_and_what_came_instead_are_a_fork() {
        let gone = Step::Retraction(Retraction { index: 1, units: 2, policy: "p".into(), reason: String::new() });
        let steps = vec![token(0, "a", false), token(1, "b", false), token(2, "c", false), gone, token(1, "x", false)];
        assert_eq!(of(steps), [Fork { kept: "abc".into(), changed: "ax".into(), tokens: 2 }]);
    }

    #[test]
    fn nothing_is_a_fork_where_nothing_changed() {
        assert_eq!(of(vec![token(0, "a", false), token(1, "b", true)]), []);
        assert_eq!(of(vec![token(0, "a", true), token(0, "a", false)]), [], "the same token after all");
    }
}
