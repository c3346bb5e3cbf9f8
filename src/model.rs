//! What a network is apart from running it: its layers, their parameters and the packed copies that kernels read.

use std::ops::Range;
use std::sync::Arc;

use crate::buffer::{Buffer, try_reserve, try_vec};
use crate::class_names::ClassNames;
use crate::dataset::Standardization;
use crate::kernels::pack::{Packed, Part};
use crate::layer::embedding::is_index;
use crate::layer::gradients::GradientPart;
use crate::layer::{Input, Layer, LayerSpec, Pack, StatePart, Tensor};
use crate::regions::RegionShape;
use crate::simd::Tier;
use crate::{Element, Error, Result, shape};

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
    /// What it reads.
    pub inputs: Vec<Input>,
    /// The regions of that.
    pub input_regions: InputRegions,
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

/// The regions of a layer's inputs.
#[derive(Clone, Debug, Default)]
pub struct InputRegions {
    /// In passes that train.
    pub training: Vec<usize>,
    /// In those that don't, where layers that only train are left out.
    pub predict: Vec<usize>,
    /// In sessions, where moreover all layers run over all steps.
    pub session: Vec<usize>,
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
            inputs: self.inputs.clone(),
            input_regions: self.input_regions.clone(),
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

/// What layers read: the network's input, or the output of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// Features of a step.
    pub size: usize,
    /// Its region.
    pub region: usize,
    /// Whether a layer reads it that runs over as many steps.
    pub is_read: bool,
    /// Whether a layer reads what is gathered of it: the last steps.
    pub is_gathered: bool,
    /// The value that it is where layers that only train are left out.
    resolved: usize,
}

/// A column of the input that is an index.
#[derive(Clone, Copy, Debug)]
pub struct IndexColumn {
    /// The column.
    pub column: usize,
    /// The index is below.
    pub classes: usize,
}

/// See the module's documentation. Networks share it with their sessions, and copy it before they change it.
#[derive(Debug)]
pub struct Model<E: Element> {
    pub tier: Tier,
    pub input_size: usize,
    /// To be set by [`Self::set_output`].
    pub output: Output,
    pub places: Vec<LayerSlot<E>>,
    /// The input, then the output of each layer.
    pub values: Vec<Value>,
    /// The columns of the input that are indices.
    pub indices: Vec<IndexColumn>,
    /// Number of the parameters that steps look up instead of multiplying by them.
    table_parameters: usize,
    /// Number of layers up to the last recurrent one.
    recurrent_layers: usize,
    pub state_size: usize,
    pub parameters: Buffer<E>,
    /// What each layer reads to run forward.
    pub weights: Vec<Vec<Packed<E>>>,
    /// To be set by [`Self::set_standardization`].
    pub standardization: Option<Standardization<E>>,
    /// The same without the columns that are indices, where there are such.
    standardization_beside: Option<Standardization<E>>,
    /// Of as many classes as there are outputs, or none. Copies share them, so that they stay where they are.
    pub class_names: Arc<ClassNames>,
}

impl<E: Element> Model<E> {
    pub fn new(tier: Tier, input_size: usize) -> Result<Self> {
        shape::expect_nonzero("input_size", input_size)?;
        shape::product("an input", &[input_size])?;
        let mut values = try_vec("the layers", 1)?;
        values.push(Value {
            size: input_size,
            region: 0,
            is_read: false,
            is_gathered: true,
            resolved: 0,
        });
        Ok(Self {
            tier,
            input_size,
            output: Output::default(),
            places: Vec::new(),
            values,
            indices: Vec::new(),
            table_parameters: 0,
            recurrent_layers: 0,
            state_size: 0,
            parameters: Buffer::new(),
            weights: Vec::new(),
            standardization: None,
            standardization_beside: None,
            class_names: Arc::default(),
        })
    }

    /// Features of the output.
    pub fn output_size(&self) -> usize {
        self.values[self.places.len()].size
    }

    /// The sizes of all values.
    fn sizes(&self) -> Vec<usize> {
        self.values.iter().map(|value| value.size).collect()
    }

    /// Features of all inputs of a layer together. Those that a residual layer adds count once.
    pub fn input_size_of(&self, place: &LayerSlot<E>) -> usize {
        match place.spec {
            LayerSpec::Concat { .. } => place.layer.outputs(),
            _ => self.values[place.inputs[0].value].size,
        }
    }

    /// Makes the network standardise its inputs, but for the columns that are indices. On an error the model is as it was.
    pub fn set_standardization(
        &mut self,
        standardization: Option<Standardization<E>>,
    ) -> Result<()> {
        self.standardization_beside = beside(standardization.as_ref(), &self.indices)?;
        self.standardization = standardization;
        Ok(())
    }

