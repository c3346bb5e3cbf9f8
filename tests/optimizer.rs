//! The update rules against the trajectories of `torch.optim` and of a small NumPy program.

use elman::optimizer::{Optimizer, Rule, clip_by_norm, clip_by_value};
use elman::{Element, Error};
use serde_json::Value;

fn read(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().unwrap();
    items.iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The settings of a trajectory as a rule and its learning rate.
fn rule_of(name: &str, settings: &Value) -> (Rule, f64) {
    let number = |key: &str| settings[key].as_f64().unwrap_or(0.0);
    let pair = |key: &str| match numbers(&settings[key])[..] {
        [first, second] => (first, second),
        _ => panic!("{name}: {key} is no pair"),
    };
    let rule = match name {
        "sgd" | "sgd_momentum" | "sgd_nesterov" => Rule::Sgd {
            momentum: number("momentum"),
            nesterov: settings["nesterov"].as_bool().unwrap_or(false),
            weight_decay: number("weight_decay"),
        },
        "adagrad" => Rule::AdaGrad {
            epsilon: number("eps"),
        },
        "rmsprop" => Rule::RmsProp {
            alpha: number("alpha"),
            epsilon: number("eps"),
            momentum: number("momentum"),
        },
        "adam" => Rule::Adam {
            beta1: pair("betas").0,
            beta2: pair("betas").1,
            epsilon: number("eps"),
            weight_decay: number("weight_decay"),
        },
        "adamw" => Rule::AdamW {
            beta1: pair("betas").0,
            beta2: pair("betas").1,
            epsilon: number("eps"),
            weight_decay: number("weight_decay"),
        },
        "rprop" => Rule::Rprop {
            eta_minus: pair("etas").0,
            eta_plus: pair("etas").1,
            min_step: pair("step_sizes").0,
            max_step: pair("step_sizes").1,
        },
        _ => panic!("{name} is unknown"),
    };
    (rule, number("lr"))
}

/// The gradient that the reference defines for parameter `i` before update `k`.
fn reference_gradient(p: f64, i: usize, k: usize) -> f64 {
    let (i, k) = (i as f64, k as f64);
    2.0 * (p - 0.3 * i) * (1.0 + 0.1 * i) + (1.7 * k + i).sin()
}

fn follow<E: Element>(rule: Rule, rate: f64, start: &[f64], updates: usize) -> Vec<f64> {
    let mut optimizer = Optimizer::<E>::new(rule, rate).unwrap();
    let mut parameters: Vec<E> = start.iter().map(|&p| E::from_f64(p)).collect();
    for k in 0..updates {
        let gradients: Vec<E> = (parameters.iter().enumerate())
            .map(|(i, p)| E::from_f64(reference_gradient(p.to_f64(), i, k)))
            .collect();
        optimizer.step(&mut parameters, &gradients).unwrap();
    }
    parameters.iter().map(|p| p.to_f64()).collect()
}

#[test]
fn every_rule_follows_torch() {
    let reference = read("optimizer_reference.json");
    let start = numbers(&reference["start"]);
    let optimizers = reference["optimizers"].as_object().unwrap();
    assert_eq!(optimizers.len(), 8);
    for (name, entry) in optimizers {
        let (rule, rate) = rule_of(name, &entry["settings"]);
        for (updates, expected) in entry["after"].as_object().unwrap() {
            let updates = updates.parse().unwrap();
            let expected = numbers(expected);
            let double = follow::<f64>(rule, rate, &start, updates);
            let single = follow::<f32>(rule, rate, &start, updates);
            for i in 0..expected.len() {
                let scale = expected[i].abs().max(1.0);
                let what = format!("{name}, parameter {i} after {updates} updates");
                assert!((double[i] - expected[i]).abs() <= 1e-9, "{what}");
                assert!((single[i] - expected[i]).abs() <= 1e-5 * scale, "{what}");
            }
        }
    }
}

/// Settings that the trajectories leave out, against two updates worked out by hand: p = 1 and gradients 0.5, -0.25.
#[test]
fn the_other_settings_follow_their_formulas() {
    let after_two = |rule, rate| {
        let mut optimizer = Optimizer::<f64>::new(rule, rate).unwrap();
        let mut parameter = [1.0];
        optimizer.step(&mut parameter, &[0.5]).unwrap();
        optimizer.step(&mut parameter, &[-0.25]).unwrap();
        parameter[0]
    };
    let near = |actual: f64, expected: f64| assert!((actual - expected).abs() < 1e-12, "{actual}");

    let decayed = Rule::Sgd {
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.5,
    };
    // 1 - 0.1 (0.5 + 0.5) = 0.9; 0.9 - 0.1 (-0.25 + 0.45) = 0.88
    near(after_two(decayed, 0.1), 0.88);

    let with_both = Rule::Sgd {
        momentum: 0.5,
        nesterov: true,
        weight_decay: 0.5,
    };
    // v = 1: 1 - 0.1 (1 + 0.5) = 0.85; g = 0.175, v = 0.675: 0.85 - 0.1 (0.175 + 0.3375) = 0.79875
    near(after_two(with_both, 0.1), 0.79875);

    let rmsprop = Rule::RmsProp {
        alpha: 0.5,
        epsilon: 0.25,
        momentum: 0.5,
    };
    let (s1, s2) = (0.125_f64, 0.09375_f64);
    let v1 = 0.5 / (s1.sqrt() + 0.25);
    let v2 = 0.5 * v1 - 0.25 / (s2.sqrt() + 0.25);
    near(after_two(rmsprop, 0.1), 1.0 - 0.1 * v1 - 0.1 * v2);

    let adam = Rule::Adam {
        beta1: 0.0,
        beta2: 0.0,
        epsilon: 1.0,
        weight_decay: 0.5,
    };
    // g = 1: 1 - 0.1 / (1 + 1) = 0.95; g = 0.225: 0.95 - 0.1 0.225 / 1.225
    near(after_two(adam, 0.1), 0.95 - 0.0225 / 1.225);
}

/// Gradient of the mean squared error of the linear network h_t = x_t w_x + h_{t-1} w_h, by the chain rule through
/// all the steps.
fn binary_sum_gradient(x: &[Vec<f64>], targets: &[f64], [w_x, w_h]: [f64; 2]) -> [f64; 2] {
    let mut gradient = [0.0; 2];
    for (sequence, target) in x.iter().zip(targets) {
        let mut states = vec![0.0];
        for (t, x) in sequence.iter().enumerate() {
            states.push(x * w_x + states[t] * w_h);
        }
        let mut into_state = 2.0 * (states[sequence.len()] - target) / targets.len() as f64;
        for (t, x) in sequence.iter().enumerate().rev() {
            gradient[0] += into_state * x;
            gradient[1] += into_state * states[t];
            into_state *= w_h;
        }
    }
    gradient
}

#[test]
fn the_unbounded_sign_rule_learns_to_count_ones() {
    let reference = read("binary_sum.json");
    let x: Vec<Vec<f64>> = (reference["X"].as_array().unwrap().iter())
        .map(numbers)
        .collect();
    let targets = numbers(&reference["targets"]);
    let gradient = |w| binary_sum_gradient(&x, &targets, w);
    for (actual, expected) in (gradient([1.2, 1.2]).iter()).zip(numbers(&reference["grad_at_1_2"]))
    {
        assert!((actual - expected).abs() < 1e-9, "{actual} {expected}");
    }

    let mut optimizer = Optimizer::<f64>::new(Rule::RPROP_UNBOUNDED, 0.001).unwrap();
    let trajectory = reference["rprop_trajectory"].as_array().unwrap();
    let mut w = [-10.0, 7.0];
    for iteration in 0..10_000 {
        if let Some(expected) = trajectory.get(iteration) {
            let expected = numbers(expected);
            assert!((w[0] - expected[0]).abs() < 1e-9, "iteration {iteration}");
            assert!((w[1] - expected[1]).abs() < 1e-9, "iteration {iteration}");
        }
        let gradient = gradient(w);
        optimizer.step(&mut w, &gradient).unwrap();
    }
    for (actual, expected) in w.iter().zip(numbers(&reference["rprop_final"])) {
        assert!((actual - expected).abs() < 1e-9, "{actual} {expected}");
    }

    let sequences = reference["test_sequences"].as_array().unwrap();
    for (sequence, sum) in sequences.iter().zip(numbers(&reference["test_sums"])) {
        let output = (numbers(sequence).iter()).fold(0.0, |h, x| x * w[0] + h * w[1]);
        assert_eq!(output.round(), sum);
    }
}

#[test]
fn rprop_agrees_in_sign_even_where_the_product_of_gradients_underflows() {
    let mut optimizer = Optimizer::<f32>::new(Rule::RPROP, 1.0).unwrap();
    let mut parameter = [0.0];
    optimizer.step(&mut parameter, &[1e-30]).unwrap();
    optimizer.step(&mut parameter, &[1e-30]).unwrap();
    assert_eq!(parameter, [-2.2]);
}

#[test]
fn a_parameter_without_gradient_survives_an_infinite_step() {
    let mut optimizer = Optimizer::<f32>::new(Rule::RPROP_UNBOUNDED, 1.0).unwrap();
    let mut parameter = [0.5];
    for _ in 0..1000 {
        optimizer.step(&mut parameter, &[0.0]).unwrap();
    }
    assert_eq!(parameter, [0.5]);
}

#[test]
fn no_rule_takes_a_broken_gradient_for_a_good_one_or_spreads_it() {
    let rules = [
        Rule::SGD,
        Rule::ADAGRAD,
        Rule::RMSPROP,
        Rule::ADAM,
        Rule::ADAMW,
        Rule::RPROP,
        Rule::RPROP_UNBOUNDED,
    ];
    for rule in rules {
        let mut optimizer = Optimizer::<f32>::new(rule, 0.01).unwrap();
        let mut parameters = [1.0; 19];
        let mut gradients = [0.5; 19];
        gradients[7] = f32::NAN;
        optimizer.step(&mut parameters, &gradients).unwrap();
        for (i, p) in parameters.iter().enumerate() {
            assert_eq!(p.is_nan(), i == 7, "{rule:?}, parameter {i}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let sgd = |momentum, nesterov, weight_decay| Rule::Sgd {
        momentum,
        nesterov,
        weight_decay,
    };
    let adagrad = |epsilon| Rule::AdaGrad { epsilon };
    let rmsprop = |alpha, epsilon, momentum| Rule::RmsProp {
        alpha,
        epsilon,
        momentum,
    };
    let adam = |beta1, beta2, epsilon, weight_decay| Rule::Adam {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    };
    let adamw = |beta1, beta2, epsilon, weight_decay| Rule::AdamW {
        beta1,
        beta2,
        epsilon,
        weight_decay,
    };
    let rprop = |eta_minus, eta_plus, min_step, max_step| Rule::Rprop {
        eta_minus,
        eta_plus,
        min_step,
        max_step,
    };
    let unbounded = |eta_minus, eta_plus| Rule::RpropUnbounded {
        eta_minus,
        eta_plus,
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let refused = [
        ("learning_rate", Rule::SGD, nan),
        ("learning_rate", Rule::ADAM, -0.1),
        ("learning_rate", Rule::RPROP, inf),
        ("learning_rate", Rule::SGD, 1e39),
        ("momentum", sgd(1.0, false, 0.0), 0.1),
        ("momentum", sgd(-0.1, false, 0.0), 0.1),
        ("momentum", sgd(0.0, true, 0.0), 0.1),
        ("weight_decay", sgd(0.9, true, -1.0), 0.1),
        ("weight_decay", sgd(0.9, true, nan), 0.1),
        ("epsilon", adagrad(0.0), 0.1),
        ("epsilon", adagrad(1e-50), 0.1),
        ("alpha", rmsprop(1.0, 1e-8, 0.0), 0.1),
        ("epsilon", rmsprop(0.9, inf, 0.0), 0.1),
        ("momentum", rmsprop(0.9, 1e-8, nan), 0.1),
        ("beta1", adam(1.0, 0.999, 1e-8, 0.0), 0.1),
        ("beta2", adam(0.9, -0.1, 1e-8, 0.0), 0.1),
        ("epsilon", adam(0.9, 0.999, -1e-8, 0.0), 0.1),
        ("weight_decay", adam(0.9, 0.999, 1e-8, inf), 0.1),
        ("beta1", adamw(nan, 0.999, 1e-8, 0.0), 0.1),
        ("weight_decay", adamw(0.9, 0.999, 1e-8, -0.1), 0.1),
        ("eta_minus", rprop(0.0, 1.2, 1e-6, 50.0), 0.1),
        ("eta_plus", rprop(0.5, 1.0, 1e-6, 50.0), 0.1),
        ("min_step", rprop(0.5, 1.2, -1.0, 50.0), 0.1),
        ("max_step", rprop(0.5, 1.2, 1.0, 0.5), 0.1),
        ("max_step", rprop(0.5, 1.2, 1.0, inf), 0.1),
        ("eta_minus", unbounded(1.0, 1.2), 0.1),
        ("eta_plus", unbounded(0.5, nan), 0.1),
    ];
    for (argument, rule, rate) in refused {
        match Optimizer::<f32>::new(rule, rate) {
            Err(Error::OutOfRange { name, .. }) => assert_eq!(name, argument, "{rule:?}"),
            other => panic!("{rule:?} with {rate}: {other:?}"),
        }
    }
    assert!(Optimizer::<f64>::new(adagrad(1e-50), 1e39).is_ok());
}

#[test]
fn the_learning_rate_can_change_between_steps() {
    let mut optimizer = Optimizer::<f64>::new(Rule::SGD, 0.5).unwrap();
    let mut parameter = [1.0];
    optimizer.step(&mut parameter, &[1.0]).unwrap();
    optimizer.set_learning_rate(0.25).unwrap();
    optimizer.step(&mut parameter, &[1.0]).unwrap();
    assert_eq!(parameter, [0.25]);

    for bad in [f64::NAN, -1.0, f64::INFINITY] {
        assert!(matches!(
            optimizer.set_learning_rate(bad),
            Err(Error::OutOfRange {
                name: "learning_rate",
                ..
            })
        ));
    }
    assert_eq!(optimizer.learning_rate(), 0.25);
}

#[test]
fn another_number_of_parameters_changes_nothing() {
    let run = |interrupted: bool| {
        let mut optimizer = Optimizer::<f32>::new(Rule::ADAM, 0.1).unwrap();
        let mut parameters = [1.0, 2.0, 3.0];
        optimizer.step(&mut parameters, &[0.1, 0.2, -0.3]).unwrap();
        if interrupted {
            let mut fewer = [4.0, 5.0];
            assert!(matches!(
                optimizer.step(&mut fewer, &[1.0, 1.0]),
                Err(Error::Mismatch { .. })
            ));
            assert_eq!(fewer, [4.0, 5.0]);
            assert!(matches!(
                optimizer.step(&mut parameters, &[1.0, 1.0]),
                Err(Error::Length {
                    name: "gradients",
                    actual: 2,
                    expected: 3
                })
            ));
        }
        optimizer.step(&mut parameters, &[0.3, -0.2, 0.1]).unwrap();
        parameters
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_reset_optimizer_starts_afresh_with_any_number_of_parameters() {
    for rule in [Rule::ADAM, Rule::ADAGRAD, Rule::RPROP] {
        let first_steps = |optimizer: &mut Optimizer<f64>, count| {
            let mut parameters = vec![1.0; count];
            optimizer.step(&mut parameters, &vec![0.5; count]).unwrap();
            optimizer.step(&mut parameters, &vec![0.1; count]).unwrap();
            parameters
        };
        let mut optimizer = Optimizer::new(rule, 0.1).unwrap();
        let fresh = first_steps(&mut optimizer, 3);
        optimizer.reset();
        assert_eq!(first_steps(&mut optimizer, 3), fresh);
        optimizer.reset();
        assert_eq!(first_steps(&mut optimizer, 5)[..3], fresh);
    }
}

#[test]
fn clipping_by_norm_keeps_the_direction() {
    let mut gradients = [3.0_f32, -4.0];
    assert_eq!(clip_by_norm(&mut gradients, 10.0).unwrap(), 5.0);
    assert_eq!(clip_by_norm(&mut gradients, f64::INFINITY).unwrap(), 5.0);
    assert_eq!(gradients, [3.0, -4.0]);
    assert_eq!(clip_by_norm(&mut gradients, 0.5).unwrap(), 5.0);
    assert_eq!(gradients, [0.3, -0.4]);
    assert_eq!(clip_by_norm::<f32>(&mut [], 0.5).unwrap(), 0.0);

    // Squares beyond f32, and a factor below it.
    let mut large = [3e38_f32; 4];
    assert!((clip_by_norm(&mut large, 1e-10).unwrap() / 6e38 - 1.0).abs() < 1e-7);
    assert!(large.iter().all(|&g| (g / 5e-11 - 1.0).abs() < 1e-6));
}

#[test]
fn clipping_refuses_what_it_cannot_scale() {
    let mut broken = [1.0_f32, f32::INFINITY, 2.0];
    assert!(matches!(
        clip_by_norm(&mut broken, 1.0),
        Err(Error::NotFinite { .. })
    ));
    assert_eq!(broken, [1.0, f32::INFINITY, 2.0]);
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(matches!(
            clip_by_norm(&mut [1.0_f32], bad),
            Err(Error::OutOfRange {
                name: "max_norm",
                ..
            })
        ));
        assert!(matches!(
            clip_by_value(&mut [1.0_f32], bad),
            Err(Error::OutOfRange { name: "limit", .. })
        ));
    }
}

#[test]
fn clipping_by_value_moves_only_what_is_outside() {
    let mut gradients = [0.5_f64, -0.5, 2.0, -f64::INFINITY, f64::NAN];
    clip_by_value(&mut gradients, 1.0).unwrap();
    assert_eq!(gradients[..4], [0.5, -0.5, 1.0, -1.0]);
    assert!(gradients[4].is_nan());
}
