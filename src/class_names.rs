//! The names of a network's classes.

use std::ffi::CStr;

use crate::buffer::{try_string, try_vec};
use crate::error::quote;
use crate::{Error, Result, shape};

/// What memory is wanted for.
const WHAT: &str = "class names";

/// Most names of a message.
#[cfg(feature = "datasets")]
const SHOWN: usize = 8;

/// The names of the classes that the outputs of a network stand for, in the order of the outputs; none where the network
/// goes by their numbers.
#[derive(Debug, Default)]
pub struct ClassNames {
    /// All names, each with a byte 0 behind it.
    text: String,
    /// Where the byte 0 of each is.
    ends: Vec<usize>,
    /// The classes in the order of their names.
    #[cfg_attr(
        not(feature = "datasets"),
        expect(dead_code, reason = "data sets find classes by it")
    )]
    sorted: Vec<usize>,
}

impl ClassNames {
    /// # Errors
    /// [`Error::Mismatch`] for a name twice or with a byte 0 in it, [`Error::SizeOverflow`], [`Error::OutOfMemory`].
    pub(crate) fn new<S: AsRef<str>>(names: &[S]) -> Result<Self> {
        let mut len = names.len();
        for name in names {
            let name = name.as_ref();
            if name.contains('\0') {
                return Err(Error::Mismatch {
                    name: "a class name",
                    actual: quote(name).to_string(),
                    expected: "one without a byte 0".into(),
                });
            }
            len = shape::sum(WHAT, &[len, name.len()])?;
        }
        let mut text = try_string(WHAT, len)?;
        let mut ends = try_vec(WHAT, names.len())?;
        for name in names {
            text.push_str(name.as_ref());
            ends.push(text.len());
            text.push('\0');
        }
        let names = Self {
            text,
            ends,
            sorted: Vec::new(),
        };
        let sorted = names.sorted()?;
        Ok(Self { sorted, ..names })
    }

    /// The classes in the order of their names. Sorting is large: it is compiled once, not for each type of name.
    fn sorted(&self) -> Result<Vec<usize>> {
        let mut sorted = try_vec(WHAT, self.len())?;
        sorted.extend(0..self.len());
        sorted.sort_unstable_by_key(|&class| self.get(class));
        let mut pairs = sorted
            .windows(2)
            .map(|pair| (self.get(pair[0]), self.get(pair[1])));
        if let Some((Some(name), _)) = pairs.find(|(name, next)| name == next) {
            return Err(Error::Mismatch {
                name: "a class name",
                actual: format!("{} twice", quote(name)),
                expected: "one name for each class".into(),
            });
        }
        Ok(sorted)
    }

    /// Their number: as many as the network has outputs, or 0.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name of a class; None where it has none.
    pub fn get(&self, class: usize) -> Option<&str> {
        let end = *self.ends.get(class)?;
        Some(&self.text[self.start(class)..end])
    }

    /// As [`Self::get`], with the byte 0 that C expects at its end.
    pub fn c_str(&self, class: usize) -> Option<&CStr> {
        let end = *self.ends.get(class)?;
        CStr::from_bytes_with_nul(&self.text.as_bytes()[self.start(class)..=end]).ok()
    }

    /// All names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let names = self.ends.iter().enumerate();
        names.map(|(class, &end)| &self.text[self.start(class)..end])
    }

    fn start(&self, class: usize) -> usize {
        class
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] + 1)
    }

    /// The class of each of `names`; None where all are in their places.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a name that is none of these, [`Error::OutOfMemory`].
    #[cfg(feature = "datasets")]
    pub(crate) fn classes_of(&self, names: &[String]) -> Result<Option<Vec<usize>>> {
        if self.iter().zip(names).all(|(own, name)| own == name) && names.len() <= self.len() {
            return Ok(None);
        }
        let mut classes = try_vec(WHAT, names.len())?;
        for name in names {
            let found = self
                .sorted
                .binary_search_by_key(&Some(&**name), |&class| self.get(class));
            match found {
                Ok(place) => classes.push(self.sorted[place]),
                Err(_) => {
                    return Err(Error::Mismatch {
                        name: "a class of the data set",
                        actual: quote(name).to_string(),
                        expected: format!("one that the network knows: {}", self.list()),
                    });
                }
            }
        }
        Ok(Some(classes))
    }

    /// The names in a message: the first ones, where there are many.
    #[cfg(feature = "datasets")]
    fn list(&self) -> String {
        let mut list = String::new();
        for (index, name) in self.iter().take(SHOWN).enumerate() {
            list += if index > 0 { ", " } else { "" };
            list += &quote(name).to_string();
        }
        if self.len() > SHOWN {
            list += &format!(" and {} more", self.len() - SHOWN);
        }
        list
    }
}
