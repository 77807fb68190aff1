//! Recipes that make, shrink, check and publish models, stage by stage.
//!
//! This crate knows no model: whatever loads one is behind [`bench::Bench`].

pub mod bench;
pub mod search;
