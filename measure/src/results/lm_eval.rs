//! The samples that lm-eval keeps with `--log_samples`: `samples_TASK_DATE.jsonl`.
//!
//! One line is one document under one filter (`evaluation_tracker.py` of lm-eval 0.4.13): `doc_id`, `doc`, `target`,
//! `arguments`, `filtered_resps` (all numbers turned to text), `filter`, the names of the `metrics`, and each metric under its
//! name. The file says nothing of the model, the settings or the digest of the items; `doc_hash` and `target_hash` say
//! whether two files are about the same ones.

use super::read::Lines;
use super::{FORMAT, Header, Item, Items, Measured, Program, Results, ResultsError, System};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

/// The filter to take where there are several: the strict reading of an answer is the figure that GSM8K tables show.
const FILTER: &str = "strict-match";

/// Metrics of right and wrong, the most common first.
const RIGHT: [&str; 3] = ["exact_match", "acc", "pass@1"];

/// Metrics whose value is a log-likelihood and a number of bytes.
const NATS: [&str; 2] = ["bits_per_byte", "byte_perplexity"];

/// Keys of the field's data sets under which a question stands.
const QUESTION: [&str; 8] = ["question", "query", "ctx", "problem", "prompt", "sentence", "passage", "text"];

/// Whether a line is a sample.
pub(super) fn is_sample(value: &Value) -> bool {
    value.get("doc_id").is_some() && (value.get("doc").is_some() || value.get("filtered_resps").is_some())
}

/// Reads all samples, of which the first line is read already.
pub(super) fn read(path: &Path, first: Value, mut lines: Lines) -> Result<Results, ResultsError> {
    let (metric, measured) = metric(&first).map_err(|why| lines.bad(why))?;
    let mut filters: Vec<String> = Vec::new();
    let mut samples: Vec<(usize, Item)> = Vec::new();
    let mut seen = HashSet::new();
    let mut next = Some(first);
    while let Some(sample) = next {
        if !is_sample(&sample) {
            return Err(lines.bad("it is no sample of lm-eval's `--log_samples`"));
        }
        let name = sample.get("filter").and_then(Value::as_str).unwrap_or("none");
        let filter = filters.iter().position(|filter| filter == name).unwrap_or_else(|| {
            filters.push(name.into());
            filters.len() - 1
        });
        let item = item(&sample, &metric, measured).map_err(|why| lines.bad(why))?;
        if !seen.insert((filter, item.id.clone())) {
            return Err(lines.bad(format!("document {} stands there twice with filter `{name}`", item.id)));
        }
        samples.push((filter, item));
        next = lines.next()?;
    }
    let taken = filters.iter().position(|filter| filter == FILTER).unwrap_or(0);
    let items: Vec<Item> = samples.into_iter().filter_map(|(filter, item)| (filter == taken).then_some(item)).collect();
    let mut notes: Vec<String> = lines.note().into_iter().collect();
    if filters.len() > 1 {
        notes.push(format!(
            "`{}` has the filters {}; `{}` is taken",
            path.display(),
            filters.join(", "),
            filters[taken]
        ));
    }
    let header = Header {
        results: FORMAT,
        task: task(path),
        items: Items { sha256: None, number: items.len() as u64 },
        system: System {
            name: system(path),
            members: Vec::new(),
            fusion: String::new(),
            policies: Vec::new(),
            settings: Value::Null,
        },
        seed: 0,
        program: Program { version: "lm-eval".into(), build: String::new() },
        measured,
        sequential: false,
    };
    Ok(Results { path: path.into(), header, items, notes })
}

/// The metric to compare by, of those that the first sample has.
fn metric(sample: &Value) -> Result<(String, Measured), String> {
    let names: Vec<&str> =
        sample.get("metrics").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let known = RIGHT.iter().copied().chain(names.iter().copied());
    if let Some(name) = known.clone().find(|name| sample.get(name).is_some_and(|value| truth(value).is_some())) {
        return Ok((name.into(), Measured::Right));
    }
    if let Some(name) = NATS.into_iter().find(|name| sample.get(name).is_some_and(|value| cost(value).is_some())) {
        return Ok((name.into(), Measured::Nats));
    }
    Err(format!(
        "it has no metric of right and wrong ({}) and none of bits ({}); its metrics are {}",
        RIGHT.join(", "),
        NATS.join(", "),
        if names.is_empty() { "not named".into() } else { names.join(", ") }
    ))
}

