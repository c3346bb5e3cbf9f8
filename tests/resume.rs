//! Training in several calls of the loop, saved in between or not, has the bits of training in one.

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::init::Initializer;
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{Clip, FitOptions, fit};
use elman::{Activation, Element, Error, Network, Output};

const LENGTHS: [usize; 7] = [3, 7, 1, 5, 5, 2, 6];

const RULES: [Rule; 10] = [
    Rule::SGD,
    Rule::Sgd {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.1,
    },
    Rule::ADAGRAD,
    Rule::RMSPROP,
    Rule::RmsProp {
        alpha: 0.9,
        epsilon: 1e-7,
        momentum: 0.3,
    },
    Rule::ADAM,
    Rule::Adam {
        beta1: 0.1 + 0.2,
        beta2: 0.7,
        epsilon: 1e-6,
        weight_decay: 0.01,
    },
    Rule::ADAMW,
    Rule::RPROP,
    Rule::RPROP_UNBOUNDED,
];

/// Numbers in [-1, 1] that follow no pattern.
fn numbers<E: Element>(count: usize) -> Vec<E> {
    let number = |i| (2.3 * i as f64 + (1.7 * i as f64).sin()).sin();
    (0..count).map(|i| E::from_f64(number(i))).collect()
}

/// Seven sequences of 2 features, with 3 numbers for each step or each sequence.
fn dataset<E: Element>(per_step: bool) -> Dataset<E> {
    let steps: usize = LENGTHS.iter().sum();
    let targets = Targets::Values {
        size: 3,
        per_step,
        values: numbers(3 * if per_step { steps } else { LENGTHS.len() }),
    };
    Dataset::new(2, numbers(2 * steps), &LENGTHS, targets).unwrap()
}

fn network<E: Element>(output: Output) -> Network<E> {
    let mut network = Network::new(2).unwrap();
    network.add_rnn(6, Activation::Tanh).unwrap();
    network.add_dropout(0.2).unwrap();
    network.add_dense(3, Activation::Linear).unwrap();
    network.set_output(output).unwrap();
    network.set_seed(5);
    network
        .initialize(Initializer::GlorotUniform { gain: 1.0 }, 7)
        .unwrap();
    network
}

/// What is trained with, and by how much.
type Subject<E> = (Network<E>, Optimizer<E>);

