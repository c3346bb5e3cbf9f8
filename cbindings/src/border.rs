//! The border to C: the only file that follows the caller's pointers, and the guard around every entry.
//!
//! Handles need nothing from here but [`require`]: `Option<&T>`, `Option<&mut T>` and `Option<Box<T>>` are pointers
//! that may be null, and the types say who owns what. Buffers and results come as raw pointers, which [`Caller`] checks
//! for null, alignment, size and overlap before it makes a slice of them. What it can't check, the caller of an entry
//! has promised: so the entry is an `unsafe fn`, and so are the methods that follow its pointers.
#![deny(unsafe_op_in_unsafe_fn)] // the other files have no unsafe operations but calls into this one

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;

use elman_engine::{Error, shape};

use crate::network::Network;
use crate::status::{self, ELMAN_OK, Failure, Result, Status};

/// Runs the body of an entry. Whatever goes wrong, a panic too, becomes a status and the thread's last message.
pub fn call(body: impl for<'call> FnOnce(&mut Caller<'call>) -> Result<()>) -> Status {
    match guarded(|| body(&mut Caller::new())) {
        Ok(()) => ELMAN_OK,
        Err(failure) => status::record(&failure),
    }
}

/// Reads something from a handle. What cannot be read is `missing`, with the thread's last message.
pub fn get<H, T>(
    name: &'static str,
    handle: Option<&H>,
    missing: T,
    read: impl FnOnce(&H) -> T,
) -> T {
    match guarded(|| Ok(read(require(name, handle)?))) {
        Ok(value) => value,
        Err(failure) => {
            status::record(&failure);
            missing
        }
    }
}

/// Frees an object; of no object, does nothing.
pub fn destroy<T>(object: Option<Box<T>>) {
    call(|_| {
        drop(object);
        Ok(())
    });
}

/// The object behind a handle, or the complaint that there is none.
pub fn require<T>(name: &'static str, handle: Option<T>) -> Result<T> {
    handle.ok_or(Failure::Null { name })
}

/// A yes or no.
pub fn flag(name: &'static str, value: u32) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::UnknownConstant {
            name,
            value,
            known: "0 and 1",
        }
        .into()),
    }
}

/// A field that means nothing yet.
pub fn zero(name: &'static str, value: u32) -> Result<()> {
    match value {
        0 => Ok(()),
        _ => Err(Error::UnknownConstant {
            name,
            value,
            known: "0",
        }
        .into()),
    }
}

/// An object on its way to the caller, who gives it back to [`destroy`].
pub fn handle<T>(object: T) -> *mut T {
    Box::into_raw(Box::new(object))
}

/// A copy of a buffer for the engine to keep.
pub fn copied<T: Plain>(what: &'static str, values: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(what, values.len())?;
    copy.extend_from_slice(values);
    Ok(copy)
}

/// A struct of the header that starts with its own size, a `size_t`, and grows at its end: the size is its version.
pub trait Versioned: Copy {
    /// The size of its first version. Every later one is a multiple of a `size_t`'s.
    const FIRST: usize;
}

/// Checks the size that the caller's header gives a struct.
fn expect_version<T: Versioned>(name: &'static str, size: usize) -> Result<()> {
    let (first, last) = (T::FIRST, size_of::<T>());
    if (first..=last).contains(&size) && size.is_multiple_of(size_of::<usize>()) {
        return Ok(());
    }
    let expected = if first == last {
        format!("{last}, as in the header of this version")
    } else {
        format!(
            "{last}, as in the header of this version, or that of an older one, from {first} on"
        )
    };
    Err(Error::Mismatch {
        name,
        actual: size.to_string(),
        expected,
    }
    .into())
}

/// An empty vector with room for `capacity` elements.
pub fn reserved<T>(what: &'static str, capacity: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(capacity)
        .map_err(|_| Error::OutOfMemory {
            what,
            bytes: capacity.saturating_mul(size_of::<T>()),
        })?;
    Ok(room)
}

/// No object is in use beyond a panic: the caller is told to destroy it.
fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        Err(Failure::Panic {
            message: panic_message(&*payload),
        })
    })
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(ToString::to_string);
    literal
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_string())
}

impl Network {
    /// The handle of a network that the engine hands out.
    pub fn wrap(network: &elman_engine::Network<f32>) -> &Self {
        // SAFETY: `Network` is transparent around the engine's type.
        unsafe { &*ptr::from_ref(network).cast() }
    }
}

/// The most buffers and results that one entry takes.
const MOST_BUFFERS: usize = 8;

