//! The forward pass: the layers of whole sequences window by window, then those of the last step.

use std::ops::Range;

use super::task::Task;
use super::{Batch, ForwardArguments, Training, Workspace};
use crate::caller_sequences::CallerSequences;
use crate::layer::Forward;
use crate::layer::gradients::ended_rows;
use crate::layout::Strides;
use crate::model::{Model, Output};
use crate::parallel::Crew;
use crate::regions::{RowsMut, Span};
use crate::{Element, Result};

/// What all parts of a pass shard.
struct ForwardPass<'a, E: Element> {
    model: &'a Model<E>,
    batch: &'a Batch<'a, E>,
    x_strides: Strides,
    state_in: Option<&'a [E]>,
    training: Option<Training>,
    /// Rows that a window of inference has about.
    window_rows: usize,
    /// The threads of a shard.
    crew: Crew<'a>,
}

impl<E: Element> Workspace<E> {
    /// Runs the model over a batch whose sizes [`Workspace::check`] has passed, on the threads of a crew. Keeps what
    /// [`Workspace::backward`] needs if `training`.
    pub fn forward(
        &mut self,
        model: &Model<E>,
        crew: Crew<'_>,
        mut call: ForwardArguments<'_, E>,
        training: Option<Training>,
    ) -> Result<()> {
        self.prepare(model, &call.batch, training.is_some(), crew.shares())?;
        self.own_start = call.state_in.is_none();
        let y_strides = self.output_strides(model, call.order);
        let state_strides = self.state_strides(model);
        for (buffer, strides) in [
            (&mut call.y, y_strides),
            (&mut call.state_out, state_strides),
        ] {
            if let Some(buffer) = buffer {
                strides.clear_empty(buffer, &self.layout);
            }
        }
        if self.used == 0 {
            return Ok(());
        }
        let pass_of_shards = ForwardPass {
            model,
            batch: &call.batch,
            x_strides: self.input_strides(model, call.order),
            state_in: call.state_in,
            training,
            window_rows: self.plan.window_rows(),
            crew: self.crew_of_shard(crew),
        };
        let y = call.y.take();
        let state_out = call.state_out.take();
        let task = Task {
            sequence: &mut self.sequence[..self.used],
            head: &mut self.head[..self.used],
            values: y.map(|y| CallerSequences::new(y, y_strides, &self.layout)),
            states: state_out.map(|state| CallerSequences::new(state, state_strides, &self.layout)),
        };
        crew.fork(task, &|mut task| pass_of_shards.shard(&mut task));
        Ok(())
    }
}

