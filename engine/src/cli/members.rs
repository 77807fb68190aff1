//! The members that the command line names: `--model`, `--models`, `--member`, `--demo`, and what else is said of them.

use super::{args::EnsembleArgs, demo, folders, meaning::readable, ranges, spec::Spec};
use crate::{
    Error, files,
    settings::{ModelSource, Settings},
    team::Pack,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// What stands behind the colon of `--member`.
const SETTINGS: [&str; 6] = ["system", "prompt-file", "template", "weight", "name", "gpu-layers"];
/// A name stands in every line that says who led.
const LONGEST_NAME: usize = 64;

/// A member as `--member` names it.
struct Given {
    source: ModelSource,
    weight: Option<f32>,
    gpu_layers: Option<i32>,
}

/// All members, those of `--member` last.
pub fn members(args: &EnsembleArgs) -> Result<Vec<ModelSource>, Error> {
    let mut paths = args.model.clone();
    paths.extend(args.models.iter().filter(|path| !path.as_os_str().is_empty()).cloned());
    if args.demo {
        paths = demo::demo_models()?;
    }
    paths
        .iter()
        .try_for_each(|path| readable(path).map_err(|error| with_comma(&args.models, path).unwrap_or(error)))?;
    let plain = |path| Given { source: ModelSource::new(path), weight: None, gpu_layers: None };
    let mut members: Vec<Given> = paths.into_iter().map(plain).collect();
    if let Some(team) = &args.team {
        members = of_team(team, !args.weights.is_empty())?;
    }
    for given in &args.member {
        members.push(member(given)?);
    }
    if members.is_empty() {
        return Err(Error::Input(
            "no model: name a GGUF file with `--model FILE`, several with `--models A,B`, or try `--demo`".into(),
        ));
    }
    weigh(&mut members, &args.weights)?;
    let layers = match args.n_gpu_layers[..] {
        [all] => vec![all; members.len()],
        _ if args.n_gpu_layers.len() == members.len() => args.n_gpu_layers.clone(),
        _ => {
            return Err(Error::Input(format!(
                "`--n-gpu-layers` has {} for {}; give one number for all or one for each",
                plural(args.n_gpu_layers.len(), "number"),
                plural(members.len(), "model")
            )));
        }
    };
    for (member, layers) in members.iter_mut().zip(layers) {
        member.source.gpu_layers = member.gpu_layers.unwrap_or(layers);
    }
    let models: Vec<ModelSource> = members.into_iter().map(|member| member.source).collect();
    for (index, model) in models.iter().enumerate() {
        let same = |other: &ModelSource| model.name.is_some() && other.name == model.name;
        if models[..index].iter().any(same) {
            let name = model.name.as_deref().unwrap_or_default();
            return Err(Error::Input(format!("two members have the name `{name}`; give each its own")));
        }
    }
    Ok(models)
}

/// The members of a pack, whose files are those that were packed. Weights of the command line take the place of theirs.
fn of_team(team: &Path, has_weights: bool) -> Result<Vec<Given>, Error> {
    let pack = Pack::read(team)?;
    pack.verify(folders::cache().as_deref())?;
    let given = |source: ModelSource| {
        let weight = (!has_weights).then_some(source.weight);
        Given { source, weight, gpu_layers: None }
    };
    Ok(pack.settings(Settings::default())?.models.into_iter().map(given).collect())
}

/// Gives each member its weight.
fn weigh(members: &mut [Given], weights: &[f32]) -> Result<(), Error> {
    if !weights.is_empty() && members.iter().any(|member| member.weight.is_some()) {
        return Err(Error::Input(
            "`--weights` and the `weight=` of a `--member` say the same thing; leave one of them out".into(),
        ));
    }
    if !weights.is_empty() && weights.len() != members.len() {
        return Err(Error::Input(format!(
            "`--weights` has {} for {}; give one for each",
            plural(weights.len(), "weight"),
            plural(members.len(), "model")
        )));
    }
    for (index, member) in members.iter_mut().enumerate() {
        member.source.weight = member.weight.or(weights.get(index).copied()).unwrap_or(1.0);
    }
    if members.iter().all(|member| member.source.weight == 0.0) {
        let what = if weights.is_empty() { "the members' `weight=`" } else { "`--weights`" };
        return Err(Error::Input(format!("{what} are all 0; at least one member needs a weight above 0")));
    }
    Ok(())
}

/// `FILE:key=value,key=value`.
fn member(given: &str) -> Result<Given, Error> {
    let Spec { file, settings } = Spec::parse(given)?;
    let wrong = |what: String| Error::Input(format!("`--member {given}`: {what}"));
    readable(&file)?;
    let mut member = Given { source: ModelSource::new(file), weight: None, gpu_layers: None };
    for (key, value) in &settings {
        let value = match value {
            Value::String(text) => text.clone(),
            // What looks like a number or a truth value is still a text where one is wanted.
            Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(wrong(format!("`{key}` takes one value, {value} is none")));
            }
        };
        let out_of_range = |range: String| wrong(format!("`{key}` is {value}; {range}"));
        match key.as_str() {
            "system" => member.source.system = Some(value),
            "prompt-file" => member.source.before = Some(before(&value)?),
            "template" => member.source.template = Some(files::read_text(Path::new(&value), files::LARGEST)?),
            "weight" => member.weight = Some(ranges::weight(&value).map_err(out_of_range)?),
            "gpu-layers" => member.gpu_layers = Some(ranges::gpu_layers(&value).map_err(out_of_range)?),
            "name" => member.source.name = Some(name(value).map_err(wrong)?),
            _ => return Err(wrong(format!("a member has no setting `{key}`{}", known(key)))),
        }
    }
    Ok(member)
}

