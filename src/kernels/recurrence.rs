//! The time loop of a recurrent layer: at each step products of rows that steps before have computed, and what a cell makes
//! of the sums of a unit.
//!
//! A step has stages. A stage is a product whose columns are groups, the sums of each unit side by side. For a block of units
//! and some rows the sums are made tile by tile; then the cell takes those of one row and one vector of units at a time, with
//! what it has kept of other rows, and stores what it makes of them. Between the two the sums lie in a few kilobytes of the
//! first-level cache: so the tile is the largest that the registers hold, whatever the number of sums, and weights are
//! read as rarely as in a plain product. A cell whose work is an activation function, or its derivative, has it done by the
//! tile before the sums leave the registers.
//!
//! Several threads may run it together, in phases: a phase is a stage of a step. Each thread computes some units of it, whose part
//! of the weights stays in its own second-level cache, and a phase begins when the one before is done.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};

use crate::Element;
use crate::activation::Activation;
use crate::kernels::activate::activate;
use crate::kernels::one_row::OneRow;
use crate::kernels::pack::{Packed, PackedShape};
use crate::kernels::tile::{
    Left, Line, Tile, TileEnd, TileRows, TileStart, load, most_vectors, store,
};
use crate::layout::Layout;
use crate::simd::{Kernel, Math, Tier, prefetch};

/// Most sums of a unit in a stage.
pub const MAX_SUMS: usize = 4;

/// Most slots that a stage reads or writes.
pub const MAX_SLOTS: usize = 12;

/// Most products that the sums of a stage are made of.
pub(super) const MAX_INPUTS: usize = 3;

/// Most pieces of a stage.
pub(super) const MAX_PIECES: usize = 2;

/// What a cell makes of the sums of a vector of units.
pub trait Units<E: Element>: Sync {
    /// The form of it that most networks have, which is compiled by itself; or the same.
    type Usual: Units<E>;

    /// That form, where it has it.
    #[inline(always)]
    fn usual(&self) -> Option<Self::Usual> {
        None
    }

    /// The activation functions of a stage's sums, whose values the cell takes. Applied to many rows one after the other, none of
    /// them waits for what the cell makes of another.
    #[inline(always)]
    fn activations(&self, _stage: usize) -> [Activation; MAX_SUMS] {
        [Activation::Linear; MAX_SUMS]
    }

    /// Takes the sums of a stage for a vector of units of one row, and reads and writes slots of the stage. Must be
    /// `#[inline(always)]`, like everything it calls.
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    );
}

/// Stores each sum in the slot of its index.
#[derive(Debug)]
pub struct StoreSums;

impl<E: Element> Units<E> for StoreSums {
    type Usual = Self;

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        _: S,
        _: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        for (index, &sum) in sums.iter().enumerate().take(unit.writes.len()) {
            unit.write(index, sum);
        }
    }
}

/// A buffer of rows, one every `stride` elements: first some that lead, then those of the window.
#[derive(Debug)]
pub struct Band<'a, E> {
    memory: Memory<'a, E>,
    stride: usize,
    lead: usize,
}

#[derive(Debug)]
enum Memory<'a, E> {
    Read(&'a [E]),
    Write(&'a mut [E]),
}

impl<'a, E> Band<'a, E> {
    /// A buffer that is only read.
    pub fn read(data: &'a [E], stride: usize, lead: usize) -> Self {
        let memory = Memory::Read(data);
        Self {
            memory,
            stride,
            lead,
        }
    }

    /// A buffer that is read and written.
    pub fn write(data: &'a mut [E], stride: usize, lead: usize) -> Self {
        let memory = Memory::Write(data);
        Self {
            memory,
            stride,
            lead,
        }
    }
}

/// Where the rows of a band are in the memory of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct BandPlace {
    /// The first element of the first row.
    pub start: usize,
    /// From one row to the next.
    pub stride: usize,
    /// Rows that lead: those of the step before. The rows of the step follow.
    pub lead: usize,
}

/// Which row of a band belongs to a row of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOf {
    /// That of the step itself.
    This,
    /// That of the same sequence one step earlier; at the first step of the window, that of the sequence among those that
    /// lead.
    Earlier,
    /// That of the same sequence one step later; behind the last one, that of the sequence among those that lead.
    Later,
    /// That of the sequence, the same at all steps: the band has none but those.
    Sequence,
}

