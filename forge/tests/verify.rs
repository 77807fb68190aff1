//! Manipulations of a store, each of which must be found and named.

mod support;

use llama_selfmod_forge::run::Verification;
use llama_selfmod_forge::store::{Signer, Trust};
use std::fs;
use std::path::Path;
use support::{Place, WHOLE, change};

/// A place where the whole recipe was run.
fn made() -> Place {
    let place = Place::new(WHOLE);
    place.run().unwrap_or_else(|error| panic!("{error}"));
    let before = place.verify(None);
    assert!(before.is_sound(), "{before}");
    assert_eq!(before.sound.len(), 11);
    place
}

/// Exactly one artifact is named, with what depends on it.
fn one(found: &Verification, artifact: &str, words: &str, dependents: &[&str]) {
    assert_eq!(found.findings.len(), 1, "{found}");
    let finding = &found.findings[0];
    assert!(finding.artifact.ends_with(artifact), "{found}");
    assert!(finding.words.contains(words), "{found}");
    assert_eq!(finding.dependents, dependents, "{found}");
    for (stage, _) in &found.sound {
        assert!(!dependents.contains(&stage.as_str()), "{stage} depends on what was changed: {found}");
    }
}

const AFTER_QUANTIZE: [&str; 5] = ["perplexity", "eval", "run", "pack", "publish"];

#[test]
fn a_flipped_bit_of_any_output_is_found() {
    let place = made();
    let file = place.stage("quantize").join("out/base-Q4_K_M.gguf");
    change(&file, |bytes| bytes[3000] ^= 4);
    let found = place.verify(None);
    one(&found, "-quantize/out/base-Q4_K_M.gguf", "its bytes are not", &AFTER_QUANTIZE);
    let finding = &found.findings[0];
    assert_ne!(finding.expected, finding.found);
    assert_eq!(finding.found.as_ref().map(String::len), Some(64));
}

#[test]
fn a_flipped_bit_is_found_though_size_and_time_are_the_same() {
    let place = made();
    place.run().unwrap();
    let file = place.stage("fetch").join("out/other.gguf");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    change(&file, |bytes| bytes[0] ^= 1);
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    one(&place.verify(None), "other.gguf", "its bytes are not", &["pack", "publish"]);
}

