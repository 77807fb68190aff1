//! What the checks show to a plugin: usual input, and input at the edges of what the host may pass.

use crate::hooks::native::trial::{HookName, Specimen};
use plugin_api::testing::{Members, assessment, assessment_of, step, token};
use plugin_api::{Assessment, Retraction, Step, Token};

/// More units than any vocabulary in use has.
pub const MANY_UNITS: usize = 1 << 18;

/// Uniform numbers in [0, 1), the same in every run.
pub struct Draws(Step, u32);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(Step { seed, ..step() }, 0)
    }

    pub fn next(&mut self) -> f32 {
        self.1 += 1;
        self.0.random(self.1)
    }

    pub fn below(&mut self, end: u32) -> u32 {
        (self.next() * end as f32) as u32
    }

    /// Members with rows of random logits, weights and evidence.
    pub fn members(&mut self, count: usize, units: usize) -> Members {
        let rows: Vec<Vec<f32>> = (0..count).map(|_| (0..units).map(|_| 12.0 * self.next()).collect()).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let weights: Vec<f32> = rows.iter().map(|_| 0.1 + self.next()).collect();
        let evidence: Vec<f32> = rows.iter().map(|_| -60.0 * self.next()).collect();
        Members::new(&rows).weights(&weights).evidence(&evidence)
    }
}

/// Rows at the edges, each with its name: what a row of a vocabulary can look like, however unlikely.
pub fn edge_rows() -> Vec<(&'static str, Members)> {
    const NO: f32 = f32::NEG_INFINITY;
    let mut draws = Draws::new(1);
    vec![
        ("a row of one unit", Members::new(&[&[0.5]])),
        ("two members and one unit", Members::new(&[&[0.5], &[-3.0]])),
        ("ties", Members::new(&[&[1.0; 9], &[1.0; 9], &[-2.0; 9]])),
        ("a row with −∞", Members::new(&[&[1.0, NO, 0.5, NO, NO], &[0.0, NO, 2.0, NO, 1.0]])),
        ("a row with one possible unit", Members::new(&[&[NO, NO, 7.0, NO], &[1.0, 2.0, 0.0, 3.0]])),
        ("members that exclude each other", Members::new(&[&[NO, 0.0, NO, 1.0], &[0.0, NO, 1.0, NO]])),
        ("logits of ±10,000", Members::new(&[&[1e4, -1e4, 0.0, 9e3], &[-1e4, 1e4, 1e4, 0.0]])),
        ("one member", draws.members(1, 300)),
        ("four members", draws.members(4, 300)),
        ("a member of weight 0", draws.members(2, 300).weights(&[1.0, 0.0])),
        ("a number of units that no vector width divides", draws.members(3, 257)),
        ("262,144 units", draws.members(2, MANY_UNITS)),
    ]
}

/// A step whose `members` are as many as there are rows.
pub fn step_of(members: &Members, position: u32) -> Step {
    Step { members: members.rows().len() as u32, position, ..step() }
}

/// Candidates at the edges, each with its name.
pub fn edge_candidates() -> Vec<(&'static str, Step, Token<'static>)> {
    let [one, four] = [1, 4].map(|members| Step { members, ..step() });
    let start = Step { position: 0, retractable: 0, ..one };
    vec![
        ("a usual candidate", one, token()),
        ("the first candidate of a reply", start, token()),
        ("an end of the text", one, Token { bytes: b"", is_end: true, ..token() }),
        ("a part of a character", one, Token { bytes: b"\xe2\x82", ..token() }),
        ("a candidate that is certain", one, Token { probability: 1.0, entropy: 0.0, ..token() }),
        ("a candidate of probability 0", one, Token { probability: 0.0, agreement: 0.0, ..token() }),
        ("four members", four, Token { leader: 3, member_probabilities: &[0.7, 0.6, 0.8, 0.7], ..token() }),
        ("the last try of a place", Step { attempt: 15, retractions_left: 0, ..one }, token()),
        ("unit 262,143", one, Token { unit: MANY_UNITS as u32 - 1, ..token() }),
    ]
}

/// Windows at the edges, each with its name.
pub fn edge_windows() -> Vec<(&'static str, Step, Assessment<'static>)> {
    let usual = step();
    let first = Assessment { unique: 1, unique_of: 1, minimum_back: 1, ..assessment_of(1) };
    let weak = Assessment { confidence: 0.0, mean_confidence: 0.0, minimum: 0.0, slope: -0.5, ..assessment() };
    let sure = Assessment { confidence: 1.0, mean_confidence: 1.0, minimum: 1.0, entropy: 0.0, ..assessment() };
    let loops = Assessment { repeated: 31, period: 1, unique: 1, ..assessment() };
    let greedy = { Step { parameters: plugin_api::Parameters { temperature: 0.0, ..usual.parameters }, ..usual } };
    vec![
        ("a usual window", usual, assessment()),
        ("the first token of a reply", Step { position: 1, retractable: 1, ..usual }, first),
        ("a window without hope", usual, weak),
        ("a window without hope, nothing left to retract", Step { retractable: 0, retractions_left: 0, ..usual }, weak),
        ("a window that is certain", usual, sure),
        ("a window of one token again and again", usual, loops),
        ("temperature 0", greedy, weak),
        ("four members", Step { members: 4, ..usual }, Assessment { leader: 3, agreement: 0.0, ..weak }),
    ]
}

/// The last `units` were taken back.
pub fn retraction(units: u32) -> Retraction<'static> {
    Retraction { units, position: 40 - units.min(40), policy: "check" }
}

/// Calls a hook once on usual input, for what it says about itself.
pub fn call_once(hook: &mut Specimen, name: HookName) {
    match name {
        HookName::OnLogits => {
            let members = Draws::new(5).members(2, 64);
            let _ = hook.on_logits(&step_of(&members, 40), &members.rows(), &mut members.mean());
        }
        HookName::OnToken => drop(hook.on_token(&step(), &token())),
        HookName::OnAssessment => drop(hook.on_assessment(&step(), &assessment())),
        HookName::OnRetract => drop(hook.on_retract(&step(), &retraction(1))),
    }
}
