//! Ten programs that mean harm.

use libtest_mimic::Failed;
use llama_selfmod_measure::sandbox::{Run, Sandbox};

use super::world::{SECRET, Seen, Watcher, World, as_nobody, sandboxed};

/// A test of one sandbox.
pub type Test = fn(&Sandbox) -> Result<(), Failed>;

/// The ten.
pub const TESTS: [(&str, Test); 10] = [
    ("fork_bomb", fork_bomb),
    ("network", network),
    ("reading_secrets", reading_secrets),
    ("filling_the_disk", filling_the_disk),
    ("tracing_another_process", tracing),
    ("ten_gigabytes_of_memory", memory),
    ("writing_outside", writing_outside),
    ("signals_and_limits_of_others", signals),
    ("links_out", links),
    ("other_processes_in_proc", proc_files),
];

/// Goes before each program: tries a call, says what it gave, goes on.
const TRY: &str = "
import os, sys
def attempt(what, call):
    try:
        result = call()
        print('DID', what, repr(result)[:200], flush=True)
        return result
    except BaseException as error:
        print('refused', what, type(error).__name__, str(error)[:80], flush=True)
def system_call(name, number, *arguments):
    def call():
        import ctypes
        result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
        if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result
    return attempt(name, call)
";

fn run(sandbox: &Sandbox, world: &World, program: &str) -> (Run, Seen) {
    let watcher = Watcher::start(world.victim.id());
    let run = sandbox.run(&format!("{}{TRY}{program}", world.names()));
    let seen = watcher.stop();
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    if std::env::var_os("SANDBOX_SHOW").is_some() {
        eprintln!("{:?} {:?} {seen:?}\n{}", sandbox.mechanism(), run.ending, run.output);
    }
    assert!(sandboxed().is_empty(), "left behind: {:?}", sandboxed());
    (run, seen)
}

/// Fails if the program did anything that it says.
fn did_nothing(run: &Run) -> Result<(), Failed> {
    let tried = run.output.lines().filter(|line| line.starts_with("refused ")).count();
    let did: Vec<&str> = run.output.lines().filter(|line| line.starts_with("DID ")).collect();
    if tried == 0 {
        Err(format!("it tried nothing: {:?} {}", run.ending, run.output).into())
    } else if did.is_empty() {
        Ok(())
    } else {
        Err(did.join("\n").into())
    }
}

/// The same program as the same user, without a sandbox, must do its harm, or the test shows nothing. Such a program may
/// touch what is in the [`World`] and nothing else of the machine.
fn harms_unconfined(program: &str, harm: impl Fn(&mut World, &str, Seen) -> bool) -> Result<(), Failed> {
    let mut world = World::new();
    let watcher = Watcher::start(world.victim.id());
    let output = as_nobody("python3").args(["-I", "-c"]).arg(format!("{}{TRY}{program}", world.names())).output()?;
    let (seen, output) = (watcher.stop(), String::from_utf8_lossy(&output.stdout));
    if harm(&mut world, &output, seen) { Ok(()) } else { Err(format!("harmless even unconfined:\n{output}").into()) }
}

fn fork_bomb(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
import time
def child():
    if os.fork() == 0:
        time.sleep(30); os._exit(0)
for _ in range(200): attempt('fork', child)
attempt('forkpty', lambda: os.forkpty())
attempt('spawn', lambda: os.posix_spawn('/usr/bin/env', ['env', 'sleep', '30'], {}))
import subprocess, threading
attempt('subprocess', lambda: subprocess.Popen(['sleep', '30']))
attempt('shell', lambda: 1 // (os.system('sleep 30 &') == 0))
for _ in range(50): attempt('thread', lambda: threading.Thread(target=time.sleep, args=[5], daemon=True).start())
system_call('clone', 56 if os.uname().machine == 'x86_64' else 220, 17, 0, 0, 0, 0)
system_call('clone3', 435, 0, 0)
";
    let (run, seen) = run(sandbox, &World::new(), program);
    did_nothing(&run)?;
    // The interpreter, and bubblewrap's two.
    assert!((1..=3).contains(&seen.tasks), "{seen:?}");
    Ok(())
}

fn network(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
import socket
def stream(): socket.create_connection(('127.0.0.1', tcp), 2).send(b'x')
def datagram(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))
def local(): socket.socket(socket.AF_UNIX).connect(folder + '/socket')
attempt('tcp', stream)
attempt('udp', datagram)
attempt('unix', local)
attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt('pair', lambda: socket.socketpair())
attempt('listen', lambda: socket.create_server(('127.0.0.1', 0)))
";
    let world = World::new();
    let (run, _) = run(sandbox, &world, program);
    assert!(!world.was_called());
    did_nothing(&run)?;
    harms_unconfined(program, |world, _, _| world.was_called())
}

