//! Rows from a server against those of the same file here.

use super::{Server, load, parameters, remote};
use crate::support::sessions::quantised;
use llama_selfmod::settings::{ModelSource, RemoteRows, Settings};

const TEXT: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she \
                    saw a big dog — it said “Hello!” and Lily was very happy. They played with a ball all day long.";

#[test]
fn rows_of_a_server_are_those_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = &quantised(folder.path())[0];
    let server = Server::start(file, 2);
    let models = vec![ModelSource::new(file), remote(&server.url(), file)];
    let mut engine = load(Settings { models, policies: Vec::new(), ..Settings::default() });
    let (mut largest, mut rows) = (0.0f32, 0);
    engine
        .walk(
            TEXT,
            &mut |unit| {
                let [here, there] = unit.rows else { panic!("two members") };
                rows += 1;
                for (p, q) in here.probabilities.iter().zip(&there.probabilities) {
                    largest = largest.max((p - q).abs());
                }
                for (a, b) in here.logits.iter().zip(&there.logits) {
                    let (a, b) = (a - here.statistics.log_sum_exp, b - there.statistics.log_sum_exp);
                    if a.is_finite() || b.is_finite() {
                        largest = largest.max((a - b).abs());
                    }
                }
                assert!((here.evidence - there.evidence).abs() < 1e-3, "{} {}", here.evidence, there.evidence);
            },
            &mut |_| {},
        )
        .unwrap();
    println!("{rows} rows, the largest difference of a log-probability is {largest:e}");
    assert!(rows > 50 && largest < 1e-5, "{rows} rows differ by up to {largest}");
    let account = &engine.remotes()[0];
    println!("{account:?}");
    assert_eq!((account.truncated, account.failed), (0, 0));
    // Of a text that is given several rows come with each request.
    assert!(account.requests * 4 < account.rows, "{account:?}");
}

#[test]
fn a_row_of_forty_tokens_is_wrong_by_what_it_leaves_out_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = &quantised(folder.path())[0];
    let server = Server::start(file, 2);
    let mut member = remote(&server.url(), file);
    member.remote.as_mut().unwrap().rows = RemoteRows::Top(40);
    let models = vec![ModelSource::new(file), member];
    let mut engine =
        load(Settings { models, policies: Vec::new(), parameters: parameters(0.0), ..Settings::default() });
    assert!(engine.notes().iter().any(|note| note.contains("likeliest 40 of 512")), "{:?}", engine.notes());
    let mut distances = Vec::new();
    let show = &mut |unit: &llama_selfmod::score::Predicted| {
        let [here, there] = unit.rows else { panic!("two members") };
        let pairs = here.probabilities.iter().zip(&there.probabilities);
        let distance = pairs.map(|(p, q)| f64::from((p - q).abs())).sum::<f64>() / 2.0;
        let mut sorted = here.probabilities.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let tail = 1.0 - sorted[..40].iter().map(|&p| f64::from(p)).sum::<f64>();
        assert!(distance <= tail + 1e-5, "{distance} is more than {tail}");
        distances.push(distance);
    };
    engine.walk(TEXT, show, &mut |_| {}).unwrap();
    let account = &engine.remotes()[0];
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let most = distances.iter().copied().fold(0.0, f64::max);
    println!(
        "distance {mean:.5} on average and {most:.5} at most; told are {:.5} and {:.5}",
        account.mean_tail(),
        account.largest_tail
    );
    assert!(most <= f64::from(account.largest_tail) + 1e-5 && mean <= account.mean_tail() * 1.05 + 1e-5, "{account:?}");
    assert!(most > 1e-6 && account.truncated == account.rows);
}
