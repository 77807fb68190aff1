//! Text of files and large numbers, as a terminal may have them.

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
pub(crate) fn grouped(number: u64) -> String {
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
