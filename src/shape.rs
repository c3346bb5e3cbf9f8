//! The only place where sizes are multiplied.
//!
//! Every size that follows from a caller's numbers goes through [`product`], so that an overflow is an error and never
//! a small buffer.

use crate::{Error, Result};

/// The product of `sizes`, as the number of elements of `what`.
///
/// The product times 8 bytes (the largest element type) must fit in an `isize`: no allocation can be larger, and byte
/// counts of a checked size can be computed without a further check. Where one of the sizes is 0, so is the product,
/// wherever it stands and however large the others are.
///
/// # Errors
/// [`Error::SizeOverflow`] where it does not.
pub fn product(what: &'static str, sizes: &[usize]) -> Result<usize> {
    const LIMIT: usize = isize::MAX as usize / 8;
    if sizes.contains(&0) {
        return Ok(0);
    }
    let mut sizes = sizes.iter();
    let total = sizes.try_fold(1_usize, |total, &size| total.checked_mul(size));
    match total {
        Some(total) if total <= LIMIT => Ok(total),
        _ => Err(Error::SizeOverflow { what }),
    }
}

/// The sum of `sizes`, with the limit of [`product`].
///
/// # Errors
/// [`Error::SizeOverflow`] where the sum is beyond the limit.
pub fn sum(what: &'static str, sizes: &[usize]) -> Result<usize> {
    let mut sizes = sizes.iter();
    let total = sizes.try_fold(0_usize, |total, &size| total.checked_add(size));
    product(what, &[total.unwrap_or(usize::MAX)])
}

/// Checks that `name` has exactly `expected` elements.
///
/// # Errors
/// [`Error::Length`] where it has not.
#[inline]
pub fn expect_len(name: &'static str, actual: usize, expected: usize) -> Result<()> {
    #[cold]
    fn mismatch(name: &'static str, actual: usize, expected: usize) -> Error {
        Error::Length {
            name,
            actual,
            expected,
        }
    }
    match actual == expected {
        true => Ok(()),
        false => Err(mismatch(name, actual, expected)),
    }
}

/// Checks that a size is not zero.
///
/// # Errors
/// [`Error::ZeroSize`] where it is.
pub fn expect_nonzero(name: &'static str, size: usize) -> Result<usize> {
    if size == 0 {
        Err(Error::ZeroSize { name })
    } else {
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_that_fit_are_exact_and_others_are_errors() {
        assert_eq!(product("x", &[3, 5, 7]).unwrap(), 105);
        assert_eq!(product("x", &[]).unwrap(), 1);
        assert!(product("x", &[usize::MAX / 2, 3]).is_err());
        assert!(product("x", &[isize::MAX as usize / 8 + 1]).is_err());
        assert!(product("x", &[isize::MAX as usize / 8]).is_ok());
        assert!(sum("x", &[usize::MAX, 1]).is_err());
        assert_eq!(sum("x", &[2, 3]).unwrap(), 5);
    }

    #[test]
    fn a_zero_makes_a_product_zero_wherever_it_stands() {
        for sizes in [
            [0, usize::MAX, 2],
            [usize::MAX, 0, 2],
            [usize::MAX, 2, 0],
            [3, 5, 0],
        ] {
            assert_eq!(product("x", &sizes).unwrap(), 0, "{sizes:?}");
        }
        assert_eq!(product("x", &[0]).unwrap(), 0);
        assert!(product("x", &[usize::MAX, 2, 1]).is_err());
    }
}
