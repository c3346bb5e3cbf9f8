//! Random networks with random batches, and the search for the smallest one that breaks a rule.
//!
//! `ELMAN_CASES` sets how many cases a test of the shortest kind tries; others take a part of it. The cases are the same
//! in every run: more of them go on where fewer have ended.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use elman::dataset::Standardization;
use elman::init::{Initializer, Rng, shuffle};
use elman::optimizer::Optimizer;
use elman::{Activation, Batch, Element, LayerKind, Network, Output, Tier};

use super::cells::{Cell, Kind};

/// A layer of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layer {
    Rnn(usize, Activation),
    Cell(Cell),
    Dense(usize, Activation),
    Dropout,
    Around(Around),
}

/// A layer around the cells. It fits wherever it stands: what it takes of earlier outputs, and which column is an index, is
/// counted on from the first one again behind the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Around {
    Activation(Activation),
    Norm(f64),
    /// A column of the network's input; before all other layers.
    Embedding {
        column: usize,
        classes: usize,
        size: usize,
    },
    Concat(usize, usize),
    /// One of those outputs that have as many features as the layer before.
    Residual(usize),
}

impl Around {
    /// Embeddings come only `first`.
    fn random(rng: &mut Rng, first: bool) -> Self {
        match below(rng, if first { 8 } else { 5 }) {
            0 => Self::Activation(Activation::ALL[below(rng, Activation::ALL.len())]),
            1 => Self::Norm([1e-5, 0.5][below(rng, 2)]),
            2 | 3 => Self::Residual(below(rng, 4)),
            4 => Self::Concat(below(rng, 4), below(rng, 4)),
            _ => Self::Embedding {
                column: below(rng, 70),
                classes: 1 + below(rng, 9),
                size: 1 + below(rng, 20),
            },
        }
    }

    /// The layer that a residual one adds, where the outputs are of these sizes.
    fn added(which: usize, sizes: &[usize]) -> usize {
        let last = sizes[sizes.len() - 1];
        let alike = (0..sizes.len()).filter(|&layer| sizes[layer] == last);
        let alike: Vec<_> = alike.collect();
        alike[which % alike.len()]
    }

    /// Features of its output.
    fn outputs(self, sizes: &[usize]) -> usize {
        let last = sizes[sizes.len() - 1];
        match self {
            Self::Activation(_) | Self::Norm(_) | Self::Residual(_) => last,
            Self::Embedding { size, .. } => last - 1 + size,
            Self::Concat(one, two) => sizes[one % sizes.len()] + sizes[two % sizes.len()],
        }
    }

    fn add<E: Element>(self, network: &mut Network<E>, sizes: &[usize]) -> elman::Result<()> {
        match self {
            Self::Activation(activation) => network.add_activation(activation),
            Self::Norm(epsilon) => network.add_layer_norm(epsilon),
            Self::Embedding {
                column,
                classes,
                size,
            } => network.add_embedding(&[column % sizes[0]], classes, size),
            Self::Concat(one, two) => network.add_concat(&[one % sizes.len(), two % sizes.len()]),
            Self::Residual(which) => network.add_residual(Self::added(which, sizes)),
        }
    }
}

impl Layer {
    /// A recurrent layer as a cell with options.
    pub fn cell(self) -> Option<Cell> {
        match self {
            Self::Rnn(units, activation) => Some(Cell {
                kind: Kind::Rnn(activation),
                units,
                options: 0,
            }),
            Self::Cell(cell) => Some(cell),
            Self::Dense(..) | Self::Dropout | Self::Around(_) => None,
        }
    }

    /// Features of its output, given those of the input and of all layers before.
    fn outputs(self, sizes: &[usize]) -> usize {
        match self {
            Self::Rnn(units, _) | Self::Dense(units, _) => units,
            Self::Cell(cell) => cell.outputs(),
            Self::Dropout => sizes[sizes.len() - 1],
            Self::Around(layer) => layer.outputs(sizes),
        }
    }
}

