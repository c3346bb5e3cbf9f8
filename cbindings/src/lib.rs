//! The C ABI of elman.
//!
//! One file per section of `include/elman.h`, in the order of the header; the header is generated from them. Every
//! exported function is a thin layer: `border` turns what the caller gave into references, slices and results, the engine
//! does the work.
//!
//! A function that follows a pointer is unsafe: no one but its caller knows what the pointer leads to. What the caller owes
//! is said under "Safety" there. Handles among the arguments are references and boxes, whose types ask the same of a caller
//! in Rust; a caller in C owes that they are NULL or come from this library, are not destroyed, and are used by one thread
//! at a time unless the function takes them as pointers to const.
#![deny(unsafe_code)]
// Unsafe functions of other files pass on to the border's what their own callers owe, which is all that they do with it.
#![allow(unsafe_op_in_unsafe_fn)]
#![allow(clippy::too_many_arguments)]
// a call from C has no other way to pass a batch
// Of a part that is left out, what only its bodies use.
#![cfg_attr(
    not(all(feature = "datasets", feature = "f64", feature = "import")),
    allow(dead_code, unused_imports, unused_variables)
)]

#[macro_use]
mod part;

#[allow(unsafe_code)] // the caller's pointers
mod border;

// What these files need permission for is `#[unsafe(no_mangle)]` and signatures; a test sees to it that they contain
// nothing else.
#[allow(unsafe_code)]
pub mod around;
#[allow(unsafe_code)]
pub mod by_name;
#[allow(unsafe_code)]
pub mod ctc;
#[allow(unsafe_code)]
pub mod dataset;
#[allow(unsafe_code)]
pub mod file;
#[allow(unsafe_code)]
pub mod gradient_check;
#[allow(unsafe_code)]
pub mod import;
#[allow(unsafe_code)]
pub mod layer;
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
pub mod recurrent;
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
    expect_any_thread::<training::Cancellation>();
    expect_any_thread::<ctc::CtcWorkspace>();
    expect_any_thread::<dataset::Dataset>();
    expect_any_thread::<network::Network>();
    expect_any_thread::<optimizer::Optimizer>();
    expect_any_thread::<session::Session>();
};
