//! Numbers that are infinite or NaN: what they reach becomes what IEEE 754 says, and nothing else changes.

mod common;

use common::tiers;
use elman::init::Initializer;
use elman::optimizer::{clip_by_norm, clip_by_value};
use elman::{
    Activation, Batch, Element, Error, Network, Output, RecurrentOptions, Reset, Result, Session,
    Tier,
};

const INPUT: usize = 3;
const UNITS: usize = 21;
const BATCH: usize = 9;
const STEPS: usize = 6;
/// Where the number is: a sequence, one of its steps, a feature.
const PLACE: (usize, usize, usize) = (4, 2, 1);

fn network<E: Element>(
    tier: Tier,
    threads: usize,
    add: impl FnOnce(&mut Network<E>) -> Result<()>,
) -> Network<E> {
    let mut network = Network::with_tier(INPUT, tier).unwrap();
    add(&mut network).unwrap();
    network.set_output(Output::All).unwrap();
    let initializer = Initializer::GlorotUniform { gain: 1.0 };
    network.initialize(initializer, 1).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    network
}

fn ramp<E: Element>(len: usize) -> Vec<E> {
    let value = |index| E::from_f64(((index * 7 % 23) as f64 - 11.0) / 23.0);
    (0..len).map(value).collect()
}

/// Outputs and, for `dy` as gradients, the gradients of the inputs and the parameters.
fn run<E: Element>(network: &mut Network<E>, x: &[E], dy: &[E]) -> [Vec<E>; 3] {
    let batch = Batch {
        x,
        batch: BATCH,
        steps: STEPS,
        lengths: None,
    };
    let mut y = vec![E::ZERO; BATCH * STEPS * UNITS];
    let mut dx = vec![E::ZERO; x.len()];
    network.forward(batch, None, Some(&mut y), None).unwrap();
    network.clear_gradients();
    network
        .backward(Some(dy), None, Some(&mut dx), None)
        .unwrap();
    [y, dx, network.gradients().to_vec()]
}

/// The steps of a sequence in `[batch][steps][width]`.
fn steps<E>(values: &[E], sequence: usize) -> std::slice::Chunks<'_, E> {
    let of_sequence = values.len() / BATCH;
    values[sequence * of_sequence..][..of_sequence].chunks(of_sequence / STEPS)
}

fn is_nan<E: Element>(values: &[E]) -> bool {
    values.iter().all(|value| value.to_f64().is_nan())
}

fn each_network<E: Element>(test: impl Fn(&mut Network<E>, Activation)) {
    for tier in tiers() {
        for threads in [1, 2] {
            for activation in [
                Activation::Linear,
                Activation::Relu,
                Activation::Tanh,
                Activation::Sigmoid,
            ] {
                let add = |network: &mut Network<E>| network.add_rnn(UNITS, activation);
                test(&mut network(tier, threads, add), activation);
            }
        }
    }
}

/// A gated cell, in a network of its own.
fn each_gated_network<E: Element>(test: impl Fn(&mut Network<E>)) {
    let before = RecurrentOptions {
        reset: Reset::Before,
        ..RecurrentOptions::default()
    };
    let peepholes = RecurrentOptions {
        peepholes: true,
        clip_sums: 50.0,
        clip_state: 50.0,
        ..RecurrentOptions::default()
    };
    let plain = RecurrentOptions::default();
    for tier in tiers() {
        for threads in [1, 2] {
            for options in [&plain, &before] {
                test(&mut network(tier, threads, |network| {
                    network.add_gru(UNITS, options)
                }));
            }
            for options in [&plain, &peepholes] {
                test(&mut network(tier, threads, |network| {
                    network.add_lstm(UNITS, options)
                }));
            }
        }
    }
}

fn nan_in_an_input<E: Element>(network: &mut Network<E>) {
    let (mut x, dy) = (ramp(BATCH * STEPS * INPUT), ramp(BATCH * STEPS * UNITS));
    let [y, dx, _] = run(network, &x, &dy);
    let (sequence, step, feature) = PLACE;
    x[(sequence * STEPS + step) * INPUT + feature] = E::from_f64(f64::NAN);
    let [broken_y, broken_dx, gradients] = run(network, &x, &dy);
    for other in (0..BATCH).filter(|&other| other != sequence) {
        assert!(steps(&y, other).eq(steps(&broken_y, other)));
        assert!(steps(&dx, other).eq(steps(&broken_dx, other)));
    }
    let before = steps(&y, sequence).zip(steps(&broken_y, sequence));
    assert!(before.take(step).all(|(expected, y)| expected == y));
    assert!(steps(&broken_y, sequence).skip(step).all(is_nan));
    assert!(gradients.iter().any(|value| value.to_f64().is_nan()));
    // The gradients of another batch are whole again.
    x[(sequence * STEPS + step) * INPUT + feature] = E::ZERO;
    let [_, _, gradients] = run(network, &x, &dy);
    assert!(gradients.iter().all(|value| value.is_finite()));

    let mut session = Session::new(network).unwrap();
    let mut y = vec![E::ZERO; UNITS];
    session
        .step(&[E::from_f64(f64::NAN); INPUT], &mut y)
        .unwrap();
    assert!(is_nan(&y));
    session.reset();
    session.step(&[E::ZERO; INPUT], &mut y).unwrap();
    assert!(y.iter().all(|value| value.is_finite()));
}

