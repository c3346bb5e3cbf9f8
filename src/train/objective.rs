//! Outputs of a network and the targets that they are measured by.

use super::Score;
use crate::class_names::ClassNames;
use crate::dataset::{Dataset, MiniBatch, Targets};
use crate::loss::{self, Classes, Loss, NO_LABEL, Padding, Total};
use crate::{Element, Error, Network, Output, Result, Tier};

/// A network, a data set and a loss that fit each other.
#[derive(Debug)]
pub struct Objective<'a, E: Element> {
    dataset: &'a Dataset<E>,
    /// The network's class of each class of the data set; None where they have the same numbers.
    classes: Option<Vec<usize>>,
    /// `[width]`: what the rows of each of the network's classes count for.
    class_weights: Option<&'a [E]>,
    loss: Loss,
    /// The network's.
    tier: Tier,
    /// Whether every step has its target, or every sequence.
    per_step: bool,
    /// Outputs per step.
    width: usize,
}

/// What a target is, or what a network and a loss need it to be.
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

impl<'a, E: Element> Objective<'a, E> {
    /// `names` are those of the network's classes, if they have any.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where they do not fit each other, [`Error::Length`] for another number of weights than the
    /// network has outputs, [`Error::OutOfRange`] for a weight that is none and where a target is not in the range of the
    /// loss, [`Error::OutOfMemory`].
    pub fn new(
        network: &Network<E>,
        names: &ClassNames,
        dataset: &'a Dataset<E>,
        loss: Loss,
        class_weights: Option<&'a [E]>,
    ) -> Result<Self> {
        expect_inputs(network, dataset)?;
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
        let fits = |found: &Kind| {
            let size = match dataset.own_class_names() {
                _ if names.is_empty() || !wanted.classes => found.size == wanted.size,
                // They tell which of the network's classes these are.
                Some(_) => true,
                None => found.size <= wanted.size,
            };
            size && (found.classes, found.per_step) == (wanted.classes, wanted.per_step)
        };
        if !found.as_ref().is_some_and(fits) {
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
        let classes = match dataset.own_class_names() {
            Some(own) if !names.is_empty() => names.classes_of(own)?,
            _ => None,
        };
        if let Some(weights) = class_weights {
            if !wanted.classes {
                return Err(Error::Mismatch {
                    name: "the loss with class weights",
                    actual: loss.name().into(),
                    expected: "softmax cross-entropy, which has classes".into(),
                });
            }
            loss::expect_weights("class_weights", weights, wanted.size)?;
        }
        if let (Loss::BinaryCrossEntropy, Targets::Values { values, .. }) =
            (loss, dataset.targets())
        {
            loss::expect_probabilities(values)?;
        }
        Ok(Self {
            dataset,
            classes,
            class_weights,
            loss,
            tier: network.tier(),
            per_step: wanted.per_step,
            width: wanted.size,
        })
    }

    /// Sequences of the data set.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// As [`Dataset::gather`], with the labels that the network has for the classes.
    pub fn gather(&self, indices: &[usize], batch: &mut MiniBatch<E>) -> Result<()> {
        self.dataset.gather(indices, batch)?;
        if let Some(classes) = &self.classes {
            for label in &mut batch.labels {
                if *label != NO_LABEL {
                    *label = classes[*label];
                }
            }
        }
        Ok(())
    }

    /// The loss of the outputs `y`, and its gradient.
    pub fn loss(&self, batch: &MiniBatch<E>, y: &[E], dy: Option<&mut [E]>) -> Result<Total> {
        let padding = self.padding(batch);
        match self.loss {
            Loss::SoftmaxCrossEntropy { ignored } => {
                let (tier, labels) = (self.tier, &batch.labels);
                loss::cross_entropy_total(tier, y, self.classes(ignored), labels, padding, dy)
            }
            Loss::MeanSquaredError => loss::squared_error_total(y, &batch.values, padding, dy),
            Loss::BinaryCrossEntropy => {
                loss::binary_cross_entropy_total(self.tier, y, &batch.values, padding, dy)
            }
        }
    }

    /// Calls `visit` with the label and the prediction of each row that counts; never where targets are no classes.
    pub fn each_class(&self, batch: &MiniBatch<E>, y: &[E], mut visit: impl FnMut(usize, usize)) {
        let Loss::SoftmaxCrossEntropy { ignored } = self.loss else {
            return;
        };
        let classes = self.classes(ignored);
        let runs = loss::runs(batch.labels.len(), self.padding(batch));
        for row in runs.flat_map(|(run, _)| run) {
            let label = batch.labels[row];
            if classes.counts(label) {
                let outputs = &y[row * self.width..(row + 1) * self.width];
                visit(label, loss::largest(outputs));
            }
        }
    }

    fn classes(&self, ignored: Option<usize>) -> Classes<'a, E> {
        Classes {
            count: self.width,
            ignored,
            weights: self.class_weights,
        }
    }

    fn padding<'b>(&self, batch: &'b MiniBatch<E>) -> Option<Padding<'b>> {
        self.per_step.then_some(Padding {
            steps: batch.steps,
            lengths: &batch.lengths,
        })
    }
}

/// # Errors
/// [`Error::Mismatch`] where the steps of the data set are no inputs of the network, [`Error::Index`] where one has an index
/// that names no class.
pub fn expect_inputs<E: Element>(network: &Network<E>, dataset: &Dataset<E>) -> Result<()> {
    let size = network.input_size();
    if dataset.input_size() != size {
        return Err(Error::Mismatch {
            name: "the number of features of the data set",
            actual: dataset.input_size().to_string(),
            expected: format!("{size}, as many as the network takes"),
        });
    }
    if network.model().indices.is_empty() {
        return Ok(());
    }
    for sequence in 0..dataset.len() {
        for (step, row) in dataset.sequence(sequence).chunks(size).enumerate() {
            network.model().check_indices(row, sequence, step)?;
        }
    }
    Ok(())
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
        self.total.weight += total.weight;
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
