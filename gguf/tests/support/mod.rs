//! Small files with random data, and what a test wants to know of a file.
#![allow(dead_code, reason = "each test file uses a part")]

use llama_selfmod_gguf::{Array, Header, Source, Tensor, Type, Value, Writer};
use std::fs;
use std::path::{Path, PathBuf};

/// Reproducible bytes.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// A header with a value of each type.
pub fn header(tensors: &[(&str, &[u64], Type)]) -> Header {
    let mut header = Header::default();
    let values: Vec<(&str, Value)> = vec![
        ("general.architecture", "llama".into()),
        ("test.u8", Value::U8(200)),
        ("test.i8", Value::I8(-100)),
        ("test.u16", Value::U16(60_000)),
        ("test.i16", Value::I16(-30_000)),
        ("test.u32", 4_000_000_000u32.into()),
        ("test.i32", Value::I32(-5)),
        ("test.f32", 0.1f32.into()),
        ("test.bool", true.into()),
        ("test.not_utf8", Value::Text(vec![0xFF, 0, 0xC3])),
        ("test.u64", Value::U64(u64::MAX)),
        ("test.i64", Value::I64(i64::MIN)),
        ("test.f64", Value::F64(-0.0)),
        ("test.numbers", Array::from_u32s(&[1, 2, 3]).into()),
        ("test.texts", Array::from_texts(&["a", "", "bcd"]).into()),
        ("test.nothing", Array::from_u32s(&[]).into()),
    ];
    for (key, value) in values {
        header.set(key, value).unwrap();
    }
    let tensor = |&(name, dims, kind): &(&str, &[u64], Type)| Tensor::new(name, dims.to_vec(), kind).unwrap();
    header.set_tensors(tensors.iter().map(tensor).collect()).unwrap();
    header
}

/// Writes a file of this header with random data.
pub fn write(header: &Header, path: &Path) -> PathBuf {
    let mut writer = Writer::create(path, header.clone()).unwrap();
    for (seed, tensor) in header.tensors().iter().enumerate() {
        writer.write(&noise(seed as u64 + 1, tensor.bytes() as usize)).unwrap();
        writer.end_tensor().unwrap();
    }
    writer.finish().unwrap();
    path.to_path_buf()
}

/// A mixture of experts in which every kind of tensor with an expert axis occurs, in layers 1 and 3.
pub fn mixture(count: u64, used: u32) -> Header {
    let mut header = Header::default();
    header.set("general.architecture", "qwen3moe").unwrap();
    header.set("qwen3moe.expert_count", count as u32).unwrap();
    header.set("qwen3moe.expert_used_count", used).unwrap();
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![32, 10], Type::Q8_0)];
    for layer in [1, 3] {
        let mut add =
            |name: &str, dims: &[u64], kind| tensors.push((format!("blk.{layer}.{name}"), dims.to_vec(), kind));
        add("ffn_norm.weight", &[32], Type::F32);
        add("ffn_gate_inp.weight", &[32, count], Type::F32);
        add("ffn_gate_inp.bias", &[count], Type::F32);
        add("ffn_gate_inp.scale", &[32], Type::F32);
        add("ffn_gate_inp_shexp.weight", &[32], Type::F32);
        add("exp_probs_b.bias", &[count], Type::F32);
        add("ffn_gate_exps.weight", &[256, 4, count], Type::Q4_K);
        add("ffn_up_exps.weight", &[32, 4, count], Type::Q8_0);
        add("ffn_up_exps.bias", &[4, count], Type::F32);
        add("ffn_down_exps.weight", &[64, 3, count], Type::F16);
        add("ffn_down_exps.scale", &[count], Type::F32);
        add("ffn_down_exps.input_scale", &[count], Type::F32);
        add("ffn_down_shexp.weight", &[64, count], Type::F16);
    }
    let tensors = tensors.into_iter().map(|(name, dims, kind)| Tensor::new(name, dims, kind).unwrap());
    header.set_tensors(tensors.collect()).unwrap();
    header
}

/// The data of a tensor.
pub fn data(path: &Path, name: &str) -> Vec<u8> {
    let mut source = Source::open(path).unwrap();
    let at = source.header().position(name).unwrap();
    let mut bytes = vec![0; source.header().tensors()[at].bytes() as usize];
    source.read_at(at, 0, &mut bytes).unwrap();
    bytes
}

/// Names of the files in a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
