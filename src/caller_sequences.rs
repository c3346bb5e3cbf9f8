//! The exclusive right to the sequences of some rows in a caller's buffer `[batch][width]`, addressed by row.
//!
//! This is a place for `unsafe` because the sequences of a thread's rows may lie anywhere in the buffer, which `&mut [E]`
//! can't say.

use std::marker::PhantomData;
use std::ops::{Deref, Range};

use crate::Element;
use crate::kernels::copy::CopyRows;
use crate::layout::Layout;
use crate::regions::Window;
use crate::simd::Tier;

/// See the module's documentation.
#[derive(Debug)]
pub struct CallerSequences<'a, E> {
    base: *mut E,
    width: usize,
    layout: &'a Layout,
    rows: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: it reaches the sequences of its rows, and nobody else does (see `split_at`); so it can go to another thread
// like a `&mut [E]`. The layout is only read.
unsafe impl<E: Element> Send for CallerSequences<'_, E> {}

impl<'a, E: Element> CallerSequences<'a, E> {
    /// The right to all sequences of a layout in the buffer of a whole batch.
    ///
    /// # Panics
    /// Where `buffer` has not `width` elements for each sequence of the caller's batch.
    pub fn new(buffer: &'a mut [E], width: usize, layout: &'a Layout) -> Self {
        assert_eq!(Some(buffer.len()), width.checked_mul(layout.caller_batch()));
        Self {
            base: buffer.as_mut_ptr(),
            width,
            layout,
            rows: 0..layout.batch(),
            elements: PhantomData,
        }
    }

    /// Cuts the right in two: the first `count` rows and the others.
    pub fn split_at(self, count: usize) -> (Self, Self) {
        assert!(count <= self.rows.len());
        let row = self.rows.start + count;
        let right = Self {
            rows: row..self.rows.end,
            ..self
        };
        let left = Self {
            rows: self.rows.start..row,
            ..self
        };
        (left, right)
    }

    /// Copies the first `width` elements of each row of a region to its step of its sequence. The window is of this
    /// right's rows.
    ///
    /// # Panics
    /// Where the rows are others, or a sequence is too short for its steps.
    pub fn write<D: Deref<Target = [E]>>(
        &mut self,
        tier: Tier,
        from: &Window<'_, D>,
        region: usize,
        width: usize,
    ) {
        let sequences = &self.layout.sequences()[self.rows.clone()];
        assert_eq!(sequences, from.layout().sequences());
        let reach = from.steps().end.saturating_mul(width);
        assert!(reach <= self.width && width <= from.width(region));
        let source = from.get(region, from.block());
        // SAFETY: `new` has checked that every sequence of the caller's lies in the buffer, and with it, as asserted, the
        // steps; the layout has none twice, so the sequences of these rows are this right's alone, and they have just been
        // found to be those of the window.
        unsafe {
            CopyRows::to_caller(
                (from.layout(), from.steps()),
                width,
                (self.base, self.width),
                (source, from.stride(region)),
            )
        }
        .run(tier);
    }

