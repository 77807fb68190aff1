//! Child processes: their words go to the stage's log, and they end with the stage.

use super::Work;
use crate::bench::Failure;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often the end of a process and the person's wish are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of the end of a log in which its last line is looked for.
const END: u64 = 4096;

/// How long a process may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs a command to its end, in a group of its own.
pub(super) fn run(mut command: Command, work: &Work) -> Result<ExitStatus, Failure> {
    let log = || File::options().append(true).open(work.log).map_err(|error| Failure::write(work.log, &error));
    command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(format!("there is no program `{program}`: install it, or name another"))
        }
        _ => Failure::new(format!("`{program}` cannot be started: {error}")),
    })?;
    let mut group = Group { child, ended: false };
    loop {
        if group.has_ended().map_err(|error| Failure::new(format!("`{program}` cannot be waited for: {error}")))? {
            return group.end().map_err(|error| Failure::new(format!("`{program}` cannot be waited for: {error}")));
        }
        if work.watch.cancelled() {
            group.ask();
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline && !group.has_ended().unwrap_or(true) {
                sleep(LOOK);
            }
            // Dropping it kills what is left.
            return Err(Failure::Cancelled);
        }
        sleep(LOOK);
    }
}

/// The last line that a process has said.
fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end);
    end.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(String::from)
}

/// How a process ended, if not well, with the last line that it said.
pub(super) fn fault(program: &str, status: ExitStatus, log: &Path) -> Option<Failure> {
    if status.success() {
        return None;
    }
    let how = match status.code() {
        Some(code) => format!("ended with status {code}"),
        None => format!("was ended: {status}"),
    };
    let said = last_line(log).map_or_else(|| "; it said nothing".into(), |line| format!(": {line}"));
    Some(Failure::new(format!("`{program}` {how}{said}")))
}

/// A process and all that it started.
struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    /// Ends whatever the process left behind, and gives its status.
    fn end(mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.ended = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            // It is dead, so this does not wait long; an error leaves a process in the table until this one ends.
            let _ = self.child.wait();
        }
    }
}

#[cfg(unix)]
impl Group {
    /// Whether it has ended. Its status is not taken: until then no other process can have its group's number.
    fn has_ended(&mut self) -> io::Result<bool> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::Pid(self.id()?), options)?.is_some())
    }

    fn ask(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    fn kill(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Ok(id) = self.id() {
            // A group without processes is what is wanted.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }

    fn id(&self) -> io::Result<rustix::process::Pid> {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        id.ok_or_else(|| io::Error::other("a process without a number"))
    }
}

#[cfg(not(unix))]
impl Group {
    fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    fn ask(&self) {}

    fn kill(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.child.kill();
    }
}
