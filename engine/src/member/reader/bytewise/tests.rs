use super::*;
use crate::double::{Asked, Double, OneToken};
use crate::member::model::Model;
use crate::member::spelling;
use crate::member::worker::serve_one;
use plugin_api::Parameters;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A dozen tokens: 0 ends the text.
const TOKENS: [&[u8]; 12] = [b"", b"a", b"b", b"c", b"ab", b"bc", b"abc", b"ca", b"aa", b"bca", b"cab", b"bb"];
/// Another member's, which cut text otherwise.
const OTHERS: [&[u8]; 8] = [b"", b"a", b"b", b"c", b"ba", b"cc", b"abca", b"bab"];

/// Where the model makes rows that are no numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nowhere,
    /// Behind tails with this token.
    Token(Token),
    /// Behind all text that is longer, tails or not.
    After(usize),
}

/// Any numbers that depend on every token of the reply.
fn logits(pieces: usize, reply: &[Token]) -> Vec<f32> {
    let mut state = 0x9E37_79B9u32;
    for &token in reply {
        state = (state ^ (token + 1)).wrapping_mul(0x85EB_CA6B).rotate_left(13);
    }
    let logit = |token: u32| {
        let mixed = (state ^ token.wrapping_mul(0xC2B2_AE35)).wrapping_mul(0x27D4_EB2F);
        (mixed >> 16) as f32 / 16384.0
    };
    (0..pieces as u32).map(logit).collect()
}

/// A member over a double, decoded as far as it needs after each call.
struct Toy {
    model: Double,
    reader: Bytewise,
}

impl Toy {
    fn go_on(&mut self) -> Result<(), MemberError> {
        serve_one(&mut self.model, &mut self.reader)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), MemberError> {
        for &byte in bytes {
            let len = self.reader.len();
            self.reader.extend(&[byte.into()], Wanted::Last);
            if let Err(error) = self.go_on() {
                self.reader.rewind(len);
                return Err(error);
            }
        }
        Ok(())
    }

    fn rewind(&mut self, len: usize) {
        self.reader.rewind(len);
        self.go_on().unwrap();
    }

    fn row(&self) -> &MemberRow {
        self.reader.row(self.reader.len()).unwrap()
    }
}

fn toy(heads: Heads) -> Toy {
    ill(&TOKENS, heads, 5, Fault::Nowhere).0
}

/// A member of these tokens with a fault, and how often it has read its text again.
fn ill(tokens: &'static [&'static [u8]], heads: Heads, branches: usize, fault: Fault) -> (Toy, Arc<Mutex<usize>>) {
    of_rule(tokens, heads, branches, move |asked| {
        let Asked { tokens: text, tail, .. } = asked;
        let is_ill = match fault {
            Fault::Nowhere => false,
            Fault::Token(token) => text[text.len() - tail..].contains(&token),
            Fault::After(most) => text.len() - 1 > most,
        };
        if is_ill { vec![f32::NAN; tokens.len()] } else { logits(tokens.len(), &text[1..]) }
    })
}

/// A member of these tokens whose rows are what the rule says.
fn of_rule(
    tokens: &'static [&'static [u8]],
    heads: Heads,
    branches: usize,
    rule: impl Fn(Asked) -> Vec<f32> + Send + Sync + 'static,
) -> (Toy, Arc<Mutex<usize>>) {
    let own = Arc::new(Vocabulary::from_pieces(tokens, &[0]));
    let mut model = Double::new(1, branches, rule);
    let anew = model.anew.clone();
    let inner = Plain::new("toy".into(), own.clone(), Box::new(OneToken), model.open().unwrap(), 1000, 32);
    let units = Arc::new(spelling::bytes());
    let mut reader = Bytewise::new(inner, Arc::new(Trie::new(&own)), own, units, heads, branches);
    reader.prime(&Prompt::Text("go".into())).unwrap();
    let mut toy = Toy { model, reader };
    toy.go_on().unwrap();
    (toy, anew)
}

