//! ONNX files: networks as graphs of ONNX' standard operators, which other engines run.

mod inputs;
mod layers;
mod nodes;
mod recurrent;

use std::io::Write;
use std::path::Path;

use super::{WHAT, save_file};
use crate::buffer::try_vec;
use crate::model::{LayerSlot, Model, Output};
use crate::onnx::data_type;
use crate::onnx::wire::Message;
use crate::{Error, Network, Result};
use nodes::{Attribute, Size, value_info};
use recurrent::check;

/// The version of the operators, which ONNX Runtime has known since 1.12, of 2022; and that of the format.
const OPSET: i64 = 17;
const FORMAT: i64 = 8;

/// Most bytes of a message of Protocol Buffers.
const MOST_BYTES: usize = (1 << 31) - 1;

impl Network<f32> {
    /// Writes the network to an ONNX file, which ONNX Runtime and others run to the same numbers, but for rounding errors.
    ///
    /// The graph has the input `x` `[batch][steps][input]` and the output `y`, `[batch][steps][output]` or, of
    /// [`Output::Last`], `[batch][output]`. What may be given beside `x` has a default, as an initializer of the same name:
    /// `lengths` `[batch]` (`int32`), by default as many as there are steps, and `state` `[batch][state_size]`, by default
    /// what the network starts from. The output `state_out` `[batch][state_size]` is the state that goes on. They lie as those
    /// of [`Self::predict`]. Outputs of steps beyond a sequence's length mean nothing; lengths are at least 1 where the output
    /// is that of the last step.
    ///
    /// Dropout stays in the graph, where it does nothing; recurrent dropout and class names are left out. The operators are
    /// those of version 17. The file is replaced as with [`Self::save`], and [`Self::import`] reads it again: the parameters are the
    /// same, bit for bit, but for initial states of zeros, which the network then has not, and for standardised inputs, which become
    /// two dense layers; so a network that has an embedding besides may be refused.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for what ONNX has not: projections, clipped cell states, zoneout, and hard tanh within a cell;
    /// [`Error::OutOfRange`] for more than 2 GiB; [`Error::OutOfMemory`]; [`Error::Io`] and [`Error::Format`] as with
    /// [`Self::save`].
    pub fn save_onnx(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.to_onnx()?;
        save_file(path.as_ref(), |file| file.write_all(&bytes))
    }

    /// The contents of the file that [`Self::save_onnx`] writes.
    ///
    /// # Errors
    /// As there, but for those of files.
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        Graph::new(self.model())?.bytes()
    }
}

/// A graph that is being written.
struct Graph<'a> {
    model: &'a Model<f32>,
    /// The message, but for the constants, which come last.
    nodes: Message,
    /// All but the numbers of the constants that are being written.
    constants: Message,
    /// The name of what each value is at all steps, [steps][batch][features].
    values: Vec<String>,
    /// And at the last step, [batch][features], where that has been wanted.
    last: Vec<Option<String>>,
    /// Outputs of the recurrent layers that are states, [batch][size], in elman's order.
    states: Vec<String>,
    /// The final outputs of the recurrent layers, of each direction.
    finals: Vec<Vec<String>>,
    /// The number of nodes, which gives them names.
    count: usize,
}

impl<'a> Graph<'a> {
    fn new(model: &'a Model<f32>) -> Result<Self> {
        // The constants are the parameters and what says how they are put together.
        let room = model.parameters.len().saturating_mul(size_of::<f32>());
        check_size(room)?;
        let graph = Self {
            model,
            nodes: Message::default(),
            constants: Message(try_vec(WHAT, room)?),
            values: Vec::new(),
            last: Vec::new(),
            states: Vec::new(),
            finals: Vec::new(),
            count: 0,
        };
        Ok(graph)
    }

    /// All of the file.
    fn bytes(mut self) -> Result<Vec<u8>> {
        let model = self.model;
        model
            .places
            .iter()
            .filter_map(|place| place.spec.recurrent_options())
            .try_for_each(check)?;
        self.inputs();
        for index in 0..model.places.len() {
            self.layer(index)?;
        }
        let y = match model.output {
            Output::All => {
                let y = self.values[model.places.len()].clone();
                self.node(
                    "Transpose",
                    &[&y],
                    &["y"],
                    &[("perm", Attribute::Integers(&[1, 0, 2]))],
                );
                vec![
                    Size::Named("batch"),
                    Size::Named("steps"),
                    Size::Of(model.output_size()),
                ]
            }
            Output::Last => {
                let y = self.last(model.places.len());
                self.node("Identity", &[&y], &["y"], &[]);
                vec![Size::Named("batch"), Size::Of(model.output_size())]
            }
        };
        let mut graph = self.nodes;
        graph.text(2, "network");
        graph.message(12, &value_info("y", data_type::FLOAT, &y));
        let x = [
            Size::Named("batch"),
            Size::Named("steps"),
            Size::Of(model.input_size),
        ];
        graph.message(11, &value_info("x", data_type::FLOAT, &x));
        if model.places.iter().any(has_state) {
            let state = |batch| [Size::Named(batch), Size::Of(model.state_size)];
            // Of one row it is that of all sequences.
            let (given, result) = (state("states"), state("batch"));
            graph.message(11, &value_info("state", data_type::FLOAT, &given));
            graph.message(12, &value_info("state_out", data_type::FLOAT, &result));
        }
        if uses_lengths(model) {
            let size = [Size::Named("lengths")];
            graph.message(11, &value_info("lengths", data_type::INT32, &size));
        }
        let mut file = Message::default();
        file.integer(1, FORMAT);
        file.text(2, "elman");
        file.text(3, env!("CARGO_PKG_VERSION"));
        let mut operators = Message::default();
        operators.text(1, "");
        operators.integer(2, OPSET);
        file.message(8, &operators);
        let len = graph.0.len() + self.constants.0.len();
        file.head(7, len);
        let total = file.0.len() + len;
        check_size(total)?;
        let mut bytes = try_vec(WHAT, total)?;
        for part in [&file.0, &graph.0, &self.constants.0] {
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }
}

fn has_state(place: &LayerSlot<f32>) -> bool {
    !place.state.is_empty()
}

fn uses_lengths(model: &Model<f32>) -> bool {
    model.output == Output::Last || model.places.iter().any(has_state)
}

/// The numbers of one of a layer's tensors.
fn values<'m>(model: &'m Model<f32>, place: &LayerSlot<f32>, tensor: usize) -> &'m [f32] {
    &model.parameters[place.parameters()][place.tensor_start(tensor)..]
        [..place.tensors[tensor].len()]
}

/// Makes sure that a file of so many bytes can be a message.
fn check_size(bytes: usize) -> Result<()> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Error::OutOfRange {
        name: "the size of the file",
        value: bytes as f64,
        expected: "at most 2 GiB, as messages of Protocol Buffers have",
    })
}
