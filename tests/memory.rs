//! Memory that runs out: every allocation of a size that follows the caller's fails once, then again with all that come
//! after it. The call says so and nothing is lost; the next try gives the bits that it would have given at first.
//!
//! The allocator counts the bytes of all threads, so this program runs without the test harness, which has its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use elman::dataset::{Dataset, MiniBatch, MissingValues, Standardization, Targets, TsOptions};
use elman::init::Initializer;
use elman::loss::{CtcLabels, CtcOptions, CtcWorkspace, Loss, ctc};
use elman::optimizer::{Optimizer, Rule};
use elman::train::{EarlyStopping, FitOptions, evaluate, fit, predict};
use elman::{Activation, Batch, Error, Network, Output, RecurrentOptions, Result, Session};

/// Smaller allocations are those of an object itself and of the header of a file: they never fail here, unless they are
/// buffers of elements.
const LARGE: usize = 2048;

/// By this alignment buffers of elements are told.
const CACHE_LINE: usize = 64;

thread_local! {
    /// Large allocations of the thread that still succeed; [`usize::MAX`]: all do. The threads of a network allocate only
    /// while they start, in rayon.
    static ALLOWED: Cell<usize> = const { Cell::new(usize::MAX) };
}
/// Whether all fail from then on, not one alone.
static FOR_GOOD: AtomicBool = AtomicBool::new(false);
static LARGE_ONES: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which fails when it is told to.
struct Failing;

impl Failing {
    /// Whether an allocation is to fail.
    fn refuses(&self, layout: Layout) -> bool {
        if layout.size() < LARGE && layout.align() < CACHE_LINE {
            return false;
        }
        LARGE_ONES.fetch_add(1, Ordering::Relaxed);
        match ALLOWED.get() {
            usize::MAX => false,
            0 => {
                FAILED.fetch_add(1, Ordering::Relaxed);
                if !FOR_GOOD.load(Ordering::Relaxed) {
                    ALLOWED.set(usize::MAX);
                }
                true
            }
            allowed => {
                ALLOWED.set(allowed - 1);
                false
            }
        }
    }
}

// SAFETY: everything is left to the system's allocator; null is a failure.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.refuses(layout) {
            return ptr::null_mut();
        }
        // SAFETY: as the caller has promised.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Bytes in use. A thread of rayon's leaves some behind that a later one frees, so a few come and go.
fn live() -> usize {
    let threads_later = |_| {
        Network::<f32>::new(1).unwrap().set_threads(2).unwrap();
        LIVE.load(Ordering::Relaxed)
    };
    (0..200).map(threads_later).min().unwrap_or_default()
}

/// Runs `work` with all large allocations failing after the first `allowed`, or one of them; whether one has failed.
fn starved<T>(allowed: usize, for_good: bool, work: impl FnOnce() -> T) -> (T, bool) {
    let before = FAILED.load(Ordering::Relaxed);
    FOR_GOOD.store(for_good, Ordering::Relaxed);
    ALLOWED.set(allowed);
    let result = work();
    ALLOWED.set(usize::MAX);
    (result, FAILED.load(Ordering::Relaxed) > before)
}

/// Makes what a call takes, with all the memory that this takes.
fn unstarved<T>(make: impl FnOnce() -> T) -> T {
    let allowed = ALLOWED.replace(usize::MAX);
    let made = make();
    ALLOWED.set(allowed);
    made
}

