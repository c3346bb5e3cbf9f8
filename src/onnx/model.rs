//! What a file holds, as far as it matters here.

use half::{bf16, f16};

use super::wire::{Fields, Result, Wire, chunks};
use crate::Element;
use crate::buffer::try_vec;

/// Types of elements.
pub mod data_type {
    pub const FLOAT: i64 = 1;
    pub const UINT8: i64 = 2;
    pub const INT8: i64 = 3;
    pub const INT32: i64 = 6;
    pub const INT64: i64 = 7;
    pub const BOOL: i64 = 9;
    pub const FLOAT16: i64 = 10;
    pub const DOUBLE: i64 = 11;
    pub const BFLOAT16: i64 = 16;
}

/// Most nodes, attributes, names and dimensions of a graph together. A file may claim millions in as many bytes.
const MOST_ITEMS: usize = 1 << 20;

/// Counts what takes memory.
struct Budget(usize);

impl Budget {
    fn take(&mut self) -> Result<()> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or("more than a million nodes, names and numbers in its graph")?;
        Ok(())
    }

    fn push<T>(&mut self, items: &mut Vec<T>, item: T) -> Result<()> {
        self.take()?;
        items.push(item);
        Ok(())
    }
}

/// A model, as far as it matters here.
#[derive(Debug, Default)]
pub struct Model<'a> {
    /// The version of the standard operators; 0 where there is none.
    pub opset: i64,
    pub graph: Graph<'a>,
}

/// The nodes, in an order in which each comes behind those whose outputs it takes.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    /// Whether it has constants in a sparse form.
    pub has_sparse: bool,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
}

#[derive(Debug, Default)]
pub struct Node<'a> {
    pub name: &'a str,
    pub op: &'a str,
    pub domain: &'a str,
    /// An input that is left out has an empty name.
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub attributes: Vec<Attribute<'a>>,
}

/// What a node is set to, which is decoded when it is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attribute<'a> {
    pub name: &'a str,
    message: &'a [u8],
}

/// A constant, whose elements are decoded when they are wanted.
#[derive(Clone, Debug, Default)]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub dims: Vec<i64>,
    pub data_type: i64,
    /// Whether its elements are in another file.
    pub is_external: bool,
    message: &'a [u8],
}

/// An input or output of the graph.
#[derive(Debug, Default)]
pub struct ValueInfo<'a> {
    pub name: &'a str,
    /// The sizes; None for one that is open. None: not even their number is said.
    pub dims: Option<Vec<Option<i64>>>,
}

impl<'a> Model<'a> {
    /// Reads a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut budget = Budget(MOST_ITEMS);
        let mut model = Self::default();
        let mut has_graph = false;
        for field in Fields(bytes) {
            match field? {
                (7, graph) if !has_graph => {
                    model.graph = Graph::parse(graph.bytes()?, &mut budget)?;
                    has_graph = true;
                }
                (7, _) => return Err("it has two graphs"),
                (8, operators) => {
                    let (mut domain, mut version) = ("", 0);
                    for field in Fields(operators.bytes()?) {
                        match field? {
                            (1, name) => domain = name.text()?,
                            (2, number) => version = number.integer()?,
                            _ => {}
                        }
                    }
                    if is_standard(domain) {
                        model.opset = version;
                    }
                }
                _ => {}
            }
        }
        match has_graph {
            true => Ok(model),
            false => Err("it has no graph"),
        }
    }
}

/// Whether a domain is that of the standard operators.
pub fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

