//! The rules, their settings and the ranges of these.

use serde::{Deserialize, Serialize};

use crate::{Element, Error, Result};

/// A rule and its settings, without the learning rate. The constants hold the usual settings.
///
/// In the formulas p is a parameter, g its gradient and r the learning rate; state starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Rule {
    /// Stochastic gradient descent: g' = g + `weight_decay` p; v = `momentum` v + g'; p -= r v, or with Nesterov's
    /// look-ahead p -= r (g' + `momentum` v).
    Sgd {
        /// Part of the velocity that stays, in [0, 1). With 0 there is no velocity and no memory for it.
        momentum: f64,
        /// Look ahead along the velocity; needs a momentum.
        nesterov: bool,
        /// Strength of the pull towards 0, at least 0.
        weight_decay: f64,
    },
    /// AdaGrad (Duchi et al. 2011): s += g²; p -= r g / (√s + `epsilon`).
    AdaGrad {
        /// Keeps the quotient finite; above 0.
        epsilon: f64,
    },
    /// RMSprop (Tieleman & Hinton 2012): s = `alpha` s + (1 - `alpha`) g²; v = `momentum` v + g / (√s + `epsilon`);
    /// p -= r v.
    RmsProp {
        /// Part of the running mean of squares that stays, in [0, 1).
        alpha: f64,
        /// Keeps the quotient finite; above 0.
        epsilon: f64,
        /// Part of the velocity that stays, in [0, 1). With 0 there is no velocity and no memory for it.
        momentum: f64,
    },
    /// Adam (Kingma & Ba 2015): g' = g + `weight_decay` p; m = `beta1` m + (1 - `beta1`) g';
    /// s = `beta2` s + (1 - `beta2`) g'²; in step k
    /// p -= r / (1 - `beta1`^k) m / (√s / √(1 - `beta2`^k) + `epsilon`).
    Adam {
        /// Part of the mean of gradients that stays, in [0, 1).
        beta1: f64,
        /// Part of the mean of squares that stays, in [0, 1).
        beta2: f64,
        /// Keeps the quotient finite; above 0.
        epsilon: f64,
        /// Strength of the pull towards 0, at least 0. It passes through the adaptive scale; see [`Rule::AdamW`].
        weight_decay: f64,
    },
    /// AdamW (Loshchilov & Hutter 2019): p *= 1 - r `weight_decay`, then Adam without weight decay.
    AdamW {
        /// Part of the mean of gradients that stays, in [0, 1).
        beta1: f64,
        /// Part of the mean of squares that stays, in [0, 1).
        beta2: f64,
        /// Keeps the quotient finite; above 0.
        epsilon: f64,
        /// Strength of the pull towards 0, at least 0.
        weight_decay: f64,
    },
    /// Rprop (Riedmiller & Braun 1993) for full batches: every parameter has its own step, at first the learning rate.
    /// The step is multiplied by `eta_plus` where the gradient has the sign of the last one and by `eta_minus` where
    /// it has the opposite sign, and kept in [`min_step`, `max_step`]; then p -= sign(g) step. Where the sign turned,
    /// g counts as 0 in this step and as the last gradient of the next.
    Rprop {
        /// Factor after a turn, above 0 and below 1.
        eta_minus: f64,
        /// Factor while the sign stays, above 1.
        eta_plus: f64,
        /// Smallest step, at least 0.
        min_step: f64,
        /// Largest step, at least `min_step`.
        max_step: f64,
    },
    /// Rprop as a bare sign rule, for full batches: every parameter has its own step, at first the learning rate. The
    /// step is multiplied by `eta_plus` where the gradient has the sign of the last one (0 before the first) and by
    /// `eta_minus` otherwise; then p -= sign(g) step.
    ///
    /// Nothing bounds the steps. That of a parameter whose gradient stays 0 grows all the while; [`Rule::Rprop`] is
    /// the rule for networks in which that can happen.
    RpropUnbounded {
        /// Factor where the sign changed, above 0 and below 1.
        eta_minus: f64,
        /// Factor where the sign stayed, above 1.
        eta_plus: f64,
    },
}

