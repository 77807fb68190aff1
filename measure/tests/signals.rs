//! Signals of errors: a planted one is found, intervals say how sure that is, and errors begin where they do.

use llama_selfmod_measure::signals::{
    Area, Reply, Rule, Signal, Table, Token, areas, first_bad, first_wrong, thresholds, worst_bits,
};

/// Pseudo-random numbers from 0 to 1: a multiplicative generator modulo 2³¹ − 1 (Park and Miller 1988).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f64 {
        self.0 = self.0 * 48_271 % 0x7fff_ffff;
        self.0 as f64 / 0x7fff_ffff_u64 as f64
    }
}

/// Replies of 30 tokens. Half of them have an error, at which the token's probability is low and its row is like any other.
fn replies(number: usize, seed: u64) -> Vec<Reply> {
    let mut uniform = Uniform(seed);
    let reply = |at: usize| {
        let fault = at.is_multiple_of(2).then(|| 5 + (uniform.next() * 25.0) as usize);
        let tokens = (0..30).map(|at| {
            let probability = 0.3 + 0.6 * uniform.next();
            let probability = if fault == Some(at) { probability / 2.5 } else { probability };
            Token {
                at: 3 * at,
                probability,
                likeliest: 0.9,
                entropy: uniform.next(),
                agreement: uniform.next(),
                members: vec![probability],
            }
        });
        Reply {
            id: format!("q{at}"),
            tokens: tokens.collect(),
            faults: fault.into_iter().collect(),
            is_wrong: Some(fault.is_some()),
        }
    };
    (0..number).map(reply).collect()
}

fn find(table: &Table, signal: Signal) -> &Area {
    table.areas.as_ref().unwrap().iter().find(|area| area.signal == signal).unwrap()
}

#[test]
fn a_planted_signal_is_found_and_noise_is_not() {
    let found = areas(&replies(100, 1), 0);
    println!("{found}");
    for (table, cases) in [(&found.all, 3_000), (&found.greatest, 100), (&found.mean, 100)] {
        assert_eq!((table.errors, table.cases), (50, cases));
    }
    assert!((1_950..2_250).contains(&found.unsure.cases), "{}", found.unsure.cases);
    for table in [&found.all, &found.unsure] {
        let surprise = find(table, Signal::Surprise);
        assert!(surprise.area > 0.9 && surprise.interval.unwrap().low > 0.85, "{surprise:?}");
        let entropy = find(table, Signal::Entropy);
        let interval = entropy.interval.unwrap();
        assert!(interval.low < 0.5 && interval.high > 0.5, "{entropy:?}");
    }
    assert!(find(&found.greatest, Signal::Surprise).area > 0.9);
    assert!(find(&found.greatest, Signal::Surprise).area > find(&found.mean, Signal::Surprise).area);
    for table in [&found.all, &found.unsure, &found.greatest, &found.mean] {
        let areas = table.areas.as_ref().unwrap();
        assert!(areas.is_sorted_by(|one, other| one.area >= other.area));
        assert_eq!(areas.len(), 12, "one member has no signals of several");
    }
}

#[test]
fn more_replies_make_intervals_narrower_and_the_seed_alone_changes_them() {
    let width = |number| {
        let found = areas(&replies(number, 2), 0);
        let interval = find(&found.all, Signal::Excess).interval.unwrap();
        interval.high - interval.low
    };
    let [few, many] = [width(20), width(320)];
    // Sixteen times as many: about a quarter as wide.
    assert!(many < few / 2.5, "{few} and {many}");
    let replies = replies(20, 2);
    assert_eq!(areas(&replies, 3), areas(&replies, 3));
    assert_ne!(areas(&replies, 3), areas(&replies, 4));
}

