//! The activation functions that layers can have.

use serde::{Deserialize, Serialize};

use crate::{Element, Error, Result, Tier, in_engine_mode};

/// An activation function, applied to each element.
///
/// The derivative of each follows from the function's value, so that layers keep nothing else. That is why some parameters
/// have bounds: see [`check`](Self::check). Parameters are rounded to the element type. NaN stays NaN.
///
/// The functions with parameters are those of ONNX, and so are their defaults, which constants name: [`Self::HARD_SIGMOID`]
/// and the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`
    Relu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x` itself.
    Linear,
    /// `max(0, min(1, alpha x + beta))`. The derivative where the value is 0 or 1 is 0.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The offset.
        beta: f64,
    },
    /// `max(-1, min(1, x))`. The derivative where the value is -1 or 1 is 0.
    HardTanh,
    /// `x` where it is positive, else `alpha x`.
    LeakyRelu {
        /// The slope for negative `x`, at least 0.
        alpha: f64,
    },
    /// `x` where it is positive, else `alpha (exp(x) - 1)` (Clevert et al. 2016, arXiv 1511.07289).
    Elu {
        /// What the value tends to for negative `x`, without its sign; at least 0.
        alpha: f64,
    },
    /// `x / (1 + |x|)`
    Softsign,
    /// `ln(1 + exp(x))`
    Softplus,
    /// `alpha x + beta`
    Affine {
        /// The slope.
        alpha: f64,
        /// The offset.
        beta: f64,
    },
    /// `alpha tanh(beta x)`
    ScaledTanh {
        /// The factor of the value, not 0.
        alpha: f64,
        /// The factor of `x`.
        beta: f64,
    },
    /// `x` where it is above `alpha`, else 0.
    ThresholdedRelu {
        /// The threshold, at least 0.
        alpha: f64,
    },
}

impl Activation {
    /// The hard sigmoid of ONNX and Keras 2: `0.2 x + 0.5` between 0 and 1. (PyTorch's and Keras 3's has the slope 1/6.)
    pub const HARD_SIGMOID: Self = Self::HardSigmoid {
        alpha: 0.2,
        beta: 0.5,
    };
    /// The leaky ReLU with the slope 0.01.
    pub const LEAKY_RELU: Self = Self::LeakyRelu { alpha: 0.01 };
    /// The ELU that tends to -1.
    pub const ELU: Self = Self::Elu { alpha: 1.0 };
    /// The affine function that is `x` itself.
    pub const AFFINE: Self = Self::Affine {
        alpha: 1.0,
        beta: 0.0,
    };
    /// The scaled hyperbolic tangent whose factors are 1.
    pub const SCALED_TANH: Self = Self::ScaledTanh {
        alpha: 1.0,
        beta: 1.0,
    };
    /// The thresholded ReLU whose threshold is 1.
    pub const THRESHOLDED_RELU: Self = Self::ThresholdedRelu { alpha: 1.0 };

    /// Every function there is, with the default parameters.
    pub const ALL: [Self; 13] = [
        Self::Tanh,
        Self::Relu,
        Self::Sigmoid,
        Self::Linear,
        Self::HARD_SIGMOID,
        Self::HardTanh,
        Self::LEAKY_RELU,
        Self::ELU,
        Self::Softsign,
        Self::Softplus,
        Self::AFFINE,
        Self::SCALED_TANH,
        Self::THRESHOLDED_RELU,
    ];

    /// Checks the parameters. Layers are only made of functions that pass.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a parameter that is not finite as an `f32`; for an `alpha` below 0 of a leaky ReLU, an ELU
    /// or a thresholded ReLU, and one of a scaled hyperbolic tangent that is 0 or below the smallest normal `f32` in
    /// magnitude: the derivative would not follow from the value.
    pub fn check(self) -> Result<()> {
        let expect = |name, value: f64, fits: bool, expected| match fits {
            true => Ok(()),
            false => Err(Error::OutOfRange {
                name,
                value,
                expected,
            }),
        };
        let is_finite = |value: f64| (value as f32).is_finite();
        let finite = |name, value| expect(name, value, is_finite(value), "a finite f32");
        let not_negative = |name, value| {
            let fits = value >= 0.0 && is_finite(value);
            expect(name, value, fits, "a finite f32 of at least 0")
        };
        match self {
            Self::Tanh
            | Self::Relu
            | Self::Sigmoid
            | Self::Linear
            | Self::HardTanh
            | Self::Softsign
            | Self::Softplus => Ok(()),
            Self::HardSigmoid { alpha, beta } | Self::Affine { alpha, beta } => {
                finite("alpha", alpha)?;
                finite("beta", beta)
            }
            Self::LeakyRelu { alpha } | Self::Elu { alpha } | Self::ThresholdedRelu { alpha } => {
                not_negative("alpha", alpha)
            }
            Self::ScaledTanh { alpha, beta } => {
                let fits = is_finite(alpha) && alpha.abs() >= f32::MIN_POSITIVE.into();
                let expected = "a finite f32 of at least 1.2e-38 in magnitude";
                expect("alpha", alpha, fits, expected)?;
                finite("beta", beta)
            }
        }
    }

    /// Replaces every element by the function of it, with the bits that a layer gives.
    ///
    /// For `f32` the error is at most that of [`math`](crate::math)'s table; parameters that [`Self::check`] refuses do no
    /// harm.
    ///
    /// ```
    /// use elman::{Activation, Tier};
    ///
    /// let mut values = [-10.0_f32, 0.0, 1.25];
    /// Activation::HARD_SIGMOID.apply(Tier::active()?, &mut values);
    /// assert_eq!(values, [0.0, 0.5, 0.75]);
    /// # Ok::<(), elman::Error>(())
    /// ```
    pub fn apply<E: Element>(self, tier: Tier, values: &mut [E]) {
        in_engine_mode(|| E::activate(self, tier, values));
    }

    /// The derivative where the function's value is `value`: all of these functions can tell it from the value alone.
    pub fn derivative<E: Element>(self, value: E) -> E {
        let number = E::from_f64;
        let where_positive = |otherwise| match value > E::ZERO {
            true => E::ONE,
            false => otherwise,
        };
        match self {
            Self::Tanh => E::ONE - value * value,
            Self::Relu | Self::ThresholdedRelu { .. } => where_positive(E::ZERO),
            Self::Sigmoid => value * (E::ONE - value),
            Self::Linear => E::ONE,
            Self::HardSigmoid { alpha, .. } if value > E::ZERO && value < E::ONE => number(alpha),
            Self::HardTanh if value > -E::ONE && value < E::ONE => E::ONE,
            Self::HardSigmoid { .. } | Self::HardTanh => E::ZERO,
            Self::LeakyRelu { alpha } => where_positive(number(alpha)),
            Self::Elu { alpha } => where_positive(value + number(alpha)),
            Self::Softsign => {
                let rest = E::ONE - value.abs();
                rest * rest
            }
            // 1 - exp(-value), without the loss of digits where the value is small.
            Self::Softplus => number(-libm::expm1(-value.to_f64())),
            Self::Affine { alpha, .. } => number(alpha),
            Self::ScaledTanh { alpha, beta } => {
                let (alpha, beta) = (number(alpha), number(beta));
                let tanh = value / alpha;
                alpha * (E::ONE - tanh * tanh) * beta
            }
        }
    }
}
