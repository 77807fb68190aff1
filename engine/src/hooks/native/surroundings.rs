//! What plugins find and have to leave as it was, because it belongs to the whole process: its standard streams, its working
//! folder, how it computes.
//!
//! After each call of a plugin from outside it is put back, so that a plugin which closes standard output costs no text. The
//! conformance check looks further ([`super::trial::Surroundings`]).

use super::arithmetic::Arithmetic;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, Stat};
use rustix::stdio;
use std::sync::OnceLock;

/// Above the descriptors that a plugin would close by accident.
const LEAST_DESCRIPTOR: i32 = 100;

/// A standard stream as sentences name it, the stream, and what puts another file there.
type Stream = (&'static str, fn() -> BorrowedFd<'static>, fn(&OwnedFd) -> rustix::io::Result<()>);

/// By descriptor.
const STREAMS: [Stream; 3] = [
    ("standard input", stdio::stdin, |file| stdio::dup2_stdin(file)),
    ("standard output", stdio::stdout, |file| stdio::dup2_stdout(file)),
    ("standard error", stdio::stderr, |file| stdio::dup2_stderr(file)),
];

/// Which file it is.
type Identity = (u64, u64);

/// Copies to put back. Without a free descriptor there is none.
struct Kept {
    streams: [Option<(Identity, OwnedFd)>; 3],
    folder: Option<(Identity, OwnedFd)>,
}

static KEPT: OnceLock<Kept> = OnceLock::new();

/// Before the first plugin from outside is opened.
pub(super) fn keep() {
    KEPT.get_or_init(|| {
        let stream = |(_, stream, _): Stream| {
            let stream = stream();
            let copy = rustix::io::fcntl_dupfd_cloexec(stream, LEAST_DESCRIPTOR).ok()?;
            Some((identity(&rustix::fs::fstat(stream).ok()?), copy))
        };
        let folder = || {
            let folder = rustix::fs::open(".", OFlags::DIRECTORY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).ok()?;
            let copy = rustix::io::fcntl_dupfd_cloexec(&folder, LEAST_DESCRIPTOR).ok()?;
            Some((identity(&rustix::fs::fstat(&copy).ok()?), copy))
        };
        Kept { streams: STREAMS.map(stream), folder: folder() }
    });
}

#[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
pub(super) fn identity(stat: &Stat) -> Identity {
    #[allow(trivial_numeric_casts, reason = "other systems have other widths")]
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Calls a plugin from outside and puts back what it changed around it; what that was, in a sentence.
pub(super) fn undisturbed<T>(call: impl FnOnce() -> T) -> (T, Option<String>) {
    let arithmetic = Arithmetic::now();
    let answer = call();
    let mut changed = Vec::new();
    if arithmetic.put_back() {
        changed.push("how the processor computes");
    }
    if let Some(kept) = KEPT.get() {
        kept.put_back(&mut changed);
    }
    let told = (!changed.is_empty())
        .then(|| format!("it changed {}, which belongs to the whole program and is put back", changed.join(" and ")));
    (answer, told)
}

impl Kept {
    fn put_back(&self, changed: &mut Vec<&'static str>) {
        for ((name, stream, put), kept) in STREAMS.into_iter().zip(&self.streams) {
            let Some((identity, copy)) = kept else { continue };
            if rustix::fs::fstat(stream()).is_ok_and(|stat| self::identity(&stat) == *identity) {
                continue;
            }
            // What cannot be put back is told all the same.
            let _ = put(copy);
            changed.push(name);
        }
        if let Some((identity, folder)) = &self.folder
            && !rustix::fs::stat(".").is_ok_and(|stat| self::identity(&stat) == *identity)
        {
            let _ = rustix::process::fchdir(folder);
            changed.push("the working folder");
        }
    }
}
