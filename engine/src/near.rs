//! Names that are nearly right.

/// The end of a sentence about an unknown name: "; did you mean `alpha`?" where one of the known ones is near.
pub fn guess<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let most = (name.chars().count() / 3).clamp(1, 3);
    let near = known.map(|known| (strsim::osa_distance(name, known), known)).filter(|(edits, _)| *edits <= most);
    near.min_by_key(|(edits, _)| *edits).map_or_else(|| ".".into(), |(_, known)| format!("; did you mean `{known}`?"))
}
