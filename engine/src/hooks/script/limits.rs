//! What a script may use up. All limits are set here, because Rhai's own defaults differ between debug and release.
//!
//! Operations, depths and sizes are counted, so a script that runs into one of them does so on every machine. Only the
//! deadline looks at a clock, and only after [`OPERATIONS_A_LOOK`] operations: a short script is not cut because the
//! machine paused, and the same seed gives the same bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rhai::module_resolvers::DummyModuleResolver;
use rhai::{Dynamic, Engine, EvalAltResult};

/// Longest time of one call.
pub(super) const DEADLINE: Duration = Duration::from_millis(10);
/// Longest time of the top level, which runs once for a version and may make lists of patterns.
pub(super) const LOADING: Duration = Duration::from_millis(100);
/// Most operations of one call; an empty endless loop gets here in about 3 ms.
pub(super) const OPERATIONS: u64 = 100_000;
/// Nested calls; a closure passed to `map` is two. With [`EXPRESSION_DEPTH`] the deepest script that these allow needs less
/// than 0.5 MiB of stack in a release build and about 1 MiB in a debug build, of 2 MiB that a thread has.
pub(super) const CALL_LEVELS: usize = 8;
/// Nested expressions and blocks, at the top level and inside functions.
pub(super) const EXPRESSION_DEPTH: usize = 20;
/// Bytes of a string. `replace` can make the square of it in one operation before Rhai looks.
pub(super) const STRING_BYTES: usize = 1024;
/// Elements of an array, nested ones included. Rhai counts them all after every `push`.
pub(super) const ARRAY_ELEMENTS: usize = 1024;
/// Entries of an object map, nested ones included; `this` is one.
pub(super) const MAP_ENTRIES: usize = 256;
/// What a script is told when it needs more.
pub(super) const TOO_LARGE: &str = "a value grew too large: a string holds 1024 bytes, an array 1024 elements, a map 256 \
    entries, nested ones included";
/// Largest script file.
pub(super) const FILE_BYTES: u64 = 256 * 1024;

/// How many operations pass between two looks at the clock.
const OPERATIONS_A_LOOK: u64 = 256;

/// When the running call must be over.
pub(super) struct Clock {
    origin: Instant,
    due: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), due: AtomicU64::new(u64::MAX) }
    }

    /// A call begins that has so long.
    pub(super) fn begin(&self, longest: Duration) {
        self.due.store(self.now() + longest.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn is_late(&self) -> bool {
        self.now() > self.due.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// Takes away what a script must not have: time without end, memory without end, files, modules, `eval`, the time of day
/// (the same seed must give the same bytes).
pub(super) fn set(engine: &mut Engine, clock: &Arc<Clock>) {
    engine
        .set_max_operations(OPERATIONS)
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH)
        .set_max_functions(256)
        .set_max_variables(256)
        .set_max_modules(0)
        .set_max_string_size(STRING_BYTES)
        .set_max_array_size(ARRAY_ELEMENTS)
        .set_max_map_size(MAP_ENTRIES)
        // A misspelt setting would otherwise read as `()`, and every comparison with `()` is quietly false.
        .set_fail_on_invalid_map_property(true)
        .set_module_resolver(DummyModuleResolver::new());
    for symbol in ["eval", "import", "export"] {
        engine.disable_symbol(symbol);
    }
    // Functions of Rhai's standard library cannot be disabled, only overruled.
    engine
        .register_fn("sleep", |_: i64| unavailable("sleep"))
        .register_fn("sleep", |_: f64| unavailable("sleep"))
        .register_fn("timestamp", || unavailable("timestamp"));
    watch(engine, clock, |_| ());
}

/// Looks at the deadline while a script runs; `seen` hears of every operation, with how many there were.
pub(super) fn watch(engine: &mut Engine, clock: &Arc<Clock>, seen: impl Fn(u64) + Send + Sync + 'static) {
    let clock = Arc::clone(clock);
    engine.on_progress(move |operations| {
        seen(operations);
        (operations % OPERATIONS_A_LOOK == 0 && clock.is_late()).then(|| Dynamic::from("deadline"))
    });
}

fn unavailable(name: &str) -> Result<(), Box<EvalAltResult>> {
    Err(format!("`{name}` is not available to scripts").into())
}
