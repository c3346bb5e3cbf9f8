//! The backward pass: back through the layers of the last step, then back through time window by window.

use std::ops::Range;

use super::task::Task;
use super::{
    Plan, Training, Transposes, WINDOW_ROWS, Workspace, head_regions, most_rows, output_len,
};
use crate::buffer::Buffer;
use crate::caller_sequences::CallerSequences;
use crate::kernels::pack::Packed;
use crate::kernels::product::{ROWS_AS_FAST_AS_ONE, operations};
use crate::kernels::rows::add_rows_backwards;
use crate::layer::gradients::{GradientPart, Gradients, pack};
use crate::layer::{Backward, WINDOW_STEPS, arrive};
use crate::layout::{Layout, Order, Strides};
use crate::model::{LayerSlot, Model, Output};
use crate::parallel::{CallCost, Crew, Cut, cost};
use crate::regions::{Rows, RowsMut, Shard, Span};
use crate::{Element, Result, shape};

/// What a backward pass needs besides the workspace.
#[derive(Debug)]
pub struct BackwardBuffers<E: Element> {
    /// Packed gradients of a window.
    strip: Packed<E>,
    /// The rows of the [`halves`] of the batch, and rows that a window has about.
    halves: [Range<usize>; 2],
    limit: usize,
    /// The gradients of the parameters by the second half of the sequences.
    second: Buffer<E>,
    /// What each layer reads.
    pub weights: Transposes<E>,
}

/// The gradients that come in and go out.
#[derive(Debug)]
pub struct BackwardArguments<'a, E> {
    /// That of the gradients of inputs and of outputs of all steps.
    pub order: Order,
    /// Of the outputs.
    pub dy: Option<&'a [E]>,
    /// Of the final states.
    pub dstate_out: Option<&'a [E]>,
    /// Of the inputs.
    pub dx: Option<&'a mut [E]>,
    /// Of the states that the sequences start from.
    pub dstate_in: Option<&'a mut [E]>,
}

/// The rows of a layer's parameters whose gradients one thread computes, by each half of the sequences.
struct ParameterTask<'a, E: Element> {
    halves: [(Range<usize>, &'a mut [E]); 2],
    columns: usize,
    parts: usize,
}

impl<E: Element> Cut for ParameterTask<'_, E> {
    fn size(&self) -> usize {
        self.parts
    }

    fn cut(self, left: usize) -> (Self, Self) {
        let columns = self.columns;
        let rows: usize = self.halves.iter().map(|half| half.0.len()).sum();
        let mut count = rows * left / self.parts;
        let [first, second] = self.halves.map(|(Range { start, end }, gradients)| {
            let row = start + count.min(end - start);
            count -= row - start;
            let (before, behind) = gradients.split_at_mut((row - start) * columns);
            ((start..row, before), (row..end, behind))
        });
        let part = |halves, parts| Self {
            halves,
            columns,
            parts,
        };
        let behind = part([first.1, second.1], self.parts - left);
        (part([first.0, second.0], left), behind)
    }
}

/// What all parts of a pass shard.
struct BackwardPass<'a, E: Element> {
    model: &'a Model<E>,
    weights: &'a Transposes<E>,
    training: Training,
    dy: Option<&'a [E]>,
    dy_strides: Strides,
    dstate_out: Option<&'a [E]>,
    input_gradient: bool,
    start_gradient: bool,
    own_start: bool,
    /// The layers before this one have nothing to compute.
    first: usize,
    /// The threads of a shard.
    crew: Crew<'a>,
}

impl<E: Element> Default for BackwardBuffers<E> {
    fn default() -> Self {
        Self {
            strip: Packed::new(),
            halves: [0..0, 0..0],
            limit: 0,
            second: Buffer::new(),
            weights: Transposes::default(),
        }
    }
}

