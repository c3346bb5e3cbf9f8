//! What a network is apart from running it: its layers, their parameters and the packed copies that kernels read.

use std::ops::Range;
use std::sync::Arc;

use crate::buffer::{Buffer, try_reserve, try_vec};
use crate::class_names::ClassNames;
use crate::dataset::Standardization;
use crate::kernels::pack::{Packed, Source};
use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::layer::{Layer, LayerSpec, Tensor};
use crate::simd::Tier;
use crate::{Element, Result, shape};

/// What a network gives for a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The output of its last step: many-to-one.
    #[default]
    Last,
    /// The outputs of all its steps.
    All,
}

/// What memory is wanted for.
pub const PACKED: &str = "the packed weights";

/// A layer in its place.
#[derive(Debug)]
pub struct LayerSlot<E: Element> {
    /// Its kind and settings.
    pub spec: LayerSpec,
    /// The layer itself.
    pub layer: Arc<dyn Layer<E>>,
    /// Its parameters: matrices of as many columns each.
    pub tensors: Vec<Tensor>,
    /// Index of its first parameter.
    pub first_parameter: usize,
    /// Number of its parameters.
    pub parameter_count: usize,
    /// Index of its first element in a sequence's state.
    pub first_state: usize,
}

impl<E: Element> Clone for LayerSlot<E> {
    fn clone(&self) -> Self {
        Self {
            spec: self.spec.clone(),
            layer: Arc::clone(&self.layer),
            tensors: self.tensors.clone(),
            ..*self
        }
    }
}

impl<E: Element> LayerSlot<E> {
    /// Where its parameters are in the flat buffer.
    pub fn parameters(&self) -> Range<usize> {
        self.first_parameter..self.first_parameter + self.parameter_count
    }

    /// Columns of its parameters; 0 where it has none.
    pub fn columns(&self) -> usize {
        self.tensors.first().map_or(0, |tensor| tensor.columns)
    }
}

/// See the module's documentation. Networks share it with their sessions, and copy it before they change it.
#[derive(Debug)]
pub struct Model<E: Element> {
    pub tier: Tier,
    pub input_size: usize,
    pub output: Output,
    pub places: Vec<LayerSlot<E>>,
    pub state_size: usize,
    pub parameters: Buffer<E>,
    /// What each layer reads to run forward: its matrices one above the other as one, if it has any.
    pub weights: Vec<Vec<Packed<E>>>,
    pub standardization: Option<Standardization<E>>,
    /// Of as many classes as there are outputs, or none. Copies share them, so that they stay where they are.
    pub class_names: Arc<ClassNames>,
}

impl<E: Element> Model<E> {
    pub fn new(tier: Tier, input_size: usize) -> Result<Self> {
        shape::expect_nonzero("input_size", input_size)?;
        shape::product("an input", &[input_size])?;
        Ok(Self {
            tier,
            input_size,
            output: Output::default(),
            places: Vec::new(),
            state_size: 0,
            parameters: Buffer::new(),
            weights: Vec::new(),
            standardization: None,
            class_names: Arc::default(),
        })
    }

    /// Features of the output.
    pub fn output_size(&self) -> usize {
        self.places
            .last()
            .map_or(self.input_size, |place| place.layer.outputs())
    }

    /// Number of layers that run over whole sequences: those behind them, if any, need the last step only.
    pub fn sequence_layers(&self) -> usize {
        match self.output {
            Output::All => self.places.len(),
            Output::Last => self
                .places
                .iter()
                .rposition(|place| place.layer.state_size() > 0)
                .map_or(0, |last| last + 1),
        }
    }

    /// Number of parameters once a layer of this kind is added.
    pub fn parameter_count_with(&self, spec: &LayerSpec) -> Result<usize> {
        let mut total = self.parameters.len();
        let layer = spec.build::<E>(self.output_size());
        for tensor in layer.tensors() {
            let what = "the parameters of a layer";
            let len = shape::product(what, &[tensor.rows, tensor.columns])?;
            total = shape::sum(what, &[total, len])?;
        }
        Ok(total)
    }

    /// Adds a layer whose settings have been checked; its parameters are 0. On an error the model is as it was.
    pub fn add(&mut self, spec: LayerSpec) -> Result<()> {
        self.add_with(spec, |_, _| Ok(()))
    }

    /// As [`Self::add`], with the parameters that `start` makes of zeros for the layer's tensors.
    pub fn add_with(
        &mut self,
        spec: LayerSpec,
        start: impl FnOnce(&[Tensor], &mut [E]) -> Result<()>,
    ) -> Result<()> {
        let total = self.parameter_count_with(&spec)?;
        let layer: Arc<dyn Layer<E>> = Arc::from(spec.build(self.output_size()));
        let first_parameter = self.parameters.len();
        let state_size = shape::sum("the state", &[self.state_size, layer.state_size()])?;
        let mut values = Buffer::zeroed("the parameters", total - first_parameter)?;
        let tensors = layer.tensors();
        start(&tensors, &mut values)?;
        let mut weights = Vec::new();
        pack_forward(self.tier, &tensors, &values, &mut weights)?;
        self.parameters.resize("the parameters", total)?;
        self.parameters[first_parameter..].copy_from_slice(&values);
        self.weights.push(weights);
        self.places.push(LayerSlot {
            spec,
            tensors,
            first_parameter,
            parameter_count: total - first_parameter,
            first_state: self.state_size,
            layer,
        });
        self.state_size = state_size;
        if self.class_names.len() != self.output_size() {
            self.class_names = Arc::default();
        }
        Ok(())
    }

