//! Floating-point modes that a caller may have set, on x86-64 and on 64-bit Arm.

use std::arch::asm;

use register::{Register, read, write};

pub use register::{MODES, USUAL, control};

#[cfg(target_arch = "x86_64")]
mod register {
    use super::asm;

    /// MXCSR
    pub type Register = u32;

    /// As threads start: round to the nearest, keep denormal numbers, mask exceptions.
    pub const USUAL: u32 = 0x1f80;

    /// Modes and their names, the usual one first.
    pub const MODES: [(&str, u32); 8] = [
        ("usual", USUAL),
        ("denormals flushed", USUAL | 0x8040),
        ("denormal results flushed", USUAL | 0x8000),
        ("rounded down", USUAL | 0x2000),
        ("rounded up", USUAL | 0x4000),
        ("rounded towards zero", USUAL | 0x6000),
        ("exceptions unmasked", 0),
        (
            "rounded up, denormals flushed, exceptions unmasked",
            0x4000 | 0x8040,
        ),
    ];

    pub fn read() -> Register {
        let mut value = 0;
        // SAFETY: stores the register to `value`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
        value
    }

    pub fn write(value: Register) {
        // SAFETY: loads the register from `value`, whose reserved bits are 0 as they come from above.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
    }

    /// The mode, without the flags that record exceptions.
    pub fn control() -> u32 {
        read() & !0x3f
    }

    /// The register in that mode, with the flag of inexact results where that is possible.
    pub fn with_flag(mode: u32) -> Register {
        if mode & USUAL == USUAL {
            mode | 0x20
        } else {
            mode
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    use super::asm;

    /// FPCR and FPSR
    pub type Register = (u64, u64);

    /// As threads start: round to the nearest, keep denormal numbers.
    pub const USUAL: u32 = 0;

    /// Modes and their names, the usual one first. Many processors have no traps, and the bits that would enable them read 0.
    pub const MODES: [(&str, u32); 7] = [
        ("usual", USUAL),
        ("denormals flushed", 1 << 24),
        ("one NaN for all", 1 << 25),
        ("rounded down", 2 << 22),
        ("rounded up", 1 << 22),
        ("rounded towards zero", 3 << 22),
        (
            "rounded up, denormals flushed, one NaN for all",
            1 << 22 | 3 << 24,
        ),
    ];

    pub fn read() -> Register {
        let (control, status);
        // SAFETY: reads two registers that every 64-bit Arm has.
        unsafe {
            asm!("mrs {}, fpcr", "mrs {}, fpsr", out(reg) control, out(reg) status, options(nostack))
        };
        (control, status)
    }

    pub fn write((control, status): Register) {
        // SAFETY: every value comes from the registers, or sets defined bits as those above.
        unsafe {
            asm!("msr fpcr, {}", "msr fpsr, {}", in(reg) control, in(reg) status, options(nostack))
        };
    }

    /// The mode.
    pub fn control() -> u32 {
        read().0 as u32
    }

    /// The registers in that mode, with the flag of inexact results.
    pub fn with_flag(mode: u32) -> Register {
        (mode.into(), 0x10)
    }
}

/// Runs `call`, which computes nothing itself, in `mode`, and gives the usual mode back. The call must leave the mode and
/// the flags as they are.
pub fn under<R>(mode: u32, call: impl FnOnce() -> R) -> R {
    let before: Register = read();
    // A call may neither clear a flag nor raise one.
    let set = register::with_flag(mode);
    write(set);
    let result = std::hint::black_box(call)();
    let after = read();
    write(before);
    assert_eq!(
        after, set,
        "the caller's register has changed from {set:#x?}"
    );
    result
}
