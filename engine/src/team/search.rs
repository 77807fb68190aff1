//! Which models belong together: every ensemble's bits per byte from one pass of each candidate.

use crate::error::Error;
use crate::hooks::native::PluginConfig;
use crate::passes::{Pass, Passes};
use crate::registry;
use crate::settings::Settings;
use measure::statistics::{Block, Bootstrap, bootstrap};
use serde::Serialize;

/// A model that may become a member.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// What it needs for the text.
    pub pass: Pass,
    /// Memory that it takes, in bytes: its file and its KV cache.
    pub memory: u64,
}

/// What bounds a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Members of a team at most.
    pub most: usize,
    /// Memory of a team at most, in bytes.
    pub memory: Option<u64>,
}

/// An ensemble, with what the passes say of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prospect {
    /// Places of its members among the candidates, in rising order.
    pub members: Vec<usize>,
    /// What it needs for the text.
    pub bits_per_byte: f64,
    /// Less what its best member needs, paired; below 0 is better. `None` for a text too short to say.
    pub gain: Option<Bootstrap>,
    /// Memory that its members take, in bytes.
    pub memory: u64,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What each candidate needs alone.
    pub alone: Vec<f64>,
    /// All pairs that fit, then larger teams, each list with the best first.
    pub teams: Vec<Prospect>,
    /// The place of the team to take among them: the smallest of those that are as good as the best. `None` where none fits.
    pub best: Option<usize>,
    /// What each candidate adds to the best team of the others.
    pub contributions: Vec<Contribution>,
}

/// What a candidate adds to the best team of the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Contribution {
    /// The candidate.
    pub candidate: usize,
    /// The best team with it less the best team without it; below 0 it helps. `None` where no team with it fits.
    pub gain: Option<Bootstrap>,
}

impl Contribution {
    /// Whether it is shown that some team is better with it.
    pub fn helps(&self) -> bool {
        self.gain.is_some_and(|gain| gain.interval.high < 0.0)
    }
}

/// Bytes of a block, about 64 tokens.
const BLOCK: u32 = 256;

/// Teams of each size that are tried with one member more. Up to 12 candidates or so, that is all of them.
const BEAM: usize = 64;

/// Nats and bytes of a text's blocks.
pub type Costs = [(f64, u64)];

/// Nats in blocks of about 256 bytes, with the bytes of each.
pub fn blocks(ends: &[u32], nats: impl Iterator<Item = f64>) -> Vec<(f64, u64)> {
    let mut blocks: Vec<(f64, u64)> = Vec::new();
    let mut start = 0;
    for (&end, nats) in ends.iter().zip(nats) {
        let block = (start / BLOCK) as usize;
        blocks.resize(blocks.len().max(block + 1), (0.0, 0));
        blocks[block].0 += nats;
        blocks[block].1 += u64::from(end - start);
        start = end;
    }
    blocks.retain(|(_, bytes)| *bytes > 0);
    blocks
}

/// The paired difference of two costs in the same blocks, first less second.
pub fn difference(costs: &Costs, others: &Costs) -> Option<Bootstrap> {
    let pairs = costs.iter().zip(others);
    let blocks: Vec<Block> = pairs.map(|((own, bytes), (other, _))| Block::from_nats(own - other, *bytes)).collect();
    bootstrap(&blocks, 0)
}

/// The smallest team of those that are not shown to be worse than the best one and need hardly more: a member costs memory and
/// time, and the best of many teams is ahead of its like by luck.
fn smallest_as_good(known: &[(Prospect, Vec<(f64, u64)>)]) -> Option<usize> {
    let order = |a: &usize, b: &usize| known[*a].0.bits_per_byte.total_cmp(&known[*b].0.bits_per_byte);
    let best = (0..known.len()).min_by(order)?;
    let is_as_good = |&team: &usize| {
        let (prospect, costs) = &known[team];
        let is_worse = difference(costs, &known[best].1).is_some_and(|found| found.interval.low > 0.0);
        !is_worse && prospect.bits_per_byte <= known[best].0.bits_per_byte * (1.0 + AS_GOOD)
    };
    let size = |team: &usize| known[*team].0.members.len();
    (0..known.len()).filter(is_as_good).min_by(|a, b| size(a).cmp(&size(b)).then(order(a, b)))
}

/// What a smaller team may need more, relative.
const AS_GOOD: f64 = 0.003;

