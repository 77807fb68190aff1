//! One reply, owned and advanced a step at a time. It decodes nothing: [`Session::prepare`] says what it needs,
//! [`Session::step`] goes on once that is there. [`super::Scheduler`] is who decodes, for one session or for many.

mod judge;
mod spell;
mod tell;

use super::draft::{Costs, Drafter, Drafts, Plan};
use super::fusion::{Fusion, Members};
use super::parameters::Adapted;
use super::record::Record;
use super::shape::{Form, Shape};
use super::shift;
use super::transcript::Transcript;
use crate::events::{EndReason, Event};
use crate::fuse::Shortlist;
use crate::hooks::chain::Chain;
use crate::member::reader::{LEAST_ROWS, Wanted};
use crate::member::sampler::{Sampler, Truncation};
use crate::member::{MemberError, Text, Unit, Vocabulary};
use crate::reply::{Reply, Timings};
use crate::settings::{Drafting, Prompt};
use plugin_api::Parameters;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub(super) use judge::{candidate, likeliest_but, member_probabilities};
use spell::{Piece, Word};

/// Bounds of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest reply, in units that stand.
    pub n_predict: u32,
    /// How many of the newest units can be taken back.
    pub horizon: u32,
    /// Retractions, over all policies.
    pub max_retractions: u32,
}

/// What a reply is made from.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// The base sampling parameters.
    pub parameters: Parameters,
    /// Bounds.
    pub limits: Limits,
    /// Of the random draws.
    pub seed: u64,
    /// Texts that end a reply, beside those of the prompt's form.
    pub stop: Vec<String>,
    /// Whether to drop old text when the context is full.
    pub context_shift: bool,
    /// What is read ahead.
    pub draft: Drafting,
    /// What the reply has to be like.
    pub shape: Shape,
}

/// What a reply came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its text and all else there is to keep.
    pub reply: Reply,
    /// The units that stand.
    pub units: Vec<Unit>,
}

/// What an ensemble gives a session, and gets back from it.
pub struct Parts {
    /// The text in all members.
    pub text: Text,
    /// What hangs on the loop.
    pub chain: Chain,
}

/// What all sessions share: buffers that hold nothing from one step to the next.
pub struct Workspace {
    pub(super) fusion: Fusion,
    pub(super) shortlist: Shortlist,
    pub(super) sampler: Sampler,
    /// Where units are bytes: the fused row as probabilities, and what cuts off candidates.
    pub(super) fused: Vec<f32>,
    pub(super) truncation: Truncation,
}

impl Workspace {
    /// For units of this vocabulary.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Self {
            fusion: Fusion::default(),
            shortlist: Shortlist::new(),
            sampler: Sampler::new(vocabulary),
            fused: Vec::new(),
            truncation: Truncation::new(),
        }
    }
}

/// Why a reply is over, or that it goes on.
pub(super) type Flow = std::ops::ControlFlow<EndReason>;

/// Hears events.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&Event);

/// The state of one reply.
pub struct Session {
    text: Text,
    chain: Chain,
    members: Arc<Members>,
    vocabulary: Arc<Vocabulary>,
    request: Request,
    prompt: Prompt,
    interrupted: Arc<AtomicBool>,
    transcript: Transcript,
    /// Where units are bytes: the piece that is being written, and the word at the end of each that stands.
    piece: Piece,
    words: Vec<Word>,
    drafts: Drafts,
    form: Form,
    parameters: Adapted,
    record: Record,
    retractions: u32,
    dropped_messages: usize,
    budget_told: bool,
    /// What members leave out of the prompt, to be told at its start.
    unread: Vec<String>,
    /// The parameters as the observer last heard of them.
    told: Parameters,
    timings: Timings,
    began: Instant,
    phase: Phase,
}

/// How far a reply has come.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// The prompt is being read.
    Reading,
    Writing,
    /// Over, before the prompt was read or after.
    Over {
        reason: EndReason,
        was_read: bool,
    },
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It goes on.
    Goes,
    /// The reply is over: take it with [`Session::finish`].
    Over,
    /// The prompt could not be read.
    Unreadable(MemberError),
}

