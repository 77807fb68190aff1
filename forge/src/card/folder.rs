//! The card of a folder that no recipe made: its files, and the team that a pack says they are.

use super::text::{name, table, words};
use super::{Facts, Model, render};
use crate::bench::{Failure, Watch};
use crate::store::{Store, files_below};
use serde::Deserialize;
use std::path::Path;

/// The file of a pack that names its members.
const TEAM: &str = "team.toml";

/// What a pack says, as far as a card tells it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Team {
    fusion: String,
    #[serde(default)]
    policy: Vec<String>,
    context: u32,
    member: Vec<Member>,
    evidence: Option<Evidence>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Member {
    name: String,
    file: String,
    sha256: String,
    #[serde(default = "one")]
    weight: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Evidence {
    text: Text,
    gain: Gain,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Text {
    name: String,
    sha256: String,
    bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Gain {
    bits_per_byte: f64,
    low: f64,
    high: f64,
    against: String,
}

/// The model card of a folder of GGUF files, or of a pack, for a repository `owner/name`: licences and base models as the files
/// say, digests, and what a pack's evidence shows. `None` where there is no GGUF file.
///
/// # Errors
/// For a file that cannot be read, or is no GGUF in spite of its name.
pub fn of_folder(folder: &Path, repo: &str, watch: &dyn Watch) -> Result<Option<String>, Failure> {
    // Believes no digest that was kept elsewhere.
    let store = Store::look_afresh(folder);
    let mut facts = Facts { repo: Some(repo.into()), ..Facts::default() };
    for file in files_below(folder)? {
        let path = folder.join(&file);
        if file.to_ascii_lowercase().ends_with(".gguf") || file == TEAM {
            let sha256 = store.digest(&path, watch)?;
            facts.models.push(Model::at(&file, &sha256, &path)?);
        }
        if file == TEAM {
            let text = std::fs::read_to_string(&path).map_err(|error| Failure::read(&path, &error))?;
            let team = toml::from_str(&text)
                .map_err(|error| Failure::new(format!("`{}` is no team: {error}", path.display())))?;
            facts.team = Some(team);
            let title = repo.rsplit('/').next().unwrap_or(repo);
            facts.title = Some(title.into());
        }
    }
    let is_of_models = facts.models.iter().any(|model| model.says.is_some()) || facts.team.is_some();
    Ok(is_of_models.then(|| render(&facts)))
}

/// Who decodes together, and what speaks for that.
pub(super) fn section(team: Option<&Team>) -> String {
    let Some(team) = team else { return String::new() };
    let row =
        |member: &Member| vec![name(&member.name), name(&member.file), member.weight.to_string(), name(&member.sha256)];
    let rows: Vec<Vec<String>> = team.member.iter().map(row).collect();
    let policies: Vec<&str> = team.policy.iter().map(String::as_str).collect();
    let mut text = format!(
        "## Together\n\nThese models decode one text together: fusion {}, policies {}, a context of {} tokens.\n\n{}\n",
        name(&team.fusion),
        super::text::names(policies),
        team.context,
        table(&["member", "file", "weight", "SHA-256"], &rows)
    );
    match &team.evidence {
        Some(Evidence { text: of, gain }) => {
            let finding = match (gain.low, gain.high) {
                (_, high) if high < 0.0 => "shown: better",
                (low, _) if low > 0.0 => "shown: worse",
                _ => "not shown",
            };
            text.push_str(&format!(
                "Against {} alone, on {} bytes of {} (SHA-256 {}): {:+.4} bits a byte, 95 % interval {:+.4} … {:+.4}; {finding}. The \
                 models were chosen on other text.\n",
                name(&gain.against),
                super::text::count(of.bytes),
                words(&of.name),
                name(&of.sha256),
                gain.bits_per_byte,
                gain.low,
                gain.high
            ));
        }
        None => text.push_str("That they are better together than the best of them alone is not shown.\n"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = "team = 1\nfusion = \"confidence\"\ncontext = 512\n[[member]]\nname = \"a|b\"\nfile = \"a.gguf\"\nsha256 = \
                        \"aa\"\n";

    #[test]
    fn a_team_without_evidence_is_not_shown_to_be_better() {
        let team: Team = toml::from_str(TOML).unwrap();
        let text = section(Some(&team));
        assert!(text.contains("is not shown") && text.contains("a&#124;b"), "{text}");
        assert_eq!(section(None), "");
    }

    #[test]
    fn evidence_stands_with_its_interval() {
        let evidence = "[evidence]\ntext = { name = \"t\", sha256 = \"bb\", bytes = 12000 }\ngain = { bits_per_byte = -0.03, low = -0.04, \
                        high = HIGH, against = \"a\" }\n";
        for (high, finding) in [("-0.02", "shown: better"), ("0.01", "not shown")] {
            let team: Team = toml::from_str(&format!("{TOML}{}", evidence.replace("HIGH", high))).unwrap();
            let text = section(Some(&team));
            assert!(text.contains(finding) && text.contains("-0.0300 bits a byte"), "{text}");
        }
    }
}
