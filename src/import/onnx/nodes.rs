//! What each operator makes of its inputs.

mod axes;
mod cells;
mod constants;
mod features;
mod parts;

use std::collections::HashMap;

use super::chain::Chain;
use super::recurrent::Cell;
use super::value::{Atom, Dim, Floats, Moment, Piece, Result, Sequence, Value, arithmetic};
use crate::Element;
use crate::onnx::{Attribute, Node, Tensor, is_standard};
use constants::{constant, constant_node};

/// Most integers of a constant that is computed with.
const MOST_INTEGERS: usize = 1 << 16;

const TOO_LARGE: &str = "it makes values that are much larger than the file";

/// Most axes of a tensor.
const MOST_AXES: usize = 16;

/// Most features that a value has, and pieces that they come from.
pub const MOST_FEATURES: usize = 1 << 30;
const MOST_PIECES: usize = 1 << 10;

/// A graph that is being followed.
#[derive(Debug)]
pub struct Reader<'a, E> {
    pub chain: Chain<E>,
    pub values: HashMap<&'a str, Value<E>>,
    /// Constants that nothing has taken yet.
    pub constants: HashMap<&'a str, &'a Tensor<'a>>,
    /// How often a tensor is taken, and how often from here on.
    pub uses: HashMap<&'a str, [usize; 2]>,
    /// The axis of the input that counts steps, once that is known; none where the graph is about one step.
    pub time: Option<Option<usize>>,
    /// Likewise sequences.
    batch: Option<Option<usize>>,
    /// Likewise features.
    features: Option<Option<usize>>,
    /// The sizes of the input.
    dims: Vec<Dim>,
}

impl<'a, E: Element> Reader<'a, E> {
    /// Of an input of these sizes, in a file of so many bytes.
    pub fn new(dims: Vec<Dim>, size: usize) -> Self {
        Self {
            chain: Chain {
                links: Vec::new(),
                input_size: 0,
                has_lengths: false,
                is_one_step: false,
                room: size.saturating_mul(2).saturating_add(512),
            },
            values: HashMap::new(),
            constants: HashMap::new(),
            uses: HashMap::new(),
            time: None,
            batch: None,
            features: None,
            dims,
        }
    }

    /// The input, as it comes.
    pub fn input(&self) -> Sequence {
        let axes = self
            .dims
            .iter()
            .enumerate()
            .map(|(axis, &size)| match size {
                Dim::Known(1) => Vec::new(),
                _ => vec![Atom::Axis(axis)],
            });
        Sequence {
            axes: axes.collect(),
            parts: Vec::new(),
            is_reversed: false,
            is_alone: true,
        }
    }

    fn size(&self, sequence: &Sequence, atom: Atom) -> Dim {
        let known = |size: usize| Dim::Known(i64::try_from(size).unwrap_or(i64::MAX));
        match atom {
            Atom::Axis(axis) => self.dims[axis],
            Atom::Part => known(sequence.parts.len()),
            Atom::Unit => known(sequence.units()),
        }
    }

    /// The sizes of a tensor.
    fn sizes(&self, sequence: &Sequence) -> Vec<Dim> {
        let size = |axis: &Vec<Atom>| {
            axis.iter().fold(Dim::Known(1), |product, &atom| {
                arithmetic("Mul", product, self.size(sequence, atom))
            })
        };
        sequence.axes.iter().map(size).collect()
    }

    /// Takes the last axis of the input as its features, where nothing has been taken as such yet. `inputs` is how many there must
    /// be.
    fn bind_features(&mut self, sequence: &Sequence, inputs: Option<usize>) -> Result<()> {
        if self.features.is_some() || !sequence.is_raw() {
            return Ok(());
        }
        let Some(last) = sequence.axes.last() else {
            return Err("the input is a single number".to_owned());
        };
        let (axis, size) = match last[..] {
            [] => (None, 1),
            [Atom::Axis(axis)] => {
                let size = match self.dims[axis] {
                    Dim::Known(size) => usize::try_from(size).ok(),
                    _ => inputs,
                };
                let size = size.ok_or("it is open how many features the input has")?;
                (Some(axis), size)
            }
            _ => return Err("it takes several axes of the input as features".to_owned()),
        };
        if size > MOST_FEATURES {
            return Err(format!(
                "an input of {size} features, expected at most {MOST_FEATURES}"
            ));
        }
        self.features = Some(axis);
        self.chain.input_size = size;
        Ok(())
    }

    /// A tensor of features of layers, or of the input.
    pub fn bound(&mut self, sequence: Sequence) -> Result<Sequence> {
        self.bound_to(sequence, None)
    }

