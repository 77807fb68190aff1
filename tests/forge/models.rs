//! Quantising, importance and experts, beside what llama.cpp itself makes and counts.

use crate::support::program::{Place, model};
use gguf::{Header, Source};
use llama_cpp_sys_2 as sys;
use llama_selfmod::Engine;
use llama_selfmod::member::alone::{Alone, Experts, Importance, Reading};
use llama_selfmod::member::quantize::{Columns, FileType, quantize, quantized_header};
use llama_selfmod::settings::{ModelSource, Settings};
use std::ffi::CString;
use std::path::Path;

const TEXT: &str = include_str!("../fixtures/tinystories-dev.txt");

/// Types of each family: plain blocks, K-quants with mixtures, non-linear.
const TYPES: [&str; 8] = ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "IQ4_XS", "Q2_K"];

fn quantised(source: &Path, to: &str, imatrix: Option<&Columns>, out: &Path) {
    quantize(source, FileType::parse(to).unwrap(), imatrix, out, 2, &mut |_, _| Ok(())).unwrap();
}

/// What `llama-quantize --allow-requantize` does.
fn by_llama(source: &Path, to: &str, imatrix: Option<&Columns>, out: &Path) {
    llama_selfmod::member::backend().unwrap();
    let path = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
    let (source, out) = (path(source), path(out));
    let names: Vec<CString> =
        imatrix.into_iter().flatten().map(|(name, _)| CString::new(name.as_str()).unwrap()).collect();
    let mut data: Vec<sys::llama_model_imatrix_data> = imatrix
        .into_iter()
        .flatten()
        .zip(&names)
        .map(|((_, columns), name)| sys::llama_model_imatrix_data {
            name: name.as_ptr(),
            data: columns.as_ptr(),
            size: columns.len(),
        })
        .collect();
    data.push(sys::llama_model_imatrix_data { name: std::ptr::null(), data: std::ptr::null(), size: 0 });
    // SAFETY: returns a plain struct.
    let mut parameters = unsafe { sys::llama_model_quantize_default_params() };
    parameters.ftype = number(to);
    parameters.allow_requantize = true;
    if imatrix.is_some() {
        parameters.imatrix = data.as_ptr();
    }
    // SAFETY: C strings and parameters that live for the call.
    let status = unsafe { sys::llama_model_quantize(source.as_ptr(), out.as_ptr(), &raw const parameters) };
    assert_eq!(status, 0, "{to}");
}

fn number(to: &str) -> sys::llama_ftype {
    match to {
        "F16" => sys::LLAMA_FTYPE_MOSTLY_F16,
        "Q8_0" => sys::LLAMA_FTYPE_MOSTLY_Q8_0,
        "Q6_K" => sys::LLAMA_FTYPE_MOSTLY_Q6_K,
        "Q5_K_M" => sys::LLAMA_FTYPE_MOSTLY_Q5_K_M,
        "Q4_K_M" => sys::LLAMA_FTYPE_MOSTLY_Q4_K_M,
        "Q4_0" => sys::LLAMA_FTYPE_MOSTLY_Q4_0,
        "IQ4_XS" => sys::LLAMA_FTYPE_MOSTLY_IQ4_XS,
        "IQ2_S" => sys::LLAMA_FTYPE_MOSTLY_IQ2_S,
        "Q2_K" => sys::LLAMA_FTYPE_MOSTLY_Q2_K,
        other => panic!("{other}"),
    }
}

/// Both files have the same tensors, byte for byte.
fn assert_same_tensors(own: &Path, theirs: &Path, what: &str) {
    let (mut own, mut theirs) = (Source::open(own).unwrap(), Source::open(theirs).unwrap());
    let (header, other) = (own.header().clone(), theirs.header().clone());
    assert_eq!(header.tensors().len(), other.tensors().len(), "{what}");
    for (at, tensor) in header.tensors().iter().enumerate() {
        let place = other.position(tensor.name()).unwrap();
        assert_eq!(tensor.kind(), other.tensors()[place].kind(), "{what}: {}", tensor.name());
        let (mut left, mut right) = (Vec::new(), Vec::new());
        own.read_rows(at, 0, tensor.rows(), &mut left).unwrap();
        theirs.read_rows(place, 0, tensor.rows(), &mut right).unwrap();
        assert!(left == right, "{what}: `{}` has other bytes", tensor.name());
    }
    assert_eq!(header.number("general.file_type"), other.number("general.file_type"), "{what}");
}

fn source(name: &str) -> ModelSource {
    ModelSource::new(model(name))
}

fn reading(text: &str, most: usize) -> Reading<'_> {
    Reading { text, context: 256, skip: 0, most, threads: Some(2) }
}

#[test]
fn quantising_gives_the_tensors_of_llama_cpp_and_the_predicted_size() {
    let place = Place::new();
    for (name, types) in [("stories-970k-bytes.gguf", &TYPES[..]), ("moe.gguf", &["Q6_K", "Q4_K_M", "Q2_K"])] {
        for to in types {
            let what = format!("{name} to {to}");
            let (own, theirs) = (place.path().join("own.gguf"), place.path().join("theirs.gguf"));
            let before = Header::read(model(name)).unwrap();
            let predicted = quantized_header(&before, FileType::parse(to).unwrap(), false).unwrap().file_size();
            quantised(&model(name), to, None, &own);
            assert_eq!(std::fs::metadata(&own).unwrap().len(), predicted, "{what}");
            by_llama(&model(name), to, None, &theirs);
            assert_eq!(std::fs::metadata(&theirs).unwrap().len(), predicted, "{what}: llama.cpp's");
            assert_same_tensors(&own, &theirs, &what);
            std::fs::remove_file(own).unwrap();
            std::fs::remove_file(theirs).unwrap();
        }
    }
}