/// A place in the rows of a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the band.
    pub band: usize,
    /// Which row.
    pub row: RowOf,
    /// The first element of the row that belongs to it.
    pub start: usize,
}

/// A part of the left operand of a stage's product.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// The elements of a row.
    pub slot: Slot,
    /// How many there are.
    pub depth: usize,
}

/// A product that some of a stage's sums are made of: as many as the weights have groups.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The left operand.
    pub inputs: Vec<Input>,
    /// The k of the weights that the first one meets.
    pub depth: usize,
    /// The sum that the first group of the weights adds to.
    pub first_sum: usize,
    /// Whether it is left out where a sequence begins without products.
    pub is_recurrent: bool,
}

/// Where a sum starts.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// At 0.
    Zero,
    /// At the unit's element of a row of the parameters, the one that begins with this: a bias.
    Parameters(usize),
    /// At what the slot that is read under this index holds.
    Read(usize),
}

/// What becomes of the only sum of a unit while it is in a register; it is stored in the stage's first slot to write.
#[derive(Clone, Copy, Debug)]
pub enum Fused {
    /// The activation function of it.
    Activate(Activation),
    /// It times the derivative of the activation function, whose value is in the stage's first slot to read.
    TimesDerivative(Activation),
}

/// A stage of a step.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Which weights: they have a group for each sum that a piece adds to.
    pub weights: usize,
    /// The products, one after the other.
    pub pieces: Vec<Piece>,
    /// Where each of the sums starts; [`MAX_SUMS`] at most.
    pub starts: Vec<Start>,
    /// What is read: of each slot as many elements as there are units.
    pub reads: Vec<Slot>,
    /// What is written.
    pub writes: Vec<Slot>,
    /// What the tile does with a single sum. None: [`Units::apply`] takes the sums.
    pub fused: Option<Fused>,
}

/// The stages of a step. What is wired to what is looked at once, when they are made: a call then has the lengths of its
/// buffers to check, no more.
#[derive(Debug)]
pub struct Stages {
    stages: Vec<Stage>,
    /// The weights' shape, for each stage.
    shapes: Vec<PackedShape>,
    /// Whether it may run: no two threads would touch the same element.
    is_sound: bool,
    bands: [BandUse; MAX_BANDS],
    /// Number of parameters that it reads, from the first one on.
    parameters: usize,
    /// Multiply-adds for a row.
    products: usize,
}

/// What stages need a band to be.
#[derive(Clone, Copy, Debug, Default)]
struct BandUse {
    /// Elements that a row of a step has at least.
    row: usize,
    /// Elements that a row of a sequence has at least, where the band has none but those.
    sequence: usize,
    is_written: bool,
    earlier: bool,
    later: bool,
}

impl Stages {
    /// Stages whose weights have these shapes.
    pub fn new(stages: Vec<Stage>, shapes: &[PackedShape]) -> Self {
        let shapes: Vec<_> = stages.iter().map(|stage| shapes[stage.weights]).collect();
        let mut bands = [BandUse::default(); MAX_BANDS];
        let (mut is_sound, mut parameters, mut products) = (true, 0, 0_usize);
        for (stage, shape) in stages.iter().zip(&shapes) {
            is_sound &= stage.is_sound(shape);
            let writes = stage.writes.iter().map(|slot| (slot, shape.units, true));
            let reads = stage.reads.iter().map(|slot| (slot, shape.units, false));
            let inputs = stage.pieces.iter().flat_map(|piece| &piece.inputs);
            products = inputs.clone().fold(products, |sum, input| {
                sum.saturating_add(input.depth.saturating_mul(shape.columns()))
            });
            let inputs = inputs.map(|input| (&input.slot, input.depth, false));
            for (slot, width, is_written) in writes.chain(reads).chain(inputs) {
                let Some(band) = bands.get_mut(slot.band) else {
                    is_sound = false;
                    continue;
                };
                let end = slot.start.saturating_add(width);
                band.is_written |= is_written;
                match slot.row {
                    RowOf::Sequence => band.sequence = band.sequence.max(end),
                    _ => band.row = band.row.max(end),
                }
                band.earlier |= slot.row == RowOf::Earlier;
                band.later |= slot.row == RowOf::Later;
            }
            for start in &stage.starts {
                if let Start::Parameters(first) = *start {
                    parameters = parameters.max(first.saturating_add(shape.units));
                }
            }
        }
        Self {
            stages,
            shapes,
            is_sound,
            bands,
            parameters,
            products,
        }
    }

