//! What a caller may do to the training loop while it runs: a callback before each update, early stopping, cancelling; and
//! what is left where training explodes.

#[path = "common/training.rs"]
mod training;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use elman::dataset::{Dataset, MiniBatch, Targets};
use elman::loss::{Loss, mean_squared_error};
use elman::optimizer::{Optimizer, Rule, clip_by_norm};
use elman::train::{
    BatchProgress, Callbacks, Clip, EarlyStopping, FitOptions, Progress, Watch, evaluate, fit,
    fit_with,
};
use elman::{Batch, Element, Error, Network, Output};
use training::{CLASSES, adam, go_on, numbers};

const LENGTHS: [usize; 7] = [3, 7, 1, 5, 5, 2, 6];

/// Seven sequences of 2 features.
fn dataset<E: Element>(targets: Targets<E>) -> Dataset<E> {
    let steps: usize = LENGTHS.iter().sum();
    Dataset::new(2, numbers(2 * steps), &LENGTHS, targets).unwrap()
}

fn classes(labels: [usize; 7]) -> Dataset<f64> {
    dataset(Targets::numbered_classes(labels.to_vec(), 3).unwrap())
}

/// A network of one recurrent layer.
fn network<E: Element>(output: Output) -> Network<E> {
    training::network(&[6], output)
}

fn values<E: Element>(per_step: bool) -> Dataset<E> {
    let rows = if per_step {
        LENGTHS.iter().sum()
    } else {
        LENGTHS.len()
    };
    dataset(Targets::Values {
        size: 3,
        per_step,
        values: numbers(3 * rows),
    })
}

/// A closure that is called before each update.
struct EachBatch<F>(F);

impl<E: Element, F> Callbacks<E> for EachBatch<F>
where
    F: FnMut(&mut BatchProgress<'_, E>) -> ControlFlow<()>,
{
    fn batch(&mut self, batch: &mut BatchProgress<'_, E>) -> ControlFlow<()> {
        self.0(batch)
    }
}

#[test]
fn a_callback_per_batch_changes_gradients_and_rate_before_they_are_limited() {
    let dataset = values::<f64>(false);
    let options = FitOptions {
        epochs: 2,
        batch_size: 3,
        shuffle: None,
        clip: Clip::Norm(0.1),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let mut fitted = network(Output::Last);
    let mut optimizer = adam();
    let mut seen = Vec::new();
    let mut losses = Vec::new();
    let mut callbacks = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        seen.push([batch.epoch, batch.batch, batch.sequences, batch.steps.end]);
        assert_eq!((batch.epochs, batch.batches, batch.steps.start), (2, 3, 0));
        assert_eq!(batch.weight, 3.0 * batch.sequences as f64);
        losses.push(batch.loss);
        for gradient in &mut *batch.gradients {
            *gradient *= 3.0;
        }
        assert_eq!(
            batch.learning_rate,
            0.01 * 0.5_f64.powi(seen.len() as i32 - 1)
        );
        batch.learning_rate *= 0.5;
        ControlFlow::Continue(())
    });
    fit_with(
        &mut fitted,
        &dataset,
        &mut optimizer,
        &options,
        &mut callbacks,
    )
    .unwrap();
    let expected = [
        [1, 1, 3, 7],
        [1, 2, 3, 5],
        [1, 3, 1, 6],
        [2, 1, 3, 7],
        [2, 2, 3, 5],
        [2, 3, 1, 6],
    ];
    assert_eq!(seen, expected);
    assert_eq!(optimizer.learning_rate(), 0.01 / 64.0);

    let (mut written, mut optimizer) = (network(Output::Last), adam());
    let mut batch = MiniBatch::default();
    let batches = [&[0, 1, 2][..], &[3, 4, 5], &[6]];
    for (indices, loss) in batches.iter().cycle().zip(losses) {
        dataset.gather(indices, &mut batch).unwrap();
        let view = Batch {
            x: &batch.x,
            batch: indices.len(),
            steps: batch.steps,
            lengths: Some(&batch.lengths),
        };
        let mut y = vec![0.0; indices.len() * 3];
        let mut dy = y.clone();
        written.forward(view, None, Some(&mut y), None).unwrap();
        let expected = mean_squared_error(&y, &batch.values, None, Some(&mut dy)).unwrap();
        assert_eq!(loss, expected);
        written.backward(Some(&dy), None, None, None).unwrap();
        written.gradients_mut().iter_mut().for_each(|g| *g *= 3.0);
        let rate = optimizer.learning_rate();
        optimizer.set_learning_rate(rate * 0.5).unwrap();
        clip_by_norm(written.gradients_mut(), 0.1).unwrap();
        written.update(&mut optimizer).unwrap();
    }
    assert_eq!(fitted.parameters(), written.parameters());
}

