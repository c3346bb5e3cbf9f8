//! What a stage of a step is: the products that its sums are made of, and where it reads and writes.

use std::ops::Deref;

use super::MAX_BANDS;
use crate::Element;
use crate::activation::Activation;
use crate::kernels::pack::{Packed, PackedShape};

/// Most sums of a unit in a stage.
pub const MAX_SUMS: usize = 4;

/// Most slots that a stage reads or writes.
pub const MAX_SLOTS: usize = 12;

/// Most parts of the left operand of a piece.
pub const MAX_INPUTS: usize = 3;

/// Most pieces of a stage: products that its sums are made of.
pub const MAX_PIECES: usize = 2;

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
    pub(super) bands: [BandUse; MAX_BANDS],
    /// Number of parameters that it reads, from the first one on.
    parameters: usize,
    /// Multiply-adds for a row.
    products: usize,
}

/// What stages need a band to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BandUse {
    /// Elements that a row of a step has at least.
    pub row: usize,
    /// Elements that a row of a sequence has at least, where the band has none but those.
    pub sequence: usize,
    pub is_written: bool,
    pub earlier: bool,
    pub later: bool,
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
    /// Where the stages are not sound or have derivatives, or bands are not what they need.
    pub fn reach(&self, places: &[BandPlace; MAX_BANDS], rows: usize) -> usize {
        assert!(self.is_sound && !self.has_derivatives());
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
    pub fn check_operands<E: Element>(&self, weights: &[Packed<E>], parameters: &[E]) {
        assert!(self.is_sound && parameters.len() >= self.parameters);
        for (stage, shape) in self.stages.iter().zip(&self.shapes) {
            assert_eq!(weights[stage.weights].size(), *shape);
        }
    }

    /// Whether sums are multiplied by a derivative while they are in registers, which a pass forward never does.
    pub(super) fn has_derivatives(&self) -> bool {
        let is_derivative = |stage: &Stage| matches!(stage.fused, Some(Fused::TimesDerivative(_)));
        self.stages.iter().any(is_derivative)
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
