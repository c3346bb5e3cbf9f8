//! `.ts` files: those of the archive, of aeon and of sktime, and damaged ones.

use std::path::PathBuf;

use elman::dataset::{Dataset, MissingValues, Targets, TsOptions};
use elman::{Error, Result};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn options(missing: MissingValues, trim_padding: bool, time_feature: bool) -> TsOptions {
    let mut options = TsOptions::default();
    options.missing = missing;
    options.trim_padding = trim_padding;
    options.time_feature = time_feature;
    options
}

fn parse_with(text: impl AsRef<[u8]>, options: &TsOptions) -> Result<Dataset> {
    Dataset::parse_ts_with(text.as_ref(), "some/file.ts", options)
}

#[track_caller]
fn parse(text: impl AsRef<[u8]>) -> Dataset {
    parse_with(text, &TsOptions::default()).unwrap()
}

/// The classes of the sequences by name.
fn classes(data: &Dataset) -> Vec<Option<&str>> {
    let name = |label: usize| data.class_names()[label].as_str();
    (0..data.len())
        .map(|index| data.label(index).map(name))
        .collect()
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
        SMALL.replace('\n', "\r"),
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

#[test]
fn the_first_line_says_what_the_labels_are() {
    // Neither tag, as aeon has it: classes.
    let data = parse("@data\n1,2:3,4:b\n5,6:7,8:a\n");
    assert_eq!((data.input_size(), data.len()), (2, 2));
    assert_eq!(classes(&data), [Some("b"), Some("a")]);
    let note = "line 1: the header has no @classLabel and no @targetLabel: the last field of a case is read as its class";
    assert_eq!(data.notes(), [note]);

    let data = parse("@classLabel true 1 2\n@targetLabel true\n@data\n1,2:2\n");
    assert!(matches!(data.targets(), Targets::Values { values, .. } if values == &[2.0]));
    let note = "line 2: both @classLabel and @targetLabel are true: labels are read as numbers";
    assert_eq!(data.notes(), [note]);
}

#[test]
fn cases_without_a_label_may_end_with_a_colon() {
    for tag in [
        "@targetLabel false",
        "@classLabel false",
        "@classLabel false a b",
    ] {
        for end in ["", ":", " : "] {
            let text = format!("{tag}\n@data\n1,2:3,4{end}\n5:6{end}\n");
            let data = parse(&text);
            assert_eq!((data.input_size(), data.len()), (2, 2), "{text}");
            assert_eq!(data.sequence(0), [1.0, 3.0, 2.0, 4.0]);
            assert_eq!(data.targets(), &Targets::None);
            assert!(data.notes().is_empty());
        }
    }
}

#[test]
fn classes_are_those_of_header_and_cases() {
    let read = |names: &str, cases: &[&str]| {
        let cases: Vec<_> = cases.iter().map(|class| format!("1:{class}\n")).collect();
        parse(format!(
            "@classLabel true{names}\n@data\n{}",
            cases.concat()
        ))
    };
    // The header's order, with classes that no case has.
    let data = read(" b c a", &["a", "b"]);
    assert_eq!(data.class_names(), names(&["b", "c", "a"]));
    assert_eq!(classes(&data), [Some("a"), Some("b")]);
    assert!(data.notes().is_empty());

    // No names: sorted by their characters.
    let data = read("", &["b", "10", "a (b)", "9", "B"]);
    assert_eq!(data.class_names(), names(&["10", "9", "B", "a (b)", "b"]));
    assert!(data.notes().is_empty());

    // Names with blanks, of which the header shows the words only.
    let data = read(
        " left hand none right hand",
        &["right hand", "none", "left hand"],
    );
    assert_eq!(
        data.class_names(),
        names(&["left hand", "none", "right hand"])
    );
    assert_eq!(
        classes(&data),
        [Some("right hand"), Some("none"), Some("left hand")]
    );
    let note = "line 1: @classLabel does not show where names with blanks end: the classes are those of the cases";
    assert_eq!(data.notes(), [note]);

    // Names that the header has not.
    let data = read(" b a", &["z", "a", "c", "z"]);
    assert_eq!(data.class_names(), names(&["b", "a", "c", "z"]));
    assert_eq!(classes(&data), [Some("z"), Some("a"), Some("c"), Some("z")]);
    let note = "line 1: @classLabel does not name the class 'z' of line 3: the classes of the cases come behind its own";
    assert_eq!(data.notes(), [note]);

    // Names in other letters and numbers. What the header tells apart stays so.
    let data = read(
        " Up 1 2.50 -0 \u{c4}",
        &["UP", "1.0", "2.5", "0", "\u{e4}", "1"],
    );
    assert_eq!(data.class_count(), 5);
    let labels: Vec<_> = (0..6).map(|index| data.label(index)).collect();
    assert_eq!(labels, [0, 1, 2, 3, 4, 1].map(Some));
    assert_eq!(
        data.notes(),
        ["line 3: the class 'UP' is taken for 'Up' of @classLabel"]
    );
    let data = read(" a A 1 1.0", &["A", "1.0", "a", "1"]);
    assert_eq!(
        classes(&data),
        [Some("A"), Some("1.0"), Some("a"), Some("1")]
    );
    assert!(data.notes().is_empty());

    let data = read(" a b a", &["b", "a"]);
    assert_eq!(data.class_names(), names(&["a", "b"]));
}

#[test]
fn a_case_may_have_no_label() {
    let data = parse("@classLabel true b a\n@data\n1:a\n2:\n3:?\n4:NaN\n5:b\n");
    assert_eq!(classes(&data), [Some("a"), None, None, None, Some("b")]);
    assert!(data.notes().is_empty());
    // Without a list of classes, too, and with classes that the list does not have or that have blanks.
    let data = parse("@classLabel true\n@data\n1:?\n2:x\n");
    assert_eq!(classes(&data), [None, Some("x")]);
    let data = parse("@classLabel true a\n@data\n1:?\n2:c\n");
    assert_eq!(
        (classes(&data), data.class_count()),
        (vec![None, Some("c")], 2)
    );
    let data = parse("@classLabel true a b\n@data\n1:?\n2:a b\n");
    assert_eq!(
        (classes(&data), data.class_count()),
        (vec![None, Some("a b")], 1)
    );
    // The header may name a class so.
    let data = parse("@classLabel true ? a\n@data\n1:?\n2:\n");
    assert_eq!(classes(&data), [Some("?"), None]);
    // Where no case has a class, those of the header remain; where there are none, there are no targets.
    let data = parse("@classLabel true a b\n@data\n1:\n2:\n");
    assert_eq!((classes(&data), data.class_count()), (vec![None, None], 2));
    let data = parse("@classLabel true\n@data\n1:\n2:\n");
    assert_eq!(data.targets(), &Targets::None);

    let data = parse("@targetLabel true\n@data\n1:?\n2:\n3:nan\n4:0.5\n");
    let Targets::Values { values, .. } = data.targets() else {
        panic!("{:?}", data.targets());
    };
    assert!(values[..3].iter().all(|value| value.is_nan()));
    assert_eq!(values[3], 0.5);
}

#[test]
fn the_cases_are_right_where_the_header_is_not() {
    let text = "@missing false\n@univariate true\n@dimension 3\n@equalLength true\n@seriesLength 9\n\
                @classLabel true a\n@data\n1,?,3:4,5,6:a\n7:8:a\n";
    let data = parse_with(text, &options(MissingValues::Carry, false, false)).unwrap();
    assert_eq!((data.input_size(), data.total_steps()), (2, 4));
    assert_eq!(
        data.notes(),
        [
            "line 2: @univariate is true, the number of dimensions is 2",
            "line 3: @dimensions is 3, the number of dimensions is 2",
            "line 4: @equalLength is true, the cases have 1 to 3 steps",
            "line 5: @seriesLength is 9, the cases have 1 to 3 steps",
            "line 1: @missing is false, the number of missing values is 1",
        ]
    );
    let text = "@univariate false\n@equalLength false\n@seriesLength 2\n@classLabel true a\n@data\n1,2:a\n";
    assert_eq!(
        parse(text).notes(),
        ["line 1: @univariate is false, the number of dimensions is 1"]
    );
}

#[test]
fn lines_of_the_header_that_say_nothing_are_skipped() {
    let text = "Some words\n@problemName\nand more\n@missing maybe\n@seriesLength 0\n@timestamps no\n@DIMENSIONS 2\n\
                @dimension 1\n@classLabel true a\n@data\n1,2:a\n";
    let data = parse(text);
    assert_eq!(data.sequence(0), [1.0, 2.0]);
    assert_eq!(
        data.notes(),
        [
            "line 4: @missing is 'maybe', expected true or false: it does not count",
            "line 5: @seriesLength is '0', expected a whole number from 1: it does not count",
            "line 6: @timestamps is 'no', expected true or false: it does not count",
            "line 8: @dimension replaces the one of line 7, expected one of them",
            "line 1: before @data 2 lines are neither tags nor comments, and skipped",
        ]
    );
    let text =
        b"% \x96\n# \xff\n\xfe\n@author \xe9\n@classLabel true a\n@data\n#\xff\n1:a\n%\xff\n";
    assert_eq!(parse(text).sequence(0), [1.0]);
}

const HOLES: &str =
    "@missing true\n@classLabel false\n@data\n?,nan,3,?,NaN,0,-1,?:1,2,3,4,5,6,7,8\n";

#[test]
fn missing_values_are_filled_as_the_caller_says() {
    let first = |options| {
        let data = parse_with(HOLES, &options).unwrap();
        assert!(data.notes().is_empty());
        let values = data.sequence(0).chunks(2);
        assert!(
            values
                .clone()
                .zip(1..)
                .all(|(step, number)| step[1] == number as f32)
        );
        values.map(|step| step[0]).collect::<Vec<_>>()
    };
    assert_eq!(
        first(options(MissingValues::Carry, false, false)),
        [3.0, 3.0, 3.0, 3.0, 3.0, 0.0, -1.0, -1.0]
    );
    assert_eq!(
        first(options(MissingValues::Linear, false, false)),
        [3.0, 3.0, 3.0, 2.0, 1.0, 0.0, -1.0, -1.0]
    );
    expect_fault(
        HOLES,
        4,
        "value 1 of dimension 1 is missing, and the options put nothing in its place",
    );
    // No line between the largest numbers overflows.
    let wide = "@classLabel false\n@data\n-3e38,?,?,3e38\n";
    let data = parse_with(wide, &options(MissingValues::Linear, false, false)).unwrap();
    assert_eq!(data.sequence(0), [-3e38, -1e38, 1e38, 3e38]);

    for rule in [MissingValues::Carry, MissingValues::Linear] {
        let text = "@classLabel false\n@data\n1:2\n1,2:?,NaN\n";
        let fault = parse_with(text, &options(rule, false, false)).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "some/file.ts:4: all values of dimension 2 are missing, expected one that is not"
        );
    }
}

