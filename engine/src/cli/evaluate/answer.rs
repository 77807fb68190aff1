//! One system's answers to a task, kept item by item.

use super::{Run, System, texts::Texts};
use crate::{
    Error,
    cli::{
        args::EvalArgs,
        progress::{self, Bar},
        render::Look,
        trial::Admission,
    },
    engine::Engine,
    evaluate::{Answer, Asking, ask},
    settings::Settings,
};
use ::measure::{
    results::{self, Header, Item, Items, Measured, Program, Results, Writer},
    sandbox::{Mechanism, Sandbox},
    tasks::{self, Grade, Kind, Outcome, Right, Task},
};
use std::{cell::RefCell, collections::HashSet, sync::Arc, time::Instant};
use tempfile::TempDir;

/// Says what an answer is worth.
pub struct Judge<'a> {
    task: &'a Task,
    sandbox: Option<Sandbox>,
    /// Of open-ended text.
    texts: Option<RefCell<Texts>>,
}

impl<'a> Judge<'a> {
    /// Makes a judge, with a sandbox where programs are run; an error where there is none.
    pub fn new(
        task: &'a Task,
        settings: &Settings,
        args: &EvalArgs,
        look: Look,
        admission: Admission,
    ) -> Result<Self, Error> {
        if task.kind() == Kind::Open {
            let texts = Texts::new(task, settings, args, look, admission)?;
            return Ok(Self { task, sandbox: None, texts: Some(RefCell::new(texts)) });
        }
        if task.kind() != Kind::Code {
            return Ok(Self { task, sandbox: None, texts: None });
        }
        let program = std::env::current_exe().map_err(|error| Error::Failure(error.to_string()))?;
        let sandbox = match args.unsafe_exec {
            true => Sandbox::with(Mechanism::Unconfined, &program),
            false => Sandbox::new(&program),
        };
        let sandbox = sandbox.map_err(|error| Error::Input(error.to_string()))?;
        Ok(Self { task, sandbox: Some(sandbox), texts: None })
    }

    fn grade(&self, item: &tasks::Item, text: &str) -> Result<Grade, Error> {
        let Some(sandbox) = &self.sandbox else { return Ok(self.task.grade(item, text)) };
        let program = self.task.program(item, text).unwrap_or_default();
        let run = sandbox.run(&program).map_err(|error| Error::Failure(error.to_string()))?;
        Ok(self.task.grade_run(&run))
    }
}

/// A system at work on a task.
pub struct Answering<'a> {
    run: &'a Run<'a>,
    system: &'a System,
    writer: Writer,
    header: Header,
    /// A folder that goes with the run, for results that nobody wants to keep.
    folder: Option<TempDir>,
    path: std::path::PathBuf,
    engine: Option<Arc<Engine>>,
}

