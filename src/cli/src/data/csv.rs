//! CSV files, long or wide.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::labels::{self, Label, List};
use super::{Sequences, Wanted, contents, fault, gaps};
use crate::failure::{Failure, Result};
use crate::options::{DataOptions, Layout, Missing};

/// The columns that have targets, where none is named.
const TARGETS: [&str; 3] = ["label", "target", "class"];

/// What is wrong at a line.
pub fn fault_at(path: &Path, line: u64, message: impl Display) -> Failure {
    Failure::new(format_args!("{}:{line}: {message}", path.display()))
}

/// A file that is being read.
struct File<'a> {
    path: &'a Path,
    options: &'a DataOptions,
    wanted: Wanted<'a>,
    header: Vec<String>,
    rows: Vec<StringRecord>,
}

/// Reads a CSV file.
pub fn read(path: &Path, options: &DataOptions, wanted: Wanted) -> Result<Sequences> {
    let bytes = contents(path)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(&bytes))
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(&*bytes);
    let rows: std::result::Result<Vec<StringRecord>, _> = reader.records().collect();
    let mut rows = rows.map_err(|error| fault(path, error))?;
    let Some(first) = rows.first() else {
        return Err(fault(path, "the file is empty, expected a header and rows"));
    };
    let is_value = |field: &str| is_missing(field) || field.parse::<f64>().is_ok();
    let header = match first.iter().all(is_value) {
        // As the UCR archive has them: the class, then the series.
        true => Vec::new(),
        false => rows.remove(0).iter().map(str::to_owned).collect(),
    };
    let file = File {
        path,
        options,
        wanted,
        header,
        rows,
    };
    if file.rows.is_empty() {
        return Err(fault(
            path,
            "there are no rows, expected some below the header",
        ));
    }
    let layout = match options.layout {
        Some(layout) => layout,
        None if file.column(&options.id).is_some() => Layout::Long,
        None if matches!(wanted, Wanted::Following) => Layout::Series,
        None => Layout::Wide,
    };
    match layout {
        Layout::Long => file.long(Some(file.expect_column(&options.id)?)),
        Layout::Series => file.long(None),
        Layout::Wide => file.wide(),
    }
}

/// The one of comma, semicolon and tab that the first line has most of.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // The last one of equals.
    b"\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

fn is_missing(field: &str) -> bool {
    ["", "?", "nan", "na"]
        .iter()
        .any(|mark| field.eq_ignore_ascii_case(mark))
}

/// What the sequence of a row is called; where there is no column for that, there is one sequence.
fn id_of(row: &StringRecord, column: Option<usize>) -> &str {
    column.map_or("0", |column| &row[column])
}

fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

