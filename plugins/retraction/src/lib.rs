//! Placeholder until the plugin lands.
use plugin_api::{Plugin, Role};
/// Placeholder.
pub struct Retraction;
impl Plugin for Retraction {
    const NAME: &'static str = "retraction";
    const DESCRIPTION: &'static str = "placeholder";
    const ROLE: Role = Role::Policy;
    fn create(_: &str) -> Result<Self, String> {
        Ok(Retraction)
    }
}
