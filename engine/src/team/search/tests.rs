use super::*;

/// Units of one byte with these probabilities.
fn candidate(name: &str, probabilities: impl Iterator<Item = f32>) -> Candidate {
    let nats: Vec<f32> = probabilities.map(|p| -p.ln()).collect();
    let mut evidence = Vec::new();
    let mut sum = 0.0;
    for nats in &nats {
        evidence.push(sum);
        sum = 0.985 * sum - nats;
    }
    let ends = (1..=nats.len() as u32).collect();
    let pass = Pass { ends, entropy: vec![1.0; nats.len()], evidence, nats, cache: 0 };
    Candidate { name: name.into(), pass, memory: 10 }
}

const UNITS: usize = 256 * 40;

/// Two that know different parts of the text, one that knows little of it, and one that knows nothing.
fn candidates() -> Vec<Candidate> {
    let odd = (0..UNITS).map(|at| if at / 512 % 2 == 1 { 0.8 } else { 0.3 });
    let even = (0..UNITS).map(|at| if at / 512 % 2 == 0 { 0.8 } else { 0.3 });
    let weak = (0..UNITS).map(|_| 0.1);
    let useless = (0..UNITS).map(|at| if at % 7 == 0 { 0.004 } else { 0.02 });
    vec![candidate("odd", odd), candidate("weak", weak), candidate("even", even), candidate("useless", useless)]
}

fn settings() -> Settings {
    Settings { policies: Vec::new(), ..Settings::default() }
}

fn found(bounds: Bounds) -> Found {
    search(&candidates(), &settings(), bounds, &mut |_| {}).unwrap()
}

#[test]
fn those_that_know_different_parts_come_first_and_who_helps_nobody_is_told() {
    let found = found(Bounds { most: 3, memory: None });
    assert_eq!(found.teams[0].members, [0, 2]);
    assert_eq!(found.best, Some(0), "a third member adds nothing");
    assert!(found.teams[0].gain.unwrap().interval.high < 0.0);
    assert_eq!(found.teams.len(), 6 + 4);
    let helps: Vec<bool> = found.contributions.iter().map(Contribution::helps).collect();
    assert_eq!(helps, [true, false, true, false]);
}

#[test]
fn a_team_is_no_larger_than_the_memory_allows() {
    let found = found(Bounds { most: 3, memory: Some(25) });
    assert!(found.teams.iter().all(|team| team.members.len() == 2));
    assert!(self::found(Bounds { most: 3, memory: Some(15) }).teams.is_empty());
}

#[test]
fn the_prediction_of_average_is_the_mean_of_the_probabilities() {
    let candidates = candidates();
    let settings = Settings { fusion_mode: "average".into(), ..settings() };
    let costs = predict(&candidates, &[0, 2], &[3.0, 1.0], &settings).unwrap();
    let expected = -0.5 * ((0.75f64 * 0.8 + 0.25 * 0.3).log2() + (0.75f64 * 0.3 + 0.25 * 0.8).log2());
    assert!((bits_per_byte(&costs) - expected).abs() < 1e-5);
}

#[test]
fn the_likeliest_weights_are_those_of_the_mixture_that_made_the_text() {
    // The first member's favourite comes in three of four places.
    let first = candidate("first", (0..4000).map(|at| if at % 4 == 0 { 0.0001 } else { 0.9 }));
    let second = candidate("second", (0..4000).map(|at| if at % 4 == 0 { 0.9 } else { 0.0001 }));
    let weights = likeliest(&[first, second], &[0, 1]);
    assert_eq!(weights[0], 1.0);
    assert!((weights[1] - 1.0 / 3.0).abs() < 0.01, "{weights:?}");
}

#[test]
fn fixed_weights_take_the_place_of_the_fusion_only_where_they_are_better() {
    let first = candidate("first", (0..4000).map(|at| if at % 4 == 0 { 0.001 } else { 0.9 }));
    let second = candidate("second", (0..4000).map(|at| if at % 4 == 0 { 0.9 } else { 0.001 }));
    let best = mixtures(&[first, second], &[0, 1], &settings()).unwrap().remove(0);
    assert_eq!(best.fusion, "average");
    // Which is the better one changes from part to part: that evidence follows, and no fixed weight.
    assert_eq!(mixtures(&candidates(), &[0, 2], &settings()).unwrap()[0].fusion, "confidence");
}

#[test]
fn blocks_keep_all_nats_and_bytes() {
    let ends: Vec<u32> = (1..=1000).map(|unit| unit * 3).collect();
    let blocks = blocks(&ends, std::iter::repeat_n(0.5, 1000));
    let (nats, bytes) = blocks.iter().fold((0.0, 0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    assert_eq!((nats, bytes, blocks.len()), (500.0, 3000, 12));
}
