//! The engine as the bench of the crate `forge`: what its stages need models for.

use super::imatrix;
use crate::{
    Error,
    cli::{render::Look, trial::Admission},
    files,
    member::{
        Token,
        alone::{Alone, Experts, Importance, Reading},
        quantize::{FileType, quantize, quantized_header},
    },
    settings::{ModelSource, Settings},
};
use forge::bench::{Bench, Builder, Eval, Failure, Layer, Pack, Profile, Text, Watch, Window};
use std::{
    cell::RefCell,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// The llama.cpp in this program, by the crate that has it: statements name it, and a test holds it to the manifest.
const LLAMA_CPP: &str = "llama-cpp-sys-2 0.1.161";

/// The largest text that is read, in bytes.
const LARGEST_TEXT: u64 = 1 << 30;

/// What stages run with.
pub struct Workshop {
    /// Layers on the GPU, −1 for all.
    pub gpu_layers: i32,
    /// CPU threads.
    pub threads: Option<usize>,
    /// Files are loaded without a trial.
    pub trust: bool,
    /// How it is shown.
    pub look: Look,
    /// This program, which `eval` and `pack` start again.
    pub program: PathBuf,
    /// Where it keeps what it found out about files.
    pub cache: Option<PathBuf>,
    /// SHA-256 of the program's file, once somebody has asked.
    digest: RefCell<Option<String>>,
}

fn failure(error: Error) -> Failure {
    Failure::new(error.to_string())
}

/// What ended a call that can be cancelled.
fn ended(watch: &dyn Watch, error: Error) -> Failure {
    if watch.cancelled() { Failure::Cancelled } else { failure(error) }
}

/// Hears how much was done, and ends what goes on if the person wants it to.
fn told<'a>(watch: &'a dyn Watch, unit: &'a str) -> impl FnMut(u64, u64) -> Result<(), Error> + 'a {
    move |done, total| {
        watch.progress(done, total, unit);
        if watch.cancelled() { Err(Error::Failure("it was stopped".into())) } else { Ok(()) }
    }
}

impl Workshop {
    pub fn new(
        gpu_layers: i32,
        threads: Option<usize>,
        trust: bool,
        look: Look,
        cache: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let program = std::env::current_exe()
            .map_err(|error| Error::Failure(format!("the program does not know where it is: {error}")))?;
        Ok(Self { gpu_layers, threads, trust, look, program, cache, digest: RefCell::default() })
    }

    /// A model's file, once it was tried in a process of its own.
    fn source(&self, model: &Path, context: u32) -> Result<ModelSource, Error> {
        let source = ModelSource { gpu_layers: self.gpu_layers, ..ModelSource::new(model) };
        let settings = Settings {
            models: vec![source.clone()],
            ctx_size: context,
            threads: self.threads,
            cache: self.cache.clone(),
            ..Settings::default()
        };
        let admission = if self.trust { Admission::Trusted } else { Admission::All };
        admission.admit(settings, self.look)?;
        Ok(source)
    }

    /// A model, and the windows of a text that are meant.
    fn windows_of(&self, model: &Path, text: &Text) -> Result<(Alone, Vec<Vec<Token>>), Error> {
        let words = read_text(text.file)?;
        let source = self.source(model, text.context)?;
        let alone = Alone::load(&source, text.context, self.threads)?;
        let most = text.windows.map_or(usize::MAX, |windows| windows as usize);
        let windows = alone.windows(&words)?.into_iter().skip(text.skip as usize).take(most).collect();
        Ok((alone, windows))
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| num_cpus::get_physical().min(num_cpus::get())).max(1)
    }

    /// Starts the program again, and takes what it says into the log.
    fn again(&self, words: &[OsString], watch: &dyn Watch) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("the program cannot be started again: {error}"));
        let mut command = Command::new(&self.program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (said, hear) = std::sync::mpsc::channel();
        let listen = |stream: Box<dyn std::io::Read + Send>| {
            let said = said.clone();
            thread::spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                for line in lines {
                    if said.send(line).is_err() {
                        return;
                    }
                }
            })
        };
        let streams = [
            child.stdout.take().map(|stream| Box::new(stream) as Box<dyn std::io::Read + Send>),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        let listening: Vec<_> = streams.into_iter().flatten().map(listen).collect();
        let mut last = String::new();
        let mut note = |line: String| {
            watch.log(&line);
            if !line.trim().is_empty() {
                last = line;
            }
        };
        let status = loop {
            while let Ok(line) = hear.try_recv() {
                note(line);
            }
            if watch.cancelled() {
                let _ = child.kill();
            }
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            thread::sleep(Duration::from_millis(50));
        };
        listening.into_iter().for_each(|thread| drop(thread.join()));
        hear.try_iter().for_each(&mut note);
        match status.success() {
            true => Ok(()),
            false if watch.cancelled() => Err(Failure::Cancelled),
            false => Err(Failure::new(last.trim_start_matches("error: ").to_string())),
        }
    }
}

