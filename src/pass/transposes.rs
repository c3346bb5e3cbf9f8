//! The weights that a backward pass reads.

use crate::buffer::try_reserve;
use crate::kernels::pack::{Packed, Part, Source};
use crate::layer::Tensor;
use crate::model::{Model, PACKED};
use crate::{Element, Result};

/// The transposes of all matrices of a network, packed as far as backward passes have asked for them.
#[derive(Debug, Default)]
pub struct Transposes<E: Element> {
    /// Of each layer, the last matrix first.
    layers: Vec<Vec<Packed<E>>>,
    fresh: Fresh,
}

/// Which of them are those of the parameters as they are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Fresh {
    #[default]
    None,
    /// Those that a pass needs which does not give the gradient of the network's input.
    Inner,
    All,
}

impl Fresh {
    /// Whether a layer's matrix is among them.
    fn contains(self, layer: usize, tensor: &Tensor) -> bool {
        match self {
            Self::None => false,
            Self::Inner => layer > 0 || !tensor.meets_input(),
            Self::All => true,
        }
    }
}

impl<E: Element> Transposes<E> {
    /// Those of a layer.
    pub fn layer(&self, index: usize) -> &[Packed<E>] {
        &self.layers[index]
    }

    /// Forgets them: the parameters have changed.
    pub fn outdate(&mut self) {
        self.fresh = Fresh::None;
    }

    /// Packs what a backward pass needs and is not there.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]
    pub fn prepare(&mut self, model: &Model<E>, input_gradient: bool) -> Result<()> {
        let wanted = if input_gradient {
            Fresh::All
        } else {
            Fresh::Inner
        };
        if self.fresh >= wanted {
            return Ok(());
        }
        let count = model.places.len();
        try_reserve(PACKED, &mut self.layers, count)?;
        self.layers.resize_with(count, Vec::new);
        for (index, place) in model.places.iter().enumerate() {
            let layer = &mut self.layers[index];
            let matrices = place.tensors.iter().filter(|tensor| tensor.is_matrix());
            try_reserve(PACKED, layer, matrices.clone().count())?;
            layer.resize_with(matrices.clone().count(), Packed::new);
            let mut parameters = model.layer_parameters(index);
            for (tensor, packed) in matrices.zip(layer.iter_mut().rev()) {
                if wanted.contains(index, tensor) && !self.fresh.contains(index, tensor) {
                    let source = Source::columns(tensor.columns);
                    packed.shape(PACKED, model.tier, tensor.columns, tensor.rows)?;
                    packed.pack(0, tensor.columns, parameters, source);
                }
                parameters = &parameters[tensor.len()..];
            }
        }
        self.fresh = wanted;
        Ok(())
    }

    /// To pack those of a layer that are there again: one for each of its matrices.
    pub fn renew<'a>(
        &'a mut self,
        index: usize,
        tensors: &'a [Tensor],
    ) -> impl Iterator<Item = Option<Part<'a, E>>> {
        let fresh = self.fresh;
        let layer = self.layers.get_mut(index).into_iter().flatten();
        let parts = layer.rev().map(Some).chain(std::iter::repeat_with(|| None));
        let matrices = tensors.iter().filter(|tensor| tensor.is_matrix());
        matrices.zip(parts).map(move |(tensor, packed)| {
            packed
                .filter(|_| fresh.contains(index, tensor))
                .map(Packed::part)
        })
    }
}
