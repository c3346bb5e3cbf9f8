//! Products, time loops and copies on several threads. Each computes some columns of a product, whose part of the right operand
//! it alone reads; some units of some rows of a time loop; and copies some sequences.

use crate::Element;
use crate::kernels::copy::CopyRows;
use crate::kernels::pack::Packed;
use crate::kernels::product::{Columns, Product, ROWS_AS_FAST_AS_ONE, operations};
use crate::kernels::recurrence::{Recurrence, Share, Units};
use crate::parallel::cost::{self, Grid, StepCost};
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
    let part = Part {
        work: columns,
        parts,
        size: Columns::blocks,
        split_at: Columns::split_at,
    };
    crew.fork(part, &|part| part.work.run(tier));
}

/// Work for so many threads.
struct Part<W> {
    work: W,
    parts: usize,
    /// What it comes in, so many of them.
    size: fn(&W) -> usize,
    /// Its first so many, and the others.
    split_at: fn(W, usize) -> (W, W),
}

impl<W: Send> Cut for Part<W> {
    fn size(&self) -> usize {
        self.parts
    }

    fn cut(self, left: usize) -> (Self, Self) {
        let count = (self.size)(&self.work) * left / self.parts;
        let (first, second) = (self.split_at)(self.work, count);
        let part = |work, parts| Self {
            work,
            parts,
            ..self
        };
        (part(first, left), part(second, self.parts - left))
    }
}

/// Copies rows on the threads of a crew, as many as they are worth.
pub fn copy<E: Element>(rows: CopyRows<'_, E>, tier: Tier, crew: Crew<'_>) {
    if crew.threads() == 1 {
        return rows.run(tier);
    }
    let worth = rows.elements() / cost::COPY_PIECE;
    let crew = crew.at_most(worth.min(rows.sequences()));
    let parts = crew.threads();
    let part = Part {
        work: rows,
        parts,
        size: CopyRows::sequences,
        split_at: CopyRows::split_at,
    };
    crew.fork(part, &|part| part.work.run(tier));
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
    let steps = recurrence.steps;
    // What is made of all rows at once is taken step by step, by threads that share units, too.
    let (grid, _) = cost.sharing(steps.most_rows(), !steps.is_whole(), crew.shares().units);
    recur_in(recurrence, tier, crew, grid);
}

/// The same in the parts that a grid says, on as many threads as it has.
///
/// # Panics
/// As [`recur`].
pub fn recur_in<E: Element, U: Units<E>>(
    recurrence: Recurrence<'_, '_, E, U>,
    tier: Tier,
    crew: Crew<'_>,
    grid: Grid,
) {
    let checked = recurrence.check();
    if grid == Grid::ONE {
        // SAFETY: nobody has it but this function.
        return unsafe { checked.run(tier) };
    }
    let crew = crew.at_most(grid.threads());
    crew.phases(checked.phases(), grid.threads(), &|phase, part| {
        let share = |index, count| Share { index, count };
        let rows = share(part / grid.units, grid.rows);
        let units = share(part % grid.units, grid.units);
        // SAFETY: nobody has it but this function. `Crew::phases` runs each part of each phase once, and none before all parts
        // of the phase before are done.
        unsafe { checked.run_part(tier, phase, rows, units) }
    });
}
