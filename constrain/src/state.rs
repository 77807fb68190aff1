//! One text under a constraint.

use crate::{Units, sentence};
use llguidance::Matcher;
use toktrie::SimpleVob;

/// Units that may come next.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask(SimpleVob);

impl Mask {
    /// Whether this unit may come next. Not for a unit that does not exist.
    pub fn allows(&self, unit: u32) -> bool {
        (unit as usize) < self.0.len() && self.0.is_allowed(unit)
    }

    /// The units that may come next, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// How many units may come next.
    pub fn count(&self) -> usize {
        self.0.num_set()
    }
}

/// A text under a constraint: the units written so far, and what may follow.
///
/// After an error of one of its methods the text stands as it did before; [`truncate`](Self::truncate) to a shorter text works
/// again, whatever the error was.
pub struct State {
    units: Units,
    /// The empty text. Its lexer is its own, so that no failure of the other reaches it.
    beginning: Matcher,
    matcher: Matcher,
    written: Vec<u32>,
    has_ended: bool,
    mask: Option<Mask>,
}

impl Clone for State {
    fn clone(&self) -> Self {
        Self {
            units: self.units.clone(),
            beginning: self.beginning.deep_clone(),
            matcher: self.matcher.deep_clone(),
            written: self.written.clone(),
            has_ended: self.has_ended,
            mask: self.mask.clone(),
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("written", &self.written).finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn new(units: Units, beginning: Matcher) -> Result<Self, String> {
        if let Some(error) = beginning.get_error() {
            return Err(sentence(error));
        }
        let matcher = beginning.deep_clone();
        Ok(Self { units, beginning, matcher, written: Vec::new(), has_ended: false, mask: None })
    }

    /// The units that may come next, with the end where the text may end; after the end, none.
    ///
    /// An error means that nothing can follow: the grammar ran out of what llguidance lets it use, or no unit spells what it
    /// asks for.
    pub fn allowed(&mut self) -> Result<&Mask, String> {
        if self.mask.is_none() {
            let mut mask = if self.has_ended {
                SimpleVob::alloc(self.units.count())
            } else {
                self.matcher.compute_mask_or_eos().map_err(|error| match sentence(error).as_str() {
                    "NoExtensionBias" => "No unit can write what the grammar asks for here.".to_owned(),
                    other => other.to_owned(),
                })?
            };
            mask.and(self.units.writable());
            if mask.is_zero() && !self.has_ended {
                return Err("No unit can write what the grammar asks for here.".to_owned());
            }
            self.mask = Some(Mask(mask));
        }
        self.mask.as_ref().ok_or_else(|| "There is no mask.".to_owned())
    }

    /// Writes a unit. Refused, with the text as it was, where it is not allowed.
    pub fn push(&mut self, unit: u32) -> Result<(), String> {
        let refusal = || Err(format!("The unit {unit} is not allowed here."));
        if self.has_ended || !self.is_writable(unit) {
            return refusal();
        }
        if unit == self.units.end() {
            if !self.may_end() {
                return refusal();
            }
            self.has_ended = true;
        } else if self.matcher.try_consume_tokens(&[unit]).map_err(sentence)? == 0 {
            return refusal();
        }
        self.written.push(unit);
        self.mask = None;
        Ok(())
    }

    /// Takes back all but the first `units` units.
    pub fn truncate(&mut self, units: usize) -> Result<(), String> {
        if units >= self.written.len() {
            return Ok(());
        }
        self.mask = None;
        if self.has_ended {
            // llguidance was not told of the end.
            self.has_ended = false;
            self.written.pop();
        }
        let back = self.written.len() - units;
        self.written.truncate(units);
        if self.matcher.is_error() || self.matcher.rollback(back).is_err() {
            self.reparse()?;
        }
        Ok(())
    }

    /// Reads all that is written from the beginning.
    fn reparse(&mut self) -> Result<(), String> {
        self.matcher = self.beginning.deep_clone();
        self.matcher.consume_tokens(&self.written).map_err(sentence)
    }

    /// How many of these bytes may follow. The text stays as it is.
    ///
    /// For vocabularies that have units of one byte: it counts up to the first byte that has none.
    pub fn accepts_bytes(&mut self, bytes: &[u8]) -> usize {
        if self.has_ended {
            return 0;
        }
        let units: Vec<u32> = bytes.iter().map_while(|&byte| self.units.of_byte(byte)).collect();
        self.matcher.validate_tokens(&units).unwrap_or(0)
    }

    /// Whether the text may end here. Not where it has ended.
    pub fn may_end(&mut self) -> bool {
        !self.has_ended && self.matcher.is_accepting().unwrap_or(false)
    }

    /// Whether the end was written.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The units written so far.
    pub fn written(&self) -> &[u32] {
        &self.written
    }

    /// How many units are written.
    pub fn len(&self) -> usize {
        self.written.len()
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    fn is_writable(&self, unit: u32) -> bool {
        (unit as usize) < self.units.count() && self.units.writable().is_allowed(unit)
    }
}
