//! Members on other machines: against a real llama-server, and against one between which and the program something goes wrong.

mod between;
mod faults;
mod listing;
mod rows;
mod server;
mod text;

use between::Between;
use llama_selfmod::Engine;
use llama_selfmod::events::Event;
use llama_selfmod::reply::Reply;
use llama_selfmod::settings::{ModelSource, Prompt, RemoteSource, Settings};
use plugin_api::Parameters;
use server::Server;
use std::path::Path;
use std::sync::Arc;

/// A member whose rows come from there, with the tokens of a file.
fn remote(url: &str, file: &Path) -> ModelSource {
    ModelSource::of_server(RemoteSource { vocabulary: Some(file.into()), ..RemoteSource::new(url) })
}

fn load(settings: Settings) -> Engine {
    Engine::load(settings, &|_, _| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// As a server gives log-probabilities and no logits, the repeat penalty is another there.
fn parameters(temperature: f32) -> Parameters {
    Parameters { temperature, repeat_penalty: 1.0, ..Settings::default().parameters }
}

/// A reply, with all notices.
fn reply(engine: &mut Engine, prompt: &str, mut see: impl FnMut(&Event)) -> (Reply, Vec<String>) {
    let mut notices = Vec::new();
    let reply = engine.reply(&Prompt::Text(prompt.into()), &Arc::default(), &mut |event| {
        if let Event::Notice { text } = event {
            notices.push(text.to_string());
        }
        see(event);
    });
    (reply.unwrap_or_else(|error| panic!("{error}")), notices)
}
