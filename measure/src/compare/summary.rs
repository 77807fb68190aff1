//! The figures of one result.

use super::text::{self, grouped};
use super::{Accuracy, Bits, Summary};
use crate::results::{Item, Measured, Results};
use crate::statistics::{Block, bootstrap, by_document, wilson};
use std::fmt::{self, Display, Formatter};

/// Seed of all resamples: the same files give the same figures.
pub(super) const SEED: u64 = 0;

/// The figures of one result with their intervals.
pub fn summary(results: &Results) -> Summary {
    let items = &results.items;
    let errors = items.iter().filter(|item| item.error.is_some()).count() as u64;
    match results.header.measured {
        Measured::Right => {
            let number = items.len() as u64;
            let count = |right: fn(&Item) -> bool| {
                accuracy(items.iter().filter(|item| right(item)).count() as u64, errors, number)
            };
            let choices = items.iter().all(|item| item.error.is_some() || item.right_normalised.is_some());
            let normalised = (choices && errors < number).then(|| count(Item::is_right_normalised));
            Summary::Accuracy { items: number, accuracy: count(Item::is_right), normalised }
        }
        Measured::Nats => {
            let blocks = by_document(items.iter().filter_map(|item| {
                let (nats, bytes) = item.cost()?;
                Some((document(item), Block::from_nats(nats, bytes)))
            }));
            let bytes = blocks.iter().map(|block| block.of).sum::<f64>() as u64;
            Summary::Bits { bits: bits(&blocks), blocks: blocks.len() as u64, bytes, errors }
        }
    }
}

/// What an item is drawn with: its document, or itself alone.
pub(super) fn document(item: &Item) -> (bool, &str) {
    item.document.as_deref().map_or((false, &item.id), |document| (true, document))
}

pub(super) fn accuracy(right: u64, errors: u64, items: u64) -> Accuracy {
    Accuracy { right, errors, accuracy: right as f64 / items.max(1) as f64, interval: wilson(right, items) }
}

pub(super) fn bits(blocks: &[Block]) -> Bits {
    Bits { bits_per_byte: rate(blocks), interval: bootstrap(blocks, SEED).map(|found| found.interval) }
}

/// All sums over all that they are of, such as bits over bytes; 0 where there is nothing.
pub(super) fn rate(blocks: &[Block]) -> f64 {
    let of: f64 = blocks.iter().map(|block| block.of).sum();
    if of > 0.0 { blocks.iter().map(|block| block.sum).sum::<f64>() / of } else { 0.0 }
}

impl Display for Summary {
    /// Writes one line a figure, without a line end after the last.
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Accuracy { items, accuracy, normalised } => {
                let line = |found: &Accuracy| {
                    format!("{} of {} right   {}", grouped(found.right), grouped(*items), text::percent(found, *items))
                };
                write!(f, "{}", line(accuracy))?;
                if let Some(normalised) = normalised {
                    write!(f, "\n{}, by log-likelihood per byte", line(normalised))?;
                }
                Ok(())
            }
            Self::Bits { bits, blocks, bytes, .. } => {
                let figure = text::bits(bits);
                write!(f, "{} bits per byte of {} in {} blocks", figure.trim_start(), grouped(*bytes), grouped(*blocks))
            }
        }
    }
}
