//! The mean of a network's parameters over the epochs of its training.

use elman::Network;
use elman::train::{Progress, Score, evaluate_weighted};

use super::Training;

/// How much more later epochs count: about the last ninth of them makes the mean.
const LATER: f64 = 8.0;

/// A mean of parameters in which later epochs count for more, by as much after 20 of them as after 200: polynomial decay, as
/// Shamir and Zhang have it (Stochastic gradient descent for non-smooth optimization, 2013).
pub struct Mean<'a> {
    training: &'a Training,
    batch_size: usize,
    /// Is measured, with the mean as its parameters.
    network: Network,
    values: Vec<f64>,
    best: Option<Best>,
}

/// The mean after the epoch at which it is best on what is held out or, where nothing is, after the last one.
pub struct Best {
    pub epoch: usize,
    pub score: Score,
    pub parameters: Vec<f32>,
}

impl<'a> Mean<'a> {
    pub fn new(
        network: &Network,
        training: &'a Training,
        batch_size: usize,
    ) -> elman::Result<Self> {
        Ok(Self {
            training,
            batch_size,
            network: network.try_clone()?,
            values: vec![0.0; network.parameter_count()],
            best: None,
        })
    }

    /// Takes in the parameters after an epoch.
    pub fn add(&mut self, progress: &Progress, parameters: &[f32]) -> elman::Result<()> {
        let epoch = progress.epoch;
        let share = (LATER + 1.0) / (LATER + epoch as f64);
        for (mean, &value) in self.values.iter_mut().zip(parameters) {
            *mean += share * (f64::from(value) - *mean);
        }
        let parameters: Vec<f32> = self.values.iter().map(|&value| value as f32).collect();
        let Training {
            validation,
            loss,
            class_weights,
            ..
        } = self.training;
        let score = match validation {
            None => progress.training,
            Some(held) => {
                self.network.set_parameters(&parameters)?;
                let weights = class_weights.as_deref();
                evaluate_weighted(&self.network, held, *loss, weights, self.batch_size)?.score
            }
        };
        let is_better = |best: &Best| score.loss.total_cmp(&best.score.loss).is_lt();
        if validation.is_none() || self.best.as_ref().is_none_or(is_better) {
            self.best = Some(Best {
                epoch,
                score,
                parameters,
            });
        }
        Ok(())
    }

    pub fn best(self) -> Option<Best> {
        self.best
    }
}
