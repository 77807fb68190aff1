//! Rhai scripts as hooks: what they can do, what they cannot, how their faults read, and how an edit takes over.

#[path = "scripts/support.rs"]
mod support;

#[path = "scripts/abilities.rs"]
mod abilities;
#[path = "scripts/check.rs"]
mod check;
#[path = "scripts/edits.rs"]
mod edits;
#[path = "scripts/faults.rs"]
mod faults;
#[path = "scripts/knobs.rs"]
mod knobs;
#[path = "scripts/limits.rs"]
mod limits;
#[path = "scripts/rows.rs"]
mod rows;
#[path = "scripts/saves.rs"]
mod saves;
#[path = "scripts/stock.rs"]
mod stock;
