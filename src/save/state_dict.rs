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
    for (number, place) in model.places.iter().enumerate() {
        let spec = &place.spec;
        if !has_parameters(&place.tensors) {
            // PyTorch's modules have dropout between their layers, and nothing else.
            if !matches!(spec, LayerSpec::Dropout { .. }) {
                open = None;
            }
            continue;
        }
        check(number, spec)?;
        let name = names.next().expect("there is a name for each");
        let layer = match open {
            Some((before, other, layers)) if before == name && other == spec => layers,
            _ if used.contains(&name) => {
                return Err(Error::Mismatch {
                    name: "modules",
                    actual: format!(
                        "{name:?} again for layer {number}, which is none of the same module"
                    ),
                    expected: "a name of its own for each module".to_owned(),
                });
            }
            _ => 0,
        };
        used.push(name);
        open = spec.recurrent_options().map(|_| (name, spec, layer + 1));
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

/// Makes sure that PyTorch has such a layer.
fn check(number: usize, spec: &LayerSpec) -> Result<()> {
    let Some(what) = own(spec) else {
        return Ok(());
    };
    let kind = match spec {
        LayerSpec::Gru { .. } => "a GRU",
        LayerSpec::Lstm { .. } => "an LSTM",
        _ => "a plain recurrent layer",
    };
    Err(Error::Mismatch {
        name: "a layer",
        actual: format!("number {number}, {kind} {what}"),
        expected: "one that PyTorch has".to_owned(),
    })
}

/// What a layer has that PyTorch's modules have not.
fn own(spec: &LayerSpec) -> Option<&'static str> {
    let options = spec.recurrent_options()?;
    if let LayerSpec::Rnn { activation, .. } = spec
        && ![Activation::Tanh, Activation::Relu].contains(activation)
    {
        return Some("whose activation is neither tanh nor ReLU");
    }
    let RecurrentOptions {
        direction,
        merge,
        reset,
        activations,
        peepholes,
        coupled,
        clip_sums,
        clip_state,
        zoneout,
        zoneout_cell,
        initial_state,
        // PyTorch's have them, or they only say how the layer starts, trains or gives its last output.
        bias: _,
        projection: _,
        last: _,
        forget_bias: _,
        recurrent_dropout: _,
    } = options;
    let plain = RecurrentOptions::default();
    let both = *direction == Direction::Bidirectional;
    let differs = [
        (
            *direction == Direction::Reverse,
            "that only goes from the last step to the first",
        ),
        (
            both && *merge != plain.merge,
            "whose two outputs do not lie side by side",
        ),
        (
            *reset != plain.reset,
            "whose reset gate acts before the product",
        ),
        (
            *activations != plain.activations,
            "with other activations than sigmoid and tanh",
        ),
        (*peepholes, "with peepholes"),
        (*coupled, "with coupled gates"),
        (*clip_sums != 0.0, "with a limit of its sums"),
        (*clip_state != 0.0, "with a limit of its cell state"),
        (*zoneout != 0.0 || *zoneout_cell != 0.0, "with zoneout"),
        (
            *initial_state != plain.initial_state,
            "with an initial state of its own",
        ),
    ];
    let found = differs.into_iter().find(|&(differs, _)| differs);
    found.map(|(_, what)| what)
}
