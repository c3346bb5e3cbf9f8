//! What somebody says of a network where its file does not.

use serde::Deserialize;
use serde_json::Value;

use crate::activation::Activation;
use crate::layer::LayerSpec;
use crate::model::Output;

/// JSON beside a file of weights: see [`ImportOptions::description`](super::ImportOptions::description).
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// Features of a step's input.
    pub input_size: Option<usize>,
    /// What the network gives for a sequence.
    pub output: Option<Output>,
    /// The layers in their order.
    pub layers: Option<Vec<Item>>,
}

/// A layer: one that the file has the weights of, or one that needs none.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub enum Item {
    /// A module of the file.
    Module(Module),
    /// A layer without weights.
    Layer(LayerSpec),
}

/// What is said of a module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Its name, as far as the tensors' names have it in common.
    pub module: String,
    /// The activation function of a plain recurrent layer, or what follows a dense one.
    #[serde(default)]
    pub activation: Option<Activation>,
    /// Of a layer norm.
    #[serde(default)]
    pub epsilon: Option<f64>,
    /// The columns of the input that an embedding takes as indices.
    #[serde(default)]
    pub columns: Option<Vec<usize>>,
}

impl TryFrom<Value> for Item {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, serde_json::Error> {
        if value.get("module").is_some() {
            serde_json::from_value(value).map(Self::Module)
        } else {
            serde_json::from_value(value).map(Self::Layer)
        }
    }
}
