//! How a direction runs backward: the gradients of its sums, of its input and of the state that sequences start from.

use std::ops::Range;

use super::super::Backward;
use super::any_cell::Run;
use super::way::{KEPT, SEQUENCE, START, Way};
use crate::Element;
use crate::gemm::multiply;
use crate::kernels::product::{Product, SumStart};
use crate::kernels::recurrence::{Band, TimeSteps};
use crate::kernels::tile::Segment;
use crate::layout::Layout;
use crate::regions::{Rows, RowsMut, Span};

impl<E: Element> Way<E> {
    pub(super) fn backward(
        &self,
        pass: &Backward<'_, E>,
        is_second: bool,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let plan = self.cell.plan();
        let (layout, block) = (deltas.layout(), deltas.block());
        let Range { start, end } = deltas.steps();
        self.end_sequences(pass, deltas);

        let output = pass.output + self.region;
        let sums = pass.output + self.sums_region();
        let strides = [sums, output].map(|region| deltas.stride(region));
        let (kept, sequence) = (output + KEPT, output + SEQUENCE);
        let (states, lead) = activations.with_previous(output, start..end);
        let parameters = &pass.parameters[self.parameters.clone()];
        let weights = &pass.weights[self.packs[1].clone()];
        let mut steps = TimeSteps::backward(layout, start..end);
        if self.is_reverse {
            steps = TimeSteps::backward_reverse(layout);
        }
        let (given, gradients): (&[E], _) = if self.is_in_place() {
            (&[], deltas.get_mut(sums, Span::All))
        } else {
            let [given, gradients] = deltas.parts_mut([(output, block), (sums, Span::All)]);
            (given, gradients)
        };
        let mut bands = [
            Band::write(gradients, strides[0], layout.batch()),
            Band::read(given, strides[1], 0),
            Band::read(activations.get(kept, block), activations.stride(kept), 0),
            Band::read(states, activations.stride(output), lead),
            Band::read(
                activations.get(sequence, Span::Lead),
                activations.stride(sequence),
                0,
            ),
        ];
        self.cell.backward(
            &mut Run {
                pass: (pass.tier, pass.crew),
                weights,
                parameters,
                bands: &mut bands,
            },
            &steps,
        );

        if pass.input_gradient {
            let rows = deltas.count(block);
            let dx_stride = deltas.stride(pass.input);
            let ([delta], dx) = deltas.split([(sums, block)], (pass.input, block));
            let delta = [Segment::rows(delta, strides[0], plan.columns())];
            let start = if pass.accumulate || is_second {
                SumStart::Result
            } else {
                SumStart::Zero
            };
            let product = Product {
                start,
                ..Product::new(rows, &delta, &weights[plan.input_pack], dx, dx_stride)
            };
            multiply(product, pass.tier, pass.crew);
        }
        self.hand_over(sums, layout, deltas);
        if start == 0 && (pass.start_gradient || pass.own_start && self.trains_state) {
            self.start_gradient(pass, activations, deltas);
        }
    }

