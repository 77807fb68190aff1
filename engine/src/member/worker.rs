//! A model with what it has to do for texts, on a thread of its own while models decode side by side. It is handed over for
//! that and comes back, so that between two steps everything belongs to the loop and needs no lock.

use super::MemberError;
use super::model::{DecodeError, Model, Need, Output, Progress};
use super::reader::Reader;
use crate::panics::guarded;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// What a model does for one text.
pub(super) struct Job {
    /// The text and the member that it belongs to.
    pub text: usize,
    pub member: usize,
    pub reader: Box<dyn Reader>,
    pub outcome: Outcome,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Something is missing still.
    Waits,
    /// All that was wanted is there.
    Ready,
    Failed(MemberError),
}

/// Decodes what the texts need. Those that lack little get all of it; a long prompt gets on by one batch, unless it is alone.
pub(super) fn serve(model: &mut dyn Model, jobs: &mut [Job]) {
    while let Some(lone) = step(model, jobs, None) {
        for job in lone {
            step(model, jobs, Some(job));
        }
        let waits = jobs.iter().filter(|job| job.outcome == Outcome::Waits).count();
        if jobs.len() > 1 && waits > 0 && waits < jobs.len() && jobs.iter_mut().all(is_long_or_done) {
            break;
        }
    }
}

/// What a text that has more to read than this has to do with others waits for its turn.
const LONG: usize = 64;

fn is_long_or_done(job: &mut Job) -> bool {
    job.outcome != Outcome::Waits
        || matches!(job.reader.need(), Ok(Some(need)) if need.tokens.len().saturating_sub(need.agreed) > LONG)
}

/// One batch, for all jobs that wait or for one of them. `None` when there was nothing to do; otherwise the jobs that have to
/// be tried by themselves, because a batch of several failed.
fn step(model: &mut dyn Model, jobs: &mut [Job], only: Option<usize>) -> Option<Vec<usize>> {
    let mut needs: Vec<Need> = Vec::with_capacity(jobs.len());
    let mut whose = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter_mut().enumerate() {
        if job.outcome != Outcome::Waits || only.is_some_and(|only| only != index) {
            continue;
        }
        match job.reader.need() {
            Ok(Some(need)) => {
                needs.push(need);
                whose.push(index);
            }
            Ok(None) => job.outcome = Outcome::Ready,
            Err(error) => job.outcome = Outcome::Failed(error),
        }
    }
    if needs.is_empty() {
        return None;
    }
    let is_without_rows = needs.iter().all(|need| need.rows > need.tokens.len() && need.tails.is_empty());
    let (progress, outputs) = model.decode(&needs);
    drop(needs);
    if is_without_rows {
        model.finish();
    }
    for Output { need, place, index } in outputs {
        let job = &mut jobs[whose[need]];
        match model.logits(index) {
            Some(logits) => job.reader.absorb(place, logits),
            None => job.outcome = Outcome::Failed(failed(job.reader.name(), "llama.cpp gave no logits".into())),
        }
    }
    let mut lone = Vec::new();
    for (&index, Progress { read, outcome }) in whose.iter().zip(progress) {
        let job = &mut jobs[index];
        job.reader.progress(read);
        match outcome {
            Ok(()) => {}
            Err(DecodeError::Together) => lone.push(index),
            Err(DecodeError::Away) => {
                job.reader.abstain();
                job.outcome = Outcome::Ready;
            }
            Err(error) => job.outcome = Outcome::Failed(not_decoded(job.reader.name(), error)),
        }
    }
    Some(lone)
}

/// Decodes what one reader needs, by itself.
#[cfg(test)]
pub(super) fn serve_one(model: &mut dyn Model, reader: &mut dyn Reader) -> Result<(), MemberError> {
    while let Some(need) = reader.need()? {
        let (progress, outputs) = model.decode(&[need]);
        for Output { place, index, .. } in outputs {
            reader.absorb(place, model.logits(index).unwrap());
        }
        for Progress { read, outcome } in progress {
            reader.progress(read);
            outcome.map_err(|error| not_decoded(reader.name(), error))?;
        }
    }
    Ok(())
}

