//! The layers of a network: how they are added, and what they are.

use std::ops::Range;

use super::{Network, parameters};
use crate::activation::Activation;
use crate::buffer::{Buffer, try_vec};
use crate::init::{Initializer, TensorRole};
use crate::layer::LayerSpec;
use crate::layer::options::RecurrentOptions;
use crate::model::LayerSlot;
use crate::{Element, Error, Result, in_engine_mode};

/// How layers start when they are added.
const START: Initializer = Initializer::PyTorch { gain: 1.0 };

impl<E: Element> Network<E> {
    /// Adds a recurrent layer h_t = f(x_t W_x + h_{t-1} W_h + b). Its parameters are drawn as
    /// [`Initializer::PyTorch`] has it, from the [seed](Self::set_seed); its gradients are 0.
    ///
    /// # Errors
    /// [`Error::ZeroSize`](crate::Error::ZeroSize), [`Error::SizeOverflow`](crate::Error::SizeOverflow),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory). Nothing has been drawn then.
    pub fn add_rnn(&mut self, units: usize, activation: Activation) -> Result<()> {
        self.add_recurrent(units, activation, &RecurrentOptions::default())
    }

    /// Adds a recurrent layer as [`Self::add_rnn`] does, with options.
    ///
    /// # Errors
    /// As there; [`Error::OutOfRange`](crate::Error::OutOfRange) for a number that is none of an option's,
    /// [`Error::Mismatch`](crate::Error::Mismatch) for an option that such a layer has no use for.
    pub fn add_recurrent(
        &mut self,
        units: usize,
        activation: Activation,
        options: &RecurrentOptions,
    ) -> Result<()> {
        let options = Box::new(options.clone());
        self.add(LayerSpec::Rnn {
            units,
            activation,
            options,
        })
    }

    /// Adds a gated recurrent unit (Cho et al. 2014): r, z = s(x_t W_x + h_{t-1} W_h + b), h_t = (1 - z)∘n + z∘h_{t-1} with
    /// n = tanh(x_t W_xn + b_n + r∘(h_{t-1} W_hn + q)), as PyTorch has it, unless the options say otherwise. Its parameters
    /// are W_x `[input][3 * units]`, W_h `[units][3 * units]`, b `[3 * units]` (r, z, n) and q `[units]`.
    ///
    /// # Errors
    /// As [`Self::add_recurrent`].
    pub fn add_gru(&mut self, units: usize, options: &RecurrentOptions) -> Result<()> {
        let options = Box::new(options.clone());
        self.add(LayerSpec::Gru { units, options })
    }

    /// Adds long short-term memory (Hochreiter & Schmidhuber 1997): i, f, o = s(a), g = tanh(a), c_t = f∘c_{t-1} + i∘g,
    /// h_t = o∘tanh(c_t) with a = x_t W_x + h_{t-1} W_h + b, as PyTorch has it, unless the options say otherwise. Its
    /// parameters are W_x `[input][4 * units]`, W_h `[units][4 * units]` and b `[4 * units]` (i, f, g, o), then, where there
    /// are such, the peepholes `[3][units]` (i, f, o), the projection `[units][projection]` and the initial state. Its
    /// state is h, then c.
    ///
    /// # Errors
    /// As [`Self::add_recurrent`].
    pub fn add_lstm(&mut self, units: usize, options: &RecurrentOptions) -> Result<()> {
        let options = Box::new(options.clone());
        self.add(LayerSpec::Lstm { units, options })
    }

    /// Adds a dense layer y = f(x W + b), which sees each step by itself. It starts as one of [`Self::add_rnn`] does.
    ///
    /// # Errors
    /// As [`Self::add_rnn`].
    pub fn add_dense(&mut self, units: usize, activation: Activation) -> Result<()> {
        self.add(LayerSpec::Dense { units, activation })
    }

    /// Adds dropout: in [`forward`](Self::forward), an element is 0 with probability `rate` and else divided by
    /// `1 - rate`. Elsewhere it does nothing. Which elements are dropped follows from the [seed](Self::set_seed) and the
    /// number of forward passes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where `rate` is not at least 0 and below 1.
    pub fn add_dropout(&mut self, rate: f64) -> Result<()> {
        self.add(LayerSpec::Dropout { rate })
    }

