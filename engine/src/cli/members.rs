//! The members that the command line names: `--model`, `--models`, `--member`, `--demo`, and what else is said of them.

use super::{
    args::EnsembleArgs,
    demo, folders, hub,
    meaning::readable,
    ranges,
    render::{Detail, Look},
    spec::{REMOTE, Spec},
};
use crate::{
    Error, files,
    member::remote,
    settings::{ModelSource, RemoteRows, RemoteServer, RemoteSource, Settings},
    team::Pack,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

/// What stands behind an address alone.
const OF_SERVERS: [&str; 5] = ["vocab", "rows", "timeout", "key-file", "insecure"];
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
    let plain = |path: &PathBuf| {
        if let Some(address) = path.to_str().filter(|given| given.starts_with(REMOTE)) {
            return member(address);
        }
        readable(path).map_err(|error| with_comma(&args.models, path).unwrap_or(error))?;
        Ok(Given { source: ModelSource::new(path), weight: None, gpu_layers: None })
    };
    let mut members: Vec<Given> = paths.iter().map(plain).collect::<Result<_, Error>>()?;
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
    let mut pack = Pack::read(team)?;
    pack.localize(&mut |file| hub::local(file, Look { detail: Detail::Normal, color: true }))?;
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
    let address = file.to_str().and_then(|file| file.strip_prefix(REMOTE));
    let source = match address {
        Some(address) => ModelSource::of_server(server(address).map_err(wrong)?),
        None => {
            readable(&file)?;
            ModelSource::new(file.clone())
        }
    };
    let mut member = Given { source, weight: None, gpu_layers: None };
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
        if let (Some(server), true) = (&mut member.source.remote, OF_SERVERS.contains(&key.as_str())) {
            set(server, key, &value).map_err(wrong)?;
            continue;
        }
        match key.as_str() {
            "gpu-layers" if address.is_some() => {
                return Err(wrong("where its layers are is the server's affair; leave out `gpu-layers`".into()));
            }
            "system" => member.source.system = Some(value),
            "prompt-file" => member.source.before = Some(before(&value)?),
            "template" => member.source.template = Some(files::read_text(Path::new(&value), files::LARGEST)?),
            "weight" => member.weight = Some(ranges::weight(&value).map_err(out_of_range)?),
            "gpu-layers" => member.gpu_layers = Some(ranges::gpu_layers(&value).map_err(out_of_range)?),
            "name" => member.source.name = Some(name(value).map_err(wrong)?),
            _ if OF_SERVERS.contains(&key.as_str()) => {
                return Err(wrong(format!("`{key}` is for a member on another machine, `remote:http://host:port`")));
            }
            _ => {
                let servers = if address.is_some() { &OF_SERVERS[..] } else { &[] };
                return Err(wrong(format!("a member has no setting `{key}`{}", known(key, servers))));
            }
        }
    }
    Ok(member)
}

/// `http://host:port`, or `vllm+http://host:port`.
fn server(address: &str) -> Result<RemoteSource, String> {
    let kinds = [("vllm+", RemoteServer::Vllm), ("sglang+", RemoteServer::Sglang)];
    let kind = kinds.iter().find_map(|(prefix, kind)| Some((address.strip_prefix(prefix)?, *kind)));
    let (url, server) = kind.unwrap_or((address, RemoteServer::Llama));
    remote::check_address(url)?;
    Ok(RemoteSource { server, ..RemoteSource::new(url) })
}

/// Sets what stands behind an address alone.
fn set(server: &mut RemoteSource, key: &str, value: &str) -> Result<(), String> {
    match key {
        "vocab" => {
            let file = PathBuf::from(value);
            readable(&file).map_err(|error| error.to_string())?;
            server.vocabulary = Some(file);
        }
        "rows" if value == "full" => server.rows = RemoteRows::Full,
        "rows" => match value.parse() {
            Ok(most @ 1..=1_000_000) => server.rows = RemoteRows::Top(most),
            _ => return Err(format!("`rows` is {value}; it takes `full` or how many tokens of a row are listed")),
        },
        "timeout" => match value.parse::<f64>() {
            Ok(seconds) if (0.01..=3600.0).contains(&seconds) => {
                server.timeout = Some(Duration::from_secs_f64(seconds));
            }
            _ => return Err(format!("`timeout` is {value}; it takes seconds from 0.01 to 3600")),
        },
        "key-file" => {
            let file = PathBuf::from(value);
            readable(&file).map_err(|error| error.to_string())?;
            server.key_file = Some(file);
        }
        _ => match value {
            "true" => server.insecure = true,
            "false" => server.insecure = false,
            _ => return Err(format!("`insecure` is {value}; it takes true or false")),
        },
    }
    Ok(())
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
fn known(key: &str, of_servers: &[&str]) -> String {
    let all: Vec<&str> = SETTINGS.iter().chain(of_servers).copied().collect();
    let near = all.iter().map(|known| (strsim::osa_distance(key, known), *known)).min();
    let guess = match near {
        Some((edits, near)) if edits <= 3 && edits < near.len() => format!("; did you mean `{near}`?"),
        _ => ".".into(),
    };
    format!("{guess} There are `{}`", all.join("`, `"))
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
    fn a_member_on_another_machine_has_an_address_in_place_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v.gguf").to_str().unwrap().to_owned();
        std::fs::write(&file, "").unwrap();
        let given = format!(
            "remote:vllm+http://127.0.0.1:8000,vocab={file},rows=40,timeout=1.5,weight=2,insecure=true,name=far"
        );
        let Given { source, weight, .. } = member(&given).unwrap_or_else(|error| panic!("{error}"));
        let remote = source.remote.unwrap();
        assert_eq!((source.name.as_deref(), weight), (Some("far"), Some(2.0)));
        assert_eq!(
            (remote.url.as_str(), remote.server, remote.rows),
            ("http://127.0.0.1:8000", RemoteServer::Vllm, RemoteRows::Top(40))
        );
        assert_eq!(remote.timeout, Some(Duration::from_millis(1500)));
        for (given, sentence) in [
            ("remote:127.0.0.1:8000", "is no address of a server; write `http://host:port`"),
            ("remote:http://a:1,rows=none", "`rows` is none; it takes `full`"),
            ("remote:http://a:1,gpu-layers=3", "leave out `gpu-layers`"),
            ("remote:http://a:1,vocab=absent.gguf", "there is no file `absent.gguf`"),
            ("remote:http://a:1,vocabulary=x", "There are `system`"),
            ("remote:http://a:1,timeout=0", "it takes seconds"),
            ("remote:http://key@a:1", "use `key-file=FILE`"),
        ] {
            let error = member(given).err().unwrap_or_else(|| panic!("{given} is taken")).to_string();
            assert!(error.contains(sentence), "{given} says: {error}");
        }
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
            (":rows=full", "`rows` is for a member on another machine"),
        ] {
            let error = parsed(settings).err().unwrap_or_else(|| panic!("{settings} is taken"));
            assert!(error.contains(sentence), "{settings} says: {error}");
        }
    }
}
