//! What was typed behind `eval`, `compare` and `team`.

use super::EnsembleArgs;
use crate::cli::ranges;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `llama_selfmod eval`
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// `gsm8k`, `arc`, `humaneval`, `maths`, `stories`, `perplexity`, or a TOML file of your own; several one after the other
    ///
    /// `signals TASK` tells which signals foretell the errors in the replies, `retraction TASK` whether what the policies
    /// change makes replies better: from each place on both lines are continued and judged.
    #[arg(value_name = "TASK", required = true, num_args = 1..)]
    pub tasks: Vec<String>,
    /// A file in the field's own form, in place of the five examples that come with the program
    ///
    /// GSM8K's `test.jsonl`, ARC's `ARC-Challenge-Test.jsonl` in AI2's form or the hub's, `HumanEval.jsonl.gz`, a text for
    /// `perplexity`. Nothing is downloaded; the README says where they come from.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// So many items, chosen from all of the file by the seed [default: all]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = ranges::limit)]
    pub limit: Option<usize>,
    /// What it is compared with, item by item: `best`, `samples`, or a GGUF file or a team of your own
    ///
    /// `best` asks every member alone and takes the best one. `samples` lets that one answer as often as there are members, which
    /// costs what the ensemble costs, and takes the answer that it held likeliest itself. A file is any single model, one of the
    /// same size as the ensemble for example.
    #[arg(long, value_name = "WHAT")]
    pub against: Option<String>,
    /// Stop as soon as a difference to --against is shown, by a test that is valid however often one looks
    #[arg(long, requires = "against")]
    pub quick: bool,
    /// Randomness of the answers, 0 to 5; 0 always takes the likeliest token
    #[arg(short, long, value_name = "T", default_value = "0", allow_hyphen_values = true, value_parser = ranges::temperature)]
    pub temperature: f32,
    /// Of the choice of items and of the draws
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true, value_parser = ranges::seed)]
    pub seed: u64,
    /// Items that are answered at once, 1 to 64; each has a KV cache of its own in every model
    #[arg(long, value_name = "N", default_value = "8", allow_hyphen_values = true, value_parser = ranges::at_once)]
    pub at_once: usize,
    /// Put the prompts into the models' chat templates, in place of having them continue a text
    #[arg(long)]
    pub chat: bool,
    /// Where results are kept, item by item: a file for one task, a folder for several
    ///
    /// A run that was ended goes on from there. `compare` reads such files.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Also write a page with pictures, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// A model that takes no part and judges open-ended text: how likely it finds it, and whether it belongs to its prompt
    ///
    /// It rewards blandness, so compare with a lower temperature at which text is as varied.
    #[arg(long, value_name = "FILE")]
    pub judge: Option<PathBuf>,
    /// A list of words, or any text, that says what is a word in open-ended text; repeat it for several
    #[arg(long, value_name = "FILE")]
    pub words: Vec<PathBuf>,
    /// How much tokens that stand already are held back, 1 (not at all) to 2 [default: as for a reply]
    #[arg(long, value_name = "FACTOR", allow_hyphen_values = true, value_parser = ranges::repeat_penalty)]
    pub repeat_penalty: Option<f32>,
    /// Run programs that models wrote without a sandbox
    ///
    /// They can do whatever you can. `humaneval` refuses to run where there is no sandbox; this lets it.
    #[arg(long)]
    pub unsafe_exec: bool,
    /// One JSON object for each task: its summary and the comparison
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Results of `eval`, or lm-eval's `samples_*.jsonl`; the first is what the others are compared with
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    pub files: Vec<PathBuf>,
    /// Also write a page with pictures, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// One JSON object: task, contrasts, notes
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod team`
#[derive(Debug, Args)]
pub struct TeamArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: TeamCommand,
}

/// What can be done with teams.
#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// Find out which of your models belong together
    ///
    /// Each model reads the text once, alone; what any team of them would need follows by arithmetic. The best one is then run
    /// for real on other text, and its gain is told with an interval. Passes are kept, so that a second search is quick.
    Search(SearchArgs),
    /// Write models, weights, fusion and policies as a folder that says all of it
    Pack(PackArgs),
    /// Say whether the files of a pack are those that were packed
    Verify(VerifyArgs),
}

/// `llama_selfmod team search`
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// The candidates, and how they decode.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// Candidates, GGUF files
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A text of the kind that the team is wanted for, which no candidate was trained on; UTF-8
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Another such text, on which the best team is run [default: the second half of --text]
    #[arg(long, value_name = "FILE")]
    pub confirm: Option<PathBuf>,
    /// Members of a team at most, 2 to 16
    #[arg(long, value_name = "N", default_value = "3", allow_hyphen_values = true, value_parser = ranges::most)]
    pub most: usize,
    /// Memory of a team at most, files and KV caches: `8G`, `700M` [default: no bound]
    #[arg(long, value_name = "SIZE", value_parser = ranges::memory)]
    pub memory: Option<u64>,
    /// Write the best team as a pack into this folder
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Also write a page with pictures, for a browser
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// One JSON object: candidates, teams, contributions, mixture, confirmed
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod team pack`
#[derive(Debug, Args)]
pub struct PackArgs {
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// The folder, new or empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Leave the models where they are, and name their places
    #[arg(long)]
    pub refer: bool,
}

/// `llama_selfmod team verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A pack
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}