/// The C caller of an entry, during that entry.
///
/// The methods take pointers that the entry got from its caller, and follow them as far as the entry's documentation has
/// told that caller: what is under "Safety" at a method is what the caller of the entry has promised. The references that
/// they return end with the entry.
pub struct Caller<'call> {
    buffers: [Buffer; MOST_BUFFERS],
    count: usize,
    call: PhantomData<&'call mut ()>,
}

/// See [`Caller::versioned_result`].
pub struct VersionedResult<'call, T> {
    pointer: *mut T,
    size: usize,
    call: PhantomData<&'call mut T>,
}

impl<T: Versioned> VersionedResult<'_, T> {
    /// Writes what the caller's version has of `value`.
    pub fn write(self, value: T) {
        // SAFETY: `versioned_result` has found the pointer to be aligned and not null, its caller has promised room for
        // `size` bytes, and no version is larger than `value`.
        unsafe {
            ptr::copy_nonoverlapping(
                (&raw const value).cast(),
                self.pointer.cast::<u8>(),
                self.size,
            )
        };
    }
}

/// Checks that a pointer is neither null nor misaligned.
fn expect_aligned<T>(name: &'static str, pointer: *const T) -> Result<()> {
    if pointer.is_null() {
        return Err(Failure::Null { name });
    }
    if !pointer.is_aligned() {
        return Err(Failure::Misaligned {
            name,
            address: pointer.addr(),
            alignment: align_of::<T>(),
        });
    }
    Ok(())
}

/// The bytes of a buffer that the caller gave.
#[derive(Clone, Copy, Default)]
struct Buffer {
    name: &'static str,
    start: usize,
    end: usize,
    written: bool,
}

/// Types of which every bit pattern is a value, so that whatever lies in the caller's buffer is a slice of them.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i8 {} // `c_char` is one of these two
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u64 {}
impl Plain for usize {}

impl<'call> Caller<'call> {
    fn new() -> Self {
        Self {
            buffers: [Buffer::default(); MOST_BUFFERS],
            count: 0,
            call: PhantomData,
        }
    }

