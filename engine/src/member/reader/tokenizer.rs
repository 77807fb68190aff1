//! How a model of llama.cpp's reads prompts and texts.

use super::Tokenizer;
use super::prompt::{KnownText, PromptForm};
use super::tokens::{self, LongestToken};
use crate::member::{MemberError, Token, Vocabulary};
use crate::settings::Prompt;
use llama_cpp_2::model::LlamaModel;
use std::sync::Arc;

/// From how many bytes on a prompt is only tokenised if it may fit. Up to there it is cheap to tell the exact length.
const LONG_PROMPT: usize = 64 << 10;

/// What the texts of one member have in common.
pub(crate) struct Tongue {
    /// The member's name.
    pub name: String,
    /// Its model.
    pub model: Arc<LlamaModel>,
    /// The model's tokens.
    pub vocabulary: Arc<Vocabulary>,
    /// How it sees a prompt.
    pub form: PromptForm,
    /// Tells a prompt that cannot fit.
    longest_token: Option<LongestToken>,
}

impl Tongue {
    pub fn new(name: String, model: Arc<LlamaModel>, vocabulary: Arc<Vocabulary>, form: PromptForm) -> Self {
        let longest_token = LongestToken::of(&model, &vocabulary);
        Self { name, model, vocabulary, form, longest_token }
    }

    fn check(&self, text: &str) -> Result<(), MemberError> {
        match self.vocabulary.inexpressible(text) {
            Some(character) => Err(MemberError::Inexpressible { member: self.name.clone(), character }),
            None => Ok(()),
        }
    }
}

/// One text's.
pub(crate) struct LlamaTokenizer {
    tongue: Arc<Tongue>,
    known: KnownText,
    leaves_out: bool,
    left_out: Option<char>,
    was_told: bool,
}

impl LlamaTokenizer {
    pub fn new(tongue: Arc<Tongue>) -> Self {
        let (known, leaves_out, left_out, was_told) = Default::default();
        Self { tongue, known, leaves_out, left_out, was_told }
    }
}

/// Without −1, which a tokenizer gives that has no token for what it does not know.
fn known(tokens: Vec<i32>) -> Vec<Token> {
    tokens.into_iter().filter_map(|token| Token::try_from(token).ok()).collect()
}

fn of_llama(tokens: &[Token]) -> Vec<i32> {
    tokens.iter().map(|&token| token as i32).collect()
}

impl Tokenizer for LlamaTokenizer {
    fn read(
        &mut self,
        prompt: &Prompt,
        standing: &[Token],
        room: usize,
    ) -> Result<(Vec<Token>, Vec<String>), MemberError> {
        let Tongue { name, model, vocabulary, form, longest_token } = &*self.tongue;
        let fits = |tokens: usize, or_more: bool| {
            if tokens <= room {
                return Ok(());
            }
            Err(MemberError::PromptTooLong { member: name.clone(), tokens, or_more, room })
        };
        if let Prompt::Tokens(units) = prompt {
            let tokens: Vec<Token> = known(tokens::beginning(model).into_iter().collect());
            let tokens = [tokens.as_slice(), units].concat();
            fits(tokens.len(), false)?;
            self.known = KnownText::default();
            return Ok((tokens, Vec::new()));
        }
        let (mut pieces, stop) = form
            .render(prompt)
            .map_err(|error| MemberError::Template { member: name.clone(), why: error.to_string() })?;
        if self.leaves_out {
            for piece in &mut pieces {
                let unknown = vocabulary.inexpressible(&piece.text);
                self.left_out = self.left_out.or(unknown);
                if unknown.is_some() {
                    piece.text = vocabulary.expressible(&piece.text);
                }
            }
        }
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        self.tongue.check(&text)?;
        let (bytes, count) = self.known.beginning_of(&text);
        // A long text takes a tokenizer seconds, and can be refused at once.
        if let Some(longest) = longest_token.as_ref().filter(|_| text.len() > LONG_PROMPT) {
            fits(count + longest.least_tokens(&text[bytes..]), true)?;
        }
        // A beginning that is known keeps its tokens.
        let standing = of_llama(&standing[..count.min(standing.len())]);
        let tokens = known(tokens::tokenise(model, vocabulary, &pieces, bytes, &standing));
        fits(tokens.len(), false)?;
        if !tokens.is_empty() {
            self.known.replace(text, tokens.len());
        }
        Ok((tokens, stop))
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        let Tongue { model, vocabulary, .. } = &*self.tongue;
        if self.leaves_out && vocabulary.inexpressible(text).is_some() {
            return Ok(known(tokens::tokenise_text(model, vocabulary, &vocabulary.expressible(text))));
        }
        self.tongue.check(text)?;
        Ok(known(tokens::tokenise_text(model, vocabulary, text)))
    }

    fn leave_out(&mut self) {
        self.leaves_out = true;
    }

    fn take_left_out(&mut self) -> Option<char> {
        let left_out = self.left_out.take().filter(|_| !self.was_told);
        self.was_told |= left_out.is_some();
        left_out
    }

    fn tokens_after(&self, before: &[Token], text: &str) -> Result<Vec<Token>, MemberError> {
        self.tongue.check(text)?;
        Ok(known(tokens::tokenise_after(&self.tongue.model, &self.tongue.vocabulary, &of_llama(before), text)))
    }

    fn ended(&mut self, text: &str, tokens: usize) {
        self.known.append(text, tokens);
    }

    fn forget_after(&mut self, tokens: usize) {
        self.known.forget_after(tokens);
    }
}
