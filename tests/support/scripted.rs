//! Members and hooks that do what a test says, for testing the loop's logic in milliseconds.
#![allow(dead_code, reason = "every test file uses a part of it")]

use crate::support::double::{Double, OneToken};
use llama_selfmod::decode::{Decoder, Limits, Outcome, Request};
use llama_selfmod::events::Event;
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::hooks::{Hook, HookError, Origin};
use llama_selfmod::member::ensemble::Member;
use llama_selfmod::member::model::Model;
use llama_selfmod::member::reader::{Plain, Reader};
use llama_selfmod::member::{Ensemble, Unit, Vocabulary};
use llama_selfmod::settings::{DraftBy, Drafting, Prompt};
use plugin_api::{Assessment, Parameters, Retraction, Role, Rows, Step, Token, Verdict};
use std::sync::{Arc, Mutex};

/// Unit 0 ends the text; then `a` to `h`, a newline, and the two bytes of `é` one by one.
pub const PIECES: [&[u8]; 12] = [b"", b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"\n", b"\xc3", b"\xa9"];

type Rule = Arc<dyn Fn(&[Unit]) -> Vec<f32> + Send + Sync>;

/// A member whose logits are a function of the units of the reply.
pub struct Scripted {
    name: String,
    rule: Rule,
    /// From this batch on it fails.
    pub fails_from: u64,
    /// The tokens that were decoded, with the numbers of their texts; those of prompts too.
    pub decoded: Arc<Mutex<Vec<(usize, llama_selfmod::member::Token)>>>,
}

impl Scripted {
    pub fn new(name: &str, rule: impl Fn(&[Unit]) -> Vec<f32> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), rule: Arc::new(rule), fails_from: u64::MAX, decoded: Arc::default() }
    }
}

/// Logits that prefer `unit` with `probability`, the rest spread evenly over the other letters.
pub fn prefer(unit: Unit, probability: f32) -> Vec<f32> {
    let mut row = vec![f32::NEG_INFINITY; PIECES.len()];
    let others = (1..9).filter(|&letter| letter != unit as usize).count();
    row[1..9].fill(((1.0 - probability) / others as f32).ln());
    row[unit as usize] = probability.ln();
    row
}

/// A rule that writes `abcdefgh` round and round, each letter with this probability.
pub fn alphabet(probability: f32) -> impl Fn(&[Unit]) -> Vec<f32> + Send + Sync {
    move |units| prefer(units.len() as Unit % 8 + 1, probability)
}

type OnAssessment = Box<dyn FnMut(&Step, &Assessment) -> Result<Verdict, HookError> + Send>;
type OnToken = Box<dyn FnMut(&Step, &Token) -> Result<Verdict, HookError> + Send>;
type OnLogits = Box<dyn FnMut(&Step, &Rows, &mut [f32]) -> Result<(), HookError> + Send>;
type OnRetract = Box<dyn FnMut(&Step, &Retraction) -> Result<(), HookError> + Send>;

/// A policy made of closures.
pub struct Policy {
    name: String,
    on_assessment: Option<OnAssessment>,
    on_token: Option<OnToken>,
    on_logits: Option<OnLogits>,
    on_retract: Option<OnRetract>,
}

impl Policy {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), on_assessment: None, on_token: None, on_logits: None, on_retract: None }
    }
    pub fn assess(mut self, f: impl FnMut(&Step, &Assessment) -> Result<Verdict, HookError> + Send + 'static) -> Self {
        self.on_assessment = Some(Box::new(f));
        self
    }
    pub fn token(mut self, f: impl FnMut(&Step, &Token) -> Result<Verdict, HookError> + Send + 'static) -> Self {
        self.on_token = Some(Box::new(f));
        self
    }
    pub fn logits(mut self, f: impl FnMut(&Step, &Rows, &mut [f32]) -> Result<(), HookError> + Send + 'static) -> Self {
        self.on_logits = Some(Box::new(f));
        self
    }
    pub fn retracted(mut self, f: impl FnMut(&Step, &Retraction) -> Result<(), HookError> + Send + 'static) -> Self {
        self.on_retract = Some(Box::new(f));
        self
    }
}

impl Hook for Policy {
    fn name(&self) -> &str {
        &self.name
    }
    fn role(&self) -> Role {
        Role::Policy
    }
    fn origin(&self) -> Origin {
        Origin::BuiltIn
    }
    fn describe(&self) -> (String, String) {
        ("1".into(), "a test's".into())
    }
    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        self.on_logits.as_mut().map_or(Ok(()), |f| f(step, rows, fused))
    }
    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        self.on_token.as_mut().map_or(Ok(Verdict::proceed()), |f| f(step, token))
    }
    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        self.on_assessment.as_mut().map_or(Ok(Verdict::proceed()), |f| f(step, assessment))
    }
    fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        self.on_retract.as_mut().map_or(Ok(()), |f| f(step, retraction))
    }
    fn edits_logits(&self) -> bool {
        self.on_logits.is_some()
    }
}

