//! `eval` and `compare`.

use super::letters;
use crate::support::program::{Place, error_of, model};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Stories to go on with; what counts as right is whether a letter is in them, so that some are.
fn task(place: &Place, items: usize) {
    let openings =
        ["Once upon a time", "One day, a little girl", "Tom and his dog", "The sun was warm, and", "Mia did"];
    let item = |number: usize| {
        let prompt = format!("{} {}", openings[number % openings.len()], ["went", "saw", "had"][number % 3]);
        serde_json::json!({ "id": format!("item-{number}"), "prompt": prompt, "letter": "m" }).to_string()
    };
    place.file("items.jsonl", (0..items).map(item).collect::<Vec<_>>().join("\n"));
    place.file(
        "letters.toml",
        "name = 'letters'\nkind = 'generate'\nitems = 'items.jsonl'\nprompt = '{prompt}'\nexpected = '{letter}'\n\
         max_tokens = 24\nanswer = { rule = 'regex', pattern = '(m)' }\n",
    );
}

/// Results by their ids, without times.
fn items(text: &str) -> Vec<Value> {
    let mut items: Vec<Value> = text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    items.iter_mut().for_each(|item| drop(item.as_object_mut().unwrap().remove("seconds")));
    items.sort_by_key(|item| item["id"].as_str().unwrap().to_string());
    items
}

#[test]
fn items_are_the_same_one_by_one_and_eight_at_once() {
    let place = Place::new();
    task(&place, 12);
    for at_once in ["1", "8"] {
        // The demo's weights are of a kind whose rows do not depend on the batch.
        let output = format!("{at_once}.jsonl");
        let text = place.text(&["eval", "letters.toml", "--demo", "-t", "0.7", "--at-once", at_once, "-o", &output]);
        assert!(text.contains("of 12 right"), "{text}");
    }
    let (one, eight) = (items(&place.read("1.jsonl")), items(&place.read("8.jsonl")));
    assert_eq!(one.len(), 12);
    assert_eq!(one, eight);
    let right = one.iter().filter(|item| item["right"] == true).count();
    assert!(right > 0 && right < 12, "{right} of 12 say nothing");
    let limited = place.text(&["eval", "letters.toml", "--demo", "-t", "0.7", "--limit", "5", "-o", "5.jsonl"]);
    assert!(limited.contains("of 5 right"), "{limited}");
    let five = items(&place.read("5.jsonl"));
    assert!(five.iter().all(|item| one.contains(item)), "a limit changes which items are asked, and nothing else");
}

#[test]
fn a_kill_loses_the_items_under_way_and_no_other() {
    let place = Place::new();
    task(&place, 100);
    let words = ["eval", "letters.toml", "--demo", "-t", "0.7", "--at-once", "2", "-o", "killed.jsonl"];
    let mut process = place.process(&words).spawn().unwrap();
    let lines = || std::fs::read_to_string(place.path().join("killed.jsonl")).map_or(0, |text| text.lines().count());
    let begin = Instant::now();
    while lines() < 6 && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let before = items(&place.read("killed.jsonl"));
    assert!(before.len() >= 5 && before.len() < 100, "{} of 100 when it was killed", before.len());
    place.text(&words);
    place.text(&[&words[..7], &["-o", "whole.jsonl"]].concat());
    let (killed, whole) = (items(&place.read("killed.jsonl")), items(&place.read("whole.jsonl")));
    assert_eq!(killed, whole);
    assert!(before.iter().all(|item| killed.contains(item)), "what was answered stays");
    let refusal = place.refusal(&["eval", "letters.toml", "--demo", "-t", "0.9", "-o", "killed.jsonl"]);
    assert!(refusal.contains("temperature"), "{refusal}");
}

#[test]
fn an_ensemble_is_compared_with_its_best_member_and_with_its_own_compute() {
    let place = Place::new();
    task(&place, 10);
    let words =
        ["eval", "letters.toml", "--demo", "-t", "0.7", "--against", "samples", "-o", "r.jsonl", "--html", "p.html"];
    let text = place.text(&words);
    assert!(text.contains("tale") && text.contains("fable") && text.contains("best of 2"), "{text}");
    assert!(text.contains("shown"), "{text}");
    // The best member is the one that is compared with.
    let right = |file: &str| items(&place.read(file)).iter().filter(|item| item["right"] == true).count();
    let members = ["tale", "fable"].into_iter().zip(["r.member-1.jsonl", "r.member-2.jsonl"].map(right));
    let (best, most) = members.reduce(|best, one| if one.1 > best.1 { one } else { best }).unwrap();
    assert!(text.contains(&format!("letters, {best}: {most} of 10 right")), "{best} has {most}: {text}");
    let page = place.read("p.html");
    assert!(page.contains("<svg") && page.contains("best of 2") && !page.contains("http://"), "a page of its own");
    let text = place.text(&["compare", "r.member-1.jsonl", "r.jsonl"]);
    assert!(text.contains("shown"), "{text}");
    let json: Value = serde_json::from_str(&place.text(&["compare", "r.member-1.jsonl", "r.jsonl", "--json"])).unwrap();
    assert_eq!(json["contrasts"][0]["items"], 10, "{json}");
    let refusal = place.refusal(&["eval", "letters.toml", "--demo", "--against", "samples"]);
    assert!(refusal.contains("--temperature"), "{refusal}");
}

