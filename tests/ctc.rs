//! The CTC loss against PyTorch, against a sum over all alignments, at its limits, and in a training.

use elman::loss::{
    CtcLabels, CtcOptions, CtcReduction, CtcWorkspace, Padding, ctc, ctc_greedy_decode, softmax,
};
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Element, Error, ErrorKind, Network, Output, Result};
use serde_json::Value;

const SUM: CtcReduction = CtcReduction::Sum;

fn options(blank: usize, reduction: CtcReduction, zero_infinity: bool) -> CtcOptions {
    let mut options = CtcOptions::default();
    options.blank = blank;
    options.reduction = reduction;
    options.zero_infinity = zero_infinity;
    options
}

/// Numbers in [-size, size] that follow no pattern.
fn numbers<E: Element>(count: usize, size: f64, phase: f64) -> Vec<E> {
    let number = |i| {
        let angle = phase + 2.3 * f64::from(i) + (1.7 * f64::from(i)).sin();
        E::from_f64(size * (3.0 * angle).sin())
    };
    (0..u32::try_from(count).unwrap()).map(number).collect()
}

/// Labels of sequences, one after the other, and their numbers.
fn joined(labels: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    (labels.concat(), labels.iter().map(Vec::len).collect())
}

/// The loss and its gradient in a workspace of its own.
fn loss_of<E: Element>(
    logits: &[E],
    classes: usize,
    labels: &[Vec<usize>],
    padding: Option<Padding<'_>>,
    options: CtcOptions,
) -> Result<(f64, Vec<E>)> {
    let (labels, lengths) = joined(labels);
    let labels = CtcLabels {
        labels: &labels,
        lengths: &lengths,
    };
    let mut gradient = vec![E::from_f64(7.0); logits.len()];
    let mut workspace = CtcWorkspace::new();
    let d = Some(&mut gradient[..]);
    let loss = ctc(logits, classes, labels, padding, options, &mut workspace, d)?;
    let alone = ctc(
        logits,
        classes,
        labels,
        padding,
        options,
        &mut workspace,
        None,
    )?;
    assert_eq!(loss.to_bits(), alone.to_bits());
    Ok((loss, gradient))
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    fn check<E: Element>(tolerance: f64) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ctc.json");
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = file["cases"].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            fn get<T: serde::de::DeserializeOwned>(case: &Value, key: &str) -> T {
                serde_json::from_value(case[key].clone()).unwrap()
            }
            let name: String = get(case, "name");
            let logits: Vec<f64> = get(case, "logits");
            let logits: Vec<E> = logits.into_iter().map(E::from_f64).collect();
            let (classes, lengths): (usize, Vec<usize>) =
                (get(case, "classes"), get(case, "lengths"));
            let labels: Vec<Vec<usize>> = get(case, "labels");
            let reduction = match &*get::<String>(case, "reduction") {
                "mean" => CtcReduction::Mean,
                "sum" => CtcReduction::Sum,
                other => panic!("{other}"),
            };
            let options = options(get(case, "blank"), reduction, get(case, "zero_infinity"));
            let steps = get(case, "steps");
            let lengths = &lengths[..];
            let padding = Some(Padding { steps, lengths });
            let (loss, gradient) = loss_of(&logits, classes, &labels, padding, options).unwrap();
            let expected: f64 = get(case, "loss");
            assert!(
                (loss - expected).abs() <= tolerance * expected,
                "{name}: {loss}, expected {expected}"
            );
            let expected: Vec<f64> = get(case, "gradient");
            let largest = expected.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
            for (index, (found, expected)) in gradient.iter().zip(&expected).enumerate() {
                let found = found.to_f64();
                assert!(
                    (found - expected).abs() <= tolerance * largest,
                    "{name}, [{index}]: {found}, expected {expected}"
                );
            }
        }
    }
    check::<f64>(1e-9);
    check::<f32>(1e-5);
}

/// What a path spells.
fn spelled(path: &[usize], blank: usize) -> Vec<usize> {
    let mut collapsed = path.to_vec();
    collapsed.dedup();
    collapsed.retain(|&class| class != blank);
    collapsed
}

/// All paths of so many steps.
fn paths(steps: u32, classes: usize) -> impl Iterator<Item = Vec<usize>> {
    let path = move |number: usize| {
        let class = |step| number / classes.pow(step) % classes;
        (0..steps).map(class).collect()
    };
    (0..classes.pow(steps)).map(path)
}

