//! Events in words, and the little paint there is.

use super::erase::columns;
use crate::cli::output::visible;
use crate::events::{EndReason, MemberProbability};
use unicode_width::UnicodeWidthChar;

/// Escape codes for emphasis, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// The output shows colours, and they are wanted.
    pub on: bool,
}

impl Paint {
    /// For what stands beside the text.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For errors.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Cuts a line to this many columns.
pub fn shorten(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short: String = line
        .chars()
        .take_while(|character| {
            let columns = character.width().unwrap_or(0);
            let fits = columns <= left;
            left = left.saturating_sub(columns);
            fits
        })
        .collect();
    short.push('…');
    short
}

/// Text inside a sentence: on one line, and not too long.
pub fn quote(text: &str) -> String {
    format!("“{}”", shorten(&visible(text).replace('\n', "⏎"), 48))
}

/// The parts of a status in lines of at most `width` columns; a line breaks between two parts.
pub fn status(parts: &[String], width: usize) -> String {
    const BETWEEN: &str = " · ";
    let mut lines = String::new();
    let mut column = 0;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 && column + columns(BETWEEN) + columns(part) > width {
            lines.push('\n');
            column = 0;
        } else if index > 0 {
            lines += BETWEEN;
            column += columns(BETWEEN);
        }
        lines += part;
        column += columns(part);
    }
    lines
}

/// A count with its noun.
pub fn plural(count: u32, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A retraction: what went, and why.
pub fn retraction(gone: &str, tokens: u32, policy: &str, reason: &str) -> String {
    let what = if visible(gone).trim().is_empty() { plural(tokens, "token") } else { quote(gone) };
    format!("⟲ took back {what} · {}", because(policy, reason))
}

/// Who did something, and why.
pub fn because(policy: &str, reason: &str) -> String {
    if reason.is_empty() { policy.to_owned() } else { format!("{policy}: {reason}") }
}

/// One row of `--verbose`: the members' probabilities stand at the end, in their order.
pub fn token(
    index: u32,
    text: &str,
    confidence: f32,
    agreement: f32,
    leader: &str,
    members: &[MemberProbability],
) -> String {
    let quoted = quote(text);
    let padding = " ".repeat(18_usize.saturating_sub(columns(&quoted)));
    let mut line = format!("{index:5}  {quoted}{padding} confidence {confidence:.3}");
    if members.len() > 1 {
        line += &format!("  agreement {agreement:.3}  leader {leader}");
        let each: Vec<_> = members.iter().map(|member| format!("{:.3}", member.probability)).collect();
        line += &format!("  ({})", each.join(" "));
    }
    line
}

/// How a reply ended, when that is worth a word.
pub fn ending(reason: &EndReason) -> Option<String> {
    match reason {
        EndReason::End => None,
        EndReason::Length => Some("ended by `--n-predict`".into()),
        EndReason::Context => Some("ended: the context is full".into()),
        EndReason::StopString => Some("ended by a stop string".into()),
        EndReason::Interrupted => Some("interrupted".into()),
        EndReason::Failed => Some("ended: a member failed".into()),
        EndReason::Policy(reason) => Some(format!("ended by a policy: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_columns_and_not_by_characters() {
        assert_eq!(shorten("小さな猫", 8), "小さな猫");
        assert_eq!(shorten("小さな猫", 7), "小さな…");
        assert_eq!(shorten("小さな猫", 6), "小さ…");
    }

    #[test]
    fn a_status_breaks_between_its_parts() {
        let parts = ["12345".to_owned(), "小さ".to_owned(), "1".to_owned()];
        assert_eq!(status(&parts, usize::MAX), "12345 · 小さ · 1");
        assert_eq!(status(&parts, 12), "12345 · 小さ\n1");
        assert_eq!(status(&parts, 11), "12345\n小さ · 1");
        assert_eq!(status(&parts, 1), "12345\n小さ\n1");
    }

    #[test]
    fn a_retraction_says_what_went_and_why() {
        assert_eq!(retraction("the\n the", 2, "retraction", "unsure"), "⟲ took back “the⏎ the” · retraction: unsure");
        assert_eq!(retraction("", 2, "calm", ""), "⟲ took back 2 tokens · calm");
    }
}
