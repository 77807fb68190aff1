//! A chat in a file.

use crate::{
    Error,
    cli::ranges,
    files,
    settings::{Message, Settings, Speaker},
};
use plugin_api::Parameters;
use serde::{Deserialize, Serialize};
use std::{io::Write, path::Path};

/// What `/save` writes, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// Names of the members.
    pub models: Vec<String>,
    /// Name of the fusion.
    pub fusion_mode: String,
    /// Of the random draws.
    pub seed: u64,
    /// Sampling parameters.
    pub parameters: SavedParameters,
    /// What was said.
    pub messages: Vec<Message>,
}

/// [`Parameters`] in a file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SavedParameters {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repeat_penalty: f32,
}

impl From<Parameters> for SavedParameters {
    fn from(parameters: Parameters) -> Self {
        let Parameters { temperature, top_p, min_p, repeat_penalty, top_k } = parameters;
        Self { temperature, top_k, top_p, min_p, repeat_penalty }
    }
}

impl From<SavedParameters> for Parameters {
    fn from(saved: SavedParameters) -> Self {
        let SavedParameters { temperature, top_k, top_p, min_p, repeat_penalty } = saved;
        Self { temperature, top_p, min_p, repeat_penalty, top_k }
    }
}

impl Saved {
    /// Of a chat as it stands.
    pub fn new(models: Vec<String>, settings: &Settings, seed: u64, messages: &[Message]) -> Self {
        Self {
            models,
            fusion_mode: settings.fusion_mode.clone(),
            seed,
            parameters: settings.parameters.into(),
            messages: messages.to_vec(),
        }
    }

    /// Nothing was said.
    pub fn is_empty(&self) -> bool {
        self.messages.iter().all(|message| message.role == Speaker::System)
    }

    /// Writes it whole or not at all. A file that is there is replaced only when it is a saved chat itself.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let shown = path.display();
        if path.exists() && Self::read(path).is_err() {
            return Err(Error::Input(format!(
                "`{shown}` is there already and is not a saved chat; choose another name"
            )));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            // A name for a file that is not on the disk yet would be worth little after a power cut.
            file.as_file().sync_all()?;
            file.persist(path).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error| Error::Input(format!("`{shown}` cannot be written: {error}")))
    }

    /// Reads and checks it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path, files::LARGEST)?;
        let shown = path.display();
        let saved: Self = serde_json::from_str(&text)
            .map_err(|error| Error::Input(format!("`{shown}` is not a chat that `/save` wrote: {error}")))?;
        ranges::check(&saved.parameters.into())
            .map_err(|error| Error::Input(format!("`{shown}` cannot be used: {error}")))?;
        Ok(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let message = Message { role: Speaker::User, content: "Grüß dich,\n\"猫\"".into() };
        Saved::new(vec!["a".into()], &Settings::default(), 7, &[message])
    }

    #[test]
    fn a_chat_survives_the_file() {
        let path = tempfile::tempdir().unwrap().keep().join("chat.json");
        saved().write(&path).unwrap();
        assert_eq!(Saved::read(&path).unwrap(), saved());
        saved().write(&path).expect("a saved chat may be replaced");
    }

    #[test]
    fn another_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, "GGUF").unwrap();
        assert!(saved().write(&path).unwrap_err().to_string().contains("is there already"));
        assert_eq!(std::fs::read(&path).unwrap(), b"GGUF");
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let mut chat = saved();
        chat.parameters.temperature = 9.0;
        std::fs::write(&path, serde_json::to_string(&chat).unwrap()).unwrap();
        let error = Saved::read(&path).unwrap_err().to_string();
        assert!(error.contains("temperature") && error.contains("to 5"), "{error}");
    }
}