    /// The gradient of the state arrives where a sequence ends: that of the output is added to the output's, the others
    /// are what a step behind would have left.
    fn end_sequences(&self, pass: &Backward<'_, E>, deltas: &mut RowsMut<'_, E>) {
        let plan = self.cell.plan();
        let (layout, steps) = (deltas.layout(), deltas.steps());
        let (output, sums) = (pass.output + self.region, pass.output + self.sums_region());
        let state = pass.state_gradient.map(|state| &state[self.first_state..]);
        let of_row =
            |row: usize| state.map(|state| &state[layout.sequences()[row] * pass.state_stride..]);
        let (first, last) = if self.is_reverse {
            (0, layout.rows(steps.start))
        } else {
            (layout.rows(steps.end), layout.rows(steps.start))
        };
        if !plan.carries.is_empty() {
            let stride = deltas.stride(sums);
            let lead = deltas.get_mut(sums, Span::Lead);
            for row in first..last {
                for carry in &plan.carries {
                    let values = &mut lead[row * stride + carry.delta..][..carry.width];
                    match (carry.state, of_row(row)) {
                        (Some(start), Some(state)) => {
                            values.copy_from_slice(&state[start..start + carry.width]);
                        }
                        _ => values.fill(E::ZERO),
                    }
                }
            }
        }
        if state.is_none() {
            return;
        }
        let stride = deltas.stride(output);
        let block = deltas.block();
        let gradients = deltas.get_mut(output, block);
        for row in first..last {
            let step = if self.is_reverse {
                0
            } else {
                layout.length(row) - 1
            };
            let at = (layout.offset(step) - layout.offset(steps.start) + row) * stride;
            if let Some(state) = of_row(row) {
                for (gradient, &state) in gradients[at..at + plan.outputs].iter_mut().zip(state) {
                    *gradient += state;
                }
            }
        }
    }

    /// Leaves the gradients of the sums where sequences begin, in this direction, in the lead of their region: for the window
    /// before, or for the gradient of the state that they start from.
    fn hand_over(&self, sums: usize, layout: &Layout, deltas: &mut RowsMut<'_, E>) {
        let start = deltas.steps().start;
        if !self.is_reverse {
            let ([first], lead) = deltas.split([(sums, Span::Step(start))], (sums, Span::Lead));
            lead[..first.len()].copy_from_slice(first);
            return;
        }
        let stride = deltas.stride(sums);
        let all = deltas.get_mut(sums, Span::All);
        let (lead, rows) = all.split_at_mut(layout.batch() * stride);
        let width = stride.min(rows.len());
        for row in 0..layout.batch() {
            if let Some(step) = layout.length(row).checked_sub(1) {
                let at = (layout.offset(step) + row) * stride;
                let width = width.min(rows.len() - at);
                lead[row * stride..][..width].copy_from_slice(&rows[at..at + width]);
            }
        }
    }

    /// The gradient of the state that the sequences start from: what a step before the first one would find.
    fn start_gradient(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let plan = self.cell.plan();
        let stage = &plan.backward[0];
        let layout = deltas.layout();
        let rows = layout.rows(0);
        let sums = pass.output + self.sums_region();
        let to = pass.output + self.region + START;
        let (stride, to_stride) = (deltas.stride(sums), deltas.stride(to));
        let ([lead], start) = deltas.split([(sums, Span::Lead)], (to, Span::Lead));
        start.fill(E::ZERO);
        let weights = &pass.weights[self.packs[1].start + stage.weights];
        for piece in &stage.pieces {
            let mut segments = [Segment::rows(&[], 0, 0); 3];
            for (segment, input) in segments.iter_mut().zip(&piece.inputs) {
                *segment = Segment::rows(&lead[input.slot.start..], stride, input.depth);
            }
            let segments = &segments[..piece.inputs.len()];
            let product = Product {
                b_depth: piece.depth,
                ..Product::new(rows, segments, weights, start, to_stride)
            };
            multiply(product, pass.tier, pass.crew);
        }
        if let Some((_, mask)) = plan.masked_state {
            let region = pass.output + self.region + SEQUENCE;
            let (masks, stride) = (
                activations.get(region, Span::Lead),
                activations.stride(region),
            );
            for row in 0..rows {
                let masks = &masks[row * stride + mask..][..plan.outputs];
                for (value, &mask) in start[row * to_stride..].iter_mut().zip(masks) {
                    *value *= mask;
                }
            }
        }
        for row in 0..rows {
            for carry in &plan.carries {
                let from = &lead[row * stride + carry.delta..][..carry.width];
                let to = &mut start[row * to_stride + carry.state.unwrap_or(0)..];
                for (to, &from) in to.iter_mut().zip(from) {
                    *to += from;
                }
            }
        }
    }
}