/// The text that a member reads before the prompt: the file's, without the line ends at its end.
fn before(file: &str) -> Result<String, Error> {
    let text = files::read_text(Path::new(file), files::LARGEST)?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => {
            Err(Error::Input(format!("`{file}` is empty; a member without a text of its own needs no `prompt-file=`")))
        }
        text => Ok(text.into()),
    }
}

fn name(name: String) -> Result<String, String> {
    let letters = name.chars().count();
    if !(1..=LONGEST_NAME).contains(&letters) || name.trim() != name || name.contains(char::is_control) {
        return Err(format!(
            "a `name` has 1 to {LONGEST_NAME} characters, and no line ends or white space around them; {name:?} is none"
        ));
    }
    Ok(name)
}

/// The nearest setting, if one is near, and all that there are.
fn known(key: &str) -> String {
    let near = SETTINGS.map(|known| (strsim::osa_distance(key, known), known)).into_iter().min();
    let guess = match near {
        Some((edits, near)) if edits <= 3 && edits < near.len() => format!("; did you mean `{near}`?"),
        _ => ".".into(),
    };
    format!("{guess} There are `{}`", SETTINGS.join("`, `"))
}

/// What to say of a path that is not there because it is a part of a file name with a comma.
fn with_comma(models: &[PathBuf], missing: &Path) -> Option<Error> {
    let joined = |parts: &[PathBuf]| {
        let parts: Vec<_> = parts.iter().map(|part| part.as_os_str()).collect();
        PathBuf::from(parts.join(OsStr::new(",")))
    };
    let first = models.iter().position(|path| path == missing)?;
    let whole = (first + 2..=models.len()).map(|end| joined(&models[first..end])).find(|path| path.is_file())?;
    Some(Error::Input(format!(
        "there is no file `{}`; `--models` is split at commas, so give `{}` with `--model`",
        missing.display(),
        whole.display()
    )))
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What a member has of its own that needs a chat template.
pub fn own_form(models: &[ModelSource]) -> Option<&'static str> {
    models.iter().find_map(|model| match model {
        ModelSource { system: Some(_), .. } => Some("system="),
        ModelSource { template: Some(_), .. } => Some("template="),
        _ => None,
    })
}

/// What a member has of its own that only a prompt shows.
pub fn own_prompt(models: &[ModelSource]) -> Option<&'static str> {
    let before = || models.iter().any(|model| model.before.is_some()).then_some("prompt-file=");
    own_form(models).or_else(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of `--member`, with the files that are named there in a folder of their own.
    fn parsed(settings: &str) -> Result<Given, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("m.gguf"), "").unwrap();
        std::fs::write(path("doc.txt"), "The cat is red.\n\nIt sleeps.\n\n").unwrap();
        std::fs::write(path("empty.txt"), "\n").unwrap();
        std::fs::write(path("form.jinja"), "{{ messages }}\n").unwrap();
        let given = format!("{}{}", path("m.gguf"), settings.replace('@', &path("")));
        member(&given).map_err(|error| error.to_string().replace(&path(""), "@"))
    }

    #[test]
    fn a_member_has_what_stands_behind_the_colon() {
        let source = parsed("").unwrap().source;
        assert_eq!(source, ModelSource::new(source.path.clone()));
        let settings = r#":system="Be brief, please: \"now\".",prompt-file=@doc.txt,template=@form.jinja,weight=2.5,name=a: b,gpu-layers=-1"#;
        let Given { source, weight, gpu_layers } = parsed(settings).unwrap();
        assert_eq!(source.system.as_deref(), Some("Be brief, please: \"now\"."));
        assert_eq!(source.before.as_deref(), Some("The cat is red.\n\nIt sleeps."));
        assert_eq!(source.template.as_deref(), Some("{{ messages }}\n"));
        assert_eq!(source.name.as_deref(), Some("a: b"));
        assert_eq!((weight, gpu_layers), (Some(2.5), Some(-1)));
        assert_eq!(parsed(":name=7,system=true").unwrap().source.name.as_deref(), Some("7"));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_a_way_out() {
        for (settings, sentence) in [
            (":sytem=x", "has no setting `sytem`; did you mean `system`? There are `system`, `prompt-file`, "),
            (":gpu_layers=1", "did you mean `gpu-layers`?"),
            (":colour=red", "has no setting `colour`. There are `system`, "),
            (":weight=-1", "`weight` is -1; it takes numbers from 0 to 1000000"),
            (":weight=much", "`weight` is much; it takes numbers"),
            (":gpu-layers=1.5", "`gpu-layers` is 1.5; it takes whole numbers"),
            (":name=", "a `name` has 1 to 64 characters"),
            (r#":name="a\nb""#, r#""a\nb" is none"#),
            (":name=[1]", "`name` takes one value, [1] is none"),
            (":system=a,b", "`b` is no `key=value`; a text with a comma in it needs quotes"),
            (":system=a,system=b", "`system` is given twice"),
            (":prompt-file=@absent.txt", "there is no file `@absent.txt`; check the path"),
            (":prompt-file=@empty.txt", "`@empty.txt` is empty; a member without a text of its own"),
            (":template=@absent.jinja", "there is no file `@absent.jinja`"),
        ] {
            let error = parsed(settings).err().unwrap_or_else(|| panic!("{settings} is taken"));
            assert!(error.contains(sentence), "{settings} says: {error}");
        }
    }
}