impl<'a> Graph<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut graph = Self::default();
        let is_node = |field: &Result<(u64, Wire<'_>)>| matches!(field, Ok((1, _)));
        let count = Fields(bytes).filter(is_node).count().min(MOST_ITEMS);
        graph.nodes = try_vec("the nodes", count).map_err(|_| NO_MEMORY)?;
        for field in Fields(bytes) {
            match field? {
                (1, node) => {
                    let node = Node::parse(node.bytes()?, budget)?;
                    budget.push(&mut graph.nodes, node)?;
                }
                (5, tensor) => {
                    let tensor = Tensor::parse(tensor.bytes()?, budget)?;
                    if tensor.name.is_empty() {
                        return Err("a constant without a name");
                    }
                    budget.push(&mut graph.initializers, tensor)?;
                }
                (11, value) => {
                    let value = ValueInfo::parse(value.bytes()?, budget)?;
                    budget.push(&mut graph.inputs, value)?;
                }
                (12, value) => {
                    let value = ValueInfo::parse(value.bytes()?, budget)?;
                    budget.push(&mut graph.outputs, value)?;
                }
                (15, _) => graph.has_sparse = true,
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut node = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, name) => budget.push(&mut node.inputs, name.text()?)?,
                (2, name) => budget.push(&mut node.outputs, name.text()?)?,
                (3, name) => node.name = name.text()?,
                (4, op) => node.op = op.text()?,
                (5, attribute) => {
                    let attribute = Attribute::parse(attribute.bytes()?)?;
                    budget.push(&mut node.attributes, attribute)?;
                }
                (7, domain) => node.domain = domain.text()?,
                _ => {}
            }
        }
        if node.op.is_empty() || node.outputs.is_empty() {
            return Err("a node without an operator or without outputs");
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut name = "";
        for field in Fields(bytes) {
            if let (1, text) = field? {
                name = text.text()?;
            }
        }
        match name {
            "" => Err("an attribute without a name"),
            name => Ok(Self {
                name,
                message: bytes,
            }),
        }
    }

    /// The last of its fields of that number. They have been seen to be whole.
    fn last(&self, number: u64) -> Option<Wire<'a>> {
        let fields = Fields(self.message).filter_map(std::result::Result::ok);
        let own = fields.filter(|&(field, _)| field == number);
        own.last().map(|(_, wire)| wire)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = Wire<'a>> {
        let fields = Fields(self.message).filter_map(std::result::Result::ok);
        fields
            .filter(move |&(field, _)| field == number)
            .map(|(_, wire)| wire)
    }

    pub fn float(&self) -> Option<f32> {
        let mut found = None;
        let put = |number| {
            found = Some(number);
            Ok(())
        };
        self.last(2)?.floats(put).ok()?;
        found
    }

    pub fn integer(&self) -> Option<i64> {
        self.last(3)?.integer().ok()
    }

    pub fn text(&self) -> Option<&'a [u8]> {
        self.last(4)?.bytes().ok()
    }

    pub fn tensor(&self) -> Option<Result<Tensor<'a>>> {
        let tensor = self.last(5)?;
        let mut budget = Budget(MOST_ITEMS);
        Some(
            tensor
                .bytes()
                .and_then(|bytes| Tensor::parse(bytes, &mut budget)),
        )
    }

    pub fn floats(&self) -> Result<Vec<f32>> {
        let mut floats = Vec::new();
        for wire in self.all(7) {
            wire.floats(|number| {
                floats.push(number);
                Ok(())
            })?;
        }
        Ok(floats)
    }

    pub fn integers(&self) -> Result<Vec<i64>> {
        let mut integers = Vec::new();
        for wire in self.all(8) {
            wire.integers(|number| {
                integers.push(number);
                Ok(())
            })?;
        }
        Ok(integers)
    }

    pub fn texts(&self) -> Result<Vec<&'a [u8]>> {
        self.all(9).map(Wire::bytes).collect()
    }
}

