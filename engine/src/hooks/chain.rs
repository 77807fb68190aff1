//! All hooks in the order of their registration: calls them, checks what they answer, merges it, and keeps the text going
//! when one of them fails.

mod merge;

pub(crate) use merge::Point;
pub use merge::{Adjusted, Merged};

use super::{Hook, HookError, Knob, Origin, Reload, Reloaded};
use crate::fuse;
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use std::time::{Duration, Instant};

/// Failures in a row after which a hook is parked.
const FAULTS: u32 = 3;

/// Longest call; a longer one counts as failed. A script is stopped long before; a compiled hook cannot be stopped, only
/// not listened to. Generous, because a loaded machine must not change the text.
pub(super) const BUDGET: Duration = Duration::from_millis(250);

struct Slot {
    hook: Box<dyn Hook>,
    running: bool,
    /// Failures in a row, by [`Call`]: one that fails in one hook and does well in another is no good hook.
    faults: [u32; 5],
    parked: Option<String>,
    last_notice: String,
    /// Failed calls since it was added.
    failures: u64,
}

/// A string that may be written next, where units are bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Empty for the end of the text.
    pub bytes: Vec<u8>,
    /// Of all that may come.
    pub share: f64,
    /// What each member gives it.
    pub members: Vec<f64>,
}

/// One call of the hooks with what came of it: what a [`Recorder`] sees.
pub enum Seen<'a> {
    /// A reply begins.
    Start,
    /// The fused row as all hooks left it, not normalised.
    Logits(&'a Step, &'a Rows<'a>, &'a [f32]),
    /// Where units are bytes: strings that a piece may begin with, the likeliest first.
    Choices(&'a Step, &'a [Choice]),
    /// A candidate.
    Token(&'a Step, &'a Token<'a>, &'a Merged),
    /// A unit that was accepted.
    Assessment(&'a Step, &'a Assessment<'a>, &'a Merged),
    /// Units are gone.
    Retract(&'a Step, &'a Retraction<'a>),
}

/// Writes down what the hooks saw. What it returns is a sentence for the user.
pub type Recorder = Box<dyn FnMut(&Seen) -> Option<String> + Send>;

/// What `--list-hooks` and `/policy` show of a hook.
#[derive(Debug, Clone, PartialEq)]
pub struct HookInfo {
    /// Its name.
    pub name: String,
    /// Fusion or policy.
    pub role: Role,
    /// Where it comes from.
    pub origin: Origin,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Whether it runs.
    pub active: bool,
    /// `running`, `idle`, or `parked: ` with the reason.
    pub state: String,
    /// Calls that failed and were skipped, since it was loaded.
    pub failures: u64,
    /// What can be set while it runs.
    pub knobs: Vec<Knob>,
}

/// The hooks of one text.
#[derive(Default)]
pub struct Chain {
    slots: Vec<Slot>,
    fusion: String,
    /// The row before a hook edits it, to go back to when the hook fails.
    before: Vec<f32>,
    notices: Vec<String>,
    recorders: Vec<Recorder>,
}

impl Chain {
    /// Adds a hook at the end. A fusion runs once it is chosen by [`Chain::set_fusion`], a policy when `running`.
    pub fn add(&mut self, hook: Box<dyn Hook>, running: bool) {
        self.slots.push(Slot::new(hook, running));
    }

