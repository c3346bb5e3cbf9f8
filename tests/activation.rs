//! Every [`Activation`]: values at the borders, derivatives, parameters that are refused, and networks of them.

mod common;

use elman::gradient_check::{Outputs, check_gradients};
use elman::{
    Activation, Batch, Element, Error, ErrorKind, LayerKind, Network, Output, Result, Session, Tier,
};

const INF: f64 = f64::INFINITY;

fn apply<E: Element>(activation: Activation, tier: Tier, x: f64) -> f64 {
    let mut value = [E::from_f64(x)];
    activation.apply(tier, &mut value);
    value[0].to_f64()
}

/// Functions with parameters beside the default ones.
fn others() -> [Activation; 9] {
    [
        Activation::HardSigmoid {
            alpha: 1.0 / 6.0,
            beta: 0.5,
        },
        Activation::HardSigmoid {
            alpha: -0.75,
            beta: 0.25,
        },
        Activation::LeakyRelu { alpha: 0.0 },
        Activation::LeakyRelu { alpha: 1.5 },
        Activation::Elu { alpha: 0.3 },
        Activation::Affine {
            alpha: -2.5,
            beta: 0.125,
        },
        Activation::ScaledTanh {
            alpha: 1.7159,
            beta: 2.0 / 3.0,
        },
        Activation::ScaledTanh {
            alpha: -0.5,
            beta: -1.5,
        },
        Activation::ThresholdedRelu { alpha: 0.0 },
    ]
}

fn every() -> impl Iterator<Item = Activation> {
    Activation::ALL.into_iter().chain(others())
}

/// The function as its documentation has it.
fn formula(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Linear => x,
        Activation::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        Activation::HardTanh => x.clamp(-1.0, 1.0),
        Activation::LeakyRelu { alpha } => x.max(0.0) + alpha * x.min(0.0),
        Activation::Elu { alpha } => x.max(0.0) + alpha * x.min(0.0).exp_m1(),
        Activation::Softsign => x / (1.0 + x.abs()),
        Activation::Softplus => x.exp().ln_1p(),
        Activation::Affine { alpha, beta } => alpha * x + beta,
        Activation::ScaledTanh { alpha, beta } => alpha * (beta * x).tanh(),
        Activation::ThresholdedRelu { alpha } if x > alpha => x,
        Activation::ThresholdedRelu { .. } => 0.0,
    }
}

/// Where the engine's floating-point mode takes denormal numbers for 0, so does what is no copy.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn a_denormal_number_below_the_threshold_is_zero() {
    for tier in common::tiers() {
        for alpha in [0.0, 1.0] {
            let activation = Activation::ThresholdedRelu { alpha };
            for (sign, zero) in [(1.0, 0.0_f64), (-1.0, -0.0)] {
                let values = [
                    apply::<f32>(activation, tier, sign * 1e-40),
                    apply::<f64>(activation, tier, sign * 1e-310),
                ];
                assert_eq!(values.map(f64::to_bits), [zero.to_bits(); 2], "{tier:?}");
            }
        }
    }
}

#[test]
fn values_are_those_of_the_formulas() {
    for tier in common::tiers() {
        for activation in every() {
            for x in (-400..400).map(|x| f64::from(x) / 64.0) {
                let expected = formula(activation, x);
                let scale = expected.abs().max(f64::from(f32::MIN_POSITIVE));
                let single = apply::<f32>(activation, tier, x);
                // Where a sum cancels, the roundings of the parameters count in relation to the terms.
                let terms = match activation {
                    Activation::HardSigmoid { .. } | Activation::Affine { .. } => 20.0,
                    _ => scale,
                };
                assert!(
                    (single - expected).abs() <= 4e-7 * terms,
                    "{activation:?} of {x} is {single}, expected {expected}"
                );
                let double = apply::<f64>(activation, tier, x);
                assert!(
                    (double - expected).abs() <= 1e-15 * terms,
                    "{activation:?} of {x} is {double}, expected {expected}"
                );
            }
        }
    }
}

/// Equal bits, or both NaN.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

