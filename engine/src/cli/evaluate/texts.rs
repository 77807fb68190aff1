//! What an open-ended reply is worth: figures that need no model, and what a judge makes of it.

use super::super::{args::EvalArgs, progress, render::Look, trial::Admission};
use crate::{
    Error,
    engine::Engine,
    settings::{ModelSource, Settings},
};
use ::measure::{
    open::{self, Words},
    results::Ratio,
    tasks::{Item, Task},
};
use std::collections::BTreeMap;

/// Other prompts that a reply's end could have come from.
const OTHERS: usize = 7;

/// Measures replies to prompts.
pub struct Texts {
    judge: Option<Engine>,
    words: Option<Words>,
    prompts: Vec<String>,
}

impl Texts {
    /// Reads the lists of words and loads the judge, where there are any.
    pub fn new(
        task: &Task,
        settings: &Settings,
        args: &EvalArgs,
        look: Look,
        admission: Admission,
    ) -> Result<Self, Error> {
        let words = match args.words.as_slice() {
            [] => None,
            files => Some(Words::read(files).map_err(|error| Error::Input(error.to_string()))?),
        };
        let judge = args.judge.as_deref().map(|file| load(file, settings, look, admission)).transpose()?;
        let prompts = task.items().iter().map(|item| item.prompt.clone()).collect();
        Ok(Self { judge, words, prompts })
    }

    /// The figures of a reply.
    pub fn figures(&mut self, item: &Item, reply: &str) -> Result<BTreeMap<String, Ratio>, Error> {
        let mut figures = open::figures(reply, self.words.as_ref());
        let Some(judge) = self.judge.as_mut().filter(|_| !reply.is_empty()) else { return Ok(figures) };
        let judged = judge.judge(&item.prompt, reply)?;
        let bits = judged.iter().map(|token| token.bits).sum();
        figures.insert(open::BITS.into(), Ratio { sum: bits, of: reply.len() as f64 });
        let others: Vec<&str> = others(&self.prompts, &item.prompt);
        let end = second_half(reply);
        if !end.trim().is_empty() && !others.is_empty() {
            let belongs = judge.belongs_to(&item.prompt, &others, end)?;
            figures.insert(open::PLOT.into(), Ratio { sum: f64::from(u8::from(belongs)), of: 1.0 });
        }
        Ok(figures)
    }
}

/// A judge: one model without policies.
pub fn load(file: &std::path::Path, settings: &Settings, look: Look, admission: Admission) -> Result<Engine, Error> {
    crate::files::open(file)?;
    let gpu_layers = settings.models.first().map_or(0, |model| model.gpu_layers);
    let model = ModelSource { gpu_layers, ..ModelSource::new(file) };
    let settings = Settings {
        models: vec![model],
        policies: Vec::new(),
        fusion_mode: Settings::default().fusion_mode,
        plugins: Vec::new(),
        texts: 1,
        trace: None,
        draft_model: None,
        ..settings.clone()
    };
    progress::load(settings, look, admission)
}

/// The prompts behind this one, in the order of the task, the first ones after the last.
fn others<'a>(prompts: &'a [String], own: &str) -> Vec<&'a str> {
    let place = prompts.iter().position(|prompt| prompt == own).unwrap_or(0);
    let behind = prompts[place..].iter().chain(&prompts[..place]);
    behind.map(String::as_str).filter(|prompt| *prompt != own).take(OTHERS).collect()
}

/// A text from the word in its middle on: what a model writes once the prompt is far away.
fn second_half(text: &str) -> &str {
    let half = text.len() / 2;
    let middle =
        (half..text.len()).find(|&at| text.is_char_boundary(at) && text[at..].starts_with(char::is_whitespace));
    &text[middle.unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_prompts_go_round() {
        let prompts = ["a", "b", "c"].map(String::from);
        assert_eq!(others(&prompts, "b"), ["c", "a"]);
        assert!(others(&prompts[..1], "a").is_empty());
    }

    #[test]
    fn the_second_half_begins_with_a_word() {
        assert_eq!(second_half("one two three four"), " four");
        assert_eq!(second_half("é é"), " é");
        assert_eq!(second_half("word"), "word");
    }
}
