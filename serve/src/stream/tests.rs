use super::*;
use crate::backend::Refusal;

fn token(index: u32, bytes: &[u8], text: &str, committed: usize) -> Told {
    let (units, bytes) = (bytes.iter().map(|byte| u32::from(*byte)).collect(), bytes.to_vec());
    let piece = Piece { index, units, bytes, logprob: -0.5, alternatives: Vec::new(), members: Vec::new() };
    Told::Token { text: text.into(), committed, piece: Some(piece), event: Value::Null }
}

fn rest(text: &str, committed: usize) -> Told {
    Told::Token { text: text.into(), committed, piece: None, event: Value::Null }
}

fn retract(index: u32, units: u32, bytes: usize) -> Told {
    Told::Retract { index, units, bytes, event: Value::Null }
}

fn done(finish: Finish, text: &str, tokens: u32) -> Told {
    Told::Done { finish, text: text.into(), tokens, retracted: 0, event: Value::Null }
}

/// What a client sees: `text[pieces]` of each delta, and `.` at the end.
fn seen(view: View, told: Vec<Told>) -> Result<String, Failure> {
    let mut standing = Standing::new(view);
    let mut seen = Vec::new();
    for told in told {
        for delta in standing.take(told)? {
            seen.push(match delta {
                Delta::Text { text, pieces, .. } => {
                    let pieces: Vec<_> = pieces.iter().map(|piece| piece.index.to_string()).collect();
                    format!("{text}[{}]", pieces.join(","))
                }
                Delta::Retract { bytes, .. } => format!("-{bytes}"),
                Delta::Over(_) => ".".into(),
                Delta::Started { .. } | Delta::Event(_) => String::new(),
            });
        }
    }
    Ok(seen.join(" "))
}

#[test]
fn text_comes_when_it_is_certain_and_the_rest_at_the_end() {
    let told = vec![
        token(0, b"one", "one", 0),
        token(1, b" two", " two", 3),
        token(2, b" bad", " bad", 3),
        retract(2, 1, 4),
        token(2, b" three", " three", 7),
        done(Finish::End, "one two three", 3),
    ];
    assert_eq!(seen(View::Certain, told.clone()).unwrap(), "one[0]  two[1]  three[2] .");
    assert_eq!(seen(View::All, told).unwrap(), "one[0]  two[1]  bad[2] -4  three[2] .");
}

#[test]
fn a_character_over_several_pieces_comes_with_all_of_them() {
    let told = vec![
        token(0, b"a\xe2", "a", 1),
        token(1, b"\x82", "", 1),
        token(2, b"\xac", "€", 4),
        done(Finish::End, "a€", 3),
    ];
    assert_eq!(seen(View::Certain, told).unwrap(), "a[] €[0,1,2] .");
}

#[test]
fn a_commitment_within_a_character_waits_for_the_whole() {
    let told = vec![token(0, "é".as_bytes(), "é", 1), token(1, b"x", "x", 3), done(Finish::Length, "éx", 2)];
    assert_eq!(seen(View::Certain, told).unwrap(), "éx[0,1] .");
}

#[test]
fn a_piece_whose_text_is_held_is_not_seen_before_it_is_certain() {
    // "st" could become the stop string "stop": its text is held, and then its units are taken back.
    let told = vec![
        token(0, b"a ", "a ", 2),
        token(1, b"st", "", 2),
        token(2, b"ir", "stir", 2),
        retract(1, 2, 4),
        token(1, b"b", "b", 3),
        done(Finish::End, "a b", 2),
    ];
    assert_eq!(seen(View::Certain, told).unwrap(), "a [0] b[1] .");
}

#[test]
fn pieces_of_a_stop_string_are_no_part_of_the_reply() {
    let told = vec![
        token(0, b"a s", "a ", 2),
        token(1, b"to", "", 2),
        token(2, b"p!", "", 2),
        done(Finish::Stop(None), "a ", 3),
    ];
    assert_eq!(seen(View::Certain, told).unwrap(), "a [] [0] .");
    let told = vec![token(0, b"a s", "a ", 2), rest("s", 3), done(Finish::End, "a s", 1)];
    assert_eq!(seen(View::Certain, told).unwrap(), "a [] s[0] .");
}

#[test]
fn bytes_that_are_no_text_do_not_move_what_follows() {
    // One byte becomes a replacement character of three.
    let told = vec![
        token(0, b"\xff", "\u{fffd}", 3),
        token(1, b"st", "", 3),
        retract(1, 1, 0),
        token(1, b"b", "b", 4),
        done(Finish::End, "\u{fffd}b", 2),
    ];
    assert_eq!(seen(View::Certain, told).unwrap(), "\u{fffd}[0] b[1] .");
}

#[test]
fn pieces_of_several_bytes_are_counted_as_one() {
    let told = vec![
        token(0, b"one", "one", 0),
        token(1, b" two", " two", 0),
        token(2, b" bad", " bad", 0),
        retract(2, 1, 4),
        done(Finish::End, "one two", 2),
    ];
    assert_eq!(seen(View::Certain, told).unwrap(), "one two[0,1] .");
}

#[test]
fn what_breaks_the_contract_breaks_the_reply_and_not_the_text() {
    let told = vec![token(0, b"one", "one", 3), retract(0, 1, 3)];
    assert!(seen(View::Certain, told).unwrap_err().message.contains("certain"));
    let told = vec![token(0, "é".as_bytes(), "é", 0), retract(0, 1, 1)];
    seen(View::All, told).unwrap_err();
    seen(View::Certain, vec![token(0, b"one", "one", 3), done(Finish::End, "two", 1)]).unwrap_err();
    let refusal = Refusal { kind: crate::backend::RefusalKind::TooLong, message: "long".into(), param: Some("prompt") };
    let failure = seen(View::Certain, vec![Told::Refused(refusal)]).unwrap_err();
    assert_eq!((failure.code, failure.param.as_deref()), (Some("context_length_exceeded"), Some("prompt")));
}

#[test]
fn a_cut_makes_certain_what_stands() {
    let mut standing = Standing::new(View::Certain);
    assert_eq!(standing.take(token(0, b"one", "one", 0)), Ok(Vec::new()));
    let deltas = standing.cut();
    assert!(matches!(&deltas[0], Delta::Text { text, pieces, .. } if text == "one" && pieces.len() == 1));
    assert!(matches!(&deltas[1], Delta::Over(Reply { finish: Finish::Cut, tokens: 1, .. })));
}
