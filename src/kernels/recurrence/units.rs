//! What a cell makes of the sums of its units.

use super::stage::MAX_SUMS;
use crate::Element;
use crate::activation::Activation;
use crate::kernels::tile::{load, store};
use crate::simd::Math;

/// What a cell makes of the sums of a vector of units.
pub trait Units<E: Element>: Sync {
    /// The form of it that most networks have, which is compiled by itself; or the same.
    type Usual: Units<E>;

    /// Sums of its first stage, and how many of them a product adds to, where steps of one row are to be compiled with these
    /// numbers.
    const SUMS: Option<(usize, usize)> = None;

    /// That form, where it has it.
    #[inline(always)]
    fn usual(&self) -> Option<Self::Usual> {
        None
    }

    /// The activation functions of a stage's sums, whose values the cell takes. Applied to many rows one after the other, none of
    /// them waits for what the cell makes of another.
    #[inline(always)]
    fn activations(&self, _stage: usize) -> [Activation; MAX_SUMS] {
        [Activation::Linear; MAX_SUMS]
    }

    /// Takes the sums of a stage for a vector of units of one row, and reads and writes slots of the stage. Must be
    /// `#[inline(always)]`, like everything it calls.
    fn apply<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    );
}

/// Stores each sum in the slot of its index.
#[derive(Debug)]
pub struct StoreSums;

impl<E: Element> Units<E> for StoreSums {
    type Usual = Self;

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        _: S,
        _: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        for (index, &sum) in sums.iter().enumerate().take(unit.writes.len()) {
            unit.write(index, sum);
        }
    }
}

/// A vector of units of one row, as a cell sees it: what its stage reads and writes there.
#[derive(Debug)]
pub struct Unit<'a, E, S> {
    token: S,
    /// The row of each slot, from the block's first unit on.
    reads: &'a [*mut E],
    writes: &'a [*mut E],
    /// The first unit, counted from the block's first one.
    unit: usize,
    /// The same, counted from the very first one.
    parameter: usize,
    count: usize,
}

impl<'a, E: Element, S: Math<E>> Unit<'a, E, S> {
    /// `count` units from the `unit`-th one of a block on, whose first one is `first`, in rows from that one on.
    ///
    /// # Safety
    /// - The stage's slots must have these rows and units, and those of what it writes must be this thread's.
    #[inline(always)]
    pub unsafe fn new(
        token: S,
        (reads, writes): (&'a [*mut E], &'a [*mut E]),
        unit: usize,
        first: usize,
        count: usize,
    ) -> Self {
        Self {
            token,
            reads,
            writes,
            unit,
            parameter: first + unit,
            count,
        }
    }

    /// What a slot that the stage reads holds. Lanes behind the last unit are 0.
    ///
    /// # Panics
    /// Where the stage reads no such slot.
    #[inline(always)]
    pub fn read(&self, index: usize) -> S::Vector {
        // SAFETY: whoever made it has promised that the slots have its units, and that those written are this thread's.
        unsafe { load(self.token, self.reads[index].add(self.unit), self.count) }
    }

    /// Stores `value` in a slot that the stage writes.
    ///
    /// # Panics
    /// Where the stage writes no such slot.
    #[inline(always)]
    pub fn write(&self, index: usize, value: S::Vector) {
        // SAFETY: as in `read`.
        unsafe {
            let to = self.writes[index].add(self.unit);
            store(self.token, value, to, self.count);
        }
    }

    /// The units' elements of a row of parameters.
    ///
    /// # Panics
    /// Where it is shorter than there are units.
    #[inline(always)]
    pub fn parameter(&self, row: &[E]) -> S::Vector {
        let values = &row[self.parameter..self.parameter + self.count];
        // SAFETY: there are as many elements.
        unsafe { load(self.token, values.as_ptr(), values.len()) }
    }
}
