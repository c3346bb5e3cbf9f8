//! One call of a C function: its buffers, what is wrong with them, and whether the library has kept its word.
//!
//! A call names its arguments and everything that is wrong with them. [`Call::run`] then makes the buffers, each of
//! exactly the size that the header gives it, and calls the function. Where nothing is wrong, it must succeed; otherwise
//! it must return the status of one of the faults and leave every buffer alone. Now and then a pointer is made null,
//! misaligned or the same as another one, on purpose.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;

use elman_abi::status::*;

use crate::memory::{Use, limited};
use crate::source::Source;

/// Some statuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses(u32);

impl Statuses {
    fn add(&mut self, status: Status) {
        self.0 |= 1 << status;
    }

    fn has(self, status: Status) -> bool {
        (0..32).contains(&status) && self.0 & (1 << status) != 0
    }
}

/// The functions that were called and what they returned, in order.
pub type Record = Vec<(&'static str, Status)>;

/// What a caller's buffer may consist of: any bytes are a value, and every byte belongs to it.
pub trait Plain: Copy + 'static {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u64 {}
impl Plain for usize {}
impl<T: 'static> Plain for *mut T {}
impl<T: 'static> Plain for *const T {}

/// What is made wrong with the pointers on purpose. The numbers are those of arguments.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Null(usize),
    Misaligned(usize),
    Overlap {
        at: usize,
        with: usize,
        shift: usize,
    },
}

/// A pointer among the arguments.
#[derive(Debug)]
pub struct Argument<T> {
    index: usize,
    element: PhantomData<*mut T>,
}

impl<T> Clone for Argument<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Argument<T> {}

struct Buffer {
    bytes: usize,
    alignment: usize,
    written: bool,
    place: Place,
}

enum Place {
    /// It is not given.
    Null,
    /// The call makes it, with these bytes at its start.
    Own(Vec<u8>),
    /// It is somebody else's.
    Foreign(*mut u8),
}

/// The most elements of a buffer.
const MOST: usize = 1 << 16;
/// As many as no buffer can have.
pub const LIMIT: u128 = (isize::MAX as u128) / 8;
/// No allocation of a call may be larger.
const MEMORY: usize = 4 << 20;
/// What a buffer for results holds before.
const UNTOUCHED: u8 = 0xa7;

/// A call in the making.
pub struct Call {
    name: &'static str,
    wrong: Statuses,
    possible: Statuses,
    impossible: bool,
    fault: Fault,
    memory: usize,
    buffers: Vec<Buffer>,
}

impl Call {
    /// A call of the function of that name.
    pub fn new(name: &'static str, source: &mut Source<'_>) -> Self {
        let fault = match source.below(64) {
            61 => Fault::Null(source.below(8)),
            62 => Fault::Misaligned(source.below(8)),
            63 => Fault::Overlap {
                at: source.below(8),
                with: source.below(8),
                shift: 8 * source.below(4),
            },
            _ => Fault::None,
        };
        let mut possible = Statuses::default();
        possible.add(ELMAN_OK);
        Self {
            name,
            wrong: Statuses::default(),
            possible,
            impossible: false,
            fault,
            memory: MEMORY,
            buffers: Vec::new(),
        }
    }

    /// Takes note of a reason to refuse the call.
    pub fn wrong(&mut self, status: Status, holds: bool) {
        if holds {
            self.wrong.add(status);
        }
    }

    /// Takes note of something that may turn up during the call.
    pub fn possible(&mut self, status: Status, holds: bool) {
        if holds {
            self.possible.add(status);
        }
    }

    /// Lets memory run out early, sometimes. For functions that report it wherever it happens.
    pub fn starve(&mut self, source: &mut Source<'_>) {
        self.memory = match source.below(16) {
            15 => 4096 << source.below(6),
            _ => MEMORY,
        };
    }

    /// A handle that must be there.
    pub fn handle<T>(&mut self, handle: Option<T>) -> Option<T> {
        self.wrong(ELMAN_ERROR_NULL, handle.is_none());
        handle
    }

