//! What a training step holds besides the parameters, their gradients and the packed weights: no more than the formula of
//! `docs/performance.md` says. Alone in its process: it counts every buffer of elements.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Network, Output, RecurrentOptions, Reset};

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

/// A recurrent layer of so many units.
#[derive(Clone, Copy, Debug)]
enum Cell {
    Rnn(usize),
    GruAfter(usize),
    GruBefore(usize),
    Lstm(usize),
    Coupled(usize),
    /// With the elements of its projection.
    Projected(usize, usize),
}

/// Elements of rows.
#[derive(Debug)]
struct Widths {
    /// The state: kept, and one row more for each sequence.
    state: usize,
    /// What else is kept.
    gates: usize,
    /// What each sequence has once.
    sequence: usize,
    /// Of gradients: those of the outputs, where they have rows of their own, and of the sums.
    outputs: usize,
    sums: usize,
    /// Of the widest matrix.
    columns: usize,
}

impl Cell {
    fn widths(self) -> Widths {
        let row = |state, gates, sequence, outputs, sums, columns| Widths {
            state,
            gates,
            sequence,
            outputs,
            sums,
            columns,
        };
        match self {
            Self::Rnn(h) => row(h, 0, 0, 0, h, h),
            Self::GruAfter(h) => row(h, 4 * h, 0, h, 5 * h, 3 * h),
            Self::GruBefore(h) => row(h, 3 * h, h, h, 5 * h, 3 * h),
            Self::Lstm(h) => row(2 * h, 4 * h, 0, h, 5 * h, 4 * h),
            Self::Coupled(h) => row(2 * h, 3 * h, 0, h, 4 * h, 3 * h),
            Self::Projected(h, p) => row(p + h, 4 * h, h, p, 6 * h + p, 4 * h),
        }
    }

    /// Elements of its output.
    fn outputs(self) -> usize {
        match self {
            Self::Projected(_, p) => p,
            Self::Rnn(h)
            | Self::GruAfter(h)
            | Self::GruBefore(h)
            | Self::Lstm(h)
            | Self::Coupled(h) => h,
        }
    }

    fn add(self, network: &mut Network) {
        let mut options = RecurrentOptions::default();
        match self {
            Self::Rnn(h) => network.add_rnn(h, Activation::Tanh),
            Self::GruAfter(h) => network.add_gru(h, &options),
            Self::GruBefore(h) => {
                options.reset = Reset::Before;
                network.add_gru(h, &options)
            }
            Self::Lstm(h) => network.add_lstm(h, &options),
            Self::Coupled(h) => {
                options.coupled = true;
                network.add_lstm(h, &options)
            }
            Self::Projected(h, p) => {
                options.projection = p;
                network.add_lstm(h, &options)
            }
        }
        .unwrap();
    }
}

/// A network and the lengths of the sequences that it is trained on.
struct Case {
    name: &'static str,
    lengths: Vec<usize>,
    input: usize,
    /// Its recurrent layers.
    recurrent: Vec<Cell>,
    /// Units of the dense layer behind them.
    dense: Option<usize>,
    output: Output,
    /// What a step may hold, in percent of what it must keep, on one thread and on two.
    percent: [usize; 2],
}

impl Case {
    /// One plain recurrent layer, sequences of one length.
    fn layer(
        name: &'static str,
        [steps, batch, input, units]: [usize; 4],
        percent: [usize; 2],
    ) -> Self {
        Self::cell(name, [steps, batch, input], Cell::Rnn(units), percent)
    }

