//! The matrix product `C = epilogue(start + A B)` on packed panels of `B`.
//!
//! Every element of `C` is one accumulation chain: it starts from its start value and takes `a * b` for one k after the
//! other, in the order of the segments. How the work is cut into tiles and blocks changes which elements are computed
//! together, never the chain of one. So the result is the one of the plain scalar loop with the tier's `mul_add`, bit
//! for bit.

use std::ops::Range;

use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::{activate, times_derivative};
use crate::kernels::pack::Packed;
use crate::parallel::Crew;
use crate::simd::{Kernel, Math, Tier};

/// A part of the left operand: some consecutive k of all rows.
///
/// Element (row, k) is `data[origin + row * row_stride + k * depth_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a, E> {
    /// Where the elements are.
    pub data: &'a [E],
    /// Index of element (0, 0).
    pub origin: usize,
    /// From one row to the next.
    pub row_stride: usize,
    /// From one k to the next; may be negative.
    pub depth_stride: isize,
    /// Number of k.
    pub depth: usize,
}

impl<'a, E: Element> Segment<'a, E> {
    /// Rows of `depth` elements, one every `stride`.
    pub fn rows(data: &'a [E], stride: usize, depth: usize) -> Self {
        Self {
            data,
            origin: 0,
            row_stride: stride,
            depth_stride: 1,
            depth,
        }
    }

    /// Panics unless all of `rows` x `depth` elements lie inside `data`.
    pub(super) fn check(&self, rows: usize) {
        if rows == 0 || self.depth == 0 {
            return;
        }
        // What saturates is beyond any data.
        let last_row = (rows - 1).saturating_mul(self.row_stride);
        let last_row = last_row.saturating_add(self.origin);
        let depth = isize::try_from(self.depth - 1).unwrap_or(isize::MAX);
        let reach = depth.saturating_mul(self.depth_stride);
        let (below, above) = (reach.min(0).unsigned_abs(), reach.max(0).unsigned_abs());
        assert!(below <= self.origin && last_row.saturating_add(above) < self.data.len());
    }
}

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

/// What is done to the sums while they are at hand.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a, E> {
    /// Nothing.
    Store,
    /// The activation function.
    Activate(Activation),
    /// Times the derivative of the activation function, given its values: row r is at `values[r * stride..]`.
    TimesDerivative {
        /// The function.
        activation: Activation,
        /// Its values.
        values: &'a [E],
        /// From one row of them to the next.
        stride: usize,
    },
}

impl<E> Epilogue<'_, E> {
    /// The same for the rows from `row` on.
    #[inline(always)]
    pub(super) fn at_row(self, row: usize) -> Self {
        match self {
            Self::TimesDerivative {
                activation,
                values,
                stride,
            } => Self::TimesDerivative {
                activation,
                values: &values[row * stride..],
                stride,
            },
            other => other,
        }
    }
}

/// The operands of a product.
#[derive(Debug)]
pub struct Product<'a, E: Element> {
    /// Rows of `A` and `C`.
    pub rows: usize,
    /// The left operand. Its depths add up to at most the depth of `b` behind `b_depth`.
    pub a: &'a [Segment<'a, E>],
    /// The right operand.
    pub b: &'a Packed<E>,
    /// The k of `b` that the first k of `a` meets.
    pub b_depth: usize,
    /// See [`SumStart`].
    pub start: SumStart<'a, E>,
    /// See [`Epilogue`].
    pub epilogue: Epilogue<'a, E>,
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
            epilogue: Epilogue::Store,
            c,
            c_stride,
        }
    }

    /// Computes it.
    ///
    /// # Panics
    /// Where an operand is shorter than its shape says, or `b` is packed for a tier whose panels have another width.
    pub fn run(self, tier: Tier) {
        self.run_on(tier, Crew::ALONE);
    }

    /// Computes it on the threads of a crew, if it is worth them: each computes some columns.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_on(self, tier: Tier, crew: Crew<'_>) {
        if self.rows == 0 || self.b.columns() == 0 {
            return;
        }
        self.check();
        let depth: usize = self.a.iter().map(|segment| segment.depth).sum();
        let crew = crew.if_worth(
            operations(self.rows.max(ROWS_AS_FAST_AS_ONE), depth, self.b.columns()),
            PRODUCT_WORTH_THREADS,
        );
        let operands = Operands {
            rows: self.rows,
            a: self.a,
            b: self.b,
            b_depth: self.b_depth,
            start: self.start,
            epilogue: self.epilogue,
            c: self.c.as_mut_ptr(),
            c_stride: self.c_stride,
        };
        crew.together(&|member| {
            tier.run(Sweep {
                columns: self.b.columns_of(member.index, member.count),
                operands: &operands,
            });
        });
    }

    fn check(&self) {
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
        if let Epilogue::TimesDerivative { values, stride, .. } = self.epilogue {
            assert!(reach(stride) <= values.len());
        }
    }
}