/// An ensemble over doubles, with places for `texts` texts.
pub fn ensemble(members: Vec<Scripted>, texts: usize) -> Ensemble {
    ensemble_of(members, texts, 4096)
}

/// The same, of which each text may have `context` tokens.
pub fn ensemble_of(members: Vec<Scripted>, texts: usize, context: usize) -> Ensemble {
    let vocabulary = Arc::new(Vocabulary::from_pieces(&PIECES, &[0]));
    let mut models: Vec<Box<dyn Model>> = Vec::new();
    let mut made = Vec::new();
    for (model, Scripted { name, rule, fails_from, decoded }) in members.into_iter().enumerate() {
        let mut double = Double::new(texts, 0, move |asked| rule(&asked.tokens[1..]));
        (double.decoded, double.fails_from) = (decoded, fails_from);
        models.push(Box::new(double));
        let (own, vocabulary) = (name.clone(), vocabulary.clone());
        let reader = move |sequence| -> Box<dyn Reader> {
            Box::new(Plain::new(own.clone(), vocabulary.clone(), Box::new(OneToken), sequence, context, 32))
        };
        made.push(Member { name, model, reader: Box::new(reader) });
    }
    Ensemble::new(models, made, vocabulary, 1)
}

/// A chain of these policies.
pub fn chain(policies: Vec<Policy>) -> Chain {
    let mut chain = Chain::default();
    for policy in policies {
        chain.add(Box::new(policy), true);
    }
    chain
}

/// A decoder over doubles.
pub fn decoder(members: Vec<Scripted>, policies: Vec<Policy>) -> Decoder {
    let weights = vec![1.0; members.len()];
    Decoder::new(ensemble(members, 1), chain(policies), &weights)
}

/// Greedy, without penalty, 16 units, three retractions.
pub fn request() -> Request {
    Request {
        prompt: Prompt::Text("go".into()),
        parameters: Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 },
        limits: Limits { n_predict: 16, horizon: 32, max_retractions: 3 },
        seed: 1,
        stop: Vec::new(),
        context_shift: false,
        draft: Drafting { by: DraftBy::Off, ..Drafting::default() },
        shape: Default::default(),
    }
}

/// What a test wants to see of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Token { index: u32, text: String, confidence: f32, committed: usize },
    Adjust { temperature: f32 },
    Retract { index: u32, tokens: u32, bytes: usize, policy: String },
    Notice(String),
    Done(String),
}

impl Seen {
    /// `None` for an event that these tests do not look at.
    pub fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Token { index, text, confidence, committed, .. } => {
                Self::Token { index: *index, text: text.to_string(), confidence: *confidence, committed: *committed }
            }
            Event::Adjust { temperature, .. } => Self::Adjust { temperature: *temperature },
            Event::Retract { index, tokens, bytes, policy, .. } => {
                Self::Retract { index: *index, tokens: *tokens, bytes: *bytes, policy: policy.to_string() }
            }
            Event::Notice { text } => Self::Notice(text.to_string()),
            Event::Done { text, .. } => Self::Done(text.to_string()),
            _ => return None,
        })
    }
}

/// Runs a reply and notes its events.
pub fn run(decoder: &mut Decoder, request: &Request) -> (Outcome, Vec<Seen>) {
    let mut seen = Vec::new();
    let outcome = decoder.reply(request, &Arc::default(), &mut |event| seen.extend(Seen::of(event))).unwrap();
    (outcome, seen)
}

/// The text that a consumer of the events ends up with.
pub fn replay(seen: &[Seen]) -> String {
    let mut text = String::new();
    for event in seen {
        match event {
            Seen::Token { text: more, .. } => text.push_str(more),
            Seen::Retract { bytes, .. } => text.truncate(text.len() - bytes),
            _ => {}
        }
    }
    text
}

/// Retractions among the events.
pub fn retractions(seen: &[Seen]) -> Vec<(u32, u32)> {
    let retraction = |event: &Seen| match event {
        Seen::Retract { index, tokens, .. } => Some((*index, *tokens)),
        _ => None,
    };
    seen.iter().filter_map(retraction).collect()
}

/// Notices among the events.
pub fn notices(seen: &[Seen]) -> Vec<&str> {
    let mut notices = Vec::new();
    for event in seen {
        if let Seen::Notice(text) = event {
            notices.push(text.as_str());
        }
    }
    notices
}
