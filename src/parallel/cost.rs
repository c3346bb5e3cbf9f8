//! What threads cost: the one table from which is decided how many of them a piece of work gets.
//!
//! Costs are in the floating-point operations that a thread does in the same time in a product of many rows, some 100 000 in
//! a microsecond. They are meant to be right within a factor of two, on the side of fewer threads. They are integers, as calls
//! are planned in whatever floating-point mode the caller has.

use crate::kernels::product::ROWS_AS_FAST_AS_ONE;
use crate::simd::Tier;

/// What each thread of a call must have to do: handing it over costs as much where the thread has fallen asleep.
pub const CALL: usize = 1_000_000;

/// What each thread must have to do between two times that the threads of a call, which are awake, come together.
pub const PIECE: usize = 200_000;

/// Elements that an update changes in the time of a [`PIECE`].
pub const UPDATE_PIECE: usize = 8 * 1024;

/// Elements that are copied, from where other threads have written them, in the time of a [`PIECE`].
pub const COPY_PIECE: usize = 4 * 1024;

/// A phase of a time loop whose units threads share, whatever their number, and for each of them.
const PHASE: usize = 25_000;
const PHASE_EACH: usize = 5_000;

/// An element that another thread has written and this one reads: 20 nanoseconds for a cache line, where there are many.
const ELEMENT: usize = 100;

/// An element of what a layer without products computes, in each step: half a nanosecond.
pub const ELEMENT_ALONE: usize = 50;

/// A byte of weights that is read from behind the second-level cache, in each step.
const BYTE: usize = 1;

/// Bytes of weights that stay in a second-level cache.
pub const CACHE: usize = 768 << 10;

/// Rows that a step takes as long as for, besides those that it has: it reads all weights whatever their number, and few rows
/// leave units of the processor idle.
const ROWS: usize = 2;

/// What more threads must be better than, where fewer cost so much: 2 percent less.
pub fn worth(cost: usize) -> usize {
    cost - cost / 50
}

/// What waiting for the slowest thread in each step adds to what each of them computes: an eighth. Among 16 it was a fifth to a
/// quarter; but shards wait, too, once a call.
fn waiting(cost: usize) -> usize {
    cost / 8
}

/// How many times as many operations a thread does in a time loop, where what threads pay to talk to each other stays the same: on
/// an Intel Xeon with AVX-512 T 100, B 1, I 64, H 128 took 1.9 times as long on two threads as on one without it.
fn pace(tier: Tier) -> usize {
    if tier.is_wide() { 2 } else { 1 }
}

/// How threads that share a step divide it: each has a part of the units of a part of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Parts of the rows.
    pub rows: usize,
    /// Parts of the units.
    pub units: usize,
}

impl Grid {
    /// One thread has all.
    pub const ONE: Self = Self { rows: 1, units: 1 };

    /// The number of threads.
    pub fn threads(self) -> usize {
        self.rows * self.units
    }
}

/// A step of a time loop.
#[derive(Clone, Copy, Debug)]
pub struct StepCost {
    /// The tier that it runs on.
    pub tier: Tier,
    /// Floating-point operations for each row.
    pub operations: usize,
    /// Elements of the state of a row.
    pub units: usize,
    /// Blocks that the units come in.
    pub blocks: usize,
    /// Bytes of the weights.
    pub bytes: usize,
}

impl StepCost {
    /// For one thread and so many rows.
    pub fn alone(&self, rows: usize) -> usize {
        self.part(rows, Grid::ONE)
    }

    /// For each of the threads that share it.
    fn shared(&self, rows: usize, grid: Grid) -> usize {
        let others = self.units - self.units / grid.units;
        let elements = rows.div_ceil(grid.rows).saturating_mul(others);
        let meeting = PHASE + PHASE_EACH * grid.threads() + elements.saturating_mul(ELEMENT);
        let meeting = meeting.saturating_mul(pace(self.tier));
        let part = self.part(rows, grid);
        part.saturating_add(waiting(part)).saturating_add(meeting)
    }

    /// What the busiest of the threads computes and reads.
    fn part(&self, rows: usize, grid: Grid) -> usize {
        let rows = rows.div_ceil(grid.rows);
        let own = |all: usize| all / self.blocks * self.blocks.div_ceil(grid.units);
        let bytes = own(self.bytes);
        let reading = bytes.saturating_sub(CACHE).saturating_mul(BYTE);
        own(self.operations)
            .saturating_mul(rows + ROWS)
            .saturating_add(reading)
    }

    /// How so many threads had better share it, where its rows may be cut or not, and what each of them then costs: the fewest of
    /// those whose number makes little difference.
    pub fn sharing(&self, rows: usize, cuts_rows: bool, threads: usize) -> (Grid, usize) {
        let alone = (Grid::ONE, self.alone(rows));
        if threads < 2 {
            return alone;
        }
        let cost = |grid: &Grid| match grid.threads() {
            1 => alone.1,
            _ => self.shared(rows, *grid),
        };
        let most = if cuts_rows {
            threads.min(rows / ROWS_AS_FAST_AS_ONE)
        } else {
            1
        };
        let grids = || {
            let powers = (0..usize::BITS).map(|power| 1 << power);
            let parts = powers.take_while(|&parts| parts == 1 || parts <= most);
            parts.flat_map(|rows| {
                let most = (threads / rows).clamp(1, self.blocks);
                (1..=most).map(move |units| Grid { rows, units })
            })
        };
        let least = grids().map(|grid| cost(&grid)).min().unwrap_or(0);
        let good = grids().filter(|grid| worth(cost(grid)) <= least);
        let grid = good.min_by_key(|grid| grid.threads()).unwrap_or(Grid::ONE);
        (grid, cost(&grid))
    }
}
