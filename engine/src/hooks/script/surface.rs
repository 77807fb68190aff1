//! What a script sees of the loop, apart from the rows: `step`, `token`, `a` and `r`. These are copies: a script that
//! keeps one keeps old numbers and nothing else. Whole numbers are `int`, all others `float`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plugin_api::{Assessment, Parameters, Retraction, Step, Token};
use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, ImmutableString};

use super::diagnose::ensemble_fault;
use super::verdicts;

/// Names for guesses at a misspelt one.
pub(super) const NAMES: &[&str] = &[
    "position",
    "attempt",
    "retractable",
    "retractions_left",
    "members",
    "temperature",
    "repeat_penalty",
    "top_p",
    "min_p",
    "top_k",
    "base",
    "random",
    "unit",
    "text",
    "bytes",
    "probability",
    "entropy",
    "agreement",
    "leader",
    "is_end",
    "surprise",
    "surprise_mean",
    "surprise_deviation",
    "behind",
    "member_probability",
    "confidence",
    "mean_confidence",
    "slope",
    "minimum",
    "minimum_back",
    "unique",
    "unique_of",
    "repeated",
    "period",
    "window",
    "confidences",
    "units",
    "policy",
    "log",
    "fixed",
    "knob",
    "rng",
];

/// Registers a read-only property for each field of a view.
macro_rules! properties {
    ($engine:ident, $view:ty: $($name:ident),*) => {
        $($engine.register_get(stringify!($name), |view: &mut $view| view.0.$name.clone());)*
    };
}

/// One call's [`Token`].
#[derive(Clone)]
pub(super) struct TokenView(Arc<TokenFields>);

struct TokenFields {
    unit: i64,
    text: ImmutableString,
    bytes: Blob,
    probability: f64,
    entropy: f64,
    agreement: f64,
    leader: i64,
    is_end: bool,
    surprise: f64,
    surprise_mean: f64,
    surprise_deviation: f64,
    behind: f64,
    member_probabilities: Vec<f32>,
}

impl TokenView {
    pub(super) fn new(token: &Token) -> Self {
        Self(Arc::new(TokenFields {
            unit: token.unit.into(),
            text: String::from_utf8_lossy(token.bytes).into_owned().into(),
            bytes: token.bytes.to_vec(),
            probability: token.probability.into(),
            entropy: token.entropy.into(),
            agreement: token.agreement.into(),
            leader: token.leader.into(),
            is_end: token.is_end,
            surprise: token.surprise().into(),
            surprise_mean: token.surprise_mean.into(),
            surprise_deviation: token.surprise_deviation.into(),
            behind: token.behind.into(),
            member_probabilities: token.member_probabilities.to_vec(),
        }))
    }
}

/// One call's [`Assessment`].
#[derive(Clone)]
pub(super) struct AssessmentView(Arc<AssessmentFields>);

struct AssessmentFields {
    unit: i64,
    confidence: f64,
    mean_confidence: f64,
    slope: f64,
    minimum: f64,
    minimum_back: i64,
    entropy: f64,
    agreement: f64,
    leader: i64,
    unique: i64,
    unique_of: i64,
    repeated: i64,
    period: i64,
    window: i64,
    confidences: Vec<f32>,
    units: Vec<u32>,
}

impl AssessmentView {
    pub(super) fn new(assessment: &Assessment) -> Self {
        Self(Arc::new(AssessmentFields {
            unit: assessment.unit.into(),
            confidence: assessment.confidence.into(),
            mean_confidence: assessment.mean_confidence.into(),
            slope: assessment.slope.into(),
            minimum: assessment.minimum.into(),
            minimum_back: assessment.minimum_back.into(),
            entropy: assessment.entropy.into(),
            agreement: assessment.agreement.into(),
            leader: assessment.leader.into(),
            unique: assessment.unique.into(),
            unique_of: assessment.unique_of.into(),
            repeated: assessment.repeated.into(),
            period: assessment.period.into(),
            window: assessment.units.len() as i64,
            confidences: assessment.confidences.to_vec(),
            units: assessment.units.to_vec(),
        }))
    }
}

/// One call's [`Retraction`].
#[derive(Clone)]
pub(super) struct RetractionView(Arc<RetractionFields>);

struct RetractionFields {
    units: i64,
    position: i64,
    policy: ImmutableString,
}

