//! The forge with the program itself, on a model that was really trained, and a hub on this machine.

mod models;
mod place;
mod refused;
mod whole;
