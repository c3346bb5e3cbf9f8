//! How the sequences of a batch lie in memory.
//!
//! Inside the engine a batch is time-major and packed: all rows of step 0, then all rows of step 1, and so on, where
//! step t has one row for each sequence that is longer than t. The sequences are sorted by length, longest first, so
//! that the rows of a step are always the first ones of the step before: row r belongs to the same sequence at every
//! step. A sequence of length 0 has no row. Work and memory follow the sum of the lengths.
//!
//! [`Strides`] says where the steps of the caller's sequences lie.

use std::ops::Range;

use crate::buffer::try_reserve;
use crate::{Element, Error, Result, shape};

/// The shape of a batch, or of some of its rows. Row r stands for the caller's sequence `order[r]`.
#[derive(Debug, Default)]
pub struct Layout {
    /// Sequences of the caller's batch.
    caller_batch: usize,
    /// Sequence of each row, then those of the caller's whole batch that have none because their length is 0. Each is below
    /// `caller_batch` and none is there twice, whatever has been called and has panicked: unsafe code relies on it.
    order: Vec<usize>,
    /// Length of each row's sequence, falling, at least 1.
    lengths: Vec<usize>,
    /// Rows of all steps before t; one more entry than there are steps.
    offsets: Vec<usize>,
}

impl Layout {
    /// Checks the shape of a caller's batch.
    ///
    /// # Errors
    /// [`Error::ZeroSize`], [`Error::Length`], [`Error::SequenceLength`]
    pub fn check(batch: usize, steps: usize, lengths: Option<&[usize]>) -> Result<()> {
        shape::expect_nonzero("batch", batch)?;
        shape::expect_nonzero("steps", steps)?;
        if let Some(lengths) = lengths {
            shape::expect_len("lengths", lengths.len(), batch)?;
            let wrong = |&(_, &length): &(usize, &usize)| length > steps;
            if let Some((index, &length)) = lengths.iter().enumerate().find(wrong) {
                return Err(Error::SequenceLength {
                    index,
                    length,
                    steps,
                });
            }
        }
        Ok(())
    }

    /// Makes room for batches of this shape.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]; nothing has changed then.
    pub fn reserve(&mut self, batch: usize, steps: usize) -> Result<()> {
        let what = "the shape of a batch";
        try_reserve(what, &mut self.order, batch)?;
        try_reserve(what, &mut self.lengths, batch)?;
        try_reserve(what, &mut self.offsets, steps + 1)
    }

    /// Takes the shape of a batch that [`Self::check`] has passed, in room that [`Self::reserve`] has made.
    pub fn set(&mut self, batch: usize, steps: usize, lengths: Option<&[usize]>) {
        self.order.clear();
        self.caller_batch = batch;
        self.order.extend(0..batch);
        self.lengths.clear();
        match lengths {
            None => self.lengths.resize(batch, steps),
            Some(lengths) => {
                self.order
                    .sort_unstable_by_key(|&sequence| (usize::MAX - lengths[sequence], sequence));
                let sorted = self.order.iter().map(|&sequence| lengths[sequence]);
                self.lengths.extend(sorted.take_while(|&length| length > 0));
            }
        }
        self.set_offsets();
    }

    /// Takes the shape of some rows of `whole`, in room that [`Self::reserve`] has made.
    pub fn set_part(&mut self, whole: &Self, rows: Range<usize>) {
        self.order.clear();
        self.caller_batch = whole.caller_batch;
        self.order.extend_from_slice(&whole.order[rows.clone()]);
        self.lengths.clear();
        self.lengths.extend_from_slice(&whole.lengths[rows]);
        self.set_offsets();
    }

    /// Takes the shape of one step of every sequence of `layout`, in the same rows.
    pub fn set_one_step(&mut self, layout: &Self) {
        self.order.clear();
        self.caller_batch = layout.caller_batch;
        self.order.extend_from_slice(layout.sequences());
        self.lengths.clear();
        self.lengths.resize(layout.batch(), 1);
        self.set_offsets();
    }

