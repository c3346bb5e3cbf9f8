//! What the library exports, what the header declares, and that C and C++ compilers and linkers agree with both.
//!
//! `symbols.txt` and `abi.txt` hold what programs that are already compiled rely on; `docs/abi.md` says which versions may
//! change what in them. `ELMAN_BLESS=1 cargo test -p elman-c --test abi` writes both anew.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::soname::soname;
use common::{
    Compiler, Declaration, Language, Linkage, compile, compile_by, constants, declarations, read,
    run,
};

/// Functions that the shared library exports.
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
    for Declaration { name, comment, .. } in declarations() {
        assert!(comment.contains("Since 0."), "{name}");
        assert!(
            comment.contains("Threads: ") || comment.contains("threads as with"),
            "{name}"
        );
    }
}

/// What programs remember is what a version may not change, for the library and for what `make install` leaves.
#[test]
fn the_library_is_named_after_its_abi() {
    let versions = [
        ("0.1.0", "0.1"),
        ("0.1.7", "0.1"),
        ("0.12.3", "0.12"),
        ("0.2.0-rc.1", "0.2"),
        ("1.0.0", "1"),
        ("1.2.3", "1"),
        ("10.0.4", "10"),
        ("2.0.0-rc.1", "2"),
    ];
    for (version, abi) in versions {
        let linux = (
            "Linux",
            format!("libelman.so.{version}"),
            format!("libelman.so.{abi}"),
            "libelman.so",
        );
        let macos = (
            "Darwin",
            format!("libelman.{version}.dylib"),
            format!("libelman.{abi}.dylib"),
            "libelman.dylib",
        );
        for (system, file, remembered, linked) in [linux, macos] {
            let os = if system == "Darwin" { "macos" } else { "linux" };
            assert_eq!(soname(os, version).unwrap(), remembered);
            let output = std::process::Command::new("make")
                .args(["--dry-run", "install", "PREFIX=/p", "DESTDIR=/d"])
                .args([format!("VERSION={version}"), format!("SYSTEM={system}")])
                .current_dir(common::package())
                .output()
                .unwrap();
            let commands = String::from_utf8(output.stdout).unwrap();
            let links: Vec<_> = commands
                .lines()
                .filter_map(|line| Some(line.split_once("ln -sf ")?.1))
                .collect();
            let expected = [
                format!("{file} /d/p/lib/{remembered}"),
                format!("{remembered} /d/p/lib/{linked}"),
            ];
            assert_eq!(links, expected);
        }
    }
    assert_eq!(soname("windows", "1.2.3"), None);
}

