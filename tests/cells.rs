//! Every recurrent cell with every option: the gradients against difference quotients, and the same bits in all the ways
//! that a sequence can be run.

mod common;

use elman::gradient_check::{Outputs, check_gradients};
use elman::init::Initializer;
use elman::{
    Activation, Batch, CellActivations, Direction, Element, InitialState, LastOutput, Merge,
    Network, Output, RecurrentOptions, Reset, Result,
};

const BATCH: usize = 3;
const STEPS: usize = 5;
const LENGTHS: [usize; BATCH] = [3, 5, 1];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Rnn(Activation),
    Gru,
    Lstm,
}

fn add<E: Element>(
    network: &mut Network<E>,
    kind: Kind,
    units: usize,
    options: &RecurrentOptions,
) -> Result<()> {
    match kind {
        Kind::Rnn(activation) => network.add_recurrent(units, activation, options),
        Kind::Gru => network.add_gru(units, options),
        Kind::Lstm => network.add_lstm(units, options),
    }
}

/// Every cell with some of its options, many of them together.
fn cells() -> Vec<(Kind, RecurrentOptions)> {
    let plain = RecurrentOptions::default();
    let smooth = CellActivations {
        gates: Activation::Tanh,
        candidate: Activation::Sigmoid,
        output: Activation::Linear,
    };
    let mut cells = Vec::new();
    for kind in [Kind::Rnn(Activation::Tanh), Kind::Gru, Kind::Lstm] {
        let mut own = vec![
            plain.clone(),
            RecurrentOptions {
                bias: false,
                ..plain.clone()
            },
            RecurrentOptions {
                clip_sums: 0.3,
                ..plain.clone()
            },
            RecurrentOptions {
                recurrent_dropout: 0.4,
                ..plain.clone()
            },
            RecurrentOptions {
                zoneout: 0.3,
                ..plain.clone()
            },
            RecurrentOptions {
                initial_state: InitialState::Trainable,
                recurrent_dropout: 0.4,
                zoneout: 0.3,
                clip_sums: 0.5,
                ..plain.clone()
            },
        ];
        if kind == Kind::Gru {
            let before = |options: &RecurrentOptions| RecurrentOptions {
                reset: Reset::Before,
                ..options.clone()
            };
            let others: Vec<_> = own.iter().map(before).collect();
            own.extend(others);
        }
        if kind != Kind::Rnn(Activation::Tanh) {
            own.push(RecurrentOptions {
                activations: [smooth, CellActivations::default()],
                ..plain.clone()
            });
        }
        if kind == Kind::Lstm {
            for (peepholes, projection, coupled) in [
                (true, 0, false),
                (false, 3, false),
                (false, 0, true),
                (true, 2, true),
                (true, 7, false),
            ] {
                let some = RecurrentOptions {
                    peepholes,
                    projection,
                    coupled,
                    ..plain.clone()
                };
                own.push(some.clone());
                own.push(RecurrentOptions {
                    recurrent_dropout: 0.4,
                    zoneout: 0.2,
                    zoneout_cell: 0.3,
                    clip_state: 0.3,
                    initial_state: InitialState::Trainable,
                    ..some
                });
            }
            own.push(RecurrentOptions {
                zoneout_cell: 0.5,
                ..plain.clone()
            });
            own.push(RecurrentOptions {
                clip_state: 0.2,
                ..plain.clone()
            });
        }
        cells.extend(own.into_iter().map(|options| (kind, options)));
    }
    cells
}

/// The ways that a layer can go, and what becomes of its outputs.
fn ways(options: &RecurrentOptions) -> Vec<RecurrentOptions> {
    let mut ways = vec![options.clone()];
    for last in [LastOutput::FinalState, LastOutput::LastStep] {
        ways.push(RecurrentOptions {
            direction: Direction::Reverse,
            last,
            ..options.clone()
        });
        for merge in [Merge::Concat, Merge::Sum, Merge::Mean, Merge::Product] {
            ways.push(RecurrentOptions {
                direction: Direction::Bidirectional,
                merge,
                last,
                ..options.clone()
            });
        }
    }
    ways
}

/// Numbers in [-1, 1] that follow no pattern.
fn numbers<E: Element>(count: usize, phase: f64) -> Vec<E> {
    let number = |i| (phase + 2.3 * f64::from(i) + (1.7 * f64::from(i)).sin()).sin();
    (0..u32::try_from(count).unwrap())
        .map(|i| E::from_f64(number(i)))
        .collect()
}

fn network(output: Output, build: impl FnOnce(&mut Network<f64>) -> Result<()>) -> Network<f64> {
    let mut network = Network::new(2).unwrap();
    build(&mut network).unwrap();
    network.set_output(output).unwrap();
    network
        .initialize(Initializer::PyTorch { gain: 1.5 }, 3)
        .unwrap();
    // Whatever starts at 0 too.
    let parameters: Vec<f64> = network
        .parameters()
        .iter()
        .zip(numbers::<f64>(network.parameter_count(), 0.2))
        .map(|(&value, number)| value + 0.1 * number)
        .collect();
    network.set_parameters(&parameters).unwrap();
    network
}

