//! What stages will have made, as far as that is known before they run.

use super::files::{self, covering, pruned, results, searched, typed};
use super::input::address_file;
use super::{Kind, Need, Origin, Recipe, Stage};

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
    /// What a stage makes that follows those of the recipe; `None` where only its run tells.
    pub(super) fn predict(&self, stage: &Stage) -> Option<Outputs> {
        let stem = |field: &str| {
            let need = stage.needs.iter().find(|need| need.field == field)?;
            Some(files::stem(self.files(need)?.first()?).to_owned())
        };
        Some(match &stage.kind {
            Kind::Fetch(fetch) => Outputs::main([address_file(&fetch.file).into()]),
            Kind::Convert(convert) => Outputs::main([typed(&stem("from")?, &convert.to)]),
            Kind::Quantize(quantize) => {
                let stem = stem("model")?;
                Outputs::main(quantize.types.0.iter().map(|to| typed(&stem, to)))
            }
            Kind::Imatrix(_) => Outputs::main([files::IMATRIX.into()]),
            Kind::Perplexity(_) => Outputs::main([files::PERPLEXITY.into()]),
            Kind::Profile(_) => Outputs::main([files::PROFILE.into()]),
            Kind::Prune(prune) => {
                let stem = stem("model")?;
                let main = match prune.coverage {
                    Some(_) => vec![covering(&stem)],
                    None => prune.experts.0.iter().map(|experts| pruned(&stem, *experts)).collect(),
                };
                Outputs { main, others: vec![files::EXPERTS.into()] }
            }
            Kind::Eval(eval) => {
                let mut main = Vec::new();
                for need in &stage.needs {
                    main.extend(self.files(need)?.iter().map(|file| results(files::stem(file))));
                }
                main.sort();
                main.dedup();
                let others = (main.len() > 1 && eval.against.is_some()).then(|| files::COMPARISON.into());
                Outputs { main, others: others.into_iter().collect() }
            }
            Kind::Card(_) => Outputs::main([files::CARD.into()]),
            Kind::Publish(_) => Outputs::main([files::PUBLISHED.into()]),
            Kind::Run(run) if !run.outputs.is_empty() => Outputs::main(run.outputs.iter().cloned()),
            Kind::Search(_) => Outputs { main: vec![searched(&stem("model")?)], others: vec![files::SEARCH.into()] },
            Kind::Pack(_) | Kind::Run(_) => return None,
        })
    }

    /// Names of the files that a reference means, as far as they are known.
    fn files(&self, need: &Need) -> Option<Vec<String>> {
        match &need.origin {
            Origin::Input(input) => Some(vec![self.inputs.get(*input)?.source.file()]),
            Origin::Stage { file: Some(file), .. } => Some(vec![file.clone()]),
            Origin::Stage { stage, file: None } => Some(self.outputs(*stage)?.main.clone()),
        }
    }
}
