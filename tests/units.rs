//! Large layers: the threads share every step, some units of all rows or of some.

use elman::init::Initializer;
use elman::{Activation, Batch, Network, Output, RecurrentOptions, Tier};

#[derive(Clone, Copy, Debug)]
enum Cell {
    Rnn,
    Gru,
    Lstm,
}

/// All that a forward and a backward pass give: y, state_out, dx, dstate_in, the gradients; then y of inference.
fn run(
    tier: Tier,
    threads: usize,
    cell: Cell,
    lengths: &[usize],
    units: &[usize],
) -> Vec<Vec<f32>> {
    let inputs = 37;
    let (batch, steps) = (lengths.len(), *lengths.iter().max().unwrap());
    let mut network = Network::with_tier(inputs, tier).unwrap();
    for &units in units {
        let options = RecurrentOptions::default();
        match cell {
            Cell::Rnn => network.add_rnn(units, Activation::Tanh),
            Cell::Gru => network.add_gru(units, &options),
            Cell::Lstm => network.add_lstm(units, &options),
        }
        .unwrap();
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
fn threads_that_share_steps_change_no_bit() {
    let sixteen: &[usize] = &[6, 1, 6, 4, 2, 6, 5, 3, 1, 5, 4, 3, 6, 1, 1, 2];
    let cases: [(Cell, &[usize], &[usize]); 8] = [
        (Cell::Rnn, &[9], &[300]),
        (Cell::Rnn, &[1], &[260]),
        (Cell::Rnn, &[3, 7], &[224, 190]),
        (Cell::Rnn, &[2, 9, 9, 4, 1], &[129]),
        (Cell::Rnn, &[5, 5, 5, 1, 6, 6, 6, 2, 3, 4, 6], &[97, 70]),
        (Cell::Rnn, &[3; 64], &[512]),
        (Cell::Gru, sixteen, &[230, 161]),
        (Cell::Lstm, sixteen, &[256]),
    ];
    for tier in Tier::available() {
        for (cell, lengths, units) in cases {
            let alone = run(tier, 1, cell, lengths, units);
            for threads in [2, 3, 8, 16] {
                let together = run(tier, threads, cell, lengths, units);
                for (index, (alone, together)) in alone.iter().zip(&together).enumerate() {
                    let equal = alone
                        .iter()
                        .zip(together)
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(
                        equal,
                        "{}: {cell:?}, {threads} threads, lengths {lengths:?}, units {units:?}: result {index}",
                        tier.name()
                    );
                }
            }
        }
    }
}
