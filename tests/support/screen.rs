//! A terminal of its own for a test, by tmux: keys go in, screens come out.
//!

use super::program::Place;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(15);

/// A terminal with a program in it.
pub struct Screen {
    socket: String,
}

impl Screen {
    /// Starts the program with these words in a terminal of this size. `None`, and a line that says so, without tmux.
    pub fn open(place: &Place, (width, height): (u32, u32), words: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: tmux is not installed");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let screen = Self { socket: format!("llama_selfmod-test-{}-{number}", std::process::id()) };
        let process = place.process(words);
        let variables = process.get_envs().map(|(name, value)| match (name.to_str().unwrap(), value) {
            (name, Some(value)) => format!("{name}='{}'", value.to_str().unwrap()),
            (name, None) => format!("-u {name}"),
        });
        // `env` takes what is to be unset first.
        let mut variables: Vec<_> = variables.collect();
        variables.sort_by_key(|variable| !variable.starts_with("-u"));
        let words = process.get_args().map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>();
        let program = process.get_program().to_str().unwrap();
        let command =
            format!("env {} '{program}' {}; echo left with $?; sleep 600", variables.join(" "), words.join(" "));
        let (width, height, folder) = (width.to_string(), height.to_string(), place.path().to_str().unwrap());
        screen.tmux(&["new-session", "-d", "-x", &width, "-y", &height, "-c", folder, &command]);
        Some(screen)
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        self.text(text);
        self.key("Enter");
    }

    /// Types without Enter.
    pub fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses a key by tmux's name for it.
    pub fn key(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// What stands there now.
    pub fn now(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The first screen of which `seen` is true.
    pub fn until(&self, what: &str, mut seen: impl FnMut(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.now();
            if seen(&screen) {
                return screen;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}; there stands\n{screen}");
            std::thread::sleep(POLL);
        }
    }

    /// Waits for a text.
    pub fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until the chat asks for the next line, after as many replies or answers as `after` counts on the screen.
    pub fn asks_after(&self, after: &str, count: usize) -> String {
        self.until(&format!("the prompt after {count} × {after}"), |screen| {
            screen.matches(after).count() >= count && screen.lines().last() == Some(">")
        })
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        // -u: UTF-8 whatever the locale.
        let output = Command::new("tmux").args(["-u", "-L", &self.socket, "-f", "/dev/null"]).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // No panic in a panic.
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}
