//! Functions that a reply may call: how a model that knows only text is told of them, and what its reply may then look like.
//!
//! The form is that of Hermes and Qwen, which most small models have seen: the functions stand in `<tools>` in the system
//! message, calls in `<tool_call>`, results in `<tool_response>` in a message of the user. It is text in every member's
//! template, so that members of different families can call together. [`calls`](crate::convert::calls) reads such replies.

use crate::backend::{Constraint, Message, Refusal, Role};
use crate::convert::closed::closed;
use crate::convert::fields::{Fields, invalid};
use crate::convert::neutral::{Call, append};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io;

/// What opens a call.
pub const OPEN: &str = "<tool_call>";
/// What closes a call.
pub const CLOSE: &str = "</tool_call>";

/// A function that can be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON schema of its arguments: an object.
    pub parameters: Value,
}

/// Whether functions are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// As the model likes.
    Auto,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// The functions of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Tools {
    tools: Vec<Tool>,
    choice: Choice,
    parallel: bool,
}

impl Tools {
    /// Functions, of which there must be at least one, with names that can stand in a grammar. `parallel` allows several calls
    /// in a reply, but for a function that is named: it is called once.
    pub fn new(tools: Vec<Tool>, choice: Choice, parallel: bool) -> Result<Self, Refusal> {
        if tools.is_empty() {
            return Err(invalid("tools", "`tools` is empty: leave it out, or name a function."));
        }
        for (index, tool) in tools.iter().enumerate() {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
            if tool.name.is_empty() || tool.name.len() > 128 || !tool.name.chars().all(is_plain) {
                let message = format!(
                    "`{}` is no name for a function: use up to 128 letters, digits, `_`, `-` and `.`.",
                    tool.name
                );
                return Err(invalid("tools", message));
            }
            if tools[..index].iter().any(|other| other.name == tool.name) {
                return Err(invalid("tools", format!("`tools` has two functions `{}`.", tool.name)));
            }
        }
        match &choice {
            Choice::Named(name) if tools.iter().all(|tool| tool.name != *name) => {
                Err(invalid("tool_choice", format!("`tool_choice` asks for `{name}`, which is not among `tools`.")))
            }
            // Where only calls are allowed, a small model goes on calling until the reply is full.
            Choice::Named(_) => Ok(Self { tools, choice, parallel: false }),
            _ => Ok(Self { tools, choice, parallel }),
        }
    }

    /// The functions of OpenAI's chat completions, from `tools`, `tool_choice` and `parallel_tool_calls`; none where there are
    /// none, or where none may be called.
    pub fn of_chat(
        tools: Option<&Value>,
        choice: Option<&Value>,
        parallel: Option<&Value>,
    ) -> Result<Option<Self>, Refusal> {
        let tool = |value: &Value| {
            let mut fields = Fields::new(value, "tools")?;
            check_type(&mut fields)?;
            let function = fields.value("function").ok_or_else(|| fields.missing("function"))?;
            fields.finish()?;
            Tool::of_function(&mut Fields::new(function, "tools")?)
        };
        let named = |value: &Value| {
            let mut fields = Fields::new(value, "tool_choice")?;
            let function = fields.value("function").ok_or_else(|| fields.missing("function"))?;
            Ok(Fields::new(function, "tool_choice")?.required_text("name")?.to_owned())
        };
        Self::of_openai(tools, choice, parallel, tool, named)
    }

    /// The functions of OpenAI's Responses: as [`of_chat`](Self::of_chat), with the function one level higher.
    pub fn of_responses(
        tools: Option<&Value>,
        choice: Option<&Value>,
        parallel: Option<&Value>,
    ) -> Result<Option<Self>, Refusal> {
        let tool = |value: &Value| {
            let mut fields = Fields::new(value, "tools")?;
            check_type(&mut fields)?;
            Tool::of_function(&mut fields)
        };
        let named = |value: &Value| Ok(Fields::new(value, "tool_choice")?.required_text("name")?.to_owned());
        Self::of_openai(tools, choice, parallel, tool, named)
    }

