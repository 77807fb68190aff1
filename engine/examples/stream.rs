//! Two members write one text: `cargo run --release --example stream -- A.gguf B.gguf`.
use llama_selfmod::events::Event;
use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use llama_selfmod::{Engine, Error};
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Error> {
    let models = std::env::args_os().skip(1).map(ModelSource::new).collect();
    let mut engine = Engine::load(Settings { models, ..Settings::default() }, &|_, _| {})?;
    let prompt = Prompt::Text("Once upon a time".into());
    let reply = engine.reply(&prompt, &AtomicBool::new(false), &mut |event| match event {
        Event::Token { text, .. } => print!("{text}"),
        Event::Retract { bytes, .. } => print!("[-{bytes}]"),
        _ => {}
    })?;
    println!("\n{:?}, {} tokens, {} retractions", reply.reason, reply.tokens, reply.retractions.len());
    Ok(())
}
