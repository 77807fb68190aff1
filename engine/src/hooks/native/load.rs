//! From a file to the plugins in it. Magic, major version and size are checked before anything else is believed.

use super::error::{LoadError, MOST_PLUGINS};
use super::image;
use super::leaving::inside;
use super::schema::Schema;
use crate::files::{self, Why};
use libloading::os::unix::{Library as OpenLibrary, RTLD_LOCAL, RTLD_NOW};
use plugin_api::Role;
use plugin_api::abi::{self, Library, PluginEntry};
use std::ffi::{CStr, c_char};
use std::io::{self, Read, Write};
use std::mem::{MaybeUninit, offset_of, size_of};
use std::path::Path;

/// An entry that ends before its first hook is of no use.
const SMALLEST_ENTRY: u32 = offset_of!(PluginEntry, on_logits) as u32;

/// A plugin before there is an instance of it: its table, as far as it goes, and what it says about itself.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub entry: PluginEntry,
    pub name: String,
    pub version: String,
    pub description: String,
    pub role: Role,
    pub schema: Option<Schema>,
}

/// The content of a file that can be a library, by what its bytes say.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.into(), error };
    let mut file = files::open(path).map_err(|error| match error.why {
        Why::Missing => LoadError::Missing(path.into()),
        Why::Directory => LoadError::Folder(path.into()),
        Why::Special(found) => LoadError::NotALibrary { path: path.into(), found },
        Why::Unreadable(error) => unreadable(error),
        Why::TooLarge(_) | Why::NotText(_) => unreadable(io::Error::other(error.to_string())),
    })?;
    let mut bytes = Vec::new();
    (&file).take(256).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() {
        return Err(LoadError::Empty(path.into()));
    }
    if let Some(found) = image::other_kind(&bytes) {
        return Err(LoadError::NotALibrary { path: path.into(), found });
    }
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if image::is_cut_off(&bytes) {
        return Err(LoadError::CutOff(path.into()));
    }
    Ok(bytes)
}

/// The plugins of the library with this content; it stays loaded until the program ends.
pub(super) fn open(path: &Path, content: &[u8]) -> Result<Vec<Plugin>, LoadError> {
    let library = open_copy(path, content)?;
    // SAFETY: only the symbol's address is taken; a plugin's symbol is a `Library`, which `read_library` checks.
    let table = unsafe { library.get::<*const Library>(abi::SYMBOL) }.map(|symbol| *symbol);
    // Never unloaded: entries, code and thread-locals of it are in use until the end.
    let _ = library.into_raw();
    let table = table.map_err(|_| LoadError::NotAPlugin(path.into()))?;
    // SAFETY: the address of a symbol of a library that stays loaded.
    let entries = unsafe { read_library(table, path) }?;
    let place = format!("`{}`", path.display());
    entries
        .iter()
        // SAFETY: an entry of a table that passed its checks.
        .map(|&entry| unsafe { read_plugin(entry, &place) })
        .collect()
}

/// The plugin behind `entry`. `place` says in messages where it is.
///
/// # Safety
/// `entry` is null or points to a plugin's entry, of any minor version, that is never written and never goes.
pub(super) unsafe fn read_plugin(entry: *const PluginEntry, place: &str) -> Result<Plugin, LoadError> {
    // SAFETY: as the caller promises.
    let entry = unsafe { read_entry(entry, place) }?;
    let problem = |problem: &str| LoadError::Entry { place: place.into(), problem: problem.into() };
    // SAFETY: texts of an entry are NUL-terminated and constant, by the ABI.
    let text = |text, what| unsafe { read_text(text) }.map_err(|()| problem(&format!("a {what} that is not UTF-8")));
    let name = text(entry.name, "name")?;
    if name.is_empty() {
        return Err(problem("no name"));
    }
    let role = match entry.role {
        abi::ROLE_FUSION => Role::Fusion,
        abi::ROLE_POLICY => Role::Policy,
        other => return Err(problem(&format!("the role {other}, which is neither fusion (1) nor policy (2)"))),
    };
    if entry.create.is_none() {
        return Err(problem("no function `create`"));
    }
    // SAFETY: a function without arguments, which may be called at any time, by the ABI.
    let schema = || entry.settings_schema.map_or(std::ptr::null(), |schema| unsafe { schema() });
    let schema = inside(&name, "in `settings_schema`", schema);
    let schema = match text(schema, "settings schema")? {
        text if text.is_empty() => None,
        text => Some(Schema::read(&text).map_err(|error| problem(&format!("a settings schema that {error}")))?),
    };
    Ok(Plugin {
        version: text(entry.version, "version")?,
        description: text(entry.description, "description")?,
        entry,
        name,
        role,
        schema,
    })
}

