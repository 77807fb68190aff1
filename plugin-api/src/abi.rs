//! The C ABI between the host and a plugin, version 1.
//!
//! Three rules hold everywhere, and each has its reason:
//!
//! * **Every struct starts with `struct_size` and only grows at its end**, so that a host and a plugin of
//!   different minor versions can each tell which fields the other knows.
//! * **No ownership crosses the border.** What the host passes is borrowed for the duration of the call; what a
//!   plugin answers goes into a buffer of the host. The two sides may use different allocators.
//! * **No `bool` and no C `enum`**: their invalid values are undefined behaviour on the Rust side. Integers have none.
//!
//! Threads: the host calls one plugin instance from one thread at a time, but not always from the same thread.
//! Different instances may be called at the same time. A plugin never calls back into the host outside a call.
//!
//! Pointers that a function is given are never null unless its description says so, and are valid until it returns; a
//! plugin that needs what is behind them later copies it. An exception or a panic never leaves a function.
//!
//! `include/llama_selfmod_plugin.h` is this file in C. Authors in Rust need neither: [`crate::Plugin`] and
//! [`crate::export_plugin!`] are the face over it.

use std::ffi::{c_char, c_void};

/// First field of [`Library`]: the bytes `LLSELFMD` read as a little-endian integer.
pub const MAGIC: u64 = 0x444d_464c_4553_4c4c;
const _: () = assert!(MAGIC == u64::from_le_bytes(*b"LLSELFMD"));
/// A host refuses a library of another major version.
pub const ABI_MAJOR: u32 = 1;
/// A minor version adds fields at the ends of structs and nothing else.
pub const ABI_MINOR: u32 = 2;
/// The exported symbol: a constant [`Library`]. Its name carries the major version, so that a library can carry two.
pub const SYMBOL: &[u8] = b"llama_selfmod_plugin_v1\0";

/// Status of a call: everything went well.
pub const OK: i32 = 0;
/// Status of a call: the plugin failed and has said why through [`Host::set_error`].
pub const FAILED: i32 = 1;
/// Status of a call: the plugin panicked; the message went through [`Host::set_error`].
pub const PANICKED: i32 = 2;
/// Status of a call: the plugin does nothing in this hook; the host need not call it again.
pub const ABSENT: i32 = 3;

/// [`PluginEntry::role`]: computes the fused row. Runs only when it is the chosen fusion mode.
pub const ROLE_FUSION: u32 = 1;
/// [`PluginEntry::role`]: watches and answers with verdicts, or edits the fused row. Always runs.
pub const ROLE_POLICY: u32 = 2;

/// [`RawVerdict::action`], in rising order of precedence when several hooks answer.
pub const CONTINUE: u32 = 0;
/// Change the sampling parameters; see the fields of [`RawVerdict`].
pub const ADJUST: u32 = 1;
/// Draw the candidate again; it is banned at this position. Only from `on_token`.
pub const RESAMPLE: u32 = 2;
/// Take [`RawVerdict::unit`] in place of the candidate. Only from `on_token`.
pub const FORCE: u32 = 3;
/// Take the last [`RawVerdict::units`] units back. Only from `on_assessment`.
pub const RETRACT: u32 = 4;
/// End the reply, with [`RawVerdict::reason`] as its reason.
pub const STOP: u32 = 5;

/// By how much older text counts less in [`Row::evidence`], for each unit of age: half after 23 units.
///
/// Measured on 100 kB of stories in windows of 255 units, with members that share a vocabulary, each decay at the scale
/// of evidence that suits it: with 0.9 two different members gain 2.0 % over the better one, and a member that is a
/// little worse than the other costs 0.9 %; with 0.97 it is 2.4 % and 0.2 %. 0.99 gains no more and follows a change of
/// quality in the middle of a text later.
pub const EVIDENCE_DECAY: f32 = 0.97;

/// [`RawVerdict::flags`]: the adjusted parameters do not decay back to the base values.
pub const HOLD: u32 = 1;

/// How many units one verdict can ban.
pub const MAX_BANS: usize = 16;
/// How many bytes of a reason are kept.
pub const MAX_REASON: usize = 160;

/// Sampling parameters.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// 0 is greedy.
    pub temperature: f32,
    /// In (0, 1]; 1 is off.
    pub top_p: f32,
    /// In [0, 1]; 0 is off.
    pub min_p: f32,
    /// At least 1; 1 is off.
    pub repeat_penalty: f32,
    /// 0 is off.
    pub top_k: u32,
}

