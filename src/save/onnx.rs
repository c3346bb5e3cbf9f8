//! ONNX files: networks as graphs of ONNX' standard operators, which other engines run.

use std::io::Write;
use std::path::Path;

use super::{WHAT, save_file};
use crate::activation::Activation;
use crate::buffer::try_vec;
use crate::init::TensorRole;
use crate::layer::options::{Direction, LastOutput, Merge, RecurrentOptions, Reset};
use crate::layer::{LayerSpec, Tensor};
use crate::model::{LayerSlot, Model, Output};
use crate::onnx::data_type;
use crate::onnx::wire::Message;
use crate::{Error, Network, Result};

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

/// A value of an attribute.
enum Attribute<'v> {
    Integer(i64),
    Float(f32),
    Text(&'v str),
    Integers(&'v [i64]),
    Floats(&'v [f32]),
    Texts(&'v [&'v str]),
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

    /// Adds a node; returns the name of its first output, which is made up where `outputs` is empty.
    fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let name = format!("{op}_{}", self.count);
        self.count += 1;
        let mut node = Message::default();
        inputs.iter().for_each(|input| node.text(1, input));
        match outputs {
            [] => node.text(2, &name),
            outputs => outputs.iter().for_each(|output| node.text(2, output)),
        }
        node.text(3, &name);
        node.text(4, op);
        for (name, value) in attributes {
            let mut attribute = Message::default();
            attribute.text(1, name);
            let kind = match value {
                Attribute::Float(value) => {
                    attribute.float(2, *value);
                    1
                }
                Attribute::Integer(value) => {
                    attribute.integer(3, *value);
                    2
                }
                Attribute::Text(value) => {
                    attribute.text(4, value);
                    3
                }
                Attribute::Floats(values) => {
                    values.iter().for_each(|value| attribute.float(7, *value));
                    6
                }
                Attribute::Integers(values) => {
                    values.iter().for_each(|value| attribute.integer(8, *value));
                    7
                }
                Attribute::Texts(values) => {
                    values.iter().for_each(|value| attribute.text(9, value));
                    8
                }
            };
            attribute.integer(20, kind);
            node.message(5, &attribute);
        }
        self.nodes.message(1, &node);
        match outputs {
            [] => name,
            outputs => outputs[0].to_owned(),
        }
    }

    /// Adds a constant of floating-point numbers.
    fn floats(
        &mut self,
        name: &str,
        dims: &[usize],
        values: impl ExactSizeIterator<Item = f32>,
    ) -> String {
        let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        let len = values.len() * size_of::<f32>();
        let values = values.flat_map(f32::to_le_bytes);
        self.constant(name, data_type::FLOAT, &dims, len, values)
    }

    /// Adds a constant list of integers.
    fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("integers_{}", self.count);
        self.count += 1;
        let len = size_of_val(values);
        let values_len = [values.len() as i64];
        let values = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(&name, data_type::INT64, &values_len, len, values)
    }

    /// Adds a constant number.
    fn scalar(&mut self, value: f32) -> String {
        let name = format!("number_{}", self.count);
        self.count += 1;
        self.floats(&name, &[], std::iter::once(value))
    }

    fn constant(
        &mut self,
        name: &str,
        data_type: i64,
        dims: &[i64],
        len: usize,
        values: impl Iterator<Item = u8>,
    ) -> String {
        let mut tensor = Message::default();
        dims.iter().for_each(|&size| tensor.integer(1, size));
        tensor.integer(2, data_type);
        tensor.text(8, name);
        tensor.head(9, len);
        self.constants.head(5, tensor.0.len() + len);
        self.constants.0.extend(tensor.0);
        self.constants.0.extend(values);
        name.to_owned()
    }

    /// What the graph takes, as layers take it.
    fn inputs(&mut self) {
        let model = self.model;
        let order = [("perm", Attribute::Integers(&[1, 0, 2]))];
        let mut x = self.node("Transpose", &["x"], &[], &order);
        if let Some(map) = model.input_map() {
            let size = [model.input_size];
            let mean = self.floats("mean", &size, map.mean().iter().copied());
            let deviation = self.floats("deviation", &size, map.deviation().iter().copied());
            x = self.node("Sub", &[&x, &mean], &[], &[]);
            x = self.node("Div", &[&x, &deviation], &[], &[]);
        }
        self.values.push(x);
        self.last.push(None);
        let has_states = model.places.iter().any(has_state);
        if !has_states && !uses_lengths(model) {
            return;
        }
        let shape = self.node("Shape", &["x"], &[], &[]);
        let (zero, one) = (self.integers(&[0]), self.integers(&[1]));
        let batch = self.node("Gather", &[&shape, &zero], &[], &[]);
        if uses_lengths(model) {
            let all = i32::MAX.to_le_bytes();
            self.constant(
                "lengths",
                data_type::INT32,
                &[1],
                all.len(),
                all.into_iter(),
            );
            let steps = self.node("Gather", &[&shape, &one], &[], &[]);
            let lengths = self.node("Expand", &["lengths", &batch], &[], &[]);
            let to = |kind| [("to", Attribute::Integer(kind))];
            let lengths = self.node("Cast", &[&lengths], &[], &to(data_type::INT64));
            self.node("Min", &[&lengths, &steps], &["own_lengths"], &[]);
            self.node(
                "Cast",
                &["own_lengths"],
                &["short_lengths"],
                &to(data_type::INT32),
            );
        }
        if has_states {
            let mut start = vec![0.0; model.state_size];
            for place in &model.places {
                for (_, range, own) in place.states() {
                    if let Some(own) = own {
                        let len = range.len();
                        start[range]
                            .copy_from_slice(&model.parameters[place.parameters()][own..][..len]);
                    }
                }
            }
            let size = self.integers(&[model.state_size as i64]);
            self.floats("state", &[1, model.state_size], start.into_iter());
            let shape = self.node(
                "Concat",
                &[&batch, &size],
                &[],
                &[("axis", Attribute::Integer(0))],
            );
            let state = self.node("Expand", &["state", &shape], &[], &[]);
            let mut sizes = Vec::new();
            let mut names = Vec::new();
            for (index, place) in model
                .places
                .iter()
                .enumerate()
                .filter(|(_, place)| has_state(place))
            {
                let Some((units, _)) = recurrent(&place.spec) else {
                    continue;
                };
                for (direction, part) in place.state.iter().enumerate() {
                    for of in 0..part.size / units {
                        sizes.push(units as i64);
                        names.push(format!("layer{index}.{}_{direction}", ["h", "c"][of]));
                    }
                }
            }
            let sizes = self.integers(&sizes);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.node(
                "Split",
                &[&state, &sizes],
                &names,
                &[("axis", Attribute::Integer(1))],
            );
        }
    }

    /// Adds a layer behind those that there are.
    fn layer(&mut self, index: usize) -> Result<()> {
        let model = self.model;
        let place = &model.places[index];
        let is_last = index >= model.sequence_layers();
        let inputs: Vec<String> = place
            .inputs
            .iter()
            .map(|input| match is_last {
                true => self.last(input.value),
                false => self.values[input.value].clone(),
            })
            .collect();
        self.finals.push(Vec::new());
        let x = &inputs[0];
        let y = match &place.spec {
            LayerSpec::Rnn { options, .. }
            | LayerSpec::Gru { options, .. }
            | LayerSpec::Lstm { options, .. } => self.recurrent(index, x, options)?,
            LayerSpec::Dense { activation, .. } => {
                let y = self.dense(index, place, x);
                self.activation(*activation, y)
            }
            LayerSpec::Dropout { rate } => {
                let rate = self.scalar(*rate as f32);
                self.node("Dropout", &[x, &rate], &[], &[])
            }
            LayerSpec::Activation { activation } => self.activation(*activation, x.clone()),
            LayerSpec::LayerNorm { epsilon } => {
                let [gain, bias] = [0, 1].map(|tensor| self.vector(index, place, tensor));
                let epsilon = ("epsilon", Attribute::Float(*epsilon as f32));
                let axis = ("axis", Attribute::Integer(-1));
                self.node(
                    "LayerNormalization",
                    &[x, &gain, &bias],
                    &[],
                    &[axis, epsilon],
                )
            }
            LayerSpec::Embedding { columns, size, .. } => {
                let inputs = model.input_size_of(place);
                self.embedding(index, place, x, (inputs, columns, *size), is_last)
            }
            LayerSpec::Concat { .. } => {
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.node("Concat", &inputs, &[], &[("axis", Attribute::Integer(-1))])
            }
            LayerSpec::Residual { .. } => self.node("Add", &[x, &inputs[1]], &[], &[]),
        };
        match is_last {
            true => {
                self.values.push(String::new());
                self.last.push(Some(y));
            }
            false => {
                self.values.push(y);
                self.last.push(None);
            }
        }
        Ok(())
    }

    /// A vector of a layer, as a constant.
    fn vector(&mut self, index: usize, place: &LayerSlot<f32>, tensor: usize) -> String {
        let values = values(self.model, place, tensor);
        let name = format!("layer{index}.{}", place.tensors[tensor].role.name());
        self.floats(&name, &[values.len()], values.iter().copied())
    }

    fn dense(&mut self, index: usize, place: &LayerSlot<f32>, x: &str) -> String {
        let Tensor { rows, columns, .. } = place.tensors[0];
        let weights = values(self.model, place, 0).iter().copied();
        let weights = self.floats(&format!("layer{index}.W"), &[rows, columns], weights);
        let bias = self.vector(index, place, 1);
        let y = self.node("MatMul", &[x, &weights], &[], &[]);
        self.node("Add", &[&y, &bias], &[], &[])
    }

    fn activation(&mut self, activation: Activation, x: String) -> String {
        let number = |name, value: f64| (name, Attribute::Float(value as f32));
        let scaled = |graph: &mut Self, op, x: String, by: f64, neutral: f64| match by == neutral {
            true => x,
            false => {
                let by = graph.scalar(by as f32);
                graph.node(op, &[&x, &by], &[], &[])
            }
        };
        match activation {
            Activation::Linear => x,
            Activation::Affine { alpha, beta } => {
                let x = scaled(self, "Mul", x, alpha, 1.0);
                scaled(self, "Add", x, beta, 0.0)
            }
            Activation::ScaledTanh { alpha, beta } => {
                let x = scaled(self, "Mul", x, beta, 1.0);
                let x = self.node("Tanh", &[&x], &[], &[]);
                scaled(self, "Mul", x, alpha, 1.0)
            }
            Activation::HardTanh => {
                let (low, high) = (self.scalar(-1.0), self.scalar(1.0));
                self.node("Clip", &[&x, &low, &high], &[], &[])
            }
            Activation::HardSigmoid { alpha, beta } => {
                let numbers = [number("alpha", alpha), number("beta", beta)];
                self.node("HardSigmoid", &[&x], &[], &numbers)
            }
            Activation::LeakyRelu { alpha } => {
                self.node("LeakyRelu", &[&x], &[], &[number("alpha", alpha)])
            }
            Activation::Elu { alpha } => self.node("Elu", &[&x], &[], &[number("alpha", alpha)]),
            Activation::ThresholdedRelu { alpha } => {
                self.node("ThresholdedRelu", &[&x], &[], &[number("alpha", alpha)])
            }
            Activation::Tanh => self.node("Tanh", &[&x], &[], &[]),
            Activation::Relu => self.node("Relu", &[&x], &[], &[]),
            Activation::Sigmoid => self.node("Sigmoid", &[&x], &[], &[]),
            Activation::Softsign => self.node("Softsign", &[&x], &[], &[]),
            Activation::Softplus => self.node("Softplus", &[&x], &[], &[]),
        }
    }

    /// Rows of a table in the place of some of the features.
    fn embedding(
        &mut self,
        index: usize,
        place: &LayerSlot<f32>,
        x: &str,
        (inputs, columns, size): (usize, &[usize], usize),
        is_last: bool,
    ) -> String {
        let features = if is_last { 1 } else { 2 };
        let along = |axis| [("axis", Attribute::Integer(axis))];
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        let tensor = &place.tensors[0];
        let table = values(self.model, place, 0).iter().copied();
        let table = self.floats(
            &format!("layer{index}.table"),
            &[tensor.rows, tensor.columns],
            table,
        );
        let wanted: Vec<i64> = columns.iter().map(|&column| column as i64).collect();
        let wanted = self.integers(&wanted);
        let indices = self.node("Gather", &[x, &wanted], &[], &along(features));
        let to = [("to", Attribute::Integer(data_type::INT64))];
        let indices = self.node("Cast", &[&indices], &[], &to);
        let vectors = self.node("Gather", &[&table, &indices], &[], &along(0));
        let shape = match is_last {
            true => self.integers(&[0, (columns.len() * size) as i64]),
            false => self.integers(&[0, 0, (columns.len() * size) as i64]),
        };
        let vectors = self.node("Reshape", &[&vectors, &shape], &[], &[]);
        if columns.len() == inputs {
            return vectors;
        }
        // Vectors and the features between them.
        let mut parts = Vec::new();
        let part = |graph: &mut Self, of: &str, from: usize, to: usize| {
            let ends = [from, to].map(|end| graph.integers(&[end as i64]));
            let axis = graph.integers(&[features]);
            graph.node("Slice", &[of, &ends[0], &ends[1], &axis], &[], &[])
        };
        let mut from = 0;
        for (number, &column) in columns.iter().enumerate() {
            if column > from {
                parts.push(part(self, x, from, column));
            }
            parts.push(part(self, &vectors, number * size, (number + 1) * size));
            from = column + 1;
        }
        if from < inputs {
            parts.push(part(self, x, from, inputs));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Concat", &parts, &[], &along(-1))
    }

    fn recurrent(&mut self, index: usize, x: &str, options: &RecurrentOptions) -> Result<String> {
        let model = self.model;
        let place = &model.places[index];
        let Some((units, op)) = recurrent(&place.spec) else {
            unreachable!("it is recurrent");
        };
        let both = options.direction == Direction::Bidirectional;
        let directions = 1 + usize::from(both);
        // For each gate in ONNX, that in elman: none where a coupled one has no weights.
        let order: &[Option<usize>] = match op {
            "RNN" => &[Some(0)],
            "GRU" => &[Some(1), Some(0), Some(2)],
            _ if options.coupled => &[Some(0), Some(2), None, Some(1)],
            _ => &[Some(0), Some(3), Some(1), Some(2)],
        };
        let find = |role, is_reverse| {
            let is_it = |tensor: &Tensor| tensor.role == role && tensor.is_reverse == is_reverse;
            let tensor = place.tensors.iter().position(is_it)?;
            Some((&place.tensors[tensor], values(model, place, tensor)))
        };
        let ways: Vec<bool> = match options.direction {
            Direction::Forward => vec![false],
            Direction::Reverse => vec![true],
            Direction::Bidirectional => vec![false, true],
        };
        // [directions][gates * units][rows], the transposes of elman's.
        let matrix = |role| {
            let mut numbers = Vec::new();
            let mut rows = 0;
            for &way in &ways {
                if let Some((tensor, values)) = find(role, way) {
                    rows = tensor.rows;
                    for gate in order {
                        for unit in 0..units {
                            numbers.extend((0..rows).map(|row| match gate {
                                Some(gate) => values[row * tensor.columns + gate * units + unit],
                                None => 0.0,
                            }));
                        }
                    }
                }
            }
            (vec![directions, order.len() * units, rows], numbers)
        };
        let own = |what: &str| format!("layer{index}.{what}");
        let (dims, numbers) = matrix(TensorRole::InputWeight);
        let input = self.floats(&own("W"), &dims, numbers.into_iter());
        let (dims, numbers) = matrix(TensorRole::RecurrentWeight);
        let hidden = self.floats(&own("R"), &dims, numbers.into_iter());
        let mut bias = String::new();
        if options.bias {
            let (_, first) = matrix(TensorRole::RecurrentBias);
            let len = order.len() * units;
            let mut numbers = Vec::new();
            for (direction, &way) in ways.iter().enumerate() {
                numbers.extend(&first[direction * len..][..len]);
                match find(TensorRole::CandidateBias, way) {
                    Some((_, candidate)) => {
                        numbers.extend(std::iter::repeat_n(0.0, 2 * units));
                        numbers.extend(candidate);
                    }
                    None => numbers.extend(std::iter::repeat_n(0.0, len)),
                }
            }
            bias = self.floats(&own("B"), &[directions, 2 * len], numbers.into_iter());
        }
        let mut peepholes = String::new();
        if options.peepholes {
            // i o f of i f o, or of i o.
            let order: &[Option<usize>] = match options.coupled {
                true => &[Some(0), Some(1), None],
                false => &[Some(0), Some(2), Some(1)],
            };
            let mut numbers = Vec::new();
            for &way in &ways {
                let (_, values) = find(TensorRole::Peephole, way).expect("it has peepholes");
                for row in order {
                    numbers.extend(
                        (0..units).map(|unit| row.map_or(0.0, |row| values[row * units + unit])),
                    );
                }
            }
            peepholes = self.floats(&own("P"), &[directions, 3 * units], numbers.into_iter());
        }
        let states = if op == "LSTM" { 2 } else { 1 };
        let zero = self.integers(&[0]);
        let mut starts = Vec::new();
        for kind in ["h", "c"].into_iter().take(states) {
            let parts: Vec<String> = (0..directions)
                .map(|direction| {
                    self.node(
                        "Unsqueeze",
                        &[&own(&format!("{kind}_{direction}")), &zero],
                        &[],
                        &[],
                    )
                })
                .collect();
            starts.push(match &parts[..] {
                [one] => one.clone(),
                parts => {
                    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                    self.node("Concat", &parts, &[], &[("axis", Attribute::Integer(0))])
                }
            });
        }
        let mut inputs = vec![x, &input, &hidden, &bias, "short_lengths"];
        inputs.extend(starts.iter().map(String::as_str));
        if options.peepholes {
            inputs.push(&peepholes);
        }
        let direction = match options.direction {
            Direction::Forward => "forward",
            Direction::Reverse => "reverse",
            Direction::Bidirectional => "bidirectional",
        };
        let functions = functions(&place.spec, options, directions)?;
        let names: Vec<&str> = functions.iter().map(|function| function.0).collect();
        let alpha: Vec<f32> = functions.iter().filter_map(|function| function.1).collect();
        let beta: Vec<f32> = functions.iter().filter_map(|function| function.2).collect();
        let mut attributes = vec![
            ("hidden_size", Attribute::Integer(units as i64)),
            ("direction", Attribute::Text(direction)),
            ("activations", Attribute::Texts(&names)),
        ];
        if !alpha.is_empty() {
            attributes.push(("activation_alpha", Attribute::Floats(&alpha)));
        }
        if !beta.is_empty() {
            attributes.push(("activation_beta", Attribute::Floats(&beta)));
        }
        if options.clip_sums > 0.0 {
            attributes.push(("clip", Attribute::Float(options.clip_sums as f32)));
        }
        if options.coupled {
            attributes.push(("input_forget", Attribute::Integer(1)));
        }
        if op == "GRU" {
            let after = options.reset == Reset::After;
            attributes.push(("linear_before_reset", Attribute::Integer(after.into())));
        }
        let outputs = ["Y", "Y_h", "Y_c"].map(own);
        let outputs: Vec<&str> = outputs
            .iter()
            .map(String::as_str)
            .take(1 + states)
            .collect();
        let y = self.node(op, &inputs, &outputs, &attributes);

        // The states, direction by direction.
        let mut finals: Vec<Vec<String>> = Vec::new();
        for &state in &outputs[1..] {
            let parts = match both {
                false => vec![state.to_owned()],
                true => self.halves(state, 0),
            };
            let flat = parts
                .iter()
                .map(|part| self.node("Squeeze", &[part, &zero], &[], &[]));
            finals.push(flat.collect());
        }
        for direction in 0..directions {
            self.states
                .extend(finals.iter().map(|state| state[direction].clone()));
        }
        self.finals[index] = finals.swap_remove(0);
        if model.places.iter().rposition(has_state) == Some(index) {
            let states = std::mem::take(&mut self.states);
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            self.node(
                "Concat",
                &states,
                &["state_out"],
                &[("axis", Attribute::Integer(1))],
            );
        }

        let one = self.integers(&[1]);
        if !both {
            return Ok(self.node("Squeeze", &[&y, &one], &[], &[]));
        }
        if options.merge == Merge::Concat {
            let y = self.node(
                "Transpose",
                &[&y],
                &[],
                &[("perm", Attribute::Integers(&[0, 2, 1, 3]))],
            );
            let shape = self.integers(&[0, 0, 2 * units as i64]);
            return Ok(self.node("Reshape", &[&y, &shape], &[], &[]));
        }
        let halves = self.halves(&y, 1);
        let parts: Vec<String> = halves
            .iter()
            .map(|half| self.node("Squeeze", &[half, &one], &[], &[]))
            .collect();
        Ok(self.merged(options.merge, &parts))
    }

    /// The two parts of an axis of two elements.
    fn halves(&mut self, of: &str, axis: i64) -> Vec<String> {
        let sizes = self.integers(&[1, 1]);
        let parts = [0, 1].map(|part| format!("{of}.{part}"));
        self.node(
            "Split",
            &[of, &sizes],
            &[&parts[0], &parts[1]],
            &[("axis", Attribute::Integer(axis))],
        );
        parts.to_vec()
    }

    /// What becomes of two directions.
    fn merged(&mut self, merge: Merge, parts: &[String]) -> String {
        let [forward, reverse] = parts else {
            return parts[0].clone();
        };
        match merge {
            Merge::Concat => self.node(
                "Concat",
                &[forward, reverse],
                &[],
                &[("axis", Attribute::Integer(-1))],
            ),
            Merge::Sum => self.node("Add", &[forward, reverse], &[], &[]),
            Merge::Product => self.node("Mul", &[forward, reverse], &[], &[]),
            Merge::Mean => {
                let sum = self.node("Add", &[forward, reverse], &[], &[]);
                let half = self.scalar(0.5);
                self.node("Mul", &[&sum, &half], &[], &[])
            }
        }
    }

    /// A value at the last step of each sequence.
    fn last(&mut self, value: usize) -> String {
        if let Some(name) = &self.last[value] {
            return name.clone();
        }
        let spec = value
            .checked_sub(1)
            .map(|layer| &self.model.places[layer].spec);
        let options = spec.and_then(LayerSpec::recurrent_options);
        let name = match options {
            // Where the last step is the final state of all directions, or is to be it.
            Some(options)
                if options.direction == Direction::Forward
                    || options.last == LastOutput::FinalState =>
            {
                let finals = self.finals[value - 1].clone();
                self.merged(options.merge, &finals)
            }
            _ => {
                let axes = [
                    ("time_axis", Attribute::Integer(0)),
                    ("batch_axis", Attribute::Integer(1)),
                ];
                let of = self.values[value].clone();
                let from_end = self.node("ReverseSequence", &[&of, "own_lengths"], &[], &axes);
                let first = format!("last.{value}");
                let index = format!("first.{value}");
                self.constant(&index, data_type::INT64, &[], 8, [0; 8].into_iter());
                self.node(
                    "Gather",
                    &[&from_end, &index],
                    &[&first],
                    &[("axis", Attribute::Integer(0))],
                )
            }
        };
        self.last[value] = Some(name.clone());
        name
    }
}

