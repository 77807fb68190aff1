//! A model that computes what a test says, with the limits of a real one: small batches, few rows, places that have to be
//! given up, and a context that remembers only what it was given.

use llama_selfmod::member::model::{DecodeError, Model, Need, Output, Place, Progress, Sequence, Tail, Work};
use llama_selfmod::member::reader::Tokenizer;
use llama_selfmod::member::{MemberError, Token};
use llama_selfmod::settings::Prompt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// What a row is asked for.
#[allow(dead_code, reason = "each of the two programs with it uses a part")]
pub struct Asked<'a> {
    /// All tokens before it, from the beginning of the prompt.
    pub tokens: &'a [Token],
    /// Those of a tail among them; 0 in the text.
    pub tail: usize,
    /// Tails in the batch.
    pub tails: usize,
    /// How often a text was read again from its beginning.
    pub anew: usize,
}

type Rule = Arc<dyn Fn(Asked) -> Vec<f32> + Send + Sync>;

/// Tokens of a batch, and its rows.
const BATCH: usize = 8;
const ROWS: usize = 6;

/// A model whose rows are a function of the tokens before.
#[allow(dead_code, reason = "each of the two programs with it uses a part")]
pub struct Double {
    rule: Rule,
    texts: Vec<Vec<Token>>,
    free: Vec<usize>,
    given_up: Arc<Mutex<Vec<usize>>>,
    rows: Vec<Vec<f32>>,
    branches: usize,
    batches: u64,
    /// From the batch of this number on nothing can be decoded.
    pub fails_from: u64,
    /// Every token that was decoded, with the number of its text; of tails none.
    pub decoded: Arc<Mutex<Vec<(usize, Token)>>>,
    /// How often a text was read again.
    pub anew: Arc<Mutex<usize>>,
}

impl Double {
    /// With places for `texts` texts and `branches` tails.
    pub fn new(texts: usize, branches: usize, rule: impl Fn(Asked) -> Vec<f32> + Send + Sync + 'static) -> Self {
        Self {
            rule: Arc::new(rule),
            texts: vec![Vec::new(); texts],
            free: (0..texts).rev().collect(),
            given_up: Arc::default(),
            rows: Vec::new(),
            branches,
            batches: 0,
            fails_from: u64::MAX,
            decoded: Arc::default(),
            anew: Arc::default(),
        }
    }

    fn row(&mut self, tokens: &[Token], tail: usize, tails: usize) -> usize {
        let anew = *self.anew.lock().unwrap();
        self.rows.push((self.rule)(Asked { tokens, tail, tails, anew }));
        self.rows.len() - 1
    }
}

impl Model for Double {
    fn open(&mut self) -> Option<Sequence> {
        let given_up = std::mem::take(&mut *self.given_up.lock().unwrap());
        for place in given_up {
            self.texts[place].clear();
            self.free.push(place);
        }
        self.free.pop().map(|place| Sequence::new(place, self.given_up.clone()))
    }

    fn decode(&mut self, needs: &[Need]) -> (Vec<Progress>, Vec<Output>) {
        self.batches += 1;
        self.rows.clear();
        if self.batches >= self.fails_from {
            // Who is to blame shows when each is decoded by itself.
            let error = if needs.len() > 1 { DecodeError::Together } else { DecodeError::Fatal(-3) };
            let failed = |need: &Need| Progress {
                read: self.texts[need.sequence.id()].len().min(need.agreed),
                outcome: Err(error),
            };
            return (needs.iter().map(failed).collect(), Vec::new());
        }
        let (mut tokens_left, mut progress, mut outputs) = (BATCH, Vec::new(), Vec::new());
        let tails = needs.iter().map(|need| need.tails.len()).sum::<usize>().min(self.branches.max(1));
        for (number, need) in needs.iter().enumerate() {
            let place = need.sequence.id();
            // As in llama.cpp's case, nothing is done to what the place held before.
            if need.interrupted.load(Ordering::Relaxed) {
                let read = self.texts[place].len().min(need.agreed);
                progress.push(Progress { read, outcome: Err(DecodeError::Interrupted) });
                continue;
            }
            let agreed = need.agreed.min(need.tokens.len()).min(need.rows.saturating_sub(1));
            if need.anew {
                *self.anew.lock().unwrap() += 1;
                self.texts[place].clear();
            }
            self.texts[place].truncate(agreed);
            let known = self.texts[place].len();
            assert_eq!(self.texts[place], need.tokens[..known], "what the context holds is not what stands");
            for (at, &token) in need.tokens.iter().enumerate().skip(known) {
                let row = at + 1 >= need.rows;
                if tokens_left == 0 || row && outputs.len() == ROWS {
                    break;
                }
                tokens_left -= 1;
                self.texts[place].push(token);
                self.decoded.lock().unwrap().push((place, token));
                if row {
                    let index = self.row(&need.tokens[..=at], 0, tails);
                    outputs.push(Output { need: number, place: Place::After(at + 1), index });
                }
            }
            // Tails go off from what was read before.
            let beside = need.tails.iter().enumerate().filter(|(_, tail)| tail.at <= known);
            for (tail_number, Tail { at, tokens }) in beside.take(self.branches) {
                if outputs.len() == ROWS || tokens_left < tokens.len() {
                    break;
                }
                tokens_left -= tokens.len();
                let index = self.row(&[&need.tokens[..*at], tokens].concat(), tokens.len(), tails);
                outputs.push(Output { need: number, place: Place::Tail(tail_number), index });
            }
            progress.push(Progress { read: self.texts[place].len(), outcome: Ok(()) });
        }
        (progress, outputs)
    }

    fn logits(&mut self, index: usize) -> Option<&[f32]> {
        self.rows.get(index).map(Vec::as_slice)
    }

    fn branches(&self) -> usize {
        self.branches
    }

    fn set_threads(&mut self, _: usize) {}

    fn cost(&self) -> u64 {
        1
    }

    fn work(&self) -> Work {
        Work { batches: self.batches, ..Work::default() }
    }
}

/// Prompts of one token.
pub struct OneToken;

impl Tokenizer for OneToken {
    fn read(&mut self, prompt: &Prompt, _: &[Token], _: usize) -> Result<(Vec<Token>, Vec<String>), MemberError> {
        match prompt {
            Prompt::Text(text) if text == "unreadable" => Err(MemberError::EmptyPrompt("a double".into())),
            _ => Ok((vec![0], Vec::new())),
        }
    }

    fn tokens_of(&self, _: &str) -> Result<Vec<Token>, MemberError> {
        Ok(Vec::new())
    }

    fn tokens_after(&self, _: &[Token], _: &str) -> Result<Vec<Token>, MemberError> {
        Ok(Vec::new())
    }
}