/// Lets every allocation of `work` fail in turn; each time it must work the next time, as if nothing had been.
fn exhaust<S>(
    name: &str,
    make: impl Fn() -> S,
    work: impl Fn(&mut S) -> Result<()>,
    bits: impl Fn(&S) -> Vec<u32>,
) {
    let mut subject = make();
    work(&mut subject).unwrap();
    let expected = bits(&subject);
    drop(subject);
    let before = live();
    let mut faults = 0;
    for for_good in [false, true] {
        for allowed in 0.. {
            let mut subject = make();
            let (result, failed) = starved(allowed, for_good, || work(&mut subject));
            if failed {
                faults += 1;
                let error = result.expect_err(name);
                assert!(
                    matches!(error, Error::OutOfMemory { .. }),
                    "{name}, {allowed}: {error}"
                );
                work(&mut subject).unwrap();
            } else {
                result.unwrap();
            }
            assert!(bits(&subject) == expected, "{name}, {allowed}: other bits");
            if !failed {
                break;
            }
        }
    }
    let lost = live().wrapping_sub(before) as isize;
    assert!(lost == 0, "{name}: {lost} bytes lost");
    assert!(faults > 0, "{name}: nothing failed");
    println!("{name}: {faults} faults, nothing lost");
}

const INPUTS: usize = 600;
const OUTPUTS: usize = 260;
/// Of the table of an embedding.
const ROWS: usize = 5;
const BATCH: usize = 600;
const STEPS: usize = 2;
/// Sequences and steps of a batch whose tables grow with either.
const SHAPES: [(usize, usize); 2] = [(BATCH, STEPS), (STEPS, BATCH)];
const CLASSES: Loss = Loss::SoftmaxCrossEntropy { ignored: None };

fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn ramp(len: usize) -> Vec<f32> {
    let value = |index| ((index * 7 % 23) as f32 - 11.0) / 23.0;
    (0..len).map(value).collect()
}

/// Inputs of so many steps, of which the first is an index.
fn inputs(steps: usize) -> Vec<f32> {
    let mut x = ramp(steps * INPUTS);
    let indices = x.iter_mut().step_by(INPUTS);
    indices
        .enumerate()
        .for_each(|(step, index)| *index = (step % ROWS) as f32);
    x
}

/// Both draw numbers in training.
fn gru() -> RecurrentOptions {
    RecurrentOptions {
        zoneout: 0.1,
        ..RecurrentOptions::default()
    }
}

fn lstm() -> RecurrentOptions {
    RecurrentOptions {
        projection: 12,
        recurrent_dropout: 0.1,
        ..RecurrentOptions::default()
    }
}

fn add_layers(network: &mut Network) -> Result<()> {
    network.add_embedding(&[0], ROWS, 30)?;
    network.add_rnn(40, Activation::Tanh)?;
    network.add_dropout(0.1)?;
    network.add_gru(30, &gru())?;
    network.add_layer_norm(1e-5)?;
    network.add_lstm(20, &lstm())?;
    network.add_concat(&[6, 5])?;
    network.add_activation(Activation::Softplus)?;
    network.add_rnn(30, Activation::Relu)?;
    network.add_residual(5)?;
    network.add_dense(OUTPUTS, Activation::Linear)
}

const INITIALIZER: Initializer = Initializer::Orthogonal { gain: 1.0 };

/// A network with every kind of layer.
fn network(threads: usize, output: Output) -> Network {
    let mut network = Network::new(INPUTS).unwrap();
    add_layers(&mut network).unwrap();
    network.set_output(output).unwrap();
    network.initialize(INITIALIZER, 1).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    let standardization = Standardization::new(ramp(INPUTS), vec![2.0; INPUTS]);
    network
        .set_standardization(Some(standardization.unwrap()))
        .unwrap();
    network
}

/// A network and the buffers of its caller.
struct Caller {
    network: Network,
    optimizer: Optimizer,
    shape: (usize, usize),
    x: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    state: Vec<f32>,
    /// Holds the model, so that a change of the network is one of a copy.
    session: Option<Session>,
}

impl Caller {
    fn new(threads: usize, output: Output, (batch, steps): (usize, usize)) -> Self {
        let network = network(threads, output);
        let y = vec![0.0; network.output_len(batch, steps).unwrap()];
        let state = vec![0.0; batch * network.state_size()];
        Self {
            network,
            optimizer: Optimizer::new(Rule::ADAM, 0.01).unwrap(),
            shape: (batch, steps),
            x: inputs(BATCH * STEPS),
            y,
            dx: vec![0.0; BATCH * STEPS * INPUTS],
            state,
            session: None,
        }
    }

