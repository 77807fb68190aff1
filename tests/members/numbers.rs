//! Rows that are no numbers: what made them must not spoil what comes after.

use super::*;
use crate::support::gguf::Gguf;
use llama_selfmod::settings::Prompt;

/// A token whose embedding is not a number; no text of [`units`] has it.
const ILL: u32 = 258;

fn with_an_ill_token(models: &Models, architecture: Architecture) -> PathBuf {
    let path = models.random(architecture, 6);
    let mut model = Gguf::read(&path);
    let embeddings = model.tensors.iter_mut().find(|tensor| tensor.name == "token_embd.weight").unwrap();
    let width = embeddings.shape[0] * size_of::<u16>();
    let row = &mut embeddings.data[ILL as usize * width..][..width];
    row.chunks_exact_mut(2).for_each(|half| half.copy_from_slice(&0x7e00u16.to_le_bytes()));
    model.write(&path);
    path
}

#[test]
fn a_member_that_failed_over_its_numbers_goes_on_with_another_text() {
    let models = Models::new();
    for architecture in [Architecture::Llama, Architecture::Mamba, Architecture::Jamba] {
        let path = with_an_ill_token(&models, architecture);
        let mut fresh = engine(std::slice::from_ref(&path));
        let ensemble = &mut fresh.decoder().reading().unwrap();
        ensemble.prime(&Prompt::Tokens(units(0..20))).unwrap();
        units(20..24).iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        let expected = rows(&mut fresh);

        let mut member = engine(std::slice::from_ref(&path));
        let ensemble = &mut member.decoder().reading().unwrap();
        // In a prompt, of which the context then holds more than of the next one.
        let ill = [units(0..12), vec![ILL], units(12..60)].concat();
        let error = ensemble.prime(&Prompt::Tokens(ill)).unwrap_err().to_string();
        assert!(error.contains("not a number"), "{architecture:?}: {error}");
        ensemble.prime(&Prompt::Tokens(units(0..20))).unwrap();
        // And in a reply.
        units(20..22).iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        assert!(ensemble.extend(ILL).is_err(), "{architecture:?}");
        assert_eq!(ensemble.len(), 2);
        units(22..24).iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        assert_same(&rows(&mut member), &expected, &format!("{architecture:?}"));
    }
}
