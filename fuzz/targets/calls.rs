//! The C functions, in any order and with any arguments.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    elman_checks::calls(bytes);
});
