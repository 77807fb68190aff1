//! What may be written next where members have different vocabularies: strings up to the end of a member's token, and how the
//! fusion divides what it has among them.
//!
//! The fusion speaks of bytes: of its row r, the members' rows p_i and a string s that member i continues the text with, with
//! probability F_i(s). Most fusions are means, and then `r = Σ v_i p_i` has weights that can be read off the rows (least squares);
//! what is left is a factor for each byte, `ρ(b) = r(b) / Σ v_i p_i(b)`. A string is drawn from
//!
//! `Σ_i v_i F_i(s) · ρ(first byte of s)`
//!
//! after truncation and temperature, byte by byte: at each further byte v is what it is there, and its ρ is a factor more. For
//! one member this is its own row of tokens, for members with the same tokens the fused row of these.

use crate::fuse::is_greedy;
use crate::hooks::chain::Choice;
use crate::member::sampler::{Noise, Truncation, draw_byte, draw_share};
use crate::member::spelling::BYTES;
use plugin_api::Parameters;
use std::collections::HashMap;

/// Strings that begin alike, by what they weigh.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    strings: Vec<Candidate>,
    places: HashMap<Vec<u8>, usize>,
    /// How many bytes of them are drawn, which are in front of all.
    drawn: usize,
    /// What weights are raised to; `None` where the likeliest is taken.
    power: Option<f64>,
    /// Members whose strings were lengthened.
    lengthened: Vec<usize>,
    /// By how much the string that was drawn is behind the likeliest, in nats.
    behind: f64,
}

/// What ends with a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// The string goes on.
    Nothing,
    /// A token of a single byte, in the middle of what other members would write.
    Byte,
    /// A piece.
    Piece,
}

/// Share of members inside a token from which a single byte is no piece.
const INSIDE: f64 = 0.2;

/// The least probability that is worth lengthening.
const LEAST_LENGTHENED: f64 = 1e-3;

/// A member that has so much of what it ends here on longer strings knows itself how these go on.
const KNOWN: f64 = 0.05;

#[derive(Debug)]
struct Candidate {
    bytes: Vec<u8>,
    /// What each member gives it.
    members: Vec<f64>,
    /// Product of the factors of its bytes.
    factor: f64,
    /// What all of them give it, after the bytes that are drawn.
    mass: f64,
    /// What all of them gave it before, in relation to the likeliest.
    share: f64,
}

impl Candidates {
    /// Without any strings, for a draw with these parameters.
    pub fn new(parameters: &Parameters) -> Self {
        let power = (!is_greedy(parameters)).then(|| 1.0 / f64::from(parameters.temperature));
        Self { power, ..Self::default() }
    }

    /// Nothing is left to draw from.
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// Of `members` members this one gives a string this probability.
    pub fn add(&mut self, bytes: &[u8], member: usize, members: usize, probability: f64) {
        let place = match self.places.get(bytes) {
            Some(&place) => place,
            None => {
                let place = self.strings.len();
                self.places.insert(bytes.to_vec(), place);
                let members = vec![0.0; members];
                self.strings.push(Candidate { bytes: bytes.to_vec(), members, factor: 1.0, mass: 0.0, share: 0.0 });
                place
            }
        };
        self.strings[place].members[member] += probability;
    }

    /// Leaves out what may not come.
    pub fn retain(&mut self, mut may_come: impl FnMut(&[u8]) -> bool) {
        self.strings.retain(|string| may_come(&string.bytes));
    }

    /// Leaves out `bans`, unless nothing else is there.
    pub fn ban(&mut self, bans: &[Vec<u8>]) {
        if self.strings.iter().any(|string| !bans.contains(&string.bytes)) {
            self.strings.retain(|string| !bans.contains(&string.bytes));
        }
    }

