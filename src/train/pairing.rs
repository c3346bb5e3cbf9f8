//! Outputs of a network and the targets that they are measured by.

use super::Score;
use crate::dataset::{Dataset, MiniBatch, Targets};
use crate::loss::{self, Loss, Padding, Total};
use crate::{Element, Error, Network, Output, Result, Tier};

/// A network, a data set and a loss that fit each other.
#[derive(Clone, Copy, Debug)]
pub struct Pairing {
    loss: Loss,
    /// The network's.
    tier: Tier,
    /// Whether every step has its target, or every sequence.
    per_step: bool,
    /// Outputs per step.
    width: usize,
}

/// What a target is, or what a network and a loss need it to be.
#[derive(PartialEq)]
struct Kind {
    classes: bool,
    size: usize,
    per_step: bool,
}

impl Kind {
    fn describe(&self) -> String {
        let Self { size, .. } = self;
        let what = if self.classes {
            "a class of"
        } else {
            "numbers,"
        };
        let place = if self.per_step { "step" } else { "sequence" };
        format!("{what} {size} for each {place}")
    }
}

impl Pairing {
    /// # Errors
    /// [`Error::Mismatch`] where they do not fit each other, [`Error::OutOfRange`] where a target is not in the range of
    /// the loss.
    pub fn new<E: Element>(network: &Network<E>, dataset: &Dataset<E>, loss: Loss) -> Result<Self> {
        expect_input_size(network, dataset)?;
        let wanted = Kind {
            classes: matches!(loss, Loss::SoftmaxCrossEntropy { .. }),
            size: network.output_size(),
            per_step: network.output() == Output::All,
        };
        let found = match dataset.targets() {
            Targets::None => None,
            Targets::Classes { names, .. } => Some((true, names.len(), false)),
            Targets::StepClasses { names, .. } => Some((true, names.len(), true)),
            Targets::Values { size, per_step, .. } => Some((false, *size, *per_step)),
        };
        let found = found.map(|(classes, size, per_step)| Kind {
            classes,
            size,
            per_step,
        });
        if found.as_ref() != Some(&wanted) {
            return Err(Error::Mismatch {
                name: "the target of the data set",
                actual: found.map_or_else(|| "nothing".into(), |found| found.describe()),
                expected: format!(
                    "{}, which is what the network gives and {} takes",
                    wanted.describe(),
                    loss.name()
                ),
            });
        }
        if let (Loss::BinaryCrossEntropy, Targets::Values { values, .. }) =
            (loss, dataset.targets())
        {
            loss::expect_probabilities(values)?;
        }
        Ok(Self {
            loss,
            tier: network.tier(),
            per_step: wanted.per_step,
            width: wanted.size,
        })
    }

    /// The loss of the outputs `y`, and its gradient.
    pub fn loss<E: Element>(
        &self,
        batch: &MiniBatch<E>,
        y: &[E],
        dy: Option<&mut [E]>,
    ) -> Result<Total> {
        let padding = self.padding(batch);
        match self.loss {
            Loss::SoftmaxCrossEntropy { ignored } => {
                let (tier, labels) = (self.tier, &batch.labels);
                loss::cross_entropy_total(tier, y, self.width, labels, ignored, padding, dy)
            }
            Loss::MeanSquaredError => loss::squared_error_total(y, &batch.values, padding, dy),
            Loss::BinaryCrossEntropy => {
                loss::binary_cross_entropy_total(self.tier, y, &batch.values, padding, dy)
            }
        }
    }

    /// Calls `visit` with the label and the prediction of each row that counts; never where targets are no classes.
    pub fn each_class<E: Element>(
        &self,
        batch: &MiniBatch<E>,
        y: &[E],
        mut visit: impl FnMut(usize, usize),
    ) {
        let Loss::SoftmaxCrossEntropy { ignored } = self.loss else {
            return;
        };
        let runs = loss::runs(batch.labels.len(), self.padding(batch));
        for row in runs.flat_map(|(run, _)| run) {
            let label = batch.labels[row];
            if Some(label) != ignored {
                let outputs = &y[row * self.width..(row + 1) * self.width];
                visit(label, loss::largest(outputs));
            }
        }
    }

    fn padding<'a, E: Element>(&self, batch: &'a MiniBatch<E>) -> Option<Padding<'a>> {
        self.per_step.then_some(Padding {
            steps: batch.steps,
            lengths: &batch.lengths,
        })
    }
}

/// # Errors
/// [`Error::Mismatch`] where the steps of the data set are no inputs of the network.
pub fn expect_input_size<E: Element>(network: &Network<E>, dataset: &Dataset<E>) -> Result<()> {
    if dataset.input_size() == network.input_size() {
        return Ok(());
    }
    Err(Error::Mismatch {
        name: "the number of features of the data set",
        actual: dataset.input_size().to_string(),
        expected: format!("{}, as many as the network takes", network.input_size()),
    })
}

/// A score in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    total: Total,
    rows: usize,
    hits: usize,
}

impl Tally {
    /// Takes in the loss of a mini-batch.
    pub fn add(&mut self, total: Total) {
        self.total.sum += total.sum;
        self.total.count += total.count;
    }

    /// Takes in a row of a class.
    pub fn add_class(&mut self, label: usize, predicted: usize) {
        self.rows += 1;
        self.hits += usize::from(label == predicted);
    }

    /// The means.
    pub fn score(&self) -> Score {
        Score {
            loss: self.total.mean(),
            accuracy: (self.rows > 0).then(|| self.hits as f64 / self.rows as f64),
        }
    }
}
