//! The engine's results by plain scalar loops: each sum is one chain of multiply-adds in the documented order.
//!
//! A state starts at the bias and takes the products of x and then of h_{t-1} in their order. A gradient of a state
//! starts at dy_t and takes the products of the gradients of step t + 1; a gradient of a parameter takes the products of
//! all rows from the last step to the first, within a step from the shortest sequence to the longest (of equal ones from
//! the last to the first). Layers behind the last recurrent one see, with [`Output::Last`], all last steps as one step.

use std::cmp::Reverse;

use elman::{Activation, Element, Output, Tier};

use super::cases::{Data, Layer, Results, Shape, rows as rows_of};

/// Elements that have a fused multiply-add.
pub trait MulAdd: Element {
    /// `self * b + c`, rounded once.
    fn fused(self, b: Self, c: Self) -> Self;
}

impl MulAdd for f32 {
    fn fused(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

impl MulAdd for f64 {
    fn fused(self, b: Self, c: Self) -> Self {
        self.mul_add(b, c)
    }
}

/// The arithmetic of a tier.
struct Arithmetic {
    tier: Tier,
}

impl Arithmetic {
    fn mul_add<E: MulAdd>(&self, a: E, b: E, c: E) -> E {
        match self.tier.is_fused() {
            true => a.fused(b, c),
            false => a * b + c,
        }
    }

    fn activate<E: Element>(&self, activation: Activation, values: &mut [E]) {
        activation.apply(self.tier, values);
    }

    fn times_derivative<E: Element>(&self, activation: Activation, gradient: E, value: E) -> E {
        let derivative = match activation {
            Activation::Softplus => {
                // The tier's own exp(-y) - 1.
                let mut value = [-value];
                Activation::ELU.apply(self.tier, &mut value);
                -value[0]
            }
            _ => activation.derivative(value),
        };
        match derivative == E::ZERO {
            // Where a function is constant, what comes from above does not count, even if it is infinite.
            true if is_flat(activation) => E::ZERO,
            _ => gradient * derivative,
        }
    }
}

/// Whether the function is constant somewhere.
fn is_flat(activation: Activation) -> bool {
    matches!(
        activation,
        Activation::Relu
            | Activation::HardSigmoid { .. }
            | Activation::HardTanh
            | Activation::ThresholdedRelu { .. }
    )
}

/// A step of a sequence.
struct Row {
    sequence: usize,
    step: usize,
    /// The rows of the same sequence one step before and after.
    before: Option<usize>,
    after: Option<usize>,
}

/// Steps of sequences, step after step, in each of which the longest sequences come first.
fn rows(lengths: &[usize], order: &[usize]) -> Vec<Row> {
    let steps = lengths.iter().max().copied().unwrap_or(0);
    let mut rows = Vec::<Row>::new();
    let mut latest = vec![None; lengths.len()];
    for step in 0..steps {
        for &sequence in order.iter().filter(|&&sequence| step < lengths[sequence]) {
            let before = latest[sequence].replace(rows.len());
            if let Some(before) = before {
                rows[before].after = Some(rows.len());
            }
            rows.push(Row {
                sequence,
                step,
                before,
                after: None,
            });
        }
    }
    rows
}

/// A layer with its parameters.
struct Part<'a, E> {
    activation: Activation,
    inputs: usize,
    units: usize,
    w_x: &'a [E],
    /// None in a dense layer.
    w_h: Option<&'a [E]>,
    bias: &'a [E],
    /// Index in the state of a sequence.
    first_state: usize,
}

/// The states of all sequences, `[batch][size]`.
#[derive(Clone, Copy)]
struct States<'a, E> {
    values: Option<&'a [E]>,
    size: usize,
}

