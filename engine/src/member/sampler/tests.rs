//! The draw against llama.cpp's own, against the mathematics of its coupling, and against itself under other conditions.

use super::*;
use crate::fuse::Shortlist;
use proptest::prelude::*;

const PLAIN: Parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

/// A vocabulary of `units` different strings; a second one of another `offset` numbers them in another way.
fn vocabulary(units: u32, offset: u32) -> Vocabulary {
    let pieces: Vec<String> = (0..units).map(|unit| format!(" w{}", (unit + offset) % units)).collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    Vocabulary::from_pieces(&pieces, &[])
}

fn sampler(units: u32) -> Sampler {
    Sampler::new(&vocabulary(units, 0))
}

fn falling(mut candidates: Vec<(u32, f32)>) -> Vec<(u32, f32)> {
    candidates.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    candidates
}

/// Uniform numbers in (0, 1) for the tests' own choices.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = mixed(state);
        ((state >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }
}

/// Nearly normal scores, as of a model.
fn scores(units: u32, spread: f64, seed: u64) -> Vec<f64> {
    let mut uniform = uniform(seed);
    (0..units).map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0) * spread).collect()
}

fn list(scores: &[f64]) -> Vec<(u32, f32)> {
    falling((0u32..).zip(scores.iter().map(|&score| score as f32)).collect())
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
    scores.iter().map(|score| score.exp() / sum).collect()
}

/// What χ² with so many degrees of freedom exceeds less than once in 10,000 times, by Wilson and Hilferty's approximation
/// (1931), which is a little high: 32.3 for 8 degrees, where tables have 31.8.
fn critical(degrees: usize) -> f64 {
    let ninth = 2.0 / (9.0 * degrees as f64);
    degrees as f64 * (1.0 - ninth + 3.719 * ninth.sqrt()).powi(3)
}

/// χ² of counts against probabilities, and its degrees of freedom. What is expected less than ten times is one cell.
fn chi_squared(counts: &[u64], probabilities: &[f64]) -> (f64, usize) {
    let total = counts.iter().sum::<u64>() as f64;
    let (mut rare, mut cells) = ((0.0, 0.0), Vec::new());
    for (&count, &probability) in counts.iter().zip(probabilities) {
        let (count, expected) = (count as f64, probability * total);
        if expected < 10.0 {
            rare = (rare.0 + count, rare.1 + expected);
        } else {
            cells.push((count, expected));
        }
    }
    if rare.1 > 0.0 {
        cells.push(rare);
    }
    let square = |&(count, expected): &(f64, f64)| (count - expected).powi(2) / expected;
    (cells.iter().map(square).sum(), cells.len() - 1)
}

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

/// What the chain left after a draw, with its logits.
fn left(sampler: &Sampler) -> Vec<(i32, f32)> {
    let mut left: Vec<(i32, f32)> =
        sampler.truncation.candidates.data.iter().map(|one| (one.id().0, one.logit())).collect();
    left.sort_by_key(|(unit, _)| *unit);
    left
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
        seed in any::<u64>(),
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
        let noise = Noise::at(seed, 3, 1);
        let (mut of_list, mut of_row) = (sampler(400), sampler(400));
        let drawn = of_list.draw(selection.candidates, &recent, &parameters, noise);
        prop_assert_eq!(drawn, of_row.draw(&row, &recent, &parameters, noise));
        prop_assert!(!bans.contains(&drawn));
        if !is_greedy(&parameters) {
            let possible = left(&of_row).into_iter().filter(|(_, logit)| logit.is_finite());
            prop_assert_eq!(left(&of_list), possible.collect::<Vec<_>>());
        }
    }
}

/// Probabilities by llama.cpp's own last sampler.
fn probabilities(sampler: &mut Sampler, units: u32) -> Vec<f64> {
    sampler.truncation.candidates.apply_sampler(&mut LlamaSampler::dist(1));
    let mut probabilities = vec![0.0; units as usize];
    sampler.truncation.candidates.data.iter().for_each(|one| probabilities[one.id().0 as usize] = f64::from(one.p()));
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter().map(|probability| probability / sum).collect()
}

