//! The backward pass of every kind of network against difference quotients of its forward pass.

use elman::dataset::Standardization;
use elman::gradient_check::{Outputs, Report, Variable, check_gradients};
use elman::init::{Initializer, TensorRole};
use elman::loss::{
    Padding, binary_cross_entropy_with_logits, mean_squared_error, softmax_cross_entropy,
};
use elman::{Activation, Batch, Network, Output, Result};

const BATCH: usize = 3;
const STEPS: usize = 5;
const LENGTHS: [usize; BATCH] = [3, 5, 1];
const TOLERANCE: f64 = 1e-6;

/// Numbers in [-1, 1] that follow no pattern.
fn numbers(count: usize, phase: f64) -> Vec<f64> {
    let number = |i| (phase + 2.3 * f64::from(i) + (1.7 * f64::from(i)).sin()).sin();
    (0..u32::try_from(count).unwrap()).map(number).collect()
}

/// A network on 2 features, with biases.
fn network(output: Output, add: impl FnOnce(&mut Network<f64>) -> Result<()>) -> Network<f64> {
    let mut network = Network::new(2).unwrap();
    add(&mut network).unwrap();
    network.set_output(output).unwrap();
    network
        .initialize(Initializer::PyTorch { gain: 1.5 }, 3)
        .unwrap();
    network
}

