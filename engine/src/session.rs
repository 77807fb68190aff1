//! Several replies at once, each a value of its own.

use crate::decode::{Decoder, Parts, Progress, Request, Session as Writing};
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::hooks::chain::Recorder;
use crate::member::{MemberError, Text};
use crate::reply::Reply;
use crate::settings::Prompt;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Events that wait for their reader. Where there are as many a text waits, and the others go on.
const MOST_WAITING: usize = 256;

/// How long a reader waits for another thread's step at most before it looks whether it can make one itself.
const PATIENCE: Duration = Duration::from_millis(20);

/// A reply that is being written, beside others: an iterator over its events.
///
/// Whoever asks for the next event of any session makes a step of all sessions that have room for events, in one batch of
/// each model. So two sessions that are read in turn by one thread, or at once by two, cost little more than one. The text of
/// a session is what it is alone, as far as the rows of its models do not depend on the shape of a batch
/// ([`CacheType`](crate::settings::CacheType) says for which they do not). A session that is dropped ends.
///
/// ```
/// use llama_selfmod::settings::{ModelSource, Prompt, Settings};
/// use llama_selfmod::{Engine, Error};
/// use std::sync::Arc;
///
/// fn main() -> Result<(), Error> {
///     let models = ["models/tale.gguf", "models/fable.gguf"].map(ModelSource::new).to_vec();
///     let settings = Settings { models, texts: 2, n_predict: 20, ..Settings::default() };
///     let engine = Arc::new(Engine::load(settings, &|_member, _part| {})?);
///     let cat = engine.session(&Prompt::Text("The cat".into()))?;
///     let dog = engine.session(&Prompt::Text("The dog".into()))?;
///     // Each on its own thread, or one after the other: the other one gets on meanwhile.
///     let cat = std::thread::spawn(|| cat.reply());
///     println!("{}", dog.reply()?.text);
///     println!("{}", cat.join().unwrap()?.text);
///     Ok(())
/// }
/// ```
pub struct Session {
    engine: Arc<Engine>,
    prompt: Prompt,
    queue: Arc<Queue>,
    interrupted: Arc<AtomicBool>,
    /// Of the first member, and those of them that are decoded for it.
    prompt_tokens: (u32, u32),
}

/// What is told of a session and not read yet.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event<'static>>,
    /// What it came to.
    end: Option<Result<Reply, MemberError>>,
    is_over: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: Result<Reply, MemberError>) {
        let mut waiting = self.waiting();
        (waiting.end, waiting.is_over) = (Some(end), true);
        self.more.notify_all();
    }
}

/// All that decodes, and the sessions that are open.
pub(crate) struct Core {
    pub decoder: Decoder,
    open: Vec<Open>,
    /// Of sessions that are over, the oldest first: the next one reads of its prompt what they have not.
    idle: Vec<Idle>,
}

/// A text that nobody writes on, and what stands in it.
struct Idle {
    text: Text,
    said: String,
}

/// From so many bytes on that a prompt begins like a text it goes on with that one, though it will be lost there.
const WORTH_KEEPING: usize = 16;

/// What a prompt says, for telling what begins like it.
fn said(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) | Prompt::Raw(text) => text.clone(),
        Prompt::Chat(messages) => messages.iter().map(|message| format!("{}\n", message.content)).collect(),
        Prompt::Tokens(_) => String::new(),
    }
}

struct Open {
    writing: Writing,
    queue: Arc<Queue>,
    said: String,
}

impl Core {
    pub fn new(decoder: Decoder) -> Self {
        Self { decoder, open: Vec::new(), idle: Vec::new() }
    }

    /// The conversation that [`Engine::reply`] goes on with.
    pub fn decoder(&mut self) -> &mut Decoder {
        let Self { decoder, idle, .. } = self;
        decoder.give_text(|| idle.pop().map(|idle| idle.text));
        decoder
    }

    /// A place for a text: the free one that has most of it, an empty one, the one that was used longest ago, or the
    /// conversation's, which is read again when it goes on.
    fn text(&mut self, prompt: &str) -> Option<Text> {
        let Self { decoder, idle, .. } = self;
        let alike = |said: &str| prompt.bytes().zip(said.bytes()).take_while(|(one, other)| one == other).count();
        let known = (0..idle.len()).map(|index| (alike(&idle[index].said), index)).max();
        if let Some((_, index)) = known.filter(|&(alike, _)| alike >= WORTH_KEEPING) {
            return Some(idle.remove(index).text);
        }
        let empty = decoder.scheduler.ensemble.open();
        empty.or_else(|| (!idle.is_empty()).then(|| idle.remove(0).text)).or_else(|| decoder.take_text())
    }

