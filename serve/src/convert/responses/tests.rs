use super::*;
use crate::backend::{Constraint, Finish};
use crate::convert::neutral::{Delta, Ending, Event, Usage};

fn function() -> Value {
    json!([{ "type": "function", "name": "add", "parameters": { "type": "object", "properties": { "a": { "type": "integer" } } }, "strict": true }])
}

#[test]
fn a_string_or_items_become_a_chat() {
    let plain = request(&json!({ "model": "m", "input": "Hi", "instructions": "Be brief.", "store": true })).unwrap();
    let contents = |request: &Request| -> Vec<(Role, String)> {
        request.chat.messages.iter().map(|message| (message.role, message.content.clone())).collect()
    };
    assert_eq!(contents(&plain), [(Role::System, "Be brief.".to_owned()), (Role::User, "Hi".to_owned())]);
    let items = json!([
        { "role": "developer", "content": "Be kind." },
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "1+1?" }] },
        { "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
          "content": [{ "type": "output_text", "text": "Let me see.", "annotations": [] }] },
        { "type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": "{\"a\":1}" },
        { "type": "function_call_output", "call_id": "c1", "output": "2" },
    ]);
    let with_calls =
        request(&json!({ "input": items, "tools": function(), "max_output_tokens": 5, "stream": true })).unwrap();
    assert_eq!(
        contents(&with_calls)[1..],
        [
            (Role::User, "1+1?".to_owned()),
            (
                Role::Assistant,
                "Let me see.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>".to_owned()
            ),
            (Role::User, "<tool_response>\n2\n</tool_response>".to_owned()),
        ]
    );
    assert!(with_calls.chat.messages[0].content.starts_with("Be kind.\n\n# Tools"));
    assert!(with_calls.chat.stream && with_calls.chat.max_tokens == Some(5));
}

#[test]
fn the_result_says_whether_several_calls_can_be_made() {
    let of = |parallel: Value| {
        let body = json!({ "input": "Hi", "tools": function(), "parallel_tool_calls": parallel });
        let Request { chat, echo } = request(&body).unwrap();
        let Some(Constraint::Lark(lark)) = chat.constraint else { panic!("no grammar") };
        (lark.contains("call)*"), echo["parallel_tool_calls"].clone())
    };
    assert_eq!(of(json!(null)), (false, json!(false)));
    assert_eq!(of(json!(true)), (true, json!(true)));
}

#[test]
fn text_format_is_a_constraint() {
    let format = json!({ "type": "json_schema", "name": "n", "schema": { "type": "integer" }, "strict": true });
    let request = request(&json!({ "input": "Hi", "text": { "format": format } })).unwrap();
    assert_eq!(request.chat.constraint, Some(Constraint::Schema(json!({ "type": "integer" }))));
    assert_eq!(request.echo["text"]["format"], format);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_parameter() {
    for (field, value, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("background", json!(true), "background"),
        ("truncation", json!("auto"), "truncation"),
        ("reasoning", json!({ "effort": "high" }), "reasoning"),
        ("include", json!(["message.output_text.logprobs"]), "include"),
        ("tools", json!([{ "type": "web_search" }]), "tools"),
        ("tool_choice", json!("required"), "tool_choice"),
        ("text", json!({ "format": { "type": "grammar" } }), "text.format"),
        ("input", json!([]), "input"),
        ("input", json!([{ "type": "item_reference", "id": "x" }]), "input"),
        ("input", json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": "x" }] }]), "input"),
        ("temperature", json!(3), "temperature"),
        ("prompt", json!({ "id": "p" }), "body"),
    ] {
        let mut body = json!({ "input": "Hi" });
        body[field] = value;
        assert_eq!(request(&body).unwrap_err().param, Some(param), "{body}");
    }
    let format = json!({ "format": { "type": "json_object" } });
    let body = json!({ "input": "Hi", "text": format, "tools": function(), "tool_choice": "required" });
    let refusal = request(&body).unwrap_err();
    assert!(refusal.param == Some("text.format") && refusal.message.starts_with("`text.format` says"), "{refusal:?}");
}

fn ending(finish: Finish) -> Ending {
    Ending { finish, usage: Usage { prompt: 12, completion: 5, cached: 10, retracted: 1 } }
}

fn events(finish: Finish) -> (Vec<Event>, Encoder) {
    let body = json!({ "input": "Hi", "tools": function(), "temperature": 0.5, "metadata": { "a": "b" } });
    let mut encoder = Encoder::new("1", "m", 1_700_000_000, request(&body).unwrap().echo);
    let mut events = encoder.start();
    let arguments = |fragment: &str| Delta::Arguments { index: 0, fragment: fragment.to_owned() };
    for delta in [
        Delta::Text("Let ".to_owned()),
        Delta::Text("me see.".to_owned()),
        Delta::Call { index: 0, id: "call_x0".to_owned(), name: "add".to_owned() },
        arguments("{\"a\": "),
        arguments("1}"),
    ] {
        events.extend(encoder.delta(delta));
    }
    events.extend(encoder.end(&ending(finish)));
    (events, encoder)
}

#[test]
fn the_events_of_a_reply() {
    let (events, encoder) = events(Finish::End);
    let numbers: Vec<u64> = events.iter().filter_map(|event| event.data["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        events.iter().map(|event| event.name).collect::<Vec<_>>(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(
        events[10].data.to_string(),
        r#"{"type":"response.function_call_arguments.delta","sequence_number":10,"item_id":"fc_1_1","output_index":1,"delta":"{\"a\": "}"#
    );
    let response = &events.last().unwrap().data["response"];
    assert_eq!(*response, encoder.response(&ending(Finish::End)));
    assert_eq!(
        (&response["store"], &response["temperature"], &response["metadata"]["a"]),
        (&json!(false), &json!(0.5), &json!("b"))
    );
    assert_eq!(
        response["output"][1],
        json!({
            "id": "fc_1_1", "type": "function_call", "call_id": "call_x0", "name": "add", "arguments": "{\"a\": 1}", "status": "completed",
        })
    );
    assert_eq!(response["usage"]["total_tokens"], 17);
}

#[test]
fn a_reply_that_was_cut_or_failed_says_so() {
    let last = |finish| events(finish).0.pop().unwrap();
    let cut = last(Finish::Length);
    assert_eq!((cut.name, &cut.data["response"]["status"]), ("response.incomplete", &json!("incomplete")));
    assert_eq!(cut.data["response"]["incomplete_details"], json!({ "reason": "max_output_tokens" }));
    assert_eq!(cut.data["response"]["output"][0]["status"], "completed");
    assert_eq!(cut.data["response"]["output"][1]["status"], "incomplete");
    let failed = last(Finish::Failed("gone".to_owned()));
    assert_eq!((failed.name, &failed.data["response"]["error"]["message"]), ("response.failed", &json!("gone")));
}

/// Writes what the SDK is to parse: `CONVERTED=/tmp cargo test -p llama_selfmod-serve writes_events`.
#[test]
fn writes_events_for_the_sdk() {
    let Ok(folder) = std::env::var("CONVERTED") else { return };
    let finishes = [Finish::End, Finish::Length, Finish::Cut, Finish::Failed("gone".to_owned())];
    let all: Vec<Value> = finishes.into_iter().flat_map(|finish| events(finish).0).map(|event| event.data).collect();
    std::fs::write(format!("{folder}/openai.json"), Value::from(all).to_string()).unwrap();
}
