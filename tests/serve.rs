//! The server from outside: real models, sockets and signals.

mod crowd;
mod lines;
mod scores;
mod shapes;
mod texts;

use crate::support::http::Server;
use crate::support::program::Place;
use crate::support::sessions::quantised;
use std::path::PathBuf;

/// Takes five tokens back after every eleventh, once at each place.
const RESTLESS: &str = "// Takes text back often.
fn init(cfg) { this.reached = 0; }
fn reset() { this.reached = 0; }
fn on_assessment(step, a) {
    if step.position % 11 != 0 || step.position <= this.reached { return; }
    this.reached = step.position;
    return retract(min(5, step.retractable), \"restless\");
}
";

/// Two models of one vocabulary in Q8_0, as one word of a command line.
fn pair(place: &Place) -> String {
    let files: Vec<PathBuf> = quantised(place.path());
    format!("--models={}", files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(","))
}

/// A server with these models whose policy takes text back all the time.
fn restless(words: &[&str]) -> Server {
    let place = Place::new();
    place.file("restless.rhai", RESTLESS);
    let models = pair(&place);
    let own = [models.as_str(), "--threads", "1", "--policy", "restless.rhai", "--max-retractions", "1000"];
    Server::start(place, &[&own, words].concat())
}