/// All bits over all bytes.
pub fn bits_per_byte(costs: &Costs) -> f64 {
    let (nats, bytes) = costs.iter().fold((0.0, 0), |(nats, bytes), block| (nats + block.0, bytes + block.1));
    nats / std::f64::consts::LN_2 / bytes.max(1) as f64
}

/// What a fusion needs for the text, in blocks.
pub fn predict(
    candidates: &[Candidate],
    members: &[usize],
    weights: &[f32],
    settings: &Settings,
) -> Result<Vec<(f64, u64)>, Error> {
    let mut chain = registry::hooks(settings)?;
    let passes = members.iter().map(|&member| (candidates[member].name.as_str(), &candidates[member].pass)).collect();
    let passes = Passes::new(passes).ok_or_else(|| Error::Failure("the passes are not of the same units".into()))?;
    let ends = &candidates[members[0]].pass.ends;
    Ok(blocks(ends, passes.fused(weights, &mut chain).into_iter()))
}

/// Tries pairs, and the best teams of each size with one member more. `progress` hears which part is done.
pub fn search(
    candidates: &[Candidate],
    settings: &Settings,
    bounds: Bounds,
    progress: &mut dyn FnMut(f64),
) -> Result<Found, Error> {
    let single =
        |candidate: &Candidate| blocks(&candidate.pass.ends, candidate.pass.nats.iter().map(|&nats| nats.into()));
    let singles: Vec<Vec<(f64, u64)>> = candidates.iter().map(single).collect();
    let alone: Vec<f64> = singles.iter().map(|costs| bits_per_byte(costs)).collect();
    let cheapest = |members: &[usize]| members.iter().copied().min_by(|&a, &b| alone[a].total_cmp(&alone[b]));
    let memory = |members: &[usize]| members.iter().map(|&member| candidates[member].memory).sum::<u64>();
    let fits = |members: &[usize]| bounds.memory.is_none_or(|most| memory(members) <= most);
    // With the costs, which contributions are worked out from.
    let mut known: Vec<(Prospect, Vec<(f64, u64)>)> = Vec::new();
    let mut beam: Vec<Vec<usize>> = (0..candidates.len()).map(|member| vec![member]).collect();
    let (mut done, sizes) = (0, bounds.most.min(candidates.len()).max(1) - 1);
    while done < sizes {
        let mut next: Vec<Vec<usize>> = Vec::new();
        for team in &beam {
            for member in (0..candidates.len()).filter(|member| !team.contains(member)) {
                let mut members = [&team[..], &[member]].concat();
                members.sort_unstable();
                if fits(&members) && !next.contains(&members) {
                    next.push(members);
                }
            }
        }
        let mut tried = Vec::new();
        let all = next.len();
        for (at, members) in next.into_iter().enumerate() {
            let costs = predict(candidates, &members, &vec![1.0; members.len()], settings)?;
            let gain = cheapest(&members).and_then(|best| difference(&costs, &singles[best]));
            let prospect = Prospect { bits_per_byte: bits_per_byte(&costs), gain, memory: memory(&members), members };
            tried.push((prospect, costs));
            progress((done as f64 + (at + 1) as f64 / all as f64) / sizes as f64);
        }
        tried.sort_by(|(a, _), (b, _)| a.bits_per_byte.total_cmp(&b.bits_per_byte));
        beam = tried.iter().take(BEAM).map(|(prospect, _)| prospect.members.clone()).collect();
        known.append(&mut tried);
        done += 1;
    }
    // Members, bits per byte and costs of every team that fits, those of one included.
    let mut all: Vec<(Vec<usize>, f64, &Costs)> = Vec::new();
    for (prospect, costs) in &known {
        all.push((prospect.members.clone(), prospect.bits_per_byte, costs));
    }
    for member in (0..candidates.len()).filter(|&member| fits(&[member])) {
        all.push((vec![member], alone[member], &singles[member]));
    }
    let contribution = |candidate: usize| {
        let best = |with: bool| {
            let teams = all.iter().filter(|(members, ..)| members.contains(&candidate) == with);
            teams.min_by(|(_, a, _), (_, b, _)| a.total_cmp(b))
        };
        let gain = best(true).zip(best(false)).and_then(|((.., with), (.., without))| difference(with, without));
        Contribution { candidate, gain }
    };
    let contributions = (0..candidates.len()).map(contribution).collect();
    let best = smallest_as_good(&known);
    Ok(Found { alone, best, teams: known.into_iter().map(|(prospect, _)| prospect).collect(), contributions })
}

