// The rule of docs/abi.md for build.rs and for the tests, which hold the Makefile against it, too.

/// The file name that a program remembers when it is linked with the shared library: it has the part of the version that
/// the ABI depends on. None where the system's names have no such part.
pub fn soname(system: &str, version: &str) -> Option<String> {
    let mut parts = version.split('.');
    let [major, minor] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let abi = match major {
        "0" => format!("0.{minor}"),
        _ => major.to_string(),
    };
    match system {
        "windows" => None,
        "macos" => Some(format!("libelman.{abi}.dylib")),
        _ => Some(format!("libelman.so.{abi}")),
    }
}
