//! What somebody says of a network where its file does not.

use serde::Deserialize;

use crate::activation::Activation;
use crate::layer::LayerSpec;
use crate::model::Output;
use crate::save::{HEADER_LIMIT, Unambiguous};

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

impl Description {
    /// Reads one, or says what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > HEADER_LIMIT {
            let len = json.len();
            return Err(format!("{len} bytes, expected at most {HEADER_LIMIT}"));
        }
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }
}

/// A layer: one that the file has the weights of, or one that needs none.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Unambiguous")]
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

impl TryFrom<Unambiguous> for Item {
    type Error = serde_json::Error;

    fn try_from(Unambiguous(value): Unambiguous) -> Result<Self, serde_json::Error> {
        if value.get("module").is_some() {
            serde_json::from_value(value).map(Self::Module)
        } else {
            serde_json::from_value(value).map(Self::Layer)
        }
    }
}
