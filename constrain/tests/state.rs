//! Masks, ends and roll-backs, against reading the same text from its beginning.

use llama_selfmod_constrain::{Constraint, State, Units};
use serde_json::{Value, json};

/// Units are bytes, and 256 is the end.
fn bytes() -> Units {
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    pieces.push(Vec::new());
    Units::new(&pieces, 256).unwrap()
}

/// Some pieces of several bytes, all single bytes, some control tokens, and the end first.
fn tokens() -> Units {
    let mut pieces: Vec<Vec<u8>> = vec![b"</s>".to_vec(), Vec::new(), Vec::new()];
    pieces.extend((0..=255).map(|byte| vec![byte]));
    for piece in [
        "{\"",
        "\":",
        " \"",
        "\"}",
        "name",
        "true",
        "12",
        ", ",
        "a",
        "é",
        "\n\n",
        "  ",
        "\"name\":",
        "}]",
        "end",
        "<|im",
    ] {
        pieces.push(piece.as_bytes().to_vec());
    }
    Units::new(&pieces, 0).unwrap()
}

fn schema() -> Constraint {
    Constraint::Schema(json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "age": { "type": "integer" },
            "tags": { "type": "array", "items": { "enum": ["red", "green"] } },
        },
        "required": ["name"],
        "additionalProperties": false,
    }))
}

fn lark(text: &str) -> Constraint {
    Constraint::Lark(text.to_owned())
}

/// How many walks a grammar has; with 200 it was run once.
const SEEDS: u64 = 3;

/// A small generator of numbers, so that the walks are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

fn write(state: &mut State, text: &str) -> bool {
    text.bytes().all(|byte| state.push(u32::from(byte)).is_ok())
}

/// Whether the whole text fits and may end.
fn fits(units: &Units, constraint: &Constraint, text: &str) -> bool {
    let mut state = units.open(constraint).unwrap();
    write(&mut state, text) && state.may_end()
}

