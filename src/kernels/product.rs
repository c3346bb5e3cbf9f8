//! The matrix product `C = epilogue(start + A B)` on packed panels of `B`, tile by tile.

use std::marker::PhantomData;
use std::ops::Range;

use crate::Element;
use crate::activation::Activation;
use crate::kernels::pack::Packed;
use crate::kernels::tile::{
    Left, MAX_SEGMENTS, Segment, Tile, TileEnd, TileRows, TileStart, most_vectors,
};
use crate::simd::{Kernel, Math, Tier};

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

/// Tile by tile, panel after panel: a panel stays in the first-level cache while all rows meet it.
impl<E: Element> Kernel<E> for Columns<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let width = S::LANES * S::TILE_VECTORS;
        assert_eq!(self.b.width(), width);
        let tiles = TileRows::new(self.rows, S::TILE_ROWS);
        let most = most_vectors::<E, S>(self.rows);
        let panel = self.b.panel_stride();
        let end = (self.blocks.end * width).min(self.b.columns());
        let mut lefts = [const { Left::<E>::NONE }; MAX_SEGMENTS];
        let lefts = &mut lefts[..self.a.len()];
        let mut column = self.blocks.start * width;
        while column < end {
            let vectors = (end - column).div_ceil(S::LANES).min(most);
            let last = (end - column).min(vectors * S::LANES) - (vectors - 1) * S::LANES;
            let mut row = 0;
            for tile in 0..tiles.count {
                let rows = tiles.rows(tile);
                for (left, segment) in lefts.iter_mut().zip(self.a) {
                    *left = segment.left(row);
                }
                // SAFETY: the operands have been checked; the tiles are of rows below `rows`, and of vectors that begin below
                // `columns`, of which the last one is read and written up to `columns` only. In `b` every panel is whole and,
                // as asserted, `width` wide: there, reads go to the end of a panel that exists, at k below its depth. The
                // columns are this right's alone.
                unsafe {
                    let c = self.c.add(row * self.c_stride + column);
                    let right = self.b.data().as_ptr().add(column / width * panel);
                    let tile = Tile {
                        left: lefts,
                        right: right.add(self.b_depth * width),
                        panel,
                        start: match self.start {
                            SumStart::Zero => TileStart::Zero,
                            SumStart::Row(bias) => TileStart::Row(bias.as_ptr().add(column)),
                            SumStart::Result => TileStart::Rows(c, self.c_stride),
                        },
                        end: TileEnd::Activate(self.epilogue),
                        c,
                        c_stride: self.c_stride,
                        last,
                    };
                    tile.run(token, rows, vectors);
                }
                row += rows;
            }
            column += (vectors * S::LANES).next_multiple_of(width);
        }
    }
}