impl<E: Element> BackwardBuffers<E> {
    /// Makes room for a backward pass over what `workspace` keeps, and where `smaller` or there is one shard for one over
    /// any batch that is no larger; packs the weights that are not packed.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn prepare(
        &mut self,
        model: &Model<E>,
        workspace: &mut Workspace<E>,
        smaller: bool,
        input_gradient: bool,
    ) -> Result<()> {
        let what = "the gradients of a window";
        let Workspace {
            layout,
            used,
            plan,
            threads,
            ..
        } = workspace;
        self.halves = halves(model, layout);
        let is_halved = !self.halves[1].is_empty();
        // A smaller batch may have one sum where this one has two, or be shared by more threads, and then have larger windows.
        let limit = if smaller {
            window_limit(model, layout, *threads, false)
        } else {
            window_limit(model, layout, plan.threads(), is_halved)
        };
        self.limit = limit;
        let ahead = model.looks_ahead();
        let room = |part: &Layout| {
            if smaller || *used == 1 {
                return most_rows(part, limit).min(WINDOW_STEPS.saturating_mul(part.batch()));
            }
            let windows = layout.windows_backwards(limit, WINDOW_STEPS);
            windows.map(|window| part.count(&window)).max().unwrap_or(0)
        };
        for shard in &mut workspace.sequence[..*used] {
            let batch = shard.layout.batch();
            // Where a layer looks ahead, its gradients are those of all steps at once.
            let rows = if ahead {
                shard.layout.total()
            } else {
                room(&shard.layout)
            };
            let regions = model.gradient_regions();
            shard.deltas.configure(what, regions, batch, rows)?;
        }
        for shard in &mut workspace.head[..*used] {
            let batch = shard.layout.batch();
            let regions = head_regions(model);
            shard.deltas.configure(what, regions, batch, batch)?;
        }
        let rows = room(layout);
        for place in &model.places {
            self.strip.shape(what, model.tier, rows, place.columns())?;
        }
        let second = if is_halved { model.parameters.len() } else { 0 };
        self.second.resize(what, second)?;
        self.weights.prepare(model, input_gradient)
    }
}

impl<E: Element> Workspace<E> {
    /// Checks the sizes of a backward pass's arguments.
    pub fn check_backward(&self, model: &Model<E>, flow: &BackwardArguments<'_, E>) -> Result<()> {
        let (batch, steps) = self.shape();
        let x = shape::product("dx", &[batch, steps, model.input_size])?;
        let state = shape::product("the state", &[batch, model.state_size])?;
        let output = output_len(model, batch, steps)?;
        for (name, buffer, expected) in [
            ("dy", flow.dy, output),
            ("dstate_out", flow.dstate_out, state),
            ("dx", flow.dx.as_deref(), x),
            ("dstate_in", flow.dstate_in.as_deref(), state),
        ] {
            if let Some(buffer) = buffer {
                shape::expect_len(name, buffer.len(), expected)?;
            }
        }
        Ok(())
    }

    /// What a backward pass costs. Where one thread runs all rows, the others only help with the gradients of the parameters.
    pub fn backward_cost(&self, model: &Model<E>, buffers: &BackwardBuffers<E>) -> CallCost {
        let batch = self.layout.batch();
        let most = WINDOW_STEPS.saturating_mul(batch);
        let window = most_rows(&self.layout, buffers.limit).min(most);
        let times = if self.plan == Plan::Alone { 1 } else { 2 };
        let rows = self.layout.total();
        CallCost {
            operations: rows
                .max(ROWS_AS_FAST_AS_ONE)
                .saturating_mul(model.operations())
                .saturating_mul(times),
            // For the rows of a window, to pack their gradients, and for the parameters.
            meetings: 3 * rows.div_ceil(window.max(1)),
        }
    }

