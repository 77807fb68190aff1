//! Compiled plugins as hooks: those that are linked in and those of shared libraries, through the same C ABI. A library that
//! was built anew is taken over between two steps.

mod arithmetic;
mod border;
mod error;
mod host;
mod image;
mod instance;
mod leaving;
mod load;
mod probe;
mod schema;
mod settings;
mod shared;
mod surroundings;
#[cfg(test)]
mod tests;
#[cfg(feature = "cli")]
pub(crate) mod trial;

pub use error::LoadError;
pub use image::{FileKind, file_kind};
pub use leaving::tell_of_exit;
pub use settings::{PluginConfig, PluginSettings};

use super::source::{Attached, Post, Source};
use super::{Hook, HookError, Origin, Reload, Watching, ordinal};
use instance::Instance;
use load::Plugin;
use plugin_api::abi::PluginEntry;
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use probe::Shape;
use shared::{ContentId, LibraryFile, OpenVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use surroundings::undisturbed;

/// One instance of a plugin.
pub struct NativeHook {
    instance: Instance,
    /// What it is an instance of.
    plugin: Arc<Plugin>,
    /// What it was made with.
    settings: Arc<str>,
    /// Of the rows it was called with.
    shape: Shape,
    library: Option<InLibrary>,
}

/// What a plugin of a library needs to take over its next version.
struct InLibrary {
    file: Attached<LibraryFile>,
    path: PathBuf,
    settings: Arc<PluginSettings>,
    /// What runs.
    running: ContentId,
}

/// The stock plugins: the default fusion first, policies last.
pub fn built_in_plugins() -> &'static [&'static PluginEntry] {
    static STOCK: [&PluginEntry; 6] = [
        plugin_api::plugin_entry!(confidence::Confidence),
        plugin_api::plugin_entry!(average::Average),
        plugin_api::plugin_entry!(voting::Voting),
        plugin_api::plugin_entry!(blend::Blend),
        plugin_api::plugin_entry!(contrast::Contrast),
        plugin_api::plugin_entry!(retraction::Retraction),
    ];
    &STOCK
}

/// A plugin that is linked in.
pub fn built_in(entry: &'static PluginEntry, settings: &PluginSettings) -> Result<NativeHook, LoadError> {
    const PLACE: &str = "the binary";
    // SAFETY: a reference to a constant entry of a plugin that is part of the binary.
    let plugin = unsafe { load::read_plugin(entry, PLACE) }?;
    let settings = settings.of(&plugin, std::slice::from_ref(&plugin), PLACE)?;
    NativeHook::new(&plugin, &settings, PLACE, None)
}

/// Every plugin of a shared library, which is watched from now on.
///
/// The file is copied before it is opened, so that a newer build can overwrite it, and stays loaded until the program
/// ends. What lies beside it is not copied: a library it needs has to be found by the system.
pub fn load_library(path: &Path, settings: &PluginSettings, watching: Watching) -> Result<Vec<NativeHook>, LoadError> {
    surroundings::keep();
    let (hooks, changed) = undisturbed(|| open_library(path, settings, watching));
    match changed {
        None => hooks,
        Some(what) => Err(LoadError::Disturbs { path: path.into(), what }),
    }
}

fn open_library(path: &Path, settings: &PluginSettings, watching: Watching) -> Result<Vec<NativeHook>, LoadError> {
    let (source, version) = Source::open(path, watching, || LibraryFile::open(path))?;
    let (plugins, shared_settings) = (&version.plugins, Arc::new(settings.clone()));
    let place = format!("`{}`", path.display());
    let hook = |(index, plugin): (usize, &Plugin)| {
        let library = InLibrary {
            file: Attached::new(
                &source,
                match index {
                    0 if plugins.len() == 1 => Post::Alone,
                    0 => Post::First,
                    _ => Post::Other,
                },
            ),
            path: path.into(),
            settings: Arc::clone(&shared_settings),
            running: version.id,
        };
        NativeHook::new(plugin, &settings.of(plugin, plugins, &place)?, &place, Some(library))
    };
    plugins.iter().enumerate().map(hook).collect()
}

impl NativeHook {
    fn new(plugin: &Plugin, settings: &str, place: &str, library: Option<InLibrary>) -> Result<Self, LoadError> {
        let instance = Instance::create(plugin, settings).map_err(|reason| LoadError::Create {
            name: plugin.name.clone(),
            place: place.into(),
            reason,
        })?;
        Ok(Self {
            instance,
            plugin: Arc::new(plugin.clone()),
            settings: settings.into(),
            shape: probe::UNSEEN,
            library,
        })
    }

    /// Calls a hook. What it changes around it is a failure where it comes from outside.
    fn call<T>(&mut self, call: impl FnOnce(&mut Instance) -> Result<T, HookError>) -> Result<T, HookError> {
        if self.library.is_none() {
            return call(&mut self.instance);
        }
        let (answer, changed) = undisturbed(|| call(&mut self.instance));
        match changed {
            None => answer,
            Some(what) => Err(HookError(what)),
        }
    }

