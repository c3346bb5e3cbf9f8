//! Data sets: from arrays, in mini-batches, and standardized.

use std::path::PathBuf;

use elman::dataset::{Dataset, MiniBatch, Standardization, Targets};
use elman::loss::NO_LABEL;
use elman::{Error, Result};

fn japanese_vowels(part: &str) -> Dataset {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/japanese_vowels");
    Dataset::read_ts(directory.join(format!("JapaneseVowels_{part}.ts"))).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// Sequences of 2, 1 and 3 steps of 2 features: 0 1, 2 3 | 4 5 | 6 7, 8 9, 10 11.
fn small(targets: Targets<f32>) -> Result<Dataset> {
    Dataset::new(
        2,
        (0..12).map(|value| value as f32).collect(),
        &[2, 1, 3],
        targets,
    )
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_dataset_from_arrays_gives_back_what_it_got() {
    let targets = Targets::Classes {
        labels: vec![1, 0, 1],
        names: names(&["no", "yes"]),
    };
    let data = small(targets.clone()).unwrap();
    assert_eq!((data.len(), data.input_size()), (3, 2));
    assert_eq!((data.total_steps(), data.max_length()), (6, 3));
    assert_eq!([0, 1, 2].map(|index| data.length(index)), [2, 1, 3]);
    assert_eq!(data.sequence(0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(data.sequence(1), [4.0, 5.0]);
    assert_eq!(data.sequence(2), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(
        [0, 1, 2].map(|index| data.label(index)),
        [Some(1), Some(0), Some(1)]
    );
    assert_eq!(
        (data.class_names(), data.class_count()),
        (&names(&["no", "yes"])[..], 2)
    );
    assert_eq!(data.targets(), &targets);

    let data = small(Targets::None).unwrap();
    assert_eq!((data.label(0), data.class_count()), (None, 0));
    let numbered = Targets::numbered_classes(vec![2, 0, 1], 3).unwrap();
    assert_eq!(
        small(numbered).unwrap().class_names(),
        names(&["0", "1", "2"])
    );
}

#[test]
fn every_argument_of_a_dataset_is_checked() {
    let none = || Targets::<f32>::None;
    assert_eq!(
        message(Dataset::new(0, vec![], &[1], none())),
        "input_size is 0, expected at least 1"
    );
    assert_eq!(
        message(Dataset::new(2, vec![], &[], none())),
        "the number of sequences is 0, expected at least 1"
    );
    assert_eq!(
        message(Dataset::new(2, vec![0.0; 5], &[2, 1], none())),
        "x has 5 elements, expected 6"
    );
    assert_eq!(
        message(Dataset::new(2, vec![0.0; 6], &[2, 0, 1], none())),
        "lengths[1] is 0, expected at least 1"
    );
    for (input_size, lengths) in [(1, [usize::MAX, 1]), (usize::MAX / 2, [1, 2])] {
        assert_eq!(
            message(Dataset::new(input_size, vec![0.0], &lengths, none())),
            "the size of x overflows"
        );
    }
    assert_eq!(
        message(Dataset::new(1, vec![0.0, f32::NAN], &[2], none())),
        "x[1] is NaN, expected a finite number"
    );

    let classes = |labels: &[usize], count: usize| {
        Targets::numbered_classes(labels.to_vec(), count).and_then(small)
    };
    assert_eq!(
        message(classes(&[0, 0, 0], 0)),
        "the number of classes is 0, expected at least 1"
    );
    assert_eq!(
        message(classes(&[0, 0], 2)),
        "labels has 2 elements, expected 3"
    );
    assert_eq!(
        message(classes(&[0, 1, 2], 2)),
        "labels[2] is 2, expected less than 2, the number of classes"
    );
    assert_eq!(
        message(classes(&[NO_LABEL, 0, NO_LABEL - 1], 2)),
        format!(
            "labels[2] is {}, expected less than 2, the number of classes",
            NO_LABEL - 1
        )
    );
    let unlabelled = classes(&[NO_LABEL, 1, NO_LABEL], 2).unwrap();
    assert_eq!(
        [0, 1, 2].map(|index| unlabelled.label(index)),
        [None, Some(1), None]
    );
    let steps = |labels: &[usize]| {
        small(Targets::StepClasses {
            labels: labels.to_vec(),
            names: names(&["a", "b"]),
        })
    };
    assert_eq!(
        message(steps(&[0, 1, 0])),
        "labels has 3 elements, expected 6"
    );
    assert_eq!(
        message(steps(&[0, 1, 0, 1, 7, 0])),
        "labels[4] is 7, expected less than 2, the number of classes"
    );

    let values = |size, per_step, values: &[f32]| {
        small(Targets::Values {
            size,
            per_step,
            values: values.to_vec(),
        })
    };
    assert_eq!(
        message(values(0, false, &[])),
        "the size of a target is 0, expected at least 1"
    );
    assert_eq!(
        message(values(2, false, &[0.0; 7])),
        "values has 7 elements, expected 6"
    );
    assert_eq!(
        message(values(2, true, &[0.0; 6])),
        "values has 6 elements, expected 12"
    );
    assert_eq!(
        message(values(usize::MAX, true, &[0.0])),
        "the size of values overflows"
    );
    assert!(values(1, false, &[0.0, f32::NAN, 0.0]).is_ok());
    assert_eq!(
        message(values(1, false, &[f32::NAN, 0.0, f32::NEG_INFINITY])),
        "values[2] is -inf, expected a finite number"
    );
}

#[test]
fn more_classes_than_memory_can_hold_are_an_error() {
    let error = |labels: &[usize], count| {
        Targets::<f32>::numbered_classes(labels.to_vec(), count).unwrap_err()
    };
    for count in [usize::MAX, usize::MAX / 2, isize::MAX as usize / 8 + 1] {
        assert!(matches!(error(&[0], count), Error::SizeOverflow { .. }));
    }
    for count in [
        isize::MAX as usize / 8,
        1 << 40,
        (1 << 32) - 1,
        (1 << 24) + 1,
    ] {
        assert!(matches!(error(&[0], count), Error::OutOfMemory { .. }));
        // Labels are looked at before memory is.
        let wrong = error(&[0, count], count);
        assert!(matches!(wrong, Error::Label { index: 1, .. }));
    }
    let names = |count| match Targets::<f32>::numbered_classes(vec![], count).unwrap() {
        Targets::Classes { names, .. } => names,
        other => unreachable!("{other:?}"),
    };
    let expected: Vec<_> = (0..1001).map(|class| class.to_string()).collect();
    assert_eq!(names(1001), expected);
}

#[test]
fn a_mini_batch_is_padded_with_zeros() {
    let mut batch = MiniBatch::default();
    let data = small(Targets::numbered_classes(vec![3, 1, 2], 4).unwrap()).unwrap();
    data.gather(&[2, 0], &mut batch).unwrap();
    assert_eq!(batch.steps, 3);
    assert_eq!(
        batch.x,
        [6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0]
    );
    assert_eq!(batch.lengths, [3, 2]);
    assert_eq!(batch.labels, [2, 3]);
    assert!(batch.values.is_empty());

    data.gather(&[1, 1], &mut batch).unwrap();
    assert_eq!(batch.steps, 1);
    assert_eq!(batch.x, [4.0, 5.0, 4.0, 5.0]);
    assert_eq!(
        (&batch.lengths[..], &batch.labels[..]),
        (&[1, 1][..], &[1, 1][..])
    );
}

#[test]
fn a_mini_batch_has_the_targets_of_its_sequences() {
    let mut batch = MiniBatch::default();
    let data = small(Targets::StepClasses {
        labels: vec![1, 2, 3, 4, 5, 6],
        names: (0..7).map(|class| class.to_string()).collect(),
    });
    data.unwrap().gather(&[1, 2, 0], &mut batch).unwrap();
    assert_eq!(batch.labels, [3, 0, 0, 4, 5, 6, 1, 2, 0]);

    let data = small(Targets::numbered_classes(vec![NO_LABEL, 1, NO_LABEL], 2).unwrap());
    data.unwrap().gather(&[1, 2, 0], &mut batch).unwrap();
    assert_eq!(batch.labels, [1, NO_LABEL, NO_LABEL]);

    let data = small(Targets::Values {
        size: 2,
        per_step: false,
        values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    });
    data.unwrap().gather(&[2, 1], &mut batch).unwrap();
    assert_eq!(batch.values, [5.0, 6.0, 3.0, 4.0]);
    assert!(batch.labels.is_empty());

    let data = small(Targets::Values {
        size: 2,
        per_step: true,
        values: (1..=12).map(|value| value as f32).collect(),
    });
    data.unwrap().gather(&[1, 0], &mut batch).unwrap();
    assert_eq!(batch.values, [5.0, 6.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);

    small(Targets::None)
        .unwrap()
        .gather(&[0], &mut batch)
        .unwrap();
    assert!(batch.labels.is_empty() && batch.values.is_empty());
}

#[test]
fn a_mini_batch_keeps_its_buffers() {
    let values = Targets::Values {
        size: 3,
        per_step: true,
        values: vec![0.5; 18],
    };
    let labels = Targets::StepClasses {
        labels: vec![0; 6],
        names: names(&["only"]),
    };
    let addresses = |batch: &MiniBatch| {
        let numbers = (batch.x.as_ptr(), batch.values.as_ptr());
        (numbers, batch.lengths.as_ptr(), batch.labels.as_ptr())
    };
    let capacities = |batch: &MiniBatch| {
        let numbers = (batch.x.capacity(), batch.values.capacity());
        (numbers, batch.lengths.capacity(), batch.labels.capacity())
    };
    for targets in [values, labels] {
        let data = small(targets).unwrap();
        let mut batch = MiniBatch::default();
        // The shortest sequence first: the longest one still finds its room.
        data.gather(&[1, 1], &mut batch).unwrap();
        let first = (addresses(&batch), capacities(&batch));
        for indices in [&[2, 2][..], &[0, 2], &[1]] {
            data.gather(indices, &mut batch).unwrap();
            assert_eq!(
                (addresses(&batch), capacities(&batch)),
                first,
                "{indices:?}"
            );
        }
    }
}

#[test]
fn a_mini_batch_is_as_it_was_after_an_error() {
    let data = small(Targets::None).unwrap();
    let mut batch = MiniBatch::default();
    data.gather(&[0, 2], &mut batch).unwrap();
    let before = batch.clone();
    assert_eq!(
        message(data.gather(&[0, 3], &mut batch)),
        "an index is 3, expected less than 3"
    );
    assert_eq!(
        message(data.gather(&[], &mut batch)),
        "the number of indices is 0, expected at least 1"
    );
    assert_eq!(batch, before);
}

#[test]
fn the_japanese_vowels_are_read_as_they_are() {
    let train = japanese_vowels("TRAIN");
    assert_eq!(
        (train.len(), train.input_size(), train.class_count()),
        (270, 12, 9)
    );
    assert_eq!(
        train.class_names(),
        names(&["1", "2", "3", "4", "5", "6", "7", "8", "9"])
    );
    assert_eq!((train.total_steps(), train.max_length()), (4274, 26));
    assert_eq!((0..270).map(|index| train.length(index)).min(), Some(7));
    assert_eq!(
        [0, 1, 2, 269].map(|index| train.length(index)),
        [20, 26, 22, 9]
    );
    assert!((0..270).all(|index| train.label(index) == Some(index / 30)));
    // Dimension by dimension in the file, step by step here.
    assert_eq!(train.sequence(0)[..2], [1.860936, -0.207383]);
    assert_eq!(train.sequence(0)[12..14], [1.891651, -0.193249]);
    assert_eq!(train.sequence(100)[3 * 12 + 4], -0.133087);
    assert_eq!(train.sequence(269).last(), Some(&0.173642));

    let test = japanese_vowels("TEST");
    assert_eq!(
        (test.len(), test.input_size(), test.class_count()),
        (370, 12, 9)
    );
    assert_eq!((test.total_steps(), test.max_length()), (5687, 29));
    assert_eq!((0..370).map(|index| test.length(index)).min(), Some(7));
    let count = |class| {
        (0..370)
            .filter(|&index| test.label(index) == Some(class))
            .count()
    };
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7, 8].map(count),
        [31, 35, 88, 44, 29, 24, 40, 50, 29]
    );
    assert_eq!(test.sequence(0)[..2], [1.635533, 0.024848]);
    assert_eq!(test.sequence(369)[0], 1.421622);
    assert_eq!(test.sequence(369).last(), Some(&0.224688));
}

#[test]
fn the_japanese_vowels_are_standardized_to_mean_0_and_deviation_1() {
    let train = japanese_vowels("TRAIN");
    let measured = train.standardization().unwrap();
    assert_eq!(measured.size(), 12);
    // Computed elsewhere, with exact sums.
    assert_eq!(measured.mean()[0], 0.869_105_5);
    assert_eq!(measured.deviation()[0], 0.487_619_88);
    assert_eq!(measured.mean()[11], 0.086_213_976);
    assert_eq!(measured.deviation()[11], 0.127_546_69);

    let mut rows = Vec::new();
    for index in 0..train.len() {
        let mut sequence = train.sequence(index).to_vec();
        measured.apply(&mut sequence).unwrap();
        rows.extend(sequence);
    }
    assert_eq!(
        rows[0],
        (1.860936 - measured.mean()[0]) * measured.inverse()[0]
    );
    let mapped = Dataset::new(12, rows, &[4274], Targets::None).unwrap();
    let again = mapped.standardization().unwrap();
    for (mean, deviation) in again.mean().iter().zip(again.deviation()) {
        assert!(mean.abs() < 1e-6, "mean {mean}");
        assert!((deviation - 1.0).abs() < 1e-6, "deviation {deviation}");
    }
}

#[test]
fn a_standardization_is_a_subtraction_and_a_multiplication() {
    let map = Standardization::new(vec![1.0, -2.0], vec![3.0, 0.5]).unwrap();
    assert_eq!(map.inverse(), [1.0_f32 / 3.0, 2.0]);
    let mut rows = [0.1_f32, 0.2, 8.0, -2.0];
    map.apply(&mut rows).unwrap();
    assert_eq!(
        rows,
        [
            (0.1 - 1.0) * (1.0 / 3.0),
            (0.2 + 2.0) * 2.0,
            7.0 * (1.0 / 3.0),
            0.0
        ]
    );
    assert_eq!(
        message(map.apply(&mut rows[..3])),
        "rows has 3 elements, expected 4"
    );
}

#[test]
fn every_argument_of_a_standardization_is_checked() {
    let new = |mean: &[f32], deviation: &[f32]| {
        message(Standardization::new(mean.to_vec(), deviation.to_vec()))
    };
    assert_eq!(
        new(&[], &[]),
        "the number of features is 0, expected at least 1"
    );
    assert_eq!(
        new(&[0.0, 0.0], &[1.0]),
        "deviation has 1 elements, expected 2"
    );
    assert_eq!(
        new(&[0.0, f32::NAN], &[1.0, 1.0]),
        "mean[1] is NaN, expected a finite number"
    );
    assert_eq!(
        new(&[0.0], &[f32::INFINITY]),
        "deviation[0] is inf, expected a finite number"
    );
    // A denormal number counts as 0.
    for (deviation, counts) in [(0.0, 0.0), (-0.0, -0.0), (-1.0, -1.0), (1e-40, 0.0)] {
        assert_eq!(
            new(&[0.0], &[deviation]),
            format!("deviation is {counts}, expected a number above 0 with a finite inverse")
        );
    }
}
