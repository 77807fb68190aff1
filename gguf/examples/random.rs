//! Writes a mixture of experts with random weights, as large as you like: `random OUT [--size MIB] [--experts N]`.
//!
//! For tests of what large files need in memory: the header is that of a `llama` model with F16 weights, no tokenizer, and
//! nobody can talk to it.

use llama_selfmod_gguf::{Header, HeaderError, Tensor, Type, Writer};
use std::process::ExitCode;

const USAGE: &str = "usage: random OUT [--size MIB] [--experts N]";
const WIDTH: u64 = 1024;
const INNER: u64 = 2048;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut path, mut size, mut experts) = (None, 64u64, 8u64);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|number| number.parse().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--size" => size = number()?,
            "--experts" => experts = number()?,
            _ => path = Some(arg),
        }
    }
    let path = path.ok_or(USAGE)?;
    let layer = 2 * (3 * experts * WIDTH * INNER + 4 * WIDTH * WIDTH);
    let header = header((size << 20).div_ceil(layer).max(1), experts).map_err(|error| error.to_string())?;
    let sizes: Vec<(Type, u64)> = header.tensors().iter().map(|tensor| (tensor.kind(), tensor.bytes())).collect();
    let mut writer = Writer::create(path, header).map_err(|error| error.to_string())?;
    let mut state = 1u64;
    let mut chunk = vec![0u8; 1 << 20];
    for (kind, mut left) in sizes {
        while left > 0 {
            let len = left.min(chunk.len() as u64) as usize;
            fill(kind, &mut state, &mut chunk[..len]);
            writer.write(&chunk[..len]).map_err(|error| error.to_string())?;
            left -= len as u64;
        }
        writer.end_tensor().map_err(|error| error.to_string())?;
    }
    writer.finish().map_err(|error| error.to_string())
}

/// Numbers between 2^-6 and 2^-5, of either sign; in F32 ones.
fn fill(kind: Type, state: &mut u64, bytes: &mut [u8]) {
    if kind == Type::F32 {
        bytes.chunks_exact_mut(4).for_each(|number| number.copy_from_slice(&1f32.to_le_bytes()));
        return;
    }
    for four in bytes.chunks_mut(8) {
        // splitmix64
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Sign and fraction of four half floats, with one exponent.
        let halves = (z ^ (z >> 31)) & 0x83ff_83ff_83ff_83ff | 0x2400_2400_2400_2400;
        let len = four.len();
        four.copy_from_slice(&halves.to_le_bytes()[..len]);
    }
}

fn header(layers: u64, experts: u64) -> Result<Header, HeaderError> {
    let mut header = Header::default();
    header.set("general.architecture", "llama")?;
    header.set("general.name", "random")?;
    let number = |number: u64| number as u32;
    header.set("llama.block_count", number(layers))?;
    header.set("llama.context_length", 2048u32)?;
    header.set("llama.embedding_length", number(WIDTH))?;
    header.set("llama.feed_forward_length", number(INNER))?;
    header.set("llama.attention.head_count", 16u32)?;
    header.set("llama.attention.layer_norm_rms_epsilon", 1e-5f32)?;
    header.set("llama.vocab_size", 256u32)?;
    header.set("llama.expert_count", number(experts))?;
    header.set("llama.expert_used_count", 2u32)?;
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[u64], kind| -> Result<(), HeaderError> {
        let tensor = Tensor::new(name, dims.to_vec(), kind);
        tensors.push(tensor.map_err(|error| HeaderError::Damaged(error.to_string()))?);
        Ok(())
    };
    add("token_embd.weight".into(), &[WIDTH, 256], Type::F16)?;
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        for part in ["attn_norm", "ffn_norm"] {
            add(name(part), &[WIDTH], Type::F32)?;
        }
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            add(name(part), &[WIDTH, WIDTH], Type::F16)?;
        }
        add(name("ffn_gate_inp"), &[WIDTH, experts], Type::F32)?;
        add(name("ffn_gate_exps"), &[WIDTH, INNER, experts], Type::F16)?;
        add(name("ffn_up_exps"), &[WIDTH, INNER, experts], Type::F16)?;
        add(name("ffn_down_exps"), &[INNER, WIDTH, experts], Type::F16)?;
    }
    add("output_norm.weight".into(), &[WIDTH], Type::F32)?;
    add("output.weight".into(), &[WIDTH, 256], Type::F16)?;
    header.set_tensors(tensors)?;
    Ok(header)
}