    fn forward(&mut self) -> Result<()> {
        let (y, state) = (Some(&mut self.y[..]), Some(&mut self.state[..]));
        let batch = batch(&self.x, self.shape);
        self.network.forward(batch, None, y, state)
    }

    fn predict(&mut self) -> Result<()> {
        let (y, state) = (Some(&mut self.y[..]), Some(&mut self.state[..]));
        let batch = batch(&self.x, self.shape);
        self.network.predict(batch, None, y, state)
    }

    fn backward(&mut self) -> Result<()> {
        let (dx, state) = (Some(&mut self.dx[..]), Some(&mut self.state[..]));
        self.network.backward(Some(&self.y), None, dx, state)
    }

    fn update(&mut self) -> Result<()> {
        self.network.update(&mut self.optimizer)
    }

    fn bits(&self) -> Vec<u32> {
        let network = &self.network;
        let values = [
            network.parameters(),
            network.gradients(),
            &self.y,
            &self.dx,
            &self.state,
        ];
        bits_of(&values.concat())
    }
}

fn batch(x: &[f32], (batch, steps): (usize, usize)) -> Batch<'_, f32> {
    Batch {
        x,
        batch,
        steps,
        lengths: None,
    }
}

fn layers_and_parameters() {
    let with_layers = || network(1, Output::Last);
    let parameters = |network: &Network| bits_of(network.parameters());
    exhaust(
        "a layer",
        || Network::new(INPUTS).unwrap(),
        // A refused layer is as if it had never been.
        |network| {
            if network.parameter_count() > 0 {
                return Ok(());
            }
            network.add_rnn(100, Activation::Tanh)
        },
        parameters,
    );
    exhaust(
        "an embedding on another",
        || {
            let mut network = Network::new(INPUTS).unwrap();
            network.add_embedding(&[0], ROWS, 300).unwrap();
            network
        },
        |network| match network.layer_count() {
            1 => network.add_embedding(&[300, 898], 9, 200),
            _ => Ok(()),
        },
        parameters,
    );
    exhaust(
        "a layer on others",
        with_layers,
        |network| match network.output_size() {
            OUTPUTS => network.add_dense(50, Activation::Tanh),
            _ => Ok(()),
        },
        parameters,
    );
    exhaust(
        "initialize",
        with_layers,
        |network| network.initialize(INITIALIZER, 2),
        parameters,
    );
    exhaust(
        "to_f64",
        || (with_layers(), None),
        |(network, wide)| {
            *wide = Some(network.to_f64()?);
            Ok(())
        },
        |(_, wide)| {
            let values = wide.as_ref().unwrap().parameters().iter();
            values.map(|&value| (value as f32).to_bits()).collect()
        },
    );
    let streamed = || {
        let network = with_layers();
        let session = Session::new(&network).unwrap();
        (network, session)
    };
    exhaust(
        "a change while a session runs",
        streamed,
        |(network, _)| network.set_output(Output::All),
        |(network, _)| parameters(network),
    );
}

/// What can be seen of a network, and where its gradients lie.
#[derive(PartialEq)]
struct Seen {
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    gradients_at: *const f32,
    output: Output,
    state_size: usize,
    mean: Vec<f32>,
    y: Vec<f32>,
}

impl Seen {
    fn of(network: &Network) -> Self {
        let x = inputs(1);
        let mut y = vec![0.0; network.output_len(1, 1).unwrap()];
        let one = batch(&x, (1, 1));
        network.predict(one, None, Some(&mut y), None).unwrap();
        Self {
            parameters: network.parameters().to_vec(),
            gradients: network.gradients().to_vec(),
            gradients_at: network.gradients().as_ptr(),
            output: network.output(),
            state_size: network.state_size(),
            mean: network.standardization().unwrap().mean().to_vec(),
            y,
        }
    }
}

