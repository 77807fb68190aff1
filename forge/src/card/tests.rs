//! Whole cards over small facts.

mod run;

use super::chain::Step;
use super::model::Says;
use super::*;
use crate::bench::{Layer, Window};
use crate::recipe::By;
use crate::search::{Confirmation, Fate, Listed, Nearest, Outcome, Point, Ratio, Spent, Step as SearchStep, Versus};
use crate::stages::{Difference, Measured as OfText};
use crate::store::{Artifact, Folder};
use measure::results::{Header, Item, Items, Measured as OfTask, Member, Program, System};
use measure::statistics::Interval;
use serde_json::json;
use std::path::PathBuf;

/// A digest that begins with the text.
fn digest(of: &str) -> String {
    format!("{of:0<64}")
}

pub(super) fn model(file: &str, license: Option<&str>) -> Model {
    let says = Says { kind: "Q8_0".into(), license: license.map(Into::into), ..Says::default() };
    Model {
        file: file.into(),
        sha256: digest(&format!("{:x}", file.len())),
        size: 1_234_567,
        source: None,
        says: Some(says),
    }
}

pub(super) fn facts(models: Vec<Model>) -> Facts {
    Facts { models, ..Facts::default() }
}

fn step(name: &str, kind: &str, reads: &[(&str, &str, &str, &str)], made: &[(&str, &str)]) -> Step {
    let read = |(parameter, name, file, of): &(&str, &str, &str, &str)| {
        Artifact::new(*name, digest(of)).with("for", *parameter).with("file", *file)
    };
    Step {
        name: name.into(),
        kind: kind.into(),
        key: digest("bead"),
        parameters: json!({}),
        reads: reads.iter().map(read).collect(),
        made: made.iter().map(|(file, of)| Artifact::new(*file, digest(of))).collect(),
        builder: "llama_selfmod 0.1.0, llama.cpp b1".into(),
        folder: Folder::at(PathBuf::new()),
    }
}

fn of_text(model: &str, sha256: &str, perplexity: f64, against: Option<Difference>) -> OfText {
    let nats = perplexity.ln() * 256.0;
    let window = |at: u32| Window { nats: nats * (0.975 + 0.01 * f64::from(at)), tokens: 256, bytes: 900 };
    OfText {
        model: model.into(),
        sha256: digest(sha256),
        size: 2_000_000,
        tokens: 1_536,
        perplexity,
        interval: Some(Interval { low: perplexity - 0.25, high: perplexity + 0.25 }),
        bits_per_byte: nats / std::f64::consts::LN_2 / 900.0,
        against,
        windows: (0..6).map(window).collect(),
    }
}

fn difference(change: f64, low: f64, high: f64, p: f64) -> Difference {
    let interval = Interval { low, high };
    let shown = interval.excludes_zero() && p < 0.05;
    Difference { model: "moe.gguf".into(), change, interval: Some(interval), p: Some(p), shown }
}

fn of_task(name: &str, sha256: &str, right: &[bool]) -> Results {
    let item = |(at, right): (usize, &bool)| Item { id: at.to_string(), right: Some(*right), ..Item::default() };
    let member = Member { name: name.into(), file: format!("{name}.gguf"), sha256: digest(sha256), weight: 1.0 };
    Results {
        path: PathBuf::from(format!("/secret/{name}.jsonl")),
        header: Header {
            results: 1,
            task: "sums".into(),
            items: Items { sha256: Some(digest("abc")), number: 40 },
            system: System {
                name: name.into(),
                members: vec![member],
                fusion: String::new(),
                policies: vec![],
                settings: json!(null),
            },
            seed: 7,
            program: Program { version: "llama_selfmod 0.1.0".into(), build: String::new() },
            measured: OfTask::Right,
            sequential: false,
        },
        items: right.iter().enumerate().map(item).collect(),
        notes: vec![],
    }
}

