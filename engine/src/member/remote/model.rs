//! A server as a model: what texts need of it becomes requests, and their answers rows.

use super::address::{self, Address};
use super::fault::Fault;
use super::http::Client;
use super::link::Link;
use super::listing::{Sglang, Vllm};
use super::llama_server::LlamaServer;
use super::protocol::{Ask, Met, Protocol};
use super::sparse::Row;
use crate::error::Error;
use crate::member::model::{DecodeError, Model, Need, Output, Place, Places, Progress, Sequence, Tail, Work};
use crate::member::schedule::batch_cost;
use crate::member::vocabulary::TokenKind;
use crate::member::{Token, Vocabulary};
use crate::settings::{RemoteRows, RemoteServer, RemoteSource};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How soon a person who interrupts is heard.
const HEARING: Duration = Duration::from_millis(20);

/// Bytes of an answer that is asked for at most, a listed token having 80.
const LARGEST_ANSWER: usize = 24 << 20;
const LISTED: usize = 80;

/// Tails that are asked about at the same time.
const BRANCHES: usize = 8;

/// A model on a server.
pub struct Remote {
    link: Arc<Link>,
    vocabulary: Arc<Vocabulary>,
    /// Tokens of a row.
    tokens: usize,
    /// How many of them are listed.
    listed: usize,
    /// Added to log-probabilities, so that they are about as large as the model's logits: the repeat penalty is a factor.
    scale: f32,
    /// The server keeps a text for each of ours.
    has_slots: bool,
    /// How much of each text the server has read, as far as we know.
    read: Vec<usize>,
    free: BTreeSet<usize>,
    given_up: Places,
    rows: Vec<Vec<f32>>,
    work: Work,
    spent: f32,
}

/// A request for a need.
struct Asked {
    need: usize,
    ask: Ask,
    /// Of each row, where it belongs.
    places: Vec<Place>,
}

/// Meets a server, before anything large is loaded.
pub(crate) fn meet(source: &RemoteSource, member: &str) -> Result<(Client, Met), Error> {
    let address = Address::of(source)?;
    let client = Client::new(address.base.clone(), address::key(source, member)?);
    let met = protocol(source.server, 0).meet(&client, Duration::from_secs(10)).map_err(|fault| {
        let cure = match fault {
            Fault::Unreachable(_) | Fault::TimeOut(_) => "start it, or check the address",
            Fault::Status { status: 401 | 403, .. } => "give its key with `key-file=`",
            Fault::Status { status: 503, .. } => "wait until it has loaded its model",
            _ => "check what is served there",
        };
        Error::Failure(format!("the server of `{member}`, {}, cannot be used: {fault}; {cure}", address.base))
    })?;
    Ok((client, met))
}

fn protocol(server: RemoteServer, letter: Token) -> Box<dyn Protocol> {
    match server {
        RemoteServer::Llama => Box::new(LlamaServer { letter }),
        RemoteServer::Vllm => Box::<Vllm>::default(),
        RemoteServer::Sglang => Box::new(Sglang),
    }
}

/// A token that is a letter, or any plain text.
fn letter(vocabulary: &Vocabulary) -> Option<Token> {
    let is_plain = |token: &Token| {
        let bytes = vocabulary.bytes(*token);
        vocabulary.kind(*token) == TokenKind::Text && bytes.iter().all(u8::is_ascii_alphanumeric)
    };
    let tokens = || (0..vocabulary.len() as Token).filter(is_plain);
    tokens().find(|token| vocabulary.bytes(*token).len() == 1).or_else(|| tokens().next())
}

/// What is tokenised to compare a server's tokens with a file's, where it does not say what all of them are.
const TEXTS: [&str; 3] =
    ["Once upon a time, 12 + 3 = 15.", " She said: “naïve”\n\tfor (int i = 0; i < n; i++)", "你好, привет!"];

/// What a server answered as the member's vocabulary.
pub(crate) enum Tokens {
    /// It is this one, of so many tokens.
    Same(usize),
    /// It is another, and why.
    Other(String),
    /// It does not say.
    Unknown(usize),
}

