//! What a cell makes of the sums of its units.

use super::stage::MAX_SUMS;
use crate::Element;
use crate::activation::Activation;
use crate::kernels::tile::{load, store};
use crate::simd::{Kernel, Math, Simd};

/// What a cell makes of the sums of a vector of units.
pub trait Units<E: Element>: Sync {
    /// The form of it that most networks have, which is compiled by itself; or the same.
    type Usual: Units<E>;

    /// Whether it may have that form.
    const HAS_USUAL: bool = true;

    /// Whether it is a call for each vector of units, so that the loops around it are the same code for all such.
    const IS_CALL: bool = true;

    /// Whether it runs from the first step to the last one: then a sequence that is alone has a loop of its own.
    const IS_FORWARD: bool = true;

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

/// [`Units::apply`] as a call.
pub type Apply<'a, E, S> = &'a dyn Fn(&[<S as Simd<E>>::Vector; MAX_SUMS], &Unit<'_, E, S>);

/// What takes the sums of a vector of units. A closure would not be sure to be inlined, and so to be compiled for its tier.
pub trait TakeSums<E: Element, S: Math<E>> {
    /// Takes them. Must be `#[inline(always)]`.
    fn take(&self, sums: [S::Vector; MAX_SUMS], unit: &Unit<'_, E, S>);
}

/// The cell itself, at a stage.
pub struct Inline<'a, U, S> {
    pub units: &'a U,
    pub token: S,
    pub stage: usize,
}

impl<E: Element, S: Math<E>, U: Units<E>> TakeSums<E, S> for Inline<'_, U, S> {
    #[inline(always)]
    fn take(&self, sums: [S::Vector; MAX_SUMS], unit: &Unit<'_, E, S>) {
        self.units.apply(self.token, self.stage, sums, unit);
    }
}

/// A cell that is a call.
pub struct ByCall<'a, E: Element, S: Math<E>>(pub Apply<'a, E, S>);

impl<E: Element, S: Math<E>> TakeSums<E, S> for ByCall<'_, E, S> {
    #[inline(always)]
    fn take(&self, sums: [S::Vector; MAX_SUMS], unit: &Unit<'_, E, S>) {
        (self.0)(&sums, unit);
    }
}

/// [`Units::apply`] for a vector of units, in a kernel of its own.
pub struct ApplyUnits<'a, 'b, E: Element, T: Math<E>, U> {
    pub units: &'a U,
    pub token: T,
    pub stage: usize,
    pub sums: &'a [T::Vector; MAX_SUMS],
    pub unit: &'a Unit<'b, E, T>,
}

impl<E: Element, T: Math<E>, U: Units<E>> Kernel<E> for ApplyUnits<'_, '_, E, T, U> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        self.units
            .apply(self.token, self.stage, *self.sums, self.unit);
    }
}

impl<E: Element> Units<E> for StoreSums {
    type Usual = Self;
    const HAS_USUAL: bool = false;
    const IS_CALL: bool = false;
    const IS_FORWARD: bool = false;

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
