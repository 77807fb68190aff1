//! The matrix of saves: every way in which editors write a file, on both ways of watching it. Each final content is one
//! swap, whatever the file looked like on the way, and the final content runs.

use super::support::*;
use std::fs;
use std::io::Write;

/// The wait for quiet; a pause between two writes that is longer makes two saves of one.
const QUIET: Duration = Duration::from_millis(80);
/// Nothing more must happen for so long after a swap.
const AFTERWARDS: Duration = Duration::from_millis(500);

fn script(tag: &str) -> String {
    let filler = "// A line that makes the file longer.\n".repeat(20);
    format!("// {tag}\n{filler}fn on_assessment(step, a) {{ stop(\"{tag}\") }}\n")
}

/// Writes and pauses as an editor does, and keeps the longest pause: a busy machine may make it too long.
#[derive(Default)]
struct Editor {
    last: Option<Instant>,
    longest: Duration,
}

impl Editor {
    fn does(&mut self, what: impl FnOnce() -> std::io::Result<()>) {
        if let Some(last) = self.last {
            self.longest = self.longest.max(last.elapsed());
        }
        what().unwrap();
        self.last = Some(Instant::now());
    }

    fn pauses(&self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// Steps every 2 ms until something happens.
fn next_reload(hook: &mut ScriptHook, patience: Duration) -> Reload {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        match hook.reload_if_changed() {
            Reload::Unchanged => std::thread::sleep(Duration::from_millis(2)),
            happened => return happened,
        }
    }
    Reload::Unchanged
}

/// Saves `script("final")` by `save` while a reply steps, and says what happened. Again when the machine was so busy that
/// the pieces of one save came apart.
fn one_swap(watching: Watching, save: fn(&mut Editor, &Path)) {
    for _ in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.rhai");
        fs::write(&path, script("first")).unwrap();
        let mut hook = ScriptHook::load(&path, "{}", watching).unwrap();
        let (mut happened, mut editor) = (Vec::new(), Editor::default());
        std::thread::scope(|scope| {
            let saving = scope.spawn(|| {
                save(&mut editor, &path);
            });
            while !saving.is_finished() {
                happened.push(next_reload(&mut hook, Duration::from_millis(2)));
            }
        });
        let saved = Instant::now();
        if editor.longest + Duration::from_millis(10) > QUIET {
            continue;
        }
        happened.retain(|reload| *reload != Reload::Unchanged);
        if happened.is_empty() {
            happened.push(next_reload(&mut hook, Duration::from_secs(5)));
            println!("{watching:?}: from the save to the first step with it {:?}", saved.elapsed());
        }
        assert!(matches!(happened[..], [Reload::Swapped { version: 2, .. }]), "{happened:?}");
        assert_eq!(assess(&mut hook, 0.5).reason, "final");
        assert_eq!(next_reload(&mut hook, AFTERWARDS), Reload::Unchanged);
        return;
    }
    panic!("the machine is too busy to tell saves apart");
}

fn in_place(editor: &mut Editor, path: &Path) {
    editor.does(|| fs::write(path, script("final")));
}

fn write_and_rename(editor: &mut Editor, path: &Path) {
    let temporary = path.with_extension("rhai.tmp1");
    editor.does(|| fs::write(&temporary, script("final")));
    editor.does(|| fs::rename(&temporary, path));
}

fn delete_and_create(editor: &mut Editor, path: &Path) {
    editor.does(|| fs::remove_file(path));
    editor.pauses(30);
    editor.does(|| fs::write(path, script("final")));
}

/// As vim does with `backupcopy=no`.
fn backup_and_create(editor: &mut Editor, path: &Path) {
    let backup = path.with_extension("rhai~");
    editor.does(|| fs::rename(path, &backup));
    editor.pauses(10);
    editor.does(|| fs::write(path, script("final")));
    editor.pauses(10);
    editor.does(|| fs::remove_file(&backup));
}

fn twenty_in_a_row(editor: &mut Editor, path: &Path) {
    for number in 0..19 {
        editor.does(|| fs::write(path, script(&format!("number {number}"))));
        editor.pauses(20);
    }
    in_place(editor, path);
}

fn in_two_halves(editor: &mut Editor, path: &Path) {
    let text = script("final");
    let (first, second) = text.split_at(text.len() - 20);
    editor.does(|| fs::write(path, first));
    editor.pauses(60);
    editor.does(|| fs::OpenOptions::new().append(true).open(path)?.write_all(second.as_bytes()));
}

