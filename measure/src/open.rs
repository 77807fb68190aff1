//! Figures of open-ended text, in which nothing is right or wrong.
//!
//! None of them is quality. Each counts one thing that goes wrong in texts that models write: words that are none, the same
//! words again and again, loops without an end. So a reply has several, and a change that buys one with another is seen.

mod words;

pub use words::{Words, WordsError};

use crate::results::Ratio;
use std::collections::{BTreeMap, HashSet};
use words::words_of;

/// Bits that a judge, another model, needs for the reply, over its bytes. It measures how bland a text is: of stories that people
/// wrote, it finds 4.3 % of the tokens bad, and 2.0 % of a model's.
pub const BITS: &str = "bits";
/// Whether the prompt is the likeliest of all prompts, given the reply.
pub const PLOT: &str = "plot";
/// Words that a list has, of all words.
pub const KNOWN_WORDS: &str = "known words";
/// Different pairs of neighbouring words, of all pairs in the reply (Li et al. 2016, "A diversity-promoting objective function
/// for neural conversation models").
pub const DISTINCT_2: &str = "distinct 2";
/// Different sequences of four words, of all in the reply.
pub const DISTINCT_4: &str = "distinct 4";
/// Words that lie in a sequence of four which stood in the reply before, of all words.
pub const REPEATED: &str = "repeated";
/// Whether the reply ends in a loop.
pub const LOOPS: &str = "loops";
/// Number of words.
pub const WORDS: &str = "words";

/// Words of the sequences that count as repeated: three come again in any story.
const SEQUENCE: usize = 4;

/// Times that the end of a text stands there one after the other, at least, if it is a loop.
const LOOP_TIMES: usize = 3;

/// Characters that a loop covers at least: "ha ha ha" is none.
const LOOP_CHARACTERS: usize = 24;

/// What is better of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A larger value.
    More,
    /// A smaller value.
    Less,
}

/// A figure that this program makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name in results.
    pub name: &'static str,
    /// What it is, in some words.
    pub meaning: &'static str,
    /// What is better; `None` where neither is.
    pub better: Option<Better>,
}

/// All figures that this program makes.
pub const FIGURES: [Figure; 8] = [
    Figure { name: BITS, meaning: "bits per byte under the judge", better: Some(Better::Less) },
    Figure {
        name: PLOT,
        meaning: "the prompt is the likeliest of the prompts, given the text",
        better: Some(Better::More),
    },
    Figure { name: KNOWN_WORDS, meaning: "words that a list has", better: Some(Better::More) },
    Figure { name: DISTINCT_2, meaning: "different pairs of words", better: Some(Better::More) },
    Figure { name: DISTINCT_4, meaning: "different sequences of four words", better: Some(Better::More) },
    Figure { name: REPEATED, meaning: "words in four that stood there before", better: Some(Better::Less) },
    Figure { name: LOOPS, meaning: "replies that end in a loop", better: Some(Better::Less) },
    Figure { name: WORDS, meaning: "words of a reply", better: None },
];

/// The figure with this name, if this program makes it.
pub fn figure(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}

/// What is better of the figure with this name; `None` where neither is, or nothing is known of it.
pub fn direction(name: &str) -> Option<Better> {
    figure(name)?.better
}

/// The figures of a reply that need no model. Those that are shares of nothing are left out: an empty reply has no words to know.
pub fn figures(reply: &str, list: Option<&Words>) -> BTreeMap<String, Ratio> {
    let words = words_of(reply);
    let whole = if is_cut_off(reply) { &words[..words.len().saturating_sub(1)] } else { &words };
    let known = list.map(|list| (KNOWN_WORDS, whole.iter().filter(|word| list.know(word)).count(), whole.len()));
    let counts = [
        (DISTINCT_2, distinct(&words, 2), words.windows(2).len()),
        (DISTINCT_4, distinct(&words, 4), words.windows(4).len()),
        (REPEATED, repeated(&words), words.len()),
        (LOOPS, usize::from(ends_in_loop(reply)), 1),
        (WORDS, words.len(), 1),
    ];
    let ratio = |(name, sum, of): (&str, usize, usize)| (name.to_owned(), Ratio { sum: sum as f64, of: of as f64 });
    counts.into_iter().chain(known).filter(|(.., of)| *of > 0).map(ratio).collect()
}

/// Whether the last word may go on: neither white space nor a sign ends it.
fn is_cut_off(reply: &str) -> bool {
    reply.ends_with(char::is_alphabetic)
}

fn distinct(words: &[String], length: usize) -> usize {
    words.windows(length).collect::<HashSet<_>>().len()
}

/// How many words lie in a sequence that began earlier in the text, too.
fn repeated(words: &[String]) -> usize {
    let mut before = HashSet::new();
    let mut is_repeated = vec![false; words.len()];
    for (at, sequence) in words.windows(SEQUENCE).enumerate() {
        if !before.insert(sequence) {
            is_repeated[at..at + SEQUENCE].fill(true);
        }
    }
    is_repeated.into_iter().filter(|is_repeated| *is_repeated).count()
}

