//! The dense layer: y = f(x W + b), at each step by itself.

use std::ops::Range;

use super::{Backward, Forward, Gradients, Layer, Tensor, add_transposed, pack_one, transposed};
use crate::activation::Activation;
use crate::arena::{Block, Shard};
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, Source};
use crate::kernels::product::{Finish, Product, Segment, Start};
use crate::kernels::rows::{add_rows_backwards, scale_by_derivative};
use crate::simd::Tier;
use crate::{Element, Result};

/// See the module's documentation.
#[derive(Debug)]
pub struct Dense {
    inputs: usize,
    units: usize,
    activation: Activation,
}

impl Dense {
    pub fn new(inputs: usize, units: usize, activation: Activation) -> Self {
        Self {
            inputs,
            units,
            activation,
        }
    }
}

impl<E: Element> Layer<E> for Dense {
    fn outputs(&self) -> usize {
        self.units
    }

    fn tensors(&self) -> Vec<Tensor> {
        let tensor = |role, rows| Tensor {
            role,
            rows,
            columns: self.units,
        };
        vec![
            tensor(TensorRole::DenseWeight, self.inputs),
            tensor(TensorRole::DenseBias, 1),
        ]
    }

    fn pack_forward(
        &self,
        tier: Tier,
        parameters: &[E],
        weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        let source = Source::rows(self.units);
        pack_one(
            weights,
            0,
            tier,
            self.inputs,
            self.units,
            parameters,
            source,
        )
    }

    fn pack_backward(
        &self,
        tier: Tier,
        parameters: &[E],
        weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        let source = Source::columns(self.units);
        pack_one(
            weights,
            0,
            tier,
            self.units,
            self.inputs,
            parameters,
            source,
        )
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut Shard<'_, E>) {
        let bias = &pass.parameters[pass.parameters.len() - self.units..];
        let (x_stride, y_stride) = (
            activations.stride(pass.input),
            activations.stride(pass.output),
        );
        for block in activations.blocks() {
            let rows = activations.count(pass.output, block);
            let ([x], y) = activations.split([(pass.input, block)], (pass.output, block));
            let x = [Segment::rows(x, x_stride, self.inputs)];
            Product {
                start: Start::Row(bias),
                finish: Finish::Activate(self.activation),
                ..Product::new(rows, &x, &pass.weights[0], y, y_stride)
            }
            .run(pass.tier);
        }
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Shard<'_, E>,
        deltas: &mut Shard<'_, E>,
    ) {
        let (x_stride, y_stride) = (deltas.stride(pass.input), deltas.stride(pass.output));
        for step in deltas.window() {
            if self.activation == Activation::Linear {
                break;
            }
            let values = activations.get(pass.output, Block::Step(step));
            let gradients = deltas.get_mut(pass.output, Block::Step(step));
            for (gradients, values) in gradients.chunks_mut(y_stride).zip(values.chunks(y_stride)) {
                let (gradients, values) = (&mut gradients[..self.units], &values[..self.units]);
                scale_by_derivative(pass.tier, self.activation, gradients, values);
            }
        }
        if pass.input_gradient {
            for block in deltas.blocks() {
                let rows = deltas.count(pass.output, block);
                let ([delta], dx) = deltas.split([(pass.output, block)], (pass.input, block));
                let delta = [Segment::rows(delta, y_stride, self.units)];
                Product::new(rows, &delta, &pass.weights[0], dx, x_stride).run(pass.tier);
            }
        }
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, '_, E>,
        rows: Range<usize>,
        gradients: &mut [E],
        strip: &mut Packed<E>,
    ) {
        let Gradients {
            tier,
            activations,
            deltas,
            ..
        } = *pass;
        let window = deltas.window();
        let block = Block::Steps(window.start, window.end);
        let depth = deltas.count(pass.output, block);
        let delta = deltas.get(pass.output, block);
        let stride = deltas.stride(pass.output);
        strip.pack(0, depth, delta, Source::rows_backwards(stride, depth));

        let w_rows = rows.end.min(self.inputs).saturating_sub(rows.start);
        let (dw, db) = gradients.split_at_mut(w_rows * self.units);
        let x = activations.get(pass.input, block);
        let x_stride = activations.stride(pass.input);
        let x = transposed(x, x_stride, depth - 1, depth, rows.start.min(self.inputs));
        add_transposed(tier, &[x], strip, w_rows, dw);
        if !db.is_empty() {
            add_rows_backwards(tier, delta, stride, depth, db);
        }
    }
}
