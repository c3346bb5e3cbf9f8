//! What states and gradients that fade away cost: the numbers in which they end are denormal, and some CPUs take many times as
//! long for those.
//!
//! The recurrent weights are 0.9 on the diagonal. With an input in the first step alone the states fade, and with a gradient
//! in the last step alone the gradients do, backwards in time: from usual numbers to denormal ones in some 850 steps. There
//! they stay, as 0.9 times four of the smallest ones is rounded to four.

use std::time::{Duration, Instant};

use elman::init::Initializer;
use elman::{Activation, Network, Output, Tier};

use crate::job::Job;
use crate::shapes::Shape;

const SHAPES: [&str; 2] = ["5000x8x32x64", "5000x1x32x64"];
const ROUNDS: usize = 50;
const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Linear];

/// A layer, and a batch that gives usual numbers in every step.
fn usual(shape: Shape, activation: Activation, tier: Tier) -> elman::Result<Job> {
    let mut network = Network::with_tier(shape.input, tier)?;
    network.add_rnn(shape.units, activation)?;
    network.set_output(Output::All)?;
    network.initialize(Initializer::Identity { scale: 0.9 }, 1)?;
    let mut job = Job::of(network, shape)?;
    job.dx = Some(vec![0.0; job.x.len()]);
    Ok(job)
}

/// The same with a batch that fades.
fn fading(shape: Shape, activation: Activation, tier: Tier) -> elman::Result<Job> {
    let mut job = usual(shape, activation, tier)?;
    for x in job.x.chunks_exact_mut(shape.steps * shape.input) {
        x[shape.input..].fill(0.0);
    }
    for dy in job.dy.chunks_exact_mut(shape.steps * shape.units) {
        dy[..(shape.steps - 1) * shape.units].fill(0.0);
    }
    Ok(job)
}

/// Time of `run` on one job over that on another, both at best, one after the other many times.
pub fn ratio(usual: &mut Job, fading: &mut Job, run: fn(&mut Job)) -> f64 {
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (best, job) in best.iter_mut().zip([&mut *usual, &mut *fading]) {
            let start = Instant::now();
            run(job);
            *best = start.elapsed().min(*best);
        }
    }
    best[1].as_secs_f64() / best[0].as_secs_f64()
}

fn percent_denormal(values: &[f32]) -> f64 {
    let count = values.iter().filter(|value| value.is_subnormal()).count();
    100.0 * count as f64 / values.len() as f64
}

/// Prints the time of fading batches over that of usual ones as a Markdown table.
pub fn print(tier: Tier) -> elman::Result<()> {
    println!(
        "\n| fading over usual (TxBxIxH) | forward | of y denormal | forward and backward | of dx denormal |"
    );
    println!("|{}", " --- |".repeat(5));
    for sizes in SHAPES {
        let shape = Shape::parse(sizes).expect("these are sizes");
        for activation in ACTIVATIONS {
            let mut usual = usual(shape, activation, tier)?;
            let mut fading = fading(shape, activation, tier)?;
            let forward = ratio(&mut usual, &mut fading, Job::forward);
            let gradients = ratio(&mut usual, &mut fading, Job::gradients);
            println!(
                "| {activation:?} {sizes} | {forward:.2} | {:.0} % | {gradients:.2} | {:.0} % |",
                percent_denormal(&fading.y),
                percent_denormal(fading.dx.as_deref().unwrap_or_default()),
            );
        }
    }
    Ok(())
}
