//! The engine's results by plain scalar loops: each sum is one chain of multiply-adds in the documented order.
//!
//! A state starts at the bias and takes the products of x and then of h_{t-1} in their order. A gradient of a state
//! starts at dy_t and takes the products of the gradients of step t + 1; a gradient of a parameter takes the products of
//! all rows from the last step to the first, within a step from the shortest sequence to the longest (of equal ones from
//! the last to the first); where there are many rows for the parameters, those of each half of the sequences by themselves, and
//! both are added. Layers behind the last recurrent one see, with [`Output::Last`], all last steps as one step.

use std::cmp::Reverse;

use elman::init::TensorRole;
use elman::{Activation, Element, Network, Output, Tier};

use super::cases::{Data, Layer, Results, Shape, rows as rows_of};
use super::scalar_cells::{CellPart, Gradients, Trace};

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
pub struct Arithmetic {
    tier: Tier,
}

impl Arithmetic {
    pub fn mul_add<E: MulAdd>(&self, a: E, b: E, c: E) -> E {
        match self.tier.is_fused() {
            true => a.fused(b, c),
            false => a * b + c,
        }
    }

    pub fn activate<E: Element>(&self, activation: Activation, values: &mut [E]) {
        activation.apply(self.tier, values);
    }

    pub fn times_derivative<E: Element>(&self, activation: Activation, gradient: E, value: E) -> E {
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
pub struct Row {
    pub sequence: usize,
    pub step: usize,
    /// The rows of the same sequence one step before and after.
    pub before: Option<usize>,
    pub after: Option<usize>,
    /// Whether the sequence is one of the second half.
    pub is_second: bool,
}

/// Whether a sum takes a row.
pub type Takes<'a> = &'a dyn Fn(&Row) -> bool;

/// The gradients of parameters by the rows that `sum` is to take, in the order of their sums.
pub fn by_halves<E: Element>(rows: &[Row], sum: impl Fn(Takes<'_>) -> Vec<E>) -> Vec<E> {
    let mut sums = sum(&|row| !row.is_second);
    if rows.iter().any(|row| row.is_second) {
        for (sum, second) in sums.iter_mut().zip(sum(&|row| row.is_second)) {
            *sum += second;
        }
    }
    sums
}

/// How many of the sequences, longest first, are the first half: with as many steps as the others, about. All of them where
/// there are fewer than eight, little work, or steps for less than 16 times the rows of the weights.
fn first_half<E: Element>(network: &Network<E>, lengths: &[usize]) -> usize {
    let columns = network.layers().map(|layer| {
        let matrices = layer.tensors().filter(|tensor| is_weight(tensor.role));
        matrices.map(|tensor| tensor.columns).max().unwrap_or(0)
    });
    let (all, batch) = (lengths.iter().sum::<usize>(), lengths.len());
    let parameters = network.parameters().len();
    let is_halved = batch >= 8
        && parameters * all >= 1 << 19
        && 16 * parameters <= all * columns.sum::<usize>();
    if !is_halved {
        return batch;
    }
    let mut steps = 0;
    let half = lengths.iter().position(|length| {
        steps += length;
        steps > all / 2
    });
    half.unwrap().max(1)
}

/// Whether the tensor is one of the matrices that x, h or what a layer has made of them meets.
fn is_weight(role: TensorRole) -> bool {
    matches!(
        role,
        TensorRole::InputWeight
            | TensorRole::RecurrentWeight
            | TensorRole::Projection
            | TensorRole::DenseWeight
    )
}

/// Steps of sequences, step after step, in each of which the longest sequences come first: so many of them are the first half.
fn rows(lengths: &[usize], order: &[usize], first: usize) -> Vec<Row> {
    let steps = lengths.iter().max().copied().unwrap_or(0);
    let mut rows = Vec::<Row>::new();
    let mut latest = vec![None; lengths.len()];
    for step in 0..steps {
        let there = order.iter().enumerate();
        for (place, &sequence) in there.filter(|&(_, &sequence)| step < lengths[sequence]) {
            let before = latest[sequence].replace(rows.len());
            if let Some(before) = before {
                rows[before].after = Some(rows.len());
            }
            rows.push(Row {
                sequence,
                step,
                before,
                after: None,
                is_second: place >= first,
            });
        }
    }
    rows
}

/// A dense layer with its parameters.
struct Dense<'a, E> {
    activation: Activation,
    inputs: usize,
    units: usize,
    weights: &'a [E],
    bias: &'a [E],
}

/// The states of all sequences, `[batch][size]`.
#[derive(Clone, Copy)]
pub struct States<'a, E> {
    pub values: Option<&'a [E]>,
    pub size: usize,
}

impl<'a, E: Element> States<'a, E> {
    /// A part of a sequence's state.
    pub fn part(&self, sequence: usize, first: usize, size: usize) -> Option<&'a [E]> {
        self.values
            .map(|values| &values[sequence * self.size + first..][..size])
    }
}

