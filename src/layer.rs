//! What a layer is to the network above it.
//!
//! A layer knows its parameters and how to run forward and backward over a window of steps for some rows. It does not know
//! the batch's origin, threads, or the other layers. A recurrent layer is [`recurrent::Recurrent`] around a cell: adding a
//! cell means adding a file below `cell`, a kind to [`LayerSpec`], and the functions that add it to a network, in Rust and
//! in C.

mod activation;
mod cell;
mod concat;
mod dense;
mod dropout;
pub mod embedding;
pub mod gradients;
mod norm;
pub mod options;
mod recurrent;
mod residual;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use dense::Dense;
pub use dropout::{Dropout, DropoutKey};
pub use gradients::Gradients;

use crate::activation::Activation;
use crate::init::TensorRole;
use crate::kernels::pack::{Packed, PackedShape, Source};
use crate::kernels::product::SumStart;
use crate::kernels::recurrence::BandPlace;
use crate::kernels::stream::StepPlan;
use crate::parallel::Crew;
use crate::regions::{RegionShape, Rows, RowsMut, Span};
use crate::simd::Tier;
use crate::{Element, Error, Result, shape};
use cell::{Elman, Gru, Lstm};
use concat::Concat;
use embedding::Embedding;
use norm::LayerNorm;
use options::RecurrentOptions;
use residual::Residual;

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
        /// Its options.
        #[serde(default, skip_serializing_if = "is_default")]
        options: Box<RecurrentOptions>,
    },
    /// A gated recurrent unit.
    Gru {
        /// Hidden units.
        units: usize,
        /// Its options.
        #[serde(default, skip_serializing_if = "is_default")]
        options: Box<RecurrentOptions>,
    },
    /// Long short-term memory.
    Lstm {
        /// Hidden units.
        units: usize,
        /// Its options.
        #[serde(default, skip_serializing_if = "is_default")]
        options: Box<RecurrentOptions>,
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
    /// A function of each element.
    Activation {
        /// The function.
        activation: Activation,
    },
    /// Takes the mean from the features of a step, divides by their deviation, and scales and shifts each.
    LayerNorm {
        /// What is added to the variance.
        epsilon: f64,
    },
    /// Puts rows of a table in the place of their indices.
    Embedding {
        /// The columns of the layer's input that are indices.
        columns: Vec<usize>,
        /// Rows of the table.
        classes: usize,
        /// Elements of each.
        size: usize,
    },
    /// Outputs of earlier layers side by side.
    Concat {
        /// Which: 0 is the network's input, i the output of the i-th layer.
        layers: Vec<usize>,
    },
    /// Adds the output of an earlier layer.
    Residual {
        /// Which, as with a concatenation.
        layer: usize,
    },
}

fn is_default(options: &RecurrentOptions) -> bool {
    *options == RecurrentOptions::default()
}

