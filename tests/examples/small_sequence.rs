//! A recurrent layer of 4 units on one sequence of 3 steps: its states, their gradients, and the same as a stream.
//!
//!     cargo run --example small_sequence

use elman::{Activation, Batch, Network, Output, Result, Session};

/// One sequence of 3 steps with 2 features each, `[batch][steps][features]`.
pub const X: [f64; 6] = [0.01, 0.02, 0.02, 0.03, 0.03, 0.04];

/// W_x `[features][units]`, W_h `[units][units]` and b `[units]`, one after the other.
#[rustfmt::skip]
pub const PARAMETERS: [f64; 28] = [
    0.01, 0.03, 0.05, 0.07,
    0.03, 0.05, 0.07, 0.08,

    0.01, 0.03, 0.05, 0.07,
    0.02, 0.04, 0.06, 0.08,
    0.03, 0.05, 0.07, 0.08,
    0.04, 0.06, 0.08, 0.10,

    1.0, 1.0, 1.0, 1.0,
];

/// h_t = tanh(x_t W_x + h_{t-1} W_h + b), and the outputs are the states of all steps.
pub fn network() -> Result<Network<f64>> {
    let mut network = Network::new(2)?;
    network.add_rnn(4, Activation::Tanh)?;
    network.set_output(Output::All)?;
    network.set_parameters(&PARAMETERS)?;
    Ok(network)
}

fn main() -> Result<()> {
    let mut network = network()?;
    let batch = Batch {
        x: &X,
        batch: 1,
        steps: 3,
        lengths: None,
    };

    // A run from the state 0, and another one from where the first ended.
    let (mut states, mut last) = ([0.0; 12], [0.0; 4]);
    network.forward(batch, None, Some(&mut states), Some(&mut last))?;
    println!("states from h_0 = 0:");
    print(&states);
    let mut continued = [0.0; 12];
    network.predict(batch, Some(&last), Some(&mut continued), None)?;
    println!("the same input from there on:");
    print(&continued);

    // The derivatives of the sum of the last state: that sum's own derivative, 1 for each unit, goes back through time
    // to the parameters, the inputs and the first state.
    let (mut dx, mut dh0) = ([0.0; 6], [0.0; 4]);
    network.backward(None, Some(&[1.0; 4]), Some(&mut dx), Some(&mut dh0))?;
    println!("derivatives of the sum of the last state: of W_x, W_h and b");
    print(network.gradients());
    println!("of the inputs: {dx:.8?}");
    println!("of h_0: {dh0:.8?}");

    // A stream takes one step at a time and comes to the same states, to the last bit.
    let mut session = Session::new(&network)?;
    let mut state = [0.0; 4];
    for (x, whole) in X.chunks(2).zip(states.chunks(4)) {
        session.step(x, &mut state)?;
        assert_eq!(state, whole);
    }
    Ok(())
}

fn print(rows: &[f64]) {
    for row in rows.chunks(4) {
        println!("  {row:.8?}");
    }
}
