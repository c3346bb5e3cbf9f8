//! The memory of a pass: one region per layer, of rows in the order of a [`Layout`], for a window of its steps.
//!
//! The regions of recurrent layers begin with a lead: one row for each sequence in front of the window's rows, in the same
//! order, for what crosses the border between two windows. Forward that is the state that the window starts from; backward,
//! what the window after it, which has been gone through before, hands over. So the step at the border is like any other: the
//! rows that it starts from lie in the region.
//!
//! A thread has arenas of its own. Rows of several threads side by side would be safe as well, but a core's prefetcher
//! reaches for its neighbours' rows while those are being written: at T 1000, B 16, I 32, H 64 two threads were then no
//! faster than one.

use std::ops::{Deref, DerefMut, Range};

use crate::buffer::{Buffer, try_reserve};
use crate::gemm::copy;
use crate::kernels::copy::CopyRows;
use crate::kernels::recurrence::BandPlace;
use crate::layout::{Layout, Strides};
use crate::parallel::Crew;
use crate::simd::Tier;
use crate::{Element, Result, shape};

/// Where a region lies in its arena.
#[derive(Clone, Copy, Debug)]
struct Region {
    start: usize,
    width: usize,
    stride: usize,
    lead: usize,
    has_window: bool,
}

/// The rows of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionShape {
    /// Elements of a row.
    pub width: usize,
    /// Whether it has a lead.
    pub lead: bool,
    /// Whether it has the rows of a window.
    pub window: bool,
}

impl RegionShape {
    /// The rows of a window.
    pub const fn window(width: usize) -> Self {
        Self {
            width,
            lead: false,
            window: true,
        }
    }

    /// A lead and the rows of a window.
    pub const fn with_lead(width: usize) -> Self {
        Self {
            width,
            lead: true,
            window: true,
        }
    }

    /// A lead alone: one row for each sequence.
    pub const fn lead(width: usize) -> Self {
        Self {
            width,
            lead: true,
            window: false,
        }
    }

    /// Elements, with so many rows of a lead and of a window.
    fn len<E>(&self, what: &'static str, batch: usize, rows: usize) -> Result<usize> {
        let count = |there: bool, count| if there { count } else { 0 };
        let rows = shape::sum(what, &[count(self.lead, batch), count(self.window, rows)])?;
        shape::product(what, &[rows, stride::<E>(self.width)])
    }
}

/// Rows of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The rows before the window.
    Lead,
    /// The rows of one step.
    Step(usize),
    /// The rows of several steps, one after the other.
    Steps(usize, usize),
    /// The lead and the rows of the whole window.
    All,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Regions<E: Element> {
    buffer: Buffer<E>,
    regions: Vec<Region>,
    rows: usize,
}

