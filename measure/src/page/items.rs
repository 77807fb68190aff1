//! Items: what was asked, what was answered.

use crate::results::Item;
use maud::{Markup, html};

/// Items that are shown of each kind. The results have them all.
pub(super) const MOST_ITEMS: usize = 40;

/// Characters that are shown of each text.
const LONGEST_TEXT: usize = 4_000;

/// A question, then answers side by side under the names of those who gave them.
pub(super) fn side_by_side(id: &str, what: &str, answers: &[(&str, &Item)]) -> Markup {
    let first = answers.first().map(|(_, item)| *item);
    html! {
        details {
            summary { (what) " " code { (text(id)) } }
            @if let Some(question) = first.and_then(|item| item.question.as_deref()) { pre class="question" { (text(question)) } }
            table {
                tr {
                    @if first.is_some_and(|item| item.expected.is_some()) { th { "expected" } }
                    @for (name, item) in answers { th { (text(name)) @if item.right.is_some() { ": " (judged(item)) } } }
                }
                tr {
                    @if let Some(expected) = first.and_then(|item| item.expected.as_deref()) { td { pre { (text(expected)) } } }
                    @for (_, item) in answers {
                        td {
                            @if let Some(answer) = &item.answer { pre { (text(answer)) } }
                            @if let Some(error) = &item.error { p class="note" { "could not be judged: " (text(error)) } }
                        }
                    }
                }
            }
        }
    }
}

fn judged(item: &Item) -> &'static str {
    if item.is_right() { "right" } else { "wrong" }
}

/// A text with its lines, but without what else is invisible, and no longer than a reader reads.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::new();
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            shown.push('\n');
        }
        shown += &crate::compare::plain(line);
        if let Some((end, _)) = shown.char_indices().nth(LONGEST_TEXT) {
            shown.truncate(end);
            return shown + "…";
        }
    }
    shown
}
