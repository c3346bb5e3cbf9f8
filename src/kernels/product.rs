//! The matrix product `C = epilogue(start + A B)` on packed panels of `B`, tile by tile.
//!
//! Panel after panel, and within a panel tile after tile. A row of `A` that lies in one piece is read as it is: a tile streams
//! through a panel at a few bytes a cycle, from whichever cache it is in. Where `A` is the transpose of what lies in memory, as
//! in the gradient of a matrix, the elements of a row are as far apart as rows of states are: each is in another cache line, and
//! often in another page. Then some rows of `A` are copied, k after k in the order in which tiles read them, and all panels
//! meet the copy ([`Columns::run_packed`]); the sums wait in `C` from one part of the k to the next.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::Element;
use crate::activation::Activation;
use crate::kernels::pack::Packed;
use crate::kernels::tile::{
    Left, Line, MAX_SEGMENTS, Segment, Tile, TileEnd, TileRows, TileStart, load, most_vectors,
    store,
};
use crate::simd::caches::first_level;
use crate::simd::{Kernel, Math, Tier, prefetch};

/// Where the accumulation starts.
#[derive(Clone, Copy, Debug)]
pub enum SumStart<'a, E> {
    /// At 0.
    Zero,
    /// Every row at this row of `columns` elements: a bias.
    Row(&'a [E]),
    /// At what `C` holds.
    Result,
}

/// The operands of a product.
#[derive(Debug)]
pub struct Product<'a, E: Element> {
    /// Rows of `A` and `C`.
    pub rows: usize,
    /// The left operand, [`MAX_SEGMENTS`] at most. Its depths add up to at most the depth of `b` behind `b_depth`.
    pub a: &'a [Segment<'a, E>],
    /// The right operand, of one group of columns.
    pub b: &'a Packed<E>,
    /// The k of `b` that the first k of `a` meets.
    pub b_depth: usize,
    /// See [`SumStart`].
    pub start: SumStart<'a, E>,
    /// The function of the sums that is the result.
    pub epilogue: Activation,
    /// The result: as many columns as `b`.
    pub c: &'a mut [E],
    /// From one row of `c` to the next.
    pub c_stride: usize,
}

impl<'a, E: Element> Product<'a, E> {
    /// `C = A B`
    pub fn new(
        rows: usize,
        a: &'a [Segment<'a, E>],
        b: &'a Packed<E>,
        c: &'a mut [E],
        c_stride: usize,
    ) -> Self {
        Self {
            rows,
            a,
            b,
            b_depth: 0,
            start: SumStart::Zero,
            epilogue: Activation::Linear,
            c,
            c_stride,
        }
    }

    /// Computes it.
    ///
    /// # Panics
    /// As [`Self::columns`].
    pub fn run(self, tier: Tier) {
        self.columns().run(tier);
    }

    /// The right to compute all of its columns.
    ///
    /// # Panics
    /// Where an operand is shorter than its shape says, or `b` has more than one group of columns.
    pub fn columns(self) -> Columns<'a, E> {
        if self.rows > 0 && self.b.columns() > 0 {
            self.check();
        }
        Columns {
            rows: self.rows,
            a: self.a,
            b: self.b,
            b_depth: self.b_depth,
            start: self.start,
            epilogue: self.epilogue,
            c: self.c.as_mut_ptr(),
            c_stride: self.c_stride,
            blocks: 0..self.b.blocks(),
            elements: PhantomData,
        }
    }

    fn check(&self) {
        assert!(self.b.groups() == 1 && self.a.len() <= MAX_SEGMENTS);
        let columns = self.b.columns();
        let depths = self.a.iter().map(|segment| segment.depth);
        assert!(depths.fold(self.b_depth, usize::saturating_add) <= self.b.depth());
        for segment in self.a {
            segment.check(self.rows);
        }
        let below = self.rows - 1;
        let reach = |stride| below.saturating_mul(stride).saturating_add(columns);
        assert!(self.c_stride >= columns && reach(self.c_stride) <= self.c.len());
        if let SumStart::Row(row) = self.start {
            assert!(row.len() >= columns);
        }
    }
}

/// Floating-point operations of a product.
pub fn operations(rows: usize, depth: usize, columns: usize) -> usize {
    2 * rows * depth * columns
}

