//! A compiled script: its functions, checked, and the one way to call them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use plugin_api::{Role, Step};
use rhai::packages::{Package, StandardPackage};
use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncArgs, Module, Position, Scope, Shared};

use super::check::Call;
use super::diagnose::{self, Diagnosis};
use super::draws::{self, Draws};
use super::knobs::{self, Knobs};
use super::limits::{self, Clock};
use super::patterns::{self, Patterns};
use super::{rows, surface, verdicts};
use crate::panics;

/// Rhai's own choice.
const STRINGS_INTERNED: usize = 256;

/// What a script may define.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Init,
    Reset,
    Migrate,
    OnLogits,
    OnToken,
    OnAssessment,
    OnRetract,
}

impl Function {
    pub(super) const ALL: [Self; 7] =
        [Self::Init, Self::Reset, Self::Migrate, Self::OnLogits, Self::OnToken, Self::OnAssessment, Self::OnRetract];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Reset => "reset",
            Self::Migrate => "migrate",
            Self::OnLogits => "on_logits",
            Self::OnToken => "on_token",
            Self::OnAssessment => "on_assessment",
            Self::OnRetract => "on_retract",
        }
    }

    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Init => &["cfg"],
            Self::Reset => &[],
            Self::Migrate => &["old"],
            Self::OnLogits => &["step", "rows", "fused"],
            Self::OnToken => &["step", "token"],
            Self::OnAssessment => &["step", "a"],
            Self::OnRetract => &["step", "r"],
        }
    }
}

/// A script that compiled and whose functions have the right names and parameters.
struct Compiled {
    file: String,
    source: String,
    ast: AST,
    /// The constants of the top level.
    constants: Shared<Module>,
    functions: Vec<Function>,
    role: Role,
    /// How many units it takes back at most, as far as that is known.
    reach: Option<u32>,
}

/// A compiled script in an interpreter of its own: what a call needs beside the script belongs to one text.
pub(super) struct Program {
    compiled: Arc<Compiled>,
    engine: Engine,
    clock: Arc<Clock>,
    muted: Arc<AtomicBool>,
    knobs: Arc<Knobs>,
    draws: Arc<Draws>,
    measured: Option<Measured>,
}

/// What [`Program::measure`] records.
struct Measured {
    /// Of the running call.
    operations: Arc<AtomicU64>,
    calls: Mutex<Vec<Call>>,
}

impl Program {
    /// Compiles, runs the top level once, and checks the functions.
    ///
    /// Rhai's functions do not see the top level's constants unless it is run before every call. So it is run once, its
    /// constants become a module that functions see (as `NAME` and as `global::NAME`), and the script is compiled a
    /// second time with their values in place. Only that second time are all names known, so only then is a variable
    /// that nothing defines an error.
    pub(super) fn compile(file: &str, source: &str, knobs: Knobs) -> Result<Self, Box<Diagnosis>> {
        let Tools { mut engine, clock, muted, knobs, draws } = Tools::new(file, knobs);
        let parse = |engine: &Engine, scope: &Scope| {
            guarded(|| engine.compile_with_scope(scope, source))
                .map_err(|panic| Diagnosis::new(file, source, Position::NONE, panic))?
                .map_err(|error| Diagnosis::of_parse_error(file, source, &error))
        };
        let mut scope = Scope::new();
        let ast = parse(&engine, &scope)?;
        clock.begin(limits::LOADING);
        guarded(|| engine.run_ast_with_scope(&mut scope, &ast))
            .map_err(|panic| Diagnosis::new(file, source, Position::NONE, panic))?
            .map_err(|error| match *error {
                EvalAltResult::ErrorTerminated(_, place) => {
                    let message = format!("the top level takes longer than {} ms", limits::LOADING.as_millis());
                    Diagnosis::new(file, source, place, message)
                }
                error => Diagnosis::of_run_error(file, source, error),
            })?;

        let mut constants = Scope::new();
        let mut module = Module::new();
        for (name, is_constant, value) in scope.iter() {
            if let Some(patterns) = value.read_lock::<Patterns>().filter(|_| is_constant) {
                patterns.prepare();
            }
            if is_constant {
                constants.push_constant_dynamic(name, value.clone());
                module.set_var(name, value);
            }
        }
        let module: Shared<Module> = module.into();
        lend_constants(&mut engine, &module);
        let mut ast = parse(&engine, &constants)?;
        ast.set_source(file);

        let functions = check_functions(file, source, &ast)?;
        let role = role(file, source, &constants, &functions)?;
        let reach = reach(file, source, &constants, &functions)?;
        let compiled = Arc::new(Compiled {
            file: file.into(),
            source: source.into(),
            ast,
            constants: module,
            functions,
            role,
            reach,
        });
        Ok(Self { compiled, engine, clock, muted, knobs, draws, measured: None })
    }

