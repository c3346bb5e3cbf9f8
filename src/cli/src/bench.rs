//! `elman bench`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use elman::init::TensorRole;
use elman::optimizer::{Optimizer, Rule};
use elman::{Batch, Network, Output, Session};

use crate::failure::{Failure, Result};
use crate::info::summary;
use crate::machine::{fma_peak, seconds};
use crate::options::{NetworkOptions, load};
use crate::output::{Table, count, write_to};

/// Measure how long a network takes
///
/// The time of inference, of a training step (forward, backward, update) and of one step of a stream, at best of several
/// repetitions, and how much of the machine's multiply-adds that uses.
#[derive(Args)]
pub struct Arguments {
    /// The network [default: one of the shape that the options say]
    model: Option<PathBuf>,
    /// Features of a step, where there is no MODEL
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    inputs: u32,
    /// Outputs, where there is no MODEL
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    outputs: u32,
    /// Sequences of a batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Steps of a sequence
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Threads; 0: one for each core
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=1024))]
    threads: u32,
    #[command(flatten)]
    network: NetworkOptions,
}

/// A measurement.
struct Time {
    what: String,
    seconds: f64,
    operations: f64,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut network = match &arguments.model {
        Some(path) => load(path, arguments.threads)?,
        None => {
            let mut network = arguments.network.build(
                arguments.inputs as usize,
                arguments.outputs as usize,
                0,
            )?;
            network.set_threads(arguments.threads as usize)?;
            network
        }
    };
    let before = fma_peak(network.tier());
    let times = measure(
        &mut network,
        arguments.batch as usize,
        arguments.steps as usize,
    )?;
    // The better one, as whatever else the machine does can only spoil it.
    let after = fma_peak(network.tier());
    let peak = before.into_iter().chain(after).reduce(f64::max);
    write_to(None, |out| write(&network, peak, &times, out))
}

fn measure(network: &mut Network, batch: usize, steps: usize) -> Result<Vec<Time>> {
    let inputs = network.input_size();
    if network
        .layers()
        .any(|layer| matches!(layer.kind, elman::LayerKind::Embedding { .. }))
    {
        return Err(Failure::new(
            "a network with an embedding can't be measured: its inputs are indices",
        ));
    }
    // Numbers of both signs, none of them tiny.
    let x: Vec<f32> = (0..batch * steps * inputs)
        .map(|index| (index as f32 * 0.37).sin())
        .collect();
    let mut y = vec![0.0; network.output_len(batch, steps)?];
    let dy = vec![1e-3; y.len()];
    let view = Batch {
        x: &x,
        batch,
        steps,
        lengths: None,
    };
    let all = format!("{} of {}", count(batch, "sequence"), count(steps, "step"));
    let (forward, backward) = operations(network, steps);
    let sequences = batch as f64;
    network.predict(view, None, Some(&mut y), None)?;
    let mut times = Vec::new();
    let mut time = |what: String, operations: f64, run: &mut dyn FnMut() -> elman::Result<()>| {
        let mut failed = None;
        let seconds = seconds(|| failed = failed.take().or(run().err()));
        match failed {
            Some(error) => Err(Failure::from(error)),
            None => {
                times.push(Time {
                    what,
                    seconds,
                    operations,
                });
                Ok(())
            }
        }
    };
    time(
        format!("inference, {all}"),
        sequences * forward,
        &mut || network.predict(view, None, Some(&mut y), None),
    )?;
    // Slow enough that the parameters stay what they are, however often the step is repeated.
    let mut optimizer = Optimizer::new(Rule::ADAM, 1e-9)?;
    time(
        format!("training step, {all}"),
        sequences * (forward + backward),
        &mut || {
            network.forward(view, None, Some(&mut y), None)?;
            network.backward(Some(&dy), None, None, None)?;
            network.update(&mut optimizer)
        },
    )?;
    // Networks that look ahead have no streams.
    if let Ok(mut session) = Session::new(network) {
        let mut output = vec![0.0; network.output_size()];
        let (step, _) = operations(network, 1);
        time("a step of a stream".to_owned(), step, &mut || {
            session.step(&x[..inputs], &mut output)
        })?;
    }
    Ok(times)
}

/// Floating-point operations of the products for a sequence: forward, and backward to all parameters. What is behind the last
/// recurrent layer sees the last step alone where the network gives no other one.
fn operations(network: &Network, steps: usize) -> (f64, f64) {
    let recurrent = network
        .layers()
        .enumerate()
        .filter(|(_, layer)| layer.options.is_some());
    let last_recurrent = recurrent.map(|(index, _)| index).last();
    let (mut forward, mut backward) = (0.0, 0.0);
    for (index, layer) in network.layers().enumerate() {
        let is_behind = last_recurrent.is_some_and(|last| index > last);
        let steps = if is_behind && network.output() == Output::Last {
            1
        } else {
            steps
        };
        for tensor in layer.tensors() {
            let product = (2 * tensor.rows * tensor.columns * steps) as f64;
            match tensor.role {
                // Nobody asks for the gradient of the network's input.
                TensorRole::InputWeight | TensorRole::DenseWeight if index == 0 => {
                    forward += product;
                    backward += product;
                }
                TensorRole::InputWeight
                | TensorRole::RecurrentWeight
                | TensorRole::DenseWeight
                | TensorRole::Projection => {
                    forward += product;
                    backward += 2.0 * product;
                }
                _ => {}
            }
        }
    }
    (forward, backward)
}

fn write(
    network: &Network,
    peak: Option<f64>,
    times: &[Time],
    out: &mut dyn Write,
) -> io::Result<()> {
    let threads = count(network.threads(), "thread");
    writeln!(
        out,
        "{}; {}, {threads}",
        summary(network),
        network.tier().name()
    )?;
    if let Some(peak) = peak {
        writeln!(
            out,
            "a core has {:.1} GFLOP/s at best (multiply-adds in registers)",
            peak / 1e9
        )?;
    }
    let mut table = Table::new(["", "time", "GFLOP/s", "of the best"]);
    for Time {
        what,
        seconds,
        operations,
    } in times
    {
        let rate = operations / seconds;
        let cores = network.threads() as f64;
        let part = peak.map_or_else(String::new, |peak| {
            format!("{:.0} %", 100.0 * rate / (peak * cores))
        });
        table.push([
            what.clone(),
            duration(*seconds),
            format!("{:.1}", rate / 1e9),
            part,
        ]);
    }
    writeln!(out)?;
    table.write(out)
}

fn duration(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds:.2} s"),
        1e-3.. => format!("{:.2} ms", seconds * 1e3),
        1e-6.. => format!("{:.2} us", seconds * 1e6),
        _ => format!("{:.0} ns", seconds * 1e9),
    }
}
