//! The functions for `f64`: the crate `libm`, one lane after the other. It is written in Rust and uses nothing of the
//! platform, so the bits are the same everywhere.

use crate::simd::Simd;

#[inline(always)]
pub fn tanh<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, libm::tanh)
}

#[inline(always)]
pub fn sigmoid<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    fn lane(x: f64) -> f64 {
        let e = libm::exp(-x.abs());
        let numerator = if x < 0.0 { e } else { 1.0 };
        numerator / (1.0 + e)
    }
    token.map_lanes(x, lane)
}

#[inline(always)]
pub fn exp<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, libm::exp)
}

#[inline(always)]
pub fn ln<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    token.map_lanes(x, libm::log)
}

#[inline(always)]
pub fn softplus_tail<S: Simd<f64>>(token: S, x: S::Vector) -> S::Vector {
    fn lane(x: f64) -> f64 {
        libm::log1p(libm::exp(-x.abs()))
    }
    token.map_lanes(x, lane)
}
