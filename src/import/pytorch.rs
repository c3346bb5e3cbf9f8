//! State dicts of PyTorch: tensors with the names of modules in front. Their names and sizes tell what each module is, and mostly
//! in what order modules follow each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use super::description::{Description, Item, Module};
use super::{At, Found, FoundLayer};
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::options::{Direction, RecurrentOptions};
use crate::model::Output;
use crate::save::{Numbers, fault};
use crate::{Element, Error, Result};

/// The tensors of a module, by what is behind its name.
type Tensors<E> = BTreeMap<String, Numbers<E>>;

/// What a module is.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Recurrent(Recurrent),
    Linear { inputs: usize, outputs: usize },
    Embedding { classes: usize, size: usize },
    Norm { features: usize },
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Recurrent {
    /// 1 of an RNN, 3 of a GRU, 4 of an LSTM.
    gates: usize,
    inputs: usize,
    units: usize,
    /// Elements of h where it is a projection, else 0.
    projection: usize,
    layers: usize,
    is_bidirectional: bool,
    bias: bool,
}

impl Kind {
    fn inputs(&self) -> usize {
        match *self {
            Self::Recurrent(Recurrent { inputs, .. }) | Self::Linear { inputs, .. } => inputs,
            Self::Embedding { .. } => 1,
            Self::Norm { features } => features,
        }
    }

    fn outputs(&self) -> usize {
        match *self {
            Self::Recurrent(ref recurrent) => recurrent.outputs(),
            Self::Linear { outputs, .. } => outputs,
            Self::Embedding { size, .. } => size,
            Self::Norm { features } => features,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Recurrent(recurrent) => match recurrent.gates {
                1 => "RNN",
                3 => "GRU",
                _ => "LSTM",
            },
            Self::Linear { .. } => "Linear",
            Self::Embedding { classes, size } => return write!(f, "Embedding({classes}, {size})"),
            Self::Norm { features } => return write!(f, "LayerNorm({features})"),
        };
        write!(f, "{name}({}, {})", self.inputs(), self.outputs())
    }
}

impl Recurrent {
    /// Elements of h of a direction.
    fn state(&self) -> usize {
        match self.projection {
            0 => self.units,
            projection => projection,
        }
    }

    fn directions(&self) -> usize {
        1 + usize::from(self.is_bidirectional)
    }

    fn outputs(&self) -> usize {
        self.state() * self.directions()
    }

    /// The shape that a tensor must have; None for a name that the module has no tensor of.
    fn shape(&self, layer: usize, name: &str) -> Option<Vec<usize>> {
        let columns = self.gates * self.units;
        let inputs = if layer == 0 {
            self.inputs
        } else {
            self.outputs()
        };
        Some(match name {
            "weight_ih" => vec![columns, inputs],
            "weight_hh" => vec![columns, self.state()],
            "weight_hr" if self.projection > 0 => vec![self.projection, self.units],
            "bias_ih" | "bias_hh" if self.bias => vec![columns],
            _ => return None,
        })
    }

    fn spec(&self, activation: Option<Activation>) -> LayerSpec {
        let options = Box::new(RecurrentOptions {
            direction: match self.is_bidirectional {
                true => Direction::Bidirectional,
                false => Direction::Forward,
            },
            bias: self.bias,
            projection: self.projection,
            ..RecurrentOptions::default()
        });
        let units = self.units;
        match self.gates {
            1 => LayerSpec::Rnn {
                units,
                activation: activation.unwrap_or(Activation::Tanh),
                options,
            },
            3 => LayerSpec::Gru { units, options },
            _ => LayerSpec::Lstm { units, options },
        }
    }
}

/// What follows the name of a module in those of its tensors: what it is, its layer, and whether it is of the reverse direction.
/// None: no module that is known has it.
fn leaf(name: &str) -> Option<(&str, usize, bool)> {
    let (name, is_reverse) = match name.strip_suffix("_reverse") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (kind, layer) = match name.rsplit_once("_l") {
        Some((kind, digits)) => {
            let layer = digits.parse::<usize>().ok()?;
            // No layer has two names.
            if layer.to_string() != digits {
                return None;
            }
            (kind, layer)
        }
        // A cell, of one step.
        _ if is_reverse => return None,
        _ => (name, 0),
    };
    let known = ["weight_ih", "weight_hh", "weight_hr", "bias_ih", "bias_hh"];
    known.contains(&kind).then_some((kind, layer, is_reverse))
}