/// A search over two candidates.
fn outcome(gate: Option<f64>) -> Outcome {
    let ratio = |ratio: f64| Ratio { ratio, low: ratio - 0.014, high: ratio + 0.016, windows: 40, p: 0.001 };
    let listed = |at: usize, label: &str, measured, fate| Listed {
        point: Point(vec![at]),
        label: label.into(),
        size: Some(1_000),
        estimate: None,
        measured,
        p_holm: None,
        step: SearchStep::Full,
        fate,
    };
    let winner = "6 experts, Q4_K_M";
    let runner_up = Versus { point: Point(vec![1]), label: "4 experts".into(), ratio: ratio(0.99) };
    Outcome {
        strategy: "binary",
        gate,
        winner: Some(Point(vec![0])),
        confirmations: vec![Confirmation {
            point: Point(vec![0]),
            label: winner.into(),
            held: ratio(1.03),
            against: gate.is_none().then_some(runner_up),
            shown: gate.is_some(),
        }],
        nearest: None,
        listed: vec![
            listed(0, winner, Some(ratio(1.024)), Fate::Winner),
            listed(1, "4 experts", None, Fate::AboveGate { low: 1.1, gate: 1.05 }),
        ],
        tokens: Spent::default(),
        notes: vec![],
    }
}

#[test]
fn a_search_without_a_limit_says_whether_its_winner_is_better_than_the_next() {
    let section =
        |outcome: Outcome| searches::section(&[(Origin::default(), serde_json::from_value(json!(outcome)).unwrap())]);
    let text = section(outcome(None));
    assert!(text.contains(
        "it has 0.9900 times the perplexity of `4 experts`, interval 0.9760 … 1.0060, a difference that is not shown."
    ));
    let unconfirmed = section(Outcome { confirmations: vec![], ..outcome(None) });
    assert!(unconfirmed.contains("It was not measured again on other text"));
    let mut none = outcome(Some(1.01));
    none.listed[0].fate = Fate::NotShown { high: 1.04, gate: 1.01, more_tokens: Some(9_000) };
    none.nearest =
        Some(Nearest { point: Point(vec![0]), label: "6 experts".into(), ratio: None, more_tokens: Some(9_000) });
    let none = section(none);
    assert!(none.contains("It has no winner"), "{none}");
    assert!(none.contains("Nearest came `6 experts`; about 9,000 tokens more would show it, if it is real."), "{none}");
}

/// A model with 8 experts, pruned to 6 and quantised.
fn moe() -> Facts {
    let says = Says {
        name: Some("Small MoE".into()),
        kind: "Q4_K_M".into(),
        experts: 6,
        license: Some("mit".into()),
        by: Some("A. Author".into()),
        from: vec!["owner/moe".into()],
        ..Says::default()
    };
    let file = "moe-6-experts-Q4_K_M.gguf";
    let models =
        vec![Model { file: file.into(), sha256: digest("d1"), size: 1_234_567, source: None, says: Some(says) }];
    let origin = |name: &str| Origin {
        name: name.into(),
        text: Some(("dev.txt".into(), digest("e0"))),
        against: Some("moe.gguf".into()),
    };
    let perplexities = Perplexities {
        text: "dev.txt".into(),
        context: 512,
        skip: 2,
        models: vec![
            of_text("moe.gguf", "ba5e", 3.5, None),
            of_text(file, "d1", 3.585, Some(difference(0.024, -0.004, 0.053, 0.09))),
        ],
    };
    let (base, pruned) = ([true; 40], [vec![true; 34], vec![false; 6]].concat());
    let chosen = Chosen {
        model: "moe-6-experts.gguf".into(),
        experts: 6,
        of: 8,
        by: By::Saliency,
        layers: vec![0, 2],
        kept: vec![vec![0, 1, 2, 3, 4, 5], vec![0, 2, 3, 4, 6, 7]],
    };
    let layer = Layer { layer: 0, counts: vec![50, 0, 150], saliency: vec![0.1, 0.0, 0.2] };
    let profile = Profile { tokens: 100, used: 2, layers: vec![layer] };
    Facts {
        repo: Some("me/small-moe".into()),
        models,
        measured: Measured {
            perplexities: vec![(origin("ppl"), perplexities)],
            evals: vec![(
                Origin { name: "sums".into(), text: None, against: Some("moe.gguf".into()) },
                vec![of_task("moe", "ba5e", &base), of_task("moe-6-experts-Q4_K_M", "d1", &pruned)],
            )],
            profiles: vec![(origin("profile"), profile)],
            pruned: vec![(Origin { name: "prune".into(), ..Origin::default() }, vec![chosen])],
            searches: vec![(
                Origin { name: "look".into(), ..Origin::default() },
                serde_json::from_value(json!(outcome(Some(1.05)))).unwrap(),
            )],
        },
        chain: Chain(vec![
            step("prune", "prune", &[("model", "base", "moe.gguf", "ba5e")], &[("moe-6-experts.gguf", "c0de")]),
            step(
                "tiers",
                "quantize",
                &[("model", "prune/moe-6-experts.gguf", "moe-6-experts.gguf", "c0de")],
                &[(file, "d1")],
            ),
        ]),
        ..Facts::default()
    }
}

