//! What the server needs of who writes, and all that the two say to each other.

use serde_json::Value;
use std::any::Any;
use tokio::sync::mpsc;

/// Who writes. Its methods are called by any thread, return soon (none waits for a model to decode) and never panic.
pub trait Backend: Send + Sync + 'static {
    /// What it is. The same at each call.
    fn about(&self) -> &About;

    /// Begins a job. What becomes of it comes through [`Job::line`], [`Told::Refused`] included. At most as many jobs are under
    /// way as the server was told it may begin at once.
    fn begin(&self, job: Job);

    /// A text in units. `special`: control tokens that stand in it as text are control tokens.
    fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>, Refusal>;

    /// The bytes of units: no UTF-8 where they end in the middle of a character. A unit that does not exist is refused.
    fn detokenize(&self, units: &[u32]) -> Result<Vec<u8>, Refusal>;

    /// Fusions and policies, for the page.
    fn hooks(&self) -> Vec<Hook>;

    /// Changes what runs, for all texts from their next step on; lines for the person.
    fn change(&self, change: Change) -> Result<Vec<String>, Refusal>;

    /// The text of a script, by the name of its hook.
    fn script(&self, name: &str) -> Result<String, Refusal>;

    /// What is wrong with a script, in lines for the person; empty where nothing is.
    fn check(&self, text: &str) -> Vec<String>;

    /// Writes a script's file, if nothing is wrong with it, and takes it over; lines for the person.
    fn save(&self, name: &str, text: &str) -> Result<Vec<String>, Refusal>;
}

/// What a server says of who writes.
#[derive(Debug, Clone)]
pub struct About {
    /// What the ensemble is called: `tale+fable`, or the name of its team.
    pub name: String,
    /// Names of the members, in order.
    pub members: Vec<String>,
    /// Positions that prompt and reply have together.
    pub context: u32,
    /// How many units there are.
    pub units: u32,
    /// Units are bytes, since the members have different vocabularies: 0 to 255, and 256 for the end of the text.
    pub is_bytes: bool,
    /// Changes when the same seed may give another text: models, fusion, types of the KV cache.
    pub fingerprint: String,
    /// The unit that ends a text, and its text.
    pub end: (u32, String),
    /// The unit that begins one, and its text, where a text can begin with it alone. Where units are bytes it is the one that ends a
    /// text.
    pub beginning: Option<(u32, String)>,
    /// The first member's Jinja template.
    pub template: Option<String>,
    /// Sampling where a request says nothing.
    pub defaults: Sampling,
    /// Longest reply where a request says nothing.
    pub max_tokens: u32,
    /// How many of the newest units can be taken back at most.
    pub horizon: u32,
}

/// What to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// What is continued.
    pub prompt: Prompt,
    /// The reply begins with these pieces, each of one unit, or of the bytes of one piece where units are bytes. They are told
    /// like all others, with what the members gave them, and are never taken back.
    pub given: Vec<Vec<u32>>,
    /// How units are drawn.
    pub sampling: Sampling,
    /// Longest reply in units, those given included; [`About::max_tokens`] where nothing is said.
    pub max_tokens: Option<u32>,
    /// Of the random draws.
    pub seed: Option<u64>,
    /// Texts that end the reply and do not belong to it.
    pub stop: Vec<String>,
    /// Added to the logits of units; −100 and below forbids one. Refused where units are bytes.
    pub bias: Vec<(u32, f32)>,
    /// What the reply has to look like.
    pub constraint: Option<Constraint>,
    /// So many of the likeliest units are told at each place, [`MOST_ALTERNATIVES`] at most.
    pub alternatives: usize,
    /// Each member's likeliest units are told, too.
    pub members: bool,
    /// How many of the newest units may be taken back, if not [`About::horizon`].
    pub hold: Option<u32>,
    /// The end of the text is not written: for measurements.
    pub ignore_end: bool,
}

/// What to write, and for whom.
pub struct Job {
    /// What to write.
    pub ask: Ask,
    /// Where to tell what becomes of it.
    pub line: Line,
}

/// Most units that can be told at a place.
pub const MOST_ALTERNATIVES: usize = 20;

/// What a job continues.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// A text as it stands, after the units that begin a text; control tokens in it are control tokens.
    Text(String),
    /// Units, after those that begin a text. Empty for a text from its beginning.
    Units(Vec<u32>),
    /// A conversation that ends with a message of the user, in each member's own template.
    Chat(Vec<Message>),
}

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What.
    pub content: String,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The ensemble.
    Assistant,
}

/// How units are drawn; `None` for what the command line says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sampling {
    /// 0 for the best one.
    pub temperature: Option<f32>,
    /// Smallest set of that mass.
    pub top_p: Option<f32>,
    /// So many; 0 for all.
    pub top_k: Option<u32>,
    /// In relation to the likeliest.
    pub min_p: Option<f32>,
    /// Divides the logits of what was written lately.
    pub repeat_penalty: Option<f32>,
}

