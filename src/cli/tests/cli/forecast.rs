//! Networks that tell how a sequence goes on.

use std::f32::consts::TAU;
use std::fmt::Write;
use std::fs;

use crate::run::{directory, fail, json, succeed};

/// A wave around 20 with a period of 8 steps, and its mirror image.
fn wave(steps: usize) -> String {
    let mut text = "time,a,b\n".to_owned();
    for step in 0..steps {
        let value = 5.0 * (step as f32 * TAU / 8.0).sin();
        writeln!(text, "{step},{},{}", 20.0 + value, 20.0 - value).unwrap();
    }
    text
}

#[test]
fn a_wave_goes_on() {
    let directory = directory("wave");
    fs::write(directory.join("wave.csv"), wave(600)).unwrap();
    let said = succeed(
        &directory,
        "train wave.csv --forecast -o model --units 16 --epochs 60 --test wave.csv",
    );
    assert!(
        said.contains("1 sequence of 600 steps, 2 features"),
        "{said}"
    );
    assert!(said.contains("validation RMSE"), "{said}");
    let measured = json(&directory, "evaluate model wave.csv --horizon 8 --json");
    assert_eq!(measured["numbers"], 16);
    assert!(measured["r2"].as_f64().unwrap() > 0.95, "{measured}");

    let csv = succeed(&directory, "predict model wave.csv --horizon 8");
    let rows: Vec<Vec<f32>> = csv
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .map(|field| field.parse().unwrap())
                .collect()
        })
        .collect();
    assert!(csv.starts_with("id,step,value0,value1\n0,600,"), "{csv}");
    assert_eq!(rows.len(), 8);
    for row in rows {
        let expected = 5.0 * (row[1] * TAU / 8.0).sin();
        assert!(
            (row[2] - 20.0 - expected).abs() < 1.5 && (row[3] - 20.0 + expected).abs() < 1.5,
            "{row:?}"
        );
    }
}

#[test]
fn what_is_held_out_is_the_last_part_and_leaves_the_rest_as_it_is() {
    let directory = directory("last");
    // Two sequences that end differently have the same first 0.8: training must not see the end.
    let text = wave(50);
    let other = text.lines().enumerate().map(|(index, line)| match index {
        0..41 => format!("{line}\n"),
        _ => format!("{},90,-7\n", index - 1),
    });
    fs::write(directory.join("one.csv"), &text).unwrap();
    fs::write(directory.join("other.csv"), other.collect::<String>()).unwrap();
    let options = "--forecast --validation 0.2 --epochs 1 --units 4";
    let model = |file: &str| {
        succeed(&directory, &format!("train {file} -o model {options}"));
        fs::read(directory.join("model")).unwrap()
    };
    assert!(model("one.csv") == model("other.csv"));
}

#[test]
fn sequences_that_are_too_short_are_refused() {
    let directory = directory("short");
    fs::write(directory.join("one.csv"), wave(1)).unwrap();
    assert_eq!(
        fail(&directory, "train one.csv --forecast -o model"),
        "one.csv: a sequence has 1 step, expected 2 or more"
    );
    fs::write(directory.join("some.csv"), wave(20)).unwrap();
    succeed(
        &directory,
        "train some.csv --forecast -o model --epochs 1 --units 4",
    );
    assert_eq!(
        fail(&directory, "evaluate model some.csv --horizon 20"),
        "some.csv: a sequence has 20 steps, expected more than 20"
    );
    fs::write(directory.join("labels.csv"), "a,b,label\n1,2,x\n2,1,y\n").unwrap();
    succeed(
        &directory,
        "train labels.csv -o classes --epochs 1 --units 4",
    );
    let said = fail(&directory, "predict classes labels.csv --horizon 2");
    assert!(said.contains("does not forecast"), "{said}");
}
