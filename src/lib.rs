//! A CPU engine that trains and runs recurrent neural networks inside somebody else's program.
#![deny(unsafe_code)]

mod activation;
#[allow(unsafe_code)] // one owner per row, which the borrow checker can't follow
mod arena;
#[allow(unsafe_code)] // the one cast from lines to elements
mod buffer;
mod element;
mod error;
mod layer;
mod layout;
mod model;
mod network;
mod parallel;
mod pass;
mod reduce;
mod save;
mod session;
mod shape;

#[allow(unsafe_code)] // pointers inside checked bounds
mod kernels;
#[allow(unsafe_code)] // intrinsics
mod simd;

pub mod dataset;
pub mod init;
pub mod optimizer;

pub use activation::Activation;
pub use element::Element;
pub use error::{Error, Result};
pub use model::Output;
pub use network::Network;
pub use pass::Batch;
pub use session::Session;
pub use simd::Tier;
