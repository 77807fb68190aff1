//! Runs of recipes by a double.

mod support;

use llama_selfmod_forge::bench::Failure;
use llama_selfmod_forge::recipe::Recipe;
use llama_selfmod_forge::run::{Forge, ForgeError, StageError};
use llama_selfmod_forge::store::Store;
use std::fs;
use std::path::Path;
use support::double::Fault;
use support::{Double, Heard, Hub, Place, WHOLE, change, run};

fn stage_error(error: ForgeError) -> StageError {
    match error {
        ForgeError::Stage(error) => *error,
        other => panic!("{other}"),
    }
}

const NAMES: [&str; 11] =
    ["fetch", "convert", "imatrix", "quantize", "perplexity", "profile", "prune", "eval", "run", "pack", "publish"];

#[test]
fn a_whole_recipe_runs_and_a_second_run_skips_everything() {
    let place = Place::new(WHOLE);
    let first = place.run().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.ran, NAMES);
    let before = place.outputs();
    let second = place.run().unwrap();
    assert!(second.ran.is_empty(), "{second:?}");
    assert_eq!(second.skipped, NAMES);
    assert!(before == place.outputs());
}

#[test]
fn two_machines_give_the_same_folders_and_bytes() {
    let (one, other) = (Place::new(WHOLE), Place::new(WHOLE));
    one.run().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    other.run().unwrap();
    assert_eq!(one.outputs().keys().collect::<Vec<_>>(), other.outputs().keys().collect::<Vec<_>>());
    assert!(one.outputs() == other.outputs(), "no time, path or machine is in what stages make");
}

#[test]
fn what_changes_runs_again_with_what_depends_on_it_and_nothing_else() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    change(&place.path("recipe.toml"), |text| {
        *text = String::from_utf8_lossy(text).replace("limit = 8", "limit = 9").into_bytes();
    });
    assert_eq!(place.run().unwrap().ran, ["eval", "publish"]);
    change(&place.path("text.txt"), |text| text[0] ^= 1);
    assert_eq!(
        place.run().unwrap().ran,
        ["imatrix", "quantize", "perplexity", "profile", "prune", "eval", "run", "pack", "publish"]
    );
    change(&place.path("llama.cpp/gguf-py/gguf/a.py"), |code| code.push(b'\n'));
    assert_eq!(place.run().unwrap().ran, ["convert"], "a converter's code is an input");
}

#[test]
fn a_stage_and_what_depends_on_it_run_anew_on_demand() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    let before = place.outputs();
    let summary = place.run_with(&Double::default(), Some("quantize")).unwrap();
    assert_eq!(summary.ran, ["quantize", "perplexity", "eval", "run", "pack", "publish"]);
    assert!(before == place.outputs());
    let error = place.run_with(&Double::default(), Some("quantise")).unwrap_err().to_string();
    assert_eq!(error, "no stage is called `quantise` (did you mean `quantize`?)");
}

#[test]
fn a_failure_at_any_unit_is_told_and_the_next_run_goes_on() {
    let reference = Place::new(WHOLE);
    let counter = Double::default();
    reference.run_with(&counter, None).unwrap();
    let place = Place::new(WHOLE);
    for unit in (1..=counter.units.get()).step_by(17) {
        let _ = fs::remove_dir_all(place.store());
        let error = stage_error(place.run_with(&Double::with(Fault::Fails, unit), None).unwrap_err());
        assert_eq!(error.reason, Failure::new("the model has a hole in it"));
        let words = error.to_string();
        assert!(words.contains(&format!("the stage `{}` failed", error.stage)), "{words}");
        let log = fs::read_to_string(error.log.unwrap()).unwrap();
        assert!(log.contains("the model has a hole in it"), "{log}");
        let rest = place.run().unwrap();
        assert_eq!(rest.skipped, error.done);
        assert_eq!(rest.ran, error.left);
        assert!(place.outputs() == reference.outputs(), "unit {unit}");
    }
}

#[test]
fn a_full_disk_is_told_with_its_folder_and_the_next_run_goes_on() {
    let place = Place::new(WHOLE);
    for unit in [1, 10, 30, 60, 80] {
        let error = stage_error(place.run_with(&Double::with(Fault::DiskFull, unit), None).unwrap_err());
        assert!(matches!(error.reason, Failure::Full(_)), "{error}");
        assert!(error.to_string().contains("is full: make space there and run the same command again"), "{error}");
    }
    place.run().unwrap();
    assert!(place.verify(None).is_sound());
}

