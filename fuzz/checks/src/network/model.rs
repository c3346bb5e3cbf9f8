//! What a caller knows about a network.

use std::collections::BTreeSet;

use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::recurrent::*;

use super::{Layer, Recurrent, create, set_names, set_parameters};
use crate::call::{c, must};

/// What a caller knows about a network.
#[derive(Clone, Debug)]
pub struct Model {
    pub input: usize,
    pub layers: Vec<Layer>,
    /// Numbers of the layers that are frozen.
    pub frozen: BTreeSet<usize>,
    pub output: u32,
    /// Of the handle; a twin always runs batch-major.
    pub time_major: bool,
    pub standardization: Option<[Vec<f32>; 2]>,
    /// Of the classes.
    pub names: Option<Vec<String>>,
}

impl Model {
    pub fn new(input: usize) -> Self {
        Self {
            input,
            layers: Vec::new(),
            frozen: BTreeSet::new(),
            output: ELMAN_OUTPUT_LAST,
            time_major: false,
            standardization: None,
            names: None,
        }
    }

    pub fn output_size(&self) -> usize {
        let units = self.layers.iter().rev().find_map(|layer| match *layer {
            Layer::Rnn { units, .. } | Layer::Dense { units, .. } => Some(units),
            Layer::Recurrent(layer) => Some(layer.outputs()),
            Layer::Dropout { .. } | Layer::Activation { .. } => None,
        });
        units.unwrap_or(self.input)
    }

    pub fn state_size(&self) -> usize {
        let units = self.layers.iter().map(|layer| match *layer {
            Layer::Rnn { units, .. } => units,
            Layer::Recurrent(layer) => layer.state_size(),
            Layer::Dense { .. } | Layer::Dropout { .. } | Layer::Activation { .. } => 0,
        });
        units.sum()
    }

    /// The recurrent layers with options.
    pub fn recurrent(&self) -> impl Iterator<Item = &Recurrent> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Recurrent(layer) => Some(layer),
            _ => None,
        })
    }

    /// Whether an output depends on later steps.
    pub fn looks_ahead(&self) -> bool {
        let ahead = |layer: &Recurrent| layer.options.direction != ELMAN_FORWARD;
        self.recurrent().any(ahead)
    }

    /// Whether sequences that are given no state start from one of the network's own.
    pub fn has_own_start(&self) -> bool {
        let own = |layer: &Recurrent| layer.options.initial_state != ELMAN_INITIAL_ZEROS;
        self.recurrent().any(own)
    }

    /// The state that sequences start from which are given none.
    pub fn start(&self, parameters: &[f32]) -> Vec<f32> {
        let mut state = Vec::new();
        let (mut inputs, mut first) = (self.input as u128, 0);
        for layer in &self.layers {
            let count = layer.parameter_count(inputs) as usize;
            match layer {
                Layer::Rnn { units, .. } => state.resize(state.len() + units, 0.0),
                Layer::Recurrent(layer) => {
                    let ways = layer.ways();
                    let size = layer.state_size() / ways;
                    for way in 1..=ways {
                        let end = first + count / ways * way;
                        match layer.options.initial_state {
                            ELMAN_INITIAL_ZEROS => state.resize(state.len() + size, 0.0),
                            _ => state.extend(&parameters[end - size..end]),
                        }
                    }
                }
                Layer::Dense { .. } | Layer::Dropout { .. } | Layer::Activation { .. } => {}
            }
            first += count;
            inputs = layer.units().unwrap_or(inputs);
        }
        // What is 0 for the library is so here.
        state
    }

    pub fn parameter_count(&self) -> usize {
        let mut count = 0;
        let mut inputs = self.input as u128;
        for layer in &self.layers {
            count += layer.parameter_count(inputs);
            inputs = layer.units().unwrap_or(inputs);
        }
        count as usize
    }

    /// Whether training drops elements.
    pub fn drops(&self) -> bool {
        let drops = |layer: &Layer| match *layer {
            Layer::Dropout { rate } => rate > 0.0,
            Layer::Recurrent(Recurrent { options, .. }) => {
                let rates = [
                    options.recurrent_dropout,
                    options.zoneout,
                    options.zoneout_cell,
                ];
                rates != [0.0; 3]
            }
            Layer::Rnn { .. } | Layer::Dense { .. } | Layer::Activation { .. } => false,
        };
        self.layers.iter().any(drops)
    }

    /// Elements of the output for a batch, as sizes to multiply.
    pub fn output_sizes(&self, batch: usize, steps: usize) -> Vec<usize> {
        match self.output {
            ELMAN_OUTPUT_LAST => vec![batch, self.output_size()],
            _ => vec![batch, steps, self.output_size()],
        }
    }

    /// A network like that.
    pub fn build(&self, parameters: &[f32]) -> Box<Network> {
        let mut network = create(self.input);
        for layer in &self.layers {
            must("a layer", layer.add(Some(&mut network)));
        }
        for &layer in &self.frozen {
            let status = elman_set_trainable(Some(&mut network), layer, 0);
            must("elman_set_trainable", status);
        }
        must(
            "elman_set_output",
            elman_set_output(Some(&mut network), self.output),
        );
        if let Some([mean, deviation]) = &self.standardization {
            let (mean_values, deviations) = (mean.as_ptr(), deviation.as_ptr());
            let network = Some(&mut *network);
            let status = c!(elman_set_standardization(
                network,
                mean_values,
                deviations,
                mean.len()
            ));
            must("elman_set_standardization", status);
        }
        if let Some(names) = &self.names {
            must("elman_set_class_names", set_names(&mut network, names));
        }
        set_parameters(&mut network, parameters);
        network
    }
}
