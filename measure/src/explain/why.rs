//! The answer to "why does it say this?" for one place of a reply, as plain text.

use super::words::{self, by, count, probability, quoted, rejected, rows, shown};
use super::wrap::Lines;
use super::{Account, Fate, Retraction, Step, Token};
use std::ops::RangeInclusive;
use unicode_width::UnicodeWidthStr;

/// Columns of text that are shown on each side of a place.
const AROUND: usize = 60;

/// Candidates of a row that are named.
const BEST: usize = 3;

/// Earlier tokens of a place that are named.
const MOST_EARLIER: usize = 8;

/// The place that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// The newest place where a policy did something; if there is none, the last token that stands.
    Last,
    /// A token that stands, counted from 1.
    Token(usize),
    /// The last place where this text stands: the token that it begins in. Text that stands nowhere is looked for in what was
    /// refused or taken back.
    Text(&'a str),
}

/// An answer in lines of at most `width` columns, without control characters; a sentence where there is no such place.
pub fn why(account: &Account, which: Which, width: usize) -> String {
    let fates = account.fates();
    let standing: Vec<(usize, &Token)> = account.with(&fates, Fate::Stands).collect();
    let found = match which {
        Which::Last => {
            let newest = account.steps.iter().rposition(Step::is_intervention);
            newest.map(|at| successor(account, at)).or_else(|| standing.last().map(|(at, _)| *at))
        }
        Which::Token(number) => number.checked_sub(1).and_then(|place| standing.get(place)).map(|(at, _)| *at),
        Which::Text(text) => find(account, &fates, &standing, text),
    };
    let mut lines = Lines::new(width);
    match found.map(|at| (at, &account.steps[at])) {
        Some((at, Step::Token(token))) => explain_token(&mut lines, account, &fates, at, token),
        Some((at, Step::Retraction(retraction))) => explain_retraction(&mut lines, account, &fates, at, retraction),
        None => lines.add(0, &nothing(which, standing.len())),
    }
    lines.finish()
}

fn nothing(which: Which, standing: usize) -> String {
    match which {
        Which::Last => "The reply has no tokens.".into(),
        Which::Token(number) => format!("There is no token {number}: the reply has {}.", count(standing, "token")),
        Which::Text(text) => format!("{} is not in the reply.", quoted(text)),
    }
}

/// The token that was accepted in the place of a refused one; the step itself if there is none or it was not refused.
fn successor(account: &Account, at: usize) -> usize {
    let Step::Token(refused) = &account.steps[at] else { return at };
    if !refused.is_refused {
        return at;
    }
    let later = account.steps.iter().enumerate().skip(at + 1);
    let mut accepted =
        later.take_while(|(_, step)| matches!(step, Step::Token(_))).filter_map(|(at, step)| match step {
            Step::Token(token) if !token.is_refused && token.index == refused.index => Some(at),
            _ => None,
        });
    accepted.next().unwrap_or(at)
}

fn find(account: &Account, fates: &[Option<Fate>], standing: &[(usize, &Token)], text: &str) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    let whole: String = standing.iter().map(|(_, token)| token.text.as_str()).collect();
    if let Some(start) = whole.rfind(text) {
        let mut end = 0;
        return standing.iter().find_map(|(at, token)| {
            end += token.text.len();
            (start < end).then_some(*at)
        });
    }
    let gone = (0..account.steps.len()).rev().find(|&at| match &account.steps[at] {
        Step::Token(token) => token.is_refused && token.text.contains(text),
        Step::Retraction(_) => rejected(account, fates, at).contains(text),
    });
    gone.map(|at| successor(account, at))
}

fn explain_token(lines: &mut Lines, account: &Account, fates: &[Option<Fate>], at: usize, token: &Token) {
    let text = quoted(&token.text);
    match fates[at] {
        Some(Fate::Stands) => {
            let before = account.with(fates, Fate::Stands).take_while(|(step, _)| *step < at).count();
            let all = account.with(fates, Fate::Stands).count();
            lines.add(0, &format!("Token {} of {all}: {text}", before + 1));
        }
        Some(Fate::TakenBack { .. }) => lines.add(0, &format!("Token {}, taken back: {text}", token.index + 1)),
        _ => lines.add(0, &format!("Candidate for token {}, refused: {text}", token.index + 1)),
    }
    lines.add(1, &surroundings(account, fates, at..=at));
    lines.add(1, &words::figures(account, token).join(" "));
    for row in rows(account, token) {
        lines.add(1, &format!("{}: {}", row.name, best(row.top, row.probability)));
    }
    explain_earlier(lines, account, fates, at, token);
    if token.verdicts.is_empty() {
        lines.add(1, "No policy acted on it.");
    }
    for verdict in &token.verdicts {
        lines.add(1, &format!("{}.", words::answer(verdict).trim_end_matches('.')));
    }
}