    /// Adds the gradients of the parameters to `sums`, in room that [`BackwardBuffers::prepare`] has made.
    pub fn backward(
        &mut self,
        model: &Model<E>,
        crew: Crew<'_>,
        training: Training,
        gradient: &mut BackwardBuffers<E>,
        mut flow: BackwardArguments<'_, E>,
        sums: &mut [E],
    ) {
        let x_strides = self.input_strides(model, flow.order);
        let state_strides = self.state_strides(model);
        for (buffer, strides) in [
            (&mut flow.dx, x_strides),
            (&mut flow.dstate_in, state_strides),
        ] {
            if let Some(buffer) = buffer {
                strides.clear_empty(buffer, &self.layout);
            }
        }
        if self.used == 0 {
            return;
        }
        let shared = BackwardPass {
            model,
            weights: &gradient.weights,
            training,
            dy: flow.dy,
            dy_strides: self.output_strides(model, flow.order),
            dstate_out: flow.dstate_out,
            input_gradient: flow.dx.is_some(),
            start_gradient: flow.dstate_in.is_some(),
            own_start: self.own_start,
            first: match (&flow.dx, &flow.dstate_in) {
                (None, None) => model.first_trainable(),
                _ => 0,
            },
            crew: self.crew_of_shard(crew),
        };
        let layers = model.sequence_layers();
        let sequence = &mut self.sequence[..self.used];
        let head = &mut self.head[..self.used];
        let strip = &mut gradient.strip;
        gradient.second.fill(E::ZERO);
        let mut sums = Sums {
            halves: gradient.halves.clone(),
            of: [sums, &mut gradient.second],
        };
        if model.output == Output::Last {
            let task = Task {
                sequence: &mut *sequence,
                head: &mut *head,
                values: None,
                states: None,
            };
            crew.fork(task, &|mut task| shared.head(&mut task));
            for index in layers..model.places.len() {
                shared.parameters(crew, index, &*head, 0..1, strip, &mut sums);
            }
        }
        if shared.first >= layers && shared.first > 0 {
            sums.add(model);
            return;
        }
        let limit = gradient.limit;
        let all = 0..self.layout.steps();
        let mut run = |window: Range<usize>, sequence: &mut [Shard<E>]| {
            let dx = flow.dx.as_deref_mut();
            let dstate_in = flow.dstate_in.as_deref_mut();
            let layout = &self.layout;
            let task = Task {
                sequence,
                head: &mut *head,
                values: dx.map(|dx| CallerSequences::new(dx, x_strides, layout)),
                states: dstate_in.map(|state| CallerSequences::new(state, state_strides, layout)),
            };
            crew.fork(task, &|mut task| shared.window(&mut task, window.clone()));
        };
        let ahead = model.looks_ahead();
        if ahead {
            run(all, &mut *sequence);
        }
        for window in self.layout.windows_backwards(limit, WINDOW_STEPS) {
            if !ahead {
                run(window.clone(), &mut *sequence);
            }
            for index in 0..layers {
                shared.parameters(crew, index, &*sequence, window.clone(), strip, &mut sums);
            }
        }
        sums.add(model);
    }
}

/// Where the gradients of the parameters are summed.
struct Sums<'a, E> {
    /// The rows of each half of the batch.
    halves: [Range<usize>; 2],
    /// What each brings, of all parameters; of the second one nothing where it has no rows.
    of: [&'a mut [E]; 2],
}

impl<E: Element> Sums<'_, E> {
    /// Those of a matrix whose first element is the parameter `start`, for so many threads.
    fn task(
        &mut self,
        start: usize,
        rows: usize,
        columns: usize,
        parts: usize,
    ) -> ParameterTask<'_, E> {
        let [first, second] = self.of.each_mut().map(|sums| match sums.is_empty() {
            true => (0..0, &mut [][..]),
            false => (0..rows, &mut sums[start..][..rows * columns]),
        });
        ParameterTask {
            halves: [first, second],
            columns,
            parts,
        }
    }

    /// Adds what the second half has brought to the first one's.
    fn add(&mut self, model: &Model<E>) {
        let [sums, second] = &mut self.of;
        if second.is_empty() {
            return;
        }
        for place in model.places.iter().filter(|place| place.trainable) {
            let (sums, second) = (&mut sums[place.parameters()], &second[place.parameters()]);
            add_rows_backwards(model.tier, second, sums.len(), 1, sums);
        }
    }
}