/// Names for that many classes.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class {class}")).collect()
}

type Change = fn(&mut Network) -> Result<()>;

const CHANGES: [(&str, Change); 15] = [
    ("add_rnn", |network| network.add_rnn(30, Activation::Relu)),
    ("add_gru", |network| network.add_gru(30, &gru())),
    ("add_lstm", |network| network.add_lstm(30, &lstm())),
    ("add_dense", |network| {
        network.add_dense(30, Activation::Relu)
    }),
    ("add_dropout", |network| network.add_dropout(0.5)),
    ("add_activation", |network| {
        network.add_activation(Activation::Tanh)
    }),
    ("add_layer_norm", |network| network.add_layer_norm(0.1)),
    ("add_concat", |network| network.add_concat(&[0, 11])),
    ("add_residual", |network| network.add_residual(11)),
    ("set_output", |network| network.set_output(Output::All)),
    ("initialize", |network| network.initialize(INITIALIZER, 2)),
    ("set_parameters", |network| {
        let ones = unstarved(|| vec![1.0; network.parameter_count()]);
        network.set_parameters(&ones)
    }),
    ("set_standardization", |network| {
        let [mean, deviation] = unstarved(|| [vec![1.0; INPUTS], vec![3.0; INPUTS]]);
        let standardization = Standardization::new(mean, deviation)?;
        network.set_standardization(Some(standardization))
    }),
    ("set_class_names", |network| {
        let names = unstarved(|| names(network.output_size()));
        network.set_class_names(&names)
    }),
    ("update", |network| {
        network.update(&mut Optimizer::new(Rule::ADAM, 0.1).unwrap())
    }),
];

/// A change that finds no memory is none, also where a session shares the parameters.
fn changes() {
    let start = || {
        let mut caller = Caller::new(1, Output::Last, SHAPES[0]);
        caller.forward().unwrap();
        caller.backward().unwrap();
        caller.network
    };
    for (name, change) in CHANGES {
        let mut changed = start();
        change(&mut changed).unwrap();
        for allowed in 0.. {
            let mut network = start();
            let _session = Session::new(&network).unwrap();
            let before = Seen::of(&network);
            let (result, failed) = starved(allowed, false, || change(&mut network));
            if !failed {
                assert!(allowed > 0, "{name} needs no memory");
                result.unwrap();
                break;
            }
            let error = result.expect_err(name);
            assert!(
                matches!(error, Error::OutOfMemory { .. }),
                "{name}: {error}"
            );
            assert!(Seen::of(&network) == before, "{name}, {allowed}");
            // Nor has it drawn from the numbers that layers start with.
            change(&mut network).unwrap();
            assert_eq!(
                bits_of(network.parameters()),
                bits_of(changed.parameters()),
                "{name}, {allowed}"
            );
        }
    }
}

fn passes() {
    for threads in [1, 2] {
        for output in [Output::Last, Output::All] {
            for shape in SHAPES {
                passes_of(threads, output, shape);
            }
        }
    }
}

fn passes_of(threads: usize, output: Output, shape: (usize, usize)) {
    let name = |call: &str| format!("{call} of {shape:?} on {threads} threads, {output:?}");
    let start = || Caller::new(threads, output, shape);
    let after_forward = || {
        let mut caller = start();
        caller.forward().unwrap();
        caller
    };
    let after_backward = || {
        let mut caller = after_forward();
        caller.backward().unwrap();
        caller
    };
    let with_session = || {
        let mut caller = after_backward();
        caller.session = Some(Session::new(&caller.network).unwrap());
        caller
    };
    exhaust(&name("forward"), start, Caller::forward, Caller::bits);
    exhaust(&name("predict"), start, Caller::predict, Caller::bits);
    let backward = Caller::backward;
    exhaust(&name("backward"), after_forward, backward, Caller::bits);
    let update = Caller::update;
    exhaust(&name("update"), after_backward, update, Caller::bits);
    let name = name("update beside a session");
    exhaust(&name, with_session, update, Caller::bits);
}

