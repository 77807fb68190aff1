//! What is meant: from the words of the command line to [`Settings`] and a [`Mode`]. Reads what the flags name (standard
//! input, the template) and checks how they fit together; the range of each number by itself is checked while parsing.

#[cfg(test)]
mod tests;

use super::{
    args::{
        BenchArgs, CheckArgs, Command, CommandLine, CompareArgs, EnsembleArgs, EvalArgs, ForgeArgs, NewArgs,
        NewCommand, PackArgs, PublishArgs, ReplayArgs, ReplyArgs, ScoreArgs, SearchArgs, TeamCommand, TryArgs,
        VerifyArgs, VocabArgs, WritingArgs,
    },
    drafting, folders, members, output,
    render::{Detail, Look},
    spec::Spec,
};
use crate::{
    Error,
    author::{new::Beginning, supervise::Work},
    bench::Scope,
    files,
    hooks::{Watching, native::PluginConfig},
    settings::{Align, CacheType, Heads, ModelSource, PluginSource, PolicySource, Settings},
    team::Pack,
};
use plugin_api::Parameters;
use std::{
    hash::{BuildHasher, Hasher},
    io::Read,
    path::{Path, PathBuf},
};

/// What to do with the ensemble.
#[derive(Debug)]
pub enum Mode {
    /// One reply to this prompt.
    Reply(String),
    /// A conversation.
    Chat,
    /// Say which fusions and policies there are.
    ListHooks,
    /// Begin a plugin or a policy of this name.
    New(Beginning, String),
    /// Check a plugin or a script.
    Check(PathBuf),
    /// Run the checks of a plugin in this process.
    CheckHere(Work),
    /// Load a model in this process, to see whether it survives.
    TryHere(TryArgs),
    /// Bits per byte of a text.
    Score {
        /// The text's file.
        file: PathBuf,
        /// For programs.
        json: bool,
    },
    /// Items of tasks.
    Eval(Box<EvalArgs>),
    /// Results against each other.
    Compare(CompareArgs),
    /// Which models belong together.
    TeamSearch(Box<SearchArgs>),
    /// A team as a folder.
    TeamPack(Box<PackArgs>),
    /// The files of a pack.
    TeamVerify(PathBuf),
    /// A recipe.
    Forge(ForgeArgs),
    /// A folder that goes to the hub.
    Publish(PublishArgs),
    /// Clients over HTTP.
    #[cfg(feature = "serve")]
    Serve(Box<super::args::ServeArgs>),
    /// What vocabularies share.
    Vocab {
        /// Models.
        files: Vec<PathBuf>,
        /// For programs.
        json: bool,
    },
    /// Policies on a recorded run.
    Replay {
        /// What was recorded.
        file: PathBuf,
        /// For programs.
        json: bool,
    },
    /// The time of a step.
    Bench {
        /// What is measured.
        scope: Scope,
        /// For programs.
        json: bool,
    },
}

/// The command line, understood.
#[derive(Debug)]
pub struct Task {
    /// What to do.
    pub mode: Mode,
    /// With which ensemble.
    pub settings: Settings,
    /// How it is shown.
    pub look: Look,
    /// Where replies are logged.
    pub memory: Option<PathBuf>,
    /// Models are loaded without a trial.
    pub trust: bool,
    /// A page that says how the text came about.
    pub explain: Option<PathBuf>,
}

/// Readings that `score` decodes side by side, of members with different vocabularies.
const READ_BESIDE: usize = 24;

