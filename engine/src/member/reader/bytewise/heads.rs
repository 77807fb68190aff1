//! How a member may have read the text that stands: its heads, and what they say of the next byte.
//!
//! A text is a sequence of a member's tokens in many ways. A head is one of them: whole tokens, and perhaps some bytes inside
//! the next one. The mass of a byte at a head is the probability of its tokens times that of all next tokens that go on with
//! its pending bytes and this one; P(byte) is the sum over the heads, divided by what they have together. With all heads this
//! is exact. Otherwise:
//!
//! * Heads that end in the same place, with nothing pending, are one: the lighter ones' weight goes to the heaviest, whose
//!   tokens stand for all. So there is at most one more at each byte.
//! * A head's row has to be decoded before anything is known of what follows it. That of a light one is put off: a *stand-in*
//!   prices it, the mean of what followed such places so far, and it is decoded when the byte that came may be its.

use super::paths::{Path, Paths};
use crate::member::spelling::{BYTES, Node, ROOT, Trie};
use std::sync::Arc;

/// The bytes and the end of the text.
pub(super) const UNITS: usize = BYTES + 1;

/// Heads at most, and the least share of one.
pub(super) const MOST: usize = 32;
const LEAST_SHARE: f64 = 1e-7;
/// The least share where none is dropped: what is below adds nothing to a probability in single precision, and the number of
/// readings grows without end.
const LEAST_OF_ALL: f64 = 1e-9;

/// Share of the stand-in in every row, so that no byte is impossible.
const FLOOR: f64 = 2e-4;

/// By how much an older row counts less in the stand-in.
const STAND_IN_DECAY: f32 = 0.99;

/// How much is decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Effort {
    /// Share from which a head's row is decoded before it is asked for.
    pub ahead: f64,
    /// Share of a byte's mass from which a head is decoded for it when it came.
    pub late: f64,
    /// All heads are decoded, none is dropped or joined with another.
    pub all: bool,
}

/// One way to read the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    /// Its whole tokens.
    pub path: Path,
    /// Where the bytes inside the next token lead; the root at the end of a token.
    pub node: Node,
    /// Probability of its tokens, in relation to the other heads.
    pub weight: f64,
    /// Probability of all texts that it can be the beginning of, in relation to the other heads: they sum to 1.
    pub mass: f64,
    /// Its row counts; otherwise the stand-in does.
    pub is_read: bool,
}

/// What followed the end of a token so far: behind a letter, and behind anything else.
#[derive(Debug, Clone)]
pub(super) struct StandIn([Box<[f32]>; 2]);

impl StandIn {
    /// Nothing is known.
    pub fn new() -> Self {
        Self([(); 2].map(|()| vec![1e-6; UNITS].into()))
    }

    /// Behind `byte`.
    pub fn after(&self, byte: Option<u8>) -> &[f32] {
        &self.0[usize::from(byte.is_some_and(|byte| byte.is_ascii_alphabetic()))]
    }

    /// With one row more, of a head of this share.
    fn note(&mut self, byte: Option<u8>, row: &[f64], share: f64) {
        let known = &mut self.0[usize::from(byte.is_some_and(|byte| byte.is_ascii_alphabetic()))];
        let total: f64 = row.iter().sum();
        for (known, mass) in known.iter_mut().zip(row) {
            *known = STAND_IN_DECAY * *known + (1.0 - STAND_IN_DECAY) * (share * mass / total) as f32;
        }
    }
}

/// Where the member stands after a number of bytes.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Heaviest first; never empty.
    pub heads: Vec<Head>,
    pub stand_in: Arc<StandIn>,
    /// The text cannot be expressed here, and the member has no say until the character is over.
    pub abstains: bool,
    /// Bytes that are missing of the character at the end of the text.
    pub open: u8,
    /// The decayed sum of the bytes' log-probabilities, the prompt's included.
    pub evidence: f32,
    /// There are bytes that the member has never seen: it has no tokens for them.
    pub skipped: bool,
}

impl Standing {
    /// With a single head, in which nothing is pending.
    pub fn at(path: Path, stand_in: Arc<StandIn>) -> Self {
        let head = Head { path, node: ROOT, weight: 1.0, mass: 1.0, is_read: true };
        Self { heads: vec![head], stand_in, abstains: false, open: 0, evidence: 0.0, skipped: false }
    }
}

/// Mass of each byte and of the end at one head, whose row is there.
fn masses_at(head: &Head, trie: &Trie, paths: &Paths, mut into: impl FnMut(usize, f64)) {
    let Some(row) = paths.row(head.path) else { return };
    for (byte, node) in trie.children(head.node) {
        into(usize::from(byte), head.weight * row.mass(trie.below(node)));
    }
    if head.node == ROOT {
        into(BYTES, head.weight * row.end);
    }
}

