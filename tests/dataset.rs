//! Data sets: from arrays, from `.ts` files, in mini-batches, and standardized.

use std::path::PathBuf;

use elman::dataset::{Dataset, MiniBatch, Standardization, Targets};
use elman::loss::NO_LABEL;
use elman::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

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
        "lengths[1] is 0, expected 1 to 3"
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

/// Every freedom of the format that is supported, in a header and three cases.
const SMALL: &str = "\u{feff}# A comment.\n\
    @PROBLEMNAME small\n\
    @timestamps false\n\
    @missing true\n\
    @unheardOf tag\n\
    \n\
    @dimensions 2\n\
    @classLabel true up down\n\
    @Data\n\
    1,2 , 3:-4,+5e0,.6:down\n\
    # Another comment, and a blank line.\n\
    \t \n\
    7:8: up \n\
    9,10:11,12:down";

#[test]
fn a_ts_file_is_read() {
    let expected = Dataset::new(
        2,
        vec![
            1.0, -4.0, 2.0, 5.0, 3.0, 0.6, 7.0, 8.0, 9.0, 11.0, 10.0, 12.0,
        ],
        &[3, 1, 2],
        Targets::Classes {
            labels: vec![1, 0, 1],
            names: names(&["up", "down"]),
        },
    );
    let expected: Dataset = expected.unwrap();
    for text in [
        SMALL.to_string(),
        SMALL.replace('\n', "\r\n"),
        format!("{SMALL}\n\n"),
    ] {
        assert_eq!(
            Dataset::parse_ts(text.as_bytes(), "small.ts").unwrap(),
            expected
        );
    }
}

#[test]
fn numbers_are_rounded_once() {
    // Just above the middle of two neighbours in f32, and nearest to the middle in f64.
    let text = "@targetLabel true\n@data\n1.00000005960464477540:0.1\n";
    let data: Dataset = Dataset::parse_ts(text.as_bytes(), "x.ts").unwrap();
    assert_eq!(data.sequence(0), [1.0 + f32::EPSILON]);
    let data: Dataset<f64> = Dataset::parse_ts(text.as_bytes(), "x.ts").unwrap();
    assert_eq!(data.sequence(0), [1.0 + f64::from(f32::EPSILON) / 2.0]);
}

#[test]
fn a_ts_file_may_have_targets_or_nothing_to_predict() {
    let text = "@univariate true\n@classLabel false\n@targetlabel true\n@data\n1,2:0.5\n3:-1e3\n";
    let data: Dataset = Dataset::parse_ts(text.as_bytes(), "x.ts").unwrap();
    assert_eq!((data.input_size(), data.len()), (1, 2));
    let expected = Targets::Values {
        size: 1,
        per_step: false,
        values: vec![0.5, -1e3],
    };
    assert_eq!(data.targets(), &expected);

    let text = "@classLabel false\n@equalLength true\n@seriesLength 2\n@data\n1,2:3,4\n5,6:7,8\n";
    let data: Dataset = Dataset::parse_ts(text.as_bytes(), "x.ts").unwrap();
    assert_eq!((data.input_size(), data.len()), (2, 2));
    assert_eq!(data.sequence(1), [5.0, 7.0, 6.0, 8.0]);
    assert_eq!(data.targets(), &Targets::None);
}

/// Reads `text` and expects the fault `message` in line `line`.
#[track_caller]
fn expect_fault(text: impl AsRef<[u8]>, line: usize, message: &str) {
    let fault = Dataset::<f32>::parse_ts(text.as_ref(), "some/file.ts").unwrap_err();
    assert!(matches!(fault, Error::Parse { .. }), "{fault:?}");
    assert_eq!(fault.to_string(), format!("some/file.ts:{line}: {message}"));
}

