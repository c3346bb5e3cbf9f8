//! The Elman network: h_t = f(x_t W_x + h_{t-1} W_h + b) (J. L. Elman, "Finding Structure in Time", 1990).

use std::ops::Range;

use super::{Backward, Forward, Gradients, Layer, Tensor};
use crate::Element;
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::kernels::pack::Packed;
use crate::kernels::product::{Epilogue, Product, ROWS_AS_FAST_AS_ONE, Segment, SumStart};
use crate::kernels::recurrence::{Recurrence, TimeSteps, is_worth_sharing};
use crate::kernels::rows::scale_by_derivative;
use crate::regions::{Rows, RowsMut, Span};

/// See the module's documentation.
#[derive(Debug)]
pub struct Rnn {
    inputs: usize,
    units: usize,
    activation: Activation,
}

/// Rows below which the inputs' part is computed for all steps ahead where W_x and W_h together don't stay in a second-level
/// cache; else it is [`ROWS_AS_FAST_AS_ONE`]. As one product it runs at the speed of many rows, and the time loop then
/// streams W_h alone.
const FEW_ROWS_LARGE: usize = 24;

/// Sequences for each thread below which threads share the units instead.
const FEW_ROWS_EACH: usize = 8;

/// Bytes of weights that stay in a second-level cache.
const CACHE: usize = 768 << 10;

impl Rnn {
    pub fn new(inputs: usize, units: usize, activation: Activation) -> Self {
        Self {
            inputs,
            units,
            activation,
        }
    }

    /// Whether the inputs' part is computed for all steps ahead.
    fn is_ahead<E>(&self, rows: usize) -> bool {
        let weights = (self.inputs + self.units) * self.units * size_of::<E>();
        rows < if weights > CACHE {
            FEW_ROWS_LARGE
        } else {
            ROWS_AS_FAST_AS_ONE
        }
    }

    /// The gradient of the state arrives where a sequence ends. That of the output is all that it is added to there, so
    /// the whole is multiplied by the derivative at once.
    fn end_sequences<E: Element>(
        &self,
        pass: &Backward<'_, E>,
        values: &[E],
        deltas: &mut RowsMut<'_, E>,
    ) {
        let layout = deltas.layout();
        let (stride, steps) = (deltas.stride(pass.output), deltas.steps());
        let gradients = deltas.get_mut(pass.output, deltas.block());
        for step in steps.clone() {
            let first = layout.offset(step) - layout.offset(steps.start);
            for index in layout.rows(step + 1)..layout.rows(step) {
                let row = (first + index) * stride;
                let row = row..row + self.units;
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

    fn splits_units(&self, rows: usize, threads: usize) -> bool {
        rows < FEW_ROWS_EACH * threads && is_worth_sharing(rows, self.units, self.units)
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let bias = &pass.parameters[pass.parameters.len() - self.units..];
        let (x_stride, h_stride) = (
            activations.stride(pass.input),
            activations.stride(pass.output),
        );
        let (layout, block) = (activations.layout(), activations.block());
        let Range { start, end } = activations.steps();
        let rows = activations.count(block);
        let ahead = end - start > 1 && self.is_ahead::<E>(layout.batch());
        let read = [(pass.input, block)];
        let ([x], states) = activations.split(read, (pass.output, Span::All));
        let x = Segment::rows(x, x_stride, self.inputs);
        if ahead {
            // Behind the rows that the window starts from.
            let sums = &mut states[layout.batch() * h_stride..];
            Product {
                start: SumStart::Row(bias),
                ..Product::new(rows, &[x], &pass.weights[0], sums, h_stride)
            }
            .run_on(pass.tier, pass.crew);
        }
        let (x, b_depth, start_value) = if ahead {
            (None, self.inputs, SumStart::Result)
        } else {
            (Some(x), 0, SumStart::Row(bias))
        };
        Recurrence {
            x,
            b: &pass.weights[0],
            b_depth,
            start: start_value,
            epilogue: Epilogue::Activate(self.activation),
            c: states,
            c_stride: h_stride,
            depth: self.units,
        }
        .run(
            pass.tier,
            pass.crew,
            &TimeSteps::forwards(layout, start..end),
        );
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let (tier, crew, region) = (pass.tier, pass.crew, pass.output);
        let (x_stride, h_stride) = (deltas.stride(pass.input), deltas.stride(region));
        let (layout, block) = (deltas.layout(), deltas.block());
        let Range { start, end } = deltas.steps();
        let values = activations.get(region, block);
        self.end_sequences(pass, values, deltas);
        Recurrence {
            x: None,
            b: &pass.weights[0],
            b_depth: 0,
            start: SumStart::Result,
            epilogue: Epilogue::TimesDerivative {
                activation: self.activation,
                values,
                stride: h_stride,
            },
            c: deltas.get_mut(region, Span::All),
            c_stride: h_stride,
            depth: self.units,
        }
        // It starts from what the window after has left in the lead.
        .run(tier, crew, &TimeSteps::backwards(layout, start..end));
        if pass.input_gradient {
            let rows = deltas.count(block);
            let ([delta], dx) = deltas.split([(region, block)], (pass.input, block));
            let delta = [Segment::rows(delta, h_stride, self.units)];
            Product::new(rows, &delta, &pass.weights[1], dx, x_stride).run_on(tier, crew);
        }
        let rows = layout.rows(start);
        let ([first], lead) = deltas.split([(region, Span::Step(start))], (region, Span::Lead));
        if start > 0 {
            lead[..first.len()].copy_from_slice(first);
        } else if pass.start_gradient {
            let first = [Segment::rows(first, h_stride, self.units)];
            Product::new(rows, &first, &pass.weights[0], lead, h_stride).run_on(tier, crew);
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