/// The distribution of the next byte behind a text that ends with `last`, and the stand-in with the rows that are new in it.
pub(super) fn distribution(
    standing: &Standing,
    last: Option<u8>,
    trie: &Trie,
    paths: &Paths,
    effort: Effort,
    masses: &mut [f64; UNITS],
) -> Option<Arc<StandIn>> {
    masses.fill(0.0);
    let (mut unread, mut fresh) = (0.0, None);
    for head in &standing.heads {
        if !head.is_read || paths.row(head.path).is_none() {
            unread += head.mass;
            continue;
        }
        masses_at(head, trie, paths, |unit, mass| masses[unit] += mass);
        // Only a head that has just ended a token; there is one where heads are joined.
        if head.node == ROOT && !effort.all && fresh.is_none() {
            let mut row = [0.0; UNITS];
            masses_at(head, trie, paths, |unit, mass| row[unit] = mass);
            let mut stand_in = StandIn::clone(&standing.stand_in);
            stand_in.note(last, &row, head.mass);
            fresh = Some(Arc::new(stand_in));
        }
    }
    if !effort.all {
        let stand_in = fresh.as_ref().unwrap_or(&standing.stand_in).after(last);
        let total: f64 = stand_in.iter().map(|&mass| f64::from(mass)).sum();
        let share = unread / total;
        let sum: f64 = masses.iter().sum::<f64>() + unread;
        for (mass, &stand_in) in masses.iter_mut().zip(stand_in) {
            let stand_in = f64::from(stand_in);
            *mass = (1.0 - FLOOR) * (*mass + share * stand_in) / sum + FLOOR * stand_in / total;
        }
    }
    let total: f64 = masses.iter().sum();
    if total > 0.0 {
        masses.iter_mut().for_each(|mass| *mass /= total);
    }
    fresh
}

/// The heads that have to be decoded now that `byte` follows, by their place; those that are neither read nor named here go.
pub(super) fn late(standing: &Standing, byte: u8, trie: &Trie, paths: &Paths, effort: Effort) -> Vec<usize> {
    let heads = &standing.heads;
    let unread = || (0..heads.len()).filter(|&place| !heads[place].is_read);
    if unread().next().is_none() {
        return Vec::new();
    }
    let mut sure = 0.0;
    for head in heads.iter().filter(|head| head.is_read) {
        if let (Some(child), Some(row)) = (trie.child(head.node, byte), paths.row(head.path)) {
            sure += head.weight * row.mass(trie.below(child));
        }
    }
    unread().filter(|&place| heads[place].mass > 0.0 && heads[place].mass >= effort.late * sure).collect()
}

/// Tokens by which a reading may differ from the heaviest one at its end and still stand for others without being marked down.
const NEAR: usize = 4;

/// The reading whose tokens stand for all that end a token in the same place: the heaviest, unless it parted from the
/// heaviest of all long ago. In a run of spaces, of which sixteen are a token, there are sixteen such that never meet, and each
/// of them would have to be read anew from where the run begins, in turn, a few for each byte.
fn stands_for_all<'a>(
    ended: &'a [(f64, Path, u32, usize)],
    heads: &[Head],
    paths: &Paths,
) -> Option<&'a (f64, Path, u32, usize)> {
    let [_, _, ..] = ended else { return ended.first() };
    let heaviest = heads.first()?.path;
    let rank = |one: &(f64, Path, u32, usize)| {
        let apart = paths.tokens(one.1) - paths.tokens(paths.common(one.1, heaviest));
        one.0 * 0.5f64.powi(apart.saturating_sub(NEAR).min(1000) as i32)
    };
    let ranked = ended.iter().map(|one| (rank(one), one));
    ranked.reduce(|best, one| if one.0 > best.0 { one } else { best }).map(|(_, one)| one)
}

/// All readings after `byte`, heaviest first, of the heads for which `counts`. Empty where none has the byte.
pub(super) fn push(
    heads: &[Head],
    counts: impl Fn(usize) -> bool,
    byte: u8,
    trie: &Trie,
    paths: &mut Paths,
    effort: Effort,
) -> Vec<Head> {
    let mut next: Vec<Head> = Vec::with_capacity(heads.len() + 1);
    // Readings in which a token ends here.
    let mut ended: Vec<(f64, Path, u32, usize)> = Vec::new();
    for (place, head) in heads.iter().enumerate() {
        let Some(child) = trie.child(head.node, byte).filter(|_| counts(place)) else { continue };
        let Some(row) = paths.row(head.path) else { continue };
        for rank in trie.own(child) {
            let mass = head.weight * row.mass(rank..rank + 1);
            if mass > 0.0 {
                ended.push((mass, head.path, trie.order()[rank], trie.depth(child)));
            }
        }
        let mass = head.weight * row.mass(trie.longer(child));
        if mass > 0.0 {
            next.push(Head { node: child, mass, is_read: true, ..head.clone() });
        }
    }
    if effort.all {
        for (mass, path, token, bytes) in ended {
            let path = paths.child(path, token, bytes);
            next.push(Head { path, node: ROOT, weight: mass, mass, is_read: true });
        }
    } else if let Some(&(_, path, token, bytes)) = stands_for_all(&ended, heads, paths) {
        let mass = ended.iter().map(|(mass, ..)| mass).sum();
        let path = paths.child(path, token, bytes);
        next.push(Head { path, node: ROOT, weight: mass, mass, is_read: false });
    }
    next.sort_by(|a, b| b.mass.total_cmp(&a.mass));
    // Weights only count in relation; a text's probability would soon be no number any more.
    let total: f64 = next.iter().map(|head| head.mass).sum();
    next.truncate(if effort.all { usize::MAX } else { MOST });
    let least = if effort.all { LEAST_OF_ALL } else { LEAST_SHARE };
    next.retain(|head| head.mass >= least * total);
    let total: f64 = next.iter().map(|head| head.mass).sum();
    for head in &mut next {
        head.weight /= total;
        head.mass /= total;
        head.is_read |= head.mass >= effort.ahead;
    }
    // Something has to be known of what follows.
    if let Some(heaviest) = next.first_mut() {
        heaviest.is_read = true;
    }
    next
}
