//! The weights that a backward pass reads.

use crate::buffer::try_reserve;
use crate::kernels::pack::{Packed, Part};
use crate::layer::Pack;
use crate::model::{Model, PACKED};
use crate::{Element, Result};

/// The transposes of all matrices of a network, packed as far as backward passes have asked for them.
#[derive(Debug, Default)]
pub struct Transposes<E: Element> {
    /// Of each layer.
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
    /// Whether a layer's copy is among them.
    fn contains(self, layer: usize, pack: &Pack) -> bool {
        match self {
            Self::None => false,
            Self::Inner => layer > 0 || !pack.meets_input,
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
            let packs = place.packs(true);
            try_reserve(PACKED, layer, packs.clone().count())?;
            layer.resize_with(packs.clone().count(), Packed::new);
            let parameters = model.layer_parameters(index);
            for (pack, packed) in packs.zip(layer) {
                if wanted.contains(index, pack) && !self.fresh.contains(index, pack) {
                    packed.resize(PACKED, model.tier, pack.shape(&place.tensors))?;
                    place.pack(pack, parameters, packed.part());
                }
            }
        }
        self.fresh = wanted;
        Ok(())
    }

    /// Those of a layer that are there, to pack them again.
    pub fn renew<'a>(
        &'a mut self,
        index: usize,
        packs: impl Iterator<Item = &'a Pack>,
    ) -> impl Iterator<Item = Option<Part<'a, E>>> {
        let fresh = self.fresh;
        let layer = self.layers.get_mut(index).into_iter().flatten();
        let parts = layer.map(Some).chain(std::iter::repeat_with(|| None));
        packs.zip(parts).map(move |(pack, packed)| {
            packed
                .filter(|_| fresh.contains(index, pack))
                .map(Packed::part)
        })
    }
}
