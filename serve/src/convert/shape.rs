//! What the reply has to look like, from the fields in which OpenAI's and llama.cpp's clients say it.

use crate::backend::{Constraint, Refusal};
use crate::convert::closed::closed;
use crate::convert::fields::{Fields, invalid, kind};
use crate::convert::gbnf;
use serde_json::{Map, Value, json};

/// The constraint of a request's body: from `response_format`, or from llama-server's `json_schema` or `grammar`.
///
/// Refused where two of them are given.
pub fn of_body(body: &Map<String, Value>) -> Result<Option<Constraint>, Refusal> {
    let field = |name: &str| body.get(name).filter(|value| !value.is_null());
    let mut found = Vec::new();
    if let Some(constraint) = field("response_format").map(of_response_format).transpose()?.flatten() {
        found.push(("response_format", constraint));
    }
    if let Some(schema) = field("json_schema") {
        found.push(("json_schema", Constraint::Schema(schema_of(schema, "json_schema")?)));
    }
    // An empty grammar is what llama.cpp's own page sends for none.
    if let Some(grammar) = field("grammar").filter(|grammar| grammar.as_str() != Some("")) {
        found.push(("grammar", of_grammar(grammar)?));
    }
    match found.len() {
        0 | 1 => Ok(found.pop().map(|(_, constraint)| constraint)),
        _ => Err(invalid(
            found[1].0,
            format!("`{}` and `{}` both say what the reply looks like: leave one of them out.", found[0].0, found[1].0),
        )),
    }
}

/// The constraint of OpenAI's `response_format`: `text`, `json_object` or `json_schema`.
pub fn of_response_format(value: &Value) -> Result<Option<Constraint>, Refusal> {
    const PARAM: &str = "response_format";
    let mut fields = Fields::new(value, PARAM)?;
    let constraint = match fields.text("type")?.ok_or_else(|| fields.missing("type"))? {
        "text" => None,
        // llama-server takes a schema here, too.
        "json_object" => Some(match fields.value("schema") {
            Some(schema) => Constraint::Schema(schema_of(schema, PARAM)?),
            None => any_object(),
        }),
        "json_schema" => {
            let inner = fields.value("json_schema").ok_or_else(|| fields.missing("json_schema"))?;
            Some(of_named_schema(inner, PARAM)?)
        }
        other => return Err(unknown_type(other, PARAM)),
    };
    fields.finish()?;
    Ok(constraint)
}

/// The constraint of `text.format` of OpenAI's Responses: as [`of_response_format`], with the schema one level higher.
pub fn of_text_format(value: &Value) -> Result<Option<Constraint>, Refusal> {
    const PARAM: &str = "text.format";
    let mut fields = Fields::new(value, PARAM)?;
    match fields.text("type")?.ok_or_else(|| fields.missing("type"))? {
        "text" => Ok(None),
        "json_object" => Ok(Some(any_object())),
        "json_schema" => of_named_schema(value, PARAM).map(Some),
        other => Err(unknown_type(other, PARAM)),
    }
}

/// The constraint of `grammar`: llama.cpp's GBNF, or llguidance's Lark where it has a rule `start` or begins with `%llguidance`.
pub fn of_grammar(value: &Value) -> Result<Constraint, Refusal> {
    let Value::String(text) = value else {
        return Err(invalid("grammar", format!("`grammar` must be a string, not {}.", kind(value))));
    };
    let lark =
        if is_lark(text) { text.clone() } else { gbnf::to_lark(text).map_err(|error| invalid("grammar", error))? };
    Ok(Constraint::Lark(lark))
}

/// JSON objects of any kind.
pub(crate) fn any_object() -> Constraint {
    Constraint::Schema(json!({ "type": "object" }))
}

fn is_lark(text: &str) -> bool {
    // `root ::= …` may have `start` on its right side, and `start:` in a literal, but no line that begins with it.
    text.trim_start().starts_with("%llguidance")
        || text.lines().any(|line| {
            line.trim_start().trim_start_matches(['?', '!']).strip_prefix("start").is_some_and(|rest| {
                let rest = rest.trim_start();
                rest.starts_with('[') || rest.starts_with(':') && !rest.starts_with("::=")
            })
        })
}

