//! Models of a real architecture with random weights: they load, decode, rewind and fill memory like trained ones.

use std::path::Path;

use super::{Gguf, Tensor, TensorType, Value, Vocabulary};

/// How a model remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Attention: a KV cache that can be cut.
    Llama,
    /// A recurrent state that cannot be cut.
    Mamba,
    /// A hybrid: layers of attention and of recurrence in turn.
    Jamba,
}

impl Architecture {
    /// As model files call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mamba => "mamba",
            Self::Jamba => "jamba",
        }
    }
}

/// What to write; change the fields of [`RandomModel::tiny`].
#[derive(Clone, Debug)]
pub struct RandomModel {
    pub architecture: Architecture,
    pub vocabulary: Vocabulary,
    /// Of the matrices.
    pub kind: TensorType,
    pub context: u32,
    pub layers: usize,
    pub width: usize,
    /// Of attention; `width / heads` is a head's width.
    pub heads: usize,
    pub kv_heads: usize,
    pub feed_forward: usize,
    /// The same seed gives the same file on every machine.
    pub seed: u64,
}

impl RandomModel {
    /// Two layers of width 64, F16, 512 tokens of context.
    pub fn tiny(architecture: Architecture, vocabulary: Vocabulary, seed: u64) -> Self {
        Self {
            architecture,
            vocabulary,
            kind: TensorType::F16,
            context: 512,
            layers: 2,
            width: 64,
            heads: 4,
            kv_heads: 2,
            feed_forward: 160,
            seed,
        }
    }

    pub fn write(&self, path: &Path) {
        let mut weights = Weights { random: self.seed, kind: self.kind, tensors: Vec::new() };
        let tokens = self.vocabulary.pieces().len();
        weights.matrix("token_embd.weight", tokens, self.width);
        weights.matrix("output.weight", tokens, self.width);
        weights.constant("output_norm.weight", &[self.width], 1.0);
        for layer in 0..self.layers {
            let block = format!("blk.{layer}.");
            weights.constant(&format!("{block}attn_norm.weight"), &[self.width], 1.0);
            if self.attends(layer) {
                self.attention(&mut weights, &block);
            } else {
                self.recurrence(&mut weights, &block);
            }
            if self.architecture != Architecture::Mamba {
                self.feed_forward(&mut weights, &block);
            }
        }
        Gguf { metadata: self.metadata(), tensors: weights.tensors }.write(path);
    }

    fn attention(&self, weights: &mut Weights, block: &str) {
        let kv_width = self.width / self.heads * self.kv_heads;
        weights.matrix(&format!("{block}attn_q.weight"), self.width, self.width);
        weights.matrix(&format!("{block}attn_k.weight"), kv_width, self.width);
        weights.matrix(&format!("{block}attn_v.weight"), kv_width, self.width);
        weights.matrix(&format!("{block}attn_output.weight"), self.width, self.width);
    }

    fn feed_forward(&self, weights: &mut Weights, block: &str) {
        weights.constant(&format!("{block}ffn_norm.weight"), &[self.width], 1.0);
        weights.matrix(&format!("{block}ffn_gate.weight"), self.feed_forward, self.width);
        weights.matrix(&format!("{block}ffn_up.weight"), self.feed_forward, self.width);
        weights.matrix(&format!("{block}ffn_down.weight"), self.width, self.feed_forward);
    }

    fn recurrence(&self, weights: &mut Weights, block: &str) {
        let (inner, rank) = (self.inner(), self.rank());
        weights.matrix(&format!("{block}ssm_in.weight"), 2 * inner, self.width);
        let convolution = weights.normal(inner * CONVOLUTION, 0.5);
        weights.plain(&format!("{block}ssm_conv1d.weight"), &[CONVOLUTION, inner], &convolution);
        weights.constant(&format!("{block}ssm_conv1d.bias"), &[inner], 0.0);
        weights.matrix(&format!("{block}ssm_x.weight"), rank + 2 * STATE, inner);
        weights.matrix(&format!("{block}ssm_dt.weight"), inner, rank);
        weights.constant(&format!("{block}ssm_dt.bias"), &[inner], -4.0);
        let decay: Vec<f32> = (0..inner * STATE).map(|i| -((i % STATE + 1) as f32)).collect();
        weights.plain(&format!("{block}ssm_a"), &[STATE, inner], &decay);
        weights.constant(&format!("{block}ssm_d"), &[inner], 1.0);
        weights.matrix(&format!("{block}ssm_out.weight"), self.width, inner);
        if self.architecture == Architecture::Jamba {
            for (name, width) in [("dt", rank), ("b", STATE), ("c", STATE)] {
                weights.constant(&format!("{block}ssm_{name}_norm.weight"), &[width], 1.0);
            }
        }
    }

