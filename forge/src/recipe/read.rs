//! Makes a recipe of values with lines, and finds all that is wrong with it.

use super::input::{Input, Source, is_address};
use super::names::{self, listed};
use super::node::{Entry, Node, Value};
use super::problem::Problem;
use super::reference::{Need, Origin, Wants};
use super::{Kind, Recipe, Stage};
use measure::{did_you_mean, nearest};
use std::path::Path;

/// Keys of a recipe.
const KEYS: [&str; 3] = ["recipe", "input", "stage"];

/// The only version that there is.
const VERSION: i64 = 1;

/// Reads the text of the recipe at `path`.
pub(super) fn recipe(text: &str, path: &Path) -> Result<Recipe, Vec<Problem>> {
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let node = if is_json { Node::from_json(text) } else { Node::from_toml(text) }.map_err(|problem| vec![problem])?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut problems = Vec::new();
    let Some(entries) = node.entries() else {
        return Err(vec![Problem::at(1, "a recipe is a table with the keys `recipe`, `input` and `stage`")]);
    };
    for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        let near = did_you_mean(nearest(&entry.key, KEYS));
        let known = listed(&KEYS);
        problems
            .push(Problem::at(entry.line, format!("no recipe has the key `{}`{near}; keys are {known}", entry.key)));
    }
    match node.get("recipe") {
        Some(Node { value: Value::Whole(VERSION), .. }) => {}
        Some(other) => problems.push(Problem::at(other.line, "this program reads recipes of version 1: `recipe = 1`")),
        None => problems.push(Problem::at(1, "a recipe says its version at the top: `recipe = 1`")),
    }
    let inputs = inputs(node.get("input"), folder, &mut problems);
    let mut recipe = Recipe { path: path.into(), folder: folder.into(), inputs, stages: Vec::new() };
    match node.get("stage") {
        None => problems.push(Problem::at(1, "a recipe has stages: add `[[stage]]` with its `kind`")),
        Some(Node { value: Value::List(stages), .. }) => {
            for stage in stages {
                match self::stage(stage, &recipe) {
                    Ok((mut stage, wrong)) => {
                        problems.extend(wrong);
                        stage.outputs = recipe.predict(&stage);
                        recipe.stages.push(stage);
                    }
                    Err(problem) => problems.push(problem.or_at(stage.line)),
                }
            }
        }
        Some(other) => {
            problems.push(Problem::at(other.line, "`stage` is a list: write `[[stage]]`, with two brackets"));
        }
    }
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok(recipe) } else { Err(problems) }
}

fn inputs(node: Option<&Node>, folder: &Path, problems: &mut Vec<Problem>) -> Vec<Input> {
    let Some(node) = node else { return Vec::new() };
    let Some(entries) = node.entries() else {
        problems.push(Problem::at(node.line, "`input` is a table of names and files"));
        return Vec::new();
    };
    let mut inputs = Vec::new();
    for Entry { key, line, node } in entries {
        problems.extend(names::fault(key).map(|words| Problem::at(*line, words)));
        match node.text() {
            Some("") | None => {
                problems.push(Problem::at(
                    node.line,
                    format!("the input `{key}` is a file: its path in quotes, or `hf:…`"),
                ));
            }
            Some(text) => inputs.push(Input { name: key.clone(), source: Source::of(text, folder), line: *line }),
        }
    }
    inputs
}

