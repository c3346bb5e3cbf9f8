//! `cargo bench --bench kernels`: what layers are made of, on every tier that the machine has.
//!
//! Ids are `what/sizes/tier/threads`, so that a part can be chosen: `cargo bench --bench kernels -- product/64x`.
//!
//! - `copy`, `tanh`, `sigmoid`, `exp`: elements per second over 16 KiB. The functions work in place, and some of them run
//!   away when they are repeated, so each run starts with the copy that `copy` is alone.
//! - `product/MxKxN`: floating-point operations per second of M rows times a packed K x N matrix plus a bias, as a linear
//!   dense layer at one step. Laying out the rows and handing out the result is part of it.
//! - `pack/KxN`: bytes of parameters per second that become such a matrix.
//! - `pack_transposed/KxN`: the same for the transpose that a backward pass reads: by how much the first one after a change
//!   takes longer than the second.
//! - `update_RULE/COUNT`: bytes of parameters, gradients and state per second that a step of an optimizer reads and writes,
//!   on the active tier; `update_copy` copies as many parameters.

#[allow(dead_code)] // products have no names and no steps
mod shapes;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Tier, math};

/// 16 KiB.
const ELEMENTS: usize = 4096;

/// Elements from which a matrix is slow to make.
const LARGE: usize = 300_000;

const SIZES: &str = "the sizes fit each other";

/// Rows, inner size and columns beyond those of the recurrent layers: the smallest, exact tiles and one more, primes, few
/// rows and many columns, one column.
const ODD: [[usize; 3]; 12] = [
    [1, 1, 1],
    [3, 7, 5],
    [12, 32, 32],
    [13, 33, 33],
    [17, 61, 31],
    [100, 1, 300],
    [100, 300, 1],
    [5, 784, 500],
    [8, 512, 512],
    [1, 512, 512],
    [2, 1760, 1760],
    [61, 127, 131],
];

fn functions(criterion: &mut Criterion) {
    type Function = fn(Tier, &mut [f32]);
    let functions: [(&str, Function); 4] = [
        ("copy", |_, _| {}),
        ("tanh", math::tanh),
        ("sigmoid", math::sigmoid),
        ("exp", math::exp),
    ];
    let values: Vec<f32> = (0..ELEMENTS)
        .map(|index| (index as f32 * 0.37).sin() * 8.0)
        .collect();
    for (name, function) in functions {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(ELEMENTS as u64));
        for tier in Tier::available() {
            let mut buffer = values.clone();
            group.bench_function(format!("{ELEMENTS}/{}/1", tier.name()), |bencher| {
                bencher.iter(|| {
                    buffer.copy_from_slice(&values);
                    function(tier, black_box(&mut buffer));
                });
            });
        }
    }
}

/// A linear dense layer.
fn dense(tier: Tier, threads: usize, inner: usize, columns: usize) -> elman::Result<Network> {
    let mut network = Network::with_tier(inner, tier)?;
    network.add_dense(columns, Activation::Linear)?;
    network.initialize(Initializer::PyTorch { gain: 1.0 }, 1)?;
    network.set_threads(threads)?;
    Ok(network)
}

fn product(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    let layers = shapes::REFERENCE
        .iter()
        .map(|shape| [shape.batch, shape.input + shape.units, shape.units]);
    for [rows, inner, columns] in layers.chain(ODD) {
        let operations = 2 * rows * inner * columns;
        if inner * columns > LARGE && !shapes::is_measuring() {
            continue;
        }
        group.throughput(Throughput::Elements(operations as u64));
        // Smaller products stay on the calling thread.
        let most_threads = if operations >= 2_000_000 { 2 } else { 1 };
        for tier in Tier::available() {
            for threads in 1..=most_threads {
                let id = format!("{rows}x{inner}x{columns}/{}/{threads}", tier.name());
                let mut prepared = None;
                group.bench_function(id, |bencher| {
                    let (network, x, y) = prepared.get_or_insert_with(|| {
                        let network = dense(tier, threads, inner, columns);
                        (
                            network.expect("the sizes are valid"),
                            vec![0.5; rows * inner],
                            vec![0.0; rows * columns],
                        )
                    });
                    bencher.iter(|| {
                        let batch = Batch {
                            x,
                            batch: rows,
                            steps: 1,
                            lengths: None,
                        };
                        network.predict(batch, None, Some(y), None).expect(SIZES);
                    });
                });
            }
        }
    }
}

