//! Gradients of parameters: products of what a layer has read with the gradients of its sums, over the rows of a window.

use std::ops::Range;

use crate::Element;
use crate::kernels::pack::{self, Packed, Source};
use crate::kernels::product::{Product, SumStart};
use crate::kernels::rows::{add_products_backwards, add_rows_backwards};
use crate::kernels::tile::{MAX_SEGMENTS, Segment};
use crate::parallel::{Crew, Cut, cost};
use crate::regions::{Piece, RowsMut, Shard, Span, pieces_backwards};
use crate::simd::Tier;

/// Some of a layer's parameters whose gradients are computed together: a matrix, whose rows threads share. Parts are computed one
/// after the other, and may have rows in common of which each has other columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GradientPart {
    /// Index of the first of the layer's parameters that belongs to it.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// What is packed for its products: a region of gradients, counted from the output's, and columns of it.
    pub packed: Option<(usize, Range<usize>)>,
}

/// What a layer gets to add to its gradients.
#[derive(Debug)]
pub struct Gradients<'a, E: Element> {
    /// Whose instructions to use.
    pub tier: Tier,
    /// Region of the layer's input.
    pub input: usize,
    /// Region of its output, the first of its regions.
    pub output: usize,
    /// Inputs and outputs of all steps, and the gradients of some, of all rows.
    pub shards: &'a [Shard<E>],
    /// The steps whose gradients they have.
    pub held: Range<usize>,
    /// The steps of the window: some of them.
    pub window: Range<usize>,
    /// Whether the sequences started from the network's own state.
    pub own_start: bool,
}

/// The rows that meet the gradients of sums in a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The layer's input.
    Input,
    /// A region of activations, counted from the output's, from an element of the row on: the row of the step before.
    Earlier(usize, usize),
    /// The same, but of the step behind.
    Later(usize, usize),
    /// The same, but of the step itself.
    This(usize, usize),
    /// A region of gradients, counted from the output's, from an element of the row on: the row of the step itself.
    Delta(usize, usize),
}

impl Left {
    /// The same with regions counted from another one, which is `first` behind.
    pub fn of(self, first: usize) -> Self {
        match self {
            Self::Input => Self::Input,
            Self::Earlier(region, start) => Self::Earlier(first + region, start),
            Self::Later(region, start) => Self::Later(first + region, start),
            Self::This(region, start) => Self::This(first + region, start),
            Self::Delta(region, start) => Self::Delta(first + region, start),
        }
    }
}

impl<'a, E: Element> Gradients<'a, E> {
    /// Number of rows of the window.
    pub fn depth(&self) -> usize {
        let rows = |shard: &Shard<E>| shard.layout.count(&self.window);
        self.shards.iter().map(rows).sum()
    }

