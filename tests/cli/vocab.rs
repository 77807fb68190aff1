//! `vocab`.

use crate::support::program::{Place, model};
use serde_json::Value;

fn file(name: &str) -> String {
    model(&format!("stories-{name}.gguf")).to_str().unwrap().to_owned()
}

#[test]
fn what_vocabularies_share_is_told_and_kept() {
    let place = Place::new();
    let (a, c) = (file("260k"), file("970k-bytes"));
    let json = |words: &[&str]| -> Value { serde_json::from_str(&place.text(words)).unwrap() };
    let first = json(&["vocab", &a, &c, "--json"]);
    let again = json(&["vocab", &a, &c, "--json"]);
    assert_eq!((first["cached"].as_bool(), again["cached"].as_bool()), (Some(false), Some(true)));
    for key in ["names", "same", "units", "shared", "bytes_per_unit", "members"] {
        assert_eq!(first[key], again[key]);
    }
    assert_eq!(first["same"], false);
    let (units, shared) = (first["units"].as_u64().unwrap(), first["shared"].as_u64().unwrap());
    assert!(shared > 0 && units == shared + 257, "{first}");
    let text = place.text(&["vocab", &a, &c]);
    for part in [
        "stories-260k ",
        "stories-970k-bytes ",
        "only stories-260k has",
        "strings that all have",
        "read from the cache",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(text.contains("mostly spelled"), "{text}");
}

#[test]
fn the_same_vocabulary_is_told() {
    let text = Place::new().text(&["vocab", &file("260k"), &file("280k")]);
    assert!(text.contains("The vocabularies are the same"), "{text}");
}

#[test]
fn what_is_no_model_is_refused_with_what_it_is() {
    let place = Place::new();
    place.file("notes.gguf", "not a model\n");
    let error = place.refusal(&["vocab", &file("260k"), "notes.gguf"]);
    assert!(error.contains("`notes.gguf` is not a GGUF file"), "{error}");
    assert!(place.refusal(&["vocab", "absent.gguf"]).contains("no file `absent.gguf`"));
}