/// Where the reply stands. Passed to every hook.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// `size_of::<Step>()` of the host.
    pub struct_size: u32,
    /// Units accepted since the start of the reply; the position being decided (`on_logits`, `on_token`) or just
    /// after the newest unit (`on_assessment`).
    pub position: u32,
    /// 0 at the first try of this position, then 1, 2, … after resamples and retractions.
    pub attempt: u32,
    /// How many units can be taken back right now: bounded by the horizon and by the start of the reply.
    pub retractable: u32,
    /// Retractions this reply may still make. At 0 a retraction is ignored.
    pub retractions_left: u32,
    /// How many members decode together.
    pub members: u32,
    /// What random draws of a hook are made from: a function of (seed, position, attempt), so that the same seed
    /// gives the same bytes. The Rust face draws from it with SplitMix64.
    pub seed: u64,
    /// The parameters in force, adjustments included.
    pub parameters: Parameters,
    /// The parameters the user set, to which adjustments decay.
    pub base: Parameters,
}

/// One member's next-unit logits and what the host has already worked out about them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `size_of::<Row>()` of the host, also the stride from one row to the next.
    pub struct_size: u32,
    /// The unit with the highest logit.
    pub top_unit: u32,
    /// [`Rows::units`] raw logits; −∞ where the member cannot emit the unit.
    pub logits: *const f32,
    /// [`Rows::units`] probabilities; they sum to 1.
    pub probabilities: *const f32,
    /// `log Σ exp logits`: the log-probability of unit v is `logits[v] − log_sum_exp`.
    pub log_sum_exp: f32,
    /// Of this row, in nats.
    pub entropy: f32,
    /// Probability of `top_unit`.
    pub top_probability: f32,
    /// How well this member has predicted the text that stands: the sum of the log-probabilities it gave to the
    /// accepted units and to the last ones of the prompt, each decayed by [`EVIDENCE_DECAY`] for every unit that came after
    /// it. In nats; 0 before any text.
    pub evidence: f32,
    /// The member's weight as set by the user, scaled so that all weights sum to 1.
    pub weight: f32,
    /// Length of `name` in bytes.
    pub name_len: u32,
    /// UTF-8, not NUL-terminated.
    pub name: *const u8,
}

/// All members' rows for the position being decided.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// `size_of::<Rows>()` of the host.
    pub struct_size: u32,
    /// How many rows.
    pub count: u32,
    /// Length of each row.
    pub units: u32,
    /// Reserved; 0.
    pub reserved: u32,
    /// `count` rows, [`Row::struct_size`] bytes apart.
    pub rows: *const Row,
}

/// The candidate that was drawn and not yet decoded.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// `size_of::<Token>()` of the host.
    pub struct_size: u32,
    /// The candidate.
    pub unit: u32,
    /// Its bytes; not always UTF-8 by themselves. Empty for the end of the text.
    pub bytes: *const u8,
    /// Length of `bytes`.
    pub bytes_len: u32,
    /// The member that gave it most weight.
    pub leader: u32,
    /// Its probability in the fused row, before temperature and truncation.
    pub probability: f32,
    /// Of the fused row, in nats.
    pub entropy: f32,
    /// 1 − mean pairwise total-variation distance of the members' rows.
    pub agreement: f32,
    /// 1 when the candidate ends the text, else 0.
    pub is_end: u32,
    /// [`Step::members`] probabilities the members gave it.
    pub member_probabilities: *const f32,
    /// Since 1.1: mean of −ln `probability` over the units that stand in this reply, in nats; 0 before the first.
    pub surprise_mean: f32,
    /// Since 1.1: their standard deviation.
    pub surprise_deviation: f32,
    /// Since 1.1: ln of the likeliest unit's probability less ln of this one's, in nats, units that are banned here left out;
    /// 0 for the likeliest.
    pub behind: f32,
    /// 0.
    pub reserved: u32,
}