    /// The same script with the same knobs, for another text. Nothing is compiled.
    pub(super) fn another(&self) -> Self {
        let compiled = Arc::clone(&self.compiled);
        let Tools { mut engine, clock, muted, knobs, draws } = Tools::new(&compiled.file, self.knobs.copy());
        lend_constants(&mut engine, &compiled.constants);
        Self { compiled, engine, clock, muted, knobs, draws, measured: None }
    }

    pub(super) fn defines(&self, function: Function) -> bool {
        self.compiled.functions.contains(&function)
    }

    pub(super) fn role(&self) -> Role {
        self.compiled.role
    }

    pub(super) fn reach(&self) -> Option<u32> {
        self.compiled.reach
    }

    pub(super) fn file(&self) -> &str {
        &self.compiled.file
    }

    pub(super) fn source(&self) -> &str {
        &self.compiled.source
    }

    pub(super) fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Runs what `probes` calls without letting the script write to the log.
    pub(super) fn muted<T>(&self, probes: impl FnOnce() -> T) -> T {
        self.muted.store(true, Ordering::Relaxed);
        let outcome = probes();
        self.muted.store(false, Ordering::Relaxed);
        outcome
    }

    /// The first line of the comment that the script opens with.
    pub(super) fn summary(&self) -> String {
        let first = self.source().lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.trim().strip_prefix("//").unwrap_or_default().trim_start_matches(['/', '!']).trim().to_owned()
    }

    /// Names of all functions, the script's own ones included.
    pub(super) fn function_names(&self) -> Vec<String> {
        self.compiled.ast.iter_functions().map(|function| function.name.to_owned()).collect()
    }

    /// Of everything that the engine gives to scripts, without Rhai's own library.
    #[cfg(test)]
    pub(super) fn signatures(&self) -> Vec<String> {
        self.engine.gen_fn_signatures(false)
    }

    /// Counts operations and time of every call from now on.
    pub(super) fn measure(&mut self) {
        let operations = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&operations);
        limits::watch(&mut self.engine, &self.clock, move |count| counter.store(count, Ordering::Relaxed));
        self.measured = Some(Measured { operations, calls: Mutex::default() });
    }

    /// The calls since the last time.
    pub(super) fn take_calls(&self) -> Vec<Call> {
        let calls = self.measured.as_ref().map(|measured| &measured.calls);
        calls.map_or_else(Vec::new, |calls| std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Calls a function that the script defines, with `state` as `this`; `step` is what it draws random numbers for.
    pub(super) fn call(
        &self,
        state: &mut Dynamic,
        function: Function,
        step: Option<&Step>,
        arguments: impl FuncArgs,
    ) -> Result<Dynamic, Box<Diagnosis>> {
        self.clock.begin(limits::DEADLINE);
        self.draws.begin(function, step);
        let begin = self.measured.as_ref().map(|measured| {
            measured.operations.store(0, Ordering::Relaxed);
            Instant::now()
        });
        let answer = guarded(|| {
            let options = CallFnOptions::new().eval_ast(false).bind_this_ptr(state);
            self.engine.call_fn_with_options::<Dynamic>(
                options,
                &mut Scope::new(),
                &self.compiled.ast,
                function.name(),
                arguments,
            )
        });
        if let (Some(measured), Some(begin)) = (&self.measured, begin) {
            let call =
                Call { function, operations: measured.operations.load(Ordering::Relaxed), time: begin.elapsed() };
            measured.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        }
        let answer = answer.map_err(|panic| self.fault_of(function, panic))?.map_err(|error| {
            // A deadline has no place.
            let definition = definition(self.source(), function.name());
            Diagnosis::of_run_error(self.file(), self.source(), *error).or_at(self.source(), definition)
        })?;
        if !self.can_hold(state) {
            return Err(
                self.fault_of(function, format!("{}; `this` is a map and counts as a whole", limits::TOO_LARGE))
            );
        }
        Ok(answer)
    }

    /// True for a state within the limits. Rhai looks at each value by itself, not at what they come to in `this`.
    pub(super) fn can_hold(&self, state: &Dynamic) -> bool {
        // A shared value deep inside makes Rhai panic.
        state.is_map() && guarded(|| self.engine.ensure_data_size_within_limits(state).is_ok()).unwrap_or(false)
    }

    /// A fault of a function as a whole.
    pub(super) fn fault_of(&self, function: Function, message: String) -> Box<Diagnosis> {
        Diagnosis::new(self.file(), self.source(), definition(self.source(), function.name()), message)
    }
}

/// An interpreter with what scripts are given, and what it shares with the host.
struct Tools {
    engine: Engine,
    clock: Arc<Clock>,
    muted: Arc<AtomicBool>,
    knobs: Arc<Knobs>,
    draws: Arc<Draws>,
}

impl Tools {
    fn new(file: &str, knobs: Knobs) -> Self {
        let clock = Arc::new(Clock::new());
        let muted = Arc::new(AtomicBool::new(false));
        let (knobs, draws) = (Arc::new(knobs), Arc::new(Draws::default()));
        let mut engine = interpreter();
        limits::set(&mut engine, &clock);
        surface::register(&mut engine, file, &muted);
        verdicts::register(&mut engine);
        rows::register(&mut engine);
        patterns::register(&mut engine, &clock);
        knobs::register(&mut engine, &knobs);
        draws::register(&mut engine, &draws);
        Self { engine, clock, muted, knobs, draws }
    }
}

/// As Rhai makes it, with its own library. That is most of the work, and so it is made once.
fn interpreter() -> Engine {
    static LIBRARY: LazyLock<Shared<Module>> = LazyLock::new(|| StandardPackage::new().as_shared_module());
    let mut engine = Engine::new_raw();
    engine.register_global_module(Shared::clone(&LIBRARY)).set_max_strings_interned(STRINGS_INTERNED);
    engine
}

/// Lets functions see the constants of the top level, as `NAME` and as `global::NAME`. With them all names are known.
fn lend_constants(engine: &mut Engine, constants: &Shared<Module>) {
    engine.register_global_module(Shared::clone(constants));
    engine.register_static_module("global", Shared::clone(constants));
    engine.set_strict_variables(true);
}

/// Rhai does not catch panics, neither its own nor those of native functions.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    panics::guarded(run).map_err(|what| format!("the script interpreter panicked: {what}"))
}

