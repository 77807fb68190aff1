//! Where errors begin: by the reference's equations, by the reference's text, or by a judge.

use crate::statistics::quantile;
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// An equation of two whole numbers.
static EQUATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"([0-9]+)(\s*([-+*/])\s*)([0-9]+)\s*=\s*\$?([0-9]+)").expect("a fixed pattern is well-formed")
});

/// Bits above the judge's entropy that a bad token costs at least. A judge that is unsure finds every token costly.
const BITS_ABOVE_ENTROPY: f64 = 6.0;

/// The part of the judge's tokens that are not among the worst.
const WORST: f64 = 0.97;

/// The byte of an answer at which it begins to be wrong: where the first equation that the reference does not have departs
/// from the reference's equation of the same number, else where the text departs.
///
/// `2+3=5` and `3+2=5` are the same equation, as are `2*3=6` and `3*2=6`. An equation for which the reference has no
/// counterpart is wrong from its first byte. White space around the texts is ignored.
pub fn first_wrong(answer: &str, reference: &str) -> usize {
    let (body, reference) = (answer.trim(), reference.trim());
    let before = answer.len() - answer.trim_start().len();
    let references: Vec<Captures> = EQUATION.captures_iter(reference).collect();
    let known: Vec<_> = references.iter().map(normal).collect();
    let mut equations = EQUATION.captures_iter(body).enumerate();
    let Some((number, wrong)) = equations.find(|(_, equation)| !known.contains(&normal(equation))) else {
        return before + common(body, reference);
    };
    let begin = wrong.get_match().start();
    let rest = &body[begin..];
    let forms = references.get(number).map(forms).unwrap_or_default();
    before + begin + forms.iter().map(|form| common(rest, form)).max().unwrap_or(0)
}

/// An equation with what its order does not matter to in order: its numbers, its sign, its result.
fn normal<'a>(equation: &Captures<'a>) -> [&'a str; 4] {
    let (_, [one, _, sign, other, result]) = equation.extract();
    let (one, other) = if commutes(sign) && other < one { (other, one) } else { (one, other) };
    [one, sign, other, result]
}

/// The ways to write an equation: as it stands and, where the order is free, with its numbers exchanged.
fn forms(equation: &Captures) -> Vec<String> {
    let (all, [one, between, sign, other, _]) = equation.extract();
    let mut forms = vec![all.to_owned()];
    if commutes(sign) {
        let result = &all[one.len() + between.len() + other.len()..];
        forms.push(format!("{other}{between}{one}{result}"));
    }
    forms
}

fn commutes(sign: &str) -> bool {
    matches!(sign, "+" | "*")
}

/// Bytes of the characters with which both texts begin.
fn common(one: &str, other: &str) -> usize {
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other);
    same.map(|(character, _)| character.len_utf8()).sum()
}

/// First bytes of the judge's tokens that are bad: each costs the judge at least so many bits, and six more than its entropy.
///
/// Each of the judge's tokens is its first byte, what it cost in bits, and the entropy of its row in bits.
pub fn first_bad(judge: &[(usize, f64, f64)], threshold_bits: f64) -> Vec<usize> {
    let bad =
        judge.iter().filter(|&&(_, bits, entropy)| bits >= threshold_bits && bits - entropy >= BITS_ABOVE_ENTROPY);
    bad.map(|&(byte, ..)| byte).collect()
}

/// The bits that the worst 3 % of a judge's tokens cost at least, over all of these replies: the threshold of [`first_bad`].
/// `None` without tokens.
pub fn worst_bits<J: AsRef<[(usize, f64, f64)]>>(judged: &[J]) -> Option<f64> {
    let mut bits: Vec<f64> = judged.iter().flat_map(|judge| judge.as_ref()).map(|&(_, bits, _)| bits).collect();
    bits.sort_by(f64::total_cmp);
    (!bits.is_empty()).then(|| quantile(&bits, WORST))
}