    /// The rows of the window, the last one first.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a, E>> {
        pieces_backwards(self.shards, self.held.clone(), self.window.clone())
    }

    /// Packs some columns of a region of gradients, the last row first, with the threads of a crew. There is room in `strip` for
    /// the columns of any matrix of the layer.
    pub fn pack(
        &self,
        crew: Crew<'_>,
        strip: &mut Packed<E>,
        region: usize,
        columns: &Range<usize>,
    ) {
        let what = "the gradients of a window";
        let depth = self.depth();
        let shaped = strip.shape(what, self.tier, depth, columns.len());
        shaped.expect("there is room for the columns of a matrix");
        let worth = depth.saturating_mul(columns.len()) / cost::COPY_PIECE;
        let crew = crew.at_most(worth.min(depth));
        let task = PackTask {
            rows: 0..depth,
            part: strip.part(),
            parts: crew.threads(),
        };
        crew.fork(task, &|task| {
            self.pack_rows(task, self.output + region, columns.start)
        });
    }

    /// Packs some of the window's rows, counted from the last one.
    fn pack_rows(&self, task: PackTask<'_, E>, region: usize, first: usize) {
        let PackTask { rows, mut part, .. } = task;
        let mut before = 0;
        for Piece { deltas, steps, .. } in self.pieces() {
            let block = Span::Steps(steps.start, steps.end);
            let count = deltas.count(block);
            let own = rows.start.max(before)..rows.end.min(before + count);
            if !own.is_empty() {
                let delta = &deltas.get(region, block)[first..];
                let until = count - (own.start - before);
                let source = Source::rows_backwards(deltas.stride(region), until);
                part.take_depth(own.len()).pack(delta, source);
            }
            before += count;
        }
    }

    /// Adds the products of packed gradients with the rows of `left`, of which the elements from `first` on are wanted, to
    /// `sums`: rows one every `stride`, each as wide as the strip.
    pub fn add_products(
        &self,
        strip: &Packed<E>,
        left: Left,
        first: usize,
        (sums, stride): (&mut [E], usize),
    ) {
        if sums.is_empty() {
            return;
        }
        let mut product = Transposed::new(self, strip, (sums, stride));
        for Piece {
            activations,
            deltas,
            steps,
        } in self.pieces()
        {
            let block = Span::Steps(steps.start, steps.end);
            match left {
                Left::Input => {
                    let data = activations.get_long(self.input, block);
                    let stride = activations.stride(self.input);
                    product.push(data, stride, 0, activations.count(block), first);
                }
                Left::This(region, start) => {
                    let region = self.output + region;
                    let data = activations.get_long(region, block);
                    let stride = activations.stride(region);
                    product.push(data, stride, 0, activations.count(block), start + first);
                }
                Left::Delta(region, start) => {
                    let region = self.output + region;
                    let data = deltas.get_long(region, block);
                    product.push(
                        data,
                        deltas.stride(region),
                        0,
                        deltas.count(block),
                        start + first,
                    );
                }
                Left::Earlier(region, start) => {
                    let region = self.output + region;
                    let data = activations.get_long(region, Span::All);
                    let stride = activations.stride(region);
                    for step in steps.rev() {
                        let rows = activations.layout().rows(step);
                        let row = activations.previous_index(step);
                        product.push(data, stride, row, rows, start + first);
                    }
                }
                Left::Later(region, start) => {
                    let region = self.output + region;
                    let data = activations.get_long(region, Span::All);
                    let (layout, stride) = (activations.layout(), activations.stride(region));
                    for step in steps.rev() {
                        let (rows, continued) = (layout.rows(step), layout.rows(step + 1));
                        product.push(data, stride, continued, rows - continued, start + first);
                        let row = layout.batch() + layout.offset(step + 1);
                        product.push(data, stride, row, continued, start + first);
                    }
                }
            }
        }
        product.finish();
    }

    /// Adds the gradients themselves, those from element `start` of a region's rows on, to `sums`.
    pub fn add_rows(&self, region: usize, start: usize, sums: &mut [E]) {
        let region = self.output + region;
        for Piece { deltas, steps, .. } in self.pieces() {
            let block = Span::Steps(steps.start, steps.end);
            let rows = deltas.count(block);
            if rows > 0 {
                let delta = &deltas.get(region, block)[start..];
                add_rows_backwards(self.tier, delta, deltas.stride(region), rows, sums);
            }
        }
    }

    /// Adds the gradients from element `start` of a region's rows on, each times the element of `left`, to `sums`.
    pub fn add_scaled_rows(&self, region: usize, start: usize, left: Left, sums: &mut [E]) {
        let region = self.output + region;
        for Piece {
            activations,
            deltas,
            steps,
        } in self.pieces()
        {
            let layout = activations.layout();
            for step in steps.rev() {
                let (rows, continued) = (layout.rows(step), layout.rows(step + 1));
                let delta = &deltas.get(region, Span::Step(step))[start..];
                let delta_stride = deltas.stride(region);
                // The rows from `first` on, which are those of a buffer from `row` on.
                let mut add =
                    |first: usize, count: usize, values: &[E], stride: usize, row: usize| {
                        if count > 0 {
                            let delta = (&delta[first * delta_stride..], delta_stride);
                            let values = (&values[row * stride..], stride);
                            add_products_backwards(self.tier, delta, values, count, sums);
                        }
                    };
                let (Left::Earlier(own, start) | Left::Later(own, start) | Left::This(own, start)) =
                    left
                else {
                    unreachable!("only states scale the gradients of sums");
                };
                let own = self.output + own;
                let stride = activations.stride(own);
                match left {
                    Left::This(..) => {
                        let values = &activations.get(own, Span::Step(step))[start..];
                        add(0, rows, values, stride, 0);
                    }
                    Left::Later(..) => {
                        let values = &activations.get(own, Span::All)[start..];
                        add(continued, rows - continued, values, stride, continued);
                        let row = layout.batch() + layout.offset(step + 1);
                        add(0, continued, values, stride, row);
                    }
                    _ => {
                        let values = &activations.get(own, Span::All)[start..];
                        add(0, rows, values, stride, activations.previous_index(step));
                    }
                }
            }
        }
    }

    /// Adds the leads of a region of gradients, from element `start` of a row on, the last row first.
    pub fn add_leads(&self, region: usize, start: usize, sums: &mut [E]) {
        let region = self.output + region;
        for shard in self.shards.iter().rev() {
            let deltas = shard.deltas.rows(&shard.layout, 0..0);
            let lead = &deltas.get(region, Span::Lead)[start..];
            let (rows, stride) = (deltas.count(Span::Lead), deltas.stride(region));
            add_rows_backwards(self.tier, lead, stride, rows, sums);
        }
    }
}

