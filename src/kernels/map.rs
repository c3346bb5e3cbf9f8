//! A function of every element of a slice.

use std::marker::PhantomData;

use crate::Element;
use crate::simd::{Kernel, Math};

/// A function of one element, for a vector of them.
pub trait Function<E: Element> {
    /// The values at `x`. Must be `#[inline(always)]`, like everything it calls.
    fn apply<S: Math<E>>(token: S, x: S::Vector) -> S::Vector;
}

/// Replaces every element by the function `F` of it.
#[derive(Debug)]
pub struct Map<'a, E, F> {
    values: &'a mut [E],
    function: PhantomData<F>,
}

impl<'a, E, F> Map<'a, E, F> {
    /// The kernel for these elements.
    pub fn new(values: &'a mut [E]) -> Self {
        Self {
            values,
            function: PhantomData,
        }
    }
}

impl<E: Element, F: Function<E>> Kernel<E> for Map<'_, E, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, token: S) {
        // Two vectors at a time: the functions are long chains, and a core that meets two of them side by side is busy.
        let mut pairs = self.values.chunks_exact_mut(2 * S::LANES);
        for pair in &mut pairs {
            let (first, second) = pair.split_at_mut(S::LANES);
            // SAFETY: both halves have `LANES` elements.
            unsafe {
                let a = F::apply(token, token.load(first.as_ptr()));
                let b = F::apply(token, token.load(second.as_ptr()));
                token.store(a, first.as_mut_ptr());
                token.store(b, second.as_mut_ptr());
            }
        }
        for rest in pairs.into_remainder().chunks_mut(S::LANES) {
            // SAFETY: `rest` has at most `LANES` elements, and no more are accessed.
            unsafe {
                let x = token.load_partial(rest.as_ptr(), rest.len());
                token.store_partial(F::apply(token, x), rest.as_mut_ptr(), rest.len());
            }
        }
    }
}
