//! The lines from the start of a `.ts` file to `@data`.

use super::lines::{self, Lines};
use super::notes::Notes;
use crate::Result;
use crate::error::quote;

/// What the value of a tag is, and in which line.
#[derive(Clone, Copy)]
pub(super) struct Said<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// What the header says. None of its numbers is believed: they are compared with what the cases have.
#[derive(Default)]
pub(super) struct Header<'a> {
    pub(super) time_stamps: Option<Said<bool>>,
    pub(super) missing: Option<Said<bool>>,
    pub(super) univariate: Option<Said<bool>>,
    pub(super) dimensions: Option<Said<usize>>,
    pub(super) equal_length: Option<Said<bool>>,
    pub(super) series_length: Option<Said<usize>>,
    /// The names of the classes, as they stand there; `None`: `@classLabel false`.
    pub(super) classes: Option<Said<Option<&'a str>>>,
    pub(super) target: Option<Said<bool>>,
}

impl<'a> Header<'a> {
    /// Reads up to and including `@data`.
    pub(super) fn read(lines: &mut Lines<'a>, notes: &mut Notes) -> Result<Self> {
        let mut header = Self::default();
        let (mut skipped, mut first_skipped) = (0_usize, 0);
        while let Some(line) = lines.next() {
            if line[0] != b'@' {
                skipped += 1;
                if skipped == 1 {
                    first_skipped = lines.number();
                }
                continue;
            }
            let end = line.iter().position(u8::is_ascii_whitespace);
            let Some(tag) = Tag::of(&line[..end.unwrap_or(line.len())]) else {
                continue;
            };
            let (name, value) = lines.text(line)?.split_at(tag.name().len());
            let value = value.trim();
            if tag != Tag::Data {
                header.set(tag, name, value, lines, notes)?;
            } else if value.is_empty() {
                if skipped > 0 {
                    notes.add(
                        first_skipped,
                        format_args!(
                            "before @data {skipped} lines are neither tags nor comments, and skipped"
                        ),
                    )?;
                }
                return Ok(header);
            } else {
                return Err(lines.fault(format!(
                    "{name} is followed by {}, expected a new line",
                    quote(value)
                )));
            }
        }
        Err(lines.fault("the file ends before @data"))
    }

    fn set(
        &mut self,
        tag: Tag,
        name: &str,
        value: &'a str,
        lines: &Lines<'a>,
        notes: &mut Notes,
    ) -> Result<()> {
        let boolean = lines::boolean(value);
        let count = value.parse().ok().filter(|&count| count > 0);
        let mut slot = Slot {
            name,
            value,
            line: lines.number(),
            notes,
        };
        match tag {
            Tag::TimeStamps => slot.fill(&mut self.time_stamps, boolean, "true or false"),
            Tag::Missing => slot.fill(&mut self.missing, boolean, "true or false"),
            Tag::Univariate => slot.fill(&mut self.univariate, boolean, "true or false"),
            Tag::EqualLength => slot.fill(&mut self.equal_length, boolean, "true or false"),
            Tag::Dimensions | Tag::Dimension => {
                slot.fill(&mut self.dimensions, count, "a whole number from 1")
            }
            Tag::SeriesLength => slot.fill(&mut self.series_length, count, "a whole number from 1"),
            // Without these two nothing says what the labels are.
            Tag::ClassLabel => {
                let (truth, names) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                let names = lines.boolean(name, truth)?.then_some(names);
                slot.fill(&mut self.classes, Some(names), "")
            }
            Tag::TargetLabel => {
                let target = lines.boolean(name, value)?;
                slot.fill(&mut self.target, Some(target), "")
            }
            Tag::Data => Ok(()),
        }
    }
}

/// A tag on its way into the header.
struct Slot<'a> {
    name: &'a str,
    value: &'a str,
    line: usize,
    notes: &'a mut Notes,
}

impl Slot<'_> {
    /// Fills the slot of a tag; of one that comes again, anew, as all readers of the format do.
    fn fill<T>(
        &mut self,
        slot: &mut Option<Said<T>>,
        value: Option<T>,
        expected: &str,
    ) -> Result<()> {
        let (name, line) = (self.name, self.line);
        let Some(value) = value else {
            return self.notes.add(
                line,
                format_args!(
                    "{name} is {}, expected {expected}: it does not count",
                    quote(self.value)
                ),
            );
        };
        match slot.replace(Said { line, value }) {
            None => Ok(()),
            Some(before) => self.notes.add(
                line,
                format_args!(
                    "{name} replaces the one of line {}, expected one of them",
                    before.line
                ),
            ),
        }
    }
}

/// The tags of the format that say something about the cases.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    TimeStamps,
    Missing,
    Univariate,
    Dimensions,
    Dimension,
    EqualLength,
    SeriesLength,
    ClassLabel,
    TargetLabel,
    Data,
}

impl Tag {
    const ALL: [Self; 10] = [
        Self::TimeStamps,
        Self::Missing,
        Self::Univariate,
        Self::Dimensions,
        Self::Dimension,
        Self::EqualLength,
        Self::SeriesLength,
        Self::ClassLabel,
        Self::TargetLabel,
        Self::Data,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::TimeStamps => "@timeStamps",
            Self::Missing => "@missing",
            Self::Univariate => "@univariate",
            Self::Dimensions => "@dimensions",
            Self::Dimension => "@dimension",
            Self::EqualLength => "@equalLength",
            Self::SeriesLength => "@seriesLength",
            Self::ClassLabel => "@classLabel",
            Self::TargetLabel => "@targetLabel",
            Self::Data => "@data",
        }
    }

    fn of(text: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|tag| text.eq_ignore_ascii_case(tag.name().as_bytes()))
    }
}
