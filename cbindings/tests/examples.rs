//! The examples, and the library as `make install` leaves it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Language, Linkage, build, compile, compile_with, package, rpath, run};

fn example(name: &str) -> PathBuf {
    package().join("examples").join(name)
}

/// The number that follows `label` in a program's output.
fn number_after(output: &str, label: &str) -> f64 {
    let (_, rest) = output.split_once(label).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn japanese_vowels_learns_and_streams_the_same_bits() {
    let program = compile(
        &example("japanese_vowels.c"),
        Language::C11,
        Linkage::Static,
    );
    let data = package().join("../tests/data/japanese_vowels");
    let output = run(&program, &["7", data.to_str().unwrap()]);
    assert!(number_after(&output, "test accuracy: ") > 0.95, "{output}");
    assert!(
        output.ends_with("370 of 370 answers have the same bits\n"),
        "{output}"
    );
}

#[test]
fn stream_goes_on_with_the_wave() {
    let output = run(
        &compile(&example("stream.cpp"), Language::Cpp17, Linkage::Shared),
        &[],
    );
    assert!(number_after(&output, "of its own: ") < 0.3, "{output}");
}

#[test]
fn latency_measures_every_step() {
    let program = compile(&example("latency.c"), Language::C11, Linkage::Shared);
    let output = run(&program, &["1000"]);
    for network in ["I 1, H 16 ", "I 64, H 128 "] {
        let (_, figures) = output.split_once(network).unwrap();
        let (figures, histogram) = figures.split_once('\n').unwrap();
        let times: Vec<u64> = figures
            .split_whitespace()
            .map(|time| time.parse().unwrap())
            .collect();
        assert!(
            times[0] > 0 && times.is_sorted() && times.len() == 5,
            "{output}"
        );
        let rows = histogram
            .lines()
            .map_while(|line| line.strip_prefix("    "));
        let steps = rows.map(|row| number_after(row, " ns "));
        assert_eq!(steps.sum::<f64>(), 1000.0, "{output}");
    }
}

/// Installs the library, and compiles an example with nothing but what was installed.
#[test]
fn an_installed_library_is_complete() {
    let build = build();
    let prefix =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prefix-{}", std::process::id()));
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(package())
        .arg("install")
        .arg(format!("PREFIX={}", prefix.display()))
        .arg(format!("PROFILE={}", build.profile))
        .arg("SELECT=--workspace --lib --tests")
        .arg(format!("CARGO_TARGET_DIR={}", build.target_dir.display()));
    if let Some(triple) = build.triple {
        make.arg(format!("CARGO_BUILD_TARGET={triple}"));
    }
    let output = make.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let description = fs::read_to_string(prefix.join("lib/pkgconfig/elman.pc")).unwrap();
    let description = description
        .replace("${libdir}", prefix.join("lib").to_str().unwrap())
        .replace("${includedir}", prefix.join("include").to_str().unwrap());
    let flags = |field: &str| -> Vec<String> {
        let mut lines = description.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)).unwrap();
        value.split_whitespace().map(str::to_string).collect()
    };
    assert_eq!(flags("Version:"), [env!("CARGO_PKG_VERSION")]);
    let mut link = flags("Libs:");
    link.push(rpath(&prefix.join("lib")));
    let source = example("small_sequence.c");
    let shared = run(
        &compile_with(&source, Language::C11, &flags("Cflags:"), &link),
        &[],
    );
    assert!(
        shared.starts_with("state     0.761888  0.762140  0.762391  0.762558\n"),
        "{shared}"
    );
    assert!(shared.contains("reached   0.500000"), "{shared}");

    let mut link = vec![prefix.join("lib/libelman.a").to_str().unwrap().to_string()];
    link.extend(flags("Libs.private:"));
    let linked = run(
        &compile_with(&source, Language::C11, &flags("Cflags:"), &link),
        &[],
    );
    assert_eq!(linked, shared);
    fs::remove_dir_all(prefix).unwrap();
}