fn borders<E: Element>() {
    let hard = Activation::HARD_SIGMOID;
    let elu = Activation::Elu { alpha: 0.75 };
    let scaled = Activation::ScaledTanh {
        alpha: -1.5,
        beta: 0.5,
    };
    let flat = Activation::ScaledTanh {
        alpha: 2.0,
        beta: 0.0,
    };
    let leaky = Activation::LeakyRelu { alpha: 0.25 };
    let affine = Activation::Affine {
        alpha: -2.0,
        beta: 0.5,
    };
    let thresholded = Activation::THRESHOLDED_RELU;
    let huge = f64::from(f32::MAX);
    let table = [
        (hard, vec![(-3.0, 0.0), (3.0, 1.0)]),
        (hard, vec![(0.0, 0.5), (-INF, 0.0), (INF, 1.0), (huge, 1.0)]),
        (
            Activation::HardTanh,
            vec![(1.0, 1.0), (-1.0, -1.0), (1.5, 1.0)],
        ),
        (
            Activation::HardTanh,
            vec![(-1.5, -1.0), (INF, 1.0), (-INF, -1.0)],
        ),
        (
            Activation::HardTanh,
            vec![(-0.0, -0.0), (0.0, 0.0), (0.5, 0.5)],
        ),
        (
            leaky,
            vec![(-4.0, -1.0), (4.0, 4.0), (0.0, 0.0), (-0.0, -0.0)],
        ),
        (leaky, vec![(INF, INF), (-INF, -INF)]),
        (elu, vec![(0.0, 0.0), (-0.0, -0.0), (3.0, 3.0), (INF, INF)]),
        (elu, vec![(-INF, -0.75), (-huge, -0.75), (-100.0, -0.75)]),
        (
            affine,
            vec![(0.25, 0.0), (INF, -INF), (-INF, INF), (1.0, -1.5)],
        ),
        (
            scaled,
            vec![(0.0, -0.0), (-0.0, 0.0), (INF, -1.5), (-INF, 1.5)],
        ),
        (scaled, vec![(huge, -1.5), (-huge, 1.5), (100.0, -1.5)]),
        (
            flat,
            vec![(1.0, 0.0), (0.0, 0.0), (huge, 0.0), (-1.0, -0.0)],
        ),
        (
            thresholded,
            vec![(1.0, 0.0), (1.5, 1.5), (-3.0, 0.0), (0.0, 0.0)],
        ),
        (thresholded, vec![(-INF, 0.0), (INF, INF), (0.5, 0.0)]),
    ];
    for tier in common::tiers() {
        for (activation, values) in &table {
            for &(x, expected) in values {
                let value = apply::<E>(*activation, tier, x);
                assert!(
                    same(value, expected),
                    "{activation:?} of {x} is {value}, expected {expected}"
                );
            }
        }
        for activation in every() {
            let value = apply::<E>(activation, tier, f64::NAN);
            assert!(value.is_nan(), "{activation:?} of NaN is {value}");
        }
    }
}

#[test]
fn values_at_the_borders_and_of_nan() {
    borders::<f32>();
    borders::<f64>();
}

#[test]
fn derivatives_follow_from_the_values() {
    const STEP: f64 = 1.0 / 1024.0 / 1024.0;
    for tier in common::tiers() {
        for activation in every() {
            // None of them at a border.
            for x in (-30..30).map(|x| f64::from(x) / 8.0 + 0.03) {
                let at = |x| apply::<f64>(activation, tier, x);
                let slope = (at(x + STEP) - at(x - STEP)) / (2.0 * STEP);
                let derivative = activation.derivative(at(x));
                assert!(
                    (derivative - slope).abs() < 1e-8,
                    "{activation:?} at {x}: {derivative}, expected {slope}"
                );
                let single = activation.derivative(apply::<f32>(activation, tier, x) as f32);
                assert!(
                    (f64::from(single) - slope).abs() < 1e-5,
                    "{activation:?} at {x}"
                );
            }
        }
    }
}

