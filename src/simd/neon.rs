//! The tier of NEON, which every 64-bit Arm has.
#![cfg(target_arch = "aarch64")]

use std::arch::aarch64::*;

use super::{Kernel, Simd, SimdMath};

/// Proof that the CPU has NEON.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    /// # Safety
    /// - The CPU must have `neon`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

macro_rules! tier_128 {
    ($element:ident, $vector:ident, $mask:ident, $lanes:expr;
     $set1:ident $loadu:ident $storeu:ident $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $less:ident $blend:ident
     $low:ident $high:ident $load_partial:ident $store_partial:ident) => {
        impl Simd<$element> for Neon {
            type Vector = $vector;
            type Mask = $mask;
            const LANES: usize = $lanes;
            // 24 sums, a row of the right operand and two elements of the left one are 30 of 32 registers; of 3 rows of 8
            // vectors, the sums, three elements of the left operand and two vectors of the right one are 29.
            const TILE_ROWS: usize = 6;
            const TILE_VECTORS: usize = 4;
            const LOW_VECTORS: [usize; 3] = [8, 8, 8];
            const FUSED: bool = true;

            #[inline(never)] // a kernel keeps its own registers
            fn vectorize<K: Kernel<$element>>(self, kernel: K) -> K::Output {
                #[target_feature(enable = "neon")]
                fn inner<K: Kernel<$element>>(kernel: K, token: Neon) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token proves that the CPU has these features.
                unsafe { inner(kernel, self) }
            }

            super::lanewise! { $element, $vector;
            splat $set1, load $loadu, store $storeu, add $add, sub $sub, mul $mul, div $div }

            #[inline(always)]
            unsafe fn load_partial(self, from: *const $element, count: usize) -> $vector {
                debug_assert!(count <= $lanes);
                // SAFETY: the token proves the instructions, the caller that `count` elements are readable.
                unsafe { $load_partial(from, count) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, value: $vector, to: *mut $element, count: usize) {
                debug_assert!(count <= $lanes);
                // SAFETY: the token proves the instructions, the caller that `count` elements are writable.
                unsafe { $store_partial(value, to, count) }
            }
            #[inline(always)]
            fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $fmadd(c, a, b) }
            }
            // Arm's own minimum and maximum give NaN where either is one, and order zeros by their signs.
            #[inline(always)]
            fn min(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $blend($less(a, b), a, b) }
            }
            #[inline(always)]
            fn max(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $blend($less(b, a), a, b) }
            }
            #[inline(always)]
            fn less(self, a: $vector, b: $vector) -> $mask {
                // SAFETY: the token proves the instructions.
                unsafe { $less(a, b) }
            }
            #[inline(always)]
            fn select(self, mask: $mask, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $blend(mask, a, b) }
            }
            #[inline(always)]
            fn interleave(self, a: $vector, b: $vector) -> ($vector, $vector) {
                // SAFETY: the token proves the instructions.
                unsafe { ($low(a, b), $high(a, b)) }
            }
        }
    };
}

tier_128! { f32, float32x4_t, uint32x4_t, 4;
splat_32 vld1q_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32 vdivq_f32 vfmaq_f32 vcltq_f32 vbslq_f32
vzip1q_f32 vzip2q_f32 load_partial_32 store_partial_32 }
#[cfg(feature = "f64")]
tier_128! { f64, float64x2_t, uint64x2_t, 2;
vdupq_n_f64 vld1q_f64 vst1q_f64 vaddq_f64 vsubq_f64 vmulq_f64 vdivq_f64 vfmaq_f64 vcltq_f64 vbslq_f64
vzip1q_f64 vzip2q_f64 load_partial_64 store_partial_64 }

/// `value` in every lane, as copies of the first lane of a register. A multiply-add can take that lane for all of its own, and
/// then `value` comes from memory by a plain load (`ldr`, `fmla v.4s, v.4s, v.s[0]`). What LLVM makes of `vdupq_n_f32` there
/// (`ld1r`) is a load and an instruction of the units that multiply.
///
/// # Safety
/// - The CPU must have `neon`.
#[inline(always)]
unsafe fn splat_32(value: f32) -> float32x4_t {
    // SAFETY: the caller's obligation.
    unsafe {
        let first = vreinterpret_f32_u64(vcreate_u64(value.to_bits().into()));
        vdupq_lane_f32::<0>(first)
    }
}

/// # Safety
/// - The CPU must have `neon`; `count` elements at `from` must be readable, `count <= 4`.
#[inline(always)]
unsafe fn load_partial_32(from: *const f32, count: usize) -> float32x4_t {
    // SAFETY: the caller's obligations; no element from `count` on is read.
    unsafe {
        let zero = vdupq_n_f32(0.0);
        let pair = |from| vcombine_f32(vld1_f32(from), vget_low_f32(zero));
        match count {
            0 => zero,
            1 => vld1q_lane_f32::<0>(from, zero),
            2 => pair(from),
            3 => vld1q_lane_f32::<2>(from.add(2), pair(from)),
            _ => vld1q_f32(from),
        }
    }
}

/// # Safety
/// - The CPU must have `neon`; `count` elements at `to` must be writable, `count <= 4`.
#[inline(always)]
unsafe fn store_partial_32(value: float32x4_t, to: *mut f32, count: usize) {
    // SAFETY: the caller's obligations; no element from `count` on is written.
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f32::<0>(to, value),
            2 => vst1_f32(to, vget_low_f32(value)),
            3 => {
                vst1_f32(to, vget_low_f32(value));
                vst1q_lane_f32::<2>(to.add(2), value);
            }
            _ => vst1q_f32(to, value),
        }
    }
}

/// # Safety
/// - The CPU must have `neon`; `count` elements at `from` must be readable, `count <= 2`.
#[cfg(feature = "f64")]
#[inline(always)]
unsafe fn load_partial_64(from: *const f64, count: usize) -> float64x2_t {
    // SAFETY: the caller's obligations; no element from `count` on is read.
    unsafe {
        let zero = vdupq_n_f64(0.0);
        match count {
            0 => zero,
            1 => vld1q_lane_f64::<0>(from, zero),
            _ => vld1q_f64(from),
        }
    }
}

/// # Safety
/// - The CPU must have `neon`; `count` elements at `to` must be writable, `count <= 2`.
#[cfg(feature = "f64")]
#[inline(always)]
unsafe fn store_partial_64(value: float64x2_t, to: *mut f64, count: usize) {
    // SAFETY: the caller's obligations; no element from `count` on is written.
    unsafe {
        match count {
            0 => {}
            1 => vst1q_lane_f64::<0>(to, value),
            _ => vst1q_f64(to, value),
        }
    }
}

impl SimdMath for Neon {
    type Integer = int32x4_t;

    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token proves the instructions.
        unsafe { vshlq_n_s32::<BITS>(a) }
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: int32x4_t) -> int32x4_t {
        // SAFETY: the token proves the instructions.
        unsafe { vshrq_n_s32::<BITS>(a) }
    }

    super::bitwise! { float32x4_t, int32x4_t;
    splat_integer vdupq_n_s32, as_integer vreinterpretq_s32_f32, as_float vreinterpretq_f32_s32,
    add_integer vaddq_s32, and vandq_s32, or vorrq_s32 }
}