impl<E: Element> Regions<E> {
    /// Lays out regions with leads of `batch` rows and room for `rows` rows in a window.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`], [`crate::Error::SizeOverflow`]; the regions are then as they were.
    pub fn configure(
        &mut self,
        what: &'static str,
        regions: impl ExactSizeIterator<Item = RegionShape> + Clone,
        batch: usize,
        rows: usize,
    ) -> Result<()> {
        // Calls of one shape follow each other: to lay them out again takes a third of a small one.
        let lead = |shape: RegionShape| if shape.lead { batch } else { 0 };
        let is_same = |(region, shape): (&Region, RegionShape)| {
            (region.width, region.lead, region.has_window)
                == (shape.width, lead(shape), shape.window)
        };
        if (self.rows, self.regions.len()) == (rows, regions.len())
            && self.regions.iter().zip(regions.clone()).all(is_same)
        {
            return Ok(());
        }
        let place = |start: &mut usize, shape: RegionShape| {
            let region = Region {
                start: *start,
                width: shape.width,
                stride: stride::<E>(shape.width),
                lead: lead(shape),
                has_window: shape.window,
            };
            let len = shape.len::<E>(what, batch, rows)?;
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

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        self.buffer.len() * size_of::<E>() + self.regions.capacity() * size_of::<Region>()
    }

    /// Where the rows of a region are in [`Self::memory`].
    pub fn place(&self, region: usize) -> BandPlace {
        let region = &self.regions[region];
        BandPlace {
            start: region.start,
            stride: region.stride,
            lead: region.lead,
        }
    }

    /// [`Self::place`] of all regions.
    pub fn places(&self) -> impl ExactSizeIterator<Item = BandPlace> {
        (0..self.regions.len()).map(|region| self.place(region))
    }

    /// All elements of all regions.
    pub fn memory(&self) -> &[E] {
        &self.buffer
    }

    /// The same, to write.
    pub fn memory_mut(&mut self) -> &mut [E] {
        &mut self.buffer
    }

    /// The lead of a region.
    pub fn lead(&self, region: usize) -> &[E] {
        let region = &self.regions[region];
        &self.buffer[region.start..][..region.lead * region.stride]
    }

    /// The rows of `layout` at the steps of `window`, to read.
    ///
    /// # Panics
    /// Where the window has more rows than there is room for.
    pub fn rows<'a>(&'a self, layout: &'a Layout, window: Range<usize>) -> Rows<'a, E> {
        Window::new(&self.regions, self.rows, layout, window, &self.buffer)
    }

    /// The rows of `layout` at the steps of `window`, to read and write.
    ///
    /// # Panics
    /// Where the window has more rows than there is room for.
    pub fn rows_mut<'a>(&'a mut self, layout: &'a Layout, window: Range<usize>) -> RowsMut<'a, E> {
        Window::new(&self.regions, self.rows, layout, window, &mut self.buffer)
    }
}

/// Some sequences of a batch and the memory of a thread that runs them.
#[derive(Debug, Default)]
pub struct Shard<E: Element> {
    /// The sequences.
    pub layout: Layout,
    /// Region 0 is the input, region l + 1 the output of the l-th layer.
    pub activations: Regions<E>,
    /// The gradients of a window of them, in the same regions.
    pub deltas: Regions<E>,
}

/// Some rows of some steps of a shard.
#[derive(Clone, Debug)]
pub struct Piece<'a, E> {
    /// All steps.
    pub activations: Rows<'a, E>,
    /// Those whose gradients there are.
    pub deltas: Rows<'a, E>,
    /// The steps, of a window.
    pub steps: Range<usize>,
    /// The rows of each step, as far as it has them.
    rows: Range<usize>,
}

impl<'a, E: Element> Piece<'a, E> {
    /// Its rows of a step.
    pub fn rows(&self, step: usize) -> Range<usize> {
        let there = self.activations.layout.rows(step);
        self.rows.start.min(there)..self.rows.end.min(there)
    }

    /// Its rows that follow each other, counted from the first row of its steps: the last ones first.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let Range { start, end } = self.steps;
        let layout = self.activations.layout;
        let behind = move |step| layout.offset(step) - layout.offset(start);
        let is_whole = self.rows == (0..layout.batch());
        let whole = is_whole.then(|| 0..behind(end));
        let steps = if is_whole { 0..0 } else { start..end };
        let runs = steps.rev().map(move |step| {
            let Range { start, end } = self.rows(step);
            behind(step) + start..behind(step) + end
        });
        let is_there = |run: &Range<usize>| !run.is_empty();
        whole.into_iter().chain(runs).filter(is_there)
    }

    /// The rows of its steps of a region of activations, one behind the other, and the distance of one from the next.
    pub fn values(&self, region: usize) -> (&'a [E], usize) {
        self.of(&self.activations, region)
    }

    /// The same of gradients.
    pub fn gradients(&self, region: usize) -> (&'a [E], usize) {
        self.of(&self.deltas, region)
    }

    fn of(&self, rows: &Rows<'a, E>, region: usize) -> (&'a [E], usize) {
        let steps = Span::Steps(self.steps.start, self.steps.end);
        (rows.get_long(region, steps), rows.stride(region))
    }
}

/// Rows from one on.
pub fn from_row<E>((values, stride): (&[E], usize), row: usize) -> (&[E], usize) {
    (&values[row * stride..], stride)
}

/// The shards that have some of the rows `rows` of a batch, the last one first, and which of their own these are.
pub fn rows_backwards<E: Element>(
    shards: &[Shard<E>],
    rows: Range<usize>,
) -> impl Iterator<Item = (&Shard<E>, Range<usize>)> {
    let mut end = shards.iter().map(|shard| shard.layout.batch()).sum();
    shards.iter().rev().filter_map(move |shard| {
        let behind = end;
        end -= shard.layout.batch();
        let own = rows.start.max(end)..rows.end.min(behind);
        (!own.is_empty()).then(|| (shard, own.start - end..own.end - end))
    })
}

