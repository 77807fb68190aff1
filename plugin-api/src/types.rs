//! Safe reading of what the host passes.

use crate::abi::{Assessment, Retraction, Row, Rows, Step, Token};

/// # Safety
/// `pointer` is null or valid for `len` reads of `T` for `'a`.
unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> &'a [T] {
    if pointer.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: as the caller promises; the host builds these structs and keeps what they point to alive for the call.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}

impl Step {
    /// The `draw`-th uniform random number in [0, 1) of this step: the same for every hook, and the same again when
    /// the reply is generated again with the same seed.
    pub fn random(&self, draw: u32) -> f32 {
        // SplitMix64 (Steele, Lea, Flood 2014): one 64-bit mix per draw, no state to carry.
        let mut z = self.seed.wrapping_add((u64::from(draw) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// One member's row with its slices.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    row: &'a Row,
    units: usize,
}

impl std::ops::Deref for RowView<'_> {
    type Target = Row;
    fn deref(&self) -> &Row {
        self.row
    }
}

impl<'a> RowView<'a> {
    /// Raw logits; −∞ where the member cannot emit the unit.
    pub fn logits(&self) -> &'a [f32] {
        // SAFETY: `Row::logits` has `Rows::units` entries, by the ABI.
        unsafe { slice(self.row.logits, self.units) }
    }

    /// Probabilities; they sum to 1.
    pub fn probabilities(&self) -> &'a [f32] {
        // SAFETY: `Row::probabilities` has `Rows::units` entries, by the ABI.
        unsafe { slice(self.row.probabilities, self.units) }
    }

    /// The member's name.
    pub fn name(&self) -> &'a str {
        // SAFETY: `Row::name` has `Row::name_len` bytes, by the ABI.
        std::str::from_utf8(unsafe { slice(self.row.name, self.row.name_len as usize) }).unwrap_or("?")
    }
}

impl Rows {
    /// How many members.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True without members; the host never passes that.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Row of member `index`, which must be below [`Rows::len`].
    pub fn get(&self, index: usize) -> RowView<'_> {
        assert!(index < self.len(), "row {index} of {}", self.len());
        // SAFETY: `rows` points to `count` rows that stand `Row::struct_size` bytes apart; the first field of the first
        // row says how many, so that a newer host with larger rows is read right. `count` is above 0 here.
        let row = unsafe {
            let stride = (*self.rows).struct_size as usize;
            &*self.rows.cast::<u8>().add(index * stride).cast::<Row>()
        };
        RowView { row, units: self.units as usize }
    }

    /// All rows, the leader first.
    pub fn iter(&self) -> impl Iterator<Item = RowView<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Writes `log Σ_i weights[i] · p_i(v)` to `fused`, with the host's vectorised arithmetic. The weights are scaled
    /// to sum to 1. Fails when their number is wrong, or one is negative or not finite, or all are 0.
    pub fn mix(&self, weights: &[f32], fused: &mut [f32]) -> Result<(), String> {
        crate::export::mix(self, weights, fused)
    }
}

impl Token {
    /// Its bytes; not always UTF-8 by themselves.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `bytes` has `bytes_len` entries, by the ABI.
        unsafe { slice(self.bytes, self.bytes_len as usize) }
    }

    /// The probabilities the members gave it.
    pub fn member_probabilities(&self, step: &Step) -> &[f32] {
        // SAFETY: one for each member, by the ABI.
        unsafe { slice(self.member_probabilities, step.members as usize) }
    }
}

impl Assessment {
    /// The newest confidences, oldest first.
    pub fn confidences(&self) -> &[f32] {
        // SAFETY: `window` entries, by the ABI.
        unsafe { slice(self.confidences, self.window as usize) }
    }

    /// The newest units, oldest first.
    pub fn units(&self) -> &[u32] {
        // SAFETY: `window` entries, by the ABI.
        unsafe { slice(self.units, self.window as usize) }
    }
}

impl Retraction {
    /// The policy whose verdict won.
    pub fn policy(&self) -> &str {
        // SAFETY: `policy_len` bytes, by the ABI.
        std::str::from_utf8(unsafe { slice(self.policy, self.policy_len as usize) }).unwrap_or("?")
    }
}
