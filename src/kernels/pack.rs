//! Packed matrices: the right operand of a product in the order in which the micro-kernels read it.

use std::marker::PhantomData;

use crate::buffer::Buffer;
use crate::kernels::tile::load;
use crate::simd::{Kernel, MAX_LANES, Math, Tier};
use crate::{Element, Result, shape};

/// A matrix of `depth` x `columns`, cut into panels of as many vectors of columns as a register tile is wide. A panel holds
/// its columns for one k after the other; what it has no columns for is 0. A panel starts on a cache line.
///
/// The columns may be several groups, the gates of a cell, of as many units each. A block of units, as many as a tile is
/// wide, has the panels of all its groups side by side: so what comes behind the product finds all sums of a unit together.
/// The last block may have fewer vectors of units than a panel; the vectors of its groups then fill the panels one after the
/// other.
#[derive(Debug)]
pub struct Packed<E: Element> {
    data: Buffer<E>,
    tier: Tier,
    depth: usize,
    columns: usize,
    shape: Panels,
}

/// How large a packed matrix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedShape {
    /// Number of k.
    pub depth: usize,
    /// Columns of a group.
    pub units: usize,
    /// Groups of columns.
    pub groups: usize,
}

impl PackedShape {
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.units.saturating_mul(self.groups)
    }
}

/// How columns lie in panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Panels {
    /// Groups of columns.
    groups: usize,
    /// Columns of a group.
    units: usize,
    /// Columns of a panel, and units of a block.
    width: usize,
    /// Columns of a vector.
    lanes: usize,
}

impl Panels {
    /// Number of blocks of units.
    #[inline(always)]
    fn blocks(&self) -> usize {
        // Both are powers of two, so this is no division.
        (self.units + self.width - 1) >> self.width.trailing_zeros()
    }

    /// Vectors of units of a block.
    #[inline(always)]
    fn vectors(&self, block: usize) -> usize {
        let units = (self.units - block * self.width).min(self.width);
        (units + self.lanes - 1) >> self.lanes.trailing_zeros()
    }

    /// Number of panels.
    fn count(&self) -> usize {
        match self.blocks().checked_sub(1) {
            None => 0,
            Some(last) => {
                let vectors = self.groups * self.vectors(last);
                last * self.groups + vectors.div_ceil(self.width / self.lanes)
            }
        }
    }

    /// The first column of a panel's `vector`-th vector, and how many there are; the groups are gone through from `first` on.
    fn columns(&self, panel: usize, vector: usize, first: usize) -> (usize, usize) {
        let block = panel / self.groups;
        let vectors = self.vectors(block);
        let index = panel % self.groups * (self.width / self.lanes) + vector;
        let (group, vector) = (index / vectors, index % vectors);
        if group >= self.groups {
            return (0, 0);
        }
        let group = (group + first) % self.groups;
        let unit = block * self.width + vector * self.lanes;
        (
            group * self.units + unit,
            self.units.saturating_sub(unit).min(self.lanes),
        )
    }
}

/// Where the elements of a matrix are: (k, column) at `origin + k * depth_stride + column * column_stride`. One of the
/// strides is 1.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Index of (0, 0).
    pub origin: usize,
    /// From one k to the next; may be negative.
    pub depth_stride: isize,
    /// From one column to the next.
    pub column_stride: usize,
    /// The group of columns that lies first in the panels; the others follow in their order, and those before it at the end.
    pub first_group: usize,
}

impl Source {
    /// A row-major matrix of that many columns.
    pub fn rows(columns: usize) -> Self {
        Self {
            origin: 0,
            depth_stride: columns as isize,
            column_stride: 1,
            first_group: 0,
        }
    }

    /// The transpose of a row-major matrix of that many columns.
    pub fn columns(columns: usize) -> Self {
        Self {
            origin: 0,
            depth_stride: 1,
            column_stride: columns,
            first_group: 0,
        }
    }

    /// `depth` rows, one every `stride`, the last one first.
    pub fn rows_backwards(stride: usize, depth: usize) -> Self {
        Self {
            origin: (depth - 1) * stride,
            depth_stride: -(stride as isize),
            column_stride: 1,
            first_group: 0,
        }
    }

    /// Panics unless all of `depth` x `columns` elements, of which there are some, lie inside `len`.
    fn check(&self, depth: usize, columns: usize, len: usize) {
        assert!(self.column_stride == 1 || self.depth_stride == 1);
        // What saturates is beyond any data.
        let last_column = (columns - 1).saturating_mul(self.column_stride);
        let last_column = last_column.saturating_add(self.origin);
        let depth = isize::try_from(depth - 1).unwrap_or(isize::MAX);
        let reach = depth.saturating_mul(self.depth_stride);
        let (below, above) = (reach.min(0).unsigned_abs(), reach.max(0).unsigned_abs());
        assert!(below <= self.origin && last_column.saturating_add(above) < len);
    }
}