    /// How far one step of `rows` sequences reaches in one memory of all bands.
    ///
    /// # Panics
    /// Where the stages are not sound, or bands are not what they need.
    pub(super) fn reach(&self, places: &[BandPlace; MAX_BANDS], rows: usize) -> usize {
        assert!(self.is_sound);
        let mut reach = 0;
        for (needs, place) in self.bands.iter().zip(places) {
            assert!(!needs.later && (!needs.earlier || place.lead >= rows));
            let all = place.lead.saturating_add(rows);
            for (rows, width) in [(all, needs.row), (rows, needs.sequence)] {
                if let (Some(before), true) = (rows.checked_sub(1), width > 0) {
                    assert!(width <= place.stride);
                    let end = before.saturating_mul(place.stride).saturating_add(width);
                    reach = reach.max(place.start.saturating_add(end));
                }
            }
        }
        reach
    }

    /// # Panics
    /// Where weights have another shape, or parameters are missing.
    #[inline(always)]
    pub(super) fn check_operands<E: Element>(&self, weights: &[Packed<E>], parameters: &[E]) {
        assert!(self.is_sound && parameters.len() >= self.parameters);
        for (stage, shape) in self.stages.iter().zip(&self.shapes) {
            assert_eq!(weights[stage.weights].size(), *shape);
        }
    }

    /// Floating-point operations of a step of so many rows.
    pub fn operations(&self, rows: usize) -> usize {
        rows.saturating_mul(self.products).saturating_mul(2)
    }
}

impl Deref for Stages {
    type Target = [Stage];

    fn deref(&self) -> &[Stage] {
        &self.stages
    }
}

impl Stage {
    /// Whether its numbers fit together, and no two threads would touch the same element: what one writes, no other reads or
    /// writes before they meet again. Those are its own units of slots that don't overlap, in rows that no product reads.
    fn is_sound(&self, shape: &PackedShape) -> bool {
        let (units, sums) = (shape.units, self.starts.len());
        let fits = sums <= MAX_SUMS
            && self.writes.len() <= MAX_SLOTS
            && self.reads.len() <= MAX_SLOTS
            && self.pieces.len() <= MAX_PIECES
            && self.starts.iter().all(|start| match *start {
                Start::Read(index) => index < self.reads.len(),
                _ => true,
            })
            && self.pieces.iter().all(|piece| {
                let depths = piece.inputs.iter().map(|input| input.depth);
                piece.inputs.len() <= MAX_INPUTS
                    && piece.first_sum.saturating_add(shape.groups) <= sums
                    && depths.fold(piece.depth, usize::saturating_add) <= shape.depth
            })
            && match self.fused {
                None => true,
                Some(fused) => {
                    let reads = usize::from(matches!(fused, Fused::TimesDerivative(_)));
                    sums == 1
                        && self.pieces.len() <= 1
                        && !self.writes.is_empty()
                        && self.reads.len() >= reads
                }
            };
        fits && self.writes.iter().enumerate().all(|(index, write)| {
            let end = write.start.saturating_add(units);
            let meets = |slot: &Slot, width: usize| {
                let same_rows = write.row == slot.row
                    || matches!(slot.row, RowOf::Sequence)
                    || matches!(write.row, RowOf::Sequence);
                let apart = end <= slot.start || slot.start.saturating_add(width) <= write.start;
                write.band == slot.band && same_rows && !apart
            };
            let mut inputs = self.pieces.iter().flat_map(|piece| &piece.inputs);
            matches!(write.row, RowOf::This | RowOf::Sequence)
                && !self.writes[..index].iter().any(|other| meets(other, units))
                && self
                    .reads
                    .iter()
                    .all(|read| read == write || !meets(read, units))
                && !inputs.any(|input| meets(&input.slot, input.depth))
        })
    }
}

