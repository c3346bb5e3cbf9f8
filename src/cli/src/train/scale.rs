//! Numbers to tell, scaled to mean 0 and deviation 1 while they are learned.

use elman::Network;
use elman::dataset::{Dataset, Targets};
use elman::init::TensorRole;

use crate::failure::Result;

/// The mean and the deviation of the numbers to tell.
#[derive(Clone, Copy)]
pub struct Scale {
    mean: f64,
    pub deviation: f64,
}

impl Scale {
    /// Of those that are numbers.
    pub fn measure(values: &[f32]) -> Self {
        let values: Vec<f64> = values
            .iter()
            .filter(|value| !value.is_nan())
            .map(|&value| value.into())
            .collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let deviation = (values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count)
            .sqrt();
        match deviation > 0.0 {
            true => Self { mean, deviation },
            false => Self {
                mean: if mean.is_nan() { 0.0 } else { mean },
                deviation: 1.0,
            },
        }
    }

    fn apply(self, values: &mut [f32]) {
        for value in values {
            *value = ((f64::from(*value) - self.mean) / self.deviation) as f32;
        }
    }

    /// Makes a network whose outputs were trained on scaled numbers give the numbers themselves: its last layer is linear.
    pub fn undo(self, network: &mut Network) -> Result<()> {
        let mut parameters = network.parameters().to_vec();
        let layer = network.layers().last();
        let tensors: Vec<_> = layer.map_or_else(Vec::new, |layer| layer.tensors().collect());
        for tensor in tensors {
            let shift = match tensor.role {
                TensorRole::DenseBias => self.mean,
                _ => 0.0,
            };
            for value in &mut parameters[tensor.parameters] {
                *value = (f64::from(*value) * self.deviation + shift) as f32;
            }
        }
        Ok(network.set_parameters(&parameters)?)
    }

    /// The same sequences with scaled numbers.
    pub fn scaled(self, dataset: &Dataset) -> Result<Dataset> {
        let mut targets = dataset.targets().clone();
        if let Targets::Values { values, .. } = &mut targets {
            self.apply(values);
        }
        let x = (0..dataset.len()).flat_map(|index| dataset.sequence(index));
        let lengths: Vec<usize> = (0..dataset.len())
            .map(|index| dataset.length(index))
            .collect();
        Ok(Dataset::new(
            dataset.input_size(),
            x.copied().collect(),
            &lengths,
            targets,
        )?)
    }
}
