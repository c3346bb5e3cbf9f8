//! The exclusive right to the sequences of some rows in a caller's buffer, addressed by row.
//!
//! This is a place for `unsafe` because the sequences of a thread's rows may lie anywhere in the buffer, time-major even step
//! by step between those of other threads, which `&mut [E]` can't say.

use std::marker::PhantomData;
use std::ops::{Deref, Range};

use crate::Element;
use crate::gemm::copy;
use crate::kernels::copy::CopyRows;
use crate::layout::{Layout, Strides};
use crate::parallel::Crew;
use crate::regions::Window;
use crate::simd::Tier;

/// See the module's documentation.
#[derive(Debug)]
pub struct CallerSequences<'a, E> {
    base: *mut E,
    strides: Strides,
    layout: &'a Layout,
    rows: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: it reaches the sequences of its rows, and nobody else does (see `split_at`); so it can go to another thread
// like a `&mut [E]`. The layout is only read.
unsafe impl<E: Element> Send for CallerSequences<'_, E> {}

impl<'a, E: Element> CallerSequences<'a, E> {
    /// The right to all rows of a layout in the buffer of a whole batch.
    ///
    /// # Panics
    /// Where `buffer` does not fit the layout.
    pub fn new(buffer: &'a mut [E], strides: Strides, layout: &'a Layout) -> Self {
        assert!(strides.fit(buffer.len(), layout));
        Self {
            base: buffer.as_mut_ptr(),
            strides,
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

    /// Copies the start of each row of a region to its step of its sequence. The window is of this right's rows.
    ///
    /// # Panics
    /// Where the rows are others, or a sequence is too short for its steps or the region's rows are.
    pub fn write<D: Deref<Target = [E]>>(
        &mut self,
        (tier, crew): (Tier, Crew<'_>),
        from: &Window<'_, D>,
        region: usize,
    ) {
        let sequences = &self.layout.sequences()[self.rows.clone()];
        assert_eq!(sequences, from.layout().sequences());
        assert!(from.steps().end <= self.strides.steps());
        assert!(self.strides.width() <= from.width(region));
        let source = from.get(region, from.block());
        // SAFETY: `new` has checked that the buffer fits the layout, of whose caller's batch these sequences are, and the
        // strides have just been found to have the steps. They have elements of their own for each step of each sequence, and
        // the layout has none twice, so what the copy writes is this right's alone: its rows are those of the window.
        let rows = unsafe {
            CopyRows::to_caller(
                (from.layout(), from.steps()),
                (self.base, self.strides),
                (source, from.stride(region)),
            )
        };
        copy(rows, tier, crew);
    }

    /// The elements of a step of a row's sequence, counted from the first row.
    ///
    /// # Panics
    /// Where there is no such row or step.
    pub fn step_mut(&mut self, index: usize, step: usize) -> &mut [E] {
        self.steps_mut(index, step, 1)
    }

    /// Sets the steps of a row's sequence from `step` on to 0.
    ///
    /// # Panics
    /// Where there is no such row, or the sequence has fewer steps.
    pub fn clear_from(&mut self, index: usize, step: usize) {
        let steps = self.strides.steps();
        assert!(step <= steps);
        if self.strides.is_contiguous() {
            self.steps_mut(index, step, steps - step).fill(E::ZERO);
        } else {
            (step..steps).for_each(|step| self.steps_mut(index, step, 1).fill(E::ZERO));
        }
    }

    /// The elements of `count` steps of a row's sequence, which are one behind the other if there is more than one.
    fn steps_mut(&mut self, index: usize, step: usize, count: usize) -> &mut [E] {
        let (strides, row) = (&self.strides, self.rows.start + index);
        assert!(self.rows.contains(&row));
        assert!(step <= strides.steps() && count <= strides.steps() - step);
        assert!(count <= 1 || strides.is_contiguous());
        if count == 0 {
            return &mut [];
        }
        let start = strides.index(self.layout.sequences()[row], step);
        // SAFETY: `new` has checked that the buffer fits the layout, of whose caller's batch the sequence is, and the strides
        // have the steps. Their elements follow each other, and those of this row are this right's alone.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), count * strides.width()) }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::layout::Order;
    use crate::regions::{RegionShape, Regions};

    fn layout(lengths: &[usize]) -> Layout {
        let mut layout = Layout::default();
        layout.reserve(lengths.len(), 9).unwrap();
        layout.set(lengths.len(), 9, Some(lengths));
        layout
    }

    const ORDERS: [Order; 2] = [Order::BatchMajor, Order::TimeMajor];

    #[test]
    fn rows_come_from_the_caller_and_go_back() {
        let lengths = [2, 5, 0, 1, 4];
        let whole = layout(&lengths);
        let (batch, steps, width) = (lengths.len(), 9, 3);
        let x: Vec<f64> = (0..batch * steps * width).map(|i| i as f64).collect();
        for (tier, order) in Tier::available()
            .into_iter()
            .flat_map(|tier| ORDERS.map(|order| (tier, order)))
        {
            let strides = Strides::new(order, batch, steps, width);
            let mut y = vec![-1.0; x.len()];
            for window in [0..2, 2..5] {
                let scatters = CallerSequences::new(&mut y, strides, &whole).split_at(1);
                for (rows, mut scatter) in [(0..1, scatters.0), (1..4, scatters.1)] {
                    let mut part = Layout::default();
                    part.reserve(rows.len(), steps).unwrap();
                    part.set_part(&whole, rows.clone());
                    let mut arena = Regions::default();
                    let regions = [RegionShape::with_lead(5)].into_iter();
                    arena.configure("test", regions, rows.len(), 7).unwrap();
                    let end = window.end.min(part.steps());
                    let mut window = arena.rows_mut(&part, window.start.min(end)..end);
                    window.read((tier, Crew::ALONE), 0, &x, strides);
                    scatter.write((tier, Crew::ALONE), &window, 0);
                }
            }
            for (sequence, &length) in lengths.iter().enumerate() {
                for step in 0..steps {
                    let place = strides.index(sequence, step);
                    let (y, x) = (&y[place..][..width], &x[place..][..width]);
                    assert_eq!(y, if step < length { x } else { &[-1.0; 3] });
                }
            }
        }
    }

    /// Runs what is wrong in one way with a right to the rows from the second on, of sequences of 3 steps of 2 elements.
    fn refused(wrong: impl Fn(&mut CallerSequences<'_, f64>, &Layout)) {
        for order in ORDERS {
            let whole = layout(&[2, 3, 1]);
            let mut buffer = [0.0; 18];
            let strides = Strides::new(order, 3, 3, 2);
            let (_, mut right) = CallerSequences::new(&mut buffer, strides, &whole).split_at(1);
            let work = || wrong(&mut right, &whole);
            assert!(catch_unwind(AssertUnwindSafe(work)).is_err());
        }
    }

    /// Writes rows of so many elements.
    fn write(
        scatter: &mut CallerSequences<'_, f64>,
        layout: &Layout,
        steps: Range<usize>,
        width: usize,
    ) {
        let mut arena = Regions::default();
        let regions = [RegionShape::window(width)].into_iter();
        let rows = layout.count(&steps);
        arena.configure("test", regions, 0, rows).unwrap();
        scatter.write((Tier::PORTABLE, Crew::ALONE), &arena.rows(layout, steps), 0);
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
        refused(|right, whole| write(right, &part(whole, 1..3), 0..1, 1));
        refused(|right, _| {
            let mut long = Layout::default();
            long.set(3, 5, Some(&[4, 5, 4]));
            write(right, &part(&long, 1..3), 0..4, 2);
        });
        refused(|right, _| _ = right.step_mut(2, 0));
        refused(|right, _| _ = right.step_mut(usize::MAX, 0));
        refused(|right, _| _ = right.step_mut(0, 3));
        refused(|right, _| _ = right.step_mut(0, usize::MAX));
        refused(|right, _| right.clear_from(2, 0));
        refused(|right, _| right.clear_from(0, 4));
        for order in ORDERS {
            let whole = layout(&[2, 3, 1]);
            let mut buffer = [1.0; 18];
            let strides = Strides::new(order, 3, 3, 2);
            let (_, mut right) = CallerSequences::new(&mut buffer, strides, &whole).split_at(1);
            write(&mut right, &part(&whole, 1..3), 0..2, 4);
            assert_eq!(right.step_mut(1, 2).len(), 2);
            right.clear_from(1, 1);
            right.clear_from(1, 3);
            // The rows are the first sequence, of which two steps have been written, and the last one.
            for (sequence, step) in (0..3).flat_map(|s| (0..3).map(move |t| (s, t))) {
                let zero = match sequence {
                    0 => step < 2,
                    1 => false,
                    _ => true,
                };
                let place = strides.index(sequence, step);
                let expected = if zero { 0.0 } else { 1.0 };
                assert_eq!(
                    buffer[place..place + 2],
                    [expected; 2],
                    "{sequence}, {step}"
                );
            }
        }
    }

    #[test]
    fn a_buffer_has_all_sequences_of_the_caller() {
        let whole = layout(&[2, 3, 1]);
        let mut part = Layout::default();
        part.set_part(&whole, 0..1);
        for order in ORDERS {
            let refused = |len: usize, batch, steps, layout: &Layout| {
                let mut buffer = vec![0.0_f64; len];
                let strides = Strides::new(order, batch, steps, 2);
                let work = || _ = CallerSequences::new(&mut buffer, strides, layout);
                catch_unwind(AssertUnwindSafe(work)).is_err()
            };
            assert!(!refused(18, 3, 3, &whole) && !refused(18, 3, 3, &part));
            assert!(refused(17, 3, 3, &whole) && refused(19, 3, 3, &whole));
            assert!(refused(18, 9, 1, &whole));
            // The one row of the part is the caller's second sequence.
            assert!(refused(6, 1, 3, &part));
            // 2^63 elements for each of two sequences are none, where the product overflows.
            assert!(refused(0, 2, 1 << 62, &layout(&[1, 1])));
        }
        let mut buffer = [0.0_f64; 18];
        let strides = Strides::new(Order::BatchMajor, 3, 3, 2);
        let scatter = CallerSequences::new(&mut buffer, strides, &whole);
        assert!(catch_unwind(AssertUnwindSafe(|| scatter.split_at(4))).is_err());
    }

    #[test]
    fn scattered_rows_follow_the_order() {
        let layout = layout(&[2, 5, 1]);
        let mut buffer = [0.0_f64; 6];
        let strides = Strides::one_step(3, 2);
        let (mut left, mut right) = CallerSequences::new(&mut buffer, strides, &layout).split_at(1);
        left.step_mut(0, 0).fill(1.0);
        right.step_mut(0, 0).fill(2.0);
        right.step_mut(1, 0).fill(3.0);
        assert_eq!(buffer, [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]);
    }
}
