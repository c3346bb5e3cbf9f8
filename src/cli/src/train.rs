//! `elman train`

mod scale;
mod watcher;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use elman::dataset::{Dataset, Targets};
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{Clip, EarlyStopping, FitOptions, fit_with};
use elman::{Network, Output};

use crate::data::{Sequences, Wanted, fault};
use crate::evaluate;
use crate::failure::{Failure, Result};
use crate::forecast;
use crate::options::{DataOptions, NetworkOptions, below_one, not_negative, positive};
use crate::output::{count, write_to};
use scale::Scale;
use watcher::Watcher;

/// From so many sequences on, a part of them is held out by default.
pub const ENOUGH_TO_HOLD_OUT: usize = 100;
/// What that part is.
pub const HELD_OUT: f64 = 0.15;
/// Sequences for one update, by default.
const BATCH: usize = 16;

/// Train a network on the sequences of a file and save it
///
/// The network tells the class of a sequence or, with --regression, a number or, with --forecast, how it goes on. It
/// standardises its inputs by what it was trained on. Of 100 sequences and more, 0.15 are held out: training ends when it gets
/// no better there, and the network is that of the best epoch. Ctrl-C ends training early, too, and saves the network. The same
/// seed gives the same file, bit for bit, whatever the number of threads.
#[derive(Args)]
pub struct Arguments {
    /// The sequences: .ts, .csv, .tsv or .npz
    data: PathBuf,
    /// The file to save the network to
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Sequences to measure the trained network on
    #[arg(long, value_name = "DATA")]
    test: Option<PathBuf>,
    /// The targets are numbers, not classes
    #[arg(long)]
    regression: bool,
    /// Learn how the sequences go on: a CSV file without a column of ids is one sequence, a row for each step
    #[arg(long, conflicts_with_all = ["regression", "balanced", "direction"])]
    forecast: bool,
    /// Where all random numbers start: parameters, order, what is held out
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; 0: one for each core. Results don't depend on it
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1024))]
    threads: u32,
    #[command(flatten)]
    network: NetworkOptions,
    #[command(flatten)]
    training: TrainingOptions,
    #[command(flatten)]
    reading: DataOptions,
}

/// How a network is trained.
#[derive(Args)]
#[command(next_help_heading = "Training")]
struct TrainingOptions {
    /// How often each sequence is seen, at most
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Sequences for one update [default: 16; of forecasts 2 to 16, so that few parts make some updates]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// The optimizer
    #[arg(long, value_enum, default_value_t = Method::Adam)]
    optimizer: Method,
    /// Its learning rate
    #[arg(long, default_value_t = 0.003, value_parser = positive)]
    rate: f64,
    /// The largest norm of the gradients of an update; 0: no limit
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    clip: f64,
    /// The part of the sequences that is held out; 0: none [default: 0.15 of 100 sequences and more; of forecasts also the
    /// last 0.15 of each sequence of 500 steps and more]
    #[arg(long, value_name = "PART", value_parser = below_one)]
    validation: Option<f64>,
    /// Epochs without a better one on what is held out, after which training ends
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,
    /// Let rare classes count for as much as frequent ones
    #[arg(long, conflicts_with = "regression")]
    balanced: bool,
    /// Take the inputs as they are
    #[arg(long)]
    no_standardize: bool,
}

/// An optimizer.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Adam,
    Adamw,
    Rmsprop,
}

