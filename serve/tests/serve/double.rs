//! A backend without a model, which is not kinder than the real one: one thread steps all jobs, lines get full, characters
//! are spread over units, text is held back before stop strings, and text is taken back in the middle.

use serde_json::{Value, json};
use serve::Backend;
use serve::backend::{
    About, Alternative, Change, Finish, Hook, Job, Knob, Piece, Prompt, Refusal, RefusalKind, Role, Sampling, Told,
    Untold,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The end of a text, its beginning, and three units of several bytes, the last of which ends within a character.
const END: u32 = 256;
const BEGINNING: u32 = 257;
const WORDS: [&[u8]; 3] = [b" the", b" cat", b"\xe2\x82"];
const UNITS: u32 = 258 + WORDS.len() as u32;

/// How it writes.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Time of a step of all jobs.
    pub pace: Duration,
    /// How many of the newest units it may take back.
    pub horizon: u32,
    /// It writes wrong units and takes them back.
    pub retracts: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { pace: Duration::ZERO, horizon: 6, retracts: true }
    }
}

/// What happened to it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Jobs under way.
    pub running: AtomicUsize,
    /// Most jobs that were ever under way.
    pub most: AtomicUsize,
    /// Jobs whose client went away.
    pub gone: AtomicUsize,
    /// How often a line was full.
    pub full: AtomicUsize,
    /// Units that were taken back.
    pub retracted: AtomicUsize,
    /// What jobs were to continue, in the order in which they began, with their seeds.
    pub begun: Mutex<Vec<(String, Option<u64>)>>,
    /// Jobs that say what the reply looks like. It does not keep to that.
    pub constrained: AtomicUsize,
    /// Changes and saved scripts.
    pub changes: Mutex<Vec<Change>>,
}

pub struct Double {
    about: About,
    jobs: Mutex<Sender<Job>>,
    pub seen: Arc<Seen>,
}

impl Double {
    pub fn new(manner: Manner) -> Arc<Self> {
        let (jobs, incoming) = channel();
        let seen = Arc::new(Seen::default());
        let about = About {
            name: "tale+fable".into(),
            members: vec!["tale".into(), "fable".into()],
            context: 4096,
            units: UNITS,
            is_bytes: false,
            fingerprint: "fp_double".into(),
            end: (END, "</s>".into()),
            beginning: Some((BEGINNING, "<s>".into())),
            template: Some("{{ messages }}".into()),
            defaults: Sampling::default(),
            max_tokens: 200,
            horizon: manner.horizon,
        };
        let (copy, max) = (Arc::clone(&seen), about.max_tokens);
        thread::spawn(move || write(&incoming, manner, max, &copy));
        Arc::new(Self { about, jobs: Mutex::new(jobs), seen })
    }
}

fn refusal(kind: RefusalKind, message: &str, param: Option<&'static str>) -> Refusal {
    Refusal { kind, message: message.into(), param }
}

pub fn bytes_of(unit: u32) -> Vec<u8> {
    match unit {
        0..=255 => vec![unit as u8],
        END => Vec::new(),
        BEGINNING => b"<s>".to_vec(),
        word => WORDS[word as usize - 258].to_vec(),
    }
}

pub fn units_of(text: &str) -> Vec<u32> {
    let (mut rest, mut units) = (text.as_bytes(), Vec::new());
    while let Some(first) = rest.first() {
        let word = WORDS.iter().position(|word| rest.starts_with(word));
        let (unit, length) = word.map_or((u32::from(*first), 1), |word| (258 + word as u32, WORDS[word].len()));
        units.push(unit);
        rest = &rest[length..];
    }
    units
}

