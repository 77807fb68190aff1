//! `knob(name, default, min, max)`: numbers of a script that a person can set while it runs.
//!
//! A knob mostly stands in a constant of the top level, so setting one builds the program again. What a person set holds
//! over edits until an edit gives that knob another default or range: the newest word wins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Dynamic, Engine, EvalAltResult};

use super::diagnose;
use crate::hooks::Knob;

/// More than a person would look through.
const MOST: usize = 64;

/// The knobs of one program.
#[derive(Default)]
pub(super) struct Knobs(Mutex<Table>);

#[derive(Default, Clone)]
struct Table {
    /// What a person set, with the default and range that it was set for.
    set: Vec<Knob>,
    /// What the script asked for so far.
    known: Vec<Known>,
}

#[derive(Clone)]
struct Known {
    knob: Knob,
    /// All numbers in the script are whole, so it gets whole ones.
    is_whole: bool,
}

impl Knobs {
    /// For another text: all values as they are.
    pub(super) fn copy(&self) -> Self {
        Self(Mutex::new(self.table().clone()))
    }

    /// What a person set, for comparison.
    pub(super) fn set(&self) -> Vec<Knob> {
        self.table().set.clone()
    }

    /// For an edited script: what was set, and nothing known.
    pub(super) fn after_edit(&self) -> Self {
        let mut set = self.table().set.clone();
        set.retain(|set| set.value != set.default);
        Self(Mutex::new(Table { set, known: Vec::new() }))
    }

    /// For the same script, with one knob set. An error is a sentence.
    pub(super) fn with(&self, name: &str, value: f64) -> Result<Self, String> {
        let mut table = self.table().clone();
        let Some(known) = table.known.iter_mut().find(|known| known.knob.name == name) else {
            return Err(unknown(name, &table.known));
        };
        let Knob { minimum, maximum, .. } = known.knob;
        if !(minimum..=maximum).contains(&value) {
            return Err(format!("`{name}` takes {minimum} to {maximum}, and this is {value}"));
        }
        if known.is_whole && value.fract() != 0.0 {
            return Err(format!("`{name}` takes whole numbers, and this is {value}"));
        }
        known.knob.value = value;
        let knob = known.knob.clone();
        table.set.retain(|set| set.name != name);
        table.set.push(knob);
        Ok(Self(Mutex::new(table)))
    }

    /// Forgets what was set for a knob that has another default or range now.
    pub(super) fn forget_outdated(&self) {
        let Table { set, known } = &mut *self.table();
        set.retain(|set| known.iter().all(|known| known.knob.name != set.name || is_same(&known.knob, set)));
    }

    /// Those that the script asked for so far, in that order.
    pub(super) fn list(&self) -> Vec<Knob> {
        self.table().known.iter().map(|known| known.knob.clone()).collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `knob` gives.
    fn read(&self, name: &str, numbers: [&Dynamic; 3]) -> Result<Dynamic, Box<EvalAltResult>> {
        let is_whole = numbers.iter().all(|number| number.is_int());
        let number = |value: &Dynamic| value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64));
        let [Ok(default), Ok(minimum), Ok(maximum)] = numbers.map(number) else {
            return Err(
                format!("`knob` takes a name and three numbers, as in `knob(\"{name}\", 0.5, 0.0, 1.0)`").into()
            );
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("a knob is named by one word, and this is `{name}`").into());
        }
        if !(minimum <= default && default <= maximum && (maximum - minimum).is_finite()) {
            return Err(
                format!("the default of `{name}` is {default}, outside of its range {minimum} to {maximum}").into()
            );
        }
        let mut table = self.table();
        let mut asked = Knob { name: name.to_owned(), value: default, default, minimum, maximum };
        let value = match table.known.iter().find(|known| known.knob.name == name) {
            Some(known) if is_same(&known.knob, &asked) && known.is_whole == is_whole => known.knob.value,
            Some(_) => {
                return Err(format!(
                    "`{name}` is a knob with another default or range already; keep it in a `const` and use that"
                )
                .into());
            }
            None if table.known.len() == MOST => return Err(format!("a script has up to {MOST} knobs").into()),
            None => {
                let set = table.set.iter().find(|set| is_same(set, &asked));
                asked.value = set.map_or(default, |set| set.value);
                let value = asked.value;
                table.known.push(Known { knob: asked, is_whole });
                value
            }
        };
        Ok(if is_whole { Dynamic::from(value as i64) } else { Dynamic::from(value) })
    }
}

pub(super) fn register(engine: &mut Engine, knobs: &Arc<Knobs>) {
    let knobs = Arc::clone(knobs);
    engine.register_fn("knob", move |name: &str, default: Dynamic, minimum: Dynamic, maximum: Dynamic| {
        knobs.read(name, [&default, &minimum, &maximum])
    });
}

fn is_same(one: &Knob, other: &Knob) -> bool {
    one.name == other.name && (one.default, one.minimum, one.maximum) == (other.default, other.minimum, other.maximum)
}

fn unknown(name: &str, known: &[Known]) -> String {
    let names = || known.iter().map(|known| known.knob.name.as_str());
    match (diagnose::nearest(name, names()), known.is_empty()) {
        (_, true) => format!("it has no knob `{name}`, and no other"),
        (Some(guess), _) => format!("it has no knob `{name}`; did you mean `{guess}`?"),
        (None, _) => {
            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            format!("it has no knob `{name}`, only {}", names.join(", "))
        }
    }
}
