//! The child's side of a run: sets the limits on itself, then becomes the interpreter.

use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid};
use rustix::thread;

use super::{Mechanism, files, system_calls};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Who a caller that is root becomes. Root passes many a check that stops everybody else.
const NOBODY: u32 = 65_534;

/// Becomes the interpreter, or returns why not.
pub fn enter(arguments: impl Iterator<Item = OsString>) -> String {
    match Request::read(arguments).map(Request::become_the_interpreter) {
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(never)) => match never {},
        Err(error) => error.to_string(),
    }
}

/// Cannot be made: an exec that works does not return.
enum Never {}

struct Request {
    mechanism: Mechanism,
    seconds: u64,
    memory: u64,
    bubblewrap: PathBuf,
    prefix: PathBuf,
    python: PathBuf,
    arguments: Vec<OsString>,
}

impl Request {
    fn read(mut arguments: impl Iterator<Item = OsString>) -> Fallible<Self> {
        let mut next = || arguments.next().ok_or("an argument is missing");
        let name = next()?;
        let mechanism =
            Mechanism::CONFINING.into_iter().find(|known| name == known.name()).ok_or("an unknown mechanism")?;
        Ok(Self {
            mechanism,
            seconds: next()?.to_string_lossy().parse()?,
            memory: next()?.to_string_lossy().parse()?,
            bubblewrap: next()?.into(),
            prefix: next()?.into(),
            python: next()?.into(),
            arguments: arguments.collect(),
        })
    }

    fn become_the_interpreter(self) -> Fallible<Never> {
        drop_root()?;
        // After a change of identity, which would undo it. The parent may have died before.
        let parent = rustix::process::getppid();
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != parent {
            return Err("the program that started this is gone".into());
        }
        let filter = system_calls::filter()?;
        let mut command = match self.mechanism {
            Mechanism::Bubblewrap => {
                let filter = in_memory(&system_calls::bytes(&filter))?;
                self.limit()?;
                let mut command = Command::new(&self.bubblewrap);
                command.args(self.bubblewrap_arguments()).arg("--seccomp").arg(filter.as_raw_fd().to_string());
                command.arg("--").arg(&self.python);
                // bubblewrap reads it after the exec.
                std::mem::forget(filter);
                command
            }
            _ => {
                self.limit()?;
                files::restrict(&self.prefix)?;
                seccompiler::apply_filter(&filter)?;
                Command::new(&self.python)
            }
        };
        Err(command.args(&self.arguments).env_clear().exec().into())
    }

    fn bubblewrap_arguments(&self) -> Vec<OsString> {
        // No session of its own (`--new-session`): all of it stays in the group that the parent ends and waits for. There is no
        // terminal to protect, since none is open and the filter refuses its commands.
        let namespaces = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"];
        let rest = ["--unshare-cgroup-try", "--cap-drop", "ALL", "--die-with-parent", "--clearenv"];
        let mut arguments: Vec<OsString> = namespaces.into_iter().chain(rest).map(OsString::from).collect();
        let mut bind = |how: &str, path: &Path| arguments.extend([how.into(), path.into(), path.into()]);
        for path in files::readable(&self.prefix) {
            bind("--ro-bind", &path);
        }
        bind("--dev-bind", Path::new("/dev/null"));
        // The root is a file system in memory: read-only, or it could be filled.
        arguments.extend(["--remount-ro", "/", "--chdir", "/"].map(OsString::from));
        arguments
    }

    /// Sets the limits that an exec keeps. No limit of processes: it counts all of the user's, and the filter allows none.
    fn limit(&self) -> Fallible<()> {
        let limits = [
            (Resource::Cpu, self.seconds, self.seconds + 1),
            (Resource::As, self.memory, self.memory),
            // No byte to any file; pipes are no files.
            (Resource::Fsize, 0, 0),
            (Resource::Core, 0, 0),
            (Resource::Memlock, 0, 0),
            (Resource::Msgqueue, 0, 0),
            (Resource::Nofile, 64, 64),
        ];
        for (resource, current, maximum) in limits {
            rustix::process::setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
        }
        Ok(())
    }
}

/// Root becomes nobody, in no group.
fn drop_root() -> Fallible<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    // Of this thread, which is the only one.
    thread::set_thread_groups(&[])
        .and_then(|()| thread::set_thread_res_gid(group, group, group))
        .and_then(|()| thread::set_thread_res_uid(user, user, user))
        .map_err(|error| format!("root cannot become nobody here: {error}").into())
}

/// A file in memory, open after an exec and at its beginning.
fn in_memory(bytes: &[u8]) -> Fallible<OwnedFd> {
    let mut file = File::from(memfd_create("filter", MemfdFlags::empty())?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
