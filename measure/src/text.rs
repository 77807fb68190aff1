//! Text of files, large numbers and slips in names, as a terminal may have them.

/// Characters that stand for nothing visible and change the direction of the text around them (Unicode's `Bidi_Control`).
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text on one line without control characters: white space becomes a space, and what a terminal would obey becomes `�`.
pub fn plain(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        character if character.is_control() || turns(character) => '\u{fffd}',
        character => character,
    };
    text.chars().map(replace).collect()
}

/// A number with its thousands apart, such as "1,319".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The name with the fewest edits, if these are few enough to be a slip.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    let near = known.into_iter().map(|known| (strsim::osa_distance(name, known), known)).min();
    near.filter(|(edits, _)| *edits <= most).map(|(_, known)| known)
}

/// The question that follows the name of something that is not there: " (did you mean `near`?)", or nothing.
pub fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}