impl Task {
    /// Works it out. `stdin` is read when the prompt comes from there.
    pub fn understand(line: CommandLine, stdin: &mut Stdin) -> Result<Self, Error> {
        match line.command {
            None => Self::reply(&line.ensemble, line.reply, stdin),
            Some(Command::Try(args)) => Ok(Self::without_ensemble(Mode::TryHere(args))),
            Some(Command::Score(ScoreArgs { ensemble, file, json })) => {
                Self::measurement(&ensemble, Mode::Score { file, json }, json)
            }
            Some(Command::Bench(args)) => Self::bench(args),
            Some(Command::Eval(args)) => Self::eval(args),
            Some(Command::Compare(args)) => {
                args.files.iter().try_for_each(|file| readable(file))?;
                Ok(Self::without_ensemble(Mode::Compare(args)))
            }
            Some(Command::Team(args)) => Self::team(args.what),
            Some(Command::Forge(args)) => Ok(Self::without_ensemble(Mode::Forge(args))),
            Some(Command::Publish(args)) => Ok(Self::without_ensemble(Mode::Publish(args))),
            #[cfg(feature = "serve")]
            Some(Command::Serve(args)) => Self::serve(*args),
            Some(Command::Vocab(VocabArgs { files, json })) => {
                files.iter().try_for_each(|file| readable(file))?;
                let settings = Settings { cache: folders::cache(), ..Settings::default() };
                Ok(Self { settings, ..Self::without_ensemble(Mode::Vocab { files, json }) })
            }
            Some(Command::Replay(args)) => Self::replay(args),
            Some(Command::New(NewArgs { what })) => {
                let (beginning, name) = match what {
                    NewCommand::Plugin(args) if args.c => (Beginning::C, args.name),
                    NewCommand::Plugin(args) if args.policy => (Beginning::Policy, args.name),
                    NewCommand::Plugin(args) => (Beginning::Fusion, args.name),
                    NewCommand::Policy(args) => (Beginning::Script, args.name),
                };
                Ok(Self::without_ensemble(Mode::New(beginning, name)))
            }
            Some(Command::Check(CheckArgs { file, work })) => {
                readable(&file)?;
                let Some(words) = work else { return Ok(Self::without_ensemble(Mode::Check(file))) };
                let work = Work::from_words(file, &words)
                    .ok_or_else(|| Error::Input("`--work` is for the program itself; leave it out".into()))?;
                Ok(Self::without_ensemble(Mode::CheckHere(work)))
            }
        }
    }

    /// Authors need no model.
    fn without_ensemble(mode: Mode) -> Self {
        let look = Look { detail: Detail::Normal, color: true };
        Self { mode, settings: Settings::default(), look, memory: None, trust: false, explain: None }
    }

    /// Measurements draw nothing at random, and no policy runs that was not asked for.
    fn measurement(ensemble: &EnsembleArgs, mode: Mode, json: bool) -> Result<Self, Error> {
        let policies = if ensemble.policy.is_empty() { Vec::new() } else { policies(&ensemble.policy)? };
        let settings = Settings { policies, ..self::ensemble(ensemble)? };
        let scores = match &mode {
            Mode::Score { .. } => Some("score"),
            Mode::TeamSearch(_) => Some("team search"),
            _ => None,
        };
        if let Some((own, command)) = members::own_prompt(&settings.models).zip(scores) {
            return Err(Error::Input(format!(
                "`{command}` has all members read the text as it stands; leave out the `{own}` of `--member`"
            )));
        }
        let beside = if matches!(mode, Mode::Score { .. }) { READ_BESIDE } else { 0 };
        let settings = Settings { beside, ..settings };
        let detail = if json { Detail::Json } else { Detail::Normal };
        Ok(Self {
            mode,
            settings,
            look: Look { detail, color: true },
            memory: None,
            trust: is_trusted(ensemble),
            explain: None,
        })
    }

    fn bench(args: BenchArgs) -> Result<Self, Error> {
        let BenchArgs { ensemble, n_predict, synthetic_accept, texts, prompt_tokens, json } = args;
        let scope = Scope {
            steps: n_predict as usize,
            drafts: ensemble.draft.is_some() || synthetic_accept.is_some(),
            texts: texts.unwrap_or(0),
            prompt: prompt_tokens.unwrap_or(0),
        };
        let mut task = Self::measurement(&ensemble, Mode::Bench { scope, json }, json)?;
        task.settings.draft.pretend = synthetic_accept;
        task.settings.texts = scope.texts.max(1);
        Ok(task)
    }

