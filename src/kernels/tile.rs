//! The register tile: some rows and vectors of a matrix product, whose sums live in registers from the first k to the last.
//!
//! Every sum is one accumulation chain: it starts from its start value and takes `a * b` for one k after the other, in the
//! order of the segments. How the work is cut into tiles changes which elements are computed together, never the chain of
//! one. So the result is the one of the plain scalar loop with the tier's `mul_add`, bit for bit.

use std::array::from_fn;
use std::marker::PhantomData;

use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::{activate, times_derivative};
use crate::simd::{Kernel, Math, prefetch};

/// A part of the left operand: some consecutive k of all rows.
///
/// Element (row, k) is `data[origin + row * row_stride + k * depth_stride + k / run * jump]`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a, E> {
    /// Where the elements are.
    pub data: &'a [E],
    /// Index of element (0, 0).
    pub origin: usize,
    /// From one row to the next.
    pub row_stride: usize,
    /// From one k to the next; may be negative. Where there are several rows, it or `row_stride` is 1.
    pub depth_stride: isize,
    /// Number of k.
    pub depth: usize,
    /// Number of k, at least one, that follow each other at that distance: a run.
    pub run: usize,
    /// What is added to the distance from one run to the next, in the same direction; 0 where `depth_stride` is 1.
    pub jump: isize,
    /// Whether other threads have written it, some of it just now.
    pub is_far: bool,
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
            run: usize::MAX,
            jump: 0,
            is_far: false,
        }
    }

    /// Takes `count` k more, the first of which has its element of row 0 at `origin`, if they go on as those that it has.
    pub fn takes(&mut self, origin: usize, count: usize) -> bool {
        let is_one = self.depth <= self.run;
        let jumps = if is_one { 0 } else { self.depth / self.run - 1 };
        let end = self.depth as isize * self.depth_stride + jumps as isize * self.jump;
        let jump = origin as isize - self.origin as isize - end;
        let is_ahead = jump.signum() == self.depth_stride.signum();
        if is_one && jump == 0 {
            self.run += count;
        } else if is_one && is_ahead && count == self.depth {
            self.jump = jump;
        } else if is_one || (count, jump) != (self.run, self.jump) {
            return false;
        }
        self.depth += count;
        true
    }

    /// Panics unless all of `rows` x `depth` elements lie inside `data`, and those of a row or of a k side by side.
    pub(super) fn check(&self, rows: usize) {
        if rows == 0 || self.depth == 0 {
            return;
        }
        assert!(rows == 1 || self.row_stride == 1 || self.depth_stride == 1);
        // What saturates is beyond any data.
        let last_row = (rows - 1).saturating_mul(self.row_stride);
        let last_row = last_row.saturating_add(self.origin);
        assert!(self.run > 0 && (self.depth_stride != 1 || self.jump == 0));
        let reach = |count: usize, stride: isize| {
            let reach = isize::try_from(count)
                .unwrap_or(isize::MAX)
                .saturating_mul(stride);
            (reach.min(0).unsigned_abs(), reach.max(0).unsigned_abs())
        };
        let strides = reach(self.depth - 1, self.depth_stride);
        let jumps = reach((self.depth - 1) / self.run, self.jump);
        let (below, above) = (
            strides.0.saturating_add(jumps.0),
            strides.1.saturating_add(jumps.1),
        );
        assert!(below <= self.origin && last_row.saturating_add(above) < self.data.len());
    }

    /// Where the elements of its rows from `row` on begin.
    #[inline(always)]
    pub(super) fn left(&self, row: usize) -> Left<E> {
        Left {
            data: self
                .data
                .as_ptr()
                .wrapping_add(self.origin + row * self.row_stride),
            row_stride: self.row_stride,
            depth_stride: self.depth_stride,
            depth: self.depth,
            run: self.run,
            jump: self.jump,
            is_far: self.is_far,
        }
    }
}

/// Some consecutive k of the rows of a tile. Those of a row lie side by side, or all rows of a k do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<E> {
    /// Element (0, 0).
    pub data: *const E,
    pub row_stride: usize,
    pub depth_stride: isize,
    pub depth: usize,
    pub run: usize,
    pub jump: isize,
    pub is_far: bool,
}

impl<E> Left<E> {
    /// No k.
    pub const NONE: Self = Self {
        data: std::ptr::null(),
        row_stride: 0,
        depth_stride: 0,
        depth: 0,
        run: usize::MAX,
        jump: 0,
        is_far: false,
    };

