//! Anthropic's Messages: requests as neutral ones, and replies as their messages and events.
//!
//! Nothing is kept between requests. What a request asks for and a reply cannot honour is refused: images, documents, thinking,
//! tools of Anthropic's own.

mod reply;

pub use reply::{Encoder, ping};

use crate::backend::{Constraint, Message, Refusal, RefusalKind, Role, Sampling};
use crate::convert::fields::{Fields, invalid};
use crate::convert::neutral::{Call, ChatRequest, append, awaits_reply};
use crate::convert::tools::{Choice, Tool, Tools, append_result, object_schema, reply_text};
use serde_json::{Value, json};

/// The request in the body of `/v1/messages`.
pub fn request(body: &Value) -> Result<ChatRequest, Refusal> {
    let mut fields = Fields::new(body, "body")?;
    let mut request = chat(&mut fields)?;
    request.max_tokens = Some(fields.count("max_tokens", 1)?.ok_or_else(|| fields.missing("max_tokens"))?);
    request.sampling = Sampling {
        temperature: fields.number("temperature", 1.0)?,
        top_p: fields.number("top_p", 1.0)?,
        top_k: fields.count("top_k", 0)?,
        ..Sampling::default()
    };
    for stop in fields.list("stop_sequences")?.unwrap_or_default() {
        match stop.as_str() {
            Some(stop) if !stop.is_empty() => request.stop.push(stop.to_owned()),
            _ => {
                return Err(invalid(
                    "stop_sequences",
                    "`stop_sequences` must be a list of strings that are not empty.",
                ));
            }
        }
    }
    request.stream = fields.flag("stream")?.unwrap_or(false);
    fields.ignore(&["service_tier"]);
    fields.finish()?;
    Ok(request)
}

/// The request in the body of `/v1/messages/count_tokens`, whose messages are to be counted.
pub fn count_request(body: &Value) -> Result<ChatRequest, Refusal> {
    let mut fields = Fields::new(body, "body")?;
    let request = chat(&mut fields)?;
    fields.finish()?;
    Ok(request)
}

/// The answer of `/v1/messages/count_tokens`.
pub fn count(tokens: u32) -> Value {
    json!({ "input_tokens": tokens })
}

/// A refusal in Anthropic's form, and its HTTP status.
pub fn refused(refusal: &Refusal) -> (u16, Value) {
    let (status, kind) = match refusal.kind {
        RefusalKind::Invalid | RefusalKind::TooLong => (400, "invalid_request_error"),
        RefusalKind::Unknown => (404, "not_found_error"),
        RefusalKind::Failure => (500, "api_error"),
    };
    (status, error(kind, &refusal.message))
}

