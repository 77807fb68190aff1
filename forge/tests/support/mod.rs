//! Folders with recipes, and doubles of whoever loads models and reaches the hub.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod double;

pub use double::Double;

use gguf::{Header, Tensor, Type, Writer};
use llama_selfmod_forge::bench::{Failure, Watch};
use llama_selfmod_forge::recipe::Recipe;
use llama_selfmod_forge::remote::{Remote, Upload};
use llama_selfmod_forge::run::{Event, Forge, ForgeError, Observer, Summary, Verification, verify};
use llama_selfmod_forge::store::{Signer, Store, Trust};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A recipe with one stage of nearly every kind.
pub const WHOLE: &str = r#"recipe = 1
[input]
base = "base.gguf"
moe = "moe.gguf"
text = "text.txt"
source = "source"
far = "hf:owner/repo/far.gguf@main"

[[stage]]
kind = "fetch"
file = "hf:owner/repo/sub/other.gguf@main"

[[stage]]
kind = "convert"
from = "source"
script = "llama.cpp/convert_hf_to_gguf.py"
python = "sh"

[[stage]]
kind = "imatrix"
model = "base"
text = "text"
context = 64

[[stage]]
kind = "quantize"
model = "base"
types = ["Q8_0", "Q4_K_M"]
imatrix = "imatrix"

[[stage]]
kind = "perplexity"
models = ["quantize", "far"]
text = "text"
against = "base"
context = 64

[[stage]]
kind = "profile"
model = "moe"
text = "text"
context = 64

[[stage]]
kind = "prune"
model = "moe"
profile = "profile"
experts = [6, 4]

[[stage]]
kind = "eval"
models = ["quantize"]
against = "base"
task = "gsm8k"
limit = 8

[[stage]]
kind = "run"
command = ["sh", "-c", "cat '{in.quantize/base-Q8_0.gguf}' '{in.perplexity}' | head -c 5000 > {out}/mixed.bin"]
inputs = ["quantize/base-Q8_0.gguf", "perplexity"]
outputs = ["mixed.bin"]

[[stage]]
kind = "pack"
models = ["quantize/base-Q4_K_M.gguf", "fetch"]
weights = [0.75, 0.25]

[[stage]]
kind = "publish"
files = ["pack", "run", "eval"]
repo = "owner/team"
"#;

