//! Fields that all requests for text have in common.

use crate::backend::{Ask, MOST_ALTERNATIVES, Prompt, Sampling};
use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use crate::shape::Shape;
use crate::state::State;
use crate::stream::View;
use serde_json::{Value, json};

/// Most texts that end a reply.
const MOST_STOPS: usize = 16;

/// Most replies to a prompt.
const MOST_REPLIES: u32 = 8;

/// Fields that change nothing of what is written: they concern bookkeeping, caches and speed.
const HARMLESS: &[&str] = &[
    "user",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
    "cache_prompt",
];

/// How replies are written and delivered, whatever they continue.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// How units are drawn.
    pub sampling: Sampling,
    /// Longest reply in units.
    pub max_tokens: Option<u32>,
    /// Of the random draws of the first reply; the next one has one more.
    pub seed: Option<u64>,
    /// Texts that end the reply.
    pub stop: Vec<String>,
    /// Added to logits.
    pub bias: Vec<(u32, f32)>,
    /// How many of the newest units may be taken back.
    pub hold: Option<u32>,
    /// Replies to each prompt.
    pub replies: u32,
    /// The reply comes in parts.
    pub stream: bool,
    /// The last part says how many tokens there were.
    pub include_usage: bool,
    /// The client can take text back.
    pub retractions: bool,
    /// The end of the text is not written.
    pub ignore_end: bool,
}

impl Common {
    /// Takes these fields, and refuses the model if it is another one.
    pub fn take(fields: &mut Fields, state: &State) -> Result<Self, Failure> {
        state.check_model(fields.text("model")?.as_deref())?;
        let sampling = Sampling {
            temperature: fields.number("temperature", 0.0..=5.0)?,
            top_p: fields.number("top_p", 0.0..=1.0)?,
            top_k: fields.integer("top_k", 0..=u32::MAX)?,
            min_p: fields.number("min_p", 0.0..=1.0)?,
            repeat_penalty: fields.number("repeat_penalty", 1.0..=10.0)?,
        };
        let penalty = "It is not supported. Use `repeat_penalty`, or leave it out.";
        fields.only("presence_penalty", &[json!(0)], penalty)?;
        fields.only("frequency_penalty", &[json!(0)], penalty)?;
        fields.only("store", &[json!(false)], "Nothing is stored here. Leave `store` out.")?;
        let common = Self {
            sampling,
            max_tokens: max_tokens(fields)?,
            seed: seed(fields)?,
            stop: stop(fields)?,
            bias: bias(fields, state)?,
            hold: hold(fields, state)?,
            replies: fields.integer("n", 1..=MOST_REPLIES)?.unwrap_or(1),
            stream: fields.flag("stream")?,
            include_usage: include_usage(fields)?,
            retractions: fields.flag("retractions")?,
            ignore_end: fields.flag("ignore_eos")?,
        };
        fields.ignore(HARMLESS);
        Ok(common)
    }

    /// Who looks on: a client that takes text back must have its reply in parts.
    pub fn view(&self) -> View {
        if self.stream && self.retractions { View::All } else { View::Certain }
    }

    /// A job that continues a prompt.
    pub fn ask(&self, prompt: Prompt, shape: &Shape, alternatives: usize) -> Ask {
        Ask {
            prompt,
            given: Vec::new(),
            sampling: self.sampling,
            max_tokens: self.max_tokens,
            seed: self.seed,
            stop: self.stop.clone(),
            bias: self.bias.clone(),
            constraint: shape.constraint.clone(),
            alternatives,
            members: false,
            hold: self.hold,
            ignore_end: self.ignore_end,
        }
    }

    /// As many of a job as replies are asked for, each with its own seed.
    pub fn repeat(&self, ask: &Ask) -> impl Iterator<Item = Ask> {
        (0..u64::from(self.replies)).map(move |reply| {
            let seed = ask.seed.map(|seed| seed.wrapping_add(reply));
            Ask { seed, ..ask.clone() }
        })
    }
}

fn max_tokens(fields: &mut Fields) -> Result<Option<u32>, Failure> {
    let old = fields.integer("max_tokens", 0..=u32::MAX)?;
    let new = fields.integer("max_completion_tokens", 0..=u32::MAX)?;
    match (old, new) {
        (Some(old), Some(new)) if old != new => Err(Failure::field(
            "max_completion_tokens",
            "`max_tokens` and `max_completion_tokens` contradict each other. Send one of them.",
        )),
        (old, new) => Ok(new.or(old)),
    }
}

