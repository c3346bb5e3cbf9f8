//! A whole training, as one number: on every tier, with any number of threads, on every machine and from version to
//! version. Where the number changes, the results of users change; the CHANGELOG then says so.

mod common;

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::init::{Initializer, Rng};
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{Clip, FitOptions, fit};
use elman::{
    Activation, Direction, Element, InitialState, Network, RecurrentOptions, Reset, Result, Tier,
};

const INPUTS: usize = 7;
const CLASSES: usize = 5;

/// The 64-bit FNV-1a hash of what it is given.
struct Hash(u64);

impl Hash {
    fn add(&mut self, number: f64) {
        for byte in number.to_bits().to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

/// Ragged sequences of noise around the numbers of their class.
fn dataset<E: Element>(seed: u64, sequences: usize) -> Dataset<E> {
    let rng = &mut Rng::new(seed);
    let (mut x, mut lengths, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for sequence in 0..sequences {
        let (length, label) = (1 + sequence * 13 % 29, sequence % CLASSES);
        for index in 0..length * INPUTS {
            let centre = (label * index % 3) as f64;
            x.push(E::from_f64(centre + rng.normal()));
        }
        lengths.push(length);
        labels.push(label);
    }
    let targets = Targets::numbered_classes(labels, CLASSES).unwrap();
    Dataset::new(INPUTS, x, &lengths, targets).unwrap()
}

/// What a trained network has in front of its dense layer.
#[derive(Clone, Copy, Debug)]
enum Cells {
    Rnn,
    Gru,
    GruBefore,
    Lstm,
    Options,
    /// So few units, and so many sequences in a batch, that gradients are summed by halves of these.
    Few,
}

impl Cells {
    fn add<E: Element>(self, network: &mut Network<E>) -> Result<()> {
        let plain = RecurrentOptions::default();
        match self {
            Self::Rnn => {
                network.add_rnn(37, Activation::Tanh)?;
                network.add_dropout(0.1)?;
                network.add_rnn(24, Activation::Sigmoid)
            }
            Self::Gru => network.add_gru(37, &plain),
            Self::GruBefore => {
                let before = RecurrentOptions {
                    reset: Reset::Before,
                    ..plain
                };
                network.add_gru(37, &before)
            }
            Self::Lstm => network.add_lstm(37, &plain),
            Self::Few => network.add_gru(16, &plain),
            Self::Options => {
                let options = RecurrentOptions {
                    direction: Direction::Bidirectional,
                    peepholes: true,
                    projection: 9,
                    clip_sums: 3.0,
                    clip_state: 5.0,
                    recurrent_dropout: 0.1,
                    zoneout: 0.1,
                    zoneout_cell: 0.1,
                    initial_state: InitialState::Trainable,
                    ..plain
                };
                network.add_lstm(21, &options)
            }
        }
    }
}

/// The hash of the losses of all epochs and of the parameters that training ends with.
fn fingerprint<E: Element>(cells: Cells, tier: Tier, threads: usize) -> u64 {
    let (training, validation) = (dataset::<E>(1, 90), dataset(2, 30));
    let mut network = Network::with_tier(INPUTS, tier).unwrap();
    cells.add(&mut network).unwrap();
    network.add_dense(CLASSES, Activation::Linear).unwrap();
    network.set_seed(3);
    let initializer = Initializer::Orthogonal { gain: 1.0 };
    network.initialize(initializer, 4).unwrap();
    let standardization = training.standardization().unwrap();
    network.set_standardization(Some(standardization)).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);

    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    let defaults = FitOptions::new(Loss::SoftmaxCrossEntropy { ignored: None });
    let options = FitOptions {
        epochs: 4,
        batch_size: match cells {
            Cells::Few => 45,
            _ => defaults.batch_size,
        },
        clip: Clip::Norm(0.5),
        validation: Some(&validation),
        ..defaults
    };
    let (mut hash, mut losses) = (Hash(0xcbf2_9ce4_8422_2325), Vec::new());
    fit(
        &mut network,
        &training,
        &mut optimizer,
        &options,
        |progress, _| {
            losses.push(progress.training.loss);
            losses.push(progress.validation.unwrap().loss);
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert!(losses[6] < losses[0], "it learns: {losses:?}");
    losses.into_iter().for_each(|loss| hash.add(loss));
    let parameters = network.parameters().iter();
    parameters.for_each(|parameter| hash.add(parameter.to_f64()));
    hash.0
}

/// Expects one number of all tiers with fused multiply-add, and another one of those without.
fn expect<E: Element>(cells: Cells, fused: u64, plain: u64) {
    for tier in common::tiers() {
        let expected = if tier.is_fused() { fused } else { plain };
        for threads in [1, 2, 3] {
            let actual = fingerprint::<E>(cells, tier, threads);
            assert!(
                actual == expected,
                "{cells:?}, {tier:?}, {threads} threads: {actual:#x}, expected {expected:#x}"
            );
        }
    }
}

#[test]
fn a_training_in_f32_has_the_bits_that_it_always_had() {
    expect::<f32>(Cells::Rnn, 0x1272_c91b_df12_4d72, 0xe68b_0645_980b_a71b);
}

#[test]
fn a_training_in_f64_has_the_bits_that_it_always_had() {
    expect::<f64>(Cells::Rnn, 0x895f_e8e1_0d8f_8e30, 0xfd7c_cb3b_cdcd_1b79);
}

#[test]
fn trainings_of_gated_cells_have_the_bits_that_they_always_had() {
    for (cells, fused, plain) in [
        (Cells::Gru, 0xaf26_910c_87fd_6abb, 0x0423_fae1_17be_709b),
        (
            Cells::GruBefore,
            0x984c_e18b_8c86_c9dd,
            0xc667_e6a7_0dac_337a,
        ),
        (Cells::Lstm, 0xc9c6_9727_0011_0c22, 0xae8e_16e7_8c8e_4cef),
        (Cells::Few, 0xd601_0109_fbd4_7b2e, 0xc8f4_3ec6_ef2a_af5a),
        (Cells::Options, 0x7f6e_9aaa_89be_0922, 0x1e33_91be_9509_d3e2),
    ] {
        expect::<f32>(cells, fused, plain);
    }
}
