//! A layer, as it was asked for.

use elman_abi::around::*;
use elman_abi::network::*;
use elman_abi::status::*;

use super::{Cell, Recurrent};
use crate::call::c;

/// A layer, as it was asked for.
#[derive(Clone, Copy, Debug)]
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
    Norm {
        epsilon: f32,
    },
    Embedding {
        columns: Numbers,
        classes: usize,
        size: usize,
    },
    Concat {
        layers: Numbers,
    },
    Residual {
        layer: usize,
    },
}

/// The columns or layers that a layer is added with; few.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    count: usize,
    values: [usize; 3],
}

impl Numbers {
    pub fn push(&mut self, value: usize) {
        self.values[self.count] = value;
        self.count += 1;
    }
}

impl std::ops::Deref for Numbers {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.values[..self.count]
    }
}

impl Layer {
    /// Features of its output, given those of the network's input and of all layers before it.
    pub fn outputs(self, sizes: &[usize]) -> usize {
        let present = sizes[sizes.len() - 1];
        match self {
            Self::Rnn { units, .. } | Self::Dense { units, .. } => units,
            Self::Recurrent(layer) => layer.outputs(),
            Self::Dropout { .. }
            | Self::Activation { .. }
            | Self::Norm { .. }
            | Self::Residual { .. } => present,
            Self::Embedding { columns, size, .. } => {
                let vectors = columns.len().saturating_mul(size);
                present
                    .saturating_sub(columns.len())
                    .saturating_add(vectors)
            }
            Self::Concat { layers } => {
                let sizes = layers.iter().filter_map(|&layer| sizes.get(layer));
                sizes.fold(0, |sum, &size| sum.saturating_add(size))
            }
        }
    }

    pub fn parameter_count(self, inputs: usize) -> u128 {
        let inputs = inputs as u128;
        let (rows, columns) = match self {
            Self::Recurrent(layer) => {
                return layer.parameter_count(inputs).unwrap_or(u128::MAX);
            }
            Self::Rnn { units, .. } => (inputs + units as u128 + 1, units as u128),
            Self::Dense { units, .. } => (inputs + 1, units as u128),
            Self::Norm { .. } => (2, inputs),
            Self::Embedding { classes, size, .. } => (classes as u128, size as u128),
            Self::Dropout { .. }
            | Self::Activation { .. }
            | Self::Concat { .. }
            | Self::Residual { .. } => (0, 0),
        };
        rows.saturating_mul(columns)
    }

    /// The bound of the numbers that its parameters start with.
    pub fn largest_start(self, inputs: usize) -> f32 {
        let bound = |count: usize| (count as f32).sqrt().recip();
        match self {
            Self::Rnn { units, .. } => bound(units),
            // The largest of both, where it has a bias of its own.
            Self::Recurrent(layer) => {
                bound(layer.units).max(layer.options.forget_bias.abs() as f32)
            }
            Self::Norm { .. } => 1.0,
            // Of numbers from the normal distribution.
            Self::Embedding { .. } => 10.0,
            _ => bound(inputs),
        }
    }

    /// Whether its gradients are those of a smooth function.
    pub fn is_smooth(self) -> bool {
        match self {
            Self::Rnn { activation, .. }
            | Self::Dense { activation, .. }
            | Self::Activation { activation, .. } => {
                activation == ELMAN_TANH || activation == ELMAN_SIGMOID
            }
            Self::Recurrent(layer) => layer.is_smooth(),
            Self::Dropout { rate } => rate <= 0.5,
            // Where features hardly differ, a small one makes it steep.
            Self::Norm { epsilon } => epsilon >= 0.5,
            Self::Embedding { .. } | Self::Concat { .. } | Self::Residual { .. } => true,
        }
    }

    /// The columns or layers that it is added with.
    pub fn numbers(&self) -> &[usize] {
        match self {
            Self::Embedding { columns, .. } => columns,
            Self::Concat { layers } => layers,
            Self::Residual { layer } => std::slice::from_ref(layer),
            _ => &[],
        }
    }

    pub fn add(self, network: Option<&mut Network>) -> Status {
        self.add_from(network, self.numbers().as_ptr())
    }

    /// Adds it, with its numbers at that place.
    pub fn add_from(self, network: Option<&mut Network>, numbers: *const usize) -> Status {
        let count = self.numbers().len();
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
            Self::Norm { epsilon } => elman_add_layer_norm(network, epsilon),
            Self::Embedding { classes, size, .. } => {
                c!(elman_add_embedding(network, numbers, count, classes, size))
            }
            Self::Concat { .. } => c!(elman_add_concat(network, numbers, count)),
            Self::Residual { layer } => elman_add_residual(network, layer),
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
            Self::Norm { .. } => "elman_add_layer_norm",
            Self::Embedding { .. } => "elman_add_embedding",
            Self::Concat { .. } => "elman_add_concat",
            Self::Residual { .. } => "elman_add_residual",
        }
    }
}