/// Rows of a window, counted from the last one, that are to be packed, for so many threads.
struct PackTask<'a, E: Element> {
    rows: Range<usize>,
    part: pack::Part<'a, E>,
    parts: usize,
}

impl<E: Element> Cut for PackTask<'_, E> {
    fn size(&self) -> usize {
        self.parts
    }

    fn cut(mut self, left: usize) -> (Self, Self) {
        let Range { start, end } = self.rows;
        let count = (end - start) * left / self.parts;
        let first = Self {
            rows: start..start + count,
            part: self.part.take_depth(count),
            parts: left,
        };
        let second = Self {
            rows: start + count..end,
            part: self.part,
            parts: self.parts - left,
        };
        (first, second)
    }
}

/// The product `A^T D` of rows of activations and packed gradients, summed from the last row to the first: so the sum
/// does not depend on how time is cut into windows.
struct Transposed<'a, 'b, E: Element> {
    tier: Tier,
    strip: &'b Packed<E>,
    sums: &'b mut [E],
    sums_stride: usize,
    /// Whether other threads have computed some of the rows.
    is_shared: bool,
    pieces: [Segment<'a, E>; MAX_SEGMENTS],
    used: usize,
    /// Rows of the pieces that are done.
    done: usize,
}

impl<'a, 'b, E: Element> Transposed<'a, 'b, E> {
    fn new(
        gradients: &Gradients<'_, E>,
        strip: &'b Packed<E>,
        (sums, sums_stride): (&'b mut [E], usize),
    ) -> Self {
        Self {
            tier: gradients.tier,
            strip,
            sums,
            sums_stride,
            is_shared: gradients.shards.len() > 1,
            pieces: [Segment::rows(&[], 0, 0); MAX_SEGMENTS],
            used: 0,
            done: 0,
        }
    }

    /// Takes `count` rows from `row` on, of which the elements from `first` on are wanted; they come before those that it
    /// has got so far.
    fn push(&mut self, data: &'a [E], stride: usize, row: usize, count: usize, first: usize) {
        if count == 0 {
            return;
        }
        if let Some(last) = self.used.checked_sub(1) {
            let next = &mut self.pieces[last];
            let lowest = next.origin - (next.depth - 1) * stride;
            if std::ptr::eq(next.data, data) && lowest == (row + count) * stride + first {
                next.depth += count;
                return;
            }
        }
        if self.used == MAX_SEGMENTS {
            self.multiply();
        }
        self.pieces[self.used] = Segment {
            data,
            origin: (row + count - 1) * stride + first,
            row_stride: 1,
            depth_stride: -(stride as isize),
            depth: count,
            is_far: self.is_shared,
        };
        self.used += 1;
    }

    fn multiply(&mut self) {
        let pieces = &self.pieces[..self.used];
        Product {
            start: SumStart::Result,
            b_depth: self.done,
            ..Product::new(
                self.sums.len().div_ceil(self.sums_stride),
                pieces,
                self.strip,
                self.sums,
                self.sums_stride,
            )
        }
        .run(self.tier);
        self.done += pieces.iter().map(|piece| piece.depth).sum::<usize>();
        self.used = 0;
    }

    fn finish(mut self) {
        self.multiply();
    }
}

/// Calls `take` with the row and the values of each sequence that ends in the window.
pub fn ended_rows<E: Element>(
    window: &RowsMut<'_, E>,
    region: usize,
    mut take: impl FnMut(usize, &[E]),
) {
    let stride = window.stride(region);
    for step in window.steps() {
        let alive = window.layout().rows(step + 1);
        let rows = window.get(region, Span::Step(step)).chunks(stride);
        for (row, values) in rows.enumerate().skip(alive) {
            take(row, values);
        }
    }
}
