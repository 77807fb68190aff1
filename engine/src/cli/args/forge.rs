//! What was typed behind `forge` and `publish`.

use crate::cli::ranges;
use clap::Args;
use std::path::PathBuf;

const RECIPE: &str = "\
A recipe:
  recipe = 1
  [input]
  model = \"model-F16.gguf\"               # or hf:OWNER/REPO/FILE@REVISION
  text = \"text.txt\"
  [[stage]]
  kind = \"quantize\"
  model = \"model\"
  types = [\"Q8_0\", \"Q4_K_M\"]
  [[stage]]
  kind = \"perplexity\"                   # each against the source, paired, with an interval
  models = \"quantize\"
  against = \"model\"
  text = \"text\"

Kinds of stages: fetch, convert, quantize, imatrix, perplexity, eval, profile, prune, search, pack, card, publish, run.
docs/forge.md has the parameters of each.";

/// `llama_selfmod forge`
#[derive(Debug, Args)]
#[command(after_long_help = RECIPE)]
pub struct ForgeArgs {
    /// The recipe, TOML or JSON
    #[arg(value_name = "RECIPE")]
    pub recipe: PathBuf,
    /// Where the stages' folders are [default: `forge` beside the recipe]
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Say what would run, and how large what comes out would be; nothing is made
    #[arg(long, conflicts_with = "verify")]
    pub dry_run: bool,
    /// Hash everything anew, and name what is not as its stage left it, and the stages that depend on it
    #[arg(long)]
    pub verify: bool,
    /// Run this stage again, and all that depend on it
    #[arg(long, value_name = "STAGE", conflicts_with = "verify")]
    pub from: Option<String>,
    /// Sign each statement with this Ed25519 key, as `openssl genpkey -algorithm ed25519` writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["verify", "dry_run"])]
    pub sign: Option<PathBuf>,
    /// With --verify: the public key that signatures have to be of
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub signed_by: Option<PathBuf>,
    /// Also write a page with pictures, for a browser
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    pub html: Option<PathBuf>,
    /// Layers on the GPU, -1 for all
    #[arg(long, value_name = "LAYERS", default_value = "0", allow_hyphen_values = true, value_parser = ranges::gpu_layers)]
    pub n_gpu_layers: i32,
    /// CPU threads [default: one per physical core]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = ranges::threads)]
    pub threads: Option<usize>,
    /// Load model files that are new here without trying them first
    #[arg(long)]
    pub trust: bool,
}

/// `llama_selfmod publish`
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// What is sent: all files in it that are not hidden
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The repository, which is made if it is not there
    #[arg(long, value_name = "OWNER/NAME")]
    pub repo: String,
    /// Make it one that only you see
    #[arg(long)]
    pub private: bool,
    /// The branch
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub branch: String,
    /// What the commit says
    #[arg(long, value_name = "TEXT", default_value = "Publish with llama_selfmod")]
    pub message: String,
    /// Say what would be sent; no request is made
    #[arg(long)]
    pub dry_run: bool,
}