#[test]
fn a_million_draws_follow_the_chains_distribution() {
    const UNITS: u32 = 60;
    let candidates = list(&scores(UNITS, 2.0, 1));
    let recent: Vec<u32> = candidates.iter().step_by(3).map(|(unit, _)| *unit).collect();
    let settings = [
        PLAIN,
        Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 },
        Parameters { temperature: 1.6, top_k: 20, ..PLAIN },
        Parameters { temperature: 0.4, repeat_penalty: 1.5, ..PLAIN },
    ];
    for (index, parameters) in settings.into_iter().enumerate() {
        let mut sampler = sampler(UNITS);
        sampler.truncation.apply(&candidates, &recent, &parameters);
        let mut counts = vec![0; UNITS as usize];
        for position in 0..1_000_000 {
            let drawn = sampler.best(Some(Noise::at(7, position, index as u32))).unwrap();
            counts[drawn as usize] += 1;
        }
        let right = probabilities(&mut sampler, UNITS);
        let impossible = counts.iter().zip(&right).any(|(&count, &probability)| count > 0 && probability == 0.0);
        let (square, degrees) = chi_squared(&counts, &right);
        println!("{square:.1} with {degrees} degrees of freedom, critical {:.1}: {parameters:?}", critical(degrees));
        assert!(!impossible && square < critical(degrees), "{parameters:?}: {square} of {degrees}");
    }
}

#[test]
fn units_of_the_same_bytes_keep_their_probabilities() {
    // A piece `a`, its byte fallback and an `a` once more, two units without bytes and the end.
    let vocabulary = Vocabulary::from_pieces(&[b"a", b"", b"a", b"b", b"a", b"", b"x"], &[6]).with_kinds(&[0], &[]);
    let mut sampler = Sampler::new(&vocabulary);
    let logits = [0.3, -0.2, 0.5, 0.1, 0.0, 0.2, 0.1];
    sampler.truncation.apply(&list(&logits), &[], &PLAIN);
    let mut counts = vec![0; 7];
    (0..100_000).for_each(|position| counts[sampler.best(Some(Noise::at(3, position, 0))).unwrap() as usize] += 1);
    let (square, degrees) = chi_squared(&counts, &softmax(&logits));
    assert!(degrees == 6 && square < critical(6), "{square}");
    // Another vocabulary has such pieces once; they couple with the ones that a tokenizer would take.
    let other = Sampler::new(&Vocabulary::from_pieces(&[b"b", b"", b"a"], &[1]));
    assert_eq!(other.keys, [sampler.keys[3], sampler.keys[6], sampler.keys[2]]);
    assert_eq!(sampler.keys.iter().collect::<std::collections::HashSet<_>>().len(), 7);
}

/// χ² of independence for pairs of draws.
fn independence(pairs: impl Iterator<Item = (u32, u32)>, right: &[f64]) -> (f64, usize) {
    let units = right.len();
    let mut counts = vec![0; units * units];
    pairs.for_each(|(first, second)| counts[first as usize * units + second as usize] += 1);
    let products: Vec<f64> = right.iter().flat_map(|first| right.iter().map(move |second| first * second)).collect();
    chi_squared(&counts, &products)
}

#[test]
fn neighbours_in_position_attempt_and_seed_have_nothing_to_do_with_each_other() {
    let logits = scores(8, 1.0, 5);
    let mut sampler = sampler(8);
    sampler.truncation.apply(&list(&logits), &[], &PLAIN);
    let at = |seed, position, attempt| sampler.best(Some(Noise::at(seed, position, attempt))).unwrap();
    let right = softmax(&logits);
    for (what, (square, degrees)) in [
        ("position", independence((0..200_000).map(|i| (at(1, i, 0), at(1, i + 1, 0))), &right)),
        ("attempt", independence((0..200_000).map(|i| (at(1, i, i % 16), at(1, i, i % 16 + 1))), &right)),
        ("seed", independence((0..200_000u32).map(|i| (at(u64::from(i), 9, 0), at(u64::from(i) + 1, 9, 0))), &right)),
        ("both", independence((0..200_000).map(|i| (at(1, i, 1), at(1, i + 1, 0))), &right)),
    ] {
        assert!(degrees == 63 && square < critical(degrees), "{what}: {square} of {degrees}");
    }
}

