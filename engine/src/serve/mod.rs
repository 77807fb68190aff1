//! The ensemble as the backend of a server: requests become sessions, what becomes of them is told.
//!
//! One thread owns all that decodes (`writer`); the server's threads send it jobs and changes, and never wait for a model.

mod about;
mod choices;
mod job;
mod writer;

use crate::decode::Request;
use crate::engine::Engine;
use crate::error::Error;
use crate::hooks::Origin;
use crate::hooks::chain::HookInfo;
use crate::registry;
use crate::reply::Reply;
use plugin_api::Role;
use serve::backend::{About, Change, Constraint, Hook, Job, Knob, Refusal, RefusalKind, Told};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use writer::{Order, Writer};

/// What whoever runs the server should hear of.
pub enum Heard<'a> {
    /// A reply is over, and is to be logged.
    Reply(&'a Request, &'a Reply, &'a Engine),
    /// A sentence: a hook failed, a file was taken over or refused, a member is away.
    Notice(&'a str),
}

/// Hears it.
pub type Log = Box<dyn FnMut(Heard) + Send>;

/// An ensemble that writes for a server.
pub struct Host {
    engine: Arc<Engine>,
    about: About,
    orders: Sender<Order>,
}

/// The thread that decodes; it ends when the [`Host`] is gone and the last job is over.
pub struct Decoding(JoinHandle<()>);

impl Decoding {
    /// Waits until all that was begun is over.
    pub fn wait(self) {
        // A panic was reported by its own thread.
        let _ = self.0.join();
    }
}

impl Host {
    /// Starts the thread that decodes. `name` is what the ensemble is called, if not by its members.
    pub fn start(engine: Arc<Engine>, name: Option<String>, log: Log) -> std::io::Result<(Self, Decoding)> {
        let about = about::about(&engine, name);
        let (orders, received) = channel();
        let writer = Writer::new(engine.clone(), log);
        let thread = std::thread::Builder::new().name("decode".into()).spawn(move || writer.run(&received))?;
        Ok((Self { engine, about, orders }, Decoding(thread)))
    }

    /// Does something between two steps, on the thread that decodes.
    fn between_steps<R: Send + 'static>(&self, act: impl FnOnce(&Engine) -> R + Send + 'static) -> Result<R, Refusal> {
        let (sender, receiver) = channel();
        let act = move |engine: &Engine| drop(sender.send(act(engine)));
        let _ = self.orders.send(Order::Do(Box::new(act)));
        receiver.recv().map_err(|_| failure("the thread that decodes has ended; start the program again"))
    }

    fn script_file(&self, name: &str) -> Result<PathBuf, Refusal> {
        let hooks = self.between_steps(Engine::hooks)?;
        let script = hooks.iter().rev().find_map(|hook| match &hook.origin {
            Origin::Script(path) if hook.name == name => Some(path.clone()),
            _ => None,
        });
        script.ok_or_else(|| Refusal {
            kind: RefusalKind::Unknown,
            message: format!("there is no script `{name}`; scripts are loaded with --policy"),
            param: Some("name"),
        })
    }
}