#[test]
fn json_of_a_schema_fits_and_other_json_does_not() {
    let units = bytes();
    assert!(fits(&units, &schema(), r#"{"name": "Ada", "age": 36, "tags": ["red"]}"#));
    assert!(!fits(&units, &schema(), r#"{"name": "Ada""#));
    assert!(!fits(&units, &schema(), r#"{"age": 36}"#));
    assert!(!fits(&units, &schema(), r#"{"name": 1}"#));
}

#[test]
fn json_has_white_space_where_its_style_has_it_and_nowhere_else() {
    let units = bytes();
    let blanks = [" ", "\n", "\t", "\r"];
    for (constraint, text) in [
        (schema(), r#"{"name": "Ada", "age": 36, "tags": ["red", "green"]}"#),
        (schema(), r#"{"name": "", "tags": []}"#),
        (Constraint::Schema(json!({})), r#"{"a": [1, {}, [], {"b": null, "c": -1.5}], "d": true}"#),
        (Constraint::Schema(json!({ "type": "object", "minProperties": 1 })), r#"{"a": "b", "c": 1}"#),
        (Constraint::Schema(json!({ "type": "object", "additionalProperties": { "type": "integer" } })), r#"{"a": 1}"#),
    ] {
        assert!(fits(&units, &constraint, text), "{text}");
        let is_outside = |at: usize| text[..at].matches('"').count() % 2 == 0;
        for at in (0..=text.len()).filter(|&at| is_outside(at)) {
            for blank in blanks {
                let more = format!("{}{blank}{}", &text[..at], &text[at..]);
                assert!(!fits(&units, &constraint, &more), "{more}");
            }
        }
        for (at, _) in text.match_indices(' ') {
            let less = format!("{}{}", &text[..at], &text[at + 1..]);
            assert!(!fits(&units, &constraint, &less), "{less}");
        }
    }
}

#[test]
fn a_schema_that_brings_its_own_style_keeps_it() {
    let own = Constraint::Schema(json!({ "type": "object", "x-guidance": { "whitespace_flexible": true } }));
    assert!(fits(&bytes(), &own, "{\n  \"name\" : \"Ada\"\n}"));
}

#[test]
fn the_end_is_allowed_where_the_text_may_end_and_nothing_follows_it() {
    let units = bytes();
    let mut state = units.open(&lark(r#"start: "a" "b"?"#)).unwrap();
    assert!(!state.allowed().unwrap().allows(256) && !state.may_end());
    assert!(state.push(256).is_err());
    state.push(u32::from(b'a')).unwrap();
    assert_eq!(state.allowed().unwrap().iter().collect::<Vec<_>>(), [u32::from(b'b'), 256]);
    state.push(u32::from(b'b')).unwrap();
    assert_eq!(state.allowed().unwrap().iter().collect::<Vec<_>>(), [256]);
    state.push(256).unwrap();
    assert!(state.has_ended() && !state.may_end());
    assert_eq!(state.allowed().unwrap().count(), 0);
    assert!(state.push(256).is_err());
    state.truncate(1).unwrap();
    assert_eq!(state.allowed().unwrap().iter().collect::<Vec<_>>(), [u32::from(b'b'), 256]);
    assert_eq!(state.len(), 1);
}

#[test]
fn a_unit_that_is_refused_changes_nothing() {
    let units = bytes();
    let mut state = units.open(&schema()).unwrap();
    assert!(write(&mut state, "{\"na"));
    let before = state.allowed().unwrap().clone();
    assert!(state.push(u32::from(b'x')).is_err());
    assert!(state.push(4711).is_err());
    assert_eq!(state.allowed().unwrap(), &before);
    assert_eq!(state.len(), 4);
}

#[test]
fn control_tokens_are_never_allowed_even_where_a_grammar_names_them() {
    let mut state = tokens().open(&lark("start: <[1]> | \"a\"")).unwrap();
    assert!(!state.allowed().unwrap().allows(1) && state.push(1).is_err());
    let mut state = tokens().open(&lark("start: <[1]>")).unwrap();
    assert_eq!(state.allowed().unwrap_err(), "No unit can write what the grammar asks for here.");
}

#[test]
fn what_is_wrong_with_a_constraint_is_said_in_a_few_lines_and_with_its_place() {
    let units = bytes();
    let error = |constraint: Constraint| units.open(&constraint).err().unwrap();
    assert_eq!(
        error(lark("start: \"a\"\nb: (")).lines().next().unwrap(),
        "2(5): Expected token ')', found '\\n' (at \"\\n\" ('\\n'))"
    );
    assert!(error(lark("x: \"a\"")).contains("no start rule"), "{}", error(lark("x: \"a\"")));
    assert!(error(Constraint::Schema(json!({ "type": "string", "format": "nonsense" }))).contains("nonsense"));
    assert!(error(Constraint::Schema(json!({ "$ref": "https://example.com/schema" }))).contains("$ref"));
    assert_eq!(error(Constraint::Schema(json!(1))), "A JSON schema is an object, not `1`.");
    assert!(units.open(&Constraint::Schema(Value::Bool(true))).is_ok());
}

#[test]
fn a_grammar_that_takes_too_much_is_an_error_that_can_be_taken_back() {
    let units = tokens();
    // Ambiguous in every way at each place.
    let text = format!(
        "start: \"[\" x \"]\"\nx: {}\n",
        (0..400).map(|n| format!("(\"a\" x{n})")).collect::<Vec<_>>().join(" | ")
    ) + &(0..400).map(|n| format!("x{n}: x? \"a\"{{0,{n}}} | \"b\"\n")).collect::<String>();
    let Ok(mut state) = units.open(&lark(&text)) else { return };
    let mut failed = None;
    state.push(3 + u32::from(b'[')).unwrap();
    for _ in 0..20 {
        if state.allowed().is_err() || state.push(3 + u32::from(b'a')).is_err() {
            failed = Some(state.len());
            break;
        }
    }
    let Some(length) = failed else { panic!("it did not take too much") };
    state.truncate(1).unwrap();
    assert!(length >= 1 && state.len() == 1);
}

#[test]
fn no_constraint_brings_the_program_down() {
    let units = bytes();
    let schemas = [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "type": "string", "pattern": "((a{1000}){1000}){1000}" }),
        json!({ "type": "string", "pattern": "(" }),
        json!({ "type": "string", "minLength": 1_000_000_000_u64 }),
        json!({ "type": "array", "minItems": 1_000_000_000_u64 }),
        json!({ "type": "array", "items": { "type": "integer" }, "maxItems": 4_000_000_000_u64 }),
        json!({ "type": "integer", "minimum": 5, "maximum": 3 }),
        json!({ "enum": (0..20_000).collect::<Vec<_>>() }),
        json!({ "enum": [] }),
        json!({ "x-guidance": 3 }),
        json!({ "properties": { "a": { "$ref": "#/properties/b" }, "b": { "$ref": "#/properties/a" } }, "required": ["a"] }),
        json!({ "not": {} }),
        json!({ "type": "nonsense" }),
    ];
    let grammars = [
        "start: start",
        "start: start start | \"\"",
        "start: \"\"*",
        "start: /a{100000}/",
        "start: a{100000}\na: \"x\"{100000}",
        "start: @other",
        "start: %json {\"type\":",
        "start: /[/",
        "start: ~/a/",
        "start: /(?s:.*)/ & ~/(?s:.*)/",
        "%llguidance {\"no_forcing\": 3}\nstart: \"a\"",
        "\u{0}",
        "",
    ];
    let deep = format!("start: {}\"a\"{}", "(".repeat(5000), ")".repeat(5000));
    let all = schemas.into_iter().map(Constraint::Schema);
    for constraint in all.chain(grammars.into_iter().chain([deep.as_str()]).map(lark)) {
        let start = std::time::Instant::now();
        if let Ok(mut state) = units.open(&constraint) {
            for _ in 0..20 {
                let Ok(Some(unit)) = state.allowed().map(|mask| mask.iter().next()) else { break };
                if state.push(unit).is_err() {
                    break;
                }
            }
            assert_eq!(state.truncate(0), Ok(()), "{constraint:?}");
        }
        let shown = format!("{constraint:?}");
        let time = start.elapsed();
        println!("{time:?} {}", shown.chars().take(80).collect::<String>());
        assert!(time.as_secs() < 60, "{shown}");
    }
}

/// Walks at random and rolls back often; after each roll-back everything must be as if the text had been read anew. How often
/// the text ended.
fn walk(units: &Units, constraint: &Constraint, seed: u64, steps: usize) -> usize {
    let mut numbers = Numbers(seed);
    // Where the single bytes begin.
    let first = if units.end() == 256 { 0 } else { 3 };
    let mut state = units.open(constraint).unwrap();
    let mut written: Vec<u32> = Vec::new();
    let (mut ends, mut backs) = (0, 0);
    let closing: Vec<u32> = b"\"}])e".iter().map(|&byte| first + u32::from(byte)).chain([units.end()]).collect();
    for step in 0..steps {
        let allowed: Vec<u32> = state.allowed().unwrap().iter().collect();
        if !allowed.is_empty() && numbers.below(4) != 0 {
            // Closing units more often: texts that never end test nothing at the end.
            let closing: Vec<u32> = allowed.iter().copied().filter(|unit| closing.contains(unit)).collect();
            let from = if closing.is_empty() || numbers.below(2) == 0 { &allowed } else { &closing };
            let unit = from[numbers.below(from.len())];
            state.push(unit).unwrap();
            written.push(unit);
            ends += usize::from(state.has_ended());
        } else {
            let keep = if numbers.below(3) == 0 {
                numbers.below(written.len() + 1)
            } else {
                written.len().saturating_sub(1 + numbers.below(4))
            };
            state.truncate(keep).unwrap();
            written.truncate(keep);
            backs += 1;
            let mut anew = units.open(constraint).unwrap();
            written.iter().for_each(|&unit| anew.push(unit).unwrap());
            assert_eq!(state.allowed().unwrap(), anew.allowed().unwrap(), "step {step} after {written:?}");
            assert_eq!(state.may_end(), anew.may_end());
            for probe in [&b"{\"name\": \"x"[..], b"a", b"  ", b"\"}"] {
                assert_eq!(state.accepts_bytes(probe), anew.accepts_bytes(probe));
            }
        }
        assert_eq!(state.len(), written.len());
    }
    assert!(backs > 10);
    ends
}

#[test]
fn a_roll_back_is_as_if_the_text_had_been_read_anew() {
    let (by_byte, by_token) = (bytes(), tokens());
    let arithmetic = lark(
        "start: sum\nsum: product (\"+\" product)*\nproduct: atom (\"*\" atom)*\natom: /[0-9]+/ | \"(\" sum \")\"",
    );
    let lists = lark("start: (\"- \" /[a-zé]+/ \"\\n\")+ \"end\"?");
    let spaces = lark("start: \"a\" \"b\" | \"c\"* \n%ignore / +/");
    let nested = lark(
        "start: \"x\" %json {\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"}},\"additionalProperties\":false} \"y\"?",
    );
    for (index, constraint) in [schema(), arithmetic, lists, spaces, nested].iter().enumerate() {
        let ends: usize = (1..SEEDS)
            .map(|seed| {
                walk(&by_byte, constraint, 77 * seed + index as u64, 150)
                    + walk(&by_token, constraint, 99 * seed + index as u64, 150)
            })
            .sum();
        assert!(ends > 2, "{constraint:?}: {ends}");
    }
}

#[test]
fn a_state_may_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<State>();
    is_send::<Units>();
}

/// `cargo test -p llama_selfmod-constrain --release -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn time_of_a_mask_over_32_000_units() {
    let mut numbers = Numbers(5);
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut known: std::collections::HashSet<Vec<u8>> = pieces.iter().cloned().collect();
    while pieces.len() < 32_000 {
        let mut piece = if numbers.below(2) == 0 { vec![b' '] } else { Vec::new() };
        let letters = b"etaoinshrdlucmfwypvbgkjqxz0123456789{}[]\",:.-";
        piece.extend((0..1 + numbers.below(9)).map(|_| letters[numbers.below(letters.len())]));
        // Vocabularies hardly have a piece twice, and a trie is slow where they do.
        if known.insert(piece.clone()) {
            pieces.push(piece);
        }
    }
    pieces.push(Vec::new());
    let start = std::time::Instant::now();
    let units = Units::new(&pieces, 32_000).unwrap();
    println!("trie: {:?}", start.elapsed());
    let characters = lark("start: \"\\\"\" (/[^\"]/)* \"\\\"\"");
    // The text before calls of functions.
    let text = lark("start: TEXT | TEXT \"<tool_call>\"\nTEXT: /(?s:.*)/ & ~/(?s:.*)<tool_call>(?s:.*)/");
    for (name, constraint) in [("schema", schema()), ("characters", characters), ("\"text", text)] {
        let start = std::time::Instant::now();
        let mut state = units.open(&constraint).unwrap();
        println!("{name} open: {:?}", start.elapsed());
        let (mut worst, mut sum, mut count) = (std::time::Duration::ZERO, std::time::Duration::ZERO, 0);
        let text = if name == "schema" {
            r#"{"name": "a long name that goes on", "age": 36, "tags": ["red", "green"]}"#
        } else {
            "\"a text"
        };
        for byte in text.bytes() {
            let start = std::time::Instant::now();
            state.allowed().unwrap();
            worst = worst.max(start.elapsed());
            sum += start.elapsed();
            count += 1;
            state.push(u32::from(byte)).unwrap();
        }
        println!("{name} mask: {:?} on average, {worst:?} at worst", sum / count);
    }
}
