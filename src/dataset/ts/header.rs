//! The lines from the start of a `.ts` file to `@data`.

use std::collections::HashMap;

use super::{Lines, quote};
use crate::dataset::reserve;
use crate::{Error, Result};

/// What the header says. None of its numbers is believed: they are compared with what the cases have.
#[derive(Default)]
pub(super) struct Header<'a> {
    pub(super) univariate: Option<bool>,
    pub(super) dimensions: Option<usize>,
    pub(super) equal_length: Option<bool>,
    pub(super) series_length: Option<usize>,
    /// Inner `None`: `@classLabel false`.
    pub(super) classes: Option<Option<Classes<'a>>>,
    pub(super) target: Option<bool>,
}

impl<'a> Header<'a> {
    /// Reads up to and including `@data`.
    pub(super) fn read(lines: &mut Lines<'a>) -> Result<Self> {
        let mut header = Self::default();
        while let Some(line) = lines.next()? {
            if !line.starts_with('@') {
                return Err(lines.fault(format!(
                    "{} comes before @data, expected a line of the header",
                    quote(line)
                )));
            }
            let (tag, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            if !tag.eq_ignore_ascii_case("@data") {
                header.set(tag, value, lines)?;
            } else if value.is_empty() {
                return Ok(header);
            } else {
                return Err(lines.fault(format!(
                    "{tag} is followed by {}, expected a new line",
                    quote(value)
                )));
            }
        }
        Err(lines.fault("the file ends before @data"))
    }

    fn set(&mut self, tag: &str, value: &'a str, lines: &Lines<'a>) -> Result<()> {
        let is = |name: &str| tag.eq_ignore_ascii_case(name);
        if is("@timeStamps") {
            if lines.boolean(tag, value)? {
                return Err(lines.fault(format!("{tag} is true: time stamps are not supported")));
            }
            Ok(())
        } else if is("@missing") {
            // Where it is true, a value may still be there in every place: what is missing is reported where it is.
            lines.boolean(tag, value).map(drop)
        } else if is("@univariate") {
            lines.once(tag, &mut self.univariate, lines.boolean(tag, value)?)
        } else if is("@dimensions") || is("@dimension") {
            lines.once(tag, &mut self.dimensions, lines.count(tag, value)?)
        } else if is("@equalLength") {
            lines.once(tag, &mut self.equal_length, lines.boolean(tag, value)?)
        } else if is("@seriesLength") {
            lines.once(tag, &mut self.series_length, lines.count(tag, value)?)
        } else if is("@classLabel") {
            lines.once(tag, &mut self.classes, Classes::read(tag, value, lines)?)
        } else if is("@targetLabel") {
            lines.once(tag, &mut self.target, lines.boolean(tag, value)?)
        } else {
            Ok(())
        }
    }
}

/// The classes that `@classLabel` names.
pub(super) struct Classes<'a> {
    pub(super) names: Vec<String>,
    pub(super) labels: HashMap<&'a str, usize>,
}

impl<'a> Classes<'a> {
    /// Reads the value of `@classLabel`; `None` if that is false.
    fn read(tag: &str, value: &'a str, lines: &Lines<'a>) -> Result<Option<Self>> {
        let (truth, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        let count = rest.split_whitespace().count();
        if !lines.boolean(tag, truth)? {
            return match count {
                0 => Ok(None),
                _ => Err(lines.fault(format!(
                    "{tag} is false and names {count} classes, expected none"
                ))),
            };
        }
        if count == 0 {
            return Err(lines.fault(format!(
                "{tag} is true and names no class, expected the names of all"
            )));
        }
        let what = "class names";
        let mut names = Vec::new();
        let mut labels = HashMap::new();
        reserve(what, &mut names, count)?;
        labels.try_reserve(count).map_err(|_| Error::OutOfMemory {
            what,
            bytes: count * size_of::<(&str, usize)>(),
        })?;
        for (label, name) in rest.split_whitespace().enumerate() {
            if labels.insert(name, label).is_some() {
                return Err(lines.fault(format!("{tag} names the class {} twice", quote(name))));
            }
            let mut owned = String::new();
            owned
                .try_reserve_exact(name.len())
                .map_err(|_| Error::OutOfMemory {
                    what,
                    bytes: name.len(),
                })?;
            owned.push_str(name);
            names.push(owned);
        }
        Ok(Some(Self { names, labels }))
    }
}
