//! The recurrent layer: once for all cells. It runs a cell through the steps of a window in one direction or both, and gives
//! the gradients of its parameters.
//!
//! A direction has three regions: its states, whose lead is the state that a window starts from; what its cell keeps of
//! the sums for the backward pass; and what a sequence has once, whatever its steps. Of gradients it has those of its output,
//! those of its sums, and those of the state that a sequence starts from. A layer of one direction has the first as its
//! output; a bidirectional one has a region before them, where the two are merged.

use std::ops::Range;

use super::cell::{Cell, CellPlan, GradientProduct};
use super::gradients::{GradientPart, Gradients, ended_rows};
use super::options::{Direction, InitialState, LastOutput, Merge, RecurrentOptions};
use super::{Backward, Forward, Layer, Pack, StatePart, Step, StepRegions, Tensor, arrive};
use crate::Element;
use crate::gemm::{multiply, recur};
use crate::init::TensorRole;
use crate::kernels::dropout::{DrawMask, Key};
use crate::kernels::pack::Packed;
use crate::kernels::product::{Product, ROWS_AS_FAST_AS_ONE, SumStart};
use crate::kernels::recurrence::{Band, Recurrence, Stages, StoreSums, TimeSteps, Units};
use crate::kernels::stream::StepPlan;
use crate::kernels::tile::Segment;
use crate::layout::Layout;
use crate::parallel::cost::CACHE;
use crate::regions::{RegionShape, Rows, RowsMut, Span};

/// See the module's documentation.
pub struct Recurrent<E: Element> {
    directions: Vec<Way<E>>,
    merge: Option<Merge>,
    last: LastOutput,
    outputs: usize,
}

/// A cell of any kind: so that the layer is compiled once for all of them.
trait AnyCell<E: Element>: Send + Sync {
    /// [`Cell::plan`]
    fn plan(&self) -> &CellPlan;

    /// Runs stages forward.
    fn forward(
        &self,
        run: &mut Run<'_, '_, E>,
        stages: &Stages,
        steps: &TimeSteps<'_>,
        is_training: bool,
    );

    /// Runs the stages backward.
    fn backward(&self, run: &mut Run<'_, '_, E>, steps: &TimeSteps<'_>);

    /// Runs a step of a stream.
    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, parameters: &[E], memory: &mut [E]);
}

impl<E: Element, C: Cell<E>> AnyCell<E> for C {
    fn plan(&self) -> &CellPlan {
        Cell::plan(self)
    }

    fn forward(
        &self,
        run: &mut Run<'_, '_, E>,
        stages: &Stages,
        steps: &TimeSteps<'_>,
        is_training: bool,
    ) {
        let units = Cell::forward(self, run.parameters, is_training);
        run.stages(stages, &units, steps);
    }

    fn backward(&self, run: &mut Run<'_, '_, E>, steps: &TimeSteps<'_>) {
        let units = Cell::backward(self, run.parameters);
        run.stages(&Cell::plan(self).backward, &units, steps);
    }

    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, parameters: &[E], memory: &mut [E]) {
        let units = Cell::forward(self, parameters, false);
        plan.run(pass.tier, pass.weights, parameters, &units, memory);
    }
}

/// A direction of a layer.
struct Way<E: Element> {
    cell: Box<dyn AnyCell<E>>,
    is_reverse: bool,
    /// Its states' region, counted from the layer's output region.
    region: usize,
    /// Index of its first parameter among those of the layer, and of the one behind its last.
    parameters: Range<usize>,
    /// Its packed copies among those that the layer reads to run forward, and backward.
    packs: [Range<usize>; 2],
    /// The layer's tensors that are its own.
    tensors: Vec<Tensor>,
    /// Index of its own initial state among the layer's parameters.
    own_state: Option<usize>,
    /// Whether that is trained.
    trains_state: bool,
    /// Index of its first element in the layer's state.
    first_state: usize,
    /// What its gradients are computed in.
    parts: Vec<WayPart>,
}

/// Some of a direction's tensors, whose gradients are computed together, and the columns of gradients of sums that the products
/// among them meet.
type WayPart = (Range<usize>, Option<Range<usize>>);

/// The parts of a cell's tensors: matrices that lie one above the other and meet the same gradients; the last of them with the bias
/// that stands below. What is no such matrix is a part by itself.
fn parts(tensors: &[Tensor], products: &[GradientProduct]) -> Vec<WayPart> {
    let mut parts: Vec<WayPart> = Vec::new();
    let mut group = 0;
    for (index, tensor) in tensors.iter().enumerate() {
        let is_below = |above: &Tensor| {
            above.columns == tensor.columns && is_main(above.role) && is_main(tensor.role)
        };
        if !index
            .checked_sub(1)
            .is_some_and(|above| is_below(&tensors[above]))
        {
            group = parts.len();
        }
        let own = products.iter().filter(|product| product.tensor == index);
        for gradients in own.map(|product| Some(product.gradients())) {
            match parts[group..].iter_mut().find(|part| part.1 == gradients) {
                Some((tensors, _)) => tensors.end = index + 1,
                None => parts.push((index..index + 1, gradients)),
            }
        }
        match parts[group..].last_mut() {
            Some((tensors, _)) => tensors.end = index + 1,
            None => parts.push((index..index + 1, None)),
        }
    }
    parts
}

