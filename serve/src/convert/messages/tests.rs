use super::*;
use crate::backend::Finish;
use crate::convert::neutral::{Delta, Ending, Event, Usage};

fn body() -> Value {
    json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "Hi" }] })
}

fn with(key: &str, value: Value) -> Value {
    let mut body = body();
    body[key] = value;
    body
}

fn weather() -> Value {
    json!([{ "name": "weather", "description": "Tells it.", "input_schema": { "type": "object", "properties": { "city": { "type": "string" } } } }])
}

#[test]
fn a_request_becomes_a_neutral_one() {
    let mut body = body();
    for (key, value) in [
        ("system", json!([{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }])),
        ("stop_sequences", json!(["END"])),
        ("temperature", json!(0.5)),
        ("top_p", json!(0.9)),
        ("top_k", json!(40)),
        ("stream", json!(true)),
        ("metadata", json!({ "user_id": "u" })),
        ("thinking", json!({ "type": "disabled" })),
    ] {
        body[key] = value;
    }
    let request = request(&body).unwrap();
    let wanted = ChatRequest {
        model: Some("m".to_owned()),
        messages: vec![
            Message { role: Role::System, content: "Be brief.".to_owned() },
            Message { role: Role::User, content: "Hi".to_owned() },
        ],
        tools: None,
        constraint: None,
        max_tokens: Some(9),
        sampling: Sampling { temperature: Some(0.5), top_p: Some(0.9), top_k: Some(40), ..Sampling::default() },
        stop: vec!["END".to_owned()],
        seed: None,
        stream: true,
    };
    assert_eq!(request, wanted);
}

#[test]
fn calls_and_results_of_the_history_are_text() {
    let messages = json!([
        { "role": "user", "content": "Rain?" },
        { "role": "assistant", "content": [
            { "type": "text", "text": "Let me see." },
            { "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Ulm" } },
        ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "no" }] },
            { "type": "tool_result", "tool_use_id": "t2", "content": "gone", "is_error": true },
            { "type": "text", "text": "So?" },
        ] },
    ]);
    let mut body = with("messages", messages);
    body["tools"] = weather();
    let request = request(&body).unwrap();
    let contents: Vec<&str> = request.messages[1..].iter().map(|message| message.content.as_str()).collect();
    assert!(request.messages[0].content.contains("{\"name\": \"weather\", \"description\": \"Tells it.\""));
    assert_eq!(
        contents,
        [
            "Rain?",
            "Let me see.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>",
            "<tool_response>\nno\n</tool_response>\n<tool_response>\nError: gone\n</tool_response>\nSo?",
        ]
    );
    assert!(matches!(request.constraint, Some(Constraint::Lark(_))));
}

