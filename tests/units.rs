//! Few sequences through large layers: the threads share the units of every step.

use elman::init::Initializer;
use elman::{Activation, Batch, Network, Output, Tier};

/// All that a forward and a backward pass give: y, state_out, dx, dstate_in, the gradients; then y of inference.
fn run(tier: Tier, threads: usize, lengths: &[usize], units: &[usize]) -> Vec<Vec<f32>> {
    let inputs = 37;
    let (batch, steps) = (lengths.len(), *lengths.iter().max().unwrap());
    let mut network = Network::with_tier(inputs, tier).unwrap();
    for &units in units {
        network.add_rnn(units, Activation::Tanh).unwrap();
    }
    network.add_dense(45, Activation::Sigmoid).unwrap();
    network.set_output(Output::All).unwrap();
    network
        .initialize(Initializer::PyTorch { gain: 1.0 }, 5)
        .unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    let wave = |count: usize| -> Vec<f32> { (0..count).map(|i| (i as f32 * 0.7).sin()).collect() };
    let x = wave(batch * steps * inputs);
    let state = wave(batch * network.state_size());
    let outputs = network.output_len(batch, steps).unwrap();
    let batch = Batch {
        x: &x,
        batch,
        steps,
        lengths: Some(lengths),
    };
    let [mut y, mut inferred] = [vec![0.0; outputs], vec![0.0; outputs]];
    let [mut state_out, mut dstate] = [state.clone(), state.clone()];
    let mut dx = x.clone();
    network
        .forward(batch, Some(&state), Some(&mut y), Some(&mut state_out))
        .unwrap();
    network
        .backward(
            Some(&wave(outputs)),
            Some(&state),
            Some(&mut dx),
            Some(&mut dstate),
        )
        .unwrap();
    network
        .predict(batch, Some(&state), Some(&mut inferred), None)
        .unwrap();
    let gradients = network.gradients().to_vec();
    vec![y, state_out, dx, dstate, gradients, inferred]
}

#[test]
fn threads_that_share_units_change_no_bit() {
    let cases: [(&[usize], &[usize]); 5] = [
        (&[9], &[300]),
        (&[1], &[260]),
        (&[3, 7], &[224, 190]),
        (&[2, 9, 9, 4, 1], &[129]),
        (&[5, 5, 5, 1, 6, 6, 6, 2, 3, 4, 6], &[97, 70]),
    ];
    for tier in Tier::available() {
        for (lengths, units) in cases {
            let alone = run(tier, 1, lengths, units);
            for threads in [2, 3, 8] {
                let together = run(tier, threads, lengths, units);
                for (index, (alone, together)) in alone.iter().zip(&together).enumerate() {
                    let equal = alone
                        .iter()
                        .zip(together)
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(
                        equal,
                        "{}: {threads} threads, lengths {lengths:?}, units {units:?}: result {index}",
                        tier.name()
                    );
                }
            }
        }
    }
}
