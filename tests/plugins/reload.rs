//! A library that is built anew takes over between two steps, with the state of the old one; one that does not work is
//! refused, and the old one goes on.

use super::{compile, compile_plugin, library, load};
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::hooks::native::{self, NativeHook, PluginSettings};
use llama_selfmod::hooks::{Hook, Reload, Watching};
use plugin_api::testing::{Members, assessment, step};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A library in a folder of its own, and the plugins in it.
pub struct Edited {
    folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Edited {
    pub fn new(content: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edited.so");
        std::fs::write(&path, content).unwrap();
        Self { folder, path }
    }

    pub fn load(&self) -> Vec<NativeHook> {
        load(&self.path, "{}").unwrap()
    }

    /// As a linker does it: a new file in the place of the old one.
    pub fn replace(&self, content: &[u8]) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }
}

/// `tests/fixtures/plugin.c` with these definitions, as bytes.
pub fn plugin(definitions: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::read(compile_plugin(folder.path(), definitions)).unwrap()
}

/// The library of 1.0, with two plugins.
pub fn two_plugins() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::read(compile(folder.path(), "abi-1.0/plugin.c", "tests/fixtures/abi-1.0", &[])).unwrap()
}

/// The same library with another content: nothing reads what stands behind its end.
pub fn again(library: &[u8], round: u32) -> Vec<u8> {
    [library, &round.to_le_bytes()].concat()
}

fn says(hook: &mut NativeHook) -> String {
    hook.on_assessment(&step(), &assessment()).unwrap().reason
}

fn version(reload: &Reload) -> u32 {
    match reload {
        Reload::Swapped { version, .. } => *version,
        other => panic!("{other:?}"),
    }
}

