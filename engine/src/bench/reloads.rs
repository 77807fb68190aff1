//! What it takes until changed code runs.

use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::hooks::chain::Chain;
use crate::hooks::script::ScriptHook;
use crate::hooks::{Hook, Reload, Watching};
use crate::registry::load_plugin;
use crate::settings::{PluginSource, Prompt, Settings};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Medians in milliseconds; `None` for what could not be measured here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reloads {
    /// Reading, compiling and trying the stock policy as a script, and changing over to it.
    pub script: Option<f64>,
    /// Copying, opening and trying the first library of the settings, and changing over to it.
    pub plugin: Option<f64>,
    /// From a save of a script, while the ensemble writes, to the end of the first step with its new version.
    pub edit: Option<f64>,
}

/// How often each is measured.
const TIMES: usize = 5;

/// When a system that tells of no changes is given up.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    pub(super) fn bench_reloads(&mut self, prompt: &Prompt) -> Result<Reloads, Error> {
        let failed =
            |error: std::io::Error| Error::Failure(format!("no file can be written to measure reloads: {error}"));
        let folder = tempfile::tempdir().map_err(failed)?;
        let plugin = self.settings().plugins.first().cloned();
        Ok(Reloads {
            script: script(&folder.path().join("retraction.rhai")).map_err(failed)?,
            plugin: plugin.and_then(|plugin| library(plugin, self.settings(), folder.path())),
            edit: self.bench_edits(prompt, &folder.path().join("edited.rhai"))?,
        })
    }

    fn bench_edits(&mut self, prompt: &Prompt, path: &Path) -> Result<Option<f64>, Error> {
        let save = |number: usize| {
            let script = format!("fn on_token(step, token) {{ if token.unit < 0 {{ stop(\"version {number}\") }} }}\n");
            std::fs::write(path, script)
        };
        let Some(hook) = save(0).ok().and_then(|()| ScriptHook::load(path, "{}", Watching::Native).ok()) else {
            return Ok(None);
        };
        let mut chain = Chain::default();
        chain.add(Box::new(hook), true);
        let own = std::mem::replace(&mut self.decoder().chain, chain);
        let begin = Instant::now();
        let (mut times, mut saved, mut is_new) = (Vec::new(), None::<Instant>, false);
        let mut outcome = Ok(());
        self.set_n_predict(u32::from(u8::MAX));
        while outcome.is_ok() && times.len() < TIMES && begin.elapsed() < PATIENCE {
            let done = Arc::new(AtomicBool::new(false));
            let reply = self.reply(prompt, &done, &mut |event| match (event, saved) {
                (Event::Reload { .. }, _) => is_new = true,
                (Event::Token { .. }, Some(since)) if is_new => {
                    times.push(since.elapsed().as_secs_f64() * 1e3);
                    (saved, is_new) = (None, false);
                    done.store(times.len() == TIMES, Ordering::Relaxed);
                }
                (Event::Token { .. }, None) => {
                    saved = Some(Instant::now());
                    done.store(save(times.len() + 1).is_err(), Ordering::Relaxed);
                }
                (Event::Token { .. }, Some(_)) if begin.elapsed() > PATIENCE => done.store(true, Ordering::Relaxed),
                _ => {}
            });
            outcome = reply.map(drop);
        }
        self.decoder().chain = own;
        outcome.map(|()| (times.len() == TIMES).then(|| super::median(&times)))
    }
}

fn script(path: &Path) -> std::io::Result<Option<f64>> {
    std::fs::write(path, include_str!("../../../policies/retraction.rhai"))?;
    Ok(ScriptHook::load(path, "{}", Watching::Native).ok().and_then(|mut hook| reloads(&mut hook, || Ok(()))))
}

/// A copy of a library whose content changes, by bytes at its end that nothing reads.
fn library(mut plugin: PluginSource, settings: &Settings, folder: &Path) -> Option<f64> {
    let path = folder.join(plugin.path.file_name()?);
    std::fs::copy(&plugin.path, &path).ok()?;
    plugin.path.clone_from(&path);
    let mut hooks = load_plugin(&plugin, settings).ok()?;
    let change = || std::fs::File::options().append(true).open(&path)?.write_all(&[0]);
    reloads(hooks.first_mut()?, change)
}

fn reloads(hook: &mut dyn Hook, change: impl Fn() -> std::io::Result<()>) -> Option<f64> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        change().ok()?;
        match hook.reload_now() {
            Reload::Swapped { milliseconds, .. } => times.push(milliseconds),
            Reload::Unchanged | Reload::Refused(_) => return None,
        }
    }
    Some(super::median(&times))
}
