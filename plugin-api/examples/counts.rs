//! A policy with a state that survives a reload; a test looks that it does.

use plugin_api::{Assessment, NoSettings, Plugin, Role, Step, Verdict, export_plugin};

struct Counts(u32);

impl Plugin for Counts {
    const NAME: &'static str = "counts";
    const DESCRIPTION: &'static str = "Counts its calls and tells the number.";
    const ROLE: Role = Role::Policy;
    type Settings = NoSettings;

    fn create(_: NoSettings) -> Result<Self, String> {
        Ok(Counts(0))
    }

    fn on_assessment(&mut self, _: &Step, _: &Assessment) -> Result<Verdict, String> {
        self.0 += 1;
        Ok(Verdict::stop(self.0.to_string()))
    }

    fn save(&self) -> Vec<u8> {
        self.0.to_le_bytes().into()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let bytes = state.try_into().map_err(|_| format!("a count has 4 bytes, this has {}", state.len()))?;
        self.0 = u32::from_le_bytes(bytes);
        Ok(())
    }
}

export_plugin!(Counts);
