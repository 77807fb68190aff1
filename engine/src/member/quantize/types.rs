//! Which type each tensor of a file gets, in llama.cpp's own words: its quantiser, run dry on the file's skeleton.
//!
//! The choice depends on the architecture, the layer, the row's length and on whether there is an importance matrix, and it is
//! not in llama.cpp's interface; a dry run writes it to the log. It maps its file as a whole, so it is given a skeleton: the same
//! header over a file with holes, whose tensors are of the smallest type. So no weights have to be there, and what a pruned or
//! quantised model would have in bytes is known before it is made.

use super::FileType;
use crate::error::Error;
use crate::member::load::{backend, said};
use gguf::{Header, Type};
use llama_cpp_sys_2 as sys;
use std::collections::HashMap;
use std::ffi::CString;
use std::path::Path;

/// What llama.cpp says at the end of a dry run for types that are worthless without an importance matrix.
const WANTS_IMATRIX: &str = "will require an imatrix";

/// The type of each tensor in the order of the header.
///
/// # Errors
/// For a file that llama.cpp does not know as a model, and a type that needs an importance matrix where there is none.
pub fn types(header: &Header, to: FileType, has_imatrix: bool) -> Result<Vec<Type>, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Failure(format!("a dry run of the quantiser failed: {error}"));
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let file = folder.path().join("skeleton.gguf");
    let bones = header.skeleton(&file, &avoid(to)).map_err(|error| failed(&error))?;
    let words = dry_run(&file, to, has_imatrix)?;
    let said = parse(&words);
    let mut types = Vec::with_capacity(header.tensors().len());
    for (tensor, bone) in header.tensors().iter().zip(&bones) {
        let new = said.get(tensor.name()).ok_or_else(|| {
            failed(&format!("llama.cpp says nothing of the tensor `{}`; is this a model's file?", tensor.name()))
        })?;
        types.push(match new {
            // The skeleton's type is none that a tensor could get, so this one stays as it is.
            None => tensor.kind(),
            Some(name) => Type::from_name(name)
                .filter(|kind| kind != bone)
                .ok_or_else(|| failed(&format!("llama.cpp names a type `{name}` that is not known here")))?,
        });
    }
    if words.contains(WANTS_IMATRIX) {
        return Err(Error::Input(
            "this type is worthless without an importance matrix; make one with a stage `imatrix`, and name it as `imatrix`"
                .into(),
        ));
    }
    Ok(types)
}

/// Types that the tensors of the skeleton must not have, because they can be chosen for this file type.
fn avoid(to: FileType) -> Vec<Type> {
    match to.0 {
        sys::LLAMA_FTYPE_MOSTLY_TQ1_0 => vec![Type::TQ1_0],
        sys::LLAMA_FTYPE_MOSTLY_MXFP4_MOE => vec![Type::MXFP4],
        sys::LLAMA_FTYPE_MOSTLY_BF16 => vec![Type::BF16],
        _ => Vec::new(),
    }
}

fn dry_run(file: &Path, to: FileType, has_imatrix: bool) -> Result<String, Error> {
    backend()?;
    let path = CString::new(file.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::Failure("the folder for temporary files has a NUL in its name".into()))?;
    // That there is one changes the choice, and not what is in it.
    let (name, number) = (c"none", [1.0f32]);
    let imatrix = [
        sys::llama_model_imatrix_data { name: name.as_ptr(), data: number.as_ptr(), size: 1 },
        sys::llama_model_imatrix_data { name: std::ptr::null(), data: std::ptr::null(), size: 0 },
    ];
    // SAFETY: returns a plain struct.
    let mut parameters = unsafe { sys::llama_model_quantize_default_params() };
    parameters.ftype = to.0;
    parameters.dry_run = true;
    parameters.allow_requantize = true;
    parameters.nthread = 1;
    if has_imatrix {
        parameters.imatrix = imatrix.as_ptr();
    }
    // SAFETY: C strings and parameters that live for the call; a list of importance matrices ends with one without a name.
    let work = || unsafe { sys::llama_model_quantize(path.as_ptr(), path.as_ptr(), &raw const parameters) };
    let (status, reason, words) = said::transcript(work);
    if status != 0 {
        let reason = reason.unwrap_or_else(|| "it does not say why".into());
        return Err(Error::Input(format!("llama.cpp cannot quantise this file: {reason}; is it a model's?")));
    }
    Ok(words)
}

/// By the tensor's name the new type's; `None` for one that stays as it is. A line is
/// `[   1/  57] output.weight  - [   64,   512,     1,     1], type =   q8_0, size =     0.03 MiB ->     0.02 MiB (q6_K)`.
fn parse(words: &str) -> HashMap<&str, Option<&str>> {
    words.lines().filter_map(|line| parse_line(line.trim_end())).collect()
}

fn parse_line(line: &str) -> Option<(&str, Option<&str>)> {
    let rest = line.strip_prefix('[')?.split_once("] ")?.1;
    let (name, rest) = rest.split_once(" - [")?;
    let new = rest.split_once("->").and_then(|(_, new)| new.rsplit_once('(')?.1.strip_suffix(')'));
    Some((name.trim(), new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_dry_run_says_the_type_of_each_tensor() {
        let words = "\
llama_model_quantize_impl: model size
[   1/   3] output_norm.weight                   - [   64,     1,     1,     1], type =    f32, size =    0.000 MiB
[   2/   3] output.weight                        - [   64,   512,     1,     1], type =   q8_0, size =     0.03 MiB ->     0.02 MiB (q6_K)
[   3/   3] blk.0.attn_q.weight                  - [   64,    64,     1,     1], type =   q8_0, size =     0.03 MiB ->     0.02 MiB (q4_K)
";
        let types = parse(words);
        assert_eq!(types.len(), 3);
        assert_eq!(types["output_norm.weight"], None);
        assert_eq!(types["output.weight"], Some("q6_K"));
        assert_eq!(types["blk.0.attn_q.weight"], Some("q4_K"));
    }
}
