//! The layers that stand around recurrent cells: layer norms, embeddings, and layers that look back at earlier ones.

mod common;

use std::ops::{ControlFlow, Range};

use elman::dataset::{Dataset, Standardization, Targets};
use elman::gradient_check::{Outputs, check_gradients};
use elman::loss::{Loss, mean_squared_error};
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, fit};
use elman::{
    Activation, Batch, Direction, Element, Error, LayerKind, Network, Output, RecurrentOptions,
    Result, Session,
};
use serde_json::Value;

/// A layer of a test's network.
#[derive(Clone, Debug)]
enum Kind {
    Rnn(usize),
    Gru(usize),
    Both(usize),
    Dense(usize),
    Dropout,
    Norm(f64),
    Embedding(&'static [usize], usize, usize),
    Concat(&'static [usize]),
    Residual(usize),
}

use Kind::{Both, Concat, Dense, Dropout, Embedding, Gru, Norm, Residual, Rnn};

fn add<E: Element>(network: &mut Network<E>, kind: &Kind) -> Result<()> {
    match *kind {
        Rnn(units) => network.add_rnn(units, Activation::Tanh),
        Gru(units) => network.add_gru(units, &RecurrentOptions::default()),
        Both(units) => {
            let options = RecurrentOptions {
                direction: Direction::Bidirectional,
                ..RecurrentOptions::default()
            };
            network.add_lstm(units, &options)
        }
        Dense(units) => network.add_dense(units, Activation::Tanh),
        Dropout => network.add_dropout(0.3),
        Norm(epsilon) => network.add_layer_norm(epsilon),
        Embedding(columns, classes, size) => network.add_embedding(columns, classes, size),
        Concat(layers) => network.add_concat(layers),
        Residual(layer) => network.add_residual(layer),
    }
}

/// Networks of three inputs, of which the embeddings' are the first and, in one, the last.
const NETWORKS: [&[Kind]; 14] = [
    &[Norm(1e-5), Rnn(19), Norm(1e-5), Dense(3)],
    &[Rnn(35), Norm(0.1), Dropout, Gru(17), Norm(1e-5)],
    &[Embedding(&[0], 4, 5), Gru(6)],
    &[Embedding(&[0, 2], 4, 17), Dense(3), Norm(1e-3)],
    &[
        Embedding(&[0], 4, 2),
        Embedding(&[3], 4, 3),
        Dropout,
        Rnn(4),
        Dense(2),
    ],
    &[
        Gru(5),
        Dense(4),
        Concat(&[0, 1, 2]),
        Rnn(6),
        Concat(&[4, 0]),
    ],
    &[Rnn(4), Rnn(5), Concat(&[1, 1, 0]), Dense(2)],
    &[
        Gru(8),
        Residual(1),
        Dropout,
        Gru(8),
        Residual(1),
        Residual(3),
        Norm(1e-5),
    ],
    &[
        Rnn(4),
        Dropout,
        Gru(5),
        Dropout,
        Concat(&[2, 4, 0, 3]),
        Dropout,
        Residual(5),
        Dense(2),
    ],
    &[Dropout, Rnn(3), Concat(&[0, 1, 2]), Dropout],
    &[Concat(&[0, 0]), Dense(6), Residual(1)],
    &[Both(3), Dropout, Gru(4), Concat(&[1, 2, 3, 0]), Dense(2)],
    &[
        Embedding(&[0], 4, 3),
        Both(2),
        Residual(2),
        Concat(&[0, 3]),
        Gru(7),
        Dense(3),
        Residual(0),
    ],
    &[Residual(0), Rnn(3), Residual(0)],
];

fn network<E: Element>(kinds: &[Kind], output: Output) -> Network<E> {
    let mut network = Network::<E>::new(3).unwrap();
    network.set_seed(5);
    for kind in kinds {
        add(&mut network, kind).unwrap();
    }
    network.set_output(output).unwrap();
    let standardization = Standardization::new(
        [1.5, 0.25, -0.5].map(E::from_f64).to_vec(),
        [2.0, 0.5, 1.25].map(E::from_f64).to_vec(),
    );
    network
        .set_standardization(Some(standardization.unwrap()))
        .unwrap();
    network
}

/// `[batch][steps][3]`: the first and the last number of a step are indices below 4.
fn inputs<E: Element>(batch: usize, steps: usize) -> Vec<E> {
    let number = |index: usize| match index % 3 {
        1 => (index as f64 * 0.7).sin(),
        _ => (index * index / 7 % 4) as f64,
    };
    (0..batch * steps * 3)
        .map(|index| E::from_f64(number(index)))
        .collect()
}

fn wave<E: Element>(count: usize) -> Vec<E> {
    (0..count)
        .map(|index| E::from_f64((index as f64 * 1.3).cos()))
        .collect()
}

const STEPS: usize = 70;

fn lengths(batch: usize) -> Vec<usize> {
    (0..batch)
        .map(|sequence| STEPS - sequence * 13 % 67)
        .collect()
}

/// y, the final states, dx and the gradients of a pass in training.
fn trained<E: Element>(network: &mut Network<E>, batch: usize) -> [Vec<E>; 4] {
    let (x, lengths) = (inputs(batch, STEPS), lengths(batch));
    let mut y = vec![E::ZERO; network.output_len(batch, STEPS).unwrap()];
    let mut state = vec![E::ZERO; batch * network.state_size()];
    let mut dx = vec![E::ONE; x.len()];
    let call = Batch {
        x: &x,
        batch,
        steps: STEPS,
        lengths: Some(&lengths),
    };
    network
        .forward(call, None, Some(&mut y), Some(&mut state))
        .unwrap();
    let (dy, dstate) = (wave(y.len()), wave(state.len()));
    network
        .backward(Some(&dy), Some(&dstate), Some(&mut dx), None)
        .unwrap();
    let gradients = network.gradients().to_vec();
    network.clear_gradients();
    // Without the gradient of the input, those of the parameters are the same.
    network.set_seed(network.seed());
    network.forward(call, None, None, None).unwrap();
    network
        .backward(Some(&dy), Some(&dstate), None, None)
        .unwrap();
    assert!(network.gradients() == gradients);
    network.clear_gradients();
    [y, state, dx, gradients]
}

fn bits_are_the_same<E: Element>(kinds: &[Kind], output: Output) {
    let batch = 17;
    let mut alone = network::<E>(kinds, output);
    let expected = trained(&mut alone, batch);
    for threads in [2, 3] {
        let mut shared = network::<E>(kinds, output);
        shared.set_threads(threads).unwrap();
        shared.set_parallel_threshold(0);
        assert!(
            trained(&mut shared, batch) == expected,
            "{kinds:?}, {threads}"
        );
    }
    // The first sequences are the same in a smaller batch, whose rows are in other places.
    let few = trained(&mut network::<E>(kinds, output), 3);
    for (few, all) in few.iter().zip(&expected).take(3) {
        assert!(few[..] == all[..few.len()], "{kinds:?}");
    }
}

/// A prediction is a pass without dropout, and a session the same step by step and block by block.
fn streams_are_the_whole<E: Element>(kinds: &[Kind]) {
    let plain: Vec<_> = kinds
        .iter()
        .filter(|kind| !matches!(kind, Dropout))
        .collect();
    let network = network::<E>(kinds, Output::All);
    let x = inputs(1, STEPS);
    let call = Batch {
        x: &x,
        batch: 1,
        steps: STEPS,
        lengths: None,
    };
    let size = network.output_size();
    let mut y = vec![E::ZERO; STEPS * size];
    network.predict(call, None, Some(&mut y), None).unwrap();
    if plain.len() == kinds.len() {
        let mut twin = network.try_clone().unwrap();
        let mut again = vec![E::ZERO; y.len()];
        twin.forward(call, None, Some(&mut again), None).unwrap();
        assert!(again == y, "{kinds:?}");
    }
    let mut last = network.try_clone().unwrap();
    last.set_output(Output::Last).unwrap();
    let mut final_y = vec![E::ZERO; size];
    last.predict(call, None, Some(&mut final_y), None).unwrap();
    if looks_ahead(kinds) {
        assert!(Session::new(&network).is_err());
        return;
    }
    assert!(final_y == y[(STEPS - 1) * size..], "{kinds:?}");
    for of in [&network, &last] {
        let mut session = Session::new(of).unwrap();
        let mut stream = vec![E::ZERO; y.len()];
        for (x, y) in x.chunks(3).zip(stream.chunks_mut(size)) {
            session.step(x, y).unwrap();
        }
        assert!(stream == y, "{kinds:?}");
        session.reset();
        session.run(&x, STEPS, &mut stream).unwrap();
        assert!(stream == y, "{kinds:?}");
    }
}

#[test]
fn threads_and_batches_change_nothing() {
    for kinds in NETWORKS {
        for output in [Output::All, Output::Last] {
            bits_are_the_same::<f32>(kinds, output);
        }
        bits_are_the_same::<f64>(kinds, Output::Last);
    }
}

#[test]
fn streams_and_predictions_are_the_whole_sequence() {
    for kinds in NETWORKS {
        streams_are_the_whole::<f32>(kinds);
        streams_are_the_whole::<f64>(kinds);
    }
}

fn looks_ahead(kinds: &[Kind]) -> bool {
    kinds.iter().any(|kind| matches!(kind, Both(_)))
}

/// Pieces of [`STEPS`] steps, one of them of a single step.
const PIECES: [Range<usize>; 3] = [0..32, 32..33, 33..STEPS];

/// Some steps of one sequence.
fn piece<'a, E>(x: &'a [E], steps: &Range<usize>) -> Batch<'a, E> {
    Batch {
        x: &x[3 * steps.start..3 * steps.end],
        batch: 1,
        steps: steps.len(),
        lengths: None,
    }
}