/// Floating-point operations of a product.
pub(super) fn operations(rows: usize, depth: usize, columns: usize) -> usize {
    2 * rows * depth * columns
}

/// Rows that a product takes about as long for as for one: it reads all of the right operand for either.
pub const ROWS_AS_FAST_AS_ONE: usize = 4;

/// Floating-point operations from which a product is worth more than one thread.
const PRODUCT_WORTH_THREADS: usize = 500_000;

/// The operands of a product that has been checked: `rows` x `columns` elements lie inside `c`, in the row of the start
/// and in the values of the epilogue, and `rows` x `depth` inside each segment; the depths lie inside `b`.
pub(super) struct Operands<'a, E: Element> {
    pub rows: usize,
    pub a: &'a [Segment<'a, E>],
    pub b: &'a Packed<E>,
    pub b_depth: usize,
    pub start: SumStart<'a, E>,
    pub epilogue: Epilogue<'a, E>,
    pub c: *mut E,
    pub c_stride: usize,
}

// SAFETY: all but `c` is only read, and each thread that has a `Sweep` of them touches its own columns of `c`.
unsafe impl<E: Element> Sync for Operands<'_, E> {}

/// All tiles of some columns of a product, which begin with a panel, panel after panel: a panel stays in the first-level
/// cache while all rows meet it.
pub(super) struct Sweep<'a, E: Element> {
    pub operands: &'a Operands<'a, E>,
    pub columns: Range<usize>,
}

impl<E: Element> Kernel<E> for Sweep<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let Self { operands, columns } = self;
        let width = S::LANES * S::TILE_VECTORS;
        assert_eq!(operands.b.width(), width);
        // The rows are split evenly: 13 rows are tiles of 7 and 6, not of 12 and 1.
        let (tiles, rows, higher) = match operands.rows {
            rows if rows <= S::TILE_ROWS => (1, rows, 0),
            all => {
                let tiles = all.div_ceil(S::TILE_ROWS);
                (tiles, all / tiles, all % tiles)
            }
        };
        let most = *S::LOW_VECTORS
            .get(operands.rows - 1)
            .unwrap_or(&S::TILE_VECTORS);
        let mut column = columns.start;
        while column < columns.end {
            let vectors = (columns.end - column).div_ceil(S::LANES).min(most);
            let mut row = 0;
            for tile in 0..tiles {
                let rows = rows + usize::from(tile < higher);
                let block = TilePlace {
                    operands,
                    row,
                    column,
                };
                dispatch(token, block, rows, vectors);
                row += rows;
            }
            column += (vectors * S::LANES).next_multiple_of(width);
        }
    }
}

/// The place of a tile in its product.
struct TilePlace<'a, E: Element> {
    operands: &'a Operands<'a, E>,
    row: usize,
    column: usize,
}

/// Runs the tile of the given size.
#[inline(always)]
fn dispatch<E: Element, S: Math<E>>(
    token: S,
    block: TilePlace<'_, E>,
    rows: usize,
    vectors: usize,
) {
    macro_rules! choose {
        ($($rows:literal x $vectors:literal),*) => {
            match (rows, vectors) {
                $(($rows, $vectors) if const { tile_exists::<E, S>($rows, $vectors) } => {
                    token.vectorize(Tile::<E, $rows, $vectors>(block));
                })*
                _ => unreachable!("no tile of {rows} rows and {vectors} vectors"),
            }
        };
    }
    choose!(
        1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1,
        1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2, 9 x 2, 10 x 2, 11 x 2, 12 x 2,
        1 x 3, 1 x 4, 1 x 5, 1 x 6, 1 x 7, 1 x 8,
        2 x 3, 2 x 4, 2 x 5, 2 x 6, 2 x 7, 2 x 8,
        3 x 3, 3 x 4, 3 x 5, 3 x 6
    );
}

/// Whether a tier has the tile, so that the others are not compiled for it.
const fn tile_exists<E: Element, S: Math<E>>(rows: usize, vectors: usize) -> bool {
    rows <= S::TILE_ROWS
        && (vectors <= S::TILE_VECTORS
            || rows <= S::LOW_VECTORS.len() && vectors <= S::LOW_VECTORS[rows - 1])
}

/// A tile of `R` rows and `C` vectors. Its columns may reach beyond the product's in the last vector only.
struct Tile<'a, E: Element, const R: usize, const C: usize>(TilePlace<'a, E>);