impl<E: Element> Packed<E> {
    /// A matrix without elements.
    pub const fn new() -> Self {
        Self {
            data: Buffer::new(),
            tier: Tier::PORTABLE,
            depth: 0,
            columns: 0,
            shape: Panels {
                groups: 1,
                units: 0,
                width: 1,
                lanes: 1,
            },
        }
    }

    /// The tier that it is packed for.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Groups of columns.
    pub fn groups(&self) -> usize {
        self.shape.groups
    }

    /// Columns of a group.
    pub fn units(&self) -> usize {
        self.shape.units
    }

    /// Number of k.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All of these.
    pub fn size(&self) -> PackedShape {
        PackedShape {
            depth: self.depth,
            units: self.units(),
            groups: self.groups(),
        }
    }

    /// All panels.
    pub(super) fn data(&self) -> &[E] {
        &self.data
    }

    /// Columns of a panel, and units of a block.
    #[inline(always)]
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Number of blocks of units.
    #[inline(always)]
    pub fn blocks(&self) -> usize {
        self.shape.blocks()
    }

    /// Vectors of units of a block.
    #[inline(always)]
    pub(super) fn vectors(&self, block: usize) -> usize {
        self.shape.vectors(block)
    }

    /// From one panel to the next.
    #[inline(always)]
    pub(super) fn panel_stride(&self) -> usize {
        self.depth * self.shape.width
    }

    /// Makes room for a matrix of this shape, whose columns are one group. What it holds afterwards is undefined until every
    /// k is [`Self::pack`]ed.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`], [`crate::Error::SizeOverflow`]; it is then as it was.
    pub fn shape(
        &mut self,
        what: &'static str,
        tier: Tier,
        depth: usize,
        columns: usize,
    ) -> Result<()> {
        let size = PackedShape {
            depth,
            units: columns,
            groups: 1,
        };
        self.resize(what, tier, size)
    }

    /// As [`Self::shape`], for columns that may be several groups.
    ///
    /// # Errors
    /// As there.
    pub fn resize(&mut self, what: &'static str, tier: Tier, size: PackedShape) -> Result<()> {
        let PackedShape {
            depth,
            units,
            groups,
        } = size;
        let columns = shape::product(what, &[units, groups])?;
        let (lanes, width) = tier.run(PanelWidth::<E>(PhantomData));
        let shape = Panels {
            groups,
            units,
            width,
            lanes,
        };
        let panels = shape.count();
        self.data
            .resize(what, shape::product(what, &[panels, width, depth])?)?;
        (self.tier, self.depth, self.columns, self.shape) = (tier, depth, columns, shape);
        Ok(())
    }

    /// Packs the k from `start` to `start + count` from `from`, whose k 0 becomes k `start`.
    ///
    /// # Panics
    /// Where the matrix has no such k, or `from` no such element.
    pub fn pack(&mut self, start: usize, count: usize, from: &[E], source: Source) {
        let mut part = self.part();
        part.take_depth(start);
        part.take_depth(count).pack(from, source);
    }

    /// The right to pack all of it.
    pub fn part(&mut self) -> Part<'_, E> {
        Part {
            tier: self.tier,
            depth: self.depth,
            columns: self.columns,
            shape: self.shape,
            panel_stride: self.panel_stride(),
            data: self.data.as_mut_ptr(),
            elements: PhantomData,
        }
    }
}

/// The exclusive right to some k of some panels of a packed matrix, to pack them in parts, by several threads if need be.
#[derive(Debug)]
pub struct Part<'a, E> {
    tier: Tier,
    depth: usize,
    columns: usize,
    shape: Panels,
    panel_stride: usize,
    /// The first of its k in the first of its panels.
    data: *mut E,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: it writes its k of its panels, and nobody else does (see `take_depth` and `take_columns`); so it can go to another
// thread like a `&mut [E]`.
unsafe impl<E: Element> Send for Part<'_, E> {}

impl<'a, E: Element> Part<'a, E> {
    /// Cuts off the first `count` k.
    ///
    /// # Panics
    /// Where there are not as many.
    pub fn take_depth(&mut self, count: usize) -> Self {
        let rest = self.depth.checked_sub(count).expect("no such k");
        let taken = Self {
            depth: count,
            ..*self
        };
        self.data = self.data.wrapping_add(count * self.shape.width);
        self.depth = rest;
        taken
    }

    /// Cuts off the first `count` columns, which are whole panels unless they are all.
    ///
    /// # Panics
    /// Where they are not, there are not as many, or they are several groups.
    pub fn take_columns(&mut self, count: usize) -> Self {
        let rest = self.columns.checked_sub(count).expect("no such columns");
        let width = self.shape.width;
        assert!(self.shape.groups == 1 && (rest == 0 || count.is_multiple_of(width)));
        let part = |columns| Panels {
            units: columns,
            ..self.shape
        };
        let taken = Self {
            columns: count,
            shape: part(count),
            ..*self
        };
        let panels = count.div_ceil(width);
        self.data = self.data.wrapping_add(panels * self.panel_stride);
        (self.shape, self.columns) = (part(rest), rest);
        taken
    }

