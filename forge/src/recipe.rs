//! Recipes: what is to be made, as a list of stages.
//!
//! A recipe is checked whole before anything runs: keys, types, values and references, each problem with its line. Nothing in
//! it is a path except the inputs, a converter's script and files that other crates read; everything else is a reference to an
//! input or to an earlier stage, so what a stage depends on is known without running it.

mod decode;
pub(crate) mod files;
mod input;
mod json;
mod kinds;
mod many;
mod names;
mod node;
mod outputs;
mod problem;
mod read;
mod reference;
mod values;

pub(crate) use input::address_file;
pub use input::{Input, Source};
pub use kinds::{
    Card, Convert, Eval, Fetch, Imatrix, Kind, Pack, Perplexity, Profile, Prune, Publish, Quantize, Run, Search,
};
pub use many::Many;
pub use outputs::Outputs;
pub use problem::{Problem, RecipeError};
pub use reference::{Need, Origin, Reference, Wants};
pub use values::{Axes, By, Bytes, Keep, Percent, Strategy};

use std::path::{Path, PathBuf};

/// A recipe that is sound as far as can be told without its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Its file.
    pub path: PathBuf,
    /// The folder that paths in it start from.
    pub folder: PathBuf,
    /// The files that it begins with.
    pub inputs: Vec<Input>,
    /// The stages, in their order.
    pub stages: Vec<Stage>,
}

/// A step of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its name, which no other stage or input has.
    pub name: String,
    /// What it does, with its parameters.
    pub kind: Kind,
    /// What it reads, in the order of its parameters.
    pub needs: Vec<Need>,
    /// What it makes; `None` where only its run tells.
    pub outputs: Option<Outputs>,
    /// The line where it begins, from 1.
    pub line: usize,
}

impl Recipe {
    /// Reads a recipe: JSON if its name ends in `.json`, and TOML if not.
    pub fn open(path: &Path) -> Result<Self, RecipeError> {
        let unreadable = |source| RecipeError::Unreadable { path: path.into(), source };
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| RecipeError::NotUtf8 { path: path.into() })?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        Self::read(&text, &path)
    }

    /// Reads the text of the recipe at `path`.
    pub fn read(text: &str, path: &Path) -> Result<Self, RecipeError> {
        read::recipe(text, path).map_err(|problems| RecipeError::Problems { path: path.into(), problems })
    }

    /// The place of a stage.
    pub fn stage(&self, name: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.name == name)
    }

    /// What a stage makes; `None` where only its run tells.
    pub fn outputs(&self, stage: usize) -> Option<&Outputs> {
        self.stages.get(stage)?.outputs.as_ref()
    }

    /// The stages that a stage reads from, each once, in their order.
    pub fn before(&self, stage: usize) -> Vec<usize> {
        let mut before: Vec<usize> =
            self.stages.get(stage).into_iter().flat_map(|stage| &stage.needs).filter_map(|need| need.stage()).collect();
        before.sort_unstable();
        before.dedup();
        before
    }

    /// A stage's place and those of all stages that depend on it, in their order.
    pub fn from(&self, stage: usize) -> Vec<usize> {
        let mut from = vec![stage];
        for later in stage + 1..self.stages.len() {
            if self.before(later).iter().any(|before| from.contains(before)) {
                from.push(later);
            }
        }
        from
    }
}
