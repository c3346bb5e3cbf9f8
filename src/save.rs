//! Networks in files: the safetensors format, with the names and shapes that PyTorch gives such layers.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::buffer::try_vec;
use crate::dataset::Standardization;
use crate::init::TensorRole;
use crate::layer::{Layer, LayerSpec, Tensor};
use crate::model::{Model, Output};
use crate::simd::Tier;
use crate::{Element, Error, Network, Result};

impl<E: Element> Network<E> {
    /// Writes the network to a file: its layers, parameters, output mode and standardization. Gradients, the number of
    /// threads and the seed are not part of it.
    ///
    /// The file is a [safetensors](https://github.com/huggingface/safetensors) file. The k-th recurrent layer, counted
    /// from 0, has the tensors of a layer of `torch.nn.RNN`: `weight_ih_l{k}` `[units][input]`, `weight_hh_l{k}`
    /// `[units][units]`, `bias_ih_l{k}` `[units]` and `bias_hh_l{k}` `[units]`, which is 0. The k-th dense layer has
    /// those of a `torch.nn.Linear`: `linear{k}.weight` `[units][input]` and `linear{k}.bias` `[units]`. The
    /// standardization is `standardization.mean` and `standardization.deviation` `[input_size]`. Elements are `F32` or
    /// `F64`, as in the network. What the tensors don't tell is JSON under the key `elman` of the metadata.
    ///
    /// The same network gives the same bytes. A file that is already there is replaced as a whole or, after an error or
    /// a crash, not at all; a symbolic link is followed. A process that is killed may leave a file `.elman-*.tmp` in the
    /// same directory.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written, [`Error::Format`] where `path` is something else than a file,
    /// [`Error::OutOfRange`] for a network of more layers than a file can describe (tens of thousands).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let image = Image::new(self.model())?;
        if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
            return Err(fault(path, NOT_A_FILE));
        }
        replace(path, |file| image.write(file)).map_err(|source| io_error(path, source))
    }

    /// The contents of the file that [`Self::save`] writes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] as there, [`Error::OutOfMemory`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let image = Image::new(self.model())?;
        let mut bytes = try_vec(WHAT, 8 + image.header.len() + image.data_len)?;
        match image.write(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(_) => unreachable!("a vector takes everything"),
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
    /// was found and expected; [`Error::OutOfMemory`]; those of [`Network::new`] about `ELMAN_TIER`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io_error = |source| io_error(path, source);
        // Before it is opened: that would wait for the other end of a pipe.
        if !fs::metadata(path).map_err(io_error)?.is_file() {
            return Err(fault(path, NOT_A_FILE));
        }
        let file = File::open(path).map_err(io_error)?;
        // Of the open file: the path may lead to another one by now.
        let length = file.metadata().map_err(io_error)?.len();
        let mut bytes = try_vec(WHAT, usize::try_from(length).unwrap_or(usize::MAX))?;
        file.take(length)
            .read_to_end(&mut bytes)
            .map_err(io_error)?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads a network from the contents of a file as [`Self::load`] does; `name` serves the error messages only.
    ///
    /// # Errors
    /// As [`Self::load`], except for [`Error::Io`].
    pub fn from_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<Self> {
        Self::with_model(Contents::parse(bytes, name.as_ref())?.model(Tier::active()?)?)
    }
}

const WHAT: &str = "a saved network";
const NOT_A_FILE: &str = "not a regular file, expected one";

/// Most bytes of a header. Parsing takes a multiple of them, and allocates in ways that can abort.
const HEADER_LIMIT: usize = 4 << 20;

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
    layers: Vec<LayerSpec>,
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// What the file has of a tensor: its transpose.
struct Entry {
    /// What it does in its layer; None outside layers.
    role: Option<TensorRole>,
    name: String,
    /// A second tensor of the same shape: 0 when it is written, added when it is read.
    addend: Option<String>,
    shape: Vec<usize>,
}

