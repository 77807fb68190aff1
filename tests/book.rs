//! The pages of docs/ are a book: every chapter is in its summary, and every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Markdown files below a folder, with their paths from the project's folder.
fn pages_below(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let path = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
        if root().join(&path).is_dir() {
            found.extend(pages_below(&path));
        } else if path.ends_with(".md") {
            found.insert(path);
        }
    }
    found
}

/// A page without its blocks of code, whose lines are neither headings nor links.
fn prose(page: &str) -> String {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// Where the links and pictures of a page point.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_string).collect()
}

/// The names that links give to the headings of a page, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The page that a link points to, with its path from the project's folder; `None` is outside the project.
fn target(page: &str, path: &str) -> Option<String> {
    let mut parts: Vec<String> = page.split('/').map(str::to_string).collect();
    parts.pop();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    Some(parts.join("/"))
}

#[test]
fn every_chapter_is_in_the_summary_and_no_other() {
    let mut chapters = pages_below("docs");
    assert!(chapters.remove("docs/SUMMARY.md"));
    let listed: BTreeSet<String> =
        links("docs/SUMMARY.md").iter().map(|link| target("docs/SUMMARY.md", link).unwrap()).collect();
    assert_eq!(listed, chapters);
}

#[test]
fn a_chapter_has_the_title_that_the_summary_gives_it() {
    // The first page has a name of its own there.
    for entry in prose("docs/SUMMARY.md").lines().filter_map(|line| line.strip_prefix("- [")) {
        let (title, rest) = entry.split_once("](").unwrap();
        let page = target("docs/SUMMARY.md", rest.trim_end_matches(')')).unwrap();
        assert_eq!(prose(&page).lines().next(), Some(format!("# {title}").as_str()), "{page}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = pages_below("docs");
    let others = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "engine/ARCHITECTURE.md", "engine/models/README.md"];
    pages.extend(others.iter().chain(&["plugins/README.md", "policies/README.md"]).map(|page| page.to_string()));
    let mut checked = 0;
    for page in &pages {
        for link in links(page).iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { Some(page.clone()) } else { target(page, path) };
            let target = target.unwrap_or_else(|| panic!("{page} links out of the project: `{link}`"));
            assert!(root().join(&target).exists(), "{page} links to `{link}`");
            assert!(anchor.is_empty() || anchors(&target).contains(anchor), "{page} links to `{link}`");
            // What a book does not hold cannot be reached from it.
            assert!(!page.starts_with("docs/") || target.starts_with("docs/"), "{page} links out of docs/: `{link}`");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} links were found");
}
