//! What can go wrong: one variant per broken precondition.

use std::fmt::{self, Display, Write};
use std::path::PathBuf;

/// Result of every fallible function of the crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A broken precondition or a fault of the outside world. The message names the argument, what it was and what was
/// expected.
///
/// A function that returns one has changed nothing, unless its own documentation says otherwise, as that of
/// [`fit`](crate::train::fit) does: it may fail when it has trained for a while.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size must be at least 1.
    #[error("{name} is 0, expected at least 1")]
    ZeroSize {
        /// The argument.
        name: &'static str,
    },
    /// The sizes multiply to more than memory can hold.
    #[error("the size of {what} overflows")]
    SizeOverflow {
        /// What would have had that size.
        what: &'static str,
    },
    /// A buffer has the wrong number of elements.
    #[error("{name} has {actual} elements, expected {expected}")]
    Length {
        /// The argument.
        name: &'static str,
        /// Elements it has.
        actual: usize,
        /// Elements it must have.
        expected: usize,
    },
    /// A sequence is longer than the batch has steps.
    #[error("lengths[{index}] is {length}, expected 0 to {steps}")]
    SequenceLength {
        /// Which sequence.
        index: usize,
        /// Its length.
        length: usize,
        /// Steps of the batch.
        steps: usize,
    },
    /// A sequence is empty where each must have a step.
    #[error("lengths[{index}] is 0, expected at least 1")]
    EmptySequence {
        /// Which sequence.
        index: usize,
    },
    /// A number is outside its range (or not a number).
    #[error("{name} is {value}, expected {expected}")]
    OutOfRange {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range.
        expected: &'static str,
    },
    /// An index is beyond the end of what it indexes.
    #[error("{name} is {index}, expected less than {count}")]
    IndexOutOfRange {
        /// The argument.
        name: &'static str,
        /// Its value.
        index: usize,
        /// Number of things it can name.
        count: usize,
    },
    /// An element of the input that is an index names no class.
    #[error(
        "x of sequence {sequence} at step {step} in column {column} is {value}, expected an integer of at least 0 and less \
         than {classes}"
    )]
    Index {
        /// Its sequence; 0 in a session.
        sequence: usize,
        /// Its step, counted from the first one of the call.
        step: usize,
        /// Its column of the network's input.
        column: usize,
        /// Its value.
        value: f64,
        /// Number of classes.
        classes: usize,
    },
    /// A label names no class.
    #[error("labels[{index}] is {label}, expected less than {classes}, the number of classes")]
    Label {
        /// Which label.
        index: usize,
        /// Its value.
        label: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A label of a CTC loss is the blank.
    #[error("labels[{index}] is {label}, the blank, expected another class")]
    BlankLabel {
        /// Which label.
        index: usize,
        /// Its value.
        label: usize,
    },
    /// A sequence is too short for its labels in a CTC loss.
    #[error(
        "sequence {sequence} has {steps} steps, expected at least {needed} for its {labels} labels: one for each, and one \
         between two that are equal"
    )]
    TooFewSteps {
        /// Which sequence.
        sequence: usize,
        /// Its length.
        steps: usize,
        /// Steps that its labels need.
        needed: usize,
        /// Number of its labels.
        labels: usize,
    },
    /// A constant that the library does not know.
    #[error("{name} is {value}, which names nothing; known are {known}")]
    UnknownConstant {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: u32,
        /// The constants that exist.
        known: &'static str,
    },
    /// A call came before the one that it builds on, or after something made that one void.
    #[error("{call} out of order: {reason}")]
    CallOrder {
        /// The call.
        call: &'static str,
        /// What is missing.
        reason: &'static str,
    },
    /// Two objects that are used together do not fit each other.
    #[error("{name} is {actual}, expected {expected}")]
    Mismatch {
        /// What was compared.
        name: &'static str,
        /// What was found.
        actual: String,
        /// What was needed.
        expected: String,
    },
    /// Another thread has asked for the end of the call.
    #[error("cancelled")]
    Cancelled,
    /// Memory ran out.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// What was to be stored.
        what: &'static str,
        /// How much it needs.
        bytes: usize,
    },
    /// `ELMAN_TIER` names no tier.
    #[error("ELMAN_TIER is '{value}', expected portable, neon, avx2 or avx512")]
    UnknownTier {
        /// The variable's value.
        value: String,
    },
    /// A tier that this CPU does not have was asked for.
    #[error("tier '{wanted}' is not available on this CPU; the best that is: {best}")]
    UnavailableTier {
        /// The tier that was asked for.
        wanted: &'static str,
        /// The best tier that the CPU has.
        best: &'static str,
    },
    /// Threads could not be started.
    #[error("{threads} threads could not be started: {reason}")]
    Threads {
        /// Number of threads asked for.
        threads: usize,
        /// The operating system's word.
        reason: String,
    },
    /// A file could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// A text file breaks its format.
    #[error("{path}:{line}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line of the fault, from 1.
        line: usize,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// A saved network is damaged or not one of ours.
    #[error("{path}: {message}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// The call needs a part of the library that was left out when it was built.
    #[error("the library was built without the feature '{feature}'")]
    Unsupported {
        /// The feature of the crate that the part belongs to.
        feature: &'static str,
    },
    /// A value that must be finite is not.
    #[error("{what} is not finite")]
    NotFinite {
        /// The value.
        what: &'static str,
    },
    /// An element of a buffer that must be finite is not.
    #[error("{name}[{index}] is {value}, expected a finite number")]
    NotFiniteAt {
        /// The argument.
        name: &'static str,
        /// Which element.
        index: usize,
        /// Its value.
        value: f64,
    },
}