    fn of_openai(
        tools: Option<&Value>,
        choice: Option<&Value>,
        parallel: Option<&Value>,
        tool: impl Fn(&Value) -> Result<Tool, Refusal>,
        named: impl Fn(&Value) -> Result<String, Refusal>,
    ) -> Result<Option<Self>, Refusal> {
        let present = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
        let list = match present(tools) {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().map(tool).collect::<Result<_, _>>()?,
            Some(_) => return Err(invalid("tools", "`tools` must be a list of functions.")),
        };
        let parallel = match present(parallel) {
            None => false,
            Some(Value::Bool(parallel)) => parallel,
            Some(_) => return Err(invalid("parallel_tool_calls", "`parallel_tool_calls` must be true or false.")),
        };
        let choice = match present(choice) {
            None => Some(Choice::Auto),
            Some(Value::String(word)) => match word.as_str() {
                "auto" => Some(Choice::Auto),
                "none" => None,
                "required" => Some(Choice::Required),
                other => {
                    let message = format!("`tool_choice` is `{other}`: use `none`, `auto`, `required` or a function.");
                    return Err(invalid("tool_choice", message));
                }
            },
            Some(value) => {
                if value.get("type").and_then(Value::as_str) != Some("function") {
                    return Err(invalid("tool_choice", "`tool_choice` can choose only a tool of the type `function`."));
                }
                Some(Choice::Named(named(&value)?))
            }
        };
        match choice {
            None => Ok(None),
            Some(Choice::Auto) if list.is_empty() => Ok(None),
            Some(_) if list.is_empty() => {
                Err(invalid("tool_choice", "`tool_choice` asks for a call, and `tools` is empty."))
            }
            Some(choice) => Self::new(list, choice, parallel).map(Some),
        }
    }

    /// Names of the functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().map(|tool| tool.name.as_str())
    }

    /// Describes the functions in the chat's system message, which is made where there is none.
    pub fn describe(&self, messages: &mut Vec<Message>) {
        let text = self.description();
        match messages.first_mut() {
            Some(first) if first.role == Role::System => {
                first.content.push_str("\n\n");
                first.content.push_str(&text);
            }
            _ => messages.insert(0, Message { role: Role::System, content: text }),
        }
    }

    fn description(&self) -> String {
        let mut text =
            "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with \
            function signatures within <tools></tools> XML tags:\n<tools>\n"
                .to_owned();
        for Tool { name, description, parameters } in &self.tools {
            let mut function = Map::new();
            function.insert("name".to_owned(), json!(name));
            if let Some(description) = description {
                function.insert("description".to_owned(), json!(description));
            }
            function.insert("parameters".to_owned(), parameters.clone());
            text.push_str(&spaced(&json!({ "type": "function", "function": function })));
            text.push('\n');
        }
        text.push_str(
            "</tools>\n\nFor each function call, return a json object with function name and arguments within \
             <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n\
             </tool_call>",
        );
        text
    }

    /// What a reply may look like. `shape` is what the request says of replies besides; with calls that must be made, and for
    /// grammars, it is refused.
    ///
    /// The arguments keep to each function's schema, and have no properties that it does not name. Where calls are the model's choice, a text has no `<tool_call>` unless a
    /// whole call follows it.
    pub fn constraint(&self, shape: Option<&Constraint>) -> Result<Constraint, Refusal> {
        let answer = match (&self.choice, shape) {
            (_, Some(Constraint::Lark(_))) => {
                return Err(invalid("grammar", "`grammar` cannot stand beside `tools`: leave one of them out."));
            }
            (Choice::Required | Choice::Named(_), Some(Constraint::Schema(_))) => {
                let message = "`response_format` says what an answer looks like, and `tool_choice` allows only calls: leave one \
                    of them out.";
                return Err(invalid("response_format", message));
            }
            (Choice::Auto, Some(Constraint::Schema(schema))) => Some(nested(schema)),
            (_, None) => None,
        };
        // Greedy and lazy are the same for HEAD: it has one `<tool_call>`, at its end.
        let mut lark = match (&self.choice, answer) {
            (Choice::Required | Choice::Named(_), _) => format!("start: \"{OPEN}\" rest\n"),
            (Choice::Auto, Some(answer)) => format!("start: answer | \"{OPEN}\" rest\nanswer: {answer}\n"),
            (Choice::Auto, None) => {
                format!("start: TEXT | HEAD rest\nTEXT: /(?s:.*)/ & ~/(?s:.*){OPEN}(?s:.*)/\nHEAD: TEXT \"{OPEN}\"\n")
            }
        };
        let more = if self.parallel { format!(" (\"\\n{OPEN}\" call)*") } else { String::new() };
        let _ = writeln!(lark, "rest: call{more}");
        let callable = |tool: &&Tool| !matches!(&self.choice, Choice::Named(name) if *name != tool.name);
        let callable: Vec<&Tool> = self.tools.iter().filter(callable).collect();
        let names: Vec<String> = (0..callable.len()).map(|index| format!("function{index}")).collect();
        let _ = writeln!(lark, "call: \"\\n\" ({}) \"\\n</tool_call>\"", names.join(" | "));
        for (tool, rule) in callable.iter().zip(names) {
            let head = json!(format!("{{\"name\": \"{}\", \"arguments\": ", tool.name));
            let _ = writeln!(lark, "{rule}: {head} arguments_of_{rule} \"}}\"");
            let _ = writeln!(lark, "arguments_of_{rule}: {}", nested(&closed(tool.parameters.clone())));
        }
        Ok(Constraint::Lark(lark))
    }
}

