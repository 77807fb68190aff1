//! The values that llama.cpp takes for granted in a header: it ends the process over others, by an assertion, a division by
//! zero or a call of a function that is not there.
//!
//! What it only refuses to load is not repeated here; it says so itself. The list follows `llama-model.cpp`
//! (`load_hparams`) and ggml's CPU code as of llama-cpp-sys-2 0.1.161, and is not complete: each architecture asserts more.

use super::header::{Header, Value};
use std::fmt::Display;

/// LLAMA_MAX_LAYERS.
const MOST_LAYERS: u64 = 512;
/// LLAMA_MAX_EXPERTS.
const MOST_EXPERTS: u64 = 1024;
/// TENSOR_ALIGNMENT: where a buffer may begin.
const ALIGNMENT: u64 = 32;
const ROPE_SCALINGS: [&str; 4] = ["none", "linear", "yarn", "longrope"];
/// Architectures in which no layer, or not every layer, has attention heads.
const HEADLESS: [&str; 7] = ["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7", "jamba"];
/// Tensor types that no matrix product takes: Q8_1, Q8_K, I8, I16, I32, I64, F64.
const WITHOUT_PRODUCT: [(u32, &str); 7] =
    [(9, "Q8_1"), (15, "Q8_K"), (24, "I8"), (25, "I16"), (26, "I32"), (27, "I64"), (28, "F64")];

/// The first value that llama.cpp would not survive, as half a sentence about the file.
pub fn fault(header: &Header, architecture: &str) -> Option<String> {
    let own = Own { header, architecture };
    let checks = [layers, experts, heads, positions, epsilons];
    checks.iter().find_map(|check| check(&own)).or_else(|| tensors(header)).or_else(|| vocabulary(header))
}

/// Values under keys that begin with the architecture.
struct Own<'a> {
    header: &'a Header,
    architecture: &'a str,
}

impl Own<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.header.value(&format!("{}.{key}", self.architecture))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.header.number(&format!("{}.{key}", self.architecture))
    }

    /// The highest of a number for each layer, or the one for all.
    fn most(&self, key: &str) -> u64 {
        match self.value(key) {
            Some(&Value::Number(number)) => number,
            Some(Value::Numbers(numbers)) => numbers.iter().copied().max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn not(what: &str, value: impl Display, expected: impl Display) -> Option<String> {
    Some(format!("its {what} is {value}, and must be {expected}"))
}

fn layers(own: &Own) -> Option<String> {
    let layers = own.number("block_count")?;
    if !(1..=MOST_LAYERS).contains(&layers) {
        return not("number of layers", layers, format!("1 to {MOST_LAYERS}"));
    }
    let predicting = own.number("nextn_predict_layers").unwrap_or(0);
    if predicting > layers {
        return not("number of predicting layers", predicting, format!("at most {layers}, that of all layers"));
    }
    None
}

fn experts(own: &Own) -> Option<String> {
    let (experts, used) = (own.number("expert_count").unwrap_or(0), own.most("expert_used_count"));
    let (groups, groups_used) = (own.most("expert_group_count"), own.most("expert_group_used_count"));
    // In these llama.cpp takes a single expert for none.
    if experts <= 1 && own.architecture.starts_with("hunyuan") {
        return None;
    }
    if experts > MOST_EXPERTS {
        return not("number of experts", experts, format!("at most {MOST_EXPERTS}"));
    }
    if used > experts {
        return not("number of experts in use", used, format!("at most {experts}, that of all experts"));
    }
    if experts == 0 {
        return if groups == 0 { None } else { not("number of groups of experts", groups, "0, as it has no experts") };
    }
    if used == 0 {
        return not("number of experts in use", used, format!("1 to {experts}"));
    }
    if groups >= experts {
        return not("number of groups of experts", groups, format!("below {experts}, that of the experts"));
    }
    if groups > 1 && !experts.is_multiple_of(groups) {
        return not("number of groups of experts", groups, format!("one that divides {experts}, that of the experts"));
    }
    if groups > 1 && !(1..groups).contains(&groups_used) {
        return not("number of groups of experts in use", groups_used, format!("1 to {}", groups - 1));
    }
    None
}

fn heads(own: &Own) -> Option<String> {
    let none = matches!(own.value("attention.head_count")?, Value::Number(0));
    let headless = HEADLESS.contains(&own.architecture) || own.architecture.contains("hybrid");
    if none && !headless { not("number of attention heads", 0, "at least 1") } else { None }
}

fn positions(own: &Own) -> Option<String> {
    if let Some(context) = own.number("context_length").filter(|&context| context > i32::MAX as u64) {
        return not("context", context, "below 2147483648 tokens");
    }
    match own.value("rope.scaling.type") {
        Some(Value::Text(name)) if !ROPE_SCALINGS.contains(&name.as_str()) => {
            let shown: String = name.chars().take(40).collect();
            not(
                "scaling of positions",
                format!("`{}`", shown.escape_debug()),
                format!("`{}`", ROPE_SCALINGS.join("`, `")),
            )
        }
        _ => None,
    }
}

fn epsilons(own: &Own) -> Option<String> {
    ["layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon"].iter().find_map(|key| {
        let Some(&Value::Real(epsilon)) = own.value(&format!("attention.{key}")) else { return None };
        if epsilon.is_finite() && epsilon >= 0.0 { None } else { not(key, epsilon, "a number from 0 on") }
    })
}

fn tensors(header: &Header) -> Option<String> {
    if !header.first_tensor.is_multiple_of(ALIGNMENT) {
        return Some(format!("its tensors begin at byte {}, which is no multiple of {ALIGNMENT}", header.first_tensor));
    }
    header.tensors.iter().filter(|(name, _)| name.ends_with(".weight")).find_map(|(name, kind)| {
        let (_, word) = WITHOUT_PRODUCT.iter().find(|(number, _)| number == kind)?;
        Some(format!(
            "its tensor `{}` is of the type {word}, with which nothing can be multiplied",
            name.escape_debug()
        ))
    })
}

/// The first fault of the vocabulary.
pub fn vocabulary(header: &Header) -> Option<String> {
    if header.value("tokenizer.ggml.tokens") == Some(&Value::Array(0)) {
        return Some("its vocabulary is empty".into());
    }
    header.pieces.fault(header.text("tokenizer.ggml.model").unwrap_or_default())
}
