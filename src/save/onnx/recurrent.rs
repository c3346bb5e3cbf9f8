//! A recurrent layer as the node of its cell, which runs both directions.

use super::nodes::Attribute;
use super::{Graph, has_state, values};
use crate::activation::Activation;
use crate::init::TensorRole;
use crate::layer::options::{Direction, Merge, RecurrentOptions, Reset};
use crate::layer::{LayerSpec, Tensor};
use crate::{Error, Result};

impl Graph<'_> {
    pub(super) fn recurrent(
        &mut self,
        index: usize,
        x: &str,
        options: &RecurrentOptions,
    ) -> Result<String> {
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
    pub(super) fn merged(&mut self, merge: Merge, parts: &[String]) -> String {
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
}

/// Units and operator of a recurrent layer.
pub(super) fn recurrent(spec: &LayerSpec) -> Option<(usize, &'static str)> {
    match spec {
        LayerSpec::Rnn { units, .. } => Some((*units, "RNN")),
        LayerSpec::Gru { units, .. } => Some((*units, "GRU")),
        LayerSpec::Lstm { units, .. } => Some((*units, "LSTM")),
        _ => None,
    }
}

/// Makes sure that the operators have what a recurrent layer is.
pub(super) fn check(options: &RecurrentOptions) -> Result<()> {
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
