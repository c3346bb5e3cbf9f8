//! Gives the shared library the name that programs remember: the part of the version that its ABI depends on.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let abi = format!(
        "{}.{}",
        variable("CARGO_PKG_VERSION_MAJOR"),
        variable("CARGO_PKG_VERSION_MINOR")
    );
    let argument = match variable("CARGO_CFG_TARGET_OS").as_str() {
        "macos" => format!("-Wl,-install_name,@rpath/libelman.{abi}.dylib"),
        "windows" => return,
        _ => format!("-Wl,-soname,libelman.so.{abi}"),
    };
    println!("cargo::rustc-cdylib-link-arg={argument}");
}