/// How a team's members are mixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mixture {
    /// Name of the fusion.
    pub fusion: String,
    /// A weight for each member; the largest is 1.
    pub weights: Vec<f32>,
    /// The share of all but the first, for `blend`.
    pub alpha: Option<f32>,
    /// What it needs for the text by the passes.
    pub bits_per_byte: f64,
}

impl Mixture {
    /// Whether it is the fusion that was asked for, with equal weights.
    pub fn is_asked(&self, settings: &Settings) -> bool {
        self.fusion == settings.fusion_mode && self.alpha.is_none() && self.weights.iter().all(|&weight| weight == 1.0)
    }

    /// The settings with this fusion.
    pub fn apply(&self, settings: &Settings) -> Result<Settings, Error> {
        let mut settings = settings.clone();
        settings.fusion_mode.clone_from(&self.fusion);
        if let Some(alpha) = self.alpha {
            let config = format!("{{\"blend\": {{\"alpha\": {alpha}}}}}");
            settings.plugin_config = PluginConfig::parse("team".as_ref(), &config).map_err(Error::Input)?;
        }
        Ok(settings)
    }
}

/// Shares of the specialists that are tried.
const ALPHAS: [f32; 5] = [0.05, 0.1, 0.2, 0.3, 0.5];

/// A fitted mixture has to be better than the fusion that was asked for by this much, relative, before it takes its place: what
/// is less may not hold on another text.
const WORTH_FITTING: f64 = 0.001;

/// Ways to mix a team, the best first: the fusion that was asked for with equal weights, the fixed weights of the likeliest linear
/// mixture, and a leader with the share of the others.
pub fn mixtures(candidates: &[Candidate], members: &[usize], settings: &Settings) -> Result<Vec<Mixture>, Error> {
    let mut found = Vec::new();
    let mut try_it = |mut mixture: Mixture| -> Result<(), Error> {
        let costs = predict(candidates, members, &mixture.weights, &mixture.apply(settings)?)?;
        mixture.bits_per_byte = bits_per_byte(&costs);
        found.push(mixture);
        Ok(())
    };
    let equal = vec![1.0; members.len()];
    let with = |fusion: &str, weights: &[f32], alpha| Mixture {
        fusion: fusion.into(),
        weights: weights.to_vec(),
        alpha,
        bits_per_byte: 0.0,
    };
    try_it(with(&settings.fusion_mode, &equal, None))?;
    try_it(with("average", &likeliest(candidates, members), None))?;
    for alpha in ALPHAS {
        try_it(with("blend", &equal, Some(alpha)))?;
    }
    let asked = found[0].bits_per_byte * (1.0 - WORTH_FITTING);
    let rank = |mixture: &Mixture| if mixture.is_asked(settings) { asked } else { mixture.bits_per_byte };
    found.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    Ok(found)
}

/// The weights under which a linear mixture makes the text likeliest, by expectation maximisation: the likelihood is concave in
/// them, so there is one maximum. Dempster, Laird and Rubin (1977), section 4.3.
pub fn likeliest(candidates: &[Candidate], members: &[usize]) -> Vec<f32> {
    let passes: Vec<&Pass> = members.iter().map(|&member| &candidates[member].pass).collect();
    let units = passes.first().map_or(0, |pass| pass.len());
    let mut weights = vec![1.0 / members.len() as f64; members.len()];
    for _ in 0..100 {
        let mut shares = vec![0.0; members.len()];
        for unit in 0..units {
            let own = |(pass, weight): (&&Pass, &f64)| weight * f64::from(-pass.nats[unit]).exp();
            let sum: f64 = passes.iter().zip(&weights).map(own).sum();
            if sum > 0.0 {
                for (share, pair) in shares.iter_mut().zip(passes.iter().zip(&weights)) {
                    *share += own(pair) / sum;
                }
            }
        }
        let total: f64 = shares.iter().sum();
        let next: Vec<f64> = shares.iter().map(|share| share / total.max(f64::MIN_POSITIVE)).collect();
        let moved = weights.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        weights = next;
        if moved < 1e-5 {
            break;
        }
    }
    let most = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    // Two digits behind the point are what a person can read, and more than a text can tell.
    weights.iter().map(|weight| ((weight / most * 100.0).round() / 100.0) as f32).collect()
}

#[cfg(test)]
mod tests;