/// One direction of one layer of a recurrent module.
struct Way<E> {
    input: Numbers<E>,
    recurrent: Numbers<E>,
    biases: Option<[Vec<E>; 2]>,
    projection: Option<Numbers<E>>,
}

impl<E: Element> Way<E> {
    /// A parameter. Gates lie one behind the other, as in elman.
    fn parameter(&self, at: &At<'_>) -> E {
        let units = at.tensor.columns / at.tensor.gates;
        let column = at.gate * units + at.unit;
        let of = |matrix: &Numbers<E>| matrix.values[column * matrix.shape[1] + at.row];
        match (at.tensor.role, &self.biases, &self.projection) {
            (TensorRole::InputWeight, ..) => of(&self.input),
            (TensorRole::RecurrentWeight, ..) => of(&self.recurrent),
            (TensorRole::Projection, _, Some(matrix)) => of(matrix),
            // That of a GRU's candidate is the second one's last third.
            (TensorRole::CandidateBias, Some([_, second]), _) => second[2 * units + at.unit],
            (TensorRole::RecurrentBias, Some([first, second]), _) => {
                let is_candidate = (at.tensor.gates, at.gate) == (3, 2);
                match second[column] {
                    // Adding 0 would turn -0 into 0.
                    _ if is_candidate => first[column],
                    bias if bias == E::ZERO => first[column],
                    bias => first[column] + bias,
                }
            }
            (role, ..) => unreachable!("PyTorch's layers have no {role:?}"),
        }
    }
}

/// The modules of a file.
struct Modules<'a, E> {
    file: &'a Path,
    names: Vec<String>,
    tensors: Vec<Tensors<E>>,
    /// What each of them may be.
    kinds: Vec<Vec<Kind>>,
}

/// Reads a state dict: tensors by their names.
pub fn read<E: Element>(
    file: &Path,
    tensors: Vec<(String, Numbers<E>)>,
    description: &Description,
) -> Result<Found<E>> {
    let mut modules = Modules::new(file, tensors)?;
    let order = match description.layers {
        Some(ref items) => modules.described(items)?,
        None => modules.deduced()?,
    };
    modules.network(order, description)
}

