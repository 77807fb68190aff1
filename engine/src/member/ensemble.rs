//! Models and members together: what all texts need of a model goes into one batch, and models decode side by side or in
//! turn.

use super::model::{Model, Sequence, Work};
use super::reader::Reader;
use super::remote::Link;
use super::schedule::{Schedule, Tuner};
use super::worker::{Job, Outcome, Worker, serve_guarded};
use super::{MemberError, Text, Token, Unit, Vocabulary};
use crate::fuse;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One of those that decode a text: a model with a prompt of its own. Several may have one model.
pub struct Member {
    /// Unique in the ensemble.
    pub name: String,
    /// Which of the models computes for it.
    pub model: usize,
    /// Makes the member's view of a text whose place in the model is the given sequence.
    pub reader: Box<dyn Fn(Sequence) -> Box<dyn Reader> + Send>,
}

/// Which members get on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// All of them.
    All,
    /// One, before the others.
    Member(usize),
}

/// All that decodes.
pub struct Ensemble {
    models: Vec<Option<Box<dyn Model>>>,
    members: Vec<Member>,
    vocabulary: Arc<Vocabulary>,
    workers: Vec<Worker>,
    tuner: Tuner,
    /// CPU threads of each model as last set.
    threads: Vec<usize>,
    /// Since the last report to the tuner.
    time: Duration,
    /// All members but the first follow it.
    is_led: bool,
    /// The last of `members` is none: it proposes what is likely to come.
    has_drafter: bool,
}

/// How many of the leader's best units followers are asked about.
const CANDIDATES: usize = 8;

/// The leader decides alone where its favourite has this probability.
const SURE: f32 = 0.9;

impl Ensemble {
    /// Members that share `vocabulary` over `models`, on `threads` threads in all.
    pub fn new(models: Vec<Box<dyn Model>>, members: Vec<Member>, vocabulary: Arc<Vocabulary>, threads: usize) -> Self {
        // Who computes elsewhere does so while the others decode, whatever their schedule.
        let here: Vec<usize> = (0..models.len()).filter(|&index| models[index].link().is_none()).collect();
        let costs: Vec<u64> = here.iter().map(|&index| models[index].cost()).collect();
        // The first one also reads the first prompt: side by side does it as fast, and needs nobody to wait at a barrier.
        let mut candidates = Vec::new();
        if here.len() > 1 && threads > 1 {
            candidates.push(Schedule::side_by_side(&costs, threads).of(&here));
        }
        candidates.push(Schedule::in_turn(here.len(), threads).of(&here));
        if threads > 1 && !here.is_empty() {
            // For small models, and where another program has the other cores.
            candidates.push(Schedule::in_turn(here.len(), 1).of(&here));
        }
        Self {
            threads: vec![0; models.len()],
            time: Duration::ZERO,
            // The first model of a group runs on the loop's own thread.
            workers: if here.len() < models.len() || candidates.iter().any(Schedule::is_parallel) {
                (0..models.len()).map(Worker::new).collect()
            } else {
                Vec::new()
            },
            models: models.into_iter().map(Some).collect(),
            members,
            vocabulary,
            tuner: Tuner::new(candidates),
            is_led: false,
            has_drafter: false,
        }
    }

    /// With one more model, which has no say: the last of the members that it was made of.
    pub(super) fn with_drafter(self) -> Self {
        Self { has_drafter: true, ..self }
    }

    /// The first member leads, and the others are consulted now and then.
    pub(super) fn led(self) -> Self {
        Self { is_led: true, ..self }
    }

    /// A text. `None` when a model has no place for another.
    pub fn open(&mut self) -> Option<Text> {
        let Self { models, members, .. } = self;
        let open = |member: &Member| {
            let sequence = models[member.model].as_mut()?.open()?;
            Some((member.reader)(sequence))
        };
        let readers = members.iter().map(open).collect::<Option<Vec<_>>>()?;
        let text = Text::new(readers, self.count());
        Some(text.with_links(self.links().cloned()))
    }

