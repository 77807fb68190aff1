//! Placeholder until the plugin lands.
use plugin_api::{Plugin, Role};
/// Placeholder.
pub struct Confidence;
impl Plugin for Confidence {
    const NAME: &'static str = "confidence";
    const DESCRIPTION: &'static str = "placeholder";
    const ROLE: Role = Role::Fusion;
    fn create(_: &str) -> Result<Self, String> {
        Ok(Confidence)
    }
}
