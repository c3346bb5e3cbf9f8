//! Work on rows: copies, dropout, sums and gradients.

use super::*;
use crate::kernels::copy::CopyRows;
use crate::kernels::dropout::{DrawMask, DropElements, Key};
use crate::kernels::rows::{add_products_backwards, add_rows_backwards, scale_by_derivative};
use crate::layout::{Order, Strides};

/// Rows of some steps of some of a batch's sequences, in either direction, everything exactly as long as it must be.
fn copies<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(5);
    for width in columns::<E>(tier) {
        for lengths in [&[1][..], &[3, 7, 1, 7, 2], &[4; 9]] {
            let mut part = Layout::default();
            let rows = window(&mut numbers, lengths.len() - 1);
            part.set_part(&layout(lengths), rows.start..rows.end + 1);
            let steps = window(&mut numbers, part.steps());
            let order = numbers.pick(&[Order::BatchMajor, Order::TimeMajor]);
            let stride = width + numbers.pick(&[0, 3]);
            let strides = Strides::new(order, lengths.len(), steps.end + numbers.below(3), width);
            let mut caller: Vec<E> = numbers.vec(lengths.len() * strides.steps() * width);
            let count = part.count(&steps);
            let engine: Vec<E> = numbers.vec(count.saturating_sub(1) * stride + width);

            let (mut there, mut back) = (engine.clone(), caller.clone());
            let mut index = 0;
            for step in steps.clone() {
                for row in (0..part.batch()).filter(|&row| part.length(row) > step) {
                    let place = strides.index(part.sequences()[row], step);
                    let (theirs, ours) =
                        (place..place + width, index * stride..index * stride + width);
                    there[ours.clone()].copy_from_slice(&caller[theirs.clone()]);
                    back[theirs].copy_from_slice(&engine[ours]);
                    index += 1;
                }
            }
            let what = || format!("{tier:?}, {}, {part:?}, {steps:?}, {strides:?}", E::NAME);
            let (from, mut to) = (caller.clone(), engine.clone());
            // In two parts, of which one may have nothing.
            let border = numbers.below(part.batch() + 1);
            let run = |copy: CopyRows<'_, E>| {
                assert_eq!(copy.sequences(), part.batch());
                assert_eq!(copy.elements(), count * width);
                let (first, second) = copy.split_at(border);
                second.run(tier);
                first.run(tier);
            };
            run(CopyRows::to_engine(
                (&part, steps.clone()),
                (&from, strides),
                (&mut to, stride),
            ));
            assert_same(&to, &there, what);
            // SAFETY: `caller` has been made as long as the strides say.
            unsafe {
                let to = (caller.as_mut_ptr(), strides);
                run(CopyRows::to_caller(
                    (&part, steps.clone()),
                    to,
                    (&engine, stride),
                ));
            }
            assert_same(&caller, &back, what);
        }
    }
}

#[test]
fn copied_rows_equal_the_scalar_loop() {
    for tier in tiers() {
        copies::<f32>(tier);
        copies::<f64>(tier);
    }
}

/// Whether the number of an element is one of the rarer ones.
fn is_rare(key: Key, index: usize, rate: f64) -> bool {
    f64::from(key.number(index as u32)) < (rate * 2.0_f64.powi(32)).floor()
}