/// A text, or the texts of lines `{"text": …}`.
fn read_text(file: &Path) -> Result<String, Error> {
    let text = files::read_text(file, LARGEST_TEXT)?;
    if file.extension().is_none_or(|ending| ending != "jsonl") {
        return Ok(text);
    }
    let mut all = String::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let Some(text) = value.as_ref().and_then(|value| value.get("text")?.as_str()) else {
            return Err(Error::Input(format!(
                "line {number} of `{}` is no JSON object with a `text`; each line has to be one",
                file.display()
            )));
        };
        all.push_str(text);
        all.push('\n');
    }
    Ok(all)
}

fn reading<'a>(text: &'a str, of: &Text, threads: Option<usize>) -> Reading<'a> {
    let most = of.windows.map_or(usize::MAX, |windows| windows as usize);
    Reading { text, context: of.context, skip: of.skip as usize, most, threads }
}

impl Bench for Workshop {
    fn builder(&self) -> Builder {
        let mut digest = self.digest.borrow_mut();
        let digest = digest.get_or_insert_with(|| {
            crate::memory::file_sha256(&self.program)
                .map_or_else(|_| "unknown".into(), |digest| format!("sha256:{digest}"))
        });
        let id = format!("llama_selfmod {}, {digest}", env!("CARGO_PKG_VERSION"));
        Builder { id, llama_cpp: LLAMA_CPP.into() }
    }

    fn quantized(&self, header: &gguf::Header, to: &str, imatrix: bool) -> Result<gguf::Header, Failure> {
        quantized_header(header, FileType::parse(to).map_err(Failure::new)?, imatrix).map_err(failure)
    }

    fn quantize(
        &self,
        model: &Path,
        to: &str,
        imatrix: Option<&Path>,
        out: &Path,
        watch: &dyn Watch,
    ) -> Result<(), Failure> {
        let to = FileType::parse(to).map_err(Failure::new)?;
        let columns = imatrix.map(imatrix::read).transpose().map_err(|error| ended(watch, error))?;
        quantize(model, to, columns.as_ref(), out, self.threads(), &mut told(watch, "bytes"))
            .map_err(|error| ended(watch, error))
    }

    fn imatrix(&self, model: &Path, text: Text, out: &Path, watch: &dyn Watch) -> Result<(), Failure> {
        let name = text.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = read_text(text.file).map_err(|error| ended(watch, error))?;
        let mut told = told(watch, "windows");
        let mut done = |done: usize, total: usize| told(done as u64, total as u64);
        let source = self.source(model, text.context).map_err(|error| ended(watch, error))?;
        let importance = Importance::of(&source, &reading(&words, &text, self.threads), &mut done)
            .map_err(|error| ended(watch, error))?;
        imatrix::write(&importance, &name, text.context, out).map_err(|error| ended(watch, error))
    }

