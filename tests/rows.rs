//! What a row is made of: the text before it, and not the way on which it was read. Drafts, batches of many texts and prompts
//! that are read in one go rest on that. And reading costs few batches.

use crate::support::gguf::{Architecture, RandomModel, TensorType, Vocabulary};
use crate::support::sessions::{quantised, request};
use llama_selfmod::Engine;
use llama_selfmod::decode::{Limits, Request};
use llama_selfmod::member::Text;
use llama_selfmod::member::ensemble::Who;
use llama_selfmod::member::reader::Wanted;
use llama_selfmod::settings::{Align, ModelSource, Prompt, Settings};
use std::path::{Path, PathBuf};

/// Behind the first 512 cells llama.cpp goes other ways.
const UNITS: usize = 560;

fn stories(size: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/models/stories-{size}.gguf"))
}

/// Text units of the models' vocabulary.
fn units(numbers: impl IntoIterator<Item = usize>) -> Vec<u32> {
    numbers.into_iter().map(|number| 259 + (number * number % 1013 * 89 % 253) as u32).collect()
}

fn settings(models: &[PathBuf]) -> Settings {
    let models = models.iter().map(ModelSource::new).collect();
    Settings { models, policies: Vec::new(), threads: Some(1), ..Settings::default() }
}

fn load(settings: Settings) -> Engine {
    Engine::load(settings, &|_, _| {}).unwrap()
}

type Row = Vec<f32>;

fn row(text: &Text, len: usize) -> Row {
    text.row(0, len).unwrap_or_else(|| panic!("there is no row after {len} units")).logits.clone()
}

/// Counts rows that are not the same, and notes by how much they differ.
struct Compared<'a> {
    expected: &'a [Row],
    rows: usize,
    others: usize,
    most: f32,
}

impl<'a> Compared<'a> {
    fn with(expected: &'a [Row]) -> Self {
        Self { expected, rows: 0, others: 0, most: 0.0 }
    }

    fn add(&mut self, text: &Text, len: usize, at: usize) {
        self.row(&row(text, len), at);
    }

    fn row(&mut self, found: &Row, at: usize) {
        let expected = &self.expected[at];
        assert_eq!(found.len(), expected.len());
        let difference = |(a, b): (&f32, &f32)| if a.to_bits() == b.to_bits() { 0.0 } else { (a - b).abs() };
        let most = found.iter().zip(expected).map(difference).fold(0.0, f32::max);
        self.rows += 1;
        self.others += usize::from(most > 0.0);
        self.most = self.most.max(most);
    }
}