/// A folder with a recipe and all that it names.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new(recipe: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.fill(recipe);
        place
    }

    fn fill(&self, recipe: &str) {
        fill(self.folder.path(), recipe);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn recipe(&self) -> Recipe {
        Recipe::open(&self.path("recipe.toml")).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn store(&self) -> PathBuf {
        self.path("forge")
    }

    pub fn run(&self) -> Result<Summary, ForgeError> {
        self.run_with(&Double::default(), None)
    }

    pub fn run_with(&self, bench: &Double, from: Option<&str>) -> Result<Summary, ForgeError> {
        run(&self.recipe(), &self.store(), bench, &Heard::default(), from, None)
    }

    pub fn run_signed(&self, signer: &Signer) -> Result<Summary, ForgeError> {
        run(&self.recipe(), &self.store(), &Double::default(), &Heard::default(), None, Some(signer))
    }

    pub fn verify(&self, trust: Option<&Trust>) -> Verification {
        self.verify_with(&Heard::default(), trust).unwrap()
    }

    pub fn verify_with(&self, observer: &dyn Observer, trust: Option<&Trust>) -> Result<Verification, Failure> {
        verify(&self.recipe(), &self.store(), &Hub::new(self.folder.path()), trust, observer)
    }

    /// The folder of a stage, of which there must be one.
    pub fn stage(&self, name: &str) -> PathBuf {
        let folders: Vec<PathBuf> = entries(&self.store())
            .into_iter()
            .filter(|path| path.file_name().unwrap().to_str().unwrap().get(13..) == Some(name))
            .collect();
        assert_eq!(folders.len(), 1, "{name}: {folders:?}");
        folders[0].clone()
    }

    /// All bytes of all outputs, by their paths.
    pub fn outputs(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        outputs(&self.store())
    }
}

pub fn fill(folder: &Path, recipe: &str) {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("recipe.toml", recipe.as_bytes());
    for (name, size) in [("base.gguf", 30_000_u32), ("hub/far.gguf", 9_000), ("hub/other.gguf", 20_000)] {
        let bytes: Vec<u8> =
            (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ name.len() as u8).collect();
        write(name, &bytes);
    }
    mixture(&folder.join("moe.gguf"));
    let words = ["once", "upon", "a", "time", "there", "was", "little", "fox"];
    let text: Vec<&str> = (0..400_usize).map(|at| words[at * at % 97 % words.len()]).collect();
    write("text.txt", text.join(" ").as_bytes());
    write("source/config.json", b"{}");
    write("source/model.safetensors", &[7; 5000]);
    write("llama.cpp/gguf-py/gguf/a.py", b"pass");
    // $1 --outfile $2 OUT --outtype $4 TYPE FROM
    write("llama.cpp/convert_hf_to_gguf.py", b"echo converting \"$5\"\ncat \"$5/model.safetensors\" > \"$2\"\n");
}

/// A file with three layers of eight experts, of which a token goes through two.
fn mixture(path: &Path) {
    let mut header = Header::default();
    header.set("general.architecture", "qwen3moe").unwrap();
    header.set("qwen3moe.expert_count", 8_u32).unwrap();
    header.set("qwen3moe.expert_used_count", 2_u32).unwrap();
    let mut tensors = Vec::new();
    for layer in 0..3 {
        let mut add = |name: &str, dims: &[u64]| {
            tensors.push(Tensor::new(format!("blk.{layer}.{name}.weight"), dims.to_vec(), Type::F32).unwrap());
        };
        add("ffn_gate_inp", &[4, 8]);
        add("ffn_up_exps", &[4, 16, 8]);
    }
    header.set_tensors(tensors).unwrap();
    let mut writer = Writer::create(path, header.clone()).unwrap();
    for (number, tensor) in header.tensors().iter().enumerate() {
        let bytes: Vec<u8> = (0..tensor.bytes()).map(|at| (at / 4 * 37 + number as u64) as u8).collect();
        writer.write(&bytes).unwrap();
        writer.end_tensor().unwrap();
    }
    writer.finish().unwrap();
}

pub fn run(
    recipe: &Recipe,
    store: &Path,
    bench: &Double,
    observer: &dyn Observer,
    from: Option<&str>,
    signer: Option<&Signer>,
) -> Result<Summary, ForgeError> {
    let store = Store::open(store).unwrap_or_else(|error| panic!("{error}"));
    let remote = Hub::new(&recipe.folder);
    Forge { recipe, store: &store, bench, remote: &remote, observer, signer }.run(from)
}

pub fn outputs(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in entries(store) {
        if folder.join("statement.json").exists() {
            collect(store, &folder.join("out"), &mut found);
        }
    }
    found
}

fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for path in entries(folder) {
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().into(), fs::read(&path).unwrap());
        }
    }
}

pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default();
    entries.sort();
    entries
}

/// Makes a file writable and changes it.
pub fn change(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    with(&mut bytes);
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Heard {
    pub events: RefCell<Vec<String>>,
    /// Wants it to end when so many events have come.
    pub cancel_after: Cell<Option<usize>>,
}

impl Observer for Heard {
    fn event(&self, name: &str, event: Event) {
        let words = match event {
            Event::Skipped => "skipped".into(),
            Event::Started { number, of } => format!("started {number}/{of}"),
            Event::Progress { done, total, unit } => format!("{done}/{total} {unit}"),
            Event::Line(line) => format!("line {line}"),
            Event::Finished { .. } => "finished".into(),
        };
        self.events.borrow_mut().push(format!("{name} {words}"));
    }

    fn cancelled(&self) -> bool {
        self.cancel_after.get().is_some_and(|after| self.events.borrow().len() >= after)
    }
}

/// A hub that is the folder `hub`.
pub struct Hub(PathBuf);

impl Hub {
    pub fn new(folder: &Path) -> Self {
        Self(folder.join("hub"))
    }
}

impl Remote for Hub {
    fn have(&self, address: &str) -> Option<PathBuf> {
        let file = address.split('@').next()?.rsplit('/').next()?;
        Some(self.0.join(file)).filter(|path| path.exists())
    }

    fn fetch(&self, address: &str, _: &dyn Watch) -> Result<PathBuf, Failure> {
        self.have(address).ok_or_else(|| Failure::new(format!("`{address}` is not on the hub (404)")))
    }

    fn publish(&self, upload: &Upload, _: &dyn Watch) -> Result<String, Failure> {
        Ok(format!("hf:{}@{:08x}", upload.repo, upload.files.len()))
    }
}