    /// The elements of a row's sequence, counted from the first row.
    pub fn get_mut(&mut self, index: usize) -> &mut [E] {
        let row = self.rows.start + index;
        assert!(self.rows.contains(&row));
        let start = self.layout.sequences()[row] * self.width;
        // SAFETY: `new` has checked that every sequence of the caller's lies in the buffer, and that of this row is this
        // right's alone.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), self.width) }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::regions::Regions;

    fn layout(lengths: &[usize]) -> Layout {
        let mut layout = Layout::default();
        layout.reserve(lengths.len(), 9).unwrap();
        layout.set(lengths.len(), 9, Some(lengths));
        layout
    }

    #[test]
    fn rows_come_from_the_caller_and_go_back() {
        let lengths = [2, 5, 1, 4];
        let whole = layout(&lengths);
        let (steps, width) = (9, 3);
        let x: Vec<f64> = (0..4 * steps * width).map(|index| index as f64).collect();
        for tier in Tier::available() {
            let mut y = vec![-1.0; x.len()];
            for window in [0..2, 2..5] {
                let scatters = CallerSequences::new(&mut y, steps * width, &whole).split_at(1);
                for (rows, mut scatter) in [(0..1, scatters.0), (1..4, scatters.1)] {
                    let mut part = Layout::default();
                    part.reserve(rows.len(), steps).unwrap();
                    part.set_part(&whole, rows.clone());
                    let mut arena = Regions::default();
                    let regions = [(5, rows.len())];
                    arena.configure("test", regions.into_iter(), 7).unwrap();
                    let end = window.end.min(part.steps());
                    let mut window = arena.rows_mut(&part, window.start.min(end)..end);
                    window.read(tier, 0, &x, steps, width);
                    scatter.write(tier, &window, 0, width);
                }
            }
            for (index, (&y, &x)) in y.iter().zip(&x).enumerate() {
                let (sequence, step) = (index / (steps * width), index / width % steps);
                let inside = step < lengths[sequence];
                assert_eq!(y, if inside { x } else { -1.0 }, "{index}");
            }
        }
    }

    /// Runs what is wrong in one way with a right to the rows from the second on, of sequences of 3 steps of 2 elements.
    fn refused(wrong: impl FnOnce(&mut CallerSequences<'_, f64>, &Layout)) {
        let whole = layout(&[2, 3, 1]);
        let mut buffer = [0.0; 18];
        let (_, mut right) = CallerSequences::new(&mut buffer, 6, &whole).split_at(1);
        let work = || wrong(&mut right, &whole);
        assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
    }

    fn write(
        scatter: &mut CallerSequences<'_, f64>,
        layout: &Layout,
        steps: Range<usize>,
        width: usize,
    ) {
        let mut arena = Regions::default();
        let rows = layout.count(&steps);
        arena.configure("test", [(4, 0)].into_iter(), rows).unwrap();
        scatter.write(Tier::PORTABLE, &arena.rows(layout, steps), 0, width);
    }

    #[test]
    fn what_another_right_has_is_not_reached() {
        let part = |whole: &Layout, rows: Range<usize>| {
            let mut part = Layout::default();
            part.set_part(whole, rows);
            part
        };
        refused(|right, whole| write(right, whole, 0..1, 2));
        refused(|right, whole| write(right, &part(whole, 0..2), 0..1, 2));
        refused(|right, whole| write(right, &part(whole, 1..2), 0..1, 2));
        refused(|right, whole| write(right, &part(whole, 1..3), 0..2, 4));
        refused(|right, whole| write(right, &part(whole, 1..3), 0..1, 5));
        refused(|right, _| _ = right.get_mut(2));
        refused(|right, _| _ = right.get_mut(usize::MAX));
        let whole = layout(&[2, 3, 1]);
        let mut buffer = [0.0; 18];
        let (_, mut right) = CallerSequences::new(&mut buffer, 6, &whole).split_at(1);
        write(&mut right, &part(&whole, 1..3), 0..2, 2);
        assert_eq!(right.get_mut(1).len(), 6);
    }

    #[test]
    fn a_buffer_has_all_sequences_of_the_caller() {
        let whole = layout(&[2, 3, 1]);
        let mut part = Layout::default();
        part.set_part(&whole, 0..1);
        let refused = |len: usize, width, layout: &Layout| {
            let mut buffer = vec![0.0_f64; len];
            let work = || _ = CallerSequences::new(&mut buffer, width, layout);
            catch_unwind(AssertUnwindSafe(work)).is_err()
        };
        assert!(!refused(18, 6, &whole) && !refused(18, 6, &part));
        assert!(refused(17, 6, &whole) && refused(19, 6, &whole));
        // The one row of the part is the caller's second sequence.
        assert!(refused(6, 6, &part));
        // 2^63 elements for each of two sequences are none, where the product overflows.
        assert!(refused(0, 1 << 63, &layout(&[1, 1])));
        let mut buffer = [0.0_f64; 18];
        let scatter = CallerSequences::new(&mut buffer, 6, &whole);
        assert!(catch_unwind(AssertUnwindSafe(|| scatter.split_at(4))).is_err());
    }

    #[test]
    fn scattered_rows_follow_the_order() {
        let layout = layout(&[2, 5, 1]);
        let mut buffer = [0.0_f64; 6];
        let (mut left, mut right) = CallerSequences::new(&mut buffer, 2, &layout).split_at(1);
        left.get_mut(0).fill(1.0);
        right.get_mut(0).fill(2.0);
        right.get_mut(1).fill(3.0);
        assert_eq!(buffer, [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]);
    }
}
