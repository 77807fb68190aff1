//! `eval`: tasks, systems and their results.

mod answer;
mod policies;
mod system;
mod texts;

use self::{
    answer::{Answering, Judge},
    system::System,
};
use super::{
    args::EvalArgs,
    measure::line,
    output::{print, print_json},
    render::{Detail, Look},
    trial::Admission,
};
use crate::{Error, settings::Settings};
use ::measure::{
    compare::{Comparison, compare, plain, summary},
    page::Page,
    results::Results,
    statistics::SequentialTest,
    tasks::{Kind, Task},
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What `--against` names.
enum Against {
    /// Nothing.
    Nobody,
    /// The best member, and perhaps several answers of it.
    Best { samples: bool },
    /// A model or a team.
    Other(Box<Settings>),
}

/// Asks each task of the ensemble and of what it is compared with.
pub fn run(settings: &Settings, look: Look, admission: Admission, args: &EvalArgs) -> Result<ExitCode, Error> {
    // Mistakes first: nothing is loaded for a task that cannot be read.
    let open = |name: &String| {
        let data = args.data.as_deref();
        Task::open(name, data).map_err(|error| Error::Input(error.to_string()))
    };
    if let [what, name] = args.tasks.as_slice()
        && matches!(what.as_str(), "signals" | "retraction")
    {
        let task = open(name)?;
        return if what == "signals" {
            policies::signals(settings, look, admission, args, &task)
        } else {
            policies::retraction(settings, look, admission, args, &task)
        };
    }
    if args.data.is_some() && args.tasks.len() > 1 {
        return Err(Error::Input("`--data` is for one task; name the others in a run of their own".into()));
    }
    let tasks: Vec<Task> = args.tasks.iter().map(open).collect::<Result<_, _>>()?;
    let against = against(settings, args)?;
    if let Some(folder) = args.output.as_deref().filter(|_| tasks.len() > 1) {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::Input(format!("`{}` cannot be a folder for results: {error}", folder.display())))?;
    }
    let remark = Look { detail: Detail::Normal, ..look };
    let (mut text, mut page) = (String::new(), Page::new("Evaluation"));
    for task in &tasks {
        if task.has_examples_only() {
            remark.remark(&format!(
                "`{}` has five examples here, on which no figure means anything; name a real file with --data",
                task.name()
            ));
        }
        let judge = Judge::new(task, settings, args, look, admission)?;
        let run = Run { task, judge: &judge, args, look, admission };
        let outcome = run.all(settings, &against)?;
        let summaries: Vec<_> = outcome.results.iter().map(summary).collect();
        if args.json {
            let named = |(results, found): (&Results, &_)| serde_json::json!({ "name": results.header.system.name, "figures": found });
            let systems: Vec<_> = outcome.results.iter().zip(&summaries).map(named).collect();
            let comparisons: Vec<_> = outcome.comparisons.iter().map(|(comparison, _)| comparison).collect();
            let json = serde_json::json!({ "task": task.name(), "systems": systems, "comparisons": comparisons });
            print_json(&line(&json)?)?;
        }
        for (results, found) in outcome.results.iter().zip(&summaries) {
            text += &format!("{}, {}: {found}\n", task.name(), plain(&results.header.system.name));
            text += &perplexity(results).unwrap_or_default();
        }
        for comparison in outcome.comparisons.iter().map(|(comparison, _)| comparison) {
            text += &format!("\n{comparison}\n");
        }
        page = outcome.results.iter().fold(page, |page, results| page.results(results));
        page = outcome.comparisons.iter().fold(page, |page, (comparison, pair)| page.comparison(comparison, pair));
    }
    if let Some(file) = &args.html {
        write_page(file, &page)?;
    }
    if args.json { Ok(ExitCode::SUCCESS) } else { print(&text) }
}

/// A line with the perplexity, where tokens were counted.
fn perplexity(results: &Results) -> Option<String> {
    let costs = results.items.iter().filter_map(|item| Some((item.nats?, item.tokens?)));
    let (nats, tokens) = costs.fold((0.0, 0), |(nats, tokens), cost| (nats + cost.0, tokens + cost.1));
    (tokens > 0).then(|| format!("perplexity {:.4} over {tokens} tokens\n", (nats / tokens as f64).exp()))
}

/// Writes a page for a browser.
pub fn write_page(file: &Path, page: &Page) -> Result<(), Error> {
    std::fs::write(file, page.render())
        .map_err(|error| Error::Failure(format!("the page `{}` cannot be written: {error}", file.display())))
}

