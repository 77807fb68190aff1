//! From the trait to the ABI: one `extern "C"` function per hook, each of which catches panics, because one that
//! left the plugin would abort the host.

mod lent;

use crate::abi::{self, Host, PluginEntry, RawVerdict};
use crate::{Plugin, Role, Rows, Settings, Verdict};
pub(crate) use lent::LentRows;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Once, OnceLock};

thread_local! {
    /// Set by the trait's own hooks, which do nothing: nobody needs to call them twice.
    static ABSENT: Cell<bool> = const { Cell::new(false) };

    /// True while a panic on this thread will be caught and told to the host.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the caught panic happened, as ` at FILE:LINE`.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A caught panic goes to the host, which tells the user in one line; the usual report to standard error would tear the
/// text on the terminal.
fn keep_caught_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if CATCHING.get() {
                let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
                PLACE.set(place.unwrap_or_default());
            } else {
                usual(panic);
            }
        }));
    });
}

/// What `create` hands out as the opaque instance.
struct Instance<P> {
    host: *const Host,
    plugin: P,
}

fn fail(host: *const Host, text: &str) {
    if !host.is_null() {
        // SAFETY: the host outlives the instance (abi::Host); set_error copies the text.
        unsafe { ((*host).set_error)(text.as_ptr(), text.len()) }
    }
}

/// Says that the hook in progress is the trait's own.
pub(crate) fn absent() {
    ABSENT.set(true);
}

/// Runs a hook: panics caught, errors told.
fn guarded(host: *const Host, hook: impl FnOnce() -> Result<(), String>) -> i32 {
    let before = CATCHING.replace(true);
    ABSENT.set(false);
    let outcome = catch_unwind(AssertUnwindSafe(hook));
    CATCHING.set(before);
    match outcome {
        Ok(Ok(())) if ABSENT.take() => abi::ABSENT,
        Ok(Ok(())) => abi::OK,
        Ok(Err(text)) => {
            fail(host, &text);
            abi::FAILED
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
            fail(host, &format!("it panicked{}: {}", PLACE.take(), text.unwrap_or("no message")));
            // Its destructor is the plugin's too and could panic in turn.
            std::mem::forget(panic);
            abi::PANICKED
        }
    }
}

unsafe extern "C" fn create<P: Plugin>(host: *const Host, settings: *const u8, len: usize) -> *mut c_void {
    keep_caught_panics_quiet();
    let mut instance = std::ptr::null_mut();
    guarded(host, || {
        // SAFETY: the host passes `len` bytes; null only with 0.
        let settings = std::str::from_utf8(unsafe { lent::slice(settings, len) })
            .map_err(|error| format!("its settings are not UTF-8: {error}"))?;
        let plugin = P::create(P::Settings::parse(settings)?)?;
        instance = Box::into_raw(Box::new(Instance { host, plugin })).cast::<c_void>();
        Ok(())
    });
    instance
}

unsafe extern "C" fn destroy<P: Plugin>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: made by `create::<P>` and passed here once, by the ABI.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<P>>()) };
    guarded(instance.host, move || {
        drop(instance.plugin);
        Ok(())
    });
}

/// Calls a hook of an instance.
///
/// # Safety
/// `instance` was made by `create::<P>` and is used by one thread at a time.
unsafe fn call<P: Plugin>(instance: *mut c_void, hook: impl FnOnce(&mut P, *const Host) -> Result<(), String>) -> i32 {
    // SAFETY: as the caller promises.
    let instance = unsafe { &mut *instance.cast::<Instance<P>>() };
    guarded(instance.host, || hook(&mut instance.plugin, instance.host))
}

/// # Safety
/// `verdict` points to the host's buffer.
unsafe fn answer(verdict: *mut RawVerdict, answer: &Verdict) {
    // Most steps answer "continue"; the host has already written that.
    if *answer != Verdict::default() {
        // SAFETY: as the caller promises; version 1.0 of the struct is what every host of this major version has.
        unsafe { (*verdict).set(answer) }
    }
}

unsafe extern "C" fn on_logits<P: Plugin>(
    instance: *mut c_void,
    step: *const abi::Step,
    rows: *const abi::Rows,
    fused: *mut f32,
    len: usize,
) -> i32 {
    // SAFETY: the ABI promises valid pointers and `len` floats, for the duration of this call.
    unsafe {
        call::<P>(instance, |plugin, host| {
            let rows = Rows::lent(LentRows::new(host, &*rows));
            plugin.on_logits(&lent::step(&*step), &rows, std::slice::from_raw_parts_mut(fused, len))
        })
    }
}

unsafe extern "C" fn on_token<P: Plugin>(
    instance: *mut c_void,
    step: *const abi::Step,
    token: *const abi::Token,
    verdict: *mut RawVerdict,
) -> i32 {
    // SAFETY: the ABI promises valid pointers for the duration of this call.
    unsafe {
        call::<P>(instance, |plugin, _| {
            let (step, token) = (lent::step(&*step), lent::whole(token, (*token).struct_size));
            answer(verdict, &plugin.on_token(&step, &lent::token(&token, &step))?);
            Ok(())
        })
    }
}

unsafe extern "C" fn on_assessment<P: Plugin>(
    instance: *mut c_void,
    step: *const abi::Step,
    assessment: *const abi::Assessment,
    verdict: *mut RawVerdict,
) -> i32 {
    // SAFETY: the ABI promises valid pointers for the duration of this call.
    unsafe {
        call::<P>(instance, |plugin, _| {
            answer(verdict, &plugin.on_assessment(&lent::step(&*step), &lent::assessment(&*assessment))?);
            Ok(())
        })
    }
}

