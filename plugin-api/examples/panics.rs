//! A plugin that panics in every way there is; a test looks that nothing of it leaves the plugin.

use plugin_api::{Assessment, Plugin, Retraction, Role, Rows, Settings, Step, Token, Verdict, export_plugin};

struct Panics;

/// Reads its settings by itself and has no schema.
struct Text(String);

impl Settings for Text {
    fn parse(json: &str) -> Result<Self, String> {
        Ok(Self(json.into()))
    }

    fn schema() -> Option<String> {
        None
    }
}

/// A panic's payload that panics in turn when it is dropped.
struct Stubborn;

impl Drop for Stubborn {
    fn drop(&mut self) {
        panic!("a panic about a panic");
    }
}

impl Plugin for Panics {
    const NAME: &'static str = "panics";
    const DESCRIPTION: &'static str = "Panics in every hook.";
    const ROLE: Role = Role::Policy;
    type Settings = Text;

    fn create(settings: Text) -> Result<Self, String> {
        let wanted = settings.0.contains("in_create") || std::env::var_os("PANIC_IN_CREATE").is_some();
        assert!(!wanted, "panicked in create");
        Ok(Panics)
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, _: &mut [f32]) -> Result<(), String> {
        let _ = rows.get(1000);
        Ok(())
    }

    fn on_token(&mut self, step: &Step, _: &Token) -> Result<Verdict, String> {
        panic!("at position {}", step.position)
    }

    fn on_assessment(&mut self, _: &Step, _: &Assessment) -> Result<Verdict, String> {
        panic!("a text without arguments")
    }

    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), String> {
        std::panic::panic_any(Stubborn)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

export_plugin!(Panics);
