//! What was typed. What it means is worked out in [`super::meaning`].

mod evaluate;
mod forge;
mod named;

pub use evaluate::{CompareArgs, EvalArgs, PackArgs, SearchArgs, TeamArgs, TeamCommand, VerifyArgs};
pub use forge::{ForgeArgs, PublishArgs};
pub use named::Named;

use super::ranges;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Several GGUF language models decode one text together, and take back what goes wrong.
///
/// Without a prompt it opens a chat; with one, or with text on standard input, it writes one reply. Models may
/// have different vocabularies. At every token their distributions are fused into one (`--fusion-mode`), and policies watch
/// how sure the ensemble is: they change the sampling parameters, or take text back and try again.
#[derive(Debug, Parser)]
#[command(
    name = "llama_selfmod",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 110,
    after_help = "Run with --help for what each flag is good for, and for examples.",
    after_long_help = EXAMPLES
)]
pub struct CommandLine {
    /// What to do; without one: write a reply, or chat.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// The reply.
    #[command(flatten)]
    pub reply: ReplyArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama_selfmod --demo --prompt \"Once upon a time\"
      Two small models that are part of the program write a story.
  llama_selfmod -m model.gguf
      A chat with one model that corrects itself.
  llama_selfmod --models large.gguf,small.gguf --fusion-mode blend -p \"Explain tides.\"
      A leader and a specialist answer together.
  git diff | llama_selfmod -m coder.gguf --system \"Write a commit message for this diff.\" > message.txt
      The prompt comes from standard input; only text that will not be taken back goes into the pipe.
  llama_selfmod -m model.gguf --policy retraction --policy calm.rhai
      The built-in policy and a script beside it, which can be edited while text is being written.
  llama_selfmod -m model.gguf -p Hello --json-stream | jq .type
      Every event as one JSON object per line.
  llama_selfmod serve --demo
      A server for any OpenAI client, and a page at http://127.0.0.1:8080.
  llama_selfmod new policy calm
      A first policy to change; `new plugin NAME` begins a compiled one, and `check` says what is wrong with either.

Environment:
  LLAMA_SELFMOD_LOG=info   what llama.cpp and scripts say, on standard error
  HF_TOKEN, HF_HOME        for files on the Hugging Face hub, as its other clients know them
  NO_COLOR=1               no colours

Exit codes: 0 for a reply, 2 when something given cannot be used, 1 for anything else; 130 after Ctrl-C, 143 after SIGTERM,
129 after SIGHUP.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure how well an ensemble predicts a text: bits per byte of every member, of the fusion and of the oracle
    ///
    /// Lower is better. The oracle takes the better member at every token; headroom captured says how much of the way
    /// from the best member to the oracle the fusion goes. Use it to choose an ensemble and a fusion.
    Score(ScoreArgs),
    /// Measure how long a step takes: each member alone, all side by side, and with everything around it
    ///
    /// Then what drafts bring: with --draft on 20 replies of 200 tokens, without it on a few short ones. Then what hooks cost at a token, the stock ones and those of --policy and --plugin, and how soon changed code runs.
    Bench(BenchArgs),
    /// Ask an ensemble the items of a task, and say how many it got right, with an interval
    ///
    /// `--against` compares it with its best member, with other uses of the same compute, or with any other model, on the same items.
    Eval(EvalArgs),
    /// Compare results on the same items: what the difference is, between which bounds, and whether it is shown
    Compare(CompareArgs),
    /// Find, pack and check teams: models that belong together
    Team(TeamArgs),
    /// Make, shrink, check and publish models, stage by stage, as a recipe says
    ///
    /// Each stage has a folder that says what it was made of. What is done stays done: after an interruption the next call goes on
    /// there, and a stage runs again only when its recipe, its inputs or the stages before it have changed.
    Forge(ForgeArgs),
    /// Send a folder to a repository on the Hugging Face hub
    ///
    /// The token is that of `hf auth login`, or HF_TOKEN. What the hub has already is not sent again.
    Publish(PublishArgs),
    /// Answer the clients that people already use: OpenAI's and Anthropic's interfaces over HTTP, and a page in a browser
    ///
    /// A client is pointed at `http://127.0.0.1:8080/v1`; the page is at `http://127.0.0.1:8080`. Requests are answered side by side. A client
    /// gets text once it will not be taken back, or every token at once if it asks for retractions.
    #[cfg(feature = "serve")]
    Serve(Box<ServeArgs>),
    /// Say how much models' vocabularies share, and what their common units are like; reads no weights
    Vocab(VocabArgs),
    /// Try policies on a run that `--trace` recorded, without any model: which would have stepped in where
    ///
    /// Each policy is asked at every moment of the run what it would do there. The text stays as it was recorded, so its
    /// first verdict is what it would really have done, and the later ones tell where else it sees reason to act.
    Replay(ReplayArgs),
    /// Begin a plugin or a policy: files that work as they stand, and the commands that come next
    New(NewArgs),
    /// Say what is wrong with a compiled plugin or a script
    ///
    /// A plugin is called with everything at the edges of what the program may pass: rows of one unit and of 262,144,
    /// −∞, ties, buffers of a wrong length. It runs in a process of its own, so that it may crash. What a file is, its
    /// content tells. The exit code is 1 when something is wrong, and 2 when the file is neither.
    Check(CheckArgs),
    /// Load a model in this process, which may end over it.
    #[command(hide = true)]
    Try(TryArgs),
}

