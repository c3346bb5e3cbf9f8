//! A stage for some rows of a step.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::one_row::OneRow;
use super::stage::{Fused, MAX_INPUTS, MAX_SLOTS, MAX_SUMS, Piece, Slot, Stage, Start};
use super::units::{Apply, ApplyUnits, ByCall, Inline, TakeSums, Unit, Units};
use super::{MAX_BANDS, Rows, TimeStep};
use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::activate;
use crate::kernels::pack::Packed;
use crate::kernels::tile::{Left, Line, Tile, TileEnd, TileRows, TileStart, load, most_vectors};
use crate::simd::{Kernel, Math, prefetch};

/// Rows that a slot has at some rows of a step.
#[derive(Clone, Copy, Debug)]
struct SlotRows<E> {
    first: *mut E,
    stride: usize,
}

impl<E> SlotRows<E> {
    const NONE: Self = Self {
        first: std::ptr::null_mut(),
        stride: 0,
    };
}

/// The rows of what a stage reads and writes.
#[derive(Clone, Copy, Debug)]
struct Slots<'a, E> {
    reads: &'a [SlotRows<E>],
    writes: &'a [SlotRows<E>],
}

/// Rows ahead of the one that a cell works at, of which it asks for what it will read and write. What training keeps comes from
/// the last cache, in steps that are too large for a core's own prefetchers.
const ROWS_AHEAD: usize = 4;

impl<E> Slots<'_, E> {
    /// Stores where the slots' elements of a row are, from a unit on. A call, which is compiled for no tier: vectors of pointers are
    /// stored under a mask, and reading one of them waits for all that came before (forward passes of LSTM 8 took 1.3 times as
    /// long on an Intel Xeon with AVX-512).
    #[inline(never)]
    fn point(&self, row: usize, unit: usize, reads: &mut [*mut E], writes: &mut [*mut E]) {
        for (slots, to) in [(self.reads, reads), (self.writes, writes)] {
            for (slot, to) in slots.iter().zip(to) {
                *to = slot.first.wrapping_add(row * slot.stride + unit);
            }
        }
    }

    /// Asks for the lines of each slot that have so many units of a row, from one on.
    #[inline(never)]
    fn fetch(&self, row: usize, unit: usize, units: usize) {
        for slot in self.reads.iter().chain(self.writes) {
            let first = slot.first.wrapping_add(row * slot.stride + unit);
            for at in (0..units).step_by(size_of::<Line>() / size_of::<E>()) {
                prefetch(first.wrapping_add(at));
            }
        }
    }
}

/// A stage for some rows of a step.
#[derive(Clone, Copy)]
pub struct Sweep<'a, E: Element> {
    stage: &'a Stage,
    weights: &'a Packed<E>,
    parameters: &'a [E],
    step: &'a TimeStep,
    bands: &'a [Rows<E>; MAX_BANDS],
}

/// Bytes of the sums that lie in the cache at a time. The panels of a block of units are read once for all of their rows.
const SUM_BYTES: usize = 24 << 10;

/// Vectors that the sums of a row have in a block of units: a panel's for each.
#[inline(always)]
const fn sum_vectors<E: Element, S: Math<E>>() -> usize {
    S::TILE_VECTORS * MAX_SUMS
}

