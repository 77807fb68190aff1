//! Placeholder until the plugin lands.
use plugin_api::{Plugin, Role};
/// Placeholder.
pub struct Blend;
impl Plugin for Blend {
    const NAME: &'static str = "blend";
    const DESCRIPTION: &'static str = "placeholder";
    const ROLE: Role = Role::Fusion;
    fn create(_: &str) -> Result<Self, String> {
        Ok(Blend)
    }
}
