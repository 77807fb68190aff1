//! `perplexity`: what a text costs models, window by window, and paired with one of them.

use super::Work;
use crate::bench::{Failure, Text, Window};
use crate::recipe::{Perplexity, files};
use crate::run::Read;
use measure::statistics::{ALPHA, Block, Interval, bootstrap, bootstrap_difference};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The seed of all bootstraps: a second run gives the same intervals.
const SEED: u64 = 0;

/// What `perplexity.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Perplexities {
    /// The text's file name.
    pub text: String,
    /// Tokens a window.
    pub context: u32,
    /// Windows that were left out at the beginning.
    pub skip: u32,
    /// The models: first the one that others are paired with, if there is one.
    pub models: Vec<Measured>,
}

/// What a text costs a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The model's file name.
    pub model: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// Tokens that count.
    pub tokens: u64,
    /// `exp` of the mean cost of a token in nats.
    pub perplexity: f64,
    /// Its interval; `None` with fewer than 5 windows.
    pub interval: Option<Interval>,
    /// Bits a byte of the text.
    pub bits_per_byte: f64,
    /// The change from the first model; `None` of that one, and where nothing is paired.
    pub against: Option<Difference>,
    /// What each window cost, in their order.
    pub windows: Vec<Window>,
}

/// What a text costs one model more than another, paired by windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The other model's file name.
    pub model: String,
    /// Change of the perplexity: 0.05 is 5 % more.
    pub change: f64,
    /// Its interval; `None` with fewer than 5 windows.
    pub interval: Option<Interval>,
    /// Two-sided p-value of no change.
    pub p: Option<f64>,
    /// Whether the interval holds no 0 and p is below 5 %.
    pub shown: bool,
}

pub(super) fn perplexity(stage: &Perplexity, work: &Work) -> Result<(), Failure> {
    let text = work.reads.one("text")?;
    let windows = Text { file: &text.path, context: stage.context, windows: stage.windows, skip: stage.skip };
    let mut measured: Vec<Measured> = Vec::new();
    for model in work.reads.paired() {
        work.go_on()?;
        work.watch.log(&format!("{} on {}", model.file, text.file));
        let losses = work.bench.losses(&model.path, windows, None, work.watch)?;
        let mut found = measure(model, losses)?;
        tell(&found, work);
        if let (Some(base), true) = (measured.first(), stage.against.is_some()) {
            found.against = Some(pair(base, &found)?);
        }
        measured.push(found);
    }
    let all = Perplexities { text: text.file.clone(), context: stage.context, skip: stage.skip, models: measured };
    work.write_json(files::PERPLEXITY, &all)
}

fn measure(model: &Read, windows: Vec<Window>) -> Result<Measured, Failure> {
    if windows.is_empty() {
        return Err(Failure::new(format!(
            "the text does not fill a window of `{}`: take a longer one, a smaller `context` or a smaller `skip`",
            model.file
        )));
    }
    if let Some(bad) = windows.iter().position(|window| !window.nats.is_finite() || window.tokens == 0) {
        return Err(Failure::new(format!("`{}` gives window {} no finite loss", model.file, bad + 1)));
    }
    let tokens: u64 = windows.iter().map(|window| u64::from(window.tokens)).sum();
    let bytes: u64 = windows.iter().map(|window| u64::from(window.bytes)).sum();
    let nats: f64 = windows.iter().map(|window| window.nats).sum();
    let interval = bootstrap(&blocks(&windows), SEED).map(|found| found.interval);
    let size = std::fs::metadata(&model.path).map_err(|error| Failure::read(&model.path, &error))?.len();
    Ok(Measured {
        model: model.file.clone(),
        sha256: model.sha256.clone(),
        size,
        tokens,
        perplexity: (nats / tokens as f64).exp(),
        interval: interval.map(|nats| Interval { low: nats.low.exp(), high: nats.high.exp() }),
        bits_per_byte: nats / std::f64::consts::LN_2 / bytes.max(1) as f64,
        against: None,
        windows,
    })
}

/// Nats among tokens: their ratio is the logarithm of the perplexity.
fn blocks(windows: &[Window]) -> Vec<Block> {
    windows.iter().map(|window| Block { sum: window.nats, of: f64::from(window.tokens) }).collect()
}

fn pair(base: &Measured, model: &Measured) -> Result<Difference, Failure> {
    let shape = |windows: &[Window]| windows.iter().map(|window| (window.tokens, window.bytes)).collect::<Vec<_>>();
    if shape(&base.windows) != shape(&model.windows) {
        return Err(Failure::new(format!(
            "`{}` and `{}` cut the text into other tokens, so their windows cannot be paired: leave `against` out and compare \
             bits per byte",
            base.model, model.model
        )));
    }
    let found = bootstrap_difference(&blocks(&base.windows), &blocks(&model.windows), SEED);
    let interval = found.map(|found| found.interval);
    Ok(Difference {
        model: base.model.clone(),
        change: model.perplexity / base.perplexity - 1.0,
        interval: interval.map(|nats| Interval { low: nats.low.exp_m1(), high: nats.high.exp_m1() }),
        p: found.map(|found| found.p),
        shown: found.is_some_and(|found| found.interval.excludes_zero() && found.p < ALPHA),
    })
}

/// The perplexity so far after each window, for the report.
fn tell(measured: &Measured, work: &Work) {
    let (mut nats, mut tokens) = (0.0, 0.0);
    for (at, window) in measured.windows.iter().enumerate() {
        nats += window.nats;
        tokens += f64::from(window.tokens);
        let so_far = f64::exp(nats / tokens);
        work.watch.history(json!({ "series": measured.model, "at": at + 1, "perplexity": so_far }));
    }
}