#[test]
fn faults_of_the_header_name_their_line() {
    expect_fault("", 1, "the file ends before @data");
    expect_fault("# only\n# comments\n", 2, "the file ends before @data");
    expect_fault("@classLabel true a\n", 1, "the file ends before @data");
    expect_fault(
        "\n1,2:a\n",
        2,
        "'1,2:a' comes before @data, expected a line of the header",
    );
    expect_fault(
        "@data\n1:a\n",
        1,
        "the header has no @classLabel and no @targetLabel, expected one",
    );
    expect_fault(
        "@classLabel true a\n@targetLabel true\n@data\n1:a\n",
        3,
        "both @classLabel and @targetLabel are true, expected one",
    );
    expect_fault(
        "@classLabel\n",
        1,
        "@classLabel is '', expected true or false",
    );
    expect_fault(
        "@ClassLabel yes a\n",
        1,
        "@ClassLabel is 'yes', expected true or false",
    );
    expect_fault(
        "@classLabel true\n",
        1,
        "@classLabel is true and names no class, expected the names of all",
    );
    expect_fault(
        "@classLabel false a b\n",
        1,
        "@classLabel is false and names 2 classes, expected none",
    );
    expect_fault(
        "@classLabel true a b a\n",
        1,
        "@classLabel names the class 'a' twice",
    );
    expect_fault(
        "@targetLabel 1\n",
        1,
        "@targetLabel is '1', expected true or false",
    );
    expect_fault(
        "#\n@timeStamps true\n",
        2,
        "@timeStamps is true: time stamps are not supported",
    );
    expect_fault(
        "@missing maybe\n",
        1,
        "@missing is 'maybe', expected true or false",
    );
    for value in ["0", "-1", "1.5", "", "99999999999999999999999"] {
        expect_fault(
            format!("\n\n@dimensions {value}\n"),
            3,
            &format!("@dimensions is '{value}', expected a whole number from 1"),
        );
    }
    expect_fault(
        "@seriesLength x\n",
        1,
        "@seriesLength is 'x', expected a whole number from 1",
    );
    expect_fault(
        "@dimensions 2\n@DIMENSIONS 2\n",
        2,
        "@DIMENSIONS is given a second time",
    );
    expect_fault(
        "@univariate true\n@dimensions 3\n@classLabel true a\n@data\n",
        4,
        "@univariate is true and @dimensions is 3, expected 1",
    );
    expect_fault(
        "@data 1,2:a\n",
        1,
        "@data is followed by '1,2:a', expected a new line",
    );
    expect_fault(
        "@targetLabel true\n@data\n\n",
        3,
        "the file ends without a case after @data",
    );
}

#[test]
fn faults_of_a_case_name_their_line() {
    let header = "@dimensions 2\n@classLabel true a b\n@data\n1,2:3,4:a\n";
    let case = |case: &str, message: &str| {
        expect_fault(format!("{header}{case}\n1:2:a\n"), 5, message);
    };
    case(
        "@missing true",
        "'@missing true' comes after @data, expected a case",
    );
    case(
        "1",
        "'1' has no ':', expected dimensions and a label joined by it",
    );
    case("1,2:a", "the case has 1 dimensions, expected 2");
    case("1:2:3:a", "the case has 3 dimensions, expected 2");
    case(
        "1,2:3:a",
        "dimension 2 has 1 values, expected 2 as dimension 1 has",
    );
    case(
        "1,2:3,4,5:a",
        "dimension 2 has 3 values, expected 2 as dimension 1 has",
    );
    case(
        "1,2:3,x:a",
        "value 2 of dimension 2 is 'x', expected a number",
    );
    case(
        "1,2:3,:a",
        "value 2 of dimension 2 is '', expected a number",
    );
    case(":3,4:a", "value 1 of dimension 1 is '', expected a number");
    case(
        "1,?:3,4:a",
        "value 2 of dimension 1 is '?': missing values are not supported",
    );
    case(
        "1,NaN:3,4:a",
        "value 2 of dimension 1 is 'NaN', expected a finite f32 number",
    );
    case(
        "-inf,1:3,4:a",
        "value 1 of dimension 1 is '-inf', expected a finite f32 number",
    );
    case(
        "1,2:3,1e39:a",
        "value 2 of dimension 2 is '1e39', expected a finite f32 number",
    );
    case(
        "(2020-01-01 10:00:00,1),(2020-01-01 10:00:01,2):(0,3),(1,4):a",
        "the case has a '(': time stamps are not supported",
    );
    case(
        "1,2:3,4:c",
        "the class is 'c', expected one of the 2 that @classLabel names",
    );
    case(
        "1,2:3,4:",
        "the class is '', expected one of the 2 that @classLabel names",
    );
    case(
        "1,2:3,4:A",
        "the class is 'A', expected one of the 2 that @classLabel names",
    );

    let header = "@targetLabel true\n@equalLength true\n@data\n1,2:0.5\n";
    let case = |case: &str, message: &str| expect_fault(format!("{header}{case}"), 5, message);
    case("1,2:3,4:1", "the case has 2 dimensions, expected 1");
    case(
        "1,2,3:1",
        "the case has 3 steps, expected 2 as @equalLength is true",
    );
    case("1,2:up", "the target is 'up', expected a number");
    case(
        "1,2:?",
        "the target is '?': missing values are not supported",
    );
    case(
        "1,2:nan",
        "the target is 'nan', expected a finite f32 number",
    );
    expect_fault(
        "@targetLabel true\n@equalLength true\n@seriesLength 3\n@data\n1,2:0.5\n",
        5,
        "the case has 2 steps, expected 3 as @equalLength is true",
    );
}

