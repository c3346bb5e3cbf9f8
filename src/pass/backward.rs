//! The backward pass: back through the layers of the last step, then back through time window by window.

use std::ops::Range;

use super::{Training, WINDOW_ROWS, Workspace, head_regions, output_len};
use crate::arena::{Arena, Block, Scatter, Shard};
use crate::buffer::try_reserve;
use crate::kernels::pack::Packed;
use crate::layer::{Backward, Gradients, WINDOW_STEPS};
use crate::layout::Layout;
use crate::model::{Model, Output, Place};
use crate::parallel::{Cut, fork};
use crate::{Element, Result, shape};

/// What a backward pass needs besides what forward has kept.
#[derive(Debug, Default)]
pub struct Gradient<E: Element> {
    /// Gradients of a window, in the regions of [`Workspace::activations`].
    deltas: Arena<E>,
    /// The same for [`Workspace::head`].
    head: Arena<E>,
    /// Packed gradients of a window, one for each thread.
    strips: Vec<Packed<E>>,
    /// What each layer has packed to run backward.
    weights: Vec<Vec<Packed<E>>>,
}

/// The gradients that come in and go out.
#[derive(Debug)]
pub struct Flow<'a, E> {
    /// Of the outputs.
    pub dy: Option<&'a [E]>,
    /// Of the final states.
    pub dstate_out: Option<&'a [E]>,
    /// Of the inputs.
    pub dx: Option<&'a mut [E]>,
    /// Of the states that the sequences start from.
    pub dstate_in: Option<&'a mut [E]>,
}

/// The rows of a window that one thread runs.
struct Task<'a, E: Element> {
    activations: Shard<'a, E>,
    deltas: Shard<'a, E>,
    head: &'a Shard<'a, E>,
    dx: Option<Scatter<'a, E>>,
    dstate_in: Option<Scatter<'a, E>>,
}

impl<E: Element> Cut for Task<'_, E> {
    fn size(&self) -> usize {
        self.deltas.rows().len()
    }

    fn cut(self, left: usize, parts: usize) -> (Self, Self) {
        let Range { start, end } = self.deltas.rows();
        let row = self.deltas.layout().cut(start, end, left, parts);
        let (activations, activations_right) = self.activations.split_at(row);
        let (deltas, deltas_right) = self.deltas.split_at(row);
        let (dx, dx_right) = self.dx.map(|dx| dx.split_at(row)).unzip();
        let (dstate_in, dstate_right) = self.dstate_in.map(|state| state.split_at(row)).unzip();
        let left = Self {
            activations,
            deltas,
            dx,
            dstate_in,
            ..self
        };
        let right = Self {
            activations: activations_right,
            deltas: deltas_right,
            dx: dx_right,
            dstate_in: dstate_right,
            ..self
        };
        (left, right)
    }
}

/// The rows of a layer's parameters whose gradients one thread computes.
struct ParameterTask<'a, E: Element> {
    rows: Range<usize>,
    gradients: &'a mut [E],
    strips: &'a mut [Packed<E>],
}

impl<E: Element> Cut for ParameterTask<'_, E> {
    fn size(&self) -> usize {
        self.rows.len()
    }

    fn cut(self, left: usize, parts: usize) -> (Self, Self) {
        let Range { start, end } = self.rows;
        let columns = self.gradients.len() / (end - start);
        let row = start + (end - start) * left / parts;
        let (gradients, gradients_right) = self.gradients.split_at_mut((row - start) * columns);
        let (strips, strips_right) = self.strips.split_at_mut(left);
        let left = Self {
            rows: start..row,
            gradients,
            strips,
        };
        let right = Self {
            rows: row..end,
            gradients: gradients_right,
            strips: strips_right,
        };
        (left, right)
    }
}

/// What all parts of a pass share.
struct Shared<'a, E: Element> {
    model: &'a Model<E>,
    weights: &'a [Vec<Packed<E>>],
    training: Training,
    steps: usize,
    dy: Option<&'a [E]>,
    dstate_out: Option<&'a [E]>,
    input_gradient: bool,
}