    /// The servers that compute for members.
    pub fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.models.iter().flatten().filter_map(|model| model.link())
    }

    /// How many members.
    pub fn count(&self) -> usize {
        self.members.len() - usize::from(self.has_drafter)
    }

    /// The number of the model that proposes and has no say, behind the members.
    pub fn drafter(&self) -> Option<usize> {
        self.has_drafter.then(|| self.count())
    }

    /// Which model computes for a member.
    pub fn model_of(&self, member: usize) -> usize {
        self.members[member].model
    }

    /// Whether rows of units that may not come can be asked for: not of followers, who answer for one place at a time, and
    /// recurrent models go back from there by reading again.
    pub fn can_read_ahead(&self) -> bool {
        !self.is_led && self.models.iter().flatten().all(|model| !model.is_recurrent())
    }

    /// Why nothing is read ahead, as a sentence for a person who asked for a drafter; `None` where it works.
    pub fn why_nothing_is_read_ahead(&self) -> Option<String> {
        if self.is_led {
            return Some(
                "nothing is read ahead with `--align boundary`: the models that follow are asked where they are".into(),
            );
        }
        let is_recurrent =
            |member: &&Member| self.models[member.model].as_ref().is_some_and(|model| model.is_recurrent());
        let Member { name, .. } = self.members.iter().find(is_recurrent)?;
        Some(format!("nothing is read ahead: to go back from a wrong guess `{name}`, a recurrent model, reads again"))
    }

    /// What the units are.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the units are, to keep beyond the ensemble.
    pub fn shared_vocabulary(&self) -> Arc<Vocabulary> {
        Arc::clone(&self.vocabulary)
    }

    /// Every member's name.
    pub fn names(&self) -> Vec<String> {
        self.members[..self.count()].iter().map(|member| member.name.clone()).collect()
    }

    /// The schedule in force.
    pub fn schedule(&self) -> &Schedule {
        self.tuner.schedule()
    }

    /// Whether the schedule was chosen by now.
    pub fn is_settled(&self) -> bool {
        self.tuner.is_settled()
    }

    /// Uses this schedule from now on.
    pub fn fix_schedule(&mut self, schedule: Schedule) {
        self.tuner = Tuner::new(vec![schedule]);
        if self.workers.is_empty() && self.tuner.schedule().is_parallel() {
            self.workers = (0..self.models.len()).map(Worker::new).collect();
        }
    }

    /// What a token costs each model, in relation.
    pub fn costs(&self) -> Vec<u64> {
        self.models.iter().flatten().map(|model| model.cost()).collect()
    }

    /// What each model has done so far.
    pub fn work(&self) -> Vec<Work> {
        self.models.iter().flatten().map(|model| model.work()).collect()
    }

    /// Batches of each model so far.
    pub fn batches(&self) -> Vec<u64> {
        self.work().iter().map(|work| work.batches).collect()
    }

    /// Decodes until every text has the rows that are wanted of it: true. Where texts have long prompts to read and others
    /// do not wait for that, false: call again. A text that fails stands where it stood.
    pub fn advance(&mut self, texts: &mut [&mut Text], who: Who) -> Vec<Result<bool, MemberError>> {
        let start = Instant::now();
        let mut outcomes = vec![Ok(true); texts.len()];
        self.run(texts, who, &mut outcomes);
        if self.is_led && who == Who::All {
            self.consult(texts, &mut outcomes);
        }
        self.time += start.elapsed();
        if who == Who::All {
            self.report();
            self.miss(texts, &mut outcomes);
        }
        for (text, outcome) in texts.iter_mut().zip(&outcomes) {
            match outcome {
                Ok(true) if who == Who::All => text.stood = text.len(),
                Ok(_) => {}
                Err(_) => text.rewind(text.stood),
            }
        }
        outcomes
    }

    /// Notes who is away, and where nobody is left.
    fn miss(&mut self, texts: &[&mut Text], outcomes: &mut [Result<bool, MemberError>]) {
        if self.links().next().is_none() {
            return;
        }
        for (text, outcome) in texts.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Ok(true)) {
            let len = text.len();
            for (reader, member) in text.readers().zip(&self.members).filter(|(reader, _)| reader.is_away()) {
                if let Some(link) = self.models[member.model].as_ref().and_then(|model| model.link()) {
                    (text.stood.min(len)..=len).for_each(|place| {
                        if reader.row(place).is_some_and(|row| row.abstains) {
                            link.miss(place);
                        }
                    });
                }
            }
            let has_a_say =
                |place: usize| text.readers().any(|reader| reader.row(place).is_none_or(|row| !row.abstains));
            let away = || text.readers().find(|reader| reader.is_away()).map(|reader| reader.name().to_string());
            if let Some(away) = (text.stood.min(len)..=len).find(|&place| !has_a_say(place)).and_then(|_| away()) {
                *outcome = Err(MemberError::AllAway(away));
            }
        }
    }

    /// Tells the tuner how long a step took, with what was read ahead for it.
    fn report(&mut self) {
        let time = std::mem::take(&mut self.time);
        let models = self.models.len();
        let spent: Option<Vec<f32>> = self.models.iter_mut().flatten().map(|model| model.take_spent()).collect();
        // Of what is not read at once nobody knows how long it should take.
        if let Some(spent) = spent {
            self.tuner.report(time, spent.iter().sum::<f32>() / models.max(1) as f32);
        }
    }

    /// [`Ensemble::advance`] for one text, to the end.
    pub fn advance_one(&mut self, text: &mut Text) -> Result<(), MemberError> {
        self.advance(&mut [text], Who::All).into_iter().try_for_each(|outcome| outcome.map(|_| ()))
    }

    /// Asks the followers where a word begins and the leader is unsure of it.
    fn consult(&mut self, texts: &mut [&mut Text], outcomes: &mut [Result<bool, MemberError>]) {
        let mut asked = false;
        for (text, outcome) in texts.iter_mut().zip(outcomes.iter()) {
            let len = text.len();
            let Some(row) = text.row(0, len).filter(|row| *outcome == Ok(true) && !row.abstains) else { continue };
            let fuse::RowStatistics { top_unit, top_probability, .. } = row.statistics;
            // The end of the text has no bytes, and is one of the places where all meet.
            let first = self.vocabulary.bytes(top_unit).first();
            if top_probability >= SURE || first.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80) {
                continue;
            }
            let best: Vec<Unit> = fuse::top(&row.logits, CANDIDATES).into_iter().map(|(unit, _)| unit).collect();
            let leader = Arc::new(row.clone());
            let members = text.members;
            text.readers_mut().take(members).skip(1).for_each(|reader| reader.consult(&leader, &best));
            asked = true;
        }
        if asked {
            self.run(texts, Who::All, outcomes);
        }
    }

    /// Runs the models by the schedule in force.
    fn run(&mut self, texts: &mut [&mut Text], who: Who, outcomes: &mut [Result<bool, MemberError>]) {
        let mut jobs: Vec<Vec<Job>> = self.models.iter().map(|_| Vec::new()).collect();
        for (member, Member { model, .. }) in self.members.iter().enumerate() {
            let is_asked = match who {
                Who::All => member < self.count(),
                Who::Member(one) => member == one,
            };
            if !is_asked {
                continue;
            }
            for (number, text) in texts.iter_mut().enumerate().filter(|(number, _)| outcomes[*number].is_ok()) {
                // Who proposed the text has its rows already, and needs no thread.
                if let Some(reader) = text.readers[member].as_mut().filter(|reader| reader.is_read())
                    && let Ok(None) = reader.need()
                {
                    continue;
                }
                if let Some(reader) = text.readers[member].take() {
                    jobs[*model].push(Job { text: number, member, reader, outcome: Outcome::Waits });
                }
            }
        }
        let mut done = |jobs: Vec<Job>| {
            for Job { text, member, reader, outcome } in jobs {
                texts[text].readers[member] = Some(reader);
                match outcome {
                    Outcome::Ready => {}
                    Outcome::Waits => outcomes[text] = outcomes[text].clone().map(|_| false),
                    Outcome::Failed(error) if outcomes[text].is_ok() => outcomes[text] = Err(error),
                    Outcome::Failed(_) => {}
                }
            }
        };
        let Self { models, workers, tuner, threads, .. } = self;
        let mut elsewhere = Vec::new();
        for (index, jobs) in jobs.iter_mut().enumerate().filter(|(_, jobs)| !jobs.is_empty()) {
            if let Some(worker) = workers.get_mut(index)
                && let Some(model) = models[index].take_if(|model| model.link().is_some())
            {
                worker.send(model, std::mem::take(jobs));
                elsewhere.push(index);
            }
        }
        for group in &tuner.schedule().groups {
            let mut first: Option<usize> = None;
            let mut sent = Vec::new();
            // Threads of those that have nothing to do go to the costliest of the others, which stands first.
            let mut spare: usize =
                group.iter().filter(|(index, _)| jobs[*index].is_empty()).map(|(_, threads)| threads).sum();
            for &(index, wanted) in group {
                if jobs[index].is_empty() {
                    continue;
                }
                let wanted = wanted + std::mem::take(&mut spare);
                if let (true, Some(model)) = (threads[index] != wanted, &mut models[index]) {
                    model.set_threads(wanted);
                    threads[index] = wanted;
                }
                if first.is_none() {
                    first = Some(index);
                } else if let (Some(worker), Some(model)) = (workers.get_mut(index), models[index].take()) {
                    worker.send(model, std::mem::take(&mut jobs[index]));
                    sent.push(index);
                }
            }
            if let Some((index, model)) = first.and_then(|index| models[index].as_mut().map(|model| (index, model))) {
                let mut own = std::mem::take(&mut jobs[index]);
                serve_guarded(&mut **model, &mut own);
                done(own);
            }
            for index in sent {
                let (model, jobs) = workers[index].receive();
                models[index] = Some(model);
                done(jobs);
            }
        }
        for index in elsewhere {
            let (model, jobs) = workers[index].receive();
            models[index] = Some(model);
            done(jobs);
        }
    }

    /// Every member of the schedule in force decodes one token, and makes no row: what the engine's own work is measured
    /// against. Afterwards only [`Text::prime`] makes sense.
    pub fn decode_only(&mut self, text: &mut Text, token: Token) -> Result<(), MemberError> {
        let scheduled = |model: usize| self.tuner.schedule().groups.iter().flatten().any(|&(index, _)| index == model);
        let away: Vec<Option<Box<dyn Reader>>> = (0..self.members.len())
            .map(|member| if scheduled(self.members[member].model) { None } else { text.readers[member].take() })
            .collect();
        text.readers_mut().for_each(|reader| reader.push_own(token));
        let mut outcomes = [Ok(true)];
        self.run(&mut [text], Who::All, &mut outcomes);
        for (place, reader) in text.readers.iter_mut().zip(away) {
            *place = place.take().or(reader);
        }
        let [outcome] = outcomes;
        outcome.map(|_| ())
    }

    /// The time in which all members decode a text in their own tokens, one token after the other.
    pub fn decode_own(&mut self, text: &mut Text, written: &str) -> Result<Duration, MemberError> {
        let mut time = Duration::ZERO;
        for member in 0..self.count() {
            let Some(reader) = &text.readers[member] else { continue };
            for token in reader.tokens_of(written)? {
                if let Some(reader) = &mut text.readers[member] {
                    reader.push_own(token);
                }
                let start = Instant::now();
                let mut outcomes = [Ok(true)];
                self.run(&mut [&mut *text], Who::Member(member), &mut outcomes);
                time += start.elapsed();
                let [outcome] = outcomes;
                outcome?;
            }
        }
        Ok(time)
    }
}