    /// What a member ends where others are inside a token says only how these begin: `a` of a model of letters beside ` and` of
    /// another. It goes to the longer strings, by what the others make of them.
    pub fn lengthen(&mut self) {
        self.strings.sort_by(|one, other| one.bytes.cmp(&other.bytes));
        let members = self.strings.first().map_or(0, |string| string.members.len());
        for place in 0..self.strings.len() {
            let bytes = &self.strings[place].bytes;
            let longer = self.strings[place + 1..].iter().take_while(|string| string.bytes.starts_with(bytes)).count();
            let range = place..place + 1 + longer;
            for member in 0..members {
                let own = self.strings[place].members[member];
                let further: f64 = self.strings[place + 1..range.end].iter().map(|string| string.members[member]).sum();
                // The end of the text is the beginning of nothing.
                if own < LEAST_LENGTHENED || further > KNOWN * own || self.strings[place].bytes.is_empty() {
                    continue;
                }
                let others = |string: &Candidate| string.members.iter().sum::<f64>() - string.members[member];
                let shares: Vec<f64> = self.strings[range.clone()].iter().map(others).collect();
                let total: f64 = shares.iter().sum();
                if total - shares[0] <= LEAST_LENGTHENED * total {
                    continue;
                }
                self.strings[place].members[member] = 0.0;
                for (string, share) in self.strings[range.clone()].iter_mut().zip(shares) {
                    string.members[member] += own * share / total;
                }
                if !self.lengthened.contains(&member) {
                    self.lengthened.push(member);
                }
            }
        }
    }

    /// What a member whose strings were lengthened thinks of the next byte, now that it was asked.
    pub fn ask(&mut self, member: usize, row: &[f32]) {
        if !self.lengthened.contains(&member) || self.drawn == 0 {
            return;
        }
        let next = |string: &Candidate, drawn: usize| string.bytes.get(drawn).map_or(BYTES, |&byte| usize::from(byte));
        let (mut masses, mut total) = ([0.0f64; BYTES + 1], 0.0);
        for string in &self.strings {
            masses[next(string, self.drawn)] += string.members[member];
            total += string.members[member];
        }
        for string in &mut self.strings {
            let byte = next(string, self.drawn);
            if masses[byte] > 0.0 {
                string.members[member] *= f64::from(row[byte]) * total / masses[byte];
            }
        }
    }

    /// The fusion gives the members these weights, and the next byte these factors.
    pub fn weigh(&mut self, weights: &[f64], factors: &[f64]) {
        for Candidate { bytes, members, factor, mass, .. } in &mut self.strings {
            let next = bytes.get(self.drawn).map_or(BYTES, |&byte| usize::from(byte));
            *factor *= factors[next];
            let mean: f64 = members.iter().zip(weights).map(|(own, weight)| own * weight).sum();
            *mass = mean * *factor;
        }
        self.strings.retain(|string| string.mass > 0.0);
    }

    /// The likeliest strings, with their shares of all that may come and what each member gives them.
    pub fn likeliest(&self, most: usize) -> Vec<Choice> {
        let all: f64 = self.strings.iter().map(|string| string.mass).sum();
        let mut strings: Vec<&Candidate> = self.strings.iter().collect();
        strings.sort_by(|one, other| other.mass.total_cmp(&one.mass));
        let choice = |string: &&Candidate| Choice {
            bytes: string.bytes.clone(),
            share: string.mass / all,
            members: string.members.clone(),
        };
        strings.iter().take(most).map(choice).collect()
    }

    /// Cuts off what is unlikely by what weighs now.
    pub fn truncate(&mut self, parameters: &Parameters, truncation: &mut Truncation) {
        // Of equals the one that came first stays first.
        self.strings.sort_by(|one, other| other.mass.total_cmp(&one.mass));
        let best = self.strings.first().map_or(1.0, |string| string.mass);
        self.strings.iter_mut().for_each(|string| string.share = string.mass / best);
        if self.power.is_some() {
            let scores = self.strings.iter().map(|string| string.mass.ln() as f32);
            let scores: Vec<(u32, f32)> = (0..).zip(scores).collect();
            let plain = Parameters { repeat_penalty: 1.0, ..*parameters };
            let mut is_left = vec![false; scores.len()];
            for &(place, _) in truncation.distribution(&scores, &[], &plain) {
                is_left[place as usize] = true;
            }
            let mut is_left = is_left.into_iter();
            self.strings.retain(|_| is_left.next() == Some(true));
        }
        self.places.clear();
    }

    /// The next byte, or the end of the text, behind the bytes `before` of the piece.
    pub fn draw(&self, before: &[u8], noise: Noise) -> Option<u32> {
        let next = |string: &Candidate| string.bytes.get(self.drawn).map_or(BYTES, |&byte| usize::from(byte));
        let Some(power) = self.power else { return self.best().map(|string| next(string) as u32) };
        let best = self.best()?.mass;
        let mut row = [0.0f32; BYTES + 1];
        for string in &self.strings {
            row[next(string)] += (string.mass / best).powf(power) as f32;
        }
        draw_byte(&row, before, noise)
    }