fn not_decoded(member: &str, error: DecodeError) -> MemberError {
    match error {
        DecodeError::Full => MemberError::Full(member.into()),
        DecodeError::Interrupted => MemberError::Interrupted(member.into()),
        DecodeError::Fatal(status) => failed(member, format!("llama.cpp's status is {status}")),
        DecodeError::Lost => {
            failed(member, "its file became shorter while it was in use; start again when the file is whole".into())
        }
        DecodeError::Together => failed(member, "a batch failed".into()),
        DecodeError::Away => failed(member, "its server is away".into()),
    }
}

fn failed(member: &str, why: String) -> MemberError {
    MemberError::Decode { member: member.into(), why }
}

/// A model that panics has failed; the texts do not go with it.
pub(super) fn serve_guarded(model: &mut dyn Model, jobs: &mut [Job]) {
    if let Err(panic) = guarded(|| serve(model, jobs)) {
        for job in jobs.iter_mut().filter(|job| job.outcome == Outcome::Waits) {
            job.outcome = Outcome::Failed(failed(job.reader.name(), format!("it panicked: {panic}")));
        }
    }
}

/// How long a thread watches for news before it sleeps. Waking one costs 50 µs and more; between two steps the loop needs
/// 150 µs with a vocabulary of 32,000. With a larger one threads sleep, and a step is so long that waking does not count.
const WATCH: Duration = Duration::from_micros(250);

/// A model's thread.
pub(super) struct Worker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where a model is handed over.
struct Desk {
    state: AtomicU32,
    parcel: Mutex<Option<Parcel>>,
}

struct Parcel {
    model: Box<dyn Model>,
    jobs: Vec<Job>,
    sender: Thread,
}

const IDLE: u32 = 0;
const SENT: u32 = 1;
const DONE: u32 = 2;
const CLOSED: u32 = 3;

impl Desk {
    /// Waits until the state is one of two: first watching, then asleep.
    fn wait(&self, one: u32, other: u32) -> u32 {
        let start = Instant::now();
        loop {
            let state = self.state.load(Ordering::Acquire);
            if state == one || state == other {
                return state;
            }
            if start.elapsed() < WATCH {
                std::hint::spin_loop();
            } else {
                std::thread::park();
            }
        }
    }

    fn parcel(&self) -> std::sync::MutexGuard<'_, Option<Parcel>> {
        self.parcel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    pub fn new(number: usize) -> Self {
        let desk = Arc::new(Desk { state: AtomicU32::new(IDLE), parcel: Mutex::new(None) });
        let own = desk.clone();
        let work = move || {
            while own.wait(SENT, CLOSED) == SENT {
                let mut guard = own.parcel();
                let Some(Parcel { model, jobs, sender }) = guard.as_mut() else { continue };
                serve_guarded(&mut **model, jobs);
                let sender = sender.clone();
                drop(guard);
                own.state.store(DONE, Ordering::Release);
                sender.unpark();
            }
        };
        // Without a thread the model is run by `send` itself.
        let thread = std::thread::Builder::new().name(format!("model {number}")).spawn(work).ok();
        Self { desk, thread }
    }

    pub fn send(&mut self, mut model: Box<dyn Model>, mut jobs: Vec<Job>) {
        let sender = std::thread::current();
        let Some(thread) = &self.thread else {
            serve_guarded(&mut *model, &mut jobs);
            *self.desk.parcel() = Some(Parcel { model, jobs, sender });
            self.desk.state.store(DONE, Ordering::Release);
            return;
        };
        *self.desk.parcel() = Some(Parcel { model, jobs, sender });
        self.desk.state.store(SENT, Ordering::Release);
        thread.thread().unpark();
    }

    /// Only after `send`.
    pub fn receive(&mut self) -> (Box<dyn Model>, Vec<Job>) {
        loop {
            self.desk.wait(DONE, DONE);
            if let Some(Parcel { model, jobs, .. }) = self.desk.parcel().take() {
                self.desk.state.store(IDLE, Ordering::Release);
                return (model, jobs);
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.desk.state.store(CLOSED, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
