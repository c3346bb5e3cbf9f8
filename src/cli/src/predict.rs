//! `elman predict`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use elman::Output;
use elman::loss::softmax;
use elman::train::predict;
use serde_json::{Map, Value, json};

use crate::data::{Sequences, Wanted};
use crate::evaluate::BATCH;
use crate::failure::Result;
use crate::forecast::{forecast, horizon};
use crate::options::{RunOptions, class_names, load};
use crate::output::write_to;
use crate::train::expect_features;

/// Run a network on the sequences of a file
///
/// For each sequence: the class and the probabilities of all classes or, of a network without class names, its outputs. Of a
/// network that gives the outputs of all steps, for each step; of a forecaster, the steps that follow. Targets in the file are
/// not looked at.
#[derive(Args)]
pub struct Arguments {
    /// The network
    model: PathBuf,
    /// The sequences: .ts, .csv, .tsv or .npz
    data: PathBuf,
    /// The file to write to, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write JSON, a line for each row, instead of CSV
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    running: RunOptions,
}

/// Outputs, and what they stand for.
struct Predictions {
    /// Of classes, if they are such.
    names: Vec<String>,
    /// Outputs of a row.
    width: usize,
    /// Probabilities, or else the outputs themselves.
    values: Vec<f32>,
    /// The sequence of each row and, where there is one for each step, its step.
    rows: Vec<(String, Option<usize>)>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let running = &arguments.running;
    let network = load(&arguments.model, running.threads)?;
    let horizon = horizon(&network, &arguments.model, running.horizon)?;
    let wanted = horizon.map_or(Wanted::Nothing, |_| Wanted::Following);
    let data = Sequences::read(&arguments.data, &running.reading, wanted)?;
    expect_features(&arguments.data, &data, network.input_size())?;
    let names = class_names(&network);
    let width = network.output_size();
    let mut values = match horizon {
        Some(horizon) => forecast(&arguments.data, &network, &data, 0, horizon)?,
        None => predict(&network, &data.dataset()?, BATCH)?,
    };
    if !names.is_empty() {
        let logits = values.clone();
        softmax(&logits, width, &mut values)?;
    }
    let mut rows = Vec::new();
    for (id, &length) in data.ids.iter().zip(&data.lengths) {
        match (network.output(), horizon) {
            (Output::Last, _) => rows.push((id.clone(), None)),
            (Output::All, None) => rows.extend((0..length).map(|step| (id.clone(), Some(step)))),
            // Counted on from the steps that are known.
            (Output::All, Some(horizon)) => {
                rows.extend((length..length + horizon).map(|step| (id.clone(), Some(step))));
            }
        }
    }
    let predictions = Predictions {
        names,
        width,
        values,
        rows,
    };
    write_to(arguments.output.as_deref(), |out| match arguments.json {
        true => predictions.write_json(out),
        false => predictions.write_csv(out),
    })
}

impl Predictions {
    fn each(&self) -> impl Iterator<Item = (&str, Option<usize>, &[f32])> {
        let rows = self.rows.iter().zip(self.values.chunks(self.width));
        rows.map(|((id, step), values)| (&**id, *step, values))
    }

    /// The name of the class of the largest value; None where there are no classes.
    fn class(&self, values: &[f32]) -> Option<&str> {
        // The first one of equals, as the library has it.
        let largest = (0..values.len())
            .rev()
            .max_by(|&a, &b| values[a].total_cmp(&values[b]))?;
        self.names.get(largest).map(|name| &**name)
    }

    /// The names of the values.
    fn columns(&self) -> Vec<String> {
        match (&self.names[..], self.width) {
            ([], 1) => vec!["value".to_owned()],
            ([], width) => (0..width).map(|index| format!("value{index}")).collect(),
            (names, _) => names.iter().map(|name| format!("p({name})")).collect(),
        }
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        let has_steps = self.rows.iter().any(|(_, step)| step.is_some());
        let mut header = vec!["id".to_owned()];
        header.extend(has_steps.then(|| "step".to_owned()));
        header.extend((!self.names.is_empty()).then(|| "class".to_owned()));
        header.extend(self.columns());
        csv.write_record(&header).map_err(io_error)?;
        for (id, step, values) in self.each() {
            let mut record = vec![id.to_owned()];
            record.extend(step.map(|step| step.to_string()));
            record.extend(self.class(values).map(str::to_owned));
            record.extend(values.iter().map(f32::to_string));
            csv.write_record(&record).map_err(io_error)?;
        }
        csv.flush()
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        for (id, step, values) in self.each() {
            let mut object = Map::new();
            object.insert("id".to_owned(), id.into());
            if let Some(step) = step {
                object.insert("step".to_owned(), step.into());
            }
            match self.class(values) {
                Some(class) => {
                    let named = self
                        .names
                        .iter()
                        .zip(values)
                        .map(|(name, &value)| (name.clone(), json!(value)));
                    object.insert("class".to_owned(), class.into());
                    object.insert("probabilities".to_owned(), Value::Object(named.collect()));
                }
                None => _ = object.insert("values".to_owned(), json!(values)),
            }
            writeln!(out, "{}", Value::Object(object))?;
        }
        Ok(())
    }
}

/// The error that writing has ended with: a pipe that is closed must be known as such.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