fn reading_secrets(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
paths = [home_secret, folder + '/secret.txt', '/proc/self/root' + folder + '/secret.txt', '/usr/..' + folder + '/secret.txt']
for path in paths: attempt(path, lambda: open(path).read())
";
    let more = "
for path in [os.path.dirname(home_secret), folder, '/home', '/tmp', '/var', '/proc', '/sys']:
    attempt('list ' + path, lambda: os.listdir(path))
system_call('open_by_handle_at', 304 if os.uname().machine == 'x86_64' else 265, -100, 0, 0)
";
    let (run, _) = run(sandbox, &World::new(), &format!("{program}{more}"));
    assert!(!run.output.contains(SECRET), "{}", run.output);
    did_nothing(&run)?;
    harms_unconfined(program, |_, output, _| output.matches(SECRET).count() >= 3)
}

fn filling_the_disk(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
places = ['.', '/', '/tmp', '/var/tmp', '/dev/shm', '/run', '/usr/tmp', '/usr', '/dev', folder, os.path.dirname(home_secret)]
def fill(place):
    with open(place + litter, 'wb') as file:
        for _ in range(400): file.write(bytes(10_000_000))
for place in places: attempt('fill ' + place, lambda: fill(place))
for place in places: attempt('folder ' + place, lambda: os.mkdir(place + litter + '-folder'))
def in_memory():
    file = os.memfd_create('x')
    for _ in range(400): os.write(file, bytes(10_000_000))
attempt('memfd', in_memory)
system_call('shmget', 29 if os.uname().machine == 'x86_64' else 194, 0, 1 << 30, 0o1600)
import mmap, multiprocessing.shared_memory as shared
attempt('shared memory', lambda: shared.SharedMemory(create=True, size=1 << 30))
";
    let world = World::new();
    let (run, _) = run(sandbox, &world, program);
    did_nothing(&run)?;
    assert!(world.litter().is_empty(), "{:?}", world.litter());
    Ok(())
}

fn tracing(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
import ctypes
arm = os.uname().machine != 'x86_64'
PTRACE, READV, WRITEV, PIDFD_OPEN, PIDFD_GETFD, KCMP = (117, 270, 271, 434, 438, 272) if arm else (101, 310, 311, 434, 438, 312)
for pid in [victim, tester, os.getppid(), 1]:
    system_call(f'attach {pid}', PTRACE, 16, pid, None, None)
    system_call(f'seize {pid}', PTRACE, 0x4206, pid, None, None)
    system_call(f'readv {pid}', READV, pid, None, 0, None, 0, 0)
    system_call(f'writev {pid}', WRITEV, pid, None, 0, None, 0, 0)
    system_call(f'pidfd {pid}', PIDFD_OPEN, pid, 0)
system_call('traceme', PTRACE, 0, 0, None, None)
system_call('getfd', PIDFD_GETFD, 3, 0, 0)
import time; time.sleep(0.1)
";
    let (run, seen) = run(sandbox, &World::new(), program);
    assert!(!seen.traced);
    did_nothing(&run)?;
    // Where Yama is on, nobody may do this with or without a sandbox.
    if std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope.trim() != "0") {
        return Ok(());
    }
    let program = "
system_call('seize', 117 if os.uname().machine != 'x86_64' else 101, 0x4206, victim, None, None)
import time; time.sleep(0.1)
";
    harms_unconfined(program, |_, _, seen| seen.traced)
}

fn memory(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
import mmap
attempt('at once', lambda: bytearray(10 << 30))
attempt('shared', lambda: mmap.mmap(-1, 10 << 30))
def piece_by_piece():
    pieces = []
    for _ in range(100):
        piece = bytearray(100 << 20)
        piece[::4096] = bytes([1]) * len(piece[::4096])
        pieces.append(piece)
attempt('piece by piece', piece_by_piece)
import resource
attempt('raise the limit', lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2))
";
    let (run, seen) = run(sandbox, &World::new(), program);
    did_nothing(&run)?;
    assert!(seen.memory > 0 && seen.memory < 1200 << 20, "{seen:?}");
    Ok(())
}

fn writing_outside(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
path = folder + '/precious.txt'
attempt('write', lambda: open(path, 'w').write('gone'))
attempt('append', lambda: open(path, 'a').write('gone'))
attempt('truncate by reading', lambda: os.open(path, os.O_RDONLY | os.O_TRUNC))
attempt('truncate', lambda: os.truncate(path, 0))
attempt('mode', lambda: os.chmod(path, 0o777))
attempt('time', lambda: os.utime(path, (1, 1)))
attempt('attribute', lambda: os.setxattr(path, 'user.x', b'x'))
attempt('rename', lambda: os.rename(path, path + '.moved'))
attempt('remove', lambda: os.unlink(path + '.moved'))
attempt('create', lambda: open(folder + '/new', 'w'))
attempt('unnamed', lambda: os.open(folder, os.O_TMPFILE | os.O_RDWR))
attempt('folder', lambda: os.mkdir(folder + '/folder'))
attempt('pipe', lambda: os.mkfifo(folder + '/fifo'))
";
    let more = "
system_call('mount', 165 if os.uname().machine == 'x86_64' else 40, b'none', folder.encode(), b'tmpfs', 0, None)
attempt('chroot', lambda: os.chroot(folder))
attempt('unshare', lambda: os.unshare(0x10000000))
";
    let world = World::new();
    let before = world.files();
    let (run, _) = run(sandbox, &world, &format!("{program}{more}"));
    assert_eq!(world.files(), before);
    did_nothing(&run)?;
    harms_unconfined(program, |world, _, _| !world.folder.path().join("precious.txt").exists())
}