    /// A buffer of `sizes` elements to read.
    ///
    /// # Safety
    ///
    /// - The pointer is NULL, or the buffer has that many elements.
    /// - Nobody else writes to it before the entry ends.
    pub unsafe fn read<T: Plain>(
        &mut self,
        name: &'static str,
        pointer: *const T,
        sizes: &[usize],
    ) -> Result<&'call [T]> {
        let len = shape::product(name, sizes)?;
        self.enter(name, pointer, len, false)?;
        // SAFETY:
        // - `enter` has found the pointer to be aligned and not null.
        // - `product` has limited the size to what a slice may have; the caller promises that the buffer has it.
        // - Every bit pattern is a value of `T`.
        // - No one writes to it meanwhile: not the entry, because it overlaps none of the entry's results, and nobody
        //   else, which the caller promises.
        Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
    }

    /// A buffer of `sizes` elements to write.
    ///
    /// # Safety
    ///
    /// - The pointer is NULL, or the buffer has room for that many elements.
    /// - Nobody else reads or writes it before the entry ends.
    pub unsafe fn write<T: Plain>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
        sizes: &[usize],
    ) -> Result<&'call mut [T]> {
        let len = shape::product(name, sizes)?;
        self.enter(name, pointer, len, true)?;
        // SAFETY: as in `read`; and no other slice of the entry overlaps this one.
        Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
    }

    /// As [`Self::read`], of a buffer that may be missing.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn read_optional<T: Plain>(
        &mut self,
        name: &'static str,
        pointer: *const T,
        sizes: &[usize],
    ) -> Result<Option<&'call [T]>> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: what the caller promises here is what it promises there.
        unsafe { self.read(name, pointer, sizes) }.map(Some)
    }

    /// As [`Self::write`], of a buffer that may be missing.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn write_optional<T: Plain>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
        sizes: &[usize],
    ) -> Result<Option<&'call mut [T]>> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: what the caller promises here is what it promises there.
        unsafe { self.write(name, pointer, sizes) }.map(Some)
    }

    /// The place for one result, to be written once nothing can go wrong any more.
    ///
    /// # Safety
    ///
    /// - The pointer is NULL, or has room for a `T`.
    /// - Nobody else reads or writes there before the entry ends.
    pub unsafe fn result<T: Copy>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
    ) -> Result<&'call mut MaybeUninit<T>> {
        self.enter(name, pointer, 1, true)?;
        // SAFETY: `enter` has found the pointer to be aligned, not null and apart from all other slices of the entry;
        // the caller promises that there is room for a `T`. It need not hold a value.
        Ok(unsafe { &mut *pointer.cast() })
    }

    /// As [`Self::result`], of a result that the caller may not want.
    ///
    /// # Safety
    ///
    /// As there.
    pub unsafe fn result_optional<T: Copy>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
    ) -> Result<Option<&'call mut MaybeUninit<T>>> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: what the caller promises here is what it promises there.
        unsafe { self.result(name, pointer) }.map(Some)
    }

    /// A struct that says which version it is; what an older one does not have is as in `defaults`, and so is all of it
    /// where it is missing.
    ///
    /// # Safety
    ///
    /// - `pointer` is NULL, or what it points to starts with a `size_t`, and is as large as that says.
    /// - Nobody writes to it before the entry ends.
    pub unsafe fn versioned<T: Versioned>(
        &mut self,
        name: &'static str,
        pointer: *const T,
        defaults: T,
    ) -> Result<T> {
        let mut value = defaults;
        if pointer.is_null() {
            return Ok(value);
        }
        expect_aligned(name, pointer)?;
        // SAFETY: the pointer is aligned and not null, and every version of the struct starts with a size.
        let size = unsafe { pointer.cast::<usize>().read() };
        expect_version::<T>("the size field of options", size)?;
        self.enter(
            name,
            pointer.cast::<usize>(),
            size / size_of::<usize>(),
            false,
        )?;
        // SAFETY: the caller promises `size` bytes, which `value` has as well; they are the first fields of a `T`, with
        // values of their types.
        unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast(), size) };
        Ok(value)
    }

    /// The place for a struct of the version of that size, to be written once nothing can go wrong any more.
    ///
    /// # Safety
    ///
    /// - `pointer` is NULL or has room for `size` bytes, which nobody else touches before the entry ends.
    pub unsafe fn versioned_result<T: Versioned>(
        &mut self,
        name: &'static str,
        pointer: *mut T,
        size: usize,
    ) -> Result<VersionedResult<'call, T>> {
        expect_aligned(name, pointer)?;
        expect_version::<T>("size", size)?;
        self.enter(
            name,
            pointer.cast::<usize>(),
            size / size_of::<usize>(),
            true,
        )?;
        Ok(VersionedResult {
            pointer,
            size,
            call: PhantomData,
        })
    }

    /// The object behind a handle that lies in a struct of the caller's; it may be missing.
    ///
    /// # Safety
    ///
    /// - The handle is NULL, or one of the library's for a `T` that is not destroyed before the entry ends.
    /// - Nobody changes the object before the entry ends.
    pub unsafe fn object<T>(&mut self, handle: *const T) -> Option<&'call T> {
        // SAFETY: the library's handles are aligned pointers to a `T`, and the caller promises that this one is alive and
        // that nobody changes the object meanwhile.
        unsafe { handle.as_ref() }
    }

    /// A string that ends with 0.
    ///
    /// # Safety
    ///
    /// - The pointer is NULL, or the string ends with 0.
    /// - Nobody else writes to it before the entry ends.
    pub unsafe fn string(
        &mut self,
        name: &'static str,
        pointer: *const c_char,
    ) -> Result<&'call CStr> {
        if pointer.is_null() {
            return Err(Failure::Null { name });
        }
        // SAFETY: the pointer is not null, and the caller promises a string that ends with 0 and that nobody writes to
        // meanwhile.
        Ok(unsafe { CStr::from_ptr(pointer) })
    }

    /// A string of UTF-8 that ends with 0.
    ///
    /// # Safety
    ///
    /// As with [`Self::string`].
    pub unsafe fn text(
        &mut self,
        name: &'static str,
        pointer: *const c_char,
    ) -> Result<&'call str> {
        // SAFETY: what the caller promises here is what it promises there.
        utf8(name, unsafe { self.string(name, pointer) }?)
    }

    /// The path of a file, a string that ends with 0.
    ///
    /// # Safety
    ///
    /// As with [`Self::string`].
    pub unsafe fn path(
        &mut self,
        name: &'static str,
        pointer: *const c_char,
    ) -> Result<&'call Path> {
        // SAFETY: what the caller promises here is what it promises there.
        let text = unsafe { self.string(name, pointer) }?;
        path_of_bytes(text.to_bytes())
    }

    /// `count` strings of UTF-8 that end with 0.
    ///
    /// # Safety
    ///
    /// - The pointer is NULL, or the buffer has that many pointers, each of which is NULL or a string that ends with 0.
    /// - Nobody else writes to any of them before the entry ends.
    pub unsafe fn strings(
        &mut self,
        name: &'static str,
        pointer: *const *const c_char,
        count: usize,
    ) -> Result<Vec<&'call str>> {
        let count = shape::product(name, &[count])?;
        self.enter(name, pointer, count, false)?;
        let mut strings = reserved(name, count)?;
        for index in 0..count {
            // SAFETY: `enter` has found the pointer to be aligned and not null; the caller promises so many strings.
            let string = unsafe { pointer.add(index).read() };
            if string.is_null() {
                return Err(Failure::Null { name });
            }
            // SAFETY: it is not null, and the caller promises a string that ends with 0 and that nobody writes to meanwhile.
            let text = unsafe { CStr::from_ptr(string) };
            strings.push(utf8(name, text)?);
        }
        Ok(strings)
    }

    /// Checks a buffer of `len` elements, which fit in memory, and remembers where it lies.
    fn enter<T>(
        &mut self,
        name: &'static str,
        pointer: *const T,
        len: usize,
        written: bool,
    ) -> Result<()> {
        expect_aligned(name, pointer)?;
        let start = pointer.addr();
        let bytes = len * size_of::<T>();
        let Some(end) = start.checked_add(bytes) else {
            return Err(Error::SizeOverflow { what: name }.into());
        };
        let buffer = Buffer {
            name,
            start,
            end,
            written,
        };
        let clash =
            |other: &&Buffer| (written || other.written) && start < other.end && other.start < end;
        if let Some(other) = self.buffers[..self.count].iter().find(clash) {
            return Err(Failure::Overlap {
                name,
                other: other.name,
            });
        }
        self.buffers[self.count] = buffer;
        self.count += 1;
        Ok(())
    }
}

