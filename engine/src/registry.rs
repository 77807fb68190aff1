//! From settings to hooks: which fusions and policies there are, which of them run, and what they are told of the settings.

use crate::error::Error;
use crate::hooks::Hook;
use crate::hooks::chain::{Chain, HookInfo};
use crate::hooks::native::{self, NativeHook, PluginSettings};
use crate::hooks::script::ScriptHook;
use crate::settings::{PluginSource, PolicySource, Settings};
use plugin_api::Role;
use std::path::Path;

/// The fusions and policies that the settings name, without any model: for `--list-hooks`.
pub fn list_hooks(settings: &Settings) -> Result<Vec<HookInfo>, Error> {
    hooks(settings).map(|chain| chain.list())
}

/// Every policy of the settings and every hook of its plugins, each in a chain of its own, with its name: that of its file and
/// the knobs it was given, so that one script can be compared with itself. For a replay and for measurements.
pub(crate) fn policy_columns(settings: &Settings) -> Result<Vec<(String, Chain)>, Error> {
    let alone = |hook: Box<dyn Hook>, knobs: &[(String, f64)]| {
        let mut name = hook.origin().file_name().unwrap_or_else(|| hook.name().to_string());
        for (index, (knob, value)) in knobs.iter().enumerate() {
            name += &format!("{}{knob}={value}", if index == 0 { ":" } else { "," });
        }
        let mut chain = Chain::default();
        chain.add(hook, true);
        (name, chain)
    };
    let mut columns: Vec<_> = plugins(settings)?.into_iter().map(|hook| alone(hook, &[])).collect();
    for source in &settings.policies {
        columns.push(match source {
            PolicySource::Named(name) => alone(built_in(name, settings)?, &[]),
            PolicySource::Script { path, knobs } => alone(Box::new(script(path, knobs, settings)?), knobs),
        });
    }
    Ok(columns)
}

fn built_in(name: &str, settings: &Settings) -> Result<Box<dyn Hook>, Error> {
    let mut hooks = built_ins(settings)?.into_iter();
    hooks.find(|hook| hook.name() == name).ok_or_else(|| {
        Error::Input(format!("there is no built-in policy `{name}`; name `retraction` or a script's file"))
    })
}

fn built_ins(settings: &Settings) -> Result<Vec<Box<dyn Hook>>, Error> {
    let of_plugins = plugin_settings(settings);
    let make = |entry: &&'static _| native::built_in(entry, &of_plugins).map(|hook| Box::new(hook) as Box<dyn Hook>);
    native::built_in_plugins().iter().map(make).collect::<Result<_, _>>().map_err(refused)
}

/// The hooks of all shared libraries.
fn plugins(settings: &Settings) -> Result<Vec<Box<dyn Hook>>, Error> {
    let mut hooks: Vec<Box<dyn Hook>> = Vec::new();
    for plugin in &settings.plugins {
        hooks.extend(load_plugin(plugin, settings)?.into_iter().map(|hook| Box::new(hook) as Box<dyn Hook>));
    }
    Ok(hooks)
}

pub(crate) fn load_plugin(plugin: &PluginSource, settings: &Settings) -> Result<Vec<NativeHook>, Error> {
    let of_plugins = PluginSettings { given: plugin.settings.clone(), ..plugin_settings(settings) };
    native::load_library(&plugin.path, &of_plugins, settings.watching).map_err(refused)
}

fn plugin_settings(settings: &Settings) -> PluginSettings {
    PluginSettings {
        common: hook_settings(settings),
        config: settings.plugin_config.clone(),
        given: Default::default(),
    }
}

fn refused(error: native::LoadError) -> Error {
    Error::Input(error.to_string())
}

fn script(path: &Path, knobs: &[(String, f64)], settings: &Settings) -> Result<ScriptHook, Error> {
    let given = serde_json::Value::Object(hook_settings(settings)).to_string();
    let mut hook =
        ScriptHook::load(path, &given, settings.watching).map_err(|error| Error::Input(error.to_string()))?;
    for (knob, value) in knobs {
        let refused = |error| Error::Input(format!("the script `{}`: {error}", path.display()));
        hook.set_knob(knob, *value).map_err(refused)?;
    }
    Ok(hook)
}

/// What would keep a script from being loaded, or else what is probably a slip in it, in lines for a person.
#[cfg(feature = "serve")]
pub(crate) fn check_script(label: &str, text: &str, settings: &Settings) -> Result<Vec<String>, String> {
    let given = serde_json::Value::Object(hook_settings(settings)).to_string();
    let report = crate::hooks::script::check::check_source(label, text, &given);
    if let Some(fault) = report.fault {
        return Err(fault.to_string());
    }
    let line = |warning: &crate::hooks::script::check::Warning| match warning.line {
        Some(line) => format!("line {line}: {}", warning.message),
        None => warning.message.clone(),
    };
    Ok(report.warnings.iter().map(line).collect())
}

pub(crate) fn hooks(settings: &Settings) -> Result<Chain, Error> {
    let mut chain = Chain::default();
    built_ins(settings)?.into_iter().for_each(|hook| chain.add(hook, false));
    for hook in plugins(settings)? {
        let running = hook.role() == Role::Policy;
        chain.add(hook, running);
    }
    let plugins = [chain.names(Role::Fusion), chain.names(Role::Policy)].concat();
    settings.plugin_config.names_only(&plugins).map_err(refused)?;
    for source in &settings.policies {
        add_policy(&mut chain, source, settings)?;
    }
    choose_fusion(&mut chain, &settings.fusion_mode)?;
    Ok(chain)
}

/// What plugins and scripts get to read of the command line.
fn hook_settings(settings: &Settings) -> serde_json::Map<String, serde_json::Value> {
    [
        ("confidence_threshold".to_string(), settings.confidence_threshold.into()),
        ("aggressive".to_string(), settings.aggressive.into()),
    ]
    .into_iter()
    .collect()
}

pub(crate) fn choose_fusion(chain: &mut Chain, name: &str) -> Result<(), Error> {
    if chain.set_fusion(name) {
        return Ok(());
    }
    let known = chain.names(Role::Fusion).join("`, `");
    Err(Error::Input(format!(
        "there is no fusion `{name}`; choose one of `{known}`, or load one with --plugin or --policy"
    )))
}

pub(crate) fn run_policy(chain: &mut Chain, name: &str, running: bool) -> Result<(), Error> {
    if chain.set_running(name, running) {
        return Ok(());
    }
    let known = chain.names(Role::Policy).join("`, `");
    Err(Error::Input(format!(
        "there is no policy `{name}`; there are `{known}`, and scripts can be added by their file"
    )))
}

pub(crate) fn add_policy(chain: &mut Chain, source: &PolicySource, settings: &Settings) -> Result<String, Error> {
    match source {
        PolicySource::Named(name) => run_policy(chain, name, true).map(|()| name.clone()),
        PolicySource::Script { path, knobs } => {
            let hook = script(path, knobs, settings)?;
            let name = hook.name().to_string();
            chain.put(Box::new(hook));
            Ok(name)
        }
    }
}