#[test]
fn with_truncation_the_callback_comes_before_each_update() {
    let dataset = values::<f64>(true);
    let options = FitOptions {
        epochs: 1,
        batch_size: 4,
        shuffle: None,
        truncate: Some(3),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let mut seen = Vec::new();
    let mut callbacks = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        let weight = batch.weight as usize;
        seen.push((batch.batch, batch.sequences, batch.steps.clone(), weight));
        ControlFlow::Continue(())
    });
    let mut network = network(Output::All);
    fit_with(
        &mut network,
        &dataset,
        &mut adam(),
        &options,
        &mut callbacks,
    )
    .unwrap();
    // The lengths of the first mini-batch are 7, 5, 3, 1; those of the second 6, 5, 2.
    let expected = [
        (1, 4, 0..3, 30),
        (1, 2, 3..6, 15),
        (1, 1, 6..7, 3),
        (2, 3, 0..3, 24),
        (2, 2, 3..6, 15),
    ];
    assert_eq!(seen, expected);
}

/// Reduces gradients as processes do that train together: here all of them have the same data but one, which has nothing.
#[test]
fn gradients_may_come_from_elsewhere_where_nothing_counts() {
    let (options, ignored) = (
        FitOptions {
            epochs: 3,
            batch_size: 4,
            ..FitOptions::new(CLASSES)
        },
        Loss::SoftmaxCrossEntropy { ignored: Some(2) },
    );
    let mut whole = network(Output::Last);
    let mut sent = Vec::new();
    let mut send = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        sent.push((batch.weight, batch.gradients.to_vec()));
        ControlFlow::Continue(())
    });
    let full = classes([0, 1, 0, 1, 0, 1, 0]);
    fit_with(&mut whole, &full, &mut adam(), &options, &mut send).unwrap();

    let nothing = classes([2; 7]);
    let options = FitOptions {
        loss: ignored,
        ..options
    };
    let mut other = network(Output::Last);
    let mut received = sent.into_iter();
    let mut receive = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        assert_eq!((batch.weight, batch.loss), (0.0, 0.0));
        assert!(batch.gradients.iter().all(|&gradient| gradient == 0.0));
        let (weight, gradients) = received.next().unwrap();
        batch.weight += weight;
        batch.gradients.copy_from_slice(&gradients);
        ControlFlow::Continue(())
    });
    fit_with(&mut other, &nothing, &mut adam(), &options, &mut receive).unwrap();
    assert_eq!(received.next(), None);
    assert_eq!(other.parameters(), whole.parameters());

    // Without a weight there is no update, and the gradients are gone.
    let mut still = network::<f64>(Output::Last);
    let before = still.parameters().to_vec();
    let mut meddle = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        batch.gradients.fill(1.0);
        ControlFlow::Continue(())
    });
    let mut adamw = Optimizer::new(Rule::ADAMW, 0.1).unwrap();
    fit_with(&mut still, &nothing, &mut adamw, &options, &mut meddle).unwrap();
    assert_eq!(still.parameters(), before);
    assert!(still.gradients().iter().all(|&gradient| gradient == 0.0));
}