#[test]
fn a_nan_in_an_input_reaches_what_follows_in_its_sequence() {
    each_network::<f32>(|network, _| nan_in_an_input(network));
    each_network::<f64>(|network, _| nan_in_an_input(network));
    each_gated_network::<f32>(nan_in_an_input);
    each_gated_network::<f64>(nan_in_an_input);
}

fn infinity_in_an_input<E: Element>() {
    each_network::<E>(|network, activation| {
        let mut x = ramp(BATCH * STEPS * INPUT);
        let (sequence, step, feature) = PLACE;
        x[(sequence * STEPS + step) * INPUT + feature] = E::from_f64(f64::INFINITY);
        let [y, ..] = run(network, &x, &ramp(BATCH * STEPS * UNITS));
        let weights = &network.parameters()[feature * UNITS..][..UNITS];
        let row = steps(&y, sequence).nth(step).unwrap();
        for (y, weight) in row.iter().zip(weights) {
            let (low, high) = match activation {
                Activation::Tanh => (-1.0, 1.0),
                Activation::Sigmoid => (0.0, 1.0),
                Activation::Relu => (0.0, f64::INFINITY),
                Activation::Linear => (f64::NEG_INFINITY, f64::INFINITY),
                _ => unreachable!("{activation:?} is none of those above"),
            };
            let expected = if weight.to_f64() < 0.0 { low } else { high };
            assert_eq!(y.to_f64(), expected, "{activation:?}");
        }
    });
}

#[test]
fn an_infinity_in_an_input_saturates() {
    infinity_in_an_input::<f32>();
    infinity_in_an_input::<f64>();
}

fn nan_in_a_parameter<E: Element>() {
    each_network::<E>(|network, _| {
        let x = ramp(BATCH * STEPS * INPUT);
        let unit = 17;
        let mut parameters = network.parameters().to_vec();
        let count = parameters.len();
        parameters[count - UNITS + unit] = E::from_f64(f64::NAN); // of the bias
        network.set_parameters(&parameters).unwrap();
        let [y, ..] = run(network, &x, &ramp(BATCH * STEPS * UNITS));
        for sequence in 0..BATCH {
            for (step, row) in steps(&y, sequence).enumerate() {
                // From the second step on the state carries it to all units.
                let broken = |index| step > 0 || index == unit;
                let as_expected = |(index, y): (usize, &E)| y.to_f64().is_nan() == broken(index);
                assert!(row.iter().enumerate().all(as_expected));
            }
        }
    });
}

#[test]
fn a_nan_in_a_parameter_reaches_its_unit_then_all() {
    nan_in_a_parameter::<f32>();
    nan_in_a_parameter::<f64>();
}

fn nan_in_a_gradient<E: Element>() {
    each_network::<E>(|network, activation| {
        if activation == Activation::Relu {
            // Where the output is 0 nothing goes back, whatever comes in.
            return;
        }
        let x = ramp(BATCH * STEPS * INPUT);
        let mut dy = ramp(BATCH * STEPS * UNITS);
        let [_, dx, _] = run(network, &x, &dy);
        let (sequence, step, unit) = PLACE;
        dy[(sequence * STEPS + step) * UNITS + unit] = E::from_f64(f64::NAN);
        let [_, broken_dx, gradients] = run(network, &x, &dy);
        for other in (0..BATCH).filter(|&other| other != sequence) {
            assert!(steps(&dx, other).eq(steps(&broken_dx, other)));
        }
        // Backwards in time: the step itself and all before.
        let after = steps(&dx, sequence).zip(steps(&broken_dx, sequence));
        assert!(after.skip(step + 1).all(|(expected, dx)| expected == dx));
        assert!(is_nan(steps(&broken_dx, sequence).nth(step).unwrap()));
        let of_unit = gradients.iter().skip(unit).step_by(UNITS);
        assert!(of_unit.take(INPUT).all(|value| value.to_f64().is_nan()));

        let mut gradients = gradients;
        let before: Vec<_> = gradients
            .iter()
            .map(|value| value.to_f64().to_bits())
            .collect();
        let error = clip_by_norm(&mut gradients, 1.0).unwrap_err();
        assert!(matches!(error, Error::NotFinite { .. }), "{error}");
        let after = gradients.iter().map(|value| value.to_f64().to_bits());
        assert!(after.eq(before));
    });
}

#[test]
fn a_nan_in_a_gradient_goes_back_in_its_sequence_and_clipping_reports_it() {
    nan_in_a_gradient::<f32>();
    nan_in_a_gradient::<f64>();
}

#[test]
fn clipping_by_value_keeps_nan_and_bounds_infinities() {
    let mut gradients = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.25];
    clip_by_value(&mut gradients, 0.5).unwrap();
    assert!(gradients[0].is_nan());
    assert_eq!(gradients[1..], [0.5, -0.5, 0.25]);
    let error = clip_by_norm(&mut [f32::INFINITY, 1.0], 1.0).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }));
}
