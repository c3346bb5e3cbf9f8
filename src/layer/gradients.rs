//! Gradients of parameters: products of what a layer has read with the gradients of its sums, over the rows of a window.

use std::ops::Range;

use crate::Element;
use crate::kernels::pack::{self, Packed, Source};
use crate::kernels::product::{Product, SumStart};
use crate::kernels::rows::{add_products_backwards, add_rows_backwards};
use crate::kernels::tile::{MAX_SEGMENTS, Segment};
use crate::parallel::{Crew, Cut, cost};
use crate::regions::{Piece, RowsMut, Shard, Span, from_row, pieces_backwards, rows_backwards};
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
    /// The rows of the batch whose part of the gradients is wanted.
    pub rows: Range<usize>,
    /// Where their gradients begin in a strip.
    pub first: usize,
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
        self.pieces()
            .map(|piece| piece.runs().map(|run| run.len()).sum::<usize>())
            .sum()
    }

    /// The rows of the window, the last one first.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a, E>> {
        pieces_backwards(
            self.shards,
            self.held.clone(),
            self.window.clone(),
            self.rows.clone(),
        )
    }

    /// Packs some of the rows of `halves`, one behind the other, of which each has the last one first.
    fn pack_rows(halves: &[Self], task: PackTask<'_, E>, region: usize, first: usize) {
        let PackTask { rows, mut part, .. } = task;
        let mut before = 0;
        for half in halves {
            for piece in half.pieces() {
                let delta = piece.gradients(half.output + region);
                for run in piece.runs() {
                    let own = rows.start.max(before)..rows.end.min(before + run.len());
                    if !own.is_empty() {
                        let until = run.len() - (own.start - before);
                        let (delta, stride) = from_row(delta, run.start);
                        let source = Source::rows_backwards(stride, until);
                        part.take_depth(own.len()).pack(&delta[first..], source);
                    }
                    before += run.len();
                }
            }
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
        for piece in self.pieces() {
            let activations = &piece.activations;
            match left {
                Left::Input => {
                    let values = piece.values(self.input);
                    piece
                        .runs()
                        .for_each(|run| product.push(values, run, first));
                }
                Left::This(region, start) => {
                    let values = piece.values(self.output + region);
                    piece
                        .runs()
                        .for_each(|run| product.push(values, run, start + first));
                }
                Left::Delta(region, start) => {
                    let values = piece.gradients(self.output + region);
                    piece
                        .runs()
                        .for_each(|run| product.push(values, run, start + first));
                }
                Left::Earlier(region, start) => {
                    let region = self.output + region;
                    let data = activations.get_long(region, Span::All);
                    let stride = activations.stride(region);
                    for step in piece.steps.clone().rev() {
                        let Range { start: row, end } = piece.rows(step);
                        let before = activations.previous_index(step);
                        product.push((data, stride), before + row..before + end, start + first);
                    }
                }
                Left::Later(region, start) => {
                    let region = self.output + region;
                    let data = activations.get_long(region, Span::All);
                    let (layout, stride) = (activations.layout(), activations.stride(region));
                    for step in piece.steps.clone().rev() {
                        let Range { start: row, end } = piece.rows(step);
                        let continued = layout.rows(step + 1).clamp(row, end);
                        product.push((data, stride), continued..end, start + first);
                        let behind = layout.batch() + layout.offset(step + 1);
                        product.push(
                            (data, stride),
                            behind + row..behind + continued,
                            start + first,
                        );
                    }
                }
            }
        }
        product.finish();
    }

    /// Adds the gradients themselves, those from element `start` of a region's rows on, to `sums`.
    pub fn add_rows(&self, region: usize, start: usize, sums: &mut [E]) {
        for piece in self.pieces() {
            let delta = piece.gradients(self.output + region);
            for run in piece.runs() {
                let (delta, stride) = from_row(delta, run.start);
                add_rows_backwards(self.tier, &delta[start..], stride, run.len(), sums);
            }
        }
    }

    /// Adds the gradients from element `start` of a region's rows on, each times the element of `left`, to `sums`.
    pub fn add_scaled_rows(&self, region: usize, start: usize, left: Left, sums: &mut [E]) {
        let region = self.output + region;
        for piece in self.pieces() {
            let (activations, deltas) = (&piece.activations, &piece.deltas);
            let layout = activations.layout();
            for step in piece.steps.clone().rev() {
                let Range { start: first, end } = piece.rows(step);
                let continued = layout.rows(step + 1).clamp(first, end);
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
                        add(first, end - first, values, stride, first);
                    }
                    Left::Later(..) => {
                        let values = &activations.get(own, Span::All)[start..];
                        add(continued, end - continued, values, stride, continued);
                        let row = layout.batch() + layout.offset(step + 1) + first;
                        add(first, continued - first, values, stride, row);
                    }
                    _ => {
                        let values = &activations.get(own, Span::All)[start..];
                        let row = activations.previous_index(step) + first;
                        add(first, end - first, values, stride, row);
                    }
                }
            }
        }
    }

    /// Adds the leads of the rows of a region of gradients, from element `start` of a row on, the last row first.
    pub fn add_leads(&self, region: usize, start: usize, sums: &mut [E]) {
        let region = self.output + region;
        for (shard, rows) in rows_backwards(self.shards, self.rows.clone()) {
            let deltas = shard.deltas.rows(&shard.layout, 0..0);
            let stride = deltas.stride(region);
            let lead = &deltas.get(region, Span::Lead)[rows.start * stride + start..];
            add_rows_backwards(self.tier, lead, stride, rows.len(), sums);
        }
    }
}

