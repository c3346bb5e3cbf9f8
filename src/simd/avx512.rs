//! The tier of AVX-512 (its foundation, `avx512f`, is all that is used).
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;

use super::{Kernel, Simd, SimdMath};

/// Proof that the CPU has AVX-512F, AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// # Safety
    /// - The CPU must have `avx512f`, `avx2` and `fma`.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// Where the lanes of two vectors in turn come from: numbers from 16 on are lanes of the second one.
static LOW_32: [i32; 16] = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
/// The same for the second half.
static HIGH_32: [i32; 16] = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];
/// The same for 64-bit lanes, where numbers from 8 on are lanes of the second one.
static LOW_64: [i64; 8] = [0, 8, 1, 9, 2, 10, 3, 11];
/// The same for the second half.
static HIGH_64: [i64; 8] = [4, 12, 5, 13, 6, 14, 7, 15];

macro_rules! tier_512 {
    ($element:ident, $vector:ident, $mask:ident, $lanes:expr, $rows:expr;
     $set1:ident $loadu:ident $storeu:ident $mask_loadu:ident $mask_storeu:ident
     $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $min:ident $max:ident $cmp:ident $blend:ident
     $permute:ident $low:ident $high:ident) => {
        impl Simd<$element> for Avx512 {
            type Vector = $vector;
            type Mask = $mask;
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;
            const TILE_VECTORS: usize = 2;
            const LOW_VECTORS: [usize; 3] = [8, 8, 6];
            const FUSED: bool = true;

            #[inline(never)] // a kernel keeps its own registers
            fn vectorize<K: Kernel<$element>>(self, kernel: K) -> K::Output {
                #[target_feature(enable = "avx512f,avx2,fma")]
                fn inner<K: Kernel<$element>>(kernel: K, token: Avx512) -> K::Output {
                    kernel.run(token)
                }
                // SAFETY: the token proves that the CPU has these features.
                unsafe { inner(kernel, self) }
            }

            super::lanewise! { $element, $vector;
                splat $set1, load $loadu, store $storeu, add $add, sub $sub, mul $mul, div $div, mul_add $fmadd, min $min, max $max }

            #[inline(always)]
            unsafe fn load_partial(self, from: *const $element, count: usize) -> $vector {
                // SAFETY: the token proves the instructions; the mask holds the access to `count` elements, which the
                // caller allows.
                unsafe { $mask_loadu(((1_u32 << count) - 1) as $mask, from) }
            }
            #[inline(always)]
            unsafe fn store_partial(self, value: $vector, to: *mut $element, count: usize) {
                // SAFETY: as in `load_partial`.
                unsafe { $mask_storeu(to, ((1_u32 << count) - 1) as $mask, value) }
            }
            #[inline(always)]
            fn less(self, a: $vector, b: $vector) -> $mask {
                // SAFETY: the token proves the instructions.
                unsafe { $cmp::<_CMP_LT_OQ>(a, b) }
            }
            #[inline(always)]
            fn select(self, mask: $mask, a: $vector, b: $vector) -> $vector {
                // SAFETY: the token proves the instructions.
                unsafe { $blend(mask, b, a) }
            }
            #[inline(always)]
            fn interleave(self, a: $vector, b: $vector) -> ($vector, $vector) {
                // SAFETY: the token proves the instructions; the tables have the size of a vector.
                unsafe {
                    let low = _mm512_loadu_si512($low.as_ptr().cast());
                    let high = _mm512_loadu_si512($high.as_ptr().cast());
                    ($permute(a, low, b), $permute(a, high, b))
                }
            }
        }
    };
}

tier_512! { f32, __m512, __mmask16, 16, 12;
_mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_maskz_loadu_ps _mm512_mask_storeu_ps
_mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps _mm512_min_ps _mm512_max_ps _mm512_cmp_ps_mask _mm512_mask_blend_ps
_mm512_permutex2var_ps LOW_32 HIGH_32 }
tier_512! { f64, __m512d, __mmask8, 8, 4;
_mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_maskz_loadu_pd _mm512_mask_storeu_pd
_mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd _mm512_min_pd _mm512_max_pd _mm512_cmp_pd_mask _mm512_mask_blend_pd
_mm512_permutex2var_pd LOW_64 HIGH_64 }

impl SimdMath for Avx512 {
    type Integer = __m512i;

    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_sll_epi32(a, _mm_cvtsi32_si128(BITS)) }
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: __m512i) -> __m512i {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_sra_epi32(a, _mm_cvtsi32_si128(BITS)) }
    }

    super::bitwise! { __m512, __m512i;
    splat_integer _mm512_set1_epi32, as_integer _mm512_castps_si512, as_float _mm512_castsi512_ps,
    add_integer _mm512_add_epi32, and _mm512_and_si512, or _mm512_or_si512 }
}
