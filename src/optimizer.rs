//! Update rules: how a gradient becomes a change of the parameters.
//!
//! The formulas are those of `torch.optim`, so that settings can be carried over. Scalars are derived in `f64` and
//! rounded to the element type once per step; the loops over the parameters use no operation that differs between
//! machines.
//!
//! ```
//! use elman::optimizer::{Optimizer, Rule, clip_by_norm};
//!
//! let mut optimizer = Optimizer::<f32>::new(Rule::ADAM, 0.01)?;
//! let mut parameters = [1.0, -2.0];
//! for _ in 0..2000 {
//!     let mut gradients = parameters.map(|p| 2.0 * (p - 0.5)); // of the sum of (p - 0.5)^2
//!     clip_by_norm(&mut gradients, 1.0)?;
//!     optimizer.step(&mut parameters, &gradients)?;
//! }
//! assert!(parameters.iter().all(|p| (p - 0.5).abs() < 1e-3));
//! # Ok::<(), elman::Error>(())
//! ```

mod clip;
mod rule;
mod update;

use crate::simd::Tier;
use crate::{Element, Error, Result, in_engine_mode, shape};

pub use clip::{clip_by_norm, clip_by_value};
pub use rule::Rule;
use rule::expect_non_negative;
pub(crate) use update::UpdateStep;
use update::{AdamScalars, Formula};

/// A [`Rule`], its learning rate and what it remembers of the parameters that it has updated.
///
/// The memory is allocated in the first step, for the number of parameters of that step, and never after.
#[derive(Debug)]
pub struct Optimizer<E: Element = f32> {
    rule: Rule,
    learning_rate: f64,
    /// Number of parameters; `None` before the first step.
    count: Option<usize>,
    /// Up to two arrays of `count` numbers: the running means, then the velocities; of Rprop the last signs, then the
    /// steps.
    state: [Vec<E>; 2],
    /// `beta1`^k and `beta2`^k of Adam after k steps. Running products, because `powi` may differ between platforms.
    beta_powers: [f64; 2],
}

impl<E: Element> Optimizer<E> {
    /// An optimizer that has seen no parameters yet. For the two forms of Rprop `learning_rate` is the first step.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where a setting is outside the range that [`Rule`] gives for it, or where `learning_rate`
    /// is negative or not finite in the element type.
    pub fn new(rule: Rule, learning_rate: f64) -> Result<Self> {
        in_engine_mode(|| {
            rule.validate::<E>()?;
            expect_non_negative::<E>("learning_rate", learning_rate)
        })?;
        Ok(Self {
            rule,
            learning_rate,
            count: None,
            state: [Vec::new(), Vec::new()],
            beta_powers: [1.0; 2],
        })
    }

