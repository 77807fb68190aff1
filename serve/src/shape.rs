//! What a reply has to look like: `response_format`, `grammar`, `json_schema` and `tools`.
//!
//! This is the place where constraints come in. Whoever writes them takes their fields here, before any other field is
//! taken, and may change those that are left: turn messages of tools into messages that templates know, say.

use crate::backend::Constraint;
use crate::failure::Failure;
use crate::fields::Fields;
use serde_json::json;

/// What a reply has to look like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// For the job.
    pub constraint: Option<Constraint>,
}

/// Takes the fields that say what the reply looks like.
pub fn shape(fields: &mut Fields) -> Result<Shape, Failure> {
    let message = "It is not supported here. Leave it out.";
    fields.only("response_format", &[json!({"type": "text"})], message)?;
    fields.only("tools", &[json!([])], message)?;
    fields.only("tool_choice", &[json!("none"), json!("auto")], message)?;
    for name in ["grammar", "json_schema", "functions", "function_call"] {
        fields.only(name, &[], message)?;
    }
    Ok(Shape::default())
}
