//! Normalisation of rows: each by its own mean and variance.
//!
//! No operation is fused, and the sums over a row are 16 chains whatever the width of a vector is, so all tiers give the same
//! bits.

use std::array;

use crate::Element;
use crate::simd::{Kernel, Math, Tier};

/// Chains of a sum: as many as the widest vector has lanes.
const CHAINS: usize = 16;

/// Σ term(row_i). Element i goes to chain i mod 16, and the chains are added from the first to the last.
#[inline(always)]
fn sum<E: Element, const N: usize>(rows: [&[E]; N], term: impl Fn([E; N]) -> E) -> E {
    let mut sums = [E::ZERO; CHAINS];
    let chunks = rows.map(|row| row.as_chunks::<CHAINS>());
    for chunk in 0..chunks[0].0.len() {
        let values = chunks.map(|(whole, _)| &whole[chunk]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(array::from_fn(|row| values[row][lane]));
        }
    }
    let rest = chunks.map(|(_, rest)| rest);
    for (index, sum) in sums[..rest[0].len()].iter_mut().enumerate() {
        *sum += term(array::from_fn(|row| rest[row][index]));
    }
    sums.into_iter().fold(E::ZERO, |total, sum| total + sum)
}

/// Rows of a buffer: its elements and the distance of one row from the next.
type From<'a, E> = (&'a [E], usize);
type To<'a, E> = (&'a mut [E], usize);

/// `y = (x - mean) / sqrt(variance + epsilon) gain + bias` for every row.
#[derive(Debug)]
pub struct NormalizeRows<'a, E> {
    /// What is added to a variance.
    pub epsilon: E,
    /// The factor of each element.
    pub gain: &'a [E],
    /// What is added to each element, as many.
    pub bias: &'a [E],
    /// The rows.
    pub x: From<'a, E>,
    /// For the results.
    pub y: To<'a, E>,
    /// For the mean of each row and the inverse of its deviation, side by side.
    pub moments: To<'a, E>,
}

impl<E: Element> NormalizeRows<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

impl<E: Element> Kernel<E> for NormalizeRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let width = self.gain.len();
        let count = E::from_f64(width as f64);
        let x = self.x.0.chunks(self.x.1);
        let y = self.y.0.chunks_mut(self.y.1);
        let moments = self.moments.0.chunks_mut(self.moments.1);
        for ((x, y), moments) in x.zip(y).zip(moments) {
            let (x, y) = (&x[..width], &mut y[..width]);
            let mean = sum([x], |[x]| x) / count;
            let squares = sum([x], |[x]| (x - mean) * (x - mean));
            let inverse = E::ONE / (squares / count + self.epsilon).sqrt();
            (moments[0], moments[1]) = (mean, inverse);
            let numbers = self.gain.iter().zip(&self.bias[..width]);
            for ((y, &x), (&gain, &bias)) in y.iter_mut().zip(x).zip(numbers) {
                *y = (x - mean) * inverse * gain + bias;
            }
        }
    }
}

/// The gradients of what [`NormalizeRows`] has read, given those of its results.
#[derive(Debug)]
pub struct NormalizeRowsBackward<'a, E> {
    /// The factor of each element.
    pub gain: &'a [E],
    /// The rows that it has read.
    pub x: From<'a, E>,
    /// Their moments.
    pub moments: From<'a, E>,
    /// The gradients of its results.
    pub dy: From<'a, E>,
    /// For the gradients of `x`.
    pub dx: To<'a, E>,
    /// Whether they are added to what is there.
    pub accumulate: bool,
}

impl<E: Element> NormalizeRowsBackward<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

impl<E: Element> Kernel<E> for NormalizeRowsBackward<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let (gain, width) = (self.gain, self.gain.len());
        let count = E::from_f64(width as f64);
        let x = self.x.0.chunks(self.x.1);
        let moments = self.moments.0.chunks(self.moments.1);
        let dy = self.dy.0.chunks(self.dy.1);
        let dx = self.dx.0.chunks_mut(self.dx.1);
        for (((x, moments), dy), dx) in x.zip(moments).zip(dy).zip(dx) {
            let (x, dy, dx) = (&x[..width], &dy[..width], &mut dx[..width]);
            let (mean, inverse) = (moments[0], moments[1]);
            let along = sum([dy, gain], |[dy, gain]| dy * gain) / count;
            let across = sum([dy, gain, x], |[dy, gain, x]| {
                dy * gain * ((x - mean) * inverse)
            }) / count;
            for ((dx, &x), (&dy, &gain)) in dx.iter_mut().zip(x).zip(dy.iter().zip(gain)) {
                let own = dy * gain - along - (x - mean) * inverse * across;
                let value = own * inverse;
                *dx = if self.accumulate { *dx + value } else { value };
            }
        }
    }
}

/// Adds the gradients of the factors, the last row first: each sum is one chain.
#[derive(Debug)]
pub struct AddGainGradients<'a, E> {
    /// The rows that were normalised.
    pub x: From<'a, E>,
    /// Their moments.
    pub moments: From<'a, E>,
    /// The gradients of the results.
    pub dy: From<'a, E>,
    /// Number of rows.
    pub rows: usize,
    /// The sums.
    pub sums: &'a mut [E],
}

impl<E: Element> AddGainGradients<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

impl<E: Element> Kernel<E> for AddGainGradients<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let width = self.sums.len();
        for row in (0..self.rows).rev() {
            let x = &self.x.0[row * self.x.1..][..width];
            let dy = &self.dy.0[row * self.dy.1..][..width];
            let moments = &self.moments.0[row * self.moments.1..];
            let (mean, inverse) = (moments[0], moments[1]);
            for ((sum, &x), &dy) in self.sums.iter_mut().zip(x).zip(dy) {
                *sum += dy * ((x - mean) * inverse);
            }
        }
    }
}