    /// Adds a script, or puts it in the place of the one that is there already: of the same file, or of the same name, which
    /// no command could reach any more. A notice says so. A built-in policy of that name, or one of a library, is switched off.
    pub fn put(&mut self, hook: Box<dyn Hook>) {
        let is_policy = hook.role() == Role::Policy;
        let file = |hook: &dyn Hook| match hook.origin() {
            Origin::Script(path) => Some(path),
            _ => None,
        };
        let new = file(&*hook);
        let is_same_file = |slot: &Slot| match (&new, file(&*slot.hook)) {
            (Some(new), Some(old)) => same_file::is_same_file(new, old).unwrap_or(false),
            _ => false,
        };
        let is_same_name = |slot: &Slot| slot.hook.role() == hook.role() && slot.hook.name() == hook.name();
        let (name, shown) = (hook.name().to_string(), hook.origin().place());
        if let Some(slot) = self.slots.iter_mut().find(|slot| is_same_file(slot)) {
            self.notices.push(format!("`{shown}` was there already, and is loaded anew"));
            *slot = Slot::new(hook, is_policy || slot.running);
            return;
        }
        match self.slots.iter_mut().rfind(|slot| is_same_name(slot)) {
            Some(slot) if file(&*slot.hook).is_some() => {
                let before = slot.hook.origin().place();
                self.notices.push(format!("`{name}` of `{before}` gives way to `{name}` of `{shown}`"));
                *slot = Slot::new(hook, is_policy || slot.running);
            }
            Some(slot) if is_policy && slot.running => {
                let before = slot.hook.origin().place();
                self.notices.push(format!("`{name}` of {before} is switched off for `{name}` of `{shown}`"));
                slot.switch(false);
                self.add(hook, true);
            }
            _ => self.add(hook, is_policy),
        }
    }

    /// The same hooks for another text: each as it is here, running, idle or parked, with a state that begins anew. Faults and
    /// notices are the new text's own, and nothing records it. A hook that cannot be made again is left out, and the new
    /// chain has a notice of it.
    pub fn another(&self) -> Self {
        let mut chain = Self { fusion: self.fusion.clone(), ..Self::default() };
        for slot in &self.slots {
            match slot.hook.another() {
                Ok(hook) => {
                    chain.slots.push(Slot { parked: slot.parked.clone(), ..Slot::new(hook, slot.running) });
                }
                Err(why) => {
                    let mut notice = format!("`{}` is left out of this text: {why}", slot.hook.name());
                    if slot.running && slot.hook.role() == Role::Fusion {
                        chain.fusion.clear();
                        notice += "; the members' weighted mean is in its place";
                    }
                    chain.notices.push(notice);
                }
            }
        }
        chain
    }

    /// Names of all fusions or all policies.
    pub fn names(&self, role: Role) -> Vec<String> {
        self.slots.iter().filter(|slot| slot.hook.role() == role).map(|slot| slot.hook.name().to_string()).collect()
    }

    /// Chooses the fusion. False when there is none of that name. Of two with one name, the one loaded last.
    pub fn set_fusion(&mut self, name: &str) -> bool {
        let chosen = self.slots.iter().rposition(|slot| slot.hook.role() == Role::Fusion && slot.hook.name() == name);
        let Some(chosen) = chosen else { return false };
        for (index, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.hook.role() == Role::Fusion) {
            slot.running = index == chosen;
            slot.revive();
        }
        self.fusion = name.to_string();
        true
    }

    /// The fusion that runs.
    pub fn fusion(&self) -> &str {
        &self.fusion
    }

    /// Lets a policy run or stops it; a parked one gets another chance. False when there is none of that name.
    pub fn set_running(&mut self, name: &str, running: bool) -> bool {
        let found =
            self.slots.iter_mut().rev().find(|slot| slot.hook.role() == Role::Policy && slot.hook.name() == name);
        let Some(slot) = found else { return false };
        slot.switch(running);
        true
    }

    /// Sets a knob of a hook, the last one of that name.
    pub fn set_knob(&mut self, name: &str, knob: &str, value: f64) -> Result<(), HookError> {
        let slot = self.slots.iter_mut().rev().find(|slot| slot.hook.name() == name);
        slot.ok_or_else(|| HookError(format!("there is no hook `{name}`")))?.hook.set_knob(knob, value)
    }

    /// Names of the policies that run, in order.
    pub fn policies(&self) -> Vec<String> {
        let running = self.slots.iter().filter(|slot| slot.is_live() && slot.hook.role() == Role::Policy);
        running.map(|slot| slot.hook.name().to_string()).collect()
    }

