//! Networks that other systems have trained.

mod arrays;
mod description;
mod json;
mod nam;
mod onnx;
mod pytorch;
mod rtneural;

use std::io;
use std::path::{Path, PathBuf};

use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::{LayerSpec, Tensor};
use crate::model::{Model, Output};
use crate::save::{Contents, fault, load_file};
use crate::simd::Tier;
use crate::{Element, Error, Network, Result, in_engine_mode};
use description::Description;

/// What the file of another system does not say.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// JSON, an object, about a state dict. Of other formats, which say the rest, only `"output"` is looked at; of elman's own
    /// files, nothing. All of it may be missing:
    ///
    /// - `"output"`: `"all"` (the default) or `"last"`, as [`Network::set_output`] has it;
    /// - `"input_size"`: the features of a step where an embedding takes some of them;
    /// - `"layers"`: the order of the layers, an array. One that has weights in the file is `{"module": "encoder.lstm"}`: the
    ///   name that its tensors have in common. A plain recurrent layer may have an `"activation"`, by default `"tanh"`;
    ///   a dense one too, by default `"linear"`: `"relu"`, `"sigmoid"`, `{"leaky_relu": {"alpha": 0.01}}` and the others of
    ///   [`Activation`](crate::Activation); a layer norm `"epsilon"`, by default 1e-5; an embedding has its `"columns"`, which
    ///   tell it from a dense layer without a bias.
    ///   A layer without weights is as in the files of [`Network::save`]: `{"kind": "dropout", "rate": 0.1}`,
    ///   `{"kind": "activation", "activation": "relu"}`, `{"kind": "concat", "layers": [0, 1]}`,
    ///   `{"kind": "residual", "layer": 0}`.
    ///
    /// None: [`Network::import`] looks for it in a file beside that of the network, whose name has `.description.json` behind
    /// the other's: `model.safetensors.description.json`. Where there is none, nothing is said.
    pub description: Option<String>,
}

