//! The `.ts` format of the UCR and UEA time-series archive.
//!
//! Lines starting with `#` are comments. A header of `@tag value` lines ends at `@data`; every further line is a case:
//! its dimensions joined by `:`, each the comma-separated values of one feature over time, and in the last field the
//! class or the number to predict.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::slice::SplitInclusive;
use std::str::FromStr;

mod header;

use header::{Classes, Header};

use super::{Dataset, Targets, reserve};
use crate::{Element, Error, Result, in_engine_mode};

impl<E: Element + FromStr> Dataset<E> {
    /// Reads a `.ts` file (UCR/UEA time-series archive): one sequence per case, one feature per dimension.
    ///
    /// `@classLabel true` gives [`Targets::Classes`] with the header's names, `@targetLabel true` gives
    /// [`Targets::Values`] of size 1, neither of them [`Targets::None`]. Tags are known in any case of letters; tags
    /// that are none of the format's are skipped. Without `@dimensions` the first case decides, and under `@equalLength
    /// true` it decides the length, if `@seriesLength` does not.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Parse`], with the line and what was found and expected,
    /// where it breaks the format, contradicts its header or has what a data set cannot hold: missing values, time
    /// stamps, numbers beyond the range of `E`; [`Error::OutOfMemory`].
    pub fn read_ts(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::OutOfMemory => Error::OutOfMemory {
                what: "the text of a data set",
                bytes: fs::metadata(path).map_or(0, |file| file.len() as usize),
            },
            _ => Error::Io {
                path: path.to_path_buf(),
                source,
            },
        })?;
        Self::parse_ts(&text, path)
    }

    /// Reads the contents of a `.ts` file as [`Dataset::read_ts`] does; `path` serves the error messages only.
    ///
    /// # Errors
    /// As [`Dataset::read_ts`].
    pub fn parse_ts(text: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // What a decimal number is nearest to must not depend on how the caller rounds.
        in_engine_mode(|| Self::read_cases(text, path))
    }

    fn read_cases(text: &[u8], path: &Path) -> Result<Self> {
        let mut lines = Lines::new(text, path);
        let header = Header::read(&mut lines)?;
        let mut cases = Cases::new(header, &lines)?;
        while let Some(line) = lines.next()? {
            cases.push(line, &lines)?;
        }
        cases.finish(&lines)
    }
}

/// The lines that say something. Faults get the number of the last line that was read.
struct Lines<'a> {
    path: &'a Path,
    rest: SplitInclusive<'a, u8, fn(&u8) -> bool>,
    number: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8], path: &'a Path) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let ends_line: fn(&u8) -> bool = |&byte| byte == b'\n';
        Self {
            path,
            rest: text.split_inclusive(ends_line),
            number: 0,
        }
    }

    /// The next line that is neither blank nor a comment, trimmed.
    fn next(&mut self) -> Result<Option<&'a str>> {
        while let Some(bytes) = self.rest.next() {
            self.number += 1;
            let line = str::from_utf8(bytes).map_err(|fault| {
                let at = fault.valid_up_to();
                self.fault(format!(
                    "byte {} of the line is 0x{:02x}, expected UTF-8 text",
                    at + 1,
                    bytes[at]
                ))
            })?;
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn fault(&self, message: impl Into<String>) -> Error {
        Error::Parse {
            path: self.path.to_path_buf(),
            line: self.number.max(1),
            message: message.into(),
        }
    }

    fn boolean(&self, tag: &str, value: &str) -> Result<bool> {
        if value.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if value.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err(self.fault(format!("{tag} is {}, expected true or false", quote(value))))
        }
    }

    fn count(&self, tag: &str, value: &str) -> Result<usize> {
        value
            .parse()
            .ok()
            .filter(|&count| count > 0)
            .ok_or_else(|| {
                self.fault(format!(
                    "{tag} is {}, expected a whole number from 1",
                    quote(value)
                ))
            })
    }

    fn number<E: Element + FromStr>(&self, place: impl Display, token: &str) -> Result<E> {
        let token = token.trim();
        match token.parse::<E>() {
            Ok(value) if value.is_finite() => Ok(value),
            Err(_) if token == "?" => {
                Err(self.fault(format!("{place} is '?': missing values are not supported")))
            }
            Ok(_) => Err(self.fault(format!(
                "{place} is {}, expected a finite {} number",
                quote(token),
                E::NAME
            ))),
            Err(_) => Err(self.fault(format!("{place} is {}, expected a number", quote(token)))),
        }
    }

    /// Fills the slot of a tag that may come once.
    fn once<T>(&self, tag: &str, slot: &mut Option<T>, value: T) -> Result<()> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.fault(format!("{tag} is given a second time"))),
        }
    }
}

/// A piece of the file in a message: in quotes, and short, whatever it is.
pub(crate) fn quote(token: &str) -> String {
    const SHOWN: usize = 32;
    let shown: String = token
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    let dots = if token.chars().nth(SHOWN).is_some() {
        "..."
    } else {
        ""
    };
    format!("'{shown}'{dots}")
}

/// What the last field of a case is.
enum Label<'a> {
    /// One more dimension.
    Absent,
    Class(Classes<'a>),
    Target,
}