#[test]
fn a_quick_run_ends_when_a_difference_is_shown() {
    let place = Place::new();
    task(&place, 60);
    // English has `th` or `to` in every 24 tokens; a model of letters cannot even read the prompts.
    place.file(
        "english.toml",
        "name = 'english'\nkind = 'generate'\nitems = 'items.jsonl'\nprompt = '{prompt}'\nexpected = 't'\n\
         max_tokens = 24\nanswer = { rule = 'regex', pattern = '(t)[ho]' }\n",
    );
    let other = letters(&place);
    let words = ["eval", "english.toml", "--demo", "--against", &other, "--quick", "-o", "q.jsonl"];
    let text = place.text(&words);
    let asked = items(&place.read("q.jsonl")).len();
    assert!(asked < 60 && asked.is_multiple_of(8), "{asked} of 60 were asked: {text}");
    assert_eq!(items(&place.read("q.against.jsonl")).len(), asked);
    assert!(text.contains("shown, better"), "{text}");
}

#[test]
fn a_quick_run_without_a_difference_asks_everything() {
    let place = Place::new();
    task(&place, 20);
    place.file(
        "never.toml",
        "name = 'never'\nkind = 'generate'\nitems = 'items.jsonl'\nprompt = '{prompt}'\nexpected = 'x'\n\
         max_tokens = 24\nanswer = { rule = 'regex', pattern = '(m)' }\n",
    );
    let own = model("stories-970k-bytes.gguf");
    let words = ["eval", "never.toml", "--demo", "--against", own.to_str().unwrap(), "--quick"];
    let text = place.text(&words);
    assert!(text.contains("0 of 20 right") && text.contains("not shown"), "{text}");
    let refusal = place.refusal(&["eval", "never.toml", "--demo", "--against", "best", "--quick"]);
    assert!(refusal.contains("--quick"), "{refusal}");
}

#[test]
fn the_tasks_of_the_field_can_be_asked() {
    let place = Place::new();
    let own = model("stories-970k-bytes.gguf");
    for name in ["gsm8k", "maths", "arc", "humaneval"] {
        let words = ["eval", name, "-m", own.to_str().unwrap(), "--limit", "2", "--json"];
        let output = place.command(&words).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if name == "humaneval" && error.contains("bubblewrap") {
            // Refused where there is no sandbox.
            continue;
        }
        assert!(output.status.success(), "{name}: {error}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["task"], name, "{json}");
        assert!(error.contains("five examples"), "{name}: {error}");
    }
}

#[test]
fn perplexity_is_told_with_bits_per_byte() {
    let place = Place::new();
    let story = format!("{}/../tests/fixtures/tinystories-dev.txt", env!("CARGO_MANIFEST_DIR"));
    let small = model("stories-260k.gguf");
    let words =
        ["eval", "perplexity", "-m", small.to_str().unwrap(), "--data", &story, "--limit", "10", "-o", "p.jsonl"];
    let text = place.text(&words);
    assert!(text.contains("perplexity") && text.contains("bits per byte"), "{text}");
    assert_eq!(items(&place.read("p.jsonl")).len(), 10);
    // What is there is not scored again, and what a whole run says of it is the same.
    let more = [&words[..7], &["12", "-o", "p.jsonl"]].concat();
    let whole = [&words[..7], &["12", "-o", "whole.jsonl"]].concat();
    assert_eq!(words[6], "--limit", "{words:?}");
    place.text(&more);
    place.text(&whole);
    assert_eq!(items(&place.read("p.jsonl")), items(&place.read("whole.jsonl")));
}

#[test]
fn what_cannot_be_used_is_told_in_a_sentence() {
    let place = Place::new();
    task(&place, 3);
    let toml =
        "name = 'broken'\nkind = 'generate'\nitems = 'broken.jsonl'\nprompt = '{prompt}'\nexpected = '{letter}'\n";
    place.file("broken.toml", toml);
    for (items, told) in [
        ("", "no items"),
        ("{\"prompt\": \"a\", \"letter\": \"b\"}\n{\"prompt\": \"a\"\n", "line 2"),
        ("{\"prompt\": \"a\"}\n", "letter"),
    ] {
        place.file("broken.jsonl", items);
        let refusal = place.refusal(&["eval", "broken.toml", "--demo"]);
        assert!(refusal.contains(told), "{told}: {refusal}");
    }
    for (words, told) in [
        (&["eval", "gsm8", "--demo"][..], "gsm8k"),
        (&["eval", "missing.toml", "--demo"], "missing.toml"),
        (&["eval", "gsm8k", "arc", "--demo", "--data", "items.jsonl"], "--data"),
        (&["eval", "letters.toml", "--demo", "--quick"], "--against"),
        (&["eval", "letters.toml", "--demo", "--against", "nothing.gguf"], "nothing.gguf"),
        (&["compare", "items.jsonl", "items.jsonl"], "items.jsonl"),
    ] {
        let refusal = place.refusal(words);
        assert!(refusal.contains(told), "{told}: {refusal}");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_keeps_what_was_written() {
    let place = Place::new();
    task(&place, 20);
    // No file may grow beyond 4 kB, which the header and a few items fit into.
    let small = model("stories-260k.gguf");
    let words =
        ["eval", "letters.toml", "-m", small.to_str().unwrap(), "--trust", "--at-once", "1", "-o", "full.jsonl"];
    let program = place.process(&words);
    let words: Vec<String> = program.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut limited = std::process::Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\"").arg(program.get_program()).args(&words);
    limited.current_dir(place.path());
    for (name, value) in program.get_envs() {
        value.map(|value| limited.env(name, value));
    }
    let output = limited.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = error_of(&output);
    assert!(told.contains("full.jsonl"), "{told}");
    let kept = place.read("full.jsonl");
    assert!(kept.ends_with('\n') && kept.lines().count() > 1, "{kept}");
}
