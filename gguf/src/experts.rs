//! The experts of a mixture of experts, as they lie in a file.
//!
//! llama.cpp keeps the experts of a layer in tensors whose last axis counts them (`src/llama-arch.cpp`,
//! `src/models/*.cpp`). The list below is complete for llama-cpp-sys-2 0.1.161; a tensor that looks like one of
//! experts and is not in it is refused, as leaving it whole would give a file that does not fit together.

use crate::{Header, PruneError, Tensor, Value};
use std::collections::BTreeSet;

/// llama.cpp's `LLAMA_MAX_EXPERTS`. Tensors without a row could claim four billion.
pub(crate) const MOST_EXPERTS: u32 = 1024;

/// The experts of a file: how many, in which layers, and which tensors hold them.
#[derive(Debug, Clone)]
pub struct Experts {
    architecture: String,
    count: u32,
    used: u32,
    groups: u64,
    groups_used: u64,
    layers: Vec<u32>,
    parts: Vec<Option<Part>>,
}

/// What a tensor has of each expert.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Position of the layer in [`Experts::layers`].
    pub layer: usize,
    /// The axis that counts experts; it is the last.
    pub axis: usize,
    /// Bytes of one expert.
    pub bytes: u64,
}

/// What a tensor's name says of experts.
enum Role {
    /// Nothing.
    Other,
    /// The experts of a layer along an axis.
    Part { layer: u32, axis: usize },
    /// One expert of several in tensors of their own.
    Separate,
    /// Something that cannot be cut.
    Refused(&'static str),
}

fn role(name: &str) -> Role {
    use Role::{Other, Part, Refused, Separate};
    let mentions = |words: &[&str]| words.iter().any(|word| name.contains(word));
    // Shared experts serve every token; the other two are a norm in front of the experts (arctic) and a scale of the
    // router's input (gemma4), both with one number for each element of the residual stream.
    if mentions(&["shexp", "ffn_norm_exps", "ffn_gate_inp.scale"]) {
        return Other;
    }
    let numbered = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let Some((layer, rest)) = numbered.and_then(|(layer, rest)| Some((layer.parse().ok()?, rest))) else {
        return if mentions(&["_exps", "exp_probs"]) { Refused("belongs to no layer") } else { Other };
    };
    let axis = match rest.split_once('.').unwrap_or((rest, "")) {
        ("ffn_gate_exps" | "ffn_up_exps" | "ffn_down_exps" | "ffn_gate_up_exps", suffix) => match suffix {
            "weight" => 2,
            "bias" => 1,
            "scale" | "input_scale" => 0,
            _ => return Refused("holds something of experts that this program does not know"),
        },
        ("ffn_gate_inp", "weight") => 1,
        ("ffn_gate_inp", "bias") => 0,
        // Without a suffix in hy-v3.
        ("exp_probs_b" | "exp_probs_b_vl", "bias" | "") => 0,
        ("ffn_gate_tid2eid", _) => return Refused("gives tokens experts by their number"),
        ("ffn_gate_chexps" | "ffn_up_chexps" | "ffn_down_chexps", _) => {
            return Refused("is shared by groups of experts");
        }
        ("ffn_gate" | "ffn_up" | "ffn_down", suffix) if suffix.starts_with(|first: char| first.is_ascii_digit()) => {
            return Separate;
        }
        _ if mentions(&["exps", "expert", ".exp_", "ffn_gate_inp"]) => {
            return Refused("holds something of experts that this program does not know");
        }
        _ => return Other,
    };
    Part { layer, axis }
}

impl Experts {
    /// Finds the experts of a file, and refuses files that experts cannot be taken out of.
    pub fn of(header: &Header) -> Result<Self, PruneError> {
        let architecture = header.architecture().unwrap_or("unknown").to_owned();
        let number = |name| header.arch_number(name).unwrap_or(0);
        let count = number("expert_count");
        if count > MOST_EXPERTS.into() {
            return Err(refused(&architecture, "expert_count", count));
        }
        let mut found = Self {
            count: count as u32,
            used: used(header, &architecture)?,
            groups: number("expert_group_count"),
            groups_used: number("expert_group_used_count"),
            architecture,
            layers: Vec::new(),
            parts: Vec::new(),
        };
        if found.count == 0 {
            return Err(PruneError::NotMixture { architecture: found.architecture });
        }
        let (mut layers, mut routers) = (BTreeSet::new(), BTreeSet::new());
        let mut axes = Vec::with_capacity(header.tensors().len());
        for tensor in header.tensors() {
            let name = || tensor.name().to_owned();
            axes.push(match role(tensor.name()) {
                Role::Other => None,
                Role::Separate => return Err(PruneError::SeparateExperts { tensor: name() }),
                Role::Refused(reason) => return Err(PruneError::Unprunable { tensor: name(), reason }),
                Role::Part { layer, axis } => {
                    layers.insert(layer);
                    if tensor.name().ends_with(".ffn_gate_inp.weight") {
                        routers.insert(layer);
                    }
                    Some((layer, axis))
                }
            });
        }
        if let Some(&layer) = layers.difference(&routers).next() {
            return Err(PruneError::NoRouter { layer });
        }
        if layers.is_empty() {
            return Err(PruneError::NotMixture { architecture: found.architecture });
        }
        found.layers.extend(layers);
        for (tensor, axis) in header.tensors().iter().zip(axes) {
            let part = axis.and_then(|(layer, axis)| Some((found.layers.binary_search(&layer).ok()?, axis)));
            let part =
                part.map(|(layer, axis)| Ok::<_, PruneError>(Part { layer, axis, bytes: found.slice(tensor, axis)? }));
            found.parts.push(part.transpose()?);
        }
        Ok(found)
    }