/// All that a case follows from.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub seed: u64,
    pub inputs: usize,
    pub layers: Vec<Layer>,
    pub output: Output,
    pub standardized: bool,
    /// Whether the sequences start from states, and states have gradients.
    pub states: bool,
    pub steps: usize,
    /// Of each sequence; not handed to the network where all have `steps`.
    pub lengths: Vec<usize>,
}

/// What a call takes.
#[derive(Clone, Debug)]
pub struct Data<E> {
    pub steps: usize,
    pub lengths: Vec<usize>,
    pub x: Vec<E>,
    pub state: Option<Vec<E>>,
    pub dy: Vec<E>,
    pub dstate: Option<Vec<E>>,
}

/// What comes out of a forward and a backward pass, or of the former alone.
#[derive(Clone, Debug, Default)]
pub struct Results<E> {
    pub y: Vec<E>,
    pub state: Vec<E>,
    pub dx: Vec<E>,
    pub dstate: Vec<E>,
    pub gradients: Vec<E>,
}

/// Where something is not as it should be.
pub type Check = Result<(), String>;

/// Most multiply-adds of a forward pass.
const MOST_WORK: usize = 4_000_000;

fn below(rng: &mut Rng, bound: usize) -> usize {
    (rng.uniform() * bound as f64) as usize
}

fn one_in(rng: &mut Rng, count: usize) -> bool {
    below(rng, count) == 0
}

fn numbers<E: Element>(rng: &mut Rng, count: usize) -> Vec<E> {
    (0..count).map(|_| E::from_f64(rng.normal())).collect()
}

/// Around a register tile or a panel, and now and then, or where they are to be wide, beyond the widest.
fn size(rng: &mut Rng, wide: bool) -> usize {
    match wide || one_in(rng, 12) {
        true => 71 + below(rng, 230),
        false => 1 + below(rng, 70),
    }
}

impl Shape {
    /// Sequences are few and short, but in some cases more or longer than a window, and in some so few of so wide a
    /// network that threads share the units of a step.
    pub fn random(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        loop {
            let (most_sequences, most_steps, wide) = match below(rng, 24) {
                0 => (700, 3, false),
                1 | 2 => (6, 150, false),
                3..8 => (7, 6, true),
                _ => (40, 12, false),
            };
            let layers = (0..1 + below(rng, 3)).map(|_| {
                let activation = Activation::ALL[below(rng, Activation::ALL.len())];
                match below(rng, 6) {
                    0 => Layer::Dense(size(rng, wide), activation),
                    1 => Layer::Dropout,
                    2 => Layer::Rnn(size(rng, wide), activation),
                    _ => Layer::Cell(Cell::random(size(rng, wide), |bound| below(rng, bound))),
                }
            });
            let layers: Vec<_> = layers.collect();
            let steps = 1 + below(rng, most_steps);
            let batch = 1 + below(rng, most_sequences);
            let ragged = !one_in(rng, 4);
            let length = |rng: &mut Rng| if ragged { 1 + below(rng, steps) } else { steps };
            let mut shape = Self {
                seed,
                inputs: size(rng, wide),
                layers,
                output: [Output::Last, Output::All][below(rng, 2)],
                standardized: one_in(rng, 3),
                states: !one_in(rng, 4),
                steps,
                lengths: (0..batch).map(|_| length(rng)).collect(),
            };
            if shape.work() <= MOST_WORK {
                shape.put_around();
                return shape;
            }
        }
    }

    /// Puts layers around the others, in two cases of three. The others stay as they are drawn.
    fn put_around(&mut self) {
        let rng = &mut Rng::new(self.seed ^ 0xa707_0d00);
        if one_in(rng, 3) {
            return;
        }
        let others = std::mem::take(&mut self.layers);
        for layer in others.into_iter().map(Some).chain([None]) {
            for _ in 0..below(rng, 3).min(1) {
                let first = self.layers.is_empty();
                self.layers.push(Layer::Around(Around::random(rng, first)));
            }
            self.layers.extend(layer);
        }
        if self.work() > 2 * MOST_WORK {
            *self = self.clone().without_around();
        }
    }