fn seed(fields: &mut Fields) -> Result<Option<u64>, Failure> {
    let Some(value) = fields.take("seed") else { return Ok(None) };
    match (value.as_u64(), value.as_i64()) {
        (Some(seed), _) => Ok(Some(seed)),
        // llama.cpp's word for any seed.
        (None, Some(-1)) => Ok(None),
        (None, Some(seed)) => Ok(Some(seed as u64)),
        (None, None) => Err(wrong("seed", "a whole number", &value)),
    }
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, Failure> {
    let stops = match fields.take("stop") {
        None => Vec::new(),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(items)) => {
            let text = |item| match item {
                Value::String(text) => Ok(text),
                other => Err(wrong("stop", "a string or an array of strings", &other)),
            };
            items.into_iter().map(text).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong("stop", "a string or an array of strings", &other)),
    };
    if stops.len() > MOST_STOPS {
        return Err(Failure::field("stop", format!("`stop` may have {MOST_STOPS} texts and has {}.", stops.len())));
    }
    if stops.iter().any(String::is_empty) {
        return Err(Failure::field("stop", "An empty text in `stop` would end every reply at once. Leave it out."));
    }
    Ok(stops)
}

fn bias(fields: &mut Fields, state: &State) -> Result<Vec<(u32, f32)>, Failure> {
    let biases = match fields.take("logit_bias") {
        None => return Ok(Vec::new()),
        Some(Value::Object(biases)) => biases,
        Some(other) => return Err(wrong("logit_bias", "an object of units and numbers", &other)),
    };
    let about = state.about();
    if about.is_bytes && !biases.is_empty() {
        let message = "The members have different vocabularies: there are no tokens that could be named. Leave it out.";
        return Err(Failure::unsupported("logit_bias", message));
    }
    let bias = |(unit, value): (String, Value)| {
        let known = unit.parse().ok().filter(|unit| *unit < about.units);
        let unit = known.ok_or_else(|| Failure::field("logit_bias", format!("There is no unit `{unit}`.")))?;
        match value.as_f64() {
            Some(value) if (-100.0..=100.0).contains(&value) => Ok((unit, value as f32)),
            Some(_) => Err(Failure::field("logit_bias", "A bias must be between -100 and 100.")),
            None => Err(wrong("logit_bias", "an object of units and numbers", &value)),
        }
    };
    biases.into_iter().map(bias).collect()
}

/// `retraction: {"hold": 8}`, and `hold: 8` for short.
fn hold(fields: &mut Fields, state: &State) -> Result<Option<u32>, Failure> {
    let most = state.about().horizon;
    let hold = |fields: &mut Fields| {
        let said = fields.integer("hold", 0..=u32::MAX)?;
        Ok::<_, Failure>(said.map(|hold| hold.min(most)))
    };
    match fields.take("retraction") {
        None => hold(fields),
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::of(value)?;
            let said = hold(&mut inner)?;
            inner.end().map_err(|_| Failure::unsupported("retraction", "`retraction` has one field: `hold`."))?;
            Ok(said)
        }
        Some(other) => Err(wrong("retraction", "an object such as {\"hold\": 8}", &other)),
    }
}

fn include_usage(fields: &mut Fields) -> Result<bool, Failure> {
    match fields.take("stream_options") {
        None => Ok(false),
        Some(value @ Value::Object(_)) => {
            let mut inner = Fields::of(value)?;
            let include = inner.flag("include_usage")?;
            // Padding against eavesdroppers, which no client reads.
            inner.ignore(&["include_obfuscation"]);
            inner.end().map_err(|_| {
                Failure::unsupported("stream_options", "Of `stream_options`, `include_usage` is known.")
            })?;
            Ok(include)
        }
        Some(other) => Err(wrong("stream_options", "an object", &other)),
    }
}

/// `logprobs` and `top_logprobs` of a chat: how many alternatives, if any are asked for.
pub fn chat_logprobs(fields: &mut Fields) -> Result<Option<usize>, Failure> {
    let wanted = fields.flag("logprobs")?;
    let top = fields.integer("top_logprobs", 0..=MOST_ALTERNATIVES as u32)?;
    match (wanted, top) {
        (true, top) => Ok(Some(top.unwrap_or(0) as usize)),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(Failure::field("top_logprobs", "`top_logprobs` needs `logprobs: true`.")),
    }
}