impl serve::Backend for Host {
    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&self, job: Job) {
        // Where nobody takes it the job is dropped, and its line tells that it is over.
        let begin =
            |orders: &Sender<Order>, job, constraint| drop(orders.send(Order::Write(Box::new((job, constraint)))));
        let Some(constraint) = job.ask.constraint.clone() else { return begin(&self.orders, job, None) };
        // A large grammar takes a while to compile, for which nobody else waits.
        let (engine, orders) = (self.engine.clone(), self.orders.clone());
        let compile = move || match engine.constraint(&own(constraint)) {
            Ok(state) => begin(&orders, job, Some(state)),
            Err(why) => {
                let message = format!("what the reply has to look like cannot be used: {why}");
                let refusal = Refusal { kind: RefusalKind::Invalid, message, param: Some("response_format") };
                drop(job.line.tell(Told::Refused(refusal)));
            }
        };
        drop(std::thread::Builder::new().name("grammar".into()).spawn(compile));
    }

    fn tokenize(&self, text: &str, special: bool) -> Result<Vec<u32>, Refusal> {
        self.engine.units_of_text(text, special).map_err(|error| invalid(&error, Some("prompt")))
    }

    fn detokenize(&self, units: &[u32]) -> Result<Vec<u8>, Refusal> {
        let text = |&unit: &u32| self.engine.text_of_unit(unit).ok_or(unit);
        let bytes: Result<Vec<_>, u32> = units.iter().map(text).collect();
        bytes.map(|bytes| bytes.concat()).map_err(|unit| Refusal {
            kind: RefusalKind::Invalid,
            message: format!("there is no token {unit}; the last one is {}", self.about.units - 1),
            param: Some("tokens"),
        })
    }

    fn hooks(&self) -> Vec<Hook> {
        self.between_steps(Engine::hooks).unwrap_or_default().into_iter().map(hook).collect()
    }

    fn change(&self, change: Change) -> Result<Vec<String>, Refusal> {
        self.between_steps(move |engine| apply(engine, &change))?.map_err(|error| invalid(&error, None))
    }

    fn script(&self, name: &str) -> Result<String, Refusal> {
        let path = self.script_file(name)?;
        std::fs::read_to_string(&path)
            .map_err(|error| failure(&format!("`{}` cannot be read: {error}", path.display())))
    }

    fn check(&self, text: &str) -> Vec<String> {
        match registry::check_script("script", text, self.engine.settings()) {
            Ok(warnings) => warnings,
            Err(fault) => vec![fault],
        }
    }

    fn save(&self, name: &str, text: &str) -> Result<Vec<String>, Refusal> {
        let path = self.script_file(name)?;
        let label = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        registry::check_script(&label, text, self.engine.settings()).map_err(|problem| Refusal {
            kind: RefusalKind::Invalid,
            message: problem,
            param: Some("text"),
        })?;
        crate::files::replace(&path, text.as_bytes())
            .map_err(|error| failure(&format!("`{}` cannot be written: {error}", path.display())))?;
        self.between_steps(Engine::take_over_files)
    }
}

/// Changes what runs in all texts; lines for the person.
fn apply(engine: &Engine, change: &Change) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    engine.each_chain(&mut |chain| {
        match change {
            Change::Fusion(name) => registry::choose_fusion(chain, name),
            Change::Policy(name, running) => registry::run_policy(chain, name, *running),
            Change::Knob(name, knob, value) => {
                chain.set_knob(name, knob, *value).map_err(|error| Error::Input(error.to_string()))
            }
        }?;
        lines.extend(chain.take_notices());
        Ok(())
    })?;
    lines.dedup();
    Ok(lines)
}

fn own(constraint: Constraint) -> constrain::Constraint {
    match constraint {
        Constraint::Schema(schema) => constrain::Constraint::Schema(schema),
        Constraint::Lark(grammar) => constrain::Constraint::Lark(grammar),
    }
}

fn hook(info: HookInfo) -> Hook {
    Hook {
        name: info.name,
        role: match info.role {
            Role::Fusion => "fusion",
            Role::Policy => "policy",
        },
        active: info.active,
        state: info.state,
        description: info.description,
        is_script: matches!(info.origin, Origin::Script(_)),
        knobs: info
            .knobs
            .into_iter()
            .map(|knob| Knob {
                name: knob.name,
                value: knob.value,
                default: knob.default,
                minimum: knob.minimum,
                maximum: knob.maximum,
            })
            .collect(),
    }
}

fn invalid(error: &Error, param: Option<&'static str>) -> Refusal {
    let kind = match error {
        Error::Input(_) => RefusalKind::Invalid,
        Error::Failure(_) => RefusalKind::Failure,
    };
    Refusal { kind, message: error.to_string(), param }
}

fn failure(message: &str) -> Refusal {
    Refusal { kind: RefusalKind::Failure, message: message.into(), param: None }
}
