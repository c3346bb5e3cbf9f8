//! What a layer is to the network above it.
//!
//! A layer knows its parameters and how to run forward and backward over a window of steps for some rows. It does not
//! know the batch's origin, threads, or the other layers. Adding a cell means adding a file below, a kind to [`LayerSpec`]
//! with its checks, what its tensors are called in files (`save`) and how they start (`init`), and the functions that add it
//! to a network, in Rust and in C.

mod dense;
mod dropout;
pub mod options;
mod rnn;

use std::fmt::Debug;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use dense::Dense;
pub use dropout::{Dropout, DropoutKey};
pub use rnn::Rnn;

use crate::activation::Activation;
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, Source};
use crate::kernels::product::{Product, Segment, SumStart};
use crate::kernels::rows::add_rows_backwards;
use crate::parallel::Crew;
use crate::regions::{Piece, Rows, RowsMut, Shard, Span, pieces_backwards};
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
        E::layer(self, inputs)
    }

    /// [`Self::build`], compiled where it is called.
    pub fn build_here<E: Element>(&self, inputs: usize) -> Box<dyn Layer<E>> {
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

    /// Whether rows are multiplied by it: then kernels read packed copies of it.
    pub fn is_matrix(&self) -> bool {
        self.meets_input() || self.role == TensorRole::RecurrentWeight
    }

    /// Whether the layer's input is multiplied by it.
    pub fn meets_input(&self) -> bool {
        matches!(self.role, TensorRole::InputWeight | TensorRole::DenseWeight)
    }
}

/// What a layer gets to run forward.
#[derive(Debug)]
pub struct Forward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// The threads.
    pub crew: Crew<'a>,
    /// Region of the layer's input.
    pub input: usize,
    /// Region of its output.
    pub output: usize,
    /// Its parameters.
    pub parameters: &'a [E],
    /// Its matrices, one above the other as they lie in the parameters, packed as one.
    pub weights: &'a [Packed<E>],
    /// The dropout of this pass.
    pub mask: DropoutKey,
}

/// What a layer gets to run backward.
#[derive(Debug)]
pub struct Backward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// The threads.
    pub crew: Crew<'a>,
    /// Region of the layer's input, and of its gradient.
    pub input: usize,
    /// Region of its output, and of its gradient.
    pub output: usize,
    /// The transposes of its matrices, the last one first. Those that meet the input are only there where the gradient of
    /// the input is wanted.
    pub weights: &'a [Packed<E>],
    /// Gradient of the final state, `[batch][stride]` in the caller's order, the layer's part at the start.
    pub state_gradient: Option<&'a [E]>,
    /// From one sequence of it to the next.
    pub state_stride: usize,
    /// Whether the gradient of the input is wanted.
    pub input_gradient: bool,
    /// Whether the gradient of the state that the sequences start from is wanted.
    pub start_gradient: bool,
    /// The dropout of the forward pass.
    pub mask: DropoutKey,
}

/// What a layer gets to add to its gradients.
#[derive(Debug)]
pub struct Gradients<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// Region of the layer's input.
    pub input: usize,
    /// Region of its output, and of the gradient of what comes before its activation.
    pub output: usize,
    /// Inputs and outputs of all steps, and the gradients of a window, of all rows.
    pub shards: &'a [Shard<E>],
    /// The steps of the window.
    pub window: Range<usize>,
}

impl<'a, E: Element> Gradients<'a, E> {
    /// Number of rows of the window.
    pub fn depth(&self) -> usize {
        let rows = |shard: &Shard<E>| shard.layout.count(&self.window);
        self.shards.iter().map(rows).sum()
    }

    /// The rows of the window, the last one first.
    fn pieces(&self) -> impl Iterator<Item = Piece<'a, E>> {
        pieces_backwards(self.shards, self.window.clone())
    }

    /// Packs the gradients of the output, the last row first.
    fn pack(&self, strip: &mut Packed<E>) {
        let mut depth = 0;
        for Piece { deltas, steps, .. } in self.pieces() {
            let block = Span::Steps(steps.start, steps.end);
            let (rows, delta) = (deltas.count(block), deltas.get(self.output, block));
            let source = Source::rows_backwards(deltas.stride(self.output), rows);
            strip.pack(depth, rows, delta, source);
            depth += rows;
        }
    }

    /// Adds the gradients of some rows, from `first` on, of the matrix that meets the input.
    fn add_input(&self, strip: &Packed<E>, first: usize, sums: &mut [E]) {
        let mut product = Transposed::new(self.tier, strip, sums);
        for Piece {
            activations, steps, ..
        } in self.pieces()
        {
            let block = Span::Steps(steps.start, steps.end);
            let data = activations.get_long(self.input, block);
            let stride = activations.stride(self.input);
            product.push(data, stride, 0, activations.count(block), first);
        }
        product.finish();
    }

    /// Adds the gradients of some rows, from `first` on, of the matrix that meets the output of the step before.
    fn add_recurrent(&self, strip: &Packed<E>, first: usize, sums: &mut [E]) {
        let mut product = Transposed::new(self.tier, strip, sums);
        for Piece {
            activations, steps, ..
        } in self.pieces()
        {
            let data = activations.get_long(self.output, Span::All);
            let stride = activations.stride(self.output);
            for step in steps.rev() {
                let rows = activations.layout().rows(step);
                product.push(data, stride, activations.previous_index(step), rows, first);
            }
        }
        product.finish();
    }

    /// Adds the gradients of the bias.
    fn add_bias(&self, sums: &mut [E]) {
        for Piece { deltas, steps, .. } in self.pieces() {
            let block = Span::Steps(steps.start, steps.end);
            let (rows, delta) = (deltas.count(block), deltas.get(self.output, block));
            add_rows_backwards(self.tier, delta, deltas.stride(self.output), rows, sums);
        }
    }
}

