//! A stage of a step that has one row, as every step of a stream has. The sums of a block of units are a tile or two, whose
//! results the cell takes from where they are: nothing is laid out for many rows, of which it would be the only one.

use std::ops::Range;

use super::stage::{Fused, MAX_INPUTS, MAX_PIECES, MAX_SLOTS, MAX_SUMS, Piece, Stage, Start};
use super::units::{Unit, Units};
use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::activate;
use crate::kernels::pack::Packed;
use crate::kernels::tile::{Left, Tile, TileEnd, TileStart, load, most_vectors};
use crate::simd::Math;

/// Most vectors of the sums of a block of units: those of the tier with the widest panels.
const MAX_VECTORS: usize = 4 * MAX_SUMS;

/// A stage, and where its row is in every slot and input.
pub struct OneRow<'a, E: Element, U> {
    stage: &'a Stage,
    weights: &'a Packed<E>,
    parameters: &'a [E],
    units: &'a U,
    pub reads: [*mut E; MAX_SLOTS],
    pub writes: [*mut E; MAX_SLOTS],
    pub inputs: [[*mut E; MAX_INPUTS]; MAX_PIECES],
    /// Whether there are products of other steps' rows.
    pub products: bool,
}

impl<'a, E: Element, U: Units<E>> OneRow<'a, E, U> {
    /// A stage whose slots and inputs are yet to be said.
    #[inline(always)]
    pub fn new(
        (stage, weights, parameters): (&'a Stage, &'a Packed<E>, &'a [E]),
        units: &'a U,
    ) -> Self {
        let none = std::ptr::null_mut();
        Self {
            stage,
            weights,
            parameters,
            units,
            reads: [none; MAX_SLOTS],
            writes: [none; MAX_SLOTS],
            inputs: [[none; MAX_INPUTS]; MAX_PIECES],
            products: true,
        }
    }

    /// Computes some blocks of units. `number` is that of the stage.
    ///
    /// # Safety
    /// - The slots' and inputs' elements must be readable, and the blocks' units of what is written this thread's.
    #[inline(always)]
    pub unsafe fn run<S: Math<E>>(&self, token: S, number: usize, blocks: Range<usize>) {
        // SAFETY: the caller's obligations.
        unsafe {
            match (self.stage.fused, self.units.usual()) {
                (Some(fused), _) => self.run_fused(token, fused, blocks),
                (None, Some(usual)) => self.run_blocks(token, &usual, number, blocks),
                (None, None) => self.run_blocks(token, self.units, number, blocks),
            }
        }
    }

    /// The products.
    #[inline(always)]
    fn pieces(&self) -> impl Iterator<Item = (&'a Piece, &[*mut E; MAX_INPUTS])> {
        let pieces = self.stage.pieces.iter().zip(&self.inputs);
        pieces.filter(|(piece, _)| self.products || !piece.is_recurrent)
    }

    /// Computes some vectors of the sums of a product, from the `panel`-th panel on: from `start` on, to `c`.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the start must be readable, and `c` writable.
    #[inline(always)]
    unsafe fn multiply<S: Math<E>>(
        &self,
        token: S,
        product: Option<(&Piece, &[*mut E; MAX_INPUTS])>,
        panel: usize,
        (start, end): (TileStart<E>, TileEnd<E>),
        (c, vectors, last): (*mut E, usize, usize),
    ) {
        let weights = self.weights;
        let mut lefts = [Left::NONE; MAX_INPUTS];
        let (mut depth, mut count) = (0, 0);
        if let Some((piece, rows)) = product {
            (depth, count) = (piece.depth, piece.inputs.len());
            for ((left, input), &row) in lefts.iter_mut().zip(&piece.inputs).zip(rows) {
                *left = Left {
                    data: row,
                    row_stride: 0,
                    depth_stride: 1,
                    depth: input.depth,
                };
            }
        }
        let right = panel * weights.panel_stride() + depth * weights.width();
        let tile = Tile {
            left: &lefts[..count],
            right: weights.data().as_ptr().wrapping_add(right),
            panel: weights.panel_stride(),
            start,
            end,
            c,
            c_stride: 0,
            last,
        };
        // SAFETY: the caller's obligations; panels are whole.
        unsafe { tile.run(token, 1, vectors) };
    }

    /// Computes blocks of units whose only sum the tile finishes.
    ///
    /// # Safety
    /// - As for [`Self::run`].
    #[inline(always)]
    unsafe fn run_fused<S: Math<E>>(&self, token: S, fused: Fused, blocks: Range<usize>) {
        let width = self.weights.width();
        let most = most_vectors::<E, S>(1);
        let end = (blocks.end * width).min(self.weights.units());
        let mut unit = blocks.start * width;
        while unit < end {
            let vectors = (end - unit).div_ceil(S::LANES).min(most);
            let last = (end - unit).min(vectors * S::LANES) - (vectors - 1) * S::LANES;
            let start = match self.stage.starts[0] {
                Start::Zero => TileStart::Zero,
                Start::Parameters(first) => {
                    TileStart::Row(self.parameters.as_ptr().wrapping_add(first + unit))
                }
                Start::Read(index) => TileStart::Row(self.reads[index].wrapping_add(unit)),
            };
            let ending = match fused {
                Fused::Activate(activation) => TileEnd::Activate(activation),
                Fused::TimesDerivative(activation) => TileEnd::TimesDerivative {
                    activation,
                    values: self.reads[0].wrapping_add(unit),
                    stride: 0,
                },
            };
            let c = self.writes[0].wrapping_add(unit);
            let panel = unit / (S::LANES * S::TILE_VECTORS);
            // SAFETY: the caller's obligations; the last vector is read and written up to the last unit only.
            unsafe {
                let product = self.pieces().next();
                self.multiply(token, product, panel, (start, ending), (c, vectors, last));
            }
            unit += (vectors * S::LANES).next_multiple_of(width);
        }
    }

    /// Computes blocks of units whose sums the cell takes.
    ///
    /// # Safety
    /// - As for [`Self::run`].
    #[inline(always)]
    unsafe fn run_blocks<S: Math<E>>(
        &self,
        token: S,
        cell: &impl Units<E>,
        number: usize,
        blocks: Range<usize>,
    ) {
        let (width, units) = (self.weights.width(), self.weights.units());
        for block in blocks {
            // SAFETY: the caller's obligations.
            unsafe {
                match units - block * width >= width {
                    true => self.run_block::<S, true>(token, cell, number, block),
                    false => self.run_block::<S, false>(token, cell, number, block),
                }
            }
        }
    }

    /// Computes a block of units, which may be known to be full.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the block must be full where it says so.
    #[inline(always)]
    unsafe fn run_block<S: Math<E>, const IS_FULL: bool>(
        &self,
        token: S,
        cell: &impl Units<E>,
        number: usize,
        block: usize,
    ) {
        const {
            assert!(size_of::<S::Vector>() == S::LANES * size_of::<E>());
            assert!(S::TILE_VECTORS * MAX_SUMS <= MAX_VECTORS);
        }
        let (stage, weights) = (self.stage, self.weights);
        let groups = weights.groups();
        let first = block * weights.width();
        let vectors = match IS_FULL {
            true => S::TILE_VECTORS,
            false => weights.vectors(block),
        };
        let count = |vector: usize| match IS_FULL {
            true => S::LANES,
            false => (weights.units() - first - vector * S::LANES).min(S::LANES),
        };
        let mut sums = [token.splat(E::ZERO); MAX_VECTORS];
        for (sum, start) in stage.starts.iter().enumerate().take(MAX_SUMS) {
            let from = match *start {
                Start::Zero => continue,
                Start::Parameters(row) => self.parameters.as_ptr().wrapping_add(row),
                Start::Read(index) => self.reads[index].cast_const(),
            };
            for vector in 0..vectors {
                let from = from.wrapping_add(first + vector * S::LANES);
                // SAFETY: the units are the weights', of which every start has as many.
                sums[sum * vectors + vector] = unsafe { load(token, from, count(vector)) };
            }
        }
        for product in self.pieces() {
            let all = groups * vectors;
            let mut done = 0;
            while done < all {
                let some = (all - done).min(most_vectors::<E, S>(1));
                let panel = block * groups + done / S::TILE_VECTORS;
                let own = &mut sums[product.0.first_sum * vectors + done..][..some];
                let c = own.as_mut_ptr().cast::<E>();
                let ends = (TileStart::Row(c), TileEnd::Activate(Activation::Linear));
                // SAFETY: the caller's obligations. A vector is as many elements as lanes, and the panels of a block follow each
                // other.
                unsafe { self.multiply(token, Some(product), panel, ends, (c, some, S::LANES)) };
                done += some;
            }
        }
        for (sum, activation) in cell.activations(number).into_iter().enumerate() {
            if !matches!(activation, Activation::Linear) {
                for sum in &mut sums[sum * vectors..][..vectors] {
                    *sum = activate(token, activation, *sum);
                }
            }
        }
        let (mut reads, mut writes) = (self.reads, self.writes);
        let reads = &mut reads[..stage.reads.len()];
        let writes = &mut writes[..stage.writes.len()];
        for slot in reads.iter_mut().chain(&mut *writes) {
            *slot = slot.wrapping_add(first);
        }
        for vector in 0..vectors {
            let mut values = [token.splat(E::ZERO); MAX_SUMS];
            for (sum, value) in values.iter_mut().enumerate() {
                // What is behind the last sum is not looked at.
                *value = sums[sum * vectors + vector];
            }
            // SAFETY: the caller's obligations.
            let unit = unsafe {
                Unit::new(
                    token,
                    (reads, writes),
                    vector * S::LANES,
                    first,
                    count(vector),
                )
            };
            cell.apply(token, number, values, &unit);
        }
    }
}
