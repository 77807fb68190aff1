//! Comparisons: what is shown, what is not, and what is refused.

mod support;

use llama_selfmod_measure::compare::{
    CompareError, Comparison, Contrast, Figures, Measure, More, Summary, Verdict, compare, summary,
};
use llama_selfmod_measure::results::{Item, Ratio, Results};
use support::{replies, results, texts};
use unicode_width::UnicodeWidthStr;

/// A pattern of runs such as `(18, '+')`.
fn pattern(runs: &[(usize, char)]) -> String {
    runs.iter().map(|&(count, mark)| String::from(mark).repeat(count)).collect()
}

/// 20 of 30 and 23 of 30, with so many lost.
fn pull_request(lost: usize) -> [Results; 2] {
    let kept = 20 - lost;
    let first = pattern(&[(kept, '+'), (lost, '+'), (lost + 3, '-'), (7 - lost, '-')]);
    let second = pattern(&[(kept, '+'), (lost, '-'), (lost + 3, '+'), (7 - lost, '-')]);
    [results("phi-3", &first), results("phi-3 with math specialist", &second)]
}

#[test]
fn twenty_of_thirty_against_twenty_three_is_not_shown() {
    for (lost, p, more) in [(0, 0.25, 46), (2, 0.453_125, 151)] {
        let comparison = compare(&pull_request(lost)).unwrap();
        let contrast = &comparison.contrasts[0];
        let Figures::Accuracy { baseline, system, gained, interval, .. } = &contrast.figures else {
            panic!("{contrast:?}")
        };
        assert_eq!((baseline.right, system.right, *gained), (20, 23, lost as u64 + 3));
        assert!((contrast.p - p).abs() < 1e-12, "{contrast:?}");
        assert!(interval.low < 0.0 && interval.high > 0.0);
        assert_eq!(contrast.verdict, Verdict::NotShown { more: Some(More::Items(more)) });
    }
    let text = compare(&pull_request(2)).unwrap().to_string();
    println!("{text}");
    assert_eq!(
        text,
        "\
gsm8k: 30 items, paired
  phi-3                           20 right     67 %  [49, 81]
  phi-3 with math specialist      23 right     77 %  [59, 88]
    +10 points [-8, +27], 5 gained, 2 lost, p = 0.45: not shown
    about 151 more items would show it if the difference is real; the task has 1,319
"
    );
}

#[test]
fn a_large_paired_gain_is_shown_and_the_loss_is_its_mirror() {
    let first = results("a", &pattern(&[(100, '+'), (100, '-')]));
    let second = results("b", &pattern(&[(97, '+'), (3, '-'), (30, '+'), (70, '-')]));
    assert_eq!(compare(&[first.clone(), second.clone()]).unwrap().contrasts[0].verdict, Verdict::Better);
    let back = compare(&[second, first]).unwrap();
    assert_eq!(back.contrasts[0].verdict, Verdict::Worse);
    let text = back.to_string();
    assert!(text.contains("-13.5 points [") && text.contains("p < 0.001: shown, worse"), "{text}");
    assert_eq!(back.contrasts[0].changed.len(), 33);
    assert!(back.contrasts[0].changed[0].gained);
}

#[test]
fn what_one_comparison_shows_three_do_not() {
    let base = results("base", &pattern(&[(20, '+'), (20, '-')]));
    // 6 gained, 0 lost: p = 0.031.
    let better = |name| results(name, &pattern(&[(26, '+'), (14, '-')]));
    assert_eq!(compare(&[base.clone(), better("b")]).unwrap().contrasts[0].verdict, Verdict::Better);
    let several = compare(&[base, better("b"), better("c"), better("d")]).unwrap();
    for contrast in &several.contrasts {
        assert!((contrast.p_adjusted - 3.0 * 0.031_25).abs() < 1e-12);
        assert!(matches!(contrast.verdict, Verdict::NotShown { more: Some(More::Items(1..)) }), "{contrast:?}");
    }
    let text = several.to_string();
    assert!(text.contains("p = 0.031, after Holm = 0.094: not shown"), "{text}");
    assert_eq!(text.matches("base").count(), 1, "the baseline stands there once: {text}");
}

