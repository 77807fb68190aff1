//! What answers: an ensemble, one model, or several answers of one.

use super::super::args::EvalArgs;
use crate::{
    Error,
    engine::{member_names, model_files},
    passes::file_digest,
    settings::{ModelSource, PolicySource, Settings},
    team::Pack,
};
use ::measure::{
    open,
    results::{self, Item, Member, Results},
};
use serde_json::json;
use std::path::Path;

/// Settings, and what a header of results says of them.
pub struct System {
    /// Settings that its engine is loaded with.
    pub settings: Settings,
    /// Answers to each item.
    pub samples: u32,
    /// What the header of its results says of it.
    pub described: results::System,
}

impl System {
    /// Describes the system these settings make, by all that changes its answers.
    pub fn new(settings: &Settings, samples: u32, args: &EvalArgs) -> Result<Self, Error> {
        let names = member_names(&settings.models);
        let digest = |model: &ModelSource| {
            // What a server computes with it alone knows.
            if model.remote.is_some() {
                return Ok(String::new());
            }
            let digests = model_files(&model.path).into_iter().map(|file| {
                file_digest(&file, settings.cache.as_deref())
                    .map_err(|error| Error::Failure(format!("`{}` cannot be read: {error}", file.display())))
            });
            Ok::<_, Error>(digests.collect::<Result<Vec<String>, _>>()?.join("+"))
        };
        let member = |(model, name): (&ModelSource, &String)| {
            Ok(Member {
                name: name.clone(),
                file: model.path.display().to_string(),
                sha256: digest(model)?,
                weight: model.weight.into(),
            })
        };
        let members: Vec<Member> = settings.models.iter().zip(&names).map(member).collect::<Result<_, Error>>()?;
        let policy = |policy: &PolicySource| match policy {
            PolicySource::Named(name) => name.clone(),
            PolicySource::Script { path, knobs } => format!("{} {knobs:?}", path.display()),
        };
        let several = members.len() > 1;
        let fusion = if several { settings.fusion_mode.clone() } else { String::new() };
        let mut name = names.join(" + ");
        if several && fusion != "confidence" {
            name += &format!(" by {fusion}");
        }
        if samples > 1 {
            name += &format!(", best of {samples}");
        }
        let own = json!({
            "temperature": settings.parameters.temperature,
            "repeat_penalty": settings.parameters.repeat_penalty,
            "context": settings.ctx_size,
            "chat": args.chat,
            "samples": samples,
            "align": format!("{:?}", settings.align).to_lowercase(),
            "heads": format!("{:?}", settings.heads).to_lowercase(),
            "plugins": settings.plugin_config.as_map(),
            "judge": args.judge.as_ref().map(|file| file.display().to_string()),
            "words": args.words.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
        });
        let policies = settings.policies.iter().map(policy).collect();
        let described = results::System { name, members, fusion, policies, settings: own };
        Ok(Self { settings: settings.clone(), samples, described })
    }
}

/// Each member alone.
pub fn singles(settings: &Settings) -> Vec<Settings> {
    let names = member_names(&settings.models);
    let single = |(model, name): (&ModelSource, String)| {
        let model = ModelSource { name: Some(name), weight: 1.0, ..model.clone() };
        Settings { models: vec![model], ..settings.clone() }
    };
    settings.models.iter().zip(names).map(single).collect()
}

/// A model or a team of its own.
pub fn other(path: &Path, settings: &Settings) -> Result<Settings, Error> {
    if path.is_dir() || path.extension().is_some_and(|ending| ending == "toml") {
        let pack = Pack::read(path)?;
        pack.verify(settings.cache.as_deref())?;
        let policies = settings.policies.clone();
        return Ok(Settings { policies, ..pack.settings(settings.clone())? });
    }
    crate::files::open(path)?;
    let gpu_layers = settings.models.first().map_or(0, |model| model.gpu_layers);
    let model = ModelSource { gpu_layers, ..ModelSource::new(path) };
    Ok(Settings { models: vec![model], ..settings.clone() })
}

/// The place of the best results: most right answers, or fewest bits, of open-ended text those of the judge.
pub fn best(results: &[Results]) -> usize {
    let right = |results: &Results| results.items.iter().filter(|item| item.is_right()).count();
    let bits = |item: &Item| item.figure(open::BITS).map(|bits| bits.sum);
    let nats =
        |results: &Results| results.items.iter().filter_map(|item| item.nats.or_else(|| bits(item))).sum::<f64>();
    let better = |&a: &usize, &b: &usize| {
        let (a, b) = (&results[a], &results[b]);
        right(b).cmp(&right(a)).then(nats(a).total_cmp(&nats(b)))
    };
    (0..results.len()).min_by(better).unwrap_or_default()
}