/// A program that takes the address of every function of the header, and prints how many have none.
fn every_symbol() -> PathBuf {
    let mut program = String::from("#include <elman.h>\n#include <stdio.h>\n\n");
    program.push_str("typedef void (*function)(void);\nstatic const function functions[] = {\n");
    for function in declarations() {
        writeln!(program, "    (function)&{},", function.name).unwrap();
    }
    program.push_str(
        "};\n\nint main(void) {\n    size_t missing = 0;\n\
         \x20   for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)\n\
         \x20       missing += functions[i] == NULL;\n\
         \x20   printf(\"%zu\\n\", missing);\n    return 0;\n}\n",
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every_symbol.c");
    std::fs::write(&path, program).unwrap();
    path
}

#[test]
fn c_and_cpp_link_every_symbol_with_both_libraries() {
    let source = every_symbol();
    for compiler in Compiler::available() {
        for language in [Language::C11, Language::Cpp17] {
            for linkage in [Linkage::Shared, Linkage::Static] {
                let program = compile_by(compiler, &source, language, linkage);
                let context = format!("{compiler:?} {language:?} {linkage:?}");
                assert_eq!(run(&program, &[]), "0\n", "{context}");
            }
        }
    }
}

/// A program that calls every function of the header by its name, with more arguments than any of them has.
fn every_name() -> PathBuf {
    let mut program = String::from(
        "#include <elman.h>\n#include <stdio.h>\n\nint main(void) {\n    \
         const uint64_t arguments[99] = {0};\n    char message[1024];\n    elman_status status;\n",
    );
    for Declaration { name, .. } in declarations() {
        writeln!(
            program,
            "    status = elman_call(\"{name}\", arguments, 99, message, sizeof message);\n    \
             printf(\"%d %s\\n\", (int)status, message);"
        )
        .unwrap();
    }
    program.push_str("    return 0;\n}\n");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("every_name.c");
    std::fs::write(&path, program).unwrap();
    path
}

/// Where this fails for a new function, `ENTRIES` in src/by_name.rs lacks a line.
#[test]
fn every_function_with_a_status_can_be_called_by_name() {
    let output = run(&compile(&every_name(), Language::C11, Linkage::Shared), &[]);
    let mut answers = output.lines();
    for Declaration {
        name,
        result,
        arguments,
        ..
    } in declarations()
    {
        let has_a_status = result == "elman_status" && name != "elman_call";
        let expected = match has_a_status || result == "void" {
            true => format!(
                "6 count is 99, expected {} for {name}({})",
                arguments.len(),
                arguments.join(", ")
            ),
            false => format!(
                "8 function is '{name}', expected the name of one that returns a status or destroys an object"
            ),
        };
        assert_eq!(answers.next(), Some(expected.as_str()));
    }
    assert_eq!(answers.next(), None);
}

/// The names of the header's structs, and of their fields.
fn structs(header: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    header.split("\ntypedef struct {\n").skip(1).map(|text| {
        let (body, rest) = text.split_once("\n} ").unwrap();
        let (name, _) = rest.split_once(';').unwrap();
        let fields = body.lines().filter_map(|line| line.strip_suffix(';'));
        let names = fields.map(|field| field.rsplit([' ', '*']).next().unwrap());
        let fields = names.map(|name| name.split('[').next().unwrap());
        (name, fields.collect())
    })
}

/// A program that prints the sizes, alignments and offsets of the header's types and the values of its constants.
fn layout() -> PathBuf {
    let header = read("../include/elman.h");
    let mut program = String::from(
        "#include <elman.h>\n#include <stdio.h>\n\n\
         #ifdef __cplusplus\n#define _Alignof alignof\n#endif\n\n\
         #define TYPE(type) printf(\"%s: size %zu, alignment %zu\\n\", #type, sizeof(type), _Alignof(type))\n\
         #define FIELD(type, field) \\\n    \
         printf(\"    %s: offset %zu, size %zu\\n\", #field, offsetof(type, field), sizeof(((type *)0)->field))\n\
         #define CONSTANT(name) printf(\"%s %llu\\n\", #name, (unsigned long long)name)\n\n\
         int main(void) {\n    TYPE(elman_status);\n    TYPE(elman_progress_callback);\n    \
         TYPE(elman_batch_callback);\n",
    );
    for (name, fields) in structs(&header) {
        writeln!(program, "    TYPE({name});").unwrap();
        for field in fields {
            writeln!(program, "    FIELD({name}, {field});").unwrap();
        }
    }
    // Every version has its own number.
    for name in constants(&header).filter(|name| !name.starts_with("ELMAN_VERSION_")) {
        writeln!(program, "    CONSTANT({name});").unwrap();
    }
    program.push_str("    return 0;\n}\n");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout.c");
    std::fs::write(&path, program).unwrap();
    path
}

#[cfg(target_pointer_width = "64")]
#[test]
fn types_and_constants_are_what_the_list_says() {
    let source = layout();
    if std::env::var_os("ELMAN_BLESS").is_some() {
        let list = run(&compile(&source, Language::C11, Linkage::Shared), &[]);
        std::fs::write(common::package().join("abi.txt"), list).unwrap();
    }
    for compiler in Compiler::available() {
        for language in [Language::C11, Language::Cpp17] {
            let program = compile_by(compiler, &source, language, Linkage::Shared);
            let list = run(&program, &[]);
            assert_eq!(list, read("abi.txt"), "{compiler:?} {language:?}");
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
