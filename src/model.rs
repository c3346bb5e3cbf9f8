//! What a network is apart from running it: its layers, their parameters and the packed copies that kernels read.

use std::ops::Range;
use std::sync::Arc;

use crate::buffer::{Buffer, try_reserve, try_vec};
use crate::class_names::ClassNames;
use crate::dataset::Standardization;
use crate::kernels::pack::{Packed, Part};
use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::layer::gradients::GradientPart;
use crate::layer::{Layer, LayerSpec, Pack, StatePart, Tensor};
use crate::regions::RegionShape;
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
    /// Its parameters.
    pub tensors: Vec<Tensor>,
    /// The packed copies of them that it reads.
    pub packs: Vec<Pack>,
    /// The parts that their gradients are computed in.
    pub gradient_parts: Vec<GradientPart>,
    /// The parts of its state.
    pub state: Vec<StatePart>,
    /// Its regions in the memory of a forward pass.
    pub regions: Vec<RegionShape>,
    /// As many in that of a backward pass.
    pub gradient_regions: Vec<RegionShape>,
    /// Index of its first region.
    pub region: usize,
    /// Index of its first parameter.
    pub first_parameter: usize,
    /// Number of its parameters.
    pub parameter_count: usize,
    /// Index of its first element in a sequence's state.
    pub first_state: usize,
    /// Whether training changes its parameters.
    pub trainable: bool,
}

impl<E: Element> Clone for LayerSlot<E> {
    fn clone(&self) -> Self {
        Self {
            spec: self.spec.clone(),
            layer: Arc::clone(&self.layer),
            tensors: self.tensors.clone(),
            packs: self.packs.clone(),
            gradient_parts: self.gradient_parts.clone(),
            state: self.state.clone(),
            regions: self.regions.clone(),
            gradient_regions: self.gradient_regions.clone(),
            ..*self
        }
    }
}

impl<E: Element> LayerSlot<E> {
    /// Where its parameters are in the flat buffer.
    pub fn parameters(&self) -> Range<usize> {
        self.first_parameter..self.first_parameter + self.parameter_count
    }

    /// Most columns of its matrices; 0 where it has none.
    pub fn columns(&self) -> usize {
        let matrices = self.tensors.iter().filter(|tensor| tensor.is_matrix());
        matrices.map(|tensor| tensor.columns).max().unwrap_or(0)
    }

    /// Elements of a sequence's state.
    pub fn state_size(&self) -> usize {
        self.state.iter().map(|part| part.size).sum()
    }

    /// The parts of a sequence's state: their regions, their places in the whole state, and their own start among the
    /// layer's parameters.
    pub fn states(&self) -> impl Iterator<Item = (usize, Range<usize>, Option<usize>)> {
        let mut first = self.first_state;
        self.state.iter().map(move |part| {
            let start = first;
            first += part.size;
            (self.region + part.region, start..first, part.own)
        })
    }

    /// Index of the first of a tensor's elements among the layer's parameters.
    pub fn tensor_start(&self, tensor: usize) -> usize {
        self.tensors[..tensor].iter().map(Tensor::len).sum()
    }

    /// What kernels read to run forward, or backward.
    pub fn packs(&self, is_transposed: bool) -> impl Iterator<Item = &Pack> + Clone {
        let packs = self.packs.iter();
        packs.filter(move |pack| pack.is_transposed == is_transposed)
    }

