//! Teams: models that belong together, as a file that says all of it.
//!
//! A *pack* is a folder with `team.toml`: the members' files with their digests, their weights, the fusion, the policies, the
//! context, and the measurement that speaks for the team. [`search`] finds one, [`Pack::write`] writes it, and
//! [`Engine::from_team`] decodes with it.

pub mod search;

mod pack;

pub use pack::Packing;

use crate::engine::Engine;
use crate::error::Error;
use crate::files;
use crate::hooks::native::PluginConfig;
use crate::passes::file_digest;
use crate::settings::{ModelSource, PolicySource, Settings};
use measure::statistics::Interval;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file of a pack.
pub const FILE: &str = "team.toml";

/// The version of the format that is written and read.
const VERSION: u32 = 1;

/// What `team.toml` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Version of the format, 1.
    pub team: u32,
    /// Name of the fusion.
    pub fusion: String,
    /// Built-in policies by name, scripts by their files.
    #[serde(default)]
    pub policy: Vec<String>,
    /// Tokens of prompt and reply together, of every member.
    pub context: u32,
    /// Settings of plugins by their names.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The members, in order.
    pub member: Vec<Member>,
    /// Why these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its GGUF file; a path that is not absolute starts at the folder of `team.toml`. `hf:OWNER/REPO/FILE@REVISION` is one on the
    /// Hugging Face hub, see [`Pack::localize`].
    pub file: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its prior weight, before scaling.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

/// The measurement that speaks for a team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What was predicted.
    pub text: Text,
    /// What the team needs less than its best member.
    pub gain: Measured,
}

/// A text that something was measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Name of the file.
    pub name: String,
    /// SHA-256 of what was scored, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// A difference in bits per byte; below 0 the team is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The team less the model.
    pub bits_per_byte: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// The model.
    pub against: String,
}

impl Measured {
    /// Rounds a difference and its interval to what a person can read.
    pub fn new(bits_per_byte: f64, Interval { low, high }: Interval, against: &str) -> Self {
        let short = |value: f64| (value * 1e5).round() / 1e5;
        Self { bits_per_byte: short(bits_per_byte), low: short(low), high: short(high), against: against.into() }
    }
}

/// A pack that was read: what it says, and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    /// The folder.
    pub folder: PathBuf,
    /// What its file says.
    pub team: Team,
}

impl Pack {
    /// Reads the `team.toml` of a folder, or a file of another name.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
        let wrong = |what: &dyn std::fmt::Display| Error::Input(format!("`{}` is no team: {what}", file.display()));
        let text = files::read_text(&file, files::LARGEST)?;
        let team: Team = toml::from_str(&text).map_err(|error| wrong(&error.to_string().trim_end()))?;
        if team.team != VERSION {
            return Err(wrong(&format!(
                "its format is {}, and this program knows {VERSION}; get a newer one",
                team.team
            )));
        }
        if team.member.is_empty() {
            return Err(wrong(&"it has no `[[member]]`"));
        }
        let is_usable = |member: &Member| member.weight.is_finite() && member.weight >= 0.0;
        if let Some(member) = team.member.iter().find(|member| !is_usable(member)) {
            return Err(wrong(&format!(
                "the weight of `{}` is {}; it has to be 0 or more",
                member.name, member.weight
            )));
        }
        if team.member.iter().all(|member| member.weight == 0.0) {
            return Err(wrong(&"all weights are 0; at least one member needs a weight above 0"));
        }
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { folder: folder.to_path_buf(), team })
    }

    /// Puts a file on this machine in the place of each member's, as `local` answers for what the file says.
    pub fn localize(&mut self, local: &mut dyn FnMut(&Path) -> Result<PathBuf, Error>) -> Result<(), Error> {
        self.team.member.iter_mut().try_for_each(|member| {
            member.file = local(&member.file)?;
            Ok(())
        })
    }

    /// Where a member's file is.
    pub fn path(&self, member: &Member) -> PathBuf {
        self.folder.join(&member.file)
    }

    /// Whether each member's file is the one that was packed. A digest that is kept in `cache` is believed as long as the system
    /// says that the file is the same; without `cache` all files are read.
    pub fn verify(&self, cache: Option<&Path>) -> Result<(), Error> {
        for member in &self.team.member {
            let path = self.path(member);
            drop(files::open(&path)?);
            let found = file_digest(&path, cache)
                .map_err(|error| Error::Failure(format!("`{}` cannot be read: {error}", path.display())))?;
            if found != member.sha256.to_ascii_lowercase() {
                return Err(Error::Input(format!(
                    "`{}` is not the file that was packed as `{}`: its SHA-256 is {found}, {FILE} has {}; get that file, or \
                     pack the team anew",
                    path.display(),
                    member.name,
                    member.sha256
                )));
            }
        }
        Ok(())
    }

    /// These settings with the team's members, fusion, policies and context in place of theirs.
    pub fn settings(&self, settings: Settings) -> Result<Settings, Error> {
        let Team { fusion, context, settings: of_plugins, member, .. } = &self.team;
        let model = |member: &Member| ModelSource {
            name: Some(member.name.clone()),
            weight: member.weight,
            ..ModelSource::new(self.path(member))
        };
        let policy = |name: &String| {
            let path = self.folder.join(name);
            if path.is_file() {
                PolicySource::Script { path, knobs: Vec::new() }
            } else {
                PolicySource::Named(name.clone())
            }
        };
        let text = serde_json::Value::Object(of_plugins.clone()).to_string();
        let plugin_config = PluginConfig::parse(&self.folder.join(FILE), &text).map_err(Error::Input)?;
        Ok(Settings {
            models: member.iter().map(model).collect(),
            fusion_mode: fusion.clone(),
            policies: self.team.policy.iter().map(policy).collect(),
            ctx_size: *context,
            plugin_config,
            ..settings
        })
    }
}

impl Engine {
    /// Loads a team: a folder with `team.toml`. Each file has to be the one that was packed.
    ///
    /// ```no_run
    /// use llama_selfmod::{Engine, Error, settings::Prompt};
    /// use std::sync::Arc;
    ///
    /// # fn main() -> Result<(), Error> {
    /// let mut engine = Engine::from_team("my-team")?;
    /// let reply = engine.reply(&Prompt::Text("Once upon a time".into()), &Arc::default(), &mut |_| {})?;
    /// println!("{}", reply.text);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_team(path: impl AsRef<Path>) -> Result<Self, Error> {
        let pack = Pack::read(path.as_ref())?;
        pack.verify(None)?;
        Self::load(pack.settings(Settings::default())?, &|_member, _part| {})
    }
}