    /// Bytes of one expert of a tensor.
    fn slice(&self, tensor: &Tensor, axis: usize) -> Result<u64, PruneError> {
        let name = || tensor.name().to_owned();
        let (expected, found) = (u64::from(self.count), tensor.dim(axis));
        if found != expected {
            return Err(PruneError::Shape { tensor: name(), expected, found });
        }
        if tensor.dims().iter().skip(axis + 1).any(|&dim| dim != 1) {
            return Err(PruneError::Unprunable { tensor: name(), reason: "has another axis behind the experts" });
        }
        // A slice of any other axis is whole rows.
        if axis == 0 && tensor.kind().block() > 1 {
            return Err(PruneError::Unprunable {
                tensor: name(),
                reason: "has several experts in one quantised block",
            });
        }
        Ok(tensor.bytes() / expected)
    }

    /// The model's architecture, such as `qwen3moe`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Experts of each layer.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Experts that a token uses in a layer; the most of all layers where they differ.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Numbers of the layers with experts (the 7 of `blk.7.`), ascending; layers for multi-token prediction, which
    /// ordinary decoding does not run, are among them.
    pub fn layers(&self) -> &[u32] {
        &self.layers
    }

    /// What each tensor of the header has of each expert.
    pub(crate) fn parts(&self) -> &[Option<Part>] {
        &self.parts
    }

