//! The floating-point mode that the engine computes in.
//!
//! A thread's floating-point control register says how results are rounded, what becomes of denormal numbers (those
//! below the smallest normal one) and which exceptions trap. The engine has one mode of its own:
//!
//! - round to the nearest, ties to even;
//! - denormal operands and results are 0 (x86: FTZ and DAZ, Arm: FZ): states and gradients that fade end in numbers that
//!   many CPUs compute with 5 to 50 times slower than with others;
//! - exceptions are masked.
//!
//! Every call that computes runs in it ([`in_engine_mode`]) and gives the caller's register back, the flags that record
//! exceptions included, also when it fails or panics. So results depend on no mode of the caller's. That costs a read of
//! the register before and after where the mode is set already, and a write before and after where it is not. The
//! threads of a network have the mode for as long as they live. Callbacks run in the caller's mode
//! ([`Mode::callers`]).
//!
//! # Where it ends
//!
//! - x86 flushes a result after it has been rounded, Arm before: one that rounds up to the smallest normal number is that
//!   number on x86 and 0 on Arm.
//! - Other targets (wasm, 32-bit Arm), Miri and valgrind keep denormal numbers. All else is the same there.
//! - What is only copied keeps its bits: parameters that are set and read back, an input that a layer passes on, an
//!   element that [`clip_by_value`](crate::optimizer::clip_by_value) leaves alone.
//!
//! # Rust's rules
//!
//! Rust and LLVM assume the default mode everywhere, in which denormal numbers are kept: there is no way to tell the
//! compiler of another one. That assumption could do harm in two ways.
//!
//! - *Moving arithmetic across the change.* The register is written by `asm!` that may touch all memory and is not
//!   moved across calls that may do so, and the work between is called through a pointer that the compiler can't see
//!   through ([`opaque`]). So what is inside stays inside, and what is outside stays there. Neither function is inlined
//!   into the other, or into the caller's code.
//! - *Computing at compile time.* A constant expression is evaluated in the default mode, which differs where its value is
//!   denormal: the engine has no such constant. A multiplication by 1 or an addition of 0 may become a copy, which keeps
//!   a denormal operand that the engine's mode would flush. Both are operands that came from outside, as no denormal
//!   number is computed.
//!
//! Rounding and traps are the default mode's, so there the assumption is true; it is the caller's other mode, if there is
//! one, that is kept away from Rust code.

use std::hint::black_box;

use register::Register;

/// Runs `work` in the engine's floating-point mode and gives the calling thread's own mode and exception flags back, also
/// where `work` panics.
///
/// Every function of this crate that computes does so by itself. It is for code that is to be compared with it bit for
/// bit: the mode rounds to nearest, takes denormal operands and results for 0 where the processor has such a mode (x86 and
/// 64-bit Arm), and masks exceptions.
///
/// ```
/// let denormal = std::hint::black_box(f32::MIN_POSITIVE / 2.0);
/// let doubled = elman::in_engine_mode(|| std::hint::black_box(denormal) * 2.0);
/// let flushes = cfg!(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)));
/// assert_eq!(doubled == 0.0, flushes);
/// assert_eq!(denormal * 2.0, f32::MIN_POSITIVE);
/// ```
pub fn in_engine_mode<R>(work: impl FnOnce() -> R) -> R {
    with_mode(|_| work())
}

/// [`in_engine_mode`] for work that calls back.
#[inline(never)]
pub fn with_mode<R>(work: impl FnOnce(&mut Mode) -> R) -> R {
    let mut mode = Mode { caller: set() };
    opaque(work, &mut mode)
}

/// Gives the calling thread the engine's mode for good.
pub fn enter_for_good() {
    set();
}

/// Sets the engine's mode; returns what the register was.
#[inline(always)]
fn set() -> Register {
    let before = Register::read();
    if !before.is_engines() {
        before.to_engines().write();
    }
    before
}

/// The engine's mode, on the thread that has entered it, until it is dropped.
#[derive(Debug)]
pub struct Mode {
    /// What the register was.
    caller: Register,
}