fn against(settings: &Settings, args: &EvalArgs) -> Result<Against, Error> {
    let Some(what) = args.against.as_deref() else { return Ok(Against::Nobody) };
    let against = match what {
        "best" => Against::Best { samples: false },
        "samples" => Against::Best { samples: true },
        _ => Against::Other(Box::new(system::other(Path::new(what), settings)?)),
    };
    let is_best = matches!(against, Against::Best { .. });
    if is_best && settings.models.len() < 2 {
        return Err(Error::Input(format!("`--against {what}` compares an ensemble with its members; name two models")));
    }
    if matches!(against, Against::Best { samples: true }) && args.temperature == 0.0 {
        return Err(Error::Input(
            "`--against samples` needs answers that differ; give a `--temperature` above 0".into(),
        ));
    }
    if args.quick && is_best {
        return Err(Error::Input(
            "`--quick` needs to know with whom it compares from the first item on; name one model with `--against FILE`".into(),
        ));
    }
    Ok(against)
}

/// One task.
struct Run<'a> {
    task: &'a Task,
    judge: &'a Judge<'a>,
    args: &'a EvalArgs,
    look: Look,
    admission: Admission,
}

/// What came of it: the ensemble's results first, and pairs that were compared.
struct Outcome {
    results: Vec<Results>,
    comparisons: Vec<(Comparison, Vec<Results>)>,
}

impl Run<'_> {
    fn all(&self, settings: &Settings, against: &Against) -> Result<Outcome, Error> {
        let own = System::new(settings, 1, self.args)?;
        if let (Against::Other(other), true) = (against, self.args.quick) {
            return self.quick(&own, &System::new(other, 1, self.args)?);
        }
        let mut results = vec![self.one(&own, "")?];
        match against {
            Against::Nobody => {}
            Against::Other(other) => results.push(self.one(&System::new(other, 1, self.args)?, "against")?),
            Against::Best { samples } => {
                let singles: Vec<Settings> = system::singles(settings);
                for (number, single) in singles.iter().enumerate() {
                    results.push(self.one(&System::new(single, 1, self.args)?, &format!("member-{}", number + 1))?);
                }
                let best = system::best(&results[1..]);
                if *samples {
                    let often = System::new(&singles[best], settings.models.len() as u32, self.args)?;
                    results.push(self.one(&often, "samples")?);
                }
                // Of the members the best, and what else costs as much as the ensemble.
                let rest = results.split_off(singles.len() + 1);
                let pair = [results[0].clone(), results[1 + best].clone()];
                results = pair.into_iter().chain(rest).collect();
            }
        }
        let own = results[0].clone();
        let pairs = results[1..].iter().map(|baseline| vec![baseline.clone(), own.clone()]);
        let compared =
            |pair: Vec<Results>| Ok((compare(&pair).map_err(|error| Error::Input(error.to_string()))?, pair));
        let comparisons = pairs.map(compared).collect::<Result<_, Error>>()?;
        Ok(Outcome { results, comparisons })
    }

    /// All items of one system, or those that are not there yet.
    fn one(&self, system: &System, role: &str) -> Result<Results, Error> {
        let mut answering = Answering::new(self, system, role)?;
        answering.load()?;
        if self.task.kind() == Kind::Perplexity {
            answering.perplexity()?;
        } else {
            let items = self.task.sample(self.args.limit, self.args.seed);
            answering.answer(&items)?;
        }
        answering.finish()
    }

    /// Both systems in turn, some items each, until a difference is shown.
    fn quick(&self, own: &System, other: &System) -> Result<Outcome, Error> {
        if matches!(self.task.kind(), Kind::Perplexity | Kind::Open) {
            return Err(Error::Input("`--quick` is for tasks whose items are right or wrong; leave it out".into()));
        }
        let mut systems = [Answering::new(self, other, "against")?, Answering::new(self, own, "")?];
        systems.iter_mut().try_for_each(Answering::load)?;
        let items = self.task.sample(self.args.limit, self.args.seed);
        let mut test = SequentialTest::default();
        for block in items.chunks(self.args.at_once) {
            systems.iter_mut().try_for_each(|system| system.answer(block))?;
            for item in block {
                test.observe(systems[0].is_right(&item.id), systems[1].is_right(&item.id));
            }
            if test.winner().is_some() {
                break;
            }
        }
        let [other, own] = systems;
        let pair = vec![other.finish()?, own.finish()?];
        let comparison = compare(&pair).map_err(|error| Error::Input(error.to_string()))?;
        Ok(Outcome { results: pair.iter().rev().cloned().collect(), comparisons: vec![(comparison, pair)] })
    }

    /// Where the results of a system are kept; `None` for nowhere.
    fn place(&self, role: &str) -> Option<PathBuf> {
        let output = self.args.output.as_deref()?;
        let is_folder = self.args.tasks.len() > 1 || output.is_dir();
        let file = if is_folder { output.join(format!("{}.jsonl", self.task.name())) } else { output.to_path_buf() };
        if role.is_empty() {
            return Some(file);
        }
        let mut name = OsString::from(file.file_stem().unwrap_or_default());
        name.push(format!(".{role}"));
        if let Some(ending) = file.extension() {
            name.push(".");
            name.push(ending);
        }
        Some(file.with_file_name(name))
    }
}
