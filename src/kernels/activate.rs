//! Activation functions of vectors, and what their derivatives make of a gradient.
//!
//! Every register tile has these functions in it. So only the usual activations are there inline; the others are a call,
//! to a kernel of their own.

use crate::Element;
use crate::activation::Activation;
use crate::simd::{Kernel, MAX_LANES, Math};

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
        _ => {
            let mut values = lanes(token, x);
            token.vectorize(Activate {
                activation,
                values: &mut values[..S::LANES],
            });
            vector(token, &values)
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
        _ => {
            let (mut gradients, values) = (lanes(token, gradient), lanes(token, value));
            token.vectorize(ScaleByDerivative {
                activation,
                gradients: &mut gradients[..S::LANES],
                values: &values[..S::LANES],
            });
            vector(token, &gradients)
        }
    }
}

#[inline(always)]
fn lanes<E: Element, S: Math<E>>(token: S, vector: S::Vector) -> [E; MAX_LANES] {
    const { assert!(S::LANES <= MAX_LANES) };
    let mut lanes = [E::ZERO; MAX_LANES];
    // SAFETY: the array has room for a vector.
    unsafe { token.store(vector, lanes.as_mut_ptr()) };
    lanes
}

#[inline(always)]
fn vector<E: Element, S: Math<E>>(token: S, lanes: &[E; MAX_LANES]) -> S::Vector {
    const { assert!(S::LANES <= MAX_LANES) };
    // SAFETY: the array has as many elements as a vector at least.
    unsafe { token.load(lanes.as_ptr()) }
}

/// [`activate`], with everything inline.
#[inline(always)]
fn activate_here<E: Element, S: Math<E>>(
    token: S,
    activation: Activation,
    x: S::Vector,
) -> S::Vector {
    let number = |value| token.splat(E::from_f64(value));
    let (zero, one) = (token.splat(E::ZERO), token.splat(E::ONE));
    // NaN is the second argument of a minimum or a maximum, or is less than nothing: so it stays.
    match activation {
        Activation::Linear | Activation::Tanh | Activation::Sigmoid | Activation::Relu => {
            activate(token, activation, x)
        }
        Activation::HardSigmoid { alpha, beta } => {
            let line = token.affine(x, E::from_f64(alpha), E::from_f64(beta));
            token.max(zero, token.min(one, line))
        }
        Activation::HardTanh => {
            // What lies between is copied, on every tier: a minimum may take a denormal number for 0.
            let below = token.select(token.less(one, x), one, x);
            let least = token.splat(-E::ONE);
            token.select(token.less(x, least), least, below)
        }
        Activation::LeakyRelu { alpha } => {
            let line = token.mul(number(alpha), x);
            token.select(token.less(x, zero), line, x)
        }
        Activation::Elu { alpha } => token.elu(x, E::from_f64(alpha)),
        Activation::Softsign => token.softsign(x),
        Activation::Softplus => token.softplus(x),
        Activation::Affine { alpha, beta } => {
            token.affine(x, E::from_f64(alpha), E::from_f64(beta))
        }
        Activation::ScaledTanh { alpha, beta } => {
            token.scaled_tanh(x, E::from_f64(alpha), E::from_f64(beta))
        }
        Activation::ThresholdedRelu { alpha } => {
            // The product makes 0 of a denormal number, which a minimum and a maximum may leave as it is.
            let zero_or_nan = token.mul(zero, token.max(zero, token.min(zero, x)));
            token.select(token.less(number(alpha), x), x, zero_or_nan)
        }
    }
}

/// [`times_derivative`], with everything inline.
#[inline(always)]
fn times_derivative_here<E: Element, S: Math<E>>(
    token: S,
    activation: Activation,
    gradient: S::Vector,
    value: S::Vector,
) -> S::Vector {
    let number = |value| token.splat(E::from_f64(value));
    let (zero, one) = (token.splat(E::ZERO), token.splat(E::ONE));
    let is_positive = token.less(zero, value);
    // Where the value lies between bounds; 0 elsewhere.
    let between = |low: S::Vector, high: S::Vector, gradient: S::Vector| {
        let below = token.select(token.less(value, high), gradient, zero);
        token.select(token.less(low, value), below, zero)
    };
    match activation {
        Activation::Linear | Activation::Tanh | Activation::Sigmoid | Activation::Relu => {
            times_derivative(token, activation, gradient, value)
        }
        Activation::HardSigmoid { alpha, .. } => {
            between(zero, one, token.mul(gradient, number(alpha)))
        }
        Activation::HardTanh => between(token.splat(-E::ONE), one, gradient),
        Activation::LeakyRelu { alpha } => {
            let scaled = token.mul(gradient, number(alpha));
            token.select(is_positive, gradient, scaled)
        }
        Activation::Elu { alpha } => {
            let scaled = token.mul(gradient, token.add(value, number(alpha)));
            token.select(is_positive, gradient, scaled)
        }
        Activation::Softsign => {
            let size = token.max(token.sub(zero, value), value);
            let rest = token.sub(one, size);
            token.mul(gradient, token.mul(rest, rest))
        }
        Activation::Softplus => {
            // 1 - exp(-value), without the loss of digits where the value is small.
            let negated = |x| token.sub(token.splat(-E::ZERO), x);
            let derivative = negated(token.elu(negated(value), E::ONE));
            token.mul(gradient, derivative)
        }
        Activation::Affine { alpha, .. } => token.mul(gradient, number(alpha)),
        Activation::ScaledTanh { alpha, beta } => {
            let tanh = token.div(value, number(alpha));
            let rest = token.sub(one, token.mul(tanh, tanh));
            let derivative = token.mul(token.mul(number(alpha), rest), number(beta));
            token.mul(gradient, derivative)
        }
        Activation::ThresholdedRelu { .. } => token.select(is_positive, gradient, zero),
    }
}

