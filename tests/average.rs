//! The mean of the parameters over the epochs of a training: it is that of a loop by hand, however training ends.

#[path = "common/training.rs"]
mod training;

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{
    BatchProgress, Callbacks, EarlyStopping, FitOptions, Progress, Score, evaluate_weighted, fit,
    fit_with,
};
use elman::{Activation, Element, Error, Network, Output};
use training::{CLASSES, adam, go_on, network, numbers};

/// Sequences of 2 features, whose classes their steps do not tell.
fn classes<E: Element>(labels: [usize; 7]) -> Dataset<E> {
    let lengths = [3, 7, 1, 5, 5, 2, 6];
    let targets = Targets::numbered_classes(labels.to_vec(), 3).unwrap();
    Dataset::new(2, numbers(2 * 29), &lengths, targets).unwrap()
}

fn train_set<E: Element>() -> Dataset<E> {
    classes([0, 1, 2, 0, 1, 2, 0])
}

fn optimizer<E: Element>() -> Optimizer<E> {
    Optimizer::new(Rule::ADAM, 0.05).unwrap()
}

/// What there is after a training.
struct Ended<E: Element> {
    network: Network<E>,
    optimizer: Vec<u8>,
    /// Of each epoch: on the validation set, and that of the mean there.
    scores: Vec<[Option<Score>; 2]>,
    /// Of the mean that the network has.
    epoch: usize,
}

/// Epochs by hand.
fn by_hand<E: Element>(
    mut network: Network<E>,
    dataset: &Dataset<E>,
    options: &FitOptions<'_, E>,
) -> Ended<E> {
    let mut optimizer = optimizer();
    let mut mean = vec![0.0; network.parameter_count()];
    let (mut scores, mut least, mut kept) = (Vec::new(), f64::INFINITY, None);
    let (mut best, mut waited) = (f64::INFINITY, 0);
    for epoch in 1..=options.epochs {
        let one = FitOptions {
            epochs: 1,
            validation: None,
            early_stopping: None,
            average: false,
            ..*options
        };
        let seen = fit(&mut network, dataset, &mut optimizer, &one, go_on).unwrap();
        let share = 9.0 / (8.0 + epoch as f64);
        for (mean, value) in mean.iter_mut().zip(network.parameters()) {
            *mean += share * (value.to_f64() - *mean);
        }
        let mut averaged = network.try_clone().unwrap();
        let values: Vec<E> = mean.iter().map(|&value| E::from_f64(value)).collect();
        averaged.set_parameters(&values).unwrap();
        let measure = |network: &Network<E>| {
            let held_out = options.validation?;
            let (weights, size) = (options.class_weights, options.batch_size);
            let found = evaluate_weighted(network, held_out, options.loss, weights, size);
            Some(found.unwrap().score)
        };
        let both = [measure(&network), measure(&averaged)];
        scores.push(both);
        let loss = both[1].map_or(f64::NEG_INFINITY, |score| score.loss);
        if both[1].is_none() || loss < least {
            (least, kept) = (loss, Some((epoch, values)));
        }
        if let Some(stopping) = options.early_stopping {
            let watched = both[0].unwrap_or(seen.training).loss;
            waited += 1;
            if watched < best {
                (best, waited) = (watched, 0);
            }
            if waited == stopping.patience {
                break;
            }
        }
    }
    let (epoch, values) = kept.unwrap();
    network.set_parameters(&values).unwrap();
    Ended {
        network,
        optimizer: optimizer.to_bytes().unwrap(),
        scores,
        epoch,
    }
}

/// The same by `fit`, whose callback sees the network as it is trained.
fn by_fit<E: Element>(
    mut network: Network<E>,
    dataset: &Dataset<E>,
    options: &FitOptions<'_, E>,
) -> Ended<E> {
    let mut optimizer = optimizer();
    let mut scores = Vec::new();
    let callback = |progress: &mut Progress, network: &Network<E>| {
        if let Some(held_out) = options.validation {
            let (weights, size) = (options.class_weights, options.batch_size);
            let found = evaluate_weighted(network, held_out, options.loss, weights, size);
            assert_eq!(progress.validation, Some(found.unwrap().score));
        }
        scores.push([progress.validation, progress.average]);
        ControlFlow::Continue(())
    };
    let last = fit(&mut network, dataset, &mut optimizer, options, callback).unwrap();
    assert_eq!(last.average, scores[last.epoch - 1][1]);
    Ended {
        network,
        optimizer: optimizer.to_bytes().unwrap(),
        scores,
        epoch: last.average_epoch.unwrap(),
    }
}

fn the_mean_of_fit_is_that_of_a_loop<E: Element>() {
    let (dataset, held_out) = (train_set::<E>(), classes([0, 1, 2, 1, 2, 0, 1]));
    let weights = [0.5, 2.0, 1.0].map(E::from_f64);
    let options = FitOptions {
        epochs: 40,
        batch_size: 3,
        average: true,
        ..FitOptions::new(CLASSES)
    };
    let mut kept = Vec::new();
    for (validation, class_weights, patience) in [
        (None, None, None),
        (None, None, Some(3)),
        (Some(&held_out), None, None),
        (Some(&held_out), Some(&weights[..]), None),
        (Some(&held_out), None, Some(3)),
    ] {
        let options = FitOptions {
            validation,
            class_weights,
            early_stopping: patience.map(EarlyStopping::new),
            ..options
        };
        let start = || {
            let mut network = Network::<E>::new(2).unwrap();
            network.add_rnn(6, Activation::Tanh).unwrap();
            network.add_dropout(0.25).unwrap();
            network.add_dense(3, Activation::Linear).unwrap();
            network
        };
        // A second call begins a new mean.
        let [mut hand, mut whole] = [start(), start()];
        for call in 0..2 {
            let expected = by_hand(hand, &dataset, &options);
            let found = by_fit(whole, &dataset, &options);
            let what = format!("{}, {options:?}, call {call}", E::NAME);
            assert_eq!(found.scores, expected.scores, "{what}");
            assert_eq!(found.epoch, expected.epoch, "{what}");
            let [one, other] = [&found, &expected].map(|ended| ended.network.parameters());
            assert!(one == other, "{what}");
            assert!(found.optimizer == expected.optimizer, "{what}");
            assert_eq!(found.scores.len() < 40, patience.is_some(), "{what}");
            kept.push(found.epoch < found.scores.len());
            [hand, whole] = [expected.network, found.network];
        }
    }
    // Without a validation set that of the last epoch, and with it that of another one, too.
    assert_eq!(kept[..4], [false; 4]);
    assert!(kept[4..].contains(&true));
}

