use super::*;
pub struct ScriptHook;
impl ScriptHook { pub fn load(_: &std::path::Path, _: &str) -> Result<Self, HookError> { Err(HookError("not yet".into())) } }
impl Hook for ScriptHook {
    fn name(&self) -> &str { "" }
    fn role(&self) -> Role { Role::Policy }
    fn origin(&self) -> Origin { Origin::BuiltIn }
    fn describe(&self) -> (String, String) { Default::default() }
    fn on_logits(&mut self, _: &Step, _: &Rows, _: &mut [f32]) -> Result<(), HookError> { Ok(()) }
    fn on_token(&mut self, _: &Step, _: &Token) -> Result<Verdict, HookError> { Ok(Verdict::proceed()) }
    fn on_assessment(&mut self, _: &Step, _: &Assessment) -> Result<Verdict, HookError> { Ok(Verdict::proceed()) }
    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), HookError> { Ok(()) }
}
