//! Placeholder until the plugin lands.
use plugin_api::{Plugin, Role};
/// Placeholder.
pub struct Voting;
impl Plugin for Voting {
    const NAME: &'static str = "voting";
    const DESCRIPTION: &'static str = "placeholder";
    const ROLE: Role = Role::Fusion;
    fn create(_: &str) -> Result<Self, String> {
        Ok(Voting)
    }
}