    /// Columns of a panel.
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Packs it from `from`.
    ///
    /// # Panics
    /// Where `from` has no such element, or none of the source's strides is 1.
    pub fn pack(self, from: &[E], source: Source) {
        if self.depth > 0 && self.columns > 0 {
            E::pack(self, from, source);
        }
    }

    /// [`Self::pack`], compiled where it is called, of a part that is not empty.
    ///
    /// # Panics
    /// As there.
    pub fn pack_here(self, from: &[E], source: Source) {
        source.check(self.depth, self.columns, from.len());
        assert!(self.shape.groups == 1 || source.column_stride == 1);
        self.tier.run(Pack {
            part: self,
            from,
            source,
        });
    }
}

struct Pack<'a, 'b, E> {
    part: Part<'a, E>,
    from: &'b [E],
    source: Source,
}

impl<E: Element> Kernel<E> for Pack<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let Self { part, source, .. } = self;
        let (shape, width) = (part.shape, S::LANES * S::TILE_VECTORS);
        assert_eq!((shape.width, shape.lanes), (width, S::LANES));
        let from = self.from.as_ptr().wrapping_add(source.origin);
        let panels = shape.count();
        // SAFETY: `Part::pack` has checked that `from` has an element for each k and column of the part, and rows and
        // tiles below are of such k and columns. The panels are whole, `width` wide, and this part's to write at its k.
        unsafe {
            for panel in 0..panels {
                let to = part.data.add(panel * part.panel_stride);
                if source.column_stride == 1 {
                    let mut columns = [(0, 0); MAX_TILE_VECTORS];
                    for (vector, columns) in columns.iter_mut().enumerate().take(S::TILE_VECTORS) {
                        *columns = shape.columns(panel, vector, source.first_group);
                    }
                    for k in 0..part.depth {
                        let from = from.wrapping_offset(k as isize * source.depth_stride);
                        let columns = &columns[..S::TILE_VECTORS];
                        for (vector, &(column, count)) in columns.iter().enumerate() {
                            let values = load(token, from.wrapping_add(column), count);
                            token.store(values, to.add(k * width + vector * S::LANES));
                        }
                    }
                    continue;
                }
                for k in (0..part.depth).step_by(S::LANES) {
                    let depth = S::LANES.min(part.depth - k);
                    for start in (0..width).step_by(S::LANES) {
                        let column = panel * width + start;
                        let columns = part.columns.saturating_sub(column).min(S::LANES);
                        let from = from.wrapping_add(k + column * source.column_stride);
                        let from = (from, source.column_stride);
                        let to = (to.add(k * width + start), width);
                        if depth == S::LANES && columns == S::LANES {
                            transpose(token, from, (S::LANES, S::LANES), to);
                        } else {
                            transpose(token, from, (columns, depth), to);
                        }
                    }
                }
            }
        }
    }
}

/// The most vectors that a panel of any tier has.
const MAX_TILE_VECTORS: usize = 4;

/// Transposes a tile of `rows` x `columns` elements, at most as many as a vector has, from rows of one stride to rows of
/// another one, which are a whole vector: filled up with zeros where there are fewer `rows`.
///
/// # Safety
/// - The elements must be readable, and `columns` vectors writable.
#[inline(always)]
unsafe fn transpose<E: Element, S: Math<E>>(
    token: S,
    (from, from_stride): (*const E, usize),
    (rows, columns): (usize, usize),
    (to, to_stride): (*mut E, usize),
) {
    let mut tile = [token.splat(E::ZERO); MAX_LANES];
    for (index, row) in tile.iter_mut().enumerate().take(S::LANES) {
        if index < rows {
            // SAFETY: the caller allows these elements.
            *row = unsafe {
                let from = from.add(index * from_stride);
                if columns == S::LANES {
                    token.load(from)
                } else {
                    token.load_partial(from, columns)
                }
            };
        }
    }
    // Row and lane of an element are the two halves of its place's binary digits. A round moves the first digit of the row
    // behind the last one of the lane; after as many rounds as a half has digits, the halves have changed places.
    for _ in 0..S::LANES.ilog2() {
        let before = tile;
        for index in 0..S::LANES / 2 {
            (tile[2 * index], tile[2 * index + 1]) =
                token.interleave(before[index], before[index + S::LANES / 2]);
        }
    }
    for (index, &row) in tile.iter().enumerate().take(S::LANES) {
        if index < columns {
            // SAFETY: as above.
            unsafe { token.store(row, to.add(index * to_stride)) };
        }
    }
}

/// Columns of a vector and of a panel, which is a tile's width.
struct PanelWidth<E>(PhantomData<E>);

impl<E: Element> Kernel<E> for PanelWidth<E> {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) -> (usize, usize) {
        const { assert!(S::TILE_VECTORS <= MAX_TILE_VECTORS) };
        (S::LANES, S::LANES * S::TILE_VECTORS)
    }
}
