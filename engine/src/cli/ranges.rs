//! The range of every number a person can give, for the flags and for `/params` alike.

use plugin_api::Parameters;
use std::{fmt::Display, str::FromStr};

/// Reads a number within `low..=high`; `what` names the range in the message.
fn within<T>(text: &str, low: T, high: T, what: &str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    // NaN is in no range, and infinity in none of these.
    match text.trim().parse::<T>() {
        Ok(value) if value >= low && value <= high => Ok(value),
        _ => Err(format!("it takes {what}")),
    }
}

/// Above 5 every distribution is noise.
pub fn temperature(text: &str) -> Result<f32, String> {
    within(text, 0.0, 5.0, "a number from 0 (always the likeliest) to 5")
}

/// 0 would leave nothing to choose from.
pub fn top_p(text: &str) -> Result<f32, String> {
    within(text, f32::MIN_POSITIVE, 1.0, "a number above 0 and up to 1 (off)")
}

/// A share of the likeliest unit's probability.
pub fn min_p(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1.0, "a number from 0 (off) to 1")
}

/// Larger than any vocabulary is as good as off.
pub fn top_k(text: &str) -> Result<u32, String> {
    within(text, 0, 1_000_000, "a whole number from 0 (off) to 1000000")
}

/// Below 1 it would reward repetition.
pub fn repeat_penalty(text: &str) -> Result<f32, String> {
    within(text, 1.0, 10.0, "a number from 1 (off) to 10")
}

/// A probability.
pub fn confidence_threshold(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1.0, "a number from 0 to 1")
}

/// Retractions a reply.
pub fn max_retractions(text: &str) -> Result<u32, String> {
    within(text, 0, 1000, "a whole number from 0 (none) to 1000")
}

/// Units a reply.
pub fn n_predict(text: &str) -> Result<u32, String> {
    within(text, 1, 1_000_000, "a whole number from 1 to 1000000")
}

/// Items of a task.
pub fn limit(text: &str) -> Result<usize, String> {
    within(text, 1, usize::MAX, "a whole number from 1")
}

/// Items that are answered at once.
pub fn at_once(text: &str) -> Result<usize, String> {
    within(text, 1, 64, "a whole number from 1 to 64")
}

/// Members of a team.
pub fn most(text: &str) -> Result<usize, String> {
    within(text, 2, 16, "a whole number from 2 to 16")
}

/// Bytes: a number with K, M, G or T behind it.
pub fn memory(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let factor = |unit: char| "KMGT".find(unit.to_ascii_uppercase()).map(|place| 1u64 << (10 * (place + 1)));
    let (number, factor) = match text.chars().next_back().and_then(factor) {
        Some(factor) => (&text[..text.len() - 1], factor),
        None => (text, 1),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * (factor as f64) < 1e18 => Ok((number * factor as f64) as u64),
        _ => Err("it takes a size above 0, such as `8G` or `700M`".into()),
    }
}

/// Of the random draws.
pub fn seed(text: &str) -> Result<u64, String> {
    within(text, 0, u64::MAX, "a whole number from 0 to 18446744073709551615")
}

/// Tokens of context.
pub fn ctx_size(text: &str) -> Result<u32, String> {
    within(text, 16, 1 << 22, "a whole number from 16 to 4194304")
}

/// More threads than cores is slower by a factor of ten and more; this only keeps a slip from starting thousands.
pub fn threads(text: &str) -> Result<usize, String> {
    within(text, 1, 1024, "a whole number from 1 to 1024")
}

/// Units of a draft. They are decoded in one batch, whose rows have to be kept.
pub fn draft_length(text: &str) -> Result<usize, String> {
    within(text, 1, 7, "a whole number from 1 to 7")
}

/// A probability.
pub fn accept(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1.0, "a number from 0 to 1")
}

/// Texts at once.
pub fn texts(text: &str) -> Result<usize, String> {
    within(text, 2, 64, "a whole number from 2 to 64")
}

/// Replies that a server writes at once.
#[cfg(feature = "serve")]
pub fn parallel(text: &str) -> Result<usize, String> {
    within(text, 1, 64, "a whole number from 1 to 64")
}

