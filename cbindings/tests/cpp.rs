//! `include/elman.hpp`: that it works, that compilers have nothing to say about it, and that it has all of `elman.h`.

mod common;

use std::path::Path;

use common::{
    Compiler, Language, Linkage, compile_as, constants, declarations, package, read, run,
};

/// What every user's compiler is to accept, beside what all tests ask for.
const WARNINGS: [&str; 4] = [
    "-Wold-style-cast",
    "-Wshadow",
    "-Wconversion",
    "-Wsign-conversion",
];

/// Compiles and runs a program by every compiler, with each set of flags. That of the system is one of them, so it is only
/// taken where there is no other.
fn check(source: &Path, flags: &[&[&str]], arguments: &[&str], output: &str) {
    let compilers = Compiler::available();
    let compilers = if compilers.len() > 1 {
        &compilers[1..]
    } else {
        &compilers
    };
    for (index, &compiler) in compilers.iter().enumerate() {
        for &flags in flags {
            let flags = [&WARNINGS, flags].concat();
            let linkage = [Linkage::Shared, Linkage::Static][index % 2];
            let program = compile_as(compiler, source, Language::Cpp17, linkage, &flags);
            assert_eq!(run(&program, arguments), output, "{compiler:?} {flags:?}");
        }
    }
}

#[test]
fn every_part_works_in_cpp() {
    let [vowels, models] =
        ["japanese_vowels", "import"].map(|name| package().join("../tests/data").join(name));
    let arguments = [&vowels, &models].map(|path| path.to_str().unwrap());
    let source = package().join("tests/cpp/every_part.cpp");
    check(&source, &[&[], &["-std=c++20"]], &arguments, "ok\n");
}

#[test]
fn without_exceptions_calls_give_results() {
    let source = package().join("tests/cpp/no_exceptions.cpp");
    let without: &[&str] = &["-fno-exceptions"];
    check(
        &source,
        &[&[], without, &["-std=c++20", "-fno-exceptions"]],
        &[],
        "ok\n",
    );
}

/// The program in the introduction of the header, as a reader would copy it.
#[test]
fn the_program_of_the_introduction_runs_in_cpp() {
    let header = read("../include/elman.hpp");
    let (introduction, _) = header.split_once("*/").unwrap();
    let (_, program) = introduction.split_once("A complete program:").unwrap();
    let (program, _) = program.split_once("\n * Objects.").unwrap();
    let lines = program.lines().map(|line| line.trim_start_matches(" *"));
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix("     ").unwrap_or(line))
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("introduction.cpp");
    std::fs::write(&path, lines.join("\n")).unwrap();
    check(&path, &[&[]], &[], "it rises\n");
}

/// What elman.hpp does not have, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    (
        "elman_call",
        "for languages that move between threads; C++ gets messages with their errors",
    ),
    (
        "ELMAN_VERSION_MAJOR",
        "a macro for the preprocessor, which elman.h gives C++ as well",
    ),
    ("ELMAN_VERSION_MINOR", "likewise"),
    ("ELMAN_VERSION_PATCH", "likewise"),
];

/// Where this fails for a new function or constant, elman.hpp lacks it, and its tests a use of it.
#[test]
fn all_of_the_c_header_is_there_in_cpp() {
    let header = read("../include/elman.hpp");
    let code: Vec<_> = header
        .split("*/")
        .map(|part| part.split("/*").next().unwrap())
        .flat_map(str::lines)
        .map(|line| line.split("//").next().unwrap())
        .collect();
    let code = code.join("\n");
    let words: Vec<_> = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let c = read("../include/elman.h");
    let names = declarations().into_iter().map(|function| function.name);
    let names: Vec<_> = names.chain(constants(&c).map(str::to_string)).collect();
    assert!(names.len() > 200, "{}", names.len());
    for name in names {
        let is_left_out = LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
        assert_ne!(words.contains(&name.as_str()), is_left_out, "{name}");
    }
}