    /// The number of elements of a buffer. One that is too large for any buffer is wrong, and counts as 0; one that is
    /// too large for this program makes the call impossible.
    pub fn len(&mut self, sizes: &[usize]) -> usize {
        let product = sizes
            .iter()
            .try_fold(1_u128, |product, &size| product.checked_mul(size as u128));
        let product = match product {
            _ if sizes.contains(&0) => return 0,
            Some(product) if product <= LIMIT => product,
            _ => {
                self.wrong(ELMAN_ERROR_SIZE_OVERFLOW, true);
                return 0;
            }
        };
        self.impossible |= product > MOST as u128;
        if self.impossible { 0 } else { product as usize }
    }

    /// A buffer to read, of that many elements.
    pub fn read<T: Plain>(&mut self, values: &[T]) -> Argument<T> {
        self.push(values.len(), false, true, Place::Own(bytes_of(values)))
    }

    /// As [`Self::read`], of a buffer that may be missing.
    pub fn read_optional<T: Plain>(&mut self, values: Option<&[T]>) -> Argument<T> {
        let place = values.map_or(Place::Null, |values| Place::Own(bytes_of(values)));
        self.push(values.map_or(0, <[T]>::len), false, false, place)
    }

    /// A buffer to write, of that many elements.
    pub fn write<T: Plain>(&mut self, len: usize) -> Argument<T> {
        self.push(len, true, true, Place::Own(Vec::new()))
    }

    /// As [`Self::write`], of a buffer that may be missing.
    pub fn write_optional<T: Plain>(&mut self, len: usize, given: bool) -> Argument<T> {
        let place = if given {
            Place::Own(Vec::new())
        } else {
            Place::Null
        };
        self.push(len, true, false, place)
    }

    /// A struct of the caller's to read; it may be missing.
    pub fn structure<T>(&mut self, value: Option<&mut T>) -> Argument<T> {
        let place = value.map_or(Place::Null, |value| {
            Place::Foreign(ptr::from_mut(value).cast())
        });
        self.push(1, false, false, place)
    }

    /// Room for a struct to be written.
    pub fn write_structure<T>(&mut self) -> Argument<T> {
        self.push(1, true, true, Place::Own(Vec::new()))
    }

    fn push<T>(
        &mut self,
        len: usize,
        written: bool,
        required: bool,
        mut place: Place,
    ) -> Argument<T> {
        let index = self.buffers.len();
        if matches!(self.fault, Fault::Null(at) if at == index) {
            place = Place::Null;
        }
        self.wrong(ELMAN_ERROR_NULL, required && matches!(place, Place::Null));
        self.buffers.push(Buffer {
            bytes: len * size_of::<T>(),
            alignment: align_of::<T>(),
            written,
            place,
        });
        Argument {
            index,
            element: PhantomData,
        }
    }

    /// Whether an argument is a pointer to something.
    pub fn gives<T>(&self, argument: Argument<T>) -> bool {
        !matches!(self.buffers[argument.index].place, Place::Null)
    }

    /// Whether the call can be made and nothing is known to be wrong with it so far.
    pub fn is_sound(&self) -> bool {
        !self.impossible && self.wrong == Statuses::default()
    }

    /// Makes the call, unless it is impossible. Returns what it has done.
    pub fn run(
        mut self,
        record: &mut Record,
        function: impl FnOnce(&Pointers) -> Status,
    ) -> Option<Done> {
        if self.impossible {
            return None;
        }
        let pointers = Pointers::new(&self.buffers, self.fault);
        self.judge(&pointers);
        let before = pointers.contents();
        let message = last_error();
        let (status, found) = limited(self.memory, || function(&pointers));
        record.push((self.name, status));

        let name = self.name;
        let says = last_error();
        if traces() {
            let message = if status == ELMAN_OK { "" } else { &says };
            eprintln!("{name}: {} {message}", text(elman_status_string(status)));
        }
        let expected = match (found.refused > 0, self.wrong == Statuses::default()) {
            (true, _) => status == ELMAN_ERROR_OUT_OF_MEMORY,
            (false, true) => self.possible.has(status),
            (false, false) => self.wrong.has(status),
        };
        assert!(
            expected,
            "{name} returned {status} ({says}); wrong was {:?}, possible {:?}, {found:?}",
            self.wrong, self.possible
        );
        if status == ELMAN_OK {
            assert_eq!(says, message, "{name} succeeded and left a message");
        } else {
            assert!(!says.is_empty(), "{name} failed without a message");
        }
        let after = pointers.contents();
        for (index, buffer) in self.buffers.iter().enumerate() {
            assert!(
                status == ELMAN_OK && buffer.written || before[index] == after[index],
                "{name} returned {status} and has written to argument {index}"
            );
        }
        Some(Done {
            status,
            found,
            pointers,
        })
    }