impl<'a, E: Element> States<'a, E> {
    fn of(&self, part: &Part<'_, E>, sequence: usize) -> Option<&'a [E]> {
        let start = sequence * self.size + part.first_state;
        self.values.map(|values| &values[start..][..part.units])
    }
}

impl<E: MulAdd> Part<'_, E> {
    /// `[rows][units]`
    fn forward(&self, by: &Arithmetic, rows: &[Row], x: &[E], states: States<'_, E>) -> Vec<E> {
        let mut values: Vec<E> = Vec::new();
        for (row, x) in rows.iter().zip(x.chunks(self.inputs)) {
            let mut sums = self.bias.to_vec();
            for (unit, sum) in sums.iter_mut().enumerate() {
                for (i, &x) in x.iter().enumerate() {
                    *sum = by.mul_add(x, self.w_x[i * self.units + unit], *sum);
                }
                let h = self.before(row, &values, states);
                for (i, &h) in h.iter().enumerate() {
                    let w_h = self.w_h.unwrap()[i * self.units + unit];
                    *sum = by.mul_add(h, w_h, *sum);
                }
            }
            by.activate(self.activation, &mut sums);
            values.extend(sums);
        }
        values
    }

    /// The state that a row starts from: nothing in a dense layer.
    fn before<'a>(&self, row: &Row, values: &'a [E], states: States<'a, E>) -> &'a [E] {
        match (self.w_h, row.before) {
            (None, _) => &[],
            (_, Some(before)) => &values[before * self.units..][..self.units],
            (_, None) => states.of(self, row.sequence).unwrap_or_default(),
        }
    }

    /// Turns the gradients of the values into those of the sums before the activation.
    fn deltas(
        &self,
        by: &Arithmetic,
        rows: &[Row],
        values: &[E],
        mut deltas: Vec<E>,
        dstates: States<'_, E>,
    ) -> Vec<E> {
        for (index, row) in rows.iter().enumerate().rev() {
            for unit in 0..self.units {
                let place = index * self.units + unit;
                let mut sum = deltas[place];
                if let Some(w_h) = self.w_h {
                    match (row.after, dstates.of(self, row.sequence)) {
                        (Some(after), _) => {
                            for j in 0..self.units {
                                let after = deltas[after * self.units + j];
                                sum = by.mul_add(after, w_h[unit * self.units + j], sum);
                            }
                        }
                        (None, Some(dstate)) => sum += dstate[unit],
                        (None, None) => {}
                    }
                }
                deltas[place] = by.times_derivative(self.activation, sum, values[place]);
            }
        }
        deltas
    }

    /// `delta W^T`, for W of some rows.
    fn times_transposed(&self, by: &Arithmetic, delta: &[E], weights: &[E]) -> Vec<E> {
        let dot = |weights: &[E]| {
            let pairs = delta.iter().zip(weights);
            pairs.fold(E::ZERO, |sum, (&delta, &w)| by.mul_add(delta, w, sum))
        };
        weights.chunks(self.units).map(dot).collect()
    }

    /// In the order of the parameters.
    fn gradients(
        &self,
        by: &Arithmetic,
        rows: &[Row],
        x: &[E],
        values: &[E],
        deltas: &[E],
        states: States<'_, E>,
    ) -> Vec<E> {
        let depth = self.inputs + self.w_h.map_or(0, |_| self.units);
        let mut gradients = vec![E::ZERO; (depth + 1) * self.units];
        let (weights, biases) = gradients.split_at_mut(depth * self.units);
        for (index, row) in rows.iter().enumerate().rev() {
            let delta = &deltas[index * self.units..][..self.units];
            let x = &x[index * self.inputs..][..self.inputs];
            let inputs = x.iter().chain(self.before(row, values, states));
            for (sums, &input) in weights.chunks_mut(self.units).zip(inputs) {
                for (sum, &delta) in sums.iter_mut().zip(delta) {
                    *sum = by.mul_add(input, delta, *sum);
                }
            }
            for (sum, &delta) in biases.iter_mut().zip(delta) {
                *sum += delta;
            }
        }
        gradients
    }
}

