//! The random draw: llama.cpp's own sampler chain, on a shortlist.

use crate::fuse::shortlist::penalty_window;
use crate::fuse::{PENALTY_WINDOW, is_greedy};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use plugin_api::Parameters;

/// Draws units. It has buffers and no memory: what it draws depends on the arguments of [`Sampler::draw`] alone, so that
/// nothing in it can belong to text that was taken back.
#[derive(Debug)]
pub struct Sampler {
    candidates: LlamaTokenDataArray,
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// With empty buffers. Needs no model.
    pub fn new() -> Self {
        Self { candidates: LlamaTokenDataArray::new(Vec::new(), true) }
    }

    /// One unit out of a [`Selection`](crate::fuse::Selection) made with the same `recent` and `parameters`: penalties over
    /// the last 64 units, top-k, top-p, min-p, temperature, then the seeded draw; at temperature 0 the best after the
    /// penalties, which top-k, top-p and min-p always keep.
    ///
    /// The chain is built anew for each draw, 10 to 16 µs in all: its parameters change while it runs, and most of the
    /// time is the seeding of llama.cpp's two Mersenne Twisters, which a kept chain would have to repeat.
    ///
    /// # Panics
    /// When there are no candidates.
    pub fn draw(&mut self, candidates: &[(u32, f32)], recent: &[u32], parameters: &Parameters, seed: u32) -> u32 {
        assert!(!candidates.is_empty(), "a draw needs candidates; a row without any is refused before");
        self.candidates.data.clear();
        self.candidates
            .data
            .extend(candidates.iter().map(|&(unit, score)| LlamaTokenData::new(LlamaToken(unit as i32), score, 0.0)));
        self.candidates.sorted = true;
        self.candidates.selected = None;
        self.candidates.apply_sampler(&mut chain(recent, parameters, seed));
        self.candidates.selected_token().map_or(candidates[0].0, |token| token.0 as u32)
    }
}

/// Samplers that are off (penalty 1, top-k 0, top-p 1, min-p 0, temperature 1) are empty in llama.cpp and do nothing.
fn chain(recent: &[u32], parameters: &Parameters, seed: u32) -> LlamaSampler {
    // The number of units is only used by llama.cpp's sampling on a GPU.
    let mut penalties = LlamaSampler::penalties(0, PENALTY_WINDOW as i32, parameters.repeat_penalty, 0.0, 0.0);
    penalties.accept_many(penalty_window(recent).iter().map(|&unit| LlamaToken(unit as i32)));
    if is_greedy(parameters) {
        return LlamaSampler::chain([penalties, LlamaSampler::greedy()], true);
    }
    LlamaSampler::chain(
        [
            penalties,
            LlamaSampler::top_k(i32::try_from(parameters.top_k).unwrap_or(i32::MAX)),
            LlamaSampler::top_p(parameters.top_p, 1),
            LlamaSampler::min_p(parameters.min_p, 1),
            LlamaSampler::temp(parameters.temperature),
            // llama.cpp takes the highest seed to mean one from the clock.
            LlamaSampler::dist(seed.min(u32::MAX - 1)),
        ],
        true,
    )
}

