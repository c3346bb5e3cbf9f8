//! The layers of a network as nodes; the recurrent ones are in a file of their own.

use super::nodes::Attribute;
use super::{Graph, values};
use crate::Result;
use crate::activation::Activation;
use crate::layer::options::{Direction, LastOutput};
use crate::layer::{LayerSpec, Tensor};
use crate::model::LayerSlot;
use crate::onnx::data_type;

impl Graph<'_> {
    /// Adds a layer behind those that there are.
    pub(super) fn layer(&mut self, index: usize) -> Result<()> {
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

    /// A value at the last step of each sequence.
    pub(super) fn last(&mut self, value: usize) -> String {
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