/// `{name, schema, strict, description}`. Not strict or strict: the reply keeps to it. Strict, it has no properties that the
/// schema does not name.
fn of_named_schema(value: &Value, param: &'static str) -> Result<Constraint, Refusal> {
    let mut fields = Fields::new(value, param)?;
    fields.ignore(&["type"]);
    fields.text("name")?;
    fields.text("description")?;
    let is_strict = fields.flag("strict")? == Some(true);
    let schema = fields.value("schema").ok_or_else(|| fields.missing("schema"))?;
    fields.finish()?;
    let schema = schema_of(schema, param)?;
    Ok(Constraint::Schema(if is_strict { closed(schema) } else { schema }))
}

fn schema_of(value: &Value, param: &'static str) -> Result<Value, Refusal> {
    match value {
        Value::Object(_) => Ok(value.clone()),
        other => Err(invalid(param, format!("The schema in `{param}` must be an object, not {}.", kind(other)))),
    }
}

fn unknown_type(name: &str, param: &'static str) -> Refusal {
    invalid(param, format!("`{param}` has the type `{name}`: `text`, `json_object` and `json_schema` are supported."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: Value) -> Result<Option<Constraint>, String> {
        let Value::Object(body) = body else { panic!("no object") };
        of_body(&body).map_err(|refusal| format!("{}: {}", refusal.param.unwrap(), refusal.message))
    }

    #[test]
    fn the_fields_of_openai_and_llama_server_give_a_constraint() {
        let schema = json!({ "type": "integer" });
        let wanted = Ok(Some(Constraint::Schema(schema.clone())));
        assert_eq!(of(json!({})), Ok(None));
        assert_eq!(of(json!({ "response_format": { "type": "text" }, "grammar": "", "json_schema": null })), Ok(None));
        assert_eq!(of(json!({ "response_format": { "type": "json_object" } })), Ok(Some(any_object())));
        assert_eq!(of(json!({ "response_format": { "type": "json_object", "schema": schema } })), wanted);
        let named = json!({ "name": "n", "strict": true, "schema": schema });
        assert_eq!(of(json!({ "response_format": { "type": "json_schema", "json_schema": named } })), wanted);
        assert_eq!(of(json!({ "json_schema": schema })), wanted);
        let lark = "start: \"a\"";
        assert_eq!(of(json!({ "grammar": lark })), Ok(Some(Constraint::Lark(lark.to_owned()))));
        let flat = json!({ "type": "json_schema", "name": "n", "strict": false, "schema": schema });
        assert_eq!(of_text_format(&flat).unwrap(), Some(Constraint::Schema(schema)));
    }

    #[test]
    fn a_strict_schema_allows_only_the_properties_that_it_names() {
        let of = |strict: Value| {
            let schema = json!({ "type": "object", "properties": { "a": {} } });
            let named = json!({ "name": "n", "strict": strict, "schema": schema });
            let Ok(Some(Constraint::Schema(schema))) =
                of(json!({ "response_format": { "type": "json_schema", "json_schema": named } }))
            else {
                panic!("no schema");
            };
            schema.get("additionalProperties").cloned()
        };
        assert_eq!([json!(true), json!(false), json!(null)].map(of), [Some(json!(false)), None, None]);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_with_its_parameter() {
        for (body, refusal) in [
            (
                json!({ "response_format": { "type": "xml" } }),
                "response_format: `response_format` has the type `xml`: `text`, `json_object` and `json_schema` are supported.",
            ),
            (
                json!({ "response_format": "json" }),
                "response_format: `response_format` must be an object, not a string.",
            ),
            (json!({ "response_format": {} }), "response_format: `type` is missing in `response_format`."),
            (
                json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "n" } } }),
                "response_format: `schema` is missing in `response_format`.",
            ),
            (json!({ "json_schema": [] }), "json_schema: The schema in `json_schema` must be an object, not a list."),
            (json!({ "grammar": 1 }), "grammar: `grammar` must be a string, not a number."),
            (
                json!({ "response_format": { "type": "json_object" }, "grammar": "root ::= \"a\"" }),
                "grammar: `response_format` and `grammar` both say what the reply looks like: leave one of them out.",
            ),
        ] {
            assert_eq!(of(body), Err(refusal.to_owned()));
        }
    }

    #[test]
    fn a_rule_of_gbnf_that_is_called_start_is_no_lark() {
        assert!(
            is_lark("%llguidance {}\nstart: \"a\"")
                && is_lark("a: \"b\"\nstart: a")
                && is_lark("start[capture]: \"a\"")
        );
        assert!(!is_lark("root ::= start\nstart ::= \"start: \""));
    }
}
