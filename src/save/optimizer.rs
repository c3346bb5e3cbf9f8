//! Optimizers in files, so that training goes on where it stopped.

use std::io::{Result as IoResult, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::Contents;
use super::write::{encode, json, put};
use super::{Entry, OURS, VERSION, fault, load_file, save_file};
use crate::buffer::try_vec;
use crate::optimizer::{Optimizer, Rule};
use crate::{Element, Result, in_engine_mode};

const WHAT: &str = "a saved optimizer";

/// The key of the metadata.
const KEY: &str = "elman.optimizer";

/// The metadata.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    version: u32,
    /// The version of the library that wrote the file, for people.
    library: String,
    rule: Rule,
    learning_rate: f64,
    /// Parameters that it belongs to; None before its first step.
    parameters: Option<usize>,
    /// Powers of Adam's betas.
    beta_powers: [f64; 2],
}

impl Settings {
    /// Those of a file. Not generic: what serde derives is compiled with this crate alone.
    fn of(contents: &Contents<'_>) -> Result<Self> {
        contents.description(KEY, "an optimizer")
    }

    /// The tensors.
    fn entries(&self) -> Vec<Entry> {
        let names = self.rule.state_names().iter();
        let entry = |(&name, count)| Entry {
            padding: 0,
            role: None,
            name: String::from(name),
            addend: None,
            shape: vec![count],
        };
        names
            .zip(self.parameters.into_iter().cycle())
            .map(entry)
            .collect()
    }
}

impl<E: Element> Optimizer<E> {
    /// Writes the optimizer to a file: its rule and settings, its learning rate and what it remembers of the parameters.
    /// With the network's file, training goes on from there with the bits that it would have had without the stop.
    ///
    /// The file is a [safetensors](https://github.com/huggingface/safetensors) file, replaced as [`Network::save`] says. What
    /// is remembered of the parameters is one tensor for each kind, `[parameters]` in the order of the network's: `velocity`
    /// of SGD; `squares` of AdaGrad; `squares` and `velocity` of RMSprop; `mean` and `squares` of Adam and AdamW; `last_sign`
    /// and `step` of the forms of Rprop. The rest is JSON under the key `elman.optimizer` of the metadata. The same
    /// optimizer gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written, [`Error::Format`] where `path` is something else than a file.
    ///
    /// [`Network::save`]: crate::Network::save
    /// [`Error::Io`]: crate::Error::Io
    /// [`Error::Format`]: crate::Error::Format
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let header = self.header()?;
        save_file(path.as_ref(), |out| {
            out.write_all(&header)?;
            self.each_value(|value| put(out, value))
        })
    }

    /// The contents of the file that [`Self::save`] writes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory)
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let header = self.header()?;
        let values = self
            .state()
            .iter()
            .map(|values| values.len())
            .sum::<usize>();
        let mut bytes = try_vec(WHAT, header.len() + values * size_of::<E>())?;
        bytes.extend(header);
        match self.each_value(|value| put(&mut bytes, value)) {
            Ok(()) => Ok(bytes),
            Err(_) => unreachable!("a vector takes everything"),
        }
    }

    /// Reads an optimizer from a file that [`Self::save`] has written. An `f64` one can be read from `F32` tensors, exactly;
    /// an `f32` one can't be read from `F64`. Which network it belongs to is the caller's to know: it fits those of as many
    /// parameters.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the file cannot be read; [`Error::Format`](crate::Error::Format) where it is
    /// damaged or no saved optimizer, with what was found and expected;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&load_file(path, WHAT)?, path)
    }

    /// Reads an optimizer from the contents of a file as [`Self::load`] does; `name` serves the error messages only.
    ///
    /// # Errors
    /// As [`Self::load`], except for [`Error::Io`](crate::Error::Io).
    pub fn from_bytes(bytes: &[u8], name: impl AsRef<Path>) -> Result<Self> {
        // The numbers of the header are read.
        in_engine_mode(|| Self::parse(bytes, name.as_ref()))
    }

    fn parse(bytes: &[u8], name: &Path) -> Result<Self> {
        let contents = Contents::parse(bytes, name, OURS)?;
        let settings = Settings::of(&contents)?;
        let refuse = |message: &str| fault(name, &format!("the metadata: {message}"));
        let mut optimizer = Self::new(settings.rule, settings.learning_rate)
            .map_err(|error| refuse(&error.to_string()))?;
        for power in settings.beta_powers {
            if !(0.0..=1.0).contains(&power) {
                return Err(refuse(&format!(
                    "a power of a beta is {power}, expected 0 to 1"
                )));
            }
        }
        let entries = settings.entries();
        contents.check::<E>(&entries)?;
        if let Some(count) = settings.parameters {
            let state = optimizer.resume(count, settings.beta_powers)?;
            for (entry, values) in entries.iter().zip(state) {
                contents.read(&entry.name, 1, values, |value, element| *value = element);
            }
        }
        Ok(optimizer)
    }

    fn header(&self) -> Result<Vec<u8>> {
        let settings = Settings {
            version: VERSION,
            library: env!("CARGO_PKG_VERSION").to_owned(),
            rule: *self.rule(),
            learning_rate: self.learning_rate(),
            parameters: self.count(),
            beta_powers: self.beta_powers(),
        };
        let entries = settings.entries();
        let tensors = entries.iter().flat_map(Entry::tensors);
        Ok(encode::<E>(KEY, json(&settings), tensors)?.0)
    }

    fn each_value(&self, take: impl FnMut(E) -> IoResult<()>) -> IoResult<()> {
        self.state()
            .into_iter()
            .flatten()
            .copied()
            .try_for_each(take)
    }
}
