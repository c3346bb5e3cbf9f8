//! Nothing is allocated after the first call of a shape, by no thread of the process: every allocation is counted. So
//! this program runs without the test harness, whose own threads allocate.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use elman::dataset::{Dataset, Targets};
use elman::init::{Initializer, Rng};
use elman::loss::{CtcLabels, CtcOptions, CtcWorkspace, Loss, NO_LABEL, Padding, ctc};
use elman::optimizer::{Optimizer, Rule};
use elman::train::{BatchProgress, Callbacks, EarlyStopping, FitOptions, Progress, fit_with};
use elman::{
    Activation, Batch, Direction, Element, InitialState, Network, Output, RecurrentOptions, Reset,
    Session, Tier,
};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the allocations of all threads.
struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of the process so far.
fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

#[track_caller]
fn expect_none(what: &str, work: impl FnOnce()) {
    let before = count();
    work();
    let allocations = count() - before;
    assert!(allocations == 0, "{what}: {allocations} allocations");
}

/// Every kind of layer that sees no later step, on 3 features.
fn network<E: Element>(tier: Tier, output: Output, threads: usize) -> Network<E> {
    let mut network = Network::with_tier(3, tier).unwrap();
    network.add_dense(7, Activation::Relu).unwrap();
    network.add_layer_norm(1e-5).unwrap();
    network.add_rnn(40, Activation::Tanh).unwrap();
    network.add_dropout(0.1).unwrap();
    network.add_gru(10, &RecurrentOptions::default()).unwrap();
    let lstm = RecurrentOptions {
        peepholes: true,
        projection: 9,
        ..RecurrentOptions::default()
    };
    network.add_lstm(12, &lstm).unwrap();
    network.add_lstm(8, &RecurrentOptions::default()).unwrap();
    network.add_layer_norm(1e-5).unwrap();
    network.add_residual(7).unwrap();
    network.add_concat(&[0, 9, 3]).unwrap();
    finished(network, output, threads)
}

/// Layers in both directions, with what is drawn in training.
fn both_ways<E: Element>(tier: Tier, output: Output, threads: usize) -> Network<E> {
    let mut network = Network::with_tier(3, tier).unwrap();
    let options = RecurrentOptions {
        direction: Direction::Bidirectional,
        recurrent_dropout: 0.1,
        zoneout: 0.1,
        initial_state: InitialState::Trainable,
        ..RecurrentOptions::default()
    };
    let before = RecurrentOptions {
        reset: Reset::Before,
        ..options.clone()
    };
    network.add_lstm(8, &options).unwrap();
    network.add_gru(7, &before).unwrap();
    network
        .add_recurrent(5, Activation::Tanh, &options)
        .unwrap();
    finished(network, output, threads)
}

fn finished<E: Element>(mut network: Network<E>, output: Output, threads: usize) -> Network<E> {
    network.add_dense(2, Activation::Linear).unwrap();
    network.set_output(output).unwrap();
    let initializer = Initializer::GlorotUniform { gain: 1.0 };
    network.initialize(initializer, 1).unwrap();
    network.set_threads(threads).unwrap();
    network.set_parallel_threshold(0);
    network
}

const MOST_SEQUENCES: usize = 40;
const MOST_STEPS: usize = 30;

/// A caller with buffers for every batch there will be.
struct Caller<E: Element> {
    network: Network<E>,
    optimizer: Optimizer<E>,
    x: Vec<E>,
    y: Vec<E>,
    dx: Vec<E>,
    states: [Vec<E>; 2],
}

impl<E: Element> Caller<E> {
    fn new(network: Network<E>, rule: Rule) -> Self {
        let rows = MOST_SEQUENCES * MOST_STEPS;
        let state = vec![E::ZERO; MOST_SEQUENCES * network.state_size()];
        Self {
            optimizer: Optimizer::new(rule, 0.001).unwrap(),
            x: vec![E::ONE; rows * network.input_size()],
            y: vec![E::ZERO; rows * network.output_size()],
            dx: vec![E::ZERO; rows * network.input_size()],
            states: [state.clone(), state],
            network,
        }
    }

