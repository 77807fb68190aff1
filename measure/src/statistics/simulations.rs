//! What the tests do in the long run, by simulation with fixed seeds.

use super::{
    ALPHA, Block, Paired, Random, SequentialTest, Winner, bootstrap, bootstrap_difference, items_needed, wilson,
};

/// Whether something with this probability, in percent, happens.
fn happens(random: &mut Random, percent: usize) -> bool {
    random.below(100) < percent
}

/// One item of two systems: the second gains `gain` and loses `loss` percent of all items.
fn item(random: &mut Random, gain: usize, loss: usize) -> (bool, bool) {
    match random.below(100) {
        draw if draw < gain => (false, true),
        draw if draw < gain + loss => (true, false),
        draw => (draw % 2 == 0, draw % 2 == 0),
    }
}

/// The winner of a run that is looked at after every one of GSM8K's 1,319 items, and the number of items it took.
fn run(random: &mut Random, gain: usize, loss: usize) -> (Option<Winner>, usize) {
    let mut test = SequentialTest::default();
    for items in 1..=1_319 {
        let (first, second) = item(random, gain, loss);
        test.observe(first, second);
        if test.winner().is_some() {
            return (test.winner(), items);
        }
    }
    (None, 1_319)
}

#[test]
fn early_stops_of_equal_systems_are_rare() {
    let mut random = Random(11);
    let false_alarms = (0..1_000).filter(|_| run(&mut random, 10, 10).0.is_some()).count();
    println!("false alarms of 1,000: {false_alarms}");
    assert!(false_alarms < 50, "{false_alarms} of 1,000");
}

#[test]
fn early_stops_find_a_difference_soon() {
    for (gain, loss, shown, soonest, latest) in [(13, 3, 995, 100, 125), (17, 7, 995, 160, 200), (10, 5, 950, 380, 480)]
    {
        let mut random = Random(12);
        let runs: Vec<_> = (0..1_000).map(|_| run(&mut random, gain, loss)).collect();
        let found = runs.iter().filter(|(winner, _)| *winner == Some(Winner::Second)).count();
        let mut items: Vec<usize> = runs.iter().map(|(_, items)| *items).collect();
        items.sort_unstable();
        println!("{gain} / {loss}: {found} of 1,000, median {} items", items[500]);
        assert!(found >= shown, "{gain} / {loss}: {found} of 1,000");
        assert!((soonest..=latest).contains(&items[500]), "{gain} / {loss}: median {}", items[500]);
    }
}

#[test]
fn mcnemar_gives_no_more_false_alarms_than_it_says() {
    let mut random = Random(13);
    let tests: Vec<_> =
        (0..4_000).map(|_| (0..200).map(|_| item(&mut random, 10, 10)).collect::<Paired>().mcnemar()).collect();
    let exact = tests.iter().filter(|test| test.p < ALPHA).count();
    let mid = tests.iter().filter(|test| test.mid_p < ALPHA).count();
    println!("of 4,000: exact {exact}, mid-p {mid}");
    assert!(exact <= 200 && mid <= 240 && exact < mid, "exact {exact}, mid-p {mid}");
}

#[test]
fn the_items_that_power_asks_for_find_the_difference_in_four_of_five_cases() {
    let mut random = Random(14);
    let items = items_needed(0.13, 0.03, ALPHA).unwrap();
    let found = (0..2_000)
        .filter(|_| (0..items).map(|_| item(&mut random, 13, 3)).collect::<Paired>().mcnemar().mid_p < ALPHA)
        .count();
    println!("power with {items} items: {found} of 2,000");
    assert!((1_520..=1_720).contains(&found), "{found} of 2,000");
}

#[test]
fn newcombe_and_wilson_hold_the_truth_in_95_of_100_cases() {
    for (items, gain, loss) in [(30, 10, 10), (100, 13, 3), (1_000, 6, 4)] {
        let mut random = Random(15);
        let truth = (gain as f64 - loss as f64) / 100.0;
        let (mut paired, mut single) = (0, 0);
        for _ in 0..2_000 {
            let counts: Paired = (0..items).map(|_| item(&mut random, gain, loss)).collect();
            let interval = counts.newcombe();
            paired += usize::from(interval.low <= truth && truth <= interval.high);
            let right = (0..items).filter(|_| happens(&mut random, 70)).count() as u64;
            let interval = wilson(right, items as u64);
            single += usize::from(interval.low <= 0.7 && 0.7 <= interval.high);
        }
        println!("{items} items {gain} / {loss}: Newcombe {paired}, Wilson {single} of 2,000");
        // Wilson's true coverage of 0.7 is 93.0 % with 30 items.
        assert!(paired >= 1_870 && (1_830..=1_950).contains(&single), "{items}: {paired}, {single} of 2,000");
    }
}

/// Blocks of different lengths whose bits depend on a text that is easy or hard, so that neither is normal.
#[test]
fn the_bootstrap_holds_the_truth_in_about_95_of_100_cases() {
    for (count, least) in [(6, 880), (20, 910), (100, 930)] {
        let mut random = Random(16);
        let held = (0..1_000)
            .filter(|&seed| {
                let blocks: Vec<Block> = (0..count)
                    .map(|_| {
                        let bytes = 40.0 + random.below(60) as f64;
                        // −0.03 bits per byte on average: one block in five is hard and loses 0.17.
                        let rate = if happens(&mut random, 20) { -0.17 } else { 0.005 };
                        let noise = (random.below(1_000) as f64 - 499.5) / 5_000.0;
                        Block { sum: bytes * (rate + noise), of: bytes }
                    })
                    .collect();
                let interval = bootstrap(&blocks, seed).unwrap().interval;
                interval.low <= -0.03 && -0.03 <= interval.high
            })
            .count();
        println!("{count} blocks: {held} of 1,000");
        assert!((least..=970).contains(&held), "{count} blocks: {held} of 1,000");
    }
}

/// Replies of two equal systems: of some words a part is repeated, in most replies none and in one of five a third. Their
/// lengths differ, and what the prompt does to both is what pairs them.
#[test]
fn equal_systems_are_told_apart_by_a_skewed_ratio_in_about_5_of_100_cases() {
    for (count, most) in [(16, 60), (32, 60)] {
        let mut random = Random(17);
        let false_alarms = (0..1_000)
            .filter(|&seed| {
                let pairs: Vec<[Block; 2]> = (0..count)
                    .map(|_| {
                        let easy = if happens(&mut random, 50) { 0 } else { 40 };
                        [(); 2].map(|()| {
                            let words = 50.0 + random.below(150) as f64;
                            let part = if happens(&mut random, easy) { 1.0 / 3.0 } else { 0.0 };
                            Block { sum: words * part, of: words }
                        })
                    })
                    .collect();
                let [first, second] = [0, 1].map(|side| pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>());
                let found = bootstrap_difference(&first, &second, seed).unwrap();
                found.interval.excludes_zero() && found.p < ALPHA
            })
            .count();
        println!("{count} pairs: {false_alarms} of 1,000");
        assert!(false_alarms <= most, "{count} pairs: {false_alarms} of 1,000");
    }
}
