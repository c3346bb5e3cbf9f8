//! Activation functions of vectors, and what their derivatives make of a gradient.

use crate::Element;
use crate::activation::Activation;
use crate::simd::Math;

/// The activation function of `x`.
#[inline(always)]
pub fn activate<E: Element, S: Math<E>>(
    token: S,
    activation: Activation,
    x: S::Vector,
) -> S::Vector {
    match activation {
        Activation::Linear => x,
        Activation::Tanh => token.tanh(x),
        Activation::Sigmoid => token.sigmoid(x),
        Activation::Relu => {
            let zero = token.splat(E::ZERO);
            token.select(token.less(x, zero), zero, x)
        }
    }
}

/// `gradient` times the derivative of `activation` where its value is `value`. A ReLU's derivative at 0 is 0.
#[inline(always)]
pub fn times_derivative<E: Element, S: Math<E>>(
    token: S,
    activation: Activation,
    gradient: S::Vector,
    value: S::Vector,
) -> S::Vector {
    let (zero, one) = (token.splat(E::ZERO), token.splat(E::ONE));
    match activation {
        Activation::Linear => gradient,
        Activation::Tanh => token.mul(gradient, token.sub(one, token.mul(value, value))),
        Activation::Sigmoid => token.mul(gradient, token.mul(value, token.sub(one, value))),
        Activation::Relu => token.select(token.less(zero, value), gradient, zero),
    }
}