/// Rows that a product takes about as long for as for one: it reads all of the right operand for either.
pub const ROWS_AS_FAST_AS_ONE: usize = 4;

/// The exclusive right to compute some columns of a product that has been checked: `rows` x `columns` elements lie inside
/// `c` and in the row of the start, and `rows` x `depth` inside each segment; the depths lie inside `b`.
#[derive(Debug)]
pub struct Columns<'a, E: Element> {
    rows: usize,
    a: &'a [Segment<'a, E>],
    b: &'a Packed<E>,
    b_depth: usize,
    start: SumStart<'a, E>,
    epilogue: Activation,
    c: *mut E,
    c_stride: usize,
    /// Blocks of columns, each a panel.
    blocks: Range<usize>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: all but `c` is only read; of `c` it touches its own columns, and nobody else does (see `split_at`). So it can go to
// another thread like a `&mut [E]`.
unsafe impl<E: Element> Send for Columns<'_, E> {}

impl<E: Element> Columns<'_, E> {
    /// Number of blocks of columns.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Cuts the right in two: the first `blocks` blocks of columns and the others.
    ///
    /// # Panics
    /// Where there are not as many.
    pub fn split_at(self, blocks: usize) -> (Self, Self) {
        let Range { start, end } = self.blocks;
        assert!(blocks <= end - start);
        let part = |blocks| Self { blocks, ..self };
        (part(start..start + blocks), part(start + blocks..end))
    }

    /// Computes them.
    ///
    /// # Panics
    /// Where `b` is packed for a tier whose panels have another width.
    pub fn run(self, tier: Tier) {
        if self.rows > 0 && !self.blocks.is_empty() {
            tier.run(self);
        }
    }
}

impl<E: Element> Kernel<E> for Columns<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        assert_eq!(self.b.width(), S::LANES * S::TILE_VECTORS);
        let is_transposed = |segment: &Segment<'_, E>| {
            segment.row_stride == 1 && segment.depth_stride != 1 || segment.depth == 0
        };
        if self.blocks.len() >= PACK_BLOCKS
            && self.rows > S::LOW_VECTORS.len()
            && self.span() >= PACK_SPAN
            && self.a.iter().all(is_transposed)
        {
            token.vectorize(PackedRows(self));
            return;
        }
        let tiles = TileRows::new(self.rows, S::TILE_ROWS);
        let mut lefts = [const { Left::<E>::NONE }; MAX_SEGMENTS];
        let lefts = &mut lefts[..self.a.len()];
        let part = Part {
            k: 0,
            start: self.start,
            epilogue: self.epilogue,
        };
        self.each_panel::<S>(|column, vectors| {
            let mut row = 0;
            for tile in 0..tiles.count {
                let rows = tiles.rows(tile);
                for (left, segment) in lefts.iter_mut().zip(self.a) {
                    *left = segment.left(row);
                }
                // SAFETY: the operands have been checked, and the tiles are of rows below `rows`.
                unsafe { self.run_tile(token, &part, lefts, (row, rows), (column, vectors)) };
                row += rows;
            }
        });
    }
}

/// Some k of a product.
struct Part<'a, E> {
    /// The first of them.
    k: usize,
    /// Where its sums start.
    start: SumStart<'a, E>,
    /// What is done to them.
    epilogue: Activation,
}