impl Rule {
    /// Plain gradient descent: p -= r g.
    pub const SGD: Self = Self::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.0,
    };
    /// AdaGrad with ε = 1e-10. The usual learning rate is 0.01.
    pub const ADAGRAD: Self = Self::AdaGrad { epsilon: 1e-10 };
    /// RMSprop with α = 0.99, ε = 1e-8 and no momentum. The usual learning rate is 0.01.
    pub const RMSPROP: Self = Self::RmsProp {
        alpha: 0.99,
        epsilon: 1e-8,
        momentum: 0.0,
    };
    /// Adam with β = (0.9, 0.999), ε = 1e-8 and no weight decay. The usual learning rate is 0.001.
    pub const ADAM: Self = Self::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    };
    /// AdamW with β = (0.9, 0.999), ε = 1e-8 and weight decay 0.01. The usual learning rate is 0.001.
    pub const ADAMW: Self = Self::AdamW {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.01,
    };
    /// Rprop with η = (0.5, 1.2) and steps in [1e-6, 50]. The usual learning rate is 0.01.
    pub const RPROP: Self = Self::Rprop {
        eta_minus: 0.5,
        eta_plus: 1.2,
        min_step: 1e-6,
        max_step: 50.0,
    };
    /// The bare sign rule with η = (0.5, 1.2). The usual learning rate is 0.001.
    pub const RPROP_UNBOUNDED: Self = Self::RpropUnbounded {
        eta_minus: 0.5,
        eta_plus: 1.2,
    };

    pub(super) fn validate<E: Element>(&self) -> Result<()> {
        match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                expect_fraction("momentum", momentum)?;
                expect_non_negative::<E>("weight_decay", weight_decay)?;
                let look_ahead = !nesterov || momentum > 0.0;
                expect("momentum", momentum, look_ahead, "above 0 with nesterov")
            }
            Self::AdaGrad { epsilon } => expect_positive::<E>("epsilon", epsilon),
            Self::RmsProp {
                alpha,
                epsilon,
                momentum,
            } => {
                expect_fraction("alpha", alpha)?;
                expect_positive::<E>("epsilon", epsilon)?;
                expect_fraction("momentum", momentum)
            }
            Self::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            }
            | Self::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay,
            } => {
                expect_fraction("beta1", beta1)?;
                expect_fraction("beta2", beta2)?;
                expect_positive::<E>("epsilon", epsilon)?;
                expect_non_negative::<E>("weight_decay", weight_decay)
            }
            Self::Rprop {
                eta_minus,
                eta_plus,
                min_step,
                max_step,
            } => {
                expect_etas::<E>(eta_minus, eta_plus)?;
                expect_non_negative::<E>("min_step", min_step)?;
                expect_non_negative::<E>("max_step", max_step)?;
                let ordered = max_step >= min_step;
                expect("max_step", max_step, ordered, "at least min_step")
            }
            Self::RpropUnbounded {
                eta_minus,
                eta_plus,
            } => expect_etas::<E>(eta_minus, eta_plus),
        }
    }

    /// What the numbers are that the rule remembers for each parameter.
    pub(crate) fn state_names(&self) -> &'static [&'static str] {
        match *self {
            Self::Sgd { momentum, .. } if momentum > 0.0 => &["velocity"],
            Self::Sgd { .. } => &[],
            Self::AdaGrad { .. } => &["squares"],
            Self::RmsProp { momentum, .. } if momentum > 0.0 => &["squares", "velocity"],
            Self::RmsProp { .. } => &["squares"],
            Self::Adam { .. } | Self::AdamW { .. } => &["mean", "squares"],
            Self::Rprop { .. } | Self::RpropUnbounded { .. } => &["last_sign", "step"],
        }
    }
}

fn expect(name: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::OutOfRange {
            name,
            value,
            expected,
        })
    }
}

fn expect_fraction(name: &'static str, value: f64) -> Result<()> {
    let holds = (0.0..1.0).contains(&value);
    expect(name, value, holds, "at least 0 and below 1")
}

// What is used is the rounded value: 1e-50 is no positive f32, and 1e39 no finite one.

pub(super) fn expect_non_negative<E: Element>(name: &'static str, value: f64) -> Result<()> {
    let holds = value >= 0.0 && E::from_f64(value).is_finite();
    expect(
        name,
        value,
        holds,
        "at least 0 and finite in the element type",
    )
}

fn expect_positive<E: Element>(name: &'static str, value: f64) -> Result<()> {
    let rounded = E::from_f64(value);
    let holds = rounded > E::ZERO && rounded.is_finite();
    expect(name, value, holds, "above 0 and finite in the element type")
}

fn expect_etas<E: Element>(eta_minus: f64, eta_plus: f64) -> Result<()> {
    let shrinks = eta_minus > 0.0 && eta_minus < 1.0;
    expect("eta_minus", eta_minus, shrinks, "above 0 and below 1")?;
    let grows = eta_plus > 1.0 && E::from_f64(eta_plus).is_finite();
    expect(
        "eta_plus",
        eta_plus,
        grows,
        "above 1 and finite in the element type",
    )
}