    /// Everything that can be done with a batch.
    fn run(&mut self, lengths: &[usize], steps: usize) {
        let (batch, network) = (lengths.len(), &mut self.network);
        let x = batch * steps * network.input_size();
        let y = network.output_len(batch, steps).unwrap();
        let state = batch * network.state_size();
        let (y, dx) = (&mut self.y[..y], &mut self.dx[..x]);
        let [state_in, state_out] = &mut self.states;
        let (state_in, state_out) = (&mut state_in[..state], &mut state_out[..state]);
        let batch = Batch {
            x: &self.x[..x],
            batch,
            steps,
            lengths: Some(lengths),
        };
        network
            .predict(batch, Some(state_in), Some(y), Some(state_out))
            .unwrap();
        network
            .forward(batch, Some(state_in), Some(y), Some(state_out))
            .unwrap();
        network
            .backward(Some(y), Some(state_out), Some(dx), Some(state_in))
            .unwrap();
        network.update(&mut self.optimizer).unwrap();
    }
}

fn session_on<E: Element>(tier: Tier) {
    let network = network::<E>(tier, Output::Last, 1);
    let mut session = Session::new(&network).unwrap();
    let mut state = vec![E::ZERO; network.state_size()];
    let mut y = [E::ZERO; 2];
    const STEPS: usize = 150;
    let (mut x, mut ys) = ([E::ONE; 3 * STEPS], [E::ZERO; 2 * STEPS]);
    expect_none(&format!("{tier:?} {}", E::NAME), || {
        for _ in 0..100 {
            session.step(&[E::ONE; 3], &mut y).unwrap();
            session.step(&[E::ONE; 2], &mut y).unwrap_err();
            session.run(&x, STEPS, &mut ys).unwrap();
            session.run(&x, STEPS + 1, &mut ys).unwrap_err();
            session.run_in_place(&mut x, STEPS).unwrap_err();
            session.state(&mut state).unwrap();
            session.reset();
            session.set_state(&state).unwrap();
        }
    });
}

/// Not even in its first step.
fn a_session_allocates_nothing() {
    for tier in common::tiers() {
        session_on::<f32>(tier);
        session_on::<f64>(tier);
    }
}

fn repeat<E: Element>(threads: usize) {
    for tier in common::tiers() {
        for output in [Output::Last, Output::All] {
            for network in [network::<E>, both_ways::<E>] {
                let mut caller = Caller::<E>::new(network(tier, output, threads), Rule::ADAM);
                for (batch, steps) in [(2, 3), (9, 4), (MOST_SEQUENCES, MOST_STEPS)] {
                    let lengths = vec![steps; batch];
                    caller.run(&lengths, steps);
                    let what = format!("{tier:?} {}, {output:?}, B {batch}, T {steps}", E::NAME);
                    expect_none(&what, || (0..30).for_each(|_| caller.run(&lengths, steps)));
                }
            }
        }
    }
}

/// Forward, backward, update and predict.
fn a_shape_that_comes_again_allocates_nothing() {
    repeat::<f32>(1);
    repeat::<f64>(1);
}

fn every_rule_allocates_in_its_first_update_alone() {
    for rule in [
        Rule::SGD,
        Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.1,
        },
        Rule::ADAGRAD,
        Rule::RMSPROP,
        Rule::ADAM,
        Rule::ADAMW,
        Rule::RPROP,
        Rule::RPROP_UNBOUNDED,
    ] {
        let network = network::<f32>(Tier::active().unwrap(), Output::Last, 1);
        let mut caller = Caller::new(network, rule);
        caller.run(&[4; 3], 4);
        expect_none(&format!("{rule:?}"), || {
            for _ in 0..3 {
                caller.run(&[4; 3], 4);
                caller.optimizer.reset();
            }
        });
    }
}

/// Shapes of no more sequences, none of more steps, ragged or not.
fn a_smaller_shape_allocates_nothing() {
    let outputs = [Output::Last, Output::All].into_iter();
    for (output, threshold) in outputs.flat_map(|output| [(output, 0), (output, 2_000_000)]) {
        let mut network = network::<f32>(Tier::active().unwrap(), output, 1);
        network.set_parallel_threshold(threshold);
        let mut caller = Caller::new(network, Rule::SGD);
        caller.run(&[MOST_STEPS; MOST_SEQUENCES], MOST_STEPS);
        let mut rng = Rng::new(1);
        let mut to = |most: usize| 1 + (rng.uniform() * most as f64) as usize;
        for _ in 0..300 {
            let (steps, batch) = (to(MOST_STEPS), to(MOST_SEQUENCES));
            let longest = to(steps);
            let lengths: Vec<usize> = (0..batch).map(|_| to(longest)).collect();
            let what = format!("{output:?}, threshold {threshold}, T {steps}, lengths {lengths:?}");
            expect_none(&what, || caller.run(&lengths, steps));
        }
    }
}

