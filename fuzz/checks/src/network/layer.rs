//! A layer, as it was asked for.

use elman_abi::network::*;
use elman_abi::status::*;

use super::{Cell, Recurrent};

/// A layer, as it was asked for.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant)] // there are few, and they are copied
pub enum Layer {
    Rnn {
        units: usize,
        activation: u32,
    },
    Recurrent(Recurrent),
    Dense {
        units: usize,
        activation: u32,
    },
    Dropout {
        rate: f32,
    },
    Activation {
        activation: u32,
        alpha: f32,
        beta: f32,
    },
}

impl Layer {
    pub fn units(self) -> Option<u128> {
        match self {
            Self::Rnn { units, .. } | Self::Dense { units, .. } => Some(units as u128),
            Self::Recurrent(layer) => Some(layer.outputs() as u128),
            Self::Dropout { .. } | Self::Activation { .. } => None,
        }
    }

    pub fn parameter_count(self, inputs: u128) -> u128 {
        let units = self.units().unwrap_or(0);
        let recurrent = match self {
            Self::Recurrent(layer) => {
                return layer.parameter_count(inputs).unwrap_or(u128::MAX);
            }
            Self::Rnn { .. } => units,
            Self::Dense { .. } | Self::Dropout { .. } | Self::Activation { .. } => 0,
        };
        inputs
            .checked_add(recurrent)
            .and_then(|rows| rows.checked_add(1)?.checked_mul(units))
            .unwrap_or(u128::MAX)
    }

    /// The bound of the numbers that its parameters start with.
    pub fn largest_start(self, inputs: usize) -> f32 {
        let count = match self {
            Self::Rnn { units, .. } | Self::Recurrent(Recurrent { units, .. }) => units,
            Self::Dense { .. } | Self::Dropout { .. } | Self::Activation { .. } => inputs,
        };
        let bound = (count as f32).sqrt().recip();
        match self {
            // The largest of both, where it has a bias of its own.
            Self::Recurrent(layer) => bound.max(layer.options.forget_bias.abs() as f32),
            _ => bound,
        }
    }

    pub fn add(self, network: Option<&mut Network>) -> Status {
        match self {
            Self::Rnn { units, activation } => elman_add_rnn(network, units, activation),
            Self::Recurrent(layer) => layer.add(network, &raw const layer.options),
            Self::Dense { units, activation } => elman_add_dense(network, units, activation),
            Self::Dropout { rate } => elman_add_dropout(network, rate),
            Self::Activation {
                activation,
                alpha,
                beta,
            } => elman_add_activation(network, activation, alpha, beta),
        }
    }

    pub fn function(self) -> &'static str {
        match self {
            Self::Rnn { .. } => "elman_add_rnn",
            Self::Recurrent(layer) => match layer.cell {
                Cell::Rnn { .. } => "elman_add_recurrent",
                Cell::Gru => "elman_add_gru",
                Cell::Lstm => "elman_add_lstm",
            },
            Self::Dense { .. } => "elman_add_dense",
            Self::Dropout { .. } => "elman_add_dropout",
            Self::Activation { .. } => "elman_add_activation",
        }
    }
}