impl Session {
    /// A reply to be written. An error means that the prompt cannot be read; the parts come back with it.
    pub fn begin(
        parts: Parts,
        members: Arc<Members>,
        vocabulary: Arc<Vocabulary>,
        mut request: Request,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Self, Box<(Parts, MemberError)>> {
        let began = Instant::now();
        let Parts { mut text, chain } = parts;
        let mut prompt = request.prompt.clone();
        let form = Form::new(&mut request.shape);
        text.heed(&interrupted);
        let (primed, dropped_messages) = match shift::prime(&mut text, &mut prompt, request.context_shift) {
            Ok(primed) => primed,
            Err(error) => return Err(Box::new((Parts { text, chain }, error))),
        };
        let mut timings = Timings::default();
        if let Some(first) = primed.first() {
            (timings.prompt_tokens, timings.prompt_tokens_decoded) = (first.tokens as u32, first.decoded as u32);
        }
        let unread = members.names.iter().zip(&primed).filter_map(|(name, primed)| Some((name, primed.left_out?)));
        let unread = unread.map(|(name, character)| {
            format!("`{name}` has no token for `{character}`: it reads the prompt without such characters, and has no say about them")
        });
        let unread = unread.collect();
        let mut stop = request.stop.clone();
        stop.extend(primed.into_iter().flat_map(|primed| primed.stop));
        Ok(Self {
            transcript: Transcript::new(members.names.len(), request.limits.n_predict as usize, stop),
            drafts: Drafts::new(request.draft),
            form,
            piece: Piece::new(Word::new(members.names.len())),
            words: Vec::new(),
            parameters: Adapted::new(request.parameters),
            told: request.parameters,
            text,
            chain,
            members,
            vocabulary,
            request,
            prompt,
            interrupted,
            record: Record::default(),
            retractions: 0,
            dropped_messages,
            budget_told: false,
            unread,
            timings,
            began,
            phase: Phase::Reading,
        })
    }

    /// What it needs decoded, and whether it needs anything: false once the reply is over.
    pub fn prepare(&mut self, out: Observer) -> bool {
        if self.phase == Phase::Writing
            && self.drafts.is_empty()
            && let Break(reason) = self.before_step(out)
        {
            self.end(reason);
        }
        match self.phase {
            Phase::Over { .. } => false,
            Phase::Reading => true,
            Phase::Writing => {
                self.catch_up();
                true
            }
        }
    }

    /// The members are to decode what stands. Of the newest unit this is put off until its row is needed, so that a unit that
    /// is taken back at once, and the last of a reply, cost no forward pass.
    pub(super) fn catch_up(&mut self) {
        let seen = self.transcript.seen();
        self.text.rewind(seen.len());
        self.text.extend(&seen[self.text.len().min(seen.len())..], Wanted::Last);
    }

    /// What hangs on it.
    pub fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Tokens of the prompt, of the first member, and those of them that have to be decoded.
    pub fn prompt_tokens(&self) -> (u32, u32) {
        (self.timings.prompt_tokens, self.timings.prompt_tokens_decoded)
    }

    /// The text, for who decodes.
    pub fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    /// Takes the steps for which there are rows: one, and as many more as what was read ahead is what is written.
    pub fn step(&mut self, advanced: Result<bool, MemberError>, workspace: &mut Workspace, out: Observer) -> Progress {
        match advanced {
            Ok(true) => self.drafts.tally.rounds += 1,
            Ok(false) => {
                // A long text waits for its turn, and what was proposed is not read. It is proposed again when that is there.
                self.drafts.drop_all();
                return Progress::Goes;
            }
            Err(error) => return self.not_advanced(error, out),
        }
        if self.phase == Phase::Reading {
            self.prompt_is_read(out);
            if let Break(reason) = self.before_step(out) {
                self.end(reason);
                return Progress::Over;
            }
        }
        loop {
            if let Break(reason) = self.one_step(workspace, out) {
                self.end(reason);
                return Progress::Over;
            }
            if !self.drafts.follow(&self.transcript, &mut self.text) {
                return Progress::Goes;
            }
            if let Break(reason) = self.before_step(out) {
                self.end(reason);
                return Progress::Over;
            }
        }
    }

    /// What happens between two steps, whether or not something has to be decoded for the next.
    fn before_step(&mut self, out: Observer) -> Flow {
        self.reload(out);
        self.tell_notices(out);
        if self.interrupted.load(Ordering::Relaxed) {
            return Break(EndReason::Interrupted);
        }
        if self.transcript.len() as u32 >= self.request.limits.n_predict {
            return Break(EndReason::Length);
        }
        Continue(())
    }

    fn prompt_is_read(&mut self, out: Observer) {
        self.timings.prompt_ms = self.began.elapsed().as_secs_f64() * 1e3;
        self.began = Instant::now();
        self.phase = Phase::Writing;
        self.drafts.set_prompt(self.text.prompt());
        self.begin_piece();
        self.chain.reset();
        self.tell_init(out);
    }

    /// How far to read ahead, if at all. Where the prompt or the reply ends, drafts end.
    pub(super) fn plan_draft(&mut self, costs: &Costs) -> Option<Plan> {
        let left = (self.request.limits.n_predict as usize).saturating_sub(self.transcript.len() + 1);
        let most = left.min(self.text.room().saturating_sub(1));
        if self.phase != Phase::Writing || !self.drafts.is_empty() {
            return None;
        }
        if self.given(0).is_some() {
            return self.plan_given(most);
        }
        self.drafts.plan(&self.transcript, &self.vocabulary, costs, most)
    }

    /// What is given is read ahead, behind what stands and a part of a piece.
    fn plan_given(&self, most: usize) -> Option<Plan> {
        let known = self.transcript.open().len();
        let units = (0..).map_while(|ahead| self.given(ahead)).flatten().skip(known);
        // The row of the last one is for what comes next.
        let proposed: Vec<Unit> = units.copied().take(most.min(LEAST_ROWS - 2)).collect();
        (!proposed.is_empty()).then_some(Plan { by: Drafter::Given, units: proposed.len(), proposed })
    }

    /// The members are to decode these units behind what stands.
    pub(super) fn read_ahead(&mut self, by: Drafter, units: &[Unit]) {
        let start = self.transcript.seen().len();
        self.text.extend_behind(start, units, Wanted::All);
        self.drafts.begin(by, units, start);
    }

    /// One unit more, or some fewer.
    fn one_step(&mut self, workspace: &mut Workspace, out: Observer) -> Flow {
        let step = self.where_it_stands();
        let Some(rows) = self.text.rows(self.transcript.seen().len()) else {
            let error = MemberError::Decode { member: self.members.names[0].clone(), why: "a row is missing".into() };
            return self.fail(&error, out);
        };
        workspace.fusion.make(&rows, &self.vocabulary, &self.members, &mut self.chain, &step);
        if self.vocabulary.is_bytes() {
            return self.spell(workspace, out);
        }
        let unit = self.choose(workspace, out)?;
        let is_given = self.given(0).is_some();
        if unit == self.vocabulary.end() && !is_given {
            return Break(EndReason::End);
        }
        self.accept(unit, workspace, out)?;
        if is_given {
            return Continue(());
        }
        self.parameters.decay();
        self.assess(out)
    }

    fn not_advanced(&mut self, error: MemberError, out: Observer) -> Progress {
        self.drafts.drop_all();
        if self.phase == Phase::Reading {
            if !matches!(error, MemberError::Interrupted(_)) {
                return Progress::Unreadable(error);
            }
            // Nothing was written, which is a reply as well.
            self.chain.reset();
            self.tell_init(out);
            self.began = Instant::now();
            self.phase = Phase::Over { reason: EndReason::Interrupted, was_read: false };
            return Progress::Over;
        }
        let flow = match error {
            MemberError::Full(_) if self.request.context_shift => self.shift(out),
            MemberError::Full(_) => Break(EndReason::Context),
            error => self.fail(&error, out),
        };
        match flow {
            Continue(()) => Progress::Goes,
            Break(reason) => {
                self.end(reason);
                Progress::Over
            }
        }
    }

    fn shift(&mut self, out: Observer) -> Flow {
        let shifted = match shift::make_room(
            &mut self.text,
            &mut self.prompt,
            self.transcript.seen(),
            self.vocabulary.is_bytes(),
        ) {
            Ok(Some(shifted)) => shifted,
            Ok(None) => return Break(EndReason::Context),
            Err(error) => return self.fail(&error, out),
        };
        self.transcript.hidden += shifted.units;
        self.dropped_messages += shifted.messages;
        if shifted.messages > 0 {
            self.tell_dropped(out);
        }
        // Once a reply: a long one goes on in this way.
        if shifted.units > 0 && self.transcript.hidden == shifted.units {
            let text = format!(
                "the context is full: the first {} tokens of the reply are out of sight, and others will be",
                self.transcript.hidden_pieces()
            );
            out(&Event::Notice { text: text.into() });
        }
        Continue(())
    }

    fn fail(&mut self, error: &MemberError, out: Observer) -> Flow {
        if let MemberError::Interrupted(_) = error {
            return Break(EndReason::Interrupted);
        }
        out(&Event::Notice { text: format!("{error}; the text so far stands").into() });
        Break(EndReason::Failed)
    }

    /// The reply cannot go on, for a reason that is not its own.
    pub fn abandon(&mut self, why: &str, out: Observer) {
        out(&Event::Notice { text: format!("{why}; the text so far stands").into() });
        self.end(EndReason::Failed);
    }

    fn end(&mut self, reason: EndReason) {
        self.drafts.drop_all();
        self.phase = Phase::Over { reason, was_read: self.phase != Phase::Reading };
    }

    /// What it was made with, without a reply.
    pub fn into_parts(self) -> Parts {
        Parts { text: self.text, chain: self.chain }
    }

    /// The reply as it is when it is over, and what it was made with.
    pub fn finish(mut self, out: Observer) -> (Outcome, Parts) {
        let (reason, was_read) = match std::mem::replace(&mut self.phase, Phase::Reading) {
            Phase::Over { reason, was_read } => (reason, was_read),
            phase => (EndReason::Interrupted, phase == Phase::Writing),
        };
        self.timings.reply_ms = self.began.elapsed().as_secs_f64() * 1e3;
        self.transcript.drop_open();
        self.text.rewind(self.transcript.seen().len());
        let outcome = self.tell_end(reason, out);
        let raw: usize = outcome.units.iter().map(|&unit| self.vocabulary.bytes(unit).len()).sum();
        // Only when the text shown is exactly the units' bytes do later prompts continue where it ends; after a stop string
        // or in the middle of a character they are read anew, as far as their tokens differ.
        if raw == outcome.reply.text.len() && was_read {
            self.text.adopt(&outcome.units, &outcome.reply.text);
        }
        (outcome, Parts { text: self.text, chain: self.chain })
    }
}
