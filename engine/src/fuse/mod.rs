//! Row arithmetic: what is done to the members' rows between their decoding and the draw.
//!
//! Everything here is a pure function of its input: no I/O, no threads, no allocation per token, and the same bits for
//! the same input in one build. A row has one entry for each unit, up to a few hundred thousand; three rows and what is
//! computed from them are several megabytes, so that each function passes over its rows as few times as it can.

mod mix;
mod row;
pub(crate) mod shortlist;
mod top;
pub(crate) mod vector;

pub use mix::{agreement, mix};
pub use row::{InvalidRow, RowStatistics, check, log_masses, log_probability, normalise, softmax, statistics};
pub use shortlist::{PENALTY_WINDOW, Selection, Shortlist, is_greedy};
pub use top::top;