    /// Takes over what is new in the file. `now` is for what a person asks for: what was refused is tried again.
    fn reload(&mut self, now: bool) -> Reload {
        let begin = Instant::now();
        let Some(library) = &mut self.library else { return Reload::Unchanged };
        let newest = match if now { library.file.news_now() } else { library.file.news() } {
            None => return Reload::Unchanged,
            Some(Err(why)) => return Reload::Refused(why),
            Some(Ok(newest)) if newest.id == library.running => return Reload::Unchanged,
            Some(Ok(newest)) => newest,
        };
        if let Err(why) = self.take_over(&newest, now) {
            let name = &self.plugin.name;
            return Reload::Refused(format!("`{name}` goes on as it is, its new version is refused: {why}"));
        }
        let Some(library) = &mut self.library else { return Reload::Unchanged };
        library.running = newest.id;
        let version = library.file.took_over(&self.plugin.name);
        Reload::Swapped { version, milliseconds: begin.elapsed().as_secs_f64() * 1e3 }
    }

    /// Makes an instance of the newer version, with the state of this one, if it works. An error leaves all as it is.
    fn take_over(&mut self, newest: &OpenVersion, again: bool) -> Result<(), String> {
        let Some(library) = &self.library else { return Ok(()) };
        let place = quoted(&library.path);
        let Some(plugin) = newest.plugins.iter().find(|plugin| plugin.name == self.plugin.name) else {
            return Err(format!("{place} has no plugin of that name any more"));
        };
        if plugin.role != self.plugin.role {
            return Err("it changed from a fusion to a policy or back; start the program again".into());
        }
        let settings = library.settings.of(plugin, &newest.plugins, &place).map_err(|error| error.to_string())?;
        // The samples leave traces, so they get an instance of their own.
        let shape = self.shape;
        newest.tried(&plugin.name, shape, again, || {
            let (probed, changed) = undisturbed(|| probe::run(&mut Instance::create(plugin, &settings)?, shape));
            probed.and(changed.map_or(Ok(()), Err))
        })?;
        let mut instance = Instance::create(plugin, &settings)?;
        let state = self.instance.save().map_err(|error| format!("the running one cannot save its state: {error}"))?;
        if let Some(state) = state {
            instance
                .restore(&state)
                .map_err(|error| format!("it does not take the state of the running one: {error}"))?;
        }
        self.instance = instance;
        self.plugin = Arc::new(plugin.clone());
        self.settings = settings.into();
        Ok(())
    }
}

fn quoted(path: &Path) -> String {
    format!("`{}`", path.display())
}

impl std::fmt::Debug for NativeHook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NativeHook").field("name", &self.plugin.name).finish_non_exhaustive()
    }
}

impl Hook for NativeHook {
    fn another(&self) -> Result<Box<dyn Hook>, HookError> {
        let (made, changed) = undisturbed(|| Instance::create(&self.plugin, &self.settings));
        let made = match changed {
            Some(what) if self.library.is_some() => Err(what),
            _ => made,
        };
        let instance = made.map_err(|why| HookError(format!("it could not start once more: {why}")))?;
        let library = self.library.as_ref().map(|library| InLibrary {
            file: library.file.another(),
            path: library.path.clone(),
            settings: Arc::clone(&library.settings),
            running: library.running,
        });
        let (plugin, settings) = (Arc::clone(&self.plugin), Arc::clone(&self.settings));
        Ok(Box::new(Self { instance, plugin, settings, shape: self.shape, library }))
    }

    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn role(&self) -> Role {
        self.plugin.role
    }

    fn origin(&self) -> Origin {
        self.library.as_ref().map_or(Origin::BuiltIn, |library| Origin::Library(library.path.clone()))
    }

    /// With what reloads have cost so far, if there were any.
    fn describe(&self) -> (String, String) {
        let mut version = self.plugin.version.clone();
        if let Some(library) = &self.library {
            let (versions, mapped) = library.file.content(LibraryFile::opened);
            if versions > 1 {
                let which = ordinal(library.file.generation());
                version += &format!(", {which} version, {} of code mapped", shared::mebibytes(mapped));
            }
        }
        (version, self.plugin.description.clone())
    }

    fn generation(&self) -> u32 {
        self.library.as_ref().map_or(1, |library| library.file.generation())
    }

    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        self.shape = Shape { members: rows.len() as u32, units: rows.units() as u32 };
        self.call(|instance| instance.on_logits(step, rows, fused))
    }

    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        self.call(|instance| instance.on_token(step, token))
    }

    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        self.call(|instance| instance.on_assessment(step, assessment))
    }

    fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        self.call(|instance| instance.on_retract(step, retraction))
    }

    fn edits_logits(&self) -> bool {
        self.instance.edits_logits()
    }

    fn reach(&self) -> Option<u32> {
        self.instance.reach()
    }

    fn set_watched(&mut self, watched: bool) {
        if let Some(library) = &mut self.library {
            library.file.set_watched(watched);
        }
    }

    fn reload_if_changed(&mut self) -> Reload {
        self.reload(false)
    }

    /// What was refused is tried again, and refused again in so many words.
    fn reload_now(&mut self) -> Reload {
        self.reload(true)
    }
}