impl Remote {
    /// The tokens of the server that was met, held against those of a file.
    pub(crate) fn compare(
        source: &RemoteSource,
        client: &Client,
        met: &Met,
        vocabulary: &Vocabulary,
        tokens: usize,
        tokenise: impl Fn(&str) -> Vec<i32>,
    ) -> Result<Tokens, Fault> {
        if let Some(theirs) = met.tokens.filter(|&theirs| theirs != tokens) {
            return Ok(Tokens::Other(format!("the server has {theirs} tokens and the file {tokens}")));
        }
        let Some(letter) = letter(vocabulary) else {
            return Ok(Tokens::Other("the file has no token for any letter".into()));
        };
        let protocol = protocol(source.server, letter);
        if source.server != RemoteServer::Llama {
            protocol.meet(client, Duration::from_secs(10))?;
        }
        if let Some(all) = protocol.all_tokens(client, letter, tokens)? {
            let is_text = |token: Token| matches!(vocabulary.kind(token), TokenKind::Text | TokenKind::Fallback);
            let mut count = 0;
            for (id, bytes) in &all {
                let Ok(token) = Token::try_from(*id) else { continue };
                if is_text(token) && vocabulary.bytes(token) != bytes {
                    let [here, there] =
                        [vocabulary.bytes(token), bytes].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                    return Ok(Tokens::Other(format!(
                        "token {token} is {here:?} in the file and {there:?} on the server"
                    )));
                }
                count += usize::from(is_text(token));
            }
            let expected = (0..vocabulary.len() as Token).filter(|&token| is_text(token)).count();
            return Ok(if count >= expected { Tokens::Same(tokens) } else { Tokens::Unknown(tokens) });
        }
        for text in TEXTS.iter().filter(|text| vocabulary.inexpressible(text).is_none()) {
            match protocol.tokens_of(client, text)? {
                None => return Ok(Tokens::Unknown(tokens)),
                Some(theirs) if theirs.iter().copied().eq(tokenise(text).into_iter().map(i64::from)) => {}
                Some(_) => {
                    return Ok(Tokens::Other(format!("{text:?} is other tokens on the server than by the file")));
                }
            }
        }
        Ok(Tokens::Same(tokens))
    }

    /// A model for `texts` texts on a server that was met, with tokens that were compared.
    pub(crate) fn new(
        name: String,
        source: &RemoteSource,
        client: Client,
        met: Met,
        vocabulary: Arc<Vocabulary>,
        tokens: usize,
        texts: usize,
    ) -> Result<Self, Fault> {
        let letter = letter(&vocabulary).unwrap_or_default();
        let protocol = protocol(source.server, letter);
        if source.server != RemoteServer::Llama {
            protocol.meet(&client, Duration::from_secs(10))?;
        }
        let listed = match source.rows {
            RemoteRows::Auto => protocol.usual(tokens),
            RemoteRows::Full => tokens,
            RemoteRows::Top(most) => most.clamp(1, tokens),
        };
        let has_slots = met.slots.is_some_and(|slots| slots >= texts);
        // Where it does not tell, log-probabilities will do.
        let scale = protocol.scale(&client, letter, tokens).ok().flatten().unwrap_or(0.0);
        let link = Link::new(name, source.url.clone(), client, protocol, met, letter, source.timeout)?;
        Ok(Self {
            link: Arc::new(link),
            vocabulary,
            tokens,
            listed,
            scale,
            has_slots,
            read: vec![0; texts],
            free: (0..texts).collect(),
            given_up: Places::default(),
            rows: Vec::new(),
            work: Work::default(),
            spent: 0.0,
        })
    }

    /// How many tokens of a row are asked for.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// Whether a row leaves something out.
    pub(crate) fn is_truncated(&self) -> bool {
        self.listed < self.tokens
    }

