//! ONNX: a graph of operators, of which a network is read that gives the same outputs.
//!
//! The graph is followed node by node, with what each tensor is in place of its elements ([`value`]): a constant, whose integers
//! are computed with; outputs of layers, of which it is known which axis counts steps, sequences or features, so that
//! operators that only put axes in another order cost no layer; or a state. Those that compute on features add layers to a
//! [`chain`]. The first node that does something else is what the error is about.

mod chain;
mod nodes;
mod recurrent;
mod value;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::Found;
use super::description::Description;
use crate::model::Output;
use crate::onnx::{Graph, Model, Node, ValueInfo, is_standard};
use crate::save::fault;
use crate::{Element, Result};

use nodes::Reader;
use value::{Atom, Dim, Moment, Piece, Sequence, Value};

/// The first version of the operators that is read, in which all shapes follow from broadcasting.
const FIRST_OPSET: i64 = 7;

/// Most axes of the input.
const MOST_INPUT_AXES: usize = 8;

/// Reads such a file.
pub fn read<E: Element>(file: &Path, bytes: &[u8], description: &Description) -> Result<Found<E>> {
    let model = Model::parse(bytes)
        .map_err(|error| fault(file, &format!("a damaged ONNX file: {error}")))?;
    network(&model, bytes.len(), description).map_err(|error| fault(file, &error))
}

fn network<E: Element>(
    model: &Model<'_>,
    size: usize,
    description: &Description,
) -> value::Result<Found<E>> {
    let graph = &model.graph;
    if model.opset < FIRST_OPSET {
        return Err(format!(
            "version {} of ONNX' operators, expected at least {FIRST_OPSET}",
            model.opset
        ));
    }
    if graph.has_sparse {
        return Err("it has constants in a sparse form, which elman does not read".to_owned());
    }
    let constants: HashSet<&str> = graph
        .initializers
        .iter()
        .map(|tensor| tensor.name)
        .collect();
    let makers = makers(graph);
    let states = fed(graph, &makers, &[5, 6]);
    let lengths = fed(graph, &makers, &[4]);
    let is_data = |input: &&ValueInfo<'_>| {
        ![&constants, &states, &lengths]
            .iter()
            .any(|names| names.contains(input.name))
    };
    let data: Vec<&ValueInfo<'_>> = graph.inputs.iter().filter(is_data).collect();
    let [input] = data[..] else {
        let names: Vec<&str> = data.iter().map(|input| input.name).take(5).collect();
        return Err(format!(
            "the graph has the inputs {names:?}, expected one beside states and lengths"
        ));
    };
    let name = input.name;
    let Some(dims) = &input.dims else {
        return Err(format!(
            "input {name} has no shape, not even a number of axes"
        ));
    };
    if dims.len() > MOST_INPUT_AXES {
        return Err(format!(
            "input {name} has {} axes, expected at most {MOST_INPUT_AXES}",
            dims.len()
        ));
    }
    let dims = dims.iter().enumerate().map(|(axis, size)| match size {
        Some(size) => Dim::Known(*size),
        None => Dim::Axis(axis),
    });
    let mut reader = Reader::new(dims.collect(), size);
    reader.chain.has_lengths = graph
        .inputs
        .iter()
        .any(|it| lengths.contains(it.name) && !constants.contains(it.name));
    for tensor in &graph.initializers {
        reader.constants.insert(tensor.name, tensor);
    }
    // What has a value by default is that value.
    let open = |input: &&ValueInfo<'_>| !constants.contains(input.name);
    for input in graph.inputs.iter().filter(open) {
        if states.contains(input.name) {
            reader.values.insert(input.name, Value::StateInput);
        } else if lengths.contains(input.name) {
            reader.values.insert(input.name, Value::Lengths);
        }
    }
    let raw = reader.input();
    reader.values.insert(input.name, Value::Sequence(raw));
    let wanted = wanted(graph, &makers);
    let taken = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(index, _)| wanted.contains(index));
    let taken = taken.flat_map(|(_, node)| node.inputs.iter().copied());
    for name in taken.chain(graph.outputs.iter().map(|output| output.name)) {
        let [uses, left] = reader.uses.entry(name).or_default();
        (*uses, *left) = (*uses + 1, *left + 1);
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        if wanted.contains(&index) {
            reader
                .run(node)
                .map_err(|error| named(node, index, &error))?;
        }
    }
    let (name, sequence) = output(&reader, graph)?;
    let output =
        finish(&mut reader, &sequence).map_err(|error| format!("output {name}: {error}"))?;
    if let Some(wanted) = description.output
        && wanted != output
        && output == Output::Last
    {
        return Err("the description wants the outputs of all steps, of a graph that gives that of the last".to_owned());
    }
    Ok(reader.chain.found(description.output.unwrap_or(output)))
}

