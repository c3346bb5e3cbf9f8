//! The floating-point mode: results have the same bits whatever the caller's is, it is the caller's again after every call,
//! callbacks run in it, and no denormal number that the engine has computed leaves a call.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

#[path = "common/mode.rs"]
mod mode;
#[path = "common/training.rs"]
mod training;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use elman::dataset::{Dataset, MiniBatch, Standardization, Targets};
use elman::gradient_check::check_gradients;
use elman::init::Initializer;
use elman::loss::{self, CtcLabels, CtcOptions, CtcWorkspace, Loss, Padding};
use elman::optimizer::{Optimizer, Rule, clip_by_norm, clip_by_value};
use elman::train::{
    BatchProgress, Callbacks, Clip, EarlyStopping, FitOptions, Progress, evaluate, fit, fit_with,
    predict,
};
use elman::{Activation, Batch, Element, Network, Output, RecurrentOptions, Session, Tier, math};
use mode::{MODES, USUAL, under};
use training::RULES;

const INPUT: usize = 3;
const UNITS: usize = 37;
const CLASSES: usize = 4;
const BATCH: usize = 21;
const STEPS: usize = 17;

/// The bits of all that calls have given.
#[derive(Default)]
struct Record(Vec<u64>);

impl Record {
    fn add<E: Bits>(&mut self, values: &[E]) {
        self.0.extend(values.iter().map(|value| value.bits()));
    }
}

trait Bits: Element + std::str::FromStr {
    fn bits(self) -> u64;
    /// A number below the smallest normal one, not 0.
    fn is_denormal(self) -> bool;
}

impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
    fn is_denormal(self) -> bool {
        self.is_subnormal()
    }
}

impl Bits for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }
    fn is_denormal(self) -> bool {
        self.is_subnormal()
    }
}

/// What all calls of a run get, made before the mode is set.
struct Input<E: Element> {
    x: Vec<E>,
    lengths: Vec<usize>,
    labels: Vec<usize>,
    dy: Vec<E>,
    /// In [0, 1].
    targets: Vec<E>,
    /// All magnitudes, denormal ones too.
    wide: Vec<E>,
    text: String,
}

fn input<E: Bits>() -> Input<E> {
    let ramp = |index: usize| ((index * 37 % 101) as f64 - 50.0) / 29.0;
    let values = |len: usize| (0..len).map(|index| E::from_f64(ramp(index))).collect();
    let lengths: Vec<usize> = (0..BATCH)
        .map(|sequence| 1 + sequence * 5 % STEPS)
        .collect();
    let wide = |index: usize| E::from_f64(ramp(index) * 2.0_f64.powi(index as i32 % 300 - 200));
    let series = |scale: f64| -> Vec<String> {
        (0..9)
            .map(|index| (ramp(index) * scale).to_string())
            .collect()
    };
    let text = (0..4).map(|case| {
        format!(
            "{}:{}\n",
            series(0.1 + f64::from(case)).join(","),
            ["a", "b"][case as usize % 2]
        )
    });
    Input {
        x: values(BATCH * STEPS * INPUT),
        labels: (0..BATCH * STEPS).map(|row| row * 7 % CLASSES).collect(),
        dy: values(BATCH * STEPS * CLASSES),
        targets: (0..BATCH * STEPS * CLASSES)
            .map(|index| E::from_f64((index * 3 % 11) as f64 / 10.0))
            .collect(),
        wide: (0..1000).map(wide).collect(),
        text: format!("@classLabel true a b\n@data\n{}", text.collect::<String>()),
        lengths,
    }
}

/// Runs every kind of call in a mode, on so many threads.
fn run<E: Bits>(input: &Input<E>, mode: u32, threads: usize, tier: Tier) -> Vec<u64> {
    let mut record = Record::default();
    networks(input, mode, threads, tier, &mut record);
    functions(input, mode, &mut record);
    data_sets(input, mode, threads, tier, &mut record);
    record.0
}

