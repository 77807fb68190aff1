//! Experts are taken out byte by byte.

mod support;

use llama_selfmod_gguf::{DEFAULT_BUFFER, Experts, FileError, Header, Tensor, Type, Value, plan};
use std::fs;
use support::{data, listing, mixture, write};

/// What the refusal to prune to `keep` in both layers says.
fn refusal(header: &Header, keep: &[u32]) -> String {
    plan(header, &[keep.to_vec(), keep.to_vec()]).unwrap_err().to_string()
}

/// The mixture with one more tensor.
fn with(name: &str, dims: &[u64], kind: Type) -> Header {
    let mut header = mixture(8, 2);
    let mut tensors = header.tensors().to_vec();
    tensors.retain(|tensor| tensor.name() != name);
    tensors.push(Tensor::new(name, dims.to_vec(), kind).unwrap());
    header.set_tensors(tensors).unwrap();
    header
}

#[test]
fn experts_are_found_in_the_layers_that_have_them() {
    let experts = Experts::of(&mixture(8, 2)).unwrap();
    assert_eq!((experts.architecture(), experts.count(), experts.used()), ("qwen3moe", 8, 2));
    assert_eq!(experts.layers(), [1, 3]);
}

#[test]
fn each_layer_keeps_its_own_experts_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&mixture(8, 2), &folder.path().join("a.gguf"));
    let header = Header::read(&source).unwrap();
    let keep = [vec![0, 1, 5], vec![2, 6, 7]];
    let plan = plan(&header, &keep).unwrap();
    // Small buffers must give the same bytes as large ones.
    let mut files = Vec::new();
    for buffer in [0, DEFAULT_BUFFER] {
        let out = folder.path().join(format!("{buffer}.gguf"));
        let mut last = (0, 0);
        plan.write(&source, &out, buffer, |done, total| {
            last = (done, total);
            true
        })
        .unwrap();
        let all: u64 = plan.header().tensors().iter().map(Tensor::bytes).sum();
        assert_eq!(last, (all, all));
        assert_eq!(fs::metadata(&out).unwrap().len(), plan.header().file_size());
        files.push(fs::read(&out).unwrap());
    }
    assert_eq!(files[0], files[1]);

    let out = folder.path().join("0.gguf");
    let pruned = Header::read(&out).unwrap();
    assert_eq!(pruned.arch_number("expert_count"), Some(3));
    assert_eq!(pruned.values().len(), header.values().len());
    for tensor in header.tensors() {
        let (before, after) = (data(&source, tensor.name()), data(&out, tensor.name()));
        let layer = usize::from(tensor.name().starts_with("blk.3."));
        let cut = ["_exps.", "ffn_gate_inp.weight", "ffn_gate_inp.bias", "exp_probs_b"];
        let expected = if cut.iter().any(|part| tensor.name().contains(part)) {
            let size = before.len() / 8;
            keep[layer].iter().flat_map(|&expert| before[expert as usize * size..][..size].to_vec()).collect()
        } else {
            before
        };
        assert_eq!(after, expected, "{}", tensor.name());
    }
}

#[test]
fn keeping_all_experts_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&mixture(4, 2), &folder.path().join("a.gguf"));
    let out = folder.path().join("b.gguf");
    let plan = plan(&Header::read(&source).unwrap(), &[vec![0, 1, 2, 3], vec![0, 1, 2, 3]]).unwrap();
    plan.write(&source, &out, DEFAULT_BUFFER, |_, _| true).unwrap();
    assert_eq!(fs::read(&source).unwrap(), fs::read(&out).unwrap());
}

#[test]
fn nothing_is_left_of_a_write_that_was_stopped_or_failed() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(&mixture(4, 2), &folder.path().join("a.gguf"));
    let plan = plan(&Header::read(&source).unwrap(), &[vec![0, 1], vec![2, 3]]).unwrap();
    let out = folder.path().join("b.gguf");
    assert!(matches!(plan.write(&source, &out, 0, |_, _| false), Err(FileError::Stopped(_))));
    assert_eq!(listing(folder.path()), ["a.gguf"]);
    assert!(matches!(plan.write(&source, &source, 0, |_, _| true), Err(FileError::Exists(_))));
    let other = write(&mixture(5, 2), &folder.path().join("c.gguf"));
    assert!(matches!(plan.write(&other, &out, 0, |_, _| true), Err(FileError::Changed(_))));
    assert_eq!(listing(folder.path()), ["a.gguf", "c.gguf"]);
}

#[test]
fn a_model_without_experts_is_named_by_its_architecture() {
    let dense = support::header(&[("blk.0.ffn_up.weight", &[32, 4], Type::Q8_0)]);
    let text = Experts::of(&dense).unwrap_err().to_string();
    assert!(text.contains("a `llama` model without experts"), "{text}");
    let mut empty = mixture(4, 2);
    empty.set_tensors(vec![]).unwrap();
    assert!(Experts::of(&empty).unwrap_err().to_string().contains("without experts"));
}

#[test]
fn lists_that_do_not_fit_the_layers_are_refused() {
    let header = mixture(8, 2);
    assert!(refusal(&header, &[1, 0]).contains("ascending"));
    assert!(refusal(&header, &[1, 1]).contains("ascending"));
    assert!(refusal(&header, &[1, 8]).contains("layer 1 has no expert 8"));
    let unequal = plan(&header, &[vec![0, 1], vec![0, 1, 2]]).unwrap_err().to_string();
    assert!(unequal.contains("layer 3 would keep 3 experts and the first layer 2"), "{unequal}");
    let one = plan(&header, &[vec![0, 1]]).unwrap_err().to_string();
    assert!(one.contains("1 layers") && one.contains("2 layers with experts"), "{one}");
}

