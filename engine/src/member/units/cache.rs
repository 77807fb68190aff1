//! Common units on disk, since the same members meet again and again.
//!
//! A file holds what costs time: which strings are shared, and every token's units. It is named after the vocabularies'
//! contents, so it is never out of date, and ends with a checksum of itself; whatever is wrong with it, the units are computed
//! anew and the file is written again. Nothing depends on it but time.

use super::common::{BYTES, Sequences, vocabulary_of};
use super::{Common, TokenMap, reduce};
use crate::files;
use crate::member::{Unit, Vocabulary};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::path::Path;

/// What a file begins with; the last byte is the version of the form, and of the cutting of tokens into units.
const MAGIC: &[u8; 8] = b"smunits\x01";

/// Far more than the units of the largest vocabularies, in bytes.
const LARGEST: u64 = 1 << 30;

/// Length of a SHA-256.
const HASH: usize = 32;

/// [`reduce`], from a file in `folder` where one has it, and whether one had. Otherwise leaves such a file there, creating the
/// folder; where that fails, the next call computes again.
pub fn reduce_cached(vocabularies: &[&Vocabulary], folder: Option<&Path>) -> (Common, bool) {
    let Some(folder) = folder else { return (reduce(vocabularies), false) };
    let key = key(vocabularies);
    let path = folder.join(format!("{}.units", hexadecimal(&key[..16])));
    if let Some(common) = files::read(&path, LARGEST).ok().and_then(|file| parse(&file, &key, vocabularies)) {
        return (common, true);
    }
    let common = reduce(vocabularies);
    if let Err(reason) = write(&common, &key, folder, &path) {
        tracing::debug!("the common units cannot be kept in {}: {reason}", path.display());
    }
    (common, false)
}

/// Tells apart what [`reduce`] tells apart.
fn key(vocabularies: &[&Vocabulary]) -> [u8; HASH] {
    let mut content = MAGIC.to_vec();
    for vocabulary in vocabularies {
        vocabulary.write_content(&mut content);
    }
    Sha256::digest(&content).into()
}

/// Readers see the whole file or none.
fn write(common: &Common, key: &[u8; HASH], folder: &Path, path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&print(common, key))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The form: magic, key, the lengths and bytes of the units that are longer than a byte, for each member the lengths and units
/// of its tokens, checksum. Every list has its length in front; all numbers are 32 bits, the lowest byte first.
fn print(common: &Common, key: &[u8; HASH]) -> Vec<u8> {
    let mut file = [MAGIC.as_slice(), key].concat();
    let mut list = |numbers: &[u32]| {
        file.extend((numbers.len() as u32).to_le_bytes());
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    for map in &common.members {
        list(&map.sequences().ends);
        list(&map.sequences().units);
    }
    let strings = || (BYTES as Unit..common.units.end()).map(|unit| common.units.bytes(unit));
    list(&strings().map(|string| string.len() as u32).collect::<Vec<_>>());
    file.extend(strings().flatten());
    file.extend(Sha256::digest(&file));
    file
}

/// `None` for anything but a whole file of these vocabularies.
fn parse(file: &[u8], key: &[u8; HASH], vocabularies: &[&Vocabulary]) -> Option<Common> {
    let (content, checksum) = file.split_at_checked(file.len().checked_sub(HASH)?)?;
    let mut rest = content.strip_prefix(MAGIC)?.strip_prefix(key)?;
    if Sha256::digest(content).as_slice() != checksum {
        return None;
    }
    let sequences: Vec<Sequences> = vocabularies
        .iter()
        .map(|_| Some(Sequences { ends: list(&mut rest)?, units: list(&mut rest)? }))
        .collect::<Option<_>>()?;
    let strings =
        list(&mut rest)?.into_iter().map(|length| take(&mut rest, length as usize)).collect::<Option<Vec<&[u8]>>>()?;
    let end = (BYTES + strings.len()) as Unit;
    let fits = |(vocabulary, sequences): (&&Vocabulary, &Sequences)| {
        sequences.ends.len() == vocabulary.len()
            && sequences.ends.is_sorted()
            && sequences.ends.last().map_or(0, |&end| end as usize) == sequences.units.len()
            && sequences.units.iter().all(|&unit| unit <= end)
    };
    if !rest.is_empty() || !vocabularies.iter().zip(&sequences).all(fits) {
        return None;
    }
    let maps = vocabularies.iter().zip(sequences);
    Some(Common {
        members: maps.map(|(vocabulary, sequences)| TokenMap::new(vocabulary, sequences, end)).collect(),
        units: vocabulary_of(&strings),
    })
}

/// A list of numbers with its length in front.
fn list(rest: &mut &[u8]) -> Option<Vec<u32>> {
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).ok();
    let length = number(take(rest, 4)?)?;
    take(rest, (length as usize).checked_mul(4)?)?.chunks_exact(4).map(number).collect()
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