#[test]
fn the_loss_is_that_of_all_alignments() {
    for (steps, classes, blank, phase) in [
        (1, 3, 0, 0.1),
        (4, 3, 0, 0.2),
        (5, 3, 2, 0.3),
        (6, 2, 1, 0.4),
    ] {
        let rows = steps as usize;
        let logits = numbers::<f64>(rows * classes, 3.0, phase);
        let mut p = vec![0.0; logits.len()];
        softmax(&logits, classes, &mut p).unwrap();
        // What can be spelled at all, with the probabilities of all paths and of those with a class at a step.
        let mut spellings = std::collections::BTreeMap::new();
        for path in paths(steps, classes) {
            let chances = path.iter().enumerate();
            let chance: f64 = { chances }
                .map(|(step, class)| p[step * classes + class])
                .product();
            let (total, at) = spellings
                .entry(spelled(&path, blank))
                .or_insert_with(|| (0.0, vec![0.0; logits.len()]));
            *total += chance;
            for (step, class) in path.iter().enumerate() {
                at[step * classes + class] += chance;
            }
        }
        assert!(spellings.len() > 2);
        let mut sum = 0.0;
        for (labels, (total, at)) in spellings {
            let options = options(blank, SUM, false);
            let (loss, gradient) = loss_of(
                &logits,
                classes,
                std::slice::from_ref(&labels),
                None,
                options,
            )
            .unwrap();
            assert!((loss + total.ln()).abs() < 1e-12, "{labels:?}: {loss}");
            for ((gradient, p), at) in gradient.iter().zip(&p).zip(at) {
                assert!((gradient - (p - at / total)).abs() < 1e-12, "{labels:?}");
            }
            sum += (-loss).exp();
        }
        assert!((sum - 1.0).abs() < 1e-12);
    }
}

/// A batch of sequences of different lengths, one of them without labels.
struct Ragged<E> {
    logits: Vec<E>,
    labels: Vec<Vec<usize>>,
}

const STEPS: usize = 12;
const CLASSES: usize = 5;
const LENGTHS: [usize; 4] = [12, 3, 7, 9];
const PADDING: Option<Padding<'_>> = Some(Padding {
    steps: STEPS,
    lengths: &LENGTHS,
});

impl<E: Element> Ragged<E> {
    fn new() -> Self {
        let mut logits = numbers(LENGTHS.len() * STEPS * CLASSES, 4.0, 0.7);
        for (row, logits) in logits.chunks_exact_mut(CLASSES).enumerate() {
            if row % STEPS >= LENGTHS[row / STEPS] {
                logits.fill(E::from_f64(f64::NAN));
            }
        }
        Self {
            logits,
            labels: vec![vec![1, 1, 4, 2, 2, 3], vec![2, 4], vec![], vec![3, 3, 3]],
        }
    }

    fn loss(&self, options: CtcOptions) -> (f64, Vec<E>) {
        loss_of(&self.logits, CLASSES, &self.labels, PADDING, options).unwrap()
    }

    /// The elements of a sequence.
    fn of(sequence: usize) -> std::ops::Range<usize> {
        let start = sequence * STEPS * CLASSES;
        start..start + LENGTHS[sequence] * CLASSES
    }
}

