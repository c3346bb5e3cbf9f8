//! Training allocates nothing after the first epoch. Alone in its process: it counts every allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::init::Initializer;
use elman::loss::Loss;
use elman::optimizer::{Optimizer, Rule};
use elman::train::{FitOptions, fit};
use elman::{Activation, Network, Output};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts the allocations of each thread.
struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
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

#[test]
fn nothing_is_allocated_after_the_first_epoch() {
    // Two of the three long sequences meet in a mini-batch in some later epoch only.
    let mut lengths = vec![1; 40];
    lengths[5..8].copy_from_slice(&[30, 40, 50]);
    let steps: usize = lengths.iter().sum();
    let dataset = |per_step| {
        let targets = Targets::Values {
            size: 2,
            per_step,
            values: vec![0.5; 2 * if per_step { steps } else { 40 }],
        };
        Dataset::new(3, vec![0.25_f32; 3 * steps], &lengths, targets).unwrap()
    };
    for (output, truncate) in [
        (Output::Last, None),
        (Output::All, None),
        (Output::All, Some(10)),
    ] {
        let dataset = dataset(output == Output::All);
        let mut network = Network::new(3).unwrap();
        network.add_rnn(20, Activation::Tanh).unwrap();
        network.add_dropout(0.1).unwrap();
        network.add_rnn(10, Activation::Relu).unwrap();
        network.add_dense(2, Activation::Linear).unwrap();
        network.set_output(output).unwrap();
        network
            .initialize(Initializer::GlorotUniform { gain: 1.0 }, 1)
            .unwrap();
        let mut optimizer = Optimizer::new(Rule::ADAM, 0.001).unwrap();
        let options = FitOptions {
            epochs: 50,
            batch_size: 3,
            truncate,
            validation: Some(&dataset),
            ..FitOptions::new(Loss::MeanSquaredError)
        };
        let mut counts = [0; 50];
        fit(
            &mut network,
            &dataset,
            &mut optimizer,
            &options,
            |progress, _| {
                counts[progress.epoch - 1] = COUNT.get();
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        let first = counts[0];
        assert!(first > 0, "the first epoch allocates");
        assert_eq!(counts, [first; 50]);
    }
}
