//! What a session is made of: the meaning of the command line, and what a program that uses the library fills in.

use crate::hooks::Watching;
use crate::hooks::native::PluginConfig;
use std::path::PathBuf;
use std::time::Duration;

/// Where a member's file comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSource {
    /// The GGUF file; of a member on another machine `remote:` and its server's address.
    pub path: PathBuf,
    /// The server that computes for the member, in place of a file.
    pub remote: Option<RemoteSource>,
    /// Layers on the GPU; −1 for all.
    pub gpu_layers: i32,
    /// Its prior weight in the fused row, before scaling.
    pub weight: f32,
    /// What it is called; `None` for the file's name without its ending. A second one of the same name gets a number.
    pub name: Option<String>,
    /// The system message that this member alone sees, in place of [`Settings::system`] and of one in the prompt.
    pub system: Option<String>,
    /// A text that this member alone reads before the prompt: a document, or the instructions for its part. It stands at the
    /// beginning of the first message of the user, or of the text where there is no chat template, with a blank line behind
    /// it, in every prompt but [`Prompt::Tokens`]. Control tokens in it are plain text.
    pub before: Option<String>,
    /// A Jinja template in place of [`Settings::chat_template`] and the file's own.
    pub template: Option<String>,
}

/// A server on this or another machine that computes for a member.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSource {
    /// `http://host:port`, without a path.
    pub url: String,
    /// What kind of server it is.
    pub server: RemoteServer,
    /// A GGUF file of the model's family, of which the vocabulary alone is read: tokens, tokenizer and chat template. `None`
    /// for those of another member.
    pub vocabulary: Option<PathBuf>,
    /// How much of each row is asked for.
    pub rows: RemoteRows,
    /// What a step may take, in place of three times what one in a hundred takes.
    pub timeout: Option<Duration>,
    /// A file with the key that the server asks for. Without one the environment's `LLAMA_SELFMOD_KEY_NAME`, with the member's
    /// name in capitals.
    pub key_file: Option<PathBuf>,
    /// Lets text and key go unencrypted to another machine.
    pub insecure: bool,
}

/// Interfaces of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoteServer {
    /// llama.cpp's own server: whole rows, several of them in one request.
    #[default]
    Llama,
    /// vLLM: the likeliest tokens of a row.
    Vllm,
    /// SGLang: the likeliest tokens of a row.
    Sglang,
}

/// How much of a row a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoteRows {
    /// All of it where the vocabulary has 4,096 tokens at most, otherwise the 256 likeliest; of vLLM and SGLang 20.
    #[default]
    Auto,
    /// All of it: 70 bytes a token of the vocabulary.
    Full,
    /// The likeliest so many tokens, and what all others have together.
    Top(usize),
}

/// A policy the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicySource {
    /// A built-in one, by name.
    Named(String),
    /// A Rhai script.
    Script {
        /// The file.
        path: PathBuf,
        /// Values of its knobs, by their names.
        knobs: Vec<(String, f64)>,
    },
}

/// A shared library the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSource {
    /// The file.
    pub path: PathBuf,
    /// Settings of its plugins: each has to be known to one of them.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// How members of different vocabularies decode together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// Exactly, in the units that all vocabularies have in common; in tokens where all have the same.
    #[default]
    Exact,
    /// In the first member's tokens; the others are consulted where a word begins and it is unsure.
    Boundary,
    /// In bytes also where all have the same tokens: for comparing the two ways.
    Always,
}

/// How many of the ways in which a member of another vocabulary may have read the text are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heads {
    /// Those that have a tenth of all probability: little more than the member's own decoding.
    Few,
    /// Those that have a thousandth: what is lost can hardly be measured.
    #[default]
    Usual,
    /// All, down to a share of 10⁻⁹ of all probability. For checks: there are soon hundreds.
    All,
}

/// What a model's keys and values are kept as in its KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheType {
    /// Two bytes each: F16; on the CPU values are BF16, so that a row does not depend on what else is in its batch.
    #[default]
    F16,
    /// Two bytes each: BF16.
    Bf16,
    /// A little over one byte each. A model's heads have to be a multiple of 32 wide.
    Q8_0,
}

/// Who proposes what is likely to come, so that members decode it in one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DraftBy {
    /// Whoever pays: the text itself where it repeats, or the cheapest member, if all share a vocabulary and have 64 MiB of
    /// weights or more. Nobody where neither pays, where a model is recurrent, and from four texts at once on.
    #[default]
    Auto,
    /// Nobody.
    Off,
    /// This member.
    Member(usize),
    /// The text itself: what came after the same units before.
    Ngram,
    /// The text itself where it repeats, otherwise [`Settings::draft_model`].
    Model,
}

/// How to read ahead. With weights in Q8_0, Q5_0 or Q4_0 on the CPU a draft changes how fast a text comes and nothing else; with
/// others the last bits of a row can depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Drafting {
    /// Who proposes.
    pub by: DraftBy,
    /// So many units each time, 1 to 7; `None` for what pays, by how much was right lately.
    pub length: Option<usize>,
    /// Takes what was proposed for what was drawn with this probability: to measure what drafts would bring. The text is
    /// nonsense then.
    pub pretend: Option<f32>,
}

