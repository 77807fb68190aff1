//! Gets at the parts of a value: `value.name`, `value[key]`, `value[start:stop:step]`.

use super::interpreter::Interpreter;
use super::text::TextBuilder;
use super::value::{Loop, Value, undefined};
use super::work::{Done, PLACE, STEP, broken};
use super::{methods, show};

impl Interpreter<'_, '_> {
    /// `value.name`.
    pub fn attribute(&mut self, value: &Value, name: &str) -> Done<Value> {
        self.work.spend(name.len())?;
        if methods::has(value, name) {
            self.work.spend(PLACE)?;
            return Ok(Value::Method(std::rc::Rc::new((value.clone(), name.into()))));
        }
        let found = match value {
            Value::Dict(dict) => {
                self.work.spend(STEP * dict.pairs.len())?;
                let is_it = |key: &Value| key.as_text().is_some_and(|text| text.as_str() == name);
                dict.pairs.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone())
            }
            Value::Namespace(number) => {
                let namespace = &self.namespaces[*number];
                self.work.spend(namespace.len())?;
                namespace.iter().find(|(other, _)| **other == *name).map(|(_, value)| value.clone())
            }
            Value::Loop(state) => self.loop_attribute(state, name)?,
            Value::Tuple(pair) => match (name, pair.items.as_slice()) {
                ("grouper", [grouper, _]) => Some(grouper.clone()),
                ("list", [_, list]) => Some(list.clone()),
                _ => None,
            },
            Value::Macro(number) if name == "name" => Some(Value::text(self.work, self.macro_name(*number))?),
            Value::Undefined(name) => return undefined(name),
            _ => None,
        };
        Ok(found.unwrap_or_else(|| Value::Undefined(name.into())))
    }

    fn loop_attribute(&self, state: &std::rc::Rc<Loop>, name: &str) -> Done<Option<Value>> {
        let (index, count) = (state.index.get() as i64, state.items.items.len() as i64);
        let neighbour = |index: Option<usize>| {
            let missing = || Value::Undefined(format!("loop.{name}").into());
            index.and_then(|index| state.items.items.get(index)).cloned().unwrap_or_else(missing)
        };
        Ok(Some(match name {
            "index" => Value::Int(index + 1),
            "index0" => Value::Int(index),
            "revindex" => Value::Int(count - index),
            "revindex0" => Value::Int(count - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == count),
            "length" => Value::Int(count),
            "previtem" => neighbour(state.index.get().checked_sub(1)),
            "nextitem" => neighbour(Some(state.index.get() + 1)),
            "depth" => Value::Int(state.depth as i64 + 1),
            "depth0" => Value::Int(state.depth as i64),
            _ => return Ok(None),
        }))
    }

    /// `value[key]`.
    pub fn item(&mut self, value: &Value, key: &Value) -> Done<Value> {
        let found = match (value, key.as_int()) {
            (Value::Dict(dict), _) => dict.get(self.work, key)?.cloned(),
            (Value::List(items) | Value::Tuple(items), Some(index)) => {
                place(index, items.items.len()).map(|index| items.items[index].clone())
            }
            (Value::Text(text), Some(index)) => {
                self.work.spend(text.len())?;
                let mut characters = text.as_str().char_indices();
                let back = |index: i64| usize::try_from(index.unsigned_abs() - 1).unwrap_or(usize::MAX);
                let found = match index {
                    0.. => characters.nth(usize::try_from(index).unwrap_or(usize::MAX)),
                    _ => characters.nth_back(back(index)),
                };
                let part = found.map(|(at, character)| text.slice(self.work, at..at + character.len_utf8()));
                part.transpose()?.map(Value::Text)
            }
            (Value::Undefined(name), _) => return undefined(name),
            _ => None,
        };
        match (found, key) {
            (Some(value), _) => Ok(value),
            (None, Value::Text(name)) => self.attribute(value, name.as_str()),
            (None, _) => Ok(Value::Undefined(show::repr(self, key)?.as_str().into())),
        }
    }

    pub fn slice(&self, value: &Value, bounds: [Option<i64>; 3]) -> Done<Value> {
        let length = match value {
            Value::Undefined(name) => return undefined(name),
            Value::Text(_) | Value::List(_) | Value::Tuple(_) => value.len(self.work)?,
            _ => return Ok(Value::Undefined(format!("a slice of {}", value.type_name()).into())),
        };
        let [_, _, step] = bounds;
        if let (Value::Text(text), 1) = (value, step.unwrap_or(1)) {
            self.work.spend(text.len())?;
            let (start, stop) = ends(bounds, length);
            let place_of = |index: i64| {
                let index = usize::try_from(index).unwrap_or(0);
                text.as_str().char_indices().nth(index).map_or(text.len(), |(at, _)| at)
            };
            let start = place_of(start);
            return Ok(Value::Text(text.slice(self.work, start..place_of(stop).max(start))?));
        }
        if step == Some(0) {
            return broken("slice step cannot be zero");
        }
        let indices = indices(bounds, length);
        let items = value.items(self.work)?;
        self.work.spend_places(indices.len())?;
        let chosen = indices.into_iter().map(|index| items.items[index].clone());
        match value {
            Value::Text(_) => {
                let mut text = TextBuilder::new(self.work);
                chosen.into_iter().try_for_each(|item| item.as_text().map_or(Ok(()), |item| text.push(item)))?;
                Ok(Value::Text(text.finish()?))
            }
            Value::Tuple(_) => Value::tuple(self.work, chosen.collect()),
            _ => Value::list(self.work, chosen.collect()),
        }
    }
}

/// Where `index` is in a sequence of this length; negative ones count from the end.
fn place(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(length as i64)? } else { index };
    usize::try_from(index).ok().filter(|&index| index < length)
}

/// First and last place of a slice, as Python cuts them to the length.
fn ends([start, stop, step]: [Option<i64>; 3], length: usize) -> (i64, i64) {
    let length = length as i64;
    let forward = step.unwrap_or(1) > 0;
    let cut = |bound: i64| {
        let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
        if forward { bound.clamp(0, length) } else { bound.clamp(-1, length - 1) }
    };
    let start = start.map_or(if forward { 0 } else { length - 1 }, cut);
    (start, stop.map_or(if forward { length } else { -1 }, cut))
}

fn indices(bounds: [Option<i64>; 3], length: usize) -> Vec<usize> {
    let (start, stop) = ends(bounds, length);
    let step = bounds[2].unwrap_or(1);
    let inside = move |&index: &i64| if step > 0 { index < stop } else { index > stop };
    std::iter::successors(Some(start), |index| index.checked_add(step))
        .take_while(inside)
        .filter_map(|index| usize::try_from(index).ok())
        .collect()
}
