//! How a thread computes with floating-point numbers: the direction of rounding, whether tiny numbers count as zero, which
//! errors end the process. Part of the processor's state, which a plugin can change for all that comes after it.

/// The control bits of the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arithmetic(u64);

impl Arithmetic {
    /// As they are now.
    pub(super) fn now() -> Self {
        Self(control())
    }

    /// Sets what differs from it. True when something did.
    pub(super) fn put_back(self) -> bool {
        let differs = control() != self.0;
        if differs {
            set_control(self.0);
        }
        differs
    }
}

/// MXCSR without the flags of what happened, and the control word of the older unit.
#[cfg(target_arch = "x86_64")]
fn control() -> u64 {
    const HAPPENED: u32 = 0x3f;
    let (mut vector, mut older) = (0u32, 0u16);
    // SAFETY: the two instructions store into the memory they are given and change nothing.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut vector, options(nostack, preserves_flags));
        std::arch::asm!("fnstcw [{}]", in(reg) &raw mut older, options(nostack, preserves_flags));
    }
    u64::from(older) << 32 | u64::from(vector & !HAPPENED)
}

#[cfg(target_arch = "x86_64")]
fn set_control(control: u64) {
    let (vector, older) = (control as u32, (control >> 32) as u16);
    // SAFETY: these are values that `control` read, so they set no reserved bit; they are what Rust expects them to be.
    unsafe {
        std::arch::asm!("fnclex", "fldcw [{}]", in(reg) &raw const older, options(nostack));
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const vector, options(nostack, preserves_flags));
    }
}

/// FPCR.
#[cfg(target_arch = "aarch64")]
fn control() -> u64 {
    let control: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags)) };
    control
}

#[cfg(target_arch = "aarch64")]
fn set_control(control: u64) {
    // SAFETY: a value that `control` read, so it sets no reserved bit; it is what Rust expects it to be.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) control, options(nomem, nostack, preserves_flags)) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn control() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn set_control(_control: u64) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_was_changed_is_put_back_and_said() {
        // Round up, tiny numbers count as zero, a division by zero ends the process.
        for changed in [0x4000, 0x8040, 0x200] {
            let before = Arithmetic::now();
            assert!(!before.put_back());
            set_control(before.0 ^ changed);
            assert_ne!(Arithmetic::now(), before);
            assert!(before.put_back());
            assert_eq!(Arithmetic::now(), before);
        }
        // That a number was inexact is no change.
        let before = Arithmetic::now();
        assert!(std::hint::black_box(1.0f32) / std::hint::black_box(3.0) > 0.3);
        assert_eq!(Arithmetic::now(), before);
    }
}