/// The report on the recent window, after a unit was accepted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Assessment {
    /// `size_of::<Assessment>()` of the host.
    pub struct_size: u32,
    /// The unit just accepted.
    pub unit: u32,
    /// Its probability in the fused row, before temperature and truncation.
    pub confidence: f32,
    /// Mean confidence of the last 5 units, or of as many as there are.
    pub mean_confidence: f32,
    /// Least-squares slope of those confidences, per unit.
    pub slope: f32,
    /// The lowest of those confidences.
    pub minimum: f32,
    /// How many units back the lowest stands; 1 is the newest. `retract(minimum_back)` takes it away.
    pub minimum_back: u32,
    /// Of the fused row the unit was drawn from, in nats.
    pub entropy: f32,
    /// 1 − mean pairwise total-variation distance of the members' rows.
    pub agreement: f32,
    /// The member that gave the unit most weight.
    pub leader: u32,
    /// How many different units stand among the last 10.
    pub unique: u32,
    /// How many units `unique` was counted over: 10, less at the start.
    pub unique_of: u32,
    /// Length of the longest suffix of the window that stands there a second time, in units; 0 when there is none.
    pub repeated: u32,
    /// How far apart the two copies are, in units; 0 when there is none.
    pub period: u32,
    /// The newest confidences, oldest first.
    pub confidences: *const f32,
    /// The newest units, oldest first; as many as `confidences`.
    pub units: *const u32,
    /// Length of both.
    pub window: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

/// Told to every hook after text was taken back: state about those units must go.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Retraction {
    /// `size_of::<Retraction>()` of the host.
    pub struct_size: u32,
    /// How many units were taken back.
    pub units: u32,
    /// How many units remain since the start of the reply.
    pub position: u32,
    /// Length of `policy`.
    pub policy_len: u32,
    /// The policy whose verdict won; UTF-8.
    pub policy: *const u8,
}

/// A plugin's answer, in a buffer of the host. The host fills it with "continue, change nothing" before the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RawVerdict {
    /// `size_of::<RawVerdict>()` of the host. A plugin writes no field beyond it.
    pub struct_size: u32,
    /// [`CONTINUE`] … [`STOP`].
    pub action: u32,
    /// For [`RETRACT`]: how many.
    pub units: u32,
    /// For [`FORCE`]: which.
    pub unit: u32,
    /// [`HOLD`].
    pub flags: u32,
    /// How many of `bans` are set.
    pub ban_count: u32,
    /// Units banned at the position that is tried again, beside the one that stood there.
    pub bans: [u32; MAX_BANS],
    /// NaN: leave as it is.
    pub temperature: f32,
    /// NaN: leave as it is.
    pub top_p: f32,
    /// NaN: leave as it is.
    pub min_p: f32,
    /// NaN: leave as it is.
    pub repeat_penalty: f32,
    /// −1: leave as it is.
    pub top_k: i32,
    /// How many bytes of `reason` are set.
    pub reason_len: u32,
    /// UTF-8; shown to the user.
    pub reason: [u8; MAX_REASON],
}

/// What the host offers to a plugin. Valid, and the same, from [`PluginEntry::create`] until [`PluginEntry::destroy`]
/// returns. Its functions are never null. They may be called from within a call of the plugin alone, on the thread of that
/// call: never from a thread of the plugin's own, never between calls.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Host {
    /// `size_of::<Host>()` of the host.
    pub struct_size: u32,
    /// The host's [`ABI_MINOR`].
    pub abi_minor: u32,
    /// Says why the call in progress fails. The text belongs to the plugin and is copied before this returns; `text` is
    /// UTF-8 (what is not is replaced) of `len` bytes, without a NUL, and may be null, which says nothing. At most 4096
    /// bytes are kept. Of several texts in one call the last counts; one in a call that returns [`OK`] is dropped. Cannot
    /// fail.
    pub set_error: unsafe extern "C" fn(text: *const u8, len: usize),
    /// Writes the linear mixture `log Σ_i weights[i] · p_i(v)` of all rows to `fused`; vectorised. Only from within
    /// [`PluginEntry::on_logits`], with the `rows` of that call. `weights` has [`Rows::count`] entries, finite and at least
    /// 0, not all 0; the host scales them to sum to 1. `fused` has room for [`Rows::units`] entries: the buffer of the call
    /// or one of the plugin's own. Nothing is kept. Returns [`OK`], or [`FAILED`] when an argument is null or the weights
    /// cannot be used; then the error is set and `fused` is as before.
    pub mix: unsafe extern "C" fn(rows: *const Rows, weights: *const f32, fused: *mut f32) -> i32,
}

/// Takes bytes out of a [`PluginEntry::save`] call: a function of the host, called within that call, on its thread, with
/// the `context` that came with it. The bytes belong to the plugin and are copied before this returns; null only with a
/// `len` of 0. May be called several times: the pieces are joined. Cannot fail; of more than 64 MiB in all the host keeps
/// nothing and takes the call for failed.
pub type Write = unsafe extern "C" fn(context: *mut c_void, bytes: *const u8, len: usize);

