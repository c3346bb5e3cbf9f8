//! What a graph consists of, as messages: nodes, constants, inputs and outputs.

use super::Graph;
use crate::onnx::data_type;
use crate::onnx::wire::Message;

/// A value of an attribute.
pub(super) enum Attribute<'v> {
    Integer(i64),
    Float(f32),
    Text(&'v str),
    Integers(&'v [i64]),
    Floats(&'v [f32]),
    Texts(&'v [&'v str]),
}

impl Graph<'_> {
    /// Adds a node; returns the name of its first output, which is made up where `outputs` is empty.
    pub(super) fn node(
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
    pub(super) fn floats(
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
    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        let name = format!("integers_{}", self.count);
        self.count += 1;
        let len = size_of_val(values);
        let values_len = [values.len() as i64];
        let values = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(&name, data_type::INT64, &values_len, len, values)
    }

    /// Adds a constant number.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        let name = format!("number_{}", self.count);
        self.count += 1;
        self.floats(&name, &[], std::iter::once(value))
    }

    pub(super) fn constant(
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
}

/// A size of an input or output.
pub(super) enum Size {
    Of(usize),
    Named(&'static str),
}

pub(super) fn value_info(name: &str, data_type: i64, sizes: &[Size]) -> Message {
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