#[test]
fn derivatives_at_the_borders() {
    let of = |activation: Activation, value: f64| {
        assert_eq!(
            f64::from(activation.derivative(value as f32)),
            activation.derivative(value)
        );
        activation.derivative(value)
    };
    for border in [0.0, 1.0] {
        assert_eq!(of(Activation::HARD_SIGMOID, border), 0.0);
    }
    for border in [-1.0, 1.0] {
        assert_eq!(of(Activation::HardTanh, border), 0.0);
        assert_eq!(of(Activation::Softsign, border), 0.0);
    }
    assert_eq!(of(Activation::LeakyRelu { alpha: 0.25 }, 0.0), 0.25);
    assert_eq!(of(Activation::Elu { alpha: 0.75 }, 0.0), 0.75);
    assert_eq!(of(Activation::Elu { alpha: 0.75 }, -0.75), 0.0);
    assert_eq!(of(Activation::THRESHOLDED_RELU, 0.0), 0.0);
    assert_eq!(of(Activation::Softplus, 0.0), 0.0);
    assert_eq!(of(Activation::Softplus, INF), 1.0);
    // No digits are lost where softplus is small.
    assert_eq!(Activation::Softplus.derivative(1e-30), 1e-30);
    let scaled = Activation::ScaledTanh {
        alpha: -1.5,
        beta: 0.5,
    };
    assert_eq!(
        [0.0, -1.5, 1.5].map(|value| of(scaled, value)),
        [-0.75, 0.0, 0.0]
    );
}

#[test]
fn parameters_whose_derivative_does_not_follow_from_the_value_are_refused() {
    let (huge, tiny) = (1e39, 1e-39);
    let pair = |alpha, beta| {
        [
            (Activation::HardSigmoid { alpha, beta }, "beta"),
            (Activation::Affine { alpha, beta }, "beta"),
            (Activation::ScaledTanh { alpha, beta }, "beta"),
        ]
    };
    let single = |alpha| {
        [
            (Activation::LeakyRelu { alpha }, "alpha"),
            (Activation::Elu { alpha }, "alpha"),
            (Activation::ThresholdedRelu { alpha }, "alpha"),
        ]
    };
    let mut wrong = Vec::new();
    for number in [f64::NAN, INF, -INF, huge, -huge] {
        wrong.extend(pair(1.0, number));
        wrong.extend(pair(number, 1.0).map(|(activation, _)| (activation, "alpha")));
        wrong.extend(single(number));
    }
    wrong.extend(single(-0.01));
    for alpha in [0.0, tiny, -tiny] {
        wrong.push((Activation::ScaledTanh { alpha, beta: 1.0 }, "alpha"));
    }
    for (activation, argument) in wrong {
        let is_named = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::OutOfRange);
            let text = error.to_string();
            assert!(text.starts_with(&format!("{argument} is ")), "{text}");
        };
        is_named(activation.check().unwrap_err());
        let mut network = Network::<f32>::new(2).unwrap();
        network.add_dense(1, Activation::Linear).unwrap();
        is_named(network.add_dense(3, activation).unwrap_err());
        is_named(network.add_rnn(3, activation).unwrap_err());
        is_named(network.add_activation(activation).unwrap_err());
        assert_eq!((network.layer_count(), network.parameter_count()), (1, 3));
    }
    for activation in every() {
        activation.check().unwrap();
    }
}

const INPUT: usize = 3;
const UNITS: usize = 37;
const LENGTHS: [usize; 5] = [70, 3, 1, 66, 70];
const STEPS: usize = 70;

fn numbers<E: Element>(count: usize, seed: u64) -> Vec<E> {
    let mut rng = elman::init::Rng::new(seed);
    (0..count).map(|_| E::from_f64(rng.normal())).collect()
}

fn batch<E: Element>(x: &[E]) -> Batch<'_, E> {
    Batch {
        x,
        batch: LENGTHS.len(),
        steps: STEPS,
        lengths: Some(&LENGTHS),
    }
}

