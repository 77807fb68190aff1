//! Meaning of `--draft`: who proposes, and how many units.

use super::{meaning::readable, ranges, spec::Spec};
use crate::{
    Error,
    engine::member_names,
    near,
    settings::{DraftBy, Drafting, ModelSource},
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Drafting as a person asked for it.
#[derive(Debug, Default, PartialEq)]
pub struct Asked {
    pub how: Drafting,
    /// A model that is no member.
    pub file: Option<PathBuf>,
}

/// Words that are neither a member nor a file.
const WORDS: [(&str, DraftBy); 3] = [("auto", DraftBy::Auto), ("off", DraftBy::Off), ("ngram", DraftBy::Ngram)];

/// Works out who `given` is among these members, or beside them.
pub fn understand(given: &str, members: &[ModelSource]) -> Result<Asked, Error> {
    let refused = |why: String| Error::Input(format!("`--draft {given}`: {why}"));
    let Spec { file, settings } = Spec::parse(given)?;
    let length = length(&settings).map_err(refused)?;
    let (by, file) = who(&file, members)?;
    if by == DraftBy::Off && length.is_some() {
        return Err(refused("nothing is proposed with `off`; leave `:length` out".into()));
    }
    if by == DraftBy::Member(0) && members.len() == 1 {
        return Err(refused(
            "the only member has nobody to go ahead of; name a smaller model of its family, `ngram`, or nobody".into(),
        ));
    }
    Ok(Asked { how: Drafting { by, length, pretend: None }, file })
}

fn length(settings: &serde_json::Map<String, Value>) -> Result<Option<usize>, String> {
    if let Some(unknown) = settings.keys().find(|key| *key != "length") {
        return Err(format!("there is no setting `{unknown}`{}", near::guess(unknown, ["length"].into_iter())));
    }
    let Some(value) = settings.get("length") else { return Ok(None) };
    let text = value.as_str().map_or_else(|| value.to_string(), String::from);
    ranges::draft_length(&text).map(Some).map_err(|range| format!("`length` is {text}, and {range}"))
}

fn who(given: &Path, members: &[ModelSource]) -> Result<(DraftBy, Option<PathBuf>), Error> {
    let word = given.to_string_lossy();
    if let Some((_, by)) = WORDS.iter().find(|(name, _)| *name == word) {
        return Ok((*by, None));
    }
    let names = member_names(members);
    let is_member = |(name, member): (&String, &ModelSource)| {
        *name == word
            || member.path == given
            || member.path.file_name() == Some(given.as_os_str())
            || same_file::is_same_file(&member.path, given).unwrap_or(false)
    };
    if let Some(member) = names.iter().zip(members).position(is_member) {
        return Ok((DraftBy::Member(member), None));
    }
    if given.exists() {
        readable(given)?;
        return Ok((DraftBy::Model, Some(given.into())));
    }
    let files: Vec<_> = members.iter().filter_map(|member| member.path.file_name()?.to_str()).collect();
    let known = || WORDS.iter().map(|(word, _)| *word).chain(names.iter().map(String::as_str)).chain(files.clone());
    let guess = near::guess(&word, known());
    let is_path = given.extension().is_some() || given.components().count() > 1;
    match is_path {
        true if guess == "." => Err(readable(given).err().unwrap_or_else(|| unknown(&word, &guess, &names))),
        true => Err(Error::Input(format!("there is no file `{}`{guess}", given.display()))),
        false => Err(unknown(&word, &guess, &names)),
    }
}

fn unknown(word: &str, guess: &str, names: &[String]) -> Error {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    Error::Input(format!(
        "`--draft`: there is no `{word}`{guess} It takes `auto`, `off`, `ngram`, a member ({}) or a GGUF file, and how many \
         tokens to propose: `:length=4`",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Vec<ModelSource> {
        ["models/large.gguf", "models/small.gguf", "other/small.gguf"].map(ModelSource::new).to_vec()
    }

    fn by(given: &str) -> (DraftBy, Option<usize>) {
        let Asked { how, file } = understand(given, &members()).unwrap();
        assert_eq!(file, None);
        (how.by, how.length)
    }

    fn refusal(given: &str) -> String {
        understand(given, &members()).unwrap_err().to_string()
    }

    #[test]
    fn words_members_and_their_files_can_draft() {
        assert_eq!(by("auto"), (DraftBy::Auto, None));
        assert_eq!(by("off"), (DraftBy::Off, None));
        assert_eq!(by("ngram:length=7"), (DraftBy::Ngram, Some(7)));
        assert_eq!(by("small"), (DraftBy::Member(1), None));
        assert_eq!(by("small#2:length=1"), (DraftBy::Member(2), Some(1)));
        assert_eq!(by("small.gguf"), (DraftBy::Member(1), None));
        assert_eq!(by("other/small.gguf"), (DraftBy::Member(2), None));
    }

    #[test]
    fn another_file_is_a_model_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("draft.gguf");
        std::fs::write(&path, "").unwrap();
        let asked = understand(&format!("{}:length=2", path.display()), &members()).unwrap();
        assert_eq!((asked.how.by, asked.how.length, asked.file), (DraftBy::Model, Some(2), Some(path)));
    }

    #[test]
    fn what_cannot_draft_is_refused_with_what_can() {
        assert!(refusal("ngrm").contains("there is no `ngrm`; did you mean `ngram`? It takes"), "{}", refusal("ngrm"));
        assert!(refusal("nobody").contains("there is no `nobody`. It takes"), "{}", refusal("nobody"));
        assert!(refusal("smal.gguf").ends_with("there is no file `smal.gguf`; did you mean `small.gguf`?"));
        assert!(refusal("absent.gguf").contains("no file `absent.gguf`; check the path"));
        assert!(refusal("ngram:length=8").contains("`length` is 8, and it takes a whole number from 1 to 7"));
        assert!(refusal("ngram:length=few").contains("`length` is few, and it takes a whole number from 1 to 7"));
        assert!(refusal("ngram:lenght=3").contains("no setting `lenght`; did you mean `length`?"));
        assert!(refusal("off:length=3").contains("leave `:length` out"));
        let alone = understand("large", &members()[..1]).unwrap_err().to_string();
        assert!(alone.contains("the only member has nobody to go ahead of"), "{alone}");
    }
}
