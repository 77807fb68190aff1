//! The units that the sampler chain gets to see, out of a whole row.
//!
//! The chain is llama.cpp's: penalties, top-k, top-p, min-p, temperature; at temperature 0 penalties alone. What it leaves
//! is drawn from, or at temperature 0 the best of it taken. On a row of 152,000 units it would take longer than all other arithmetic together, so that it runs on a
//! list that contains everything it can choose and leads to the same distribution as the whole row:
//!
//! * **top-k on.** The penalty changes the scores of d different units and of no other. After it, the first k consist of
//!   penalised units and of such that rank among the first k of the others. Before it, of the others at most d penalised
//!   units could stand in front of these. So the first k + d of the row, and the penalised units, contain all that
//!   top-k keeps; and as they are a part of the row, top-k keeps the same of them as of the whole.
//! * **greedy.** The same with k = 1.
//! * **top-k and top-p off, min-p on.** Min-p keeps what is at most `ln min_p` below the best. The best after the penalty
//!   is at least the best of those that it does not touch; so what lies further below that one cannot stay, unless it is
//!   penalised, and the penalised units are in the list.
//! * **otherwise** a sum over the whole row decides, and the list is the whole row.
//!
//! Units with a score of −∞ have no chance in the chain and are never listed.

use super::vector::{LANES, Lanes, larger};
use plugin_api::Parameters;

/// How many of the newest units the repeat penalty counts.
pub const PENALTY_WINDOW: usize = 64;

/// Whether the likeliest unit is taken without a draw. Below a thousandth the draw decides nothing but ties, and dividing
/// by less than that leaves the range of `f32`.
pub fn is_greedy(parameters: &Parameters) -> bool {
    parameters.temperature < 1e-3
}

/// Units in a segment. Its lanes' maxima, each of 32 units, say whether it has to be looked at again.
const SEGMENT: usize = 32 * LANES;

/// What the chain gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection<'a> {
    /// Units and their scores, by falling score, equal ones by rising unit. Empty only when the row has no finite score.
    pub candidates: &'a [(u32, f32)],
    /// Every possible unit was banned, so that the bans were ignored.
    pub bans_yielded: bool,
}

/// Selects candidates, in buffers that are kept between the tokens.
#[derive(Debug, Default)]
pub struct Shortlist {
    banned: Vec<u32>,
    penalised: Vec<u32>,
    maxima: Vec<u32>,
    ranking: Vec<u32>,
    keys: Vec<u64>,
    candidates: Vec<(u32, f32)>,
}

