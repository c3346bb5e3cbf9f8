//! A layer with all that a call on it needs, so that a benchmark times the call and nothing else.

use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Output, Session, Tier};

use crate::shapes::Shape;

const SIZES: &str = "the sizes fit each other";

/// Numbers of both signs, none of them tiny.
fn wave(count: usize) -> Vec<f32> {
    (0..count)
        .map(|index| (index as f32 * 0.37).sin())
        .collect()
}

fn network(shape: &Shape, tier: Tier) -> elman::Result<Network> {
    let mut network = Network::with_tier(shape.input, tier)?;
    network.add_rnn(shape.units, Activation::Tanh)?;
    network.set_output(Output::All)?;
    network.initialize(Initializer::PyTorch { gain: 1.0 }, 1)?;
    Ok(network)
}

/// A layer and a batch.
pub struct Job {
    shape: Shape,
    network: Network,
    optimizer: Optimizer,
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    /// The gradient that comes in from above.
    pub dy: Vec<f32>,
    /// Room for the gradient of `x`, where a training step is to compute it.
    pub dx: Option<Vec<f32>>,
    /// Lengths of the sequences, where they differ.
    pub lengths: Option<Vec<usize>>,
}

impl Job {
    pub fn new(shape: Shape, tier: Tier, threads: usize) -> elman::Result<Self> {
        let mut network = network(&shape, tier)?;
        network.set_threads(threads)?;
        Self::of(network, shape)
    }

    /// A network of one layer that gives all outputs, and a batch.
    pub fn of(network: Network, shape: Shape) -> elman::Result<Self> {
        let outputs = network.output_len(shape.batch, shape.steps)?;
        Ok(Self {
            network,
            // Slow enough that the parameters stay what they are, however often the step is repeated.
            optimizer: Optimizer::new(Rule::SGD, 1e-6)?,
            x: wave(shape.steps * shape.batch * shape.input),
            y: vec![0.0; outputs],
            dy: vec![1e-3; outputs],
            dx: None,
            lengths: None,
            shape,
        })
    }

    /// Inference.
    pub fn forward(&mut self) {
        let batch = Batch {
            x: &self.x,
            batch: self.shape.batch,
            steps: self.shape.steps,
            lengths: self.lengths.as_deref(),
        };
        self.network
            .predict(batch, None, Some(&mut self.y), None)
            .expect(SIZES);
    }

    /// Forward, backward, update.
    pub fn training(&mut self) {
        self.gradients();
        self.network.update(&mut self.optimizer).expect(SIZES);
    }

    /// Forward, backward.
    pub fn gradients(&mut self) {
        let batch = Batch {
            x: &self.x,
            batch: self.shape.batch,
            steps: self.shape.steps,
            lengths: self.lengths.as_deref(),
        };
        let network = &mut self.network;
        network
            .forward(batch, None, Some(&mut self.y), None)
            .and_then(|()| network.backward(Some(&self.dy), None, self.dx.as_deref_mut(), None))
            .expect(SIZES);
    }
}

/// A layer that sees one sequence step by step.
pub struct Stream {
    session: Session,
    x: Vec<f32>,
    y: Vec<f32>,
    /// Where in `x` the next step is.
    next: usize,
}

impl Stream {
    /// Steps of a block.
    pub const BLOCK: usize = 64;

    pub fn new(shape: &Shape, tier: Tier) -> elman::Result<Self> {
        Self::of(&network(shape, tier)?)
    }

    /// Through any network.
    pub fn of(network: &Network) -> elman::Result<Self> {
        Ok(Self {
            session: Session::new(network)?,
            x: wave(Self::BLOCK * network.input_size()),
            y: vec![0.0; Self::BLOCK * network.output_size()],
            next: 0,
        })
    }

    /// One step; the inputs repeat after a block of them.
    pub fn step(&mut self) {
        let size = self.session.input_size();
        let x = &self.x[self.next..self.next + size];
        let y = &mut self.y[..self.session.output_size()];
        self.session.step(x, y).expect(SIZES);
        self.next = (self.next + size) % self.x.len();
    }

    /// A block of steps in one call.
    pub fn run(&mut self) {
        let (x, y) = (&self.x, &mut self.y);
        self.session.run(x, Self::BLOCK, y).expect(SIZES);
    }
}