impl LayerSpec {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`ZeroSize`](crate::Error::ZeroSize), [`OutOfRange`](crate::Error::OutOfRange), [`Mismatch`](crate::Error::Mismatch)
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Rnn {
                units,
                activation,
                options,
            } => {
                shape::expect_nonzero("units", *units)?;
                activation.check()?;
                options.check(options::Kind::Rnn)
            }
            Self::Gru { units, options } => {
                shape::expect_nonzero("units", *units)?;
                options.check(options::Kind::Gru)
            }
            Self::Lstm { units, options } => {
                shape::expect_nonzero("units", *units)?;
                options.check(options::Kind::Lstm)
            }
            Self::Dense { units, activation } => {
                shape::expect_nonzero("units", *units)?;
                activation.check()
            }
            Self::Dropout { rate } => options::check_rate("rate", *rate),
            Self::Activation { activation } => activation.check(),
            Self::LayerNorm { epsilon } => norm::check_epsilon(*epsilon),
            Self::Embedding {
                columns,
                classes,
                size,
            } => embedding::check(columns, *classes, *size),
            Self::Concat { layers } => shape::expect_nonzero("count", layers.len()).map(|_| ()),
            Self::Residual { .. } => Ok(()),
        }
    }

    /// The options of a recurrent layer.
    pub fn recurrent_options(&self) -> Option<&RecurrentOptions> {
        match self {
            Self::Rnn { options, .. } | Self::Gru { options, .. } | Self::Lstm { options, .. } => {
                Some(options)
            }
            _ => None,
        }
    }

    /// What the biases of forget gates start at, if that was chosen.
    pub fn forget_bias(&self) -> Option<f64> {
        match self {
            Self::Lstm { options, .. } => options.forget_bias,
            _ => None,
        }
    }

    /// The values that it reads where so many layers come before it: 0 is the network's input, i the output of the i-th layer.
    pub fn inputs(&self, before: usize) -> Vec<usize> {
        match self {
            Self::Concat { layers } => layers.clone(),
            Self::Residual { layer } => vec![before, *layer],
            _ => vec![before],
        }
    }

    /// Checks whether it can follow values of these sizes: the network's input, and the outputs of the layers before it, which
    /// are these.
    ///
    /// # Errors
    /// [`IndexOutOfRange`](Error::IndexOutOfRange) for a value that is not there, [`Mismatch`](Error::Mismatch) for one of
    /// the wrong size, [`SizeOverflow`](Error::SizeOverflow)
    pub fn check_place<'a>(
        &self,
        sizes: &[usize],
        layers: impl DoubleEndedIterator<Item = &'a Self> + Clone,
    ) -> Result<()> {
        let before = sizes.len() - 1;
        let is_there = |name, index| match index <= before {
            true => Ok(sizes[index]),
            false => Err(Error::IndexOutOfRange {
                name,
                index,
                count: sizes.len(),
            }),
        };
        match self {
            Self::Embedding { columns, size, .. } => {
                let inputs = sizes[before];
                let vectors = shape::product("an embedding", &[columns.len(), *size])?;
                shape::sum("an embedding", &[inputs, vectors])?;
                columns.iter().try_for_each(|&column| {
                    Self::input_column(layers.clone(), inputs, column).map(|_| ())
                })
            }
            Self::Concat { layers } => {
                let mut total = 0;
                for &layer in layers {
                    let size = is_there("a layer of the concatenation", layer)?;
                    total = shape::sum("a concatenation", &[total, size])?;
                }
                Ok(())
            }
            &Self::Residual { layer } => {
                let (size, present) = (is_there("layer", layer)?, sizes[before]);
                if size == present {
                    return Ok(());
                }
                Err(Error::Mismatch {
                    name: "the output that a residual layer adds",
                    actual: format!("of {size} features"),
                    expected: format!("{present} features, as it is added to"),
                })
            }
            _ => Ok(()),
        }
    }

    /// The column of the network's input that a column of an embedding's input is, which has so many and stands behind these
    /// layers.
    ///
    /// # Errors
    /// [`IndexOutOfRange`](Error::IndexOutOfRange) for a column that is not there, [`Mismatch`](Error::Mismatch) for one that
    /// has another origin
    pub fn input_column<'a>(
        layers: impl DoubleEndedIterator<Item = &'a Self>,
        inputs: usize,
        column: usize,
    ) -> Result<usize> {
        if column >= inputs {
            return Err(Error::IndexOutOfRange {
                name: "a column of the embedding",
                index: column,
                count: inputs,
            });
        }
        layers.rev().try_fold(column, |origin, layer| {
            let Self::Embedding { columns, size, .. } = layer else {
                return Err(Error::Mismatch {
                    name: "what stands before an embedding",
                    actual: "a layer of another kind".to_owned(),
                    expected: "nothing but embeddings: indices are columns of the network's input"
                        .to_owned(),
                });
            };
            embedding::passed(columns, *size, origin).ok_or_else(|| Error::Mismatch {
                name: "a column of the embedding",
                actual: format!("{column}, which an embedding before has made"),
                expected: "a column of the network's input that has passed".to_owned(),
            })
        })
    }

    /// The layer, on inputs of so many features. The spec has been checked. Where the size of a tensor is too large for a
    /// number, it is the largest there is, which no memory can hold.
    pub fn build<E: Element>(&self, inputs: &[usize]) -> Box<dyn Layer<E>> {
        E::layer(self, inputs)
    }

    /// [`Self::build`], behind the values of these sizes, among which it has a place.
    pub fn build_among<E: Element>(&self, sizes: &[usize]) -> Box<dyn Layer<E>> {
        let inputs = self.inputs(sizes.len() - 1).into_iter();
        let inputs: Vec<usize> = inputs.map(|input| sizes[input]).collect();
        self.build(&inputs)
    }

    /// [`Self::build`], compiled where it is called.
    pub fn build_here<E: Element>(&self, sizes: &[usize]) -> Box<dyn Layer<E>> {
        let inputs = sizes[0];
        match self {
            Self::Rnn {
                units,
                activation,
                options,
            } => recurrent::build(inputs, options, |inputs, reverse| {
                Elman::new(inputs, *units, *activation, options, reverse)
            }),
            Self::Gru { units, options } => recurrent::build(inputs, options, |inputs, reverse| {
                Gru::new(inputs, *units, options, reverse)
            }),
            Self::Lstm { units, options } => {
                recurrent::build(inputs, options, |inputs, reverse| {
                    Lstm::new(inputs, *units, options, reverse)
                })
            }
            Self::Dense { units, activation } => Box::new(Dense::new(inputs, *units, *activation)),
            Self::Dropout { rate } => Box::new(Dropout::new(inputs, *rate)),
            Self::Activation { activation } => {
                Box::new(activation::Activation::new(inputs, *activation))
            }
            Self::LayerNorm { epsilon } => Box::new(LayerNorm::new(inputs, *epsilon)),
            Self::Embedding {
                columns,
                classes,
                size,
            } => Box::new(Embedding::new(inputs, columns, *classes, *size)),
            Self::Concat { .. } => Box::new(Concat::new(sizes)),
            Self::Residual { .. } => Box::new(Residual::new(inputs)),
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
    /// Units, those of all gates side by side.
    pub columns: usize,
    /// Gates that the columns are divided among.
    pub gates: usize,
    /// Whether it belongs to the direction from the last step to the first.
    pub is_reverse: bool,
}

impl Tensor {
    /// One of a layer without gates.
    pub fn new(role: TensorRole, rows: usize, columns: usize) -> Self {
        Self {
            role,
            rows,
            columns,
            gates: 1,
            is_reverse: false,
        }
    }

    /// Number of elements. The network has checked that the product fits.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether rows are multiplied by it: then kernels read packed copies of it.
    pub fn is_matrix(&self) -> bool {
        matches!(
            self.role,
            TensorRole::InputWeight
                | TensorRole::RecurrentWeight
                | TensorRole::Projection
                | TensorRole::DenseWeight
        )
    }
}

/// A packed copy of some of a layer's parameters.
#[derive(Clone, Debug)]
pub struct Pack {
    /// What it is made of: one above the other, or one tensor of which it is the transpose.
    pub parts: Vec<PackPart>,
    /// Groups of columns, those of as many gates.
    pub groups: usize,
    /// Whether it is for backward passes only: the transpose.
    pub is_transposed: bool,
    /// Whether it is only read where the gradient of the layer's input is wanted.
    pub meets_input: bool,
}

/// Some columns of a tensor.
#[derive(Clone, Debug)]
pub struct PackPart {
    /// Which of the layer's tensors; those of a pack come in the order of the tensors.
    pub tensor: usize,
    /// Which of its columns.
    pub columns: Range<usize>,
    /// The group that comes first in the panels (see [`Source`](crate::kernels::pack::Source)).
    pub first_group: usize,
}

impl Pack {
    /// The transpose of some columns of a tensor.
    pub fn transposed(tensor: usize, columns: Range<usize>, meets_input: bool) -> Self {
        Self {
            parts: vec![PackPart {
                tensor,
                columns,
                first_group: 0,
            }],
            groups: 1,
            is_transposed: true,
            meets_input,
        }
    }

    /// Where the elements of a part are in its tensor.
    pub fn source(&self, tensor: &Tensor, part: &PackPart) -> Source {
        let all = if self.is_transposed {
            Source::columns(tensor.columns)
        } else {
            Source::rows(tensor.columns)
        };
        Source {
            origin: part.columns.start,
            first_group: part.first_group,
            ..all
        }
    }

    /// How large it is, given the layer's tensors.
    pub fn shape(&self, tensors: &[Tensor]) -> PackedShape {
        let rows = |part: &PackPart| tensors[part.tensor].rows;
        let columns = self.parts[0].columns.len();
        let (depth, columns) = if self.is_transposed {
            (columns, rows(&self.parts[0]))
        } else {
            let rows = self.parts.iter().map(rows);
            (rows.fold(0, usize::saturating_add), columns)
        };
        PackedShape {
            depth,
            units: columns / self.groups,
            groups: self.groups,
        }
    }
}

/// A part of the state that a sequence has in a layer.
#[derive(Clone, Copy, Debug)]
pub struct StatePart {
    /// The region whose rows start with it, counted from the layer's output region. Its lead is the state that the
    /// sequences start from.
    pub region: usize,
    /// Number of elements.
    pub size: usize,
    /// Index of the first of the layer's parameters that are the state of a sequence started without one, if there are
    /// such.
    pub own: Option<usize>,
}

/// What a layer gets to run forward.
#[derive(Debug)]
pub struct Forward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// The threads.
    pub crew: Crew<'a>,
    /// Region of the layer's input, the first of them.
    pub input: usize,
    /// Regions of all its inputs.
    pub inputs: &'a [usize],
    /// Region of its output, the first of its regions.
    pub output: usize,
    /// Its parameters.
    pub parameters: &'a [E],
    /// The packed copies that it reads to run forward, in the order of [`Layer::packs`].
    pub weights: &'a [Packed<E>],
    /// The dropout of this pass; None outside training, where nothing is dropped and nothing kept.
    pub training: Option<DropoutKey>,
}

