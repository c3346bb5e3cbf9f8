//! The training loop.

use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};

use super::pairing::{Pairing, Tally};
use super::{Run, Score, output_len, view};
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
    /// backward pass and an update. The states are carried on, the gradients are not. Needs [`Output::All`].
    pub truncate: Option<usize>,
    /// What to measure the network on after each epoch.
    pub validation: Option<&'a Dataset<E>>,
    /// `[output_size]`: what the rows of each of the network's classes count for in the loss, as in
    /// [`softmax_cross_entropy_weighted`](crate::loss::softmax_cross_entropy_weighted).
    pub class_weights: Option<&'a [E]>,
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
        }
    }
}

impl<E: Element> FitOptions<'_, E> {
    fn check(&self, network: &Network<E>) -> Result<()> {
        shape::expect_nonzero("epochs", self.epochs)?;
        shape::expect_nonzero("batch_size", self.batch_size)?;
        self.clip.apply::<E>(&mut [])?;
        let Some(steps) = self.truncate else {
            return Ok(());
        };
        shape::expect_nonzero("truncate", steps)?;
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
    /// The epoch that has ended, from 1.
    pub epoch: usize,
    /// The epochs that there will be.
    pub epochs: usize,
    /// The score over the epoch: of each mini-batch before its update, and with dropout.
    pub training: Score,
    /// The score on the validation set after the epoch.
    pub validation: Option<Score>,
    /// The learning rate. The callback may change it for the epochs that follow.
    pub learning_rate: f64,
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
/// kept. A mini-batch in which nothing counts updates nothing. After the first epoch nothing is allocated.
///
/// # Errors
/// Before anything changes: [`Error::Mismatch`] where data set, validation set, network, loss and options do not fit each
/// other, for a class of a name that the network does not know and for names that it can't take over (one name twice, a byte
/// 0), [`Error::OutOfRange`] for a limit that is not above 0, for class weights that are none and for a target that the loss
/// can't take, [`Error::Length`] for another number of class weights than the network has outputs, [`Error::ZeroSize`].
///
/// While it trains: [`Error::NotFinite`] where gradients have become infinite or NaN; the network then has the parameters
/// from before the update that would have used them, and the gradients to look at. [`Error::OutOfRange`] for a learning
/// rate from the callback that is none, [`Error::Mismatch`] for an optimizer of another network, [`Error::OutOfMemory`].
pub fn fit<E: Element>(
    network: &mut Network<E>,
    dataset: &Dataset<E>,
    optimizer: &mut Optimizer<E>,
    options: &FitOptions<'_, E>,
    mut callback: impl FnMut(&mut Progress, &Network<E>) -> ControlFlow<()>,
) -> Result<Progress> {
    with_mode(|mode| {
        train(network, dataset, optimizer, options, |progress, network| {
            mode.callers(|| callback(progress, network))
        })
    })
}

fn train<E: Element>(
    network: &mut Network<E>,
    dataset: &Dataset<E>,
    optimizer: &mut Optimizer<E>,
    options: &FitOptions<'_, E>,
    mut callback: impl FnMut(&mut Progress, &Network<E>) -> ControlFlow<()>,
) -> Result<Progress> {
    let first_names = match dataset.own_class_names() {
        Some(names) if network.class_names().is_empty() && names.len() == network.output_size() => {
            Some(ClassNames::new(names)?)
        }
        _ => None,
    };
    let pair = |dataset| {
        let names = first_names.as_ref().unwrap_or(network.class_names());
        Pairing::new(network, names, dataset, options.loss, options.class_weights)
    };
    let pairing = pair(dataset)?;
    let validation = options.validation.map(pair).transpose()?;
    options.check(network)?;
    let batch_size = options.batch_size.min(dataset.len());
    let mut order = try_vec("the order of the sequences", dataset.len())?;
    order.extend(0..dataset.len());
    let (mut batch, mut chunk) = (MiniBatch::default(), MiniBatch::default());
    let mut trainer = Trainer::new(network, optimizer, options.clip, pairing);

    // The largest mini-batch that there can be makes room for all others.
    longest_first(dataset, &mut order);
    trainer.pairing.gather(&order[..batch_size], &mut batch)?;
    match options.truncate {
        None => trainer.reserve(&batch)?,
        Some(steps) => {
            cut(&batch, 0, steps, &mut chunk)?;
            trainer.reserve(&chunk)?;
        }
    }

    if let Some(names) = first_names {
        trainer.network.adopt_class_names(names)?;
    }
    trainer.network.clear_gradients();
    let mut rng = options.shuffle.map(Rng::new);
    let mut run = Run::default();
    for epoch in 1.. {
        // What the last epoch has done to the order must not count: this one's depends on the seed alone.
        order.sort_unstable();
        if let Some(rng) = &mut rng {
            shuffle(&mut order, rng);
        }
        for indices in order.chunks_mut(batch_size) {
            match options.truncate {
                None => {
                    trainer.pairing.gather(indices, &mut batch)?;
                    trainer.step(&batch, false)?;
                }
                Some(steps) => {
                    longest_first(dataset, indices);
                    trainer.pairing.gather(indices, &mut batch)?;
                    trainer.start(batch_size)?;
                    for start in (0..batch.steps).step_by(steps) {
                        cut(&batch, start, steps, &mut chunk)?;
                        trainer.step(&chunk, true)?;
                    }
                }
            }
        }
        let mut progress = Progress {
            epoch,
            epochs: options.epochs,
            training: std::mem::take(&mut trainer.tally).score(),
            validation: match &validation {
                None => None,
                Some(pairing) => {
                    Some(run.score(trainer.network, pairing, options.batch_size, |_, _| ())?)
                }
            },
            learning_rate: trainer.optimizer.learning_rate(),
        };
        let next = callback(&mut progress, trainer.network);
        trainer
            .optimizer
            .set_learning_rate(progress.learning_rate)?;
        if next.is_break() || epoch == options.epochs {
            return Ok(progress);
        }
    }
    unreachable!("there are as many epochs as the options say")
}

/// What trains, and its buffers.
struct Trainer<'a, E: Element> {
    network: &'a mut Network<E>,
    optimizer: &'a mut Optimizer<E>,
    clip: Clip,
    pairing: Pairing<'a, E>,
    tally: Tally,
    y: Buffer<E>,
    dy: Buffer<E>,
    state_in: Buffer<E>,
    state_out: Buffer<E>,
}

