//! `elman train`

mod scale;
mod tries;
mod watcher;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use elman::dataset::{Dataset, Targets};
use elman::loss::Loss;
use elman::optimizer::Rule;
use elman::train::{Clip, EarlyStopping, FitOptions};
use elman::{Network, Output};

use crate::data::{Sequences, Wanted, fault};
use crate::evaluate;
use crate::failure::{Failure, Result};
use crate::forecast;
use crate::options::{DataOptions, NetworkOptions, below_one, not_negative, positive};
use crate::output::{count, write_to};
use scale::Scale;

/// Sequences for one update, by default and at most.
const BATCH: usize = 16;
/// The part that is held out by default.
pub const HELD_OUT: f64 = 0.15;

/// Train a network on the sequences of a file and save it
///
/// The network tells the class of a sequence or, with --regression, a number or, with --forecast, how it goes on. It
/// standardises its inputs by what it was trained on. Nine networks are trained, with three learning rates from three seeds each;
/// each seed holds out a part of the sequences. A training ends when it gets no better there, and of the best one a mean of its
/// parameters over epochs is saved. Ctrl-C ends training early, too, and saves the best network so far. The same seed gives the
/// same file, bit for bit, whatever the number of threads.
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
    /// Sequences for one update [default: 2 to 16, so that few of them make some updates; 16 with --balanced]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// The optimizer
    #[arg(long, value_enum, default_value_t = Method::Adam)]
    optimizer: Method,
    /// Its learning rate [default: 0.003, 0.01 and 0.001 in turn]
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Networks that are trained, of which the best on what is held out is saved [default: 9, or 1 where nothing is held out]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    tries: Option<u32>,
    /// The largest norm of the gradients of an update; 0: no limit
    #[arg(long, default_value_t = 1.0, value_parser = not_negative)]
    clip: f64,
    /// The part of the sequences that is held out; 0: none [default: 0.15; of forecasts that of 100 sequences and more, or else
    /// the last 0.15 of each sequence of 500 steps and more]
    #[arg(long, value_name = "PART", value_parser = below_one)]
    validation: Option<f64>,
    /// Epochs without a better one on what is held out, after which training ends
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    patience: u32,
    /// Let rare classes count for as much as frequent ones
    #[arg(long, conflicts_with = "regression")]
    balanced: bool,
    /// Save the parameters of the best epoch, not a mean of those of some epochs
    #[arg(long)]
    no_average: bool,
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
    // Before anything is said: what is wrong with the data, or with the options for them.
    let (network, training) = Training::new(arguments, &data, arguments.seed)?;
    let tries = training.tries(arguments)?;
    say(&format!("data     {}", data.describe()))?;
    say(&format!("network  {}", crate::info::summary(&network)))?;
    drop((network, training));
    let (network, report) = tries::run(arguments, &data, tries)?;
    say(&format!("trained  {report}"))?;
    network.save(&arguments.output)?;
    say(&format!("saved    {}", arguments.output.display()))?;
    if let (Some(test), Some(path)) = (&test, &arguments.test) {
        let measured = evaluate::Measured::of(path, &network, test, 1)?;
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

/// What a network is trained on.
struct Training {
    train: Dataset,
    validation: Option<Dataset>,
    loss: Loss,
    class_weights: Option<Vec<f32>>,
    /// That of the numbers to tell.
    scale: Option<Scale>,
}

impl Training {
    /// A network and what to train it on: the seed says what its parameters are, and what is held out.
    fn new(arguments: &Arguments, data: &Sequences, seed: u64) -> Result<(Network, Self)> {
        match arguments.forecast {
            true => Self::of_forecasts(arguments, data, seed),
            false => Self::of_targets(arguments, data, seed),
        }
    }

    fn of_targets(arguments: &Arguments, data: &Sequences, seed: u64) -> Result<(Network, Self)> {
        let training = &arguments.training;
        let (train, held) = data.split(training.validation.unwrap_or(HELD_OUT), seed);
        if training.validation.is_some_and(|part| part > 0.0) && held.is_empty() {
            return Err(fault(
                &arguments.data,
                "no class has 2 sequences, expected one to train on and one to hold out",
            ));
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
        let mut network = arguments.network.build(data.features, outputs, seed)?;
        if let Targets::Classes { names, .. } = &data.targets {
            network.set_class_names(names)?;
        }
        if !training.no_standardize {
            network.set_standardization(Some(train.standardization()?))?;
        }
        let training = Self {
            class_weights: training.balanced.then(|| balanced(&train)),
            train,
            validation: held,
            loss,
            scale,
        };
        Ok((network, training))
    }

    fn of_forecasts(arguments: &Arguments, data: &Sequences, seed: u64) -> Result<(Network, Self)> {
        let training = &arguments.training;
        let options = forecast::Options {
            validation: training.validation,
            standardize: !training.no_standardize,
            seed,
        };
        let series = forecast::Series::new(&arguments.data, data, &options)?;
        let mut network = arguments
            .network
            .build(data.features, data.features, seed)?;
        network.set_output(Output::All)?;
        // What is learned is the change: the step before is a good forecast to begin with.
        network.add_residual(0)?;
        network.set_standardization(Some(series.standardization))?;
        let training = Self {
            train: series.train,
            validation: series.validation,
            loss: Loss::MeanSquaredError,
            class_weights: None,
            scale: None,
        };
        Ok((network, training))
    }

    /// How many trainings there are.
    fn tries(&self, arguments: &Arguments) -> Result<usize> {
        match (arguments.training.tries, &self.validation) {
            (None, None) | (Some(1), _) => Ok(1),
            (None, Some(_)) => Ok(tries::DEFAULT),
            (Some(tries), Some(_)) => Ok(tries as usize),
            (Some(tries), None) => {
                let message = format!(
                    "nothing is held out to compare {} by, expected --tries 1 or --validation above 0",
                    count(tries as usize, "training")
                );
                Err(fault(&arguments.data, message))
            }
        }
    }

    /// How a network is trained, whose order of sequences starts from this seed.
    fn options(&self, options: &TrainingOptions, seed: u64) -> FitOptions<'_> {
        FitOptions {
            epochs: options.epochs as usize,
            batch_size: match (options.batch, &self.class_weights) {
                (Some(batch), _) => batch as usize,
                // The loss is a mean by the weights of its batch: where all are of one class, these say nothing.
                (None, Some(_)) => BATCH,
                (None, None) => (self.train.len() / 8).clamp(2, BATCH),
            },
            shuffle: Some(seed),
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
            average: !options.no_average,
            ..FitOptions::new(self.loss)
        }
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
