//! What stages will have made, as far as that is known before they run.

use super::input::address_file;
use super::{Kind, Need, Origin, Recipe};
use std::path::Path;

/// Names of what a stage makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// What a reference to the stage alone means.
    pub main: Vec<String>,
    /// What else there is.
    pub others: Vec<String>,
}

impl Outputs {
    fn main(names: impl IntoIterator<Item = String>) -> Self {
        Self { main: names.into_iter().collect(), others: Vec::new() }
    }

    /// All names.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.main.iter().chain(&self.others).map(String::as_str)
    }
}

impl Recipe {
    /// What a stage makes; `None` where only its run tells.
    pub fn outputs(&self, stage: usize) -> Option<Outputs> {
        let stage = self.stages.get(stage)?;
        let stem = |field: &str| {
            let need = stage.needs.iter().find(|need| need.field == field)?;
            Some(stem(self.files(need)?.first()?).to_owned())
        };
        Some(match &stage.kind {
            Kind::Fetch(fetch) => Outputs::main([address_file(&fetch.file).into()]),
            Kind::Convert(convert) => Outputs::main([converted(&stem("from")?, &convert.to)]),
            Kind::Quantize(quantize) => {
                let stem = stem("model")?;
                Outputs::main(quantize.types.0.iter().map(|to| quantized(&stem, to)))
            }
            Kind::Imatrix(_) => Outputs::main(["imatrix.gguf".into()]),
            Kind::Perplexity(_) => Outputs::main(["perplexity.json".into()]),
            Kind::Profile(_) => Outputs::main(["profile.json".into()]),
            Kind::Prune(prune) => {
                let stem = stem("model")?;
                let main = match prune.coverage {
                    Some(_) => vec![format!("{stem}-pruned.gguf")],
                    None => prune.experts.0.iter().map(|experts| pruned(&stem, *experts)).collect(),
                };
                Outputs { main, others: vec!["experts.json".into()] }
            }
            Kind::Eval(eval) => {
                let mut main = Vec::new();
                for need in &stage.needs {
                    main.extend(self.files(need)?.iter().map(|file| format!("{}.jsonl", self::stem(file))));
                }
                main.sort();
                main.dedup();
                let others = (main.len() > 1 && eval.against.is_some()).then(|| "comparison.json".into());
                Outputs { main, others: others.into_iter().collect() }
            }
            Kind::Card(_) => Outputs::main(["README.md".into()]),
            Kind::Publish(_) => Outputs::main(["published.json".into()]),
            Kind::Run(run) if !run.outputs.is_empty() => Outputs::main(run.outputs.iter().cloned()),
            Kind::Search(_) => Outputs { main: vec![searched(&stem("model")?)], others: vec!["search.json".into()] },
            Kind::Pack(_) | Kind::Run(_) => return None,
        })
    }

    /// Names of the files that a reference means, as far as they are known.
    fn files(&self, need: &Need) -> Option<Vec<String>> {
        match &need.origin {
            Origin::Input(input) => Some(vec![self.inputs.get(*input)?.source.file()]),
            Origin::Stage { file: Some(file), .. } => Some(vec![file.clone()]),
            Origin::Stage { stage, file: None } => Some(self.outputs(*stage)?.main),
        }
    }
}

/// A file's name without its ending, and without folders.
pub(crate) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}

/// The name of a converted model.
pub(crate) fn converted(stem: &str, to: &str) -> String {
    format!("{stem}-{to}.gguf")
}

/// The name of a quantised model.
pub(crate) fn quantized(stem: &str, to: &str) -> String {
    format!("{stem}-{to}.gguf")
}

/// The name of what a search has found.
pub(crate) fn searched(stem: &str) -> String {
    format!("{stem}-search.gguf")
}

/// The name of a model with fewer experts.
pub(crate) fn pruned(stem: &str, experts: u32) -> String {
    format!("{stem}-{experts}-experts.gguf")
}
