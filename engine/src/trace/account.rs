//! The newest reply in memory: what its lines say of a token, for people and for measurements.

use super::record::{Source, line};
use super::{Answer, Candidate, Line, Logits, ReducedRow};
use crate::decode::window::{UnitRecord, Window};
use crate::hooks::chain::{Choice, Recorder, Seen};
use measure::explain::{Account, MemberView, Retraction, Step, Token, Verdict};
use measure::signals;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the hooks saw of the newest reply.
#[derive(Default)]
pub struct Kept {
    lines: Vec<Line>,
    source: Option<Source>,
    /// Where units are bytes, pieces are known by their candidates alone.
    pieces: HashMap<u32, Vec<u8>>,
    /// By position and attempt.
    choices: HashMap<(u32, u32), Vec<Choice>>,
}

/// The newest reply, while it is written and after.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<Kept>>);

impl Watch {
    /// A watch, and what writes to it.
    pub fn new(source: Source) -> (Self, Recorder) {
        let watch = Self(Arc::new(Mutex::new(Kept { source: Some(source), ..Kept::default() })));
        let kept = watch.clone();
        let recorder = move |seen: &Seen| {
            kept.kept().see(seen);
            None
        };
        (watch, Box::new(recorder))
    }

    /// What is known so far. The reply waits while this is held.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn see(&mut self, seen: &Seen) {
        let Some(source) = &self.source else { return };
        if let Seen::Choices(step, choices) = seen {
            self.choices.entry((step.position, step.attempt)).or_insert_with(|| choices.to_vec());
        }
        let Some(line) = line(seen, source) else { return };
        if let Seen::Token(_, token, _) = seen {
            self.pieces.entry(token.unit).or_insert_with(|| token.bytes.to_vec());
        }
        if matches!(line, Line::Reply(_)) {
            self.lines.clear();
            self.choices.clear();
        }
        self.lines.push(line);
    }

    /// How the reply came about, token by token.
    pub fn account(&self, title: &str, prompt: &str, policies: Vec<String>) -> Account {
        let members = self.lines.iter().find_map(|line| match line {
            Line::Reply(reply) => Some(reply.members.iter().map(|(name, _)| name.clone()).collect()),
            _ => None,
        });
        let mut telling = Telling { kept: self, steps: Vec::new(), window: Window::new(0, 0), logits: None, why: None };
        self.lines.iter().for_each(|line| telling.hear(line));
        let (title, prompt) = (title.into(), prompt.into());
        Account { title, members: members.unwrap_or_default(), policies, prompt, steps: telling.steps }
    }

    /// The tokens that stand, for [`signals::areas`].
    pub fn signals(&self) -> Vec<signals::Token> {
        let mut tokens: Vec<signals::Token> = Vec::new();
        let (mut candidate, mut at) = (None, 0);
        for line in &self.lines {
            match line {
                Line::Token(drawn) => candidate = Some(drawn),
                Line::Assessment(accepted) => {
                    let bytes = self.bytes(accepted.figures.unit).len();
                    if let Some(Candidate { figures, members, behind, .. }) = candidate.take() {
                        let probability = f64::from(figures.probability);
                        tokens.push(signals::Token {
                            at,
                            probability,
                            likeliest: probability * f64::from(*behind).exp(),
                            entropy: figures.entropy.into(),
                            agreement: figures.agreement.into(),
                            members: members.iter().map(|&given| given.into()).collect(),
                        });
                    }
                    at += bytes;
                }
                Line::Retract(gone) => {
                    tokens.truncate(gone.at.position() as usize);
                    at = tokens.last().map_or(0, |token| token.at);
                }
                Line::Reply(_) | Line::Names(_) | Line::Logits(_) => {}
            }
        }
        tokens
    }

    fn bytes(&self, unit: u32) -> Vec<u8> {
        let known = self.pieces.get(&unit).cloned();
        known.or_else(|| self.source.as_ref().map(|source| (source.bytes)(unit))).unwrap_or_default()
    }

    fn text(&self, unit: u32) -> String {
        String::from_utf8_lossy(&self.bytes(unit)).into_owned()
    }

    fn top(&self, row: &ReducedRow) -> Vec<(String, f64)> {
        row.top.iter().map(|&(unit, score)| (self.text(unit), f64::from(score).exp())).collect()
    }
}

/// A reply that is told from its lines.
struct Telling<'a> {
    kept: &'a Kept,
    steps: Vec<Step>,
    window: Window,
    /// Of the position, or of the first byte of its piece.
    logits: Option<&'a Logits>,
    /// Why units will be gone.
    why: Option<&'a Answer>,
}

