//! A card at the end of a run.

use crate::bench::{Bench, Builder, Eval, Failure, Pack, Profile, Text, Watch, Window};
use crate::recipe::Recipe;
use crate::remote::Offline;
use crate::run::{Forge, Silent, verify};
use crate::store::Store;
use gguf::{Header, Value, Writer};
use std::path::Path;

const RECIPE: &str = r#"
recipe = 1
[input]
base = "base.gguf"
text = "text.txt"
[[stage]]
kind = "imatrix"
name = "weights"
model = "base"
text = "text"
[[stage]]
kind = "quantize"
name = "tiers"
model = "base"
imatrix = "weights"
types = ["Q8_0", "Q4_0"]
[[stage]]
kind = "perplexity"
name = "ppl"
models = "tiers"
against = "base"
text = "text"
[[stage]]
kind = "card"
name = "card"
models = "tiers"
results = "ppl"
base = ["https://huggingface.co/owner/base"]
repo = "me/base-GGUF"
"#;

/// A bench that "quantises" by writing the type, and whose losses depend on the name alone.
struct Double;

impl Bench for Double {
    fn builder(&self) -> Builder {
        Builder { id: format!("double 1, sha256:{:064}", 0), llama_cpp: "b1".into() }
    }

    fn quantized(&self, header: &Header, _: &str, _: bool) -> Result<Header, Failure> {
        Ok(header.clone())
    }

    fn quantize(&self, model: &Path, to: &str, _: Option<&Path>, out: &Path, _: &dyn Watch) -> Result<(), Failure> {
        let mut header = Header::read(model).unwrap();
        let number = if to == "Q8_0" { 7 } else { 2 };
        header.set("general.file_type", Value::U32(number)).unwrap();
        Writer::create(out, header).unwrap().finish().unwrap();
        Ok(())
    }

    fn windows(&self, _: &Path, _: Text) -> Result<u32, Failure> {
        Ok(8)
    }

    fn losses(&self, model: &Path, _: Text, _: Option<&[u32]>, _: &dyn Watch) -> Result<Vec<Window>, Failure> {
        let worse = if model.to_string_lossy().contains("Q4_0") { 20.0 } else { 0.0 };
        let window = |at: u32| Window { nats: 300.0 + f64::from(at * 7 % 5) + worse, tokens: 256, bytes: 900 };
        Ok((0..8).map(window).collect())
    }

    fn imatrix(&self, _: &Path, _: Text, out: &Path, _: &dyn Watch) -> Result<(), Failure> {
        Writer::create(out, Header::default()).unwrap().finish().unwrap();
        Ok(())
    }

    fn profile(&self, _: &Path, _: Text, _: &dyn Watch) -> Result<Profile, Failure> {
        Err(Failure::new("not needed"))
    }

    fn eval(&self, _: Eval, _: &dyn Watch) -> Result<(), Failure> {
        Err(Failure::new("not needed"))
    }

    fn pack(&self, _: Pack, _: &dyn Watch) -> Result<(), Failure> {
        Err(Failure::new("not needed"))
    }
}

/// Runs the recipe in a folder of its own and gives the card.
fn card(folder: &Path) -> String {
    let mut header = Header::default();
    for (key, text) in [("general.architecture", "llama"), ("general.name", "Base"), ("general.license", "mit")] {
        header.set(key, Value::Text(text.into())).unwrap();
    }
    Writer::create(folder.join("base.gguf"), header).unwrap().finish().unwrap();
    std::fs::write(folder.join("text.txt"), "Some text.").unwrap();
    let recipe = Recipe::read(RECIPE, &folder.join("recipe.toml")).unwrap();
    let root = folder.join("store");
    let store = Store::open(&root).unwrap();
    let forge =
        Forge { recipe: &recipe, store: &store, bench: &Double, remote: &Offline, observer: &Silent, signer: None };
    forge.run(None).unwrap();
    let again = forge.run(None).unwrap();
    assert_eq!(again.skipped.len(), 4);
    drop(store);
    assert!(verify(&recipe, &root, &Offline, None, &Silent).unwrap().is_sound());
    let stage = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let stage = stage.into_iter().find(|path| path.to_string_lossy().ends_with("-card")).unwrap();
    std::fs::read_to_string(stage.join("out/README.md")).unwrap()
}

#[test]
fn a_run_ends_with_a_card_that_is_the_same_everywhere() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = folders.each_ref().map(|folder| card(folder.path()));
    assert_eq!(one, other);
    assert!(!one.contains(&*folders[0].path().to_string_lossy()));
    super::is_golden(&one, "run.md");
}
