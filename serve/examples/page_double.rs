//! The server over the double of its tests, to try the page on: `cargo run -p llama_selfmod-serve --example page_double 8091`.

extern crate llama_selfmod_serve as serve;

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/serve/double.rs"]
mod double;

use std::time::Duration;

fn main() -> Result<(), serve::Error> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8091);
    let double = double::Double::new(double::Manner { pace: Duration::from_millis(20), ..double::Manner::default() });
    let options = serve::Options { port, ..serve::Options::default() };
    serve::run(double, options, |address| println!("http://{address}/"), &serve::Stop::new())
}