/// What `shards` have of some rows of a window: from the last step to the first, and within a step from the last row to the
/// first, however the rows are shared. Where they are all of one shard, they are one piece. The shards hold the gradients of the
/// steps `held`.
pub fn pieces_backwards<E: Element>(
    shards: &[Shard<E>],
    held: Range<usize>,
    window: Range<usize>,
    rows: Range<usize>,
) -> impl Iterator<Item = Piece<'_, E>> {
    let own = move || rows_backwards(shards, rows.clone());
    let is_one = own().count() <= 1;
    let times = if is_one { 0..1 } else { window.clone() };
    times.rev().flat_map(move |step| {
        let steps = if is_one {
            window.clone()
        } else {
            step..step + 1
        };
        let held = held.clone();
        own().filter_map(move |(shard, rows)| {
            let all = shard.layout.steps();
            let until = |steps: &Range<usize>| steps.start.min(all)..steps.end.min(all);
            let steps = until(&steps);
            (!steps.is_empty()).then(|| Piece {
                activations: shard.activations.rows(&shard.layout, 0..all),
                deltas: shard.deltas.rows(&shard.layout, until(&held)),
                steps,
                rows,
            })
        })
    })
}

/// From one row of a region to the next. Rows whose distance is a multiple of 1 KiB would meet in a few sets of the
/// first-level cache; one cache line more spreads them.
fn stride<E>(width: usize) -> usize {
    if width > 0 && width.saturating_mul(size_of::<E>()).is_multiple_of(1024) {
        width + 64 / size_of::<E>()
    } else {
        width
    }
}

/// The rows of an arena at the steps of a window.
#[derive(Clone, Debug)]
pub struct Window<'a, D> {
    regions: &'a [Region],
    layout: &'a Layout,
    steps: Range<usize>,
    data: D,
}

/// To read.
pub type Rows<'a, E> = Window<'a, &'a [E]>;

/// To read and write.
pub type RowsMut<'a, E> = Window<'a, &'a mut [E]>;

impl<'a, D> Window<'a, D> {
    fn new(
        regions: &'a [Region],
        room: usize,
        layout: &'a Layout,
        steps: Range<usize>,
        data: D,
    ) -> Self {
        assert!(steps.start <= steps.end && steps.end <= layout.steps());
        assert!(layout.offset(steps.end) - layout.offset(steps.start) <= room);
        let fits = |region: &Region| region.lead == 0 || region.lead == layout.batch();
        assert!(regions.iter().all(fits));
        Self {
            regions,
            layout,
            steps,
            data,
        }
    }

    /// The shape of the batch.
    #[inline]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The steps.
    #[inline]
    pub fn steps(&self) -> Range<usize> {
        self.steps.clone()
    }

    /// All steps as one block.
    #[inline]
    pub fn block(&self) -> Span {
        Span::Steps(self.steps.start, self.steps.end)
    }

    /// From one row of a region to the next.
    #[inline]
    pub fn stride(&self, region: usize) -> usize {
        self.regions[region].stride
    }

    /// Elements of a row of a region.
    pub fn width(&self, region: usize) -> usize {
        self.regions[region].width
    }

    /// Index of the first row of the block before `step` among the rows of [`Span::All`] of a region with a lead.
    pub fn previous_index(&self, step: usize) -> usize {
        if step == self.steps.start {
            return 0;
        }
        self.layout.batch() + self.count(Span::Steps(self.steps.start, step - 1))
    }

    /// The number of rows of a block of steps. Inlined, as what kind of block it is is always known there; a step of a small
    /// layer asks for six blocks.
    #[inline(always)]
    pub fn count(&self, block: Span) -> usize {
        count(self.layout, &self.steps, block)
    }

    /// Indices of a block's elements: from the first of the first row to the last of the last row.
    ///
    /// # Panics
    /// Where the region has no lead, or the window not these steps.
    #[inline(always)]
    fn range(&self, region: usize, block: Span) -> Range<usize> {
        ranges(self.regions, self.layout, &self.steps, region, block)
    }
}