    fn profile(&self, model: &Path, text: Text, watch: &dyn Watch) -> Result<Profile, Failure> {
        let words = read_text(text.file).map_err(|error| ended(watch, error))?;
        let mut told = told(watch, "windows");
        let mut done = |done: usize, total: usize| told(done as u64, total as u64);
        let source = self.source(model, text.context).map_err(|error| ended(watch, error))?;
        let experts = Experts::of(&source, &reading(&words, &text, self.threads), &mut done)
            .map_err(|error| ended(watch, error))?;
        let layers = experts.layers.iter().map(|(&layer, experts)| Layer {
            layer,
            counts: experts.counts.clone(),
            saliency: experts.saliency(),
        });
        Ok(Profile { tokens: experts.tokens, used: experts.used, layers: layers.collect() })
    }

    fn windows(&self, model: &Path, text: Text) -> Result<u32, Failure> {
        let (_, windows) = self.windows_of(model, &text).map_err(failure)?;
        Ok(windows.len() as u32)
    }

    fn losses(
        &self,
        model: &Path,
        text: Text,
        chosen: Option<&[u32]>,
        watch: &dyn Watch,
    ) -> Result<Vec<Window>, Failure> {
        let mut told = told(watch, "windows");
        let (mut alone, windows) = self.windows_of(model, &text).map_err(|error| ended(watch, error))?;
        let is_chosen = |at: usize| chosen.is_none_or(|chosen| chosen.contains(&(at as u32)));
        let windows: Vec<_> = (0..).zip(&windows).filter(|(at, _)| is_chosen(*at)).map(|(_, window)| window).collect();
        let total = windows.len() as u64;
        let mut costs = Vec::with_capacity(windows.len());
        for window in windows {
            told(costs.len() as u64, total).map_err(|error| ended(watch, error))?;
            let cost = alone.cost(window).map_err(|error| ended(watch, error))?;
            costs.push(Window { nats: cost.nats, tokens: cost.tokens, bytes: cost.bytes });
        }
        told(total, total).map_err(|error| ended(watch, error))?;
        Ok(costs)
    }

    fn eval(&self, eval: Eval, watch: &dyn Watch) -> Result<(), Failure> {
        let mut words: Vec<OsString> = vec!["eval".into(), eval.task.into(), "-m".into(), eval.model.into()];
        words.extend(["-o".into(), eval.out.into()]);
        if let Some(limit) = eval.limit {
            words.extend(["--limit".into(), limit.to_string().into()]);
        }
        words.extend(self.flags());
        self.again(&words, watch)
    }

    fn pack(&self, pack: Pack, watch: &dyn Watch) -> Result<(), Failure> {
        let mut words: Vec<OsString> = vec!["team".into(), "pack".into(), "-o".into(), pack.out.into()];
        for model in pack.models {
            words.extend(["-m".into(), (*model).into()]);
        }
        if !pack.weights.is_empty() {
            let weights: Vec<String> = pack.weights.iter().map(f32::to_string).collect();
            words.extend(["--weights".into(), weights.join(",").into()]);
        }
        if let Some(fusion) = pack.fusion {
            words.extend(["--fusion-mode".into(), fusion.into()]);
        }
        for policy in pack.policies {
            words.extend(["--policy".into(), policy.into()]);
        }
        words.extend(self.flags());
        self.again(&words, watch)
    }
}

impl Workshop {
    /// What is said to the program that is started again.
    fn flags(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--n-gpu-layers".into(), self.gpu_layers.to_string().into()];
        if let Some(threads) = self.threads {
            words.extend(["--threads".into(), threads.to_string().into()]);
        }
        if self.trust {
            words.push("--trust".into());
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_the_llama_cpp_that_is_built_in() {
        let manifest = include_str!("../../../../Cargo.toml");
        let (name, version) = LLAMA_CPP.split_once(' ').unwrap();
        assert!(manifest.contains(&format!("{name} = {{ version = \"={version}\"")), "{LLAMA_CPP}");
    }
}