/// Reads a text on every way, and says of each how many rows are others than those of the text read unit by unit.
fn on_all_ways(model: &Path, threads: &[usize]) -> Vec<(String, usize, usize, f32)> {
    let all = units(0..UNITS);
    let mut expected: Vec<Row> = Vec::new();
    let mut found = Vec::new();
    for &threads in threads {
        let mut engine =
            load(Settings { ctx_size: 1024, texts: 6, threads: Some(threads), ..settings(&[model.to_path_buf()]) });
        // A schedule is tried out with fewer threads than it may have.
        let schedule = llama_selfmod::member::schedule::Schedule::in_turn(1, threads);
        engine.decoder().scheduler.ensemble.fix_schedule(schedule);
        let mut reading = engine.decoder().reading().unwrap();
        let (ensemble, text) = reading.bare();
        let nothing = Prompt::Tokens(Vec::new());
        let mut tell = |what: &str, compared: Compared| {
            found.push((format!("{what}, {threads} threads"), compared.others, compared.rows, compared.most));
        };

        text.prime(&nothing).unwrap();
        ensemble.advance_one(text).unwrap();
        let mut by_unit = vec![row(text, 0)];
        for (len, &unit) in all.iter().enumerate() {
            text.extend(&[unit], Wanted::Last);
            ensemble.advance_one(text).unwrap();
            by_unit.push(row(text, len + 1));
        }
        if expected.is_empty() {
            expected = by_unit;
        } else {
            let mut compared = Compared::with(&expected);
            by_unit.iter().enumerate().for_each(|(len, found)| compared.row(found, len));
            tell("unit by unit", compared);
        }

        let mut compared = Compared::with(&expected);
        text.rewind(0);
        ensemble.advance_one(text).unwrap();
        let mut len = 0;
        for width in (2..=8).cycle() {
            let width = width.min(UNITS - len);
            if width == 0 {
                break;
            }
            text.extend(&all[len..len + width], Wanted::All);
            ensemble.advance_one(text).unwrap();
            (1..=width).for_each(|more| compared.add(text, len + more, len + more));
            len += width;
        }
        tell("in batches of 2 to 8", compared);

        let mut compared = Compared::with(&expected);
        text.rewind(0);
        let mut others: Vec<Text> = (0..4).map(|_| ensemble.open().unwrap()).collect();
        for (number, other) in others.iter_mut().enumerate() {
            other.prime(&Prompt::Tokens(units(1000 + 50 * number..1003 + 93 * number))).unwrap();
        }
        for (len, &unit) in all.iter().enumerate() {
            text.extend(&[unit], Wanted::Last);
            for (number, other) in others.iter_mut().enumerate() {
                // Some write several units, some go back.
                match (len + number) % 6 {
                    0 => other.extend(&units(len..len + 3), Wanted::All),
                    1 => other.rewind(other.len().saturating_sub(2)),
                    _ => other.extend(&units(len + number..len + number + 1), Wanted::Last),
                }
            }
            let mut texts: Vec<&mut Text> = others.iter_mut().collect();
            // Now in front of the others and now behind them.
            texts.insert(len % 5, &mut *text);
            loop {
                let advanced = ensemble.advance(&mut texts, Who::All);
                if advanced.into_iter().all(|advanced| advanced.unwrap()) {
                    break;
                }
            }
            compared.add(text, len + 1, len + 1);
        }
        tell("with four other texts", compared);

        let mut compared = Compared::with(&expected);
        for len in [1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 100, 127, 200, 255, 256, 257, 400, 500, 511, 512]
        {
            // Nothing is known of it.
            drop(others.pop());
            let mut fresh = ensemble.open().unwrap();
            fresh.prime(&Prompt::Tokens(all[..len].to_vec())).unwrap();
            ensemble.advance_one(&mut fresh).unwrap();
            compared.add(&fresh, 0, len);
            // And what follows it.
            for more in 1..=4.min(UNITS - len) {
                fresh.extend(&all[len + more - 1..len + more], Wanted::Last);
                ensemble.advance_one(&mut fresh).unwrap();
                compared.add(&fresh, more, len + more);
            }
        }
        tell("as a prompt in one go", compared);
    }
    found
}

fn model(folder: &Path, kind: TensorType) -> PathBuf {
    let path = folder.join(format!("{kind:?}.gguf"));
    // Heads of 64, and rows that divide into blocks of 256.
    let tiny = RandomModel::tiny(Architecture::Llama, Vocabulary::copied_from(&stories("260k")), 3);
    let model = RandomModel { kind, context: 2048, width: 256, heads: 4, kv_heads: 2, feed_forward: 512, ..tiny };
    model.write(&path);
    path
}