/// A stage with what is wrong with its name and its references.
fn stage(node: &Node, recipe: &Recipe) -> Result<(Stage, Vec<Problem>), Problem> {
    let entries = node.entries().ok_or_else(|| Problem::at(node.line, "a stage is a table with a `kind`"))?;
    let kind_node = node.get("kind").ok_or_else(|| {
        Problem::at(node.line, format!("a stage says its `kind`, which is one of {}", listed(Kind::NAMES)))
    })?;
    let name_of_kind = kind_node.text().ok_or_else(|| Problem::at(kind_node.line, "a `kind` is a text in quotes"))?;
    let rest = entries.iter().filter(|entry| entry.key != "kind" && entry.key != "name").cloned().collect();
    let kind = kind(name_of_kind, kind_node.line, &Node { line: node.line, value: Value::Table(rest) })?;
    let (name, name_line) = match node.get("name") {
        None => (name_of_kind, kind_node.line),
        Some(name) => (name.text().ok_or_else(|| Problem::at(name.line, "a `name` is a text in quotes"))?, name.line),
    };
    let mut problems: Vec<Problem> =
        names::fault(name).map(|words| Problem::at(name_line, words)).into_iter().collect();
    let taken = recipe.stages.iter().map(|stage| (&stage.name, stage.line));
    let taken = taken.chain(recipe.inputs.iter().map(|input| (&input.name, input.line)));
    if let Some((_, line)) = taken.into_iter().find(|(taken, _)| *taken == name) {
        let advice = if node.get("name").is_none() { ": give this stage a `name`" } else { "" };
        problems.push(Problem::at(name_line, format!("the name `{name}` is taken in line {line}{advice}")));
    }
    let mut needs = Vec::new();
    for (field, wants, reference) in kind.references() {
        match resolve(&reference.0, wants, recipe) {
            Ok(origin) => needs.push(Need { field, reference: reference.clone(), wants, origin }),
            Err(words) => problems.push(Problem::at(node.line_of(&reference.0), format!("`{field}`: {words}"))),
        }
    }
    problems.extend(kind.fault().map(|words| Problem::at(node.line, format!("`{name}`: {words}"))));
    Ok((Stage { name: name.into(), kind, needs, outputs: None, line: node.line }, problems))
}

fn kind(name: &str, line: usize, parameters: &Node) -> Result<Kind, Problem> {
    Kind::read(name, parameters).unwrap_or_else(|| {
        let near = did_you_mean(nearest(name, Kind::NAMES.iter().copied()));
        let known = listed(Kind::NAMES);
        Err(Problem::at(line, format!("no stage is of the kind `{name}`{near}; kinds are {known}")))
    })
}

/// Resolves a reference among inputs and the stages so far.
fn resolve(reference: &str, wants: Wants, recipe: &Recipe) -> Result<Origin, String> {
    if let Some(input) = recipe.inputs.iter().position(|input| input.name == reference) {
        return Ok(Origin::Input(input));
    }
    let (name, file) = reference.split_once('/').map_or((reference, None), |(name, file)| (name, Some(file)));
    let Some(stage) = recipe.stage(name) else {
        let known = recipe.inputs.iter().map(|input| input.name.as_str());
        let known = known.chain(recipe.stages.iter().map(|stage| stage.name.as_str()));
        let near = did_you_mean(nearest(name, known));
        return Err(format!("`{name}` is neither an input nor a stage before this one{near}"));
    };
    let outputs = recipe.outputs(stage);
    match (file, outputs) {
        (Some(file), Some(outputs)) if !outputs.all().any(|output| output == file) => {
            let known: Vec<&str> = outputs.all().collect();
            let near = did_you_mean(nearest(file, known.iter().copied()));
            Err(format!("the stage `{name}` makes no `{file}`{near}; it makes {}", listed(&known)))
        }
        (None, Some(outputs)) if wants == Wants::File && outputs.main.len() != 1 => {
            let known: Vec<String> = outputs.main.iter().map(|output| format!("{name}/{output}")).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(format!("the stage `{name}` makes several files; name one: {}", listed(&known)))
        }
        (Some(_), _) if wants == Wants::Folder => Err(format!("`{reference}` is a file, and a folder is needed")),
        _ => Ok(Origin::Stage { stage, file: file.map(Into::into) }),
    }
}