/// The steps of a window of a layout, one after the other.
///
/// They follow from the layout alone, each time that they are asked for: so what has been checked is what is run.
#[derive(Clone, Debug)]
pub struct TimeSteps<'a> {
    layout: &'a Layout,
    window: Range<usize>,
    order: Order,
    /// Whether the rows that no step later continues are taken by themselves.
    is_split: bool,
    /// Whether sequences begin, in the order of the steps, without products.
    starts_bare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    /// All rows of the window at once.
    Whole,
}

/// Some rows of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeStep {
    /// The first of them among the rows of the step.
    first: usize,
    /// Number of rows.
    pub rows: usize,
    /// The first of them among the rows of the window.
    this: usize,
    /// That of the step before, if the window has it.
    earlier: Option<usize>,
    /// That of the step behind, likewise.
    later: Option<usize>,
    /// Whether there are products.
    products: bool,
}

impl TimeStep {
    /// The only step of a window.
    pub fn only(rows: usize) -> Self {
        Self {
            first: 0,
            rows,
            this: 0,
            earlier: None,
            later: None,
            products: true,
        }
    }

    /// The first row of a slot, in a band where so many lead.
    #[inline(always)]
    fn row(&self, row: RowOf, lead: usize) -> usize {
        let behind = |row: Option<usize>| row.map_or(self.first, |row| lead + row);
        match row {
            RowOf::This => lead + self.this,
            RowOf::Earlier => behind(self.earlier),
            RowOf::Later => behind(self.later),
            RowOf::Sequence => self.first,
        }
    }

    /// Where it begins in the memory of a stream.
    pub fn first_row(&self, slot: &Slot, band: &BandPlace) -> usize {
        band.start + self.row(slot.row, band.lead) * band.stride + slot.start
    }
}

impl<'a> TimeSteps<'a> {
    /// A forward pass from the first step of a window to the last one.
    ///
    /// # Panics
    /// Where the layout has no such steps; so in all of these.
    pub fn forward(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, Order::Ascending, false, false)
    }

    /// A forward pass from the last step to the first one.
    pub fn forward_reverse(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, Order::Descending, true, false)
    }

    /// The backward pass of [`Self::forward`]: from the last step to the first one. Where a sequence ends there is nothing
    /// behind it to take products of.
    pub fn backward(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, Order::Descending, true, true)
    }

    /// The backward pass of [`Self::forward_reverse`], over all steps there are. Nothing is before the first step.
    pub fn backward_reverse(layout: &'a Layout) -> Self {
        Self::new(layout, 0..layout.steps(), Order::Ascending, true, true)
    }

    /// All rows of a window at once, for what does not depend on other steps.
    pub fn whole(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, Order::Whole, false, false)
    }

    fn new(
        layout: &'a Layout,
        window: Range<usize>,
        order: Order,
        is_split: bool,
        starts_bare: bool,
    ) -> Self {
        assert!(window.start <= window.end && window.end <= layout.steps());
        Self {
            layout,
            window,
            order,
            is_split,
            starts_bare,
        }
    }

    /// Rows of the window.
    fn total(&self) -> usize {
        self.layout.count(&self.window)
    }

    /// The most rows of a step.
    pub fn most_rows(&self) -> usize {
        match self.order {
            Order::Whole => self.total(),
            _ => self.layout.rows(self.window.start),
        }
    }

    /// Number of steps.
    fn len(&self) -> usize {
        match self.order {
            Order::Whole => 1,
            _ => self.window.len(),
        }
    }

    /// The parts of the `index`-th of them: the second one may be empty.
    #[inline(always)]
    fn get(&self, index: usize) -> [TimeStep; 2] {
        let Self {
            layout, ref window, ..
        } = *self;
        let row = |step| layout.offset(step) - layout.offset(window.start);
        let step = match self.order {
            Order::Ascending => window.start + index,
            Order::Descending => window.end - 1 - index,
            Order::Whole => {
                let all = TimeStep::only(self.total());
                return [all, TimeStep { rows: 0, ..all }];
            }
        };
        let rows = layout.rows(step);
        let continued = if self.is_split {
            layout.rows(step + 1)
        } else {
            rows
        };
        let is_first = step == window.start;
        let (is_bare, ends_bare) = match self.order {
            Order::Ascending => (self.starts_bare && is_first, self.starts_bare && is_first),
            _ => (false, self.starts_bare),
        };
        let part = |first: usize, rows, has_later, products| TimeStep {
            first,
            rows,
            this: row(step) + first,
            earlier: (!is_first).then(|| row(step - 1) + first),
            later: (has_later && step + 1 < window.end).then(|| row(step + 1) + first),
            products,
        };
        [
            part(0, continued, true, !is_bare),
            part(continued, rows - continued, false, !ends_bare),
        ]
    }
}

