use super::*;
use crate::convert::calls;
use llama_selfmod_constrain as constrain;
use serde_json::json;
use std::sync::LazyLock;

/// Units are bytes, and 256 is the end.
static UNITS: LazyLock<constrain::Units> = LazyLock::new(|| {
    let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    pieces.push(Vec::new());
    constrain::Units::new(&pieces, 256).unwrap()
});

/// Whether a reply is allowed, whole.
fn allows(constraint: &Constraint, reply: &str) -> bool {
    let constraint = match constraint {
        Constraint::Schema(schema) => constrain::Constraint::Schema(schema.clone()),
        Constraint::Lark(text) => constrain::Constraint::Lark(text.clone()),
    };
    let mut state = UNITS.open(&constraint).unwrap();
    reply.bytes().all(|byte| state.push(u32::from(byte)).is_ok()) && state.may_end()
}

fn functions() -> Value {
    json!([
        { "type": "function", "function": { "name": "add", "description": "Adds.", "strict": true, "parameters": {
            "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"], "additionalProperties": false } } },
        { "type": "function", "function": { "name": "now" } },
    ])
}

fn tools(choice: Value, parallel: Value) -> Tools {
    Tools::of_chat(Some(&functions()), Some(&choice), Some(&parallel)).unwrap().unwrap()
}

fn call(name: &str, arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
}

#[test]
fn the_system_message_describes_the_functions() {
    let mut messages = vec![Message { role: Role::User, content: "1 + 1?".to_owned() }];
    tools(json!("auto"), json!(null)).describe(&mut messages);
    let text = r##"# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}}}
{"type": "function", "function": {"name": "now", "parameters": {"properties": {}, "type": "object"}}}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"##;
    assert_eq!(messages[0], Message { role: Role::System, content: text.to_owned() });
    let mut messages = vec![Message { role: Role::System, content: "Be brief.".to_owned() }];
    tools(json!("auto"), json!(null)).describe(&mut messages);
    assert_eq!(messages[0].content, format!("Be brief.\n\n{text}"));
}

#[test]
fn a_call_that_must_be_made_is_made_with_arguments_that_fit() {
    let required = tools(json!("required"), json!(true)).constraint(None).unwrap();
    let add = call("add", "{\"a\": 1}");
    assert!(allows(&required, &add) && allows(&required, &call("now", "{}")));
    assert!(allows(&required, &format!("{add}\n{add}")));
    assert!(
        !allows(&required, "Well.") && !allows(&required, &call("add", "{\"a\": \"1\"}")) && !allows(&required, "")
    );
    assert!(!allows(&required, &call("rm", "{}")) && !allows(&required, &add[..add.len() - 1]));
    let one = tools(json!("required"), json!(false)).constraint(None).unwrap();
    assert!(allows(&one, &add) && !allows(&one, &format!("{add}\n{add}")));
    let named = json!({ "type": "function", "function": { "name": "now" } });
    let named = tools(named, json!(null)).constraint(None).unwrap();
    assert!(!allows(&named, &add) && allows(&named, &call("now", "{}")));
}

#[test]
fn several_calls_are_made_only_where_the_client_says_so_and_a_named_function_is_called_once() {
    let add = call("add", "{\"a\": 1}");
    let named = json!({ "type": "function", "function": { "name": "add" } });
    for (choice, parallel, is_several) in [
        (json!("auto"), json!(null), false),
        (json!("auto"), json!(false), false),
        (json!("auto"), json!(true), true),
        (json!("required"), json!(null), false),
        (json!("required"), json!(true), true),
        (named.clone(), json!(null), false),
        (named, json!(true), false),
    ] {
        let constraint = tools(choice.clone(), parallel.clone()).constraint(None).unwrap();
        assert!(allows(&constraint, &add), "{choice}");
        assert_eq!(allows(&constraint, &format!("{add}\n{add}")), is_several, "{choice} {parallel}");
    }
}

#[test]
fn where_calls_are_the_models_choice_a_reply_is_text_or_text_with_calls() {
    let auto = tools(json!("auto"), json!(true)).constraint(None).unwrap();
    let add = call("add", "{\"a\": 1}");
    for reply in
        ["", "Well, 1 < 2.\n\nÄ", "<tool_cal", &add, &format!("Let me see.\n{add}"), &format!("<tool<{add}\n{add}")]
    {
        assert!(allows(&auto, reply), "{reply}");
    }
    for reply in ["<tool_call>", "Well <tool_call> is a mark", &format!("{add} So."), &format!("{add}{add}")] {
        assert!(!allows(&auto, reply), "{reply}");
    }
    let schema = Constraint::Schema(json!({ "type": "boolean" }));
    let shaped = tools(json!("auto"), json!(true)).constraint(Some(&schema)).unwrap();
    assert!(allows(&shaped, "true") && allows(&shaped, &add) && !allows(&shaped, "Well"));
}

