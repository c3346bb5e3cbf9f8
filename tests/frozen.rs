//! Frozen layers: training leaves them as they are, bit for bit, and the others learn as if nothing had happened.

mod common;

use std::ops::ControlFlow;

use common::training::RULES;
use elman::dataset::{Dataset, Targets};
use elman::gradient_check::check_gradients;
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, Progress, fit};
use elman::{Activation, Batch, Network, Output};

const LENGTHS: [usize; 3] = [5, 2, 4];

fn network(output: Output) -> Network<f64> {
    let mut network = Network::new(3).unwrap();
    network.set_seed(8);
    network.add_rnn(6, Activation::Tanh).unwrap();
    network.add_rnn(5, Activation::Sigmoid).unwrap();
    network.add_dense(4, Activation::Tanh).unwrap();
    network.add_dense(2, Activation::Linear).unwrap();
    network.set_output(output).unwrap();
    network
}

fn numbers(count: usize, from: f64) -> Vec<f64> {
    (0..count)
        .map(|index| (from + index as f64).sin())
        .collect()
}

/// What a backward pass adds to the gradients, and gives for the inputs and states where they are wanted.
fn backward(network: &mut Network<f64>, wanted: bool) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let x = numbers(45, 0.0);
    let batch = Batch {
        x: &x,
        batch: 3,
        steps: 5,
        lengths: Some(&LENGTHS),
    };
    network.clear_gradients();
    network.forward(batch, None, None, None).unwrap();
    let dy = numbers(network.output_len(3, 5).unwrap(), 0.5);
    let states = 3 * network.state_size();
    let dstate = numbers(states, 0.7);
    let (mut dx, mut dstate_in) = (vec![9.0; 45], vec![9.0; states]);
    let (to_x, to_state) = match wanted {
        true => (Some(&mut dx[..]), Some(&mut dstate_in[..])),
        false => (None, None),
    };
    network
        .backward(Some(&dy), Some(&dstate), to_x, to_state)
        .unwrap();
    (network.gradients().to_vec(), dx, dstate_in)
}

/// Every set of layers, as the bits of a number.
fn frozen(network: &mut Network<f64>, set: usize) {
    for layer in 0..network.layer_count() {
        network
            .set_trainable(layer, set & (1 << layer) == 0)
            .unwrap();
    }
}

#[test]
fn gradients_of_frozen_layers_are_zero_and_the_others_are_as_ever() {
    for output in [Output::Last, Output::All] {
        let expected = backward(&mut network(output), true);
        for set in 0..16 {
            for wanted in [true, false] {
                let mut network = network(output);
                frozen(&mut network, set);
                let found = backward(&mut network, wanted);
                for (index, layer) in network.layers().enumerate() {
                    assert_eq!(layer.trainable, set & (1 << index) == 0);
                    let own = layer.parameters.clone();
                    match layer.trainable {
                        true => assert_eq!(found.0[own.clone()], expected.0[own]),
                        false => assert!(found.0[own].iter().all(|&gradient| gradient == 0.0)),
                    }
                }
                if wanted {
                    assert_eq!((&found.1, &found.2), (&expected.1, &expected.2));
                }
            }
        }
    }
}

#[test]
fn updates_pass_over_frozen_layers_and_what_is_remembered_of_them() {
    for rule in RULES {
        for set in 0..16 {
            let mut network = network(Output::Last);
            let mut optimizer = Optimizer::new(rule, 0.01).unwrap();
            // So that there is something to remember.
            backward(&mut network, false);
            network.update(&mut optimizer).unwrap();
            let saved = optimizer.to_bytes().unwrap();

            let mut all = network.try_clone().unwrap();
            let mut other = Optimizer::from_bytes(&saved, "here").unwrap();
            frozen(&mut network, set);
            let before = network.parameters().to_vec();
            let (gradients, ..) = backward(&mut network, false);
            all.gradients_mut().copy_from_slice(&gradients);
            for layer in network
                .layers()
                .filter(|layer| !layer.trainable)
                .collect::<Vec<_>>()
            {
                assert!(
                    gradients[layer.parameters]
                        .iter()
                        .all(|&gradient| gradient == 0.0)
                );
            }
            network.update(&mut optimizer).unwrap();
            all.update(&mut other).unwrap();
            for layer in network.layers() {
                let own = layer.parameters.clone();
                let expected = if layer.trainable {
                    all.parameters()
                } else {
                    &before
                };
                let found: Vec<_> = network.parameters()[own.clone()]
                    .iter()
                    .map(|v| v.to_bits())
                    .collect();
                let expected: Vec<_> = expected[own].iter().map(|v| v.to_bits()).collect();
                assert_eq!(found, expected, "{rule:?}, {set}");
            }
            assert!(network.gradients().iter().all(|&gradient| gradient == 0.0));
            // Once it is trained again, the memory is that of the first step: as if the second one had been skipped.
            if set == 15 {
                let mut late = Optimizer::from_bytes(&saved, "here").unwrap();
                if !matches!(rule, Rule::Adam { .. } | Rule::AdamW { .. }) {
                    frozen(&mut network, 0);
                    let mut fresh = network.try_clone().unwrap();
                    for (network, optimizer) in
                        [(&mut network, &mut optimizer), (&mut fresh, &mut late)]
                    {
                        backward(network, false);
                        network.update(optimizer).unwrap();
                    }
                    assert_eq!(network.parameters(), fresh.parameters(), "{rule:?}");
                }
            }
            // The weights that passes read are those of the parameters.
            let mut anew = network.try_clone().unwrap();
            assert_eq!(backward(&mut network, true), backward(&mut anew, true));
        }
    }
}

