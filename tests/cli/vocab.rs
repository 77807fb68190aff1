//! `vocab`.

use crate::support::program::{Place, model};
use serde_json::Value;

fn file(name: &str) -> String {
    model(&format!("stories-{name}.gguf")).to_str().unwrap().to_owned()
}

#[test]
fn what_vocabularies_share_is_told() {
    let place = Place::new();
    let (a, c) = (file("260k"), file("970k-bytes"));
    let told: Value = serde_json::from_str(&place.text(&["vocab", &a, &c, "--json"])).unwrap();
    assert_eq!(told["same"], false);
    assert!(told["shared"].as_u64().unwrap() > 50, "{told}");
    let member = &told["members"][0];
    assert_eq!(member["name"], "stories-260k");
    assert!(member["tokens"].as_u64().unwrap() > member["alone"].as_u64().unwrap(), "{told}");
    assert!(
        member["bytes_per_token"].as_f64().unwrap() > 1.0 && member["beginnings"].as_f64().unwrap() > 0.5,
        "{told}"
    );
    let text = place.text(&["vocab", &a, &c]);
    for part in
        ["stories-260k ", "stories-970k-bytes ", "only stories-260k has", "a token of every model", "--heads few"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
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
