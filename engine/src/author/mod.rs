//! What the program does for those who write plugins and scripts: [`new`] writes a first one that works, [`supervise`]
//! says what is wrong with a compiled one. (What is wrong with a script, the scripts' own part says.).

pub mod conformance;
pub mod new;
mod sources;
pub mod supervise;
