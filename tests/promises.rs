//! Every test that `docs/promises.md` names exists.

use std::fs;
use std::path::Path;

/// Whether `text` has a test of that name: a marked function, or one that its own `main` runs.
fn has_test(text: &str, name: &str) -> bool {
    let Some((before, after)) = text.split_once(&format!("fn {name}(")) else {
        return false;
    };
    let attributes = before.rsplit("\n\n").next().unwrap();
    let run_by_main = after.split_once("fn main()").map(|(_, main)| main);
    attributes.contains("#[test]") || run_by_main.is_some_and(|main| main.contains(name))
}

#[test]
fn every_test_that_holds_a_promise_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let promises = fs::read_to_string(root.join("docs/promises.md")).unwrap();
    let mut count = 0;
    for quoted in promises.split('`').skip(1).step_by(2) {
        let Some((file, name)) = quoted.split_once(".rs::") else {
            continue;
        };
        let path = root.join(file).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{quoted}: {error}"));
        assert!(has_test(&text, name), "{quoted} is no test");
        count += 1;
    }
    for row in promises.lines().filter(|line| line.starts_with("| ")) {
        let is_head = row.starts_with("| what") || row.starts_with("| ---");
        assert!(is_head || row.contains(".rs::"), "no test: {row}");
    }
    assert!(count > 40, "only {count} tests are named");
}

#[test]
fn what_is_no_test_is_told_from_one() {
    let text = "#[test]\nfn yes() {}\n\nfn no() {}\n\nfn listed() {}\n\nfn main() {\n    run![listed];\n}\n";
    assert!(has_test(text, "yes") && has_test(text, "listed"));
    assert!(!has_test(text, "no") && !has_test(text, "ye") && !has_test(text, "missing"));
}
