//! What is read is what is written.

mod support;

use llama_selfmod_gguf::{FileError, Header, HeaderError, Source, Tensor, Type, Value, Writer};
use std::fs;
use support::{header, listing, noise, write};

const TENSORS: &[(&str, &[u64], Type)] = &[
    ("a", &[3], Type::F32),
    ("b.weight", &[256, 5], Type::Q6_K),
    ("c", &[], Type::F32),
    ("d", &[7, 2, 3], Type::BF16),
];

fn bytes_of(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.write_to(&mut bytes).unwrap();
    bytes
}

/// What the error of these bytes says, as a whole file.
fn refusal(bytes: &[u8]) -> String {
    Header::from_reader(bytes, bytes.len() as u64).unwrap_err().to_string()
}

#[test]
fn reading_and_writing_gives_the_same_bytes() {
    for version in [2, 3] {
        let mut bytes = bytes_of(&header(TENSORS));
        bytes[4] = version;
        let data = header(TENSORS).data_size() as usize;
        bytes.extend(noise(1, data));
        let read = Header::from_reader(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(bytes_of(&read), bytes[..bytes.len() - data]);
    }
}

#[test]
fn nested_arrays_survive() {
    // One value: an array of two arrays, [[1, 2], []] of bytes.
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([0u64, 1].map(u64::to_le_bytes).concat());
    bytes.extend(1u64.to_le_bytes());
    bytes.push(b'k');
    bytes.extend(9u32.to_le_bytes());
    for (kind, count, items) in [(9u32, 2u64, &b""[..]), (0, 2, &[1, 2]), (0, 0, &[])] {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(items);
    }
    let read = Header::from_reader(&bytes[..], bytes.len() as u64).unwrap();
    let written = bytes_of(&read);
    assert_eq!(written[..bytes.len()], bytes);
    assert!(written[bytes.len()..].iter().all(|&byte| byte == 0) && written.len().is_multiple_of(32));
}

#[test]
fn arrays_that_lie_deep_in_arrays_are_refused() {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend([0u64, 1, 1].map(u64::to_le_bytes).concat());
    bytes.push(b'k');
    bytes.extend(9u32.to_le_bytes());
    for _ in 0..100_000 {
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
    }
    assert!(refusal(&bytes).contains("too deep"));
}

#[test]
fn sizes_are_known_before_anything_is_written() {
    for alignment in [1u32, 32, 4096] {
        let mut header = header(TENSORS);
        header.set("general.alignment", alignment).unwrap();
        assert_eq!(bytes_of(&header).len() as u64, header.meta_size());
        let folder = tempfile::tempdir().unwrap();
        let path = write(&header, &folder.path().join("a.gguf"));
        assert_eq!(fs::metadata(&path).unwrap().len(), header.file_size());
        assert_eq!(Header::read(&path).unwrap(), header);
    }
}

#[test]
fn metadata_can_be_asked_for_and_changed() {
    let mut header = header(TENSORS);
    assert_eq!(header.architecture(), Some("llama"));
    assert_eq!(header.arch_number("expert_count"), None);
    header.set("llama.expert_count", 8u32).unwrap();
    assert_eq!(header.arch_number("expert_count"), Some(8));
    header.set("test.u8", "text now").unwrap();
    assert_eq!(header.values()[1], ("test.u8".into(), Value::from("text now")));
    assert_eq!(header.remove("test.u8"), Some("text now".into()));
    assert_eq!(header.get("test.u8"), None);
    assert_eq!(header.text("test.not_utf8"), None);
    assert!(header.set("", 1u32).is_err());
    assert!(header.set("general.alignment", 24u32).unwrap_err().to_string().contains("powers of two"));
    assert!(header.set("general.alignment", Value::U64(32)).is_err());
    assert_eq!(header.alignment(), 32);
}

#[test]
fn rows_are_read_where_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&header(TENSORS), &folder.path().join("a.gguf"));
    let mut source = Source::open(&path).unwrap();
    let (mut rows, whole) = (Vec::new(), noise(2, 5 * 210));
    source.read_rows(1, 2, 2, &mut rows).unwrap();
    assert_eq!(rows, whole[420..840]);
    for (first, count) in [(4, 2), (u64::MAX, 1), (0, u64::MAX)] {
        assert!(matches!(source.read_rows(1, first, count, &mut rows), Err(FileError::Size { .. })));
    }
    assert!(source.read_rows(99, 0, 1, &mut rows).is_err());
}