/// Requests that may be at a server at once.
#[cfg(feature = "serve")]
pub fn queue(text: &str) -> Result<usize, String> {
    within(text, 1, 100_000, "a whole number from 1 to 100000")
}

/// A day is longer than anybody waits.
#[cfg(feature = "serve")]
pub fn seconds(text: &str) -> Result<u64, String> {
    within(text, 1, 86_400, "a whole number of seconds from 1 to 86400")
}

/// 0 cuts at once.
#[cfg(feature = "serve")]
pub fn grace(text: &str) -> Result<u64, String> {
    within(text, 0, 86_400, "a whole number of seconds from 0 to 86400")
}

/// Tokens of a prompt to be read.
pub fn prompt_tokens(text: &str) -> Result<usize, String> {
    within(text, 1, 1 << 22, "a whole number from 1 to 4194304")
}

/// Layers of one member on the GPU.
pub fn gpu_layers(text: &str) -> Result<i32, String> {
    within(text, -1, 10_000, "whole numbers from -1 (all) to 10000")
}

/// Prior weight of one member.
pub fn weight(text: &str) -> Result<f32, String> {
    within(text, 0.0, 1e6, "numbers from 0 to 1000000")
}

/// The sampling parameters that `/params` knows, as flags without the dashes.
pub const PARAMETERS: [&str; 5] = ["temperature", "top-k", "top-p", "min-p", "repeat-penalty"];

/// Sets one of [`PARAMETERS`].
pub fn set_parameter(parameters: &mut Parameters, name: &str, text: &str) -> Result<(), String> {
    match name.replace('_', "-").as_str() {
        "temperature" => parameters.temperature = temperature(text)?,
        "top-k" => parameters.top_k = top_k(text)?,
        "top-p" => parameters.top_p = top_p(text)?,
        "min-p" => parameters.min_p = min_p(text)?,
        "repeat-penalty" => parameters.repeat_penalty = repeat_penalty(text)?,
        _ => return Err(format!("there is no such parameter; there are {}", PARAMETERS.join(", "))),
    }
    Ok(())
}

/// One of [`PARAMETERS`] as text that [`set_parameter`] reads back.
pub fn parameter(parameters: &Parameters, name: &str) -> String {
    match name {
        "temperature" => parameters.temperature.to_string(),
        "top-k" => parameters.top_k.to_string(),
        "top-p" => parameters.top_p.to_string(),
        "min-p" => parameters.min_p.to_string(),
        _ => parameters.repeat_penalty.to_string(),
    }
}

/// Checks parameters that come from a file.
pub fn check(parameters: &Parameters) -> Result<(), String> {
    PARAMETERS.iter().try_for_each(|name| {
        set_parameter(&mut parameters.clone(), name, &parameter(parameters, name))
            .map_err(|range| format!("`{name}` is {}, and {range}", parameter(parameters, name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_nan_nor_infinity_is_a_number() {
        for text in ["nan", "NaN", "inf", "-inf", "1e999", "", "x"] {
            assert!(temperature(text).is_err() && top_p(text).is_err() && min_p(text).is_err(), "{text}");
            assert!(repeat_penalty(text).is_err() && weight(text).is_err() && confidence_threshold(text).is_err());
        }
    }

    #[test]
    fn the_ends_of_a_range_belong_to_it_where_it_says_so() {
        assert_eq!((temperature("0"), temperature("5")), (Ok(0.0), Ok(5.0)));
        assert!(top_p("0").is_err() && top_p("1").is_ok());
        assert!(repeat_penalty("0.99").is_err() && repeat_penalty("1").is_ok());
        assert!(gpu_layers("-1").is_ok() && gpu_layers("-2").is_err());
    }

    #[test]
    fn every_parameter_can_be_shown_and_set() {
        let parameters = crate::settings::Settings::default().parameters;
        let mut copy = Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };
        for name in PARAMETERS {
            set_parameter(&mut copy, name, &parameter(&parameters, name)).unwrap();
        }
        assert_eq!(copy, parameters);
    }
}
