//! The activation layer: a function of each element of its input.

use super::{Backward, Forward, Layer};
use crate::Element;
use crate::activation::Activation as Function;
use crate::kernels::rows::{activate_rows, scale_rows};
use crate::regions::{Rows, RowsMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Activation {
    inputs: usize,
    function: Function,
}

impl Activation {
    pub fn new(inputs: usize, function: Function) -> Self {
        Self { inputs, function }
    }
}

impl<E: Element> Layer<E> for Activation {
    fn outputs(&self) -> usize {
        self.inputs
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let (from, to) = (pass.input, pass.output);
        let (from_stride, to_stride) = (activations.stride(from), activations.stride(to));
        let block = activations.block();
        let ([x], y) = activations.split([(from, block)], (to, block));
        let (x, y) = ((x, from_stride), (y, to_stride));
        activate_rows(pass.tier, self.function, self.inputs, x, y);
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        pass.add_last(self.inputs, deltas);
        if pass.input_gradient {
            let (from, to) = (pass.output, pass.input);
            let (from_stride, to_stride) = (deltas.stride(from), deltas.stride(to));
            let block = deltas.block();
            let values = (activations.get(from, block), activations.stride(from));
            let ([delta], dx) = deltas.split([(from, block)], (to, block));
            scale_rows(
                pass.tier,
                self.function,
                self.inputs,
                [(delta, from_stride), values],
                (dx, to_stride),
                pass.accumulate,
            );
        }
    }
}
