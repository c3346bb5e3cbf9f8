//! A CPU engine that trains and runs recurrent neural networks inside somebody else's program.
//!
//! ```
//! use elman::optimizer::{Optimizer, Rule};
//! use elman::{Activation, Batch, Network, Session};
//!
//! // Sequences of 2 features; 16 tanh units; one output, taken at the last step.
//! let mut network = Network::<f32>::new(2)?;
//! network.set_seed(42); // where the layers draw their parameters from
//! network.add_rnn(16, Activation::Tanh)?;
//! network.add_dense(1, Activation::Linear)?;
//!
//! // Two sequences of up to three steps, row-major [batch][steps][features]; the second one ends after two.
//! let x = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 0.8, 0.7, 0.6, 0.0, 0.0];
//! let batch = Batch { x: &x, batch: 2, steps: 3, lengths: Some(&[3, 2]) };
//! let target = [1.0, -1.0];
//!
//! let mut optimizer = Optimizer::new(Rule::ADAM, 0.01)?;
//! let mut y = [0.0; 2];
//! for _ in 0..200 {
//!     network.forward(batch, None, Some(&mut y), None)?;
//!     let dy = [y[0] - target[0], y[1] - target[1]];
//!     network.backward(Some(&dy), None, None, None)?;
//!     network.update(&mut optimizer)?;
//! }
//! assert!((y[0] - 1.0).abs() < 0.1 && (y[1] + 1.0).abs() < 0.1);
//!
//! // The first sequence again, step by step: the same bits as in the batch.
//! network.predict(batch, None, Some(&mut y), None)?;
//! let mut session = Session::new(&network)?;
//! let mut output = [0.0];
//! for step in x[..6].chunks(2) {
//!     session.step(step, &mut output)?;
//! }
//! assert_eq!(output[0], y[0]);
//! # Ok::<(), elman::Error>(())
//! ```
//!
//! # How a call runs
//!
//! [`Network::forward`] checks the shapes once and lays the batch out time-major and packed (`layout`, `regions`): all rows
//! of step 0, then those of step 1, with the sequences sorted by length, so that work follows the sum of the lengths.
//! `parallel` gives each thread some rows for all steps, without a barrier over time; with few sequences and large layers,
//! some units of some rows of every step (`gemm`). A recurrent layer (`layer::recurrent`) runs its cell (`layer::cell`) through
//! the time loop (`kernels::recurrence`): one product per step, with the bias as the start of the sums and the gates of a unit side by
//! side, so that the cell takes all sums of a unit at once. Products read weights that are packed into panels once per
//! update. Kernels are written once, generic over `simd`'s tiers.
//!
//! # Same bits
//!
//! Every sum is one chain of multiply-adds in an order that follows from shapes alone. A sum of a cell starts at the bias and
//! takes the products of x_t, then those of h_{t-1}. The gradient of a state starts at the one that comes in and takes
//! the products of the gradients one step later, gate after gate. The gradient of a parameter takes the products of all
//! rows, from the last step to the first. Where there are at least eight sequences, R P is at least 2^19 and R C at least 16 P
//! (for P parameters, R steps of all sequences, and C columns of the layers' weights), the first half of them, longest first,
//! which has half of the steps, is one chain and the second another one, and the two are added. A layer norm sums features
//! in 16 chains, each without fused operations. Activations use correctly rounded operations only. So results never depend
//! on the number of threads, on the other rows of a batch, or on how a sequence is cut; and all tiers with fused multiply-add
//! give the same bits.
//!
//! # Features
//!
//! All are there by default, and each costs size; docs/install.md has the numbers.
//!
//! - `avx512`: the tier of that name; without it such CPUs run that of AVX2, to the same bits.
//! - `f64`: networks in `f64`, and [`gradient_check`], which runs on them.
//! - `import`: networks of other systems, [`Network::import`], and ONNX files, [`Network::save_onnx`].
//! - `datasets`: [`dataset::Dataset`], `.ts` files, and [`train`], which works on them.
#![deny(unsafe_code)]

// The programs of the documents are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/start.md")]
#[doc = include_str!("../docs/languages.md")]
struct Documents;

mod activation;
#[allow(unsafe_code)] // the one cast from lines to elements
mod buffer;
#[allow(unsafe_code)] // one owner per row, which the borrow checker can't follow
mod caller_sequences;
mod class_names;
mod compiled;
mod element;
mod error;
#[allow(unsafe_code)] // threads that write the same matrix
mod gemm;
#[cfg(feature = "import")]
mod import;
mod layer;
mod layout;
mod model;
mod network;
mod onnx;
#[allow(unsafe_code)] // work on the stack of a thread that waits for it
mod parallel;
mod pass;
mod reduce;
mod regions;
mod save;
mod session;
mod update;

#[allow(unsafe_code)] // pointers inside checked bounds
mod kernels;
#[allow(unsafe_code)] // intrinsics
mod simd;

pub mod dataset;
#[cfg(feature = "f64")]
pub mod gradient_check;
pub mod init;
pub mod loss;
pub mod math;
pub mod optimizer;
pub mod shape;
#[cfg(feature = "datasets")]
pub mod train;

pub use activation::Activation;
pub use class_names::ClassNames;
pub use element::Element;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "import")]
pub use import::ImportOptions;
pub use layer::options::{
    CellActivations, Direction, InitialState, LastOutput, Merge, RecurrentOptions, Reset,
};
pub use model::Output;
pub use network::{LayerInfo, LayerKind, Network, TensorInfo};
pub use pass::Batch;
pub use session::Session;
pub use simd::Tier;
pub use simd::mode::in_engine_mode;
