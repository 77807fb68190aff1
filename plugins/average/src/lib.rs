//! Placeholder until the plugin lands.
use plugin_api::{Plugin, Role};
/// Placeholder.
pub struct Average;
impl Plugin for Average {
    const NAME: &'static str = "average";
    const DESCRIPTION: &'static str = "placeholder";
    const ROLE: Role = Role::Fusion;
    fn create(_: &str) -> Result<Self, String> {
        Ok(Average)
    }
}