#[test]
fn every_file_of_every_stage_is_watched() {
    let place = made();
    for folder in support::entries(&place.store()).into_iter().filter(|path| path.is_dir()) {
        for (file, bytes) in files(&folder) {
            for at in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                if bytes.is_empty() {
                    continue;
                }
                change(&file, |bytes| bytes[at] ^= 1);
                let found = place.verify(None);
                let name = file.strip_prefix(place.store()).unwrap().to_str().unwrap().to_owned();
                // A seal that does not fit is told of its statement.
                let told = name.replace("statement.sha256", "statement.json");
                let is_named =
                    found.findings.iter().any(|finding| finding.artifact == name || finding.artifact == told);
                assert!(is_named, "byte {at} of {name}: {found}");
                change(&file, |old| old.clone_from(&bytes));
            }
        }
    }
    assert!(place.verify(None).is_sound());
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in support::entries(folder) {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn a_missing_output_is_found() {
    let place = made();
    fs::remove_file(place.stage("profile").join("out/profile.json")).unwrap();
    one(&place.verify(None), "out/profile.json", "it is missing", &["prune"]);
}

#[test]
fn an_added_output_is_found() {
    let place = made();
    fs::write(place.stage("pack").join("out/members/third.gguf"), b"x").unwrap();
    one(&place.verify(None), "out/members/third.gguf", "no statement names it", &["publish"]);
}

#[test]
fn an_edited_subject_is_found() {
    let place = made();
    edit(&place, "imatrix", |text| {
        let at = text.find("\"sha256\":\"").unwrap() + 10;
        let at = text[..text.find("imatrix.gguf").unwrap()].rfind("\"sha256\":\"").map_or(at, |at| at + 10);
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        text.replace_range(at..=at, other);
    });
    let found = place.verify(None);
    assert!(found.findings.iter().all(|finding| finding.owner == "imatrix"), "{found}");
    assert!(found.findings[0].words.contains("not the statement that"), "{found}");
    assert!(found.findings[0].dependents.starts_with(&["quantize".into(), "perplexity".into()]), "{found}");
}

/// Changes a statement, and its seal too.
fn forge(place: &Place, stage: &str, with: impl FnOnce(&mut String)) {
    edit(place, stage, with);
    let folder = place.stage(stage);
    let sum = std::process::Command::new("sha256sum").arg("statement.json").current_dir(&folder).output().unwrap();
    change(&folder.join("statement.sha256"), |seal| seal.clone_from(&sum.stdout));
}

fn edit(place: &Place, stage: &str, with: impl FnOnce(&mut String)) {
    change(&place.stage(stage).join("statement.json"), |bytes| {
        let mut text = String::from_utf8(bytes.clone()).unwrap();
        with(&mut text);
        *bytes = text.into_bytes();
    });
}

#[test]
fn an_edited_dependency_is_found_though_it_is_sealed_anew() {
    let place = made();
    forge(&place, "eval", |text| *text = text.replace("\"name\":\"base\"", "\"name\":\"bass\""));
    one(&place.verify(None), "-eval/statement.json", "what it says was asked has been changed", &["publish"]);
}

#[test]
fn an_edited_parameter_is_found_though_it_is_sealed_anew() {
    let place = made();
    forge(&place, "eval", |text| *text = text.replace("\"limit\":8", "\"limit\":80"));
    one(&place.verify(None), "-eval/statement.json", "what it says was asked has been changed", &["publish"]);
}

#[test]
fn an_output_and_its_statement_that_were_made_to_fit_break_the_chain() {
    let place = made();
    let file = place.stage("imatrix").join("out/imatrix.gguf");
    let sum = |path: &Path| {
        let text = std::process::Command::new("sha256sum").arg(path).output().unwrap().stdout;
        String::from_utf8(text).unwrap()[..64].to_owned()
    };
    let before = sum(&file);
    change(&file, |bytes| bytes[9] ^= 1);
    let after = sum(&file);
    forge(&place, "imatrix", |text| *text = text.replace(&before, &after));
    let found = place.verify(None);
    assert!(!found.is_sound());
    let finding = &found.findings[0];
    assert!(finding.artifact.contains("`imatrix/imatrix.gguf`, which `quantize` was made from"), "{found}");
    assert_eq!((finding.expected.as_ref(), finding.found.as_ref()), (Some(&before), Some(&after)));
}

#[test]
fn a_statement_of_another_stage_is_found() {
    let place = made();
    for file in ["statement.json", "statement.sha256"] {
        let bytes = fs::read(place.stage("profile").join(file)).unwrap();
        change(&place.stage("imatrix").join(file), |old| *old = bytes);
    }
    let found = place.verify(None);
    assert!(found.findings[0].artifact.ends_with("-imatrix/statement.json"), "{found}");
    assert!(found.findings[0].words.contains("the statement of another stage"), "{found}");
}

#[test]
fn swapped_statements_are_found() {
    let place = made();
    let [one, other] = ["fetch", "convert"].map(|stage| place.stage(stage).join("statement.json"));
    let swap = place.path("swap");
    fs::rename(&one, &swap).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(&swap, &other).unwrap();
    let found = place.verify(None);
    for stage in ["fetch", "convert"] {
        assert!(
            found.findings.iter().any(|finding| finding.owner == stage && finding.artifact.contains("statement.json"))
        );
    }
}

#[test]
fn a_truncated_statement_is_found_at_every_length() {
    let place = made();
    let path = place.stage("run").join("statement.json");
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        change(&path, |bytes| bytes.truncate(length));
        let found = place.verify(None);
        assert!(found.findings.iter().all(|finding| finding.artifact.ends_with("-run/statement.json")), "{found}");
        assert_eq!(found.findings[0].dependents, ["publish"], "{found}");
        change(&path, |bytes| bytes.clone_from(&whole));
    }
}

#[test]
fn a_removed_statement_or_seal_is_found() {
    let place = made();
    fs::remove_file(place.stage("eval").join("statement.sha256")).unwrap();
    one(&place.verify(None), "-eval/statement.sha256", "it cannot be read", &["publish"]);
    fs::remove_file(place.stage("eval").join("statement.json")).unwrap();
    one(&place.verify(None), "-eval/statement.json", "cannot read", &["publish"]);
}

#[test]
fn a_removed_stage_is_found_if_others_were_made_from_it() {
    let place = made();
    fs::remove_dir_all(place.stage("quantize")).unwrap();
    let found = place.verify(None);
    assert!(found.missing.contains(&"quantize".to_owned()), "{found}");
    assert!(!found.is_sound(), "{found}");
}

#[test]
fn a_flipped_bit_of_an_input_is_found_with_all_that_was_made_from_it() {
    let place = made();
    change(&place.path("text.txt"), |bytes| bytes[500] ^= 1);
    let found = place.verify(None);
    let finding = &found.findings[0];
    assert_eq!(found.findings.len(), 1, "{found}");
    assert!(finding.artifact.starts_with("the input `text`"), "{found}");
    assert_eq!(
        finding.dependents,
        ["imatrix", "quantize", "perplexity", "profile", "prune", "eval", "run", "pack", "publish"]
    );
    assert_eq!(found.sound.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["fetch", "convert"]);
}

#[test]
fn a_missing_input_is_found() {
    let place = made();
    fs::remove_file(place.path("base.gguf")).unwrap();
    let found = place.verify(None);
    assert!(found.to_string().contains("the input `base` is not there"), "{found}");
}

#[test]
fn a_changed_parameter_of_the_recipe_is_found() {
    let place = made();
    change(&place.path("recipe.toml"), |text| {
        *text = String::from_utf8_lossy(text).replace("limit = 8", "limit = 12").into_bytes();
    });
    let words = "the recipe asks for something else since: `limit` was 8 and is 12";
    one(&place.verify(None), "`eval` in the recipe", words, &["publish"]);
}

