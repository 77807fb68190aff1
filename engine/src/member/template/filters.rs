//! The filters of Jinja2, with `tojson` as transformers sets it up.

mod lists;
mod texts;

use super::arguments::Arguments;
use super::interpreter::Interpreter;
use super::text::{Text, TextBuilder};
use super::value::Value;
use super::work::{Done, broken};
use super::{format, methods, show};

/// All that [`apply`] knows.
const NAMES: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
];

pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// `value | name(arguments)`.
pub fn apply(run: &mut Interpreter, name: &str, value: Value, arguments: Arguments) -> Done<Value> {
    // A filter may go through a text more than once, but not often.
    run.work.spend(value.as_text().map_or(0, Text::len))?;
    let text = |run: &Interpreter| show::string(run, &value);
    match name {
        "default" | "d" => default(run, value, &arguments),
        "length" | "count" => Ok(Value::Int(value.len(run.work)? as i64)),
        "string" => Ok(Value::Text(text(run)?)),
        "safe" => Ok(value),
        "tojson" => to_json(run, &value, &arguments),
        "format" => {
            let format = text(run)?;
            let values = match arguments.named.is_empty() {
                true => Value::tuple(run.work, arguments.positional)?,
                false => {
                    let mut pairs = Vec::new();
                    for (name, value) in arguments.named {
                        pairs.push((Value::text(run.work, &name)?, value));
                    }
                    Value::dict(run.work, pairs)?
                }
            };
            Ok(Value::Text(format::percent(run, &format, &values)?))
        }
        "pprint" => Ok(Value::Text(show::repr(run, &value)?)),
        "attr" => {
            let name = arguments.needed_text(0, "name")?;
            match value {
                Value::Dict(_) if !methods::has(&value, name.as_str()) => Ok(Value::Undefined(name.as_str().into())),
                _ => run.attribute(&value, name.as_str()),
            }
        }
        "abs" => match (value.as_int(), value.as_float()) {
            (Some(number), _) => {
                number.checked_abs().map_or_else(|| broken("too large"), |number| Ok(Value::Int(number)))
            }
            (_, Some(number)) => Ok(Value::Float(number.abs())),
            _ => broken(format!("bad operand type for abs(): '{}'", value.type_name())),
        },
        "int" => Ok(to_int(&value, &arguments)?),
        "float" => Ok(match &value {
            Value::Text(text) => text.as_str().trim().parse().map(Value::Float).ok(),
            _ => value.as_float().map(Value::Float),
        }
        .unwrap_or_else(|| arguments.get(0, "default").cloned().unwrap_or(Value::Float(0.0)))),
        "round" => round(run, &value, &arguments),
        "filesizeformat" => file_size(run, &value, &arguments),
        "upper" | "lower" | "capitalize" | "title" | "trim" | "center" | "replace" | "indent" | "truncate"
        | "wordcount" | "wordwrap" | "striptags" | "urlencode" | "e" | "escape" | "forceescape" => {
            texts::apply(run, name, &text(run)?, &arguments)
        }
        _ => lists::apply(run, name, &value, arguments),
    }
}

fn default(run: &Interpreter, value: Value, arguments: &Arguments) -> Done<Value> {
    let missing = matches!(value, Value::Undefined(_)) || arguments.flag(1, "boolean") && !value.is_true();
    match arguments.get(0, "default_value") {
        _ if !missing => Ok(value),
        Some(default) => Ok(default.clone()),
        None => Value::text(run.work, ""),
    }
}

/// `json.dumps`, with the defaults of transformers.
fn to_json(run: &Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let style = json_style(run, arguments)?;
    let mut json = TextBuilder::new(run.work);
    show::push_json(run, &mut json, value, &style, 0)?;
    Ok(Value::Text(json.finish()?))
}