/// See [`Window::range`].
#[inline(always)]
fn ranges(
    regions: &[Region],
    layout: &Layout,
    steps: &Range<usize>,
    region: usize,
    block: Span,
) -> Range<usize> {
    let region = &regions[region];
    let position = |step: usize| {
        assert!(steps.start <= step && step <= steps.end);
        region.lead + layout.offset(step) - layout.offset(steps.start)
    };
    let first = match block {
        Span::Lead => {
            assert!(region.lead > 0);
            0
        }
        Span::All => {
            assert!(region.lead > 0 && region.has_window);
            0
        }
        Span::Step(step) => {
            assert!(region.has_window && step < steps.end);
            position(step)
        }
        Span::Steps(from, to) => {
            assert!(region.has_window && from <= to && to <= steps.end);
            position(from)
        }
    };
    let count = count(layout, steps, block);
    if count == 0 || region.width == 0 {
        return region.start..region.start;
    }
    let start = region.start + first * region.stride;
    start..start + (count - 1) * region.stride + region.width
}

/// See [`Window::count`].
#[inline(always)]
fn count(layout: &Layout, steps: &Range<usize>, block: Span) -> usize {
    let between = |from, to| layout.offset(to) - layout.offset(from);
    match block {
        Span::Lead => layout.batch(),
        Span::Step(step) => layout.rows(step),
        Span::Steps(from, to) => between(from, to),
        Span::All => layout.batch() + between(steps.start, steps.end),
    }
}

impl<E: Element, D: Deref<Target = [E]>> Window<'_, D> {
    /// The elements of the rows in a block of a region, from the first of the first row to the last of the last row.
    #[inline(always)]
    pub fn get(&self, region: usize, block: Span) -> &[E] {
        &self.data[self.range(region, block)]
    }
}

impl<'a, E: Element> Rows<'a, E> {
    /// The rows of the steps, behind those that they start from: the step before, or the lead. Also the number of these.
    pub fn with_previous(&self, region: usize, steps: Range<usize>) -> (&'a [E], usize) {
        let (first, lead) = match steps.start.checked_sub(1) {
            Some(before) if before >= self.steps.start => {
                (Span::Steps(before, steps.end), self.layout.rows(before))
            }
            _ => (Span::All, self.layout.batch()),
        };
        let mut range = self.range(region, first);
        if first == Span::All {
            range.end = range
                .end
                .min(self.range(region, Span::Steps(steps.start, steps.end)).end);
        }
        (&self.data[range], lead)
    }

    /// As [`Self::get`], for as long as the arena is borrowed.
    pub fn get_long(&self, region: usize, block: Span) -> &'a [E] {
        &self.data[self.range(region, block)]
    }
}