/// The product `A^T D` of rows of activations and packed gradients, summed from the last row to the first: so the sum
/// does not depend on how time is cut into windows.
struct Transposed<'a, 'b, E: Element> {
    tier: Tier,
    strip: &'b Packed<E>,
    sums: &'b mut [E],
    pieces: [Segment<'a, E>; PIECES],
    used: usize,
    /// Rows of the pieces that are done.
    done: usize,
}

/// Pieces that are multiplied at a time.
const PIECES: usize = 32;

impl<'a, 'b, E: Element> Transposed<'a, 'b, E> {
    fn new(tier: Tier, strip: &'b Packed<E>, sums: &'b mut [E]) -> Self {
        Self {
            tier,
            strip,
            sums,
            pieces: [Segment::rows(&[], 0, 0); PIECES],
            used: 0,
            done: 0,
        }
    }

    /// Takes `count` rows from `row` on, of which the elements from `first` on are wanted; they come before those that it
    /// has got so far.
    fn push(&mut self, data: &'a [E], stride: usize, row: usize, count: usize, first: usize) {
        if let Some(last) = self.used.checked_sub(1) {
            let next = &mut self.pieces[last];
            let lowest = next.origin - (next.depth - 1) * stride;
            if std::ptr::eq(next.data, data) && lowest == (row + count) * stride + first {
                next.depth += count;
                return;
            }
        }
        if self.used == PIECES {
            self.multiply();
        }
        self.pieces[self.used] = Segment {
            data,
            origin: (row + count - 1) * stride + first,
            row_stride: 1,
            depth_stride: -(stride as isize),
            depth: count,
        };
        self.used += 1;
    }

    fn multiply(&mut self) {
        let columns = self.strip.columns();
        let pieces = &self.pieces[..self.used];
        Product {
            start: SumStart::Result,
            b_depth: self.done,
            ..Product::new(
                self.sums.len() / columns,
                pieces,
                self.strip,
                self.sums,
                columns,
            )
        }
        .run(self.tier);
        self.done += pieces.iter().map(|piece| piece.depth).sum::<usize>();
        self.used = 0;
    }

    fn finish(mut self) {
        if !self.sums.is_empty() {
            self.multiply();
        }
    }
}

/// A layer. It keeps nothing between calls, so any number of threads may use it.
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

    /// Its parameters, in their order in the flat buffer: first the matrices.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// Whether it does nothing outside training: inference then leaves it out, and the next layer reads what it would have
    /// read.
    fn trains_only(&self) -> bool {
        false
    }

    /// Whether `threads` threads run its time loop faster when each computes some units of all `rows` sequences than when
    /// each computes all units of some sequences.
    fn splits_units(&self, _rows: usize, _threads: usize) -> bool {
        false
    }

    /// Computes the output of the window for all its rows. A recurrent layer starts from the state in the lead of its output
    /// region; whoever runs the windows puts it there, from the caller or from the end of the window before.
    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>);

    /// Turns the gradient of the output, in the output region of `deltas`, into the gradient of what comes before the
    /// activation, in place, and stores the gradient of the input if it is wanted. The windows come from the last one to the
    /// first. A recurrent layer finds what the window after has left in the lead of the region, and leaves there what the
    /// window before needs: the gradient of what comes before the activation in its own first step, for the rows of that
    /// step. In the window of step 0 it leaves the gradient of the state that the sequences start from, if that is wanted.
    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    );

    /// Adds the gradients of some `rows` of the parameters (counting the rows of all tensors) to `gradients`.
    fn gradients(
        &self,
        _pass: &Gradients<'_, E>,
        _rows: Range<usize>,
        _gradients: &mut [E],
        _strip: &mut Packed<E>,
    ) {
    }
}

/// Most steps of a window of a backward pass.
pub const WINDOW_STEPS: usize = 64;