/// Which models decode, and how: shared by all that loads an ensemble.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ensemble")]
pub struct EnsembleArgs {
    /// A GGUF file, or `remote:http://HOST:PORT`; repeat it for several
    ///
    /// `remote:http://127.0.0.1:8081,vocab=model.gguf` is a llama-server that computes for a member here; `remote:vllm+http://…`
    /// and `remote:sglang+http://…` are others. Settings follow behind commas: `vocab`, a GGUF file of the model's family, of
    /// which only the vocabulary is read (without it that of another member); `rows`, how many tokens of each row are asked for,
    /// or `full`; `timeout` in seconds; `key-file`; `insecure=true` for an unencrypted way to another machine; and those of
    /// `--member`. A server that is away has no say until it is back.
    #[arg(short, long, value_name = "FILE")]
    pub model: Vec<PathBuf>,
    /// A repository on the Hugging Face hub, and which of its files; also `-hf`; repeat it for several
    ///
    /// `-hf OWNER/REPO:Q8_0` takes the file of that type, `-hf OWNER/REPO:FILE.gguf` the file, and without either it is Q4_K_M if it is
    /// there. Wherever a file is expected, `hf:OWNER/REPO/FILE@REVISION` can stand, too. Files go into the hub's cache, which its
    /// other clients share (HF_HOME, HF_HUB_CACHE); HF_TOKEN is for what is not public, HF_HUB_OFFLINE=1 for the cache alone. These
    /// members come after those of `--model`.
    #[arg(long, value_name = "OWNER/REPO[:FILE]")]
    pub hf_repo: Vec<String>,
    /// GGUF files, separated by commas
    ///
    /// They come after those of `--model`. The first leads in the fusion `blend`. All must have the same vocabulary,
    /// byte for byte.
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    pub models: Vec<PathBuf>,
    /// A GGUF file with settings of its own behind a colon; repeat it for several, also of one file
    ///
    /// `--member 'a.gguf:name=brief,system="Be brief, please."'`. There are `system`, a system message for this member
    /// alone; `prompt-file`, a file with a text that this member alone reads before the prompt; `template`, a file with a
    /// Jinja chat template; `weight`, `name` and `gpu-layers`. A value with a comma in it stands in double quotes, as in
    /// JSON. These members come after those of `--model` and `--models`.
    #[arg(long, value_name = "FILE")]
    pub member: Vec<String>,
    /// Use the two small story models that are part of the program, each with its own vocabulary
    ///
    /// They continue a text, as with --raw, and in a chat you write a story together. They see 512 tokens, and old text is
    /// dropped, as with --context-shift.
    #[arg(long, conflicts_with_all = ["model", "hf_repo", "models", "member"])]
    pub demo: bool,
    /// A pack: a folder with `team.toml`, written by `team pack` or `team search`
    ///
    /// It says members, weights, fusion, policies and context; what else is given here takes the place of what it says. Each file
    /// has to be the one that was packed.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "hf_repo", "models", "member", "demo"])]
    pub team: Option<PathBuf>,
    /// Load model files that are new here without trying them first
    ///
    /// A file that was never loaded before is first loaded, and a few tokens decoded, in a process of its own, because a
    /// damaged or malicious one can end the process. In a chat such a file is left out with a note as long as another
    /// model is there; anything else ends with exit code 2, as it would come out differently without it.
    #[arg(long)]
    pub trust: bool,
    /// How the members' distributions become one; see --list-hooks [default: confidence]
    ///
    /// `confidence` weighs each member by how well it has predicted the text so far and how certain it is; `average`
    /// weighs all as --weights says; `voting` lets each member vote for its favourite; `blend` lets the first lead and
    /// the others add a little; `contrast` prefers what the first knows beyond the others. Plugins and scripts can bring more.
    #[arg(long, value_name = "NAME")]
    pub fusion_mode: Option<String>,
    /// Weights of the members, separated by commas; 0 or more each [default: all alike]
    ///
    /// They say how much you trust each member before any evidence; only their ratios count. In `blend` the leader's
    /// share is fixed, and they divide the rest; in `contrast` they say how much each of the others counts among them.
    #[arg(
        long,
        value_name = "WEIGHTS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_parser = ranges::weight
    )]
    pub weights: Vec<f32>,
    /// Tokens of prompt and reply together, 16 to 4194304 [default: 2048]
    ///
    /// Capped by what the members were trained for. More needs more memory.
    #[arg(short, long, value_name = "TOKENS", allow_hyphen_values = true, value_parser = ranges::ctx_size)]
    pub ctx_size: Option<u32>,
    /// Layers on the GPU, -1 for all; one number for all members or one for each, separated by commas
    ///
    /// Has an effect in builds with a GPU feature (cuda, metal, vulkan, rocm).
    #[arg(
        long,
        value_name = "LAYERS",
        value_delimiter = ',',
        default_value = "0",
        allow_hyphen_values = true,
        value_parser = ranges::gpu_layers
    )]
    pub n_gpu_layers: Vec<i32>,
    /// What keys and values of the text are kept as: `f16`, `bf16` or `q8_0`
    ///
    /// The first two take two bytes a number, `q8_0` half of that; it needs models whose heads are a multiple of 32 wide. On
    /// the CPU, `f16` keeps the values as BF16. With each of the three a model in Q8_0, Q5_0 or Q4_0 computes
    /// the same for a token whatever else is in its batch.
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = ["f16", "bf16", "q8_0"])]
    pub cache_type: String,
    /// Who proposes tokens ahead, to be checked in one batch: `auto`, `off`, `ngram`, a member or a GGUF file [default: auto]
    ///
    /// Proposals change how fast a text comes, and not the text. `ngram` repeats what came after the same words before; a
    /// member, by its name or its file's, goes ahead of the others; a FILE that is no member proposes and has no say, and its
    /// tokens have to be those of a member. `auto` takes whatever pays, or nothing. How many tokens are proposed follows from
    /// how many were right lately, or is fixed: `--draft ngram:length=4`, 1 to 7. On the CPU, models in Q8_0,
    /// Q5_0 or Q4_0 write the same text with drafts and without; those in Q4_K, F16 or BF16 compute a token a little
    /// differently in a batch, so that in rare cases a text comes out differently. Recurrent models and `--align boundary`
    /// read nothing ahead.
    #[arg(long, value_name = "WHO[:length=N]")]
    pub draft: Option<String>,
    /// CPU threads in all, shared by the members [default: one per physical core]
    ///
    /// More threads than cores is not a little slower but many times slower: they wait for each other at every layer.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = ranges::threads)]
    pub threads: Option<usize>,
    /// How models of different vocabularies decode together
    ///
    /// `exact` asks every model for the probability of each next byte, exactly as its own tokens have it, and writes in pieces of
    /// about a token. `boundary` is cheaper, for long answers: the first model writes in its own tokens, and the others are
    /// consulted only where a word begins and it is unsure.
    #[arg(long, value_name = "HOW", default_value = "exact", value_parser = ["exact", "boundary"])]
    pub align: String,
    /// How many of the ways to read the text count, where models have different vocabularies
    ///
    /// A text can be cut into a model's tokens in many ways, and each is a reading that may have to be decoded. `usual` decodes
    /// those that have a thousandth of all probability, `few` those that have a tenth, which is cheaper and a little less exact;
    /// `all` is for checks on short texts.
    #[arg(long, value_name = "HOW", default_value = "usual", value_parser = ["few", "usual", "all"])]
    pub heads: String,
    /// Write what the hooks see at every token to this file, for `llama_selfmod replay`
    ///
    /// Rows are reduced to the best tokens and the statistics of the whole: about 1.2 kB a token with two members.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// A compiled plugin to load; repeat it for several
    ///
    /// A shared library with fusions or policies. Its policies run, its fusions can be chosen with --fusion-mode. Settings
    /// stand behind a colon: `--plugin my.so:alpha=0.1,mode=soft`; a wrong one shows which there are. Build it again while
    /// text is being written, and the new version takes over between two tokens.
    #[arg(long, value_name = "FILE")]
    pub plugin: Vec<String>,
    /// A JSON file with settings of plugins by their names, built-in ones too
    ///
    /// For example `{"blend": {"alpha": 0.2}}`. What stands behind the colon of --plugin wins.
    #[arg(long, value_name = "FILE")]
    pub plugin_config: Option<PathBuf>,
    /// A policy: a Rhai script, `retraction` (built in) or `none`; repeat it for several, in order [default: retraction]
    ///
    /// Giving any replaces the default; name `retraction` to keep it beside your own. Scripts are watched: save one
    /// while text is being written, and its new version takes over between two tokens. A script that is a fusion is
    /// loaded in this way, too, and chosen with --fusion-mode. Its knobs can be set behind a
    /// colon: `--policy calm.rhai:unsure=0.4`. `score`, `bench` and `eval` run none by default.
    #[arg(long, value_name = "POLICY")]
    pub policy: Vec<String>,
}