    fn bound_to(&mut self, mut sequence: Sequence, inputs: Option<usize>) -> Result<Sequence> {
        if !sequence.is_raw() {
            return Ok(sequence);
        }
        self.bind_features(&sequence, inputs)?;
        let len = self.chain.input_size;
        let feature = self.features.flatten();
        for axis in &mut sequence.axes {
            for atom in axis.iter_mut() {
                if feature.is_some_and(|feature| *atom == Atom::Axis(feature)) {
                    *atom = Atom::Unit;
                }
            }
            if len == 1 {
                axis.retain(|&atom| atom != Atom::Unit);
            }
        }
        sequence.parts = vec![vec![Piece::new(0, 0, len, Moment::All)]];
        Ok(sequence)
    }

    /// Runs a node, and forgets what nothing takes any more.
    pub fn run(&mut self, node: &'a Node<'a>) -> Result<()> {
        self.run_on_values(node)?;
        for &name in &node.inputs {
            if let Some([_, left]) = self.uses.get_mut(name) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.values.remove(name);
                }
            }
        }
        Ok(())
    }

    fn run_on_values(&mut self, node: &'a Node<'a>) -> Result<()> {
        if !is_standard(node.domain) {
            return Err("an operator that is not of the standard".to_owned());
        }
        for &name in node.inputs.iter().filter(|name| !name.is_empty()) {
            if let Some(tensor) = self.constants.remove(name) {
                let value = constant(tensor)?;
                self.values.insert(name, value);
            }
            if !self.values.contains_key(name) {
                return Err(format!("its input {name:?} comes from no node before it"));
            }
        }
        if let Some(cell) = Cell::of(node.op) {
            return self.recurrent(cell, node);
        }
        let value = match node.op {
            "Split" => return self.split(node),
            "Constant" => constant_node(node)?,
            "Identity" | "Cast" => self.value(node, 0)?.clone(),
            "Dropout" => self.dropout(node)?,
            "Shape" => self.shape(node)?,
            "ConstantOfShape" => self.constant_of_shape(node)?,
            "Expand" | "Tile" => self.expand(node)?,
            "Transpose" => self.transpose(node)?,
            "Squeeze" => self.squeeze(node)?,
            "Unsqueeze" => self.unsqueeze(node)?,
            "Reshape" => self.reshape(node)?,
            "Flatten" => self.flatten(node)?,
            "Slice" => self.slice(node)?,
            "Gather" => self.gather(node)?,
            "Concat" => self.concat(node)?,
            "ReverseSequence" => self.reverse(node)?,
            "Add" | "Sub" | "Mul" | "Div" | "Equal" | "Min" => self.pairwise(node)?,
            "Sum" if node.inputs.len() == 2 => self.pairwise(node)?,
            "Where" => self.choose(node)?,
            "MatMul" => self.product(node)?,
            "Gemm" => self.gemm(node)?,
            "LayerNormalization" => self.norm(node)?,
            "Softmax" | "LogSoftmax" => {
                return Err(
                    "elman's softmax is part of its loss: export what comes before it".to_owned(),
                );
            }
            _ => match self.activation(node)? {
                Some(function) => self.activated(node, function)?,
                None => return Err("which elman has no layer for".to_owned()),
            },
        };
        let name = node.outputs[0];
        if let Some(other) = node.outputs.iter().skip(1).find(|name| self.is_used(name)) {
            return Err(format!(
                "its output {other:?} is used, expected none but the first"
            ));
        }
        self.put(name, value)
    }

    /// Takes note of what a node gives. Values are copies, which may be many and long in a small file.
    fn put(&mut self, name: &'a str, value: Value<E>) -> Result<()> {
        self.make_room(match &value {
            Value::Integers { values, .. } => values.len(),
            Value::Sequence(sequence) => sequence.pieces(),
            _ => 0,
        })?;
        self.values.insert(name, value);
        Ok(())
    }

    fn is_used(&self, name: &str) -> bool {
        !name.is_empty() && self.uses.get(name).is_some_and(|&[uses, _]| uses > 0)
    }

    /// An input that must be there.
    fn value(&self, node: &Node<'a>, index: usize) -> Result<&Value<E>> {
        self.optional(node, index)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    fn optional(&self, node: &Node<'a>, index: usize) -> Option<&Value<E>> {
        let name = node.inputs.get(index).filter(|name| !name.is_empty())?;
        self.values.get(name)
    }

    /// An input that is made of outputs of layers.
    fn sequence(&self, node: &Node<'a>, index: usize) -> Result<Sequence> {
        let Value::Sequence(sequence) = self.value(node, index)? else {
            let what = self.value(node, index)?.name();
            return Err(format!(
                "input {index} is {what}, expected what layers give"
            ));
        };
        let mut sequence = sequence.clone();
        let uses = self.uses.get(node.inputs[index]);
        sequence.is_alone &= uses.is_some_and(|&[uses, _]| uses == 1);
        Ok(sequence)
    }

    /// An input that is a constant with fractions.
    fn floats(&self, node: &Node<'a>, index: usize) -> Result<Option<Floats<E>>> {
        match self.optional(node, index) {
            None => Ok(None),
            Some(Value::Floats(floats)) => Ok(Some(floats.clone())),
            Some(other) => {
                let what = other.name();
                Err(format!("input {index} is {what}, expected a constant"))
            }
        }
    }

    /// An input that is constant integers, or sizes.
    fn integers(&self, node: &Node<'a>, index: usize) -> Result<Option<Vec<Dim>>> {
        match self.optional(node, index) {
            None => Ok(None),
            Some(Value::Integers { values, .. }) => Ok(Some(values.clone())),
            Some(other) => {
                let what = other.name();
                Err(format!(
                    "input {index} is {what}, expected constant integers or sizes"
                ))
            }
        }
    }

    /// Constant integers, an input or, of earlier versions, an attribute.
    fn list(&self, node: &Node<'a>, index: usize, name: &str) -> Result<Option<Vec<i64>>> {
        if let Some(values) = self.integers(node, index)? {
            let known = values.into_iter().map(|value| match value {
                Dim::Known(value) => Ok(value),
                _ => Err(format!("its {name} depend on the input's size")),
            });
            return Ok(Some(known.collect::<Result<_>>()?));
        }
        Ok(attribute(node, name)
            .map(|attribute| attribute.integers())
            .transpose()?)
    }

    /// Makes sure that what is computed from constants and sizes stays small.
    fn make_room(&mut self, count: usize) -> Result<()> {
        self.chain.room = self.chain.room.checked_sub(count).ok_or(TOO_LARGE)?;
        Ok(())
    }

    /// Takes an axis as that of steps.
    fn bind_time(&mut self, axis: &[Atom]) -> Result<()> {
        let own = single(axis).ok_or("it takes some of what is no axis of steps")?;
        if *self.time.get_or_insert(own) != own {
            return Err("its steps are those of another axis than before".to_owned());
        }
        self.chain.is_one_step = own.is_none();
        Ok(())
    }

    fn bind_batch(&mut self, axis: &[Atom]) -> Result<()> {
        let own = single(axis).ok_or("its sequences are no axis of their own")?;
        match *self.batch.get_or_insert(own) == own {
            true => Ok(()),
            false => Err("its sequences are those of another axis than before".to_owned()),
        }
    }
}

