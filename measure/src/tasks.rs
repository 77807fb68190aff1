//! Tasks: items, prompts, and what counts as right.
//!
//! A task is a small TOML file with its items beside it as JSON lines. Six are [built in](BUILT_IN); a file of a person's
//! own is opened by its path. `--data` puts the field's own files in the place of the items: GSM8K's `test.jsonl`, ARC's
//! in AI2's form and in the hub's, `HumanEval.jsonl.gz`; or prompts of one's own for a task that is open, as JSON lines or one a
//! line of a `.txt` file.
//!
//! ```toml
//! name = "capitals"
//! kind = "generate"               # or "choices", "code", "perplexity", "open"
//! items = "capitals.jsonl"        # {"country": "France", "capital": "Paris"}
//! prompt = "The capital of {country} is"
//! expected = "{capital}"
//! stop = ["\n", "."]
//! max_tokens = 16
//! answer = { rule = "exact" }     # or "last-number", "regex" with `pattern`; `after = "####"` for a marker
//! shots = { file = "examples.jsonl", number = 3, answer = " {capital}.", separator = "\n" }
//! ```
//!
//! `--limit N` takes N items of the whole file and not its first N, which in many files are of one kind: [`Task::sample`]
//! orders the items by a hash of seed and id. So two runs with one seed have the same items, and those of a smaller limit
//! are among those of a larger one.

mod built_in;
mod choices;
mod definition;
mod error;
mod grade;
mod item;
mod lines;
mod number;
mod template;

use std::io::{BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use choices::Choice;
pub use definition::Kind;
pub use error::{LineProblem, TaskError};
pub use grade::{ChoiceGrade, Grade, Outcome, Rule};
pub use item::{Item, Right};

use built_in::BuiltIn;
use definition::Definition;
use item::Examples;
use lines::Line;

use crate::sandbox::Run;

/// Names of the tasks that are part of the program.
pub const BUILT_IN: [&str; 6] = ["gsm8k", "arc", "humaneval", "perplexity", "maths", "stories"];

/// A task and its items.
#[derive(Debug, Clone)]
pub struct Task {
    definition: Definition,
    items: Vec<Item>,
    text: String,
    examples_only: bool,
    digest: String,
    definition_digest: String,
}

impl Task {
    /// Opens a built-in task by its name, or a file that ends in `.toml`. `data` takes the place of its items.
    ///
    /// # Errors
    ///
    /// Each [`TaskError`] names the file, and the line where there is one.
    pub fn open(name: &str, data: Option<&Path>) -> Result<Self, TaskError> {
        if let Some(task) = built_in::ALL.iter().find(|task| task.name == name) {
            return Self::built(task.definition, Path::new(name), Place::BuiltIn(task), data);
        }
        let path = Path::new(name);
        if path.extension().is_none_or(|extension| extension != "toml") && path.components().count() == 1 {
            let near = crate::nearest(name, BUILT_IN).map(str::to_owned);
            return Err(TaskError::UnknownTask { name: name.into(), near, known: built_in::names() });
        }
        let text = whole_text(path)?;
        Self::built(&text, path, Place::Folder(path.parent().unwrap_or(Path::new(""))), data)
    }

    fn built(text: &str, path: &Path, place: Place, data: Option<&Path>) -> Result<Self, TaskError> {
        let definition = Definition::read(text, &path.display().to_string())?;
        if definition.kind == Kind::Perplexity {
            return Self::of_text(definition, text, &place, data);
        }
        let named = |file: &Option<String>| match (data, file) {
            (Some(data), _) => Ok((items_of(definition.kind, lines::open(data)?, data)?, data.to_owned())),
            (None, Some(file)) => place.lines(file, definition.kind),
            (None, None) => Err(TaskError::NoItems { file: path.display().to_string() }),
        };
        let examples = match &definition.shots {
            None => Examples::default(),
            Some(shots) => {
                let (lines, file) = place.lines(&shots.file, definition.kind)?;
                Examples::new(lines, &definition, &file.display().to_string())?
            }
        };
        let (lines, file) = named(&definition.items)?;
        let items = item::read(lines, &definition, &examples, &file.display().to_string())?;
        Ok(Self {
            digest: digest(items.iter().flat_map(|item| [item.id.clone(), item::canonical(&item.fields)])),
            definition_digest: digest([text.to_owned(), examples.text().to_owned()].into_iter()),
            examples_only: matches!(place, Place::BuiltIn(_)) && data.is_none() && definition.kind != Kind::Open,
            text: String::new(),
            definition,
            items,
        })
    }

    fn of_text(definition: Definition, toml: &str, place: &Place, data: Option<&Path>) -> Result<Self, TaskError> {
        let beside = definition.items.as_ref().map(|file| place.path(file));
        let no_text = || TaskError::NoText { task: definition.name.clone() };
        let path = data.map(Path::to_owned).or(beside).ok_or_else(no_text)?;
        let text = whole_text(&path)?;
        if text.trim().is_empty() {
            return Err(TaskError::Text { file: path.display().to_string(), problem: "is an empty text" });
        }
        Ok(Self {
            digest: digest([text.clone()].into_iter()),
            definition_digest: digest([toml.to_owned()].into_iter()),
            examples_only: false,
            items: Vec::new(),
            definition,
            text,
        })
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What is asked.
    pub fn kind(&self) -> Kind {
        self.definition.kind
    }

    /// The items, in the order of the file. A task of perplexity has none.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The text of a task of perplexity; empty otherwise.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the items are the five that come with the program, on which no result means anything.
    pub fn has_examples_only(&self) -> bool {
        self.examples_only
    }

    /// Texts that end an answer.
    pub fn stop(&self) -> &[String] {
        &self.definition.stop
    }

    /// Tokens that an answer may have.
    pub fn max_tokens(&self) -> usize {
        self.definition.max_tokens
    }

    /// Digest of the items: sha256 of their ids and fields, whatever the order of the fields and the form of the file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Digest of how they are asked: sha256 of the TOML file and the examples.
    pub fn definition_digest(&self) -> &str {
        &self.definition_digest
    }

    /// At most `limit` items in an order that depends on the seed and their ids alone.
    pub fn sample(&self, limit: Option<usize>, seed: u64) -> Vec<&Item> {
        let mut items: Vec<&Item> = self.items.iter().collect();
        items.sort_by_cached_key(|item| {
            Sha256::new().chain_update(seed.to_le_bytes()).chain_update(&item.id).finalize()
        });
        items.truncate(limit.unwrap_or(usize::MAX));
        items
    }

    /// The answer without the first stop text and what follows it.
    pub fn cut<'a>(&self, answer: &'a str) -> &'a str {
        let end = self.definition.stop.iter().filter_map(|stop| answer.find(stop.as_str())).min();
        &answer[..end.unwrap_or(answer.len())]
    }

    /// Grades the text of an answer, [cut](Self::cut) at the stop texts. For items with a right answer: in other tasks every
    /// text is unparsed.
    pub fn grade(&self, item: &Item, answer: &str) -> Grade {
        match &item.right {
            Right::Answer(expected) => grade::text(&self.definition.rule, expected, self.cut(answer)),
            Right::Choice { choices, place } => no_text("its choices are scored", &choices[*place].text),
            Right::Tests => no_text("its program is run", "its tests pass"),
            Right::Open => no_text("nothing is right or wrong", ""),
        }
    }

    /// Grades one log-likelihood a choice, in the order of the choices. None if the item has no choices, their number
    /// differs, or a figure is not a number.
    pub fn grade_choices(&self, item: &Item, log_likelihoods: &[f64]) -> Option<ChoiceGrade> {
        match &item.right {
            Right::Choice { choices, place } => grade::choices(choices, *place, log_likelihoods),
            Right::Answer(_) | Right::Tests | Right::Open => None,
        }
    }

    /// The program that tests a completion, [cut](Self::cut) at the stop texts. None if the item has no tests.
    pub fn program(&self, item: &Item, completion: &str) -> Option<String> {
        let more = Some(("completion", self.cut(completion)));
        // That the fields are there was checked when the items were read.
        (item.right == Right::Tests).then(|| self.definition.program.fill_with(&item.fields, more).ok()).flatten()
    }

    /// Grades the run of a [program](Self::program).
    pub fn grade_run(&self, run: &Run) -> Grade {
        grade::run(run)
    }
}

