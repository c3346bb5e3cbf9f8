//! Recurrent cells against PyTorch, ONNX Runtime, Keras' formulas, and formulas written out step by step.

use elman::{Activation, Batch, Direction, Element, LastOutput, Network, Output, RecurrentOptions};
use serde::Deserialize;

/// A case of a file of `tests/data`; `cells.py` there says how its numbers lie.
#[derive(Deserialize)]
struct Case {
    name: String,
    cell: String,
    activation: Option<Activation>,
    options: RecurrentOptions,
    inputs: usize,
    units: usize,
    layers: usize,
    steps: usize,
    batch: usize,
    lengths: Option<Vec<usize>>,
    /// Sizes of the tensors that the parameters are.
    tensors: Vec<usize>,
    parameters: Vec<f64>,
    x: Vec<f64>,
    state_in: Option<Vec<f64>>,
    y: Option<Vec<f64>>,
    y_last: Option<Vec<f64>>,
    state_out: Option<Vec<f64>>,
    #[serde(flatten)]
    backward: Option<Backward>,
}

#[derive(Deserialize)]
struct Backward {
    dy: Vec<f64>,
    dstate_out: Vec<f64>,
    dx: Vec<f64>,
    dstate_in: Vec<f64>,
    gradients: Vec<f64>,
}

fn load(name: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let file: File = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file.cases
}

fn rounded<E: Element>(values: &[f64]) -> Vec<E> {
    values.iter().map(|&value| E::from_f64(value)).collect()
}

/// The largest magnitude.
fn largest(values: &[f64]) -> f64 {
    values
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()))
}

/// Whether two tensors differ by no more than `tolerance` of the largest magnitude.
#[track_caller]
fn assert_close<E: Element>(
    what: &str,
    actual: &[E],
    expected: &[f64],
    largest: f64,
    tolerance: f64,
) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (actual.to_f64() - expected).abs();
        assert!(
            error <= tolerance * largest,
            "{what}[{index}]: {actual:?}, expected {expected}, {:.1e} of the largest",
            error / largest
        );
    }
}

impl Case {
    fn network<E: Element>(&self, options: &RecurrentOptions, output: Output) -> Network<E> {
        let mut network = Network::new(self.inputs).unwrap();
        for _ in 0..self.layers {
            match self.cell.as_str() {
                "rnn" => network.add_recurrent(self.units, self.activation.unwrap(), options),
                "gru" => network.add_gru(self.units, options),
                "lstm" => network.add_lstm(self.units, options),
                other => panic!("{other}"),
            }
            .unwrap();
        }
        network.set_output(output).unwrap();
        assert_eq!(
            network.parameter_count(),
            self.parameters.len(),
            "{}",
            self.name
        );
        network.set_parameters(&rounded(&self.parameters)).unwrap();
        network
    }

    fn is_trained_otherwise(&self) -> bool {
        self.options.zoneout > 0.0 || self.options.zoneout_cell > 0.0
    }

    fn batch<'a, E>(&'a self, x: &'a [E]) -> Batch<'a, E> {
        Batch {
            x,
            batch: self.batch,
            steps: self.steps,
            lengths: self.lengths.as_deref(),
        }
    }

    /// Values, and gradients where the case has them.
    fn check<E: Element>(&self, tolerance: f64) {
        let mut network = self.network::<E>(&self.options, Output::All);
        let x = rounded(&self.x);
        let state_in: Option<Vec<E>> = self.state_in.as_deref().map(rounded);
        let nan = E::from_f64(f64::NAN);
        let state_count = self.batch * network.state_size();
        let mut y = vec![nan; self.batch * self.steps * network.output_size()];
        let mut state = vec![nan; state_count];
        let is_close = |what: &str, actual: &[E], expected: &[f64]| {
            let what = format!("{}: {what}", self.name);
            assert_close(&what, actual, expected, largest(expected), tolerance);
        };
        let values_are_close = |how: &str, y: &[E], state: &[E]| {
            if let Some(expected) = &self.y {
                is_close(&format!("y of {how}"), y, expected);
            }
            if let Some(expected) = &self.state_out {
                is_close(&format!("state of {how}"), state, expected);
            }
        };

        network
            .predict(
                self.batch(&x),
                state_in.as_deref(),
                Some(&mut y),
                Some(&mut state),
            )
            .unwrap();
        values_are_close("predict", &y, &state);
        if self.is_trained_otherwise() {
            return;
        }
        y.fill(nan);
        state.fill(nan);
        network
            .forward(
                self.batch(&x),
                state_in.as_deref(),
                Some(&mut y),
                Some(&mut state),
            )
            .unwrap();
        values_are_close("forward", &y, &state);

        let Some(expected) = &self.backward else {
            return;
        };
        let (dy, dstate_out) = (rounded(&expected.dy), rounded(&expected.dstate_out));
        let (mut dx, mut dstate_in) = (vec![nan; x.len()], vec![nan; state_count]);
        network
            .backward(
                Some(&dy),
                Some(&dstate_out),
                Some(&mut dx),
                Some(&mut dstate_in),
            )
            .unwrap();
        is_close("dx", &dx, &expected.dx);
        is_close("dstate_in", &dstate_in, &expected.dstate_in);
        let mut start = 0;
        for (index, size) in self.tensors.iter().enumerate() {
            let range = start..start + size;
            let actual = &network.gradients()[range.clone()];
            is_close(
                &format!("gradient of tensor {index}"),
                actual,
                &expected.gradients[range],
            );
            start += size;
        }
    }

