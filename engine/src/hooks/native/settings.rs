//! Which plugin gets which settings.

use super::error::LoadError;
use super::load::Plugin;
use super::schema::Schema;
use crate::near::guess;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What plugins are set to. Where they say different things, the later field wins.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// For everyone: a plugin gets what its schema has of it.
    pub common: Map<String, Value>,
    /// By the name of a plugin: each of its keys has to be known to it.
    pub config: PluginConfig,
    /// For the library at hand: a plugin gets what its schema has, and each key has to be known to one of them.
    pub given: Map<String, Value>,
}

/// Settings by the names of plugins, from a file: `{"blend": {"alpha": 0.2}}`.
#[derive(Debug, Clone, Default)]
pub struct PluginConfig {
    /// For messages.
    file: PathBuf,
    text: String,
    by_name: BTreeMap<String, Map<String, Value>>,
}

impl PluginConfig {
    /// Settings by the plugins' names.
    pub fn as_map(&self) -> Map<String, Value> {
        self.by_name.iter().map(|(name, own)| (name.clone(), Value::Object(own.clone()))).collect()
    }
}

impl PluginSettings {
    /// With what is given for one library, a JSON object, and nothing else.
    pub fn given(json: &str) -> Result<Self, LoadError> {
        let given =
            serde_json::from_str(json).map_err(|error| LoadError::Settings(format!("no JSON object: {error}")))?;
        Ok(Self { given, ..Self::default() })
    }

    /// The settings of one of `all` plugins of a library, as a JSON object that fits its schema.
    pub(super) fn of(&self, plugin: &Plugin, all: &[Plugin], place: &str) -> Result<String, LoadError> {
        self.are_known(all, place)?;
        let knows = |name: &str| plugin.schema.as_ref().is_none_or(|schema| schema.knows(name));
        let known = |map: &Map<String, Value>| -> Vec<(String, Value)> {
            map.iter().filter(|(name, _)| knows(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let named = self.config.by_name.get(&plugin.name).cloned().unwrap_or_default();
        let mut settings: Map<String, Value> = known(&self.common).into_iter().collect();
        settings.extend(named.clone());
        settings.extend(known(&self.given));
        let Some(schema) = &plugin.schema else { return Ok(Value::Object(settings).to_string()) };

        let whose = format!("the plugin `{}` of {place}", plugin.name);
        if let Some(name) = named.keys().find(|name| !schema.knows(name)) {
            let guess = guess(name, schema.names());
            let place = self.config.place(&plugin.name, name);
            return Err(LoadError::Settings(format!("{place}{whose} has no setting `{name}`{guess}{}", told(schema))));
        }
        if let Some((name, value)) = settings.iter().find(|(name, value)| !schema.fits(name, value)) {
            let is_from_file = named.contains_key(name) && !self.given.contains_key(name);
            let place = if is_from_file { self.config.place(&plugin.name, name) } else { String::new() };
            return Err(LoadError::Settings(format!(
                "{place}{whose} cannot take {value} as `{name}`, which has to be {}.{}",
                schema.expected(name),
                told(schema)
            )));
        }
        if let Some(name) = schema.missing(&settings) {
            return Err(LoadError::Settings(format!("{whose} needs the setting `{name}`.{}", told(schema))));
        }
        Ok(Value::Object(settings).to_string())
    }

    /// Every key that is given for a library is known to one of its plugins.
    fn are_known(&self, all: &[Plugin], place: &str) -> Result<(), LoadError> {
        let schemas: Vec<&Schema> = all.iter().filter_map(|plugin| plugin.schema.as_ref()).collect();
        if schemas.len() < all.len() {
            return Ok(());
        }
        let Some(name) = self.given.keys().find(|name| !schemas.iter().any(|schema| schema.knows(name))) else {
            return Ok(());
        };
        let guess = guess(name, schemas.iter().flat_map(|schema| schema.names()));
        Err(LoadError::Settings(match all {
            [plugin] => {
                format!("the plugin `{}` of {place} has no setting `{name}`{guess}{}", plugin.name, told(schemas[0]))
            }
            _ => {
                let each =
                    all.iter().zip(schemas).map(|(plugin, schema)| format!("\n`{}`:{}", plugin.name, lines(schema)));
                format!("no plugin of {place} has a setting `{name}`{guess} They have:{}", each.collect::<String>())
            }
        }))
    }
}

/// What there is to set, after a sentence.
fn told(schema: &Schema) -> String {
    format!(" Its settings:{}", lines(schema))
}

fn lines(schema: &Schema) -> String {
    Some(schema.describe()).filter(|lines| !lines.is_empty()).unwrap_or_else(|| " none".into())
}

impl PluginConfig {
    /// Reads the text of `file`. An error names file, line and column.
    pub fn parse(file: &Path, text: &str) -> Result<Self, String> {
        let by_name = serde_json::from_str(text).map_err(|error| {
            let sentence = error.to_string();
            let sentence = sentence.split(" at line ").next().unwrap_or_default();
            format!(
                "`{}`, line {}, column {}: {sentence}; it has to be an object of plugins, each an object of settings: \
                 {{\"blend\": {{\"alpha\": 0.2}}}}",
                file.display(),
                error.line(),
                error.column()
            )
        })?;
        Ok(Self { file: file.into(), text: text.into(), by_name })
    }

    /// Every plugin that is named is there.
    pub(crate) fn names_only(&self, known: &[String]) -> Result<(), LoadError> {
        let Some(name) = self.by_name.keys().find(|name| !known.contains(name)) else { return Ok(()) };
        let guess = guess(name, known.iter().map(String::as_str));
        Err(LoadError::Settings(format!(
            "{}there is no plugin `{name}`{guess} There are `{}`",
            self.place(name, ""),
            known.join("`, `")
        )))
    }

    /// "`FILE`, line 3, column 5: ", where a plugin's setting stands, or the plugin itself without one.
    fn place(&self, plugin: &str, setting: &str) -> String {
        let key = |name: &str, from: usize| {
            let quoted = Value::from(name).to_string();
            let is_key = |at: &usize| self.text[at + quoted.len()..].trim_start().starts_with(':');
            self.text[from..].match_indices(&quoted).map(|(at, _)| from + at).find(is_key)
        };
        let found = key(plugin, 0).and_then(|at| if setting.is_empty() { Some(at) } else { key(setting, at) });
        let Some(at) = found else { return format!("`{}`: ", self.file.display()) };
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("`{}`, line {line}, column {column}: ", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_the_file_has_a_place() {
        let parse = |text: &str| PluginConfig::parse(Path::new("p.json"), text).unwrap_err();
        assert!(
            parse("{\n  \"blend\": 3\n}").starts_with("`p.json`, line 2, column 12: invalid type"),
            "{}",
            parse("{\n  \"blend\": 3\n}")
        );
        assert!(parse("{\n").starts_with("`p.json`, line 2, column 0: EOF"));
    }

    #[test]
    fn a_setting_in_the_file_has_a_place() {
        let text = "{\n  \"alpha\": {},\n  \"blend\": {\n    \"alpha\": 3\n  }\n}";
        let config = PluginConfig::parse(Path::new("p.json"), text).unwrap();
        assert_eq!(config.place("blend", "alpha"), "`p.json`, line 4, column 5: ");
        assert_eq!(config.place("blend", ""), "`p.json`, line 3, column 3: ");
        let error = config.names_only(&["blend".into(), "alhpa".into()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`p.json`, line 2, column 3: there is no plugin `alpha`; did you mean `alhpa`? There are `blend`, `alhpa`"
        );
    }
}
