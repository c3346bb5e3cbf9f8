//! A session's step makes no system call and takes no lock: `real_time.c` runs steps in a process that watches them.
#![cfg(target_os = "linux")]

mod common;

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Language, Linkage, compile, package};

const SIGKILL: i32 = 9;

fn program() -> PathBuf {
    let source = package().join("tests/c/real_time.c");
    compile(&source, Language::C11, Linkage::Shared)
}

/// What the program prints, or the signal that has ended it.
fn run(program: &Path, tier: &str, arguments: &[&str]) -> Result<String, i32> {
    let output = Command::new(program)
        .args(arguments)
        .env("ELMAN_TIER", tier)
        // Or the dynamic linker would look for each function when it is first called, under a lock of its own.
        .env("LD_BIND_NOW", "1")
        .output()
        .unwrap();
    if let Some(signal) = output.status.signal() {
        return Err(signal);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tier} {arguments:?}: {errors}");
    Ok(String::from_utf8(output.stdout).unwrap())
}

/// Expects the program to end as it should on each tier that the CPU has.
fn expect_done(program: &Path, way: &str) {
    let required = env::var("ELMAN_REQUIRE_TIERS").unwrap_or_default();
    for tier in ["portable", "neon", "avx2", "avx512"] {
        let output = run(program, tier, &[way]);
        if output.as_deref() == Ok("no tier\n") && required.split(',').all(|name| name != tier) {
            println!("skipped: the CPU has no {tier}");
            continue;
        }
        assert_eq!(output.as_deref(), Ok("done\n"), "{tier}");
    }
}

#[test]
fn a_step_makes_no_system_call() {
    let program = program();
    expect_done(&program, "confined");
    let caught = run(&program, "portable", &["confined", "call"]);
    assert_eq!(caught, Err(SIGKILL));
    fs::remove_file(program).unwrap();
}

/// A lock cannot be had without an instruction that reads and writes memory at once.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_step_takes_no_lock() {
    let program = program();
    expect_done(&program, "traced");
    for (fault, caught) in [
        ("lock", "a locked instruction\n"),
        ("call", "a system call\n"),
    ] {
        let output = run(&program, "portable", &["traced", fault]);
        assert_eq!(output.as_deref(), Ok(caught));
    }
    fs::remove_file(program).unwrap();
}
