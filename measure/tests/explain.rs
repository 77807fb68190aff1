//! Accounts of replies: what stands and what is gone, in words and on a page, whatever the texts of models are.
#![cfg(feature = "reports")]

mod support;

use llama_selfmod_measure::explain::{Account, Fate, MemberView, Retraction, Step, Token, Verdict, Which, why};
use llama_selfmod_measure::page::Page;
use std::collections::BTreeSet;
use support::markup::{assert_closed_in_order, tags};
use unicode_width::UnicodeWidthStr;

const HOSTILE: &str = "<script>alert(1)</script>\" onload=\"alert(2)' --></style></details>{{}}\u{0}\u{202e}\u{5e9}\u{5dc}\u{fffd}\
                       <a href=\"https://example.com/\">x</a>\u{1b}[2J\u{9b}\r\n";

fn token(index: usize, text: &str, confidence: f64) -> Token {
    let best = |first: f64| {
        vec![(" knight".to_string(), first), (" king".into(), 0.2), (text.into(), 0.05), (" x".into(), 0.01)]
    };
    Token {
        index,
        text: text.into(),
        confidence,
        likeliest: confidence.max(0.412),
        entropy: 1.52,
        agreement: 0.71,
        leader: 1,
        mean: 0.8,
        deviation: 0.7,
        members: vec![
            MemberView { probability: 0.061, top: best(0.51) },
            MemberView { probability: 0.023, top: best(0.31) },
        ],
        fused: best(0.412),
        temperature: 0.84,
        repeat_penalty: 1.1,
        verdicts: Vec::new(),
        is_refused: false,
    }
}

fn verdict(policy: &str, verdict: &str, reason: &str) -> Verdict {
    Verdict { policy: policy.into(), verdict: verdict.into(), reason: reason.into() }
}

fn refused(index: usize, text: &str, confidence: f64, reason: &str) -> Step {
    let verdicts = vec![verdict("guard", "resample", reason)];
    Step::Token(Token { verdicts, is_refused: true, ..token(index, text, confidence) })
}

fn accepted(index: usize, text: &str, confidence: f64) -> Step {
    Step::Token(token(index, text, confidence))
}

fn back_to(index: usize, units: usize, reason: &str) -> Step {
    Step::Retraction(Retraction { index, units, policy: "retraction".into(), reason: reason.into() })
}

/// "Once upon a time a dragon slept.", with a refusal and two retractions, the second of which takes back what was written
/// after the first.
fn account() -> Account {
    let adjusted = vec![verdict("cooler", "temperature 0.80", "sure of it")];
    Account {
        title: "Reply 1".into(),
        members: vec!["draft".into(), "general".into()],
        policies: vec!["guard".into(), "retraction".into()],
        prompt: "Tell a story".into(),
        steps: vec![
            accepted(0, "Once", 0.95),
            accepted(1, " upon", 1.0),
            accepted(2, " a", 0.9),
            accepted(3, " time", 0.9),
            Step::Token(Token { verdicts: adjusted, ..token(4, " a", 0.5) }),
            accepted(5, " frog", 0.2),
            accepted(6, " ate", 0.3),
            back_to(6, 1, "mean confidence 0.31 is below 0.35"),
            accepted(6, " flew", 0.25),
            back_to(5, 2, "a frog does not fly"),
            refused(5, " wyvern", 0.0004, "surprise 7.8 is above 2.4"),
            accepted(5, " dragon", 0.0334),
            accepted(6, " slept", 0.6),
            accepted(7, ".", 0.9),
        ],
    }
}

/// A text as one line of single spaces, so that what it says is found wherever its lines break.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn fates_follow_nested_retractions() {
    let account = account();
    let standing: String = account.standing().iter().map(|token| token.text.as_str()).collect();
    assert_eq!(standing, "Once upon a time a dragon slept.");
    let fates = account.fates();
    let taken = |retraction| Some(Fate::TakenBack { retraction });
    assert_eq!(fates[5..=11], [taken(9), taken(7), None, taken(9), None, Some(Fate::Refused), Some(Fate::Stands)]);
}