impl Shortlist {
    /// With empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The candidates of a row, as the module describes.
    ///
    /// `fused` holds log-probabilities, −∞ for impossible units, no NaN; a candidate's score is `fused[v] + offset`.
    /// The offset is there for the repeat penalty: llama.cpp divides positive logits by it and multiplies negative ones,
    /// so that a log-probability, never above 0 and near 0 for a sure unit, would hardly feel it. With the mean of the
    /// members' log-sum-exp as offset the scores are on the scale of logits; with one member they are its logits.
    ///
    /// `bans` are left out, unless nothing else is left. `recent` are the units of the text, newest last; the last
    /// [`PENALTY_WINDOW`] count. Units that the row does not have are ignored in both.
    pub fn select(
        &mut self,
        fused: &[f32],
        offset: f32,
        bans: &[u32],
        recent: &[u32],
        parameters: &Parameters,
    ) -> Selection<'_> {
        sorted_set(&mut self.banned, bans);
        let recent = if parameters.repeat_penalty == 1.0 { &[] } else { penalty_window(recent) };
        sorted_set(&mut self.penalised, recent);
        let row = Row { scores: fused, offset };
        self.fill(row, parameters);
        let bans_yielded = self.keys.is_empty() && !self.banned.is_empty();
        if bans_yielded {
            self.banned.clear();
            self.fill(row, parameters);
        }
        self.candidates.clear();
        self.candidates.extend(self.keys.iter().map(|&key| (unit_of(key), row.score(unit_of(key)))));
        Selection { candidates: &self.candidates, bans_yielded: bans_yielded && !self.candidates.is_empty() }
    }

    /// Fills `keys` with the candidates, the best first.
    fn fill(&mut self, row: Row, parameters: &Parameters) {
        let greedy = is_greedy(parameters);
        if greedy || parameters.top_k > 0 {
            let keep = if greedy { 1 } else { parameters.top_k as usize };
            self.best(row, keep.saturating_add(self.penalised.len()));
            self.add_penalised(row);
        } else if parameters.top_p >= 1.0 && parameters.min_p > 0.0 {
            self.best(row, 1 + self.penalised.len());
            let best_free = self.keys.iter().find(|&&key| self.penalised.binary_search(&unit_of(key)).is_err());
            // The chain computes the same border; the small step down keeps rounding from making this list the shorter.
            let border = best_free.map(|&key| row.score(unit_of(key)) + parameters.min_p.ln() - 1e-3);
            self.keys.clear();
            if let Some(border) = border {
                self.collect(row, order(border));
            }
            self.add_penalised(row);
        } else {
            self.keys.clear();
            self.maxima(row);
            self.collect(row, LOWEST_FINITE);
            self.keys.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// Fills `keys` with the best `count` units that are not banned, the best first.
    fn best(&mut self, row: Row, count: usize) {
        self.maxima(row);
        self.keys.clear();
        // The n-th largest of the maxima: at least n units are as good as that. A banned unit may be one of them.
        let needed = count.saturating_add(self.banned.len());
        let threshold = if needed < self.maxima.len() {
            self.ranking.clear();
            self.ranking.extend_from_slice(&self.maxima);
            *self.ranking.select_nth_unstable_by(needed - 1, |a, b| b.cmp(a)).1
        } else {
            LOWEST_FINITE
        };
        self.collect(row, threshold.max(LOWEST_FINITE));
        if self.keys.len() > count {
            self.keys.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
            self.keys.truncate(count);
        }
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// The largest score of every lane of every segment, as [`order`].
    fn maxima(&mut self, row: Row) {
        self.maxima.clear();
        for segment in row.scores.chunks(SEGMENT) {
            let mut maxima: Lanes = [f32::NEG_INFINITY; LANES];
            let mut chunks = segment.chunks_exact(LANES);
            for scores in &mut chunks {
                for lane in 0..LANES {
                    maxima[lane] = larger(scores[lane], maxima[lane]);
                }
            }
            for (maximum, &score) in maxima.iter_mut().zip(chunks.remainder()) {
                *maximum = larger(score, *maximum);
            }
            // Adding the offset keeps the order, so that it can wait until here.
            self.maxima.extend(maxima.map(|maximum| order(maximum + row.offset)));
        }
    }

    /// Adds to `keys` every unit with a score of at least `threshold` that is not banned. Needs the maxima.
    fn collect(&mut self, row: Row, threshold: u32) {
        let border = score_of(threshold);
        for (index, segment) in row.scores.chunks(SEGMENT).enumerate() {
            let maxima = &self.maxima[index * LANES..][..LANES];
            if maxima.iter().all(|&maximum| maximum < threshold) {
                continue;
            }
            for (part, scores) in segment.chunks(LANES).enumerate() {
                let reached = |score: f32| score + row.offset >= border;
                // Few chunks have one, and sixteen are looked at as fast as one.
                let lanes = <&Lanes>::try_from(scores);
                if lanes.is_ok_and(|lanes| !lanes.iter().fold(false, |any, &score| any | reached(score))) {
                    continue;
                }
                for (lane, _) in scores.iter().enumerate().filter(|&(_, &score)| reached(score)) {
                    let unit = (index * SEGMENT + part * LANES + lane) as u32;
                    if self.banned.binary_search(&unit).is_err() {
                        self.keys.push(key(order(row.score(unit)), unit));
                    }
                }
            }
        }
    }

    /// Adds the penalised units that are possible and not banned, and puts `keys` in order.
    fn add_penalised(&mut self, row: Row) {
        for &unit in &self.penalised {
            let known = (unit as usize) < row.scores.len() && self.banned.binary_search(&unit).is_err();
            if known && row.score(unit) > f32::NEG_INFINITY {
                self.keys.push(key(order(row.score(unit)), unit));
            }
        }
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.keys.dedup();
    }
}

/// The part of the text that the repeat penalty counts.
pub(crate) fn penalty_window(recent: &[u32]) -> &[u32] {
    &recent[recent.len().saturating_sub(PENALTY_WINDOW)..]
}

fn sorted_set(set: &mut Vec<u32>, units: &[u32]) {
    set.clear();
    set.extend_from_slice(units);
    set.sort_unstable();
    set.dedup();
}

#[derive(Clone, Copy)]
struct Row<'a> {
    scores: &'a [f32],
    offset: f32,
}

impl Row<'_> {
    fn score(&self, unit: u32) -> f32 {
        self.scores[unit as usize] + self.offset
    }
}

/// Order of the lowest finite number: one above that of −∞.
const LOWEST_FINITE: u32 = !0xFF80_0000 + 1;

/// An integer for a float, in the same order; integers are compared and sorted faster.
#[inline(always)]
fn order(score: f32) -> u32 {
    // Zero has two signs, which are equal as scores.
    let bits = (score + 0.0).to_bits();
    bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000)
}

