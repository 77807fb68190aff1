//! Words of files in Markdown: nothing that a name says becomes markup.

use measure::compare::{cut, plain};
pub(super) use measure::compare::{p_value, signed};
pub(super) use measure::grouped as count;
use measure::statistics::Interval;

/// Columns of a name or a remark; longer ones lose their middle.
const LONGEST: usize = 160;

/// A text on one line, without what turns or hides its neighbours.
pub(super) fn line(text: &str) -> String {
    // Not covered by `plain`: characters without width, and those that YAML forbids.
    let is_hidden =
        |character| matches!(character, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let text: String = plain(text.trim()).chars().filter(|character| !is_hidden(*character)).collect();
    cut(&text, LONGEST)
}

/// Words of a file as text, with entities for all that has a meaning in Markdown: they work in tables too, where cells end
/// before code spans and backslashes are looked at.
pub(super) fn words(text: &str) -> String {
    let mut escaped = String::new();
    for character in line(text).chars() {
        match character {
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '$' | '!' => {
                escaped.push_str(&format!("&#{};", u32::from(character)));
            }
            character => escaped.push(character),
        }
    }
    escaped
}

/// A name as code, or as [`words`] where code could end early.
pub(super) fn name(text: &str) -> String {
    let text = line(text);
    match text.as_str() {
        "" => "(no name)".into(),
        text if text.contains(['`', '|', '\\']) => words(text),
        text => format!("`{text}`"),
    }
}

/// Names in a row, or `–`.
pub(super) fn names<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<String> = all.into_iter().map(name).collect();
    if all.is_empty() { "–".into() } else { all.join(", ") }
}

/// The first digits of a digest.
pub(super) fn short(sha256: &str) -> String {
    let digits: String = sha256.chars().take(12).collect();
    name(&digits)
}

/// A table of Markdown. Cells are Markdown already.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

/// "1 window", "12 windows".
pub(super) fn some(number: u64, of: &str) -> String {
    format!("{} {of}{}", count(number), if number == 1 { "" } else { "s" })
}

/// An interval of figures, or that there is none.
pub(super) fn interval(interval: Option<Interval>, figure: impl Fn(f64) -> String) -> String {
    interval
        .map_or("none: too little data".into(), |Interval { low, high }| format!("{} … {}", figure(low), figure(high)))
}

/// A change in percent: "+1.25 %".
pub(super) fn change(part: f64) -> String {
    format!("{} %", signed(part * 100.0, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code_unless_they_could_end_it() {
        assert_eq!(name("moe-Q8_0.gguf"), "`moe-Q8_0.gguf`");
        assert_eq!(name("a|b`c"), "a&#124;b&#96;c");
        assert_eq!(name("a\n# title\r\n"), "`a # title`");
        assert_eq!(name(" \u{feff}"), "(no name)");
        assert_eq!(words("<b>[x](y)*_\\"), "&#60;b&#62;&#91;x&#93;(y)&#42;&#95;&#92;");
        assert!(name(&"x".repeat(10_000)).chars().count() < 170);
    }

    #[test]
    fn figures_say_what_they_are() {
        assert_eq!(
            (count(1_319), some(1, "window"), some(2_000, "item")),
            ("1,319".into(), "1 window".into(), "2,000 items".into())
        );
        assert_eq!((change(0.0125), change(-0.000_001)), ("+1.25 %".into(), "0.00 %".into()));
        assert_eq!(interval(Some(Interval { low: -0.1, high: 0.2 }), change), "-10.00 % … +20.00 %");
        assert_eq!(interval(None, change), "none: too little data");
        assert_eq!((p_value(0.0), p_value(0.031_25), p_value(0.25)), ("< 0.001".into(), "0.031".into(), "0.25".into()));
    }
}