impl Method {
    fn rule(self) -> Rule {
        match self {
            Self::Adam => Rule::ADAM,
            Self::Adamw => Rule::ADAMW,
            Self::Rmsprop => Rule::RMSPROP,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    expect_directory(&arguments.output)?;
    let wanted = match arguments {
        Arguments { forecast: true, .. } => Wanted::Following,
        Arguments {
            regression: true, ..
        } => Wanted::Numbers,
        _ => Wanted::Classes,
    };
    let data = Sequences::read(&arguments.data, &arguments.reading, wanted)?;
    let test = arguments.test.as_deref().map(|path| {
        let wanted = match &data.targets {
            Targets::Classes { names, .. } => Wanted::Known(names),
            Targets::Values { .. } => Wanted::Numbers,
            _ => wanted,
        };
        let test = Sequences::read(path, &arguments.reading, wanted)?;
        expect_features(path, &test, data.features)?;
        Ok::<_, Failure>(test)
    });
    let test = test.transpose()?;
    let mut training = match arguments.forecast {
        true => Training::of_forecasts(arguments, &data)?,
        false => Training::new(arguments, &data)?,
    };
    say(&format!("data     {}", data.describe()))?;
    let network = &training.network;
    say(&format!("network  {}", crate::info::summary(network)))?;
    let report = training.run(arguments)?;
    say(&format!("trained  {report}"))?;
    training.network.save(&arguments.output)?;
    say(&format!("saved    {}", arguments.output.display()))?;
    if let (Some(test), Some(path)) = (&test, &arguments.test) {
        let measured = evaluate::Measured::of(path, &training.network, test, 1)?;
        say(&format!("test     {}", measured.summary()))?;
    }
    Ok(())
}

/// Prints a line of the report. Training goes on where nobody reads it.
fn say(line: &str) -> Result<()> {
    match write_to(None, |out| writeln!(out, "{line}")) {
        Err(Failure::PipeClosed) => Ok(()),
        result => result,
    }
}

/// Fails where no file can be made, before hours have gone into what would be in it.
fn expect_directory(path: &Path) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match directory {
        Some(directory) if !directory.is_dir() => Err(fault(
            path,
            format_args!(
                "there is no directory {}, expected one",
                directory.display()
            ),
        )),
        _ if path.is_dir() => Err(fault(path, "is a directory, expected a file or nothing")),
        _ => Ok(()),
    }
}

/// Fails where sequences have other features than a network takes.
pub fn expect_features(path: &Path, data: &Sequences, features: usize) -> Result<()> {
    match data.features {
        found if found == features => Ok(()),
        found => Err(fault(
            path,
            format_args!("there are {}, expected {features}", count(found, "feature")),
        )),
    }
}

/// A network and what it is trained on.
struct Training {
    network: Network,
    train: Dataset,
    validation: Option<Dataset>,
    loss: Loss,
    class_weights: Option<Vec<f32>>,
    /// That of the numbers to tell.
    scale: Option<Scale>,
    /// Sequences for one update, if nobody says otherwise.
    batch: usize,
}

impl Training {
    fn new(arguments: &Arguments, data: &Sequences) -> Result<Self> {
        let Arguments { training, seed, .. } = arguments;
        let fraction = training.validation.unwrap_or(match data.len() {
            ..ENOUGH_TO_HOLD_OUT => 0.0,
            _ => HELD_OUT,
        });
        let (train, held) = data.split(fraction, *seed);
        if fraction > 0.0 && held.is_empty() {
            let message = format!(
                "{fraction} of {} is none, expected 1 to hold out at least",
                count(data.len(), "sequence")
            );
            return Err(fault(&arguments.data, message));
        }
        let (mut train, mut held) = (data.part(&train)?, data.part_or_none(&held)?);
        let (outputs, loss) = match &data.targets {
            Targets::Classes { names, .. } => {
                (names.len(), Loss::SoftmaxCrossEntropy { ignored: None })
            }
            Targets::Values { .. } => (1, Loss::MeanSquaredError),
            _ => {
                return Err(fault(
                    &arguments.data,
                    "the sequences have no targets, expected some to learn",
                ));
            }
        };
        let mut scale = None;
        if let (Targets::Values { values, .. }, false) = (train.targets(), training.no_standardize)
        {
            let measured = Scale::measure(values);
            train = measured.scaled(&train)?;
            held = held
                .as_ref()
                .map(|held| measured.scaled(held))
                .transpose()?;
            scale = Some(measured);
        }
        let mut network = arguments.network.build(data.features, outputs, *seed)?;
        network.set_threads(arguments.threads as usize)?;
        if let Targets::Classes { names, .. } = &data.targets {
            network.set_class_names(names)?;
        }
        if !training.no_standardize {
            network.set_standardization(Some(train.standardization()?))?;
        }
        Ok(Self {
            class_weights: training.balanced.then(|| balanced(&train)),
            network,
            train,
            validation: held,
            loss,
            scale,
            batch: BATCH,
        })
    }

    fn of_forecasts(arguments: &Arguments, data: &Sequences) -> Result<Self> {
        let Arguments { training, seed, .. } = arguments;
        let options = forecast::Options {
            validation: training.validation,
            standardize: !training.no_standardize,
            seed: *seed,
        };
        let series = forecast::Series::new(&arguments.data, data, &options)?;
        let mut network = arguments
            .network
            .build(data.features, data.features, *seed)?;
        network.set_threads(arguments.threads as usize)?;
        network.set_output(Output::All)?;
        // What is learned is the change: the step before is a good forecast to begin with.
        network.add_residual(0)?;
        network.set_standardization(Some(series.standardization))?;
        Ok(Self {
            network,
            batch: (series.train.len() / 8).clamp(2, BATCH),
            train: series.train,
            validation: series.validation,
            loss: Loss::MeanSquaredError,
            class_weights: None,
            scale: None,
        })
    }

    /// Trains, and says how it went.
    fn run(&mut self, arguments: &Arguments) -> Result<String> {
        let options = &arguments.training;
        let fit_options = FitOptions {
            epochs: options.epochs as usize,
            batch_size: options.batch.map_or(self.batch, |batch| batch as usize),
            shuffle: Some(arguments.seed),
            clip: if options.clip > 0.0 {
                Clip::Norm(options.clip)
            } else {
                Clip::None
            },
            validation: self.validation.as_ref(),
            class_weights: self.class_weights.as_deref(),
            early_stopping: self
                .validation
                .is_some()
                .then(|| EarlyStopping::new(options.patience as usize)),
            ..FitOptions::new(self.loss)
        };
        let mut optimizer = Optimizer::new(options.optimizer.rule(), options.rate)?;
        let mut watcher = Watcher::new(options.epochs)?;
        let start = Instant::now();
        let trained = fit_with(
            &mut self.network,
            &self.train,
            &mut optimizer,
            &fit_options,
            &mut watcher,
        );
        watcher.bar.finish_and_clear();
        let progress = trained.map_err(|error| match error {
            elman::Error::NotFinite { .. } => Failure::new(format_args!(
                "training explodes: {error} (a smaller --rate may help)"
            )),
            error => error.into(),
        })?;
        let seconds = start.elapsed().as_secs_f64();
        if let Some(scale) = self.scale {
            scale.undo(&mut self.network)?;
        }
        Ok(watcher.report(&progress, seconds, self.scale))
    }
}

impl Sequences {
    fn part_or_none(&self, indices: &[usize]) -> Result<Option<Dataset>> {
        match indices {
            [] => Ok(None),
            _ => self.part(indices).map(Some),
        }
    }
}

/// Weights by which all classes count for the same: n / (classes * n of the class).
fn balanced(dataset: &Dataset) -> Vec<f32> {
    let mut counts = vec![0_usize; dataset.class_count()];
    for label in (0..dataset.len()).filter_map(|index| dataset.label(index)) {
        counts[label] += 1;
    }
    let total = counts.iter().sum::<usize>() as f64;
    let weight = |&count: &usize| total / (counts.len() as f64 * count.max(1) as f64);
    counts.iter().map(|count| weight(count) as f32).collect()
}
