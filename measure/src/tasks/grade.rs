//! What an answer is worth. Pure functions: the same answer gets the same grade.

use regex::Regex;

use super::choices::Choice;
use super::number;
use crate::sandbox::Run;

/// How an answer is found in what a model wrote.
#[derive(Debug, Clone)]
pub enum Rule {
    /// The last number: after the first marker, to the end of its line, where there is one, else of all.
    LastNumber {
        /// The marker, as `####`.
        after: Option<String>,
    },
    /// All of the text, or what follows the first marker on its line; without the marker there is no answer.
    Exact {
        /// The marker.
        after: Option<String>,
    },
    /// The first group of the first place that matches.
    Pattern(Regex),
}

impl Rule {
    /// The answer in a text, or why there is none.
    pub fn find(&self, text: &str) -> Result<String, String> {
        let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest.lines().next().unwrap_or_default());
        match self {
            Self::LastNumber { after: marker } => marker
                .as_deref()
                .and_then(after)
                .and_then(number::last)
                .or_else(|| number::last(text))
                .ok_or_else(|| "there is no number in it".into()),
            Self::Exact { after: Some(marker) } => after(marker)
                .map(|rest| rest.trim().to_owned())
                .filter(|answer| !answer.is_empty())
                .ok_or_else(|| format!("nothing follows `{marker}`")),
            Self::Exact { after: None } => {
                Some(text.trim().to_owned()).filter(|answer| !answer.is_empty()).ok_or_else(|| "it is empty".into())
            }
            Self::Pattern(pattern) => pattern
                .captures(text)
                .and_then(|groups| groups.get(1))
                .map(|group| group.as_str().trim().to_owned())
                .ok_or_else(|| format!("`{pattern}` matches nowhere")),
        }
    }
}

/// What came of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer is right.
    Right,
    /// The answer is wrong.
    Wrong,
    /// There is no answer in what the model wrote. It counts as wrong, and says something else about the model.
    Unparsed,
}

/// The grade of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grade {
    /// What came of it.
    pub outcome: Outcome,
    /// The answer as the rule found it.
    pub answer: Option<String>,
    /// The right answer.
    pub expected: String,
    /// Why, in one sentence for a person.
    pub reason: String,
}

impl Grade {
    /// Whether the answer is right.
    pub fn right(&self) -> bool {
        self.outcome == Outcome::Right
    }
}

/// The grade of a text against the right answer.
pub(super) fn text(rule: &Rule, expected: &str, answer: &str) -> Grade {
    let expected = expected.to_owned();
    match rule.find(answer) {
        Err(reason) => Grade { outcome: Outcome::Unparsed, answer: None, expected, reason },
        Ok(answer) if same(&answer, &expected) => {
            Grade { outcome: Outcome::Right, reason: format!("{answer} is right"), answer: Some(answer), expected }
        }
        Ok(answer) => {
            let reason = format!("{answer} is not {expected}");
            Grade { outcome: Outcome::Wrong, reason, answer: Some(answer), expected }
        }
    }
}

/// Equal as numbers if both are numbers, else as texts.
fn same(answer: &str, expected: &str) -> bool {
    match (number::whole(answer), number::whole(expected)) {
        (Some(answer), Some(expected)) => answer == expected,
        _ => answer.trim() == expected.trim(),
    }
}

/// The grade of a program by its run.
pub(super) fn run(run: &Run) -> Grade {
    let outcome = if run.passed() { Outcome::Right } else { Outcome::Wrong };
    Grade { outcome, answer: None, expected: "its tests pass".into(), reason: run.reason() }
}

/// The grade of log-likelihoods of choices, by both of the field's normalisations.
#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceGrade {
    /// The place of the choice with the greatest sum: lm-eval's `acc`.
    pub by_sum: usize,
    /// The place of the choice with the greatest sum per character of its text: lm-eval's `acc_norm`, which counts
    /// characters and not bytes.
    pub by_character: usize,
    /// The place of the right choice.
    pub right: usize,
}

impl ChoiceGrade {
    /// Whether the choice by the sum is right.
    pub fn right_by_sum(&self) -> bool {
        self.by_sum == self.right
    }

    /// Whether the choice per character is right.
    pub fn right_by_character(&self) -> bool {
        self.by_character == self.right
    }
}

