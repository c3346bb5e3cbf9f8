//! The ready training loop, and what measures a network on a data set.
//!
//! [`fit`] does what one would write with [`Network::forward`], a loss of [`crate::loss`], [`Network::backward`] and
//! [`Network::update`]: epochs of shuffled mini-batches, with limits on the gradients, a validation set, early stopping, a
//! mean of the parameters over epochs, and a callback that watches, changes the learning rate or stops; [`fit_with`] has one
//! for each mini-batch, too. [`evaluate`] and [`predict`] run a network over a whole data set. Results do not depend on the
//! number of threads.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use elman::dataset::{Dataset, Targets};
//! use elman::init::Initializer;
//! use elman::loss::Loss;
//! use elman::optimizer::{Optimizer, Rule};
//! use elman::train::{FitOptions, evaluate, fit};
//! use elman::{Activation, Network};
//!
//! // Does a sequence rise or fall?
//! let x = vec![0.1_f32, 0.5, 0.9, 0.8, 0.4, 0.2, 0.7, 0.9, 0.3];
//! let targets = Targets::numbered_classes(vec![1, 0, 1, 0], 2)?;
//! let dataset = Dataset::new(1, x, &[3, 2, 2, 2], targets)?;
//!
//! let mut network = Network::new(1)?;
//! network.add_rnn(8, Activation::Tanh)?;
//! network.add_dense(2, Activation::Linear)?;
//! network.initialize(Initializer::GlorotUniform { gain: 1.0 }, 1)?;
//!
//! let loss = Loss::SoftmaxCrossEntropy { ignored: None };
//! let options = FitOptions { epochs: 200, batch_size: 2, ..FitOptions::new(loss) };
//! let mut optimizer = Optimizer::new(Rule::ADAM, 0.01)?;
//! fit(&mut network, &dataset, &mut optimizer, &options, |progress, _| {
//!     if progress.training.loss < 0.01 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//! })?;
//! assert_eq!(evaluate(&network, &dataset, loss, 4)?.score.accuracy, Some(1.0));
//! # Ok::<(), elman::Error>(())
//! ```

mod average;
mod callbacks;
mod early_stopping;
mod fit;
mod objective;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::buffer::{Buffer, try_reserve, try_vec};
use crate::dataset::{Dataset, MiniBatch};
use crate::layout::Order;
use crate::loss::Loss;
use crate::{Batch, Element, Error, Network, Output, Result, in_engine_mode, shape};

pub use callbacks::{BatchProgress, Callbacks};
pub use early_stopping::{EarlyStopping, Watch};
pub use fit::{Clip, FitOptions, Progress, fit, fit_with};
use objective::{Objective, Tally, expect_inputs};

/// How well a network does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The loss: the mean over all rows or elements that count, weighted where classes have weights.
    pub loss: f64,
    /// The part of the rows that count whose largest output is that of their class, whatever its weight; None where no
    /// row has a class.
    pub accuracy: Option<f64>,
}

/// What [`evaluate`] finds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Loss and accuracy.
    pub score: Score,
    /// `[output_size][output_size]`: how often a row of the class that the first index names was taken for the class that
    /// the second one names, in the order of the network's outputs. Empty where the targets are no classes.
    pub confusion: Vec<usize>,
}

/// Measures `network` on `dataset`, without dropout, `batch_size` sequences at a time.
///
/// Where both have class names, classes are compared by these: the data set may have them in another order and need not
/// have all of them. Otherwise the labels are the numbers of the network's outputs.
///
/// # Errors
/// [`Error::Mismatch`] where data set, network and loss do not fit each other and for a class of a name that the network does
/// not know, [`Error::OutOfRange`] where a target does not fit the loss, those of [`Network::predict`].
pub fn evaluate<E: Element>(
    network: &Network<E>,
    dataset: &Dataset<E>,
    loss: Loss,
    batch_size: usize,
) -> Result<Evaluation> {
    evaluate_weighted(network, dataset, loss, None, batch_size)
}

/// As [`evaluate`], with a weight in the loss for each of the network's classes:
/// [`softmax_cross_entropy_weighted`](crate::loss::softmax_cross_entropy_weighted) over the whole data set. Accuracy and
/// confusion are those of all rows that have a class.
///
/// # Errors
/// As there, [`Error::Length`] for another number of weights than the network has outputs,
/// [`Error::OutOfRange`] for a weight that is negative or not finite.
pub fn evaluate_weighted<E: Element>(
    network: &Network<E>,
    dataset: &Dataset<E>,
    loss: Loss,
    class_weights: Option<&[E]>,
    batch_size: usize,
) -> Result<Evaluation> {
    const WHAT: &str = "a confusion matrix";
    let objective = Objective::new(network, network.class_names(), dataset, loss, class_weights)?;
    let classes = match dataset.class_count() {
        0 => 0,
        _ => network.output_size(),
    };
    let cells = shape::product(WHAT, &[classes, classes])?;
    let mut confusion = try_vec(WHAT, cells)?;
    confusion.resize(cells, 0);
    let count = |label, predicted| confusion[label * classes + predicted] += 1;
    let score = in_engine_mode(|| Run::default().score(network, &objective, batch_size, count))?;
    Ok(Evaluation { score, confusion })
}

