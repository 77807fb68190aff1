//! Tries every function of a script on samples before it runs on real text: an ordinary moment and the extremes, so that
//! more than one branch is taken. In Rhai a misspelt function is found only when it is called.

use plugin_api::{Assessment, Parameters, Retraction, Row, Rows, Step, Token};
use rhai::Dynamic;

use super::diagnose::Diagnosis;
use super::hooks;
use super::program::{Function, Program};

pub(super) const UNITS: usize = 8;
const LARGE_ROUNDS: usize = 9;
const MEMBERS: usize = 2;
const NAMES: [&str; MEMBERS] = ["first", "second"];

/// Calls all that the script defines, in the order of a reply. `state` is a copy: what the samples leave in it is lost.
pub(super) fn run(program: &Program, mut state: Dynamic) -> Result<(), Box<Diagnosis>> {
    program.muted(|| {
        if program.defines(Function::Reset) {
            hooks::reset(program, &mut state).map_err(|fault| fault.while_doing("trying `reset`"))?;
        }
        probe_logits(program, &mut state)?;
        probe_token(program, &mut state)?;
        probe_assessment(program, &mut state)?;
        probe_retract(program, &mut state)
    })
}

fn probe_logits(program: &Program, state: &mut Dynamic) -> Result<(), Box<Diagnosis>> {
    if !program.defines(Function::OnLogits) {
        return Ok(());
    }
    let sure = [4.0, 0.0, -1.0, -1.0, -2.0, -2.0, -3.0, f32::NEG_INFINITY];
    let other = [-1.0, 3.0, 0.5, 0.0, -2.0, -2.0, -3.0, f32::NEG_INFINITY];
    let unsure = [0.0; UNITS];
    for (name, logits) in [("agree", [sure, sure]), ("disagree", [sure, other]), ("know nothing", [unsure, unsure])] {
        let sample = SampleRows::new(logits.map(Vec::from));
        let mut fused = sample.mean();
        let doing = format!("trying `on_logits` on two members that {name}");
        let outcome = with_rows(&sample, |rows| hooks::on_logits(program, state, &step(0.7, 3), rows, &mut fused));
        if accept(outcome, &doing)? == Seen::InPart {
            continue;
        }
        if fused.iter().any(|score| score.is_nan() || *score == f32::INFINITY) {
            let message = "`on_logits` left a score that is no number or infinite".into();
            return Err(program.fault_of(Function::OnLogits, message).while_doing(doing));
        }
        if fused.iter().all(|score| *score == f32::NEG_INFINITY) {
            let message = "`on_logits` left no unit that can come".into();
            return Err(program.fault_of(Function::OnLogits, message).while_doing(doing));
        }
    }
    Ok(())
}

/// Calls `on_logits` a few times on rows as long as a large vocabulary.
pub(super) fn run_large(program: &Program, mut state: Dynamic, units: usize) -> Result<(), Box<Diagnosis>> {
    if !program.defines(Function::OnLogits) {
        return Ok(());
    }
    let sample =
        SampleRows::new([0.37f32, 0.61].map(|turn| (0..units).map(|unit| 8.0 * (turn * unit as f32).sin()).collect()));
    let mean = sample.mean();
    program.muted(|| {
        for _ in 0..LARGE_ROUNDS {
            let mut fused = mean.clone();
            let outcome =
                with_rows(&sample, |rows| hooks::on_logits(program, &mut state, &step(0.7, 3), rows, &mut fused));
            accept(outcome, "trying `on_logits` on long rows")?;
        }
        Ok(())
    })
}

fn probe_token(program: &Program, state: &mut Dynamic) -> Result<(), Box<Diagnosis>> {
    if !program.defines(Function::OnToken) {
        return Ok(());
    }
    let samples: [(&str, &[u8], f32); 4] = [
        ("an ordinary token", b" the", 0.6),
        ("an unlikely token", b"!", 0.01),
        ("half a character", b"\xc3", 0.95),
        ("the end of the text", b"", 0.5),
    ];
    for (name, bytes, probability) in samples {
        let token = Token {
            unit: 3,
            bytes,
            leader: 0,
            probability,
            entropy: 1.2,
            agreement: 0.8,
            is_end: bytes.is_empty(),
            member_probabilities: &[probability, probability / 2.0],
            surprise_mean: 0.9,
            surprise_deviation: 0.7,
            behind: if probability > 0.5 { 0.0 } else { 2.0 },
        };
        let outcome = hooks::on_token(program, state, &step(0.7, 3), &token);
        accept(outcome, &format!("trying `on_token` on {name}"))?;
    }
    Ok(())
}

