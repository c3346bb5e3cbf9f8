//! Networks of PyTorch that are imported, trained and exported end where PyTorch's own training takes them.

use std::collections::BTreeMap;
use std::path::Path;

use elman::loss::mean_squared_error;
use elman::optimizer::{Optimizer, Rule, clip_by_norm};
use elman::{Batch, Element, ImportOptions, Network, Result};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    modules: Vec<String>,
    batch: usize,
    steps: usize,
    updates: usize,
    rate: f64,
    momentum: f64,
    weight_decay: f64,
    /// The largest norm of the gradients.
    limit: Option<f64>,
    description: Option<String>,
    x: Vec<f64>,
    targets: Vec<f64>,
    losses: Vec<f64>,
    after: BTreeMap<String, Vec<f64>>,
}

fn converted<E: Element>(values: &[f64]) -> Vec<E> {
    values.iter().map(|&value| E::from_f64(value)).collect()
}

/// Imports a network and trains it as the case says; returns its state dict.
fn trained<E: Element>(data: &Path, case: &Case, tolerance: f64) -> Result<Vec<u8>> {
    let options = ImportOptions {
        description: case.description.clone(),
    };
    let path = data.join("import_training").join(&case.name);
    let mut network = Network::<E>::import(path, &options)?;
    let rule = Rule::Sgd {
        momentum: case.momentum,
        nesterov: false,
        weight_decay: case.weight_decay,
    };
    let mut optimizer = Optimizer::<E>::new(rule, case.rate)?;
    let (x, targets) = (converted::<E>(&case.x), converted::<E>(&case.targets));
    let batch = Batch {
        x: &x,
        batch: case.batch,
        steps: case.steps,
        lengths: None,
    };
    let mut y = vec![E::ZERO; targets.len()];
    let mut dy = y.clone();
    assert_eq!(case.losses.len(), case.updates);
    for (update, expected) in case.losses.iter().enumerate() {
        network.forward(batch, None, Some(&mut y), None)?;
        let loss = mean_squared_error(&y, &targets, None, Some(&mut dy))?;
        let error = (loss - expected).abs() / expected;
        assert!(error < tolerance, "{}, update {update}: {loss}", case.name);
        network.backward(Some(&dy), None, None, None)?;
        if let Some(limit) = case.limit {
            clip_by_norm(network.gradients_mut(), limit)?;
        }
        network.update(&mut optimizer)?;
    }
    network.state_dict(&case.modules)
}

/// The numbers of a tensor of the type of `E`.
fn numbers<E: Element>(data: &[u8]) -> Vec<f64> {
    if size_of::<E>() == size_of::<f32>() {
        let elements = data.as_chunks().0.iter();
        return elements.map(|&it| f32::from_le_bytes(it).into()).collect();
    }
    let elements = data.as_chunks().0.iter();
    elements.map(|&it| f64::from_le_bytes(it)).collect()
}

/// Compares tensor by tensor, to parts of the largest value of each: one that is 0 there is 0 here.
fn ends_where_pytorch_does<E: Element>(tolerance: f64) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let json = std::fs::read_to_string(data.join("import_training.json")).unwrap();
    let Cases { cases } = serde_json::from_str(&json).unwrap();
    assert_eq!(cases.len(), 11);
    for case in &cases {
        let bytes = trained::<E>(&data, case, tolerance).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.len(), case.after.len(), "{}", case.name);
        for (name, expected) in &case.after {
            let actual = numbers::<E>(tensors.tensor(name).unwrap().data());
            assert_eq!(actual.len(), expected.len(), "{} {name}", case.name);
            let largest = expected.iter().fold(0.0, |most, it| it.abs().max(most));
            for (actual, expected) in actual.iter().zip(expected) {
                let error = (actual - expected).abs();
                assert!(
                    error <= tolerance * largest,
                    "{} {name}: {actual}, expected {expected}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn ten_steps_in_f64() {
    ends_where_pytorch_does::<f64>(1e-13);
}

#[test]
fn ten_steps_in_f32() {
    ends_where_pytorch_does::<f32>(1e-5);
}
