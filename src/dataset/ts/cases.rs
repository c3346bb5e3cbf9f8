//! The lines behind `@data`.

use std::fmt;
use std::str::FromStr;

use super::classes::Classes;
use super::gaps;
use super::header::{Header, Said};
use super::lines::Lines;
use super::notes::Notes;
use super::stamp::{Kind, Stamp};
use super::{MissingValues, TsOptions};
use crate::buffer::try_reserve;
use crate::dataset::{Dataset, Targets, append};
use crate::error::quote;
use crate::{Element, Result};

/// The cases read so far.
pub(super) struct Cases<'a, E> {
    options: TsOptions,
    labels: Labels<'a, E>,
    /// Whether values have time stamps.
    stamped: bool,
    /// How the stamps are written, and the first line that has any.
    kind: Option<(Kind, usize)>,
    /// Of every case; known after the first one.
    dimensions: Option<usize>,
    /// The steps of the cases, with padding; known after the first one.
    steps: Option<Range>,
    missing_values: usize,
    case: Case<E>,
    /// `[total_steps][features]`.
    x: Vec<E>,
    lengths: Vec<usize>,
}

/// What the last fields of the cases are.
enum Labels<'a, E> {
    /// There are none.
    Absent,
    Classes(Classes<'a>),
    Targets(Vec<E>),
}

/// The least and the most of something.
#[derive(Clone, Copy)]
struct Range {
    least: usize,
    most: usize,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most } = self;
        if least == most {
            write!(f, "{least}")
        } else {
            write!(f, "{least} to {most}")
        }
    }
}

/// The case that is being read.
struct Case<E> {
    /// As the file has it: `[dimensions][length]`.
    series: Vec<E>,
    /// `[length]`, empty where there are none.
    stamps: Vec<Stamp>,
    /// One dimension, to be sorted: each value with its stamp and its place in the file.
    stamped: Vec<(Stamp, usize, E)>,
    length: usize,
}

impl<'a, E: Element + FromStr> Cases<'a, E> {
    /// What `header`, whose last line has just been read, announces.
    pub(super) fn new(
        header: &Header<'a>,
        options: TsOptions,
        lines: &Lines,
        notes: &mut Notes,
    ) -> Result<Self> {
        let stamped = header.time_stamps.is_some_and(|said| said.value);
        if options.time_feature && !stamped {
            return Err(lines.fault(
                "time stamps are to become a feature, but the header has no '@timeStamps true'",
            ));
        }
        let target = header.target.filter(|said| said.value);
        let labels = match (header.classes, target) {
            (classes, Some(said)) => {
                if classes.is_some_and(|classes| classes.value.is_some()) {
                    notes.add(
                        said.line,
                        format_args!(
                            "both @classLabel and @targetLabel are true: labels are read as numbers"
                        ),
                    )?;
                }
                Labels::Targets(Vec::new())
            }
            (Some(Said { value: None, .. }), None) => Labels::Absent,
            (None, None) if header.target.is_some() => Labels::Absent,
            (classes, None) => {
                if classes.is_none() {
                    notes.add(
                        lines.number(),
                        format_args!(
                            "the header has no @classLabel and no @targetLabel: the last field of a case is read as \
                             its class"
                        ),
                    )?;
                }
                Labels::Classes(Classes::default())
            }
        };
        Ok(Self {
            options,
            labels,
            stamped,
            kind: None,
            dimensions: None,
            steps: None,
            missing_values: 0,
            case: Case {
                series: Vec::new(),
                stamps: Vec::new(),
                stamped: Vec::new(),
                length: 0,
            },
            x: Vec::new(),
            lengths: Vec::new(),
        })
    }

    /// Reads the case in `line`.
    pub(super) fn push(&mut self, line: &'a str, lines: &Lines) -> Result<()> {
        if line.starts_with('@') {
            return Err(lines.fault(format!(
                "{} comes after @data, expected a case",
                quote(line)
            )));
        }
        let label = if self.stamped {
            self.read_stamped(line, lines)?
        } else {
            self.read_plain(line, lines)?
        };
        self.push_series(lines)?;
        let label = label.trim();
        match &mut self.labels {
            Labels::Absent if label.is_empty() => Ok(()),
            Labels::Absent => Err(lines.fault(format!(
                "the case ends with {}, expected no label",
                quote(label)
            ))),
            Labels::Classes(classes) => classes.push(label, lines.number()),
            Labels::Targets(values) => {
                let value = match label {
                    "" => None,
                    _ => lines.value("the target", label)?,
                };
                append("targets", values, value.unwrap_or_else(gaps::missing))
            }
        }
    }

