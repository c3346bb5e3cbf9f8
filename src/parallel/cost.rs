//! What threads cost: the one table from which is decided how many of them a piece of work gets.
//!
//! Costs are in the floating-point operations that a thread does in the same time in a product of many rows, some 100 000 in
//! a microsecond. They are meant to be right within a factor of two, on the side of fewer threads. They are integers, as calls
//! are planned in whatever floating-point mode the caller has.

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

/// A byte of weights that is read from behind the second-level cache.
const BYTE: usize = 4;

/// Bytes of weights that stay in a second-level cache.
pub const CACHE: usize = 768 << 10;

/// Rows that a step takes as long as for, besides those that it has: it reads all weights whatever their number, and few rows
/// leave units of the processor idle.
const ROWS: usize = 2;

/// What more threads must be better than, where fewer cost so much: 2 percent less.
pub fn worth(cost: usize) -> usize {
    cost - cost / 50
}

/// How many times as many operations a thread does in a time loop, where what threads pay to talk to each other stays the same: on
/// an Intel Xeon with AVX-512 T 100, B 1, I 64, H 128 took 1.9 times as long on two threads as on one without it.
fn pace(tier: Tier) -> usize {
    if tier.is_wide() { 2 } else { 1 }
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
        self.part(rows, 1)
    }

    /// For each of so many threads that share the units.
    fn shared(&self, rows: usize, threads: usize) -> usize {
        let others = self.units - self.units / threads;
        let elements = rows.saturating_mul(others);
        let meeting = PHASE + PHASE_EACH * threads + elements.saturating_mul(ELEMENT);
        let meeting = meeting.saturating_mul(pace(self.tier));
        self.part(rows, threads).saturating_add(meeting)
    }

    /// What the busiest of so many threads computes and reads.
    fn part(&self, rows: usize, threads: usize) -> usize {
        let own = |all: usize| all / self.blocks * self.blocks.div_ceil(threads);
        let bytes = own(self.bytes);
        let reading = if bytes > CACHE {
            bytes.saturating_mul(BYTE)
        } else {
            0
        };
        own(self.operations)
            .saturating_mul(rows + ROWS)
            .max(reading)
    }

    /// How many threads had better share the units, and what each of them then costs: the fewest of those whose number makes
    /// little difference.
    pub fn sharing(&self, rows: usize, threads: usize) -> (usize, usize) {
        let most = threads.min(self.blocks).max(1);
        let cost = |threads| match threads {
            0 | 1 => self.alone(rows),
            _ => self.shared(rows, threads),
        };
        let least = (1..=most).map(cost).min().unwrap_or(0);
        let good = |&threads: &usize| worth(cost(threads)) <= least;
        let threads = (1..=most).find(good).unwrap_or(1);
        (threads, cost(threads))
    }
}