    /// The same k of the rows from `row` on.
    #[inline(always)]
    pub fn at_row(self, row: usize) -> Self {
        Self {
            data: self.data.wrapping_add(row * self.row_stride),
            ..self
        }
    }
}

/// A cache line of memory on the stack: no vector is larger.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(#[expect(dead_code, reason = "memory of elements")] [u8; 64]);

/// Most segments of a tile.
pub const MAX_SEGMENTS: usize = 32;

/// Where the sums of a tile start.
#[derive(Clone, Copy, Debug)]
pub(super) enum TileStart<E> {
    /// At 0.
    Zero,
    /// Every row at this one: a bias.
    Row(*const E),
    /// Every row at its own: the first one, and from one to the next.
    Rows(*const E, usize),
}

/// What is done to the sums of a tile before they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum TileEnd<E> {
    /// The activation function.
    Activate(Activation),
    /// Times the derivative of the activation function, given its values: those of the first row are at `values`.
    TimesDerivative {
        activation: Activation,
        values: *const E,
        /// From one row of them to the next.
        stride: usize,
    },
}

/// A tile: its operands, all of them from its own first row on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile<'a, E> {
    /// The left operand.
    pub left: &'a [Left<E>],
    /// The right operand: a panel at its first k. The next vectors are in the panels behind it.
    pub right: *const E,
    /// From one panel to the next.
    pub panel: usize,
    pub start: TileStart<E>,
    pub end: TileEnd<E>,
    /// The result.
    pub c: *mut E,
    /// From one row of it to the next.
    pub c_stride: usize,
    /// Elements of the last vector that there are: in the result, the row of the start and the values.
    pub last: usize,
}

/// Rows of the tiles that some rows are cut into: 13 are 7 and 6, not 12 and 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileRows {
    pub count: usize,
    least: usize,
    higher: usize,
}

impl TileRows {
    /// Tiles of at most `most` rows.
    #[inline(always)]
    pub fn new(rows: usize, most: usize) -> Self {
        if rows <= most {
            return Self {
                count: 1,
                least: rows,
                higher: 0,
            };
        }
        let count = rows.div_ceil(most);
        Self {
            count,
            least: rows / count,
            higher: rows % count,
        }
    }

    /// Rows of the `index`-th of them.
    #[inline(always)]
    pub fn rows(&self, index: usize) -> usize {
        self.least + usize::from(index < self.higher)
    }
}

/// Most vectors of a tile of so many rows.
#[inline(always)]
pub(super) fn most_vectors<E: Element, S: Math<E>>(rows: usize) -> usize {
    *S::LOW_VECTORS.get(rows - 1).unwrap_or(&S::TILE_VECTORS)
}

impl<E: Element> Tile<'_, E> {
    /// Computes a tile of so many rows and vectors.
    ///
    /// # Safety
    /// - The tier must have such a tile: at most `TILE_ROWS` rows, and at most [`most_vectors`] of them.
    /// - The elements of all rows and k must be readable, and so must be the panels of the vectors at as many k as the left
    ///   operand has, the rows of the start and the values.
    /// - The result must be writable. Nobody else may touch it meanwhile; the rows of the start may be it.
    #[inline(always)]
    pub unsafe fn run<S: Math<E>>(&self, token: S, rows: usize, vectors: usize) {
        let tiles = Tiles::<E, S>::ALL.get(rows.wrapping_sub(1));
        match tiles.and_then(|tiles| *tiles.get(vectors.wrapping_sub(1))?) {
            // SAFETY: the caller's obligations.
            Some(run) => unsafe { run(token, self) },
            None => no_tile(rows, vectors),
        }
    }
}

#[cold]
#[inline(never)]
fn no_tile(rows: usize, vectors: usize) -> ! {
    unreachable!("no tile of {rows} rows and {vectors} vectors")
}

/// Most rows of a tile of any tier, and most vectors.
const MOST_ROWS: usize = 12;
const MOST_VECTORS: usize = 8;

/// The tiles of a tier. A call through a table is as fast as one behind a jump, and takes none of the place of a jump to each.
struct Tiles<E, S>(PhantomData<(E, S)>);

