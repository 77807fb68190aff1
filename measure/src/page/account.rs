//! Section of a reply: its text, what policies did, curves, and every token with its figures.
//!
//! Everything is reached without a script: a token of the text is a link to its row in a table, which browsers unfold on the
//! way, as the HTML standard has it. So the text costs one short element a token, whatever is known about it.

use super::candidates::{self, BEST};
use super::curves::{self, Curve, Marks};
use super::items::text;
use crate::explain::words::{self, answers, count, number, probability, quoted, rows, shown};
use crate::explain::{Account, Fate, Step, Token};
use maud::{Markup, html};

/// Rows whose candidates are drawn as bars, 1 kB each: a policy that acts at every token would make a page of 10 MB. The table
/// has them all as text.
const MOST_DRAWN: usize = 400;

/// Columns of a token.
const TOKEN: usize = 60;

/// Probabilities below which a token is marked, class by class.
const UNSURE: [f64; 4] = [0.9, 0.6, 0.3, 0.1];

/// What the parts of a section are made of.
struct Section<'a> {
    account: &'a Account,
    fates: Vec<Option<Fate>>,
    /// Number of each step's note, from 1.
    notes: Vec<Option<usize>>,
    /// Place of the section in its page, which makes its anchors its own.
    place: usize,
}

pub(super) fn section(account: &Account, place: usize) -> Markup {
    let mut number = 0;
    let notes = account.steps.iter().map(|step| {
        number += usize::from(step.is_intervention());
        step.is_intervention().then_some(number)
    });
    let section = Section { account, fates: account.fates(), notes: notes.collect(), place };
    html! {
        h2 { (text(&account.title)) }
        pre class="question" { (text(&account.prompt)) }
        p {
            "Members: " (names(&account.members)) ". Policies: " (names(&account.policies)) ". " (section.summary())
        }
        div class="reply" dir="auto" { (section.running_text()) }
        p class="note" {
            "Underlined by probability: below " span class="c1" { "0.9" } ", " span class="c2" { "0.6" } ", " span class="c3" { "0.3" }
            " and " span class="c4" { "0.1" } ". Struck out: refused or taken back. Each token leads to its figures in the table of "
            "all tokens, each number to what a policy did there."
        }
        (section.notes())
        (section.curves())
        (section.table())
    }
}

fn names(names: &[String]) -> Markup {
    html! {
        @if names.is_empty() { "none" }
        @for (place, name) in names.iter().enumerate() { @if place > 0 { ", " } bdi { (words::name(name)) } }
    }
}