/// What a reply has to look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// JSON of this schema.
    Schema(Value),
    /// A grammar in llguidance's form of Lark.
    Lark(String),
}

/// Where a job is told of. The job is over when it is dropped, and with it what it holds.
pub struct Line {
    sender: mpsc::Sender<Told>,
    _held: Box<dyn Any + Send>,
}

/// Why nothing could be told.
#[derive(Debug)]
pub enum Untold {
    /// The client reads slowly: again, later.
    Full(Box<Told>),
    /// The client has gone: the job is to end.
    Gone,
}

impl Line {
    /// A line, and where to hear. `held` is dropped with it: the permission to run, say.
    pub fn new(room: usize, held: impl Any + Send) -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(room);
        (Self { sender, _held: Box::new(held) }, receiver)
    }

    /// Tells it, without waiting.
    pub fn tell(&self, told: Told) -> Result<(), Untold> {
        self.sender.try_send(told).map_err(|error| match error {
            mpsc::error::TrySendError::Full(told) => Untold::Full(Box::new(told)),
            mpsc::error::TrySendError::Closed(_) => Untold::Gone,
        })
    }

    /// Whether nobody hears any more.
    pub fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}

/// What becomes of a job. Appending `text` of every [`Told::Token`] and taking `bytes` away at every [`Told::Retract`] gives the
/// text of [`Told::Done`] exactly.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Nothing was written, and this is the last that is told.
    Refused(Refusal),
    /// The prompt is read.
    Started {
        /// Its tokens, of the first member.
        prompt_tokens: u32,
        /// Those of them that were known from a request before.
        cached_tokens: u32,
        /// The event as JSON.
        event: Value,
    },
    /// A unit was accepted.
    Token {
        /// The text that became whole with it: sometimes empty.
        text: String,
        /// How many bytes of the reply's text can no longer be taken back.
        committed: usize,
        /// What was written; `None` for the text that was held back in case of a stop string, at the end.
        piece: Option<Piece>,
        /// The event as JSON.
        event: Value,
    },
    /// Text was taken back.
    Retract {
        /// Units that remain.
        index: u32,
        /// Units that are gone.
        units: u32,
        /// Bytes of text that are gone, from the end.
        bytes: usize,
        /// The event as JSON.
        event: Value,
    },
    /// Anything else, for who wants to see all: the event as JSON.
    Event(Value),
    /// The reply is over, and this is the last that is told.
    Done {
        /// Why.
        finish: Finish,
        /// The whole text.
        text: String,
        /// Units that stand.
        tokens: u32,
        /// Units that were taken back.
        retracted: u32,
        /// The event as JSON.
        event: Value,
    },
}

/// A unit that was written, or the bytes of a piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Position in the reply.
    pub index: u32,
    /// Its units: one, unless units are bytes.
    pub units: Vec<u32>,
    /// Its bytes: no UTF-8 where a character is spread over several.
    pub bytes: Vec<u8>,
    /// In the fused row, before temperature and truncation. The same number as in `alternatives`, if it is among them.
    pub logprob: f32,
    /// The likeliest in the fused row, the best first, with their log-probability.
    pub alternatives: Vec<Alternative>,
    /// The likeliest of each member in order, where that was asked for.
    pub members: Vec<Vec<Alternative>>,
}

/// A unit that could have been written.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// Its units.
    pub units: Vec<u32>,
    /// Its bytes; none for the end of the text.
    pub bytes: Vec<u8>,
    /// Its log-probability.
    pub logprob: f32,
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The ensemble said so.
    End,
    /// A stop string appeared: this one, where that is known.
    Stop(Option<String>),
    /// It is as long as it may be, or the context is full.
    Length,
    /// A policy ended it, for this reason.
    Policy(String),
    /// It was cut: the server ends, or the time is over.
    Cut,
    /// A member failed; the text so far stands.
    Failed(String),
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// A sentence that says what to do.
    pub message: String,
    /// The parameter it concerns; `prompt` for what is continued, whatever the request calls it.
    pub param: Option<&'static str>,
}

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request's.
    Invalid,
    /// The prompt does not fit into the context.
    TooLong,
    /// There is no such thing.
    Unknown,
    /// The server's.
    Failure,
}

/// A fusion or a policy.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// `fusion` or `policy`.
    pub role: &'static str,
    /// Whether it runs.
    pub active: bool,
    /// `running`, `idle`, or `parked: ` with the reason.
    pub state: String,
    /// One sentence.
    pub description: String,
    /// It is a script, which can be read and written.
    pub is_script: bool,
    /// What can be set while it runs.
    pub knobs: Vec<Knob>,
}

/// A number of a hook.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Knob {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub value: f64,
    /// What it is by the hook's file.
    pub default: f64,
    /// Lowest value.
    pub minimum: f64,
    /// Highest value.
    pub maximum: f64,
}

/// A change of what runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Chooses a fusion.
    Fusion(String),
    /// Lets a policy run or stops it.
    Policy(String, bool),
    /// Sets a knob: hook, knob, value.
    Knob(String, String, f64),
}
