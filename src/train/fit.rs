//! The training loop.

use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::AtomicBool;

use super::average::Average;
use super::callbacks::{BatchProgress, Callbacks, EachEpoch, InCallersMode};
use super::early_stopping::{Best, EarlyStopping};
use super::objective::{Objective, Tally};
use super::{ORDER, Run, Score, expect_not_cancelled, output_len, view};
use crate::buffer::{Buffer, try_reserve, try_vec};
use crate::class_names::ClassNames;
use crate::dataset::{Dataset, MiniBatch};
use crate::init::{Rng, shuffle};
use crate::loss::Loss;
use crate::optimizer::{Optimizer, clip_by_norm, clip_by_value};
use crate::simd::mode::with_mode;
use crate::{Element, Error, Network, Output, Result, shape};

/// A limit on the gradients of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Clip {
    /// None.
    #[default]
    None,
    /// [`clip_by_norm`] with this norm.
    Norm(f64),
    /// [`clip_by_value`] with this limit.
    Value(f64),
}

impl Clip {
    /// Applies it.
    ///
    /// # Errors
    /// [`Error::NotFinite`] where the norm of the gradients is not finite, whatever the limit; they are then as they
    /// were. [`Error::OutOfRange`] for a limit that is not above 0.
    fn apply<E: Element>(self, gradients: &mut [E]) -> Result<()> {
        let max_norm = match self {
            Self::Norm(max_norm) => max_norm,
            Self::None | Self::Value(_) => f64::INFINITY,
        };
        clip_by_norm(gradients, max_norm)?;
        match self {
            Self::Value(limit) => clip_by_value(gradients, limit),
            Self::None | Self::Norm(_) => Ok(()),
        }
    }
}

/// How [`fit`] trains.
#[derive(Clone, Copy, Debug)]
pub struct FitOptions<'a, E: Element = f32> {
    /// What is to become small.
    pub loss: Loss,
    /// How often every sequence is seen, at least 1.
    pub epochs: usize,
    /// Sequences for one update, at least 1; the last mini-batch of an epoch may have fewer.
    pub batch_size: usize,
    /// The seed of the random order that the sequences have, another one in each epoch; None for that of the data set.
    pub shuffle: Option<u64>,
    /// The limit on the gradients.
    pub clip: Clip,
    /// For truncated backpropagation through time: the mini-batch is run this many steps at a time, each time with a
    /// backward pass and an update. The states are carried on, the gradients are not. Needs [`Output::All`], and a network
    /// without a layer that looks ahead.
    pub truncate: Option<usize>,
    /// What to measure the network on after each epoch.
    pub validation: Option<&'a Dataset<E>>,
    /// `[output_size]`: what the rows of each of the network's classes count for in the loss, as in
    /// [`softmax_cross_entropy_weighted`](crate::loss::softmax_cross_entropy_weighted).
    pub class_weights: Option<&'a [E]>,
    /// When to end before the last epoch.
    pub early_stopping: Option<EarlyStopping>,
    /// Another thread ends the training by making this true: it is looked at before each mini-batch (with truncation, each
    /// part of one).
    pub cancel: Option<&'a AtomicBool>,
    /// Whether the network gets a mean of its parameters over the epochs of the call, in which later ones count for more: epoch
    /// t for t (t + 1) ... (t + 7), so that about the last ninth of them makes it. Whatever ends the call, unless that is an
    /// error, the network then has the mean after the epoch at which its loss on the validation set was least or, without such
    /// a set, after the last epoch that has ended; also with early stopping, which itself looks at the network as it is
    /// trained. A later call trains from there, and begins a new mean. It takes another pass over the validation set after each
    /// epoch, and for each parameter the memory of an `f64` and of an `E`.
    pub average: bool,
}

impl<E: Element> FitOptions<'_, E> {
    /// 30 epochs of mini-batches of 16, shuffled with the seed 0; nothing else.
    pub fn new(loss: Loss) -> Self {
        Self {
            loss,
            epochs: 30,
            batch_size: 16,
            shuffle: Some(0),
            clip: Clip::None,
            truncate: None,
            validation: None,
            class_weights: None,
            early_stopping: None,
            cancel: None,
            average: false,
        }
    }
}

