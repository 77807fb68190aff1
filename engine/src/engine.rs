//! A stand-in with the real facade's signatures: it says a canned reply. The real one takes this file's place.

use crate::{
    events::{EndReason, Event, MemberProbability},
    hooks::Origin,
    reply::{Reply, RetractionRecord, Timings},
    settings::{PolicySource, Prompt, Settings},
    Error,
};
use plugin_api::{Parameters, Role};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// One loaded model.
pub struct MemberInfo {
    /// Name.
    pub name: String,
    /// File.
    pub path: PathBuf,
    /// How many.
    pub parameters: u64,
    /// Tokens it was trained for.
    pub context: u32,
    /// Size.
    pub bytes: u64,
}

/// A fusion or policy.
#[derive(Clone)]
pub struct HookInfo {
    /// Name.
    pub name: String,
    /// Fusion or policy.
    pub role: Role,
    /// Where from.
    pub origin: Origin,
    /// Version.
    pub version: String,
    /// A sentence.
    pub description: String,
    /// Runs.
    pub active: bool,
    /// `running`, `idle`, `parked: why`.
    pub state: String,
}

/// The stand-in.
pub struct Engine {
    settings: Settings,
    members: Vec<MemberInfo>,
    hooks: Vec<HookInfo>,
    notes: Vec<String>,
}

