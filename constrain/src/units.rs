//! The vocabulary's part of the work, done once.

use crate::{Constraint, State, json_style, sentence};
use llguidance::{Matcher, ParserFactory, api::TopLevelGrammar};
use serde_json::Value;
use std::sync::Arc;
use toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};

/// Longest piece that a grammar can write: a longer one is never allowed, and none is known.
const LONGEST_PIECE: usize = 4096;

/// A vocabulary, as the constraints see it. Cheap to clone.
#[derive(Clone)]
pub struct Units {
    shared: Arc<Shared>,
}

struct Shared {
    factory: ParserFactory,
    /// Units that can be written at all: those with bytes, and the end.
    writable: SimpleVob,
    /// The unit of a byte alone, where there is one.
    of_byte: Vec<Option<u32>>,
    end: u32,
}

impl Units {
    /// A vocabulary of the units 0 to `pieces.len() - 1`, of which `end` ends a text.
    ///
    /// Units without bytes, control tokens for example, are never allowed, whatever a grammar says. Units with the same bytes
    /// are allowed together. Takes 0.2 s for 32,000 units and 2 s for 152,000 on a busy machine: once an ensemble, and not
    /// while somebody waits for a step. An error says which of the two arguments is wrong.
    pub fn new(pieces: &[Vec<u8>], end: u32) -> Result<Self, String> {
        if end as usize >= pieces.len() {
            return Err(format!("The unit {end} cannot end a text: there are {} units.", pieces.len()));
        }
        // 0xFF, which no UTF-8 has, marks special tokens in a trie.
        let is_plain = |piece: &[u8]| !piece.is_empty() && piece.len() <= LONGEST_PIECE && piece[0] != 0xFF;
        let mut words = pieces.to_vec();
        words[end as usize].clear();
        let mut writable = SimpleVob::alloc(words.len());
        let mut of_byte = vec![None; 256];
        for (unit, word) in words.iter_mut().enumerate() {
            if !is_plain(word) {
                word.clear();
                continue;
            }
            writable.set(unit, true);
            if let [byte] = word[..] {
                of_byte[usize::from(byte)].get_or_insert(unit as u32);
            }
        }
        writable.set(end as usize, true);
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words);
        // Not canonical: what is forced is not written ahead, since the members tokenize as they like.
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment).map_err(sentence)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        // Grammars that are spelled character by character need more than the default of 50,000 with 152,000 units; this is
        // 25 ms of one step at worst.
        limits.step_max_items = 500_000;
        limits.step_lexer_fuel = 1_000_000;
        // One or two kilobytes each, for every reply under way.
        limits.max_lexer_states = 100_000;
        Ok(Self { shared: Arc::new(Shared { factory, writable, of_byte, end }) })
    }

    /// How many units there are.
    pub fn count(&self) -> usize {
        self.shared.factory.tok_env().tok_trie().vocab_size()
    }

    /// The unit that ends a text.
    pub fn end(&self) -> u32 {
        self.shared.end
    }

    /// Compiles a constraint, for one text from its beginning. An error says what is wrong with the constraint, and where.
    pub fn open(&self, constraint: &Constraint) -> Result<State, String> {
        let grammar = match constraint {
            Constraint::Schema(schema) => TopLevelGrammar::from_json_schema(with_style(schema)?),
            Constraint::Lark(text) => TopLevelGrammar::from_lark(text.clone()),
        };
        let parser = self.shared.factory.create_parser(grammar).map_err(sentence)?;
        State::new(self.clone(), Matcher::new(Ok(parser)))
    }

    pub(crate) fn writable(&self) -> &SimpleVob {
        &self.shared.writable
    }

    /// The unit of a byte alone, where there is one.
    pub(crate) fn of_byte(&self, byte: u8) -> Option<u32> {
        self.shared.of_byte[usize::from(byte)]
    }
}

/// A schema with the style of [`json_style`], unless it brings its own.
fn with_style(schema: &Value) -> Result<Value, String> {
    let mut schema = match schema {
        Value::Object(keys) => keys.clone(),
        // `true` is a schema as well: all there is.
        Value::Bool(true) => serde_json::Map::new(),
        other => return Err(format!("A JSON schema is an object, not `{other}`.")),
    };
    schema.entry("x-guidance").or_insert_with(json_style);
    Ok(Value::Object(schema))
}
