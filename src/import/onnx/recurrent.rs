//! The operators RNN, GRU and LSTM. Their gates lie as z r h of a GRU and i o f c of an LSTM, whose peepholes lie as i o f; what
//! ONNX Runtime does where the documents leave something open is done here.

use std::rc::Rc;

use super::super::{At, FoundLayer};
use super::value::{Floats, Result};
use crate::Element;
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::LayerSpec;
use crate::layer::options::{
    CellActivations, Direction, InitialState, LastOutput, Merge, RecurrentOptions, Reset,
};
use crate::onnx::Node;

/// A cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Rnn,
    Gru,
    Lstm,
}

impl Cell {
    pub fn of(op: &str) -> Option<Self> {
        Some(match op {
            "RNN" => Self::Rnn,
            "GRU" => Self::Gru,
            "LSTM" => Self::Lstm,
            _ => return None,
        })
    }

    pub fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The place in ONNX of each gate in elman's order.
    pub fn order(self, is_coupled: bool) -> &'static [usize] {
        match self {
            Self::Rnn => &[0],
            Self::Gru => &[1, 0, 2],
            Self::Lstm if is_coupled => &[0, 3, 1],
            Self::Lstm => &[0, 2, 3, 1],
        }
    }

    fn activations(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// A layer of such an operator.
#[derive(Debug)]
pub struct Recurrent<E> {
    pub cell: Cell,
    spec: LayerSpec,
    /// What is taken of its reverse direction where one step is, once that is known.
    pub last: Option<LastOutput>,
    /// [directions][gates * units][inputs]
    pub input: Floats<E>,
    /// [directions][gates * units][units]
    pub recurrent: Floats<E>,
    /// [directions][2 * gates * units]
    pub bias: Option<Floats<E>>,
    /// [directions][3 * units]
    pub peepholes: Option<Floats<E>>,
    /// h and c that it starts from, [directions][units].
    pub start: [Option<Floats<E>>; 2],
}

/// What the attributes of a node say.
#[derive(Debug)]
pub struct Settings {
    pub direction: Direction,
    pub units: usize,
    /// Whether batches come first.
    pub is_batch_first: bool,
    activations: Vec<Vec<Activation>>,
    clip: f64,
    is_coupled: bool,
    resets_after: bool,
}

impl Settings {
    pub fn directions(&self) -> usize {
        1 + usize::from(self.direction == Direction::Bidirectional)
    }

    /// Reads the attributes.
    pub fn new(cell: Cell, node: &Node<'_>) -> Result<Self> {
        let mut settings = Self {
            direction: Direction::Forward,
            units: 0,
            is_batch_first: false,
            activations: Vec::new(),
            clip: 0.0,
            is_coupled: false,
            resets_after: false,
        };
        let mut names = Vec::new();
        let (mut alpha, mut beta) = (Vec::new(), Vec::new());
        for attribute in &node.attributes {
            let integer = attribute.integer().unwrap_or(0);
            match attribute.name {
                "direction" => {
                    settings.direction = match attribute.text().unwrap_or_default() {
                        b"forward" => Direction::Forward,
                        b"reverse" => Direction::Reverse,
                        b"bidirectional" => Direction::Bidirectional,
                        other => {
                            let other = String::from_utf8_lossy(other);
                            return Err(format!(
                                "direction {other}, expected forward, reverse or bidirectional"
                            ));
                        }
                    }
                }
                "hidden_size" => settings.units = usize::try_from(integer).unwrap_or(0),
                "layout" => settings.is_batch_first = integer != 0,
                "clip" => {
                    let clip = attribute.float().unwrap_or(0.0);
                    // elman has 0 for none.
                    if clip == 0.0 {
                        return Err("clip is 0, which lets nothing through".to_owned());
                    }
                    settings.clip = clip.into();
                }
                "input_forget" => settings.is_coupled = integer != 0,
                "linear_before_reset" => settings.resets_after = integer != 0,
                "activations" => names = attribute.texts()?,
                "activation_alpha" => alpha = attribute.floats()?,
                "activation_beta" => beta = attribute.floats()?,
                // Of early versions, where it says that Y is wanted.
                "output_sequence" => {}
                other => return Err(format!("attribute {other}, which elman has not")),
            }
        }
        let (kinds, directions) = (cell.activations(), settings.directions());
        let given: Vec<String> = match &names[..] {
            [] => kinds
                .repeat(directions)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            names => names
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect(),
        };
        if given.len() != kinds.len() * directions {
            let expected = kinds.len() * directions;
            return Err(format!("{} activations, expected {expected}", given.len()));
        }
        let (mut alpha, mut beta) = (alpha.iter(), beta.iter());
        let functions = given
            .iter()
            .map(|name| activation(name, &mut alpha, &mut beta));
        let functions = functions.collect::<Result<Vec<_>>>()?;
        settings.activations = functions
            .chunks(kinds.len())
            .map(<[Activation]>::to_vec)
            .collect();
        Ok(settings)
    }
}

/// The function of that name. Numbers are used up by those functions that have some, in their order.
fn activation<'f>(
    name: &str,
    alpha: &mut impl Iterator<Item = &'f f32>,
    beta: &mut impl Iterator<Item = &'f f32>,
) -> Result<Activation> {
    let mut alpha = |default: f32| f64::from(alpha.next().copied().unwrap_or(default));
    let mut beta = |default: f32| f64::from(beta.next().copied().unwrap_or(default));
    Ok(match name.to_ascii_lowercase().as_str() {
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "relu" => Activation::Relu,
        "softsign" => Activation::Softsign,
        "softplus" => Activation::Softplus,
        "affine" => Activation::Affine {
            alpha: alpha(0.0),
            beta: beta(0.0),
        },
        "scaledtanh" => Activation::ScaledTanh {
            alpha: alpha(0.0),
            beta: beta(0.0),
        },
        "hardsigmoid" => Activation::HardSigmoid {
            alpha: alpha(0.2),
            beta: beta(0.5),
        },
        "leakyrelu" => Activation::LeakyRelu { alpha: alpha(0.01) },
        "elu" => Activation::Elu { alpha: alpha(1.0) },
        "thresholdedrelu" => Activation::ThresholdedRelu { alpha: alpha(0.0) },
        _ => return Err(format!("activation {name}, which elman has not")),
    })
}

