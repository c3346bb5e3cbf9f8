//! The generator and the distributions.

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng};

/// A stream of random numbers that depends on its seed alone: not on the machine, nor on the version of any library.
#[derive(Debug)]
pub struct Rng {
    generator: ChaCha8Rng,
    /// The second of the pair that the polar method makes.
    spare: Option<f64>,
}

impl Clone for Rng {
    /// A stream that goes on with the same numbers.
    fn clone(&self) -> Self {
        Self {
            generator: ChaCha8Rng::deserialize_state(&self.generator.serialize_state()),
            spare: self.spare,
        }
    }
}

impl Rng {
    /// The stream of `seed`: ChaCha with 8 rounds (Bernstein 2008) and the seed as the first 8 bytes of its key, the
    /// least significant first. Different seeds give unrelated streams.
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            generator: ChaCha8Rng::from_seed(key),
            spare: None,
        }
    }

    /// Stream `number` of `seed`, the first of which, 0, is that of [`Self::new`]: one without the numbers of the others.
    #[cfg(feature = "datasets")]
    pub(crate) fn stream(seed: u64, number: u64) -> Self {
        let mut rng = Self::new(seed);
        rng.generator.set_stream(number);
        rng
    }

    /// The next number of [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number of the normal distribution with mean 0 and standard deviation 1, by the polar method
    /// (Marsaglia & Bray 1964).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let u = 2.0 * self.uniform() - 1.0;
            let v = 2.0 * self.uniform() - 1.0;
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                // Not f64::ln, whose last bit is the platform's.
                let factor = (-2.0 * libm::log(square) / square).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }

    /// The next number of 0 to `count` - 1; `count` is at least 1. The high half of a product with 64 random bits
    /// (Lemire 2019) favours no number by more than `count` / 2^64, which no sample can show.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.generator.next_u64()) * count as u128) >> 64) as usize
    }
}

/// Puts `indices` in a random order, each order as likely as any other (Fisher-Yates).
pub fn shuffle(indices: &mut [usize], rng: &mut Rng) {
    for last in (1..indices.len()).rev() {
        indices.swap(last, rng.below(last + 1));
    }
}
