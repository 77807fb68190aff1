//! How an instance begins, hands its state over, and ends.

use super::fixtures::Draws;
use super::verdicts::Moment;
use super::{Finding, Outcome, Subject};
use crate::hooks::native::trial::{Described, Specimen};
use plugin_api::Role;
use serde_json::{Value, json};

/// How many instances are made and ended in a row.
const LIVES: usize = 100;
/// How many steps of a made-up reply an instance sees before it is saved, and after it was restored.
const STEPS: u32 = 40;

/// It starts with its default settings, and says what it is.
pub fn start(subject: &mut Subject) -> Outcome {
    let hook = subject.start()?;
    subject.doing("in destroy");
    drop(hook);
    let Described { name, version, description, role, .. } = subject.described();
    let role = match role {
        Role::Fusion => "fusion",
        Role::Policy => "policy",
    };
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == ',') {
        return Err(format!("is called `{}`, which nobody can type after a flag: take one word", name.escape_debug()));
    }
    let text = format!("{role} `{name}` {version}");
    Ok(match (description.trim(), version.trim()) {
        ("", _) => Finding::Warning(format!("{text} has no description; `--list-hooks` has nothing to say of it")),
        (_, "") => Finding::Warning(format!("{text} has no version")),
        _ => Finding::Passed(format!("{text}: {description}")),
    })
}

/// The schema describes settings, the plugin takes their defaults, and what does not fit ends nothing.
pub fn settings(subject: &mut Subject) -> Outcome {
    let Some(schema) = subject.described().schema.cloned() else {
        subject.start_with(r#"{"no_such_setting":1}"#).map_err(|error| {
            format!("has no schema, so it gets settings it does not know, and has to ignore them: {error}")
        })?;
        return Ok(Finding::Passed("no schema: it gets what the user gives, unchecked".into()));
    };
    let properties = match schema.get("properties") {
        Some(Value::Object(properties)) => properties.clone(),
        Some(_) => return Err("has a schema whose `properties` are no object".into()),
        None if schema["type"] == "object" => return Ok(Finding::Passed("none".into())),
        None => return Err("has a schema without `properties`; it has to describe an object".into()),
    };
    let defaults: serde_json::Map<String, Value> = properties
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect();
    subject
        .start_with(&Value::Object(defaults).to_string())
        .map_err(|error| format!("refuses the defaults of its own schema: {error}"))?;
    let mut wrong = vec![json!({ "no_such_setting": 1 })];
    wrong.extend(properties.iter().map(|(name, property)| json!({ name: other_type(property) })));
    for settings in wrong {
        // The program refuses these by the schema. What reaches a plugin all the same must not end the process.
        let _ = subject.start_with(&settings.to_string());
    }
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    Ok(Finding::Passed(if names.is_empty() { "none".into() } else { names.join(", ") }))
}

/// A value that a property does not take.
fn other_type(property: &Value) -> Value {
    let types = property.get("type").map(Value::to_string).unwrap_or_default();
    if types.contains("object") || types.is_empty() { json!([[]]) } else { json!({ "of": "another type" }) }
}

/// An instance that takes a saved state over goes on as the one that saved it would have.
pub fn save_and_restore(subject: &mut Subject) -> Outcome {
    let mut old = subject.start()?;
    let mut draws = Draws::new(13);
    subject.doing("in its hooks, before save");
    for position in 0..STEPS {
        drop(Moment::draw(&mut draws, position).show(&mut old));
    }
    subject.doing("in save");
    let state = old.save().map_err(|error| format!("cannot save: {error}"))?.filter(|state| !state.is_empty());
    let mut new = subject.start()?;
    if let Some(state) = &state {
        subject.doing("in restore of what it saved");
        new.restore(state).map_err(|error| format!("refuses the state that it saved itself: {error}"))?;
    }
    subject.doing("in its hooks, after restore");
    let same = (STEPS..2 * STEPS).all(|position| {
        let moment = Moment::draw(&mut draws, position);
        moment.show(&mut old) == moment.show(&mut new)
    });
    let Some(state) = state else {
        return Ok(match same {
            true => Finding::Passed("no state".into()),
            false => Finding::Warning(
                "it has a state and no save, so it starts afresh when its library is built anew during a reply".into(),
            ),
        });
    };
    if !same {
        return Err("answers otherwise after restore than the instance that was saved".into());
    }
    for nonsense in [&b""[..], b"\x00", b"{\"of\":\"another\"}", &[0xff; 4096]] {
        let mut fresh = subject.start()?;
        subject.doing(format!("in restore of {} bytes of nonsense", nonsense.len()));
        drop(fresh.restore(nonsense));
        subject.doing("in its hooks, after restore of nonsense");
        drop(Moment::draw(&mut Draws::new(17), 0).show(&mut fresh));
    }
    Ok(Finding::Passed(format!("{} bytes", state.len())))
}

/// Instances end, used or not, whatever the order.
pub fn destroy(subject: &mut Subject) -> Outcome {
    let mut alive: Vec<Specimen> = Vec::new();
    for life in 0..LIVES {
        let mut hook = subject.start()?;
        subject.doing("in its hooks, before destroy");
        drop(Moment::draw(&mut Draws::new(life as u64), 0).show(&mut hook));
        alive.push(hook);
        if life % 3 == 2 {
            subject.doing("in destroy");
            alive.remove(0);
        }
    }
    subject.doing("in destroy");
    drop(alive);
    Ok(Finding::Passed(format!("{LIVES} instances")))
}
