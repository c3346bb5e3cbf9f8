//! The training loop, evaluation and prediction.

#[path = "common/training.rs"]
mod training;

use std::ops::ControlFlow;

use elman::dataset::{Dataset, MiniBatch, Targets};
use elman::init::Initializer;
use elman::loss::{
    Loss, NO_LABEL, Padding, binary_cross_entropy_with_logits, mean_squared_error,
    softmax_cross_entropy, softmax_cross_entropy_weighted,
};
use elman::optimizer::{Optimizer, Rule, clip_by_norm, clip_by_value};
use elman::train::{Clip, FitOptions, evaluate, evaluate_weighted, fit, predict};
use elman::{
    Activation, Batch, Direction, Error, ErrorKind, InitialState, Network, Output,
    RecurrentOptions, Result,
};
use training::{CLASSES, adam, go_on, numbers};

const LENGTHS: [usize; 7] = [3, 7, 1, 5, 5, 2, 6];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

/// Seven sequences of 2 features.
fn dataset(targets: impl FnOnce(usize) -> Targets<f64>) -> Dataset<f64> {
    let steps = LENGTHS.iter().sum();
    Dataset::new(2, numbers(steps * 2), &LENGTHS, targets(steps)).unwrap()
}

fn classes() -> Dataset<f64> {
    dataset(|_| Targets::numbered_classes(vec![0, 1, 2, 0, 1, 2, 0], 3).unwrap())
}

fn step_classes() -> Dataset<f64> {
    dataset(|steps| Targets::StepClasses {
        labels: (0..steps).map(|step| step * 5 % 3).collect(),
        names: names(3),
    })
}

fn values(per_step: bool, map: fn(f64) -> f64) -> Dataset<f64> {
    dataset(|steps| Targets::Values {
        size: 3,
        per_step,
        values: numbers(3 * if per_step { steps } else { LENGTHS.len() })
            .into_iter()
            .map(map)
            .collect(),
    })
}

/// A network of two recurrent layers.
fn network(output: Output) -> Network<f64> {
    training::network(&[6, 5], output)
}

fn view(batch: &MiniBatch<f64>) -> Batch<'_, f64> {
    Batch {
        x: &batch.x,
        batch: batch.lengths.len(),
        steps: batch.steps,
        lengths: Some(&batch.lengths),
    }
}

#[test]
fn the_loop_is_the_one_that_one_would_write() {
    for clip in [Clip::None, Clip::Norm(0.1), Clip::Value(0.05)] {
        let dataset = classes();
        let options = FitOptions {
            epochs: 3,
            batch_size: 3,
            shuffle: None,
            clip,
            ..FitOptions::new(CLASSES)
        };
        let mut fitted = network(Output::Last);
        fitted.gradients_mut().fill(9.0); // dropped
        let progress = fit(&mut fitted, &dataset, &mut adam(), &options, go_on).unwrap();

        let mut written = network(Output::Last);
        let (mut optimizer, mut batch) = (adam(), MiniBatch::default());
        let mut mean = 0.0;
        for _ in 0..3 {
            mean = 0.0;
            for indices in [&[0, 1, 2][..], &[3, 4, 5], &[6]] {
                dataset.gather(indices, &mut batch).unwrap();
                let mut y = vec![0.0; indices.len() * 3];
                let mut dy = y.clone();
                written
                    .forward(view(&batch), None, Some(&mut y), None)
                    .unwrap();
                let loss = softmax_cross_entropy(&y, 3, &batch.labels, None, None, Some(&mut dy));
                mean += loss.unwrap() * indices.len() as f64 / 7.0;
                written.backward(Some(&dy), None, None, None).unwrap();
                match clip {
                    Clip::Norm(norm) => drop(clip_by_norm(written.gradients_mut(), norm).unwrap()),
                    Clip::Value(limit) => clip_by_value(written.gradients_mut(), limit).unwrap(),
                    _ => {}
                }
                written.update(&mut optimizer).unwrap();
            }
        }
        assert_eq!(fitted.parameters(), written.parameters());
        assert!((progress.training.loss - mean).abs() < 1e-14);
    }
}

