//! `eval`, `compare` and `team`, as a person runs them.

mod items;
mod policies;
mod teams;

use crate::support::gguf::{Architecture, PieceType, RandomModel, Vocabulary};
use crate::support::program::Place;

/// A model of letters, with no token for a line end or a digit.
fn letters(place: &Place) -> String {
    let mut pieces = Vocabulary::bytes();
    pieces.truncate(3);
    let letters = ('a'..='z').chain("▁".chars());
    pieces.extend(letters.map(|letter| (letter.to_string(), -1.0, PieceType::Normal)));
    let path = place.path().join("letters.gguf");
    RandomModel::tiny(Architecture::Llama, Vocabulary::of_pieces(&pieces), 1).write(&path);
    path.to_string_lossy().into_owned()
}