fn sessions() {
    exhaust(
        "a copy of a network",
        || (network(1, Output::Last), None),
        |(network, copy)| {
            *copy = Some(network.try_clone()?);
            Ok(())
        },
        |(_, copy)| bits_of(copy.as_ref().unwrap().parameters()),
    );
    exhaust(
        "a copy of a session",
        || (Session::new(&network(1, Output::Last)).unwrap(), None),
        |(session, copy)| {
            *copy = Some(session.try_clone()?);
            Ok(())
        },
        |(_, copy)| {
            let mut y = vec![0.0; OUTPUTS];
            let mut copy = copy.as_ref().unwrap().try_clone().unwrap();
            copy.step(&inputs(1), &mut y).unwrap();
            bits_of(&y)
        },
    );
    exhaust(
        "a session",
        || (network(1, Output::Last), None),
        |(network, session)| {
            *session = Some(Session::new(network)?);
            Ok(())
        },
        |(network, _)| {
            let mut session = Session::new(network).unwrap();
            let mut y = vec![0.0; OUTPUTS];
            session.step(&inputs(1), &mut y).unwrap();
            bits_of(&y)
        },
    );
}

fn files() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory.safetensors");
    // Few enough layers for their description to be a small allocation.
    let mut saved = Network::<f32>::new(INPUTS).unwrap();
    saved.add_gru(30, &gru()).unwrap();
    saved.add_lstm(20, &lstm()).unwrap();
    saved.add_dense(OUTPUTS, Activation::Linear).unwrap();
    let standardization = Standardization::new(ramp(INPUTS), vec![2.0; INPUTS]);
    saved
        .set_standardization(Some(standardization.unwrap()))
        .unwrap();
    saved.save(&path).unwrap();
    let parameters = |network: &Option<Network>| bits_of(network.as_ref().unwrap().parameters());
    exhaust(
        "load",
        || None,
        |network| {
            *network = Some(Network::load(&path)?);
            Ok(())
        },
        parameters,
    );
    exhaust(
        "to_bytes",
        || {
            let mut network = Network::<f32>::new(INPUTS).unwrap();
            network.add_rnn(40, Activation::Tanh).unwrap();
            (network, Vec::new())
        },
        |(network, bytes)| {
            *bytes = network.to_bytes()?;
            Ok(())
        },
        |(_, bytes)| bytes.iter().map(|&byte| u32::from(byte)).collect(),
    );
    std::fs::remove_file(path).unwrap();

    let mut optimizer = Optimizer::<f32>::new(Rule::ADAM, 0.01).unwrap();
    optimizer.step(&mut [1.0; 999], &[1.0; 999]).unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory.optimizer");
    optimizer.save(&path).unwrap();
    exhaust(
        "load an optimizer and write it again",
        Vec::new,
        |bytes| {
            *bytes = Optimizer::<f32>::load(&path)?.to_bytes()?;
            Ok(())
        },
        |bytes| bytes.iter().map(|&byte| u32::from(byte)).collect(),
    );
    std::fs::remove_file(path).unwrap();

    // With a note, a class that the header writes in other letters, and one that it does not name.
    let mut text = String::from("@seriesLength 9\n@timeStamps true\n@classLabel true A b\n@data\n");
    for case in 0..400 {
        let class = ["a", "b", "c"][case % 3];
        text += &format!("({case},2),(0,?),(-1,4):(0,1),({case},3),(-1,?):{class}\n");
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory.ts");
    std::fs::write(&path, &text).unwrap();
    exhaust(
        "read_ts",
        || None,
        |dataset| {
            let mut options = TsOptions::default();
            options.missing = MissingValues::Linear;
            options.time_feature = true;
            *dataset = Some(Dataset::<f32>::read_ts_with(&path, &options)?);
            Ok(())
        },
        |dataset| bits_of(dataset.as_ref().unwrap().sequence(3)),
    );
    std::fs::remove_file(path).unwrap();
}

