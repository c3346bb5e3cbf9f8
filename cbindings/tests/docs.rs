//! README.md and docs/*.md: their programs compile and run, their commands run or are listed in [`NOT_RUN`] with the reason, and
//! their links lead somewhere.
//!
//! A block of code names its language; one that is only indented is commands. Who tests it:
//!
//! | language | by |
//! | --- | --- |
//! | `c`, `cpp` | this file: it is compiled, linked with the library and run |
//! | `sh` | this file: run by bash, beside the programs of its page (program.c, program.cpp), with the library installed |
//! | `json` | this file: it is read |
//! | `rust` | rustdoc: src/lib.rs includes the page |
//! | `python` | cbindings/python/tests/test_docs.py |
//! | [`ELSEWHERE`] | as the list says |
//!
//! A block of `text` right behind one of these is what it prints. A comment right before a block may have the program around it,
//! which readers do not see; the block takes the place of its line `...`:
//!
//!     <!-- around
//!     #include <elman.h>
//!     int main(void) {
//!     ...
//!     }
//!     -->
//!
//! A part of a program that is tested has `<!-- excerpt of cbindings/examples/amp.c -->` in front: its lines are there, in their order.

mod common;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Language, Linkage, compile, make, package, run};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Commands that are not run here: their page, how their block begins, and why. A page's own test may run all of them ("").
const NOT_RUN: [(&str, &str, &str); 17] = [
    ("docs/cli.md", "", "src/cli/tests runs such commands"),
    (
        "docs/distributed.md",
        "",
        "they need MPI; tests/distributed.rs runs such commands",
    ),
    (
        "docs/languages.md",
        "",
        "they need the languages; cbindings/languages/run runs such commands",
    ),
    ("README.md", "make -C cbindings demo", ".ci/run does"),
    (
        "README.md",
        "cargo test --workspace",
        "it is what runs this",
    ),
    (
        "docs/benchmarks.md",
        "cargo bench --bench speed -- cells",
        "it takes minutes",
    ),
    (
        "docs/benchmarks.md",
        "cargo bench --bench speed -- threads",
        "likewise",
    ),
    (
        "docs/benchmarks.md",
        "cargo bench --bench speed -- load",
        "likewise",
    ),
    (
        "docs/benchmarks.md",
        "make -C cbindings latency",
        "likewise; tests/examples.rs lets it take fewer steps",
    ),
    (
        "docs/benchmarks.md",
        "python3 bench/peers/run.py",
        "likewise, and it installs gigabytes",
    ),
    (
        "docs/install.md",
        "make -C cbindings\nsudo make",
        "it asks for root; tests/install.rs installs to a directory",
    ),
    (
        "docs/install.md",
        "make -C cbindings FEATURES=",
        "it takes minutes; .ci/run builds the smallest library",
    ),
    (
        "docs/install.md",
        "rustup target add aarch64-unknown-linux-gnu",
        "it installs a target",
    ),
    (
        "docs/install.md",
        "(echo LIBRARY elman.dll; echo EXPORTS;",
        "it needs MinGW",
    ),
    (
        "docs/install.md",
        "rustup target add aarch64-linux-android",
        "it needs Android's compilers; not tried",
    ),
    (
        "docs/install.md",
        "rustup target add aarch64-apple-ios",
        "it needs a Mac; not tried",
    ),
    (
        "docs/python.md",
        "pip install 'cbindings/python[all]'",
        ".ci/run does, for tests",
    ),
];

/// Languages of blocks that are tested elsewhere or are no programs.
const ELSEWHERE: [(&str, &str); 9] = [
    ("go", "cbindings/languages/run"),
    ("js", "cbindings/languages/run"),
    ("java", "cbindings/languages/run"),
    ("csharp", "cbindings/languages/run"),
    ("r", "cbindings/languages/run"),
    ("lua", "cbindings/languages/run"),
    ("ruby", "cbindings/languages/run"),
    ("cmake", "tests/install.rs builds such a project"),
    ("text", "what a program prints, or a drawing"),
];

