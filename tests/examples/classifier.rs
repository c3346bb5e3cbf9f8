//! A recurrent layer with a softmax on its last state learns to tell two classes of sequences apart.
//!
//!     cargo run --example classifier
//!
//! The loop is written out here, with a loss of its own: where a loss of `elman::loss` will do, `elman::train::fit` is
//! the loop.

use elman::loss::softmax;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Result};
use serde::Deserialize;

/// Sequences, their classes, and the parameters to start from.
#[derive(Debug, Deserialize)]
pub struct Data {
    /// `[sequences][steps][features]`
    pub x: Vec<Vec<Vec<f64>>>,
    /// `[sequences]`
    pub labels: Vec<usize>,
    /// The parameters to start from.
    pub init: Parameters,
}

/// The parameters of the network.
#[derive(Debug, Deserialize)]
#[expect(non_snake_case, reason = "the names of the equations")]
pub struct Parameters {
    /// Of the recurrent layer, `[features][units]`.
    pub W_x: Vec<Vec<f64>>,
    /// Of the recurrent layer, `[units][units]`.
    pub W_h: Vec<Vec<f64>>,
    /// Of the recurrent layer, `[units]`.
    pub B: Vec<f64>,
    /// Of the dense layer, `[units][classes]`.
    pub W_out: Vec<Vec<f64>>,
    /// Of the dense layer, `[classes]`.
    pub b_out: Vec<f64>,
}

impl Parameters {
    /// All of them in the order that networks have.
    pub fn flat(&self) -> Vec<f64> {
        let (w_x, w_h) = (self.W_x.concat(), self.W_h.concat());
        [&w_x, &w_h, &self.B, &self.W_out.concat(), &self.b_out]
            .map(|tensor| &tensor[..])
            .concat()
    }
}

/// The data that the tests use.
pub fn data() -> Data {
    serde_json::from_str(include_str!("../data/classifier_demo.json")).expect("a file of this form")
}

const FEATURES: usize = 3;
const UNITS: usize = 8;
const CLASSES: usize = 2;

/// h_t = tanh(x_t W_x + h_{t-1} W_h + B), and the logits of the classes are h_last W_out + b_out.
pub fn network(data: &Data) -> Result<Network<f64>> {
    let mut network = Network::new(FEATURES)?;
    network.add_rnn(UNITS, Activation::Tanh)?;
    network.add_dense(CLASSES, Activation::Linear)?;
    network.set_parameters(&data.init.flat())?;
    Ok(network)
}

/// The probabilities of the classes, `[sequences][classes]`.
pub fn probabilities(network: &mut Network<f64>, data: &Data) -> Result<Vec<f64>> {
    let x = data.x.concat().concat();
    let batch = Batch {
        x: &x,
        batch: data.x.len(),
        steps: data.x[0].len(),
        lengths: None,
    };
    let mut logits = vec![0.0; data.x.len() * CLASSES];
    network.forward(batch, None, Some(&mut logits), None)?;
    let mut p = vec![0.0; logits.len()];
    softmax(&logits, CLASSES, &mut p)?;
    Ok(p)
}

/// Trains on all sequences once. Returns the loss before the update, the mean of -ln(p_label + 1e-8).
pub fn epoch(
    network: &mut Network<f64>,
    optimizer: &mut Optimizer<f64>,
    data: &Data,
) -> Result<f64> {
    let count = data.labels.len() as f64;
    let p = probabilities(network, data)?;
    let mut loss = 0.0;
    let mut dlogits = p.clone();
    for (row, &label) in data.labels.iter().enumerate() {
        loss -= (p[row * CLASSES + label] + 1e-8).ln();
        dlogits[row * CLASSES + label] -= 1.0;
    }
    network.backward(Some(&dlogits), None, None, None)?;
    // Gradients are sums over the batch. This training takes means for the dense layer, and sums for the recurrent one.
    let dense = UNITS * CLASSES + CLASSES;
    for gradient in network.gradients_mut().iter_mut().rev().take(dense) {
        *gradient /= count;
    }
    network.update(optimizer)?;
    Ok(loss / count)
}

/// Plain gradient descent.
pub fn optimizer() -> Result<Optimizer<f64>> {
    Optimizer::new(Rule::SGD, 0.1)
}

/// The most probable class of each sequence.
pub fn classes(p: &[f64]) -> Vec<usize> {
    p.chunks(CLASSES)
        .map(|p| usize::from(p[1] > p[0]))
        .collect()
}

/// Trains, and tells how it goes: the loss of every tenth epoch, and in the end the part of the sequences that are
/// classified right.
pub fn report() -> Result<Vec<String>> {
    let data = data();
    let mut network = network(&data)?;
    let mut optimizer = optimizer()?;
    let mut lines = Vec::new();
    for number in 0..50 {
        let loss = epoch(&mut network, &mut optimizer, &data)?;
        if number % 10 == 0 {
            lines.push(format!("epoch {number}: loss {loss:.4}"));
        }
    }
    let predicted = classes(&probabilities(&mut network, &data)?);
    let pairs = predicted.iter().zip(&data.labels);
    let right = pairs
        .filter(|(predicted, label)| predicted == label)
        .count();
    let accuracy = right as f64 / data.labels.len() as f64;
    lines.push(format!("accuracy {accuracy:.2}"));
    Ok(lines)
}

fn main() -> Result<()> {
    for line in report()? {
        println!("{line}");
    }
    Ok(())
}
