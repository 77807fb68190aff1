//! What llama.cpp says: every line into the log, and the reason for a failure to whoever asked for what failed, because its
//! functions return no more than a null.

use llama_cpp_sys_2 as sys;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};

/// What was said on a thread.
#[derive(Default)]
struct Said {
    /// A line that is not over, with its level.
    line: String,
    level: sys::ggml_log_level,
    /// The first error since somebody [listens](listen): those after it only say what failed because of it.
    reason: Option<String>,
    /// Everything, while somebody [reads along](transcript).
    transcript: Option<String>,
}

thread_local! {
    static SAID: RefCell<Said> = RefCell::default();
}

/// Hears all of llama.cpp's lines from now on.
pub(super) fn start() {
    // SAFETY: the callback is a plain function and needs no data.
    unsafe { sys::llama_log_set(Some(hear), std::ptr::null_mut()) }
}

/// Does something with llama.cpp on this thread. Beside the answer stands what llama.cpp said in case it failed.
pub(super) fn listen<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    SAID.with_borrow_mut(|said| said.reason = None);
    let answer = work();
    (answer, SAID.with_borrow_mut(|said| said.reason.take()))
}

/// [`listen`], with everything that llama.cpp said on this thread, word for word.
pub(in crate::member) fn transcript<T>(work: impl FnOnce() -> T) -> (T, Option<String>, String) {
    SAID.with_borrow_mut(|said| said.transcript = Some(String::new()));
    let (answer, reason) = listen(work);
    (answer, reason, SAID.with_borrow_mut(|said| said.transcript.take()).unwrap_or_default())
}

unsafe extern "C" fn hear(level: sys::ggml_log_level, text: *const c_char, _data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp gives a string that lives for the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // A thread that ends, or one that already is in here, has nothing to note it in.
    let _ = SAID.try_with(|said| {
        if let Ok(mut said) = said.try_borrow_mut() {
            said.add(level, &text);
        }
    });
}

impl Said {
    fn add(&mut self, level: sys::ggml_log_level, text: &str) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push_str(text);
        }
        if level != sys::GGML_LOG_LEVEL_CONT {
            self.level = level;
            self.line.clear();
        }
        self.line.push_str(text);
        if !self.line.ends_with('\n') {
            return;
        }
        let line = self.line.trim_end();
        match self.level {
            sys::GGML_LOG_LEVEL_ERROR => {
                tracing::error!(target: "llama.cpp", "{line}");
                self.reason = self.reason.take().or_else(|| reason(line));
            }
            sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{line}"),
            sys::GGML_LOG_LEVEL_DEBUG => tracing::debug!(target: "llama.cpp", "{line}"),
            _ => tracing::info!(target: "llama.cpp", "{line}"),
        }
        self.line.clear();
    }
}

/// A line without the names of functions and `error loading model: ` in front, and without the spaces of its columns.
fn reason(line: &str) -> Option<String> {
    let is_name = |word: &str| {
        word.starts_with("error loading model")
            || word.contains('_') && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let mut rest = line.trim_end();
    while let Some((_, after)) = rest.split_once(':').filter(|(before, _)| is_name(before)) {
        rest = after.trim_start();
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_stands_behind_the_names() {
        let of = |line| reason(line).unwrap_or_default();
        let unknown =
            "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'x'";
        assert_eq!(of(unknown), "unknown model architecture: 'x'");
        assert_eq!(of("gguf_init_from_reader: duplicate key 'a'"), "duplicate key 'a'");
        assert_eq!(of("a_b: c_d: tensor 'x' has  8,    1"), "tensor 'x' has 8, 1");
        assert_eq!(of("no name in front: of it"), "no name in front: of it");
        assert_eq!(of("llama_model_load: "), "");
    }

    #[test]
    fn a_line_belongs_to_the_thread_that_it_was_said_on() {
        let say = |level, line: &CStr| {
            // SAFETY: a string that lives for the call.
            unsafe { hear(level, line.as_ptr(), std::ptr::null_mut()) }
        };
        let error = |line| say(sys::GGML_LOG_LEVEL_ERROR, line);
        let (_, heard) = listen(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| error(c"elsewhere: far away\n"));
            });
            say(sys::GGML_LOG_LEVEL_WARN, c"here: no error\n");
            error(c"from_here: ne");
            say(sys::GGML_LOG_LEVEL_CONT, c"ar\n");
            error(c"here: and later\n");
        });
        assert_eq!(heard.as_deref(), Some("near"));
        error(c"here: nobody listens\n");
        assert_eq!(listen(|| ()).1, None);
    }

    #[test]
    fn a_transcript_has_every_word_and_ends_with_its_work() {
        let say = |line: &CStr| {
            // SAFETY: a string that lives for the call.
            unsafe { hear(sys::GGML_LOG_LEVEL_INFO, line.as_ptr(), std::ptr::null_mut()) }
        };
        let ((), _, words) = transcript(|| {
            say(c"[1/2] a, ");
            say(c"size = 3\n");
        });
        assert_eq!(words, "[1/2] a, size = 3\n");
        say(c"unheard\n");
        assert_eq!(transcript(|| ()).2, "");
    }
}
