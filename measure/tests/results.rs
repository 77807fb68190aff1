//! Files of results: what is written is read, whatever interrupts it.

mod support;

use llama_selfmod_measure::results::{Header, Item, Measured, Ratio, ResultsError, Writer, read};
use std::fs;
use std::io::Write;
use support::{header, right};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for a test")
}

#[test]
fn what_is_written_is_read() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let items = [
        Item { nats: Some(0.1 + 0.2), bytes: Some(7), question: Some("2 + 2?\n\u{1b}[31m".into()), ..right("a", true) },
        Item { error: Some("the answer has no number".into()), right: None, ..right("b", false) },
    ];
    let mut writer = Writer::open(&path, header("one")).unwrap();
    for item in items.clone() {
        writer.append(item).unwrap();
    }
    let results = read(&path).unwrap();
    assert_eq!(results.header, header("one"));
    assert_eq!(results.items[1], items[1]);
    assert_eq!(results.items[0].question, items[0].question);
    assert!(!results.items[1].is_right());
    assert!(results.notes.is_empty());
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn a_run_goes_on_where_a_kill_stopped_it_wherever_that_was() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let mut writer = Writer::open(&path, header("one")).unwrap();
    for id in ["a", "b", "c"] {
        writer.append(right(id, true)).unwrap();
    }
    drop(writer);
    let whole = fs::read(&path).unwrap();
    // Bytes after which the file was cut; at each, what is left is resumed and finished.
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut writer = Writer::open(&path, header("one")).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        // A line whose end alone is missing is whole.
        let done =
            whole[..cut].iter().filter(|&&byte| byte == b'\n').count() + usize::from(whole.get(cut) == Some(&b'\n'));
        assert_eq!(writer.items().len(), done.saturating_sub(1), "cut at {cut}");
        for id in ["a", "b", "c"] {
            if !writer.is_done(id) {
                writer.append(right(id, true)).unwrap();
            }
        }
        drop(writer);
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn another_run_is_refused_with_what_differs_and_its_file_stays() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    Writer::open(&path, header("one")).unwrap().append(right("a", true)).unwrap();
    let before = fs::read(&path).unwrap();
    let mut other = header("one");
    other.seed = 8;
    other.system.settings = serde_json::json!({ "temperature": 0.7 });
    other.system.members[0].sha256 = "f".repeat(64);
    let error = Writer::open(&path, other).unwrap_err().to_string();
    assert!(error.contains("its `seed` is 7, now it is 8"), "{error}");
    assert!(error.contains("its `system.settings.temperature` is 0.2, now it is 0.7"), "{error}");
    assert!(error.contains("its `system.members[0].sha256` is \"aaaa"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_none_of_ours_is_not_overwritten() {
    let folder = folder();
    for text in ["my notes", "my notes\n", "{\"a\": 1}\n", "\u{0}\u{0}", "{\"results\""] {
        let path = folder.path().join("notes.txt");
        fs::write(&path, text).unwrap();
        let opened = Writer::open(&path, header("one"));
        if text == "{\"results\"" {
            assert!(opened.is_ok(), "the beginning of our own header");
        } else {
            let error = opened.unwrap_err().to_string();
            assert!(error.contains("line 1 of") && error.contains("notes.txt"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}

#[test]
fn a_second_writer_is_refused() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let _first = Writer::open(&path, header("one")).unwrap();
    assert!(matches!(Writer::open(&path, header("one")), Err(ResultsError::InUse(_))));
}

#[test]
fn an_item_is_written_once() {
    let folder = folder();
    let mut writer = Writer::open(&folder.path().join("r.jsonl"), header("one")).unwrap();
    writer.append(right("a", true)).unwrap();
    assert!(matches!(writer.append(right("a", false)), Err(ResultsError::Twice { .. })));
}

#[test]
fn infinite_nats_are_an_item_that_could_not_be_judged() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let mut header = header("one");
    header.measured = Measured::Nats;
    let mut writer = Writer::open(&path, header).unwrap();
    writer.append(Item { id: "a".into(), nats: Some(f64::INFINITY), bytes: Some(3), ..Item::default() }).unwrap();
    let results = read(&path).unwrap();
    assert_eq!(results.items[0].error.as_deref(), Some("its negative log-likelihood is inf"));
    assert_eq!(results.items[0].cost(), None);
}

#[test]
fn bad_lines_are_named() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    Writer::open(&path, header("one")).unwrap().append(right("a", true)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for (line, why) in [
        ("no json", "expected ident"),
        ("[1]", "invalid"),
        ("{\"right\":true}", "missing field `id`"),
        ("{\"id\":\"b\"}", "no `right`"),
        ("{\"id\":\"a\",\"right\":true}", "twice"),
        ("{\"id\":\"b\",\"right\":true,\"nats\":-1}", "negative log-likelihood"),
        ("{\"id\":\"b\\u001b[2J\",\"right\":1}", "invalid type"),
    ] {
        fs::write(&path, format!("{good}{line}\n")).unwrap();
        for error in [read(&path).unwrap_err(), Writer::open(&path, header("one")).map(|_| ()).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("line 3 of") && error.contains("r.jsonl") && error.contains(why), "{line}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
    }
}

/// A header of results with figures.
fn of_figures() -> Header {
    Header { measured: Measured::Figures, ..header("one") }
}

fn reply(id: &str, figures: &[(&str, f64, f64)]) -> Item {
    let figures = figures.iter().map(|&(name, sum, of)| (name.to_owned(), Ratio { sum, of })).collect();
    Item { id: id.into(), figures, ..Item::default() }
}

#[test]
fn figures_are_kept_by_their_names() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let items = [reply("a", &[("bits", 0.1 + 0.2, 7.0), ("words", 3.0, 1.0)]), reply("b", &[("words", 0.0, 1.0)])];
    let mut writer = Writer::open(&path, of_figures()).unwrap();
    items.iter().for_each(|item| writer.append(item.clone()).unwrap());
    drop(writer);
    let results = read(&path).unwrap();
    assert_eq!((&results.items[1], results.header.measured), (&items[1], Measured::Figures));
    let ratio = results.items[0].figure("bits").unwrap();
    assert!((ratio.sum - 0.3).abs() < 1e-12 && ratio.of == 7.0);
    assert_eq!(results.items[1].figure("bits"), None);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""measured":"figures""#), "{text}");
    assert!(text.ends_with("{\"id\":\"b\",\"figures\":{\"words\":{\"sum\":0.0,\"of\":1.0}}}\n"), "{text}");
    assert_eq!(Writer::open(&path, of_figures()).unwrap().items(), results.items);
    // Files of before have none, and lines of others do not get one.
    assert!(right("a", true).figures.is_empty());
    assert_eq!(serde_json::to_string(&right("a", true)).unwrap(), r#"{"id":"a","right":true}"#);
}

#[test]
fn an_item_that_could_not_be_judged_has_no_figure() {
    let item = Item { error: Some("the context is full".into()), ..reply("a", &[("words", 3.0, 1.0)]) };
    assert_eq!(item.figure("words"), None);
}

#[test]
fn figures_that_are_none_are_an_item_that_could_not_be_judged() {
    for (sum, of, why) in
        [(f64::NAN, 2.0, "NaN of 2"), (1.0, 0.0, "1 of 0"), (f64::INFINITY, 1.0, "inf of 1"), (1.0, -1.0, "1 of -1")]
    {
        let folder = folder();
        let path = folder.path().join("r.jsonl");
        Writer::open(&path, of_figures())
            .unwrap()
            .append(reply("a", &[("bits", sum, of), ("words", 3.0, 1.0)]))
            .unwrap();
        let item = &read(&path).unwrap().items[0];
        assert_eq!(item.error, Some(format!("its figure `bits` is {why}")));
        assert_eq!(item.figures.keys().collect::<Vec<_>>(), ["words"]);
    }
}

#[test]
fn lines_without_sound_figures_are_refused() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    Writer::open(&path, of_figures()).unwrap().append(reply("a", &[("words", 3.0, 1.0)])).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    for (line, why) in [
        (r#"{"id":"b"}"#, "it has no `figures`, and no `error`"),
        (r#"{"id":"b","figures":{}}"#, "it has no `figures`, and no `error`"),
        (r#"{"id":"b","figures":{"words":{"sum":1,"of":1},"bits":{"sum":1,"of":0}}}"#, "is no ratio"),
        (r#"{"id":"b","figures":{"bits":{"sum":1,"of":-2}}}"#, "is no ratio"),
        (r#"{"id":"b","figures":{"bits":{"sum":1}}}"#, "missing field `of`"),
        (r#"{"id":"b","figures":{"bits":{"sum":null,"of":1}}}"#, "invalid type: null"),
        (r#"{"id":"b","figures":{"bits":{"sum":1e999,"of":1}}}"#, "out of range"),
    ] {
        fs::write(&path, format!("{good}{line}\n")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("line 3 of") && error.contains(why), "{line}: {error}");
    }
    fs::write(&path, format!("{good}{}\n", r#"{"id":"b","error":"the context is full"}"#)).unwrap();
    assert_eq!(read(&path).unwrap().items.len(), 2);
}

#[test]
fn files_without_items_say_so() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    let error = || read(&path).unwrap_err().to_string();
    assert!(error().contains("cannot be read"));
    fs::write(&path, "").unwrap();
    assert!(error().contains("holds no item"));
    fs::write(&path, "\n\n").unwrap();
    assert!(error().contains("holds no item"));
    fs::write(&path, "{\"resul").unwrap();
    assert!(error().contains("cut off"));
    fs::write(&path, "{\"results\":9}\n").unwrap();
    assert!(error().contains("format 9"));
    fs::write(&path, "{\"a\":9}\n").unwrap();
    assert!(error().contains("neither a header of results nor"));
    assert!(matches!(read(folder.path()), Err(ResultsError::NoFile(_))));
    assert!(matches!(Writer::open(folder.path(), header("one")), Err(ResultsError::NoFile(_))));
}

#[test]
fn a_torn_last_line_is_left_out_and_told() {
    let folder = folder();
    let path = folder.path().join("r.jsonl");
    Writer::open(&path, header("one")).unwrap().append(right("a", true)).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"id\":\"b\",\"ri").unwrap();
    let results = read(&path).unwrap();
    assert_eq!(results.items.len(), 1);
    assert!(results.notes[0].contains("line 3 of") && results.notes[0].contains("cut off"), "{:?}", results.notes);
}

/// A limit on the size of files stands for the full disk: the system writes what fits and then refuses. The test runs itself in
/// a shell that sets the limit, and the signal that comes with it is ignored there.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_items_before_and_a_later_run_goes_on() {
    const FOLDER: &str = "RESULTS_FULL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let mut writer = Writer::open(&std::path::Path::new(&folder).join("r.jsonl"), header("one")).unwrap();
        let error =
            (0..1_000).find_map(|at| writer.append(right(&format!("q{at}"), true)).err()).expect("the disk is full");
        println!("error: {error}");
        return;
    }
    let folder = folder();
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_full_disk_keeps_the_items_before_and_a_later_run_goes_on", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("error: item `q") && text.contains("r.jsonl") && text.contains("are kept"), "{text}");
    let path = folder.path().join("r.jsonl");
    let kept = read(&path).unwrap();
    assert!(kept.items.len() > 10 && kept.notes.is_empty(), "{kept:?}");
    let mut writer = Writer::open(&path, header("one")).unwrap();
    assert_eq!(writer.items().len(), kept.items.len());
    writer.append(right("later", true)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_no_file_of_results() {
    for device in ["/dev/full", "/dev/zero", "/dev/null"] {
        assert!(matches!(Writer::open(device.as_ref(), header("one")), Err(ResultsError::NoFile(_))), "{device}");
        assert!(matches!(read(device.as_ref()), Err(ResultsError::NoFile(_))), "{device}");
    }
}

#[test]
fn lm_evals_samples_of_several_filters_are_read_by_the_strict_one() {
    let folder = folder();
    let path = folder.path().join("samples_gsm8k_2026-05-01T12-00-00.123456.jsonl");
    let sample = |id: u32, filter: &str, value: f64| {
        serde_json::json!({
            "doc_id": id,
            "doc": { "question": "How many?", "answer": "#### 4" },
            "target": "#### 4",
            "arguments": { "gen_args_0": { "arg_0": "Question: How many?\nAnswer:" } },
            "resps": [["It is 4"]],
            "filtered_resps": ["4"],
            "filter": filter,
            "metrics": ["exact_match"],
            "doc_hash": format!("h{id}"),
            "prompt_hash": "p",
            "target_hash": "t",
            "exact_match": value,
        })
        .to_string()
    };
    let lines = [
        sample(0, "flexible-extract", 1.0),
        sample(0, "strict-match", 0.0),
        sample(1, "flexible-extract", 1.0),
        sample(1, "strict-match", 1.0),
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let results = read(&path).unwrap();
    assert_eq!(results.header.task, "gsm8k");
    assert_eq!(results.header.measured, Measured::Right);
    assert_eq!(results.items.iter().map(Item::is_right).collect::<Vec<_>>(), [false, true]);
    assert!(
        results.notes[0].contains("flexible-extract, strict-match; `strict-match` is taken"),
        "{:?}",
        results.notes
    );
    assert_eq!(results.items[0].question.as_deref(), Some("How many?"));
    assert_eq!(results.items[0].answer.as_deref(), Some("4"));
    assert_eq!(results.items[0].digest.as_deref(), Some("h0 t"));
}

#[test]
fn lm_evals_choices_have_both_normalisations() {
    let folder = folder();
    let path = folder.path().join("samples_arc_easy_2026-05-01T12-00-00.jsonl");
    let line = r#"{"doc_id": 3, "doc": {"id": "x", "question": "Hot?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}}, "target": "1", "filtered_resps": [["-9.5", "False"], ["-2.5", "False"]], "filter": "none", "metrics": ["acc", "acc_norm"], "doc_hash": "h", "target_hash": "t", "acc": 1.0, "acc_norm": 0.0}"#;
    fs::write(&path, line).unwrap();
    let results = read(&path).unwrap();
    let item = &results.items[0];
    assert_eq!((item.id.as_str(), item.right, item.right_normalised), ("3", Some(true), Some(false)));
    assert_eq!((item.answer.as_deref(), item.expected.as_deref()), (Some("fire"), Some("fire")));
    assert_eq!(results.header.task, "arc_easy");
}

#[test]
fn lm_evals_texts_have_nats_and_bytes() {
    let folder = folder();
    let path = folder.path().join("samples_wikitext.jsonl");
    fs::write(&path, r#"{"doc_id": 0, "doc": {"page": "x"}, "target": "x", "filtered_resps": ["-12.5"], "metrics": ["word_perplexity", "byte_perplexity", "bits_per_byte"], "word_perplexity": [-12.5, 3], "byte_perplexity": [-12.5, 20], "bits_per_byte": [-12.5, 20]}"#).unwrap();
    let results = read(&path).unwrap();
    assert_eq!(results.header.measured, Measured::Nats);
    assert_eq!(results.items[0].cost(), Some((12.5, 20)));
}

#[test]
fn lm_evals_samples_without_right_and_wrong_are_refused_by_name() {
    let folder = folder();
    let path = folder.path().join("samples_squad.jsonl");
    fs::write(&path, r#"{"doc_id": 0, "doc": {}, "filtered_resps": ["a"], "metrics": ["f1"], "f1": 0.4}"#).unwrap();
    let error = read(&path).unwrap_err().to_string();
    assert!(error.contains("line 1 of") && error.contains("its metrics are f1"), "{error}");
}