#[test]
fn it_stops_between_units_when_the_person_wants_it_to() {
    let reference = Place::new(WHOLE);
    reference.run().unwrap();
    let place = Place::new(WHOLE);
    let mut stopped = 0;
    for after in 1..40 {
        let heard = Heard::default();
        heard.cancel_after.set(Some(after * 4));
        match run(&place.recipe(), &place.store(), &Double::default(), &heard, None, None) {
            Ok(_) => break,
            Err(error) => {
                let error = stage_error(error);
                assert_eq!(error.reason, Failure::Cancelled);
                assert!(error.to_string().starts_with(&format!("stopped in the stage `{}`", error.stage)));
                stopped += 1;
            }
        }
    }
    assert!(stopped > 5, "{stopped}");
    place.run().unwrap();
    assert!(place.outputs() == reference.outputs());
}

#[test]
fn a_changed_output_is_refused_and_made_again_on_demand() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    let before = place.outputs();
    change(&place.stage("quantize").join("out/base-Q8_0.gguf"), |bytes| bytes[100] ^= 1);
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("`quantize` failed: it was done before, and is not as it was made"), "{words}");
    assert!(words.contains("out/base-Q8_0.gguf") && words.contains("`--from quantize` makes it again"), "{words}");
    place.run_with(&Double::default(), Some("quantize")).unwrap();
    assert!(before == place.outputs());
}

#[test]
fn outputs_are_read_only() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    let file = place.stage("pack").join("out/members/other.gguf");
    assert!(fs::metadata(file).unwrap().permissions().readonly());
}

#[test]
fn two_forges_do_not_work_in_one_store() {
    let place = Place::new(WHOLE);
    let _first = Store::open(&place.store()).unwrap();
    let error = Store::open(&place.store()).unwrap_err().to_string();
    assert!(error.starts_with("another forge works in"), "{error}");
}

#[test]
fn progress_is_told_stage_by_stage() {
    let place = Place::new(WHOLE);
    let heard = Heard::default();
    run(&place.recipe(), &place.store(), &Double::default(), &heard, None, None).unwrap();
    let events = heard.events.into_inner();
    assert_eq!(events.iter().filter(|event| event.contains("started")).count(), 11);
    assert!(events.contains(&"quantize started 4/11".to_owned()));
    assert!(events.contains(&"quantize 15/15 pieces".to_owned()));
    assert_eq!(events.last().unwrap(), "publish finished");
    let history = fs::read_to_string(place.stage("perplexity").join("history.jsonl")).unwrap();
    assert!(history.starts_with(r#"{"series":"base.gguf","at":1,"perplexity":"#), "{history}");
}

#[test]
fn perplexities_are_paired_with_the_base() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    let bytes = fs::read(place.stage("perplexity").join("out/perplexity.json")).unwrap();
    let found: llama_selfmod_forge::stages::Perplexities = serde_json::from_slice(&bytes).unwrap();
    let names: Vec<&str> = found.models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(names, ["base.gguf", "base-Q8_0.gguf", "base-Q4_K_M.gguf", "far.gguf"]);
    assert_eq!(found.models[0].against, None);
    let quantised = found.models[2].against.as_ref().unwrap();
    let (own, paired) = (found.models[2].interval.unwrap(), quantised.interval.unwrap());
    assert!(paired.low < quantised.change && quantised.change < paired.high, "{quantised:?}");
    assert!((paired.high - paired.low) * found.models[2].perplexity < (own.high - own.low) / 5.0, "pairs are narrower");
}

#[test]
fn a_converter_that_is_not_there_is_told_with_where_to_get_it() {
    let place = Place::new(WHOLE);
    fs::remove_file(place.path("llama.cpp/convert_hf_to_gguf.py")).unwrap();
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("there is no converter") && words.contains("github.com/ggml-org/llama.cpp"), "{words}");
}

#[test]
fn a_python_that_is_not_there_is_told_by_its_name() {
    let place = Place::new(&WHOLE.replace("python = \"sh\"", "python = \"python9\""));
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("there is no program `python9`: install it, or name another"), "{words}");
}