#[test]
fn gradients_are_the_derivatives() {
    for reduction in [CtcReduction::Mean, SUM] {
        let options = options(0, reduction, false);
        let mut ragged = Ragged::<f64>::new();
        let (_, gradient) = ragged.loss(options);
        for index in (0..LENGTHS.len()).flat_map(Ragged::<f64>::of) {
            let mut at = |step| {
                let old = ragged.logits[index];
                ragged.logits[index] += step;
                let (loss, _) = ragged.loss(options);
                ragged.logits[index] = old;
                loss
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((gradient[index] - numeric).abs() < 1e-8, "{index}");
        }
    }
}

#[test]
fn a_sequence_is_the_same_alone_and_in_a_batch() {
    fn check<E: Element>() {
        let ragged = Ragged::<E>::new();
        let options = options(0, SUM, false);
        let (loss, gradient) = ragged.loss(options);
        let mut sum = 0.0;
        for (sequence, labels) in ragged.labels.iter().enumerate() {
            let of = Ragged::<E>::of(sequence);
            let labels = std::slice::from_ref(labels);
            let (loss, alone) =
                loss_of(&ragged.logits[of.clone()], CLASSES, labels, None, options).unwrap();
            assert_eq!(gradient[of.clone()], alone);
            let behind = &gradient[of.end..(sequence + 1) * STEPS * CLASSES];
            assert!(behind.iter().all(|&d| d == E::ZERO));
            sum += loss;
        }
        assert_eq!(loss, sum);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_workspace_changes_nothing() {
    let ragged = Ragged::<f32>::new();
    let expected = ragged.loss(CtcOptions::default());
    let mut workspace = CtcWorkspace::default();
    let (labels, lengths) = joined(&ragged.labels);
    let labels = CtcLabels {
        labels: &labels,
        lengths: &lengths,
    };
    let other = numbers(40 * 9, 1.0, 0.3);
    for round in 0..3 {
        let mut d = vec![f32::NAN; ragged.logits.len()];
        let loss = ctc(
            &ragged.logits,
            CLASSES,
            labels,
            PADDING,
            CtcOptions::default(),
            &mut workspace,
            Some(&mut d),
        );
        assert_eq!((loss.unwrap(), d), expected, "{round}");
        let labels = CtcLabels {
            labels: &[1, 8, 8, 3],
            lengths: &[4],
        };
        let mut d = [f32::NAN; 40 * 9];
        ctc(
            &other,
            9,
            labels,
            None,
            CtcOptions::default(),
            &mut workspace,
            Some(&mut d),
        )
        .unwrap();
    }
}

#[test]
fn logits_of_any_size_and_long_sequences_keep_their_digits() {
    fn check<E: Element>(sizes: &[f64], tolerance: f64) {
        for &size in sizes {
            // The only path there is goes through the unlikeliest classes.
            let logits = [size, -size, 0.0].repeat(4).map_to::<E>();
            let (loss, d) =
                loss_of(&logits, 3, &[vec![1, 1, 1]], None, options(0, SUM, true)).unwrap();
            assert_eq!((loss, d), (0.0, vec![E::ZERO; 12]));
            let (loss, d) = loss_of(
                &logits,
                3,
                &[vec![1, 2, 1, 2]],
                None,
                options(0, SUM, false),
            )
            .unwrap();
            let expected = 2.0 * (2.0 * logits[0].to_f64() + logits[0].to_f64());
            assert!(
                (loss - expected).abs() <= tolerance * expected,
                "{loss} {expected}"
            );
            assert_eq!(d, [1.0, -1.0, 0.0, 1.0, 0.0, -1.0].repeat(2).map_to::<E>());
            // Without labels the way is the blank's, which is certain.
            let (loss, d) = loss_of(&logits, 3, &[vec![]], None, options(0, SUM, false)).unwrap();
            assert_eq!((loss, d), (0.0, vec![E::ZERO; 12]));
        }
        // Numbers so large that of those between them there are none.
        for &size in sizes {
            let logits = numbers::<E>(20 * 4, size, 0.3);
            let labels = [vec![1, 2, 2, 3, 1]];
            let (loss, d) = loss_of(&logits, 4, &labels, None, options(0, SUM, false)).unwrap();
            assert!(loss.is_finite() && loss > size);
            for d in d.chunks_exact(4) {
                assert!(d.iter().all(|d| d.abs() <= E::ONE));
                assert!(d.iter().copied().sum::<E>().abs() <= E::from_f64(tolerance));
            }
        }
        // All classes are equally likely at 3000 steps: the blank and one label make 3000 · 3001 / 2 paths.
        let (loss, d) = loss_of(
            &[E::ONE; 3000 * 9],
            9,
            &[vec![4]],
            None,
            options(0, SUM, false),
        )
        .unwrap();
        let expected = 3000.0 * 9.0_f64.ln() - (3000.0 * 3001.0 / 2.0_f64).ln();
        assert!(
            (loss - expected).abs() <= tolerance * expected,
            "{loss} {expected}"
        );
        // At the first step the label is there in 3000 of these paths.
        let chance = 1.0 / 9.0 - 3000.0 / (3000.0 * 3001.0 / 2.0);
        assert!((d[4].to_f64() - chance).abs() <= tolerance);
        assert!((d[1].to_f64() - 1.0 / 9.0).abs() <= tolerance);
    }
    check::<f32>(&[1e3, 1e4, 1e30], 1e-6);
    check::<f64>(&[1e3, 1e4, 1e30, 1e300], 1e-12);
}

trait MapTo {
    fn map_to<E: Element>(self) -> Vec<E>;
}

impl MapTo for Vec<f64> {
    fn map_to<E: Element>(self) -> Vec<E> {
        self.into_iter().map(E::from_f64).collect()
    }
}

#[test]
fn small_losses_and_gradients_keep_their_digits() {
    // One label at each of two steps that are nearly certain of it, and not of the blank: all but both blanks spell it.
    let z = [-20.0_f32, 0.0, -20.0, 0.0];
    let (loss, d) = loss_of(&z, 2, &[vec![1]], None, options(0, SUM, false)).unwrap();
    let blank = (-20.0_f64).exp() / (1.0 + (-20.0_f64).exp());
    // ln(1 - blank²) is below what doubles near 1 can tell.
    assert!(loss.abs() < 1e-15);
    let slope = blank - blank * (1.0 - blank) / (1.0 - blank * blank);
    assert!(slope > 0.0 && f64::from(d[0].abs()) < 1e-15);

    // At one step.
    let (loss, d) = loss_of(&z[..2], 2, &[vec![1]], None, options(0, SUM, false)).unwrap();
    assert!((loss - blank).abs() < 1e-6 * blank, "{loss} {blank}");
    assert!((f64::from(d[0]) - blank).abs() < 1e-6 * blank);
    assert!((f64::from(d[1]) + blank).abs() < 1e-6 * blank);
}

#[test]
fn what_is_not_finite_stays_in_its_sequence() {
    for (value, is_nan) in [(f32::NAN, true), (f32::NEG_INFINITY, false)] {
        let mut ragged = Ragged::<f32>::new();
        let (_, expected) = ragged.loss(options(0, SUM, false));
        // Minus infinity at the labels of all steps makes them impossible.
        for row in ragged.logits[Ragged::<f32>::of(1)].chunks_exact_mut(CLASSES) {
            row[2] = value;
        }
        for zero_infinity in [false, true] {
            let (loss, d) = ragged.loss(options(0, SUM, zero_infinity));
            let of = Ragged::<f32>::of(1);
            if is_nan {
                assert!(loss.is_nan());
            } else {
                assert_eq!(loss == f64::INFINITY, !zero_infinity);
            }
            if zero_infinity && !is_nan {
                assert!(d[of.clone()].iter().all(|&d| d == 0.0));
            } else {
                assert!(d[of.clone()].iter().all(|d| d.is_nan()));
            }
            assert_eq!(d[..of.start], expected[..of.start]);
            assert_eq!(d[of.end..], expected[of.end..]);
        }
    }
    // A class that is certain.
    let z = [0.0, f32::INFINITY, 0.0, 1.0, 1.0, 2.0];
    let (loss, d) = loss_of(&z, 3, &[vec![1]], None, options(0, SUM, false)).unwrap();
    let others = 2.0 + 1.0_f64.exp();
    assert!((loss - (others.ln() - 2.0_f64.ln())).abs() < 1e-6);
    assert_eq!(d[..3], [0.0; 3]);
}

#[test]
fn a_sequence_that_is_too_short_for_its_labels_is_an_error() {
    let logits = numbers::<f64>(2 * 3 * 4, 1.0, 0.5);
    let padding = Some(Padding {
        steps: 3,
        lengths: &[3, 2],
    });
    let run = |first: &[usize], second: &[usize], zero_infinity| {
        let labels = [first.to_vec(), second.to_vec()];
        loss_of(&logits, 4, &labels, padding, options(0, SUM, zero_infinity))
    };
    let error = run(&[1, 2, 3], &[1, 1], false).unwrap_err();
    assert!(matches!(
        error,
        Error::TooFewSteps {
            sequence: 1,
            steps: 2,
            needed: 3,
            labels: 2
        }
    ));
    assert_eq!(error.kind(), ErrorKind::OutOfRange);
    assert_eq!(
        error.to_string(),
        "sequence 1 has 2 steps, expected at least 3 for its 2 labels: one for each, and one between two that are equal"
    );
    let error = run(&[1, 2, 3, 2], &[1, 2], false).unwrap_err();
    assert!(matches!(
        error,
        Error::TooFewSteps {
            sequence: 0,
            needed: 4,
            ..
        }
    ));
    // Or counts for nothing.
    let (loss, d) = run(&[1, 2, 3], &[1, 1], true).unwrap();
    let alone = loss_of(
        &logits[..12],
        4,
        &[vec![1, 2, 3]],
        None,
        options(0, SUM, false),
    )
    .unwrap();
    assert_eq!((loss, &d[..12]), (alone.0, &alone.1[..]));
    assert_eq!(d[12..], [0.0; 12]);
    // A sequence without steps spells no label, and that for certain.
    let padding = Some(Padding {
        steps: 3,
        lengths: &[3, 0],
    });
    let labels = [vec![1, 2, 3], vec![]];
    let found = loss_of(&logits, 4, &labels, padding, options(0, SUM, false)).unwrap();
    assert_eq!(found, (loss, d));
}

#[test]
fn wrong_arguments_are_named_and_nothing_is_written() {
    let logits = [0.0_f32; 12];
    let mut d = [7.0_f32; 12];
    let mut run = |classes, labels: &[usize], lengths: &[usize], padding, blank, len: usize| {
        let labels = CtcLabels { labels, lengths };
        let options = options(blank, SUM, false);
        let mut workspace = CtcWorkspace::new();
        let d = Some(&mut d[..len]);
        let error = ctc(
            &logits,
            classes,
            labels,
            padding,
            options,
            &mut workspace,
            d,
        )
        .unwrap_err();
        error.to_string()
    };
    let padding = |steps, lengths| Some(Padding { steps, lengths });
    let found = [
        run(0, &[1], &[1], None, 0, 12),
        run(3, &[], &[], None, 0, 12),
        run(5, &[1], &[1], None, 0, 12),
        run(3, &[1], &[1], padding(3, &[3]), 0, 12),
        run(3, &[1], &[1], padding(4, &[4, 4]), 0, 12),
        run(3, &[1], &[1], padding(4, &[5]), 0, 12),
        run(3, &[1, 2], &[1], None, 0, 12),
        run(3, &[1, 3], &[2], None, 0, 12),
        run(3, &[1, 2], &[2], None, 2, 12),
        run(3, &[1, 2], &[2], None, 3, 12),
        run(3, &[1, 2], &[2], None, 0, 11),
        run(3, &[1], &[usize::MAX], None, 0, 12),
    ];
    let expected = [
        "classes is 0, expected at least 1",
        "batch is 0, expected at least 1",
        "logits has 12 elements, expected 15",
        "logits has 12 elements, expected 9",
        "lengths has 2 elements, expected 1",
        "lengths[0] is 5, expected 0 to 4",
        "labels has 2 elements, expected 1",
        "labels[1] is 3, expected less than 3, the number of classes",
        "labels[1] is 2, the blank, expected another class",
        "blank is 3, expected less than 3",
        "dlogits has 11 elements, expected 12",
        "the size of labels overflows",
    ];
    assert_eq!(found, expected);
    assert_eq!(d, [7.0; 12]);

    // However many classes: nothing has no step.
    let mut workspace = CtcWorkspace::new();
    let lengths = &[0, 0];
    let none = CtcLabels {
        labels: &[],
        lengths,
    };
    let options = CtcOptions::default();
    let error = ctc::<f32>(&[], usize::MAX, none, None, options, &mut workspace, None);
    let message = error.unwrap_err().to_string();
    assert_eq!(message, "steps is 0, expected at least 1");

    let (mut labels, mut lengths) = ([7; 4], [7]);
    let mut decode = |classes, padding, blank, room: usize| {
        ctc_greedy_decode(
            &logits,
            classes,
            padding,
            blank,
            &mut labels[..room],
            &mut lengths,
        )
        .unwrap_err()
        .to_string()
    };
    let found = [
        decode(0, None, 0, 4),
        decode(5, None, 0, 4),
        decode(3, None, 3, 4),
        decode(3, None, 0, 3),
        decode(3, padding(4, &[5]), 0, 4),
    ];
    let expected = [
        "classes is 0, expected at least 1",
        "logits has 12 elements, expected 15",
        "blank is 3, expected less than 3",
        "labels has 3 elements, expected 4",
        "lengths[0] is 5, expected 0 to 4",
    ];
    assert_eq!(found, expected);
    assert_eq!((labels, lengths), ([7; 4], [7]));
}

#[test]
fn decoding_collapses_what_repeats_and_drops_blanks() {
    let best = [
        vec![0, 3, 3, 0, 3, 1, 1, 0],
        vec![2, 2, 2],
        vec![0, 0, 0, 0, 0],
        vec![1, 2, 1, 2, 0, 0, 2],
    ];
    for blank in 0..4 {
        let mut logits = numbers::<f64>(4 * 8 * 4, 0.9, 0.4);
        let lengths: Vec<usize> = best.iter().map(Vec::len).collect();
        for (sequence, path) in best.iter().enumerate() {
            // What is likeliest behind the end does not matter.
            for (step, logits) in logits[sequence * 32..][..32]
                .chunks_exact_mut(4)
                .enumerate()
            {
                logits[*path.get(step).unwrap_or(&1)] += 2.0;
            }
        }
        let padding = Some(Padding {
            steps: 8,
            lengths: &lengths,
        });
        let (mut labels, mut label_lengths) = ([9; 32], [9; 4]);
        let count = ctc_greedy_decode(&logits, 4, padding, blank, &mut labels, &mut label_lengths);
        let expected: Vec<_> = best.iter().map(|path| spelled(path, blank)).collect();
        let (expected, expected_lengths) = joined(&expected);
        assert_eq!(labels[..count.unwrap()], expected);
        assert_eq!(labels[expected.len()..], vec![9; 32 - expected.len()]);
        assert_eq!(label_lengths[..], expected_lengths);
    }
}

/// Letters of different lengths with pauses between them, as a feature each: what is to be read are the letters, of which a
/// label says nothing about when.
struct Letters {
    x: Vec<f32>,
    lengths: Vec<usize>,
    labels: Vec<usize>,
    label_lengths: Vec<usize>,
}

const BATCH: usize = 24;
const LONGEST: usize = 20;
const LETTERS: usize = 3;

impl Letters {
    fn new(mut seed: u64) -> Self {
        let mut to = |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % most
        };
        let mut letters = Self {
            x: vec![0.0; BATCH * LONGEST * LETTERS],
            lengths: Vec::new(),
            labels: Vec::new(),
            label_lengths: Vec::new(),
        };
        for sequence in 0..BATCH {
            let (mut step, count) = (to(2) as usize, to(5) as usize);
            for _ in 0..count {
                let letter = to(LETTERS as u64) as usize;
                for _ in 0..1 + to(2) {
                    letters.x[(sequence * LONGEST + step) * LETTERS + letter] = 1.0;
                    step += 1;
                }
                step += 1 + to(2) as usize;
                letters.labels.push(1 + letter);
            }
            letters.lengths.push(step.max(1));
            letters.label_lengths.push(count);
        }
        letters
    }

    fn batch(&self) -> Batch<'_, f32> {
        Batch {
            x: &self.x,
            batch: BATCH,
            steps: LONGEST,
            lengths: Some(&self.lengths),
        }
    }

    fn padding(&self) -> Option<Padding<'_>> {
        Some(Padding {
            steps: LONGEST,
            lengths: &self.lengths,
        })
    }
}

