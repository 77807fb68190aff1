//! The `tokenizer.*` part of a model file.

use std::path::Path;

use super::{Gguf, Value};

/// llama.cpp's token types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceType {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// A vocabulary: the metadata whose keys begin with `tokenizer.`.
#[derive(Clone, Debug)]
pub struct Vocabulary(Gguf);

impl Vocabulary {
    /// That of an existing file.
    pub fn copied_from(path: &Path) -> Self {
        let mut model = Gguf::read(path);
        model.metadata.retain(|(key, _)| key.starts_with("tokenizer."));
        model.tensors.clear();
        Self(model)
    }

    /// SentencePiece BPE over `pieces` (text, score, type), the first three being unknown, start and end of text.
    ///
    /// Merges of a higher score come first. A space is written `▁`, a byte `<0x0A>`; text that no piece covers makes
    /// llama.cpp abort, so give all 256 bytes ([`Self::bytes`]) unless that is what is tested.
    pub fn of_pieces(pieces: &[(String, f32, PieceType)]) -> Self {
        let mut keys = Gguf::default();
        let texts = pieces.iter().map(|piece| piece.0.clone()).collect();
        let types = pieces.iter().map(|piece| piece.2 as i32).collect();
        keys.set("tokenizer.ggml.model", Value::Text("llama".into()));
        keys.set("tokenizer.ggml.pre", Value::Text("default".into()));
        keys.set("tokenizer.ggml.tokens", Value::Texts(texts));
        keys.set("tokenizer.ggml.scores", Value::Floats(pieces.iter().map(|piece| piece.1).collect()));
        keys.set("tokenizer.ggml.token_type", Value::Integers(types));
        keys.set("tokenizer.ggml.unknown_token_id", Value::U32(0));
        keys.set("tokenizer.ggml.bos_token_id", Value::U32(1));
        keys.set("tokenizer.ggml.eos_token_id", Value::U32(2));
        keys.set("tokenizer.ggml.add_bos_token", Value::Bool(true));
        keys.set("tokenizer.ggml.add_eos_token", Value::Bool(false));
        keys.set("tokenizer.ggml.add_space_prefix", Value::Bool(true));
        Self(keys)
    }

    /// Byte-level BPE without merges: one token a byte, by value, and `<|endoftext|>`. `splitter` names one of llama.cpp's
    /// ways to split a text into words.
    pub fn of_bytes(splitter: &str) -> Self {
        // GPT-2's spelling of bytes: printable ones as they are, the others from U+0100 on.
        let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let mut others = 0x100..;
        let spell = |byte| if printable(byte) { byte.into() } else { others.next().and_then(char::from_u32).unwrap() };
        let mut texts: Vec<String> = (0..=255).map(spell).map(String::from).collect();
        texts.push("<|endoftext|>".into());
        let mut types = vec![PieceType::Normal as i32; 256];
        types.push(PieceType::Control as i32);
        let mut keys = Gguf::default();
        keys.set("tokenizer.ggml.model", Value::Text("gpt2".into()));
        keys.set("tokenizer.ggml.pre", Value::Text(splitter.into()));
        keys.set("tokenizer.ggml.tokens", Value::Texts(texts));
        keys.set("tokenizer.ggml.token_type", Value::Integers(types));
        keys.set("tokenizer.ggml.merges", Value::Texts(Vec::new()));
        keys.set("tokenizer.ggml.bos_token_id", Value::U32(256));
        keys.set("tokenizer.ggml.eos_token_id", Value::U32(256));
        keys.set("tokenizer.ggml.add_bos_token", Value::Bool(false));
        Self(keys)
    }

    /// The three control pieces and the 256 bytes, for [`Self::of_pieces`] to go on from.
    pub fn bytes() -> Vec<(String, f32, PieceType)> {
        let mut pieces = vec![
            ("<unk>".to_string(), 0.0, PieceType::Unknown),
            ("<s>".to_string(), 0.0, PieceType::Control),
            ("</s>".to_string(), 0.0, PieceType::Control),
        ];
        pieces.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), 0.0, PieceType::Byte)));
        pieces
    }

    /// Padded with unused pieces to `length` tokens. llama.cpp accepts no more rows than tokens, so this is how models
    /// come by rows that stand for nothing.
    pub fn padded_to(mut self, length: usize) -> Self {
        for (key, value) in &mut self.0.metadata {
            match (key.as_str(), value) {
                ("tokenizer.ggml.tokens", Value::Texts(list)) => {
                    list.extend((list.len()..length).map(|id| format!("[PAD{id}]")));
                }
                ("tokenizer.ggml.scores", Value::Floats(list)) => list.resize(length, 0.0),
                ("tokenizer.ggml.token_type", Value::Integers(list)) => list.resize(length, PieceType::Unused as i32),
                _ => {}
            }
        }
        self
    }

    /// With another token for the end of text.
    pub fn ending_with(self, id: u32) -> Self {
        self.with("tokenizer.ggml.eos_token_id", Value::U32(id))
    }

    /// With a Jinja chat template.
    pub fn with_template(self, template: &str) -> Self {
        self.with("tokenizer.chat_template", Value::Text(template.into()))
    }

    /// With one key set, for what has no method of its own.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.0.set(key, value);
        self
    }

    /// Its pieces as the file spells them, by id.
    pub fn pieces(&self) -> &[String] {
        match self.0.get("tokenizer.ggml.tokens") {
            Value::Texts(list) => list,
            other => panic!("tokens are texts, not {other:?}"),
        }
    }

    /// The keys and values for a model's metadata.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.0.metadata
    }
}
