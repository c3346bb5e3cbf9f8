//! Memory that runs out at any of the buffers that a call needs: the call says so, and the network is as it was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;

use elman::dataset::Standardization;
use elman::init::Initializer;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Batch, Error, Network, Output, Result, Session};

thread_local! {
    /// How many more buffers this thread gets; None: as many as it asks for.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The system's allocator, which refuses buffers of elements when there have been enough of them. They are told by their
/// alignment, a cache line.
struct Limited;

const BUFFER: usize = 64;

// SAFETY: what is not refused, which null says, is left to the system's allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == BUFFER {
            match LEFT.get() {
                Some(0) => return ptr::null_mut(),
                left => LEFT.set(left.map(|left| left - 1)),
            }
        }
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

const BATCH: Batch<'_, f32> = Batch {
    x: &[0.5, -1.0, 0.25, 2.0, 0.75, -0.5],
    batch: 1,
    steps: 3,
    lengths: None,
};

/// A network with gradients of a pass, through which it can go back again.
fn network() -> Network {
    let mut network = Network::new(2).unwrap();
    network.add_rnn(20, Activation::Tanh).unwrap();
    network.add_dense(2, Activation::Linear).unwrap();
    let initializer = Initializer::PyTorch { gain: 1.0 };
    network.initialize(initializer, 1).unwrap();
    network.forward(BATCH, None, None, None).unwrap();
    network
        .backward(Some(&[1.0, -1.0]), None, None, None)
        .unwrap();
    network
}

/// What can be seen of a network, and where its gradients lie.
#[derive(PartialEq)]
struct Seen {
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    gradients_at: *const f32,
    output: Output,
    state_size: usize,
    standardizes: bool,
    y: Vec<f32>,
}

impl Seen {
    fn of(network: &Network) -> Self {
        let mut y = vec![0.0; network.output_len(BATCH.batch, BATCH.steps).unwrap()];
        network.predict(BATCH, None, Some(&mut y), None).unwrap();
        Self {
            parameters: network.parameters().to_vec(),
            gradients: network.gradients().to_vec(),
            gradients_at: network.gradients().as_ptr(),
            output: network.output(),
            state_size: network.state_size(),
            standardizes: network.standardization().is_some(),
            y,
        }
    }
}

type Change = fn(&mut Network) -> Result<()>;

const CHANGES: [(&str, Change); 9] = [
    ("add_rnn", |network| network.add_rnn(30, Activation::Relu)),
    ("add_dense", |network| {
        network.add_dense(30, Activation::Relu)
    }),
    ("add_dropout", |network| network.add_dropout(0.5)),
    ("set_output", |network| network.set_output(Output::All)),
    ("initialize", |network| {
        network.initialize(Initializer::Orthogonal { gain: 1.0 }, 2)
    }),
    ("set_parameters", |network| {
        let ones = vec![1.0; network.parameters().len()];
        network.set_parameters(&ones)
    }),
    ("set_standardization", |network| {
        let standardization = Standardization::new(vec![1.0, 2.0], vec![3.0, 4.0])?;
        network.set_standardization(Some(standardization))
    }),
    ("update", |network| {
        network.update(&mut Optimizer::new(Rule::ADAM, 0.1).unwrap())
    }),
    ("forward of a larger batch", |network| {
        let batch = Batch {
            x: &[0.5; 200],
            batch: 10,
            steps: 10,
            lengths: None,
        };
        network.forward(batch, None, None, None)
    }),
];

#[test]
fn a_call_without_memory_fails_and_changes_nothing() {
    for (name, change) in CHANGES {
        let mut refused = 0;
        loop {
            let mut network = network();
            // The two share the parameters until one of them changes.
            let _session = Session::new(&network).unwrap();
            let before = Seen::of(&network);
            LEFT.set(Some(refused));
            let result = change(&mut network);
            LEFT.set(None);
            match result {
                Ok(()) => break,
                Err(Error::OutOfMemory { .. }) => refused += 1,
                Err(error) => panic!("{name}: {error}"),
            }
            assert!(Seen::of(&network) == before, "{name}, buffer {refused}");
            change(&mut network).unwrap();
        }
        assert!(refused > 0, "{name} needs no memory");
    }
}
