//! Whether everything is as it was made: inputs, outputs, statements, and the chain between them.

use super::observer::{Observer, Told};
use super::plan::places;
use super::resolve::resolve;
use crate::bench::Failure;
use crate::recipe::{Origin, Recipe};
use crate::remote::Remote;
use crate::store::{Artifact, BuildDefinition, Finding, Folder, Made, Statement, Store, Trust};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What was found of a recipe's stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Stages that are as they were made, with who signed them.
    pub sound: Vec<(String, Option<String>)>,
    /// Stages that were not run yet.
    pub missing: Vec<String>,
    /// What is not as it was.
    pub findings: Vec<Finding>,
    /// Folders of stages as they were asked for before; they are not part of this recipe.
    pub earlier: Vec<String>,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Display for Verification {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        for finding in &self.findings {
            writeln!(formatter, "{finding}")?;
        }
        for (stage, signer) in &self.sound {
            match signer {
                Some(signer) => writeln!(formatter, "{stage}: as it was made; signed by {signer}")?,
                None => writeln!(formatter, "{stage}: as it was made")?,
            }
        }
        for stage in &self.missing {
            writeln!(formatter, "{stage}: not run yet")?;
        }
        if !self.earlier.is_empty() {
            writeln!(formatter, "not looked at, because this recipe asks for none of it: {}", self.earlier.join(", "))?;
        }
        Ok(())
    }
}

/// Hashes everything anew and compares it with what was attested.
///
/// The observer is told how far each file is hashed. Where it wants that to end, the error is [`Failure::Cancelled`]: what was not
/// looked at is not sound. A store that cannot be read is an error too.
///
/// What nobody can find: a store whose files, statements and seals were all written anew, unless `trust` names the key that
/// signed the old ones.
pub fn verify(
    recipe: &Recipe,
    root: &Path,
    remote: &dyn Remote,
    trust: Option<&Trust>,
    observer: &dyn Observer,
) -> Result<Verification, Failure> {
    let store = Store::look_afresh(root);
    let folders = store.folders()?;
    let mut verifier = Verifier {
        recipe,
        places: places(recipe, |address| remote.have(address)),
        store,
        folders,
        trust,
        observer,
        made: Vec::new(),
        used: BTreeSet::new(),
        report: Verification { sound: vec![], missing: vec![], findings: vec![], earlier: vec![] },
    };
    for place in 0..recipe.stages.len() {
        let made = verifier.stage(place);
        // What was found of a file whose hashing was ended is nothing.
        if observer.cancelled() {
            return Err(Failure::Cancelled);
        }
        verifier.made.push(made);
    }
    Ok(verifier.finish())
}

struct Verifier<'a> {
    recipe: &'a Recipe,
    places: Vec<Option<PathBuf>>,
    store: Store,
    folders: Vec<Folder>,
    trust: Option<&'a Trust>,
    observer: &'a dyn Observer,
    made: Vec<Option<Made>>,
    used: BTreeSet<String>,
    report: Verification,
}