    fn metadata(&self) -> Vec<(String, Value)> {
        let name = self.architecture.name();
        let attention = [
            ("feed_forward_length", self.feed_forward),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("rope.dimension_count", self.width / self.heads),
        ];
        let recurrence = [
            ("ssm.conv_kernel", CONVOLUTION),
            ("ssm.inner_size", self.inner()),
            ("ssm.state_size", STATE),
            ("ssm.time_step_rank", self.rank()),
        ];
        let numbers = match self.architecture {
            Architecture::Llama => attention.to_vec(),
            Architecture::Mamba => {
                [&[("feed_forward_length", 0), ("attention.head_count", 0)], &recurrence[..]].concat()
            }
            Architecture::Jamba => [attention, recurrence].concat(),
        };
        let mut model = Gguf::default();
        model.set("general.architecture", Value::Text(name.into()));
        model.set("general.name", Value::Text(format!("random-{name}-{}", self.seed)));
        model.set("general.file_type", Value::U32(self.kind.file_type()));
        model.set(&format!("{name}.context_length"), Value::U32(self.context));
        model.set(&format!("{name}.embedding_length"), Value::U32(self.width as u32));
        model.set(&format!("{name}.block_count"), Value::U32(self.layers as u32));
        model.set(&format!("{name}.vocab_size"), Value::U32(self.vocabulary.pieces().len() as u32));
        model.set(&format!("{name}.attention.layer_norm_rms_epsilon"), Value::F32(1e-5));
        for (key, number) in numbers {
            model.set(&format!("{name}.{key}"), Value::U32(number as u32));
        }
        if self.architecture == Architecture::Jamba {
            let heads = (0..self.layers).map(|layer| if self.attends(layer) { self.kv_heads as i32 } else { 0 });
            model.set("jamba.attention.head_count_kv", Value::Integers(heads.collect()));
        }
        model.metadata.extend_from_slice(self.vocabulary.metadata());
        model.metadata
    }

    fn attends(&self, layer: usize) -> bool {
        match self.architecture {
            Architecture::Llama => true,
            Architecture::Mamba => false,
            Architecture::Jamba => layer.is_multiple_of(2),
        }
    }

    /// llama.cpp knows Mamba with this expansion only.
    fn inner(&self) -> usize {
        2 * self.width
    }

    fn rank(&self) -> usize {
        (self.width / 16).max(1)
    }
}

const CONVOLUTION: usize = 4;
const STATE: usize = 16;

struct Weights {
    random: u64,
    kind: TensorType,
    tensors: Vec<Tensor>,
}

impl Weights {
    /// Random, with a variance that keeps activations of a layer's size.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) {
        let values = self.normal(rows * columns, 1.0 / (columns as f32).sqrt());
        self.tensors.push(Tensor::new(name, &[columns, rows], self.kind, &values));
    }

    fn constant(&mut self, name: &str, shape: &[usize], value: f32) {
        self.plain(name, shape, &vec![value; shape.iter().product()]);
    }

    fn plain(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors.push(Tensor::new(name, shape, TensorType::F32, values));
    }

    /// Nearly normal: the sum of four uniform numbers, which needs no library function that differs between machines.
    fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let scale = deviation * 3f32.sqrt();
        (0..count)
            .map(|_| {
                let bits = self.next();
                let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
                (sum as f32 / 65535.0 - 2.0) * scale
            })
            .collect()
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
