//! The update loops: one per rule, each a single pass over equally long slices.
//!
//! Only + - * / and square root are used, each correctly rounded and none fused, so that every machine computes the
//! same bits however wide the vectors are that the compiler chooses.

use crate::Element;

pub(super) fn sgd<E: Element>(parameters: &mut [E], gradients: &[E], rate: E, weight_decay: E) {
    for (p, &g) in parameters.iter_mut().zip(gradients) {
        *p -= rate * (g + weight_decay * *p);
    }
}

pub(super) fn sgd_momentum<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    velocity: &mut [E],
    [rate, weight_decay, momentum]: [E; 3],
    nesterov: bool,
) {
    for ((p, &g), v) in parameters.iter_mut().zip(gradients).zip(velocity) {
        let g = g + weight_decay * *p;
        *v = momentum * *v + g;
        *p -= rate * if nesterov { g + momentum * *v } else { *v };
    }
}

pub(super) fn adagrad<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    squares: &mut [E],
    [rate, epsilon]: [E; 2],
) {
    for ((p, &g), s) in parameters.iter_mut().zip(gradients).zip(squares) {
        *s += g * g;
        *p -= rate * g / (s.sqrt() + epsilon);
    }
}

pub(super) fn rmsprop<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    squares: &mut [E],
    [rate, epsilon, alpha, new_part]: [E; 4],
) {
    for ((p, &g), s) in parameters.iter_mut().zip(gradients).zip(squares) {
        *s = alpha * *s + new_part * g * g;
        *p -= rate * g / (s.sqrt() + epsilon);
    }
}

pub(super) fn rmsprop_momentum<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    squares: &mut [E],
    velocity: &mut [E],
    [rate, epsilon, alpha, new_part, momentum]: [E; 5],
) {
    let state = squares.iter_mut().zip(velocity);
    for ((p, &g), (s, v)) in parameters.iter_mut().zip(gradients).zip(state) {
        *s = alpha * *s + new_part * g * g;
        *v = momentum * *v + g / (s.sqrt() + epsilon);
        *p -= rate * *v;
    }
}

/// The scalars of one step of Adam or AdamW.
pub(super) struct AdamStep<E> {
    /// Learning rate over the first moment's bias correction.
    pub rate: E,
    pub beta1: E,
    pub one_minus_beta1: E,
    pub beta2: E,
    pub one_minus_beta2: E,
    /// Square root of the second moment's bias correction.
    pub correction: E,
    pub epsilon: E,
    /// Added to the gradient, times the parameter: Adam's weight decay.
    pub penalty: E,
    /// What remains of the parameter: AdamW's weight decay.
    pub keep: E,
}

pub(super) fn adam<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    means: &mut [E],
    squares: &mut [E],
    by: &AdamStep<E>,
) {
    let state = means.iter_mut().zip(squares);
    for ((p, &g), (m, s)) in parameters.iter_mut().zip(gradients).zip(state) {
        let g = g + by.penalty * *p;
        *m = by.beta1 * *m + by.one_minus_beta1 * g;
        *s = by.beta2 * *s + by.one_minus_beta2 * g * g;
        *p = by.keep * *p - by.rate * *m / (s.sqrt() / by.correction + by.epsilon);
    }
}

pub(super) fn rprop<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    last_signs: &mut [E],
    steps: &mut [E],
    [eta_minus, eta_plus, min_step, max_step]: [E; 4],
) {
    let state = last_signs.iter_mut().zip(steps);
    for ((p, &g), (last, step)) in parameters.iter_mut().zip(gradients).zip(state) {
        let sign = sign(g);
        // The product of signs, not of gradients: that of two small gradients would be lost to underflow.
        let agreement = sign * *last;
        let turned = agreement < E::ZERO;
        let factor = if turned {
            eta_minus
        } else if agreement > E::ZERO {
            eta_plus
        } else {
            E::ONE
        };
        let wanted = *step * factor;
        let raised = if wanted < min_step { min_step } else { wanted };
        *step = if raised > max_step { max_step } else { raised };
        *last = if turned { E::ZERO } else { sign };
        *p -= *last * *step;
    }
}

pub(super) fn rprop_unbounded<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    last_signs: &mut [E],
    steps: &mut [E],
    [eta_minus, eta_plus]: [E; 2],
) {
    let state = last_signs.iter_mut().zip(steps);
    for ((p, &g), (last, step)) in parameters.iter_mut().zip(gradients).zip(state) {
        let sign = sign(g);
        *step *= if sign == *last { eta_plus } else { eta_minus };
        // A parameter without gradient keeps its value even when its step has grown to infinity.
        let change = if sign == E::ZERO {
            E::ZERO
        } else {
            sign * *step
        };
        *p -= change;
        *last = sign;
    }
}

/// 1, -1 or 0, and NaN of NaN: a broken gradient must not pass for one that is zero.
#[inline(always)]
fn sign<E: Element>(value: E) -> E {
    if value > E::ZERO {
        E::ONE
    } else if value < E::ZERO {
        -E::ONE
    } else {
        value
    }
}