impl<E: Element> Network<E> {
    /// Reads a network that another system has trained. The format is recognised by the contents:
    ///
    /// - state dicts of PyTorch as safetensors, with modules `RNN`, `LSTM` (also with `proj_size`), `GRU` (stacked,
    ///   bidirectional, with or without biases), their cells, `Linear`, `Embedding` and `LayerNorm`, whatever the names in front of
    ///   theirs; elements of the types F32, F64, F16 and BF16, rounded to `E`;
    /// - state dicts of PyTorch as JSON, an object of arrays under the same names: RTNeural's tools write it; and the models of
    ///   Automated-GuitarAmpModelling (GuitarML), with `skip`;
    /// - RTNeural's JSON of Keras models with layers `dense`, `time-distributed-dense`, `lstm`, `gru` and `activation`, and that of
    ///   AIDA-X with `in_skip`, `in_gain` and `out_gain`;
    /// - Neural Amp Modeler's `.nam` of the architecture LSTM, with the state that it starts from;
    /// - ONNX files, by PyTorch's exporters, tf2onnx and others: RNN, GRU and LSTM with all of their options, Gemm, MatMul,
    ///   activations, layer norms, embeddings, sums and parts of features, and what puts axes in another order or carries states.
    ///   The first node that is something else is named. Inputs and outputs of the graph that are states are left out: a session,
    ///   or `state_in`, has them;
    /// - the files of [`Self::save`], as [`Self::load`] reads them.
    ///
    /// The two biases of a recurrent layer become one, their sum; the candidate of a GRU keeps both. In what order modules
    /// follow each other is found out where only one order fits their sizes. What is open is in the error, to be said in
    /// [`ImportOptions::description`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] where the file is damaged or of none of these, or has what cannot be taken, with its name,
    /// and where the description is wrong; [`Error::OutOfMemory`]; those of [`Network::new`] about `ELMAN_TIER`.
    pub fn import(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Self> {
        let path = path.as_ref();
        let bytes = load_file(path, "a network")?;
        match beside(path, options)? {
            Some(description) => Self::import_described(&bytes, path, &description),
            None => Self::import_bytes(&bytes, path, options),
        }
    }

    /// [`Self::import`] from the contents of a file; `name` serves the error messages only, and no file lies beside it.
    ///
    /// # Errors
    /// As [`Self::import`], except for [`Error::Io`].
    pub fn import_bytes(
        bytes: &[u8],
        name: impl AsRef<Path>,
        options: &ImportOptions,
    ) -> Result<Self> {
        let name = name.as_ref();
        let description = match &options.description {
            None => Description::default(),
            Some(json) => Description::parse(json.as_bytes())
                .map_err(|message| fault(name, &format!("the description: {message}")))?,
        };
        Self::import_described(bytes, name, &description)
    }

    fn import_described(bytes: &[u8], name: &Path, description: &Description) -> Result<Self> {
        if let Some(text) = json::object(bytes) {
            return Self::of_found(name, || json::read(name, text, description));
        }
        if crate::onnx::is_onnx(bytes) {
            return Self::of_found(name, || onnx::read(name, bytes, description));
        }
        let contents = Contents::parse(bytes, name, TAKEN)?;
        if contents.is_ours() {
            return Self::from_bytes(bytes, name);
        }
        Self::of_found(name, || {
            pytorch::read(name, contents.tensors()?, description)
        })
    }

    fn of_found(name: &Path, read: impl FnOnce() -> Result<Found<E>>) -> Result<Self> {
        let tier = Tier::active()?;
        let model = in_engine_mode(|| read()?.model(tier)).map_err(|error| match error {
            Error::Format { .. } | Error::OutOfMemory { .. } => error,
            // Sizes that no network can have.
            error => fault(name, &error.to_string()),
        })?;
        Self::with_model(model)
    }
}

/// What is taken, for the message about a file that is something else.
const TAKEN: &str = "a state dict of PyTorch as safetensors or JSON, an ONNX graph, a model of RTNeural, AIDA-X, GuitarML \
                     or Neural Amp Modeler as JSON, or a file that elman has saved";

/// The description in the file beside that of a network, if there is one and the options have none.
fn beside(path: &Path, options: &ImportOptions) -> Result<Option<Description>> {
    if options.description.is_some() {
        return Ok(None);
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".description.json");
    let path = PathBuf::from(name);
    match load_file(&path, "a description") {
        Ok(json) => Description::parse(&json)
            .map(Some)
            .map_err(|message| fault(&path, &message)),
        // A name may be too long with what is behind it.
        Err(Error::Io { source, .. })
            if [io::ErrorKind::NotFound, io::ErrorKind::InvalidFilename]
                .contains(&source.kind()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A network as a reader has found it.
struct Found<E> {
    input_size: usize,
    output_size: usize,
    output: Output,
    layers: Vec<FoundLayer<E>>,
}

/// The parameter at a place.
type Parameters<E> = Box<dyn Fn(At<'_>) -> E>;

/// A layer, and where its parameters come from.
struct FoundLayer<E> {
    spec: LayerSpec,
    parameters: Option<Parameters<E>>,
    trainable: bool,
}

impl<E: Element> FoundLayer<E> {
    fn new(spec: LayerSpec, parameters: impl Fn(At<'_>) -> E + 'static) -> Self {
        Self {
            spec,
            parameters: Some(Box::new(parameters)),
            trainable: true,
        }
    }

    /// A layer without parameters.
    fn bare(spec: LayerSpec) -> Self {
        Self {
            spec,
            parameters: None,
            trainable: true,
        }
    }

    /// Sums of so many kinds, which training leaves as they are: each input's share of each.
    fn fixed(sums: usize, share: impl Fn(usize, usize) -> f64 + 'static) -> Self {
        let spec = LayerSpec::Dense {
            units: sums,
            activation: Activation::Linear,
        };
        let mut layer = Self::new(spec, move |at| match at.tensor.role {
            TensorRole::DenseWeight => E::from_f64(share(at.row, at.unit)),
            _ => E::ZERO,
        });
        layer.trainable = false;
        layer
    }
}

/// A place in a layer's parameters.
struct At<'a> {
    tensor: &'a Tensor,
    row: usize,
    /// The gate, in elman's order.
    gate: usize,
    /// The column, counted from the gate's first one.
    unit: usize,
}

impl<E: Element> Found<E> {
    /// Adds the first feature of the `value`-th output (0: the input) to the output of a network that has one.
    fn add_skip(&mut self, file: &Path, value: usize) -> Result<()> {
        if self.output_size != 1 {
            let message = format!("a skip to {} outputs, expected one", self.output_size);
            return Err(fault(file, &message));
        }
        let layers = &mut self.layers;
        if self.input_size == 1 {
            layers.push(FoundLayer::bare(LayerSpec::Residual { layer: value }));
            return Ok(());
        }
        let (last, size) = (layers.len(), self.input_size);
        layers.push(FoundLayer::bare(LayerSpec::Concat {
            layers: vec![value, last],
        }));
        let is_added = move |row: usize| row == 0 || row == size;
        layers.push(FoundLayer::fixed(1, move |row, _| {
            f64::from(u8::from(is_added(row)))
        }));
        Ok(())
    }

    fn model(self, tier: Tier) -> Result<Model<E>> {
        let mut model = Model::new(tier, self.input_size)?;
        model.set_output(self.output);
        for layer in self.layers {
            let FoundLayer {
                spec,
                parameters,
                trainable,
            } = layer;
            model.add_with(spec, |tensors, values| {
                let Some(parameters) = parameters else {
                    return Ok(());
                };
                let mut values = values.iter_mut();
                for tensor in tensors {
                    let units = tensor.columns / tensor.gates;
                    for (index, value) in values.by_ref().take(tensor.len()).enumerate() {
                        let (row, column) = (index / tensor.columns, index % tensor.columns);
                        let (gate, unit) = (column / units, column % units);
                        *value = parameters(At {
                            tensor,
                            row,
                            gate,
                            unit,
                        });
                    }
                }
                Ok(())
            })?;
            let places = model.places.last_mut();
            places.expect("a layer has been added").trainable = trainable;
        }
        model.pack()?;
        Ok(model)
    }
}
