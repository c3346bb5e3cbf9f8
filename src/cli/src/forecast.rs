//! Networks that tell each step of a sequence from those before it.

use std::path::Path;

use elman::dataset::{Dataset, Standardization, Targets};
use elman::{LayerKind, Network, Output, Session};

use crate::data::{Sequences, fault};
use crate::failure::Result;
use crate::output::count;
use crate::train::HELD_OUT;

/// Longer sequences are cut into parts of so many steps for training, half of which overlap.
const WINDOW: usize = 128;
/// From so many sequences on, a part of them is held out by default.
const ENOUGH_TO_HOLD_OUT: usize = 100;
/// From so many steps on, the last part of each sequence is held out by default: of shorter ones forecasts need it too much.
const ENOUGH_STEPS: usize = 500;

/// Whether a network is one of these: its outputs are those of all steps, and are added to its inputs.
fn is_forecaster(network: &Network) -> bool {
    let adds_input = network
        .layers()
        .last()
        .is_some_and(|layer| layer.kind == LayerKind::Residual { layer: 0 });
    adds_input && network.output() == Output::All && network.standardization().is_some()
}

/// The steps that a forecaster is to tell; None of another network.
///
/// # Errors
/// Where another network is to tell steps.
pub fn horizon(network: &Network, path: &Path, horizon: Option<u32>) -> Result<Option<usize>> {
    match (is_forecaster(network), horizon) {
        (true, horizon) => Ok(Some(horizon.unwrap_or(1) as usize)),
        (false, None) => Ok(None),
        (false, Some(_)) => Err(fault(
            path,
            "--horizon: the network does not forecast, expected one of `train --forecast`",
        )),
    }
}

/// What a forecaster is trained on.
pub struct Series {
    pub standardization: Standardization<f32>,
    pub train: Dataset,
    pub validation: Option<Dataset>,
}

/// Steps of one sequence, counted over all sequences. What follows the steps from `first` on is to be told.
#[derive(Clone, Copy)]
struct Range {
    begin: usize,
    end: usize,
    first: usize,
}

impl Range {
    /// The range in parts of at most [`WINDOW`] steps, each of which has a next one.
    fn parts(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut begin = self.begin;
        loop {
            let end = (begin + WINDOW).min(self.end - 1);
            if end > begin.max(self.first) {
                let first = self.first.max(begin);
                parts.push(Self { begin, end, first });
            }
            if end == self.end - 1 {
                return parts;
            }
            begin += WINDOW / 2;
        }
    }
}

impl Series {
    /// Holds out a fraction of the sequences or, where they are few, the last part of each.
    pub fn new(path: &Path, data: &Sequences, options: &Options) -> Result<Self> {
        let ranges = ranges(data);
        let shortest = data.lengths.iter().copied().min().unwrap_or(0);
        if shortest < 2 {
            let message = format!(
                "a sequence has {}, expected 2 or more",
                count(shortest, "step")
            );
            return Err(fault(path, message));
        }
        let is_many = data.len() >= ENOUGH_TO_HOLD_OUT;
        let fraction = options
            .validation
            .unwrap_or(match is_many || shortest >= ENOUGH_STEPS {
                true => HELD_OUT,
                false => 0.0,
            });
        let (train, held) = match fraction {
            0.0 => (ranges, Vec::new()),
            _ if is_many => {
                let (train, held) = data.split(fraction, options.seed);
                let take =
                    |indices: Vec<usize>| indices.iter().map(|&index| ranges[index]).collect();
                (take(train), take(held))
            }
            _ => ranges
                .iter()
                .map(|range| last_part(range, fraction))
                .unzip(),
        };
        let standardization = match options.standardize {
            true => measured(data, &train)?,
            false => Standardization::new(vec![0.0; data.features], vec![1.0; data.features])?,
        };
        let mut scaled = data.x.clone();
        standardization.apply(&mut scaled)?;
        let expected = "no two steps are left to train on, expected longer sequences or a smaller part to hold out";
        let train = next_steps(data, &scaled, &train)?.ok_or_else(|| fault(path, expected))?;
        Ok(Self {
            standardization,
            validation: next_steps(data, &scaled, &held)?,
            train,
        })
    }
}

