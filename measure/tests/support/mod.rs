//! Results for tests.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod markup;

use llama_selfmod_measure::results::{FORMAT, Header, Item, Items, Measured, Member, Program, Ratio, Results, System};

/// A header of a run of one model.
pub fn header(name: &str) -> Header {
    Header {
        results: FORMAT,
        task: "gsm8k".into(),
        items: Items { sha256: Some("d".repeat(64)), number: 1_319 },
        system: System {
            name: name.into(),
            members: vec![Member {
                name: name.into(),
                file: format!("{name}.gguf"),
                sha256: "a".repeat(64),
                weight: 1.0,
            }],
            fusion: "confidence".into(),
            policies: vec!["retraction".into()],
            settings: serde_json::json!({ "temperature": 0.2 }),
        },
        seed: 7,
        program: Program { version: "llama_selfmod 0.1.0".into(), build: "e9291da".into() },
        measured: Measured::Right,
        sequential: false,
    }
}

/// An item that is right or wrong.
pub fn right(id: &str, right: bool) -> Item {
    Item { id: id.into(), right: Some(right), ..Item::default() }
}

/// Results by a pattern: `+` is right, anything else is wrong.
pub fn results(name: &str, pattern: &str) -> Results {
    let items = pattern.chars().enumerate().map(|(at, mark)| right(&format!("q{at}"), mark == '+')).collect();
    Results { path: format!("{name}.jsonl").into(), header: header(name), items, notes: Vec::new() }
}

/// Results of texts: nats and bytes of each item.
pub fn texts(name: &str, costs: impl IntoIterator<Item = (f64, u64)>) -> Results {
    let item = |(at, (nats, bytes)): (usize, (f64, u64))| Item {
        id: format!("b{at}"),
        nats: Some(nats),
        bytes: Some(bytes),
        ..Item::default()
    };
    let items = costs.into_iter().enumerate().map(item).collect();
    let mut header = header(name);
    header.task = "dev".into();
    header.measured = Measured::Nats;
    Results { path: format!("{name}.jsonl").into(), header, items, notes: Vec::new() }
}

/// Results of replies: figures of each as their name and two numbers.
pub fn replies(name: &str, count: u32, figures: impl Fn(u32) -> Vec<(String, f64, f64)>) -> Results {
    let item = |at| Item {
        id: format!("r{at}"),
        answer: Some("and then".into()),
        figures: figures(at).into_iter().map(|(name, sum, of)| (name, Ratio { sum, of })).collect(),
        ..Item::default()
    };
    let items = (0..count).map(item).collect();
    let mut header = header(name);
    header.task = "stories".into();
    header.measured = Measured::Figures;
    Results { path: format!("{name}.jsonl").into(), header, items, notes: Vec::new() }
}