impl<E: Element, D: DerefMut<Target = [E]>> Window<'_, D> {
    /// As [`Self::get`], to write.
    #[inline(always)]
    pub fn get_mut(&mut self, region: usize, block: Span) -> &mut [E] {
        let range = self.range(region, block);
        &mut self.data[range]
    }

    /// Some blocks to read and one to write.
    ///
    /// # Panics
    /// Where the one to write is also to be read.
    #[inline(always)]
    pub fn split<const N: usize>(
        &mut self,
        read: [(usize, Span); N],
        write: (usize, Span),
    ) -> ([&[E]; N], &mut [E]) {
        let mut sources = [const { 0..0 }; N];
        for (source, (region, block)) in sources.iter_mut().zip(read) {
            *source = self.range(region, block);
        }
        let target = self.range(write.0, write.1);
        let (before, rest) = self.data.split_at_mut(target.start);
        let (write, after) = rest.split_at_mut(target.len());
        let (before, after) = (&*before, &*after);
        let read = sources.map(|Range { start, end }| {
            if end <= target.start {
                &before[start..end]
            } else {
                &after[start - target.end..end - target.end]
            }
        });
        (read, write)
    }

    /// Blocks of regions to write, which come in the order of the regions.
    ///
    /// # Panics
    /// Where they do not.
    #[inline(always)]
    pub fn parts_mut<const N: usize>(&mut self, parts: [(usize, Span); N]) -> [&mut [E]; N] {
        let mut blocks: [&mut [E]; N] = [(); N].map(|()| &mut [][..]);
        let (mut rest, mut done) = (&mut self.data[..], 0);
        for (slot, (region, block)) in blocks.iter_mut().zip(parts) {
            let Range { start, end } =
                ranges(self.regions, self.layout, &self.steps, region, block);
            if start < end {
                let (part, behind) =
                    std::mem::take(&mut rest)[start - done..].split_at_mut(end - start);
                (*slot, rest, done) = (part, behind, end);
            }
        }
        blocks
    }

    /// Copies the steps from the sequences of a caller's buffer to the start of each row of a region.
    ///
    /// # Panics
    /// Where `from` is not a buffer of the layout's caller, has not the steps, or wider ones than the region.
    pub fn read(
        &mut self,
        (tier, crew): (Tier, Crew<'_>),
        region: usize,
        from: &[E],
        strides: Strides,
    ) {
        assert!(strides.width() <= self.regions[region].width);
        let stride = self.stride(region);
        let target = self.range(region, self.block());
        let rows = CopyRows::to_engine(
            (self.layout, self.steps.clone()),
            (from, strides),
            (&mut self.data[target], stride),
        );
        copy(rows, tier, crew);
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
    fn blocks_cover_a_region_without_overlap() {
        let layout = layout(&[2, 5, 1, 5, 3]);
        for (width, steps) in [(3, 0..5), (256, 1..4)] {
            let mut arena = Regions::<f32>::default();
            let rows = layout.offset(steps.end) - layout.offset(steps.start);
            let regions = [RegionShape::with_lead(width), RegionShape::window(2)];
            arena
                .configure("test", regions.into_iter(), 5, rows)
                .unwrap();
            let mut window = arena.rows_mut(&layout, steps.clone());
            for block in std::iter::once(Span::Lead).chain(steps.clone().map(Span::Step)) {
                let (count, stride) = (window.count(block), window.stride(0));
                let rows = window.get_mut(0, block).chunks_mut(stride);
                assert_eq!(rows.len(), count);
                for row in rows {
                    row[..width].iter_mut().for_each(|value| *value += 1.0);
                }
            }
            for step in steps.clone() {
                let values = window.get_mut(1, Span::Step(step)).iter_mut();
                values.for_each(|value| *value += 10.0);
            }
            let stride = window.stride(0);
            let all = window.get(0, Span::All);
            assert_eq!(all.chunks(stride).len(), 5 + rows);
            let is_one = |row: &[f32]| row[..width].iter().all(|&value| value == 1.0);
            assert!(all.chunks(stride).all(is_one));
            let all = window.get(1, window.block());
            assert!(all.iter().all(|&value| value == 10.0));
            assert_eq!(all.len(), 2 * rows);
            assert_eq!(window.previous_index(steps.start), 0);
            assert_eq!(window.previous_index(steps.start + 1), 5);
        }
    }

    #[test]
    fn a_split_gives_what_is_asked_for() {
        let layout = layout(&[2, 1]);
        let mut arena = Regions::<f32>::default();
        arena
            .configure(
                "test",
                [RegionShape::with_lead(1), RegionShape::window(1)].into_iter(),
                2,
                3,
            )
            .unwrap();
        let mut window = arena.rows_mut(&layout, 0..2);
        window.get_mut(0, Span::All).fill(1.0);
        window.get_mut(0, Span::Step(1)).fill(2.0);
        window.get_mut(1, Span::Steps(0, 2)).fill(3.0);
        let read = [(0, Span::Lead), (1, Span::Step(0)), (0, Span::Step(1))];
        let (read, write) = window.split(read, (0, Span::Step(0)));
        assert_eq!(read, [&[1.0, 1.0][..], &[3.0, 3.0], &[2.0]]);
        assert_eq!(write, [1.0, 1.0]);
    }

    #[test]
    #[should_panic]
    fn a_block_is_not_read_while_it_is_written() {
        let layout = layout(&[2, 1]);
        let mut arena = Regions::<f32>::default();
        let regions = [RegionShape::window(3)];
        arena.configure("test", regions.into_iter(), 2, 3).unwrap();
        let mut window = arena.rows_mut(&layout, 0..2);
        window.split([(0, Span::Steps(0, 2))], (0, Span::Step(1)));
    }
}