#[test]
fn padding_is_trimmed_by_choice() {
    let text = "@equalLength true\n@seriesLength 4\n@classLabel false\n@data\n\
                1,2,NaN,?:3,4,5,NaN\n6,7,8,9:1,2,3,4\n?,1,?,?:2,3,?,?\n";
    let data = parse_with(text, &options(MissingValues::Carry, true, false)).unwrap();
    let lengths: Vec<_> = (0..3).map(|index| data.length(index)).collect();
    assert_eq!(lengths, [3, 4, 2]);
    assert_eq!(data.sequence(0), [1.0, 3.0, 2.0, 4.0, 2.0, 5.0]);
    assert_eq!(data.sequence(2), [1.0, 2.0, 1.0, 3.0]);
    // The lengths are those of the file.
    assert!(data.notes().is_empty());

    let trimmed = options(MissingValues::Error, true, false);
    let data = parse_with("@classLabel false\n@data\n1,NaN\n2,3\n", &trimmed).unwrap();
    assert_eq!((data.length(0), data.length(1)), (1, 2));
    let fault = parse_with(text, &trimmed).unwrap_err().to_string();
    assert_eq!(
        fault,
        "some/file.ts:5: value 3 of dimension 1 is missing, and the options put nothing in its place"
    );
    let fault = parse_with("@classLabel false\n@data\n?,?\n", &trimmed).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "some/file.ts:3: the case has no value that is not missing, expected one"
    );
}