    /// No policy runs that was not asked for, and nothing is random unless it is asked for.
    fn eval(mut args: EvalArgs) -> Result<Self, Error> {
        let json = args.json;
        let (temperature, seed, texts, raw) = (args.temperature, args.seed, args.at_once, !args.chat);
        let repeat_penalty = args.repeat_penalty;
        args.tasks.dedup();
        let mut task = Self::measurement(&args.ensemble.clone(), Mode::Eval(Box::new(args)), json)?;
        let base = task.settings.parameters;
        let repeat_penalty = repeat_penalty.unwrap_or(base.repeat_penalty);
        let parameters = Parameters { temperature, repeat_penalty, ..base };
        task.settings = Settings { parameters, seed, texts, raw, ..task.settings };
        Ok(task)
    }

    fn team(what: TeamCommand) -> Result<Self, Error> {
        let task = Self::team_task(what)?;
        match task.settings.models.iter().find(|model| model.remote.is_some()) {
            None => Ok(task),
            Some(model) => Err(Error::Input(format!(
                "`team` is about model files, and `{}` is a server; leave it out",
                model.path.display()
            ))),
        }
    }

    fn team_task(what: TeamCommand) -> Result<Self, Error> {
        match what {
            TeamCommand::Search(mut args) => {
                args.ensemble.models.append(&mut args.files);
                readable(&args.text)?;
                let json = args.json;
                Self::measurement(&args.ensemble.clone(), Mode::TeamSearch(Box::new(args)), json)
            }
            TeamCommand::Pack(args) => {
                let policies = given_policies(&args.ensemble)?;
                let task = Self::measurement(&args.ensemble.clone(), Mode::TeamPack(Box::new(args)), false)?;
                Ok(Self { settings: Settings { policies, ..task.settings }, ..task })
            }
            TeamCommand::Verify(VerifyArgs { folder }) => Ok(Self::without_ensemble(Mode::TeamVerify(folder))),
        }
    }

    /// No member takes part.
    fn replay(ReplayArgs { file, policy, plugin, json }: ReplayArgs) -> Result<Self, Error> {
        readable(&file)?;
        let policies = policy.iter().map(|policy| policy_source(policy)).collect::<Result<_, _>>()?;
        let settings = Settings { policies, plugins: plugins(&plugin)?, ..Settings::default() };
        Ok(Self { settings, ..Self::without_ensemble(Mode::Replay { file, json }) })
    }

    fn reply(ensemble: &EnsembleArgs, args: ReplyArgs, stdin: &mut Stdin) -> Result<Self, Error> {
        let detail = match (args.json_stream, args.quiet, args.verbose) {
            (true, ..) => Detail::Json,
            (_, true, _) => Detail::Quiet,
            (.., true) => Detail::Verbose,
            _ => Detail::Normal,
        };
        let look = Look { detail, color: !args.no_color };
        if args.list_hooks {
            let mut ensemble = ensemble.clone();
            // Hooks hang on an ensemble; the smallest one serves where none is named.
            let named = !ensemble.model.is_empty() || !ensemble.models.is_empty() || !ensemble.member.is_empty();
            ensemble.demo |= !named && ensemble.team.is_none();
            let settings = Settings { policies: given_policies(&ensemble)?, ..self::ensemble(&ensemble)? };
            return Ok(Self { settings, look, ..Self::without_ensemble(Mode::ListHooks) });
        }
        let settings = writing(ensemble, &args.writing, Settings::default().n_predict)?;
        let mode = mode(args.prompt, detail == Detail::Json, stdin)?;
        let (memory, trust) = (memory(&args.writing), is_trusted(ensemble));
        Ok(Self { mode, settings, look, memory, trust, explain: args.explain })
    }

