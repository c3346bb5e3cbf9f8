//! Losses against their formulas, at their limits, and against difference quotients.

use elman::loss::{
    NO_LABEL, Padding, binary_cross_entropy_with_logits, mean_squared_error, softmax,
    softmax_cross_entropy, softmax_cross_entropy_weighted,
};
use elman::{Element, Error, Result};

/// Numbers in [-3, 3] that follow no pattern.
fn numbers<E: Element>(count: usize, phase: f64) -> Vec<E> {
    let number =
        |i| E::from_f64(3.0 * (phase + 2.3 * f64::from(i) + (1.7 * f64::from(i)).sin()).sin());
    (0..u32::try_from(count).unwrap()).map(number).collect()
}

/// Numbers in [0, 1].
fn probabilities<E: Element>(count: usize) -> Vec<E> {
    let probability = |x: E| E::from_f64(0.5 + x.to_f64() / 6.0);
    numbers(count, 0.7).into_iter().map(probability).collect()
}

#[track_caller]
fn assert_close<E: Element>(actual: E, expected: f64, tolerance: f64) {
    let actual = actual.to_f64();
    assert!(
        actual == expected || (actual - expected).abs() <= tolerance * expected.abs(),
        "{actual}, expected {expected}"
    );
}

/// The derivatives of `loss` at `z` by difference quotients, compared with what it stores.
#[track_caller]
fn check_gradient(z: &[f64], loss: impl Fn(&[f64], Option<&mut [f64]>) -> Result<f64>) {
    let mut gradient = vec![f64::NAN; z.len()];
    let value = loss(z, Some(&mut gradient)).unwrap();
    assert_eq!(value, loss(z, None).unwrap());
    for (index, gradient) in gradient.into_iter().enumerate() {
        let at = |step| {
            let mut z = z.to_vec();
            z[index] += step;
            loss(&z, None).unwrap()
        };
        let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!(
            (gradient - numeric).abs() < 1e-9,
            "{index}: {gradient} {numeric}"
        );
    }
}

#[test]
fn cross_entropy_equals_its_formula() {
    fn check<E: Element>(tolerance: f64) {
        // More classes than are worked on at a time, and fewer.
        for classes in [1, 2, 9, 300] {
            let logits = numbers::<E>(4 * classes, 0.1);
            let labels = [0, classes / 2, classes - 1, classes / 3];
            let mut dlogits = vec![E::ZERO; logits.len()];
            let mut p = dlogits.clone();
            softmax(&logits, classes, &mut p).unwrap();
            let loss =
                softmax_cross_entropy(&logits, classes, &labels, None, None, Some(&mut dlogits));
            let mut expected = 0.0;
            for (row, label) in labels.into_iter().enumerate() {
                let row = row * classes..(row + 1) * classes;
                let z: Vec<f64> = logits[row.clone()].iter().map(|z| z.to_f64()).collect();
                let sum: f64 = z.iter().map(|z| z.exp()).sum();
                expected += (sum.ln() - z[label]) / 4.0;
                for (class, index) in row.enumerate() {
                    let probability = z[class].exp() / sum;
                    assert_close(p[index], probability, tolerance);
                    let others = if class == label {
                        let others = (0..classes).filter(|&other| other != label);
                        -others.map(|other| z[other].exp()).sum::<f64>() / sum
                    } else {
                        probability
                    };
                    assert_close(dlogits[index], others / 4.0, tolerance);
                }
            }
            assert!((loss.unwrap() - expected).abs() <= tolerance * expected.max(1.0));
        }
    }
    check::<f32>(1e-6);
    check::<f64>(1e-14);
}

#[test]
fn gradients_are_the_derivatives() {
    let z = numbers::<f64>(24, 0.2);
    let targets = probabilities::<f64>(24);
    let padding = Some(Padding {
        steps: 4,
        lengths: &[3, 4],
    });
    for padding in [None, padding] {
        check_gradient(&z, |z, dz| {
            softmax_cross_entropy(z, 3, &[0, 2, 1, 1, 0, 2, 2, 1], Some(0), padding, dz)
        });
        check_gradient(&z, |z, dz| mean_squared_error(z, &targets, padding, dz));
        check_gradient(&z, |z, dz| {
            binary_cross_entropy_with_logits(z, &targets, padding, dz)
        });
    }
}

