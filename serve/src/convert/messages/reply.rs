//! Replies in Anthropic's form.

use super::error;
use crate::backend::{Finish, Refusal, RefusalKind};
use crate::convert::neutral::{Delta, Ending, Event, Usage};
use serde_json::{Map, Value, json};

/// Makes the events of a reply, and the message they add up to.
///
/// For a stream: [`start`](Self::start), [`delta`](Self::delta) for each piece, [`end`](Self::end). For a message at once: the
/// pieces, and then [`message`](Self::message).
#[derive(Debug, Clone)]
pub struct Encoder {
    id: String,
    model: String,
    blocks: Vec<Block>,
    is_open: bool,
}

#[derive(Debug, Clone)]
enum Block {
    Text(String),
    Call { number: usize, id: String, name: String, arguments: String },
}

impl Encoder {
    /// For a reply of `model`, with an identifier of its own, which usually begins with `msg_`.
    pub fn new(id: &str, model: &str) -> Self {
        Self { id: id.to_owned(), model: model.to_owned(), blocks: Vec::new(), is_open: false }
    }

    /// The first event, once the prompt is read.
    pub fn start(&self, usage: &Usage) -> Vec<Event> {
        let message = self.whole(Value::Null, Value::Null, usage);
        vec![event("message_start", json!({ "message": message }))]
    }

    /// The events of a piece.
    pub fn delta(&mut self, delta: Delta) -> Vec<Event> {
        let mut events = Vec::new();
        match delta {
            Delta::Text(text) => {
                if !self.is_open || !matches!(self.blocks.last(), Some(Block::Text(_))) {
                    self.open(Block::Text(String::new()), json!({ "type": "text", "text": "" }), &mut events);
                }
                events.push(self.block_delta(json!({ "type": "text_delta", "text": text })));
                if let Some(Block::Text(whole)) = self.blocks.last_mut() {
                    whole.push_str(&text);
                }
            }
            Delta::Call { index: number, id, name } => {
                let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                self.open(Block::Call { number, id, name, arguments: String::new() }, block, &mut events);
            }
            Delta::Arguments { index, fragment } => {
                if let Some(Block::Call { number, arguments, .. }) = self.blocks.last_mut()
                    && *number == index
                {
                    arguments.push_str(&fragment);
                    events.push(self.block_delta(json!({ "type": "input_json_delta", "partial_json": fragment })));
                }
            }
        }
        events
    }

    /// The last events. A reply that failed ends with an error instead.
    pub fn end(&mut self, ending: &Ending) -> Vec<Event> {
        if let Finish::Failed(message) = &ending.finish {
            return vec![Event { name: "error", data: error("api_error", message) }];
        }
        let mut events = Vec::new();
        self.close(&mut events);
        let (reason, stop) = self.reason(ending);
        let delta = json!({ "stop_reason": reason, "stop_sequence": stop });
        events.push(event("message_delta", json!({ "delta": delta, "usage": usage_of(&ending.usage) })));
        events.push(event("message_stop", json!({})));
        events
    }

    /// The whole message. Refused where the reply failed.
    pub fn message(&self, ending: &Ending) -> Result<Value, Refusal> {
        if let Finish::Failed(message) = &ending.finish {
            return Err(Refusal { kind: RefusalKind::Failure, message: message.clone(), param: None });
        }
        let (reason, stop) = self.reason(ending);
        Ok(self.whole(json!(reason), stop, &ending.usage))
    }

    fn whole(&self, reason: Value, stop: Value, usage: &Usage) -> Value {
        let block = |block: &Block| match block {
            Block::Text(text) => json!({ "type": "text", "text": text }),
            Block::Call { id, name, arguments, .. } => {
                // What was cut is no JSON; the reason to stop says so.
                let input = serde_json::from_str::<Map<String, Value>>(arguments).unwrap_or_default();
                json!({ "type": "tool_use", "id": id, "name": name, "input": input })
            }
        };
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": self.blocks.iter().map(block).collect::<Vec<_>>(),
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": usage_of(usage),
        })
    }

    fn reason(&self, ending: &Ending) -> (&'static str, Value) {
        let has_calls = self.blocks.iter().any(|block| matches!(block, Block::Call { .. }));
        match &ending.finish {
            // There is no word for a reply that the server cut: it is shorter than it should be.
            Finish::Length | Finish::Cut => ("max_tokens", Value::Null),
            Finish::Stop(stop) => ("stop_sequence", json!(stop)),
            _ if has_calls => ("tool_use", Value::Null),
            _ => ("end_turn", Value::Null),
        }
    }

    fn open(&mut self, block: Block, shown: Value, events: &mut Vec<Event>) {
        self.close(events);
        self.blocks.push(block);
        self.is_open = true;
        events.push(event("content_block_start", json!({ "index": self.index(), "content_block": shown })));
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.is_open) {
            events.push(event("content_block_stop", json!({ "index": self.index() })));
        }
    }

    fn block_delta(&self, delta: Value) -> Event {
        event("content_block_delta", json!({ "index": self.index(), "delta": delta }))
    }

    fn index(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }
}

/// The event that keeps a silent connection open.
pub fn ping() -> Event {
    event("ping", json!({}))
}

/// Anthropic counts what was read from the cache apart from the rest of the prompt.
fn usage_of(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    })
}

/// An event whose data begin with its name as `type`.
fn event(name: &'static str, rest: Value) -> Event {
    let mut data = json!({ "type": name });
    if let (Value::Object(data), Value::Object(rest)) = (&mut data, rest) {
        data.extend(rest);
    }
    Event { name, data }
}
