//! The tier of AVX2 and FMA.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

use super::{Kernel, Simd, SimdMath};

/// Proof that the CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// # Safety
    /// - The CPU must have `avx2` and `fma`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// `MASKS_32[8 - n..]` starts with `n` lanes that are selected, the rest are not.
static MASKS_32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
/// The same for 64-bit lanes.
#[cfg(feature = "f64")]
static MASKS_64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

macro_rules! tier_256 {
    ($element:ident, $vector:ident, $lanes:expr, $rows:expr, $masks:ident;
     $set1:ident $loadu:ident $storeu:ident $mask_load:ident $mask_store:ident
     $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $min:ident $max:ident $cmp:ident $blend:ident
     $low:ident $high:ident $halves:ident) => {
        impl Simd<$element> for Avx2 {
            type Vector = $vector;
            type Mask = $vector;
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
            const TILE_VECTORS: usize = 2;
            const LOW_VECTORS: [usize; 3] = [8, 4, 4];
            const FUSED: bool = true;

            #[inline(never)] // a kernel keeps its own registers
            fn vectorize<K: Kernel<$element>>(self, kernel: K) -> K::Output {
                #[target_feature(enable = "avx2,fma")]
                fn inner<K: Kernel<$element>>(kernel: K, token: Avx2) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token proves that the CPU has these features.
                unsafe { inner(kernel, self) }
            }

            super::lanewise! { $element, $vector;
                splat $set1, load $loadu, store $storeu, add $add, sub $sub, mul $mul, div $div, mul_add $fmadd, min $min, max $max }

            #[inline(always)]
            unsafe fn load_partial(self, from: *const $element, count: usize) -> $vector {
                debug_assert!(count <= $lanes);
                // SAFETY: the token proves the instructions; `count <= LANES` keeps the mask inside its table, and the
                // mask holds the access to `count` elements, which the caller allows.
                unsafe {
                    let mask = _mm256_loadu_si256($masks.as_ptr().add($lanes - count).cast());
                    $mask_load(from, mask)
                }
            }
            #[inline(always)]
            unsafe fn store_partial(self, value: $vector, to: *mut $element, count: usize) {
                debug_assert!(count <= $lanes);
                // SAFETY: as in `load_partial`.
                unsafe {
                    let mask = _mm256_loadu_si256($masks.as_ptr().add($lanes - count).cast());
                    $mask_store(to, mask, value);
                }
            }
            #[inline(always)]
            fn less(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $cmp::<_CMP_LT_OQ>(a, b) }
            }
            #[inline(always)]
            fn select(self, mask: $vector, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $blend(b, a, mask) }
            }
            #[inline(always)]
            fn interleave(self, a: $vector, b: $vector) -> ($vector, $vector) {
                // SAFETY: the token proves the instructions.
                unsafe {
                    // Within each half of the vectors; then the first halves and the second ones.
                    let (low, high) = ($low(a, b), $high(a, b));
                    ($halves::<0x20>(low, high), $halves::<0x31>(low, high))
                }
            }
        }
    };
}

tier_256! { f32, __m256, 8, 6, MASKS_32;
_mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_maskload_ps _mm256_maskstore_ps
_mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps _mm256_min_ps _mm256_max_ps _mm256_cmp_ps _mm256_blendv_ps
_mm256_unpacklo_ps _mm256_unpackhi_ps _mm256_permute2f128_ps }
#[cfg(feature = "f64")]
tier_256! { f64, __m256d, 4, 4, MASKS_64;
_mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_maskload_pd _mm256_maskstore_pd
_mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd _mm256_min_pd _mm256_max_pd _mm256_cmp_pd _mm256_blendv_pd
_mm256_unpacklo_pd _mm256_unpackhi_pd _mm256_permute2f128_pd }

impl SimdMath for Avx2 {
    type Integer = __m256i;

    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_slli_epi32::<BITS>(a) }
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: __m256i) -> __m256i {
        // SAFETY: the token proves the instructions.
        unsafe { _mm256_srai_epi32::<BITS>(a) }
    }

    super::bitwise! { __m256, __m256i;
    splat_integer _mm256_set1_epi32, as_integer _mm256_castps_si256, as_float _mm256_castsi256_ps,
    add_integer _mm256_add_epi32, and _mm256_and_si256, or _mm256_or_si256 }
}