/// Two dimensions, a gap, a class; the stamps in disorder.
const STAMPED: &str = "@timeStamps true\n@missing true\n@classLabel true a b\n@data\n\
    (2024-02-29 00:00:30, 3),(2024-02-28 23:59:30,1) , (2024-02-29 00:00:00,?):\
    (2024-02-29 00:00:00,5),(2024-02-28 23:59:30,4),(2024-02-29 00:00:30,6):b\n";

#[test]
fn time_stamps_order_the_steps() {
    let data = parse_with(STAMPED, &options(MissingValues::Linear, false, false)).unwrap();
    assert_eq!(data.sequence(0), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(classes(&data), [Some("b")]);
    let data = parse_with(STAMPED, &options(MissingValues::Carry, false, true)).unwrap();
    assert_eq!(data.input_size(), 3);
    assert_eq!(
        data.sequence(0),
        [1.0, 4.0, 0.0, 1.0, 5.0, 30.0, 3.0, 6.0, 60.0]
    );

    // Lines go over time, not steps; equal times keep their order; stamps may be large.
    let text = "@timeStamps true\n@targetLabel false\n@data\n\
                (4,?),(0,1),(10,11)\n(7,1),(7,?),(7,3):\n\
                (1600000000000000001,1),(1600000000000000000.0,2)\n(0.5,2),(-1e3,1)\n";
    let data = parse_with(text, &options(MissingValues::Linear, false, true)).unwrap();
    assert_eq!(data.sequence(0), [1.0, 0.0, 5.0, 4.0, 11.0, 10.0]);
    assert_eq!(data.sequence(1), [1.0, 0.0, 1.0, 0.0, 3.0, 0.0]);
    assert_eq!(data.sequence(2), [2.0, 0.0, 1.0, 1.0]);
    assert_eq!(data.sequence(3), [1.0, 0.0, 2.0, 1000.5]);
}

#[test]
fn a_date_may_be_written_in_many_ways() {
    let seconds = |stamp: &str| {
        let text =
            format!("@timeStamps true\n@classLabel false\n@data\n(1999-12-31,1),({stamp},2)\n");
        let read = options(MissingValues::Error, false, true);
        let data = Dataset::<f64>::parse_ts_with(text.as_bytes(), "x.ts", &read);
        Some(data.ok()?.sequence(0)[3])
    };
    for (stamp, expected) in [
        ("1999-12-31 23:59:59", 86_399.0),
        ("2000-01-01", 86_400.0),
        ("2000/1/1 0:00", 86_400.0),
        ("2000-01-01T00:00:00.25", 86_400.25),
        (" 2000-01-01 00:00:00.5Z ", 86_400.5),
        ("2000-01-01t01:30z", 91_800.0),
        ("2000-01-01 01:30:00+01:30", 86_400.0),
        ("2000-01-01 01:30:00 -0130", 97_200.0),
        ("2000-01-01 01:30:00+01", 88_200.0),
        ("2000-03-01", 61.0 * 86_400.0),
        ("2100-03-01", 36_585.0 * 86_400.0),
        ("9999-12-31", 2_921_940.0 * 86_400.0),
    ] {
        assert_eq!(seconds(stamp), Some(expected), "{stamp}");
    }
    for stamp in [
        "",
        "?",
        "nan",
        "inf",
        "1e19",
        "today",
        "12:00",
        "2001-02-29",
        "1900-02-29",
        "2000-13-01",
        "2000-00-01",
        "2000-01-00",
        "2000-01",
        "2000-01-01-01",
        "01-01-2000",
        "2000-01-01 24:00",
        "2000-01-01 1:60",
        "2000-01-01 1:2:60",
        "2000-01-01 1",
        "2000-01-01 1:2:3:4",
        "2000-01-01 1:2:3.",
        "2000-01-01 1:2:3.-4",
        "2000-01-01 1:2:3+x",
        "2000-01-01 1:2:3+24:00",
        "2000-01-01 1:2:3+\u{e9}1",
    ] {
        assert_eq!(seconds(stamp), None, "{stamp}");
    }
}

#[test]
fn faults_of_time_stamps_name_their_line() {
    let header = "@timeStamps true\n@classLabel true a b\n@data\n(1,2),(3,4):(1,2),(3,4):a\n";
    let case = |case: &str, message: &str| {
        expect_fault(format!("{header}{case}\n(1,2):(1,2):a\n"), 5, message);
    };
    case(
        "1,2:3,4:a",
        "value 1 of dimension 1 is '1,2:3,4:a', expected '(' time stamp ',' value ')'",
    );
    case(
        "(1,2),:a",
        "value 2 of dimension 1 is ':a', expected '(' time stamp ',' value ')'",
    );
    case(
        "(1,2:a",
        "value 1 of dimension 1 is '(1,2:a', expected '(' time stamp ',' value ')'",
    );
    case(
        "(1):a",
        "value 1 of dimension 1 is '1', expected a time stamp and a value joined by ','",
    );
    case(
        "(1,2):(1,x):a",
        "value 1 of dimension 2 is 'x', expected a number",
    );
    case(
        "(1,2)(3,4):a",
        "dimension 1 goes on with '(3,4):a', expected ',' or ':' between time stamps",
    );
    case(
        "(noon,2):a",
        "the time stamp of value 1 of dimension 1 is 'noon', expected a number or a date as 2004-12-06 23:59:00",
    );
    case(
        "(2000-01-01,2):a",
        "the time stamp of value 1 of dimension 1 is a date, expected a number as in line 4",
    );
    case(
        "(1,2):(1,2)",
        "'(1,2):(1,2)' has no ':', expected dimensions and a label joined by it",
    );
    case(
        "(1,2):a",
        "the case has 1 dimensions, expected 2 as the first case has",
    );
    case(
        "(1,2),(3,4):(1,2):a",
        "dimension 2 has 1 values, expected 2 as dimension 1 has",
    );
    case(
        "(1,2),(3,4):(2,2),(1,4):a",
        "time stamp 2 of dimension 2, in the order of time, is another than that of dimension 1, \
         expected the same ones in all dimensions of a case",
    );
    expect_fault(
        "@timeStamps true\n@classLabel false\n@data\n(1,2):a",
        4,
        "the case ends with 'a', expected no label",
    );
    let fault = parse_with(
        "@classLabel true a\n@data\n1:a\n",
        &options(MissingValues::Error, false, true),
    );
    assert_eq!(
        fault.unwrap_err().to_string(),
        "some/file.ts:2: time stamps are to become a feature, but the header has no '@timeStamps true'"
    );
}

/// The files of `tests/data/ts`, and what aeon and sktime read from them.
#[test]
fn what_aeon_and_sktime_read_is_read_with_the_same_values() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/ts");
    let expected = std::fs::read(directory.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(
        expected.len(),
        std::fs::read_dir(&directory).unwrap().count() - 2
    );
    for (name, readers) in expected {
        let path = directory.join(format!("{name}.ts"));
        let has_gaps =
            readers.to_string().contains("null,") || readers.to_string().contains("null]");
        let filled = Dataset::read_ts_with(&path, &options(MissingValues::Carry, false, false));
        let data: Dataset = filled.unwrap();
        let plain = Dataset::<f32>::read_ts(&path);
        assert_eq!(plain.is_err(), has_gaps, "{name}");
        for (reader, read) in readers.as_object().unwrap() {
            let what = format!("{name} by {reader}");
            let cases = read["x"].as_array().unwrap();
            assert_eq!(data.len(), cases.len(), "{what}");
            for (index, case) in cases.iter().enumerate() {
                let case = case.as_array().unwrap();
                assert_eq!(data.input_size(), case.len(), "{what}");
                for (dimension, series) in case.iter().enumerate() {
                    let series = series.as_array().unwrap();
                    assert_eq!(data.length(index), series.len(), "{what}");
                    for (step, value) in series.iter().enumerate() {
                        let found = data.sequence(index)[step * case.len() + dimension];
                        let same = value.as_f64().is_none_or(|value| found == value as f32);
                        assert!(same, "{what}: {index} {dimension} {step}");
                    }
                }
            }
            let labels = read["y"].as_array().map_or(&[][..], |labels| labels);
            match data.targets() {
                Targets::None => assert!(labels.is_empty(), "{what}"),
                Targets::Values { values, .. } => {
                    let number = |label: &Value| match label {
                        Value::String(text) => text.parse().unwrap(),
                        number => number.as_f64().unwrap() as f32,
                    };
                    assert_eq!(
                        values,
                        &labels.iter().map(number).collect::<Vec<_>>(),
                        "{what}"
                    );
                }
                _ => {
                    let found = classes(&data);
                    let found = found.iter().map(|name| name.map(str::to_lowercase));
                    let name = |label: &Value| {
                        let label = label.as_str().unwrap().trim().to_lowercase();
                        (label != "nan").then_some(label)
                    };
                    assert!(found.eq(labels.iter().map(name)), "{what}");
                }
            }
        }
    }
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
    expect_fault("# only\n% comments\n", 2, "the file ends before @data");
    expect_fault("@classLabel true a\n", 1, "the file ends before @data");
    expect_fault("\n1,2:a\n", 2, "the file ends before @data");
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
        "@targetLabel 1\n",
        1,
        "@targetLabel is '1', expected true or false",
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
    case(
        "1,2:a",
        "the case has 1 dimensions, expected 2 as the first case has",
    );
    case(
        "1:2:3:a",
        "the case has 3 dimensions, expected 2 as the first case has",
    );
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
        "value 2 of dimension 1 is missing, and the options put nothing in its place",
    );
    case(
        "1,2:NaN,4:a",
        "value 1 of dimension 2 is missing, and the options put nothing in its place",
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
        "the case has a '(': time stamps, expected '@timeStamps true' in the header",
    );
    let header = "@targetLabel true\n@equalLength true\n@data\n1,2:0.5\n";
    let case = |case: &str, message: &str| expect_fault(format!("{header}{case}"), 5, message);
    case(
        "1,2:3,4:1",
        "the case has 2 dimensions, expected 1 as the first case has",
    );
    case("1,2:up", "the target is 'up', expected a number");
    case(
        "1,2:inf",
        "the target is 'inf', expected a finite f32 number",
    );
    expect_fault(
        "@classLabel false\n@data\n1,2:up\n",
        3,
        "value 1 of dimension 2 is 'up', expected a number",
    );
}

