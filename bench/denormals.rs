//! What fades away costs no more than what does not, though many CPUs take several times as long for the denormal numbers
//! in which it would end: the engine's floating-point mode takes them for 0.
//!
//! The recurrent weights are 0.9 on the diagonal. With an input in the first step alone the states fade, and with a gradient
//! in the last step alone the gradients do, backwards in time: from usual numbers to the smallest normal ones in some 850
//! steps. Without the mode they would stay near the smallest denormal one, as 0.9 times four of these rounds to four.
//! Updates get gradients whose squares vanish, losses outputs whose probabilities and gradients do.

use std::time::{Duration, Instant};

use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Network, Output, Tier, loss};

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
pub fn ratio<T>(usual: &mut T, fading: &mut T, mut run: impl FnMut(&mut T)) -> f64 {
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

/// Numbers of an update or a loss.
const COUNT: usize = 64 << 10;
const CLASSES: usize = 8;

/// An update with `rule` by gradients of 1e-30 over one by gradients of 0.1. Both are steps on the way: a state that
/// remembers larger gradients fades meanwhile.
fn update(rule: Rule) -> elman::Result<f64> {
    let mut jobs = [0.1, 1e-30].map(|gradient| {
        let optimizer = Optimizer::<f32>::new(rule, 1e-3);
        (optimizer, vec![0.5; COUNT], vec![gradient; COUNT])
    });
    for (optimizer, parameters, gradients) in &mut jobs {
        let optimizer = optimizer.as_mut().expect("the settings are in range");
        for gradients in [&[1.0; COUNT], &gradients[..]] {
            for _ in 0..300 {
                optimizer.step(parameters, gradients)?;
            }
        }
    }
    let [mut usual, mut fading] = jobs;
    Ok(ratio(
        &mut usual,
        &mut fading,
        |(optimizer, parameters, gradients)| {
            if let Ok(optimizer) = optimizer {
                optimizer
                    .step(parameters, gradients)
                    .expect("the sizes fit");
            }
        },
    ))
}

/// A loss of outputs near their targets, or of logits that leave tiny probabilities, over one of usual outputs.
fn losses() -> [(&'static str, f64); 3] {
    let mut d = vec![0.0; COUNT];
    let targets = vec![0.0; COUNT];
    let labels = vec![0; COUNT / CLASSES];
    let [usual, near] = [0.5, 1e-36].map(|y| vec![y; COUNT]);
    let far = vec![-95.0; COUNT];
    // The first class of each row has it all.
    let sure: Vec<f32> = (0..COUNT)
        .map(|index| if index % CLASSES == 0 { 95.0 } else { 0.0 })
        .collect();
    let mut mean_squared = |y: &mut Vec<f32>| {
        loss::mean_squared_error(y, &targets, None, Some(&mut d)).expect("the sizes fit");
    };
    let squared = ratio(&mut usual.clone(), &mut near.clone(), &mut mean_squared);
    let mut binary = |y: &mut Vec<f32>| {
        loss::binary_cross_entropy_with_logits(y, &targets, None, Some(&mut d))
            .expect("the sizes fit");
    };
    let entropy = ratio(&mut usual.clone(), &mut far.clone(), &mut binary);
    let mut softmax = |y: &mut Vec<f32>| {
        loss::softmax_cross_entropy(y, CLASSES, &labels, None, None, Some(&mut d))
            .expect("the sizes fit");
    };
    let classes = ratio(&mut usual.clone(), &mut sure.clone(), &mut softmax);
    [
        ("mean squared error", squared),
        ("binary cross-entropy", entropy),
        ("softmax cross-entropy", classes),
    ]
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
    println!("\n| fading over usual | ratio |\n| --- | --- |");
    for (name, rule) in [
        (
            "SGD, momentum",
            Rule::Sgd {
                momentum: 0.9,
                nesterov: true,
                weight_decay: 0.0,
            },
        ),
        ("AdaGrad", Rule::ADAGRAD),
        ("RMSprop", Rule::RMSPROP),
        ("Adam", Rule::ADAM),
        ("AdamW", Rule::ADAMW),
        ("Rprop", Rule::RPROP),
        ("Rprop, unbounded", Rule::RPROP_UNBOUNDED),
    ] {
        println!("| update, {name} | {:.2} |", update(rule)?);
    }
    for (name, ratio) in losses() {
        println!("| {name} | {ratio:.2} |");
    }
    Ok(())
}
