//! The library as `make install` leaves it, for programs outside of this repository: through pkg-config and CMake, shared and
//! static, from C and C++, by gcc and clang, after it has been moved; and that `make uninstall` leaves nothing.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Compiler, Language, make};

/// A directory outside of the repository, deleted at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("elman-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a command that must succeed prints.
fn text(command: &mut Command) -> String {
    let output = output(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}{errors}");
    text
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

/// Everything under a directory that is no directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() && !path.is_symlink() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// A program in C and in C++, which both say "ok".
const PROGRAM: &str = r#"#include <elman.h>
#ifdef __cplusplus
#include <elman.hpp>
#endif
#include <stdio.h>

int main(void) {
    elman_network *network;
    const float x[2] = {0.5f, -0.5f};
    float y[1];
    elman_status status = elman_create(2, &network);
    if (status == ELMAN_OK) status = elman_add_gru(network, 3, NULL);
    if (status == ELMAN_OK) status = elman_add_dense(network, 1, ELMAN_LINEAR);
    if (status == ELMAN_OK) status = elman_predict(network, x, 1, 1, NULL, NULL, y, NULL);
    elman_destroy(network);
    puts(status == ELMAN_OK ? "ok" : elman_last_error());
    return status;
}
"#;

/// A shared library of somebody's that uses the network inside.
const PLUGIN: &str = r#"#include <elman.h>

int plugin(void);
int plugin(void) {
    elman_network *network;
    const elman_status status = elman_create(2, &network);
    elman_destroy(network);
    return status;
}
"#;

const CMAKE: &str = r#"cmake_minimum_required(VERSION 3.16)
project(consumer C CXX)
find_package(elman 0.9 CONFIG QUIET)
if(elman_FOUND)
    message(FATAL_ERROR "0.9 is another version")
endif()
find_package(elman 1 CONFIG QUIET)
if(elman_FOUND)
    message(FATAL_ERROR "1 is another version")
endif()
find_package(elman 0.1 CONFIG REQUIRED)
find_package(elman 0 CONFIG REQUIRED)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH TRUE)
foreach(kind elman elman-static)
    foreach(language c cpp)
        add_executable(${kind}-${language} program.${language})
        target_link_libraries(${kind}-${language} PRIVATE elman::${kind})
        install(TARGETS ${kind}-${language})
    endforeach()
endforeach()
add_library(plugin MODULE plugin.c)
target_link_libraries(plugin PRIVATE elman::elman-static)
"#;

/// A directory for libraries that is none of those where programs look by themselves.
const LIB: &str = "lib/here";

/// Compiles a program with the flags that pkg-config gives, and runs it.
fn through_pkg_config(prefix: &Path, at: &Path) {
    let pkg_config = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        command
            .args(arguments)
            .arg("elman")
            .env("PKG_CONFIG_PATH", prefix.join(LIB).join("pkgconfig"));
        words(&text(&mut command))
    };
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let flags = pkg_config(&["--cflags"]);
    let shared = pkg_config(&["--libs"]);
    let all = pkg_config(&["--static", "--libs"]);
    let library = prefix.join(LIB);
    let run_path = format!("-Wl,-rpath,{}", library.display());
    let archive = library.join("libelman.a").to_str().unwrap().to_string();
    let others = all.iter().map(|word| match word.as_str() {
        "-lelman" => archive.clone(),
        _ => word.clone(),
    });
    let ways = [
        [&shared[..], &[run_path]].concat(),
        [&all[..], &["-static".to_string()]].concat(),
        others.collect(),
    ];
    for compiler in Compiler::available() {
        for (language, source) in [
            (Language::C11, ["-std=c11", "program.c"]),
            (Language::Cpp17, ["-std=c++17", "program.cpp"]),
        ] {
            for libraries in &ways {
                let mut compile = Command::new(compiler.command(language));
                compile
                    .args(["-Wall", "-Wextra", "-Werror", "-o", "program"])
                    .args(source)
                    .args(&flags)
                    .args(libraries)
                    .current_dir(at);
                text(&mut compile);
                assert_eq!(text(&mut Command::new(at.join("program"))), "ok\n");
            }
        }
    }
}