#[test]
fn a_sequence_in_pieces_is_the_whole_sequence() {
    for kinds in NETWORKS.into_iter().filter(|kinds| !looks_ahead(kinds)) {
        let network = network::<f32>(kinds, Output::All);
        let (x, size) = (inputs(1, STEPS), network.output_size());
        let run = |pieces: &[Range<usize>]| {
            let mut y = vec![0.0; STEPS * size];
            let mut state = vec![0.0; network.state_size()];
            for steps in pieces {
                let before = state.clone();
                let to = &mut y[size * steps.start..size * steps.end];
                network
                    .predict(piece(&x, steps), Some(&before), Some(to), Some(&mut state))
                    .unwrap();
            }
            (y, state)
        };
        let whole = 0..STEPS;
        assert!(
            run(&PIECES) == run(std::slice::from_ref(&whole)),
            "{kinds:?}"
        );
    }
}

#[test]
fn truncated_training_is_training_on_the_pieces() {
    let has_dropout = |kinds: &[Kind]| kinds.iter().any(|kind| matches!(kind, Dropout));
    let same = NETWORKS
        .into_iter()
        .filter(|kinds| !looks_ahead(kinds) && !has_dropout(kinds));
    for kinds in same {
        let mut fitted = network::<f64>(kinds, Output::All);
        let mut written = fitted.try_clone().unwrap();
        let (x, size) = (inputs(1, STEPS), fitted.output_size());
        let values = wave::<f64>(STEPS * size);
        let targets = Targets::Values {
            values: values.clone(),
            size,
            per_step: true,
        };
        let dataset = Dataset::new(3, x.clone(), &[STEPS], targets).unwrap();
        let options = FitOptions {
            epochs: 2,
            truncate: Some(32),
            ..FitOptions::new(Loss::MeanSquaredError)
        };
        let adam = || Optimizer::new(Rule::ADAM, 0.01).unwrap();
        let go_on = |_: &mut _, _: &_| ControlFlow::Continue(());
        fit(&mut fitted, &dataset, &mut adam(), &options, go_on).unwrap();

        let mut optimizer = adam();
        for _ in 0..2 {
            let mut state = vec![0.0; written.state_size()];
            for steps in [0..32, 32..64, 64..STEPS] {
                let before = state.clone();
                let mut y = vec![0.0; steps.len() * size];
                let mut dy = y.clone();
                let (chunk, to_y) = (piece(&x, &steps), Some(&mut y[..]));
                written
                    .forward(chunk, Some(&before), to_y, Some(&mut state))
                    .unwrap();
                let targets = &values[size * steps.start..size * steps.end];
                mean_squared_error(&y, targets, None, Some(&mut dy)).unwrap();
                written.backward(Some(&dy), None, None, None).unwrap();
                written.update(&mut optimizer).unwrap();
            }
        }
        assert!(fitted.parameters() == written.parameters(), "{kinds:?}");
    }
}