/// Whether the end of a text is the same again and again, with or without white space behind it.
pub fn ends_in_loop(text: &str) -> bool {
    let is_loop = |characters: &[char]| {
        let count = characters.len();
        (1..=count / LOOP_TIMES).any(|period| {
            let covered = period * LOOP_TIMES.max(LOOP_CHARACTERS.div_ceil(period));
            let end = count.checked_sub(covered).map(|start| &characters[start..]);
            end.is_some_and(|end| end[period..] == end[..covered - period])
        })
    };
    let characters: Vec<char> = text.chars().collect();
    let end = text.trim_end().chars().count();
    is_loop(&characters) || is_loop(&characters[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A figure as its two numbers; `None` where the reply has none.
    fn of(reply: &str, name: &str) -> Option<(f64, f64)> {
        let list = Words::from("the cat sat on a mat it's don't");
        figures(reply, Some(&list)).get(name).map(|ratio| (ratio.sum, ratio.of))
    }

    #[test]
    fn figures_are_those_that_one_counts_by_hand() {
        // Pairs: the cat, cat sat, sat the, the cat again, cat sat again. Fours: three, all different.
        let reply = "The cat sat. The cat sat.";
        assert_eq!(of(reply, WORDS), Some((6.0, 1.0)));
        assert_eq!(of(reply, KNOWN_WORDS), Some((6.0, 6.0)));
        assert_eq!(of(reply, DISTINCT_2), Some((3.0, 5.0)));
        assert_eq!(of(reply, DISTINCT_4), Some((3.0, 3.0)));
        assert_eq!(of(reply, REPEATED), Some((0.0, 6.0)));
        assert_eq!(of(reply, LOOPS), Some((0.0, 1.0)));
    }

    #[test]
    fn words_in_a_four_that_stood_there_before_are_repeated() {
        assert_eq!(of("a b c d, e, a b c d; f", REPEATED), Some((4.0, 10.0)));
        // Five in a row are two fours, which share three words.
        assert_eq!(of("a b c d e. a b c d e.", REPEATED), Some((5.0, 10.0)));
        // Each four but the first stood there one word before.
        assert_eq!(of("no no no no no no", REPEATED), Some((5.0, 6.0)));
        assert_eq!(of("no no no no", REPEATED), Some((0.0, 4.0)));
        assert_eq!(of("no no no no no no", DISTINCT_4), Some((1.0, 3.0)));
    }

    #[test]
    fn shares_of_nothing_are_left_out() {
        for nothing in ["", " \n", "12 + 3 = …", "🦊"] {
            let names: Vec<String> = figures(nothing, Some(&Words::default())).into_keys().collect();
            assert_eq!(names, [LOOPS, WORDS], "{nothing:?}");
        }
        assert_eq!((of("", WORDS), of("", LOOPS)), (Some((0.0, 1.0)), Some((0.0, 1.0))));
        assert_eq!((of("cat.", DISTINCT_2), of("cat sat mat.", DISTINCT_4)), (None, None));
        assert!(!figures("The cat.", None).contains_key(KNOWN_WORDS), "without a list nothing is known");
    }

    #[test]
    fn the_last_word_of_a_reply_that_was_cut_off_does_not_count_as_unknown() {
        assert_eq!(of("The cat sat on a hushstr", KNOWN_WORDS), Some((5.0, 5.0)));
        for end in [".", " ", "\n", "!'", "…", "’"] {
            assert_eq!(of(&format!("The cat sat on a hushstr{end}"), KNOWN_WORDS), Some((5.0, 6.0)), "{end:?}");
        }
        // The other figures have it, and a reply of one such word has none that could be known.
        assert_eq!(of("The cat sat on a hushstr", WORDS), Some((6.0, 1.0)));
        assert_eq!(of("hushstr", KNOWN_WORDS), None);
    }

    #[test]
    fn apostrophes_split_no_word_and_quotation_marks_are_none_of_it() {
        assert_eq!(of("'It’s the cat's mat,' 'don't'.", WORDS), Some((5.0, 1.0)));
        assert_eq!(of("'It’s the cat's mat,' 'don't'.", KNOWN_WORDS), Some((5.0, 5.0)));
    }

    #[test]
    fn a_word_of_any_script_is_one_word() {
        assert_eq!(of("Ёжик и café, Straße.", WORDS), Some((4.0, 1.0)));
        assert_eq!(of("Ёжик и café, Straße.", KNOWN_WORDS), Some((0.0, 4.0)));
        // Case is none of a word's: one pair twice.
        assert_eq!(of("ÜBER café über CAFÉ", DISTINCT_2), Some((2.0, 3.0)));
    }

    #[test]
    fn a_loop_is_an_end_that_comes_three_times_and_is_long_enough() {
        let loops = |text: &str| of(text, LOOPS) == Some((1.0, 1.0));
        let sentence = "and then he ran away. ";
        assert!(loops(&format!("Once {}", sentence.repeat(3))));
        assert!(!loops(&format!("Once {}", sentence.repeat(2))));
        // Cut off in the middle of the fourth time, and with white space behind it.
        assert!(
            loops(&format!("Once {}and then", sentence.repeat(3))) && loops(&format!("{}\n\n", sentence.repeat(4)))
        );
        assert!(!loops(&format!("{}The end.", sentence.repeat(5))), "it ended");
        // One character, 24 times and not 23; characters and not bytes count.
        for character in ["a", "é", "🦊", "\n", "."] {
            let times = |count| format!("b{}", character.repeat(count));
            assert!(loops(&times(24)) && !loops(&times(23)), "{character:?}");
        }
        // Five characters take five times to cover 24.
        assert!(loops(&"ha, y".repeat(5)) && !loops(&"ha, y".repeat(4)));
        assert!(!loops("ha ha ha"));
    }

    #[test]
    fn each_figure_has_its_direction() {
        assert_eq!([BITS, REPEATED, LOOPS].map(direction), [Some(Better::Less); 3]);
        assert_eq!([PLOT, KNOWN_WORDS, DISTINCT_2, DISTINCT_4].map(direction), [Some(Better::More); 4]);
        assert_eq!([WORDS, "of another program"].map(direction), [None; 2]);
        let made = figures("The cat sat on the mat.", Some(&Words::from("cat")));
        assert!(made.keys().all(|name| figure(name).is_some()) && made.len() == FIGURES.len() - 2, "{made:?}");
    }
}
