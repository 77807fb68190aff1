//! `--draft` and `--cache-type`: how fast a text comes and what memory it takes, and not what it is.

use crate::support::gguf::{Architecture, RandomModel, TensorType, Vocabulary, requantise};
use crate::support::program::{PAIR, Place, error_of, model};

const BYTES: &str =
    concat!("--model=", env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/models/stories-970k-bytes.gguf");
const LEADER: &str = concat!("--model=", env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/models/stories-260k.gguf");

/// A place with the two small models of one vocabulary, quantised: with these a batch's shape changes nothing.
fn quantised() -> Place {
    let place = Place::new();
    for name in ["stories-260k.gguf", "stories-280k.gguf"] {
        requantise(&model(name), TensorType::Q8_0, &place.path().join(name));
    }
    place
}

const REPLY: [&str; 7] = ["-p", "Once upon a time", "-n", "60", "--seed", "3", "--quiet"];

#[test]
fn whoever_drafts_the_text_is_the_same() {
    let place = quantised();
    let write = |words: &[&str]| place.text(&[words, &REPLY].concat());
    let pair = ["--models", "stories-260k.gguf,stories-280k.gguf"];
    let alone = write(&[&pair[..], &["--draft", "off"]].concat());
    assert!(alone.len() > 100, "{alone}");
    assert_eq!(write(&pair), alone, "auto is the default");
    for who in
        ["auto", "ngram", "ngram:length=7", "stories-280k", "stories-260k.gguf:length=1", "stories-280k:length=4"]
    {
        assert_eq!(write(&[&pair[..], &["--draft", who]].concat()), alone, "{who}");
    }
    let one = ["--model", "stories-260k.gguf"];
    let alone = write(&[&one[..], &["--draft", "off"]].concat());
    for who in ["auto", "stories-280k.gguf", "./stories-280k.gguf:length=3"] {
        assert_eq!(write(&[&one[..], &["--draft", who]].concat()), alone, "{who}");
    }
}

#[test]
fn who_cannot_draft_is_refused_with_what_can_be_done() {
    let place = Place::new();
    place.file("text.gguf", "no model");
    for (words, sentence) in [
        (&[PAIR, "--draft", "ngrm"][..], "there is no `ngrm`; did you mean `ngram`? It takes `auto`, `off`, `ngram`"),
        (&[PAIR, "--draft", "stories-26k"], "did you mean `stories-260k`?"),
        (&[PAIR, "--draft", "nobody"], "a member (`stories-260k`, `stories-280k`) or a GGUF file"),
        (&[PAIR, "--draft", "absent.gguf"], "no file `absent.gguf`; check the path"),
        (&[PAIR, "--draft", "text.gguf"], "`text.gguf`"),
        (&[PAIR, "--draft", "."], "`.` is a directory"),
        (&[PAIR, "--draft", "ngram:length=0"], "`length` is 0, and it takes a whole number from 1 to 7"),
        (&[PAIR, "--draft", "auto:length=8"], "`length` is 8, and it takes a whole number from 1 to 7"),
        (&[PAIR, "--draft", "auto:len=2"], "there is no setting `len`"),
        (&[PAIR, "--draft", "off:length=2"], "leave `:length` out"),
        (&[LEADER, "--draft", "stories-260k"], "the only member has nobody to go ahead of"),
        (&[PAIR, "--cache-type", "q8"], "q8_0"),
        (&[PAIR, "--cache-type", "q8_0"], "its heads are 8 wide, which is no multiple of 32; leave out --cache-type"),
    ] {
        let error = place.refusal(&[words, &["-p", "x"]].concat());
        assert!(error.contains(sentence), "{words:?} says: {error}");
    }
    let bytes = model("stories-970k-bytes.gguf");
    let error = place.refusal(&[PAIR, "-p", "x", "--draft", bytes.to_str().unwrap()]);
    assert!(error.contains("cannot draft: its tokens are those of no member"), "{error}");
}

#[test]
fn a_drafter_that_is_named_where_nothing_is_read_ahead_gets_a_note() {
    let place = Place::new();
    let random = RandomModel::tiny(Architecture::Mamba, Vocabulary::copied_from(&model("stories-260k.gguf")), 1);
    random.write(&place.path().join("state.gguf"));
    let said = |words: &[&str]| {
        let output = place.run(&[words, &["-p", "Once", "-n", "4", "--seed", "1"]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", error_of(&output));
        error_of(&output)
    };
    let led = [LEADER, BYTES, "--align", "boundary"];
    let recurrent = ["--model", "state.gguf"];
    for (words, note) in
        [(&led[..], "with `--align boundary`"), (&recurrent, "`state`, a recurrent model, reads again")]
    {
        assert!(said(&[words, &["--draft", "ngram"]].concat()).contains(note), "{words:?}");
        for silent in [&[][..], &["--draft", "off"], &["--draft", "auto"]] {
            assert!(!said(&[words, silent].concat()).contains("read ahead"), "{words:?} {silent:?}");
        }
    }
    let file = model("stories-280k.gguf");
    assert!(said(&[&led[..], &["--draft", file.to_str().unwrap()]].concat()).contains("with `--align boundary`"));
}

#[test]
fn keys_and_values_can_be_kept_in_each_type() {
    let place = Place::new();
    let vocabulary = Vocabulary::copied_from(&model("stories-260k.gguf"));
    let tiny = RandomModel::tiny(Architecture::Llama, vocabulary, 1);
    RandomModel { kind: TensorType::Q8_0, width: 128, ..tiny }.write(&place.path().join("wide.gguf"));
    let cache = |kind: &str| {
        let text = place.text(&["bench", "--model", "wide.gguf", "-n", "1", "--json", "--cache-type", kind]);
        let bench: serde_json::Value = serde_json::from_str(&text).unwrap();
        bench["memory"]["cache"].as_f64().unwrap()
    };
    let (f16, bf16, q8_0) = (cache("f16"), cache("bf16"), cache("q8_0"));
    assert!(f16 > 0.0 && f16 == bf16, "{f16} {bf16}");
    assert!((q8_0 / f16 - 34.0 / 64.0).abs() < 1e-6, "{q8_0} {f16}");
    for kind in ["f16", "bf16", "q8_0"] {
        place.text(&["--model", "wide.gguf", "-p", "Once", "-n", "8", "--cache-type", kind]);
    }
}