fn item(sample: &Value, metric: &str, measured: Measured) -> Result<Item, String> {
    let id = match &sample["doc_id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Err("its `doc_id` is neither a number nor a text".into()),
    };
    let value = sample.get(metric).ok_or_else(|| format!("it has no `{metric}`, which the first sample has"))?;
    let choices = choices(&sample["doc"]);
    let mut item = Item {
        id,
        question: question(sample),
        answer: answer(&sample["filtered_resps"], &choices),
        expected: sample.get("target").and_then(Value::as_str).map(|target| {
            let choice = target.parse().ok().and_then(|at: usize| choices.get(at));
            choice.cloned().unwrap_or_else(|| target.into())
        }),
        digest: digest(sample),
        ..Item::default()
    };
    match measured {
        Measured::Right => {
            item.right = Some(
                truth(value).ok_or_else(|| format!("its `{metric}` is {value}, which is neither right nor wrong"))?,
            );
            item.right_normalised = if metric == "acc" { sample.get("acc_norm").and_then(truth) } else { None };
        }
        Measured::Nats => {
            let (nats, bytes) = cost(value)
                .ok_or_else(|| format!("its `{metric}` is {value}, which is no log-likelihood and bytes"))?;
            (item.nats, item.bytes) = (Some(nats), Some(bytes));
        }
        // No metric is read as such.
        Measured::Figures => {}
    }
    Ok(item)
}

/// A metric's value as right or wrong; a part between them is neither.
fn truth(value: &Value) -> Option<bool> {
    match value.as_bool().map(f64::from).or(value.as_f64()) {
        Some(1.0) => Some(true),
        Some(0.0) => Some(false),
        _ => None,
    }
}

/// Nats and bytes of a pair of log-likelihood and bytes.
fn cost(value: &Value) -> Option<(f64, u64)> {
    let [log_likelihood, bytes] = value.as_array()?.as_slice() else { return None };
    let nats = -log_likelihood.as_f64()?;
    // 0 is −0 with its sign turned.
    (nats >= 0.0).then_some((nats.abs(), bytes.as_u64()?))
}

/// The texts of the choices, by the two forms that data sets have.
fn choices(doc: &Value) -> Vec<String> {
    let choices = doc.get("choices").or_else(|| doc.get("endings"));
    let texts = choices.and_then(|choices| choices.get("text").or(Some(choices))).and_then(Value::as_array);
    texts.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

/// What was answered: a text, or of several choices the one with the largest log-likelihood.
fn answer(responses: &Value, choices: &[String]) -> Option<String> {
    let responses = responses.as_array()?;
    if let [Value::String(text)] = responses.as_slice() {
        return Some(text.clone());
    }
    let likelihood = |response: &Value| match response.get(0)? {
        Value::String(text) => text.parse::<f64>().ok(),
        value => value.as_f64(),
    };
    let likelihoods: Vec<f64> = responses.iter().map(likelihood).collect::<Option<_>>()?;
    let (best, _) = likelihoods.iter().enumerate().max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (likelihoods.len() > 1).then(|| choices.get(best).cloned().unwrap_or_else(|| format!("choice {}", best + 1)))
}

/// What was asked: the document's own field, else the whole prompt.
fn question(sample: &Value) -> Option<String> {
    let of_document = QUESTION.iter().find_map(|key| sample["doc"].get(key).and_then(Value::as_str));
    let prompt = || sample.pointer("/arguments/gen_args_0/arg_0").and_then(Value::as_str);
    of_document.or_else(prompt).map(Into::into)
}

fn digest(sample: &Value) -> Option<String> {
    let hash = |key| sample.get(key).and_then(Value::as_str);
    Some(format!("{} {}", hash("doc_hash")?, hash("target_hash").unwrap_or("")))
}

/// The task in `samples_TASK_2026-05-01T12-00-00.000000.jsonl`.
fn task(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_prefix("samples_").unwrap_or(&stem);
    match name.rsplit_once('_') {
        Some((task, date)) if date.starts_with(|first: char| first.is_ascii_digit()) && date.contains('T') => {
            task.into()
        }
        _ => name.into(),
    }
}

/// The model's name, which is that of the folder.
fn system(path: &Path) -> String {
    let folder = std::path::absolute(path)
        .ok()
        .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    folder.unwrap_or_else(|| "lm-eval".into())
}
