//! `include/elman.h` is what the sources say, `include/elman.json` has its constants, for languages that read no headers, and
//! `docs/c-manual.md` says at which lines of it the sections of the manual begin.
//! `ELMAN_BLESS=1 cargo test -p elman-c --test header` writes all three anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config};

/// The sections of the header: the files of `src`, in the order of a manual.
const SECTIONS: [&str; 19] = [
    "status",
    "version",
    "network",
    "recurrent",
    "around",
    "layer",
    "run",
    "session",
    "file",
    "import",
    "optimizer",
    "dataset",
    "training",
    "pass",
    "loss",
    "ctc",
    "parameters",
    "gradient_check",
    "by_name",
];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source(section: &str) -> PathBuf {
    package().join("src").join(section).with_extension("rs")
}

/// The header. The generator makes each section, because by itself it would put all constants, then all types, then all
/// functions together.
fn header() -> String {
    let mut config = Config::from_file(package().join("cbindgen.toml")).unwrap();
    let introduction = config.header.take().unwrap();
    let mut header = format!(
        "{}\n#ifndef ELMAN_H\n#define ELMAN_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n",
        introduction.trim()
    );
    for (index, section) in SECTIONS.iter().enumerate() {
        let path = source(section);
        let bindings = Builder::new()
            .with_config(config.clone())
            .with_src(&path)
            .generate()
            .unwrap();
        let mut declarations = Vec::new();
        bindings.write(&mut declarations);
        let declarations = String::from_utf8(declarations).unwrap();

        let text = std::fs::read_to_string(path).unwrap();
        let mut about = text.lines().map_while(|line| line.strip_prefix("//!"));
        let title = format!("{}. {}", index + 1, about.next().unwrap().trim());
        write!(
            header,
            "\n\n/*\n * {title}\n * {}\n",
            "-".repeat(title.len())
        )
        .unwrap();
        for line in about {
            writeln!(header, " *{line}").unwrap();
        }
        let declarations = compact(&without_safety(declarations.trim()));
        write!(header, " */\n\n{declarations}\n").unwrap();
    }
    header.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    header
}

/// Leaves out what ends the comments of unsafe functions: for C, where all functions are, the introduction says it once.
fn without_safety(declarations: &str) -> String {
    let mut parts = declarations.split("\n *\n * # Safety\n");
    let mut text = parts.next().unwrap().to_string();
    for part in parts {
        let (_, behind) = part.split_once("\n */\n").unwrap();
        text += "\n */\n";
        text += behind;
    }
    text
}

/// Puts comments of one line on one line, and constants that have such comments together.
fn compact(declarations: &str) -> String {
    let lines: Vec<&str> = declarations.lines().collect();
    let mut compact: Vec<String> = Vec::new();
    let mut rest = &lines[..];
    while let [line, behind @ ..] = rest {
        rest = behind;
        let indent = line.strip_suffix("/**");
        if let (Some(indent), [text, end, behind @ ..]) = (indent, rest)
            && end.trim() == "*/"
        {
            let text = text.trim().trim_start_matches("* ");
            compact.push(format!("{indent}/** {text} */"));
            rest = behind;
            let [.., before, blank, _] = &compact[..] else {
                continue;
            };
            let constants = [before.as_str(), behind[0]];
            if blank.is_empty() && constants.iter().all(|line| line.starts_with("#define")) {
                compact.remove(compact.len() - 2);
            }
        } else {
            compact.push(line.to_string());
        }
    }
    compact.join("\n")
}

/// The constants of the header as a JSON object. `SIZE_MAX`, which has no number of its own, is -1: what it is converted from.
fn constants(header: &str) -> String {
    let macros = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    let members = macros.map(|(name, value)| match value {
        "SIZE_MAX" => format!("  \"{name}\": -1"),
        value => format!("  \"{name}\": {}", value.parse::<u32>().unwrap()),
    });
    format!("{{\n{}\n}}\n", members.collect::<Vec<_>>().join(",\n"))
}

/// The page of the book that has the header, section by section: mdBook puts the lines in place of their numbers.
fn manual(header: &str) -> String {
    let lines: Vec<_> = header.lines().collect();
    let title = |pair: &[&str]| match pair {
        ["/*", title] => title.strip_prefix(" * ").map(str::to_string),
        _ => None,
    };
    let mut starts: Vec<_> = (1..)
        .zip(lines.windows(2))
        .filter_map(|(number, pair)| Some((number, title(pair)?)))
        .collect();
    starts[0].1 = "Introduction".to_string();
    let ends = starts.iter().skip(1).map(|(number, _)| number - 1);
    let ends: Vec<_> = ends.chain([lines.len()]).collect();
    let mut page = "# The C manual\n\nThis is `include/elman.h`, section by section. Without mdBook, read the header itself: here \
                    stand the numbers of\nits lines. `man elman` shows the way to it where it is installed.\n"
        .to_string();
    for ((start, title), end) in starts.iter().zip(ends) {
        let lines = format!("{{{{#include ../include/elman.h:{start}:{end}}}}}");
        write!(page, "\n## {title}\n\n```c\n{lines}\n```\n").unwrap();
    }
    page
}

/// Holds a file against what it must be, line by line.
fn expect_file(name: &str, expected: &str) {
    let path = package().join("..").join(name);
    if std::env::var_os("ELMAN_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    for (number, (committed, expected)) in committed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(committed, expected, "{name}, line {}", number + 1);
    }
    assert!(committed == expected, "{name}: one of them ends earlier");
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let header = header();
    expect_file("include/elman.h", &header);
    expect_file("include/elman.json", &constants(&header));
    expect_file("docs/c-manual.md", &manual(&header));
}