/// An error about a node.
fn named(node: &Node<'_>, index: usize, error: &str) -> String {
    let domain = match is_standard(node.domain) {
        true => String::new(),
        false => format!("{}.", node.domain),
    };
    // Some exporters give nodes no names: their outputs have some.
    let name = match (node.name, node.outputs.first()) {
        ("", None) => format!("number {index}"),
        ("", Some(output)) => format!("that makes {output:?}"),
        (name, _) => format!("{name:?}"),
    };
    format!("node {name} ({domain}{}): {error}", node.op)
}

/// Which node makes a tensor.
fn makers<'a>(graph: &Graph<'a>) -> HashMap<&'a str, usize> {
    let mut makers = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for &name in node.outputs.iter().filter(|name| !name.is_empty()) {
            makers.insert(name, index);
        }
    }
    makers
}

/// The tensors of which recurrent operators' inputs of these numbers are made, by operators that put elements in another order.
fn fed<'a>(
    graph: &Graph<'a>,
    makers: &HashMap<&'a str, usize>,
    inputs: &[usize],
) -> HashSet<&'a str> {
    let is_recurrent = |node: &&Node<'_>| recurrent::Cell::of(node.op).is_some();
    let recurrent = graph.nodes.iter().filter(is_recurrent);
    let mut open: Vec<&str> = recurrent
        .flat_map(|node| inputs.iter().filter_map(|&input| node.inputs.get(input)))
        .copied()
        .collect();
    let mut found = HashSet::new();
    while let Some(name) = open.pop() {
        if name.is_empty() || !found.insert(name) {
            continue;
        }
        let Some(&maker) = makers.get(name) else {
            continue;
        };
        let node = &graph.nodes[maker];
        let count = match node.op {
            "Concat" => node.inputs.len(),
            "Slice" | "Squeeze" | "Unsqueeze" | "Gather" | "Split" | "Transpose" | "Reshape"
            | "Identity" | "Cast" | "Expand" | "Tile" => 1,
            _ => 0,
        };
        open.extend(node.inputs.iter().take(count));
    }
    found
}

/// The nodes that the outputs depend on.
fn wanted<'a>(graph: &Graph<'a>, makers: &HashMap<&'a str, usize>) -> HashSet<usize> {
    let mut open: Vec<&str> = graph.outputs.iter().map(|output| output.name).collect();
    let mut wanted = HashSet::new();
    while let Some(name) = open.pop() {
        if let Some(&maker) = makers.get(name)
            && wanted.insert(maker)
        {
            open.extend(&graph.nodes[maker].inputs);
        }
    }
    wanted
}

/// The output that is not a state, or the first one where all are.
fn output<'a, E: Element>(
    reader: &Reader<'a, E>,
    graph: &Graph<'a>,
) -> value::Result<(&'a str, Sequence)> {
    let mut all: Vec<(&str, &Sequence)> = Vec::new();
    for output in &graph.outputs {
        if let Some(Value::Sequence(sequence)) = reader.values.get(output.name)
            && !all.iter().any(|(_, other)| other.parts == sequence.parts)
        {
            all.push((output.name, sequence));
        }
    }
    let others: Vec<_> = all.iter().filter(|(_, it)| !it.is_state()).collect();
    let is_h = |it: &&(&str, &Sequence)| {
        let mut pieces = it.1.parts.iter().flatten();
        pieces.all(|piece| piece.moment == Moment::Final)
    };
    let (name, sequence) = match (&others[..], all.iter().find(is_h)) {
        ([one], _) => one,
        ([], Some(state)) => state,
        ([], None) => {
            return Err("none of the graph's outputs is computed from its input".to_owned());
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|(name, _)| *name).take(5).collect();
            return Err(format!(
                "the graph has the outputs {names:?}, expected one beside states"
            ));
        }
    };
    Ok((name, (*sequence).clone()))
}

/// Makes a tensor the output of the network.
fn finish<E: Element>(reader: &mut Reader<'_, E>, sequence: &Sequence) -> value::Result<Output> {
    if sequence.is_reversed {
        return Err("its steps come from the last to the first".to_owned());
    }
    let sequence = reader.bound(sequence.clone())?;
    let pieces: Vec<Piece> = sequence.parts.concat();
    let is_last = reader.chain.gather(&pieces)?;
    let has_steps = reader
        .time
        .is_none_or(|time| time.is_none_or(|axis| sequence.has(Atom::Axis(axis))));
    Ok(match is_last && !has_steps {
        true => Output::Last,
        false => Output::All,
    })
}