/// What is written, how, and how it is shown.
#[derive(Debug, Args)]
pub struct ReplyArgs {
    /// What to reply to; `-` reads standard input [default: a chat, or standard input when that is not a terminal]
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Prompt")]
    pub prompt: Option<String>,
    /// How.
    #[command(flatten)]
    pub writing: WritingArgs,
    /// Show the fusions and policies there are, and leave
    #[arg(long, help_heading = "Self-correction")]
    pub list_hooks: bool,
    /// Also write a page for a browser: each token with what the members and the policies made of it
    ///
    /// What was refused or taken back is struck out where it stood, with the reason. In a chat `/why` says the same of one place.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub explain: Option<PathBuf>,
    /// The text alone
    #[arg(long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Leader, agreement and confidence at every token, on standard error
    #[arg(long, help_heading = "Output")]
    pub verbose: bool,
    /// No colours; so does the environment variable NO_COLOR
    #[arg(long, help_heading = "Output")]
    pub no_color: bool,
    /// One JSON object per line and event on standard output, for programs
    ///
    /// Appending `text` of every `token` event and taking `bytes` away at every `retract` event gives the `text` of
    /// the `done` event exactly.
    #[arg(long, conflicts_with = "verbose", help_heading = "Output")]
    pub json_stream: bool,
}

