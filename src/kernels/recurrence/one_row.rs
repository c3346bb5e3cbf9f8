//! A stage of a step that has one row, as every step of a stream has. The sums of a block of units are a tile or two, whose
//! results the cell takes from where they are: nothing is laid out for many rows, of which it would be the only one.

use std::array::from_fn;
use std::ops::Range;

use super::stage::{Fused, MAX_INPUTS, MAX_PIECES, MAX_SLOTS, MAX_SUMS, Piece, Slot, Stage, Start};
use super::units::{Apply, ApplyUnits, ByCall, Inline, TakeSums, Unit, Units};
use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::activate;
use crate::kernels::pack::Packed;
use crate::kernels::tile::{Left, Tile, TileEnd, TileStart, accumulate, load, most_vectors};
use crate::simd::{Kernel, Math};

/// Most vectors of the sums of a block of units: those of the tier with the widest panels.
const MAX_VECTORS: usize = 4 * MAX_SUMS;

/// Most slots and inputs of a stage together.
const MAX_PLACES: usize = 2 * MAX_SLOTS + MAX_PIECES * MAX_INPUTS;

/// A number or a pointer for everything that a stage reads and writes: the slots to read, those to write, the inputs of the
/// products. A stream computes all of them at every step.
#[derive(Clone, Copy, Debug)]
pub struct Places<T> {
    all: [T; MAX_PLACES],
    count: usize,
}

impl<T: Copy> Places<T> {
    /// None, each being `none`.
    #[inline(always)]
    pub fn none(none: T) -> Self {
        Self {
            all: [none; MAX_PLACES],
            count: 0,
        }
    }

    /// Stores what `of` says of each slot of a stage.
    #[inline(always)]
    pub fn set(&mut self, stage: &Stage, of: impl Fn(&Slot) -> T) {
        let inputs = stage.pieces.iter().flat_map(|piece| &piece.inputs);
        let inputs = inputs.map(|input| &input.slot);
        let slots = stage.reads.iter().chain(&stage.writes).chain(inputs);
        self.count = 0;
        for (to, slot) in self.all.iter_mut().zip(slots) {
            *to = of(slot);
            self.count += 1;
        }
    }
}

/// A stage, and where its row is in every slot and input.
pub struct OneRow<'a, E: Element> {
    stage: &'a Stage,
    weights: &'a Packed<E>,
    parameters: &'a [E],
    /// They are stored where they are used: a copy of them would wait for each to be written.
    pub places: Places<*mut E>,
    /// Whether there are products of other steps' rows.
    products: bool,
}

/// What a block of units has. Where the compiler knows these numbers, the sums stay in registers.
#[derive(Clone, Copy)]
struct Size {
    /// Sums of a unit.
    sums: usize,
    /// Those that a product adds to.
    groups: usize,
    /// Vectors of units.
    vectors: usize,
    /// Units of the last one.
    last: usize,
}

