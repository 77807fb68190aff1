//! Replies into the memory log.

use crate::{
    Error,
    decode::Request,
    engine::Engine,
    memory::{Memory, MemoryError, ModelHashes, ModelRecord, Record, Session},
    reply::Reply,
    settings::{ModelSource, Settings},
};
use std::{path::Path, time::Duration};

/// How long a finished reply waits for the hashes of large files; a later line has them.
const PATIENCE: Duration = Duration::from_millis(200);

/// The log of a session.
pub struct Log {
    memory: Memory,
    hashes: ModelHashes,
}

impl Log {
    /// Opens the file, or says now why it cannot be written.
    pub fn open(path: &Path) -> Result<Memory, Error> {
        Memory::open(path).map_err(|error| Error::Input(error.to_string()))
    }

    /// For replies of these members. Hashing their files begins in the background.
    pub fn new(memory: Memory, settings: &Settings) -> Self {
        let models = settings.models.iter().map(|model| model.path.clone()).collect();
        Self { memory, hashes: ModelHashes::start(models) }
    }

    /// Adds the line of a reply.
    pub fn append(&mut self, request: &Request, reply: &Reply, engine: &Engine) -> Result<(), MemoryError> {
        let settings = engine.settings();
        let hashes = self.hashes.values(PATIENCE);
        let models = engine.members().iter().zip(hashes).map(|(member, sha256)| ModelRecord {
            name: member.name.clone(),
            path: member.path.clone(),
            sha256: sha256.clone(),
        });
        let parameters = &request.parameters;
        let session = Session {
            fusion_mode: settings.fusion_mode.clone(),
            models: models.collect(),
            seed: request.seed,
            settings: serde_json::json!({
                "temperature": short(parameters.temperature),
                "top_k": parameters.top_k,
                "top_p": short(parameters.top_p),
                "min_p": short(parameters.min_p),
                "repeat_penalty": short(parameters.repeat_penalty),
                "n_predict": request.limits.n_predict,
                "ctx_size": engine.context(),
                "confidence_threshold": short(settings.confidence_threshold),
                "aggressive": settings.aggressive,
                "max_retractions": request.limits.max_retractions,
                "weights": settings.models.iter().map(|model| short(model.weight)).collect::<Vec<_>>(),
                "policies": engine.policies(),
                "system": settings.system,
                "members": settings.models.iter().map(own).collect::<Vec<_>>(),
                "stop": request.stop,
                "away": engine.take_missed(),
            }),
        };
        self.memory.append(&Record::new(request.prompt.words(), reply, &session))
    }

    /// What was repaired, once.
    pub fn take_notice(&mut self) -> Option<String> {
        self.memory.take_notice()
    }
}

/// What only this member reads; `null` where it reads what all do.
fn own(model: &ModelSource) -> serde_json::Value {
    match (&model.system, &model.before) {
        (None, None) => serde_json::Value::Null,
        (system, before) => serde_json::json!({ "system": system, "before": before }),
    }
}

/// As it was typed: 0.7 and not 0.699999988.
fn short(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