#[test]
fn elementwise_losses_equal_their_formulas() {
    fn check<E: Element>(tolerance: f64) {
        let (z, targets) = (numbers::<E>(500, 0.3), probabilities::<E>(500));
        let (mut squares, mut entropy) = (0.0, 0.0);
        let mut gradients = [vec![], vec![]];
        for (z, t) in z
            .iter()
            .zip(&targets)
            .map(|(z, t)| (z.to_f64(), t.to_f64()))
        {
            let p = 1.0 / (1.0 + (-z).exp());
            squares += (z - t).powi(2) / 500.0;
            entropy -= (t * p.ln() + (1.0 - t) * (1.0 - p).ln()) / 500.0;
            gradients[0].push(2.0 * (z - t) / 500.0);
            gradients[1].push((p - t) / 500.0);
        }
        let mut dz = vec![E::ZERO; 500];
        assert_close(
            mean_squared_error(&z, &targets, None, Some(&mut dz)).unwrap(),
            squares,
            tolerance,
        );
        let near = |(actual, expected): (&E, &f64)| {
            assert!((actual.to_f64() - expected).abs() <= tolerance / 500.0);
        };
        dz.iter().zip(&gradients[0]).for_each(near);
        assert_close(
            binary_cross_entropy_with_logits(&z, &targets, None, Some(&mut dz)).unwrap(),
            entropy,
            tolerance,
        );
        dz.iter().zip(&gradients[1]).for_each(near);
    }
    check::<f32>(1e-6);
    check::<f64>(1e-13);
}

#[test]
fn logits_of_any_size_give_finite_losses() {
    fn check<E: Element>(sizes: &[f64], tolerance: f64) {
        for &size in sizes {
            let z = |z| E::from_f64(z);
            let logits = [z(size), z(-size), z(0.0), z(-size), z(size), z(0.0)];
            let mut dlogits = [E::ONE; 6];
            let loss = softmax_cross_entropy(&logits, 3, &[0, 0], None, None, Some(&mut dlogits));
            assert_close(E::from_f64(loss.unwrap()), logits[0].to_f64(), tolerance);
            assert_eq!(dlogits, [0.0, 0.0, 0.0, -0.5, 0.5, 0.0].map(E::from_f64));
            let mut p = [E::ONE; 6];
            softmax(&logits, 3, &mut p).unwrap();
            assert_eq!(p, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0].map(E::from_f64));

            let logits = [z(size), z(-size), z(size), z(-size)];
            let targets = [1.0, 0.0, 0.0, 1.0].map(E::from_f64);
            let mut dlogits = [E::ONE; 4];
            let loss =
                binary_cross_entropy_with_logits(&logits, &targets, None, Some(&mut dlogits));
            assert_close(
                E::from_f64(loss.unwrap()),
                logits[0].to_f64() / 2.0,
                tolerance,
            );
            assert_eq!(dlogits, [0.0, 0.0, 0.25, -0.25].map(E::from_f64));
        }
    }
    check::<f32>(&[1e4, 1e30, 1e38, f64::INFINITY], 1e-7);
    check::<f64>(&[1e4, 1e30, 1e300, f64::INFINITY], 1e-15);
}

#[test]
fn small_losses_keep_their_digits() {
    // ln(1 + e^-z) and its derivative.
    for (z, tail, slope) in [
        (20.0, 2.061_153_620_314_381e-9, 2.0611536181902036e-9),
        (40.0, 4.248354255291589e-18, 4.248354255291589e-18),
    ] {
        let mut d = [0.0_f32; 2];
        let loss = softmax_cross_entropy(&[z, 0.0], 2, &[0], None, None, Some(&mut d)).unwrap();
        assert_close(loss, tail, 1e-6);
        assert_close(d[0], -slope, 1e-6);
        assert_close(d[1], slope, 1e-6);
        let loss = binary_cross_entropy_with_logits(&[z, -z], &[1.0, 0.0], None, Some(&mut d));
        assert_close(loss.unwrap(), tail, 1e-6);
        assert_close(d[0], -slope / 2.0, 1e-6);
        assert_close(d[1], slope / 2.0, 1e-6);
    }
}