/// One plugin of a library: constant, as all that it points to, and in place as long as the library.
///
/// The host calls the functions of one instance one at a time, though not always on the same thread. The functions that
/// take no instance (`settings_schema`, `create`) it may call on any thread and for several instances at once.
///
/// Functions that return a status return [`OK`]; [`FAILED`] or [`PANICKED`] after [`Host::set_error`]; or [`ABSENT`].
/// Whatever else they return counts as a failure, and so does a call of more than 250 ms, which the host cannot stop. What a
/// failed call wrote is ignored, and its error is shown; the instance must stay usable. After three failures in a row at one
/// hook it is called no more, until a newer version takes over or the user gives it another chance.
///
/// A function that is null, or beyond `struct_size`, is not called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PluginEntry {
    /// `size_of::<PluginEntry>()` of the plugin.
    pub struct_size: u32,
    /// [`ROLE_FUSION`] or [`ROLE_POLICY`].
    pub role: u32,
    /// UTF-8, NUL-terminated, not empty: what `--fusion-mode` and events call it.
    pub name: *const c_char,
    /// UTF-8, NUL-terminated; or null.
    pub version: *const c_char,
    /// UTF-8, NUL-terminated: one sentence for `--list-hooks`; or null.
    pub description: *const c_char,
    /// The JSON schema of the settings: an object whose `properties` are the settings there are. UTF-8, NUL-terminated; it
    /// belongs to the library, lives as long, and is the same at every call. Null, from the function or in its place, means
    /// that the plugin looks at its settings by itself. May be called before `create`, on any thread; no function of the
    /// host may be called in it. The host checks settings against the schema before it makes an instance.
    pub settings_schema: Option<unsafe extern "C" fn() -> *const c_char>,
    /// Makes an instance. `host` stays valid until the instance is destroyed. `settings` are `len` bytes of UTF-8, without
    /// a NUL: a JSON object, `{}` at least, that fits the schema; they are borrowed for the call. The instance belongs to
    /// the plugin and is opaque to the host, which passes it back and never reads it. Null is a failure, after
    /// [`Host::set_error`]; the program does not start then, or keeps the version of the plugin that it has. Several
    /// instances can exist at once: a newer version is tried on one that is thrown away. An entry without this function is
    /// refused.
    pub create: Option<unsafe extern "C" fn(host: *const Host, settings: *const u8, len: usize) -> *mut c_void>,
    /// Ends an instance and frees what it holds. Called once for each, last, on any thread, never while another call of the
    /// instance runs. Cannot fail. If it is null, instances are dropped without a word.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// Writes the fused row: `len` log-probabilities or any scores that differ from them by a constant; −∞ masks a unit,
    /// NaN and +∞ are failures, and so is a row without a finite score. On entry it holds what the chain has made so far,
    /// the weighted mean of the members at its start. All pointers are the host's, borrowed for the call; `fused` alone may
    /// be written. `len` is [`Rows::units`]. After a failure the row is as it was on entry.
    pub on_logits: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            step: *const Step,
            rows: *const Rows,
            fused: *mut f32,
            len: usize,
        ) -> i32,
    >,
    /// Judges a candidate before it is decoded. All pointers are the host's, borrowed for the call; `verdict` alone may be
    /// written, and holds "continue, change nothing" on entry. After a failure the verdict is ignored.
    pub on_token: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            step: *const Step,
            token: *const Token,
            verdict: *mut RawVerdict,
        ) -> i32,
    >,
    /// Judges the recent window after a unit was accepted. Pointers, `verdict` and failures as in `on_token`.
    pub on_assessment: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            step: *const Step,
            assessment: *const Assessment,
            verdict: *mut RawVerdict,
        ) -> i32,
    >,
    /// Hears that units were taken back, whoever asked for it: what the instance remembers of them must go. The pointers
    /// are the host's, borrowed for the call. A failure does not undo the retraction.
    pub on_retract:
        Option<unsafe extern "C" fn(instance: *mut c_void, step: *const Step, retraction: *const Retraction) -> i32>,
    /// Writes the instance's state: what `restore` of a newer version of the plugin takes over when its library has
    /// changed. Called between two steps; the instance goes on if the newer version is refused, so it must not change.
    /// `write` and `context` are the host's and valid for the call. If it fails, the newer version is refused.
    pub save: Option<unsafe extern "C" fn(instance: *mut c_void, write: Write, context: *mut c_void) -> i32>,
    /// Takes over the state that an older version of the plugin saved: `len` bytes, borrowed for the call; null only with a
    /// `len` of 0. Called at most once, right after `create`. The bytes can come from any earlier version: check them. If it
    /// fails, this version is refused and the older one goes on. Without this function an instance starts afresh.
    pub restore: Option<unsafe extern "C" fn(instance: *mut c_void, bytes: *const u8, len: usize) -> i32>,
    /// Since 1.2: one more than the most units that it takes back at once; 0 where it does not say. Text that is out of every
    /// policy's reach is certain, and need not be held back from readers that cannot take it back. The host cuts a retraction
    /// that goes further.
    pub reach: u32,
    /// 0.
    pub reserved: u32,
}

