//! SIMD tiers: one trait, one zero-sized token per tier and a way to run code with a tier's instructions.
//!
//! A token can only be had from [`Tier`], which only names what the CPU has; so whoever holds a token may use the tier's
//! instructions. Kernels are written once, generic over [`Simd`], and must be `#[inline(always)]` down to the intrinsics:
//! they carry no `#[target_feature]` of their own, so they only become the tier's instructions when they are inlined into
//! a function that does. That function is the one inside [`Simd::vectorize`].

/// The operations of [`Simd`] that are one intrinsic each, for the tiers of `std::arch`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! lanewise {
    ($element:ident, $vector:ident;
     splat $splat:ident, load $load:ident, store $store:ident,
     $($name:ident $intrinsic:ident),*) => {
        #[inline(always)]
        fn splat(self, value: $element) -> $vector {
            // SAFETY: the token proves the instructions.
            unsafe { $splat(value) }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const $element) -> $vector {
            // SAFETY: the token proves the instructions, the caller that the memory is readable.
            unsafe { $load(from) }
        }
        #[inline(always)]
        unsafe fn store(self, value: $vector, to: *mut $element) {
            // SAFETY: the token proves the instructions, the caller that the memory is writable.
            unsafe { $store(to, value) }
        }
        $(crate::simd::lanewise!(@ $name $intrinsic $vector);)*
    };
    (@ mul_add $intrinsic:ident $vector:ident) => {
        #[inline(always)]
        fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
            // SAFETY: the token proves the instructions.
            unsafe { $intrinsic(a, b, c) }
        }
    };
    (@ $name:ident $intrinsic:ident $vector:ident) => {
        #[inline(always)]
        fn $name(self, a: $vector, b: $vector) -> $vector {
            // SAFETY: the token proves the instructions.
            unsafe { $intrinsic(a, b) }
        }
    };
}

/// The operations of [`SimdMath`] that are one intrinsic each, for the tiers of `std::arch`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! bitwise {
    ($vector:ident, $integer:ident;
     splat_integer $splat:ident, as_integer $as_integer:ident, as_float $as_float:ident,
     $($name:ident $intrinsic:ident),*) => {
        #[inline(always)]
        fn splat_integer(self, value: i32) -> $integer {
            // SAFETY: the token proves the instructions.
            unsafe { $splat(value) }
        }
        #[inline(always)]
        fn as_integer(self, value: $vector) -> $integer {
            // SAFETY: the token proves the instructions.
            unsafe { $as_integer(value) }
        }
        #[inline(always)]
        fn as_float(self, bits: $integer) -> $vector {
            // SAFETY: the token proves the instructions.
            unsafe { $as_float(bits) }
        }
        $(#[inline(always)]
        fn $name(self, a: $integer, b: $integer) -> $integer {
            // SAFETY: the token proves the instructions.
            unsafe { $intrinsic(a, b) }
        })*
    };
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use {bitwise, lanewise};

mod avx2;
mod avx512;
pub mod caches;
pub mod math;
pub mod mode;
mod neon;
mod portable;
mod tier;

pub use math::Math;
pub use portable::Portable;
pub use tier::{OnTier, Tier};

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;

use crate::Element;

/// A computation on elements of type `E` that is generic over the tier that runs it.
pub trait Kernel<E: Element> {
    /// What it returns.
    type Output;

    /// Runs it. Must be `#[inline(always)]`, like everything it calls.
    fn run<S: Math<E>>(self, token: S) -> Self::Output;
}

/// The most lanes that a vector of any tier has.
pub const MAX_LANES: usize = 16;

