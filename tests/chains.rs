//! The order of every sum of cells and dense layers: the engine against plain scalar loops, bit for bit, on every tier.

mod common;

use common::cases::{Check, Data, Layer, Shape, count, hold};
use common::cells::{self, Cell, Kind};
use common::scalar::{self, MulAdd};
use elman::{Activation, Output};

/// Whether every tier does what the loops do.
fn follows_the_loops<E: MulAdd>(shape: &Shape) -> Check {
    follows_the_loops_on(shape, &shape.data::<E>())
}

fn follows_the_loops_on<E: MulAdd>(shape: &Shape, data: &Data<E>) -> Check {
    let mut fused = None;
    for tier in common::tiers() {
        let run = || scalar::forward_backward(shape, tier, data);
        let plain;
        let expected = match tier.is_fused() {
            true => fused.get_or_insert_with(run),
            false => {
                plain = run();
                &plain
            }
        };
        let actual = data.forward_backward(&mut shape.network(tier));
        actual.expect(format_args!("{tier:?} {}", E::NAME), expected)?;
    }
    Ok(())
}

/// Each way that a layer can go in turn.
fn turn(number: u64) -> u32 {
    [0, cells::REVERSE, cells::BOTH][(number % 3) as usize]
}

#[test]
fn every_sum_of_a_recurrent_layer_has_its_documented_order() {
    // (T, B, I, H): around the tiles' rows and columns, a batch beyond a window's rows, a series beyond a window's steps,
    // windows of a tenth of the rows, sums by halves.
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
        (70, 24, 4, 24),
        (35, 33, 3, 48),
    ];
    for (seed, (steps, batch, inputs, units)) in (0_u64..).zip(shapes) {
        let ragged = |sequence: usize| 1 + (sequence * 7 + 3) % steps;
        for lengths in [vec![steps; batch], (0..batch).map(ragged).collect()] {
            let cell = |kind, options| {
                Layer::Cell(Cell {
                    kind,
                    units,
                    options,
                })
            };
            let gated = [(Kind::Gru, 0), (Kind::Gru, cells::BEFORE), (Kind::Lstm, 0)];
            let gated = gated.map(|(kind, options)| cell(kind, options | turn(seed)));
            let plain = Activation::ALL.map(|activation| Layer::Rnn(units, activation));
            for layer in plain.into_iter().chain(gated) {
                let shape = Shape {
                    seed,
                    inputs,
                    layers: vec![layer],
                    output: Output::All,
                    standardized: false,
                    states: true,
                    steps,
                    lengths: lengths.clone(),
                };
                if let Err(fault) = follows_the_loops::<f32>(&shape) {
                    panic!("{fault}\nof {shape}");
                }
            }
        }
    }
}

#[test]
fn every_sum_of_a_stack_has_its_documented_order() {
    hold(count(2), |shape| {
        let shape = shape.clone().without_dropout().without_around();
        follows_the_loops::<f32>(&shape)?;
        follows_the_loops::<f64>(&shape)
    });
}

/// Numbers whose products are denormal here and there, and 0 in the engine's floating-point mode.
#[test]
fn sums_that_fade_have_the_documented_order_too() {
    fn fades<E: MulAdd>(shape: &Shape, scale: f64) -> Check {
        let mut data = shape.data::<E>();
        for values in [&mut data.x, &mut data.dy] {
            for value in values {
                *value *= E::from_f64(scale);
            }
        }
        follows_the_loops_on(shape, &data)
    }
    hold(count(8), |shape| {
        let shape = shape.clone().without_dropout().without_around();
        fades::<f32>(&shape, 1e-37)?;
        fades::<f64>(&shape, 1e-307)
    });
}
