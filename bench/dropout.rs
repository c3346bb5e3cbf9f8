//! What dropout adds to a training step: a tanh layer with dropout behind it beside the layer alone.

use elman::init::Initializer;
use elman::{Activation, Network, Output, Tier};

use crate::denormals::ratio;
use crate::job::Job;
use crate::shapes::Shape;

const SHAPES: [&str; 3] = ["28x128x28x128", "50x32x64x256", "100x64x256x512"];

fn job(shape: Shape, rate: Option<f64>, tier: Tier, threads: usize) -> elman::Result<Job> {
    let mut network = Network::with_tier(shape.input, tier)?;
    network.add_rnn(shape.units, Activation::Tanh)?;
    if let Some(rate) = rate {
        network.add_dropout(rate)?;
    }
    network.set_output(Output::All)?;
    network.initialize(Initializer::PyTorch { gain: 1.0 }, 1)?;
    network.set_threads(threads)?;
    Job::of(network, shape)
}

/// Prints, in percent of a training step without it, what it adds, as a Markdown table.
pub fn print(tier: Tier) -> elman::Result<()> {
    println!("\n| dropout behind a layer (TxBxIxH) | threads | % more of a training step |");
    println!("|{}", " --- |".repeat(3));
    for sizes in SHAPES {
        let shape = Shape::parse(sizes).expect("these are sizes");
        for threads in [1, 2] {
            let mut without = job(shape, None, tier, threads)?;
            let mut with = job(shape, Some(0.5), tier, threads)?;
            let more = 100.0 * (ratio(&mut without, &mut with, Job::training) - 1.0);
            println!("| {sizes} | {threads} | {more:.1} |");
        }
    }
    Ok(())
}
