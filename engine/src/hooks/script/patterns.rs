//! Lists of phrases and of regular expressions that a script looks for in text: `const GUARD = phrases([...]);`. They are
//! made once, when the script is loaded; a search takes time in proportion to the text, whatever the patterns are.
//!
//! A search is one operation for Rhai, so the bounds are here: how many patterns, how large, and a look at the deadline
//! before each step that may take long.

use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::{Regex, RegexBuilder};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};

use super::limits::Clock;

/// Names for guesses at a misspelt one.
pub(super) const NAMES: &[&str] = &["phrases", "regexes", "add", "find", "len"];

/// Most phrases of one list. A script with 3,000 of 25 bytes loads in less than 20 ms on a busy machine, and searches a text
/// in 20 µs.
const MOST_PHRASES: usize = 16_384;
/// Most bytes of all phrases of one list.
const MOST_PHRASE_BYTES: usize = 256 * 1024;
/// Most regular expressions of one list.
const MOST_REGEXES: usize = 256;
/// Size of one compiled regular expression, in bytes: enough for a few dozen Unicode classes.
const REGEX_BYTES: usize = 1 << 20;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What a script holds. A copy is another name for the same list.
#[derive(Clone)]
pub(super) struct Patterns(Arc<List>);

enum List {
    /// The automaton is made when it is first needed, so that `add` costs nothing.
    Phrases {
        texts: Vec<ImmutableString>,
        automaton: OnceLock<Result<AhoCorasick, String>>,
    },
    Regexes(Vec<Regex>),
}

/// Bytes of the text, and which pattern.
struct Found {
    start: usize,
    end: usize,
    index: usize,
}

pub(super) fn register(engine: &mut Engine, clock: &Arc<Clock>) {
    engine
        .register_type_with_name::<Patterns>("Patterns")
        .register_get("len", |patterns: &mut Patterns| patterns.0.len() as i64)
        .register_fn("len", |patterns: Patterns| patterns.0.len() as i64);
    let on = Arc::clone(clock);
    engine.register_fn("phrases", move |texts: Array| List::phrases(Vec::new(), texts, &on).map(Patterns::new));
    let on = Arc::clone(clock);
    engine.register_fn("regexes", move |texts: Array| List::regexes(Vec::new(), texts, &on).map(Patterns::new));
    let on = Arc::clone(clock);
    engine.register_fn("add", move |patterns: Patterns, texts: Array| {
        let more = match &*patterns.0 {
            List::Phrases { texts: before, .. } => List::phrases(before.clone(), texts, &on),
            List::Regexes(before) => List::regexes(before.clone(), texts, &on),
        };
        more.map(Patterns::new)
    });
    let on = Arc::clone(clock);
    engine.register_fn("find", move |patterns: Patterns, text: ImmutableString| patterns.find(&text, 0, &on));
    let on = Arc::clone(clock);
    engine.register_fn("find", move |patterns: Patterns, text: ImmutableString, from: i64| {
        patterns.find(&text, usize::try_from(from).unwrap_or(0), &on)
    });
}

impl Patterns {
    fn new(list: List) -> Self {
        Self(Arc::new(list))
    }

    /// Makes what the first search would make, while there is time.
    pub(super) fn prepare(&self) {
        if let List::Phrases { texts, automaton } = &*self.0 {
            automaton.get_or_init(|| make_automaton(texts));
        }
    }

    /// Of all matches that end behind the first `from` characters the one that begins first, of these the longest; `()` when
    /// there is none. Places are in characters, as everywhere in Rhai.
    fn find(&self, text: &str, from: usize, clock: &Clock) -> Outcome<Dynamic> {
        let behind = text.char_indices().nth(from).map_or(text.len(), |(byte, _)| byte);
        let found = match &*self.0 {
            List::Phrases { texts, automaton } => {
                in_time(clock)?;
                let automaton = automaton.get_or_init(|| make_automaton(texts)).as_ref().map_err(String::clone)?;
                find_phrase(automaton, text, behind)
            }
            List::Regexes(regexes) => find_regex(regexes, text, behind, clock)?,
        };
        Ok(found.map_or(Dynamic::UNIT, |found| found.describe(text)))
    }
}