#[test]
fn what_is_not_text_is_a_fault_of_its_line() {
    expect_fault(
        b"@problemName \xc3\xa9\n@x \xff\n",
        2,
        "byte 4 of the line is 0xff, expected UTF-8 text",
    );
    expect_fault(
        b"@targetLabel true\n@data\n1:2\n1:\xc3\n",
        4,
        "byte 3 of the line is 0xc3, expected UTF-8 text",
    );
    expect_fault(
        "\u{1b}[2J\t'",
        1,
        r"'\u{1b}[2J\t\'' comes before @data, expected a line of the header",
    );
}

#[test]
fn a_hostile_file_costs_no_more_than_its_own_size() {
    let most = usize::MAX;
    expect_fault(
        format!(
            "@dimensions {most}\n@seriesLength {most}\n@equalLength true\n@classLabel true a\n@data\n1:2:a\n"
        ),
        6,
        &format!("the case has 2 dimensions, expected {most}"),
    );
    let long = "9".repeat(1_000_000);
    let shown = "9".repeat(32);
    expect_fault(
        format!("@dimensions {long}"),
        1,
        &format!("@dimensions is '{shown}'..., expected a whole number from 1"),
    );
    expect_fault(
        format!("@targetLabel true\n@data\n{long}:1"),
        3,
        &format!("value 1 of dimension 1 is '{shown}'..., expected a finite f32 number"),
    );
    expect_fault(
        format!("@classLabel true a\n@data\n1:{long}"),
        3,
        &format!("the class is '{shown}'..., expected one of the 1 that @classLabel names"),
    );
    // A long dimension beside many short ones: their product would be 10^11 elements.
    let wide = format!("{}1{}", "1,".repeat(99_999), ":1".repeat(999_999));
    expect_fault(
        format!("@classLabel false\n@data\n{wide}"),
        3,
        "dimension 2 has 1 values, expected 100000 as dimension 1 has",
    );
}

#[test]
fn a_damaged_file_is_a_fault_in_one_of_its_lines_and_never_a_panic() {
    let valid = SMALL.as_bytes();
    let count = valid.split(|&byte| byte == b'\n').count();
    let read = |text: &[u8]| match Dataset::<f32>::parse_ts(text, "x.ts") {
        Ok(data) => assert!(data.total_steps() * data.input_size() <= text.len()),
        Err(Error::Parse { line, .. }) => assert!((1..=count + 3).contains(&line), "{line}"),
        Err(fault) => panic!("{fault:?}"),
    };
    for end in 0..valid.len() {
        read(&valid[..end]);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..20_000 {
        let mut text = valid.to_vec();
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..text.len());
            text[at] ^= rng.random_range(1..=255_u8);
        }
        read(&text);
    }
    // Damage of the kind that keeps the text readable reaches further into the reader.
    for _ in 0..20_000 {
        let mut text = valid.to_vec();
        let alphabet = b":,@#?(\n 0.-e";
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..text.len());
            text[at] = alphabet[rng.random_range(0..alphabet.len())];
        }
        read(&text);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let fault = Dataset::<f32>::read_ts("no/such/file.ts").unwrap_err();
    assert!(matches!(fault, Error::Io { .. }), "{fault:?}");
    assert!(
        fault.to_string().starts_with("no/such/file.ts: "),
        "{fault}"
    );
}