impl<E: MulAdd> Dense<'_, E> {
    /// `[rows][units]`
    fn forward(&self, by: &Arithmetic, x: &[E]) -> Vec<E> {
        let mut values: Vec<E> = Vec::new();
        for x in x.chunks(self.inputs) {
            let mut sums = self.bias.to_vec();
            for (unit, sum) in sums.iter_mut().enumerate() {
                for (i, &x) in x.iter().enumerate() {
                    *sum = by.mul_add(x, self.weights[i * self.units + unit], *sum);
                }
            }
            by.activate(self.activation, &mut sums);
            values.extend(sums);
        }
        values
    }

    fn backward(
        &self,
        by: &Arithmetic,
        rows: &[Row],
        x: &[E],
        values: &[E],
        given: Vec<E>,
    ) -> Gradients<E> {
        let pairs = given.into_iter().zip(values);
        let deltas =
            pairs.map(|(given, &value)| by.times_derivative(self.activation, given, value));
        let deltas: Vec<E> = deltas.collect();
        let pairs = deltas.chunks(self.units).zip(x.chunks(self.inputs));
        let parameters = by_halves(rows, |takes| {
            let mut parameters = vec![E::ZERO; (self.inputs + 1) * self.units];
            let (weights, biases) = parameters.split_at_mut(self.inputs * self.units);
            let own = rows.iter().zip(pairs.clone()).rev();
            for (_, (delta, x)) in own.filter(|(row, _)| takes(row)) {
                for (sums, &input) in weights.chunks_mut(self.units).zip(x) {
                    for (sum, &delta) in sums.iter_mut().zip(delta) {
                        *sum = by.mul_add(input, delta, *sum);
                    }
                }
                for (sum, &delta) in biases.iter_mut().zip(delta) {
                    *sum += delta;
                }
            }
            parameters
        });
        let below = pairs.flat_map(|(delta, _)| {
            self.weights.chunks(self.units).map(move |weights| {
                let pairs = delta.iter().zip(weights);
                pairs.fold(E::ZERO, |sum, (&delta, &w)| by.mul_add(delta, w, sum))
            })
        });
        Gradients {
            x: below.collect(),
            parameters,
        }
    }
}

