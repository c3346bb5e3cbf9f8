//! The library as C programs get it, and a compiler for them.
#![allow(dead_code)] // each test takes what it needs

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[path = "../../soname.rs"]
pub mod soname;

/// The directory of this package.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of this package.
pub fn read(path: &str) -> String {
    let path = package().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a linker needs.
pub struct Library {
    pub shared: PathBuf,
    pub archive: PathBuf,
    /// The engine that both are made of, for the Rust compiler.
    pub engine: PathBuf,
    /// Libraries of the system that the archive needs.
    pub native: Vec<String>,
}

/// How this test was built.
pub struct Build {
    pub target_dir: PathBuf,
    /// The platform, if one was asked for.
    pub triple: Option<String>,
    pub profile: String,
}

pub fn build() -> Build {
    let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    // The test is [target_dir]/[triple]/[profile]/deps/[test] or [target_dir]/[profile]/deps/[test].
    let test = env::current_exe().unwrap();
    let profile_dir = test.parent().and_then(Path::parent).unwrap();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
    let parent = profile_dir.parent().unwrap();
    Build {
        target_dir: target_dir.to_path_buf(),
        triple: (parent != target_dir).then(|| name(parent)),
        profile: match name(profile_dir).as_str() {
            "debug" => "dev".to_string(),
            other => other.to_string(),
        },
    }
}

/// The library in the profile of this test. Cargo does not build it for tests, because Rust code can't link it. It is built
/// with all tests of the workspace, which are there already where all are run: then its crates have the features that they
/// have in tests, and none is built a second time.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let Build {
            target_dir,
            triple,
            profile,
        } = build();
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--workspace", "--lib", "--tests"])
            .args(["--message-format=json", "--profile"])
            .arg(profile)
            .arg("--target-dir")
            .arg(target_dir)
            .current_dir(package());
        if let Some(triple) = &triple {
            cargo.args(["--target", triple]);
        }
        let output = cargo.output().unwrap();
        let messages = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "{messages}{}",
            String::from_utf8_lossy(&output.stderr)
        );

        let mut files = Vec::<PathBuf>::new();
        for message in messages.lines() {
            let message: serde_json::Value = serde_json::from_str(message).unwrap();
            if message["target"]["name"] == "elman" && message["reason"] == "compiler-artifact" {
                let names = message["filenames"].as_array().unwrap();
                files.extend(names.iter().map(|name| name.as_str().unwrap().into()));
            }
        }
        let find = |extensions: &[&str]| {
            let fits = |file: &&PathBuf| {
                let extension = file.extension().unwrap_or_default();
                extensions.contains(&extension.to_str().unwrap())
            };
            files.iter().find(fits).unwrap().clone()
        };
        Library {
            shared: find(&["so", "dylib"]),
            archive: find(&["a"]),
            engine: find(&["rlib"]),
            native: native_libraries(triple.as_deref()),
        }
    })
}

/// `make` for the library in the profile of this test.
pub fn make(goal: &str, variables: &[String]) -> Command {
    let build = build();
    let mut make = Command::new("make");
    make.arg("-C")
        .arg(package())
        .arg(goal)
        .arg(format!("PROFILE={}", build.profile))
        .arg("SELECT=--workspace --lib --tests")
        .arg(format!("CARGO_TARGET_DIR={}", build.target_dir.display()))
        .args(variables);
    if let Some(triple) = build.triple {
        make.arg(format!("CARGO_BUILD_TARGET={triple}"));
    }
    make
}

/// Libraries of the system that an archive needs: those of the standard library.
fn native_libraries(triple: Option<&str>) -> Vec<String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let empty = directory.join("empty.rs");
    fs::write(&empty, "").unwrap();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args([
            "--crate-type=staticlib",
            "--print=native-static-libs",
            "--out-dir",
        ])
        .arg(directory)
        .arg(empty);
    if let Some(triple) = triple {
        rustc.args(["--target", triple]);
    }
    let output = rustc.output().unwrap();
    let note = String::from_utf8_lossy(&output.stderr);
    let list = note.split_once("native-static-libs: ");
    let (_, list) = list.unwrap_or_else(|| panic!("{note}"));
    let list = list.lines().next().unwrap_or_default();
    list.split_whitespace().map(str::to_string).collect()
}

#[derive(Clone, Copy, Debug)]
pub enum Language {
    C11,
    Cpp17,
}

/// Who compiles.
#[derive(Clone, Copy, Debug)]
pub enum Compiler {
    /// What `CC` and `CXX` name, else `cc` and `c++`.
    System,
    Gcc,
    Clang,
    /// With MPI.
    Mpi,
}

impl Compiler {
    /// Those that the header is checked with, of which the machine may lack some.
    pub fn available() -> Vec<Self> {
        let found = |compiler: &Self| {
            [Language::C11, Language::Cpp17]
                .into_iter()
                .all(|language| is_there(&compiler.command(language)))
        };
        let others = [Self::Gcc, Self::Clang].into_iter().filter(found);
        [Self::System].into_iter().chain(others).collect()
    }

    /// Its command for a language.
    pub fn command(self, language: Language) -> String {
        let or = |variable, default: &str| env::var(variable).unwrap_or_else(|_| default.into());
        match (self, language) {
            (Self::System, Language::C11) => or("CC", "cc"),
            (Self::System, Language::Cpp17) => or("CXX", "c++"),
            (Self::Gcc, Language::C11) => "gcc".into(),
            (Self::Gcc, Language::Cpp17) => "g++".into(),
            (Self::Clang, Language::C11) => "clang".into(),
            (Self::Clang, Language::Cpp17) => "clang++".into(),
            (Self::Mpi, Language::C11) => "mpicc".into(),
            (Self::Mpi, Language::Cpp17) => "mpicxx".into(),
        }
    }
}

