//! Figures in words, for the text and for the page.

use super::{Account, Fate, Retraction, Step, Token, Verdict};
use crate::compare::cut;
use crate::plain;

/// Columns of the text of a token or of a name. The longest tokens of known vocabularies have some 130, all of them rulers.
const MOST_COLUMNS: usize = 60;

/// Columns of a text that was taken back, or was written in its place.
const LONGEST_TEXT: usize = 300;

/// Tokens that are shown of what was written instead, where there are so many.
const LEAST_TOKENS: usize = 8;

/// Characters of any text: what has no width, such as combining marks, is not bounded by columns.
const MOST_CHARACTERS: usize = 2_000;

/// A text on one line with its line breaks as `↵`, as a terminal may have it and no longer than a reader reads.
pub(crate) fn shown(text: &str, columns: usize) -> String {
    let head: String = text.chars().take(MOST_CHARACTERS).collect();
    cut(&plain(&head.replace("\r\n", "↵").replace('\n', "↵")), columns)
}

/// A token's text in quotes, since much of it is spaces.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text, MOST_COLUMNS))
}

/// Name of a member or a policy.
pub(crate) fn name(name: &str) -> String {
    shown(name, MOST_COLUMNS)
}

/// Name of the member at a place.
pub(crate) fn member(account: &Account, place: usize) -> String {
    account.members.get(place).map_or_else(|| format!("member {}", place + 1), |found| name(found))
}

/// A number with so many digits after the point.
pub(crate) fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "unknown".into();
    }
    if value.is_infinite() {
        return "infinite".into();
    }
    let text = format!("{value:.digits$}");
    // Rounding makes −0.0 of an entropy that is below 0 by an error of rounding.
    let is_zero = text.chars().all(|character| matches!(character, '-' | '0' | '.'));
    if is_zero { text.trim_start_matches('-').into() } else { text }
}

/// A probability with three digits.
pub(crate) fn probability(value: f64) -> String {
    if value > 0.0 && value < 0.000_5 { format!("{value:.1e}") } else { number(value, 3) }
}

/// Sentences with the figures of a token.
pub(crate) fn figures(account: &Account, token: &Token) -> Vec<String> {
    let rank = if token.confidence >= token.likeliest {
        ", the likeliest".into()
    } else {
        format!("; the likeliest had {}", probability(token.likeliest))
    };
    let unusual = token.deviations_above().map_or_else(String::new, |above| {
        let side = if above < 0.0 { "below" } else { "above" };
        format!(", {} deviations {side} the {} of this reply", number(above.abs(), 1), number(token.mean, 1))
    });
    let mut sentences = vec![
        format!("Probability {}{rank}.", probability(token.confidence)),
        format!("Surprise {} nats{unusual}.", number(token.surprise(), 1)),
        format!("Entropy {} nats.", number(token.entropy, 2)),
    ];
    if account.members.len() > 1 {
        let leader = member(account, token.leader);
        sentences
            .push(format!("Agreement of the members {}; `{leader}` contributed most.", number(token.agreement, 2)));
    }
    sentences.push(format!(
        "Drawn at temperature {} with repeat penalty {}.",
        number(token.temperature, 2),
        number(token.repeat_penalty, 2)
    ));
    sentences
}

/// One row's best candidates.
pub(crate) struct Row<'a> {
    /// Whose row it is.
    pub(crate) name: String,
    /// Probability of the token itself in it.
    pub(crate) probability: f64,
    pub(crate) top: &'a [(String, f64)],
}

/// The fused row at a token, then the members' rows.
pub(crate) fn rows<'a>(account: &Account, token: &'a Token) -> Vec<Row<'a>> {
    let fused = Row { name: "fused row".into(), probability: token.confidence, top: &token.fused };
    let members = token.members.iter().enumerate();
    let members = members.map(|(place, view)| Row {
        name: member(account, place),
        probability: view.probability,
        top: &view.top,
    });
    [fused].into_iter().chain(members).collect()
}

/// A policy's answer with its reason.
pub(crate) fn answer(verdict: &Verdict) -> String {
    let answer = shown(&verdict.verdict, MOST_CHARACTERS);
    format!("`{}` answered `{answer}`{}", name(&verdict.policy), because(&verdict.reason))
}

/// All answers to a token.
pub(crate) fn answers(token: &Token) -> String {
    token.verdicts.iter().map(answer).collect::<Vec<_>>().join("; ")
}

/// How far a retraction went, whose it was, and why.
pub(crate) fn retraction(retraction: &Retraction) -> String {
    let place = match retraction.index {
        0 => "the start".into(),
        index => format!("token {index}"),
    };
    format!("Retraction of {}, back to {place}, {}", count(retraction.units, "unit"), by(retraction))
}

/// The policy of a retraction, with its reason.
pub(crate) fn by(retraction: &Retraction) -> String {
    format!("by `{}`{}", name(&retraction.policy), because(&retraction.reason))
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {}", shown(reason, MOST_CHARACTERS)) }
}

/// A count with its noun.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Text that a retraction took back.
pub(crate) fn rejected(account: &Account, fates: &[Option<Fate>], retraction: usize) -> String {
    account.with(fates, Fate::TakenBack { retraction }).map(|(_, token)| token.text.as_str()).collect()
}

/// Text that a retraction took back, as it is shown.
pub(crate) fn shown_rejected(account: &Account, fates: &[Option<Fate>], retraction: usize) -> String {
    format!("\"{}\"", shown(&rejected(account, fates, retraction), LONGEST_TEXT))
}

/// Text that was written where a retraction took some back, as it is shown; says so if it was taken back in its turn.
pub(crate) fn shown_replacement(account: &Account, fates: &[Option<Fate>], at: usize) -> String {
    let Some(Step::Retraction(Retraction { index, .. })) = account.steps.get(at) else { return String::new() };
    let mut written: Vec<&Token> = Vec::new();
    let mut is_gone = false;
    for step in &account.steps[at + 1..] {
        match step {
            Step::Token(token) if token.is_refused => {}
            Step::Token(token) => written.push(token),
            Step::Retraction(later) if later.index <= *index => {
                is_gone = true;
                break;
            }
            Step::Retraction(later) => written.retain(|token| token.index < later.index),
        }
    }
    if written.is_empty() {
        return "nothing".into();
    }
    // As many tokens as were taken back, and at least so many that they can be understood.
    let most = account.with(fates, Fate::TakenBack { retraction: at }).count().max(LEAST_TOKENS);
    let mut text: String = written.iter().take(most).map(|token| token.text.as_str()).collect();
    if written.len() > most {
        text.push('…');
    }
    format!("\"{}\"{}", shown(&text, LONGEST_TEXT), if is_gone { ", taken back later" } else { "" })
}