fn dropped<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(6);
    for width in columns::<E>(tier).into_iter().filter(|&width| width > 0) {
        for sequences in [&[0][..], &[9, 0, 4], &[2, 1, 8, 7, 1 << 40]] {
            let (rate, step) = (numbers.pick(&[0.0, 0.1, 0.5, 0.999]), numbers.below(70));
            numbers.wild = true;
            let [from_stride, to_stride] = [0, 3].map(|gap| width + numbers.pick(&[0, gap]));
            let rows = sequences.len();
            let from: Vec<E> = numbers.vec((rows - 1) * from_stride + width);
            let len = (rows - 1) * to_stride + width;
            let what = || format!("{tier:?}, {}, {rows} x {width}, {rate}", E::NAME);
            let key = Key::new(&[3, 1, 4]);
            let (kept, mask) = (
                E::from_f64(1.0 / (1.0 - rate)),
                [-3.0, 7.0].map(E::from_f64),
            );
            for accumulate in [false, true] {
                let mut actual = vec![E::from_f64(GUARD); len + 2 * MARGIN];
                let (mut expected, mut masks) = (actual.clone(), actual.clone());
                for (row, &sequence) in sequences.iter().enumerate() {
                    let key = key.with(sequence as u64);
                    for index in 0..width {
                        let place = MARGIN + row * to_stride + index;
                        let value = match is_rare(key.with(step as u64), index, rate) {
                            true => E::ZERO,
                            false => from[row * from_stride + index] * kept,
                        };
                        expected[place] = if accumulate {
                            expected[place] + value
                        } else {
                            value
                        };
                        masks[place] = mask[usize::from(!is_rare(key, index, rate))];
                    }
                }
                DropElements {
                    key,
                    rate,
                    step,
                    sequences,
                    width,
                    from: (&from, from_stride),
                    to: (&mut actual[MARGIN..MARGIN + len], to_stride),
                    accumulate,
                }
                .run(tier);
                assert_same(&actual, &expected, what);
                actual.fill(E::from_f64(GUARD));
                DrawMask {
                    key,
                    rate,
                    dropped: mask[0],
                    kept: mask[1],
                    sequences,
                    width,
                    to: (&mut actual[MARGIN..MARGIN + len], to_stride),
                }
                .run(tier);
                assert_same(&actual, &masks, what);
            }
        }
    }
}

#[test]
fn dropped_elements_equal_the_scalar_loop() {
    for tier in tiers() {
        dropped::<f32>(tier);
        dropped::<f64>(tier);
    }
}

fn row_kernels<E: Scalar>(tier: Tier) {
    let mut numbers = Numbers::new(3);
    for columns in columns::<E>(tier) {
        for rows in [0, 1, 2, 9] {
            numbers.wild = rows == 9;
            let stride = columns + numbers.pick(&[0, 3]);
            let values: Vec<E> = numbers.vec((rows.max(1) - 1) * stride + columns);
            let mut actual = vec![E::from_f64(GUARD); columns + 2 * MARGIN];
            actual[MARGIN..MARGIN + columns].fill_with(|| numbers.next());
            let mut expected = actual.clone();
            for row in (0..rows).rev() {
                for column in 0..columns {
                    expected[MARGIN + column] += values[row * stride + column];
                }
            }
            let sums = &mut actual[MARGIN..MARGIN + columns];
            add_rows_backwards(tier, &values, stride, rows, sums);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {rows} x {columns}", E::NAME)
            });
        }
        for rows in [0, 1, 2, 9] {
            let strides = [0, 3].map(|gap| columns + numbers.pick(&[0, gap]));
            let [left, right] =
                strides.map(|stride| numbers.vec::<E>((rows.max(1) - 1) * stride + columns));
            let mut actual = vec![E::from_f64(GUARD); columns + 2 * MARGIN];
            actual[MARGIN..MARGIN + columns].fill_with(|| numbers.next());
            let mut expected = actual.clone();
            for row in (0..rows).rev() {
                for column in 0..columns {
                    let (left, right) = (
                        left[row * strides[0] + column],
                        right[row * strides[1] + column],
                    );
                    let sum = &mut expected[MARGIN + column];
                    *sum = multiply_add(tier, left, right, *sum);
                }
            }
            let sums = &mut actual[MARGIN..MARGIN + columns];
            add_products_backwards(tier, (&left, strides[0]), (&right, strides[1]), rows, sums);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {rows} x {columns} products", E::NAME)
            });
        }
        for activation in Activation::ALL {
            numbers.wild = true;
            let values: Vec<E> = numbers.vec(columns);
            let mut actual = vec![E::from_f64(GUARD); columns + 2 * MARGIN];
            actual[MARGIN..MARGIN + columns].fill_with(|| numbers.next());
            let mut expected = actual.clone();
            for (gradient, &value) in expected[MARGIN..].iter_mut().zip(&values) {
                *gradient = times_derivative(tier, activation, *gradient, value);
            }
            let gradients = &mut actual[MARGIN..MARGIN + columns];
            scale_by_derivative(tier, activation, gradients, &values);
            assert_same(&actual, &expected, || {
                format!("{tier:?}, {}, {columns}, {activation:?}", E::NAME)
            });
        }
    }
}