fn labels() -> Vec<usize> {
    (0..BATCH).map(|index| index % OUTPUTS).collect()
}

fn dataset() -> Dataset {
    let targets = Targets::Classes {
        labels: labels(),
        names: names(OUTPUTS),
    };
    Dataset::new(INPUTS, inputs(BATCH * STEPS), &[STEPS; BATCH], targets).unwrap()
}

/// What trains, and where it started.
struct Trained {
    dataset: Dataset,
    network: Network,
    optimizer: Optimizer,
    parameters: Vec<f32>,
}

impl Trained {
    fn new(output: Output) -> Self {
        let mut network = network(2, output);
        network.set_output(output).unwrap();
        Self {
            dataset: match output {
                Output::Last => dataset(),
                Output::All => {
                    let targets = Targets::Values {
                        size: OUTPUTS,
                        per_step: true,
                        values: ramp(BATCH * STEPS * OUTPUTS),
                    };
                    let x = inputs(BATCH * STEPS);
                    Dataset::new(INPUTS, x, &[STEPS; BATCH], targets).unwrap()
                }
            },
            parameters: network.parameters().to_vec(),
            network,
            optimizer: Optimizer::new(Rule::ADAM, 0.01).unwrap(),
        }
    }

    /// Starts from the start: a training that memory has stopped in its first epoch may have made some updates.
    fn fit(&mut self, loss: Loss, truncate: Option<usize>, validates: bool) -> Result<()> {
        self.network.set_class_names::<&str>(&[])?;
        self.network.set_parameters(&self.parameters)?;
        self.network.set_seed(3);
        self.optimizer.reset();
        let options = FitOptions {
            epochs: 2,
            batch_size: 590,
            truncate,
            validation: validates.then_some(&self.dataset),
            early_stopping: validates.then_some(EarlyStopping::new(2)),
            average: validates,
            ..FitOptions::new(loss)
        };
        let (network, optimizer) = (&mut self.network, &mut self.optimizer);
        let go_on = |_: &mut _, _: &_| ControlFlow::Continue(());
        fit(network, &self.dataset, optimizer, &options, go_on).map(|_| ())
    }

    fn bits(&self) -> Vec<u32> {
        bits_of(self.network.parameters())
    }
}

fn data_sets_and_training() {
    exhaust(
        "numbered classes and a data set",
        || {
            let x = inputs(BATCH * STEPS);
            (Some((x, labels())), None)
        },
        // What a refused call has taken is gone; the next one gets its own.
        |(arguments, dataset)| {
            let copy = || (inputs(BATCH * STEPS), labels());
            let (x, labels) = arguments.take().unwrap_or_else(copy);
            let targets = Targets::numbered_classes(labels, OUTPUTS)?;
            *dataset = Some(Dataset::new(INPUTS, x, &[STEPS; BATCH], targets)?);
            Ok(())
        },
        |(_, dataset)| bits_of(dataset.as_ref().unwrap().sequence(7)),
    );
    exhaust(
        "standardization",
        || (dataset(), None),
        |(dataset, standardization)| {
            *standardization = Some(dataset.standardization()?);
            Ok(())
        },
        |(_, standardization)| bits_of(standardization.as_ref().unwrap().mean()),
    );
    exhaust(
        "gather",
        || (dataset(), MiniBatch::default(), Vec::from_iter(0..BATCH)),
        |(dataset, batch, indices)| dataset.gather(indices, batch),
        |(_, batch, _)| bits_of(&batch.x),
    );
    exhaust(
        "evaluate",
        || (Trained::new(Output::Last), Vec::new()),
        |(it, confusion)| {
            *confusion = evaluate(&it.network, &it.dataset, CLASSES, 590)?.confusion;
            Ok(())
        },
        |(_, confusion)| confusion.iter().map(|&count| count as u32).collect(),
    );
    for output in [Output::Last, Output::All] {
        exhaust(
            &format!("predict a data set, {output:?}"),
            || (Trained::new(output), Vec::new()),
            |(it, outputs)| {
                *outputs = predict(&it.network, &it.dataset, 590)?;
                Ok(())
            },
            |(_, outputs)| bits_of(outputs),
        );
    }
    for (name, output, loss, truncate, validates) in [
        ("fit", Output::Last, CLASSES, None, true),
        (
            "fit per step",
            Output::All,
            Loss::MeanSquaredError,
            None,
            false,
        ),
        (
            "fit in parts",
            Output::All,
            Loss::MeanSquaredError,
            Some(1),
            true,
        ),
    ] {
        exhaust(
            name,
            || Trained::new(output),
            |it| it.fit(loss, truncate, validates),
            Trained::bits,
        );
    }
}

