//! Writing a pack.

use super::{Evidence, FILE, Member, Pack, Team, VERSION};
use crate::error::Error;
use crate::passes::file_digest;
use crate::settings::{PolicySource, Settings};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a pack is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// The models' files are copied into the folder, which can then be moved.
    #[default]
    Copy,
    /// The models stay where they are, and the pack names their places.
    Refer,
}

impl Pack {
    /// Writes the models and hooks of the settings as a pack into a folder that is new or empty. `names` are the members'.
    pub fn write(
        folder: &Path,
        settings: &Settings,
        names: &[String],
        packing: Packing,
        evidence: Option<Evidence>,
    ) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::Failure(format!("the pack `{}` cannot be written: {error}", folder.display()))
        };
        refuse_what_a_pack_cannot_hold(settings)?;
        match std::fs::read_dir(folder) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(Error::Input(format!("`{}` is not empty; name a new folder", folder.display())));
                }
            }
            Err(_) => std::fs::create_dir_all(folder).map_err(failed)?,
        }
        let mut taken = vec![FILE.to_string()];
        let mut member = Vec::new();
        for (source, name) in settings.models.iter().zip(names) {
            let sha256 = file_digest(&source.path, None).map_err(failed)?;
            let file = match packing {
                Packing::Copy => add(folder, &source.path, &mut taken).map_err(failed)?,
                Packing::Refer => source.path.canonicalize().map_err(failed)?,
            };
            member.push(Member { name: name.clone(), file, sha256, weight: source.weight });
        }
        let mut policy = Vec::new();
        for source in &settings.policies {
            policy.push(match source {
                PolicySource::Named(name) => name.clone(),
                PolicySource::Script { path, .. } => {
                    add(folder, path, &mut taken).map_err(failed)?.to_string_lossy().into_owned()
                }
            });
        }
        let team = Team {
            team: VERSION,
            fusion: settings.fusion_mode.clone(),
            policy,
            context: settings.ctx_size,
            settings: settings.plugin_config.as_map(),
            member,
            evidence,
        };
        let text = toml::to_string(&team).map_err(|error| Error::Failure(error.to_string()))?;
        // The last file makes it a pack.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.persist(folder.join(FILE)).map_err(|error| failed(error.error))?;
        Ok(Self { folder: folder.to_path_buf(), team })
    }
}

/// Copies a file into the folder, under a name that no other has there.
fn add(folder: &Path, file: &Path, taken: &mut Vec<String>) -> std::io::Result<PathBuf> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy())).unwrap_or_default();
    let numbered = (2..).map(|number| format!("{stem}-{number}{ending}"));
    let free = |name: &String| !taken.contains(name);
    let name = std::iter::once(format!("{stem}{ending}")).chain(numbered).find(free).unwrap_or_default();
    std::fs::copy(file, folder.join(&name))?;
    taken.push(name.clone());
    Ok(name.into())
}

fn refuse_what_a_pack_cannot_hold(settings: &Settings) -> Result<(), Error> {
    let has_own = |model: &crate::settings::ModelSource| {
        model.system.is_some() || model.before.is_some() || model.template.is_some()
    };
    let what = if !settings.plugins.is_empty() {
        "a compiled plugin, which another machine may not be able to load; leave `--plugin` out"
    } else if settings.models.iter().any(has_own) {
        "a member's own prompt; leave `system=`, `prompt-file=` and `template=` out"
    } else if settings
        .policies
        .iter()
        .any(|policy| matches!(policy, PolicySource::Script { knobs, .. } if !knobs.is_empty()))
    {
        "values of knobs; write them into the script"
    } else {
        return Ok(());
    };
    Err(Error::Input(format!("a pack cannot hold {what}")))
}
