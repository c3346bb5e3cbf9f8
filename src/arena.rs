//! The memory of a pass, and how threads share it without sharing a single element.
//!
//! An [`Arena`] holds one region per layer: rows in the order of a [`Layout`], for a window of its steps, behind a lead
//! of one row per sequence (where a recurrent layer keeps the state that the window starts from). A [`Shard`] is the
//! exclusive right to some rows at all steps of all regions; it can be cut in two. [`Scatter`] is the same for buffers
//! of the caller, which are sequence-major and in the caller's order.
//!
//! This is a place for `unsafe` because such a right covers many pieces that lie far apart, which `&mut [E]` can't say.

use std::marker::PhantomData;
use std::ops::Range;

use crate::buffer::{Buffer, try_reserve};
use crate::kernels::copy::CopyRows;
use crate::layout::Layout;
use crate::simd::Tier;
use crate::{Element, Result, shape};

/// Where a region lies in its arena.
#[derive(Clone, Copy, Debug)]
struct Region {
    start: usize,
    width: usize,
    stride: usize,
    lead: usize,
}

/// Rows of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The rows before the window.
    Lead,
    /// The rows of one step.
    Step(usize),
    /// The rows of several steps, one after the other. Only a shard of all rows has them in one piece.
    Steps(usize, usize),
    /// The lead and the rows of the whole window. Only for a shard of all rows.
    All,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Arena<E: Element> {
    buffer: Buffer<E>,
    regions: Vec<Region>,
    rows: usize,
}

impl<E: Element> Arena<E> {
    /// Lays out one region for each `(width, lead)` (in elements and rows) with room for `rows` rows in a window.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`], [`crate::Error::SizeOverflow`]; the regions are then as they were.
    pub fn configure(
        &mut self,
        what: &'static str,
        regions: impl ExactSizeIterator<Item = (usize, usize)> + Clone,
        rows: usize,
    ) -> Result<()> {
        let place = |start: &mut usize, (width, lead): (usize, usize)| {
            let region = Region {
                start: *start,
                width,
                stride: stride::<E>(width),
                lead,
            };
            let len = shape::product(what, &[shape::sum(what, &[lead, rows])?, region.stride])?;
            *start = shape::sum(what, &[*start, len, 15])? / 16 * 16;
            Ok(region)
        };
        let mut total = 0;
        for spec in regions.clone() {
            place(&mut total, spec)?;
        }
        try_reserve(what, &mut self.regions, regions.len())?;
        self.buffer.resize(what, total)?;
        self.regions.clear();
        self.rows = rows;
        total = 0;
        for spec in regions {
            self.regions.push(place(&mut total, spec)?);
        }
        Ok(())
    }

    /// The lead of a region.
    pub fn lead(&self, region: usize) -> &[E] {
        let region = &self.regions[region];
        &self.buffer[region.start..][..region.lead * region.stride]
    }

    /// The right to all rows of `layout` at the steps of `window`.
    ///
    /// # Panics
    /// Where the window has more rows than there is room for.
    pub fn shard<'a>(&'a mut self, layout: &'a Layout, window: Range<usize>) -> Shard<'a, E> {
        assert!(window.start <= window.end && window.end <= layout.steps());
        assert!(layout.offset(window.end) - layout.offset(window.start) <= self.rows);
        assert!(
            self.regions
                .iter()
                .all(|region| region.lead == 0 || region.lead == layout.batch())
        );
        Shard {
            base: self.buffer.as_mut_ptr(),
            len: self.buffer.len(),
            regions: &self.regions,
            layout,
            window,
            rows: 0..layout.batch(),
            elements: PhantomData,
        }
    }
}

/// From one row of a region to the next. Rows whose distance is a multiple of 1 KiB would meet in a few sets of the
/// first-level cache; one cache line more spreads them.
fn stride<E>(width: usize) -> usize {
    if (width * size_of::<E>()).is_multiple_of(1024) {
        width + 64 / size_of::<E>()
    } else {
        width
    }
}

/// The exclusive right to some rows, at all steps of a window, of all regions of an arena.
#[derive(Debug)]
pub struct Shard<'a, E: Element> {
    base: *mut E,
    len: usize,
    regions: &'a [Region],
    layout: &'a Layout,
    window: Range<usize>,
    rows: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: a shard is the only one that reaches its elements (see `split_at`), so it can go to another thread like a