impl Entry {
    /// Of a tensor of the k-th layer of its kind.
    fn new(tensor: &Tensor, k: usize) -> Self {
        let (vector, matrix) = (vec![tensor.columns], vec![tensor.columns, tensor.rows]);
        let (name, shape) = match tensor.role {
            TensorRole::InputWeight => (format!("weight_ih_l{k}"), matrix),
            TensorRole::RecurrentWeight => (format!("weight_hh_l{k}"), matrix),
            TensorRole::RecurrentBias => (format!("bias_ih_l{k}"), vector),
            TensorRole::DenseWeight => (format!("linear{k}.weight"), matrix),
            TensorRole::DenseBias => (format!("linear{k}.bias"), vector),
        };
        let addend = match tensor.role {
            TensorRole::RecurrentBias => Some(format!("bias_hh_l{k}")),
            _ => None,
        };
        Self {
            role: Some(tensor.role),
            name,
            addend,
            shape,
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
    fn new<E: Element>(model: &Model<E>) -> Self {
        Self {
            version: VERSION,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            input_size: model.input_size,
            output: model.output,
            standardized: model.standardization.is_some(),
            layers: model
                .places
                .iter()
                .map(|place| place.spec.clone())
                .collect(),
        }
    }

    /// The tensors: the parameters in their flat order, then the standardization.
    fn entries<E: Element>(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut inputs = self.input_size;
        let (mut recurrent, mut others) = (0, 0);
        for spec in &self.layers {
            let layer: Box<dyn Layer<E>> = spec.build(inputs);
            inputs = layer.outputs();
            let k = match layer.state_size() {
                0 => &mut others,
                _ => &mut recurrent,
            };
            let tensors = layer.tensors();
            entries.extend(tensors.iter().map(|tensor| Entry::new(tensor, *k)));
            *k += usize::from(!tensors.is_empty());
        }
        if self.standardized {
            entries.extend([MEAN, DEVIATION].map(|name| Entry {
                role: None,
                name: name.to_owned(),
                addend: None,
                shape: vec![self.input_size],
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

/// A file that is to be written.
struct Image<'a, E: Element> {
    model: &'a Model<E>,
    entries: Vec<Entry>,
    header: Vec<u8>,
    /// Bytes of all tensors.
    data_len: usize,
}

impl<'a, E: Element> Image<'a, E> {
    fn new(model: &'a Model<E>) -> Result<Self> {
        const PLAIN: &str = "names and numbers have a JSON form, and the tensors lie end to end";
        let architecture = Architecture::new(model);
        let entries = architecture.entries::<E>();
        let architecture = serde_json::to_string(&architecture).expect(PLAIN);

        let mut tensors = Vec::new();
        let mut end = 0;
        for (name, shape) in entries.iter().flat_map(Entry::tensors) {
            let start = end;
            end += shape.iter().product::<usize>() * size_of::<E>();
            let info = TensorInfo {
                dtype: dtype::<E>(),
                shape: shape.to_vec(),
                data_offsets: (start, end),
            };
            tensors.push((name.to_owned(), info));
        }
        let metadata = HashMap::from([(KEY.to_owned(), architecture)]);
        let metadata = Metadata::new(Some(metadata), tensors).expect(PLAIN);
        let mut header = serde_json::to_vec(&metadata).expect(PLAIN);
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() > HEADER_LIMIT {
            return Err(Error::OutOfRange {
                name: "the length of the header",
                value: header.len() as f64,
                expected: "at most 4 MiB: fewer layers",
            });
        }
        Ok(Self {
            model,
            entries,
            header,
            data_len: end,
        })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        let parameters = self.model.places.iter().flat_map(|place| {
            let mut rest = &self.model.parameters[place.parameters()];
            place.tensors.iter().map(move |tensor| {
                let values;
                (values, rest) = rest.split_at(tensor.len());
                values
            })
        });
        let standardization = self.model.standardization.iter();
        let standardization = standardization.flat_map(|s| [s.mean(), s.deviation()]);
        let mut put = |value: E| match dtype::<E>() {
            Dtype::F32 => out.write_all(&(value.to_f64() as f32).to_le_bytes()),
            _ => out.write_all(&value.to_f64().to_le_bytes()),
        };
        for (entry, values) in self.entries.iter().zip(parameters.chain(standardization)) {
            let units = entry.shape[0];
            let mut rows = (0..units).flat_map(|unit| values[unit..].iter().step_by(units));
            rows.try_for_each(|&value| put(value))?;
            if entry.addend.is_some() {
                values.iter().try_for_each(|_| put(E::ZERO))?;
            }
        }
        Ok(())
    }
}

/// A file that is being read.
struct Contents<'a> {
    /// What errors call it.
    name: &'a Path,
    metadata: Metadata,
    data: &'a [u8],
}

impl<'a> Contents<'a> {
    /// Makes sure that the file is a header and the data of the tensors that it names, without gaps.
    fn parse(bytes: &'a [u8], name: &'a Path) -> Result<Self> {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            let message = format!("{} bytes, expected at least 8", bytes.len());
            return Err(fault(name, &message));
        };
        let length = u64::from_le_bytes(*length);
        if length > HEADER_LIMIT as u64 {
            let message = format!("a header of {length} bytes, expected at most {HEADER_LIMIT}");
            return Err(fault(name, &message));
        }
        let Some((header, data)) = rest.split_at_checked(length as usize) else {
            let message = format!(
                "{} bytes, expected {length} of the header alone",
                rest.len()
            );
            return Err(fault(name, &message));
        };
        let metadata: Metadata = serde_json::from_slice(header)
            .map_err(|error| fault(name, &format!("the header: {error}")))?;
        if metadata.data_len() != data.len() {
            let (actual, expected) = (data.len(), metadata.data_len());
            let message = format!("{actual} bytes of tensors, expected {expected}");
            return Err(fault(name, &message));
        }
        Ok(Self {
            name,
            metadata,
            data,
        })
    }

    fn fault(&self, message: &str) -> Error {
        fault(self.name, message)
    }

    /// The metadata, as far as it can be checked by itself.
    fn architecture(&self) -> Result<Architecture> {
        let entries = self.metadata.metadata().as_ref();
        let json = entries
            .and_then(|entries| entries.get(KEY))
            .ok_or_else(|| {
                self.fault("no metadata 'elman', expected that of a network saved by elman")
            })?;
        let invalid = |error| self.fault(&format!("the metadata: {error}"));
        let Version { version } = serde_json::from_str(json).map_err(invalid)?;
        if version != VERSION {
            let message = format!("a file of version {version}, expected {VERSION}");
            return Err(self.fault(&message));
        }
        let architecture: Architecture = serde_json::from_str(json).map_err(invalid)?;
        for (index, spec) in architecture.layers.iter().enumerate() {
            spec.check()
                .map_err(|error| self.fault(&format!("the metadata: layers[{index}]: {error}")))?;
        }
        Ok(architecture)
    }

    /// Makes sure that these are the tensors of the file, in a type that `E` can hold.
    fn check<E: Element>(&self, entries: &[Entry]) -> Result<()> {
        let mut expected = HashSet::new();
        for (name, shape) in entries.iter().flat_map(Entry::tensors) {
            expected.insert(name);
            let Some(info) = self.metadata.info(name) else {
                return Err(self.fault(&format!("no tensor {name}, expected one of {shape:?}")));
            };
            if info.shape != shape {
                let message = format!("{name} has shape {:?}, expected {shape:?}", info.shape);
                return Err(self.fault(&message));
            }
            if info.dtype != Dtype::F32 && info.dtype != dtype::<E>() {
                let (actual, wanted) = (info.dtype, dtype::<E>());
                let message = format!("{name} is of type {actual:?}, expected {wanted:?}");
                return Err(self.fault(&message));
            }
        }
        let names = self.metadata.offset_keys();
        match names.iter().find(|name| !expected.contains(&***name)) {
            None => Ok(()),
            Some(name) => Err(self.fault(&format!("tensor {name}, expected no such tensor"))),
        }
    }

    /// The network, whose layers are only made once the file is known to have their parameters.
    fn model<E: Element>(&self, tier: Tier) -> Result<Model<E>> {
        let architecture = self.architecture()?;
        let entries = architecture.entries::<E>();
        self.check::<E>(&entries)?;
        let mut model = Model::new(tier, architecture.input_size)
            .map_err(|error| self.fault(&format!("the metadata: {error}")))?;
        model.output = architecture.output;
        for spec in architecture.layers {
            model.add(spec)?;
        }
        let mut rest = &mut model.parameters[..];
        for entry in entries.iter().filter(|entry| entry.role.is_some()) {
            let values;
            (values, rest) = rest.split_at_mut(entry.len());
            self.read(&entry.name, values, |value, element| *value = element);
            if let Some(addend) = &entry.addend {
                // Adding 0 would turn -0 into 0.
                self.read(addend, values, |value, element| {
                    if element != E::ZERO {
                        *value += element;
                    }
                });
            }
        }
        model.pack()?;
        if architecture.standardized {
            let column = |name| {
                let mut values = try_vec("a standardization", model.input_size)?;
                values.resize(model.input_size, E::ZERO);
                self.read(name, &mut values, |value, element| *value = element);
                Ok(values)
            };
            let standardization = Standardization::new(column(MEAN)?, column(DEVIATION)?);
            model.standardization = Some(standardization.map_err(|error| match error {
                Error::OutOfMemory { .. } => error,
                error => self.fault(&format!("the standardization: {error}")),
            })?);
        }
        Ok(model)
    }

    /// Calls `put` with each of `values` and its element of the tensor, which holds the transpose.
    fn read<E: Element>(&self, name: &str, values: &mut [E], put: impl Fn(&mut E, E)) {
        let Some(info) = self.metadata.info(name) else {
            unreachable!("the tensors have been checked");
        };
        let data = &self.data[info.data_offsets.0..info.data_offsets.1];
        let (singles, doubles) = match info.dtype {
            Dtype::F32 => (data.as_chunks().0, &[][..]),
            _ => (&[][..], data.as_chunks().0),
        };
        let singles = singles.iter().map(|&b| f64::from(f32::from_le_bytes(b)));
        let doubles = doubles.iter().map(|&b| f64::from_le_bytes(b));
        let mut elements = singles.chain(doubles);
        let units = info.shape[0];
        for unit in 0..units {
            let column = values[unit..].iter_mut().step_by(units);
            for (value, element) in column.zip(&mut elements) {
                put(value, E::from_f64(element));
            }
        }
    }
}

/// Writes a file next to `path` and moves it there.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // Where it is a link, what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let (temporary, file) = create_beside(&path)?;
    let result = (|| {
        if let Ok(replaced) = fs::metadata(&path) {
            file.set_permissions(replaced.permissions())?;
        }
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        // On the disk before its name is: otherwise a power failure could leave the name of an empty file.
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, &path)
    })();
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// A new file in the directory of `path`, of a name that no other thread or process has.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = path.with_file_name(format!(".elman-{}-{number}.tmp", process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((name, file)),
            // Left behind by a process of the same number, or made by one of another machine.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn fault(path: &Path, message: &str) -> Error {
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