/// Builds a project with CMake, installs it, and runs it from both places.
fn through_cmake(prefix: &Path, at: &Path) {
    for (c, cpp) in [("gcc", "g++"), ("clang", "clang++")] {
        if ![c, cpp].into_iter().all(common::is_there) {
            continue;
        }
        let (tree, installed) = (at.join(c), at.join(format!("{c}-installed")));
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(at).arg("-B").arg(&tree);
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
        configure.args([
            format!("-DCMAKE_C_COMPILER={c}"),
            format!("-DCMAKE_CXX_COMPILER={cpp}"),
        ]);
        text(&mut configure);
        text(Command::new("cmake").arg("--build").arg(&tree));
        let mut install = Command::new("cmake");
        install
            .arg("--install")
            .arg(&tree)
            .arg("--prefix")
            .arg(&installed);
        text(&mut install);
        for name in ["elman-c", "elman-cpp", "elman-static-c", "elman-static-cpp"] {
            for directory in [&tree, &installed.join("bin")] {
                assert_eq!(
                    text(&mut Command::new(directory.join(name))),
                    "ok\n",
                    "{name}"
                );
            }
        }
        let mut symbols = Command::new("nm");
        symbols.args(["--dynamic", "--defined-only", "--format=just-symbols"]);
        assert_eq!(text(symbols.arg(tree.join("libplugin.so"))), "plugin\n");
    }
}

/// Links a program with the archive and with another one that Rust has made.
fn beside_another_archive_of_rust(prefix: &Path, at: &Path) {
    let function = "#[unsafe(no_mangle)]\npub extern \"C\" fn other() -> usize { format!(\"{:?}\", [1, 2]).len() }\n";
    fs::write(at.join("other.rs"), function).unwrap();
    let program = format!(
        "#define main unused\n{PROGRAM}#undef main\nsize_t other(void);\n\
        int main(void) {{ return unused() + (other() != 6); }}\n"
    );
    fs::write(at.join("both.c"), program).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=staticlib", "other.rs"]);
    text(rustc.current_dir(at));
    let mut compile = Command::new(Compiler::System.command(Language::C11));
    compile.args(["-o", "both", "both.c", "libother.a"]);
    compile.arg(format!("-I{}", prefix.join("include").display()));
    compile.arg(prefix.join(LIB).join("libelman.a"));
    compile.args(["-lm", "-lpthread", "-ldl"]).current_dir(at);
    text(&mut compile);
    assert_eq!(text(&mut Command::new(at.join("both"))), "ok\n");
}

/// Installs to a directory, lets programs use it elsewhere, and takes it away again.
fn install_and_uninstall(libraries: &str, users: &[fn(&Path, &Path)]) {
    let stage = Directory::new("stage");
    let variables = [
        "PREFIX=/opt/elman".to_string(),
        format!("LIBDIR=/opt/elman/{libraries}"),
        format!("DESTDIR={}", stage.0.display()),
    ];
    // Whoever installs needs none of the tools that it was built with.
    let tools = ["CARGO", "RUSTC", "CC", "STRIP", "OBJCOPY", "AR"];
    let tools = tools.map(|tool| format!("{tool}=false"));
    let install = || text(&mut make("install", &[&variables[..], &tools].concat()));
    install();
    install();

    let (installed, moved) = (stage.0.join("opt/elman"), Directory::new("moved"));
    let prefix = moved.0.join("elman");
    fs::rename(&installed, &prefix).unwrap();
    let at = Directory::new("consumer");
    for (name, contents) in [
        ("program.c", PROGRAM),
        ("program.cpp", PROGRAM),
        ("plugin.c", PLUGIN),
        ("CMakeLists.txt", CMAKE),
    ] {
        fs::write(at.0.join(name), contents).unwrap();
    }
    for user in users {
        user(&prefix, &at.0);
    }
    let constants = fs::read_to_string(prefix.join("share/elman/elman.json")).unwrap();
    let constants: serde_json::Value = serde_json::from_str(&constants).unwrap();
    assert_eq!(constants["ELMAN_ERROR_LENGTH"], 6);
    assert!(prefix.join("share/man/man3/elman.3").exists());

    fs::rename(&prefix, &installed).unwrap();
    let libraries = installed.join(libraries);
    let others = ["cmake/other.cmake", "libother.a"].map(|name| libraries.join(name));
    for other in &others {
        fs::write(other, "").unwrap();
    }
    text(&mut make("uninstall", &variables));
    let mut left = files(&stage.0);
    left.sort();
    assert_eq!(left, others);
    let own = [libraries.join("cmake/elman"), installed.join("share/elman")];
    assert!(own.iter().all(|directory| !directory.exists()));
}

#[test]
fn what_is_installed_serves_programs_elsewhere_and_goes_again() {
    if !["pkg-config", "cmake"].into_iter().all(common::is_there) {
        return;
    }
    let nowhere = Directory::new("nowhere");
    let unbuilt = format!("CARGO_TARGET_DIR={}", nowhere.0.display());
    let prefix = format!("PREFIX={}", nowhere.0.display());
    let refused = output(&mut make("install", &[prefix, unbuilt]));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && message.contains("call make first"),
        "{message}"
    );
    assert_eq!(files(&nowhere.0), Vec::<PathBuf>::new());

    text(&mut make("library", &[]));
    install_and_uninstall(LIB, &[through_pkg_config, beside_another_archive_of_rust]);
    install_and_uninstall("lib", &[through_cmake]);
}
