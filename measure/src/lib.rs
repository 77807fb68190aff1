//! Tasks, results and their statistics: what a comparison of language models needs besides the models.
//!
//! Nothing here knows a model: [`tasks`] says what is asked and what is right, [`open`] counts in texts of which none is right,
//! [`sandbox`] runs programs that a model wrote, [`results`] keeps what came out, item by item, [`statistics`] says what that
//! shows, [`compare`] pairs two results, and [`page`] draws them. Of policies, [`signals`] says what tells that a text has gone
//! wrong, [`forks`] whether it pays to act on it, and [`explain`] how a reply came about.

#[cfg(feature = "reports")]
pub mod compare;
pub mod explain;
pub mod forks;
pub mod open;
#[cfg(feature = "reports")]
pub mod page;
pub mod results;
pub mod sandbox;
pub mod signals;
pub mod statistics;
pub mod tasks;

mod text;

pub use text::{did_you_mean, grouped, nearest, plain};