impl Engine {
    /// Checks that the files exist.
    pub fn load(settings: Settings, progress: &(dyn Fn(usize, f32) + Sync)) -> Result<Engine, Error> {
        let mut members = Vec::new();
        for (index, model) in settings.models.iter().enumerate() {
            let bytes = std::fs::metadata(&model.path)
                .map_err(|error| Error::Input(format!("cannot open `{}`: {error}", model.path.display())))?
                .len();
            for step in 0..=10 {
                progress(index, step as f32 / 10.0);
                std::thread::sleep(Duration::from_millis(5));
            }
            let name = model.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            members.push(MemberInfo { name, path: model.path.clone(), parameters: 260_032, context: 512, bytes });
        }
        let hook = |name: &str, role, active| HookInfo {
            name: name.into(),
            role,
            origin: Origin::BuiltIn,
            version: "0.1.0".into(),
            description: format!("The {name} hook."),
            active,
            state: if active { "running".into() } else { "idle".into() },
        };
        let mut hooks: Vec<HookInfo> = ["confidence", "average", "voting", "blend"]
            .map(|name| hook(name, Role::Fusion, name == settings.fusion_mode))
            .into();
        hooks.push(hook("retraction", Role::Policy, !settings.policies.is_empty()));
        if !hooks.iter().any(|hook| hook.active && hook.role == Role::Fusion) {
            return Err(Error::Input(format!("there is no fusion `{}`", settings.fusion_mode)));
        }
        Ok(Engine { settings, members, hooks, notes: vec!["context is 512 tokens".into()] })
    }
    /// As loaded and changed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// In order.
    pub fn members(&self) -> &[MemberInfo] {
        &self.members
    }
    /// Base sampling parameters.
    pub fn set_parameters(&mut self, parameters: Parameters) {
        self.settings.parameters = parameters;
    }
    /// By name.
    pub fn set_fusion(&mut self, name: &str) -> Result<(), Error> {
        if !self.hooks.iter().any(|hook| hook.role == Role::Fusion && hook.name == name) {
            return Err(Error::Input(format!("there is no fusion `{name}`")));
        }
        self.settings.fusion_mode = name.into();
        for hook in self.hooks.iter_mut().filter(|hook| hook.role == Role::Fusion) {
            hook.active = hook.name == name;
        }
        Ok(())
    }
    /// By name.
    pub fn set_policy(&mut self, name: &str, running: bool) -> Result<(), Error> {
        let hook = self.hooks.iter_mut().find(|hook| hook.role == Role::Policy && hook.name == name);
        hook.map(|hook| hook.active = running).ok_or_else(|| Error::Input(format!("there is no policy `{name}`")))
    }
    /// Its name.
    pub fn add_policy(&mut self, source: &PolicySource) -> Result<String, Error> {
        self.settings.policies.push(source.clone());
        Ok(format!("{source:?}"))
    }
    /// Of the random draws.
    pub fn set_seed(&mut self, seed: u64) {
        self.settings.seed = seed;
    }
    /// All of them.
    pub fn hooks(&self) -> Vec<HookInfo> {
        self.hooks.clone()
    }
    /// Lines for the user.
    pub fn reload(&mut self) -> Vec<String> {
        Vec::new()
    }
    /// For the user, after loading.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
    /// A canned reply.
    pub fn reply(
        &mut self,
        _prompt: &Prompt,
        interrupted: &AtomicBool,
        observer: &mut dyn FnMut(&Event),
    ) -> Result<Reply, Error> {
        let names: Vec<String> = self.members.iter().map(|member| member.name.clone()).collect();
        observer(&Event::Init {
            models: &names,
            fusion_mode: &self.settings.fusion_mode,
            policies: &["retraction".into()],
            seed: self.settings.seed,
        });
        let pieces: Vec<&str> =
            "There was a 小さな cat.\nIt said the the the the|Hello to everyone on the long, long road through \
                                 the woods, and nobody answered, and so it went home and slept. The end."
                .split_inclusive([' ', '|'])
                .collect();
        let (mut text, mut units, mut reason) = (String::new(), Vec::new(), EndReason::End);
        let mut retractions = Vec::new();
        for piece in pieces {
            if interrupted.load(Ordering::Relaxed) {
                reason = EndReason::Interrupted;
                break;
            }
            std::thread::sleep(Duration::from_millis(self.settings.threads.unwrap_or(1) as u64));
            let piece_text = piece.trim_end_matches('|');
            let committed = text.len().saturating_sub(60);
            text.push_str(piece_text);
            units.push(piece_text.len());
            let members: Vec<MemberProbability> =
                names.iter().map(|name| MemberProbability { name, probability: 0.4 }).collect();
            observer(&Event::Token {
                index: units.len() as u32 - 1,
                text: piece_text,
                confidence: 0.42,
                entropy: 2.1,
                agreement: 0.83,
                leader: names.first().map_or("", String::as_str),
                members: &members,
                committed: committed
                    - committed.min((0..4).find(|back| text.is_char_boundary(committed - back)).unwrap_or(0)),
            });
            if piece.ends_with('|') {
                observer(&Event::Adjust {
                    policy: "retraction",
                    temperature: 0.84,
                    repeat_penalty: 1.21,
                    reason: "mean confidence 0.31 is below 0.35",
                });
                let bytes: usize = units.drain(units.len() - 5..).sum();
                let rejected = text.split_off(text.len() - bytes);
                observer(&Event::Retract {
                    index: units.len() as u32,
                    tokens: 5,
                    bytes,
                    policy: "retraction",
                    reason: "mean confidence 0.31 is below 0.35",
                });
                retractions.push(RetractionRecord {
                    index: units.len() as u32,
                    tokens: 5,
                    policy: "retraction".into(),
                    reason: "low".into(),
                    rejected,
                    chosen: String::new(),
                });
            }
        }
        observer(&Event::Done {
            reason: &reason,
            text: &text,
            tokens: units.len() as u32,
            retractions: 1,
            avg_confidence: 0.42,
            tokens_per_second: 100.0,
            adjustments: 1,
            leader: names.first().map_or("", String::as_str),
            avg_agreement: 0.83,
        });
        Ok(Reply {
            text,
            reason,
            tokens: units.len() as u32,
            retractions,
            modifications: Vec::new(),
            avg_confidence: 0.42,
            final_parameters: self.settings.parameters,
            timings: Timings { prompt_ms: 1.0, reply_ms: 100.0, prompt_tokens: 12, prompt_tokens_decoded: 12 },
            dropped_messages: 0,
        })
    }
}
