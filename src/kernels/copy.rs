//! Rows between the caller's order and the engine's. A call of `memcpy` for each short row would take longer than the
//! arithmetic of a small network.

use std::ops::Range;

use crate::Element;
use crate::layout::Layout;
use crate::simd::{Kernel, Math, Tier};

/// Copies the rows of all sequences of a layout at some steps, one sequence after the other: so the caller's memory,
/// which may be far larger than a cache, is walked through in order.
#[derive(Debug)]
pub struct CopyRows<'a, E> {
    layout: &'a Layout,
    steps: Range<usize>,
    width: usize,
    caller: *mut E,
    sequence_stride: usize,
    engine: *mut E,
    engine_stride: usize,
    to_engine: bool,
}

impl<'a, E: Element> CopyRows<'a, E> {
    /// From a caller's buffer, which has `width` elements for each step of a sequence and a sequence every so many
    /// elements, to the engine's rows of the steps, which follow each other with a stride.
    ///
    /// # Panics
    /// Where a buffer is too short.
    pub fn to_engine(
        (layout, steps): (&'a Layout, Range<usize>),
        width: usize,
        (caller, sequence_stride): (&'a [E], usize),
        (engine, engine_stride): (&'a mut [E], usize),
    ) -> Self {
        let reach = |sequence: usize| {
            let start = sequence.saturating_mul(sequence_stride);
            start.saturating_add(steps.end.saturating_mul(width))
        };
        assert!(
            layout
                .sequences()
                .iter()
                .all(|&sequence| reach(sequence) <= caller.len())
        );
        check_rows(layout, &steps, width, engine.len(), engine_stride);
        Self {
            layout,
            steps,
            width,
            caller: caller.as_ptr().cast_mut(),
            sequence_stride,
            engine: engine.as_mut_ptr(),
            engine_stride,
            to_engine: true,
        }
    }

    /// As [`Self::to_engine`], the other way.
    ///
    /// # Safety
    /// - Each sequence of the layout must have its elements up to the last step in `caller`, and nobody else may reach
    ///   them before the copy is done.
    ///
    /// # Panics
    /// Where the engine's buffer is too short.
    pub unsafe fn to_caller(
        (layout, steps): (&'a Layout, Range<usize>),
        width: usize,
        (caller, sequence_stride): (*mut E, usize),
        (engine, engine_stride): (&'a [E], usize),
    ) -> Self {
        check_rows(layout, &steps, width, engine.len(), engine_stride);
        Self {
            layout,
            steps,
            width,
            caller,
            sequence_stride,
            engine: engine.as_ptr().cast_mut(),
            engine_stride,
            to_engine: false,
        }
    }

    /// Copies them.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

/// Panics unless the rows of the steps lie in `len` elements.
fn check_rows(layout: &Layout, steps: &Range<usize>, width: usize, len: usize, stride: usize) {
    let rows = layout.offset(steps.end) - layout.offset(steps.start);
    if let Some(last) = rows.checked_sub(1) {
        assert!(last.saturating_mul(stride).saturating_add(width) <= len);
    }
}

impl<E: Element> Kernel<E> for CopyRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let whole = self.width - self.width % S::LANES;
        let Range { start, end } = self.steps;
        let first = self.layout.offset(start);
        for (row, &sequence) in self.layout.sequences().iter().enumerate() {
            for step in start..end.min(self.layout.length(row)) {
                let index = self.layout.offset(step) - first + row;
                let place = sequence * self.sequence_stride + step * self.width;
                // SAFETY: the constructors have checked, or their callers promise, that both places have `width` elements
                // which may be read, or written by nobody else. A layout's row counts up to `offset(end) - first`.
                unsafe {
                    let caller = self.caller.add(place);
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