/// The whole configuration of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The members; the first leads in `blend`.
    pub models: Vec<ModelSource>,
    /// Name of the fusion.
    pub fusion_mode: String,
    /// Room for prompt and reply, in tokens; capped by what the members were trained for.
    pub ctx_size: u32,
    /// The base sampling parameters.
    pub parameters: plugin_api::Parameters,
    /// Longest reply, in units.
    pub n_predict: u32,
    /// Of the stock policy.
    pub confidence_threshold: f32,
    /// Of the stock policy.
    pub aggressive: bool,
    /// Retractions a reply may make, over all policies.
    pub max_retractions: u32,
    /// How many of the newest units can be taken back.
    pub horizon: u32,
    /// All CPU threads together; `None` for one per physical core.
    pub threads: Option<usize>,
    /// Of the random draws.
    pub seed: u64,
    /// The system message of a chat.
    pub system: Option<String>,
    /// Texts that end a reply.
    pub stop: Vec<String>,
    /// Shared libraries to load.
    pub plugins: Vec<PluginSource>,
    /// Settings of plugins by their names, built-in ones too.
    pub plugin_config: PluginConfig,
    /// Policies to run, in order.
    pub policies: Vec<PolicySource>,
    /// How members of different vocabularies decode together.
    pub align: Align,
    /// How many ways to read the text count, for members of different vocabularies.
    pub heads: Heads,
    /// Of members of different vocabularies, readings that are decoded side by side: they make a text that is given fast to read,
    /// and bits of a row depend on which there are. Without any each text has a KV buffer of its own.
    pub beside: usize,
    /// Where to keep what can be worked out again.
    pub cache: Option<PathBuf>,
    /// How the files of hooks are watched.
    pub watching: Watching,
    /// Where to write what the hooks see.
    pub trace: Option<PathBuf>,
    /// A Jinja template in place of the members' own.
    pub chat_template: Option<String>,
    /// No chat template: the prompt as it stands.
    pub raw: bool,
    /// When the context is full, drop the oldest turn and go on.
    pub context_shift: bool,
    /// What keys and values are kept as.
    pub cache_type: CacheType,
    /// What is read ahead.
    pub draft: Drafting,
    /// A model that proposes what is likely to come and has no say; its tokens are those of a member.
    pub draft_model: Option<ModelSource>,
    /// How many texts can be written at once. Each has a KV cache of its own in every member; the weights are there once.
    pub texts: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            fusion_mode: "confidence".into(),
            ctx_size: 2048,
            parameters: plugin_api::Parameters {
                temperature: 0.7,
                top_p: 0.95,
                min_p: 0.05,
                repeat_penalty: 1.1,
                top_k: 40,
            },
            n_predict: 256,
            confidence_threshold: 0.5,
            aggressive: false,
            max_retractions: 3,
            horizon: 32,
            threads: None,
            seed: 0,
            system: None,
            stop: Vec::new(),
            plugins: Vec::new(),
            plugin_config: PluginConfig::default(),
            policies: vec![PolicySource::Named("retraction".into())],
            align: Align::Exact,
            heads: Heads::default(),
            beside: 0,
            cache: None,
            watching: Watching::Native,
            trace: None,
            chat_template: None,
            raw: false,
            context_shift: false,
            cache_type: CacheType::F16,
            draft: Drafting::default(),
            draft_model: None,
            texts: 1,
        }
    }
}

impl ModelSource {
    /// A file on the CPU, with the same weight as the others.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            remote: None,
            gpu_layers: 0,
            weight: 1.0,
            name: None,
            system: None,
            before: None,
            template: None,
        }
    }

    /// A member whose server computes for it.
    pub fn of_server(remote: RemoteSource) -> Self {
        Self { remote: Some(remote.clone()), ..Self::new(format!("remote:{}", remote.url)) }
    }
}

impl RemoteSource {
    /// A llama-server at this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            server: RemoteServer::Llama,
            vocabulary: None,
            rows: RemoteRows::Auto,
            timeout: None,
            key_file: None,
            insecure: false,
        }
    }
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The ensemble.
    Assistant,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Speaker,
    /// What.
    pub content: String,
}

/// What the ensemble continues.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// One text. Members with a chat template see it as the first message of a chat, the others as it stands.
    Text(String),
    /// One text as it stands, whatever templates the members have. Control tokens in it are control tokens.
    Raw(String),
    /// A conversation that ends with a message of the user.
    Chat(Vec<Message>),
    /// A text that is tokenised already, after the models' beginning-of-text token; for scoring.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// What the person wrote last; empty where that is not a text.
    pub fn words(&self) -> &str {
        match self {
            Self::Text(text) | Self::Raw(text) => text,
            Self::Chat(messages) => {
                let said = messages.iter().rev().find(|message| message.role == Speaker::User);
                said.map_or("", |message| &message.content)
            }
            Self::Tokens(_) => "",
        }
    }
}
