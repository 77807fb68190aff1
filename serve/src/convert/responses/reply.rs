//! Replies in OpenAI's form of responses.

use crate::backend::Finish;
use crate::convert::neutral::{Delta, Ending, Event, Usage};
use serde_json::{Map, Value, json};

/// Makes the events of a reply, and the response they add up to.
///
/// For a stream: [`start`](Self::start), [`delta`](Self::delta) for each piece, [`end`](Self::end). For a response at once: the
/// pieces, and then [`response`](Self::response).
#[derive(Debug, Clone)]
pub struct Encoder {
    unique: String,
    model: String,
    created: u64,
    echo: Map<String, Value>,
    items: Vec<Item>,
    is_open: bool,
    /// Number of the next event.
    sequence: u64,
}

#[derive(Debug, Clone)]
enum Item {
    Message(String),
    Call { number: usize, call_id: String, name: String, arguments: String },
}

impl Encoder {
    /// For a reply of `model` to a request with this `echo`, begun `created` seconds after 1970. The identifiers in it are made
    /// of `unique`.
    pub fn new(unique: &str, model: &str, created: u64, echo: Map<String, Value>) -> Self {
        let (unique, model) = (unique.to_owned(), model.to_owned());
        Self { unique, model, created, echo, items: Vec::new(), is_open: false, sequence: 0 }
    }

    /// The first events.
    pub fn start(&mut self) -> Vec<Event> {
        ["response.created", "response.in_progress"]
            .map(|name| {
                let response = self.whole("in_progress", Value::Null, Value::Null, None);
                self.event(name, json!({ "response": response }))
            })
            .into()
    }

    /// The events of a piece.
    pub fn delta(&mut self, delta: Delta) -> Vec<Event> {
        let mut events = Vec::new();
        match delta {
            Delta::Text(text) => {
                if !self.is_open || !matches!(self.items.last(), Some(Item::Message(_))) {
                    self.open(Item::Message(String::new()), &mut events);
                }
                if let Some(Item::Message(whole)) = self.items.last_mut() {
                    whole.push_str(&text);
                }
                let rest = json!({ "content_index": 0, "delta": text, "logprobs": [] });
                events.push(self.item_event("response.output_text.delta", rest));
            }
            Delta::Call { index: number, id: call_id, name } => {
                self.open(Item::Call { number, call_id, name, arguments: String::new() }, &mut events);
            }
            Delta::Arguments { index, fragment } => {
                if let Some(Item::Call { number, arguments, .. }) = self.items.last_mut()
                    && *number == index
                {
                    arguments.push_str(&fragment);
                    events
                        .push(self.item_event("response.function_call_arguments.delta", json!({ "delta": fragment })));
                }
            }
        }
        events
    }

    /// The last events.
    pub fn end(&mut self, ending: &Ending) -> Vec<Event> {
        let mut events = Vec::new();
        if self.items.is_empty() && ending.finish == Finish::End {
            self.open(Item::Message(String::new()), &mut events);
        }
        self.close(status(&ending.finish), &mut events);
        let name = match status(&ending.finish) {
            "failed" => "response.failed",
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        };
        let response = self.response(ending);
        events.push(self.event(name, json!({ "response": response })));
        events
    }

    /// The whole response.
    pub fn response(&self, ending: &Ending) -> Value {
        let error = match &ending.finish {
            Finish::Failed(message) => json!({ "code": "server_error", "message": message }),
            _ => Value::Null,
        };
        let details = match &ending.finish {
            Finish::Length => json!({ "reason": "max_output_tokens" }),
            // There is no word for a reply that the server cut.
            Finish::Cut => json!({}),
            _ => Value::Null,
        };
        self.whole(status(&ending.finish), error, details, Some(&ending.usage))
    }

    fn whole(&self, status: &str, error: Value, details: Value, usage: Option<&Usage>) -> Value {
        let last = self.items.len().saturating_sub(1);
        let item = |(index, item)| {
            let is_cut = index == last && status != "completed";
            self.item(index, item, if is_cut { "incomplete" } else { "completed" })
        };
        let mut response = json!({
            "id": format!("resp_{}", self.unique),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": error,
            "incomplete_details": details,
            "model": self.model,
            "output": self.items.iter().enumerate().map(item).collect::<Vec<_>>(),
            "previous_response_id": null,
            "reasoning": { "effort": null, "summary": null },
            "store": false,
            "truncation": "disabled",
            "usage": usage.map(usage_of),
            "user": null,
        });
        if let Value::Object(fields) = &mut response {
            fields.extend(self.echo.clone());
        }
        response
    }

    fn id_of(&self, index: usize) -> String {
        let prefix = match self.items.get(index) {
            Some(Item::Call { .. }) => "fc",
            _ => "msg",
        };
        format!("{prefix}_{}_{index}", self.unique)
    }

    fn item(&self, index: usize, item: &Item, status: &str) -> Value {
        let id = self.id_of(index);
        match item {
            Item::Message(text) => {
                let content = if status == "in_progress" { json!([]) } else { json!([part(text)]) };
                json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content })
            }
            Item::Call { call_id, name, arguments, .. } => json!({
                "id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, "status": status,
            }),
        }
    }

    fn open(&mut self, item: Item, events: &mut Vec<Event>) {
        self.close("completed", events);
        self.items.push(item);
        self.is_open = true;
        let index = self.items.len() - 1;
        let item = self.item(index, &self.items[index], "in_progress");
        events.push(self.event("response.output_item.added", json!({ "output_index": index, "item": item })));
        if matches!(self.items[index], Item::Message(_)) {
            let rest = json!({ "content_index": 0, "part": part("") });
            events.push(self.item_event("response.content_part.added", rest));
        }
    }

    fn close(&mut self, status: &str, events: &mut Vec<Event>) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let index = self.items.len() - 1;
        match self.items[index].clone() {
            Item::Message(text) => {
                let rest = json!({ "content_index": 0, "text": text, "logprobs": [] });
                events.push(self.item_event("response.output_text.done", rest));
                let rest = json!({ "content_index": 0, "part": part(&text) });
                events.push(self.item_event("response.content_part.done", rest));
            }
            Item::Call { name, arguments, .. } => {
                let rest = json!({ "name": name, "arguments": arguments });
                events.push(self.item_event("response.function_call_arguments.done", rest));
            }
        }
        let status = if status == "completed" { "completed" } else { "incomplete" };
        let item = self.item(index, &self.items[index], status);
        events.push(self.event("response.output_item.done", json!({ "output_index": index, "item": item })));
    }

    /// An event of the last item.
    fn item_event(&mut self, name: &'static str, rest: Value) -> Event {
        let index = self.items.len() - 1;
        let mut data = json!({ "item_id": self.id_of(index), "output_index": index });
        extend(&mut data, rest);
        self.event(name, data)
    }

    fn event(&mut self, name: &'static str, rest: Value) -> Event {
        let mut data = json!({ "type": name, "sequence_number": self.sequence });
        self.sequence += 1;
        extend(&mut data, rest);
        Event { name, data }
    }
}

fn status(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Policy(_) => "completed",
        Finish::Length | Finish::Cut => "incomplete",
        Finish::Failed(_) => "failed",
    }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn usage_of(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": 0 },
        "output_tokens": usage.completion,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": usage.prompt + usage.completion,
    })
}

fn extend(data: &mut Value, rest: Value) {
    if let (Value::Object(data), Value::Object(rest)) = (data, rest) {
        data.extend(rest);
    }
}
