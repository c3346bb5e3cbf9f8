//! The C ABI of elman.
