//! Signatures: the statement's bytes in a DSSE envelope, which cosign and in-toto verifiers read.
//!
//! A signature by a key that nobody asked for shows that files belong together, and no more: `--trust` names the key.

use super::json::canonical;
use crate::bench::Failure;
use base64ct::{Base64, Encoding};
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::path::Path;

/// The envelope's file, beside the statement.
pub(super) const FILE: &str = "statement.dsse.json";

/// The type of what is signed.
const PAYLOAD: &str = "application/vnd.in-toto+json";

/// What stands before a public key in an envelope's `keyid`.
const KEY: &str = "ed25519:";

/// The largest file that may hold a key.
const LARGEST_KEY: usize = 16 << 10;

/// An envelope as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Signed {
    keyid: String,
    sig: String,
}

/// A key that signs.
pub struct Signer(SigningKey);

impl Debug for Signer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Signer({})", self.trust().id())
    }
}

impl Signer {
    /// Reads a key: PEM or DER of PKCS#8, as `openssl genpkey -algorithm ed25519 -out key.pem` writes it, or the 32 bytes of a
    /// seed.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bytes = key_file(path)?;
        let pem = std::str::from_utf8(&bytes).ok().and_then(|text| SigningKey::from_pkcs8_pem(text).ok());
        let key = pem.or_else(|| SigningKey::from_pkcs8_der(&bytes).ok());
        let key = key.or_else(|| Some(SigningKey::from_bytes(bytes.as_slice().try_into().ok()?)));
        key.map(Self).ok_or_else(|| {
            Failure::new(format!(
                "`{}` is no private ed25519 key; `openssl genpkey -algorithm ed25519 -out key.pem` makes one",
                path.display()
            ))
        })
    }

    /// The key that checks its signatures.
    pub fn trust(&self) -> Trust {
        Trust(self.0.verifying_key())
    }

    pub(super) fn envelope(&self, payload: &[u8]) -> Envelope {
        let signature = self.0.sign(&signed_bytes(PAYLOAD, payload));
        Envelope {
            payload_type: PAYLOAD.into(),
            payload: Base64::encode_string(payload),
            signatures: vec![Signed { keyid: self.trust().id(), sig: Base64::encode_string(&signature.to_bytes()) }],
        }
    }
}

/// A key whose signatures are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trust(VerifyingKey);

impl Trust {
    /// Reads a public key: PEM or DER, as `openssl pkey -in key.pem -pubout` writes it, its 32 bytes, or the text `ed25519:…`
    /// of an envelope.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let bytes = key_file(path)?;
        let text = std::str::from_utf8(&bytes).ok();
        let key = text.and_then(|text| VerifyingKey::from_public_key_pem(text).ok());
        let key = key.or_else(|| VerifyingKey::from_public_key_der(&bytes).ok());
        let key = key.or_else(|| VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok());
        let key = key.map(Self).or_else(|| Self::of_id(text?.trim()));
        key.ok_or_else(|| {
            Failure::new(format!(
                "`{}` is no public ed25519 key; `openssl pkey -in key.pem -pubout -out key.pub` writes that of a private one",
                path.display()
            ))
        })
    }

    /// Its text in envelopes.
    pub fn id(&self) -> String {
        format!("{KEY}{}", Base64::encode_string(self.0.as_bytes()))
    }

    fn of_id(id: &str) -> Option<Self> {
        let bytes = Base64::decode_vec(id.strip_prefix(KEY)?).ok()?;
        VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok().map(Self)
    }
}

fn key_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::read(path, &error))?;
    if bytes.len() > LARGEST_KEY {
        return Err(Failure::new(format!("`{}` is too large for a key", path.display())));
    }
    Ok(bytes)
}

impl Envelope {
    /// Whether this signs these bytes, by the key that is trusted or by the one that it names. What is wrong, if not.
    pub(super) fn check(&self, statement: &[u8], trust: Option<&Trust>) -> Result<Trust, String> {
        if self.payload_type != PAYLOAD {
            return Err(format!("its payload is `{}`, not `{PAYLOAD}`", self.payload_type));
        }
        let payload = Base64::decode_vec(&self.payload).map_err(|_| "its payload is no base64".to_owned())?;
        let [signed] = self.signatures.as_slice() else {
            return Err(format!("it has {} signatures, not 1", self.signatures.len()));
        };
        let own = Trust::of_id(&signed.keyid).ok_or("its `keyid` is no key")?;
        if let Some(trust) = trust.filter(|trust| **trust != own) {
            return Err(format!("it is signed by {}, not by {}, which is trusted", own.id(), trust.id()));
        }
        let signature = Base64::decode_vec(&signed.sig).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature = signature.ok_or("its signature is none")?;
        let bytes = signed_bytes(&self.payload_type, &payload);
        own.0.verify_strict(&bytes, &signature).map_err(|_| format!("its signature is not one of {}", own.id()))?;
        if payload != statement {
            return Err("it signs another statement than the one beside it".into());
        }
        Ok(own)
    }

    /// Reads an envelope; one that is not canonical is not what was written.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let envelope: Self = serde_json::from_slice(bytes).map_err(|error| format!("it is no envelope: {error}"))?;
        match canonical(&envelope) {
            Ok(text) if text == bytes => Ok(envelope),
            _ => Err("it is not as it was written".into()),
        }
    }
}

/// What is signed: DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md, version 1).
fn signed_bytes(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in protocol.md of secure-systems-lab/dsse.
    #[test]
    fn what_is_signed_is_as_the_specification_has_it() {
        let bytes = signed_bytes("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    /// RFC 8032, section 7.1, test 1: the key, its public key and the signature of nothing.
    #[test]
    fn keys_and_signatures_are_those_of_the_standard() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let signer = Signer(SigningKey::from_bytes(&seed));
        assert_eq!(signer.trust().id(), "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert_eq!(&signer.0.sign(b"").to_bytes()[..4], &[0xe5, 0x56, 0x43, 0x00]);
    }

    #[test]
    fn an_envelope_signs_one_statement_by_one_key() {
        let [signer, other] = [1, 2].map(|seed| Signer(SigningKey::from_bytes(&[seed; 32])));
        let envelope = signer.envelope(b"{}");
        assert_eq!(envelope.check(b"{}", None), Ok(signer.trust()));
        assert_eq!(envelope.check(b"{}", Some(&signer.trust())), Ok(signer.trust()));
        assert!(envelope.check(b"{}", Some(&other.trust())).unwrap_err().contains("which is trusted"));
        assert!(envelope.check(b"{ }", None).unwrap_err().contains("another statement"));
        let mut forged = envelope.clone();
        forged.payload = Base64::encode_string(b"[]");
        assert!(forged.check(b"[]", None).unwrap_err().contains("its signature is not one of"));
    }
}
