//! Networks and optimizers in files: the safetensors format, with the names and shapes that PyTorch gives such layers.

mod foreign;
#[cfg(feature = "import")]
mod onnx;
mod optimizer;
mod read;
mod state_dict;
mod value;
mod write;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::Path;

use safetensors::tensor::Dtype;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::buffer::try_vec;
use crate::init::TensorRole;
use crate::layer::{Layer, LayerSpec, Tensor};
use crate::model::{Model, Output};
use crate::network::Position;
use crate::simd::Tier;
use crate::{Element, Error, Network, Result, in_engine_mode, shape};
pub(crate) use read::Contents;
#[cfg(feature = "import")]
pub(crate) use read::Numbers;
pub(crate) use value::Unambiguous;
use write::{Image, replace};

impl<E: Element> Network<E> {
    /// Writes the network to a file: its layers and which of them are frozen, parameters, output mode, standardization and
    /// class names, its seed, and how many epochs and passes it has trained. Gradients and the number of threads are not part of it.
    ///
    /// The file is a [safetensors](https://github.com/huggingface/safetensors) file. The k-th recurrent layer, counted
    /// from 0, has the tensors of a layer of `torch.nn.RNN`, `GRU` or `LSTM`: `weight_ih_l{k}` `[gates * units][input]`,
    /// `weight_hh_l{k}` `[gates * units][units]`, `bias_ih_l{k}` `[gates * units]` and `bias_hh_l{k}`, which is 0 but for the
    /// candidate of a GRU; of the reverse direction with `_reverse` behind the name, and what only some cells have as
    /// `weight_hr_l{k}`, `peephole_l{k}`, `h0_l{k}`, `c0_l{k}`. The k-th dense layer has
    /// those of a `torch.nn.Linear`: `linear{k}.weight` `[units][input]` and `linear{k}.bias` `[units]`, the k-th layer norm
    /// those of a `torch.nn.LayerNorm`: `norm{k}.weight` and `norm{k}.bias` `[features]`, the k-th embedding that of a
    /// `torch.nn.Embedding`: `embedding{k}.weight` `[classes][size]`. The standardization is `standardization.mean` and `standardization.deviation` `[input_size]`. Elements are `F32` or
    /// `F64`, as in the network. What the tensors don't tell is JSON under the key `elman` of the metadata.
    ///
    /// The same network gives the same bytes. A file that is already there is replaced as a whole or, after an error or
    /// a crash, not at all; a symbolic link is followed. The same holds for a power failure; on Unix one that comes after
    /// this has returned leaves the new file. A process that is killed may leave a file `.elman-*.tmp` in the same
    /// directory.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written, [`Error::Format`] where `path` is something else than a file,
    /// [`Error::OutOfRange`] for a network of more layers than a file can describe (tens of thousands).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let image = Image::new(self.model(), self.position())?;
        save_file(path.as_ref(), |file| image.write(file))
    }

    /// The contents of the file that [`Self::save`] writes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] as there, [`Error::OutOfMemory`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Image::new(self.model(), self.position())?.to_bytes()
    }

    /// Number of bytes that [`Self::to_bytes`] gives.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] as with [`Self::save`].
    pub fn saved_len(&self) -> Result<usize> {
        Ok(Image::new(self.model(), self.position())?.len())
    }

    /// Writes the contents of the file that [`Self::save`] writes to the start of `bytes`, which may be longer. Returns their
    /// number.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] as with [`Self::save`]; [`Error::Length`] where `bytes` is too short, which is then as it was.
    pub fn write_bytes(&self, mut bytes: &mut [u8]) -> Result<usize> {
        let image = Image::new(self.model(), self.position())?;
        if bytes.len() < image.len() {
            shape::expect_len("bytes", bytes.len(), image.len())?;
        }
        match image.write(&mut bytes) {
            Ok(()) => Ok(image.len()),
            Err(_) => unreachable!("there is room"),
        }
    }

    /// Reads a network from a file that [`Self::save`] has written, or whose tensors other software has changed since.
    ///
    /// An `f64` network can be read from `F32` tensors, exactly; an `f32` one can't be read from `F64`. The bias of a
    /// recurrent layer is the sum of its two tensors (where `bias_hh` is 0: `bias_ih`, bit for bit). Parameters may be
    /// infinite or NaN. All else is checked before anything of the network's size is allocated.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Format`] where it is damaged or not one of ours, with what
    /// was found and expected (of the files of PyTorch, Keras, ONNX, NumPy and some more, what they are);
    /// [`Error::OutOfMemory`]; those of [`Network::new`] about `ELMAN_TIER`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&load_file(path, WHAT)?, path)
    }

    /// Reads a network from the contents of a file as [`Self::load`] does; `name` serves the error messages only.
    ///
    /// # Errors
    /// As [`Self::load`], except for [`Error::Io`].
    pub fn from_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<Self> {
        let name = name.as_ref();
        // The numbers of the header are read, and biases added.
        let read = || Contents::parse(bytes, name, OURS)?.model(Tier::active()?);
        let (model, position) = in_engine_mode(read)?;
        let mut network = Self::with_model(model)?;
        network.set_position(position);
        Ok(network)
    }
}