    /// Packs copies of the layer's parameters that have the shape of `pack`.
    pub fn pack(&self, pack: &Pack, parameters: &[E], mut packed: Part<'_, E>) {
        for part in &pack.parts {
            let tensor = &self.tensors[part.tensor];
            let rows = tensor.rows;
            let depth = if pack.is_transposed {
                part.columns.len()
            } else {
                rows
            };
            let values = &parameters[self.tensor_start(part.tensor)..][..tensor.len()];
            packed
                .take_depth(depth)
                .pack(values, pack.source(tensor, part));
        }
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
    /// What each layer reads to run forward.
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
                .rposition(|place| place.state_size() > 0)
                .map_or(0, |last| last + 1),
        }
    }

    /// Number of parameters once a layer of this kind is added.
    pub fn parameter_count_with(&self, spec: &LayerSpec) -> Result<usize> {
        let mut total = self.parameters.len();
        for tensor in spec.build::<E>(self.output_size()).tensors() {
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
        let slot = LayerSlot {
            tensors: layer.tensors(),
            packs: layer.packs(),
            gradient_parts: layer.gradient_parts(),
            state: layer.state(),
            regions: layer.regions(),
            gradient_regions: layer.gradient_regions(),
            region: self.region_count(),
            first_parameter,
            parameter_count: total - first_parameter,
            first_state: self.state_size,
            spec,
            trainable: true,
            layer,
        };
        let own = slot.state.iter().map(|part| part.size);
        let state_size = own.fold(self.state_size, usize::saturating_add);
        shape::product("the state", &[state_size])?;
        let mut values = Buffer::zeroed("the parameters", total - first_parameter)?;
        start(&slot.tensors, &mut values)?;
        let mut weights = Vec::new();
        slot.pack_forward(self.tier, &values, &mut weights)?;
        let layers = self.places.len() + 1;
        try_reserve("the layers", &mut self.places, layers)?;
        try_reserve(PACKED, &mut self.weights, layers)?;
        self.parameters.resize("the parameters", total)?;
        self.parameters[first_parameter..].copy_from_slice(&values);
        self.weights.push(weights);
        self.places.push(slot);
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
            place.pack_forward(self.tier, parameters, weights)?;
        }
        Ok(())
    }

    /// The parameters of a layer.
    pub fn layer_parameters(&self, index: usize) -> &[E] {
        &self.parameters[self.places[index].parameters()]
    }

    /// Number of regions of a pass: that of the input, and those of the layers.
    pub fn region_count(&self) -> usize {
        self.places
            .last()
            .map_or(1, |place| place.region + place.regions.len())
    }

    /// The regions of a pass over whole sequences.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = RegionShape> + Clone {
        let input = RegionShape::window(self.input_size);
        let layers = &self.places[..self.sequence_layers()];
        Regions::new(input, layers, |place| &place.regions)
    }

    /// The regions of all layers.
    pub fn all_regions(&self) -> impl ExactSizeIterator<Item = RegionShape> + Clone {
        let input = RegionShape::window(self.input_size);
        Regions::new(input, &self.places, |place| &place.regions)
    }

    /// Those of its gradients.
    pub fn gradient_regions(&self) -> impl ExactSizeIterator<Item = RegionShape> + Clone {
        let input = RegionShape::window(self.input_size);
        let layers = &self.places[..self.sequence_layers()];
        Regions::new(input, layers, |place| &place.gradient_regions)
    }

    /// The region of a layer's input.
    pub fn input_region(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            None => 0,
            Some(before) => self.places[before].region,
        }
    }

    /// The first region of the layers behind the last one that runs over whole sequences: that of its output.
    pub fn head_region(&self) -> usize {
        match self.sequence_layers().checked_sub(1) {
            None => 0,
            Some(last) => self.places[last].region,
        }
    }

    /// Whether an output depends on later steps.
    pub fn looks_ahead(&self) -> bool {
        self.places.iter().any(|place| place.layer.looks_ahead())
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

    /// The first layer that has parameters to be trained; their number where none has.
    pub fn first_trainable(&self) -> usize {
        let trains = |place: &LayerSlot<E>| place.trainable && place.parameter_count > 0;
        self.places
            .iter()
            .position(trains)
            .unwrap_or(self.places.len())
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
        for (to, from) in copy.places.iter_mut().zip(&self.places) {
            to.trainable = from.trainable;
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
            places: try_vec("the layers", self.places.len())?,
            state_size: self.state_size,
            parameters: self.parameters.try_clone("the parameters")?,
            weights: try_vec(PACKED, self.places.len())?,
            standardization: self.copy_standardization()?,
            class_names: Arc::clone(&self.class_names),
        };
        copy.places.extend(self.places.iter().cloned());
        copy.weights.resize_with(self.places.len(), Vec::new);
        copy.pack()?;
        Ok(copy)
    }
}

impl<E: Element> LayerSlot<E> {
    /// Packs what the layer reads to run forward.
    fn pack_forward(
        &self,
        tier: Tier,
        parameters: &[E],
        weights: &mut Vec<Packed<E>>,
    ) -> Result<()> {
        let packs = self.packs(false);
        try_reserve(PACKED, weights, packs.clone().count())?;
        weights.resize_with(packs.clone().count(), Packed::new);
        for (pack, packed) in packs.zip(weights) {
            let (depth, columns) = pack.size(&self.tensors);
            packed.shape_groups(PACKED, tier, depth, columns, pack.groups)?;
            self.pack(pack, parameters, packed.part());
        }
        Ok(())
    }
}

/// The regions of an input and of some layers.
#[derive(Clone)]
struct Regions<'a, E: Element> {
    input: Option<RegionShape>,
    layers: &'a [LayerSlot<E>],
    /// Those of the first layer that are done.
    done: usize,
    of: fn(&LayerSlot<E>) -> &[RegionShape],
}

impl<'a, E: Element> Regions<'a, E> {
    fn new(
        input: RegionShape,
        layers: &'a [LayerSlot<E>],
        of: fn(&LayerSlot<E>) -> &[RegionShape],
    ) -> Self {
        Self {
            input: Some(input),
            layers,
            done: 0,
            of,
        }
    }
}

impl<E: Element> Iterator for Regions<'_, E> {
    type Item = RegionShape;

    fn next(&mut self) -> Option<RegionShape> {
        if let Some(input) = self.input.take() {
            return Some(input);
        }
        let (first, rest) = self.layers.split_first()?;
        let shape = (self.of)(first)[self.done];
        self.done += 1;
        if self.done == first.regions.len() {
            (self.layers, self.done) = (rest, 0);
        }
        Some(shape)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let regions = self.layers.iter().map(|layer| layer.regions.len());
        let len = regions.sum::<usize>() - self.done + usize::from(self.input.is_some());
        (len, Some(len))
    }
}

impl<E: Element> ExactSizeIterator for Regions<'_, E> {}
