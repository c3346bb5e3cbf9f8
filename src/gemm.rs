//! Products and time loops on several threads: each computes some columns, whose part of the right operand it alone reads.

use crate::Element;
use crate::kernels::pack::Packed;
use crate::kernels::product::{Columns, Product, ROWS_AS_FAST_AS_ONE, operations};
use crate::kernels::recurrence::{Recurrence, Units};
use crate::parallel::cost::{self, StepCost};
use crate::parallel::{Crew, Cut};
use crate::simd::Tier;

/// Computes a product on the threads of a crew, if it is worth them.
///
/// # Panics
/// As [`Product::run`].
pub fn multiply<E: Element>(product: Product<'_, E>, tier: Tier, crew: Crew<'_>) {
    let depth: usize = product.a.iter().map(|segment| segment.depth).sum();
    let rows = product.rows.max(ROWS_AS_FAST_AS_ONE);
    let worth = operations(rows, depth, product.b.columns()) / cost::PIECE;
    let crew = crew.at_most(worth);
    let columns = product.columns();
    // Twice as many where each is worth it: who is late then leaves less to wait for.
    let most = if crew.threads() > 1 {
        2 * crew.threads()
    } else {
        1
    };
    let parts = most.min(worth).min(columns.blocks()).max(1);
    crew.fork(Part { columns, parts }, &|part| part.columns.run(tier));
}

/// Columns of a product, for so many threads.
struct Part<'a, E: Element> {
    columns: Columns<'a, E>,
    parts: usize,
}

impl<E: Element> Cut for Part<'_, E> {
    fn size(&self) -> usize {
        self.parts
    }

    fn cut(self, left: usize) -> (Self, Self) {
        let blocks = self.columns.blocks() * left / self.parts;
        let (first, second) = self.columns.split_at(blocks);
        let part = |columns, parts| Self { columns, parts };
        (part(first, left), part(second, self.parts - left))
    }
}

/// Runs a time loop on the threads of a crew, as many as its steps are worth.
///
/// # Panics
/// As [`Recurrence::check`], and where weights are packed for a tier whose panels have another width.
pub fn recur<E: Element, U: Units<E>>(
    recurrence: Recurrence<'_, '_, E, U>,
    tier: Tier,
    crew: Crew<'_>,
) {
    let (stages, weights) = (recurrence.stages, recurrence.weights);
    let operations = stages.operations(1);
    let packed = || stages.iter().map(|stage| &weights[stage.weights]);
    let cost = StepCost {
        tier,
        operations,
        units: packed().map(Packed::units).max().unwrap_or(0),
        blocks: packed().map(Packed::blocks).max().unwrap_or(0).max(1),
        bytes: operations / 2 * size_of::<E>(),
    };
    let (threads, _) = cost.sharing(recurrence.steps.most_rows(), crew.shares().units);
    let crew = crew.at_most(threads);
    let checked = recurrence.check();
    let parts = threads.min(checked.blocks());
    if parts < 2 {
        // SAFETY: nobody has it but this function.
        return unsafe { checked.run(tier) };
    }
    crew.phases(checked.phases(), parts, &|phase, part| {
        // SAFETY: nobody has it but this function. `Crew::phases` runs each part of each phase once, and none before all parts
        // of the phase before are done.
        unsafe { checked.run_part(tier, phase, part, parts) }
    });
}
