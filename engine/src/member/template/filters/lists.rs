//! Filters that go through items.

use super::super::arguments::Arguments;
use super::super::interpreter::Interpreter;
use super::super::text::TextBuilder;
use super::super::value::{Items, Value, sort, undefined};
use super::super::work::{Done, broken};
use super::super::{checks, show};
use std::rc::Rc;

pub fn apply(run: &mut Interpreter, name: &str, value: &Value, arguments: Arguments) -> Done<Value> {
    match name {
        "first" | "last" => {
            let items = value.items(run.work)?;
            let item = if name == "first" { items.items.first() } else { items.items.last() };
            Ok(item.cloned().unwrap_or_else(|| Value::Undefined(format!("the {name} item of nothing").into())))
        }
        "list" => {
            let items = value.items(run.work)?;
            run.work.spend_places(items.items.len())?;
            Value::list(run.work, items.items.clone())
        }
        "items" => match value {
            Value::Undefined(_) => Value::list(run.work, Vec::new()),
            Value::Dict(_) => super::super::methods::call(run, value, "items", &arguments),
            _ => broken("Can only get item pairs from a mapping."),
        },
        "reverse" => match value {
            Value::Text(text) => {
                let mut reversed = TextBuilder::new(run.work);
                for (start, character) in text.as_str().char_indices().rev() {
                    reversed.push_part(text, start..start + character.len_utf8())?;
                }
                Ok(Value::Text(reversed.finish()?))
            }
            _ => {
                let items = value.items(run.work)?;
                run.work.spend_places(items.items.len())?;
                Value::list(run.work, items.items.iter().rev().cloned().collect())
            }
        },
        "join" => join(run, value, &arguments),
        "map" => map(run, value, arguments),
        "select" | "reject" | "selectattr" | "rejectattr" => select(run, name, value, arguments),
        "sort" => {
            let reverse = arguments.flag(0, "reverse");
            let keyed = keyed(run, value, arguments.flag(1, "case_sensitive"), arguments.get(2, "attribute"))?;
            let sorted = sort_by_key(run, keyed, reverse)?;
            Value::list(run.work, sorted.into_iter().map(|(_, item)| item).collect())
        }
        "dictsort" => dict_sort(run, value, &arguments),
        "unique" => {
            let keyed = keyed(run, value, arguments.flag(0, "case_sensitive"), arguments.get(1, "attribute"))?;
            let mut unique: Vec<(Value, Value)> = Vec::new();
            'next: for (key, item) in keyed {
                for (other, _) in &unique {
                    if other.equals(run.work, &key)? {
                        continue 'next;
                    }
                }
                unique.push((key, item));
            }
            Value::list(run.work, unique.into_iter().map(|(_, item)| item).collect())
        }
        "min" | "max" => {
            let keyed = keyed(run, value, arguments.flag(0, "case_sensitive"), arguments.get(1, "attribute"))?;
            let mut best: Option<(Value, Value)> = None;
            for (key, item) in keyed {
                let better = match &best {
                    None => true,
                    Some((other, _)) if name == "min" => key.order(run.work, other)?.is_lt(),
                    Some((other, _)) => key.order(run.work, other)?.is_gt(),
                };
                if better {
                    best = Some((key, item));
                }
            }
            Ok(best.map_or_else(|| Value::Undefined(format!("the {name} of nothing").into()), |(_, item)| item))
        }
        "groupby" => group_by(run, value, &arguments),
        "sum" => {
            let mut sum = arguments.get(1, "start").cloned().unwrap_or(Value::Int(0));
            for item in &value.items(run.work)?.items {
                let item = match arguments.given(0, "attribute") {
                    Some(attribute) => by_path(run, item, attribute)?,
                    None => item.clone(),
                };
                sum = match (sum.as_int(), item.as_int(), sum.as_float(), item.as_float()) {
                    (Some(a), Some(b), ..) => {
                        a.checked_add(b).map_or_else(|| broken("too large a sum"), |n| Ok(Value::Int(n)))?
                    }
                    (_, _, Some(a), Some(b)) => Value::Float(a + b),
                    _ => return broken(format!("no sum of {} and {}", sum.type_name(), item.type_name())),
                };
            }
            Ok(sum)
        }
        "batch" => {
            let size = arguments.size(0, "linecount", 0)?.max(1);
            let items = value.items(run.work)?;
            let mut batches = Vec::new();
            for part in items.items.chunks(size) {
                run.work.spend_places(part.len())?;
                let mut batch = part.to_vec();
                if let Some(fill) = arguments.given(1, "fill_with") {
                    run.work.spend_places(size - part.len())?;
                    batch.resize(size, fill.clone());
                }
                batches.push(Value::list(run.work, batch)?);
            }
            Value::list(run.work, batches)
        }
        "slice" => {
            let count = arguments.size(0, "slices", 0)?;
            let items = value.items(run.work)?;
            run.work.spend_places(count)?;
            let Some(each) = items.items.len().checked_div(count) else {
                return broken("slice needs a number above 0");
            };
            let longer = items.items.len() % count;
            let mut slices = Vec::new();
            let mut start = 0;
            for index in 0..count {
                let end = start + each + usize::from(index < longer);
                run.work.spend_places(end - start + 1)?;
                let mut slice = items.items[start..end].to_vec();
                slice.extend(arguments.given(1, "fill_with").filter(|_| index >= longer).cloned());
                slices.push(Value::list(run.work, slice)?);
                start = end;
            }
            Value::list(run.work, slices)
        }
        _ => broken(format!("there is no filter `{name}`")),
    }
}