#[test]
fn rows_that_there_was_no_room_for_are_taken_or_decoded_again() {
    for (heads, branches) in [(Heads::Usual, 0), (Heads::Usual, 5), (Heads::All, 5), (Heads::Few, 1)] {
        let toy = || ill(&TOKENS, heads, branches, Fault::Nowhere).0;
        let (mut kept, mut dropped) = (toy(), toy());
        // With all of them there are as many readings as a text can have.
        let most = if heads == Heads::All { 8 } else { 22 };
        for &byte in &b"abcabbcaabcacabbbcabca"[..most] {
            kept.extend(&[byte]).unwrap();
            dropped.reader.paths.drop_rows();
            dropped.extend(&[byte]).unwrap();
            assert_eq!(kept.row().probabilities, dropped.row().probabilities, "{heads:?}, {branches}");
        }
    }
}

/// The probability that a text begins with these bytes, over all ways to write it in tokens.
fn brute_force(tokens: &[&[u8]], text: &[u8], before: &mut Vec<Token>) -> f64 {
    if text.is_empty() {
        return 1.0;
    }
    let row = softmax(&logits(tokens.len(), before));
    let mut sum = 0.0;
    for (token, bytes) in (0..).zip(tokens).skip(1) {
        let shared = bytes.len().min(text.len());
        if bytes[..shared] == text[..shared] {
            before.push(token);
            sum += row[token as usize] * brute_force(tokens, &text[shared..], before);
            before.pop();
        }
    }
    sum
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit).exp() / total).collect()
}

#[test]
fn with_all_heads_a_text_has_the_probability_of_all_its_encodings() {
    for (tokens, branches) in [(&TOKENS[..], 5), (&TOKENS[..], 0), (&OTHERS[..], 5)] {
        for text in ["a", "ab", "abc", "abcab", "bcabca", "aaabbb", "cabcab", "abab", "bbcab", "abcabcab"] {
            let (mut member, _) = ill(tokens, Heads::All, branches, Fault::Nowhere);
            let mut found = 1.0;
            for byte in text.bytes() {
                found *= f64::from(member.row().probabilities[usize::from(byte)]);
                member.extend(&[byte]).unwrap();
            }
            let right = brute_force(tokens, text.as_bytes(), &mut Vec::new());
            assert!((found - right).abs() < 1e-6 && (found / right - 1.0).abs() < 1e-4, "{text}: {found} for {right}");
        }
    }
}

#[test]
fn a_run_of_one_letter_is_not_read_anew_from_its_beginning() {
    const RUNS: [&[u8]; 9] = [b"", b"a", b"aa", b"aaa", b"aaaa", b"aaaaa", b"aaaaaa", b"aaaaaaa", b"aaaaaaaa"];
    // Most likely in the longest tokens, and a little in any others: eight readings that never meet.
    let likely = |_: Asked| vec![-10.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0];
    let (mut member, _) = of_rule(&RUNS, Heads::Usual, 0, likely);
    let (mut decoded, bytes) = (0, 400);
    for _ in 0..bytes {
        member.reader.extend(&[Unit::from(b'a')], Wanted::Last);
        let Toy { model, reader } = &mut member;
        while let Some(need) = reader.need().unwrap() {
            decoded += need.tokens.len() - need.agreed.min(need.rows - 1);
            let (progress, outputs) = model.decode(&[need]);
            outputs.iter().for_each(|output| reader.absorb(output.place, model.logits(output.index).unwrap()));
            progress.iter().for_each(|progress| reader.progress(progress.read));
        }
    }
    // A few for each byte, however many there were before.
    assert!(decoded < 8 * bytes, "{decoded} tokens for {bytes} bytes");
}

#[test]
fn fewer_heads_are_near_to_all() {
    let mut worst: f64 = 0.0;
    for seed in 0..40 {
        let [mut usual, mut all] = [Heads::Usual, Heads::All].map(toy);
        let mut bits = [0.0; 2];
        for byte in letters(seed).take(12) {
            for (sum, member) in bits.iter_mut().zip([&mut usual, &mut all]) {
                *sum -= f64::from(member.row().probabilities[usize::from(byte)]).log2();
                member.extend(&[byte]).unwrap();
            }
        }
        worst = worst.max((bits[0] / bits[1] - 1.0).abs());
    }
    // Rows of noise, where each context says something else: the joined readings' contexts are as good as any.
    assert!(worst < 0.5, "{worst}");
}

#[test]
fn bytes_inside_a_token_cost_no_forward_pass() {
    let mut member = toy(Heads::Few);
    member.extend(b"abcabcabcabcabc").unwrap();
    assert!(member.reader.inner.len() < 15, "{} tokens for 15 bytes", member.reader.inner.len());
}