#[test]
fn a_callback_per_batch_may_stop() {
    let dataset = classes([0, 1, 2, 0, 1, 2, 0]);
    let options = FitOptions {
        epochs: 5,
        batch_size: 3,
        validation: Some(&dataset),
        ..FitOptions::new(CLASSES)
    };
    let run = |updates: usize| {
        let mut network = network::<f64>(Output::Last);
        let mut batches = 0;
        let mut stop = EachBatch(|_: &mut BatchProgress<'_, f64>| {
            batches += 1;
            match batches > updates {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        let progress = fit_with(&mut network, &dataset, &mut adam(), &options, &mut stop);
        (network, progress.unwrap())
    };
    let (network, progress) = run(0);
    assert_eq!(
        network.parameters(),
        self::network::<f64>(Output::Last).parameters()
    );
    assert_eq!(
        (progress.epoch, progress.complete, network.epochs()),
        (1, false, 0)
    );
    let (network, progress) = run(4);
    assert_eq!((progress.epoch, progress.complete), (2, false));
    assert_eq!((network.epochs(), network.passes()), (1, 5));
    assert_eq!(progress.validation, None);
    assert!(progress.training.loss > 0.0);
    assert!(network.gradients().iter().all(|&gradient| gradient == 0.0));
    let (_, progress) = run(100);
    assert_eq!((progress.epoch, progress.complete), (5, true));

    // A learning rate that is none.
    let mut network = self::network(Output::Last);
    let before = network.parameters().to_vec();
    let mut wrong = EachBatch(|batch: &mut BatchProgress<'_, f64>| {
        batch.learning_rate = f64::NAN;
        ControlFlow::Continue(())
    });
    let error = fit_with(&mut network, &dataset, &mut adam(), &options, &mut wrong).unwrap_err();
    let name = "learning_rate";
    assert!(matches!(error, Error::OutOfRange { name: found, .. } if found == name));
    assert_eq!(network.parameters(), before);
}

/// The parameters after an epoch, and the loss on the validation set.
type Epoch = (Vec<f64>, f64);

/// Trains at a rate at which the network soon gets worse; the parameters and the watched value after each epoch.
fn overfit(stopping: EarlyStopping, with_validation: bool) -> (Network<f64>, Progress, Vec<Epoch>) {
    let dataset = classes([0, 1, 2, 0, 1, 2, 0]);
    let validation = classes([0, 1, 2, 1, 2, 0, 1]);
    let mut network = network(Output::Last);
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.05).unwrap();
    let options = FitOptions {
        epochs: 200,
        batch_size: 3,
        validation: with_validation.then_some(&validation),
        early_stopping: Some(stopping),
        ..FitOptions::new(CLASSES)
    };
    let mut epochs = Vec::new();
    let callback = |progress: &mut Progress, network: &Network<f64>| {
        let score = progress.validation.unwrap_or(progress.training);
        let value = match stopping.watch {
            Watch::Accuracy => score.accuracy.unwrap(),
            _ => score.loss,
        };
        epochs.push((network.parameters().to_vec(), value));
        ControlFlow::Continue(())
    };
    let last = fit(&mut network, &dataset, &mut optimizer, &options, callback).unwrap();
    assert_eq!(network.epochs(), last.epoch as u64);
    (network, last, epochs)
}

#[test]
fn training_ends_when_it_gets_no_better_with_the_best_parameters() {
    for (patience, min_delta, watch, with_validation) in [
        (1, 0.0, Watch::Loss, true),
        (5, 0.0, Watch::Loss, true),
        (5, 0.02, Watch::Loss, true),
        (3, 0.05, Watch::Loss, false),
        (4, 0.0, Watch::Accuracy, true),
        (2, 0.0, Watch::Accuracy, false),
        (usize::MAX, 0.0, Watch::Loss, true),
    ] {
        let stopping = EarlyStopping {
            patience,
            min_delta,
            watch,
        };
        let (network, last, epochs) = overfit(stopping, with_validation);
        let mut best = (0, if watch == Watch::Loss { f64::MAX } else { -1.0 });
        for (index, (_, value)) in epochs.iter().enumerate() {
            let better = match watch {
                Watch::Accuracy => value - best.1,
                _ => best.1 - value,
            };
            if better > min_delta {
                best = (index, *value);
            }
        }
        let what = format!(
            "{stopping:?}, {with_validation}: best {best:?} of {}",
            epochs.len()
        );
        assert_eq!(last.best_epoch, Some(best.0 + 1), "{what}");
        assert_eq!(last.epoch, epochs.len());
        assert_eq!(network.parameters(), epochs[best.0].0, "{what}");
        if patience == usize::MAX {
            assert_eq!(epochs.len(), 200);
            assert_ne!(network.parameters(), epochs[199].0, "{what}");
        } else {
            assert_eq!(epochs.len(), best.0 + 1 + patience, "{what}");
        }
    }
}

