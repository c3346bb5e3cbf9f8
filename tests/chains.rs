//! The order of every sum: the engine against plain scalar loops, bit for bit, on every tier.
//!
//! A state starts at the bias and takes the products of x and then of h_{t-1} in their order. A gradient of a state
//! starts at dy_t and takes the products of the gradients of step t + 1; a gradient of a parameter takes the products of
//! all rows from the last step to the first, within a step from the shortest sequence to the longest (of equal ones from
//! the last to the first).

use elman::init::Rng;
use elman::{Activation, Batch, Network, Output, Tier};

mod common;

/// The arithmetic of a tier.
struct Scalar {
    fused: bool,
    /// A network of one unit, to have the tier's activation function.
    function: Network<f32>,
    activation: Activation,
}

impl Scalar {
    fn new(tier: Tier, activation: Activation) -> Self {
        let mut function = Network::with_tier(1, tier).unwrap();
        function.add_dense(1, activation).unwrap();
        function.set_parameters(&[1.0, 0.0]).unwrap();
        Self {
            fused: tier.is_fused(),
            function,
            activation,
        }
    }

    fn mul_add(&self, a: f32, b: f32, c: f32) -> f32 {
        if self.fused {
            a.mul_add(b, c)
        } else {
            a * b + c
        }
    }

    fn activate(&self, x: f32) -> f32 {
        let mut y = [0.0];
        let batch = Batch {
            x: &[x],
            batch: 1,
            steps: 1,
            lengths: None,
        };
        self.function
            .predict(batch, None, Some(&mut y), None)
            .unwrap();
        y[0]
    }

    fn times_derivative(&self, gradient: f32, value: f32) -> f32 {
        match self.activation {
            Activation::Linear => gradient,
            Activation::Relu if value > 0.0 => gradient,
            Activation::Relu => 0.0,
            _ => gradient * self.activation.derivative(value),
        }
    }
}

/// Sizes of a batch and its parts of the flat buffers.
struct Shape {
    batch: usize,
    steps: usize,
    inputs: usize,
    units: usize,
    lengths: Vec<usize>,
}

impl Shape {
    fn x(&self, sequence: usize, step: usize) -> std::ops::Range<usize> {
        let start = (sequence * self.steps + step) * self.inputs;
        start..start + self.inputs
    }

    fn h(&self, sequence: usize, step: usize) -> std::ops::Range<usize> {
        let start = (sequence * self.steps + step) * self.units;
        start..start + self.units
    }
}