/// Compares with a file of `golden/`; `GOLDEN=write` writes it.
fn is_golden(text: &str, name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/card/tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{}: GOLDEN=write writes it anew", path.display());
}

#[test]
fn a_card_says_what_was_made_and_measured_and_what_is_not_shown() {
    is_golden(&render(&moe()), "moe.md");
}

#[test]
fn a_card_of_files_that_nobody_measured_says_so() {
    let facts = facts(vec![model("a.gguf", None)]);
    let card = render(&facts);
    assert!(card.contains("Nothing: this card is of files whose quality was not measured."));
    assert!(card.contains("The files were given to the recipe as they are."));
    assert!(card.contains("llama_selfmod --models a.gguf\n"));
}

#[test]
fn the_same_facts_give_the_same_bytes_without_a_path() {
    assert_eq!(render(&moe()), render(&moe()));
    assert!(!render(&moe()).contains("/secret"));
}

#[test]
fn a_name_in_a_file_becomes_neither_markup_nor_metadata() {
    let evil = "x\n---\nlicense: mit\n| `a` | <script>alert(1)</script> [y](http://z) **b** \u{202e}";
    let mut facts = moe();
    facts.title = Some(evil.into());
    facts.repo = Some(evil.into());
    facts.license = Some(evil.into());
    facts.base = vec![evil.into(), "owner/\"base".into()];
    for model in &mut facts.models {
        model.file = format!("{evil}' ; rm -rf ~ '.gguf");
        let says = model.says.as_mut().unwrap();
        (says.name, says.by, says.license) = (Some(evil.into()), Some(evil.into()), Some(evil.into()));
        says.from = vec![evil.into()];
    }
    for (origin, found) in &mut facts.measured.perplexities {
        (origin.name, found.text) = (evil.into(), evil.into());
        found.models.iter_mut().for_each(|model| model.model = evil.into());
    }
    for (_, results) in &mut facts.measured.evals {
        results
            .iter_mut()
            .for_each(|results| (results.header.task, results.header.system.name) = (evil.into(), evil.into()));
    }
    facts.chain.0.iter_mut().for_each(|step| step.builder = evil.into());
    let card = render(&facts);
    let (matter, body) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    assert!(!matter.lines().any(|line| line == "license: mit"), "{matter}");
    assert!(!matter.contains("base_model"), "{matter}");
    is_golden(&card, "hostile.md");
    assert!(!body.contains("--models"), "a name that is not one line cannot be typed");
    for markup in ["\u{202e}", "<script>", "[y]", "**b", "\nlicense"] {
        assert!(!body.contains(markup), "{markup}");
    }
    for line in body.lines().filter(|line| line.starts_with('|')) {
        let cells = line.matches('|').count();
        assert!((4..=9).contains(&cells) && !line.contains("license: mit |"), "{line}");
    }
}

#[test]
fn what_has_no_pair_is_not_compared() {
    let mut facts = moe();
    for (_, found) in &mut facts.measured.perplexities {
        found.models.iter_mut().for_each(|model| model.against = None);
    }
    facts.measured.evals.iter_mut().for_each(|(origin, _)| origin.against = None);
    let card = render(&facts);
    assert!(card.contains("No pair, so no difference is shown, of `moe.gguf`, `moe-6-experts-Q4_K_M.gguf`."));
    assert!(card.contains("No pair, so no difference is shown.\n"));
    assert!(!card.contains("shown: better") && !card.contains("shown: worse"));
}