#[test]
fn an_importance_matrix_counts_every_token_and_guides_the_quantiser_as_llama_cpp_s() {
    let place = Place::new();
    let importance = Importance::of(&source("moe.gguf"), &reading(TEXT, 8), &mut |_, _| Ok(())).unwrap();
    assert_eq!(importance.windows, 8);
    let tokens = 8 * 256;
    assert_eq!(importance.matrices["blk.0.attn_q.weight"].counts, [tokens]);
    let experts = &importance.matrices["blk.0.ffn_up_exps.weight"];
    assert_eq!((experts.counts.len(), experts.counts.iter().sum::<u64>()), (8, 2 * tokens));
    // What goes into the last layer is that of all tokens, too.
    let last = importance.matrices.keys().filter_map(|name| name.split('.').nth(1)?.parse::<u32>().ok()).max().unwrap();
    assert_eq!(importance.matrices[&format!("blk.{last}.ffn_down_exps.weight")].counts.iter().sum::<u64>(), 2 * tokens);

    let mean =
        |(sums, &count): (&[f32], &u64)| -> Vec<f32> { sums.iter().map(|sum| sum / count.max(1) as f32).collect() };
    let columns: Columns = importance
        .matrices
        .iter()
        .map(|(name, matrix)| {
            (name.clone(), matrix.sums.chunks(matrix.width).zip(&matrix.counts).flat_map(mean).collect())
        })
        .collect();
    for to in ["Q4_K_M", "IQ2_S"] {
        let (own, theirs) = (place.path().join(format!("{to}.gguf")), place.path().join(format!("{to}-theirs.gguf")));
        quantised(&model("moe.gguf"), to, Some(&columns), &own);
        by_llama(&model("moe.gguf"), to, Some(&columns), &theirs);
        assert_same_tensors(&own, &theirs, to);
    }
    let refused = quantize(
        &model("moe.gguf"),
        FileType::parse("IQ2_S").unwrap(),
        None,
        &place.path().join("without.gguf"),
        1,
        &mut |_, _| Ok(()),
    );
    assert!(refused.unwrap_err().to_string().contains("importance matrix"));
    assert!(!place.path().join("without.gguf").exists());
}

#[test]
fn what_a_window_costs_is_what_perplexity_counts_whoever_looks_on() {
    let text = &TEXT[..20_000];
    let mut alone = Alone::load(&source("moe.gguf"), 512, Some(2)).unwrap();
    let windows = alone.windows(text).unwrap();
    let costs: Vec<f64> = windows.iter().map(|window| alone.cost(window).unwrap().nats).collect();

    let settings = Settings { models: vec![source("moe.gguf")], ..Settings::default() };
    let mut engine = Engine::load(settings, &|_, _| {}).unwrap();
    let mut chunks = Vec::new();
    engine
        .chunks(text, &|_| true, &mut |_, chunk| {
            chunks.push(chunk.nats);
            Ok(())
        })
        .unwrap();
    assert_eq!(costs.len(), chunks.len());
    for (own, theirs) in costs.iter().zip(&chunks) {
        assert!((own - theirs).abs() < 1e-3, "{own} and {theirs}");
    }
}

#[test]
fn each_token_goes_through_its_experts_and_each_expert_adds_something() {
    let experts = Experts::of(&source("moe.gguf"), &reading(TEXT, 12), &mut |_, _| Ok(())).unwrap();
    assert_eq!((experts.tokens, experts.used), (12 * 256, 2));
    assert!(experts.layers.len() > 1);
    for layer in experts.layers.values() {
        assert_eq!(layer.counts.iter().sum::<u64>(), 2 * 12 * 256);
        assert!(layer.saliency().iter().zip(&layer.counts).all(|(mean, &count)| (*mean > 0.0) == (count > 0)));
    }
    let none = Experts::of(&source("stories-260k.gguf"), &reading(TEXT, 1), &mut |_, _| Ok(()));
    assert!(none.unwrap_err().to_string().contains("no experts"));
}

#[test]
fn planted_experts_that_do_nothing_are_ranked_last_and_taken_out_to_the_byte() {
    let place = Place::new();
    let planted = place.path().join("planted.gguf");
    gguf::plant::plant(model("moe.gguf"), &planted, 3, gguf::plant::Router::Never, 1).unwrap();
    let reading = Reading { context: 512, ..reading(TEXT, 12) };
    let experts = Experts::of(&ModelSource::new(&planted), &reading, &mut |_, _| Ok(())).unwrap();
    let mut keep = Vec::new();
    for layer in experts.layers.values() {
        assert_eq!(layer.counts.len(), 11);
        let mut order: Vec<u32> = (0..11).collect();
        order.sort_by(|&one, &other| layer.sums[other as usize].total_cmp(&layer.sums[one as usize]));
        let mut best = order[..8].to_vec();
        best.sort_unstable();
        assert_eq!(best, (0..8).collect::<Vec<u32>>(), "{layer:?}");
        keep.push(best);
    }
    let pruned = place.path().join("pruned.gguf");
    let plan = gguf::plan(&Header::read(&planted).unwrap(), &keep).unwrap();
    plan.write(&planted, &pruned, gguf::DEFAULT_BUFFER, |_, _| true).unwrap();
    assert!(std::fs::read(pruned).unwrap() == std::fs::read(model("moe.gguf")).unwrap());
}