// `&mut [E]`; what it shares (regions, layout) is only read.
unsafe impl<E: Element> Send for Shard<'_, E> {}

// SAFETY: a shared shard only reads.
unsafe impl<E: Element> Sync for Shard<'_, E> {}

impl<'a, E: Element> Shard<'a, E> {
    /// The shape of the batch.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The steps.
    pub fn window(&self) -> Range<usize> {
        self.window.clone()
    }

    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// How many of the rows there are at `step`.
    pub fn rows_at(&self, step: usize) -> usize {
        let rows = self.layout.rows(step);
        rows.min(self.rows.end).saturating_sub(self.rows.start)
    }

    /// From one row of a region to the next.
    pub fn stride(&self, region: usize) -> usize {
        self.regions[region].stride
    }

    /// Cuts the right in two: the rows before `row` and those from it on.
    pub fn split_at(self, row: usize) -> (Self, Self) {
        assert!(self.rows.contains(&row));
        let right = Self {
            rows: row..self.rows.end,
            window: self.window.clone(),
            ..self
        };
        let left = Self {
            rows: self.rows.start..row,
            ..self
        };
        (left, right)
    }

    /// Blocks that cover the window, each in one piece and as large as can be, in rising order.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = Block> + use<E> {
        let Range { start, end } = self.window;
        let whole = self.rows == (0..self.layout.batch());
        let steps = if whole { start..start + 1 } else { start..end };
        steps.map(move |step| {
            if whole {
                Block::Steps(start, end)
            } else {
                Block::Step(step)
            }
        })
    }

    /// The block before `step`: the step before it, or the lead.
    pub fn previous(&self, step: usize) -> Block {
        if step == self.window.start {
            Block::Lead
        } else {
            Block::Step(step - 1)
        }
    }

    /// Index of the first row of the block before `step` among the rows of [`Block::All`] of a region with a lead.
    pub fn previous_index(&self, step: usize) -> usize {
        if step == self.window.start {
            return 0;
        }
        self.layout.batch() + self.layout.offset(step - 1) - self.layout.offset(self.window.start)
    }

    /// How many of the rows there are in all steps of a window.
    fn count_steps(&self, from: usize, to: usize) -> usize {
        self.layout.offset(to) - self.layout.offset(from)
    }

    /// How many of the rows a block of a region has.
    pub fn count(&self, region: usize, block: Block) -> usize {
        match block {
            Block::Lead => self.rows.len(),
            Block::Step(step) => self.rows_at(step),
            Block::Steps(from, to) => self.count_steps(from, to),
            Block::All => {
                self.regions[region].lead + self.count_steps(self.window.start, self.window.end)
            }
        }
    }

    /// The elements of the rows in a block of a region, from the first of the first row to the last of the last row.
    pub fn get(&self, region: usize, block: Block) -> &[E] {
        let range = self.range(region, block);
        // SAFETY: `range` lies in the buffer and only this shard reaches its rows; the borrow of the shard keeps
        // `get_mut` and `split` away while the slice lives.
        unsafe { std::slice::from_raw_parts(self.base.add(range.start), range.len()) }
    }

    /// As [`Self::get`], to write.
    pub fn get_mut(&mut self, region: usize, block: Block) -> &mut [E] {
        self.split([], (region, block)).1
    }

    /// Some blocks to read and one to write.
    ///
    /// # Panics
    /// Where the one to write is also to be read.
    pub fn split<const N: usize>(
        &mut self,
        read: [(usize, Block); N],
        write: (usize, Block),
    ) -> ([&[E]; N], &mut [E]) {
        let target = self.range(write.0, write.1);
        let mut sources: [&[E]; N] = [&[]; N];
        for (source, (region, block)) in sources.iter_mut().zip(read) {
            let range = self.range(region, block);
            assert!(range.end <= target.start || range.start >= target.end);
            // SAFETY: as in `get`; the range does not touch the one to write.
            *source =
                unsafe { std::slice::from_raw_parts(self.base.add(range.start), range.len()) };
        }
        // SAFETY: as in `get`; the shard is borrowed exclusively, and no range to read touches this one.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.base.add(target.start), target.len()) };
        (sources, target)
    }

    /// Copies the steps of the window from the sequences of `from` `[batch][steps][width]` to the start of each row of a
    /// region.
    ///
    /// # Panics
    /// Where `from` is too short.
    pub fn read(&mut self, tier: Tier, region: usize, from: &[E], steps: usize, width: usize) {
        assert_eq!(from.len(), self.layout.batch() * steps * width);
        assert!(self.window.end <= steps);
        // SAFETY: every sequence and its steps lie in `from`, which is only read; the exclusive borrow of the shard makes
        // the rows nobody else's.
        unsafe {
            self.copy(
                tier,
                region,
                width,
                from.as_ptr().cast_mut(),
                steps * width,
                true,
            )
        }
    }

    /// Copies between the rows of a region and a caller's buffer.
    ///
    /// # Safety
    /// - Each sequence of the shard must have its elements up to the window's end, of `width` per step, in `caller`, one
    ///   sequence every `sequence_stride`. They must be readable or, unless `to_engine`, writable by nobody else.
    /// - If `to_engine`, the shard must be borrowed exclusively.
    unsafe fn copy(
        &self,
        tier: Tier,
        region: usize,
        width: usize,
        caller: *mut E,
        sequence_stride: usize,
        to_engine: bool,
    ) {
        let region = &self.regions[region];
        assert!(width <= region.width);
        // In bounds as in `range`: only the rows of this shard at the steps of its window are reached from here.
        let engine = self
            .base
            .wrapping_add(region.start + region.lead * region.stride);
        tier.run(CopyRows {
            layout: self.layout,
            rows: self.rows.clone(),
            window: self.window.clone(),
            width,
            caller: caller.wrapping_add(self.window.start * width),
            sequence_stride,
            engine,
            engine_stride: region.stride,
            to_engine,
        });
    }

    /// Indices of a block's elements in the buffer.
    ///
    /// Blocks of different rows never overlap: within a region, `position` counts lead rows first, then the rows of the
    /// window step by step, as the layout's offsets do; regions follow each other. That the block's rows are the shard's
    /// own is what makes two shards of different rows disjoint.
    fn range(&self, region: usize, block: Block) -> Range<usize> {
        let count = self.count(region, block);
        let region = &self.regions[region];
        let position = |step: usize| {
            assert!(self.window.contains(&step));
            region.lead + self.layout.offset(step) - self.layout.offset(self.window.start)
        };
        let whole = self.rows == (0..self.layout.batch());
        let first = match block {
            Block::Lead => {
                assert!(region.lead >= self.rows.end);
                self.rows.start
            }
            Block::Step(step) => position(step) + self.rows.start,
            Block::Steps(from, to) => {
                assert!(whole && to <= self.window.end);
                position(from)
            }
            Block::All => {
                assert!(whole);
                0
            }
        };
        if count == 0 {
            return region.start..region.start;
        }
        let start = region.start + first * region.stride;
        let end = start + (count - 1) * region.stride + region.width;
        assert!(end <= self.len);
        start..end
    }
}