/// The score that [`order`] makes an integer of.
fn score_of(order: u32) -> f32 {
    f32::from_bits(if order >> 31 == 1 { order ^ 0x8000_0000 } else { !order })
}

/// Score and unit in one integer: larger for a higher score, of equal ones for the lower unit.
fn key(order: u32, unit: u32) -> u64 {
    u64::from(order) << 32 | u64::from(!unit)
}

fn unit_of(key: u64) -> u32 {
    !(key as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

    /// Every possible unit of the row, by falling score, equal ones by rising unit.
    fn ranked(fused: &[f32], offset: f32, bans: &[u32]) -> Vec<(u32, f32)> {
        let mut units: Vec<(u32, f32)> = (0u32..).zip(fused.iter().map(|score| score + offset)).collect();
        units.retain(|(unit, score)| score.is_finite() && !bans.contains(unit));
        units.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        units
    }

    proptest! {
        #[test]
        fn top_k_is_the_front_of_the_ranking_and_the_penalised_units(
            // Whole numbers: full of equal scores.
            fused in prop::collection::vec(prop_oneof![9 => (-60i32..0).prop_map(|n| n as f32), 1 => Just(f32::NEG_INFINITY)], 1..4000),
            offset in -20i32..20,
            bans in prop::collection::vec(0u32..4000, 0..5),
            recent in prop::collection::vec(0u32..4000, 0..80),
            top_k in 1u32..60,
        ) {
            let offset = offset as f32;
            let parameters = Parameters { top_k, repeat_penalty: 1.1, ..PLAIN };
            let mut penalised = recent[recent.len().saturating_sub(64)..].to_vec();
            penalised.sort_unstable();
            penalised.dedup();
            let all = ranked(&fused, offset, &bans);
            let right: Vec<_> = all.iter().enumerate()
                .filter(|(rank, (unit, _))| *rank < top_k as usize + penalised.len() || penalised.contains(unit))
                .map(|(_, candidate)| *candidate)
                .collect();
            let mut shortlist = Shortlist::new();
            let selection = shortlist.select(&fused, offset, &bans, &recent, &parameters);
            if all.is_empty() {
                prop_assert_eq!(selection.bans_yielded, !selection.candidates.is_empty());
            } else {
                prop_assert_eq!(selection, Selection { candidates: &right, bans_yielded: false });
            }
        }

        #[test]
        fn without_limits_the_list_is_the_row(
            fused in prop::collection::vec(prop_oneof![-9.0f32..0.0, Just(f32::NEG_INFINITY)], 1..500),
            bans in prop::collection::vec(0u32..500, 0..5),
        ) {
            let right = ranked(&fused, 3.0, &bans);
            prop_assume!(!right.is_empty());
            let mut shortlist = Shortlist::new();
            prop_assert_eq!(shortlist.select(&fused, 3.0, &bans, &[], &PLAIN).candidates, &right[..]);
        }
    }

    #[test]
    fn bans_yield_when_nothing_else_is_possible() {
        let fused = [f32::NEG_INFINITY, -0.1, f32::NEG_INFINITY, -2.0];
        let mut shortlist = Shortlist::new();
        for parameters in [
            PLAIN,
            Parameters { top_k: 3, ..PLAIN },
            Parameters { min_p: 0.1, ..PLAIN },
            Parameters { temperature: 0.0, ..PLAIN },
        ] {
            let selection = shortlist.select(&fused, 0.0, &[1, 3, 17], &[3], &parameters);
            assert!(selection.bans_yielded);
            assert_eq!(selection.candidates[0], (1, -0.1));
            let selection = shortlist.select(&fused, 0.0, &[1, 17], &[3], &parameters);
            assert!(!selection.bans_yielded);
            assert_eq!(selection.candidates, [(3, -2.0)]);
        }
    }

    #[test]
    fn an_impossible_row_gives_no_candidates() {
        let mut shortlist = Shortlist::new();
        let selection = shortlist.select(&[f32::NEG_INFINITY; 70], 1.0, &[2], &[3], &Parameters { top_k: 4, ..PLAIN });
        assert_eq!(selection, Selection { candidates: &[], bans_yielded: false });
    }

    #[test]
    fn order_is_that_of_the_floats() {
        let rising = [f32::NEG_INFINITY, f32::MIN, -1.0, -1e-40, 0.0, 1e-40, 1.0, f32::MAX];
        assert!(rising.windows(2).all(|pair| order(pair[0]) < order(pair[1])));
        assert_eq!(order(-0.0), order(0.0));
        assert_eq!(order(f32::MIN), LOWEST_FINITE);
        assert!(rising.iter().all(|&score| score_of(order(score)) == score));
    }
}