    /// How many of the newest units the hooks that run take back at most; without one that does nothing ever is.
    pub fn reach(&self) -> u32 {
        let policies = self.slots.iter().filter(|slot| slot.is_live() && slot.hook.role() == Role::Policy);
        policies.map(|slot| slot.hook.reach().unwrap_or(u32::MAX)).max().unwrap_or(0)
    }

    /// Whether any hook that runs may change a row.
    pub fn edits_logits(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_live() && slot.hook.edits_logits())
    }

    /// All hooks, for people.
    pub fn list(&self) -> Vec<HookInfo> {
        let info = |slot: &Slot| {
            let (version, description) = slot.hook.describe();
            HookInfo {
                name: slot.hook.name().to_string(),
                role: slot.hook.role(),
                origin: slot.hook.origin(),
                version,
                description,
                active: slot.is_live(),
                failures: slot.failures,
                knobs: slot.hook.knobs(),
                state: match (&slot.parked, slot.running) {
                    (Some(why), _) => format!("parked: {why}"),
                    (None, true) => "running".into(),
                    (None, false) => "idle".into(),
                },
            }
        };
        self.slots.iter().map(info).collect()
    }

    /// Lets `recorder` see every call from now on, beside those that do already.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorders.push(recorder);
    }

    /// Whether anybody sees the calls.
    pub(crate) fn is_watched(&self) -> bool {
        !self.recorders.is_empty()
    }

    /// Shows who looks on what a piece may begin with.
    pub(crate) fn watch_choices(&mut self, step: &Step, choices: &[Choice]) {
        self.seen(&Seen::Choices(step, choices));
    }

    fn seen(&mut self, seen: &Seen) {
        for recorder in &mut self.recorders {
            self.notices.extend(recorder(seen));
        }
    }

    /// What the user should read since the last call.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// A new reply starts.
    pub fn reset(&mut self) {
        let notices = &mut self.notices;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_live()) {
            let outcome = slot.hook.reset();
            slot.settle(Call::Reset, outcome, Duration::ZERO, notices);
        }
        self.seen(&Seen::Start);
    }

    /// Between two steps: takes over changed files. `told` hears of each swap.
    pub fn reload_changed(&mut self, told: &mut dyn FnMut(&Reloaded)) {
        self.reload(|hook| hook.reload_if_changed(), told);
    }

    /// `/reload`: takes over all files as they are now.
    pub fn reload_all(&mut self, told: &mut dyn FnMut(&Reloaded)) {
        self.reload(|hook| hook.reload_now(), told);
    }

    fn reload(&mut self, look: impl Fn(&mut dyn Hook) -> Reload, told: &mut dyn FnMut(&Reloaded)) {
        for slot in &mut self.slots {
            match look(&mut *slot.hook) {
                Reload::Unchanged => {}
                Reload::Swapped { version, milliseconds } => {
                    slot.revive();
                    let hook = slot.hook.name().to_string();
                    let file = slot.hook.origin().file_name().unwrap_or_else(|| hook.clone());
                    told(&Reloaded { hook, file, version, milliseconds });
                }
                Reload::Refused(why) => self.notices.push(why),
            }
        }
    }

    /// Runs the fusion and the filters over `fused`, which starts as the members' weighted mean; `mean` writes that again. A
    /// hook that fails or leaves nonsense leaves the row as it was before.
    pub fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32], mean: &dyn Fn(&mut [f32])) {
        let Self { slots, before, notices, .. } = self;
        // The row is the mean until the first hook is through, and only when it fails that is needed again.
        let mut is_mean = true;
        for slot in slots.iter_mut().filter(|slot| slot.is_live() && slot.hook.edits_logits()) {
            if !is_mean {
                before.clear();
                before.extend_from_slice(fused);
            }
            let start = Instant::now();
            let outcome = slot
                .hook
                .on_logits(step, rows, fused)
                .and_then(|()| fuse::check(fused).map_err(|error| HookError(format!("it left a row that {error}"))));
            match slot.settle(Call::Logits, outcome, start.elapsed(), notices) {
                Some(()) => is_mean = false,
                None if is_mean => mean(fused),
                None => fused.copy_from_slice(before),
            }
        }
        self.seen(&Seen::Logits(step, rows, fused));
    }

    /// Asks all hooks about a candidate.
    pub fn on_token(&mut self, step: &Step, token: &Token) -> Merged {
        let merged = self.ask(Point::Token, |hook| hook.on_token(step, token));
        self.seen(&Seen::Token(step, token, &merged));
        merged
    }

    /// Asks all hooks about the recent window.
    pub fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Merged {
        let merged = self.ask(Point::Assessment, |hook| hook.on_assessment(step, assessment));
        self.seen(&Seen::Assessment(step, assessment, &merged));
        merged
    }

    /// Tells all hooks that units were taken back.
    pub fn on_retract(&mut self, step: &Step, retraction: &Retraction) {
        let notices = &mut self.notices;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_live()) {
            let start = Instant::now();
            let outcome = slot.hook.on_retract(step, retraction);
            slot.settle(Call::Retract, outcome, start.elapsed(), notices);
        }
        self.seen(&Seen::Retract(step, retraction));
    }

    fn ask(&mut self, point: Point, mut call: impl FnMut(&mut dyn Hook) -> Result<Verdict, HookError>) -> Merged {
        let mut merged = Merged::default();
        let notices = &mut self.notices;
        for slot in self.slots.iter_mut().filter(|slot| slot.is_live()) {
            let start = Instant::now();
            let outcome = call(&mut *slot.hook).and_then(|verdict| point.check(&verdict).map(|()| verdict));
            if let Some(verdict) = slot.settle(point.into(), outcome, start.elapsed(), notices) {
                merged.take(slot.hook.name(), slot.hook.generation(), verdict);
            }
        }
        merged
    }
}

