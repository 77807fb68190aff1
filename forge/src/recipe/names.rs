//! Names of inputs and stages, and slips in them.

/// The most characters of a name: it becomes a part of a folder's name.
const LONGEST: usize = 60;

/// What is wrong with a name, if anything is.
pub(super) fn fault(name: &str) -> Option<String> {
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let sound = !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with('.')
        && !name.contains(".partial-")
        && name.chars().all(fits);
    (!sound).then(|| {
        format!(
            "the name {name:?} becomes a part of a folder's name: use 1 to {LONGEST} letters, digits, `-`, `_` and `.`, not beginning with `.`"
        )
    })
}

/// Names in a sentence: "`a`, `b` and `c`".
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}