/// Its constants.
#[derive(Debug)]
pub struct Constants<E> {
    pub input: Floats<E>,
    pub recurrent: Floats<E>,
    pub bias: Option<Floats<E>>,
    pub peepholes: Option<Floats<E>>,
    pub start: [Option<Floats<E>>; 2],
}

impl<E: Element> Recurrent<E> {
    /// The layer of a node, whose constants have the shapes that belong to it.
    pub fn new(cell: Cell, settings: &Settings, constants: Constants<E>) -> Result<Self> {
        let starts = constants.start.iter().any(Option::is_some);
        let mut options = RecurrentOptions {
            direction: settings.direction,
            bias: constants.bias.is_some(),
            peepholes: constants.peepholes.is_some(),
            clip_sums: settings.clip,
            initial_state: match starts {
                true => InitialState::Trainable,
                false => InitialState::Zeros,
            },
            ..RecurrentOptions::default()
        };
        match cell {
            Cell::Rnn => {}
            Cell::Gru if settings.resets_after => {}
            Cell::Gru => options.reset = Reset::Before,
            Cell::Lstm => options.coupled = settings.is_coupled,
        }
        for (own, functions) in options.activations.iter_mut().zip(&settings.activations) {
            match functions[..] {
                [gates, candidate] => {
                    *own = CellActivations {
                        gates,
                        candidate,
                        ..*own
                    };
                }
                [gates, candidate, output] => {
                    *own = CellActivations {
                        gates,
                        candidate,
                        output,
                    };
                }
                _ => {}
            }
        }
        let options = Box::new(options);
        let units = settings.units;
        let spec = match cell {
            Cell::Rnn => {
                let activation = settings.activations[0][0];
                if settings.activations.iter().any(|it| it[0] != activation) {
                    return Err(
                        "two activations, expected one for both directions of an RNN".to_owned(),
                    );
                }
                LayerSpec::Rnn {
                    units,
                    activation,
                    options,
                }
            }
            Cell::Gru => LayerSpec::Gru { units, options },
            Cell::Lstm => LayerSpec::Lstm { units, options },
        };
        spec.check().map_err(|error| error.to_string())?;
        let Constants {
            input,
            recurrent,
            bias,
            peepholes,
            start,
        } = constants;
        Ok(Self {
            cell,
            spec,
            last: None,
            input,
            recurrent,
            bias,
            peepholes,
            start,
        })
    }