impl<E: Element> BackwardPass<'_, E> {
    /// Runs the layers behind the last recurrent one for the only shard of a task.
    fn head(&self, task: &mut Task<'_, E>) {
        let (_, head, ..) = task.only_shard();
        let model = self.model;
        let first = model.sequence_layers();
        let layers = first..model.places.len();
        let activations = head.activations.rows(&head.layout, 0..1);
        let mut deltas = head.deltas.rows_mut(&head.layout, 0..1);
        self.read(&mut deltas, model.output_region(true));
        self.layers(layers, &activations, &mut deltas, None);
    }

    /// Runs a window of the only shard of a task.
    fn window(&self, task: &mut Task<'_, E>, steps: Range<usize>) {
        let model = self.model;
        let layers = model.sequence_layers();
        let (sequence, head, dx, dstate_in) = task.only_shard();
        let all = sequence.layout.steps();
        let steps = steps.start.min(all)..steps.end.min(all);
        if steps.is_empty() {
            return;
        }
        let activations = sequence.activations.rows(&sequence.layout, 0..all);
        let mut deltas = sequence.deltas.rows_mut(&sequence.layout, steps.clone());
        match model.output {
            Output::All => {
                self.read(&mut deltas, model.output_region(true));
                self.layers(0..layers, &activations, &mut deltas, None);
            }
            Output::Last => {
                let head = head.deltas.rows(&head.layout, 0..1);
                self.layers(0..layers, &activations, &mut deltas, Some(&head));
                if self.input_gradient {
                    self.end_input(&head, &mut deltas);
                }
            }
        }

        if let (0, Some(dstate_in)) = (steps.start, dstate_in) {
            self.write_states(&deltas, dstate_in);
        }
        if let Some(dx) = dx {
            self.write_input(&mut deltas, dx);
        }
    }

    /// Runs some layers backward. `head` has the gradients of what has been gathered of their outputs.
    fn layers(
        &self,
        layers: Range<usize>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
        head: Option<&Rows<'_, E>>,
    ) {
        let model = self.model;
        let first_wanted = match self.input_gradient {
            true => 0,
            false => self.first + 1,
        };
        for index in layers.rev().take_while(|&index| index >= self.first) {
            let place = &model.places[index];
            let value = &model.values[index + 1];
            let is_given = head.is_none() && index + 1 == model.places.len();
            if !value.is_read && !is_given {
                deltas.get_mut(place.region, deltas.block()).fill(E::ZERO);
            }
            let last = head.filter(|_| value.is_gathered);
            let input = place.inputs[0];
            let pass = Backward {
                tier: model.tier,
                crew: self.crew,
                input: place.input_regions.training[0],
                inputs: &place.inputs,
                regions: &place.input_regions.training,
                output: place.region,
                parameters: model.layer_parameters(index),
                weights: self.weights.layer(index),
                state_gradient: self.dstate_out.map(|state| &state[place.first_state..]),
                state_stride: model.state_size,
                last_gradient: last.map(|head| last_rows(head, place.region)),
                first_wanted,
                input_gradient: input.value >= first_wanted,
                accumulate: input.adds,
                start_gradient: self.start_gradient,
                own_start: self.own_start,
                training: self.training.key(index),
            };
            place.layer.backward(&pass, activations, deltas);
        }
    }

    /// The gradients of the last inputs, as far as layers only see these, arrive where the sequences end.
    fn end_input(&self, head: &Rows<'_, E>, deltas: &mut RowsMut<'_, E>) {
        let input = &self.model.values[0];
        if !input.is_read {
            deltas.get_mut(0, deltas.block()).fill(E::ZERO);
        }
        if !input.is_gathered {
            return;
        }
        let (last, last_stride) = last_rows(head, 0);
        let (layout, stride) = (deltas.layout(), deltas.stride(0));
        for step in deltas.steps() {
            let ended = layout.rows(step + 1);
            let rows = deltas.get_mut(0, Span::Step(step)).chunks_mut(stride);
            for (row, gradient) in rows.enumerate().skip(ended) {
                let last = &last[row * last_stride..][..input.size];
                for (gradient, &last) in gradient.iter_mut().zip(last) {
                    arrive(gradient, last);
                }
            }
        }
    }

    /// Adds a layer's gradients of a window of some shards.
    fn parameters(
        &self,
        crew: Crew<'_>,
        index: usize,
        shards: &[Shard<E>],
        window: Range<usize>,
        strip: &mut Packed<E>,
        sums: &mut Sums<'_, E>,
    ) {
        let place: &LayerSlot<E> = &self.model.places[index];
        if !place.trainable {
            return;
        }
        let held = match self.model.looks_ahead() {
            true => {
                let steps = shards.iter().map(|shard| shard.layout.steps());
                0..steps.max().unwrap_or(0)
            }
            false => window.clone(),
        };
        let pass = |rows: Range<usize>, first| Gradients {
            tier: self.model.tier,
            input: place.input_regions.training[0],
            output: place.region,
            shards,
            held: held.clone(),
            window: window.clone(),
            rows,
            first,
            own_start: self.own_start,
        };
        let [first, second] = sums.halves.clone();
        let is_halved = !second.is_empty();
        let first = pass(first, 0);
        let (both, one);
        let halves = if is_halved {
            let depth = first.depth();
            both = [first, pass(second, depth)];
            &both[..]
        } else {
            one = [first];
            &one[..]
        };
        for (number, part) in place.gradient_parts.iter().enumerate() {
            let GradientPart {
                first,
                rows,
                columns,
                ref packed,
            } = *part;
            let window_rows = shards.iter().map(|shard| shard.layout.count(&window));
            let met = packed.as_ref().map_or(columns, |(_, met)| met.len());
            let worth = operations(window_rows.sum(), rows, met) / cost::PIECE;
            let parts = crew.at_most(worth).threads().min(rows);
            if let Some((region, columns)) = packed {
                pack(halves, crew, strip, *region, columns);
            }
            let (strip, layer) = (&*strip, &place.layer);
            let start = place.parameters().start + first;
            let task = sums.task(start, rows, columns, parts);
            crew.fork(task, &|task: ParameterTask<'_, E>| {
                for (half, (rows, sums)) in halves.iter().zip(task.halves) {
                    if !rows.is_empty() {
                        layer.gradients(half, number, rows, sums, strip);
                    }
                }
            });
        }
    }

    /// The caller's gradient of the outputs. The rest of a row is 0.
    fn read(&self, deltas: &mut RowsMut<'_, E>, region: usize) {
        let stride = deltas.stride(region);
        let given = self.dy.map_or(0, |_| self.model.output_size());
        for row in deltas.get_mut(region, deltas.block()).chunks_mut(stride) {
            row[given..].fill(E::ZERO);
        }
        if let Some(dy) = self.dy {
            deltas.read((self.model.tier, self.crew), region, dy, self.dy_strides);
        }
    }

    /// The gradients of the states that the sequences start from, to the caller.
    fn write_states(&self, deltas: &RowsMut<'_, E>, dstate_in: &mut CallerSequences<'_, E>) {
        for place in &self.model.places[..self.model.sequence_layers()] {
            for (region, part, _) in place.states() {
                // The last of the region's direction.
                let region = region + 2;
                let stride = deltas.stride(region);
                for (row, values) in deltas.get(region, Span::Lead).chunks(stride).enumerate() {
                    let values = &values[..part.len()];
                    dstate_in.step_mut(row, 0)[part.clone()].copy_from_slice(values);
                }
            }
        }
    }

    /// The gradients of the window's inputs, to the caller; 0 behind the end of a sequence.
    fn write_input(&self, deltas: &mut RowsMut<'_, E>, dx: &mut CallerSequences<'_, E>) {
        let (layout, stride) = (deltas.layout(), deltas.stride(0));
        if let Some(standardization) = self.model.input_map() {
            for row in deltas.get_mut(0, deltas.block()).chunks_mut(stride) {
                for (dx, &inverse) in row.iter_mut().zip(standardization.inverse()) {
                    *dx *= inverse;
                }
            }
        }
        // Where a layer beside the embedding reads an index as a number, too.
        for row in deltas.get_mut(0, deltas.block()).chunks_mut(stride) {
            for index in &self.model.indices {
                row[index.column] = E::ZERO;
            }
        }
        for step in deltas.steps() {
            for row in layout.rows(step + 1)..layout.rows(step) {
                dx.clear_from(row, layout.length(row));
            }
        }
        dx.write((self.model.tier, self.crew), deltas, 0);
    }
}