/// The room of a loss that needs some.
fn losses() {
    const CLASSES: usize = 300;
    let logits = ramp(BATCH * CLASSES);
    let labels: Vec<usize> = (0..STEPS * 100).map(|index| 1 + index % 7).collect();
    for with_gradient in [false, true] {
        exhaust(
            &format!("a CTC loss, gradient: {with_gradient}"),
            || (CtcWorkspace::new(), vec![0.0; BATCH * CLASSES], 0.0),
            |(workspace, gradient, loss)| {
                let labels = CtcLabels {
                    labels: &labels,
                    lengths: &[labels.len()],
                };
                let gradient = with_gradient.then_some(&mut gradient[..]);
                let options = CtcOptions::default();
                *loss = ctc(&logits, CLASSES, labels, None, options, workspace, gradient)?;
                Ok(())
            },
            |(_, gradient, loss)| bits_of(&[&gradient[..], &[*loss as f32]].concat()),
        );
    }
}

/// Sizes that no memory holds are errors before anything is allocated.
fn sizes_that_overflow() {
    const HUGE: usize = usize::MAX / 2;
    let mut network = network(1, Output::All);
    let dataset = dataset();
    let mut batch = MiniBatch::default();
    let one = Batch {
        x: &[0.0],
        batch: HUGE,
        steps: HUGE,
        lengths: None,
    };
    let before = LARGE_ONES.load(Ordering::Relaxed);
    let overflows = [
        Network::<f32>::new(HUGE).map(|_| ()),
        network.add_rnn(HUGE, Activation::Tanh),
        network.add_rnn(1 << 40, Activation::Tanh),
        network.add_dense(HUGE, Activation::Tanh),
        network.forward(one, None, None, None),
        network.predict(one, None, None, None),
        network.output_len(HUGE, HUGE).map(|_| ()),
        Targets::<f32>::numbered_classes(Vec::new(), HUGE).map(|_| ()),
        Dataset::<f32>::new(HUGE, Vec::new(), &[HUGE], Targets::None).map(|_| ()),
        Dataset::<f32>::new(1, Vec::new(), &[usize::MAX, 2], Targets::None).map(|_| ()),
    ];
    for (index, result) in overflows.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::SizeOverflow { .. }),
            "{index}: {error}"
        );
    }
    assert_eq!(LARGE_ONES.load(Ordering::Relaxed), before);
    dataset.gather(&[0], &mut batch).unwrap();
}

fn main() {
    // What the process makes once and keeps.
    live();
    layers_and_parameters();
    changes();
    passes();
    sessions();
    files();
    data_sets_and_training();
    losses();
    sizes_that_overflow();
    println!("{} faults", FAILED.load(Ordering::Relaxed));
}