#[test]
fn nan_stays_in_its_row() {
    for place in 0..2 {
        let mut logits = [0.0_f32; 4];
        logits[place] = f32::NAN;
        let mut d = [0.0; 4];
        assert!(
            softmax_cross_entropy(&logits, 2, &[0, 1], None, None, Some(&mut d))
                .unwrap()
                .is_nan()
        );
        assert!(d[0].is_nan() && d[1].is_nan());
        assert_eq!(d[2..], [0.25, -0.25]);
        let mut one = [0.0];
        softmax(&[f32::NAN], 1, &mut one).unwrap();
        assert!(one[0].is_nan());
        for loss in [mean_squared_error, binary_cross_entropy_with_logits] {
            assert!(
                loss(&logits, &[0.5; 4], None, Some(&mut d))
                    .unwrap()
                    .is_nan()
            );
            assert!((0..4).all(|index| d[index].is_nan() == (index == place)));
        }
        // A row that does not count is not read.
        let loss = softmax_cross_entropy(&logits, 2, &[0, 1], Some(0), None, Some(&mut d)).unwrap();
        assert_close(loss, 2.0_f64.ln(), 1e-7);
        assert_eq!(d, [0.0, 0.0, 0.5, -0.5]);
    }
    let mut p = [0.0_f32; 2];
    for undefined in [[f32::INFINITY; 2], [f32::NEG_INFINITY; 2]] {
        softmax(&undefined, 2, &mut p).unwrap();
        assert!(p[0].is_nan() && p[1].is_nan());
    }
}

#[test]
fn padding_does_not_count() {
    let (y, targets) = (numbers::<f64>(12, 0.4), probabilities::<f64>(12));
    fn cross_entropy(
        y: &[f64],
        _: &[f64],
        padding: Option<Padding<'_>>,
        dy: Option<&mut [f64]>,
    ) -> Result<f64> {
        // The labels of padding name no class.
        let padded = [1, 0, 9, 0, 9, 9];
        let labels = if padding.is_some() {
            &padded[..]
        } else {
            &[1, 0, 0]
        };
        softmax_cross_entropy(y, 2, labels, None, padding, dy)
    }
    let losses = [
        mean_squared_error,
        binary_cross_entropy_with_logits,
        cross_entropy,
    ];
    let padding = Padding {
        steps: 3,
        lengths: &[2, 1],
    };
    let counted = |values: &[f64]| [&values[..4], &values[6..8]].concat();
    for loss in losses {
        let (mut expected, mut dy) = ([0.0; 6], [f64::NAN; 12]);
        let value = loss(&counted(&y), &counted(&targets), None, Some(&mut expected)).unwrap();
        let mut dirty = y.clone();
        dirty[4..6].fill(f64::NAN);
        dirty[8..].fill(f64::NAN);
        let padded = loss(&dirty, &targets, Some(padding), Some(&mut dy)).unwrap();
        assert_close(padded, value, 1e-15);
        assert_eq!(counted(&dy), expected);
        assert!([&dy[4..6], &dy[8..]].concat().iter().all(|&dy| dy == 0.0));
    }
}