    /// A reply may be as long as the context, unless it is said how long.
    #[cfg(feature = "serve")]
    fn serve(args: super::args::ServeArgs) -> Result<Self, Error> {
        let all = ensemble(&args.ensemble)?;
        let settings = writing(&args.ensemble, &args.writing, all.ctx_size)?;
        let settings = Settings { texts: args.parallel, ..settings };
        let look = Look { detail: Detail::Normal, color: !args.no_color };
        let (memory, trust) = (memory(&args.writing), is_trusted(&args.ensemble));
        Ok(Self { mode: Mode::Serve(Box::new(args)), settings, look, memory, trust, explain: None })
    }
}

/// The ensemble with all that says how it writes.
fn writing(ensemble: &EnsembleArgs, args: &WritingArgs, n_predict: u32) -> Result<Settings, Error> {
    if args.stop.iter().any(String::is_empty) {
        return Err(Error::Input("an empty `--stop` would end every reply at once; give it some text".into()));
    }
    let settings = Settings {
        parameters: Parameters {
            temperature: args.temperature,
            top_p: args.top_p,
            min_p: args.min_p,
            repeat_penalty: args.repeat_penalty,
            top_k: args.top_k,
        },
        n_predict: args.n_predict.unwrap_or(n_predict),
        confidence_threshold: args.confidence_threshold,
        aggressive: args.aggressive,
        max_retractions: args.max_retractions,
        seed: args.seed.unwrap_or_else(random_seed),
        system: args.system.clone(),
        stop: args.stop.clone(),
        policies: given_policies(ensemble)?,
        watching: if args.watch == "poll" { Watching::Poll } else { Watching::Native },
        chat_template: args.chat_template.as_deref().map(text).transpose()?,
        // The demo's models tell stories, and a story should not end because 512 tokens are full.
        raw: args.raw || ensemble.demo && args.chat_template.is_none(),
        context_shift: args.context_shift || ensemble.demo,
        ..self::ensemble(ensemble)?
    };
    if let Some(own) = members::own_form(&settings.models).filter(|_| args.raw) {
        return Err(Error::Input(format!(
            "`--raw` uses no chat template and no system message; leave out the `{own}` of `--member`, or put the text \
             into a `prompt-file=`"
        )));
    }
    Ok(settings)
}

fn memory(args: &WritingArgs) -> Option<PathBuf> {
    (args.memory_file != Path::new("none")).then(|| args.memory_file.clone())
}

/// The demo's models are part of the program.
fn is_trusted(ensemble: &EnsembleArgs) -> bool {
    ensemble.trust || ensemble.demo
}

/// Where a prompt can come from beside the command line.
pub struct Stdin<'a> {
    /// A person types there, and reads what is answered.
    pub is_terminal: bool,
    /// The text.
    pub reader: &'a mut dyn Read,
}

fn mode(prompt: Option<String>, json: bool, stdin: &mut Stdin) -> Result<Mode, Error> {
    let (prompt, origin) = match prompt {
        Some(text) if text != "-" => (text, "`--prompt`"),
        None if stdin.is_terminal => {
            if json || !output::stdout().is_terminal() {
                return Err(Error::Input(
                    "a chat needs a terminal on both ends; for one reply give a `--prompt`".into(),
                ));
            }
            return Ok(Mode::Chat);
        }
        _ => (read(stdin.reader)?, "standard input"),
    };
    if prompt.trim().is_empty() {
        return Err(Error::Input(format!(
            "the prompt from {origin} is empty; give it some text, or run in a terminal without `--prompt` for a chat"
        )));
    }
    Ok(Mode::Reply(prompt))
}