#[test]
fn a_network_learns_to_read_without_knowing_where() {
    const OUTPUTS: usize = LETTERS + 1;
    let mut network = Network::new(LETTERS).unwrap();
    network.set_seed(5);
    network.add_rnn(24, Activation::Tanh).unwrap();
    network.add_dense(OUTPUTS, Activation::Linear).unwrap();
    network.set_output(Output::All).unwrap();
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    let mut workspace = CtcWorkspace::new();
    let (mut y, mut dy) = (
        vec![0.0; BATCH * LONGEST * OUTPUTS],
        vec![0.0; BATCH * LONGEST * OUTPUTS],
    );
    let (mut first, mut last) = (None, 0.0);
    for step in 0..300 {
        let letters = Letters::new(step);
        network
            .forward(letters.batch(), None, Some(&mut y), None)
            .unwrap();
        let labels = CtcLabels {
            labels: &letters.labels,
            lengths: &letters.label_lengths,
        };
        last = ctc(
            &y,
            OUTPUTS,
            labels,
            letters.padding(),
            CtcOptions::default(),
            &mut workspace,
            Some(&mut dy),
        )
        .unwrap();
        first.get_or_insert(last);
        network.backward(Some(&dy), None, None, None).unwrap();
        network.update(&mut optimizer).unwrap();
    }
    assert!(last < 0.1 && first.unwrap() > 1.0, "{first:?} to {last}");

    // Letters that it has not seen.
    let letters = Letters::new(1 << 40);
    network
        .predict(letters.batch(), None, Some(&mut y), None)
        .unwrap();
    let (mut labels, mut label_lengths) = (vec![0; BATCH * LONGEST], vec![0; BATCH]);
    let padding = letters.padding();
    let count =
        ctc_greedy_decode(&y, OUTPUTS, padding, 0, &mut labels, &mut label_lengths).unwrap();
    assert_eq!(labels[..count], letters.labels);
    assert_eq!(label_lengths, letters.label_lengths);
}
