//! The functions for `f64`: the crate `libm`, one lane after the other. It is written in Rust and uses nothing of the
//! platform, so the bits are the same everywhere. Its functions are calls: kernels would have many copies of them.

use crate::simd::Simd;

macro_rules! lanes {
    ($($name:ident: |$x:ident| $value:expr;)*) => {
        $(#[inline(never)]
        fn $name($x: f64) -> f64 {
            $value
        })*
    };
}

lanes! {
    tanh_lane: |x| libm::tanh(operand(x));
    exp_lane: |x| libm::exp(x);
    ln_lane: |x| libm::log(operand(x));
    expm1_lane: |x| libm::expm1(operand(x));
    softplus_tail_lane: |x| libm::log1p(libm::exp(-x.abs()));
    sigmoid_lane: |x| {
        let e = libm::exp(-x.abs());
        let numerator = if x < 0.0 { e } else { 1.0 };
        numerator / (1.0 + e)
    };
}

/// `x`, but 0 of its sign where the mode takes it for 0. libm looks at the bits of its argument, where a denormal number
/// is none.
fn operand(x: f64) -> f64 {
    const SIGN: u64 = 1 << 63;
    if x == 0.0 {
        f64::from_bits(x.to_bits() & SIGN)
    } else {
        x
    }
}

#[inline(always)]
pub fn tanh<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, tanh_lane)
}

#[inline(always)]
pub fn sigmoid<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, sigmoid_lane)
}

#[inline(always)]
pub fn exp<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, exp_lane)
}

#[inline(always)]
pub fn ln<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, ln_lane)
}

#[inline(always)]
pub fn softplus_tail<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, softplus_tail_lane)
}

#[inline(always)]
pub fn scaled_tanh<S: Simd<f64>>(token: S, x: S::Vector, alpha: f64, beta: f64) -> S::Vector {
    let scaled = token.mul(x, token.splat(beta));
    token.mul(tanh(token, scaled), token.splat(alpha))
}

#[inline(always)]
pub fn softplus<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    let positive = token.max(token.splat(0.0), x);
    token.add(positive, softplus_tail(token, x))
}

#[inline(always)]
pub fn elu<S: Simd<f64>>(token: S, x: S::Vector, alpha: f64) -> S::Vector {
    let negative = token.map_lanes(x, expm1_lane);
    let negative = token.mul(negative, token.splat(alpha));
    token.select(token.less(x, token.splat(0.0)), negative, x)
}

/// Rounded once where the tier is fused, else twice.
#[inline(always)]
pub fn affine<S: Simd<f64>>(token: S, x: S::Vector, alpha: f64, beta: f64) -> S::Vector {
    token.mul_add(token.splat(alpha), x, token.splat(beta))
}