/// The page that mdBook fills with the header, which tests/abi.rs compiles.
const MANUAL: &str = "docs/c-manual.md";

fn root() -> PathBuf {
    package().parent().unwrap().to_path_buf()
}

/// A document by its name in the repository.
struct Page {
    name: String,
    text: String,
}

impl Page {
    /// README.md and all pages of the book.
    fn all() -> Vec<Self> {
        let docs = fs::read_dir(root().join("docs")).unwrap();
        let files = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = files
            .filter(|name| name.ends_with(".md"))
            .map(|name| format!("docs/{name}"))
            .collect();
        names.push("README.md".to_string());
        names.sort();
        let read = |name: String| Self {
            text: fs::read_to_string(root().join(&name)).unwrap(),
            name,
        };
        names.into_iter().map(read).collect()
    }

    fn parser(&self) -> Parser<'_> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES)
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::<Block>::new();
        // What is right in front.
        let (mut comment, mut is_behind_block) = (None, false);
        let mut events = self.parser().into_offset_iter();
        while let Some((event, range)) = events.next() {
            let Event::Start(tag) = event else {
                continue;
            };
            let Tag::CodeBlock(kind) = tag else {
                comment = matches!(tag, Tag::HtmlBlock).then(|| &self.text[range]);
                is_behind_block = false;
                continue;
            };
            let comment = comment.take();
            let mut code = String::new();
            while let Some((Event::Text(text), _)) = events.next() {
                code += &text;
            }
            let (language, fence) = match &kind {
                CodeBlockKind::Fenced(info) => (info.to_string(), 1),
                CodeBlockKind::Indented => ("sh".to_string(), 0),
            };
            if language == "text" && is_behind_block {
                blocks.last_mut().unwrap().prints = Some(code);
            } else {
                blocks.push(Block {
                    line: self.text[..range.start].matches('\n').count() + 1 + fence,
                    language,
                    code,
                    around: comment.and_then(around),
                    excerpt: comment.and_then(excerpt),
                    prints: None,
                });
            }
            is_behind_block = true;
        }
        blocks
    }

    /// Its blocks of a language that are to be run; none where the header is the program.
    fn blocks_of(&self, language: &str) -> Vec<Block> {
        let mut blocks = self.blocks();
        blocks.retain(|block| {
            block.language == language && block.excerpt.is_none() && self.name != MANUAL
        });
        blocks
    }

    /// The names that its headings have in links, as GitHub and mdBook make them.
    fn anchors(&self) -> HashSet<String> {
        let (mut anchors, mut seen) = (HashSet::new(), HashMap::new());
        let mut heading = None;
        for event in self.parser() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = anchor(&heading.take().unwrap());
                    let count = seen.entry(anchor.clone()).or_insert(0);
                    anchors.insert(match *count {
                        0 => anchor,
                        count => format!("{anchor}-{count}"),
                    });
                    *count += 1;
                }
                _ => {}
            }
        }
        anchors
    }

    fn links(&self) -> Vec<String> {
        let links = self.parser().filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.to_string())
            }
            _ => None,
        });
        links.filter(|link| !link.contains("://")).collect()
    }
}

fn anchor(heading: &str) -> String {
    let characters = heading.trim().chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    characters.collect()
}

/// The program around a block, before and behind it, if that is what a comment has.
fn around(comment: &str) -> Option<(String, String)> {
    let text = comment.strip_prefix("<!-- around\n")?;
    let (text, _) = text.split_once("-->").unwrap();
    let (before, behind) = format!("\n{text}")
        .split_once("\n...\n")
        .map(|(before, behind)| (before.trim_start().to_string(), behind.to_string()))
        .unwrap_or_else(|| panic!("no line ... in {comment}"));
    Some((before, behind))
}

