//! From files to members.

use super::*;
use llama_selfmod::settings::{Prompt, Settings};
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
    let ensemble = &mut engine.decoder().ensemble;
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
    let primed = engine.decoder().ensemble.prime(&Prompt::Tokens(units(0..38))).unwrap();
    assert_eq!((primed[0].tokens, engine.decoder().ensemble.room()), (39, 1));
}
