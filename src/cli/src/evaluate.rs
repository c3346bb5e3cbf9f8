//! `elman evaluate`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use elman::Network;
use elman::dataset::Targets;
use elman::loss::Loss;
use elman::train::{self, predict};
use serde_json::json;

use crate::data::{Sequences, Wanted};
use crate::failure::Result;
use crate::forecast::{forecast, horizon};
use crate::options::{RunOptions, class_names, expect_last_output, load};
use crate::output::{Table, count, write_to};
use crate::train::expect_features;

/// Sequences that are run at once. Results don't depend on it.
pub const BATCH: usize = 64;

/// Measure a network on the sequences of a file
///
/// Of classes: accuracy, recall and precision of each, and how often each was taken for which. Of numbers: RMSE, MAE and R2.
#[derive(Args)]
pub struct Arguments {
    /// The network
    model: PathBuf,
    /// The sequences: .ts, .csv, .tsv or .npz
    data: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: RunOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let running = &arguments.running;
    let network = load(&arguments.model, running.threads)?;
    let horizon = horizon(&network, &arguments.model, running.horizon)?;
    let names = class_names(&network);
    let wanted = match horizon {
        Some(_) => Wanted::Following,
        None if names.is_empty() => Wanted::Numbers,
        None => Wanted::Known(&names),
    };
    if horizon.is_none() {
        expect_last_output(&network, &arguments.model)?;
    }
    let data = Sequences::read(&arguments.data, &running.reading, wanted)?;
    expect_features(&arguments.data, &data, network.input_size())?;
    let measured = Measured::of(&arguments.data, &network, &data, horizon.unwrap_or(1))?;
    write_to(None, |out| match arguments.json {
        true => writeln!(out, "{:#}", measured.json()),
        false => measured.write(out),
    })
}

/// How well a network does.
pub enum Measured {
    Classes {
        names: Vec<String>,
        loss: f64,
        /// `[classes][classes]`: the class, then what it was taken for.
        confusion: Vec<usize>,
    },
    Numbers {
        count: usize,
        rmse: f64,
        mae: f64,
        r2: f64,
    },
}

impl Measured {
    /// Measures a network on the sequences that have a target; a forecaster on the last `horizon` steps of each.
    pub fn of(path: &Path, network: &Network, data: &Sequences, horizon: usize) -> Result<Self> {
        let dataset = data.dataset()?;
        match &data.targets {
            Targets::Classes { .. } => {
                let loss = Loss::SoftmaxCrossEntropy { ignored: None };
                let evaluation = train::evaluate(network, &dataset, loss, BATCH)?;
                Ok(Self::Classes {
                    names: class_names(network),
                    loss: evaluation.score.loss,
                    confusion: evaluation.confusion,
                })
            }
            Targets::Values { values, .. } => {
                Ok(Self::numbers(values, &predict(network, &dataset, BATCH)?))
            }
            _ => {
                let forecasts = forecast(path, network, data, horizon, horizon)?;
                let last = |index| {
                    let steps = dataset.sequence(index);
                    &steps[steps.len() - horizon * data.features..]
                };
                let values: Vec<f32> = (0..data.len()).flat_map(last).copied().collect();
                Ok(Self::numbers(&values, &forecasts))
            }
        }
    }

    /// Compares numbers with what they should be, which is NaN where it is not known.
    fn numbers(values: &[f32], outputs: &[f32]) -> Self {
        let pairs = values
            .iter()
            .zip(outputs)
            .map(|(&value, &output)| (f64::from(value), f64::from(output)));
        let pairs: Vec<(f64, f64)> = pairs.filter(|(value, _)| !value.is_nan()).collect();
        let count = pairs.len() as f64;
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let middle = mean(&|(value, _)| *value);
        let error = mean(&|(value, output)| (value - output).powi(2));
        Self::Numbers {
            count: pairs.len(),
            rmse: error.sqrt(),
            mae: mean(&|(value, output)| (value - output).abs()),
            r2: 1.0 - error / mean(&|(value, _)| (value - middle).powi(2)),
        }
    }

    /// One line.
    pub fn summary(&self) -> String {
        match self {
            Self::Classes {
                loss, confusion, ..
            } => {
                let (right, total) = (hits(confusion), confusion.iter().sum::<usize>());
                format!(
                    "accuracy {:.4}, {right} of {}; loss {loss:.4}",
                    ratio(right, total),
                    count(total, "sequence")
                )
            }
            Self::Numbers {
                count: n,
                rmse,
                mae,
                r2,
            } => {
                format!(
                    "RMSE {rmse:.4}, MAE {mae:.4}, R2 {r2:.4}; {}",
                    count(*n, "number")
                )
            }
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.summary())?;
        let Self::Classes {
            names, confusion, ..
        } = self
        else {
            return Ok(());
        };
        let classes = names.len();
        let mut table = Table::new(["class", "recall", "precision", "sequences"]);
        for (class, name) in names.iter().enumerate() {
            let (recall, precision) = rates(confusion, classes, class);
            let of = confusion[class * classes..][..classes]
                .iter()
                .sum::<usize>();
            table.push([
                name.clone(),
                format!("{recall:.4}"),
                format!("{precision:.4}"),
                of.to_string(),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
        let mut table = Table::new(
            ["class"]
                .into_iter()
                .chain(names.iter().map(|name| &**name)),
        );
        for (class, name) in names.iter().enumerate() {
            let row = confusion[class * classes..][..classes]
                .iter()
                .map(usize::to_string);
            table.push(std::iter::once(name.clone()).chain(row));
        }
        writeln!(
            out,
            "\nhow often the class of a row was taken for that of a column"
        )?;
        table.write(out)
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Classes {
                names,
                loss,
                confusion,
            } => {
                let classes = names.len();
                let each = |index: usize| {
                    (0..classes)
                        .map(|class| {
                            let (recall, precision) = rates(confusion, classes, class);
                            [recall, precision][index]
                        })
                        .collect::<Vec<_>>()
                };
                let total = confusion.iter().sum::<usize>();
                json!({
                    "sequences": total,
                    "accuracy": ratio(hits(confusion), total),
                    "loss": loss,
                    "classes": names,
                    "recall": each(0),
                    "precision": each(1),
                    "confusion": confusion.chunks(classes).collect::<Vec<_>>(),
                })
            }
            Self::Numbers {
                count,
                rmse,
                mae,
                r2,
            } => {
                json!({"numbers": count, "rmse": rmse, "mae": mae, "r2": r2})
            }
        }
    }
}

/// Those on the diagonal.
fn hits(confusion: &[usize]) -> usize {
    let classes = confusion.len().isqrt();
    confusion.iter().step_by(classes + 1).sum()
}

/// Recall and precision of a class.
fn rates(confusion: &[usize], classes: usize, class: usize) -> (f64, f64) {
    let right = confusion[class * classes + class];
    let of = confusion[class * classes..][..classes].iter().sum();
    let taken = confusion[class..].iter().step_by(classes).sum();
    (ratio(right, of), ratio(right, taken))
}

/// NaN of nothing.
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
