//! The present output and that of an earlier layer, added.

use super::{Backward, Forward, Layer};
use crate::Element;
use crate::kernels::rows::{add_rows, copy_rows};
use crate::regions::{Rows, RowsMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Residual {
    inputs: usize,
}

impl Residual {
    pub fn new(inputs: usize) -> Self {
        Self { inputs }
    }
}

impl<E: Element> Layer<E> for Residual {
    fn outputs(&self) -> usize {
        self.inputs
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let block = activations.block();
        let to_stride = activations.stride(pass.output);
        for (index, &from) in pass.inputs.iter().enumerate() {
            let from_stride = activations.stride(from);
            let ([from], to) = activations.split([(from, block)], (pass.output, block));
            let (from, to) = ((from, from_stride), (to, to_stride));
            match index {
                0 => copy_rows(self.inputs, from, to),
                _ => add_rows(pass.tier, self.inputs, from, to),
            }
        }
    }

    fn backward(&self, pass: &Backward<'_, E>, _: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        pass.add_last(self.inputs, deltas);
        let block = deltas.block();
        let from_stride = deltas.stride(pass.output);
        for (_, region, adds) in pass.wanted() {
            let to_stride = deltas.stride(region);
            let ([from], to) = deltas.split([(pass.output, block)], (region, block));
            let (from, to) = ((from, from_stride), (to, to_stride));
            if adds {
                add_rows(pass.tier, self.inputs, from, to);
            } else {
                copy_rows(self.inputs, from, to);
            }
        }
    }
}