#[test]
fn time_may_come_first() {
    let turned = |values: &[f32], rows: usize, columns: usize| -> Vec<f32> {
        let width = values.len() / rows / columns;
        let place = |at: usize| (at % rows * columns + at / rows) * width;
        let parts = (0..rows * columns).map(|at| &values[place(at)..][..width]);
        parts.collect::<Vec<_>>().concat()
    };
    let batch = 4;
    let (x, lengths) = (inputs(batch, STEPS), lengths(batch));
    for kinds in NETWORKS {
        let run = |time_major: bool, x: &[f32]| {
            let mut network = network::<f32>(kinds, Output::All);
            network.set_time_major(time_major);
            let mut y = vec![0.0; network.output_len(batch, STEPS).unwrap()];
            let mut dx = vec![1.0; x.len()];
            let call = Batch {
                x,
                batch,
                steps: STEPS,
                lengths: Some(&lengths),
            };
            network.forward(call, None, Some(&mut y), None).unwrap();
            let dy = y.clone();
            network
                .backward(Some(&dy), None, Some(&mut dx), None)
                .unwrap();
            (y, dx, network.gradients().to_vec())
        };
        let (y, dx, gradients) = run(false, &x);
        let expected = (
            turned(&y, batch, STEPS),
            turned(&dx, batch, STEPS),
            gradients,
        );
        let found = run(true, &turned(&x, batch, STEPS));
        assert!(found == expected, "{kinds:?}");
    }
    // A wrong index has its sequence and its step there, too.
    let mut network = network::<f32>(&[Embedding(&[0], 4, 2)], Output::All);
    network.set_time_major(true);
    let mut x = inputs(2, 3);
    x[3 * 5] = 4.0;
    let call = Batch {
        x: &x,
        batch: 2,
        steps: 3,
        lengths: None,
    };
    let error = network.predict(call, None, None, None).unwrap_err();
    let expected = "x of sequence 1 at step 2 in column 0 is 4, expected an integer of at least 0 and less than 4";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn tiers_with_fused_multiply_add_agree() {
    for kinds in NETWORKS {
        let results: Vec<_> = common::tiers()
            .into_iter()
            .filter(|tier| tier.is_fused())
            .map(|tier| {
                let mut network = Network::<f32>::with_tier(3, tier).unwrap();
                network.set_seed(5);
                kinds
                    .iter()
                    .for_each(|kind| add(&mut network, kind).unwrap());
                trained(&mut network, 5)
            })
            .collect();
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "{kinds:?}"
        );
    }
}

