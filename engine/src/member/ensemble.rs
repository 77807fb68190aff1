//! All members together. Each has a thread of its own for the steps in which they decode side by side; a step hands the
//! members over and takes them back, so that between steps everything belongs to the loop and needs no lock.

use super::schedule::{Schedule, Tuner};
use super::{Member, MemberError, MemberRow, Primed, Unit, Vocabulary};
use crate::fuse;
use crate::panics::guarded;
use crate::settings::Prompt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// What members are asked to do.
#[derive(Clone)]
enum Command {
    Prime(Arc<Prompt>),
    Extend(Unit),
    Rewind(usize),
    Consult(Arc<MemberRow>, Arc<[Unit]>),
    DecodeOnly(Unit),
}

impl Command {
    /// A member that panics has failed; the text does not go with it.
    fn run(&self, member: &mut dyn Member) -> Result<Primed, MemberError> {
        guarded(|| self.run_unguarded(member)).unwrap_or_else(|panic| {
            Err(MemberError::Decode { member: member.name().to_string(), why: format!("it panicked: {panic}") })
        })
    }

    fn run_unguarded(&self, member: &mut dyn Member) -> Result<Primed, MemberError> {
        match self {
            Self::Prime(prompt) => member.prime(prompt),
            Self::Extend(unit) => member.extend(&[*unit]).map(|()| Primed::default()),
            Self::DecodeOnly(unit) => member.decode_only(*unit).map(|()| Primed::default()),
            Self::Consult(leader, candidates) => member.consult(leader, candidates).map(|()| Primed::default()),
            Self::Rewind(len) => member.rewind(*len).map(|()| Primed::default()),
        }
    }
}

/// The members of one text.
pub struct Ensemble {
    members: Vec<Option<Box<dyn Member>>>,
    vocabulary: Arc<Vocabulary>,
    workers: Vec<Worker>,
    tuner: Tuner,
    /// Threads as last set, by member.
    threads: Vec<usize>,
    outcomes: Vec<Result<Primed, MemberError>>,
    /// All members but the first are [`super::follower::Follower`]s.
    has_followers: bool,
}

/// How many of the leader's best units followers are asked about.
const CANDIDATES: usize = 8;

/// The leader decides alone where its favourite has this probability.
const SURE: f32 = 0.9;

impl Ensemble {
    /// Members that share `vocabulary`, on `threads` threads in all.
    pub fn new(members: Vec<Box<dyn Member>>, vocabulary: Arc<Vocabulary>, threads: usize) -> Self {
        let costs: Vec<u64> = members.iter().map(|member| member.cost()).collect();
        // The first one also reads the first prompt: side by side does it as fast, and needs nobody to wait at a barrier.
        let mut candidates = Vec::new();
        if members.len() > 1 && threads > 1 {
            candidates.push(Schedule::side_by_side(&costs, threads));
        }
        candidates.push(Schedule::in_turn(members.len(), threads));
        if threads > 1 {
            // For small models, and where another program has the other cores.
            candidates.push(Schedule::in_turn(members.len(), 1));
        }
        Self::with_schedules(members, vocabulary, candidates)
    }

    /// As [`Ensemble::new`], with the schedules to choose from.
    pub fn with_schedules(
        members: Vec<Box<dyn Member>>,
        vocabulary: Arc<Vocabulary>,
        schedules: Vec<Schedule>,
    ) -> Self {
        let parallel = schedules.iter().any(Schedule::is_parallel);
        Self {
            threads: vec![0; members.len()],
            // The first member of a group runs on the loop's own thread.
            workers: if parallel {
                members.iter().map(|member| Worker::new(member.name())).collect()
            } else {
                Vec::new()
            },
            outcomes: Vec::with_capacity(members.len()),
            members: members.into_iter().map(Some).collect(),
            vocabulary,
            tuner: Tuner::new(schedules),
            has_followers: false,
        }
    }

    /// The first member leads, and the others are consulted now and then.
    pub(super) fn led(self) -> Self {
        Self { has_followers: true, ..self }
    }

