//! The engine against numbers that NumPy and PyTorch have computed, in f64.

use elman::{Activation, Batch, Network, Output};
use serde_json::Value;

fn load(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// All numbers of a nested array, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        Value::Null => Vec::new(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

#[track_caller]
fn assert_close(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        if expected.is_nan() {
            continue;
        }
        let error = (actual - expected).abs() / expected.abs().max(1.0);
        assert!(
            error <= tolerance,
            "{what}[{index}]: {actual}, expected {expected}"
        );
    }
}

/// `[layers][batch][units]` as `[batch][layers * units]`, or back.
fn transpose(values: &[f64], outer: usize, inner: usize, width: usize) -> Vec<f64> {
    let mut transposed = Vec::new();
    for i in 0..inner {
        for o in 0..outer {
            transposed.extend(&values[(o * inner + i) * width..][..width]);
        }
    }
    transposed
}

#[test]
fn recurrent_layers_equal_pytorch() {
    for case in load("rnn_reference.json")["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let [steps, batch, input, units, layers] =
            ["steps", "batch", "input", "hidden", "layers"].map(|key| size(&case[key]));
        let activation = match case["activation"].as_str().unwrap() {
            "tanh" => Activation::Tanh,
            "relu" => Activation::Relu,
            other => panic!("{other}"),
        };
        let lengths: Option<Vec<usize>> = case["lengths"]
            .as_array()
            .map(|lengths| lengths.iter().map(size).collect());

        let mut network = Network::<f64>::new(input).unwrap();
        let (mut parameters, mut gradients) = (Vec::new(), Vec::new());
        for tensors in case["params"].as_array().unwrap() {
            network.add_rnn(units, activation).unwrap();
            for key in ["W_x", "W_h", "B"] {
                // A layer without a bias is one whose bias is 0, and whose gradient of the bias nobody gave.
                let unless_given = |values: Vec<f64>, default| match &tensors[key] {
                    Value::Null => vec![default; units],
                    _ => values,
                };
                parameters.extend(unless_given(numbers(&tensors[key]), 0.0));
                gradients.extend(unless_given(
                    numbers(&tensors[&format!("d{key}")]),
                    f64::NAN,
                ));
            }
        }
        network.set_output(Output::All).unwrap();
        network.set_parameters(&parameters).unwrap();

        let x = numbers(&case["x"]);
        let by_sequence = |key: &str| transpose(&numbers(&case[key]), layers, batch, units);
        let h0 = by_sequence("h0");
        let mut y = vec![f64::NAN; batch * steps * units];
        let mut h_last = vec![f64::NAN; batch * layers * units];
        network
            .forward(
                Batch {
                    x: &x,
                    batch,
                    steps,
                    lengths: lengths.as_deref(),
                },
                Some(&h0),
                Some(&mut y),
                Some(&mut h_last),
            )
            .unwrap();
        assert_close(&format!("{name}: y"), &y, &numbers(&case["y"]), 1e-12);
        assert_close(
            &format!("{name}: h_last"),
            &h_last,
            &by_sequence("h_last"),
            1e-12,
        );

        let mut dx = vec![f64::NAN; x.len()];
        let mut dh0 = vec![f64::NAN; h0.len()];
        let (dy, dh_last) = (numbers(&case["dy"]), by_sequence("dh_last"));
        network
            .backward(Some(&dy), Some(&dh_last), Some(&mut dx), Some(&mut dh0))
            .unwrap();
        assert_close(&format!("{name}: dx"), &dx, &numbers(&case["dx"]), 1e-12);
        assert_close(&format!("{name}: dh0"), &dh0, &by_sequence("dh0"), 1e-12);
        assert_close(
            &format!("{name}: gradients"),
            network.gradients(),
            &gradients,
            1e-12,
        );
    }
}
