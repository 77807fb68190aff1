//! What several texts at once come to against one.

use super::drafts::OPENINGS;
use super::{WARM_UP, median};
use crate::decode::{Parts, Progress, Request, Session};
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::settings::Prompt;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Turns of one text and of all.
const ROUNDS: usize = 9;
/// Units of each text in a turn.
const UNITS: u32 = 34;

/// Many texts over one scheduler; nothing is read ahead.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextsBench {
    /// How many.
    pub texts: usize,
    /// Median of the units a second of one alone.
    pub one: f64,
    /// Median of the units a second of all together.
    pub all: f64,
    /// Median of all / one over the turns.
    pub ratio: f64,
}

impl Engine {
    /// Lets one text and `texts` of them get on in turn, under the schedule in force.
    pub(super) fn bench_texts(&mut self, texts: usize) -> Result<TextsBench, Error> {
        self.set_n_predict(UNITS);
        let no_place = || Error::Failure("the models have no place for so many texts".into());
        let mut parts = vec![self.decoder().lend().ok_or_else(no_place)?];
        while parts.len() < texts {
            let Some(text) = self.decoder().scheduler.ensemble.open() else { break };
            parts.push(Parts { text, chain: parts[0].chain.another() });
        }
        let measured = if parts.len() < texts { Err(no_place()) } else { self.take_turns(&mut parts) };
        self.decoder().take_back(parts.swap_remove(0));
        measured
    }

    fn take_turns(&mut self, parts: &mut Vec<Parts>) -> Result<TextsBench, Error> {
        let texts = parts.len();
        let (mut one, mut all, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let alone = self.rate(parts, 1)?;
            let together = self.rate(parts, texts)?;
            if let (Some(alone), Some(together)) = (alone, together) {
                one.push(alone);
                all.push(together);
                ratios.push(together / alone);
            }
        }
        Ok(TextsBench { texts, one: median(&one), all: median(&all), ratio: median(&ratios) })
    }

    /// Units a second of the first `count` texts, once each has written some and until one is over; `None` where one was over
    /// at once.
    fn rate(&mut self, parts: &mut Vec<Parts>, count: usize) -> Result<Option<f64>, Error> {
        let failed = |error: crate::member::MemberError| Error::Failure(error.to_string());
        let mut sessions: Vec<Session> = Vec::new();
        let mut waiting = std::mem::take(parts);
        let others = waiting.split_off(count);
        let mut outcome = Ok(());
        for (number, own) in waiting.into_iter().enumerate() {
            let request = self.request(&Prompt::Text(OPENINGS[number % OPENINGS.len()].into()));
            let request = Request { seed: number as u64, ..request };
            match self.decoder().scheduler.begin(own, request, Arc::default()) {
                Ok(session) => sessions.push(session),
                Err(refused) => {
                    let (own, error) = *refused;
                    parts.push(own);
                    outcome = Err(failed(error));
                }
            }
        }
        let mut written = vec![0; sessions.len()];
        let (mut time, mut units) = (Duration::ZERO, 0);
        while outcome.is_ok() && !sessions.is_empty() {
            let is_warm = written.iter().all(|&units| units > WARM_UP);
            let (start, before) = (Instant::now(), written.iter().sum::<usize>());
            let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
            let progress = self.decoder().scheduler.tick(&mut all, &mut |number, event| {
                written[number] += usize::from(matches!(event, Event::Token { .. }));
            });
            if is_warm {
                time += start.elapsed();
                units += written.iter().sum::<usize>() - before;
            }
            outcome = progress.iter().try_for_each(|progress| match progress {
                Progress::Unreadable(error) => Err(failed(error.clone())),
                _ => Ok(()),
            });
            if progress.contains(&Progress::Over) {
                break;
            }
        }
        parts.extend(sessions.into_iter().map(Session::into_parts));
        parts.extend(others);
        outcome.map(|()| (units > 0).then(|| units as f64 / time.as_secs_f64().max(1e-9)))
    }
}
