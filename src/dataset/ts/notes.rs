//! What a file says of itself that is not so.

use std::fmt::{self, Write};

use crate::Result;
use crate::buffer::try_string;
use crate::dataset::append;

/// The notes on a file, in the order in which they were made.
#[derive(Default)]
pub(super) struct Notes {
    texts: Vec<String>,
}

impl Notes {
    pub(super) fn add(&mut self, line: usize, message: fmt::Arguments) -> Result<()> {
        const WHAT: &str = "the notes on a data set";
        let write = |to: &mut dyn Write| {
            write!(to, "line {line}: {message}").expect("nothing to write to can refuse")
        };
        let mut length = Length(0);
        write(&mut length);
        let mut text = try_string(WHAT, length.0)?;
        write(&mut text);
        append(WHAT, &mut self.texts, text)
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// The bytes of what is written to it.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