/// Grades one log-likelihood a choice; none if their number differs or one is not a number. The first of equals is chosen,
/// as NumPy's `argmax` does for lm-eval.
pub(super) fn choices(choices: &[Choice], right: usize, log_likelihoods: &[f64]) -> Option<ChoiceGrade> {
    if choices.len() != log_likelihoods.len() || log_likelihoods.iter().any(|sum| sum.is_nan()) {
        return None;
    }
    let length = |choice: &Choice| choice.text.chars().count().max(1) as f64;
    let by_sum = greatest(log_likelihoods.iter().copied());
    let by_character = greatest(log_likelihoods.iter().zip(choices).map(|(sum, choice)| sum / length(choice)));
    Some(ChoiceGrade { by_sum, by_character, right })
}

fn greatest(values: impl Iterator<Item = f64>) -> usize {
    let (place, _) = values
        .enumerate()
        .fold((0, f64::NEG_INFINITY), |best, (place, value)| if value > best.1 { (place, value) } else { best });
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rule: &Rule, expected: &str, answer: &str) -> Outcome {
        text(rule, expected, answer).outcome
    }

    #[test]
    fn the_last_number_counts_and_no_number_is_its_own_outcome() {
        let rule = Rule::LastNumber { after: None };
        assert_eq!(outcome(&rule, "1234", "16 and 4 make $1,234.00."), Outcome::Right);
        assert_eq!(outcome(&rule, "18", "18 of 20"), Outcome::Wrong);
        assert_eq!(outcome(&rule, "18", "eighteen"), Outcome::Unparsed);
        assert_eq!(text(&rule, "18", "I say 20.").reason, "20 is not 18");
    }

    #[test]
    fn a_marker_goes_before_the_last_number() {
        let rule = Rule::LastNumber { after: Some("####".into()) };
        assert_eq!(outcome(&rule, "18", "#### 18\nQuestion: 5 and 6?"), Outcome::Right);
        assert_eq!(outcome(&rule, "18", "so it is 18"), Outcome::Right);
        assert_eq!(outcome(&rule, "18", "18 it is\n#### none"), Outcome::Right);
    }

    #[test]
    fn exact_answers_are_all_of_the_text_or_what_follows_a_marker() {
        let all = Rule::Exact { after: None };
        assert_eq!(outcome(&all, "Paris", " Paris\n"), Outcome::Right);
        assert_eq!(outcome(&all, "Paris", "paris"), Outcome::Wrong);
        assert_eq!(outcome(&all, "", " \n"), Outcome::Unparsed);
        let after = Rule::Exact { after: Some("Answer:".into()) };
        assert_eq!(outcome(&after, "Paris", "Hm.\nAnswer: Paris\nAnswer: Rome"), Outcome::Right);
        assert_eq!(outcome(&after, "Paris", "Paris"), Outcome::Unparsed);
    }

    #[test]
    fn a_pattern_gives_its_group() {
        let rule = Rule::Pattern(Regex::new(r"\\boxed\{([^}]*)\}").unwrap());
        assert_eq!(outcome(&rule, "1000", r"so \boxed{1,000} it is"), Outcome::Right);
        assert_eq!(outcome(&rule, "a+b", r"\boxed{ a+b }"), Outcome::Right);
        assert_eq!(outcome(&rule, "3", "3"), Outcome::Unparsed);
    }

    #[test]
    fn the_two_normalisations_choose_by_sum_and_by_character() {
        let choice = |text: &str| Choice { label: String::new(), text: text.into(), continuation: format!(" {text}") };
        let three = [choice("ab"), choice("abcdefgh"), choice("äöüß")];
        let grade = choices(&three, 1, &[-2.0, -4.0, -3.0]).unwrap();
        assert_eq!((grade.by_sum, grade.by_character), (0, 1));
        assert!(!grade.right_by_sum() && grade.right_by_character());
        // Four characters, eight bytes: -3 / 4 is worse than -1.2 / 2, which -3 / 8 would not be.
        assert_eq!(choices(&three, 0, &[-1.2, -9.0, -3.0]).unwrap().by_character, 0);
        assert_eq!(choices(&three, 0, &[-1.0, -1.0, -1.0]).unwrap().by_sum, 0);
        assert_eq!(choices(&three, 0, &[f64::NEG_INFINITY; 3]).unwrap().by_sum, 0);
        assert_eq!(choices(&three, 0, &[-1.0, f64::NAN, -1.0]), None);
        assert_eq!(choices(&three, 0, &[-1.0]), None);
    }
}
