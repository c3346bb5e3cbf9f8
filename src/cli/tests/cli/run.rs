//! Runs the program, and makes files for it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// An empty directory for a test.
pub fn directory(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// A file of the repository's test data.
pub fn data(name: &str) -> String {
    format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn vowels(part: &str) -> String {
    data(&format!("japanese_vowels/JapaneseVowels_{part}.ts"))
}

/// The program in a directory, with arguments that are separated by blanks.
pub fn command(directory: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elman"));
    command
        .current_dir(directory)
        .args(arguments.split_whitespace());
    command
}

pub fn run(directory: &Path, arguments: &str) -> Output {
    command(directory, arguments).output().unwrap()
}

/// Standard output of a run that succeeds and has nothing to complain about.
pub fn succeed(directory: &Path, arguments: &str) -> String {
    let output = run(directory, arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments}: {errors}");
    assert_eq!(errors, "", "{arguments}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a run that fails says: one line, after the program's name.
pub fn fail(directory: &Path, arguments: &str) -> String {
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments}");
    let errors = String::from_utf8(output.stderr).unwrap();
    let line = errors
        .strip_prefix("elman: ")
        .unwrap()
        .strip_suffix('\n')
        .unwrap();
    assert!(!line.contains('\n'), "{errors}");
    line.to_owned()
}

pub fn json(directory: &Path, arguments: &str) -> Value {
    serde_json::from_str(&succeed(directory, arguments)).unwrap()
}

/// Sequences of one feature, of 5 to 9 steps, that rise or fall.
pub fn slopes() -> Vec<(&'static str, Vec<f32>)> {
    let slope = |index: usize| {
        let name = ["up", "down"][index % 2];
        let sign = if name == "up" { 1.0 } else { -1.0 };
        let noise = |step: usize| ((index * 7 + step * 3) as f32).sin();
        let value = |step: usize| sign * step as f32 + 0.5 * noise(step);
        (name, (0..5 + index % 5).map(value).collect())
    };
    (0..40).map(slope).collect()
}

pub fn joined(values: &[f32]) -> String {
    let values: Vec<String> = values.iter().map(f32::to_string).collect();
    values.join(",")
}

pub fn ts(sequences: &[(&str, Vec<f32>)]) -> String {
    let mut text =
        "@problemName slopes\n@univariate true\n@classLabel true down up\n@data\n".to_owned();
    for (name, values) in sequences {
        writeln!(text, "{}:{name}", joined(values)).unwrap();
    }
    text
}

pub fn wide(sequences: &[(&str, Vec<f32>)]) -> String {
    let mut text = "t0,t1,t2,t3,t4,t5,t6,t7,t8,label\n".to_owned();
    for (name, values) in sequences {
        let padding = ",".repeat(9 - values.len());
        writeln!(text, "{}{padding},{name}", joined(values)).unwrap();
    }
    text
}

/// The first steps of all sequences, then the others, the last ones first.
pub fn long(sequences: &[(&str, Vec<f32>)]) -> String {
    let mut text = "id,time,x,label\n".to_owned();
    for step in std::iter::once(0).chain((1..9).rev()) {
        for (index, (name, values)) in sequences.iter().enumerate() {
            if let Some(value) = values.get(step) {
                // 10 is behind 9 as a number, not as text.
                writeln!(text, "s{index},{},{value},{name}", step + 5).unwrap();
            }
        }
    }
    text
}
