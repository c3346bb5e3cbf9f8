//! What the fuzz targets of elman do with their bytes.
//!
//! [`calls`] turns them into calls of the C functions, right and wrong ones, and compares what happens with what the
//! header says. [`loaders`] takes them for files. A panic is a finding.
#![deny(unsafe_code)]

mod by_name;
#[allow(unsafe_code)] // buffers and results as C has them
mod call;
mod dataset;
mod file;
mod loader;
mod loss;
#[allow(unsafe_code)] // an allocator
mod memory;
#[allow(unsafe_code)] // the gradients' address
mod network;
mod optimizer;
mod pass;
mod session;
mod source;
#[allow(unsafe_code)] // the pointer of a callback
mod training;
mod world;

pub use call::Record;
pub use loader::loaders;

/// Makes the calls that the bytes say. Returns them, and the status of each.
///
/// # Panics
/// Where the library breaks its word.
pub fn calls(bytes: &[u8]) -> Record {
    let mut world = world::World {
        record: Vec::with_capacity(10_000), // More calls than a run makes.
        ..Default::default()
    };
    let before = memory::live();
    world.run(&mut source::Source::new(bytes));
    let threads = world.threads;
    let record = world.finish();
    if !threads {
        assert_eq!(memory::live(), before, "memory that nobody has given back");
    }
    record
}
