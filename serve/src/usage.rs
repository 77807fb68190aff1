//! How much a request took, and why its replies ended, in OpenAI's words.

use crate::backend::Finish;
use crate::stream::Reply;
use serde_json::{Value, json};

/// Tokens of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of all prompts, each counted once.
    pub prompt: u32,
    /// Those of them that were known already.
    pub cached: u32,
    /// That stand in the replies.
    pub completion: u32,
    /// That were taken back.
    pub retracted: u32,
}

impl Usage {
    /// Adds the reply of that number, where each prompt has so many.
    pub fn add(&mut self, number: usize, replies: u32, reply: &Reply) {
        if number.is_multiple_of(replies.max(1) as usize) {
            self.prompt += reply.prompt_tokens;
            self.cached += reply.cached_tokens;
        }
        self.completion += reply.tokens;
        self.retracted += reply.retracted;
    }
}

impl From<Usage> for Value {
    fn from(Usage { prompt, cached, completion, retracted }: Usage) -> Self {
        json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "llama_selfmod": {"retracted_tokens": retracted},
        })
    }
}

/// OpenAI's `finish_reason`, which knows no policies and no servers that stop.
pub fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Policy(_) => "stop",
        Finish::Length | Finish::Cut | Finish::Failed(_) => "length",
    }
}

/// Why a reply ended, in our own words: `{"kind": "policy", "reason": "loop"}`. The reason of `stop` is the stop string.
pub fn finish(finish: &Finish) -> Value {
    let (kind, reason) = match finish {
        Finish::End => ("end", None),
        Finish::Stop(stop) => ("stop", stop.as_ref()),
        Finish::Length => ("length", None),
        Finish::Policy(reason) => ("policy", Some(reason)),
        Finish::Cut => ("cut", None),
        Finish::Failed(reason) => ("failed", Some(reason)),
    };
    match reason {
        None => json!({"kind": kind}),
        Some(reason) => json!({"kind": kind, "reason": reason}),
    }
}

/// Adds to a choice what `finish_reason` cannot say.
pub fn explain(choice: &mut Value, why: &Finish) {
    if matches!(why, Finish::Policy(_) | Finish::Cut) {
        choice["llama_selfmod"] = json!({"finish": finish(why)});
    }
}
