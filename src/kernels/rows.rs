//! Element-wise work on rows.

use super::activate::{Activate, ActivateRows, ScaleByDerivative, ScaleRows};
use crate::Element;
use crate::activation::Activation;
use crate::simd::{Kernel, Math, Tier};

/// Replaces each element by the activation function of it.
pub fn apply<E: Element>(tier: Tier, activation: Activation, values: &mut [E]) {
    tier.run(Activate { activation, values });
}

/// The activation function of rows of `width` elements, one every so many.
///
/// # Panics
/// Where a row is shorter than `width`.
pub fn activate_rows<'a, E: Element>(
    tier: Tier,
    activation: Activation,
    width: usize,
    from: (&'a [E], usize),
    to: (&'a mut [E], usize),
) {
    tier.run(ActivateRows {
        activation,
        width,
        from,
        to,
    });
}

/// `to = gradients` times the derivative of `activation` where its value is `values`, or `to += ` that: rows as those of
/// [`activate_rows`].
///
/// # Panics
/// As [`activate_rows`].
pub fn scale_rows<'a, E: Element>(
    tier: Tier,
    activation: Activation,
    width: usize,
    [gradients, values]: [(&'a [E], usize); 2],
    to: (&'a mut [E], usize),
    accumulate: bool,
) {
    tier.run(ScaleRows {
        activation,
        width,
        gradients,
        values,
        to,
        accumulate,
    });
}

/// Multiplies each gradient by the derivative of `activation` where its value is `values`.
///
/// # Panics
/// Where the lengths differ.
pub fn scale_by_derivative<E: Element>(
    tier: Tier,
    activation: Activation,
    gradients: &mut [E],
    values: &[E],
) {
    assert_eq!(gradients.len(), values.len());
    tier.run(ScaleByDerivative {
        activation,
        gradients,
        values,
    });
}

/// Adds `rows` rows, one every `stride`, to `sums`, the last row first: each sum is one chain.
///
/// # Panics
/// Where `values` is too short.
pub fn add_rows_backwards<E: Element>(
    tier: Tier,
    values: &[E],
    stride: usize,
    rows: usize,
    sums: &mut [E],
) {
    let last_row = rows.saturating_sub(1).saturating_mul(stride);
    assert!(rows == 0 || last_row.saturating_add(sums.len()) <= values.len());
    tier.run(AddRowsBackwards {
        values,
        stride,
        rows,
        sums,
    });
}

struct AddRowsBackwards<'a, E> {
    values: &'a [E],
    stride: usize,
    rows: usize,
    sums: &'a mut [E],
}

impl<E: Element> Kernel<E> for AddRowsBackwards<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let columns = self.sums.len();
        let (values, sums) = (self.values.as_ptr(), self.sums.as_mut_ptr());
        let mut column = 0;
        while column < columns {
            let count = S::LANES.min(columns - column);
            // SAFETY: `column + count <= columns`, and the caller has checked that every row has `columns` elements.
            unsafe {
                let mut sum = token.load_partial(sums.add(column), count);
                for row in (0..self.rows).rev() {
                    let value = token.load_partial(values.add(row * self.stride + column), count);
                    sum = token.add(sum, value);
                }
                token.store_partial(sum, sums.add(column), count);
            }
            column += count;
        }
    }
}

/// Adds the products of `rows` rows of two buffers, each one every so many elements, to `sums`, the last row first: each sum
/// is one chain.
///
/// # Panics
/// Where one is too short.
pub fn add_products_backwards<E: Element>(
    tier: Tier,
    (left, left_stride): (&[E], usize),
    (right, right_stride): (&[E], usize),
    rows: usize,
    sums: &mut [E],
) {
    let reach = |stride: usize| {
        let last_row = rows.saturating_sub(1).saturating_mul(stride);
        last_row.saturating_add(sums.len())
    };
    assert!(rows == 0 || reach(left_stride) <= left.len() && reach(right_stride) <= right.len());
    tier.run(AddProductsBackwards {
        left: (left, left_stride),
        right: (right, right_stride),
        rows,
        sums,
    });
}

struct AddProductsBackwards<'a, E> {
    left: (&'a [E], usize),
    right: (&'a [E], usize),
    rows: usize,
    sums: &'a mut [E],
}

impl<E: Element> Kernel<E> for AddProductsBackwards<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let columns = self.sums.len();
        let sums = self.sums.as_mut_ptr();
        let ((left, left_stride), (right, right_stride)) = (self.left, self.right);
        let mut column = 0;
        while column < columns {
            let count = S::LANES.min(columns - column);
            // SAFETY: `column + count <= columns`, and the caller has checked that every row has `columns` elements.
            unsafe {
                let mut sum = token.load_partial(sums.add(column), count);
                for row in (0..self.rows).rev() {
                    let left = left.as_ptr().add(row * left_stride + column);
                    let right = right.as_ptr().add(row * right_stride + column);
                    let (left, right) = (
                        token.load_partial(left, count),
                        token.load_partial(right, count),
                    );
                    sum = token.mul_add(left, right, sum);
                }
                token.store_partial(sum, sums.add(column), count);
            }
            column += count;
        }
    }
}

/// Copies the first `width` elements of each row, one every so many elements.
///
/// # Panics
/// Where a row is too short.
pub fn copy_rows<E: Element>(
    width: usize,
    (from, from_stride): (&[E], usize),
    (to, to_stride): (&mut [E], usize),
) {
    for (from, to) in from.chunks(from_stride).zip(to.chunks_mut(to_stride)) {
        to[..width].copy_from_slice(&from[..width]);
    }
}

/// Adds the first `width` elements of each row, one every so many elements, to those of another.
///
/// # Panics
/// Where a row is too short.
pub fn add_rows<E: Element>(tier: Tier, width: usize, from: (&[E], usize), to: (&mut [E], usize)) {
    tier.run(AddRows { width, from, to });
}

struct AddRows<'a, E> {
    width: usize,
    from: (&'a [E], usize),
    to: (&'a mut [E], usize),
}

impl<E: Element> Kernel<E> for AddRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let from = self.from.0.chunks(self.from.1);
        for (from, to) in from.zip(self.to.0.chunks_mut(self.to.1)) {
            for (to, &from) in to[..self.width].iter_mut().zip(&from[..self.width]) {
                *to += from;
            }
        }
    }
}