    /// The rule and its settings.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Changes the learning rate from the next step on. For the two forms of Rprop it is the first step, so that a
    /// change has no effect between the first call of [`step`](Self::step) and a [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] where it is negative or not finite in the element type.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        in_engine_mode(|| expect_non_negative::<E>("learning_rate", learning_rate))?;
        self.learning_rate = learning_rate;
        Ok(())
    }

    /// Forgets the parameters: the next step is a first step again, and allocates only where it has more of them.
    pub fn reset(&mut self) {
        self.count = None;
        self.beta_powers = [1.0; 2];
    }

    /// Number of parameters that it belongs to; None before the first step.
    pub(crate) fn count(&self) -> Option<usize> {
        self.count
    }

    /// The powers of Adam's betas.
    pub(crate) fn beta_powers(&self) -> [f64; 2] {
        self.beta_powers
    }

    /// What the rule remembers of the parameters, in the order of [`Rule::state_names`]; arrays that it has no use for are
    /// empty.
    pub(crate) fn state(&self) -> [&[E]; 2] {
        let len = self.count.unwrap_or(0);
        self.state
            .each_ref()
            .map(|values| &values[..len.min(values.len())])
    }

    /// Belongs to `count` parameters from now on, after steps that have led to these powers and to what is to be written to
    /// the state.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub(crate) fn resume(&mut self, count: usize, beta_powers: [f64; 2]) -> Result<[&mut [E]; 2]> {
        self.prepare(count)?;
        self.beta_powers = beta_powers;
        Ok(self.state.each_mut().map(|values| &mut values[..]))
    }

    /// Updates `parameters` by their `gradients`, one of each in the same order.
    ///
    /// Gradients are used as they come: one that is NaN or infinite breaks its own parameter and no other.
    /// [`clip_by_norm`] detects it beforehand.
    ///
    /// # Errors
    /// [`Error::Length`] where there are not as many gradients as parameters, [`Error::Mismatch`] where there were
    /// another number of parameters in the steps before, [`Error::OutOfMemory`] where a first step finds no memory.
    /// Nothing has changed then.
    pub fn step(&mut self, parameters: &mut [E], gradients: &[E]) -> Result<()> {
        shape::expect_len("gradients", gradients.len(), parameters.len())?;
        // Every tier gives the same bits, so a wrong `ELMAN_TIER` need not be an error here.
        let tier = Tier::active().unwrap_or(Tier::PORTABLE);
        in_engine_mode(|| {
            let step = self.begin(parameters.len())?;
            step.run(tier, parameters, gradients);
            Ok(())
        })
    }

    /// Begins a step over `count` parameters.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub(crate) fn begin(&mut self, count: usize) -> Result<UpdateStep<'_, E>> {
        self.prepare(count)?;
        let formula = self.formula();
        let state = self.state.each_mut().map(|values| &mut values[..]);
        Ok(UpdateStep { formula, state })
    }

    /// The scalars of the next step.
    fn formula(&mut self) -> Formula<E> {
        let scalar = E::from_f64;
        let rate = self.learning_rate;
        match self.rule {
            Rule::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                if momentum == 0.0 {
                    Formula::Sgd([rate, weight_decay].map(scalar))
                } else {
                    let scalars = [rate, weight_decay, momentum].map(scalar);
                    Formula::SgdMomentum { scalars, nesterov }
                }
            }
            Rule::AdaGrad { epsilon } => Formula::AdaGrad([rate, epsilon].map(scalar)),
            Rule::RmsProp {
                alpha,
                epsilon,
                momentum,
            } => {
                if momentum == 0.0 {
                    Formula::RmsProp([rate, epsilon, alpha, 1.0 - alpha].map(scalar))
                } else {
                    let scalars = [rate, epsilon, alpha, 1.0 - alpha, momentum];
                    Formula::RmsPropMomentum(scalars.map(scalar))
                }
            }
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            }
            | Rule::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } => {
                let decoupled = matches!(self.rule, Rule::AdamW { .. });
                self.beta_powers[0] *= beta1;
                self.beta_powers[1] *= beta2;
                Formula::Adam(AdamScalars {
                    rate: scalar(rate / (1.0 - self.beta_powers[0])),
                    beta1: scalar(beta1),
                    one_minus_beta1: scalar(1.0 - beta1),
                    beta2: scalar(beta2),
                    one_minus_beta2: scalar(1.0 - beta2),
                    correction: scalar((1.0 - self.beta_powers[1]).sqrt()),
                    epsilon: scalar(epsilon),
                    penalty: scalar(if decoupled { 0.0 } else { weight_decay }),
                    keep: scalar(if decoupled {
                        1.0 - rate * weight_decay
                    } else {
                        1.0
                    }),
                })
            }
            Rule::Rprop {
                eta_minus,
                eta_plus,
                min_step,
                max_step,
            } => Formula::Rprop([eta_minus, eta_plus, min_step, max_step].map(scalar)),
            Rule::RpropUnbounded {
                eta_minus,
                eta_plus,
            } => Formula::RpropUnbounded([eta_minus, eta_plus].map(scalar)),
        }
    }

    /// Makes the state fit `count` parameters in a first step, and checks their number in a later one.
    fn prepare(&mut self, count: usize) -> Result<()> {
        if let Some(expected) = self.count {
            return if count == expected {
                Ok(())
            } else {
                Err(Error::Mismatch {
                    name: "the number of parameters",
                    actual: count.to_string(),
                    expected: format!("{expected} as in the steps before"),
                })
            };
        }
        let used = &mut self.state[..self.rule.state_names().len()];
        for values in used.iter_mut() {
            values.clear();
            values
                .try_reserve_exact(count)
                .map_err(|_| Error::OutOfMemory {
                    what: "the optimizer's state",
                    bytes: count * size_of::<E>(),
                })?;
        }
        for values in used {
            values.resize(count, E::ZERO);
        }
        if let Rule::Rprop { .. } | Rule::RpropUnbounded { .. } = self.rule {
            self.state[1].fill(E::from_f64(self.learning_rate));
        }
        self.count = Some(count);
        Ok(())
    }
}