fn no_text(reason: &str, expected: &str) -> Grade {
    Grade { outcome: Outcome::Unparsed, answer: None, expected: expected.into(), reason: reason.into() }
}

/// Where the files lie that a task names.
enum Place<'a> {
    BuiltIn(&'a BuiltIn),
    Folder(&'a Path),
}

impl Place<'_> {
    fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::BuiltIn(_) => file.into(),
            Self::Folder(folder) => folder.join(file),
        }
    }

    fn lines(&self, file: &str, kind: Kind) -> Result<(Vec<Line>, PathBuf), TaskError> {
        let path = self.path(file);
        let lines = match self {
            Self::BuiltIn(task) => {
                let text = task.files.iter().find(|(name, _)| *name == file).map_or("", |(_, text)| text);
                items_of(kind, Cursor::new(text), &path)?
            }
            Self::Folder(_) => items_of(kind, lines::open(&path)?, &path)?,
        };
        Ok((lines, path))
    }
}

/// The items of a file: JSON lines, or for an open task a prompt on each line of a text.
fn items_of(kind: Kind, source: impl BufRead, path: &Path) -> Result<Vec<Line>, TaskError> {
    let is_text = kind == Kind::Open && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"));
    if is_text { lines::read_prompts(source, path) } else { lines::read(source, path) }
}

fn whole_text(path: &Path) -> Result<String, TaskError> {
    let mut bytes = Vec::new();
    let fail = |source| TaskError::Read { path: path.to_owned(), source };
    lines::open(path)?.read_to_end(&mut bytes).map_err(fail)?;
    let text = |_| TaskError::Text { file: path.display().to_string(), problem: "is not UTF-8" };
    String::from_utf8(bytes).map_err(text)
}

/// Each part with its length before it: no two lists of parts have the same bytes.
fn digest(parts: impl Iterator<Item = String>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
