//! A stage of a step that has one row, as every step of a stream has. The sums of a block of units are a tile or two, whose
//! results the cell takes from where they are: nothing is laid out for many rows, of which it would be the only one.

use std::array::from_fn;
use std::ops::Range;
use std::slice::from_raw_parts_mut;

use super::stage::{Fused, MAX_INPUTS, MAX_PIECES, MAX_SLOTS, MAX_SUMS, Piece, Slot, Stage, Start};
use super::units::{Apply, ApplyUnits, ByCall, Inline, TakeSums, Unit, Units};
use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::{Activate, activate};
use crate::kernels::pack::Packed;
use crate::kernels::tile::{
    Left, Tile, TileEnd, TileStart, accumulate, load, load_row, most_vectors, store_row,
};
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

/// Runs a block for each number below another one, of four at most, as many copies of it: in a loop, what is indexed by it
/// would have to be in memory.
macro_rules! for_each_of_four {
    ($index:ident < $count:expr, $body:block) => {
        const { assert!(MAX_SUMS == 4) };
        for_each_of_four!(@ $index < $count, $body, 0, 1, 2, 3);
    };
    (@ $index:ident < $count:expr, $body:block, $($number:literal),*) => {
        $(if $number < $count {
            const $index: usize = $number;
            $body
        })*
    };
}

