//! How a direction runs forward.

use std::ops::Range;

use super::super::Forward;
use super::any_cell::Run;
use super::way::{KEPT, SEQUENCE, Way};
use crate::Element;
use crate::kernels::dropout::{DrawMask, Key};
use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::kernels::recurrence::{Band, StoreSums, TimeSteps};
use crate::parallel::cost::CACHE;
use crate::regions::{RowsMut, Span};

/// Rows below which the inputs' part is computed for all steps ahead where the weights don't stay in most second-level caches; else
/// it is [`ROWS_AS_FAST_AS_ONE`]. As one product it runs at the speed of many rows, and the time loop then streams the recurrent
/// weights alone. Where the cache is larger it gains as well: a fifth at T 20, B 5, I 784, H 300 on an Intel Xeon with 2 MiB.
const FEW_ROWS_LARGE: usize = 24;

/// Inputs below which a sequence that is alone takes them in its time loop, instead of storing what they bring and reading it
/// again.
const FEW_INPUTS: usize = 12;

impl<E: Element> Way<E> {
    /// Whether the inputs' part is computed for all steps ahead.
    fn is_ahead(&self, rows: usize) -> bool {
        let plan = self.cell.plan();
        if rows == 1 && plan.inputs < FEW_INPUTS {
            return false;
        }
        let weights = (plan.inputs + plan.outputs) * plan.columns() * size_of::<E>();
        rows < if weights > CACHE {
            FEW_ROWS_LARGE
        } else {
            ROWS_AS_FAST_AS_ONE
        }
    }

    /// Draws what a training pass drops and leaves as it was.
    pub(super) fn draw_masks(
        &self,
        pass: &Forward<'_, E>,
        key: Key,
        activations: &mut RowsMut<'_, E>,
    ) {
        let plan = self.cell.plan();
        let (state, layout) = (pass.output + self.region, activations.layout());
        for (number, mask) in plan.masks.iter().enumerate() {
            let key = key.with(number as u64);
            let draw = |key, to: &mut [E], stride: usize| {
                DrawMask {
                    key,
                    rate: mask.rate,
                    dropped: E::from_f64(mask.dropped),
                    kept: E::from_f64(mask.kept),
                    sequences: layout.sequences(),
                    width: mask.width,
                    to: (&mut to[mask.start..], stride),
                }
                .run(pass.tier);
            };
            if mask.each_step {
                let region = state + KEPT;
                let stride = activations.stride(region);
                for step in activations.steps() {
                    let rows = activations.get_mut(region, Span::Step(step));
                    draw(key.with(step as u64), rows, stride);
                }
            } else {
                let region = state + SEQUENCE;
                let stride = activations.stride(region);
                draw(key, activations.get_mut(region, Span::Lead), stride);
            }
        }
        if let Some((masked, mask)) = plan.masked_state {
            let strides = [state, state + SEQUENCE].map(|region| activations.stride(region));
            let [states, masks] =
                activations.parts_mut([(state, Span::Lead), (state + SEQUENCE, Span::Lead)]);
            for row in 0..layout.batch() {
                let state = &mut states[row * strides[0]..];
                let masks = &masks[row * strides[1] + mask..][..plan.outputs];
                for (unit, &mask) in masks.iter().enumerate() {
                    state[masked + unit] = state[unit] * mask;
                }
            }
        }
    }

    pub(super) fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        let plan = self.cell.plan();
        let (layout, block) = (activations.layout(), activations.block());
        let Range { start, end } = activations.steps();
        let state = pass.output + self.region;
        let regions = [pass.input, state, state + KEPT, state + SEQUENCE];
        let strides = regions.map(|region| activations.stride(region));
        let spans = [block, Span::All, block, Span::Lead];
        let [x, states, kept, sequence] =
            activations.parts_mut([0, 1, 2, 3].map(|index| (regions[index], spans[index])));
        let mut bands = [
            Band::read(x, strides[0], 0),
            Band::write(states, strides[1], layout.batch()),
            Band::write(kept, strides[2], 0),
            Band::write(sequence, strides[3], 0),
        ];
        let weights = &pass.weights[self.packs[0].clone()];
        let parameters = &pass.parameters[self.parameters.clone()];
        let is_training = pass.training.is_some();
        let stages = &plan.forward[usize::from(is_training)];
        let mut steps = TimeSteps::forward(layout, start..end);
        if self.is_reverse {
            steps = TimeSteps::forward_reverse(layout, start..end);
        }
        let mut run = Run {
            pass: (pass.tier, pass.crew),
            weights,
            parameters,
            bands: &mut bands,
        };
        if end - start > 1 && self.is_ahead(layout.batch()) {
            let whole = TimeSteps::whole(layout, start..end);
            run.stages(&stages.ahead, &StoreSums, &whole);
            self.cell
                .forward(&mut run, &stages.behind, &steps, is_training);
        } else {
            self.cell
                .forward(&mut run, &stages.direct, &steps, is_training);
        }
    }
}
