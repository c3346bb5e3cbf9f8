//! A step of a stream: one row of each sequence, in memory that stays where it is. Which elements the stages of a layer read
//! and write is decided once, when the stream begins; a step then computes, and checks no more than that it has all of that
//! memory.

use std::sync::Arc;

use crate::Element;
use crate::kernels::pack::Packed;
use crate::kernels::recurrence::{
    BandPlace, MAX_BANDS, MAX_INPUTS, MAX_PIECES, MAX_SLOTS, OneRow, Rows, Slot, Stage, Stages,
    Sweep, TimeStep, Units,
};
use crate::simd::{Kernel, Math, Tier};

/// What does not change from step to step.
#[derive(Debug)]
pub struct StepPlan {
    stages: Arc<Stages>,
    bands: [BandPlace; MAX_BANDS],
    step: TimeStep,
    /// Elements of the memory that are reached.
    len: usize,
    /// Where the only row is in the slots of each stage.
    rows: [RowPlaces; MAX_STAGES],
}

/// Most stages of a step.
const MAX_STAGES: usize = 2;

/// Where the only row of a step is in what a stage reads and writes.
#[derive(Clone, Copy, Debug, Default)]
struct RowPlaces {
    reads: [usize; MAX_SLOTS],
    writes: [usize; MAX_SLOTS],
    inputs: [[usize; MAX_INPUTS]; MAX_PIECES],
}

impl RowPlaces {
    fn new(stage: &Stage, bands: &[BandPlace; MAX_BANDS], step: &TimeStep) -> Self {
        let mut places = Self::default();
        let place = |slot: &Slot| step.first_row(slot, &bands[slot.band]);
        for (to, slot) in places.reads.iter_mut().zip(&stage.reads) {
            *to = place(slot);
        }
        for (to, slot) in places.writes.iter_mut().zip(&stage.writes) {
            *to = place(slot);
        }
        for (to, piece) in places.inputs.iter_mut().zip(&stage.pieces) {
            for (to, input) in to.iter_mut().zip(&piece.inputs) {
                *to = place(&input.slot);
            }
        }
        places
    }

    /// Says where the row is, in this memory.
    #[inline(always)]
    fn point<E: Element, U: Units<E>>(
        &self,
        stage: &Stage,
        row: &mut OneRow<'_, E, U>,
        memory: *mut E,
    ) {
        let (reads, writes) = (stage.reads.len(), stage.writes.len());
        for (to, &place) in row.reads.iter_mut().zip(&self.reads).take(reads) {
            *to = memory.wrapping_add(place);
        }
        for (to, &place) in row.writes.iter_mut().zip(&self.writes).take(writes) {
            *to = memory.wrapping_add(place);
        }
        let inputs = row.inputs.as_flattened_mut().iter_mut();
        for (to, &place) in inputs.zip(self.inputs.as_flattened()) {
            *to = memory.wrapping_add(place);
        }
    }
}

impl StepPlan {
    /// The stages of a forward pass, for `rows` sequences, whose bands have these places.
    ///
    /// # Panics
    /// Where a stage's numbers do not fit together, rows reach into the next one, or a band has too few that lead.
    pub fn new(stages: &Arc<Stages>, places: &[BandPlace], rows: usize) -> Self {
        let mut bands = [BandPlace::default(); MAX_BANDS];
        bands[..places.len()].copy_from_slice(places);
        let step = TimeStep::only(rows);
        let mut rows_of = [RowPlaces::default(); MAX_STAGES];
        assert!(stages.len() <= MAX_STAGES);
        for (to, stage) in rows_of.iter_mut().zip(stages.iter()) {
            *to = RowPlaces::new(stage, &bands, &step);
        }
        Self {
            stages: Arc::clone(stages),
            bands,
            step,
            len: stages.reach(&bands, rows),
            rows: rows_of,
        }
    }

    /// Runs a step.
    ///
    /// # Panics
    /// Where the memory is shorter than the places say, or weights or parameters are not those of the stages.
    pub fn run<E: Element, U: Units<E>>(
        &self,
        tier: Tier,
        weights: &[Packed<E>],
        parameters: &[E],
        units: &U,
        memory: &mut [E],
    ) {
        assert!(memory.len() >= self.len);
        self.stages.check_operands(weights, parameters);
        // One row needs no memory for the sums of many.
        if self.step.rows == 1 {
            tier.run(Step::<_, _, true> {
                plan: self,
                weights,
                parameters,
                units,
                memory,
            });
        } else {
            tier.run(Step::<_, _, false> {
                plan: self,
                weights,
                parameters,
                units,
                memory,
            });
        }
    }
}

/// A step; of one row, or of any number.
struct Step<'a, E: Element, U, const IS_ONE: bool> {
    plan: &'a StepPlan,
    weights: &'a [Packed<E>],
    parameters: &'a [E],
    units: &'a U,
    memory: &'a mut [E],
}

impl<E: Element, U: Units<E>, const IS_ONE: bool> Kernel<E> for Step<'_, E, U, IS_ONE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let plan = self.plan;
        let memory = self.memory.as_mut_ptr();
        for (number, stage) in plan.stages.iter().enumerate() {
            let weights = &self.weights[stage.weights];
            assert_eq!(weights.width(), S::LANES * S::TILE_VECTORS);
            let blocks = 0..weights.blocks();
            let operands = (stage, weights, self.parameters);
            // SAFETY: the stages have been found sound, and `StepPlan::new` has seen that all rows that they reach lie in as
            // much memory as there is; it is borrowed for this thread alone.
            unsafe {
                if IS_ONE {
                    let mut row = OneRow::new(operands, self.units);
                    plan.rows[number].point(stage, &mut row, memory);
                    row.run(token, number, blocks);
                } else {
                    let bands = plan.bands.map(|place| Rows {
                        data: memory.wrapping_add(place.start),
                        stride: place.stride,
                        lead: place.lead,
                    });
                    let sweep = Sweep::new(operands, self.units, &bands, &plan.step);
                    sweep.run_blocks(token, number, blocks);
                }
            }
        }
    }
}