#[test]
fn the_newest_intervention_is_explained_at_the_token_that_came_of_it() {
    assert_eq!(
        why(&account(), Which::Last, 100),
        "\
Token 6 of 8: \" dragon\"
  Once upon a time a[- frog-][- ate-][- flew-][- wyvern-]>> dragon<< slept.
  Probability 0.033; the likeliest had 0.412. Surprise 3.4 nats, 3.2 deviations above the 0.8 of
    this reply. Entropy 1.52 nats. Agreement of the members 0.71; `general` contributed most. Drawn
    at temperature 0.84 with repeat penalty 1.10.
  fused row: \" knight\" 0.412, \" king\" 0.200, \" dragon\" 0.050, this token 0.033
  draft: \" knight\" 0.510, \" king\" 0.200, \" dragon\" 0.050, this token 0.061
  general: \" knight\" 0.310, \" king\" 0.200, \" dragon\" 0.050, this token 0.023
  Here before:
    \" frog\" (probability 0.200) was taken back by `retraction`: a frog does not fly
    \" wyvern\" (probability 4.0e-4) was refused: `guard` answered `resample`: surprise 7.8 is above
      2.4
  No policy acted on it."
    );
}

#[test]
fn a_retraction_says_what_was_rejected_and_what_stands_instead() {
    let mut account = account();
    account.steps.remove(10);
    assert_eq!(
        why(&account, Which::Last, 100),
        "\
Retraction of 2 units, back to token 5, by `retraction`: a frog does not fly
  Once upon a time a[- frog-][- ate-][- flew-] dragon slept.
  Taken back: \" frog flew\"
  Written in its place: \" dragon slept.\""
    );
    let earlier = why(&account, Which::Text("ate"), 100);
    assert!(earlier.ends_with("Written in its place: \" flew\", taken back later"), "{earlier}");
    account.steps.truncate(10);
    assert!(why(&account, Which::Last, 100).ends_with("Written in its place: nothing"));
    account.steps.push(back_to(0, 5, ""));
    assert!(why(&account, Which::Last, 100).starts_with("Retraction of 5 units, back to the start, by `retraction`\n"));
}

#[test]
fn without_interventions_the_last_token_is_explained() {
    let mut account = account();
    account.steps.truncate(4);
    assert!(why(&account, Which::Last, 80).starts_with("Token 4 of 4: \" time\"\n  Once upon a>> time<<\n"));
    account.steps.clear();
    assert_eq!(why(&account, Which::Last, 80), "The reply has no tokens.");
}

#[test]
fn a_refused_candidate_that_nothing_followed_is_explained_itself() {
    let mut account = account();
    account.steps.truncate(11);
    let text = why(&account, Which::Last, 100);
    assert!(text.starts_with("Candidate for token 6, refused: \" wyvern\""), "{text}");
    assert!(text.ends_with("`guard` answered `resample`: surprise 7.8 is above 2.4."), "{text}");
}

#[test]
fn tokens_are_counted_from_one_among_those_that_stand() {
    let account = account();
    let fifth = why(&account, Which::Token(5), 200);
    assert!(fifth.starts_with("Token 5 of 8: \" a\""), "{fifth}");
    assert!(fifth.contains("Surprise 0.7 nats, 0.1 deviations below the 0.8 of this reply."), "{fifth}");
    assert!(fifth.ends_with("`cooler` answered `temperature 0.80`: sure of it."), "{fifth}");
    assert!(why(&account, Which::Token(8), 80).starts_with("Token 8 of 8: \".\""));
    for beyond in [0, 9, usize::MAX] {
        assert_eq!(
            why(&account, Which::Token(beyond), 80),
            format!("There is no token {beyond}: the reply has 8 tokens.")
        );
    }
}