/// The outputs for all sequences of `dataset` in order, without dropout: `[sequences][output_size]` or, with
/// [`Output::All`], `[total_steps][output_size]`, the steps of one sequence after those of the other without padding.
/// `batch_size` sequences are run at a time. The outputs are in the network's order, whatever that of the data set's
/// classes is: [`Network::class_names`] says what each stands for.
///
/// # Errors
/// [`Error::Mismatch`] where the data set has another number of features than the network, those
/// of [`Network::predict`].
pub fn predict<E: Element>(
    network: &Network<E>,
    dataset: &Dataset<E>,
    batch_size: usize,
) -> Result<Vec<E>> {
    const WHAT: &str = "the outputs";
    expect_inputs(network, dataset)?;
    let rows = match network.output() {
        Output::Last => dataset.len(),
        Output::All => dataset.total_steps(),
    };
    let width = network.output_size();
    let mut outputs = try_vec(WHAT, shape::product(WHAT, &[rows, width])?)?;
    let gather = |indices: &[usize], batch: &mut _| dataset.gather(indices, batch);
    Run::default().each(network, dataset.len(), gather, batch_size, |batch, y| {
        match network.output() {
            Output::Last => outputs.extend_from_slice(y),
            Output::All => {
                let sequences = y.chunks_exact(batch.steps * width);
                for (y, length) in sequences.zip(&batch.lengths) {
                    outputs.extend_from_slice(&y[..length * width]);
                }
            }
        }
        Ok(())
    })?;
    Ok(outputs)
}

/// The buffers of a run over a data set.
#[derive(Debug, Default)]
struct Run<'a, E: Element> {
    /// Ends the run where it is true.
    cancel: Option<&'a AtomicBool>,
    indices: Vec<usize>,
    batch: MiniBatch<E>,
    y: Buffer<E>,
}

impl<E: Element> Run<'_, E> {
    /// Calls `take` with each mini-batch of the `sequences` sequences that `gather` knows, in order, and the outputs of the
    /// network.
    fn each(
        &mut self,
        network: &Network<E>,
        sequences: usize,
        gather: impl Fn(&[usize], &mut MiniBatch<E>) -> Result<()>,
        batch_size: usize,
        mut take: impl FnMut(&MiniBatch<E>, &[E]) -> Result<()>,
    ) -> Result<()> {
        shape::expect_nonzero("batch_size", batch_size)?;
        let batch_size = batch_size.min(sequences);
        try_reserve("a mini-batch", &mut self.indices, batch_size)?;
        for start in (0..sequences).step_by(batch_size) {
            expect_not_cancelled(self.cancel)?;
            self.indices.clear();
            self.indices
                .extend(start..sequences.min(start + batch_size));
            gather(&self.indices, &mut self.batch)?;
            self.y
                .resize("the outputs", output_len(network, &self.batch)?)?;
            let y = Some(&mut self.y[..]);
            network.predict_in(ORDER, view(&self.batch), None, y, None)?;
            take(&self.batch, &self.y)?;
        }
        Ok(())
    }

    /// Measures the network, and calls `visit` with the class and the prediction of each row that has a class.
    fn score(
        &mut self,
        network: &Network<E>,
        objective: &Objective<'_, E>,
        batch_size: usize,
        mut visit: impl FnMut(usize, usize),
    ) -> Result<Score> {
        let mut tally = Tally::default();
        let gather = |indices: &[usize], batch: &mut _| objective.gather(indices, batch);
        self.each(network, objective.len(), gather, batch_size, |batch, y| {
            tally.add(objective.loss(batch, y, None)?);
            objective.each_class(batch, y, |label, predicted| {
                tally.add_class(label, predicted);
                visit(label, predicted);
            });
            Ok(())
        })?;
        Ok(tally.score())
    }
}

/// # Errors
/// [`Error::Cancelled`] where another thread has asked for it.
fn expect_not_cancelled(cancel: Option<&AtomicBool>) -> Result<()> {
    match cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
        true => Err(Error::Cancelled),
        false => Ok(()),
    }
}

/// That of mini-batches, whatever the network's own calls have.
const ORDER: Order = Order::BatchMajor;

/// The sequences of a mini-batch.
fn view<E: Element>(batch: &MiniBatch<E>) -> Batch<'_, E> {
    Batch {
        x: &batch.x,
        batch: batch.lengths.len(),
        steps: batch.steps,
        lengths: Some(&batch.lengths),
    }
}

/// Elements of the outputs for a mini-batch.
fn output_len<E: Element>(network: &Network<E>, batch: &MiniBatch<E>) -> Result<usize> {
    network.output_len(batch.lengths.len(), batch.steps)
}