    /// The last outputs follow from all outputs and the final states.
    fn check_last<E: Element>(&self, last: LastOutput, expected: &[f64], tolerance: f64) {
        let options = RecurrentOptions {
            last,
            ..self.options.clone()
        };
        let network = self.network::<E>(&options, Output::Last);
        let x = rounded(&self.x);
        let state_in: Option<Vec<E>> = self.state_in.as_deref().map(rounded);
        let mut y = vec![E::from_f64(f64::NAN); self.batch * network.output_size()];
        network
            .predict(self.batch(&x), state_in.as_deref(), Some(&mut y), None)
            .unwrap();
        let what = format!("{}: y of {last:?}", self.name);
        // The file has so many digits of its largest number.
        let largest = largest(self.y.as_ref().unwrap());
        assert_close(&what, &y, expected, largest, tolerance);
    }
}

#[test]
fn cells_equal_pytorch_in_f64() {
    for case in load("cells_torch.json") {
        case.check::<f64>(1e-9);
    }
}

#[test]
fn cells_equal_pytorch_in_f32() {
    for case in load("cells_torch.json") {
        case.check::<f32>(1e-5);
    }
}

#[test]
fn cells_equal_onnx_runtime() {
    for case in load("cells_onnx.json") {
        case.check::<f32>(1e-5);
        case.check::<f64>(1e-5);
    }
}

#[test]
fn cells_equal_formulas_of_keras() {
    for case in load("cells_keras.json") {
        case.check::<f64>(1e-10);
        case.check::<f32>(1e-5);
        case.check_last::<f64>(
            LastOutput::FinalState,
            case.y_last.as_deref().unwrap(),
            1e-10,
        );
    }
}

#[test]
fn cells_with_all_options_equal_their_formulas() {
    for case in load("cells_formulas.json") {
        case.check::<f64>(1e-9);
        case.check::<f32>(1e-5);
    }
}

#[test]
fn the_last_output_is_the_final_state_or_that_of_the_last_step() {
    for case in load("cells_torch.json") {
        let (y, state) = (case.y.as_ref().unwrap(), case.state_out.as_ref().unwrap());
        let outputs = y.len() / (case.batch * case.steps);
        let length = |sequence: usize| {
            case.lengths
                .as_ref()
                .map_or(case.steps, |lengths| lengths[sequence])
        };
        let last_step: Vec<f64> = (0..case.batch)
            .flat_map(|sequence| {
                &y[(sequence * case.steps + length(sequence) - 1) * outputs..][..outputs]
            })
            .copied()
            .collect();
        case.check_last::<f64>(LastOutput::LastStep, &last_step, 1e-9);

        let both = case.options.direction == Direction::Bidirectional;
        if both && outputs != 2 * case.h_size() {
            continue;
        }
        let state_size = state.len() / case.batch;
        let direction = state_size / (case.layers * if both { 2 } else { 1 });
        let last_layer = state_size - direction * if both { 2 } else { 1 };
        let final_state: Vec<f64> = (0..case.batch)
            .flat_map(|sequence| {
                let of_layer =
                    &state[sequence * state_size + last_layer..(sequence + 1) * state_size];
                of_layer.chunks(direction).flat_map(|h| &h[..case.h_size()])
            })
            .copied()
            .collect();
        case.check_last::<f64>(LastOutput::FinalState, &final_state, 1e-9);
    }
}

impl Case {
    /// Elements of h of a direction.
    fn h_size(&self) -> usize {
        match self.options.projection {
            0 => self.units,
            projection => projection,
        }
    }
}
