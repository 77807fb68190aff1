//! Files that cannot be members.

use crate::support::gguf::{Gguf, Value};
use crate::support::program::{Place, model};

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
