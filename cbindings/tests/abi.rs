//! What the library exports, what the header declares, and that C and C++ compilers and linkers agree with both.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::{Declaration, Language, Linkage, compile, declarations, read, run};

/// Functions that the shared library exports. `ELMAN_BLESS=1 cargo test -p elman-c --test abi` writes the list anew.
#[cfg(target_os = "linux")]
#[test]
fn the_library_exports_what_the_list_says() {
    let output = std::process::Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=just-symbols"])
        .arg(&common::library().shared)
        .output()
        .unwrap();
    let mut symbols: Vec<_> = std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect();
    symbols.sort_unstable();
    let symbols = symbols.join("\n") + "\n";
    if std::env::var_os("ELMAN_BLESS").is_some() {
        std::fs::write(common::package().join("symbols.txt"), &symbols).unwrap();
    }
    assert_eq!(symbols, read("symbols.txt"));
}

#[test]
fn the_header_declares_what_the_list_says() {
    let mut declared: Vec<_> = declarations()
        .into_iter()
        .map(|function| function.name)
        .collect();
    declared.sort_unstable();
    assert_eq!(declared.join("\n") + "\n", read("symbols.txt"));
}

#[test]
fn every_function_documents_threads_and_version() {
    for Declaration { name, comment } in declarations() {
        assert!(comment.contains("Since 0."), "{name}");
        assert!(
            comment.contains("Threads: ") || comment.contains("threads as with"),
            "{name}"
        );
    }
}

/// A program that uses every function and every constant of the header.
fn every_symbol() -> PathBuf {
    let mut program = String::from("#include <elman.h>\n#include <stdio.h>\n\n");
    program.push_str("typedef void (*function)(void);\nstatic const function functions[] = {\n");
    for function in declarations() {
        writeln!(program, "    (function)&{},", function.name).unwrap();
    }
    program.push_str("};\nstatic const unsigned long long constants[] = {\n");
    let header = read("../include/elman.h");
    let macros = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define "));
    for (name, _) in macros.filter_map(|line| line.split_once(' ')) {
        writeln!(program, "    (unsigned long long){name},").unwrap();
    }
    program.push_str(
        "};\n\nint main(void) {\n    size_t missing = 0;\n\
         \x20   for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)\n\
         \x20       missing += functions[i] == NULL;\n\
         \x20   printf(\"%zu %zu\\n\", missing, sizeof constants / sizeof *constants);\n\
         \x20   return 0;\n}\n",
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every_symbol.c");
    std::fs::write(&path, program).unwrap();
    path
}

#[test]
fn c_and_cpp_link_every_symbol_with_both_libraries() {
    let source = every_symbol();
    for language in [Language::C11, Language::Cpp17] {
        for linkage in [Linkage::Shared, Linkage::Static] {
            let output = run(&compile(&source, language, linkage), &[]);
            let (missing, constants) = output.trim().split_once(' ').unwrap();
            assert_eq!(missing, "0", "{language:?} {linkage:?}");
            assert!(constants.parse::<usize>().unwrap() > 40);
        }
    }
}

/// The program in the introduction of the header, as a reader would copy it.
#[test]
fn the_program_of_the_introduction_runs() {
    let header = read("../include/elman.h");
    let (introduction, _) = header.split_once("*/").unwrap();
    let lines = introduction
        .lines()
        .map(|line| line.trim_start_matches(" *"));
    let program: Vec<_> = lines
        .filter_map(|line| match line {
            "" => Some(""),
            line => line.strip_prefix("     "),
        })
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("introduction.c");
    std::fs::write(&path, program.join("\n")).unwrap();
    for linkage in [Linkage::Shared, Linkage::Static] {
        assert_eq!(
            run(&compile(&path, Language::C11, linkage), &[]),
            "it rises\n"
        );
    }
}
