//! What the caller may do while the network is trained.

use std::ops::{ControlFlow, Range};

use super::Progress;
use crate::simd::mode::Mode;
use crate::{Element, Network};

/// What [`fit_with`](super::fit_with) calls, on the thread that has called it. A method that is left out does nothing and
/// goes on.
pub trait Callbacks<E: Element> {
    /// Is called before each update, when the gradients are those of the mini-batch (with truncation: of the part of it
    /// that is run), and before they are limited. It may change gradients, learning rate and weight; it says whether to go
    /// on. Where it says no, there is no update any more, and `fit` returns `Ok`.
    ///
    /// It is called for every mini-batch, also where nothing in it counts: processes that train together, each on its part
    /// of the data, can reduce their gradients here. Each of them needs as many mini-batches as the others (and, with
    /// truncation, as long ones), the same parameters to start with, and does the same with the reduced gradients, so that
    /// all have the same parameters after each update.
    fn batch(&mut self, batch: &mut BatchProgress<'_, E>) -> ControlFlow<()> {
        _ = batch;
        ControlFlow::Continue(())
    }

    /// Is called after each epoch with the progress, in which it may change the learning rate, and the network, which it
    /// may save; it says whether to go on.
    fn epoch(&mut self, progress: &mut Progress, network: &Network<E>) -> ControlFlow<()> {
        _ = (progress, network);
        ControlFlow::Continue(())
    }
}

/// A closure that is called after each epoch.
pub(super) struct EachEpoch<F>(pub F);

impl<E: Element, F> Callbacks<E> for EachEpoch<F>
where
    F: FnMut(&mut Progress, &Network<E>) -> ControlFlow<()>,
{
    fn epoch(&mut self, progress: &mut Progress, network: &Network<E>) -> ControlFlow<()> {
        self.0(progress, network)
    }
}

/// Callbacks that run in the floating-point mode of the caller.
pub(super) struct InCallersMode<'a, C> {
    pub callbacks: &'a mut C,
    pub mode: &'a mut Mode,
}

impl<E: Element, C: Callbacks<E>> Callbacks<E> for InCallersMode<'_, C> {
    fn batch(&mut self, batch: &mut BatchProgress<'_, E>) -> ControlFlow<()> {
        let Self { callbacks, mode } = self;
        mode.callers(|| callbacks.batch(batch))
    }

    fn epoch(&mut self, progress: &mut Progress, network: &Network<E>) -> ControlFlow<()> {
        let Self { callbacks, mode } = self;
        mode.callers(|| callbacks.epoch(progress, network))
    }
}

/// How far [`fit_with`](super::fit_with) has come within an epoch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchProgress<'a, E: Element> {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The epochs that there will be.
    pub epochs: usize,
    /// The mini-batch, from 1.
    pub batch: usize,
    /// The mini-batches of the epoch.
    pub batches: usize,
    /// The sequences of which the gradients are.
    pub sequences: usize,
    /// The steps of these of which the gradients are: all of them or, with truncation, those of one part.
    pub steps: Range<usize>,
    /// The mean loss before the update; 0 where nothing counts.
    pub loss: f64,
    /// What the loss and the gradients are a mean over: the number of rows or elements that count, weighted where classes
    /// have weights; 0 where nothing counts. There is an update where it is above 0 after the callback. A callback that
    /// reduces over processes adds the gradients times their weights, divides them by the sum of the weights, and sets that.
    pub weight: f64,
    /// The learning rate of this update and of those that follow. The callback may change it.
    pub learning_rate: f64,
    /// The gradients, in the order of the parameters; 0 where nothing counts. The callback may change them.
    pub gradients: &'a mut [E],
}
