//! A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::loss::{Loss, softmax_cross_entropy};
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, fit};
use elman::{Activation, Batch, Network, RecurrentOptions, Result, Session};

const COUNT: usize = 100;
const STEPS: usize = 24;
const CLASSES: usize = 2;

/// A linear congruential generator, the same one in every language.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
        self.0
    }

    /// Square waves of period 4 (class 0) and 6 (class 1) in noise.
    fn waves(&mut self) -> (Vec<f32>, Vec<usize>) {
        let (mut x, mut labels) = (Vec::new(), Vec::new());
        for i in 0..COUNT {
            let period = 4 + 2 * (i % CLASSES);
            let phase = (self.next() >> 16) as usize % period;
            for step in 0..STEPS {
                let high = (step + phase) % period < period / 2;
                let wave = if high { 0.5 } else { -0.5 };
                x.push((wave + f64::from(self.next() >> 8) / f64::from(1 << 24) - 0.5) as f32);
            }
            labels.push(i % CLASSES);
        }
        (x, labels)
    }
}

/// A number that changes with any bit of the values.
fn digest(values: &[f32]) -> u32 {
    values.iter().fold(0, |sum: u32, value| {
        sum.wrapping_mul(31).wrapping_add(value.to_bits())
    })
}

fn same(a: &[f32], b: &[f32]) -> &'static str {
    if a.len() == b.len() && digest(a) == digest(b) {
        "the same bits"
    } else {
        "OTHER BITS"
    }
}

fn batch(x: &[f32]) -> Batch<'_, f32> {
    Batch {
        x,
        batch: COUNT,
        steps: STEPS,
        lengths: None,
    }
}

fn main() -> Result<()> {
    let mut random = Random(1);
    let (x, labels) = random.waves();
    let (test_x, test_labels) = random.waves();

    let mut network = Network::<f32>::new(1)?;
    network.set_seed(42);
    network.add_gru(12, &RecurrentOptions::default())?;
    network.add_dense(CLASSES, Activation::Linear)?;
    let version = env!("CARGO_PKG_VERSION");
    println!("elman {version}, {} parameters", network.parameter_count());

    // A step of training by hand.
    let mut adam = Optimizer::new(Rule::ADAM, 0.01)?;
    let (mut y, mut dy) = ([0.0; COUNT * CLASSES], [0.0; COUNT * CLASSES]);
    network.forward(batch(&x), None, Some(&mut y), None)?;
    let before = softmax_cross_entropy(&y, CLASSES, &labels, None, None, Some(&mut dy))?;
    network.backward(Some(&dy), None, None, None)?;
    network.update(&mut adam)?;
    println!("before training: loss {before:.3}");

    // The others in one call.
    let targets = Targets::numbered_classes(labels, CLASSES)?;
    let dataset = Dataset::new(1, x, &[STEPS; COUNT], targets)?;
    let options = FitOptions {
        epochs: 40,
        batch_size: 10,
        ..FitOptions::new(Loss::SoftmaxCrossEntropy { ignored: None })
    };
    fit(&mut network, &dataset, &mut adam, &options, |_, _| {
        ControlFlow::Continue(())
    })?;

    network.predict(batch(&test_x), None, Some(&mut y), None)?;
    let after = softmax_cross_entropy(&y, CLASSES, &test_labels, None, None, None)?;
    let right = y
        .chunks(CLASSES)
        .zip(&test_labels)
        .filter(|(y, label)| usize::from(y[1] > y[0]) == **label)
        .count();
    println!("after training: loss {after:.3}, {right} of {COUNT} right");

    // The first sequence as a stream.
    let mut session = Session::new(&network)?;
    let mut last = [0.0; CLASSES];
    for step in test_x[..STEPS].chunks(1) {
        session.step(step, &mut last)?;
    }
    println!("step by step: {}", same(&last, &y[..CLASSES]));
    session.reset();
    let mut all = [0.0; STEPS * CLASSES];
    session.run(&test_x[..STEPS], STEPS, &mut all)?;
    let last = &all[(STEPS - 1) * CLASSES..];
    println!("as a block: {}", same(last, &y[..CLASSES]));

    let path = "waves.safetensors";
    network.save(path)?;
    let loaded = Network::<f32>::load(path)?;
    let mut again = [0.0; COUNT * CLASSES];
    loaded.predict(batch(&test_x), None, Some(&mut again), None)?;
    println!("saved and loaded: {}", same(&again, &y));
    let _ = std::fs::remove_file(path);

    if let Err(error) = Network::<f32>::load("missing.safetensors") {
        println!("error: {error}");
    }
    let (parameters, outputs) = (digest(network.parameters()), digest(&y));
    let (before, after) = (before.to_bits(), after.to_bits());
    println!("bits: {before:016x} {after:016x} {parameters:08x} {outputs:08x}");
    Ok(())
}
