//! The state of one server: whether it is there, what it is, how long it may take, and what it was asked.
//!
//! A server that fails once is *away*: nobody waits for it any more, its members abstain. A thread asks whether it is back after
//! 1, 2, 4 … 30 seconds, and whether it still has the same model; then the next step asks for a row of the whole text. Texts
//! hear of both through [`Link::news`].

use super::fault::{Fault, in_short};
use super::http::Client;
use super::protocol::{Answer, Ask, Met, Protocol};
use super::sparse::Listed;
use crate::member::Token;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// What a step may take at least before a server counts as away.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// For reading a token of a prompt before one was measured, and at least: a large model on a CPU.
const PER_TOKEN: Duration = Duration::from_millis(100);
const LEAST_PER_TOKEN: Duration = Duration::from_millis(2);

/// Steps whose times are remembered.
const REMEMBERED: usize = 200;

/// Waits between two looks at a server that is away, in seconds: twice as long each time.
const FIRST_WAIT: u64 = 1;
const LONGEST_WAIT: u64 = 30;

/// After so long without an answer a server is looked at before it is asked: it may be another by now.
const STALE: Duration = Duration::from_secs(3);
/// For so long a look counts; no server is started anew in less.
const FRESH: Duration = Duration::from_millis(100);

/// Answers after which a server that came back counts as steady.
const STEADY: u32 = 8;

/// What a look may take.
const LOOK: Duration = Duration::from_secs(5);

/// Tokens of the row by which a model is known again, and by how much their log-probabilities may differ: batches of other
/// shapes change the last digits.
const CANARY: usize = 16;
const LIKENESS: f64 = 0.05;

/// One server, shared by the model that asks it, by texts and by who accounts for it.
pub struct Link {
    /// The member's name.
    pub name: String,
    address: String,
    client: Client,
    protocol: Box<dyn Protocol>,
    met: Met,
    canary: (Token, Vec<Listed>),
    timeout: Option<Duration>,
    state: Mutex<State>,
    pace: Mutex<Pace>,
    account: Mutex<Account>,
    trust: Mutex<Trust>,
}

/// Until when an answer is taken to come from the model that was met.
#[derive(Debug)]
struct Trust {
    heard: Instant,
    /// When it was looked at, which may take a text's place on the server.
    looked: Instant,
}

/// Whether the server is there.
#[derive(Debug, Default)]
struct State {
    /// How often it went away so far.
    times: u64,
    away: Option<Away>,
    /// How often in a row it went away again soon, and answers since it came back: one that is always too slow is asked less and
    /// less.
    relapses: u32,
    answers: u32,
    /// The last time, for who did not look in between.
    last: Option<(String, Duration)>,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    why: Fault,
    /// Another model came in its place.
    is_another: bool,
}

/// How long it takes.
#[derive(Debug, Default)]
struct Pace {
    steps: VecDeque<Duration>,
    per_token: Option<Duration>,
}

/// What a server was asked and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Account {
    /// The member's name.
    pub name: String,
    /// The server's address.
    pub address: String,
    /// Requests that were answered, and those that failed.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Bytes of requests and answers.
    pub bytes: u64,
    /// Rows that came.
    pub rows: u64,
    /// Tokens of prompts that the server knew from the request before.
    pub known: u64,
    /// Tokens of prompts that it read.
    pub read: u64,
    /// Rows of which the server listed the likeliest tokens alone.
    pub truncated: u64,
    /// What the tokens that were not listed had together, summed over rows, and the most of one row: a bound for how wrong a row
    /// is, in total variation.
    pub tail: f64,
    /// The largest of them.
    pub largest_tail: f32,
    /// When it was away.
    pub absences: Vec<Absence>,
    /// Places in texts at which its members abstained, as ranges of units from the beginning of what the members see.
    pub missed: Vec<(usize, usize)>,
}

/// Once that a server was away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Absence {
    /// Why.
    pub why: String,
    /// For how long, in seconds; `None` while it is.
    pub seconds: Option<f64>,
}