/// How replies are written, for whomever.
#[derive(Debug, Clone, Args)]
pub struct WritingArgs {
    /// Instructions that stand before the conversation
    #[arg(long, value_name = "TEXT", help_heading = "Prompt")]
    pub system: Option<String>,
    /// A file with a Jinja chat template, in place of the members' own
    #[arg(long, value_name = "FILE", help_heading = "Prompt")]
    pub chat_template: Option<PathBuf>,
    /// No chat template: the text is continued as it stands
    #[arg(long, conflicts_with_all = ["chat_template", "system"], help_heading = "Prompt")]
    pub raw: bool,

    /// Longest reply in tokens, 1 to 1000000; tokens that were taken back do not count [default: 256; of `serve`: the context]
    #[arg(short, long, value_name = "TOKENS", allow_hyphen_values = true, value_parser = ranges::n_predict, help_heading = "Reply")]
    pub n_predict: Option<u32>,
    /// End the reply before this text; repeat it for several
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, help_heading = "Reply")]
    pub stop: Vec<String>,
    /// When the context is full, drop the oldest turn of the chat and go on
    ///
    /// Without it the reply ends there with the reason `context`. When only one turn is left, the older half of the
    /// reply goes out of the members' sight; what you see stays.
    #[arg(long, help_heading = "Reply")]
    pub context_shift: bool,

    /// Randomness, 0 to 5; 0 always takes the likeliest token
    #[arg(short, long, value_name = "T", default_value = "0.7", allow_hyphen_values = true, value_parser = ranges::temperature, help_heading = "Sampling")]
    pub temperature: f32,
    /// Choose among this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "K", default_value = "40", allow_hyphen_values = true, value_parser = ranges::top_k, help_heading = "Sampling")]
    pub top_k: u32,
    /// Choose among the likeliest tokens that make up this probability, above 0 and up to 1 (off)
    #[arg(long, value_name = "P", default_value = "0.95", allow_hyphen_values = true, value_parser = ranges::top_p, help_heading = "Sampling")]
    pub top_p: f32,
    /// Drop tokens below this share of the likeliest one's probability, 0 (off) to 1
    #[arg(long, value_name = "P", default_value = "0.05", allow_hyphen_values = true, value_parser = ranges::min_p, help_heading = "Sampling")]
    pub min_p: f32,
    /// Make tokens that stand in the recent text less likely, 1 (off) to 10
    #[arg(long, value_name = "R", default_value = "1.1", allow_hyphen_values = true, value_parser = ranges::repeat_penalty, help_heading = "Sampling")]
    pub repeat_penalty: f32,
    /// Of the random draws; the same seed gives the same text [default: random, shown by --verbose, --json-stream and in the log]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = ranges::seed, help_heading = "Sampling")]
    pub seed: Option<u64>,

    /// Mean confidence of the last five tokens below which the built-in policy steps in, 0 to 1
    #[arg(long, value_name = "P", default_value = "0.5", allow_hyphen_values = true, value_parser = ranges::confidence_threshold, help_heading = "Self-correction")]
    pub confidence_threshold: f32,
    /// Let the built-in policy step in earlier, go further, and explore now and then
    #[arg(long, help_heading = "Self-correction")]
    pub aggressive: bool,
    /// How often one reply may take text back, 0 to 1000
    #[arg(long, value_name = "N", default_value = "3", allow_hyphen_values = true, value_parser = ranges::max_retractions, help_heading = "Self-correction")]
    pub max_retractions: u32,
    /// How changes of policies and plugins are noticed: `native`, or `poll` for network file systems, which tell of nothing
    #[arg(long, value_name = "HOW", default_value = "native", value_parser = ["native", "poll"], help_heading = "Self-correction")]
    pub watch: String,

    /// The log, one JSON line per reply; `none` for none
    #[arg(long, value_name = "FILE", default_value = "selfmod_memory.jsonl", help_heading = "Output")]
    pub memory_file: PathBuf,
}

