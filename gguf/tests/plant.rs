//! Planted experts stand behind the real ones and do what they are for.

mod support;

use llama_selfmod_gguf::plant::{PlantError, Router, plant};
use llama_selfmod_gguf::{DEFAULT_BUFFER, Experts, Header, Tensor, Type, plan};
use std::fs;
use support::{data, mixture, write};

/// The mixture with weights that planting knows.
fn plantable() -> Header {
    let mut header = mixture(4, 2);
    let known = |tensor: &Tensor| {
        let kind = if tensor.kind() == Type::Q4_K { Type::Q8_0 } else { tensor.kind() };
        Tensor::new(tensor.name(), tensor.dims().to_vec(), kind).unwrap()
    };
    let tensors = header.tensors().iter().map(known).collect();
    header.set_tensors(tensors).unwrap();
    header
}

#[test]
fn pruning_what_was_planted_gives_the_file_back() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&plantable(), &folder.path().join("a.gguf"));
    for router in [Router::Never, Router::Sometimes] {
        let (planted, back) = (folder.path().join("planted.gguf"), folder.path().join("back.gguf"));
        plant(&source, &planted, 3, router, 7).unwrap();
        let header = Header::read(&planted).unwrap();
        assert_eq!(Experts::of(&header).unwrap().count(), 7);
        let real: Vec<u32> = (0..4).collect();
        let plan = plan(&header, &[real.clone(), real]).unwrap();
        plan.write(&planted, &back, DEFAULT_BUFFER, |_, _| true).unwrap();
        assert_eq!(fs::read(&back).unwrap(), fs::read(&source).unwrap());
        fs::remove_file(planted).unwrap();
        fs::remove_file(back).unwrap();
    }
}

#[test]
fn a_router_that_never_takes_them_has_the_mean_of_its_rows_and_a_bias_against_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut header = plantable();
    let source = folder.path().join("a.gguf");
    // Rows of the router that are 1, 2, 3 and 6.
    let tensors = [("blk.0.ffn_gate_inp.weight", vec![2, 4]), ("blk.0.ffn_gate_inp.bias", vec![4])];
    let tensors = tensors.map(|(name, dims)| Tensor::new(name, dims, Type::F32).unwrap());
    header.set_tensors(tensors.to_vec()).unwrap();
    let mut writer = llama_selfmod_gguf::Writer::create(&source, header).unwrap();
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    writer.write(&floats(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 6.0, 6.0])).unwrap();
    writer.end_tensor().unwrap();
    writer.write(&floats(&[0.0; 4])).unwrap();
    writer.end_tensor().unwrap();
    writer.finish().unwrap();
    let out = folder.path().join("b.gguf");
    plant(&source, &out, 1, Router::Never, 7).unwrap();
    assert_eq!(data(&out, "blk.0.ffn_gate_inp.weight")[32..], floats(&[3.0, 3.0]));
    assert_eq!(data(&out, "blk.0.ffn_gate_inp.bias")[16..], floats(&[-60_000.0]));
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&plantable(), &folder.path().join("a.gguf"));
    let planted = |name: &str, seed| {
        let out = folder.path().join(name);
        plant(&source, &out, 1, Router::Sometimes, seed).unwrap();
        fs::read(out).unwrap()
    };
    assert_eq!(planted("b", 1), planted("c", 1));
    assert_ne!(planted("d", 2), planted("e", 1));
}

#[test]
fn types_without_noise_are_refused_and_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&mixture(4, 2), &folder.path().join("a.gguf"));
    let error = plant(&source, folder.path().join("b.gguf"), 1, Router::Never, 1).unwrap_err();
    assert!(matches!(&error, PlantError::Type { kind: Type::Q4_K, .. }), "{error}");
    assert_eq!(support::listing(folder.path()), ["a.gguf"]);
    assert!(matches!(plant(&source, folder.path().join("b.gguf"), 2000, Router::Never, 1), Err(PlantError::Many(_))));
}

#[test]
fn tensors_without_rows_cost_neither_time_nor_memory() {
    let mut header = plantable();
    let mut tensors = header.tensors().to_vec();
    tensors.push(Tensor::new("blk.1.ffn_gate_up_exps.weight", vec![1 << 60, 0, 4], Type::F32).unwrap());
    tensors.push(Tensor::new("other", vec![0, 1 << 60], Type::F32).unwrap());
    header.set_tensors(tensors).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = write(&header, &folder.path().join("source.gguf"));
    plant(&source, folder.path().join("out.gguf"), 1, Router::Never, 1).unwrap();
}