    pub fn units(&self) -> usize {
        self.recurrent.dims[2]
    }

    pub fn options(&self) -> &RecurrentOptions {
        let options = self.spec.recurrent_options();
        options.expect("it is a recurrent layer")
    }

    pub fn options_mut(&mut self) -> &mut RecurrentOptions {
        match &mut self.spec {
            LayerSpec::Rnn { options, .. }
            | LayerSpec::Gru { options, .. }
            | LayerSpec::Lstm { options, .. } => options,
            other => unreachable!("{other:?} is no recurrent layer"),
        }
    }

    /// Makes its two outputs one.
    pub fn merge(&mut self, merge: Merge) {
        self.options_mut().merge = merge;
    }

    pub fn layer(mut self) -> FoundLayer<E> {
        if let Some(last) = self.last {
            self.options_mut().last = last;
        }
        FoundLayer::new(self.spec.clone(), move |at| self.parameter(&at))
    }

    fn parameter(&self, at: &At<'_>) -> E {
        let units = self.units();
        let has_both = self.options().direction == Direction::Bidirectional;
        let direction = usize::from(has_both && at.tensor.is_reverse);
        let order = self.cell.order(self.options().coupled);
        let row = |gate: usize| order[gate] * units + at.unit;
        let biases = self.cell.gates() * units;
        let bias = |index: usize| {
            let bias = self.bias.as_ref();
            bias.expect("it has biases").at(&[direction, index])
        };
        match at.tensor.role {
            TensorRole::InputWeight => self.input.at(&[direction, row(at.gate), at.row]),
            TensorRole::RecurrentWeight => self.recurrent.at(&[direction, row(at.gate), at.row]),
            TensorRole::RecurrentBias => {
                let (first, second) = (bias(row(at.gate)), bias(biases + row(at.gate)));
                let has_own = self.cell == Cell::Gru && self.options().reset == Reset::After;
                match second {
                    // Adding 0 would turn -0 into 0.
                    _ if has_own && at.gate == 2 => first,
                    second if second == E::ZERO => first,
                    second => first + second,
                }
            }
            TensorRole::CandidateBias => bias(biases + 2 * units + at.unit),
            TensorRole::Peephole => {
                // i f o, or i o, of i o f.
                let order: &[usize] = match self.options().coupled {
                    true => &[0, 1],
                    false => &[0, 2, 1],
                };
                let peepholes = self.peepholes.as_ref().expect("it has peepholes");
                peepholes.at(&[direction, order[at.row] * units + at.unit])
            }
            role => {
                let start = &self.start[usize::from(role == TensorRole::InitialCell)];
                let own = start.as_ref();
                own.map_or(E::ZERO, |start| start.at(&[direction, at.unit]))
            }
        }
    }
}

/// A vector of one number for each direction and unit.
pub fn vector<E>(dims: [usize; 2], values: Vec<E>) -> Floats<E> {
    Floats {
        dims: dims.to_vec(),
        values: Rc::new(values),
    }
}