impl Mode {
    /// Runs a callback in the caller's mode, with the caller's flags. What it makes of them is the caller's from then on.
    #[cfg(any(feature = "datasets", feature = "f64"))]
    pub fn callers<R>(&mut self, callback: impl FnOnce() -> R) -> R {
        struct Outside<'a>(&'a mut Mode);
        impl Drop for Outside<'_> {
            fn drop(&mut self) {
                self.0.caller = set();
            }
        }
        self.caller.write();
        let _outside = Outside(self);
        opaque(|()| callback(), ())
    }
}

impl Mode {
    /// The caller's mode, for [`CallersMode::run`].
    pub fn of_caller(&self) -> CallersMode {
        CallersMode(self.caller)
    }
}

/// What a thread's mode was before it entered the engine's.
#[derive(Clone, Copy, Debug)]
pub struct CallersMode(Register);

impl CallersMode {
    /// Runs something in it, on the thread whose it was and which is in the engine's since.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        struct Back;
        impl Drop for Back {
            fn drop(&mut self) {
                set();
            }
        }
        self.0.write();
        let _back = Back;
        opaque(|()| work(), ())
    }
}

impl Drop for Mode {
    #[inline(always)]
    fn drop(&mut self) {
        // Where the mode was set already, flags are all that can have changed.
        if !self.caller.is_engines() || Register::read() != self.caller {
            self.caller.write();
        }
    }
}

/// Calls `work` so that the compiler knows nothing of what it does. Handed on as it has come, it is not copied: a copy of what has
/// just been stored would be read in wider pieces, and wait for all of that.
#[inline(always)]
fn opaque<A, R, F: FnOnce(A) -> R>(work: F, argument: A) -> R {
    #[inline(never)]
    fn run<A, R, F: FnOnce(A) -> R>(work: F, argument: A) -> R {
        work(argument)
    }
    let run: fn(F, A) -> R = run;
    black_box(run)(work, argument)
}

#[cfg(all(
    any(
        target_arch = "x86_64",
        all(target_arch = "x86", target_feature = "sse2")
    ),
    not(miri)
))]
mod register {
    use std::arch::asm;

    /// MXCSR
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Register(u32);

    /// Denormal operands are 0, the masks of the exceptions, rounding, denormal results are 0.
    const CONTROL: u32 = 0xffc0;

    /// FTZ, all exceptions masked, DAZ; rounding to the nearest is 0.
    const ENGINE: u32 = 0x8000 | 0x1f80 | 0x0040;

    impl Register {
        #[inline(always)]
        pub fn read() -> Self {
            let mut value = 0_u32;
            // SAFETY: stores the register to `value`, which every CPU with SSE can do. That the block may touch memory
            // keeps it in its place among the calls.
            unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
            Self(value)
        }

        #[inline(always)]
        pub fn write(self) {
            // SAFETY: loads the register from `self`; every value comes from the register, or sets defined bits of one
            // that does. What the compiler may assume of the mode is the module's subject.
            unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const self.0, options(nostack)) };
        }

        #[inline(always)]
        pub fn is_engines(self) -> bool {
            self.0 & CONTROL == ENGINE
        }

        #[inline(always)]
        pub fn to_engines(self) -> Self {
            Self(self.0 & !CONTROL | ENGINE)
        }
    }
}

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod register {
    use std::arch::asm;

    /// FPCR and FPSR
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Register {
        control: u64,
        status: u64,
    }

    /// Alternate handling and flushed inputs (bits 0 to 2), enabled exceptions, FZ16, rounding, FZ, DN, alternate
    /// half-precision.
    const CONTROL: u64 = 0x07c8_9f07;

    /// FZ
    const ENGINE: u64 = 1 << 24;

    impl Register {
        #[inline(always)]
        pub fn read() -> Self {
            let (control, status);
            // SAFETY: reads two registers that every 64-bit Arm has. That the block may touch memory keeps it in its
            // place among the calls.
            unsafe {
                asm!("mrs {}, fpcr", "mrs {}, fpsr", out(reg) control, out(reg) status, options(nostack))
            };
            Self { control, status }
        }

        #[inline(always)]
        pub fn write(self) {
            // SAFETY: every value comes from the registers, or sets defined bits of one that does. What the compiler may
            // assume of the mode is the module's subject.
            unsafe {
                asm!("msr fpcr, {}", "msr fpsr, {}", in(reg) self.control, in(reg) self.status, options(nostack))
            };
        }

        #[inline(always)]
        pub fn is_engines(self) -> bool {
            self.control & CONTROL == ENGINE
        }

        #[inline(always)]
        pub fn to_engines(self) -> Self {
            Self {
                control: self.control & !CONTROL | ENGINE,
                ..self
            }
        }
    }
}

