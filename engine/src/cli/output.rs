//! What the program writes: nothing else touches standard output and standard error. A terminal obeys what it is sent, so
//! text of a model, a file, a plugin or an argument could fill the clipboard, answer queries in the user's name or make a
//! name look like another. A terminal therefore gets text without such characters; a pipe or a file gets it as it is.
//!
//! Foreign text goes through [`visible`] where it becomes part of a line, because only there is known what is text and what
//! is the program's own colour or movement. [`Output`] stands behind that: whatever was forgotten, a terminal receives no
//! escape sequence but those few that the program itself writes.

use crate::Error;
use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

/// Whether a terminal would do something else with it than show it: control characters, and the characters that change the
/// direction of the text around them (Unicode's `Bidi_Control`).
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as a terminal may have it: of what is no plain character only newlines stay. A tab becomes four spaces, whatever
/// the column: terminals differ on tabs at the right edge.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            character if is_unseen(character) => {}
            character => shown.push(character),
        }
    }
    shown
}

/// Escapes in JSON what [`visible`] would leave out; JSON asks that of the characters below U+0020 alone.
pub fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unseen(character) && character != '\n' {
            shown += &format!("\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Leaves of a text with escape sequences those that the program writes: colours, rows up, clearing, and the place to come
/// back to.
fn guarded(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\x1b', '\r']) {
        shown += &visible(&rest[..at]);
        rest = &rest[at..];
        let length = allowed(rest).unwrap_or(0);
        shown += &rest[..length];
        rest = &rest[length.max(1)..];
    }
    shown + visible(rest).as_str()
}

/// Length of the sequence that a text begins with, if it is one of the program's own.
fn allowed(text: &str) -> Option<usize> {
    if text.starts_with('\r') {
        return Some(1);
    }
    if text.starts_with("\x1b7") || text.starts_with("\x1b8") {
        return Some(2);
    }
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|character: char| !matches!(character, '0'..='9' | ';'))?;
    matches!(parameters.as_bytes()[end], b'm' | b'A' | b'J' | b'K').then_some("\x1b[".len() + end + 1)
}

/// Standard output or standard error. Each call of `write` is given whole characters and sequences.
pub struct Output {
    stream: Box<dyn Write>,
    is_terminal: bool,
    passes: fn(&str) -> String,
}

impl Output {
    fn new(stream: impl Write + IsTerminal + 'static) -> Self {
        Self { is_terminal: stream.is_terminal(), stream: Box::new(stream), passes: guarded }
    }

    /// Whether a person looks at it, now or later on a screen.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Takes text alone, without colours.
    pub fn plain(self) -> Self {
        Self { passes: visible, ..self }
    }

    /// Takes JSON.
    pub fn json(self) -> Self {
        Self { passes: escaped, ..self }
    }

    /// Says something; a stream that is closed leaves nobody to tell.
    pub fn say(&mut self, text: &str) {
        let _ = self.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.flush());
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.stream.write(bytes);
        }
        self.stream.write_all((self.passes)(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Standard output.
pub fn stdout() -> Output {
    Output::new(io::stdout())
}

/// Standard error.
pub fn stderr() -> Output {
    Output::new(io::stderr())
}

/// Puts text on standard output; a reader that has gone does not matter.
pub fn print(text: &str) -> Result<ExitCode, Error> {
    put(&mut stdout().plain(), text)
}

/// The same with colours in it: foreign text must have been made [`visible`].
pub fn print_painted(text: &str) -> Result<ExitCode, Error> {
    put(&mut stdout(), text)
}

/// The same for lines of JSON.
pub fn print_json(json: &str) -> Result<ExitCode, Error> {
    put(&mut stdout().json(), json)
}

fn put(output: &mut Output, text: &str) -> Result<ExitCode, Error> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Failure(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_drive_the_terminal() {
        assert_eq!(visible("a\x1b[2Jb\x07\r\nc\u{9b}31m\td\x7f"), "a[2Jb\nc31m    d");
    }

    #[test]
    fn nothing_turns_the_line_round() {
        let turning = "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert_eq!(visible(&format!("a{turning}b")), "ab");
        assert_eq!(visible("עברית العربية 👩‍🚀"), "עברית العربية 👩‍🚀", "what is written from right to left stays");
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let value = serde_json::json!({ "text": "a\u{9b}b\u{202e}\u{7f}\n猫" });
        let line = serde_json::to_string(&value).unwrap();
        let shown = escaped(&line);
        assert!(shown.contains("\\u009b") && shown.contains("\\u202e") && shown.contains("\\u007f"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn only_the_programs_own_sequences_pass() {
        let own = "\x1b[31merror:\x1b[0m a\x1b7\x1b[2m  hint\x1b[0m\x1b8\x1b[K\x1b[12A\r\x1b[Jb\n";
        assert_eq!(guarded(own), own);
        let foreign = "a\x1b]52;c;aGk=\x07b\x1b[6nc\x1bcd\x1b[?1049he\u{9b}31mf\x1bPq\x1b\\\x1b[";
        assert_eq!(guarded(foreign), "a]52;c;aGk=b[6nccd[?1049he31mfPq\\[");
    }
}
