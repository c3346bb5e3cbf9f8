//! Networks whose numbers can be told without the engine: a constant one, and dropout. How layers start, what they are, and
//! copies of networks.

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Standardization, Targets};
use elman::gradient_check::check_gradients;
use elman::init::Initializer;
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, fit};
use elman::{Activation, Batch, Element, Error, LayerKind, Network, Output};
use rayon::prelude::*;

const STEPS: usize = 4;
const X: [f64; 2 * STEPS] = [0.5, -0.25, 1.0, 0.75, -0.5, 0.0, 0.25, 2.0];

fn batch() -> Batch<'static, f64> {
    Batch {
        x: &X,
        batch: 1,
        steps: STEPS,
        lengths: None,
    }
}

#[test]
fn networks_and_sessions_can_be_shared_and_sent() {
    fn check<T: Send + Sync>() {}
    check::<Network<f32>>();
    check::<Network<f64>>();
    check::<elman::Session>();
}

#[test]
fn a_host_may_call_from_the_threads_of_its_own_pool() {
    let mut network = Network::<f64>::new(1).unwrap();
    network.add_rnn(20, Activation::Tanh).unwrap();
    let initializer = Initializer::GlorotUniform { gain: 1.0 };
    network.initialize(initializer, 1).unwrap();
    let predict = |network: &Network<f64>| {
        let mut y = vec![0.0; 8 * 20];
        let batch = Batch {
            batch: 8,
            steps: 1,
            ..batch()
        };
        network.predict(batch, None, Some(&mut y), None).unwrap();
        y
    };
    let expected = predict(&network);
    network.set_threads(2).unwrap();
    network.set_parallel_threshold(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
    pool.unwrap().install(|| {
        (0..2000).into_par_iter().for_each(|call| {
            assert_eq!(predict(&network), expected);
            if call % 100 == 0 {
                // Its threads start and end inside the host's as well.
                let mut network = Network::<f64>::new(1).unwrap();
                network.add_rnn(20, Activation::Tanh).unwrap();
                network.initialize(initializer, 1).unwrap();
                network.set_threads(3).unwrap();
                network.set_parallel_threshold(0);
                assert_eq!(predict(&network), expected);
            }
        });
    });
}

const TORCH: Initializer = Initializer::PyTorch { gain: 1.0 };

/// Every kind of layer, on 3 features.
fn add_layers<E: Element>(network: &mut Network<E>) {
    network.add_rnn(5, Activation::Tanh).unwrap();
    network.add_dropout(0.25).unwrap();
    network.add_dense(4, Activation::Sigmoid).unwrap();
    network.add_rnn(2, Activation::Relu).unwrap();
    network.add_dense(6, Activation::Linear).unwrap();
}

fn layers_start_as_initialized<E: Element>() {
    for seed in [0, 7, u64::MAX] {
        let mut network = Network::<E>::new(3).unwrap();
        // The default seed is 0.
        if seed > 0 {
            network.set_seed(seed);
        }
        add_layers(&mut network);
        let drawn = network.parameters().to_vec();
        assert!(drawn.iter().all(|&value| value != E::ZERO));
        network.initialize(TORCH, seed).unwrap();
        assert!(network.parameters() == drawn);
        assert!(network.gradients().iter().all(|&value| value == E::ZERO));
    }
}

#[test]
fn layers_start_as_the_whole_network_initialized_with_the_seed() {
    layers_start_as_initialized::<f32>();
    layers_start_as_initialized::<f64>();
}

#[test]
fn layers_start_from_the_seed_that_was_set_last() {
    let start = |seeds: [Option<u64>; 2]| {
        let mut network = Network::<f32>::new(3).unwrap();
        for seed in seeds {
            if let Some(seed) = seed {
                network.set_seed(seed);
            }
            network.add_rnn(3, Activation::Tanh).unwrap();
        }
        network.parameters().to_vec()
    };
    let [once, again, other] = [[None, None], [None, Some(0)], [None, Some(1)]].map(start);
    let count = once.len() / 2;
    let (first, second) = once.split_at(count);
    assert_ne!(first, second);
    // A seed draws nothing anew, and starts the numbers again.
    for two in [&again, &other] {
        assert_eq!(two[..count], *first);
    }
    assert_eq!(again[count..], *first);
    assert_ne!(other[count..], *first);
    assert_ne!(other[count..], *second);

    // Nor has a layer that was refused drawn, nor dropout, nor has `initialize` to do with it.
    let mut network = Network::<f32>::new(3).unwrap();
    network.add_rnn(3, Activation::Tanh).unwrap();
    network.add_rnn(0, Activation::Tanh).unwrap_err();
    network.add_rnn(usize::MAX, Activation::Tanh).unwrap_err();
    network.add_dropout(2.0).unwrap_err();
    network.add_dropout(0.5).unwrap();
    network
        .initialize(Initializer::Constant { value: 0.0 }, 5)
        .unwrap();
    assert!(network.parameters().iter().all(|&value| value == 0.0));
    network.add_rnn(3, Activation::Tanh).unwrap();
    assert_eq!(network.parameters()[..count], vec![0.0; count]);
    assert_eq!(network.parameters()[count..], *second);
}

/// PyTorch's layers: the recurrent one within 1 / sqrt(units), the dense one within 1 / sqrt(inputs), biases too.
#[test]
fn the_start_has_the_bounds_of_pytorch() {
    let mut network = Network::<f64>::new(10).unwrap();
    network.add_rnn(100, Activation::Tanh).unwrap();
    network.add_dense(400, Activation::Linear).unwrap();
    let largest = |values: &[f64]| {
        values
            .iter()
            .fold(0.0_f64, |most, value| most.max(value.abs()))
    };
    for tensor in network.layers().flat_map(|layer| layer.tensors()) {
        let largest = largest(&network.parameters()[tensor.parameters.clone()]);
        assert!(
            (0.09..=0.1).contains(&largest),
            "{}: {largest}",
            tensor.name()
        );
    }
}

#[test]
fn layers_tell_what_they_are_and_where_their_numbers_lie() {
    let mut network = Network::<f32>::new(3).unwrap();
    assert_eq!((network.layer_count(), network.layers().len()), (0, 0));
    add_layers(&mut network);
    let loaded = Network::from_bytes(&network.to_bytes().unwrap(), "x").unwrap();
    let (relu, linear) = (Activation::Relu, Activation::Linear);
    for network in [network, loaded] {
        assert_eq!(network.layer_count(), 5);
        let mut found = Vec::new();
        for layer in network.layers() {
            let (sizes, state) = ((layer.inputs, layer.outputs), layer.state.clone());
            let tensors = layer.tensors();
            assert_eq!(tensors.len(), layer.tensors().count());
            let tensors = tensors.map(|tensor| {
                assert_eq!(tensor.parameters.len(), tensor.rows * tensor.columns);
                (
                    tensor.name(),
                    tensor.rows,
                    tensor.columns,
                    tensor.parameters.start,
                )
            });
            let tensors: Vec<_> = tensors.collect();
            found.push((layer.kind, sizes, layer.parameters.clone(), state, tensors));
        }
        let activation = Activation::Tanh;
        let expected = vec![
            (
                LayerKind::Rnn { activation },
                (3, 5),
                0..45,
                0..5,
                vec![("W_x", 3, 5, 0), ("W_h", 5, 5, 15), ("b", 1, 5, 40)],
            ),
            (
                LayerKind::Dropout { rate: 0.25 },
                (5, 5),
                45..45,
                5..5,
                vec![],
            ),
            (
                LayerKind::Dense {
                    activation: Activation::Sigmoid,
                },
                (5, 4),
                45..69,
                5..5,
                vec![("W", 5, 4, 45), ("b", 1, 4, 65)],
            ),
            (
                LayerKind::Rnn { activation: relu },
                (4, 2),
                69..83,
                5..7,
                vec![("W_x", 4, 2, 69), ("W_h", 2, 2, 77), ("b", 1, 2, 81)],
            ),
            (
                LayerKind::Dense { activation: linear },
                (2, 6),
                83..101,
                7..7,
                vec![("W", 2, 6, 83), ("b", 1, 6, 95)],
            ),
        ];
        assert_eq!(found, expected);
        assert_eq!((network.parameter_count(), network.state_size()), (101, 7));
    }
}

/// Trains a little, with dropout, accumulates gradients beyond that, adds a layer and gives all the bits that there are.
fn future<E: Element>(mut network: Network<E>) -> Vec<u64> {
    let x: Vec<E> = (0..24).map(|i| E::from_f64(f64::from(i).sin())).collect();
    let mut y = vec![E::ZERO; 2 * 6];
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    for pass in 0..3 {
        let batch = Batch {
            x: &x,
            batch: 2,
            steps: 4,
            lengths: None,
        };
        network.forward(batch, None, Some(&mut y), None).unwrap();
        network.backward(Some(&y), None, None, None).unwrap();
        if pass < 2 {
            network.update(&mut optimizer).unwrap();
        }
    }
    network.add_dense(3, Activation::Linear).unwrap();
    let values = [&y, network.parameters(), network.gradients()].concat();
    values
        .iter()
        .map(|value| value.to_f64().to_bits())
        .collect()
}

fn copies_go_on_as_their_network<E: Element>() {
    let mut network = Network::<E>::new(3).unwrap();
    network.set_seed(3);
    add_layers(&mut network);
    let mean = [0.5, 0.0, -1.0].map(E::from_f64).to_vec();
    let standardization = Standardization::new(mean, vec![E::from_f64(2.0); 3]).unwrap();
    network.set_standardization(Some(standardization)).unwrap();
    network.set_threads(2).unwrap();
    network.set_parallel_threshold(0);
    let x = [E::ONE; 6];
    let batch = Batch {
        x: &x,
        batch: 1,
        steps: 2,
        lengths: None,
    };
    network.forward(batch, None, None, None).unwrap();
    network
        .backward(Some(&[E::ONE; 6]), None, None, None)
        .unwrap();

    let mut copy = network.try_clone().unwrap();
    assert_eq!((copy.threads(), copy.seed()), (2, 3));
    let error = copy.backward(None, None, None, None).unwrap_err();
    assert!(matches!(error, Error::CallOrder { .. }), "{error}");
    assert!(copy.to_bytes().unwrap() == network.to_bytes().unwrap());
    // What happens to one does not happen to the other.
    let (parameters, mut other) = (network.parameters().to_vec(), network.try_clone().unwrap());
    other.initialize(TORCH, 9).unwrap();
    other.clear_gradients();
    assert!(copy.parameters() == parameters && network.parameters() == parameters);
    assert!(copy.gradients() == network.gradients());
    // The forward pass is still the network's own.
    assert_eq!(network.forward_shape(), Some((1, 2)));
    assert_eq!(copy.forward_shape(), None);
    let copied = future(copy);
    assert_eq!(copied, future(network));
}

#[test]
fn a_copy_goes_on_as_its_network_would() {
    copies_go_on_as_their_network::<f32>();
    copies_go_on_as_their_network::<f64>();
}

#[test]
fn backward_says_why_there_is_nothing_to_go_back_through() {
    let mut network = Network::<f64>::new(2).unwrap();
    network.add_dense(1, Activation::Linear).unwrap();
    let expect = |network: &mut Network<f64>, reason: &str| {
        let error = network.backward(None, None, None, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("backward out of order: {reason}")
        );
    };
    expect(&mut network, "there has been no forward pass");
    network.forward(batch(), None, None, None).unwrap();
    network.set_parameters(&[1.0, 2.0, 3.0]).unwrap();
    expect(
        &mut network,
        "the network has changed since the forward pass",
    );
    let targets = Targets::Values {
        size: 1,
        per_step: false,
        values: vec![1.0],
    };
    let dataset = Dataset::new(2, X.to_vec(), &[STEPS], targets).unwrap();
    let mut optimizer = Optimizer::new(Rule::SGD, 0.1).unwrap();
    let options = FitOptions {
        epochs: 1,
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    fit(&mut network, &dataset, &mut optimizer, &options, |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    expect(&mut network, "fit keeps no forward pass to go back through");
}

#[test]
fn initializers_out_of_range_are_errors_without_parameters_too() {
    let mut network = Network::<f64>::new(2).unwrap();
    let error = network.initialize(Initializer::Gaussian { sigma: -1.0 }, 0);
    assert!(matches!(
        error,
        Err(Error::OutOfRange { name: "sigma", .. })
    ));
}

#[test]
fn a_constant_network_with_adagrad_does_what_its_formulas_say() {
    const WEIGHT: f64 = 0.125;
    const UNITS: usize = 3;
    let mut network = Network::<f64>::new(2).unwrap();
    network.add_rnn(UNITS, Activation::Tanh).unwrap();
    network.add_dense(1, Activation::Linear).unwrap();
    network
        .initialize(Initializer::Constant { value: WEIGHT }, 0)
        .unwrap();

    // All units are alike, so one number is the state.
    let mut h = 0.0_f64;
    for x in X.chunks(2) {
        h = (WEIGHT * (1.0 + x[0] + x[1] + UNITS as f64 * h)).tanh();
    }
    let expected = WEIGHT * (1.0 + UNITS as f64 * h);
    let mut y = [0.0];
    network.forward(batch(), None, Some(&mut y), None).unwrap();
    assert!((y[0] - expected).abs() < 1e-15);

    // With dy = 1, the gradient of a weight of the dense layer is h and that of its bias is 1.
    network.backward(Some(&[1.0]), None, None, None).unwrap();
    let gradients = network.gradients().to_vec();
    let (recurrent, dense) = gradients.split_at((2 + UNITS + 1) * UNITS);
    for gradient in &dense[..UNITS] {
        assert!((gradient - h).abs() < 1e-15);
    }
    assert_eq!(dense[UNITS], 1.0);
    for alike in recurrent.chunks(UNITS) {
        assert!(alike.iter().all(|gradient| *gradient == alike[0]));
    }
    let report = check_gradients(&network, batch(), None, |outputs| {
        outputs.dy[0] = 1.0;
        Ok(outputs.y[0])
    });
    assert!(report.unwrap().relative_error < 1e-7);

    // The first step of AdaGrad divides a gradient by itself; the second one divides it by the norm of both.
    let rate = 0.01;
    let mut adagrad = Optimizer::new(Rule::ADAGRAD, rate).unwrap();
    network.update(&mut adagrad).unwrap();
    for (parameter, gradient) in network.parameters().iter().zip(&gradients) {
        assert!((parameter - (WEIGHT - rate * gradient.signum())).abs() < 1e-9);
    }
    let before = network.parameters().to_vec();
    network.forward(batch(), None, Some(&mut y), None).unwrap();
    assert!(y[0] < expected);
    network.backward(Some(&[1.0]), None, None, None).unwrap();
    let second = network.gradients().to_vec();
    network.update(&mut adagrad).unwrap();
    for (index, parameter) in network.parameters().iter().enumerate() {
        let step = rate * second[index] / gradients[index].hypot(second[index]);
        assert!((parameter - (before[index] - step)).abs() < 1e-9);
    }
}

#[test]
fn dropout_drops_its_share_scales_the_rest_and_is_off_outside_training() {
    const RATE: f64 = 0.25;
    let (sequences, size) = (50, 40);
    let mut network = Network::<f64>::new(size).unwrap();
    network.add_dropout(RATE).unwrap();
    network.set_output(Output::All).unwrap();
    let x = vec![1.5; sequences * STEPS * size];
    let batch = Batch {
        x: &x,
        batch: sequences,
        steps: STEPS,
        lengths: None,
    };
    let run = |network: &mut Network<f64>| {
        let mut y = vec![0.0; x.len()];
        network.forward(batch, None, Some(&mut y), None).unwrap();
        y
    };
    network.set_seed(7);
    let first = run(&mut network);
    let kept = 1.5 * (1.0 / (1.0 - RATE));
    assert!(first.iter().all(|&value| value == 0.0 || value == kept));
    let dropped = first.iter().filter(|&&value| value == 0.0).count() as f64;
    // 8000 draws: five standard deviations are 0.024.
    assert!((dropped / first.len() as f64 - RATE).abs() < 0.025);
    assert!(first.chunks(size).any(|row| row != &first[..size]));

    // What was dropped takes no gradient, the rest takes its factor.
    let mut dx = vec![9.0; x.len()];
    let dy = vec![2.0; x.len()];
    network
        .backward(Some(&dy), None, Some(&mut dx), None)
        .unwrap();
    for (dx, y) in dx.iter().zip(&first) {
        assert_eq!(
            *dx,
            if *y == 0.0 {
                0.0
            } else {
                2.0 * (1.0 / (1.0 - RATE))
            }
        );
    }

    let mut again = vec![9.0; x.len()];
    network.set_seed(8);
    network
        .backward(Some(&dy), None, Some(&mut again), None)
        .unwrap();
    assert!(again == dx, "a seed is for the passes to come");
    network.set_seed(7);
    run(&mut network);

    assert_ne!(run(&mut network), first, "every pass drops others");
    network.set_seed(7);
    assert_eq!(run(&mut network), first, "a seed repeats");
    let mut y = vec![0.0; x.len()];
    network.predict(batch, None, Some(&mut y), None).unwrap();
    assert_eq!(y, x);
}