#[test]
fn the_mean_is_that_of_a_loop_by_hand() {
    the_mean_of_fit_is_that_of_a_loop::<f32>();
    the_mean_of_fit_is_that_of_a_loop::<f64>();
}

/// Stops before an update, or after an epoch.
struct Stop {
    updates: usize,
    epochs: usize,
    last: Vec<f64>,
}

impl Callbacks<f64> for Stop {
    fn batch(&mut self, batch: &mut BatchProgress<'_, f64>) -> ControlFlow<()> {
        if self.updates == 0 {
            batch.gradients.fill(f64::NAN);
            return match self.epochs {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            };
        }
        self.updates -= 1;
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, progress: &mut Progress, network: &Network<f64>) -> ControlFlow<()> {
        self.last = network.parameters().to_vec();
        match progress.epoch == self.epochs {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// With three updates an epoch: the network and what training has given.
fn stopped(updates: usize, epochs: usize) -> (Network<f64>, Result<Progress, Error>, Stop) {
    let dataset = train_set();
    let options = FitOptions {
        epochs: 9,
        batch_size: 3,
        average: true,
        early_stopping: Some(EarlyStopping::new(9)),
        ..FitOptions::new(CLASSES)
    };
    let mut stop = Stop {
        updates,
        epochs,
        last: Vec::new(),
    };
    let mut network = network(&[6], Output::Last);
    let result = fit_with(&mut network, &dataset, &mut adam(), &options, &mut stop);
    (network, result, stop)
}

#[test]
fn the_network_gets_the_mean_however_training_ends_but_for_errors() {
    let [one, two] = [1, 2].map(|epochs| stopped(usize::MAX, epochs));
    let mean = |at: usize| {
        let [first, second] = [&one, &two].map(|(_, _, stop)| stop.last[at]);
        first + 9.0 / 10.0 * (second - first)
    };
    let means: Vec<f64> = (0..one.2.last.len()).map(mean).collect();
    assert_eq!(one.0.parameters(), one.2.last);
    assert_ne!(two.0.parameters(), two.2.last);
    // After an epoch; before an update of the next one.
    for (network, result, _) in [two, stopped(7, 100)] {
        let progress = result.unwrap();
        assert_eq!(progress.average_epoch, Some(2));
        assert_eq!(progress.average, None);
        assert_eq!(network.parameters(), means);
    }
    // Before any epoch has ended.
    let (network, result, _) = stopped(0, 100);
    assert_eq!(result.unwrap().average_epoch, None);
    let start = training::network::<f64>(&[6], Output::Last);
    assert_eq!(network.parameters(), start.parameters());
    // Where training explodes.
    let (network, result, stop) = stopped(6, 0);
    assert!(matches!(result, Err(Error::NotFinite { .. })));
    assert_eq!(network.parameters(), stop.last);
    assert_ne!(network.parameters(), means);
}

#[test]
fn what_cannot_be_measured_is_no_reason_to_keep_an_early_mean() {
    let values = |value| Targets::Values {
        size: 3,
        per_step: false,
        values: vec![value; 6],
    };
    let data = |value| Dataset::new(2, numbers(10), &[3, 2], values(value)).unwrap();
    // Its square is infinite.
    let (dataset, held_out) = (data(0.5), data(1e200));
    let mut options = FitOptions {
        epochs: 5,
        average: true,
        validation: Some(&held_out),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let mut train = || {
        let mut network = network::<f64>(&[6], Output::Last);
        let last = fit(&mut network, &dataset, &mut adam(), &options, go_on).unwrap();
        assert_eq!(last.average_epoch, Some(5));
        options.validation = None;
        network.parameters().to_vec()
    };
    assert_eq!(train(), train());
}

#[test]
fn frozen_layers_keep_their_bits() {
    let mut network = network::<f32>(&[6, 5], Output::Last);
    let frozen = network.layers().nth(1).unwrap().parameters;
    let mut parameters = network.parameters().to_vec();
    parameters[frozen.start] = -0.0;
    parameters[frozen.start + 1] = f32::from_bits(1);
    network.set_parameters(&parameters).unwrap();
    network.set_trainable(1, false).unwrap();
    let (dataset, held_out) = (train_set(), classes([0, 1, 2, 1, 2, 0, 1]));
    let options = FitOptions {
        epochs: 5,
        average: true,
        validation: Some(&held_out),
        ..FitOptions::new(CLASSES)
    };
    fit(&mut network, &dataset, &mut optimizer(), &options, go_on).unwrap();
    let bits = |parameters: &[f32]| {
        let own = parameters[frozen.clone()].iter();
        own.map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(bits(network.parameters()), bits(&parameters));
    assert!(network.parameters()[..frozen.start] != parameters[..frozen.start]);
}