fn probe_assessment(program: &Program, state: &mut Dynamic) -> Result<(), Box<Diagnosis>> {
    if !program.defines(Function::OnAssessment) {
        return Ok(());
    }
    let varied: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 4, 6];
    let repeated: [u32; 12] = [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2];
    let samples: [(&str, f32, &[u32], Step); 8] = [
        ("the first token", 0.6, &varied[..1], step(0.7, 3)),
        ("an ordinary moment", 0.6, &varied, step(0.7, 3)),
        ("a confident moment", 0.95, &varied, step(0.7, 3)),
        ("an unsure moment", 0.4, &varied, step(0.7, 3)),
        ("a lost moment", 0.05, &varied, step(0.7, 3)),
        ("a lost moment without retractions left", 0.05, &varied, step(0.7, 0)),
        ("a loop", 0.6, &repeated, step(0.7, 3)),
        ("a confident moment of greedy decoding", 0.95, &repeated, step(0.0, 3)),
    ];
    for (name, confidence, units, step) in samples {
        let confidences: Vec<f32> = (0..units.len()).map(|place| confidence - 0.04 * (place % 2) as f32).collect();
        let tail = &units[units.len().saturating_sub(10)..];
        let assessment = Assessment {
            unit: units[units.len() - 1],
            confidence: confidences[confidences.len() - 1],
            mean_confidence: confidence - 0.02,
            slope: -0.01,
            minimum: confidence - 0.04,
            minimum_back: 1,
            entropy: 1.2,
            agreement: 0.8,
            leader: 1,
            unique: (0..UNITS as u32).filter(|unit| tail.contains(unit)).count() as u32,
            unique_of: tail.len() as u32,
            repeated: if units == repeated { 10 } else { 0 },
            period: if units == repeated { 2 } else { 0 },
            confidences: &confidences,
            units,
        };
        let outcome = hooks::on_assessment(program, state, &step, &assessment);
        accept(outcome, &format!("trying `on_assessment` on {name}"))?;
    }
    Ok(())
}

fn probe_retract(program: &Program, state: &mut Dynamic) -> Result<(), Box<Diagnosis>> {
    if !program.defines(Function::OnRetract) {
        return Ok(());
    }
    for units in [1, 5] {
        let retraction = Retraction { units, position: 20 - units, policy: "sample" };
        hooks::on_retract(program, state, &step(0.7, 2), &retraction)
            .map_err(|fault| fault.while_doing("trying `on_retract`"))?;
    }
    Ok(())
}

/// How far a function came on a sample.
#[derive(PartialEq)]
enum Seen {
    Whole,
    InPart,
}

/// The samples have two members and eight units. That a script names a third one is no fault of it.
fn accept<T>(outcome: Result<T, Box<Diagnosis>>, doing: &str) -> Result<Seen, Box<Diagnosis>> {
    match outcome {
        Ok(_) => Ok(Seen::Whole),
        Err(fault) if fault.depends_on_ensemble => Ok(Seen::InPart),
        Err(fault) => Err(fault.while_doing(doing)),
    }
}

/// Its first random draw is below 0.01, so that rare branches are tried too.
fn step(temperature: f32, retractions_left: u32) -> Step {
    let parameters = Parameters { temperature, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    let mut step = Step {
        position: 20,
        attempt: 0,
        retractable: 12,
        retractions_left,
        members: MEMBERS as u32,
        seed: 0,
        parameters,
        base: parameters,
    };
    while step.random(0) >= 0.01 {
        step.seed += 1;
    }
    step
}

/// What the rows of two members point to.
struct SampleRows {
    logits: [Vec<f32>; MEMBERS],
    probabilities: [Vec<f32>; MEMBERS],
}

impl SampleRows {
    fn new(logits: [Vec<f32>; MEMBERS]) -> Self {
        let probabilities = logits.each_ref().map(|row| {
            let total: f32 = row.iter().map(|logit| logit.exp()).sum();
            row.iter().map(|logit| logit.exp() / total).collect()
        });
        Self { logits, probabilities }
    }

    /// What the chain starts from.
    fn mean(&self) -> Vec<f32> {
        let mean = |unit: usize| self.probabilities.iter().map(|row| row[unit]).sum::<f32>() / MEMBERS as f32;
        (0..self.probabilities[0].len()).map(|unit| mean(unit).ln()).collect()
    }
}

fn with_rows<T>(sample: &SampleRows, read: impl FnOnce(&Rows) -> T) -> T {
    let rows: [Row; MEMBERS] = std::array::from_fn(|member| {
        let (logits, probabilities) = (&sample.logits[member], &sample.probabilities[member]);
        let top = (0..logits.len()).fold(0, |best, unit| if logits[unit] > logits[best] { unit } else { best });
        Row {
            name: NAMES[member],
            weight: 1.0 / MEMBERS as f32,
            logits,
            probabilities,
            log_sum_exp: logits.iter().map(|logit| logit.exp()).sum::<f32>().ln(),
            entropy: probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum(),
            top_unit: top as u32,
            top_probability: probabilities[top],
            evidence: -3.0 - member as f32,
        }
    });
    read(&Rows::new(&rows))
}
