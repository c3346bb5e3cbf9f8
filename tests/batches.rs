//! What a batch may look like: sequences of length 0 are as good as not there, and time may be the first index of the
//! caller's buffers. Neither changes a bit of anything else.

mod common;

use std::ops::ControlFlow;

use common::cases::{Check, Data, Results, Shape, count, hold_everywhere, on_threads, same};
use elman::dataset::{Dataset, Targets};
use elman::gradient_check::{Outputs, check_gradients};
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, evaluate, fit, predict};
use elman::{Activation, Batch, Element, Network, Output, Session, Tier};

/// The rows of `values` that `from` names, and `other` in the rows that it does not.
fn spread<E: Element>(values: &[E], batch: usize, from: &[Option<usize>], other: f64) -> Vec<E> {
    let width = values.len() / batch;
    let row = |row: &Option<usize>| match row {
        Some(row) => values[row * width..(row + 1) * width].to_vec(),
        None => vec![E::from_f64(other); width],
    };
    from.iter().flat_map(row).collect()
}

/// The data with empty sequences among the others, of which nothing may be read.
fn with_empty<E: Element>(data: &Data<E>, from: &[Option<usize>]) -> Data<E> {
    let batch = data.batch();
    let nan = |values: &[E]| spread(values, batch, from, f64::NAN);
    Data {
        steps: data.steps,
        lengths: from
            .iter()
            .map(|row| row.map_or(0, |row| data.lengths[row]))
            .collect(),
        x: nan(&data.x),
        state: data.state.as_deref().map(nan),
        dy: nan(&data.dy),
        dstate: data.dstate.as_deref().map(nan),
    }
}

/// Ways to put empty sequences among `batch` others: first, last, and between.
fn ways(batch: usize, seed: u64) -> [Vec<Option<usize>>; 3] {
    let rows = || (0..batch).map(Some);
    let every = 2 + seed as usize % 3;
    [
        [None].into_iter().chain(rows()).collect(),
        rows().chain([None; 9]).collect(),
        rows()
            .flat_map(|row| {
                let gap = row.is_some_and(|row| row % every == 0);
                [gap.then_some(None), Some(row)].into_iter().flatten()
            })
            .chain([None])
            .collect(),
    ]
}

fn empty_sequences_are_not_there<E: Element>(shape: &Shape, tier: Tier) -> Check {
    // What is dropped follows from a sequence's place in the batch.
    let shape = &shape.clone().without_dropout();
    let data = shape.data::<E>();
    let batch = data.batch();
    let alone = data.forward_backward(&mut shape.network(tier));
    for (way, from) in ways(batch, shape.seed).iter().enumerate() {
        let data = with_empty(&data, from);
        let zero = |values: &[E]| spread(values, batch, from, 0.0);
        let expected = Results {
            y: zero(&alone.y),
            state: zero(&alone.state),
            dx: zero(&alone.dx),
            dstate: zero(&alone.dstate),
            gradients: alone.gradients.clone(),
        };
        let predicted = Results {
            y: expected.y.clone(),
            state: expected.state.clone(),
            ..Results::default()
        };
        for threads in [1, 2, 3, 8] {
            let what = format!("way {way}, {threads} threads");
            let mut network = on_threads(shape, tier, threads);
            data.predict(&network).expect(&what, &predicted)?;
            data.forward_backward(&mut network)
                .expect(&what, &expected)?;
        }
    }
    Ok(())
}

#[test]
fn empty_sequences_change_nothing_and_are_zero() {
    hold_everywhere(
        count(2),
        empty_sequences_are_not_there::<f32>,
        empty_sequences_are_not_there::<f64>,
    );
}

fn a_batch_of_nothing<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let data = with_empty(&shape.data::<E>(), &vec![None; shape.lengths.len()]);
    for threads in [1, 3] {
        let mut network = on_threads(shape, tier, threads);
        let sizes = [
            data.dy.len(),
            data.batch() * network.state_size(),
            data.x.len(),
        ];
        let [y, state, dx] = sizes.map(|len| vec![E::ZERO; len]);
        let expected = Results {
            y,
            dstate: state.clone(),
            state,
            dx,
            gradients: vec![E::ZERO; network.parameter_count()],
        };
        data.forward_backward(&mut network)
            .expect("training", &expected)?;
        same("y", &data.predict(&network).y, &expected.y)?;
        // One that has steps comes next.
        let (data, mut other) = (shape.data::<E>(), shape.network(tier));
        data.forward(&mut other);
        let expected = data.forward_backward(&mut other);
        data.forward_backward(&mut network)
            .expect("the next batch", &expected)?;
    }
    Ok(())
}

