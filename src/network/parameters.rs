//! Parameters and gradients: how they are drawn, read, replaced and copied.

use super::Network;
use crate::buffer::Buffer;
use crate::init::{self, Initializer, Rng, TensorRole};
use crate::layer::Tensor;
use crate::model::Model;
use crate::{Element, Result, in_engine_mode, shape};

impl<E: Element> Network<E> {
    /// Draws all parameters anew. The same seed gives the same parameters on every machine. Where the parameters of layers
    /// that are added later come from stays as it is.
    ///
    /// [`Initializer`] says which start suits which activation.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) where the initializer's number is out of range,
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn initialize(&mut self, initializer: Initializer, seed: u64) -> Result<()> {
        // A network without parameters fills nothing.
        in_engine_mode(|| initializer.validate::<E>())?;
        let mut rng = Rng::new(seed);
        let mut start = |model: &mut Model<E>| {
            let mut values = model.parameters.try_clone("the parameters")?;
            for place in &model.places {
                let own = &mut values[place.parameters()];
                draw(
                    initializer,
                    place.spec.forget_bias(),
                    &place.tensors,
                    own,
                    &mut rng,
                )?;
            }
            model.parameters.copy_from_slice(&values);
            model.pack()
        };
        self.change(|model| in_engine_mode(|| start(model)))
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.model.parameters.len()
    }

    /// All parameters in layer order: W_x `[input][units]`, W_h `[units][units]`, b `[units]` of a recurrent layer;
    /// W `[input][units]`, b `[units]` of a dense one.
    pub fn parameters(&self) -> &[E] {
        &self.model.parameters
    }

    /// Replaces all parameters.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length), [`Error::OutOfMemory`](crate::Error::OutOfMemory)
    pub fn set_parameters(&mut self, parameters: &[E]) -> Result<()> {
        shape::expect_len("parameters", parameters.len(), self.parameter_count())?;
        self.change(|model| {
            model.parameters.copy_from_slice(parameters);
            model.pack()
        })
    }

    /// Swaps all parameters with as many others.
    #[cfg(feature = "datasets")]
    pub(crate) fn swap_parameters(&mut self, parameters: &mut [E]) -> Result<()> {
        self.change(|model| {
            model.parameters.swap_with_slice(parameters);
            model.pack()
        })
    }

    /// The layer and the tensor that parameter `index` belongs to, and its index in that tensor.
    #[cfg(feature = "f64")]
    pub(crate) fn parameter_place(&self, index: usize) -> Option<(usize, Tensor, usize)> {
        self.model.parameter_place(index)
    }

    /// Whether training changes the parameters of a layer that there is.
    #[cfg(feature = "f64")]
    pub(crate) fn is_trainable(&self, layer: usize) -> bool {
        self.model.places[layer].trainable
    }

    /// The gradients, in the order of the parameters.
    pub fn gradients(&self) -> &[E] {
        &self.gradients
    }

    /// The gradients, to scale, clip or reduce them over processes in place.
    pub fn gradients_mut(&mut self) -> &mut [E] {
        &mut self.gradients
    }

    /// Sets all gradients to 0.
    pub fn clear_gradients(&mut self) {
        self.gradients.fill(E::ZERO);
    }
}

/// Draws the parameters of a layer, whose tensors lie one after the other in `values`. `forget_bias` is what the biases of
/// forget gates start at whatever the initializer says.
pub(super) fn draw<E: Element>(
    initializer: Initializer,
    forget_bias: Option<f64>,
    tensors: &[Tensor],
    values: &mut [E],
    rng: &mut Rng,
) -> Result<()> {
    // The first one meets the layer's input.
    let inputs = tensors.first().map_or(0, |tensor| tensor.rows);
    let forget_bias = match initializer {
        Initializer::Keras { .. } => forget_bias.or(Some(1.0)),
        _ => forget_bias,
    };
    let mut rest = values;
    for tensor in tensors {
        let own;
        (own, rest) = rest.split_at_mut(tensor.len());
        let fan_in = match tensor.role {
            _ if tensor.is_matrix() => tensor.rows,
            TensorRole::Peephole | TensorRole::Embedding => tensor.rows,
            _ => inputs,
        };
        let (gates, units) = (tensor.gates, tensor.columns / tensor.gates);
        if gates == 1 || matches!(initializer, Initializer::Keras { .. }) {
            init::fill(initializer, tensor.role, fan_in, tensor.columns, own, rng)?;
        } else {
            // Gate by gate: each has a matrix of its own.
            let mut gate = Buffer::zeroed("the parameters of a gate", tensor.rows * units)?;
            for index in 0..gates {
                init::fill(initializer, tensor.role, fan_in, units, &mut gate, rng)?;
                let rows = own.chunks_exact_mut(tensor.columns);
                for (row, values) in rows.zip(gate.chunks_exact(units)) {
                    row[index * units..][..units].copy_from_slice(values);
                }
            }
        }
        // The forget gate is the second of an LSTM's four.
        if let (TensorRole::RecurrentBias, 4, Some(bias)) = (tensor.role, gates, forget_bias) {
            own[units..2 * units].fill(E::from_f64(bias));
        }
    }
    Ok(())
}