fn train<E: Element>(
    (network, optimizer): &mut Subject<E>,
    truncate: Option<usize>,
    epochs: usize,
) -> Vec<f64> {
    let dataset = dataset(network.output() == Output::All);
    let options = FitOptions {
        epochs,
        batch_size: 3,
        shuffle: Some(9),
        clip: Clip::Norm(0.5),
        truncate,
        validation: Some(&dataset),
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let mut losses = Vec::new();
    fit(
        network,
        &dataset,
        optimizer,
        &options,
        |progress, network| {
            assert!(progress.complete);
            assert_eq!(progress.epoch, losses.len() / 2 + 1);
            assert!(network.epochs() >= progress.epoch as u64);
            losses.push(progress.training.loss);
            losses.push(progress.validation.unwrap().loss);
            progress.learning_rate *= 0.9;
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    losses
}

/// Everything that training goes on from.
fn bytes<E: Element>((network, optimizer): &Subject<E>) -> [Vec<u8>; 2] {
    [network.to_bytes().unwrap(), optimizer.to_bytes().unwrap()]
}

fn each_training<E: Element>(test: impl Fn(&dyn Fn() -> Subject<E>, Option<usize>)) {
    for rule in RULES {
        for (output, truncate) in [
            (Output::Last, None),
            (Output::All, None),
            (Output::All, Some(3)),
        ] {
            let start = || (network(output), Optimizer::new(rule, 0.01).unwrap());
            test(&start, truncate);
        }
    }
}

fn in_calls<E: Element>() {
    each_training::<E>(|start, truncate| {
        let (mut whole, mut parts) = (start(), start());
        let losses = train(&mut whole, truncate, 5);
        let mut of_parts = train(&mut parts, truncate, 1);
        of_parts.extend(train(&mut parts, truncate, 3));
        of_parts.extend(train(&mut parts, truncate, 1));
        assert_eq!(losses, of_parts);
        assert_eq!(bytes(&whole), bytes(&parts));
        assert_eq!(whole.0.epochs(), 5);
    });
}

#[test]
fn calls_of_few_epochs_are_one_call_of_many() {
    in_calls::<f32>();
    in_calls::<f64>();
}

fn stopped<E: Element>() {
    each_training::<E>(|start, truncate| {
        let (mut whole, mut first) = (start(), start());
        let losses = train(&mut whole, truncate, 4);
        let mut of_parts = train(&mut first, truncate, 2);
        let [network, optimizer] = bytes(&first);
        drop(first);
        let network = Network::<E>::from_bytes(&network, "network").unwrap();
        assert_eq!(network.seed(), 5);
        let optimizer = Optimizer::from_bytes(&optimizer, "optimizer").unwrap();
        let mut second = (network, optimizer);
        of_parts.extend(train(&mut second, truncate, 2));
        assert_eq!(losses, of_parts);
        assert_eq!(bytes(&whole), bytes(&second));
    });
}

#[test]
fn training_goes_on_from_saved_files_as_if_it_had_not_stopped() {
    stopped::<f32>();
    stopped::<f64>();
}

#[test]
fn the_order_follows_from_the_seed_and_the_number_of_the_epoch() {
    let dataset = dataset::<f64>(false);
    // The order shows in the parameters: with mini-batches of one sequence, they remember it.
    let run = |network: &mut Network<f64>, seed| {
        let mut optimizer = Optimizer::new(Rule::SGD, 0.3).unwrap();
        let options = FitOptions {
            epochs: 1,
            batch_size: 1,
            shuffle: seed,
            ..FitOptions::new(Loss::MeanSquaredError)
        };
        let go_on = |_: &mut _, _: &_| ControlFlow::Continue(());
        fit(network, &dataset, &mut optimizer, &options, go_on).unwrap();
        network.parameters().to_vec()
    };
    let mut network = Network::new(2).unwrap();
    network.add_dense(3, Activation::Linear).unwrap();
    let mut from_zeros = |seed| {
        network.set_parameters(&[0.0; 9]).unwrap();
        run(&mut network, seed)
    };
    let mut orders: Vec<_> = (0..4).map(|_| from_zeros(Some(0))).collect();
    orders.push(from_zeros(Some(1)));
    orders.push(from_zeros(None));
    for (index, one) in orders.iter().enumerate() {
        assert!(orders[..index].iter().all(|other| other != one), "{index}");
    }
    assert_eq!(from_zeros(None), orders[5]);
    // From the same seed on, everything comes again.
    assert_eq!((network.epochs(), network.passes()), (7, 49));
    network.set_seed(0);
    assert_eq!((network.epochs(), network.passes()), (0, 0));
    network.set_parameters(&[0.0; 9]).unwrap();
    assert_eq!(run(&mut network, Some(0)), orders[0]);
}

#[test]
fn a_saved_optimizer_is_the_one_that_it_was() {
    for rule in RULES {
        for steps in [0, 1, 5] {
            let mut optimizer = Optimizer::<f32>::new(rule, 0.1 + 0.2).unwrap();
            let mut parameters = [0.5, -0.5, 1e-20];
            for step in 0..steps {
                let gradients = [0.1, -0.3, 1e-30].map(|g| g * (step as f32 - 1.5));
                optimizer.step(&mut parameters, &gradients).unwrap();
            }
            let bytes = optimizer.to_bytes().unwrap();
            let mut loaded = Optimizer::<f32>::from_bytes(&bytes, "it").unwrap();
            assert_eq!(loaded.to_bytes().unwrap(), bytes);
            assert_eq!(loaded.rule(), &rule);
            assert_eq!(loaded.learning_rate(), 0.1 + 0.2);
            let mut others = parameters;
            optimizer.step(&mut parameters, &[0.3; 3]).unwrap();
            loaded.step(&mut others, &[0.3; 3]).unwrap();
            assert_eq!(parameters, others);
            let error = loaded.step(&mut [0.0; 2], &[0.0; 2]).unwrap_err();
            assert!(matches!(error, Error::Mismatch { .. }));
            // An f64 optimizer takes over what an f32 one knows, and not the other way round.
            let wider = Optimizer::<f64>::from_bytes(&bytes, "it").unwrap();
            let back = Optimizer::<f32>::from_bytes(&wider.to_bytes().unwrap(), "it");
            let has_state = steps > 0 && rule != Rule::SGD;
            assert_eq!(back.is_err(), has_state);
        }
    }
    // One that has been reset has nothing to remember.
    let mut optimizer = Optimizer::<f64>::new(Rule::ADAM, 0.1).unwrap();
    let fresh = optimizer.to_bytes().unwrap();
    optimizer.step(&mut [1.0], &[1.0]).unwrap();
    assert_ne!(optimizer.to_bytes().unwrap(), fresh);
    optimizer.reset();
    assert_eq!(optimizer.to_bytes().unwrap(), fresh);
    // Nor has one of no parameters.
    optimizer.step(&mut [], &[]).unwrap();
    let bytes = optimizer.to_bytes().unwrap();
    let mut loaded = Optimizer::<f64>::from_bytes(&bytes, "it").unwrap();
    loaded.step(&mut [0.0], &[0.0]).unwrap_err();
}

#[test]
fn an_optimizer_is_saved_to_a_file_as_a_whole() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join("resume.safetensors");
    let mut optimizer = Optimizer::<f32>::new(Rule::ADAM, 0.1).unwrap();
    optimizer.save(&path).unwrap();
    optimizer.step(&mut [1.0; 9], &[1.0; 9]).unwrap();
    optimizer.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), optimizer.to_bytes().unwrap());
    let loaded = Optimizer::<f32>::load(&path).unwrap();
    assert_eq!(loaded.to_bytes().unwrap(), optimizer.to_bytes().unwrap());
    let error = optimizer.save(directory).unwrap_err();
    assert!(matches!(error, Error::Format { .. }));
    let error = Optimizer::<f32>::load(directory).unwrap_err();
    assert!(matches!(error, Error::Format { .. }));
    let error = optimizer.save(directory.join("no/such")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
    let error = Optimizer::<f32>::load(directory.join("no/such")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }));
}

