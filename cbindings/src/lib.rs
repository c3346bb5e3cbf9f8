//! The C ABI of elman.
//!
//! One file per section of `include/elman.h`, in the order of the header; the header is generated from them. Every
//! exported function is a thin layer: [`border`] turns what the caller gave into references, slices and one result, the
//! engine does the work.
#![deny(unsafe_code)]
#![allow(clippy::too_many_arguments)] // a call from C has no other way to pass a batch

#[allow(unsafe_code)] // the caller's pointers
mod border;

// What these files need permission for is `#[unsafe(no_mangle)]`; a test sees to it that they contain nothing else.
#[allow(unsafe_code)]
pub mod dataset;
#[allow(unsafe_code)]
pub mod file;
#[allow(unsafe_code)]
pub mod gradient_check;
#[allow(unsafe_code)]
pub mod loss;
#[allow(unsafe_code)]
pub mod network;
#[allow(unsafe_code)]
pub mod optimizer;
#[allow(unsafe_code)]
pub mod parameters;
#[allow(unsafe_code)]
pub mod pass;
#[allow(unsafe_code)]
pub mod run;
#[allow(unsafe_code)]
pub mod session;
#[allow(unsafe_code)]
pub mod status;
#[allow(unsafe_code)]
pub mod training;
#[allow(unsafe_code)]
pub mod version;

/// C may create an object on one thread, use it on others and destroy it on yet another.
const fn expect_any_thread<T: Send + Sync>() {}
const _: () = {
    expect_any_thread::<dataset::Dataset>();
    expect_any_thread::<network::Network>();
    expect_any_thread::<optimizer::Optimizer>();
    expect_any_thread::<session::Session>();
};
