//! The lines of a file, and what is wrong with them.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use crate::error::quote;
use crate::{Element, Error, Result};

/// The lines that say something. Faults get the number of the last line that was read.
pub(super) struct Lines<'a> {
    path: &'a Path,
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a [u8], path: &'a Path) -> Self {
        Self {
            path,
            rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            number: 0,
        }
    }

    /// The next line that is neither blank nor a comment. Comments may be in any encoding that has ASCII's characters.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|byte| b"\r\n".contains(byte));
            let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
            self.rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.number += 1;
            let line = line.trim_ascii();
            if !matches!(line.first(), None | Some(b'#' | b'%')) {
                return Some(line);
            }
        }
        None
    }

    /// The number of the last line.
    pub(super) fn number(&self) -> usize {
        self.number.max(1)
    }

    /// The text of a line, trimmed.
    pub(super) fn text(&self, line: &'a [u8]) -> Result<&'a str> {
        match str::from_utf8(line) {
            Ok(text) => Ok(text.trim()),
            Err(fault) => {
                let at = fault.valid_up_to();
                Err(self.fault(format!(
                    "byte {} of the line is 0x{:02x}, expected UTF-8 text",
                    at + 1,
                    line[at]
                )))
            }
        }
    }

    pub(super) fn fault(&self, message: impl Into<String>) -> Error {
        Error::Parse {
            path: self.path.to_path_buf(),
            line: self.number(),
            message: message.into(),
        }
    }

    pub(super) fn boolean(&self, tag: &str, value: &str) -> Result<bool> {
        boolean(value)
            .ok_or_else(|| self.fault(format!("{tag} is {}, expected true or false", quote(value))))
    }

    /// A number; `None` where it is missing.
    pub(super) fn value<E: Element + FromStr>(
        &self,
        place: impl Display,
        token: &str,
    ) -> Result<Option<E>> {
        let token = token.trim();
        if token == "?" {
            return Ok(None);
        }
        match token.parse::<E>() {
            Ok(value) if value.is_finite() => Ok(Some(value)),
            Ok(value) if value.to_f64().is_nan() => Ok(None),
            Ok(_) => Err(self.fault(format!(
                "{place} is {}, expected a finite {} number",
                quote(token),
                E::NAME
            ))),
            Err(_) => Err(self.fault(format!("{place} is {}, expected a number", quote(token)))),
        }
    }
}

pub(super) fn boolean(value: &str) -> Option<bool> {
    if value.eq_ignore_ascii_case("true") {
        Some(true)
    } else if value.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}
