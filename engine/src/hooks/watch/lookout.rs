//! The thread that watches all files of the process.
//!
//! It looks at every file from time to time, and is told by the system ([`Told`]) of what happens on the way to it, so that
//! it need not wait for the next look. Being told makes it quick, looking makes it sure: a folder far above may be replaced,
//! and the system may be unable to tell, or stop telling.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::route::Route;
use super::told::Told;
use super::{Watched, Watching};
use crate::files;

/// Between two looks at a file of which the system tells.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks at another one.
const POLL: Duration = Duration::from_millis(150);
/// Between two looks at another one that is changing.
const BURST: Duration = Duration::from_millis(40);
/// How long after a change the contents are compared, too: some file systems count time in steps of two seconds, so that
/// the next change may leave all times as they are.
const YOUNG: Duration = Duration::from_secs(3);
/// The largest content that is compared, in bytes.
const LARGEST: u64 = 64 << 20;
/// What turns more often at once waits for the next look.
const MOST_TURNS: usize = 4;
/// There is nothing to look at.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// The thread, which ends when the last handle is gone.
struct Lookout {
    messages: Sender<Message>,
}

/// Keeps the thread alive, and tells it when a watch is gone.
pub(super) struct Handle(Arc<Lookout>);

/// What the thread is told.
pub(super) enum Message {
    /// A file to watch.
    Watch(Weak<Watched>),
    /// A watch is gone.
    Forget,
    /// The system told of a change, which the watches concerned have noted.
    Told,
    /// All watches are gone.
    End,
}

impl Handle {
    /// Watches `file` on the thread that is there, or on a new one.
    pub(super) fn watch(file: &Arc<Watched>) -> io::Result<Self> {
        static CURRENT: Mutex<Weak<Lookout>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let lookout = match current.upgrade() {
            Some(lookout) => lookout,
            None => {
                let lookout = Arc::new(Lookout::start()?);
                *current = Arc::downgrade(&lookout);
                lookout
            }
        };
        lookout.send(Message::Watch(Arc::downgrade(file)));
        Ok(Self(lookout))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.send(Message::Forget);
    }
}

impl Lookout {
    fn start() -> io::Result<Self> {
        let (messages, inbox) = channel();
        let guard = Guard { entries: Vec::new(), told: Told::new(messages.clone()) };
        std::thread::Builder::new().name("watch".into()).spawn(move || guard.run(&inbox))?;
        Ok(Self { messages })
    }

    fn send(&self, message: Message) {
        // Without the thread nothing is seen any more; `/reload` still works.
        let _ = self.messages.send(message);
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.send(Message::End);
    }
}

/// What the thread knows.
struct Guard {
    entries: Vec<Entry>,
    told: Told,
}

/// A file, as it was at the last look.
struct Entry {
    file: Weak<Watched>,
    places: Vec<(PathBuf, OsString)>,
    /// When it is to be looked at again.
    due: Instant,
    changed: Instant,
    /// A hash of it, while it is [`YOUNG`].
    content: Option<u64>,
}

impl Guard {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let due = self.entries.iter().map(|entry| entry.due).min();
            let wait = due.map_or(FOREVER, |due| due.saturating_duration_since(Instant::now()));
            let mut is_turned = false;
            match inbox.recv_timeout(wait) {
                Ok(message) => {
                    for message in [message].into_iter().chain(inbox.try_iter()) {
                        match message {
                            Message::Watch(file) => self.entries.push(Entry::new(file)),
                            Message::Forget => is_turned = true,
                            Message::Told => self.hurry(),
                            Message::End => return,
                        }
                    }
                    self.entries.retain(|entry| entry.file.strong_count() > 0);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look(is_turned);
        }
    }

    /// What is changing is looked at now.
    fn hurry(&mut self) {
        let is_changing = |entry: &&mut Entry| entry.file.upgrade().is_some_and(|file| file.is_changing());
        self.entries.iter_mut().filter(is_changing).for_each(|entry| entry.due = Instant::now());
    }

    /// Looks at what is due. Where the way turned, the system is asked to tell of the new one; what happened there before it
    /// was asked, only another look sees.
    fn look(&mut self, mut is_turned: bool) {
        for _ in 0..MOST_TURNS {
            let now = Instant::now();
            for entry in self.entries.iter_mut().filter(|entry| entry.due <= now) {
                is_turned |= entry.look();
            }
            if !is_turned && !self.told.is_in_doubt() {
                return;
            }
            is_turned = false;
            self.listen();
            self.entries.iter_mut().for_each(|entry| entry.due = now);
        }
    }

    fn listen(&mut self) {
        let native = self.entries.iter().filter_map(|entry| Some((entry.file.upgrade()?, &entry.places[..])));
        let native: Vec<_> = native.filter(|(file, _)| file.watching == Watching::Native).collect();
        self.told.listen(&native);
        for (file, places) in native {
            let is_told = places.iter().all(|(folder, _)| self.told.knows(folder));
            file.is_told.store(is_told, Ordering::Release);
        }
    }
}

impl Entry {
    fn new(file: Weak<Watched>) -> Self {
        let now = Instant::now();
        Self { file, places: Vec::new(), due: now, changed: now, content: None }
    }

    /// Notes a change since the last look. True when the way leads over other places than then.
    fn look(&mut self) -> bool {
        let Some(file) = self.file.upgrade() else { return false };
        let begin = file.now();
        let is_told = file.is_told.load(Ordering::Acquire);
        let Route { places, stamp } = Route::of(&file.path);
        let mut is_changed = file.stamp.swap(stamp, Ordering::AcqRel) != stamp;
        if is_changed {
            self.changed = Instant::now();
            self.content = None;
        }
        if !is_told && self.changed.elapsed() < YOUNG {
            let content = content(&file.path);
            is_changed |= self.content.replace(content).is_some_and(|before| before != content);
        }
        if is_changed {
            file.note();
        } else {
            file.calm.store(begin, Ordering::Release);
        }
        let pause = match (is_told, file.is_changing()) {
            (true, _) => LOOK,
            (false, false) => POLL,
            (false, true) => BURST,
        };
        self.due = Instant::now() + pause;
        let is_turned = self.places != places;
        self.places = places;
        is_turned
    }
}

/// A hash of what is in a file; 0 where there is none.
pub(super) fn content(path: &Path) -> u64 {
    let Ok(bytes) = files::read(path, LARGEST) else { return 0 };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