#[test]
fn a_batch_may_have_no_steps_at_all() {
    hold_everywhere(
        count(4),
        a_batch_of_nothing::<f32>,
        a_batch_of_nothing::<f64>,
    );
}

/// `[rows][columns][any]` as `[columns][rows][any]`.
fn transposed<E: Element>(values: &[E], rows: usize, columns: usize) -> Vec<E> {
    let width = values.len() / rows / columns;
    let places = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
    let values = places.map(|place| &values[place * width..(place + 1) * width]);
    values.collect::<Vec<_>>().concat()
}

/// Buffers of all steps, time-major.
fn time_major<E: Element>(shape: &Shape, data: &Data<E>, values: &[E], per_step: bool) -> Vec<E> {
    match per_step || shape.output == Output::All {
        true => transposed(values, data.batch(), data.steps),
        false => values.to_vec(),
    }
}

fn time_may_come_first<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let mut data = shape.data::<E>();
    // Every third sequence is empty in every other case.
    if shape.seed.is_multiple_of(2) {
        data.lengths
            .iter_mut()
            .step_by(3)
            .for_each(|length| *length = 0);
    }
    let expected = data.forward_backward(&mut shape.network(tier));
    let predicted = data.predict(&shape.network(tier));
    let turned = Data {
        x: time_major(shape, &data, &data.x, true),
        dy: time_major(shape, &data, &data.dy, false),
        ..data.clone()
    };
    let expected = Results {
        y: time_major(shape, &data, &expected.y, false),
        dx: time_major(shape, &data, &expected.dx, true),
        ..expected
    };
    let predicted = Results {
        y: time_major(shape, &data, &predicted.y, false),
        ..predicted
    };
    for threads in [1, 2, 3, 8] {
        let mut network = on_threads(shape, tier, threads);
        network.set_time_major(true);
        let what = format!("{threads} threads");
        turned.predict(&network).expect(&what, &predicted)?;
        turned
            .forward_backward(&mut network)
            .expect(&what, &expected)?;
        // The setting is one of the calls: the same pass goes back either way.
        network.set_time_major(false);
        network.clear_gradients();
        let mut dx = vec![E::from_f64(9.0); data.x.len()];
        network
            .backward(Some(&data.dy), data.dstate.as_deref(), Some(&mut dx), None)
            .unwrap();
        let dx = time_major(shape, &data, &dx, true);
        same("dx of the other order", &dx, &expected.dx)?;
        same("gradients", network.gradients(), &expected.gradients)?;
    }
    Ok(())
}

#[test]
fn time_major_buffers_give_the_same_bits() {
    hold_everywhere(
        count(2),
        time_may_come_first::<f32>,
        time_may_come_first::<f64>,
    );
}

/// A network of one output for each step.
fn tagger() -> Network<f64> {
    let mut network = Network::new(2).unwrap();
    network.set_seed(5);
    network.add_rnn(4, Activation::Tanh).unwrap();
    network.add_dense(3, Activation::Linear).unwrap();
    network.set_output(Output::All).unwrap();
    network
}

#[test]
fn copies_keep_the_order_and_files_do_not() {
    let mut network = tagger();
    assert!(!network.is_time_major());
    network.set_time_major(true);
    assert!(network.is_time_major());
    assert!(network.try_clone().unwrap().is_time_major());
    assert!(network.to_f64().unwrap().is_time_major());
    let bytes = network.to_bytes().unwrap();
    assert!(
        !Network::<f64>::from_bytes(&bytes, "here")
            .unwrap()
            .is_time_major()
    );
    assert_eq!(bytes, tagger().to_bytes().unwrap());
}

