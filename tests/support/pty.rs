//! A terminal of bytes: what the program writes exactly, and the modes it leaves behind. For what a screen looks like, see
//! [`super::screen`].

use super::program::Place;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(3);

/// A program in a terminal of its own.
pub struct Pty {
    keys: File,
    /// Kept open, so that the modes can be asked for when the program is gone.
    terminal: File,
    modes: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Pty {
    /// Starts the program with these words.
    pub fn open(place: &Place, words: &[&str]) -> Self {
        Self::of(&place.process(words))
    }

    /// Starts this command with the terminal as its own.
    pub fn of(process: &Command) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        let modes = tcgetattr(&terminal).unwrap();
        // Becomes the program, in a session whose terminal is its standard input.
        let mut command = Command::new("setsid");
        command.arg("-c").arg(process.get_program()).args(process.get_args());
        command.current_dir(process.get_current_dir().unwrap()).env("TERM", "xterm");
        for (name, value) in process.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let end = || terminal.try_clone().unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keys = File::from(keys);
        let (mut screen, seen) = (keys.try_clone().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let all = seen.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { keys, terminal, modes, seen, child }
    }

    /// Presses keys.
    pub fn keys(&self, keys: &str) {
        (&self.keys).write_all(keys.as_bytes()).unwrap();
    }

    /// The keys alone, to be pressed while the screen is watched.
    pub fn keyboard(&self) -> Keyboard {
        Keyboard(self.keys.try_clone().unwrap())
    }

    /// Everything that was written.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until what was written has `text` so many times.
    pub fn shows(&mut self, text: &str, times: usize) -> String {
        self.until(text, |seen| seen.matches(text).count() >= times)
    }

    /// Waits for the chat's prompt, with its count.
    pub fn asks(&mut self, times: usize) -> String {
        // The line editor draws it and goes behind it.
        self.shows("> \r\u{1b}[2C", times)
    }

    pub fn until(&mut self, what: &str, mut is_there: impl FnMut(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let seen = self.seen();
            if is_there(&seen) {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what:?}; there was {seen:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the program is gone, and gives what it wrote.
    pub fn ends(&mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What is still on its way.
                std::thread::sleep(Duration::from_millis(30));
                return (status, self.seen());
            }
            assert!(start.elapsed() < PATIENCE, "it does not end; there was {:?}", self.seen());
            std::thread::sleep(POLL);
        }
    }

    /// Whether keys are shown.
    pub fn has_echo(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// The terminal is as the program found it.
    pub fn assert_given_back(&self, after: &str) {
        let now = tcgetattr(&self.terminal).unwrap();
        let modes = |it: &Termios| (it.input_modes, it.output_modes, it.control_modes, it.local_modes);
        assert_eq!(modes(&now), modes(&self.modes), "after {after}");
    }
}

/// What a person types on.
pub struct Keyboard(File);

impl Keyboard {
    pub fn press(&self, keys: &str) {
        (&self.0).write_all(keys.as_bytes()).unwrap();
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