    fn take_back_places(&mut self) {
        for place in self.given_up.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.read[place] = 0;
            self.free.insert(place);
        }
    }

    /// How many rows one request asks for at most.
    fn most_rows(&self) -> usize {
        (LARGEST_ANSWER / (self.listed * LISTED)).clamp(1, self.link.protocol().most_rows())
    }

    /// Whether a server goes on along this token with a row: not behind the end of a text, nor in the middle of a character.
    fn can_force(&self, token: Token) -> bool {
        self.vocabulary.kind(token) != TokenKind::End && std::str::from_utf8(self.vocabulary.bytes(token)).is_ok()
    }

    /// A request for rows after `tokens[..first]`, `tokens[..first + 1]` and so on.
    fn along(&self, need: &Need, tokens: &[Token], first: usize) -> Ask {
        let mut end = first;
        while end < tokens.len() && end + 1 - first < self.most_rows() && self.can_force(tokens[end]) {
            end += 1;
        }
        Ask {
            slot: self.has_slots.then(|| need.sequence.id()),
            prompt: tokens[..first].to_vec(),
            forced: tokens[first..end].to_vec(),
            listed: self.listed,
        }
    }

    /// What to ask for a need: the rows of the text; then those of the tails, of which one that goes on from another comes with
    /// it.
    fn requests(&self, number: usize, need: &Need) -> Vec<Asked> {
        let len = need.tokens.len();
        let mut requests = Vec::new();
        if need.rows <= len || need.tails.is_empty() {
            // Where nobody wants a row, reading is asked for all the same: it is what is measured then.
            let ask = self.along(need, need.tokens, need.rows.clamp(1, len));
            let places = (0..ask.rows()).map(|row| Place::After(ask.prompt.len() + row)).collect();
            requests.push(Asked { need: number, ask, places });
        }
        let mut next = 0;
        while next < need.tails.len() && requests.len() < BRANCHES {
            let Tail { at, tokens } = &need.tails[next];
            let mut last = next;
            while need.tails.get(last + 1).is_some_and(|longer| {
                let before = &need.tails[last].tokens;
                longer.at == *at && longer.tokens.len() == before.len() + 1 && longer.tokens.starts_with(before)
            }) {
                last += 1;
            }
            let text = [&need.tokens[..*at], &need.tails[last].tokens].concat();
            let ask = self.along(need, &text, at + tokens.len());
            let places: Vec<Place> = (next..).take(ask.rows()).map(Place::Tail).collect();
            next += places.len();
            requests.push(Asked { need: number, ask, places });
        }
        requests
    }
}

/// What a thread brings back.
type Brought = (usize, Result<Vec<Row>, Fault>);

/// Asks a server on a thread of its own, so that whoever waits can be interrupted.
fn send(
    link: Arc<Link>,
    ask: Ask,
    (fresh, is_prompt): (usize, bool),
    tokens: usize,
    number: usize,
    to: Sender<Brought>,
) {
    let work = move || {
        let rows = link.ask(&ask, fresh, is_prompt).and_then(|answer| {
            let row = |listed: &Vec<_>| {
                if listed.len() < ask.listed {
                    return Err(Fault::NoDistribution(format!("{} of {} tokens", listed.len(), ask.listed)));
                }
                Row::of(listed, tokens)
            };
            answer.rows.iter().map(row).collect()
        });
        let _ = to.send((number, rows));
    };
    // Without a thread nobody answers, which is what who waits hears.
    let _ = std::thread::Builder::new().name("request".into()).spawn(work);
}

impl Model for Remote {
    fn open(&mut self) -> Option<Sequence> {
        self.take_back_places();
        self.free.pop_first().map(|place| Sequence::new(place, Arc::clone(&self.given_up)))
    }

