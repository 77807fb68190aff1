//! Python's two ways of formatting: `'%s' % value` and `'{}'.format(value)`.

mod number;

use super::arguments::Arguments;
use super::interpreter::Interpreter;
use super::methods::{Side, padded};
use super::show;
use super::text::{TEMPLATE, Text, TextBuilder};
use super::value::Value;
use super::work::{Done, broken};
use number::Spec;

/// Most digits behind the point; Python's floats have no more than 1074.
const MOST_DIGITS: usize = 1100;

/// `format % values`.
pub fn percent(run: &Interpreter, format: &Text, values: &Value) -> Done<Text> {
    let single = [values.clone()];
    let values_in_order: &[Value] = match values {
        Value::Tuple(values) => &values.items,
        _ => &single,
    };
    let mut next = values_in_order.iter();
    let mut out = TextBuilder::new(run.work);
    let string = format.as_str();
    let (mut at, mut named) = (0, false);
    while let Some(start) = string[at..].find('%').map(|start| at + start) {
        out.push_part(format, at..start)?;
        let mut rest = Reader { text: string, at: start + 1 };
        let mut key = None;
        if rest.take_if(|c| c == '(').is_some() {
            let end = string[rest.at..].find(')').map(|end| rest.at + end);
            let Some(end) = end else { return broken("incomplete format key") };
            key = Some(Value::Text(format.slice(run.work, rest.at..end)?));
            (rest.at, named) = (end + 1, true);
        }
        let mut spec = Spec { sign: '-', align: Some('>'), ..Spec::default() };
        while let Some(flag) = rest.take_if(|c| "-+ #0".contains(c)) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = '+',
                ' ' if spec.sign != '+' => spec.sign = ' ',
                '#' => spec.alternate = true,
                '0' => spec.zero = true,
                _ => {}
            }
        }
        let mut size = |rest: &mut Reader| -> Done<Option<i64>> {
            if rest.take_if(|c| c == '*').is_none() {
                return rest.number();
            }
            match next.next().and_then(Value::as_int) {
                Some(size) => Ok(Some(size)),
                None => broken("* wants int"),
            }
        };
        let width = size(&mut rest)?.unwrap_or(0);
        if width < 0 {
            spec.align = Some('<');
        }
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        if rest.take_if(|c| c == '.').is_some() {
            spec.precision = Some(usize::try_from(size(&mut rest)?.unwrap_or(0)).unwrap_or(0));
        }
        while rest.take_if(|c| "hlL".contains(c)).is_some() {}
        let Some(kind) = rest.take_if(|_| true) else { return broken("incomplete format") };
        at = rest.at;
        if kind == '%' {
            out.push_own("%")?;
            continue;
        }
        let value = match (&key, values) {
            (Some(key), Value::Dict(dict)) => dict.get(run.work, key)?,
            (Some(_), _) => return broken("format requires a mapping"),
            (None, _) => next.next(),
        };
        let Some(value) = value else { return broken("not enough arguments for format string") };
        out.push(&converted(run, value, kind, spec)?)?;
    }
    out.push_part(format, at..format.len())?;
    if next.next().is_some() && !named && !matches!(values, Value::Dict(_) | Value::List(_)) {
        return broken("not all arguments converted during string formatting");
    }
    out.finish()
}

/// One value for `%`.
fn converted(run: &Interpreter, value: &Value, kind: char, mut spec: Spec) -> Done<Text> {
    spec.kind = Some(match kind {
        'i' | 'u' => 'd',
        kind => kind,
    });
    match (kind, value.as_float()) {
        ('s' | 'r' | 'a', _) => {
            let text = if kind == 's' { show::string(run, value)? } else { show::repr(run, value)? };
            spec.zero = false;
            aligned(run, &text, &spec, '>')
        }
        ('c', _) => {
            let text = match (value, value.as_int()) {
                (Value::Text(text), _) if text.as_str().chars().count() == 1 => text.clone(),
                (_, Some(code)) => match u32::try_from(code).ok().and_then(char::from_u32) {
                    Some(character) => Text::new(run.work, &character.to_string(), TEMPLATE)?,
                    None => return broken("%c arg not in range(0x110000)"),
                },
                _ => return broken("%c requires int or char"),
            };
            spec.precision = None;
            aligned(run, &text, &spec, '>')
        }
        ('d' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G', Some(number)) => {
            let value = match (kind, value) {
                ('d' | 'i' | 'u', Value::Float(_)) => Value::Int(number as i64),
                _ => value.clone(),
            };
            numeric(run, &value, &spec)
        }
        ('d' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G', None) => {
            broken(format!("%{kind} format: a number is required, not {}", value.type_name()))
        }
        _ => broken(format!("unsupported format character '{kind}'")),
    }
}

