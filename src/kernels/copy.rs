//! Rows between the caller's order and the engine's. A call of `memcpy` for each short row would take longer than the
//! arithmetic of a small network.

use std::ops::Range;

use crate::Element;
use crate::layout::{Layout, Strides};
use crate::simd::{Kernel, Math, Tier};

/// Copies the rows of all sequences of a layout at some steps, in the order in which they lie in the caller's memory, which
/// may be far larger than a cache.
#[derive(Debug)]
pub struct CopyRows<'a, E> {
    layout: &'a Layout,
    steps: Range<usize>,
    /// Which rows of each step.
    rows: Range<usize>,
    caller: *mut E,
    strides: Strides,
    engine: *mut E,
    engine_stride: usize,
    to_engine: bool,
}

// SAFETY: it reaches the rows of its sequences, in the engine's memory and in the caller's, and nobody else does: there is one
// for all sequences, which holds the right to both, and `split_at` gives each to one part. The layout is only read.
unsafe impl<E: Element> Send for CopyRows<'_, E> {}

impl<'a, E: Element> CopyRows<'a, E> {
    /// From a caller's buffer to the engine's rows of the steps, which follow each other with a stride.
    ///
    /// # Panics
    /// Where the caller's buffer does not fit the layout or has not the steps, or the engine's is too short.
    pub fn to_engine(
        (layout, steps): (&'a Layout, Range<usize>),
        (caller, strides): (&'a [E], Strides),
        (engine, engine_stride): (&'a mut [E], usize),
    ) -> Self {
        assert!(strides.fit(caller.len(), layout) && steps.end <= strides.steps());
        check_rows(layout, &steps, strides.width(), engine.len(), engine_stride);
        Self {
            layout,
            steps,
            rows: 0..layout.batch(),
            caller: caller.as_ptr().cast_mut(),
            strides,
            engine: engine.as_mut_ptr(),
            engine_stride,
            to_engine: true,
        }
    }

    /// As [`Self::to_engine`], the other way.
    ///
    /// # Safety
    /// - `caller` must lead to as many elements as fit the layout with these strides, which must have the steps, and nobody
    ///   else may reach those of the layout's sequences before the copy is done.
    ///
    /// # Panics
    /// Where the engine's buffer is too short.
    pub unsafe fn to_caller(
        (layout, steps): (&'a Layout, Range<usize>),
        (caller, strides): (*mut E, Strides),
        (engine, engine_stride): (&'a [E], usize),
    ) -> Self {
        check_rows(layout, &steps, strides.width(), engine.len(), engine_stride);
        Self {
            layout,
            steps,
            rows: 0..layout.batch(),
            caller,
            strides,
            engine: engine.as_ptr().cast_mut(),
            engine_stride,
            to_engine: false,
        }
    }

    /// Number of sequences.
    pub fn sequences(&self) -> usize {
        self.rows.len()
    }

    /// Elements.
    pub fn elements(&self) -> usize {
        let rows = self.layout.offset(self.steps.end) - self.layout.offset(self.steps.start);
        rows * self.strides.width()
    }

    /// The copy of the first `count` sequences, and that of the others.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn split_at(self, count: usize) -> (Self, Self) {
        assert!(count <= self.rows.len());
        let border = self.rows.start + count;
        let part = |rows| Self {
            rows,
            steps: self.steps.clone(),
            ..self
        };
        (part(self.rows.start..border), part(border..self.rows.end))
    }

    /// Copies them.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }

    /// Copies the row of a step of a sequence, which is the `index`-th of the steps' rows.
    ///
    /// # Safety
    /// - The steps must have that row, and the sequence must be that of the row.
    #[inline(always)]
    unsafe fn copy<S: Math<E>>(&self, token: S, index: usize, sequence: usize, step: usize) {
        let width = self.strides.width();
        let whole = width - width % S::LANES;
        let place = self.strides.index(sequence, step);
        // SAFETY: the constructors have checked, or their callers promise, that the step of the sequence and each row of the
        // steps have `width` elements which may be read, or written by nobody else.
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
            if whole < width {
                let rest = width - whole;
                let values = token.load_partial(from.add(whole), rest);
                token.store_partial(values, to.add(whole), rest);
            }
        }
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
        let (layout, Range { start, end }) = (self.layout, self.steps.clone());
        let sequences = layout.sequences();
        let rows_before = |step| layout.offset(step) - layout.offset(start);
        if self.strides.is_contiguous() {
            for row in self.rows.clone() {
                let sequence = sequences[row];
                for step in start..end.min(layout.length(row)) {
                    // SAFETY: the row's sequence is longer than the step.
                    unsafe { self.copy(token, rows_before(step) + row, sequence, step) };
                }
            }
        } else {
            for step in start..end {
                let there = layout.rows(step);
                let rows = self.rows.start.min(there)..self.rows.end.min(there);
                for (row, &sequence) in rows.clone().zip(&sequences[rows]) {
                    // SAFETY: the step has so many rows.
                    unsafe { self.copy(token, rows_before(step) + row, sequence, step) };
                }
            }
        }
    }
}