#[test]
fn an_element_whose_target_is_nan_does_not_count() {
    fn check<E: Element>() {
        let nan = E::from_f64(f64::NAN);
        let losses = [mean_squared_error, binary_cross_entropy_with_logits];
        let padding = Padding {
            steps: 200,
            lengths: &[150, 200, 1],
        };
        for (loss, padding) in losses
            .into_iter()
            .flat_map(|loss| [None, Some(padding)].map(|padding| (loss, padding)))
        {
            let (y, all) = (numbers::<E>(1200, 0.4), probabilities::<E>(1200));
            // Every third element, and a stretch of them; what the outputs are there does not matter.
            let is_missing = |index: usize| index % 3 == 1 || (400..700).contains(&index);
            let counts = |index: usize| match padding {
                None => !is_missing(index),
                Some(Padding { steps, lengths }) => {
                    let row = index / 2;
                    row % steps < lengths[row / steps] && !is_missing(index)
                }
            };
            let mut targets = all.clone();
            let mut outputs = y.clone();
            for index in (0..1200).filter(|&index| is_missing(index)) {
                targets[index] = nan;
                outputs[index] = [nan, E::from_f64(f64::INFINITY), y[index]][index % 3];
            }
            let counted = |values: &[E]| -> Vec<E> {
                let indices = (0..1200).filter(|&index| counts(index));
                indices.map(|index| values[index]).collect()
            };
            let mut expected = vec![nan; counted(&y).len()];
            let mut gradient = vec![nan; 1200];
            let value = loss(&counted(&y), &counted(&all), None, Some(&mut expected)).unwrap();
            let found = loss(&outputs, &targets, padding, Some(&mut gradient)).unwrap();
            // In another order.
            assert!((found - value).abs() <= 1e-14 * value, "{found} {value}");
            assert_eq!(counted(&gradient), expected);
            let others = (0..1200).filter(|&index| !counts(index));
            assert!({ others }.all(|index| gradient[index] == E::ZERO));

            gradient.fill(nan);
            let nothing = vec![nan; 1200];
            let found = loss(&outputs, &nothing, padding, Some(&mut gradient)).unwrap();
            assert_eq!(found, 0.0);
            assert!(gradient.iter().all(|&value| value == E::ZERO));
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_row_without_a_label_does_not_count() {
    let y = numbers::<f64>(12, 0.4);
    let labels = [1, NO_LABEL, 0, NO_LABEL, 2, 1];
    let y = [&y[..], &y[..6]].concat();
    for (padding, padded) in [
        (None, false),
        (
            Some(Padding {
                steps: 3,
                lengths: &[3, 2],
            }),
            true,
        ),
    ] {
        let mut rows = vec![0, 2, 4, 5];
        rows.truncate(if padded { 3 } else { 4 });
        let logits: Vec<f64> = rows
            .iter()
            .flat_map(|row| y[row * 3..][..3].to_vec())
            .collect();
        let kept: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
        for ignored in [None, Some(2)] {
            let (mut expected, mut d) = (vec![1.0; logits.len()], vec![1.0; y.len()]);
            let value =
                softmax_cross_entropy(&logits, 3, &kept, ignored, None, Some(&mut expected))
                    .unwrap();
            let found = softmax_cross_entropy(&y, 3, &labels, ignored, padding, Some(&mut d));
            assert_eq!(found.unwrap(), value);
            for row in 0..6 {
                let found = &d[row * 3..][..3];
                match rows.iter().position(|&other| other == row) {
                    Some(place) => assert_eq!(found, &expected[place * 3..][..3]),
                    None => assert_eq!(found, [0.0; 3]),
                }
            }
        }
    }
}

#[test]
fn class_weights_are_those_of_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/class_weights.json");
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let numbers =
            |key: &str| -> Vec<f64> { serde_json::from_value(case[key].clone()).unwrap() };
        let labels: Vec<i64> = serde_json::from_value(case["labels"].clone()).unwrap();
        let labels: Vec<usize> = labels
            .into_iter()
            .map(|label| usize::try_from(label).unwrap_or(NO_LABEL))
            .collect();
        let (logits, weights, gradient) =
            (numbers("logits"), numbers("weights"), numbers("gradient"));
        let (classes, loss) = (weights.len(), case["loss"].as_f64().unwrap());

        let mut d = vec![f64::NAN; logits.len()];
        let run = |labels: &[usize], logits: &[f64], padding, d: &mut [f64]| {
            let weights = Some(&weights[..]);
            softmax_cross_entropy_weighted(logits, classes, labels, weights, None, padding, Some(d))
                .unwrap()
        };
        let found = run(&labels, &logits, None, &mut d);
        assert_close(found, loss, 1e-12);
        for (found, expected) in d.iter().zip(&gradient) {
            assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3));
        }

        // As one sequence of two, the other of which is but padding from its first step on, which counts for nothing.
        let rows = labels.len();
        let padded_labels = [&labels[..], &vec![NO_LABEL; rows]].concat();
        let padded = [&logits[..], &vec![f64::NAN; logits.len()]].concat();
        let lengths = [rows, 1];
        let padding = Padding {
            steps: rows,
            lengths: &lengths,
        };
        let mut twice = vec![f64::NAN; padded.len()];
        assert_eq!(
            run(&padded_labels, &padded, Some(padding), &mut twice),
            found
        );
        assert_eq!(twice[..d.len()], d);
        assert!(twice[d.len()..].iter().all(|&value| value == 0.0));

        let narrow =
            |values: &[f64]| -> Vec<f32> { values.iter().map(|&value| value as f32).collect() };
        let mut d = vec![f32::NAN; logits.len()];
        let weights = narrow(&weights);
        let found = softmax_cross_entropy_weighted(
            &narrow(&logits),
            classes,
            &labels,
            Some(&weights),
            None,
            None,
            Some(&mut d),
        );
        assert_close(found.unwrap(), loss, 1e-5);
        for (found, expected) in d.iter().zip(&gradient) {
            assert!((f64::from(*found) - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn weights_of_one_change_no_bit_and_those_of_zero_do_not_count() {
    let logits = numbers::<f32>(12, 0.6);
    let labels = [0, 2, 1, NO_LABEL];
    let run = |weights: Option<&[f32]>, ignored| {
        let mut d = [f32::NAN; 12];
        let loss = softmax_cross_entropy_weighted(
            &logits,
            3,
            &labels,
            weights,
            ignored,
            None,
            Some(&mut d),
        );
        (loss.unwrap().to_bits(), d.map(f32::to_bits))
    };
    let mut d = [f32::NAN; 12];
    let plain = softmax_cross_entropy(&logits, 3, &labels, None, None, Some(&mut d)).unwrap();
    let plain = (plain.to_bits(), d.map(f32::to_bits));
    assert_eq!(run(None, None), plain);
    assert_eq!(run(Some(&[1.0; 3]), None), plain);
    assert_eq!(run(Some(&[1.0, 0.0, 1.0]), None), run(None, Some(1)));
    let (loss, d) = run(Some(&[0.0; 3]), None);
    assert_eq!((loss, d), (0, [0; 12]));
}

#[test]
fn nothing_that_counts_is_a_loss_of_zero() {
    let mut d = [1.0_f32; 4];
    let loss = softmax_cross_entropy(&[1.0; 4], 2, &[7, 7], Some(7), None, Some(&mut d)).unwrap();
    assert_eq!((loss, d), (0.0, [0.0; 4]));
    assert_eq!(
        mean_squared_error::<f32>(&[], &[], None, None).unwrap(),
        0.0
    );
}

#[test]
fn wrong_arguments_are_named_and_nothing_is_written() {
    let padding = |steps, lengths| Some(Padding { steps, lengths });
    let y = [0.0_f32; 4];
    let mut d = [7.0_f32; 4];
    let mut short = [7.0_f32; 3];
    let weighted = |weights: &[f32], d: &mut [f32]| {
        softmax_cross_entropy_weighted(&y, 2, &[0, 1], Some(weights), None, None, Some(d))
    };
    let errors = [
        softmax_cross_entropy(&y, 0, &[0], None, None, Some(&mut d)),
        softmax_cross_entropy(&y, 2, &[0], None, None, Some(&mut d)),
        softmax_cross_entropy(&y, 2, &[0, 1], None, None, Some(&mut short)),
        softmax_cross_entropy(&y, 2, &[0, 2], None, None, Some(&mut d)),
        softmax_cross_entropy(&y, 2, &[0, 1], None, padding(2, &[3]), Some(&mut d)),
        softmax_cross_entropy(&y, 2, &[0, 1], None, padding(3, &[3]), Some(&mut d)),
        softmax(&y, 3, &mut d).map(|()| 0.0),
        softmax(&y, 2, &mut short).map(|()| 0.0),
        mean_squared_error(&y, &[0.0; 3], None, Some(&mut d)),
        mean_squared_error(&y, &y, padding(3, &[2]), Some(&mut d)),
        mean_squared_error(&y, &y, None, Some(&mut short)),
        binary_cross_entropy_with_logits(&y, &[0.0, 0.0, 0.0, 1.5], None, Some(&mut d)),
        weighted(&[1.0], &mut d),
        weighted(&[1.0, -0.5], &mut d),
        weighted(&[f32::INFINITY, 1.0], &mut d),
        weighted(&[1.0, f32::NAN], &mut d),
    ];
    let messages = errors.map(|result| result.unwrap_err().to_string());
    let expected = [
        "classes is 0, expected at least 1",
        "logits has 4 elements, expected 2",
        "dlogits has 3 elements, expected 4",
        "labels[1] is 2, expected less than 2, the number of classes",
        "lengths[0] is 3, expected 0 to 2",
        "labels has 2 elements, expected 3",
        "logits has 4 elements, expected 6",
        "probabilities has 3 elements, expected 4",
        "targets has 3 elements, expected 4",
        "y has 4 elements, expected 6",
        "dy has 3 elements, expected 4",
        "a target is 1.5, expected 0 to 1, or NaN for none",
        "weights has 1 elements, expected 2",
        "weights is -0.5, expected a finite number, at least 0",
        "weights is inf, expected a finite number, at least 0",
        "weights is NaN, expected a finite number, at least 0",
    ];
    assert_eq!(messages, expected);
    assert_eq!((d, short), ([7.0; 4], [7.0; 3]));
    for wrong in [-1e-9, 1.0 + f32::EPSILON, f32::INFINITY] {
        let wrong = binary_cross_entropy_with_logits(&y, &[wrong; 4], None, None);
        assert!(matches!(wrong, Err(Error::OutOfRange { .. })));
    }
}
