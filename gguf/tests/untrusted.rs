//! Damaged files are refused, without a panic and without memory for what they claim.

mod support;

use llama_selfmod_gguf::{Experts, Header, HeaderError, PruneError, Tensor, Type, plan};
use support::{header, mixture};

fn whole(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.write_to(&mut bytes).unwrap();
    bytes.resize(header.file_size() as usize, 0);
    bytes
}

fn files() -> [Vec<u8>; 2] {
    let small = header(&[("a", &[3], Type::F32), ("b", &[32, 5], Type::Q8_0), ("c", &[2, 2], Type::F16)]);
    [whole(&small), whole(&mixture(4, 2))]
}

/// Reads a header and uses it for everything that trusts what was read.
fn use_up(bytes: &[u8]) -> Result<(), HeaderError> {
    let read = Header::from_reader(bytes, bytes.len() as u64)?;
    let mut written = Vec::new();
    read.write_to(&mut written).unwrap();
    assert_eq!(written.len() as u64, read.meta_size());
    if let Ok(experts) = Experts::of(&read) {
        let keep = vec![vec![0, 1]; experts.layers().len()];
        let _ = plan(&read, &keep);
    }
    for (_, value) in read.values() {
        let _ = value.array().map(|array| (array.integers(), array.texts()));
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for bytes in files() {
        use_up(&bytes).unwrap();
        let read = Header::from_reader(&bytes[..], bytes.len() as u64).unwrap();
        let last = read.tensors().last().unwrap();
        let end = (read.meta_size() + last.offset() + last.bytes()) as usize;
        for length in 0..end {
            assert!(use_up(&bytes[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn no_byte_that_is_changed_makes_a_panic() {
    for mut bytes in files() {
        let header = Header::from_reader(&bytes[..], bytes.len() as u64).unwrap().meta_size() as usize;
        for at in 0..header {
            let good = bytes[at];
            for byte in (0..8).map(|bit| good ^ 1 << bit).chain([0, 0x7F, 0xFF]) {
                bytes[at] = byte;
                let _ = use_up(&bytes);
            }
            bytes[at] = good;
        }
    }
}

#[test]
fn no_eight_bytes_of_ones_make_a_panic() {
    for bytes in files() {
        let header = Header::from_reader(&bytes[..], bytes.len() as u64).unwrap().meta_size() as usize;
        for at in 0..header - 8 {
            for wrong in [u64::MAX, i64::MAX as u64, 1 << 40, 1 << 31] {
                let mut bytes = bytes.clone();
                bytes[at..at + 8].copy_from_slice(&wrong.to_le_bytes());
                let _ = use_up(&bytes);
            }
        }
    }
}

#[test]
fn claimed_counts_take_no_memory() {
    // A reader that says it has an exabyte and ends after the claims: nothing may be allocated for them but what is read.
    let claims = |kind: u32, count: u64| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend([0u64, 1, 1].map(u64::to_le_bytes).concat());
        bytes.push(b'k');
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes
    };
    for kind in [0, 4, 8, 9, 10] {
        for count in [1 << 24, 1 << 30, 1 << 60, u64::MAX] {
            let bytes = claims(kind, count);
            let refused = Header::from_reader(&bytes[..], 1 << 60).unwrap_err();
            assert!(matches!(refused, HeaderError::Damaged(_) | HeaderError::Truncated), "{kind} {count} {refused}");
        }
    }
    let counts = |tensors: u64, values: u64| {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend([tensors, values].map(u64::to_le_bytes).concat());
        Header::from_reader(&bytes[..], 1 << 60).unwrap_err().to_string()
    };
    assert!(counts(1 << 40, 0).contains("tensors"));
    assert!(counts(0, 1 << 40).contains("metadata values"));
}

#[test]
fn more_experts_than_llama_cpp_takes_are_refused() {
    let experts = |count: u64| {
        let mut header = mixture(4, 2);
        // Without a row they take no byte of the file.
        let empty = Tensor::new("blk.0.ffn_gate_inp.weight", vec![0, count], Type::F32).unwrap();
        header.set("qwen3moe.expert_count", count as u32).unwrap();
        header.set_tensors(vec![empty]).unwrap();
        Experts::of(&header)
    };
    assert_eq!(experts(1024).unwrap().count(), 1024);
    for count in [1025, u64::from(u32::MAX)] {
        assert!(matches!(experts(count), Err(PruneError::Metadata { value, .. }) if value == count));
    }
}
