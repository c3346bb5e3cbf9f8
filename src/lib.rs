//! A CPU engine that trains and runs recurrent neural networks inside somebody else's program.
#![deny(unsafe_code)]

mod element;
mod error;
mod reduce;
mod shape;

pub mod dataset;
pub mod init;
pub mod optimizer;

pub use element::Element;
pub use error::{Error, Result};
