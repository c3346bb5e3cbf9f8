//! Gives the shared library the name that programs remember.

use std::env;

#[path = "soname.rs"]
mod soname;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=soname.rs");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let Some(name) = soname::soname(&system, env!("CARGO_PKG_VERSION")) else {
        return;
    };
    let argument = match system.as_str() {
        "macos" => format!("-Wl,-install_name,@rpath/{name}"),
        _ => format!("-Wl,-soname,{name}"),
    };
    println!("cargo::rustc-cdylib-link-arg={argument}");
}
