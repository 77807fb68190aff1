//! Takes experts out of a file, slice by slice, without decoding a block.

use crate::{Experts, FileError, Header, HeaderError, PruneError, Source, Tensor, Value, Writer};
use std::ops::Range;
use std::path::Path;

/// Bytes of the buffer that [`Plan::write`] needs; larger ones gain nothing measurable on disks.
pub const DEFAULT_BUFFER: usize = 8 << 20;
/// Smallest buffer that is used.
const LEAST_BUFFER: usize = 4 << 10;

/// Which bytes of a file make the file with fewer experts.
#[derive(Debug, Clone)]
pub struct Plan {
    source: Vec<Tensor>,
    source_meta_size: u64,
    header: Header,
    /// Byte ranges of each tensor's data that stay, in order.
    ranges: Vec<Vec<Range<u64>>>,
}

/// Plans a file that keeps the experts `keep`: a sorted list for each of [`Experts::layers`], all of the same length.
///
/// Whatever is known to make llama.cpp refuse the file, end the process or build another model is refused here, before
/// anything is written.
pub fn plan(header: &Header, keep: &[Vec<u32>]) -> Result<Plan, PruneError> {
    let experts = Experts::of(header)?;
    experts.check(keep)?;
    let kept = keep.first().map_or(0, Vec::len) as u32;
    let (mut tensors, mut ranges) = (Vec::new(), Vec::new());
    for (tensor, part) in header.tensors().iter().zip(experts.parts()) {
        let Some((part, list)) = part.and_then(|part| Some((part, keep.get(part.layer)?))) else {
            tensors.push(tensor.clone());
            ranges.push(Vec::from_iter((tensor.bytes() > 0).then_some(0..tensor.bytes())));
            continue;
        };
        tensors.push(tensor.with_dim(part.axis, kept.into()).map_err(HeaderError::from)?);
        ranges.push(runs(list).map(|run| run.start * part.bytes..run.end * part.bytes).collect());
    }
    let mut pruned = header.clone();
    pruned.set(&format!("{}.expert_count", experts.architecture()), Value::U32(kept))?;
    pruned.set_tensors(tensors)?;
    Ok(Plan { source: header.tensors().to_vec(), source_meta_size: header.meta_size(), header: pruned, ranges })
}

/// Runs of neighbours in a sorted list.
fn runs(list: &[u32]) -> impl Iterator<Item = Range<u64>> {
    list.chunk_by(|a, b| a.checked_add(1) == Some(*b)).map(|run| {
        let first = run.first().copied().map_or(0, u64::from);
        first..first + run.len() as u64
    })
}

impl Plan {
    /// The header of the file to be written; [`Header::file_size`] is the size of the file to the byte.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Copies what stays of `source` to a new file at `out` through a buffer of `buffer_bytes` bytes.
    ///
    /// `progress` is given the bytes of tensors that are written and the bytes of all, at most a buffer apart, and stops
    /// the writing with `false`. On any failure nothing is left at `out`. The same plan gives the same bytes.
    ///
    /// Fails if `out` exists, if `source` is not the file that was planned with, or if there is no room.
    pub fn write(
        &self,
        source: impl AsRef<Path>,
        out: impl AsRef<Path>,
        buffer_bytes: usize,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<(), FileError> {
        let mut source = Source::open(source.as_ref())?;
        if source.header().tensors() != self.source || source.header().meta_size() != self.source_meta_size {
            return Err(FileError::Changed(source.path().into()));
        }
        let mut writer = Writer::create(out.as_ref(), self.header.clone())?;
        let mut buffer = vec![0; buffer_bytes.clamp(LEAST_BUFFER, DEFAULT_BUFFER)];
        let total = self.header.tensors().iter().map(Tensor::bytes).sum();
        let mut done = 0;
        for (tensor, ranges) in self.ranges.iter().enumerate() {
            for range in ranges {
                let mut start = range.start;
                while start < range.end {
                    let piece = (range.end - start).min(buffer.len() as u64);
                    let bytes = &mut buffer[..piece as usize];
                    source.read_at(tensor, start, bytes)?;
                    writer.write(bytes)?;
                    start += piece;
                    done += piece;
                    if !progress(done, total) {
                        return Err(FileError::Stopped(out.as_ref().into()));
                    }
                }
            }
            writer.end_tensor()?;
        }
        writer.finish()
    }
}