#[test]
fn the_first_token_and_a_certain_one_have_no_odd_figures() {
    let account = account();
    let first = why(&account, Which::Token(1), 300);
    assert!(first.contains("Probability 0.950, the likeliest. Surprise 0.1 nats. Entropy"), "{first}");
    let certain = why(&account, Which::Token(2), 300);
    assert!(certain.contains("Surprise 0.0 nats, 1.0 deviations below"), "{certain}");
}

#[test]
fn a_text_is_found_where_it_stands_last_and_a_phrase_where_it_begins() {
    let account = account();
    let first_line = |text| why(&account, Which::Text(text), 80).lines().next().unwrap_or_default().to_string();
    assert_eq!(first_line("dragon slept"), "Token 6 of 8: \" dragon\"");
    assert_eq!(first_line(" a"), "Token 5 of 8: \" a\"");
    assert_eq!(first_line("a time"), "Token 3 of 8: \" a\"");
    assert_eq!(first_line("wyvern"), "Token 6 of 8: \" dragon\"", "the token that came of the refusal");
    assert_eq!(first_line("frog flew"), "Retraction of 2 units, back to token 5, by `retraction`: a frog does not fly");
    assert_eq!(first_line("ate"), "Retraction of 1 unit, back to token 6, by `retraction`: mean confidence 0.31 is");
    assert_eq!(first_line("unicorn"), "\"unicorn\" is not in the reply.");
    assert_eq!(first_line(""), "\"\" is not in the reply.");
}

#[test]
fn one_member_has_nothing_to_agree_with() {
    let mut account = account();
    account.members.truncate(1);
    for step in &mut account.steps {
        if let Step::Token(token) = step {
            token.members.truncate(1);
        }
    }
    let text = why(&account, Which::Last, 100);
    assert!(!text.contains("Agreement") && text.contains("\n  draft: "), "{text}");
    let page = Page::new("one").account(&account).render();
    assert!(!page.contains(">agreement</text>") && page.contains(">temperature</text>"));
}

#[test]
fn long_surroundings_are_cut_on_both_sides() {
    let mut account = account();
    account.steps = (0..500).map(|index| accepted(index, &format!(" w{index}"), 0.5)).collect();
    let text = joined(&why(&account, Which::Token(250), 80));
    assert!(text.contains("… w237 w238") && text.contains("w248>> w249<< w250") && text.contains("w261…"), "{text}");
    assert!(!text.contains("w236") && !text.contains("w262"), "{text}");
}

/// An account whose every text is this one.
fn all(text: &str) -> Account {
    let text = || text.to_string();
    let mut account = account();
    account.title = text();
    account.prompt = text();
    account.members = vec![text(), text()];
    account.policies = vec![text()];
    for step in &mut account.steps {
        match step {
            Step::Token(token) => {
                token.text = text();
                token.fused.iter_mut().for_each(|(candidate, _)| *candidate = text());
                let views = token.members.iter_mut().flat_map(|view| &mut view.top);
                views.for_each(|(candidate, _)| *candidate = text());
                for verdict in &mut token.verdicts {
                    *verdict = self::verdict(&text(), &text(), &text());
                }
            }
            Step::Retraction(retraction) => {
                retraction.policy = text();
                retraction.reason = text();
            }
        }
    }
    account
}

#[test]
fn text_for_a_terminal_has_no_control_characters_and_fits() {
    let long = "x".repeat(5_000);
    for text in [HOSTILE, "", "\n", "漢字かな", "\u{300}", "❤\u{fe0f}❤\u{fe0f}❤\u{fe0f}", " ", &long] {
        let account = all(text);
        for width in [0, 1, 2, 7, 24, 40, 80, 200] {
            for which in [Which::Last, Which::Token(3), Which::Token(99), Which::Text(text), Which::Text("\u{1b}[2J")] {
                let answer = why(&account, which, width);
                let bad = |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
                assert!(!answer.contains(bad), "{answer:?}");
                let widest = answer.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
                assert!(widest <= width.max(2), "{widest} columns for {width}: {answer}");
                assert!(answer.len() < 40_000, "{} bytes", answer.len());
            }
        }
    }
}

