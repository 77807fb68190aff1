//! vLLM and SGLang, played by somebody who asks a llama-server and answers as they do.

use super::between::{Way, ask};
use super::{Between, Server, load, parameters, reply};
use crate::support::sessions::quantised;
use llama_selfmod::settings::{ModelSource, RemoteRows, RemoteServer, RemoteSource, Settings};
use serde_json::{Value, json};

/// What they would answer.
pub fn answer(way: Way, server: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let answer = match path {
        "/v1/models" => {
            json!({"object": "list", "data": [{"id": "stories", "root": "org/stories", "max_model_len": 512}]})
        }
        "/tokenize" => {
            let (_, body) = ask(server, "POST", path, json!({"content": asked["prompt"]}).to_string().as_bytes())?;
            let tokens: Value = serde_json::from_slice(&body).ok()?;
            json!({"count": tokens["tokens"].as_array()?.len(), "max_model_len": 512, "tokens": tokens["tokens"]})
        }
        "/v1/completions" if way == Way::Vllm => {
            assert_eq!((&asked["model"], &asked["max_tokens"]), (&json!("stories"), &json!(1)));
            let rows = rows(server, &asked["prompt"], &asked["logprobs"])?;
            let choices = rows.into_iter().enumerate().map(|(index, row)| {
                let top = row.iter().map(|(token, log)| (format!("token_id:{token}"), json!(log)));
                let top: serde_json::Map<String, Value> = top.collect();
                json!({"index": index, "text": "", "logprobs": {"top_logprobs": [top]}, "finish_reason": "length"})
            });
            json!({"id": "cmpl-1", "object": "text_completion", "model": "stories", "choices": choices.collect::<Vec<_>>()})
        }
        "/generate" if way == Way::Sglang => {
            let rows = rows(server, &asked["input_ids"], &asked["top_logprobs_num"])?;
            let one = |row: Vec<(u64, f64)>| {
                let top: Vec<Value> = row.iter().map(|(token, log)| json!([log, token, null])).collect();
                json!({"text": "", "meta_info": {"prompt_tokens": 3, "cached_tokens": 2, "output_top_logprobs": [top]}})
            };
            Value::Array(rows.into_iter().map(one).collect())
        }
        _ => return Some((404, b"{\"detail\":\"Not Found\"}".to_vec())),
    };
    Some((200, answer.to_string().into_bytes()))
}

/// The likeliest tokens after each prompt.
fn rows(server: &str, prompts: &Value, most: &Value) -> Option<Vec<Vec<(u64, f64)>>> {
    let row = |prompt: &Value| {
        let body =
            json!({"prompt": prompt, "n_predict": 1, "n_probs": most, "grammar": "root ::= <[335]>", "temperature": 0});
        let (_, body) = ask(server, "POST", "/completion", body.to_string().as_bytes())?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        let top = body["completion_probabilities"][0]["top_logprobs"].as_array()?.clone();
        Some(top.iter().map(|entry| (entry["id"].as_u64().unwrap(), entry["logprob"].as_f64().unwrap())).collect())
    };
    prompts.as_array()?.iter().map(row).collect()
}

#[test]
fn a_member_of_vllm_or_sglang_decodes_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let text = |models: Vec<ModelSource>| {
        let settings = Settings {
            models,
            parameters: parameters(0.0),
            policies: Vec::new(),
            n_predict: 60,
            ..Settings::default()
        };
        let mut engine = load(settings);
        let (written, notices) = reply(&mut engine, "Once upon a time", |_| {});
        assert!(notices.is_empty(), "{notices:?}");
        (written.text, engine.remotes())
    };
    let (expected, _) = text(vec![ModelSource::new(&files[0]), ModelSource::new(&files[1])]);
    for (way, server_kind) in [(Way::Vllm, RemoteServer::Vllm), (Way::Sglang, RemoteServer::Sglang)] {
        let between = Between::before(&server.url(), way);
        for rows in [RemoteRows::Auto, RemoteRows::Full] {
            let source = RemoteSource {
                server: server_kind,
                vocabulary: Some(files[0].clone()),
                rows,
                ..RemoteSource::new(between.url())
            };
            let (written, accounts) = text(vec![ModelSource::of_server(source), ModelSource::new(&files[1])]);
            let account = &accounts[0];
            assert!(account.rows > 60 && account.failed == 0, "{account:?}");
            if rows == RemoteRows::Full {
                assert_eq!(written, expected, "{way:?}");
            } else {
                assert!(account.truncated > 0 && account.mean_tail() > 0.0 && !written.is_empty());
            }
        }
    }
}