/// Opens a copy under a fresh name. The same name again would give the code that is open already, and overwriting a file
/// that is mapped ends the program.
fn open_copy(path: &Path, content: &[u8]) -> Result<OpenLibrary, LoadError> {
    let refused = |reason| LoadError::Refused { path: path.into(), reason };
    let uncopied =
        |error| refused(format!("no copy of it could be made in `{}`: {error}", std::env::temp_dir().display()));
    let mut copy = tempfile::Builder::new().prefix("llama_selfmod-").suffix(".so").tempfile().map_err(uncopied)?;
    copy.write_all(content).map_err(uncopied)?;
    // SAFETY: runs the library's initialisers, which is what the user asked for. The copy is deleted when this function
    // ends; what is mapped stays.
    let open = || unsafe { OpenLibrary::open(Some(copy.path()), RTLD_NOW | RTLD_LOCAL) };
    inside(&path.to_string_lossy(), "while it was opened", open).map_err(|error| {
        // The linker names the copy, which nobody knows.
        let own_name = format!("{}: ", copy.path().display());
        refused(linker_text(&error).replace(&own_name, ""))
    })
}

fn linker_text(error: &libloading::Error) -> String {
    match error {
        libloading::Error::DlOpen { source } => source.to_string(),
        other => other.to_string(),
    }
}

/// The entries of a library's table.
///
/// # Safety
/// `table` is the address of a symbol named as the ABI says.
unsafe fn read_library(table: *const Library, path: &Path) -> Result<Vec<*const PluginEntry>, LoadError> {
    let not_a_table = |found| LoadError::Magic { path: path.into(), found };
    if table.is_null() || !table.is_aligned() {
        return Err(not_a_table(0));
    }
    // SAFETY: each field is read only after what stands before it was found to be as the ABI says.
    unsafe {
        if (*table).magic != abi::MAGIC {
            return Err(not_a_table((*table).magic));
        }
        let found = (*table).abi_major;
        if found != abi::ABI_MAJOR {
            return Err(LoadError::AbiMajor { path: path.into(), found });
        }
        let (found, least) = ((*table).struct_size, size_of::<Library>() as u32);
        if found < least {
            let place = format!("`{}`", path.display());
            return Err(LoadError::TooSmall { place, table: "plugin table", found, least });
        }
        let found = (*table).plugin_count;
        if found == 0 || found > MOST_PLUGINS || (*table).plugins.is_null() {
            return Err(LoadError::PluginCount { path: path.into(), found });
        }
        Ok(std::slice::from_raw_parts((*table).plugins, found as usize).to_vec())
    }
}

/// The fields of an entry that its plugin knows; the others are null.
///
/// # Safety
/// As for [`instantiate`].
unsafe fn read_entry(entry: *const PluginEntry, place: &str) -> Result<PluginEntry, LoadError> {
    if entry.is_null() || !entry.is_aligned() {
        return Err(LoadError::Entry { place: place.into(), problem: "no entry behind its pointer".into() });
    }
    // SAFETY: `struct_size` is the first field in every version, and says how many bytes there are to copy. What is not
    // copied is zero, which is null for a pointer and `None` for a hook.
    unsafe {
        let found = (*entry).struct_size;
        if found < SMALLEST_ENTRY {
            return Err(LoadError::TooSmall {
                place: place.into(),
                table: "plugin entry",
                found,
                least: SMALLEST_ENTRY,
            });
        }
        let mut known = MaybeUninit::<PluginEntry>::zeroed();
        let size = (found as usize).min(size_of::<PluginEntry>());
        std::ptr::copy_nonoverlapping(entry.cast::<u8>(), known.as_mut_ptr().cast::<u8>(), size);
        Ok(known.assume_init())
    }
}

/// A text of an entry; empty where there is none.
///
/// # Safety
/// `text` is null or NUL-terminated.
unsafe fn read_text(text: *const c_char) -> Result<String, ()> {
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(str::to_string).map_err(|_| ())
}