/// What a layer gets to run backward.
#[derive(Debug)]
pub struct Backward<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// The threads.
    pub crew: Crew<'a>,
    /// Region of the layer's input, the first of them, and of its gradient.
    pub input: usize,
    /// All its inputs.
    pub inputs: &'a [Input],
    /// Their regions.
    pub regions: &'a [usize],
    /// Region of its output, and of its gradient, the first of its regions.
    pub output: usize,
    /// Its parameters.
    pub parameters: &'a [E],
    /// The packed copies that it reads to run backward, in the order of [`Layer::packs`]. Those that meet the input are only
    /// there where the gradient of the input is wanted.
    pub weights: &'a [Packed<E>],
    /// Gradient of the final state, `[batch][stride]` in the caller's order, the layer's part at the start.
    pub state_gradient: Option<&'a [E]>,
    /// From one sequence of it to the next.
    pub state_stride: usize,
    /// Gradient of what [`Layer::gather_last`] has gathered, which is to be added to that of the output: a row for each
    /// sequence, and from one to the next.
    pub last_gradient: Option<(&'a [E], usize)>,
    /// The first input of which the gradient is wanted: layers before have nothing to compute.
    pub first_wanted: usize,
    /// Whether the gradient of the first input is wanted.
    pub input_gradient: bool,
    /// Whether it is to be added to what its region holds.
    pub accumulate: bool,
    /// Whether the gradient of the state that the sequences start from is wanted.
    pub start_gradient: bool,
    /// Whether they started from the network's own state.
    pub own_start: bool,
    /// The dropout of the forward pass.
    pub training: DropoutKey,
}

