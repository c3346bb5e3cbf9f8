//! The bytes of a run, turned into choices and numbers. Where they end, choices are the first one: the usual one.

use arbitrary::Unstructured;

/// See the module's documentation.
#[derive(Debug)]
pub struct Source<'a>(Unstructured<'a>);

/// Sizes of which no buffer can have as many elements: the library has to refuse them.
const ABSURD: [usize; 6] = [
    usize::MAX,
    usize::MAX - 1,
    usize::MAX / 2 + 1,
    usize::MAX / 3,
    1 << 60,
    3 << 61,
];

/// Sizes that are allowed, and for which there is no memory.
const HUGE: [usize; 5] = [1 << 24, 1 << 32, 1 << 40, 1 << 59, (1 << 60) - 1];

const FLOATS: [f32; 14] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -1e-40,
    -0.0,
    1e30,
    -1e20,
    16_777_217.0,
    1e-20,
    88.8,
];

const DOUBLES: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::MAX,
    -1.0,
    -0.0,
    1e-50,
    1e39,
    1e-300,
    2.0,
    50.0,
    1.0,
    1.0 - 1e-16,
    1e-8,
];

impl<'a> Source<'a> {
    /// All bytes of a run.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// What comes next, without using it up: for calls that must not move those that follow.
    pub fn ahead(&self) -> Self {
        let bytes = self.0.peek_bytes(self.0.len());
        Self::new(bytes.unwrap_or_default())
    }

    /// Whether all bytes are used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.int_in_range(0..=count - 1).unwrap_or(0)
    }

    /// Something that happens once in `count` times.
    pub fn rarely(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// One of some values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Any number.
    pub fn seed(&mut self) -> u64 {
        self.0.arbitrary().unwrap_or(0)
    }

    /// Some of the bytes as they are, at most `most`.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let count = self.below(256).min(most).min(self.0.len());
        self.0.bytes(count).unwrap_or_default()
    }

    /// A size of something that the caller has in memory: mostly one of `usual`, or 0, or more than there can be.
    pub fn size(&mut self, usual: &[usize]) -> usize {
        match self.below(64) {
            62 => 0,
            63 => self.pick(&ABSURD),
            choice => usual[choice % usual.len()],
        }
    }

    /// A size of something that the library is to make: as [`Self::size`], or more than there is memory for.
    pub fn size_to_make(&mut self, usual: &[usize]) -> usize {
        match self.below(32) {
            31 => self.pick(&HUGE),
            _ => self.size(usual),
        }
    }

    /// A constant of the header that has `known` values, mostly.
    pub fn constant(&mut self, known: u32) -> u32 {
        match self.below(32) {
            31 => self.pick(&[known, u32::MAX, 1 << 31]),
            choice => choice as u32 % known,
        }
    }

    /// A number, mostly small.
    pub fn float(&mut self) -> f32 {
        match self.below(256) {
            choice @ 200.. => FLOATS[choice % FLOATS.len()],
            choice => choice as f32 / 64.0 - 1.0,
        }
    }

    /// One of `usual`, mostly.
    pub fn double(&mut self, usual: &[f64]) -> f64 {
        match self.below(64) {
            56.. => self.pick(&DOUBLES),
            choice => usual[choice % usual.len()],
        }
    }

    /// `count` numbers, mostly in [-1, 1], which follow from a few bytes.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        let style = self.below(16);
        let mut state = self.below(256) as u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ (mixed >> 29)
        };
        let tame = |bits: u64| (bits >> 40) as f32 / (1 << 23) as f32 - 1.0;
        let number = |_| {
            let bits = next();
            match style {
                // All kinds of numbers among others.
                12 if bits % 8 == 0 => FLOATS[(bits >> 8) as usize % FLOATS.len()],
                13 => 0.0,
                // From tiny to large.
                14 => tame(bits) * (((bits & 63) as i32 - 32) as f32).exp2(),
                // Any bits.
                15 => f32::from_bits(bits as u32),
                _ => tame(bits),
            }
        };
        (0..count).map(number).collect()
    }
}