impl Kind {
    /// What is wrong with parameters that are well formed one by one.
    fn fault(&self) -> Option<String> {
        let none = |what: &str| Some(format!("`{what}` is empty"));
        match self {
            Self::Fetch(fetch) if !is_address(&fetch.file) => {
                Some(format!("`{}` is no address on the hub; `hf:owner/repo/file@revision` is", fetch.file))
            }
            Self::Quantize(quantize) if quantize.types.0.is_empty() => none("types"),
            Self::Quantize(quantize) => {
                twice(&quantize.types.0).map(|to| format!("the type `{to}` stands there twice"))
            }
            Self::Perplexity(perplexity) if perplexity.models.0.is_empty() => none("models"),
            Self::Eval(eval) if eval.models.0.is_empty() => none("models"),
            Self::Pack(pack) if pack.models.0.is_empty() => none("models"),
            Self::Pack(pack) if pack.weights.iter().any(|weight| !is_weight(*weight)) => {
                Some("a weight is above 0, and a number of 32 bits".into())
            }
            Self::Card(card) if card.models.0.is_empty() => none("models"),
            Self::Publish(publish) if publish.files.0.is_empty() => none("files"),
            Self::Prune(prune) => prune.fault(),
            Self::Run(run) => run.fault(),
            _ => self.window_fault(),
        }
    }

    /// What is wrong with windows of a text.
    fn window_fault(&self) -> Option<String> {
        let (context, windows) = match self {
            Self::Imatrix(it) => (it.context, it.windows),
            Self::Perplexity(it) => (it.context, it.windows),
            Self::Profile(it) => (it.context, it.windows),
            Self::Search(it) => (it.context, None),
            _ => return None,
        };
        if context < 4 {
            return Some("`context` is at least 4 tokens: half of a window counts".into());
        }
        (windows == Some(0)).then(|| "`windows` is at least 1; leave it out for all".into())
    }
}

impl super::Prune {
    fn fault(&self) -> Option<String> {
        let needs_profile = self.by.is_measured();
        match (self.experts.0.as_slice(), self.coverage) {
            ([], None) => Some("say how many `experts` are kept, or the `coverage` they must have".into()),
            ([_, ..], Some(_)) => Some("`experts` and `coverage` both say how many are kept: leave one out".into()),
            (experts, None) if experts.contains(&0) => Some("at least 1 expert is kept".into()),
            (_, Some(part)) if !(part > 0.0 && part <= 1.0) => Some("`coverage` is above 0 and at most 1".into()),
            (_, Some(_)) if !needs_profile => {
                Some("`coverage` goes by a profile: `by` is \"saliency\", \"total\" or \"count\"".into())
            }
            _ if needs_profile && self.profile.is_none() => {
                Some("to rank experts, name a `profile` stage, or say `by = \"random\"`".into())
            }
            (experts, _) => twice(experts).map(|experts| format!("{experts} `experts` stand there twice")),
        }
    }
}

impl super::Run {
    fn fault(&self) -> Option<String> {
        if self.command.first().is_none_or(String::is_empty) {
            return Some("`command` is a list: the program and what it is given".into());
        }
        let known: Vec<String> = self.inputs.0.iter().map(|input| format!("{{in.{}}}", input.0)).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).chain(["{out}"]).collect();
        for part in &self.command {
            for (at, _) in part.match_indices("{in.") {
                let place = part.get(at..).and_then(|rest| rest.split_inclusive('}').next()).unwrap_or(part);
                if !known.contains(&place) {
                    let near = did_you_mean(nearest(place, known.iter().copied()));
                    return Some(format!("`{place}` is none of its `inputs`{near}"));
                }
            }
        }
        let strange = self.outputs.iter().find(|output| !is_inside(output));
        strange.map(|output| format!("the output `{output}` is not inside `{{out}}`: name it from there, without `..`"))
    }
}

/// Whether a number is a weight in the 32 bits that packs have for it.
fn is_weight(number: f64) -> bool {
    let weight = number as f32;
    weight.is_finite() && weight > 0.0
}

/// Whether a path stays in the folder that it starts from.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, std::path::Component::Normal(_)))
}

fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    values
        .iter()
        .enumerate()
        .find(|(at, value)| values.iter().take(*at).any(|earlier| earlier == *value))
        .map(|(_, value)| value)
}