#[test]
fn every_bit_of_position_attempt_seed_and_bytes_turns_half_of_the_noise() {
    let noise = |seed, position, attempt, bytes: &[u8]| Noise::at(seed, position, attempt).bits(key(bytes, 0));
    let mut turned = [0u32; 64];
    let mut count = 0;
    for round in 0..400 {
        let before = noise(11, round, 0, b" a longer word");
        let mut compare = |after: u64| {
            count += 1;
            let changed = before ^ after;
            turned.iter_mut().enumerate().for_each(|(bit, turned)| *turned += (changed >> bit & 1) as u32);
        };
        for bit in 0..32 {
            compare(noise(11, round ^ 1 << bit, 0, b" a longer word"));
            compare(noise(11, round, 1 << bit, b" a longer word"));
            compare(noise(11 ^ 1 << (2 * bit), round, 0, b" a longer word"));
            let mut bytes = *b" a longer word";
            bytes[bit as usize % 14] ^= 1 << (bit / 4);
            compare(noise(11, round, 0, &bytes));
        }
    }
    // 51,200 throws of a coin for each bit: five standard deviations are 0.011.
    let worst = turned.iter().map(|&turned| (f64::from(turned) / f64::from(count) - 0.5).abs()).fold(0.0, f64::max);
    assert!(worst < 0.011, "{worst}");
}

#[test]
fn byte_strings_that_begin_alike_or_are_empty_have_keys_of_their_own() {
    let strings: [&[u8]; 9] =
        [b"", b"\0", b"\0\0", b"a", b"a\0", b"aaaaaaaa", b"aaaaaaaa\0", b"aaaaaaaaa", b"aaaaaaaabbbbbbbb"];
    let keys: std::collections::HashSet<u64> =
        strings.iter().flat_map(|bytes| [key(bytes, 0), key(bytes, 1)]).collect();
    assert_eq!(keys.len(), 18);
}

#[test]
fn a_ban_moves_the_draw_to_the_runner_up() {
    let mut sampler = sampler(50);
    for position in 0..2000 {
        let noise = Noise::at(2, position, 0);
        let mut rest = list(&scores(50, 1.5, u64::from(position)));
        let mut ranked: Vec<(u32, f64)> = rest
            .iter()
            .map(|&(unit, score)| (unit, f64::from(score) + gumbel(noise.bits(sampler.keys[unit as usize]))))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (unit, _) in ranked.into_iter().take(4) {
            assert_eq!(sampler.draw(&rest, &[], &PLAIN, noise), unit);
            rest.retain(|(candidate, _)| *candidate != unit);
        }
    }
}

/// `Σ_v 1 / Σ_u max(p_u/p_v, q_u/q_v)`, the share of equal draws under common noise (arXiv 2408.07978).
fn expected_share(p: &[f64], q: &[f64]) -> f64 {
    let ratio = |v: usize, u: usize| (p[u] / p[v]).max(q[u] / q[v]);
    (0..p.len()).map(|v| 1.0 / (0..p.len()).map(|u| ratio(v, u)).sum::<f64>()).sum()
}

