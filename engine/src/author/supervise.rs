//! The conformance checks in a process of their own: what a plugin does to that process becomes a sentence, and the checks
//! that are left go on in the next one.

use super::conformance::{self, Finding, Told};
use crate::Error;
use crate::hooks::native::trial::HookName;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long one call of a plugin, or the few between two reports, may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often the report is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// A line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which of the library's plugins, from 0.
    pub plugin: usize,
    /// What was checked.
    pub title: &'static str,
    /// What was found.
    pub finding: Finding,
}

/// Checks a library. `worker` makes the command of a process that calls [`work`] with these arguments; `show` gets each
/// line when it is known.
///
/// # Errors
/// When the library cannot be opened, which is [`Error::Input`], or a process cannot be started.
pub fn check(worker: &dyn Fn(&Work) -> Command, library: &Path, show: &mut dyn FnMut(&Line)) -> Result<(), Error> {
    let mut work = Work { library: library.into(), from: 0, without: Vec::new(), report: Default::default() };
    loop {
        let end = one_process(worker, &mut work, show)?;
        let Some(end) = end else { return Ok(()) };
        let Some((number, doing)) = end.during else {
            show(&Line {
                plugin: 0,
                title: "open",
                finding: Finding::Failed(format!("{}{}", end.how, end.last_words)),
            });
            return Ok(());
        };
        let finding = Finding::Failed(format!("{} {doing}{}", end.how, end.last_words));
        show(&line(number, finding));
        let hook = conformance::hook(number);
        if end.is_endless {
            work.without.extend(hook);
        }
        // Without an instance there is nothing to check.
        let is_gate = number.is_multiple_of(conformance::CHECKS_OF_A_PLUGIN);
        work.from = number + if is_gate { conformance::CHECKS_OF_A_PLUGIN } else { 1 };
    }
}

/// What a process of checks has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The plugin's file.
    pub library: PathBuf,
    /// The number of the first check.
    pub from: usize,
    /// Hooks that are not called any more.
    pub without: Vec<HookName>,
    /// Where the process tells how far it is. Not its standard output, which the plugin may use.
    pub report: PathBuf,
}

impl Work {
    /// All but the library, as one word for the command line of the process.
    pub fn to_words(&self) -> OsString {
        let without = self.without.iter().fold(String::new(), |words, hook| format!("{words}{hook},"));
        let mut words = OsString::from(format!("{}:{without}:", self.from));
        words.push(&self.report);
        words
    }

    /// From what [`Work::to_words`] made; `None` for other words.
    pub fn from_words(library: PathBuf, words: &str) -> Option<Self> {
        let mut parts = words.splitn(3, ':');
        let from = parts.next()?.parse().ok()?;
        let without = parts.next()?;
        let without = HookName::ALL.into_iter().filter(|hook| without.split(',').any(|word| word == hook.to_string()));
        Some(Self { library, from, without: without.collect(), report: parts.next()?.into() })
    }
}

/// Runs checks in this process, and tells what it does in the report.
///
/// # Errors
/// When the report cannot be written.
pub fn work(work: &Work) -> Result<(), Error> {
    let failure = |error: std::io::Error| Error::Failure(format!("the report cannot be written: {error}"));
    let mut report = File::options().append(true).open(&work.report).map_err(failure)?;
    let mut broken = None;
    conformance::run(&work.library, work.from, &work.without, &mut |told| {
        let text = serde_json::to_string(&told).unwrap_or_default() + "\n";
        // In one piece and without a buffer: the process may end in the next moment.
        if let Err(error) = report.write_all(text.as_bytes()) {
            broken.get_or_insert(error);
        }
    });
    broken.map_or(Ok(()), |error| Err(failure(error)))
}

/// How a process ended that did not get through its checks.
struct End {
    how: String,
    /// What it said on standard error, if anything.
    last_words: String,
    is_endless: bool,
    /// The number of the check and what was being done; `None` before the first one.
    during: Option<(usize, String)>,
}

/// What is known from the report of a process so far.
#[derive(Default)]
struct Known {
    current: Option<usize>,
    doing: String,
    unusable: Option<String>,
    is_done: bool,
}