fn utf8<'text>(name: &'static str, text: &'text CStr) -> Result<&'text str> {
    let mismatch = |_| Error::Mismatch {
        name,
        actual: format!("'{}'", text.to_string_lossy().escape_debug()),
        expected: "UTF-8 text".to_string(),
    };
    Ok(text.to_str().map_err(mismatch)?)
}

#[cfg(unix)]
fn path_of_bytes(bytes: &[u8]) -> Result<&Path> {
    use std::os::unix::ffi::OsStrExt;
    Ok(Path::new(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of_bytes(bytes: &[u8]) -> Result<&Path> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Path::new(text)),
        Err(fault) => Err(Error::Io {
            path: String::from_utf8_lossy(bytes).into_owned().into(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, fault),
        }
        .into()),
    }
}

/// An argument of an entry that has come as 64 bits.
pub trait Word: Sized {
    /// The argument of that name; an error where the bits are none of its type.
    ///
    /// # Safety
    ///
    /// A handle is NULL or one of the library's for an object that is alive, and is used as the type says for as long as
    /// the argument is.
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self>;
}

impl Word for u32 {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        word.try_into().map_err(|_| Failure::Word {
            name,
            word,
            expected: "a uint32_t, at most 4294967295",
        })
    }
}

impl Word for u64 {
    unsafe fn from_word(_: &'static str, word: u64) -> Result<Self> {
        Ok(word)
    }
}

impl Word for usize {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        word.try_into().map_err(|_| Failure::Word {
            name,
            word,
            expected: "a size or an address of this platform",
        })
    }
}

impl Word for f32 {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        let bits = word.try_into().map_err(|_| Failure::Word {
            name,
            word,
            expected: "the bits of a float in the low 32, and no others",
        })?;
        Ok(f32::from_bits(bits))
    }
}

impl Word for f64 {
    unsafe fn from_word(_: &'static str, word: u64) -> Result<Self> {
        Ok(f64::from_bits(word))
    }
}

impl<T> Word for *mut T {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        // SAFETY: a number asks for nothing.
        let address = unsafe { usize::from_word(name, word) }?;
        Ok(ptr::with_exposed_provenance_mut(address))
    }
}

impl<T> Word for *const T {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        // SAFETY: a pointer that is not followed asks for nothing.
        Ok(unsafe { <*mut T>::from_word(name, word) }?.cast_const())
    }
}

impl<T> Word for Option<&T> {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        // SAFETY: the library's handles are aligned pointers to a `T`; the caller promises that this one is alive and that
        // nobody changes the object meanwhile.
        Ok(unsafe { <*const T>::from_word(name, word)?.as_ref() })
    }
}

impl<T> Word for Option<&mut T> {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        // SAFETY: as above; and the caller promises that nobody else uses the object meanwhile.
        Ok(unsafe { <*mut T>::from_word(name, word)?.as_mut() })
    }
}

impl<T> Word for Option<Box<T>> {
    unsafe fn from_word(name: &'static str, word: u64) -> Result<Self> {
        // SAFETY: the library's handles come from boxes; the caller promises that this one is alive and gives it up.
        Ok(unsafe {
            let pointer = <*mut T>::from_word(name, word)?;
            (!pointer.is_null()).then(|| Box::from_raw(pointer))
        })
    }
}