    /// One step of all sessions whose readers keep up; false where there is none.
    pub fn step(&mut self) -> bool {
        let Self { decoder, open, idle } = self;
        let (mut writing, mut queues) = (Vec::new(), Vec::new());
        for Open { writing: session, queue, .. } in open.iter_mut() {
            if queue.waiting().events.len() < MOST_WAITING {
                writing.push(session);
                queues.push(queue.clone());
            }
        }
        if writing.is_empty() {
            return false;
        }
        let tell = |number: usize, event: &Event| {
            let queue: &Queue = &queues[number];
            queue.waiting().events.push_back(event.clone().into_owned());
            queue.more.notify_all();
        };
        let progress = decoder.scheduler.tick(&mut writing, &mut { tell });
        for (progress, queue) in progress.into_iter().zip(queues) {
            if progress == Progress::Goes {
                continue;
            }
            let Some(index) = open.iter().position(|open| Arc::ptr_eq(&open.queue, &queue)) else { continue };
            let Open { writing, mut said, .. } = open.remove(index);
            let parts = match progress {
                Progress::Unreadable(error) => {
                    queue.end(Err(error));
                    writing.into_parts()
                }
                Progress::Goes | Progress::Over => {
                    let tell = &mut |event: &Event| queue.waiting().events.push_back(event.clone().into_owned());
                    let (outcome, parts) = writing.finish(tell);
                    said += &outcome.reply.text;
                    queue.end(Ok(outcome.reply));
                    parts
                }
            };
            idle.push(Idle { text: parts.text, said });
        }
        true
    }

    /// The hooks of all texts: those of the next ones first.
    #[cfg(feature = "serve")]
    pub fn chains(&mut self) -> impl Iterator<Item = &mut crate::hooks::chain::Chain> {
        let open = self.open.iter_mut().map(|open| open.writing.chain());
        std::iter::once(&mut self.decoder.chain).chain(open)
    }

    /// Ends a session of which nobody wants to hear any more.
    fn close(&mut self, queue: &Arc<Queue>) {
        if let Some(index) = self.open.iter().position(|open| Arc::ptr_eq(&open.queue, queue)) {
            let Open { writing, said, .. } = self.open.remove(index);
            self.idle.push(Idle { text: writing.into_parts().text, said });
        }
    }
}

impl Session {
    /// `recorder` sees what its hooks are asked.
    pub(crate) fn begin(
        engine: Arc<Engine>,
        request: Request,
        recorder: Option<Recorder>,
    ) -> Result<Self, MemberError> {
        let (queue, interrupted): (Arc<Queue>, Arc<AtomicBool>) = Default::default();
        let prompt = request.prompt.clone();
        let prompt_tokens;
        {
            let mut core = engine.core();
            let said = said(&prompt);
            let Some(text) = core.text(&said) else { return Err(core.decoder.no_place()) };
            let Core { decoder, open, idle } = &mut *core;
            let mut parts = Parts { text, chain: decoder.chain.another() };
            if let Some(recorder) = recorder {
                parts.chain.record(recorder);
            }
            match decoder.scheduler.begin(parts, request, interrupted.clone()) {
                Ok(writing) => {
                    prompt_tokens = writing.prompt_tokens();
                    open.push(Open { writing, queue: queue.clone(), said });
                }
                Err(refused) => {
                    let (parts, error) = *refused;
                    // What it has read now is not known.
                    idle.insert(0, Idle { text: parts.text, said: String::new() });
                    return Err(error);
                }
            }
        }
        Ok(Self { engine, prompt, queue, interrupted, prompt_tokens })
    }

    /// What ends it when it is set to true: the reply is over after the current step then, with what was written.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    /// Tokens of the prompt, of the first member, and those of them that were not known.
    pub fn prompt_tokens(&self) -> (u32, u32) {
        self.prompt_tokens
    }

    /// Writes to the end and returns the reply. An error means that the prompt could not be read.
    pub fn reply(mut self) -> Result<Reply, Error> {
        while self.next().is_some() {}
        let end = self.queue.waiting().end.take();
        let stopped = || Err(MemberError::Interrupted(String::new()));
        end.unwrap_or_else(stopped).map_err(|error| self.engine.refused(&self.prompt, error))
    }
}

#[cfg(feature = "serve")]
impl Session {
    /// An event that is there already.
    pub(crate) fn take_event(&self) -> Option<Event<'static>> {
        self.queue.waiting().events.pop_front()
    }

    /// What it came to, once it is over and all its events were taken.
    pub(crate) fn take_end(&self) -> Option<Result<Reply, MemberError>> {
        self.queue.waiting().end.take()
    }

    /// The bytes of units.
    pub(crate) fn bytes_of(&self, units: &[u32]) -> Vec<u8> {
        units.iter().flat_map(|&unit| self.engine.speech().vocabulary.bytes(unit).to_vec()).collect()
    }
}

impl Iterator for Session {
    type Item = Event<'static>;

    fn next(&mut self) -> Option<Event<'static>> {
        loop {
            {
                let mut waiting = self.queue.waiting();
                if let Some(event) = waiting.events.pop_front() {
                    return Some(event);
                }
                if waiting.is_over {
                    return None;
                }
            }
            match self.engine.free_core() {
                Some(mut core) => {
                    core.step();
                }
                None => {
                    let waiting = self.queue.waiting();
                    let is_idle = |waiting: &mut Waiting| waiting.events.is_empty() && !waiting.is_over;
                    // Woken by an event, or in time to take over from who made the steps so far.
                    drop(self.queue.more.wait_timeout_while(waiting, PATIENCE, is_idle));
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.interrupted.store(true, Ordering::Relaxed);
        self.engine.core().close(&self.queue);
    }
}
