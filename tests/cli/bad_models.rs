//! Files that cannot be members.

use crate::support::gguf::{Architecture, Gguf, RandomModel, Value, Vocabulary};
use crate::support::program::{PAIR, Place, error_of, model};
use crate::support::screen::Screen;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

/// What the program says about a model file with this content.
fn refusal(name: &str, content: &[u8]) -> String {
    let place = Place::new();
    place.file(name, content);
    place.refusal(&["-m", name, "-p", "x"])
}

/// What it says about the demo's first model after a change.
fn refusal_of_changed(change: impl FnOnce(&mut Gguf)) -> String {
    let place = Place::new();
    let mut changed = Gguf::read(&model("stories-260k.gguf"));
    change(&mut changed);
    changed.write(&place.path().join("changed.gguf"));
    place.refusal(&["-m", "changed.gguf", "-p", "x"])
}

#[test]
fn paths_that_lead_to_no_file() {
    let place = Place::new();
    let error = place.refusal(&["-m", "absent.gguf", "-p", "x"]);
    assert!(error.contains("there is no file `absent.gguf`; check the path"), "{error}");
    let error = place.refusal(&["-m", ".", "-p", "x"]);
    assert!(error.contains("`.` is a directory; name a file in it"), "{error}");
}

#[test]
fn other_files_are_named_for_what_they_look_like() {
    let error = refusal("notes.txt", b"Dear diary");
    assert!(
        error.contains("`notes.txt` is not a GGUF file: it looks like plain text; give the `.gguf` file"),
        "{error}"
    );
    let error = refusal("empty.gguf", b"");
    assert!(error.contains("`empty.gguf` is empty; fetch the model again"), "{error}");
}

#[test]
fn a_file_that_is_cut_off_is_told_from_its_header_and_from_its_data() {
    let whole = std::fs::read(model("stories-260k.gguf")).unwrap();
    let error = refusal("part.gguf", &whole[..1000]);
    assert!(
        error.contains("`part.gguf` ends in the middle of its header, after 1000 bytes; fetch it again"),
        "{error}"
    );
    let error = refusal("part.gguf", &whole[..whole.len() - 1000]);
    assert!(error.contains("`part.gguf` is cut off: 1000 of its") && error.contains("fetch it again"), "{error}");
}

#[test]
fn a_vocabulary_alone_is_no_model() {
    let error = refusal_of_changed(|model| model.tensors.clear());
    assert!(error.contains("holds a vocabulary and no weights; fetch the model itself"), "{error}");
}

#[test]
fn embedding_models_are_told_from_architecture_and_pooling() {
    let bert = refusal_of_changed(|model| model.set("general.architecture", Value::Text("bert".into())));
    let pooling = refusal_of_changed(|model| model.set("llama.pooling_type", Value::U32(1)));
    for error in [bert, pooling] {
        assert!(error.contains("is an embedding model"), "{error}");
        assert!(error.contains("cannot write text; choose a model that generates"), "{error}");
    }
}

fn texts(model: &mut Gguf) -> &mut Vec<String> {
    let tokens = model.metadata.iter_mut().find(|(key, _)| key == "tokenizer.ggml.tokens");
    match tokens {
        Some((_, Value::Texts(tokens))) => tokens,
        other => panic!("no tokens: {other:?}"),
    }
}

#[test]
fn values_that_llama_cpp_asserts_are_named() {
    type Change = fn(&mut Gguf);
    fn number(model: &mut Gguf, key: &str, value: u32) {
        model.set(&format!("llama.{key}"), Value::U32(value));
    }
    fn epsilon(model: &mut Gguf, value: f32) {
        model.set("llama.attention.layer_norm_rms_epsilon", Value::F32(value));
    }
    let cases: [(Change, &str); 21] = [
        (|model| number(model, "block_count", 0), "its number of layers is 0, and must be 1 to 512"),
        (|model| number(model, "block_count", 600), "its number of layers is 600, and must be 1 to 512"),
        (
            |model| number(model, "nextn_predict_layers", 64),
            "its number of predicting layers is 64, and must be at most",
        ),
        (
            |model| number(model, "attention.head_count", 0),
            "its number of attention heads is 0, and must be at least 1",
        ),
        (|model| number(model, "expert_count", 1), "its number of experts in use is 0, and must be 1 to 1"),
        (
            |model| number(model, "expert_count", u32::MAX),
            "its number of experts is 4294967295, and must be at most 1024",
        ),
        (|model| number(model, "expert_used_count", 1), "its number of experts in use is 1, and must be at most 0"),
        (|model| number(model, "expert_group_count", 1), "its number of groups of experts is 1, and must be 0"),
        (
            |model| {
                number(model, "expert_count", 4);
                number(model, "expert_used_count", 2);
                number(model, "expert_group_count", 3);
            },
            "its number of groups of experts is 3, and must be one that divides 4",
        ),
        (
            |model| {
                number(model, "expert_count", 4);
                model.set("llama.expert_used_count", Value::Integers(vec![2, 9]));
            },
            "its number of experts in use is 9, and must be at most 4",
        ),
        (|model| number(model, "context_length", 1 << 31), "its context is 2147483648, and must be below"),
        (|model| model.set("llama.rope.scaling.type", Value::Text("odd".into())), "its scaling of positions is `odd`"),
        (|model| epsilon(model, -1.0), "its layer_norm_rms_epsilon is -1, and must be a number from 0 on"),
        (|model| epsilon(model, f32::NAN), "its layer_norm_rms_epsilon is NaN"),
        (|model| epsilon(model, f32::INFINITY), "its layer_norm_rms_epsilon is inf"),
        (|model| model.set("general.alignment", Value::U32(1)), "which is no multiple of 32"),
        (|model| texts(model)[300] = texts(model)[301].clone(), "its tokens 300 and 301 are the same, `"),
        (|model| texts(model)[300] = "a\0b".into(), "are the same, `a` up to a zero byte"),
        (|model| texts(model)[10] = "qx".into(), "its token 10 should stand for a byte"),
        (
            |model| model.set("tokenizer.ggml.model", Value::Text("bert".into())),
            "tokens for bytes, and its tokenizer `bert`",
        ),
        (|model| model.set("tokenizer.ggml.model", Value::Text("rwkv".into())), "none for the byte alone"),
    ];
    for (change, expected) in cases {
        let error = refusal_of_changed(change);
        assert!(error.contains(expected), "{expected:?} is not in {error}");
        assert!(error.contains("`changed.gguf` cannot be run: ") && error.contains("; fetch it again"), "{error}");
    }
}

