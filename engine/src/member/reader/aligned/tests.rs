use super::*;
use crate::double::{Asked, Double, OneToken};
use crate::member::model::Model;
use crate::member::units::reduce;
use crate::member::worker::serve_one;
use proptest::prelude::*;
use std::sync::Mutex;

/// A dozen tokens: 0 ends the text.
const TOKENS: [&[u8]; 12] = [b"", b"a", b"b", b"c", b"ab", b"bc", b"abc", b"ca", b"aa", b"bca", b"cab", b"bb"];
/// Each letter twice, so that two readings end at every unit and none is inside a token.
const TWINS: [&[u8]; 7] = [b"", b"a", b"a", b"b", b"b", b"c", b"c"];
/// Another member's, without byte fallback for `d`.
const OTHERS: [&[u8]; 6] = [b"", b"a", b"b", b"c", b"d", b"ab"];

/// Where the model makes rows that are no numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nowhere,
    /// Behind tails with this token.
    Token(Token),
    /// Behind all tails of a batch of several, and behind all until the text is read again: what stands beside them spoils
    /// them.
    Neighbours,
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
    reader: Aligned,
}

impl Toy {
    fn go_on(&mut self) -> Result<(), MemberError> {
        serve_one(&mut self.model, &mut self.reader)
    }

    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError> {
        for unit in units {
            let len = self.reader.len();
            self.reader.extend(&[*unit], Wanted::Last);
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

    fn len(&self) -> usize {
        self.reader.len()
    }
}

fn vocabulary(pieces: &[&[u8]]) -> Vocabulary {
    Vocabulary::from_pieces(pieces, &[0])
}

/// The member of [`TOKENS`] in the units that it shares with [`OTHERS`]: single bytes and `ab`.
fn toy(most: usize) -> Toy {
    ill(&TOKENS, most, Fault::Nowhere).0
}

/// A member of these tokens with a fault, and how often it has read its text again.
fn ill(tokens: &'static [&'static [u8]], most: usize, fault: Fault) -> (Toy, Arc<Mutex<usize>>) {
    let own = Arc::new(vocabulary(tokens));
    let common = reduce(&[&own, &vocabulary(&OTHERS)]);
    let map = Arc::new(common.members.into_iter().next().unwrap());
    let branches = most.min(5);
    let mut model = Double::new(1, branches, move |asked| {
        let Asked { tokens: text, tail, tails, anew } = asked;
        let is_ill = match fault {
            Fault::Nowhere => false,
            Fault::Token(token) => text[text.len() - tail..].contains(&token),
            Fault::Neighbours => tail > 0 && (tails > 1 || anew == 0),
            Fault::After(most) => text.len() - 1 > most,
        };
        if is_ill { vec![f32::NAN; tokens.len()] } else { logits(tokens.len(), &text[1..]) }
    });
    let anew = model.anew.clone();
    let inner = Plain::new("toy".into(), own, Box::new(OneToken), model.open().unwrap(), 1000, 32);
    let mut reader = Aligned::new(inner, map, Arc::new(common.units), most, branches, 32);
    reader.prime(&Prompt::Text("go".into())).unwrap();
    let mut toy = Toy { model, reader };
    toy.go_on().unwrap();
    (toy, anew)
}

/// The units that a byte string is read in.
fn units(member: &Toy, bytes: &[u8]) -> Vec<Unit> {
    let ab = (256..member.reader.units.len() as Unit).find(|&unit| member.reader.units.bytes(unit) == b"ab");
    let mut units = Vec::new();
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        match ab.filter(|_| rest.starts_with(b"ab")) {
            Some(ab) => {
                units.push(ab);
                rest = &rest[2..];
            }
            None => {
                units.push(byte.into());
                rest = &rest[1..];
            }
        }
    }
    units
}

/// The probability that a text begins with these units, over all ways to write it in tokens.
fn brute_force(map: &TokenMap, units: &[Unit], before: &mut Vec<Token>) -> f64 {
    if units.is_empty() {
        return 1.0;
    }
    let logits = logits(TOKENS.len(), before);
    let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    let mut sum = 0.0;
    for token in 1..TOKENS.len() as Unit {
        let own = map.units_of(token).to_vec();
        let shared = own.len().min(units.len());
        if own[..shared] != units[..shared] {
            continue;
        }
        let probability = f64::from(logits[token as usize]).exp() / total;
        before.push(token);
        sum += probability * brute_force(map, &units[shared..], before);
        before.pop();
    }
    sum
}

fn product(member: &mut Toy, units: &[Unit]) -> f64 {
    let mut product = 1.0;
    for &unit in units {
        product *= f64::from(member.row().probabilities[unit as usize]);
        member.extend(&[unit]).unwrap();
    }
    product
}

#[test]
fn with_all_heads_a_text_has_the_probability_of_all_its_encodings() {
    for text in ["a", "ab", "abc", "abcab", "bcabca", "aaabbb", "cabcab", "abab", "bbcab"] {
        let mut member = toy(usize::MAX);
        let units = units(&member, text.as_bytes());
        let right = brute_force(&member.reader.map.clone(), &units, &mut Vec::new());
        let found = product(&mut member, &units);
        assert!((found - right).abs() < 1e-6 && (found / right - 1.0).abs() < 1e-4, "{text}: {found} for {right}");
    }
}

