//! Rows between the caller's order and the engine's. A call of `memcpy` for each short row would take longer than the
//! arithmetic of a small network.

use std::ops::Range;

use crate::Element;
use crate::layout::Layout;
use crate::simd::{Kernel, Math};

/// Copies the rows of some sequences at some steps, one sequence after the other: so the caller's memory, which may be
/// far larger than a cache, is walked through in order.
#[derive(Debug)]
pub struct CopyRows<'a, E> {
    /// The shape of the batch.
    pub layout: &'a Layout,
    /// The rows of the layout.
    pub rows: Range<usize>,
    /// The steps.
    pub window: Range<usize>,
    /// Elements of a row.
    pub width: usize,
    /// The caller's buffer `[batch][steps][width]`, from the window's first step on.
    pub caller: *mut E,
    /// From one sequence of it to the next.
    pub sequence_stride: usize,
    /// The engine's buffer: row 0 of the window's first step.
    pub engine: *mut E,
    /// From one row of it to the next.
    pub engine_stride: usize,
    /// Whether to copy from the caller to the engine, or back.
    pub to_engine: bool,
}

impl<E: Element> Kernel<E> for CopyRows<'_, E> {
    type Output = ();

    /// For each row and each step of it, `width` elements behind the caller's and the engine's place must be readable or
    /// writable, as the direction wants, and belong to nobody else. Those who make this kernel see to that.
    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let whole = self.width - self.width % S::LANES;
        let Range { start, end } = self.window;
        let first = self.layout.offset(start);
        for row in self.rows {
            let sequence = self.layout.sequence(row) * self.sequence_stride;
            for step in start..end.min(self.layout.length(row)) {
                let index = self.layout.offset(step) - first + row;
                // SAFETY: see above.
                unsafe {
                    let caller = self.caller.add(sequence + (step - start) * self.width);
                    let engine = self.engine.add(index * self.engine_stride);
                    let (from, to) = match self.to_engine {
                        true => (caller.cast_const(), engine),
                        false => (engine.cast_const(), caller),
                    };
                    let mut at = 0;
                    while at < whole {
                        token.store(token.load(from.add(at)), to.add(at));
                        at += S::LANES;
                    }
                    if whole < self.width {
                        let rest = self.width - whole;
                        let values = token.load_partial(from.add(whole), rest);
                        token.store_partial(values, to.add(whole), rest);
                    }
                }
            }
        }
    }
}