#[test]
fn data_sets_are_batch_major_whatever_the_network_is() {
    let lengths = [3, 5, 1, 4, 2];
    let steps: usize = lengths.iter().sum();
    let x = (0..2 * steps).map(|i| (i as f64 * 0.7).sin()).collect();
    let labels = (0..steps).map(|i| i * i % 3).collect();
    let names = ["0", "1", "2"].map(String::from).to_vec();
    let targets = Targets::StepClasses { labels, names };
    let dataset = Dataset::new(2, x, &lengths, targets).unwrap();
    let loss = Loss::SoftmaxCrossEntropy { ignored: None };
    let run = |time_major, truncate| {
        let mut network = tagger();
        network.set_time_major(time_major);
        let options = FitOptions {
            epochs: 3,
            batch_size: 2,
            truncate,
            validation: Some(&dataset),
            ..FitOptions::new(loss)
        };
        let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
        let go_on = |_: &mut _, network: &Network<f64>| {
            assert_eq!(network.is_time_major(), time_major);
            ControlFlow::Continue(())
        };
        let progress = fit(&mut network, &dataset, &mut optimizer, &options, go_on).unwrap();
        assert_eq!(network.is_time_major(), time_major);
        let evaluation = evaluate(&network, &dataset, loss, 3).unwrap();
        let outputs = predict(&network, &dataset, 2).unwrap();
        (progress, evaluation, outputs, network.parameters().to_vec())
    };
    for truncate in [None, Some(2)] {
        assert_eq!(run(true, truncate), run(false, truncate));
    }
}

#[test]
fn gradients_of_empty_sequences_and_of_time_major_batches_are_right() {
    let x: Vec<f64> = (0..24).map(|i| (f64::from(i) * 0.9).cos()).collect();
    for (output, lengths) in [
        (Output::All, [3, 0, 4]),
        (Output::Last, [0, 2, 0]),
        (Output::All, [0, 0, 0]),
        (Output::Last, [0, 0, 0]),
    ] {
        let mut checked = Vec::new();
        for time_major in [false, true] {
            let mut network = tagger();
            network.set_output(output).unwrap();
            network.set_time_major(time_major);
            let batch = Batch {
                x: &x,
                batch: 3,
                steps: 4,
                lengths: Some(&lengths),
            };
            let state: Vec<f64> = (0..12).map(|i| 0.1 * f64::from(i)).collect();
            let loss = |outputs: Outputs<'_>| {
                outputs.dy.copy_from_slice(outputs.y);
                outputs.dstate.fill(1.0);
                let half = outputs.y.iter().map(|y| y * y / 2.0).sum::<f64>();
                Ok(half + outputs.state.iter().sum::<f64>())
            };
            let report = check_gradients(&network, batch, Some(&state), loss).unwrap();
            assert!(report.relative_error < 1e-6, "{report}");
            checked.push(report.checked);
        }
        let read = 2 * lengths.iter().sum::<usize>();
        assert_eq!(checked, [tagger().parameter_count() + read + 12; 2]);
    }
}

#[test]
fn a_check_of_nothing_is_an_error() {
    let batch = Batch {
        x: &[0.0; 2],
        batch: 1,
        steps: 2,
        lengths: Some(&[0]),
    };
    let network = Network::<f64>::new(1).unwrap();
    let error = check_gradients(&network, batch, None, |_| Ok(0.0)).unwrap_err();
    let expected = "the number of variables is 0, expected at least 1";
    assert_eq!(error.to_string(), expected);
}

/// What a user who has recorded one sample after the other, and streams of some channels, would do.
#[test]
fn a_time_major_recording_runs_as_its_streams_do() {
    let (channels, steps) = (3, 6);
    let recording: Vec<f64> = (0..channels * steps * 2)
        .map(|i| (i as f64).sin())
        .collect();
    let mut network = tagger();
    network.set_time_major(true);
    let batch = Batch {
        x: &recording,
        batch: channels,
        steps,
        lengths: None,
    };
    let mut y = vec![0.0; channels * steps * 3];
    network.predict(batch, None, Some(&mut y), None).unwrap();
    for channel in 0..channels {
        let mut session = Session::new(&network).unwrap();
        for step in 0..steps {
            let mut output = [0.0; 3];
            let place = step * channels + channel;
            session
                .step(&recording[place * 2..][..2], &mut output)
                .unwrap();
            assert_eq!(y[place * 3..][..3], output);
        }
    }
}
