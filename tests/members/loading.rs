//! From files to members.

use super::*;
use llama_selfmod::member::schedule::Schedule;
use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use std::sync::Mutex;

#[test]
fn every_member_tells_how_far_it_is_read() {
    let models = Models::new();
    let paths = [models.random(Architecture::Llama, 1), stories("260k"), models.random(Architecture::Mamba, 1)];
    let heard = Mutex::new(vec![Vec::new(); paths.len()]);
    let progress = |member: usize, fraction: f32| heard.lock().unwrap()[member].push(fraction);
    Engine::load(settings(&paths), &progress).unwrap();
    for (member, fractions) in heard.into_inner().unwrap().iter().enumerate() {
        assert_eq!(fractions.last(), Some(&1.0), "member {member}: {fractions:?}");
        assert!(fractions.windows(2).all(|pair| pair[0] <= pair[1]), "member {member}: {fractions:?}");
    }
}

#[test]
fn the_same_file_twice_is_two_members_of_one_mind() {
    let mut engine = engine(&[stories("260k"), stories("260k")]);
    let names: Vec<&str> = engine.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["stories-260k", "stories-260k#2"]);
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.prime(&Prompt::Text("Once upon a time".into())).unwrap();
    ensemble.extend(300).unwrap();
    let rows = rows(&mut engine);
    assert!(rows[0].logits == rows[1].logits);
}

#[test]
fn the_context_is_what_the_least_trained_member_can_do() {
    let models = Models::new();
    let small = RandomModel { context: 40, ..RandomModel::tiny(Architecture::Llama, stories_vocabulary(), 1) };
    let asked = Settings { ctx_size: 100, ..settings(&[stories("260k"), models.write("small", &small)]) };
    let mut engine = Engine::load(asked, &|_, _| {}).unwrap();
    assert_eq!(engine.context(), 40);
    assert!(engine.notes().iter().any(|note| note.contains("40 tokens") && note.contains("`small`")));
    let primed = engine.decoder().reading().unwrap().prime(&Prompt::Tokens(units(0..38))).unwrap();
    assert_eq!((primed[0].tokens, engine.decoder().reading().unwrap().room()), (39, 1));
}

/// Rows, bit for bit, after more tokens than flash attention on the CPU takes in one piece: it divides them by threads.
fn late_rows(path: &std::path::Path, gpu_layers: i32, threads: usize) -> Option<Vec<Vec<f32>>> {
    let model = ModelSource { gpu_layers, ..ModelSource::new(path) };
    let long = Settings { models: vec![model], ctx_size: 2048, threads: Some(threads), ..settings(&[]) };
    let mut engine = Engine::load(long, &|_, _| {}).unwrap();
    let is_told = engine.notes().iter().any(|note| note.contains("all layers run on the CPU"));
    if gpu_layers != 0 && !is_told {
        return None;
    }
    assert_eq!(is_told, gpu_layers != 0, "{:?}", engine.notes());
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.bare().0.fix_schedule(Schedule::in_turn(1, threads));
    ensemble.prime(&Prompt::Tokens(units(0..700))).unwrap();
    let row = |unit| {
        ensemble.extend(unit).unwrap();
        ensemble.rows().into_iter().next().unwrap().logits.clone()
    };
    Some(units(700..720).into_iter().map(row).collect())
}

#[test]
fn layers_for_a_gpu_that_is_not_there_change_no_bit() {
    let models = Models::new();
    let path = models.random(Architecture::Llama, 4);
    let expected = late_rows(&path, 0, 1);
    for (gpu_layers, threads) in [(0, 2), (-1, 1), (-1, 2), (1, 2), (99, 2)] {
        let Some(found) = late_rows(&path, gpu_layers, threads) else {
            eprintln!("skipped: this machine has a GPU, and its bits are others");
            return;
        };
        assert!(Some(&found) == expected.as_ref(), "{gpu_layers} layers, {threads} threads");
    }
}
