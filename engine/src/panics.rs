//! Panics that are caught, and so are nobody's affair but the catcher's.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// How many [`guarded`] calls this thread is in.
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

/// Runs what may panic, on behalf of a script, a member or a library. A panic is the error, in its own words; nothing is
/// printed. What `run` changed is as the panic left it.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() == 0 {
                print(panic);
            }
        }));
    });
    GUARDED.set(GUARDED.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(GUARDED.get() - 1);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_in_its_own_words_however_deep() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| panic!("a text")), Err::<(), _>("a text".into()));
        let inner = guarded(|| guarded(|| panic!("number {}", 3)));
        assert_eq!(inner, Ok(Err::<(), _>("number 3".into())));
        assert_eq!(guarded(|| std::panic::panic_any(7)), Err::<(), _>("no message".into()));
        assert_eq!(GUARDED.get(), 0);
    }
}
