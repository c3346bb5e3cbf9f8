//! The activation functions that layers can have.

use serde::{Deserialize, Serialize};

use crate::Element;

/// An activation function, applied to each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `x` itself.
    Linear,
}

impl Activation {
    /// Every function there is.
    pub const ALL: [Self; 4] = [Self::Tanh, Self::Relu, Self::Sigmoid, Self::Linear];

    /// The derivative where the function's value is `value`: all of these functions can tell it from the value alone.
    pub fn derivative<E: Element>(self, value: E) -> E {
        match self {
            Self::Tanh => E::ONE - value * value,
            Self::Relu if value > E::ZERO => E::ONE,
            Self::Relu => E::ZERO,
            Self::Sigmoid => value * (E::ONE - value),
            Self::Linear => E::ONE,
        }
    }
}