#[test]
fn a_command_that_fails_leaves_its_words_in_the_log() {
    let recipe = "recipe = 1\n[[stage]]\nkind = \"run\"\ncommand = [\"sh\", \"-c\", \"echo oh no >&2; exit 3\"]\n";
    let place = Place::new(recipe);
    let error = stage_error(place.run().unwrap_err());
    assert_eq!(error.reason, Failure::new("`sh` ended with status 3: oh no"));
    assert!(fs::read_to_string(error.log.unwrap()).unwrap().contains("oh no"));
}

#[test]
fn a_command_ends_with_all_that_it_started() {
    let recipe =
        "recipe = 1\n[[stage]]\nkind = \"run\"\ncommand = [\"sh\", \"-c\", \"echo $$ > pid; sleep 60 & sleep 60\"]\n";
    let place = Place::new(recipe);
    let heard = Heard::default();
    heard.cancel_after.set(Some(2));
    let began = std::time::Instant::now();
    let error = stage_error(run(&place.recipe(), &place.store(), &Double::default(), &heard, None, None).unwrap_err());
    assert_eq!(error.reason, Failure::Cancelled);
    assert!(began.elapsed().as_secs() < 20);
}

#[test]
fn links_and_missing_outputs_are_refused() {
    let recipe = |command: &str| {
        format!("recipe = 1\n[[stage]]\nkind = \"run\"\noutputs = [\"a\"]\ncommand = [\"sh\", \"-c\", \"{command}\"]\n")
    };
    for (command, words) in [
        ("ln -s /etc/passwd {out}/a", "outputs are files and folders"),
        ("touch {out}/b", "it made no `a`; it made b"),
        ("true", "it made no file"),
    ] {
        let error = Place::new(&recipe(command)).run().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_input_that_changes_under_a_stage_is_told() {
    let recipe = "recipe = 1\n[input]\ntext = \"text.txt\"\n[[stage]]\nkind = \"run\"\ninputs = [\"text\"]\n\
                  command = [\"sh\", \"-c\", \"echo more >> {in.text}; touch {out}/a\"]\n";
    let words = Place::new(recipe).run().unwrap_err().to_string();
    assert!(words.contains("what it reads was changed while it ran"), "{words}");
}

#[test]
fn missing_inputs_and_addresses_are_told() {
    let place = Place::new(WHOLE);
    fs::remove_file(place.path("hub/other.gguf")).unwrap();
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("`hf:owner/repo/sub/other.gguf@main` is not on the hub (404)"), "{words}");
    let place = Place::new(WHOLE);
    fs::remove_file(place.path("base.gguf")).unwrap();
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("the input `base` is not there"), "{words}");
    assert!(words.contains("Done and kept: `fetch`, `convert`. Left: `imatrix`"), "{words}");
}

fn plan(place: &Place, from: Option<&str>) -> String {
    let (recipe, store, bench) = (place.recipe(), Store::look(&place.store()), Double::default());
    let (remote, heard) = (Hub::new(place.folder.path()), Heard::default());
    let forge =
        Forge { recipe: &recipe, store: &store, bench: &bench, remote: &remote, observer: &heard, signer: None };
    forge.plan(from).unwrap().to_string()
}

/// A plan without what depends on the last digits of figures, which a processor's fused operations change: the size of
/// `comparison.json`, and the key of the stage that reads it.
fn without_last_digits(plans: &str) -> String {
    let line = |line: &str| match line.split_once("comparison.json  ") {
        Some((before, _)) => format!("{before}comparison.json  …\n"),
        None if line.starts_with("  done  publish") => "  done  publish     …\n".into(),
        None => format!("{line}\n"),
    };
    plans.lines().map(line).collect()
}

#[test]
fn a_plan_says_what_is_done_and_what_would_run() {
    let place = Place::new(WHOLE);
    let mut plans = plan(&place, None);
    assert!(!place.store().exists(), "a plan changes nothing");
    place.run().unwrap();
    plans += &format!("\n{}\n{}", plan(&place, None), plan(&place, Some("quantize")));
    change(&place.stage("fetch").join("out/other.gguf"), |bytes| bytes.push(0));
    plans += &format!("\n{}", plan(&place, None));
    let plans = without_last_digits(&plans);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan.txt");
    if std::env::var_os("GOLDEN").is_some() {
        fs::write(&golden, &plans).unwrap();
    }
    assert_eq!(plans, fs::read_to_string(golden).unwrap(), "{plans}");
}

