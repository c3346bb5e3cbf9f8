//! Floating-point modes that a caller may have set, on x86-64.

use std::arch::asm;

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

pub fn read() -> u32 {
    let mut value = 0;
    // SAFETY: stores the register to `value`.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

fn write(value: u32) {
    // SAFETY: loads the register from `value`, whose reserved bits are 0 as they come from above.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
}

/// Runs `call`, which computes nothing itself, in `mode`, and gives the usual mode back. The call must leave the mode and
/// the flags as they are.
pub fn under<R>(mode: u32, call: impl FnOnce() -> R) -> R {
    let before = read();
    // The flag of inexact results is set, if that is possible: a call may neither clear nor raise one.
    let set = if mode & USUAL == USUAL {
        mode | 0x20
    } else {
        mode
    };
    write(set);
    let result = std::hint::black_box(call)();
    let after = read();
    write(before);
    assert_eq!(
        after, set,
        "the caller's register has changed from {set:#x}"
    );
    result
}
