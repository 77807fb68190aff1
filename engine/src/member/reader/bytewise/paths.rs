//! Ways to read the text as whole tokens, as a tree: two that begin alike share what they know of their beginning.

use super::heads::MOST;
use super::row::TokenRow;
use crate::member::Token;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The tokens from the start of the reply to a node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Path(u32);

/// No tokens at all.
pub(super) const START: Path = Path(0);

/// Memory for rows. Where one is missing after a rewind it is decoded again.
const KEPT_BYTES: usize = 24 << 20;

/// So many rows are put in order at each use; of more, those that were made first go first.
const FEW: usize = 256;

/// Rows that are kept at least: those of all heads that there can be, and of a few tokens before. With fewer, heads would take
/// each other's rows away, and each would be decoded again and again.
const LEAST_KEPT: usize = MOST + 8;

#[derive(Debug)]
struct Place {
    before: Path,
    token: Token,
    /// How many there are.
    tokens: u32,
    /// Bytes of the reply that they write.
    bytes: u32,
    row: Option<Arc<TokenRow>>,
    /// The row is no distribution.
    is_ill: bool,
}

#[derive(Debug)]
pub(super) struct Paths {
    places: Vec<Place>,
    known: HashMap<(Path, Token), Path>,
    /// Those with rows, those that were needed last at the end.
    kept: VecDeque<Path>,
    /// Rows that were dropped: buffers of this size cost their page faults when they are fresh.
    spare: Vec<TokenRow>,
}

impl Paths {
    /// With [`START`] alone.
    pub fn new() -> Self {
        let mut paths = Self { places: Vec::new(), known: HashMap::new(), kept: VecDeque::new(), spare: Vec::new() };
        paths.clear();
        paths
    }

    pub fn clear(&mut self) {
        while let Some(path) = self.kept.pop_front() {
            self.drop_row(path);
        }
        self.places.clear();
        self.known.clear();
        let (tokens, bytes, token) = Default::default();
        self.places.push(Place { before: START, token, tokens, bytes, row: None, is_ill: false });
    }

    /// One token of `bytes` bytes further.
    pub fn child(&mut self, path: Path, token: Token, bytes: usize) -> Path {
        let next = Path(self.places.len() as u32);
        match self.known.entry((path, token)) {
            std::collections::hash_map::Entry::Occupied(known) => *known.get(),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(next);
                let before = &self.places[path.0 as usize];
                let (tokens, bytes) = (before.tokens + 1, before.bytes + bytes as u32);
                self.places.push(Place { before: path, token, tokens, bytes, row: None, is_ill: false });
                next
            }
        }
    }

    /// Without the last token.
    pub fn before(&self, path: Path) -> Path {
        self.at(path).before
    }

    /// How many tokens there are.
    pub fn tokens(&self, path: Path) -> usize {
        self.at(path).tokens as usize
    }

    /// Bytes of the reply that the tokens write.
    pub fn bytes(&self, path: Path) -> usize {
        self.at(path).bytes as usize
    }

    pub fn row(&self, path: Path) -> Option<&Arc<TokenRow>> {
        self.at(path).row.as_ref()
    }

    /// Whether there is a row, which is needed and goes later than others.
    pub fn touch(&mut self, path: Path) -> bool {
        if self.at(path).row.is_none() {
            return false;
        }
        // Where there is room for thousands none goes soon.
        if self.kept.len() <= FEW {
            self.move_to_the_end(path);
        }
        true
    }

    fn move_to_the_end(&mut self, path: Path) {
        let place = self.kept.iter().rposition(|&kept| kept == path);
        let newest = place.and_then(|place| self.kept.remove(place));
        self.kept.extend(newest);
    }

    /// Keeps a row, which `fill` makes in buffers that may hold another.
    pub fn set_row(&mut self, path: Path, fill: impl FnOnce(&mut TokenRow)) {
        let mut row = self.spare.pop().unwrap_or_default();
        fill(&mut row);
        let most = (KEPT_BYTES / row.size().max(1)).max(LEAST_KEPT);
        self.places[path.0 as usize].is_ill = false;
        match self.places[path.0 as usize].row.replace(Arc::new(row)) {
            Some(before) => {
                self.spare.extend(Arc::into_inner(before));
                self.move_to_the_end(path);
            }
            None => self.kept.push_back(path),
        }
        while self.kept.len() > most {
            if let Some(oldest) = self.kept.pop_front() {
                self.drop_row(oldest);
            }
        }
    }

    /// There was no room for any row.
    #[cfg(test)]
    pub fn drop_rows(&mut self) {
        while let Some(path) = self.kept.pop_front() {
            self.drop_row(path);
        }
    }

    fn drop_row(&mut self, path: Path) {
        let row = self.places[path.0 as usize].row.take();
        self.spare.extend(row.and_then(Arc::into_inner));
    }

    /// The row is no distribution.
    pub fn set_ill(&mut self, path: Path, is_ill: bool) {
        self.places[path.0 as usize].is_ill = is_ill;
    }

    pub fn is_ill(&self, path: Path) -> bool {
        self.at(path).is_ill
    }

    /// The newest `most` tokens, oldest first.
    pub fn newest(&self, path: Path, most: usize) -> Vec<Token> {
        let mut tokens: Vec<Token> =
            self.up(path).take(most.min(self.tokens(path))).map(|path| self.at(path).token).collect();
        tokens.reverse();
        tokens
    }

    /// The longest beginning that two have in common.
    pub fn common(&self, one: Path, other: Path) -> Path {
        let (mut one, mut other) = (one, other);
        while one != other {
            match self.tokens(one) > self.tokens(other) {
                true => one = self.at(one).before,
                false => other = self.at(other).before,
            }
        }
        one
    }

    /// From the longest to [`START`].
    pub fn up(&self, path: Path) -> impl Iterator<Item = Path> + '_ {
        std::iter::successors(Some(path), |&path| Some(self.at(path).before)).take(self.tokens(path) + 1)
    }

    fn at(&self, path: Path) -> &Place {
        &self.places[path.0 as usize]
    }
}