/// Layers that run over the same rows.
struct Stage<'a, E: Element> {
    by: &'a Arithmetic,
    parts: &'a [Part<'a, E>],
    rows: Vec<Row>,
    states: States<'a, E>,
    dstates: States<'a, E>,
}

impl<E: MulAdd> Stage<'_, E> {
    /// The input of each layer, and the output of the last one.
    fn forward(&self, x: Vec<E>) -> Vec<Vec<E>> {
        let mut values = vec![x];
        for (layer, part) in self.parts.iter().enumerate() {
            values.push(part.forward(self.by, &self.rows, &values[layer], self.states));
        }
        values
    }

    /// From the gradients of the output to those of the input. Those of the parameters go to the end of the results'.
    fn backward(&self, values: &[Vec<E>], mut deltas: Vec<E>, results: &mut Results<E>) -> Vec<E> {
        let (by, rows, size) = (self.by, &self.rows[..], self.states.size);
        let mut gradients = Vec::new();
        for (layer, part) in self.parts.iter().enumerate().rev() {
            let (x, values) = (&values[layer], &values[layer + 1]);
            deltas = part.deltas(by, rows, values, deltas, self.dstates);
            gradients.push(part.gradients(by, rows, x, values, &deltas, self.states));
            let pairs = values.chunks(part.units).zip(deltas.chunks(part.units));
            for (row, (value, delta)) in rows.iter().zip(pairs) {
                let Some(w_h) = part.w_h else { break };
                let state = row.sequence * size + part.first_state;
                let state = state..state + part.units;
                if row.after.is_none() {
                    results.state[state.clone()].copy_from_slice(value);
                }
                if row.before.is_none() {
                    let first = part.times_transposed(by, delta, w_h);
                    results.dstate[state].copy_from_slice(&first);
                }
            }
            let below = deltas.chunks(part.units);
            let below = below.map(|delta| part.times_transposed(by, delta, part.w_x));
            deltas = below.collect::<Vec<_>>().concat();
        }
        results
            .gradients
            .splice(0..0, gradients.into_iter().rev().flatten());
        deltas
    }
}

/// Forward and backward, without dropout.
pub fn forward_backward<E: MulAdd>(shape: &Shape, tier: Tier, data: &Data<E>) -> Results<E> {
    elman::in_engine_mode(|| loops(shape, tier, data))
}

fn loops<E: MulAdd>(shape: &Shape, tier: Tier, data: &Data<E>) -> Results<E> {
    let by = &Arithmetic { tier };
    let network = shape.network::<E>(tier);
    let (parts, size) = parts(shape, network.parameters());
    let batch = data.batch();
    let mut order: Vec<usize> = (0..batch).collect();
    order.sort_by_key(|&sequence| Reverse(data.lengths[sequence]));
    let is_recurrent = |part: &Part<'_, E>| part.w_h.is_some();
    let over_steps = match shape.output {
        Output::All => parts.len(),
        Output::Last => parts.iter().rposition(is_recurrent).map_or(0, |at| at + 1),
    };
    let zeros = vec![E::ZERO; batch * size];
    let stage = |parts, rows| Stage {
        by,
        parts,
        rows,
        states: States {
            // Products with a state of 0 are part of a sum, where they may make 0 of -0.
            values: Some(data.state.as_deref().unwrap_or(&zeros)),
            size,
        },
        dstates: States {
            values: data.dstate.as_deref(),
            size,
        },
    };
    let steps = stage(&parts[..over_steps], rows(&data.lengths, &order));
    let head = stage(&parts[over_steps..], rows(&vec![1; batch], &order));
    let mut results = Results {
        y: vec![E::ZERO; data.dy.len()],
        state: vec![E::ZERO; batch * size],
        dx: vec![E::ZERO; data.x.len()],
        dstate: vec![E::ZERO; batch * size],
        gradients: Vec::new(),
    };

    let values = steps.forward(read(shape, data, &steps.rows));
    let deltas = match shape.output {
        Output::All => {
            scatter(&values[over_steps], &steps.rows, data.steps, &mut results.y);
            gather(&data.dy, &steps.rows, batch * data.steps, data.steps)
        }
        Output::Last => {
            let ends = ends(&steps.rows, &head.rows);
            let last = head.forward(rows_of(&values[over_steps], steps.rows.len(), &ends));
            scatter(&last[last.len() - 1], &head.rows, 1, &mut results.y);
            let deltas = gather(&data.dy, &head.rows, batch, 1);
            let deltas = head.backward(&last, deltas, &mut results);
            let width = deltas.len() / batch;
            let mut all = vec![E::ZERO; steps.rows.len() * width];
            for (end, delta) in ends.into_iter().zip(deltas.chunks(width)) {
                all[end * width..(end + 1) * width].copy_from_slice(delta);
            }
            all
        }
    };
    let mut deltas = steps.backward(&values, deltas, &mut results);
    if shape.standardized {
        let (_, deviation) = shape.standardization::<E>();
        for row in deltas.chunks_mut(shape.inputs) {
            for (dx, &deviation) in row.iter_mut().zip(&deviation) {
                *dx *= E::ONE / deviation;
            }
        }
    }
    scatter(&deltas, &steps.rows, data.steps, &mut results.dx);
    results
}