/// Vectors of [`Self::LANES`] elements and what can be done with them.
///
/// Every operation is correctly rounded (or exact), so all tiers with fused multiply-add give the same bits.
///
/// The implementing types are the tiers' tokens, whose existence proves that the CPU has the instructions.
pub trait Simd<E: Element>: Copy + Send + Sync + 'static {
    /// A vector of elements.
    type Vector: Copy;
    /// A truth value per lane.
    type Mask: Copy;
    /// Elements in a vector.
    const LANES: usize;
    /// Rows of the largest register tile of a matrix product.
    const TILE_ROWS: usize;
    /// Vectors in a row of that tile, which is also the width of a packed panel. A power of two.
    const TILE_VECTORS: usize;
    /// Vectors in a row of tiles of 1, 2 and 3 rows: whole panels side by side. A multiply-add takes four cycles and two
    /// can start in each, so eight sums are the least that keep the units busy; more than a tier's registers are too many.
    const LOW_VECTORS: [usize; 3];

    /// Multiply-add rounds once.
    const FUSED: bool;

    /// Whether a sequence that is alone has a loop of its own, and its steps have code of their own for the numbers of sums that
    /// most cells have.
    const HAS_SHORT_CUTS: bool = E::IS_FOR_SPEED;

    /// Runs `kernel` with the instructions of this tier.
    fn vectorize<K: Kernel<E>>(self, kernel: K) -> K::Output;

    /// `value` in every lane.
    fn splat(self, value: E) -> Self::Vector;

    /// Reads a vector; no alignment is needed.
    ///
    /// # Safety
    /// - `LANES` elements at `from` must be readable.
    unsafe fn load(self, from: *const E) -> Self::Vector;

    /// Writes a vector; no alignment is needed.
    ///
    /// # Safety
    /// - `LANES` elements at `to` must be writable.
    unsafe fn store(self, value: Self::Vector, to: *mut E);

    /// Reads the first `count` lanes, the rest are 0. Memory behind them is not touched.
    ///
    /// # Safety
    /// - `count` elements at `from` must be readable, `count <= LANES`.
    unsafe fn load_partial(self, from: *const E, count: usize) -> Self::Vector;

    /// Writes the first `count` lanes. Memory behind them is not touched.
    ///
    /// # Safety
    /// - `count` elements at `to` must be writable, `count <= LANES`.
    unsafe fn store_partial(self, value: Self::Vector, to: *mut E, count: usize);

    /// `a + b`
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once where the tier is fused, else twice.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `a` where `a < b`, else `b`: so `b` where one of them is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a` where `b < a`, else `b`: so `b` where one of them is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a < b`; false where one of them is NaN.
    fn less(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// Per lane `a` where `mask` is true, else `b`.
    fn select(self, mask: Self::Mask, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lanes of `a` and `b` in turn, `a_0 b_0 a_1 b_1` and so on: the first half and the second one.
    fn interleave(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);

    /// `function` of each lane, one lane after the other: for what has no vector code.
    #[inline(always)]
    fn map_lanes(self, value: Self::Vector, function: fn(E) -> E) -> Self::Vector {
        let mut lanes = [E::ZERO; MAX_LANES];
        const { assert!(Self::LANES <= MAX_LANES) };
        // SAFETY: the array has room for a vector.
        unsafe { self.store(value, lanes.as_mut_ptr()) };
        for lane in &mut lanes[..Self::LANES] {
            *lane = function(*lane);
        }
        // SAFETY: as above.
        unsafe { self.load(lanes.as_ptr()) }
    }
}

/// Asks for the line of memory that holds an element. It need not be there: no instruction fails, and nothing is read.
#[inline(always)]
pub fn prefetch<E>(element: *const E) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: every x86-64 has the instruction, which takes any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(element.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    // SAFETY: the instruction takes any address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) element, options(nostack, preserves_flags, readonly));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = element;
}

/// What the elementary functions of `f32` need besides arithmetic: the bits.
pub trait SimdMath: Simd<f32> {
    /// A vector of 32-bit integers with as many lanes.
    type Integer: Copy;

    /// `value` in every lane.
    fn splat_integer(self, value: i32) -> Self::Integer;
    /// The bits of a vector.
    fn as_integer(self, value: Self::Vector) -> Self::Integer;
    /// The vector with these bits.
    fn as_float(self, bits: Self::Integer) -> Self::Vector;
    /// `a + b`, wrapping.
    fn add_integer(self, a: Self::Integer, b: Self::Integer) -> Self::Integer;
    /// `a & b`
    fn and(self, a: Self::Integer, b: Self::Integer) -> Self::Integer;
    /// `a | b`
    fn or(self, a: Self::Integer, b: Self::Integer) -> Self::Integer;
    /// `a << BITS`
    fn shift_left<const BITS: i32>(self, a: Self::Integer) -> Self::Integer;
    /// `a >> BITS`, the sign shifted in.
    fn shift_right<const BITS: i32>(self, a: Self::Integer) -> Self::Integer;
}
