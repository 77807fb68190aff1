//! What became of the tokens of a reply.

use super::{Account, Step, Token};

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stands in the reply.
    Stands,
    /// It was refused before it stood.
    Refused,
    /// It stood and was taken back.
    TakenBack {
        /// Place of the retraction among the steps.
        retraction: usize,
    },
}

impl Account {
    /// What became of the token of each step; `None` for a retraction.
    ///
    /// A retraction takes back every token that stands at its index or behind it, so what is written after a retraction can be
    /// taken back by another one.
    pub fn fates(&self) -> Vec<Option<Fate>> {
        let mut fates = Vec::with_capacity(self.steps.len());
        let mut standing: Vec<(usize, usize)> = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Token(token) if token.is_refused => fates.push(Some(Fate::Refused)),
                Step::Token(token) => {
                    fates.push(Some(Fate::Stands));
                    standing.push((at, token.index));
                }
                Step::Retraction(retraction) => {
                    fates.push(None);
                    standing.retain(|&(step, index)| {
                        let stays = index < retraction.index;
                        if !stays {
                            fates[step] = Some(Fate::TakenBack { retraction: at });
                        }
                        stays
                    });
                }
            }
        }
        fates
    }

    /// Tokens that stand, in order.
    pub fn standing(&self) -> Vec<&Token> {
        self.with(&self.fates(), Fate::Stands).map(|(_, token)| token).collect()
    }

    /// Tokens with a fate, with their places among the steps.
    pub(crate) fn with(&self, fates: &[Option<Fate>], fate: Fate) -> impl Iterator<Item = (usize, &Token)> {
        self.steps.iter().enumerate().zip(fates).filter_map(move |((at, step), found)| match step {
            Step::Token(token) if *found == Some(fate) => Some((at, token)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Retraction;

    fn token(index: usize, is_refused: bool) -> Step {
        Step::Token(Token {
            index,
            text: index.to_string(),
            confidence: 0.5,
            likeliest: 0.5,
            entropy: 1.0,
            agreement: 1.0,
            leader: 0,
            mean: 0.5,
            deviation: 0.1,
            members: Vec::new(),
            fused: Vec::new(),
            temperature: 0.8,
            repeat_penalty: 1.1,
            verdicts: Vec::new(),
            is_refused,
        })
    }

    fn back_to(index: usize) -> Step {
        Step::Retraction(Retraction { index, units: 1, policy: "p".into(), reason: String::new() })
    }

    fn account(steps: Vec<Step>) -> Account {
        Account { title: String::new(), members: Vec::new(), policies: Vec::new(), prompt: String::new(), steps }
    }

    #[test]
    fn a_retraction_takes_back_what_stands_at_its_index_or_behind() {
        let steps = vec![
            token(0, false),
            token(1, false),
            token(2, true),
            token(2, false),
            back_to(2),
            token(2, false),
            back_to(1),
            token(1, false),
        ];
        let [first, second] = [4, 6].map(|retraction| Some(Fate::TakenBack { retraction }));
        let (stands, refused) = (Some(Fate::Stands), Some(Fate::Refused));
        assert_eq!(account(steps).fates(), [stands, second, refused, first, None, second, None, stands]);
    }

    #[test]
    fn a_retraction_beyond_the_text_takes_nothing_back_and_one_to_zero_everything() {
        let reply = account(vec![token(0, false), back_to(5), token(1, false)]);
        assert_eq!(reply.standing().len(), 2);
        let reply = account(vec![token(0, false), token(1, false), back_to(0), back_to(0)]);
        assert!(reply.standing().is_empty());
    }
}
