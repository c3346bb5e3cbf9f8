//! The cells beside each other: what part of the FMA peak each of them reaches, and what a step of a stream takes.

use elman::init::Initializer;
use elman::{Activation, Network, Output, RecurrentOptions, Reset, Tier};

use crate::job::{Job, Stream};
use crate::shapes::Shape;
use crate::yardstick::{Yardsticks, seconds};

/// A cell and its sums.
#[derive(Clone, Copy)]
enum Cell {
    Rnn,
    Lstm,
    Gru,
    GruBefore,
}

const CELLS: [Cell; 4] = [Cell::Rnn, Cell::Lstm, Cell::Gru, Cell::GruBefore];

/// The shapes: many rows of narrow layers to few of wide ones.
const SHAPES: [&str; 4] = ["rows", "small", "medium", "large"];

impl Cell {
    fn name(self) -> &'static str {
        match self {
            Self::Rnn => "RNN",
            Self::Lstm => "LSTM",
            Self::Gru => "GRU",
            Self::GruBefore => "GRU, reset before",
        }
    }

    /// Gates: each has a product of its own.
    fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::Gru | Self::GruBefore => 3,
        }
    }

    /// A layer that gives all outputs.
    fn network(self, shape: &Shape, tier: Tier) -> elman::Result<Network> {
        let mut network = Network::with_tier(shape.input, tier)?;
        let mut options = RecurrentOptions::default();
        match self {
            Self::Rnn => network.add_rnn(shape.units, Activation::Tanh)?,
            Self::Lstm => network.add_lstm(shape.units, &options)?,
            Self::Gru => network.add_gru(shape.units, &options)?,
            Self::GruBefore => {
                options.reset = Reset::Before;
                network.add_gru(shape.units, &options)?;
            }
        }
        network.set_output(Output::All)?;
        network.initialize(Initializer::PyTorch { gain: 1.0 }, 1)?;
        Ok(network)
    }
}

/// Prints the tables: of batches, for those of [`SHAPES`] that are chosen, and of streams.
pub fn print(
    tier: Tier,
    machine: &Yardsticks,
    is_chosen: impl Fn(&Shape) -> bool,
) -> elman::Result<()> {
    println!(
        "\n| cell | shape (TxBxIxH) | threads | forward us | % of FMA peak | training us | % of FMA peak |"
    );
    println!("|{}", " --- |".repeat(7));
    let shapes =
        crate::shapes::all().filter(|shape| SHAPES.contains(&shape.name) && is_chosen(shape));
    for shape in shapes {
        for threads in [1, 2] {
            for cell in CELLS {
                let mut network = cell.network(&shape, tier)?;
                network.set_threads(threads)?;
                let mut job = Job::of(network, shape)?;
                let (forward, training) = (seconds(|| job.forward()), seconds(|| job.training()));
                let outputs = shape.steps * shape.batch * shape.units * cell.gates();
                let percent = |products: usize, seconds: f64| {
                    let operations = 2.0 * outputs as f64 * products as f64;
                    100.0 * operations / (machine.fma_peak * threads as f64) / seconds
                };
                let (inputs, units) = (shape.input, shape.units);
                println!(
                    "| {} | {} {} | {threads} | {:.1} | {:.0} | {:.1} | {:.0} |",
                    cell.name(),
                    shape.name,
                    shape.sizes(),
                    forward * 1e6,
                    percent(inputs + units, forward),
                    training * 1e6,
                    percent(2 * inputs + 3 * units, training),
                );
            }
        }
    }
    println!(
        "\n| cell | I x H | a step us | in blocks of {} us |",
        Stream::BLOCK
    );
    println!("|{}", " --- |".repeat(4));
    for sizes in ["1x1x1x16", "1x1x1x32", "1x1x1x64", "1x1x64x128"] {
        let shape = Shape::parse(sizes).expect("these are sizes");
        for cell in CELLS {
            let mut stream = Stream::of(&cell.network(&shape, tier)?)?;
            let step = seconds(|| stream.step());
            let block = seconds(|| stream.run()) / Stream::BLOCK as f64;
            println!(
                "| {} | {} x {} | {:.3} | {:.3} |",
                cell.name(),
                shape.input,
                shape.units,
                step * 1e6,
                block * 1e6
            );
        }
    }
    Ok(())
}
