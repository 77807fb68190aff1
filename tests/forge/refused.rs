//! What goes wrong, said with what to do: recipes, files that are none of what a stage needs, disks, the hub.

use super::place::Workplace;
use crate::support::program::model;
use hub::mock::{Access, Fault, Place as At};
use std::fs;

const RUN: [&str; 2] = ["forge", "recipe.toml"];

fn refused(recipe: &str) -> String {
    Workplace::new(recipe).failed(&RUN)
}

#[test]
fn a_wrong_recipe_is_refused_with_its_line_and_the_nearest_name() {
    let head = "recipe = 1\n[input]\nmoe = \"moe.gguf\"\nstories = \"stories.txt\"\n\n[[stage]]\n";
    for (stage, words) in [
        ("kind = \"quantise\"\nmodel = \"moe\"\ntypes = \"Q8_0\"\n", &[":7:", "`quantize`"][..]),
        ("kind = \"quantize\"\nmodle = \"moe\"\ntypes = \"Q8_0\"\n", &[":8:", "`model`"]),
        ("kind = \"quantize\"\nmodel = \"mo\"\ntypes = \"Q8_0\"\n", &[":8:", "`moe`"]),
        ("kind = \"profile\"\nmodel = \"moe\"\ntext = \"storie\"\n", &[":9:", "`stories`"]),
        ("kind = \"prune\"\nmodel = \"moe\"\nexperts = \"six\"\n", &[":9:"]),
        ("kind = \"search\"\nmodel = \"moe\"\ntext = \"stories\"\naxes = { expert = [4] }\n", &[":10:", "`experts`"]),
    ] {
        let said = refused(&format!("{head}{stage}"));
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    assert!(refused("recipe = 2\n").contains(":1:"));
    assert!(refused("recipe = 1\n[[stage]\n").contains(":2:"));
}

#[test]
fn what_a_stage_cannot_use_is_said_before_anything_is_written() {
    let head = "recipe = 1\n[input]\nmoe = \"moe.gguf\"\nstories = \"stories.txt\"\n";
    let run = |input: &str, stage: &str| refused(&format!("{head}{input}\n[[stage]]\n{stage}"));
    let dense = format!("dense = {:?}", model("stories-260k.gguf"));
    let said = run(&dense, "kind = \"prune\"\nmodel = \"dense\"\nexperts = 2\nby = \"first\"\n");
    assert!(said.contains("stories-260k.gguf") && said.contains("expert") && said.contains("llama"), "{said}");
    let said = run(&dense, "kind = \"profile\"\nmodel = \"dense\"\ntext = \"stories\"\n");
    assert!(said.contains("no experts"), "{said}");
    let said = run("", "kind = \"prune\"\nmodel = \"moe\"\nexperts = 1\nby = \"first\"\n");
    assert!(said.contains("2") && said.contains("too few"), "{said}");
    let said = run("", "kind = \"quantize\"\nmodel = \"moe\"\ntypes = \"Q4_KM\"\n");
    assert!(said.contains("did you mean `Q4_K_M`"), "{said}");
    let said = run("", "kind = \"quantize\"\nmodel = \"moe\"\ntypes = \"IQ2_XXS\"\n");
    assert!(said.contains("importance matrix") && said.contains("imatrix"), "{said}");
    let said = run("", "kind = \"quantize\"\nmodel = \"stories\"\ntypes = \"Q8_0\"\n");
    assert!(said.contains("stories.txt") && said.contains("GGUF"), "{said}");
    let said = run("away = \"away.gguf\"", "kind = \"quantize\"\nmodel = \"away\"\ntypes = \"Q8_0\"\n");
    assert!(said.contains("`away`") && said.contains("not there"), "{said}");
    let said = run("", "kind = \"perplexity\"\nmodels = \"moe\"\ntext = \"stories\"\ncontext = 4096\n");
    assert!(said.contains("512"), "{said}");
    let said = run("hf = \".\"", "kind = \"convert\"\nfrom = \"hf\"\nscript = \"llama.cpp/convert_hf_to_gguf.py\"\n");
    assert!(said.contains("convert_hf_to_gguf.py") && said.contains("llama.cpp"), "{said}");
    let said = run("", "kind = \"search\"\nmodel = \"moe\"\ntext = \"stories\"\naxes = { experts = [4] }\n");
    assert!(said.contains("`profile`"), "{said}");
    let said = run("", "kind = \"run\"\ncommand = [\"false\"]\ninputs = \"moe\"\n");
    assert!(said.contains("false"), "{said}");
}

#[test]
fn a_converter_is_run_and_hashed_like_an_input() {
    let work = Workplace::new(
        "recipe = 1\n[input]\nhf = \"model\"\n[[stage]]\nkind = \"convert\"\nfrom = \"hf\"\nscript = \"convert_hf_to_gguf.py\"\n",
    );
    fs::create_dir(work.place.path().join("model")).unwrap();
    work.place.file("model/config.json", "{}");
    // As the real one is called: `convert_hf_to_gguf.py MODEL --outfile FILE --outtype TYPE`.
    let script = "import shutil, sys\nout = sys.argv[sys.argv.index('--outfile') + 1]\nassert 'f16' in sys.argv\n\
                  shutil.copyfile('moe.gguf' if False else sys.path[0] + '/moe.gguf', out)\n";
    work.place.file("convert_hf_to_gguf.py", script);
    work.done(&RUN);
    let made = work.made();
    assert_eq!(made.len(), 1, "{:?}", made.keys());
    assert_eq!(made.into_values().next().unwrap(), fs::read(model("moe.gguf")).unwrap());
    work.place.file("convert_hf_to_gguf.py", format!("{script}# changed\n"));
    let plan = work.done(&["forge", "recipe.toml", "--dry-run"]);
    assert!(plan.contains("1 to run"), "{plan}");
    work.place.file("convert_hf_to_gguf.py", "raise SystemExit('no such architecture')\n");
    let said = work.failed(&RUN);
    assert!(said.contains("convert") && said.contains("no such architecture"), "{said}");
}

#[test]
fn what_the_hub_answers_is_a_sentence_that_says_what_to_do() {
    let recipe = "recipe = 1\n[input]\nmoe = \"hf:someone/models/moe.gguf\"\n\n[[stage]]\nkind = \"quantize\"\nmodel = \"moe\"\ntypes = \"Q4_0\"\n";
    let bytes = fs::read(model("moe.gguf")).unwrap();
    let work = || {
        let work = Workplace::new(recipe);
        work.hub.add("someone/models", "moe.gguf", &bytes);
        work
    };
    let of = |fault: Fault| {
        let work = work();
        work.hub.fault(At::Hub, "moe.gguf", fault, 100);
        work.failed(&RUN)
    };
    assert!(of(Fault::Status(401, None)).contains("HF_TOKEN"));
    assert!(of(Fault::Status(403, None)).contains("someone/models"));
    assert!(of(Fault::Status(429, Some(3600))).contains("3600"));

    let gone = Workplace::new(recipe);
    gone.hub.add("someone/models", "moe-2.gguf", &bytes);
    let said = gone.failed(&RUN);
    assert!(said.contains("moe.gguf") && said.contains("moe-2.gguf"), "{said}");
    let private = work();
    private.hub.restrict("someone/models", Access::Gated { accepted: false });
    let said = private.failed(&RUN);
    assert!(said.contains("someone/models"), "{said}");

    let wrong = work();
    wrong.hub.fault(At::Storage, "", Fault::WrongBytes, 100);
    let said = wrong.failed(&RUN);
    assert!(said.contains("SHA-256") || said.contains("sha256") || said.contains("hash"), "{said}");

    // Half a file, once: the rest is fetched; then the recipe runs, and offline it runs again.
    let half = work();
    half.hub.fault(At::Storage, "", Fault::CutAfter(3_000_000), 1);
    half.done(&RUN);
    let storage = half.hub.take_seen().into_iter().filter(|seen| seen.place == At::Storage);
    assert!(storage.filter(|seen| seen.range.is_some()).count() >= 1);
    let offline =
        half.process(&["forge", "recipe.toml", "--from", "quantize"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(offline.status.success(), "{}", String::from_utf8_lossy(&offline.stderr));
}

#[test]
fn files_on_the_hub_stand_wherever_a_file_is_expected() {
    let work = Workplace::new("recipe = 1\n");
    let small = fs::read(model("stories-260k.gguf")).unwrap();
    work.hub.add("someone/stories-GGUF", "stories-Q8_0.gguf", &small);
    work.hub.add(
        "someone/stories-GGUF",
        "text.txt",
        fs::read(work.place.path().join("held.txt")).unwrap()[..2000].into(),
    );
    let story = ["-p", "Once upon a time", "-n", "8", "--quiet", "--raw", "--policy", "none", "--seed", "1"];
    let write = |models: &[&str]| work.done(&[models, &story].concat());
    let said = write(&["-hf", "someone/stories-GGUF:Q8_0"]);
    let again = write(&["-m", "hf:someone/stories-GGUF/stories-Q8_0.gguf"]);
    assert_eq!(said, again);
    assert!(!said.trim().is_empty());
    let scored = work.done(&[
        "score",
        "-m",
        "hf:someone/stories-GGUF/stories-Q8_0.gguf@main",
        "hf:someone/stories-GGUF/text.txt",
    ]);
    assert!(scored.contains("stories-Q8_0"), "{scored}");
    let member = work.done(&["score", "--member", "hf:someone/stories-GGUF/stories-Q8_0.gguf:name=own", "held.txt"]);
    assert!(member.contains("own"), "{member}");
    // A team whose member is on the hub.
    let sha256 = llama_selfmod::memory::file_sha256(&model("stories-260k.gguf")).unwrap();
    fs::create_dir(work.place.path().join("team")).unwrap();
    let team = format!(
        "team = 1\nfusion = \"confidence\"\npolicy = []\ncontext = 256\n[[member]]\nname = \"a\"\nfile = \
         \"hf:someone/stories-GGUF/stories-Q8_0.gguf\"\nsha256 = \"{sha256}\"\n"
    );
    work.place.file("team/team.toml", team);
    let teamed = write(&["--team", "team"]);
    assert_eq!(teamed, said);
    assert!(work.failed(&["-hf", "someone", "-p", "x"]).contains("OWNER/REPO"));
    assert!(work.failed(&["-m", "hf:someone/none/x.gguf", "-p", "x"]).contains("someone/none"));
}

#[test]
fn a_folder_is_published_once_and_told_before() {
    let work = Workplace::new("recipe = 1\n");
    fs::create_dir(work.place.path().join("folder")).unwrap();
    work.place.file("folder/README.md", "# A model\n");
    fs::copy(model("stories-260k.gguf"), work.place.path().join("folder/model.gguf")).unwrap();
    let told = work.done(&["publish", "folder", "--repo", "someone/new", "--dry-run"]);
    assert!(told.contains("would be sent: model.gguf") && told.contains("nothing was sent"), "{told}");
    assert!(work.hub.take_seen().is_empty());
    let sent = work.done(&["publish", "folder", "--repo", "someone/new"]);
    assert!(sent.contains("sent: model.gguf") && sent.contains("commit"), "{sent}");
    assert_eq!(work.hub.files("someone/new", "main").len(), 2);
    let again = work.done(&["publish", "folder", "--repo", "someone/new"]);
    assert!(again.contains("unchanged: model.gguf"), "{again}");
}

#[test]
fn a_pack_is_published_with_a_card_that_says_what_is_not_shown() {
    let work = Workplace::new("recipe = 1\n");
    let member = model("stories-260k.gguf");
    let member = member.to_str().unwrap();
    work.done(&["team", "pack", "-o", "pack", "-m", member, "-m", "moe.gguf"]);
    let told = work.done(&["publish", "pack", "--repo", "someone/two", "--dry-run"]);
    assert!(told.contains("would be sent: README.md"), "{told}");
    work.done(&["publish", "pack", "--repo", "someone/two"]);
    let files = work.hub.files("someone/two", "main");
    let card = String::from_utf8(files["README.md"].clone()).unwrap();
    for words in ["# two", "`moe`", "`stories-260k`", "## Together", "is not shown", "llama_selfmod --team", "Q8_0"] {
        assert!(card.contains(words), "{words}: {card}");
    }
    assert!(files.contains_key("team.toml") && files.contains_key("moe.gguf"));
}
