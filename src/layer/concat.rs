//! Outputs of earlier layers side by side.

use super::{Backward, Forward, Layer};
use crate::Element;
use crate::kernels::rows::{add_rows, copy_rows};
use crate::regions::{Rows, RowsMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Concat {
    /// Features of each input.
    sizes: Vec<usize>,
    /// Those of all.
    outputs: usize,
}

impl Concat {
    pub fn new(sizes: &[usize]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            outputs: sizes.iter().fold(0, |sum, &size| sum.saturating_add(size)),
        }
    }

    /// Index of the first feature of an input.
    fn start(&self, input: usize) -> usize {
        self.sizes[..input].iter().sum()
    }
}

impl<E: Element> Layer<E> for Concat {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let block = activations.block();
        let to_stride = activations.stride(pass.output);
        for (index, &from) in pass.inputs.iter().enumerate() {
            let from_stride = activations.stride(from);
            let ([from], to) = activations.split([(from, block)], (pass.output, block));
            let start = self.start(index).min(to.len());
            let to = (&mut to[start..], to_stride);
            copy_rows(self.sizes[index], (from, from_stride), to);
        }
    }

    fn backward(&self, pass: &Backward<'_, E>, _: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        pass.add_last(self.outputs, deltas);
        let block = deltas.block();
        let from_stride = deltas.stride(pass.output);
        for (index, region, adds) in pass.wanted() {
            let to_stride = deltas.stride(region);
            let ([from], to) = deltas.split([(pass.output, block)], (region, block));
            let from = &from[self.start(index).min(from.len())..];
            let (from, to) = ((from, from_stride), (to, to_stride));
            if adds {
                add_rows(pass.tier, self.sizes[index], from, to);
            } else {
                copy_rows(self.sizes[index], from, to);
            }
        }
    }
}
