//! What models of different vocabularies need alone, in pairs and in threes: `cargo run --release --example strangers -- TEXT
//! A.gguf B.gguf C.gguf …`, bits per byte as a table of Markdown. Ensembles of one vocabulary are left out.

use llama_selfmod::engine::shared_vocabulary;
use llama_selfmod::score::Score;
use llama_selfmod::settings::{ModelSource, Settings};
use llama_selfmod::{Engine, Error};
use std::path::{Path, PathBuf};

fn score(models: &[&PathBuf], text: &str) -> Result<Score, Error> {
    let models = models.iter().map(|path| ModelSource::new(path.as_path())).collect();
    let settings = Settings { models, policies: Vec::new(), beside: 24, ..Settings::default() };
    Engine::load(settings, &|_member, _part| {})?.score(text, &mut |_| {})
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn main() -> Result<(), Error> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.len() < 3 {
        return Err(Error::Input("name a text and two models at least".into()));
    }
    let text = std::fs::read_to_string(paths.remove(0)).map_err(|error| Error::Input(error.to_string()))?;
    let mut alone = Vec::new();
    for path in &paths {
        alone.push(score(&[path], &text)?.fused);
    }
    println!("| models | alone | in the ensemble | fused | oracle | to the best | headroom |");
    println!("|---|---|---|---|---|---|---|");
    let indices = 0..paths.len();
    let pairs = indices.clone().flat_map(|b| (0..b).map(move |a| vec![a, b]));
    let threes = indices.flat_map(|c| (0..c).flat_map(move |b| (0..b).map(move |a| vec![a, b, c])));
    let mut worst = f64::NEG_INFINITY;
    for members in pairs.chain(threes) {
        let chosen: Vec<&PathBuf> = members.iter().map(|&member| &paths[member]).collect();
        if shared_vocabulary(&chosen.iter().copied().cloned().collect::<Vec<_>>())?.same {
            continue;
        }
        let Score { members: found, fused, oracle, headroom_captured, .. } = score(&chosen, &text)?;
        let list = |values: Vec<String>| values.join(", ");
        let own = |&member: &usize| format!("{:.4}", alone[member]);
        let changed = members.iter().zip(&found).map(|(&member, found)| found.bits_per_byte / alone[member] - 1.0);
        let changed: Vec<f64> = changed.collect();
        worst = changed.iter().copied().fold(worst, f64::max);
        let told = |(found, change): (&llama_selfmod::score::MemberScore, &f64)| {
            format!("{:.4} ({:+.2} %)", found.bits_per_byte, change * 100.0)
        };
        let best = found.iter().map(|member| member.bits_per_byte).fold(f64::INFINITY, f64::min);
        println!(
            "| {} | {} | {} | {fused:.4} | {oracle:.4} | {:+.2} % | {:.0} % |",
            list(chosen.iter().map(|path| name(path)).collect()),
            list(members.iter().map(own).collect()),
            list(found.iter().zip(&changed).map(told).collect()),
            (fused / best - 1.0) * 100.0,
            headroom_captured * 100.0
        );
    }
    println!("\nA member needs at most {:+.2} % more than alone.", worst * 100.0);
    Ok(())
}
