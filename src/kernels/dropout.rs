//! Which elements dropout drops, and dropping them.
//!
//! An element is dropped where a random number is small, and the number is a hash of the element's place: nothing is stored,
//! no element waits for another one, and a vector of them takes a dozen instructions. So the same elements are dropped on
//! all tiers and threads and by the backward pass, and an element's fate depends on no other row.
//!
//! The place of a row is hashed to a key of 64 bits, and each element to 32 bits by half of the key, a multiplication, the
//! other half and another multiplication: rows for which one half happens to be the same, or to be that of a shifted row,
//! still drop other elements. The multipliers and shifts are those that C. Wellons found to leave the least bias
//! ("hash-prospector", 2018 to 2022) and, for the keys, those of D. Stafford's "Mix13" (2011), which SplitMix64 has.

use crate::Element;
use crate::simd::{Kernel, Math, Tier};

/// What random numbers follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The key of some words, in their order.
    pub fn new(words: &[u64]) -> Self {
        words.iter().fold(Self(0), |key, &word| key.with(word))
    }

    /// The key of one more word.
    #[inline(always)]
    pub fn with(self, word: u64) -> Self {
        let mut key = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(key ^ (key >> 31))
    }

    /// The `index`-th of its 2^32 numbers of 32 bits.
    #[inline(always)]
    pub fn number(self, index: u32) -> u32 {
        let (low, high) = (self.0 as u32, (self.0 >> 32) as u32);
        let mut number = index.wrapping_mul(0x9e37_79b9).wrapping_add(low);
        number = (number ^ (number >> 16)).wrapping_mul(0x21f0_aaad);
        number = number.wrapping_add(high);
        number = (number ^ (number >> 15)).wrapping_mul(0xd35a_2d97);
        number ^ (number >> 15)
    }
}

/// `to = from`, except for dropped elements, which are 0, times what makes up for these: for the rows of a step.
#[derive(Debug)]
pub struct DropElements<'a, E> {
    /// The key of everything but sequence, step and element.
    pub key: Key,
    /// Probability of 0, below 1.
    pub rate: f64,
    /// The step.
    pub step: usize,
    /// The sequence of each row.
    pub sequences: &'a [usize],
    /// Elements of a row.
    pub width: usize,
    /// The rows to read and the distance of one from the next.
    pub from: (&'a [E], usize),
    /// The rows to write and the distance of one from the next.
    pub to: (&'a mut [E], usize),
    /// Whether they are added to what is there.
    pub accumulate: bool,
}

impl<E: Element> DropElements<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

/// Elements whose numbers are computed at a time: loops of one kind of arithmetic each become vectors.
const CHUNK: usize = 64;

/// Calls `take` with the numbers of each chunk of a row of `width` elements, and its first element.
#[inline(always)]
fn numbers(key: Key, width: usize, mut take: impl FnMut(usize, &[u32])) {
    for start in (0..width).step_by(CHUNK) {
        let mut numbers = [0; CHUNK];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = key.number((start + index) as u32);
        }
        take(start, &numbers[..CHUNK.min(width - start)]);
    }
}

/// A number below it means the rarer of two values.
fn threshold(rate: f64) -> u32 {
    (rate * 2.0_f64.powi(32)) as u32
}

impl<E: Element> Kernel<E> for DropElements<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let kept = E::from_f64(1.0 / (1.0 - self.rate));
        let threshold = threshold(self.rate);
        let ((from, from_stride), (to, to_stride)) = (self.from, self.to);
        let rows = from.chunks(from_stride).zip(to.chunks_mut(to_stride));
        for (&sequence, (from, to)) in self.sequences.iter().zip(rows) {
            let key = self.key.with(sequence as u64).with(self.step as u64);
            numbers(key, self.width, |start, numbers| {
                let from = &from[start..start + numbers.len()];
                let to = &mut to[start..start + numbers.len()];
                for ((to, &from), &number) in to.iter_mut().zip(from).zip(numbers) {
                    let scaled = from * kept;
                    let value = if number < threshold { E::ZERO } else { scaled };
                    *to = if self.accumulate { *to + value } else { value };
                }
            });
        }
    }
}

/// One of two values for each element of some sequences.
#[derive(Debug)]
pub struct DrawMask<'a, E> {
    /// The key of everything but sequence and element.
    pub key: Key,
    /// Probability of `dropped`, below 1.
    pub rate: f64,
    /// One value.
    pub dropped: E,
    /// The other.
    pub kept: E,
    /// The sequence of each row.
    pub sequences: &'a [usize],
    /// Elements of a row.
    pub width: usize,
    /// The rows to write and the distance of one from the next.
    pub to: (&'a mut [E], usize),
}

impl<E: Element> DrawMask<'_, E> {
    /// Does it.
    ///
    /// # Panics
    /// Where a row is too short.
    pub fn run(self, tier: Tier) {
        tier.run(self);
    }
}

impl<E: Element> Kernel<E> for DrawMask<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(self, _: S) {
        let (threshold, (to, stride)) = (threshold(self.rate), self.to);
        for (&sequence, to) in self.sequences.iter().zip(to.chunks_mut(stride)) {
            numbers(
                self.key.with(sequence as u64),
                self.width,
                |start, numbers| {
                    let to = &mut to[start..start + numbers.len()];
                    for (to, &number) in to.iter_mut().zip(numbers) {
                        *to = if number < threshold {
                            self.dropped
                        } else {
                            self.kept
                        };
                    }
                },
            );
        }
    }
}

