//! Traces and replays: what a run wrote down is what its hooks saw, and a policy on it answers as it did in the run.

use crate::support::scripted;

use llama_selfmod::Engine;
use llama_selfmod::decode::Decoder;
use llama_selfmod::events::Event;
use llama_selfmod::replay::{Hook, Replay, replay};
use llama_selfmod::settings::{ModelSource, PolicySource, Prompt, Settings};
use llama_selfmod::trace::{self, Line, Trace, TraceError};
use plugin_api::{Parameters, Verdict};
use scripted::{PIECES, Policy, Scripted, alphabet, decoder, request, run};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const OPENINGS: [&str; 4] = ["Once upon a time", "The dog and the cat", "Lily was sad because", "One day"];

fn stock(name: &str) -> PolicySource {
    script(Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name))
}

fn script(path: PathBuf) -> PolicySource {
    PolicySource::Script { path, knobs: Vec::new() }
}

fn written(folder: &Path, name: &str, text: &str) -> PolicySource {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    script(path)
}

fn demo(trace: &Path) -> Settings {
    let models = ["stories-260k.gguf", "stories-280k.gguf"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models");
    let models = models.map(|model| ModelSource::new(folder.join(model))).to_vec();
    Settings { models, threads: Some(1), n_predict: 120, trace: Some(trace.into()), ..Settings::default() }
}

/// One engine writes a reply to each prompt; what it wrote down, and how often it took text back.
fn recorded(settings: Settings, prompts: &[&str]) -> (Trace, usize) {
    let path = settings.trace.clone().unwrap();
    let mut engine = Engine::load(settings, &|_, _| {}).unwrap();
    let mut retractions = 0;
    for prompt in prompts {
        let mut observer = |event: &Event| {
            if let Event::Notice { text } = event {
                assert!(text.contains("--max-retractions"), "{text}");
            }
        };
        let reply = engine.reply(&Prompt::Text((*prompt).into()), &Arc::default(), &mut observer).unwrap();
        retractions += reply.retractions.len();
    }
    drop(engine);
    (trace::read(&path).unwrap(), retractions)
}

fn replayed(trace: &Trace, policies: Vec<PolicySource>) -> Replay {
    let replay = replay(trace, &Settings { policies, ..Settings::default() }).unwrap();
    for policy in &replay.policies {
        assert_eq!((policy.failures, policy.notices.as_slice()), (0, [].as_slice()), "{}", policy.name);
    }
    replay
}

#[test]
fn a_policy_answers_a_replay_exactly_as_it_answered_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let built_in = || PolicySource::Named("retraction".into());
    let cautious = written(
        folder.path(),
        "cautious.rhai",
        // As deep as it may, so that what was in reach counts, and with what a script draws and remembers.
        "fn init(cfg) { this.asked = 0; }\n\
         fn on_token(step, token) { this.asked += 1; if rng() < 0.05 { resample(`${this.asked}`) } }\n\
         fn on_assessment(step, a) { if a.confidence < 0.02 && step.retractable > 0 { retract(step.retractable, `${step.retractable}`) } }\n",
    );
    for (policy, aggressive, takes_back) in [
        (built_in(), false, false),
        (built_in(), true, false),
        (stock("absolute.rhai"), false, true),
        (stock("absolute.rhai"), true, true),
        (cautious, false, true),
    ] {
        let settings = Settings {
            policies: vec![policy.clone()],
            aggressive,
            confidence_threshold: 0.6,
            max_retractions: 5,
            seed: 7,
            ..demo(&path)
        };
        let (trace, retractions) = recorded(settings, &OPENINGS);
        assert!(!takes_back || retractions > 3, "{policy:?} took back {retractions} times");
        let replay = replayed(&trace, vec![policy]);
        assert_eq!(replay.moments.last().unwrap().reply, OPENINGS.len() as u32);
        let answers = replay.moments.iter().filter(|moment| moment.recorded.is_some()).count();
        assert!(answers > 40, "{answers}");
        for moment in &replay.moments {
            assert_eq!(moment.given[0], moment.recorded, "{moment:?}");
        }
    }
}

#[test]
fn a_policy_and_its_twin_as_a_script_agree_and_another_differs_where_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { policies: Vec::new(), ..demo(&folder.path().join("trace.jsonl")) };
    let (trace, _) = recorded(settings, &OPENINGS);
    let unlikely = written(
        folder.path(),
        "unlikely.rhai",
        "fn on_assessment(step, a) { if a.confidence < 0.1 && step.retractable > 0 { retract(1) } }\n",
    );
    let built_in = PolicySource::Named("retraction".into());
    let replay = replayed(&trace, vec![built_in, stock("retraction.rhai"), unlikely, stock("absolute.rhai")]);
    let names: Vec<&str> = replay.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["retraction", "retraction.rhai", "unlikely.rhai", "absolute.rhai"]);
    let mut differ = 0;
    for moment in &replay.moments {
        assert_eq!(moment.recorded, None, "no policy ran");
        assert_eq!(moment.given[0], moment.given[1], "{moment:?}");
        let verdict = moment.given[2].as_ref().map(|answer| answer.verdict.as_str());
        let is_unlikely = moment.hook == Hook::Assessment && moment.probability < 0.1;
        assert_eq!(verdict, is_unlikely.then_some("retract 1"), "{moment:?}");
        differ += usize::from(moment.given[1] != moment.given[2]);
    }
    assert!(differ > 20, "{differ}");
    // Where no policy ran nothing could be taken back; a replay lends what would have been in reach.
    let retractions = |column: usize| {
        let verdicts = replay.moments.iter().filter_map(|moment| moment.given[column].as_ref());
        verdicts.filter(|answer| answer.verdict.starts_with("retract")).count()
    };
    assert!(retractions(2) > 0 && retractions(3) > 0);
    let refused = replay.moments.iter().filter_map(|moment| moment.given[0].as_ref());
    assert!(refused.filter(|answer| answer.verdict == "resample").count() > 3);
}