    /// Whether llama.cpp takes a file of `kept` experts a layer.
    ///
    /// The rules are the assertions of `src/llama-model.cpp` (1363–1375) and of `build_moe_ffn` in
    /// `src/llama-graph.cpp`, which end the process, and two architectures that become another model.
    pub fn check_count(&self, kept: u64) -> Result<(), PruneError> {
        let (count, used, groups, groups_used) = (self.count, self.used, self.groups, self.groups_used);
        let fail = |reason: String| Err(PruneError::Count { kept, reason });
        if groups > 1 && (groups_used == 0 || groups_used >= groups) {
            return Err(refused(&self.architecture, "expert_group_used_count", groups_used));
        }
        if kept == 0 {
            return fail("a layer needs at least one".into());
        }
        if kept > u64::from(count) {
            return fail(format!("the file has {count}"));
        }
        if kept < u64::from(used) {
            return fail(format!("each token uses {used}"));
        }
        if kept <= groups {
            return fail(format!("llama.cpp wants more experts than groups, and the file has {groups}"));
        }
        if groups > 1 && !kept.is_multiple_of(groups) {
            return fail(format!("they must divide by the file's {groups} groups of experts"));
        }
        if groups > 1 && kept / groups * groups_used < u64::from(used) {
            return fail(format!("a token takes {used} experts from {groups_used} of {groups} groups"));
        }
        // `src/models/llama4.cpp` turns a norm of queries and keys off for exactly 128 experts.
        if self.architecture == "llama4" && (count == 128) != (kept == 128) {
            return fail(
                "llama.cpp takes a `llama4` with 128 experts for another kind of model than all others".into(),
            );
        }
        // `src/llama-model.cpp` 1339.
        if matches!(self.architecture.as_str(), "hunyuan-dense" | "hunyuan_vl") && kept == 1 {
            return fail(format!("llama.cpp takes a `{}` with one expert for a model without", self.architecture));
        }
        Ok(())
    }

    /// Whether lists of experts to keep, one for each layer with experts, can be kept.
    pub(crate) fn check(&self, keep: &[Vec<u32>]) -> Result<(), PruneError> {
        if keep.len() != self.layers.len() {
            return Err(PruneError::Layers { expected: self.layers.len(), found: keep.len() });
        }
        let expected = keep.first().map_or(0, Vec::len);
        for (&layer, list) in self.layers.iter().zip(keep) {
            if list.len() != expected {
                return Err(PruneError::Unequal { layer, expected, found: list.len() });
            }
            if !list.is_sorted_by(|a, b| a < b) {
                return Err(PruneError::Unsorted { layer });
            }
            if let Some(&expert) = list.last().filter(|&&expert| expert >= self.count) {
                return Err(PruneError::Unknown { layer, expert, last: self.count - 1 });
            }
        }
        self.check_count(expected as u64)?;
        if self.groups > 1 {
            self.check_groups(keep, expected as u64)?;
        }
        Ok(())
    }

    /// Groups are runs of neighbours: unequal ones would hand experts to another group, and the router with them.
    fn check_groups(&self, keep: &[Vec<u32>], kept: u64) -> Result<(), PruneError> {
        let groups = self.groups;
        if !u64::from(self.count).is_multiple_of(groups) {
            return Err(refused(&self.architecture, "expert_group_count", groups));
        }
        let (size, expected) = (u64::from(self.count) / groups, kept / groups);
        for (&layer, list) in self.layers.iter().zip(keep) {
            for group in 0..groups {
                let found = list.iter().filter(|&&expert| u64::from(expert) / size == group).count() as u64;
                if found != expected {
                    return Err(PruneError::Group { layer, group, groups, expected, found });
                }
            }
        }
        Ok(())
    }
}

/// `expert_used_count`: one number, or one for each layer (nemotron-h), of which llama.cpp compares the largest.
fn used(header: &Header, architecture: &str) -> Result<u32, PruneError> {
    let most = match header.arch_value("expert_used_count") {
        Some(Value::Array(array)) => array.integers().and_then(|all| all.into_iter().max()).unwrap_or(0),
        Some(value) => value.number().and_then(|number| i64::try_from(number).ok()).unwrap_or(0),
        None => 0,
    };
    let count = header.arch_number("expert_count").unwrap_or(0);
    match u32::try_from(most) {
        // Without experts this is no error of the file.
        Ok(used) if count == 0 || (used > 0 && u64::from(used) <= count) => Ok(used),
        _ => Err(refused(architecture, "expert_used_count", most.max(0) as u64)),
    }
}

fn refused(architecture: &str, name: &str, value: u64) -> PruneError {
    PruneError::Metadata { key: format!("{architecture}.{name}"), value }
}