#[test]
fn sizes_are_predicted_to_the_byte() {
    let recipe = "recipe = 1\n[input]\nmoe = \"moe.gguf\"\n[[stage]]\nkind = \"prune\"\nmodel = \"moe\"\nby = \"random\"\nexperts = [7, 2]\n\
                  [[stage]]\nkind = \"quantize\"\nmodel = \"moe\"\ntypes = \"Q8_0\"\n";
    let place = Place::new(recipe);
    let (recipe, bench, observer) = (place.recipe(), Double::default(), Heard::default());
    let remote = Hub::new(place.folder.path());
    let sizes = || {
        let store = Store::look(&place.store());
        let forge =
            Forge { recipe: &recipe, store: &store, bench: &bench, remote: &remote, observer: &observer, signer: None };
        let mut outputs: Vec<_> =
            forge.plan(None).unwrap().stages.into_iter().flat_map(|stage| stage.outputs).collect();
        outputs.retain(|(name, _)| name.contains("experts.gguf"));
        outputs.sort();
        outputs
    };
    let before = sizes();
    assert!(before.iter().all(|(_, size)| size.is_some()) && before.len() == 2, "{before:?}");
    place.run().unwrap();
    assert_eq!(before, sizes());
}

#[test]
fn a_number_of_experts_that_no_memory_holds_is_refused() {
    let recipe = "recipe = 1\n[input]\nmoe = \"moe.gguf\"\n[[stage]]\nkind = \"prune\"\nmodel = \"moe\"\nby = \"first\"\n\
                  experts = 4294967295\n";
    let place = Place::new(recipe);
    assert!(plan(&place, None).contains("moe-4294967295-experts.gguf\n"), "{}", plan(&place, None));
    assert!(place.run().unwrap_err().to_string().contains("4294967295 experts cannot be kept of 8"));
}

#[test]
fn a_file_without_experts_is_told() {
    let recipe = "recipe = 1\n[input]\nbase = \"base.gguf\"\n[[stage]]\nkind = \"prune\"\nmodel = \"base\"\nby = \"first\"\nexperts = 2\n";
    let words = Place::new(recipe).run().unwrap_err().to_string();
    assert!(words.contains("it is not a GGUF file"), "{words}");
    let recipe = recipe.replace("base.gguf", "moe.gguf").replace("experts = 2", "experts = 1");
    let words = Place::new(&recipe).run().unwrap_err().to_string();
    assert!(words.contains("every token of `moe.gguf` goes through 2"), "{words}");
}

#[test]
fn one_file_is_never_taken_for_several() {
    let recipe =
        WHOLE.replace("models = [\"quantize/base-Q4_K_M.gguf\", \"fetch\"]", "models = [\"quantize\", \"fetch\"]");
    let place = Place::new(&recipe);
    let words = place.run().unwrap_err().to_string();
    assert!(words.contains("2 `weights` for 3 models"), "{words}");
    assert!(Recipe::read("recipe = 1", &place.path("x.toml")).is_err());
}

#[test]
fn large_inputs_tell_how_far_they_are_hashed_and_can_be_stopped() {
    let recipe = "recipe = 1\n[input]\nbig = \"big\"\n[[stage]]\nkind = \"run\"\ninputs = \"big\"\n\
                  command = [\"touch\", \"{out}/a\"]\n";
    let place = Place::new(recipe);
    fs::File::create(place.path("big")).unwrap().set_len(100 << 20).unwrap();
    let heard = Heard::default();
    heard.cancel_after.set(Some(2));
    assert_eq!(place.verify_with(&heard, None), Err(Failure::Cancelled));
    assert_eq!(heard.events.take(), ["run 33554432/104857600 bytes hashed", "run 67108864/104857600 bytes hashed"]);
    let error = stage_error(run(&place.recipe(), &place.store(), &Double::default(), &heard, None, None).unwrap_err());
    assert_eq!(error.reason, Failure::Cancelled);
    assert_eq!(
        heard.events.into_inner(),
        ["run 33554432/104857600 bytes hashed", "run 67108864/104857600 bytes hashed"]
    );
}
