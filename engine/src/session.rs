//! Several replies at once, each a value of its own.

use crate::decode::{Decoder, Parts, Progress, Request, Session as Writing};
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
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
    /// Of sessions that are over: the next one reads of its prompt what they have not.
    idle: Vec<Text>,
}

struct Open {
    writing: Writing,
    queue: Arc<Queue>,
}

impl Core {
    pub fn new(decoder: Decoder) -> Self {
        Self { decoder, open: Vec::new(), idle: Vec::new() }
    }

    /// The conversation that [`Engine::reply`] goes on with.
    pub fn decoder(&mut self) -> &mut Decoder {
        let Self { decoder, idle, .. } = self;
        decoder.give_text(|| idle.pop());
        decoder
    }

    /// A place for a text: one that is free, or the conversation's, which is read again when it goes on.
    fn text(&mut self) -> Option<Text> {
        let Self { decoder, idle, .. } = self;
        idle.pop().or_else(|| decoder.scheduler.ensemble.open()).or_else(|| decoder.take_text())
    }

    /// One step of all sessions whose readers keep up.
    fn step(&mut self) {
        let Self { decoder, open, idle } = self;
        let (mut writing, mut queues) = (Vec::new(), Vec::new());
        for Open { writing: session, queue } in open.iter_mut() {
            if queue.waiting().events.len() < MOST_WAITING {
                writing.push(session);
                queues.push(queue.clone());
            }
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
            let Open { writing, .. } = open.remove(index);
            let parts = match progress {
                Progress::Unreadable(error) => {
                    queue.end(Err(error));
                    writing.into_parts()
                }
                Progress::Goes | Progress::Over => {
                    let tell = &mut |event: &Event| queue.waiting().events.push_back(event.clone().into_owned());
                    let (outcome, parts) = writing.finish(tell);
                    queue.end(Ok(outcome.reply));
                    parts
                }
            };
            idle.push(parts.text);
        }
    }

    /// Ends a session of which nobody wants to hear any more.
    fn close(&mut self, queue: &Arc<Queue>) {
        if let Some(index) = self.open.iter().position(|open| Arc::ptr_eq(&open.queue, queue)) {
            let Open { writing, .. } = self.open.remove(index);
            self.idle.push(writing.into_parts().text);
        }
    }
}

impl Session {
    pub(crate) fn begin(engine: Arc<Engine>, request: Request) -> Result<Self, MemberError> {
        let (queue, interrupted): (Arc<Queue>, Arc<AtomicBool>) = Default::default();
        let prompt = request.prompt.clone();
        {
            let mut core = engine.core();
            let Some(text) = core.text() else { return Err(core.decoder.no_place()) };
            let Core { decoder, open, idle } = &mut *core;
            let parts = Parts { text, chain: decoder.chain.another() };
            match decoder.scheduler.begin(parts, request, interrupted.clone()) {
                Ok(writing) => open.push(Open { writing, queue: queue.clone() }),
                Err(refused) => {
                    let (parts, error) = *refused;
                    idle.push(parts.text);
                    return Err(error);
                }
            }
        }
        Ok(Self { engine, prompt, queue, interrupted })
    }

    /// What ends it when it is set to true: the reply is over after the current step then, with what was written.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    /// Writes to the end and returns the reply. An error means that the prompt could not be read.
    pub fn reply(mut self) -> Result<Reply, Error> {
        while self.next().is_some() {}
        let end = self.queue.waiting().end.take();
        let stopped = || Err(MemberError::Interrupted(String::new()));
        end.unwrap_or_else(stopped).map_err(|error| self.engine.refused(&self.prompt, error))
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
                Some(mut core) => core.step(),
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