#[test]
fn the_best_parameters_come_back_however_training_ends() {
    let dataset = classes([0, 1, 2, 0, 1, 2, 0]);
    let options = FitOptions {
        epochs: 9,
        batch_size: 3,
        early_stopping: Some(EarlyStopping {
            min_delta: 1e9,
            ..EarlyStopping::new(100)
        }),
        ..FitOptions::new(CLASSES)
    };
    /// Keeps the parameters of the first epoch and stops in some later one.
    struct Stop {
        first: Vec<f64>,
        batches: usize,
        epochs: usize,
    }
    impl Callbacks<f64> for Stop {
        fn batch(&mut self, _: &mut BatchProgress<'_, f64>) -> ControlFlow<()> {
            self.batches -= 1;
            match self.batches {
                0 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }

        fn epoch(&mut self, progress: &mut Progress, network: &Network<f64>) -> ControlFlow<()> {
            assert_eq!(progress.best_epoch, Some(1));
            if progress.epoch == 1 {
                self.first = network.parameters().to_vec();
            }
            match progress.epoch == self.epochs {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    for (batches, epochs, last) in [(100, 3, 3), (100, 100, 9), (8, 100, 3)] {
        let mut stop = Stop {
            first: Vec::new(),
            batches,
            epochs,
        };
        let mut network = network(Output::Last);
        let progress = fit_with(&mut network, &dataset, &mut adam(), &options, &mut stop).unwrap();
        assert_eq!((progress.epoch, progress.best_epoch), (last, Some(1)));
        assert_eq!(network.parameters(), stop.first);
        // What the network predicts is theirs, too.
        let mut other = self::network(Output::Last);
        other.set_parameters(&stop.first).unwrap();
        let score = |network| evaluate(network, &dataset, CLASSES, 7).unwrap();
        assert_eq!(score(&network), score(&other));
    }
}

#[test]
fn wrong_early_stopping_is_an_error_before_anything_changes() {
    let fails = |loss, dataset: &Dataset<f64>, stopping| {
        let mut network = network(Output::Last);
        network.gradients_mut().fill(9.0);
        let options = FitOptions {
            early_stopping: Some(stopping),
            ..FitOptions::new(loss)
        };
        let error = fit(&mut network, dataset, &mut adam(), &options, go_on).unwrap_err();
        assert!(network.gradients().iter().all(|&gradient| gradient == 9.0));
        error.to_string()
    };
    let classes = classes([0; 7]);
    let stopping = EarlyStopping::new(3);
    for (patience, min_delta, message) in [
        (0, 0.0, "patience is 0, expected at least 1"),
        (1, -1.0, "min_delta is -1, expected at least 0 and finite"),
        (
            1,
            f64::NAN,
            "min_delta is NaN, expected at least 0 and finite",
        ),
        (
            1,
            f64::INFINITY,
            "min_delta is inf, expected at least 0 and finite",
        ),
    ] {
        let stopping = EarlyStopping {
            patience,
            min_delta,
            ..stopping
        };
        assert_eq!(fails(CLASSES, &classes, stopping), message);
    }
    let accuracy = EarlyStopping {
        watch: Watch::Accuracy,
        ..stopping
    };
    assert_eq!(
        fails(Loss::MeanSquaredError, &values(false), accuracy),
        "watch is the accuracy, expected the loss: the mean squared error is not for classes"
    );
}

#[test]
fn another_thread_may_cancel() {
    let dataset = values::<f64>(true);
    let cancel = AtomicBool::new(true);
    let mut network = network(Output::All);
    let before = network.parameters().to_vec();
    for truncate in [None, Some(2)] {
        let options = FitOptions {
            epochs: usize::MAX,
            batch_size: 2,
            truncate,
            cancel: Some(&cancel),
            validation: Some(&dataset),
            ..FitOptions::new(Loss::MeanSquaredError)
        };
        let run = |network: &mut Network<f64>, callbacks: &mut dyn Callbacks<f64>| {
            struct Each<'a>(&'a mut dyn Callbacks<f64>);
            impl Callbacks<f64> for Each<'_> {
                fn batch(&mut self, batch: &mut BatchProgress<'_, f64>) -> ControlFlow<()> {
                    self.0.batch(batch)
                }
            }
            let mut callbacks = Each(callbacks);
            let result = fit_with(network, &dataset, &mut adam(), &options, &mut callbacks);
            assert!(matches!(result, Err(Error::Cancelled)));
        };
        // Before it begins.
        cancel.store(true, Ordering::Relaxed);
        run(
            &mut network,
            &mut EachBatch(|_: &mut BatchProgress<'_, f64>| unreachable!()),
        );
        assert_eq!(network.parameters(), before);

        // Before the next mini-batch: the update still takes place.
        cancel.store(false, Ordering::Relaxed);
        let mut updates = 0;
        run(
            &mut network,
            &mut EachBatch(|_: &mut BatchProgress<'_, f64>| {
                updates += 1;
                cancel.store(updates == 3, Ordering::Relaxed);
                ControlFlow::Continue(())
            }),
        );
        assert_eq!(updates, 3);
        assert_ne!(network.parameters(), before);
        assert_eq!(network.epochs(), 0);
        network.set_parameters(&before).unwrap();

        // From another thread, in a training that would not end.
        cancel.store(false, Ordering::Relaxed);
        let started = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !started.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                cancel.store(true, Ordering::Relaxed);
            });
            run(
                &mut network,
                &mut EachBatch(|_: &mut BatchProgress<'_, f64>| {
                    started.store(true, Ordering::Relaxed);
                    ControlFlow::Continue(())
                }),
            );
        });
        network.set_parameters(&before).unwrap();
        network.set_seed(0);
    }
}

