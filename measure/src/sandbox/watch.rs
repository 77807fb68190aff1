//! The parent's side of a run: start, feed, listen, and end it in time.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Ending, Limits, Run, SandboxError};

/// How long the end of a process is waited for after its output has ended, between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// Runs the command with the program on its standard input.
pub fn run(mut command: Command, source: &str, token: &str, limits: Limits) -> Result<Run, SandboxError> {
    let began = Instant::now();
    let deadline = began + limits.time;
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = Guard { child: command.spawn()?, ended: None };
    // The command holds the pipe's other end, without whose close there is no end of the output.
    drop(command);

    if let Some(mut input) = child.child.stdin.take() {
        let source = source.to_owned();
        // A program that ends early closes the pipe: that is told by its end, not by this write.
        thread::spawn(move || input.write_all(source.as_bytes()));
    }
    let (sender, receiver) = mpsc::channel();
    // The markers are ours, not the program's.
    let most = limits.output + 2 * token.len() + 16;
    thread::spawn(move || {
        let mut output = Vec::new();
        // An error ends the output as its end does.
        let _ = reader.take(most as u64 + 1).read_to_end(&mut output);
        let _ = sender.send(output);
    });

    // The output ends when every process that holds it has ended, or when there is too much of it.
    let early = receiver.recv_timeout(limits.time).ok();
    let too_much = early.as_ref().is_some_and(|output| output.len() > most);
    let ended = !too_much && early.is_some() && child.ended_by(deadline)?;
    let status = child.end()?;
    #[cfg(unix)]
    if !ended {
        child.await_group();
    }
    let output = match early {
        Some(output) => output,
        // All that held the pipe are dead, except what an unconfined program left behind.
        None => receiver.recv_timeout(Duration::from_secs(1)).unwrap_or_default(),
    };
    let output = String::from_utf8_lossy(&output);
    let started = format!("began {token}\n");
    let Some((before, output)) = output.split_once(&started) else {
        return Err(SandboxError::NotStarted { output: output.trim().to_owned() });
    };
    let (output, done) = match output.rsplit_once(&format!("done {token}\n")) {
        Some((output, after)) => (format!("{before}{output}{after}"), true),
        None => (format!("{before}{output}"), false),
    };
    let ending = match ended {
        true => ending(status, done),
        false if too_much => Ending::TooMuchOutput,
        false => Ending::TimedOut,
    };
    Ok(Run { ending, output, took: began.elapsed() })
}

fn ending(status: ExitStatus, done: bool) -> Ending {
    match status.code() {
        Some(0) if done => Ending::Completed,
        // bubblewrap passes a signal on as 128 more.
        Some(code) if code > 128 => signalled(code - 128),
        Some(code) => Ending::Exited(code),
        #[cfg(unix)]
        None => signalled(std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)),
        #[cfg(not(unix))]
        None => signalled(0),
    }
}

fn signalled(signal: i32) -> Ending {
    const SIGXCPU: i32 = 24;
    if signal == SIGXCPU { Ending::TimedOut } else { Ending::Signalled(signal) }
}

/// A child that does not outlive its scope, whichever way that is left.
struct Guard {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Guard {
    /// Waits for the end without taking the status: until that is taken the process's number, which is its group's, is
    /// nobody else's.
    #[cfg(unix)]
    fn ended_by(&mut self, deadline: Instant) -> std::io::Result<bool> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let Some(group) = self.group() else { return Ok(false) };
        loop {
            match waitid(WaitId::Pid(group), look) {
                Ok(Some(_)) => return Ok(true),
                Ok(None) | Err(rustix::io::Errno::INTR) if Instant::now() < deadline => thread::sleep(LOOK),
                Ok(None) | Err(rustix::io::Errno::INTR) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[cfg(not(unix))]
    fn ended_by(&mut self, deadline: Instant) -> std::io::Result<bool> {
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            thread::sleep(LOOK);
        }
        Ok(true)
    }

    #[cfg(unix)]
    fn group(&self) -> Option<rustix::process::Pid> {
        i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
    }

    /// Ends the child and its group, if they have not ended, and takes the status.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.ended {
            return Ok(status);
        }
        #[cfg(unix)]
        if let Some(group) = self.group() {
            // An error says that nobody is left in it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }
}

#[cfg(unix)]
impl Guard {
    /// Waits until the group is empty: bubblewrap's inner processes are no children of ours, and end a little after the outer
    /// one. Not for long: where nobody collects orphans, as in many containers, what has ended stays in its group.
    fn await_group(&self) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(500)
            && self.group().is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
        {
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