unsafe extern "C" fn on_retract<P: Plugin>(
    instance: *mut c_void,
    step: *const abi::Step,
    retraction: *const abi::Retraction,
) -> i32 {
    // SAFETY: the ABI promises valid pointers for the duration of this call.
    unsafe { call::<P>(instance, |plugin, _| plugin.on_retract(&lent::step(&*step), &lent::retraction(&*retraction))) }
}

unsafe extern "C" fn save<P: Plugin>(instance: *mut c_void, write: abi::Write, context: *mut c_void) -> i32 {
    // SAFETY: the ABI promises a valid instance; `write` copies what it is given.
    unsafe {
        call::<P>(instance, |plugin, _| {
            let state = plugin.save();
            if !ABSENT.get() {
                write(context, state.as_ptr(), state.len());
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn restore<P: Plugin>(instance: *mut c_void, bytes: *const u8, len: usize) -> i32 {
    // SAFETY: the ABI promises `len` bytes; null only with 0.
    unsafe { call::<P>(instance, |plugin, _| plugin.restore(lent::slice(bytes, len))) }
}

/// The schema of a plugin's settings, made when the host first asks for it.
#[doc(hidden)]
pub struct Schema(OnceLock<Option<CString>>);

impl Schema {
    /// Not made yet.
    #[allow(clippy::new_without_default, reason = "a constant, and no author's concern")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// NUL-terminated, or null where the settings have none.
    pub fn of<P: Plugin>(&'static self) -> *const c_char {
        let made = self.0.get_or_init(|| {
            keep_caught_panics_quiet();
            let mut schema = None;
            guarded(std::ptr::null(), || {
                schema = P::Settings::schema().and_then(|text| CString::new(text).ok());
                Ok(())
            });
            schema
        });
        made.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
    }
}

/// Constant C strings of a plugin: NUL-terminated at compile time by [`crate::plugin_entry!`].
#[doc(hidden)]
pub struct Texts {
    pub name: &'static str,
    pub version: &'static str,
    pub description: &'static str,
}

/// The table of one plugin. `texts` are NUL-terminated.
#[doc(hidden)]
pub const fn entry<P: Plugin>(texts: Texts, settings_schema: unsafe extern "C" fn() -> *const c_char) -> PluginEntry {
    PluginEntry {
        struct_size: size_of::<PluginEntry>() as u32,
        role: match P::ROLE {
            Role::Fusion => abi::ROLE_FUSION,
            Role::Policy => abi::ROLE_POLICY,
        },
        name: texts.name.as_ptr().cast::<c_char>(),
        version: texts.version.as_ptr().cast::<c_char>(),
        description: texts.description.as_ptr().cast::<c_char>(),
        settings_schema: Some(settings_schema),
        create: Some(create::<P>),
        destroy: Some(destroy::<P>),
        on_logits: Some(on_logits::<P>),
        on_token: Some(on_token::<P>),
        on_assessment: Some(on_assessment::<P>),
        on_retract: Some(on_retract::<P>),
        save: Some(save::<P>),
        restore: Some(restore::<P>),
        reach: match P::MAX_RETRACT {
            None => 0,
            Some(units) => units.saturating_add(1),
        },
        reserved: 0,
    }
}

/// The constant table of a plugin, for a host that links it in. The texts of the trait are joined with their NUL.
#[macro_export]
macro_rules! plugin_entry {
    ($plugin:ty) => {{
        const fn joined<const N: usize>(text: &str) -> [u8; N] {
            let mut out = [0; N];
            let bytes = text.as_bytes();
            let mut i = 0;
            while i < bytes.len() {
                out[i] = bytes[i];
                i += 1;
            }
            out
        }
        macro_rules! c_text {
            ($text:expr) => {{
                const TEXT: &str = $text;
                const JOINED: [u8; TEXT.len() + 1] = joined(TEXT);
                match ::std::str::from_utf8(&JOINED) {
                    Ok(text) => text,
                    Err(_) => "\0",
                }
            }};
        }
        // Here and not in a generic function, whose statics all plugins would share.
        static SCHEMA: $crate::Schema = $crate::Schema::new();
        unsafe extern "C" fn settings_schema() -> *const ::std::ffi::c_char {
            SCHEMA.of::<$plugin>()
        }
        static ENTRY: $crate::abi::PluginEntry = $crate::entry::<$plugin>(
            $crate::Texts {
                name: c_text!(<$plugin as $crate::Plugin>::NAME),
                version: c_text!(<$plugin as $crate::Plugin>::VERSION),
                description: c_text!(<$plugin as $crate::Plugin>::DESCRIPTION),
            },
            settings_schema,
        );
        &ENTRY
    }};
}

/// Exports one or more plugins from a `cdylib`.
#[macro_export]
macro_rules! export_plugin {
    ($($plugin:ty),+ $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!("a plugin must be built with panic = \"unwind\": a panic would end the whole program");

        /// What the host reads first.
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static llama_selfmod_plugin_v1: $crate::abi::Library = {
            struct Entries([*const $crate::abi::PluginEntry; [$(stringify!($plugin)),+].len()]);
            // SAFETY: constants, never written.
            unsafe impl Sync for Entries {}
            static ENTRIES: Entries = Entries([$($crate::plugin_entry!($plugin)),+]);
            $crate::abi::Library {
                magic: $crate::abi::MAGIC,
                abi_major: $crate::abi::ABI_MAJOR,
                abi_minor: $crate::abi::ABI_MINOR,
                struct_size: ::std::mem::size_of::<$crate::abi::Library>() as u32,
                plugin_count: ENTRIES.0.len() as u32,
                sdk: concat!("llama_selfmod-plugin-api ", env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast(),
                plugins: ENTRIES.0.as_ptr(),
            }
        };
    };
}