impl File<'_> {
    /// The place of a column.
    fn column(&self, name: &str) -> Option<usize> {
        self.header
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
    }

    /// # Errors
    /// Where there is no such column.
    fn expect_column(&self, name: &str) -> Result<usize> {
        self.column(name)
            .ok_or_else(|| match self.header.is_empty() {
                true => fault_at(
                    self.path,
                    1,
                    format_args!("there is no header, expected one with a column {name:?}"),
                ),
                false => {
                    let message =
                        format!("there is no column {name:?}, only {}", List(&self.header));
                    fault_at(self.path, 1, message)
                }
            })
    }

    /// The column of the targets; None where it is missing and none is wanted.
    fn target_column(&self) -> Result<Option<usize>> {
        let is_wanted = !matches!(self.wanted, Wanted::Nothing | Wanted::Following);
        if let Some(name) = &self.options.target {
            return match is_wanted {
                true => self.expect_column(name).map(Some),
                false => Ok(self.column(name)),
            };
        }
        if self.header.is_empty() {
            return Ok(Some(0));
        }
        match TARGETS.iter().find_map(|name| self.column(name)) {
            None if is_wanted => {
                let message = "there is no column \"label\", \"target\" or \"class\" (--target names another one), only";
                Err(fault_at(
                    self.path,
                    1,
                    format_args!("{message} {}", List(&self.header)),
                ))
            }
            column => Ok(column),
        }
    }

    /// A column in a message.
    fn name(&self, column: usize) -> String {
        match self.header.get(column) {
            Some(name) => format!("column {} ({name})", column + 1),
            None => format!("column {}", column + 1),
        }
    }

    fn fields_fault(&self, row: &StringRecord, expected: usize) -> Failure {
        let message = format!(
            "there are {} fields, expected {expected}, as in the first line",
            row.len()
        );
        fault_at(self.path, line(row), message)
    }

    /// The number in a field, NaN where it is missing.
    fn value(&self, row: &StringRecord, column: usize) -> Result<f32> {
        let field = &row[column];
        if is_missing(field) {
            return Ok(f32::NAN);
        }
        match field.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => {
                let message = format!(
                    "{} is {field:?}, expected a finite number",
                    self.name(column)
                );
                Err(fault_at(self.path, line(row), message))
            }
        }
    }

    /// # Errors
    /// Where values are missing and nothing is to take their place.
    fn expect_value(&self, row: &StringRecord, column: usize, value: f32) -> Result<()> {
        if !value.is_nan() || self.options.missing != Missing::Error {
            return Ok(());
        }
        let message = "is missing, expected a number (--missing says what takes its place)";
        Err(fault_at(
            self.path,
            line(row),
            format_args!("{} {message}", self.name(column)),
        ))
    }

    fn label(&self, row: &StringRecord, column: Option<usize>) -> Option<Label> {
        let field = row.get(column?)?;
        (!is_missing(field)).then(|| Label::of_line(field, line(row)))
    }

    fn wide(&self) -> Result<Sequences> {
        let target = self.target_column()?;
        let id = self.column(&self.options.id);
        let (mut ids, mut x, mut lengths, mut labels) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (index, row) in self.rows.iter().enumerate() {
            if !self.header.is_empty() && row.len() > self.header.len() {
                return Err(self.fields_fault(row, self.header.len()));
            }
            let columns: Vec<usize> = (0..row.len())
                .filter(|&column| Some(column) != target && Some(column) != id)
                .collect();
            let mut series = Vec::with_capacity(columns.len());
            for &column in &columns {
                series.push(self.value(row, column)?);
            }
            // What is missing at the end is padding.
            let length = series
                .iter()
                .rposition(|value| !value.is_nan())
                .map_or(0, |last| last + 1);
            if length == 0 {
                return Err(fault_at(
                    self.path,
                    line(row),
                    "the series has no value, expected at least one",
                ));
            }
            series.truncate(length);
            for (&column, &value) in columns.iter().zip(&series) {
                self.expect_value(row, column, value)?;
            }
            // There is a value.
            _ = gaps::fill(&mut series, 1, self.options.missing);
            x.append(&mut series);
            lengths.push(length);
            labels.push(self.label(row, target));
            ids.push(
                id.and_then(|id| row.get(id))
                    .map_or_else(|| index.to_string(), str::to_owned),
            );
        }
        self.sequences(ids, 1, x, lengths, &labels)
    }

    /// A row for each step, of sequences that the column `id` tells apart.
    fn long(&self, id: Option<usize>) -> Result<Sequences> {
        let width = match self.header.len() {
            0 => self.rows[0].len(),
            width => width,
        };
        let time = self.column(&self.options.time);
        let target = match (self.wanted, &self.options.target) {
            // All columns go on, whatever their names are.
            (Wanted::Following, None) => None,
            _ => self.target_column()?,
        };
        let features: Vec<usize> = (0..width)
            .filter(|&column| Some(column) != id && Some(column) != time && Some(column) != target)
            .collect();
        if features.is_empty() {
            return Err(fault_at(
                self.path,
                1,
                "there is no column of a feature, expected at least one",
            ));
        }
        let mut numbers = HashMap::new();
        let mut ids = Vec::new();
        let mut rows_of: Vec<Vec<usize>> = Vec::new();
        let mut labels: Vec<Option<Label>> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            if row.len() != width {
                return Err(self.fields_fault(row, width));
            }
            let sequence = *numbers.entry(id_of(row, id)).or_insert_with(|| {
                ids.push(id_of(row, id).to_owned());
                rows_of.push(Vec::new());
                labels.push(None);
                ids.len() - 1
            });
            rows_of[sequence].push(index);
            if let Some(label) = self.label(row, target) {
                match &labels[sequence] {
                    Some(known)
                        if known.text != label.text && !matches!(self.wanted, Wanted::Nothing) =>
                    {
                        let [id, known, label] = [id_of(row, id), &known.text, &label.text];
                        let message = format!(
                            "the target of {id:?} is {label:?}, expected {known:?} as above"
                        );
                        return Err(fault_at(self.path, line(row), message));
                    }
                    Some(_) => {}
                    None => labels[sequence] = Some(label),
                }
            }
        }
        if let Some(time) = time {
            self.sort(&mut rows_of, time)?;
        }
        let (mut x, mut lengths) = (Vec::new(), Vec::new());
        for (rows, id) in rows_of.iter().zip(&ids) {
            let start = x.len();
            for &row in rows {
                let row = &self.rows[row];
                for &column in &features {
                    let value = self.value(row, column)?;
                    self.expect_value(row, column, value)?;
                    x.push(value);
                }
            }
            lengths.push(rows.len());
            if let Err(feature) = gaps::fill(&mut x[start..], features.len(), self.options.missing)
            {
                let column = self.name(features[feature]);
                return Err(fault(
                    self.path,
                    format_args!("{column} of {id:?} has no value, expected at least one"),
                ));
            }
        }
        self.sequences(ids, features.len(), x, lengths, &labels)
    }

    /// Puts the rows of each sequence in the order of their times: numbers, or else text such as dates. Equal times stay in the
    /// order of the file.
    fn sort(&self, rows_of: &mut [Vec<usize>], time: usize) -> Result<()> {
        let mut times = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let field = &row[time];
            if is_missing(field) {
                let message = format!("{} is {field:?}, expected a time", self.name(time));
                return Err(fault_at(self.path, line(row), message));
            }
            times.push(field);
        }
        let numbers: Option<Vec<f64>> = times.iter().map(|time| time.parse().ok()).collect();
        for rows in rows_of {
            match &numbers {
                Some(numbers) => rows.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b])),
                None => rows.sort_by_key(|&row| times[row]),
            }
        }
        Ok(())
    }

    fn sequences(
        &self,
        ids: Vec<String>,
        features: usize,
        x: Vec<f32>,
        lengths: Vec<usize>,
        labels: &[Option<Label>],
    ) -> Result<Sequences> {
        Ok(Sequences {
            path: self.path.to_owned(),
            ids,
            features,
            x,
            lengths,
            targets: labels::targets(self.path, labels, self.wanted)?,
            notes: Vec::new(),
        })
    }
}
