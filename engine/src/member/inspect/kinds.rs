//! What the numbers and names in a GGUF file mean, as of llama.cpp in llama-cpp-sys-2 0.1.161.

/// Elements and bytes of a block of a tensor type; `None` for types that were removed or came later.
pub fn tensor_type(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 => (1, 4),
        1 => (1, 2),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        20 => (32, 18),
        21 => (256, 110),
        22 => (256, 82),
        23 => (256, 136),
        24 => (1, 1),
        25 => (1, 2),
        26 => (1, 4),
        27 => (1, 8),
        28 => (1, 8),
        29 => (256, 56),
        30 => (1, 2),
        34 => (256, 54),
        35 => (256, 66),
        39 => (32, 17),
        40 => (64, 36),
        41 => (128, 18),
        42 => (64, 18),
        _ => return None,
    })
}

/// What people call a `general.file_type`.
pub fn quantisation(file_type: u64) -> Option<&'static str> {
    Some(match file_type {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}

/// Architectures that turn text into vectors.
pub const EMBEDDING: &[&str] = &[
    "bert",
    "modern-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "neo-bert",
    "jina-bert-v2",
    "jina-bert-v3",
    "eurobert",
    "gemma-embedding",
    "llama-embed",
    "t5encoder",
];

/// Architectures that do something else than continuing a text, and what they are.
pub const OTHER: &[(&str, &str)] = &[
    ("clip", "the vision or audio part of a model (mmproj)"),
    ("wavtokenizer-dec", "the voice of a speech model"),
    ("t5", "an encoder-decoder model, which rewrites a text instead of continuing it"),
    ("dream", "a diffusion model, which does not write from left to right"),
    ("llada", "a diffusion model, which does not write from left to right"),
    ("llada-moe", "a diffusion model, which does not write from left to right"),
    ("rnd1", "a diffusion model, which does not write from left to right"),
    ("eagle3", "the drafting part of another model"),
    ("dflash", "the drafting part of another model"),
    ("flux", "a model of pictures"),
    ("sd1", "a model of pictures"),
    ("sdxl", "a model of pictures"),
    ("sd3", "a model of pictures"),
    ("whisper", "a model of speech recognition"),
];

/// What a file that is no GGUF looks like, from its first bytes; with what can be done about it.
pub fn look_of(start: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    let safetensors = start.get(8) == Some(&b'{') && start[..8].iter().skip(5).all(|&byte| byte == 0);
    if safetensors {
        "it looks like safetensors; convert the model with llama.cpp's `convert_hf_to_gguf.py`"
    } else if start.starts_with(b"PK\x03\x04") {
        "it looks like a zip archive or a PyTorch file; unpack it, or convert the model with llama.cpp's `convert_hf_to_gguf.py`"
    } else if start.starts_with(&[0x1f, 0x8b]) || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        "it looks compressed; unpack it"
    } else if start.starts_with(&[0x80]) && start.get(1).is_some_and(|&version| (2..=5).contains(&version)) {
        "it looks like a Python pickle; convert the model with llama.cpp's `convert_hf_to_gguf.py`"
    } else if [b"lmgg", b"tjgg", b"fmgg", b"algg"].iter().any(|magic| start.starts_with(*magic)) {
        "it is in a format that llama.cpp gave up in 2023; fetch the model as GGUF"
    } else if start.starts_with(b"FUGG") {
        "its bytes are in the wrong order; fetch the model for little-endian machines"
    } else if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        "it is a web page, as a download leaves when it needs a login or a `?download=true`"
    } else if text.starts_with("version https://git-lfs") {
        "it is a pointer of Git LFS; run `git lfs pull`"
    } else if text.starts_with('{') || text.starts_with('[') {
        "it looks like JSON; give the `.gguf` file itself"
    } else if !start.is_empty() && start.iter().all(|&byte| byte == 0) {
        "it begins with zeros, as an interrupted download does; fetch it again"
    } else if !text.is_empty() && !text.contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace())) {
        "it looks like plain text; give the `.gguf` file itself"
    } else {
        "its first bytes say nothing known; fetch the model as GGUF"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensor_types_are_as_large_as_ggml_says() {
        for kind in 0..llama_cpp_sys_2::GGML_TYPE_COUNT {
            // SAFETY: pure functions over a table, called with an index inside it.
            let (block, bytes) =
                unsafe { (llama_cpp_sys_2::ggml_blck_size(kind), llama_cpp_sys_2::ggml_type_size(kind)) };
            let expected = (block > 0).then_some((block as u64, bytes as u64));
            assert_eq!(tensor_type(kind), expected, "type {kind}");
        }
    }

    #[test]
    fn other_formats_are_recognised() {
        let cases: &[(&[u8], &str)] = &[
            (b"\x40\x01\0\0\0\0\0\0{\"__meta", "safetensors"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"\x80\x02}q", "pickle"),
            (b"tjgg\x03\0", "2023"),
            (b"  <!DOCTYPE html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
            (b"{\"error\": 1}", "JSON"),
            (b"\0\0\0\0\0\0\0\0\0", "zeros"),
            ("Größe\n".as_bytes(), "plain text"),
            (b"\x7fELF\x02\x01", "nothing known"),
            (b"", "nothing known"),
        ];
        for (start, expected) in cases {
            assert!(look_of(start).contains(expected), "{start:?}: {}", look_of(start));
        }
    }
}
