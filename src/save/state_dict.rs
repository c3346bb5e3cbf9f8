//! State dicts: networks in files under the names that modules of PyTorch give their tensors.

use std::path::Path;

use super::write::Image;
use super::{Entry, save_file};
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::options::{Direction, RecurrentOptions};
use crate::model::Model;
use crate::{Element, Error, Network, Result, shape};

impl<E: Element> Network<E> {
    /// Writes the parameters to a file that PyTorch's `load_state_dict` takes, after safetensors' `load_file`.
    ///
    /// `modules` are the names of PyTorch's modules, one for each layer that has parameters, from the input on. Recurrent layers
    /// that follow each other and are layers of one module have its name each: `["lstm", "lstm", "head.0"]`. The tensors are
    /// those of [`Self::save`]: `bias_hh` is 0 but for the candidate of a GRU. The file is replaced as there, and
    /// [`Self::import`] reads it again, bit for bit.
    ///
    /// # Errors
    /// [`Error::Length`] where there is not a name for each layer with parameters; [`Error::Mismatch`] for a layer that
    /// PyTorch has not, and for a name of two modules; [`Error::Io`], [`Error::Format`] and [`Error::OutOfRange`] as with
    /// [`Self::save`].
    pub fn save_state_dict<S: AsRef<str>>(
        &self,
        path: impl AsRef<Path>,
        modules: &[S],
    ) -> Result<()> {
        let image = Image::state_dict(self.model(), entries(self.model(), modules)?)?;
        save_file(path.as_ref(), |file| image.write(file))
    }

    /// The contents of the file that [`Self::save_state_dict`] writes.
    ///
    /// # Errors
    /// As there, but for those of files; [`Error::OutOfMemory`].
    pub fn state_dict<S: AsRef<str>>(&self, modules: &[S]) -> Result<Vec<u8>> {
        Image::state_dict(self.model(), entries(self.model(), modules)?)?.to_bytes()
    }
}

/// The tensors of a network's parameters, under the names of these modules.
fn entries<E: Element, S: AsRef<str>>(model: &Model<E>, modules: &[S]) -> Result<Vec<Entry>> {
    let has_parameters = |tensors: &[_]| !tensors.is_empty();
    let places = model.places.iter();
    let count = places
        .filter(|place| has_parameters(&place.tensors))
        .count();
    shape::expect_len("modules", modules.len(), count)?;
    let mut names = modules.iter().map(AsRef::as_ref);
    let mut entries = Vec::new();
    // The recurrent module that goes on, and how many layers it has.
    let mut open: Option<(&str, &LayerSpec, usize)> = None;
    let mut used: Vec<&str> = Vec::new();
    for place in &model.places {
        let spec = &place.spec;
        if !has_parameters(&place.tensors) {
            // PyTorch's modules have dropout between their layers, and nothing else.
            if !matches!(spec, LayerSpec::Dropout { .. }) {
                open = None;
            }
            continue;
        }
        check(spec)?;
        let name = names.next().expect("there is a name for each");
        let layer = match open {
            Some((before, other, layers)) if before == name && other == spec => layers,
            _ if used.contains(&name) => {
                return Err(Error::Mismatch {
                    name: "modules",
                    actual: format!("{name:?} for layers that are not of one module"),
                    expected: "a name of its own for each module".to_owned(),
                });
            }
            _ => 0,
        };
        used.push(name);
        open = options_of(spec).map(|_| (name, spec, layer + 1));
        let is_candidate = |role| role == TensorRole::CandidateBias;
        let two = place.tensors.iter().any(|tensor| is_candidate(tensor.role));
        for tensor in &place.tensors {
            let mut entry = Entry::new(tensor, layer, two);
            entry.name = joined(name, &entry.name);
            entry.addend = entry.addend.map(|own| joined(name, &own));
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// A tensor's own name behind a module's.
fn joined(module: &str, tensor: &str) -> String {
    let own = tensor.rsplit('.').next().unwrap_or_default();
    match module {
        "" => own.to_owned(),
        module => format!("{module}.{own}"),
    }
}

fn options_of(spec: &LayerSpec) -> Option<&RecurrentOptions> {
    match spec {
        LayerSpec::Rnn { options, .. }
        | LayerSpec::Gru { options, .. }
        | LayerSpec::Lstm { options, .. } => Some(options),
        _ => None,
    }
}

/// Makes sure that PyTorch has such a layer.
fn check(spec: &LayerSpec) -> Result<()> {
    let mismatch = |actual: &str| {
        Err(Error::Mismatch {
            name: "a layer",
            actual: actual.to_owned(),
            expected: "one that PyTorch has".to_owned(),
        })
    };
    if let LayerSpec::Rnn { activation, .. } = spec
        && ![Activation::Tanh, Activation::Relu].contains(activation)
    {
        return mismatch("a plain recurrent layer whose activation is neither tanh nor ReLU");
    }
    let Some(options) = options_of(spec) else {
        return Ok(());
    };
    if options.direction == Direction::Reverse {
        return mismatch("one that only goes from the last step to the first");
    }
    let plain = RecurrentOptions {
        direction: options.direction,
        bias: options.bias,
        projection: options.projection,
        // What only says how it starts, trains or gives its last output.
        last: options.last,
        forget_bias: options.forget_bias,
        recurrent_dropout: options.recurrent_dropout,
        ..RecurrentOptions::default()
    };
    if *options != plain {
        return mismatch("a recurrent layer with options of elman's own");
    }
    Ok(())
}