#[test]
fn rows_are_distributions_over_the_bytes_and_the_end() {
    for heads in [Heads::Few, Heads::Usual, Heads::All] {
        let mut member = toy(heads);
        let end = member.row().probabilities[256];
        assert!((f64::from(end) - softmax(&logits(TOKENS.len(), &[]))[0]).abs() < 1e-3);
        for byte in *b"abcaabbca" {
            let row = member.row();
            assert_eq!(row.probabilities.len(), 257);
            assert!((row.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(row.probabilities.iter().all(|&p| p >= 0.0) && !row.abstains);
            // No byte is impossible, unless all readings were followed to their ends.
            assert!(heads == Heads::All || row.probabilities.iter().all(|&p| p > 0.0));
            member.extend(&[byte]).unwrap();
        }
    }
}

#[test]
fn a_text_without_tokens_is_skipped_and_the_member_goes_on_behind_it() {
    let mut member = toy(Heads::Usual);
    member.extend(b"ab").unwrap();
    // `d` is in no token of this member.
    member.extend(b"d").unwrap();
    assert!(!member.row().abstains, "behind a whole character it has a say again");
    member.extend(b"a").unwrap();
    assert_eq!(member.reader.len(), 4);
    // A character of three bytes: no say before it is over.
    for (index, byte) in "€".bytes().enumerate() {
        member.extend(&[byte]).unwrap();
        assert_eq!(member.row().abstains, index < 2);
    }
    member.rewind(2);
    let mut fresh = toy(Heads::Usual);
    fresh.extend(b"ab").unwrap();
    assert_eq!(member.row().probabilities, fresh.row().probabilities);
}

#[test]
fn the_byte_that_was_not_expected_is_read_all_the_same() {
    for seed in 0..200 {
        let mut member = toy(Heads::Few);
        for byte in letters(seed) {
            member.extend(&[byte]).unwrap();
            assert!(!member.row().abstains);
            assert!(member.row().probabilities.iter().all(|p| p.is_finite()));
        }
    }
}

/// A text of 30 letters, another for each seed.
fn letters(seed: u32) -> impl Iterator<Item = u8> {
    let mut state = seed;
    (0..30).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abc"[(state >> 24) as usize % 3]
    })
}