/// An input of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// 0 is the network's input, i the output of the i-th layer.
    pub value: usize,
    /// Whether a layer that runs backward before has stored a gradient of it, to which that of this layer is added.
    pub adds: bool,
}

impl<E: Element> Backward<'_, E> {
    /// The inputs whose gradients are wanted: the index of each, its region, and whether its gradient is to be added to what
    /// that holds.
    pub fn wanted(&self) -> impl Iterator<Item = (usize, usize, bool)> {
        let inputs = self.inputs.iter().zip(self.regions).enumerate();
        inputs.filter_map(|(index, (input, &region))| {
            (input.value >= self.first_wanted).then_some((index, region, input.adds))
        })
    }

    /// Where the sums of the input's gradient start.
    pub fn input_start(&self) -> SumStart<'_, E> {
        if self.accumulate {
            SumStart::Result
        } else {
            SumStart::Zero
        }
    }

    /// Adds the gradients of the last outputs, of `size` elements, to those of the rows where sequences end.
    pub fn add_last(&self, size: usize, deltas: &mut RowsMut<'_, E>) {
        let Some((last, last_stride)) = self.last_gradient else {
            return;
        };
        let (layout, stride) = (deltas.layout(), deltas.stride(self.output));
        for step in deltas.steps() {
            let ended = layout.rows(step + 1);
            let rows = deltas.get_mut(self.output, Span::Step(step));
            for (row, gradient) in rows.chunks_mut(stride).enumerate().skip(ended) {
                let last = &last[row * last_stride..][..size];
                for (gradient, &last) in gradient.iter_mut().zip(last) {
                    arrive(gradient, last);
                }
            }
        }
    }
}

/// Adds a gradient that arrives at the end of a sequence: where there is none yet it keeps its bits, those of -0 too.
pub fn arrive<E: Element>(sum: &mut E, gradient: E) {
    *sum = if *sum == E::ZERO {
        gradient
    } else {
        *sum + gradient
    };
}

