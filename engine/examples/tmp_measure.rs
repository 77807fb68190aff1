use llama_selfmod::settings::{ModelSource, Settings};
use llama_selfmod::{Engine, Error};
fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap();
    let models: Vec<_> = args.by_ref().take_while(|a| a != "--").map(ModelSource::new).collect();
    let ctx = args.next().map_or(2048, |c| c.parse().unwrap());
    let mut engine = Engine::load(Settings { models, ctx_size: ctx, ..Settings::default() }, &|_, _| {})?;
    if what == "bench" { println!("{}", serde_json::to_string_pretty(&engine.bench(128)?).unwrap()); }
    else { let text = std::fs::read_to_string(&what).unwrap(); println!("{}", serde_json::to_string_pretty(&engine.score(&text, &mut |_| {})?).unwrap()); }
    Ok(())
}