    /// Packs the parameters again. Allocates nothing: a layer's packed shapes never change.
    pub fn pack(&mut self) -> Result<()> {
        for (place, weights) in self.places.iter().zip(&mut self.weights) {
            let parameters = &self.parameters[place.parameters()];
            pack_forward(self.tier, &place.tensors, parameters, weights)?;
        }
        Ok(())
    }

    /// The parameters of a layer.
    pub fn layer_parameters(&self, index: usize) -> &[E] {
        &self.parameters[self.places[index].parameters()]
    }

    /// Widths and leads, in elements and rows, of the regions of an arena: the input, and the first `layers` layers, of which
    /// the recurrent ones have a lead of `batch` rows.
    pub fn regions(
        &self,
        layers: usize,
        batch: usize,
    ) -> impl ExactSizeIterator<Item = (usize, usize)> + Clone {
        (0..layers + 1).map(move |region| match region.checked_sub(1) {
            None => (self.input_size, 0),
            Some(layer) => {
                let layer = &self.places[layer].layer;
                let lead = if layer.state_size() > 0 { batch } else { 0 };
                (layer.row_size(), lead)
            }
        })
    }

    /// The number of shards that a batch is cut into for so many threads: one where there are too few sequences, or where
    /// threads had better share the units of the largest layer.
    pub fn shards(&self, batch: usize, threads: usize) -> usize {
        if threads > 1 && self.splits_units(batch, threads) {
            return 1;
        }
        // Of sequences of one length; else a shard of long ones has fewer rows. Each step waits for the one before it, so a
        // shard of fewer would take as long.
        threads.min(batch / ROWS_AS_FAST_AS_ONE).max(1)
    }

    /// Whether threads share the units of the largest layer that runs over whole sequences.
    pub fn splits_units(&self, batch: usize, threads: usize) -> bool {
        let places = self.places[..self.sequence_layers()].iter();
        let largest = places.max_by_key(|place| place.parameter_count);
        largest.is_some_and(|place| place.layer.splits_units(batch, threads))
    }

    /// Floating-point operations of one step of one sequence, forward.
    pub fn operations(&self) -> usize {
        self.parameters.len().saturating_mul(2)
    }

    /// The layer and the tensor that parameter `index` belongs to, and its index in that tensor.
    pub fn parameter_place(&self, index: usize) -> Option<(usize, Tensor, usize)> {
        let holds = |place: &LayerSlot<E>| place.parameters().contains(&index);
        let layer = self.places.iter().position(holds)?;
        let mut index = index - self.places[layer].first_parameter;
        for &tensor in &self.places[layer].tensors {
            if index < tensor.len() {
                return Some((layer, tensor, index));
            }
            index -= tensor.len();
        }
        None
    }

    /// The same model in `f64`.
    pub fn to_f64(&self) -> Result<Model<f64>> {
        let mut copy = Model::new(self.tier, self.input_size)?;
        for place in &self.places {
            copy.add(place.spec.clone())?;
        }
        for (to, from) in copy.parameters.iter_mut().zip(&self.parameters[..]) {
            *to = from.to_f64();
        }
        copy.output = self.output;
        copy.standardization = self.copy_standardization()?;
        copy.class_names = Arc::clone(&self.class_names);
        copy.pack()?;
        Ok(copy)
    }

    fn copy_standardization<F: Element>(&self) -> Result<Option<Standardization<F>>> {
        let standardization = self.standardization.as_ref();
        standardization.map(Standardization::try_clone).transpose()
    }

    /// A copy that shares nothing that changes.
    pub fn try_clone(&self) -> Result<Self> {
        let mut copy = Self {
            tier: self.tier,
            input_size: self.input_size,
            output: self.output,
            places: self.places.clone(),
            state_size: self.state_size,
            parameters: self.parameters.try_clone("the parameters")?,
            weights: try_vec("the packed weights", self.places.len())?,
            standardization: self.copy_standardization()?,
            class_names: Arc::clone(&self.class_names),
        };
        copy.weights.resize_with(self.places.len(), Vec::new);
        copy.pack()?;
        Ok(copy)
    }
}

/// Packs the matrices of a layer as they lie in its parameters, one above the other: so a row of x_t and h_{t-1} meets both
/// in one product.
fn pack_forward<E: Element>(
    tier: Tier,
    tensors: &[Tensor],
    parameters: &[E],
    weights: &mut Vec<Packed<E>>,
) -> Result<()> {
    let Some(&Tensor { columns, .. }) = tensors.first() else {
        return Ok(());
    };
    let matrices = tensors.iter().filter(|tensor| tensor.is_matrix());
    let depth = matrices.map(|tensor| tensor.rows).sum();
    if weights.is_empty() {
        try_reserve(PACKED, weights, 1)?;
        weights.push(Packed::new());
    }
    weights[0].shape(PACKED, tier, depth, columns)?;
    weights[0].pack(0, depth, parameters, Source::rows(columns));
    Ok(())
}