/// A smooth function of every output and of every final state.
fn every_output(outputs: Outputs<'_>) -> Result<f64> {
    let mut loss = 0.0;
    for (values, gradients) in [(outputs.y, outputs.dy), (outputs.state, outputs.dstate)] {
        let weights = numbers::<f64>(values.len(), 0.9);
        for ((&value, gradient), weight) in values.iter().zip(gradients).zip(weights) {
            loss += weight * value + 0.5 * value * value;
            *gradient = weight + value;
        }
    }
    Ok(loss)
}

#[track_caller]
fn assert_gradients(network: &Network<f64>, has_state: bool, what: &str) {
    let x = numbers(BATCH * STEPS * 2, 0.3);
    let batch = Batch {
        x: &x,
        batch: BATCH,
        steps: STEPS,
        lengths: Some(&LENGTHS),
    };
    let state = numbers(BATCH * network.state_size(), 0.6);
    let state = has_state.then_some(&state[..]);
    let report = check_gradients(network, batch, state, every_output).unwrap();
    assert!(report.relative_error < 1e-6, "{what}: {report}");
}

#[test]
fn gradients_of_every_cell_are_those_of_difference_quotients() {
    for (kind, options) in cells() {
        for (number, options) in ways(&options).iter().enumerate() {
            for output in [Output::Last, Output::All] {
                let network = network(output, |network| {
                    add(network, kind, 4, options)?;
                    if number % 2 == 0 {
                        network.add_dense(3, Activation::Tanh)?;
                    }
                    Ok(())
                });
                let what = format!("{kind:?} {output:?} {options:?}");
                assert_gradients(&network, true, &what);
                assert_gradients(&network, false, &what);
            }
        }
    }
}

/// The tensor of that name of the first layer, and its columns.
fn tensor(network: &Network<f64>, name: &str) -> (Vec<f64>, usize) {
    let layer = network.layers().next().unwrap();
    let tensor = layer
        .tensors()
        .find(|tensor| tensor.name() == name)
        .unwrap();
    (
        network.parameters()[tensor.parameters].to_vec(),
        tensor.columns,
    )
}

#[test]
fn gates_start_as_the_schemes_and_options_say() {
    let units = 6;
    let with = |initializer: Initializer, options: &RecurrentOptions| {
        let mut network = Network::<f64>::new(3).unwrap();
        network.add_lstm(units, options).unwrap();
        network.initialize(initializer, 5).unwrap();
        network
    };
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();

    // Keras: the rows of all gates together are orthonormal, and the forget gates open.
    let plain = RecurrentOptions::default();
    let keras = with(Initializer::Keras { gain: 1.0 }, &plain);
    let (weights, columns) = tensor(&keras, "W_h");
    let rows: Vec<&[f64]> = weights.chunks(columns).collect();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            assert!((product(a, b) - f64::from(u8::from(i == j))).abs() < 1e-12);
        }
    }
    let bound = (6.0 / (3 + columns) as f64).sqrt();
    let (weights, _) = tensor(&keras, "W_x");
    assert!(weights.iter().all(|weight| weight.abs() <= bound));
    assert!(weights.iter().any(|weight| weight.abs() > 0.8 * bound));
    let (bias, _) = tensor(&keras, "b");
    let expected = |gate: usize| if gate == 1 { 1.0 } else { 0.0 };
    let mut gates = bias.chunks(units).enumerate();
    assert!(gates.all(|(gate, bias)| bias.iter().all(|&value| value == expected(gate))));

    // Orthogonal: each gate by itself.
    let orthogonal = with(Initializer::Orthogonal { gain: 1.0 }, &plain);
    let (weights, columns) = tensor(&orthogonal, "W_h");
    for gate in 0..4 {
        let row = |row: usize| &weights[row * columns + gate * units..][..units];
        for i in 0..units {
            for j in 0..units {
                let expected = f64::from(u8::from(i == j));
                assert!((product(row(i), row(j)) - expected).abs() < 1e-12);
            }
        }
    }

    // A forget bias that was chosen, when the layer is added and under every scheme; the rest as ever.
    let chosen = RecurrentOptions {
        forget_bias: Some(2.5),
        ..plain.clone()
    };
    let mut added = Network::<f64>::new(3).unwrap();
    added.add_lstm(units, &chosen).unwrap();
    let gain = 1.0;
    for network in [
        added,
        with(Initializer::Keras { gain }, &chosen),
        with(Initializer::PyTorch { gain }, &chosen),
        with(Initializer::Constant { value: 0.0 }, &chosen),
    ] {
        let (bias, _) = tensor(&network, "b");
        assert!(bias[units..2 * units].iter().all(|&value| value == 2.5));
        assert!(bias[..units].iter().all(|&value| value != 2.5));
    }
    let bound = 1.0 / (units as f64).sqrt();
    let pytorch = with(Initializer::PyTorch { gain }, &plain);
    assert!(
        pytorch
            .parameters()
            .iter()
            .all(|value| value.abs() <= bound)
    );
}
