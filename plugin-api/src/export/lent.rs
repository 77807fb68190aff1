//! What the host lends for one call, as views. Where the structs of the ABI are read, and nowhere else in this crate.

use crate::abi::{self, Host};
use crate::{Assessment, Retraction, Row, Step, Token};

/// # Safety
/// `pointer` is null, or valid for `len` reads of `T` for `'a`.
pub unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> &'a [T] {
    if pointer.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(pointer, len) }
}

/// A struct of the host that may be shorter than this crate knows it: what an older host does not have is 0.
///
/// # Safety
/// `pointer` is valid for `size` bytes of a `T` as that host knows it; a `T` of zeros is one.
pub unsafe fn whole<T: Copy>(pointer: *const T, size: u32) -> T {
    let mut whole = std::mem::MaybeUninit::<T>::zeroed();
    let known = (size as usize).min(size_of::<T>());
    // SAFETY: as the caller promises; the copy is as long as both have room for, and what it leaves is zeroed.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), whole.as_mut_ptr().cast::<u8>(), known);
        whole.assume_init()
    }
}

/// # Safety
/// As for [`slice`], with bytes.
unsafe fn text<'a>(pointer: *const u8, len: u32) -> &'a str {
    // SAFETY: as the caller promises.
    std::str::from_utf8(unsafe { slice(pointer, len as usize) }).unwrap_or("?")
}

/// The host's table of rows. Neither sent nor shared: the host's functions belong to the thread of the call.
#[derive(Clone, Copy)]
pub struct LentRows<'a> {
    host: *const Host,
    table: &'a abi::Rows,
}

impl<'a> LentRows<'a> {
    /// # Safety
    /// For `'a` the host is valid, and so is what the table leads to: it is that of a call of `on_logits`.
    pub unsafe fn new(host: *const Host, table: &'a abi::Rows) -> Self {
        Self { host, table }
    }

    pub fn len(&self) -> usize {
        self.table.count as usize
    }

    pub fn units(&self) -> usize {
        self.table.units as usize
    }

    /// The row of a member that there is.
    pub fn row(&self, index: usize) -> Row<'a> {
        assert!(index < self.len());
        // SAFETY: `rows` points to `count` rows, of which there is one, that stand `abi::Row::struct_size` bytes apart; the
        // first field of the first row says how many, so that a newer host with larger rows is read right. Each has
        // `units` logits and probabilities, and a name of `name_len` bytes. All of it is valid for `'a`, as `new` says.
        unsafe {
            let stride = (*self.table.rows).struct_size as usize;
            let row = &*self.table.rows.cast::<u8>().add(index * stride).cast::<abi::Row>();
            Row {
                name: text(row.name, row.name_len),
                weight: row.weight,
                logits: slice(row.logits, self.units()),
                probabilities: slice(row.probabilities, self.units()),
                log_sum_exp: row.log_sum_exp,
                entropy: row.entropy,
                top_unit: row.top_unit,
                top_probability: row.top_probability,
                evidence: row.evidence,
            }
        }
    }

    /// The host's mixture; false when it cannot use the weights.
    pub fn mix(&self, weights: &[f32], fused: &mut [f32]) -> bool {
        assert!(weights.len() == self.len() && fused.len() == self.units());
        // SAFETY: the lengths are those that the ABI asks for; `new` promises the host, and that the table is that of the
        // call in progress, on whose thread this is.
        unsafe { ((*self.host).mix)(self.table, weights.as_ptr(), fused.as_mut_ptr()) == abi::OK }
    }
}

/// The step without its size.
pub fn step(step: &abi::Step) -> Step {
    Step {
        position: step.position,
        attempt: step.attempt,
        retractable: step.retractable,
        retractions_left: step.retractions_left,
        members: step.members,
        seed: step.seed,
        parameters: step.parameters,
        base: step.base,
    }
}

/// # Safety
/// What `token` points to is valid for as long as it, with a probability for each of the step's members.
pub unsafe fn token<'a>(token: &'a abi::Token, step: &Step) -> Token<'a> {
    // SAFETY: as the caller promises.
    let (bytes, member_probabilities) = unsafe {
        (slice(token.bytes, token.bytes_len as usize), slice(token.member_probabilities, step.members as usize))
    };
    Token {
        unit: token.unit,
        bytes,
        leader: token.leader,
        probability: token.probability,
        entropy: token.entropy,
        agreement: token.agreement,
        is_end: token.is_end != 0,
        member_probabilities,
        surprise_mean: token.surprise_mean,
        surprise_deviation: token.surprise_deviation,
        behind: token.behind,
    }
}

