//! A linear network of two weights learns to count the ones of a sequence.
//!
//!     cargo run --example binary_sum
//!
//! h_t = x_t w_x + h_{t-1} w_h, and the last h is to be the number of ones: w_x = w_h = 1 does it. Far from there the
//! gradient is astronomically large or small, because it has the sequence's length in the exponent; an optimizer that
//! looks at its sign only gets through.

use elman::loss::mean_squared_error;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Result};
use serde::Deserialize;

/// Sequences of zeros and ones.
#[derive(Debug, Deserialize)]
pub struct Data {
    /// `[sequences][steps]`
    #[serde(rename = "X")]
    pub x: Vec<Vec<f64>>,
    /// How many ones each has.
    pub targets: Vec<f64>,
    /// Longer ones, to see whether the network has learned to count.
    pub test_sequences: Vec<Vec<f64>>,
}

/// The data that the tests use.
pub fn data() -> Data {
    serde_json::from_str(include_str!("../data/binary_sum.json")).expect("a file of this form")
}

/// The network with the weights w_x and w_h, and a bias of 0.
pub fn network(weights: [f64; 2]) -> Result<Network<f64>> {
    let mut network = Network::new(1)?;
    network.add_rnn(1, Activation::Linear)?;
    network.set_parameters(&[weights[0], weights[1], 0.0])?;
    Ok(network)
}

/// Mean squared error over all sequences, and its derivatives with respect to the two weights.
pub fn cost(network: &mut Network<f64>, data: &Data) -> Result<(f64, [f64; 2])> {
    let x = data.x.concat();
    let batch = Batch {
        x: &x,
        batch: data.x.len(),
        steps: data.x[0].len(),
        lengths: None,
    };
    let mut y = vec![0.0; batch.batch];
    let mut dy = y.clone();
    network.forward(batch, None, Some(&mut y), None)?;
    let cost = mean_squared_error(&y, &data.targets, None, Some(&mut dy))?;
    network.clear_gradients();
    network.backward(Some(&dy), None, None, None)?;
    // The third one is the bias's, which the optimizer does not get to see: it stays 0.
    let gradients = [network.gradients()[0], network.gradients()[1]];
    Ok((cost, gradients))
}

/// Takes a step with each weight, against the sign of its derivative. Returns the weights.
pub fn train(
    network: &mut Network<f64>,
    optimizer: &mut Optimizer<f64>,
    data: &Data,
) -> Result<[f64; 2]> {
    let (_, gradients) = cost(network, data)?;
    let mut weights = [network.parameters()[0], network.parameters()[1]];
    optimizer.step(&mut weights, &gradients)?;
    network.set_parameters(&[weights[0], weights[1], 0.0])?;
    Ok(weights)
}

/// The rule for the steps: 1.2 times the last one while the sign stays, half of it where it turns.
pub fn optimizer() -> Result<Optimizer<f64>> {
    Optimizer::new(Rule::RPROP_UNBOUNDED, 0.001)
}

/// How many ones the network finds in a sequence.
pub fn count(network: &Network<f64>, x: &[f64]) -> Result<f64> {
    let mut y = [0.0];
    let batch = Batch {
        x,
        batch: 1,
        steps: x.len(),
        lengths: None,
    };
    network.predict(batch, None, Some(&mut y), None)?;
    Ok(y[0])
}

fn main() -> Result<()> {
    let data = data();
    let (cost, gradients) = cost(&mut network([1.2, 1.2])?, &data)?;
    println!("at w_x = w_h = 1.2: cost {cost:.4}, gradient {gradients:.4?}");

    let mut network = network([-10.0, 7.0])?;
    let mut optimizer = optimizer()?;
    for step in 1..=10_000 {
        let weights = train(&mut network, &mut optimizer, &data)?;
        if [1, 40, 100, 1000, 10_000].contains(&step) {
            println!("after {step} steps: w_x, w_h = {weights:.8?}");
        }
    }
    for x in &data.test_sequences {
        println!("{x:?} has {:.2} ones", count(&network, x)?);
    }
    Ok(())
}