impl Known {
    fn take(&mut self, told: Told, show: &mut dyn FnMut(&Line)) {
        match told {
            Told::Opened(_) => {}
            Told::Unusable(error) => self.unusable = Some(error),
            Told::Begins(number) => self.current = Some(number),
            Told::Doing(what) => self.doing = what,
            Told::Found(finding) => {
                if let Some(number) = self.current {
                    show(&line(number, finding));
                }
            }
            Told::Done => self.is_done = true,
        }
    }
}

fn line(number: usize, finding: Finding) -> Line {
    Line { plugin: number / conformance::CHECKS_OF_A_PLUGIN, title: conformance::title(number), finding }
}

/// One process, to its end or that of its checks.
fn one_process(
    worker: &dyn Fn(&Work) -> Command,
    work: &mut Work,
    show: &mut dyn FnMut(&Line),
) -> Result<Option<End>, Error> {
    let failure = |error: std::io::Error| Error::Failure(format!("the checks cannot be started: {error}"));
    let mut report = tempfile::NamedTempFile::new().map_err(failure)?;
    let mut said = tempfile::tempfile().map_err(failure)?;
    work.report = report.path().into();
    let mut command = worker(work);
    // A file, so that the checks see whether a plugin prints.
    let printed = tempfile::tempfile().map_err(failure)?;
    command.stdin(Stdio::null()).stdout(printed).stderr(said.try_clone().map_err(failure)?);
    let mut child = command.spawn().map_err(failure)?;
    let mut known = Known::default();
    let mut unread = Vec::new();
    let mut last_news = Instant::now();
    loop {
        // In this order: what is read after the end is all there is.
        let status = child.try_wait().map_err(failure)?;
        if report.as_file_mut().read_to_end(&mut unread).map_err(failure)? > 0 {
            last_news = Instant::now();
        }
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            if let Ok(told) = serde_json::from_slice(&unread[..end]) {
                known.take(told, show);
            }
            unread.drain(..=end);
        }
        if let Some(unusable) = known.unusable {
            return Err(Error::Input(unusable));
        }
        let is_endless = last_news.elapsed() > PATIENCE;
        if known.is_done && (status.is_some() || is_endless) {
            end_of(&mut child);
            show(&last_line(known.current, status, &mut said));
            return Ok(None);
        }
        if status.is_some() || is_endless {
            end_of(&mut child);
            let how = match status {
                Some(status) => format!("ended the process with {}", in_words(status)),
                None => format!("did not come back within {} s", PATIENCE.as_secs()),
            };
            let during = known.current.map(|number| (number, known.doing.clone()));
            let how = if during.is_none() { format!("{how} {}", known.doing) } else { how };
            return Ok(Some(End { how, last_words: last_words(&mut said), is_endless, during }));
        }
        std::thread::sleep(INTERVAL);
    }
}

/// What the library does when the program ends: destructors and what it registered for then.
fn last_line(number: Option<usize>, status: Option<ExitStatus>, said: &mut File) -> Line {
    let finding = match status {
        Some(status) if status.success() => Finding::Passed(String::new()),
        Some(status) => Finding::Failed(format!(
            "ended the process with {} when the program ended{}",
            in_words(status),
            last_words(said)
        )),
        None => Finding::Failed(format!("did not let the program end within {} s", PATIENCE.as_secs())),
    };
    Line { plugin: number.unwrap_or_default() / conformance::CHECKS_OF_A_PLUGIN, title: "end of the program", finding }
}

/// It has nothing left to say. One that has ended already is only waited for.
fn end_of(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// How a process ended, such as `SIGABRT`.
pub(crate) fn in_words(status: ExitStatus) -> String {
    let name = match status.signal() {
        Some(4) => "SIGILL",
        Some(6) => "SIGABRT",
        Some(7 | 10) => "SIGBUS",
        Some(8) => "SIGFPE",
        Some(9) => "SIGKILL",
        Some(11) => "SIGSEGV",
        Some(other) => return format!("signal {other}"),
        None => return format!("exit code {}", status.code().unwrap_or_default()),
    };
    name.to_owned()
}

/// The last line on standard error, which often says why: an assertion, say.
fn last_words(said: &mut File) -> String {
    let mut text = Vec::new();
    let read = said.seek(SeekFrom::Start(0)).and_then(|_| said.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) if read.is_ok() => {
            format!("; its last words: {}", line.trim().chars().take(200).collect::<String>())
        }
        _ => String::new(),
    }
}
