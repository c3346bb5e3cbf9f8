//! The dense layer: y = f(x W + b), at each step by itself.

use std::ops::Range;
use std::sync::Arc;

use super::gradients::{GradientPart, Left};
use super::{Backward, Forward, Gradients, Layer, Pack, PackPart, Step, StepRegions, Tensor};
use crate::Element;
use crate::activation::Activation;
use crate::gemm::multiply;
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, PackedShape};
use crate::kernels::product::{Product, SumStart};
use crate::kernels::recurrence::{
    Fused, Input, Piece, RowOf, Slot, Stage, Stages, Start, StoreSums,
};
use crate::kernels::rows::scale_by_derivative;
use crate::kernels::stream::StepPlan;
use crate::kernels::tile::Segment;
use crate::regions::{Rows, RowsMut};

/// See the module's documentation.
#[derive(Debug)]
pub struct Dense {
    inputs: usize,
    units: usize,
    activation: Activation,
    /// A step of a stream: x is in the first band, y in the second one.
    stages: Arc<Stages>,
}

impl Dense {
    pub fn new(inputs: usize, units: usize, activation: Activation) -> Self {
        let slot = |band| Slot {
            band,
            row: RowOf::This,
            start: 0,
        };
        let x = Input {
            slot: slot(0),
            depth: inputs,
        };
        let stage = Stage {
            weights: 0,
            pieces: vec![Piece {
                inputs: vec![x],
                depth: 0,
                first_sum: 0,
                is_recurrent: false,
            }],
            starts: vec![Start::Parameters(inputs.saturating_mul(units))],
            reads: Vec::new(),
            writes: vec![slot(1)],
            fused: Some(Fused::Activate(activation)),
        };
        let shape = PackedShape {
            depth: inputs,
            units,
            groups: 1,
        };
        Self {
            inputs,
            units,
            activation,
            stages: Arc::new(Stages::new(vec![stage], &[shape])),
        }
    }
}

impl<E: Element> Layer<E> for Dense {
    fn outputs(&self) -> usize {
        self.units
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![
            Tensor::new(TensorRole::DenseWeight, self.inputs, self.units),
            Tensor::new(TensorRole::DenseBias, 1, self.units),
        ]
    }

    fn packs(&self) -> Vec<Pack> {
        let part = PackPart {
            tensor: 0,
            columns: 0..self.units,
            first_group: 0,
        };
        vec![
            Pack {
                parts: vec![part],
                groups: 1,
                is_transposed: false,
                meets_input: false,
            },
            Pack::transposed(0, 0..self.units, true),
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
        let product = Product {
            start: SumStart::Row(bias),
            epilogue: self.activation,
            ..Product::new(rows, &x, &pass.weights[0], y, y_stride)
        };
        multiply(product, pass.tier, pass.crew);
    }

    fn step_plan(&self, regions: StepRegions<'_>, rows: usize) -> Option<StepPlan> {
        let bands = [regions.input, regions.output].map(|region| regions.places[region]);
        Some(StepPlan::new(&self.stages, &bands, rows))
    }

    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, memory: &mut [E]) {
        let (weights, parameters) = (pass.weights, pass.parameters);
        plan.run(pass.tier, weights, parameters, &StoreSums, memory);
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let (x_stride, y_stride) = (deltas.stride(pass.input), deltas.stride(pass.output));
        let block = deltas.block();
        pass.add_last(self.units, deltas);
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
            let product = Product {
                start: pass.input_start(),
                ..Product::new(rows, &delta, &pass.weights[0], dx, x_stride)
            };
            multiply(product, pass.tier, pass.crew);
        }
    }

    fn gradient_parts(&self) -> Vec<GradientPart> {
        vec![GradientPart {
            first: 0,
            rows: self.inputs.saturating_add(1),
            columns: self.units,
            packed: Some((0, 0..self.units)),
        }]
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        _: usize,
        rows: Range<usize>,
        sums: &mut [E],
        strip: &Packed<E>,
    ) {
        let w_rows = rows.end.min(self.inputs).saturating_sub(rows.start);
        let (dw, db) = sums.split_at_mut(w_rows * self.units);
        let first = rows.start.min(self.inputs);
        pass.add_products(strip, Left::Input, first, (dw, self.units));
        if !db.is_empty() {
            pass.add_rows(0, 0, db);
        }
    }
}