impl List {
    fn phrases(mut texts: Vec<ImmutableString>, more: Array, clock: &Clock) -> Outcome<Self> {
        for text in more {
            let text = as_text("phrases", text)?;
            if text.trim().is_empty() {
                return Err("`phrases` takes texts, and one of these is empty".into());
            }
            texts.push(text);
        }
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if texts.len() > MOST_PHRASES || bytes > MOST_PHRASE_BYTES {
            let most = MOST_PHRASE_BYTES / 1024;
            return Err(format!("`phrases` takes up to {MOST_PHRASES} phrases and {most} KiB of them together").into());
        }
        in_time(clock)?;
        Ok(Self::Phrases { texts, automaton: OnceLock::new() })
    }

    fn regexes(mut regexes: Vec<Regex>, more: Array, clock: &Clock) -> Outcome<Self> {
        if regexes.len() + more.len() > MOST_REGEXES {
            return Err(format!("`regexes` takes up to {MOST_REGEXES} regular expressions").into());
        }
        for text in more {
            let text = as_text("regexes", text)?;
            in_time(clock)?;
            let regex = RegexBuilder::new(&text).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build();
            regexes.push(regex.map_err(|error| refusal(&text, &error))?);
        }
        Ok(Self::Regexes(regexes))
    }

    fn len(&self) -> usize {
        match self {
            Self::Phrases { texts, .. } => texts.len(),
            Self::Regexes(regexes) => regexes.len(),
        }
    }
}

impl Found {
    /// True when this one is to be told rather than the other.
    fn is_before(&self, other: &Option<Self>) -> bool {
        other.as_ref().is_none_or(|other| (self.start, other.end) < (other.start, self.end))
    }

    fn describe(&self, text: &str) -> Dynamic {
        let start = text[..self.start].chars().count();
        let found = &text[self.start..self.end];
        let entries = [
            ("start", Dynamic::from(start as i64)),
            ("end", Dynamic::from((start + found.chars().count()) as i64)),
            ("index", Dynamic::from(self.index as i64)),
            ("text", Dynamic::from(ImmutableString::from(found))),
        ];
        let mut map = Map::new();
        map.extend(entries.map(|(key, value)| (key.into(), value)));
        map.into()
    }
}

fn make_automaton(texts: &[ImmutableString]) -> Result<AhoCorasick, String> {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        // Every occurrence is seen, also one inside another: the longer one may not stand at a word's end.
        .match_kind(MatchKind::Standard)
        .build(texts.iter().map(|text| text.as_str()))
        .map_err(|error| format!("`phrases` cannot be made of these: {error}"))
}

fn find_phrase(automaton: &AhoCorasick, text: &str, behind: usize) -> Option<Found> {
    let mut best = None;
    for found in automaton.find_overlapping_iter(text) {
        let found = Found { start: found.start(), end: found.end(), index: found.pattern().as_usize() };
        if found.end > behind && stands_alone(text, &found) && found.is_before(&best) {
            best = Some(found);
        }
    }
    best
}

/// False for a phrase that begins or ends inside a word.
fn stands_alone(text: &str, found: &Found) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_cut = |before: Option<char>, after: Option<char>| before.is_some_and(is_word) && after.is_some_and(is_word);
    let (start, end) = (text.split_at(found.start), text.split_at(found.end));
    !is_cut(start.0.chars().next_back(), start.1.chars().next())
        && !is_cut(end.0.chars().next_back(), end.1.chars().next())
}

fn find_regex(regexes: &[Regex], text: &str, behind: usize, clock: &Clock) -> Outcome<Option<Found>> {
    let mut best = None;
    for (index, regex) in regexes.iter().enumerate() {
        let mut place = 0;
        loop {
            // Each search is linear, but there may be many in one text.
            in_time(clock)?;
            let Some(found) = regex.find_at(text, place) else { break };
            let found = Found { start: found.start(), end: found.end(), index };
            if found.end > behind && found.start < found.end {
                if found.is_before(&best) {
                    best = Some(found);
                }
                break;
            }
            // Behind a match of nothing the search goes on at the next character.
            let step = text[found.end..].chars().next().map_or(1, char::len_utf8);
            place = if found.start < found.end { found.end } else { found.end + step };
            if place > text.len() {
                break;
            }
        }
    }
    Ok(best)
}