/// A time loop.
#[derive(Debug)]
pub struct Recurrence<'a, 'b, E: Element, U> {
    /// The rows that it reads and writes.
    pub bands: &'a mut [Band<'b, E>],
    /// The stages of a step.
    pub stages: &'a Stages,
    /// Their weights.
    pub weights: &'a [Packed<E>],
    /// What sums start at.
    pub parameters: &'a [E],
    /// What the cell makes of sums.
    pub units: &'a U,
    /// The steps.
    pub steps: &'a TimeSteps<'a>,
}

impl<'a, E: Element, U: Units<E>> Recurrence<'a, '_, E, U> {
    /// Checks the operands.
    ///
    /// # Panics
    /// Where one is shorter than the steps say, or two threads could touch the same element.
    pub fn check(self) -> CheckedRecurrence<'a, E, U> {
        let (stages, steps) = (self.stages, self.steps);
        let lead = steps.layout.rows(steps.window.start);
        let (total, most) = (steps.total(), steps.most_rows());
        stages.check_operands(self.weights, self.parameters);
        assert!(self.bands.len() <= MAX_BANDS);
        let mut bands = [Rows::NONE; MAX_BANDS];
        for (index, needs) in stages.bands.iter().enumerate() {
            let Some(band) = self.bands.get_mut(index) else {
                assert!(needs.row == 0 && needs.sequence == 0);
                continue;
            };
            let (data, len) = match &mut band.memory {
                Memory::Read(data) => {
                    assert!(!needs.is_written);
                    (data.as_ptr().cast_mut(), data.len())
                }
                Memory::Write(data) => (data.as_mut_ptr(), data.len()),
            };
            let holds = |rows: usize, width: usize| match rows.checked_sub(1) {
                Some(before) if width > 0 => {
                    let end = before.saturating_mul(band.stride).saturating_add(width);
                    width <= band.stride && end <= len
                }
                _ => true,
            };
            assert!(holds(band.lead.saturating_add(total), needs.row));
            assert!(holds(most, needs.sequence));
            // All rows at once have no step beside theirs, and rows that are not cut may be more than the step behind has.
            assert!(!needs.earlier || steps.order != Order::Whole && band.lead >= lead);
            assert!(!needs.later || steps.is_split && band.lead >= lead);
            bands[index] = Rows {
                data,
                stride: band.stride,
                lead: band.lead,
            };
        }
        CheckedRecurrence {
            bands,
            stages,
            weights: self.weights,
            parameters: self.parameters,
            units: self.units,
            steps,
            elements: PhantomData,
        }
    }
}

/// Most bands of a recurrence.
pub const MAX_BANDS: usize = 6;

/// Where the rows of a band are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<E> {
    pub data: *mut E,
    pub stride: usize,
    pub lead: usize,
}

impl<E> Rows<E> {
    pub const NONE: Self = Self {
        data: std::ptr::null_mut(),
        stride: 0,
        lead: 0,
    };
}

/// A recurrence whose operands have been checked, as its threads see it.
#[derive(Debug)]
pub struct CheckedRecurrence<'a, E: Element, U> {
    bands: [Rows<E>; MAX_BANDS],
    stages: &'a Stages,
    weights: &'a [Packed<E>],
    parameters: &'a [E],
    units: &'a U,
    steps: &'a TimeSteps<'a>,
    elements: PhantomData<&'a mut [E]>,
}

// SAFETY: threads only reach the bands through `run_part`. All that are there at a time are at the same stage of the same step;
// there each writes its own units of the stage's slots, which, as `Recurrence::check` has seen, nobody else touches.
unsafe impl<E: Element, U: Sync> Sync for CheckedRecurrence<'_, E, U> {}

