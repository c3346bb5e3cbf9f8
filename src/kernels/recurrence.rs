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
//! Several threads may run it together, in phases: a phase is a stage of a step. Each thread computes some units of some rows of
//! it, so that its part of the weights stays in its own second-level cache, and a phase begins when the one before is done.

mod one_row;
mod stage;
mod sweep;
mod units;

use std::array::from_fn;
use std::marker::PhantomData;
use std::ops::Range;

pub(super) use one_row::{OneRow, Places};
#[cfg(test)]
pub(super) use stage::MAX_SLOTS;
pub use stage::{BandPlace, Fused, Input, MAX_SUMS, Piece, RowOf, Slot, Stage, Stages, Start};
pub(super) use sweep::Sweep;
pub use units::{StoreSums, Unit, Units};

use crate::Element;
use crate::kernels::pack::Packed;
use crate::layout::Layout;
use crate::simd::{Kernel, Math, Tier};

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

    /// Those of its rows that are among so many of the step.
    #[inline(always)]
    fn among(&self, rows: &Range<usize>) -> Self {
        let start = rows.start.clamp(self.first, self.first + self.rows);
        let end = rows.end.clamp(start, self.first + self.rows);
        let before = start - self.first;
        Self {
            first: start,
            rows: end - start,
            this: self.this + before,
            earlier: self.earlier.map(|row| row + before),
            later: self.later.map(|row| row + before),
            products: self.products,
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

    /// Whether they are all rows of the window at once.
    pub fn is_whole(&self) -> bool {
        self.order == Order::Whole
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
            assert!(!needs.earlier || !steps.is_whole() && band.lead >= lead);
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
// there each writes its own units of its own rows of the stage's slots, which, as `Recurrence::check` has seen, nobody else
// touches.
unsafe impl<E: Element, U: Sync> Sync for CheckedRecurrence<'_, E, U> {}

impl<E: Element, U: Units<E>> CheckedRecurrence<'_, E, U> {
    /// Number of phases: a phase is a stage of a step.
    pub fn phases(&self) -> usize {
        self.steps.len() * self.stages.len()
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
            rows: Share::ALL,
            units: Share::ALL,
        });
    }

    /// Runs a part of the units of a part of the rows of a phase. A recurrence has been run when all parts of all phases have.
    ///
    /// # Panics
    /// As [`Self::run`].
    ///
    /// # Safety
    /// - Each part of each phase may only be run once, of as many parts, and when all parts of the phases before have been run
    ///   and what they wrote can be read.
    pub unsafe fn run_part(&self, tier: Tier, phase: usize, rows: Share, units: Share) {
        let (step, stage) = (phase / self.stages.len(), phase % self.stages.len());
        tier.run(Loop {
            recurrence: self,
            steps: step..step + 1,
            stages: stage..stage + 1,
            rows,
            units,
        });
    }
}

impl<E: Element, U> CheckedRecurrence<'_, E, U> {
    /// Whether each step is one row, the one behind that of the step before.
    #[inline(always)]
    fn is_one_sequence(&self) -> bool {
        let TimeSteps {
            order,
            is_split,
            starts_bare,
            ..
        } = *self.steps;
        // Where one row leads, it is that of the step before the first one.
        let mut bands = self.bands.iter().zip(&self.stages.bands);
        let is_plain = order == Order::Ascending && !is_split && !starts_bare;
        is_plain
            && self.stages.len() <= MAX_STAGES
            && !self.stages.has_derivatives()
            && self.steps.most_rows() == 1
            && bands.all(|(band, needs)| !needs.earlier || band.lead == 1)
    }
}

/// Most stages of a step forward.
pub(super) const MAX_STAGES: usize = 2;

/// One of so many parts of about the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub index: usize,
    /// Of how many.
    pub count: usize,
}

impl Share {
    const ALL: Self = Self { index: 0, count: 1 };

    /// Its part of so many.
    #[inline(always)]
    pub(super) fn of(self, all: usize) -> Range<usize> {
        all * self.index / self.count..all * (self.index + 1) / self.count
    }
}

/// Some stages of some steps of a recurrence, and a part of the rows and of the units.
struct Loop<'a, 'b, E: Element, U> {
    recurrence: &'a CheckedRecurrence<'b, E, U>,
    steps: Range<usize>,
    stages: Range<usize>,
    rows: Share,
    units: Share,
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
        if S::HAS_SHORT_CUTS
            && U::IS_FORWARD
            && !self.steps.is_empty()
            && self.rows == Share::ALL
            && recurrence.is_one_sequence()
        {
            return self.run_one_sequence(token);
        }
        for step in self.steps {
            let parts = recurrence.steps.get(step);
            let parts = if self.rows == Share::ALL {
                parts
            } else {
                let rows = self.rows.of(parts[0].rows + parts[1].rows);
                parts.map(|part| part.among(&rows))
            };
            let stages = recurrence.stages.iter().enumerate();
            for (number, stage) in stages.filter(|(number, _)| self.stages.contains(number)) {
                let weights = &recurrence.weights[stage.weights];
                let blocks = self.units.of(weights.blocks());
                for step in parts.iter().filter(|step| step.rows > 0) {
                    let stage = (stage, weights, recurrence.parameters);
                    let sweep = Sweep::new(stage, &recurrence.bands, step);
                    // SAFETY: `Recurrence::check` has passed what the stage reads and writes at every step, and all threads
                    // are at this one: nobody touches these units of these rows but this thread.
                    unsafe { sweep.run_blocks(token, recurrence.units, number, blocks.clone()) };
                }
            }
        }
    }
}

impl<E: Element, U: Units<E>> Loop<'_, '_, E, U> {
    /// The steps of a sequence that is alone: where a stage's row is follows from where it was.
    #[inline(always)]
    fn run_one_sequence<S: Math<E>>(self, token: S) {
        let recurrence = self.recurrence;
        let [first, _] = recurrence.steps.get(self.steps.start);
        let mut rows: [_; MAX_STAGES] = from_fn(|number| {
            let stage = recurrence.stages.get(number)?;
            let weights = &recurrence.weights[stage.weights];
            let operands = (stage, weights, recurrence.parameters);
            let sweep = Sweep::new(operands, &recurrence.bands, &first);
            let mut strides = Places::none(0);
            strides.set(stage, |slot| match slot.row {
                RowOf::Sequence => 0,
                _ => recurrence.bands[slot.band].stride,
            });
            Some((sweep.row(), strides, self.units.of(weights.blocks())))
        });
        for _ in self.steps {
            for number in self.stages.clone() {
                let Some((row, strides, blocks)) = &mut rows[number] else {
                    continue;
                };
                // SAFETY: as for the steps of many sequences. In a band where a row leads, that of the step before the first one
                // is there, and the others follow.
                unsafe { row.run(token, recurrence.units, number, blocks.clone()) };
                row.advance(strides);
            }
        }
    }
}
