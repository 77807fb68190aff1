//! Reading ahead: who proposes the units that are likely to come, and how many. A draft is a prefetch of rows and nothing
//! else. The members decode what it proposes in one batch; then the loop goes through the positions one by one, as without
//! it, and where it writes another unit than was proposed the rows behind are dropped. So a draft never changes a text.

use super::transcript::Transcript;
use crate::member::reader::LEAST_ROWS;
use crate::member::schedule::batch_cost;
use crate::member::{Text, Unit, Vocabulary};
use crate::reply::Drafts as Tally;
use crate::settings::{DraftBy, Drafting};
use std::collections::VecDeque;

/// Units of a draft at most, with the one that comes before it.
const LONGEST: usize = 8;
const _: () = assert!(LONGEST + 2 <= LEAST_ROWS);

/// By how much an older proposal counts less in the share of those that were right.
const DECAY: f32 = 0.9;

/// The share that is expected before anything is known.
const EXPECTED: f32 = 0.8;

/// Where drafts do not pay, one is made now and then, to see whether they would by now.
const PROBE: u32 = 32;

/// Least gain for which drafts are made.
const LEAST_GAIN: f32 = 1.04;

/// From so many texts at once on nothing is read ahead: their batch is large already.
const CROWD: usize = 4;

/// Tokens, or bytes, that have to be the same for a look-up.
const MATCH: usize = 3;
const MATCHING_BYTES: usize = 10;

/// Who proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drafter {
    /// A member, which decodes what it proposes before the others do, or a model behind the members that has no say.
    Member(usize),
    /// The text itself: what came after the same units before.
    Ngram,
    /// The request, which says how the reply begins.
    Given,
}

/// A draft to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub by: Drafter,
    /// How many units are to be proposed.
    pub units: usize,
    /// Those that are known by now: of a look-up all of them.
    pub proposed: Vec<Unit>,
}

/// What the costs of a draft are made of.
pub(super) struct Costs<'a> {
    /// Of each member's token, in relation.
    pub members: &'a [f32],
    /// Of a token of the model that has no say, if it can read the text.
    pub drafter: Option<f32>,
    /// Texts that are decoded together.
    pub texts: usize,
    /// The models are so large that a batch costs what [`batch_cost`] says.
    pub are_large: bool,
}

/// What is read ahead of one text.
#[derive(Debug)]
pub(super) struct Drafts {
    how: Drafting,
    /// Proposed and not yet reached; the members have them behind the text.
    units: VecDeque<Unit>,
    /// Where the first of them would stand, among the units that the members see.
    start: usize,
    by: Option<Drafter>,
    /// Of each drafter, the share that was right lately.
    shares: Vec<(Drafter, f32)>,
    /// Steps since a draft was made.
    waited: u32,
    /// The prompt, for look-ups.
    prompt: Vec<Unit>,
    pub tally: Tally,
}

impl Drafts {
    pub fn new(how: Drafting) -> Self {
        let (units, shares, prompt, tally) = Default::default();
        Self { how, units, start: 0, by: None, shares, waited: 0, prompt, tally }
    }

    /// The prompt in units, as far as somebody knows it.
    pub fn set_prompt(&mut self, prompt: Vec<Unit>) {
        self.prompt = prompt;
    }

    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Forgets what was proposed.
    pub fn drop_all(&mut self) {
        self.units.clear();
    }