#[test]
fn gradients_are_derivatives() {
    let x = inputs(3, 5);
    for kinds in NETWORKS {
        for output in [Output::All, Output::Last] {
            let network = network::<f64>(kinds, output);
            let batch = Batch {
                x: &x,
                batch: 3,
                steps: 5,
                lengths: Some(&[3, 5, 1]),
            };
            let report = check_gradients(&network, batch, None, |outputs: Outputs<'_>| {
                let mut loss = 0.0;
                for (values, gradients) in
                    [(outputs.y, outputs.dy), (outputs.state, outputs.dstate)]
                {
                    for (index, (&value, gradient)) in values.iter().zip(gradients).enumerate() {
                        let weight = (index as f64 * 1.7).sin();
                        loss += weight * value + 0.5 * value * value;
                        *gradient = weight + value;
                    }
                }
                Ok(loss)
            });
            let report = report.unwrap();
            assert!(
                report.relative_error < 1e-6,
                "{kinds:?} {output:?}: {report}"
            );
        }
    }
}

#[test]
fn frozen_layers_change_no_other_gradient() {
    for kinds in NETWORKS {
        let [.., all] = trained(&mut network::<f32>(kinds, Output::Last), 5);
        for frozen in 1..kinds.len() {
            let mut network = network::<f32>(kinds, Output::Last);
            for layer in 0..frozen {
                network.set_trainable(layer, false).unwrap();
            }
            let [.., own] = trained(&mut network, 5);
            let first = network.layers().nth(frozen).unwrap().parameters.start;
            assert!(own[first..] == all[first..], "{kinds:?}, {frozen}");
            assert!(own[..first].iter().all(|&gradient| gradient == 0.0));
        }
    }
}