/// Standard input without its last line end, which belongs to `echo` and not to the text.
fn read(reader: &mut dyn Read) -> Result<String, Error> {
    let mut bytes = Vec::new();
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Failure(format!("standard input cannot be read: {error}")))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        Error::Input(format!(
            "standard input is not valid UTF-8 at byte {byte} (counted from 0); convert it first, for example with \
             `iconv -t utf-8`"
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// What every mode needs to know about the members.
fn ensemble(args: &EnsembleArgs) -> Result<Settings, Error> {
    let models = members::members(args)?;
    let plugins = plugins(&args.plugin)?;
    let draft =
        args.draft.as_deref().map(|given| drafting::understand(given, &models)).transpose()?.unwrap_or_default();
    let draft_model = draft.file.map(|path| ModelSource {
        // One number is for all that is loaded.
        gpu_layers: if let [all] = args.n_gpu_layers[..] { all } else { 0 },
        ..ModelSource::new(path)
    });
    let stock = Settings::default();
    let of_team = match &args.team {
        Some(team) => Pack::read(team)?.settings(stock)?,
        None => stock,
    };
    Ok(Settings {
        models,
        fusion_mode: args.fusion_mode.clone().unwrap_or(of_team.fusion_mode),
        cache_type: match args.cache_type.as_str() {
            "q8_0" => CacheType::Q8_0,
            "bf16" => CacheType::Bf16,
            _ => CacheType::F16,
        },
        draft: draft.how,
        draft_model,
        ctx_size: args.ctx_size.unwrap_or(of_team.ctx_size),
        threads: args.threads,
        trace: args.trace.clone(),
        align: if args.align == "boundary" { Align::Boundary } else { Align::Exact },
        heads: match args.heads.as_str() {
            "few" => Heads::Few,
            "all" => Heads::All,
            _ => Heads::Usual,
        },
        cache: folders::cache(),
        plugins,
        plugin_config: args.plugin_config.as_deref().map(plugin_config).transpose()?.unwrap_or(of_team.plugin_config),
        ..Settings::default()
    })
}

/// A slip in a file name should cost nothing, least of all the time to load the other members.
pub fn readable(path: &Path) -> Result<(), Error> {
    Ok(files::open(path).map(drop)?)
}

/// Those of the command line, or of the team, or the stock ones.
fn given_policies(args: &EnsembleArgs) -> Result<Vec<PolicySource>, Error> {
    match &args.team {
        Some(team) if args.policy.is_empty() => Ok(Pack::read(team)?.settings(Settings::default())?.policies),
        _ => policies(&args.policy),
    }
}

fn policies(given: &[String]) -> Result<Vec<PolicySource>, Error> {
    if given.is_empty() {
        return Ok(Settings::default().policies);
    }
    if given.iter().any(|policy| policy == "none") {
        return match given.len() {
            1 => Ok(Vec::new()),
            _ => Err(Error::Input("`--policy none` stands alone; leave it out, or the others".into())),
        };
    }
    given.iter().map(|policy| policy_source(policy)).collect()
}

fn plugins(given: &[String]) -> Result<Vec<PluginSource>, Error> {
    let plugin = |given: &String| {
        let Spec { file: path, settings } = Spec::parse(given)?;
        readable(&path)?;
        Ok(PluginSource { path, settings })
    };
    given.iter().map(plugin).collect()
}

fn text(path: &Path) -> Result<String, Error> {
    Ok(files::read_text(path, files::LARGEST)?)
}

fn plugin_config(path: &Path) -> Result<PluginConfig, Error> {
    PluginConfig::parse(path, &text(path)?).map_err(Error::Input)
}

/// A name or a file: what has an extension or a folder, or is a file, is a file.
pub fn policy_source(given: &str) -> Result<PolicySource, Error> {
    let Spec { file: path, settings } = Spec::parse(given)?;
    if settings.is_empty() && path.extension().is_none() && path.components().count() == 1 && !path.is_file() {
        return Ok(PolicySource::Named(given.into()));
    }
    readable(&path)?;
    let knob = |(name, value): (String, serde_json::Value)| match value.as_f64().or(value.as_bool().map(f64::from)) {
        Some(number) => Ok((name, number)),
        None => Err(Error::Input(format!("`{given}`: the knob `{name}` takes a number, {value} is none"))),
    };
    let knobs = settings.into_iter().map(knob).collect::<Result<_, _>>()?;
    Ok(PolicySource::Script { path, knobs })
}

/// 32 bits are plenty of draws, short enough to type again, and exact in every JSON reader.
fn random_seed() -> u64 {
    // The standard library seeds its hash maps from the operating system.
    let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
    seed & u64::from(u32::MAX)
}
