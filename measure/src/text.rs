//! Text of files, as a terminal may have it.

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
