//! Which items of two results belong together.

use super::{CompareError, cut, plain};
use crate::results::{Item, Measured, Results};
use std::collections::{BTreeSet, HashMap};

/// Items that two results have together, in the order of the second.
pub(super) struct Pairs<'a> {
    /// Items of the baseline and of the system.
    pub(super) common: Vec<(&'a Item, &'a Item)>,
    pub(super) only_baseline: u64,
    pub(super) only_system: u64,
    /// Whether a run looked at its figures as it went.
    pub(super) sequential: bool,
}

impl Pairs<'_> {
    /// Whether all items have the second normalisation, of those that could be judged.
    pub(super) fn have_normalised(&self) -> bool {
        let has = |item: &Item| item.error.is_some() || item.right_normalised.is_some();
        self.common.iter().all(|(one, other)| has(one) && has(other))
            && self.common.iter().any(|(one, _)| one.right_normalised.is_some())
    }
}

/// Pairs the items of two results by name.
pub(super) fn pair<'a>(baseline: &'a Results, system: &'a Results) -> Result<Pairs<'a>, CompareError> {
    let [one, other] = [file(baseline), file(system)];
    if baseline.header.measured != system.header.measured {
        let [one_says, other_says] = [baseline, system].map(|results| results.header.measured.says());
        return Err(CompareError::OtherMeasure { one, one_says, other, other_says });
    }
    match (&baseline.header.items.sha256, &system.header.items.sha256) {
        (Some(sha256), Some(other_sha256)) if !sha256.eq_ignore_ascii_case(other_sha256) => {
            return Err(CompareError::OtherItems { one, other });
        }
        _ => {}
    }
    let mut places: HashMap<&str, &Item> = baseline.items.iter().map(|item| (item.id.as_str(), item)).collect();
    let mut pairs = Pairs {
        common: Vec::new(),
        only_baseline: 0,
        only_system: 0,
        sequential: baseline.header.sequential || system.header.sequential,
    };
    for item in &system.items {
        match places.remove(item.id.as_str()) {
            Some(first) => pairs.common.push((first, item)),
            None => pairs.only_system += 1,
        }
    }
    pairs.only_baseline = places.len() as u64;
    if pairs.common.is_empty() {
        return Err(CompareError::NothingCommon { one, other });
    }
    let (task, other_task) = (&baseline.header.task, &system.header.task);
    if !proven(&pairs, baseline, system) && task != other_task {
        let [task, other_task] = [task, other_task].map(|task| plain(task));
        return Err(CompareError::OtherTask { one, other, task, other_task });
    }
    for (first, second) in &pairs.common {
        let differs =
            |what| CompareError::OtherItem { id: plain(&first.id), one: one.clone(), other: other.clone(), what };
        if first.digest.is_some() && second.digest.is_some() && first.digest != second.digest {
            return Err(differs("its digest differs"));
        }
        if first.bytes.is_some() && second.bytes.is_some() && first.bytes != second.bytes {
            return Err(differs("its text is not as long"));
        }
    }
    Ok(pairs)
}

/// Whether digests say that the items are the same.
fn proven(pairs: &Pairs, baseline: &Results, system: &Results) -> bool {
    let header = baseline.header.items.sha256.is_some() && system.header.items.sha256.is_some();
    header || pairs.common.iter().all(|(one, other)| one.digest.is_some() && other.digest.is_some())
}

