//! Neural Amp Modeler's files of the architecture LSTM: one list of numbers, layer after layer, the gates in PyTorch's order.

use std::path::Path;

use serde_json::{Map, Value};

use super::arrays::numbers;
use super::description::Description;
use super::{Found, FoundLayer};
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::options::{InitialState, RecurrentOptions};
use crate::model::Output;
use crate::save::fault;
use crate::{Element, Result};

const GATES: usize = 4;

/// Reads such a file.
pub fn read<E: Element>(
    file: &Path,
    object: &Map<String, Value>,
    description: &Description,
) -> Result<Found<E>> {
    let architecture = object["architecture"].as_str().unwrap_or("of no name");
    if architecture != "LSTM" {
        let message = format!("a model of the architecture {architecture}, expected LSTM");
        return Err(fault(file, &message));
    }
    let size = |name: &str| {
        let value = object.get("config").and_then(|config| config.get(name));
        let size = value.and_then(Value::as_u64).map(usize::try_from);
        let what = match (size, value) {
            (Some(Ok(size @ 1..)), _) => return Ok(size),
            (_, Some(_)) => "no whole number from 1 on",
            (_, None) => "missing",
        };
        Err(fault(file, &format!("config.{name} is {what}")))
    };
    let (inputs, units) = (size("input_size")?, size("hidden_size")?);
    let layer_count = size("num_layers")?;
    let weights = numbers::<E>(file, "weights", &object["weights"])?;
    let mut rest = &weights.values[..];
    let few = || {
        let count = weights.values.len();
        fault(
            file,
            &format!("{count} weights, expected more of {layer_count} layers of {units} units"),
        )
    };
    let mut layers = Vec::new();
    for layer in 0..layer_count {
        let inputs = if layer == 0 { inputs } else { units };
        // A matrix [4 units][inputs + units], a bias, h_0 and c_0.
        let columns = inputs.saturating_add(units);
        let rows = units.saturating_mul(GATES);
        let matrix = rows.saturating_mul(columns);
        let count = matrix
            .saturating_add(rows)
            .saturating_add(units.saturating_mul(2));
        let own = rest.get(..count).ok_or_else(few)?.to_vec();
        rest = &rest[count..];
        let options = RecurrentOptions {
            initial_state: InitialState::Trainable,
            ..RecurrentOptions::default()
        };
        let spec = LayerSpec::Lstm {
            units,
            options: Box::new(options),
        };
        layers.push(FoundLayer::new(spec, move |at| {
            let row = at.gate * units + at.unit;
            own[match at.tensor.role {
                TensorRole::InputWeight => row * columns + at.row,
                TensorRole::RecurrentWeight => row * columns + inputs + at.row,
                TensorRole::RecurrentBias => matrix + row,
                TensorRole::InitialState => matrix + rows + at.unit,
                _ => matrix + rows + units + at.unit,
            }]
        }));
    }
    // The head: a matrix [outputs][units] and a bias.
    let outputs = rest.len() / (units + 1);
    if outputs == 0 || rest.len() % (units + 1) != 0 {
        let message = format!(
            "{} weights for the head, expected {} or a multiple",
            rest.len(),
            units + 1
        );
        return Err(fault(file, &message));
    }
    let head = rest.to_vec();
    let spec = LayerSpec::Dense {
        units: outputs,
        activation: Activation::Linear,
    };
    layers.push(FoundLayer::new(spec, move |at| {
        head[match at.tensor.role {
            TensorRole::DenseWeight => at.unit * units + at.row,
            _ => outputs * units + at.unit,
        }]
    }));
    Ok(Found {
        input_size: inputs,
        output_size: outputs,
        output: description.output.unwrap_or(Output::All),
        layers,
    })
}
