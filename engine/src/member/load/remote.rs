//! Members that a server computes: met before files are read, and given the tokens of a file.

use super::MemberInfo;
use super::files::Files;
use super::shared::read_vocabulary_model;
use crate::error::Error;
use crate::member::Vocabulary;
use crate::member::reader::tokens::tokenise_text;
use crate::member::remote::{Client, Fault, Met, Remote, Tokens, meet};
use crate::settings::{ModelSource, RemoteSource};
use llama_cpp_2::model::LlamaModel;
use std::sync::Arc;

/// A server that was met.
pub(super) struct Server {
    source: RemoteSource,
    client: Client,
    met: Met,
    tokens: usize,
}

/// Meets the servers of those of the files that are none.
pub(super) fn meet_all(files: &Files, names: &[String]) -> Result<Vec<Option<Server>>, Error> {
    let server = |(place, source): (usize, &ModelSource)| {
        let Some(remote) = &source.remote else { return Ok(None) };
        let name = files.places.iter().position(|&own| own == place).map_or("", |index| &names[index]);
        let (client, met) = meet(remote, name)?;
        Ok(Some(Server { source: remote.clone(), client, met, tokens: 0 }))
    };
    files.sources.iter().enumerate().map(server).collect()
}

/// Of each file its model; of those that a server computes one with the tokens alone, from a file that is named for it or
/// from another member.
pub(super) fn vocabularies(
    files: &Files,
    names: &[String],
    models: Vec<Option<Arc<LlamaModel>>>,
    servers: &mut [Option<Server>],
    notes: &mut Vec<String>,
) -> Result<Vec<Arc<LlamaModel>>, Error> {
    let here: Vec<Arc<LlamaModel>> = models.iter().flatten().cloned().collect();
    let of_server = |(place, (model, server)): (usize, (Option<Arc<LlamaModel>>, &mut Option<Server>))| {
        let Some(server) = server.as_mut() else {
            return model.ok_or_else(|| Error::Failure("a model was not loaded".into()));
        };
        let name = files.places.iter().position(|&own| own == place).map_or("", |index| &names[index]);
        server.tokens_from(name, &here, notes)
    };
    models.into_iter().zip(servers).enumerate().map(of_server).collect()
}

impl Server {
    /// The file, or the member, whose tokens are the server's.
    fn tokens_from(
        &mut self,
        name: &str,
        here: &[Arc<LlamaModel>],
        notes: &mut Vec<String>,
    ) -> Result<Arc<LlamaModel>, Error> {
        let url = &self.source.url;
        let failed = |fault| Error::Failure(format!("the server of `{name}`, {url}, cannot be used: {fault}"));
        if let Some(file) = &self.source.vocabulary {
            let model = Arc::new(read_vocabulary_model(file)?);
            return match self.compare(&model).map_err(failed)? {
                Tokens::Other(why) => Err(Error::Input(format!(
                    "`{}` does not have the vocabulary of the server of `{name}`, {url}: {why}; name a file of the model's \
                     family with `vocab=`",
                    file.display()
                ))),
                Tokens::Same(tokens) => {
                    self.tokens = tokens;
                    Ok(model)
                }
                Tokens::Unknown(tokens) => {
                    self.tokens = tokens;
                    notes.push(format!(
                        "the server of `{name}` does not say what all its tokens are: that they are those of `{}` is not checked",
                        file.display()
                    ));
                    Ok(model)
                }
            };
        }
        for model in here {
            if let Tokens::Same(tokens) = self.compare(model).map_err(failed)? {
                self.tokens = tokens;
                return Ok(model.clone());
            }
        }
        Err(Error::Input(format!(
            "the tokens of `{name}`, which {url} computes, are those of no other member; name a GGUF file of the model's family \
             with `vocab=FILE`, of which the vocabulary alone is read"
        )))
    }

    fn compare(&self, model: &LlamaModel) -> Result<Tokens, Fault> {
        let vocabulary = Vocabulary::of(model);
        let tokens = model.vocab().tokens().count();
        let tokenise = |text: &str| tokenise_text(model, &vocabulary, text);
        Remote::compare(&self.source, &self.client, &self.met, &vocabulary, tokens, tokenise)
    }

    /// Tokens that a text may have: the server draws one behind the last row.
    pub fn room(&self) -> u32 {
        self.met.context.saturating_sub(2).clamp(1, u32::MAX as usize) as u32
    }

    /// The model, with places for so many texts.
    pub fn model(&self, name: &str, vocabulary: Arc<Vocabulary>, texts: usize) -> Result<Remote, Error> {
        let Self { source, client, met, tokens } = self;
        Remote::new(name.into(), source, client.clone(), met.clone(), vocabulary, *tokens, texts)
            .map_err(|fault| Error::Failure(format!("the server of `{name}`, {}, gives no row: {fault}", source.url)))
    }

    /// What a person should know of the member.
    pub fn note(&self, name: &str, remote: &Remote, repeat_penalty: f32) -> Vec<String> {
        let mut notes = Vec::new();
        if remote.is_truncated() {
            notes.push(format!(
                "of each row of `{name}` the likeliest {} of {} tokens come from {}, and the mass of the rest: `rows=full` asks for \
                 all",
                remote.listed(),
                self.tokens,
                self.source.url
            ));
        }
        if repeat_penalty != 1.0 {
            notes.push(format!(
                "`{name}` gives log-probabilities and no logits, so the repeat penalty is not quite what it is for the same model here"
            ));
        }
        notes
    }

    /// The chat template that the server uses, unless it is the one that llama.cpp gives to models that have none.
    pub fn template(&self, vocabulary: &Vocabulary) -> Option<&str> {
        let marker = "<|im_start|>";
        let has_marker = || vocabulary.control_texts().iter().any(|text| text == marker);
        self.met
            .template
            .as_deref()
            .filter(|template| template.contains("{{"))
            .filter(|template| !template.contains(marker) || has_marker())
    }

    /// The member for people.
    pub fn info(&self, name: &str, source: &ModelSource) -> MemberInfo {
        MemberInfo {
            name: name.into(),
            path: source.path.clone(),
            parameters: self.met.parameters,
            context: if self.met.trained > 0 { self.met.trained } else { self.room() },
            bytes: self.met.bytes,
            cache_bytes: 0,
            on_gpu: 0.0,
        }
    }
}
