//! Saved networks and `.ts` files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    elman_checks::loaders(bytes);
});