/// Sizes of the matrices that are packed.
fn packed_sizes() -> impl Iterator<Item = (usize, usize)> {
    let sizes = [
        (33, 17),
        (192, 128),
        (300, 31),
        (768, 512),
        (2048, 1024),
        (1760, 1760),
    ];
    let is_chosen = |&(inner, columns): &_| inner * columns <= LARGE || shapes::is_measuring();
    sizes.into_iter().filter(is_chosen)
}

fn pack(criterion: &mut Criterion) {
    for (name, transposed) in [("pack", false), ("pack_transposed", true)] {
        let mut group = criterion.benchmark_group(name);
        for (inner, columns) in packed_sizes() {
            for tier in Tier::available() {
                let rows = if transposed { inner } else { inner + 1 };
                group.throughput(Throughput::Bytes(
                    (rows * columns * size_of::<f32>()) as u64,
                ));
                let id = format!("{inner}x{columns}/{}/1", tier.name());
                let mut prepared = None;
                group.bench_function(id, |bencher| {
                    let (network, parameters) = prepared.get_or_insert_with(|| {
                        let network = dense(tier, 1, inner, columns).expect("the sizes are valid");
                        let parameters = network.parameters().to_vec();
                        (network, parameters)
                    });
                    if transposed {
                        bencher.iter_custom(|times| {
                            (0..times)
                                .map(|_| time_transpose(network, parameters))
                                .sum()
                        });
                    } else {
                        bencher.iter(|| network.set_parameters(parameters).expect(SIZES));
                    }
                });
            }
        }
    }
}

/// By how much the first backward pass after a change takes longer than the second.
fn time_transpose(network: &mut Network, parameters: &[f32]) -> Duration {
    let mut dx = vec![0.0; network.input_size()];
    let x = vec![0.5; network.input_size()];
    let dy = vec![0.5; network.output_size()];
    let batch = Batch {
        x: &x,
        batch: 1,
        steps: 1,
        lengths: None,
    };
    network.set_parameters(parameters).expect(SIZES);
    network.forward(batch, None, None, None).expect(SIZES);
    let [first, second] = [(); 2].map(|()| {
        let start = Instant::now();
        network
            .backward(Some(&dy), None, Some(&mut dx), None)
            .expect(SIZES);
        start.elapsed()
    });
    first.saturating_sub(second)
}

fn update(criterion: &mut Criterion) {
    let momentum = Rule::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };
    // Numbers that are read and written for each parameter.
    let rules = [
        ("copy", None, 2),
        ("sgd", Some(Rule::SGD), 3),
        ("momentum", Some(momentum), 5),
        ("adagrad", Some(Rule::ADAGRAD), 5),
        ("rmsprop", Some(Rule::RMSPROP), 5),
        ("adam", Some(Rule::ADAM), 7),
        ("rprop", Some(Rule::RPROP), 7),
        ("rprop_unbounded", Some(Rule::RPROP_UNBOUNDED), 7),
    ];
    let tier = Tier::active().expect("ELMAN_TIER names a tier of this machine");
    for (name, rule, numbers) in rules {
        let mut group = criterion.benchmark_group(format!("update_{name}"));
        for count in [1024, 65_536, 4_194_304] {
            if count > LARGE && !shapes::is_measuring() {
                continue;
            }
            group.throughput(Throughput::Bytes(
                (numbers * count * size_of::<f32>()) as u64,
            ));
            let mut parameters = vec![0.5_f32; count];
            let gradients = vec![1e-3; count];
            // No number becomes denormal, however often the step is repeated.
            let mut optimizer = rule
                .map(|rule| Optimizer::new(rule, 1e-30).expect("the learning rate is in range"));
            group.bench_function(format!("{count}/{}/1", tier.name()), |bencher| {
                bencher.iter(|| match &mut optimizer {
                    None => black_box(&mut parameters).copy_from_slice(&gradients),
                    Some(optimizer) => optimizer
                        .step(black_box(&mut parameters), &gradients)
                        .expect("there are as many"),
                });
            });
        }
    }
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .nresamples(10_000)
        .without_plots()
}

criterion_group! {
    name = kernels;
    config = settings();
    targets = functions, product, pack, update
}
criterion_main!(kernels);