#[test]
fn equal_systems_need_no_more_items() {
    let [one, mut other] = [results("one", "+-+-"), results("one", "-+-+")];
    other.path = "other.jsonl".into();
    let text = compare(&[one.clone(), other]).unwrap().to_string();
    assert!(text.contains("as many gained as lost: no number of items would show it"), "{text}");
    assert!(text.contains("one (one.jsonl)") && text.contains("one (other.jsonl)"), "{text}");
    let text = compare(&[one.clone(), one]).unwrap().to_string();
    assert!(text.contains("no item changed sides"), "{text}");
    assert!(text.contains("one (one.jsonl) #1") && text.contains("one (one.jsonl) #2"), "{text}");
}

#[test]
fn items_of_one_result_alone_are_left_out_and_told() {
    let [one, mut other] = [results("one", "++++"), results("two", "++----")];
    other.items.remove(0);
    other.items[0].right = None;
    other.items[0].error = Some("no number in \u{1b}[31mred".into());
    let comparison = compare(&[one, other]).unwrap();
    let contrast = &comparison.contrasts[0];
    assert_eq!((contrast.items, contrast.only_baseline, contrast.only_system), (3, 1, 2));
    let text = comparison.to_string();
    assert!(text.contains("1 item is only in `one.jsonl`, and left out"), "{text}");
    assert!(text.contains("2 items are only in `two.jsonl`, and left out"), "{text}");
    assert!(
        text.contains("1 item of two could not be judged and counts as wrong; the first is `q1`: no number in"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn what_cannot_be_compared_is_refused_in_a_sentence() {
    let one = results("one", "+-");
    let is = |others: &[Results], what: &str| {
        let error = compare(others).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        error
    };
    assert_eq!(is(&[], "two results or more"), CompareError::TooFew);
    is(std::slice::from_ref(&one), "two results or more");
    let mut other = results("two", "+-");
    other.header.items.sha256 = Some("e".repeat(64));
    is(&[one.clone(), other.clone()], "`one.jsonl` and `two.jsonl` are about different items");
    other.header.items.sha256 = None;
    other.header.task = "arc\u{7}".into();
    is(&[one.clone(), other.clone()], "is of the task gsm8k, `two.jsonl` of arc\u{fffd}");
    other.header = one.header.clone();
    other.items[0].id = "other".into();
    other.items.truncate(1);
    is(&[one.clone(), other], "have no item in common");
    is(&[one.clone(), texts("two", [(1.0, 2)])], "`one.jsonl` says what is right and `two.jsonl` what a text cost");
    let [mut first, mut second] = [results("one", "+-"), results("two", "++")];
    (first.items[1].digest, second.items[1].digest) = (Some("x".into()), Some("y".into()));
    is(&[first, second], "item `q1` is another one in `one.jsonl` than in `two.jsonl`");
    is(&[texts("one", [(1.0, 2)]), texts("two", [(1.0, 3)])], "its text is not as long");
    let figures = |name, figure: &str| replies(name, 6, |_| vec![(figure.to_owned(), 1.0, 1.0)]);
    is(&[texts("one", [(1.0, 2)]), figures("two", "words")], "what a text cost and `two.jsonl` has figures of texts");
    is(&[figures("one", "words"), figures("two", "bits")], "`one.jsonl` and `two.jsonl` have no figure in common");
}

#[test]
fn both_normalisations_are_compared_and_adjusted_together() {
    let give = |mut results: Results, marks: &str| {
        for (item, mark) in results.items.iter_mut().zip(marks.chars()) {
            item.right_normalised = Some(mark == '+');
        }
        results
    };
    let comparison = compare(&[give(results("a", "++--"), "+---"), give(results("b", "+++-"), "++++")]).unwrap();
    assert_eq!(
        comparison.contrasts.iter().map(|contrast| contrast.measure.clone()).collect::<Vec<_>>(),
        [Measure::Right, Measure::RightNormalised]
    );
    let Figures::Accuracy { system, .. } = &comparison.contrasts[1].figures else { panic!() };
    assert_eq!(system.right, 4);
    assert!(comparison.to_string().contains("choices by log-likelihood per byte"), "{comparison}");
}

/// Texts of one model, and of one that needs about 3 % less.
fn two_models() -> [Results; 2] {
    let costs = (0..200_u32).map(|at| (40.0 + f64::from(at * 7_919 % 60), 64)).collect::<Vec<_>>();
    let better = costs.iter().enumerate().map(|(at, (nats, bytes))| (nats - 2.0 + (at * 31 % 7) as f64 - 3.0, *bytes));
    [texts("alone", costs.clone()), texts("team", better)]
}

#[test]
fn a_paired_difference_in_bits_is_shown_where_the_intervals_of_each_overlap() {
    let comparison = compare(&two_models()).unwrap();
    let contrast = &comparison.contrasts[0];
    let Figures::Bits { baseline, system, difference, interval, bytes, blocks } = &contrast.figures else { panic!() };
    assert_eq!((contrast.verdict, *bytes, *blocks), (Verdict::Better, 12_800, 200));
    let (one, other) = (baseline.interval.unwrap(), system.interval.unwrap());
    assert!(one.low < other.high, "they overlap");
    assert!((system.bits_per_byte - baseline.bits_per_byte - difference).abs() < 1e-12);
    assert!(interval.unwrap().high < 0.0);
    let text = comparison.to_string();
    println!("{text}");
    assert!(text.contains("dev: 12,800 bytes in 200 blocks, paired, bits per byte"), "{text}");
    assert!(text.contains("shown, better"), "{text}");
}

#[test]
fn a_small_difference_in_bits_says_how_much_text_it_would_take_and_few_blocks_say_nothing() {
    let [alone, mut team] = two_models();
    for (at, (item, first)) in team.items.iter_mut().zip(&alone.items).enumerate() {
        item.nats = first.nats.map(|nats| nats + (at * 31 % 7) as f64 - 3.05);
    }
    let text = compare(&[alone.clone(), team.clone()]).unwrap().to_string();
    assert!(text.contains("not shown") && text.contains("more bytes of text would show it"), "{text}");
    // Documents are blocks: all items are of two of them.
    let mut alone = alone;
    for (at, item) in alone.items.iter_mut().enumerate() {
        item.document = Some(["a", "b"][at % 2].into());
    }
    let comparison = compare(&[alone, team]).unwrap();
    let text = comparison.to_string();
    assert!(text.contains("in 2 blocks") && text.contains("fewer than 5 blocks: too few for an interval"), "{text}");
    assert_eq!(comparison.contrasts[0].p, 1.0);
}

#[test]
fn a_run_that_looked_as_it_went_needs_more_evidence() {
    let [mut one, mut two] =
        [results("one", &pattern(&[(20, '+'), (20, '-')])), results("two", &pattern(&[(27, '+'), (13, '-')]))];
    assert_eq!(compare(&[one.clone(), two.clone()]).unwrap().contrasts[0].verdict, Verdict::Better);
    (one.header.sequential, two.header.sequential) = (true, true);
    let comparison = compare(&[one, two]).unwrap();
    // 7 : 0 in both directions is an e-value of 16.
    assert!((comparison.contrasts[0].p - 1.0 / 16.0).abs() < 1e-3, "{comparison}");
    assert!(comparison.to_string().contains("looked at its figures as it went"), "{comparison}");
}

#[test]
fn hostile_names_reach_no_terminal_and_break_no_line() {
    let evil = "\u{1b}]0;owned\u{7}\u{202e}".to_string() + &"very long 模型 name ".repeat(30) + "\nfake line: shown";
    let mut one = results("a", &pattern(&[(600, '+'), (400, '-')]));
    let mut two = results("b", &pattern(&[(500, '+'), (400, '-'), (100, '+')]));
    for results in [&mut one, &mut two] {
        results.header.system.name = evil.clone();
        results.header.task = evil.clone();
        results.path = format!("{}.jsonl", "x".repeat(150)).into();
        results.items[0].id = evil.clone();
        results.items[0].error = Some(evil.clone());
        results.notes = vec![evil.clone()];
    }
    two.items.push(Item { right: Some(true), id: "extra".into(), ..Item::default() });
    let text = compare(&[one.clone(), two.clone(), two]).unwrap().to_string();
    println!("{text}");
    for line in text.lines() {
        assert!(line.width() <= 100, "{} columns: {line}", line.width());
        assert!(!line.starts_with("fake"));
        assert!(!line.chars().any(char::is_control) && !line.contains('\u{202e}'));
    }
}

#[test]
fn a_comparison_is_json() {
    let value = serde_json::to_value(compare(&pull_request(2)).unwrap()).unwrap();
    println!("{}", serde_json::to_string_pretty(&value).unwrap());
    let contrast = &value["contrasts"][0];
    assert_eq!(contrast["figures"]["gained"], 5);
    assert_eq!(contrast["verdict"]["not_shown"]["more"]["items"], 151);
    assert_eq!(contrast["measure"], "right");
}

#[test]
fn one_result_alone_has_its_figure_with_an_interval() {
    let mut choices = results("a", &pattern(&[(20, '+'), (10, '-')]));
    assert_eq!(summary(&choices).to_string(), "20 of 30 right     67 %  [49, 81]");
    for (at, item) in choices.items.iter_mut().enumerate() {
        item.right_normalised = Some(at < 23);
    }
    assert!(summary(&choices).to_string().ends_with("\n23 of 30 right     77 %  [59, 88], by log-likelihood per byte"));
    let text = summary(&two_models()[0]).to_string();
    assert!(
        text.ends_with("bits per byte of 12,800 in 200 blocks") && text.starts_with("1.6073  [1.554, 1.660]"),
        "{text}"
    );
    let mut nothing = choices;
    nothing.items.clear();
    assert_eq!(summary(&nothing).to_string(), "0 of 0 right      0 %  [0, 100]");
}

/// Replies of two systems to 40 prompts: the second cheaper for the judge, longer, and as often in a loop but for one.
fn open_text() -> [Results; 2] {
    let system = |name, cheaper: f64, longer: f64| {
        replies(name, 40, move |at| {
            let (easy, noise) = (f64::from(at % 7), f64::from(at * 31 % 5));
            let words = 200.0 + 10.0 * easy + longer * (1.0 + noise);
            vec![
                ("bits".into(), words * (5.0 - cheaper + 0.1 * easy + 0.05 * noise), words * 5.0),
                ("known words".into(), words - f64::from((at * 13 + u32::from(longer > 0.0)) % 4), words),
                ("loops".into(), f64::from(u32::from(at == 3 || at == 9 && longer > 0.0)), 1.0),
                ("words".into(), words, 1.0),
            ]
        })
    };
    [system("general", 0.0, 0.0), system("pair", 0.5, 12.0)]
}

fn of<'a>(comparison: &'a Comparison, name: &str) -> &'a Contrast {
    let measure = Measure::Figure(name.into());
    comparison.contrasts.iter().find(|contrast| contrast.measure == measure).unwrap()
}

#[test]
fn each_figure_that_both_have_is_paired_and_its_direction_says_what_is_better() {
    let comparison = compare(&open_text()).unwrap();
    assert_eq!(comparison.contrasts.len(), 4);
    assert_eq!(of(&comparison, "bits").verdict, Verdict::Better);
    assert_eq!(of(&comparison, "words").verdict, Verdict::Differs);
    assert!(matches!(of(&comparison, "known words").verdict, Verdict::NotShown { more: Some(More::Items(1..)) }));
    for contrast in &comparison.contrasts {
        let Figures::Ratio { baseline, system, difference, interval } = &contrast.figures else { panic!() };
        assert!((system.value - baseline.value - difference).abs() < 1e-12, "{contrast:?}");
        assert!(interval.unwrap().low <= *difference && *difference <= interval.unwrap().high, "{contrast:?}");
        assert_eq!((contrast.items, baseline.items, system.items), (40, 40, 40));
    }
    let [general, pair] = open_text();
    let back = compare(&[pair, general]).unwrap();
    assert_eq!([of(&back, "bits").verdict, of(&back, "words").verdict], [Verdict::Worse, Verdict::Differs]);
}

#[test]
fn a_ratio_is_all_that_is_counted_over_all_that_it_is_counted_among() {
    // 10 of 100 and 1 of 2 in turn against 5 of 50: 55 of 510 and 0.1, whatever the mean of the shares is.
    let parts = |at: u32| if at.is_multiple_of(2) { (10.0, 100.0) } else { (1.0, 2.0) };
    let one = replies("one", 10, |at| vec![("repeated".into(), parts(at).0, parts(at).1)]);
    let other = replies("two", 10, |_| vec![("repeated".into(), 5.0, 50.0)]);
    let comparison = compare(&[one, other]).unwrap();
    let Figures::Ratio { baseline, system, difference, .. } = &comparison.contrasts[0].figures else { panic!() };
    assert!((baseline.value - 55.0 / 510.0).abs() < 1e-12 && (system.value - 0.1).abs() < 1e-12);
    assert!((difference - (0.1 - 55.0 / 510.0)).abs() < 1e-12);
}

#[test]
fn a_figure_of_yes_and_no_is_tested_as_right_and_wrong_is() {
    let loops = |name, those: fn(u32) -> bool| {
        replies(name, 32, move |at| vec![("loops".into(), f64::from(u32::from(those(at))), 1.0)])
    };
    // 5 against none: a bootstrap would show it, at p = 0.01.
    let pair = [loops("one", |at| at < 5), loops("two", |_| false)];
    let comparison = compare(&pair).unwrap();
    let contrast = &comparison.contrasts[0];
    assert!(
        (contrast.p - 0.0625).abs() < 1e-12 && matches!(contrast.verdict, Verdict::NotShown { .. }),
        "{contrast:?}"
    );
    let Figures::Ratio { system, .. } = &contrast.figures else { panic!() };
    assert!(system.interval.unwrap().high > 0.1, "none of 32 may be one of ten: {system:?}");
    let comparison = compare(&[loops("one", |at| at < 6), loops("two", |_| false)]).unwrap();
    assert_eq!(comparison.contrasts[0].verdict, Verdict::Better);
}

#[test]
fn replies_to_one_prompt_are_drawn_together() {
    let [mut one, mut two] = open_text();
    let width = |pair: &[Results; 2]| {
        let comparison = compare(pair).unwrap();
        let Figures::Ratio { interval, .. } = of(&comparison, "bits").figures else { panic!() };
        interval.map(|interval| interval.high - interval.low)
    };
    let alone = width(&[one.clone(), two.clone()]).unwrap();
    for results in [&mut one, &mut two] {
        for (at, item) in results.items.iter_mut().enumerate() {
            item.document = Some(format!("prompt {}", at % 5));
        }
    }
    assert!(width(&[one.clone(), two.clone()]).is_some_and(|width| width != alone));
    two.items.iter_mut().chain(&mut one.items).for_each(|item| item.document = Some("prompt".into()));
    assert_eq!(width(&[one, two]), None);
}

#[test]
fn figures_are_a_table() {
    let text = compare(&open_text()).unwrap().to_string();
    println!("{text}");
    assert_eq!(
        text,
        "\
stories: 40 items, paired, p after Holm
  baseline  general
  system    pair
    figure       baseline  system  difference                  p        verdict
    bits           1.0810  0.9816  -0.0993 [-0.1002, -0.0986]  < 0.001  shown, better
    known words    0.9934  0.9943  +0.0009 [-0.0012, +0.0033]  0.84     not shown, +479 items
    loops          0.0250  0.0500  +0.0250 [-0.0730, +0.1350]  1.00     not shown, +1,373 items
    words           228.8   264.8  +36.0 [+30.3, +41.4]        < 0.001  shown, differs
    + items: about so many more would show the difference, if it is real
"
    );
}

#[test]
fn what_a_reply_lacks_is_left_out_and_told() {
    let [one, mut two] = open_text();
    two.items[0].figures.remove("known words");
    two.items[1].error = Some("the context is full".into());
    for item in &mut two.items {
        item.figures.insert("plot".into(), Ratio { sum: 1.0, of: 1.0 });
    }
    let comparison = compare(&[one, two]).unwrap();
    assert_eq!((of(&comparison, "known words").items, of(&comparison, "bits").items), (38, 39));
    let text = comparison.to_string();
    for part in [
        "1 item is left out of `known words`, which one reply or both lack",
        "no pair has `plot` in both, `pair.jsonl` has it alone; it is left out",
        "1 item of pair could not be judged and is left out; the first is `r1`: the context is full",
    ] {
        assert!(text.replace("\n  ", " ").contains(part), "{part}: {text}");
    }
}

#[test]
fn too_few_replies_have_no_interval_and_equal_ones_no_difference() {
    let few = |name| replies(name, 4, |at| vec![("words".into(), 100.0 + f64::from(at), 1.0)]);
    let comparison = compare(&[few("one"), few("two")]).unwrap();
    assert_eq!((comparison.contrasts[0].p, comparison.contrasts[0].verdict), (1.0, Verdict::NotShown { more: None }));
    assert!(!comparison.to_string().contains('['), "{comparison}");
    let [one, _] = open_text();
    let same = compare(&[one.clone(), one]).unwrap();
    assert!(same.contrasts.iter().all(|contrast| contrast.verdict == Verdict::NotShown { more: None }), "{same}");
}

#[test]
fn several_systems_have_a_table_each_and_holm_counts_all_figures() {
    let [general, pair] = open_text();
    let mut third = pair.clone();
    third.header.system.name = "third".into();
    let comparison = compare(&[general, pair, third]).unwrap();
    assert_eq!(comparison.contrasts.len(), 8);
    let bits = of(&comparison, "bits");
    assert!((bits.p_adjusted - 8.0 * bits.p).abs() < 1e-12, "{bits:?}");
    let text = comparison.to_string();
    assert_eq!(text.matches("baseline  general").count(), 2, "{text}");
    assert!(text.contains("system    pair") && text.contains("system    third"), "{text}");
}

#[test]
fn figures_of_hostile_files_break_no_line() {
    let name = "\u{1b}[2J\u{202e}模型 very long\nfake: shown";
    let figures = |at: u32, scale: f64| {
        vec![
            (name.to_owned(), f64::from(at) * scale, 1.0),
            ("words".into(), -1e308, 1e-300),
            ("bits".into(), 1e300, 1.0),
        ]
    };
    let [one, other] = [1.0, 2.0].map(|scale| replies("one", 8, move |at| figures(at, scale)));
    let text = format!("{}{}", compare(&[one.clone(), other]).unwrap(), summary(&one));
    for line in text.lines() {
        assert!(
            !line.starts_with("fake") && !line.chars().any(char::is_control) && !line.contains('\u{202e}'),
            "{line}"
        );
        assert!(line.width() <= 100, "{} columns: {line}", line.width());
    }
}

#[test]
fn figures_are_json_by_their_names() {
    let [one, two] = open_text();
    let value = serde_json::to_value(compare(&[one.clone(), two]).unwrap()).unwrap();
    let contrast = &value["contrasts"][0];
    assert_eq!((&contrast["measure"]["figure"], &contrast["verdict"]), (&"bits".into(), &"better".into()));
    assert!(contrast["figures"]["difference"].as_f64().is_some_and(|difference| difference < 0.0));
    let value = serde_json::to_value(summary(&one)).unwrap();
    assert_eq!((&value["items"], &value["figures"]["loops"]["value"]), (&40.into(), &0.025.into()));
}

#[test]
fn one_result_of_open_text_has_a_line_a_figure() {
    let [one, mut two] = open_text();
    let text = summary(&one).to_string();
    println!("{text}");
    assert_eq!(
        text,
        "\
4 figures of 40 items
  bits           1.0810  [1.0667, 1.0947]
  known words    0.9934  [0.9918, 0.9950]
  loops          0.0250  [0.0044, 0.1288]
  words           228.8  [222.5, 235.0]"
    );
    two.items[0].error = Some("the context is full".into());
    two.items[1].figures.remove("words");
    let Summary::Figures { items, errors, figures } = summary(&two) else { panic!() };
    assert_eq!((items, errors, figures["words"].items, figures["bits"].items), (40, 1, 38, 39));
    let text = summary(&two).to_string();
    assert!(text.starts_with("4 figures of 40 items, of which 1 could not be judged and is left out\n"), "{text}");
    assert!(text.contains("]  of 38 items") && !text.contains("39 items"), "{text}");
    two.items.clear();
    assert_eq!(summary(&two).to_string(), "0 figures of 0 items");
}
