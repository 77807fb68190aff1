//! The page: readable without anything else, and closed to what texts of models try.

mod support;

use llama_selfmod_measure::compare::compare;
use llama_selfmod_measure::page::{Cell, Matrix, Page};
use llama_selfmod_measure::results::Results;
use llama_selfmod_measure::statistics::Interval;
use std::collections::BTreeSet;
use support::markup::{assert_closed_in_order, tags};
use support::{replies, results, texts};

const HOSTILE: &str = "<script>alert(1)</script>]]><img src=x onerror=alert(1)>\" onload=\"alert(2)' --></style></title>{{}}\u{0}\u{202e}\
                       <a href=\"https://example.com/\">https://example.com/</a>\u{1b}[2J";

/// Results whose every text is this one.
fn all(text: &str, pattern: &str) -> Results {
    let mut results = results(text, pattern);
    let text = || text.to_string();
    results.path = text().into();
    results.notes.push(text());
    let header = &mut results.header;
    header.task = text();
    header.items.sha256 = Some(text());
    header.program.build = text();
    header.system.fusion = text();
    header.system.policies = vec![text()];
    header.system.settings = serde_json::json!({ text(): text() });
    header.system.members[0].file = text();
    for (at, item) in results.items.iter_mut().enumerate() {
        item.id = format!("{}{at}", text());
        item.question = Some(text());
        item.answer = Some(text());
        item.expected = Some(text());
        if at == 0 {
            item.error = Some(text());
        }
    }
    results
}

fn matrix(name: &str) -> Matrix {
    let cell = |value: f64, half: f64| {
        Some(Cell { value, interval: Some(Interval { low: value - half, high: value + half }) })
    };
    Matrix {
        caption: format!("Gain in bits per byte over the better one {name}"),
        rows: ["stories-260k", "stories-970k-bytes", "aidreams"].map(|row| format!("{row} {name}")).into(),
        columns: ["260k", "970k", "aidreams"].map(|column| format!("{column} {name}")).into(),
        values: vec![
            vec![None, cell(0.0474, 0.012), cell(-0.0223, 0.004)],
            vec![cell(0.0474, 0.012), None, cell(-0.001, 0.003)],
            vec![cell(-0.0223, 0.004), Some(Cell { value: f64::NAN, interval: None })],
        ],
        digits: 3,
    }
}

/// Replies whose texts, and the name of one figure, are this text.
fn open_text(text: &str, more: f64) -> Results {
    let mut results = replies(text, 12, |at| {
        let words = 90.0 + f64::from(at * 5 % 7) + more;
        vec![("words".into(), words, 1.0), ("bits".into(), 4.0 * words - more, 5.0 * words), (text.into(), more, 1.0)]
    });
    for item in &mut results.items {
        (item.question, item.answer) = (Some(text.into()), Some(format!("{text} and then")));
    }
    results
}

fn pages() -> [String; 2] {
    let [alone, team] = [0.0, 0.02]
        .map(|less| texts("text model", (0..40).map(move |at| (30.0 + f64::from(at % 11) - less * f64::from(at), 40))));
    [HOSTILE, "of four models"].map(|title| {
        let pair = &[all(title, "+++++-----++"), all(title, "++---+++++--")];
        let both @ [open, _] = &[open_text(title, 0.0), open_text(title, 20.0)];
        Page::new(title)
            .comparison(&compare(pair).unwrap(), pair)
            .results(&pair[0])
            .comparison(&compare(&[alone.clone(), team.clone()]).unwrap(), &[alone.clone(), team.clone()])
            .results(&alone)
            .results(open)
            .comparison(&compare(both).unwrap(), both)
            .matrix(&matrix(title))
            .render()
    })
}

#[test]
fn hostile_texts_are_text() {
    let [page, harmless] = pages();
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<a "));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;]]&gt;"));
    assert!(!page.chars().any(|character| character.is_control() && character != '\n'), "control characters");
    assert!(!page.contains('\u{202e}'));
    // No tag and no attribute that the same page of harmless texts lacks.
    let kinds = |page: &str| -> BTreeSet<String> {
        // Quotes in values are escaped, so every second piece is a value.
        tags(page).iter().map(|tag| tag.split('"').step_by(2).collect()).collect()
    };
    assert_eq!(kinds(&page), kinds(&harmless));
}

#[test]
fn a_page_refers_to_nothing_outside() {
    for page in pages() {
        for tag in tags(&page) {
            for attribute in ["src=", "href=", "action=", "srcset=", "data=", "poster="] {
                let outside = tag.split('"').step_by(2).any(|names| names.contains(attribute));
                assert!(!outside, "{tag}");
            }
            assert!(!tag.starts_with("script") && !tag.starts_with("link") && !tag.starts_with("iframe"), "{tag}");
        }
        let sheet = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style sheet");
        assert!(!sheet.contains("url(") && !sheet.contains("@import"));
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn tags_are_closed_in_order() {
    for page in pages() {
        assert_closed_in_order(&page);
    }
}

#[test]
fn figures_are_words_too() {
    let [_, page] = pages();
    if let Some(folder) = std::env::var_os("KEEP_PAGES") {
        for (name, page) in ["hostile.html", "good.html"].iter().zip(pages()) {
            std::fs::write(std::path::Path::new(&folder).join(name), page).unwrap();
        }
    }
    assert!(page.contains(">+0.047</text>") && page.contains("[+0.035, +0.059]"), "a cell's number and its interval");
    assert!(page.contains(">−0.022</text>"));
    assert!(page.contains("url(#hatch)"));
    assert!(page.contains("gained") && page.contains("lost") && page.contains("prefers-color-scheme: dark"));
    assert!(!page.contains("NaN"), "no coordinate and no cell is NaN");
}

#[test]
fn each_figure_of_open_text_has_bars_and_points() {
    let pair = [open_text("one", 0.0), open_text("two", 20.0)];
    let page = Page::new("open").results(&pair[0]).comparison(&compare(&pair).unwrap(), &pair).render();
    for (heading, times) in [
        ("<h3>bits: bits per byte under the judge; less is better</h3>", 2),
        ("<h3>words: words of a reply</h3>", 2),
        // A figure of another program is shown by its name alone.
        ("<h3>one</h3>", 1),
        ("<h3>Difference to one</h3>", 2),
    ] {
        assert_eq!(page.matches(heading).count(), times, "{heading}");
    }
    // Of one result three bars; of both, two figures in common with two bars and a point each.
    assert_eq!((page.matches("class=\"bar\"").count(), page.matches("<circle").count()), (7, 2));
    assert!(page.contains(": shown, differs") && page.contains("+20.0, p"), "words of a reply");
    assert!(page.contains("12 texts") && page.contains("one and then"));
    assert!(page.contains("no pair has `two` in both, `two.jsonl` has it alone"), "what only one has is told");
}

#[test]
fn a_long_result_is_a_page_of_bounded_size() {
    let long = |pattern: &str| {
        let mut results = results("long", pattern);
        for item in &mut results.items {
            item.answer = Some("x".repeat(100_000));
        }
        results
    };
    let pair = [long(&"+-".repeat(200)), long(&"-+".repeat(200))];
    let page = Page::new("long").comparison(&compare(&pair).unwrap(), &pair).results(&pair[0]).render();
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("200 gained; the first 40:"));
}
