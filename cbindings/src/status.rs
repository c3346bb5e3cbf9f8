//! Status and errors
//!
//! Whatever can fail returns an elman_status: ELMAN_OK (0), or one of the constants below. A call that fails has
//! written to none of its result pointers, and the objects it was given are as they were, unless the function says
//! otherwise, as elman_fit() does.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt::{self, Write};

use elman_engine::{Error, ErrorKind};

/// What a call says about itself: ELMAN_OK or an ELMAN_ERROR_ constant. Later versions may add constants.
pub type Status = i32;

/// The call has done what it is for.
pub const ELMAN_OK: Status = 0;
/// A pointer is NULL that must not be.
pub const ELMAN_ERROR_NULL: Status = 1;
/// A pointer is not aligned to the type that it points to.
pub const ELMAN_ERROR_ALIGNMENT: Status = 2;
/// A buffer that is written overlaps another argument.
pub const ELMAN_ERROR_OVERLAP: Status = 3;
/// A size is 0 that must be at least 1.
pub const ELMAN_ERROR_ZERO_SIZE: Status = 4;
/// Sizes multiply to more than memory can hold.
pub const ELMAN_ERROR_SIZE_OVERFLOW: Status = 5;
/// A buffer has the wrong number of elements.
pub const ELMAN_ERROR_LENGTH: Status = 6;
/// A number, an index, a label or the length of a sequence is outside its range, or not a number.
pub const ELMAN_ERROR_OUT_OF_RANGE: Status = 7;
/// A constant, or the name of a function, names nothing.
pub const ELMAN_ERROR_UNKNOWN_CONSTANT: Status = 8;
/// A call came before the one that it builds on, or after something made that one void.
pub const ELMAN_ERROR_CALL_ORDER: Status = 9;
/// Two objects that are used together do not fit each other.
pub const ELMAN_ERROR_MISMATCH: Status = 10;
/// A number is infinite or not a number where only finite ones make sense.
pub const ELMAN_ERROR_NOT_FINITE: Status = 11;
/// Memory ran out.
pub const ELMAN_ERROR_OUT_OF_MEMORY: Status = 12;
/// Threads could not be started.
pub const ELMAN_ERROR_THREADS: Status = 13;
/// The environment variable ELMAN_TIER names no tier, or one that this CPU does not have.
pub const ELMAN_ERROR_TIER: Status = 14;
/// A file could not be opened, read or written.
pub const ELMAN_ERROR_IO: Status = 15;
/// A text file breaks its format.
pub const ELMAN_ERROR_PARSE: Status = 16;
/// A saved network or optimizer is damaged, or is none.
pub const ELMAN_ERROR_FORMAT: Status = 17;
/// A fault of the library itself. The objects of the call may only be destroyed. Please report it.
pub const ELMAN_ERROR_INTERNAL: Status = 18;
/// Another thread has asked for the end of the call.
pub const ELMAN_ERROR_CANCELLED: Status = 19;
/// The function belongs to a part that was left out when the library was built; the message names it. By default no part is.
pub const ELMAN_ERROR_UNSUPPORTED: Status = 20;

/// Every status and what it means, in the order of the constants.
const MEANINGS: [(Status, &CStr); 21] = [
    (ELMAN_OK, c"success"),
    (ELMAN_ERROR_NULL, c"a pointer is NULL"),
    (ELMAN_ERROR_ALIGNMENT, c"a pointer is misaligned"),
    (ELMAN_ERROR_OVERLAP, c"buffers overlap"),
    (ELMAN_ERROR_ZERO_SIZE, c"a size is 0"),
    (ELMAN_ERROR_SIZE_OVERFLOW, c"a size overflows"),
    (ELMAN_ERROR_LENGTH, c"wrong number of elements"),
    (ELMAN_ERROR_OUT_OF_RANGE, c"out of range"),
    (ELMAN_ERROR_UNKNOWN_CONSTANT, c"unknown constant"),
    (ELMAN_ERROR_CALL_ORDER, c"call out of order"),
    (ELMAN_ERROR_MISMATCH, c"objects do not fit each other"),
    (ELMAN_ERROR_NOT_FINITE, c"a number is not finite"),
    (ELMAN_ERROR_OUT_OF_MEMORY, c"out of memory"),
    (ELMAN_ERROR_THREADS, c"threads could not be started"),
    (ELMAN_ERROR_TIER, c"no such tier"),
    (ELMAN_ERROR_IO, c"input or output failed"),
    (ELMAN_ERROR_PARSE, c"a text file breaks its format"),
    (ELMAN_ERROR_FORMAT, c"not a saved network"),
    (ELMAN_ERROR_INTERNAL, c"internal error"),
    (ELMAN_ERROR_CANCELLED, c"cancelled"),
    (ELMAN_ERROR_UNSUPPORTED, c"left out of this library"),
];