#[test]
fn what_is_not_text_is_a_fault_of_its_line() {
    expect_fault(
        b"@problemName \xff\n@classLabel true \xc3\xa9 \xff\n",
        2,
        "byte 21 of the line is 0xff, expected UTF-8 text",
    );
    expect_fault(
        b"@targetLabel true\n@data\n1:2\n1:\xc3\n",
        4,
        "byte 3 of the line is 0xc3, expected UTF-8 text",
    );
    expect_fault(
        "@targetLabel \u{1b}[2J\t'",
        1,
        r"@targetLabel is '\u{1b}[2J\t\'', expected true or false",
    );
}

#[test]
fn a_hostile_file_costs_no_more_than_its_own_size() {
    let most = usize::MAX;
    let huge = format!(
        "@dimensions {most}\n@seriesLength {most}\n@equalLength true\n@classLabel true a\n@data\n1:2:a\n"
    );
    let data = parse(&huge);
    assert_eq!((data.input_size(), data.total_steps()), (2, 1));
    assert_eq!(
        data.notes(),
        [
            format!("line 1: @dimensions is {most}, the number of dimensions is 2"),
            format!("line 2: @seriesLength is {most}, the cases have 1 steps"),
        ]
    );
    let long = "9".repeat(1_000_000);
    let shown = "9".repeat(32);
    let data = parse(format!(
        "@dimensions {long}\n@classLabel true a\n@data\n1:{long}\n"
    ));
    assert_eq!(
        data.notes(),
        [
            format!(
                "line 1: @dimensions is '{shown}'..., expected a whole number from 1: it does not count"
            ),
            format!(
                "line 2: @classLabel does not name the class '{shown}'... of line 4: \
                 the classes of the cases come behind its own"
            ),
        ]
    );
    expect_fault(
        format!("@targetLabel true\n@data\n{long}:1"),
        3,
        &format!("value 1 of dimension 1 is '{shown}'..., expected a finite f32 number"),
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
    for (text, options) in [
        (SMALL, TsOptions::default()),
        (SMALL, options(MissingValues::Carry, true, false)),
        (STAMPED, options(MissingValues::Linear, true, true)),
    ] {
        damage(text.as_bytes(), &options);
    }
}

fn damage(valid: &[u8], options: &TsOptions) {
    let count = valid.split(|&byte| byte == b'\n').count();
    let read = |text: &[u8]| match parse_with(text, options) {
        Ok(data) => assert!(data.total_steps() * data.input_size() <= text.len()),
        Err(Error::Parse { line, .. }) => assert!((1..=count + 3).contains(&line), "{line}"),
        Err(fault) => panic!("{fault:?}"),
    };
    read(valid);
    for end in 0..valid.len() {
        read(&valid[..end]);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..10_000 {
        let mut text = valid.to_vec();
        for _ in 0..rng.random_range(1..=3) {
            let at = rng.random_range(0..text.len());
            text[at] ^= rng.random_range(1..=255_u8);
        }
        read(&text);
    }
    // Damage of the kind that keeps the text readable reaches further into the reader.
    for _ in 0..10_000 {
        let mut text = valid.to_vec();
        let alphabet = b":,@#?()\n 0.-eN/";
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