#[test]
fn figures_that_are_no_numbers_are_said_to_be_so() {
    let mut account = account();
    for step in &mut account.steps {
        if let Step::Token(token) = step {
            token.confidence = 0.0;
            token.entropy = f64::NAN;
            token.mean = f64::NAN;
            token.temperature = f64::INFINITY;
            token.fused[0].1 = f64::NAN;
        }
    }
    let text = joined(&why(&account, Which::Last, 80));
    assert!(text.contains("Surprise infinite nats. Entropy unknown nats."), "{text}");
    let page = Page::new("").account(&account).render();
    assert!(!page.contains("NaN") && !page.contains("inf\"") && !page.contains("inf "));
    assert_closed_in_order(&page);
}

fn pages() -> [String; 2] {
    [HOSTILE, "harmless"].map(|text| Page::new(text).account(&all(text)).account(&all(text)).render())
}

#[test]
fn hostile_texts_are_text_on_the_page() {
    let [page, harmless] = pages();
    assert!(!page.contains("<script") && !page.contains("<a href=\"https"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.chars().any(|character| character.is_control() && character != '\n'), "control characters");
    assert!(!page.contains('\u{202e}'));
    let kinds =
        |page: &str| -> BTreeSet<String> { tags(page).iter().map(|tag| tag.split('"').step_by(2).collect()).collect() };
    assert_eq!(kinds(&page), kinds(&harmless));
}

#[test]
fn a_page_refers_to_its_own_parts_alone_and_each_of_them_is_there_once() {
    for page in pages().into_iter().chain([Page::new("good").account(&account()).render()]) {
        assert_closed_in_order(&page);
        let tags = tags(&page);
        let values = |name: &str| -> Vec<String> {
            let value = |tag: &String| Some(tag.split_once(&format!(" {name}=\""))?.1.split('"').next()?.to_string());
            tags.iter().filter_map(value).collect()
        };
        let ids = values("id");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an anchor twice");
        assert!(!ids.is_empty());
        for link in values("href") {
            assert!(link.strip_prefix('#').is_some_and(|anchor| ids.iter().any(|id| id == anchor)), "{link}");
        }
        assert!(page.contains("default-src 'none'") && !page.contains("<script") && !page.contains(" src="));
        let sheet = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
        assert!(!sheet.contains("url(") && !sheet.contains("@import"));
    }
}

#[test]
fn the_page_has_the_text_what_is_gone_and_every_figure() {
    let account = account();
    let page = Page::new("Why").account(&account).render();
    if let Some(file) = std::env::var_os("KEEP_EXPLANATION") {
        std::fs::write(file, &page).unwrap();
    }
    assert!(page.contains("8 tokens in the reply; 1 candidate refused; 3 tokens taken back in 2 retractions."));
    let reply =
        page.split("<div class=\"reply\"").nth(1).and_then(|rest| rest.split("</div>").next()).expect("a reply");
    assert_eq!(reply.matches("<del>").count(), 4);
    assert_eq!(reply.matches("<sup>").count(), 4, "an adjustment, two retractions, a refusal");
    let mut texts = Vec::new();
    for piece in reply.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag");
        if tag.starts_with("a ") && tag.contains("title=") {
            texts.push(text);
        }
    }
    assert_eq!(texts.concat(), "Once upon a time a frog ate flew wyvern dragon slept.", "in the order of the steps");
    for note in [
        "1. Token 5, &quot; a&quot;: `cooler` answered `temperature 0.80`: sure of it",
        "2. Retraction of 1 unit, back to token 6, by `retraction`: mean confidence 0.31 is below 0.35. Taken back: &quot; ate&quot;; in its place: &quot; flew&quot;, taken back later",
        "Taken back: &quot; frog flew&quot;; in its place: &quot; dragon slept.&quot;",
        "4. Token 6, &quot; wyvern&quot; was refused: `guard` answered `resample`: surprise 7.8 is above 2.4",
    ] {
        assert!(page.contains(note), "{note}");
    }
    for (at, step) in account.steps.iter().enumerate() {
        let Step::Token(token) = step else { continue };
        let row = page
            .split(&format!("<tr id=\"t0-{at}\">"))
            .nth(1)
            .and_then(|rest| rest.split("</tr>").next())
            .expect("a row");
        let figures = [
            format!("<td>{}</td>", token.index + 1),
            format!("{:.2} (0.80 ± 0.70)", token.surprise()),
            "<td>1.52</td><td>0.71</td><td>2</td><td>0.84</td><td>1.10</td>".into(),
            "0.061: <bdi> knight</bdi> 0.510".into(),
            "0.023: <bdi> knight</bdi> 0.310".into(),
        ];
        for figure in figures {
            assert!(row.contains(&figure), "{figure} in {row}");
        }
    }
    for curve in ["surprise, nats", "entropy, nats", "agreement", "temperature"] {
        assert!(page.contains(&format!(">{curve}</text>")), "{curve}");
    }
    assert!(!page.contains("Wilson"), "nothing about statistics that are not there");
}

