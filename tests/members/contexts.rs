//! One model several times in an ensemble, under prompts of its own.

use super::*;
use llama_selfmod::settings::Prompt;
use std::sync::Arc;

/// A member that reads a text before the prompt.
fn reading(path: &std::path::Path, before: &str) -> ModelSource {
    ModelSource { before: Some(before.into()), ..ModelSource::new(path) }
}

/// Members that continue a text.
fn raw(models: Vec<ModelSource>) -> Settings {
    Settings { models, raw: true, ..settings(&[]) }
}

fn primed(settings: Settings, prompt: &str) -> Vec<MemberRow> {
    let mut engine = Engine::load(settings, &|_, _| {}).unwrap();
    engine.decoder().reading().unwrap().prime(&Prompt::Text(prompt.into())).unwrap();
    rows(&mut engine)
}

#[test]
fn each_member_of_one_file_reads_its_own_text() {
    let path = stories("260k");
    let both = vec![reading(&path, "Lily had a red ball."), ModelSource::new(&path), reading(&path, "It was dark.")];
    let engine = Engine::load(raw(both.clone()), &|_, _| {}).unwrap();
    let names: Vec<&str> = engine.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["stories-260k", "stories-260k#2", "stories-260k#3"]);
    drop(engine);
    let alone = |text: &str| primed(raw(vec![ModelSource::new(&path)]), text).remove(0);
    let found = primed(raw(both), "She went out.");
    let expected =
        ["Lily had a red ball.\n\nShe went out.", "She went out.", "It was dark.\n\nShe went out."].map(alone);
    assert_same(&found, &expected, "three texts");
    assert!(deviation(&found[0], &found[1]) > 0.1 && deviation(&found[0], &found[2]) > 0.1);
}

#[test]
fn a_text_before_the_prompt_that_leaves_no_room_is_told() {
    let path = stories("260k");
    let mut engine = Engine::load(raw(vec![reading(&path, &"A long day. ".repeat(300))]), &|_, _| {}).unwrap();
    let reply = engine.reply(&Prompt::Text("Once".into()), &Arc::default(), &mut |_| {});
    let error = reply.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("shorten it, or the text that a member reads before it"), "{error}");
}

/// Whether `contrast` makes a model say what only its document says. The document names a child; the prompt, which is the
/// same for a member with the document and one without, does not.
#[test]
#[ignore = "a measurement, of a minute: cargo test --release -- --ignored --nocapture a_fact_of_the_document"]
fn a_fact_of_the_document_is_told_more_often_with_contrast() {
    const NAMES: [&str; 8] = ["Wanda", "Boris", "Tilda", "Enzo", "Greta", "Paco", "Sofie", "Arlo"];
    const PROMPTS: [&str; 25] = [
        "One sunny day, the two of them went to the market. There",
        "After breakfast it was time to go. Mother packed a bag and",
        "In the garden there was an old well. Nobody knew how deep it was, but",
        "The teacher asked a question. It was very quiet, and then",
        "A letter came in the afternoon. It was from far away, and",
        "That evening the lights went out. In the dark",
        "On the way home there was a dog in the middle of the road. It",
        "\"Who has eaten all the cookies?\" asked Father.",
        "The boat was small and the wind was strong. Soon",
        "There was a surprise behind the door.",
        "At the fair there were many games. The best one was",
        "When spring came, the flowers opened. Every morning",
        "A stranger knocked and asked for help.",
        "It had snowed all night, and the hill was white.",
        "The kite was stuck in a tall tree.",
        "Nobody wanted to go to bed.",
        "Something shiny lay at the bottom of the pond.",
        "The bird could not fly any more.",
        "It was the day of the big race.",
        "The old clock in the kitchen had stopped.",
        "A new family moved in next door.",
        "The soup smelled wonderful.",
        "Down at the beach there was a big shell.",
        "The train was late again.",
        "The map showed a path through the woods.",
    ];
    let document = |name: &str| {
        format!("{name} lived with Mother and Father in a house at the end of the village. {name} was seven years old.")
    };
    for model in ["tale", "fable"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("models/{model}.gguf"));
        // Named by the member alone, and by the contrast with one that does not see the document.
        let mut named = Vec::new();
        for (child, name) in NAMES.into_iter().enumerate() {
            let without = ModelSource::new(&path);
            let with = reading(&path, &document(name));
            let of = |models: Vec<ModelSource>, fusion: &str| {
                let settings = Settings { n_predict: 24, fusion_mode: fusion.into(), ..raw(models) };
                Engine::load(settings, &|_, _| {}).unwrap()
            };
            let mut engines = [of(vec![with.clone()], "average"), of(vec![with, without], "contrast")];
            // Three replies to each prompt.
            for (index, prompt) in PROMPTS.into_iter().cycle().take(3 * PROMPTS.len()).enumerate() {
                named.push(engines.each_mut().map(|engine| {
                    engine.set_seed((3 * PROMPTS.len() * child + index) as u64);
                    let prompt = Prompt::Text(prompt.into());
                    let reply = engine.reply(&prompt, &Arc::default(), &mut |_| {}).unwrap();
                    reply.text.contains(name)
                }));
            }
        }
        let count = |what: [bool; 2]| named.iter().filter(|pair| **pair == what).count() as f64;
        let (gained, lost, all) = (count([false, true]), count([true, false]), named.len() as f64);
        let difference = (gained - lost) / all;
        // Of a difference of paired shares, with the normal quantile.
        let half = 1.96 * ((gained + lost) / all - difference.powi(2)).sqrt() / all.sqrt();
        let alone = count([true, true]) + lost;
        println!(
            "{model}: of {all} replies {alone} name the child without contrast, {} with it: {gained} more, {lost} fewer, \
             {:.1} points ({:.1} to {:.1})",
            alone - lost + gained,
            100.0 * difference,
            100.0 * (difference - half),
            100.0 * (difference + half)
        );
        assert!(gained > lost, "{model}");
    }
}
