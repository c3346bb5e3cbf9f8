//! Rows of tables: how they are looked up, and how gradients come back to them.

use std::ops::Range;

use crate::Element;
use crate::simd::{Kernel, Math, Tier};

/// Some columns of a row and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Columns that pass: the first one, where it goes, and how many there are.
    Passes(usize, usize, usize),
    /// A column that is an index, and where its row of the table goes.
    Index(usize, usize),
}

/// The row of a table that an element names: it is an integer.
#[inline(always)]
pub fn index_of<E: Element>(element: E) -> usize {
    element.to_f64() as usize
}

/// Adds gradients of looked-up rows to those of the table: the last row of gradients first, and of each the last part first.
#[derive(Debug)]
pub struct AddToTable<'a, E> {
    /// What each row is made of.
    pub parts: &'a [Part],
    /// The rows with the indices, and the distance of one from the next.
    pub x: (&'a [E], usize),
    /// The gradients, and the distance of one row from the next.
    pub dy: (&'a [E], usize),
    /// Number of rows.
    pub rows: usize,
    /// Those of the table that are wanted.
    pub wanted: Range<usize>,
    /// Elements of a row of the table.
    pub size: usize,
    /// The sums, of the wanted rows.
    pub sums: &'a mut [E],
}

impl<E: Element> AddToTable<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

impl<E: Element> Kernel<E> for AddToTable<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        for row in (0..self.rows).rev() {
            let x = &self.x.0[row * self.x.1..];
            let dy = &self.dy.0[row * self.dy.1..];
            for part in self.parts.iter().rev() {
                let Part::Index(column, to) = *part else {
                    continue;
                };
                let index = index_of(x[column]);
                if self.wanted.contains(&index) {
                    let start = (index - self.wanted.start) * self.size;
                    let sums = &mut self.sums[start..][..self.size];
                    for (sum, &dy) in sums.iter_mut().zip(&dy[to..][..self.size]) {
                        *sum += dy;
                    }
                }
            }
        }
    }
}
