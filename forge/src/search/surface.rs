//! What can be asked of a candidate.

use super::Point;
use crate::bench::Failure;
use serde::{Deserialize, Serialize};

/// The text that candidates are measured on, in windows of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// Windows for the search; their numbers are 0 to `search` − 1.
    pub search: u32,
    /// Windows that only the winner is measured on, better of another text; their numbers follow.
    pub held: u32,
    /// Tokens that a window costs to evaluate.
    pub tokens: u32,
}

/// What a window costs a candidate and the base.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WindowLoss {
    /// The window's number.
    pub window: u32,
    /// Nats of the candidate.
    pub nats: f64,
    /// Nats of the base, on the same tokens.
    pub base: f64,
    /// Tokens that count, 1 or more.
    pub tokens: u32,
}

/// The candidates' sizes and losses: files and models in a stage, formulas in tests.
///
/// An error drops the candidate that it is about, with its words; the search goes on.
pub trait Surface {
    /// The windows that there are.
    fn windows(&self) -> Windows;

    /// Bytes of the candidate's file, by arithmetic, before anything is made.
    fn size(&mut self, point: &Point) -> Result<u64, Failure>;

    /// A cheap guess of the loss above the base, in nats a token: from lost saliency, or from the error of tensors.
    fn estimate(&mut self, point: &Point) -> Option<f64> {
        let _ = point;
        None
    }

    /// The losses on these windows, in any order, one each. A window is asked for once only.
    fn measure(&mut self, point: &Point, windows: &[u32]) -> Result<Vec<WindowLoss>, Failure>;

    /// Tokens that measuring so many windows costs.
    fn cost(&self, windows: usize) -> u64 {
        // How many more windows would show a difference that is next to nothing can be any number.
        (windows as u64).saturating_mul(self.windows().tokens.into())
    }
}
