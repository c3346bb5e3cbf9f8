//! Elementary functions of slices: those that the layers and losses use, with their accuracy.
//!
//! For `f32` they are vector code that uses nothing but correctly rounded operations and integer ones, so all tiers
//! with fused multiply-add ([`Tier::is_fused`]) give the same bits. An element's value depends on the element alone,
//! not on its place in the slice. The errors below are the greatest over all 2^32 arguments, in units in the last place
//! (ulp) of the exact value; a test measures them. An argument or a value below the smallest normal number counts as 0 in
//! them: the functions run in the engine's floating-point mode ([`crate::in_engine_mode`]).
//!
//! | function | fused tiers | without fused multiply-add |
//! | --- | --- | --- |
//! | [`tanh`] | 0.99 | 1.10 |
//! | [`sigmoid`] | 0.97 | 1.44 |
//! | [`exp`] | 0.88 | 0.90 |
//! | [`ln`] | 0.90 | 0.96 |
//! | [`softplus_tail`], [`softplus`] | 1.75 | 1.80 |
//! | [`softsign`] | 1.50 | 1.50 |
//!
//! The functions that have parameters are those of [`Activation`](crate::Activation), and have no other name here; all but
//! these are 0.50 at most:
//!
//! | function | fused tiers | without fused multiply-add |
//! | --- | --- | --- |
//! | ELU, alpha 1 | 0.95 | 0.95 |
//! | ELU, any alpha | 1.00 | 1.05 |
//! | scaled tanh, alpha and beta 1 | 1.05 | 1.10 |
//! | scaled tanh, any alpha and beta | 1.50 | 1.50 |
//! | hard sigmoid, affine | 0.50 | 0.51 |
//!
//! For `f64` they are the crate `libm`, or two of its functions together, one element after the other (softsign and what
//! has no elementary function in it excepted): slower, the same bits on every tier and machine, and within 3 ulp. (An affine
//! function and a hard sigmoid round twice where multiply-add is not fused.)
//!
//! NaN stays NaN.
//!
//! ```
//! let mut values = [0.0_f32, 0.5, f32::INFINITY];
//! elman::math::tanh(elman::Tier::active()?, &mut values);
//! assert_eq!(values, [0.0, 0.46211717, 1.0]);
//! # Ok::<(), elman::Error>(())
//! ```

use crate::kernels::map::{self, Map};
use crate::simd::Math;
use crate::{Element, Tier, in_engine_mode};

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident, $type:ident;)*) => {
        /// Not for users of the crate, who have the functions themselves.
        mod name {
            /// The functions of this module by name.
            #[derive(Clone, Copy, Debug)]
            pub enum Function {
                $(#[doc = concat!("[`super::", stringify!($name), "`]")] $type,)*
            }
        }
        pub(crate) use name::Function;

        /// Replaces every element by the function of it, compiled where it is called.
        pub(crate) fn map_here<E: Element>(function: Function, tier: Tier, values: &mut [E]) {
            match function {
                $(Function::$type => tier.run(Map::<E, $type>::new(values)),)*
            }
        }

        $(
            struct $type;

            impl<E: Element> map::Function<E> for $type {
                #[inline(always)]
                fn apply<S: Math<E>>(token: S, x: S::Vector) -> S::Vector {
                    token.$name(x)
                }
            }

            $(#[$doc])*
            pub fn $name<E: Element>(tier: Tier, values: &mut [E]) {
                in_engine_mode(|| E::map(Function::$type, tier, values));
            }
        )*
    };
}

functions! {
    /// Replaces every `x` by its hyperbolic tangent.
    ///
    /// `tanh(-x)` is `-tanh(x)` bit for bit, 0 keeps its sign, the value at an infinity is 1 or -1, and no value is
    /// beyond them. A tiny `x` is its own value.
    tanh, Tanh;

    /// Replaces every `x` by the logistic function of it, `1 / (1 + exp(-x))`.
    ///
    /// No value is below 0 or above 1; they are the values at the infinities. The relative accuracy holds for negative
    /// `x` too, down to the smallest normal value near `x = -87.3` (`f32`); below that the value is 0.
    sigmoid, Sigmoid;

    /// Replaces every `x` by `e` to the power of `x`.
    ///
    /// Overflows to infinity, and underflows to 0.
    exp, Exp;

    /// Replaces every `x` by its natural logarithm.
    ///
    /// That is NaN for a negative `x`, minus infinity for 0 of either sign, and infinity for infinity.
    ln, Ln;

    /// Replaces every `x` by `ln(1 + exp(-|x|))`, which is 0 at the infinities.
    ///
    /// It is what softplus, `ln(1 + exp(x))`, exceeds `max(x, 0)` by, and the part of a cross-entropy of logits that
    /// needs care: written in terms of [`exp`] and [`ln`] it would lose all its digits where `|x|` is large.
    softplus_tail, SoftplusTail;

    /// Replaces every `x` by softplus, `ln(1 + exp(x))`.
    ///
    /// That is 0 for minus infinity and `x` itself from where `exp(-x)` no longer counts. The relative accuracy holds for
    /// negative `x` too, as with [`sigmoid`].
    softplus, Softplus;

    /// Replaces every `x` by softsign, `x / (1 + |x|)`.
    ///
    /// The value at `-x` is that at `x` with the other sign, 0 keeps its sign, the value at an infinity is 1 or -1, and no
    /// value is beyond them.
    softsign, Softsign;
}