/// An error in Anthropic's form. `kind` is one of its types: `authentication_error` with 401, `rate_limit_error` with 429,
/// `overloaded_error` with 529.
pub fn error(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

/// What both endpoints take.
fn chat(fields: &mut Fields<'_>) -> Result<ChatRequest, Refusal> {
    let model = Some(fields.required_text("model")?.to_owned());
    let mut messages = Vec::new();
    if let Some(system) = fields.value("system") {
        append(&mut messages, Role::System, &text_of(system, "system")?);
    }
    for message in fields.list("messages")?.ok_or_else(|| fields.missing("messages"))? {
        append_message(&mut messages, message)?;
    }
    if !awaits_reply(&messages) {
        let message = "The last of `messages` must be of the role `user`: a reply that is begun cannot be continued.";
        return Err(invalid("messages", message));
    }
    if let Some(thinking) = fields.value("thinking")
        && thinking.get("type").and_then(Value::as_str) != Some("disabled")
    {
        return Err(invalid("thinking", "`thinking` is not supported: leave it out, or give it the type `disabled`."));
    }
    let shape = fields.value("output_config").map(shape).transpose()?.flatten();
    // Who asks, and what the server may keep of it, changes nothing in a reply.
    fields.ignore(&["metadata", "cache_control"]);
    let tools = tools(fields.list("tools")?, fields.value("tool_choice"))?;
    let constraint = match &tools {
        Some(tools) => {
            tools.describe(&mut messages);
            Some(tools.constraint(shape.as_ref())?)
        }
        None => shape,
    };
    let (sampling, stop) = (Sampling::default(), Vec::new());
    Ok(ChatRequest { model, messages, tools, constraint, max_tokens: None, sampling, stop, seed: None, stream: false })
}

/// `output_config`, of which only a JSON schema is supported.
fn shape(config: &Value) -> Result<Option<Constraint>, Refusal> {
    const PARAM: &str = "output_config";
    let mut fields = Fields::new(config, PARAM)?;
    let format = fields.value("format");
    fields.finish()?;
    let Some(format) = format else { return Ok(None) };
    let mut fields = Fields::new(format, PARAM)?;
    if fields.required_text("type")? != "json_schema" {
        return Err(invalid(PARAM, "The format in `output_config` must be of the type `json_schema`."));
    }
    let schema = fields.value("schema").ok_or_else(|| fields.missing("schema"))?.clone();
    fields.finish()?;
    Ok(Some(Constraint::Schema(schema)))
}

fn append_message(messages: &mut Vec<Message>, message: &Value) -> Result<(), Refusal> {
    const PARAM: &str = "messages";
    let mut fields = Fields::new(message, PARAM)?;
    let role = fields.required_text("role")?;
    let content = fields.value("content").ok_or_else(|| fields.missing("content"))?;
    fields.finish()?;
    let text = |content: &Value| text_of(content, PARAM);
    match (role, content) {
        ("user", Value::Array(blocks)) => {
            for block in blocks {
                match kind_of(block) {
                    "tool_result" => append_result(messages, &result_text(block)?),
                    _ => append(messages, Role::User, &text(&json!([block]))?),
                }
            }
        }
        ("assistant", Value::Array(blocks)) => {
            let (mut said, mut calls) = (Vec::new(), Vec::new());
            for block in blocks {
                match kind_of(block) {
                    "tool_use" => calls.push(call(block)?),
                    _ => said.push(block.clone()),
                }
            }
            append(messages, Role::Assistant, &reply_text(&text(&Value::Array(said))?, &calls));
        }
        ("user", content) => append(messages, Role::User, &text(content)?),
        ("assistant", content) => append(messages, Role::Assistant, &text(content)?),
        ("system", content) => append(messages, Role::System, &text(content)?),
        (role, _) => {
            return Err(invalid(
                PARAM,
                format!("A message has the role `{role}`: use `user`, `assistant` or `system`."),
            ));
        }
    }
    Ok(())
}

fn kind_of(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// The text of a string, or of blocks of text, a line break between two.
fn text_of(content: &Value, param: &'static str) -> Result<String, Refusal> {
    let blocks = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(blocks) => blocks,
        _ => return Err(invalid(param, format!("The content in `{param}` must be a string or a list of blocks."))),
    };
    let mut texts = Vec::new();
    for block in blocks {
        let mut fields = Fields::new(block, param)?;
        match fields.required_text("type")? {
            "text" => texts.push(fields.required_text("text")?),
            other => {
                return Err(invalid(
                    param,
                    format!("A block of the type `{other}` is not supported in `{param}`: only text is."),
                ));
            }
        }
    }
    Ok(texts.join("\n"))
}

fn call(block: &Value) -> Result<Call, Refusal> {
    let mut fields = Fields::new(block, "messages")?;
    let (id, name) = (fields.required_text("id")?.to_owned(), fields.required_text("name")?.to_owned());
    let arguments = fields.value("input").map_or_else(|| "{}".to_owned(), Value::to_string);
    Ok(Call { id, name, arguments })
}

fn result_text(block: &Value) -> Result<String, Refusal> {
    let mut fields = Fields::new(block, "messages")?;
    fields.required_text("tool_use_id")?;
    let text = fields.value("content").map_or_else(|| Ok(String::new()), |content| text_of(content, "messages"))?;
    Ok(if fields.flag("is_error")?.unwrap_or(false) { format!("Error: {text}") } else { text })
}

fn tools(list: Option<&[Value]>, choice: Option<&Value>) -> Result<Option<Tools>, Refusal> {
    let tool = |value: &Value| {
        let mut fields = Fields::new(value, "tools")?;
        if let Some(kind) = fields.text("type")?.filter(|&kind| kind != "custom") {
            return Err(invalid(
                "tools",
                format!("A tool has the type `{kind}`: only tools with an `input_schema` are supported."),
            ));
        }
        let name = fields.required_text("name")?.to_owned();
        let description = fields.text("description")?.map(str::to_owned);
        let schema = fields.value("input_schema").ok_or_else(|| fields.missing("input_schema"))?;
        fields.flag("strict")?;
        fields.ignore(&["cache_control", "input_examples", "eager_input_streaming"]);
        fields.finish()?;
        Ok(Tool { name, description, parameters: object_schema(Some(schema), "tools")? })
    };
    let list: Vec<Tool> = list.unwrap_or_default().iter().map(tool).collect::<Result<_, _>>()?;
    let (mut choosing, mut parallel) = (Choice::Auto, false);
    if let Some(choice) = choice {
        let mut fields = Fields::new(choice, "tool_choice")?;
        choosing = match fields.required_text("type")? {
            "auto" => Choice::Auto,
            "any" => Choice::Required,
            "tool" => Choice::Named(fields.required_text("name")?.to_owned()),
            "none" => return Ok(None),
            other => {
                let message = format!("`tool_choice` has the type `{other}`: use `auto`, `any`, `tool` or `none`.");
                return Err(invalid("tool_choice", message));
            }
        };
        parallel = fields.flag("disable_parallel_tool_use")? == Some(false);
        fields.finish()?;
    }
    match choosing {
        Choice::Auto if list.is_empty() => Ok(None),
        _ if list.is_empty() => Err(invalid("tool_choice", "`tool_choice` asks for a call, and `tools` is empty.")),
        choosing => Tools::new(list, choosing, parallel).map(Some),
    }
}

#[cfg(test)]
mod tests;
