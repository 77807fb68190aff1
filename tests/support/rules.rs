//! A rule holds whoever decodes: for one reply, for eight at once, and where members read ahead. A reply of a test is
//! written in all these ways, which have to come to the same.

use crate::support::scripted::{Policy, Scripted, Seen, chain, ensemble};
use llama_selfmod::decode::{Decoder, Outcome, Parts, Progress, Request, Scheduler, Session};
use llama_selfmod::hooks::chain::{Chain, HookInfo};
use llama_selfmod::member::{Token, Unit};
use llama_selfmod::reply::{Drafts, Reply, Timings};
use llama_selfmod::settings::{DraftBy, Drafting};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

/// What the hooks of one text write down.
#[derive(Debug)]
pub struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Notes<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Notes<T> {
    pub fn add(&self, note: T) {
        self.0.lock().unwrap().push(note);
    }

    fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// What came of a reply, but for times.
#[derive(Debug, PartialEq)]
pub struct Ran<T> {
    pub units: Vec<Unit>,
    pub reply: Reply,
    pub seen: Vec<Seen>,
    /// Of the hooks.
    pub notes: Vec<T>,
    /// As they are afterwards.
    pub hooks: Vec<HookInfo>,
    /// The tokens that each member decoded, the prompt's too.
    pub decoded: Vec<Vec<Token>>,
}

impl<T> Ran<T> {
    fn of(outcome: Outcome, seen: Vec<Seen>, notes: &Notes<T>, chain: &Chain) -> Self {
        let Outcome { reply, units } = outcome;
        let (notes, decoded) = (notes.take(), Vec::new());
        Self { units, reply: Reply { timings: Timings::default(), ..reply }, seen, notes, hooks: chain.list(), decoded }
    }

    /// Without what reading ahead may change.
    fn text_alone(self) -> Self {
        let reply = Reply { drafts: Drafts::default(), ..self.reply };
        Self { reply, decoded: Vec::new(), ..self }
    }
}

/// How many texts are written at once.
const TEXTS: usize = 8;

/// A reply of members with these rules and of hooks that are made for each text. It is the same in all ways to write it.
pub fn rule<T: Debug + PartialEq>(
    members: impl Fn() -> Vec<Scripted>,
    policies: impl Fn(&Notes<T>) -> Vec<Policy>,
    request: &Request,
) -> Ran<T> {
    let [one] = alone(&members, &policies, request);
    for (number, of_many) in at_once(&members, &policies, request).into_iter().enumerate() {
        assert_eq!(of_many, one, "text {number} of {TEXTS}");
    }
    let mut written = Vec::new();
    for draft in drafts() {
        let request = Request { draft, ..request.clone() };
        written.extend(alone(&members, &policies, &request).map(|ran| (draft, ran)));
        written.extend(at_once(&members, &policies, &request).into_iter().map(|ran| (draft, ran)));
    }
    let decoded = one.decoded.clone();
    let one = one.text_alone();
    for (draft, ran) in written {
        assert_eq!(ran.text_alone(), one, "with {draft:?}");
    }
    Ran { decoded, ..one }
}

/// [`rule`] for hooks that write nothing down.
pub fn silent_rule(
    members: impl Fn() -> Vec<Scripted>,
    policies: impl Fn() -> Vec<Policy>,
    request: &Request,
) -> Ran<()> {
    rule(members, |_| policies(), request)
}

fn drafts() -> [Drafting; 3] {
    let fixed = |by, length| Drafting { by, length: Some(length), pretend: None };
    [fixed(DraftBy::Member(0), 3), fixed(DraftBy::Ngram, 7), Drafting { by: DraftBy::Member(0), ..Drafting::default() }]
}

fn alone<T>(
    members: impl Fn() -> Vec<Scripted>,
    policies: impl Fn(&Notes<T>) -> Vec<Policy>,
    request: &Request,
) -> [Ran<T>; 1] {
    let (notes, members) = (Notes(Arc::default()), members());
    let (decoded, weights) = (logs(&members), vec![1.0; members.len()]);
    let mut decoder = Decoder::new(ensemble(members, 1), chain(policies(&notes)), &weights);
    let (outcome, seen) = super::scripted::run(&mut decoder, request);
    let ran = Ran::of(outcome, seen, &notes, &decoder.chain);
    [Ran { decoded: decoded.iter().map(|log| of_text(log, 0)).collect(), ..ran }]
}

fn at_once<T>(
    members: impl Fn() -> Vec<Scripted>,
    policies: impl Fn(&Notes<T>) -> Vec<Policy>,
    request: &Request,
) -> Vec<Ran<T>> {
    let members = members();
    let (decoded, weights) = (logs(&members), vec![1.0; members.len()]);
    let mut scheduler = Scheduler::new(ensemble(members, TEXTS), &weights);
    let all_notes: Vec<Notes<T>> = (0..TEXTS).map(|_| Notes(Arc::default())).collect();
    let begin = |notes: &Notes<T>| {
        let text = scheduler.ensemble.open().unwrap();
        let parts = Parts { text, chain: chain(policies(notes)) };
        scheduler.begin(parts, request.clone(), Arc::default()).map_err(|refused| refused.1).unwrap()
    };
    let mut sessions: Vec<Session> = all_notes.iter().map(begin).collect();
    let mut seen: Vec<Vec<Seen>> = vec![Vec::new(); TEXTS];
    let mut going = true;
    while going {
        let mut all: Vec<&mut Session> = sessions.iter_mut().collect();
        let progress = scheduler.tick(&mut all, &mut |number, event| seen[number].extend(Seen::of(event)));
        going = progress.contains(&Progress::Goes);
    }
    let ended = sessions.into_iter().zip(seen).zip(&all_notes).enumerate();
    let ran = ended.map(|(number, ((session, mut seen), notes))| {
        let (outcome, parts) = session.finish(&mut |event| seen.extend(Seen::of(event)));
        let ran = Ran::of(outcome, seen, notes, &parts.chain);
        Ran { decoded: decoded.iter().map(|log| of_text(log, number)).collect(), ..ran }
    });
    ran.collect()
}

type Log = Arc<Mutex<Vec<(usize, Token)>>>;

fn logs(members: &[Scripted]) -> Vec<Log> {
    members.iter().map(|member| member.decoded.clone()).collect()
}

/// Doubles give their places in order.
fn of_text(log: &Log, number: usize) -> Vec<Token> {
    log.lock().unwrap().iter().filter(|(text, _)| *text == number).map(|&(_, token)| token).collect()
}