    /// Takes note of what is wrong with the pointers.
    fn judge(&mut self, pointers: &Pointers) {
        let span = |index: usize| {
            let start = pointers.addresses[index].addr();
            start..start + self.buffers[index].bytes
        };
        let (mut misaligned, mut overlap) = (false, false);
        for (index, buffer) in self.buffers.iter().enumerate() {
            if pointers.addresses[index].is_null() {
                continue;
            }
            misaligned |= !span(index).start.is_multiple_of(buffer.alignment);
            for other in 0..index {
                let written = buffer.written || self.buffers[other].written;
                let given = !pointers.addresses[other].is_null();
                let (one, two) = (span(index), span(other));
                overlap |= given && written && one.start < two.end && two.start < one.end;
            }
        }
        self.wrong(ELMAN_ERROR_ALIGNMENT, misaligned);
        self.wrong(ELMAN_ERROR_OVERLAP, overlap);
    }
}

/// Whether every call is to be printed.
fn traces() -> bool {
    static TRACES: OnceLock<bool> = OnceLock::new();
    *TRACES.get_or_init(|| std::env::var_os("ELMAN_FUZZ_TRACE").is_some())
}

/// The arguments of a call while it runs.
pub struct Pointers {
    blocks: Vec<Option<Block>>,
    addresses: Vec<*mut u8>,
}

impl Pointers {
    fn new(buffers: &[Buffer], fault: Fault) -> Self {
        let shared = shared_place(buffers, fault);
        let mut blocks: Vec<Option<Block>> = Vec::new();
        let mut addresses = Vec::new();
        for (index, buffer) in buffers.iter().enumerate() {
            let misaligned = matches!(fault, Fault::Misaligned(at) if at == index);
            let skip = usize::from(misaligned);
            let (block, address) = match &buffer.place {
                Place::Null => (None, ptr::null_mut()),
                Place::Foreign(address) => (None, address.wrapping_add(skip)),
                Place::Own(content) => {
                    let mut bytes = buffer.bytes + skip;
                    if let Some((at, with, shift)) = shared
                        && with == index
                    {
                        bytes = bytes.max(shift + buffers[at].bytes);
                    }
                    let mut block = Block::new(bytes);
                    block.bytes_mut().fill(UNTOUCHED);
                    block.bytes_mut()[skip..][..content.len()].copy_from_slice(content);
                    let address = block.address.wrapping_add(skip);
                    (Some(block), address)
                }
            };
            blocks.push(block);
            addresses.push(address);
        }
        if let Some((at, with, shift)) = shared {
            blocks[at] = None;
            addresses[at] = addresses[with].wrapping_add(shift);
        }
        Self { blocks, addresses }
    }

    /// An argument of the call.
    pub fn get<T>(&self, argument: Argument<T>) -> *mut T {
        self.addresses[argument.index].cast()
    }

    fn contents(&self) -> Vec<Option<Vec<u8>>> {
        let content = |block: &Option<Block>| Some(block.as_ref()?.bytes().to_vec());
        self.blocks.iter().map(content).collect()
    }
}

/// Which argument overlaps which, and how far behind its start: only where one of them is written, so that it is wrong.
fn shared_place(buffers: &[Buffer], fault: Fault) -> Option<(usize, usize, usize)> {
    let Fault::Overlap { at, with, shift } = fault else {
        return None;
    };
    let (one, two) = (buffers.get(at)?, buffers.get(with)?);
    let own = |buffer: &Buffer| matches!(buffer.place, Place::Own(_));
    let movable = own(one) && !matches!(two.place, Place::Null) && (own(two) || shift == 0);
    let overlaps = one.bytes > 0 && shift < two.bytes && (one.written || two.written);
    (at != with && movable && overlaps).then_some((at, with, shift))
}

/// What a call has done.
pub struct Done {
    status: Status,
    found: Use,
    pointers: Pointers,
}