/// A layer.
enum Part<'a, E> {
    Dense(Dense<'a, E>),
    Cell(Box<CellPart<'a, E>>),
}

/// What the forward pass of a layer has made.
struct Values<E> {
    output: Vec<E>,
    /// Of a cell.
    trace: Option<Trace<E>>,
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
    fn forward(&self, x: Vec<E>) -> Vec<Values<E>> {
        let mut values = vec![Values {
            output: x,
            trace: None,
        }];
        for (layer, part) in self.parts.iter().enumerate() {
            let x = &values[layer].output;
            values.push(match part {
                Part::Dense(dense) => Values {
                    output: dense.forward(self.by, x),
                    trace: None,
                },
                Part::Cell(cell) => {
                    let trace = cell.forward(self.by, &self.rows, x, self.states);
                    Values {
                        output: trace.output.clone(),
                        trace: Some(trace),
                    }
                }
            });
        }
        values
    }

    /// The last outputs of the sequences that end in these rows.
    fn last(&self, values: &[Values<E>], ends: &[usize]) -> Vec<E> {
        let of_last_layer = &values[values.len() - 1];
        match (self.parts.last(), &of_last_layer.trace) {
            (Some(Part::Cell(cell)), Some(trace)) => cell.last(&self.rows, trace, ends),
            _ => rows_of(&of_last_layer.output, self.rows.len(), ends),
        }
    }

    /// From the gradients of the output, or of the last outputs of the sequences that end in some rows, to those of the
    /// input. Those of the parameters go to the end of the results'.
    fn backward(
        &self,
        values: &[Values<E>],
        given: Vec<E>,
        mut last: Option<&[usize]>,
        results: &mut Results<E>,
    ) -> Vec<E> {
        let (by, rows) = (self.by, &self.rows[..]);
        let mut gradients = Vec::new();
        let mut deltas = given;
        for (layer, part) in self.parts.iter().enumerate().rev() {
            let (x, values) = (&values[layer].output[..], &values[layer + 1]);
            let of_layer = match part {
                Part::Dense(dense) => dense.backward(by, rows, x, &values.output, deltas),
                Part::Cell(cell) => {
                    let zeros = vec![E::ZERO; values.output.len()];
                    let ends = last.take();
                    cell.backward(
                        by,
                        rows,
                        x,
                        values.trace.as_ref().unwrap(),
                        if ends.is_some() { &zeros } else { &deltas },
                        ends.map(|ends| (ends, &deltas[..])),
                        self.states,
                        self.dstates,
                        [&mut results.state, &mut results.dstate],
                    )
                }
            };
            gradients.push(of_layer.parameters);
            deltas = of_layer.x;
        }
        results
            .gradients
            .splice(0..0, gradients.into_iter().rev().flatten());
        // Without layers the last outputs are those of the input.
        let Some(ends) = last else {
            return deltas;
        };
        let width = deltas.len() / ends.len();
        let mut all = vec![E::ZERO; rows.len() * width];
        for (&end, delta) in ends.iter().zip(deltas.chunks(width)) {
            all[end * width..(end + 1) * width].copy_from_slice(delta);
        }
        all
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
    let lengths: Vec<_> = order
        .iter()
        .map(|&sequence| data.lengths[sequence])
        .collect();
    let first = first_half(&network, &lengths);
    let is_recurrent = |part: &Part<'_, E>| matches!(part, Part::Cell(_));
    let over_steps = match shape.output {
        Output::All => parts.len(),
        Output::Last => parts.iter().rposition(is_recurrent).map_or(0, |at| at + 1),
    };
    let stage = |parts, rows| Stage {
        by,
        parts,
        rows,
        states: States {
            values: data.state.as_deref(),
            size,
        },
        dstates: States {
            values: data.dstate.as_deref(),
            size,
        },
    };
    let steps = stage(&parts[..over_steps], rows(&data.lengths, &order, first));
    let head = stage(&parts[over_steps..], rows(&vec![1; batch], &order, first));
    let mut results = Results {
        y: vec![E::ZERO; data.dy.len()],
        state: vec![E::ZERO; batch * size],
        dx: vec![E::ZERO; data.x.len()],
        dstate: vec![E::ZERO; batch * size],
        gradients: Vec::new(),
    };

    let values = steps.forward(read(shape, data, &steps.rows));
    let mut deltas = match shape.output {
        Output::All => {
            let y = &values[over_steps].output;
            scatter(y, &steps.rows, data.steps, &mut results.y);
            let deltas = gather(&data.dy, &steps.rows, batch * data.steps, data.steps);
            steps.backward(&values, deltas, None, &mut results)
        }
        Output::Last => {
            let ends = ends(&steps.rows, &head.rows);
            let last = head.forward(steps.last(&values, &ends));
            let y = &last[last.len() - 1].output;
            scatter(y, &head.rows, 1, &mut results.y);
            let deltas = gather(&data.dy, &head.rows, batch, 1);
            let deltas = head.backward(&last, deltas, None, &mut results);
            steps.backward(&values, deltas, Some(&ends), &mut results)
        }
    };
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
fn parts<'a, E: MulAdd>(shape: &Shape, mut parameters: &'a [E]) -> (Vec<Part<'a, E>>, usize) {
    let mut take = |count: usize| {
        let (taken, rest) = parameters.split_at(count);
        parameters = rest;
        taken
    };
    let (mut inputs, mut state_size) = (shape.inputs, 0);
    let mut parts = Vec::new();
    for &layer in &shape.layers {
        if let Some(cell) = layer.cell() {
            let part = CellPart::new(cell, inputs, state_size, &mut take);
            inputs = part.outputs();
            state_size += cell.state_size();
            parts.push(Part::Cell(Box::new(part)));
        } else if let Layer::Dense(units, activation) = layer {
            parts.push(Part::Dense(Dense {
                activation,
                inputs,
                units,
                weights: take(inputs * units),
                bias: take(units),
            }));
            inputs = units;
        } else {
            unreachable!("the reference has no dropout and nothing around the cells");
        }
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
