//! Elementary functions of vectors.

mod f32;
mod f64;

use super::{Simd, SimdMath};
use crate::Element;

/// The elementary functions, lane by lane. [`crate::math`] states their accuracy and special cases.
pub trait Math<E: Element>: Simd<E> {
    /// The hyperbolic tangent.
    fn tanh(self, x: Self::Vector) -> Self::Vector;
    /// `1 / (1 + exp(-x))`
    fn sigmoid(self, x: Self::Vector) -> Self::Vector;
    /// `exp(x)`
    fn exp(self, x: Self::Vector) -> Self::Vector;
    /// The natural logarithm.
    fn ln(self, x: Self::Vector) -> Self::Vector;
    /// `ln(1 + exp(-|x|))`
    fn softplus_tail(self, x: Self::Vector) -> Self::Vector;
}

macro_rules! math {
    ($element:ident, $token:path) => {
        impl<S: $token> Math<$element> for S {
            math!(@ $element tanh sigmoid exp ln softplus_tail);
        }
    };
    (@ $element:ident $($function:ident)*) => {
        $(#[inline(always)]
        fn $function(self, x: Self::Vector) -> Self::Vector {
            $element::$function(self, x)
        })*
    };
}

math!(f32, SimdMath);
math!(f64, Simd<f64>);