/// A layer in its order: a module, or a layer without weights.
enum Step<'d> {
    Module(usize, Kind, Option<&'d Module>),
    Layer(&'d LayerSpec),
}

impl<'a, E: Element> Modules<'a, E> {
    fn new(file: &'a Path, tensors: Vec<(String, Numbers<E>)>) -> Result<Self> {
        let mut modules: BTreeMap<String, Tensors<E>> = BTreeMap::new();
        for (name, numbers) in tensors {
            let (module, rest) = name.rsplit_once('.').unwrap_or(("", &name));
            let tensors = modules.entry(module.to_owned()).or_default();
            tensors.insert(rest.to_owned(), numbers);
        }
        let (names, tensors): (Vec<_>, Vec<_>) = modules.into_iter().unzip();
        let mut kinds = Vec::new();
        for (name, tensors) in names.iter().zip(&tensors) {
            let found = kinds_of(tensors).map_err(|message| {
                let name = if name.is_empty() { "(no name)" } else { name };
                fault(file, &format!("module {name}: {message}"))
            })?;
            kinds.push(found);
        }
        Ok(Self {
            file,
            names,
            tensors,
            kinds,
        })
    }

    fn fault(&self, message: &str) -> Error {
        fault(self.file, message)
    }

    /// What has been understood, for a message.
    fn understood(&self) -> String {
        let modules = self.names.iter().zip(&self.kinds).map(|(name, kinds)| {
            let kinds: Vec<_> = kinds.iter().map(Kind::to_string).collect();
            format!("{name} {}", kinds.join(" or "))
        });
        modules.collect::<Vec<_>>().join(", ")
    }

    /// The order that a description says.
    fn described<'d>(&self, items: &'d [Item]) -> Result<Vec<Step<'d>>> {
        let mut steps = Vec::new();
        let mut is_used = vec![false; self.names.len()];
        for item in items {
            steps.push(match item {
                Item::Layer(spec) => Step::Layer(spec),
                Item::Module(module) => {
                    let index = self.names.iter().position(|name| *name == module.module);
                    let Some(index) = index.filter(|&index| !is_used[index]) else {
                        let state = if index.is_some() {
                            "twice"
                        } else {
                            "which the file has not"
                        };
                        return Err(self.fault(&format!(
                            "the description has module {:?} {state}; there are: {}",
                            module.module,
                            self.understood()
                        )));
                    };
                    is_used[index] = true;
                    let kinds = &self.kinds[index];
                    let is_embedding = |kind: &&Kind| {
                        matches!(kind, Kind::Embedding { .. }) == module.columns.is_some()
                    };
                    let kind = kinds.iter().find(is_embedding).unwrap_or(&kinds[0]);
                    Step::Module(index, kind.clone(), Some(module))
                }
            });
        }
        if let Some(index) = is_used.iter().position(|&is_used| !is_used) {
            let message = format!(
                "module {:?} is missing in the description",
                self.names[index]
            );
            return Err(self.fault(&message));
        }
        Ok(steps)
    }

    /// The only order in which the sizes fit, with no Linear but at the end: which function follows one, the file does not tell.
    fn deduced<'d>(&self) -> Result<Vec<Step<'d>>> {
        let open = |what: &str| {
            let understood = self.understood();
            self.fault(&format!(
                "{what}; \"layers\" of a description can tell. The file has: {understood}"
            ))
        };
        if self.names.len() > MOST_MODULES {
            return Err(open("the order of so many modules is open"));
        }
        let found = |linear_ends: bool| {
            let mut search = Search {
                kinds: &self.kinds,
                linear_ends,
                chain: Vec::new(),
                found: Vec::new(),
                budget: 100_000,
            };
            search.extend();
            (search.found, search.budget)
        };
        let (orders, left) = found(true);
        let order = match &orders[..] {
            [order] if left > 0 => order,
            [] if left > 0 => {
                let (orders, _) = found(false);
                let inner = orders.first().and_then(|order| {
                    let mut inner = order[..order.len() - 1].iter();
                    inner.find(|(_, kind)| matches!(kind, Kind::Linear { .. }))
                });
                return Err(match inner {
                    None => open("there is no order in which the sizes of all modules fit"),
                    Some((index, _)) => {
                        let name = &self.names[*index];
                        open(&format!("which function follows {name} is open"))
                    }
                });
            }
            _ => {
                return Err(open(
                    "there are several orders in which the sizes of modules fit",
                ));
            }
        };
        let steps = order.iter();
        Ok(steps
            .map(|(index, kind)| Step::Module(*index, kind.clone(), None))
            .collect())
    }

    fn network(&mut self, order: Vec<Step<'_>>, description: &Description) -> Result<Found<E>> {
        let first = order.iter().find_map(|step| match step {
            Step::Module(_, kind, module) => Some((kind, module)),
            Step::Layer(_) => None,
        });
        let found = match first {
            None => None,
            Some((Kind::Embedding { .. }, module)) => {
                let columns = module.and_then(|module| module.columns.as_ref());
                Some(columns.map_or(1, Vec::len))
            }
            Some((kind, _)) => Some(kind.inputs()),
        };
        let input_size = description.input_size.or(found);
        let input_size = input_size.ok_or_else(|| self.fault("no layers"))?;
        let mut sizes = vec![input_size];
        let mut layers: Vec<FoundLayer<E>> = Vec::new();
        let mut specs: Vec<LayerSpec> = Vec::new();
        for step in order {
            let added = match step {
                Step::Layer(spec) => vec![FoundLayer::bare(spec.clone())],
                Step::Module(index, kind, module) => {
                    let before = sizes[sizes.len() - 1];
                    let takes_all = !matches!(kind, Kind::Embedding { .. });
                    if takes_all && kind.inputs() != before {
                        return Err(self.fault(&format!(
                            "module {} is {kind}, expected one that takes {before} features",
                            self.names[index]
                        )));
                    }
                    if let Some(what) = module.and_then(|module| unused(&kind, module)) {
                        let name = &self.names[index];
                        return Err(
                            self.fault(&format!("the description has {what} of {name}, a {kind}"))
                        );
                    }
                    let tensors = std::mem::take(&mut self.tensors[index]);
                    module_layers(&kind, tensors, module)
                }
            };
            for layer in added {
                let position = specs.len();
                let spec = &layer.spec;
                spec.check()
                    .and_then(|()| spec.check_place(&sizes, specs.iter()))
                    .map_err(|error| self.fault(&format!("layer {position}: {error}")))?;
                let built = spec.build_among::<E>(&sizes);
                if layer.parameters.is_none() && !built.tensors().is_empty() {
                    return Err(self.fault(&format!(
                        "the description has layer {position} without a module, which needs weights"
                    )));
                }
                sizes.push(built.outputs());
                specs.push(spec.clone());
                layers.push(layer);
            }
        }
        Ok(Found {
            input_size,
            output_size: sizes[sizes.len() - 1],
            output: description.output.unwrap_or(Output::All),
            layers,
        })
    }
}

