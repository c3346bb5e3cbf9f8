//! What a layer is to the network above it.
//!
//! A layer knows its parameters and how to run forward and backward over a window of steps for some rows. It does not
//! know the batch's origin, threads, or the other layers. Adding a cell means adding one file below and one line to
//! [`LayerSpec`].

mod dense;
mod dropout;
mod rnn;

use std::fmt::Debug;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use dense::Dense;
pub use dropout::{Dropout, Mask};
pub use rnn::Rnn;

use crate::activation::Activation;
use crate::arena::{Block, Shard};
use crate::buffer::try_reserve;
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, Source};
use crate::kernels::product::{Product, Segment, Start};
use crate::simd::Tier;
use crate::{Element, Error, Result, shape};

/// A layer's kind and settings, as written to files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// h_t = f(x_t W_x + h_{t-1} W_h + b)
    Rnn {
        /// Hidden units.
        units: usize,
        /// f
        activation: Activation,
    },
    /// y = f(x W + b), at each step by itself.
    Dense {
        /// Outputs.
        units: usize,
        /// f
        activation: Activation,
    },
    /// Zeroes elements at random while training.
    Dropout {
        /// Probability of zero.
        rate: f64,
    },
}

impl LayerSpec {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::OutOfRange`]
    pub fn check(&self) -> Result<()> {
        match *self {
            Self::Rnn { units, .. } | Self::Dense { units, .. } => {
                shape::expect_nonzero("units", units)?;
            }
            Self::Dropout { rate } => {
                if !(0.0..1.0).contains(&rate) {
                    return Err(Error::OutOfRange {
                        name: "rate",
                        value: rate,
                        expected: "at least 0 and below 1",
                    });
                }
            }
        }
        Ok(())
    }

    /// The layer, on `inputs` features. The spec has been checked.
    pub fn build<E: Element>(&self, inputs: usize) -> Box<dyn Layer<E>> {
        match *self {
            Self::Rnn { units, activation } => Box::new(Rnn::new(inputs, units, activation)),
            Self::Dense { units, activation } => Box::new(Dense::new(inputs, units, activation)),
            Self::Dropout { rate } => Box::new(Dropout::new(inputs, rate)),
        }
    }
}

/// One of a layer's parameters: a row-major matrix `[rows][columns]`, or a vector (one row).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its place in the equation.
    pub role: TensorRole,
    /// Inputs.
    pub rows: usize,
    /// Units.
    pub columns: usize,
}

impl Tensor {
    /// Number of elements. The network has checked that the product fits.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }
}

/// What a layer gets to run forward.
#[derive(Debug)]
pub struct Forward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// Region of the layer's input.
    pub input: usize,
    /// Region of its output.
    pub output: usize,
    /// Its parameters.
    pub parameters: &'a [E],
    /// What it has packed of them.
    pub weights: &'a [Packed<E>],
    /// The dropout of this pass.
    pub mask: Mask,
}

/// What a layer gets to run backward.
#[derive(Debug)]
pub struct Backward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// Region of the layer's input, and of its gradient.
    pub input: usize,
    /// Region of its output, and of its gradient.
    pub output: usize,
    /// What it has packed of its parameters.
    pub weights: &'a [Packed<E>],
    /// Gradient of the final state, `[batch][stride]` in the caller's order, the layer's part at the start.
    pub state_gradient: Option<&'a [E]>,
    /// From one sequence of it to the next.
    pub state_stride: usize,
    /// Whether the gradient of the input is wanted.
    pub input_gradient: bool,
    /// The dropout of the forward pass.
    pub mask: Mask,
}

/// What a layer gets to add to its gradients.
#[derive(Debug)]
pub struct Gradients<'a, 'b, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// Region of the layer's input.
    pub input: usize,
    /// Region of its output, and of the gradient of what comes before its activation.
    pub output: usize,
    /// Inputs and outputs of all steps.
    pub activations: &'a Shard<'b, E>,
    /// Gradients of the window.
    pub deltas: &'a Shard<'b, E>,
}

/// A layer. The methods that are not provided are the same for all threads and shards.
pub trait Layer<E: Element>: Debug + Send + Sync {
    /// Features of its output.
    fn outputs(&self) -> usize;

    /// Elements of the state that it carries from step to step.
    fn state_size(&self) -> usize {
        0
    }

    /// Elements that it keeps of each step of each sequence. They start with the state, and the state with the output.
    fn row_size(&self) -> usize {
        self.outputs().max(self.state_size())
    }

    /// Its parameters, in their order in the flat buffer.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// Whether it does anything outside training.
    fn trains_only(&self) -> bool {
        false
    }

    /// Packs what [`Self::forward`] needs of `parameters`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    fn pack_forward(
        &self,
        _: Tier,
        _parameters: &[E],
        _weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        Ok(())
    }

    /// Packs what [`Self::backward`] needs of `parameters`.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    fn pack_backward(
        &self,
        _: Tier,
        _parameters: &[E],
        _weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        Ok(())
    }

    /// Computes the output of the window for the rows of the shard. A recurrent layer starts from the state in the lead
    /// of its output region.
    fn forward(&self, pass: &Forward<'_, E>, activations: &mut Shard<'_, E>);

    /// Turns the gradient of the output, in the output region of `deltas`, into the gradient of what comes before the
    /// activation, in place, and stores the gradient of the input if it is wanted. A recurrent layer leaves the gradient
    /// of the state that the window starts from in the lead of the region.
    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Shard<'_, E>,
        deltas: &mut Shard<'_, E>,
    );

    /// Adds the gradients of some `rows` of the parameters (counting the rows of all tensors) to `gradients`.
    fn gradients(
        &self,
        _pass: &Gradients<'_, '_, E>,
        _rows: Range<usize>,
        _gradients: &mut [E],
        _strip: &mut Packed<E>,
    ) {
    }
}

/// Packs one matrix as `weights[index]`, which is there or is the next one.
fn pack_one<E: Element>(
    weights: &mut Vec<Packed<E>>,
    index: usize,
    tier: Tier,
    depth: usize,
    columns: usize,
    from: &[E],
    source: Source,
) -> Result<()> {
    const WHAT: &str = "the packed weights";
    if weights.len() == index {
        try_reserve(WHAT, weights, index + 1)?;
        weights.push(Packed::new());
    }
    weights[index].shape(WHAT, tier, depth, columns)?;
    weights[index].pack(0, depth, from, source);
    Ok(())
}

/// Adds the product of a [`transposed`] matrix of `rows` rows and the packed gradients to `sums`.
fn add_transposed<E: Element>(
    tier: Tier,
    a: &[Segment<'_, E>],
    strip: &Packed<E>,
    rows: usize,
    sums: &mut [E],
) {
    Product {
        start: Start::Result,
        ..Product::new(rows, a, strip, sums, strip.columns())
    }
    .run(tier);
}

/// Most steps of a window of a backward pass; bounds the pieces that [`previous_rows`] finds.
pub const WINDOW_STEPS: usize = 64;

/// The right to left product `A^T D`, row `first` of its result on, where `A` are rows of activations, summed from the
/// last row to the first: so the sum does not depend on how the time is cut into windows.
pub fn transposed<E: Element>(
    data: &[E],
    stride: usize,
    last_row: usize,
    depth: usize,
    first: usize,
) -> Segment<'_, E> {
    Segment {
        data,
        origin: last_row * stride + first,
        row_stride: 1,
        depth_stride: -(stride as isize),
        depth,
    }
}

/// The rows of `activations` that come one step before those of the window, as operands of [`transposed`]: as few pieces
/// as there are.
pub fn previous_rows<'a, E: Element>(
    activations: &'a Shard<'_, E>,
    region: usize,
    window: Range<usize>,
    first: usize,
    pieces: &'a mut [Segment<'a, E>; WINDOW_STEPS],
) -> &'a [Segment<'a, E>] {
    let layout = activations.layout();
    let data = activations.get(region, Block::All);
    let stride = activations.stride(region);
    let mut used = 0;
    let mut next = usize::MAX;
    for step in window.rev() {
        let (start, rows) = (activations.previous_index(step), layout.rows(step));
        if start + rows == next {
            pieces[used - 1].depth += rows;
        } else {
            pieces[used] = transposed(data, stride, start + rows - 1, rows, first);
            used += 1;
        }
        next = start;
    }
    &pieces[..used]
}