#[test]
fn a_count_at_which_llama_cpp_ends_the_process_is_refused() {
    let mut header = mixture(8, 2);
    assert!(refusal(&header, &[]).contains("at least one"));
    assert!(refusal(&header, &[3]).contains("each token uses 2"));
    header.set("qwen3moe.expert_group_count", 1u32).unwrap();
    header.set("qwen3moe.expert_used_count", 1u32).unwrap();
    assert!(refusal(&header, &[3]).contains("more experts than groups"));
    assert!(plan(&header, &[vec![0, 1], vec![0, 1]]).is_ok());
}

#[test]
fn experts_used_may_differ_from_layer_to_layer() {
    let mut header = mixture(8, 2);
    header.set("qwen3moe.expert_used_count", llama_selfmod_gguf::Array::from_u32s(&[0, 2, 0, 3])).unwrap();
    assert_eq!(Experts::of(&header).unwrap().used(), 3);
    assert!(refusal(&header, &[0, 1]).contains("each token uses 3"));
    header.set("qwen3moe.expert_used_count", 9u32).unwrap();
    assert!(refusal(&header, &[0, 1]).contains("`qwen3moe.expert_used_count` = 9"));
    header.remove("qwen3moe.expert_used_count");
    assert!(refusal(&header, &[0, 1]).contains("expert_used_count"));
}

#[test]
fn groups_of_experts_shrink_alike() {
    let mut header = mixture(8, 2);
    header.set("qwen3moe.expert_group_count", 2u32).unwrap();
    header.set("qwen3moe.expert_group_used_count", 1u32).unwrap();
    assert!(refusal(&header, &[0, 1, 4]).contains("divide by the file's 2 groups"));
    assert!(refusal(&header, &[0, 4]).contains("more experts than groups"));
    assert!(refusal(&header, &[0, 1, 2, 4]).contains("layer 1 would keep 3 experts of group 0"));
    assert!(plan(&header, &[vec![0, 1, 4, 5], vec![2, 3, 6, 7]]).is_ok());
    header.set("qwen3moe.expert_used_count", 3u32).unwrap();
    assert!(refusal(&header, &[0, 1, 4, 5]).contains("takes 3 experts from 1 of 2 groups"));
    header.set("qwen3moe.expert_group_used_count", 2u32).unwrap();
    assert!(refusal(&header, &[0, 1, 4, 5]).contains("expert_group_used_count"));
}

#[test]
fn a_count_that_makes_llama_cpp_take_the_file_for_another_model_is_refused() {
    let mut header = Header::default();
    header.set("general.architecture", "llama4").unwrap();
    header.set("llama4.expert_count", 128u32).unwrap();
    header.set("llama4.expert_used_count", 1u32).unwrap();
    let router = Tensor::new("blk.0.ffn_gate_inp.weight", vec![4, 128], Type::F32).unwrap();
    header.set_tensors(vec![router]).unwrap();
    let experts = Experts::of(&header).unwrap();
    assert!(experts.check_count(64).unwrap_err().to_string().contains("another kind of model"));
    assert!(experts.check_count(128).is_ok());
}

#[test]
fn tensors_that_cannot_be_cut_are_refused_by_name() {
    let cases = [
        (with("blk.1.ffn_gate_tid2eid.weight", &[2, 10], Type::I32), "tid2eid.weight` gives tokens experts"),
        (with("blk.1.ffn_gate_chexps.weight", &[32, 2, 4], Type::F16), "chexps.weight` is shared by groups"),
        (with("blk.1.ffn_new_exps.weight", &[32, 2, 8], Type::F16), "does not know"),
        (with("blk.1.ffn_up_exps.lora", &[8], Type::F32), "does not know"),
        (with("enc.ffn_up_exps.weight", &[32, 2, 8], Type::F16), "belongs to no layer"),
        (with("blk.1.ffn_up_exps.weight", &[32, 2, 7], Type::F16), "has 7 experts and the file says 8"),
        (with("blk.1.ffn_up_exps.bias", &[2, 8, 2], Type::F32), "another axis behind"),
        (with("blk.5.ffn_up_exps.weight", &[32, 2, 8], Type::F16), "no router"),
        (with("blk.1.ffn_gate.0.weight", &[32, 2], Type::F16), "separate tensors such as `blk.1.ffn_gate.0.weight`"),
    ];
    for (header, expected) in cases {
        let text = refusal(&header, &[0, 1]);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn one_dimensional_tensors_must_not_be_quantised() {
    let mut header = mixture(8, 2);
    header.set("qwen3moe.expert_count", Value::U32(32)).unwrap();
    let tensors = [("blk.0.ffn_gate_inp.weight", vec![4, 32], Type::F32), ("blk.0.exp_probs_b", vec![32], Type::Q8_0)];
    header.set_tensors(tensors.map(|(name, dims, kind)| Tensor::new(name, dims, kind).unwrap()).to_vec()).unwrap();
    let text = Experts::of(&header).unwrap_err().to_string();
    assert!(text.contains("`blk.0.exp_probs_b` has several experts in one quantised block"), "{text}");
}