/// Computes a tile of one shape, with the obligations of [`Tile::run`].
type RunTile<E, S> = unsafe fn(S, &Tile<'_, E>);

impl<E: Element, S: Math<E>> Tiles<E, S> {
    /// Each by its rows and vectors; None where the tier has no such tile, which is not compiled then.
    const ALL: &'static [[Option<RunTile<E, S>>; MOST_VECTORS]; MOST_ROWS] = {
        macro_rules! tiles {
            ($($rows:literal)*) => {
                &[$(tiles!(@ $rows: 1 2 3 4 5 6 7 8)),*]
            };
            (@ $rows:literal: $($vectors:literal)*) => {
                [$(if tile_exists::<E, S>($rows, $vectors) {
                    Some(run_sized::<E, S, $rows, $vectors>)
                } else {
                    None
                }),*]
            };
        }
        tiles!(1 2 3 4 5 6 7 8 9 10 11 12)
    };
}

/// Whether a tier has the tile.
const fn tile_exists<E: Element, S: Math<E>>(rows: usize, vectors: usize) -> bool {
    rows <= S::TILE_ROWS
        && (vectors <= S::TILE_VECTORS
            || rows <= S::LOW_VECTORS.len() && vectors <= S::LOW_VECTORS[rows - 1])
}

/// Computes a tile of `R` rows and `C` vectors.
///
/// # Safety
/// - Those of [`Tile::run`].
unsafe fn run_sized<E: Element, S: Math<E>, const R: usize, const C: usize>(
    token: S,
    tile: &Tile<'_, E>,
) {
    token.vectorize(Sized::<E, R, C>(tile));
}

/// A tile of `R` rows and `C` vectors, which [`Tile::run`] has been promised.
struct Sized<'a, E, const R: usize, const C: usize>(&'a Tile<'a, E>);

impl<E: Element, const R: usize, const C: usize> Kernel<E> for Sized<'_, E, R, C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let Tile {
            left,
            right,
            panel,
            start,
            end,
            c,
            c_stride,
            last,
        } = *self.0;
        debug_assert!(0 < last && last <= S::LANES);
        // SAFETY: whoever called `Tile::run` has promised these operands.
        unsafe {
            let mut sums = [[token.splat(E::ZERO); C]; R];
            match start {
                TileStart::Zero => {}
                TileStart::Row(row) => sums.fill(load_row::<E, S, C>(token, row, last)),
                TileStart::Rows(first, stride) => {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        *sums = load_row::<E, S, C>(token, first.add(i * stride), last);
                    }
                }
            }
            let mut sums = accumulate(token, sums, left, right, panel);
            match end {
                TileEnd::Activate(Activation::Linear) => {}
                // The next step of a stream waits for this one.
                TileEnd::Activate(Activation::Tanh) if R == 1 => {
                    for sum in sums.as_flattened_mut() {
                        *sum = token.tanh(*sum);
                    }
                }
                _ => {
                    let memory = sums;
                    return token.vectorize(Finish {
                        tile: self.0,
                        sums: memory.as_ptr().cast::<E>(),
                        rows: R,
                        vectors: C,
                    });
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                store_row::<E, S, C>(token, sums, c.add(i * c_stride), last);
            }
        }
    }
}

/// The end of a tile whose sums lie in memory, vector by vector and row by row: the same code for tiles of all shapes.
struct Finish<'a, E> {
    tile: &'a Tile<'a, E>,
    sums: *const E,
    rows: usize,
    vectors: usize,
}

impl<E: Element> Kernel<E> for Finish<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // The functions that most networks have get loops of their own.
        match self.tile.end {
            TileEnd::Activate(Activation::Tanh) => self.each(token, |_, _, sum| token.tanh(sum)),
            TileEnd::Activate(Activation::Sigmoid) => {
                self.each(token, |_, _, sum| token.sigmoid(sum));
            }
            TileEnd::Activate(activation) => {
                self.each(token, |_, _, sum| activate(token, activation, sum));
            }
            TileEnd::TimesDerivative {
                activation,
                values,
                stride,
            } => self.each(token, |row, (element, count), sum| {
                // SAFETY: whoever called `Tile::run` has promised the values.
                let value = unsafe { load(token, values.add(row * stride + element), count) };
                times_derivative(token, activation, sum, value)
            }),
        }
    }
}

impl<E: Element> Finish<'_, E> {
    /// Stores what `function` makes of each vector of sums, given its row, its first element and how many it has.
    #[inline(always)]
    fn each<S: Math<E>>(
        &self,
        token: S,
        function: impl Fn(usize, (usize, usize), S::Vector) -> S::Vector,
    ) {
        let Tile {
            c, c_stride, last, ..
        } = *self.tile;
        for row in 0..self.rows {
            for vector in 0..self.vectors {
                let element = vector * S::LANES;
                let count = match vector + 1 == self.vectors {
                    true => last,
                    false => S::LANES,
                };
                // SAFETY: there are as many sums; whoever called `Tile::run` has promised as much room in the result.
                unsafe {
                    let sum = token.load(self.sums.add(row * self.vectors * S::LANES + element));
                    let value = function(row, (element, count), sum);
                    store(token, value, c.add(row * c_stride + element), count);
                }
            }
        }
    }
}

