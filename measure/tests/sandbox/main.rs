//! The sandbox against programs that mean harm, in every mechanism that works here, with the harm looked for from outside.
//!
//! This binary is what the sandbox starts again, which the standard harness cannot be; hence its own `main`. It starts its
//! victims as the user that the sandboxed program is, so that nothing but the sandbox stands between the two. What harms the
//! test's own files and processes alone is also run without a sandbox, as that user: a test whose program does no harm even
//! then would show nothing.

#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod ordinary;
#[cfg(target_os = "linux")]
mod world;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use llama_selfmod_measure::sandbox;

fn main() -> ExitCode {
    sandbox::enter_if_asked();
    #[cfg(target_os = "linux")]
    ordinary::wait_if_asked();
    // Processes of all tests are counted.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials()).exit_code()
}

#[cfg(target_os = "linux")]
fn trials() -> Vec<Trial> {
    use llama_selfmod_measure::sandbox::{Mechanism, Sandbox};

    let mut trials = vec![Trial::test("refuses_without_a_mechanism", ordinary::refuses_without_a_mechanism)];
    for mechanism in [Mechanism::Bubblewrap, Mechanism::Landlock, Mechanism::Unconfined] {
        let sandbox = Sandbox::with(mechanism, &world::this_program());
        if let Err(error) = &sandbox {
            eprintln!("NOT TESTED: {error} (the tests need the packages `bubblewrap` and `python3`)");
        }
        let confined: &[_] = if mechanism == Mechanism::Unconfined { &[] } else { &ordinary::OF_CONFINED };
        let hostile: &[_] = if mechanism == Mechanism::Unconfined { &[] } else { &hostile::TESTS };
        for (name, test) in ordinary::OF_ALL.iter().chain(confined).chain(hostile) {
            let (sandbox, works) = (sandbox.as_ref().ok().cloned(), sandbox.is_ok());
            let run = move || sandbox.map_or(Ok(()), |sandbox| test(&sandbox));
            trials.push(Trial::test(format!("{}::{name}", mechanism.name()), run).with_ignored_flag(!works));
        }
    }
    trials
}

#[cfg(not(target_os = "linux"))]
fn trials() -> Vec<Trial> {
    eprintln!("NOT TESTED: the sandbox needs Linux");
    Vec::new()
}
