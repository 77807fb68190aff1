//! The chat in a real terminal. Nothing here sleeps for as long as something should take: every step waits until the
//! screen shows what comes of it.
#![cfg(unix)]

use crate::support::program;
use crate::support::screen;

use program::{ABSOLUTE, PAIR, Place, compiled, slow};
use screen::Screen;

const SIZE: (u32, u32) = (100, 60);
/// For replies of a line or two.
const SHORT: [&str; 4] = ["--seed", "4", "-n", "30"];
/// Stands once in the status below every reply.
const STATUS: &str = "tokens/s";

fn open(place: &Place, words: &[&str]) -> Option<Screen> {
    Screen::open(place, SIZE, &[&[PAIR], words].concat())
}

/// What stands between the last prompt of this text and the notes, without white space.
fn reply_to(screen: &str, prompt: &str) -> String {
    let Some((_, after)) = screen.rsplit_once(&format!("\n> {prompt}\n")) else { return String::new() };
    let lines = after.lines();
    squeezed(&lines.take_while(|line| !line.starts_with('⟲') && !line.contains("agreement")).collect::<String>())
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

fn logged(place: &Place, index: usize) -> String {
    squeezed(place.log()[index]["response"].as_str().unwrap())
}

#[test]
fn a_story_in_three_turns() {
    let place = Place::new();
    let Some(screen) = open(&place, &SHORT) else { return };
    let first = screen.asks_after("/help lists the commands", 1);
    assert!(first.starts_with("stories-260k, stories-280k · fusion confidence · policies retraction"), "{first}");
    for (index, prompt) in ["Once upon a time", "What then?", "And the end?"].into_iter().enumerate() {
        screen.line(prompt);
        let now = screen.asks_after(STATUS, index + 1);
        assert_eq!(reply_to(&now, prompt), logged(&place, index), "{now}");
        let begin = now.lines().skip_while(|line| *line != format!("> {prompt}")).nth(1).unwrap();
        assert!(begin.starts_with(|first: char| !first.is_whitespace()), "{now}");
    }
    let log = place.log();
    let read = |index: usize| &log[index]["timings"]["prompt_tokens_decoded"];
    let whole = log[2]["timings"]["prompt_tokens"].as_u64().unwrap();
    assert!(read(2).as_u64().unwrap() < whole / 2, "the third turn reads only what is new: {} of {whole}", read(2));
    screen.line("/quit");
    screen.shows("left with 0");
}

#[test]
fn the_table_of_a_replay_fits_the_terminal() {
    let place = Place::new();
    let run = [PAIR, "--seed", "1", "-n", "40", "--policy", "none", "--trace", "run.jsonl", "-p", "Once upon a time"];
    place.text(&run);
    let words = ["replay", "run.jsonl", "--policy", ABSOLUTE, "--policy", "none.rhai"];
    place.file("none.rhai", "fn on_token(step, token) {}\n");
    let Some(screen) = Screen::open(&place, SIZE, &words) else { return };
    let table = screen.shows("left with 0");
    let rows: Vec<&str> = table.lines().filter(|line| line.contains(" assess ")).collect();
    assert!(rows.len() > 5, "{table}");
    for row in rows {
        // A row that did not fit would go on in the next line.
        assert!(row.ends_with('·') && row.contains('…'), "{table}");
    }
}

#[test]
fn text_that_is_taken_back_disappears() {
    let place = Place::new();
    // Ten tokens go when twelve stand, over more than one row of a narrow terminal.
    place.file(
        "gone.rhai",
        "fn on_assessment(step, a) { if step.position == 12 && step.attempt == 0 { retract(10, \"try\") } }",
    );
    let plugin = compiled(place.path(), &["ACTION=0", "PAUSE_MS=60"]);
    let words = [PAIR, "--seed", "4", "-n", "24", "--plugin", &plugin, "--policy", "gone.rhai"];
    let Some(screen) = Screen::open(&place, (24, 50), &words) else { return };
    screen.asks_after("commands", 1);
    screen.line("Tell me");
    let mut seen = Vec::new();
    let last = screen.until("the end of the reply", |now| {
        seen.push(reply_to(now, "Tell me"));
        now.contains(STATUS) && now.ends_with('>')
    });
    let kept = logged(&place, 0);
    assert_eq!(reply_to(&last, "Tell me"), kept, "{last}");
    let gone = place.log()[0]["retraction_details"][0]["rejected"].as_str().unwrap().to_owned();
    assert!(last.contains("⟲ took back “"), "{last}");
    assert!(seen.iter().any(|reply| !kept.starts_with(reply)), "{gone:?} never stood there: {seen:?}");
}

#[test]
fn why_tells_what_the_policies_saw() {
    let place = Place::new();
    place.file(
        "odd.rhai",
        "fn on_token(step, token) { if step.attempt == 0 && step.position == 6 { resample(\"another one\") } }\n",
    );
    let Some(screen) = open(&place, &["--seed", "4", "-n", "12", "--policy", "odd.rhai"]) else { return };
    screen.asks_after("/help lists the commands", 1);
    screen.line("/why");
    screen.shows("there is no reply to explain yet");
    screen.line("Once upon a time");
    screen.asks_after(STATUS, 1);
    screen.line("/why");
    let why = screen.shows("another one");
    assert!(why.contains("was refused") && why.contains("stories-260k: ") && why.contains("Surprise"), "{why}");
    screen.line("/why 2");
    screen.shows("Token 2 of 12");
    screen.line("/why xylophone");
    screen.shows("is not in the reply");
}

#[test]
fn ctrl_c_ends_a_reply_and_keeps_the_chat() {
    let place = Place::new();
    let plugin = slow(place.path());
    let Some(screen) = open(&place, &["--seed", "4", "-n", "200", "--plugin", &plugin]) else { return };
    screen.asks_after("commands", 1);
    screen.line("Once upon a time");
    screen.until("some of the reply", |now| reply_to(now, "Once upon a time").len() > 20);
    screen.key("C-c");
    let now = screen.asks_after("interrupted", 1);
    assert_eq!(reply_to(&now, "Once upon a time"), logged(&place, 0), "{now}");
    screen.line("/stats");
    screen.shows("1 with ");
    screen.asks_after("seed ", 1);
    screen.key("C-c");
    screen.shows("Ctrl-C once more leaves");
    screen.line("/undo");
    screen.asks_after("undone; the conversation is empty", 1);
    // Something was typed in between: it takes two again.
    screen.key("C-c");
    screen.until("the second hint", |now| now.matches("Ctrl-C once more leaves").count() == 2);
    screen.key("C-c");
    screen.shows("left with 0");
}

#[test]
fn a_script_that_is_edited_while_a_reply_is_written_takes_over() {
    let place = Place::new();
    let plugin = slow(place.path());
    // No text ends by itself.
    let script = "fn on_token(step, token) { if token.is_end { resample() } }\n";
    place.file("mine.rhai", script);
    let words = ["-n", "5000", "--context-shift", "--plugin", &plugin, "--policy", "mine.rhai"];
    let Some(screen) = open(&place, &words) else { return };
    screen.asks_after("commands", 1);
    screen.line("Once upon a time");
    screen.until("some of the reply", |now| reply_to(now, "Once upon a time").len() > 20);
    place.file("mine.rhai", format!("{script}fn on_assessment(step, a) {{ nonsense("));
    screen.shows("! `mine.rhai`");
    place.file("mine.rhai", format!("{script}fn on_assessment(step, a) {{ stop(\"enough\") }}"));
    let now = screen.asks_after(STATUS, 1);
    assert!(now.contains("↻ mine.rhai reloaded (2nd version, "), "{now}");
    assert!(now.contains("ended by a policy: enough"), "{now}");
    assert!(now.contains("`mine.rhai`, line 2"), "the mistake in between is told: {now}");
}

#[test]
fn commands_change_what_comes_and_a_saved_chat_goes_on_after_a_restart() {
    let place = Place::new();
    let Some(screen) = open(&place, &SHORT) else { return };
    screen.asks_after("commands", 1);
    for (line, answer) in [
        ("/params temperature 0.9", "temperature is 0.9 now"),
        ("/fusion average", "average fuses from now on"),
        ("/policy", "* retraction  running"),
        ("/policy retraction off", "retraction is off now"),
        ("/parms", "did you mean `/params`?"),
        ("/params temperature nan", "a number from 0 (always the likeliest) to 5"),
        ("/undo", "there is nothing to undo"),
        ("/load absent.json", "there is no file `absent.json`; check the path"),
        ("/save", "`/save chat.json`"),
    ] {
        screen.line(line);
        screen.asks_after(answer, 1);
    }
    screen.line("Once upon a time");
    screen.asks_after(STATUS, 1);
    screen.line("/retry");
    screen.asks_after(STATUS, 2);
    assert_ne!(logged(&place, 0), logged(&place, 1), "another reply");
    screen.line("And then?");
    screen.asks_after(STATUS, 3);
    screen.line("/undo");
    screen.asks_after("undone; the last message is “", 1);
    screen.line("/stats");
    let now = screen.asks_after("3 with ", 1);
    assert!(now.contains("fusion        average") && now.contains("policies      none"), "{now}");
    screen.line("/save chat.json");
    screen.asks_after("saved to `chat.json`", 1);
    screen.line("/quit");
    screen.shows("left with 0");
    let log = place.log();
    assert_eq!((&log[2]["fusion_mode"], &log[2]["settings"]["policies"]), (&"average".into(), &serde_json::json!([])));
    assert_eq!(log[2]["final_temperature"].as_f64().map(|x| x as f32), Some(0.9));

    let Some(screen) = open(&place, &["-n", "30", "--seed", "99"]) else { return };
    screen.asks_after("commands", 1);
    screen.line("/load chat.json");
    let now = screen.asks_after("1 exchange loaded; the last message is “", 1);
    assert!(!now.contains("differ"), "{now}");
    screen.line("/params");
    screen.asks_after("temperature     0.9", 1);
    screen.line("And then?");
    screen.asks_after(STATUS, 1);
    // The same conversation, settings and seed.
    assert_eq!(squeezed(&place.log()[3]["seed"].to_string()), "4");
    screen.line("/reset");
    screen.asks_after("the conversation is forgotten", 1);
    screen.key("C-d");
    screen.shows("left with 0");
}

#[test]
fn what_is_typed_while_a_reply_is_written_is_the_next_lines() {
    let place = Place::new();
    let plugin = slow(place.path());
    let Some(screen) = open(&place, &["-n", "30", "--plugin", &plugin]) else { return };
    screen.asks_after("commands", 1);
    screen.line("one");
    screen.until("some of the reply", |now| !reply_to(now, "one").is_empty());
    screen.line("小さな猫 😀");
    screen.line("/params");
    let now = screen.asks_after("repeat-penalty  1.1", 1);
    let prompts: Vec<_> = now.lines().filter(|line| line.starts_with("> ")).collect();
    assert_eq!(prompts, ["> one", "> 小さな猫 😀", "> /params"], "{now}");
    assert_eq!(place.log()[1]["prompt"], "小さな猫 😀");
}

#[test]
fn a_message_of_several_lines_is_one_message() {
    let place = Place::new();
    let Some(screen) = open(&place, &SHORT) else { return };
    screen.asks_after("commands", 1);
    screen.line("one \\");
    screen.line("two");
    screen.asks_after(STATUS, 1);
    screen.line("\"\"\"");
    screen.line("/three");
    screen.line("four\"\"\"");
    screen.asks_after(STATUS, 2);
    let prompts: Vec<_> = place.log().iter().map(|line| line["prompt"].clone()).collect();
    assert_eq!(prompts, ["one \ntwo", "/three\nfour"]);
}

#[test]
fn a_conversation_that_has_become_too_long_is_told_with_what_can_be_done() {
    let place = Place::new();
    let Some(screen) = open(&place, &["-c", "48", "-n", "30", "--seed", "4"]) else { return };
    screen.asks_after("commands", 1);
    screen.line("Once upon a time");
    screen.asks_after(STATUS, 1);
    screen.line("And then?");
    let now = screen.asks_after("the conversation is ", 1);
    assert!(squeezed(&now).contains("taketurnsback,startanew,orlet--context-shiftdroptheoldestones"), "{now}");
    screen.line("/undo");
    screen.line("Go on");
    screen.asks_after(STATUS, 2);
}