/// Cancelled after the last update of an epoch: the validation is not finished, but the epoch is.
#[test]
fn cancelling_does_not_wait_for_the_validation() {
    let dataset = classes([0, 1, 2, 0, 1, 2, 0]);
    let cancel = AtomicBool::new(false);
    let options = FitOptions {
        batch_size: 7,
        validation: Some(&dataset),
        cancel: Some(&cancel),
        ..FitOptions::new(CLASSES)
    };
    let mut network = network(Output::Last);
    let mut cancels = EachBatch(|_: &mut BatchProgress<'_, f64>| {
        cancel.store(true, Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    let error = fit_with(&mut network, &dataset, &mut adam(), &options, &mut cancels).unwrap_err();
    assert_eq!(error.to_string(), "cancelled");
    assert_eq!(network.epochs(), 1);
}

/// Every rule at rates at which an update overflows: the parameters that remain are those before it.
fn explode<E: Element>(largest: f64) {
    let rules = [
        Rule::SGD,
        Rule::Sgd {
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0,
        },
        Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 1.0,
        },
        Rule::ADAGRAD,
        Rule::RMSPROP,
        Rule::RmsProp {
            alpha: 0.99,
            epsilon: 1e-8,
            momentum: 0.9,
        },
        Rule::ADAM,
        Rule::ADAMW,
        Rule::Rprop {
            eta_minus: 0.5,
            eta_plus: 1e30,
            min_step: 0.0,
            max_step: largest,
        },
        Rule::RPROP_UNBOUNDED,
    ];
    let dataset = values::<E>(false);
    let options = FitOptions {
        epochs: 20,
        batch_size: 3,
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    for rule in rules {
        let mut broken = 0;
        for rate in [0.9, 1e-3, 1e-10].map(|part| part * largest) {
            // Gradients that stay the same, however large the parameters are: only updates can go wrong.
            let train = |updates: usize| {
                let mut network = network::<E>(Output::Last);
                let mut optimizer = Optimizer::<E>::new(rule, rate).unwrap();
                let mut left = updates;
                let mut callbacks = EachBatch(|batch: &mut BatchProgress<'_, E>| {
                    batch.gradients.fill(E::ONE);
                    left = left.saturating_sub(1);
                    match left {
                        0 => ControlFlow::Break(()),
                        _ => ControlFlow::Continue(()),
                    }
                });
                let result = fit_with(
                    &mut network,
                    &dataset,
                    &mut optimizer,
                    &options,
                    &mut callbacks,
                );
                (network, result)
            };
            let (network, result) = train(usize::MAX);
            let parameters = network.parameters();
            let finite = parameters.iter().all(|value| value.is_finite());
            assert!(finite, "{rule:?}, {rate}");
            let Err(error) = result else { continue };
            let message = "a parameter after the update is not finite";
            assert_eq!(error.to_string(), message, "{rule:?}, {rate}");
            assert!(
                network
                    .gradients()
                    .iter()
                    .all(|&gradient| gradient == E::ZERO)
            );
            // The same as when training had stopped before.
            let (whole, result) = train(usize::try_from(network.passes()).unwrap());
            result.unwrap();
            assert!(whole.parameters() == parameters, "{rule:?}, {rate}");
            broken += 1;
        }
        assert!(broken > 0, "{rule:?}");
    }
}

#[test]
fn an_update_that_overflows_is_not_made() {
    explode::<f32>(f64::from(f32::MAX));
    explode::<f64>(f64::MAX);
}
