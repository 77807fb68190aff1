//! The text of a reply: the bytes of the units that stand, shown cut at UTF-8 boundaries.
//!
//! A unit's bytes need not be UTF-8 by themselves, and a stop string may begin in one unit and end in a later one. So
//! what is *shown* runs behind what is *decoded*, which runs behind the *raw* bytes:
//!
//! ```text
//! raw      bytes of the units
//! decoded  the same as text, without the beginning of a character at the end
//! shown    the same without an end that may still become a stop string
//! ```
//!
//! All three only grow with a unit, so a mark at each unit is enough to take units back.

use std::ops::Range;

/// How far the text had come when a unit was in.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// Length of all bytes.
    raw: usize,
    /// How many of the bytes are decoded.
    consumed: usize,
    /// Length of the decoded text.
    decoded: usize,
    /// How much of the decoded text is shown.
    shown: usize,
    /// A stop string was found; it starts where the shown text ends.
    stopped: bool,
}

/// What a unit brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed<'a> {
    /// The text that became whole and cannot be the beginning of a stop string. Often empty.
    pub text: &'a str,
    /// A stop string is complete: the reply ends here.
    pub stopped: bool,
}

/// The reply's text as it grows and is taken back.
#[derive(Debug, Clone, Default)]
pub struct ReplyText {
    stop: Vec<String>,
    raw: Vec<u8>,
    decoded: String,
    marks: Vec<Mark>,
}

impl ReplyText {
    /// An empty reply that ends before the first of `stop`. Empty stop strings count for nothing.
    ///
    /// Of several stop strings the one that is complete first counts, so that the same bytes give the same text however
    /// they are spread over units.
    pub fn new(stop: Vec<String>) -> Self {
        let stop = stop.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stop, ..Self::default() }
    }

    /// Appends a unit's bytes. After a stop string, units are counted and show nothing.
    pub fn push(&mut self, bytes: &[u8]) -> Pushed<'_> {
        let before = self.mark();
        self.raw.extend_from_slice(bytes);
        let mut mark = Mark { raw: self.raw.len(), ..before };
        if !mark.stopped {
            mark.consumed += decode(&self.raw[before.consumed..], &mut self.decoded);
            mark.decoded = self.decoded.len();
            // What is shown can hold no beginning of a stop string, so the search starts behind it.
            match first_stop(&self.decoded[before.shown..], &self.stop) {
                Some(start) => {
                    mark.shown = before.shown + start;
                    mark.stopped = true;
                }
                None => mark.shown = mark.decoded - held_back(&self.decoded[before.shown..], &self.stop),
            }
        }
        self.marks.push(mark);
        Pushed { text: &self.decoded[before.shown..mark.shown], stopped: mark.stopped }
    }

    /// Takes the last `units` units back, at most all; returns how many bytes of shown text go with them.
    pub fn retract(&mut self, units: usize) -> usize {
        let shown = self.mark().shown;
        self.marks.truncate(self.marks.len().saturating_sub(units));
        let mark = self.mark();
        self.raw.truncate(mark.raw);
        self.decoded.truncate(mark.decoded);
        shown - mark.shown
    }

    /// Ends the reply: returns the text that was held back as the possible beginning of a stop string, now shown. The
    /// beginning of a character at the very end is dropped.
    pub fn finish(&mut self) -> &str {
        let Some(mark) = self.marks.last_mut() else { return "" };
        let before = mark.shown;
        if !mark.stopped {
            mark.shown = mark.decoded;
        }
        &self.decoded[before..mark.shown]
    }

    /// The text that is shown.
    pub fn shown(&self) -> &str {
        &self.decoded[..self.mark().shown]
    }

    /// The stop string that ended the reply.
    pub fn stopped_by(&self) -> Option<&str> {
        let mark = self.mark();
        let rest = &self.decoded[mark.shown..];
        let begins = self.stop.iter().filter(|stop| mark.stopped && rest.starts_with(stop.as_str()));
        begins.min_by_key(|stop| stop.len()).map(String::as_str)
    }

    /// How many units stand.
    pub fn units(&self) -> usize {
        self.marks.len()
    }

    /// How many bytes were shown when `units` units stood: what remains if all later ones are taken back.
    pub fn shown_len_at(&self, units: usize) -> usize {
        match units.min(self.marks.len()) {
            0 => 0,
            units => self.marks[units - 1].shown,
        }
    }

    /// The bytes of the units in `range` as text, stop strings included; broken characters become U+FFFD. Units that
    /// do not stand count for nothing.
    pub fn text_of(&self, range: Range<usize>) -> String {
        let (start, end) = (self.raw_len_at(range.start), self.raw_len_at(range.end));
        String::from_utf8_lossy(self.raw.get(start..end).unwrap_or_default()).into_owned()
    }

    fn mark(&self) -> Mark {
        self.marks.last().copied().unwrap_or_default()
    }

    fn raw_len_at(&self, units: usize) -> usize {
        match units.min(self.marks.len()) {
            0 => 0,
            units => self.marks[units - 1].raw,
        }
    }
}