impl<'a> Telling<'a> {
    fn hear(&mut self, line: &'a Line) {
        match line {
            Line::Reply(_) | Line::Names(_) => {}
            Line::Logits(logits) => {
                let position = self.logits.map(|logits| (logits.at.position(), logits.at.attempt));
                if position != Some((logits.at.position(), logits.at.attempt)) {
                    self.logits = Some(logits);
                }
            }
            Line::Token(candidate) => {
                let refused = candidate.answer.as_ref().is_some_and(|answer| {
                    answer.verdict.starts_with("resample") || answer.verdict.starts_with("force")
                });
                if refused || !candidate.is_end {
                    let token = self.token(candidate, refused);
                    self.steps.push(Step::Token(token));
                }
            }
            Line::Assessment(accepted) => {
                let forced = !matches!(self.steps.last(), Some(Step::Token(token)) if !token.is_refused);
                if forced {
                    let text = self.kept.text(accepted.figures.unit);
                    let given = f64::from(accepted.figures.probability);
                    if let Some(Step::Token(token)) = self.steps.last().cloned() {
                        let (likeliest, confidence) = (token.likeliest, given);
                        self.steps.push(Step::Token(Token {
                            text,
                            confidence,
                            likeliest,
                            is_refused: false,
                            verdicts: Vec::new(),
                            ..token
                        }));
                    }
                }
                self.why = accepted.answer.as_ref();
                if let (Some(answer), Some(Step::Token(token))) = (&accepted.answer, self.steps.last_mut()) {
                    token.verdicts.push(verdict(answer));
                }
                let figures = &accepted.figures;
                self.window.push(UnitRecord {
                    unit: figures.unit,
                    confidence: figures.probability,
                    entropy: figures.entropy,
                    agreement: figures.agreement,
                    leader: figures.leader,
                    member_probabilities: &[],
                });
            }
            Line::Retract(gone) => {
                self.window.retract(gone.units as usize);
                self.steps.push(Step::Retraction(Retraction {
                    index: gone.at.position() as usize,
                    units: gone.units as usize,
                    policy: gone.policy.clone(),
                    reason: self.why.map(|answer| answer.reason.clone()).unwrap_or_default(),
                }));
                self.logits = None;
            }
        }
    }

    fn token(&self, candidate: &Candidate, is_refused: bool) -> Token {
        let (mean, deviation) = self.window.surprise();
        let figures = &candidate.figures;
        let confidence = f64::from(figures.probability);
        let rows = self.logits.map(|logits| logits.rows.as_slice()).unwrap_or_default();
        let (temperature, _, _, repeat_penalty, _) = candidate.at.now;
        let choices = self.kept.choices.get(&(candidate.at.position(), candidate.at.attempt));
        let view = |(place, &given): (usize, &f32)| {
            let row = || rows.get(place).map(|row| self.kept.top(row)).unwrap_or_default();
            MemberView {
                probability: given.into(),
                top: choices.map_or_else(row, |choices| strings(choices, |choice| choice.members[place])),
            }
        };
        let row = || self.logits.map(|logits| self.kept.top(&logits.fused)).unwrap_or_default();
        Token {
            index: candidate.at.position() as usize,
            text: self.kept.text(figures.unit),
            confidence,
            likeliest: confidence * f64::from(candidate.behind).exp(),
            entropy: figures.entropy.into(),
            agreement: figures.agreement.into(),
            leader: figures.leader as usize,
            mean: mean.into(),
            deviation: deviation.into(),
            members: candidate.members.iter().enumerate().map(view).collect(),
            fused: choices.map_or_else(row, |choices| strings(choices, |choice| choice.share)),
            temperature: temperature.into(),
            repeat_penalty: repeat_penalty.into(),
            verdicts: candidate.answer.iter().map(verdict).collect(),
            is_refused,
        }
    }
}

/// Strings by what somebody gives them, the likeliest first.
fn strings(choices: &[Choice], given: impl Fn(&Choice) -> f64) -> Vec<(String, f64)> {
    let text = |choice: &Choice| String::from_utf8_lossy(&choice.bytes).into_owned();
    let mut strings: Vec<(String, f64)> = choices.iter().map(|choice| (text(choice), given(choice))).collect();
    strings.sort_by(|one, other| other.1.total_cmp(&one.1));
    strings
}

fn verdict(answer: &Answer) -> Verdict {
    Verdict { policy: answer.policy.clone(), verdict: answer.verdict.clone(), reason: answer.reason.clone() }
}