#[test]
fn a_policy_that_edits_rows_sees_the_best_units_and_the_statistics_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let (trace, _) = recorded(Settings { policies: Vec::new(), n_predict: 30, ..demo(&path) }, &OPENINGS[..1]);
    // What it sees goes into units that stand for numbers: the best units change places, and the verdict says to what.
    let swap = written(
        folder.path(),
        "swap.rhai",
        "fn on_logits(step, rows, fused) {\n    \
             let best = rows[1].top(2);\n    \
             if best[1].probability > 0.05 { fused.bias(best[1].unit, 100.0); }\n\
         }\n",
    );
    let replay = replayed(&trace, vec![swap]);
    let mut checked = 0;
    for line in &trace.lines {
        let Line::Logits(logits) = line else { continue };
        let (second, score) = logits.rows[1].top[1];
        let moments = replay.moments.iter().filter(|moment| moment.hook == Hook::Logits);
        let mut at_place = moments.filter(|moment| moment.position == logits.at.position());
        if score.exp() < 0.049 {
            assert_eq!(at_place.next(), None, "{logits:?}");
        } else if score.exp() > 0.051 {
            let verdict = &at_place.next().unwrap().given[0].as_ref().unwrap().verdict;
            assert_eq!(*verdict, format!("“{}” first with 1.00", trace.names[&second]));
            checked += 1;
        }
    }
    assert!(checked > 5, "{checked}");
}

/// The rows that a script sees, told by a verdict that it gives later.
#[test]
fn what_a_script_reads_of_rows_is_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let tell = written(
        folder.path(),
        "tell.rhai",
        "fn on_logits(step, rows, fused) {\n    \
             let row = rows[0];\n    \
             let best = row.top(2);\n    \
             this.seen = `${row.name} ${row.entropy} ${row.log_sum_exp} ${row.evidence} ${row.top_unit}`\n        \
                 + ` ${best[0].unit} ${fixed(best[0].probability, 2)} ${best[1].unit} ${fixed(best[1].probability, 2)}`;\n\
         }\n\
         fn on_assessment(step, a) { adjust(#{ temperature: 0.5 + 0.001 * step.position, reason: this.seen }) }\n",
    );
    let settings = Settings { policies: vec![tell.clone()], n_predict: 40, ..demo(&path) };
    let (trace, _) = recorded(settings, &OPENINGS[..1]);
    let replay = replayed(&trace, vec![tell]);
    assert_eq!(replay.moments.len(), 40);
    for moment in &replay.moments {
        assert_eq!(moment.given[0], moment.recorded);
    }
}

#[test]
fn a_scored_text_is_replayed_unit_by_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let text = "Tom had a red ball. He ran and ran and ran.";
    let mut engine = Engine::load(Settings { policies: Vec::new(), ..demo(&path) }, &|_, _| {}).unwrap();
    let score = engine.score(text, &mut |_| {}).unwrap();
    drop(engine);
    let always = written(folder.path(), "always.rhai", "fn on_assessment(step, a) { retract(step.retractable) }\n");
    let replay = replayed(&trace::read(&path).unwrap(), vec![always]);
    assert_eq!((replay.units as usize, replay.moments.len()), (score.tokens, score.tokens));
    let whole: String = replay.moments.iter().map(|moment| moment.text.as_str()).collect();
    assert_eq!(whole.trim_start(), text);
    let verdict = |moment: usize| replay.moments[moment].given[0].as_ref().unwrap().verdict.as_str();
    assert_eq!((verdict(0), verdict(4)), ("retract 1", "retract 5"));
}

#[test]
fn a_token_of_the_demo_takes_less_than_a_kilobyte_and_a_half() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let (trace, _) = recorded(demo(&path), &OPENINGS);
    let units = trace.lines.iter().filter(|line| matches!(line, Line::Assessment(_))).count() as u64;
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(units > 200 && size / units < 1500, "{size} bytes for {units} tokens");
}