impl<E: Element> Gradient<E> {
    /// Makes room for a backward pass over what `workspace` keeps, and packs the weights.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn prepare(
        &mut self,
        model: &Model<E>,
        workspace: &Workspace<E>,
        threads: usize,
        pack: bool,
    ) -> Result<()> {
        let what = "the gradients of a window";
        let layout = &workspace.layout;
        let all = layout.offset(layout.steps());
        let rows = all.min(WINDOW_ROWS.max(layout.batch()));
        self.deltas.configure(
            what,
            model.regions(model.sequence_layers(), layout.batch()),
            rows,
        )?;
        self.head
            .configure(what, head_regions(model), layout.batch())?;
        try_reserve(what, &mut self.strips, threads)?;
        while self.strips.len() < threads {
            self.strips.push(Packed::new());
        }
        for strip in &mut self.strips[..threads] {
            for place in &model.places {
                strip.shape(what, model.tier, rows.max(layout.batch()), place.columns())?;
            }
        }
        let count = model.places.len();
        if pack || self.weights.len() < count {
            try_reserve(what, &mut self.weights, count)?;
            self.weights.resize_with(count, Vec::new);
            for (index, weights) in self.weights.iter_mut().enumerate() {
                let layer = &model.places[index].layer;
                layer.pack_backward(model.tier, model.layer_parameters(index), weights)?;
            }
        }
        Ok(())
    }
}

impl<E: Element> Workspace<E> {
    /// Checks the sizes of a backward pass's arguments.
    pub fn check_backward(&self, model: &Model<E>, flow: &Flow<'_, E>) -> Result<()> {
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

    /// Operations of a backward pass, about.
    pub fn operations(&self, model: &Model<E>) -> usize {
        let rows = self.layout.offset(self.layout.steps());
        rows.saturating_mul(model.operations()).saturating_mul(2)
    }

    /// Adds the gradients of the parameters to `sums`, in room that [`Gradient::prepare`] has made.
    pub fn backward(
        &mut self,
        model: &Model<E>,
        threads: usize,
        training: Training,
        gradient: &mut Gradient<E>,
        mut flow: Flow<'_, E>,
        sums: &mut [E],
    ) -> Result<()> {
        let shared = Shared {
            model,
            weights: &gradient.weights,
            training,
            steps: self.steps,
            dy: flow.dy,
            dstate_out: flow.dstate_out,
            input_gradient: flow.dx.is_some(),
        };
        let sequence_layers = model.sequence_layers();
        let layout: &Layout = &self.layout;
        let head = self.head.shard(&self.last, 0..1);
        let mut head_deltas = gradient.head.shard(&self.last, 0..1);
        if model.output == Output::Last {
            shared.read(&mut head_deltas, model.places.len() - sequence_layers, 1);
            let layers = sequence_layers..model.places.len();
            shared.layers(layers.clone(), &head, &mut head_deltas, sequence_layers > 0);
            for index in layers {
                let region = index - sequence_layers;
                let pass = shared.gradients(region, &head, &head_deltas);
                shared.parameters(threads, index, &pass, &mut gradient.strips, sums)?;
            }
        }
        let mut end = layout.steps();
        while end > 0 {
            let start = layout.window_start(end, WINDOW_ROWS, WINDOW_STEPS);
            let dx = flow.dx.as_deref_mut();
            let dstate_in = flow.dstate_in.as_deref_mut();
            let task = Task {
                activations: self.activations.shard(layout, 0..layout.steps()),
                deltas: gradient.deltas.shard(layout, start..end),
                head: &head_deltas,
                dx: dx.map(|dx| Scatter::new(dx, self.steps * model.input_size, layout)),
                dstate_in: dstate_in.map(|state| Scatter::new(state, model.state_size, layout)),
            };
            fork(threads, task, &|task| shared.window(task));

            let activations = self.activations.shard(layout, 0..layout.steps());
            let deltas = gradient.deltas.shard(layout, start..end);
            for index in 0..sequence_layers {
                let pass = shared.gradients(index, &activations, &deltas);
                shared.parameters(threads, index, &pass, &mut gradient.strips, sums)?;
            }
            end = start;
        }
        Ok(())
    }
}

impl<E: Element> Shared<'_, E> {
    /// Runs a part of a window.
    fn window(&self, mut task: Task<'_, E>) {
        let layers = self.model.sequence_layers();
        match self.model.output {
            Output::All => self.read(&mut task.deltas, layers, self.steps),
            Output::Last => read_ends(&mut task.deltas, task.head, layers),
        }
        self.layers(0..layers, &task.activations, &mut task.deltas, false);
        if task.deltas.window().start == 0 {
            self.write_states(&mut task);
        }
        self.write_input(&mut task);
    }

    /// Runs some layers backward, whose regions start with the input of the first. `below` tells that there are more.
    fn layers(
        &self,
        layers: Range<usize>,
        activations: &Shard<'_, E>,
        deltas: &mut Shard<'_, E>,
        below: bool,
    ) {
        let model = self.model;
        let first = layers.start;
        for index in layers.rev() {
            let place = &model.places[index];
            let pass = Backward {
                tier: model.tier,
                input: index - first,
                output: index - first + 1,
                weights: &self.weights[index],
                state_gradient: self.dstate_out.map(|state| &state[place.first_state..]),
                state_stride: model.state_size,
                input_gradient: index > first || below || self.input_gradient,
                mask: self.training.mask(index),
            };
            place.layer.backward(&pass, activations, deltas);
        }
    }