fn refusal(reload: Reload) -> String {
    match reload {
        Reload::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Looks between steps until something happens.
fn waited(hook: &mut NativeHook) -> Reload {
    let begin = Instant::now();
    loop {
        match hook.reload_if_changed() {
            Reload::Unchanged => {
                assert!(begin.elapsed() < Duration::from_secs(20), "nothing happens");
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

/// Looks between steps for as long as a change takes to be seen, and nothing happens.
fn stays(hook: &mut NativeHook) {
    for _ in 0..80 {
        assert_eq!(hook.reload_if_changed(), Reload::Unchanged);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_library_that_is_built_again_takes_over() {
    for watching in [Watching::Native, Watching::Poll] {
        let edited = Edited::new(&plugin(&[r#"REASON="first""#]));
        let mut hook = native::load_library(&edited.path, &PluginSettings::default(), watching).unwrap().remove(0);
        assert_eq!((says(&mut hook).as_str(), hook.generation()), ("first", 1));
        edited.replace(&plugin(&[r#"REASON="second""#]));
        assert_eq!(version(&waited(&mut hook)), 2);
        assert_eq!((says(&mut hook).as_str(), hook.generation()), ("second", 2));
        // In place, too.
        std::fs::write(&edited.path, plugin(&[r#"REASON="third""#])).unwrap();
        assert_eq!(version(&waited(&mut hook)), 3);
        assert_eq!(says(&mut hook), "third");
        assert!(
            hook.describe().0.starts_with("0.1, 3rd version, 0.") && hook.describe().0.ends_with(" MiB of code mapped")
        );
    }
}

/// A build folder that is swapped as a whole, behind a link in the middle of the path.
#[cfg(unix)]
#[test]
fn a_library_behind_a_link_to_a_folder_takes_over_at_every_turn() {
    use std::os::unix::fs::symlink;
    for watching in [Watching::Native, Watching::Poll] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let build = |name: &str| {
            std::fs::create_dir(root.join(name)).unwrap();
            let library = plugin(&[&format!(r#"REASON="{name}""#)]);
            std::fs::write(root.join(name).join("edited.so"), library).unwrap();
        };
        build("build-1");
        symlink("build-1", root.join("current")).unwrap();
        let path = root.join("current/edited.so");
        let mut hook = native::load_library(&path, &PluginSettings::default(), watching).unwrap().remove(0);
        for number in 2..5 {
            let name = format!("build-{number}");
            build(&name);
            symlink(&name, root.join("new")).unwrap();
            std::fs::rename(root.join("new"), root.join("current")).unwrap();
            assert_eq!(version(&waited(&mut hook)), number);
            assert_eq!(says(&mut hook), name);
        }
    }
}

#[test]
fn the_same_content_is_no_change_and_an_old_one_comes_back() {
    let contents = [plugin(&[r#"REASON="first""#]), plugin(&[r#"REASON="second""#])];
    let edited = Edited::new(&contents[0]);
    let mut hook = edited.load().remove(0);
    edited.replace(&contents[0]);
    stays(&mut hook);
    for round in 1..5 {
        edited.replace(&contents[round % 2]);
        assert_eq!(version(&waited(&mut hook)), 1 + round as u32);
        assert_eq!(says(&mut hook), ["first", "second"][round % 2]);
    }
}

#[test]
fn a_library_in_the_middle_of_being_written_is_waited_for() {
    let edited = Edited::new(&plugin(&[r#"REASON="first""#]));
    let mut hook = edited.load().remove(0);
    let next = plugin(&[r#"REASON="second""#]);
    for part in [0, next.len() / 2, next.len() - 1] {
        std::fs::write(&edited.path, &next[..part]).unwrap();
        stays(&mut hook);
        std::fs::remove_file(&edited.path).unwrap();
        stays(&mut hook);
    }
    assert_eq!(says(&mut hook), "first");
    std::fs::write(&edited.path, &next).unwrap();
    assert_eq!(version(&waited(&mut hook)), 2);
    assert_eq!(says(&mut hook), "second");
}

#[test]
fn a_library_that_stays_cut_off_is_told_once() {
    let whole = plugin(&[]);
    let edited = Edited::new(&whole);
    let mut hook = edited.load().remove(0);
    std::fs::write(&edited.path, &whole[..whole.len() / 2]).unwrap();
    let begin = Instant::now();
    let why = refusal(waited(&mut hook));
    assert!(begin.elapsed() > Duration::from_millis(1500));
    assert!(why.ends_with("cannot be loaded: its end is missing; copy or build it again"), "{why}");
    stays(&mut hook);
}

#[test]
fn what_does_not_work_is_refused_once_in_its_words_and_the_old_one_goes_on() {
    let edited = Edited::new(&plugin(&[r#"REASON="first""#]));
    let mut hook = edited.load().remove(0);
    let entry = "`stops` goes on as it is, its new version is refused: ";
    for (definitions, start, sentence) in [
        (vec!["ABI_MAJOR=2"], "", "is built for version 2 of the plugin ABI, this program has version 1"),
        (vec![r#"NAME="goes""#], entry, "has no plugin of that name any more"),
        (vec!["STATUS=17"], entry, "`on_assessment` on a sample: it returned 17"),
        (vec!["ACTION=77"], entry, "`on_assessment` on a sample: the verdict's action 77"),
        (vec!["ACTION=LLSM_FORCE"], entry, "`on_assessment` on a sample: it answered `force` from on_assessment"),
        (vec!["SCORE=NAN"], entry, "`on_logits` on a sample: it left a row that "),
        (vec!["PAUSE_MS=260"], entry, "`on_assessment` on a sample: it took 26"),
        (vec!["ROLE=LLSM_ROLE_FUSION"], entry, "it changed from a fusion to a policy or back"),
    ] {
        edited.replace(&plugin(&definitions));
        let why = refusal(waited(&mut hook));
        assert!(why.starts_with(start) && why.contains(sentence), "{definitions:?}: {why}");
        assert_eq!((says(&mut hook).as_str(), hook.generation()), ("first", 1));
        assert_eq!(hook.reload_if_changed(), Reload::Unchanged);
        // Asked for by a person, it is said again.
        assert!(refusal(hook.reload_now()).contains(sentence));
    }
    std::fs::write(&edited.path, "notes\n").unwrap();
    assert!(refusal(waited(&mut hook)).contains("is not a shared library; it is a text file"));
    edited.replace(&std::fs::read(library("panics")).unwrap());
    assert!(refusal(waited(&mut hook)).contains("has no plugin of that name any more"));
    edited.replace(&plugin(&[r#"REASON="good""#]));
    assert_eq!(version(&waited(&mut hook)), 2);
    assert_eq!(says(&mut hook), "good");
}

#[test]
fn state_survives() {
    let counts = std::fs::read(library("counts")).unwrap();
    let edited = Edited::new(&counts);
    let mut hook = edited.load().remove(0);
    assert_eq!((says(&mut hook), says(&mut hook)), ("1".into(), "2".into()));
    for round in 1..4 {
        edited.replace(&again(&counts, round));
        assert_eq!(version(&hook.reload_now()), round + 1);
    }
    assert_eq!(says(&mut hook), "3");
}

#[test]
fn a_state_that_the_new_version_does_not_take_keeps_the_old_one() {
    let of = |reason: &str, state: &str| plugin(&[&format!("REASON=\"{reason}\""), &format!("STATE=\"{state}\"")]);
    let edited = Edited::new(&of("first", "abc"));
    let mut hook = edited.load().remove(0);
    edited.replace(&of("second", "xyz"));
    let why = refusal(hook.reload_now());
    assert!(why.ends_with("is refused: it does not take the state of the running one: only xyz will do"), "{why}");
    assert_eq!(says(&mut hook), "first");
    edited.replace(&of("third", "abc"));
    assert_eq!(version(&hook.reload_now()), 2);
    assert_eq!(says(&mut hook), "third");
    // One that keeps nothing starts afresh.
    edited.replace(&plugin(&[r#"REASON="fourth""#]));
    assert_eq!(version(&hook.reload_now()), 3);
}

#[test]
fn all_plugins_of_a_library_take_over_in_one_pass() {
    let both = two_plugins();
    let edited = Edited::new(&both);
    let mut chain = Chain::default();
    edited.load().into_iter().for_each(|hook| chain.add(Box::new(hook), true));
    edited.replace(&again(&both, 1));
    let begin = Instant::now();
    let mut told = Vec::new();
    while told.is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing happens");
        chain.reload_changed(&mut |reloaded| told.push((reloaded.hook.clone(), reloaded.version)));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(told, [("frozen-fusion".into(), 2), ("frozen-policy".into(), 2)]);
    assert_eq!(chain.take_notices(), [""; 0]);
    let versions: Vec<String> = chain.list().into_iter().map(|hook| hook.version).collect();
    assert!(versions[0].starts_with("1.0, 2nd version, 0.0 MiB") && versions[0] == versions[1], "{versions:?}");
}

#[test]
fn a_parked_plugin_gets_another_chance_by_its_next_version() {
    let edited = Edited::new(&plugin(&["STATUS=17"]));
    let mut chain = Chain::default();
    chain.add(Box::new(edited.load().remove(0)), true);
    (0..3).for_each(|_| drop(chain.on_assessment(&step(), &assessment())));
    assert!(!chain.list()[0].active);
    edited.replace(&plugin(&[]));
    chain.reload_all(&mut |_| {});
    assert!(chain.list()[0].active);
}

#[test]
fn the_samples_have_the_size_of_the_rows_before() {
    // A plugin may know some unit by its number.
    let edited = Edited::new(&plugin(&["SCORE=(len == 3 ? 0 : NAN)"]));
    let mut hook = edited.load().remove(0);
    edited.replace(&plugin(&["SCORE=(len == 3 ? 1 : NAN)"]));
    assert!(refusal(hook.reload_now()).contains("it left a row"));
    let members = Members::new(&[&[1.0, 2.0, 3.0]]);
    hook.on_logits(&step(), &members.rows(), &mut [0.0; 3]).unwrap();
    assert_eq!(version(&hook.reload_now()), 2);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod hundred_reloads {
    use super::*;

    unsafe extern "C" {
        /// Of glibc: gives free memory back to the system. Without it a leak hides in what the samples and the content of
        /// the library have left free: 4 MB of it did not show.
        fn malloc_trim(pad: usize) -> i32;
    }

    fn open_files() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    /// Resident memory in KiB: of the copies of libraries, and of all else.
    fn resident() -> (u64, u64) {
        // SAFETY: takes a number, may be called at any time.
        unsafe { malloc_trim(0) };
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut copies, mut rest, mut is_copy) = (0, 0, false);
        for line in maps.lines() {
            if let Some(size) = line.strip_prefix("Rss:") {
                let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
                *(if is_copy { &mut copies } else { &mut rest }) += size;
            } else if line.split(' ').next().is_some_and(|range| range.contains('-')) {
                is_copy = line.contains("/llama_selfmod-");
            }
        }
        (copies, rest)
    }

    /// In a process of its own: other tests of this one open files and allocate at the same time.
    #[test]
    fn a_hundred_reloads_leave_memory_and_files_but_for_the_mapped_code() {
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plugins::reload::hundred_reloads::in_a_process_of_its_own", "--ignored", "--nocapture"])
            .output()
            .unwrap();
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        let told = String::from_utf8_lossy(&alone.stdout);
        assert!(told.contains("1 passed"), "{told}");
    }

    #[test]
    #[ignore = "run by a_hundred_reloads_leave_memory_and_files_but_for_the_mapped_code"]
    fn in_a_process_of_its_own() {
        let counts = std::fs::read(library("counts")).unwrap();
        let edited = Edited::new(&counts);
        let mut hook = edited.load().remove(0);
        says(&mut hook);
        let mut reload = |round: u32| {
            edited.replace(&again(&counts, round));
            assert_eq!(version(&hook.reload_now()), round + 1);
        };
        // What is allocated once is there by now.
        (1..=10).for_each(&mut reload);
        let (files, (copies, memory)) = (open_files(), resident());
        (11..=110).for_each(&mut reload);
        let (files_after, (copies_after, memory_after)) = (open_files(), resident());
        println!("files {files} → {files_after}; KiB {memory} → {memory_after}; of copies {copies} → {copies_after}");
        assert_eq!(files_after, files);
        assert!(memory_after < memory + 2 * 1024, "{memory} KiB before, {memory_after} KiB after");
        assert!(copies_after > copies);
        assert_eq!(says(&mut hook), "2");
        let (version_text, _) = hook.describe();
        assert!(version_text.contains("111th version"), "{version_text}");

        // And there is an end to it.
        let small = plugin(&[]);
        let edited = Edited::new(&small);
        let mut hook = edited.load().remove(0);
        for round in 1..256 {
            edited.replace(&again(&small, round));
            assert_eq!(version(&hook.reload_now()), round + 1);
        }
        edited.replace(&again(&small, 256));
        let why = refusal(hook.reload_now());
        assert!(why.contains("256 versions of it with ") && why.ends_with("start the program again"), "{why}");
        // One that is there already can come back.
        edited.replace(&again(&small, 7));
        assert_eq!(version(&hook.reload_now()), 257);
    }
}
