//! The `.ts` format of the UCR and UEA time-series archive.
//!
//! Lines starting with `#` or `%` are comments. A header of `@tag value` lines ends at `@data`; every further line is a
//! case: its dimensions joined by `:`, each the comma-separated values of one feature over time, and in the last field
//! the class or the number to predict. With time stamps a value is `(stamp,value)`.
//!
//! aeon and sktime write and read the format, each in its own way. The reader takes what either of them takes: their
//! headers promise little, so what the cases say counts, and where that contradicts the header there is a note of it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;

mod cases;
mod classes;
mod gaps;
mod header;
mod lines;
mod notes;
mod stamp;

use cases::Cases;
use header::Header;
use lines::Lines;
use notes::Notes;

use super::Dataset;
use crate::{Element, Error, Result, in_engine_mode};

/// How [`Dataset::read_ts_with`] reads a `.ts` file. The default reads what a data set holds as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct TsOptions {
    /// What takes the place of missing values.
    pub missing: MissingValues,
    /// Whether steps at the end of a case at which all its values are missing are padding: the sequence ends before
    /// them. By default they are steps as all others are.
    pub trim_padding: bool,
    /// Whether time stamps become one more feature, the last one: the time since the first step of the sequence, in
    /// seconds where the stamps are dates, otherwise in their own unit. By default they only order the values.
    pub time_feature: bool,
}

/// What takes the place of the missing values of a `.ts` file, which are written `?` or `NaN`.
///
/// Each series, which is one dimension of one case, is filled by itself. Where it starts with a gap, that takes the
/// first value. A series without any value is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingValues {
    /// Nothing: a missing value is an error.
    #[default]
    Error,
    /// The last value before the gap.
    Carry,
    /// Numbers on the line between the values around the gap, over time where there are time stamps, otherwise over the
    /// steps. A gap at the end takes the last value.
    Linear,
}

impl<E: Element + FromStr> Dataset<E> {
    /// Reads a `.ts` file as [`Dataset::read_ts_with`] does, with the default options.
    ///
    /// # Errors
    /// As [`Dataset::read_ts_with`].
    pub fn read_ts(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_ts_with(path, &TsOptions::default())
    }

    /// Reads the contents of a `.ts` file as [`Dataset::read_ts`] does; `path` serves the error messages only.
    ///
    /// # Errors
    /// As [`Dataset::read_ts_with`].
    pub fn parse_ts(text: &[u8], path: impl AsRef<Path>) -> Result<Self> {
        Self::parse_ts_with(text, path, &TsOptions::default())
    }

    /// Reads a `.ts` file (UCR/UEA time-series archive): one sequence per case, one feature per dimension.
    ///
    /// - Targets: `@classLabel true` gives [`Targets::Classes`](super::Targets::Classes), `@targetLabel true`
    ///   [`Targets::Values`](super::Targets::Values) of size 1, and where both are false there are none; a `:` at the end
    ///   of a case without a label is then no further dimension. If both are true, the labels are numbers. If the header
    ///   has neither tag, they are classes.
    /// - Classes have the names and the order of `@classLabel`. A case may write its class in other letters (`up` for
    ///   `Up`) or numbers (`1.0` for `1`). Classes that only the cases name come behind those of the header, sorted by
    ///   their characters. Where one of these has blanks, which the header cannot show, or the header names no class,
    ///   the classes are those of the cases alone, sorted.
    /// - A case whose label is empty, `?` or `NaN`, unless the header names a class so, has none: its label is
    ///   [`NO_LABEL`](crate::loss::NO_LABEL), its target NaN. If no case has a class and the header names none, there are
    ///   no targets.
    /// - With `@timeStamps true` the steps of a case are in the order of their stamps; equal stamps stay in the order of
    ///   the file. A stamp is a number or a date: `2004-12-06`, `2004-12-06 23:59`, `2004-12-06 23:59:00.5`, also with
    ///   `/` and `T`, and behind it `Z` or an offset such as `+01:00`. All dimensions of a case have the same stamps.
    /// - Tags are known in any case of letters. Tags that are none of the format's and lines before `@data` that are no
    ///   tags are skipped. Only tags and cases need be UTF-8.
    /// - Where the cases contradict `@univariate`, `@dimensions`, `@equalLength`, `@seriesLength` or `@missing`, the
    ///   cases are right, and [`Dataset::notes`] says so; as it does where the header has been read in any other way
    ///   than it stands there. The first case decides the number of dimensions.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read; [`Error::Parse`], with the line and what was found and expected,
    /// where it breaks the format or has what a data set cannot hold: missing values for which `options` gives nothing,
    /// a series without a value, dimensions of different lengths or time stamps in one case, infinities, numbers beyond
    /// the range of `E`; also where time stamps are to become a feature and there are none; [`Error::OutOfMemory`].
    pub fn read_ts_with(path: impl AsRef<Path>, options: &TsOptions) -> Result<Self> {
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
        Self::parse_ts_with(&text, path, options)
    }

    /// Reads the contents of a `.ts` file as [`Dataset::read_ts_with`] does; `path` serves the error messages only.
    ///
    /// # Errors
    /// As [`Dataset::read_ts_with`].
    pub fn parse_ts_with(text: &[u8], path: impl AsRef<Path>, options: &TsOptions) -> Result<Self> {
        let path = path.as_ref();
        // What a decimal number is nearest to must not depend on how the caller rounds.
        in_engine_mode(|| Self::read_cases(text, path, options))
    }

    fn read_cases(text: &[u8], path: &Path, options: &TsOptions) -> Result<Self> {
        let mut lines = Lines::new(text, path);
        let mut notes = Notes::default();
        let header = Header::read(&mut lines, &mut notes)?;
        let mut cases = Cases::new(&header, *options, &lines, &mut notes)?;
        while let Some(line) = lines.next() {
            cases.push(lines.text(line)?, &lines)?;
        }
        cases.finish(&header, &lines, notes)
    }
}
