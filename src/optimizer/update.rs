//! The update loops: one per rule, each a single pass over equally long slices.
//!
//! Only + - * / and square root are used, each correctly rounded and none fused, so that every machine computes the
//! same bits however wide the vectors are that the compiler chooses: it makes them from these loops, with the
//! instructions of the tier that they are run on.

use crate::Element;
use crate::simd::{Kernel, Math, Tier};

/// A rule with the scalars of one step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Formula<E> {
    Sgd([E; 2]),
    SgdMomentum { scalars: [E; 3], nesterov: bool },
    AdaGrad([E; 2]),
    RmsProp([E; 4]),
    RmsPropMomentum([E; 5]),
    Adam(AdamScalars<E>),
    Rprop([E; 4]),
    RpropUnbounded([E; 2]),
}

/// One step of a rule, over those of its parameters that are still to be updated.
#[derive(Debug)]
pub struct UpdateStep<'a, E> {
    pub(super) formula: Formula<E>,
    /// What the rule remembers of these parameters; an array that it has no use for is empty.
    pub(super) state: [&'a mut [E]; 2],
}

impl<'a, E: Element> UpdateStep<'a, E> {
    /// Cuts off the step over the first `count` parameters.
    pub fn take(&mut self, count: usize) -> Self {
        let state = self.state.each_mut().map(|values| {
            let count = count.min(values.len());
            values.split_off_mut(..count).unwrap_or_default()
        });
        let formula = self.formula;
        Self { formula, state }
    }

    /// Updates the parameters.
    ///
    /// # Panics
    /// Where there are not as many gradients.
    pub fn run(self, tier: Tier, parameters: &mut [E], gradients: &[E]) {
        assert_eq!(parameters.len(), gradients.len());
        E::update(self, tier, parameters, gradients);
    }

    /// [`Self::run`], compiled where it is called.
    pub fn run_here(self, tier: Tier, parameters: &mut [E], gradients: &[E]) {
        tier.run(Update {
            step: self,
            parameters,
            gradients,
        });
    }
}

struct Update<'a, 'b, E> {
    step: UpdateStep<'a, E>,
    parameters: &'b mut [E],
    gradients: &'b [E],
}

impl<E: Element> Kernel<E> for Update<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let (p, g) = (self.parameters, self.gradients);
        let UpdateStep { formula, state } = self.step;
        let [first, second] = state;
        match formula {
            Formula::Sgd(scalars) => sgd(p, g, scalars),
            Formula::SgdMomentum { scalars, nesterov } => {
                sgd_momentum(p, g, first, scalars, nesterov);
            }
            Formula::AdaGrad(scalars) => adagrad(p, g, first, scalars),
            Formula::RmsProp(scalars) => rmsprop(p, g, first, scalars),
            Formula::RmsPropMomentum(scalars) => rmsprop_momentum(p, g, first, second, scalars),
            Formula::Adam(scalars) => adam(p, g, first, second, &scalars),
            Formula::Rprop(scalars) => rprop(p, g, first, second, scalars),
            Formula::RpropUnbounded(scalars) => rprop_unbounded(p, g, first, second, scalars),
        }
    }
}

#[inline(always)]
fn sgd<E: Element>(parameters: &mut [E], gradients: &[E], [rate, weight_decay]: [E; 2]) {
    for (p, &g) in parameters.iter_mut().zip(gradients) {
        *p -= rate * (g + weight_decay * *p);
    }
}