impl<'a, E: Element> Sweep<'a, E> {
    #[inline(always)]
    pub fn new(
        (stage, weights, parameters): (&'a Stage, &'a Packed<E>, &'a [E]),
        bands: &'a [Rows<E>; MAX_BANDS],
        step: &'a TimeStep,
    ) -> Self {
        Self {
            stage,
            weights,
            parameters,
            step,
            bands,
        }
    }

    /// The rows of some slots, which are stored in `to`. Being the same for all tiers and cells, it is a call.
    #[inline(never)]
    fn all_rows<'b>(
        &self,
        slots: &[Slot],
        to: &'b mut [SlotRows<E>; MAX_SLOTS],
    ) -> &'b [SlotRows<E>] {
        let to = &mut to[..slots.len()];
        for (to, slot) in to.iter_mut().zip(slots) {
            *to = self.rows(slot);
        }
        to
    }

    /// The rows of a slot.
    #[inline(always)]
    fn rows(&self, slot: &Slot) -> SlotRows<E> {
        let Rows { data, stride, lead } = self.bands[slot.band];
        SlotRows {
            first: data.wrapping_add(self.step.row(slot.row, lead) * stride + slot.start),
            stride,
        }
    }

    /// The left operand of a piece.
    #[inline(always)]
    fn left(&self, piece: &Piece) -> [Left<E>; MAX_INPUTS] {
        let mut lefts = [Left::NONE; MAX_INPUTS];
        for (left, input) in lefts.iter_mut().zip(&piece.inputs) {
            let SlotRows { first, stride } = self.rows(&input.slot);
            *left = Left {
                data: first,
                row_stride: stride,
                depth_stride: 1,
                depth: input.depth,
                ..Left::NONE
            };
        }
        lefts
    }

    /// The products of these rows.
    #[inline(always)]
    fn pieces(&self) -> impl Iterator<Item = &'a Piece> {
        let products = self.step.products;
        let pieces = self.stage.pieces.iter();
        pieces.filter(move |piece| products || !piece.is_recurrent)
    }

    /// Where a piece's part of a panel begins.
    #[inline(always)]
    fn right(&self, piece: &Piece, panel: usize) -> *const E {
        let weights = self.weights;
        let data = weights.data().as_ptr();
        data.wrapping_add(panel * weights.panel_stride() + piece.depth * weights.width())
    }

    /// Computes some blocks of units. `number` is that of the stage.
    ///
    /// # Safety
    /// - The stage's slots must lie in their bands at the rows of the step, and nobody else may touch the blocks' units of them.
    #[inline(always)]
    pub unsafe fn run_blocks<S: Math<E>, U: Units<E>>(
        &self,
        token: S,
        units: &U,
        number: usize,
        blocks: Range<usize>,
    ) {
        match self.stage.fused {
            Some(fused) => token.vectorize(FusedBlocks {
                sweep: self,
                fused,
                blocks,
            }),
            // SAFETY: the caller's obligations.
            None if self.step.rows == 1 => unsafe { self.row().run(token, units, number, blocks) },
            // SAFETY: the caller's obligations.
            None => unsafe { self.run(token, units, number, blocks) },
        }
    }

    /// The stage for the only row of a step.
    #[inline(always)]
    pub fn row(&self) -> OneRow<'a, E> {
        let operands = (self.stage, self.weights, self.parameters);
        let mut row = OneRow::new(operands, self.step.products);
        row.places.set(self.stage, |slot| self.rows(slot).first);
        row
    }

    /// Computes some blocks of units whose only sum the tile finishes.
    ///
    /// # Safety
    /// - As for [`Self::run_blocks`].
    #[inline(always)]
    unsafe fn run_fused<S: Math<E>>(&self, token: S, fused: Fused, blocks: Range<usize>) {
        let stage = self.stage;
        let (width, units) = (self.weights.width(), self.weights.units());
        let tiles = TileRows::new(self.step.rows, S::TILE_ROWS);
        let most = most_vectors::<E, S>(self.step.rows);
        let end = (blocks.end * width).min(units);
        let write = self.rows(&stage.writes[0]);
        let read = |index: usize| self.rows(&stage.reads[index]);
        let piece = self.pieces().next();
        let lefts = piece.map_or([Left::NONE; MAX_INPUTS], |piece| self.left(piece));
        let inputs = piece.map_or(0, |piece| piece.inputs.len());
        let mut unit = blocks.start * width;
        while unit < end {
            let vectors = (end - unit).div_ceil(S::LANES).min(most);
            let last = (end - unit).min(vectors * S::LANES) - (vectors - 1) * S::LANES;
            let panel = unit / (S::LANES * S::TILE_VECTORS);
            let right = piece.map_or(std::ptr::null(), |piece| self.right(piece, panel));
            let mut row = 0;
            for tile in 0..tiles.count {
                let rows = tiles.rows(tile);
                let lefts = lefts.map(|left| left.at_row(row));
                // SAFETY: the rows are the step's, and the units of the blocks, of which the last vector is read and
                // written up to the last unit only. In the weights every panel is whole and as wide as the tier's.
                unsafe {
                    let tile = Tile {
                        left: &lefts[..inputs],
                        right,
                        panel: self.weights.panel_stride(),
                        start: match stage.starts[0] {
                            Start::Zero => TileStart::Zero,
                            Start::Parameters(first) => {
                                TileStart::Row(self.parameters.as_ptr().add(first + unit))
                            }
                            Start::Read(index) => {
                                let SlotRows { first, stride } = read(index);
                                TileStart::Rows(first.add(row * stride + unit), stride)
                            }
                        },
                        end: match fused {
                            Fused::Activate(activation) => TileEnd::Activate(activation),
                            Fused::TimesDerivative(activation) => {
                                let SlotRows { first, stride } = read(0);
                                TileEnd::TimesDerivative {
                                    activation,
                                    values: first.add(row * stride + unit),
                                    stride,
                                }
                            }
                        },
                        c: write.first.add(row * write.stride + unit),
                        c_stride: write.stride,
                        last,
                    };
                    tile.run(token, rows, vectors);
                }
                row += rows;
            }
            unit += (vectors * S::LANES).next_multiple_of(width);
        }
    }

    /// Computes some blocks of units, whose sums the cell takes.
    ///
    /// # Safety
    /// - As for [`Self::run_blocks`].
    #[inline(always)]
    unsafe fn run<S: Math<E>, U: Units<E>>(
        &self,
        token: S,
        units: &U,
        number: usize,
        blocks: Range<usize>,
    ) {
        let tiles = TileRows::new(self.step.rows, S::TILE_ROWS);
        // Groups of tiles, none of which has many fewer than another.
        let most = SUM_BYTES / (sum_vectors::<E, S>() * size_of::<S::Vector>()) / S::TILE_ROWS;
        let groups = tiles.count.div_ceil(most);
        let mut memory = MaybeUninit::<[Line; SUM_BYTES / size_of::<Line>()]>::uninit();
        let mut slots = [[SlotRows::NONE; MAX_SLOTS]; 2];
        let [reads, writes] = &mut slots;
        let slots = Slots {
            reads: self.all_rows(&self.stage.reads, reads),
            writes: self.all_rows(&self.stage.writes, writes),
        };
        let sums = Sums::<E> {
            first: memory.as_mut_ptr().cast(),
            vectors: sum_vectors::<E, S>(),
            lanes: S::LANES,
        };
        for block in blocks {
            let mut row = 0;
            for group in 0..groups {
                let some = tiles.count * group / groups..tiles.count * (group + 1) / groups;
                let heights = some.clone().map(|tile| tiles.rows(tile));
                let rows = row..row + heights.sum::<usize>();
                row = rows.end;
                let part = SomeRows {
                    sweep: self,
                    slots,
                    sums,
                    block,
                    rows,
                    tiles: (tiles, some),
                };
                if U::HAS_USUAL
                    && let Some(usual) = units.usual()
                {
                    part.run(token, &usual, number);
                } else {
                    part.run(token, units, number);
                }
            }
        }
    }
}

