//! Jinja as Hugging Face's `apply_chat_template` sets it up.
//!
//! The parser is minijinja's. The interpreter is our own, because it has to know of every character of a prompt who wrote
//! it ([`super::text`]), to bound whatever a template does ([`super::work`]), and to print what Python prints.

use super::TemplateError;
use super::interpreter::Interpreter;
use super::text::{Owner, TEMPLATE, Text};
use super::value::Value;
use super::work::{Done, Fault, FaultKind, Work};
use crate::settings::{Message, Speaker};
use minijinja::machinery::{Token, ast::Stmt, parse, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Longest template, in bytes. The longest of 70 real ones has 17,000.
const LONGEST_SOURCE: usize = 256 * 1024;
/// Most tokens in one pair of braces, where they may all nest. Real templates have up to 57.
const MOST_TOKENS: usize = 1000;
/// Most `elif`, which nest too. Real templates have up to 40.
const MOST_BRANCHES: usize = 1000;
/// Stack of the thread that parses and renders. Only what is used of it takes memory.
const STACK: usize = 64 << 20;
/// What a rendering may use up, in units of work: a fifth of a second and 200 MB, measured with the worst templates known. A real
/// template takes a fiftieth of it for a short chat.
const BUDGET: usize = 32 << 20;
/// What it may use up for each byte of the messages, for each message, and for each pair of them. Gemma 4 looks at all messages
/// for each message, and Reka Edge copies the whole prompt for each.
const BUDGET_FOR_BYTE: usize = 64;
const BUDGET_FOR_MESSAGE: usize = 256 << 10;
const BUDGET_FOR_PAIR: usize = 256;
/// What it may use up in all: some two seconds.
const LARGEST_BUDGET: usize = 1 << 30;
/// Longest prompt beside four times the messages, in bytes: a million tokens of the template's own.
const LONGEST_PROMPT: usize = 4 << 20;

/// Most characters of an error message; a template that explains why it refuses a conversation takes up to 300.
const MOST_WORDS: usize = 1000;

/// A template with what it needs.
pub struct Jinja {
    source: String,
    bos: String,
    eos: String,
    now: jiff::ZonedDateTime,
}

/// A prompt in stretches of one owner each.
pub type Stretches = Vec<(String, Owner)>;

impl Jinja {
    /// Checks size and syntax. `now` is what the template is told of the time.
    pub fn new(source: &str, bos: &str, eos: &str, now: jiff::ZonedDateTime) -> Result<Self, TemplateError> {
        if source.len() > LONGEST_SOURCE {
            let what = format!("it is longer than {} KiB", LONGEST_SOURCE >> 10);
            return Err(TemplateError::Broken { line: None, what });
        }
        // As Jinja2 does it.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let jinja = Self { source: generation_blocks(&source), bos: bos.into(), eos: eos.into(), now };
        on_deep_stack(|| jinja.parsed().map(drop))?;
        Ok(jinja)
    }

    fn parsed(&self) -> Result<Stmt<'_>, TemplateError> {
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(explain_syntax)?;
        let (mut in_tag, mut branches) = (0, 0);
        for token in tokenize(&self.source, false, syntax.clone()) {
            let (token, span) = token.map_err(explain_syntax)?;
            in_tag = if matches!(token, Token::VariableStart | Token::BlockStart) { 0 } else { in_tag + 1 };
            branches += usize::from(matches!(token, Token::Ident("elif")));
            if in_tag > MOST_TOKENS || branches > MOST_BRANCHES {
                let what = "it is nested too deeply".into();
                return Err(TemplateError::Broken { line: Some(span.start_line.into()), what });
            }
        }
        parse(&self.source, "chat template", syntax).map_err(explain_syntax)
    }

    /// The prompt for these messages, with the beginning of the answer.
    pub fn render(&self, messages: &[Message]) -> Result<Stretches, TemplateError> {
        on_deep_stack(|| {
            let template = self.parsed()?;
            let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
            let for_each = BUDGET_FOR_MESSAGE.saturating_add(BUDGET_FOR_PAIR.saturating_mul(messages.len()));
            let for_messages =
                for_each.saturating_mul(messages.len()).saturating_add(BUDGET_FOR_BYTE.saturating_mul(bytes));
            let work = Work::new(BUDGET.saturating_add(for_messages).min(LARGEST_BUDGET));
            let names = self.names(&work, messages).map_err(explain)?;
            let text = Interpreter::new(&work, &self.now, names).render(&template).map_err(explain)?;
            if text.len() > LONGEST_PROMPT.saturating_add(bytes.saturating_mul(4)) {
                return Err(TemplateError::TooMuch { line: None });
            }
            Ok(text.stretches(0..text.len()).map(|(text, owner)| (text.into(), owner)).collect())
        })
    }

    fn names(&self, work: &Work, messages: &[Message]) -> Done<Vec<(&'static str, Value)>> {
        let mut list = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let role = match message.role {
                Speaker::System => "system",
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
            };
            let content = Value::Text(Text::new(work, &message.content, TEMPLATE + 1 + index)?);
            let role = (Value::text(work, "role")?, Value::text(work, role)?);
            list.push(Value::dict(work, [role, (Value::text(work, "content")?, content)])?);
        }
        Ok(vec![
            ("messages", Value::list(work, list)?),
            ("bos_token", Value::text(work, &self.bos)?),
            ("eos_token", Value::text(work, &self.eos)?),
            ("add_generation_prompt", Value::Bool(true)),
            ("tools", Value::None),
            ("documents", Value::None),
        ])
    }
}

/// Runs `work` where there is stack for all that the limits allow.
fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T, TemplateError> + Send) -> Result<T, TemplateError> {
    let failed = |what: String| TemplateError::Broken { line: None, what };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("template".into()).stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| failed(format!("there is no memory for it ({error})")))?;
        thread.join().unwrap_or_else(|_| Err(failed("its interpreter failed".into())))
    })
}

fn explain(fault: Fault) -> TemplateError {
    let line = fault.line;
    match fault.kind {
        FaultKind::Broken(what) => TemplateError::Broken { line, what: shortened(what) },
        FaultKind::Refused(what) => TemplateError::Refused { line, what: shortened(what) },
        FaultKind::Spent => TemplateError::TooMuch { line },
    }
}

fn explain_syntax(error: minijinja::Error) -> TemplateError {
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}, {detail}", error.kind()));
    TemplateError::Broken { line: error.line(), what: shortened(what) }
}

/// Words of a template, or with names of it, that fit into a message.
fn shortened(words: String) -> String {
    match words.char_indices().nth(MOST_WORDS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// `{% generation %}` marks the assistant's text for training. Here it is a block that is always rendered.
fn generation_blocks(source: &str) -> String {
    let mut pieces = source.split("{%");
    let mut output = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        output.push_str("{%");
        let Some((tag, rest)) = piece.split_once("%}") else {
            output.push_str(piece);
            continue;
        };
        let replacement = match tag.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace()) {
            "generation" => tag.replace("generation", "with"),
            "endgeneration" => tag.replace("endgeneration", "endwith"),
            _ => tag.to_string(),
        };
        output.extend([&replacement, "%}", rest]);
    }
    output
}