/// Replaces each element by the activation function of it.
pub struct Activate<'a, E> {
    pub activation: Activation,
    pub values: &'a mut [E],
}

impl<E: Element> Kernel<E> for Activate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        for part in self.values.chunks_mut(S::LANES) {
            // SAFETY: the part has as many elements as it says, and no more than a vector.
            unsafe {
                let x = load(token, part.as_ptr(), part.len());
                let value = activate_here(token, self.activation, x);
                store(token, value, part.as_mut_ptr(), part.len());
            }
        }
    }
}

/// Multiplies each gradient by the derivative where the value is that of `values`, which are as many.
pub(super) struct ScaleByDerivative<'a, E> {
    pub activation: Activation,
    pub gradients: &'a mut [E],
    pub values: &'a [E],
}

impl<E: Element> Kernel<E> for ScaleByDerivative<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        assert_eq!(self.gradients.len(), self.values.len());
        let values = self.values.chunks(S::LANES);
        for (gradients, values) in self.gradients.chunks_mut(S::LANES).zip(values) {
            // SAFETY: both parts have as many elements as the first says, and no more than a vector.
            unsafe {
                let count = gradients.len();
                let gradient = load(token, gradients.as_ptr(), count);
                let value = load(token, values.as_ptr(), count);
                let scaled = times_derivative_here(token, self.activation, gradient, value);
                store(token, scaled, gradients.as_mut_ptr(), count);
            }
        }
    }
}

/// The activation function of rows of `width` elements, one every so many.
pub(super) struct ActivateRows<'a, E> {
    pub activation: Activation,
    pub width: usize,
    pub from: (&'a [E], usize),
    pub to: (&'a mut [E], usize),
}

impl<E: Element> Kernel<E> for ActivateRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let ((from, from_stride), (to, to_stride)) = (self.from, self.to);
        for (from, to) in from.chunks(from_stride).zip(to.chunks_mut(to_stride)) {
            let from = from[..self.width].chunks(S::LANES);
            for (from, to) in from.zip(to[..self.width].chunks_mut(S::LANES)) {
                // SAFETY: both parts have as many elements, and no more than a vector.
                unsafe {
                    let x = load(token, from.as_ptr(), from.len());
                    let value = activate_here(token, self.activation, x);
                    store(token, value, to.as_mut_ptr(), to.len());
                }
            }
        }
    }
}

/// Rows of gradients times the derivative where the value is that of `values`, to `to`; there, added to what they meet or
/// not.
pub(super) struct ScaleRows<'a, E> {
    pub activation: Activation,
    pub width: usize,
    pub gradients: (&'a [E], usize),
    pub values: (&'a [E], usize),
    pub to: (&'a mut [E], usize),
    pub accumulate: bool,
}

impl<E: Element> Kernel<E> for ScaleRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let (gradients, values, to) = (self.gradients, self.values, self.to);
        let gradients = gradients.0.chunks(gradients.1);
        let values = values.0.chunks(values.1);
        let rows = to.0.chunks_mut(to.1);
        for ((gradients, values), to) in gradients.zip(values).zip(rows) {
            let gradients = gradients[..self.width].chunks(S::LANES);
            let values = values[..self.width].chunks(S::LANES);
            let to = to[..self.width].chunks_mut(S::LANES);
            for ((gradients, values), to) in gradients.zip(values).zip(to) {
                // SAFETY: the three parts have as many elements, and no more than a vector.
                unsafe {
                    let count = to.len();
                    let gradient = load(token, gradients.as_ptr(), count);
                    let value = load(token, values.as_ptr(), count);
                    let mut result = times_derivative_here(token, self.activation, gradient, value);
                    if self.accumulate {
                        result = token.add(load(token, to.as_ptr(), count), result);
                    }
                    store(token, result, to.as_mut_ptr(), count);
                }
            }
        }
    }
}

/// Reads the first `count` lanes.
///
/// # Safety
/// - That many elements at `from` must be readable, `count <= LANES`.
#[inline(always)]
unsafe fn load<E: Element, S: Math<E>>(token: S, from: *const E, count: usize) -> S::Vector {
    // SAFETY: the caller's obligations.
    unsafe {
        match count == S::LANES {
            true => token.load(from),
            false => token.load_partial(from, count),
        }
    }
}

/// Writes the first `count` lanes.
///
/// # Safety
/// - That many elements at `to` must be writable, `count <= LANES`.
#[inline(always)]
unsafe fn store<E: Element, S: Math<E>>(token: S, value: S::Vector, to: *mut E, count: usize) {
    // SAFETY: the caller's obligations.
    unsafe {
        match count == S::LANES {
            true => token.store(value, to),
            false => token.store_partial(value, to, count),
        }
    }
}
