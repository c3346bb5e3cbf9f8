//! What a caller knows about a network.

use std::collections::BTreeSet;

use elman_abi::layer::*;
use elman_abi::network::*;
use elman_abi::recurrent::*;

use super::{Layer, Recurrent, create, set_names, set_parameters};
use crate::call::{c, must};
use crate::source::Source;

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

    /// Features of the input and of the output of each layer.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![self.input];
        for layer in &self.layers {
            sizes.push(layer.outputs(&sizes));
        }
        sizes
    }

    pub fn output_size(&self) -> usize {
        *self.sizes().last().expect("that of the input")
    }

    pub fn state_size(&self) -> usize {
        let units = self.layers.iter().map(|layer| match *layer {
            Layer::Rnn { units, .. } => units,
            Layer::Recurrent(layer) => layer.state_size(),
            _ => 0,
        });
        units.sum()
    }

    /// The layers, with the number of the parameters of each.
    pub fn counted_layers(&self) -> impl Iterator<Item = (&Layer, u128)> {
        let layers = self.layers.iter().zip(self.sizes());
        layers.map(|(layer, inputs)| (layer, layer.parameter_count(inputs)))
    }

    pub fn parameter_count(&self) -> usize {
        let counts = self.counted_layers().map(|(_, count)| count);
        counts.sum::<u128>() as usize
    }

    /// The column of the input that is a column of the present output; None where there are other layers than embeddings, or
    /// where it lies in a row of a table.
    pub fn origin(&self, column: usize) -> Option<usize> {
        self.layers
            .iter()
            .rev()
            .try_fold(column, |column, layer| match layer {
                Layer::Embedding { columns, size, .. } => passed(columns, *size, column),
                _ => None,
            })
    }

    /// The columns of the input that are indices, each with the number of its classes.
    pub fn indices(&self) -> Vec<(usize, usize)> {
        let mut before = Self::new(self.input);
        let mut indices = Vec::new();
        for layer in &self.layers {
            let Layer::Embedding {
                columns, classes, ..
            } = layer
            else {
                break;
            };
            let origin = |&column: &usize| before.origin(column).map(|column| (column, *classes));
            indices.extend(columns.iter().filter_map(origin));
            before.layers.push(*layer);
        }
        indices
    }

    /// Makes indices of what stands in their columns: right ones, mostly.
    pub fn put_indices(&self, x: &mut [f32], source: &mut Source<'_>) {
        let wrong = source.rarely(8);
        for (column, classes) in self.indices() {
            for row in x.chunks_mut(self.input) {
                let bits = row[column].to_bits() as usize;
                let others = [classes as f32, -1.0, 0.5, f32::NAN, 1e-40, -0.0];
                row[column] = match wrong && bits.is_multiple_of(3) {
                    true => others[bits / 3 % others.len()],
                    false => (bits % classes) as f32,
                };
            }
        }
    }

    /// Whether all indices of these rows are right.
    pub fn takes(&self, rows: &[f32]) -> bool {
        self.indices().into_iter().all(|(column, classes)| {
            let mut indices = rows.chunks(self.input).map(|row| row[column]);
            indices.all(|index| index == index.floor() && (0.0..classes as f32).contains(&index))
        })
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
        let mut first = 0;
        for (layer, count) in self.counted_layers() {
            let count = count as usize;
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
                _ => {}
            }
            first += count;
        }
        // What is 0 for the library is so here.
        state
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
            _ => false,
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

/// The column of an embedding's input that is a column of its output; None within a row of the table.
fn passed(columns: &[usize], size: usize, column: usize) -> Option<usize> {
    let mut columns = columns.to_vec();
    columns.sort_unstable();
    // From the first one on, the rows become indices again.
    columns
        .into_iter()
        .try_fold(column, |column, index| match column {
            column if column < index => Some(column),
            column if column < index + size => None,
            column => Some(column + 1 - size),
        })
}