/// What a status means, in a few words; "unknown status" for a number that is none. The string is the library's and
/// stays for good.
///
/// Threads: any. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_status_string(status: Status) -> *const c_char {
    let known = MEANINGS.iter().find(|(known, _)| *known == status);
    known
        .map_or(c"unknown status", |(_, meaning)| meaning)
        .as_ptr()
}

/// The message of the last call on this thread that failed: it names the argument, what it was and what was expected.
/// An empty string where none has failed yet.
///
/// A call that succeeds leaves the message alone, as it leaves errno alone; so read it right after a call that returned
/// something other than ELMAN_OK, and on the same thread: hosts that can't say on which thread they are (goroutines,
/// Node's asynchronous calls) have elman_call(). The string is the library's. It stays until another call on this thread
/// fails or the thread ends. A message beyond 1023 bytes is cut.
///
/// Threads: each has its own message. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_last_error() -> *const c_char {
    MESSAGE.with_borrow(|message| message.bytes.as_ptr().cast())
}

/// What can go wrong in an entry.
#[derive(Debug)]
pub(crate) enum Failure {
    Engine(Error),
    Null {
        name: &'static str,
    },
    Misaligned {
        name: &'static str,
        address: usize,
        alignment: usize,
    },
    Overlap {
        name: &'static str,
        other: &'static str,
    },
    Panic {
        message: String,
    },
    /// A word that is no value of an argument.
    Word {
        name: &'static str,
        word: u64,
        expected: &'static str,
    },
    UnknownFunction {
        name: String,
    },
    ArgumentCount {
        count: usize,
        function: &'static str,
        arguments: &'static [&'static str],
    },
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// The complaint about a number that the engine has another name for than the caller.
pub(crate) fn renamed<T>(name: &'static str, result: elman_engine::Result<T>) -> Result<T> {
    result.map_err(|error| {
        match error {
            Error::OutOfRange {
                value, expected, ..
            } => Error::OutOfRange {
                name,
                value,
                expected,
            },
            other => other,
        }
        .into()
    })
}

impl Failure {
    /// The complaint about a name that may have any length.
    pub(crate) fn unknown_function(name: &[u8]) -> Self {
        let start = &name[..name.len().min(64)];
        Self::UnknownFunction {
            name: String::from_utf8_lossy(start).into_owned(),
        }
    }

    // Each kind of error is named, so that a new one does not compile until it has a status.
    #[deny(
        clippy::wildcard_enum_match_arm,
        clippy::match_wildcard_for_single_variants
    )]
    fn status(&self) -> Status {
        match self {
            Self::Null { .. } => ELMAN_ERROR_NULL,
            Self::Misaligned { .. } => ELMAN_ERROR_ALIGNMENT,
            Self::Overlap { .. } => ELMAN_ERROR_OVERLAP,
            Self::Panic { .. } => ELMAN_ERROR_INTERNAL,
            Self::Word { .. } => ELMAN_ERROR_OUT_OF_RANGE,
            Self::UnknownFunction { .. } => ELMAN_ERROR_UNKNOWN_CONSTANT,
            Self::ArgumentCount { .. } => ELMAN_ERROR_LENGTH,
            Self::Engine(error) => match error.kind() {
                ErrorKind::ZeroSize => ELMAN_ERROR_ZERO_SIZE,
                ErrorKind::SizeOverflow => ELMAN_ERROR_SIZE_OVERFLOW,
                ErrorKind::Length => ELMAN_ERROR_LENGTH,
                ErrorKind::OutOfRange => ELMAN_ERROR_OUT_OF_RANGE,
                ErrorKind::UnknownConstant => ELMAN_ERROR_UNKNOWN_CONSTANT,
                ErrorKind::CallOrder => ELMAN_ERROR_CALL_ORDER,
                ErrorKind::Mismatch => ELMAN_ERROR_MISMATCH,
                ErrorKind::NotFinite => ELMAN_ERROR_NOT_FINITE,
                ErrorKind::Cancelled => ELMAN_ERROR_CANCELLED,
                ErrorKind::OutOfMemory => ELMAN_ERROR_OUT_OF_MEMORY,
                ErrorKind::Threads => ELMAN_ERROR_THREADS,
                ErrorKind::Tier => ELMAN_ERROR_TIER,
                ErrorKind::Io => ELMAN_ERROR_IO,
                ErrorKind::Parse => ELMAN_ERROR_PARSE,
                ErrorKind::Format => ELMAN_ERROR_FORMAT,
                ErrorKind::Unsupported => ELMAN_ERROR_UNSUPPORTED,
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Null { name } => write!(f, "{name} is NULL"),
            Self::Misaligned {
                name,
                address,
                alignment,
            } => write!(
                f,
                "{name} is at address {address:#x}, expected a multiple of {alignment}"
            ),
            Self::Overlap { name, other } => {
                write!(f, "{name} overlaps {other}, expected separate buffers")
            }
            Self::Panic { message } => write!(f, "internal error: {message}"),
            Self::Word {
                name,
                word,
                expected,
            } => write!(f, "{name} is {word}, expected {expected}"),
            Self::UnknownFunction { name } => write!(
                f,
                "function is '{name}', expected the name of one that returns a status or destroys an object"
            ),
            Self::ArgumentCount {
                count,
                function,
                arguments,
            } => write!(
                f,
                "count is {count}, expected {} for {function}({})",
                arguments.len(),
                arguments.join(", ")
            ),
        }
    }
}