#[cfg(any(
    miri,
    not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        all(target_arch = "x86", target_feature = "sse2")
    ))
))]
mod register {
    /// A target without such a mode, or without a way to it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Register;

    impl Register {
        pub fn read() -> Self {
            Self
        }

        pub fn write(self) {}

        pub fn is_engines(self) -> bool {
            true
        }

        pub fn to_engines(self) -> Self {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    /// A product and a quotient that no compiler computes.
    fn product(a: f32, b: f32) -> f32 {
        black_box(a) * black_box(b)
    }

    /// Whether 1e-20 times 1e-20, and a denormal number times 1, are 0 here.
    fn flushes() -> [bool; 2] {
        let one = black_box(f32::from_bits(1)) * black_box(1.0);
        [product(1e-20, 1e-20) == 0.0, one == 0.0]
    }

    #[cfg(not(miri))]
    const IN_MODE: [bool; 2] = [cfg!(any(
        target_arch = "x86_64",
        target_arch = "x86",
        target_arch = "aarch64"
    )); 2];
    #[cfg(miri)]
    const IN_MODE: [bool; 2] = [false; 2];

    #[test]
    fn the_mode_flushes_inside_and_the_callers_is_back_after_it() {
        let before = Register::read();
        assert_eq!(flushes(), [false; 2]);
        let before_flags = Register::read();
        in_engine_mode(|| {
            assert_eq!(flushes(), IN_MODE);
            in_engine_mode(|| assert_eq!(flushes(), IN_MODE));
            assert_eq!(flushes(), IN_MODE);
        });
        assert_eq!(Register::read(), before_flags);
        assert_eq!(flushes(), [false; 2]);
        before.write();
    }

    /// 1 - 2^-26 times the smallest normal number: 24 bits round it up to that.
    #[test]
    fn what_rounds_up_to_the_smallest_normal_number_is_flushed_on_arm() {
        let (a, b) = (1.0 + 2.0_f32.powi(-13), 1.0 - 2.0_f32.powi(-13));
        let (a, b) = (a * 2.0_f32.powi(-63), b * 2.0_f32.powi(-63));
        assert_eq!(product(a, b), f32::MIN_POSITIVE);
        let flushed = cfg!(all(target_arch = "aarch64", not(miri)));
        let expected = if flushed { 0.0 } else { f32::MIN_POSITIVE };
        assert_eq!(in_engine_mode(|| product(a, b)), expected);
    }

    #[test]
    fn a_panic_gives_the_mode_back() {
        let before = Register::read();
        let panics = || in_engine_mode(|| resume_unwind(Box::new("on purpose")));
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(Register::read(), before);

        let panics = || with_mode(|mode| mode.callers(|| resume_unwind(Box::new("on purpose"))));
        catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
        assert_eq!(Register::read(), before);
    }

    #[test]
    fn callbacks_have_the_callers_mode_and_may_change_it() {
        let before = Register::read();
        with_mode(|mode| {
            assert_eq!(flushes(), IN_MODE);
            mode.callers(|| {
                assert_eq!(flushes(), [false; 2]);
                Register::read().to_engines().write();
            });
            assert_eq!(flushes(), IN_MODE);
            mode.callers(|| assert_eq!(flushes(), IN_MODE));
        });
        assert_eq!(flushes(), IN_MODE);
        before.write();
    }

    #[test]
    fn flags_that_are_raised_inside_do_not_come_out() {
        let before = Register::read();
        for caller in [before, before.to_engines()] {
            caller.write();
            let with_flags = Register::read();
            in_engine_mode(|| product(1.1, 1.3) / black_box(0.0));
            assert_eq!(Register::read(), with_flags);
        }
        before.write();
    }
}