#[test]
fn files_hold_them() {
    for kinds in NETWORKS {
        let mut network = network::<f32>(kinds, Output::Last);
        let bytes = network.to_bytes().unwrap();
        let mut copy = Network::<f32>::from_bytes(&bytes, "a copy").unwrap();
        assert!(copy.to_bytes().unwrap() == bytes);
        let infos = |network: &Network<f32>| format!("{:?}", network.layers().collect::<Vec<_>>());
        assert_eq!(infos(&copy), infos(&network));
        assert!(
            trained(&mut copy, 3) == trained(&mut network, 3),
            "{kinds:?}"
        );
    }
}

#[test]
fn a_file_whose_layers_do_not_fit_is_refused() {
    let mut network = Network::<f32>::new(3).unwrap();
    network.add_rnn(3, Activation::Tanh).unwrap();
    network.add_residual(0).unwrap();
    let bytes = network.to_bytes().unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let at = text.find("\\\"layer\\\":0").unwrap() + "\\\"layer\\\":".len();
    let mut broken = bytes.clone();
    broken[at] = b'7';
    let error = Network::<f32>::from_bytes(&broken, "x").unwrap_err();
    let expected = "x: the metadata: layers[1]: layer is 7, expected less than 2";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn tensors_have_the_names_and_shapes_of_pytorch() {
    let mut network = Network::<f32>::new(3).unwrap();
    network.add_embedding(&[0], 4, 2).unwrap();
    network.add_layer_norm(1e-5).unwrap();
    network.add_dense(1, Activation::Linear).unwrap();
    network.add_layer_norm(1e-5).unwrap();
    let parameters: Vec<f32> = (0..network.parameter_count()).map(|i| i as f32).collect();
    network.set_parameters(&parameters).unwrap();
    let bytes = network.to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape, first) in [
        ("embedding0.weight", &[4, 2][..], 0),
        ("norm0.weight", &[4], 8),
        ("norm0.bias", &[4], 12),
        ("linear0.weight", &[1, 4], 16),
        ("linear0.bias", &[1], 20),
        ("norm1.weight", &[1], 21),
        ("norm1.bias", &[1], 22),
    ] {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(tensor.shape(), shape, "{name}");
        let numbers = tensor
            .data()
            .chunks(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        assert!(
            numbers.eq((first..).map(|i| i as f32).take(shape.iter().product())),
            "{name}"
        );
    }
}

#[test]
fn layers_say_what_they_are() {
    let mut network = Network::<f32>::new(3).unwrap();
    network.add_embedding(&[2], 4, 5).unwrap();
    network.add_rnn(7, Activation::Tanh).unwrap();
    network.add_residual(2).unwrap();
    network.add_concat(&[0, 3]).unwrap();
    network.add_layer_norm(0.5).unwrap();
    let layers: Vec<_> = network.layers().collect();
    let sizes: Vec<_> = layers
        .iter()
        .map(|layer| (layer.inputs, layer.outputs))
        .collect();
    assert_eq!(sizes, [(3, 7), (7, 7), (7, 7), (10, 10), (10, 10)]);
    let embedding = LayerKind::Embedding {
        columns: &[2],
        classes: 4,
        size: 5,
    };
    assert_eq!(layers[0].kind, embedding);
    assert_eq!(layers[2].kind, LayerKind::Residual { layer: 2 });
    assert_eq!(layers[3].kind, LayerKind::Concat { layers: &[0, 3] });
    assert_eq!(layers[4].kind, LayerKind::LayerNorm { epsilon: 0.5 });
    let names = |layer: usize| {
        layers[layer]
            .tensors()
            .map(|tensor| tensor.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(0), ["E"]);
    assert_eq!(names(4), ["g", "b"]);
    let gain = layers[4].tensors().next().unwrap().parameters;
    assert!(network.parameters()[gain].iter().all(|&gain| gain == 1.0));
}

#[test]
fn a_table_starts_with_normal_numbers() {
    let mut network = Network::<f64>::new(1).unwrap();
    network.add_embedding(&[0], 100, 200).unwrap();
    let (values, count) = (network.parameters(), 20_000.0);
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|value| value * value).sum::<f64>() / count;
    assert!(
        mean.abs() < 0.03 && (square - 1.0).abs() < 0.05,
        "{mean} {square}"
    );
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(size).collect()
}

fn equal_pytorch<E: Element>(tolerance: f64) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/layers.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let numbers = |key: &str| -> Vec<E> {
            let all = case[key].as_array().unwrap().iter();
            all.map(|number| E::from_f64(number.as_f64().unwrap()))
                .collect()
        };
        let mut network = Network::<E>::new(size(&case["inputs"])).unwrap();
        for layer in case["layers"].as_array().unwrap() {
            let argument = &layer[1];
            match layer[0].as_str().unwrap() {
                "rnn" => network.add_rnn(size(argument), Activation::Tanh),
                "dense" => network.add_dense(size(argument), Activation::Tanh),
                "norm" => network.add_layer_norm(argument.as_f64().unwrap()),
                "embedding" => {
                    network.add_embedding(&sizes(argument), size(&layer[2]), size(&layer[3]))
                }
                "concat" => network.add_concat(&sizes(argument)),
                "residual" => network.add_residual(size(argument)),
                other => panic!("{other}"),
            }
            .unwrap();
        }
        if case["all_steps"].as_bool().unwrap() {
            network.set_output(Output::All).unwrap();
        }
        network.set_parameters(&numbers("parameters")).unwrap();
        let (x, lengths) = (numbers("x"), sizes(&case["lengths"]));
        let (mut y, mut dx) = (numbers("y"), numbers("dx"));
        y.fill(E::ONE);
        dx.fill(E::ONE);
        let batch = Batch {
            x: &x,
            batch: lengths.len(),
            steps: size(&case["steps"]),
            lengths: Some(&lengths),
        };
        network.forward(batch, None, Some(&mut y), None).unwrap();
        let dy = numbers("dy");
        network
            .backward(Some(&dy), None, Some(&mut dx), None)
            .unwrap();
        for (what, actual) in [
            ("y", &y[..]),
            ("dx", &dx),
            ("gradients", network.gradients()),
        ] {
            let expected = numbers(what);
            let largest = expected
                .iter()
                .fold(1.0_f64, |most, value| most.max(value.to_f64().abs()));
            assert_eq!(actual.len(), expected.len());
            for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
                let error = (*actual - *expected).to_f64().abs() / largest;
                assert!(
                    error <= tolerance,
                    "{}: {what}[{index}]: {actual}, expected {expected}",
                    case["name"]
                );
            }
        }
    }
}