    /// Counts the rows of the steps.
    fn set_offsets(&mut self) {
        self.offsets.clear();
        self.offsets.push(0);
        let (mut rows, mut total) = (self.lengths.len(), 0);
        for step in 0..self.lengths.first().copied().unwrap_or(0) {
            while self.lengths[rows - 1] <= step {
                rows -= 1;
            }
            total += rows;
            self.offsets.push(total);
        }
    }

    /// Sequences of the caller's batch, of which [`Self::sequences`] are some.
    pub fn caller_batch(&self) -> usize {
        self.caller_batch
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let entries = self.order.capacity() + self.lengths.capacity() + self.offsets.capacity();
        entries * size_of::<usize>()
    }

    /// Number of rows at the first step: of sequences that are not empty.
    #[inline]
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Steps of the longest sequence.
    #[inline]
    pub fn steps(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The caller's sequence of each row.
    pub fn sequences(&self) -> &[usize] {
        &self.order[..self.batch()]
    }

    /// The caller's sequences of length 0. A part of a batch has none.
    pub fn empty_sequences(&self) -> &[usize] {
        &self.order[self.batch()..]
    }

    /// Length of a row's sequence.
    pub fn length(&self, row: usize) -> usize {
        self.lengths[row]
    }

    /// Rows of all steps before `step`.
    #[inline]
    pub fn offset(&self, step: usize) -> usize {
        self.offsets[step]
    }

    /// Rows of all steps.
    pub fn total(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Rows of a step; 0 beyond the last one.
    #[inline]
    pub fn rows(&self, step: usize) -> usize {
        match self.offsets.get(step + 1) {
            Some(end) => end - self.offsets[step],
            None => 0,
        }
    }

    /// Rows of several steps; none beyond the last one.
    pub fn count(&self, steps: &Range<usize>) -> usize {
        let until = |step: usize| self.offsets[step.min(self.steps())];
        until(steps.end) - until(steps.start)
    }

    /// The end of the longest window from `start` on that has at most `limit` rows and `most` steps; at least one step.
    pub fn window_end(&self, start: usize, limit: usize, most: usize) -> usize {
        let reached = self.offsets[start] + limit;
        let end = self.offsets.partition_point(|&offset| offset <= reached) - 1;
        end.max(start + 1).min(start.saturating_add(most))
    }

    /// All steps in windows, the last one first: each is the longest that has at most `limit` rows and `most` steps, and
    /// has at least one step.
    pub fn windows_backwards(
        &self,
        limit: usize,
        most: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let mut next = self.steps();
        std::iter::from_fn(move || {
            let end = next;
            let last = end.checked_sub(1)?;
            let reached = self.offsets[end].saturating_sub(limit);
            let start = self.offsets.partition_point(|&offset| offset < reached);
            next = start.min(last).max(end.saturating_sub(most));
            Some(next..end)
        })
    }

    /// The row that the `part`-th of `parts` starts with, so that each has about as many steps and at least one row.
    /// There are at least as many rows as parts.
    pub fn part_start(&self, part: usize, parts: usize) -> usize {
        let all = self.total();
        let wanted = all / parts * part + all % parts * part / parts;
        let mut before = 0;
        let reached = self.lengths.iter().position(|length| {
            before += length;
            before > wanted
        });
        let rows = self.batch();
        reached.unwrap_or(rows).clamp(part, rows - (parts - part))
    }
}

/// What comes first in a caller's buffer of all steps of all sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// `[batch][steps][width]`
    #[default]
    BatchMajor,
    /// `[steps][batch][width]`
    TimeMajor,
}

/// Where the steps of a caller's sequences lie in a buffer: each has `width` elements of its own. Unsafe code relies on it,
/// so nothing here changes after [`Self::new`].
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    batch: usize,
    steps: usize,
    width: usize,
    /// From a sequence to the next one.
    sequence: usize,
    /// From a step to the next one.
    step: usize,
}

