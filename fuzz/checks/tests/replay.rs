//! The fuzz targets without a fuzzer: every file of `seeds` and `crashes`, and as many random strings as
//! `ELMAN_FUZZ_RUNS` says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use elman_checks::{calls, loaders};

/// The files of one kind for a target, in order; there may be none.
fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let Ok(entries) = fs::read_dir(fuzz.join(kind).join(target)) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Random strings of up to `longest` bytes.
fn random_strings(longest: usize) -> impl Iterator<Item = Vec<u8>> {
    let runs = std::env::var("ELMAN_FUZZ_RUNS").map_or(1500, |runs| runs.parse().unwrap());
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    (0..runs).map(move |_| {
        let len = next() % longest;
        (0..len).map(|_| next() as u8).collect()
    })
}

#[test]
fn calls_do_what_the_header_says() {
    let mut record = BTreeSet::new();
    let mut run = |name: &dyn std::fmt::Display, bytes: &[u8]| {
        println!("{name}");
        record.extend(calls(bytes));
    };
    for file in files("crashes", "calls") {
        run(&file.display(), &fs::read(&file).unwrap());
    }
    for (index, bytes) in random_strings(800).enumerate() {
        run(&format_args!("random string {index}"), &bytes);
    }
    expect_every_function(&record);
}

/// The runs reach every function that has a status, and each of them succeeds and fails.
fn expect_every_function(record: &BTreeSet<(&str, i32)>) {
    let header = include_str!("../../../include/elman.h");
    let functions = header.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("elman_status ")?.split_once('(')?;
        Some(name)
    });
    let functions: BTreeSet<_> = functions.collect();
    assert!(functions.len() > 50);
    let seen = |ok: bool| -> BTreeSet<_> {
        let calls = record.iter().filter(|(_, status)| (*status == 0) == ok);
        calls.map(|(name, _)| *name).collect()
    };
    let missing = |ok| functions.difference(&seen(ok)).copied().collect::<Vec<_>>();
    assert_eq!(missing(true), [""; 0], "these never succeed");
    assert_eq!(missing(false), [""; 0], "these never fail");
}

#[test]
fn files_are_loaded_or_refused() {
    let seeds = files("seeds", "loaders");
    assert!(!seeds.is_empty());
    for file in seeds {
        println!("{}", file.display());
        let bytes = fs::read(file).unwrap();
        assert!(loaders(&bytes));
        for index in 1..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            loaders(&damaged);
            let part = loaders(&bytes[..index]);
            assert!(!part || bytes[0] != b's', "{index} bytes are a network");
        }
    }
    for file in files("crashes", "loaders") {
        println!("{}", file.display());
        loaders(&fs::read(file).unwrap());
    }
    random_strings(200).for_each(|bytes| {
        loaders(&bytes);
    });
}
