//! A mean of the parameters over the epochs.

use std::ops::Range;

use super::Score;
use crate::buffer::{Buffer, try_vec};
use crate::{Element, Network, Result};

/// How much more later epochs count: about the last ninth of them makes the mean.
const LATER: f64 = 8.0;

/// Polynomial decay averaging, as Shamir and Zhang have it (Stochastic gradient descent for non-smooth optimization, 2013):
/// later epochs count for more, by as much after 20 of them as after 200.
pub(super) struct Average<E: Element> {
    mean: Vec<f64>,
    /// The mean after the epoch at which its loss was least or, where no loss has been finite, after the last one.
    best: Buffer<E>,
    epoch: Option<usize>,
    least: f64,
}

impl<E: Element> Average<E> {
    pub fn new(network: &Network<E>) -> Result<Self> {
        const WHAT: &str = "the mean of the parameters";
        let count = network.parameter_count();
        let mut mean = try_vec(WHAT, count)?;
        mean.resize(count, 0.0);
        Ok(Self {
            mean,
            best: Buffer::zeroed(WHAT, count)?,
            epoch: None,
            least: f64::INFINITY,
        })
    }

    /// The epoch after which the mean is that which is kept; None before the first one.
    pub fn epoch(&self) -> Option<usize> {
        self.epoch
    }

    /// Takes in the epoch that has ended, and gives the score of the mean where there is one: `measure` gets the network with
    /// the mean as its parameters. It has its own ones afterwards, also after an error. What `room` for as many holds is lost.
    pub fn see(
        &mut self,
        epoch: usize,
        network: &mut Network<E>,
        room: &mut [E],
        measure: Option<impl FnOnce(&Network<E>) -> Result<Score>>,
    ) -> Result<Option<Score>> {
        let share = (LATER + 1.0) / (LATER + epoch as f64);
        room.copy_from_slice(network.parameters());
        for own in learning(network) {
            for (value, mean) in room[own.clone()].iter_mut().zip(&mut self.mean[own]) {
                *mean += share * (value.to_f64() - *mean);
                *value = E::from_f64(*mean);
            }
        }
        let score = match measure {
            None => None,
            Some(measure) => {
                network.swap_parameters(room)?;
                let score = measure(network);
                network.swap_parameters(room)?;
                Some(score?)
            }
        };
        let loss = score.map_or(f64::INFINITY, |score| score.loss);
        if loss < self.least || self.least.is_infinite() {
            self.best.copy_from_slice(room);
            self.epoch = Some(epoch);
            self.least = self.least.min(loss);
        }
        Ok(score)
    }

    /// Gives the network the mean that is kept.
    pub fn finish(&self, network: &mut Network<E>) -> Result<()> {
        match self.epoch {
            Some(_) => network.set_parameters(&self.best),
            None => Ok(()),
        }
    }
}

/// The parameters of the layers that are not frozen: the others keep their bits.
fn learning<E: Element>(network: &Network<E>) -> impl Iterator<Item = Range<usize>> {
    let places = network.model().places.iter();
    let learning = places.filter(|place| place.trainable);
    learning.map(|place| place.parameters())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Error};

    #[test]
    fn the_network_has_its_own_parameters_after_an_error() {
        let mut network = Network::<f32>::new(2).unwrap();
        network.add_dense(3, Activation::Linear).unwrap();
        let mut average = Average::new(&network).unwrap();
        let mut room = [0.0; 9];
        let score = Score {
            loss: 1.0,
            accuracy: None,
        };
        let well = Some(|_: &Network<f32>| Ok(score));
        average.see(1, &mut network, &mut room, well).unwrap();
        network.set_parameters(&[4.0; 9]).unwrap();
        let fails = |network: &Network<f32>| {
            assert_ne!(network.parameters(), [4.0; 9]);
            Err(Error::Cancelled)
        };
        let error = average.see(2, &mut network, &mut room, Some(fails));
        assert!(matches!(error, Err(Error::Cancelled)));
        assert_eq!(network.parameters(), [4.0; 9]);
        assert_eq!(average.epoch(), Some(1));
    }
}