impl<E: Element> FitOptions<'_, E> {
    fn check(&self, network: &Network<E>) -> Result<()> {
        shape::expect_nonzero("epochs", self.epochs)?;
        shape::expect_nonzero("batch_size", self.batch_size)?;
        self.clip.apply::<E>(&mut [])?;
        if let Some(stopping) = &self.early_stopping {
            stopping.check(self.loss)?;
        }
        let Some(steps) = self.truncate else {
            return Ok(());
        };
        shape::expect_nonzero("truncate", steps)?;
        if network.model().looks_ahead() {
            return Err(Error::Mismatch {
                name: "the network",
                actual: "one that looks ahead: a layer goes from the last step to the first".into(),
                expected: "one whose outputs follow from the steps so far, to train on some of them at a time"
                    .into(),
            });
        }
        if network.output() == Output::All {
            return Ok(());
        }
        Err(Error::Mismatch {
            name: "the output of the network",
            actual: "that of the last step".into(),
            expected: "those of all steps, to train on some steps at a time".into(),
        })
    }
}

/// How far [`fit`] has come.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The epoch of this call that has ended, from 1. [`Network::epochs`] counts those of all calls.
    pub epoch: usize,
    /// The epochs that there will be.
    pub epochs: usize,
    /// Whether the epoch has come to its end: it has not where [`Callbacks::batch`] has stopped in it, or there would have
    /// been none.
    pub complete: bool,
    /// The score over the epoch: of each mini-batch before its update, and with dropout.
    pub training: Score,
    /// The score on the validation set after the epoch.
    pub validation: Option<Score>,
    /// The learning rate. The callback may change it for the epochs that follow.
    pub learning_rate: f64,
    /// The best epoch of this call so far; None without early stopping.
    pub best_epoch: Option<usize>,
    /// The score on the validation set of the mean of the parameters after the epoch; None without
    /// [`average`](FitOptions::average).
    pub average: Option<Score>,
    /// The epoch of this call after which the mean was the best one so far or, without a validation set, this one: the network
    /// gets that mean when the call ends. None without [`average`](FitOptions::average).
    pub average_epoch: Option<usize>,
}

/// Trains `network` on `dataset`.
///
/// After each epoch `callback` gets the progress, in which it may change the learning rate, and the network, which it may
/// save; it says whether to go on. The progress of the last epoch is returned.
///
/// Where the classes of the data set have names, the first call names those of a network that has none: the
/// [outputs](Network::class_names) then stand for the data set's classes in its order. Later data sets, and the validation
/// set, may have them in another order and need not have all of them. Data sets whose classes are numbers go by the numbers
/// of the network's outputs.
///
/// Gradients that the network has gathered before are dropped, and so is what its last [`forward`](Network::forward) has
/// kept. A mini-batch in which nothing counts updates nothing. After the first epoch nothing is allocated. Besides what
/// training takes, the call holds a second copy of the parameters, with early stopping a third, and with
/// [`average`](FitOptions::average) what that says.
///
/// Training may be cut into several calls, and saved in between with its [optimizer](Optimizer::save): the network counts
/// its [epochs](Network::epochs) and passes, from which the order of the sequences and dropout follow, so that two calls of
/// one epoch give the bits of one call of two. An epoch that was not ended, because it was cancelled or failed, does not
/// count: the next call begins it anew. Early stopping and the mean of the parameters know the epochs of their own call alone.
///
/// # Errors
/// Before anything changes: [`Error::Mismatch`] where data set, validation set, network, loss and options do not fit each
/// other, for a class of a name that the network does not know and for names that it can't take over (one name twice, a byte
/// 0), [`Error::OutOfRange`] for a setting, class weights or a target outside its range, [`Error::Length`] for another number
/// of class weights than the network has outputs, [`Error::ZeroSize`].
///
/// While it trains: [`Error::NotFinite`] where training explodes; the network then has the last parameters that were all
/// finite. Either gradients have become infinite or NaN: they are left to look at. Or an update would have made a parameter
/// so: the optimizer has taken that step and should be [reset](Optimizer::reset). [`Error::Cancelled`], with the parameters
/// of the last update. [`Error::OutOfRange`] for a learning rate from the callback that is none, [`Error::Mismatch`] for an
/// optimizer of another network, [`Error::OutOfMemory`].
pub fn fit<E: Element>(
    network: &mut Network<E>,
    dataset: &Dataset<E>,
    optimizer: &mut Optimizer<E>,
    options: &FitOptions<'_, E>,
    callback: impl FnMut(&mut Progress, &Network<E>) -> ControlFlow<()>,
) -> Result<Progress> {
    let mut callbacks = EachEpoch(callback);
    fit_with(network, dataset, optimizer, options, &mut callbacks)
}