// Miri would take hours for as many numbers as statistics need.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// Rows, steps and so on of a test; its pairs are as many times `WIDTH`.
    const ROWS: u64 = 1 << 10;
    const WIDTH: u32 = 256;

    /// The words of seed, pass, layer, sequence and step of the `row`-th row of a test.
    fn words(row: u64) -> [u64; 5] {
        [7, 3 + row / 32, 1, row % 8, row / 8 % 4]
    }

    fn numbers(words: &[u64]) -> impl Iterator<Item = u32> + Clone + use<> {
        let key = Key::new(words);
        (0..WIDTH).map(move |index| key.number(index))
    }

    /// Expects that chi squared is what it is for independent and even pairs of numbers: of 16 x 16 classes by four bits of
    /// each. The highest, from the 28th on, decide about dropping.
    #[track_caller]
    fn expect_independent(
        what: &str,
        bits: &[u32],
        pairs: impl Iterator<Item = (u32, u32)> + Clone,
    ) {
        for shift in bits {
            let mut counts = [0_u32; 256];
            for (left, right) in pairs.clone() {
                counts[(16 * (left >> shift & 15) + (right >> shift & 15)) as usize] += 1;
            }
            let total: u32 = counts.iter().sum();
            assert!(total > 200_000, "{what}: {total}");
            let mean = f64::from(total) / 256.0;
            let squares = counts.map(|count| (f64::from(count) - mean).powi(2) / mean);
            let deviation = (squares.iter().sum::<f64>() - 255.0) / (2.0 * 255.0_f64).sqrt();
            assert!(deviation.abs() < 4.5, "{what}, {shift}: {deviation}");
        }
    }

    #[test]
    fn numbers_of_neighbours_are_independent() {
        for distance in [1, 2, 3, 4, 7, 8, 16, 31, 32, 64, 128] {
            let pairs = (0..2 * ROWS).flat_map(|row| {
                let key = Key::new(&words(row));
                let last = WIDTH - distance;
                (0..last).map(move |index| (key.number(index), key.number(index + distance)))
            });
            expect_independent(&format!("elements {distance} apart"), &[28, 0], pairs);
        }
    }

    #[test]
    fn numbers_of_other_rows_are_independent() {
        let names = ["seed", "pass", "layer", "sequence", "step"];
        for (place, name) in names.into_iter().enumerate() {
            // Next to each other, one bit apart, and far away.
            for change in [
                |word: u64| word + 1,
                |word: u64| word ^ 1 << 40,
                |word: u64| !word,
            ] {
                let pairs = (0..ROWS).flat_map(move |row| {
                    let left = words(row);
                    let mut right = left;
                    right[place] = change(left[place]);
                    numbers(&left).zip(numbers(&right))
                });
                expect_independent(name, &[28, 0], pairs);
            }
        }
        for (left, right) in [(0, 1), (1, 2), (0, 3), (3, 4)] {
            let pairs = (0..ROWS).flat_map(move |row| {
                let (one, mut other) = ([5, 6, 7, 8, 9].map(|word| word + row), [0; 5]);
                other.copy_from_slice(&one);
                other.swap(left, right);
                numbers(&one).zip(numbers(&other))
            });
            expect_independent("changed places", &[28, 0], pairs);
        }
    }

    /// Keys that have one half in common, or one that makes a shifted row, and not the other half.
    #[test]
    fn numbers_of_keys_with_a_half_in_common_are_independent() {
        let golden = 0x9e37_79b9_u32;
        for row in 0..8 {
            let [Key(one), Key(other)] = [row, row + 1].map(|row| Key::new(&words(row)));
            let pairs = |shift: u32, key: u64| {
                (0..1 << 18)
                    .map(move |index| (Key(one).number(index + shift), Key(key).number(index)))
            };
            let low = u64::from(other as u32);
            expect_independent("the same high half", &[28], pairs(0, one >> 32 << 32 | low));
            for shift in [0, 1, 5, 77] {
                let low = (one as u32).wrapping_add(golden.wrapping_mul(shift));
                let key = other >> 32 << 32 | u64::from(low);
                expect_independent("the same low half", &[28], pairs(shift, key));
            }
        }
    }

    /// Sums over rows and over columns vary as those of independent draws do.
    #[test]
    fn the_rate_is_what_was_asked_for_and_no_row_or_column_is_special() {
        for rate in [0.02, 0.1, 0.5, 0.9] {
            let threshold = (rate * 2.0_f64.powi(32)) as u32;
            let mut columns = vec![0_u32; WIDTH as usize];
            let mut rows = vec![0_u32; ROWS as usize];
            for (row, sum) in (0..).zip(&mut rows) {
                for (number, column) in numbers(&words(row)).zip(&mut columns) {
                    let dropped = u32::from(number < threshold);
                    *column += dropped;
                    *sum += dropped;
                }
            }
            let all = f64::from(rows.iter().sum::<u32>());
            let count = (ROWS * u64::from(WIDTH)) as f64;
            let deviation = (all - rate * count) / (count * rate * (1.0 - rate)).sqrt();
            assert!(deviation.abs() < 4.0, "{rate}: {deviation}");
            for (sums, draws) in [(rows, f64::from(WIDTH)), (columns, ROWS as f64)] {
                let variance = draws * rate * (1.0 - rate);
                let squares = sums
                    .iter()
                    .map(|&sum| (f64::from(sum) - draws * rate).powi(2) / variance);
                let freedom = sums.len() as f64;
                let deviation = (squares.sum::<f64>() - freedom) / (2.0 * freedom).sqrt();
                assert!(deviation.abs() < 4.5, "{rate}: {deviation}");
            }
        }
    }
}
