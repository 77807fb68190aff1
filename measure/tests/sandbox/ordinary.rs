//! Programs without malice: good ones, failing ones, endless ones; and what goes wrong around them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use llama_selfmod_measure::sandbox::{Ending, Mechanism, Run, Sandbox, SandboxError};
use llama_selfmod_measure::tasks::{Outcome, Task};

use super::hostile::Test;
use super::world::{SECRET, World, sandboxed, this_program};

/// What holds with and without a sandbox.
pub const OF_ALL: [(&str, Test); 7] = [
    ("good_programs_pass", good_programs_pass),
    ("failing_programs_say_why", failing_programs_say_why),
    ("an_early_exit_is_no_pass", an_early_exit_is_no_pass),
    ("endless_programs_are_stopped", endless_programs_are_stopped),
    ("a_gigabyte_of_output_is_stopped", a_gigabyte_of_output_is_stopped),
    ("large_programs_arrive_whole", large_programs_arrive_whole),
    ("humaneval_is_graded", humaneval_is_graded),
];

/// What a sandbox adds.
pub const OF_CONFINED: [(&str, Test); 4] = [
    ("the_environment_is_empty", the_environment_is_empty),
    ("open_files_are_not_inherited", open_files_are_not_inherited),
    ("several_run_at_once", several_run_at_once),
    ("nothing_outlives_a_killed_parent", nothing_outlives_a_killed_parent),
];

fn run(sandbox: &Sandbox, program: &str) -> Run {
    let run = sandbox.run(program).unwrap_or_else(|error| panic!("{error}"));
    assert!(sandboxed().is_empty(), "left behind: {:?}", sandboxed());
    run
}

fn quick(sandbox: &Sandbox) -> Sandbox {
    let mut sandbox = sandbox.clone();
    sandbox.limits.time = Duration::from_secs(1);
    sandbox
}

fn good_programs_pass(sandbox: &Sandbox) -> Result<(), Failed> {
    let programs = [
        "assert 1 + 1 == 2",
        "import math, re, json, random, itertools, collections, heapq, bisect, functools, string, datetime, decimal, \
         fractions, statistics, hashlib, typing, copy, operator, time\nassert hashlib.md5(b'x').hexdigest()",
        "import time; time.sleep(0.01); print(time.time(), random := __import__('random').random())",
        "import sys; sys.setrecursionlimit(5000)\ndef f(n): return n and f(n - 1)\nassert f(3000) == 0",
        "x = bytearray(300 << 20); x[::4096] = bytes(len(x[::4096]))",
        "try: input()\nexcept EOFError: print('no input')\nelse: raise SystemExit(3)",
        "if __name__ == '__main__': print('ä€')",
        "import tempfile, threading, subprocess, socket, asyncio",
    ];
    for program in programs {
        let run = run(sandbox, program);
        assert!(run.passed(), "{program}: {:?} {}", run.ending, run.output);
    }
    assert_eq!(run(sandbox, "import sys\nprint('a')\nprint('b', file=sys.stderr)").output, "b\na\n");
    Ok(())
}

fn failing_programs_say_why(sandbox: &Sandbox) -> Result<(), Failed> {
    let cases = [
        ("assert 1 == 2, 'no'", Ending::Exited(1), "AssertionError: no"),
        ("def f(:", Ending::Exited(1), "SyntaxError: invalid syntax"),
        ("raise SystemExit(7)", Ending::Exited(7), "exited with 7"),
        ("def f(): return f()\nf()", Ending::Exited(1), "RecursionError: maximum recursion depth exceeded"),
        ("\0", Ending::Exited(1), "null bytes"),
        ("import ctypes; ctypes.string_at(0)", Ending::Signalled(11), "ended by signal 11"),
    ];
    for (program, ending, reason) in cases {
        let run = run(sandbox, program);
        assert_eq!(run.ending, ending, "{program}: {}", run.output);
        assert!(run.reason().contains(reason), "{program}: {}", run.reason());
    }
    Ok(())
}

fn an_early_exit_is_no_pass(sandbox: &Sandbox) -> Result<(), Failed> {
    for program in [
        "import sys; sys.exit()\nassert False",
        "import os; os._exit(0)",
        "exit(0)",
        "import os; os.execv('/usr/bin/true', ['true'])",
    ] {
        let run = run(sandbox, program);
        assert_eq!(
            (run.ending, run.reason().as_str()),
            (Ending::Exited(0), "exited before its tests were done"),
            "{program}"
        );
    }
    Ok(())
}