/// As [`fit`], with a callback before each update, too.
///
/// # Errors
/// As [`fit`].
pub fn fit_with<E: Element>(
    network: &mut Network<E>,
    dataset: &Dataset<E>,
    optimizer: &mut Optimizer<E>,
    options: &FitOptions<'_, E>,
    callbacks: &mut impl Callbacks<E>,
) -> Result<Progress> {
    with_mode(|mode| {
        let mut callbacks = InCallersMode { callbacks, mode };
        train(network, dataset, optimizer, options, &mut callbacks)
    })
}

fn train<E: Element>(
    network: &mut Network<E>,
    dataset: &Dataset<E>,
    optimizer: &mut Optimizer<E>,
    options: &FitOptions<'_, E>,
    callbacks: &mut impl Callbacks<E>,
) -> Result<Progress> {
    let first_names = match dataset.own_class_names() {
        Some(names) if network.class_names().is_empty() && names.len() == network.output_size() => {
            Some(ClassNames::new(names)?)
        }
        _ => None,
    };
    let pair = |dataset| {
        let names = first_names.as_ref().unwrap_or(network.class_names());
        Objective::new(network, names, dataset, options.loss, options.class_weights)
    };
    let objective = pair(dataset)?;
    let validation = options.validation.map(pair).transpose()?;
    options.check(network)?;
    let mut best = match options.early_stopping {
        None => None,
        Some(stopping) => Some(Best::new(stopping, network)?),
    };
    let mut average = match options.average {
        false => None,
        true => Some(Average::new(network)?),
    };
    let mut order = try_vec("the order of the sequences", dataset.len())?;
    order.extend(0..dataset.len());
    let mut trainer = Trainer::new(network, dataset, optimizer, options, objective)?;
    trainer.reserve(&mut order)?;

    if let Some(names) = first_names {
        trainer.network.adopt_class_names(names)?;
    }
    trainer.network.clear_gradients();
    let mut run = Run {
        cancel: options.cancel,
        ..Run::default()
    };
    let mut epoch = 0;
    let progress = loop {
        epoch += 1;
        // What earlier epochs have done to the order must not count: another call may go on after any of them.
        order.sort_unstable();
        if let Some(seed) = options.shuffle {
            shuffle(&mut order, &mut Rng::stream(seed, trainer.network.epochs()));
        }
        let complete = trainer.epoch(epoch, &mut order, callbacks)?.is_continue();
        let mut progress = Progress {
            epoch,
            epochs: options.epochs,
            complete,
            training: std::mem::take(&mut trainer.tally).score(),
            validation: None,
            learning_rate: trainer.optimizer.learning_rate(),
            best_epoch: best.as_ref().and_then(Best::epoch),
            average: None,
            average_epoch: average.as_ref().and_then(Average::epoch),
        };
        if !complete {
            break progress;
        }
        trainer.network.end_epoch();
        let mut measure = validation.as_ref().map(|objective| {
            |network: &Network<E>| run.score(network, objective, options.batch_size, |_, _| ())
        });
        if let Some(measure) = &mut measure {
            progress.validation = Some(measure(trainer.network)?);
        }
        let mut is_last = epoch == options.epochs;
        if let Some(best) = &mut best {
            let score = progress.validation.unwrap_or(progress.training);
            is_last |= best.see(epoch, score, trainer.network).is_break();
            progress.best_epoch = best.epoch();
        }
        if let Some(average) = &mut average {
            // Between updates nobody needs the parameters before the last one.
            let room = &mut trainer.previous;
            progress.average = average.see(epoch, trainer.network, room, measure)?;
            progress.average_epoch = average.epoch();
        }
        is_last |= callbacks.epoch(&mut progress, trainer.network).is_break();
        trainer
            .optimizer
            .set_learning_rate(progress.learning_rate)?;
        if is_last {
            break progress;
        }
    };
    if let Some(best) = best {
        best.restore(trainer.network)?;
    }
    if let Some(average) = average {
        average.finish(trainer.network)?;
    }
    Ok(progress)
}

