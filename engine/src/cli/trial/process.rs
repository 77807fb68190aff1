//! The process of a trial: what it may use, and what its end means.

use super::Trial;
use crate::{
    Error,
    author::supervise::in_words,
    cli::{args::TryArgs, output::visible, progress, render::Look},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_millis(2);

/// What a trial may use.
pub struct Bounds {
    /// Of all threads, in seconds.
    processor: u64,
    /// Bytes beside the mapped file.
    memory: u64,
}

impl Bounds {
    /// Ten times and more what a sound model takes on a slow machine; small files fail soon.
    pub fn of(files: &[PathBuf]) -> Self {
        let size = size(files);
        // The vocabulary, which takes longest to read, is in the first few megabytes.
        Self { processor: 4 + (size >> 22).min(16) + size / (20 << 20), memory: (2 << 30) + size.saturating_mul(3) }
    }

    /// A limit on real time too, for what waits for ever; generous, as a busy machine and a cold disk are no fault.
    fn patience(&self) -> Duration {
        Duration::from_secs(10 * self.processor)
    }

    /// Sets the limits of this process. Where that is not possible, the trial runs without.
    pub fn impose(&self, with_gpu: bool) {
        let limit = |resource, most: u64| {
            let maximum = getrlimit(resource).maximum;
            let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
            let _ = setrlimit(resource, Rlimit { current, maximum });
        };
        limit(Resource::Core, 0);
        limit(Resource::Cpu, self.processor);
        // Drivers of GPUs map what they like.
        if !with_gpu {
            limit(Resource::Data, self.memory);
        }
    }
}

/// How long files are together, in bytes.
pub fn size(files: &[PathBuf]) -> u64 {
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum()
}

/// A trial that is going on.
pub struct Process {
    child: Child,
    said: File,
    patience: Duration,
}

impl Process {
    /// Starts it.
    pub fn start(trial: &Trial) -> io::Result<Self> {
        let TryArgs { file, vocabulary, ctx_size, n_gpu_layers, threads, beside } = &trial.args;
        let said = tempfile::tempfile()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("try").arg(format!("--ctx-size={ctx_size}")).arg(format!("--n-gpu-layers={n_gpu_layers}"));
        command.args(threads.map(|threads| format!("--threads={threads}")));
        command.args(vocabulary.then_some("--vocabulary")).args(beside.then_some("--beside")).arg("--").arg(file);
        // Its processor time is limited, and threads that spin while they wait would use it up.
        command.env("OMP_WAIT_POLICY", "passive").env_remove("LLAMA_SELFMOD_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
        Ok(Self { child: command.spawn()?, said, patience: Bounds::of(&trial.files).patience() })
    }

    /// Waits for the end, and says what it means.
    pub fn verdict(mut self, file: &Path, start: Instant, look: Look) -> io::Result<Result<(), Error>> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let sign = progress::sign(look, format!("{} is new here and tried first", visible(&name)));
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break Some(status);
            }
            if start.elapsed() > self.patience {
                self.child.kill()?;
                self.child.wait()?;
                break None;
            }
            if start.elapsed() > progress::WORTH_A_BAR {
                sign.tick();
            }
            std::thread::sleep(INTERVAL);
        };
        sign.finish_and_clear();
        let mut said = Vec::new();
        self.said.rewind()?;
        self.said.take(1 << 20).read_to_end(&mut said)?;
        let said = String::from_utf8_lossy(&said);
        Ok(meaning(file, status, &said))
    }
}

/// What the end of a trial says about a file; no status for one that did not end.
fn meaning(file: &Path, status: Option<ExitStatus>, said: &str) -> Result<(), Error> {
    let own_words = || said.trim().trim_start_matches("error: ").to_string();
    /// Of the signal for too much processor time.
    const SIGXCPU: i32 = 24;
    let how = match status.map(|status| (status.code(), status.signal(), status)) {
        Some((Some(0), ..)) => return Ok(()),
        Some((Some(1), ..)) => return Err(Error::Failure(own_words())),
        Some((Some(2), ..)) => return Err(Error::Input(own_words())),
        None | Some((_, Some(SIGXCPU), _)) => "did not come to an end".to_string(),
        Some((_, _, status)) => format!("ended that with {}{}", in_words(status), last_words(said)),
    };
    Err(Error::Input(format!(
        "`{}` cannot be run: tried in a process of its own, it {how}; fetch it again or leave it out, or give --trust to load \
         it without a trial",
        file.display()
    )))
}

/// What llama.cpp asserted, or a panic or an exception said, without the paths of whoever built it.
fn last_words(said: &str) -> String {
    let words = said.lines().find_map(|line| {
        let (place, condition) = line.split_once(": GGML_ASSERT(")?;
        let place = place.rsplit('/').next().unwrap_or(place);
        let condition = condition.trim_end();
        let condition = condition.strip_suffix(") failed").unwrap_or(condition);
        Some(format!("it asserts {condition}, {place}"))
    });
    let words = words.or_else(|| {
        let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
        lines.nth(1).map(str::to_string)
    });
    let words =
        words.or_else(|| said.lines().find_map(|line| line.split_once("what():")).map(|(_, what)| what.trim().into()));
    let words = words.or_else(|| {
        let line = said.lines().rfind(|line| !line.trim().is_empty())?.trim();
        Some(line.rsplit('/').next().unwrap_or(line).to_string())
    });
    words.map_or_else(String::new, |words| format!(" ({})", words.chars().take(200).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_tell_the_reason_and_no_paths() {
        let assertion = "/build/x/src/llama-model.cpp:1330: GGML_ASSERT(a > 0 && (a <= b)) failed\n";
        assert_eq!(last_words(assertion), " (it asserts a > 0 && (a <= b), llama-model.cpp:1330)");
        let panic =
            "\nthread 'main' (7) panicked at /x/model.rs:140:44:\nit does not fit\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(last_words(panic), " (it does not fit)");
        let exception =
            "terminate called after throwing an instance of 'std::out_of_range'\n  what():  basic_string::substr\n";
        assert_eq!(last_words(exception), " (basic_string::substr)");
        assert_eq!(last_words("a\n/x/ops.cpp:1: fatal error\n\n"), " (ops.cpp:1: fatal error)");
        assert_eq!(last_words(""), "");
    }
}