/// Adds the products of all segments to `sums`, which live in registers from the first k to the last: they come and go by
/// value, so that no other code holds their address.
///
/// # Safety
/// - `R` rows of every segment must be readable.
/// - `right` must point to as many k of a panel as the segments have, followed after every `panel` elements by the other
///   panels of the tile.
#[inline(always)]
pub(super) unsafe fn accumulate<E: Element, S: Math<E>, const R: usize, const C: usize>(
    token: S,
    mut sums: [[S::Vector; C]; R],
    segments: &[Left<E>],
    right: *const E,
    panel: usize,
) -> [[S::Vector; C]; R] {
    let unrolled = const { unrolled::<E>(R * C) };
    let mut b = right;
    for segment in segments {
        let (stride, next) = (segment.row_stride, segment.depth_stride);
        let mut rest = segment.depth;
        // SAFETY: the caller's obligations; the pointers only leave their data behind the last k.
        unsafe {
            if next == 1 {
                let mut rows: [_; GROUPS] =
                    from_fn(|group| apart(segment.data.wrapping_add(group * GROUP * stride)));
                while rest > 0 {
                    let steps = if rest >= unrolled { unrolled } else { 1 };
                    let left = |row: usize, k| rows[row / GROUP].add(row % GROUP * stride + k);
                    sums = add(token, sums, steps, left, &mut b, panel);
                    for row in rows.iter_mut().take(R.div_ceil(GROUP)) {
                        *row = apart(row.wrapping_add(steps));
                    }
                    rest -= steps;
                }
            } else {
                let mut first = segment.data;
                while rest > 0 {
                    let mut run = rest.min(segment.run);
                    rest -= run;
                    while run > 0 {
                        let steps = if run >= unrolled { unrolled } else { 1 };
                        if unrolled > 1 && segment.is_far {
                            for k in 0..steps {
                                let row = first.wrapping_offset((AHEAD + k) as isize * next);
                                prefetch(row);
                                prefetch(row.wrapping_add(R - 1));
                            }
                        }
                        let left =
                            |row, k: usize| first.wrapping_offset(k as isize * next).add(row);
                        sums = add(token, sums, steps, left, &mut b, panel);
                        first = first.wrapping_offset(steps as isize * next);
                        run -= steps;
                    }
                    first = first.wrapping_offset(segment.jump);
                }
            }
        }
    }
    sums
}

/// How many k ahead a tile asks for what it reads of other threads' rows, which its core's prefetchers don't follow. On two cores
/// of an Intel Xeon this gained 4 % of a training step at T 28, B 128, I 28, H 128 and at T 1000, B 16, I 32, H 64; a thread that
/// is alone would lose 1 %.
const AHEAD: usize = 16;

/// How many k a tile of so many sums takes at a time, without arithmetic between their products. Four gain 3 to 5 % of whole
/// passes on an Intel Xeon with AVX-512, where additions of addresses take the place of multiply-adds, and cost 40 KB of code.
const fn unrolled<E>(sums: usize) -> usize {
    if size_of::<E>() == 4 && sums >= 12 {
        4
    } else {
        1
    }
}

/// Adds the products of one k, or of as many as are [`unrolled`]. `left` is where the element of a row and a k is.
///
/// # Safety
/// - As for [`accumulate`].
#[inline(always)]
unsafe fn add<E: Element, S: Math<E>, const R: usize, const C: usize>(
    token: S,
    mut sums: [[S::Vector; C]; R],
    steps: usize,
    left: impl Fn(usize, usize) -> *const E,
    b: &mut *const E,
    panel: usize,
) -> [[S::Vector; C]; R] {
    let unrolled = const { unrolled::<E>(R * C) };
    if unrolled > 1 && steps == unrolled {
        for k in 0..unrolled {
            // SAFETY: the caller's obligations.
            sums = unsafe { add_one(token, sums, |row| left(row, k), *b, panel) };
            *b = b.wrapping_add(S::LANES * S::TILE_VECTORS);
        }
    } else {
        // SAFETY: the caller's obligations.
        sums = unsafe { add_one(token, sums, |row| left(row, 0), *b, panel) };
        *b = b.wrapping_add(S::LANES * S::TILE_VECTORS);
    }
    sums
}