/// What trains, and its buffers.
struct Trainer<'a, E: Element> {
    network: &'a mut Network<E>,
    dataset: &'a Dataset<E>,
    optimizer: &'a mut Optimizer<E>,
    options: &'a FitOptions<'a, E>,
    objective: Objective<'a, E>,
    tally: Tally,
    batch: MiniBatch<E>,
    /// With truncation, the part of the mini-batch that is run.
    chunk: MiniBatch<E>,
    y: Buffer<E>,
    dy: Buffer<E>,
    state_in: Buffer<E>,
    state_out: Buffer<E>,
    /// The parameters before the last update.
    previous: Buffer<E>,
}

impl<'a, E: Element> Trainer<'a, E> {
    fn new(
        network: &'a mut Network<E>,
        dataset: &'a Dataset<E>,
        optimizer: &'a mut Optimizer<E>,
        options: &'a FitOptions<'a, E>,
        objective: Objective<'a, E>,
    ) -> Result<Self> {
        let previous = Buffer::zeroed("the last parameters", network.parameter_count())?;
        Ok(Self {
            network,
            dataset,
            optimizer,
            options,
            objective,
            tally: Tally::default(),
            batch: MiniBatch::default(),
            chunk: MiniBatch::default(),
            y: Buffer::new(),
            dy: Buffer::new(),
            state_in: Buffer::new(),
            state_out: Buffer::new(),
            previous,
        })
    }

    fn batch_size(&self) -> usize {
        self.options.batch_size.min(self.dataset.len())
    }

    /// Makes room for the largest mini-batch that there can be of the sequences of `order`: all others need no more.
    fn reserve(&mut self, order: &mut [usize]) -> Result<()> {
        longest_first(self.dataset, order);
        let largest = &order[..self.batch_size()];
        self.objective.gather(largest, &mut self.batch)?;
        let largest = match self.options.truncate {
            None => &self.batch,
            Some(steps) => {
                cut(
                    &self.batch,
                    &(0..steps.min(self.batch.steps)),
                    &mut self.chunk,
                )?;
                &self.chunk
            }
        };
        self.network.reserve(&view(largest))?;
        resize(self.network, largest, [&mut self.y, &mut self.dy])
    }

    /// Makes room for the states of a mini-batch.
    fn reserve_states(&mut self) -> Result<()> {
        let sizes = [self.batch_size(), self.network.state_size()];
        let len = shape::product("the state", &sizes)?;
        for state in [&mut self.state_in, &mut self.state_out] {
            state.resize("the state", len)?;
        }
        Ok(())
    }