#[test]
fn an_input_from_another_address_is_found_though_its_bytes_are_the_same() {
    let place = made();
    change(&place.path("recipe.toml"), |text| {
        *text = String::from_utf8_lossy(text).replace("far.gguf@main", "far.gguf@v1").into_bytes();
    });
    let words = "it was `hf:owner/repo/far.gguf@main` and is `hf:owner/repo/far.gguf@v1`";
    one(&place.verify(None), "the input `far`", words, &["perplexity", "run", "publish"]);
}

#[test]
fn folders_of_earlier_recipes_are_listed_and_change_nothing() {
    let place = made();
    change(&place.path("recipe.toml"), |text| {
        *text = String::from_utf8_lossy(text).replace("limit = 8", "limit = 12").into_bytes();
    });
    place.run().unwrap();
    let found = place.verify(None);
    assert!(found.is_sound(), "{found}");
    assert_eq!(found.earlier.len(), 2, "{found}");
}

fn keys(place: &Place) -> [(Signer, Trust); 2] {
    [1_u8, 2].map(|seed| {
        let path = place.path(&format!("key{seed}"));
        fs::write(&path, [seed; 32]).unwrap();
        let signer = Signer::open(&path).unwrap();
        let trust = signer.trust();
        (signer, trust)
    })
}

fn signed() -> (Place, Trust, Trust) {
    let place = Place::new(WHOLE);
    let [(signer, trust), (_, other)] = keys(&place);
    place.run_signed(&signer).unwrap();
    (place, trust, other)
}

#[test]
fn signed_statements_are_checked_with_the_key_that_is_trusted() {
    let (place, trust, other) = signed();
    for trust in [None, Some(&trust)] {
        let found = place.verify(trust);
        assert!(found.is_sound(), "{found}");
        assert!(found.sound.iter().all(|(_, signer)| signer.is_some()));
    }
    let found = place.verify(Some(&other));
    assert_eq!(found.findings.len(), 11, "{found}");
    assert!(found.findings.iter().all(|finding| finding.words.contains("which is trusted")), "{found}");
}

#[test]
fn a_statement_without_a_signature_is_found_if_a_key_is_trusted() {
    let (place, trust, _) = signed();
    fs::remove_file(place.stage("run").join("statement.dsse.json")).unwrap();
    one(&place.verify(Some(&trust)), "-run/statement.dsse.json", "it is missing", &["publish"]);
}

#[test]
fn a_forged_signature_is_found() {
    let (place, trust, _) = signed();
    change(&place.stage("run").join("statement.dsse.json"), |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 10;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    });
    for trust in [None, Some(&trust)] {
        one(&place.verify(trust), "-run/statement.dsse.json", "its signature is", &["publish"]);
    }
}

#[test]
fn an_envelope_of_another_statement_is_found() {
    let (place, trust, _) = signed();
    let bytes = fs::read(place.stage("fetch").join("statement.dsse.json")).unwrap();
    change(&place.stage("run").join("statement.dsse.json"), |old| *old = bytes);
    one(&place.verify(Some(&trust)), "-run/statement.dsse.json", "it signs another statement", &["publish"]);
}

#[test]
fn a_statement_that_was_sealed_anew_does_not_fit_its_envelope() {
    let (place, trust, _) = signed();
    forge(&place, "run", |text| *text = text.replace("\"id\":\"double\"", "\"id\":\"triple\""));
    one(&place.verify(Some(&trust)), "-run/statement.dsse.json", "it signs another statement", &["publish"]);
}

#[test]
fn stages_that_were_done_are_signed_later() {
    let place = made();
    let [(signer, trust), _] = keys(&place);
    assert!(!place.verify(Some(&trust)).is_sound());
    assert!(place.run_signed(&signer).unwrap().ran.is_empty());
    assert!(place.verify(Some(&trust)).is_sound());
}

#[test]
fn keys_are_those_that_openssl_writes() {
    let folder = tempfile::tempdir().unwrap();
    let [private, public, wrong] = ["key.pem", "key.pub", "wrong"].map(|name| folder.path().join(name));
    // `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`, of RFC 8410, section 10.3 and 10.1.
    fs::write(
        &private,
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    fs::write(
        &public,
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    )
    .unwrap();
    assert_eq!(Signer::open(&private).unwrap().trust(), Trust::open(&public).unwrap());
    fs::write(&wrong, "no key").unwrap();
    assert!(Signer::open(&wrong).unwrap_err().to_string().contains("openssl genpkey -algorithm ed25519"));
    assert!(Trust::open(&wrong).unwrap_err().to_string().contains("openssl pkey"));
    fs::write(&wrong, Trust::open(&public).unwrap().id()).unwrap();
    assert_eq!(Trust::open(&wrong).unwrap(), Trust::open(&public).unwrap());
}
