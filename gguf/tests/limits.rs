//! Large files under limits of the system on memory and on the size of files.
#![cfg(target_os = "linux")]

mod support;

use llama_selfmod_gguf::{DEFAULT_BUFFER, FileError, Header, Tensor, Type, plan};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// Runs the ignored test `name` of this file in a shell with limits, in `folder`.
fn limited(limits: &str, name: &str, folder: &Path) {
    let this = std::env::current_exe().unwrap();
    let script = format!("{limits}; exec \"$0\" --exact {name} --ignored --nocapture");
    let output = Command::new("sh").arg("-c").arg(script).arg(this).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A mixture of experts of 340 MB without data on the disk.
fn large(folder: &Path) {
    let mut header = Header::default();
    header.set("general.architecture", "llama").unwrap();
    header.set("llama.expert_count", 4u32).unwrap();
    header.set("llama.expert_used_count", 2u32).unwrap();
    let tensors = [
        ("token_embd", vec![4096, 30_000]),
        ("blk.0.ffn_gate_inp", vec![4096, 4]),
        ("blk.0.ffn_up_exps", vec![4096, 3_000, 4]),
    ];
    let tensor = |(name, dims)| Tensor::new(format!("{name}.weight"), dims, Type::F16).unwrap();
    header.set_tensors(tensors.map(tensor).to_vec()).unwrap();
    let file = File::create_new(folder.join("large.gguf")).unwrap();
    header.write_to(&file).unwrap();
    file.set_len(header.file_size()).unwrap();
    assert!(header.file_size() > 340_000_000);
}

#[test]
fn a_file_larger_than_the_memory_is_pruned() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path());
    // 200 MB of address space, for the program, its threads' arenas and the buffer.
    limited("ulimit -v 200000", "prune_large", folder.path());
    let pruned = Header::read(folder.path().join("pruned.gguf")).unwrap();
    assert_eq!(fs::metadata(folder.path().join("pruned.gguf")).unwrap().len(), pruned.file_size());
}

#[test]
#[ignore = "run by a_file_larger_than_the_memory_is_pruned"]
fn prune_large() {
    assert!(Vec::<u8>::new().try_reserve(230_000_000).is_err(), "the limit does not hold");
    let header = Header::read("large.gguf").unwrap();
    plan(&header, &[vec![1, 3]]).unwrap().write("large.gguf", "pruned.gguf", DEFAULT_BUFFER, |_, _| true).unwrap();
}

#[test]
fn a_file_that_finds_no_room_is_named_with_the_bytes_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    large(folder.path());
    // 2048 blocks of 512 bytes: a stand-in for a full disk, which reports a file too large in place of no space.
    limited("trap '' XFSZ; ulimit -f 2048", "prune_without_room", folder.path());
    assert_eq!(support::listing(folder.path()), ["large.gguf"]);
}

#[test]
#[ignore = "run by a_file_that_finds_no_room_is_named_with_the_bytes_it_needs"]
fn prune_without_room() {
    let header = Header::read("large.gguf").unwrap();
    let plan = plan(&header, &[vec![1, 3]]).unwrap();
    match plan.write("large.gguf", "pruned.gguf", DEFAULT_BUFFER, |_, _| true) {
        Err(FileError::Full { path, needed, .. }) => {
            assert_eq!((path.as_path(), needed), (Path::new("pruned.gguf"), plan.header().file_size()));
        }
        other => panic!("{other:?}"),
    }
}
