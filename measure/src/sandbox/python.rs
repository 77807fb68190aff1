//! The interpreter: where it is, and the lines of ours that run before and after the program.

use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs before the program's first line and after its last. It closes what this process inherited, takes the program from
/// standard input to the end (so that `input()` finds nothing), and says on the output that it has begun and that it is
/// done: the one shows that the sandbox worked, the other that no `exit()` came before the tests.
const LOADER: &str = "\
import os, sys
os.closerange(3, 4096)
token = sys.argv.pop()
report = os.dup(1)
source = sys.stdin.buffer.read()
os.write(report, f'began {token}\\n'.encode())
exec(compile(source, '<program>', 'exec'), {'__name__': '__main__'})
sys.stdout.flush()
os.write(report, f'done {token}\\n'.encode())
";

/// A Python 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The interpreter itself, not a link or a shim.
    pub executable: PathBuf,
    /// The folder of its library.
    pub prefix: PathBuf,
}

/// The interpreter's arguments: `-I` keeps it from the environment, the working folder and the user's packages.
pub fn arguments(token: &str) -> [&str; 5] {
    ["-I", "-B", "-c", LOADER, token]
}

/// A word that no program can know beforehand.
pub fn token() -> String {
    format!("{:016x}{:016x}", RandomState::new().build_hasher().finish(), RandomState::new().build_hasher().finish())
}

/// The interpreters of this machine, those of the system first: whoever the sandbox runs as may read them.
pub fn candidates() -> impl Iterator<Item = Python> {
    let system = ["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from).into_iter();
    let names = if cfg!(windows) { ["python.exe", "python3.exe"] } else { ["python3", "python"] };
    let mut seen = Vec::new();
    system.chain(names.into_iter().flat_map(in_path)).filter_map(|path| resolve(&path)).filter(move |python| {
        let new = !seen.contains(python);
        seen.push(python.clone());
        new
    })
}

/// The files of this name in the folders of `PATH`.
pub fn in_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join(name)).filter(|p| p.is_file()).collect();
    found.into_iter()
}

/// Asks the interpreter, since what stands in `PATH` may be a link, a virtual environment or a script.
fn resolve(path: &Path) -> Option<Python> {
    let ask = "import os, sys; assert sys.version_info[0] == 3; print(os.path.realpath(sys.executable)); \
               print(os.path.realpath(sys.base_prefix))";
    let output = Command::new(path).args(["-I", "-c", ask]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let (executable, prefix) = text.trim().split_once('\n')?;
    let python = Python { executable: executable.trim().into(), prefix: prefix.trim().into() };
    // Programs may read the prefix. If that is the home folder or above it, all of it would be readable.
    let exposes_home = env::home_dir().is_some_and(|home| home.starts_with(&python.prefix));
    (!exposes_home).then_some(python)
}