#[test]
fn units_inside_a_token_cost_no_forward_pass() {
    // One head takes the heavier way at each place; never more tokens than units.
    let mut member = toy(1);
    let text = units(&member, b"abcabcabcabcabc");
    member.extend(&text).unwrap();
    assert!(member.reader.inner.len() < text.len(), "{} tokens for {} units", member.reader.inner.len(), text.len());
}

#[test]
fn rows_are_distributions_over_all_units_and_the_end() {
    let mut member = toy(4);
    let end = member.reader.units.end() as usize;
    assert!(
        (member.row().probabilities[end] - member.reader.inner.newest_row().unwrap().probabilities[0]).abs() < 1e-6
    );
    for unit in units(&member, b"abcaabbca") {
        let row = member.row();
        assert!((row.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        assert!(!row.abstains);
        member.extend(&[unit]).unwrap();
    }
}

#[test]
fn a_text_without_tokens_is_skipped_and_the_member_goes_on_behind_it() {
    let mut member = toy(3);
    let text = units(&member, b"ab");
    member.extend(&text).unwrap();
    // `d` is in no token of this member.
    member.extend(&[b'd'.into()]).unwrap();
    assert!(!member.row().abstains, "behind a whole character it has a say again");
    member.extend(&[b'a'.into()]).unwrap();
    assert_eq!(member.len(), text.len() + 2);
    // A character of three bytes: no say before it is over.
    for (index, byte) in "€".bytes().enumerate() {
        member.extend(&[byte.into()]).unwrap();
        assert_eq!(member.row().abstains, index < 2);
    }
    member.rewind(text.len());
    let mut fresh = toy(3);
    fresh.extend(&text).unwrap();
    assert_eq!(member.row().probabilities, fresh.row().probabilities);
}

#[test]
fn the_unit_that_was_not_expected_is_read_all_the_same() {
    // Whatever one head expects, every text in the alphabet can be read.
    for seed in 0..200 {
        let mut member = toy(1);
        for unit in letters(seed) {
            member.extend(&[unit]).unwrap();
            assert!(!member.row().abstains);
            assert!(member.row().probabilities.iter().all(|p| p.is_finite()));
        }
    }
}

/// A text of 30 letters, another for each seed.
fn letters(seed: u32) -> impl Iterator<Item = Unit> {
    let mut state = seed;
    (0..30).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abc"[(state >> 24) as usize % 3].into()
    })
}

#[test]
fn a_reading_whose_row_is_no_numbers_leaves_the_text_to_the_others() {
    let mut differ = 0;
    for (seed, token) in (0..200).zip((1..TOKENS.len() as Unit).cycle()) {
        let (mut member, _) = ill(&TOKENS, 4, Fault::Token(token));
        let mut sound = toy(4);
        for unit in letters(seed) {
            member.extend(&[unit]).unwrap();
            sound.extend(&[unit]).unwrap();
            let row = member.row();
            assert!(!row.abstains && (row.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            differ += usize::from(row.probabilities != sound.row().probabilities);
        }
    }
    assert!(differ > 0, "no reading was ever lost");
}

#[test]
fn where_no_reading_has_numbers_the_text_is_read_again_and_each_decoded_by_itself() {
    for seed in 0..200 {
        let (mut member, read_again) = ill(&TWINS, 2, Fault::Neighbours);
        for unit in letters(seed) {
            member.extend(&[unit]).unwrap();
            assert!((member.row().probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
        assert!(*read_again.lock().unwrap() > 0, "it never came to that");
    }
}

#[test]
fn a_member_without_numbers_fails_after_it_has_read_the_text_again_and_stands_where_it_stood() {
    for seed in 0..200 {
        let (mut member, read_again) = ill(&TWINS, 2, Fault::After(8));
        let units: Vec<Unit> = letters(seed).collect();
        let (index, error) = units
            .iter()
            .enumerate()
            .find_map(|(index, &unit)| member.extend(&[unit]).err().map(|error| (index, error)))
            .expect("every reading is longer than eight tokens in the end");
        assert!(error.to_string().contains("its logits are n"), "{error}");
        assert_eq!(member.len(), index);
        assert!(*read_again.lock().unwrap() > 0);
        member.rewind(4);
        member.extend(&units[4..6]).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn extending_and_rewinding_in_any_order_is_like_a_fresh_start(
        steps in prop::collection::vec((prop::sample::select(b"abcd\xc3\xa9".to_vec()), 0usize..4), 1..40),
        most in prop::sample::select(vec![1usize, 2, 8, usize::MAX]),
    ) {
        let mut member = toy(most);
        let mut text: Vec<Unit> = Vec::new();
        for (byte, back) in steps {
            member.extend(&[byte.into()]).unwrap();
            text.push(byte.into());
            if back > 1 {
                text.truncate(text.len().saturating_sub(back));
                member.rewind(text.len());
            }
        }
        let mut fresh = toy(most);
        fresh.extend(&text).unwrap();
        prop_assert_eq!(member.len(), fresh.len());
        prop_assert_eq!(member.row().abstains, fresh.row().abstains);
        if !fresh.row().abstains {
            for (a, b) in member.row().probabilities.iter().zip(&fresh.row().probabilities) {
                prop_assert!((a - b).abs() < 1e-6);
            }
        }
        prop_assert!((member.row().evidence - fresh.row().evidence).abs() < 1e-4);
    }
}