    /// Whether what is proposed for this position is taken in place of what was drawn: for measurements with models that never
    /// agree.
    pub fn pretended(&self, seed: u64, position: u32) -> Option<Unit> {
        let (rate, &unit) = (self.how.pretend?, self.units.front()?);
        let share =
            (seed ^ u64::from(position).wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        ((share >> 40) as f32 / (1u64 << 24) as f32 <= rate).then_some(unit)
    }

    /// How far to read ahead, and who proposes. A function of the text and of static costs, never of the clock. `most` is how
    /// many units may be proposed.
    pub fn plan(
        &mut self,
        transcript: &Transcript,
        vocabulary: &Vocabulary,
        costs: &Costs,
        most: usize,
    ) -> Option<Plan> {
        self.waited += 1;
        if most == 0 {
            return None;
        }
        let fixed = self.how.length.map(|units| units.min(LONGEST - 1).min(most)).filter(|&units| units > 0);
        let behind = Drafter::Member(costs.members.len());
        let candidates = match self.how.by {
            DraftBy::Off => return None,
            DraftBy::Member(member) => vec![Drafter::Member(member)],
            DraftBy::Ngram => vec![Drafter::Ngram],
            _ if costs.texts >= CROWD => return None,
            DraftBy::Model => [Drafter::Ngram].into_iter().chain(costs.drafter.map(|_| behind)).collect(),
            DraftBy::Auto => {
                let cheapest =
                    (0..costs.members.len()).min_by(|&a, &b| costs.members[a].total_cmp(&costs.members[b]))?;
                // One member alone has nobody to read ahead for. In units each member reads its own tokens, one after the other,
                // and with small models other things count than batches.
                let pays = costs.members.len() > 1 && costs.are_large && !vocabulary.is_bytes();
                let member = pays.then_some(Drafter::Member(cheapest));
                [Some(Drafter::Ngram), member].into_iter().flatten().collect()
            }
        };
        for by in candidates {
            let mut proposed = match by {
                Drafter::Ngram => self.look_up(transcript, vocabulary),
                Drafter::Member(_) | Drafter::Given => Vec::new(),
            };
            if by == Drafter::Ngram && proposed.is_empty() {
                continue;
            }
            let units = match fixed {
                Some(units) => units,
                None => self.length(by, costs).min(most),
            };
            if units > 0 {
                self.waited = 0;
                proposed.truncate(units);
                return Some(Plan { by, units, proposed });
            }
        }
        None
    }

    /// The number of units that pays most; 0 where none does.
    fn length(&self, by: Drafter, costs: &Costs) -> usize {
        let share = self.share(by);
        let all: f32 = costs.members.iter().sum();
        let of_batch = |units: usize| batch_cost(units * costs.texts) / batch_cost(costs.texts);
        // Rows for `positions`, for one unit and `positions − 1` that are proposed.
        let gain = |positions: usize| {
            let cost = match by {
                Drafter::Member(member) => match costs.members.get(member) {
                    Some(own) => own * positions as f32 + (all - own) * of_batch(positions),
                    None => costs.drafter.unwrap_or(all) * positions as f32 + all * of_batch(positions),
                },
                Drafter::Ngram | Drafter::Given => all * of_batch(positions),
            };
            let expected: f32 = (0..positions as i32).map(|reached| share.powi(reached)).sum();
            expected * all / cost
        };
        let best = (2..=LONGEST).max_by(|&a, &b| gain(a).total_cmp(&gain(b))).unwrap_or(1);
        match gain(best) >= LEAST_GAIN {
            true => best - 1,
            false if self.waited >= PROBE => 1,
            false => 0,
        }
    }

    fn share(&self, by: Drafter) -> f32 {
        self.shares.iter().find(|(known, _)| *known == by).map_or(EXPECTED, |(_, share)| *share)
    }

    /// What came after the newest units when they stood before, as far as a draft may reach.
    fn look_up(&self, transcript: &Transcript, vocabulary: &Vocabulary) -> Vec<Unit> {
        let least = if vocabulary.is_bytes() { MATCHING_BYTES } else { MATCH };
        let (prompt, reply) = (self.prompt.as_slice(), transcript.units());
        let len = prompt.len() + reply.len();
        let unit = |at: usize| if at < prompt.len() { prompt[at] } else { reply[at - prompt.len()] };
        let is_alike = |at: &usize| (0..least).rev().all(|place| unit(at + place) == unit(len - least + place));
        let found = (0..len.saturating_sub(least)).rev().find(is_alike);
        found.map_or_else(Vec::new, |at| (at + least..len).take(LONGEST - 1).map(unit).collect())
    }

    /// The members have these units behind the `start` that stand.
    pub fn begin(&mut self, by: Drafter, units: &[Unit], start: usize) {
        self.units = units.iter().copied().collect();
        (self.by, self.start) = (Some(by), start);
        if by != Drafter::Given {
            self.tally.proposed += units.len() as u32;
        }
    }

    /// After a step: whether the row for the next one is there. Where the text goes another way than was proposed, it is taken
    /// back to where it stands.
    pub fn follow(&mut self, transcript: &Transcript, text: &mut Text) -> bool {
        let Some(&proposed) = self.units.front() else { return false };
        let seen = transcript.seen();
        let is_one_more = seen.len() == self.start + 1;
        let is_kept = is_one_more && seen[self.start] == proposed;
        if let (true, Some(by)) = (is_one_more, self.by) {
            self.note(by, is_kept);
        }
        if is_kept {
            self.tally.kept += u32::from(self.by != Some(Drafter::Given));
            self.units.pop_front();
            self.start += 1;
            return true;
        }
        self.units.clear();
        text.rewind(self.start.min(seen.len()));
        false
    }

    fn note(&mut self, by: Drafter, was_right: bool) {
        let share = DECAY * self.share(by) + if was_right { 1.0 - DECAY } else { 0.0 };
        match self.shares.iter_mut().find(|(known, _)| *known == by) {
            Some((_, known)) => *known = share,
            None => self.shares.push((by, share)),
        }
    }
}
