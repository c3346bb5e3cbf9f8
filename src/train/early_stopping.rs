//! Training ends when the network gets no better.

use std::ops::ControlFlow;

use super::Score;
use crate::buffer::Buffer;
use crate::loss::Loss;
use crate::{Element, Error, Network, Result, shape};

/// What is to get better from epoch to epoch: on the validation set or, without one, over the epoch's training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watch {
    /// The loss, which is to fall.
    #[default]
    Loss,
    /// The accuracy, which is to rise; for classes.
    Accuracy,
}

/// When [`fit`](super::fit) ends before its last epoch. Whatever ends it, unless that is an error, the network then gets the
/// parameters from after the best epoch of the call back, or the mean of [`average`](super::FitOptions::average); the optimizer
/// keeps its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Epochs in a row that are no better than the best one before them, after which training ends; at least 1.
    pub patience: usize,
    /// By how much an epoch must be better to count as such: more than this, which is at least 0.
    pub min_delta: f64,
    /// What is to get better.
    pub watch: Watch,
}

impl EarlyStopping {
    /// After `patience` epochs in which the loss has not fallen at all.
    pub fn new(patience: usize) -> Self {
        Self {
            patience,
            min_delta: 0.0,
            watch: Watch::Loss,
        }
    }

    pub(super) fn check(&self, loss: Loss) -> Result<()> {
        shape::expect_nonzero("patience", self.patience)?;
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            return Err(Error::OutOfRange {
                name: "min_delta",
                value: self.min_delta,
                expected: "at least 0 and finite",
            });
        }
        let has_classes = matches!(loss, Loss::SoftmaxCrossEntropy { .. });
        if self.watch == Watch::Accuracy && !has_classes {
            return Err(Error::Mismatch {
                name: "watch",
                actual: "the accuracy".into(),
                expected: format!("the loss: {} is not for classes", loss.name()),
            });
        }
        Ok(())
    }
}

/// The best epoch of a call.
pub(super) struct Best<E: Element> {
    stopping: EarlyStopping,
    epoch: Option<usize>,
    /// Its loss, or its accuracy with the sign turned: the less the better.
    value: f64,
    parameters: Buffer<E>,
    /// Epochs since.
    waited: usize,
}

impl<E: Element> Best<E> {
    pub fn new(stopping: EarlyStopping, network: &Network<E>) -> Result<Self> {
        let count = network.parameter_count();
        Ok(Self {
            stopping,
            epoch: None,
            value: f64::INFINITY,
            parameters: Buffer::zeroed("the best parameters", count)?,
            waited: 0,
        })
    }

    /// The epoch; None where none has had a score yet.
    pub fn epoch(&self) -> Option<usize> {
        self.epoch
    }

    /// Takes in the epoch that has ended.
    pub fn see(&mut self, epoch: usize, score: Score, network: &Network<E>) -> ControlFlow<()> {
        let value = match self.stopping.watch {
            Watch::Loss => score.loss,
            Watch::Accuracy => -score.accuracy.unwrap_or(f64::NAN),
        };
        if value < self.value - self.stopping.min_delta {
            self.epoch = Some(epoch);
            self.value = value;
            self.parameters.copy_from_slice(network.parameters());
            self.waited = 0;
            return ControlFlow::Continue(());
        }
        self.waited += 1;
        match self.waited < self.stopping.patience {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Gives the network its parameters.
    pub fn restore(&self, network: &mut Network<E>) -> Result<()> {
        match self.epoch {
            Some(_) => network.set_parameters(&self.parameters),
            None => Ok(()),
        }
    }
}