/// Replaces the file at `path`, or makes one, as [`Network::save`] says.
fn save_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(fault(path, NOT_A_FILE));
    }
    replace(path, write).map_err(|source| io_error(path, source))
}

/// What is in the file at `path`.
pub(crate) fn load_file(path: &Path, what: &'static str) -> Result<Vec<u8>> {
    let io_error = |source| io_error(path, source);
    // Before it is opened: that would wait for the other end of a pipe.
    if !fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(fault(path, NOT_A_FILE));
    }
    let file = File::open(path).map_err(io_error)?;
    // Of the open file: the path may lead to another one by now.
    let length = file.metadata().map_err(io_error)?.len();
    let mut bytes = try_vec(what, usize::try_from(length).unwrap_or(usize::MAX))?;
    file.take(length)
        .read_to_end(&mut bytes)
        .map_err(io_error)?;
    Ok(bytes)
}

const WHAT: &str = "a saved network";
/// What a file of a network or an optimizer is.
const OURS: &str = "a safetensors file that elman has saved";
const NOT_A_FILE: &str = "not a regular file, expected one";

/// Most bytes of a header, or of a description beside a file. Parsing takes a multiple of them, and allocates in ways that can abort.
pub(crate) const HEADER_LIMIT: usize = 4 << 20;

/// Most characters of a message: it may quote what is in the file.
const MESSAGE_LIMIT: usize = 400;

const MEAN: &str = "standardization.mean";
const DEVIATION: &str = "standardization.deviation";

/// The key of our metadata.
const KEY: &str = "elman";

/// The version of [`Architecture`] and of the tensors' names and layout.
const VERSION: u32 = 1;

/// The metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Architecture {
    version: u32,
    /// The version of the library that wrote the file, for people.
    library: String,
    input_size: usize,
    output: Output,
    standardized: bool,
    /// The names of the classes, if they have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    #[serde(deserialize_with = "layers")]
    layers: Vec<LayerSpec>,
    /// Those that training leaves alone, if any, from the input on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<usize>,
    /// Missing in the files of early versions.
    #[serde(default)]
    training: Position,
}