/// Adds the products of one k.
///
/// # Safety
/// - As for [`accumulate`].
#[inline(always)]
unsafe fn add_one<E: Element, S: Math<E>, const R: usize, const C: usize>(
    token: S,
    mut sums: [[S::Vector; C]; R],
    left: impl Fn(usize) -> *const E,
    b: *const E,
    panel: usize,
) -> [[S::Vector; C]; R] {
    // SAFETY: the caller's obligations.
    unsafe {
        let left = |row: usize| token.splat(*left(row));
        let right = |j: usize| {
            let (next_panel, vector) = (j / S::TILE_VECTORS, j % S::TILE_VECTORS);
            token.load(b.add(next_panel * panel + vector * S::LANES))
        };
        // The operand that has fewer vectors waits in registers.
        if R < C {
            let lefts: [_; R] = from_fn(left);
            for j in 0..C {
                let right = right(j);
                for (sums, &left) in sums.iter_mut().zip(&lefts) {
                    sums[j] = token.mul_add(left, right, sums[j]);
                }
            }
        } else {
            let rights: [_; C] = from_fn(right);
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = left(i);
                for (sum, &right) in sums.iter_mut().zip(&rights) {
                    *sum = token.mul_add(left, right, *sum);
                }
            }
        }
    }
    sums
}

/// Rows of the left operand that are reached from one pointer. An address of x86 is a pointer and once or twice a stride; so
/// three rows need no arithmetic. From a single pointer, the compiler makes each address of the one before: a chain of as
/// many additions as rows for each k, which takes as long as the multiply-adds.
const GROUP: usize = 3;

/// The same pointer, of which the compiler does not know that it is so many strides behind another one.
#[inline(always)]
#[expect(
    clippy::pointers_in_nomem_asm_block,
    reason = "nothing is read through it there"
)]
fn apart<E>(mut pointer: *const E) -> *const E {
    // Assembly for wasm is not stable in Rust yet.
    #[cfg(not(any(miri, target_family = "wasm")))]
    // SAFETY: no instruction is executed.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(any(miri, target_family = "wasm"))]
    {
        pointer = std::hint::black_box(pointer);
    }
    pointer
}

/// Pointers for the most rows of a tile.
const GROUPS: usize = 4;

/// Reads `C` vectors, of the last one only the first `last` elements.
///
/// # Safety
/// - That many elements at `from` must be readable; `last` is at least 1 and at most a vector's.
#[inline(always)]
pub(super) unsafe fn load_row<E: Element, S: Math<E>, const C: usize>(
    token: S,
    from: *const E,
    last: usize,
) -> [S::Vector; C] {
    let mut vectors = [token.splat(E::ZERO); C];
    for (j, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller allows these elements.
        *vector = unsafe {
            let from = from.add(j * S::LANES);
            if j == C - 1 {
                load(token, from, last)
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
pub(super) unsafe fn store_row<E: Element, S: Math<E>, const C: usize>(
    token: S,
    vectors: &[S::Vector; C],
    to: *mut E,
    last: usize,
) {
    for (j, &vector) in vectors.iter().enumerate() {
        // SAFETY: the caller allows these elements.
        unsafe {
            let to = to.add(j * S::LANES);
            if j == C - 1 {
                store(token, vector, to, last);
            } else {
                token.store(vector, to);
            }
        }
    }
}

/// Reads the first `count` elements of a vector; the rest are 0.
///
/// # Safety
/// - They must be readable, and no more than a vector has.
#[inline(always)]
pub(super) unsafe fn load<E: Element, S: Math<E>>(
    token: S,
    from: *const E,
    count: usize,
) -> S::Vector {
    // SAFETY: the caller allows these elements.
    unsafe {
        if count < S::LANES {
            token.load_partial(from, count)
        } else {
            token.load(from)
        }
    }
}

/// Writes the first `count` elements of a vector.
///
/// # Safety
/// - They must be writable, and no more than a vector has.
#[inline(always)]
pub(super) unsafe fn store<E: Element, S: Math<E>>(
    token: S,
    vector: S::Vector,
    to: *mut E,
    count: usize,
) {
    // SAFETY: the caller allows these elements.
    unsafe {
        if count < S::LANES {
            token.store_partial(vector, to, count);
        } else {
            token.store(vector, to);
        }
    }
}
