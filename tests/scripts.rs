//! Rhai scripts as hooks: what they can do, what they cannot, how their faults read, and how an edit takes over.

mod support;

mod abilities;
mod absolute;
mod check;
mod edits;
mod faults;
mod knobs;
mod limits;
mod rows;
mod saves;
mod stock;
mod texts;
mod twice;