impl Section<'_> {
    fn tokens(&self) -> impl Iterator<Item = (usize, &Token)> {
        self.account.steps.iter().enumerate().filter_map(|(at, step)| match step {
            Step::Token(token) => Some((at, token)),
            Step::Retraction(_) => None,
        })
    }

    fn summary(&self) -> String {
        let number = |wanted: fn(Fate) -> bool| self.fates.iter().flatten().filter(|fate| wanted(**fate)).count();
        format!(
            "{} in the reply; {} refused; {} taken back in {}.",
            count(number(|fate| fate == Fate::Stands), "token"),
            count(number(|fate| fate == Fate::Refused), "candidate"),
            count(number(|fate| matches!(fate, Fate::TakenBack { .. })), "token"),
            count(self.fates.iter().filter(|fate| fate.is_none()).count(), "retraction")
        )
    }

    /// The text in the order of the steps, what is gone in `del`, numbers of notes behind what they are about.
    fn running_text(&self) -> Markup {
        html! {
            @for (at, step) in self.account.steps.iter().enumerate() {
                @if let Step::Token(token) = step {
                    @if self.fates[at] == Some(Fate::Stands) { (self.link(at, token, &text(&token.text))) }
                    @else { del { (self.link(at, token, &shown(&token.text, TOKEN))) } }
                }
                @if let Some(number) = self.notes[at] { sup { a href=(format!("#n{}-{number}", self.place)) { (number) } } }
            }
        }
    }

    fn link(&self, at: usize, token: &Token, text: &str) -> Markup {
        let unsure = UNSURE.iter().filter(|limit| token.confidence < **limit).count();
        let blank = match text {
            "" => Some("empty"),
            text if text.contains('\n') && text.trim().is_empty() => Some("break"),
            _ => None,
        };
        // What has no ink could be neither seen nor reached, so it gets some.
        let classes: Vec<&str> = ["", "c1", "c2", "c3", "c4"].get(unsure).copied().into_iter().chain(blank).collect();
        let classes = classes.join(" ");
        let classes = classes.trim();
        let title =
            format!("{}: {}, {} nats", token.index + 1, probability(token.confidence), number(token.surprise(), 1));
        html! {
            a href=(format!("#t{}-{at}", self.place)) class=[Some(classes).filter(|classes| !classes.is_empty())] title=(title) { (text) }
        }
    }

    /// What policies did, in order.
    fn notes(&self) -> Markup {
        let acts = self.notes.iter().enumerate().filter_map(|(at, number)| Some((at, (*number)?)));
        html! {
            @if self.notes.iter().any(Option::is_some) { h3 { "What policies did" } }
            div class="notes" {
                @for (at, number) in acts {
                    @let id = format!("n{}-{number}", self.place);
                    @let summary = format!("{number}. {}", self.act(at));
                    @match &self.account.steps[at] {
                        Step::Token(token) if number * (1 + token.members.len()) <= MOST_DRAWN => details id=(id) {
                            summary { (summary) }
                            p { (words::figures(self.account, token).join(" ")) }
                            div class="lists" { @for row in rows(self.account, token) { (candidates::bars(&row)) } }
                        },
                        _ => p id=(id) { (summary) },
                    }
                }
            }
        }
    }

    /// One thing that a policy did, in a sentence.
    fn act(&self, at: usize) -> String {
        let Self { account, fates, .. } = self;
        match &account.steps[at] {
            Step::Token(token) if token.is_refused => {
                format!("Token {}, {} was refused: {}", token.index + 1, quoted(&token.text), answers(token))
            }
            Step::Token(token) => format!("Token {}, {}: {}", token.index + 1, quoted(&token.text), answers(token)),
            Step::Retraction(retraction) => format!(
                "{}. Taken back: {}; in its place: {}",
                words::retraction(retraction).trim_end_matches('.'),
                words::shown_rejected(account, fates, at),
                words::shown_replacement(account, fates, at)
            ),
        }
    }

    fn curves(&self) -> Markup {
        let mut marks = Marks::default();
        let mut tokens = 0;
        for (at, step) in self.account.steps.iter().enumerate() {
            match step {
                Step::Retraction(_) => marks.retractions.push(tokens),
                Step::Token(token) => {
                    if token.is_refused {
                        marks.refusals.push(tokens);
                    } else if self.notes[at].is_some() {
                        marks.answers.push(tokens);
                    }
                    tokens += 1;
                }
            }
        }
        let values = |value: fn(&Token) -> f64| self.tokens().map(|(_, token)| value(token)).collect();
        let curve = |name, least_top, value| Curve { name, values: values(value), band: Vec::new(), least_top };
        let mut surprise = curve("surprise, nats", 1.0, Token::surprise);
        surprise.band = self.tokens().map(|(_, token)| [token.mean, token.unusual_from()]).collect();
        let mut all = vec![surprise, curve("entropy, nats", 1.0, |token| token.entropy)];
        if self.account.members.len() > 1 {
            all.push(curve("agreement", 1.0, |token| token.agreement));
        }
        all.push(curve("temperature", 1.0, |token| token.temperature));
        html! {
            h3 { "Figures along the reply" }
            (curves::draw(&all, &marks))
            p class="note" {
                "Behind the surprise: from its mean so far to mean + 2 (deviation + 0.1), above which it is unusual. Dashed line: a "
                "candidate was refused. Solid line: text before it was taken back. Tick at the top: a policy answered to a token "
                "that was accepted."
            }
        }
    }

    /// Every token with all figures, folded.
    fn table(&self) -> Markup {
        let members = &self.account.members;
        html! {
            details {
                summary { "All tokens" }
                p class="note" {
                    "Surprise stands beside its mean ± deviation in the reply so far. Rows have the probability of the token, then "
                    "their best candidates."
                }
                div class="wide" {
                    table class="tokens" {
                        tr {
                            th { "token" } th { "text" } th { "probability" } th { "likeliest" } th { "surprise, nats" } th { "entropy, nats" }
                            th { "agreement" } th { "leader" } th { "temperature" } th { "repeat penalty" } th { "fused row" }
                            @for name in members { th { bdi { (words::name(name)) } } }
                            th { "policies" }
                        }
                        @for (at, token) in self.tokens() { (self.row(at, token)) }
                    }
                }
            }
        }
    }

    fn row(&self, at: usize, token: &Token) -> Markup {
        let fate = match self.fates[at] {
            Some(Fate::Refused) => "refused",
            Some(Fate::TakenBack { .. }) => "taken back",
            _ => "",
        };
        let text = shown(&token.text, TOKEN);
        html! {
            tr id=(format!("t{}-{at}", self.place)) {
                td { (token.index + 1) }
                td dir="auto" { @if fate.is_empty() { (text) } @else { del { (text) } } }
                td { (probability(token.confidence)) }
                td { (probability(token.likeliest)) }
                td { (number(token.surprise(), 2)) " (" (number(token.mean, 2)) " ± " (number(token.deviation, 2)) ")" }
                td { (number(token.entropy, 2)) }
                td { (number(token.agreement, 2)) }
                td { (token.leader + 1) }
                td { (number(token.temperature, 2)) }
                td { (number(token.repeat_penalty, 2)) }
                td { (best(None, &token.fused)) }
                @for view in &token.members { td { (best(Some(view.probability), &view.top)) } }
                td { (fate) @if let Some(number) = self.notes[at] { " " a href=(format!("#n{}-{number}", self.place)) { "note " (number) } } }
            }
        }
    }
}

fn best(own: Option<f64>, top: &[(String, f64)]) -> Markup {
    html! {
        @if let Some(own) = own { (probability(own)) ": " }
        @for (place, (text, value)) in top.iter().take(BEST).enumerate() {
            @if place > 0 { ", " }
            bdi { (shown(text, TOKEN)) } " " (probability(*value))
        }
    }
}