/// Blocks of units whose only sum the tile finishes. What a kernel of its own has is the same code for all cells.
struct FusedBlocks<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    fused: Fused,
    blocks: Range<usize>,
}

impl<E: Element> Kernel<E> for FusedBlocks<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // SAFETY: `Sweep::run_blocks` has been promised these blocks.
        unsafe { self.sweep.run_fused(token, self.fused, self.blocks) };
    }
}

/// Some rows of a step, at a block of units.
struct SomeRows<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    slots: Slots<'a, E>,
    /// Room for the sums of as many rows.
    sums: Sums<E>,
    block: usize,
    rows: Range<usize>,
    /// The tiles of all rows, and which of them are those of these.
    tiles: (TileRows, Range<usize>),
}

impl<E: Element> SomeRows<'_, E> {
    /// Computes them. `number` is that of the stage.
    #[inline(always)]
    fn run<S: Math<E>, U: Units<E>>(&self, token: S, units: &U, number: usize) {
        token.vectorize(MakeSums {
            part: self,
            activations: units.activations(number),
        });
        if U::IS_CALL {
            token.vectorize(HandSums {
                part: self,
                token,
                apply: &|sums: &[S::Vector; MAX_SUMS], unit: &Unit<'_, E, S>| {
                    token.vectorize(ApplyUnits {
                        units,
                        token,
                        stage: number,
                        sums,
                        unit,
                    });
                },
            });
        } else {
            token.vectorize(HandSumsInline {
                part: self,
                units,
                number,
            });
        }
    }
}