#[test]
fn several_differences_are_shown_by_holm_alone() {
    let mut facts = moe();
    let near = difference(0.02, 0.001, 0.04, 0.03);
    let far = difference(0.5, 0.4, 0.6, 0.0001);
    let models = &mut facts.measured.perplexities[0].1.models;
    models[1].against = Some(near.clone());
    assert!(render(&facts).contains("+2.00 % | +0.10 % … +4.00 % | 0.030 | shown: worse |"));
    let models = &mut facts.measured.perplexities[0].1.models;
    models.push(of_text("other.gguf", "99", 3.6, Some(near)));
    models.push(of_text("third.gguf", "98", 5.0, Some(far)));
    let card = render(&facts);
    assert!(card.contains("+2.00 % | +0.10 % … +4.00 % | 0.060 | not shown"), "{card}");
    assert!(card.contains("+50.00 % | +40.00 % … +60.00 % | < 0.001 | shown: worse |"), "{card}");
}

#[test]
fn the_relation_to_the_base_is_named_where_it_is_known() {
    let relation = |facts: &Facts| front::matter(facts).contains("base_model_relation: \"quantized\"");
    let mut facts = moe();
    assert!(!relation(&facts), "experts were taken out");
    facts.chain.0.remove(0);
    assert!(relation(&facts));
    facts.models[0].says.as_mut().unwrap().is_merge = true;
    assert!(front::matter(&facts).contains("base_model_relation: \"merge\""));
    facts.models[0].says.as_mut().unwrap().from.clear();
    assert!(!front::matter(&facts).contains("base_model"));
}

#[test]
fn an_input_from_the_hub_is_named_by_its_address_and_is_the_base() {
    let address = "hf:owner/base/moe.gguf@v1";
    let mut facts = moe();
    facts.models[0].says.as_mut().unwrap().from.clear();
    facts.chain.0[0].reads[0].annotations.insert("source".into(), address.into());
    let card = render(&facts);
    assert!(card.contains("base_model:\n- \"owner/base\"\n"), "{card}");
    assert!(card.contains(&format!("| `base` | `{address}` |")), "{card}");
    facts.chain = Chain::default();
    facts.models[0].source = Some(address.into());
    assert!(front::matter(&facts).contains("base_model:\n- \"owner/base\"\n"));
}

#[test]
fn a_stage_that_changes_no_byte_hides_no_other() {
    let mut facts = moe();
    let same = &[("model", "tiers", "moe-6-experts-Q4_K_M.gguf", "d1")];
    facts.chain.0.push(step("again", "quantize", same, &[("again-Q4_K_M.gguf", "d1")]));
    let lineage = facts.chain.lineage(&digest("d1"));
    assert_eq!(lineage.iter().map(|(step, _)| step.name.as_str()).collect::<Vec<_>>(), ["again", "tiers", "prune"]);
}

#[test]
fn a_shell_takes_a_files_name_as_a_name() {
    let card = |file: &str| render(&facts(vec![model(file, Some("mit"))]));
    assert!(card("-x.gguf").contains("\nllama_selfmod --models './-x.gguf'\n"));
    assert!(card("it's $(a) `b`.gguf").contains("\nllama_selfmod --models './it'\\''s $(a) `b`.gguf'\n"));
    assert!(!card(&"x y".repeat(99)).contains("--models"));
}

#[test]
fn a_pack_is_run_by_its_folder() {
    let team = Model { says: None, ..model("team.toml", None) };
    let card = render(&facts(vec![team, model("a.gguf", Some("mit")), model("b.gguf", Some("mit"))]));
    assert!(card.contains("```sh\nllama_selfmod --team .\n```"));
    assert!(card.contains("| `team.toml` | – |"));
}

#[test]
fn a_type_selects_a_file_only_where_no_other_has_it() {
    let mut facts = moe();
    assert!(render(&facts).contains("llama_selfmod -hf me/small-moe:Q4_K_M\n"));
    let mut second = facts.models[0].clone();
    second.file = "moe-4-experts-Q4_K_M.gguf".into();
    facts.models.push(second);
    assert!(render(&facts).contains("llama_selfmod -hf me/small-moe:moe-6-experts-Q4_K_M.gguf\n"));
}