/// The seed of what is random at a position and at a try of it. The same three give the same seed; neighbours differ in
/// about half of the bits, of the lower 32 (for [`Sampler::draw`]) as well.
pub fn seed_for(seed: u64, position: u32, attempt: u32) -> u64 {
    mixed(mixed(seed).wrapping_add(u64::from(position) << 32 | u64::from(attempt)))
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::Shortlist;
    use proptest::prelude::*;

    fn parameters() -> impl Strategy<Value = Parameters> {
        (
            prop_oneof![1 => Just(0.0f32), 1 => Just(1.0), 4 => 0.2f32..2.0],
            prop_oneof![1 => Just(1.0f32), 2 => 0.3f32..1.0],
            prop_oneof![1 => Just(0.0f32), 2 => 0.001f32..0.5],
            prop_oneof![1 => Just(1.0f32), 3 => 1.0f32..2.0],
            prop_oneof![1 => Just(0u32), 2 => 1u32..60, 1 => Just(1000)],
        )
            .prop_map(|(temperature, top_p, min_p, repeat_penalty, top_k)| Parameters {
                temperature,
                top_p,
                min_p,
                repeat_penalty,
                top_k,
            })
    }

    fn falling(mut candidates: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
        candidates.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
        candidates
    }

    /// Equal scores after the penalty: llama.cpp's sort may put them in any order, which depends on the list's length.
    fn has_ties(candidates: &[(u32, f32)], recent: &[u32], penalty: f32) -> bool {
        let penalised = candidates.iter().map(|&(unit, score)| match penalty_window(recent).contains(&unit) {
            true if score <= 0.0 => (unit, score * penalty),
            true => (unit, score / penalty),
            false => (unit, score),
        });
        let scores = falling(penalised.collect());
        scores.windows(2).any(|pair| pair[0].1 == pair[1].1 && pair[0].1.is_finite())
    }

    /// What the chain left after a draw: the units it could have drawn, in its order, with their probabilities.
    fn distribution(sampler: &Sampler) -> Vec<(i32, f32)> {
        let possible = sampler.candidates.data.iter().filter(|candidate| candidate.p() > 0.0);
        possible.map(|candidate| (candidate.id().0, candidate.p())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_draw_from_the_shortlist_is_the_draw_from_the_row(
            fused in prop::collection::vec(prop_oneof![12 => -14.0f32..0.0, 1 => Just(f32::NEG_INFINITY)], 2..400),
            offset in -12.0f32..25.0,
            bans in prop::collection::vec(0u32..400, 0..6),
            recent in prop::collection::vec(0u32..400, 0..90),
            favourites in prop::collection::vec(0usize..90, 0..8),
            parameters in parameters(),
            seed in any::<u32>(),
        ) {
            let mut fused = fused;
            // The text repeats what the members like: the best units are often penalised ones.
            for favourite in favourites {
                if let Some(score) = recent.get(favourite).and_then(|&unit| fused.get_mut(unit as usize)) {
                    *score = -0.1 * favourite as f32 * 0.37;
                }
            }
            let scores = (0u32..).zip(fused.iter().map(|score| score + offset));
            let row = falling(scores.filter(|(unit, _)| !bans.contains(unit)).collect());
            prop_assume!(row.iter().any(|(_, score)| score.is_finite()));
            prop_assume!(!has_ties(&row, &recent, parameters.repeat_penalty));

            let mut shortlist = Shortlist::new();
            let selection = shortlist.select(&fused, offset, &bans, &recent, &parameters);
            prop_assert!(!selection.bans_yielded);
            let (mut of_list, mut of_row) = (Sampler::new(), Sampler::new());
            let drawn = of_list.draw(selection.candidates, &recent, &parameters, seed);
            prop_assert_eq!(drawn, of_row.draw(&row, &recent, &parameters, seed));
            prop_assert!(!bans.contains(&drawn));
            if !is_greedy(&parameters) {
                prop_assert_eq!(distribution(&of_list), distribution(&of_row));
            }
        }
    }

    const PLAIN: Parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

    #[test]
    fn a_chain_with_everything_off_draws_from_the_softmax() {
        let candidates = [(7, 1.5), (2, 1.0), (9, -0.5), (4, -4.0)];
        let mut sampler = Sampler::new();
        sampler.draw(&candidates, &[7, 7, 2], &PLAIN, 5);
        let sum: f32 = candidates.iter().map(|(_, score)| score.exp()).sum();
        for ((unit, score), (id, probability)) in candidates.into_iter().zip(distribution(&sampler)) {
            assert_eq!(unit, id as u32);
            assert!((probability - score.exp() / sum).abs() < 1e-6);
        }
        let mut counts = [0u32; 10];
        for position in 0..4000 {
            counts[sampler.draw(&candidates, &[], &PLAIN, seed_for(1, position, 0) as u32) as usize] += 1;
        }
        let share = counts[7] as f32 / 4000.0;
        assert!((share - 1.5f32.exp() / sum).abs() < 0.03, "{share}");
    }

    #[test]
    fn temperature_0_takes_the_best_after_the_penalty() {
        let greedy = Parameters { temperature: 0.0, repeat_penalty: 1.5, ..PLAIN };
        let mut sampler = Sampler::new();
        assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &[], &greedy, 0), 3);
        assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &[3], &greedy, 0), 1);
        assert_eq!(sampler.draw(&[(3, -2.0), (1, -2.1)], &[3], &greedy, 0), 1);
    }

    #[test]
    fn the_penalty_counts_the_last_64_units_once_each() {
        let greedy = Parameters { temperature: 0.0, repeat_penalty: 1.5, ..PLAIN };
        let mut recent = vec![3; 10];
        recent.extend(100..164);
        let mut sampler = Sampler::new();
        assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &recent, &greedy, 0), 3);
        assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &recent[..73], &greedy, 0), 1);
        assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.2)], &recent[..40], &greedy, 0), 3);
    }

    #[test]
    fn the_same_seed_draws_the_same_whatever_was_drawn_before() {
        let candidates: Vec<(u32, f32)> = (0..100).map(|unit| (unit, unit as f32 * -0.01)).collect();
        // The last is the one that llama.cpp replaces by the clock.
        for seed in [0, 1, 77, u32::MAX - 1, u32::MAX] {
            let first = Sampler::new().draw(&candidates, &[], &PLAIN, seed);
            let mut used = Sampler::new();
            used.draw(&candidates[..30], &[4, 4], &Parameters { top_k: 3, repeat_penalty: 2.0, ..PLAIN }, 9);
            for _ in 0..20 {
                assert_eq!(used.draw(&candidates, &[], &PLAIN, seed), first);
            }
        }
    }

    #[test]
    fn seeds_of_neighbours_differ_in_both_halves() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..4 {
            for position in 0..200 {
                for attempt in 0..8 {
                    assert!(seen.insert(seed_for(seed, position, attempt) as u32));
                }
                let changed = seed_for(seed, position, 0) ^ seed_for(seed, position + 1, 0);
                assert!((4..=28).contains(&(changed as u32).count_ones()));
                assert!((4..=28).contains(&((changed >> 32) as u32).count_ones()));
            }
        }
        assert_eq!(seed_for(42, 7, 1), seed_for(42, 7, 1));
    }
}