impl Backend for Double {
    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&self, job: Job) {
        let said = match &job.ask.prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Units(units) => format!("{units:?}"),
            Prompt::Chat(messages) => messages.iter().map(|message| message.content.as_str()).collect(),
        };
        assert!(said != "panic", "a backend must not, but who knows");
        self.seen.begun.lock().unwrap().push((said, job.ask.seed));
        self.seen.constrained.fetch_add(usize::from(job.ask.constraint.is_some()), Ordering::SeqCst);
        let running = self.seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most.fetch_max(running, Ordering::SeqCst);
        self.jobs.lock().unwrap().send(job).unwrap();
    }

    fn tokenize(&self, text: &str, _: bool) -> Result<Vec<u32>, Refusal> {
        assert!(text != "panic", "a backend must not, but who knows");
        Ok(units_of(text))
    }

    fn detokenize(&self, units: &[u32]) -> Result<Vec<u8>, Refusal> {
        if units.iter().any(|unit| *unit >= UNITS) {
            return Err(refusal(RefusalKind::Invalid, "no such unit", Some("tokens")));
        }
        Ok(units.iter().flat_map(|unit| bytes_of(*unit)).collect())
    }

    fn hooks(&self) -> Vec<Hook> {
        let knob = Knob { name: "limit".into(), value: 0.5, default: 0.4, minimum: 0.0, maximum: 1.0 };
        vec![Hook {
            name: "calm".into(),
            role: "policy",
            active: true,
            state: "running".into(),
            description: "Takes back.".into(),
            is_script: true,
            knobs: vec![knob],
        }]
    }

    fn change(&self, change: Change) -> Result<Vec<String>, Refusal> {
        if matches!(&change, Change::Fusion(name) if name == "nothing") {
            return Err(refusal(RefusalKind::Unknown, "There is no fusion `nothing`.", Some("fusion")));
        }
        self.seen.changes.lock().unwrap().push(change);
        Ok(vec!["done".into()])
    }

    fn script(&self, name: &str) -> Result<String, Refusal> {
        match name {
            "calm" => Ok("fn on_token() {}".into()),
            _ => Err(refusal(RefusalKind::Unknown, "There is no such script.", Some("name"))),
        }
    }

    fn check(&self, text: &str) -> Vec<String> {
        if text.contains("bad") { vec!["line 1: bad".into()] } else { Vec::new() }
    }

    fn save(&self, _: &str, text: &str) -> Result<Vec<String>, Refusal> {
        match self.check(text).pop() {
            Some(line) => Err(refusal(RefusalKind::Invalid, &line, Some("text"))),
            None => Ok(vec!["saved".into()]),
        }
    }
}

/// What a reply does next.
enum Act {
    Write(u32),
    Retract(usize),
    Notice,
    End(Finish),
}

/// A job under way.
struct Course {
    job: Job,
    acts: VecDeque<Act>,
    units: Vec<u32>,
    bytes: Vec<u8>,
    /// Where each unit ends in the bytes.
    ends: Vec<usize>,
    /// So many units can no longer be taken back.
    certain: usize,
    told: String,
    committed: usize,
    retracted: u32,
    most: usize,
    hold: usize,
    pending: VecDeque<Told>,
    is_over: bool,
}

fn write(incoming: &Receiver<Job>, manner: Manner, max: u32, seen: &Seen) {
    let mut courses: Vec<Course> = Vec::new();
    loop {
        loop {
            let wait = if courses.is_empty() { Duration::from_millis(200) } else { manner.pace };
            match incoming.recv_timeout(wait) {
                Ok(job) => courses.push(Course::new(job, manner, max)),
                Err(RecvTimeoutError::Disconnected) if courses.is_empty() => return,
                Err(_) => break,
            }
        }
        courses.retain_mut(|course| {
            let stays = course.step(seen);
            if !stays {
                seen.running.fetch_sub(1, Ordering::SeqCst);
            }
            stays
        });
        if manner.pace.is_zero() {
            thread::yield_now();
        }
    }
}

/// The whole characters at the beginning of what the units say.
fn text_of(units: &[u32]) -> String {
    let bytes: Vec<u8> = units.iter().flat_map(|unit| bytes_of(*unit)).collect();
    match std::str::from_utf8(&bytes) {
        Ok(text) => text.to_owned(),
        Err(error) => String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned(),
    }
}

