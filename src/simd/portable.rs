//! The tier of the crate `wide`: whatever vectors the library was compiled for.

use std::ptr;

#[cfg(feature = "f64")]
use wide::f64x2;
use wide::{f32x4, i32x4};

use super::{Kernel, Simd, SimdMath};
use crate::compiled::Compiled;

/// The tier that is always there.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

macro_rules! portable {
    ($element:ident, $vector:ident, $lanes:expr) => {
        impl Simd<$element> for Portable {
            type Vector = $vector;
            type Mask = $vector;
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = 4;
            const TILE_VECTORS: usize = 2;
            const LOW_VECTORS: [usize; 3] = [8, 4, 2];
            // The conditions under which `wide` compiles its `mul_add` to a fused instruction.
            const FUSED: bool = cfg!(any(
                all(target_feature = "sse2", target_feature = "fma"),
                all(target_feature = "neon", target_arch = "aarch64")
            ));
            // Most processors of these kinds have a better tier.
            const HAS_SHORT_CUTS: bool = <$element as Compiled>::IS_FOR_SPEED
                && !cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

            #[inline(never)] // a kernel keeps its own registers
            fn vectorize<K: Kernel<$element>>(self, kernel: K) -> K::Output {
                kernel.run(self)
            }

            #[inline(always)]
            fn splat(self, value: $element) -> $vector {
                $vector::splat(value)
            }
            #[inline(always)]
            unsafe fn load(self, from: *const $element) -> $vector {
                // SAFETY: the caller allows the access; the array has the alignment of its elements.
                $vector::new(unsafe { from.cast::<[$element; $lanes]>().read() })
            }
            #[inline(always)]
            unsafe fn store(self, value: $vector, to: *mut $element) {
                // SAFETY: as in `load`.
                unsafe { to.cast::<[$element; $lanes]>().write(value.to_array()) }
            }
            #[inline(always)]
            unsafe fn load_partial(self, from: *const $element, count: usize) -> $vector {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller allows reading `count <= LANES` elements; `lanes` is a distinct local array.
                unsafe { ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) }
                $vector::new(lanes)
            }
            #[inline(always)]
            unsafe fn store_partial(self, value: $vector, to: *mut $element, count: usize) {
                let lanes = value.to_array();
                // SAFETY: the caller allows writing `count <= LANES` elements; `lanes` is a distinct local array.
                unsafe { ptr::copy_nonoverlapping(lanes.as_ptr(), to, count) }
            }
            #[inline(always)]
            fn add(self, a: $vector, b: $vector) -> $vector {
                a + b
            }
            #[inline(always)]
            fn sub(self, a: $vector, b: $vector) -> $vector {
                a - b
            }
            #[inline(always)]
            fn mul(self, a: $vector, b: $vector) -> $vector {
                a * b
            }
            #[inline(always)]
            fn div(self, a: $vector, b: $vector) -> $vector {
                a / b
            }
            #[inline(always)]
            fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                a.mul_add(b, c)
            }
            #[inline(always)]
            fn min(self, a: $vector, b: $vector) -> $vector {
                a.simd_lt(b).select(a, b)
            }
            #[inline(always)]
            fn max(self, a: $vector, b: $vector) -> $vector {
                b.simd_lt(a).select(a, b)
            }
            #[inline(always)]
            fn less(self, a: $vector, b: $vector) -> $vector {
                a.simd_lt(b)
            }
            #[inline(always)]
            fn select(self, mask: $vector, a: $vector, b: $vector) -> $vector {
                mask.select(a, b)
            }
            #[inline(always)]
            fn interleave(self, a: $vector, b: $vector) -> ($vector, $vector) {
                let lanes = [a.to_array(), b.to_array()];
                let lane = |index: usize| lanes[index % 2][index / 2];
                let low = std::array::from_fn(lane);
                let high = std::array::from_fn(|index| lane(index + $lanes));
                ($vector::new(low), $vector::new(high))
            }
        }
    };
}

portable! { f32, f32x4, 4 }
#[cfg(feature = "f64")]
portable! { f64, f64x2, 2 }

impl SimdMath for Portable {
    type Integer = i32x4;

    #[inline(always)]
    fn splat_integer(self, value: i32) -> i32x4 {
        i32x4::splat(value)
    }
    #[inline(always)]
    fn as_integer(self, value: f32x4) -> i32x4 {
        i32x4::new(value.to_array().map(|lane| lane.to_bits().cast_signed()))
    }
    #[inline(always)]
    fn as_float(self, bits: i32x4) -> f32x4 {
        f32x4::new(
            bits.to_array()
                .map(|lane| f32::from_bits(lane.cast_unsigned())),
        )
    }
    #[inline(always)]
    fn add_integer(self, a: i32x4, b: i32x4) -> i32x4 {
        a + b
    }
    #[inline(always)]
    fn and(self, a: i32x4, b: i32x4) -> i32x4 {
        a & b
    }
    #[inline(always)]
    fn or(self, a: i32x4, b: i32x4) -> i32x4 {
        a | b
    }
    #[inline(always)]
    fn shift_left<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a << BITS
    }
    #[inline(always)]
    fn shift_right<const BITS: i32>(self, a: i32x4) -> i32x4 {
        a >> BITS
    }
}
