//! The element types that the engine computes in.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::compiled::Compiled;
use crate::simd::OnTier;

/// `f32` or, with the feature `f64`, `f64`.
///
/// `f32` is the fast one and the one of the C ABI. `f64` runs through the same drivers and layers and serves gradient
/// checks and exact reproduction.
pub trait Element:
    Compiled
    + OnTier
    + Copy
    + Debug
    + Default
    + Display
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + AddAssign
    + Into<f64>
    + Div<Output = Self>
    + Mul<Output = Self>
    + MulAssign
    + Neg<Output = Self>
    + Sub<Output = Self>
    + SubAssign
    + Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The name of the type in files and messages.
    const NAME: &'static str;

    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// The same value as `f64`, exactly, unless it is denormal and the floating-point mode takes it for 0.
    fn to_f64(self) -> f64;
    /// The number's bits, at the low end: those of a denormal number or a NaN too, whatever the floating-point mode is.
    fn to_bits_u64(self) -> u64;
    /// The number with these bits.
    fn from_bits_u64(bits: u64) -> Self;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

macro_rules! element {
    ($type:ident, $bits:ident) => {
        impl Element for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAME: &'static str = stringify!($type);

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn to_bits_u64(self) -> u64 {
                self.to_bits().into()
            }
            #[inline(always)]
            fn from_bits_u64(bits: u64) -> Self {
                Self::from_bits(bits as $bits)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $type::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $type::abs(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }
        }
    };
}

element!(f32, u32);
#[cfg(feature = "f64")]
element!(f64, u64);
