//! `eval signals` and `eval retraction`: what policies look at, and whether what they change makes replies better.

use super::super::{
    args::EvalArgs,
    measure::line,
    output::{print, print_json},
    progress,
    render::Look,
    trial::Admission,
};
use super::texts;
use crate::{
    Error,
    engine::Engine,
    evaluate::{Fork, bad_tokens, continued, forks},
    settings::Settings,
};
use ::measure::{
    forks::{Fork as Judged, improved},
    open,
    signals::{Reply, areas, first_wrong, thresholds, worst_bits},
    tasks::{Item, Kind, Task},
};
use std::{process::ExitCode, sync::Arc};

/// Continuations of each line of a fork.
const SAMPLES: usize = 8;

/// What a reply is worth that ends in a loop, in bits per byte: less than any other.
const LOOP: f64 = -1e3;

/// Forks of one reply that are continued at most.
const FORKS: usize = 2;

/// Which signals foretell errors.
pub fn signals(
    settings: &Settings,
    look: Look,
    admission: Admission,
    args: &EvalArgs,
    task: &Task,
) -> Result<ExitCode, Error> {
    let is_open = task.kind() == Kind::Open;
    known(task, args)?;
    let mut judge = judge_of(task, settings, look, admission, args)?;
    let mut engine = progress::load(of_task(settings, task, 1), look, admission)?;
    let watch = engine.watch();
    let items = task.sample(args.limit, args.seed);
    let bar = progress::items(look, "replies", items.len());
    let (mut replies, mut judged) = (Vec::new(), Vec::new());
    for item in items {
        let watched = engine.watched(item, args.seed, &watch)?;
        let mut reply = Reply { id: item.id.clone(), tokens: watched.tokens, faults: Vec::new(), is_wrong: None };
        if let Some(judge) = judge.as_mut().filter(|_| !reply.tokens.is_empty()) {
            let tokens = judge.judge(&item.prompt, &watched.text)?;
            judged.push(tokens.iter().map(|token| (token.at, token.bits, token.entropy)).collect::<Vec<_>>());
        } else if let (false, Some(reference)) = (is_open, reference(item)) {
            let is_wrong = !task.grade(item, &watched.text).right();
            reply.is_wrong = Some(is_wrong);
            let fault = || reply.token_at(first_wrong(&watched.text, reference));
            reply.faults = is_wrong.then(fault).flatten().into_iter().collect();
        }
        if !reply.tokens.is_empty() {
            replies.push(reply);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(threshold) = worst_bits(&judged) {
        for (reply, judged) in replies.iter_mut().zip(&judged) {
            reply.faults = bad_tokens(reply, judged, threshold);
        }
    }
    let (areas, thresholds) = (areas(&replies, args.seed), thresholds(&replies));
    if args.json {
        print_json(&line(&serde_json::json!({ "task": task.name(), "areas": areas, "thresholds": thresholds }))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{areas}\n\n{thresholds}\n"))
}

/// Whether what the policies change makes replies better.
pub fn retraction(
    settings: &Settings,
    look: Look,
    admission: Admission,
    args: &EvalArgs,
    task: &Task,
) -> Result<ExitCode, Error> {
    known(task, args)?;
    if settings.policies.is_empty() {
        return Err(Error::Input("name the policy whose changes are judged with `--policy`".into()));
    }
    let mut judge = judge_of(task, settings, look, admission, args)?;
    let mut engine = progress::load(of_task(settings, task, 1), look, admission)?;
    let watch = engine.watch();
    let without = Settings { policies: Vec::new(), ..of_task(settings, task, SAMPLES) };
    let others = Arc::new(progress::load(without, look, admission)?);
    let items = task.sample(args.limit, args.seed);
    let bar = progress::items(look, "replies", items.len());
    let (mut judged, mut all) = (Vec::new(), 0);
    for item in items {
        let found = forks(&engine.watched(item, args.seed, &watch)?.account);
        all += found.len();
        for fork in chosen(&found) {
            judged.push(judge_fork(&others, task, item, fork, args.seed, judge.as_mut())?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let improved = improved(&judged, args.seed);
    if args.json {
        print_json(&line(
            &serde_json::json!({ "task": task.name(), "forks": all, "judged": judged.len(), "improved": improved }),
        )?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let told = format!(
        "{all} changes in {} replies, {} of them judged, {SAMPLES} samples of each line\n",
        task.sample(args.limit, args.seed).len(),
        judged.len()
    );
    let found = improved.map_or("nothing was changed, so nothing is known".into(), |improved| improved.to_string());
    print(&format!("{told}{found}\n"))
}

fn judge_fork(
    engine: &Arc<Engine>,
    task: &Task,
    item: &Item,
    fork: &Fork,
    seed: u64,
    mut judge: Option<&mut Engine>,
) -> Result<Judged, Error> {
    let mut score = |reply: &String| match judge.as_mut() {
        None => Ok(f64::from(u8::from(task.grade(item, reply).right()))),
        // A judge finds what repeats itself likely.
        Some(_) if open::ends_in_loop(reply) => Ok(LOOP),
        Some(judge) => {
            let bits: f64 = judge.judge(&item.prompt, reply)?.iter().map(|token| token.bits).sum();
            Ok(-bits / reply.len().max(1) as f64)
        }
    };
    let [kept, changed] = continued(engine, task, item, fork, SAMPLES, seed)?;
    let kept = kept.iter().map(&mut score).collect::<Result<_, Error>>()?;
    let changed = changed.iter().map(&mut score).collect::<Result<_, Error>>()?;
    Ok(Judged { item: item.id.clone(), kept, changed })
}

/// The model that judges open-ended text; elsewhere an answer is right or wrong.
fn judge_of(
    task: &Task,
    settings: &Settings,
    look: Look,
    admission: Admission,
    args: &EvalArgs,
) -> Result<Option<Engine>, Error> {
    let file = args.judge.as_deref().filter(|_| task.kind() == Kind::Open);
    file.map(|file| texts::load(file, settings, look, admission)).transpose()
}

/// Some forks of a reply: the one in the middle and the last, so that not all are beginnings.
fn chosen(forks: &[Fork]) -> impl Iterator<Item = &Fork> {
    let places = [forks.len() / 2, forks.len().saturating_sub(1)];
    let differ = places[0] != places[1];
    places.into_iter().take(if differ { FORKS } else { 1 }).filter_map(|place| forks.get(place))
}

/// The settings for replies to a task.
fn of_task(settings: &Settings, task: &Task, texts: usize) -> Settings {
    let n_predict = u32::try_from(task.max_tokens()).unwrap_or(u32::MAX);
    Settings { n_predict, stop: task.stop().to_vec(), texts, ..settings.clone() }
}

/// Says what is missing for telling a good reply from a bad one.
fn known(task: &Task, args: &EvalArgs) -> Result<(), Error> {
    if args.chat {
        return Err(Error::Input("replies are continued as they stand here; leave `--chat` out".into()));
    }
    match task.kind() {
        Kind::Open if args.judge.is_none() => Err(Error::Input(format!(
            "nothing is right or wrong in `{}`; name a model that judges it with `--judge FILE`",
            task.name()
        ))),
        Kind::Open | Kind::Generate => Ok(()),
        _ => Err(Error::Input(format!(
            "`{}` is no task whose replies are written; `maths` and `stories` are",
            task.name()
        ))),
    }
}

/// The answer that is known to be right, worked out.
fn reference(item: &Item) -> Option<&str> {
    item.fields.get("answer").and_then(|answer| answer.as_str())
}