impl Slot {
    fn new(hook: Box<dyn Hook>, running: bool) -> Self {
        Self { hook, running, faults: [0; 5], parked: None, last_notice: String::new(), failures: 0 }
    }

    /// Lets it run, with another chance, or stops it.
    fn switch(&mut self, running: bool) {
        self.running = running;
        self.hook.set_watched(running);
        self.revive();
    }

    fn is_live(&self) -> bool {
        self.running && self.parked.is_none()
    }

    /// Another chance.
    fn revive(&mut self) {
        self.parked = None;
        self.faults = [0; 5];
    }

    /// Counts a failure or forgets the ones before; what a call gave, if it counts.
    fn settle<T>(
        &mut self,
        call: Call,
        outcome: Result<T, HookError>,
        time: Duration,
        notices: &mut Vec<String>,
    ) -> Option<T> {
        let outcome = match outcome {
            Ok(_) if time > BUDGET => {
                Err(HookError(format!("it took {} ms, the limit is {} ms", time.as_millis(), BUDGET.as_millis())))
            }
            other => other,
        };
        let error = match outcome {
            Ok(value) => {
                self.faults[call as usize] = 0;
                return Some(value);
            }
            Err(error) => error,
        };
        let faults = &mut self.faults[call as usize];
        *faults += 1;
        self.failures += 1;
        let name = self.hook.name();
        if *faults >= FAULTS {
            self.parked = Some(error.to_string());
            notices.push(format!("`{name}` failed {FAULTS} times in a row and is parked: {error}"));
        } else if self.last_notice != error.0 {
            notices.push(format!("`{name}` is skipped for this step: {error}"));
        }
        self.last_notice = error.0;
        None
    }
}

/// What a hook was called for.
#[derive(Clone, Copy)]
enum Call {
    Logits,
    Token,
    Assessment,
    Retract,
    Reset,
}

impl From<Point> for Call {
    fn from(point: Point) -> Self {
        match point {
            Point::Token => Self::Token,
            Point::Assessment => Self::Assessment,
        }
    }
}