/// The sums of some rows, and activation functions of them.
struct MakeSums<'a, 'b, E: Element> {
    part: &'a SomeRows<'b, E>,
    activations: [Activation; MAX_SUMS],
}

impl<E: Element> Kernel<E> for MakeSums<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // SAFETY: `Sweep::run` only makes parts of its rows and blocks, for which it has been promised all this, and gives them
        // room for as many tiles.
        unsafe {
            self.part.start(token);
            self.part.multiply(token);
            self.part.activate(token, self.activations);
        }
    }
}

impl<E: Element> SomeRows<'_, E> {
    /// Starts the sums.
    ///
    /// # Safety
    /// - The rows must be the step's and the block the weights'; there must be room for the sums.
    #[inline(always)]
    unsafe fn start<S: Math<E>>(&self, token: S) {
        let Self {
            sums, block, rows, ..
        } = self;
        let Sweep {
            stage,
            weights,
            parameters,
            ..
        } = *self.sweep;
        let vectors = weights.vectors(*block);
        let row_stride = sum_vectors::<E, S>() * S::LANES;
        for (sum, start) in stage.starts.iter().enumerate() {
            for vector in 0..vectors {
                let unit = block * weights.width() + vector * S::LANES;
                let count = (weights.units() - unit).min(S::LANES);
                let to = sums.at(0, sum * vectors + vector);
                // SAFETY: the unit is one of the weights', of which every start has as many; there is room for the rows.
                unsafe {
                    let value = match *start {
                        Start::Read(index) => {
                            let SlotRows {
                                first: from,
                                stride,
                            } = self.slots.reads[index];
                            for (index, row) in rows.clone().enumerate() {
                                let from = from.add(row * stride + unit);
                                token.store(load(token, from, count), to.add(index * row_stride));
                            }
                            continue;
                        }
                        Start::Zero => token.splat(E::ZERO),
                        Start::Parameters(first) => {
                            load(token, parameters.as_ptr().add(first + unit), count)
                        }
                    };
                    for index in 0..rows.len() {
                        token.store(value, to.add(index * row_stride));
                    }
                }
            }
        }
    }

    /// Adds the products of all pieces to the sums.
    ///
    /// # Safety
    /// - As for [`Self::start`].
    #[inline(always)]
    unsafe fn multiply<S: Math<E>>(&self, token: S) {
        let Self {
            sweep, sums, block, ..
        } = *self;
        let weights = sweep.weights;
        let (groups, vectors) = (weights.groups(), weights.vectors(block));
        let most = most_vectors::<E, S>(sweep.step.rows);
        let (tiles, some) = &self.tiles;
        for piece in sweep.pieces() {
            let lefts = sweep.left(piece);
            let mut done = 0;
            while done < groups * vectors {
                let count = most.min(groups * vectors - done);
                let right = sweep.right(piece, block * groups + done / S::TILE_VECTORS);
                let mut row = 0;
                for rows in some.clone().map(|tile| tiles.rows(tile)) {
                    let lefts = lefts.map(|left| left.at_row(self.rows.start + row));
                    let c = sums.at(row, piece.first_sum * vectors + done);
                    let c_stride = sum_vectors::<E, S>() * S::LANES;
                    // SAFETY: the rows are the step's; panels are whole, and those of the block follow each other.
                    unsafe {
                        let tile = Tile {
                            left: &lefts[..piece.inputs.len()],
                            right,
                            panel: weights.panel_stride(),
                            start: TileStart::Rows(c, c_stride),
                            end: TileEnd::Activate(Activation::Linear),
                            c,
                            c_stride,
                            last: S::LANES,
                        };
                        tile.run(token, rows, count);
                    }
                    row += rows;
                }
                done += count;
            }
        }
    }

    /// Applies the activation function of each sum.
    ///
    /// # Safety
    /// - The sums must be there.
    #[inline(always)]
    unsafe fn activate<S: Math<E>>(&self, token: S, activations: [Activation; MAX_SUMS]) {
        let (count, vectors) = (
            self.sweep.stage.starts.len(),
            self.sweep.weights.vectors(self.block),
        );
        for (sum, activation) in activations.into_iter().take(count).enumerate() {
            let (first, rows, sums) = (sum * vectors, self.rows.len(), self.sums);
            // Each of the usual ones has a loop of its own.
            // SAFETY: the caller's obligation.
            unsafe {
                match activation {
                    Activation::Linear => {}
                    Activation::Sigmoid => {
                        sums.activate(token, Activation::Sigmoid, rows, first, vectors);
                    }
                    Activation::Tanh => {
                        sums.activate(token, Activation::Tanh, rows, first, vectors);
                    }
                    other => sums.activate(token, other, rows, first, vectors),
                }
            }
        }
    }
}

