//! The figures of one result.

use super::pair::{are, items as number_of};
use super::parts::Parts;
use super::plain::pad;
use super::text::{self, figure_digits, grouped};
use super::{Accuracy, Bits, Estimate, Summary, cut, plain};
use crate::results::{Item, Measured, Results};
use crate::statistics::{Block, Interval, bootstrap, by_document, wilson};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use unicode_width::UnicodeWidthStr;

/// Columns of a figure's name.
pub(super) const LONGEST_FIGURE: usize = 14;

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
        Measured::Figures => {
            let judged = items.iter().filter(|item| item.error.is_none());
            let names: BTreeSet<&String> = judged.flat_map(|item| item.figures.keys()).collect();
            let estimate = |name: &String| {
                let ratios = items.iter().filter_map(|item| Some((document(item), item.figure(name)?)));
                (name.clone(), Parts::new(ratios).estimate())
            };
            Summary::Figures { items: items.len() as u64, errors, figures: names.into_iter().map(estimate).collect() }
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
            Self::Figures { items, errors, figures } => {
                write!(f, "{} figures of {}", figures.len(), number_of(*items))?;
                if *errors > 0 {
                    write!(f, ", of which {} could not be judged and {} left out", grouped(*errors), are(*errors))?;
                }
                let name = |name: &str| cut(&plain(name), LONGEST_FIGURE);
                let width = figures.keys().map(|each| name(each).width()).max().unwrap_or(0);
                for (each, Estimate { value, interval, items: having }) in figures {
                    let digits = figure_digits(*value);
                    let mut line = format!("  {}  {value:>8.digits$}", pad(&name(each), width));
                    if let Some(Interval { low, high }) = interval {
                        line += &format!("  [{low:.digits$}, {high:.digits$}]");
                    }
                    if having + errors < *items {
                        line += &format!("  of {}", number_of(*having));
                    }
                    write!(f, "\n{}", cut(&line, text::COLUMNS))?;
                }
                Ok(())
            }
        }
    }
}
