//! The exclusive right to the sequences of some rows in a caller's buffer `[batch][width]`, addressed by row.
//!
//! This is a place for `unsafe` because the sequences of a thread's rows may lie anywhere in the buffer, which `&mut [E]`
//! can't say.

use std::marker::PhantomData;
use std::ops::{Deref, Range};

use crate::Element;
use crate::arena::Window;
use crate::kernels::copy::CopyRows;
use crate::layout::Layout;
use crate::simd::Tier;

/// See the module's documentation.
#[derive(Debug)]
pub struct Scatter<'a, E> {
    base: *mut E,
    width: usize,
    layout: &'a Layout,
    rows: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: it reaches the sequences of its rows, and nobody else does (see `split_at`); so it can go to another thread
// like a `&mut [E]`. The layout is only read.
unsafe impl<E: Element> Send for Scatter<'_, E> {}

impl<'a, E: Element> Scatter<'a, E> {
    /// The right to all sequences of a whole batch.
    ///
    /// # Panics
    /// Where `buffer` has not `width` elements for each.
    pub fn new(buffer: &'a mut [E], width: usize, layout: &'a Layout) -> Self {
        assert_eq!(buffer.len(), width * layout.batch());
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
        assert!(self.width >= from.steps().end * width && width <= from.width(region));
        let source = from.get(region, from.block());
        // SAFETY: `new` has checked that every sequence lies in the buffer, and with it, as asserted, the steps; the
        // layout's order is a permutation, so the sequences of these rows are this right's alone, and they have just been
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
        // SAFETY: as in `write`.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;

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
                let scatters = Scatter::new(&mut y, steps * width, &whole).split_at(1);
                for (rows, mut scatter) in [(0..1, scatters.0), (1..4, scatters.1)] {
                    let mut part = Layout::default();
                    part.reserve(rows.len(), steps).unwrap();
                    part.set_part(&whole, rows.clone());
                    let mut arena = Arena::default();
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

    #[test]
    fn scattered_rows_follow_the_order() {
        let layout = layout(&[2, 5, 1]);
        let mut buffer = [0.0_f64; 6];
        let (mut left, mut right) = Scatter::new(&mut buffer, 2, &layout).split_at(1);
        left.get_mut(0).fill(1.0);
        right.get_mut(0).fill(2.0);
        right.get_mut(1).fill(3.0);
        assert_eq!(buffer, [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]);
    }
}
