//! Jinja as Hugging Face's `apply_chat_template` sets it up.

use super::{TemplateError, stand_in};
use crate::settings::{Message, Speaker};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context, syntax::SyntaxConfig};

/// Bounds what a template in a strange file can do: some hundred thousand messages' worth of steps.
const FUEL: u64 = 20_000_000;
/// What a template is called in messages of the engine.
const NAME: &str = "chat template";

/// A template with what it needs.
pub struct Jinja {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
}

/// The words of `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

impl Jinja {
    /// Checks the syntax.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        // Llama 3 and others ask for the date. It is the date of the load, so that it does not change in the middle of
        // a conversation, which would make every member read all of it again.
        let now = jiff::ZonedDateTime::now();
        let mut environment = Environment::new();
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |words: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, words.clone()).with_source(Raised(words)))
        });
        environment.add_function("strftime_now", move |format: String| {
            jiff::fmt::strtime::format(&format, &now)
                .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
        });
        environment.add_filter("tojson", to_json);
        let jinja = Self { environment, source: generation_blocks(source), bos: bos.into(), eos: eos.into() };
        if stand_in::could_be_mistaken(source) {
            let what = "it has characters of the last private-use plane, which are needed here".into();
            return Err(TemplateError::Broken { line: None, what });
        }
        jinja.template()?;
        Ok(jinja)
    }

    fn template(&self) -> Result<minijinja::Template<'_, '_>, TemplateError> {
        self.environment.template_from_named_str(NAME, &self.source).map_err(explain)
    }

    /// The prompt for these messages, with the beginning of the answer.
    pub fn render(&self, messages: &[Message]) -> Result<String, TemplateError> {
        let context = context! {
            messages => messages.iter().map(said).collect::<Value>(),
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            add_generation_prompt => true,
            tools => (),
            documents => (),
        };
        self.template()?.render(context).map_err(explain)
    }
}

fn said(message: &Message) -> Value {
    let role = match message.role {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
    };
    context! { role, content => message.content.as_str() }
}

fn explain(error: Error) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    // The innermost position is the one in the macro that failed.
    let mut line = None;
    while let Some(current) = cause {
        if let Some(raised) = current.downcast_ref::<Raised>() {
            return TemplateError::Refused { line, what: raised.0.clone() };
        }
        line = current.downcast_ref::<Error>().and_then(Error::line).or(line);
        cause = current.source();
    }
    let what = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}, {detail}", error.kind()));
    TemplateError::Broken { line, what }
}

/// JSON as it is, where minijinja's own filter makes it safe for web pages.
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let json = if indent.is_some() { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
    json.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
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
            "generation" => tag.replace("generation", "if true"),
            "endgeneration" => tag.replace("endgeneration", "endif"),
            _ => tag.to_string(),
        };
        output.extend([&replacement, "%}", rest]);
    }
    output
}
