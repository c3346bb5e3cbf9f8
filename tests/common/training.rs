//! What tests of training share.
#![allow(dead_code)] // each test takes what it needs

use std::ops::ControlFlow;

use elman::init::Initializer;
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::Progress;
use elman::{Activation, Element, Network, Output};

pub const CLASSES: Loss = Loss::SoftmaxCrossEntropy { ignored: None };

/// Every rule, in all its forms.
pub const RULES: [Rule; 10] = [
    Rule::SGD,
    Rule::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.01,
    },
    Rule::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.0,
    },
    Rule::ADAGRAD,
    Rule::RMSPROP,
    Rule::RmsProp {
        alpha: 0.9,
        epsilon: 1e-8,
        momentum: 0.5,
    },
    Rule::ADAM,
    Rule::ADAMW,
    Rule::RPROP,
    Rule::RPROP_UNBOUNDED,
];

/// Numbers in [-1, 1] that follow no pattern.
pub fn numbers<E: Element>(count: usize) -> Vec<E> {
    let number = |i| (2.3 * i as f64 + (1.7 * i as f64).sin()).sin();
    (0..count).map(|i| E::from_f64(number(i))).collect()
}

/// A network from 2 features to 3 outputs, with recurrent layers of so many units.
pub fn network<E: Element>(units: &[usize], output: Output) -> Network<E> {
    let mut network = Network::new(2).unwrap();
    for &units in units {
        network.add_rnn(units, Activation::Tanh).unwrap();
    }
    network.add_dense(3, Activation::Linear).unwrap();
    network.set_output(output).unwrap();
    network
        .initialize(Initializer::GlorotUniform { gain: 1.0 }, 7)
        .unwrap();
    network
}

pub fn adam() -> Optimizer<f64> {
    Optimizer::new(Rule::ADAM, 0.01).unwrap()
}

/// Trains to the end.
pub fn go_on<E: Element>(_: &mut Progress, _: &Network<E>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
