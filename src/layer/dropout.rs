//! Inverted dropout: while training, an element is 0 with probability `rate` and else divided by `1 - rate`
//! (N. Srivastava and others, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014).

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use super::{Backward, Forward, Layer};
use crate::Element;
use crate::arena::{Block, Rows, RowsMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Dropout {
    inputs: usize,
    rate: f64,
}

/// What decides which elements one pass of one layer drops: nothing is stored, the backward pass draws the same again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mask {
    /// The network's seed.
    pub seed: u64,
    /// Number of the pass.
    pub pass: u64,
    /// Index of the layer.
    pub layer: u64,
}

impl Mask {
    /// The random numbers of one row of one step: its own stream, so that they depend on no other row.
    fn numbers(self, sequence: usize, step: usize) -> ChaCha8Rng {
        let mut key = [0; 32];
        let words = [self.seed, self.pass, self.layer, sequence as u64];
        for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut numbers = ChaCha8Rng::from_seed(key);
        numbers.set_stream(step as u64);
        numbers
    }
}

impl Dropout {
    pub fn new(inputs: usize, rate: f64) -> Self {
        Self { inputs, rate }
    }

    /// `to = from` times the mask, for every row of the window.
    fn apply<E: Element>(&self, mask: Mask, window: &mut RowsMut<'_, E>, from: usize, to: usize) {
        let (from_stride, to_stride) = (window.stride(from), window.stride(to));
        let layout = window.layout();
        let kept = E::from_f64(1.0 / (1.0 - self.rate));
        // An element is dropped where a number below 2^32 is below this one.
        let threshold = (self.rate * 2.0_f64.powi(32)) as u64;
        for step in window.steps() {
            let ([source], target) =
                window.split([(from, Block::Step(step))], (to, Block::Step(step)));
            let rows = source.chunks(from_stride).zip(target.chunks_mut(to_stride));
            for (&sequence, (source, target)) in layout.sequences().iter().zip(rows) {
                let mut numbers = mask.numbers(sequence, step);
                let pairs = source[..self.inputs].iter().zip(target);
                for (&source, target) in pairs {
                    let dropped = u64::from(numbers.next_u32()) < threshold;
                    *target = if dropped { E::ZERO } else { source * kept };
                }
            }
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
        self.apply(pass.mask, activations, pass.input, pass.output);
    }

    fn backward(&self, pass: &Backward<'_, E>, _: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        if pass.input_gradient {
            self.apply(pass.mask, deltas, pass.output, pass.input);
        }
    }
}