impl Error {
    /// What kind of error it is.
    ///
    /// ```
    /// use elman::{ErrorKind, Network};
    ///
    /// let error = Network::<f32>::new(0).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ZeroSize);
    /// ```
    // Each error is named, so that a new one does not compile until it has a kind.
    #[deny(
        clippy::wildcard_enum_match_arm,
        clippy::match_wildcard_for_single_variants
    )]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ZeroSize { .. } => ErrorKind::ZeroSize,
            Self::SizeOverflow { .. } => ErrorKind::SizeOverflow,
            Self::Length { .. } => ErrorKind::Length,
            Self::SequenceLength { .. }
            | Self::EmptySequence { .. }
            | Self::OutOfRange { .. }
            | Self::IndexOutOfRange { .. }
            | Self::Index { .. }
            | Self::Label { .. }
            | Self::BlankLabel { .. }
            | Self::TooFewSteps { .. } => ErrorKind::OutOfRange,
            Self::UnknownConstant { .. } => ErrorKind::UnknownConstant,
            Self::CallOrder { .. } => ErrorKind::CallOrder,
            Self::Mismatch { .. } => ErrorKind::Mismatch,
            Self::NotFinite { .. } | Self::NotFiniteAt { .. } => ErrorKind::NotFinite,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::OutOfMemory { .. } => ErrorKind::OutOfMemory,
            Self::Threads { .. } => ErrorKind::Threads,
            Self::UnknownTier { .. } | Self::UnavailableTier { .. } => ErrorKind::Tier,
            Self::Io { .. } => ErrorKind::Io,
            Self::Parse { .. } => ErrorKind::Parse,
            Self::Format { .. } => ErrorKind::Format,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
        }
    }
}

/// The kinds of errors: one for each status of the C library.
///
/// Each [`Error`] has one of these, and a version that adds errors of a new kind is a new minor version at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A size is 0 that must be at least 1.
    ZeroSize,
    /// Sizes multiply to more than memory can hold.
    SizeOverflow,
    /// A buffer has the wrong number of elements.
    Length,
    /// A number, an index, a label or the length of a sequence is outside its range, or not a number.
    OutOfRange,
    /// A constant names nothing.
    UnknownConstant,
    /// A call came before the one that it builds on, or after something made that one void.
    CallOrder,
    /// Two objects that are used together do not fit each other.
    Mismatch,
    /// A number is infinite or not a number where only finite ones make sense.
    NotFinite,
    /// Another thread has asked for the end of the call.
    Cancelled,
    /// Memory ran out.
    OutOfMemory,
    /// Threads could not be started.
    Threads,
    /// `ELMAN_TIER` names no tier, or one that this CPU does not have.
    Tier,
    /// A file could not be opened, read or written.
    Io,
    /// A text file breaks its format.
    Parse,
    /// A saved network is damaged, or is none.
    Format,
    /// A part of the library that was left out when it was built.
    Unsupported,
}

/// A piece of a file or a name in a message: in quotes, and short, whatever it is.
pub(crate) fn quote(token: &str) -> impl Display {
    Quoted(token)
}

struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let mut characters = self.0.chars();
        f.write_char('\'')?;
        for character in characters.by_ref().take(SHOWN) {
            write!(f, "{}", character.escape_debug())?;
        }
        f.write_str(if characters.next().is_some() {
            "'..."
        } else {
            "'"
        })
    }
}