#[test]
fn values_and_gradients_equal_pytorchs() {
    equal_pytorch::<f64>(1e-12);
    equal_pytorch::<f32>(2e-5);
}

/// 4 steps of two numbers, the second of which are indices below 3.
const INDEXED: [f32; 8] = [0.5, 0.0, -0.5, 2.0, 0.25, 1.0, 0.75, -0.0];

fn embedded() -> Network<f32> {
    let mut network = Network::<f32>::new(2).unwrap();
    network.add_embedding(&[1], 3, 4).unwrap();
    network.add_rnn(3, Activation::Tanh).unwrap();
    network
}

#[test]
fn wrong_indices_are_named_before_anything_changes() {
    for (wrong, shown) in [
        (3.0, "3"),
        (-1.0, "-1"),
        (0.5, "0.5"),
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
    ] {
        let mut network = embedded();
        let mut x = INDEXED;
        let batch = |x| Batch {
            x,
            batch: 2,
            steps: 2,
            lengths: None,
        };
        network.forward(batch(&INDEXED), None, None, None).unwrap();
        x[7] = wrong;
        let expected = |sequence, step| {
            format!(
                "x of sequence {sequence} at step {step} in column 1 is {shown}, expected an integer of at least 0 and less \
                 than 3"
            )
        };
        let mut y = [7.0; 6];
        let error = network
            .predict(batch(&x), None, Some(&mut y), None)
            .unwrap_err();
        assert_eq!(error.to_string(), expected(1, 1));
        let error = network
            .forward(batch(&x), None, Some(&mut y), None)
            .unwrap_err();
        assert_eq!(error.to_string(), expected(1, 1));
        assert_eq!(y, [7.0; 6]);
        assert_eq!(network.passes(), 1);
        network.backward(None, None, None, None).unwrap();
        // Padding is not read.
        let padded = Batch {
            lengths: Some(&[2, 1]),
            ..batch(&x)
        };
        network.predict(padded, None, Some(&mut y), None).unwrap();

        let mut session = Session::new(&network).unwrap();
        let mut y = [7.0; 12];
        session.step(&x[..2], &mut y[..3]).unwrap();
        let mut before = [0.0; 3];
        session.state(&mut before).unwrap();
        let error = session.run(&x, 4, &mut y).unwrap_err();
        assert_eq!(error.to_string(), expected(0, 3));
        let error = session.step(&x[6..], &mut y[3..6]).unwrap_err();
        assert_eq!(error.to_string(), expected(0, 0));
        let mut after = [0.0; 3];
        session.state(&mut after).unwrap();
        assert_eq!((before, &y[3..]), (after, &[7.0; 9][..]));
    }
}