fn in_time(clock: &Clock) -> Outcome<()> {
    if clock.is_late() {
        return Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into());
    }
    Ok(())
}

fn as_text(function: &str, value: Dynamic) -> Outcome<ImmutableString> {
    value
        .into_immutable_string()
        .map_err(|kind| format!("`{function}` takes an array of texts, and one of these is of type {kind}").into())
}

/// The last line of what regex says is the reason; above it stands the pattern.
fn refusal(pattern: &str, error: &regex::Error) -> Box<EvalAltResult> {
    if let regex::Error::CompiledTooBig(_) = error {
        return format!(
            "the regular expression `{pattern}` is too large; ask for fewer repetitions or smaller classes"
        )
        .into();
    }
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    format!("the regular expression `{pattern}` does not work: {reason}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(texts: &[&str]) -> Array {
        texts.iter().map(|text| Dynamic::from(ImmutableString::from(*text))).collect()
    }

    fn clock() -> Clock {
        Clock::new()
    }

    fn phrases(texts: &[&str]) -> Patterns {
        List::phrases(Vec::new(), array(texts), &clock()).map(Patterns::new).unwrap()
    }

    fn regexes(texts: &[&str]) -> Patterns {
        List::regexes(Vec::new(), array(texts), &clock()).map(Patterns::new).unwrap()
    }

    /// `start..end index text`, or nothing.
    fn found(patterns: &Patterns, text: &str, from: usize) -> String {
        let found = patterns.find(text, from, &clock()).unwrap();
        let Some(map) = found.try_cast::<Map>() else { return String::new() };
        format!("{}..{} {} {}", map["start"], map["end"], map["index"], map["text"])
    }

    #[test]
    fn phrases_match_whole_words_whatever_their_case() {
        let list = phrases(&["cat", "as an AI", "...", "re-"]);
        assert_eq!(found(&list, "The CAT sat", 0), "4..7 0 CAT");
        assert_eq!(found(&list, "concatenate category", 0), "");
        assert_eq!(found(&list, "well, As An ai model", 0), "6..14 1 As An ai");
        assert_eq!(found(&list, "well... no", 0), "4..7 2 ...");
        assert_eq!(found(&list, "re-enter", 0), "0..3 3 re-");
        assert_eq!(found(&list, "écat cat", 0), "5..8 0 cat");
    }

    #[test]
    fn the_first_and_of_these_the_longest_that_ends_behind_a_place_is_found() {
        let list = phrases(&["new", "new york", "york city", "new york cit"]);
        assert_eq!(found(&list, "in new york city", 0), "3..11 1 new york");
        assert_eq!(found(&list, "in new york city", 11), "7..16 2 york city");
        assert_eq!(found(&list, "in new york city", 16), "");
        let list = regexes(&["b+", "a+b"]);
        assert_eq!(found(&list, "xaab b", 0), "1..4 1 aab");
        assert_eq!(found(&list, "xaab b", 4), "5..6 0 b");
    }

    #[test]
    fn places_are_characters() {
        assert_eq!(found(&phrases(&["über"]), "ärger über", 0), "6..10 0 über");
        assert_eq!(found(&regexes(&["r$"]), "ärger über", 3), "9..10 0 r");
    }

    #[test]
    fn matches_of_nothing_are_none() {
        assert_eq!(found(&regexes(&["x*"]), "äöü", 0), "");
        assert_eq!(found(&regexes(&["x*"]), "äöxü", 0), "2..3 0 x");
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let refuse = |texts: &[&str]| List::regexes(Vec::new(), array(texts), &clock()).err().unwrap().to_string();
        assert!(refuse(&["fine", "(open"]).contains("`(open` does not work: unclosed group"), "{}", refuse(&["(open"]));
        assert!(refuse(&[r"\w{200}{200}"]).contains("too large"));
        let empty = List::phrases(Vec::new(), array(&["fine", " "]), &clock()).err().unwrap();
        assert!(empty.to_string().contains("empty"));
        let number = List::phrases(Vec::new(), vec![Dynamic::from(1_i64)], &clock()).err().unwrap();
        assert!(number.to_string().contains("array of texts"));
    }
}
