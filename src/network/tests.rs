//! What a panic inside a layer leaves behind, and a network as small as Miri can train it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::activation::Activation;
use crate::init::Initializer;
use crate::layer::{Backward, Forward, Layer, LayerSpec};
use crate::loss::mean_squared_error;
use crate::optimizer::Rule;
use crate::regions::{Rows, RowsMut};
use crate::session::Session;

/// A layer without parameters that panics, forward or backward, where the first of its inputs is [`FAULT`].
#[derive(Debug)]
struct Faulty {
    features: usize,
    backward: bool,
}

const FAULT: f32 = 77.0;

impl Layer<f32> for Faulty {
    fn outputs(&self) -> usize {
        self.features
    }

    fn forward(&self, pass: &Forward<'_, f32>, activations: &mut RowsMut<'_, f32>) {
        let block = activations.block();
        let ([x], y) = activations.split([(pass.input, block)], (pass.output, block));
        let is_fault = x.contains(&FAULT);
        let len = x.len().min(y.len());
        y[..len].copy_from_slice(&x[..len]);
        assert!(self.backward || !is_fault, "a fault forward");
    }

    fn backward(
        &self,
        pass: &Backward<'_, f32>,
        activations: &Rows<'_, f32>,
        _: &mut RowsMut<'_, f32>,
    ) {
        let x = activations.get(pass.input, activations.block());
        assert!(!self.backward || !x.contains(&FAULT), "a fault backward");
    }
}

const INPUT: usize = 16;
const BATCH: usize = 8;
const STEPS: usize = 3;

fn faulty_network(threads: usize, backward: bool) -> Network<f32> {
    let mut model = Model::new(Tier::active().unwrap(), INPUT).unwrap();
    model.output = Output::All;
    model
        .add(LayerSpec::Activation {
            activation: Activation::Linear,
        })
        .unwrap();
    model.places[0].layer = Arc::new(Faulty {
        features: INPUT,
        backward,
    });
    let mut network = Network::with_model(model).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    network
}

fn whole_network(threads: usize) -> Network<f32> {
    let mut network = Network::new(INPUT).unwrap();
    network.add_rnn(8, Activation::Tanh).unwrap();
    network
        .initialize(Initializer::GlorotUniform { gain: 1.0 }, 1)
        .unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    network
}

fn batch(x: &[f32]) -> Batch<'_, f32> {
    Batch {
        x,
        batch: BATCH,
        steps: STEPS,
        lengths: None,
    }
}

fn predict(network: &Network<f32>, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; network.output_len(BATCH, STEPS).unwrap()];
    network.predict(batch(x), None, Some(&mut y), None).unwrap();
    y
}

/// The message of the panic that `work` ends with.
fn panic_of(work: impl FnOnce() -> Result<()>) -> &'static str {
    let payload = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
    payload.downcast_ref::<&str>().copied().unwrap_or_default()
}

#[test]
fn a_panic_in_a_layer_comes_back_and_leaves_everything_else_at_work() {
    let whole = vec![0.5; BATCH * STEPS * INPUT];
    let expected = predict(&whole_network(1), &whole);
    for threads in [1, 2] {
        let other = whole_network(threads);
        // Of the first sequence, which the calling thread runs, and of the last one, which another runs.
        for sequence in [0, BATCH - 1] {
            let mut x = whole.clone();
            x[sequence * STEPS * INPUT] = FAULT;
            let mut network = faulty_network(threads, false);
            let forward = panic_of(|| network.forward(batch(&x), None, None, None));
            assert_eq!(forward, "a fault forward");
            assert!(network.backward(None, None, None, None).is_err());
            let predicted = panic_of(|| network.predict(batch(&x), None, None, None));
            assert_eq!(predicted, "a fault forward");
            assert_eq!(predict(&network, &whole), whole);
            assert_eq!(predict(&other, &whole), expected);
            drop(network);

            let mut network = faulty_network(threads, true);
            network.forward(batch(&x), None, None, None).unwrap();
            // Without a gradient to give, it would not go through layers that have nothing to train.
            let mut dx = vec![0.0; x.len()];
            let backward = panic_of(|| network.backward(None, None, Some(&mut dx), None));
            assert_eq!(backward, "a fault backward");
            assert_eq!(predict(&network, &whole), whole);
            assert_eq!(predict(&other, &whole), expected);
        }
    }
}

/// The parameters and outputs of a network of every kind of layer after two steps of a training; its stream gives the same
/// outputs.
fn trained<E: Element>(threads: usize) -> [Vec<E>; 2] {
    const LENGTHS: [usize; 4] = [3, 1, 2, 3];
    const OUTPUTS: usize = 2;
    let mut network = Network::<E>::new(2).unwrap();
    network.add_rnn(5, Activation::Tanh).unwrap();
    network.add_dropout(0.25).unwrap();
    network.add_rnn(3, Activation::Sigmoid).unwrap();
    network.add_dense(OUTPUTS, Activation::Linear).unwrap();
    network.set_output(Output::All).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);

    let numbers = |len| {
        (0..len)
            .map(|index| E::from_f64((index * 5 % 7) as f64 / 8.0))
            .collect()
    };
    let x: Vec<E> = numbers(LENGTHS.len() * STEPS * 2);
    let targets: Vec<E> = numbers(LENGTHS.len() * STEPS * OUTPUTS);
    let batch = Batch {
        x: &x,
        batch: LENGTHS.len(),
        steps: STEPS,
        lengths: Some(&LENGTHS),
    };
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    let (mut y, mut dy) = (targets.clone(), targets.clone());
    let mut dx = x.clone();
    let mut state = vec![E::ZERO; LENGTHS.len() * network.state_size()];
    let mut dstate = state.clone();
    for _ in 0..2 {
        let start = state.clone();
        network
            .forward(batch, Some(&start), Some(&mut y), Some(&mut state))
            .unwrap();
        mean_squared_error(&y, &targets, None, Some(&mut dy)).unwrap();
        network
            .backward(Some(&dy), Some(&state), Some(&mut dx), Some(&mut dstate))
            .unwrap();
        network.update(&mut optimizer).unwrap();
    }
    network.predict(batch, None, Some(&mut y), None).unwrap();

    let mut session = Session::new(&network).unwrap();
    let mut stream = [E::ZERO; STEPS * OUTPUTS];
    let (x, first) = (&x[..STEPS * 2], &y[..STEPS * OUTPUTS]);
    session.run(x, STEPS, &mut stream).unwrap();
    assert!(stream == first);
    session.reset();
    for (x, y) in x.chunks(2).zip(first.chunks(OUTPUTS)) {
        session.step(x, &mut stream[..OUTPUTS]).unwrap();
        assert!(stream[..OUTPUTS] == *y);
    }
    [network.parameters().to_vec(), y]
}

#[test]
fn a_small_network_learns_and_streams_the_same_on_two_threads() {
    assert!(trained::<f32>(1) == trained::<f32>(2));
    assert!(trained::<f64>(1) == trained::<f64>(2));
}
