//! What the members of an ensemble speak: tokens where all have the same, units otherwise.

use crate::member::ensemble::Member;
use crate::member::model::Model;
use crate::member::reader::{Aligned, Follower, Plain, Reader};
use crate::member::units::{self, TokenMap};
use crate::member::{Ensemble, Unit, Vocabulary};
use crate::settings::{Align, Settings};
use std::sync::Arc;

/// The units of an ensemble, and what each member's tokens are in them.
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
    /// Each has a map of its tokens in units, and at most so many heads.
    Exact { maps: Vec<Arc<TokenMap>>, heads: usize },
    /// The others follow the first, whose tokens are the units.
    Led,
}

impl Language {
    /// Finds out what the members have in common.
    pub fn of(own: Vec<Vocabulary>, settings: &Settings) -> Self {
        let mut same = own.clone();
        let heads = settings.heads.unwrap_or(if settings.parameters.temperature > 0.0 { USUAL_HEADS } else { 1 });
        if settings.align != Align::Always && Vocabulary::unify(&mut same) {
            let tokens = shared(same);
            return Self { units: tokens[0].clone(), tokens, manner: Manner::Same, has_drafter: false };
        }
        if settings.align == Align::Boundary {
            let tokens = shared(own);
            return Self { units: tokens[0].clone(), tokens, manner: Manner::Led, has_drafter: false };
        }
        let references: Vec<&Vocabulary> = own.iter().collect();
        let (common, _) = units::reduce_cached(&references, settings.cache.as_deref());
        let maps = common.members.into_iter().map(Arc::new).collect();
        Self {
            units: Arc::new(common.units),
            tokens: shared(own),
            manner: Manner::Exact { maps, heads },
            has_drafter: false,
        }
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
            Manner::Exact { maps, .. } => {
                let Some(alike) = self.tokens.iter().position(|tokens| **tokens == own) else { return false };
                maps.push(maps[alike].clone());
                self.tokens.push(self.tokens[alike].clone());
                true
            }
            // Followers answer for one place at a time, so nothing is read ahead; a note says so.
            Manner::Led => {
                self.tokens.push(Arc::new(own));
                true
            }
        }
    }

    /// Branches that a member's context needs room for. One that leads has none, and so a buffer for each of its texts.
    pub fn branches(&self, member: usize) -> usize {
        match self.manner {
            Manner::Exact { heads, .. } if heads > 1 => heads.min(MOST_BRANCHES),
            Manner::Led if member > 0 => MOST_BRANCHES,
            _ => 0,
        }
    }

    /// A member's view of a text in its own tokens as one in units.
    pub fn reader(&self, index: usize, horizon: usize) -> impl Fn(Plain) -> Box<dyn Reader> + Send + use<> {
        let (units, branches) = (self.units.clone(), self.branches(index));
        let aligned = match &self.manner {
            Manner::Exact { maps, heads } => Some((maps[index].clone(), *heads)),
            Manner::Same | Manner::Led => None,
        };
        let follows = matches!(self.manner, Manner::Led) && index > 0;
        move |own| match &aligned {
            Some((map, heads)) => Box::new(Aligned::new(own, map.clone(), units.clone(), *heads, branches, horizon)),
            None if follows => Box::new(Follower::new(own, units.clone())),
            None => Box::new(own),
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

    /// What the first member's tokens are in units; `None` for a token that is never emitted.
    pub fn units_of(&self, tokens: &[Unit]) -> Option<Vec<Unit>> {
        let Manner::Exact { maps, .. } = &self.manner else {
            return tokens.iter().all(|&token| (token as usize) < self.units.len()).then(|| tokens.to_vec());
        };
        let mut units = Vec::new();
        for &token in tokens {
            let own = maps[0].units_of(token);
            if own.is_empty() {
                return None;
            }
            units.extend_from_slice(own);
        }
        Some(units)
    }
}

/// Heads above temperature 0, where the text leaves what each member thinks likeliest. On 5 kB of stories stories-260k needs
/// 5.40 bits per byte with one head, 1.1202 with two, 1.1209 with four and with eight.
const USUAL_HEADS: usize = 4;

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