#[test]
fn several_calls_are_made_only_where_the_client_says_so_and_a_named_tool_is_called_once() {
    for (choice, is_several) in [
        (json!(null), false),
        (json!({ "type": "any" }), false),
        (json!({ "type": "any", "disable_parallel_tool_use": true }), false),
        (json!({ "type": "any", "disable_parallel_tool_use": false }), true),
        (json!({ "type": "auto", "disable_parallel_tool_use": false }), true),
        (json!({ "type": "tool", "name": "weather", "disable_parallel_tool_use": false }), false),
    ] {
        let mut body = with("tools", weather());
        body["tool_choice"] = choice.clone();
        let Some(Constraint::Lark(lark)) = request(&body).unwrap().constraint else { panic!("no grammar") };
        assert_eq!(lark.contains("call)*"), is_several, "{choice}");
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_in_anthropics_form() {
    let image = json!([{ "role": "user", "content": [{ "type": "image", "source": {} }] }]);
    let prefill = json!([{ "role": "user", "content": "Hi" }, { "role": "assistant", "content": "Well" }]);
    for (body, message) in [
        (with("max_tokens", json!(null)), "`max_tokens` is missing in `body`."),
        (with("messages", image), "A block of the type `image` is not supported in `messages`: only text is."),
        (
            with("messages", prefill),
            "The last of `messages` must be of the role `user`: a reply that is begun cannot be continued.",
        ),
        (
            with("thinking", json!({ "type": "enabled", "budget_tokens": 1024 })),
            "`thinking` is not supported: leave it out, or give it the type `disabled`.",
        ),
        (with("container", json!("c")), "`container` is not supported in `body`: leave it out."),
        (with("temperature", json!(2)), "`temperature` must be a number from 0 to 1, not 2."),
        (with("tool_choice", json!({ "type": "any" })), "`tool_choice` asks for a call, and `tools` is empty."),
        (
            with("tools", json!([{ "type": "web_search_20250305", "name": "web_search" }])),
            "A tool has the type `web_search_20250305`: only tools with an `input_schema` are supported.",
        ),
    ] {
        let (status, error) = refused(&request(&body).unwrap_err());
        assert_eq!(status, 400);
        assert_eq!(error, json!({ "type": "error", "error": { "type": "invalid_request_error", "message": message } }));
    }
}

#[test]
fn counting_takes_what_a_request_takes_but_for_the_reply() {
    let mut body = body();
    assert!(count_request(&body).is_err());
    body.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(count_request(&body).unwrap().messages.len(), 1);
}

fn ending(finish: Finish) -> Ending {
    Ending { finish, usage: Usage { prompt: 12, completion: 5, cached: 10, retracted: 1 } }
}

fn deltas() -> Vec<Delta> {
    let arguments = |fragment: &str| Delta::Arguments { index: 0, fragment: fragment.to_owned() };
    vec![
        Delta::Text("Let ".to_owned()),
        Delta::Text("me see.".to_owned()),
        Delta::Call { index: 0, id: "call_x0".to_owned(), name: "weather".to_owned() },
        arguments("{\"city\": "),
        arguments("\"Ulm\"}"),
    ]
}

/// The events of a reply with text and a call.
fn events() -> Vec<Event> {
    let mut encoder = Encoder::new("msg_1", "m");
    let mut events = encoder.start(&Usage { prompt: 12, cached: 10, ..Usage::default() });
    events.push(ping());
    events.extend(deltas().into_iter().flat_map(|delta| encoder.delta(delta)));
    events.extend(encoder.end(&ending(Finish::End)));
    events
}

#[test]
fn the_events_of_a_reply() {
    let lines: Vec<String> = events().iter().map(|event| event.data.to_string()).collect();
    let usage = |input: u32, output: u32| {
        format!(
            r#""usage":{{"input_tokens":{input},"cache_creation_input_tokens":0,"cache_read_input_tokens":10,"output_tokens":{output}}}"#
        )
    };
    assert_eq!(lines, [
        format!(
            r#"{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,{}}}}}"#,
            usage(2, 0)
        )
        .as_str(),
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let "}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"me see."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"call_x0","name":"weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": "}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"Ulm\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        &format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"tool_use","stop_sequence":null}},{}}}"#, usage(2, 5)),
        r#"{"type":"message_stop"}"#,
    ]);
}

#[test]
fn a_message_at_once_says_the_same() {
    let mut encoder = Encoder::new("msg_1", "m");
    deltas().into_iter().for_each(|delta| drop(encoder.delta(delta)));
    let message = encoder.message(&ending(Finish::End)).unwrap();
    assert_eq!(
        message["content"],
        json!([
            { "type": "text", "text": "Let me see." },
            { "type": "tool_use", "id": "call_x0", "name": "weather", "input": { "city": "Ulm" } },
        ])
    );
    assert_eq!(message["stop_reason"], "tool_use");
    let stopped = ending(Finish::Stop(Some("END".to_owned())));
    let plain = Encoder::new("msg_1", "m").message(&stopped).unwrap();
    assert_eq!((&plain["stop_reason"], &plain["stop_sequence"]), (&json!("stop_sequence"), &json!("END")));
    assert!(encoder.message(&ending(Finish::Failed("gone".to_owned()))).is_err());
    let failed = encoder.end(&ending(Finish::Failed("gone".to_owned())));
    assert_eq!(failed, [Event { name: "error", data: error("api_error", "gone") }]);
}

/// Writes what the SDK is to parse: `CONVERTED=/tmp cargo test -p llama_selfmod-serve writes_events`.
#[test]
fn writes_events_for_the_sdk() {
    let Ok(folder) = std::env::var("CONVERTED") else { return };
    let mut encoder = Encoder::new("msg_1", "m");
    deltas().into_iter().for_each(|delta| drop(encoder.delta(delta)));
    let events: Vec<Value> = events().into_iter().map(|event| event.data).collect();
    let all = json!({ "events": events, "message": encoder.message(&ending(Finish::End)).unwrap(), "count": count(3) });
    std::fs::write(format!("{folder}/anthropic.json"), all.to_string()).unwrap();
}