    /// Adds a layer that is a function of each element of its input. It has no parameters.
    ///
    /// A dense or recurrent layer that has the activation itself is faster, and gives the same bits.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) as [`Activation::check`] has it.
    pub fn add_activation(&mut self, activation: Activation) -> Result<()> {
        self.add(LayerSpec::Activation { activation })
    }

    /// Adds layer normalisation (Ba et al. 2016): of the features x of each step, y = (x - m) / sqrt(v + epsilon) ∘ g + b, where
    /// m is their mean and v their (population) variance, as PyTorch's `LayerNorm` has it, whose epsilon is 1e-5. The
    /// parameters are g and b, `[features]` each, which start at 1 and 0.
    ///
    /// Sums over the features are 16 chains, whose elements are 16 apart, added from the first chain to the last.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where `epsilon` is below the smallest normal `f32` or not finite as
    /// one; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn add_layer_norm(&mut self, epsilon: f64) -> Result<()> {
        self.add(LayerSpec::LayerNorm { epsilon })
    }

    /// Adds an embedding: some `columns` of the network's input are indices, and each is replaced by its row of a table
    /// `[classes][size]`, as with PyTorch's `Embedding`; the other columns pass as they are. The order stays: the row stands
    /// where its index stood, so an input a, i, b with column 1 an index becomes a, E\[i\], b, of `2 + size` features. All
    /// columns share the table; further embeddings, behind this one and before all other layers, have tables of their own for
    /// columns that have passed, counted in what they get. The parameters are the table, which starts with numbers from the
    /// normal distribution.
    ///
    /// An index is an integer of at least 0 and less than `classes`, as a floating-point number. Each call that takes
    /// inputs checks the indices of all steps that count before it changes anything. A standardisation leaves them as they
    /// are, and their gradient is 0. The gradient of a row of the table is the sum over the steps that name it, from the last
    /// step to the first, within a step from the shortest sequence to the longest, and within a row from the last column to
    /// the first; rows that no step names are not touched.
    ///
    /// # Errors
    /// [`Error::ZeroSize`](crate::Error::ZeroSize); [`Error::OutOfRange`](crate::Error::OutOfRange) for more than 2^24
    /// classes; [`Error::IndexOutOfRange`](crate::Error::IndexOutOfRange) for a column that is not there;
    /// [`Error::Mismatch`](crate::Error::Mismatch) for one that is named twice or part of another embedding's row, and where
    /// the network has layers that are no embeddings; [`Error::SizeOverflow`](crate::Error::SizeOverflow),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn add_embedding(&mut self, columns: &[usize], classes: usize, size: usize) -> Result<()> {
        let mut own = try_vec("the columns", columns.len())?;
        own.extend_from_slice(columns);
        self.add(LayerSpec::Embedding {
            columns: own,
            classes,
            size,
        })
    }

    /// Adds a layer whose output is those of earlier layers side by side, in the order of `layers`: 0 is the network's input
    /// (standardised, if it is), i the output of the i-th layer that was added, dropout and activations counted. Some may be
    /// there twice. Only what `layers` names is passed on, so as a rule the layer before is one of them.
    ///
    /// With [`Output::Last`](crate::Output::Last) the layers behind the last recurrent one run over the last step of each
    /// sequence alone; what they read of earlier layers is then the last of these, which of a bidirectional layer is what
    /// [`LastOutput`](crate::LastOutput) has it.
    ///
    /// # Errors
    /// [`Error::ZeroSize`](crate::Error::ZeroSize) for no layers,
    /// [`Error::IndexOutOfRange`](crate::Error::IndexOutOfRange) for one that has not been added,
    /// [`Error::SizeOverflow`](crate::Error::SizeOverflow), [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn add_concat(&mut self, layers: &[usize]) -> Result<()> {
        let mut own = try_vec("the layers", layers.len())?;
        own.extend_from_slice(layers);
        self.add(LayerSpec::Concat { layers: own })
    }

    /// Adds a layer that adds the output of an earlier layer, counted as in [`Self::add_concat`], to that of the layer before
    /// (He et al. 2015, arXiv 1512.03385): a layer that is to learn what its input lacks is followed by one that adds its
    /// input.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`](crate::Error::IndexOutOfRange) for a layer that has not been added,
    /// [`Error::Mismatch`](crate::Error::Mismatch) for one of another size, [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn add_residual(&mut self, layer: usize) -> Result<()> {
        self.add(LayerSpec::Residual { layer })
    }

    fn add(&mut self, spec: LayerSpec) -> Result<()> {
        in_engine_mode(|| spec.check())?;
        let model = Self::unshared(&mut self.model)?;
        // Where the gradients lie is known outside: they stay there until nothing can fail any more.
        let mut gradients = Buffer::zeroed("the gradients", model.parameter_count_with(&spec)?)?;
        let mut rng = self.start.clone();
        let forget_bias = spec.forget_bias();
        in_engine_mode(|| {
            model.add_with(spec, |tensors, values| {
                parameters::draw(START, forget_bias, tensors, values, &mut rng)
            })
        })?;
        self.start = rng;
        gradients[..self.gradients.len()].copy_from_slice(&self.gradients);
        self.gradients = gradients;
        self.changed();
        Ok(())
    }

    /// Freezes a layer, or lets it be trained again, as every layer is when it is added. It is saved with the network.
    ///
    /// Training leaves the parameters of a frozen layer as they are, bit for bit: [`backward`](Self::backward) adds nothing to
    /// its gradients, which become 0 here, and [`update`](Self::update) passes over its parameters and what the optimizer
    /// remembers of them, weight decay and momentum or not. Gradients still go through it to what is below. Where nothing
    /// below is trained and neither `dx` nor `dstate_in` is wanted, `backward` ends above it.
    /// [`initialize`](Self::initialize) and [`set_parameters`](Self::set_parameters) reach its parameters all the same.
    ///
    /// A layer that has been frozen from the first update on starts late: Adam's bias corrections count the steps of the
    /// optimizer, not of a layer. [Reset](crate::optimizer::Optimizer::reset) the optimizer to start all of them anew.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] where there is no such layer, [`Error::OutOfMemory`].
    pub fn set_trainable(&mut self, layer: usize, trainable: bool) -> Result<()> {
        let count = self.layer_count();
        if layer >= count {
            return Err(Error::IndexOutOfRange {
                name: "layer",
                index: layer,
                count,
            });
        }
        let place = &mut Self::unshared(&mut self.model)?.places[layer];
        place.trainable = trainable;
        if !trainable {
            self.gradients[place.parameters()].fill(E::ZERO);
        }
        Ok(())
    }

    /// Number of layers.
    pub fn layer_count(&self) -> usize {
        self.model.places.len()
    }

    /// What each layer is, from the input on.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo<'_>> {
        let model = &*self.model;
        model
            .places
            .iter()
            .map(move |place| LayerInfo::new(place, model.input_size_of(place)))
    }
}