/// What is to tell of a pairing.
pub(super) fn notes(pairs: &Pairs, baseline: &Results, system: &Results, names: [&String; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    for (number, results) in [(pairs.only_baseline, baseline), (pairs.only_system, system)] {
        if number > 0 {
            notes.push(format!("{} {} only in `{}`, and left out", items(number), are(number), file(results)));
        }
    }
    if !proven(pairs, baseline, system) {
        notes.push(format!(
            "nothing but their names says that the items of `{}` and `{}` are the same",
            file(baseline),
            file(system)
        ));
    }
    for (name, errors) in names.into_iter().zip([
        pairs.common.iter().filter_map(|(item, _)| error(item)).collect::<Vec<_>>(),
        pairs.common.iter().filter_map(|(_, item)| error(item)).collect::<Vec<_>>(),
    ]) {
        if let Some((id, why)) = errors.first() {
            let (one, right) = (errors.len() == 1, baseline.header.measured == Measured::Right);
            let effect = match right {
                true if one => "counts as wrong",
                true => "count as wrong",
                false if one => "is left out",
                false => "are left out",
            };
            notes.push(format!(
                "{} of {} could not be judged and {effect}; the first is `{}`: {}",
                items(errors.len() as u64),
                cut(name, 50),
                cut(&plain(id), 30),
                cut(&plain(why), 100)
            ));
        }
    }
    if pairs.sequential {
        notes.push(
            "a run looked at its figures as it went: p is that of a test which allows it, and intervals are too narrow"
                .into(),
        );
    }
    notes
}

/// Figures that paired items have.
pub(super) struct CommonFigures {
    /// Names of those that both items of a pair have, in one pair at least.
    pub(super) common: Vec<String>,
    /// What is to tell of others.
    pub(super) notes: Vec<String>,
}

/// Says which figures can be compared; an error if none can.
pub(super) fn figures(pairs: &Pairs, baseline: &Results, system: &Results) -> Result<CommonFigures, CompareError> {
    let judged = || pairs.common.iter().filter(|(one, other)| one.error.is_none() && other.error.is_none());
    let all: BTreeSet<&String> =
        judged().flat_map(|(one, other)| one.figures.keys().chain(other.figures.keys())).collect();
    let mut found = CommonFigures { common: Vec::new(), notes: Vec::new() };
    for name in all {
        let has = |item: &Item| item.figure(name).is_some();
        let both = judged().filter(|(one, other)| has(one) && has(other)).count() as u64;
        let shown = cut(&plain(name), 30);
        if both == 0 {
            let only = if judged().any(|(one, _)| has(one)) { baseline } else { system };
            found.notes.push(format!("no pair has `{shown}` in both, `{}` has it alone; it is left out", file(only)));
            continue;
        }
        let lacking = judged().count() as u64 - both;
        if lacking > 0 {
            let (items, are) = (items(lacking), are(lacking));
            found.notes.push(format!("{items} {are} left out of `{shown}`, which one reply or both lack"));
        }
        found.common.push(name.clone());
    }
    if found.common.is_empty() {
        return Err(CompareError::NoFigureCommon { one: file(baseline), other: file(system) });
    }
    Ok(found)
}

fn error(item: &Item) -> Option<(&str, &str)> {
    item.error.as_deref().map(|why| (item.id.as_str(), why))
}

/// "1 item", "12 items".
pub(super) fn items(number: u64) -> String {
    format!("{} {}", super::text::grouped(number), if number == 1 { "item" } else { "items" })
}

pub(super) fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// A file's name in a sentence.
pub(super) fn file(results: &Results) -> String {
    let name = results.path.file_name().unwrap_or(results.path.as_os_str());
    cut(&plain(&name.to_string_lossy()), 50)
}

/// Names of the systems, with that of the file where two have the same, and a number where that does not help.
pub(super) fn names(results: &[Results]) -> Vec<String> {
    let mut names: Vec<String> = results.iter().map(|results| plain(&results.header.system.name)).collect();
    let with_file: fn(&str, &Results, usize) -> String = |name, results, _| format!("{name} ({})", file(results));
    let with_number: fn(&str, &Results, usize) -> String = |name, _, at| format!("{name} #{}", at + 1);
    for make in [with_file, with_number] {
        let taken = names.clone();
        for (at, name) in names.iter_mut().enumerate() {
            if taken.iter().filter(|other| *other == name).count() > 1 {
                *name = make(name, &results[at], at);
            }
        }
    }
    names
}