fn check_functions(file: &str, source: &str, ast: &AST) -> Result<Vec<Function>, Box<Diagnosis>> {
    let mut functions = Vec::new();
    for defined in ast.iter_functions() {
        let fault = |message| Err(Diagnosis::new(file, source, definition(source, defined.name), message));
        let Some(function) = Function::ALL.into_iter().find(|function| function.name() == defined.name) else {
            if !defined.name.starts_with("on_") {
                continue;
            }
            let names = Function::ALL.map(Function::name);
            return fault(match diagnose::nearest(defined.name, names) {
                Some(guess) => format!("nothing calls `{}`; did you mean `{guess}`?", defined.name),
                None => format!(
                    "nothing calls `{}`; the names are {}",
                    defined.name,
                    names.map(|n| format!("`{n}`")).join(", ")
                ),
            });
        };
        if defined.params.len() != function.parameters().len() {
            return fault(format!(
                "`{}` takes ({}), and this one takes ({})",
                defined.name,
                function.parameters().join(", "),
                defined.params.join(", ")
            ));
        }
        functions.push(function);
    }
    if functions.iter().all(|function| matches!(function, Function::Init | Function::Reset | Function::Migrate)) {
        let message =
            "it defines none of `on_logits`, `on_token`, `on_assessment` and `on_retract`, so it would do nothing";
        return Err(Diagnosis::new(file, source, Position::NONE, message.into()));
    }
    Ok(functions)
}

/// A script is a policy, unless its top level says `const ROLE = "fusion";`.
fn role(file: &str, source: &str, constants: &Scope, functions: &[Function]) -> Result<Role, Box<Diagnosis>> {
    let fault = |message: &str| Err(Diagnosis::new(file, source, place_of(source, "const ROLE"), message.into()));
    match constants.get("ROLE").map(|role| role.to_string()).as_deref() {
        None | Some("policy") => Ok(Role::Policy),
        Some("fusion") if functions.contains(&Function::OnLogits) => Ok(Role::Fusion),
        Some("fusion") => fault("a fusion defines `on_logits(step, rows, fused)`, and this script does not"),
        Some(_) => fault("`ROLE` is \"policy\" or \"fusion\""),
    }
}

/// How many units a script takes back at most: what its top level says by `const MAX_RETRACT = 8;`, or none where it judges no
/// window or never speaks of `retract`. `None` where that is not known.
fn reach(file: &str, source: &str, constants: &Scope, functions: &[Function]) -> Result<Option<u32>, Box<Diagnosis>> {
    if let Some(declared) = constants.get(MAX_RETRACT) {
        let units = declared.as_int().ok().and_then(|units| u32::try_from(units).ok());
        return units.map(Some).ok_or_else(|| {
            let place = place_of(source, &format!("const {MAX_RETRACT}"));
            let message =
                format!("`{MAX_RETRACT}` is how many tokens are taken back at most: a whole number, 0 for none");
            Diagnosis::new(file, source, place, message)
        });
    }
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let speaks_of_it = code.flat_map(|line| line.split(|letter| !is_word(letter))).any(|word| word == "retract");
    Ok((!speaks_of_it || !functions.contains(&Function::OnAssessment)).then_some(0))
}

/// What a script may declare.
const MAX_RETRACT: &str = "MAX_RETRACT";

fn definition(source: &str, function: &str) -> Position {
    place_of(source, &format!("fn {function}"))
}

/// Where a line that begins with `text` stands. Rhai's public interface does not tell where a function is defined.
pub(super) fn place_of(source: &str, text: &str) -> Position {
    for (index, line) in source.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let rest = line[indent..].strip_prefix(text);
        if rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')) {
            let line = u16::try_from(index + 1).unwrap_or(u16::MAX);
            return Position::new(line, u16::try_from(indent + 1).unwrap_or(u16::MAX));
        }
    }
    Position::NONE
}