impl Course {
    fn new(job: Job, manner: Manner, max: u32) -> Self {
        let said = match &job.ask.prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Units(units) => text_of(units),
            Prompt::Chat(messages) => {
                assert_eq!(messages.last().unwrap().role, Role::User);
                messages.last().unwrap().content.clone()
            }
        };
        let mut acts: VecDeque<Act> = job.ask.given.iter().flatten().map(|unit| Act::Write(*unit)).collect();
        let mut finish = Finish::End;
        for word in said.split('|') {
            match word {
                "fail" => finish = Finish::Failed("a member is gone".into()),
                "policy" => finish = Finish::Policy("loop".into()),
                _ => {}
            }
        }
        let text = said.split('|').next_back().unwrap_or_default();
        for (place, unit) in units_of(text).into_iter().enumerate() {
            acts.push_back(Act::Write(unit));
            if manner.retracts && place % 3 == 2 {
                // A wrong word and half a character, taken back in two steps.
                acts.extend([Act::Write(120), Act::Write(0xc3), Act::Write(0xa9), Act::Notice, Act::Write(258)]);
                acts.extend([Act::Retract(2), Act::Retract(2)]);
            }
        }
        if job.ask.ignore_end {
            acts.extend((0..max).map(|_| Act::Write(END)));
        }
        acts.push_back(Act::End(finish));
        let most = job.ask.max_tokens.unwrap_or(max) as usize;
        let hold = job.ask.hold.unwrap_or(manner.horizon) as usize;
        let mut pending = VecDeque::new();
        if said.starts_with("refuse") {
            let long = refusal(RefusalKind::TooLong, "The prompt does not fit.", Some("prompt"));
            pending.push_back(Told::Refused(long));
        } else if !said.starts_with("silent") {
            let event = json!({"type": "init", "models": ["tale", "fable"]});
            pending.push_back(Told::Started { prompt_tokens: said.len() as u32, cached_tokens: 1, event });
        }
        let is_over = said.starts_with("refuse") || said.starts_with("silent");
        let (units, bytes, ends, told) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        Self {
            job,
            acts,
            units,
            bytes,
            ends,
            certain: 0,
            told,
            committed: 0,
            retracted: 0,
            most,
            hold,
            pending,
            is_over,
        }
    }

    /// Whether it goes on.
    fn step(&mut self, seen: &Seen) -> bool {
        if self.job.line.is_gone() {
            seen.gone.fetch_add(1, Ordering::SeqCst);
            return false;
        }
        if self.pending.is_empty() && !self.is_over {
            self.act(seen);
        }
        while let Some(told) = self.pending.pop_front() {
            match self.job.line.tell(told) {
                Ok(()) => {}
                Err(Untold::Full(told)) => {
                    seen.full.fetch_add(1, Ordering::SeqCst);
                    self.pending.push_front(*told);
                    return true;
                }
                Err(Untold::Gone) => {
                    seen.gone.fetch_add(1, Ordering::SeqCst);
                    return false;
                }
            }
        }
        !self.is_over
    }

    fn act(&mut self, seen: &Seen) {
        if self.units.len() >= self.most {
            return self.end(Finish::Length);
        }
        match self.acts.pop_front() {
            Some(Act::Write(unit)) => self.accept(unit),
            Some(Act::Retract(count)) => {
                let count = count.min(self.units.len() - self.certain);
                seen.retracted.fetch_add(count, Ordering::SeqCst);
                self.units.truncate(self.units.len() - count);
                self.ends.truncate(self.units.len());
                self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
                self.retracted += count as u32;
                let remains = self.shown(self.text(self.units.len())).min(self.told.len());
                let bytes = self.told.len() - remains;
                self.told.truncate(remains);
                let (index, units) = (self.units.len() as u32, count as u32);
                let event =
                    json!({"type": "retract", "index": index, "tokens": units, "bytes": bytes, "policy": "calm"});
                self.pending.push_back(Told::Retract { index, units, bytes, event });
            }
            Some(Act::Notice) => self.pending.push_back(Told::Event(json!({"type": "notice", "text": "hm"}))),
            Some(Act::End(finish)) => self.end(finish),
            None => self.end(Finish::End),
        }
    }

    fn accept(&mut self, unit: u32) {
        self.units.push(unit);
        self.bytes.extend(bytes_of(unit));
        self.ends.push(self.bytes.len());
        let whole = self.text(self.units.len());
        let stop = self.job.ask.stop.iter().filter_map(|stop| Some((whole.find(stop.as_str())?, stop.clone()))).min();
        if let Some((at, stop)) = stop {
            let more = whole[self.told.len().min(at)..at].to_owned();
            self.tell(more, Some(unit));
            return self.end_with(Finish::Stop(Some(stop)));
        }
        let shown = self.shown(whole);
        let more = whole[self.told.len().min(shown)..shown].to_owned();
        self.tell(more, Some(unit));
    }

    /// The whole characters of so many units.
    fn text(&self, units: usize) -> &str {
        let bytes = &self.bytes[..units.checked_sub(1).map_or(0, |last| self.ends[last])];
        std::str::from_utf8(bytes).unwrap_or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap())
    }

    /// How much of a text is told: what could become a stop string is held back.
    fn shown(&self, whole: &str) -> usize {
        let mut shown = whole.len();
        for stop in &self.job.ask.stop {
            for length in (1..stop.len()).filter(|length| stop.is_char_boundary(*length)) {
                if whole.ends_with(&stop[..length]) {
                    shown = shown.min(whole.len() - length);
                }
            }
        }
        shown
    }

    fn tell(&mut self, text: String, unit: Option<u32>) {
        self.told.push_str(&text);
        let given = self.job.ask.given.len().min(self.units.len());
        self.certain = self.certain.max(self.units.len().saturating_sub(self.hold)).max(given);
        let shown = self.shown(self.text(self.certain));
        self.committed = self.committed.max(shown.min(self.told.len()));
        let index = self.units.len() as u32 - 1;
        let piece = unit.map(|unit| piece(index, unit, self.job.ask.alternatives, self.job.ask.members));
        let event = json!({"type": "token", "index": index, "text": text, "confidence": 0.5});
        self.pending.push_back(Told::Token { text, committed: self.committed, piece, event });
    }

    fn end(&mut self, finish: Finish) {
        let whole = self.text(self.units.len());
        if whole.len() > self.told.len() {
            let more = whole[self.told.len()..].to_owned();
            self.tell(more, None);
        }
        self.end_with(finish);
    }

    fn end_with(&mut self, finish: Finish) {
        self.is_over = true;
        let (text, tokens, retracted) = (self.told.clone(), self.units.len() as u32, self.retracted);
        let event: Value = json!({"type": "done", "text": text});
        self.pending.push_back(Told::Done { finish, text, tokens, retracted, event });
    }
}

/// The log-probability of a unit, wherever it stands.
pub fn logprob(unit: u32) -> f32 {
    -0.3 - (unit % 7) as f32 * 0.31
}

fn piece(index: u32, unit: u32, alternatives: usize, members: bool) -> Piece {
    // The unit itself is the best one, the second, the third, or not among them.
    let place = (unit % 4) as usize;
    let alternative = |rank: usize| {
        let unit = if rank == place { unit } else { (unit + 1 + rank as u32) % 256 };
        let logprob = if rank == place { logprob(unit) } else { -0.2 - rank as f32 };
        Alternative { units: vec![unit], bytes: bytes_of(unit), logprob }
    };
    let list: Vec<Alternative> = (0..alternatives.min(3)).map(alternative).collect();
    let members = if members { vec![list.clone(), list.clone()] } else { Vec::new() };
    Piece { index, units: vec![unit], bytes: bytes_of(unit), logprob: logprob(unit), alternatives: list, members }
}
