//! All integration tests in one program, so that llama.cpp is linked once. `cargo test --release rules::` runs one file.

mod support;

mod architecture;
mod author;
mod book;
mod chat;
mod cli;
mod drafts;
mod evaluate;
mod fixtures_load;
mod forge;
mod header;
mod kernels;
mod library;
mod measured;
mod members;
mod memory;
mod pages;
mod plugins;
mod readme;
mod regressions;
mod remote;
mod rows;
mod rules;
mod scripts;
mod serve;
mod sessions;
mod stock_scripts;
mod terminal;
mod trace;
mod units;
