//! What a training step holds besides the parameters, their gradients and the packed weights: no more than the formula of
//! `docs/performance.md` says. Alone in its process: it counts every buffer of elements.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Output};

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the bytes of the buffers that are in use: elements lie on cache lines, unlike what
/// threads allocate for themselves, whenever they get to it.
struct Counting;

const BUFFER: usize = 64;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == BUFFER {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.align() == BUFFER {
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A network and the lengths of the sequences that it is trained on.
struct Case {
    name: &'static str,
    lengths: Vec<usize>,
    input: usize,
    /// Units of its recurrent layers.
    recurrent: Vec<usize>,
    /// Units of the dense layer behind them.
    dense: Option<usize>,
    output: Output,
    /// What a step may hold, in percent of what it must keep, on one thread and on two.
    percent: [usize; 2],
}

impl Case {
    /// One recurrent layer, sequences of one length.
    fn layer(
        name: &'static str,
        [steps, batch, input, units]: [usize; 4],
        percent: [usize; 2],
    ) -> Self {
        Self {
            name,
            lengths: vec![steps; batch],
            input,
            recurrent: vec![units],
            dense: None,
            output: Output::All,
            percent,
        }
    }

    fn batch(&self) -> usize {
        self.lengths.len()
    }

    fn steps(&self) -> usize {
        self.lengths.iter().copied().max().unwrap()
    }

    /// Steps of all sequences.
    fn rows(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn network(&self, threads: usize) -> Network {
        let mut network = Network::new(self.input).unwrap();
        for &units in &self.recurrent {
            network.add_rnn(units, Activation::Tanh).unwrap();
        }
        if let Some(units) = self.dense {
            network.add_dense(units, Activation::Linear).unwrap();
        }
        network.set_output(self.output).unwrap();
        network.set_threads(threads).unwrap();
        network.set_parallel_threshold(0);
        let initializer = Initializer::GlorotUniform { gain: 1.0 };
        network.initialize(initializer, 1).unwrap();
        network
    }

    /// Elements of `rows` rows of the input and of every layer's output, and of the states that the sequences start from;
    /// `width` gives what an element of a row takes.
    fn sequences(&self, rows: usize, width: impl Fn(usize) -> usize) -> usize {
        let recurrent: usize = self.recurrent.iter().map(|&units| width(units)).sum();
        let dense = match (self.dense, self.output) {
            (Some(units), Output::All) => width(units),
            _ => 0,
        };
        rows * (width(self.input) + recurrent + dense) + self.batch() * recurrent
    }

    /// Elements of the dense layer's input and output at the last step.
    fn head(&self, width: impl Fn(usize) -> usize) -> usize {
        let last = *self.recurrent.last().unwrap();
        match self.output {
            Output::All => 0,
            Output::Last => self.batch() * (width(last) + self.dense.map_or(0, width)),
        }
    }

    /// Elements that backpropagation through time must keep.
    fn kept(&self) -> usize {
        let outputs = match self.output {
            Output::All => 0,
            Output::Last => self.batch() * self.dense.unwrap_or(0),
        };
        self.sequences(self.rows(), |width| width) + outputs
    }

    /// Elements that a step holds at most.
    fn formula(&self, network: &Network) -> usize {
        let (batch, rows) = (self.batch(), self.rows());
        let (threads, parameters) = (network.threads(), network.parameter_count());
        let units = || self.recurrent.iter().copied().chain(self.dense);
        let columns: usize = units().sum();
        let (least, most) = (
            16384.max(parameters / 2) / columns,
            512.max(32768 / columns),
        );
        let limit = (rows / 10).clamp(least.min(512), most);
        let is_ragged = self.lengths.iter().any(|&length| length != self.steps());
        let is_shared = threads > 1 && batch >= 8;
        let window = if is_ragged || !is_shared {
            limit.max(batch)
        } else {
            (limit / batch).max(1) * batch
        };
        let window = window.min(64 * batch).min(rows);
        let parts = if is_ragged { threads } else { 1 };
        // Rows that would be a multiple of 1 KiB apart get a cache line more. A panel is two vectors wide.
        let stride = |width: usize| width + if width.is_multiple_of(256) { 16 } else { 0 };
        let panel = if network.tier().name() == "avx512" {
            32
        } else {
            16
        };
        let packed = units().max().unwrap().next_multiple_of(panel);
        self.sequences(rows, stride)
            + self.sequences(window * parts, stride)
            + 2 * self.head(stride)
            + threads * window * packed
    }
}

/// Elements that a training step on the case's batch holds beyond those of a step on one row, and those of the formula.
fn measure(case: &Case, threads: usize) -> (usize, usize) {
    let mut network = case.network(threads);
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.001).unwrap();
    let (batch, steps) = (case.batch(), case.steps());
    let x = vec![0.25; batch * steps * case.input];
    let dy = vec![0.5; network.output_len(batch, steps).unwrap()];
    let mut train = |network: &mut Network, lengths: &[usize]| {
        let steps = lengths.iter().copied().max().unwrap();
        let batch = Batch {
            x: &x[..lengths.len() * steps * case.input],
            batch: lengths.len(),
            steps,
            lengths: Some(lengths),
        };
        let dy = &dy[..network.output_len(batch.batch, batch.steps).unwrap()];
        network.forward(batch, None, None, None).unwrap();
        network.backward(Some(dy), None, None, None).unwrap();
        network.update(&mut optimizer).unwrap();
        LIVE.load(Ordering::Relaxed) / size_of::<f32>()
    };
    let before = train(&mut network, &[1]);
    let after = train(&mut network, &case.lengths);
    (after - before, case.formula(&network))
}

#[test]
fn a_step_holds_no_more_than_the_formula_says() {
    let ragged = |batch: usize, steps: usize| {
        (1..=batch)
            .map(|index| index * 7 % batch * steps / batch + 1)
            .collect()
    };
    let cases = [
        Case::layer("rows", [28, 128, 28, 128], [121, 122]),
        Case::layer("small", [50, 32, 64, 256], [125, 133]),
        Case::layer("medium", [100, 64, 256, 512], [119, 124]),
        Case::layer("long", [1000, 16, 32, 64], [106, 108]),
        Case {
            name: "two layers, ragged",
            lengths: ragged(64, 100),
            input: 40,
            recurrent: vec![96, 64],
            dense: Some(10),
            output: Output::Last,
            percent: [118, 128],
        },
        Case {
            name: "dense outputs, ragged",
            lengths: ragged(50, 200),
            input: 12,
            recurrent: vec![80],
            dense: Some(30),
            output: Output::All,
            percent: [119, 133],
        },
        // Windows are not made smaller than pays, nor than a step.
        Case::layer("one vector", [100, 8, 3, 16], [274, 382]),
        Case::layer("stream", [100, 1, 64, 128], [205, 247]),
        Case::layer("few steps", [5, 100, 3, 100], [177, 176]),
        Case::layer("three hundred", [30, 5, 3, 300], [300, 401]),
        Case::layer("five hundred", [20, 17, 784, 500], [239, 278]),
    ];
    for case in &cases {
        for (threads, percent) in [1, 2].into_iter().zip(case.percent) {
            let (held, formula) = measure(case, threads);
            let kept = case.kept();
            let context = format!(
                "{}, threads {threads}: {held}, must keep {kept}, the formula says {formula}",
                case.name
            );
            assert!(held >= kept && 100 * held <= percent * kept, "{context}");
            assert!(held <= formula && 10 * held >= 9 * formula, "{context}");
        }
    }
}