/// What a layer computes with follows from its [`LayerSpec`], which is printed beside it.
impl<E: Element> fmt::Debug for dyn Layer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

/// A layer. It keeps nothing between calls, so any number of threads may use it.
pub trait Layer<E: Element>: Send + Sync {
    /// Features of its output.
    fn outputs(&self) -> usize;

    /// The parts of the state that it carries from step to step, in the caller's order.
    fn state(&self) -> Vec<StatePart> {
        Vec::new()
    }

    /// The regions that it has in the memory of a pass. The rows of the first one start with its output.
    fn regions(&self) -> Vec<RegionShape> {
        vec![RegionShape::window(self.outputs())]
    }

    /// The regions that it has in the memory of a backward pass, as many. The rows of the first one start with the gradient
    /// of its output.
    fn gradient_regions(&self) -> Vec<RegionShape> {
        self.regions()
    }

    /// Its parameters, in their order in the flat buffer.
    fn tensors(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// The packed copies of them that it reads.
    fn packs(&self) -> Vec<Pack> {
        Vec::new()
    }

    /// Whether a part of the state is of the direction from the last step to the first.
    fn is_reverse(&self, _part: usize) -> bool {
        false
    }

    /// Whether an output depends on later steps.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// Whether it does nothing outside training: inference then leaves it out, and the next layer reads what it would have
    /// read.
    fn trains_only(&self) -> bool {
        false
    }

    /// The units of its time loop, which threads can share. None: it has none.
    fn shared_units(&self) -> Option<usize> {
        None
    }

    /// Computes the output of the window for all its rows. A recurrent layer starts from the state in the leads of its
    /// regions; whoever runs the windows puts it there, from the caller or from the end of the window before.
    fn forward(&self, pass: &Forward<'_, E>, activations: &mut RowsMut<'_, E>);

    /// What it does at one step of `rows` streams, whose regions have these places. None: what [`Self::forward`] does.
    fn step_plan(&self, _regions: StepRegions<'_>, _rows: usize) -> Option<StepPlan> {
        None
    }

    /// Runs a step that has been planned: [`Self::forward`] for one step outside training, on the calling thread.
    fn step(&self, _plan: &StepPlan, _pass: &Step<'_, E>, _memory: &mut [E]) {}

    /// Copies the last output of the sequences that end in the window to the rows of `last`, one every `stride`: row r is
    /// that of the layout's sequence r.
    fn gather_last(
        &self,
        activations: &RowsMut<'_, E>,
        output: usize,
        last: &mut [E],
        stride: usize,
    ) {
        let size = self.outputs();
        gradients::ended_rows(activations, output, |row, values| {
            last[row * stride..][..size].copy_from_slice(&values[..size]);
        });
    }

    /// Turns the gradient of the output, in the output region of `deltas`, into what [`Self::gradients`] needs, and stores
    /// the gradient of the input if it is wanted. The windows come from the last one to the first. A recurrent layer finds
    /// what the window after has left in the leads of its regions, and leaves there what the window before needs. In the
    /// window of step 0 it leaves the gradient of the state that the sequences start from, if that is wanted, in the lead
    /// of the last region of each part of its state.
    fn backward(
        &self,
        pass: &Backward<'_, E>,
        activations: &Rows<'_, E>,
        deltas: &mut RowsMut<'_, E>,
    );

    /// The parts that the gradients of its parameters are computed in.
    fn gradient_parts(&self) -> Vec<gradients::GradientPart> {
        Vec::new()
    }

    /// Adds the gradients of some `rows` of a part to `sums`. `strip` has what the part wants packed.
    fn gradients(
        &self,
        _pass: &Gradients<'_, E>,
        _part: usize,
        _rows: Range<usize>,
        _sums: &mut [E],
        _strip: &Packed<E>,
    ) {
    }
}

/// Where a layer's rows are in the memory of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StepRegions<'a> {
    /// Those of all regions.
    pub places: &'a [BandPlace],
    /// The region of the layer's input.
    pub input: usize,
    /// The first one of its own.
    pub output: usize,
}

/// What a layer computes a step with.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, E: Element> {
    /// The tier of the network.
    pub tier: Tier,
    /// Its parameters.
    pub parameters: &'a [E],
    /// The packed copies of them for forward passes.
    pub weights: &'a [Packed<E>],
}

/// Most steps of a window of a backward pass.
pub const WINDOW_STEPS: usize = 64;
