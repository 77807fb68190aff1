//! Policies on a recorded run: what each would have answered, without any model.
//!
//! The text stays as it was recorded: a policy is asked at every moment of the run what it would do there, whatever it
//! asked for before. So its first verdict is what it would really have done; the later ones tell where else it sees reason
//! to act. Each call is as it was recorded, so that a policy of the run answers as it did there; in a reply in which nothing
//! could be taken back, because no policy ran, the newest units can be.

mod rows;

use crate::decode::window::{UnitRecord, Window};
use crate::error::Error;
use crate::fuse;
use crate::hooks::chain::Chain;
use crate::registry::policy_columns;
use crate::settings::Settings;
use crate::trace::{Answer, Candidate, Line, Logits, Place, Reply, Trace, UnitFigures};
use plugin_api::{Retraction, Step, Token};
use serde::Serialize;
use std::time::Instant;

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// The policies, in the order of their columns.
    pub policies: Vec<Column>,
    /// Units that were accepted in the run, those that were taken back included.
    pub units: u32,
    /// Every moment at which the run or a policy had an answer.
    pub moments: Vec<Moment>,
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Moments at which it answered.
    pub answers: u32,
    /// Time of all its calls.
    pub milliseconds: f64,
    /// Calls that failed, and what it was parked for.
    pub failures: u64,
    /// What the user should read.
    pub notices: Vec<String>,
}

/// Which hook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// `on_logits`.
    Logits,
    /// `on_token`.
    Token,
    /// `on_assessment`.
    Assessment,
}

/// A call with its answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Counts the replies of the trace from 1.
    pub reply: u32,
    /// The position of the unit that it is about.
    pub position: u32,
    /// The hook.
    pub hook: Hook,
    /// The unit's text; for rows the best unit's.
    pub text: String,
    /// Its probability in the fused row.
    pub probability: f32,
    /// What the run's own policies answered.
    pub recorded: Option<Answer>,
    /// What each policy answered.
    pub given: Vec<Option<Answer>>,
}

/// Runs the policies of the settings, and those of its plugins, over a trace. They are made with what the run's own policies
/// were given to read.
pub fn replay(trace: &Trace, settings: &Settings) -> Result<Replay, Error> {
    let mut settings = settings.clone();
    if let Some(Line::Reply(reply)) = trace.lines.first() {
        settings.confidence_threshold = reply.confidence_threshold;
        settings.aggressive = reply.aggressive;
    }
    let chains = policy_columns(&settings)?;
    if chains.is_empty() {
        return Err(Error::Input("name a policy to replay: `--policy FILE`, once for each".into()));
    }
    let mut player = Player::new(trace, chains);
    for (index, line) in trace.lines.iter().enumerate() {
        if let Line::Reply(reply) = line {
            player.begin(reply, &trace.lines[index + 1..]);
        } else {
            player.play(line);
        }
    }
    Ok(player.finish())
}

struct Player<'a> {
    trace: &'a Trace,
    chains: Vec<(String, Chain)>,
    columns: Vec<Column>,
    moments: Vec<Moment>,
    window: Window,
    reply: Option<&'a Reply>,
    /// Nothing could be taken back in the reply; in the replay it can.
    lends_retractions: bool,
    replies: u32,
    units: u32,
    /// The newest candidate: what is accepted next.
    members: &'a [f32],
}

impl<'a> Player<'a> {
    fn new(trace: &'a Trace, chains: Vec<(String, Chain)>) -> Self {
        let column = |name: &String| Column {
            name: name.clone(),
            answers: 0,
            milliseconds: 0.0,
            failures: 0,
            notices: Vec::new(),
        };
        Self {
            columns: chains.iter().map(|(name, _)| column(name)).collect(),
            trace,
            chains,
            moments: Vec::new(),
            window: Window::new(0, 0),
            reply: None,
            lends_retractions: false,
            replies: 0,
            units: 0,
            members: &[],
        }
    }

    /// A reply, with all lines after its first.
    fn begin(&mut self, reply: &'a Reply, lines: &[Line]) {
        let mut lines = lines.iter().take_while(|line| !matches!(line, Line::Reply(_)));
        let could_retract = lines.any(|line| line.place().is_some_and(|place| place.retractable() > 0));
        self.lends_retractions = !could_retract && reply.max_retractions > 0;
        self.window = Window::new(reply.members.len(), 0);
        self.reply = Some(reply);
        self.replies += 1;
        self.chains.iter_mut().for_each(|(_, chain)| chain.reset());
    }

