//! Elementary functions of vectors.

mod f32;
#[cfg(feature = "f64")]
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
    /// `ln(1 + exp(x))`
    fn softplus(self, x: Self::Vector) -> Self::Vector;
    /// `x` where it is positive, else `alpha (exp(x) - 1)`.
    fn elu(self, x: Self::Vector, alpha: E) -> Self::Vector;
    /// `alpha x + beta`
    fn affine(self, x: Self::Vector, alpha: E, beta: E) -> Self::Vector;
    /// `alpha tanh(beta x)`
    fn scaled_tanh(self, x: Self::Vector, alpha: E, beta: E) -> Self::Vector;

    /// `x / (1 + |x|)`
    #[inline(always)]
    fn softsign(self, x: Self::Vector) -> Self::Vector {
        // 2^60, to which 1 makes no difference, for an infinity; NaN stays.
        let most = E::from_f64((1_u64 << 60) as f64);
        let x = self.max(self.splat(-most), self.min(self.splat(most), x));
        let size = self.max(self.sub(self.splat(E::ZERO), x), x);
        self.div(x, self.add(self.splat(E::ONE), size))
    }
}

macro_rules! math {
    ($element:ident, $token:path) => {
        impl<S: $token> Math<$element> for S {
            math!(@ $element tanh sigmoid exp ln softplus_tail softplus);
            math!(@ $element elu(alpha) affine(alpha, beta) scaled_tanh(alpha, beta));
        }
    };
    (@ $element:ident $($function:ident $(($($parameter:ident),*))?)*) => {
        $(#[inline(always)]
        fn $function(self, x: Self::Vector $($(, $parameter: $element)*)?) -> Self::Vector {
            $element::$function(self, x $($(, $parameter)*)?)
        })*
    };
}

math!(f32, SimdMath);
#[cfg(feature = "f64")]
math!(f64, Simd<f64>);
