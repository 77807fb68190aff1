//! A task's TOML file.

use regex::Regex;
use serde::Deserialize;
use toml::{Table, Value};

use super::error::TaskError;
use super::grade::Rule;
use super::template::Template;
use crate::nearest;

/// What is asked and how the answer is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The model writes an answer, in which a rule finds what counts.
    Generate,
    /// The model's log-likelihoods of given answers are compared.
    Choices,
    /// The model completes a program, whose tests are run in the sandbox.
    Code,
    /// The model's perplexity on a text is measured.
    Perplexity,
    /// The model continues a prompt, and no continuation is right or wrong.
    Open,
}

impl Kind {
    /// Whether an item says in `expected` what is right.
    fn has_expected(self) -> bool {
        matches!(self, Self::Generate | Self::Choices)
    }
}

/// The file, read and checked.
#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub kind: Kind,
    /// The file of items, or of the text, beside this file.
    pub items: Option<String>,
    pub prompt: Template,
    pub stop: Vec<String>,
    pub max_tokens: usize,
    /// Where the right answer stands in an item, and the marker it follows there.
    pub expected: Template,
    pub expected_after: Option<String>,
    /// The field of the choices.
    pub choices: String,
    /// The program that is run: the prompt, the completion and the tests.
    pub program: Template,
    pub rule: Rule,
    pub shots: Option<Shots>,
}

/// Solved examples that stand before each question.
#[derive(Debug, Clone)]
pub struct Shots {
    /// The file of examples, in the form of the items.
    pub file: String,
    /// How many of them, from the first on; all by default.
    pub number: Option<usize>,
    /// What follows an example's prompt.
    pub answer: Template,
    /// What stands between examples.
    pub separator: String,
}

/// The keys of the file and of its two tables.
const KEYS: [&str; 13] = [
    "name",
    "kind",
    "items",
    "text",
    "prompt",
    "stop",
    "max_tokens",
    "expected",
    "expected_after",
    "choices",
    "program",
    "answer",
    "shots",
];
const ANSWER_KEYS: [&str; 3] = ["rule", "after", "pattern"];
const SHOTS_KEYS: [&str; 4] = ["file", "number", "answer", "separator"];

#[derive(Deserialize)]
struct Raw {
    name: String,
    kind: Kind,
    items: Option<String>,
    text: Option<String>,
    prompt: Option<String>,
    #[serde(default)]
    stop: Vec<String>,
    max_tokens: Option<usize>,
    expected: Option<String>,
    expected_after: Option<String>,
    choices: Option<String>,
    program: Option<String>,
    answer: Option<RawAnswer>,
    shots: Option<RawShots>,
}