/// Outputs, final states, and the gradients of inputs, initial states and parameters.
fn forward_backward<E: Element>(network: &mut Network<E>) -> [Vec<E>; 5] {
    let rows = match network.output() {
        Output::All => LENGTHS.len() * STEPS,
        Output::Last => LENGTHS.len(),
    };
    let x = numbers(LENGTHS.len() * STEPS * INPUT, 1);
    let states = LENGTHS.len() * network.state_size();
    let state_in = numbers(states, 2);
    let dy = numbers(rows * network.output_size(), 3);
    let dstate = numbers(states, 4);
    let mut y = vec![E::ZERO; dy.len()];
    let (mut state, mut dx, mut dstate_in) = (dstate.clone(), x.clone(), dstate.clone());
    network
        .forward(batch(&x), Some(&state_in), Some(&mut y), Some(&mut state))
        .unwrap();
    let mut predicted = vec![E::ZERO; dy.len()];
    network
        .predict(batch(&x), Some(&state_in), Some(&mut predicted), None)
        .unwrap();
    assert!(y == predicted);
    network
        .backward(
            Some(&dy),
            Some(&dstate),
            Some(&mut dx),
            Some(&mut dstate_in),
        )
        .unwrap();
    [y, state, dx, dstate_in, network.gradients().to_vec()]
}

/// Below, between and behind other layers.
fn layer_is_fused<E: Element>(tier: Tier, activation: Activation, output: Output, threads: usize) {
    let make = |fused: bool| {
        let mut network = Network::<E>::with_tier(INPUT, tier).unwrap();
        let dense = |network: &mut Network<E>, units| {
            if fused {
                network.add_dense(units, activation).unwrap();
            } else {
                network.add_dense(units, Activation::Linear).unwrap();
                network.add_activation(activation).unwrap();
            }
        };
        dense(&mut network, UNITS);
        network.add_rnn(5, Activation::Tanh).unwrap();
        dense(&mut network, 4);
        dense(&mut network, 2);
        network.set_output(output).unwrap();
        network.set_threads(threads).unwrap();
        network.set_parallel_threshold(0);
        network
    };
    let (expected, actual) = (
        forward_backward(&mut make(true)),
        forward_backward(&mut make(false)),
    );
    for (part, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
        let pairs = expected.iter().zip(actual);
        let equal = pairs.map(|(&a, &b)| same(a.to_f64(), b.to_f64()) || a == b);
        assert!(
            equal.fold(true, |all, equal| all & equal) && expected.len() == actual.len(),
            "{activation:?}, {output:?}, {tier:?}, {threads} threads, {}: part {part}",
            E::NAME
        );
    }
}

#[test]
fn the_layer_gives_the_bits_of_a_layer_that_has_the_activation_itself() {
    for tier in common::tiers() {
        for activation in every() {
            for output in [Output::Last, Output::All] {
                for threads in [1, 2] {
                    layer_is_fused::<f32>(tier, activation, output, threads);
                    layer_is_fused::<f64>(tier, activation, output, threads);
                }
            }
        }
    }
}

#[test]
fn the_layer_alone_is_the_function_and_its_derivative() {
    for tier in common::tiers() {
        for activation in every() {
            let mut network = Network::<f32>::with_tier(INPUT, tier).unwrap();
            network.add_activation(activation).unwrap();
            network.set_output(Output::All).unwrap();
            let x: Vec<f32> = numbers(STEPS * INPUT, 5);
            let batch = Batch {
                x: &x,
                batch: 1,
                steps: STEPS,
                lengths: None,
            };
            let (mut y, mut dx) = (x.clone(), x.clone());
            network.forward(batch, None, Some(&mut y), None).unwrap();
            let mut expected = x.clone();
            activation.apply(tier, &mut expected);
            assert!(y == expected);
            let dy = numbers::<f32>(x.len(), 6);
            network
                .backward(Some(&dy), None, Some(&mut dx), None)
                .unwrap();
            for ((&dx, &dy), &y) in dx.iter().zip(&dy).zip(&y) {
                let expected = dy * activation.derivative(y);
                assert!(
                    (dx - expected).abs() <= 2e-6 * dy.abs().max(1e-3),
                    "{activation:?}"
                );
            }
            let mut session = Session::new(&network).unwrap();
            let mut streamed = vec![0.0; x.len()];
            for (x, y) in x.chunks(INPUT).zip(streamed.chunks_mut(INPUT)) {
                session.step(x, y).unwrap();
            }
            assert!(streamed == y);
        }
    }
}