impl Done {
    /// Whether it has succeeded.
    pub fn is_ok(&self) -> bool {
        self.status == ELMAN_OK
    }

    /// Its status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What it has done to memory.
    pub fn memory(&self) -> Use {
        self.found
    }

    /// What it has written to a buffer; None where there was none.
    pub fn values<T: Plain>(&self, argument: Argument<T>) -> Option<Vec<T>> {
        let block = self.pointers.blocks[argument.index].as_ref()?;
        let values = block.bytes().chunks_exact(size_of::<T>());
        // SAFETY: the chunk has the size of a `T`, and any bytes are one.
        let value = |bytes: &[u8]| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() };
        Some(values.map(value).collect())
    }

    /// What it has written as a result.
    pub fn result<T: Plain>(&self, argument: Argument<T>) -> Option<T> {
        self.values(argument)?.first().copied()
    }

    /// A struct that it has written.
    pub fn structure<T: Copy>(&self, argument: Argument<T>) -> T {
        assert!(self.is_ok());
        // SAFETY: the block has the size and the alignment of a `T`, and the call says that it has written one.
        unsafe { self.pointers.get(argument).read() }
    }
}

/// Memory of exactly so many bytes, so that a sanitizer sees every access behind its end.
struct Block {
    address: *mut u8,
    len: usize,
}

impl Block {
    fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has at least one byte.
        let address = unsafe { alloc_zeroed(layout) };
        if address.is_null() {
            handle_alloc_error(layout);
        }
        Self { address, len }
    }

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len.max(1), 16).expect("buffers are small")
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `new` has made that many bytes and given them values; nobody writes while the slice lives.
        unsafe { std::slice::from_raw_parts(self.address, self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `new` has made it with this layout.
        unsafe { dealloc(self.address, Self::layout(self.len)) }
    }
}

fn bytes_of<T: Plain>(values: &[T]) -> Vec<u8> {
    // SAFETY: every byte of a `Plain` value has a value.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }.to_vec()
}

/// A string of the library's.
pub fn text<'a>(pointer: *const std::ffi::c_char) -> &'a str {
    assert!(!pointer.is_null());
    // SAFETY: the header promises a string that ends with 0, which stays for as long as the callers here look at it.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().expect("the library's strings are UTF-8")
}

/// The thread's last message.
pub fn last_error() -> String {
    let message = text(elman_last_error());
    assert!(message.len() < 1024);
    message.to_string()
}

/// The object that a call has given.
pub fn adopt<T>(pointer: *mut T) -> Box<T> {
    assert!(!pointer.is_null());
    // SAFETY: it comes from a call that has made it just now, and goes back through the function that destroys it.
    unsafe { Box::from_raw(pointer) }
}

/// What the library has at an address that it gave.
pub fn given<T: Plain>(pointer: *const T, count: usize) -> Vec<T> {
    assert!(!pointer.is_null() && pointer.is_aligned());
    // SAFETY: the header promises that many elements until the object changes, which happens after this.
    unsafe { std::slice::from_raw_parts(pointer, count) }.to_vec()
}

/// Calls a function that follows its pointers.
macro_rules! c {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: whatever is given here as a pointer is what the function's documentation asks for: a place of a `Call`,
        // made for exactly that many elements, or a vector or a variable of the surrounding code. No other thread knows it.
        #[allow(unsafe_code)]
        let answer = unsafe { $function($($argument),*) };
        answer
    }};
}
pub(crate) use c;

/// Makes a call that has to succeed.
pub fn must(name: &str, status: Status) {
    assert_eq!(status, ELMAN_OK, "{name}: {}", last_error());
}

/// Whether two numbers are the same: the same bits, or both not numbers.
pub fn same(one: &[f32], two: &[f32]) -> bool {
    let alike = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    one.len() == two.len() && one.iter().zip(two).all(alike)
}

/// The number as the library computes with it: denormal numbers are 0.
pub fn flushed(value: f32) -> f32 {
    match value.is_subnormal() {
        true => 0.0,
        false => value,
    }
}

/// As [`same`].
pub fn same_double(one: f64, two: f64) -> bool {
    one.to_bits() == two.to_bits() || (one.is_nan() && two.is_nan())
}