#[test]
fn fit_checks_all_indices_first() {
    let mut network = embedded();
    network.add_dense(2, Activation::Linear).unwrap();
    let parameters = network.parameters().to_vec();
    let dataset = |x: &[f32]| {
        let sequences = [x[..6].to_vec(), x[6..].to_vec()];
        let targets = Targets::numbered_classes(vec![0, 1], 2).unwrap();
        Dataset::new(2, sequences.concat(), &[3, 1], targets).unwrap()
    };
    let mut x = INDEXED;
    x[7] = 4.0;
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    let options = FitOptions::new(Loss::SoftmaxCrossEntropy { ignored: None });
    let error = fit(
        &mut network,
        &dataset(&x),
        &mut optimizer,
        &options,
        |_, _| ControlFlow::Continue(()),
    )
    .unwrap_err();
    assert!(matches!(
        error,
        Error::Index {
            sequence: 1,
            step: 0,
            column: 1,
            classes: 3,
            ..
        }
    ));
    assert!(network.parameters() == parameters && network.passes() == 0);
    fit(
        &mut network,
        &dataset(&INDEXED),
        &mut optimizer,
        &options,
        |_, _| ControlFlow::Continue(()),
    )
    .unwrap();
    assert!(network.parameters() != parameters);
}

#[test]
fn a_standardization_leaves_indices_alone() {
    let mut network = embedded();
    let standardization = Standardization::new(vec![0.25, 1.0], vec![0.5, 0.1]).unwrap();
    network.set_standardization(Some(standardization)).unwrap();
    // As set by hand: the index as it is, the other column mapped.
    let by_hand: Vec<f32> = INDEXED
        .chunks(2)
        .flat_map(|step| [(step[0] - 0.25) * 2.0, step[1]])
        .collect();
    let y = |network: &Network<f32>, x: &[f32]| {
        let mut y = [0.0; 3];
        let batch = Batch {
            x,
            batch: 1,
            steps: 4,
            lengths: None,
        };
        network.predict(batch, None, Some(&mut y), None).unwrap();
        y
    };
    let expected = y(&embedded(), &by_hand);
    assert_eq!(y(&network, &INDEXED), expected);
    assert_eq!(network.standardization().unwrap().mean(), [0.25, 1.0]);
    let copy = network.try_clone().unwrap();
    assert_eq!(y(&copy, &INDEXED), expected);
    let loaded = Network::from_bytes(&network.to_bytes().unwrap(), "x").unwrap();
    assert_eq!(y(&loaded, &INDEXED), expected);
    // It may come before the embedding does.
    let mut early = Network::<f32>::new(2).unwrap();
    let standardization = Standardization::new(vec![0.25, 1.0], vec![0.5, 0.1]).unwrap();
    early.set_standardization(Some(standardization)).unwrap();
    early.add_embedding(&[1], 3, 4).unwrap();
    early.add_rnn(3, Activation::Tanh).unwrap();
    assert_eq!(y(&early, &INDEXED), expected);
}

