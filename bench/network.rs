//! `cargo bench --bench network`: a tanh layer as a program calls it.
//!
//! Ids are `what/TxBxIxH/tier/threads`, so that a part can be chosen: `cargo bench --bench network -- training/50x32x`.
//! All shapes run on the tier that the process uses (`ELMAN_TIER` chooses it), those with figures of other engines on every
//! tier that the machine has. Rates are floating-point operations per second.
//!
//! | what | is |
//! | --- | --- |
//! | `forward` | inference on a whole batch |
//! | `training` | forward, backward without the gradient of x, SGD |
//! | `training_dx` | the same with the gradient of x |
//! | `streaming` | one step of one sequence |
//! | `blocks` | 64 steps of one sequence in one call |
//! | `ragged_forward`, `ragged_training` | sequences of all lengths, on average half of the longest; the rate counts steps that exist |
//! | `padded_forward`, `padded_training` | the same batch with every sequence as long as the longest |

mod job;
mod shapes;

use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use elman::Tier;
use job::{Job, Stream};
use shapes::{REFERENCE, Shape};

type Group<'a> = BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Where the benchmarks of a shape run.
#[derive(Clone, Copy)]
struct Place {
    tier: Tier,
    threads: usize,
}

/// Every shape on the active tier with one and two threads, and the reference shapes on the other tiers with one.
fn everywhere() -> impl Iterator<Item = (Shape, Place)> {
    let place = |tier, threads| Place { tier, threads };
    let active = shapes::all()
        .flat_map(move |shape| [1, 2].map(|threads| (shape, place(active(), threads))));
    let others = Tier::available()
        .into_iter()
        .filter(|tier| *tier != self::active())
        .flat_map(move |tier| REFERENCE.map(|shape| (shape, place(tier, 1))));
    active.chain(others)
}

fn active() -> Tier {
    Tier::active().expect("ELMAN_TIER names a tier of this machine")
}

/// Operations of products of all rows with a matrix of `inner` x H.
fn operations(shape: &Shape, inner: usize) -> f64 {
    2.0 * (shape.steps * shape.batch * shape.units * inner) as f64
}

/// Adds one benchmark. `prepare` runs only if it is chosen, as the large shapes take long to make.
fn add<T>(
    group: &mut Group<'_>,
    shape: &Shape,
    place: Place,
    operations: f64,
    prepare: impl Fn() -> elman::Result<T>,
    run: impl Fn(&mut T),
) {
    let is_large = operations > 1e8;
    if is_large && !shapes::is_measuring() {
        return;
    }
    // Many runs of a large shape are many seconds on the slowest tier, and vary little.
    group.sample_size(if is_large { 10 } else { 20 });
    group.throughput(Throughput::Elements(operations as u64));
    let Place { tier, threads } = place;
    let id = format!("{}/{}/{threads}", shape.sizes(), tier.name());
    // Criterion calls the closure once per sample.
    let mut prepared = None;
    group.bench_function(id, |bencher| {
        let subject = prepared.get_or_insert_with(|| prepare().expect("the shape is valid"));
        bencher.iter(|| run(subject));
    });
}

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    for (shape, place) in everywhere() {
        let prepare = || Job::new(shape, place.tier, place.threads);
        let operations = operations(&shape, shape.input + shape.units);
        add(&mut group, &shape, place, operations, prepare, Job::forward);
    }
}

fn training(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training");
    for (shape, place) in everywhere() {
        let prepare = || Job::new(shape, place.tier, place.threads);
        let operations = operations(&shape, 2 * shape.input + 3 * shape.units);
        add(
            &mut group,
            &shape,
            place,
            operations,
            prepare,
            Job::training,
        );
    }
}

fn training_dx(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training_dx");
    for (shape, place) in everywhere().filter(|(_, place)| place.tier == active()) {
        let prepare = || {
            let mut job = Job::new(shape, place.tier, place.threads)?;
            job.dx = Some(vec![0.0; shape.steps * shape.batch * shape.input]);
            Ok(job)
        };
        let operations = operations(&shape, 3 * shape.input + 3 * shape.units);
        add(
            &mut group,
            &shape,
            place,
            operations,
            prepare,
            Job::training,
        );
    }
}

fn streaming(criterion: &mut Criterion) {
    stream(criterion, "streaming", 1, Stream::step);
}

fn blocks(criterion: &mut Criterion) {
    stream(criterion, "blocks", Stream::BLOCK, Stream::run);
}

/// Calls that run so many steps of a stream.
fn stream(criterion: &mut Criterion, name: &str, steps: usize, call: fn(&mut Stream)) {
    let mut group = criterion.benchmark_group(name);
    for (shape, place) in everywhere().filter(|(_, place)| place.threads == 1) {
        let prepare = || Stream::new(&shape, place.tier);
        let whole = Shape {
            steps,
            batch: 1,
            ..shape
        };
        let operations = operations(&whole, shape.input + shape.units);
        add(&mut group, &shape, place, operations, prepare, call);
    }
}

fn ragged(criterion: &mut Criterion) {
    let chosen = ["rows", "small", "medium", "long", "pixels"];
    type Run = fn(&mut Job);
    let runs: [(&str, Run, usize); 2] =
        [("forward", Job::forward, 1), ("training", Job::training, 3)];
    for (what, run, times) in runs {
        for (kind, is_ragged) in [("ragged", true), ("padded", false)] {
            let mut group = criterion.benchmark_group(format!("{kind}_{what}"));
            let places = everywhere().filter(|(_, place)| place.tier == active());
            for (shape, place) in places.filter(|(shape, _)| chosen.contains(&shape.name)) {
                // From one step to all of them, long and short ones mixed.
                let lengths: Vec<usize> = (0..shape.batch)
                    .map(|index| (index * 7 % shape.batch + 1) * shape.steps / shape.batch)
                    .map(|length| length.max(1))
                    .collect();
                let all_steps: usize = if is_ragged {
                    lengths.iter().sum()
                } else {
                    shape.batch * shape.steps
                };
                let prepare = || {
                    let mut job = Job::new(shape, place.tier, place.threads)?;
                    job.lengths = is_ragged.then(|| lengths.clone());
                    Ok(job)
                };
                let inner = shape.input * times.min(2) + shape.units * times;
                let share = all_steps as f64 / (shape.batch * shape.steps) as f64;
                let operations = operations(&shape, inner) * share;
                add(&mut group, &shape, place, operations, prepare, run);
            }
        }
    }
}

fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .nresamples(10_000)
        .without_plots()
}

criterion_group! {
    name = network;
    config = settings();
    targets = forward, training, training_dx, streaming, blocks, ragged
}
criterion_main!(network);
