//! The sizes that the benchmarks run at, in one place.

/// Sizes of one recurrent layer and of the batch that it sees.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// I.
    pub input: usize,
    /// H.
    pub units: usize,
}

/// A shape from T, B, I, H.
const fn shape(
    name: &'static str,
    steps: usize,
    batch: usize,
    input: usize,
    units: usize,
) -> Shape {
    Shape {
        name,
        steps,
        batch,
        input,
        units,
    }
}

/// The shapes for which there are figures of other engines.
pub const REFERENCE: [Shape; 8] = [
    shape("tiny step", 1, 1, 1, 16),
    shape("stream", 100, 1, 64, 128),
    shape("demo", 5, 100, 3, 8),
    shape("rows", 28, 128, 28, 128),
    shape("small", 50, 32, 64, 256),
    shape("medium", 100, 64, 256, 512),
    shape("large", 50, 128, 1024, 1024),
    shape("long", 1000, 16, 32, 64),
];

/// Sizes that fit no vector, tile or cache line, that are one past one, or that lie at the ends of what people train.
pub const OTHER: [Shape; 15] = [
    shape("one unit", 5000, 1, 1, 1),
    shape("thin", 50, 3, 3, 7),
    shape("one vector", 100, 8, 3, 16),
    shape("one vector and one", 100, 17, 3, 17),
    shape("two vectors less one", 60, 5, 3, 31),
    shape("three vectors", 100, 2, 3, 48),
    shape("long thin", 5000, 2, 3, 31),
    shape("long alone", 5000, 1, 1, 48),
    shape("pixels", 784, 100, 1, 100),
    shape("pixels alone", 784, 1, 1, 100),
    shape("one step", 1, 100, 784, 300),
    shape("three hundred", 30, 5, 3, 300),
    shape("five hundred", 20, 17, 784, 500),
    shape("wide", 10, 8, 784, 1760),
    shape("wide alone", 10, 1, 3, 1760),
];

/// All of them.
pub fn all() -> impl Iterator<Item = Shape> {
    REFERENCE.into_iter().chain(OTHER)
}

/// Whether the process is to measure, as `cargo bench` tells it. `cargo test --benches` does not, and only wants to see
/// that a benchmark runs: then everything large is left out.
pub fn is_measuring() -> bool {
    std::env::args().any(|word| word == "--bench")
}

impl Shape {
    /// From `TxBxIxH`.
    #[allow(dead_code)] // not every benchmark asks for it
    pub fn parse(sizes: &str) -> Option<Self> {
        let sizes: Vec<usize> = sizes
            .split('x')
            .map(|size| size.parse().ok().filter(|&size| size > 0))
            .collect::<Option<_>>()?;
        match sizes[..] {
            [steps, batch, input, units] => Some(shape("", steps, batch, input, units)),
            _ => None,
        }
    }

    /// `TxBxIxH`.
    pub fn sizes(&self) -> String {
        let Self {
            steps,
            batch,
            input,
            units,
            ..
        } = self;
        format!("{steps}x{batch}x{input}x{units}")
    }
}