/// The exclusive right to some sequences of a caller's buffer `[batch][width]`, addressed by row.
#[derive(Debug)]
pub struct Scatter<'a, E> {
    base: *mut E,
    width: usize,
    layout: &'a Layout,
    rows: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: as for `Shard`.
unsafe impl<E: Element> Send for Scatter<'_, E> {}

impl<'a, E: Element> Scatter<'a, E> {
    /// The right to all sequences.
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

    /// Cuts the right in two: the rows before `row` and those from it on.
    pub fn split_at(self, row: usize) -> (Self, Self) {
        assert!(self.rows.contains(&row));
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

    /// Copies the first `width` elements of each of `shard`'s rows in a region to their steps of these sequences.
    ///
    /// # Panics
    /// Where the rows are others, or a sequence is too short for its steps.
    pub fn write(&mut self, tier: Tier, shard: &Shard<'_, E>, region: usize, width: usize) {
        assert!(self.rows == shard.rows && self.layout.batch() == shard.layout.batch());
        assert!(self.width >= shard.window.end * width);
        // SAFETY: `new` has checked that every sequence lies in the buffer, and with it, as asserted, the window's steps;
        // the layout's order is a permutation, so these sequences are this right's alone. Shard and scatter have the same
        // rows and hence the same sequences.
        unsafe { shard.copy(tier, region, width, self.base, self.width, false) }
    }

    /// The elements of a row's sequence.
    pub fn get_mut(&mut self, row: usize) -> &mut [E] {
        assert!(self.rows.contains(&row));
        let start = self.layout.sequence(row) * self.width;
        // SAFETY: `new` has checked that every sequence lies in the buffer; the layout's order is a permutation, so a
        // sequence belongs to one row, and the row to this right alone.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(start), self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(lengths: &[usize]) -> Layout {
        let mut layout = Layout::default();
        layout.reserve(lengths.len(), 9).unwrap();
        layout.set(lengths.len(), 9, Some(lengths));
        layout
    }

    #[test]
    fn shards_reach_every_element_once() {
        let layout = layout(&[2, 5, 1, 5, 3]);
        for (width, window) in [(3, 0..5), (256, 1..4)] {
            let mut arena = Arena::<f32>::default();
            let rows = layout.offset(window.end) - layout.offset(window.start);
            arena
                .configure("test", [(width, 5), (2, 0)].into_iter(), rows)
                .unwrap();
            let (left, right) = arena.shard(&layout, window.clone()).split_at(2);
            let (middle, right) = right.split_at(4);
            for mut shard in [left, middle, right] {
                let blocks = std::iter::once(Block::Lead).chain(window.clone().map(Block::Step));
                for block in blocks {
                    let count = shard.count(0, block);
                    let stride = shard.stride(0);
                    let rows = shard.get_mut(0, block).chunks_mut(stride);
                    assert_eq!(rows.len(), count);
                    for row in rows {
                        for value in &mut row[..width] {
                            *value += 1.0;
                        }
                    }
                }
                for step in window.clone() {
                    for value in shard.get_mut(1, Block::Step(step)) {
                        *value += 10.0;
                    }
                }
            }
            let shard = arena.shard(&layout, window.clone());
            let all = shard.get(0, Block::Steps(window.start, window.end));
            let stride = shard.stride(0);
            assert!(
                all.chunks(stride)
                    .all(|row| row[..width] == vec![1.0; width])
            );
            let all = shard.get(1, Block::Steps(window.start, window.end));
            assert!(all.iter().all(|&value| value == 10.0));
            assert_eq!(all.len(), 2 * rows);
            assert!(
                shard
                    .get(0, Block::Lead)
                    .iter()
                    .step_by(stride)
                    .all(|&value| value == 1.0)
            );
        }
    }

    #[test]
    #[should_panic(expected = "range.end <= target.start")]
    fn a_block_is_not_read_while_it_is_written() {
        let layout = layout(&[2, 1]);
        let mut arena = Arena::<f32>::default();
        arena.configure("test", [(3, 0)].into_iter(), 3).unwrap();
        let mut shard = arena.shard(&layout, 0..2);
        shard.split([(0, Block::Steps(0, 2))], (0, Block::Step(1)));
    }

    #[test]
    fn rows_come_from_the_caller_and_go_back() {
        let layout = layout(&[2, 5, 1, 4]);
        let (steps, width) = (9, 3);
        let x: Vec<f64> = (0..4 * steps * width).map(|index| index as f64).collect();
        for tier in Tier::available() {
            let mut y = vec![-1.0; x.len()];
            for window in [0..2, 2..5] {
                let mut arena = Arena::default();
                arena.configure("test", [(5, 4)].into_iter(), 7).unwrap();
                let shards = arena.shard(&layout, window).split_at(1);
                let scatters = Scatter::new(&mut y, steps * width, &layout).split_at(1);
                for (mut shard, mut scatter) in [(shards.0, scatters.0), (shards.1, scatters.1)] {
                    shard.read(tier, 0, &x, steps, width);
                    scatter.write(tier, &shard, 0, width);
                }
            }
            for (index, (&y, &x)) in y.iter().zip(&x).enumerate() {
                let (sequence, step) = (index / (steps * width), index / width % steps);
                let inside = step < [2, 5, 1, 4][sequence];
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
        right.get_mut(1).fill(2.0);
        right.get_mut(2).fill(3.0);
        assert_eq!(buffer, [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]);
    }
}
