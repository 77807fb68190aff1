//! Members write one text on a terminal, and what is taken back disappears from it, as long as it stands in one row:
//! `cargo run --release --example stream -- A.gguf B.gguf`. `llama_selfmod` itself has what longer texts need.

use llama_selfmod::events::Event;
use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use llama_selfmod::{Engine, Error};
use std::io::Write;
use std::sync::Arc;

fn main() -> Result<(), Error> {
    let models = std::env::args_os().skip(1).map(ModelSource::new).collect();
    let mut engine = Engine::load(Settings { models, ..Settings::default() }, &|_member, _part| {})?;
    let mut text = String::new();
    let prompt = Prompt::Text("Once upon a time".into());
    let reply = engine.reply(&prompt, &Arc::default(), &mut |event| {
        match event {
            Event::Token { text: new, .. } => {
                text.push_str(new);
                print!("{new}");
            }
            Event::Retract { bytes, .. } => {
                let gone = text.split_off(text.len() - bytes);
                print!("{}\x1b[K", "\x08".repeat(gone.chars().count()));
            }
            _ => return,
        }
        // Without a terminal there is nothing to show.
        let _ = std::io::stdout().flush();
    })?;
    println!("\n{:?}, {} tokens, {} retractions", reply.reason, reply.tokens, reply.retractions.len());
    Ok(())
}
