//! Networks whose numbers can be told without the engine: a constant one, and dropout.

use elman::gradient_check::check_gradients;
use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Error, Network, Output};
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
