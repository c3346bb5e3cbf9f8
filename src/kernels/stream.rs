//! A step of a stream: one row of each sequence, in memory that stays where it is. Which elements the stages of a layer read
//! and write is decided once, when the stream begins; a step then computes, and checks no more than that it has all of that
//! memory.

use std::sync::Arc;

use crate::Element;
use crate::kernels::pack::Packed;
use crate::kernels::recurrence::{
    BandPlace, MAX_BANDS, MAX_STAGES, OneRow, Places, Rows, Stages, Sweep, TimeStep, Units,
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
    rows: [Places<usize>; MAX_STAGES],
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
        assert!(stages.len() <= MAX_STAGES);
        let mut rows_of = [Places::none(0); MAX_STAGES];
        for (places, stage) in rows_of.iter_mut().zip(stages.iter()) {
            places.set(stage, |slot| step.first_row(slot, &bands[slot.band]));
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
                    let mut row = OneRow::new(operands, true);
                    row.point(&plan.rows[number], memory);
                    row.run(token, self.units, number, blocks);
                } else {
                    let bands = plan.bands.map(|place| Rows {
                        data: memory.wrapping_add(place.start),
                        stride: place.stride,
                        lead: place.lead,
                    });
                    let sweep = Sweep::new(operands, &bands, &plan.step);
                    sweep.run_blocks(token, self.units, number, blocks);
                }
            }
        }
    }
}
