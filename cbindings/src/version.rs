//! Version and tier
//!
//! The version follows semantic versioning, for the C ABI as for the Rust library. While the major version is 0, a new
//! minor version may change the ABI; a shared library has both in its name.

use std::ffi::{CStr, c_char};

use elman_engine::Tier;

use crate::border;

/// Version of the header, major part.
pub const ELMAN_VERSION_MAJOR: u32 = 0;
/// Version of the header, minor part.
pub const ELMAN_VERSION_MINOR: u32 = 1;
/// Version of the header, patch part.
pub const ELMAN_VERSION_PATCH: u32 = 0;

/// The version of the library as "major.minor.patch", to compare with the macros, which are the header's. The string is
/// the library's and stays for good.
///
/// Threads: any. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version holds no 0"),
        };
    VERSION.as_ptr()
}

/// The instructions that networks use: "portable", "neon" (every 64-bit Arm), "avx2" or "avx512" (x86-64). It is the best
/// that the CPU has, or what the environment variable ELMAN_TIER names. It is decided at the first call of this function
/// or of elman_create(), and the same from then on.
///
/// An empty string, with the message in elman_last_error(), where ELMAN_TIER names no tier or one that the CPU does not
/// have; elman_create() then fails with ELMAN_ERROR_TIER. The string is the library's and stays for good.
///
/// Threads: any. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_tier() -> *const c_char {
    let mut name = c"";
    border::call(|_| {
        name = match Tier::active()?.name() {
            "avx512" => c"avx512",
            "avx2" => c"avx2",
            "neon" => c"neon",
            _ => c"portable",
        };
        Ok(())
    });
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macros_are_the_version_of_the_package() {
        let macros = [
            ELMAN_VERSION_MAJOR,
            ELMAN_VERSION_MINOR,
            ELMAN_VERSION_PATCH,
        ];
        let package = [
            env!("CARGO_PKG_VERSION_MAJOR"),
            env!("CARGO_PKG_VERSION_MINOR"),
            env!("CARGO_PKG_VERSION_PATCH"),
        ];
        assert_eq!(macros.map(|part| part.to_string()), package);
    }
}