/// Packs some columns of a region of gradients for the rows of `halves`, with the threads of a crew. There is room in `strip` for
/// the columns of any matrix of the layer.
pub fn pack<E: Element>(
    halves: &[Gradients<'_, E>],
    crew: Crew<'_>,
    strip: &mut Packed<E>,
    region: usize,
    columns: &Range<usize>,
) {
    let Some(last) = halves.last() else {
        return;
    };
    let what = "the gradients of a window";
    let depth = last.first + last.depth();
    let shaped = strip.shape(what, last.tier, depth, columns.len());
    shaped.expect("there is room for the columns of a matrix");
    let worth = depth.saturating_mul(columns.len()) / cost::COPY_PIECE;
    let crew = crew.at_most(worth.min(depth));
    let task = PackTask {
        rows: 0..depth,
        part: strip.part(),
        parts: crew.threads(),
    };
    crew.fork(task, &|task| {
        Gradients::pack_rows(halves, task, region, columns.start);
    });
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
    /// Whether several threads have computed the rows.
    is_shared: bool,
    pieces: [Segment<'a, E>; MAX_SEGMENTS],
    used: usize,
    /// Rows of the strip that are done, or not wanted.
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
            is_shared: rows_backwards(gradients.shards, gradients.rows.clone()).count() > 1,
            pieces: [Segment::rows(&[], 0, 0); MAX_SEGMENTS],
            used: 0,
            done: gradients.first,
        }
    }

    /// Takes some rows, of which the elements from `first` on are wanted; they come before those that it has got so far.
    fn push(&mut self, (data, stride): (&'a [E], usize), rows: Range<usize>, first: usize) {
        if rows.is_empty() {
            return;
        }
        let origin = (rows.end - 1) * stride + first;
        if let Some(last) = self.used.checked_sub(1) {
            let next = &mut self.pieces[last];
            if std::ptr::eq(next.data, data) && next.takes(origin, rows.len()) {
                return;
            }
        }
        if self.used == MAX_SEGMENTS {
            self.multiply();
        }
        self.pieces[self.used] = Segment {
            data,
            origin,
            row_stride: 1,
            depth_stride: -(stride as isize),
            depth: rows.len(),
            run: rows.len(),
            jump: 0,
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