impl Verifier<'_> {
    /// Checks a stage, and gives it with its statement if that can be read.
    fn stage(&mut self, place: usize) -> Option<Made> {
        let stage = self.recipe.stages.get(place)?;
        let (recipe, name) = (self.recipe, &stage.name);
        let told = Told { observer: self.observer, name };
        let asked =
            resolve(recipe, place, &self.places, &self.store, &self.made, &told).map(|resolved| resolved.definition);
        let exact = asked.as_ref().ok().and_then(|asked| asked.key().ok()).map(|key| self.store.folder(&key, name));
        let exact = exact.filter(|folder| folder.path().exists());
        let Some(folder) = exact.clone().or_else(|| self.latest(name)) else {
            self.report.missing.push(name.clone());
            if let (Err(failure), true) = (&asked, self.is_needed(place)) {
                self.find(Finding::new(name, name, failure.to_string()));
            }
            return None;
        };
        self.used.insert(folder.name());
        let checked = self.store.check(&folder, self.trust, &told);
        let mut findings = checked.findings;
        if let Some(statement) = &checked.statement {
            match &asked {
                // Its own findings say why the key is another one.
                Ok(asked) if findings.is_empty() && exact.is_none() => {
                    findings.extend(self.differences(place, asked, statement));
                }
                Ok(_) => {}
                Err(failure) if !self.is_blamed(place) => {
                    findings.push(Finding::new(name, format!("what `{name}` reads"), failure.to_string()));
                }
                Err(_) => {}
            }
        }
        if findings.is_empty() && !self.is_blamed(place) {
            self.report.sound.push((name.clone(), checked.signed_by.map(|key| key.id())));
        }
        for finding in findings {
            self.find(finding);
        }
        checked.statement.map(|statement| Made { folder, statement })
    }

    /// The folder of a stage that was made last, where none is of what the recipe asks now.
    fn latest(&self, name: &str) -> Option<Folder> {
        let folders = self.folders.iter().filter(|folder| folder.stage() == *name);
        let when = |folder: &&Folder| {
            let statement = folder.statement().ok();
            statement.and_then(|statement| statement.run().map(|run| run.metadata.finished_on.clone()))
        };
        folders.max_by_key(when).cloned()
    }

    /// What the recipe asks and what was made, where they differ.
    fn differences(&self, place: usize, asked: &BuildDefinition, statement: &Statement) -> Vec<Finding> {
        let Some(stage) = self.recipe.stages.get(place) else { return Vec::new() };
        let made = statement.definition();
        let mut findings = Vec::new();
        if asked.build_type != made.build_type || asked.external_parameters != made.external_parameters {
            let words = format!("the recipe asks for something else since: {}", changes(asked, made));
            findings.push(Finding::new(&stage.name, format!("`{}` in the recipe", stage.name), words));
        }
        for now in &asked.resolved_dependencies {
            let then = made.resolved_dependencies.iter().find(|then| is_same_place(then, now));
            let Some(then) = then else { continue };
            if then.digest == now.digest {
                findings.extend(moved(now, then));
            } else if let Some(finding) = self.dependency(place, now, then) {
                findings.push(finding);
            }
        }
        if findings.is_empty() && !self.is_blamed(place) {
            let words = "it was made from other files than the recipe names now";
            findings.push(Finding::new(&stage.name, format!("what `{}` reads", stage.name), words));
        }
        findings
    }

    /// A dependency whose digest is another one now. `None` where the stage that made it has its own findings.
    fn dependency(&self, place: usize, now: &Artifact, then: &Artifact) -> Option<Finding> {
        let stage = self.recipe.stages.get(place)?;
        let input = self.recipe.inputs.iter().position(|input| input.name == now.name);
        let (owner, artifact) = match input {
            Some(input) => {
                let path = self.places.get(input).and_then(Option::as_ref);
                let path = path.map(|path| format!(" (`{}`)", path.display())).unwrap_or_default();
                (now.name.as_str(), format!("the input `{}`{path}", now.name))
            }
            None => {
                let before = now.name.split('/').next().unwrap_or_default();
                if self.report.findings.iter().any(|finding| finding.owner == before) {
                    return None;
                }
                (stage.name.as_str(), format!("`{}`, which `{}` was made from", now.name, stage.name))
            }
        };
        Some(Finding::changed(owner, artifact, &then.digest.sha256, now.digest.sha256.clone()))
    }

    /// Whether something that a stage was made from is not as it was.
    fn is_blamed(&self, place: usize) -> bool {
        let Some(stage) = self.recipe.stages.get(place) else { return false };
        self.report
            .findings
            .iter()
            .any(|finding| finding.owner == stage.name || finding.dependents.contains(&stage.name))
    }

    /// Whether a later stage was made from this one.
    fn is_needed(&self, place: usize) -> bool {
        let later = self.recipe.from(place).into_iter().skip(1).filter_map(|later| self.recipe.stages.get(later));
        later.into_iter().any(|later| self.folders.iter().any(|folder| folder.stage() == later.name))
    }

    /// Keeps a finding with the stages that depend on it, once.
    fn find(&mut self, mut finding: Finding) {
        let stages = match self.recipe.stage(&finding.owner) {
            Some(stage) => self.recipe.from(stage).into_iter().skip(1).collect::<Vec<_>>(),
            None => self.readers(&finding.owner),
        };
        let names = stages.into_iter().filter_map(|stage| self.recipe.stages.get(stage));
        finding.dependents = names.map(|stage| stage.name.clone()).collect();
        if !self.report.findings.contains(&finding) {
            self.report.findings.push(finding);
        }
    }

    /// Stages that depend on an input.
    fn readers(&self, input: &str) -> Vec<usize> {
        let input = self.recipe.inputs.iter().position(|known| known.name == input);
        let reads = |place: &usize| {
            let needs = self.recipe.stages.get(*place).map(|stage| stage.needs.as_slice()).unwrap_or_default();
            needs.iter().any(|need| matches!(need.origin, Origin::Input(of) if Some(of) == input))
        };
        let first = (0..self.recipe.stages.len()).filter(reads);
        let all: BTreeSet<usize> = first.flat_map(|place| self.recipe.from(place)).collect();
        all.into_iter().collect()
    }

    fn finish(mut self) -> Verification {
        // A stage can be found sound before an input of it is blamed by a later one.
        let blamed = |name: &str| {
            self.report.findings.iter().any(|found| found.owner == name || found.dependents.iter().any(|of| of == name))
        };
        let sound = self.report.sound.iter().filter(|(name, _)| !blamed(name)).cloned().collect();
        self.report.sound = sound;
        let earlier = self.folders.iter().map(Folder::name).filter(|name| !self.used.contains(name)).collect();
        self.report.earlier = earlier;
        self.report
    }
}

fn is_same_place(one: &Artifact, other: &Artifact) -> bool {
    one.name == other.name && one.annotations.get("for") == other.annotations.get("for")
}

/// An input with the same bytes from elsewhere.
fn moved(now: &Artifact, then: &Artifact) -> Option<Finding> {
    let show = |artifact: &Artifact| artifact.source().map_or("on this machine".into(), |source| format!("`{source}`"));
    let words = || format!("the recipe has it from elsewhere since: it was {} and is {}", show(then), show(now));
    (now.source() != then.source()).then(|| Finding::new(&now.name, format!("the input `{}`", now.name), words()))
}

/// Parameters that differ: "`experts` was 6 and is 4".
fn changes(asked: &BuildDefinition, made: &BuildDefinition) -> String {
    let empty = serde_json::Map::new();
    let [now, then] = [asked, made].map(|of| of.external_parameters.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let show = |value: Option<&serde_json::Value>| value.map_or("not given".to_owned(), ToString::to_string);
    let changed = names.into_iter().filter(|name| now.get(*name) != then.get(*name));
    let changed: Vec<String> =
        changed.map(|name| format!("`{name}` was {} and is {}", show(then.get(name)), show(now.get(name)))).collect();
    if changed.is_empty() { "the version of what the stage does".into() } else { changed.join(", ") }
}
