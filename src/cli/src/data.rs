//! Files of sequences: `.ts`, CSV and `.npz`.

mod csv;
mod gaps;
mod labels;
mod npz;

use std::fs;
use std::path::{Path, PathBuf};

use elman::dataset::{Dataset, MissingValues, Targets, TsOptions};
use elman::init::{Rng, shuffle};

use crate::failure::{Failure, Result};
use crate::options::{DataOptions, Missing};
use labels::Label;
pub use labels::Wanted;

/// Sequences of a file, and their targets.
pub struct Sequences {
    path: PathBuf,
    /// What the file calls each, or its number from 0.
    pub ids: Vec<String>,
    pub features: usize,
    /// `[total_steps][features]`
    pub x: Vec<f32>,
    pub lengths: Vec<usize>,
    pub targets: Targets<f32>,
    /// What the file says of itself that is not so.
    pub notes: Vec<String>,
}

impl Sequences {
    /// Reads a file, whose kind its name tells.
    pub fn read(path: &Path, options: &DataOptions, wanted: Wanted) -> Result<Self> {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let sequences = match &*extension {
            "ts" => read_ts(path, options, wanted),
            "csv" | "tsv" => csv::read(path, options, wanted),
            "npz" => npz::read(path, options, wanted),
            _ => Err(fault(
                path,
                "a file of this kind can't be read, expected .ts, .csv, .tsv or .npz",
            )),
        }?;
        for note in &sequences.notes {
            eprintln!("{}: {note}", path.display());
        }
        Ok(sequences)
    }

    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// All sequences as a data set.
    pub fn dataset(&self) -> Result<Dataset> {
        self.part(&(0..self.len()).collect::<Vec<_>>())
    }

    /// Some sequences as a data set.
    pub fn part(&self, indices: &[usize]) -> Result<Dataset> {
        let mut offsets = vec![0];
        offsets.extend(self.lengths.iter().scan(0, |end, length| {
            *end += length * self.features;
            Some(*end)
        }));
        let x = indices
            .iter()
            .flat_map(|&index| &self.x[offsets[index]..offsets[index + 1]]);
        let lengths: Vec<usize> = indices.iter().map(|&index| self.lengths[index]).collect();
        let targets = match &self.targets {
            Targets::Classes { labels, names } => Targets::Classes {
                labels: indices.iter().map(|&index| labels[index]).collect(),
                names: names.clone(),
            },
            Targets::Values { values, .. } => Targets::Values {
                size: 1,
                per_step: false,
                values: indices.iter().map(|&index| values[index]).collect(),
            },
            _ => Targets::None,
        };
        let dataset = Dataset::new(self.features, x.copied().collect(), &lengths, targets);
        dataset.map_err(|error| fault(&self.path, error))
    }

    /// Puts the sequences in two parts by the seed: those to train on, and the fraction that is held out. Of each class its
    /// share is held out, but one at least and not all: of a class of one sequence none.
    pub fn split(&self, fraction: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        shuffle(&mut order, &mut Rng::new(seed));
        let class = |index: usize| match &self.targets {
            Targets::Classes { labels, .. } => labels[index],
            _ => 0,
        };
        order.sort_by_key(|&index| class(index));
        let (mut train, mut held) = (Vec::new(), Vec::new());
        for same in order.chunk_by(|&one, &next| class(one) == class(next)) {
            let share = match fraction {
                0.0 => 0,
                _ => (same.len() as f64 * fraction).round().max(1.0) as usize,
            };
            let (first, others) = same.split_at(share.min(same.len() - 1));
            held.extend(first);
            train.extend(others);
        }
        train.sort_unstable();
        held.sort_unstable();
        (train, held)
    }

    /// What there is, in words.
    pub fn describe(&self) -> String {
        use crate::output::count;
        let (shortest, longest) = (self.lengths.iter().min(), self.lengths.iter().max());
        let steps = match (shortest, longest) {
            (Some(shortest), Some(longest)) if shortest != longest => {
                format!("{shortest} to {longest} steps")
            }
            (_, longest) => count(longest.copied().unwrap_or(0), "step"),
        };
        let targets = match &self.targets {
            Targets::Classes { names, .. } => format!(", {}", count(names.len(), "class")),
            _ => String::new(),
        };
        format!(
            "{} of {steps}, {}{targets}",
            count(self.len(), "sequence"),
            count(self.features, "feature")
        )
    }
}

/// What is wrong with a file.
pub fn fault(path: &Path, message: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("{}: {message}", path.display()))
}

/// The contents of a file.
fn contents(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| fault(path, error))
}

fn read_ts(path: &Path, options: &DataOptions, wanted: Wanted) -> Result<Sequences> {
    let mut ts = TsOptions::default();
    ts.missing = match options.missing {
        Missing::Error => MissingValues::Error,
        Missing::Carry => MissingValues::Carry,
        Missing::Linear => MissingValues::Linear,
    };
    let dataset = Dataset::<f32>::read_ts_with(path, &ts)?;
    let targets = match (wanted, dataset.targets()) {
        (Wanted::Nothing | Wanted::Following, _) => Targets::None,
        (Wanted::Classes, targets) => targets.clone(),
        (Wanted::Known(_), Targets::Classes { .. }) => {
            let label = |index: usize| {
                let class = dataset.label(index)?;
                Some(Label::of_item(dataset.class_names()[class].clone(), index))
            };
            let labels: Vec<_> = (0..dataset.len()).map(label).collect();
            labels::targets(path, &labels, wanted)?
        }
        (Wanted::Numbers, targets @ Targets::Values { .. }) => targets.clone(),
        (Wanted::Known(_) | Wanted::Numbers, targets) => {
            let has = match targets {
                Targets::Classes { .. } => "classes",
                Targets::Values { .. } => "numbers",
                _ => "nothing",
            };
            return Err(fault(
                path,
                format_args!("the targets are {has}, expected {}", wanted.describe()),
            ));
        }
    };
    Ok(Sequences {
        path: path.to_owned(),
        ids: (0..dataset.len()).map(|index| index.to_string()).collect(),
        features: dataset.input_size(),
        x: (0..dataset.len())
            .flat_map(|index| dataset.sequence(index))
            .copied()
            .collect(),
        lengths: (0..dataset.len())
            .map(|index| dataset.length(index))
            .collect(),
        targets,
        notes: dataset.notes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_class_its_share_is_held_out_but_one_at_least_and_not_all() {
        // 20 of class 0, 3 of class 1, one of class 2.
        let labels: Vec<usize> = [vec![0; 20], vec![1; 3], vec![2]].concat();
        let sequences = Sequences {
            path: PathBuf::new(),
            ids: Vec::new(),
            features: 1,
            x: vec![0.0; 24],
            lengths: vec![1; 24],
            targets: Targets::numbered_classes(labels.clone(), 3).unwrap(),
            notes: Vec::new(),
        };
        let parts = |seed| sequences.split(0.15, seed);
        for seed in 0..5 {
            let (train, held) = parts(seed);
            let classes: Vec<usize> = held.iter().map(|&index| labels[index]).collect();
            assert_eq!(classes, [0, 0, 0, 1]);
            let mut all = [train, held].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..24));
        }
        assert_ne!(parts(0), parts(1));
        assert!(sequences.split(0.0, 0).1.is_empty());
    }
}