/// Elements of a window's gradients below which smaller windows cost time.
const SMALL_WINDOW: usize = 16 << 10;

/// Elements of a window's gradients up to which it may have more than [`WINDOW_ROWS`] rows: threads meet less often.
const LARGE_WINDOW: usize = 32 << 10;

/// Rows that a window has about, at most: a tenth of all, so that its gradients and their packed copy together have a
/// fifth of the elements of the activations; a twelfth where the sums of both [`halves`] take room, too. But not so few that
/// time is lost: the gradients of a window have at least [`SMALL_WINDOW`] elements, and half as many as there are parameters,
/// whose gradients every window reads and writes. Where more than two threads share it, it has half as many times more, but at
/// most a quarter of all: they come together three times a window, and each has to have something to do in between.
fn window_limit<E: Element>(
    model: &Model<E>,
    layout: &Layout,
    threads: usize,
    is_halved: bool,
) -> usize {
    let columns = columns(model);
    let least = SMALL_WINDOW.max(model.multiplied_parameters() / 2) / columns.max(1);
    let most = WINDOW_ROWS.max(LARGE_WINDOW / columns.max(1));
    let wanted = layout.total() / if is_halved { 12 } else { 10 };
    let limit = wanted.clamp(least.min(WINDOW_ROWS), most);
    limit.max((limit * threads / 2).min(layout.total() / 4))
}

