//! What the file of a script holds, for all texts: each content is compiled and tried once.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rhai::Map;

use super::diagnose::Diagnosis;
use super::knobs::Knobs;
use super::program::Program;
use super::{hooks, probe, read_script};
use crate::hooks::Knob;
use crate::hooks::source::{Content, Problem};

/// The file of a script.
pub(super) struct ScriptFile {
    pub(super) label: String,
    pub(super) settings: Arc<Map>,
    /// The newest content that was looked at, good or bad.
    pub(super) seen: String,
}

/// One content of the file, which works as its author wrote it.
pub(super) struct Edition {
    plain: Program,
    settings: Arc<Map>,
    /// With knobs that a person set, which mostly stand in constants.
    others: Mutex<Vec<(Vec<Knob>, Program)>>,
}

impl Edition {
    /// Compiles a script and tries everything in it on samples.
    pub(super) fn new(label: &str, source: &str, settings: &Arc<Map>) -> Result<Self, Box<Diagnosis>> {
        let plain = tried(label, source, Knobs::default(), settings)?;
        Ok(Self { plain, settings: Arc::clone(settings), others: Mutex::default() })
    }

    /// The program for a text in which a person set these knobs.
    pub(super) fn program(&self, knobs: Knobs) -> Result<Program, Box<Diagnosis>> {
        let set = knobs.set();
        if set.is_empty() {
            return Ok(self.plain.another());
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, program)) = others.iter().find(|(others, _)| *others == set) {
            return Ok(program.another());
        }
        let program = tried(self.plain.file(), self.plain.source(), knobs, &self.settings)?;
        let copy = program.another();
        others.push((set, program));
        Ok(copy)
    }
}

fn tried(label: &str, source: &str, knobs: Knobs, settings: &Map) -> Result<Program, Box<Diagnosis>> {
    let program = Program::compile(label, source, knobs)?;
    let state = hooks::init(&program, settings)?;
    probe::run(&program, state)?;
    program.knobs().forget_outdated();
    Ok(program)
}

impl Content for ScriptFile {
    type Raw = String;
    type Version = Arc<Edition>;

    fn read(&self, path: &Path) -> Result<String, Problem> {
        read_script(path).map_err(|problem| Problem {
            may_pass: problem.may_pass(),
            sentence: format!("`{}`: {}", self.label, problem.reason()),
        })
    }

    fn is_seen(&self, source: &String) -> bool {
        self.seen == *source
    }

    /// A content that was asked for by `/reload` is a version of its own, whatever it is.
    fn open(&mut self, _: &Path, source: String, _: &Arc<Edition>) -> Result<Option<Arc<Edition>>, String> {
        let edition = Edition::new(&self.label, &source, &self.settings);
        self.seen = source;
        edition.map(|edition| Some(Arc::new(edition))).map_err(|diagnosis| diagnosis.to_string())
    }
}