/// # Safety
/// What `assessment` points to is valid for as long as it, and as long as its window.
pub unsafe fn assessment(assessment: &abi::Assessment) -> Assessment<'_> {
    let window = assessment.window as usize;
    // SAFETY: as the caller promises.
    let (confidences, units) = unsafe { (slice(assessment.confidences, window), slice(assessment.units, window)) };
    Assessment {
        unit: assessment.unit,
        confidence: assessment.confidence,
        mean_confidence: assessment.mean_confidence,
        slope: assessment.slope,
        minimum: assessment.minimum,
        minimum_back: assessment.minimum_back,
        entropy: assessment.entropy,
        agreement: assessment.agreement,
        leader: assessment.leader,
        unique: assessment.unique,
        unique_of: assessment.unique_of,
        repeated: assessment.repeated,
        period: assessment.period,
        confidences,
        units,
    }
}

/// # Safety
/// The policy's name is valid for as long as `retraction`.
pub unsafe fn retraction(retraction: &abi::Retraction) -> Retraction<'_> {
    Retraction {
        units: retraction.units,
        position: retraction.position,
        // SAFETY: as the caller promises.
        policy: unsafe { text(retraction.policy, retraction.policy_len) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as a later minor version may have it: with more at its end.
    #[repr(C)]
    struct LaterRow {
        row: abi::Row,
        something_that_a_later_minor_version_adds: [u64; 3],
    }

    unsafe extern "C" fn set_error(_: *const u8, _: usize) {}

    /// Writes how many weights it was given, and looks at the first.
    unsafe extern "C" fn mix(rows: *const abi::Rows, weights: *const f32, fused: *mut f32) -> i32 {
        // SAFETY: the caller keeps to the ABI.
        unsafe {
            if *weights < 0.0 {
                return abi::FAILED;
            }
            *fused = (*rows).count as f32;
        }
        abi::OK
    }

    static HOST: Host = Host { struct_size: size_of::<Host>() as u32, abi_minor: 7, set_error, mix };

    #[test]
    fn rows_of_a_newer_host_are_read_at_its_distance() {
        let logits = [[0.5f32, 1.5], [2.5, 3.5]];
        let names = ["one", "four"];
        let later = [0, 1].map(|member| LaterRow {
            row: abi::Row {
                struct_size: size_of::<LaterRow>() as u32,
                top_unit: 1,
                logits: logits[member].as_ptr(),
                probabilities: logits[1 - member].as_ptr(),
                log_sum_exp: 0.0,
                entropy: member as f32,
                top_probability: 0.5,
                evidence: -1.0,
                weight: 0.5,
                name_len: names[member].len() as u32,
                name: names[member].as_ptr(),
            },
            something_that_a_later_minor_version_adds: [u64::MAX; 3],
        });
        let size = size_of::<abi::Rows>() as u32;
        let table = abi::Rows { struct_size: size, count: 2, units: 2, reserved: 0, rows: later.as_ptr().cast() };
        // SAFETY: the table and what it points to live until the end of this function.
        let rows = crate::Rows::lent(unsafe { LentRows::new(&HOST, &table) });
        assert_eq!((rows.len(), rows.units()), (2, 2));
        for (member, row) in rows.iter().enumerate() {
            assert_eq!((row.name, row.entropy), (names[member], member as f32));
            assert_eq!((row.logits, row.probabilities), (&logits[member][..], &logits[1 - member][..]));
        }
        let mut fused = [0.0; 2];
        assert_eq!(rows.mix(&[1.0, 1.0], &mut fused), Ok(()));
        assert_eq!(fused, [2.0, 0.0]);
        assert!(rows.mix(&[-1.0, 1.0], &mut fused).unwrap_err().contains("[-1.0, 1.0]"));
        assert!(rows.mix(&[1.0], &mut fused).is_err() && rows.mix(&[1.0, 1.0], &mut fused[..1]).is_err());
    }

    #[test]
    fn what_is_null_is_empty() {
        // SAFETY: integers, floats and null pointers.
        let (candidate, report, gone): (abi::Token, abi::Assessment, abi::Retraction) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        let step = crate::testing::step();
        // SAFETY: nothing is behind their pointers, as these say.
        unsafe {
            assert_eq!(token(&candidate, &step), Token::default());
            let older = whole(&raw const candidate, 48);
            assert_eq!(token(&older, &step), Token::default());
            assert_eq!(assessment(&report), Assessment::default());
            assert_eq!(retraction(&gone), Retraction::default());
        }
    }
}
