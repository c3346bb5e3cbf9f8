//! The forward pass: the layers of whole sequences window by window, then those of the last step.

use std::ops::Range;

use super::{Batch, Call, Training, WINDOW_ROWS, Workspace};
use crate::arena::{Block, Scatter, Shard};
use crate::layer::Forward;
use crate::layout::Layout;
use crate::model::{Model, Output};
use crate::parallel::{Cut, fork};
use crate::{Element, Result};

/// The part of a window that one thread runs.
struct Task<'a, E: Element> {
    activations: Shard<'a, E>,
    head: Shard<'a, E>,
    y: Option<Scatter<'a, E>>,
    state_out: Option<Scatter<'a, E>>,
}

impl<E: Element> Cut for Task<'_, E> {
    fn size(&self) -> usize {
        self.activations.rows().len()
    }

    fn cut(self, left: usize, parts: usize) -> (Self, Self) {
        let Range { start, end } = self.activations.rows();
        let row = self.activations.layout().cut(start, end, left, parts);
        let (activations, activations_right) = self.activations.split_at(row);
        let (head, head_right) = self.head.split_at(row);
        let (y, y_right) = self.y.map(|y| y.split_at(row)).unzip();
        let (state_out, state_right) = self.state_out.map(|state| state.split_at(row)).unzip();
        let left = Self {
            activations,
            head,
            y,
            state_out,
        };
        let right = Self {
            activations: activations_right,
            head: head_right,
            y: y_right,
            state_out: state_right,
        };
        (left, right)
    }
}

/// What all parts of a pass share.
struct Shared<'a, E: Element> {
    model: &'a Model<E>,
    batch: &'a Batch<'a, E>,
    state_in: Option<&'a [E]>,
    training: Option<Training>,
}

impl<E: Element> Workspace<E> {
    /// Runs the model over a batch whose sizes [`Workspace::check`] has passed, on `threads` threads. Keeps what
    /// [`Workspace::backward`] needs if `training`.
    pub fn forward(
        &mut self,
        model: &Model<E>,
        threads: usize,
        mut call: Call<'_, E>,
        training: Option<Training>,
    ) -> Result<()> {
        self.prepare(model, &call.batch, training.is_some())?;
        let shared = Shared {
            model,
            batch: &call.batch,
            state_in: call.state_in,
            training,
        };
        let layout: &Layout = &self.layout;
        let y_width = match model.output {
            Output::Last => model.output_size(),
            Output::All => call.batch.steps * model.output_size(),
        };
        let mut start = 0;
        while start < layout.steps() {
            let end = match training {
                Some(_) => layout.steps(),
                None => layout.window_end(start, WINDOW_ROWS, usize::MAX),
            };
            let y = call.y.as_deref_mut();
            let state_out = call.state_out.as_deref_mut();
            let task = Task {
                activations: self.activations.shard(layout, start..end),
                head: self.head.shard(&self.last, 0..1),
                y: y.map(|y| Scatter::new(y, y_width, layout)),
                state_out: state_out.map(|state| Scatter::new(state, model.state_size, layout)),
            };
            fork(threads, task, &|task| shared.window(task));
            start = end;
        }
        Ok(())
    }
}