    /// Asks the followers where a word begins and the leader is unsure of it.
    fn consult(&mut self) -> Result<(), MemberError> {
        let Some(row) = self.rows().next().filter(|_| self.has_followers) else { return Ok(()) };
        let fuse::RowStatistics { top_unit, top_probability, .. } = row.statistics;
        // The end of the text has no bytes, and is one of the places where all meet.
        let first = self.vocabulary.bytes(top_unit).first();
        if top_probability >= SURE || first.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80) {
            return Ok(());
        }
        let best = fuse::top(&row.logits, CANDIDATES);
        let (leader, best) = (Arc::new(row.clone()), best.into_iter().map(|(unit, _)| unit).collect());
        self.run(&Command::Consult(leader, best))
    }

    /// How many members.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// What the units are.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The same, to keep.
    pub fn shared_vocabulary(&self) -> Arc<Vocabulary> {
        Arc::clone(&self.vocabulary)
    }

    fn iter(&self) -> impl Iterator<Item = &dyn Member> {
        // A member is away only while `run` is at work, which holds `&mut self`.
        self.members.iter().flatten().map(|member| &**member)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Member>> {
        self.members.iter_mut().flatten()
    }

    /// Every member's name.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(|member| member.name().to_string()).collect()
    }

    /// Every member's row for the next unit.
    pub fn rows(&self) -> impl Iterator<Item = &MemberRow> {
        self.iter().map(Member::row)
    }

    /// How many more units fit into every member.
    pub fn room(&self) -> usize {
        self.iter().map(Member::room).min().unwrap_or(0)
    }

    /// How many units of the reply are decoded.
    pub fn len(&self) -> usize {
        self.iter().map(Member::len).min().unwrap_or(0)
    }

    /// True at the start of a reply.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The schedule in force.
    pub fn schedule(&self) -> &Schedule {
        self.tuner.schedule()
    }

    /// Whether the schedule was chosen by now.
    pub fn is_settled(&self) -> bool {
        self.tuner.is_settled()
    }

    /// Keeps to one schedule from now on.
    pub fn fix_schedule(&mut self, schedule: Schedule) {
        if schedule.is_parallel() && self.workers.is_empty() {
            self.workers = self.iter().map(|member| Worker::new(member.name())).collect();
        }
        self.tuner = Tuner::new(vec![schedule]);
    }

    /// Every member decodes `unit` and makes no row; for measurements.
    pub fn decode_only(&mut self, unit: Unit) -> Result<(), MemberError> {
        self.run(&Command::DecodeOnly(unit))
    }

    /// Every member decodes a text in its own tokens and makes no row, one after the other; how long that took. For
    /// measurements, after [`Ensemble::prime`].
    pub fn decode_own(&mut self, text: &str) -> Result<Duration, MemberError> {
        let mut time = Duration::ZERO;
        for member in self.iter_mut() {
            let tokens = member.tokens_of(text)?;
            let start = Instant::now();
            for token in tokens {
                member.decode_only(token)?;
            }
            time += start.elapsed();
        }
        Ok(time)
    }

    /// In how many ways a member of another vocabulary may read the text, from the next prompt on.
    pub fn set_heads(&mut self, heads: usize) {
        self.iter_mut().for_each(|member| member.set_heads(heads));
    }

    /// What a step costs each member, in relation.
    pub fn costs(&self) -> Vec<u64> {
        self.iter().map(Member::cost).collect()
    }

    /// Every member reads the prompt.
    pub fn prime(&mut self, prompt: &Prompt) -> Result<Vec<Primed>, MemberError> {
        self.run(&Command::Prime(Arc::new(prompt.clone())))?;
        let primed = self.outcomes.drain(..).collect();
        self.consult()?;
        primed
    }

    /// Every member decodes `unit`. When one fails, the others go back to where all stand.
    pub fn extend(&mut self, unit: Unit) -> Result<(), MemberError> {
        let before = self.len();
        let start = Instant::now();
        let outcome = self.run(&Command::Extend(unit)).and_then(|()| self.consult());
        self.tuner.report(start.elapsed());
        if outcome.is_err() {
            for member in self.iter_mut() {
                if member.len() > before {
                    let _ = member.rewind(before);
                }
            }
        }
        outcome
    }

    /// Every member goes back to `len` decoded units, or none: all are asked before the first one moves.
    pub fn rewind(&mut self, len: usize) -> Result<(), MemberError> {
        for member in self.iter() {
            member.can_rewind(len)?;
        }
        self.run(&Command::Rewind(len))?;
        self.consult()
    }

    /// The reply is over and is exactly these units with this text.
    pub fn adopt(&mut self, units: &[Unit], text: &str) {
        for member in self.iter_mut() {
            member.adopt(units, text);
        }
    }

    /// Runs a command in all members by the schedule in force; the first error in the members' order.
    fn run(&mut self, command: &Command) -> Result<(), MemberError> {
        let Self { members, workers, tuner, threads, outcomes, .. } = self;
        outcomes.clear();
        outcomes.resize(members.len(), Ok(Primed::default()));
        for group in &tuner.schedule().groups {
            for &(index, wanted) in group {
                if threads[index] != wanted {
                    if let Some(member) = &mut members[index] {
                        member.set_threads(wanted);
                    }
                    threads[index] = wanted;
                }
            }
            for &(index, _) in &group[1..] {
                if let Some(member) = members[index].take() {
                    workers[index].send(member, command.clone());
                }
            }
            if let Some(member) = &mut members[group[0].0] {
                outcomes[group[0].0] = command.run(&mut **member);
            }
            for &(index, _) in &group[1..] {
                let (member, outcome) = workers[index].receive();
                members[index] = Some(member);
                outcomes[index] = outcome;
            }
        }
        match outcomes.iter().find_map(|outcome| outcome.as_ref().err()) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// How long a thread watches for news before it sleeps. Waking one costs 50 µs and more; between two steps the loop needs
/// 150 µs with a vocabulary of 32,000. With a larger one threads sleep, and a step is so long that waking does not count.
const WATCH: Duration = Duration::from_micros(250);

/// A member's thread.
struct Worker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where a member is handed over.
struct Desk {
    state: AtomicU32,
    parcel: Mutex<Option<Parcel>>,
}

struct Parcel {
    member: Box<dyn Member>,
    command: Command,
    outcome: Result<Primed, MemberError>,
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
    fn new(name: &str) -> Self {
        let desk = Arc::new(Desk { state: AtomicU32::new(IDLE), parcel: Mutex::new(None) });
        let own = desk.clone();
        let work = move || {
            while own.wait(SENT, CLOSED) == SENT {
                let mut guard = own.parcel();
                let Some(parcel) = guard.as_mut() else { continue };
                let Parcel { member, command, outcome, sender } = parcel;
                *outcome = command.run(&mut **member);
                let sender = sender.clone();
                drop(guard);
                own.state.store(DONE, Ordering::Release);
                sender.unpark();
            }
        };
        // Without a thread the member is run by `send` itself.
        let thread = std::thread::Builder::new().name(format!("member {name}")).spawn(work).ok();
        Self { desk, thread }
    }

    fn send(&mut self, mut member: Box<dyn Member>, command: Command) {
        let sender = std::thread::current();
        let Some(thread) = &self.thread else {
            let outcome = command.run(&mut *member);
            *self.desk.parcel() = Some(Parcel { member, command, outcome, sender });
            self.desk.state.store(DONE, Ordering::Release);
            return;
        };
        *self.desk.parcel() = Some(Parcel { member, command, outcome: Ok(Primed::default()), sender });
        self.desk.state.store(SENT, Ordering::Release);
        thread.thread().unpark();
    }

    /// Only after `send`.
    fn receive(&mut self) -> (Box<dyn Member>, Result<Primed, MemberError>) {
        loop {
            self.desk.wait(DONE, DONE);
            if let Some(parcel) = self.desk.parcel().take() {
                self.desk.state.store(IDLE, Ordering::Release);
                return (parcel.member, parcel.outcome);
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
