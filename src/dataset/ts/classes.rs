//! The classes of the cases and their names.

use std::collections::HashMap;
use std::hash::Hash;

use super::header::Said;
use super::notes::Notes;
use crate::buffer::{try_string, try_vec};
use crate::dataset::append;
use crate::error::quote;
use crate::loss::NO_LABEL;
use crate::{Error, Result};

/// The names of classes in messages about memory.
const WHAT: &str = "class names";

/// The classes that the cases have, in the order in which they come.
#[derive(Default)]
pub(super) struct Classes<'a> {
    found: Vec<Found<'a>>,
    index: HashMap<&'a str, usize>,
    /// `[sequences]`: the index of the class in `found`.
    labels: Vec<usize>,
}

/// A class of a case.
struct Found<'a> {
    name: &'a str,
    /// The first line that has it.
    line: usize,
    /// Its number in the end, [`NO_LABEL`] for what stands for none.
    class: Option<usize>,
}

impl<'a> Classes<'a> {
    /// Takes the class of the next case.
    pub(super) fn push(&mut self, name: &'a str, line: usize) -> Result<()> {
        let label = match self.index.get(name) {
            Some(&label) => label,
            None => {
                let label = self.found.len();
                insert(&mut self.index, name, label)?;
                let class = None;
                append(WHAT, &mut self.found, Found { name, line, class })?;
                label
            }
        };
        append("labels", &mut self.labels, label)
    }

    /// The labels of the cases and the names of the classes. The header names classes, if it does, in one line.
    pub(super) fn resolve(
        mut self,
        header: Option<Said<&'a str>>,
        notes: &mut Notes,
    ) -> Result<(Vec<usize>, Vec<String>)> {
        let mut names = match header {
            Some(header) => self.name_by(header, notes)?,
            None => Vec::new(),
        };
        if header.is_none() || self.unnamed().any(|found| has_blank(found.name)) {
            names.clear();
            self.found.iter_mut().for_each(|found| found.class = None);
        }
        for found in &mut self.found {
            if found.class.is_none() && is_missing(found.name) {
                found.class = Some(NO_LABEL);
            }
        }
        if let Some(Said { line, .. }) = header
            && let Some(first) = self.unnamed().next()
        {
            let name = quote(first.name);
            let of = first.line;
            if names.is_empty() {
                notes.add(
                    line,
                    format_args!(
                        "@classLabel does not show where names with blanks end: the classes are those of the cases"
                    ),
                )?;
            } else {
                notes.add(
                    line,
                    format_args!(
                        "@classLabel does not name the class {name} of line {of}: the classes of the cases come behind \
                         its own"
                    ),
                )?;
            }
        }
        self.add_unnamed(&mut names)?;

        let mut owned = try_vec(WHAT, names.len())?;
        for name in names {
            let mut copy = try_string(WHAT, name.len())?;
            copy.push_str(name);
            owned.push(copy);
        }
        for label in &mut self.labels {
            *label = self.found[*label].class.expect("every class has a number");
        }
        Ok((self.labels, owned))
    }

    fn unnamed(&self) -> impl Iterator<Item = &Found<'a>> {
        self.found.iter().filter(|found| found.class.is_none())
    }

    /// Numbers the classes that the header names, however they are written; gives its names.
    fn name_by(&mut self, header: Said<&'a str>, notes: &mut Notes) -> Result<Vec<&'a str>> {
        let mut names = Vec::new();
        let mut exact = HashMap::new();
        for name in header.value.split_whitespace() {
            if !exact.contains_key(name) {
                insert(&mut exact, name, names.len())?;
                append(WHAT, &mut names, name)?;
            }
        }
        for found in &mut self.found {
            found.class = exact.get(found.name).copied();
        }
        if self.unnamed().next().is_none() {
            return Ok(names);
        }

        let mut alike = HashMap::new();
        for (class, name) in names.iter().enumerate() {
            let spelling = Spelling::of(name)?;
            if !alike.contains_key(&spelling) {
                insert(&mut alike, spelling, class)?;
            }
        }
        let mut noted = false;
        for found in self.found.iter_mut().filter(|found| found.class.is_none()) {
            found.class = alike.get(&Spelling::of(found.name)?).copied();
            if let (Some(class), false) = (found.class, noted) {
                noted = true;
                notes.add(
                    found.line,
                    format_args!(
                        "the class {} is taken for {} of @classLabel",
                        quote(found.name),
                        quote(names[class])
                    ),
                )?;
            }
        }
        Ok(names)
    }

    /// Numbers what has no number yet, sorted by name.
    fn add_unnamed(&mut self, names: &mut Vec<&'a str>) -> Result<()> {
        let known = names.len();
        for found in self.found.iter().filter(|found| found.class.is_none()) {
            append(WHAT, names, found.name)?;
        }
        names[known..].sort_unstable();
        for (class, name) in names.iter().enumerate().skip(known) {
            self.found[self.index[name]].class = Some(class);
        }
        Ok(())
    }
}

/// Whether a case without a class has this in its place.
fn is_missing(name: &str) -> bool {
    name.is_empty() || name == "?" || name.eq_ignore_ascii_case("nan")
}

fn has_blank(name: &str) -> bool {
    name.contains(char::is_whitespace)
}

/// What is common to the spellings of a class.
#[derive(PartialEq, Eq, Hash)]
enum Spelling {
    /// The bits of a number.
    Number(u64),
    /// In small letters.
    Text(String),
}

impl Spelling {
    fn of(name: &str) -> Result<Self> {
        if let Ok(number) = name.parse::<f64>()
            && number.is_finite()
        {
            // Both zeros are 0.
            return Ok(Self::Number((number + 0.0).to_bits()));
        }
        let small_letters = || name.chars().flat_map(char::to_lowercase);
        let mut small = try_string(WHAT, small_letters().map(char::len_utf8).sum())?;
        small.extend(small_letters());
        Ok(Self::Text(small))
    }
}

/// An insertion that reports when memory is out.
fn insert<K: Eq + Hash>(map: &mut HashMap<K, usize>, key: K, value: usize) -> Result<()> {
    map.try_reserve(1).map_err(|_| Error::OutOfMemory {
        what: WHAT,
        bytes: (map.len() + 1) * size_of::<(K, usize)>(),
    })?;
    map.insert(key, value);
    Ok(())
}