/// Makes a failure the thread's last message.
pub(crate) fn record(failure: &Failure) -> Status {
    MESSAGE.with_borrow_mut(|message| {
        message.len = 0;
        // A message that does not fit is cut, which `write!` reports as an error.
        let _ = write!(message, "{failure}");
        message.bytes[message.len] = 0;
    });
    failure.status()
}

/// Copies what a call that has just returned `status` on this thread says: the thread's last message, or nothing after
/// success. What does not fit is cut between characters.
pub(crate) fn copy_message(status: Status, room: &mut [c_char]) {
    MESSAGE.with_borrow(|message| {
        let text = match status {
            ELMAN_OK => "",
            _ => message.text(),
        };
        let Some(most) = room.len().checked_sub(1) else {
            return;
        };
        let mut len = text.len().min(most);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        for (to, &from) in room.iter_mut().zip(&text.as_bytes()[..len]) {
            *to = from as c_char;
        }
        room[len] = 0;
    });
}

thread_local! {
    // It needs neither memory nor a destructor, so that a thread may fail at any time of its life.
    static MESSAGE: RefCell<Message> = const {
        RefCell::new(Message {
            bytes: [0; 1024],
            len: 0,
        })
    };
}

/// A text of limited length. It holds no byte 0 before its end.
struct Message {
    bytes: [u8; 1024],
    len: usize,
}

impl Message {
    fn text(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).expect("it consists of characters")
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let character = if character == '\0' { '?' } else { character };
            let end = self.len + character.len_utf8();
            if end >= self.bytes.len() {
                return Err(fmt::Error);
            }
            character.encode_utf8(&mut self.bytes[self.len..end]);
            self.len = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::border;

    fn last_error() -> String {
        MESSAGE.with_borrow(|message| {
            let text = CStr::from_bytes_until_nul(&message.bytes).unwrap();
            assert_eq!(text.to_str(), Ok(message.text()));
            message.text().to_string()
        })
    }

    #[test]
    fn a_panic_becomes_a_status_and_a_message() {
        assert_eq!(last_error(), "");
        let status = border::call(|_| panic!("tile {} is lost", 3));
        assert_eq!(status, ELMAN_ERROR_INTERNAL);
        assert_eq!(last_error(), "internal error: tile 3 is lost");
        assert_eq!(border::call(|_| Ok(())), ELMAN_OK);
        assert_eq!(last_error(), "internal error: tile 3 is lost");
        let value = border::get("network", Some(&0), 7, |_| panic!("again"));
        assert_eq!((value, last_error().as_str()), (7, "internal error: again"));
    }

    #[test]
    fn long_messages_are_cut_between_characters_and_hold_no_zero() {
        let message = format!("\0{}", "é".repeat(2000));
        record(&Failure::Panic { message });
        let text = last_error();
        assert!(text.starts_with("internal error: ?é") && text.ends_with('é'));
        assert!((1022..1024).contains(&text.len()));
    }

    #[test]
    fn meanings_follow_the_constants() {
        for (index, (status, _)) in MEANINGS.iter().enumerate() {
            assert_eq!(usize::try_from(*status).unwrap(), index);
        }
    }
}