/// What a layer of a network is, and where its numbers lie.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LayerInfo<'a> {
    /// Its kind, with the settings that only this kind has.
    pub kind: LayerKind<'a>,
    /// The options of a recurrent layer.
    pub options: Option<&'a RecurrentOptions>,
    /// Units of a recurrent or a dense layer; 0 of another one.
    pub units: usize,
    /// Features of a step that it takes.
    pub inputs: usize,
    /// Features of a step that it gives.
    pub outputs: usize,
    /// Its parameters among those of the network.
    pub parameters: Range<usize>,
    /// Its part of a sequence's state.
    pub state: Range<usize>,
    /// Whether training changes its parameters: [`Network::set_trainable`].
    pub trainable: bool,
    tensors: &'a [crate::layer::Tensor],
}

/// A kind of layer and its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerKind<'a> {
    /// h_t = f(x_t W_x + h_{t-1} W_h + b)
    Rnn {
        /// f
        activation: Activation,
    },
    /// A gated recurrent unit.
    Gru,
    /// Long short-term memory.
    Lstm,
    /// y = f(x W + b), at each step by itself.
    Dense {
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
    /// Layer normalisation.
    LayerNorm {
        /// What is added to the variance.
        epsilon: f64,
    },
    /// Rows of a table in the place of their indices.
    Embedding {
        /// The columns of the layer's input that are indices.
        columns: &'a [usize],
        /// Rows of the table.
        classes: usize,
        /// Elements of each.
        size: usize,
    },
    /// Outputs of earlier layers side by side.
    Concat {
        /// Which: 0 is the network's input, i the output of the i-th layer.
        layers: &'a [usize],
    },
    /// The output of an earlier layer, added to that of the layer before.
    Residual {
        /// Which: 0 is the network's input, i the output of the i-th layer.
        layer: usize,
    },
}