fn check(tier: Tier, activation: Activation, shape: &Shape, seed: u64) {
    let Shape {
        batch,
        steps,
        inputs,
        units,
        ref lengths,
    } = *shape;
    let mut rng = Rng::new(seed);
    let mut numbers = |count: usize, scale: f64| -> Vec<f32> {
        (0..count).map(|_| (rng.normal() * scale) as f32).collect()
    };
    let scalar = Scalar::new(tier, activation);
    let parameters = numbers((inputs + units + 1) * units, 0.5 / (units as f64).sqrt());
    let x = numbers(batch * steps * inputs, 1.0);
    let h0 = numbers(batch * units, 1.0);
    let dy = numbers(batch * steps * units, 1.0);
    let dh_last = numbers(batch * units, 1.0);
    let (w_x, rest) = parameters.split_at(inputs * units);
    let (w_h, bias) = rest.split_at(units * units);

    let mut y = vec![0.0; batch * steps * units];
    let mut h_last = vec![0.0; batch * units];
    for sequence in 0..batch {
        let mut h = h0[sequence * units..][..units].to_vec();
        for step in 0..lengths[sequence] {
            let x = &x[shape.x(sequence, step)];
            let next: Vec<f32> = (0..units)
                .map(|unit| {
                    let mut sum = bias[unit];
                    for (i, &x) in x.iter().enumerate() {
                        sum = scalar.mul_add(x, w_x[i * units + unit], sum);
                    }
                    for (i, &h) in h.iter().enumerate() {
                        sum = scalar.mul_add(h, w_h[i * units + unit], sum);
                    }
                    scalar.activate(sum)
                })
                .collect();
            y[shape.h(sequence, step)].copy_from_slice(&next);
            h = next;
        }
        h_last[sequence * units..][..units].copy_from_slice(&h);
    }

    let mut delta = vec![0.0; batch * steps * units];
    let mut dh0 = vec![0.0; batch * units];
    for sequence in 0..batch {
        for step in (0..lengths[sequence]).rev() {
            for unit in 0..units {
                let mut sum = dy[shape.h(sequence, step)][unit];
                if step + 1 == lengths[sequence] {
                    sum += dh_last[sequence * units + unit];
                } else {
                    let after = &delta[shape.h(sequence, step + 1)];
                    for (j, &after) in after.iter().enumerate() {
                        sum = scalar.mul_add(after, w_h[unit * units + j], sum);
                    }
                }
                let value = y[shape.h(sequence, step)][unit];
                delta[shape.h(sequence, step)][unit] = scalar.times_derivative(sum, value);
            }
        }
        for unit in 0..units {
            let mut sum = 0.0;
            for (j, &delta) in delta[shape.h(sequence, 0)].iter().enumerate() {
                sum = scalar.mul_add(delta, w_h[unit * units + j], sum);
            }
            dh0[sequence * units + unit] = sum;
        }
    }
    let mut dx = vec![0.0; x.len()];
    let mut gradients = vec![0.0; parameters.len()];
    let mut order: Vec<usize> = (0..batch).collect();
    order.sort_by_key(|&sequence| std::cmp::Reverse(lengths[sequence]));
    for step in (0..steps).rev() {
        for &sequence in order.iter().rev().filter(|&&s| step < lengths[s]) {
            let delta = &delta[shape.h(sequence, step)];
            let previous = match step {
                0 => &h0[sequence * units..][..units],
                _ => &y[shape.h(sequence, step - 1)],
            };
            let inputs_of_row = x[shape.x(sequence, step)].iter().chain(previous);
            let (weights, biases) = gradients.split_at_mut((inputs + units) * units);
            for (sums, &value) in weights.chunks_exact_mut(units).zip(inputs_of_row) {
                for (sum, &delta) in sums.iter_mut().zip(delta) {
                    *sum = scalar.mul_add(value, delta, *sum);
                }
            }
            for (sum, &delta) in biases.iter_mut().zip(delta) {
                *sum += delta;
            }
            for (i, dx) in dx[shape.x(sequence, step)].iter_mut().enumerate() {
                for (j, &delta) in delta.iter().enumerate() {
                    *dx = scalar.mul_add(delta, w_x[i * units + j], *dx);
                }
            }
        }
    }

    let mut network = Network::with_tier(inputs, tier).unwrap();
    network.add_rnn(units, activation).unwrap();
    network.set_output(Output::All).unwrap();
    network.set_parameters(&parameters).unwrap();
    let mut actual = [y.clone(), h_last.clone(), dx.clone(), dh0.clone()];
    let [actual_y, actual_h, actual_dx, actual_dh0] = &mut actual;
    let call = Batch {
        x: &x,
        batch,
        steps,
        lengths: Some(lengths),
    };
    network
        .forward(call, Some(&h0), Some(actual_y), Some(actual_h))
        .unwrap();
    network
        .backward(Some(&dy), Some(&dh_last), Some(actual_dx), Some(actual_dh0))
        .unwrap();
    let context = format!("{tier:?}, {activation:?}, T {steps}, B {batch}, I {inputs}, H {units}");
    assert_eq!(actual[0], y, "y: {context}");
    assert_eq!(actual[1], h_last, "h_last: {context}");
    assert_eq!(actual[2], dx, "dx: {context}");
    assert_eq!(actual[3], dh0, "dh0: {context}");
    assert_eq!(network.gradients(), gradients, "gradients: {context}");
}

#[test]
fn every_sum_has_its_documented_order() {
    // (T, B, I, H): around the tiles' rows and columns, a batch beyond a window's rows, a series beyond a window's steps,
    // windows of a tenth of the rows.
    let shapes = [
        (1, 1, 1, 1),
        (7, 13, 5, 33),
        (3, 25, 17, 64),
        (6, 1, 3, 129),
        (4, 3, 2, 300),
        (3, 600, 2, 5),
        (150, 5, 3, 17),
        (40, 40, 1, 8),
        (65, 40, 1, 64),
    ];
    for tier in common::tiers() {
        for (seed, (steps, batch, inputs, units)) in (0_u64..).zip(shapes) {
            let ragged = |sequence: usize| 1 + (sequence * 7 + 3) % steps;
            for lengths in [vec![steps; batch], (0..batch).map(ragged).collect()] {
                let shape = Shape {
                    batch,
                    steps,
                    inputs,
                    units,
                    lengths,
                };
                for activation in Activation::ALL {
                    check(tier, activation, &shape, seed);
                }
            }
        }
    }
}