    /// Trains on each sequence of `order` once, unless the callback stops it.
    fn epoch(
        &mut self,
        epoch: usize,
        order: &mut [usize],
        callbacks: &mut impl Callbacks<E>,
    ) -> Result<ControlFlow<()>> {
        let batches = order.len().div_ceil(self.batch_size());
        for (index, indices) in order.chunks_mut(self.batch_size()).enumerate() {
            let place = [epoch, index + 1, batches];
            let Some(window) = self.options.truncate else {
                self.objective.gather(indices, &mut self.batch)?;
                let steps = 0..self.batch.steps;
                if self.step(place, steps, callbacks)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                continue;
            };
            longest_first(self.dataset, indices);
            self.objective.gather(indices, &mut self.batch)?;
            self.reserve_states()?;
            for start in (0..self.batch.steps).step_by(window) {
                let steps = start..self.batch.steps.min(start.saturating_add(window));
                cut(&self.batch, &steps, &mut self.chunk)?;
                if self.step(place, steps, callbacks)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Trains on a mini-batch or, with truncation, on a part of one: that goes on from the states of the last part, of which
    /// it may have lost sequences at the end; the first part starts from the network's own state. The place is the epoch, the
    /// mini-batch, and how many of these there are.
    fn step(
        &mut self,
        [epoch, index, batches]: [usize; 3],
        steps: Range<usize>,
        callbacks: &mut impl Callbacks<E>,
    ) -> Result<ControlFlow<()>> {
        expect_not_cancelled(self.options.cancel)?;
        let carry = self.options.truncate.is_some();
        let batch = if carry { &self.chunk } else { &self.batch };
        resize(self.network, batch, [&mut self.y, &mut self.dy])?;
        let states = batch.lengths.len() * self.network.state_size();
        let (state_in, state_out) = if carry {
            (&self.state_in[..states], &mut self.state_out[..states])
        } else {
            Default::default()
        };
        self.network.forward_in(
            ORDER,
            view(batch),
            (steps.start > 0).then_some(state_in),
            Some(&mut self.y),
            carry.then_some(state_out),
        )?;
        std::mem::swap(&mut self.state_in, &mut self.state_out);
        let total = self.objective.loss(batch, &self.y, Some(&mut self.dy))?;
        self.tally.add(total);
        let tally = &mut self.tally;
        self.objective
            .each_class(batch, &self.y, |label, predicted| {
                tally.add_class(label, predicted);
            });
        if !total.is_empty() {
            let dy = Some(&self.dy[..]);
            self.network.backward_in(ORDER, dy, None, None, None)?;
        }
        let mut progress = BatchProgress {
            epoch,
            epochs: self.options.epochs,
            batch: index,
            batches,
            sequences: batch.lengths.len(),
            steps,
            loss: total.mean(),
            weight: total.weight,
            learning_rate: self.optimizer.learning_rate(),
            gradients: self.network.gradients_mut(),
        };
        let next = callbacks.batch(&mut progress);
        let (weight, learning_rate) = (progress.weight, progress.learning_rate);
        self.optimizer.set_learning_rate(learning_rate)?;
        if next.is_continue() && weight > 0.0 {
            self.options.clip.apply(self.network.gradients_mut())?;
            self.update()?;
        } else {
            self.network.clear_gradients();
        }
        Ok(next)
    }

    /// Updates the parameters, unless one would not be finite any more.
    fn update(&mut self) -> Result<()> {
        self.previous.copy_from_slice(self.network.parameters());
        self.network.update(self.optimizer)?;
        if are_finite(self.network.parameters()) {
            return Ok(());
        }
        self.network.set_parameters(&self.previous)?;
        Err(Error::NotFinite {
            what: "a parameter after the update",
        })
    }
}

impl<E: Element> Drop for Trainer<'_, E> {
    /// Nobody outside knows the shape of the last mini-batch: a backward pass must not go through it again.
    fn drop(&mut self) {
        self.network.forget_pass();
    }
}

/// Makes the buffers as large as the outputs for a mini-batch.
fn resize<E: Element>(
    network: &Network<E>,
    batch: &MiniBatch<E>,
    [y, dy]: [&mut Buffer<E>; 2],
) -> Result<()> {
    let len = output_len(network, batch)?;
    y.resize("the outputs", len)?;
    dy.resize("the gradients of the outputs", len)
}

fn are_finite<E: Element>(values: &[E]) -> bool {
    // Not one by one, so that the compiler can use vectors.
    let is_finite = |values: &[E]| {
        values
            .iter()
            .fold(true, |all, value| all & value.is_finite())
    };
    values.chunks(1024).all(is_finite)
}

/// Sorts the sequences by length, and those that are equally long by index.
fn longest_first<E: Element>(dataset: &Dataset<E>, indices: &mut [usize]) {
    indices.sort_unstable_by_key(|&index| (Reverse(dataset.length(index)), index));
}

/// The steps of `window` of `batch`: of the sequences that are that long, which come first.
fn cut<E: Element>(
    batch: &MiniBatch<E>,
    window: &Range<usize>,
    chunk: &mut MiniBatch<E>,
) -> Result<()> {
    let start = window.start;
    let sequences = batch.lengths.partition_point(|&length| length > start);
    let rows = batch.lengths.len() * batch.steps;
    chunk.steps = window.len();
    let lengths = batch.lengths[..sequences].iter();
    let lengths = lengths.map(|&length| length.min(window.end) - start);
    try_reserve("a mini-batch", &mut chunk.lengths, sequences)?;
    chunk.lengths.clear();
    chunk.lengths.extend(lengths);
    copy_steps(&batch.x, rows, batch.steps, sequences, window, &mut chunk.x)?;
    copy_steps(
        &batch.labels,
        rows,
        batch.steps,
        sequences,
        window,
        &mut chunk.labels,
    )?;
    copy_steps(
        &batch.values,
        rows,
        batch.steps,
        sequences,
        window,
        &mut chunk.values,
    )
}

/// The steps of `window` of the first `sequences` sequences of `from` `[rows][any]`.
fn copy_steps<T: Copy>(
    from: &[T],
    rows: usize,
    steps: usize,
    sequences: usize,
    window: &Range<usize>,
    to: &mut Vec<T>,
) -> Result<()> {
    let width = from.len() / rows;
    try_reserve("a mini-batch", to, sequences * window.len() * width)?;
    to.clear();
    for first in (0..sequences).map(|sequence| sequence * steps) {
        to.extend_from_slice(&from[(first + window.start) * width..(first + window.end) * width]);
    }
    Ok(())
}