/// One of a layer's parameter tensors: a row-major matrix `[rows][columns]`, or a vector, which has one row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its place in the layer's equation.
    pub role: TensorRole,
    /// Rows: what it is multiplied by has as many elements.
    pub rows: usize,
    /// Columns: the layer's units, those of all gates side by side.
    pub columns: usize,
    /// Gates that the columns are divided among; 1 where there are none.
    pub gates: usize,
    /// Whether it belongs to a direction from the last step to the first.
    pub is_reverse: bool,
    /// Its elements among the parameters of the network.
    pub parameters: Range<usize>,
}

impl<'a> LayerInfo<'a> {
    fn new<E: Element>(place: &'a LayerSlot<E>, inputs: usize) -> Self {
        let mut own_options = None;
        let kind = match &place.spec {
            &LayerSpec::Rnn {
                activation,
                ref options,
                ..
            } => {
                own_options = Some(&**options);
                LayerKind::Rnn { activation }
            }
            LayerSpec::Gru { options, .. } => {
                own_options = Some(&**options);
                LayerKind::Gru
            }
            LayerSpec::Lstm { options, .. } => {
                own_options = Some(&**options);
                LayerKind::Lstm
            }
            &LayerSpec::Dense { activation, .. } => LayerKind::Dense { activation },
            &LayerSpec::Dropout { rate } => LayerKind::Dropout { rate },
            &LayerSpec::Activation { activation } => LayerKind::Activation { activation },
            &LayerSpec::LayerNorm { epsilon } => LayerKind::LayerNorm { epsilon },
            LayerSpec::Embedding {
                columns,
                classes,
                size,
            } => LayerKind::Embedding {
                columns,
                classes: *classes,
                size: *size,
            },
            LayerSpec::Concat { layers } => LayerKind::Concat { layers },
            &LayerSpec::Residual { layer } => LayerKind::Residual { layer },
        };
        Self {
            kind,
            options: own_options,
            units: match place.spec {
                LayerSpec::Rnn { units, .. }
                | LayerSpec::Gru { units, .. }
                | LayerSpec::Lstm { units, .. }
                | LayerSpec::Dense { units, .. } => units,
                _ => 0,
            },
            inputs,
            outputs: place.layer.outputs(),
            parameters: place.parameters(),
            state: place.first_state..place.first_state + place.state_size(),
            trainable: place.trainable,
            tensors: &place.tensors,
        }
    }

    /// Its parameter tensors, in the order in which they lie in the network's parameters. They outlive this description:
    /// those of all layers are `network.layers().flat_map(|layer| layer.tensors())`.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo> + use<'a> {
        let mut end = self.parameters.start;
        self.tensors.iter().map(move |tensor| {
            let start = end;
            end += tensor.len();
            TensorInfo {
                role: tensor.role,
                rows: tensor.rows,
                columns: tensor.columns,
                gates: tensor.gates,
                is_reverse: tensor.is_reverse,
                parameters: start..end,
            }
        })
    }
}

impl TensorInfo {
    /// Its name in the layer's equation: "W_x", "W_h" and "b" of a recurrent layer, "W" and "b" of a dense one, "g" and "b" of a
    /// layer norm; "q", "p", "R", "h_0" and "c_0" of what only some recurrent layers have.
    pub fn name(&self) -> &'static str {
        self.role.name()
    }
}
