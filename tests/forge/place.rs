//! A folder with a recipe, a model and texts, and a hub on this machine.

use crate::support::program::{Place, model};
use hub::mock::{Mock, TOKEN};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// From a mixture of experts to a published card with three tiers.
pub const RECIPE: &str = r#"
recipe = 1

[input]
moe = "moe.gguf"
stories = "stories.txt"
held = "held.txt"

[[stage]]
kind = "profile"
model = "moe"
text = "stories"
context = 256

[[stage]]
kind = "prune"
model = "moe"
profile = "profile"
experts = 7

[[stage]]
kind = "imatrix"
model = "prune"
text = "stories"
context = 256

[[stage]]
kind = "quantize"
model = "prune"
types = ["Q8_0", "Q6_K", "Q4_K_M"]
imatrix = "imatrix"

[[stage]]
kind = "perplexity"
models = "quantize"
against = "moe"
text = "held"
context = 256

[[stage]]
kind = "eval"
models = ["moe", "quantize/moe-7-experts-Q4_K_M.gguf"]
against = "moe"
task = "maths"

[[stage]]
kind = "card"
models = "quantize"
results = ["perplexity", "eval"]
repo = "someone/moe-7-experts-GGUF"

[[stage]]
kind = "publish"
repo = "someone/moe-7-experts-GGUF"
files = ["card", "quantize/moe-7-experts-Q8_0.gguf", "quantize/moe-7-experts-Q6_K.gguf", "quantize/moe-7-experts-Q4_K_M.gguf"]
"#;

/// How many stages it has.
pub const STAGES: usize = 8;

pub const TEXT: &str = include_str!("../fixtures/tinystories-dev.txt");

/// Where a recipe is run.
pub struct Workplace {
    pub place: Place,
    pub hub: Mock,
}

impl Workplace {
    pub fn new(recipe: &str) -> Self {
        let place = Place::new();
        std::fs::copy(model("moe.gguf"), place.path().join("moe.gguf")).unwrap();
        place.file("recipe.toml", recipe);
        place.file("stories.txt", &TEXT[..12_000]);
        place.file("held.txt", &TEXT[50_000..60_000]);
        Self { place, hub: Mock::start().unwrap() }
    }

    /// The program with this hub, and as little patience with it as tests have.
    pub fn process(&self, words: &[&str]) -> Command {
        let mut command = self.place.process(words);
        self.reach(&mut command);
        command
    }

    fn reach(&self, command: &mut Command) {
        command.env("HF_ENDPOINT", self.hub.url()).env("HF_TOKEN", TOKEN).env("HF_HOME", self.place.path().join("hf"));
        for variable in
            ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY"]
        {
            command.env_remove(variable);
        }
    }

    /// Runs it to its end: exit code, standard output and standard error.
    pub fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = self.process(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Standard output of a run that must work.
    pub fn done(&self, words: &[&str]) -> String {
        let (code, said, error) = self.run(words);
        assert_eq!(code, Some(0), "{words:?}: {error}{said}");
        said
    }

    /// Standard error of a run that must not.
    pub fn failed(&self, words: &[&str]) -> String {
        let (code, _, error) = self.run(words);
        assert!(matches!(code, Some(1 | 2)), "{words:?}: {code:?}: {error}");
        assert!(error.starts_with("error: ") || error.contains("\nerror: "), "{error}");
        assert!(!error.contains("panicked"), "{error}");
        error
    }

    pub fn store(&self) -> PathBuf {
        self.place.path().join("forge")
    }

    /// Names of stages that are done.
    pub fn complete(&self) -> usize {
        folders(&self.store()).into_iter().filter(|folder| folder.join("statement.json").exists()).count()
    }

    /// All that stages have made, by their paths in the store.
    pub fn made(&self) -> BTreeMap<String, Vec<u8>> {
        let mut made = BTreeMap::new();
        for folder in folders(&self.store()) {
            collect(&self.store(), &folder.join("out"), &mut made);
        }
        made
    }

    /// The folder of the stage with this name.
    pub fn stage(&self, name: &str) -> PathBuf {
        let ending = format!("-{name}");
        let mut found = folders(&self.store()).into_iter().filter(|folder| folder.to_string_lossy().ends_with(&ending));
        found.next().unwrap()
    }
}

fn folders(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn collect(root: &Path, folder: &Path, made: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, made);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            made.insert(name, std::fs::read(path).unwrap());
        }
    }
}
