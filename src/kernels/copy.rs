//! Rows between the caller's order and the engine's. A call of `memcpy` for each short row would take longer than the
//! arithmetic of a small network.

use crate::Element;
use crate::simd::{Kernel, Math, Tier};

/// Where rows are.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// Row i at `i * stride`.
    Every(usize),
    /// Row i at `order[i] * stride`.
    Ordered(&'a [usize], usize),
}

impl Rows<'_> {
    #[inline(always)]
    fn at(self, row: usize) -> usize {
        match self {
            Self::Every(stride) => row * stride,
            Self::Ordered(order, stride) => order[row] * stride,
        }
    }
}

/// Copies `count` rows of `width` elements.
///
/// # Safety
/// - For each row, `width` elements must be readable at its place behind `from`, and writable at its place behind `to`.
/// - What is read must not overlap what is written.
pub unsafe fn copy_rows<E: Element>(
    tier: Tier,
    count: usize,
    width: usize,
    from: *const E,
    from_rows: Rows<'_>,
    to: *mut E,
    to_rows: Rows<'_>,
) {
    tier.run(CopyRows {
        count,
        width,
        from,
        from_rows,
        to,
        to_rows,
    });
}

struct CopyRows<'a, E> {
    count: usize,
    width: usize,
    from: *const E,
    from_rows: Rows<'a>,
    to: *mut E,
    to_rows: Rows<'a>,
}

impl<E: Element> Kernel<E> for CopyRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        let whole = self.width - self.width % S::LANES;
        for row in 0..self.count {
            // SAFETY: `copy_rows` is the only one who makes this kernel; its caller allows these accesses.
            unsafe {
                let from = self.from.add(self.from_rows.at(row));
                let to = self.to.add(self.to_rows.at(row));
                let mut start = 0;
                while start < whole {
                    token.store(token.load(from.add(start)), to.add(start));
                    start += S::LANES;
                }
                if whole < self.width {
                    let rest = self.width - whole;
                    let values = token.load_partial(from.add(whole), rest);
                    token.store_partial(values, to.add(whole), rest);
                }
            }
        }
    }
}

/// Copies the rows of `width` elements that begin `offset` behind the start of each of `order`'s rows of `from` to rows
/// of `to`, one every `to_stride`.
///
/// # Panics
/// Where a row does not lie in its slice.
pub fn gather<E: Element>(
    tier: Tier,
    width: usize,
    from: &[E],
    (order, stride, offset): (&[usize], usize, usize),
    to: &mut [E],
    to_stride: usize,
) {
    let Some(last) = order.len().checked_sub(1) else {
        return;
    };
    let end = |start: usize| start.saturating_add(offset).saturating_add(width);
    let inside = |&row: &usize| end(row.saturating_mul(stride)) <= from.len();
    assert!(order.iter().all(inside));
    assert!(last.saturating_mul(to_stride).saturating_add(width) <= to.len());
    // SAFETY: every row has just been found to lie in its slice; a shared slice does not overlap an exclusive one.
    unsafe {
        let from = from.as_ptr().add(offset);
        let rows = Rows::Ordered(order, stride);
        let to_rows = Rows::Every(to_stride);
        copy_rows(
            tier,
            order.len(),
            width,
            from,
            rows,
            to.as_mut_ptr(),
            to_rows,
        );
    }
}
