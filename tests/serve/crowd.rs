//! Eight chats at once are each what they are alone, whatever becomes of the others.

use crate::support::http::{Stream, post};
use crate::support::sessions::{PROMPTS, quantised};
use llama_selfmod::Engine;
use llama_selfmod::hooks::{Hook, HookError, Origin};
use llama_selfmod::member::sampler::seed_for;
use llama_selfmod::serve::Host;
use llama_selfmod::settings::{ModelSource, Settings};
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Which of them fare badly.
const CANCELLED: usize = 2;
const PANICKING: usize = 4;

const LENGTH: u32 = 90;

/// Takes text back now and then; panics in the chat whose seed is that of [`PANICKING`].
struct Meddler {
    reached: u32,
}

impl Hook for Meddler {
    fn another(&self) -> Result<Box<dyn Hook>, HookError> {
        Ok(Box::new(Self { reached: 0 }))
    }
    fn name(&self) -> &str {
        "meddler"
    }
    fn role(&self) -> Role {
        Role::Policy
    }
    fn origin(&self) -> Origin {
        Origin::BuiltIn
    }
    fn describe(&self) -> (String, String) {
        ("1".into(), "a test's".into())
    }
    fn on_logits(&mut self, _: &Step, _: &Rows, _: &mut [f32]) -> Result<(), HookError> {
        Ok(())
    }
    fn edits_logits(&self) -> bool {
        false
    }
    fn on_token(&mut self, step: &Step, _: &Token) -> Result<Verdict, HookError> {
        let is_it = step.seed == seed_for(PANICKING as u64, 20, step.attempt);
        assert!(!(is_it && step.position == 20), "this was to be expected");
        Ok(Verdict::proceed())
    }
    fn on_assessment(&mut self, step: &Step, _: &Assessment) -> Result<Verdict, HookError> {
        if !step.position.is_multiple_of(13) || step.position <= self.reached {
            return Ok(Verdict::proceed());
        }
        self.reached = step.position;
        Ok(Verdict::retract(1 + step.position % 7, "now and then"))
    }
    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), HookError> {
        Ok(())
    }
    fn reset(&mut self) -> Result<(), HookError> {
        self.reached = 0;
        Ok(())
    }
}

/// A server over two quantised members, for as long as `act` takes.
fn serving<R>(parallel: usize, act: impl FnOnce(SocketAddr) -> R) -> R {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        models: quantised(folder.path()).into_iter().map(ModelSource::new).collect(),
        threads: Some(1),
        texts: parallel,
        max_retractions: 1000,
        ..Settings::default()
    };
    let mut engine = Engine::load(settings, &|_, _| {}).unwrap();
    engine.decoder().chain.add(Box::new(Meddler { reached: 0 }), true);
    let (host, decoding) = Host::start(Arc::new(engine), None, Box::new(|_| {})).unwrap();
    let options = serve::Options { port: 0, parallel, grace: Duration::ZERO, ..serve::Options::default() };
    let (stop, (ready, address)) = (serve::Stop::new(), channel());
    let ended = stop.clone();
    let server = std::thread::spawn(move || serve::run(Arc::new(host), options, |at| ready.send(at).unwrap(), &ended));
    let done = act(address.recv().unwrap());
    stop.cut();
    server.join().unwrap().unwrap();
    decoding.wait();
    done
}

fn asked(number: usize) -> Value {
    json!({"messages": [{"role": "user", "content": PROMPTS[number]}], "max_tokens": LENGTH, "seed": number, "temperature": 0.9, "stream": true})
}

fn text(address: SocketAddr, number: usize) -> String {
    let mut stream = Stream::post(address, "/v1/chat/completions", &asked(number));
    let chunks = std::iter::from_fn(|| stream.event());
    chunks.filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

#[test]
fn eight_chats_at_once_are_what_each_is_alone() {
    let alone: Vec<String> = (0..PROMPTS.len()).map(|number| serving(1, |address| text(address, number))).collect();
    let is_long = |(number, text): (usize, &String)| number == PANICKING || text.len() > 60;
    assert!(alone.iter().enumerate().all(is_long), "{alone:?}");
    serving(8, |address| {
        for arrival in 0..3u64 {
            let together: Vec<String> = std::thread::scope(|scope| {
                let chat = |number: usize| {
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis((number as u64 * 7 + arrival * 5) % 11 * 9));
                        if number != CANCELLED {
                            return text(address, number);
                        }
                        let mut stream = Stream::post(address, "/v1/chat/completions", &asked(number));
                        (0..3)
                            .filter_map(|_| {
                                Some(stream.event()?["choices"][0]["delta"]["content"].as_str()?.to_owned())
                            })
                            .collect()
                    })
                };
                let chats: Vec<_> = (0..PROMPTS.len()).map(chat).collect();
                chats.into_iter().map(|chat| chat.join().unwrap()).collect()
            });
            for (number, (text, alone)) in together.iter().zip(&alone).enumerate() {
                match number {
                    CANCELLED => assert!(alone.starts_with(text.as_str()), "{text} / {alone}"),
                    _ => assert_eq!(text, alone, "chat {number}, arrival {arrival}"),
                }
            }
        }
        // The panic was one of its own hook, which is skipped there and nowhere else.
        assert_eq!(post(address, "/v1/completions", &json!({"prompt": "One", "max_tokens": 3})).status, 200);
    });
}
