//! Networks of other systems.

use std::fs;
use std::path::Path;

use crate::run::{data, directory, json, slopes, succeed, ts, vowels};

/// The numbers that a network gives for the slopes.
fn outputs(directory: &Path, model: &str) -> Vec<f64> {
    let rows = succeed(directory, &format!("predict {model} slopes.ts"));
    let last = |line: &str| line.rsplit(',').next().unwrap().parse().unwrap();
    rows.lines().skip(1).map(last).collect()
}

#[test]
fn a_network_goes_out_and_comes_back() {
    let directory = directory("back");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    succeed(
        &directory,
        "train slopes.ts -o model --epochs 5 --units 8 --layers 2 --dropout 0.2",
    );
    let expected = outputs(&directory, "model");
    assert_eq!(
        succeed(&directory, "export model -o dict.safetensors"),
        "modules  gru, gru, linear\n"
    );
    succeed(&directory, "export model -o model.onnx");
    for file in ["dict.safetensors", "model.onnx"] {
        succeed(
            &directory,
            &format!("import {file} -o again --last --classes down,up"),
        );
        for (found, expected) in outputs(&directory, "again").iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{file}: {found} {expected}"
            );
        }
    }
    succeed(
        &directory,
        "export model -o dict.safetensors --modules a,a,b.0",
    );
    succeed(
        &directory,
        "import dict.safetensors -o again --last --classes down,up",
    );
}

#[test]
fn a_network_of_pytorch_gives_its_outputs_at_every_step() {
    let directory = directory("import");
    succeed(
        &directory,
        &format!("import {} -o motor", data("import/motor.safetensors")),
    );
    let info = json(&directory, "info motor --json");
    assert_eq!(info["output"], "all");
    let inputs = info["input_size"].as_u64().unwrap() as usize;
    let columns: Vec<String> = (0..inputs).map(|index| format!("x{index}")).collect();
    let row = |step: usize| format!("a,{step}{}\n", ",0.5".repeat(inputs));
    let text = format!("id,time,{}\n{}{}", columns.join(","), row(0), row(1));
    fs::write(directory.join("two.csv"), text).unwrap();
    let rows = succeed(&directory, "predict motor two.csv");
    let starts: Vec<&str> = rows.lines().map(|line| &line[..3]).collect();
    assert_eq!(starts, ["id,", "a,0", "a,1"]);
}

#[test]
fn the_modules_of_a_network_have_the_names_of_their_kinds() {
    let directory = directory("modules");
    let train = vowels("TRAIN");
    succeed(
        &directory,
        &format!(
            "train {train} -o model --epochs 1 --units 4 --cell lstm --direction bidirectional"
        ),
    );
    assert_eq!(
        succeed(&directory, "export model -o dict"),
        "modules  lstm, linear\n"
    );
}