impl<E: Element> ForwardPass<'_, E> {
    /// Runs the only shard of a task: window after window, which when training is one.
    fn shard(&self, task: &mut Task<'_, E>) {
        let (sequence, head, y, state_out) = task.only_shard();
        let mut head = head.activations.rows_mut(&head.layout, 0..1);
        let model = self.model;
        let steps = sequence.layout.steps();
        let layers = 0..model.sequence_layers();
        let mut start = 0;
        while start < steps {
            let end = match self.training {
                Some(_) => steps,
                None if model.looks_ahead() => steps,
                None => sequence
                    .layout
                    .window_end(start, self.window_rows, usize::MAX),
            };
            let rows = &mut sequence.activations;
            let mut window = rows.rows_mut(&sequence.layout, start..end);
            self.read_input(&mut window);
            if start == 0 {
                self.read_state(&mut window);
            }
            self.layers(layers.clone(), &mut window);
            if let Some(state_out) = state_out {
                self.write_states(&window, state_out);
            }
            match model.output {
                Output::Last => self.gather(&window, &mut head),
                Output::All => {
                    if let Some(y) = y {
                        let output = model.output_region(self.training.is_some());
                        self.write_outputs(&window, output, y);
                    }
                }
            }
            if end < steps {
                self.carry(&mut window);
            }
            start = end;
        }
        if model.output == Output::Last {
            self.layers(layers.end..model.places.len(), &mut head);
            if let Some(y) = y {
                let output = model.output_region(self.training.is_some());
                y.write((model.tier, self.crew), &head, output);
            }
        }
    }

    /// Runs some layers.
    fn layers(&self, layers: Range<usize>, window: &mut RowsMut<'_, E>) {
        let model = self.model;
        for index in layers {
            let place = &model.places[index];
            let inputs = match self.training {
                Some(_) => &place.input_regions.training,
                None if place.layer.trains_only() => continue,
                None => &place.input_regions.predict,
            };
            let pass = Forward {
                tier: model.tier,
                crew: self.crew,
                input: inputs[0],
                inputs,
                output: place.region,
                parameters: model.layer_parameters(index),
                weights: &model.weights[index],
                training: self.training.map(|training| training.key(index)),
            };
            place.layer.forward(&pass, window);
        }
    }

    /// Copies what the layers of the last step read of the sequences that end in the window.
    fn gather(&self, window: &RowsMut<'_, E>, head: &mut RowsMut<'_, E>) {
        let model = self.model;
        for value in model.gathered() {
            let region = model.values[value].region;
            let from = match self.training {
                Some(_) => region,
                None => model.values[model.resolved(value, 0)].region,
            };
            let stride = head.stride(region);
            let to = head.get_mut(region, Span::Step(0));
            match value.checked_sub(1) {
                Some(index) => {
                    let layer = &model.places[index].layer;
                    layer.gather_last(window, from, to, stride);
                }
                None => ended_rows(window, from, |row, values| {
                    to[row * stride..][..values.len()].copy_from_slice(values);
                }),
            }
        }
    }

    /// The states of the recurrent layers: their regions, their places in a sequence's state, and their own starts.
    fn states(&self) -> impl Iterator<Item = (usize, Range<usize>, Option<&[E]>)> {
        let places = &self.model.places[..self.model.sequence_layers()];
        places.iter().enumerate().flat_map(|(index, place)| {
            let parameters = self.model.layer_parameters(index);
            place.states().map(move |(region, part, own)| {
                let own = own.map(|first| &parameters[first..first + part.len()]);
                (region, part, own)
            })
        })
    }

    /// The caller's input, standardised, in the order of the layout.
    fn read_input(&self, window: &mut RowsMut<'_, E>) {
        let size = self.model.input_size;
        window.read(
            (self.model.tier, self.crew),
            0,
            self.batch.x,
            self.x_strides,
        );
        if let Some(standardization) = self.model.input_map() {
            let stride = window.stride(0);
            for row in window.get_mut(0, window.block()).chunks_mut(stride) {
                standardization.apply_row(&mut row[..size]);
            }
        }
    }

    /// The state that the sequences start from.
    fn read_state(&self, window: &mut RowsMut<'_, E>) {
        let layout = window.layout();
        let size = self.model.state_size;
        for (region, part, own) in self.states() {
            let stride = window.stride(region);
            let rows = window.get_mut(region, Span::Lead).chunks_mut(stride);
            for (row, &sequence) in rows.zip(layout.sequences()) {
                let row = &mut row[..part.len()];
                match self.state_in {
                    None => match own {
                        None => row.fill(E::ZERO),
                        Some(own) => row.copy_from_slice(own),
                    },
                    Some(state) => {
                        let state = &state[sequence * size..(sequence + 1) * size];
                        row.copy_from_slice(&state[part.clone()]);
                    }
                }
            }
        }
    }

    /// The last state of the window becomes the one that the next window starts from.
    fn carry(&self, window: &mut RowsMut<'_, E>) {
        let last = Span::Step(window.steps().end - 1);
        for (region, ..) in self.states() {
            let ([last], lead) = window.split([(region, last)], (region, Span::Lead));
            lead[..last.len()].copy_from_slice(last);
        }
    }

    /// The final states of the sequences that end in the window, or of the direction from the last step on, that begin in it.
    fn write_states(&self, window: &RowsMut<'_, E>, state_out: &mut CallerSequences<'_, E>) {
        for (index, place) in self.model.places[..self.model.sequence_layers()]
            .iter()
            .enumerate()
        {
            let layer = &self.model.places[index].layer;
            for (number, (region, part, _)) in place.states().enumerate() {
                let mut take = |row: usize, values: &[E]| {
                    state_out.step_mut(row, 0)[part.clone()].copy_from_slice(&values[..part.len()]);
                };
                if !layer.is_reverse(number) {
                    ended_rows(window, region, take);
                } else if window.steps().start == 0 {
                    let rows = window.get(region, Span::Step(0));
                    let rows = rows.chunks(window.stride(region));
                    rows.enumerate().for_each(|(row, values)| take(row, values));
                }
            }
        }
    }

    /// The outputs of the window's steps, to the caller; 0 behind the end of a sequence.
    fn write_outputs(
        &self,
        window: &RowsMut<'_, E>,
        output: usize,
        y: &mut CallerSequences<'_, E>,
    ) {
        y.write((self.model.tier, self.crew), window, output);
        ended_rows(window, output, |row, _| {
            y.clear_from(row, window.layout().length(row));
        });
    }
}