    /// The same without the layers around the others.
    pub fn without_around(mut self) -> Self {
        let is_around = |layer: &Layer| matches!(layer, Layer::Around(_));
        self.layers.retain(|layer| !is_around(layer));
        self
    }

    /// Features of the input and of the output of each layer.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![self.inputs];
        for layer in &self.layers {
            sizes.push(layer.outputs(&sizes));
        }
        sizes
    }

    /// Multiply-adds of a forward pass.
    fn work(&self) -> usize {
        let layers = self.layers.iter().zip(self.sizes());
        let work = layers.map(|(layer, inputs)| match *layer {
            Layer::Rnn(units, _) => units * (inputs + units),
            Layer::Cell(cell) => cell.work(inputs),
            Layer::Dense(units, _) => units * inputs,
            Layer::Dropout => 0,
            Layer::Around(_) => inputs,
        });
        work.sum::<usize>() * self.lengths.iter().sum::<usize>()
    }

    /// Whether training draws numbers.
    pub fn has_dropout(&self) -> bool {
        let draws = |layer: &Layer| match layer {
            Layer::Dropout => true,
            Layer::Cell(cell) => cell.draws(),
            Layer::Rnn(..) | Layer::Dense(..) | Layer::Around(_) => false,
        };
        self.layers.iter().any(draws)
    }

    /// The same without dropout of any kind.
    pub fn without_dropout(mut self) -> Self {
        self.layers.retain(|&layer| layer != Layer::Dropout);
        for layer in &mut self.layers {
            if let Layer::Cell(cell) = layer {
                *cell = cell.without_noise();
            }
        }
        self
    }

    /// Whether a step may need what comes later.
    pub fn looks_ahead(&self) -> bool {
        let cells = self.layers.iter().filter_map(|layer| layer.cell());
        cells.into_iter().any(|cell| cell.looks_ahead())
    }

    /// Elements of a sequence's state.
    pub fn state_size(&self) -> usize {
        let cells = self.layers.iter().filter_map(|layer| layer.cell());
        cells.map(|cell| cell.state_size()).sum()
    }

    /// The network, with parameters that follow from the seed.
    pub fn network<E: Element>(&self, tier: Tier) -> Network<E> {
        let mut network = Network::with_tier(self.inputs, tier).unwrap();
        for (index, layer) in self.layers.iter().enumerate() {
            match *layer {
                Layer::Rnn(units, activation) => network.add_rnn(units, activation).unwrap(),
                Layer::Cell(cell) => cell.add(&mut network).unwrap(),
                Layer::Dense(units, activation) => network.add_dense(units, activation).unwrap(),
                Layer::Dropout => network.add_dropout(0.25).unwrap(),
                Layer::Around(layer) => layer.add(&mut network, &self.sizes()[..=index]).unwrap(),
            }
        }
        network.set_output(self.output).unwrap();
        network.set_seed(self.seed);
        let initializer = Initializer::PyTorch { gain: 0.7 };
        network.initialize(initializer, self.seed).unwrap();
        if self
            .layers
            .iter()
            .any(|layer| matches!(layer, Layer::Cell(_) | Layer::Around(_)))
        {
            // Initial states would be 0, and the factors of a layer norm 1.
            let rng = &mut Rng::new(self.seed);
            let nudged = network.parameters().iter();
            let nudged = nudged.map(|&value| value + E::from_f64(0.05 * rng.normal()));
            let nudged: Vec<E> = nudged.collect();
            network.set_parameters(&nudged).unwrap();
        }
        if self.standardized {
            let (mean, deviation) = self.standardization();
            let standardization = Standardization::new(mean, deviation).unwrap();
            network.set_standardization(Some(standardization)).unwrap();
        }
        network
    }

    /// The mean and the deviation of each input.
    pub fn standardization<E: Element>(&self) -> (Vec<E>, Vec<E>) {
        let rng = &mut Rng::new(!self.seed);
        let deviation = |_| E::from_f64(0.5 + rng.uniform());
        let deviation = (0..self.inputs).map(deviation).collect();
        (numbers(rng, self.inputs), deviation)
    }

    /// Numbers for the network, which follow from the seed.
    pub fn data<E: Element>(&self) -> Data<E> {
        let network = self.network::<E>(Tier::PORTABLE);
        let rng = &mut Rng::new(self.seed.wrapping_mul(3) + 1);
        let batch = self.lengths.len();
        let states = batch * network.state_size();
        let mut x: Vec<E> = numbers(rng, batch * self.steps * self.inputs);
        for layer in network.layers() {
            // There is at most one embedding, and it comes first.
            if let LayerKind::Embedding {
                columns, classes, ..
            } = layer.kind
            {
                for index in x.iter_mut().skip(columns[0]).step_by(self.inputs) {
                    *index = E::from_f64((index.to_f64().abs() * 100.0 % classes as f64).floor());
                }
            }
        }
        Data {
            steps: self.steps,
            lengths: self.lengths.clone(),
            x,
            state: self.states.then(|| numbers(rng, states)),
            dy: numbers(rng, network.output_len(batch, self.steps).unwrap()),
            dstate: self.states.then(|| numbers(rng, states)),
        }
    }

    /// Shapes that are simpler by one thing, the simplest first.
    fn simpler(&self) -> Vec<Self> {
        let mut simpler = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut shape = self.clone();
            change(&mut shape);
            if shape != *self {
                simpler.push(shape);
            }
        };
        let batch = self.lengths.len();
        for part in [batch.div_ceil(2), 1] {
            for start in (0..batch).step_by(part).take(40) {
                with(&|shape| {
                    shape.lengths.drain(start..batch.min(start + part));
                    if shape.lengths.is_empty() {
                        shape.lengths.push(1);
                    }
                });
            }
        }
        for less in smaller(self.steps) {
            with(&|shape| {
                shape.steps = less;
                let cut = |length: &mut usize| *length = less.min(*length);
                shape.lengths.iter_mut().for_each(cut);
            });
        }
        with(&|shape| shape.lengths.fill(shape.steps));
        with(&|shape| shape.standardized = false);
        with(&|shape| shape.states = false);
        with(&|shape| shape.output = Output::Last);
        for less in smaller(self.inputs) {
            with(&|shape| shape.inputs = less);
        }
        for (index, &layer) in self.layers.iter().enumerate() {
            if self.layers.len() > 1 {
                with(&|shape| {
                    shape.layers.remove(index);
                });
            }
            if let Layer::Cell(cell) = layer {
                for less in smaller(cell.units) {
                    with(&|shape| {
                        shape.layers[index] = Layer::Cell(Cell {
                            units: less,
                            ..cell
                        })
                    });
                }
                for simpler in cell.simpler() {
                    with(&|shape| shape.layers[index] = Layer::Cell(simpler));
                }
            }
            if let Layer::Rnn(units, activation) | Layer::Dense(units, activation) = layer {
                let like = |units, activation| match layer {
                    Layer::Rnn(..) => Layer::Rnn(units, activation),
                    _ => Layer::Dense(units, activation),
                };
                for less in smaller(units) {
                    with(&|shape| shape.layers[index] = like(less, activation));
                }
                with(&|shape| shape.layers[index] = like(units, Activation::Linear));
            }
        }
        simpler
    }
}