    /// Reads the dimensions of a case without time stamps; gives the label behind them.
    fn read_plain(&mut self, line: &'a str, lines: &Lines) -> Result<&'a str> {
        let (text, label) = match (&self.labels, line.rsplit_once(':')) {
            (Labels::Absent, Some((text, end))) if end.trim().is_empty() => (text, ""),
            (Labels::Absent, _) => (line, ""),
            (_, Some(parts)) => parts,
            (_, None) => return Err(no_label(line, lines)),
        };
        // Before anything is counted: a time stamp may have colons and commas of its own.
        if text.contains('(') {
            return Err(lines.fault(
                "the case has a '(': time stamps, expected '@timeStamps true' in the header",
            ));
        }
        let dimensions = text.split(':').count();
        self.expect_dimensions(dimensions, lines)?;
        self.case.clear();
        for (dimension, text) in (1..).zip(text.split(':')) {
            for (step, token) in (1_usize..).zip(text.split(',')) {
                let place = format_args!("value {step} of dimension {dimension}");
                let value = lines.value(place, token)?;
                let value = value.unwrap_or_else(gaps::missing);
                append("a case", &mut self.case.series, value)?;
            }
            self.case.end_dimension(dimension, lines)?;
        }
        Ok(label)
    }

    /// Reads the dimensions of a case with time stamps; gives the label behind them.
    fn read_stamped(&mut self, line: &'a str, lines: &Lines) -> Result<&'a str> {
        self.case.clear();
        let mut rest = line;
        let mut dimension = 0;
        loop {
            rest = rest.trim_start();
            if !rest.starts_with('(') && dimension > 0 {
                break;
            }
            dimension += 1;
            rest = self.read_stamped_dimension(dimension, rest, lines)?;
            match (rest.strip_prefix(':'), &self.labels) {
                (Some(more), _) => rest = more,
                (None, Labels::Absent) if rest.is_empty() => break,
                (None, _) if rest.is_empty() => return Err(no_label(line, lines)),
                _ => {
                    return Err(lines.fault(format!(
                        "dimension {dimension} goes on with {}, expected ',' or ':' between time stamps",
                        quote(rest)
                    )));
                }
            }
        }
        self.expect_dimensions(dimension, lines)?;
        Ok(rest)
    }

    /// Reads the values of one dimension and puts them into the order of their stamps; gives what is behind them.
    fn read_stamped_dimension(
        &mut self,
        dimension: usize,
        text: &'a str,
        lines: &Lines,
    ) -> Result<&'a str> {
        let case = &mut self.case;
        case.stamped.clear();
        let mut rest = text;
        let rest = loop {
            let step = case.stamped.len() + 1;
            let place = format_args!("value {step} of dimension {dimension}");
            let pair = rest.trim_start().strip_prefix('(');
            let Some((pair, behind)) = pair.and_then(|pair| pair.split_once(')')) else {
                return Err(lines.fault(format!(
                    "{place} is {}, expected '(' time stamp ',' value ')'",
                    quote(rest)
                )));
            };
            let Some((stamp, value)) = pair.rsplit_once(',') else {
                return Err(lines.fault(format!(
                    "{place} is {}, expected a time stamp and a value joined by ','",
                    quote(pair)
                )));
            };
            let Some((kind, stamp)) = Stamp::parse(stamp) else {
                return Err(lines.fault(format!(
                    "the time stamp of {place} is {}, expected a number or a date as 2004-12-06 23:59:00",
                    quote(stamp)
                )));
            };
            let (expected, from) = *self.kind.get_or_insert((kind, lines.number()));
            if kind != expected {
                return Err(lines.fault(format!(
                    "the time stamp of {place} is {}, expected {} as in line {from}",
                    kind.name(),
                    expected.name()
                )));
            }
            let value = lines.value(place, value)?;
            let value = value.unwrap_or_else(gaps::missing);
            append("a case", &mut case.stamped, (stamp, step, value))?;
            let behind = behind.trim_start();
            match behind.strip_prefix(',') {
                Some(more) => rest = more,
                None => break behind,
            }
        };
        // The place makes it the order of a stable sort, which would need memory.
        case.stamped.sort_unstable_by(|one, other| {
            let places = || one.1.cmp(&other.1);
            one.0.cmp(other.0).then_with(places)
        });
        let count = case.stamped.len();
        if dimension == 1 {
            try_reserve("a case", &mut case.stamps, count)?;
            case.stamps.extend(case.stamped.iter().map(|value| value.0));
        }
        let length = case.series.len() + count;
        try_reserve("a case", &mut case.series, length)?;
        case.series.extend(case.stamped.iter().map(|value| value.2));
        case.end_dimension(dimension, lines)?;
        let mut stamps = case.stamps.iter().zip(&case.stamped);
        if let Some(step) = stamps.position(|(stamp, value)| stamp.cmp(value.0).is_ne()) {
            return Err(lines.fault(format!(
                "time stamp {} of dimension {dimension}, in the order of time, is another than that of dimension 1, \
                 expected the same ones in all dimensions of a case",
                step + 1
            )));
        }
        Ok(rest)
    }

    fn expect_dimensions(&mut self, found: usize, lines: &Lines) -> Result<()> {
        let expected = *self.dimensions.get_or_insert(found);
        if found == expected {
            return Ok(());
        }
        Err(lines.fault(format!(
            "the case has {found} dimensions, expected {expected} as the first case has"
        )))
    }

    /// Makes a sequence of the case.
    fn push_series(&mut self, lines: &Lines) -> Result<()> {
        let Case {
            series,
            stamps,
            length: whole,
            ..
        } = &mut self.case;
        let whole = *whole;
        self.steps = Some(match self.steps {
            None => Range {
                least: whole,
                most: whole,
            },
            Some(Range { least, most }) => Range {
                least: least.min(whole),
                most: most.max(whole),
            },
        });
        self.missing_values += series.iter().filter(|value| !value.is_finite()).count();

        let length = match self.options.trim_padding {
            true => gaps::length_without_padding(series, whole),
            false => whole,
        };
        if length == 0 {
            return Err(lines.fault("the case has no value that is not missing, expected one"));
        }
        let since_start = |step: usize| match stamps.first() {
            Some(&start) => stamps[step].since(start),
            None => step as f64,
        };
        for (dimension, series) in (1..).zip(series.chunks_mut(whole)) {
            if let Err(step) = gaps::fill(&mut series[..length], self.options.missing, since_start)
            {
                return Err(lines.fault(match self.options.missing {
                    MissingValues::Error => format!(
                        "value {} of dimension {dimension} is missing, and the options put nothing in its place",
                        step + 1
                    ),
                    _ => format!(
                        "all values of dimension {dimension} are missing, expected one that is not"
                    ),
                }));
            }
        }

        append("lengths", &mut self.lengths, length)?;
        let dimensions = series.len() / whole;
        let features = dimensions + usize::from(self.options.time_feature);
        let elements = self.x.len() + length * features;
        try_reserve("x", &mut self.x, elements)?;
        for step in 0..length {
            self.x.extend(series[step..].iter().step_by(whole));
            if self.options.time_feature {
                self.x.push(E::from_f64(since_start(step)));
            }
        }
        Ok(())
    }

    /// The data set, and what its header says that is not so.
    pub(super) fn finish(
        self,
        header: &Header<'a>,
        lines: &Lines,
        mut notes: Notes,
    ) -> Result<Dataset<E>> {
        let (Some(dimensions), Some(steps)) = (self.dimensions, self.steps) else {
            return Err(lines.fault("the file ends without a case after @data"));
        };
        self.compare(header, dimensions, steps, &mut notes)?;
        let targets = match self.labels {
            Labels::Absent => Targets::None,
            Labels::Classes(classes) => {
                let named = header.classes.and_then(|said| {
                    let value = said.value.filter(|names| !names.trim().is_empty())?;
                    let line = said.line;
                    Some(Said { line, value })
                });
                let (labels, names) = classes.resolve(named, &mut notes)?;
                match names.len() {
                    0 => Targets::None,
                    _ => Targets::Classes { labels, names },
                }
            }
            Labels::Targets(values) => Targets::Values {
                size: 1,
                per_step: false,
                values,
            },
        };
        let features = dimensions + usize::from(self.options.time_feature);
        let mut dataset = Dataset::new(features, self.x, &self.lengths, targets)?.with_names();
        dataset.notes = notes.into_texts();
        Ok(dataset)
    }

    /// Compares what the header says with what the cases have.
    fn compare(
        &self,
        header: &Header,
        dimensions: usize,
        steps: Range,
        notes: &mut Notes,
    ) -> Result<()> {
        if let Some(Said { line, value }) = header.univariate
            && value != (dimensions == 1)
        {
            notes.add(
                line,
                format_args!("@univariate is {value}, the number of dimensions is {dimensions}"),
            )?;
        }
        if let Some(Said { line, value }) = header.dimensions
            && value != dimensions
        {
            notes.add(
                line,
                format_args!("@dimensions is {value}, the number of dimensions is {dimensions}"),
            )?;
        }
        if let Some(Said { line, value: true }) = header.equal_length
            && steps.least != steps.most
        {
            notes.add(
                line,
                format_args!("@equalLength is true, the cases have {steps} steps"),
            )?;
        }
        if let Some(Said { line, value }) = header.series_length
            && (steps.least, steps.most) != (value, value)
        {
            notes.add(
                line,
                format_args!("@seriesLength is {value}, the cases have {steps} steps"),
            )?;
        }
        if let Some(Said { line, value: false }) = header.missing
            && self.missing_values > 0
        {
            notes.add(
                line,
                format_args!(
                    "@missing is false, the number of missing values is {}",
                    self.missing_values
                ),
            )?;
        }
        Ok(())
    }
}

impl<E: Element> Case<E> {
    fn clear(&mut self) {
        self.series.clear();
        self.stamps.clear();
    }

    /// Compares the length of a dimension, which has just been appended, with that of the first one.
    fn end_dimension(&mut self, dimension: usize, lines: &Lines) -> Result<()> {
        if dimension == 1 {
            self.length = self.series.len();
        }
        let found = self.series.len() - (dimension - 1) * self.length;
        if found == self.length {
            return Ok(());
        }
        Err(lines.fault(format!(
            "dimension {dimension} has {found} values, expected {} as dimension 1 has",
            self.length
        )))
    }
}

fn no_label(line: &str, lines: &Lines) -> crate::Error {
    lines.fault(format!(
        "{} has no ':', expected dimensions and a label joined by it",
        quote(line)
    ))
}