fn join(run: &mut Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let between = match arguments.get(0, "d") {
        Some(between) => Some(show::string(run, between)?),
        None => None,
    };
    let mut joined = TextBuilder::new(run.work);
    for (index, item) in value.items(run.work)?.items.iter().enumerate() {
        if let (Some(between), 1..) = (&between, index) {
            joined.push(between)?;
        }
        match arguments.given(1, "attribute") {
            Some(attribute) => {
                let item = by_path(run, item, attribute)?;
                show::push_string(run, &mut joined, &item)?;
            }
            None => show::push_string(run, &mut joined, item)?,
        }
    }
    Ok(Value::Text(joined.finish()?))
}

/// `item.a.b` for the path `a.b`; numbers in it are places.
fn by_path(run: &mut Interpreter, item: &Value, path: &Value) -> Done<Value> {
    let Some(text) = path.as_text() else { return run.item(item, path) };
    let mut value = item.clone();
    for name in text.as_str().split('.') {
        run.work.spend(name.len() + 1)?;
        let key = match name.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::text(run.work, name)?,
        };
        value = run.item(&value, &key)?;
    }
    Ok(value)
}

/// The items; none of `None` and the like, as Jinja has it for `map` and `select`.
fn items_if_any(run: &Interpreter, value: &Value) -> Done<Rc<Items>> {
    if value.is_true() { value.items(run.work) } else { Items::new(run.work, Vec::new()) }
}

/// Each item's attribute, or what the filter that is named first makes of it.
fn map(run: &mut Interpreter, value: &Value, arguments: Arguments) -> Done<Value> {
    let mut mapped = Vec::new();
    for item in &items_if_any(run, value)?.items {
        mapped.push(if let Some(attribute) = named(&arguments, "attribute") {
            let found = by_path(run, item, attribute)?;
            match (found, named(&arguments, "default")) {
                (Value::Undefined(_), Some(default)) => default.clone(),
                (found, _) => found,
            }
        } else {
            let filter = arguments.needed_text(0, "filter")?.clone();
            let rest = Arguments { positional: rest(&arguments, 1), named: arguments.named.clone() };
            run.work.spend_places(rest.positional.len() + rest.named.len())?;
            run.deeper(|run| super::apply(run, filter.as_str(), item.clone(), rest))?
        });
    }
    Value::list(run.work, mapped)
}

fn named<'a>(arguments: &'a Arguments, name: &str) -> Option<&'a Value> {
    arguments.named.iter().find(|(other, _)| **other == *name).map(|(_, value)| value)
}

fn rest(arguments: &Arguments, from: usize) -> Vec<Value> {
    arguments.positional.get(from..).unwrap_or_default().to_vec()
}

