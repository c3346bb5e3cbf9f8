//! The promise of the same bits: outputs never depend on threads, on the other rows of a batch, or on whether a sequence
//! runs whole, in chunks or step by step; gradients never depend on threads; fused tiers never differ.

use elman::init::{Initializer, Rng};
use elman::{Activation, Batch, Element, Network, Output, Session, Tier};

mod common;

/// A network and a ragged batch for it.
struct Case<E: Element> {
    network: Network<E>,
    batch: usize,
    steps: usize,
    lengths: Vec<usize>,
    x: Vec<E>,
    state: Vec<E>,
    dy: Vec<E>,
    dstate: Vec<E>,
}

/// Everything that comes out of a forward and a backward pass.
#[derive(Debug, PartialEq)]
struct Results<E> {
    y: Vec<E>,
    state: Vec<E>,
    dx: Vec<E>,
    dstate: Vec<E>,
    gradients: Vec<E>,
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    (rng.uniform() * bound as f64) as usize
}

fn numbers<E: Element>(rng: &mut Rng, count: usize) -> Vec<E> {
    (0..count).map(|_| E::from_f64(rng.normal())).collect()
}

impl<E: Element> Case<E> {
    /// A random one: up to three layers of any kind, sizes around the vectors' and tiles'.
    fn random(seed: u64, tier: Tier) -> Self {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let sizes = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 65];
        let size = |rng: &mut Rng| sizes[below(rng, sizes.len())];
        let mut network = Network::with_tier(size(rng), tier).unwrap();
        for _ in 0..1 + below(rng, 3) {
            let activation = Activation::ALL[below(rng, 4)];
            match below(rng, 4) {
                0 => network.add_dense(size(rng), activation).unwrap(),
                1 => network.add_dropout(0.25).unwrap(),
                _ => network.add_rnn(size(rng), activation).unwrap(),
            }
        }
        let output = [Output::Last, Output::All][below(rng, 2)];
        network.set_output(output).unwrap();
        let gain = Initializer::GlorotUniform { gain: 0.7 };
        network.initialize(gain, seed).unwrap();
        let batch = 1 + below(rng, 40);
        let steps = 1 + below(rng, 12);
        let lengths = (0..batch).map(|_| 1 + below(rng, steps)).collect();
        let outputs = match output {
            Output::Last => batch * network.output_size(),
            Output::All => batch * steps * network.output_size(),
        };
        Self {
            batch,
            steps,
            lengths,
            x: numbers(rng, batch * steps * network.input_size()),
            state: numbers(rng, batch * network.state_size()),
            dy: numbers(rng, outputs),
            dstate: numbers(rng, batch * network.state_size()),
            network,
        }
    }

    /// Forward and backward.
    fn train(&mut self) -> Results<E> {
        let mut results = Results {
            y: vec![E::from_f64(9.0); self.dy.len()],
            state: vec![E::from_f64(9.0); self.state.len()],
            dx: vec![E::from_f64(9.0); self.x.len()],
            dstate: vec![E::from_f64(9.0); self.state.len()],
            gradients: Vec::new(),
        };
        self.network.set_seed(1);
        self.network.clear_gradients();
        let batch = Batch {
            x: &self.x,
            batch: self.batch,
            steps: self.steps,
            lengths: Some(&self.lengths),
        };
        let (y, state) = (Some(&mut results.y[..]), Some(&mut results.state[..]));
        self.network
            .forward(batch, Some(&self.state), y, state)
            .unwrap();
        let (dx, dstate) = (Some(&mut results.dx[..]), Some(&mut results.dstate[..]));
        self.network
            .backward(Some(&self.dy), Some(&self.dstate), dx, dstate)
            .unwrap();
        results.gradients = self.network.gradients().to_vec();
        results
    }

    /// Inference: outputs and final states of the sequences from `rows`, with `steps` steps from `start` on of each.
    fn predict(&self, sequence: usize, start: usize, end: usize, state: &[E]) -> (Vec<E>, Vec<E>) {
        let size = self.network.input_size();
        let first = (sequence * self.steps + start) * size;
        let last = (sequence * self.steps + end) * size;
        let steps = match self.network.output() {
            Output::Last => 1,
            Output::All => end - start,
        };
        let mut y = vec![E::ZERO; steps * self.network.output_size()];
        let mut state_out = vec![E::ZERO; self.network.state_size()];
        let batch = Batch {
            x: &self.x[first..last],
            batch: 1,
            steps: end - start,
            lengths: None,
        };
        self.network
            .predict(batch, Some(state), Some(&mut y), Some(&mut state_out))
            .unwrap();
        (y, state_out)
    }
}

const CASES: u64 = 150;