/// Another type for a tensor, in the bytes of a file.
fn retyped(mut file: Vec<u8>, tensor: &str, kind: u32) -> Vec<u8> {
    let at = file.windows(tensor.len()).position(|bytes| bytes == tensor.as_bytes()).unwrap() + tensor.len();
    let dimensions = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    file[at + 4 + 8 * dimensions..][..4].copy_from_slice(&kind.to_le_bytes());
    file
}

#[test]
fn tensors_of_types_that_cannot_be_multiplied_are_named() {
    let whole = std::fs::read(model("stories-260k.gguf")).unwrap();
    for (tensor, kind, word) in
        [("output_norm.weight", 26, "I32"), ("blk.4.ffn_up.weight", 24, "I8"), ("token_embd.weight", 25, "I16")]
    {
        let error = refusal("odd.gguf", &retyped(whole.clone(), tensor, kind));
        let expected = format!("its tensor `{tensor}` is of the type {word}, with which nothing can be multiplied");
        assert!(error.contains(&expected), "{error}");
    }
}

/// What is said of a changed model that llama.cpp does not load, with a trial and without.
fn reason(change: impl FnOnce(&mut Gguf)) -> String {
    let place = Place::new();
    let mut changed = Gguf::read(&model("stories-260k.gguf"));
    change(&mut changed);
    changed.write(&place.path().join("changed.gguf"));
    let said = |words: &[&str]| {
        let output = place.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", error_of(&output));
        error_of(&output)
    };
    let tried = said(&["-m", "changed.gguf", "-p", "x"]);
    assert_eq!(tried, said(&["-m", "changed.gguf", "-p", "x", "--trust"]));
    tried
}

#[test]
fn what_llama_cpp_does_not_load_is_told_with_its_reason() {
    let error = reason(|model| model.set("general.architecture", Value::Text("llama99".into())));
    assert!(error.contains("could not load `changed.gguf`: unknown model architecture: 'llama99'"), "{error}");
    assert!(error.contains("; the file may be newer than this build"), "{error}");
    let error = reason(|model| model.set("tokenizer.ggml.model", Value::Text("of-tomorrow".into())));
    assert!(error.contains("unknown tokenizer: 'of-tomorrow'"), "{error}");
    let error = reason(|model| model.tensors.retain(|tensor| tensor.name != "output_norm.weight"));
    assert!(error.contains("tensor 'output_norm.weight' not found"), "{error}");
}

#[test]
fn a_path_that_is_not_utf_8_is_told() {
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"m\xff.gguf");
    if std::fs::copy(model("stories-260k.gguf"), place.path().join(name)).is_err() {
        return; // This file system has no such names.
    }
    let output = place.command(&["-p", "x", "-m"]).arg(name).output().unwrap();
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("is not UTF-8, and llama.cpp opens no other; rename"), "{error}");
}

#[test]
fn a_comma_in_a_file_name_is_noticed() {
    let place = Place::new();
    std::fs::copy(model("stories-260k.gguf"), place.path().join("a,b,c.gguf")).unwrap();
    let error = place.refusal(&["--models", "a,b,c.gguf", "-p", "x"]);
    assert!(
        error.contains("no file `a`; `--models` is split at commas, so give `a,b,c.gguf` with `--model`"),
        "{error}"
    );
    let error = place.refusal(&["--models", "a,d", "-p", "x"]);
    assert!(error.contains("there is no file `a`; check the path"), "{error}");
}

/// A model over which llama.cpp ends the process while it loads it, and at which the inspector finds nothing: a hybrid whose
/// inner width is not what its architecture asserts.
fn deadly_to_load(path: &Path) {
    let vocabulary = Vocabulary::copied_from(&model("stories-260k.gguf"));
    RandomModel::tiny(Architecture::Jamba, vocabulary, 1).write(path);
    let mut changed = Gguf::read(path);
    changed.set("jamba.ssm.inner_size", Value::U32(64));
    changed.write(path);
}