/// Layers, from values: what serde derives to read one is large, and descriptions of imports hold values.
fn layers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<LayerSpec>, D::Error> {
    let values = Vec::<Unambiguous>::deserialize(deserializer)?.into_iter();
    values
        .map(|Unambiguous(value)| serde_json::from_value(value).map_err(D::Error::custom))
        .collect()
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What the file has of a tensor: its transpose, but for that of an embedding.
struct Entry {
    /// What it does in its layer; None outside layers.
    role: Option<TensorRole>,
    name: String,
    /// A second tensor of the same shape: 0 when it is written, added when it is read.
    addend: Option<String>,
    shape: Vec<usize>,
    /// Zeros in front of it; when it is read, what there is there is added to the tensor before.
    padding: usize,
}

impl Entry {
    /// Of a tensor of the k-th layer of its kind. Of a GRU whose reset acts after the product, the second bias is that of the
    /// candidate alone; those of the gates are part of the first.
    fn new(tensor: &Tensor, k: usize, has_candidate_bias: bool) -> Self {
        let k = format!("l{k}{}", if tensor.is_reverse { "_reverse" } else { "" });
        let mut padding = 0;
        let (vector, matrix) = (vec![tensor.columns], vec![tensor.columns, tensor.rows]);
        let (name, shape) = match tensor.role {
            TensorRole::InputWeight => (format!("weight_ih_{k}"), matrix),
            TensorRole::RecurrentWeight => (format!("weight_hh_{k}"), matrix),
            TensorRole::RecurrentBias => (format!("bias_ih_{k}"), vector),
            TensorRole::CandidateBias => {
                padding = 2 * tensor.columns;
                (format!("bias_hh_{k}"), vec![3 * tensor.columns])
            }
            TensorRole::Peephole => (format!("peephole_{k}"), matrix),
            TensorRole::Projection => (format!("weight_hr_{k}"), matrix),
            TensorRole::InitialState => (format!("h0_{k}"), vector),
            TensorRole::InitialCell => (format!("c0_{k}"), vector),
            TensorRole::DenseWeight => (format!("linear{}.weight", &k[1..]), matrix),
            TensorRole::DenseBias => (format!("linear{}.bias", &k[1..]), vector),
            TensorRole::Embedding => (
                format!("embedding{}.weight", &k[1..]),
                vec![tensor.rows, tensor.columns],
            ),
            TensorRole::NormGain => (format!("norm{}.weight", &k[1..]), vector),
            TensorRole::NormBias => (format!("norm{}.bias", &k[1..]), vector),
        };
        let addend = match tensor.role {
            TensorRole::RecurrentBias if !has_candidate_bias => Some(format!("bias_hh_{k}")),
            _ => None,
        };
        Self {
            role: Some(tensor.role),
            name,
            addend,
            shape,
            padding,
        }
    }

    /// Columns that the tensor in memory has, where that of the file is its transpose; else 1.
    fn columns(&self) -> usize {
        match self.role {
            Some(TensorRole::Embedding) => 1,
            _ => self.shape[0] - self.padding,
        }
    }

    /// Number of elements; not before the shape is known to be that of a tensor.
    fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Names and shapes of the tensors of the file.
    fn tensors(&self) -> impl Iterator<Item = (&str, &[usize])> {
        let names = [Some(&self.name), self.addend.as_ref()];
        let names = names.into_iter().flatten();
        names.map(|name| (&**name, &*self.shape))
    }
}

impl Architecture {
    fn new<E: Element>(model: &Model<E>, training: Position) -> Self {
        Self {
            version: VERSION,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            input_size: model.input_size,
            output: model.output,
            standardized: model.standardization.is_some(),
            classes: model.class_names.iter().map(str::to_owned).collect(),
            layers: model
                .places
                .iter()
                .map(|place| place.spec.clone())
                .collect(),
            frozen: model
                .places
                .iter()
                .enumerate()
                .filter_map(|(index, place)| (!place.trainable).then_some(index))
                .collect(),
            training,
        }
    }

    /// The tensors: the parameters in their flat order, then the standardization.
    fn entries<E: Element>(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut sizes = vec![self.input_size];
        let (mut recurrent, mut dense, mut norms, mut embeddings) = (0, 0, 0, 0);
        for spec in &self.layers {
            let layer: Box<dyn Layer<E>> = spec.build_among(&sizes);
            sizes.push(layer.outputs());
            let tensors = layer.tensors();
            let k = match tensors.first().map(|tensor| tensor.role) {
                Some(TensorRole::DenseWeight) => &mut dense,
                Some(TensorRole::NormGain) => &mut norms,
                Some(TensorRole::Embedding) => &mut embeddings,
                _ => &mut recurrent,
            };
            let is_candidate_bias = |tensor: &Tensor| tensor.role == TensorRole::CandidateBias;
            let two = tensors.iter().any(is_candidate_bias);
            entries.extend(tensors.iter().map(|tensor| Entry::new(tensor, *k, two)));
            *k += usize::from(!tensors.is_empty());
        }
        if self.standardized {
            entries.extend([MEAN, DEVIATION].map(|name| Entry {
                role: None,
                name: name.to_owned(),
                addend: None,
                shape: vec![self.input_size],
                padding: 0,
            }));
        }
        entries
    }
}

/// The type of the elements of a network's file.
fn dtype<E: Element>() -> Dtype {
    match size_of::<E>() {
        4 => Dtype::F32,
        _ => Dtype::F64,
    }
}

/// A file that is not as it should be.
pub(crate) fn fault(path: &Path, message: &str) -> Error {
    Error::Format {
        path: path.to_path_buf(),
        message: message.chars().take(MESSAGE_LIMIT).collect(),
    }
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_path_buf(),
        source,
    }
}
