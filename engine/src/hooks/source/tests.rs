use super::*;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A text that is bad where it says so; counts how often it was read and opened.
struct Text {
    seen: String,
    read: AtomicUsize,
    opened: usize,
}

impl Content for Text {
    type Raw = String;
    type Version = String;

    fn read(&self, path: &Path) -> Result<String, Problem> {
        self.read.fetch_add(1, Ordering::Relaxed);
        fs::read_to_string(path).map_err(|_| Problem { sentence: "it is gone".into(), may_pass: true })
    }

    fn is_seen(&self, raw: &String) -> bool {
        self.seen == *raw
    }

    fn open(&mut self, _: &Path, raw: String, _: &String) -> Result<Option<String>, String> {
        self.opened += 1;
        self.seen.clone_from(&raw);
        if raw.starts_with("bad") { Err(raw) } else { Ok(Some(raw)) }
    }
}

struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    first: Attached<Text>,
}

fn begin() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, "one").unwrap();
    let text = || Ok::<_, ()>((Text { seen: "one".into(), read: AtomicUsize::new(0), opened: 0 }, "one".to_string()));
    let (source, version) = Source::open(&path, Watching::Native, text).unwrap();
    assert_eq!(version, "one");
    Case { path, first: Attached::new(&source, Post::Alone), _folder: folder }
}

/// How often the file was read and a content of it opened.
fn counts(attached: &Attached<Text>) -> (usize, usize) {
    attached.content(|text| (text.read.load(Ordering::Relaxed), text.opened))
}

fn is_watched(attached: &Attached<Text>) -> bool {
    lock(&attached.source).watch.is_some()
}

/// Looks between steps until something happens.
fn waited(attached: &mut Attached<Text>) -> Result<String, String> {
    let begin = Instant::now();
    loop {
        if let Some(news) = attached.news() {
            return news;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing happens");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_content_is_read_and_opened_once_for_all() {
    let mut case = begin();
    let mut others: Vec<_> = (0..20).map(|_| case.first.another()).collect();
    fs::write(&case.path, "two").unwrap();
    assert_eq!(waited(&mut case.first), Ok("two".into()));
    assert_eq!(case.first.took_over("hook"), 2);
    for other in &mut others {
        assert_eq!((other.news(), other.took_over("hook")), (Some(Ok("two".into())), 2));
        assert_eq!(other.news(), None);
    }
    assert_eq!(counts(&case.first), (1, 1));
}

#[test]
fn what_is_wrong_is_told_once_in_each_text() {
    let mut case = begin();
    let mut other = case.first.another();
    fs::write(&case.path, "bad").unwrap();
    assert_eq!(waited(&mut other), Err("bad".into()));
    assert_eq!(case.first.news(), Some(Err("bad".into())));
    assert_eq!((case.first.news(), other.news()), (None, None));
    // Asked for by a person, it is said again, and nowhere else.
    assert_eq!(case.first.news_now(), Some(Err("bad".into())));
    assert_eq!(other.news(), None);
    // A text that begins now has nothing to be told.
    assert_eq!(case.first.another().news(), None);
}

#[test]
fn a_text_that_was_not_stepped_for_a_while_gets_the_newest_version_and_hears_what_is_wrong_since() {
    let mut case = begin();
    let mut idle = case.first.another();
    for good in ["two", "three"] {
        fs::write(&case.path, good).unwrap();
        assert_eq!(waited(&mut case.first), Ok(good.into()));
        case.first.took_over("hook");
    }
    fs::write(&case.path, "bad").unwrap();
    assert_eq!(waited(&mut case.first), Err("bad".into()));
    assert_eq!((idle.news(), idle.took_over("hook")), (Some(Ok("three".into())), 3));
    assert_eq!(idle.news(), Some(Err("bad".into())));
    // What is no longer so is not told.
    let mut idle = case.first.another();
    fs::write(&case.path, "bad, too").unwrap();
    assert_eq!(waited(&mut case.first), Err("bad, too".into()));
    fs::write(&case.path, "four").unwrap();
    assert_eq!(waited(&mut case.first), Ok("four".into()));
    assert_eq!((idle.news(), idle.news()), (Some(Ok("four".into())), None));
}

#[test]
fn versions_that_no_text_takes_over_do_not_count() {
    let mut case = begin();
    for content in ["two", "three", "four"] {
        fs::write(&case.path, content).unwrap();
        assert_eq!(case.first.news_now(), Some(Ok(content.into())));
    }
    assert_eq!((case.first.generation(), case.first.took_over("hook")), (1, 2));
    assert_eq!(case.first.another().generation(), 2);
}

#[test]
fn reloading_in_every_text_makes_one_version() {
    let mut case = begin();
    let mut other = case.first.another();
    for attached in [&mut case.first, &mut other] {
        assert_eq!((attached.news_now(), attached.took_over("hook")), (Some(Ok("one".into())), 2));
    }
    assert_eq!((case.first.news(), other.news()), (None, None));
    assert_eq!(counts(&other), (2, 1));
}

#[test]
fn the_file_is_watched_as_long_as_one_text_needs_it() {
    let mut case = begin();
    let (mut second, third) = (case.first.another(), case.first.another());
    case.first.set_watched(false);
    case.first.set_watched(false);
    drop(third);
    assert!(is_watched(&second));
    // One that is switched off makes others that are.
    drop(case.first.another());
    assert!(is_watched(&second));
    second.set_watched(false);
    assert!(!is_watched(&second));
    fs::write(&case.path, "two").unwrap();
    assert_eq!((case.first.news(), second.news()), (None, None));
    second.set_watched(true);
    assert!(is_watched(&second));
    assert_eq!(second.news(), Some(Ok("two".into())));
}

#[test]
fn one_that_is_switched_off_takes_over_what_others_had_meanwhile_when_it_is_switched_on() {
    let mut case = begin();
    let mut off = case.first.another();
    off.set_watched(false);
    for content in ["two", "three", "bad"] {
        fs::write(&case.path, content).unwrap();
        drop(waited(&mut case.first));
        case.first.took_over("hook");
        assert_eq!(off.news(), None);
    }
    off.set_watched(true);
    assert_eq!((off.news(), off.took_over("hook")), (Some(Ok("three".into())), 3));
    assert_eq!((off.news(), off.news()), (Some(Err("bad".into())), None));
}

#[test]
fn only_the_first_of_a_chain_looks_and_tells() {
    let mut case = begin();
    let mut follows = Attached::new(&case.first.source, Post::Other);
    fs::write(&case.path, "two").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(follows.news(), None);
    assert_eq!(waited(&mut case.first), Ok("two".into()));
    assert_eq!(follows.news(), Some(Ok("two".into())));
    fs::write(&case.path, "bad").unwrap();
    assert_eq!(waited(&mut case.first), Err("bad".into()));
    assert_eq!(follows.news(), None);
}