impl<'a> Answering<'a> {
    /// Opens the results; what is there already is not asked again.
    pub fn new(run: &'a Run<'a>, system: &'a System, role: &str) -> Result<Self, Error> {
        let folder = match run.args.output {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|error| Error::Failure(error.to_string()))?),
        };
        let nowhere = || folder.as_ref().map_or_else(Default::default, |folder| folder.path().join("results.jsonl"));
        let path = run.place(role).unwrap_or_else(nowhere);
        let task = run.task;
        let mut described = system.described.clone();
        described.settings["definition"] = task.definition_digest().into();
        let header = Header {
            results: results::FORMAT,
            task: task.name().into(),
            items: Items { sha256: Some(task.digest().into()), number: task.items().len() as u64 },
            system: described,
            seed: run.args.seed,
            program: Program {
                version: format!("llama_selfmod {}", env!("CARGO_PKG_VERSION")),
                build: std::env::consts::ARCH.into(),
            },
            measured: match task.kind() {
                Kind::Perplexity => Measured::Nats,
                Kind::Open => Measured::Figures,
                _ => Measured::Right,
            },
            sequential: run.args.quick,
        };
        let writer = Writer::open(&path, header.clone()).map_err(|error| Error::Input(error.to_string()))?;
        Ok(Self { run, system, writer, header, folder, path, engine: None })
    }

    /// Loads the models, unless all is answered.
    pub fn load(&mut self) -> Result<(), Error> {
        let wanted = self.run.task.sample(self.run.args.limit, self.run.args.seed);
        let is_done = !wanted.is_empty() && wanted.iter().all(|item| self.writer.is_done(&item.id));
        if !is_done {
            let engine = progress::load(self.system.settings.clone(), self.run.look, self.run.admission)?;
            engine.notes().iter().for_each(|note| self.run.look.remark(note));
            self.engine = Some(Arc::new(engine));
        }
        Ok(())
    }

    /// Answers those of these items that were not answered yet.
    pub fn answer(&mut self, items: &[&tasks::Item]) -> Result<(), Error> {
        let open: Vec<&tasks::Item> = items.iter().copied().filter(|item| !self.writer.is_done(&item.id)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let bar = progress::items(self.run.look, &self.system.described.name, open.len());
        let outcome = match self.run.task.kind() {
            Kind::Choices => self.choose(&open, &bar),
            _ => self.write(&open, &bar),
        };
        bar.finish_and_clear();
        outcome
    }

    fn write(&mut self, open: &[&tasks::Item], bar: &Bar) -> Result<(), Error> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let how = Asking { seed: self.run.args.seed, samples: self.system.samples };
        let (judge, writer) = (self.run.judge, &mut self.writer);
        let mut done = |item: &tasks::Item, answer: Result<Answer, Error>| {
            let mut line = about(item);
            match answer {
                Ok(answer) if judge.texts.is_some() => {
                    let texts = judge.texts.as_ref().map(RefCell::borrow_mut);
                    line.figures =
                        texts.map(|mut texts| texts.figures(item, &answer.text)).transpose()?.unwrap_or_default();
                    line.seconds = Some((answer.seconds * 1e3).round() / 1e3);
                    line.answer = Some(answer.text);
                }
                Ok(answer) => {
                    let grade = judge.grade(item, &answer.text)?;
                    line.right = Some(grade.right());
                    line.error = (grade.outcome == Outcome::Unparsed).then(|| format!("no answer: {}", grade.reason));
                    line.expected = Some(grade.expected);
                    line.seconds = Some((answer.seconds * 1e3).round() / 1e3);
                    line.answer = Some(answer.text);
                }
                Err(error) => line.error = Some(error.to_string()),
            }
            writer.append(line).map_err(|error| Error::Failure(error.to_string()))?;
            bar.inc(1);
            Ok(())
        };
        ask(engine, self.run.task, open.iter().copied(), how, &mut done)
    }

    fn choose(&mut self, open: &[&tasks::Item], bar: &Bar) -> Result<(), Error> {
        let Some(engine) = self.engine.as_mut().and_then(Arc::get_mut) else { return Ok(()) };
        for item in open {
            let Right::Choice { choices, place } = &item.right else { continue };
            let since = Instant::now();
            let continuations: Vec<&str> = choices.iter().map(|choice| choice.continuation.as_str()).collect();
            let mut line = about(item);
            line.expected = choices.get(*place).map(|choice| choice.text.clone());
            match engine.log_likelihoods(&item.prompt, &continuations) {
                Ok(likelihoods) => match self.run.task.grade_choices(item, &likelihoods) {
                    Some(grade) => {
                        line.right = Some(grade.by_sum == *place);
                        line.right_normalised = Some(grade.by_character == *place);
                        line.answer = choices.get(grade.by_sum).map(|choice| choice.text.clone());
                    }
                    None => line.error = Some("a likelihood is no number".into()),
                },
                Err(error) => line.error = Some(error.to_string()),
            }
            line.seconds = Some((since.elapsed().as_secs_f64() * 1e3).round() / 1e3);
            self.writer.append(line).map_err(|error| Error::Failure(error.to_string()))?;
            bar.inc(1);
        }
        Ok(())
    }

    /// Scores the task's text.
    pub fn perplexity(&mut self) -> Result<(), Error> {
        let Some(engine) = self.engine.as_mut().and_then(Arc::get_mut) else { return Ok(()) };
        let (writer, limit) = (&mut self.writer, self.run.args.limit.unwrap_or(usize::MAX));
        let id = |number: usize| format!("{number:06}");
        let known: HashSet<String> = writer.items().iter().map(|item| item.id.clone()).collect();
        let bar = progress::sign(self.run.look, "scoring".into());
        let mut done = |number, chunk: crate::evaluate::Chunk| {
            bar.tick();
            let tokens = (chunk.tokens > 0).then_some(chunk.tokens);
            let line =
                Item { id: id(number), nats: Some(chunk.nats), bytes: Some(chunk.bytes), tokens, ..Item::default() };
            writer.append(line).map_err(|error| Error::Failure(error.to_string()))
        };
        let wanted = |number| number <= limit && !known.contains(&id(number));
        let outcome = engine.chunks(self.run.task.text(), &wanted, &mut done);
        bar.finish_and_clear();
        outcome
    }

    /// Whether an item was answered and the answer is right.
    pub fn is_right(&self, id: &str) -> bool {
        self.writer.items().iter().any(|item| item.id == id && item.is_right())
    }

    /// What came of it: of these items, whatever else the file has.
    pub fn finish(self) -> Result<Results, Error> {
        let mut items = self.writer.items().to_vec();
        let (run, wanted) = (self.run, self.run.task.sample(self.run.args.limit, self.run.args.seed));
        if run.task.kind() != Kind::Perplexity {
            let wanted: HashSet<&str> = wanted.iter().map(|item| item.id.as_str()).collect();
            items.retain(|item| wanted.contains(item.id.as_str()));
        }
        drop(self.folder);
        Ok(Results { path: self.path, header: self.header, items, notes: Vec::new() })
    }
}

/// The question without the examples before it, for people.
fn about(item: &tasks::Item) -> Item {
    let question = item.fields.get("question").and_then(|question| question.as_str()).unwrap_or(&item.prompt);
    Item { id: item.id.clone(), question: Some(question.into()), ..Item::default() }
}
