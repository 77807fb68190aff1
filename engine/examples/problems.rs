//! How many word problems some models answer: `cargo run --release --example problems -- PROBLEMS.jsonl LIMIT TEMPERATURE
//! FUSION A.gguf B.gguf …`, where FUSION is a name or `NAME:{JSON}` with its settings. A line of the file has a `question` and a number, its `result`; an answer ends with `#### NUMBER`.
//! Prints a mark for each problem, 1 where it was right, so that two runs can be paired.

use llama_selfmod::hooks::native::PluginConfig;
use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use llama_selfmod::{Engine, Error};
use plugin_api::Parameters;
use std::sync::Arc;

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or_else(|| Error::Input("arguments are missing; see the example".into()));
    let (file, limit, temperature, fusion) = (next()?, next()?, next()?, next()?);
    let models: Vec<ModelSource> = arguments.map(ModelSource::new).collect();
    let number = |text: &str| text.parse().map_err(|_| Error::Input(format!("`{text}` is no number")));
    let parameters = Parameters { temperature: number(&temperature)?, ..Settings::default().parameters };
    let (policies, limit) = (Vec::new(), number(&limit)? as usize);
    let (fusion_mode, own) = fusion.split_once(':').unwrap_or((&fusion, "{}"));
    let config = format!("{{\"{fusion_mode}\": {own}}}");
    let plugin_config = PluginConfig::parse("FUSION".as_ref(), &config).map_err(Error::Input)?;
    let fusion_mode = fusion_mode.to_string();
    let settings =
        Settings { models, parameters, policies, fusion_mode, plugin_config, n_predict: 120, ..Settings::default() };
    let mut engine = Engine::load(settings, &|_member, _part| {})?;
    let problems = std::fs::read_to_string(&file).map_err(|error| Error::Input(format!("{file}: {error}")))?;
    let (mut marks, mut right, mut all) = (String::new(), 0, 0);
    for (index, line) in problems.lines().take(limit).enumerate() {
        let problem: serde_json::Value =
            serde_json::from_str(line).map_err(|error| Error::Input(format!("line {}: {error}", index + 1)))?;
        engine.set_seed(index as u64);
        let question = problem["question"].as_str().unwrap_or_default();
        let reply = engine.reply(&Prompt::Text(question.into()), &Arc::default(), &mut |_| {})?;
        let answer = reply.text.split_once("####").and_then(|(_, rest)| rest.split_whitespace().next());
        let is_right = answer.and_then(|answer| answer.parse::<f64>().ok()) == problem["result"].as_f64();
        marks.push(if is_right { '1' } else { '0' });
        (right, all) = (right + usize::from(is_right), all + 1);
    }
    println!("{marks}\n{right} of {all}");
    Ok(())
}