/// Appends `bytes` to `text` as [`String::from_utf8_lossy`] would, up to the beginning of a character at their end.
/// Returns how many bytes that took.
fn decode(bytes: &[u8], text: &mut String) -> usize {
    let mut consumed = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        consumed += chunk.valid().len();
        let broken = chunk.invalid();
        let unfinished = std::str::from_utf8(broken).is_err_and(|error| error.error_len().is_none());
        if unfinished && consumed + broken.len() == bytes.len() {
            break;
        }
        if !broken.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            consumed += broken.len();
        }
    }
    consumed
}

/// Where the stop string begins that is complete first; of two that end together, the longer.
fn first_stop(text: &str, stop: &[String]) -> Option<usize> {
    let matches = stop.iter().filter_map(|stop| text.find(stop.as_str()).map(|start| (start + stop.len(), start)));
    matches.min().map(|(_, start)| start)
}

/// Length of the longest end of `text` that is a beginning of a stop string.
fn held_back(text: &str, stop: &[String]) -> usize {
    let longest = stop.iter().map(String::len).max().unwrap_or(0).min(text.len());
    let bytes = text.as_bytes();
    // A beginning of a stop string starts at a character, so a match does too.
    (1..=longest)
        .rev()
        .find(|&len| stop.iter().any(|stop| stop.as_bytes().starts_with(&bytes[bytes.len() - len..])))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_stop(stop: &[&str]) -> ReplyText {
        ReplyText::new(stop.iter().map(|stop| stop.to_string()).collect())
    }

    #[test]
    fn a_character_split_over_units_shows_when_it_is_whole() {
        let mut text = with_stop(&[]);
        assert_eq!(text.push(b"a\xe2\x82").text, "a");
        assert_eq!(text.push(b"\xac!").text, "€!");
        assert_eq!(text.shown(), "a€!");
        assert_eq!(text.text_of(1..2), "\u{fffd}!");
    }

    #[test]
    fn a_broken_character_in_the_middle_becomes_a_replacement_character() {
        let mut text = with_stop(&[]);
        assert_eq!(text.push(b"\xe2\x82").text, "");
        assert_eq!(text.push(b"x").text, "\u{fffd}x");
    }

    #[test]
    fn an_unfinished_character_at_the_end_is_dropped() {
        let mut text = with_stop(&[]);
        text.push(b"ok\xf0\x9f");
        assert_eq!(text.finish(), "");
        assert_eq!(text.shown(), "ok");
    }

    #[test]
    fn a_stop_string_over_several_units_never_shows() {
        let mut text = with_stop(&["\nUser:"]);
        assert_eq!(text.push(b"Yes.\n").text, "Yes.");
        assert_eq!(text.push(b"Us").text, "");
        assert_eq!(text.push(b"er: no"), Pushed { text: "", stopped: true });
        assert_eq!(text.finish(), "");
        assert_eq!(text.shown(), "Yes.");
        assert!(text.push(b"more").stopped);
        assert_eq!(text.retract(2), 0);
        assert_eq!(text.push(b"a"), Pushed { text: "\nUsa", stopped: false });
    }

    #[test]
    fn what_was_held_back_shows_at_the_end() {
        let mut text = with_stop(&["###"]);
        text.push(b"C #");
        assert_eq!(text.finish(), "#");
        assert_eq!(text.shown(), "C #");
    }

    #[test]
    fn of_two_stop_strings_the_one_that_is_complete_first_counts() {
        for pieces in [vec!["abcd"], vec!["a", "b", "c", "d"]] {
            let mut text = with_stop(&["abcd", "c"]);
            for piece in pieces {
                text.push(piece.as_bytes());
            }
            assert_eq!(text.shown(), "ab");
        }
    }

    #[test]
    fn shown_length_at_a_unit_is_what_remains_after_taking_the_later_ones_back() {
        let mut text = with_stop(&[]);
        for piece in [&b"one "[..], b"tw\xc3", b"\xb6 ", b"three"] {
            text.push(piece);
        }
        assert_eq!(text.shown_len_at(2), 6);
        assert_eq!(text.retract(2), "one twö three".len() - 6);
        assert_eq!(text.shown(), "one tw");
        assert_eq!(text.retract(9), 6);
        assert_eq!((text.units(), text.shown_len_at(7)), (0, 0));
    }

    /// What a text of `bytes` must show in the end, worked out from the whole at once.
    fn expected(bytes: &[u8], stop: &[String]) -> String {
        let mut whole = String::from_utf8_lossy(bytes).into_owned();
        // The tail counts as unfinished when some continuation would make it a character.
        let tail = bytes.utf8_chunks().last().map_or(&b""[..], |chunk| chunk.invalid());
        if std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none()) {
            whole.pop();
        }
        let ends = (0..=whole.len()).filter(|&end| whole.is_char_boundary(end));
        for end in ends {
            let longest = stop.iter().filter(|stop| whole[..end].ends_with(stop.as_str())).map(String::len).max();
            if let Some(longest) = longest {
                return whole[..end - longest].to_string();
            }
        }
        whole
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            6 => prop::sample::select(b"ab\n".to_vec()),
            3 => prop::sample::select("é€😀".as_bytes().to_vec()),
            1 => any::<u8>(),
        ];
        let whole = prop::sample::select(vec!["é", "€", "😀", "ab", "a€"]).prop_map(|text| text.as_bytes().to_vec());
        prop_oneof![prop::collection::vec(byte, 0..5), whole]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn replaying_what_was_shown_gives_the_lossy_text_of_the_bytes_that_stand(
            steps in prop::collection::vec((bytes(), 0usize..12), 0..40),
            stop in prop::collection::vec("[ab€]{1,3}", 0..3),
        ) {
            let mut text = ReplyText::new(stop.clone());
            let (mut kept, mut replayed) = (Vec::<Vec<u8>>::new(), String::new());
            for (piece, take_back) in steps {
                let pushed = text.push(&piece);
                let stopped = pushed.stopped;
                replayed.push_str(pushed.text);
                kept.push(piece);
                if take_back < 4 {
                    let standing = kept.len().saturating_sub(take_back);
                    let remains = text.shown_len_at(standing);
                    let gone = text.retract(take_back);
                    prop_assert!(replayed.is_char_boundary(replayed.len() - gone));
                    replayed.truncate(replayed.len() - gone);
                    kept.truncate(standing);
                    prop_assert_eq!(replayed.len(), remains);
                } else if stopped {
                    break;
                }
                prop_assert_eq!(&replayed, text.shown());
                prop_assert_eq!(text.units(), kept.len());
                prop_assert_eq!(text.text_of(0..kept.len()), String::from_utf8_lossy(&kept.concat()).into_owned());
                prop_assert!(stop.iter().all(|stop| !replayed.contains(stop.as_str())));
            }
            replayed.push_str(text.finish());
            prop_assert_eq!(&replayed, &expected(&kept.concat(), &stop));
            prop_assert_eq!(&replayed, text.shown());
        }
    }
}