#[test]
fn other_files_are_refused_with_a_sentence() {
    assert!(refusal(b"").contains("not a GGUF file"));
    assert!(refusal(b"PK\x03\x04 and so on").contains("not a GGUF file"));
    assert!(refusal(b"GGUF\0\0\0\x03").contains("big-endian"));
    assert!(refusal(b"GGUF\x01\0\0\0").contains("version is 1"));
    assert!(refusal(b"GGUF\x04\0\0\0").contains("version is 4"));
    let folder = tempfile::tempdir().unwrap();
    let missing = Header::read(folder.path().join("none.gguf")).unwrap_err();
    assert!(missing.to_string().contains("none.gguf` cannot be read"), "{missing}");
}

#[test]
fn one_part_of_a_split_model_is_refused() {
    let mut header = header(&[]);
    header.set("split.count", Value::U16(3)).unwrap();
    let bytes = bytes_of(&header);
    assert!(refusal(&bytes).contains("one of 3 parts"));
    header.set("split.count", Value::U16(1)).unwrap();
    let bytes = bytes_of(&header);
    assert!(Header::from_reader(&bytes[..], bytes.len() as u64).is_ok());
}

#[test]
fn names_that_stand_there_twice_are_refused() {
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = bytes_of(&header(TENSORS));
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes.resize(1 << 14, 0);
        refusal(&bytes)
    };
    assert!(replaced(b"test.u16", b"test.u32").contains("`test.u32` stands there twice"));
    assert!(replaced(b"\x01\0\0\0\0\0\0\0c", b"\x01\0\0\0\0\0\0\0a").contains("`a` stands there twice"));
    let tensor = Tensor::new("x", vec![1], Type::F32).unwrap();
    assert!(Header::default().set_tensors(vec![tensor.clone(), tensor]).is_err());
}

#[test]
fn tensors_that_overlap_or_leave_holes_are_refused() {
    let good = bytes_of(&header(TENSORS));
    // The last field before the padding is the offset of the last tensor.
    let offset = header(TENSORS).tensors()[3].offset();
    let at = good.windows(8).rposition(|window| window == offset.to_le_bytes()).unwrap();
    for wrong in [0, offset - 32, offset - 1, offset + 32, u64::MAX] {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&wrong.to_le_bytes());
        bytes.resize(1 << 14, 0);
        assert!(refusal(&bytes).contains("is the only place for it"), "{wrong}");
    }
}

#[test]
fn data_behind_the_end_of_the_file_is_refused_and_missing_padding_is_not() {
    let header = header(TENSORS);
    let bytes = bytes_of(&header);
    let last = &header.tensors()[3];
    let end = header.meta_size() + last.offset() + last.bytes();
    assert!(Header::from_reader(&bytes[..], end).is_ok());
    assert!(matches!(Header::from_reader(&bytes[..], end - 1), Err(HeaderError::Truncated)));
}

#[test]
fn a_writer_takes_each_tensor_whole_or_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let create = || Writer::create(&path, header(TENSORS)).unwrap();
    assert!(matches!(create().write(&[0; 13]), Err(FileError::Size { expected: 12, found: 13, .. })));
    let mut writer = create();
    writer.write(&[0; 11]).unwrap();
    let error = writer.end_tensor().unwrap_err();
    assert!(error.to_string().contains("`a` takes 12 bytes and was given 11"), "{error}");
    writer.write(&[0; 1]).unwrap();
    writer.end_tensor().unwrap();
    assert!(matches!(writer.finish(), Err(FileError::Size { .. })));
    assert_eq!(listing(folder.path()), [""; 0]);
    write(&header(TENSORS), &path);
    assert!(matches!(Writer::create(&path, header(TENSORS)), Err(FileError::Exists(_))));
    assert_eq!(listing(folder.path()), ["a.gguf"]);
}
