//! Tasks as a person meets them: built in, with the field's own files, and from a file of one's own.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;

use llama_selfmod_measure::tasks::{BUILT_IN, Kind, LineProblem, Outcome, Right, Task, TaskError};
use tempfile::TempDir;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn built_in(name: &str) -> Task {
    Task::open(name, None).unwrap()
}

fn with_data(name: &str, bytes: &[u8]) -> Result<Task, String> {
    let folder = folder(&[("data.jsonl", bytes)]);
    let path = folder.path().join("data.jsonl");
    Task::open(name, Some(&path)).map_err(|error| error.to_string().replace(&path.display().to_string(), "data.jsonl"))
}

fn own(toml: &str, items: &str) -> Result<Task, String> {
    let folder =
        folder(&[("own.toml", toml.as_bytes()), ("items.jsonl", items.as_bytes()), ("shots.jsonl", items.as_bytes())]);
    let open = Task::open(&folder.path().join("own.toml").display().to_string(), None);
    open.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn every_built_in_task_in_the_form_of_a_field_has_five_items() {
    for name in BUILT_IN.into_iter().filter(|name| !["perplexity", "stories"].contains(name)) {
        let task = built_in(name);
        assert_eq!((task.name(), task.items().len(), task.has_examples_only()), (name, 5, true));
        assert_eq!(task.digest().len(), 64);
    }
}

#[test]
fn the_written_out_solutions_are_right_and_others_wrong() {
    for name in ["gsm8k", "maths"] {
        let task = built_in(name);
        for item in task.items() {
            let solution = item.fields["answer"].as_str().unwrap();
            assert!(task.grade(item, solution).right(), "{name} {}: {:?}", item.id, task.grade(item, solution));
            assert_eq!(task.grade(item, "It is 123456.").outcome, Outcome::Wrong);
            assert_eq!(task.grade(item, "I do not know").outcome, Outcome::Unparsed);
        }
    }
    let minus = built_in("gsm8k").items()[2].clone();
    assert_eq!(minus.right, Right::Answer("-8".into()));
}

#[test]
fn what_follows_a_stop_text_does_not_count() {
    let task = built_in("gsm8k");
    assert!(task.grade(&task.items()[3], " 26 do not.\n\nQuestion: What are 2 and 3?").right());
    assert_eq!(built_in("humaneval").cut("    return 1\n\ndef other():\n"), "    return 1\n");
}

#[test]
fn examples_stand_before_the_question() {
    let prompt = built_in("gsm8k").items()[0].prompt.clone();
    assert!(prompt.starts_with("Question: A shelf holds 8 boxes"), "{prompt}");
    assert!(prompt.contains("\n#### 45\n\nQuestion: A ferry"), "{prompt}");
    assert!(prompt.ends_with("How many cars does it carry in a week?\nAnswer:"), "{prompt}");
}

#[test]
fn arc_asks_as_the_harness_does() {
    let task = built_in("arc");
    let item = &task.items()[1];
    assert_eq!(item.prompt, "Question: Which of these do plants take in from the air to make sugar?\nAnswer:");
    let Right::Choice { choices, place } = &item.right else { panic!("{item:?}") };
    assert_eq!((*place, choices[2].continuation.as_str()), (2, " carbon dioxide"));
    let grade = task.grade_choices(item, &[-4.0, -9.0, -5.0, -8.0]).unwrap();
    // By the sum helium, by the character carbon dioxide.
    assert!(!grade.right_by_sum() && grade.right_by_character(), "{grade:?}");
}

#[test]
fn both_forms_of_arc_are_one_set_of_items() {
    let ai2 = r#"{"id": "q1", "question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]}, "answerKey": "B"}"#;
    let hub =
        r#"{"answerKey": "B", "choices": {"label": ["A", "B"], "text": ["x", "y"]}, "id": "q1", "question": "Q?"}"#;
    let (ai2, hub) = (with_data("arc", ai2.as_bytes()).unwrap(), with_data("arc", hub.as_bytes()).unwrap());
    assert_eq!(ai2.digest(), hub.digest());
    assert_eq!(ai2.items()[0].right, hub.items()[0].right);
    assert!(!ai2.has_examples_only());
}

#[test]
fn the_field_s_files_are_taken_packed_or_not() {
    let plain = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks/humaneval.jsonl")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&plain).unwrap();
    let (plain, packed) =
        (with_data("humaneval", &plain).unwrap(), with_data("humaneval", &packed.finish().unwrap()).unwrap());
    assert_eq!(plain.digest(), packed.digest());
    assert_eq!(plain.items()[4].id, "Example/4");
    let program = plain.program(&plain.items()[4], "    return 8\n").unwrap();
    assert!(program.starts_with("def digit_product") && program.ends_with("\ncheck(digit_product)\n"), "{program}");
    assert!(with_data("humaneval", b"\x1f\x8b\x08broken").unwrap_err().starts_with("cannot read `data.jsonl`"));
}

#[test]
fn lines_are_the_names_of_items_that_have_none() {
    let task = with_data(
        "gsm8k",
        b"{\"question\": \"a\", \"answer\": \"#### 1\"}\n\n{\"question\": \"b\", \"answer\": \"#### 2\"}\n",
    )
    .unwrap();
    assert_eq!(task.items().iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn a_sample_depends_on_the_seed_alone_and_grows_with_its_limit() {
    let lines: String =
        (0..100).map(|n| format!("{{\"id\": {n}, \"question\": \"q{n}\", \"answer\": \"#### {n}\"}}\n")).collect();
    let task = with_data("gsm8k", lines.as_bytes()).unwrap();
    let ids = |limit, seed| task.sample(limit, seed).iter().map(|item| item.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(Some(10), 1), ids(Some(20), 1)[..10]);
    assert_ne!(ids(Some(10), 1), ids(Some(10), 2));
    assert_eq!((ids(None, 1).len(), ids(Some(500), 1).len()), (100, 100));
    // Not the head of the file.
    assert!(ids(Some(10), 1).iter().any(|id| id.parse::<usize>().unwrap() >= 50));
}

#[test]
fn bad_lines_are_refused_with_their_number() {
    let good = "{\"id\": \"a\", \"question\": \"Q\", \"answer\": \"#### 1\"}";
    let cases: [(&[u8], &str); 9] = [
        (b"", "`data.jsonl` has no items"),
        (b"\n \n", "`data.jsonl` has no items"),
        (
            b"{\"id\": \"b\", \"queston\": \"Q\"}",
            "line 2: no field `question` (did you mean `queston`?); the item has `id`, `queston`",
        ),
        (good.as_bytes(), "line 2: the id `a` is that of line 1 too"),
        (
            b"{\"id\": \"b\", \"question\": \"Q\", \"answer\": \"1\"}",
            "line 2: the right answer \"1\" is none by the task's own rule: it lacks `####`",
        ),
        (b"{\"id\": \"b\", \"question\": \"Q\", \"answer\": \"#### one\"}", "there is no number in it"),
        (
            b"{\"id\": \"b\", \"question\": [], \"answer\": \"#### 1\"}",
            "line 2: the field `question` is a list, not text or a number",
        ),
        (b"{\"id\": {}, \"question\": \"Q\", \"answer\": \"#### 1\"}", "line 2: the field `id` is an object"),
        (b"{\"id\": \"\xe9\"}", "line 2: not UTF-8 from byte 8 on"),
    ];
    for (line, part) in cases {
        let bytes = if line.trim_ascii().is_empty() { line.to_vec() } else { [good.as_bytes(), b"\n", line].concat() };
        let error = with_data("gsm8k", &bytes).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let error = with_data("arc", br#"{"question": "Q", "choices": ["x", "y"], "answerKey": "E"}"#).unwrap_err();
    assert_eq!(error, "`data.jsonl`, line 1: the right answer \"E\" is none of the choices A, B");
    let error = with_data("humaneval", br#"{"task_id": "x", "prompt": "def f():", "entry_point": "f"}"#).unwrap_err();
    assert_eq!(error, "`data.jsonl`, line 1: no field `test`; the item has `task_id`, `prompt`, `entry_point`");
}

#[test]
fn an_example_of_the_prompt_is_no_item() {
    let shots = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tasks/gsm8k-shots.jsonl")).unwrap();
    assert!(with_data("gsm8k", &shots).unwrap_err().contains(&LineProblem::Example.to_string()));
}

#[test]
fn files_that_cannot_be_items_are_refused() {
    let folder = folder(&[]);
    let error = Task::open("gsm8k", Some(folder.path())).unwrap_err();
    assert!(matches!(error, TaskError::Folder { .. }), "{error}");
    let missing = folder.path().join("none.jsonl");
    assert!(matches!(Task::open("gsm8k", Some(&missing)).unwrap_err(), TaskError::Read { .. }));
}

#[test]
fn an_unknown_task_is_refused_with_the_nearest() {
    assert_eq!(
        Task::open("gsm8", None).unwrap_err().to_string(),
        "no task is called `gsm8` (did you mean `gsm8k`?); built in are `gsm8k`, `arc`, `humaneval`, `perplexity`, \
         `maths`, `stories`, and a file of your own ends in `.toml`"
    );
    assert!(matches!(Task::open("none.toml", None).unwrap_err(), TaskError::Read { .. }));
}

#[test]
fn perplexity_is_of_a_text() {
    assert_eq!(
        Task::open("perplexity", None).unwrap_err().to_string(),
        "`perplexity` measures a text of yours: name its file with `--data`"
    );
    let task = with_data("perplexity", "Es war einmal.".as_bytes()).unwrap();
    assert_eq!((task.kind(), task.text(), task.items().len()), (Kind::Perplexity, "Es war einmal.", 0));
    assert_eq!(with_data("perplexity", b" \n").unwrap_err(), "`data.jsonl` is an empty text");
    assert_eq!(with_data("perplexity", b"\xff").unwrap_err(), "`data.jsonl` is not UTF-8");
}

#[test]
fn stories_are_whole_and_nothing_is_right_or_wrong() {
    let task = built_in("stories");
    assert_eq!((task.kind(), task.items().len(), task.has_examples_only()), (Kind::Open, 32, false));
    assert_eq!((task.max_tokens(), task.stop().len()), (200, 0));
    let prompts: HashSet<&str> = task.items().iter().map(|item| item.prompt.as_str()).collect();
    assert_eq!(prompts.len(), 32, "they differ");
    for item in task.items() {
        assert_eq!(item.right, Right::Open);
        assert_eq!(item.prompt, item.prompt.trim());
        let grade = task.grade(item, "and then");
        assert_eq!((grade.outcome, grade.reason.as_str()), (Outcome::Unparsed, "nothing is right or wrong"));
        assert!(task.grade_choices(item, &[-1.0, -2.0]).is_none() && task.program(item, "and then").is_none());
    }
}

#[test]
fn prompts_of_an_open_task_are_json_lines_or_lines_of_a_text() {
    let json = with_data("stories", b"{\"prompt\": \"Once\"}\n{\"prompt\": \"Es war\", \"id\": \"de\"}\n").unwrap();
    let folder = folder(&[("data.txt", "Once\n\nEs war\n".as_bytes()), ("empty.txt", b"\n")]);
    let text = Task::open("stories", Some(&folder.path().join("data.txt"))).unwrap();
    let items = |task: &Task| {
        task.items().iter().map(|item| (item.id.clone(), item.prompt.clone())).collect::<Vec<(String, String)>>()
    };
    let pair = |id: &str, prompt: &str| (id.to_owned(), prompt.to_owned());
    assert_eq!(items(&json), [pair("1", "Once"), pair("de", "Es war")]);
    assert_eq!(items(&text), [pair("1", "Once"), pair("3", "Es war")]);
    assert_ne!(json.digest(), text.digest());
    let empty = Task::open("stories", Some(&folder.path().join("empty.txt"))).unwrap_err();
    assert!(matches!(empty, TaskError::NoItems { .. }), "{empty}");
    let error = with_data("stories", b"{\"text\": \"Once\"}").unwrap_err();
    assert_eq!(error, "`data.jsonl`, line 1: no field `prompt`; the item has `text`");
    // A text is prompts only where the task is open.
    assert!(Task::open("gsm8k", Some(&folder.path().join("data.txt"))).unwrap_err().to_string().contains("not JSON"));
}

#[test]
fn an_open_task_of_one_s_own_needs_no_right_answer() {
    let toml = "name = 'x'\nkind = 'open'\nitems = 'items.jsonl'\nprompt = 'Tell of {who}:'\n";
    let task = own(toml, "{\"who\": \"a fox\"}").unwrap();
    assert_eq!((task.items()[0].prompt.as_str(), &task.items()[0].right), ("Tell of a fox:", &Right::Open));
    assert!(own(&toml.replace("prompt = 'Tell of {who}:'", ""), "{}").unwrap_err().contains("needs `prompt`"));
}

#[test]
fn a_person_s_own_file_is_a_task() {
    let toml = r#"
        name = "capitals"
        kind = "generate"
        items = "items.jsonl"
        prompt = "The capital of {country} is"
        expected = "{capital}"
        stop = ["\n", "."]
        max_tokens = 16
        answer = { rule = "exact" }
    "#;
    let items = "{\"country\": \"France\", \"capital\": \"Paris\"}\n{\"country\": \"Peru\", \"capital\": \"Lima\"}\n";
    let task = own(toml, items).unwrap();
    assert_eq!((task.name(), task.max_tokens(), task.stop()), ("capitals", 16, &["\n".to_owned(), ".".into()][..]));
    assert!(task.grade(&task.items()[1], " Lima. It lies at the sea.").right());
    assert_eq!(task.items()[0].prompt, "The capital of France is");

    let shots = format!("{toml}shots = {{ file = \"shots.jsonl\", number = 3 }}");
    assert!(own(&shots, items).unwrap_err().contains("`shots.number` is 3, and `shots.jsonl` has 2 examples"));
    let shots = format!(
        "{toml}shots = {{ file = \"shots.jsonl\", answer = \" {{capital}}.\", number = 1, separator = \"\\n\" }}"
    );
    // The examples' file is the items' here, which is noticed.
    assert!(own(&shots, items).unwrap_err().contains("this item is an example"));
    assert!(
        own(&toml.replace("{country}", "{land}"), items).unwrap_err().contains("items.jsonl`, line 1: no field `land`")
    );
    assert!(
        own(&toml.replace("kind", "knd"), items)
            .unwrap_err()
            .contains("no task has the key `knd` (did you mean `kind`?)")
    );
}

#[test]
fn digests_tell_items_from_how_they_are_asked() {
    let toml = "name='x'\nkind='generate'\nitems='items.jsonl'\nprompt='{q}'\nexpected='{a}'\n";
    let items = r#"{"q": "1?", "a": "1"}"#;
    let task = own(toml, items).unwrap();
    let reordered = own(toml, r#"{ "a":"1", "q":"1?" }"#).unwrap();
    let asked_otherwise = own(&toml.replace("{q}", "Q: {q}"), items).unwrap();
    let other = own(toml, r#"{"q": "2?", "a": "1"}"#).unwrap();
    assert_eq!(task.digest(), reordered.digest());
    assert_eq!(task.digest(), asked_otherwise.digest());
    assert_ne!(task.definition_digest(), asked_otherwise.definition_digest());
    assert_ne!(task.digest(), other.digest());
}