/// What a block of units has.
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
        // Both are kernels of their own: inline they would be compiled once for each kernel that has a row.
        match self.stage.fused {
            Some(Fused::Activate(activation)) => token.vectorize(FusedRow {
                row: self,
                activation,
                blocks,
            }),
            Some(Fused::TimesDerivative(_)) => unreachable!("no row goes back alone"),
            None => token.vectorize(RowBlocks {
                row: self,
                units,
                number,
                blocks,
            }),
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

    /// The products, and where the rows of their inputs are.
    #[inline(always)]
    fn products(&self) -> impl Iterator<Item = (&'a Piece, &[*mut E])> {
        let mut rows = &self.places.all[self.stage.reads.len() + self.stage.writes.len()..];
        let pieces = self.stage.pieces.iter().map(move |piece| {
            let (own, rest) = rows.split_at(piece.inputs.len());
            rows = rest;
            (piece, own)
        });
        pieces.filter(|(piece, _)| self.products || !piece.is_recurrent)
    }

    /// What a product meets of a panel.
    #[inline(always)]
    fn right(&self, piece: &Piece, panel: usize) -> *const E {
        let weights = self.weights;
        let right = panel * weights.panel_stride() + piece.depth * weights.width();
        weights.data().as_ptr().wrapping_add(right)
    }

    /// Where a sum of the units starts, from a unit on; None: at 0.
    #[inline(always)]
    fn start(&self, sum: usize, unit: usize) -> Option<*const E> {
        let from = match self.stage.starts[sum] {
            Start::Zero => return None,
            Start::Parameters(row) => self.parameters.as_ptr().wrapping_add(row),
            Start::Read(index) => self.reads()[index].cast_const(),
        };
        Some(from.wrapping_add(unit))
    }

    /// Computes `VECTORS` vectors of units whose only sum is finished in its register.
    ///
    /// # Safety
    /// - As for [`Self::run`]; there must be these units, `last` of them in the last vector.
    #[inline(always)]
    unsafe fn run_fused<S: Math<E>, const VECTORS: usize>(
        &self,
        token: S,
        activation: Activation,
        unit: usize,
        last: usize,
    ) {
        const { assert!(size_of::<S::Vector>() == S::LANES * size_of::<E>()) };
        let mut sums = [token.splat(E::ZERO); VECTORS];
        // SAFETY: the caller's obligations; of the last vector as many elements are read and written as there are units. A vector is
        // as many elements as lanes.
        unsafe {
            if let Some(start) = self.start(0, unit) {
                sums = load_row(token, start, last);
            }
            for product in self.products() {
                let panel = unit / (S::LANES * S::TILE_VECTORS);
                sums = self.add_product(token, product, sums, panel);
            }
            match activation {
                Activation::Linear => {}
                // The next step waits for it.
                Activation::Tanh if S::HAS_SHORT_CUTS && VECTORS <= 4 => {
                    sums = sums.map(|sum| token.tanh(sum));
                }
                _ => {
                    let mut memory = sums;
                    let values = memory.as_mut_ptr().cast::<E>();
                    let values = from_raw_parts_mut(values, VECTORS * S::LANES);
                    token.vectorize(Activate { activation, values });
                    sums = memory;
                }
            }
            store_row(token, &sums, self.writes()[0].wrapping_add(unit), last);
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
        let mut block = blocks.start;
        while block < blocks.end {
            let size = self.size::<S>(block);
            // SAFETY: the caller's obligations.
            unsafe {
                if S::HAS_SHORT_CUTS
                    && let Some((sums, groups)) = C::SUMS
                    && (sums, groups, 0) == (size.sums, size.groups, number)
                {
                    // With half a block behind it, a block's sums still fit in registers: more chains at a time, and the
                    // functions of more vectors. Streams of 33 to 48 units gain 6 to 20 %, two whole blocks nothing (Xeon).
                    let (mut vectors, mut last) = (size.vectors, size.last);
                    if (S::TILE_VECTORS, vectors) == (2, 2) && block + 1 < blocks.end {
                        let next = self.size::<S>(block + 1);
                        if next.vectors == 1 {
                            (vectors, last) = (3, next.last);
                        }
                    }
                    match vectors {
                        1 => self.run_known::<S, C, 1>(token, cell, block, last),
                        2 => self.run_known::<S, C, 2>(token, cell, block, last),
                        3 => self.run_known::<S, C, 3>(token, cell, block, last),
                        4 if S::TILE_VECTORS == 4 => {
                            self.run_known::<S, C, 4>(token, cell, block, last);
                        }
                        _ => unreachable!("a block of {vectors} vectors"),
                    }
                    block += vectors.div_ceil(S::TILE_VECTORS);
                    continue;
                }
                let cell = Inline {
                    units: cell,
                    token,
                    stage: number,
                };
                self.run_block::<S>(token, activations, &cell, block, size);
            }
            block += 1;
        }
    }

    /// Computes a block of units, or two, of which the compiler knows how many sums and vectors there are: they stay in registers.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the sums and groups of the first stage must be `C::SUMS`, and the vectors those of the block or, after
    ///   as many as a block may have, those of the next one as well.
    #[inline(always)]
    unsafe fn run_known<S: Math<E>, C: Units<E>, const VECTORS: usize>(
        &self,
        token: S,
        cell: &C,
        block: usize,
        last: usize,
    ) {
        let (count, groups) = const {
            assert!(VECTORS <= 4);
            match C::SUMS {
                Some((sums, groups)) => {
                    assert!(groups <= sums && sums <= MAX_SUMS);
                    (sums, groups)
                }
                None => (0, 0),
            }
        };
        let first = block * self.weights.width();
        let mut sums = [[token.splat(E::ZERO); VECTORS]; MAX_SUMS];
        for_each_of_four!(SUM < count, {
            if let Some(from) = self.start(SUM, first) {
                // SAFETY: the units are the weights', of which every start has as many.
                sums[SUM] = unsafe { load_row(token, from, last) };
            }
        });
        for product in self.products() {
            for_each_of_four!(SUM < count - groups + 1, {
                if SUM == product.0.first_sum {
                    // SAFETY: the caller's obligations. The panels of a block follow each other.
                    unsafe {
                        self.add_groups::<S, VECTORS, SUM>(
                            token, product, &mut sums, groups, block,
                        );
                    }
                }
            });
        }
        let activations = cell.activations(0);
        for_each_of_four!(SUM < count, {
            for_each_of_four!(VECTOR < VECTORS, {
                sums[SUM][VECTOR] = activate(token, activations[SUM], sums[SUM][VECTOR]);
            });
        });
        let slots = (self.reads(), self.writes());
        for_each_of_four!(VECTOR < VECTORS, {
            let values = from_fn(|sum| sums[sum][VECTOR]);
            let units = if VECTOR == VECTORS - 1 {
                last
            } else {
                S::LANES
            };
            // SAFETY: the caller's obligations.
            let unit = unsafe { Unit::new(token, slots, first + VECTOR * S::LANES, 0, units) };
            cell.apply(token, 0, values, &unit);
        });
    }

    /// Adds a product to so many sums of a block, from the `FIRST`-th on; in registers, where the compiler knows both numbers.
    ///
    /// # Safety
    /// - As for [`Self::add_product`].
    #[inline(always)]
    unsafe fn add_groups<S: Math<E>, const VECTORS: usize, const FIRST: usize>(
        &self,
        token: S,
        product: (&Piece, &[*mut E]),
        sums: &mut [[S::Vector; VECTORS]; MAX_SUMS],
        groups: usize,
        block: usize,
    ) {
        // In the panels lie the vectors of a block, group by group, then those of the next.
        let in_block = VECTORS.min(S::TILE_VECTORS);
        let at = |group: usize, vector: usize| match vector < in_block {
            true => group * in_block + vector,
            false => groups * in_block + group * (VECTORS - in_block) + vector - in_block,
        };
        macro_rules! choose {
            ($($vectors:literal),*) => {
                match groups * VECTORS {
                    $($vectors => {
                        let mut own = [token.splat(E::ZERO); $vectors];
                        for_each_of_four!(GROUP < groups, {
                            for_each_of_four!(VECTOR < VECTORS, {
                                own[at(GROUP, VECTOR)] = sums[FIRST + GROUP][VECTOR];
                            });
                        });
                        // SAFETY: the caller's obligations. The panels of a block follow each other.
                        let own = unsafe { self.add_product(token, product, own, block * groups) };
                        for_each_of_four!(GROUP < groups, {
                            for_each_of_four!(VECTOR < VECTORS, {
                                sums[FIRST + GROUP][VECTOR] = own[at(GROUP, VECTOR)];
                            });
                        });
                    })*
                    _ => unreachable!("no row of {} vectors", groups * VECTORS),
                }
            };
        }
        choose!(2, 3, 4, 6, 8, 9, 12, 16);
    }

    /// Adds a product to some vectors of sums, from the `panel`-th panel on.
    ///
    /// # Safety
    /// - As for [`Self::run`]; there must be the panels.
    #[inline(always)]
    unsafe fn add_product<S: Math<E>, const VECTORS: usize>(
        &self,
        token: S,
        (piece, rows): (&Piece, &[*mut E]),
        mut sums: [S::Vector; VECTORS],
        panel: usize,
    ) -> [S::Vector; VECTORS] {
        let mut right = self.right(piece, panel);
        // One input at a time, so that what is known of it stays in registers. A list of them would be copied in wider pieces than
        // it was written, and such a read waits for everything that has been stored before.
        for (input, &row) in piece.inputs.iter().zip(rows) {
            let left = [whole_row(row, input.depth)];
            // SAFETY: the caller's obligations.
            [sums] =
                unsafe { accumulate(token, [sums], &left, right, self.weights.panel_stride()) };
            right = right.wrapping_add(input.depth * self.weights.width());
        }
        sums
    }

    /// Computes a block of units, of any size.
    ///
    /// # Safety
    /// - As for [`Self::run`]; the size must be the block's.
    #[inline(always)]
    unsafe fn run_block<S: Math<E>>(
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
        let Size {
            groups, vectors, ..
        } = size;
        let first = block * self.weights.width();
        let count = |vector: usize| match vector == vectors - 1 {
            true => size.last,
            false => S::LANES,
        };
        let mut sums = [token.splat(E::ZERO); MAX_VECTORS];
        for sum in 0..size.sums {
            let Some(from) = self.start(sum, first) else {
                continue;
            };
            for vector in 0..vectors {
                let from = from.wrapping_add(vector * S::LANES);
                // SAFETY: the units are the weights', of which every start has as many.
                sums[sum * vectors + vector] = unsafe { load(token, from, count(vector)) };
            }
        }
        for (piece, rows) in self.products() {
            let mut lefts = [Left::NONE; MAX_INPUTS];
            for ((left, input), &row) in lefts.iter_mut().zip(&piece.inputs).zip(rows) {
                *left = whole_row(row, input.depth);
            }
            let mut done = 0;
            while done < groups * vectors {
                let some = (groups * vectors - done).min(most_vectors::<E, S>(1));
                let own = &mut sums[piece.first_sum * vectors + done..][..some];
                let c = own.as_mut_ptr().cast::<E>();
                let tile = Tile {
                    left: &lefts[..piece.inputs.len()],
                    right: self.right(piece, block * groups + done / S::TILE_VECTORS),
                    panel: self.weights.panel_stride(),
                    start: TileStart::Row(c),
                    end: TileEnd::Activate(Activation::Linear),
                    c,
                    c_stride: 0,
                    last: S::LANES,
                };
                // SAFETY: the caller's obligations. A vector is as many elements as lanes, and the panels of a block follow each
                // other.
                unsafe { tile.run(token, 1, some) };
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
struct RowBlocks<'a, 'b, E: Element, U> {
    row: &'a OneRow<'b, E>,
    units: &'a U,
    number: usize,
    blocks: Range<usize>,
}

impl<E: Element, U: Units<E>> Kernel<E> for RowBlocks<'_, '_, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // SAFETY: `OneRow::run` has been promised the row and the blocks.
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
            // SAFETY: `OneRow::run` has been promised the row and the blocks.
            unsafe { row.run_block::<T>(token, self.activations, &cell, block, size) };
        }
    }
}

/// Blocks of units whose only sum is finished in its register, as many vectors at a time as the tier has in a tile of a row.
struct FusedRow<'a, 'b, E: Element> {
    row: &'a OneRow<'b, E>,
    activation: Activation,
    blocks: Range<usize>,
}

impl<E: Element> Kernel<E> for FusedRow<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let Self {
            row,
            activation,
            blocks,
        } = self;
        let width = row.weights.width();
        let end = (blocks.end * width).min(row.weights.units());
        let mut unit = blocks.start * width;
        macro_rules! choose {
            ($vectors:ident, $last:ident: $($number:literal)*) => {
                match $vectors {
                    // SAFETY: `OneRow::run` has been promised the blocks.
                    $($number => unsafe { row.run_fused::<S, $number>(token, activation, unit, $last) },)*
                    _ => unreachable!("no row of {} vectors", $vectors),
                }
            };
        }
        while unit < end {
            let vectors = (end - unit).div_ceil(S::LANES).min(most_vectors::<E, S>(1));
            let last = (end - unit).min(vectors * S::LANES) - (vectors - 1) * S::LANES;
            choose!(vectors, last: 1 2 3 4 5 6 7 8);
            unit += (vectors * S::LANES).next_multiple_of(width);
        }
    }
}

/// A row as the left operand of a product.
#[inline(always)]
fn whole_row<E>(row: *mut E, depth: usize) -> Left<E> {
    Left {
        data: row,
        row_stride: 0,
        depth_stride: 1,
        depth,
        ..Left::NONE
    }
}