/// Smaller sizes, from the smallest on.
fn smaller(size: usize) -> impl Iterator<Item = usize> {
    let sizes = [1, size / 2, size.saturating_sub(8), size.saturating_sub(1)];
    sizes
        .into_iter()
        .filter(move |&less| (1..size).contains(&less))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: I {}, {:?}, {:?}, standardized {}, states {}, T {}, B {}, lengths {:?}",
            self.seed,
            self.inputs,
            self.layers,
            self.output,
            self.standardized,
            self.states,
            self.steps,
            self.lengths.len(),
            self.lengths
        )
    }
}

/// How many cases to try: a `part` of `ELMAN_CASES`.
pub fn count(part: u64) -> u64 {
    const DEFAULT: u64 = 100;
    let all = match std::env::var("ELMAN_CASES") {
        Err(_) => DEFAULT,
        Ok(count) => count.parse().expect("ELMAN_CASES is a number"),
    };
    all.div_ceil(part)
}

/// Tries `rule` on `count` random shapes. Where it does not hold, looks for the simplest shape of those like it.
pub fn hold(count: u64, rule: impl Fn(&Shape) -> Check) {
    let try_one = |shape: &Shape| {
        catch_unwind(AssertUnwindSafe(|| rule(shape))).unwrap_or(Err("a panic".to_string()))
    };
    for seed in 0..count {
        let mut shape = Shape::random(seed);
        let Err(mut fault) = try_one(&shape) else {
            continue;
        };
        eprintln!("{fault}\nof {shape}\nlooking for a simpler case");
        while let Some(simpler) = shape.simpler().into_iter().find_map(|shape| {
            let fault = try_one(&shape).err()?;
            Some((shape, fault))
        }) {
            (shape, fault) = simpler;
        }
        panic!("{fault}\nof {shape}");
    }
}