fn endless_programs_are_stopped(sandbox: &Sandbox) -> Result<(), Failed> {
    let programs = [
        "while True: pass",
        "import time; time.sleep(3600)",
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass",
        // The end of the output is not the end of the program.
        "import os, time\nfor fd in range(10):\n    try: os.close(fd)\n    except OSError: pass\ntime.sleep(3600)",
    ];
    for program in programs {
        let began = Instant::now();
        let run = run(&quick(sandbox), program);
        assert_eq!(run.ending, Ending::TimedOut, "{program}: {}", run.output);
        assert!((1.0..3.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    }
    Ok(())
}

fn a_gigabyte_of_output_is_stopped(sandbox: &Sandbox) -> Result<(), Failed> {
    let run = run(sandbox, "line = 'x' * 999_999\nfor _ in range(1000): print(line)");
    assert_eq!(run.ending, Ending::TooMuchOutput);
    assert!(run.output.len() <= sandbox.limits.output + 100, "{}", run.output.len());
    Ok(())
}

fn large_programs_arrive_whole(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = format!("text = '{}'\nassert len(text) == 5_000_000", "x".repeat(5_000_000));
    assert!(run(sandbox, &program).passed());
    // Ends long before it has read what it was given.
    assert!(matches!(sandbox.run(&format!("#{}\n1/0", "x".repeat(5_000_000)))?.ending, Ending::Exited(1)));
    Ok(())
}

fn the_environment_is_empty(sandbox: &Sandbox) -> Result<(), Failed> {
    let run = run(
        sandbox,
        "import os\nassert set(os.environ) <= {'PWD', 'LC_CTYPE'}, dict(os.environ)\nassert os.getuid() != 0",
    );
    assert!(run.passed(), "{}", run.output);
    Ok(())
}

fn open_files_are_not_inherited(sandbox: &Sandbox) -> Result<(), Failed> {
    let world = World::new();
    let secret = File::open(world.folder.path().join("secret.txt"))?;
    let socket = std::net::TcpStream::connect(world.tcp.local_addr()?)?;
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty())?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty())?;
    let program = "
import os
for fd in range(3, 5000):
    for call in [lambda: print('read', os.read(fd, 99)), lambda: os.write(fd, b'x')]:
        try: call()
        except OSError: pass
";
    let run = run(sandbox, program);
    assert!(!run.output.contains(SECRET), "{}", run.output);
    let (mut accepted, _) = world.tcp.accept()?;
    accepted.set_nonblocking(true)?;
    assert!(std::io::Read::read(&mut accepted, &mut [0]).is_err());
    Ok(())
}

fn several_run_at_once(sandbox: &Sandbox) -> Result<(), Failed> {
    let endings: Vec<Ending> = std::thread::scope(|scope| {
        let start =
            |number| scope.spawn(move || sandbox.run(&format!("import time; time.sleep(0.2); {number} / {number}")));
        let running: Vec<_> = (0..8).map(start).collect();
        running.into_iter().map(|run| run.join().unwrap().unwrap().ending).collect()
    });
    assert_eq!(endings[0], Ending::Exited(1));
    assert!(endings[1..].iter().all(|ending| *ending == Ending::Completed), "{endings:?}");
    assert!(sandboxed().is_empty(), "left behind: {:?}", sandboxed());
    Ok(())
}

/// Becomes a process that waits for an endless program, if the arguments ask so.
pub fn wait_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, ask, name] = arguments.as_slice()
        && ask == "__wait"
        && let Some(mechanism) = Mechanism::CONFINING.into_iter().find(|mechanism| mechanism.name() == name)
    {
        let sandbox = Sandbox::with(mechanism, &this_program()).unwrap();
        println!("{:?}", sandbox.run("import time\ntime.sleep(3600)").map(|run| run.ending));
        std::process::exit(0);
    }
}

fn nothing_outlives_a_killed_parent(sandbox: &Sandbox) -> Result<(), Failed> {
    let mut parent =
        Command::new(this_program()).args(["__wait", sandbox.mechanism().name()]).stdout(Stdio::null()).spawn()?;
    let until = |done: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !done() && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // Past the trial run of `Sandbox::with`: the one that stays.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!sandboxed().is_empty(), "it did not start");
    parent.kill()?;
    parent.wait()?;
    until(&|| sandboxed().is_empty());
    assert!(sandboxed().is_empty(), "left behind: {:?}", sandboxed());
    Ok(())
}

fn humaneval_is_graded(sandbox: &Sandbox) -> Result<(), Failed> {
    let task = Task::open("humaneval", None)?;
    for item in task.items() {
        let grade = |completion: &str| {
            let program = task.program(item, completion).unwrap();
            task.grade_run(&sandbox.run(&program).unwrap())
        };
        let solution = item.fields["canonical_solution"].as_str().unwrap();
        assert!(grade(solution).right(), "{}: {:?}", item.id, grade(solution));
        assert!(grade(&format!("{solution}\nprint(1/0)")).right(), "what follows a stop text does not run");
        assert_eq!(grade("    return None\n").outcome, Outcome::Wrong);
        assert_eq!(grade("    exit(0)\n").reason, "exited before its tests were done");
    }
    Ok(())
}

/// A program that does not call the sandbox's entry is as good as no mechanism.
pub fn refuses_without_a_mechanism() -> Result<(), Failed> {
    let error = Sandbox::new(Path::new("/bin/true")).unwrap_err();
    assert!(matches!(error, SandboxError::NoMechanism { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("apt install bubblewrap") && text.contains("--unsafe-exec"), "{text}");
    Ok(())
}