    fn decode(&mut self, needs: &[Need]) -> (Vec<Progress>, Vec<Output>) {
        let start = Instant::now();
        self.take_back_places();
        self.rows.clear();
        let mut outcomes: Vec<Result<(), DecodeError>> = needs
            .iter()
            .map(|need| match need.interrupted.load(Ordering::Relaxed) {
                true => Err(DecodeError::Interrupted),
                false if need.tokens.len() > self.link.met().context => Err(DecodeError::Full),
                false if self.link.is_away() => Err(DecodeError::Away),
                false => Ok(()),
            })
            .collect();
        let mut progress: Vec<usize> = needs.iter().map(|need| need.agreed.min(need.tokens.len())).collect();
        let mut asked: Vec<Asked> = Vec::new();
        for (number, need) in needs.iter().enumerate().filter(|(number, _)| outcomes[*number].is_ok()) {
            asked.extend(self.requests(number, need));
        }
        let (sender, receiver) = channel();
        for (number, Asked { need, ask, .. }) in asked.iter().enumerate() {
            let known = self.read[needs[*need].sequence.id()].min(needs[*need].agreed);
            let fresh = ask.prompt.len().saturating_sub(known);
            let is_prompt = needs[*need].rows <= needs[*need].prompt;
            send(self.link.clone(), ask.clone(), (fresh, is_prompt), self.tokens, number, sender.clone());
            self.spent += batch_cost(ask.rows());
        }
        drop(sender);
        let mut answers: Vec<Option<Vec<Row>>> = asked.iter().map(|_| None).collect();
        let mut waiting: BTreeSet<usize> = (0..asked.len()).collect();
        while !waiting.is_empty() {
            let (number, answer) = match receiver.recv_timeout(HEARING) {
                Ok(brought) => brought,
                Err(RecvTimeoutError::Timeout) => {
                    for (need, outcome) in needs.iter().zip(&mut outcomes) {
                        if need.interrupted.load(Ordering::Relaxed) {
                            *outcome = Err(DecodeError::Interrupted);
                        }
                    }
                    waiting.retain(|&number| outcomes[asked[number].need].is_ok());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    for number in std::mem::take(&mut waiting) {
                        outcomes[asked[number].need] = Err(DecodeError::Away);
                    }
                    self.link.trip(Fault::Unreachable("this machine has no room for another thread".into()));
                    break;
                }
            };
            if !waiting.remove(&number) {
                continue;
            }
            match answer {
                Ok(rows) => answers[number] = Some(rows),
                Err(Fault::Full) => outcomes[asked[number].need] = Err(DecodeError::Full),
                Err(fault) => {
                    outcomes[asked[number].need] = Err(DecodeError::Away);
                    self.link.trip(fault);
                }
            }
        }
        let mut outputs = Vec::new();
        for (Asked { need, ask, places }, rows) in asked.iter().zip(answers) {
            let place = needs[*need].sequence.id();
            if outcomes[*need].is_err() {
                self.read[place] = 0;
                continue;
            }
            let is_text = matches!(places.first(), Some(Place::After(_)));
            if is_text {
                let len = ask.prompt.len() + ask.forced.len();
                progress[*need] = len;
                self.read[place] = len;
            } else {
                self.read[place] = self.read[place].min(ask.prompt.len());
            }
            for (&place, mut row) in places.iter().zip(rows.into_iter().flatten()) {
                if matches!(place, Place::After(at) if at < needs[*need].rows) {
                    continue;
                }
                self.link.count_row(self.is_truncated(), row.tail);
                outputs.push(Output { need: *need, place, index: self.rows.len() });
                row.logits.iter_mut().for_each(|logit| *logit += self.scale);
                self.rows.push(row.logits);
            }
        }
        self.work.batches += u64::from(!asked.is_empty());
        self.work.rows += outputs.len() as u64;
        self.work.time += start.elapsed();
        let progress = progress.into_iter().zip(outcomes).map(|(read, outcome)| Progress { read, outcome });
        (progress.collect(), outputs)
    }

    fn logits(&mut self, index: usize) -> Option<&[f32]> {
        self.rows.get(index).map(Vec::as_slice)
    }

    fn branches(&self) -> usize {
        BRANCHES
    }

    /// The server has its own.
    fn set_threads(&mut self, _: usize) {}

    fn cost(&self) -> u64 {
        self.link.met().bytes.max(1)
    }

    fn take_spent(&mut self) -> Option<f32> {
        Some(std::mem::take(&mut self.spent))
    }

    fn work(&self) -> Work {
        self.work
    }

    fn link(&self) -> Option<&Arc<Link>> {
        Some(&self.link)
    }
}