/// Most modules whose order is looked for.
const MOST_MODULES: usize = 64;

/// All orders of modules in which each takes as many features as the one before gives.
struct Search<'a> {
    kinds: &'a [Vec<Kind>],
    /// Whether only the last one may be a Linear.
    linear_ends: bool,
    chain: Vec<(usize, Kind)>,
    /// Two of them at most: then the order is open.
    found: Vec<Vec<(usize, Kind)>>,
    /// Steps that are left.
    budget: usize,
}

impl Search<'_> {
    fn extend(&mut self) {
        if self.chain.len() == self.kinds.len() {
            self.found.push(self.chain.clone());
            return;
        }
        let size = self.chain.last().map(|(_, kind)| kind.outputs());
        let is_last = self.chain.len() + 1 == self.kinds.len();
        for (index, kinds) in self.kinds.iter().enumerate() {
            if self.chain.iter().any(|(used, _)| *used == index) {
                continue;
            }
            for kind in kinds {
                let fits = match (kind, size) {
                    (Kind::Linear { .. }, _) if self.linear_ends && !is_last => false,
                    (_, None) => true,
                    (Kind::Embedding { .. }, Some(_)) => false,
                    (kind, Some(size)) => kind.inputs() == size,
                };
                if fits && self.budget > 0 && self.found.len() < 2 {
                    self.budget -= 1;
                    self.chain.push((index, kind.clone()));
                    self.extend();
                    self.chain.pop();
                }
            }
        }
    }
}

/// What a module with these tensors may be, or what is wrong with them.
fn kinds_of<E>(tensors: &Tensors<E>) -> std::result::Result<Vec<Kind>, String> {
    let shape = |name: &str| tensors.get(name).map(|tensor| &tensor.shape[..]);
    let is_recurrent = tensors.keys().any(|name| leaf(name).is_some());
    if is_recurrent {
        return recurrent_of(tensors).map(|kind| vec![Kind::Recurrent(kind)]);
    }
    if let Some(name) = tensors
        .keys()
        .find(|name| !["weight", "bias"].contains(&name.as_str()))
    {
        return Err(format!(
            "tensor {name}, which no module that can be taken has"
        ));
    }
    let bias = shape("bias");
    match (shape("weight"), bias) {
        (Some(&[outputs, inputs]), None) => Ok(vec![
            Kind::Linear { inputs, outputs },
            Kind::Embedding {
                classes: outputs,
                size: inputs,
            },
        ]),
        (Some(&[outputs, inputs]), Some(&[biases])) if biases == outputs => {
            Ok(vec![Kind::Linear { inputs, outputs }])
        }
        (Some(&[features]), None) => Ok(vec![Kind::Norm { features }]),
        (Some(&[features]), Some(&[biases])) if biases == features => {
            Ok(vec![Kind::Norm { features }])
        }
        (weight, bias) => Err(format!(
            "weight {weight:?} and bias {bias:?}, expected those of Linear, Embedding or LayerNorm"
        )),
    }
}

