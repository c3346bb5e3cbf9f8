//! Why a command ends early.

use std::fmt::Display;
use std::io;

/// What ends a command.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong: one line that says what, where, and what was expected.
    Message(String),
    /// Nobody reads standard output any more.
    PipeClosed,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(message: impl Display) -> Self {
        // What other libraries say may have several lines.
        let message = message.to_string();
        Self::Message(message.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl From<elman::Error> for Failure {
    fn from(error: elman::Error) -> Self {
        Self::new(error)
    }
}

/// Of standard output: what is done with files names them.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::new(format_args!("standard output: {error}")),
        }
    }
}
