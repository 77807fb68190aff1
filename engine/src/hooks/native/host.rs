//! What the host offers to plugins: a place for error texts and the vectorised mixture.
//!
//! These functions are called from foreign code, so nothing in them may panic: that would end the program.

use super::border::USUAL_MEMBERS;
use plugin_api::abi::{self, Host, Row, Rows};
use std::cell::RefCell;
use std::mem::size_of;

/// What every plugin gets; it lives as long as the program.
pub(super) static HOST: Host =
    Host { struct_size: size_of::<Host>() as u32, abi_minor: abi::ABI_MINOR, set_error, mix };

/// How much of an error text is kept, in bytes.
const LONGEST_ERROR: usize = 4096;

thread_local! {
    /// Plugins are called and answer on one thread, so this is the text of the call in progress.
    static ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Before a call: what an earlier call said no longer counts.
pub(super) fn forget_error() {
    ERROR.with_borrow_mut(String::clear);
}

/// After a failed call: what the plugin said, if anything.
pub(super) fn take_error() -> Option<String> {
    Some(ERROR.take()).filter(|text| !text.is_empty())
}

unsafe extern "C" fn set_error(text: *const u8, len: usize) {
    if text.is_null() {
        return;
    }
    // SAFETY: the ABI promises `len` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(text, len.min(LONGEST_ERROR)) };
    keep_error(&String::from_utf8_lossy(bytes));
}

fn keep_error(text: &str) {
    // A thread that is ending has no place for it any more.
    let _ = ERROR.try_with(|error| {
        if let Ok(mut error) = error.try_borrow_mut() {
            error.clear();
            error.push_str(text);
        }
    });
}

unsafe extern "C" fn mix(rows: *const Rows, weights: *const f32, fused: *mut f32) -> i32 {
    // SAFETY: the ABI promises what the host itself passed to the hook, and buffers as long as it says.
    match unsafe { checked_mix(rows, weights, fused) } {
        Some(()) => abi::OK,
        None => {
            keep_error("mix needs the host's rows and finite weights of at least 0, not all 0");
            abi::FAILED
        }
    }
}

/// `None` where the arguments are not what the ABI asks for, as far as that can be seen.
///
/// # Safety
/// What is not null has the length that the ABI says.
unsafe fn checked_mix(rows: *const Rows, weights: *const f32, fused: *mut f32) -> Option<()> {
    if rows.is_null() || weights.is_null() || fused.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    let table = unsafe { &*rows };
    if table.count == 0 || table.rows.is_null() {
        return None;
    }
    let (count, units) = (table.count as usize, table.units as usize);
    // SAFETY: the table is one that this program made, so that its rows stand as close as in an array.
    let rows = unsafe { std::slice::from_raw_parts(table.rows, count) };
    // SAFETY: as the caller promises.
    let weights = unsafe { std::slice::from_raw_parts(weights, count) };
    let mut usable = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
    usable &= weights.iter().any(|weight| *weight > 0.0);
    usable &= rows.iter().all(|row| row.struct_size as usize == size_of::<Row>() && !row.probabilities.is_null());
    if !usable {
        return None;
    }
    // SAFETY: as the caller promises; it is not null.
    let probabilities = |row: &Row| unsafe { std::slice::from_raw_parts(row.probabilities, units) };
    // SAFETY: as the caller promises.
    let fused = unsafe { std::slice::from_raw_parts_mut(fused, units) };
    let mut few = [&[][..]; USUAL_MEMBERS];
    if let Some(few) = few.get_mut(..count) {
        few.iter_mut().zip(rows).for_each(|(slot, row)| *slot = probabilities(row));
        crate::fuse::mix(few, weights, fused);
    } else {
        let many: Vec<&[f32]> = rows.iter().map(probabilities).collect();
        crate::fuse::mix(&many, weights, fused);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::native::border::Table;
    use plugin_api::testing::Members;

    fn mixed(members: &Members, weights: &[f32]) -> Option<Vec<f32>> {
        let rows = members.rows();
        assert_eq!(weights.len(), rows.len());
        let mut fused = vec![0.0; rows.units()];
        // SAFETY: both buffers have the lengths that the rows say.
        let status = unsafe { mix(Table::of(&rows).lend(), weights.as_ptr(), fused.as_mut_ptr()) };
        (status == abi::OK).then_some(fused)
    }

    #[test]
    fn more_members_than_usual_are_mixed_alike() {
        let row: &[f32] = &[0.3, 1.0, -2.0];
        let few = mixed(&Members::new(&[row; 2]), &[1.0; 2]).unwrap();
        let many = mixed(&Members::new(&[row; 40]), &[1.0; 40]).unwrap();
        for (few, many) in few.iter().zip(many) {
            assert!((few - many).abs() < 1e-5);
        }
    }

    #[test]
    fn unusable_arguments_are_refused() {
        let members = Members::new(&[&[0.0, 1.0], &[1.0, 0.0]]);
        for weights in [[0.0, 0.0], [1.0, -1.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert_eq!(mixed(&members, &weights), None, "{weights:?}");
        }
        let mut table = Table::of(&members.rows());
        // SAFETY: the table stays where it is.
        let rows = unsafe { *table.lend() };
        let none: [&Rows; 2] = [&Rows { count: 0, ..rows }, &Rows { rows: std::ptr::null(), ..rows }];
        for rows in none.map(std::ptr::from_ref).into_iter().chain([std::ptr::null()]) {
            // SAFETY: null, or without rows, is what is tested.
            assert_eq!(unsafe { mix(rows, [1.0; 2].as_ptr(), [1.0; 2].as_mut_ptr()) }, abi::FAILED);
        }
    }

    #[test]
    fn an_error_text_is_kept_once() {
        forget_error();
        // SAFETY: the text is as long as it says.
        unsafe { set_error("why".as_ptr(), 3) };
        assert_eq!((take_error().as_deref(), take_error()), (Some("why"), None));
    }
}
