//! The tier of AVX-512 (its foundation, `avx512f`, is all that is used).
#![cfg(all(target_arch = "x86_64", feature = "avx512"))]

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
static LOW: [i32; 16] = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
/// The same for the second half.
static HIGH: [i32; 16] = [8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31];

impl Simd<f32> for Avx512 {
    type Vector = __m512;
    type Mask = __mmask16;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const TILE_VECTORS: usize = 2;
    const LOW_VECTORS: [usize; 3] = [8, 8, 6];
    const FUSED: bool = true;

    #[inline(never)] // a kernel keeps its own registers
    fn vectorize<K: Kernel<f32>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<K: Kernel<f32>>(kernel: K, token: Avx512) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: the token proves that the CPU has these features.
        unsafe { inner(kernel, self) }
    }

    super::lanewise! { f32, __m512;
    splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps, add _mm512_add_ps, sub _mm512_sub_ps, mul _mm512_mul_ps, div _mm512_div_ps, mul_add _mm512_fmadd_ps, min _mm512_min_ps, max _mm512_max_ps }

    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, count: usize) -> __m512 {
        // SAFETY: the token proves the instructions; the mask holds the access to `count` elements, which the
        // caller allows.
        unsafe { _mm512_maskz_loadu_ps(((1_u32 << count) - 1) as __mmask16, from) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, value: __m512, to: *mut f32, count: usize) {
        // SAFETY: as in `load_partial`.
        unsafe { _mm512_mask_storeu_ps(to, ((1_u32 << count) - 1) as __mmask16, value) }
    }
    #[inline(always)]
    fn less(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the instructions.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }
    #[inline(always)]
    fn interleave(self, a: __m512, b: __m512) -> (__m512, __m512) {
        // SAFETY: the token proves the instructions; the tables have the size of a vector.
        unsafe {
            let low = _mm512_loadu_si512(LOW.as_ptr().cast());
            let high = _mm512_loadu_si512(HIGH.as_ptr().cast());
            (
                _mm512_permutex2var_ps(a, low, b),
                _mm512_permutex2var_ps(a, high, b),
            )
        }
    }
}

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