/// Checks a network on a ragged batch from a given state.
fn check(network: &Network<f64>, loss: impl FnMut(Outputs<'_>) -> Result<f64>) -> Report {
    let x = numbers(BATCH * STEPS * 2, 0.3);
    let batch = Batch {
        x: &x,
        batch: BATCH,
        steps: STEPS,
        lengths: Some(&LENGTHS),
    };
    let state = numbers(BATCH * network.state_size(), 0.6);
    let report = check_gradients(network, batch, Some(&state), loss).unwrap();
    let real_inputs = LENGTHS.iter().sum::<usize>() * 2;
    assert_eq!(
        report.checked,
        network.parameter_count() + real_inputs + state.len()
    );
    report
}

/// A smooth function of every output and of every final state.
fn every_output(outputs: Outputs<'_>) -> Result<f64> {
    let mut loss = 0.0;
    for (values, gradients) in [(outputs.y, outputs.dy), (outputs.state, outputs.dstate)] {
        let weights = numbers(values.len(), 0.9);
        for ((&value, gradient), weight) in values.iter().zip(gradients).zip(weights) {
            loss += weight * value + 0.5 * value * value;
            *gradient = weight + value;
        }
    }
    Ok(loss)
}

#[track_caller]
fn assert_right(report: &Report) {
    assert!(report.relative_error < TOLERANCE, "{report}");
    assert_eq!(report.kinks, 0);
}

#[test]
fn every_activation_in_stacks_with_a_dense_head() {
    for activation in Activation::ALL {
        for output in [Output::Last, Output::All] {
            assert_right(&check(
                &network(output, |network| network.add_rnn(4, activation)),
                every_output,
            ));
            let stack = network(output, |network| {
                network.add_rnn(4, activation)?;
                network.add_dense(3, activation)?;
                network.add_rnn(3, activation)?;
                network.add_dense(5, activation)?;
                network.add_dense(2, Activation::Linear)
            });
            assert_right(&check(&stack, every_output));
        }
    }
}

#[test]
fn every_loss() {
    let padding = Some(Padding {
        steps: STEPS,
        lengths: &LENGTHS,
    });
    let classifier = network(Output::All, |network| {
        network.add_rnn(4, Activation::Tanh)?;
        network.add_dense(3, Activation::Linear)
    });
    let labels: Vec<usize> = (0..BATCH * STEPS).map(|row| row * 7 % 3).collect();
    assert_right(&check(&classifier, |Outputs { y, dy, .. }| {
        softmax_cross_entropy(y, 3, &labels, Some(1), padding, Some(dy))
    }));
    let targets: Vec<f64> = numbers(BATCH * STEPS * 3, 0.1)
        .iter()
        .map(|number| number * number)
        .collect();
    for loss in [mean_squared_error, binary_cross_entropy_with_logits] {
        assert_right(&check(&classifier, |Outputs { y, dy, .. }| {
            loss(y, &targets, padding, Some(dy))
        }));
    }
}

#[test]
fn dropout_and_standardization() {
    for output in [Output::Last, Output::All] {
        let mut network = network(output, |network| {
            network.add_rnn(4, Activation::Tanh)?;
            network.add_dropout(0.4)?;
            network.add_rnn(3, Activation::Sigmoid)?;
            network.add_dropout(0.2)?;
            network.add_dense(2, Activation::Tanh)
        });
        let standardization = Standardization::new(vec![0.1, -0.2], vec![0.5, 2.0]).unwrap();
        network.set_standardization(Some(standardization)).unwrap();
        network.set_seed(5);
        assert_right(&check(&network, every_output));
    }
}

#[test]
fn a_network_in_f32_is_checked_in_f64_and_stays_as_it_is() {
    let mut network = Network::<f32>::new(2).unwrap();
    network.add_rnn(4, Activation::Relu).unwrap();
    network.add_dropout(0.5).unwrap();
    network.add_dense(2, Activation::Linear).unwrap();
    network
        .initialize(Initializer::GlorotUniform { gain: 1.0 }, 3)
        .unwrap();
    network.set_seed(9);
    let standardization = Standardization::new(vec![0.1, -0.2], vec![0.5, 2.0]).unwrap();
    network.set_standardization(Some(standardization)).unwrap();
    network.gradients_mut().fill(0.5);
    let parameters = network.parameters().to_vec();

    let double = network.to_f64().unwrap();
    let wide: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
    assert_eq!(double.parameters(), wide);
    assert_eq!(double.seed(), 9);

    let x = [0.5, -0.25, 1.0, 0.75];
    let batch = Batch {
        x: &x,
        batch: 1,
        steps: 2,
        lengths: None,
    };
    let report = check_gradients(&network, batch, None, every_output).unwrap();
    assert!(report.relative_error < TOLERANCE, "{report}");
    assert_eq!(network.parameters(), parameters);
    assert!(network.gradients().iter().all(|&gradient| gradient == 0.5));

    // Both precisions compute the same function.
    let (mut y, mut wide) = ([0.0; 2], [0.0; 2]);
    let narrow = x.map(|x| x as f32);
    network
        .predict(
            Batch {
                x: &narrow,
                batch: 1,
                steps: 2,
                lengths: None,
            },
            None,
            Some(&mut y),
            None,
        )
        .unwrap();
    double.predict(batch, None, Some(&mut wide), None).unwrap();
    for (y, wide) in y.into_iter().zip(wide) {
        assert!((f64::from(y) - wide).abs() < 1e-6);
    }
}

#[test]
fn a_wrong_gradient_is_found_where_it_is() {
    let network = network(Output::All, |network| {
        network.add_rnn(4, Activation::Tanh)?;
        network.add_dense(3, Activation::Linear)
    });
    // The last bias moves the last output alone, so that a factor in its gradient shows there.
    let report = check(&network, |outputs| {
        let (y, dy) = (outputs.y, outputs.dy);
        dy[2] = 1.001;
        Ok(y[2])
    });
    assert!((report.relative_error - 1e-3).abs() < 1e-5, "{report}");

    // One wrong number among many right ones: the last element of the second sequence's final state.
    let report = check(&network, |outputs| {
        let loss = every_output(Outputs {
            dy: &mut *outputs.dy,
            dstate: &mut *outputs.dstate,
            ..outputs
        });
        outputs.dstate[7] += 1e-3;
        loss
    });
    assert!(report.relative_error > 1e-5, "{report}");

    // Nothing is right about NaN.
    let report = check(&network, |outputs| {
        outputs.dy.fill(f64::NAN);
        Ok(outputs.y[0])
    });
    assert_eq!(report.relative_error, f64::INFINITY);
}

#[test]
fn variables_are_named() {
    let network = network(Output::Last, |network| {
        network.add_rnn(4, Activation::Tanh)?;
        network.add_dense(3, Activation::Linear)
    });
    // Only the bias of output 1 makes a difference to a network whose other parameters are 0.
    let mut network = network;
    network.set_parameters(&[0.0; 43]).unwrap();
    let report = check(&network, |outputs| {
        outputs.dy[1] = 3.0;
        Ok(outputs.y[1])
    });
    let bias = Variable::Parameter {
        index: 41,
        layer: 1,
        tensor: TensorRole::DenseBias,
        row: 0,
        column: 1,
    };
    assert_eq!(report.variable, bias);
    assert_eq!(
        (report.analytic, (report.numeric - 1.0).abs() < 1e-9),
        (3.0, true)
    );
    assert!(report.to_string().contains("DenseBias"), "{report}");
}

#[test]
fn kinks_are_counted_and_hide_nothing() {
    // The sums before the activation are exactly 0, where the slopes are 0 and 1.
    let mut network = Network::<f64>::new(1).unwrap();
    network.add_rnn(1, Activation::Relu).unwrap();
    network.set_parameters(&[1.0, 0.0, 0.0]).unwrap();
    let batch = Batch {
        x: &[0.0],
        batch: 1,
        steps: 1,
        lengths: None,
    };
    let scaled = |factor: f64| {
        check_gradients(&network, batch, None, move |outputs| {
            outputs.dstate[0] = factor;
            Ok(outputs.state[0])
        })
        .unwrap()
    };
    let report = scaled(1.0);
    assert_eq!((report.relative_error, report.kinks), (0.0, 2));

    // Off the kink by less than the first step.
    network.set_parameters(&[1.0, 0.0, 3e-6]).unwrap();
    let report = check_gradients(&network, batch, None, every_output).unwrap();
    assert!(report.relative_error < TOLERANCE, "{report}");
    assert_eq!(report.kinks, 0);
}

#[test]
fn wrong_arguments_are_errors() {
    let network = network(Output::Last, |network| network.add_rnn(4, Activation::Tanh));
    let batch = |x| Batch {
        x,
        batch: 1,
        steps: 2,
        lengths: None,
    };
    let error = check_gradients(&network, batch(&[0.0; 3]), None, every_output).unwrap_err();
    assert_eq!(error.to_string(), "x has 3 elements, expected 4");
    let error = check_gradients(&network, batch(&[0.0; 4]), Some(&[0.0]), every_output);
    assert_eq!(
        error.unwrap_err().to_string(),
        "state_in has 1 elements, expected 4"
    );
    let error = check_gradients(&network, batch(&[0.0; 4]), None, |outputs| {
        mean_squared_error(outputs.y, &[0.0], None, None)
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "targets has 1 elements, expected 4"
    );
}