/// The layers, and the size of the state.
fn parts<'a, E: Element>(shape: &Shape, mut parameters: &'a [E]) -> (Vec<Part<'a, E>>, usize) {
    let mut take = |count: usize| {
        let (taken, rest) = parameters.split_at(count);
        parameters = rest;
        taken
    };
    let (mut inputs, mut state_size) = (shape.inputs, 0);
    let mut parts = Vec::new();
    for &layer in &shape.layers {
        let (units, activation) = match layer {
            Layer::Rnn(units, activation) | Layer::Dense(units, activation) => (units, activation),
            Layer::Dropout => unreachable!("the reference has no dropout"),
        };
        let recurrent = matches!(layer, Layer::Rnn(..));
        parts.push(Part {
            activation,
            inputs,
            units,
            w_x: take(inputs * units),
            w_h: recurrent.then(|| take(units * units)),
            bias: take(units),
            first_state: state_size,
        });
        state_size += if recurrent { units } else { 0 };
        inputs = units;
    }
    (parts, state_size)
}

/// The inputs of the rows, standardised.
fn read<E: Element>(shape: &Shape, data: &Data<E>, rows: &[Row]) -> Vec<E> {
    let mut x = gather(&data.x, rows, data.batch() * data.steps, data.steps);
    if shape.standardized {
        let (mean, deviation) = shape.standardization::<E>();
        for row in x.chunks_mut(shape.inputs) {
            for (x, (&mean, &deviation)) in row.iter_mut().zip(mean.iter().zip(&deviation)) {
                *x = (*x - mean) * (E::ONE / deviation);
            }
        }
    }
    x
}

/// The last row of each sequence, in the order of `last`.
fn ends(all: &[Row], last: &[Row]) -> Vec<usize> {
    let end = |last: &Row| {
        let is_end = |row: &Row| row.sequence == last.sequence && row.after.is_none();
        all.iter().position(is_end).unwrap()
    };
    last.iter().map(end).collect()
}

/// The rows in a buffer `[batch][steps][any]`.
fn gather<E: Element>(from: &[E], rows: &[Row], count: usize, steps: usize) -> Vec<E> {
    let places = rows.iter().map(|row| row.sequence * steps + row.step);
    rows_of(from, count, &places.collect::<Vec<_>>())
}

/// The rows, to a buffer `[batch][steps][any]`.
fn scatter<E: Element>(from: &[E], rows: &[Row], steps: usize, to: &mut [E]) {
    let width = from.len() / rows.len();
    for (row, values) in rows.iter().zip(from.chunks(width)) {
        let place = (row.sequence * steps + row.step) * width;
        to[place..place + width].copy_from_slice(values);
    }
}
