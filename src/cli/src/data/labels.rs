//! Targets as files name them.

use std::fmt::{self, Display};
use std::path::Path;

use elman::dataset::Targets;
use elman::loss::NO_LABEL;

use super::fault;
use crate::failure::Result;

/// What targets are to be.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// None: they are not looked at.
    Nothing,
    /// None: how sequences go on is what is asked.
    Following,
    /// Classes, all those that there are; numbers where the file says so.
    Classes,
    /// Classes that are among these.
    Known(&'a [String]),
    Numbers,
}

impl Wanted<'_> {
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Nothing | Self::Following => "nothing",
            Self::Classes | Self::Known(_) => "classes",
            Self::Numbers => "numbers",
        }
    }
}

/// The target of a sequence.
pub struct Label {
    pub text: String,
    place: Place,
}

/// Where a target is in its file.
enum Place {
    Line(u64),
    /// Of an array.
    Item(usize),
}

impl Label {
    pub fn of_line(text: &str, line: u64) -> Self {
        Self {
            text: text.to_owned(),
            place: Place::Line(line),
        }
    }

    pub fn of_item(text: String, index: usize) -> Self {
        Self {
            text,
            place: Place::Item(index),
        }
    }

    fn fault(&self, path: &Path, expected: impl Display) -> crate::failure::Failure {
        let text = &self.text;
        match self.place {
            Place::Line(line) => super::csv::fault_at(
                path,
                line,
                format_args!("the target is {text:?}, {expected}"),
            ),
            Place::Item(index) => fault(
                path,
                format_args!("the target of sequence {index} is {text:?}, {expected}"),
            ),
        }
    }
}

/// The name of a class: a whole number is written as one, whether the file has `1`, `1.0` or `1e0`.
fn class_name(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number)
            if text.contains(['.', 'e', 'E']) && number.fract() == 0.0 && number.abs() < 1e15 =>
        {
            format!("{}", number as i64)
        }
        _ => text.to_owned(),
    }
}

/// The targets of sequences, None for one that has none.
pub fn targets(path: &Path, labels: &[Option<Label>], wanted: Wanted) -> Result<Targets<f32>> {
    match wanted {
        Wanted::Nothing | Wanted::Following => Ok(Targets::None),
        Wanted::Numbers => numbers(path, labels),
        Wanted::Classes => {
            let names = names(path, labels)?;
            classes(path, labels, &names)
        }
        Wanted::Known(names) => classes(path, labels, names),
    }
}

fn numbers(path: &Path, labels: &[Option<Label>]) -> Result<Targets<f32>> {
    let value = |label: &Option<Label>| match label {
        None => Ok(f32::NAN),
        Some(label) => match label.text.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(label.fault(path, "expected a number")),
        },
    };
    Ok(Targets::Values {
        size: 1,
        per_step: false,
        values: labels.iter().map(value).collect::<Result<_>>()?,
    })
}

/// The classes that there are, in the order of their numbers, if they are such, else of their names.
fn names(path: &Path, labels: &[Option<Label>]) -> Result<Vec<String>> {
    let fraction = |label: &&Label| {
        label
            .text
            .parse::<f64>()
            .is_ok_and(|number| number.fract() != 0.0)
    };
    if let Some(label) = labels.iter().flatten().find(fraction) {
        return Err(label.fault(
            path,
            "expected the name or the number of a class (--regression is for numbers)",
        ));
    }
    let mut names: Vec<String> = labels
        .iter()
        .flatten()
        .map(|label| class_name(&label.text))
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(fault(path, "no sequence has a target, expected classes"));
    }
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
        names = order
            .into_iter()
            .map(|index| names[index].clone())
            .collect();
    }
    Ok(names)
}

fn classes(path: &Path, labels: &[Option<Label>], names: &[String]) -> Result<Targets<f32>> {
    let number = |label: &Option<Label>| {
        let Some(label) = label else {
            return Ok(NO_LABEL);
        };
        let name = class_name(&label.text);
        let found = names
            .iter()
            .position(|known| *known == label.text || class_name(known) == name);
        found.ok_or_else(|| {
            label.fault(
                path,
                format_args!("expected one of the classes {}", List(names)),
            )
        })
    };
    Ok(Targets::Classes {
        labels: labels.iter().map(number).collect::<Result<_>>()?,
        names: names.to_vec(),
    })
}

/// Names in a message: the first ones, where there are many.
pub struct List<'a>(pub &'a [String]);

impl Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const SHOWN: usize = 8;
        let shown = &self.0[..self.0.len().min(SHOWN)];
        f.write_str(&shown.join(", "))?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
