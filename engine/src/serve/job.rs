//! From a server's job to a request of the loop.

use crate::decode::{Limits, Request, Shape};
use crate::engine::Engine;
use crate::settings::{Message, Prompt, Speaker};
use constrain::State;
use plugin_api::Parameters;
use serve::backend::{self, Ask, Refusal, RefusalKind, Role, Sampling};

/// What a job asks for, or what is wrong with it.
pub(super) fn request(engine: &Engine, ask: &Ask, constraint: Option<State>) -> Result<Request, Refusal> {
    let settings = engine.settings();
    let speech = engine.speech();
    let prompt = prompt(engine, &ask.prompt)?;
    let mut request = engine.request(&prompt);
    request.parameters = parameters(settings.parameters, &ask.sampling)?;
    request.limits = Limits {
        n_predict: ask.max_tokens.unwrap_or(settings.n_predict),
        horizon: ask.hold.map_or(settings.horizon, |hold| hold.min(settings.horizon)),
        max_retractions: settings.max_retractions,
    };
    request.seed = ask.seed.unwrap_or(settings.seed);
    request.stop.extend(ask.stop.iter().filter(|stop| !stop.is_empty()).cloned());
    request.context_shift = settings.context_shift;
    request.shape = Shape { constraint, ..shape(engine, ask, speech.end.0)? };
    Ok(request)
}

fn shape(engine: &Engine, ask: &Ask, end: u32) -> Result<Shape, Refusal> {
    let speech = engine.speech();
    let units = ask.given.iter().flatten().chain(ask.bias.iter().map(|(unit, _)| unit));
    if let Some(unit) = units.into_iter().find(|&&unit| unit >= speech.units) {
        return Err(invalid(format!("there is no token {unit}; the last one is {}", speech.units - 1), "given"));
    }
    let is_whole = |piece: &Vec<u32>| match speech.is_bytes {
        true => !piece.is_empty() && !piece.contains(&end),
        false => piece.len() == 1,
    };
    if !ask.given.iter().all(is_whole) {
        return Err(invalid("a piece is one token, or some bytes where units are bytes".into(), "given"));
    }
    if speech.is_bytes && !ask.bias.is_empty() {
        let message = "the members have different vocabularies, so there are no tokens to bias; leave out `logit_bias`";
        return Err(invalid(message.into(), "logit_bias"));
    }
    let by = |by: f32| if by <= -100.0 { f32::NEG_INFINITY } else { by };
    let mut bias: Vec<(u32, f32)> = ask.bias.iter().map(|&(unit, value)| (unit, by(value))).collect();
    if ask.ignore_end {
        bias.push((end, f32::NEG_INFINITY));
    }
    Ok(Shape { given: ask.given.clone(), bias, constraint: None })
}

fn prompt(engine: &Engine, prompt: &backend::Prompt) -> Result<Prompt, Refusal> {
    let message = |message: &backend::Message| Message {
        role: match message.role {
            Role::System => Speaker::System,
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
        },
        content: message.content.clone(),
    };
    Ok(match prompt {
        backend::Prompt::Text(text) if text.is_empty() => Prompt::Tokens(Vec::new()),
        backend::Prompt::Text(text) => Prompt::Raw(text.clone()),
        backend::Prompt::Chat(messages) => Prompt::Chat(messages.iter().map(message).collect()),
        backend::Prompt::Units(units) => {
            let speech = engine.speech();
            if let Some(unit) = units.iter().find(|&&unit| unit >= speech.units) {
                return Err(invalid(
                    format!("there is no token {unit}; the last one is {}", speech.units - 1),
                    "prompt",
                ));
            }
            // Where units are bytes, the end of the text has none, and at the beginning of one it says that it is one.
            let bytes = || -> Vec<u8> {
                units
                    .iter()
                    .filter(|&&unit| !speech.is_bytes || unit != speech.end.0)
                    .flat_map(|&unit| engine.text_of_unit(unit).unwrap_or_default())
                    .collect()
            };
            match String::from_utf8(bytes()) {
                // Each member reads bytes in tokens of its own.
                Ok(text) if speech.is_bytes && !text.is_empty() => Prompt::Raw(text),
                _ if speech.is_bytes => Prompt::Tokens(bytes().into_iter().map(u32::from).collect()),
                _ => Prompt::Tokens(units.clone()),
            }
        }
    })
}

fn parameters(base: Parameters, sampling: &Sampling) -> Result<Parameters, Refusal> {
    let given = Parameters {
        temperature: sampling.temperature.unwrap_or(base.temperature),
        top_p: sampling.top_p.unwrap_or(base.top_p),
        min_p: sampling.min_p.unwrap_or(base.min_p),
        repeat_penalty: sampling.repeat_penalty.unwrap_or(base.repeat_penalty),
        top_k: sampling.top_k.unwrap_or(base.top_k),
    };
    let within = |value: f32, from: f32, to: f32, param: &'static str| {
        if value >= from && value <= to {
            Ok(())
        } else {
            Err(invalid(format!("`{param}` goes from {from} to {to}"), param))
        }
    };
    within(given.temperature, 0.0, 5.0, "temperature")?;
    within(given.top_p, 0.0, 1.0, "top_p")?;
    within(given.min_p, 0.0, 1.0, "min_p")?;
    within(given.repeat_penalty, 1.0, 10.0, "repeat_penalty")?;
    // At 0 the likeliest unit alone is left, as for the smallest value above.
    Ok(Parameters { top_p: given.top_p.max(1e-6), ..given })
}

fn invalid(message: String, param: &'static str) -> Refusal {
    Refusal { kind: RefusalKind::Invalid, message, param: Some(param) }
}
