//! The recurrent layer: once for all cells. It runs a cell through the steps of a window in one direction or both, and gives
//! the gradients of its parameters.
//!
//! A direction has three regions: its states, whose lead is the state that a window starts from; what its cell keeps of
//! the sums for the backward pass; and what a sequence has once, whatever its steps. Of gradients it has those of its output,
//! those of its sums, and those of the state that a sequence starts from. A layer of one direction has the first as its
//! output; a bidirectional one has a region before them, where the two are merged.

mod any_cell;
mod backward;
mod forward;
mod gradients;
mod merge;
mod way;

use std::ops::Range;

use super::cell::Cell;
use super::gradients::{GradientPart, Gradients, ended_rows};
use super::options::{Direction, InitialState, LastOutput, Merge, RecurrentOptions};
use super::{Backward, Forward, Layer, Pack, StatePart, Step, StepRegions, Tensor};
use crate::Element;
use crate::init::TensorRole;
use crate::kernels::dropout::Key;
use crate::kernels::pack::Packed;
use crate::kernels::stream::StepPlan;
use crate::regions::{RegionShape, Rows, RowsMut, Span};
use any_cell::AnyCell;
use gradients::parts;
use merge::merged;
use way::{KEPT, SEQUENCE, Way};

/// See the module's documentation.
pub struct Recurrent<E: Element> {
    directions: Vec<Way<E>>,
    merge: Option<Merge>,
    last: LastOutput,
    outputs: usize,
}

/// A layer of the cells that `cell` makes for a number of inputs and whether it is the direction from the last step on.
pub fn build<E: Element, C: Cell<E>>(
    inputs: usize,
    options: &RecurrentOptions,
    cell: impl Fn(usize, bool) -> C,
) -> Box<dyn Layer<E>> {
    let reverses: &[bool] = match options.direction {
        Direction::Forward => &[false],
        Direction::Reverse => &[true],
        Direction::Bidirectional => &[false, true],
    };
    let merge = (reverses.len() == 2).then_some(options.merge);
    let mut directions = Vec::with_capacity(reverses.len());
    let (mut region, mut first, mut packs, mut first_state) =
        (usize::from(merge.is_some()), 0_usize, [0, 0], 0_usize);
    for &is_reverse in reverses {
        let cell: Box<dyn AnyCell<E>> = Box::new(cell(inputs, is_reverse));
        let plan = cell.plan();
        let mut tensors = plan.tensors.clone();
        let has_own = options.initial_state != InitialState::Zeros;
        let len = |tensors: &[Tensor]| {
            tensors.iter().fold(0_usize, |sum, tensor| {
                sum.saturating_add(tensor.rows.saturating_mul(tensor.columns))
            })
        };
        let own_state = has_own.then(|| first.saturating_add(len(&tensors)));
        if has_own {
            tensors.push(Tensor::new(TensorRole::InitialState, 1, plan.outputs));
            if plan.state > plan.outputs {
                let cells = plan.state - plan.outputs;
                tensors.push(Tensor::new(TensorRole::InitialCell, 1, cells));
            }
        }
        for tensor in &mut tensors {
            tensor.is_reverse = is_reverse;
        }
        let end = first.saturating_add(len(&tensors));
        let count = |is_transposed| {
            let packs = plan.packs.iter();
            packs
                .filter(|pack| pack.is_transposed == is_transposed)
                .count()
        };
        let own_packs = [
            packs[0]..packs[0] + count(false),
            packs[1]..packs[1] + count(true),
        ];
        packs = [own_packs[0].end, own_packs[1].end];
        let state = plan.state;
        directions.push(Way {
            is_reverse,
            region,
            parameters: first..end,
            packs: own_packs,
            parts: parts(&tensors, &plan.products),
            tensors,
            own_state,
            trains_state: options.initial_state == InitialState::Trainable,
            first_state,
            cell,
        });
        (region, first, first_state) = (region + 3, end, first_state.saturating_add(state));
    }
    let units = directions[0].cell.plan().outputs;
    let outputs = match merge {
        Some(Merge::Concat) => units.saturating_mul(2),
        _ => units,
    };
    Box::new(Recurrent {
        directions,
        merge,
        last: options.last,
        outputs,
    })
}

impl<E: Element> Layer<E> for Recurrent<E> {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn state(&self) -> Vec<StatePart> {
        let part = |way: &Way<E>| StatePart {
            region: way.region,
            size: way.cell.plan().state,
            own: way.own_state,
        };
        self.directions.iter().map(part).collect()
    }

    fn regions(&self) -> Vec<RegionShape> {
        let merged = self.merge.map(|_| RegionShape::window(self.outputs));
        let own = self.directions.iter().flat_map(|way| {
            let plan = way.cell.plan();
            [
                RegionShape::with_lead(plan.state_row),
                RegionShape::window(plan.kept),
                RegionShape::lead(plan.sequence),
            ]
        });
        merged.into_iter().chain(own).collect()
    }

