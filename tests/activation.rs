//! Every [`Activation`]: values at the borders, derivatives, parameters that are refused, and networks of them.

mod common;

use elman::{Activation, Element, Error, ErrorKind, Network};

const INF: f64 = f64::INFINITY;

fn apply<E: Element>(activation: Activation, tier: elman::Tier, x: f64) -> f64 {
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
        assert_eq!((network.layer_count(), network.parameter_count()), (1, 3));
    }
    for activation in every() {
        activation.check().unwrap();
    }
}
