//! Layer normalisation: y = (x - mean) / sqrt(variance + epsilon) ∘ g + b, over the features of each step (J. L. Ba and
//! others, "Layer Normalization", 2016), as PyTorch has it: the variance is that of the population.

use std::ops::Range;

use super::gradients::GradientPart;
use super::{Backward, Forward, Gradients, Layer, Tensor};
use crate::init::TensorRole;
use crate::kernels::norm::{AddGainGradients, NormalizeRows, NormalizeRowsBackward};
use crate::kernels::pack::Packed;
use crate::regions::{RegionShape, Rows, RowsMut, from_row};
use crate::{Element, Error, Result};

/// See the module's documentation.
#[derive(Debug)]
pub struct LayerNorm {
    inputs: usize,
    epsilon: f64,
}

/// The region of the mean and the inverse deviation of each row, counted from the output's.
const MOMENTS: usize = 1;

/// Checks what is added to a variance.
pub fn check_epsilon(epsilon: f64) -> Result<()> {
    let is_normal = epsilon >= f64::from(f32::MIN_POSITIVE) && (epsilon as f32).is_finite();
    if is_normal {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "epsilon",
        value: epsilon,
        expected: "a finite f32 of at least 1.2e-38",
    })
}

impl LayerNorm {
    pub fn new(inputs: usize, epsilon: f64) -> Self {
        Self { inputs, epsilon }
    }
}

impl<E: Element> Layer<E> for LayerNorm {
    fn outputs(&self) -> usize {
        self.inputs
    }

    fn regions(&self) -> Vec<RegionShape> {
        vec![RegionShape::window(self.inputs), RegionShape::window(2)]
    }

    fn gradient_regions(&self) -> Vec<RegionShape> {
        vec![RegionShape::window(self.inputs), RegionShape::window(0)]
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![
            Tensor::new(TensorRole::NormGain, 1, self.inputs),
            Tensor::new(TensorRole::NormBias, 1, self.inputs),
        ]
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let block = activations.block();
        let regions = [pass.input, pass.output, pass.output + MOMENTS];
        let strides = regions.map(|region| activations.stride(region));
        let [x, y, moments] = activations.parts_mut(regions.map(|region| (region, block)));
        let (gain, bias) = pass.parameters.split_at(self.inputs);
        NormalizeRows {
            epsilon: E::from_f64(self.epsilon),
            gain,
            bias,
            x: (x, strides[0]),
            y: (y, strides[1]),
            moments: (moments, strides[2]),
        }
        .run(pass.tier);
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        pass.add_last(self.inputs, deltas);
        if !pass.input_gradient {
            return;
        }
        let block = deltas.block();
        let kept = |region| (activations.get(region, block), activations.stride(region));
        let (dy_stride, dx_stride) = (deltas.stride(pass.output), deltas.stride(pass.input));
        let ([dy], dx) = deltas.split([(pass.output, block)], (pass.input, block));
        NormalizeRowsBackward {
            gain: &pass.parameters[..self.inputs],
            x: kept(pass.input),
            moments: kept(pass.output + MOMENTS),
            dy: (dy, dy_stride),
            dx: (dx, dx_stride),
            accumulate: pass.accumulate,
        }
        .run(pass.tier);
    }

    fn gradient_parts(&self) -> Vec<GradientPart> {
        vec![GradientPart {
            first: 0,
            rows: 2,
            columns: self.inputs,
            packed: None,
        }]
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        _: usize,
        rows: Range<usize>,
        sums: &mut [E],
        _: &Packed<E>,
    ) {
        for (row, sums) in rows.zip(sums.chunks_mut(self.inputs)) {
            if row == 1 {
                pass.add_rows(0, 0, sums);
                continue;
            }
            for piece in pass.pieces() {
                let x = piece.values(pass.input);
                let moments = piece.values(pass.output + MOMENTS);
                let dy = piece.gradients(pass.output);
                for run in piece.runs() {
                    AddGainGradients {
                        x: from_row(x, run.start),
                        moments: from_row(moments, run.start),
                        dy: from_row(dy, run.start),
                        rows: run.len(),
                        sums,
                    }
                    .run(pass.tier);
                }
            }
        }
    }
}
