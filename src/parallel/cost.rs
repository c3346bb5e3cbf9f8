//! What threads cost: the one table from which is decided how many of them a piece of work gets.
//!
//! Costs are in the floating-point operations that a thread does in the same time in a product of many rows, some 100 000 in
//! a microsecond. They are meant to be right within a factor of two, on the side of fewer threads.

/// What each thread of a call must have to do: handing it over costs as much where the thread has fallen asleep.
pub const CALL: usize = 1_000_000;

/// What each thread must have to do between two times that the threads of a call, which are awake, come together.
pub const PIECE: usize = 200_000;

/// Elements that an update changes in the time of a [`PIECE`].
pub const UPDATE_PIECE: usize = 8 * 1024;

/// A phase of a time loop whose units threads share, whatever their number, and for each of them.
const PHASE: f64 = 25_000.0;
const PHASE_EACH: f64 = 5_000.0;

/// An element that another thread has written and this one reads: 20 nanoseconds for a cache line, where there are many.
const ELEMENT: f64 = 100.0;

/// A byte of weights that is read from behind the second-level cache.
const BYTE: f64 = 4.0;

/// Bytes of weights that stay in a second-level cache.
pub const CACHE: usize = 768 << 10;

/// Rows that a step takes as long as for, besides those that it has: it reads all weights whatever their number, and few rows
/// leave units of the processor idle.
const ROWS: f64 = 2.0;

/// By what part of the time more threads must be better than fewer.
pub const WORTH: f64 = 0.02;

/// A step of a time loop.
#[derive(Clone, Copy, Debug)]
pub struct StepCost {
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
    pub fn alone(&self, rows: f64) -> f64 {
        self.part(rows, 1.0)
    }

    /// For each of so many threads that share the units.
    fn shared(&self, rows: f64, threads: usize) -> f64 {
        let part = self.blocks.div_ceil(threads) as f64 / self.blocks as f64;
        let others = (threads - 1) as f64 / threads as f64;
        let elements = rows * self.units as f64 * others;
        self.part(rows, part) + PHASE + PHASE_EACH * threads as f64 + ELEMENT * elements
    }

    fn part(&self, rows: f64, part: f64) -> f64 {
        let bytes = self.bytes as f64 * part;
        let reading = if bytes > CACHE as f64 {
            BYTE * bytes
        } else {
            0.0
        };
        (self.operations as f64 * part * (rows + ROWS)).max(reading)
    }

    /// How many threads had better share the units, and what each of them then costs: the fewest of those whose number makes
    /// little difference.
    pub fn sharing(&self, rows: f64, threads: usize) -> (usize, f64) {
        let most = threads.min(self.blocks);
        let cost = |threads| match threads {
            0 | 1 => self.alone(rows),
            _ => self.shared(rows, threads),
        };
        let least = (1..=most).map(cost).fold(f64::INFINITY, f64::min);
        let good = |&threads: &usize| cost(threads) * (1.0 - WORTH) <= least;
        let threads = (1..=most).find(good).unwrap_or(1);
        (threads, cost(threads))
    }
}
