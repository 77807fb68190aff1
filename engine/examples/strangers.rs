//! What models of different vocabularies need alone, in pairs and in threes: `cargo run --release --example strangers -- TEXT
//! A.gguf B.gguf C.gguf …`, bits per byte as a table of Markdown. Ensembles of one vocabulary are left out.

use llama_selfmod::engine::shared_vocabulary;
use llama_selfmod::score::Score;
use llama_selfmod::settings::{ModelSource, Settings};
use llama_selfmod::{Engine, Error};
use std::path::{Path, PathBuf};

/// Bytes that every model reads within half a context, so that alone and together it sees the same text before each byte.
const PART: usize = 600;

/// With a context of so many tokens, as all that are compared have.
fn load(models: &[&PathBuf], ctx_size: u32) -> Result<Engine, Error> {
    let models = models.iter().map(|path| ModelSource::new(path.as_path())).collect();
    let settings = Settings { models, policies: Vec::new(), beside: 24, ctx_size, ..Settings::default() };
    Engine::load(settings, &|_member, _part| {})
}

/// What each member needs for the text, cut into parts that have nothing before them. One ends where a line does.
fn in_parts(engine: &mut Engine, text: &str) -> Result<Vec<f64>, Error> {
    let (mut bits, mut rest) = (vec![0.0; engine.members().len()], text);
    while !rest.is_empty() {
        // A part ends with a line, so that no tokenizer has to read half a word.
        let most = (0..=PART.min(rest.len())).rev().find(|&end| rest.is_char_boundary(end)).unwrap_or(0);
        let line = rest[..most].rfind('\n').map_or(most.max(1), |end| end + 1);
        let end = if most == rest.len() { most } else { line };
        let (part, behind) = rest.split_at(end);
        // Some tokenizers put a space before a text: behind a new line all read the same.
        let part = format!("\n{}", part.trim_end_matches('\n'));
        for (sum, member) in bits.iter_mut().zip(engine.score(&part, &mut |_| {})?.members) {
            *sum += member.bits_per_byte * part.len() as f64 / text.len() as f64;
        }
        rest = behind;
    }
    Ok(bits)
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
    let mut context = Settings::default().ctx_size;
    for path in &paths {
        context = context.min(load(&[path], context)?.context());
    }
    let mut alone = Vec::new();
    for path in &paths {
        alone.extend(in_parts(&mut load(&[path], context)?, &text)?);
    }
    println!("In parts of {PART} bytes what a member needs alone and in the ensemble; the rest over the whole text.\n");
    println!("| models | alone | in the ensemble | over the whole text | fused | oracle | to the best | headroom |");
    println!("|---|---|---|---|---|---|---|---|");
    let indices = 0..paths.len();
    let pairs = indices.clone().flat_map(|b| (0..b).map(move |a| vec![a, b]));
    let threes = indices.flat_map(|c| (0..c).flat_map(move |b| (0..b).map(move |a| vec![a, b, c])));
    let mut worst = f64::NEG_INFINITY;
    for members in pairs.chain(threes) {
        let chosen: Vec<&PathBuf> = members.iter().map(|&member| &paths[member]).collect();
        if shared_vocabulary(&chosen.iter().copied().cloned().collect::<Vec<_>>())?.same {
            continue;
        }
        let mut engine = load(&chosen, context)?;
        let together = in_parts(&mut engine, &text)?;
        let Score { members: found, fused, oracle, headroom_captured, .. } = engine.score(&text, &mut |_| {})?;
        let list = |values: Vec<String>| values.join(", ");
        let change = |(&member, together): (&usize, &f64)| (together / alone[member] - 1.0) * 100.0;
        let changes: Vec<f64> = members.iter().zip(&together).map(change).collect();
        worst = changes.iter().copied().fold(worst, f64::max);
        let told = |(together, change): (&f64, &f64)| format!("{together:.4} ({change:+.2} %)");
        let best = found.iter().map(|member| member.bits_per_byte).fold(f64::INFINITY, f64::min);
        let own = found.iter().map(|member| format!("{:.4}", member.bits_per_byte)).collect();
        println!(
            "| {} | {} | {} | {} | {fused:.4} | {oracle:.4} | {:+.2} % | {:.0} % |",
            list(chosen.iter().map(|path| name(path)).collect()),
            list(members.iter().map(|&member| format!("{:.4}", alone[member])).collect()),
            list(together.iter().zip(&changes).map(told).collect()),
            list(own),
            (fused / best - 1.0) * 100.0,
            headroom_captured * 100.0
        );
    }
    println!("\nA member needs at most {worst:+.2} % more than alone.");
    Ok(())
}