/// The cases read so far.
struct Cases<'a, E> {
    label: Label<'a>,
    /// Of every case; known after the first one.
    dimensions: Option<usize>,
    equal_length: bool,
    /// Of every case, if it is equal; known after the first one.
    length: Option<usize>,
    /// The case that is being read, as the file has it: `[dimensions][length]`.
    series: Vec<E>,
    /// `[total_steps][dimensions]`.
    x: Vec<E>,
    lengths: Vec<usize>,
    labels: Vec<usize>,
    values: Vec<E>,
}

impl<'a, E: Element + FromStr> Cases<'a, E> {
    fn new(header: Header<'a>, lines: &Lines) -> Result<Self> {
        let mut dimensions = header.dimensions;
        if header.univariate == Some(true) {
            let dimensions = *dimensions.get_or_insert(1);
            if dimensions != 1 {
                return Err(lines.fault(format!(
                    "@univariate is true and @dimensions is {dimensions}, expected 1"
                )));
            }
        }
        let label = match (header.classes, header.target) {
            (None, None) => {
                return Err(
                    lines.fault("the header has no @classLabel and no @targetLabel, expected one")
                );
            }
            (Some(Some(_)), Some(true)) => {
                return Err(lines.fault("both @classLabel and @targetLabel are true, expected one"));
            }
            (Some(Some(classes)), _) => Label::Class(classes),
            (_, Some(true)) => Label::Target,
            _ => Label::Absent,
        };
        Ok(Self {
            label,
            dimensions,
            equal_length: header.equal_length.unwrap_or(false),
            length: header.series_length,
            series: Vec::new(),
            x: Vec::new(),
            lengths: Vec::new(),
            labels: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Reads the case in `line`.
    fn push(&mut self, line: &str, lines: &Lines) -> Result<()> {
        if line.starts_with('@') {
            return Err(lines.fault(format!(
                "{} comes after @data, expected a case",
                quote(line)
            )));
        }
        let (series, label) = match self.label {
            Label::Absent => (line, ""),
            Label::Class(_) | Label::Target => line.rsplit_once(':').ok_or_else(|| {
                lines.fault(format!(
                    "{} has no ':', expected dimensions and a label joined by it",
                    quote(line)
                ))
            })?,
        };
        self.push_series(series, lines)?;
        let label = label.trim();
        match &self.label {
            Label::Absent => Ok(()),
            Label::Class(classes) => match classes.labels.get(label) {
                Some(&label) => append("labels", &mut self.labels, label),
                None => Err(lines.fault(format!(
                    "the class is {}, expected one of the {} that @classLabel names",
                    quote(label),
                    classes.names.len()
                ))),
            },
            Label::Target => append(
                "targets",
                &mut self.values,
                lines.number("the target", label)?,
            ),
        }
    }

    fn push_series(&mut self, text: &str, lines: &Lines) -> Result<()> {
        // Before anything is counted: a time stamp may have colons and commas of its own.
        if text.contains('(') {
            return Err(lines.fault("the case has a '(': time stamps are not supported"));
        }
        let found = text.split(':').count();
        let expected = *self.dimensions.get_or_insert(found);
        if found != expected {
            return Err(lines.fault(format!(
                "the case has {found} dimensions, expected {expected}"
            )));
        }

        self.series.clear();
        let mut length = 0;
        for (dimension, text) in (1_usize..).zip(text.split(':')) {
            let start = self.series.len();
            for (step, token) in (1_usize..).zip(text.split(',')) {
                let place = format_args!("value {step} of dimension {dimension}");
                append("a case", &mut self.series, lines.number(place, token)?)?;
            }
            let found = self.series.len() - start;
            if dimension == 1 {
                length = found;
            } else if found != length {
                return Err(lines.fault(format!(
                    "dimension {dimension} has {found} values, expected {length} as dimension 1 has"
                )));
            }
        }
        if self.equal_length {
            let expected = *self.length.get_or_insert(length);
            if length != expected {
                return Err(lines.fault(format!(
                    "the case has {length} steps, expected {expected} as @equalLength is true"
                )));
            }
        }

        append("lengths", &mut self.lengths, length)?;
        let elements = self.x.len() + self.series.len();
        reserve("x", &mut self.x, elements)?;
        for step in 0..length {
            self.x.extend(self.series[step..].iter().step_by(length));
        }
        Ok(())
    }

    fn finish(self, lines: &Lines) -> Result<Dataset<E>> {
        let Some(input_size) = self.dimensions.filter(|_| !self.lengths.is_empty()) else {
            return Err(lines.fault("the file ends without a case after @data"));
        };
        let targets = match self.label {
            Label::Absent => Targets::None,
            Label::Class(classes) => Targets::Classes {
                labels: self.labels,
                names: classes.names,
            },
            Label::Target => Targets::Values {
                size: 1,
                per_step: false,
                values: self.values,
            },
        };
        Ok(Dataset::new(input_size, self.x, &self.lengths, targets)?.with_names())
    }
}

/// A push that reports when memory is out.
fn append<T>(what: &'static str, buffer: &mut Vec<T>, value: T) -> Result<()> {
    let count = buffer.len() + 1;
    reserve(what, buffer, count)?;
    buffer.push(value);
    Ok(())
}