    /// What the layer whose input is in `region` gets to add to its gradients.
    fn gradients<'a, 'b>(
        &self,
        region: usize,
        activations: &'a Shard<'b, E>,
        deltas: &'a Shard<'b, E>,
    ) -> Gradients<'a, 'b, E> {
        Gradients {
            tier: self.model.tier,
            input: region,
            output: region + 1,
            activations,
            deltas,
        }
    }

    /// Adds a layer's gradients of a window.
    fn parameters(
        &self,
        threads: usize,
        index: usize,
        pass: &Gradients<'_, '_, E>,
        strips: &mut [Packed<E>],
        sums: &mut [E],
    ) -> Result<()> {
        let place: &Place<E> = &self.model.places[index];
        if place.parameter_count == 0 {
            return Ok(());
        }
        let window = pass.deltas.window();
        let block = Block::Steps(window.start, window.end);
        let depth = pass.deltas.count(pass.output, block);
        for strip in &mut *strips {
            strip.shape(
                "the gradients of a window",
                self.model.tier,
                depth,
                place.columns(),
            )?;
        }
        let rows = place.parameter_count / place.columns();
        let task = ParameterTask {
            rows: 0..rows,
            gradients: &mut sums[place.parameters()],
            strips,
        };
        fork(threads, task, &|task| {
            let strip = &mut task.strips[0];
            place
                .layer
                .gradients(pass, task.rows, task.gradients, strip);
        });
        Ok(())
    }

    /// The caller's gradient of the outputs, of `steps` steps of each sequence. The rest of a row is 0.
    fn read(&self, deltas: &mut Shard<'_, E>, region: usize, steps: usize) {
        let (size, stride) = (self.model.output_size(), deltas.stride(region));
        for step in deltas.window() {
            for row in deltas.get_mut(region, Block::Step(step)).chunks_mut(stride) {
                let given = if self.dy.is_some() { size } else { 0 };
                row[given..].fill(E::ZERO);
            }
        }
        if let Some(dy) = self.dy {
            deltas.read(self.model.tier, region, dy, steps, size);
        }
    }

    /// The gradients of the states that the sequences start from, to the caller.
    fn write_states(&self, task: &mut Task<'_, E>) {
        let Some(dstate_in) = &mut task.dstate_in else {
            return;
        };
        for (index, place) in self.model.places.iter().enumerate() {
            let size = place.layer.state_size();
            if size == 0 {
                continue;
            }
            let region = index + 1;
            let rows = task.deltas.get(region, Block::Lead);
            let rows = rows.chunks(task.deltas.stride(region));
            for (row, values) in task.deltas.rows().zip(rows) {
                dstate_in.get_mut(row)[place.first_state..place.first_state + size]
                    .copy_from_slice(&values[..size]);
            }
        }
    }

    /// The gradients of the window's inputs, to the caller; 0 behind the end of a sequence.
    fn write_input(&self, task: &mut Task<'_, E>) {
        let Some(dx) = &mut task.dx else {
            return;
        };
        let size = self.model.input_size;
        let (layout, first) = (task.deltas.layout(), task.deltas.rows().start);
        let stride = task.deltas.stride(0);
        for step in task.deltas.window() {
            let ended = first + task.deltas.rows_at(step + 1)..first + task.deltas.rows_at(step);
            for row in ended {
                dx.get_mut(row)[layout.length(row) * size..].fill(E::ZERO);
            }
            if let Some(standardization) = &self.model.standardization {
                let rows = task.deltas.get_mut(0, Block::Step(step));
                for row in rows.chunks_mut(stride) {
                    for (dx, &inverse) in row.iter_mut().zip(standardization.inverse()) {
                        *dx *= inverse;
                    }
                }
            }
        }
        dx.write(self.model.tier, &task.deltas, 0, size);
    }
}

/// The gradient of the last steps arrives where the sequences end, and nothing does elsewhere.
fn read_ends<E: Element>(deltas: &mut Shard<'_, E>, head: &Shard<'_, E>, region: usize) {
    let first = deltas.rows().start;
    let stride = deltas.stride(region);
    let (ends, ends_stride) = (head.get(0, Block::Step(0)), head.stride(0));
    for step in deltas.window() {
        let alive = deltas.rows_at(step + 1);
        let rows = deltas.get_mut(region, Block::Step(step)).chunks_mut(stride);
        for (index, delta) in rows.enumerate() {
            if index < alive {
                delta.fill(E::ZERO);
            } else {
                let end = &ends[(first + index) * ends_stride..];
                let size = delta.len().min(end.len());
                delta[..size].copy_from_slice(&end[..size]);
            }
        }
    }
}
