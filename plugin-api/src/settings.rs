//! What a plugin can be set to.

/// The settings of a plugin, read from JSON.
///
/// With the feature `settings`, which is on by default, every type with `serde::Deserialize` and `schemars::JsonSchema`
/// is one:
///
/// ```
/// # #[cfg(feature = "settings")] {
/// # mod plugin {
/// use schemars::JsonSchema;
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(default, deny_unknown_fields)]
/// struct Blend {
///     /// Share of the specialists.
///     #[schemars(range(min = 0.0, max = 1.0))]
///     alpha: f32,
/// }
///
/// impl Default for Blend {
///     fn default() -> Self {
///         Self { alpha: 0.1 }
///     }
/// }
/// # }
/// # }
/// ```
///
/// The host shows names, ranges, defaults and comments to the user, and refuses what does not fit before the plugin is made.
pub trait Settings: Sized {
    /// Reads a JSON object; it has at least the braces. An error is a sentence for the user.
    fn parse(json: &str) -> Result<Self, String>;

    /// A JSON schema: an object whose `properties` are the settings there are. With `None` the host hands on what it is
    /// given, unchecked, with `confidence_threshold` and `aggressive` of its command line.
    fn schema() -> Option<String>;
}

/// For a plugin that has nothing to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "settings", derive(serde::Deserialize, schemars::JsonSchema), serde(deny_unknown_fields))]
pub struct NoSettings {}

#[cfg(feature = "settings")]
impl<T: serde::de::DeserializeOwned + schemars::JsonSchema> Settings for T {
    fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| format!("its settings: {error}"))
    }

    fn schema() -> Option<String> {
        serde_json::to_string(&schemars::schema_for!(T)).ok()
    }
}

#[cfg(not(feature = "settings"))]
impl Settings for NoSettings {
    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self {})
    }

    fn schema() -> Option<String> {
        Some(r#"{"type":"object","properties":{},"additionalProperties":false}"#.into())
    }
}