impl<E: Element, U: Units<E>> CheckedRecurrence<'_, E, U> {
    /// Number of phases: a phase is a stage of a step.
    pub fn phases(&self) -> usize {
        self.steps.len() * self.stages.len()
    }

    /// The most blocks of units that a stage has.
    pub fn blocks(&self) -> usize {
        let weights = self.stages.iter().map(|stage| stage.weights);
        let blocks = weights.map(|weights| self.weights[weights].blocks());
        blocks.max().unwrap_or(0)
    }

    /// Runs all of it.
    ///
    /// # Panics
    /// Where weights are packed for a tier whose panels have another width.
    ///
    /// # Safety
    /// - Nobody else may run any of it at the time.
    pub unsafe fn run(&self, tier: Tier) {
        tier.run(Loop {
            recurrence: self,
            steps: 0..self.steps.len(),
            stages: 0..self.stages.len(),
            part: 0,
            parts: 1,
        });
    }

    /// Runs one part of a phase, of so many. A recurrence has been run when all parts of all phases have.
    ///
    /// # Panics
    /// As [`Self::run`].
    ///
    /// # Safety
    /// - Each part of each phase may only be run once, of as many parts, and when all parts of the phases before have been run
    ///   and what they wrote can be read.
    pub unsafe fn run_part(&self, tier: Tier, phase: usize, part: usize, parts: usize) {
        let (step, stage) = (phase / self.stages.len(), phase % self.stages.len());
        tier.run(Loop {
            recurrence: self,
            steps: step..step + 1,
            stages: stage..stage + 1,
            part,
            parts,
        });
    }
}

/// Some stages of some steps of a recurrence, and a part of the units.
struct Loop<'a, 'b, E: Element, U> {
    recurrence: &'a CheckedRecurrence<'b, E, U>,
    steps: Range<usize>,
    stages: Range<usize>,
    part: usize,
    parts: usize,
}

impl<E: Element, U: Units<E>> Kernel<E> for Loop<'_, '_, E, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let recurrence = self.recurrence;
        for stage in recurrence.stages.iter() {
            let weights = &recurrence.weights[stage.weights];
            assert_eq!(weights.width(), S::LANES * S::TILE_VECTORS);
        }
        for step in self.steps {
            let parts = recurrence.steps.get(step);
            let stages = recurrence.stages.iter().enumerate();
            for (number, stage) in stages.filter(|(number, _)| self.stages.contains(number)) {
                let weights = &recurrence.weights[stage.weights];
                let blocks = weights.blocks_of(self.part, self.parts);
                for step in parts.iter().filter(|step| step.rows > 0) {
                    let stage = (stage, weights, recurrence.parameters);
                    let sweep = Sweep::new(stage, recurrence.units, &recurrence.bands, step);
                    // SAFETY: `Recurrence::check` has passed what the stage reads and writes at every step, and all threads
                    // are at this one: nobody touches these units but this thread.
                    unsafe { sweep.run_blocks(token, number, blocks.clone()) };
                }
            }
        }
    }
}

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
    /// Stores where the slots' elements of a row are, from a unit on.
    #[inline(always)]
    fn point(&self, row: usize, unit: usize, reads: &mut [*mut E], writes: &mut [*mut E]) {
        for (slots, to) in [(self.reads, reads), (self.writes, writes)] {
            for (slot, to) in slots.iter().zip(to) {
                *to = slot.first.wrapping_add(row * slot.stride + unit);
            }
        }
    }

    /// Asks for the line of each slot that has a row, from a unit on.
    #[inline(always)]
    fn fetch(&self, row: usize, unit: usize) {
        for slot in self.reads.iter().chain(self.writes) {
            prefetch(slot.first.wrapping_add(row * slot.stride + unit));
        }
    }
}

/// A stage for some rows of a step.
pub(super) struct Sweep<'a, E: Element, U> {
    stage: &'a Stage,
    weights: &'a Packed<E>,
    parameters: &'a [E],
    units: &'a U,
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

