//! Pieces of text that are about a token: numbers for them, and what is known of one while its bytes are drawn.

use crate::member::Unit;
use crate::member::spelling::BYTES;
use std::collections::HashMap;

/// The first number of a piece of several bytes: those of single bytes and of the end of the text are their units.
const FIRST: Unit = BYTES as Unit + 1;

/// Numbers for the pieces of one reply, in the order in which they were written first. Hooks compare them, and give them back
/// to ban or to force a piece; a piece has the same number wherever it stands.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    strings: Vec<Vec<u8>>,
    numbers: HashMap<Vec<u8>, Unit>,
}

impl Pieces {
    /// A piece's number, the byte for one of a single byte.
    pub fn number(&mut self, bytes: &[u8]) -> Unit {
        if let &[byte] = bytes {
            return Unit::from(byte);
        }
        if let Some(&number) = self.numbers.get(bytes) {
            return number;
        }
        let number = FIRST + self.strings.len() as Unit;
        self.strings.push(bytes.to_vec());
        self.numbers.insert(bytes.to_vec(), number);
        number
    }

    /// What a piece writes; `None` for the end of the text and for a number that no piece has.
    pub fn bytes(&self, number: Unit) -> Option<Vec<u8>> {
        match u8::try_from(number) {
            Ok(byte) => Some(vec![byte]),
            Err(_) => self.strings.get(number.checked_sub(FIRST)? as usize).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_the_same_number_wherever_it_stands() {
        let mut pieces = Pieces::default();
        let numbers = [&b" the"[..], b"a", b" cat", b" the"].map(|piece| pieces.number(piece));
        assert_eq!(numbers, [257, 97, 258, 257]);
        assert_eq!(pieces.bytes(258).as_deref(), Some(&b" cat"[..]));
        assert_eq!(pieces.bytes(97).as_deref(), Some(&b"a"[..]));
        assert_eq!((pieces.bytes(256), pieces.bytes(259)), (None, None));
    }
}