/// Lets a rule hold for each tier and both element types.
pub fn hold_everywhere(
    count: u64,
    f32_rule: impl Fn(&Shape, Tier) -> Check,
    f64_rule: impl Fn(&Shape, Tier) -> Check,
) {
    hold(count, |shape| {
        super::tiers().into_iter().try_for_each(|tier| {
            f32_rule(shape, tier).map_err(|fault| format!("{tier:?} f32: {fault}"))?;
            f64_rule(shape, tier).map_err(|fault| format!("{tier:?} f64: {fault}"))
        })
    });
}

/// A network that uses `threads` threads whatever a call costs.
pub fn on_threads<E: Element>(shape: &Shape, tier: Tier, threads: usize) -> Network<E> {
    let mut network = shape.network(tier);
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    network
}

/// Whether two buffers hold the same bits. One NaN is as good as another.
pub fn same<E: Element>(what: impl fmt::Display, actual: &[E], expected: &[E]) -> Check {
    if actual.len() != expected.len() {
        let (actual, expected) = (actual.len(), expected.len());
        return Err(format!("{what} has {actual} elements, expected {expected}"));
    }
    let differ = |(a, b): (&E, &E)| {
        let (a, b) = (a.to_f64(), b.to_f64());
        a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())
    };
    match actual.iter().zip(expected).position(differ) {
        None => Ok(()),
        Some(index) => {
            let (actual, expected) = (actual[index], expected[index]);
            Err(format!(
                "{what}[{index}] is {actual:?}, expected {expected:?}"
            ))
        }
    }
}

impl<E: Element> Results<E> {
    /// Whether these are the same bits.
    pub fn expect(&self, what: impl fmt::Display, expected: &Self) -> Check {
        for (name, actual, expected) in [
            ("y", &self.y, &expected.y),
            ("state_out", &self.state, &expected.state),
            ("dx", &self.dx, &expected.dx),
            ("dstate_in", &self.dstate, &expected.dstate),
            ("the gradients", &self.gradients, &expected.gradients),
        ] {
            same(format_args!("{what}: {name}"), actual, expected)?;
        }
        Ok(())
    }

    /// What belongs to some sequences, in another order.
    pub fn of_sequences(&self, sequences: &[usize], batch: usize) -> Self {
        Self {
            y: rows(&self.y, batch, sequences),
            state: rows(&self.state, batch, sequences),
            dx: rows(&self.dx, batch, sequences),
            dstate: rows(&self.dstate, batch, sequences),
            gradients: Vec::new(),
        }
    }
}

/// Some rows of a buffer of `count`.
pub fn rows<T: Copy>(from: &[T], count: usize, which: &[usize]) -> Vec<T> {
    let width = from.len() / count;
    let rows = which
        .iter()
        .map(|row| &from[row * width..(row + 1) * width]);
    rows.collect::<Vec<_>>().concat()
}

/// Some steps of every row of a buffer `[batch][steps][any]`.
fn steps<T: Copy>(from: &[T], batch: usize, steps: usize, which: Range<usize>) -> Vec<T> {
    let width = from.len() / batch / steps;
    let rows = from.chunks(steps * width);
    let parts = rows.map(|row| &row[which.start * width..which.end * width]);
    parts.collect::<Vec<_>>().concat()
}