#[test]
fn lines_of_the_reply_stay_and_what_has_no_ink_can_be_reached() {
    let mut account = account();
    account.steps = vec![
        accepted(0, "one", 0.95),
        accepted(1, "\n", 0.95),
        accepted(2, "", 0.95),
        refused(3, "\n\n", 0.01, "no"),
        accepted(3, "t\u{fffd}", 0.05),
        accepted(4, " \u{5e9}\u{5dc}\u{5d5}\u{5dd}", 0.95),
    ];
    let page = Page::new("lines").account(&account).render();
    let reply =
        page.split("<div class=\"reply\"").nth(1).and_then(|rest| rest.split("</div>").next()).expect("a reply");
    assert!(reply.contains("class=\"break\" title=\"2: 0.950, 0.1 nats\">\n</a>"), "{reply}");
    assert!(reply.contains("class=\"empty\""), "{reply}");
    assert!(reply.contains("<del><a href=\"#t0-3\" class=\"c4\" title=\"4: 0.010, 4.6 nats\">↵↵</a></del>"), "{reply}");
    assert!(reply.contains("class=\"c4\"") && reply.contains(">t\u{fffd}</a>"), "{reply}");
    assert!(reply.contains(" \u{5e9}\u{5dc}\u{5d5}\u{5dd}</a>") && reply.starts_with(" dir=\"auto\""), "{reply}");
}

#[test]
fn a_long_reply_is_a_page_of_bounded_size_even_if_policies_act_at_every_token() {
    let mut account = account();
    account.members = ["a", "b", "c", "d"].map(String::from).into();
    account.steps = (0..2_000)
        .map(|index| {
            let mut token = token(index, &format!(" word{}", index % 97), 0.4);
            token.fused = (0..10).map(|place| (format!(" other{place}"), 0.3 / f64::from(place + 1))).collect();
            token.members = vec![MemberView { probability: 0.4, top: token.fused.clone() }; 4];
            Step::Token(token)
        })
        .collect();
    let calm = Page::new("long").account(&account).render();
    assert!(calm.len() < 2_500_000, "{} bytes", calm.len());
    for step in &mut account.steps {
        if let Step::Token(token) = step {
            token.verdicts = vec![verdict("retraction", "temperature 0.84", "mean confidence 0.91 is above 0.85")];
        }
    }
    let busy = Page::new("long").account(&account).render();
    assert!(busy.len() < 3_000_000, "{} bytes", busy.len());
    assert!(busy.contains("<tr id=\"t0-1999\">") && busy.contains("2000. Token 2000"));
    assert_closed_in_order(&busy);
}
