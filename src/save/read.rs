//! How a file becomes a network or an optimizer.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "import")]
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};
use serde::de::DeserializeOwned;

use super::value::Unambiguous;
use super::{
    Architecture, DEVIATION, Entry, HEADER_LIMIT, KEY, MEAN, VERSION, Version, dtype, fault,
    foreign,
};
use crate::buffer::try_vec;
use crate::class_names::ClassNames;
use crate::dataset::Standardization;
use crate::model::Model;
use crate::network::Position;
use crate::simd::Tier;
use crate::{Element, Error, Result, shape};

/// A safetensors file that is being read.
pub(crate) struct Contents<'a> {
    /// What errors call it.
    name: &'a Path,
    metadata: Metadata,
    data: &'a [u8],
}

/// A tensor, row-major.
#[cfg(feature = "import")]
pub(crate) struct Numbers<E> {
    pub shape: Vec<usize>,
    pub values: Vec<E>,
}

impl<'a> Contents<'a> {
    /// Makes sure that the file is a header and the data of the tensors that it names, without gaps. Of a file of another
    /// kind the error says what is `expected`.
    pub(crate) fn parse(bytes: &'a [u8], name: &'a Path, expected: &str) -> Result<Self> {
        let header = header(bytes, name, expected)?;
        let data = &bytes[8 + header.len()..];
        // By itself the second one takes the last of two tensors that have one name.
        let metadata = serde_json::from_slice(header)
            .and_then(|Unambiguous(_)| serde_json::from_slice::<Metadata>(header))
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

    /// Whether it is a network that elman has saved, or one described as they are.
    #[cfg(feature = "import")]
    pub(crate) fn is_ours(&self) -> bool {
        let entries = self.metadata.metadata().as_ref();
        entries.is_some_and(|entries| entries.contains_key(KEY))
    }

    /// All tensors by their names, in the order of their data.
    #[cfg(feature = "import")]
    pub(crate) fn tensors<E: Element>(&self) -> Result<Vec<(String, Numbers<E>)>> {
        let names = self.metadata.offset_keys().into_iter();
        let tensors = names.map(|name| {
            let numbers = self.numbers(&name)?;
            Ok((name, numbers))
        });
        tensors.collect()
    }

    /// A tensor of any type of floating-point numbers, each rounded to `E`.
    #[cfg(feature = "import")]
    fn numbers<E: Element>(&self, name: &str) -> Result<Numbers<E>> {
        let Some(info) = self.metadata.info(name) else {
            return Err(self.fault(&format!("no tensor {name}")));
        };
        let data = &self.data[info.data_offsets.0..info.data_offsets.1];
        let mut values = try_vec("a tensor", info.shape.iter().product())?;
        match info.dtype {
            Dtype::F32 if size_of::<E>() == size_of::<f32>() => {
                let bits = data.as_chunks().0.iter().map(|&it| u32::from_le_bytes(it));
                values.extend(bits.map(|bits| E::from_bits_u64(bits.into())));
            }
            Dtype::F64 if size_of::<E>() == size_of::<f64>() => {
                let bits = data.as_chunks().0.iter().map(|&it| u64::from_le_bytes(it));
                values.extend(bits.map(E::from_bits_u64));
            }
            Dtype::F32 => {
                let numbers = data.as_chunks().0.iter().map(|&it| f32::from_le_bytes(it));
                values.extend(numbers.map(|number| E::from_f64(number.into())));
            }
            Dtype::F64 => {
                let numbers = data.as_chunks().0.iter().map(|&it| f64::from_le_bytes(it));
                values.extend(numbers.map(E::from_f64));
            }
            Dtype::F16 => {
                let numbers = data.as_chunks().0.iter().map(|&it| f16::from_le_bytes(it));
                values.extend(numbers.map(|number| E::from_f64(number.to_f64())));
            }
            Dtype::BF16 => {
                let numbers = data.as_chunks().0.iter().map(|&it| bf16::from_le_bytes(it));
                values.extend(numbers.map(|number| E::from_f64(number.to_f64())));
            }
            other => {
                let message =
                    format!("{name} is of type {other:?}, expected F32, F64, F16 or BF16");
                return Err(self.fault(&message));
            }
        }
        Ok(Numbers {
            shape: info.shape.clone(),
            values,
        })
    }

    /// What the metadata has under a key: the description of such an object.
    pub(super) fn description<D: DeserializeOwned>(&self, key: &str, object: &str) -> Result<D> {
        let entries = self.metadata.metadata().as_ref();
        let json = entries
            .and_then(|entries| entries.get(key))
            .ok_or_else(|| {
                let count = self.metadata.offset_keys().len();
                self.fault(&format!(
                    "no metadata '{key}', expected that of {object} saved by elman: the file is a safetensors file of \
                     something else (tensors: {count})"
                ))
            })?;
        let invalid = |error| self.fault(&format!("the metadata: {error}"));
        // As bytes, like the header: for text there is a reader of its own, which would be compiled as well.
        let json = json.as_bytes();
        let Version { version } = serde_json::from_slice(json).map_err(invalid)?;
        if version != VERSION {
            let message = format!("a file of version {version}, expected {VERSION}");
            return Err(self.fault(&message));
        }
        serde_json::from_slice(json).map_err(invalid)
    }

    /// The description of a network. Not generic: what serde derives is compiled with this crate alone.
    fn described(&self) -> Result<Architecture> {
        self.description(KEY, "a network")
    }

    /// The description of a network, as far as it can be checked by itself.
    fn architecture<E: Element>(&self) -> Result<Architecture> {
        let architecture = self.described()?;
        let mut sizes = vec![architecture.input_size];
        for (index, spec) in architecture.layers.iter().enumerate() {
            spec.check()
                .and_then(|()| spec.check_place(&sizes, architecture.layers[..index].iter()))
                .map_err(|error| self.fault(&format!("the metadata: layers[{index}]: {error}")))?;
            sizes.push(spec.build_among::<E>(&sizes).outputs());
        }
        let count = architecture.layers.len();
        let mut before = None;
        for &layer in &architecture.frozen {
            if layer >= count || before >= Some(layer) {
                let message = format!(
                    "the metadata: frozen is {:?}, expected rising numbers below {count}, the number of layers",
                    architecture.frozen
                );
                return Err(self.fault(&message));
            }
            before = Some(layer);
        }
        Ok(architecture)
    }

    /// Makes sure that these are the tensors of the file, in a type that `E` can hold.
    pub(super) fn check<E: Element>(&self, entries: &[Entry]) -> Result<()> {
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

    /// The network and where its training is. The layers are only made once the file is known to have their parameters.
    pub(super) fn model<E: Element>(&self, tier: Tier) -> Result<(Model<E>, Position)> {
        let architecture = self.architecture::<E>()?;
        let entries = architecture.entries::<E>();
        self.check::<E>(&entries)?;
        let mut model = Model::new(tier, architecture.input_size)
            .map_err(|error| self.fault(&format!("the metadata: {error}")))?;
        model.set_output(architecture.output);
        for spec in architecture.layers {
            model.add(spec)?;
        }
        for layer in architecture.frozen {
            model.places[layer].trainable = false;
        }
        let mut first = 0;
        for entry in entries.iter().filter(|entry| entry.role.is_some()) {
            let end = first + entry.len() - entry.padding;
            if entry.padding > 0 {
                let mut both = try_vec("a bias", entry.len())?;
                both.resize(entry.len(), E::ZERO);
                self.read(&entry.name, entry.shape[0], &mut both, |value, element| {
                    *value = element
                });
                let before = &mut model.parameters[first - entry.len()..end];
                let (before, values) = before.split_at_mut(entry.len());
                for (value, &element) in before.iter_mut().zip(&both[..entry.padding]) {
                    if element != E::ZERO {
                        *value += element;
                    }
                }
                values.copy_from_slice(&both[entry.padding..]);
                first = end;
                continue;
            }
            let values = &mut model.parameters[first..end];
            first = end;
            self.read(&entry.name, entry.columns(), values, |value, element| {
                *value = element
            });
            if let Some(addend) = &entry.addend {
                // Adding 0 would turn -0 into 0.
                self.read(addend, entry.columns(), values, |value, element| {
                    if element != E::ZERO {
                        *value += element;
                    }
                });
            }
        }
        if !architecture.classes.is_empty() {
            let names = ClassNames::new(&architecture.classes);
            let count = architecture.classes.len();
            let names = names.and_then(|names| {
                shape::expect_len("the class names", count, model.output_size()).map(|_| names)
            });
            model.class_names = Arc::new(names.map_err(|error| match error {
                Error::OutOfMemory { .. } => error,
                error => self.fault(&format!("the metadata: {error}")),
            })?);
        }
        model.pack()?;
        if architecture.standardized {
            let column = |name| {
                let mut values = try_vec("a standardization", model.input_size)?;
                values.resize(model.input_size, E::ZERO);
                self.read(name, model.input_size, &mut values, |value, element| {
                    *value = element
                });
                Ok(values)
            };
            let standardization = Standardization::new(column(MEAN)?, column(DEVIATION)?);
            let standardization = standardization.map_err(|error| match error {
                Error::OutOfMemory { .. } => error,
                error => self.fault(&format!("the standardization: {error}")),
            })?;
            model.set_standardization(Some(standardization))?;
        }
        Ok((model, architecture.training))
    }

    /// Calls `put` with each of `values` and its element of the tensor, which holds the transpose of so many columns.
    pub(super) fn read<E: Element>(
        &self,
        name: &str,
        columns: usize,
        values: &mut [E],
        put: impl Fn(&mut E, E),
    ) {
        let Some(info) = self.metadata.info(name) else {
            unreachable!("the tensors have been checked");
        };
        let data = &self.data[info.data_offsets.0..info.data_offsets.1];
        let (singles, doubles) = match info.dtype {
            Dtype::F32 => (data.as_chunks().0, &[][..]),
            _ => (&[][..], data.as_chunks().0),
        };
        let singles = singles.iter().map(|&bytes| {
            let bits = u32::from_le_bytes(bytes);
            if size_of::<E>() == size_of::<f32>() {
                E::from_bits_u64(bits.into())
            } else {
                E::from_f64(f32::from_bits(bits).into())
            }
        });
        let doubles = doubles
            .iter()
            .map(|&bytes| E::from_bits_u64(u64::from_le_bytes(bytes)));
        let mut elements = singles.chain(doubles);
        for column in 0..columns {
            let column = values[column..].iter_mut().step_by(columns);
            for (value, element) in column.zip(&mut elements) {
                put(value, element);
            }
        }
    }
}

/// The header of a safetensors file, or what the file is instead.
fn header<'a>(bytes: &'a [u8], name: &Path, expected: &str) -> Result<&'a [u8]> {
    // A header is a JSON object.
    let may_be_ours = bytes.get(8) == Some(&b'{') && !bytes.starts_with(b"{");
    if !may_be_ours && let Some(kind) = foreign::kind(bytes) {
        return Err(fault(name, &format!("{kind}, expected {expected}")));
    }
    let Some((start, rest)) = bytes.split_first_chunk() else {
        return Err(fault(
            name,
            &format!("{} bytes, expected {expected}", bytes.len()),
        ));
    };
    let length = u64::from_le_bytes(*start);
    if length <= HEADER_LIMIT as u64 {
        return rest.get(..length as usize).ok_or_else(|| {
            let message = format!(
                "{} bytes, expected {length} of the header alone",
                rest.len()
            );
            fault(name, &message)
        });
    }
    Err(fault(
        name,
        &if length > rest.len() as u64 {
            format!(
                "no safetensors file: it begins with the bytes {start:02x?}, which are no length of a header, expected \
                 {expected}"
            )
        } else {
            format!("a header of {length} bytes, expected at most {HEADER_LIMIT}")
        },
    ))
}
