//! Whether looking ahead pays: `cargo run --release --example lookahead -- PROBLEMS.jsonl LIMIT AHEAD A.gguf B.gguf …`
//!
//! Greedy decoding, but where the fused row is unsure (more than 0.3 nats) each candidate with a twentieth of the probability or
//! more is continued AHEAD tokens, and the one stands whose line is likeliest, per token. Prints a mark for each problem,
//! 1 where it was right, the problems that it gained and lost against plain greedy decoding, and what it cost in tokens.

use llama_selfmod::settings::{ModelSource, Prompt, Settings};
use llama_selfmod::trace::Watch;
use llama_selfmod::{Engine, Error};
use measure::explain::{Step, Token};
use measure::tasks::Task;
use plugin_api::Parameters;
use std::path::Path;
use std::sync::Arc;

const UNSURE: f64 = 0.3;
const LEAST: f64 = 0.05;

/// An engine that is looked at, and how many tokens it wrote.
struct Looked {
    engine: Engine,
    watch: Watch,
    written: usize,
}

impl Looked {
    /// Continues a text by at most so many tokens.
    fn go_on(&mut self, text: &str, most: usize) -> Result<Vec<Token>, Error> {
        self.engine.set_n_predict(u32::try_from(most).unwrap_or(u32::MAX));
        self.engine.reply(&Prompt::Text(text.into()), &Arc::default(), &mut |_| {})?;
        let account = self.watch.kept().account("", text, Vec::new());
        let tokens = account.steps.into_iter().filter_map(|step| match step {
            Step::Token(token) => Some(token),
            Step::Retraction(_) => None,
        });
        let tokens: Vec<Token> = tokens.collect();
        self.written += tokens.len();
        Ok(tokens)
    }

    /// The text of a reply, with looks ahead.
    fn reply(&mut self, prompt: &str, most: usize, ahead: usize) -> Result<String, Error> {
        let (mut text, mut stands) = (String::new(), 0);
        while stands < most {
            let tokens = self.go_on(&format!("{prompt}{text}"), most - stands)?;
            let candidates =
                |token: &Token| token.fused.iter().filter(|(_, p)| *p >= LEAST).cloned().collect::<Vec<_>>();
            let unsure = tokens.iter().position(|token| token.entropy > UNSURE && candidates(token).len() > 1);
            let before = &tokens[..unsure.unwrap_or(tokens.len())];
            text.extend(before.iter().map(|token| token.text.as_str()));
            let Some(token) = unsure.map(|place| &tokens[place]) else { return Ok(text) };
            let mut best = (f64::NEG_INFINITY, String::new());
            for (candidate, probability) in candidates(token) {
                let line = self.go_on(&format!("{prompt}{text}{candidate}"), ahead)?;
                let sum: f64 = line.iter().map(|token| token.confidence.ln()).sum::<f64>() + probability.ln();
                let mean = sum / (line.len() + 1) as f64;
                if mean > best.0 {
                    best = (mean, candidate);
                }
            }
            text += &best.1;
            stands += before.len() + 1;
        }
        Ok(text)
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or_else(|| Error::Input("arguments are missing; see the example".into()));
    let (file, limit, ahead) = (next()?, next()?, next()?);
    let number = |text: &str| text.parse::<usize>().map_err(|_| Error::Input(format!("`{text}` is no number")));
    let (limit, ahead) = (number(&limit)?, number(&ahead)?);
    let models: Vec<ModelSource> = arguments.map(ModelSource::new).collect();
    let task = Task::open("maths", Some(Path::new(&file))).map_err(|error| Error::Input(error.to_string()))?;
    let parameters = Parameters { temperature: 0.0, ..Settings::default().parameters };
    let (policies, stop) = (Vec::new(), task.stop().to_vec());
    let settings = Settings { models, parameters, policies, stop, raw: true, ..Settings::default() };
    let mut engine = Engine::load(settings, &|_member, _part| {})?;
    let watch = engine.watch();
    let mut looked = Looked { engine, watch, written: 0 };
    let (mut marks, mut gained, mut lost, mut plain, mut written) = (String::new(), 0, 0, 0, 0);
    for item in task.sample(Some(limit), 0) {
        looked.written = 0;
        let tokens = looked.go_on(&item.prompt, task.max_tokens())?;
        plain += looked.written;
        let greedy: String = tokens.iter().map(|token| token.text.as_str()).collect();
        looked.written = 0;
        let text = looked.reply(&item.prompt, task.max_tokens(), ahead)?;
        written += looked.written;
        let [before, after] = [greedy, text].map(|text| task.grade(item, &text).right());
        marks.push(if after { '1' } else { '0' });
        gained += usize::from(after && !before);
        lost += usize::from(before && !after);
    }
    let right = marks.matches('1').count();
    println!(
        "{marks}\n{right} of {}, +{gained} -{lost} against greedy; {:.1} x its tokens",
        marks.len(),
        written as f64 / plain as f64
    );
    Ok(())
}
