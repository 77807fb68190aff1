//! What a session is made of: the meaning of the command line, and what a program that uses the library fills in.

use crate::hooks::Watching;
use crate::hooks::native::PluginConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where a member's file comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSource {
    /// The GGUF file.
    pub path: PathBuf,
    /// Layers on the GPU; −1 for all.
    pub gpu_layers: i32,
    /// Its prior weight in the fused row, before scaling.
    pub weight: f32,
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
    /// In common units also where all have the same tokens: for comparing the two ways.
    Always,
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
    /// In how many ways a member of another vocabulary may have read the text; `None` for 1 at temperature 0 and 4 above.
    pub heads: Option<usize>,
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
    /// While it is true, members do not decode: a prompt is read no further, and a reply ends in the middle of a step.
    pub interrupted: Arc<AtomicBool>,
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
            heads: None,
            cache: None,
            watching: Watching::Native,
            trace: None,
            chat_template: None,
            raw: false,
            context_shift: false,
            interrupted: Arc::default(),
        }
    }
}

impl ModelSource {
    /// A file on the CPU, with the same weight as the others.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), gpu_layers: 0, weight: 1.0 }
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
    /// A conversation that ends with a message of the user.
    Chat(Vec<Message>),
    /// A text that is tokenised already, after the models' beginning-of-text token; for scoring.
    Tokens(Vec<u32>),
}