#[test]
fn without_errors_the_text_says_so() {
    let mut replies = replies(8, 3);
    for reply in &mut replies {
        reply.faults.clear();
        reply.is_wrong = Some(true);
    }
    let found = areas(&replies, 0);
    assert!([&found.all, &found.unsure, &found.greatest, &found.mean].iter().all(|table| table.areas.is_none()));
    let text = found.to_string();
    assert!(text.contains("all tokens: an error begins at 0 of 240\n  no error, so there is nothing to tell apart\n"));
    assert!(text.contains("8 of 8 wrong\n  nothing but errors, so there is nothing to tell apart\n"), "{text}");
    assert!(areas(&[], 0).to_string().contains("0 of 0 wrong\n  no error"));
    let empty = Reply { id: "a".into(), tokens: Vec::new(), faults: vec![0], is_wrong: Some(true) };
    let found = areas(std::slice::from_ref(&empty), 0);
    assert_eq!((found.all.cases, found.mean.cases, found.replies), (0, 0, 1));
    assert!(thresholds(&[empty]).to_string().contains("–"));
}

#[test]
fn errors_of_four_replies_have_an_area_and_no_interval() {
    let found = areas(&replies(8, 4), 0);
    assert!(find(&found.all, Signal::Surprise).area > 0.9);
    assert_eq!(find(&found.all, Signal::Surprise).interval, None);
    assert!(found.to_string().contains("in fewer than 5 replies: too few for an interval"));
}

/// Four sure tokens, then these.
fn after_sure_ones(probabilities: &[f64], faults: &[usize]) -> Reply {
    let token = |(at, &probability): (usize, &f64)| Token {
        at,
        probability,
        likeliest: 0.5_f64.max(probability),
        entropy: 0.5,
        agreement: 1.0,
        members: vec![probability],
    };
    let tokens = [&[1.0; 4], probabilities].concat();
    let tokens = tokens.iter().enumerate().map(token).collect();
    Reply { id: "a".into(), tokens, faults: faults.into(), is_wrong: None }
}

#[test]
fn thresholds_count_what_is_refused_and_what_of_that_is_an_error() {
    // A surprise of ln 2 after sure tokens is 6.9 times 0.1 nats, yet that token is the likeliest.
    let replies = [
        after_sure_ones(&[0.5], &[4]),
        after_sure_ones(&[0.1], &[4]),
        after_sure_ones(&[0.1], &[]),
        after_sure_ones(&[0.01, 0.01, 0.01, 0.01], &[7]),
    ];
    let found = thresholds(&replies);
    println!("{found}");
    assert_eq!((found.errors, found.tokens), (3, 23));
    let relative: Vec<_> = found.rules.iter().filter(|found| found.rule != Rule::MeanOfFive).collect();
    assert_eq!(relative.len(), 4);
    // At two deviations: the three that follow sure tokens and are not the likeliest. The second 0.01 has seen the first.
    let two = relative.iter().find(|found| found.rule == Rule::Surprise { deviations: 2.0 }).unwrap();
    assert_eq!((two.refused, two.hit, two.precision), (Some(3.0 / 23.0), Some(1.0 / 3.0), Some(1.0 / 3.0)));
    let mean = found.rules.last().unwrap();
    // The mean of 1, 0.01, 0.01, 0.01, 0.01.
    assert_eq!((mean.refused, mean.hit, mean.precision), (Some(1.0 / 23.0), Some(1.0 / 3.0), Some(1.0)));
    assert!(relative.is_sorted_by(|one, other| one.refused >= other.refused));
    let none = thresholds(&replies[..1]);
    assert_eq!((none.rules[0].refused, none.rules[0].hit, none.rules[0].precision), (Some(0.0), Some(0.0), None));
}

#[test]
fn tables_are_aligned_and_fit_a_terminal() {
    let mut replies = replies(40, 5);
    for token in replies.iter_mut().flat_map(|reply| &mut reply.tokens) {
        token.members.push(token.agreement);
    }
    let texts = [areas(&replies, 0).to_string(), thresholds(&replies).to_string()];
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 100, "{line}");
        // The point of every area stands in the same column.
        if let Some((before, _)) = line.split_once("  [") {
            assert_eq!(before.chars().count(), 67, "{line}");
        }
    }
    assert!(texts[0].contains("all tokens: an error begins at 20 of 1,200\n"), "{}", texts[0]);
    let json = serde_json::to_value(areas(&replies, 0)).unwrap();
    assert_eq!(json["all"]["errors"], 20);
    assert!(json["mean"]["areas"][0]["signal"].is_string());
}