#[test]
fn truncation_carries_the_states_and_updates_after_each_chunk() {
    let dataset = values(true, |value| value);
    let options = FitOptions {
        epochs: 2,
        batch_size: 4,
        shuffle: None,
        truncate: Some(3),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let mut fitted = network(Output::All);
    fit(&mut fitted, &dataset, &mut adam(), &options, go_on).unwrap();

    let mut written = network(Output::All);
    let (mut optimizer, mut batch) = (adam(), MiniBatch::default());
    for _ in 0..2 {
        // Of each mini-batch the longest sequences first, so that those that go on are the first ones.
        for indices in [[1, 3, 0, 2].as_slice(), &[6, 4, 5]] {
            dataset.gather(indices, &mut batch).unwrap();
            let mut state = vec![0.0; indices.len() * 11];
            for start in (0..batch.steps).step_by(3) {
                let end = batch.steps.min(start + 3);
                let alive = batch
                    .lengths
                    .iter()
                    .filter(|&&length| length > start)
                    .count();
                let part = |from: &[f64], width: usize| {
                    let sequences = from.chunks(batch.steps * width).take(alive);
                    let parts = sequences.map(|row| &row[start * width..end * width]);
                    parts.collect::<Vec<_>>().concat()
                };
                let lengths = batch.lengths[..alive].iter();
                let lengths: Vec<usize> = lengths.map(|&length| length.min(end) - start).collect();
                let (x, targets) = (part(&batch.x, 2), part(&batch.values, 3));
                let steps = end - start;
                let chunk = Batch {
                    x: &x,
                    batch: alive,
                    steps,
                    lengths: Some(&lengths),
                };
                let mut y = vec![0.0; targets.len()];
                let mut dy = y.clone();
                let mut after = vec![0.0; alive * 11];
                written
                    .forward(
                        chunk,
                        Some(&state[..alive * 11]),
                        Some(&mut y),
                        Some(&mut after),
                    )
                    .unwrap();
                let padding = Padding {
                    steps,
                    lengths: &lengths,
                };
                mean_squared_error(&y, &targets, Some(padding), Some(&mut dy)).unwrap();
                written.backward(Some(&dy), None, None, None).unwrap();
                written.update(&mut optimizer).unwrap();
                state = after;
            }
        }
    }
    assert_eq!(fitted.parameters(), written.parameters());

    // Chunks that are as long as the sequences truncate nothing.
    let [whole, one_chunk] = [None, Some(7)].map(|truncate| {
        let mut network = network(Output::All);
        let options = FitOptions {
            truncate,
            ..options
        };
        fit(&mut network, &dataset, &mut adam(), &options, go_on).unwrap();
        network.parameters().to_vec()
    });
    assert_eq!(whole, one_chunk);
}

/// Only the first part of a sequence starts from the network's own state, and adds to its gradient.
#[test]
fn truncation_starts_from_the_state_of_the_networks_own() {
    let options = RecurrentOptions {
        initial_state: InitialState::Trainable,
        ..RecurrentOptions::default()
    };
    let mut fitted = Network::new(2).unwrap();
    fitted.add_lstm(3, &options).unwrap();
    fitted.set_output(Output::All).unwrap();
    let own = fitted.parameter_count() - 6;
    let mut parameters = fitted.parameters().to_vec();
    parameters[own..].copy_from_slice(&numbers(6));
    fitted.set_parameters(&parameters).unwrap();
    let mut written = fitted.try_clone().unwrap();

    let (x, targets) = (numbers(7 * 2), numbers(7 * 3));
    let values = Targets::Values {
        size: 3,
        per_step: true,
        values: targets.clone(),
    };
    let dataset = Dataset::new(2, x.clone(), &[7], values).unwrap();
    let options = FitOptions {
        epochs: 2,
        truncate: Some(4),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    fit(&mut fitted, &dataset, &mut adam(), &options, go_on).unwrap();

    let mut optimizer = adam();
    for _ in 0..2 {
        let mut state = None;
        for steps in [0..4, 4..7] {
            let chunk = Batch {
                x: &x[2 * steps.start..2 * steps.end],
                batch: 1,
                steps: steps.len(),
                lengths: None,
            };
            let (mut y, mut dy) = (vec![0.0; 3 * steps.len()], vec![0.0; 3 * steps.len()]);
            let mut after = vec![0.0; 6];
            written
                .forward(chunk, state.as_deref(), Some(&mut y), Some(&mut after))
                .unwrap();
            let targets = &targets[3 * steps.start..3 * steps.end];
            mean_squared_error(&y, targets, None, Some(&mut dy)).unwrap();
            written.backward(Some(&dy), None, None, None).unwrap();
            let trains = state.is_none();
            let gradients = &written.gradients()[own..];
            assert!(gradients.iter().all(|&value| (value != 0.0) == trains));
            written.update(&mut optimizer).unwrap();
            state = Some(after);
        }
    }
    assert_eq!(fitted.parameters(), written.parameters());
    assert_ne!(fitted.parameters()[own..], parameters[own..]);
}

#[test]
fn truncation_of_a_network_that_looks_ahead_is_refused() {
    for direction in [Direction::Reverse, Direction::Bidirectional] {
        let options = RecurrentOptions {
            direction,
            ..RecurrentOptions::default()
        };
        let mut network = Network::new(2).unwrap();
        network.add_gru(3, &options).unwrap();
        network.add_dense(3, Activation::Linear).unwrap();
        network.set_output(Output::All).unwrap();
        let before = network.parameters().to_vec();
        let mut options = FitOptions {
            truncate: Some(3),
            ..FitOptions::new(CLASSES)
        };
        let error = fit(&mut network, &step_classes(), &mut adam(), &options, go_on).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(error.to_string().contains("looks ahead"), "{error}");
        assert_eq!(network.parameters(), before);
        options.truncate = None;
        fit(&mut network, &step_classes(), &mut adam(), &options, go_on).unwrap();
        assert_ne!(network.parameters(), before);
    }
}

#[test]
fn every_kind_of_target_is_learned() {
    let square = |value| value * value;
    for (output, dataset, loss, below) in [
        (Output::Last, classes(), CLASSES, 0.01),
        (Output::All, step_classes(), CLASSES, 0.3),
        (
            Output::Last,
            values(false, |value| value),
            Loss::MeanSquaredError,
            0.01,
        ),
        (
            Output::All,
            values(true, |value| value),
            Loss::MeanSquaredError,
            0.1,
        ),
        (
            Output::Last,
            values(false, square),
            Loss::BinaryCrossEntropy,
            0.5,
        ),
        (
            Output::All,
            values(true, square),
            Loss::BinaryCrossEntropy,
            0.55,
        ),
    ] {
        for truncate in [None, Some(4)] {
            if truncate.is_some() && output == Output::Last {
                continue;
            }
            let mut network = network(output);
            let options = FitOptions {
                epochs: 300,
                batch_size: 4,
                truncate,
                ..FitOptions::new(loss)
            };
            let before = evaluate(&network, &dataset, loss, 5).unwrap().score;
            let progress = fit(&mut network, &dataset, &mut adam(), &options, go_on).unwrap();
            let after = evaluate(&network, &dataset, loss, 5).unwrap().score;
            assert!(
                after.loss < below && after.loss < 0.8 * before.loss,
                "{loss:?}: {after:?}"
            );
            assert!((progress.training.loss - after.loss).abs() < 0.1);
            assert_eq!(after.accuracy.is_some(), loss == CLASSES);
            assert!(after.accuracy.unwrap_or(1.0) >= 0.9);
        }
    }
}

#[test]
fn each_epoch_sees_every_sequence_once_in_an_order_of_its_own() {
    let dataset = classes();
    let fixed = evaluate(&network(Output::Last), &dataset, CLASSES, 7)
        .unwrap()
        .score;
    let parameters = |shuffle, learning_rate| {
        let mut network = network(Output::Last);
        let mut optimizer = Optimizer::new(Rule::SGD, learning_rate).unwrap();
        let options = FitOptions {
            epochs: 2,
            batch_size: 2,
            shuffle,
            ..FitOptions::new(CLASSES)
        };
        fit(
            &mut network,
            &dataset,
            &mut optimizer,
            &options,
            |progress, _| {
                // Nothing is learned at the rate 0, so the loss of an epoch is that of the data set.
                if learning_rate == 0.0 {
                    assert!((progress.training.loss - fixed.loss).abs() < 1e-14);
                    assert_eq!(progress.training.accuracy, fixed.accuracy);
                }
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        network.parameters().to_vec()
    };
    parameters(Some(3), 0.0);
    assert_eq!(parameters(Some(3), 0.1), parameters(Some(3), 0.1));
    assert_ne!(parameters(Some(3), 0.1), parameters(Some(4), 0.1));
    assert_ne!(parameters(Some(3), 0.1), parameters(None, 0.1));
}

#[test]
fn the_callback_watches_changes_the_learning_rate_and_stops() {
    let (dataset, validation) = (classes(), classes());
    let mut network = network(Output::Last);
    let mut optimizer = adam();
    let options = FitOptions {
        epochs: 9,
        batch_size: 100,
        validation: Some(&validation),
        ..FitOptions::new(CLASSES)
    };
    let mut seen = Vec::new();
    let last = fit(
        &mut network,
        &dataset,
        &mut optimizer,
        &options,
        |progress, network| {
            let score = evaluate(network, &validation, CLASSES, 100).unwrap().score;
            assert_eq!(progress.validation, Some(score));
            assert_eq!(progress.epochs, 9);
            seen.push((progress.epoch, progress.learning_rate));
            progress.learning_rate /= 2.0;
            match progress.epoch {
                3 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        },
    );
    assert_eq!(seen, [(1, 0.01), (2, 0.005), (3, 0.0025)]);
    assert_eq!(last.unwrap().epoch, 3);
    assert_eq!(optimizer.learning_rate(), 0.00125);

    let error = fit(
        &mut network,
        &dataset,
        &mut optimizer,
        &options,
        |progress, _| {
            progress.learning_rate = -1.0;
            ControlFlow::Continue(())
        },
    );
    assert!(matches!(
        error,
        Err(Error::OutOfRange {
            name: "learning_rate",
            ..
        })
    ));
}

#[test]
fn a_mini_batch_in_which_nothing_counts_updates_nothing() {
    let dataset = dataset(|_| Targets::numbered_classes(vec![2; 7], 3).unwrap());
    let mut network = network(Output::Last);
    let before = network.parameters().to_vec();
    let mut optimizer = Optimizer::new(Rule::ADAMW, 0.1).unwrap();
    let loss = Loss::SoftmaxCrossEntropy { ignored: Some(2) };
    let progress = fit(
        &mut network,
        &dataset,
        &mut optimizer,
        &FitOptions::new(loss),
        go_on,
    );
    let score = progress.unwrap().training;
    assert_eq!((score.loss, score.accuracy), (0.0, None));
    assert_eq!(network.parameters(), before);
    // Its last forward pass was none of the caller's.
    let error = network.backward(None, None, None, None).unwrap_err();
    assert!(matches!(error, Error::CallOrder { .. }));
}

#[test]
fn rows_without_a_label_are_rows_that_are_ignored() {
    let unlabelled = |dataset: &Dataset<f64>| {
        let mut targets = dataset.targets().clone();
        if let Targets::Classes { labels, .. } | Targets::StepClasses { labels, .. } = &mut targets
        {
            for label in labels.iter_mut().filter(|label| **label == 2) {
                *label = NO_LABEL;
            }
        }
        self::dataset(|_| targets)
    };
    for (output, dataset, truncate) in [
        (Output::Last, classes(), None),
        (Output::All, step_classes(), None),
        (Output::All, step_classes(), Some(3)),
    ] {
        let [ignored, missing] = [Some(2), None].map(|ignored| {
            let dataset = match ignored {
                Some(_) => dataset.clone(),
                None => unlabelled(&dataset),
            };
            let mut network = network(output);
            let loss = Loss::SoftmaxCrossEntropy { ignored };
            let options = FitOptions {
                epochs: 2,
                batch_size: 3,
                truncate,
                validation: Some(&dataset),
                ..FitOptions::new(loss)
            };
            let progress = fit(&mut network, &dataset, &mut adam(), &options, go_on).unwrap();
            let found = evaluate(&network, &dataset, loss, 3).unwrap();
            (network.parameters().to_vec(), progress, found)
        });
        assert_eq!(ignored, missing);
        assert_eq!(missing.2.confusion[6..], [0; 3]);
    }
    assert_eq!(unlabelled(&classes()).label(2), None);
    assert_eq!(unlabelled(&classes()).label(3), Some(0));
}

#[test]
fn nothing_is_learned_from_numbers_that_are_missing() {
    let present = |value: f64| value > -0.2;
    type Elementwise = fn(&[f64], &[f64], Option<Padding<'_>>, Option<&mut [f64]>) -> Result<f64>;
    let losses: [(Loss, Elementwise); 2] = [
        (Loss::MeanSquaredError, mean_squared_error),
        (Loss::BinaryCrossEntropy, binary_cross_entropy_with_logits),
    ];
    for (loss, function) in losses {
        for output in [Output::Last, Output::All] {
            let per_step = output == Output::All;
            let missing = values(
                per_step,
                |value| if value > -0.2 { value.abs() } else { f64::NAN },
            );
            let options = FitOptions {
                epochs: 1,
                batch_size: 7,
                shuffle: None,
                ..FitOptions::new(loss)
            };
            let mut fitted = network(output);
            let progress = fit(&mut fitted, &missing, &mut adam(), &options, go_on).unwrap();

            let (mut written, mut batch) = (network(output), MiniBatch::default());
            missing.gather(&[0, 1, 2, 3, 4, 5, 6], &mut batch).unwrap();
            let padding = per_step.then_some(Padding {
                steps: batch.steps,
                lengths: &batch.lengths,
            });
            let mut y = vec![0.0; batch.values.len()];
            let mut dy = y.clone();
            written
                .forward(view(&batch), None, Some(&mut y), None)
                .unwrap();
            let value = function(&y, &batch.values, padding, Some(&mut dy)).unwrap();
            written.backward(Some(&dy), None, None, None).unwrap();
            written.update(&mut adam()).unwrap();
            assert_eq!(fitted.parameters(), written.parameters());
            assert!(value.is_finite() && (progress.training.loss - value).abs() < 1e-14);

            // The score is the mean over all that is there, whatever the mini-batches.
            let y = predict(&fitted, &missing, 2).unwrap();
            let Targets::Values { values, .. } = missing.targets() else {
                unreachable!()
            };
            let (mut kept, mut targets) = (vec![], vec![]);
            for (&y, &target) in y.iter().zip(values).filter(|(_, target)| !target.is_nan()) {
                kept.push(y);
                targets.push(target);
            }
            assert!(targets.len() < values.len() && targets.iter().all(|&value| present(value)));
            let expected = function(&kept, &targets, None, None).unwrap();
            let found = evaluate(&fitted, &missing, loss, 3).unwrap().score;
            assert!((found.loss - expected).abs() < 1e-14);
            assert_eq!(found.accuracy, None);
        }
    }
    // Where all are missing nothing counts.
    let nothing = values(true, |_| f64::NAN);
    let mut network = network(Output::All);
    let before = network.parameters().to_vec();
    let options = FitOptions::new(Loss::MeanSquaredError);
    let progress = fit(&mut network, &nothing, &mut adam(), &options, go_on).unwrap();
    assert_eq!(progress.training.loss, 0.0);
    assert_eq!(network.parameters(), before);
}

#[test]
fn class_weights_are_those_of_the_loss() {
    const WEIGHTS: [f64; 3] = [0.25, 3.0, 1.5];
    for (output, dataset) in [(Output::Last, classes()), (Output::All, step_classes())] {
        let options = FitOptions {
            epochs: 2,
            batch_size: 3,
            shuffle: None,
            class_weights: Some(&WEIGHTS),
            validation: Some(&dataset),
            ..FitOptions::new(CLASSES)
        };
        let mut fitted = network(output);
        let progress = fit(&mut fitted, &dataset, &mut adam(), &options, go_on).unwrap();

        let mut written = network(output);
        let (mut optimizer, mut batch) = (adam(), MiniBatch::default());
        let (mut sum, mut weights) = (0.0, 0.0);
        for _ in 0..2 {
            (sum, weights) = (0.0, 0.0);
            for indices in [&[0, 1, 2][..], &[3, 4, 5], &[6]] {
                dataset.gather(indices, &mut batch).unwrap();
                let padding = (output == Output::All).then_some(Padding {
                    steps: batch.steps,
                    lengths: &batch.lengths,
                });
                let mut y = vec![0.0; batch.labels.len() * 3];
                let mut dy = y.clone();
                written
                    .forward(view(&batch), None, Some(&mut y), None)
                    .unwrap();
                let labels = &batch.labels;
                let weighted = Some(&WEIGHTS[..]);
                let dy_of = Some(&mut dy[..]);
                let loss =
                    softmax_cross_entropy_weighted(&y, 3, labels, weighted, None, padding, dy_of);
                let counts = |row: usize| match padding {
                    None => true,
                    Some(Padding { steps, lengths }) => row % steps < lengths[row / steps],
                };
                let rows = (0..labels.len()).filter(|&row| counts(row));
                let weight: f64 = rows.map(|row| WEIGHTS[labels[row]]).sum();
                sum += loss.unwrap() * weight;
                weights += weight;
                written.backward(Some(&dy), None, None, None).unwrap();
                written.update(&mut optimizer).unwrap();
            }
        }
        assert_eq!(fitted.parameters(), written.parameters());
        assert!((progress.training.loss - sum / weights).abs() < 1e-14);

        let found = evaluate_weighted(&fitted, &dataset, CLASSES, Some(&WEIGHTS), 2).unwrap();
        let again = evaluate_weighted(&fitted, &dataset, CLASSES, Some(&WEIGHTS), 3).unwrap();
        assert_eq!(progress.validation, Some(again.score));
        let y = predict(&fitted, &dataset, 7).unwrap();
        let (Targets::Classes { labels, .. } | Targets::StepClasses { labels, .. }) =
            dataset.targets()
        else {
            unreachable!()
        };
        let expected =
            softmax_cross_entropy_weighted(&y, 3, labels, Some(&WEIGHTS), None, None, None);
        assert!((found.score.loss - expected.unwrap()).abs() < 1e-14);
        let plain = evaluate(&fitted, &dataset, CLASSES, 2).unwrap();
        assert_eq!(plain.confusion, found.confusion);
        assert_eq!(plain.score.accuracy, found.score.accuracy);
        assert!((plain.score.loss - found.score.loss).abs() > 1e-3);
    }

    // A mini-batch whose weights are all 0 updates nothing.
    let mut network = network(Output::Last);
    let before = network.parameters().to_vec();
    let options = FitOptions {
        class_weights: Some(&[0.0; 3]),
        ..FitOptions::new(CLASSES)
    };
    let progress = fit(&mut network, &classes(), &mut adam(), &options, go_on).unwrap();
    assert_eq!(progress.training.loss, 0.0);
    assert_eq!(network.parameters(), before);
}

#[test]
fn gradients_that_explode_are_an_error_before_the_update() {
    let mut network = Network::<f64>::new(2).unwrap();
    network.add_rnn(3, Activation::Linear).unwrap();
    let parameters = [1e200; 18];
    network.set_parameters(&parameters).unwrap();
    let dataset = values(false, |value| value);
    for clip in [Clip::None, Clip::Norm(1.0), Clip::Value(1.0)] {
        let options = FitOptions {
            clip,
            ..FitOptions::new(Loss::MeanSquaredError)
        };
        let error = fit(&mut network, &dataset, &mut adam(), &options, go_on).unwrap_err();
        assert_eq!(error.to_string(), "the norm of the gradients is not finite");
        assert_eq!(network.parameters(), parameters);
    }
}

#[test]
fn what_does_not_fit_is_named_before_anything_changes() {
    let error = |output, dataset: &Dataset<f64>, options: &FitOptions<'_, f64>| {
        let mut network = network(output);
        network.gradients_mut().fill(9.0);
        let before = network.parameters().to_vec();
        let error = fit(&mut network, dataset, &mut adam(), options, go_on).unwrap_err();
        assert_eq!(network.parameters(), before);
        assert!(network.gradients().iter().all(|&gradient| gradient == 9.0));
        error.to_string()
    };
    let options = FitOptions::new(CLASSES);
    let squares = FitOptions::new(Loss::MeanSquaredError);
    let events = FitOptions::new(Loss::BinaryCrossEntropy);
    assert_eq!(
        error(Output::All, &classes(), &options),
        "the target of the data set is a class of 3 for each sequence, expected a class of 3 for each step, which is \
         what the network gives and softmax cross-entropy takes"
    );
    assert_eq!(
        error(Output::Last, &classes(), &squares),
        "the target of the data set is a class of 3 for each sequence, expected numbers, 3 for each sequence, which is \
         what the network gives and the mean squared error takes"
    );
    let four = dataset(|_| Targets::numbered_classes(vec![3; 7], 4).unwrap());
    assert!(error(Output::Last, &four, &options).contains("is a class of 4"));
    let nothing = dataset(|_| Targets::None);
    assert!(error(Output::Last, &nothing, &events).contains("is nothing, expected numbers, 3"));
    let negative = values(false, |value| value);
    assert!(error(Output::Last, &negative, &events).starts_with("a target is -"));
    let narrow = Dataset::new(1, vec![0.0], &[1], Targets::None).unwrap();
    assert_eq!(
        error(Output::Last, &narrow, &options),
        "the number of features of the data set is 1, expected 2, as many as the network takes"
    );
    let wrong = [
        FitOptions {
            validation: Some(&four),
            ..options
        },
        FitOptions {
            class_weights: Some(&[1.0; 2]),
            ..options
        },
        FitOptions {
            class_weights: Some(&[1.0, 2.0, -1.0]),
            ..options
        },
        FitOptions {
            truncate: Some(3),
            ..options
        },
        FitOptions {
            epochs: 0,
            ..options
        },
        FitOptions {
            batch_size: 0,
            ..options
        },
        FitOptions {
            clip: Clip::Norm(0.0),
            ..options
        },
        FitOptions {
            clip: Clip::Value(f64::NAN),
            ..options
        },
    ];
    let expected = [
        "is a class of 4",
        "class_weights has 2 elements, expected 3",
        "class_weights is -1, expected a finite number, at least 0",
        "the output of the network is that of the last step",
        "epochs is 0",
        "batch_size is 0",
        "max_norm is 0",
        "limit is NaN",
    ];
    for (options, expected) in wrong.iter().zip(expected) {
        let message = error(Output::Last, &classes(), options);
        assert!(message.contains(expected), "{message}");
    }
    let weighted = FitOptions {
        class_weights: Some(&[1.0; 3]),
        ..squares
    };
    assert_eq!(
        error(Output::Last, &negative, &weighted),
        "the loss with class weights is the mean squared error, expected softmax cross-entropy, which has classes"
    );
    let network = network(Output::Last);
    assert!(evaluate_weighted(&network, &classes(), CLASSES, Some(&[f64::NAN; 3]), 2).is_err());
    assert!(evaluate(&network, &four, CLASSES, 2).is_err());
    assert!(evaluate(&network, &classes(), CLASSES, 0).is_err());
    assert!(predict(&network, &narrow, 2).is_err());
}

#[test]
fn predictions_are_those_of_the_sequences_alone() {
    for (output, dataset) in [(Output::Last, classes()), (Output::All, step_classes())] {
        let network = network(output);
        let mut expected = Vec::new();
        for index in 0..dataset.len() {
            let steps = dataset.length(index);
            let mut y = vec![0.0; if output == Output::Last { 3 } else { steps * 3 }];
            let batch = Batch {
                x: dataset.sequence(index),
                batch: 1,
                steps,
                lengths: None,
            };
            network.predict(batch, None, Some(&mut y), None).unwrap();
            expected.extend(y);
        }
        for batch_size in [1, 3, 100] {
            assert_eq!(predict(&network, &dataset, batch_size).unwrap(), expected);
        }

        // What is counted follows from the predictions.
        let (Targets::Classes { labels, .. } | Targets::StepClasses { labels, .. }) =
            dataset.targets()
        else {
            unreachable!()
        };
        let mut confusion = vec![0; 9];
        for (y, label) in expected.chunks(3).zip(labels) {
            let best = (0..3).max_by(|&a, &b| y[a].total_cmp(&y[b])).unwrap();
            confusion[label * 3 + best] += 1;
        }
        let loss = softmax_cross_entropy(&expected, 3, labels, None, None, None).unwrap();
        let evaluation = evaluate(&network, &dataset, CLASSES, 3).unwrap();
        assert_eq!(evaluation.confusion, confusion);
        let right = confusion[0] + confusion[4] + confusion[8];
        assert_eq!(
            evaluation.score.accuracy,
            Some(right as f64 / labels.len() as f64)
        );
        assert!((evaluation.score.loss - loss).abs() < 1e-14);
    }
}

/// Trains a speaker classifier on the Japanese Vowels.
fn speakers(
    seed: u64,
    epochs: usize,
    prepare: impl Fn(&mut Network) -> Result<()>,
) -> (Network, Dataset) {
    let read = |part: &str| {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/japanese_vowels");
        Dataset::read_ts(format!("{directory}/JapaneseVowels_{part}.ts")).unwrap()
    };
    let (train, test) = (read("TRAIN"), read("TEST"));
    let mut network = Network::new(train.input_size()).unwrap();
    network
        .set_standardization(Some(train.standardization().unwrap()))
        .unwrap();
    network.add_rnn(64, Activation::Tanh).unwrap();
    network
        .add_dense(train.class_count(), Activation::Linear)
        .unwrap();
    network
        .initialize(Initializer::Orthogonal { gain: 1.0 }, seed)
        .unwrap();
    prepare(&mut network).unwrap();
    let options = FitOptions {
        epochs,
        shuffle: Some(seed),
        clip: Clip::Norm(1.0),
        ..FitOptions::new(CLASSES)
    };
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.003).unwrap();
    fit(&mut network, &train, &mut optimizer, &options, go_on).unwrap();
    (network, test)
}

#[test]
fn speakers_are_recognised() {
    let mut accuracies = [1, 2, 3, 4, 5].map(|seed| {
        let start = std::time::Instant::now();
        let (network, test) = speakers(seed, 30, |_| Ok(()));
        println!("seed {seed}: {:.0?}", start.elapsed());
        evaluate(&network, &test, CLASSES, 64)
            .unwrap()
            .score
            .accuracy
            .unwrap()
    });
    println!("{accuracies:.4?}");
    accuracies.sort_by(f64::total_cmp);
    assert!(
        accuracies[0] >= 0.95 && accuracies[2] >= 0.96,
        "{accuracies:?}"
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let trained = |threads| {
        let (network, _) = speakers(1, 2, |network| {
            network.set_threads(threads)?;
            network.set_parallel_threshold(0);
            Ok(())
        });
        network.parameters().to_vec()
    };
    let alone = trained(1);
    assert_eq!(alone, trained(2));
    assert_eq!(alone, trained(3));
}
