//! RTNeural's JSON of Keras models, and what AIDA-X adds to it. Weights lie as in Keras: `[inputs][gates * units]`, the gates of an
//! LSTM as i, f, c, o, those of a GRU as z, r, h, whose two rows of biases are those of its two products.

use std::path::Path;

use serde_json::{Map, Value};

use super::arrays::numbers;
use super::description::Description;
use super::json::{is_set, number};
use super::{Found, FoundLayer};
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::options::RecurrentOptions;
use crate::model::Output;
use crate::save::{Numbers, fault};
use crate::{Element, Error, Result};

/// Reads such a file.
pub fn read<E: Element>(
    file: &Path,
    object: &Map<String, Value>,
    description: &Description,
) -> Result<Found<E>> {
    let input_size = last(&object["in_shape"]).ok_or_else(|| {
        fault(
            file,
            "in_shape has no last element, expected the number of inputs",
        )
    })?;
    let items = object["layers"].as_array();
    let items = items.ok_or_else(|| fault(file, "layers is no array"))?;
    let mut found = Found {
        input_size,
        output_size: input_size,
        output: description.output.unwrap_or(Output::All),
        layers: Vec::new(),
    };
    let gain = |name: &str| {
        Ok(match number(file, name, object.get(name))? {
            None | Some(0.0) => None,
            // So it is in the plugins of AIDA DSP.
            Some(decibels) if decibels <= -90.0 => Some(0.0),
            Some(decibels) => Some(10_f64.powf(decibels * 0.05)),
        })
    };
    // The parameters that stand beside the sound are not scaled.
    if let Some(gain) = gain("in_gain")? {
        let share = move |row, unit| match (row == unit, row) {
            (false, _) => 0.0,
            (true, 0) => gain,
            (true, _) => 1.0,
        };
        found.layers.push(FoundLayer::fixed(input_size, share));
    }
    let input = found.layers.len();
    for (index, item) in items.iter().enumerate() {
        let reader = Reader {
            file,
            item,
            index,
            inputs: found.output_size,
        };
        found.output_size = reader.add_to(&mut found.layers)?;
    }
    if is_set(file, "in_skip", object.get("in_skip"))? {
        found.add_skip(file, input)?;
    }
    if let Some(gain) = gain("out_gain")? {
        let share = move |row, unit| if row == unit { gain } else { 0.0 };
        found
            .layers
            .push(FoundLayer::fixed(found.output_size, share));
    }
    Ok(found)
}

/// The last element of a shape.
fn last(shape: &Value) -> Option<usize> {
    let last = shape.as_array()?.last()?.as_u64()?;
    usize::try_from(last).ok()
}

/// A layer of the file.
struct Reader<'a> {
    file: &'a Path,
    item: &'a Value,
    index: usize,
    inputs: usize,
}

impl Reader<'_> {
    fn fault(&self, message: &str) -> Error {
        fault(self.file, &format!("layers[{}]: {message}", self.index))
    }

    /// A tensor of the layer.
    fn weights<E: Element>(&self, number: usize, shape: &[usize]) -> Result<Numbers<E>> {
        let name = format!("layers[{}].weights[{number}]", self.index);
        let value = self
            .item
            .get("weights")
            .and_then(|weights| weights.get(number));
        let value = value.ok_or_else(|| self.fault(&format!("no weights[{number}]")))?;
        let numbers = numbers(self.file, &name, value)?;
        if numbers.shape != shape {
            let actual = &numbers.shape;
            let message = format!("weights[{number}] has shape {actual:?}, expected {shape:?}");
            return Err(self.fault(&message));
        }
        Ok(numbers)
    }

    /// The function of that name; None for no name, and for the linear one.
    fn activation(&self) -> Result<Option<Activation>> {
        let name = self.item.get("activation").and_then(Value::as_str);
        Ok(Some(match name.unwrap_or_default() {
            "" | "linear" => return Ok(None),
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "relu" => Activation::Relu,
            "elu" => Activation::Elu { alpha: 1.0 },
            name => return Err(self.fault(&format!("activation {name}, which elman has not"))),
        }))
    }

    /// Adds the layer; returns how many outputs it has.
    fn add_to<E: Element>(&self, layers: &mut Vec<FoundLayer<E>>) -> Result<usize> {
        let kind = self
            .item
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let units = self.item.get("shape").and_then(last).unwrap_or(self.inputs);
        let inputs = self.inputs;
        let options = Box::new(RecurrentOptions::default());
        match kind {
            "dense" | "time-distributed-dense" => {
                let weight = self.weights::<E>(0, &[inputs, units])?.values;
                let bias = self.weights::<E>(1, &[units])?.values;
                let activation = self.activation()?.unwrap_or(Activation::Linear);
                let spec = LayerSpec::Dense { units, activation };
                layers.push(FoundLayer::new(spec, move |at| match at.tensor.role {
                    TensorRole::DenseWeight => weight[at.row * units + at.unit],
                    _ => bias[at.unit],
                }));
            }
            "lstm" => {
                let columns = units.saturating_mul(4);
                let input = self.weights::<E>(0, &[inputs, columns])?.values;
                let recurrent = self.weights::<E>(1, &[units, columns])?.values;
                let bias = self.weights::<E>(2, &[columns])?.values;
                let spec = LayerSpec::Lstm { units, options };
                layers.push(FoundLayer::new(spec, move |at| {
                    let column = at.gate * units + at.unit;
                    match at.tensor.role {
                        TensorRole::InputWeight => input[at.row * columns + column],
                        TensorRole::RecurrentWeight => recurrent[at.row * columns + column],
                        _ => bias[column],
                    }
                }));
            }
            "gru" => {
                let columns = units.saturating_mul(3);
                let input = self.weights::<E>(0, &[inputs, columns])?.values;
                let recurrent = self.weights::<E>(1, &[units, columns])?.values;
                let biases = self.weights::<E>(2, &[2, columns])?.values;
                let spec = LayerSpec::Gru { units, options };
                layers.push(FoundLayer::new(spec, move |at| {
                    // r, z, n of z, r, h.
                    let gate = [1, 0, 2][at.gate];
                    let column = gate * units + at.unit;
                    match at.tensor.role {
                        TensorRole::InputWeight => input[at.row * columns + column],
                        TensorRole::RecurrentWeight => recurrent[at.row * columns + column],
                        TensorRole::RecurrentBias if gate < 2 => {
                            biases[column] + biases[columns + column]
                        }
                        TensorRole::RecurrentBias => biases[column],
                        // That of the candidate's second product.
                        _ => biases[columns + 2 * units + at.unit],
                    }
                }));
            }
            "activation" if units != inputs => {
                return Err(self.fault(&format!("{units} outputs of {inputs} inputs")));
            }
            "activation" => {}
            "" => return Err(self.fault("no type")),
            kind => {
                let known = "dense, time-distributed-dense, lstm, gru or activation";
                return Err(self.fault(&format!("type {kind}, expected {known}")));
            }
        }
        // The function of a recurrent layer is its cell's own, whatever is said here.
        if kind == "activation"
            && let Some(activation) = self.activation()?
        {
            layers.push(FoundLayer::bare(LayerSpec::Activation { activation }));
        }
        Ok(units)
    }
}