impl RetractionView {
    pub(super) fn new(retraction: &Retraction) -> Self {
        Self(Arc::new(RetractionFields {
            units: retraction.units.into(),
            position: retraction.position.into(),
            policy: retraction.policy.into(),
        }))
    }
}

/// Registers everything in this file. `log` and `print` go to the program's log, unless `muted` (while a script is tried
/// on samples), and never to standard output: that is where the text goes.
pub(super) fn register(engine: &mut Engine, file: &str, muted: &Arc<AtomicBool>) {
    register_step(engine);
    engine.register_type_with_name::<TokenView>("Token");
    properties!(engine, TokenView: unit, text, bytes, probability, entropy, agreement, leader, is_end, surprise,
        surprise_mean, surprise_deviation, behind);
    engine.register_fn("member_probability", |token: &mut TokenView, member: i64| {
        let members = &token.0.member_probabilities;
        usize::try_from(member)
            .ok()
            .and_then(|index| members.get(index))
            .map(|x| f64::from(*x))
            .ok_or_else(|| no_member(member, members.len()))
    });

    engine.register_type_with_name::<AssessmentView>("Assessment");
    properties!(engine, AssessmentView: unit, confidence, mean_confidence, slope, minimum, minimum_back, entropy, agreement,
        leader, unique, unique_of, repeated, period, window);
    engine.register_get("confidences", |a: &mut AssessmentView| -> Array {
        a.0.confidences.iter().map(|x| Dynamic::from(f64::from(*x))).collect()
    });
    engine.register_get("units", |a: &mut AssessmentView| -> Array {
        a.0.units.iter().map(|unit| Dynamic::from(i64::from(*unit))).collect()
    });

    engine.register_type_with_name::<RetractionView>("Retraction");
    properties!(engine, RetractionView: units, position, policy);

    engine.register_fn("fixed", verdicts::fixed);
    engine.register_fn("fixed", |x: i64, decimals: i64| verdicts::fixed(x as f64, decimals));
    let say = {
        let (file, muted) = (file.to_owned(), Arc::clone(muted));
        move |text: &str| {
            if !muted.load(Ordering::Relaxed) {
                tracing::info!("{file}: {text}");
            }
        }
    };
    engine.on_print(say.clone());
    engine.on_debug({
        let say = say.clone();
        move |text, _, _| say(text)
    });
    engine.register_fn("log", say);
}

fn register_step(engine: &mut Engine) {
    engine
        .register_type_with_name::<Step>("Step")
        .register_get("position", |step: &mut Step| i64::from(step.position))
        .register_get("attempt", |step: &mut Step| i64::from(step.attempt))
        .register_get("retractable", |step: &mut Step| i64::from(step.retractable))
        .register_get("retractions_left", |step: &mut Step| i64::from(step.retractions_left))
        .register_get("members", |step: &mut Step| i64::from(step.members))
        .register_get("base", |step: &mut Step| step.base)
        .register_fn("random", |step: &mut Step, draw: i64| {
            u32::try_from(draw)
                .map(|draw| f64::from(step.random(draw)))
                .map_err(|_| Box::<EvalAltResult>::from(format!("`random` takes a number from 0, and this is {draw}")))
        });
    engine
        .register_type_with_name::<Parameters>("Parameters")
        .register_get("temperature", |now: &mut Parameters| f64::from(now.temperature))
        .register_get("repeat_penalty", |now: &mut Parameters| f64::from(now.repeat_penalty))
        .register_get("top_p", |now: &mut Parameters| f64::from(now.top_p))
        .register_get("min_p", |now: &mut Parameters| f64::from(now.min_p))
        .register_get("top_k", |now: &mut Parameters| i64::from(now.top_k))
        .register_get("temperature", |step: &mut Step| f64::from(step.parameters.temperature))
        .register_get("repeat_penalty", |step: &mut Step| f64::from(step.parameters.repeat_penalty))
        .register_get("top_p", |step: &mut Step| f64::from(step.parameters.top_p))
        .register_get("min_p", |step: &mut Step| f64::from(step.parameters.min_p))
        .register_get("top_k", |step: &mut Step| i64::from(step.parameters.top_k));
}

pub(super) fn no_member(index: i64, members: usize) -> Box<EvalAltResult> {
    ensemble_fault(format!("there is no member {index}: they are numbered from 0 to {}", members.saturating_sub(1)))
}
