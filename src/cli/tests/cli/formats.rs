//! The same sequences in files of every form.

use std::fs;
use std::path::Path;

use npyz::WriterBuilder;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::run::{directory, joined, json, long, slopes, succeed, ts, wide};

/// What training on a file gives.
fn model(directory: &Path, file: &str, options: &str) -> Vec<u8> {
    succeed(
        directory,
        &format!("train {file} -o {file}.model --epochs 2 --units 8 --validation 0.2 {options}"),
    );
    fs::read(directory.join(format!("{file}.model"))).unwrap()
}

/// An `.npz` file that is being written.
struct Npz(ZipWriter<fs::File>);

impl Npz {
    fn create(path: &Path) -> Self {
        Self(ZipWriter::new(fs::File::create(path).unwrap()))
    }

    fn add<T: npyz::Serialize>(&mut self, name: &str, kind: &str, shape: &[u64], values: &[T]) {
        self.0
            .start_file(format!("{name}.npy"), SimpleFileOptions::default())
            .unwrap();
        let mut array = npyz::WriteOptions::new()
            .dtype(npyz::DType::Plain(kind.parse().unwrap()))
            .shape(shape)
            .writer(&mut self.0)
            .begin_nd()
            .unwrap();
        array.extend(values).unwrap();
        array.finish().unwrap();
    }
}

#[test]
fn every_form_gives_the_same_network() {
    let directory = directory("forms");
    let sequences = slopes();
    fs::write(directory.join("slopes.ts"), ts(&sequences)).unwrap();
    fs::write(directory.join("wide.csv"), wide(&sequences)).unwrap();
    fs::write(directory.join("long.csv"), long(&sequences)).unwrap();
    fs::write(
        directory.join("tabs.tsv"),
        wide(&sequences).replace(',', "\t"),
    )
    .unwrap();
    let mut x = Vec::new();
    for (_, values) in &sequences {
        x.extend(values);
        x.resize(x.len() + 9 - values.len(), f32::NAN);
    }
    let lengths: Vec<i64> = sequences
        .iter()
        .map(|(_, values)| values.len() as i64)
        .collect();
    let names: Vec<String> = sequences
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let mut npz = Npz::create(&directory.join("slopes.npz"));
    npz.add("x", "<f4", &[40, 9, 1], &x);
    npz.add("lengths", "<i8", &[40], &lengths);
    npz.add("y", "<U4", &[40], &names);
    npz.0.finish().unwrap();
    let expected = model(&directory, "slopes.ts", "");
    for file in ["wide.csv", "long.csv", "tabs.tsv", "slopes.npz"] {
        assert!(model(&directory, file, "") == expected, "{file}");
    }
    assert_eq!(
        json(&directory, "info wide.csv.model --json")["classes"],
        serde_json::json!(["down", "up"])
    );

    // Names of rows come back.
    let rows = succeed(&directory, "predict slopes.ts.model long.csv");
    let ids: Vec<&str> = rows
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(ids.len(), 40);
    assert!(ids.contains(&"s39"));
}

#[test]
fn several_features_and_columns_of_other_names() {
    let directory = directory("features");
    let (mut long, mut ts) = (
        "series;kind;t;a;b\n".to_owned(),
        "@univariate false\n@classLabel true 1 2\n@data\n".to_owned(),
    );
    for sequence in 0..20 {
        let value =
            |step: usize, feature: usize| ((sequence * 5 + step * 3 + feature) as f32).sin();
        let kind = 1 + sequence % 2;
        for step in 0..4 {
            let [a, b] = [value(step, 0), value(step, 1)];
            long += &format!("{sequence};{kind}.0;2024-01-0{};{a};{b}\n", step + 1);
        }
        let series = |feature| joined(&(0..4).map(|step| value(step, feature)).collect::<Vec<_>>());
        ts += &format!("{}:{}:{kind}\n", series(0), series(1));
    }
    fs::write(directory.join("long.csv"), long).unwrap();
    fs::write(directory.join("both.ts"), ts).unwrap();
    let options = "--id series --time t --target kind";
    assert!(model(&directory, "long.csv", options) == model(&directory, "both.ts", ""));
}

#[test]
fn a_file_of_the_ucr_archive_without_a_header() {
    let directory = directory("ucr");
    let sequences = slopes();
    let row = |(name, values): &(&str, Vec<f32>)| {
        format!(
            "{},{}\n",
            if *name == "up" { "2" } else { "1" },
            joined(values)
        )
    };
    fs::write(
        directory.join("ucr.csv"),
        sequences.iter().map(row).collect::<String>(),
    )
    .unwrap();
    model(&directory, "ucr.csv", "");
    assert_eq!(
        json(&directory, "info ucr.csv.model --json")["classes"],
        serde_json::json!(["1", "2"])
    );
    assert_eq!(
        succeed(&directory, "predict ucr.csv.model ucr.csv")
            .lines()
            .count(),
        41
    );
}

#[test]
fn gaps_are_filled_where_they_are_to_be() {
    let directory = directory("gaps");
    let full = "1,2,3,4,up\n4,3,2,1,down\n".repeat(3);
    let gappy = "1,,3,4,up\n4,3,?,1,down\n".repeat(3);
    let carried = "1,1,3,4,up\n4,3,3,1,down\n".repeat(3);
    for (name, rows) in [("full", &full), ("gappy", &gappy), ("carried", &carried)] {
        fs::write(
            directory.join(format!("{name}.csv")),
            format!("a,b,c,d,class\n{rows}"),
        )
        .unwrap();
    }
    let [full, carried] = ["full.csv", "carried.csv"].map(|file| model(&directory, file, ""));
    assert!(model(&directory, "gappy.csv", "--missing linear") == full);
    assert!(model(&directory, "gappy.csv", "--missing carry") == carried);
    assert!(full != carried);
}