/// Checks that the answer is wrong from the mark on, which is taken out of it first.
fn wrong_from(marked: &str, reference: &str) {
    let byte = marked.find('|').unwrap();
    let found = first_wrong(&marked.replace('|', ""), reference);
    assert_eq!(found, byte, "{marked:?} by {reference:?}");
}

#[test]
fn an_equation_is_wrong_where_it_departs_from_the_one_of_its_number() {
    let reference = "He has 12+30=42 apples, then 42-7=35.\n#### 35";
    wrong_from("He has 12+30=4|4 apples", reference);
    wrong_from("He has 12+30=42|0 apples", reference);
    wrong_from("He has 12+3|5=47 apples", reference);
    wrong_from("He has 12|-30=42 apples", reference);
    wrong_from("So 12+30=42, and 42-|8=34", reference);
    // The order is free, and the nearer way to write it counts.
    wrong_from("He has 30+12=4|3 apples", reference);
    wrong_from("So 30+12=42, and |7-42=35", reference);
    // The first equation of the answer is no counterpart of the second.
    wrong_from("So 42-7=35, and |12*2=24", reference);
}

#[test]
fn an_equation_more_than_the_reference_has_is_wrong_from_its_begin() {
    wrong_from("So 2*3=6, then |6*6=36", "3*2=6");
    wrong_from("So |2*3=6", "six");
}

#[test]
fn where_all_equations_are_known_the_text_departs() {
    wrong_from("3 * 2 = $6|, or so", "3 * 2 = $6 in all");
    wrong_from("2*3=6 #### |7", "2*3=6 #### 6");
    // 2*3=6 is known, but the text is compared as it stands.
    wrong_from("|3*2=6", "2*3=6");
    wrong_from("Zwölf Äpfel |und", "Zwölf Äpfel sind");
    wrong_from("the same|", "the same");
    wrong_from("the same|", "the same and more");
    wrong_from("|", "a");
    wrong_from("|a", "");
    wrong_from("|", "");
}

#[test]
fn white_space_around_the_texts_is_none_of_their_errors() {
    wrong_from("\n  2+2=|5", " 2+2=4\n");
    wrong_from("\u{a0} ä|b ", "äc");
    wrong_from("  a|  ", "a");
}

#[test]
fn bad_tokens_cost_the_judge_much_and_more_than_it_expects() {
    let judge = [(0, 12.0, 1.0), (3, 12.0, 6.5), (5, 9.0, 0.0), (7, 10.0, 4.0)];
    assert_eq!(first_bad(&judge, 10.0), [0, 7]);
    assert!(first_bad(&judge, 13.0).is_empty());
}

#[test]
fn the_threshold_is_the_97th_percentile_over_all_replies() {
    let one: Vec<_> = (0..50).map(|bits| (0, f64::from(bits), 0.0)).collect();
    let other: Vec<_> = (50..101).map(|bits| (0, f64::from(bits), 0.0)).collect();
    assert_eq!(worst_bits(&[one, other]), Some(97.0));
    assert_eq!(worst_bits(&[[(0, 1.0, 0.0), (0, 2.0, 0.0)]]), Some(1.97));
    assert_eq!(worst_bits::<Vec<_>>(&[]), None);
}

#[test]
fn a_byte_is_in_the_last_token_that_begins_before_it() {
    let mut reply = after_sure_ones(&[1.0, 1.0], &[]);
    for (token, at) in reply.tokens.iter_mut().zip([0, 2, 5, 5, 9, 12]) {
        token.at = at;
    }
    // Two tokens at 5: the first of them has no bytes.
    let found: Vec<_> = [0, 1, 2, 4, 5, 8, 11, 12, 90].iter().map(|&byte| reply.token_at(byte)).collect();
    assert_eq!(found, [0, 0, 1, 1, 3, 3, 4, 5, 5].map(Some));
    reply.tokens.clear();
    assert_eq!(reply.token_at(0), None);
}
