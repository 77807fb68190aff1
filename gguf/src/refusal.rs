//! Why experts of a file cannot be removed, in sentences that say what to do.

use crate::HeaderError;

/// Why experts of a file cannot be removed, or not these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// A model whose layers have no experts.
    #[error(
        "the file is a `{architecture}` model without experts, so there are none to remove: choose a mixture of experts"
    )]
    NotMixture {
        /// `general.architecture`, or `unknown`.
        architecture: String,
    },
    /// One tensor for each expert, as llama.cpp wrote them until 2024.
    #[error("the file has its experts in separate tensors such as `{tensor}`: convert the model anew with llama.cpp")]
    SeparateExperts {
        /// The first of these tensors.
        tensor: String,
    },
    /// A tensor that depends on the experts in a way that slices do not keep.
    #[error("experts of this model cannot be removed, as its tensor `{tensor}` {reason}")]
    Unprunable {
        /// The tensor.
        tensor: String,
        /// What it does.
        reason: &'static str,
    },
    /// A tensor that does not fit `expert_count`.
    #[error("the tensor `{tensor}` has {found} experts and the file says {expected}: it is damaged, fetch it again")]
    Shape {
        /// The tensor.
        tensor: String,
        /// `<architecture>.expert_count`.
        expected: u64,
        /// Length of the tensor's expert axis.
        found: u64,
    },
    /// Numbers in the metadata that llama.cpp refuses.
    #[error("the file says `{key}` = {value}, which llama.cpp refuses: it is damaged, fetch it again")]
    Metadata {
        /// The key.
        key: String,
        /// Its value.
        value: u64,
    },
    /// Experts in a layer without `ffn_gate_inp`.
    #[error("layer {layer} has experts and no router that is known (`blk.{layer}.ffn_gate_inp.weight`)")]
    NoRouter {
        /// The layer's number in the file.
        layer: u32,
    },
    /// More or fewer lists than layers.
    #[error("experts to keep were named for {found} layers and the file has {expected} layers with experts")]
    Layers {
        /// Layers with experts.
        expected: usize,
        /// Lists.
        found: usize,
    },
    /// Layers of different sizes, which GGUF cannot express.
    #[error(
        "layer {layer} would keep {found} experts and the first layer {expected}: GGUF has one number for all layers"
    )]
    Unequal {
        /// The layer's number in the file.
        layer: u32,
        /// Experts that the first layer keeps.
        expected: usize,
        /// Experts that this one keeps.
        found: usize,
    },
    /// A list that is not strictly ascending.
    #[error("the experts to keep in layer {layer} must be in ascending order, each once")]
    Unsorted {
        /// The layer's number in the file.
        layer: u32,
    },
    /// An expert that is not there.
    #[error("layer {layer} has no expert {expert}: its experts are 0 to {last}")]
    Unknown {
        /// The layer's number in the file.
        layer: u32,
        /// The expert that was named.
        expert: u32,
        /// The last that there is.
        last: u32,
    },
    /// A count at which llama.cpp ends the process or builds another model.
    #[error("{kept} experts a layer cannot be: {reason}")]
    Count {
        /// Experts that each layer would keep.
        kept: u64,
        /// What stands against it.
        reason: String,
    },
    /// Groups of experts of different sizes.
    #[error(
        "layer {layer} would keep {found} experts of group {group}, and each of the {groups} groups must keep {expected}: \
         llama.cpp takes equal groups of neighbours"
    )]
    Group {
        /// The layer's number in the file.
        layer: u32,
        /// The group, from 0.
        group: u64,
        /// Number of groups.
        groups: u64,
        /// Experts that each group must keep.
        expected: u64,
        /// Experts that this one would keep.
        found: u64,
    },
    /// A header that cannot be.
    #[error(transparent)]
    Header(#[from] HeaderError),
}
