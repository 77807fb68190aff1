//! What the forge does with models, on models that were really trained.

mod models;