fn a_ctc_loss_allocates_in_its_first_call_alone() {
    fn check<E: Element>() {
        let logits = [E::ONE; 3 * 20 * 5];
        let mut gradient = vec![E::ZERO; logits.len()];
        let mut workspace = CtcWorkspace::new();
        let options = CtcOptions::default();
        let mut run = |steps, lengths: &[usize], labels: &[usize], label_lengths: &[usize]| {
            let len = 3 * steps * 5;
            let logits = &logits[..len];
            let padding = Some(Padding { steps, lengths });
            let labels = CtcLabels {
                labels,
                lengths: label_lengths,
            };
            for gradient in [Some(&mut gradient[..len]), None] {
                ctc(
                    logits,
                    5,
                    labels,
                    padding,
                    options,
                    &mut workspace,
                    gradient,
                )
                .unwrap();
            }
        };
        run(20, &[20, 20, 20], &[1, 2, 3, 4], &[4, 0, 0]);
        expect_none(E::NAME, || {
            run(20, &[20, 20, 20], &[1, 2, 3, 4], &[0, 4, 0]);
            run(20, &[20, 2, 7], &[1, 2, 3, 4], &[0, 1, 3]);
            run(7, &[7, 7, 7], &[1, 1], &[2, 0, 0]);
        });
    }
    check::<f32>();
    check::<f64>();
}

/// Allocations until the end of each epoch. The gradients are changed on the way.
struct Counts([usize; 50]);

impl Callbacks<f32> for Counts {
    fn batch(&mut self, batch: &mut BatchProgress<'_, f32>) -> ControlFlow<()> {
        batch.learning_rate *= 0.99;
        batch.gradients[0] = 0.5;
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, progress: &mut Progress, _: &Network<f32>) -> ControlFlow<()> {
        self.0[progress.epoch - 1] = count();
        ControlFlow::Continue(())
    }
}

/// The allocations up to the end of each epoch.
fn counts_of(
    network: &mut Network<f32>,
    dataset: &Dataset<f32>,
    optimizer: &mut Optimizer<f32>,
    options: &FitOptions<'_, f32>,
) -> [usize; 50] {
    let mut counts = Counts([0; 50]);
    fit_with(network, dataset, optimizer, options, &mut counts).unwrap();
    counts.0
}

fn fit_on(threads: usize) {
    // Two of the three long sequences meet in a mini-batch in some later epoch only.
    let mut lengths = vec![1; 40];
    lengths[5..8].copy_from_slice(&[30, 40, 50]);
    let steps: usize = lengths.iter().sum();
    for (output, truncate) in [
        (Output::Last, None),
        (Output::All, None),
        (Output::All, Some(10)),
    ] {
        let per_step = output == Output::All;
        let targets = Targets::Values {
            size: 2,
            per_step,
            values: vec![0.5; 2 * if per_step { steps } else { 40 }],
        };
        // The network has the names in another order.
        let count = if per_step { steps } else { 40 };
        let labels = (0..count).map(|row| [0, 1, NO_LABEL][row % 3]).collect();
        let names = ["b", "a"].map(String::from).to_vec();
        let classes = match output {
            Output::Last => Targets::Classes { labels, names },
            Output::All => Targets::StepClasses { labels, names },
        };
        fit_to(
            Loss::MeanSquaredError,
            targets,
            &lengths,
            output,
            truncate,
            threads,
        );
        let loss = Loss::SoftmaxCrossEntropy { ignored: None };
        fit_to(loss, classes, &lengths, output, truncate, threads);
    }
}

