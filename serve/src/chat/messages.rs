//! The field `messages` of a chat.

use crate::backend::{Message, Role};
use crate::convert::neutral::append;
use crate::convert::tools::{append_result, calls_of_history, reply_text};
use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use serde_json::Value;

/// Takes the conversation. Calls and their results are text in it.
pub(crate) fn take(fields: &mut Fields) -> Result<Vec<Message>, Failure> {
    let items = fields.array("messages")?.unwrap_or_default();
    if items.is_empty() {
        return Err(Failure::field("messages", "`messages` must hold at least one message."));
    }
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        message(index, item, &mut messages)?;
    }
    match messages.last() {
        Some(Message { role: Role::User, .. }) => Ok(messages),
        _ => Err(Failure::field("messages", "The last message must be the user's: that is what the reply is to.")),
    }
}

fn message(index: usize, item: Value, messages: &mut Vec<Message>) -> Result<(), Failure> {
    let at = |field: &str| format!("messages[{index}]{field}");
    let Value::Object(_) = item else { return Err(wrong(&at(""), "an object", &item)) };
    let mut fields = Fields::of(item)?;
    let named = |failure: Failure| Failure { param: failure.param.map(|name| at(&format!(".{name}"))), ..failure };
    let role = fields.text("role").map_err(named)?;
    let content = match fields.take("content") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(parts)) => {
            let part = |(number, part)| text_of(&at(&format!(".content[{number}]")), &part);
            // Clients send a document and a question as parts: put together with nothing between them, words would run together.
            Some(parts.into_iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()?.join("\n"))
        }
        Some(other) => return Err(wrong(&at(".content"), "a string or an array of parts", &other)),
    };
    let missing = || Failure::field(at(".content"), "A message must have a `content`.");
    match role.as_deref() {
        Some("system" | "developer") => append(messages, Role::System, &content.ok_or_else(missing)?),
        Some("user") => append(messages, Role::User, &content.ok_or_else(missing)?),
        Some("assistant") => {
            let calls = match fields.take("tool_calls") {
                Some(calls) => calls_of_history(&calls)
                    .map_err(|refusal| Failure { param: Some(at(".tool_calls")), ..Failure::from(refusal) })?,
                None => Vec::new(),
            };
            let content = if calls.is_empty() { content.ok_or_else(missing)? } else { content.unwrap_or_default() };
            append(messages, Role::Assistant, &reply_text(&content, &calls));
        }
        Some("tool") => {
            // Results stand in the order of the calls: the name of the call says nothing more.
            fields.ignore(&["tool_call_id"]);
            append_result(messages, &content.ok_or_else(missing)?);
        }
        Some(other) => {
            let message = format!("The role `{other}` is not known. Use system, developer, user, assistant or tool.");
            return Err(Failure::field(at(".role"), message));
        }
        None => return Err(Failure::field(at(".role"), "A message must have a `role`.")),
    }
    fields.end().map_err(named)
}

fn text_of(at: &str, part: &Value) -> Result<String, Failure> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "text" {
        let message = format!("Only parts of type `text` are read, not `{kind}`.");
        return Err(Failure::unsupported(format!("{at}.type"), message));
    }
    match part.get("text") {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(Failure::field(format!("{at}.text"), "A part of type `text` must have a `text`.")),
    }
}