/// What is done to another process; the last ends it.
const TO_VICTIM: &str = "
import resource, fcntl, signal, ctypes
attempt('limit', lambda: resource.prlimit(victim, resource.RLIMIT_NOFILE, (5, 5)))
attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, victim, 19))
attempt('pidfd', lambda: signal.pidfd_send_signal(os.pidfd_open(victim), signal.SIGTERM))
def owner():
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, victim)
    fcntl.fcntl(reader, 10, signal.SIGTERM)
    fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writer, b'x')
attempt('owner', owner)
attempt('queue', lambda: 1 // (ctypes.CDLL(None).sigqueue(victim, signal.SIGTERM, 0) == 0))
attempt('kill', lambda: os.kill(victim, signal.SIGTERM))
import time; time.sleep(0.2)
";

fn signals(sandbox: &Sandbox) -> Result<(), Failed> {
    // Signal 0 does nothing but show whether another would arrive.
    let program = format!(
        "{TO_VICTIM}
for pid in [tester, os.getppid(), 1, -1, 0, -tester]: attempt(f'signal {{pid}}', lambda: os.kill(pid, 0))
attempt('group', lambda: os.killpg(os.getpgid(0), 0))
attempt('new session', lambda: os.setsid())
attempt('tgkill', lambda: system_call('tgkill', 234 if os.uname().machine == 'x86_64' else 131, tester, tester, 0).bit_length())
"
    );
    let mut world = World::new();
    let before = world.victim_state();
    let (run, _) = run(sandbox, &world, &program);
    assert!(before.is_some());
    assert_eq!(world.victim_state(), before);
    did_nothing(&run)?;
    harms_unconfined(TO_VICTIM, |world, _, _| world.victim_state().is_none())
}

fn links(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
secret = folder + '/secret.txt'
def link(name):
    attempt('symlink ' + name, lambda: os.symlink(secret, name))
    attempt('read ' + name, lambda: open(name).read())
    attempt('hard link ' + name, lambda: os.link(folder + '/precious.txt', name + '-hard'))
    attempt('read ' + name + '-hard', lambda: open(name + '-hard').read())
link(folder + '/link')
attempt('open a folder', lambda: os.open(folder, os.O_DIRECTORY))
";
    let more = "
for place in ['.', '/tmp', '/dev/shm', '/usr']: link(place + litter)
attempt('step back', lambda: open('../' * 20 + secret).read())
";
    let world = World::new();
    let before = world.files();
    let (run, _) = run(sandbox, &world, &format!("{program}{more}"));
    assert_eq!(world.files(), before);
    assert!(world.litter().is_empty(), "{:?}", world.litter());
    assert!(!run.output.contains(SECRET), "{}", run.output);
    did_nothing(&run)?;
    harms_unconfined(program, |world, output, _| output.contains(SECRET) && world.files() != before)
}

fn proc_files(sandbox: &Sandbox) -> Result<(), Failed> {
    let program = "
for file in ['environ', 'maps', 'mem', 'auxv', 'fd', 'task', 'ns']:
    path = f'/proc/{victim}/{file}'
    attempt('read ' + path, lambda: os.listdir(path) if file in ['fd', 'task', 'ns'] else open(path, 'rb').read(2000))
for file in ['exe', 'cwd', 'root', 'fd/0']:
    attempt(f'link {victim}/{file}', lambda: os.readlink(f'/proc/{victim}/{file}'))
attempt('write', lambda: open(f'/proc/{victim}/oom_score_adj', 'w').write('1000'))
";
    // Of others only what tells nothing.
    let more = "
for pid in [tester, os.getppid(), 1, 'self']:
    for file in ['cmdline', 'status', 'stat', 'statm']:
        attempt(f'read {pid}/{file}', lambda: open(f'/proc/{pid}/{file}', 'rb').read(20))
for path in ['/proc/meminfo', '/proc/net/tcp', '/proc/mounts', '/sys/kernel/mm']:
    attempt('open ' + path, lambda: os.open(path, os.O_RDONLY))
";
    let (run, _) = run(sandbox, &World::new(), &format!("{program}{more}"));
    assert!(!run.output.contains(SECRET), "{}", run.output);
    did_nothing(&run)?;
    harms_unconfined(program, |_, output, _| output.contains(&format!("TOKEN={SECRET}")))
}
