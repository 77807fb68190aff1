//! Plugins that call `exit`: the program would end without a word, and as if all were well.

use std::cell::Cell;
use std::sync::OnceLock;

/// How the end of the program is told.
static TELL: OnceLock<fn(&str)> = OnceLock::new();

thread_local! {
    /// The plugin that this thread is in, and what it is called for.
    static INSIDE: Cell<Option<(*const str, &'static str)>> = const { Cell::new(None) };
}

/// From now on, when a plugin that is called ends the program by `exit`, `tell` is given a sentence about it, and the exit code
/// is 1. Only the first call counts.
pub fn tell_of_exit(tell: fn(&str)) {
    if TELL.set(tell).is_ok() {
        // SAFETY: the function stays as long as the program. Where there is no room for it, nothing is told.
        unsafe { libc::atexit(at_exit) };
    }
}

/// Calls into a plugin. `what` is the end of a sentence: "in `create`".
pub(super) fn inside<T>(plugin: &str, what: &'static str, call: impl FnOnce() -> T) -> T {
    let outer = INSIDE.replace(Some((std::ptr::from_ref(plugin), what)));
    let answer = call();
    INSIDE.set(outer);
    answer
}

extern "C" fn at_exit() {
    let (Some((plugin, what)), Some(tell)) = (INSIDE.get(), TELL.get()) else { return };
    // SAFETY: `exit` runs this on the thread that called it, in the middle of `inside`, which borrows the name.
    let plugin = unsafe { &*plugin };
    tell(&format!("the plugin `{plugin}` ended the program: it called `exit` {what}"));
    // SAFETY: ends the process. Going on with `exit` would give the plugin's code, which asked for another one.
    unsafe { libc::_exit(1) }
}