impl Strides {
    /// Those of a buffer whose number of elements is known to fit.
    pub fn new(order: Order, batch: usize, steps: usize, width: usize) -> Self {
        let (sequence, step) = match order {
            Order::BatchMajor => (steps.saturating_mul(width), width),
            Order::TimeMajor => (width, batch.saturating_mul(width)),
        };
        Self {
            batch,
            steps,
            width,
            sequence,
            step,
        }
    }

    /// Those of `[batch][width]`.
    pub fn one_step(batch: usize, width: usize) -> Self {
        Self::new(Order::BatchMajor, batch, 1, width)
    }

    /// Elements of a step.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Steps of each sequence.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Whether the steps of a sequence lie one behind the other.
    pub fn is_contiguous(&self) -> bool {
        self.step == self.width
    }

    /// Index of the first element of a step of a sequence. Where the buffer [fits](Self::fit), so do its `width` elements.
    #[inline(always)]
    pub fn index(&self, sequence: usize, step: usize) -> usize {
        sequence * self.sequence + step * self.step
    }

    /// Whether a buffer of `len` elements is one of `layout`'s caller.
    pub fn fit(&self, len: usize, layout: &Layout) -> bool {
        let rows = self.batch.checked_mul(self.steps);
        let elements = rows.and_then(|rows| rows.checked_mul(self.width));
        self.batch == layout.caller_batch && elements == Some(len)
    }