fn fit_to(
    loss: Loss,
    targets: Targets<f32>,
    lengths: &[usize],
    output: Output,
    truncate: Option<usize>,
    threads: usize,
) {
    let steps: usize = lengths.iter().sum();
    let dataset = Dataset::new(3, vec![0.25_f32; 3 * steps], lengths, targets).unwrap();
    let mut network = network(Tier::active().unwrap(), output, threads);
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.001).unwrap();
    let cancel = AtomicBool::new(false);
    let mut options = FitOptions {
        epochs: 50,
        batch_size: 3,
        truncate,
        validation: Some(&dataset),
        early_stopping: Some(EarlyStopping::new(50)),
        average: true,
        cancel: Some(&cancel),
        ..FitOptions::new(loss)
    };
    if loss != Loss::MeanSquaredError {
        network.set_class_names(&["a", "b"]).unwrap();
        options.class_weights = Some(&[0.5, 2.0]);
    }
    let before = count();
    let counts = counts_of(&mut network, &dataset, &mut optimizer, &options);
    let first = counts[0];
    assert!(first > before, "the first epoch allocates");
    assert_eq!(counts, [first; 50], "{loss:?}, {output:?}, {truncate:?}");
}

fn fit_allocates_nothing_after_the_first_epoch() {
    fit_on(1);
}

/// The largest batch sums gradients by halves, in smaller windows than batches that have a little less.
fn fit_makes_room_for_the_windows_of_all_batches() {
    let lengths: Vec<usize> = (0..64).map(|sequence| 62 + sequence % 5).collect();
    let steps: usize = lengths.iter().sum();
    let targets = Targets::Values {
        size: 126,
        per_step: false,
        values: vec![0.5; 64 * 126],
    };
    let dataset = Dataset::new(3, vec![0.25_f32; 3 * steps], &lengths, targets).unwrap();
    let mut network = Network::new(3).unwrap();
    network.add_rnn(126, Activation::Tanh).unwrap();
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.001).unwrap();
    let options = FitOptions {
        epochs: 50,
        batch_size: 32,
        ..FitOptions::new(Loss::MeanSquaredError)
    };
    let counts = counts_of(&mut network, &dataset, &mut optimizer, &options);
    assert_eq!(counts, [counts[0]; 50]);
}

fn a_shape_that_comes_again_allocates_nothing_on_two_threads() {
    repeat::<f32>(2);
    repeat::<f64>(2);
}

fn fit_allocates_nothing_after_the_first_epoch_on_two_threads() {
    fit_on(2);
}

/// A thread that the standard library has not started, in its first call: it has no handle there, and gets none.
#[cfg(unix)]
fn the_first_call_of_a_foreign_thread_allocates_nothing() {
    extern "C" fn thread(caller: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: it is the caller below, which lives until this thread has ended, and nobody else's meanwhile.
        let caller = unsafe { &mut *caller.cast::<Caller<f32>>() };
        // So many calls that the caller sleeps in one of them.
        expect_none("a call", || {
            for _ in 0..50 {
                caller.run(&[MOST_STEPS; MOST_SEQUENCES], MOST_STEPS);
            }
        });
        std::ptr::null_mut()
    }
    let network = network::<f32>(Tier::active().unwrap(), Output::All, 2);
    let mut caller = Caller::new(network, Rule::ADAM);
    caller.run(&[MOST_STEPS; MOST_SEQUENCES], MOST_STEPS);
    let mut handle = std::mem::MaybeUninit::uninit();
    // SAFETY: the thread gets what it expects, and is waited for.
    let joined = unsafe {
        let started = libc::pthread_create(
            handle.as_mut_ptr(),
            std::ptr::null(),
            thread,
            (&raw mut caller).cast(),
        );
        assert_eq!(started, 0);
        libc::pthread_join(handle.assume_init(), std::ptr::null_mut())
    };
    assert_eq!(joined, 0);
}

/// Runs the tests that it names.
macro_rules! run {
    ($($test:ident),* $(,)?) => {
        let mut count = 0;
        $(
            print!("test {} ... ", stringify!($test));
            $test();
            println!("ok");
            count += 1;
        )*
        println!("test result: ok. {count} passed; 0 failed");
    };
}

fn main() {
    run![
        a_session_allocates_nothing,
        a_shape_that_comes_again_allocates_nothing,
        every_rule_allocates_in_its_first_update_alone,
        a_smaller_shape_allocates_nothing,
        a_ctc_loss_allocates_in_its_first_call_alone,
        fit_allocates_nothing_after_the_first_epoch,
        fit_makes_room_for_the_windows_of_all_batches,
        a_shape_that_comes_again_allocates_nothing_on_two_threads,
        fit_allocates_nothing_after_the_first_epoch_on_two_threads,
    ];
    #[cfg(unix)]
    run![the_first_call_of_a_foreign_thread_allocates_nothing];
}