    /// One recurrent layer.
    fn cell(
        name: &'static str,
        [steps, batch, input]: [usize; 3],
        cell: Cell,
        percent: [usize; 2],
    ) -> Self {
        Self {
            name,
            lengths: vec![steps; batch],
            input,
            recurrent: vec![cell],
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
        for cell in &self.recurrent {
            cell.add(&mut network);
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

    /// Elements of a row of a dense layer over all steps.
    fn dense_row(&self, width: impl Fn(usize) -> usize) -> usize {
        match (self.dense, self.output) {
            (Some(units), Output::All) => width(units),
            _ => 0,
        }
    }

    /// Elements of rows of the input, of the layers' states, gates and outputs, and of the states that the sequences start
    /// from; `width` gives what an element of a row takes.
    fn activations(&self, width: impl Fn(usize) -> usize) -> usize {
        let (mut row, mut lead) = (width(self.input) + self.dense_row(&width), 0);
        for widths in self.recurrent.iter().map(|cell| cell.widths()) {
            row += width(widths.state) + width(widths.gates);
            lead += width(widths.state);
        }
        self.rows() * row + self.batch() * lead
    }

    /// Elements of the gradients of `rows` rows, and of those that cross from window to window and lead to the states' own.
    fn gradients(&self, rows: usize, width: impl Fn(usize) -> usize) -> usize {
        let (mut row, mut lead) = (width(self.input) + self.dense_row(&width), 0);
        for widths in self.recurrent.iter().map(|cell| cell.widths()) {
            row += width(widths.outputs) + width(widths.sums);
            lead += width(widths.sums) + width(widths.state);
        }
        rows * row + self.batch() * lead
    }

    /// Elements of the dense layer's input and output at the last step.
    fn head(&self, width: impl Fn(usize) -> usize) -> usize {
        let last = self.recurrent.last().unwrap().outputs();
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
        self.activations(|width| width) + outputs
    }

    /// Elements that a step holds at most.
    fn formula(&self, network: &Network) -> usize {
        let (batch, rows) = (self.batch(), self.rows());
        let (threads, parameters) = (network.threads(), network.parameter_count());
        let widths = || self.recurrent.iter().map(|cell| cell.widths());
        let columns = || widths().map(|widths| widths.columns).chain(self.dense);
        let all: usize = columns().sum();
        let (least, most) = (16384.max(parameters / 2) / all, 512.max(32768 / all));
        let is_halved = batch >= 8 && rows * parameters >= 1 << 19 && 16 * parameters <= rows * all;
        let share = if is_halved { 12 } else { 10 };
        let limit = (rows / share).clamp(least.min(512), most);
        let shards = threads.min(batch / 4).max(1);
        let limit = limit.max((limit * shards / 2).min(rows / 4));
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
        let is_apart = |width: usize| width > 0 && width.is_multiple_of(256);
        let stride = |width: usize| width + if is_apart(width) { 16 } else { 0 };
        let panel = if network.tier().name() == "avx512" {
            32
        } else {
            16
        };
        let packed = columns().max().unwrap().next_multiple_of(panel);
        let sequences: usize = widths().map(|widths| stride(widths.sequence)).sum();
        self.activations(stride)
            + batch * sequences
            + self.gradients(window * parts, stride)
            + 2 * self.head(stride)
            + window * packed
            + if is_halved { parameters } else { 0 }
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
        Case::layer("rows", [28, 128, 28, 128], [124, 122]),
        Case::layer("small", [50, 32, 64, 256], [127, 127]),
        Case::layer("medium", [100, 64, 256, 512], [120, 120]),
        Case::layer("long", [1000, 16, 32, 64], [106, 106]),
        Case {
            name: "two layers, ragged",
            lengths: ragged(64, 100),
            input: 40,
            recurrent: vec![Cell::Rnn(96), Cell::Rnn(64)],
            dense: Some(10),
            output: Output::Last,
            percent: [121, 126],
        },
        Case {
            name: "dense outputs, ragged",
            lengths: ragged(50, 200),
            input: 12,
            recurrent: vec![Cell::Rnn(80)],
            dense: Some(30),
            output: Output::All,
            percent: [118, 124],
        },
        // Windows are not made smaller than pays, nor than a step.
        Case::layer("one vector", [100, 8, 3, 16], [273, 273]),
        Case::layer("stream", [100, 1, 64, 128], [208, 208]),
        Case::layer("few steps", [5, 100, 3, 100], [194, 172]),
        Case::layer("three hundred", [30, 5, 3, 300], [306, 306]),
        Case::layer("five hundred", [20, 17, 784, 500], [242, 242]),
        // Of a cell no more than what cells need.
        Case::cell("LSTM", [100, 64, 40], Cell::Lstm(128), [120, 120]),
        Case::cell("coupled", [100, 64, 40], Cell::Coupled(128), [118, 118]),
        Case::cell(
            "projected",
            [100, 64, 40],
            Cell::Projected(128, 50),
            [121, 121],
        ),
        Case::cell("GRU", [100, 64, 40], Cell::GruAfter(128), [119, 119]),
        Case::cell(
            "GRU, reset before",
            [100, 64, 40],
            Cell::GruBefore(128),
            [121, 121],
        ),
        Case {
            name: "gated layers, ragged",
            lengths: ragged(64, 100),
            input: 40,
            recurrent: vec![Cell::Lstm(96), Cell::GruAfter(64)],
            dense: Some(10),
            output: Output::Last,
            percent: [120, 126],
        },
    ];
    for case in &cases {
        let kept = case.kept();
        // Enough sequences for four threads.
        if case.batch() >= 32 {
            let (held, formula) = measure(case, 4);
            let context = format!("{}, 4 threads: {held}, formula {formula}", case.name);
            // Shards of sequences that differ in length have fewer rows than the most that they can have.
            let is_ragged = case.rows() < case.batch() * case.steps();
            assert!(
                held <= formula && (is_ragged || 10 * held >= 9 * formula),
                "{context}"
            );
        }
        for (threads, percent) in [1, 2].into_iter().zip(case.percent) {
            let (held, formula) = measure(case, threads);
            let context = format!(
                "{}, threads {threads}: {held}, must keep {kept}, the formula says {formula}",
                case.name
            );
            assert!(held >= kept && 100 * held <= percent * kept, "{context}");
            assert!(held <= formula && 10 * held >= 9 * formula, "{context}");
        }
    }
}
