//! The arguments of a call.

use super::text::Text;
use super::value::Value;
use super::work::{Done, broken};
use std::rc::Rc;

#[derive(Default, Debug)]
pub struct Arguments {
    pub positional: Vec<Value>,
    pub named: Vec<(Rc<str>, Value)>,
}

impl Arguments {
    /// The argument that is called `name`, or the one at `index`.
    pub fn get(&self, index: usize, name: &str) -> Option<&Value> {
        let named = || self.named.iter().find(|(other, _)| **other == *name).map(|(_, value)| value);
        self.positional.get(index).or_else(named)
    }

    /// The same, where `None` is as good as none.
    pub fn given(&self, index: usize, name: &str) -> Option<&Value> {
        self.get(index, name).filter(|value| !matches!(value, Value::None))
    }

    pub fn needed(&self, index: usize, name: &str) -> Done<&Value> {
        self.get(index, name).map_or_else(|| broken(format!("the argument `{name}` is missing")), Ok)
    }

    pub fn text(&self, index: usize, name: &str) -> Done<Option<&Text>> {
        self.given(index, name).map(|value| expect_text(value, name)).transpose()
    }

    pub fn needed_text(&self, index: usize, name: &str) -> Done<&Text> {
        expect_text(self.needed(index, name)?, name)
    }

    pub fn int(&self, index: usize, name: &str) -> Done<Option<i64>> {
        let expect = |value: &Value| match value.as_int() {
            Some(number) => Ok(number),
            None => broken(format!("`{name}` must be a whole number, not {}", value.type_name())),
        };
        self.given(index, name).map(expect).transpose()
    }

    /// A number of characters or items, where a negative one is 0.
    pub fn size(&self, index: usize, name: &str, default: usize) -> Done<usize> {
        Ok(self.int(index, name)?.map_or(default, |number| usize::try_from(number).unwrap_or(0)))
    }

    pub fn flag(&self, index: usize, name: &str) -> bool {
        self.get(index, name).is_some_and(Value::is_true)
    }
}

fn expect_text<'a>(value: &'a Value, name: &str) -> Done<&'a Text> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Undefined(undefined) => super::value::undefined(undefined),
        _ => broken(format!("`{name}` must be text, not {}", value.type_name())),
    }
}