/// `format.format(arguments)`.
pub fn braces(run: &mut Interpreter, format: &Text, arguments: &Arguments) -> Done<Text> {
    filled(run, format, arguments, &mut 0)
}

/// The same, where fields without a name go on from `automatic`.
fn filled(run: &mut Interpreter, format: &Text, arguments: &Arguments, automatic: &mut usize) -> Done<Text> {
    let mut out = TextBuilder::new(run.work);
    let string = format.as_str();
    let mut at = 0;
    while let Some(start) = string[at..].find(['{', '}']).map(|start| at + start) {
        out.push_part(format, at..start)?;
        let twice = string[start + 1..].starts_with(&string[start..start + 1]);
        if twice {
            out.push_part(format, start..start + 1)?;
            at = start + 2;
            continue;
        }
        if string[start..].starts_with('}') {
            return broken("Single '}' encountered in format string");
        }
        let Some(end) = closing(&string[start + 1..]).map(|end| start + 1 + end) else {
            return broken("expected '}' before end of string");
        };
        let field = &string[start + 1..end];
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (path, conversion) = field.split_once('!').unwrap_or((field, ""));
        let mut value = named(run, path, arguments, automatic)?;
        value = match conversion {
            "" => value,
            "s" => Value::Text(show::string(run, &value)?),
            "r" | "a" => Value::Text(show::repr(run, &value)?),
            _ => return broken(format!("Unknown conversion specifier '{conversion}'")),
        };
        let inner = Text::new(run.work, spec, TEMPLATE)?;
        let spec =
            if spec.contains('{') { run.deeper(|run| filled(run, &inner, arguments, automatic))? } else { inner };
        out.push(&formatted(run, &value, spec.as_str())?)?;
        at = end + 1;
    }
    out.push_part(format, at..format.len())?;
    out.finish()
}

/// Where the field ends that begins before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The value of a field's name: `0.name[key]`.
fn named(run: &mut Interpreter, path: &str, arguments: &Arguments, automatic: &mut usize) -> Done<Value> {
    run.work.spend(path.len())?;
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let name = &path[..end];
    let found = match name.parse::<usize>() {
        Ok(index) => arguments.positional.get(index),
        Err(_) if name.is_empty() => {
            *automatic += 1;
            arguments.positional.get(*automatic - 1)
        }
        Err(_) => arguments.named.iter().find(|(other, _)| **other == *name).map(|(_, value)| value),
    };
    let Some(mut value) = found.cloned() else {
        return broken(format!("the format has a field `{name}` and no value for it"));
    };
    let mut rest = &path[end..];
    while !rest.is_empty() {
        let (inner, is_key) = match rest.strip_prefix('[') {
            Some(inner) => (inner, true),
            None => (&rest[1..], false),
        };
        let end = inner.find(if is_key { &[']'][..] } else { &['.', '['][..] }).unwrap_or(inner.len());
        let name = &inner[..end];
        let key = match name.parse() {
            Ok(index) if is_key => Value::Int(index),
            _ => Value::text(run.work, name)?,
        };
        value = if is_key { run.item(&value, &key)? } else { run.attribute(&value, name)? };
        rest = inner[end..].strip_prefix(']').unwrap_or(&inner[end..]);
    }
    Ok(value)
}