fn threads_change_nothing<E: Element>() {
    for tier in common::tiers() {
        for seed in 0..CASES {
            let mut case = Case::<E>::random(seed, tier);
            let alone = case.train();
            for threads in [2, 3, 8] {
                case.network.set_threads(threads).unwrap();
                case.network.set_parallel_threshold(0);
                assert_eq!(case.train(), alone, "seed {seed}, {threads} threads");
            }
        }
    }
}

#[test]
fn threads_change_nothing_f32() {
    threads_change_nothing::<f32>();
}

#[test]
fn threads_change_nothing_f64() {
    threads_change_nothing::<f64>();
}

#[test]
fn fused_tiers_agree() {
    let fused: Vec<Tier> = common::tiers()
        .into_iter()
        .filter(|tier| tier.is_fused())
        .collect();
    for seed in 0..CASES {
        let mut results = fused
            .iter()
            .map(|&tier| Case::<f32>::random(seed, tier).train());
        if let Some(first) = results.next() {
            assert!(results.all(|result| result == first), "seed {seed}");
        }
    }
}

#[test]
fn a_sequence_alone_in_chunks_and_in_a_stream_is_the_one_in_its_batch() {
    for tier in common::tiers() {
        for seed in 0..CASES {
            let case = Case::<f32>::random(seed, tier);
            let (outputs, states) = (case.network.output_size(), case.network.state_size());
            let per_sequence = case.dy.len() / case.batch;
            let mut y = vec![9.0; case.dy.len()];
            let mut state_out = vec![9.0; case.state.len()];
            let batch = Batch {
                x: &case.x,
                batch: case.batch,
                steps: case.steps,
                lengths: Some(&case.lengths),
            };
            case.network
                .predict(batch, Some(&case.state), Some(&mut y), Some(&mut state_out))
                .unwrap();
            let mut session = Session::new(&case.network).unwrap();
            for (sequence, &length) in case.lengths.iter().enumerate() {
                let context = format!("{tier:?}, seed {seed}, sequence {sequence}");
                let start = &case.state[sequence * states..][..states];
                let y = &y[sequence * per_sequence..][..per_sequence];
                let (real, padding) = match case.network.output() {
                    Output::Last => (y, &y[..0]),
                    Output::All => y.split_at(length * outputs),
                };
                assert!(padding.iter().all(|&value| value == 0.0), "{context}");
                let end = &state_out[sequence * states..][..states];

                let (alone, alone_end) = case.predict(sequence, 0, length, start);
                assert_eq!(alone, real, "{context}");
                assert_eq!(alone_end, end, "{context}");

                let middle = length / 2;
                if middle > 0 {
                    let (first, state) = case.predict(sequence, 0, middle, start);
                    let (second, chunked_end) = case.predict(sequence, middle, length, &state);
                    let chunked = match case.network.output() {
                        Output::Last => second,
                        Output::All => [first, second].concat(),
                    };
                    assert_eq!(chunked, real, "{context}");
                    assert_eq!(chunked_end, end, "{context}");
                }

                session.set_state(start).unwrap();
                let mut streamed = Vec::<f32>::new();
                let mut output = vec![0.0; outputs];
                for step in 0..length {
                    let size = case.network.input_size();
                    let x = &case.x[(sequence * case.steps + step) * size..][..size];
                    session.step(x, &mut output).unwrap();
                    streamed.extend(&output);
                }
                let streamed = &streamed[streamed.len() - real.len()..];
                assert_eq!(streamed, real, "{context}");
                let mut state = vec![0.0; states];
                session.state(&mut state).unwrap();
                assert_eq!(state, end, "{context}");
            }
        }
    }
}

#[test]
fn training_and_inference_agree_without_dropout() {
    for tier in common::tiers() {
        let mut network = Network::<f32>::with_tier(5, tier).unwrap();
        network.add_rnn(33, Activation::Tanh).unwrap();
        network.add_dense(3, Activation::Sigmoid).unwrap();
        network.set_output(Output::All).unwrap();
        network
            .initialize(Initializer::GlorotUniform { gain: 1.0 }, 3)
            .unwrap();
        // Long enough for several windows of the inference pass.
        let (batch, steps) = (20, 100);
        let x: Vec<f32> = numbers(&mut Rng::new(1), batch * steps * 5);
        let batch = Batch {
            x: &x,
            batch,
            steps,
            lengths: None,
        };
        let mut y = [vec![9.0; 6000], vec![9.0; 6000]];
        let mut state = [vec![9.0; 660], vec![9.0; 660]];
        network
            .forward(batch, None, Some(&mut y[0]), Some(&mut state[0]))
            .unwrap();
        network
            .predict(batch, None, Some(&mut y[1]), Some(&mut state[1]))
            .unwrap();
        assert_eq!(y[0], y[1]);
        assert_eq!(state[0], state[1]);
    }
}
