//! The dense layer: y = f(x W + b), at each step by itself.

use std::ops::Range;

use super::{Backward, Forward, Gradients, Layer, Tensor};
use crate::Element;
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::kernels::pack::Packed;
use crate::kernels::product::{Epilogue, Product, Segment, SumStart};
use crate::kernels::rows::scale_by_derivative;
use crate::regions::{Rows, RowsMut};

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

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let bias = &pass.parameters[pass.parameters.len() - self.units..];
        let (x_stride, y_stride) = (
            activations.stride(pass.input),
            activations.stride(pass.output),
        );
        let block = activations.block();
        let rows = activations.count(block);
        let ([x], y) = activations.split([(pass.input, block)], (pass.output, block));
        let x = [Segment::rows(x, x_stride, self.inputs)];
        Product {
            start: SumStart::Row(bias),
            epilogue: Epilogue::Activate(self.activation),
            ..Product::new(rows, &x, &pass.weights[0], y, y_stride)
        }
        .run_on(pass.tier, pass.crew);
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let (x_stride, y_stride) = (deltas.stride(pass.input), deltas.stride(pass.output));
        let block = deltas.block();
        if self.activation != Activation::Linear {
            let values = activations.get(pass.output, block);
            let gradients = deltas.get_mut(pass.output, block);
            for (gradients, values) in gradients.chunks_mut(y_stride).zip(values.chunks(y_stride)) {
                let (gradients, values) = (&mut gradients[..self.units], &values[..self.units]);
                scale_by_derivative(pass.tier, self.activation, gradients, values);
            }
        }
        if pass.input_gradient {
            let rows = deltas.count(block);
            let ([delta], dx) = deltas.split([(pass.output, block)], (pass.input, block));
            let delta = [Segment::rows(delta, y_stride, self.units)];
            Product::new(rows, &delta, &pass.weights[0], dx, x_stride).run_on(pass.tier, pass.crew);
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
        let w_rows = rows.end.min(self.inputs).saturating_sub(rows.start);
        let (dw, db) = gradients.split_at_mut(w_rows * self.units);
        pass.add_input(strip, rows.start.min(self.inputs), dw);
        if !db.is_empty() {
            pass.add_bias(db);
        }
    }
}