/// The regions of a direction, behind its states' one.
const KEPT: usize = 1;
const SEQUENCE: usize = 2;
/// Those of gradients.
const SUMS: usize = 1;
const START: usize = 2;

/// Rows below which the inputs' part is computed for all steps ahead where the weights don't stay in most second-level caches; else
/// it is [`ROWS_AS_FAST_AS_ONE`]. As one product it runs at the speed of many rows, and the time loop then streams the recurrent
/// weights alone. Where the cache is larger it gains as well: a fifth at T 20, B 5, I 784, H 300 on an Intel Xeon with 2 MiB.
const FEW_ROWS_LARGE: usize = 24;

/// Inputs below which a sequence that is alone takes them in its time loop, instead of storing what they bring and reading it
/// again.
const FEW_INPUTS: usize = 12;

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

/// Whether a tensor belongs to the sums of all gates.
fn is_main(role: TensorRole) -> bool {
    matches!(
        role,
        TensorRole::InputWeight | TensorRole::RecurrentWeight | TensorRole::RecurrentBias
    )
}

/// The value of a merged output.
fn merged<E: Element>(merge: Merge, first: E, second: E) -> E {
    match merge {
        Merge::Sum | Merge::Concat => first + second,
        Merge::Mean => (first + second) * E::from_f64(0.5),
        Merge::Product => first * second,
    }
}

impl<E: Element> Recurrent<E> {
    /// Merges the outputs of the two directions.
    fn merge_outputs(&self, merge: Merge, output: usize, activations: &mut RowsMut<'_, E>) {
        let block = activations.block();
        let rows = activations.count(block);
        let units = self.directions[0].cell.plan().outputs;
        let [first, second] = [0, 1].map(|index| output + self.directions[index].region);
        let strides = [output, first, second].map(|region| activations.stride(region));
        let [merged_rows, first, second] =
            activations.parts_mut([(output, block), (first, block), (second, block)]);
        for row in 0..rows {
            let merged_row = &mut merged_rows[row * strides[0]..][..self.outputs];
            let first = &first[row * strides[1]..][..units];
            let second = &second[row * strides[2]..][..units];
            if merge == Merge::Concat {
                merged_row[..units].copy_from_slice(first);
                merged_row[units..].copy_from_slice(second);
                continue;
            }
            for (merged_value, (&first, &second)) in
                merged_row.iter_mut().zip(first.iter().zip(second))
            {
                *merged_value = merged(merge, first, second);
            }
        }
    }

    /// Gives the two directions the gradients of their outputs.
    fn split_gradients(
        &self,
        merge: Merge,
        output: usize,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let block = deltas.block();
        let rows = deltas.count(block);
        let units = self.directions[0].cell.plan().outputs;
        let regions = [0, 1].map(|index| output + self.directions[index].region);
        let [first, second] = regions;
        let strides = [output, first, second].map(|region| deltas.stride(region));
        let values =
            regions.map(|region| (activations.get(region, block), activations.stride(region)));
        let [merged_rows, first, second] =
            deltas.parts_mut([(output, block), (first, block), (second, block)]);
        for row in 0..rows {
            let given = &merged_rows[row * strides[0]..][..self.outputs];
            let first = &mut first[row * strides[1]..][..units];
            let second = &mut second[row * strides[2]..][..units];
            match merge {
                Merge::Concat => {
                    first.copy_from_slice(&given[..units]);
                    second.copy_from_slice(&given[units..]);
                }
                _ => {
                    let values = values.map(|(values, stride)| &values[row * stride..][..units]);
                    split(merge, given, [first, second], values);
                }
            }
        }
    }