impl<'a> ValueInfo<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut value = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, name) => value.name = name.text()?,
                (2, kind) => {
                    for field in Fields(kind.bytes()?) {
                        if let (1, tensor) = field? {
                            value.parse_tensor_type(tensor.bytes()?, budget)?;
                        }
                    }
                }
                _ => {}
            }
        }
        match value.name {
            "" => Err("an input or output without a name"),
            _ => Ok(value),
        }
    }

    fn parse_tensor_type(&mut self, bytes: &'a [u8], budget: &mut Budget) -> Result<()> {
        for field in Fields(bytes) {
            let (2, shape) = field? else {
                continue;
            };
            let mut dims = Vec::new();
            for field in Fields(shape.bytes()?) {
                if let (1, dim) = field? {
                    let mut size = None;
                    for field in Fields(dim.bytes()?) {
                        if let (1, number) = field? {
                            // Some exporters write such for one that is open.
                            size = Some(number.integer()?).filter(|&size| size > 0);
                        }
                    }
                    budget.push(&mut dims, size)?;
                }
            }
            self.dims = Some(dims);
        }
        Ok(())
    }
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8], budget: &mut Budget) -> Result<Self> {
        let mut tensor = Self {
            message: bytes,
            ..Self::default()
        };
        for field in Fields(bytes) {
            match field? {
                (1, sizes) => sizes.integers(|size| budget.push(&mut tensor.dims, size))?,
                (2, data_type) => tensor.data_type = data_type.integer()?,
                (8, name) => tensor.name = name.text()?,
                (13, _) => tensor.is_external = true,
                (14, location) => tensor.is_external |= location.integer()? != 0,
                _ => {}
            }
        }
        Ok(tensor)
    }

    /// Number of elements; None where no memory can hold them.
    pub fn count(&self) -> Option<usize> {
        self.dims.iter().try_fold(1_usize, |count, &size| {
            count.checked_mul(usize::try_from(size).ok()?)
        })
    }

    /// The sizes.
    pub fn shape(&self) -> Option<Vec<usize>> {
        let sizes = self.dims.iter().map(|&size| usize::try_from(size).ok());
        sizes.collect()
    }

    /// Whether its elements are integers or truth values.
    pub fn is_integer(&self) -> bool {
        use data_type::{BOOL, INT8, INT32, INT64, UINT8};
        [BOOL, INT8, INT32, INT64, UINT8].contains(&self.data_type)
    }

    /// The elements that are numbers with a fraction, rounded to `E`.
    pub fn floats<E: Element>(&self) -> Result<Vec<E>> {
        let (mut values, count) = self.room()?;
        let mut put = |value: E| put(&mut values, count, value);
        for field in Fields(self.message) {
            match (field?, self.data_type) {
                ((9, raw), data_type) => {
                    let raw = raw.bytes()?;
                    match data_type {
                        data_type::FLOAT => Wire::Bytes(raw).floats(|value| put(single(value)))?,
                        data_type::DOUBLE => {
                            Wire::Bytes(raw).doubles(|value| put(double(value)))?
                        }
                        _ => {
                            let halves = chunks(raw)?.iter().map(|&bits| u16::from_le_bytes(bits));
                            halves
                                .map(|bits| half(data_type, bits))
                                .try_for_each(&mut put)?;
                        }
                    }
                }
                ((4, numbers), data_type::FLOAT) => numbers.floats(|value| put(single(value)))?,
                ((10, numbers), data_type::DOUBLE) => {
                    numbers.doubles(|value| put(double(value)))?
                }
                // The bits of the short types are integers.
                ((5, numbers), data_type::FLOAT16 | data_type::BFLOAT16) => {
                    numbers.integers(|bits| put(half(self.data_type, bits as u16)))?;
                }
                _ => {}
            }
        }
        whole(values, count)
    }

    /// The elements that are integers.
    pub fn integers(&self) -> Result<Vec<i64>> {
        let (mut values, count) = self.room()?;
        let mut put = |value: i64| put(&mut values, count, value);
        for field in Fields(self.message) {
            match (field?, self.data_type) {
                ((9, raw), data_type::INT64) => {
                    let numbers = chunks(raw.bytes()?)?.iter();
                    numbers
                        .map(|&number| i64::from_le_bytes(number))
                        .try_for_each(&mut put)?;
                }
                ((9, raw), data_type::INT32) => {
                    let numbers = chunks(raw.bytes()?)?.iter();
                    numbers
                        .map(|&number| i32::from_le_bytes(number).into())
                        .try_for_each(&mut put)?;
                }
                ((9, raw), data_type::INT8) => {
                    let numbers = raw.bytes()?.iter();
                    numbers
                        .map(|&byte| byte.cast_signed().into())
                        .try_for_each(&mut put)?;
                }
                ((9, raw), _) => {
                    let numbers = raw.bytes()?.iter();
                    numbers.map(|&byte| byte.into()).try_for_each(&mut put)?;
                }
                ((5 | 7, numbers), _) => numbers.integers(&mut put)?,
                _ => {}
            }
        }
        whole(values, count)
    }

    /// Room for the elements, and their number. Each takes a byte of the file at least.
    fn room<T>(&self) -> Result<(Vec<T>, usize)> {
        let count = self.count().filter(|&count| count <= self.message.len());
        let count = count.ok_or(FEWER)?;
        let values = try_vec("a tensor", count).map_err(|_| NO_MEMORY)?;
        Ok((values, count))
    }
}

fn put<T>(values: &mut Vec<T>, count: usize, value: T) -> Result<()> {
    if values.len() == count {
        return Err("more elements than its shape says");
    }
    values.push(value);
    Ok(())
}

/// The elements, if they are as many as the shape says.
fn whole<T>(values: Vec<T>, count: usize) -> Result<Vec<T>> {
    match values.len() == count {
        true => Ok(values),
        false => Err(FEWER),
    }
}

const NO_MEMORY: &str = "there is no memory for it";
const FEWER: &str = "fewer elements than its shape says";

fn single<E: Element>(value: f32) -> E {
    match size_of::<E>() == size_of::<f32>() {
        // With the bits of a denormal number.
        true => E::from_bits_u64(value.to_bits().into()),
        false => E::from_f64(value.into()),
    }
}

fn double<E: Element>(value: f64) -> E {
    match size_of::<E>() == size_of::<f64>() {
        true => E::from_bits_u64(value.to_bits()),
        false => E::from_f64(value),
    }
}

/// The number of a type of sixteen bits.
fn half<E: Element>(data_type: i64, bits: u16) -> E {
    E::from_f64(match data_type {
        data_type::BFLOAT16 => bf16::from_bits(bits).to_f64(),
        _ => f16::from_bits(bits).to_f64(),
    })
}