#[test]
fn damaged_optimizers_are_errors_or_optimizers_and_never_panics() {
    let mut optimizer = Optimizer::<f32>::new(Rule::ADAM, 0.1).unwrap();
    optimizer.step(&mut [1.0; 3], &[1.0; 3]).unwrap();
    let whole = optimizer.to_bytes().unwrap();
    for len in 0..whole.len() {
        Optimizer::<f32>::from_bytes(&whole[..len], "it").unwrap_err();
    }
    for index in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[index] ^= 1 << bit;
            if let Err(error) = Optimizer::<f32>::from_bytes(&damaged, "it") {
                assert!(matches!(error, Error::Format { .. }), "{error}");
            }
        }
    }
    let text = String::from_utf8_lossy(&whole).into_owned();
    let header_len = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&whole[8..8 + header_len]).unwrap();
    let with = |from: &str, to: &str| {
        assert!(header.contains(from), "{text}");
        let header = header.replace(from, to);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(&whole[8 + header_len..]);
        Optimizer::<f32>::from_bytes(&bytes, "it")
            .unwrap_err()
            .to_string()
    };
    for (from, to, message) in [
        (
            r#"\"version\":1"#,
            r#"\"version\":2"#,
            "a file of version 2, expected 1",
        ),
        (
            r#"\"learning_rate\":0.1"#,
            r#"\"learning_rate\":-1.0"#,
            "the metadata: learning_rate is -1, expected at least 0",
        ),
        (
            r#"\"beta1\":0.9"#,
            r#"\"beta1\":1.0"#,
            "the metadata: beta1 is 1, expected at least 0 and below 1",
        ),
        (
            r#"\"beta_powers\":[0.9"#,
            r#"\"beta_powers\":[1.9"#,
            "the metadata: a power of a beta is 1.9, expected 0 to 1",
        ),
        (
            r#"\"parameters\":3"#,
            r#"\"parameters\":3000000000000"#,
            "mean has shape [3], expected [3000000000000]",
        ),
        (
            r#"\"parameters\":3"#,
            r#"\"parameters\":null"#,
            "expected no such tensor",
        ),
        (
            "elman.optimizer",
            "elman",
            "no metadata 'elman.optimizer', expected that of an optimizer saved by elman",
        ),
        (r#"\"kind\":\"adam\""#, r#"\"kind\":\"lion\""#, "lion"),
        (r#""squares""#, r#""cubes""#, "no tensor squares"),
    ] {
        let actual = with(from, to);
        assert!(actual.contains(message), "{actual}");
    }
    // A network is no optimizer, and an optimizer no network.
    let network = network::<f32>(Output::Last).to_bytes().unwrap();
    let error = Optimizer::<f32>::from_bytes(&network, "it").unwrap_err();
    assert!(error.to_string().contains("no metadata 'elman.optimizer'"));
    let error = Network::<f32>::from_bytes(&whole, "it").unwrap_err();
    assert!(error.to_string().contains("no metadata 'elman'"));
}
