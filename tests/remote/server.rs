//! A real llama-server: the one in the Python package `xllamacpp`, which is installed into a folder of its own below `target/`
//! by the first test that needs it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// As measured with; another may speak otherwise.
const PACKAGE: &str = "xllamacpp==2026.10.11549";

/// Its process.
pub struct Server {
    process: Child,
    model: PathBuf,
    port: u16,
    slots: usize,
}

impl Server {
    /// One that keeps keys and values as the program does, so that rows are the same to the last digits.
    pub fn start(model: &Path, slots: usize) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { process: spawn(model, port, slots), model: model.into(), port, slots }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// As when power fails.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again in the same place, perhaps with another model.
    pub fn start_again(&mut self, model: Option<&Path>) {
        self.kill();
        self.process = spawn(model.unwrap_or(&self.model), self.port, self.slots);
    }

    /// Stops it where it is, or lets it go on.
    pub fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(model: &Path, port: u16, slots: usize) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/remote/server.py");
    let mut command = Command::new(python());
    command.arg(script).arg(model).args([port.to_string(), slots.to_string()]);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("http://"), "the llama-server does not start: {line:?}");
    process
}

/// The Python that has the package. Without it there is nothing to test against, and the test fails.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let program = std::env::current_exe().unwrap();
        let target = program.ancestors().nth(3).unwrap();
        let folder = target.join(format!("{}-venv", PACKAGE.replace("==", "-")));
        let python = folder.join("bin/python");
        let has_it = || {
            let check = Command::new(&python).args(["-c", "import xllamacpp"]).stderr(Stdio::null()).status();
            check.is_ok_and(|status| status.success())
        };
        if has_it() {
            return python;
        }
        let run = |command: &mut Command, cure: &str| {
            let shown = format!("{command:?}");
            let output = command.output().unwrap_or_else(|error| panic!("{shown}: {error}; {cure}"));
            assert!(output.status.success(), "{shown} fails: {}; {cure}", String::from_utf8_lossy(&output.stderr));
        };
        let cure = "install python3 with its module `venv` (Debian: python3-venv)";
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder), cure);
        let cure = "the tests of remote members need this package from PyPI, 34 MB, once";
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]), cure);
        assert!(has_it(), "`import xllamacpp` fails in {}; remove the folder and try again", folder.display());
        python
    })
}
