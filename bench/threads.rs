//! What threads gain, and what it would cost to let rayon hand the shards of a batch out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use elman::Tier;

use crate::job::Job;
use crate::load::CALLS;
use crate::shapes::{REFERENCE, Shape};
use crate::yardstick::{fma_peak_of, seconds};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the allocations of all threads.
struct Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
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

/// Shapes whose threads share the sequences, from 100 microseconds to 100 milliseconds.
const SHARDED: [&str; 5] = [
    "20x64x3x32",
    "28x128x28x128",
    "50x128x64x256",
    "50x256x256x512",
    "50x128x512x1024",
];

/// A batch that has sequences for many cores.
const WIDE: &str = "50x512x64x256";

/// Who runs the shards of a batch.
#[derive(Clone, Copy)]
enum Way {
    /// The caller, one after the other.
    Alone,
    /// elman's threads: one network.
    Team,
    /// The caller runs one, those that it has spawned run on a pool's threads.
    InPlaceScope,
    /// All run on a pool's threads.
    Join,
    /// Each of a pool's threads runs one.
    Broadcast,
}

const WAYS: [(&str, Way); 5] = [
    ("alone", Way::Alone),
    ("elman", Way::Team),
    ("in_place_scope", Way::InPlaceScope),
    ("install, join", Way::Join),
    ("broadcast", Way::Broadcast),
];

/// A batch in shards, and ways to run it.
struct Sharded {
    whole: Job,
    shards: Vec<Mutex<Job>>,
    /// With the caller as many threads as shards.
    others: rayon::ThreadPool,
    /// As many threads as shards.
    all: rayon::ThreadPool,
}

fn run(shard: &Mutex<Job>) {
    shard.lock().expect("no call fails").forward();
}

fn join(shards: &[Mutex<Job>]) {
    match shards {
        [shard] => run(shard),
        _ => {
            let (left, right) = shards.split_at(shards.len() / 2);
            rayon::join(|| join(left), || join(right));
        }
    }
}

impl Sharded {
    fn new(shape: &Shape, tier: Tier, threads: usize) -> elman::Result<Self> {
        let shard = Shape {
            batch: shape.batch / threads,
            ..*shape
        };
        let shards = (0..threads).map(|_| Job::new(shard, tier, 1).map(Mutex::new));
        let pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("the system has threads")
        };
        Ok(Self {
            whole: Job::new(*shape, tier, threads)?,
            shards: shards.collect::<elman::Result<_>>()?,
            others: pool(threads - 1),
            all: pool(threads),
        })
    }

    fn run(&mut self, way: Way) {
        match way {
            Way::Alone => self.shards.iter().for_each(run),
            Way::Team => self.whole.forward(),
            Way::InPlaceScope => self.others.in_place_scope(|scope| {
                for shard in &self.shards[1..] {
                    scope.spawn(|_| run(shard));
                }
                run(&self.shards[0]);
            }),
            Way::Join => self.all.install(|| join(&self.shards)),
            Way::Broadcast => {
                self.all
                    .broadcast(|context| run(&self.shards[context.index()]));
            }
        }
    }
}

/// Prints the tables.
pub fn print(tier: Tier) -> elman::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let counts: Vec<usize> = (0..)
        .map(|power| 1 << power)
        .take_while(|&threads| threads < cores)
        .chain([cores])
        .collect();
    println!("\nTimes of one thread's, on {cores} cores\n");
    let names: Vec<String> = counts
        .iter()
        .map(|threads| format!("{threads} threads"))
        .collect();
    println!("| shape (TxBxIxH) | call | us | {} |", names.join(" | "));
    println!("|{}", " --- |".repeat(3 + counts.len()));
    let peaks: Vec<f64> = counts
        .iter()
        .map(|&threads| fma_peak_of(tier, threads))
        .collect();
    let gains: Vec<String> = peaks
        .iter()
        .map(|peak| format!("{:.2}", peak / peaks[0]))
        .collect();
    println!(
        "| what the cores give | FMA peak, {:.0} GFLOP/s | | {} |",
        peaks[0] / 1e9,
        gains.join(" | ")
    );
    for shape in REFERENCE.into_iter().chain(Shape::parse(WIDE)) {
        for (name, call) in CALLS {
            let times = counts.iter().map(|&threads| {
                let mut job = Job::new(shape, tier, threads)?;
                Ok(seconds(|| call(&mut job)))
            });
            let times: Vec<f64> = times.collect::<elman::Result<_>>()?;
            let gains: Vec<String> = times
                .iter()
                .map(|time| format!("{:.2}", times[0] / time))
                .collect();
            println!(
                "| {} {} | {name} | {:.0} | {} |",
                shape.name,
                shape.sizes(),
                times[0] * 1e6,
                gains.join(" | ")
            );
        }
    }
    if cores < 2 {
        return Ok(());
    }
    println!(
        "\nThe shards of a batch, {cores} of them, inference: us (the best), us (mean), allocations of a thousand calls\n"
    );
    println!(
        "| shape (TxBxIxH) | {} |",
        WAYS.map(|(name, _)| name).join(" | ")
    );
    println!("|{}", " --- |".repeat(1 + WAYS.len()));
    for shape in SHARDED.iter().filter_map(|sizes| Shape::parse(sizes)) {
        let mut sharded = Sharded::new(&shape, tier, cores)?;
        let mut best = [f64::INFINITY; WAYS.len()];
        let (mut sums, mut allocations) = ([0.0; WAYS.len()], [0; WAYS.len()]);
        let first = seconds(|| sharded.run(Way::Alone));
        let each = (0.02 / first).clamp(2.0, 20.0) as u32;
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < 3.0 || calls < 10 {
            for (index, (_, way)) in WAYS.into_iter().enumerate() {
                // The threads of one way sleep before those of the next one are called.
                std::thread::sleep(std::time::Duration::from_millis(1));
                sharded.run(way);
                let before = ALLOCATIONS.load(Ordering::Relaxed);
                let start = Instant::now();
                (0..each).for_each(|_| sharded.run(way));
                let time = start.elapsed().as_secs_f64();
                allocations[index] += ALLOCATIONS.load(Ordering::Relaxed) - before;
                best[index] = best[index].min(time / f64::from(each));
                sums[index] += time;
            }
            calls += each;
        }
        let cells = (0..WAYS.len()).map(|index| {
            format!(
                "{:.0}, {:.0}, {:.0}",
                best[index] * 1e6,
                sums[index] / f64::from(calls) * 1e6,
                1e3 * allocations[index] as f64 / f64::from(calls)
            )
        });
        let cells: Vec<String> = cells.collect();
        println!("| {} | {} |", shape.sizes(), cells.join(" | "));
    }
    Ok(())
}