/// `llama_selfmod serve`
#[cfg(feature = "serve")]
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// How it writes where a request says nothing.
    #[command(flatten)]
    pub writing: WritingArgs,
    /// The address to listen at; anything but loopback lets other machines in
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Server")]
    pub host: String,
    /// The port to listen at; 0 for one that is free
    #[arg(long, value_name = "PORT", default_value = "8080", help_heading = "Server")]
    pub port: u16,
    /// Replies that are written at once, 1 to 64
    ///
    /// Each has a KV cache of its own in every model. Further requests wait for their turn.
    #[arg(long, value_name = "N", default_value = "4", allow_hyphen_values = true, value_parser = ranges::parallel, help_heading = "Server")]
    pub parallel: usize,
    /// Requests that may be here at once, those being answered included, 1 to 100000; a further one is told to come again
    #[arg(long, value_name = "N", default_value = "64", allow_hyphen_values = true, value_parser = ranges::queue, help_heading = "Server")]
    pub queue: usize,
    /// A file of API keys, one a line; without one everybody who reaches the port may ask
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub api_key_file: Option<PathBuf>,
    /// A web page's origin that may ask from a browser, such as `https://chat.example`; repeat it for several
    #[arg(long, value_name = "ORIGIN", help_heading = "Server")]
    pub cors_origin: Vec<String>,
    /// Seconds after which a reply is cut, waiting included, 1 to 86400
    #[arg(long, value_name = "SECONDS", default_value = "3600", allow_hyphen_values = true, value_parser = ranges::seconds, help_heading = "Server")]
    pub timeout: u64,
    /// Seconds that replies may take to end after SIGTERM or Ctrl-C, 0 to 86400
    #[arg(long, value_name = "SECONDS", default_value = "30", allow_hyphen_values = true, value_parser = ranges::grace, help_heading = "Server")]
    pub grace: u64,
    /// What clients call the ensemble [default: its members' names]
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub alias: Option<String>,
    /// No colours; so does the environment variable NO_COLOR
    #[arg(long, help_heading = "Output")]
    pub no_color: bool,
}