    fn gradient_regions(&self) -> Vec<RegionShape> {
        let merged = self.merge.map(|_| RegionShape::window(self.outputs));
        let own = self.directions.iter().flat_map(|way| {
            let plan = way.cell.plan();
            let [output, sums] = if way.is_in_place() {
                [RegionShape::with_lead(plan.delta), RegionShape::window(0)]
            } else {
                [
                    RegionShape::window(plan.outputs),
                    RegionShape::with_lead(plan.delta),
                ]
            };
            [output, sums, RegionShape::lead(plan.state)]
        });
        merged.into_iter().chain(own).collect()
    }

    fn tensors(&self) -> Vec<Tensor> {
        let tensors = self.directions.iter().map(|way| way.tensors.iter());
        tensors.flatten().copied().collect()
    }

    fn packs(&self) -> Vec<Pack> {
        let mut first_tensor = 0;
        let mut packs = Vec::new();
        for way in &self.directions {
            for mut pack in way.cell.plan().packs.iter().cloned() {
                for part in &mut pack.parts {
                    part.tensor += first_tensor;
                }
                packs.push(pack);
            }
            first_tensor += way.tensors.len();
        }
        packs
    }

    fn is_reverse(&self, part: usize) -> bool {
        self.directions[part].is_reverse
    }

    fn looks_ahead(&self) -> bool {
        self.directions.iter().any(|way| way.is_reverse)
    }

    fn shared_units(&self) -> Option<usize> {
        Some(self.directions[0].cell.plan().outputs)
    }

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
        for (index, way) in self.directions.iter().enumerate() {
            if let Some(key) = pass.training {
                let words = [key.seed, key.pass, key.layer, index as u64];
                way.draw_masks(pass, Key::new(&words), activations);
            }
            way.forward(pass, activations);
        }
        if let Some(merge) = self.merge {
            self.merge_outputs(merge, pass.output, activations);
        }
    }

    fn step_plan(&self, regions: StepRegions<'_>, rows: usize) -> Option<StepPlan> {
        let [way] = &self.directions[..] else {
            return None;
        };
        let stages = &way.cell.plan().forward[0].direct;
        let state = regions.output + way.region;
        let bands = [regions.input, state, state + KEPT, state + SEQUENCE];
        (!way.is_reverse)
            .then(|| StepPlan::new(stages, &bands.map(|region| regions.places[region]), rows))
    }

    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, memory: &mut [E]) {
        let way = &self.directions[0];
        let parameters = &pass.parameters[way.parameters.clone()];
        way.cell.step(plan, pass, parameters, memory);
    }

    fn gather_last(
        &self,
        activations: &RowsMut<'_, E>,
        output: usize,
        last: &mut [E],
        stride: usize,
    ) {
        let units = self.directions[0].cell.plan().outputs;
        for (index, way) in self.directions.iter().enumerate() {
            let mut take = |row: usize, values: &[E]| {
                let row = &mut last[row * stride..][..self.outputs];
                match self.merge {
                    Some(Merge::Concat) => {
                        row[index * units..][..units].copy_from_slice(&values[..units]);
                    }
                    Some(merge) if index > 0 => {
                        for (first, &second) in row.iter_mut().zip(values) {
                            *first = merged(merge, *first, second);
                        }
                    }
                    _ => row.copy_from_slice(&values[..units]),
                }
            };
            let region = output + way.region;
            if !way.is_reverse || self.last == LastOutput::LastStep {
                ended_rows(activations, region, take);
            } else if activations.steps().start == 0 {
                let rows = activations.get(region, Span::Step(0));
                for (row, values) in rows.chunks(activations.stride(region)).enumerate() {
                    take(row, values);
                }
            }
        }
    }

    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        if let Some(merge) = self.merge {
            self.split_gradients(merge, pass.output, activations, deltas);
        }
        if let Some(last) = pass.last_gradient {
            self.add_last(last, pass, activations, deltas);
        }
        for (index, way) in self.directions.iter().enumerate() {
            way.backward(pass, index > 0, activations, deltas);
        }
    }

    fn gradient_parts(&self) -> Vec<GradientPart> {
        let mut parts = Vec::new();
        for way in &self.directions {
            for (tensors, gradients) in &way.parts {
                let (before, own) = (&way.tensors[..tensors.start], &way.tensors[tensors.clone()]);
                let elements = before.iter().map(Tensor::len);
                let rows = own.iter().map(|tensor| tensor.rows);
                parts.push(GradientPart {
                    first: elements.fold(way.parameters.start, usize::saturating_add),
                    rows: rows.fold(0, usize::saturating_add),
                    columns: own[0].columns,
                    packed: gradients
                        .clone()
                        .map(|columns| (way.sums_region(), columns)),
                });
            }
        }
        parts
    }

    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        part: usize,
        rows: Range<usize>,
        sums: &mut [E],
        strip: &Packed<E>,
    ) {
        let parts = self.directions.iter();
        let mut parts = parts.flat_map(|way| way.parts.iter().map(move |part| (way, part)));
        if let Some((way, part)) = parts.nth(part) {
            way.gradients(pass, part, rows, sums, strip);
        }
    }
}