/// The sums of some rows on their way to a cell that is a call.
struct HandSums<'a, 'b, E: Element, T: Math<E>> {
    part: &'a SomeRows<'b, E>,
    token: T,
    apply: Apply<'a, E, T>,
}

impl<E: Element, T: Math<E>> Kernel<E> for HandSums<'_, '_, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        self.part.take(self.token, &ByCall(self.apply));
    }
}

/// The sums of some rows on their way to a cell.
struct HandSumsInline<'a, 'b, E: Element, U> {
    part: &'a SomeRows<'b, E>,
    units: &'a U,
    number: usize,
}

impl<E: Element, U: Units<E>> Kernel<E> for HandSumsInline<'_, '_, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let Self {
            units,
            number: stage,
            ..
        } = self;
        let cell = Inline {
            units,
            token,
            stage,
        };
        self.part.take(token, &cell);
    }
}

impl<E: Element> SomeRows<'_, E> {
    /// Hands the sums of each row and vector of units on.
    #[inline(always)]
    fn take<S: Math<E>>(&self, token: S, cell: &impl TakeSums<E, S>) {
        let Self {
            sweep,
            slots,
            sums,
            block,
            ref rows,
            ..
        } = *self;
        let weights = sweep.weights;
        let (count, vectors) = (sweep.stage.starts.len(), weights.vectors(block));
        let first = block * weights.width();
        let mut pointers = [[std::ptr::null_mut(); MAX_SLOTS]; 2];
        let [reads, writes] = &mut pointers;
        let reads = &mut reads[..slots.reads.len()];
        let writes = &mut writes[..slots.writes.len()];
        for (index, row) in rows.clone().enumerate() {
            slots.point(row, first, reads, writes);
            slots.fetch(row + ROWS_AHEAD, first, weights.width());
            for vector in 0..vectors {
                let mut values = [token.splat(E::ZERO); MAX_SUMS];
                for (sum, value) in values.iter_mut().enumerate().take(count) {
                    // SAFETY: `MakeSums` has stored the sums of all rows and vectors.
                    *value = unsafe { token.load(sums.at(index, sum * vectors + vector)) };
                }
                let unit = vector * S::LANES;
                let count = (weights.units() - first - unit).min(S::LANES);
                // SAFETY: `Sweep::run` has been promised the block's units of the slots at the rows of the step.
                let unit = unsafe { Unit::new(token, (reads, writes), unit, first, count) };
                cell.take(values, &unit);
            }
        }
    }
}

/// The sums of some rows: vector by vector.
#[derive(Clone, Copy)]
struct Sums<E> {
    first: *mut E,
    /// Of a row.
    vectors: usize,
    lanes: usize,
}

impl<E> Sums<E> {
    #[inline(always)]
    fn at(&self, row: usize, vector: usize) -> *mut E {
        self.first
            .wrapping_add((row * self.vectors + vector) * self.lanes)
    }

    /// Applies an activation function to some vectors of each row, from `first` on.
    ///
    /// # Safety
    /// - There must be as many rows, and vectors of each.
    #[inline(always)]
    unsafe fn activate<S: Math<E>>(
        &self,
        token: S,
        activation: Activation,
        rows: usize,
        first: usize,
        vectors: usize,
    ) where
        E: Element,
    {
        // The longer loop inside: its constants stay in registers.
        for vector in first..first + vectors {
            for row in 0..rows {
                let at = self.at(row, vector);
                // SAFETY: the caller allows these vectors.
                unsafe { token.store(activate(token, activation, token.load(at)), at) };
            }
        }
    }
}
