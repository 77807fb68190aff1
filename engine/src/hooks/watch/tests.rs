use super::*;
use std::fs;

/// More than any notification takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nothing more must come for so long: longer than the pause between two looks.
const AFTERWARDS: Duration = Duration::from_millis(900);

fn settles_within(watch: &Watch, patience: Duration) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if watch.settled() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn settles(watch: &Watch) -> bool {
    settles_within(watch, PATIENCE)
}

fn both(test: fn(Watching)) {
    std::thread::scope(|scope| {
        scope.spawn(|| test(Watching::Native));
        scope.spawn(|| test(Watching::Poll));
    });
}

#[test]
fn a_burst_of_writes_counts_once() {
    both(|watching| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        let watch = Watch::start(&file, watching).unwrap();
        for part in 0..5 {
            fs::write(&file, format!("// {part}")).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(settles(&watch), "{watching:?}");
        assert!(!settles_within(&watch, AFTERWARDS), "{watching:?}");
    });
}

#[test]
fn other_files_and_reading_do_not_count() {
    both(|watching| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        fs::write(&file, "// a").unwrap();
        let watch = Watch::start(&file, watching).unwrap();
        fs::write(folder.path().join("b.rhai"), "// b").unwrap();
        fs::read_to_string(&file).unwrap();
        assert!(!settles_within(&watch, AFTERWARDS), "{watching:?}");
    });
}

#[test]
fn a_file_that_goes_and_comes_back_is_seen() {
    both(|watching| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        fs::write(&file, "// a").unwrap();
        let watch = Watch::start(&file, watching).unwrap();
        fs::write(&file, "// b").unwrap();
        assert!(settles(&watch), "{watching:?}");
        fs::remove_file(&file).unwrap();
        assert!(settles(&watch), "{watching:?}");
        fs::write(&file, "// c").unwrap();
        assert!(settles(&watch), "{watching:?}");
    });
}

/// Where times are coarse, two changes of one length can look the same.
#[test]
fn a_polled_file_is_compared_by_content_while_it_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.rhai");
    fs::write(&file, "// a").unwrap();
    let watch = Watch::start(&file, Watching::Poll).unwrap();
    fs::write(&file, "// b").unwrap();
    assert!(settles(&watch));
    let content = lookout::content(&file);
    fs::write(&file, "// c").unwrap();
    assert_ne!(lookout::content(&file), content);
}

