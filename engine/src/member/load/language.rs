//! What the members of an ensemble speak: tokens where all have the same, bytes otherwise.

use crate::member::ensemble::Member;
use crate::member::model::Model;
use crate::member::reader::{Bytewise, Follower, Plain, Reader};
use crate::member::spelling::{self, Trie};
use crate::member::{Ensemble, Unit, Vocabulary};
use crate::settings::{Align, Heads, Settings};
use std::sync::Arc;

/// The units of an ensemble, and each member's tokens.
pub(in crate::member) struct Language {
    /// What the loop speaks.
    pub units: Arc<Vocabulary>,
    /// Each member's own tokens. Members of one family share one copy: with 152,000 tokens it is 2 MB.
    pub tokens: Vec<Arc<Vocabulary>>,
    manner: Manner,
    has_drafter: bool,
}

/// How members speak what is not their own.
enum Manner {
    /// Units are the tokens of all.
    Same,
    /// Units are bytes. Each member's tokens by their bytes; members of one family share a trie.
    Exact { tries: Vec<Arc<Trie>>, heads: Heads, beside: usize },
    /// The others follow the first, whose tokens are the units.
    Led,
}

impl Language {
    /// Finds out what the members have in common.
    pub fn of(own: Vec<Vocabulary>, settings: &Settings) -> Self {
        let mut same = own.clone();
        if settings.align != Align::Always && Vocabulary::unify(&mut same) {
            let tokens = shared(same);
            return Self { units: tokens[0].clone(), tokens, manner: Manner::Same, has_drafter: false };
        }
        if settings.align == Align::Boundary {
            let tokens = shared(own);
            return Self { units: tokens[0].clone(), tokens, manner: Manner::Led, has_drafter: false };
        }
        let tokens = shared(own);
        let mut tries: Vec<Arc<Trie>> = Vec::new();
        for (member, own) in tokens.iter().enumerate() {
            let known = tokens[..member].iter().position(|known| Arc::ptr_eq(known, own));
            tries.push(known.map_or_else(|| Arc::new(Trie::new(own)), |known| tries[known].clone()));
        }
        let manner = Manner::Exact { tries, heads: settings.heads, beside: settings.beside };
        Self { units: Arc::new(spelling::bytes()), tokens, manner, has_drafter: false }
    }

    /// Adds the tokens of a model that proposes what members decode, if they are those of a member. Nothing else changes.
    pub fn add_drafter(&mut self, own: Vocabulary) -> bool {
        self.has_drafter = true;
        match &mut self.manner {
            Manner::Same => {
                let mut pair = [(*self.units).clone(), own];
                let is_same = Vocabulary::unify(&mut pair) && pair[0] == *self.units;
                self.tokens.push(self.units.clone());
                is_same
            }
            Manner::Exact { tries, .. } => {
                let alike = self.tokens.iter().position(|tokens| **tokens == own);
                tries.push(alike.map_or_else(|| Arc::new(Trie::new(&own)), |alike| tries[alike].clone()));
                self.tokens.push(alike.map_or_else(|| Arc::new(own), |alike| self.tokens[alike].clone()));
                true
            }
            // Followers answer for one place at a time, so nothing is read ahead; a note says so.
            Manner::Led => {
                self.tokens.push(Arc::new(own));
                true
            }
        }
    }

    /// Branches that a member's context needs room for. Without any each of its texts has a KV buffer of its own; a recurrent
    /// model has branches in place of going back.
    pub fn branches(&self, member: usize, is_recurrent: bool) -> usize {
        match self.manner {
            Manner::Exact { .. } if is_recurrent => MOST_BRANCHES,
            Manner::Exact { beside, .. } => beside,
            Manner::Led if member > 0 => MOST_BRANCHES,
            _ => 0,
        }
    }

    /// A member's view of a text in its own tokens as one in units.
    pub fn reader(&self, index: usize, branches: usize) -> impl Fn(Plain) -> Box<dyn Reader> + Send + use<> {
        let (units, own) = (self.units.clone(), self.tokens[index].clone());
        let in_bytes = match &self.manner {
            Manner::Exact { tries, heads, .. } => Some((tries[index].clone(), *heads)),
            Manner::Same | Manner::Led => None,
        };
        let follows = matches!(self.manner, Manner::Led) && index > 0;
        move |plain| match &in_bytes {
            Some((trie, heads)) => {
                Box::new(Bytewise::new(plain, trie.clone(), own.clone(), units.clone(), *heads, branches))
            }
            None if follows => Box::new(Follower::new(plain, units.clone())),
            None => Box::new(plain),
        }
    }

    /// All members together.
    pub fn ensemble(&self, models: Vec<Box<dyn Model>>, members: Vec<Member>, threads: usize) -> Ensemble {
        let ensemble = Ensemble::new(models, members, self.units.clone(), threads);
        let ensemble = if self.has_drafter { ensemble.with_drafter() } else { ensemble };
        match self.manner {
            Manner::Led => ensemble.led(),
            _ => ensemble,
        }
    }

    /// A text in units, of which `tokens` makes tokens of the first member where those are the units.
    pub fn units_of(&self, text: &str, tokens: impl FnOnce() -> Vec<Unit>) -> Option<Vec<Unit>> {
        if let Manner::Exact { .. } = self.manner {
            return Some(text.bytes().map(Unit::from).collect());
        }
        Some(tokens()).filter(|tokens| tokens.iter().all(|&token| (token as usize) < self.units.len()))
    }
}

/// What a context decodes side by side.
pub(super) const MOST_BRANCHES: usize = 8;

/// Equal ones become one copy.
fn shared(vocabularies: impl IntoIterator<Item = Vocabulary>) -> Vec<Arc<Vocabulary>> {
    let mut all: Vec<Arc<Vocabulary>> = Vec::new();
    for vocabulary in vocabularies {
        let known = all.iter().find(|known| ***known == vocabulary).cloned();
        all.push(known.unwrap_or_else(|| Arc::new(vocabulary)));
    }
    all
}