/// Whether the machine has a tool. One that is named in `ELMAN_REQUIRE_COMPILERS` (a list with commas) and missing is a failure.
pub fn is_there(tool: &str) -> bool {
    let required = env::var("ELMAN_REQUIRE_COMPILERS").unwrap_or_default();
    let answers = Command::new(tool).arg("--version").output().is_ok();
    let wanted = required.split(',').any(|required| required == tool);
    assert!(answers || !wanted, "the required tool {tool} is missing");
    if !answers {
        println!("skipped: there is no {tool}");
    }
    answers
}

#[derive(Clone, Copy, Debug)]
pub enum Linkage {
    Shared,
    Static,
}

/// A directory in which programs find the shared library by the name that they remember.
fn run_directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}", build().profile));
    let name = soname::soname(env::consts::OS, env!("CARGO_PKG_VERSION")).unwrap();
    fs::create_dir_all(&directory).unwrap();
    match std::os::unix::fs::symlink(&library().shared, directory.join(name)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
        _ => directory,
    }
}

/// Makes a program look for shared libraries in a directory.
fn rpath(directory: &Path) -> String {
    format!("-Wl,-rpath,{}", directory.display())
}

/// A program that is compiled without a warning and linked with the library.
pub fn compile(source: &Path, language: Language, linkage: Linkage) -> PathBuf {
    compile_by(Compiler::System, source, language, linkage)
}

/// As [`compile`], by a compiler of choice.
pub fn compile_by(
    compiler: Compiler,
    source: &Path,
    language: Language,
    linkage: Linkage,
) -> PathBuf {
    compile_as(compiler, source, language, linkage, &[])
}

/// As [`compile_by`], with further flags for the compiler.
pub fn compile_as(
    compiler: Compiler,
    source: &Path,
    language: Language,
    linkage: Linkage,
    flags: &[&str],
) -> PathBuf {
    let library = library();
    let shared = ["-lm".to_string(), rpath(&run_directory())];
    let (file, others) = match linkage {
        Linkage::Shared => (&library.shared, &shared[..]),
        Linkage::Static => (&library.archive, &library.native[..]),
    };
    let mut compile = vec![format!("-I{}", package().join("../include").display())];
    compile.extend(flags.iter().map(ToString::to_string));
    let link = [&[file.to_str().unwrap().to_string()], others].concat();
    run_compiler(compiler, source, language, &compile, &link)
}

/// A program that is compiled without a warning and with arguments for the compiler and the linker.
pub fn compile_with(
    source: &Path,
    language: Language,
    compile: &[String],
    link: &[String],
) -> PathBuf {
    run_compiler(Compiler::System, source, language, compile, link)
}

fn run_compiler(
    compiler: Compiler,
    source: &Path,
    language: Language,
    compile: &[String],
    link: &[String],
) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let stem = source.file_stem().unwrap().to_str().unwrap();
    let unique = format!(
        "{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}-{unique}"));
    let flags = match language {
        Language::C11 => ["-std=c11", "-xc"],
        Language::Cpp17 => ["-std=c++17", "-xc++"],
    };
    let mut compiler = Command::new(compiler.command(language));
    compiler
        .args(flags)
        .args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-O1",
            "-pthread",
        ])
        .args(compile)
        .arg(format!("-I{}", package().join("tests/c").display()))
        .arg(format!("-I{}", env!("CARGO_TARGET_TMPDIR")))
        .arg(source)
        .args(["-xnone", "-o"])
        .arg(&program)
        .args(link);
    let output = compiler.output().unwrap();
    assert!(
        output.status.success(),
        "{compiler:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}

/// What a program prints. It must succeed; it is deleted afterwards.
pub fn run(program: &Path, arguments: &[&str]) -> String {
    run_with(program, Command::new(program).args(arguments))
}

/// As [`run`], with a command for the program.
pub fn run_with(program: &Path, command: &mut Command) -> String {
    let output = command
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{}: {}\n{text}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_file(program).unwrap();
    text
}

/// A function of the header.
pub struct Declaration {
    pub name: String,
    pub comment: String,
    /// The type of what it returns.
    pub result: String,
    /// The names of its arguments.
    pub arguments: Vec<String>,
}

/// The functions that the header declares, in order.
pub fn declarations() -> Vec<Declaration> {
    let header = read("../include/elman.h");
    let documented = header
        .split("\n\n")
        .filter_map(|block| block.split_once("*/\n"));
    documented
        .filter_map(|(comment, declaration)| {
            let (before, behind) = declaration.split_once('(')?;
            let (result, name) = before.rsplit_once([' ', '*'])?;
            // Text in a comment of a struct's field or of a constant is no declaration.
            let function = name.starts_with("elman_") && !before.contains('\n');
            function.then(|| Declaration {
                name: name.to_string(),
                comment: comment.to_string(),
                result: result.to_string(),
                arguments: arguments_of(behind),
            })
        })
        .collect()
}

/// The names of the arguments in what follows the bracket of a declaration.
fn arguments_of(text: &str) -> Vec<String> {
    let (list, _) = text.split_once(");").unwrap_or_default();
    let names = list.split(',').filter(|argument| *argument != "void");
    let names = names.map(|argument| argument.rsplit([' ', '*']).next().unwrap());
    names.map(str::to_string).collect()
}

/// The names of the header's constants.
pub fn constants(header: &str) -> impl Iterator<Item = &str> {
    let macros = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define "));
    macros.filter_map(|line| Some(line.split_once(' ')?.0))
}
