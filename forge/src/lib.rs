//! Recipes that make, shrink, check and publish models, stage by stage.
//!
//! A [`recipe`] says what is to be made, a [`store`] keeps what was made with a statement of how, and [`run`] makes what is not
//! there yet, by [`stages`]; [`run::Forge::report`] draws it. This crate knows no model: whatever loads one is behind
//! [`bench::Bench`], and whatever reaches the network behind [`remote::Remote`].

#![forbid(unsafe_code)]

pub mod bench;
pub mod card;
mod clock;
pub mod recipe;
pub mod remote;
mod report;
pub mod run;
pub mod search;
mod size;
pub mod stages;
pub mod store;
