//! The page about a recipe.

mod support;

use llama_selfmod_forge::run::Forge;
use llama_selfmod_forge::store::Store;
use support::{Double, Heard, Hub, Place, WHOLE, change};

fn report(place: &Place) -> String {
    let (recipe, store, bench) = (place.recipe(), Store::look(&place.store()), Double::default());
    let (remote, observer) = (Hub::new(place.folder.path()), Heard::default());
    let forge =
        Forge { recipe: &recipe, store: &store, bench: &bench, remote: &remote, observer: &observer, signer: None };
    forge.report().unwrap()
}

/// Tags that are opened are closed, in order.
fn is_well_formed(page: &str) -> bool {
    let mut open = Vec::new();
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap();
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.starts_with('!') && !matches!(name, "meta" | "br") {
            open.push(name);
        }
    }
    open.is_empty()
}

#[test]
fn the_page_stands_by_itself_and_shows_every_stage() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    let page = report(&place);
    assert!(is_well_formed(&page));
    assert!(!page.contains("<script") && !page.contains("src="), "nothing is loaded");
    assert!(!page.contains("href=\"http") && !page.contains("url("), "nothing leads elsewhere");
    for stage in &place.recipe().stages {
        assert!(page.contains(&format!("<section id=\"{}\">", stage.name)), "{}", stage.name);
    }
    for words in ["Change against base.gguf, in %", "Saliency of experts", "6 of 8 experts", "converting"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("Difference from base.gguf") && page.contains("1 file, "));
    // Two perplexity charts and one of its history, two heat maps of experts, two of
    // those that stay, one of the evaluation.
    assert_eq!(page.matches("<svg").count(), 8);
}

#[test]
fn a_page_before_the_first_run_says_so() {
    let page = report(&Place::new(WHOLE));
    assert!(is_well_formed(&page));
    assert_eq!(page.matches("Not run yet.").count(), 11);
}

#[test]
fn text_of_files_is_never_markup() {
    let recipe = "recipe = 1\n[[stage]]\nkind = \"run\"\n\
                  command = [\"sh\", \"-c\", \"echo '<script>x</script>'; touch '{out}/<img src=x>'\"]\n";
    let place = Place::new(recipe);
    place.run().unwrap();
    let page = report(&place);
    assert!(is_well_formed(&page) && !page.contains("<script") && !page.contains("<img"));
}

#[test]
fn a_stage_that_was_changed_is_told() {
    let place = Place::new(WHOLE);
    place.run().unwrap();
    change(&place.stage("profile").join("out/profile.json"), |bytes| bytes.push(b' '));
    let page = report(&place);
    assert!(page.contains("not as it was made") && page.contains("--from profile"), "{page}");
}