#[test]
fn a_reading_whose_row_is_no_numbers_leaves_the_text_to_the_others() {
    let mut differ = 0;
    for (seed, token) in (0..200).zip((1..TOKENS.len() as Token).cycle()) {
        let (mut member, _) = ill(&TOKENS, Heads::All, 5, Fault::Token(token));
        let mut sound = toy(Heads::All);
        for byte in letters(seed).take(8) {
            member.extend(&[byte]).unwrap();
            sound.extend(&[byte]).unwrap();
            let row = member.row();
            assert!(!row.abstains && (row.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            differ += usize::from(row.probabilities != sound.row().probabilities);
        }
    }
    assert!(differ > 0, "no reading was ever lost");
}

#[test]
fn a_member_without_numbers_fails_after_it_has_read_the_text_again_and_stands_where_it_stood() {
    for seed in 0..200 {
        let (mut member, read_again) = ill(&TOKENS, Heads::Usual, 2, Fault::After(8));
        let text: Vec<u8> = letters(seed).chain(letters(seed + 1000)).collect();
        let (index, error) = text
            .iter()
            .enumerate()
            .find_map(|(index, &byte)| member.extend(&[byte]).err().map(|error| (index, error)))
            .expect("every reading is longer than eight tokens in the end");
        assert!(error.to_string().contains("its logits are n"), "{error}");
        assert_eq!(member.reader.len(), index);
        assert!(*read_again.lock().unwrap() > 0);
        member.rewind(4);
        member.extend(&text[4..6]).unwrap();
    }
}

/// Continuations of a member behind pieces that were drawn.
fn continuations(member: &mut Toy, pieces: &[&[u8]], parameters: Parameters) -> BTreeMap<Vec<u8>, f64> {
    member.reader.rewind(0);
    member.extend(&pieces.concat()).unwrap();
    let cuts: Vec<usize> = (0..=pieces.len()).map(|count| pieces[..count].concat().len()).collect();
    let mut found = BTreeMap::new();
    let len = member.reader.len();
    let mut add = |bytes: &[u8], mass| *found.entry(bytes.to_vec()).or_insert(0.0) += mass;
    assert!(member.reader.continuations(len, &Draw { parameters, cuts: &cuts, ends: true }, &mut add));
    found
}

#[test]
fn what_a_member_draws_by_itself_are_its_own_tokens_with_their_probabilities() {
    let parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };
    let token = |piece: &[u8]| TOKENS.iter().position(|token| *token == piece).unwrap() as Token;
    let mut member = toy(Heads::All);
    // All texts of four tokens from a few, most of which can be cut in other ways as well.
    let few: [&[u8]; 5] = [b"a", b"ab", b"c", b"bc", b"abc"];
    for code in 0..few.len().pow(4) {
        let pieces: Vec<&[u8]> = (0..4).map(|place| few[code / few.len().pow(place) % few.len()]).collect();
        let found = continuations(&mut member, &pieces, parameters);
        let tokens: Vec<Token> = pieces.iter().map(|piece| token(piece)).collect();
        let right = softmax(&logits(TOKENS.len(), &tokens));
        for (bytes, probability) in &found {
            let own = right[token(bytes) as usize];
            assert!((probability - own).abs() < 1e-5, "{pieces:?}, {bytes:?}: {probability} for {own}");
        }
        assert_eq!(found.len(), TOKENS.len());
    }
}

#[test]
fn the_repeat_penalty_is_that_of_tokens_and_leaves_a_distribution() {
    let parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.3, top_k: 0 };
    let mut member = toy(Heads::All);
    let found = continuations(&mut member, &[b"a", b"bc", b"a"], parameters);
    let mut right = logits(TOKENS.len(), &[1, 5, 1]);
    for token in [1, 5] {
        right[token] = if right[token] > 0.0 { right[token] / 1.3 } else { right[token] * 1.3 };
    }
    for (bytes, own) in TOKENS.iter().zip(softmax(&right)) {
        assert!((found[*bytes] - own).abs() < 1e-5, "{bytes:?}");
    }
}

#[test]
fn the_repeat_penalty_leaves_numbers_alone() {
    const DIGITS: [&[u8]; 4] = [b"", b"1", b"a", b"2"];
    let draws = |text: &[&[u8]], repeat_penalty| {
        let parameters = Parameters { temperature: 1.0, top_p: 1.0, min_p: 0.0, repeat_penalty, top_k: 0 };
        continuations(&mut ill(&DIGITS, Heads::Usual, 5, Fault::Nowhere).0, text, parameters)
    };
    assert_eq!(draws(&[b"1", b"2", b"1"], 1.5), draws(&[b"1", b"2", b"1"], 1.0));
    assert_ne!(draws(&[b"1", b"a", b"1"], 1.5), draws(&[b"1", b"a", b"1"], 1.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn extending_and_rewinding_in_any_order_is_like_a_fresh_start(
        steps in prop::collection::vec((prop::sample::select(b"abcd\xc3\xa9".to_vec()), 0usize..4), 1..40),
        heads in prop::sample::select(vec![Heads::Few, Heads::Usual]),
        branches in prop::sample::select(vec![0usize, 5]),
    ) {
        let (mut member, _) = ill(&TOKENS, heads, branches, Fault::Nowhere);
        let mut text: Vec<u8> = Vec::new();
        for (byte, back) in steps {
            member.extend(&[byte]).unwrap();
            text.push(byte);
            if back > 1 {
                text.truncate(text.len().saturating_sub(back));
                member.rewind(text.len());
            }
        }
        let (mut fresh, _) = ill(&TOKENS, heads, 0, Fault::Nowhere);
        // All at once, as a draft and a text that is scored are read.
        let units: Vec<Unit> = text.iter().map(|&byte| byte.into()).collect();
        fresh.reader.extend(&units, Wanted::Last);
        fresh.go_on().unwrap();
        prop_assert_eq!(member.reader.len(), fresh.reader.len());
        prop_assert_eq!(member.row().abstains, fresh.row().abstains);
        if !fresh.row().abstains {
            prop_assert_eq!(&member.row().probabilities, &fresh.row().probabilities);
        }
        prop_assert_eq!(member.row().evidence, fresh.row().evidence);
    }
}