#[test]
fn rows_of_quantised_weights_are_the_same_to_the_last_bit_however_a_text_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for kind in [TensorType::Q8_0, TensorType::Q4_0, TensorType::Q5_0] {
        for (what, others, rows, most) in on_all_ways(&model(folder.path(), kind), &[1, 2]) {
            println!("{kind:?} {what}: {others} of {rows} rows, by {most} at most");
            if others > 0 {
                wrong.push(format!("{kind:?} {what}: {others} of {rows} rows, by {most} at most"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// llama.cpp multiplies weights in half precision in another order in a batch than one by one, and takes the numbers that it
/// multiplies Q4_K with in groups of columns. So a draft, or another text in the batch, changes last bits there. That it is
/// no more than that is what holds.
#[test]
fn rows_of_other_weights_are_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, bound) in [(TensorType::F16, 0.02), (TensorType::Q4K, 0.4)] {
        for (what, others, rows, most) in on_all_ways(&model(folder.path(), kind), &[1]) {
            println!("{kind:?} {what}: {others} of {rows} rows, by {most} at most");
            assert!(most < bound, "{kind:?} {what}: {most}");
        }
    }
}

/// Batches of each model since `before`.
fn since(engine: &mut Engine, before: &[u64]) -> Vec<u64> {
    let after = engine.decoder().reading().unwrap().batches();
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}

/// Units of a draft at most, with room for the ends: so many rows fit into one batch.
const ROWS: usize = 8;

#[test]
fn catching_up_costs_a_batch_and_not_one_for_each_unit() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = load(settings(&quantised(folder.path())));
    let mut reading = engine.decoder().reading().unwrap();
    reading.prime(&Prompt::Tokens(units(0..40))).unwrap();
    let before = reading.batches();
    reading.read(&units(40..120), Wanted::Last).unwrap();
    assert_eq!(since(&mut engine, &before), [1, 1], "80 units");
    let mut reading = engine.decoder().reading().unwrap();
    let before = reading.batches();
    reading.read(&units(120..120 + ROWS), Wanted::All).unwrap();
    assert_eq!(since(&mut engine, &before), [1, 1], "with all rows");
    // Back to a row that is kept, and to one that is not.
    let mut reading = engine.decoder().reading().unwrap();
    let before = reading.batches();
    reading.rewind(85).unwrap();
    assert_eq!(since(&mut engine, &before), [0, 0]);
    let mut reading = engine.decoder().reading().unwrap();
    reading.rewind(30).unwrap();
    reading.read(&units(70..150), Wanted::Last).unwrap();
    assert_eq!(since(&mut engine, &before), [2, 2]);
    // A regenerate reads nothing.
    let mut reading = engine.decoder().reading().unwrap();
    let before = reading.batches();
    reading.prime(&Prompt::Tokens(units(0..40))).unwrap();
    assert_eq!(since(&mut engine, &before), [0, 0]);
}

#[test]
fn a_follower_catches_up_in_a_batch() {
    let members = [stories("260k"), stories("970k-bytes")];
    let mut engine = load(Settings { align: Align::Boundary, ..settings(&members) });
    let text = "Once upon a time there was a little dog. He had a red ball. The dog and the cat ran to the park and";
    let all = {
        let mut reading = engine.decoder().reading().unwrap();
        reading.prime(&Prompt::Text("One day".into())).unwrap();
        let vocabulary = reading.vocabulary();
        // The longest token each time, which is not how its tokenizer reads it.
        let mut all = Vec::new();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let fits = |unit: &u32| !vocabulary.bytes(*unit).is_empty() && rest.starts_with(vocabulary.bytes(*unit));
            let unit =
                (0..vocabulary.len() as u32).filter(fits).max_by_key(|&unit| vocabulary.bytes(unit).len()).unwrap();
            rest = &rest[vocabulary.bytes(unit).len()..];
            all.push(unit);
        }
        all
    };
    assert!(all.len() > 25, "{}", all.len());
    let before = engine.decoder().reading().unwrap().batches();
    engine.decoder().reading().unwrap().read(&all, Wanted::Last).unwrap();
    let [leader, follower] = since(&mut engine, &before)[..] else { panic!() };
    println!("{} units, {} bytes: {leader} and {follower} batches", all.len(), text.len());
    assert_eq!(leader, 1);
    // What is new, and what its candidates begin with.
    assert!((0..=3).contains(&follower), "{follower}");
}

#[test]
fn a_context_shift_costs_a_batch_or_two() {
    let folder = tempfile::tempdir().unwrap();
    const CONTEXT: usize = 96;
    let mut engine = load(Settings { ctx_size: CONTEXT as u32, ..settings(&quantised(folder.path())) });
    let limits = Limits { n_predict: 400, horizon: 32, max_retractions: 0 };
    let request = Request { limits, context_shift: true, ..request("Once upon a time there was a cat", 3, 1.0) };
    let before = engine.decoder().reading().unwrap().batches();
    let reply = engine.decoder().reply(&request, &Default::default(), &mut |_| {}).unwrap().reply;
    let tokens = reply.tokens as usize;
    assert!(tokens > 200, "the test can fail: {tokens}");
    // What the members see: half of it goes each time that it is full.
    let (mut seen, mut shifts) = (0, 0);
    for _ in 0..tokens {
        if reply.timings.prompt_tokens as usize + seen > CONTEXT {
            seen /= 2;
            shifts += 1;
        }
        seen += 1;
    }
    let batches = since(&mut engine, &before);
    println!("{tokens} units, {shifts} shifts: {batches:?} batches");
    // The prompt's last rows take some.
    assert!(batches.iter().all(|&batches| batches as usize <= tokens + 2 * shifts + 4), "{batches:?}");
}

#[test]
fn a_text_is_scored_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = load(settings(&quantised(folder.path())));
    let before = engine.decoder().reading().unwrap().batches();
    let text = include_str!("fixtures/story.txt");
    let score = engine.score(text, &mut |_| {}).unwrap();
    let batches = since(&mut engine, &before);
    println!("{} units: {batches:?} batches", score.tokens);
    assert!(batches.iter().all(|&batches| batches as usize <= score.tokens / 8 + 20), "{batches:?}");
}