impl<E: Element, const R: usize, const C: usize> Kernel<E> for Tile<'_, E, R, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let TilePlace {
            operands,
            row,
            column,
        } = self.0;
        let panel = operands.b.panel_stride();
        let width = S::LANES * S::TILE_VECTORS;
        let valid = (operands.b.columns() - column).min(C * S::LANES);
        let last = valid - (C - 1) * S::LANES;
        debug_assert!(row + R <= operands.rows && last <= S::LANES);
        let c_stride = operands.c_stride;
        // SAFETY: the operands have been checked; `Sweep` only makes tiles of rows below `rows`, and of vectors that begin
        // below `columns`. The last vector is read and written up to `columns` only. In `b` every panel is whole and, as
        // `Sweep` has checked, `width` wide: there, reads go to the end of a panel that exists, at k below its depth.
        unsafe {
            let c = operands.c.add(row * c_stride + column);
            let mut sums = [[token.splat(E::ZERO); C]; R];
            match operands.start {
                SumStart::Zero => {}
                SumStart::Row(bias) => {
                    let vectors = load_row::<E, S, C>(token, bias.as_ptr().add(column), last);
                    sums.fill(vectors);
                }
                SumStart::Result => {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        *sums = load_row::<E, S, C>(token, c.add(i * c_stride), last);
                    }
                }
            }

            let first_panel = operands.b.data().as_ptr().add(column / width * panel);
            let b = first_panel.add(operands.b_depth * width);
            let mut sums = accumulate(token, sums, operands.a, row, b, panel);

            match operands.epilogue {
                Epilogue::Store | Epilogue::Activate(Activation::Linear) => {}
                Epilogue::Activate(activation) => {
                    for sum in sums.as_flattened_mut() {
                        *sum = activate(token, activation, *sum);
                    }
                }
                Epilogue::TimesDerivative {
                    activation,
                    values,
                    stride,
                } => {
                    let values = values.as_ptr().add(row * stride + column);
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let values = load_row::<E, S, C>(token, values.add(i * stride), last);
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = times_derivative(token, activation, *sum, value);
                        }
                    }
                }
            }

            for (i, sums) in sums.iter().enumerate() {
                store_row::<E, S, C>(token, sums, c.add(i * c_stride), last);
            }
        }
    }
}

/// Adds the products of all segments to `sums`, which live in registers from the first k to the last: they come and go by
/// value, so that no other code holds their address.
///
/// # Safety
/// - Rows `row` to `row + R` of every segment must lie inside its data.
/// - `b` must point to as many k of a panel as the segments have, followed after every `panel` elements by the other
///   panels of the tile.
#[inline(always)]
unsafe fn accumulate<E: Element, S: Math<E>, const R: usize, const C: usize>(
    token: S,
    mut sums: [[S::Vector; C]; R],
    segments: &[Segment<'_, E>],
    row: usize,
    mut b: *const E,
    panel: usize,
) -> [[S::Vector; C]; R] {
    for segment in segments {
        let stride = segment.row_stride;
        let first = segment.origin + row * stride;
        let mut a = segment.data.as_ptr().wrapping_add(first);
        for _ in 0..segment.depth {
            // SAFETY: the caller's obligations; the pointers only leave their data behind the last k.
            unsafe {
                let mut right = [token.splat(E::ZERO); C];
                for (j, right) in right.iter_mut().enumerate() {
                    let (next_panel, vector) = (j / S::TILE_VECTORS, j % S::TILE_VECTORS);
                    *right = token.load(b.add(next_panel * panel + vector * S::LANES));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let left = token.splat(*a.add(i * stride));
                    for (sum, &right) in sums.iter_mut().zip(&right) {
                        *sum = token.mul_add(left, right, *sum);
                    }
                }
            }
            a = a.wrapping_offset(segment.depth_stride);
            b = b.wrapping_add(S::LANES * S::TILE_VECTORS);
        }
    }
    sums
}

/// Reads `C` vectors, of the last one only the first `last` elements.
///
/// # Safety
/// - That many elements at `from` must be readable; `last` is at least 1 and at most a vector's.
#[inline(always)]
unsafe fn load_row<E: Element, S: Math<E>, const C: usize>(
    token: S,
    from: *const E,
    last: usize,
) -> [S::Vector; C] {
    let mut vectors = [token.splat(E::ZERO); C];
    for (j, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller allows these elements.
        *vector = unsafe {
            let from = from.add(j * S::LANES);
            if j == C - 1 && last < S::LANES {
                token.load_partial(from, last)
            } else {
                token.load(from)
            }
        };
    }
    vectors
}

/// Writes `C` vectors, of the last one only the first `last` elements.
///
/// # Safety
/// - That many elements at `to` must be writable; `last` is at least 1 and at most a vector's.
#[inline(always)]
unsafe fn store_row<E: Element, S: Math<E>, const C: usize>(
    token: S,
    vectors: &[S::Vector; C],
    to: *mut E,
    last: usize,
) {
    for (j, &vector) in vectors.iter().enumerate() {
        // SAFETY: the caller allows these elements.
        unsafe {
            let to = to.add(j * S::LANES);
            if j == C - 1 && last < S::LANES {
                token.store_partial(vector, to, last);
            } else {
                token.store(vector, to);
            }
        }
    }
}
