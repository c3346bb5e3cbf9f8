//! `cargo bench --bench speed`: forward and training against the limit of the machine, as a Markdown table.
//!
//! Forward counts 2 T B H (I + H) operations, a training step (forward, backward without the gradient of x, SGD)
//! 2 T B H (2 I + 3 H). Every figure is also given in percent of the FMA peak of the cores that it may use.

mod yardstick;

use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Output};
use yardstick::{fma_peak, seconds};

/// Name, T, B, I, H.
const SHAPES: [(&str, usize, usize, usize, usize); 8] = [
    ("tiny step", 1, 1, 1, 16),
    ("stream", 100, 1, 64, 128),
    ("demo", 5, 100, 3, 8),
    ("rows", 28, 128, 28, 128),
    ("small", 50, 32, 64, 256),
    ("medium", 100, 64, 256, 512),
    ("large", 50, 128, 1024, 1024),
    ("long", 1000, 16, 32, 64),
];

fn main() -> elman::Result<()> {
    let tier = Network::<f32>::new(1)?.tier();
    let peak = fma_peak(tier.name());
    println!(
        "tier {}, FMA peak {:.1} GFLOP/s per core\n",
        tier.name(),
        peak / 1e9
    );
    println!("| shape (T, B, I, H) | threads | forward us | % of peak | training us | % of peak |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, steps, batch, input, units) in SHAPES {
        for threads in [1, 2] {
            let mut network = Network::<f32>::new(input)?;
            network.add_rnn(units, Activation::Tanh)?;
            network.set_output(Output::All)?;
            network.initialize(Initializer::PyTorch { gain: 1.0 }, 1)?;
            network.set_threads(threads)?;
            let x: Vec<f32> = (0..steps * batch * input)
                .map(|index| (index as f32 * 0.37).sin())
                .collect();
            let mut y = vec![0.0; steps * batch * units];
            let dy = vec![1e-3; y.len()];
            let batch_of = || Batch {
                x: &x,
                batch,
                steps,
                lengths: None,
            };
            let forward = seconds(|| {
                network
                    .predict(batch_of(), None, Some(&mut y), None)
                    .expect("the sizes are right");
            });
            let mut optimizer = Optimizer::new(Rule::SGD, 1e-6)?;
            let training = seconds(|| {
                network
                    .forward(batch_of(), None, Some(&mut y), None)
                    .and_then(|()| network.backward(Some(&dy), None, None, None))
                    .and_then(|()| network.update(&mut optimizer))
                    .expect("the sizes are right");
            });
            let steps_flops = (2 * steps * batch * units) as f64;
            let share = |seconds: f64, per_unit: usize| {
                100.0 * steps_flops * per_unit as f64 / seconds / (peak * threads as f64)
            };
            println!(
                "| {name} {steps},{batch},{input},{units} | {threads} | {:.1} | {:.0} | {:.1} | {:.0} |",
                forward * 1e6,
                share(forward, input + units),
                training * 1e6,
                share(training, 2 * input + 3 * units),
            );
        }
    }
    Ok(())
}