#[derive(Deserialize)]
struct RawAnswer {
    rule: RawRule,
    after: Option<String>,
    pattern: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RawRule {
    LastNumber,
    Exact,
    Regex,
}

#[derive(Deserialize)]
struct RawShots {
    file: String,
    number: Option<usize>,
    answer: Option<String>,
    separator: Option<String>,
}

impl Definition {
    /// Reads the text of a file called `file`.
    pub fn read(text: &str, file: &str) -> Result<Self, TaskError> {
        let wrong = |problem: String| TaskError::Definition { file: file.into(), problem };
        let table: Table = text.parse().map_err(|error: toml::de::Error| wrong(first_line(&error)))?;
        refuse_unknown(&table, file)?;
        let raw: Raw = table.try_into().map_err(|error: toml::de::Error| wrong(first_line(&error)))?;
        raw.check().map_err(wrong)
    }
}

impl Raw {
    fn check(self) -> Result<Definition, String> {
        if self.name.trim().is_empty() {
            return Err("`name` is empty".into());
        }
        if self.stop.iter().any(String::is_empty) {
            return Err("a text of `stop` is empty, which stands everywhere".into());
        }
        if self.max_tokens == Some(0) {
            return Err("`max_tokens` is 0, which leaves no answer".into());
        }
        let template = |key: &str, text: Option<&str>, needed: bool| match text {
            Some(text) => Template::new(text).map_err(|problem| format!("`{key}` has {problem}")),
            None if needed => Err(format!("a task of this kind needs `{key}`")),
            None => Template::new(""),
        };
        let asks = self.kind != Kind::Perplexity;
        let code = self.kind == Kind::Code;
        let rule = self.answer.map_or(Ok(Rule::Exact { after: None }), RawAnswer::check)?;
        let shots = self.shots.map(|shots| {
            // The examples of a program are whole ones, so only the file knows where its solution stands.
            let standard = (!code).then_some(" {answer}");
            let answer = template("shots.answer", shots.answer.as_deref().or(standard), true)?;
            let separator = shots.separator.unwrap_or_else(|| "\n\n".into());
            Ok::<_, String>(Shots { file: shots.file, number: shots.number, answer, separator })
        });
        Ok(Definition {
            prompt: template("prompt", self.prompt.as_deref(), asks)?,
            expected: template("expected", self.expected.as_deref(), self.kind.has_expected())?,
            program: template("program", self.program.as_deref(), code)?,
            choices: self.choices.unwrap_or_else(|| "choices".into()),
            items: if asks { self.items } else { self.text },
            max_tokens: self.max_tokens.unwrap_or(256),
            expected_after: self.expected_after,
            shots: shots.transpose()?,
            stop: self.stop,
            name: self.name,
            kind: self.kind,
            rule,
        })
    }
}

impl RawAnswer {
    fn check(self) -> Result<Rule, String> {
        match (self.rule, self.pattern) {
            (RawRule::Regex, Some(pattern)) => {
                let regex = Regex::new(&pattern).map_err(|error| format!("`answer.pattern` is no pattern: {error}"))?;
                match regex.captures_len() {
                    2 if self.after.is_none() => Ok(Rule::Pattern(regex)),
                    2 => Err("`answer.after` goes with the other rules; put the marker into the pattern".into()),
                    groups => Err(format!("`answer.pattern` must have one group (…), and has {}", groups - 1)),
                }
            }
            (RawRule::Regex, None) => Err("the rule `regex` needs `answer.pattern`".into()),
            (_, Some(_)) => Err("`answer.pattern` goes with the rule `regex`".into()),
            (RawRule::LastNumber, None) => Ok(Rule::LastNumber { after: self.after }),
            (RawRule::Exact, None) => Ok(Rule::Exact { after: self.after }),
        }
    }
}

fn refuse_unknown(table: &Table, file: &str) -> Result<(), TaskError> {
    let check = |table: &Table, prefix: &str, known: &[&str]| match table.keys().find(|k| !known.contains(&k.as_str()))
    {
        None => Ok(()),
        Some(key) => {
            let near = nearest(key, known.iter().copied()).map(str::to_owned);
            Err(TaskError::UnknownKey { file: file.into(), key: format!("{prefix}{key}"), near })
        }
    };
    check(table, "", &KEYS)?;
    for (name, known) in [("answer", &ANSWER_KEYS[..]), ("shots", &SHOTS_KEYS)] {
        if let Some(Value::Table(inner)) = table.get(name) {
            check(inner, &format!("{name}."), known)?;
        }
    }
    Ok(())
}

/// A TOML error as one line; the crate draws the place with a caret, in several.
fn first_line(error: &toml::de::Error) -> String {
    error.message().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "name = 'x'\nkind = 'generate'\nprompt = '{q}'\nexpected = '{a}'\n";

    fn problem(text: &str) -> String {
        Definition::read(text, "x.toml").unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let definition = Definition::read(WHOLE, "x.toml").unwrap();
        assert_eq!((definition.max_tokens, definition.stop.len(), definition.choices.as_str()), (256, 0, "choices"));
        assert!(matches!(definition.rule, Rule::Exact { after: None }));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        assert_eq!(
            problem(&format!("{WHOLE}max_token = 3")),
            "`x.toml`: no task has the key `max_token` (did you mean `max_tokens`?)"
        );
        assert_eq!(
            problem(&format!("{WHOLE}[answer]\nrule = 'exact'\naftr = '#'")),
            "`x.toml`: no task has the key `answer.aftr` (did you mean `after`?)"
        );
        assert_eq!(problem("[zebra]"), "`x.toml`: no task has the key `zebra`");
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let cases = [
            ("name = ", "string values must be quoted"),
            ("name = 'x'", "missing field `kind`"),
            ("name = 'x'\nkind = 'quiz'", "unknown variant `quiz`"),
            ("name = 'x'\nkind = 'generate'", "needs `prompt`"),
            ("name = 'x'\nkind = 'code'\nprompt = '{p}'", "needs `program`"),
            ("name = 'x'\nkind = 'generate'\nprompt = '{'\nexpected = ''", "`prompt` has a single `{`"),
        ];
        for (text, part) in cases {
            assert!(problem(text).contains(part), "{}", problem(text));
        }
        let more = [
            ("stop = ['']", "a text of `stop` is empty"),
            ("max_tokens = 0", "leaves no answer"),
            ("max_tokens = -1", "invalid value"),
            ("answer = { rule = 'regex' }", "needs `answer.pattern`"),
            ("answer = { rule = 'regex', pattern = '(' }", "is no pattern"),
            ("answer = { rule = 'regex', pattern = 'a' }", "must have one group (…), and has 0"),
            ("answer = { rule = 'exact', pattern = '(a)' }", "goes with the rule `regex`"),
            ("answer = { rule = 'contains' }", "unknown variant `contains`"),
        ];
        for (line, part) in more {
            assert!(problem(&format!("{WHOLE}{line}")).contains(part), "{}", problem(&format!("{WHOLE}{line}")));
        }
    }
}
