//! What a hostile program might reach, and the means to see from outside whether it did.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// This binary, which begins with the sandbox's own entry.
pub fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A command of the user that a sandboxed program is: this one, or nobody for root. Its environment is empty.
pub fn as_nobody(program: &str) -> Command {
    let mut command = Command::new(format!("/usr/bin/{program}"));
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.env_clear().current_dir("/");
    command
}

/// A word that stands in secrets and nowhere else.
pub const SECRET: &str = "xyzzy-4711-plugh";

/// Files that anybody may read and write, sockets that anybody may reach, and a process of the program's own user.
pub struct World {
    /// A folder with `secret.txt` and `precious.txt`.
    pub folder: TempDir,
    /// A secret in the home folder.
    pub home_secret: PathBuf,
    pub tcp: TcpListener,
    pub udp: UdpSocket,
    unix: UnixListener,
    pub victim: Child,
}

/// The state of the files that nobody may change.
#[derive(Debug, PartialEq)]
pub struct Files {
    names: Vec<PathBuf>,
    text: String,
    mode: u32,
    links: u64,
    modified: SystemTime,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        open_to_all(folder.path(), 0o777);
        for (name, mode) in [("secret.txt", 0o644), ("precious.txt", 0o666)] {
            fs::write(folder.path().join(name), SECRET).unwrap();
            open_to_all(&folder.path().join(name), mode);
        }
        let home_secret = std::env::home_dir().unwrap().join(format!(".sandbox-test-{}", std::process::id()));
        fs::write(&home_secret, SECRET).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
        open_to_all(&folder.path().join("socket"), 0o777);
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        let victim = as_nobody("sleep").arg("600").env("TOKEN", SECRET).spawn().unwrap();
        Self { folder, home_secret, tcp, udp, unix, victim }
    }

    /// Python's names for all that is here.
    pub fn names(&self) -> String {
        let text = |path: &Path| format!("{:?}", path.display().to_string());
        format!(
            "folder = {}\nhome_secret = {}\ntcp = {}\nudp = {}\nvictim = {}\ntester = {}\nlitter = '/{}'\n",
            text(self.folder.path()),
            text(&self.home_secret),
            self.tcp.local_addr().unwrap().port(),
            self.udp.local_addr().unwrap().port(),
            self.victim.id(),
            std::process::id(),
            Self::litter_name(),
        )
    }

    fn litter_name() -> String {
        format!("sandbox-test-{}", std::process::id())
    }

    /// What stands under the test's name where anybody, or root, may write.
    pub fn litter(&self) -> Vec<PathBuf> {
        let folders = ["/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/usr", "/dev"].map(fs::read_dir);
        let entries = folders.into_iter().flatten().flatten().filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&Self::litter_name()))
            .map(|entry| entry.path())
            .collect()
    }

    pub fn files(&self) -> Files {
        let precious = self.folder.path().join("precious.txt");
        let meta = fs::metadata(&precious).unwrap();
        let mut names: Vec<PathBuf> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        Files {
            names,
            text: fs::read_to_string(precious).unwrap(),
            mode: meta.mode(),
            links: meta.nlink() + fs::metadata(self.folder.path().join("secret.txt")).unwrap().nlink(),
            modified: meta.modified().unwrap(),
        }
    }

    /// Whether anybody knocked at a socket.
    pub fn was_called(&self) -> bool {
        let none = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let mut byte = [0];
        let tcp = self.tcp.accept().map_err(none).is_ok();
        let udp = self.udp.recv(&mut byte).map_err(none).is_ok();
        let unix = self.unix.accept().map_err(none).is_ok();
        tcp || udp || unix
    }

    /// The victim's limits and niceness, or nothing if it is dead.
    pub fn victim_state(&mut self) -> Option<(String, String)> {
        if self.victim.try_wait().unwrap().is_some() {
            return None;
        }
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.victim.id())).unwrap();
        let priority = of("stat").split(' ').skip(17).take(2).collect();
        Some((of("limits"), priority))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        let _ = fs::remove_file(&self.home_secret);
        for path in self.litter() {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
    }
}

fn open_to_all(path: &Path, mode: u32) {
    File::open(path)
        .map_or_else(
            |_| fs::set_permissions(path, Permissions::from_mode(mode)),
            |file| file.set_permissions(Permissions::from_mode(mode)),
        )
        .unwrap();
}

/// The processes that run a program of a sandbox, bubblewrap's own among them: by a line of the loader.
pub fn sandboxed() -> Vec<u32> {
    let runs_loader = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("os.closerange(3"))
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(runs_loader).collect()
}

/// What was seen while a program ran.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    /// Most processes and threads at one time.
    pub tasks: usize,
    /// Most memory in use by them at one time, in bytes.
    pub memory: u64,
    /// Whether somebody traced the victim.
    pub traced: bool,
}

/// Looks every few milliseconds until it is stopped.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Watcher {
    pub fn start(victim: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                let processes = sandboxed();
                let tasks =
                    processes.iter().map(|pid| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count));
                seen.tasks = seen.tasks.max(tasks.sum());
                seen.memory = seen.memory.max(processes.iter().map(|pid| resident(*pid)).sum());
                let status = fs::read_to_string(format!("/proc/{victim}/status")).unwrap_or_default();
                seen.traced |= status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"));
                thread::sleep(Duration::from_millis(3));
            }
            seen
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