#[test]
fn wrong_settings_are_refused_and_change_nothing() {
    let mut network = Network::<f32>::new(3).unwrap();
    network.add_embedding(&[1], 4, 2).unwrap();
    let before = network.to_bytes().unwrap();
    let mut refused = |change: &dyn Fn(&mut Network<f32>) -> Result<()>, expected: &str| {
        assert_eq!(change(&mut network).unwrap_err().to_string(), expected);
        assert!(network.to_bytes().unwrap() == before);
    };
    refused(
        &|n| n.add_layer_norm(0.0),
        "epsilon is 0, expected a finite f32 of at least 1.2e-38",
    );
    refused(
        &|n| n.add_layer_norm(f64::NAN),
        "epsilon is NaN, expected a finite f32 of at least 1.2e-38",
    );
    refused(
        &|n| n.add_embedding(&[], 4, 2),
        "count is 0, expected at least 1",
    );
    refused(
        &|n| n.add_embedding(&[0], 0, 2),
        "classes is 0, expected at least 1",
    );
    refused(
        &|n| n.add_embedding(&[0], 4, 0),
        "size is 0, expected at least 1",
    );
    refused(
        &|n| n.add_embedding(&[0], (1 << 24) + 1, 2),
        "classes is 16777217, expected 1 to 16777216",
    );
    refused(
        &|n| n.add_embedding(&[4], 4, 2),
        "a column of the embedding is 4, expected less than 4",
    );
    refused(
        &|n| n.add_embedding(&[0, 3, 0], 4, 2),
        "the columns of an embedding is 0 twice, expected different columns",
    );
    refused(
        &|n| n.add_embedding(&[2], 4, 2),
        "a column of the embedding is 2, which an embedding before has made, expected a column of the network's input that \
         has passed",
    );
    refused(
        &|n| n.add_embedding(&[0], 4, usize::MAX / 2),
        "the size of an embedding overflows",
    );
    refused(&|n| n.add_concat(&[]), "count is 0, expected at least 1");
    refused(
        &|n| n.add_concat(&[1, 2]),
        "a layer of the concatenation is 2, expected less than 2",
    );
    refused(&|n| n.add_residual(2), "layer is 2, expected less than 2");
    refused(
        &|n| n.add_residual(0),
        "the output that a residual layer adds is of 3 features, expected 4 features, as it is added to",
    );
    let mut network = Network::<f32>::new(1).unwrap();
    network.add_dropout(0.5).unwrap();
    assert_eq!(
        network.add_embedding(&[0], 2, 2).unwrap_err().to_string(),
        "what stands before an embedding is a layer of another kind, expected nothing but embeddings: indices are columns of \
         the network's input"
    );
}

/// One table row for each sum: only rows that steps name have gradients.
#[test]
fn rows_that_no_step_names_have_no_gradient() {
    let mut network = embedded();
    let batch = Batch {
        x: &INDEXED[..4],
        batch: 1,
        steps: 2,
        lengths: None,
    };
    // What is there stays there bit for bit.
    network.gradients_mut()[4..8].fill(-0.0);
    network.forward(batch, None, None, None).unwrap();
    network
        .backward(Some(&[1.0, -1.0, 0.5]), None, None, None)
        .unwrap();
    let table: Vec<_> = network.gradients()[..12].chunks(4).collect();
    assert!(
        table[1]
            .iter()
            .all(|value| value.to_bits() == (-0.0_f32).to_bits())
    );
    assert!(table[0].iter().chain(table[2]).all(|&value| value != 0.0));
}