/// The recurrent module that has these tensors.
fn recurrent_of<E>(tensors: &Tensors<E>) -> std::result::Result<Recurrent, String> {
    let get = |name: &str| {
        let long = tensors.get(&format!("{name}_l0"));
        long.or_else(|| tensors.get(name))
            .map(|tensor| &tensor.shape[..])
    };
    let (Some(&[columns, state]), Some(&[_, inputs])) = (get("weight_hh"), get("weight_ih")) else {
        return Err("no matrices weight_ih_l0 and weight_hh_l0".to_owned());
    };
    let (units, projection) = match get("weight_hr") {
        Some(&[projection, units]) => (units, projection),
        _ => (state, 0),
    };
    let gates = columns.checked_div(units).unwrap_or(0);
    if ![1, 3, 4].contains(&gates) || gates.checked_mul(units) != Some(columns) {
        return Err(format!(
            "weight_hh of {columns} rows for {units} units, expected 1 (RNN), 3 (GRU) or 4 (LSTM) times as many"
        ));
    }
    let leaves = || tensors.keys().filter_map(|name| leaf(name));
    let recurrent = Recurrent {
        gates,
        inputs,
        units,
        projection,
        layers: leaves()
            .fold(0, |layers, (_, layer, _)| layers.max(layer))
            .saturating_add(1),
        is_bidirectional: leaves().any(|(_, _, is_reverse)| is_reverse),
        bias: leaves().any(|(name, ..)| name.starts_with("bias")),
    };
    for (name, tensor) in tensors {
        let shape = leaf(name).and_then(|(name, layer, _)| recurrent.shape(layer, name));
        let Some(shape) = shape else {
            return Err(format!("tensor {name}, which such a module has not"));
        };
        if tensor.shape != shape {
            return Err(format!(
                "{name} has shape {:?}, expected {shape:?}",
                tensor.shape
            ));
        }
    }
    let count = leaves().collect::<BTreeSet<_>>().len();
    if count != tensors.len() {
        return Err("a tensor under the names of a cell and of a layer".to_owned());
    }
    let kinds = 2 + 2 * usize::from(recurrent.bias) + usize::from(projection > 0);
    let expected = recurrent
        .layers
        .saturating_mul(recurrent.directions() * kinds);
    if count != expected {
        return Err(format!(
            "{count} tensors, expected {expected} of {} layers and {} directions",
            recurrent.layers,
            recurrent.directions()
        ));
    }
    Ok(recurrent)
}

/// What a description says of a module that has no use for it.
fn unused(kind: &Kind, module: &Module) -> Option<&'static str> {
    let has_activation = match kind {
        Kind::Recurrent(recurrent) => recurrent.gates == 1,
        kind => matches!(kind, Kind::Linear { .. }),
    };
    match module {
        _ if module.activation.is_some() && !has_activation => Some("an activation"),
        _ if module.epsilon.is_some() && !matches!(kind, Kind::Norm { .. }) => Some("an epsilon"),
        _ if module.columns.is_some() && !matches!(kind, Kind::Embedding { .. }) => Some("columns"),
        _ => None,
    }
}

/// The layers that a module becomes.
fn module_layers<E: Element>(
    kind: &Kind,
    mut tensors: Tensors<E>,
    module: Option<&Module>,
) -> Vec<FoundLayer<E>> {
    let activation = module.and_then(|module| module.activation);
    let mut take = |name: &str| tensors.remove(name);
    let spec = match *kind {
        Kind::Recurrent(recurrent) => {
            let layers = (0..recurrent.layers).map(|layer| {
                let mut way = |reverse: &str| {
                    let mut part = |name: &str| {
                        let long = tensors.remove(&format!("{name}_l{layer}{reverse}"));
                        long.or_else(|| tensors.remove(name))
                    };
                    let counted = "the tensors have been counted";
                    Way {
                        input: part("weight_ih").expect(counted),
                        recurrent: part("weight_hh").expect(counted),
                        biases: part("bias_ih")
                            .zip(part("bias_hh"))
                            .map(|(first, second)| [first.values, second.values]),
                        projection: part("weight_hr"),
                    }
                };
                let mut ways = vec![way("")];
                if recurrent.is_bidirectional {
                    ways.push(way("_reverse"));
                }
                FoundLayer::new(recurrent.spec(activation), move |at| {
                    ways[usize::from(at.tensor.is_reverse)].parameter(&at)
                })
            });
            return layers.collect();
        }
        Kind::Linear { outputs, .. } => LayerSpec::Dense {
            units: outputs,
            activation: activation.unwrap_or(Activation::Linear),
        },
        Kind::Embedding { classes, size } => LayerSpec::Embedding {
            columns: module
                .and_then(|module| module.columns.clone())
                .unwrap_or_else(|| vec![0]),
            classes,
            size,
        },
        Kind::Norm { .. } => LayerSpec::LayerNorm {
            epsilon: module.and_then(|module| module.epsilon).unwrap_or(1e-5),
        },
    };
    let (weight, bias) = (take("weight"), take("bias"));
    vec![FoundLayer::new(spec, move |at| {
        let weight = weight.as_ref().expect("the tensors have been looked at");
        match at.tensor.role {
            TensorRole::DenseWeight => weight.values[at.unit * weight.shape[1] + at.row],
            TensorRole::Embedding => weight.values[at.row * weight.shape[1] + at.unit],
            TensorRole::NormGain => weight.values[at.unit],
            // A layer without one has zeros.
            _ => bias.as_ref().map_or(E::ZERO, |bias| bias.values[at.unit]),
        }
    })]
}