fn networks<E: Bits>(input: &Input<E>, mode: u32, threads: usize, tier: Tier, record: &mut Record) {
    let mut network = Network::<E>::with_tier(INPUT, tier).unwrap();
    let mut y = vec![E::ZERO; BATCH * STEPS * CLASSES];
    under(mode, || {
        network.add_rnn(UNITS, Activation::Tanh).unwrap();
        network.add_dropout(0.3).unwrap();
        network.add_rnn(UNITS, Activation::Sigmoid).unwrap();
        let options = RecurrentOptions::default();
        network.add_gru(UNITS, &options).unwrap();
        network.add_lstm(UNITS, &options).unwrap();
        network.add_rnn(UNITS, Activation::Relu).unwrap();
        network.add_dense(CLASSES, Activation::Linear).unwrap();
        network.set_output(Output::All).unwrap();
        network.set_threads(threads).unwrap();
        network.set_parallel_threshold(0);
    });
    let Input { x, lengths, dy, .. } = input;
    let batch = Batch {
        x,
        batch: BATCH,
        steps: STEPS,
        lengths: Some(lengths),
    };
    let mut dx = vec![E::ZERO; x.len()];
    let mut state = vec![E::ZERO; BATCH * network.state_size()];
    let mut dstate = state.clone();
    let standardization = under(mode, || {
        let means = [E::from_f64(0.1); INPUT].to_vec();
        Standardization::new(means, [E::from_f64(1.3); INPUT].to_vec()).unwrap()
    });
    for (scheme, rule) in [
        Initializer::PyTorch { gain: 1.0 },
        Initializer::GlorotNormal { gain: 1.0 },
        Initializer::Orthogonal { gain: 1.0 },
    ]
    .into_iter()
    .cycle()
    .zip(RULES)
    {
        let mut optimizer = under(mode, || Optimizer::new(rule, 0.013).unwrap());
        under(mode, || network.initialize(scheme, 5).unwrap());
        for _ in 0..3 {
            under(mode, || {
                network
                    .forward(batch, None, Some(&mut y), Some(&mut state))
                    .unwrap();
            });
            record.add(&y);
            record.add(&state);
            under(mode, || {
                let (dx, dstate) = (Some(&mut dx[..]), Some(&mut dstate[..]));
                network
                    .backward(Some(dy), Some(&state), dx, dstate)
                    .unwrap();
            });
            record.add(&dx);
            record.add(&dstate);
            record.add(network.gradients());
            under(mode, || clip_by_norm(network.gradients_mut(), 2.0).unwrap());
            record.add(network.gradients());
            under(mode, || network.update(&mut optimizer).unwrap());
            record.add(network.parameters());
        }
        under(mode, || {
            network
                .set_standardization(Some(standardization.clone()))
                .unwrap()
        });
    }
    under(mode, || {
        network
            .predict(batch, Some(&state), Some(&mut y), None)
            .unwrap()
    });
    record.add(&y);

    let mut session = under(mode, || Session::new(&network).unwrap());
    for x in x.chunks_exact(INPUT).take(9) {
        let y = &mut y[..CLASSES];
        under(mode, || session.step(x, y).unwrap());
        record.add(y);
    }
    let mut copy = under(mode, || session.try_clone().unwrap());
    let y = &mut y[..9 * CLASSES];
    under(mode, || copy.run(&x[..9 * INPUT], 9, y).unwrap());
    record.add(y);
    let copy = under(mode, || network.try_clone().unwrap());
    record.add(copy.parameters());
    let bytes = under(mode, || network.to_bytes().unwrap());
    let mut loaded = under(mode, || Network::<E>::from_bytes(&bytes, "memory").unwrap());
    record.add(loaded.parameters());
    record.add(under(mode, || loaded.to_f64().unwrap()).parameters());
    // An error gives the mode back as well.
    assert!(under(mode, || loaded.backward(None, None, None, None)).is_err());
    assert!(under(mode, || session.step(&[], y)).is_err());
}

fn functions<E: Bits>(input: &Input<E>, mode: u32, record: &mut Record) {
    let tier = Tier::active().unwrap();
    for function in [
        math::tanh,
        math::sigmoid,
        math::exp,
        math::ln,
        math::softplus_tail,
    ] {
        let mut values = input.wide.clone();
        under(mode, || function(tier, &mut values));
        record.add(&values);
    }
    let Input {
        dy: y,
        targets,
        labels,
        lengths,
        wide,
        ..
    } = input;
    let mut d = vec![E::ZERO; y.len()];
    for padding in [
        None,
        Some(Padding {
            steps: STEPS,
            lengths,
        }),
    ] {
        let found = under(mode, || {
            loss::mean_squared_error(y, targets, padding, Some(&mut d)).unwrap()
        });
        record.add(&[found]);
        record.add(&d);
        let found = under(mode, || {
            loss::binary_cross_entropy_with_logits(y, targets, padding, Some(&mut d)).unwrap()
        });
        record.add(&[found]);
        record.add(&d);
        let found = under(mode, || {
            loss::softmax_cross_entropy(y, CLASSES, labels, None, padding, Some(&mut d)).unwrap()
        });
        record.add(&[found]);
        record.add(&d);
        let found = under(mode, || {
            let lengths: Vec<usize> = lengths.iter().map(|_| 1).collect();
            let labels = CtcLabels {
                labels: &lengths,
                lengths: &lengths,
            };
            let (mut workspace, options) = (CtcWorkspace::new(), CtcOptions::default());
            let d = Some(&mut d[..]);
            loss::ctc(y, CLASSES, labels, padding, options, &mut workspace, d).unwrap()
        });
        record.add(&[found]);
        record.add(&d);
    }
    let weights: Vec<E> = (1..=CLASSES)
        .map(|class| E::from_f64(0.3 * class as f64))
        .collect();
    let found = under(mode, || {
        let (weights, d) = (Some(&weights[..]), Some(&mut d[..]));
        loss::softmax_cross_entropy_weighted(y, CLASSES, labels, weights, None, None, d).unwrap()
    });
    record.add(&[found]);
    record.add(&d);
    under(mode, || loss::softmax(y, CLASSES, &mut d).unwrap());
    record.add(&d);
    let mut values = wide.clone();
    under(mode, || clip_by_value(&mut values, 0.7).unwrap());
    record.add(&values);
    record.add(&[under(mode, || clip_by_norm(&mut values, 0.7).unwrap())]);
    record.add(&values);
    for rule in RULES {
        let mut parameters = wide.clone();
        let mut optimizer = under(mode, || Optimizer::new(rule, 0.1).unwrap());
        for gradients in [&targets[..wide.len()], wide] {
            under(mode, || optimizer.step(&mut parameters, gradients).unwrap());
            record.add(&parameters);
        }
    }
}