impl Account {
    /// Mean mass of what was not listed, over all rows.
    pub fn mean_tail(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.tail / self.rows as f64 }
    }

    /// Places at which its members had no say.
    pub fn places_missed(&self) -> usize {
        self.missed.iter().map(|(from, to)| to - from).sum()
    }
}

/// What a text has heard of a link.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    times: u64,
    is_away: bool,
    is_another: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// To a server that was met; `first` is a token to ask for a row after, by which its model is known again.
    pub(super) fn new(
        name: String,
        address: String,
        client: Client,
        protocol: Box<dyn Protocol>,
        met: Met,
        first: Token,
        timeout: Option<Duration>,
    ) -> Result<Self, Fault> {
        let account = Account { name: name.clone(), address: address.clone(), ..Account::default() };
        let mut link = Self {
            name,
            address,
            client,
            protocol,
            met,
            canary: (first, Vec::new()),
            timeout,
            state: Mutex::default(),
            pace: Mutex::default(),
            account: Mutex::new(account),
            trust: Mutex::new(Trust { heard: Instant::now(), looked: Instant::now() }),
        };
        link.canary.1 = link.canary_row(Duration::from_secs(30))?;
        Ok(link)
    }

    pub(super) fn protocol(&self) -> &dyn Protocol {
        &*self.protocol
    }

    /// What the server said of its model.
    pub(crate) fn met(&self) -> &Met {
        &self.met
    }

    /// What it was asked so far.
    pub fn account(&self) -> Account {
        locked(&self.account).clone()
    }

    /// The places at which its members abstained since this was asked before.
    pub fn take_missed(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut locked(&self.account).missed)
    }

    /// A member abstained behind so many units.
    pub(crate) fn miss(&self, place: usize) {
        let missed = &mut locked(&self.account).missed;
        match missed.last_mut() {
            Some((from, to)) if (*from..=*to).contains(&place) => *to = (*to).max(place + 1),
            _ => missed.push((place, place + 1)),
        }
    }

    /// Whether nobody asks it at present.
    pub(crate) fn is_away(&self) -> bool {
        locked(&self.state).away.is_some()
    }

    /// Sentences for who has heard so much: that it is away, that it is back.
    pub(crate) fn news(&self, heard: &mut Heard) -> Vec<String> {
        let state = locked(&self.state);
        let (name, address) = (&self.name, &self.address);
        let mut news = Vec::new();
        let gone = |why: &dyn std::fmt::Display| {
            format!("`{name}` ({address}) is away: {why}; it has no say until it is back")
        };
        let back = |after: Duration| {
            format!("`{name}` ({address}) is back after {:.1} s, and has a say again", after.as_secs_f32())
        };
        if state.times > heard.times {
            // It came and went since.
            if let (false, None, Some((why, after))) = (heard.is_away, &state.away, &state.last) {
                news.extend([gone(why), back(*after)]);
            }
        }
        match (&state.away, heard.is_away) {
            (Some(away), false) => news.push(gone(&away.why)),
            (Some(away), true) if away.is_another && !heard.is_another => {
                news.push(format!("`{name}` ({address}) stays away: {}", away.why));
            }
            (None, true) => {
                news.push(back(state.last.as_ref().map_or(Duration::ZERO, |(_, after)| *after)));
            }
            _ => {}
        }
        *heard = Heard {
            times: state.times,
            is_away: state.away.is_some(),
            is_another: state.away.as_ref().is_some_and(|away| away.is_another),
        };
        news
    }

    /// What a text that begins has heard: nothing of a server that is away, nor of what was before.
    pub(crate) fn heard(&self) -> Heard {
        Heard { times: locked(&self.state).times, is_away: false, is_another: false }
    }

    /// Asks for rows after a text of which the server has to read `fresh` tokens. Where a prompt is read it has to be the model that
    /// was met: it may have been started anew since the reply before.
    pub(super) fn ask(&self, ask: &Ask, fresh: usize, is_prompt: bool) -> Result<Answer, Fault> {
        let patience = self.patience(fresh, ask.rows());
        let (path, body) = self.protocol.request(ask);
        let body = body.to_string();
        let start = Instant::now();
        let again = || self.look(LOOK.min(patience)).and_then(|()| self.client.post(path, body.as_bytes(), patience));
        let (is_stale, is_looked_at) = {
            let trust = locked(&self.trust);
            (trust.heard.elapsed() > STALE, trust.looked.elapsed() < FRESH)
        };
        let first = match is_prompt && !is_stale && !is_looked_at {
            true => self.recognise(LOOK.min(patience)),
            false => Ok(()),
        };
        let answer = match first {
            Ok(()) if is_stale => again(),
            Ok(()) => self.client.post(path, body.as_bytes(), patience),
            Err(fault) => Err(fault),
        };
        let answer = match answer {
            // Servers close connections that were idle, and servers are started anew: that is no failure unless it is another.
            Err(Fault::Closed) => again(),
            answer => answer,
        };
        let answer = answer.and_then(|answer| {
            let bytes = body.len() + answer.len();
            self.protocol.answer(ask, &answer).map(|answer| (bytes, answer))
        });
        let (bytes, answer) = match answer {
            Ok(answer) => answer,
            Err(fault) if super::llama_server::is_full(&fault) => return Err(Fault::Full),
            Err(fault) => {
                locked(&self.account).failed += 1;
                return Err(fault);
            }
        };
        self.check_memory(ask, fresh, &answer, patience)?;
        self.check_name(&answer).inspect_err(|_| locked(&self.account).failed += 1)?;
        let mut account = locked(&self.account);
        account.requests += 1;
        account.bytes += bytes as u64;
        account.known += answer.known;
        account.read += answer.read;
        drop(account);
        let mut state = locked(&self.state);
        state.answers += 1;
        if state.answers >= STEADY {
            state.relapses = 0;
        }
        drop(state);
        self.note(start.elapsed(), fresh, &answer);
        Ok(answer)
    }

    /// A server that should know the beginning of a text and knows nothing of it may have been started anew, with another model.
    fn check_memory(&self, ask: &Ask, fresh: usize, answer: &Answer, patience: Duration) -> Result<(), Fault> {
        let mut trust = locked(&self.trust);
        trust.heard = Instant::now();
        let should_know = ask.slot.is_some() && ask.prompt.len() > 1 && fresh < ask.prompt.len();
        if !should_know || answer.known > 0 {
            return Ok(());
        }
        if trust.looked.elapsed() < FRESH {
            return Ok(());
        }
        drop(trust);
        self.look(LOOK.min(patience)).inspect_err(|_| locked(&self.account).failed += 1)
    }

    /// A row came.
    pub(super) fn count_row(&self, is_truncated: bool, tail: f32) {
        let mut account = locked(&self.account);
        account.rows += 1;
        account.truncated += u64::from(is_truncated);
        account.tail += f64::from(tail);
        account.largest_tail = account.largest_tail.max(tail);
    }

    /// How long an answer may take.
    fn patience(&self, fresh: usize, rows: usize) -> Duration {
        let pace = locked(&self.pace);
        let base = self.timeout.unwrap_or_else(|| {
            let mut steps: Vec<Duration> = pace.steps.iter().copied().collect();
            steps.sort_unstable();
            let usual = steps.get((steps.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default();
            LEAST_PATIENCE.max(usual * 3)
        });
        let per_token = pace.per_token.map_or(PER_TOKEN, |measured| (measured * 3).max(LEAST_PER_TOKEN));
        // A step is one token; what is more than a step takes its time, whatever was asked for.
        base + per_token * (fresh + rows).saturating_sub(16).min(1 << 20) as u32
    }

    fn note(&self, time: Duration, fresh: usize, answer: &Answer) {
        let mut pace = locked(&self.pace);
        if fresh <= 16 {
            if pace.steps.len() == REMEMBERED {
                pace.steps.pop_front();
            }
            pace.steps.push_back(time);
        }
        let measured = answer.per_token.filter(|_| answer.read >= 16);
        if let Some(time) = measured.filter(|time| (0.0..1e6).contains(time)) {
            pace.per_token = Some(Duration::from_secs_f64(time / 1e3));
        } else if fresh >= 16 {
            pace.per_token = Some(time / fresh as u32);
        }
    }

    /// Nobody asks the server any more until it was seen again.
    pub(super) fn trip(self: &Arc<Self>, why: Fault) {
        let mut state = locked(&self.state);
        if state.away.is_some() {
            return;
        }
        let is_another = matches!(why, Fault::AnotherModel(_));
        tracing::info!("{} ({}) is away: {why}", self.name, self.address);
        locked(&self.account).absences.push(Absence { why: why.to_string(), seconds: None });
        state.times += 1;
        state.away = Some(Away { since: Instant::now(), why, is_another });
        let wait = (FIRST_WAIT << state.relapses.min(5)).min(LONGEST_WAIT);
        (state.relapses, state.answers) = (state.relapses + 1, 0);
        drop(state);
        let link = Arc::downgrade(self);
        // Without a thread it stays away.
        let _ = std::thread::Builder::new().name("remote".into()).spawn(move || look_out(&link, wait));
    }

    /// Whether the server is there, with the same model.
    fn look(&self, patience: Duration) -> Result<(), Fault> {
        let met = self.protocol.meet(&self.client, patience)?;
        if let Some(difference) = self.met.difference(&met) {
            return Err(Fault::AnotherModel(difference));
        }
        self.recognise(patience)
    }

    /// Whether its model is the one that was met, by its name and a row.
    fn recognise(&self, patience: Duration) -> Result<(), Fault> {
        let row = self.canary_row(patience)?;
        let known = &self.canary.1;
        let of =
            |token: i64| row.iter().find(|(other, _)| *other == token).map(|(_, log_probability)| *log_probability);
        *locked(&self.trust) = Trust { heard: Instant::now(), looked: Instant::now() };
        let alike =
            known.iter().filter(|(token, before)| of(*token).is_some_and(|now| (now - before).abs() < LIKENESS));
        if alike.count() * 4 < known.len() * 3 {
            return Err(Fault::AnotherModel("it has the same name and size, and predicts something else".into()));
        }
        Ok(())
    }

    fn canary_row(&self, patience: Duration) -> Result<Vec<Listed>, Fault> {
        let ask = Ask { slot: None, prompt: vec![self.canary.0], forced: Vec::new(), listed: CANARY };
        let (path, body) = self.protocol.request(&ask);
        let body = self.client.post(path, body.to_string().as_bytes(), patience)?;
        let mut answer = self.protocol.answer(&ask, &body)?;
        self.check_name(&answer)?;
        Ok(answer.rows.swap_remove(0))
    }

    fn check_name(&self, answer: &Answer) -> Result<(), Fault> {
        match answer.model.as_ref().filter(|model| **model != self.met.model) {
            None => Ok(()),
            Some(now) => {
                let (before, now) = (in_short(&self.met.model), in_short(now));
                Err(Fault::AnotherModel(format!("it was `{before}`, it is `{now}`")))
            }
        }
    }

    /// It was seen: it may be asked again.
    fn welcome(&self) {
        let mut state = locked(&self.state);
        let Some(away) = state.away.take() else { return };
        let after = away.since.elapsed();
        tracing::info!("{} ({}) is back", self.name, self.address);
        if let Some(absence) = locked(&self.account).absences.last_mut() {
            absence.seconds = Some(after.as_secs_f64());
        }
        state.last = Some((away.why.to_string(), after));
        // What it took before it went says nothing any more.
        locked(&self.pace).steps.clear();
    }
}

/// Looks for a server until it is back, or until nobody needs it.
fn look_out(link: &Weak<Link>, mut wait: u64) {
    loop {
        let until = Instant::now() + Duration::from_secs(wait);
        while Instant::now() < until {
            if link.strong_count() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let Some(link) = link.upgrade() else { return };
        match link.look(LOOK) {
            Ok(()) => return link.welcome(),
            Err(fault @ Fault::AnotherModel(_)) => {
                if let Some(away) = &mut locked(&link.state).away {
                    (away.why, away.is_another) = (fault, true);
                }
            }
            Err(_) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