impl<E: Element> Shared<'_, E> {
    /// Runs a part of a window.
    fn window(&self, mut task: Task<'_, E>) {
        let model = self.model;
        let window = task.activations.window();
        self.read_input(&mut task.activations);
        if window.start == 0 {
            self.read_state(&mut task.activations);
        }
        let layers = 0..model.sequence_layers();
        let output = self.layers(layers.clone(), &mut task.activations, 0);

        self.write_states(&mut task);
        match model.output {
            Output::All => self.write_outputs(&mut task, output),
            Output::Last => {
                self.gather_last(&mut task, output);
                if window.end == task.activations.layout().steps() {
                    let first = layers.end;
                    let output = self.layers(first..model.places.len(), &mut task.head, first);
                    self.write_last(&mut task, output);
                }
            }
        }
        if window.end < task.activations.layout().steps() {
            self.carry(&mut task.activations);
        }
    }

    /// Runs some layers, whose regions start with the input of layer `first`. Returns the region of the last output.
    fn layers(&self, layers: Range<usize>, shard: &mut Shard<'_, E>, first: usize) -> usize {
        let model = self.model;
        let mut input = 0;
        for index in layers {
            let layer = &model.places[index].layer;
            if layer.trains_only() && self.training.is_none() {
                continue;
            }
            let output = index - first + 1;
            let pass = Forward {
                tier: model.tier,
                input,
                output,
                parameters: model.layer_parameters(index),
                weights: &model.weights[index],
                mask: self.training.unwrap_or_default().mask(index),
            };
            layer.forward(&pass, shard);
            input = output;
        }
        input
    }

    /// The recurrent layers of a shard: their region, their place in a sequence's state, and how long it is.
    fn states(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let places = &self.model.places[..self.model.sequence_layers()];
        places.iter().enumerate().filter_map(|(index, place)| {
            let size = place.layer.state_size();
            (size > 0).then(|| (index + 1, place.first_state..place.first_state + size))
        })
    }

    /// The caller's input, standardised, in the order of the layout.
    fn read_input(&self, shard: &mut Shard<'_, E>) {
        let size = self.model.input_size;
        let Batch { x, steps, .. } = *self.batch;
        shard.read(self.model.tier, 0, x, steps, size);
        if let Some(standardization) = &self.model.standardization {
            let stride = shard.stride(0);
            for step in shard.window() {
                for row in shard.get_mut(0, Block::Step(step)).chunks_mut(stride) {
                    standardization.apply_row(&mut row[..size]);
                }
            }
        }
    }

    /// The state that the sequences start from.
    fn read_state(&self, shard: &mut Shard<'_, E>) {
        let (layout, first) = (shard.layout(), shard.rows().start);
        let size = self.model.state_size;
        for (region, part) in self.states() {
            let stride = shard.stride(region);
            let rows = shard.get_mut(region, Block::Lead).chunks_mut(stride);
            for (index, row) in rows.enumerate() {
                let row = &mut row[..part.len()];
                match self.state_in {
                    None => row.fill(E::ZERO),
                    Some(state) => {
                        let start = layout.sequence(first + index) * size;
                        row.copy_from_slice(&state[start..start + size][part.clone()]);
                    }
                }
            }
        }
    }

    /// The last state of the window becomes the one that the next window starts from.
    fn carry(&self, shard: &mut Shard<'_, E>) {
        let last = Block::Step(shard.window().end - 1);
        for (region, _) in self.states() {
            let ([last], lead) = shard.split([(region, last)], (region, Block::Lead));
            lead[..last.len()].copy_from_slice(last);
        }
    }

    /// The final states of the sequences that end in the window.
    fn write_states(&self, task: &mut Task<'_, E>) {
        let Some(state_out) = &mut task.state_out else {
            return;
        };
        for (region, part) in self.states() {
            ended_rows(&task.activations, region, |row, values| {
                state_out.get_mut(row)[part.clone()].copy_from_slice(&values[..part.len()]);
            });
        }
    }

    /// The outputs of the sequences that end in the window become the input of the layers behind.
    fn gather_last(&self, task: &mut Task<'_, E>, output: usize) {
        let (first, stride) = (task.head.rows().start, task.head.stride(0));
        let target = task.head.get_mut(0, Block::Step(0));
        ended_rows(&task.activations, output, |row, values| {
            let start = (row - first) * stride;
            let target = &mut target[start..];
            let size = values.len().min(target.len());
            target[..size].copy_from_slice(&values[..size]);
        });
    }

    /// The outputs of the last step, to the caller.
    fn write_last(&self, task: &mut Task<'_, E>, output: usize) {
        let Some(y) = &mut task.y else {
            return;
        };
        let size = self.model.output_size();
        y.write(self.model.tier, &task.head, output, size);
    }

    /// The outputs of the window's steps, to the caller; 0 behind the end of a sequence.
    fn write_outputs(&self, task: &mut Task<'_, E>, output: usize) {
        let Some(y) = &mut task.y else {
            return;
        };
        let size = self.model.output_size();
        y.write(self.model.tier, &task.activations, output, size);
        let layout = task.activations.layout();
        ended_rows(&task.activations, output, |row, _| {
            y.get_mut(row)[layout.length(row) * size..].fill(E::ZERO);
        });
    }
}

/// Calls `take` with the row and the values of each sequence of the shard that ends in the window.
fn ended_rows<E: Element>(shard: &Shard<'_, E>, region: usize, mut take: impl FnMut(usize, &[E])) {
    let (first, stride) = (shard.rows().start, shard.stride(region));
    for step in shard.window() {
        let alive = shard.rows_at(step + 1);
        let rows = shard.get(region, Block::Step(step)).chunks(stride);
        for (index, values) in rows.enumerate().skip(alive) {
            take(first + index, values);
        }
    }
}