impl<E: Element> Data<E> {
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Some of the sequences, in another order.
    pub fn of_sequences(&self, sequences: &[usize]) -> Self {
        let batch = self.batch();
        let states = |state: &Option<Vec<E>>| state.as_ref().map(|s| rows(s, batch, sequences));
        Self {
            steps: self.steps,
            lengths: rows(&self.lengths, batch, sequences),
            x: rows(&self.x, batch, sequences),
            state: states(&self.state),
            dy: rows(&self.dy, batch, sequences),
            dstate: states(&self.dstate),
        }
    }

    /// Some steps of the sequences, which are all longer than where they start; of `state` on.
    pub fn of_steps(&self, window: Range<usize>, state: Vec<E>) -> Self {
        let end = |length: &usize| (*length).min(window.end) - window.start;
        Self {
            steps: window.len(),
            lengths: self.lengths.iter().map(end).collect(),
            x: steps(&self.x, self.batch(), self.steps, window),
            state: Some(state),
            dy: Vec::new(),
            dstate: None,
        }
    }

    fn call(&self) -> Batch<'_, E> {
        let ragged = self.lengths.iter().any(|&length| length != self.steps);
        Batch {
            x: &self.x,
            batch: self.batch(),
            steps: self.steps,
            lengths: ragged.then_some(&self.lengths[..]),
        }
    }

    /// Inference.
    pub fn predict(&self, network: &Network<E>) -> Results<E> {
        let mut results = self.room(network);
        let (y, state) = (Some(&mut results.y[..]), Some(&mut results.state[..]));
        network
            .predict(self.call(), self.state.as_deref(), y, state)
            .unwrap();
        results
    }

    /// A forward pass of training.
    pub fn forward(&self, network: &mut Network<E>) -> Results<E> {
        let mut results = self.room(network);
        let (y, state) = (Some(&mut results.y[..]), Some(&mut results.state[..]));
        network
            .forward(self.call(), self.state.as_deref(), y, state)
            .unwrap();
        results
    }

    /// A forward pass and a backward pass.
    pub fn forward_backward(&self, network: &mut Network<E>) -> Results<E> {
        let nine = E::from_f64(9.0);
        let mut results = self.forward(network);
        results.dx = vec![nine; self.x.len()];
        results.dstate = vec![nine; results.state.len()];
        let (dx, dstate) = (Some(&mut results.dx[..]), Some(&mut results.dstate[..]));
        network
            .backward(Some(&self.dy), self.dstate.as_deref(), dx, dstate)
            .unwrap();
        results.gradients = network.gradients().to_vec();
        results
    }

    /// Steps of training: the outputs are to become `dy`.
    pub fn train(&self, network: &mut Network<E>, optimizer: &mut Optimizer<E>, steps: usize) {
        let part = E::from_f64(1.0 / self.dy.len() as f64);
        for _ in 0..steps {
            let mut dy = self.forward(network).y;
            for (dy, &target) in dy.iter_mut().zip(&self.dy) {
                *dy = (*dy - target) * part;
            }
            network.backward(Some(&dy), None, None, None).unwrap();
            network.update(optimizer).unwrap();
        }
    }

    /// Buffers for the outputs, with numbers that no network gives.
    fn room(&self, network: &Network<E>) -> Results<E> {
        let nine = E::from_f64(9.0);
        let y = network.output_len(self.batch(), self.steps).unwrap();
        Results {
            y: vec![nine; y],
            state: vec![nine; self.batch() * network.state_size()],
            ..Results::default()
        }
    }
}

/// A random order of `count` things.
pub fn order(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut Rng::new(seed));
    order
}

/// Random pieces of `0..end`, at least two where there is more than one thing.
pub fn pieces(end: usize, seed: u64) -> Vec<Range<usize>> {
    let rng = &mut Rng::new(seed);
    let mut pieces = Vec::new();
    let mut start = 0;
    while start < end {
        let most = (end - start).min(end.div_ceil(2));
        let length = 1 + below(rng, most);
        pieces.push(start..start + length);
        start += length;
    }
    pieces
}
