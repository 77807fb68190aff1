use super::*;
use plugin_api::abi::PluginEntry;
pub struct NativeHook(String);
pub fn built_in_plugins() -> &'static [&'static PluginEntry] { &[] }
pub fn built_in(_: &'static PluginEntry, _: &str) -> Result<NativeHook, HookError> { Err(HookError("not yet".into())) }
pub fn load_library(_: &std::path::Path, _: &str) -> Result<Vec<NativeHook>, HookError> { Err(HookError("not yet".into())) }
pub fn stub(name: &str) -> NativeHook { NativeHook(name.into()) }
impl Hook for NativeHook {
    fn name(&self) -> &str { &self.0 }
    fn role(&self) -> Role { if self.0 == "retraction" { Role::Policy } else { Role::Fusion } }
    fn origin(&self) -> Origin { Origin::BuiltIn }
    fn describe(&self) -> (String, String) { Default::default() }
    fn on_logits(&mut self, _: &Step, _: &Rows, _: &mut [f32]) -> Result<(), HookError> { Ok(()) }
    fn on_token(&mut self, _: &Step, _: &Token) -> Result<Verdict, HookError> { Ok(Verdict::proceed()) }
    fn on_assessment(&mut self, s: &Step, a: &Assessment) -> Result<Verdict, HookError> {
        if self.0 == "retraction" && a.window >= 5 && a.mean_confidence < 0.5 && s.retractable >= a.minimum_back { return Ok(Verdict::retract(a.minimum_back, "stub")); }
        Ok(Verdict::proceed()) }
    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), HookError> { Ok(()) }
}
