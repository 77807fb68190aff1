//! OpenAI's Responses: requests as neutral ones, and replies as their results and events.
//!
//! Nothing is kept: every result says `store: false`, whatever was asked for, and a request that builds on an earlier response
//! is refused. Tools are functions alone.

mod reply;

pub use reply::Encoder;

use crate::backend::{Message, Refusal, Role, Sampling};
use crate::convert::fields::{Fields, invalid, kind};
use crate::convert::neutral::{Call, ChatRequest, append, awaits_reply};
use crate::convert::shape::of_text_format;
use crate::convert::tools::{Tools, append_result, reply_text};
use serde_json::{Map, Value, json};

/// A request, and what its result repeats of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is asked for.
    pub chat: ChatRequest,
    /// Fields of the result that say what was asked for.
    pub echo: Map<String, Value>,
}

/// The request in the body of `/v1/responses`.
pub fn request(body: &Value) -> Result<Request, Refusal> {
    let mut fields = Fields::new(body, "body")?;
    refuse_what_is_kept(&mut fields)?;
    let instructions = fields.text("instructions")?;
    let mut messages = Vec::new();
    if let Some(text) = instructions {
        append(&mut messages, Role::System, text);
    }
    match fields.value("input").ok_or_else(|| fields.missing("input"))? {
        Value::String(text) => append(&mut messages, Role::User, text),
        Value::Array(items) => append_items(&mut messages, items)?,
        other => {
            return Err(invalid("input", format!("`input` must be a string or a list of items, not {}.", kind(other))));
        }
    }
    if !awaits_reply(&messages) {
        return Err(invalid(
            "input",
            "`input` must end with a message of the user or with the output of a function call.",
        ));
    }
    let text = fields.value("text");
    let format = text.map(text_format).transpose()?.flatten();
    let shape = format.map(of_text_format).transpose()?.flatten();
    let (list, choice, parallel) =
        (fields.value("tools"), fields.value("tool_choice"), fields.value("parallel_tool_calls"));
    let tools = Tools::of_responses(list, choice, parallel)?;
    let constraint = match &tools {
        Some(tools) => {
            tools.describe(&mut messages);
            // The parameter is called otherwise here than in chat completions.
            Some(tools.constraint(shape.as_ref()).map_err(|refusal| Refusal {
                param: refusal.param.map(|param| if param == "response_format" { "text.format" } else { param }),
                message: refusal.message.replace("`response_format`", "`text.format`"),
                ..refusal
            })?)
        }
        None => shape,
    };
    let chat = ChatRequest {
        model: fields.text("model")?.map(str::to_owned),
        messages,
        tools,
        constraint,
        max_tokens: fields.count("max_output_tokens", 1)?,
        sampling: Sampling {
            temperature: fields.number("temperature", 2.0)?,
            top_p: fields.number("top_p", 1.0)?,
            ..Sampling::default()
        },
        stop: Vec::new(),
        seed: None,
        stream: fields.flag("stream")?.unwrap_or(false),
    };
    let metadata = fields.value("metadata").cloned().unwrap_or_else(|| json!({}));
    fields.finish()?;
    let Value::Object(echo) = json!({
        "instructions": instructions,
        "max_output_tokens": chat.max_tokens,
        "metadata": metadata,
        "parallel_tool_calls": parallel.unwrap_or(&Value::Bool(false)),
        "temperature": body.get("temperature"),
        "text": { "format": format.unwrap_or(&json!({ "type": "text" })) },
        "tool_choice": choice.unwrap_or(&json!("auto")),
        "tools": list.map_or_else(|| json!([]), whole_tools),
        "top_p": body.get("top_p"),
    }) else {
        unreachable!("it is written as an object");
    };
    Ok(Request { chat, echo })
}