#[test]
fn a_reply_under_the_constraint_is_read_as_it_was_meant() {
    let tools = tools(json!("auto"), json!(true));
    let reply = format!("Let me see.\n{}\n{}", call("add", "{\"a\": 1}"), call("now", "{}"));
    assert!(allows(&tools.constraint(None).unwrap(), &reply));
    let read = calls::parse(calls::Splitter::new(tools.names(), "r"), &reply);
    assert_eq!(read.text, "Let me see.");
    assert_eq!(read.calls[0], Call { id: "call_r0".into(), name: "add".into(), arguments: "{\"a\": 1}".into() });
    assert_eq!(read.calls.len(), 2);
    assert_eq!(reply_text(&read.text, &read.calls), reply);
}

#[test]
fn calls_and_results_of_the_history_are_text() {
    let history = json!([{ "id": "c1", "type": "function", "function": { "name": "add", "arguments": "{\"a\":1,\"b\":[1,2]}" } }]);
    let calls = calls_of_history(&history).unwrap();
    assert_eq!(reply_text("", &calls), call("add", "{\"a\": 1, \"b\": [1, 2]}"));
    let mut messages = Vec::new();
    append_result(&mut messages, "2");
    append_result(&mut messages, "3");
    let content = "<tool_response>\n2\n</tool_response>\n<tool_response>\n3\n</tool_response>".to_owned();
    assert_eq!(messages, [Message { role: Role::User, content }]);
}

#[test]
fn no_functions_no_tools() {
    let none = |tools: &Value, choice: &Value| Tools::of_chat(Some(tools), Some(choice), None).unwrap();
    assert_eq!(Tools::of_chat(None, None, None), Ok(None));
    assert_eq!(none(&functions(), &json!("none")), None);
    assert_eq!(none(&json!([]), &json!("auto")), None);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_parameter() {
    let refusal = |tools: Value, choice: Value| {
        let refusal = Tools::of_chat(Some(&tools), Some(&choice), None).unwrap_err();
        format!("{}: {}", refusal.param.unwrap(), refusal.message)
    };
    assert_eq!(
        refusal(json!(null), json!("required")),
        "tool_choice: `tool_choice` asks for a call, and `tools` is empty."
    );
    assert_eq!(
        refusal(functions(), json!({ "type": "function", "function": { "name": "rm" } })),
        "tool_choice: `tool_choice` asks for `rm`, which is not among `tools`."
    );
    assert_eq!(
        refusal(functions(), json!("any")),
        "tool_choice: `tool_choice` is `any`: use `none`, `auto`, `required` or a function."
    );
    assert_eq!(
        refusal(json!([{ "type": "web_search" }]), json!("auto")),
        "tools: A tool has the type `web_search`: only `function` is supported."
    );
    let bad = json!([{ "type": "function", "function": { "name": "a b" } }]);
    assert!(refusal(bad, json!("auto")).starts_with("tools: `a b` is no name for a function"));
    let shape = Constraint::Schema(json!({}));
    let refused = |choice, shape| tools(choice, json!(null)).constraint(Some(shape)).unwrap_err().param;
    assert_eq!(refused(json!("required"), &shape), Some("response_format"));
    assert_eq!(refused(json!("auto"), &Constraint::Lark(String::new())), Some("grammar"));
}

#[test]
fn arguments_are_those_that_the_function_names() {
    let of = |parameters: Value| {
        let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": parameters } }]);
        Tools::of_chat(Some(&tools), Some(&json!("required")), None).unwrap().unwrap().constraint(None).unwrap()
    };
    let (one, two) = (call("f", "{\"a\": 1}"), call("f", "{\"a\": 1, \"b\": 2}"));
    let plain = of(json!({ "type": "object", "properties": { "a": { "type": "integer" } } }));
    assert!(allows(&plain, &one) && !allows(&plain, &two));
    let nothing = of(json!(null));
    assert!(allows(&nothing, &call("f", "{}")) && !allows(&nothing, &one));
    for free in [
        json!({ "type": "object" }),
        json!({ "properties": { "a": { "type": "integer" } }, "additionalProperties": true }),
    ] {
        let free = of(free);
        assert!(allows(&free, &one) && allows(&free, &two));
    }
}

#[test]
fn arguments_are_written_as_schemas_and_the_history_are() {
    assert_eq!(json_style(), constrain::json_style());
    let required = tools(json!("required"), json!(null)).constraint(None).unwrap();
    let written = reply_text("", &[Call { id: String::new(), name: "add".into(), arguments: "{\"a\":1}".into() }]);
    assert!(allows(&required, &written));
    for arguments in ["{\"a\":1}", "{ \"a\": 1}", "{\"a\": 1 }", "{\"a\":  1}", "{\n\"a\": 1}", " {\"a\": 1}"] {
        assert!(!allows(&required, &call("add", arguments)), "{arguments}");
    }
}