/// `format(value, spec)`.
fn formatted(run: &Interpreter, value: &Value, spec: &str) -> Done<Text> {
    if spec.is_empty() {
        return show::string(run, value);
    }
    let spec = parse(spec)?;
    let is_text = matches!(spec.kind, None | Some('s'));
    match value {
        Value::Text(text) if is_text => aligned(run, text, &spec, '<'),
        Value::Bool(_) if spec.kind.is_none() => aligned(run, &show::string(run, value)?, &spec, '<'),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) => numeric(run, value, &spec),
        _ => broken(format!("unsupported format string passed to {}.__format__", value.type_name())),
    }
}

/// `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
fn parse(text: &str) -> Done<Spec> {
    let mut spec = Spec { sign: '-', ..Spec::default() };
    let mut rest = Reader { text, at: 0 };
    let is_align = |c: char| "<>=^".contains(c);
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(fill), Some(align)) if is_align(align) => {
            (spec.fill, spec.align) = (Some(fill), Some(align));
            rest.at = fill.len_utf8() + align.len_utf8();
        }
        _ => spec.align = rest.take_if(is_align),
    }
    spec.sign = rest.take_if(|c| "+- ".contains(c)).unwrap_or('-');
    spec.alternate = rest.take_if(|c| c == '#').is_some();
    spec.zero = rest.take_if(|c| c == '0').is_some();
    spec.width = rest.number()?.and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
    spec.group = rest.take_if(|c| c == ',' || c == '_');
    if rest.take_if(|c| c == '.').is_some() {
        spec.precision = rest.number()?.and_then(|digits| usize::try_from(digits).ok());
        if spec.precision.is_none() {
            return broken("Format specifier missing precision");
        }
    }
    spec.kind = rest.take_if(|_| true);
    if rest.at < text.len() { broken("Invalid format specifier") } else { Ok(spec) }
}

/// A text, cut to the precision and as wide as it should be.
fn aligned(run: &Interpreter, text: &Text, spec: &Spec, default: char) -> Done<Text> {
    let end = spec.precision.and_then(|most| text.as_str().char_indices().nth(most)).map_or(text.len(), |(at, _)| at);
    let text = text.slice(run.work, 0..end)?;
    let fill = Text::new(run.work, &spec.fill.unwrap_or(' ').to_string(), TEMPLATE)?;
    let missing = spec.width.saturating_sub(text.as_str().chars().count());
    match spec.align.unwrap_or(default) {
        // Unlike `str.center`, the odd one always goes to the right.
        '^' => {
            let text = padded(run.work, &text, spec.width - missing + missing / 2, Some(&fill), Side::Left)?;
            padded(run.work, &text, spec.width, Some(&fill), Side::Right)
        }
        '>' => padded(run.work, &text, spec.width, Some(&fill), Side::Left),
        _ => padded(run.work, &text, spec.width, Some(&fill), Side::Right),
    }
}

/// A number, with what its width lacks before it, after it or after its sign.
fn numeric(run: &Interpreter, value: &Value, spec: &Spec) -> Done<Text> {
    if spec.precision.is_some_and(|digits| digits > MOST_DIGITS) {
        return broken("precision too big");
    }
    let (sign, digits) = number::written(value, spec)?;
    let mut out = TextBuilder::new(run.work);
    let zero_filled = spec.zero && spec.align != Some('<') || spec.align == Some('=');
    if zero_filled {
        let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' }).to_string();
        let fill = Text::new(run.work, &fill, TEMPLATE)?;
        out.push_own(&sign)?;
        out.push_times(&fill, spec.width.saturating_sub(sign.len() + digits.len()))?;
        out.push_own(&digits)?;
        return out.finish();
    }
    out.push_own(&sign)?;
    out.push_own(&digits)?;
    let spec = Spec { precision: None, ..*spec };
    aligned(run, &out.finish()?, &spec, '>')
}

/// Reads a format from its beginning.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn take_if(&mut self, is_it: impl Fn(char) -> bool) -> Option<char> {
        let character = self.text[self.at..].chars().next().filter(|&character| is_it(character))?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn number(&mut self) -> Done<Option<i64>> {
        let start = self.at;
        while self.take_if(|c| c.is_ascii_digit()).is_some() {}
        match &self.text[start..self.at] {
            "" => Ok(None),
            digits => {
                digits.parse().map_or_else(|_| broken("Too many decimal digits in format string"), |n| Ok(Some(n)))
            }
        }
    }
}