/// The moment of what a layer gives.
fn moment(is_last: bool) -> Moment {
    match is_last {
        true => Moment::Behind,
        false => Moment::All,
    }
}

/// The axis of the input that an axis is, or none where it has one element. None: it is something else.
fn single(axis: &[Atom]) -> Option<Option<usize>> {
    match *axis {
        [] => Some(None),
        [Atom::Axis(own)] => Some(Some(own)),
        _ => None,
    }
}

fn attribute<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Attribute<'a>> {
    node.attributes
        .iter()
        .find(|attribute| attribute.name == name)
}

fn integer(node: &Node<'_>, name: &str) -> Option<i64> {
    attribute(node, name)?.integer()
}

/// An axis, or an index, that may be counted from the end.
fn place(at: i64, count: usize) -> Result<usize> {
    let from_start = match at {
        0.. => Some(at),
        _ => i64::try_from(count)
            .ok()
            .and_then(|count| count.checked_add(at)),
    };
    let place = from_start.and_then(|at| usize::try_from(at).ok());
    place
        .filter(|&place| place < count)
        .ok_or_else(|| format!("index {at} of {count}"))
}

fn places(axes: &[i64], rank: usize) -> Result<Vec<usize>> {
    axes.iter().map(|&axis| place(axis, rank)).collect()
}

impl<E> Value<E> {
    /// Whether each part of it, in whatever shape, is what it is itself.
    fn is_alike(&self) -> bool {
        matches!(
            self,
            Self::Fill(_) | Self::FillInteger(_) | Self::StateInput | Self::States
        )
    }

    /// What it is, for a message.
    fn name(&self) -> &'static str {
        match self {
            Self::Sequence(_) => "what layers give",
            Self::Floats(_) | Self::Fill(_) => "a constant",
            Self::Integers { .. } | Self::FillInteger(_) => "integers",
            Self::StateInput => "a state",
            Self::Lengths => "the lengths of the sequences",
            Self::States => "final states",
        }
    }
}
