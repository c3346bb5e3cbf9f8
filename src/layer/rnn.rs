//! The Elman network: h_t = f(x_t W_x + h_{t-1} W_h + b) (J. L. Elman, "Finding Structure in Time", 1990).

use std::ops::Range;

use super::{Backward, Forward, Gradients, Layer, Tensor, pack_one};
use crate::activation::Activation;
use crate::arena::{Block, Rows, RowsMut};
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, Source};
use crate::kernels::product::{Finish, Product, Segment, Start};
use crate::kernels::rows::scale_by_derivative;
use crate::simd::Tier;
use crate::{Element, Result};

/// See the module's documentation.
#[derive(Debug)]
pub struct Rnn {
    inputs: usize,
    units: usize,
    activation: Activation,
}

/// Rows below which the inputs' part is computed for all steps ahead: as one product it runs at the speed of many rows,
/// and the time loop then streams W_h alone.
const FEW_ROWS: usize = 4;

impl Rnn {
    pub fn new(inputs: usize, units: usize, activation: Activation) -> Self {
        Self {
            inputs,
            units,
            activation,
        }
    }

    /// The gradient of the state arrives where a sequence ends: rows `first..` of `step` in `deltas`.
    fn end_sequences<E: Element>(
        &self,
        pass: &Backward<'_, E>,
        values: &[E],
        deltas: &mut RowsMut<'_, E>,
        step: usize,
        first: usize,
    ) {
        let layout = deltas.layout();
        let (stride, count) = (deltas.stride(pass.output), layout.rows(step));
        let gradients = deltas.get_mut(pass.output, Block::Step(step));
        for index in first..count {
            let row = index * stride..index * stride + self.units;
            let gradient = &mut gradients[row.clone()];
            if let Some(state) = pass.state_gradient {
                let start = layout.sequences()[index] * pass.state_stride;
                for (gradient, &state) in gradient.iter_mut().zip(&state[start..]) {
                    *gradient += state;
                }
            }
            scale_by_derivative(pass.tier, self.activation, gradient, &values[row]);
        }
    }
}

impl<E: Element> Layer<E> for Rnn {
    fn outputs(&self) -> usize {
        self.units
    }

    fn state_size(&self) -> usize {
        self.units
    }

    fn tensors(&self) -> Vec<Tensor> {
        let tensor = |role, rows| Tensor {
            role,
            rows,
            columns: self.units,
        };
        vec![
            tensor(TensorRole::InputWeight, self.inputs),
            tensor(TensorRole::RecurrentWeight, self.units),
            tensor(TensorRole::RecurrentBias, 1),
        ]
    }

    /// W_x above W_h, as they lie in the parameters: one matrix, whose rows meet x_t and then h_{t-1}.
    fn pack_forward(
        &self,
        tier: Tier,
        parameters: &[E],
        weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        let depth = self.inputs + self.units;
        pack_one(
            weights,
            0,
            tier,
            depth,
            self.units,
            parameters,
            Source::rows(self.units),
        )
    }

    /// W_h transposed and W_x transposed.
    fn pack_backward(
        &self,
        tier: Tier,
        parameters: &[E],
        weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        let (inputs, units) = (self.inputs, self.units);
        let source = Source::columns(units);
        pack_one(
            weights,
            0,
            tier,
            units,
            units,
            &parameters[inputs * units..],
            source,
        )?;
        pack_one(weights, 1, tier, units, inputs, parameters, source)
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let bias = &pass.parameters[pass.parameters.len() - self.units..];
        let finish = Finish::Activate(self.activation);
        let (x_stride, h_stride) = (
            activations.stride(pass.input),
            activations.stride(pass.output),
        );
        let Range { start, end } = activations.steps();
        let ahead = activations.layout().batch() < FEW_ROWS && end - start > 1;
        if ahead {
            let block = activations.block();
            let rows = activations.count(block);
            let ([x], sums) = activations.split([(pass.input, block)], (pass.output, block));
            let x = [Segment::rows(x, x_stride, self.inputs)];
            Product {
                start: Start::Row(bias),
                ..Product::new(rows, &x, &pass.weights[0], sums, h_stride)
            }
            .run(pass.tier);
        }
        for step in start..end {
            let rows = activations.layout().rows(step);
            let read = [
                (pass.input, Block::Step(step)),
                (pass.output, activations.previous(step)),
            ];
            let ([x, previous], h) = activations.split(read, (pass.output, Block::Step(step)));
            let x = Segment::rows(x, x_stride, self.inputs);
            let previous = Segment::rows(previous, h_stride, self.units);
            let (both, alone) = ([x, previous], [previous]);
            let (a, b_depth, start) = if ahead {
                (&alone[..], self.inputs, Start::Result)
            } else {
                (&both[..], 0, Start::Row(bias))
            };
            Product {
                b_depth,
                start,
                finish,
                ..Product::new(rows, a, &pass.weights[0], h, h_stride)
            }
            .run(pass.tier);
        }
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let (tier, region) = (pass.tier, pass.output);
        let (x_stride, h_stride) = (deltas.stride(pass.input), deltas.stride(region));
        let Range { start, end } = deltas.steps();
        for step in (start..end).rev() {
            let values = activations.get(region, Block::Step(step));
            let alive = deltas.layout().rows(step + 1);
            self.end_sequences(pass, values, deltas, step, alive);
            // What comes from the step after: in the window, or left in the lead by the window after.
            let after = if step + 1 == end {
                Block::Lead
            } else {
                Block::Step(step + 1)
            };
            let ([after], delta) = deltas.split([(region, after)], (region, Block::Step(step)));
            let after = [Segment::rows(after, h_stride, self.units)];
            Product {
                start: Start::Result,
                finish: Finish::TimesDerivative {
                    activation: self.activation,
                    values,
                    stride: h_stride,
                },
                ..Product::new(alive, &after, &pass.weights[0], delta, h_stride)
            }
            .run(tier);
        }
        if pass.input_gradient {
            let block = deltas.block();
            let rows = deltas.count(block);
            let ([delta], dx) = deltas.split([(region, block)], (pass.input, block));
            let delta = [Segment::rows(delta, h_stride, self.units)];
            Product::new(rows, &delta, &pass.weights[1], dx, x_stride).run(tier);
        }
        let rows = deltas.layout().rows(start);
        let ([first], lead) = deltas.split([(region, Block::Step(start))], (region, Block::Lead));
        if start == 0 {
            let first = [Segment::rows(first, h_stride, self.units)];
            Product::new(rows, &first, &pass.weights[0], lead, h_stride).run(tier);
        } else {
            lead[..first.len()].copy_from_slice(first);
        }
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        rows: Range<usize>,
        gradients: &mut [E],
        strip: &mut Packed<E>,
    ) {
        pass.pack(strip);
        let part = |part: Range<usize>| {
            let from = rows.start.clamp(part.start, part.end);
            let to = rows.end.clamp(part.start, part.end);
            (from - part.start, to - from)
        };
        let (x_first, x_rows) = part(0..self.inputs);
        let (h_first, h_rows) = part(self.inputs..self.inputs + self.units);
        let (dw_x, rest) = gradients.split_at_mut(x_rows * self.units);
        let (dw_h, db) = rest.split_at_mut(h_rows * self.units);
        pass.add_input(strip, x_first, dw_x);
        pass.add_recurrent(strip, h_first, dw_h);
        if !db.is_empty() {
            pass.add_bias(db);
        }
    }
}