/// What is held out, and how.
pub struct Options {
    pub validation: Option<f64>,
    pub standardize: bool,
    pub seed: u64,
}

/// All steps of each sequence.
fn ranges(data: &Sequences) -> Vec<Range> {
    let ends = data.lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    let of_end = |(end, length): (usize, &usize)| Range {
        begin: end - length,
        end,
        first: end - length,
    };
    ends.zip(&data.lengths).map(of_end).collect()
}

/// A range without its last part, and that part, with steps before it that are known.
fn last_part(range: &Range, fraction: f64) -> (Range, Range) {
    let steps = range.end - range.begin;
    let cut = range.end - ((steps as f64 * fraction).round() as usize).clamp(1, steps - 1);
    let context = (cut - range.begin).min(WINDOW / 2);
    let held = Range {
        begin: cut - context,
        end: range.end,
        first: cut - 1,
    };
    (Range { end: cut, ..*range }, held)
}

fn measured(data: &Sequences, ranges: &[Range]) -> Result<Standardization<f32>> {
    let features = data.features;
    let x = ranges
        .iter()
        .flat_map(|range| &data.x[range.begin * features..range.end * features]);
    let lengths: Vec<usize> = ranges.iter().map(|range| range.end - range.begin).collect();
    let dataset = Dataset::new(features, x.copied().collect(), &lengths, Targets::None)?;
    Ok(dataset.standardization()?)
}

/// A data set of the parts of ranges, whose targets are the steps that follow; None where no step does.
fn next_steps(data: &Sequences, scaled: &[f32], ranges: &[Range]) -> Result<Option<Dataset>> {
    let features = data.features;
    let parts: Vec<Range> = ranges.iter().flat_map(|range| range.parts()).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let (mut x, mut values) = (Vec::new(), Vec::new());
    for part in &parts {
        x.extend(&data.x[part.begin * features..part.end * features]);
        for step in part.begin..part.end {
            let next = &scaled[(step + 1) * features..(step + 2) * features];
            let is_target = step >= part.first;
            values.extend(
                next.iter()
                    .map(|&value| if is_target { value } else { f32::NAN }),
            );
        }
    }
    let lengths: Vec<usize> = parts.iter().map(|part| part.end - part.begin).collect();
    let targets = Targets::Values {
        size: features,
        per_step: true,
        values,
    };
    Ok(Some(Dataset::new(features, x, &lengths, targets)?))
}

/// What follows each sequence when its last `hidden` steps are left out: `[sequences][horizon][features]`. Each step is told
/// from those before it, which are forecasts themselves but for what is known.
pub fn forecast(
    path: &Path,
    network: &Network,
    data: &Sequences,
    hidden: usize,
    horizon: usize,
) -> Result<Vec<f32>> {
    let features = data.features;
    let mut session = Session::new(network)?;
    let mut forecasts = Vec::new();
    for Range { begin, end, .. } in ranges(data) {
        let steps = (end - begin).saturating_sub(hidden);
        if steps == 0 {
            let message = format!(
                "a sequence has {}, expected more than {hidden}",
                count(end - begin, "step")
            );
            return Err(fault(path, message));
        }
        let known = &data.x[begin * features..(begin + steps) * features];
        let mut outputs = vec![0.0; known.len()];
        session.reset();
        session.run(known, steps, &mut outputs)?;
        let mut step = outputs.split_off(outputs.len() - features);
        for index in 0..horizon {
            if index > 0 {
                let last = &forecasts[forecasts.len() - features..];
                session.step(last, &mut step)?;
            }
            // What the network tells is standardised as its inputs are.
            if let Some(standardization) = network.standardization() {
                let moments = standardization
                    .mean()
                    .iter()
                    .zip(standardization.deviation());
                for (value, (mean, deviation)) in step.iter_mut().zip(moments) {
                    *value = *value * deviation + mean;
                }
            }
            forecasts.extend(&step);
        }
    }
    Ok(forecasts)
}