#[inline(always)]
fn sgd_momentum<E: Element>(
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

#[inline(always)]
fn adagrad<E: Element>(
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

#[inline(always)]
fn rmsprop<E: Element>(
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

#[inline(always)]
fn rmsprop_momentum<E: Element>(
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
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamScalars<E> {
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

#[inline(always)]
fn adam<E: Element>(
    parameters: &mut [E],
    gradients: &[E],
    means: &mut [E],
    squares: &mut [E],
    by: &AdamScalars<E>,
) {
    let state = means.iter_mut().zip(squares);
    for ((p, &g), (m, s)) in parameters.iter_mut().zip(gradients).zip(state) {
        let g = g + by.penalty * *p;
        *m = by.beta1 * *m + by.one_minus_beta1 * g;
        *s = by.beta2 * *s + by.one_minus_beta2 * g * g;
        *p = by.keep * *p - by.rate * *m / (s.sqrt() / by.correction + by.epsilon);
    }
}

#[inline(always)]
fn rprop<E: Element>(
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

#[inline(always)]
fn rprop_unbounded<E: Element>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::Rng;

    const COUNT: usize = 133;

    /// Numbers of all sizes and signs, and special ones.
    fn numbers<E: Element>(rng: &mut Rng) -> Vec<E> {
        let number = |rng: &mut Rng| match (rng.uniform() * 40.0) as usize {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 | 3 => -0.0,
            4 => 1e-40,
            exponent => rng.normal() * 2.0_f64.powi(exponent as i32 - 20),
        };
        (0..COUNT).map(|_| E::from_f64(number(rng))).collect()
    }

    /// Bits, of which those of NaN do not matter.
    fn bits<E: Element>(values: &[E]) -> Vec<u64> {
        let bits = |value: &E| match value.to_f64() {
            value if value.is_nan() => 0,
            value => value.to_bits(),
        };
        values.iter().map(bits).collect()
    }

    fn formulas<E: Element>() -> [Formula<E>; 9] {
        let of = E::from_f64;
        let scalars = [0.1, 0.3, 0.9].map(of);
        [
            Formula::Sgd([0.1, 0.3].map(of)),
            Formula::SgdMomentum {
                scalars,
                nesterov: false,
            },
            Formula::SgdMomentum {
                scalars,
                nesterov: true,
            },
            Formula::AdaGrad([0.1, 1e-8].map(of)),
            Formula::RmsProp([0.1, 1e-8, 0.9, 0.1].map(of)),
            Formula::RmsPropMomentum([0.1, 1e-8, 0.9, 0.1, 0.7].map(of)),
            Formula::Adam(AdamScalars {
                rate: of(0.1),
                beta1: of(0.9),
                one_minus_beta1: of(0.1),
                beta2: of(0.99),
                one_minus_beta2: of(0.01),
                correction: of(0.3),
                epsilon: of(1e-8),
                penalty: of(0.2),
                keep: of(0.99),
            }),
            Formula::Rprop([0.5, 1.2, 1e-6, 50.0].map(of)),
            Formula::RpropUnbounded([0.5, 1.2].map(of)),
        ]
    }

    /// All parameters at once on a tier's vectors, or in pieces, against one after the other.
    fn same_bits<E: Element>() {
        let mut rng = Rng::new(1);
        for formula in formulas::<E>() {
            let gradients: Vec<E> = numbers(&mut rng);
            let before: [Vec<E>; 3] = std::array::from_fn(|_| numbers(&mut rng));
            let run = |tier, lengths: &[usize]| {
                let mut after = before.clone();
                let [parameters, first, second] = &mut after;
                let mut step = UpdateStep {
                    formula,
                    state: [first, second],
                };
                let mut start = 0;
                for &length in lengths.iter().cycle() {
                    let end = COUNT.min(start + length);
                    let (parameters, gradients) =
                        (&mut parameters[start..end], &gradients[start..end]);
                    step.take(length).run(tier, parameters, gradients);
                    start = end;
                    if start == COUNT {
                        break;
                    }
                }
                after.map(|values| bits(&values))
            };
            let expected = run(Tier::PORTABLE, &[1]);
            for tier in Tier::available() {
                for lengths in [&[COUNT][..], &[64, 5], &[3, 0, 17]] {
                    let what = format!("{formula:?} on {tier:?} by {lengths:?}");
                    assert_eq!(run(tier, lengths), expected, "{what}");
                }
            }
        }
    }

    #[test]
    fn no_tier_and_no_cut_changes_a_bit() {
        same_bits::<f32>();
        same_bits::<f64>();
    }
}
