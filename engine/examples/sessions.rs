//! Two texts at once, from one set of weights: `cargo run --release --example sessions -- A.gguf B.gguf`. One is read event by
//! event, the other at its end.

use llama_selfmod::events::Event;
use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use llama_selfmod::{Engine, Error};
use std::sync::Arc;

fn main() -> Result<(), Error> {
    let models = std::env::args_os().skip(1).map(ModelSource::new).collect();
    let settings = Settings { models, texts: 2, n_predict: 60, ..Settings::default() };
    let engine = Arc::new(Engine::load(settings, &|_member, _part| {})?);
    let cat = engine.session(&Prompt::Text("The cat".into()))?;
    let mut request = engine.request(&Prompt::Text("The dog".into()));
    request.seed = 7;
    let dog = engine.open(request)?;
    let mut text = String::new();
    for event in cat {
        match event {
            Event::Token { text: new, .. } => text.push_str(&new),
            Event::Retract { bytes, .. } => text.truncate(text.len() - bytes),
            _ => {}
        }
    }
    println!("The cat{text}");
    // Written by now, or nearly: each event of the one was a step of both.
    println!("The dog{}", dog.reply()?.text);
    Ok(())
}
