//! Options that several commands have.

use std::path::Path;

use clap::{Args, ValueEnum};
use elman::{Activation, Direction, Network, Output, RecurrentOptions};

use crate::failure::{Failure, Result};

/// How files of sequences are read.
#[derive(Args)]
#[command(next_help_heading = "Data")]
pub struct DataOptions {
    /// How a CSV file is laid out [default: long where it has a column of ids, else wide or, of forecasts, series]
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// The column of a CSV file that has the targets [default: label, target or class]
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// The column of a CSV file that says which sequence a row is of
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    pub id: String,
    /// The column of a long CSV file that puts the rows of a sequence in order
    #[arg(long, value_name = "COLUMN", default_value = "time")]
    pub time: String,
    /// What takes the place of missing values
    #[arg(long, value_enum, default_value_t = Missing::Error)]
    pub missing: Missing,
}

/// How a CSV file is laid out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A row for each step, with columns for the sequence, the time, the features and the target
    Long,
    /// A row for each sequence of one feature, with a column for each step and one for the target
    Wide,
    /// A row for each step of one sequence, with columns for the time and the features
    Series,
}

/// How a saved network is run on a file of sequences.
#[derive(Args)]
pub struct RunOptions {
    /// Of a forecaster: the steps to tell, of which `evaluate` takes the last ones of each sequence [default: 1]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..))]
    pub horizon: Option<u32>,
    /// Threads; 0: one for each core. Results don't depend on it
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1024))]
    pub threads: u32,
    #[command(flatten)]
    pub reading: DataOptions,
}

/// What takes the place of missing values.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Missing {
    /// Nothing: they are errors
    Error,
    /// The last value before them
    Carry,
    /// Numbers on the line between the values around them
    Linear,
}

/// The shape of a network.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkOptions {
    /// The kind of the recurrent layers
    #[arg(long, value_enum, default_value_t = Cell::Gru)]
    pub cell: Cell,
    /// Units of each recurrent layer
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub units: u32,
    /// Number of recurrent layers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub layers: u32,
    /// Which way the recurrent layers go through a sequence
    #[arg(long, value_enum, default_value_t = Way::Forward)]
    pub direction: Way,
    /// The rate of dropout behind each recurrent layer
    #[arg(long, default_value_t = 0.0, value_parser = below_one)]
    pub dropout: f64,
}

/// A kind of recurrent layer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cell {
    Gru,
    Lstm,
    Rnn,
}

/// Which way a recurrent layer goes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    Forward,
    Reverse,
    Bidirectional,
}

impl NetworkOptions {
    /// A network of this shape, with a dense layer at its end.
    pub fn build(&self, inputs: usize, outputs: usize, seed: u64) -> Result<Network> {
        let options = RecurrentOptions {
            direction: match self.direction {
                Way::Forward => Direction::Forward,
                Way::Reverse => Direction::Reverse,
                Way::Bidirectional => Direction::Bidirectional,
            },
            ..RecurrentOptions::default()
        };
        let units = self.units as usize;
        let mut network = Network::new(inputs)?;
        network.set_seed(seed);
        for _ in 0..self.layers {
            match self.cell {
                Cell::Gru => network.add_gru(units, &options)?,
                Cell::Lstm => network.add_lstm(units, &options)?,
                Cell::Rnn => network.add_recurrent(units, Activation::Tanh, &options)?,
            }
            if self.dropout > 0.0 {
                network.add_dropout(self.dropout)?;
            }
        }
        network.add_dense(outputs, Activation::Linear)?;
        Ok(network)
    }
}

/// Reads a saved network.
pub fn load(path: &Path, threads: u32) -> Result<Network> {
    let mut network = Network::load(path)?;
    network.set_threads(threads as usize)?;
    Ok(network)
}

/// The names of a network's classes.
pub fn class_names(network: &Network) -> Vec<String> {
    network.class_names().iter().map(str::to_owned).collect()
}

fn number(
    text: &str,
    expected: &str,
    fits: impl Fn(f64) -> bool,
) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(number) if fits(number) => Ok(number),
        _ => Err(format!("expected {expected}")),
    }
}

/// A number of at least 0 and below 1.
pub fn below_one(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number of at least 0 and below 1", |number| {
        (0.0..1.0).contains(&number)
    })
}

/// A number above 0.
pub fn positive(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number above 0", |number| {
        number > 0.0 && number.is_finite()
    })
}

/// A number of at least 0.
pub fn not_negative(text: &str) -> std::result::Result<f64, String> {
    number(text, "a number of at least 0", |number| {
        number >= 0.0 && number.is_finite()
    })
}

/// Fails where a command that needs the classes or the numbers of whole sequences can't have them of the network.
pub fn expect_last_output(network: &Network, path: &Path) -> Result<()> {
    match network.output() {
        Output::Last => Ok(()),
        Output::All => Err(Failure::new(format_args!(
            "{}: the network gives the outputs of all steps, expected those of the last one (`import --last`)",
            path.display()
        ))),
    }
}