/// What a shared library exports as the constant `llama_selfmod_plugin_v1`. Read once after the library was opened, which
/// is copied under another name before and stays open until the program ends.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] the library was built against.
    pub abi_major: u32,
    /// [`ABI_MINOR`] the library was built against.
    pub abi_minor: u32,
    /// `size_of::<Library>()` of the plugin.
    pub struct_size: u32,
    /// How many plugins.
    pub plugin_count: u32,
    /// What it was built with, UTF-8, NUL-terminated; or null. For people.
    pub sdk: *const c_char,
    /// `plugin_count` pointers, none of them null.
    pub plugins: *const *const PluginEntry,
}

// SAFETY: constants; nothing behind their pointers is ever written.
unsafe impl Sync for PluginEntry {}
// SAFETY: as above; a copy points to the same constants.
unsafe impl Send for PluginEntry {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// Size of a struct and the offset of each of its fields; the pattern makes the compiler ask for those that are missing.
#[cfg(target_pointer_width = "64")]
macro_rules! layout {
    ($type:ident is $size:literal: $($field:ident at $offset:literal),+) => {
        const _: () = {
            assert!(std::mem::size_of::<$type>() == $size);
            $(assert!(std::mem::offset_of!($type, $field) == $offset);)+
            let _: fn(&$type) = |$type { $($field: _),+ }| ();
        };
    };
}

// The layout that version 1.0 promises. What stands here never changes; a minor version adds to the ends.
#[cfg(target_pointer_width = "64")]
#[rustfmt::skip]
mod layout {
    use super::*;
    layout!(Parameters is 20: temperature at 0, top_p at 4, min_p at 8, repeat_penalty at 12, top_k at 16);
    layout!(Step is 72: struct_size at 0, position at 4, attempt at 8, retractable at 12, retractions_left at 16,
        members at 20, seed at 24, parameters at 32, base at 52);
    layout!(Row is 56: struct_size at 0, top_unit at 4, logits at 8, probabilities at 16, log_sum_exp at 24,
        entropy at 28, top_probability at 32, evidence at 36, weight at 40, name_len at 44, name at 48);
    layout!(Rows is 24: struct_size at 0, count at 4, units at 8, reserved at 12, rows at 16);
    // 48 in version 1.0.
    layout!(Token is 64: struct_size at 0, unit at 4, bytes at 8, bytes_len at 16, leader at 20, probability at 24,
        entropy at 28, agreement at 32, is_end at 36, member_probabilities at 40, surprise_mean at 48,
        surprise_deviation at 52, behind at 56, reserved at 60);
    layout!(Assessment is 80: struct_size at 0, unit at 4, confidence at 8, mean_confidence at 12, slope at 16,
        minimum at 20, minimum_back at 24, entropy at 28, agreement at 32, leader at 36, unique at 40, unique_of at 44,
        repeated at 48, period at 52, confidences at 56, units at 64, window at 72, reserved at 76);
    layout!(Retraction is 24: struct_size at 0, units at 4, position at 8, policy_len at 12, policy at 16);
    layout!(RawVerdict is 272: struct_size at 0, action at 4, units at 8, unit at 12, flags at 16, ban_count at 20,
        bans at 24, temperature at 88, top_p at 92, min_p at 96, repeat_penalty at 100, top_k at 104, reason_len at 108,
        reason at 112);
    layout!(Host is 24: struct_size at 0, abi_minor at 4, set_error at 8, mix at 16);
    // 104 in versions 1.0 and 1.1.
    layout!(PluginEntry is 112: struct_size at 0, role at 4, name at 8, version at 16, description at 24,
        settings_schema at 32, create at 40, destroy at 48, on_logits at 56, on_token at 64, on_assessment at 72,
        on_retract at 80, save at 88, restore at 96, reach at 104, reserved at 108);
    layout!(Library is 40: magic at 0, abi_major at 8, abi_minor at 12, struct_size at 16, plugin_count at 20,
        sdk at 24, plugins at 32);
}
