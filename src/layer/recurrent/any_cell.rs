//! A cell of any kind, and how it runs the stages of a time loop.

use super::super::Step;
use super::super::cell::{Cell, CellPlan};
use crate::Element;
use crate::gemm::recur;
use crate::kernels::pack::Packed;
use crate::kernels::recurrence::{Band, Recurrence, Stages, TimeSteps, Units};
use crate::kernels::stream::StepPlan;

/// A cell of any kind: so that the layer is compiled once for all of them.
pub(super) trait AnyCell<E: Element>: Send + Sync {
    /// [`Cell::plan`]
    fn plan(&self) -> &CellPlan;

    /// Runs stages forward.
    fn forward(
        &self,
        run: &mut Run<'_, '_, E>,
        stages: &Stages,
        steps: &TimeSteps<'_>,
        is_training: bool,
    );

    /// Runs the stages backward.
    fn backward(&self, run: &mut Run<'_, '_, E>, steps: &TimeSteps<'_>);

    /// Runs a step of a stream.
    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, parameters: &[E], memory: &mut [E]);
}

impl<E: Element, C: Cell<E>> AnyCell<E> for C {
    fn plan(&self) -> &CellPlan {
        Cell::plan(self)
    }

    fn forward(
        &self,
        run: &mut Run<'_, '_, E>,
        stages: &Stages,
        steps: &TimeSteps<'_>,
        is_training: bool,
    ) {
        let units = Cell::forward(self, run.parameters, is_training);
        run.stages(stages, &units, steps);
    }

    fn backward(&self, run: &mut Run<'_, '_, E>, steps: &TimeSteps<'_>) {
        let units = Cell::backward(self, run.parameters);
        run.stages(&Cell::plan(self).backward, &units, steps);
    }

    fn step(&self, plan: &StepPlan, pass: &Step<'_, E>, parameters: &[E], memory: &mut [E]) {
        let units = Cell::forward(self, parameters, false);
        plan.run(pass.tier, pass.weights, parameters, &units, memory);
    }
}

/// What the stages of a time loop run with.
pub(super) struct Run<'a, 'b, E: Element> {
    pub(super) pass: (crate::simd::Tier, crate::parallel::Crew<'a>),
    pub(super) weights: &'a [Packed<E>],
    pub(super) parameters: &'a [E],
    pub(super) bands: &'a mut [Band<'b, E>],
}

impl<E: Element> Run<'_, '_, E> {
    pub(super) fn stages(&mut self, stages: &Stages, units: &impl Units<E>, steps: &TimeSteps<'_>) {
        let (tier, crew) = self.pass;
        let recurrence = Recurrence {
            bands: self.bands,
            stages,
            weights: self.weights,
            parameters: self.parameters,
            units,
            steps,
        };
        recur(recurrence, tier, crew);
    }
}