    fn play(&mut self, line: &'a Line) {
        match line {
            Line::Logits(logits) => self.logits(logits),
            Line::Token(candidate) => self.token(candidate),
            Line::Assessment(accepted) => {
                self.units += 1;
                let UnitFigures { unit, probability, entropy, agreement, leader } = accepted.figures;
                let record = UnitRecord {
                    unit,
                    confidence: probability,
                    entropy,
                    agreement,
                    leader,
                    member_probabilities: self.members,
                };
                self.window.push(record);
                let step = self.step(&accepted.at);
                let window = &self.window;
                let given = ask(&mut self.chains, &mut self.columns, |chain| {
                    window.assess(|assessment| chain.on_assessment(&step, assessment)).as_ref().and_then(Answer::of)
                });
                let position = accepted.at.position().saturating_sub(1);
                self.note(Hook::Assessment, position, &accepted.figures, accepted.answer.clone(), given);
            }
            Line::Retract(gone) => {
                self.window.retract(gone.units as usize);
                let step = self.step(&gone.at);
                let retraction = Retraction { units: gone.units, position: gone.at.position(), policy: &gone.policy };
                ask(&mut self.chains, &mut self.columns, |chain| {
                    chain.on_retract(&step, &retraction);
                    None
                });
            }
            Line::Reply(_) | Line::Names(_) => {}
        }
    }

    fn token(&mut self, candidate: &'a Candidate) {
        let step = self.step(&candidate.at);
        let name = self.trace.names.get(&candidate.figures.unit).map_or("", String::as_str);
        let bytes = if candidate.bytes.is_empty() { name.as_bytes() } else { &candidate.bytes };
        let UnitFigures { unit, probability, entropy, agreement, leader } = candidate.figures;
        self.members = &candidate.members;
        let (surprise_mean, surprise_deviation) = self.window.surprise();
        let token = Token {
            unit,
            bytes,
            leader,
            probability,
            entropy,
            agreement,
            is_end: candidate.is_end,
            member_probabilities: &candidate.members,
            surprise_mean,
            surprise_deviation,
            behind: candidate.behind,
        };
        let given = ask(&mut self.chains, &mut self.columns, |chain| Answer::of(&chain.on_token(&step, &token)));
        self.note(Hook::Token, candidate.at.position(), &candidate.figures, candidate.answer.clone(), given);
    }

    /// Whole rows are made only where a policy edits them. What is not among the best shares the rest evenly.
    fn logits(&mut self, logits: &Logits) {
        let Some(reply) = self.reply.filter(|_| self.chains.iter().any(|(_, chain)| chain.edits_logits())) else {
            return;
        };
        let step = self.step(&logits.at);
        let (recorded, _) = rows::expand(&logits.fused, reply.units as usize);
        let Some((best, best_score)) = logits.fused.top.first().copied() else { return };
        let names = &self.trace.names;
        let (chains, columns) = (&mut self.chains, &mut self.columns);
        let given = rows::with_whole_rows(logits, reply, |rows| {
            ask(chains, columns, |chain| {
                if !chain.edits_logits() {
                    return None;
                }
                let mut fused = recorded.clone();
                chain.on_logits(&step, rows, &mut fused, &|row| row.copy_from_slice(&recorded));
                fuse::normalise(&mut fused).ok()?;
                let (unit, score) = fuse::top(&fused, 1).first().copied()?;
                let moved = unit != best || (score.exp() - best_score.exp()).abs() >= 0.01;
                moved.then(|| Answer {
                    verdict: format!(
                        "“{}” first with {:.2}",
                        names.get(&unit).map_or("?", String::as_str),
                        score.exp()
                    ),
                    policy: String::new(),
                    reason: String::new(),
                })
            })
        });
        let figures = UnitFigures {
            unit: best,
            probability: best_score.exp(),
            entropy: logits.fused.entropy,
            agreement: 1.0,
            leader: 0,
        };
        self.note(Hook::Logits, logits.at.position(), &figures, None, given);
    }

    fn step(&self, place: &Place) -> Step {
        let Some(reply) = self.reply else { return place.step(0) };
        let step = place.step(reply.members.len() as u32);
        if !self.lends_retractions {
            return step;
        }
        let retractable = (self.window.len() as u32).min(reply.horizon);
        Step { retractable, retractions_left: reply.max_retractions, ..step }
    }

    fn note(
        &mut self,
        hook: Hook,
        position: u32,
        figures: &UnitFigures,
        recorded: Option<Answer>,
        given: Vec<Option<Answer>>,
    ) {
        if recorded.is_some() || given.iter().any(Option::is_some) {
            let text = self.trace.names.get(&figures.unit).cloned().unwrap_or_default();
            let probability = figures.probability;
            self.moments.push(Moment { reply: self.replies, position, hook, text, probability, recorded, given });
        }
    }

    fn finish(mut self) -> Replay {
        for (column, (_, chain)) in self.columns.iter_mut().zip(&mut self.chains) {
            column.notices = chain.take_notices();
            column.failures = chain.list().iter().map(|hook| hook.failures).sum();
        }
        Replay { policies: self.columns, units: self.units, moments: self.moments }
    }
}

fn ask(
    chains: &mut [(String, Chain)],
    columns: &mut [Column],
    mut call: impl FnMut(&mut Chain) -> Option<Answer>,
) -> Vec<Option<Answer>> {
    let one = |((_, chain), column): (&mut (String, Chain), &mut Column)| {
        let start = Instant::now();
        let answer = call(chain);
        column.milliseconds += start.elapsed().as_secs_f64() * 1e3;
        column.answers += u32::from(answer.is_some());
        answer
    };
    chains.iter_mut().zip(columns).map(one).collect()
}
