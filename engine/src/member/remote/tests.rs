//! What servers answered, and what nobody should answer.

use super::fault::Fault;
use super::listing::{Sglang, Vllm};
use super::llama_server::LlamaServer;
use super::protocol::{Ask, Protocol};
use super::sparse::Row;

/// Recorded from llama-server (xllamacpp 2026.10.11549) with stories-260k; the others are written after the documentation of
/// vLLM 0.11 and SGLang 0.5.
const LLAMA: &str = include_str!("tests/llama-server.json");
const VLLM: &str = include_str!("tests/vllm.json");
const SGLANG: &str = include_str!("tests/sglang.json");

const TOKENS: usize = 512;

fn ask() -> Ask {
    Ask { slot: Some(1), prompt: vec![1, 335], forced: vec![311], listed: 3 }
}

fn llama() -> LlamaServer {
    LlamaServer { letter: 335 }
}

fn all() -> [(Box<dyn Protocol>, &'static str); 3] {
    [(Box::new(llama()), LLAMA), (Box::<Vllm>::default(), VLLM), (Box::new(Sglang), SGLANG)]
}

#[test]
fn rows_are_read_from_what_servers_answered() {
    for (protocol, body) in all() {
        let answer = protocol.answer(&ask(), body.as_bytes()).unwrap();
        assert_eq!(answer.rows.len(), 2, "{body}");
        for row in &answer.rows {
            let row = Row::of(row, TOKENS).unwrap();
            let sum: f64 = row.logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            assert!(row.tail > 0.0 && row.tail < 1.0, "{}", row.tail);
        }
        assert_eq!(answer.rows[0][0].0, 261, "{body}");
    }
}

#[test]
fn what_is_asked_is_in_token_ids() {
    let body = |protocol: &dyn Protocol| protocol.request(&ask()).1;
    let llama = body(&llama());
    assert_eq!(llama["prompt"], serde_json::json!([1, 335]));
    assert_eq!(llama["grammar"], "root ::= <[311]> <[335]>");
    assert_eq!((&llama["n_predict"], &llama["id_slot"]), (&2.into(), &1.into()));
    let prompts = serde_json::json!([[1, 335], [1, 335, 311]]);
    assert_eq!(body(&Vllm::default())["prompt"], prompts);
    assert_eq!(body(&Sglang)["input_ids"], prompts);
}

#[test]
fn a_row_that_is_none_is_refused() {
    let refused = |listed: &[(i64, f64)]| Row::of(listed, 4).unwrap_err().to_string();
    assert!(refused(&[]).contains("it is empty"));
    assert!(refused(&[(4, -1.0)]).contains("token 4 of 4"));
    assert!(refused(&[(-1, -1.0)]).contains("token -1 of 4"));
    assert!(refused(&[(2, -1.0), (2, -1.0)]).contains("in it twice"));
    assert!(refused(&[(2, f64::NAN)]).contains("has NaN"));
    assert!(refused(&[(2, f64::INFINITY)]).contains("has inf"));
    assert!(refused(&[(2, -0.1), (1, -0.2)]).contains("sum to 1.72"));
    assert!(refused(&[(0, -3.0), (1, -3.0), (2, -3.0), (3, -3.0)]).contains("sum to 0.19"));
}

#[test]
fn what_is_not_listed_shares_the_rest_below_what_is() {
    let row = Row::of(&[(2, 0.6f64.ln()), (0, 0.2f64.ln())], 4).unwrap();
    assert!((row.tail - 0.2).abs() < 1e-6);
    let probabilities: Vec<f32> = row.logits.iter().map(|logit| logit.exp()).collect();
    for (found, expected) in probabilities.iter().zip([0.2, 0.1, 0.6, 0.1]) {
        assert!((found - expected).abs() < 1e-6, "{probabilities:?}");
    }
    // The lowest that there is, as a number that is none on some servers.
    assert_eq!(Row::of(&[(0, 0.0), (1, -3.4028234663852886e38)], 2).unwrap().logits, [0.0, -104.0]);
    assert_eq!(Row::of(&[(0, 0.0), (1, f64::NEG_INFINITY)], 2).unwrap().tail, 0.0);
}

#[test]
fn an_answer_that_went_another_way_is_refused() {
    let other = Ask { forced: vec![312], ..ask() };
    let fault = llama().answer(&other, LLAMA.as_bytes()).unwrap_err();
    assert!(matches!(fault, Fault::Unreadable(_)), "{fault}");
    for (protocol, body) in all() {
        let more = Ask { forced: vec![311, 311], ..ask() };
        assert!(protocol.answer(&more, body.as_bytes()).is_err());
        assert_eq!(protocol.answer(&ask(), &body.as_bytes()[..body.len() / 2]), Err(Fault::BrokenOff));
    }
}

/// Noise from a seed.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn ten_thousand_damaged_bodies_panic_nowhere() {
    const PARTS: [&str; 16] = [
        "NaN",
        "null",
        "1e999",
        "-1",
        "\"",
        "}",
        "]",
        "[",
        "{",
        "1e308",
        "18446744073709551616",
        "\u{0}",
        "ÿ",
        "9999999",
        ",",
        ":",
    ];
    let mut noise = Noise(1);
    let (mut read, mut refused) = (0, 0);
    for number in 0..10_000 {
        let (protocol, body) = &all()[number % 3];
        let mut body = body.as_bytes().to_vec();
        for _ in 0..=noise.below(4) {
            let at = noise.below(body.len());
            match noise.below(5) {
                0 => body[at] = noise.below(256) as u8,
                1 => body.truncate(at + 1),
                2 => body.splice(at..at, PARTS[noise.below(PARTS.len())].bytes()).for_each(drop),
                3 => {
                    let end = (at + noise.below(40)).min(body.len());
                    body.drain(at..end).for_each(drop);
                }
                _ => {
                    // A number becomes another thing.
                    let start = (at..body.len()).find(|&at| body[at].is_ascii_digit()).unwrap_or(at);
                    let end = (start..body.len()).find(|&at| !body[at].is_ascii_digit()).unwrap_or(body.len());
                    body.splice(start..end, PARTS[noise.below(PARTS.len())].bytes()).for_each(drop);
                }
            }
            if body.is_empty() {
                body.push(b'{');
            }
        }
        let rows = protocol
            .answer(&ask(), &body)
            .and_then(|answer| answer.rows.iter().map(|row| Row::of(row, TOKENS)).collect::<Result<Vec<_>, _>>());
        match rows {
            Ok(rows) => {
                read += 1;
                for Row { logits, tail } in rows {
                    assert!(logits.len() == TOKENS && logits.iter().all(|logit| logit.is_finite() && *logit < 1e-2));
                    assert!((0.0..=1.0).contains(&tail));
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(read > 100 && refused > 1000, "{read} were read and {refused} refused: the damage is none, or is all");
}