impl<'a, E: Element> Trainer<'a, E> {
    fn new(
        network: &'a mut Network<E>,
        optimizer: &'a mut Optimizer<E>,
        clip: Clip,
        pairing: Pairing<'a, E>,
    ) -> Self {
        Self {
            network,
            optimizer,
            clip,
            pairing,
            tally: Tally::default(),
            y: Buffer::new(),
            dy: Buffer::new(),
            state_in: Buffer::new(),
            state_out: Buffer::new(),
        }
    }

    /// Makes room for mini-batches that are no larger.
    fn reserve(&mut self, batch: &MiniBatch<E>) -> Result<()> {
        self.network.reserve(&view(batch))?;
        self.resize(batch)
    }

    fn resize(&mut self, batch: &MiniBatch<E>) -> Result<()> {
        let len = output_len(self.network, batch)?;
        self.y.resize("the outputs", len)?;
        self.dy.resize("the gradients of the outputs", len)
    }

    /// Sets the states of `batch` sequences to 0.
    fn start(&mut self, batch: usize) -> Result<()> {
        let len = shape::product("the state", &[batch, self.network.state_size()])?;
        for state in [&mut self.state_in, &mut self.state_out] {
            state.resize("the state", len)?;
        }
        self.state_in.fill(E::ZERO);
        Ok(())
    }

    /// Trains on a mini-batch once. With `carry` it goes on from the states of the last one, of which it may have lost
    /// sequences at the end.
    fn step(&mut self, batch: &MiniBatch<E>, carry: bool) -> Result<()> {
        self.resize(batch)?;
        let states = batch.lengths.len() * self.network.state_size();
        let (state_in, state_out) = if carry {
            (&self.state_in[..states], &mut self.state_out[..states])
        } else {
            Default::default()
        };
        self.network.forward(
            view(batch),
            carry.then_some(state_in),
            Some(&mut self.y),
            carry.then_some(state_out),
        )?;
        std::mem::swap(&mut self.state_in, &mut self.state_out);
        let total = self.pairing.loss(batch, &self.y, Some(&mut self.dy))?;
        self.tally.add(total);
        let tally = &mut self.tally;
        self.pairing.each_class(batch, &self.y, |label, predicted| {
            tally.add_class(label, predicted);
        });
        if total.is_empty() {
            return Ok(());
        }
        self.network.backward(Some(&self.dy), None, None, None)?;
        self.clip.apply(self.network.gradients_mut())?;
        self.network.update(self.optimizer)
    }
}

impl<E: Element> Drop for Trainer<'_, E> {
    /// Nobody outside knows the shape of the last mini-batch: a backward pass must not go through it again.
    fn drop(&mut self) {
        self.network.forget_pass();
    }
}

/// Sorts the sequences by length, and those that are equally long by index.
fn longest_first<E: Element>(dataset: &Dataset<E>, indices: &mut [usize]) {
    indices.sort_unstable_by_key(|&index| (Reverse(dataset.length(index)), index));
}

/// `steps` steps, or as many as there are, of `batch` from `start` on: of the sequences that are that long, which come
/// first.
fn cut<E: Element>(
    batch: &MiniBatch<E>,
    start: usize,
    steps: usize,
    chunk: &mut MiniBatch<E>,
) -> Result<()> {
    let window = start..batch.steps.min(start.saturating_add(steps));
    let sequences = batch.lengths.partition_point(|&length| length > start);
    let rows = batch.lengths.len() * batch.steps;
    chunk.steps = window.len();
    let lengths = batch.lengths[..sequences].iter();
    let lengths = lengths.map(|&length| length.min(window.end) - start);
    try_reserve("a mini-batch", &mut chunk.lengths, sequences)?;
    chunk.lengths.clear();
    chunk.lengths.extend(lengths);
    copy_steps(
        &batch.x,
        rows,
        batch.steps,
        sequences,
        &window,
        &mut chunk.x,
    )?;
    copy_steps(
        &batch.labels,
        rows,
        batch.steps,
        sequences,
        &window,
        &mut chunk.labels,
    )?;
    copy_steps(
        &batch.values,
        rows,
        batch.steps,
        sequences,
        &window,
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
