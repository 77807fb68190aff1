//! Numbers as Python formats them.

use super::super::show;
use super::super::value::Value;
use super::super::work::{Done, broken};

/// How a value is to be written.
#[derive(Clone, Copy, Default)]
pub struct Spec {
    pub fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    pub align: Option<char>,
    /// `-` for negative numbers alone, `+` for all, or a space where there is no minus.
    pub sign: char,
    pub alternate: bool,
    pub zero: bool,
    pub width: usize,
    /// What stands between groups of three digits.
    pub group: Option<char>,
    pub precision: Option<usize>,
    pub kind: Option<char>,
}

/// Sign (with the prefix of another base) and digits.
pub fn written(value: &Value, spec: &Spec) -> Done<(String, String)> {
    let kind = spec.kind.unwrap_or(if matches!(value, Value::Float(_)) { 'r' } else { 'd' });
    let digits = match (kind, value.as_int(), value.as_float()) {
        ('d' | 'n', Some(number), _) => grouped(&whole(number.unsigned_abs().to_string(), spec), spec),
        ('x', Some(number), _) => whole(format!("{:x}", number.unsigned_abs()), spec),
        ('X', Some(number), _) => whole(format!("{:X}", number.unsigned_abs()), spec),
        ('o', Some(number), _) => whole(format!("{:o}", number.unsigned_abs()), spec),
        ('b', Some(number), _) => whole(format!("{:b}", number.unsigned_abs()), spec),
        ('c', Some(number), _) => match u32::try_from(number).ok().and_then(char::from_u32) {
            Some(character) => character.to_string(),
            None => return broken("%c arg not in range(0x110000)"),
        },
        (_, _, Some(number)) => grouped(&real(number.abs(), kind, spec)?, spec),
        _ => return broken(format!("Unknown format code '{kind}' for object of type '{}'", value.type_name())),
    };
    let negative = value.as_float().is_some_and(|number| number.is_sign_negative());
    let mut sign = match (negative, spec.sign) {
        (true, _) => "-".to_string(),
        (false, '-') => String::new(),
        (false, sign) => sign.to_string(),
    };
    if spec.alternate {
        sign += match kind {
            'x' => "0x",
            'X' => "0X",
            'o' => "0o",
            'b' => "0b",
            _ => "",
        };
    }
    Ok((sign, digits))
}

/// Digits of a whole number, as many as the precision says at least.
fn whole(digits: String, spec: &Spec) -> String {
    let missing = spec.precision.unwrap_or(0).saturating_sub(digits.len());
    format!("{}{digits}", "0".repeat(missing))
}

fn real(number: f64, kind: char, spec: &Spec) -> Done<String> {
    let upper = kind.is_ascii_uppercase();
    let digits = match kind.to_ascii_lowercase() {
        _ if !number.is_finite() => show::float(number),
        'f' => format!("{number:.*}", spec.precision.unwrap_or(6)),
        '%' => format!("{:.*}%", spec.precision.unwrap_or(6), number * 100.0),
        'e' => exponential(number, spec.precision.unwrap_or(6)),
        'g' | 'n' => general(number, spec.precision.unwrap_or(6).max(1), spec.alternate),
        'r' if kind == 'r' => match spec.precision {
            None => show::float(number),
            Some(precision) => {
                let digits = general(number, precision.max(1), false);
                if digits.contains(['.', 'e']) { digits } else { digits + ".0" }
            }
        },
        _ => return broken(format!("Unknown format code '{kind}' for object of type 'float'")),
    };
    Ok(if upper { digits.to_uppercase() } else { digits })
}

/// Like `1.500000e+03`.
fn exponential(number: f64, precision: usize) -> String {
    let written = format!("{number:.precision$e}");
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// The shorter of both forms, with `precision` digits in all and without zeros at the end.
fn general(number: f64, precision: usize, keep_zeros: bool) -> String {
    let scientific = exponential(number, precision - 1);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let trim = |digits: &str| match digits.contains('.') && !keep_zeros {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => digits.to_string(),
    };
    match exponent.parse::<i32>() {
        Ok(power) if power < -4 || power >= precision as i32 => format!("{}e{exponent}", trim(digits)),
        Ok(power) => trim(&format!("{number:.*}", usize::try_from(precision as i32 - 1 - power).unwrap_or(0))),
        Err(_) => scientific.clone(),
    }
}

/// With a sign between groups of three digits before the point.
fn grouped(digits: &str, spec: &Spec) -> String {
    let Some(group) = spec.group else { return digits.to_string() };
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    let mut out = String::new();
    for (index, digit) in digits[..end].chars().enumerate() {
        if index > 0 && (end - index) % 3 == 0 {
            out.push(group);
        }
        out.push(digit);
    }
    out.push_str(&digits[end..]);
    out
}