impl<'a, E: Element, U: Units<E>> Sweep<'a, E, U> {
    #[inline(always)]
    pub fn new(
        (stage, weights, parameters): (&'a Stage, &'a Packed<E>, &'a [E]),
        units: &'a U,
        bands: &'a [Rows<E>; MAX_BANDS],
        step: &'a TimeStep,
    ) -> Self {
        Self {
            stage,
            weights,
            parameters,
            units,
            step,
            bands,
        }
    }

    /// The rows of some slots, which are stored in `to`.
    #[inline(always)]
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
    pub unsafe fn run_blocks<S: Math<E>>(&self, token: S, number: usize, blocks: Range<usize>) {
        // SAFETY: the caller's obligations.
        unsafe {
            match self.stage.fused {
                Some(fused) => self.run_fused(token, fused, blocks),
                None if self.step.rows == 1 => self.row().run(token, number, blocks),
                None => self.run(token, number, blocks),
            }
        }
    }

    /// The stage for the only row of a step.
    #[inline(always)]
    fn row(&self) -> OneRow<'a, E, U> {
        let mut row = OneRow::new((self.stage, self.weights, self.parameters), self.units);
        for (to, slot) in row.reads.iter_mut().zip(&self.stage.reads) {
            *to = self.rows(slot).first;
        }
        for (to, slot) in row.writes.iter_mut().zip(&self.stage.writes) {
            *to = self.rows(slot).first;
        }
        for (to, piece) in row.inputs.iter_mut().zip(&self.stage.pieces) {
            for (to, input) in to.iter_mut().zip(&piece.inputs) {
                *to = self.rows(&input.slot).first;
            }
        }
        row.products = self.step.products;
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
    unsafe fn run<S: Math<E>>(&self, token: S, number: usize, blocks: Range<usize>) {
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
        let usual = self.units.usual();
        for block in blocks {
            let mut row = 0;
            for group in 0..groups {
                let some = tiles.count * group / groups..tiles.count * (group + 1) / groups;
                let heights = some.map(|tile| tiles.rows(tile));
                let rows = heights.clone().sum();
                // SAFETY: the rows are the step's and the units the block's; there is room for as many tiles.
                unsafe {
                    self.start(token, sums, slots.reads, block, row, rows);
                    self.multiply(token, sums, block, row, heights);
                    match &usual {
                        Some(usual) => {
                            self.finish(
                                token,
                                usual,
                                sums,
                                slots,
                                (number, block),
                                row..row + rows,
                            );
                        }
                        None => self.finish(
                            token,
                            self.units,
                            sums,
                            slots,
                            (number, block),
                            row..row + rows,
                        ),
                    }
                    row += rows;
                }
            }
        }
    }

    /// Starts the sums of some rows, from `first` on.
    ///
    /// # Safety
    /// - As for [`Self::run`]; there must be room for the rows.
    #[inline(always)]
    unsafe fn start<S: Math<E>>(
        &self,
        token: S,
        sums: Sums<E>,
        reads: &[SlotRows<E>],
        block: usize,
        first: usize,
        rows: usize,
    ) {
        let weights = self.weights;
        let vectors = weights.vectors(block);
        let row_stride = sum_vectors::<E, S>() * S::LANES;
        for (sum, start) in self.stage.starts.iter().enumerate() {
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
                            } = reads[index];
                            for row in 0..rows {
                                let from = from.add((first + row) * stride + unit);
                                token.store(load(token, from, count), to.add(row * row_stride));
                            }
                            continue;
                        }
                        Start::Zero => token.splat(E::ZERO),
                        Start::Parameters(first) => {
                            load(token, self.parameters.as_ptr().add(first + unit), count)
                        }
                    };
                    token.store(value, to);
                    for row in 1..rows {
                        token.store(value, to.add(row * row_stride));
                    }
                }
            }
        }
    }

    /// Adds the products of all pieces to the sums of some rows, from `first` on, in tiles of so many rows.
    ///
    /// # Safety
    /// - As for [`Self::start`].
    #[inline(always)]
    unsafe fn multiply<S: Math<E>>(
        &self,
        token: S,
        sums: Sums<E>,
        block: usize,
        first: usize,
        tiles: impl Iterator<Item = usize> + Clone,
    ) {
        let weights = self.weights;
        let (groups, vectors) = (weights.groups(), weights.vectors(block));
        let most = most_vectors::<E, S>(self.step.rows);
        for piece in self.pieces() {
            let lefts = self.left(piece);
            let mut done = 0;
            while done < groups * vectors {
                let count = most.min(groups * vectors - done);
                let right = self.right(piece, block * groups + done / S::TILE_VECTORS);
                let mut row = 0;
                for rows in tiles.clone() {
                    let lefts = lefts.map(|left| left.at_row(first + row));
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

    /// Lets the cell take the sums of some rows.
    ///
    /// # Safety
    /// - As for [`Self::start`].
    #[inline(always)]
    unsafe fn finish<S: Math<E>>(
        &self,
        token: S,
        units: &impl Units<E>,
        sums: Sums<E>,
        slots: Slots<'_, E>,
        (number, block): (usize, usize),
        rows: Range<usize>,
    ) {
        let weights = self.weights;
        let (count, vectors) = (self.stage.starts.len(), weights.vectors(block));
        let activations = units.activations(number).into_iter().take(count);
        for (sum, activation) in activations.enumerate() {
            let (first, rows) = (sum * vectors, rows.len());
            // Each of the usual ones has a loop of its own.
            // SAFETY: `start` has stored the sums of all rows and vectors.
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
        let first = block * weights.width();
        let mut pointers = [[std::ptr::null_mut(); MAX_SLOTS]; 2];
        let [reads, writes] = &mut pointers;
        let reads = &mut reads[..slots.reads.len()];
        let writes = &mut writes[..slots.writes.len()];
        for (index, row) in rows.enumerate() {
            slots.point(row, first, reads, writes);
            slots.fetch(row + ROWS_AHEAD, first);
            for vector in 0..vectors {
                let mut values = [token.splat(E::ZERO); MAX_SUMS];
                for (sum, value) in values.iter_mut().enumerate().take(count) {
                    // SAFETY: as above.
                    *value = unsafe { token.load(sums.at(index, sum * vectors + vector)) };
                }
                let unit = vector * S::LANES;
                let count = (weights.units() - first - unit).min(S::LANES);
                // SAFETY: the caller's obligations.
                let unit = unsafe { Unit::new(token, (reads, writes), unit, first, count) };
                units.apply(token, number, values, &unit);
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

/// A vector of units of one row, as a cell sees it: what its stage reads and writes there.
#[derive(Debug)]
pub struct Unit<'a, E, S> {
    token: S,
    /// The row of each slot, from the block's first unit on.
    reads: &'a [*mut E],
    writes: &'a [*mut E],
    /// The first unit, counted from the block's first one.
    unit: usize,
    /// The same, counted from the very first one.
    parameter: usize,
    count: usize,
}

impl<'a, E: Element, S: Math<E>> Unit<'a, E, S> {
    /// `count` units from the `unit`-th one of a block on, whose first one is `first`, in rows from that one on.
    ///
    /// # Safety
    /// - The stage's slots must have these rows and units, and those of what it writes must be this thread's.
    #[inline(always)]
    pub(super) unsafe fn new(
        token: S,
        (reads, writes): (&'a [*mut E], &'a [*mut E]),
        unit: usize,
        first: usize,
        count: usize,
    ) -> Self {
        Self {
            token,
            reads,
            writes,
            unit,
            parameter: first + unit,
            count,
        }
    }

    /// What a slot that the stage reads holds. Lanes behind the last unit are 0.
    ///
    /// # Panics
    /// Where the stage reads no such slot.
    #[inline(always)]
    pub fn read(&self, index: usize) -> S::Vector {
        // SAFETY: whoever made it has promised that the slots have its units, and that those written are this thread's.
        unsafe { load(self.token, self.reads[index].add(self.unit), self.count) }
    }

    /// Stores `value` in a slot that the stage writes.
    ///
    /// # Panics
    /// Where the stage writes no such slot.
    #[inline(always)]
    pub fn write(&self, index: usize, value: S::Vector) {
        // SAFETY: as in `read`.
        unsafe {
            let to = self.writes[index].add(self.unit);
            store(self.token, value, to, self.count);
        }
    }

    /// The units' elements of a row of parameters.
    ///
    /// # Panics
    /// Where it is shorter than there are units.
    #[inline(always)]
    pub fn parameter(&self, row: &[E]) -> S::Vector {
        let values = &row[self.parameter..self.parameter + self.count];
        // SAFETY: there are as many elements.
        unsafe { load(self.token, values.as_ptr(), values.len()) }
    }
}