fn emptied_first(editor: &mut Editor, path: &Path) {
    editor.does(|| fs::File::create(path).map(drop));
    editor.pauses(60);
    editor.does(|| fs::write(path, script("final")));
}

/// The script's path is a link: the file that is saved lies in another folder.
#[cfg(unix)]
fn behind_a_link(watching: Watching, save: fn(&mut Editor, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    let (target, link) = (folder.path().join("dotfiles"), folder.path().join("policies"));
    fs::create_dir(&target).unwrap();
    fs::create_dir(&link).unwrap();
    let (target, link) = (target.join("real.rhai"), link.join("policy.rhai"));
    fs::write(&target, script("first")).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut hook = ScriptHook::load(&link, "{}", watching).unwrap();
    save(&mut Editor::default(), &target);
    let happened = next_reload(&mut hook, Duration::from_secs(5));
    assert!(matches!(happened, Reload::Swapped { version: 2, .. }), "{happened:?}");
    assert_eq!(assess(&mut hook, 0.5).reason, "final");
    assert_eq!(next_reload(&mut hook, AFTERWARDS), Reload::Unchanged);
}

/// One test for each pair, so that they wait side by side.
macro_rules! matrix {
    ($($save:ident),*) => {
        mod native { $(#[test] fn $save() { super::one_swap(super::Watching::Native, super::$save); })* }
        mod polling { $(#[test] fn $save() { super::one_swap(super::Watching::Poll, super::$save); })* }
    };
}

matrix!(
    in_place,
    write_and_rename,
    delete_and_create,
    backup_and_create,
    twenty_in_a_row,
    in_two_halves,
    emptied_first
);

#[cfg(unix)]
#[test]
fn a_file_behind_a_link_is_watched_natively() {
    behind_a_link(Watching::Native, in_place);
    behind_a_link(Watching::Native, write_and_rename);
}

#[cfg(unix)]
#[test]
fn a_file_behind_a_link_is_polled() {
    behind_a_link(Watching::Poll, in_place);
    behind_a_link(Watching::Poll, write_and_rename);
}

/// As Kubernetes updates a ConfigMap: every update is one swap.
#[cfg(unix)]
#[test]
fn a_link_to_the_folder_of_a_version_is_turned_again_and_again() {
    use std::os::unix::fs::symlink;
    for watching in [Watching::Native, Watching::Poll] {
        let folder = tempfile::tempdir().unwrap();
        let (root, path) = (folder.path(), folder.path().join("policy.rhai"));
        let write = |name: &str| {
            fs::create_dir(root.join(name)).unwrap();
            fs::write(root.join(name).join("policy.rhai"), script(name)).unwrap();
        };
        write("..1");
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/policy.rhai", &path).unwrap();
        let mut hook = ScriptHook::load(&path, "{}", watching).unwrap();
        for (number, expected) in (2..6).zip(2..) {
            let name = format!("..{number}");
            write(&name);
            symlink(&name, root.join("..new")).unwrap();
            fs::rename(root.join("..new"), root.join("..data")).unwrap();
            fs::remove_dir_all(root.join(format!("..{}", number - 1))).unwrap();
            let happened = next_reload(&mut hook, Duration::from_secs(10));
            assert!(matches!(happened, Reload::Swapped { version, .. } if version == expected), "{happened:?}");
            assert_eq!(assess(&mut hook, 0.5).reason, name);
            assert_eq!(next_reload(&mut hook, AFTERWARDS), Reload::Unchanged);
        }
    }
}

/// A half file that works and rests is a content of its own.
#[test]
fn contents_that_rest_are_taken_over_one_by_one() {
    for watching in [Watching::Native, Watching::Poll] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.rhai");
        fs::write(&path, script("first")).unwrap();
        let mut hook = ScriptHook::load(&path, "{}", watching).unwrap();
        for (tag, expected) in [("second", 2), ("third", 3), ("fourth", 4)] {
            fs::write(&path, script(tag)).unwrap();
            let happened = next_reload(&mut hook, Duration::from_secs(5));
            assert!(matches!(happened, Reload::Swapped { version, .. } if version == expected), "{happened:?}");
            assert_eq!(assess(&mut hook, 0.5).reason, tag);
        }
    }
}
