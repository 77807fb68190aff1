//! What a program may read, and Landlock's rules for it.

use std::error::Error;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, path_beneath_rules,
};

/// Landlock as Linux 6.2 has it. Before that it did not know truncation: what may be read could be emptied.
const NEEDED: ABI = ABI::V3;
/// Landlock as Linux 6.12 has it: devices, TCP and signals too, which the seccomp filter refuses anyway.
const WANTED: ABI = ABI::V6;

/// The folders of the system's programs and libraries, and that of the interpreter if it lies elsewhere.
pub fn readable(prefix: &Path) -> Vec<PathBuf> {
    let system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store", "/gnu/store"].map(PathBuf::from);
    let elsewhere = Some(prefix.to_owned()).filter(|prefix| !system.iter().any(|known| prefix.starts_with(known)));
    system.into_iter().chain(elsewhere).filter(|path| path.exists()).collect()
}

/// Restricts this process, and what it becomes, to reading the [`readable`] and to `/dev/null`.
pub fn restrict(prefix: &Path) -> Result<(), Box<dyn Error>> {
    let why = |error: &dyn std::fmt::Display| format!("the kernel's Landlock is off or older than Linux 6.2 ({error})");
    let null = PathBeneath::new(PathFd::new("/dev/null")?, AccessFs::ReadFile | AccessFs::WriteFile);
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))
        .map_err(|error| why(&error))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()
        .map_err(|error| why(&error))?
        .add_rules(path_beneath_rules(readable(prefix), AccessFs::from_read(NEEDED)))?
        .add_rule(null)?
        .restrict_self()?;
    Ok(())
}