impl<'a, E: Element> OneRow<'a, E> {
    /// A stage whose places are yet to be said; without the products of other steps' rows where it says so.
    #[inline(always)]
    pub fn new(
        (stage, weights, parameters): (&'a Stage, &'a Packed<E>, &'a [E]),
        products: bool,
    ) -> Self {
        Self {
            stage,
            weights,
            parameters,
            places: Places::none(std::ptr::null_mut()),
            products,
        }
    }

    /// Takes the row at these elements of a memory.
    #[inline(always)]
    pub fn point(&mut self, places: &Places<usize>, memory: *mut E) {
        let all = self.places.all.iter_mut().zip(&places.all);
        for (to, &place) in all.take(places.count) {
            *to = memory.wrapping_add(place);
        }
    }

    /// Goes on to the row of the next step, which is so far behind.
    #[inline(always)]
    pub fn advance(&mut self, strides: &Places<usize>) {
        let places = self.places.all.iter_mut().zip(&strides.all);
        for (place, &stride) in places.take(strides.count) {
            *place = place.wrapping_add(stride);
        }
    }

    /// Where the slots are that it reads.
    #[inline(always)]
    fn reads(&self) -> &[*mut E] {
        &self.places.all[..self.stage.reads.len()]
    }

    /// Where those are that it writes.
    #[inline(always)]
    fn writes(&self) -> &[*mut E] {
        &self.places.all[self.stage.reads.len()..][..self.stage.writes.len()]
    }

    /// Computes some blocks of units. `number` is that of the stage.
    ///
    /// # Safety
    /// - The slots' and inputs' elements must be readable, and the blocks' units of what is written this thread's.
    #[inline(always)]
    pub unsafe fn run<S: Math<E>, U: Units<E>>(
        &self,
        token: S,
        units: &U,
        number: usize,
        blocks: Range<usize>,
    ) {
        // SAFETY: the caller's obligations.
        unsafe {
            match self.stage.fused {
                Some(fused) => self.run_fused(token, fused, blocks),
                None => self.run_sums(token, units, number, blocks),
            }
        }
    }

    /// Computes some blocks of units whose sums the cell takes.
    ///
    /// # Safety
    /// - As for [`Self::run`].
    #[inline(always)]
    unsafe fn run_sums<S: Math<E>, U: Units<E>>(
        &self,
        token: S,
        units: &U,
        number: usize,
        blocks: Range<usize>,
    ) {
        if U::HAS_USUAL
            && let Some(usual) = units.usual()
        {
            // SAFETY: the caller's obligations.
            return unsafe { self.run_blocks(token, &usual, number, blocks) };
        }
        token.vectorize(AnyBlocks {
            row: self,
            token,
            activations: units.activations(number),
            apply: &|sums, unit| {
                token.vectorize(ApplyUnits {
                    units,
                    token,
                    stage: number,
                    sums,
                    unit,
                });
            },
            blocks,
        });
    }

    /// The products.
    #[inline(always)]
    fn products(&self) -> impl Iterator<Item = Operands<'_, E>> {
        let mut rows = &self.places.all[self.stage.reads.len() + self.stage.writes.len()..];
        let pieces = self.stage.pieces.iter().map(move |piece| {
            let (own, rest) = rows.split_at(piece.inputs.len());
            rows = rest;
            (piece, own)
        });
        let pieces = pieces.filter(|(piece, _)| self.products || !piece.is_recurrent);
        pieces.map(|(piece, rows)| Operands::new(piece, rows, self.weights))
    }

