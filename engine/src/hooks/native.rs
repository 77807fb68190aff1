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

use super::{Hook, HookError, Origin, Reload, Watching, ordinal};
use instance::Instance;
use load::Plugin;
use plugin_api::abi::PluginEntry;
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use probe::Shape;
use shared::{ContentId, LibraryFile, OpenVersion};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use surroundings::undisturbed;

/// One instance of a plugin.
pub struct NativeHook {
    instance: Instance,
    name: String,
    role: Role,
    version: String,
    description: String,
    /// Of the rows it was called with.
    shape: Shape,
    library: Option<InLibrary>,
}

/// What a plugin of a library needs to take over its next version.
struct InLibrary {
    file: Arc<Mutex<LibraryFile>>,
    path: PathBuf,
    /// The first plugin of the library looks at the file, and the others follow in the same pass.
    is_first: bool,
    /// Counts among those for which the file is watched.
    is_watched: bool,
    settings: Arc<PluginSettings>,
    /// What runs.
    running: ContentId,
    /// The newest that was tried, good or bad.
    tried: ContentId,
    /// Counts takeovers, from 1.
    generation: u32,
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
    let file = LibraryFile::open(path, watching)?;
    let OpenVersion { id, plugins } = file.newest().clone();
    let (file, shared_settings) = (Arc::new(Mutex::new(file)), Arc::new(settings.clone()));
    let place = format!("`{}`", path.display());
    let hook = |(index, plugin): (usize, &Plugin)| {
        let library = InLibrary {
            file: Arc::clone(&file),
            path: path.into(),
            is_first: index == 0,
            is_watched: true,
            settings: Arc::clone(&shared_settings),
            running: id,
            tried: id,
            generation: 1,
        };
        NativeHook::new(plugin, &settings.of(plugin, &plugins, &place)?, &place, Some(library))
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
            name: plugin.name.clone(),
            role: plugin.role,
            version: plugin.version.clone(),
            description: plugin.description.clone(),
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

    /// Looks at the file by `look`, if this is the one to do so, and takes over what is new there.
    fn reload(&mut self, look: impl FnOnce(&mut LibraryFile) -> Result<(), LoadError>) -> Reload {
        let begin = Instant::now();
        let Some(library) = &mut self.library else { return Reload::Unchanged };
        let newest = {
            let mut file = locked(&library.file);
            if library.is_first
                && let Err(error) = look(&mut file)
            {
                return Reload::Refused(format!("{} goes on as it is: {error}", quoted(&library.path)));
            }
            if file.newest().id == library.tried {
                return Reload::Unchanged;
            }
            file.newest().clone()
        };
        library.tried = newest.id;
        if newest.id == library.running {
            return Reload::Unchanged;
        }
        if let Err(why) = self.take_over(&newest) {
            return Reload::Refused(format!("`{}` goes on as it is, its new version is refused: {why}", self.name));
        }
        let Some(library) = &mut self.library else { return Reload::Unchanged };
        library.running = newest.id;
        library.generation += 1;
        Reload::Swapped { version: library.generation, milliseconds: begin.elapsed().as_secs_f64() * 1e3 }
    }

    /// Makes an instance of the newer version, with the state of this one, if it works. An error leaves all as it is.
    fn take_over(&mut self, newest: &OpenVersion) -> Result<(), String> {
        let Some(library) = &self.library else { return Ok(()) };
        let place = quoted(&library.path);
        let Some(plugin) = newest.plugins.iter().find(|plugin| plugin.name == self.name) else {
            return Err(format!("{place} has no plugin of that name any more"));
        };
        if plugin.role != self.role {
            return Err("it changed from a fusion to a policy or back; start the program again".into());
        }
        let settings = library.settings.of(plugin, &newest.plugins, &place).map_err(|error| error.to_string())?;
        // The samples leave traces, so they get an instance of their own.
        let shape = self.shape;
        let (probed, changed) = undisturbed(|| probe::run(&mut Instance::create(plugin, &settings)?, shape));
        probed.and(changed.map_or(Ok(()), Err))?;
        let mut instance = Instance::create(plugin, &settings)?;
        let state = self.instance.save().map_err(|error| format!("the running one cannot save its state: {error}"))?;
        if let Some(state) = state {
            instance
                .restore(&state)
                .map_err(|error| format!("it does not take the state of the running one: {error}"))?;
        }
        self.instance = instance;
        self.version.clone_from(&plugin.version);
        self.description.clone_from(&plugin.description);
        Ok(())
    }
}

fn quoted(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// Nothing that is left half done by a panic matters here.
fn locked(file: &Mutex<LibraryFile>) -> MutexGuard<'_, LibraryFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for NativeHook {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NativeHook").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Hook for NativeHook {
    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn origin(&self) -> Origin {
        self.library.as_ref().map_or(Origin::BuiltIn, |library| Origin::Library(library.path.clone()))
    }

    /// With what reloads have cost so far, if there were any.
    fn describe(&self) -> (String, String) {
        let mut version = self.version.clone();
        if let Some(library) = &self.library {
            let (versions, mapped) = locked(&library.file).opened();
            if versions > 1 {
                let which = ordinal(library.generation);
                version += &format!(", {which} version, {} of code mapped", shared::mebibytes(mapped));
            }
        }
        (version, self.description.clone())
    }

    fn generation(&self) -> u32 {
        self.library.as_ref().map_or(1, |library| library.generation)
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

    fn set_watched(&mut self, watched: bool) {
        if let Some(library) = &mut self.library
            && library.is_watched != watched
        {
            library.is_watched = watched;
            locked(&library.file).watch_for(watched);
        }
    }

    fn reload_if_changed(&mut self) -> Reload {
        self.reload(LibraryFile::look)
    }

    fn reload_now(&mut self) -> Reload {
        if let Some(library) = &mut self.library {
            // What was refused is tried again, and refused again in so many words.
            library.tried = library.running;
        }
        self.reload(LibraryFile::look_now)
    }
}
