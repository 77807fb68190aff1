//! Runs that are killed with no chance to tidy up, or meet a full disk, and what the next run makes of them.
//!
//! This program starts itself again: the child runs the recipe and is killed, by itself at a given unit of work or event, or by
//! its parent at any time.

mod support;

use libtest_mimic::{Arguments, Failed, Trial};
use llama_selfmod_forge::recipe::Recipe;
use llama_selfmod_forge::run::{Event, Forge, Observer};
use llama_selfmod_forge::store::Store;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use support::double::Fault;
use support::{Double, Hub, Place, WHOLE};

/// The folder that a child works in, and at what unit or event it is killed.
const FOLDER: &str = "FORGE_TEST_FOLDER";
const UNIT: &str = "FORGE_TEST_UNIT";
const EVENT: &str = "FORGE_TEST_EVENT";

fn main() -> std::process::ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return child(&PathBuf::from(folder));
    }
    let trials = vec![
        Trial::test("a_run_that_is_killed_at_every_stage_boundary_goes_on_to_the_same_bytes", at_boundaries),
        Trial::test("a_run_that_is_killed_inside_stages_goes_on_to_the_same_bytes", inside_stages),
        Trial::test("a_run_that_is_killed_at_any_time_goes_on_to_the_same_bytes", at_any_time),
        Trial::test("a_disk_that_is_full_at_any_byte_is_told_and_the_next_run_goes_on", full_disks),
        Trial::test("a_stage_whose_statement_was_not_written_runs_again", before_the_statement),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Kills the process at an event.
struct Killer(Cell<u64>);

impl Observer for Killer {
    fn event(&self, _: &str, event: Event) {
        if matches!(event, Event::Progress { .. } | Event::Line(_)) {
            return;
        }
        self.0.set(self.0.get().wrapping_sub(1));
        if self.0.get() == 0 {
            support::double::kill();
        }
    }
}

fn child(folder: &Path) -> std::process::ExitCode {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let bench = number(UNIT).map_or_else(Double::default, |unit| Double::with(Fault::Killed, unit));
    let killer = Killer(Cell::new(number(EVENT).unwrap_or(0)));
    let recipe = Recipe::open(&folder.join("recipe.toml")).unwrap();
    let store = match Store::open(&folder.join("forge")) {
        Ok(store) => store,
        Err(failure) => {
            eprintln!("{failure}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let remote = Hub::new(folder);
    let forge =
        Forge { recipe: &recipe, store: &store, bench: &bench, remote: &remote, observer: &killer, signer: None };
    match forge.run(None) {
        Ok(_) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn start(place: &Place, kill: Option<(&str, u64)>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(FOLDER, place.folder.path()).stderr(Stdio::inherit());
    if let Some((name, at)) = kill {
        command.env(name, at.to_string());
    }
    command.spawn().unwrap()
}

fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// What an uninterrupted run makes, in another folder.
fn reference() -> Place {
    let place = Place::new(WHOLE);
    assert!(start(&place, None).wait().unwrap().success());
    place
}

/// A run after a kill gives what an uninterrupted one gives, and leaves nothing else.
fn goes_on(place: &Place, reference: &Place, when: &str) -> Result<(), Failed> {
    if !start(place, None).wait().unwrap().success() {
        return Err(format!("{when}: it does not go on").into());
    }
    let found = place.verify(None);
    if !found.is_sound() || !found.earlier.is_empty() {
        return Err(format!("{when}: {found}").into());
    }
    let names = |place: &Place| -> Vec<_> {
        support::entries(&place.store()).iter().map(|path| path.file_name().unwrap().to_owned()).collect()
    };
    if names(place) != names(reference) {
        return Err(format!("{when}: {:?} is not {:?}", names(place), names(reference)).into());
    }
    if place.outputs() != reference.outputs() {
        return Err(format!("{when}: other bytes").into());
    }
    Ok(())
}

fn kills(name: &str, step: usize) -> Result<(), Failed> {
    let reference = reference();
    let mut killed = 0;
    for at in (1..).step_by(step) {
        let place = Place::new(WHOLE);
        if !was_killed(start(&place, Some((name, at))).wait().unwrap()) {
            break;
        }
        killed += 1;
        goes_on(&place, &reference, &format!("{name} {at}"))?;
    }
    if killed < 8 { Err(format!("only {killed} kills").into()) } else { Ok(()) }
}

fn at_boundaries() -> Result<(), Failed> {
    // Each of ten stages begins and ends.
    kills(EVENT, 1)
}

fn inside_stages() -> Result<(), Failed> {
    kills(UNIT, 17)
}

/// One store is killed again and again, until a run gets to its end.
fn at_any_time() -> Result<(), Failed> {
    let reference = reference();
    let began = Instant::now();
    assert!(start(&Place::new(WHOLE), None).wait().unwrap().success());
    let whole = began.elapsed();
    let mut killed = 0;
    for round in 0..16_u32 {
        let place = Place::new(WHOLE);
        let mut child = start(&place, None);
        std::thread::sleep(whole * (round * 7 % 16) / 16 + Duration::from_micros(u64::from(round) * 37));
        child.kill().unwrap();
        killed += u32::from(was_killed(child.wait().unwrap()));
        goes_on(&place, &reference, &format!("round {round}"))?;
    }
    if killed < 8 { Err(format!("only {killed} kills").into()) } else { Ok(()) }
}

fn before_the_statement() -> Result<(), Failed> {
    let reference = reference();
    let place = Place::new(WHOLE);
    assert!(start(&place, None).wait().unwrap().success());
    for folder in support::entries(&place.store()).into_iter().filter(|path| path.is_dir()) {
        std::fs::remove_file(folder.join("statement.json")).unwrap();
        std::fs::write(folder.join(".new-abc"), b"half a statem").unwrap();
        goes_on(&place, &reference, &folder.display().to_string())?;
    }
    Ok(())
}

/// Runs in stores on disks of every size from nearly nothing to enough, each of which then becomes larger. Where this
/// machine lets nobody mount a disk in memory, nothing is tested.
fn full_disks() -> Result<(), Failed> {
    let reference = reference();
    let script = r#"mount -t tmpfs -o size=$1k none "$2/forge" || exit 99
"$0" 2> "$2/words" && exit 98
mount -o remount,size=64m "$2/forge"
"$0" && cp -r "$2/forge" "$2/copy""#;
    let mut full = 0;
    for size in (8..).step_by(28) {
        let place = Place::new(WHOLE);
        std::fs::create_dir(place.store()).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command.arg(std::env::current_exe().unwrap()).arg(size.to_string()).arg(place.folder.path());
        let status = command.env(FOLDER, place.folder.path()).stderr(Stdio::null()).status();
        let Some(code) = status.ok().and_then(|status| status.code()) else { return Ok(()) };
        let words = std::fs::read_to_string(place.path("words")).unwrap_or_default();
        match code {
            0 => full += 1,
            98 => break,
            99 => return Ok(()),
            _ if full == 0 && words.is_empty() => return Ok(()),
            code => return Err(format!("{size} kB: it does not go on, {code}: {words}").into()),
        }
        let is_told = words.contains("the disk of `") && words.contains("is full: make space there");
        if !is_told {
            return Err(format!("{size} kB: {words}").into());
        }
        if support::outputs(&place.path("copy")) != reference.outputs() {
            return Err(format!("{size} kB: other bytes").into());
        }
    }
    if full < 5 { Err(format!("only {full} full disks").into()) } else { Ok(()) }
}