impl<E: Element> Columns<'_, E> {
    /// Number of k.
    fn depth(&self) -> usize {
        self.a.iter().map(|segment| segment.depth).sum()
    }

    /// Bytes from the first k of the left operand to the last, about.
    fn span(&self) -> usize {
        let spans = self.a.iter().map(|segment| {
            let stride = segment.depth_stride.unsigned_abs();
            let jumps = segment.depth / segment.run * segment.jump.unsigned_abs();
            segment.depth.saturating_mul(stride).saturating_add(jumps)
        });
        spans
            .fold(0, usize::saturating_add)
            .saturating_mul(size_of::<E>())
    }

    /// Calls `run` with the first column of each panel, or of several that low tiles meet together, and the number of
    /// vectors of columns.
    #[inline(always)]
    fn each_panel<S: Math<E>>(&self, mut run: impl FnMut(usize, usize)) {
        let width = S::LANES * S::TILE_VECTORS;
        let most = most_vectors::<E, S>(self.rows);
        let end = (self.blocks.end * width).min(self.b.columns());
        let mut column = self.blocks.start * width;
        while column < end {
            let vectors = (end - column).div_ceil(S::LANES).min(most);
            run(column, vectors);
            column += (vectors * S::LANES).next_multiple_of(width);
        }
    }

    /// Computes a tile: so many rows from one on, and so many vectors of columns from one on.
    ///
    /// # Safety
    /// - The operands must have been checked, and `lefts` have the elements of the rows at the k of the part.
    /// - The rows must be below `rows`, and the columns begin in this right's.
    #[inline(always)]
    unsafe fn run_tile<S: Math<E>>(
        &self,
        token: S,
        part: &Part<'_, E>,
        lefts: &[Left<E>],
        (row, rows): (usize, usize),
        (column, vectors): (usize, usize),
    ) {
        let (width, panel) = (self.b.width(), self.b.panel_stride());
        let end = (self.blocks.end * width).min(self.b.columns());
        let last = (end - column).min(vectors * S::LANES) - (vectors - 1) * S::LANES;
        // SAFETY: of the vectors, which begin below `columns`, the last one is read and written up to `columns` only. In `b`
        // every panel is whole and, as asserted, `width` wide: there, reads go to the end of a panel that exists, at k below
        // its depth. The columns are this right's alone.
        unsafe {
            let c = self.c.add(row * self.c_stride + column);
            let right = self.b.data().as_ptr().add(column / width * panel);
            let tile = Tile {
                left: lefts,
                right: right.add((self.b_depth + part.k) * width),
                panel,
                start: match part.start {
                    SumStart::Zero => TileStart::Zero,
                    SumStart::Row(bias) => TileStart::Row(bias.as_ptr().add(column)),
                    SumStart::Result => TileStart::Rows(c, self.c_stride),
                },
                end: TileEnd::Activate(part.epilogue),
                c,
                c_stride: self.c_stride,
                last,
            };
            tile.run(token, rows, vectors);
        }
    }
}

/// Bytes of the copy of some rows of a transposed left operand at some k. It lies on the stack and stays in a second-level
/// cache. A larger one would have the panels of `B` read less often; with this one a core at 250 GFLOP/s reads them at 6 GB/s.
const PACKED_BYTES: usize = 48 << 10;

/// Bytes of a panel of `B` at so many k: it stays in the first-level cache, as all tiles of the copy meet it, with one of them.
/// On an Intel Xeon, 32 KiB of 48 KiB gained 1 to 2 % of a training step with 512 units and more over 16 KiB.
fn panel_bytes() -> usize {
    first_level() / 3 * 2
}

/// Panels from which it is worth to copy.
const PACK_BLOCKS: usize = 4;

/// Bytes from the first k to the last from which it is: below, the rows of `A` stay in a second-level cache, and training
/// with H 128 took a tenth longer with copies.
const PACK_SPAN: usize = 512 << 10;

/// [`Columns`] with a left operand that is transposed, and copied.
struct PackedRows<'a, E: Element>(Columns<'a, E>);

impl<E: Element> Kernel<E> for PackedRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        self.0.run_packed(token);
    }
}