#[test]
fn two_distributions_draw_the_same_as_often_as_they_can() {
    const UNITS: u32 = 40;
    const POSITIONS: u32 = 20_000;
    for pair in 0..12 {
        let first = scores(UNITS, 1.0 + 0.2 * f64::from(pair), 100 + u64::from(pair));
        let other = scores(UNITS, 1.0, 200 + u64::from(pair));
        // Half of the pairs have nothing in common, the other half a little less with each.
        let distance = if pair % 2 == 0 { 1.0 } else { 0.05 * f64::from(pair) };
        let second: Vec<f64> = match pair % 2 {
            0 => other,
            _ => first.iter().zip(other).map(|(score, other)| score + distance * other).collect(),
        };
        // The second numbers the same strings in another way.
        let shift = 7 * pair % UNITS;
        let (mut one, mut two) = (sampler(UNITS), Sampler::new(&vocabulary(UNITS, shift)));
        let renumbered: Vec<f64> = (0..UNITS).map(|unit| second[((unit + shift) % UNITS) as usize]).collect();
        one.truncation.apply(&list(&first), &[], &PLAIN);
        two.truncation.apply(&list(&renumbered), &[], &PLAIN);
        let same = (0..POSITIONS).filter(|&position| {
            let noise = Some(Noise::at(3, position, pair));
            one.best(noise).unwrap() == (two.best(noise).unwrap() + shift) % UNITS
        });
        let share = same.count() as f64 / f64::from(POSITIONS);
        let (p, q) = (softmax(&first), softmax(&second));
        let right = expected_share(&p, &q);
        println!("pair {pair}: {share:.3} for {right:.3}");
        assert!((share - right).abs() < 0.02, "pair {pair}: {share} for {right}");
        let distance = 0.5 * p.iter().zip(&q).map(|(p, q)| (p - q).abs()).sum::<f64>();
        assert!(right >= (1.0 - distance) / (1.0 + distance), "pair {pair}");
    }
}

#[test]
fn equal_bytes_draw_alike_whatever_their_numbers() {
    let scores = scores(300, 2.0, 9);
    let renumbered: Vec<f64> = (0..300).map(|unit| scores[(unit + 123) % 300]).collect();
    let parameters = Parameters { temperature: 0.9, top_p: 0.9, min_p: 0.01, repeat_penalty: 1.2, top_k: 100 };
    let (mut one, mut two) = (sampler(300), Sampler::new(&vocabulary(300, 123)));
    for position in 0..500 {
        let noise = Noise::at(4, position, 2);
        let drawn = one.draw(&list(&scores), &[5, 250], &parameters, noise);
        let other = two.draw(&list(&renumbered), &[182, 127], &parameters, noise);
        assert_eq!(drawn, (other + 123) % 300);
    }
}

#[test]
fn temperature_0_takes_the_best_after_the_penalty() {
    let greedy = Parameters { temperature: 0.0, repeat_penalty: 1.5, ..PLAIN };
    let mut sampler = sampler(200);
    let noise = Noise::at(0, 0, 0);
    assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &[], &greedy, noise), 3);
    assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &[3], &greedy, noise), 1);
    assert_eq!(sampler.draw(&[(3, -2.0), (1, -2.1)], &[3], &greedy, noise), 1);
    assert_eq!(sampler.draw(&[(7, 3.0), (3, 2.0), (1, 2.0)], &[7], &greedy, noise), 1, "a tie after the penalty");
}

#[test]
fn the_penalty_counts_the_last_64_units_once_each() {
    let greedy = Parameters { temperature: 0.0, repeat_penalty: 1.5, ..PLAIN };
    let mut recent = vec![3; 10];
    recent.extend(100..164);
    let mut sampler = sampler(200);
    let noise = Noise::at(0, 0, 0);
    assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &recent, &greedy, noise), 3);
    assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.9)], &recent[..73], &greedy, noise), 1);
    assert_eq!(sampler.draw(&[(3, 2.0), (1, 1.2)], &recent[..40], &greedy, noise), 3);
}

#[test]
fn the_same_noise_draws_the_same_whatever_was_drawn_before() {
    let candidates: Vec<(u32, f32)> = (0..100).map(|unit| (unit, unit as f32 * -0.01)).collect();
    for seed in [0, 1, 77, u64::MAX] {
        let noise = Noise::at(seed, 5, 0);
        let first = sampler(100).draw(&candidates, &[], &PLAIN, noise);
        let mut used = sampler(100);
        used.draw(&candidates[..30], &[4, 4], &Parameters { top_k: 3, repeat_penalty: 2.0, ..PLAIN }, noise);
        assert_eq!(used.draw(&candidates, &[], &PLAIN, noise), first);
    }
}

#[test]
fn the_bound_of_the_noise_is_one() {
    let ends = [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, u64::MAX << 12, !(u64::MAX << 13)];
    for bits in ends.into_iter().chain((0..100_000).map(mixed)) {
        let gumbel = gumbel(bits);
        assert!(gumbel.is_finite() && gumbel <= highest_gumbel(bits), "{bits:x}");
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