    /// Adds the gradients of the last outputs to those of the rows that they are.
    fn add_last(
        &self,
        (last, stride): (&[E], usize),
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    ) {
        let layout = deltas.layout();
        let window = deltas.steps();
        let units = self.directions[0].cell.plan().outputs;
        let from_end = |way: &Way<E>| way.is_reverse && self.last == LastOutput::FinalState;
        // The row of a direction that a sequence's last output comes from, if this window has it.
        let row_of = |way: &Way<E>, sequence: usize| {
            let step = if from_end(way) {
                0
            } else {
                layout.length(sequence).checked_sub(1)?
            };
            window
                .contains(&step)
                .then(|| layout.offset(step) - layout.offset(window.start) + sequence)
        };
        for sequence in 0..layout.batch() {
            if layout.length(sequence) == 0 {
                continue;
            }
            let given = &last[sequence * stride..][..self.outputs];
            for (index, way) in self.directions.iter().enumerate() {
                let Some(row) = row_of(way, sequence) else {
                    continue;
                };
                let other = self
                    .directions
                    .get(1 - index)
                    .filter(|_| self.merge.is_some());
                let given = match self.merge {
                    Some(Merge::Concat) => &given[index * units..][..units],
                    _ => &given[..units],
                };
                let other = other.and_then(|other| {
                    let row = row_of(other, sequence)?;
                    let region = pass.output + other.region;
                    let values = activations.get(region, deltas.block());
                    Some(&values[row * activations.stride(region)..][..units])
                });
                let region = pass.output + way.region;
                let (stride, block) = (deltas.stride(region), deltas.block());
                let gradient = &mut deltas.get_mut(region, block)[row * stride..][..units];
                for (unit, (gradient, &given)) in gradient.iter_mut().zip(given).enumerate() {
                    let given = match (self.merge, other) {
                        (Some(Merge::Mean), _) => given * E::from_f64(0.5),
                        (Some(Merge::Product), Some(other)) => given * other[unit],
                        _ => given,
                    };
                    arrive(gradient, given);
                }
            }
        }
    }
}

/// The gradients of two outputs, given that of the merged one.
fn split<E: Element>(merge: Merge, given: &[E], [first, second]: [&mut [E]; 2], values: [&[E]; 2]) {
    for unit in 0..given.len() {
        (first[unit], second[unit]) = match merge {
            Merge::Sum | Merge::Concat => (given[unit], given[unit]),
            Merge::Mean => {
                let half = given[unit] * E::from_f64(0.5);
                (half, half)
            }
            Merge::Product => (given[unit] * values[1][unit], given[unit] * values[0][unit]),
        };
    }
}

impl<E: Element> Way<E> {
    /// The regions of its gradients of outputs and of sums, counted from the first one's.
    fn is_in_place(&self) -> bool {
        let plan = self.cell.plan();
        plan.delta == plan.outputs
    }

    fn sums_region(&self) -> usize {
        self.region + if self.is_in_place() { 0 } else { SUMS }
    }

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
    fn draw_masks(&self, pass: &Forward<'_, E>, key: Key, activations: &mut RowsMut<'_, E>) {
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

    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>) {
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

    fn backward(
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

    /// Adds the gradients of some rows of some of its tensors, which lie one above the other.
    fn gradients(
        &self,
        pass: &Gradients<'_, E>,
        (tensors, gradients): &WayPart,
        rows: Range<usize>,
        mut sums: &mut [E],
        strip: &Packed<E>,
    ) {
        let plan = self.cell.plan();
        let delta = self.sums_region();
        let mut above = 0;
        for index in tensors.clone() {
            let tensor = &self.tensors[index];
            let from = rows.start.clamp(above, above + tensor.rows) - above;
            let to = rows.end.clamp(above, above + tensor.rows) - above;
            above += tensor.rows;
            let own;
            (own, sums) = sums.split_at_mut((to - from) * tensor.columns);
            if own.is_empty() {
                continue;
            }
            match tensor.role {
                TensorRole::InitialState | TensorRole::InitialCell => {
                    if self.trains_state && pass.own_start && pass.window.start == 0 {
                        let first = if tensor.role == TensorRole::InitialCell {
                            plan.outputs
                        } else {
                            0
                        };
                        pass.add_leads(self.region + START, first, own);
                    }
                    continue;
                }
                _ => {}
            }
            for product in plan.products.iter().filter(|product| {
                product.tensor == index && Some(product.gradients()) == *gradients
            }) {
                let sums = (&mut own[product.columns.start..], tensor.columns);
                pass.add_products(strip, product.left.of(self.region), from, sums);
            }
            for sum in plan.sums.iter().filter(|sum| sum.tensor == index) {
                for row in from..to {
                    let own = &mut own[(row - from) * tensor.columns..][..tensor.columns];
                    let start = sum.delta + row * tensor.columns;
                    match &sum.times {
                        None => pass.add_rows(delta, start, own),
                        Some(times) => {
                            let (gate, left) = times[row];
                            pass.add_scaled_rows(delta, gate, left.of(self.region), own);
                        }
                    }
                }
            }
        }
    }
}

/// What the stages of a time loop run with.
struct Run<'a, 'b, E: Element> {
    pass: (crate::simd::Tier, crate::parallel::Crew<'a>),
    weights: &'a [Packed<E>],
    parameters: &'a [E],
    bands: &'a mut [Band<'b, E>],
}

impl<E: Element> Run<'_, '_, E> {
    fn stages(&mut self, stages: &Stages, units: &impl Units<E>, steps: &TimeSteps<'_>) {
        let (tier, crew) = self.pass;
        let recurrence = Recurrence {
            bands: self.bands,
            stages,
            weights: self.weights,
            parameters: self.parameters,
            units,
            steps,
        };
        recur(recurrence, tier, crew);
    }
}
