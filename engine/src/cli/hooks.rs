//! The fusions and policies there are, in words.

use crate::hooks::{Knob, Origin, chain::HookInfo};
use plugin_api::Role;

/// All of one role, one a line; those that run are marked.
pub fn list(hooks: &[HookInfo], role: Role) -> String {
    let hooks: Vec<&HookInfo> = hooks.iter().filter(|hook| hook.role == role).collect();
    let width = hooks.iter().map(|hook| hook.name.chars().count()).max().unwrap_or(0);
    let mut lines = String::new();
    for hook in &hooks {
        let mark = if hook.active { '*' } else { ' ' };
        let origin = match &hook.origin {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::Library(path) | Origin::Script(path) => path.display().to_string(),
        };
        let HookInfo { name, version, description, state, .. } = hook;
        lines += &format!("{mark} {name:width$}  {state} · {version} · {origin}\n");
        if !description.is_empty() {
            lines += &format!("    {description}\n");
        }
        lines.extend(hook.knobs.iter().map(|knob| format!("    {}\n", describe(knob))));
    }
    if hooks.is_empty() {
        lines += "  none\n";
    }
    lines
}

/// `low = 0.5 (0 to 1, 0.35 by default)`
fn describe(Knob { name, value, default, minimum, maximum }: &Knob) -> String {
    format!("{name} = {value} ({minimum} to {maximum}, {default} by default)")
}

/// Both roles; for `--list-hooks`.
pub fn list_all(all: &[HookInfo]) -> String {
    format!(
        "Fusions, chosen with `--fusion-mode`:\n{}\nPolicies, added with `--policy` and `--plugin`:\n{}",
        list(all, Role::Fusion),
        list(all, Role::Policy)
    )
}

/// Names for people, or "none".
pub fn names(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