impl<E: Element> Columns<'_, E> {
    /// Some k, as many as a panel has in its part of the first-level cache; of them some rows, as many as the copy holds; all
    /// panels.
    #[inline(always)]
    fn run_packed<S: Math<E>>(&self, token: S) {
        let depth = self.depth();
        let room = PACKED_BYTES / size_of::<E>();
        // As many as leave room for a tile, behind whose rows there is some for what the last copied vector has too many.
        let most = (room - S::LANES) / S::TILE_ROWS;
        let most = most.min(panel_bytes() / (S::LANES * S::TILE_VECTORS * size_of::<E>()));
        let parts = depth.div_ceil(most);
        let stride = depth.div_ceil(parts) * S::TILE_ROWS + S::LANES;
        let group = room / stride;
        let tiles = TileRows::new(self.rows, S::TILE_ROWS);
        let mut memory = MaybeUninit::<[Line; PACKED_BYTES / size_of::<Line>()]>::uninit();
        let copy = memory.as_mut_ptr().cast::<E>();
        for index in 0..parts {
            let k = depth * index / parts..depth * (index + 1) / parts;
            let part = Part {
                k: k.start,
                start: if index == 0 {
                    self.start
                } else {
                    SumStart::Result
                },
                epilogue: if index + 1 == parts {
                    self.epilogue
                } else {
                    Activation::Linear
                },
            };
            let (mut first, mut tile) = (0, 0);
            while tile < tiles.count {
                let some = tile..tiles.count.min(tile + group);
                let heights = some.clone().map(|tile| tiles.rows(tile));
                // SAFETY: the rows are below `rows`, the k below the depth; there is room for as many tiles of so many k.
                unsafe { self.pack_rows(token, first, heights.clone(), &k, (copy, stride)) };
                self.each_panel::<S>(|column, vectors| {
                    let mut row = first;
                    for (index, rows) in heights.clone().enumerate() {
                        let next = match index + 1 < some.len() {
                            true => (row + rows, column),
                            false => (first, column + vectors * S::LANES),
                        };
                        self.ask_for::<S>(&part, next);
                        let left = [Left {
                            data: copy.wrapping_add(index * stride).cast_const(),
                            row_stride: 1,
                            depth_stride: rows as isize,
                            depth: k.len(),
                            ..Left::NONE
                        }];
                        // SAFETY: the operands have been checked; the rows of the tile have just been copied.
                        unsafe {
                            self.run_tile(token, &part, &left, (row, rows), (column, vectors));
                        }
                        row += rows;
                    }
                });
                first += heights.sum::<usize>();
                tile = some.end;
            }
        }
    }

    /// Asks for the sums of the tile that begins at a row and a column, where they lie in the result. There need be no such
    /// tile. They come from the last cache or from memory, and the tile would wait for them: this gained 3 to 6 % of a training
    /// step with 1024 units on an Intel Xeon.
    #[inline(always)]
    fn ask_for<S: Math<E>>(&self, part: &Part<'_, E>, (row, column): (usize, usize)) {
        if !matches!(part.start, SumStart::Result) {
            return;
        }
        let mut sums = self.c.wrapping_add(row * self.c_stride + column);
        for _ in 0..S::TILE_ROWS {
            for element in (0..self.b.width()).step_by(size_of::<Line>() / size_of::<E>()) {
                prefetch(sums.wrapping_add(element));
            }
            sums = sums.wrapping_add(self.c_stride);
        }
    }

    /// Copies the elements of the rows of some tiles, of so many rows each and the first one from `first` on, at some k: tile
    /// after tile, every `stride`, and of a tile k after k.
    ///
    /// # Safety
    /// - The rows and k must be the product's; there must be room for them, and behind each tile for a vector.
    #[inline(always)]
    unsafe fn pack_rows<S: Math<E>>(
        &self,
        token: S,
        first: usize,
        heights: impl Iterator<Item = usize> + Clone,
        k: &Range<usize>,
        (copy, stride): (*mut E, usize),
    ) {
        let mut row = first;
        for (tile, rows) in heights.enumerate() {
            let mut to = copy.wrapping_add(tile * stride);
            let mut before = 0;
            for segment in self.a {
                let mut own = k.start.max(before)..k.end.min(before + segment.depth);
                while !own.is_empty() {
                    let number = (own.start - before) / segment.run;
                    let end = (number + 1).saturating_mul(segment.run);
                    let end = own.end.min(before.saturating_add(end));
                    let offset = (own.start - before) as isize * segment.depth_stride
                        + number as isize * segment.jump;
                    let from = segment.left(row).data.wrapping_offset(offset);
                    for start in (0..rows).step_by(S::LANES) {
                        // Elements of the product's rows that follow each other, as the segment's row stride is 1.
                        let count = (self.rows - row - start).min(S::LANES);
                        let (mut from, mut to) = (from.wrapping_add(start), to.wrapping_add(start));
                        // What the first vector has beyond the tile's rows is overwritten by the next k, or lies behind the
                        // tile.
                        let kept = match start {
                            0 => S::LANES,
                            _ => (rows - start).min(S::LANES),
                        };
                        for _ in own.start..end {
                            // SAFETY: there are as many elements, and as much room.
                            unsafe { store(token, load::<E, S>(token, from, count), to, kept) };
                            from = from.wrapping_offset(segment.depth_stride);
                            to = to.wrapping_add(rows);
                        }
                    }
                    to = to.wrapping_add((end - own.start) * rows);
                    own.start = end;
                }
                before += segment.depth;
            }
            row += rows;
        }
    }
}
