//! Sums over slices in one fixed order.

/// Independent partial sums: enough to fill the vector registers of any tier, so that the compiler can use them
/// without changing the order.
const LANES: usize = 8;

/// Σ a_i b_i, accumulated in `f64`. Element i goes to partial sum i mod 8, and the partial sums are added from the
/// first to the last: the order depends on the length alone.
///
/// The slices are equally long.
pub(crate) fn dot<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (*a).into() * (*b).into();
        }
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += (*a).into() * (*b).into();
    }
    sums.into_iter().fold(0.0, |total, sum| total + sum)
}

/// Σ a_i, in the order of [`dot`].
pub(crate) fn sum<T: Copy + Into<f64>>(a: &[T]) -> f64 {
    let (a, rest) = a.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for a in a {
        for (sum, a) in sums.iter_mut().zip(a) {
            *sum += (*a).into();
        }
    }
    for (sum, a) in sums.iter_mut().zip(rest) {
        *sum += (*a).into();
    }
    sums.into_iter().fold(0.0, |total, sum| total + sum)
}

#[cfg(test)]
mod tests {
    use super::{dot, sum};

    #[test]
    fn every_element_counts_once_whatever_the_length() {
        for len in 0..40 {
            let ramp: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let total: f64 = (0..len).map(f64::from).sum();
            let squares: f64 = (0..len).map(|i| f64::from(i * i)).sum();
            assert_eq!(dot(&ramp, &ramp), squares, "length {len}");
            assert_eq!(sum(&ramp), total, "length {len}");
        }
    }
}
