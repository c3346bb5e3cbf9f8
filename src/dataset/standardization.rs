//! Shifting and scaling every feature to mean 0 and deviation 1.

use super::expect_finite;
use crate::buffer::try_vec;
use crate::{Element, Error, Result, in_engine_mode, shape};

/// The mean and the standard deviation of every feature, and the map `x -> (x - mean) * (1 / deviation)`.
///
/// The map rounds twice per element (one subtraction, one multiplication) on every machine, so it gives the same bits
/// everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardization<E: Element = f32> {
    mean: Vec<E>,
    deviation: Vec<E>,
    inverse: Vec<E>,
}

impl<E: Element> Standardization<E> {
    /// The standardization with the given `mean` and `deviation`, one of each per feature.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] without features; [`Error::Length`] where `deviation` is not as long as `mean`;
    /// [`Error::NotFiniteAt`] for a number that is not finite; [`Error::OutOfRange`] for a deviation that is not
    /// positive or so small that its inverse overflows; [`Error::OutOfMemory`].
    pub fn new(mean: Vec<E>, deviation: Vec<E>) -> Result<Self> {
        in_engine_mode(|| Self::of(mean, deviation))
    }

    fn of(mean: Vec<E>, deviation: Vec<E>) -> Result<Self> {
        let size = shape::expect_nonzero("the number of features", mean.len())?;
        shape::expect_len("deviation", deviation.len(), size)?;
        expect_finite("mean", &mean)?;
        expect_finite("deviation", &deviation)?;
        let mut inverse = try_vec("a standardization", size)?;
        for &value in &deviation {
            let reciprocal = E::ONE / value;
            if value <= E::ZERO || !reciprocal.is_finite() {
                return Err(Error::OutOfRange {
                    name: "deviation",
                    value: value.to_f64(),
                    expected: "a number above 0 with a finite inverse",
                });
            }
            inverse.push(reciprocal);
        }
        Ok(Self {
            mean,
            deviation,
            inverse,
        })
    }

    /// The mean and the population deviation of every column of `rows` `[count][size]`; a column that is constant, or
    /// so nearly that its deviation has no finite inverse, gets deviation 1.
    ///
    /// Welford's recurrence in `f64`, row after row: it loses no digits to a large mean, and the squares of a constant
    /// column sum to exactly 0.
    #[cfg(feature = "datasets")]
    pub(super) fn measure(rows: &[E], size: usize) -> Result<Self> {
        in_engine_mode(|| Self::of_rows(rows, size))
    }

    #[cfg(feature = "datasets")]
    fn of_rows(rows: &[E], size: usize) -> Result<Self> {
        let what = "a standardization";
        let (mut mean, mut squares) = (try_vec(what, size)?, try_vec(what, size)?);
        mean.resize(size, 0.0_f64);
        squares.resize(size, 0.0_f64);
        let mut count = 0.0;
        for row in rows.chunks_exact(size) {
            count += 1.0;
            for ((x, mean), squares) in row.iter().zip(&mut mean).zip(&mut squares) {
                let x = x.to_f64();
                let delta = x - *mean;
                *mean += delta / count;
                *squares += delta * (x - *mean);
            }
        }

        let (mut means, mut deviations) = (try_vec(what, size)?, try_vec(what, size)?);
        means.extend(mean.into_iter().map(E::from_f64));
        deviations.extend(squares.into_iter().map(|squares| {
            let deviation = E::from_f64((squares / count).sqrt());
            if (E::ONE / deviation).is_finite() {
                deviation
            } else {
                E::ONE
            }
        }));
        Self::of(means, deviations)
    }

    /// The same means and deviations in the type of another network, which holds each of them exactly.
    pub(crate) fn try_clone<F: Element>(&self) -> Result<Standardization<F>> {
        let convert = |values: &[E]| {
            let mut converted = try_vec("a standardization", values.len())?;
            converted.extend(values.iter().map(|value| F::from_f64(value.to_f64())));
            Ok::<_, Error>(converted)
        };
        Standardization::new(convert(&self.mean)?, convert(&self.deviation)?)
    }

    /// A copy that leaves some columns as they are.
    pub(crate) fn without(&self, columns: impl Iterator<Item = usize>) -> Result<Self> {
        let mut copy = self.try_clone::<E>()?;
        for column in columns {
            copy.mean[column] = E::ZERO;
            copy.deviation[column] = E::ONE;
            copy.inverse[column] = E::ONE;
        }
        Ok(copy)
    }

    /// Number of features.
    pub fn size(&self) -> usize {
        self.mean.len()
    }

    /// The mean of every feature.
    pub fn mean(&self) -> &[E] {
        &self.mean
    }

    /// The standard deviation of every feature, above 0.
    pub fn deviation(&self) -> &[E] {
        &self.deviation
    }

    /// `1 / deviation` of every feature: the derivative of the map.
    pub fn inverse(&self) -> &[E] {
        &self.inverse
    }

    /// Maps `rows` `[count][size]` in place.
    ///
    /// # Errors
    /// [`Error::Length`] where `rows` is not made of whole rows; it is then as it was.
    pub fn apply(&self, rows: &mut [E]) -> Result<()> {
        let expected = rows.len().next_multiple_of(self.size());
        shape::expect_len("rows", rows.len(), expected)?;
        in_engine_mode(|| {
            for row in rows.chunks_exact_mut(self.size()) {
                self.apply_row(row);
            }
        });
        Ok(())
    }

    /// Maps one row of `size` features in place.
    pub(crate) fn apply_row(&self, row: &mut [E]) {
        for ((x, &mean), &inverse) in row.iter_mut().zip(&self.mean).zip(&self.inverse) {
            *x = (*x - mean) * inverse;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_measured_as_if_its_mean_were_zero() {
        // The sum of squares of such a column has no digit left of the deviation 1.
        let rows = [1e8, 1e8 + 2.0, 1e8, 1e8 + 2.0];
        let measured = Standardization::<f64>::measure(&rows, 1).unwrap();
        assert_eq!(measured.mean(), [1e8 + 1.0]);
        assert_eq!(measured.deviation(), [1.0]);
    }

    #[test]
    fn a_constant_column_maps_to_zero_exactly() {
        let rows = [0.1_f32; 1000];
        let measured = Standardization::measure(&rows, 1).unwrap();
        assert_eq!(measured.mean(), [0.1]);
        assert_eq!(measured.deviation(), [1.0]);
        let mut mapped = rows;
        measured.apply(&mut mapped).unwrap();
        assert_eq!(mapped, [0.0; 1000]);
    }

    #[test]
    fn a_deviation_without_an_inverse_counts_as_constant() {
        // A deviation of half the smallest denormal number.
        let least = f32::MIN_POSITIVE;
        let measured = Standardization::measure(&[least, least.next_up()], 1).unwrap();
        assert_eq!(measured.mean(), [least]);
        assert_eq!(measured.deviation(), [1.0]);
    }

    #[test]
    fn the_whole_range_of_f32_can_be_measured_and_that_of_f64_not() {
        let measured = Standardization::measure(&[-f32::MAX, f32::MAX], 1).unwrap();
        assert_eq!(measured.mean(), [0.0]);
        assert_eq!(measured.deviation(), [f32::MAX]);
        let error = Standardization::measure(&[-f64::MAX, f64::MAX], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "mean[0] is inf, expected a finite number"
        );
        let error = Standardization::measure(&[-1e200, 1e200], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "deviation[0] is inf, expected a finite number"
        );
    }
}