/// `llama_selfmod score`
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// A text the models have not seen; UTF-8
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// One JSON object: members, fused, oracle, headroom_captured, bytes, tokens
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod vocab`
#[derive(Debug, Args)]
pub struct VocabArgs {
    /// GGUF files
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// One JSON object: names, same, units, shared, bytes_per_unit, members, milliseconds, cached
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What `--trace` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A policy: a Rhai script or `retraction` (built in); repeat it for several, a column each
    #[arg(long, value_name = "POLICY")]
    pub policy: Vec<String>,
    /// A compiled plugin, also with settings behind a colon; its policies get a column each
    #[arg(long, value_name = "FILE")]
    pub plugin: Vec<String>,
    /// One JSON object: policies, units, moments
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The ensemble.
    #[command(flatten)]
    pub ensemble: EnsembleArgs,
    /// Tokens to measure, 1 to 1000000
    #[arg(short, long, value_name = "TOKENS", default_value = "128", allow_hyphen_values = true, value_parser = ranges::n_predict)]
    pub n_predict: u32,
    /// Let proposals be right with this probability, 0 to 1, whatever the models say; for models of random weights
    ///
    /// Such models never agree, so it takes this to see what drafts would bring. The text is nonsense.
    #[arg(long, value_name = "P", allow_hyphen_values = true, value_parser = ranges::accept)]
    pub synthetic_accept: Option<f32>,
    /// Also measure this many texts at once against one, 2 to 64
    ///
    /// Each has a KV cache of its own in every model.
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = ranges::texts)]
    pub texts: Option<usize>,
    /// Also measure how fast a prompt of so many tokens is read, or of as many as fit
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true, value_parser = ranges::prompt_tokens)]
    pub prompt_tokens: Option<usize>,
    /// One JSON object: members, sequential, parallel, step, overhead, speedup, schedule, steps, drafts, texts, prompt, units, memory, hooks, reloads
    #[arg(long)]
    pub json: bool,
}

/// `llama_selfmod new`
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What to begin.
    #[command(subcommand)]
    pub what: NewCommand,
}

/// What can be begun.
#[derive(Debug, Subcommand)]
pub enum NewCommand {
    /// A compiled plugin: a crate in a new folder, or one file in C
    Plugin(NewPluginArgs),
    /// A policy as a Rhai script, which can be edited while text is being written
    Policy(NewPolicyArgs),
}

/// `llama_selfmod new plugin`
#[derive(Debug, Args)]
pub struct NewPluginArgs {
    /// Small letters, digits, `-` and `_`: the name of the folder, and of the fusion or policy
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    pub name: String,
    /// One file in C and the header, in place of a crate
    #[arg(long, conflicts_with = "policy")]
    pub c: bool,
    /// A policy in place of a fusion
    #[arg(long)]
    pub policy: bool,
}

/// `llama_selfmod new policy`
#[derive(Debug, Args)]
pub struct NewPolicyArgs {
    /// Small letters, digits, `-` and `_`: the name of the file without its ending, and of the policy
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    pub name: String,
}

/// `llama_selfmod check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A shared library or a Rhai script
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What a process that the program starts for itself is to do.
    #[arg(long, hide = true, value_name = "WORDS")]
    pub work: Option<String>,
}

/// `llama_selfmod try`, which the program calls itself
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TryArgs {
    /// A GGUF file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Read the vocabulary alone
    #[arg(long)]
    pub vocabulary: bool,
    /// Tokens of prompt and reply together
    #[arg(long, default_value = "2048")]
    pub ctx_size: u32,
    /// Layers on the GPU
    #[arg(long, default_value = "0", allow_hyphen_values = true)]
    pub n_gpu_layers: i32,
    /// CPU threads
    #[arg(long)]
    pub threads: Option<usize>,
    /// It is one of several models
    #[arg(long)]
    pub beside: bool,
}
