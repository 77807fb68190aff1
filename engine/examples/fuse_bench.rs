//! Times of the row arithmetic on one core, with rows as large as those of a real vocabulary:
//! `cargo run --release --example fuse_bench`. It reports the medians in microseconds, and of what a step does with
//! three rows their sum.

use llama_selfmod::fuse::{Shortlist, agreement, mix, normalise, softmax};
use llama_selfmod::member::Vocabulary;
use llama_selfmod::member::sampler::{Noise, Sampler, seed_for};
use plugin_api::Parameters;
use std::hint::black_box;
use std::time::Instant;

const UNITS: usize = 152_000;
const REPEATS: usize = 401;

fn main() {
    // Logits as of a model: bell-shaped, with a few units far above the rest.
    let mut draws = 0;
    let mut uniform = || {
        draws += 1;
        (seed_for(1, draws, 0) >> 40) as f32 / (1u64 << 24) as f32
    };
    let logits: Vec<Vec<f32>> = (0..3)
        .map(|_| {
            let mut row: Vec<f32> = (0..UNITS).map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 4.0 - 12.0).collect();
            for _ in 0..60 {
                row[(uniform() * UNITS as f32) as usize] += 14.0 * uniform();
            }
            row
        })
        .collect();
    let recent: Vec<u32> = (0..64).map(|_| (uniform() * UNITS as f32) as u32).collect();
    let mut probabilities = vec![vec![0.0; UNITS]; 3];
    let mut fused = vec![0.0; UNITS];
    let mut shortlist = Shortlist::new();
    // As long as real ones, in no order that a cache would like.
    let pieces: Vec<String> =
        (0..UNITS as u32).map(|unit| format!(" {:x}", seed_for(2, unit, 0) >> (24 + unit % 32))).collect();
    let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    let vocabulary = Vocabulary::from_pieces(&pieces, &[0]);
    let start = Instant::now();
    let mut sampler = Sampler::new(&vocabulary);
    println!("{:<20} {:>8.1} us, once", "keys of the units", start.elapsed().as_secs_f64() * 1e6);
    let parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };

    // The stages in turn, as in a step, so that each finds in the caches what the one before it left.
    let mut times: Vec<(&str, Vec<f64>)> =
        ["softmax of 3 rows", "agreement of 3 rows", "mix of 3 rows", "normalise", "shortlist, k 40", "draw"]
            .map(|name| (name, Vec::new()))
            .into();
    for repeat in 0..REPEATS {
        let mut stage = 0;
        let mut timed = |work: &mut dyn FnMut()| {
            let start = Instant::now();
            work();
            times[stage].1.push(start.elapsed().as_secs_f64() * 1e6);
            stage += 1;
        };
        timed(&mut || {
            for (logits, probabilities) in logits.iter().zip(&mut probabilities) {
                black_box(softmax(black_box(logits), probabilities).is_ok());
            }
        });
        let rows: [&[f32]; 3] = [&probabilities[0], &probabilities[1], &probabilities[2]];
        timed(&mut || {
            black_box(agreement(black_box(&rows)));
        });
        timed(&mut || mix(black_box(&rows), &[0.5, 0.3, 0.2], &mut fused));
        timed(&mut || {
            black_box(normalise(&mut fused).is_ok());
        });
        timed(&mut || {
            black_box(shortlist.select(black_box(&fused), 15.0, &[17], &recent, &parameters));
        });
        let selection = shortlist.select(&fused, 15.0, &[17], &recent, &parameters);
        timed(&mut || {
            black_box(sampler.draw(selection.candidates, &recent, &parameters, Noise::at(1, repeat as u32, 0)));
        });
    }
    for (name, times) in &mut times {
        println!("{name:<20} {:>8.1} us", median(times));
    }
    let of = |name: &str| times.iter().find(|(known, _)| *known == name).map_or(0.0, |(_, times)| times[REPEATS / 2]);
    let asked = of("softmax of 3 rows") + of("agreement of 3 rows") + of("mix of 3 rows") + of("shortlist, k 40");
    println!("{:<20} {asked:>8.1} us  (softmax, agreement, mix, shortlist)", "together");
    println!("{:<20} {:>8.1} us", "with normalise", asked + of("normalise"));

    for (name, parameters) in [
        ("shortlist, min-p", Parameters { top_k: 0, top_p: 1.0, ..parameters }),
        ("shortlist, greedy", Parameters { temperature: 0.0, ..parameters }),
        ("shortlist, whole row", Parameters { top_k: 0, ..parameters }),
    ] {
        let mut select = Vec::new();
        let mut draw = Vec::new();
        let mut count = 0;
        for repeat in 0..41 {
            let start = Instant::now();
            let selection = shortlist.select(&fused, 15.0, &[17], &recent, &parameters);
            select.push(start.elapsed().as_secs_f64() * 1e6);
            count = selection.candidates.len();
            let start = Instant::now();
            black_box(sampler.draw(selection.candidates, &recent, &parameters, Noise::at(1, repeat, 0)));
            draw.push(start.elapsed().as_secs_f64() * 1e6);
        }
        println!("{name:<20} {:>8.1} us, {count} candidates, draw {:.1} us", median(&mut select), median(&mut draw));
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
