//! Words of a text, and lists of words that are known.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

/// A set of known words.
///
/// A large dictionary is what makes "known" mean something: of 77 words of generated stories that other stories lack, 67 stand in
/// one of 348,000 entries or are loose letters.
#[derive(Debug, Clone, Default)]
pub struct Words {
    known: HashSet<String>,
}

/// Why there is no list of words.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences name the fields")]
#[non_exhaustive]
pub enum WordsError {
    /// There is no such file, it is no text, or the system refuses.
    #[error("the words of `{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// It is empty, or has numbers and signs alone.
    #[error("`{}` has no word", .0.display())]
    NoWord(PathBuf),
}

impl Words {
    /// Reads all words of some files: lists, or any texts.
    ///
    /// # Errors
    ///
    /// Each [`WordsError`] names the file.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self, WordsError> {
        let mut words = Self::default();
        for path in files.iter().map(AsRef::as_ref) {
            let text =
                std::fs::read_to_string(path).map_err(|error| WordsError::Unreadable { path: path.into(), error })?;
            let found = words_of(&text);
            if found.is_empty() {
                return Err(WordsError::NoWord(path.into()));
            }
            words.known.extend(found);
        }
        Ok(words)
    }

    /// Whether a word is known, in lower case, by itself or without a final `'s`.
    pub fn know(&self, word: &str) -> bool {
        let stem = || word.strip_suffix("'s").is_some_and(|stem| self.known.contains(stem));
        self.known.contains(word) || stem()
    }
}

impl From<&str> for Words {
    /// Takes all words of a text.
    fn from(text: &str) -> Self {
        Self { known: words_of(text).into_iter().collect() }
    }
}

/// The words of a text in lower case: runs of letters and of apostrophes between letters. Of a text without spaces between its
/// words, each run is one.
pub(super) fn words_of(text: &str) -> Vec<String> {
    // Both apostrophes are one, and quotation marks around a word are none of its letters.
    let text = text.to_lowercase().replace('’', "'");
    let runs = text.split(|character: char| !character.is_alphabetic() && character != '\'');
    runs.map(|run| run.trim_matches('\'')).filter(|run| !run.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_apostrophes_between_them() {
        assert_eq!(
            words_of("The dog's bone, 3 o’clock: 'Don't!' ' x'' "),
            ["the", "dog's", "bone", "o'clock", "don't", "x"]
        );
        assert_eq!(words_of("Naïve GRÖSSE; Ёжик"), ["naïve", "grösse", "ёжик"]);
        assert!(words_of("12 – '…' 🦊 ''").is_empty());
    }

    #[test]
    fn a_word_is_known_without_its_final_s() {
        let words = Words::from("Dog\nit's\nboys\n");
        assert!(["dog", "dog's", "it's", "boys"].into_iter().all(|word| words.know(word)));
        // Only the list's own words have their stems: `it` is none of them.
        assert!(!["it", "dogs", "'s", ""].into_iter().any(|word| words.know(word)));
    }

    #[test]
    fn files_are_read_together_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let (list, story) = (file("list", b"fox\nowl\n"), file("story.txt", "Es war einmal.".as_bytes()));
        let words = Words::read(&[&list, &story]).unwrap();
        assert!(["fox", "owl", "war", "einmal"].into_iter().all(|word| words.know(word)) && !words.know("cat"));
        for (path, why) in [
            (file("numbers", b"1\n2\n"), "has no word"),
            (file("latin-1", b"caf\xe9\n"), "latin-1` cannot be read: "),
            (folder.path().join("none"), "none` cannot be read: "),
            (folder.path().into(), "cannot be read: "),
        ] {
            let error = Words::read(&[&list, &path]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
