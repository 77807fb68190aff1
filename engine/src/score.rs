//! How well the members and their fusion predict a text: what people choose their ensembles with.

mod walk;

pub use walk::Predicted;
pub(crate) use walk::given_step;

use crate::engine::Engine;
use crate::error::Error;
use crate::member::remote::Account;
use measure::statistics::{Block, Bootstrap, Interval, bootstrap, by_length};
use serde::Serialize;
use std::f64::consts::LN_2;

/// A member's figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberScore {
    /// Its name.
    pub name: String,
    /// −Σ log2 P(unit) / bytes; lower is better.
    pub bits_per_byte: f64,
    /// What another text of the same kind and length may give, in 95 of 100 cases; `None` for a text too short to say.
    pub interval: Option<Interval>,
}

/// What the fusion gains over the best member on the same bytes: a paired difference, whose interval is much narrower than
/// those of the two figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// The best member.
    pub against: String,
    /// Fused less best member, in bits per byte with interval and p-value; below 0 is better. `None` for a text too short to say.
    #[serde(flatten)]
    pub difference: Option<Bootstrap>,
}

/// All figures of a text, in bits per byte.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Each member alone.
    pub members: Vec<MemberScore>,
    /// The ensemble under its fusion.
    pub fused: f64,
    /// Its interval.
    pub fused_interval: Option<Interval>,
    /// The fusion against the best member.
    pub gain: Gain,
    /// The better member at every token, or at every stretch between places where all members end a token: what no weighted mean
    /// of these can reach.
    pub oracle: f64,
    /// (best member − fused) / (best member − oracle): 0 is no better than the best member alone, 1 is the oracle.
    pub headroom_captured: f64,
    /// Bytes that were scored.
    pub bytes: usize,
    /// Tokens that were scored, or such stretches.
    pub tokens: usize,
    /// What servers of members were asked, how wrong their rows are at most, and where they were away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote: Vec<Account>,
}

/// What lies between two places where all members end a token, in nats.
struct Stretch {
    members: Vec<f64>,
    fused: f64,
    bytes: u64,
}

/// Tokens that are drawn as a whole where intervals are made: what one says about the next stays inside.
const BLOCK: usize = 64;

impl Engine {
    /// Scores a text under the fusion that is chosen; see [`Engine::walk`] for what each unit is predicted from.
    pub fn score(&mut self, text: &str, progress: &mut dyn FnMut(f64)) -> Result<Score, Error> {
        let names: Vec<String> = self.members().iter().map(|member| member.name.clone()).collect();
        let none = || Stretch { members: vec![0.0; names.len()], fused: 0.0, bytes: 0 };
        let (mut stretches, mut open) = (Vec::new(), none());
        let mut count = |unit: &Predicted| {
            open.members.iter_mut().zip(unit.members).for_each(|(sum, own)| *sum += own);
            open.fused += unit.fused;
            open.bytes += unit.bytes.len() as u64;
            if unit.is_place {
                stretches.push(std::mem::replace(&mut open, none()));
            }
        };
        self.walk(text, &mut count, progress)?;
        let bytes: u64 = stretches.iter().map(|stretch| stretch.bytes).sum();
        if bytes == 0 {
            return Err(Error::Input("the text is too short to score; give at least two tokens".into()));
        }
        let sum = |nats: &dyn Fn(&Stretch) -> f64| {
            let block = |stretch: &Stretch| Block::from_nats(nats(stretch), stretch.bytes);
            let blocks: Vec<Block> = stretches.iter().map(block).collect();
            let bits_per_byte = stretches.iter().map(nats).sum::<f64>() / LN_2 / bytes as f64;
            (bits_per_byte, bootstrap(&by_length(&blocks, BLOCK), 0))
        };
        let member = |(at, name): (usize, &String)| {
            let (bits_per_byte, found) = sum(&|stretch| stretch.members[at]);
            MemberScore { name: name.clone(), bits_per_byte, interval: found.map(|found| found.interval) }
        };
        let members: Vec<MemberScore> = names.iter().enumerate().map(member).collect();
        let (fused, fused_interval) = sum(&|stretch| stretch.fused);
        let (oracle, _) = sum(&|stretch| stretch.members.iter().copied().fold(f64::INFINITY, f64::min));
        let cheaper = |&a: &usize, &b: &usize| members[a].bits_per_byte.total_cmp(&members[b].bits_per_byte);
        let best = (0..members.len()).min_by(cheaper).unwrap_or_default();
        let (_, difference) = sum(&|stretch| stretch.fused - stretch.members[best]);
        let least = members[best].bits_per_byte;
        Ok(Score {
            fused,
            fused_interval: fused_interval.map(|found| found.interval),
            gain: Gain { against: names[best].clone(), difference },
            oracle,
            headroom_captured: if least > oracle { (least - fused) / (least - oracle) } else { 0.0 },
            bytes: bytes as usize,
            tokens: stretches.len(),
            members,
            remote: self.remotes(),
        })
    }
}