/// The file that a block is an excerpt of, if a comment says so.
fn excerpt(comment: &str) -> Option<String> {
    let (file, _) = comment
        .strip_prefix("<!-- excerpt of ")?
        .split_once(" -->")?;
    Some(file.to_string())
}

struct Block {
    /// Of its first line of code.
    line: usize,
    language: String,
    code: String,
    around: Option<(String, String)>,
    excerpt: Option<String>,
    /// What it prints, where the page says so.
    prints: Option<String>,
}

impl Block {
    /// The whole program, with `mark` right before the block.
    fn program(&self, mark: &str) -> String {
        let (before, behind) = self.around.clone().unwrap_or_default();
        format!("{before}\n{mark}\n{}{behind}", self.code)
    }
}

/// Compiles and runs all programs of a language, and holds what they print against their pages.
fn programs_run(language: Language, name: &str) {
    let mut count = 0;
    for page in Page::all() {
        for block in page.blocks_of(name) {
            let stem = page.name.replace(['/', '.'], "-");
            let source = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("{stem}-{}.{name}", block.line));
            let mark = format!("#line {} \"{}\"", block.line, page.name);
            fs::write(&source, block.program(&mark)).unwrap();
            let output = run(&compile(&source, language, Linkage::Shared), &[]);
            if let Some(prints) = &block.prints {
                assert_eq!(&output, prints, "{}:{}", page.name, block.line);
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn programs_in_c_run() {
    programs_run(Language::C11, "c");
}

#[test]
fn programs_in_cpp_run() {
    programs_run(Language::Cpp17, "cpp");
}

#[test]
fn json_is_read() {
    for page in Page::all() {
        for block in page.blocks_of("json") {
            let value = serde_json::from_str::<serde_json::Value>(&block.code);
            assert!(value.is_ok(), "{}:{}: {value:?}", page.name, block.line);
        }
    }
}

#[test]
fn excerpts_are_in_their_programs() {
    for page in Page::all() {
        for block in page.blocks() {
            let Some(file) = &block.excerpt else {
                continue;
            };
            let program = fs::read_to_string(root().join(file)).unwrap();
            let mut lines = program.lines().map(str::trim);
            for line in block
                .code
                .lines()
                .map(str::trim)
                .filter(|line| *line != "...")
            {
                let place = format!("{}:{}", page.name, block.line);
                assert!(
                    lines.any(|other| other == line),
                    "{place}: {file} has no line {line:?} there"
                );
            }
        }
    }
}

/// The library as `make install` leaves it, for the commands.
fn install() -> PathBuf {
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs-prefix");
    for goal in ["library", "install"] {
        let mut make = make(goal, &[format!("PREFIX={}", prefix.display())]);
        let output = make.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{make:?}\n{errors}");
    }
    prefix
}

/// A directory for the commands of a page, with its programs and with what the repository has.
fn directory(page: &Page) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(page.name.replace(['/', '.'], "-"));
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir(&directory).unwrap();
    for name in ["cbindings", "docs", "include", "tests"] {
        std::os::unix::fs::symlink(root().join(name), directory.join(name)).unwrap();
    }
    for language in ["c", "cpp"] {
        if let Some(block) = page.blocks_of(language).first() {
            let file = directory.join("program").with_extension(language);
            fs::write(file, block.program("")).unwrap();
        }
    }
    directory
}

#[test]
fn commands_run() {
    if !common::is_there("pkg-config") {
        return;
    }
    let prefix = install();
    let mut seen = HashSet::new();
    for page in Page::all() {
        let directory = directory(&page);
        for block in page.blocks_of("sh") {
            let is_this = |(name, start, _): &&(&str, &str, &str)| {
                *name == page.name && block.code.starts_with(start)
            };
            if let Some(exception) = NOT_RUN.iter().find(is_this) {
                seen.insert(exception);
                continue;
            }
            let mut bash = Command::new("bash");
            bash.args(["-euo", "pipefail", "-c", &block.program("")])
                .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
                .env("LD_LIBRARY_PATH", prefix.join("lib"))
                .current_dir(&directory);
            let output = bash.output().unwrap();
            let [text, errors] =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
            let place = format!("{}:{}", page.name, block.line);
            assert!(
                output.status.success(),
                "{place}: {}\n{text}{errors}",
                block.code
            );
            if let Some(prints) = &block.prints {
                assert_eq!(&text, prints, "{place}");
            }
        }
        fs::remove_dir_all(directory).unwrap();
    }
    let gone: Vec<_> = NOT_RUN
        .iter()
        .filter(|exception| !seen.contains(exception))
        .collect();
    assert!(gone.is_empty(), "no page has these any more: {gone:?}");
}

#[test]
fn every_block_is_tested_somewhere() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for page in Page::all() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.name, block.line);
            let language = block.language.as_str();
            let is_known = ["c", "cpp", "sh", "json", "rust", "python"].contains(&language)
                || ELSEWHERE.iter().any(|(known, _)| *known == language);
            assert!(is_known, "{place}: nothing tests the language {language:?}");
            let inclusion = format!("include_str!(\"../{}\")", page.name);
            assert!(
                language != "rust" || library.contains(&inclusion),
                "{place}: rustdoc does not see it"
            );
        }
    }
}

