//! `eval`, `compare` and `team`, as a person runs them.

mod items;
mod teams;