fn json_style(run: &Interpreter, arguments: &Arguments) -> Done<show::JsonStyle> {
    let own = |text: &str| Text::new(run.work, text, super::text::TEMPLATE);
    let indent = match arguments.given(1, "indent") {
        None => None,
        Some(Value::Text(text)) => Some(text.clone()),
        Some(_) => {
            let mut spaces = TextBuilder::new(run.work);
            spaces.push_times(&own(" ")?, arguments.size(1, "indent", 0)?)?;
            Some(spaces.finish()?)
        }
    };
    let (mut between_items, mut after_key) = (own(if indent.is_some() { "," } else { ", " })?, own(": ")?);
    if let Some(separators) = arguments.given(2, "separators") {
        let separators = separators.items(run.work)?;
        let [Value::Text(items), Value::Text(keys)] = separators.items.as_slice() else {
            return broken("`separators` must be two texts");
        };
        (between_items, after_key) = (items.clone(), keys.clone());
    }
    let (ascii, sort_keys) = (arguments.flag(0, "ensure_ascii"), arguments.flag(3, "sort_keys"));
    Ok(show::JsonStyle { ascii, indent, between_items, after_key, sort_keys })
}

fn to_int(value: &Value, arguments: &Arguments) -> Done<Value> {
    let number = match value {
        Value::Text(text) => {
            let text = text.as_str().trim().replace('_', "");
            let base = arguments.int(1, "base")?.unwrap_or(10);
            let digits = ["0x", "0X", "0o", "0O", "0b", "0B"].iter().find_map(|prefix| text.strip_prefix(prefix));
            let digits = if base == 10 { text.as_str() } else { digits.unwrap_or(&text) };
            let whole = i64::from_str_radix(digits, u32::try_from(base).unwrap_or(10).clamp(2, 36)).ok();
            whole.or_else(|| text.parse().ok().and_then(truncated))
        }
        Value::Float(number) => truncated(*number),
        _ => value.as_int(),
    };
    let default = || arguments.get(0, "default").cloned().unwrap_or(Value::Int(0));
    Ok(number.map_or_else(default, Value::Int))
}

fn truncated(number: f64) -> Option<i64> {
    (number.abs() < i64::MAX as f64).then_some(number as i64)
}

fn round(run: &Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let precision = arguments.int(0, "precision")?.unwrap_or(0);
    let method = arguments.text(1, "method")?.map_or("common", Text::as_str);
    // As many digits may be written on the way.
    run.work.spend(4 * precision.clamp(0, 300) as usize)?;
    let is_whole = value.as_int().is_some() && method == "common";
    if let (Some(number), true, 0..) = (value.as_int(), is_whole, precision) {
        return Ok(Value::Int(number));
    }
    let Some(number) = value.as_float() else { return broken(format!("no number: {}", value.type_name())) };
    let scale = 10f64.powi(precision.clamp(-300, 300) as i32);
    let rounded = match method {
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        "common" if (0..=300).contains(&precision) => {
            format!("{number:.*}", precision as usize).parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        _ => return broken("method must be common, ceil or floor"),
    };
    Ok(if is_whole { Value::Int(rounded as i64) } else { Value::Float(rounded) })
}

fn file_size(run: &Interpreter, value: &Value, arguments: &Arguments) -> Done<Value> {
    let bytes = match value {
        Value::Text(text) => text.as_str().trim().parse().ok(),
        _ => value.as_float(),
    };
    let Some(bytes) = bytes else { return broken("a size must be a number") };
    let binary = arguments.flag(0, "binary");
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let words = match bytes {
        1.0 => "1 Byte".into(),
        _ if bytes < base => format!("{} Bytes", bytes as i64),
        _ => {
            let power = (1..8).find(|&power| bytes < base.powi(power + 1)).unwrap_or(8);
            let prefix = ["k", "M", "G", "T", "P", "E", "Z", "Y"][power as usize - 1];
            let prefix = if binary { format!("{}i", prefix.to_uppercase()) } else { prefix.into() };
            format!("{:.1} {prefix}B", bytes / base.powi(power))
        }
    };
    Value::text(run.work, &words)
}
