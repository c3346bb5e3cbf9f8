//! The layers of a network: how they are added, and what they are.

use std::ops::Range;

use super::{Network, parameters};
use crate::activation::Activation;
use crate::buffer::Buffer;
use crate::init::{Initializer, TensorRole};
use crate::layer::LayerSpec;
use crate::model::LayerSlot;
use crate::{Element, Result};

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
        self.add(LayerSpec::Rnn { units, activation })
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

    fn add(&mut self, spec: LayerSpec) -> Result<()> {
        spec.check()?;
        let model = Self::unshared(&mut self.model)?;
        // Where the gradients lie is known outside: they stay there until nothing can fail any more.
        let mut gradients = Buffer::zeroed("the gradients", model.parameter_count_with(&spec)?)?;
        let mut rng = self.start.clone();
        model.add_with(spec, |tensors, values| {
            parameters::draw(START, tensors, values, &mut rng)
        })?;
        self.start = rng;
        gradients[..self.gradients.len()].copy_from_slice(&self.gradients);
        self.gradients = gradients;
        self.changed();
        Ok(())
    }

    /// Number of layers.
    pub fn layer_count(&self) -> usize {
        self.model.places.len()
    }

    /// What each layer is, from the input on.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo<'_>> {
        let mut inputs = self.model.input_size;
        self.model.places.iter().map(move |place| {
            let outputs = place.layer.outputs();
            let inputs = std::mem::replace(&mut inputs, outputs);
            LayerInfo::new(place, inputs)
        })
    }
}

/// What a layer of a network is, and where its numbers lie.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LayerInfo<'a> {
    /// Its kind, with the settings that only this kind has.
    pub kind: LayerKind,
    /// Features of a step that it takes.
    pub inputs: usize,
    /// Features of a step that it gives.
    pub outputs: usize,
    /// Its parameters among those of the network.
    pub parameters: Range<usize>,
    /// Its part of a sequence's state.
    pub state: Range<usize>,
    tensors: &'a [crate::layer::Tensor],
}

/// A kind of layer and its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LayerKind {
    /// h_t = f(x_t W_x + h_{t-1} W_h + b)
    Rnn {
        /// f
        activation: Activation,
    },
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
}

/// One of a layer's parameter tensors: a row-major matrix `[rows][columns]`, or a vector, which has one row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// Its place in the layer's equation.
    pub role: TensorRole,
    /// Rows: what it is multiplied by has as many elements.
    pub rows: usize,
    /// Columns: the layer's units.
    pub columns: usize,
    /// Its elements among the parameters of the network.
    pub parameters: Range<usize>,
}

impl<'a> LayerInfo<'a> {
    fn new<E: Element>(place: &'a LayerSlot<E>, inputs: usize) -> Self {
        let kind = match place.spec {
            LayerSpec::Rnn { activation, .. } => LayerKind::Rnn { activation },
            LayerSpec::Dense { activation, .. } => LayerKind::Dense { activation },
            LayerSpec::Dropout { rate } => LayerKind::Dropout { rate },
        };
        Self {
            kind,
            inputs,
            outputs: place.layer.outputs(),
            parameters: place.parameters(),
            state: place.first_state..place.first_state + place.layer.state_size(),
            tensors: &place.tensors,
        }
    }

    /// Its parameter tensors, in the order in which they lie in the network's parameters.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorInfo> + 'a {
        let mut end = self.parameters.start;
        self.tensors.iter().map(move |tensor| {
            let start = end;
            end += tensor.len();
            TensorInfo {
                role: tensor.role,
                rows: tensor.rows,
                columns: tensor.columns,
                parameters: start..end,
            }
        })
    }
}

impl TensorInfo {
    /// Its name in the layer's equation: "W_x", "W_h" and "b" of a recurrent layer, "W" and "b" of a dense one.
    pub fn name(&self) -> &'static str {
        self.role.name()
    }
}
