//! What a reply has to look like, and the functions that it may call: `response_format`, `grammar`, `json_schema`, `tools`.

use crate::backend::Constraint;
use crate::convert::calls::Splitter;
use crate::convert::shape::of_body;
use crate::convert::tools::Tools;
use crate::failure::Failure;
use crate::fields::Fields;
use serde_json::Map;

/// What a reply has to look like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// For the job, calls included.
    pub constraint: Option<Constraint>,
    /// The functions that a reply may call.
    pub tools: Option<Tools>,
}

impl Shape {
    /// Takes the fields that say what a text looks like.
    pub fn of_text(fields: &mut Fields) -> Result<Self, Failure> {
        let mut body = Map::new();
        for name in ["response_format", "json_schema", "grammar"] {
            body.extend(fields.take(name).map(|value| (name.to_owned(), value)));
        }
        Ok(Self { constraint: of_body(&body)?, tools: None })
    }

    /// Takes these and the functions of a chat.
    pub fn of_chat(fields: &mut Fields) -> Result<Self, Failure> {
        for name in ["functions", "function_call"] {
            fields.only(name, &[], "It is the old form of `tools`. Use that.")?;
        }
        let Self { constraint, .. } = Self::of_text(fields)?;
        let [tools, choice, parallel] = ["tools", "tool_choice", "parallel_tool_calls"].map(|name| fields.take(name));
        let tools = Tools::of_chat(tools.as_ref(), choice.as_ref(), parallel.as_ref())?;
        let constraint = match &tools {
            Some(tools) => Some(tools.constraint(constraint.as_ref())?),
            None => constraint,
        };
        Ok(Self { constraint, tools })
    }

    /// What takes a reply's text apart. `unique` makes the names of its calls.
    pub fn splitter(&self, unique: &str) -> Splitter {
        match &self.tools {
            Some(tools) => Splitter::new(tools.names(), unique),
            None => Splitter::of_plain_text(),
        }
    }
}
