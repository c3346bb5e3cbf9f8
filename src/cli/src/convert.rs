//! `elman import` and `elman export`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use elman::init::TensorRole;
use elman::{ImportOptions, LayerKind, Network, Output};

use crate::data::fault;
use crate::failure::Result;
use crate::info::summary;
use crate::options::load;

/// Read a network of another system and save it
///
/// Taken are state dicts of PyTorch (safetensors or JSON), ONNX files, and models of RTNeural, AIDA-X, GuitarML and Neural Amp
/// Modeler; the contents of the file tell which. docs/import.md says what of each.
#[derive(Args)]
pub struct ImportArguments {
    /// The file of the other system
    file: PathBuf,
    /// The file to save the network to
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// A file of JSON that says what a state dict leaves open [default: FILE.description.json, if there is one]
    #[arg(long, value_name = "FILE")]
    description: Option<PathBuf>,
    /// Let the network give the output of the last step only, as evaluate needs it
    #[arg(long)]
    last: bool,
    /// The names of the classes that the outputs stand for, in their order
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    classes: Vec<String>,
}

pub fn import(arguments: &ImportArguments) -> Result<()> {
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| fault(path, error));
    let description = arguments.description.as_ref().map(read).transpose()?;
    let mut network = Network::<f32>::import(&arguments.file, &ImportOptions { description })?;
    if arguments.last {
        network.set_output(Output::Last)?;
    }
    if !arguments.classes.is_empty() {
        network
            .set_class_names(&arguments.classes)
            .map_err(|error| fault(&arguments.file, format_args!("--classes: {error}")))?;
    }
    network.save(&arguments.output)?;
    crate::output::write_to(None, |out| writeln!(out, "{}", summary(&network)))
}

/// Write a saved network for another system
///
/// A state dict is a safetensors file for PyTorch's load_state_dict. It has no standardisation of inputs: it is made part of
/// the first layer. An ONNX file has the standardisation as it is. Neither has the names of classes.
#[derive(Args)]
pub struct ExportArguments {
    /// The network
    model: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What to write [default: ONNX to a file whose name ends with .onnx, else a state dict]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The names of PyTorch's modules, one for each layer that has parameters; the layers of one module have the same
    /// [default: gru, linear and so on]
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    modules: Vec<String>,
}

/// A format of another system.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    StateDict,
    Onnx,
}

pub fn export(arguments: &ExportArguments) -> Result<()> {
    let mut network = load(&arguments.model, 1)?;
    let is_onnx = arguments
        .output
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"));
    let format = arguments.format.unwrap_or(if is_onnx {
        Format::Onnx
    } else {
        Format::StateDict
    });
    match format {
        Format::Onnx => network.save_onnx(&arguments.output)?,
        Format::StateDict => {
            absorb_standardization(&mut network, &arguments.model)?;
            let modules = match arguments.modules.is_empty() {
                true => module_names(&network),
                false => arguments.modules.clone(),
            };
            network.save_state_dict(&arguments.output, &modules)?;
            let names = modules.join(", ");
            crate::output::write_to(None, |out| writeln!(out, "modules  {names}"))?;
        }
    }
    Ok(())
}

/// Names of modules: recurrent layers of one kind and size that follow each other are one.
fn module_names(network: &Network) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut last = None;
    for layer in network.layers() {
        let name = match layer.kind {
            LayerKind::Rnn { .. } => "rnn",
            LayerKind::Gru => "gru",
            LayerKind::Lstm => "lstm",
            LayerKind::Dense { .. } => "linear",
            LayerKind::LayerNorm { .. } => "norm",
            LayerKind::Embedding { .. } => "embedding",
            // Between the layers of a module there may be dropout.
            LayerKind::Dropout { .. } => continue,
            _ => {
                last = None;
                continue;
            }
        };
        let module = layer.options.map(|options| (name, layer.units, options));
        if let (Some(name), true) = (names.last(), module.is_some() && module == last) {
            names.push(name.clone());
        } else {
            let is_taken = |name: &String| names.contains(name);
            let numbered = (1..).map(|number| format!("{name}{number}"));
            let free = std::iter::once(name.to_owned())
                .chain(numbered)
                .find(|name| !is_taken(name));
            names.extend(free);
        }
        last = module;
    }
    names
}

/// Makes the standardisation of the inputs part of the first layer: W' = W / deviation, b' = b - mean W'.
fn absorb_standardization(network: &mut Network, path: &Path) -> Result<()> {
    let Some(standardization) = network.standardization() else {
        return Ok(());
    };
    let mut parameters = network.parameters().to_vec();
    let first = network.layers().take(1);
    let tensors: Vec<_> = first.flat_map(|layer| layer.tensors()).collect();
    let mut absorbed = false;
    for weight in &tensors {
        let bias = match weight.role {
            TensorRole::InputWeight => TensorRole::RecurrentBias,
            TensorRole::DenseWeight => TensorRole::DenseBias,
            _ => continue,
        };
        let Some(bias) = tensors
            .iter()
            .find(|tensor| tensor.role == bias && tensor.is_reverse == weight.is_reverse)
        else {
            break;
        };
        for column in 0..weight.columns {
            let mut shift = 0.0;
            for row in 0..weight.rows {
                let value =
                    &mut parameters[weight.parameters.start + row * weight.columns + column];
                let scaled = f64::from(*value) * f64::from(standardization.inverse()[row]);
                shift += scaled * f64::from(standardization.mean()[row]);
                *value = scaled as f32;
            }
            let value = &mut parameters[bias.parameters.start + column];
            *value = (f64::from(*value) - shift) as f32;
        }
        absorbed = true;
    }
    if !absorbed {
        let message = "the inputs are standardised, which a state dict can't say of a first layer without biases of its inputs";
        return Err(fault(path, message));
    }
    network.set_standardization(None)?;
    Ok(network.set_parameters(&parameters)?)
}