#[test]
fn the_gradients_of_every_function_are_right_in_every_layer() {
    fn loss(outputs: Outputs<'_>) -> Result<f64> {
        let mut loss = 0.0;
        for (index, (y, dy)) in outputs.y.iter().zip(outputs.dy).enumerate() {
            let weight = (index % 7) as f64 / 7.0 - 0.4;
            loss += weight * y + 0.25 * y * y;
            *dy = weight + 0.5 * y;
        }
        outputs.dstate.fill(0.0);
        Ok(loss)
    }
    for activation in every() {
        let mut network = Network::<f64>::new(2).unwrap();
        network.add_activation(activation).unwrap();
        network.add_rnn(3, activation).unwrap();
        network.add_activation(activation).unwrap();
        network.add_dense(3, activation).unwrap();
        network.add_activation(activation).unwrap();
        network.set_output(Output::All).unwrap();
        let x = numbers(2 * 4 * 2, 7);
        let batch = Batch {
            x: &x,
            batch: 2,
            steps: 4,
            lengths: Some(&[4, 2]),
        };
        let report = check_gradients(&network, batch, None, loss).unwrap();
        assert!(report.relative_error < 1e-6, "{activation:?}: {report}");
    }
}

#[test]
fn networks_of_every_function_come_back_from_files() {
    for activation in every() {
        let mut network = Network::<f64>::new(2).unwrap();
        network.add_rnn(2, activation).unwrap();
        network.add_activation(activation).unwrap();
        network.add_dense(1, activation).unwrap();
        let saved = network.to_bytes().unwrap();
        let loaded = Network::<f64>::from_bytes(&saved, "saved").unwrap();
        let kinds: Vec<_> = loaded.layers().map(|layer| layer.kind).collect();
        assert_eq!(
            kinds,
            [
                LayerKind::Rnn { activation },
                LayerKind::Activation { activation },
                LayerKind::Dense { activation },
            ]
        );
        assert!(loaded.to_bytes().unwrap() == saved);
        assert_eq!(loaded.parameters(), network.parameters());
    }
}

/// What a file says of activations: the names that it has always had, and the parameters of the others.
#[test]
fn files_name_activations_and_their_parameters() {
    let contents = |activation| {
        let mut network = Network::<f32>::new(1).unwrap();
        network.add_activation(activation).unwrap();
        network.to_bytes().unwrap()
    };
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
    let replaced = |text: &str, by: &str| {
        assert_eq!(text.len(), by.len());
        let mut bytes = contents(Activation::LeakyRelu { alpha: 0.25 });
        let at = bytes
            .windows(text.len())
            .position(|at| at == text.as_bytes());
        bytes[at.unwrap()..][..text.len()].copy_from_slice(by.as_bytes());
        Network::<f32>::from_bytes(&bytes, "saved").map(|_| ())
    };
    for (activation, text) in [
        (Activation::Tanh, r#"\"activation\":\"tanh\""#),
        (Activation::HardTanh, r#"\"activation\":\"hard_tanh\""#),
        (
            Activation::HARD_SIGMOID,
            r#"\"activation\":{\"hard_sigmoid\":{\"alpha\":0.2,\"beta\":0.5}}"#,
        ),
    ] {
        assert!(has(&contents(activation), text), "{activation:?}");
    }
    replaced("0.25", "0.75").unwrap();
    let message = replaced("0.25", "-0.5").unwrap_err().to_string();
    assert!(message.contains("layers[0]: alpha is -0.5"), "{message}");
    let message = replaced("alpha", "alpho").unwrap_err().to_string();
    assert!(message.contains("alpho"), "{message}");
}
