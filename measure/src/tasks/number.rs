//! Numbers as people and models write them: `$1,234.50`, `-3`, `40%`, `18.`

/// The last number of a text, in its plain form: no sign of currency, no separators, no zeros that say nothing.
pub fn last(text: &str) -> Option<String> {
    numbers(text).last().map(|(number, _)| number)
}

/// The number that a text is, if it is one and nothing else.
pub fn whole(text: &str) -> Option<String> {
    let text = text.trim();
    let (number, rest) = numbers(text).next()?;
    let signs = |character: char| "$€£%+-−. ".contains(character);
    // What is left of the text when the number is gone.
    let before = text.find(|character: char| character.is_ascii_digit())?;
    (text[..before].chars().all(signs) && rest.chars().all(signs)).then_some(number)
}

/// Every number with the text after it.
fn numbers(text: &str) -> impl Iterator<Item = (String, &str)> {
    let mut rest = text;
    let mut before = None;
    std::iter::from_fn(move || {
        let at = rest.find(|character: char| character.is_ascii_digit())?;
        let lead = &rest[..at];
        let (digits, after) = digits(&rest[at..]);
        // `.5`, but not the `.5` of `a.5`, which is a name, nor of `1,234.5`, which `digits` took whole.
        let point = lead.strip_suffix('.').filter(|lead| !ends_in_word(lead, before));
        let signed = point.unwrap_or(lead);
        let signed = signed.strip_suffix(['$', '€', '£']).unwrap_or(signed).trim_end_matches(' ');
        let bare = signed.strip_suffix(['-', '−']);
        // In `5-3` and `x-3` the dash is no sign.
        let negative = bare.is_some_and(|lead| !ends_in_word(lead, before))
            && (signed.len() == lead.len() || lead[signed.len()..].starts_with(['$', '€', '£', '.']));
        let digits = if point.is_some() && !digits.contains('.') { format!("0.{digits}") } else { digits };
        before = Some(());
        rest = after;
        Some((plain(&digits, negative), after))
    })
}

/// Whether a letter or a digit stands right before; at the start of what follows a number, a digit does.
fn ends_in_word(lead: &str, before: Option<()>) -> bool {
    lead.chars().next_back().map_or(before.is_some(), |character| character.is_alphanumeric() || character == ')')
}

/// Takes digits, separators between groups of three, and decimals from the start of a text.
fn digits(text: &str) -> (String, &str) {
    let run = |text: &str| text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let first = run(text);
    let mut number = text[..first].to_owned();
    let mut rest = &text[first..];
    if first <= 3 {
        // `1,234,567`: only groups of exactly three are one number; `3,4` is two.
        while let Some(group) = rest.strip_prefix(',').filter(|group| run(group) == 3) {
            number.push_str(&group[..3]);
            rest = &group[3..];
        }
    }
    if let Some(decimals) = rest.strip_prefix('.').filter(|decimals| run(decimals) > 0) {
        let length = run(decimals);
        number.push('.');
        number.push_str(&decimals[..length]);
        rest = &decimals[length..];
    }
    (number, rest)
}

fn plain(digits: &str, negative: bool) -> String {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, decimals) = (whole.trim_start_matches('0'), decimals.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative && (whole != "0" || !decimals.is_empty()) { "-" } else { "" };
    if decimals.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{decimals}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_found_whatever_stands_around_it() {
        let cases = [
            ("He has 3 apples and 18 pears.", "18"),
            ("The total is $1,234.50.", "1234.5"),
            ("It costs 1,234,567 dollars", "1234567"),
            ("#### 18", "18"),
            ("That is 40%.", "40"),
            ("The answer is -7.", "-7"),
            ("He lost $-5", "-5"),
            ("He lost -$5", "-5"),
            ("He lost −5 points", "-5"),
            ("20 - 5 = 15", "15"),
            ("from 5-3", "3"),
            ("it is - 3", "3"),
            ("(4)-3", "3"),
            ("about .5 of it", "0.5"),
            ("about -.5 of it", "-0.5"),
            ("18.00", "18"),
            ("007", "7"),
            ("-0", "0"),
            ("0.10", "0.1"),
            ("3,4", "4"),
            ("1234,567", "567"),
            ("12,34", "34"),
            ("5.", "5"),
            ("1.2.3", "3"),
            ("x=5€", "5"),
            ("99999999999999999999999999", "99999999999999999999999999"),
        ];
        for (text, number) in cases {
            assert_eq!(last(text).as_deref(), Some(number), "{text}");
        }
        for text in ["", "none at all", "$", "-", ".", ","] {
            assert_eq!(last(text), None, "{text}");
        }
    }

    #[test]
    fn a_whole_number_has_nothing_else_beside_it() {
        assert_eq!(whole(" $1,000.00. ").as_deref(), Some("1000"));
        assert_eq!(whole("-3%").as_deref(), Some("-3"));
        assert_eq!(whole("3 apples"), None);
        assert_eq!(whole("a3"), None);
        assert_eq!(whole("3 4"), None);
    }
}
