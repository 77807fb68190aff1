//! Items that are answered by writing, several at once.

use super::seed_of;
use crate::decode::Request;
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::session::Session;
use crate::settings::Prompt;
use measure::tasks::{Item, Task};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// How items are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// Seed of the draws of all items.
    pub seed: u64,
    /// Answers to each item, of which the one that its models held likeliest counts; 1 for no choice.
    pub samples: u32,
}

/// What was written for an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Σ ln P of its units under the fusion, before temperature and truncation.
    pub log_likelihood: f64,
    /// Seconds from the beginning of the first sample to the end of the last.
    pub seconds: f64,
}

/// An item that is being answered.
struct Open<'a> {
    item: &'a Item,
    session: Session,
    /// Confidence of each unit that stands.
    units: Vec<f64>,
    sample: u32,
    best: Option<Answer>,
    since: Instant,
}

/// Asks for answers, as many at once as [`Settings::texts`](crate::settings::Settings::texts) says. `done` hears each
/// item's answer as soon as it is there, or why there is none; where it fails, items that are under way are dropped. Each answer is what the item alone gets, as far as rows do not depend on the batch.
pub fn ask<'a>(
    engine: &Arc<Engine>,
    task: &Task,
    items: impl IntoIterator<Item = &'a Item>,
    how: Asking,
    done: &mut dyn FnMut(&'a Item, Result<Answer, Error>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut items = items.into_iter();
    let begin = |item: &Item, sample: u32| {
        let mut request: Request = engine.request(&Prompt::Text(item.prompt.clone()));
        request.seed = seed_of(how.seed, &item.id, u64::from(sample));
        request.stop = task.stop().to_vec();
        request.limits.n_predict = u32::try_from(task.max_tokens()).unwrap_or(u32::MAX);
        engine.open(request)
    };
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        while open.len() < engine.settings().texts {
            let Some(item) = items.next() else { break };
            match begin(item, 0) {
                Ok(session) => {
                    open.push_back(Open {
                        item,
                        session,
                        units: Vec::new(),
                        sample: 0,
                        best: None,
                        since: Instant::now(),
                    });
                }
                Err(error) => done(item, Err(error))?,
            }
        }
        // One event of each in turn: a step of all brings an event for each.
        let Some(mut one) = open.pop_front() else { return Ok(()) };
        match one.session.next() {
            Some(Event::Token { confidence, index, .. }) => {
                one.units.truncate(index as usize);
                one.units.push(f64::from(confidence.max(f32::MIN_POSITIVE)).ln());
                open.push_back(one);
            }
            Some(Event::Retract { index, .. }) => {
                one.units.truncate(index as usize);
                open.push_back(one);
            }
            Some(_) => open.push_back(one),
            None => {
                let Open { item, session, units, sample, best, since } = one;
                let (log_likelihood, seconds) = (units.iter().sum(), since.elapsed().as_secs_f64());
                let answer = session.reply().map(|reply| Answer { text: reply.text, log_likelihood, seconds });
                let best = match (best, answer) {
                    (Some(best), Ok(_)) if best.log_likelihood >= log_likelihood => Ok(Answer { seconds, ..best }),
                    (_, answer) => answer,
                };
                match best {
                    Ok(best) if sample + 1 < how.samples => {
                        let session = begin(item, sample + 1)?;
                        open.push_back(Open {
                            item,
                            session,
                            units: Vec::new(),
                            sample: sample + 1,
                            best: Some(best),
                            since,
                        });
                    }
                    best => done(item, best)?,
                }
            }
        }
    }
}