    /// That byte was written, with which a string may end; `before` are the bytes of the piece, this one included.
    pub fn push(&mut self, byte: u8, before: &[u8], noise: Noise) -> Drawn {
        let drawn = self.drawn;
        self.strings.retain(|string| string.bytes.get(drawn) == Some(&byte));
        self.drawn += 1;
        let ends = |string: &Candidate| string.bytes.len() == drawn + 1;
        let Some(best) = self.best() else { return Drawn::Piece };
        let is_over = match self.power {
            None => ends(best),
            Some(power) => {
                let weight = |string: &Candidate| (string.mass / best.mass).powf(power);
                let all: f64 = self.strings.iter().map(weight).sum();
                let ended: f64 = self.strings.iter().filter(|string| ends(string)).map(weight).sum();
                ended >= all || ended > 0.0 && draw_share(before, noise) < ended / all
            }
        };
        if is_over {
            let share = self.strings.iter().find(|string| ends(string)).map_or(1.0, |string| string.share);
            self.behind = -share.ln();
            // A member whose tokens are single bytes says nothing of where a piece ends while others are inside a token.
            return if drawn == 0 && self.inside(ends) >= INSIDE { Drawn::Byte } else { Drawn::Piece };
        }
        self.strings.retain(|string| string.bytes.len() > drawn + 1);
        Drawn::Nothing
    }

    /// By how many nats the end of the text is behind the likeliest string, before anything is drawn.
    pub fn end_behind(&self) -> f64 {
        self.strings.iter().find(|string| string.bytes.is_empty()).map_or(0.0, |string| -string.share.ln())
    }

    /// By how many nats the string that was drawn is behind the likeliest one; 0 until one is drawn.
    pub fn behind(&self) -> f64 {
        self.behind
    }

    /// The share of the members that would rather go on than end where `ends`.
    fn inside(&self, ends: impl Fn(&Candidate) -> bool) -> f64 {
        let members = self.strings.first().map_or(0, |string| string.members.len());
        let sum = |member: usize, ended: bool| -> f64 {
            self.strings.iter().filter(|string| ends(string) == ended).map(|string| string.members[member]).sum()
        };
        let sums: Vec<(f64, f64)> = (0..members).map(|member| (sum(member, true), sum(member, false))).collect();
        let all: f64 = sums.iter().map(|(ended, goes_on)| ended + goes_on).sum();
        let inside: f64 = sums.iter().filter(|(ended, goes_on)| goes_on > ended).map(|(_, goes_on)| goes_on).sum();
        if members > 1 && all > 0.0 { inside / all } else { 0.0 }
    }

    /// The heaviest, of equals the first.
    fn best(&self) -> Option<&Candidate> {
        self.strings.iter().reduce(|best, one| if one.mass > best.mass { one } else { best })
    }
}

/// The weights of a mean of rows that is nearest to `fused`, near `expected` where the rows say nothing of them: not negative,
/// with a sum of 1.
pub(super) fn weights(rows: &[&[f32]], fused: &[f32], expected: &[f64]) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let gram: Vec<Vec<f64>> = rows.iter().map(|one| rows.iter().map(|other| dot(one, other)).collect()).collect();
    let aim: Vec<f64> = rows.iter().map(|row| dot(row, fused)).collect();
    let mut weights = expected.to_vec();
    // Two weights at a time, to the best for both: the sum stays.
    for _ in 0..ROUNDS {
        for one in 0..rows.len() {
            for other in 0..one {
                let slope = |member: usize| {
                    let mean: f64 = gram[member].iter().zip(&weights).map(|(gram, weight)| gram * weight).sum();
                    aim[member] - mean + NEAR * (expected[member] - weights[member])
                };
                let curve = gram[one][one] + gram[other][other] - 2.0 * gram[one][other] + 2.0 * NEAR;
                let step = ((slope(one) - slope(other)) / curve).clamp(-weights[one], weights[other]);
                weights[one] += step;
                weights[other] -= step;
            }
        }
    }
    weights
}

/// By how much it counts that weights are as expected, against how near the rows are.
const NEAR: f64 = 1e-9;

const ROUNDS: usize = 8;