    /// Computes some vectors of the sums of a product, from the `panel`-th panel on: from `start` on, to `c`.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the start must be readable, and `c` writable.
    #[inline(always)]
    unsafe fn multiply<S: Math<E>>(
        &self,
        token: S,
        product: Option<&Operands<'_, E>>,
        panel: usize,
        (start, end): (TileStart<E>, TileEnd<E>),
        (c, vectors, last): (*mut E, usize, usize),
    ) {
        let tile = Tile {
            left: product.map_or(&[], |product| product.lefts()),
            right: product.map_or(std::ptr::null(), |product| product.right(panel)),
            panel: self.weights.panel_stride(),
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
                Start::Read(index) => TileStart::Row(self.reads()[index].wrapping_add(unit)),
            };
            let ending = match fused {
                Fused::Activate(activation) => TileEnd::Activate(activation),
                Fused::TimesDerivative(activation) => TileEnd::TimesDerivative {
                    activation,
                    values: self.reads()[0].wrapping_add(unit),
                    stride: 0,
                },
            };
            let c = self.writes()[0].wrapping_add(unit);
            let panel = unit / (S::LANES * S::TILE_VECTORS);
            // SAFETY: the caller's obligations; the last vector is read and written up to the last unit only.
            unsafe {
                let product = self.products().next();
                self.multiply(
                    token,
                    product.as_ref(),
                    panel,
                    (start, ending),
                    (c, vectors, last),
                );
            }
            unit += (vectors * S::LANES).next_multiple_of(width);
        }
    }

    /// The size of a block.
    #[inline(always)]
    fn size<S: Math<E>>(&self, block: usize) -> Size {
        let weights = self.weights;
        let vectors = weights.vectors(block);
        let units = (weights.units() - block * weights.width()).min(weights.width());
        Size {
            sums: self.stage.starts.len(),
            groups: weights.groups(),
            vectors,
            last: units - (vectors - 1) * S::LANES,
        }
    }

    /// [`Self::run_sums`] of one form of the cell.
    ///
    /// # Safety
    /// - As there.
    #[inline(always)]
    unsafe fn run_blocks<S: Math<E>, C: Units<E>>(
        &self,
        token: S,
        cell: &C,
        number: usize,
        blocks: Range<usize>,
    ) {
        let activations = cell.activations(number);
        for block in blocks {
            let size = self.size::<S>(block);
            // SAFETY: the caller's obligations.
            unsafe {
                if S::HAS_SHORT_CUTS
                    && let Some((sums, groups)) = C::SUMS
                    && (sums, groups, 0) == (size.sums, size.groups, number)
                {
                    let size = Size {
                        sums,
                        groups,
                        ..size
                    };
                    let activations = cell.activations(0);
                    let cell = Inline {
                        units: cell,
                        token,
                        stage: 0,
                    };
                    if (size.vectors, size.last) == (S::TILE_VECTORS, S::LANES) {
                        let (vectors, last) = (S::TILE_VECTORS, S::LANES);
                        let size = Size {
                            vectors,
                            last,
                            ..size
                        };
                        self.run_block::<S, true>(token, activations, &cell, block, size);
                        continue;
                    }
                    if size.vectors == 1 {
                        let size = Size { vectors: 1, ..size };
                        self.run_block::<S, true>(token, activations, &cell, block, size);
                        continue;
                    }
                }
                let cell = Inline {
                    units: cell,
                    token,
                    stage: number,
                };
                self.run_block::<S, false>(token, activations, &cell, block, size);
            }
        }
    }

    /// Computes a block of units, of a size that the compiler may know.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the size must be the block's.
    #[inline(always)]
    unsafe fn run_block<S: Math<E>, const IS_KNOWN: bool>(
        &self,
        token: S,
        activations: [Activation; MAX_SUMS],
        cell: &impl TakeSums<E, S>,
        block: usize,
        size: Size,
    ) {
        const {
            assert!(size_of::<S::Vector>() == S::LANES * size_of::<E>());
            assert!(S::TILE_VECTORS * MAX_SUMS <= MAX_VECTORS);
        }
        let stage = self.stage;
        let Size {
            groups, vectors, ..
        } = size;
        let first = block * self.weights.width();
        let count = |vector: usize| match vector == vectors - 1 {
            true => size.last,
            false => S::LANES,
        };
        let mut sums = [token.splat(E::ZERO); MAX_VECTORS];
        for (sum, start) in stage.starts.iter().enumerate().take(size.sums) {
            let from = match *start {
                Start::Zero => continue,
                Start::Parameters(row) => self.parameters.as_ptr().wrapping_add(row),
                Start::Read(index) => self.reads()[index].cast_const(),
            };
            for vector in 0..vectors {
                let from = from.wrapping_add(first + vector * S::LANES);
                // SAFETY: the units are the weights', of which every start has as many.
                sums[sum * vectors + vector] = unsafe { load(token, from, count(vector)) };
            }
        }
        for product in self.products() {
            let mut done = 0;
            while done < groups * vectors {
                let some = (groups * vectors - done).min(most_vectors::<E, S>(1));
                let panel = block * groups + done / S::TILE_VECTORS;
                // SAFETY: the caller's obligations. A vector is as many elements as lanes, and the panels of a block follow each
                // other.
                unsafe {
                    if IS_KNOWN {
                        // The first sum is one of few, each of which the compiler knows.
                        for first_sum in 0..=size.sums - groups {
                            if first_sum == product.piece.first_sum {
                                let first = first_sum * vectors + done;
                                product.add_to(token, &mut sums, first, some, panel);
                            }
                        }
                    } else {
                        let own = &mut sums[product.piece.first_sum * vectors + done..][..some];
                        let c = own.as_mut_ptr().cast::<E>();
                        let ends = (TileStart::Row(c), TileEnd::Activate(Activation::Linear));
                        self.multiply(token, Some(&product), panel, ends, (c, some, S::LANES));
                    }
                }
                done += some;
            }
        }
        for (sum, activation) in activations.into_iter().enumerate() {
            if !matches!(activation, Activation::Linear) {
                for sum in &mut sums[sum * vectors..][..vectors] {
                    *sum = activate(token, activation, *sum);
                }
            }
        }
        let slots = (self.reads(), self.writes());
        for vector in 0..vectors {
            let mut values = [token.splat(E::ZERO); MAX_SUMS];
            for (sum, value) in values.iter_mut().enumerate() {
                // What is behind the last sum is not looked at.
                *value = sums[sum * vectors + vector];
            }
            let unit = first + vector * S::LANES;
            // SAFETY: the caller's obligations.
            let unit = unsafe { Unit::new(token, slots, unit, 0, count(vector)) };
            cell.take(values, &unit);
        }
    }
}