/// A row's best candidates, and the token's own probability in it.
fn best(top: &[(String, f64)], own: f64) -> String {
    let best = top.iter().take(BEST).map(|(text, value)| format!("{} {}", quoted(text), probability(*value)));
    best.chain([format!("this token {}", probability(own))]).collect::<Vec<_>>().join(", ")
}

/// Tokens that were at the same place before: refused, or taken back.
fn explain_earlier(lines: &mut Lines, account: &Account, fates: &[Option<Fate>], at: usize, token: &Token) {
    let earlier: Vec<String> = (0..at)
        .filter_map(|before| {
            let Step::Token(earlier) = &account.steps[before] else { return None };
            let what = format!("{} (probability {})", quoted(&earlier.text), probability(earlier.confidence));
            match fates[before]? {
                _ if earlier.index != token.index => None,
                Fate::Stands => None,
                Fate::Refused => Some(format!("{what} was refused: {}", words::answers(earlier))),
                Fate::TakenBack { retraction } => match account.steps.get(retraction)? {
                    Step::Retraction(retraction) => Some(format!("{what} was taken back {}", by(retraction))),
                    Step::Token(_) => None,
                },
            }
        })
        .collect();
    if earlier.is_empty() {
        return;
    }
    lines.add(1, "Here before:");
    let left_out = earlier.len().saturating_sub(MOST_EARLIER);
    if left_out > 0 {
        lines.add(2, &format!("{left_out} more"));
    }
    for sentence in &earlier[left_out..] {
        lines.add(2, sentence);
    }
}

fn explain_retraction(
    lines: &mut Lines,
    account: &Account,
    fates: &[Option<Fate>],
    at: usize,
    retraction: &Retraction,
) {
    lines.add(0, &words::retraction(retraction));
    let first = account.with(fates, Fate::TakenBack { retraction: at }).next().map_or(at, |(first, _)| first);
    lines.add(1, &surroundings(account, fates, first..=at));
    lines.add(1, &format!("Taken back: {}", words::shown_rejected(account, fates, at)));
    lines.add(1, &format!("Written in its place: {}", words::shown_replacement(account, fates, at)));
}

/// The text around some steps. What is gone stands between `[-` and `-]`; a single token that the answer is about stands
/// between `>>` and `<<`.
fn surroundings(account: &Account, fates: &[Option<Fate>], middle: RangeInclusive<usize>) -> String {
    let text = |at: usize| match &account.steps[at] {
        Step::Token(token) => shown(&token.text, AROUND),
        Step::Retraction(_) => String::new(),
    };
    let reach = |steps: &mut dyn Iterator<Item = usize>| {
        let mut columns = 0;
        let mut taken = 0;
        for at in steps {
            if columns >= AROUND {
                return (taken, true);
            }
            // A token without width is one column all the same, so that no number of them makes the text endless.
            columns += text(at).width().max(1);
            taken += 1;
        }
        (taken, false)
    };
    let (before, is_cut_before) = reach(&mut (0..*middle.start()).rev());
    let (after, is_cut_after) = reach(&mut (middle.end() + 1..account.steps.len()));
    let mut around = String::from(if is_cut_before { "…" } else { "" });
    let mut open: Option<Fate> = None;
    let shown = middle.start() - before..=middle.end() + after;
    for (at, fate) in fates.iter().enumerate().filter(|(at, _)| shown.contains(at)) {
        let Some(fate) = *fate else { continue };
        let is_gone = fate != Fate::Stands;
        // Refused candidates are alternatives, not a text: each is by itself.
        if open.is_some_and(|open| open != fate || open == Fate::Refused) {
            around += "-]";
            open = None;
        }
        if is_gone && open.is_none() {
            around += "[-";
            open = Some(fate);
        }
        let is_asked = *middle.start() == at && *middle.end() == at;
        around += &if is_asked { format!(">>{}<<", text(at)) } else { text(at) };
    }
    if open.is_some() {
        around += "-]";
    }
    if is_cut_after {
        around.push('…');
    }
    around.trim().into()
}