impl Tool {
    /// A function from the fields `name`, `description`, `parameters` and `strict`, which are all there may be.
    fn of_function(fields: &mut Fields<'_>) -> Result<Self, Refusal> {
        fields.flag("strict")?;
        let name = fields.required_text("name")?.to_owned();
        let description = fields.text("description")?.map(str::to_owned);
        let parameters = object_schema(fields.value("parameters"), "tools")?;
        fields.check()?;
        Ok(Self { name, description, parameters })
    }
}

fn check_type(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    match fields.required_text("type")? {
        "function" => Ok(()),
        other => Err(invalid("tools", format!("A tool has the type `{other}`: only `function` is supported."))),
    }
}

/// A schema of arguments: an object, which it says itself afterwards.
pub(crate) fn object_schema(schema: Option<&Value>, param: &'static str) -> Result<Value, Refusal> {
    let mut schema = match schema {
        None => json!({ "properties": {} }),
        Some(schema @ Value::Object(_)) => schema.clone(),
        Some(_) => return Err(invalid(param, "A function's parameters must be a JSON schema, which is an object.")),
    };
    match schema.get("type") {
        None => schema["type"] = json!("object"),
        Some(kind) if kind == "object" => {}
        Some(kind) => {
            return Err(invalid(param, format!("A function's parameters must be of the type `object`, not {kind}.")));
        }
    }
    Ok(schema)
}

/// How arguments are written: as the history has them, with no white space that is free. It is that of schemas on their own,
/// `json_style` of the crate that reads grammars, which is none of this one's dependencies.
fn json_style() -> Value {
    json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " })
}

/// A schema inside a grammar in Lark, in the style of [`json_style`] unless it brings its own.
fn nested(schema: &Value) -> String {
    let mut schema = schema.clone();
    if let Value::Object(keys) = &mut schema {
        keys.entry("x-guidance").or_insert_with(json_style);
    }
    format!("%json {schema}")
}

/// A reply of the history with its calls, as the model would have written it.
pub fn reply_text(content: &str, calls: &[Call]) -> String {
    let mut text = content.to_owned();
    for call in calls {
        if !text.is_empty() {
            text.push('\n');
        }
        // Arguments that are no JSON were written by a model that was cut: they stay as they are.
        let arguments =
            serde_json::from_str(&call.arguments).map_or_else(|_| call.arguments.clone(), |json| spaced(&json));
        let name = Value::from(call.name.as_str());
        let _ = write!(text, "{OPEN}\n{{\"name\": {name}, \"arguments\": {arguments}}}\n{CLOSE}");
    }
    text
}

/// The calls of an assistant's message in the history of chat completions, from its `tool_calls`.
pub fn calls_of_history(tool_calls: &Value) -> Result<Vec<Call>, Refusal> {
    const PARAM: &str = "messages";
    let Value::Array(list) = tool_calls else { return Err(invalid(PARAM, "`tool_calls` must be a list.")) };
    let call = |value: &Value| {
        let mut fields = Fields::new(value, PARAM)?;
        if fields.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(invalid(PARAM, "A call in `tool_calls` must be of the type `function`."));
        }
        let id = fields.text("id")?.unwrap_or_default().to_owned();
        let function = fields.value("function").ok_or_else(|| fields.missing("function"))?;
        let mut function = Fields::new(function, PARAM)?;
        let name = function.required_text("name")?.to_owned();
        let arguments = function.text("arguments")?.unwrap_or("{}").to_owned();
        Ok(Call { id, name, arguments })
    };
    list.iter().map(call).collect()
}

/// Appends the result of a call to a chat, for the model to read: results that follow one another are one message.
pub fn append_result(messages: &mut Vec<Message>, result: &str) {
    append(messages, Role::User, &format!("<tool_response>\n{result}\n</tool_response>"));
}

/// JSON with a space after `:` and `,`, as Python writes it and models have read it.
fn spaced(value: &Value) -> String {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut bytes = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced));
    written.ok().and_then(|()| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests;