#[test]
fn a_layer_is_frozen_in_files_and_copies_and_thawed_again() {
    let mut network = network(Output::All);
    let plain = network.to_bytes().unwrap();
    frozen(&mut network, 0b0101);
    let states = |network: &Network<f64>| -> Vec<bool> {
        network.layers().map(|layer| layer.trainable).collect()
    };
    let expected = [false, true, false, true];
    assert_eq!(states(&network), expected);
    assert_eq!(states(&network.try_clone().unwrap()), expected);
    assert_eq!(states(&network.to_f64().unwrap()), expected);
    let bytes = network.to_bytes().unwrap();
    assert_eq!(
        states(&Network::from_bytes(&bytes, "here").unwrap()),
        expected
    );
    network.add_dense(3, Activation::Linear).unwrap();
    assert_eq!(states(&network), [false, true, false, true, true]);
    // A file of a network without frozen layers says nothing of them, as files did before there were any.
    assert!(!String::from_utf8_lossy(&plain).contains("frozen"));
    assert_eq!(
        states(&Network::from_bytes(&plain, "here").unwrap()),
        [true; 4]
    );

    let text = br#"\"frozen\":[0,2]"#;
    let place = bytes.windows(text.len()).position(|part| part == text);
    let place = place.expect("the metadata names them");
    for wrong in ["[0,4]", "[2,0]", "[2,2]"] {
        let mut bytes = bytes.clone();
        bytes[place + 11..place + 16].copy_from_slice(wrong.as_bytes());
        let error = Network::<f64>::from_bytes(&bytes, "here").unwrap_err();
        let message = error.to_string();
        let expected = "expected rising numbers below 4, the number of layers";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_layer_that_is_not_there_can_not_be_frozen() {
    let mut network = network(Output::Last);
    let error = network.set_trainable(4, false).unwrap_err();
    assert_eq!(error.to_string(), "layer is 4, expected less than 4");
    assert!(network.layers().all(|layer| layer.trainable));
}

#[test]
fn freezing_clears_the_gradients_that_are_there_and_keeps_the_pass() {
    let mut network = network(Output::Last);
    let (gradients, ..) = backward(&mut network, false);
    network.set_trainable(1, false).unwrap();
    let own = network.layers().nth(1).unwrap().parameters;
    let mut expected = gradients.clone();
    expected[own.clone()].fill(0.0);
    assert_eq!(network.gradients(), expected);
    let dy = numbers(6, 0.5);
    network.backward(Some(&dy), None, None, None).unwrap();
    assert!(
        network.gradients()[own]
            .iter()
            .all(|&gradient| gradient == 0.0)
    );
}

#[test]
fn training_and_checks_leave_frozen_layers_out() {
    let mut network = network(Output::Last);
    frozen(&mut network, 0b0011);
    let before = network.parameters().to_vec();
    let targets = Targets::numbered_classes(vec![0, 1, 1], 2).unwrap();
    let x = numbers(3 * LENGTHS.iter().sum::<usize>(), 0.2);
    let dataset = Dataset::new(3, x, &LENGTHS, targets).unwrap();
    let loss = Loss::SoftmaxCrossEntropy { ignored: None };
    let options = FitOptions {
        epochs: 40,
        batch_size: 3,
        ..FitOptions::new(loss)
    };
    let mut optimizer = Optimizer::new(Rule::ADAMW, 0.05).unwrap();
    let mut losses = Vec::new();
    let go_on = |progress: &mut Progress, _: &Network<f64>| {
        losses.push(progress.training.loss);
        ControlFlow::Continue(())
    };
    fit(&mut network, &dataset, &mut optimizer, &options, go_on).unwrap();
    assert!(losses[39] < losses[0], "{losses:?}");
    let kept = network.layers().nth(2).unwrap().parameters.start;
    assert_eq!(network.parameters()[..kept], before[..kept]);
    let changed = network.parameters()[kept..].iter().zip(&before[kept..]);
    assert!(changed.filter(|(now, before)| now == before).count() == 0);

    let x = numbers(45, 0.0);
    let batch = Batch {
        x: &x,
        batch: 3,
        steps: 5,
        lengths: Some(&LENGTHS),
    };
    let report = check_gradients(&network, batch, None, |outputs| {
        outputs.dy.copy_from_slice(outputs.y);
        Ok(outputs.y.iter().map(|y| y * y / 2.0).sum())
    });
    let report = report.unwrap();
    assert!(report.relative_error < 1e-6, "{report}");
    let variables = network.parameter_count() - kept + 3 * 11 + 3 * network.state_size();
    assert_eq!(report.checked, variables);
}