/// Blocks of units of the only row of a step, whose sums the cell takes.
pub struct RowBlocks<'a, 'b, E: Element, U> {
    pub row: &'a OneRow<'b, E>,
    pub units: &'a U,
    pub number: usize,
    pub blocks: Range<usize>,
}

impl<E: Element, U: Units<E>> Kernel<E> for RowBlocks<'_, '_, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // SAFETY: `Sweep::run_blocks` has been promised the row and the blocks.
        unsafe {
            self.row
                .run_sums(token, self.units, self.number, self.blocks);
        }
    }
}

/// The same of a cell that is a call.
struct AnyBlocks<'a, 'b, E: Element, T: Math<E>> {
    row: &'a OneRow<'b, E>,
    token: T,
    activations: [Activation; MAX_SUMS],
    apply: Apply<'a, E, T>,
    blocks: Range<usize>,
}

impl<E: Element, T: Math<E>> Kernel<E> for AnyBlocks<'_, '_, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let (row, token) = (self.row, self.token);
        for block in self.blocks {
            let size = row.size::<T>(block);
            let cell = ByCall(self.apply);
            // SAFETY: `OneRow::run_sums` has been promised the row and the blocks.
            unsafe { row.run_block::<T, false>(token, self.activations, &cell, block, size) };
        }
    }
}

/// The operands of a product.
struct Operands<'a, E: Element> {
    piece: &'a Piece,
    weights: &'a Packed<E>,
    lefts: [Left<E>; MAX_INPUTS],
}

impl<'a, E: Element> Operands<'a, E> {
    #[inline(always)]
    fn new(piece: &'a Piece, rows: &[*mut E], weights: &'a Packed<E>) -> Self {
        let mut lefts = [Left::NONE; MAX_INPUTS];
        for ((left, input), &row) in lefts.iter_mut().zip(&piece.inputs).zip(rows) {
            *left = Left {
                data: row,
                row_stride: 0,
                depth_stride: 1,
                depth: input.depth,
                ..Left::NONE
            };
        }
        Self {
            piece,
            weights,
            lefts,
        }
    }

    /// The left operand.
    #[inline(always)]
    fn lefts(&self) -> &[Left<E>] {
        &self.lefts[..self.piece.inputs.len()]
    }

    /// What it meets of a panel.
    #[inline(always)]
    fn right(&self, panel: usize) -> *const E {
        let weights = self.weights;
        let right = panel * weights.panel_stride() + self.piece.depth * weights.width();
        weights.data().as_ptr().wrapping_add(right)
    }

    /// Adds the product to so many vectors of sums, from the `first`-th on; in registers, where both numbers are known.
    ///
    /// # Safety
    /// - The elements of the left operand must be readable, and there must be the panels.
    #[inline(always)]
    unsafe fn add_to<S: Math<E>>(
        &self,
        token: S,
        sums: &mut [S::Vector; MAX_VECTORS],
        first: usize,
        vectors: usize,
        panel: usize,
    ) {
        let (right, stride) = (self.right(panel), self.weights.panel_stride());
        macro_rules! choose {
            ($($vectors:literal),*) => {
                match vectors {
                    $($vectors => {
                        let own: [_; $vectors] = from_fn(|vector| sums[first + vector]);
                        // SAFETY: the caller's obligations.
                        let [own] = unsafe { accumulate(token, [own], self.lefts(), right, stride) };
                        sums[first..first + $vectors].copy_from_slice(&own);
                    })*
                    _ => unreachable!("no tile of {vectors} vectors"),
                }
            };
        }
        choose!(1, 2, 3, 4, 5, 6, 7, 8);
    }
}