    /// What is done to the inputs.
    pub fn input_map(&self) -> Option<&Standardization<E>> {
        let beside = self.standardization_beside.as_ref();
        beside.or(self.standardization.as_ref())
    }

    /// Checks the indices in a step of the network's input.
    ///
    /// # Errors
    /// [`Error::Index`]
    pub fn check_indices(&self, row: &[E], sequence: usize, step: usize) -> Result<()> {
        for &IndexColumn { column, classes } in &self.indices {
            if !is_index(row[column], classes) {
                return Err(Error::Index {
                    sequence,
                    step,
                    column,
                    value: row[column].to_f64(),
                    classes,
                });
            }
        }
        Ok(())
    }

    /// Sets what the network gives for a sequence.
    pub fn set_output(&mut self, output: Output) {
        self.output = output;
        self.connect();
    }

    /// Number of layers that run over whole sequences: those behind them, if any, need the last step only.
    pub fn sequence_layers(&self) -> usize {
        match self.output {
            Output::All => self.places.len(),
            Output::Last => self.recurrent_layers,
        }
    }

    /// Number of parameters once a layer is added whose settings have been checked.
    pub fn parameter_count_with(&self, spec: &LayerSpec) -> Result<usize> {
        let sizes = self.sizes();
        spec.check_place(&sizes, self.places.iter().map(|place| &place.spec))?;
        let mut total = self.parameters.len();
        for tensor in spec.build_among::<E>(&sizes).tensors() {
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
        let layer: Arc<dyn Layer<E>> = Arc::from(spec.build_among(&self.sizes()));
        let inputs = spec.inputs(self.places.len());
        let first_parameter = self.parameters.len();
        let slot = LayerSlot {
            tensors: layer.tensors(),
            packs: layer.packs(),
            gradient_parts: layer.gradient_parts(),
            state: layer.state(),
            regions: layer.regions(),
            gradient_regions: layer.gradient_regions(),
            input_regions: InputRegions {
                training: inputs.clone(),
                predict: inputs.clone(),
                session: inputs.clone(),
            },
            inputs: inputs
                .into_iter()
                .map(|value| Input { value, adds: false })
                .collect(),
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
        let count = self.values.len() + 1;
        try_reserve("the layers", &mut self.values, count)?;
        let mut indices = self.indices.clone();
        let mut table_parameters = self.table_parameters;
        if let LayerSpec::Embedding {
            columns, classes, ..
        } = &slot.spec
        {
            let specs = self.places.iter().map(|place| &place.spec);
            for &column in columns {
                let column = LayerSpec::input_column(specs.clone(), self.output_size(), column)?;
                indices.push(IndexColumn {
                    column,
                    classes: *classes,
                });
            }
            table_parameters += slot.parameter_count;
        }
        let standardization_beside = beside(self.standardization.as_ref(), &indices)?;
        self.parameters.resize("the parameters", total)?;
        self.parameters[first_parameter..].copy_from_slice(&values);
        self.weights.push(weights);
        let resolved = if slot.layer.trains_only() {
            self.values[slot.inputs[0].value].resolved
        } else {
            self.values.len()
        };
        self.values.push(Value {
            size: slot.layer.outputs(),
            region: slot.region,
            is_read: false,
            is_gathered: false,
            resolved,
        });
        if !slot.state.is_empty() {
            self.recurrent_layers = self.places.len() + 1;
        }
        self.places.push(slot);
        self.connect_last();
        self.state_size = state_size;
        self.indices = indices;
        self.standardization_beside = standardization_beside;
        self.table_parameters = table_parameters;
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

    /// Finds out who reads what, which depends on the layers and on whether some of them see the last step only.
    fn connect(&mut self) {
        let layers = self.sequence_layers();
        for value in &mut self.values {
            (value.is_read, value.is_gathered) = (false, false);
        }
        if self.output == Output::Last && layers == self.places.len() {
            self.values[layers].is_gathered = true;
        }
        // Backward, the last layer that reads a value is the first to store a gradient of it.
        for index in (0..self.places.len()).rev() {
            for input in 0..self.places[index].inputs.len() {
                self.connect_input(index, input, layers);
            }
        }
    }

    /// As [`Self::connect`] where all is connected but the last layer: what that alone reads costs no look at the others.
    fn connect_last(&mut self) {
        let (layers, index) = (self.sequence_layers(), self.places.len() - 1);
        if self.output == Output::Last && layers == index {
            // It was the last output of all.
            self.values[layers].is_gathered = false;
        }
        let mut inputs = self.places[index].inputs.iter();
        let is_end = self.output == Output::Last && layers > index;
        if is_end || inputs.any(|input| self.is_seen(input.value, index, layers)) {
            return self.connect();
        }
        for input in 0..self.places[index].inputs.len() {
            self.connect_input(index, input, layers);
        }
    }

    /// Whether a layer that runs as this one does reads a value already.
    fn is_seen(&self, value: usize, index: usize, layers: usize) -> bool {
        let across = index >= layers && value <= layers;
        let value = &self.values[value];
        if across {
            value.is_gathered
        } else {
            value.is_read
        }
    }

    fn connect_input(&mut self, index: usize, input: usize, layers: usize) {
        let number = self.places[index].inputs[input].value;
        let across = index >= layers && number <= layers;
        let seen = self.resolved(number, if index < layers { 0 } else { layers });
        let predict_region = self.values[seen].region;
        let session_region = self.values[self.resolved(number, 0)].region;
        let adds = self.is_seen(number, index, layers);
        let value = &mut self.values[number];
        let region = value.region;
        if across {
            value.is_gathered = true;
        } else {
            value.is_read = true;
        }
        let place = &mut self.places[index];
        place.inputs[input].adds = adds;
        place.input_regions.training[input] = region;
        place.input_regions.predict[input] = predict_region;
        place.input_regions.session[input] = session_region;
    }

    /// The value that a value is where layers that only train are left out: of those behind the first `floor`.
    pub fn resolved(&self, mut value: usize, floor: usize) -> usize {
        if self.values[value].resolved >= floor {
            return self.values[value].resolved;
        }
        while value > floor && self.places[value - 1].layer.trains_only() {
            value = self.places[value - 1].inputs[0].value;
        }
        value
    }

    /// The region of the last output in a pass.
    pub fn output_region(&self, trains: bool) -> usize {
        let floor = match self.output {
            Output::Last => self.sequence_layers(),
            Output::All => 0,
        };
        let last = self.places.len();
        let value = if trains {
            last
        } else {
            self.resolved(last, floor)
        };
        self.values[value].region
    }

    /// The values of which the layers behind the last one that runs over whole sequences read the last step.
    pub fn gathered(&self) -> impl Iterator<Item = usize> {
        let values = self.values.iter().enumerate();
        values.filter_map(|(value, kept)| kept.is_gathered.then_some(value))
    }

    /// Whether an output depends on later steps.
    pub fn looks_ahead(&self) -> bool {
        self.places.iter().any(|place| place.layer.looks_ahead())
    }

    /// Floating-point operations of one step of one sequence, forward.
    pub fn operations(&self) -> usize {
        self.multiplied_parameters().saturating_mul(2)
    }

    /// Number of the parameters that each step needs: all but those that are looked up.
    pub fn multiplied_parameters(&self) -> usize {
        self.parameters.len() - self.table_parameters
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
    #[cfg(feature = "f64")]
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
        copy.set_output(self.output);
        copy.set_standardization(copied(self.standardization.as_ref())?)?;
        copy.class_names = Arc::clone(&self.class_names);
        copy.pack()?;
        Ok(copy)
    }

    /// A copy that shares nothing that changes.
    pub fn try_clone(&self) -> Result<Self> {
        let mut copy = Self {
            tier: self.tier,
            input_size: self.input_size,
            output: self.output,
            places: try_vec("the layers", self.places.len())?,
            values: self.values.clone(),
            indices: self.indices.clone(),
            table_parameters: self.table_parameters,
            recurrent_layers: self.recurrent_layers,
            state_size: self.state_size,
            parameters: self.parameters.try_clone("the parameters")?,
            weights: try_vec(PACKED, self.places.len())?,
            standardization: copied(self.standardization.as_ref())?,
            standardization_beside: copied(self.standardization_beside.as_ref())?,
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
            packed.resize(PACKED, tier, pack.shape(&self.tensors))?;
            self.pack(pack, parameters, packed.part());
        }
        Ok(())
    }
}

fn copied<E: Element, F: Element>(
    standardization: Option<&Standardization<E>>,
) -> Result<Option<Standardization<F>>> {
    standardization.map(Standardization::try_clone).transpose()
}

/// A standardization that leaves these columns as they are; None where there are no such, or there is none.
fn beside<E: Element>(
    standardization: Option<&Standardization<E>>,
    indices: &[IndexColumn],
) -> Result<Option<Standardization<E>>> {
    let columns = indices.iter().map(|index| index.column);
    match standardization {
        Some(all) if !indices.is_empty() => all.without(columns).map(Some),
        _ => Ok(None),
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