#[cfg(target_os = "linux")]
#[test]
fn all_watches_share_a_thread_and_a_connection_and_end_with_the_last_one() {
    // In a process of its own, which other tests do not watch in.
    const INSIDE: &str = "LLAMA_SELFMOD_TEST_WATCHES";
    if std::env::var_os(INSIDE).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--test-threads=1"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        return;
    }
    let count = |what: &str| fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let counts = || (count("fd"), count("task"));
    let before = counts();
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..20).map(|number| folder.path().join(format!("{number}.rhai"))).collect();
    let watches: Vec<Watch> = files.iter().map(|file| Watch::start(file, Watching::Native).unwrap()).collect();
    for (file, watch) in files.iter().zip(&watches) {
        fs::write(file, "// a").unwrap();
        assert!(settles(watch));
    }
    let (descriptors, threads) = counts();
    assert!(descriptors <= before.0 + 4, "{before:?} {descriptors}");
    assert!(threads <= before.1 + 2, "{before:?} {threads}");
    drop(watches);
    let begin = Instant::now();
    while counts() != before {
        assert!(begin.elapsed() < PATIENCE, "{before:?} {:?}", counts());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
mod ways {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A link that is put in the place of another one at one blow.
    fn turn(link: &Path, target: impl AsRef<Path>) {
        let new = link.parent().unwrap().join("turned");
        symlink(target, &new).unwrap();
        fs::rename(new, link).unwrap();
    }

    fn places(file: &Path) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> =
            Route::of(file).places.into_iter().map(|(folder, name)| folder.join(name)).collect();
        places.sort();
        places
    }

    #[test]
    fn every_link_and_the_file_are_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/deep/p.rhai"), "").unwrap();
        symlink("real", root.join("middle")).unwrap();
        symlink(root.join("middle/deep/../deep/p.rhai"), root.join("absolute")).unwrap();
        symlink("./absolute", root.join("p.rhai")).unwrap();
        let expected = ["absolute", "middle", "p.rhai", "real/deep/p.rhai"].map(|name| root.join(name));
        assert_eq!(places(&root.join("p.rhai")), expected);
        assert_eq!(places(&root.join("real/../p.rhai")), expected);
        fs::remove_dir_all(root.join("real")).unwrap();
        let expected = ["absolute", "middle", "p.rhai", "real"].map(|name| root.join(name));
        assert_eq!(places(&root.join("p.rhai")), expected);
        turn(&root.join("middle"), "p.rhai");
        assert_eq!(places(&root.join("p.rhai")), ["absolute", "middle", "p.rhai"].map(|name| root.join(name)));
    }

    /// As Kubernetes updates a ConfigMap, five times.
    #[test]
    fn a_link_to_a_folder_is_turned_again_and_again() {
        both(|watching| {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let version = |number: usize| {
                let folder = root.join(format!("..{number}"));
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join("p.rhai"), format!("// {number}")).unwrap();
                folder
            };
            let mut old = version(0);
            symlink("..0", root.join("..data")).unwrap();
            symlink("..data/p.rhai", root.join("p.rhai")).unwrap();
            let watch = Watch::start(&root.join("p.rhai"), watching).unwrap();
            for number in 1..6 {
                let new = version(number);
                turn(&root.join("..data"), format!("..{number}"));
                fs::remove_dir_all(std::mem::replace(&mut old, new)).unwrap();
                assert!(settles(&watch), "{watching:?} {number}");
            }
            fs::write(old.join("p.rhai"), "// in place").unwrap();
            assert!(settles(&watch), "{watching:?}");
        });
    }

    #[test]
    fn a_turned_link_is_followed_and_what_lies_behind_it_is_watched() {
        both(|watching| {
            let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (link, target) = (here.path().join("p.rhai"), there.path().join("other.rhai"));
            fs::write(here.path().join("first.rhai"), "// a").unwrap();
            fs::write(&target, "// b").unwrap();
            symlink("first.rhai", &link).unwrap();
            let watch = Watch::start(&link, watching).unwrap();
            turn(&link, &target);
            assert!(settles(&watch), "{watching:?}");
            for content in ["// c", "// d"] {
                fs::write(&target, content).unwrap();
                assert!(settles(&watch), "{watching:?} {content}");
            }
            fs::write(here.path().join("first.rhai"), "// nobody looks here").unwrap();
            assert!(!settles_within(&watch, AFTERWARDS), "{watching:?}");
        });
    }

    /// The folder itself, and one far above it.
    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        both(|watching| {
            for depth in ["a", "a/b", "a/b/c"] {
                let folder = tempfile::tempdir().unwrap();
                let (root, replaced) = (folder.path(), folder.path().join(depth));
                fs::create_dir_all(root.join("a/b/c")).unwrap();
                let file = root.join("a/b/c/p.rhai");
                fs::write(&file, "// 0").unwrap();
                let watch = Watch::start(&file, watching).unwrap();
                for number in 1..4 {
                    fs::rename(&replaced, root.join(format!("old{number}"))).unwrap();
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(&file, format!("// {number}")).unwrap();
                    assert!(settles(&watch), "{watching:?} {depth} {number}");
                    fs::write(&file, format!("// {number} in place")).unwrap();
                    assert!(settles(&watch), "{watching:?} {depth} {number}");
                }
            }
        });
    }

    #[test]
    fn a_folder_is_gone_for_a_while() {
        both(|watching| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("a/b/p.rhai");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "// a").unwrap();
            let watch = Watch::start(&file, watching).unwrap();
            fs::remove_dir_all(folder.path().join("a")).unwrap();
            assert!(settles(&watch), "{watching:?}");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "// b").unwrap();
            assert!(settles(&watch), "{watching:?}");
            while settles_within(&watch, AFTERWARDS) {}
            fs::write(&file, "// c").unwrap();
            assert!(settles(&watch), "{watching:?}");
        });
    }

    #[test]
    fn a_loop_of_links_that_is_opened_is_seen() {
        both(|watching| {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            fs::write(root.join("real.rhai"), "// a").unwrap();
            symlink("two", root.join("one")).unwrap();
            symlink("real.rhai", root.join("two")).unwrap();
            let watch = Watch::start(&root.join("one"), watching).unwrap();
            turn(&root.join("two"), "one");
            assert!(settles(&watch), "{watching:?}");
            turn(&root.join("two"), "real.rhai");
            assert!(settles(&watch), "{watching:?}");
            fs::write(root.join("real.rhai"), "// b").unwrap();
            assert!(settles(&watch), "{watching:?}");
        });
    }
}