/// One over which it ends the process at the first token: an architecture whose positions have sections, without any.
fn deadly_to_decode(path: &Path) {
    let mut changed = Gguf::read(&model("stories-260k.gguf"));
    for (key, _) in &mut changed.metadata {
        *key = key.replace("llama.", "paddleocr.");
    }
    changed.set("general.architecture", Value::Text("paddleocr".into()));
    changed.write(path);
}

fn notes(place: &Place) -> Vec<PathBuf> {
    let notes = std::fs::read_dir(place.path().join("llama_selfmod/tried"));
    notes.map(|notes| notes.map(|note| note.unwrap().path()).collect()).unwrap_or_default()
}

#[test]
fn a_model_that_ends_the_process_is_refused_and_with_trust_it_ends_it() {
    for make in [deadly_to_load, deadly_to_decode] {
        let place = Place::new();
        make(&place.path().join("deadly.gguf"));
        for words in [&["-m", "deadly.gguf", "-p", "x"][..], &[PAIR, "-m", "deadly.gguf", "-p", "x"]] {
            let error = place.refusal(words);
            let expected =
                "`deadly.gguf` cannot be run: tried in a process of its own, it ended that with SIGABRT (it asserts ";
            assert!(error.contains(expected) && error.contains("give --trust"), "{error}");
            assert!(!error.contains("GGML_ASSERT") && !error.contains("/src/"), "{error}");
        }
        // The two of the pair came through; what failed is tried anew.
        assert_eq!(notes(&place).len(), 2);
        let output = place.run(&["-m", "deadly.gguf", "-p", "x", "--trust"]);
        assert!(output.status.signal().is_some(), "{:?}: {}", output.status, error_of(&output));
        assert!(!error_of(&output).contains("gdb"), "no debugger is started");
    }
}

#[test]
fn a_chat_goes_on_without_a_model_that_cannot_be_used() {
    let place = Place::new();
    deadly_to_decode(&place.path().join("deadly.gguf"));
    let mut changed = Gguf::read(&model("stories-260k.gguf"));
    texts(&mut changed)[300] = texts(&mut changed)[301].clone();
    changed.write(&place.path().join("twice.gguf"));
    let words = [PAIR, "-m", "deadly.gguf", "-m", "twice.gguf", "--seed", "1", "-n", "5"];
    let Some(screen) = Screen::open(&place, (160, 40), &words) else { return };
    let first = screen.asks_after("/help lists the commands", 1);
    let first: String = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.contains("left out: `deadly.gguf` cannot be run: tried in a process of its own"), "{first}");
    assert!(first.contains("left out: `twice.gguf` cannot be run: its tokens 300 and 301 are the same"), "{first}");
    assert!(first.contains("stories-260k, stories-280k · "), "{first}");
    screen.line("Once upon a time");
    screen.asks_after("tokens/s", 1);
    assert_eq!(place.log()[0]["num_models"], 2);
}

#[test]
fn a_chat_without_any_usable_model_does_not_begin() {
    let place = Place::new();
    deadly_to_load(&place.path().join("deadly.gguf"));
    let Some(screen) = Screen::open(&place, (160, 40), &["-m", "deadly.gguf"]) else { return };
    let end = screen.shows("left with 2");
    assert!(end.contains("error: `deadly.gguf` cannot be run"), "{end}");
}

#[test]
fn a_model_is_tried_once_and_again_when_it_has_changed() {
    let place = Place::new();
    let file = place.path().join("m.gguf");
    std::fs::copy(model("stories-260k.gguf"), &file).unwrap();
    let words = ["-m", "m.gguf", "-p", "x", "-n", "1", "--quiet"];
    // A note is a new file each time that it is written.
    let note = |place: &Place| {
        place.text(&words);
        let notes = notes(place);
        assert_eq!(notes.len(), 1);
        (std::fs::metadata(&notes[0]).unwrap().ino(), std::fs::read_to_string(&notes[0]).unwrap(), notes[0].clone())
    };
    let (first, content, path) = note(&place);
    assert_eq!(note(&place).0, first, "it was known");
    let keep = std::fs::File::open(&path).unwrap(); // Its number is not given to another file.
    std::fs::File::options().append(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_ne!(note(&place).1, content, "it has changed");
    drop(keep);
    std::fs::write(&path, "damaged").unwrap();
    assert_ne!(note(&place).1, "damaged", "a damaged note says nothing");
    place.text(&[&words[..], &["--trust"]].concat());
}

#[test]
fn vocabularies_are_tried_too() {
    let place = Place::new();
    let mut changed = Gguf::read(&model("stories-260k.gguf"));
    texts(&mut changed)[300] = texts(&mut changed)[301].clone();
    changed.write(&place.path().join("twice.gguf"));
    let error = place.refusal(&["vocab", "twice.gguf"]);
    assert!(error.contains("its tokens 300 and 301 are the same"), "{error}");
}
