//! The allocator of everything that links this crate. It refuses what is larger than a limit, so that running out of
//! memory is as certain as any other error, and counts. Each thread has a limit and numbers of its own: others, such as
//! those of a test harness, allocate whenever they get to it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

struct Bounded;

thread_local! {
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
    static REFUSED: Cell<usize> = const { Cell::new(0) };
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    // Less than 0 where the thread has freed what others have allocated.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// What a piece of work has done to memory, on its own thread.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Allocations that were refused.
    pub refused: usize,
    /// Allocations that were not.
    pub allocated: usize,
    /// The most bytes that there were at a time, beyond those that were there before.
    pub peak: usize,
}

/// Does some work in which no single allocation may be larger than `limit` bytes.
pub fn limited<T>(limit: usize, work: impl FnOnce() -> T) -> (T, Use) {
    let live = LIVE.get();
    REFUSED.set(0);
    ALLOCATED.set(0);
    PEAK.set(live);
    LIMIT.set(limit);
    let result = work();
    LIMIT.set(usize::MAX);
    let found = Use {
        refused: REFUSED.get(),
        allocated: ALLOCATED.get(),
        peak: (PEAK.get() - live) as usize,
    };
    (result, found)
}

/// Bytes that this thread has allocated and not freed.
pub fn live() -> isize {
    LIVE.get()
}

fn allows(size: usize) -> bool {
    let allowed = size <= LIMIT.get();
    let count = if allowed { &ALLOCATED } else { &REFUSED };
    count.set(count.get() + 1);
    allowed
}

/// Counts what `System` has given, in place of `less` bytes.
fn given(pointer: *mut u8, more: usize, less: usize) -> *mut u8 {
    if !pointer.is_null() {
        LIVE.set(LIVE.get() + more as isize - less as isize);
        PEAK.set(PEAK.get().max(LIVE.get()));
    }
    pointer
}

// SAFETY: what it returns comes from `System`, or is null, which says that there is no memory.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !allows(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is that of `System`.
        given(unsafe { System.alloc(layout) }, layout.size(), 0)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !allows(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: as in `alloc`.
        given(unsafe { System.alloc_zeroed(layout) }, layout.size(), 0)
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !allows(size) {
            return ptr::null_mut();
        }
        // SAFETY: as in `alloc`; the pointer came from `System`.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        given(moved, size, layout.size())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: as in `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
