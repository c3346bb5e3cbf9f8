//! Packed matrices: the right operand of a product in the order in which the micro-kernels read it.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::simd::{Kernel, Math, Tier};
use crate::{Element, Result, shape};

/// A matrix of `depth` x `columns`, cut into panels of as many columns as a register tile is wide. A panel holds its
/// columns for one k after the other; the last one is filled up with zeros. A panel starts on a cache line.
#[derive(Debug, Default)]
pub struct Packed<E: Element> {
    data: Buffer<E>,
    depth: usize,
    columns: usize,
    width: usize,
}

/// Where the elements of a matrix are: (k, column) at `origin + k * depth_stride + column * column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Index of (0, 0).
    pub origin: usize,
    /// From one k to the next; may be negative.
    pub depth_stride: isize,
    /// From one column to the next.
    pub column_stride: usize,
}

impl Source {
    /// A row-major matrix of that many columns.
    pub fn rows(columns: usize) -> Self {
        Self {
            origin: 0,
            depth_stride: columns as isize,
            column_stride: 1,
        }
    }

    /// The transpose of a row-major matrix of that many columns.
    pub fn columns(columns: usize) -> Self {
        Self {
            origin: 0,
            depth_stride: 1,
            column_stride: columns,
        }
    }

    /// `depth` rows, one every `stride`, the last one first.
    pub fn rows_backwards(stride: usize, depth: usize) -> Self {
        Self {
            origin: (depth - 1) * stride,
            depth_stride: -(stride as isize),
            column_stride: 1,
        }
    }
}

impl<E: Element> Packed<E> {
    /// A matrix without elements.
    pub const fn new() -> Self {
        Self {
            data: Buffer::new(),
            depth: 0,
            columns: 0,
            width: 1,
        }
    }

    /// Number of k.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All panels.
    pub(super) fn data(&self) -> &[E] {
        &self.data
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// From one panel to the next.
    pub(super) fn panel_stride(&self) -> usize {
        self.depth * self.width
    }

    /// The columns of the `index`-th of `count` parts, which begins with a panel.
    pub(super) fn part(&self, index: usize, count: usize) -> Range<usize> {
        if count == 1 {
            return 0..self.columns;
        }
        let panels = self.columns.div_ceil(self.width);
        let column = |part: usize| (panels * part / count * self.width).min(self.columns);
        column(index)..column(index + 1)
    }

    /// Makes room for a matrix of this shape. What it holds afterwards is undefined until every k is [`Self::pack`]ed.
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
        let width = tier.run(PanelWidth::<E>(std::marker::PhantomData));
        let panels = columns.div_ceil(width);
        self.data
            .resize(what, shape::product(what, &[panels, width, depth])?)?;
        (self.depth, self.columns, self.width) = (depth, columns, width);
        Ok(())
    }

    /// Packs the k from `start` to `start + count` from `from`, whose k 0 becomes k `start`.
    ///
    /// # Panics
    /// Where the matrix has no such k, or `from` no such element.
    pub fn pack(&mut self, start: usize, count: usize, from: &[E], source: Source) {
        assert!(start + count <= self.depth);
        let (width, stride) = (self.width, self.panel_stride());
        for (index, panel) in self.data.chunks_exact_mut(stride.max(1)).enumerate() {
            let first = index * width;
            let used = width.min(self.columns - first);
            let rows = panel[start * width..(start + count) * width].chunks_exact_mut(width);
            let mut origin = source.origin.wrapping_add(first * source.column_stride);
            for row in rows {
                let (filled, padding) = row.split_at_mut(used);
                if source.column_stride == 1 {
                    filled.copy_from_slice(&from[origin..origin + used]);
                } else {
                    for (column, value) in filled.iter_mut().enumerate() {
                        *value = from[origin + column * source.column_stride];
                    }
                }
                padding.fill(E::ZERO);
                origin = origin.wrapping_add_signed(source.depth_stride);
            }
        }
    }
}

/// Columns of a panel: a tile's width.
struct PanelWidth<E>(std::marker::PhantomData<E>);

impl<E: Element> Kernel<E> for PanelWidth<E> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) -> usize {
        S::LANES * S::TILE_VECTORS
    }
}
