//! The activation functions that layers can have.

use crate::{Element, Error, Result};

/// An activation function, applied to each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Linear => "linear",
        }
    }

    /// The function of that name.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where there is none.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|activation| activation.name() == name)
            .ok_or_else(|| Error::Mismatch {
                name: "activation",
                actual: format!("'{}'", name.chars().take(32).collect::<String>()),
                expected: "tanh, relu, sigmoid or linear".into(),
            })
    }

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