fn select(run: &mut Interpreter, name: &str, value: &Value, arguments: Arguments) -> Done<Value> {
    let by_attribute = name.ends_with("attr");
    let (keep, test_at) = (name.starts_with("select"), usize::from(by_attribute));
    let mut kept = Vec::new();
    let test = arguments.text(test_at, "test")?.cloned();
    let rest = Arguments { positional: rest(&arguments, test_at + 1), named: Vec::new() };
    for item in &items_if_any(run, value)?.items {
        let looked_at =
            if by_attribute { by_path(run, item, arguments.needed(0, "attribute")?)? } else { item.clone() };
        let holds = match &test {
            Some(test) => checks::check(run, test.as_str(), &looked_at, &rest)?,
            None => looked_at.is_true(),
        };
        if holds == keep {
            kept.push(item.clone());
        }
    }
    Value::list(run.work, kept)
}

/// Each item with what it is compared by: itself or its attribute, in lower case unless case matters.
fn keyed(
    run: &mut Interpreter,
    value: &Value,
    case_sensitive: bool,
    attribute: Option<&Value>,
) -> Done<Vec<(Value, Value)>> {
    let attribute = attribute.filter(|attribute| !matches!(attribute, Value::None));
    let mut keyed = Vec::new();
    for item in &value.items(run.work)?.items {
        run.work.spend_places(2)?;
        let key = match attribute {
            Some(Value::Text(paths)) if paths.as_str().contains(',') => {
                let mut keys = Vec::new();
                for path in paths.as_str().split(',') {
                    let path = Value::text(run.work, path)?;
                    let key = by_path(run, item, &path)?;
                    keys.push(folded(run, key, case_sensitive)?);
                }
                Value::list(run.work, keys)?
            }
            Some(attribute) => by_path(run, item, attribute)?,
            None => item.clone(),
        };
        keyed.push((folded(run, key, case_sensitive)?, item.clone()));
    }
    Ok(keyed)
}

fn folded(run: &Interpreter, key: Value, case_sensitive: bool) -> Done<Value> {
    match &key {
        Value::Text(text) if !case_sensitive => Ok(Value::Text(text.map(run.work, str::to_lowercase)?)),
        _ => Ok(key),
    }
}

fn sort_by_key(run: &Interpreter, keyed: Vec<(Value, Value)>, reverse: bool) -> Done<Vec<(Value, Value)>> {
    run.work.spend_places(keyed.len())?;
    sort(keyed, &mut |a, b| {
        let order = a.0.order(run.work, &b.0)?;
        Ok(if reverse { order.is_gt() } else { order.is_lt() })
    })
}

fn dict_sort(run: &Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let Value::Dict(dict) = value else {
        return match value {
            Value::Undefined(name) => undefined(name),
            _ => broken(format!("'{}' object has no items", value.type_name())),
        };
    };
    let case_sensitive = arguments.flag(0, "case_sensitive");
    let by_value = match arguments.text(1, "by")?.map_or("key", |by| by.as_str()) {
        "key" => false,
        "value" => true,
        _ => return broken("You can only sort by either \"key\" or \"value\""),
    };
    let mut keyed = Vec::new();
    for (key, value) in &dict.pairs {
        let pair = Value::tuple(run.work, vec![key.clone(), value.clone()])?;
        let sorted_by = folded(run, if by_value { value } else { key }.clone(), case_sensitive)?;
        keyed.push((sorted_by, pair));
    }
    let sorted = sort_by_key(run, keyed, arguments.flag(2, "reverse"))?;
    Value::list(run.work, sorted.into_iter().map(|(_, pair)| pair).collect())
}

fn group_by(run: &mut Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let attribute = arguments.needed(0, "attribute")?.clone();
    let mut keyed = Vec::new();
    for item in &value.items(run.work)?.items {
        run.work.spend_places(2)?;
        let key = match (by_path(run, item, &attribute)?, arguments.get(1, "default")) {
            (Value::Undefined(_), Some(default)) => default.clone(),
            (key, _) => key,
        };
        keyed.push((folded(run, key, arguments.flag(2, "case_sensitive"))?, item.clone()));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in sort_by_key(run, keyed, false)? {
        match groups.last_mut() {
            Some((last, items)) if last.equals(run.work, &key)? => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut pairs = Vec::new();
    for (key, items) in groups {
        // The group is called as its first item is, in its own letters.
        let name = match (items.first(), &key) {
            (Some(first), Value::Text(_)) => match by_path(run, first, &attribute)? {
                Value::Undefined(_) => key,
                name => name,
            },
            _ => key,
        };
        let items = Value::list(run.work, items)?;
        pairs.push(Value::tuple(run.work, vec![name, items])?);
    }
    Value::list(run.work, pairs)
}
