//! Unsafe operations live in one file: elsewhere functions are unsafe by their signatures alone.

mod common;

use std::fs;
use std::process::Command;

/// The files of the library.
fn files() -> Vec<String> {
    let entries = fs::read_dir(common::package().join("src")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn only_the_border_is_unsafe() {
    for file in files().iter().filter(|file| *file != "border.rs") {
        for (number, line) in common::read(&format!("src/{file}")).lines().enumerate() {
            let code = line.split("//").next().unwrap().trim();
            let known = [
                "#[unsafe(no_mangle)]",
                "#[allow(unsafe_code)]",
                "#![deny(unsafe_code)]",
                "#![allow(unsafe_op_in_unsafe_fn)]",
                "run: unsafe fn(&[u64]) -> Result<Status>,",
            ];
            let signature = ["", "pub ", "pub(crate) "].iter().any(|visibility| {
                let code = code.strip_prefix(visibility).unwrap_or_default();
                code.starts_with("unsafe fn ") || code.starts_with("unsafe extern \"C\" fn ")
            });
            assert!(
                !code.contains("unsafe") || known.contains(&code) || signature,
                "{file}:{}: {line}",
                number + 1
            );
        }
    }
}

/// The compiler's list of what needs an unsafe function around it.
#[test]
fn unsafe_functions_only_call_each_other() {
    let common::Library { engine, .. } = common::library();
    let build = common::build();
    let directory = engine.parent().unwrap();
    let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    compiler
        .current_dir(common::package())
        .args([
            "src/lib.rs",
            "--crate-type=lib",
            "--edition=2024",
            "--emit=metadata",
        ])
        .args([
            "--force-warn=unsafe_op_in_unsafe_fn",
            "--error-format=short",
        ])
        .args(
            ["avx512", "datasets", "f64", "import"].map(|part| format!("--cfg=feature=\"{part}\"")),
        )
        .arg(format!("--out-dir={}", env!("CARGO_TARGET_TMPDIR")))
        .arg(format!("--extern=elman_engine={}", engine.display()))
        .env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"));
    // Where dependencies are, and macros of the machine that compiles.
    let host = build.target_dir.join(directory.file_name().unwrap());
    for directory in [directory, &host] {
        compiler.arg(format!("-Ldependency={}", directory.join("deps").display()));
    }
    let output = compiler.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let operations: Vec<_> = text.lines().filter(|line| line.contains("E0133")).collect();
    assert!(operations.len() > 50, "{text}");
    let files = files();
    let modules = files.iter().map(|file| file.strip_suffix(".rs").unwrap());
    let own: Vec<_> = modules
        .map(|module| format!("call to unsafe function `{module}::"))
        .collect();
    for operation in operations {
        // Its table holds this crate's functions alone.
        let from_table = operation.starts_with("src/by_name.rs:")
            && operation.contains("call to unsafe function is unsafe");
        let known = from_table || own.iter().any(|own| operation.contains(own));
        assert!(known, "{operation}");
    }
}
