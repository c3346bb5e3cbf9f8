//! `unsafe` lives in one file: elsewhere it only marks exported functions.

mod common;

use std::fs;

#[test]
fn only_the_border_is_unsafe() {
    for entry in fs::read_dir(common::package().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("border.rs") {
            continue;
        }
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let expected = [
                "#[unsafe(no_mangle)]",
                "#[allow(unsafe_code)]",
                "#![deny(unsafe_code)]",
            ];
            assert!(
                !code.contains("unsafe") || expected.contains(&code.trim()),
                "{}:{}",
                path.display(),
                number + 1
            );
        }
    }
}