/// Looks at the mode before each update.
struct Watched {
    mode: u32,
    losses: Vec<f64>,
}

impl<E: Element> Callbacks<E> for Watched {
    fn batch(&mut self, batch: &mut BatchProgress<'_, E>) -> ControlFlow<()> {
        assert_eq!(
            mode::control(),
            self.mode,
            "a callback has the caller's mode"
        );
        self.losses.push(batch.loss);
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, _: &mut Progress, _: &Network<E>) -> ControlFlow<()> {
        assert_eq!(
            mode::control(),
            self.mode,
            "a callback has the caller's mode"
        );
        ControlFlow::Continue(())
    }
}

fn data_sets<E: Bits>(
    input: &Input<E>,
    mode: u32,
    threads: usize,
    tier: Tier,
    record: &mut Record,
) {
    let Input {
        text,
        x,
        lengths,
        labels,
        ..
    } = input;
    let read = under(mode, || {
        Dataset::<E>::parse_ts(text.as_bytes(), "text").unwrap()
    });
    for index in 0..read.len() {
        record.add(read.sequence(index));
    }
    let steps: usize = lengths.iter().sum();
    let targets = Targets::numbered_classes(labels[..BATCH].to_vec(), CLASSES).unwrap();
    let data = under(mode, || {
        Dataset::new(INPUT, x[..steps * INPUT].to_vec(), lengths, targets).unwrap()
    });
    let standardization = under(mode, || data.standardization().unwrap());
    record.add(standardization.mean());
    record.add(standardization.deviation());
    let mut batch = MiniBatch::default();
    under(mode, || data.gather(&[3, 1, 4], &mut batch).unwrap());
    under(mode, || standardization.apply(&mut batch.x).unwrap());
    record.add(&batch.x);

    let mut network = Network::<E>::with_tier(INPUT, tier).unwrap();
    network.add_rnn(9, Activation::Tanh).unwrap();
    network.add_dropout(0.1).unwrap();
    network.add_dense(CLASSES, Activation::Linear).unwrap();
    under(mode, || {
        network
            .initialize(Initializer::GlorotUniform { gain: 1.0 }, 2)
            .unwrap();
        network.set_threads(threads).unwrap();
        network.set_parallel_threshold(0);
    });
    let loss = Loss::SoftmaxCrossEntropy { ignored: None };
    let options = FitOptions {
        epochs: 3,
        clip: Clip::Norm(0.5),
        validation: Some(&data),
        ..FitOptions::new(loss)
    };
    let mut optimizer = under(mode, || Optimizer::new(Rule::ADAM, 0.01).unwrap());
    let mut losses = Vec::new();
    under(mode, || {
        fit(
            &mut network,
            &data,
            &mut optimizer,
            &options,
            |progress, _| {
                assert_eq!(mode::control(), mode, "a callback has the caller's mode");
                losses.extend([progress.training.loss, progress.validation.unwrap().loss]);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    });
    record.add(&losses);
    record.add(network.parameters());
    // The optimizer goes through a file; a callback comes before each update.
    let bytes = under(mode, || optimizer.to_bytes().unwrap());
    let mut optimizer = under(mode, || Optimizer::from_bytes(&bytes, "memory").unwrap());
    let mut early = EarlyStopping::new(1);
    early.min_delta = 1e-3;
    let options = FitOptions {
        early_stopping: Some(early),
        average: true,
        ..options
    };
    let mut watch = Watched {
        mode,
        losses: Vec::new(),
    };
    under(mode, || {
        fit_with(&mut network, &data, &mut optimizer, &options, &mut watch).unwrap();
    });
    record.add(&watch.losses);
    record.add(network.parameters());
    let found = under(mode, || evaluate(&network, &data, loss, 5).unwrap());
    record.add(&[found.score.loss, found.score.accuracy.unwrap()]);
    record.add(&under(mode, || predict(&network, &data, 5).unwrap()));

    let x64: Vec<f64> = x[..4 * INPUT].iter().map(|x| x.to_f64()).collect();
    let few = Batch {
        x: &x64,
        batch: 2,
        steps: 2,
        lengths: None,
    };
    let report = under(mode, || {
        check_gradients(&network, few, None, |outputs| {
            assert_eq!(mode::control(), mode, "a callback has the caller's mode");
            loss::softmax_cross_entropy(outputs.y, CLASSES, &[1, 2], None, None, Some(outputs.dy))
        })
        .unwrap()
    });
    record.add(&[report.relative_error, report.numeric]);
}

fn every_mode<E: Bits>() {
    let input = input::<E>();
    for tier in [Tier::active().unwrap(), Tier::PORTABLE] {
        for threads in [1, 2] {
            let expected = run(&input, USUAL, threads, tier);
            for (name, mode) in &MODES[1..] {
                let found = run(&input, *mode, threads, tier);
                assert!(
                    found == expected,
                    "{name}, {threads} threads, {tier:?}: other bits"
                );
            }
        }
    }
}

#[test]
fn results_have_the_same_bits_in_every_mode_of_the_caller_in_f32() {
    every_mode::<f32>();
}

#[test]
fn results_have_the_same_bits_in_every_mode_of_the_caller_in_f64() {
    every_mode::<f64>();
}

#[test]
fn a_panic_in_a_callback_gives_the_mode_back() {
    let input = input::<f32>();
    let data = Dataset::<f32>::parse_ts(input.text.as_bytes(), "text").unwrap();
    for (_, mode) in MODES {
        let mut network = Network::new(1).unwrap();
        network.add_dense(2, Activation::Linear).unwrap();
        let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
        let options = FitOptions::new(Loss::SoftmaxCrossEntropy { ignored: None });
        under(mode, || {
            let train = || {
                _ = fit(&mut network, &data, &mut optimizer, &options, |_, _| {
                    resume_unwind(Box::new("on purpose"))
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(train)).is_err());
        });
    }
}

/// A layer whose states and gradients fade, its optimizer and its losses.
fn fade<E: Bits>(activation: Activation, tier: Tier, expect_denormals: bool) {
    const LONG: usize = 12_000;
    let mut network = Network::<E>::with_tier(1, tier).unwrap();
    network.add_rnn(UNITS, activation).unwrap();
    network.set_output(Output::All).unwrap();
    network
        .initialize(Initializer::Identity { scale: 0.9 }, 1)
        .unwrap();
    let mut x = vec![E::ZERO; LONG];
    x[0] = E::ONE;
    let mut y = vec![E::ZERO; LONG * UNITS];
    let (mut dy, mut dx) = (y.clone(), x.clone());
    dy[(LONG - 1) * UNITS..].fill(E::ONE);
    let batch = Batch {
        x: &x,
        batch: 1,
        steps: LONG,
        lengths: None,
    };
    let (mut state, mut dstate) = ([E::ZERO; UNITS], [E::ZERO; UNITS]);
    network
        .forward(batch, None, Some(&mut y), Some(&mut state))
        .unwrap();
    network
        .backward(Some(&dy), None, Some(&mut dx), Some(&mut dstate))
        .unwrap();
    let mut d = y.clone();
    let rows = loss::mean_squared_error(&y, &vec![E::ZERO; y.len()], None, Some(&mut d)).unwrap();
    assert!(rows >= 0.0);
    let mut found = vec![y, dx, d, state.to_vec(), dstate.to_vec()];
    found.push(network.gradients().to_vec());
    for rule in RULES {
        // Tiny gradients, whose squares and means vanish.
        let mut optimizer = Optimizer::<E>::new(rule, 1e-3).unwrap();
        let mut parameters = vec![E::ZERO; LONG];
        for _ in 0..4 {
            optimizer.step(&mut parameters, &found[1]).unwrap();
        }
        found.push(parameters);
    }
    let denormal = found.iter().flatten().any(|value| value.is_denormal());
    assert_eq!(denormal, expect_denormals, "{activation:?}, {tier:?}");
    let faded = found[0].iter().filter(|value| **value == E::ZERO).count();
    assert!(
        faded > LONG * UNITS / 3,
        "the states have not faded: {faded}"
    );
}

#[test]
fn what_fades_becomes_zero_and_never_denormal() {
    for tier in Tier::available() {
        for activation in [Activation::Tanh, Activation::Relu, Activation::Linear] {
            fade::<f32>(activation, tier, false);
            fade::<f64>(activation, tier, false);
        }
    }
}