/// Refuses what a server without a memory cannot do, and passes over what changes nothing.
fn refuse_what_is_kept(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    if fields.flag("background")? == Some(true) {
        return Err(invalid("background", "`background` is not supported: a response is sent while it is written."));
    }
    for name in ["previous_response_id", "conversation"] {
        if fields.value(name).is_some() {
            let message = format!(
                "`{name}` is not supported, since no response is kept: send the whole conversation in `input`."
            );
            return Err(invalid(name, message));
        }
    }
    if fields.text("truncation")?.is_some_and(|truncation| truncation != "disabled") {
        return Err(invalid("truncation", "`truncation` must be `disabled`: nothing is left out of a conversation."));
    }
    // No reply has reasoning, so there is nothing to include of it.
    let has_other = |items: &[Value]| items.iter().any(|item| item != "reasoning.encrypted_content");
    if fields.list("include")?.is_some_and(has_other) {
        return Err(invalid("include", "`include` is not supported: leave it out."));
    }
    if let Some(reasoning) = fields.value("reasoning") {
        let asks = |field: &str| reasoning.get(field).is_some_and(|value| !value.is_null() && value != "none");
        if ["effort", "summary", "generate_summary"].into_iter().any(asks) {
            return Err(invalid("reasoning", "`reasoning` is not supported: leave it out."));
        }
    }
    if fields.count("top_logprobs", 0)?.is_some_and(|count| count > 0) {
        return Err(invalid("top_logprobs", "`top_logprobs` is not supported here: use chat completions."));
    }
    fields.flag("store")?;
    fields.ignore(&[
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "stream_options",
    ]);
    Ok(())
}

/// `format` in `text`.
fn text_format(text: &Value) -> Result<Option<&Value>, Refusal> {
    let mut fields = Fields::new(text, "text")?;
    if fields.text("verbosity")?.is_some_and(|verbosity| verbosity != "medium") {
        return Err(invalid("text", "`verbosity` in `text` is not supported: leave it out."));
    }
    let format = fields.value("format");
    fields.finish()?;
    Ok(format)
}

fn append_items(messages: &mut Vec<Message>, items: &[Value]) -> Result<(), Refusal> {
    const PARAM: &str = "input";
    for item in items {
        let mut fields = Fields::new(item, PARAM)?;
        match fields.text("type")?.unwrap_or("message") {
            "message" => {
                let role = match fields.required_text("role")? {
                    "user" => Role::User,
                    "assistant" => Role::Assistant,
                    "system" | "developer" => Role::System,
                    other => {
                        return Err(invalid(
                            PARAM,
                            format!("A message in `input` has the role `{other}`, which there is not."),
                        ));
                    }
                };
                let content = fields.value("content").ok_or_else(|| fields.missing("content"))?;
                append(messages, role, &text_of(content)?);
            }
            "function_call" => {
                let call = Call {
                    id: fields.required_text("call_id")?.to_owned(),
                    name: fields.required_text("name")?.to_owned(),
                    arguments: fields.required_text("arguments")?.to_owned(),
                };
                append(messages, Role::Assistant, &reply_text("", &[call]));
            }
            "function_call_output" => {
                let output = fields.value("output").ok_or_else(|| fields.missing("output"))?;
                append_result(messages, &text_of(output)?);
            }
            other => {
                let message = format!(
                    "An item of the type `{other}` is not supported in `input`: messages and function calls are."
                );
                return Err(invalid(PARAM, message));
            }
        }
    }
    Ok(())
}

/// The text of a string, or of parts of text, a line break between two.
fn text_of(content: &Value) -> Result<String, Refusal> {
    const PARAM: &str = "input";
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        other => {
            return Err(invalid(
                PARAM,
                format!("Content in `input` must be a string or a list of parts, not {}.", kind(other)),
            ));
        }
    };
    let mut texts = Vec::new();
    for part in parts {
        let mut fields = Fields::new(part, PARAM)?;
        match fields.required_text("type")? {
            "input_text" | "output_text" | "text" => texts.push(fields.required_text("text")?),
            "refusal" => texts.push(fields.required_text("refusal")?),
            other => {
                return Err(invalid(
                    PARAM,
                    format!("A part of the type `{other}` is not supported in `input`: only text is."),
                ));
            }
        }
    }
    Ok(texts.join("\n"))
}

/// Functions with all fields that clients expect in a result.
fn whole_tools(tools: &Value) -> Value {
    let whole = |tool: &Value| {
        let mut tool = tool.clone();
        for field in ["parameters", "strict", "description"] {
            if tool.get(field).is_none() {
                tool[field] = Value::Null;
            }
        }
        tool
    };
    tools.as_array().into_iter().flatten().map(whole).collect()
}

#[cfg(test)]
mod tests;
