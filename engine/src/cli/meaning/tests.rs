//! What the words of the command line mean, and what is refused.

use super::*;
use clap::Parser;

fn understand(words: &[&str], stdin: &[u8]) -> Result<Task, Error> {
    let line = CommandLine::try_parse_from(std::iter::once(&"llama_selfmod").chain(words))
        .map_err(|error| Error::Input(error.to_string()))?;
    Task::understand(line, &mut Stdin { is_terminal: false, reader: &mut &stdin[..] })
}

fn refusal(words: &[&str]) -> String {
    let error = understand(words, b"hello").expect_err(&words.join(" "));
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_defaults_of_the_flags_are_those_of_the_library() {
    let task = understand(&["--demo", "--seed", "0"], b"hello").unwrap();
    let mut settings = task.settings;
    assert_eq!(settings.models.len(), 2);
    settings.models.clear();
    // Where to keep what can be made again is this user's affair.
    settings.cache = None;
    assert!(settings.context_shift && settings.raw, "the demo tells a story, and its context is small");
    (settings.context_shift, settings.raw) = (false, false);
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    assert_eq!(task.memory, Some("selfmod_memory.jsonl".into()));
}

#[test]
fn a_template_makes_the_demo_a_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.jinja");
    std::fs::write(&path, "{{ messages[0].content }}").unwrap();
    let task = understand(&["--demo", "--chat-template", path.to_str().unwrap()], b"hello").unwrap();
    assert!(!task.settings.raw && task.settings.chat_template.is_some());
}

#[test]
fn the_prompt_is_the_flag_or_standard_input_without_its_last_line_end() {
    let prompt = |words: &[&str], stdin: &str| match understand(words, stdin.as_bytes()).unwrap().mode {
        Mode::Reply(prompt) => prompt,
        mode => panic!("{mode:?}"),
    };
    assert_eq!(prompt(&["--demo", "-p", "flag"], "piped"), "flag");
    assert_eq!(prompt(&["--demo"], "piped\r\n"), "piped");
    assert_eq!(prompt(&["--demo", "-p", "-"], "two\n\n"), "two\n");
}

#[test]
fn a_broken_character_is_named_by_its_byte() {
    let error = understand(&["--demo"], b"abc\xff").unwrap_err();
    assert!(error.to_string().contains("byte 3"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn an_empty_prompt_is_refused() {
    assert!(refusal(&["--demo", "-p", ""]).contains("empty"));
    assert!(refusal(&["--demo", "-p", " \n"]).contains("empty"));
    assert!(understand(&["--demo"], b"").unwrap_err().to_string().contains("standard input is empty"));
}

#[test]
fn weights_and_layers_fit_the_members() {
    let task = understand(&["--demo", "--weights", "1,0", "--n-gpu-layers", "-1,3"], b"x").unwrap();
    let of = |index: usize| (task.settings.models[index].weight, task.settings.models[index].gpu_layers);
    assert_eq!((of(0), of(1)), ((1.0, -1), (0.0, 3)));
    assert!(refusal(&["--demo", "--weights", "1"]).contains("1 weight for 2 models"));
    assert!(refusal(&["--demo", "--weights", "0,0"]).contains("all 0"));
    assert!(refusal(&["--demo", "--weights", "1,-1"]).contains("from 0"));
    assert!(refusal(&["--demo", "--n-gpu-layers", "1,2,3"]).contains("3 numbers for 2 models"));
}

#[test]
fn model_files_come_in_the_order_of_both_flags() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, "").unwrap();
        path.to_str().unwrap().to_owned()
    });
    let task = understand(&["--models", &format!("{b},{c}"), "-m", &a], b"x").unwrap();
    let paths: Vec<_> = task.settings.models.iter().map(|model| model.path.to_str().unwrap()).collect();
    assert_eq!(paths, [&a, &b, &c]);
}

#[test]
fn files_that_are_not_there_are_named() {
    assert!(refusal(&["-m", "no/such.gguf"]).contains("no file `no/such.gguf`"));
    assert!(refusal(&["-m", "."]).contains("directory"));
    assert!(refusal(&["--demo", "--policy", "absent.rhai"]).contains("absent.rhai"));
    assert!(refusal(&[]).contains("no model"));
}

#[test]
fn any_policy_replaces_the_default() {
    let of = |words: &[&str]| understand(&[&["--demo"], words].concat(), b"x").unwrap().settings.policies;
    assert_eq!(of(&[]), [PolicySource::Named("retraction".into())]);
    assert_eq!(of(&["--policy", "none"]), []);
    assert_eq!(of(&["--policy", "other"]), [PolicySource::Named("other".into())]);
    assert!(refusal(&["--demo", "--policy", "none", "--policy", "retraction"]).contains("stands alone"));
}

#[test]
fn a_number_out_of_range_is_refused_with_the_range() {
    for (flag, bad, range) in [
        ("--temperature", "5.1", "from 0"),
        ("--temperature", "nan", "from 0"),
        ("--temperature", "-1", "from 0"),
        ("--top-p", "0", "above 0"),
        ("--min-p", "inf", "to 1"),
        ("--top-k", "-3", "from 0"),
        ("--repeat-penalty", "0.5", "from 1"),
        ("--ctx-size", "1", "from 16"),
        ("--n-predict", "0", "from 1"),
        ("--confidence-threshold", "1.5", "from 0 to 1"),
        ("--max-retractions", "-1", "from 0"),
        ("--threads", "0", "from 1"),
        ("--n-gpu-layers", "-2", "from -1"),
    ] {
        let text = refusal(&["--demo", flag, bad]);
        assert!(text.contains(range) && text.contains(flag), "{text}");
    }
}

#[test]
fn measurements_share_the_arguments_of_the_ensemble() {
    let task = understand(&["score", "--demo", "--fusion-mode", "average", "story.txt", "--json"], b"").unwrap();
    assert!(matches!(task.mode, Mode::Score { json: true, .. }));
    assert_eq!((task.settings.fusion_mode.as_str(), task.settings.policies.len()), ("average", 0));
    let task = understand(&["bench", "--demo", "-n", "64"], b"").unwrap();
    assert!(matches!(task.mode, Mode::Bench { scope: Scope { steps: 64, .. }, json: false }));
}