/// Links of the book stay in the book: mdBook does not have the other files.
#[test]
fn links_lead_somewhere() {
    let pages = Page::all();
    let mut count = 0;
    for page in &pages {
        for link in page.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let name = match (file, page.name.strip_prefix("docs/")) {
                ("", _) => page.name.clone(),
                (_, Some(_)) => format!("docs/{file}"),
                (_, None) => file.to_string(),
            };
            let place = format!("{}: the link to {link}", page.name);
            assert!(!name.contains(".."), "{place} leaves the book");
            assert!(root().join(&name).exists(), "{place} leads nowhere");
            let target = pages.iter().find(|page| page.name == name);
            let is_there = |page: &Page| page.anchors().contains(anchor);
            assert!(
                anchor.is_empty() || target.is_some_and(is_there),
                "{place} has no such heading"
            );
            count += 1;
        }
    }
    assert!(count > 50, "only {count} links");
}

#[test]
fn every_page_is_in_the_book_once() {
    let pages = Page::all();
    let is_summary = |page: &&Page| page.name == "docs/SUMMARY.md";
    let mut listed = pages.iter().find(is_summary).unwrap().links();
    let names = pages.iter().filter(|page| !is_summary(page));
    let mut expected: Vec<_> = names
        .filter_map(|page| page.name.strip_prefix("docs/"))
        .collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

/// What is not found in a document would not be tested.
#[test]
fn blocks_anchors_and_links_are_found() {
    let text = "# A `b` c, d\n\n<!-- around\nint main(void) {\n...\n}\n-->\n```c\nputs(\"x\");\n```\n\n```text\nx\n```\n\n\
                <!-- excerpt of x.c -->\n\n    make\n\n```sh\nls\n```\n## A b\n### A b\n[x](y.md#z) ![p](q.svg) [w](https://w)\n";
    let page = Page {
        name: "docs/x.md".into(),
        text: text.into(),
    };
    let blocks = page.blocks();
    let seen = blocks
        .iter()
        .map(|block| (block.line, block.language.as_str(), block.code.trim_end()));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            (9, "c", "puts(\"x\");"),
            (18, "sh", "make"),
            (21, "sh", "ls")
        ]
    );
    assert_eq!(
        blocks[0].program("#"),
        "int main(void) {\n#\nputs(\"x\");\n}\n"
    );
    assert_eq!(blocks[0].prints.as_deref(), Some("x\n"));
    assert_eq!(blocks[1].excerpt.as_deref(), Some("x.c"));
    assert_eq!(
        page.anchors(),
        ["a-b-c-d", "a-b", "a-b-1"].map(str::to_string).into()
    );
    assert_eq!(page.links(), ["y.md#z", "q.svg"]);
}