#[test]
fn row_kernels_equal_the_scalar_loop() {
    for tier in tiers() {
        row_kernels::<f32>(tier);
        row_kernels::<f64>(tier);
    }
}

/// Three sequences, of which the second has two steps and the others one, of 4 elements.
#[test]
fn rows_that_are_too_short_are_not_copied() {
    let layout = layout(&[1, 2, 1]);
    let (caller, mut engine) = ([0.0_f32; 24], [0.0_f32; 16]);
    for tier in tiers() {
        for order in [Order::BatchMajor, Order::TimeMajor] {
            let of = |batch, steps, width| Strides::new(order, batch, steps, width);
            let mut run = |steps, from: (&[f32], Strides), (len, stride): (usize, usize)| {
                let layout = (&layout, steps);
                CopyRows::to_engine(layout, from, (&mut engine[..len], stride)).run(tier);
            };
            run(0..2, (&caller, of(3, 2, 4)), (16, 4));
            assert_panics(|| run(0..2, (&caller[1..], of(3, 2, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(2, 3, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 1, 8)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 5)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, usize::MAX / 2, 4)), (16, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (15, 4)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (16, 5)));
            assert_panics(|| run(0..2, (&caller, of(3, 2, 4)), (16, usize::MAX)));
            assert_panics(|| run(0..3, (&caller, of(3, 2, 4)), (16, 4)));
            // SAFETY: nothing is run, and nothing could be: the engine's buffer is too short.
            let back = |len, stride| unsafe {
                let to = (caller.as_ptr().cast_mut(), of(3, 2, 4));
                _ = CopyRows::to_caller((&layout, 0..2), to, (&caller[..len], stride));
            };
            assert_panics(|| back(15, 4));
            assert_panics(|| back(16, 5));
        }
    }
}

#[test]
fn rows_that_are_too_short_are_not_added() {
    static VALUES: [f32; 15] = [0.0; 15];
    for tier in tiers() {
        add_rows_backwards(tier, &VALUES, 5, 3, &mut [0.0; 5]);
        assert_panics(|| add_rows_backwards(tier, &VALUES, 5, 4, &mut [0.0; 5]));
        assert_panics(|| add_rows_backwards(tier, &VALUES, 6, 3, &mut [0.0; 5]));
        assert_panics(|| add_rows_backwards(tier, &VALUES, usize::MAX, 3, &mut [0.0; 5]));
        let products = |left: (&[f32], usize), right: (&[f32], usize), rows| {
            add_products_backwards(tier, left, right, rows, &mut [0.0; 5]);
        };
        products((&VALUES, 5), (&VALUES, 5), 3);
        for wrong in [
            (&VALUES[1..], 5),
            (&VALUES[..], 6),
            (&VALUES[..], usize::MAX),
        ] {
            assert_panics(|| products(wrong, (&VALUES, 5), 3));
            assert_panics(|| products((&VALUES, 5), wrong, 3));
        }
        assert_panics(|| products((&VALUES, 5), (&VALUES, 5), 4));
        assert_panics(|| scale_by_derivative(tier, Activation::Tanh, &mut [0.0; 14], &VALUES));
        assert_panics(|| scale_by_derivative(tier, Activation::Tanh, &mut [0.0; 16], &VALUES));
    }
}
