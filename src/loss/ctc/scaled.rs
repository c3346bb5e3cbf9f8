//! Numbers for products of more probabilities than `f64` has exponents for.

use std::ops::{Add, Mul};

/// A number m · 2^(512 e) that is not negative, with m in [2^-256, 2^256), or 0.
///
/// Probabilities of paths underflow in `f64` after some hundred steps, or some of the paths to one step do beside others, so
/// that one exponent for all would not save them. Logarithms would, but cost an exponential for each sum. Here a sum and a
/// product are those of `f64` nearly always, and their error is that of `f64`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    mantissa: f64,
    /// An integer as long as those are exact, minus infinity for 0.
    exponent: f64,
}

/// The smallest mantissa.
const LOW: f64 = power_of_two(-256);
/// The end of the mantissas.
const HIGH: f64 = power_of_two(256);
const UP: f64 = power_of_two(512);
const DOWN: f64 = power_of_two(-512);
/// ln 2^512
const UNIT: f64 = 512.0 * std::f64::consts::LN_2;

const fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

impl Scaled {
    pub const ZERO: Self = Self {
        mantissa: 0.0,
        exponent: f64::NEG_INFINITY,
    };
    pub const ONE: Self = Self {
        mantissa: 1.0,
        exponent: 0.0,
    };

    /// A number from 0 to 1 that `f64` holds with some room below it.
    pub fn new(value: f64) -> Option<Self> {
        (value >= LOW).then_some(Self {
            mantissa: value,
            exponent: 0.0,
        })
    }

    /// e to the power of `x`, of any size.
    pub fn exp(x: f64) -> Self {
        if x == f64::NEG_INFINITY {
            return Self::ZERO;
        }
        let exponent = (x / UNIT).round();
        // Where x has no digits left for it, any rest will do.
        let rest = (x - exponent * UNIT).clamp(-UNIT / 2.0, UNIT / 2.0);
        Self {
            mantissa: libm::exp(rest),
            exponent,
        }
    }

    /// Its natural logarithm.
    pub fn ln(self) -> f64 {
        libm::log(self.mantissa) + self.exponent * UNIT
    }

    /// The part that this is of a sum that it is in, which is not 0.
    pub fn part_of(self, whole: Self) -> f64 {
        let ratio = self.mantissa / whole.mantissa;
        match self.exponent - whole.exponent {
            0.0 => ratio,
            -1.0 => ratio * DOWN,
            _ => 0.0,
        }
    }
}

impl Add for Scaled {
    type Output = Self;

    /// The mantissa of a sum may be at or above the end of mantissas, until it is a factor: that of three summands at most
    /// three times.
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        if self.exponent == other.exponent {
            return Self {
                mantissa: self.mantissa + other.mantissa,
                ..self
            };
        }
        let (large, small) = if self.exponent > other.exponent {
            (self, other)
        } else {
            (other, self)
        };
        let more = if large.exponent - small.exponent == 1.0 {
            small.mantissa * DOWN
        } else {
            0.0
        };
        Self {
            mantissa: large.mantissa + more,
            ..large
        }
    }
}

impl Mul for Scaled {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let mantissa = self.mantissa * other.mantissa;
        let exponent = self.exponent + other.exponent;
        let (factor, carry) = if mantissa >= HIGH {
            (DOWN, 1.0)
        } else if mantissa < LOW {
            (UP, -1.0)
        } else {
            (1.0, 0.0)
        };
        Self {
            mantissa: mantissa * factor,
            exponent: exponent + carry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scaled;

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        let error = (found - expected).abs();
        assert!(
            found == expected || error <= 1e-13 * expected.abs().max(1.0),
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn logarithms_of_exponentials_come_back_whatever_their_size() {
        for x in [
            0.0, -1e-9, -1.0, -177.0, -178.0, -354.0, -745.5, -1e5, -1e30, -1e300,
        ] {
            assert_close(Scaled::exp(x).ln() / x.abs().max(1.0), x / x.abs().max(1.0));
        }
        assert_eq!(Scaled::exp(f64::NEG_INFINITY).ln(), f64::NEG_INFINITY);
        assert!(Scaled::exp(f64::NAN).ln().is_nan());
        assert_eq!(Scaled::ZERO.ln(), f64::NEG_INFINITY);
    }

    #[test]
    fn sums_and_products_are_those_of_logarithms() {
        let numbers: Vec<f64> = (0..60).map(|i| -37.3 * f64::from(i)).collect();
        for &a in &numbers {
            for &b in &numbers {
                let (x, y) = (Scaled::exp(a), Scaled::exp(b));
                let sum = a.max(b) + (-(a - b).abs()).exp().ln_1p();
                assert_close((x + y).ln(), sum);
                assert_close((x * y).ln(), a + b);
                // A sum of three, which is a factor.
                let three = sum.max(a) + (-(sum - a).abs()).exp().ln_1p();
                assert_close(((x + y + x) * y * y).ln(), three + 2.0 * b);
                assert_close(x.part_of(x + y), (a - sum).exp());
            }
            let x = Scaled::exp(a);
            assert_close((x + Scaled::ZERO).ln(), a);
            assert_close((Scaled::ZERO + x).ln(), a);
            assert_eq!((x * Scaled::ZERO).ln(), f64::NEG_INFINITY);
        }
    }

    #[test]
    fn long_products_neither_underflow_nor_overflow() {
        let mut small = Scaled::ONE;
        let mut large = Scaled::ONE;
        for _ in 0..10_000 {
            small = small * Scaled::exp(-300.0);
            large = (large + large + large) * Scaled::ONE;
        }
        assert_close(small.ln() / 3e6, -1.0);
        assert_close(large.ln() / (1e4 * 3.0_f64.ln()), 1.0);
    }
}
