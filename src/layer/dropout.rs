//! Inverted dropout: while training, an element is 0 with probability `rate` and else divided by `1 - rate`
//! (N. Srivastava and others, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014).

use super::{Backward, Forward, Layer};
use crate::Element;
use crate::kernels::dropout::{DropElements, Key};
use crate::regions::{Rows, RowsMut, Span};
use crate::simd::Tier;

/// See the module's documentation.
#[derive(Debug)]
pub struct Dropout {
    inputs: usize,
    rate: f64,
}

/// What decides which elements one pass of one layer drops: nothing is stored, the backward pass draws the same again.
#[derive(Clone, Copy, Debug, Default)]
pub struct DropoutKey {
    /// The network's seed.
    pub seed: u64,
    /// Number of the pass.
    pub pass: u64,
    /// Index of the layer.
    pub layer: u64,
}

impl Dropout {
    pub fn new(inputs: usize, rate: f64) -> Self {
        Self { inputs, rate }
    }

    /// `to = from`, or `to += from`, without the elements that are dropped, for every row of the window.
    fn apply<E: Element>(
        &self,
        tier: Tier,
        mask: DropoutKey,
        window: &mut RowsMut<'_, E>,
        from: usize,
        to: usize,
        accumulate: bool,
    ) {
        let key = Key::new(&[mask.seed, mask.pass, mask.layer]);
        let (from_stride, to_stride) = (window.stride(from), window.stride(to));
        let layout = window.layout();
        for step in window.steps() {
            let ([source], target) =
                window.split([(from, Span::Step(step))], (to, Span::Step(step)));
            DropElements {
                key,
                rate: self.rate,
                step,
                sequences: layout.sequences(),
                width: self.inputs,
                from: (source, from_stride),
                to: (target, to_stride),
                accumulate,
            }
            .run(tier);
        }
    }
}

impl<E: Element> Layer<E> for Dropout {
    fn outputs(&self) -> usize {
        self.inputs
    }

    fn trains_only(&self) -> bool {
        true
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let key = pass.training.unwrap_or_default();
        self.apply(pass.tier, key, activations, pass.input, pass.output, false);
    }

    fn backward(&self, pass: &Backward<'_, E>, _: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        pass.add_last(self.inputs, deltas);
        if pass.input_gradient {
            let (from, to) = (pass.output, pass.input);
            self.apply(pass.tier, pass.training, deltas, from, to, pass.accumulate);
        }
    }
}