/// A decoder over doubles that writes a trace.
fn recording(members: Vec<Scripted>, policies: Vec<Policy>, path: &Path) -> Decoder {
    let names = members.iter().map(|_| ("scripted".to_string(), 1.0)).collect();
    let mut decoder = decoder(members, policies);
    let reply = trace::Reply {
        trace: 1,
        members: names,
        units: PIECES.len() as u32,
        fusion: String::new(),
        horizon: 32,
        max_retractions: 3,
        confidence_threshold: 0.5,
        aggressive: false,
    };
    let bytes = Box::new(|unit: u32| PIECES[unit as usize].to_vec());
    let trace = trace::NewTrace::open(path).unwrap();
    decoder.chain.record(trace.recorder(trace::Source { reply, bytes }).unwrap());
    decoder
}

#[test]
fn tokens_that_are_no_text_by_themselves_keep_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    // `é` in two units, again and again.
    let halves = Scripted::new("halves", |units| {
        scripted::prefer(1, 0.1)
            .into_iter()
            .enumerate()
            .map(|(unit, low)| if unit == 10 + units.len() % 2 { 0.0 } else { low })
            .collect()
    });
    run(&mut recording(vec![halves], Vec::new(), &path), &request());
    let trace = trace::read(&path).unwrap();
    let bytes = written(
        folder.path(),
        "bytes.rhai",
        "fn on_token(step, token) { if token.bytes.len == 1 && token.bytes[0] == 0xa9 { resample(`${token.bytes[0]}`) } }\n",
    );
    let replay = replayed(&trace, vec![bytes]);
    assert_eq!(replay.units, 16);
    assert_eq!(replay.moments.len(), 8, "every second unit");
    assert!(replay.moments.iter().all(|moment| moment.text == "\u{fffd}" && moment.position % 2 == 1));
    assert_eq!(replay.moments[0].given[0].as_ref().unwrap().reason, "169");
}

#[test]
fn a_trace_that_was_cut_off_in_its_last_line_is_read_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    run(&mut recording(vec![Scripted::new("one", alphabet(0.9))], Vec::new(), &path), &request());
    let (whole, lines) = (std::fs::read(&path).unwrap(), trace::read(&path).unwrap().lines);
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in (first..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..end]).unwrap();
        let read = trace::read(&path).unwrap().lines;
        assert!(lines.starts_with(&read), "cut off at {end}");
        let complete = whole[..end]
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n") && !line.starts_with(b"{\"names\""));
        assert!(read.len() == complete.count() || whole[end] == b'\n', "cut off at {end}");
    }
    // In the middle of the file it is a fault, whatever comes after.
    std::fs::write(&path, [&whole[..first + 20], b"\n", &whole[first..]].concat()).unwrap();
    assert!(matches!(trace::read(&path), Err(TraceError::NoTrace { line: 2, .. })));
}

#[test]
fn a_trace_that_was_tampered_with_is_refused_before_a_hook_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let members = vec![Scripted::new("one", alphabet(0.9)), Scripted::new("two", alphabet(0.6))];
    run(&mut recording(members, Vec::new(), &path), &request());
    let whole = std::fs::read_to_string(&path).unwrap();
    let token = whole.lines().find(|line| line.contains("\"token\"")).unwrap();
    let (before, members) = token.rsplit_once("\"members\":[").unwrap();
    let (_, one) = members.split_once(',').unwrap();
    for (from, to) in [
        (token.to_string(), format!("{before}\"members\":[{one}")),
        ("\"units\":12".into(), "\"units\":4000000000".into()),
        ("\"members\":[[\"scripted\",1.0],[\"scripted\",1.0]]".into(), "\"members\":[]".into()),
        ("\"members\":[[\"scripted\",1.0],[\"scripted\",1.0]]".into(), "\"members\":[[\"scripted\",1.0]]".into()),
    ] {
        assert!(whole.contains(&from), "{from}");
        std::fs::write(&path, whole.replacen(&from, &to, 1)).unwrap();
        let refused = trace::read(&path);
        assert!(matches!(refused, Err(TraceError::NoTrace { .. })), "{to}: {refused:?}");
    }
}

#[test]
fn what_was_taken_back_and_what_came_instead_are_both_in_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.jsonl");
    let once = Policy::new("once").assess(|step, _| {
        let early = step.position == 4 && step.retractions_left == 3;
        Ok(if early { Verdict::retract(2, "early") } else { Verdict::proceed() })
    });
    let parameters = Parameters { temperature: 0.0, ..request().parameters };
    let request = llama_selfmod::decode::Request { parameters, ..request() };
    let (outcome, _) = run(&mut recording(vec![Scripted::new("one", alphabet(0.5))], vec![once], &path), &request);
    let trace = trace::read(&path).unwrap();
    let kinds: String = trace
        .lines
        .iter()
        .map(|line| match line {
            Line::Reply(_) => 'R',
            Line::Assessment(_) => 'a',
            Line::Retract(gone) => char::from_digit(gone.units, 10).unwrap(),
            _ => '-',
        })
        .filter(|kind| *kind != '-')
        .collect();
    assert_eq!((kinds, outcome.units.len()), ("Raaaa2aaaaaaaaaaaaaa".into(), 16));
    let replay = replayed(&trace, vec![PolicySource::Named("retraction".into())]);
    assert_eq!(replay.units, 18);
}