/// Units and operator of a recurrent layer.
fn recurrent(spec: &LayerSpec) -> Option<(usize, &'static str)> {
    match spec {
        LayerSpec::Rnn { units, .. } => Some((*units, "RNN")),
        LayerSpec::Gru { units, .. } => Some((*units, "GRU")),
        LayerSpec::Lstm { units, .. } => Some((*units, "LSTM")),
        _ => None,
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

/// Makes sure that the operators have what a recurrent layer is.
fn check(options: &RecurrentOptions) -> Result<()> {
    let what = match options {
        _ if options.projection != 0 => "an LSTM with a projection",
        _ if options.clip_state != 0.0 => "an LSTM whose cell state is clipped",
        _ if options.zoneout != 0.0 || options.zoneout_cell != 0.0 => {
            "a recurrent layer with zoneout"
        }
        _ => return Ok(()),
    };
    Err(mismatch(what))
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

fn mismatch(what: &str) -> Error {
    Error::Mismatch {
        name: "a layer",
        actual: what.to_owned(),
        expected: "one that ONNX has".to_owned(),
    }
}

/// The functions of a recurrent operator, with those of their numbers that it reads.
type Function = (&'static str, Option<f32>, Option<f32>);

fn functions(
    spec: &LayerSpec,
    options: &RecurrentOptions,
    directions: usize,
) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for own in &options.activations[..directions] {
        match spec {
            LayerSpec::Rnn { activation, .. } => functions.push(*activation),
            LayerSpec::Gru { .. } => functions.extend([own.gates, own.candidate]),
            _ => functions.extend([own.gates, own.candidate, own.output]),
        }
    }
    let functions = functions.into_iter().map(|function| {
        Ok(match function {
            Activation::Tanh => ("Tanh", None, None),
            Activation::Relu => ("Relu", None, None),
            Activation::Sigmoid => ("Sigmoid", None, None),
            Activation::Softsign => ("Softsign", None, None),
            Activation::Softplus => ("Softplus", None, None),
            Activation::Linear => ("Affine", Some(1.0), Some(0.0)),
            Activation::Affine { alpha, beta } => ("Affine", Some(alpha as f32), Some(beta as f32)),
            Activation::ScaledTanh { alpha, beta } => {
                ("ScaledTanh", Some(alpha as f32), Some(beta as f32))
            }
            Activation::HardSigmoid { alpha, beta } => {
                ("HardSigmoid", Some(alpha as f32), Some(beta as f32))
            }
            Activation::LeakyRelu { alpha } => ("LeakyRelu", Some(alpha as f32), None),
            Activation::Elu { alpha } => ("Elu", Some(alpha as f32), None),
            Activation::ThresholdedRelu { alpha } => ("ThresholdedRelu", Some(alpha as f32), None),
            Activation::HardTanh => return Err(mismatch("a recurrent layer with a hard tanh")),
        })
    });
    functions.collect()
}

/// A size of an input or output.
enum Size {
    Of(usize),
    Named(&'static str),
}

fn value_info(name: &str, data_type: i64, sizes: &[Size]) -> Message {
    let mut shape = Message::default();
    for size in sizes {
        let mut dim = Message::default();
        match size {
            Size::Of(size) => dim.integer(1, *size as i64),
            Size::Named(name) => dim.text(2, name),
        }
        shape.message(1, &dim);
    }
    let mut tensor = Message::default();
    tensor.integer(1, data_type);
    tensor.message(2, &shape);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut value = Message::default();
    value.text(1, name);
    value.message(2, &kind);
    value
}