/// The steps of a batch are as many times the rows of its weights, on average, where gradients are summed by [`halves`]: those of
/// the second half then take a sixteenth of the memory of the activations, at most.
const STEPS_OF_ROWS: usize = 16;

/// Steps times parameters from which they are: less is not worth two threads.
const LEAST_HALVED: usize = 1 << 19;

/// The rows of the halves of the sequences by which the gradients of parameters are summed; the first one has all where they are
/// few, or the steps of all are few beside the rows of the weights. Two threads then read of each other's rows only sums, once a
/// pass. On two cores of an Intel Xeon training gained 18 % at T 28, B 128, I 28, H 128 and 28 % at T 1000, B 16, I 32, H 64
/// (LSTM 14 and 26 %, GRU 27 and 39 %); one thread lost 1 to 5 %.
fn halves<E: Element>(model: &Model<E>, layout: &Layout) -> [Range<usize>; 2] {
    let (batch, steps) = (layout.batch(), layout.total());
    let parameters = model.parameters.len();
    let is_halved = batch >= 2 * ROWS_AS_FAST_AS_ONE
        && parameters.saturating_mul(steps) >= LEAST_HALVED
        && parameters.saturating_mul(STEPS_OF_ROWS) <= steps.saturating_mul(columns(model));
    let border = if is_halved {
        layout.part_start(1, 2)
    } else {
        batch
    };
    [0..border, border..batch]
}

/// Columns of the weights of all layers.
fn columns<E: Element>(model: &Model<E>) -> usize {
    model.places.iter().map(LayerSlot::columns).sum()
}

/// The rows of a region that last outputs are gathered in, and the distance of one from the next.
fn last_rows<'a, E: Element>(head: &'a Rows<'_, E>, region: usize) -> (&'a [E], usize) {
    (head.get(region, Span::Step(0)), head.stride(region))
}