    /// Sets the steps of the empty sequences of a layout to 0.
    ///
    /// # Panics
    /// Where the buffer does not fit.
    pub fn clear_empty<E: Element>(&self, buffer: &mut [E], layout: &Layout) {
        assert!(self.fit(buffer.len(), layout));
        for &sequence in layout.empty_sequences() {
            for step in 0..self.steps {
                buffer[self.index(sequence, step)..][..self.width].fill(E::ZERO);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(steps: usize, lengths: &[usize]) -> Layout {
        let mut layout = Layout::default();
        Layout::check(lengths.len(), steps, Some(lengths)).unwrap();
        layout.reserve(lengths.len(), steps).unwrap();
        layout.set(lengths.len(), steps, Some(lengths));
        layout
    }

    #[test]
    fn rows_are_sorted_by_length_and_counted_per_step() {
        let layout = layout(9, &[2, 5, 1, 5, 3]);
        assert_eq!(layout.order, [1, 3, 4, 0, 2]);
        assert_eq!(layout.lengths, [5, 5, 3, 2, 1]);
        assert_eq!(layout.offsets, [0, 5, 9, 12, 14, 16]);
        assert_eq!(layout.steps(), 5);
        assert_eq!(layout.rows(0), 5);
        assert_eq!(layout.rows(4), 2);
        assert_eq!(layout.rows(5), 0);
        assert_eq!(layout.count(&(1..3)), 7);
        assert_eq!(layout.count(&(4..9)), 2);
        assert_eq!(layout.count(&(5..9)), 0);
    }

    #[test]
    fn windows_hold_as_many_steps_as_fit() {
        let layout = layout(5, &[2, 5, 1, 5, 3]);
        assert_eq!(layout.window_end(0, 1, 9), 1);
        assert_eq!(layout.window_end(0, 9, 9), 2);
        assert_eq!(layout.window_end(2, 5, 9), 4);
        assert_eq!(layout.window_end(2, 1000, 9), 5);
        assert_eq!(layout.window_end(0, 1000, 2), 2);
        let starts = |limit, most| -> Vec<usize> {
            let mut next = 5;
            let windows = layout.windows_backwards(limit, most).map(|window| {
                assert_eq!(window.end, next);
                next = window.start;
                next
            });
            windows.collect()
        };
        assert_eq!(starts(1, 9), [4, 3, 2, 1, 0]);
        assert_eq!(starts(4, 9), [3, 2, 1, 0]);
        assert_eq!(starts(6, 9), [3, 2, 1, 0]);
        assert_eq!(starts(1000, 9), [0]);
        assert_eq!(starts(1000, 2), [3, 1, 0]);
    }

    #[test]
    fn parts_balance_the_steps_and_none_is_empty() {
        let layout = layout(100, &[100, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]);
        let starts = |parts| {
            (0..=parts)
                .map(|part| layout.part_start(part, parts))
                .collect()
        };
        let starts = |parts| -> Vec<usize> { starts(parts) };
        assert_eq!(starts(1), [0, 11]);
        assert_eq!(starts(2), [0, 1, 11]);
        assert_eq!(starts(11), (0..=11).collect::<Vec<_>>());
        let equal = super::tests::layout(7, &[7; 16]);
        assert_eq!(
            (0..=4)
                .map(|part| equal.part_start(part, 4))
                .collect::<Vec<_>>(),
            [0, 4, 8, 12, 16]
        );
    }

    #[test]
    fn empty_sequences_have_no_rows() {
        let with = layout(9, &[0, 2, 5, 0, 1, 0]);
        assert_eq!(with.sequences(), [2, 1, 4]);
        assert_eq!(with.empty_sequences(), [0, 3, 5]);
        assert_eq!((with.batch(), with.caller_batch()), (3, 6));
        assert_eq!(with.offsets, layout(9, &[2, 5, 1]).offsets);
        let mut other = Layout::default();
        other.set_part(&with, 1..3);
        assert_eq!(
            (other.sequences(), other.empty_sequences()),
            (&[1, 4][..], &[][..])
        );
        other.set_one_step(&with);
        assert_eq!((other.sequences(), other.steps()), (&[2, 1, 4][..], 1));
        let none = layout(9, &[0, 0]);
        assert_eq!((none.batch(), none.steps(), none.total()), (0, 0, 0));
        other.set_one_step(&none);
        assert_eq!((other.batch(), other.steps(), other.total()), (0, 0, 0));
    }

    #[test]
    fn every_step_of_every_sequence_has_its_own_elements() {
        let (batch, steps, width) = (3, 4, 2);
        let layout = layout(steps, &[4, 0, 2]);
        for order in [Order::BatchMajor, Order::TimeMajor] {
            let strides = Strides::new(order, batch, steps, width);
            let mut seen = [0; 24];
            for (sequence, step) in (0..batch).flat_map(|s| (0..steps).map(move |t| (s, t))) {
                let own = &mut seen[strides.index(sequence, step)..][..width];
                own.iter_mut().for_each(|count| *count += 1);
            }
            assert_eq!(seen, [1; 24]);
            assert!(strides.fit(24, &layout) && !strides.fit(23, &layout));
            assert!(!Strides::new(order, 6, 2, width).fit(24, &layout));
            let mut buffer = [1.0_f32; 24];
            strides.clear_empty(&mut buffer, &layout);
            for (sequence, step) in (0..batch).flat_map(|s| (0..steps).map(move |t| (s, t))) {
                let expected = if sequence == 1 { 0.0 } else { 1.0 };
                assert_eq!(
                    buffer[strides.index(sequence, step)..][..width],
                    [expected; 2]
                );
            }
        }
        let huge = Strides::new(Order::TimeMajor, 3, 1 << 63, 1 << 63);
        assert!(!huge.fit(0, &layout));
    }

    #[test]
    fn wrong_lengths_are_named() {
        let error = Layout::check(2, 4, Some(&[4, 5])).unwrap_err();
        assert_eq!(error.to_string(), "lengths[1] is 5, expected 0 to 4");
        assert!(Layout::check(2, 4, Some(&[0, 4])).is_ok());
        assert!(Layout::check(2, 4, Some(&[4])).is_err());
        assert!(Layout::check(0, 4, None).is_err());
        assert!(Layout::check(4, 0, None).is_err());
    }
}
