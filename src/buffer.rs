//! Storage: 64-byte-aligned, zeroed, and allocated without ever aborting the host program.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::{Element, Error, Result};

/// Elements per line; a line is one or two cache lines.
const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line<E>([E; LINE]);

/// A slice of elements on the heap, aligned to 64 bytes.
pub struct Buffer<E> {
    lines: Vec<Line<E>>,
    len: usize,
}

impl<E: Element> Buffer<E> {
    /// A buffer without elements.
    pub const fn new() -> Self {
        Self {
            lines: Vec::new(),
            len: 0,
        }
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// As [`Self::resize`].
    pub fn zeroed(what: &'static str, len: usize) -> Result<Self> {
        let mut buffer = Self::new();
        buffer.resize(what, len)?;
        Ok(buffer)
    }

    /// Makes the length `len`. What the elements hold afterwards is old or 0. Memory is only ever added, so that work
    /// that repeats allocates nothing.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; the buffer is then as it was.
    pub fn resize(&mut self, what: &'static str, len: usize) -> Result<()> {
        let lines = len.div_ceil(LINE);
        if let Some(missing) = lines.checked_sub(self.lines.len()) {
            self.lines
                .try_reserve_exact(missing)
                .map_err(|_| Error::OutOfMemory {
                    what,
                    bytes: len.saturating_mul(size_of::<E>()),
                })?;
            self.lines.resize(lines, Line([E::ZERO; LINE]));
        }
        self.len = len;
        Ok(())
    }

    /// A copy.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]
    pub fn try_clone(&self, what: &'static str) -> Result<Self> {
        let mut copy = Self::zeroed(what, self.len)?;
        copy.copy_from_slice(self);
        Ok(copy)
    }
}

impl<E> Deref for Buffer<E> {
    type Target = [E];

    #[inline(always)]
    fn deref(&self) -> &[E] {
        // SAFETY: `resize` keeps `len` within the `LINE` elements of each initialised line; lines lie one after the
        // other without gaps, because a line's size is a multiple of its alignment.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<E> DerefMut for Buffer<E> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E] {
        // SAFETY: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl<E: Element> Default for Buffer<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Buffer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish()
    }
}

/// An empty vector with room for `capacity` items.
///
/// # Errors
/// [`Error::OutOfMemory`]
pub fn try_vec<T>(what: &'static str, capacity: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    try_reserve(what, &mut vec, capacity)?;
    Ok(vec)
}

/// An empty string with room for `bytes` bytes.
///
/// # Errors
/// [`Error::OutOfMemory`]
pub fn try_string(what: &'static str, bytes: usize) -> Result<String> {
    let mut string = String::new();
    string
        .try_reserve_exact(bytes)
        .map_err(|_| Error::OutOfMemory { what, bytes })?;
    Ok(string)
}

/// Makes room for `capacity` items in all.
///
/// # Errors
/// [`Error::OutOfMemory`]
pub fn try_reserve<T>(what: &'static str, vec: &mut Vec<T>, capacity: usize) -> Result<()> {
    let additional = capacity.saturating_sub(vec.len());
    vec.try_reserve(additional).map_err(|_| Error::OutOfMemory {
        what,
        bytes: capacity.saturating_mul(size_of::<T>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_keep_their_content() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let buffer = Buffer::<f64>::zeroed("x", len).unwrap();
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|&value| value == 0.0));
        }
        let mut buffer = Buffer::<f32>::zeroed("x", 3).unwrap();
        buffer.copy_from_slice(&[1.0, 2.0, 3.0]);
        buffer.resize("x", 100).unwrap();
        assert_eq!(&buffer[..4], &[1.0, 2.0, 3.0, 0.0]);
        assert_eq!(&buffer.try_clone("x").unwrap()[..3], &[1.0, 2.0, 3.0]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri itself ends where memory does")]
    fn too_much_memory_is_an_error_and_changes_nothing() {
        let mut buffer = Buffer::<f32>::zeroed("x", 3).unwrap();
        let error = buffer.resize("a lot", isize::MAX as usize / 8).unwrap_err();
        assert!(matches!(error, Error::OutOfMemory { what: "a lot", .. }));
        assert_eq!(buffer.len(), 3);
    }
}
