//! What threads cost where they have no core for themselves: beside busy threads, beyond the number of cores, and where
//! several networks call at once.
//!
//! Calls that are compared take turns, so that both meet the same moments of the machine; the figures are means.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use elman::Tier;

use crate::job::Job;
use crate::shapes::Shape;

/// Shapes whose threads share the units of a step, and one whose threads share the sequences.
const SHAPES: [&str; 4] = [
    "200x10x40x100",
    "200x10x40x50",
    "50x1x512x512",
    "28x128x28x128",
];

/// A call that is timed.
type Call = fn(&mut Job);

/// What is timed, and its name.
pub const CALLS: [(&str, Call); 2] = [("forward", Job::forward), ("training", Job::training)];

/// How long calls take turns.
const TIME: Duration = Duration::from_secs(6);

/// Mean seconds of the calls of each of some jobs, which take turns.
fn take_turns(jobs: &mut [Job], time: Duration, call: Call) -> Vec<f64> {
    jobs.iter_mut().for_each(call);
    let mut sums = vec![0.0; jobs.len()];
    let (start, mut rounds) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        for (job, sum) in jobs.iter_mut().zip(&mut sums) {
            let start = Instant::now();
            call(job);
            *sum += start.elapsed().as_secs_f64();
        }
        rounds += 1;
    }
    sums.iter().map(|sum| sum / f64::from(rounds)).collect()
}

/// Runs `work` beside so many threads that do nothing but count.
fn beside<R>(busy: usize, work: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(0);
                }
            });
        }
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Seconds until each of the jobs has been called `calls` times: one after the other, then all at once.
fn one_by_one_and_at_once(jobs: &mut [Job], calls: usize) -> [f64; 2] {
    let start = Instant::now();
    for job in &mut *jobs {
        (0..calls).for_each(|_| job.forward());
    }
    let one_by_one = start.elapsed().as_secs_f64();
    let barrier = Barrier::new(jobs.len() + 1);
    let at_once = std::thread::scope(|scope| {
        let handles: Vec<_> = jobs
            .iter_mut()
            .map(|job| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..calls).for_each(|_| job.forward());
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        for handle in handles {
            handle.join().expect("the sizes are valid");
        }
        start.elapsed().as_secs_f64()
    });
    [one_by_one, at_once]
}

/// Prints the tables.
pub fn print(tier: Tier) -> elman::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shapes: Vec<Shape> = SHAPES
        .iter()
        .filter_map(|sizes| Shape::parse(sizes))
        .collect();
    let jobs = |shape: &Shape, threads: &[usize]| -> elman::Result<Vec<Job>> {
        let jobs = threads
            .iter()
            .map(|&threads| Job::new(*shape, tier, threads));
        jobs.collect()
    };
    println!("\nBeside {cores} busy threads on {cores} cores\n");
    println!("| shape (TxBxIxH) | call | 1 thread us | {cores} threads us | ratio |");
    println!("|{}", " --- |".repeat(5));
    for shape in &shapes {
        for (name, call) in CALLS {
            let mut jobs = jobs(shape, &[1, cores])?;
            let means = beside(cores, || take_turns(&mut jobs, TIME, call));
            println!(
                "| {} | {name} | {:.0} | {:.0} | {:.2} |",
                shape.sizes(),
                means[0] * 1e6,
                means[1] * 1e6,
                means[1] / means[0]
            );
        }
    }
    println!("\nMore threads than cores ({cores})\n");
    println!("| shape (TxBxIxH) | call | as many us | twice as many us | 8 times us | ratios |");
    println!("|{}", " --- |".repeat(6));
    for shape in &shapes {
        for (name, call) in CALLS {
            let mut jobs = jobs(shape, &[cores, 2 * cores, 8 * cores])?;
            let means = take_turns(&mut jobs, TIME / 3, call);
            println!(
                "| {} | {name} | {:.0} | {:.0} | {:.0} | {:.2}, {:.2} |",
                shape.sizes(),
                means[0] * 1e6,
                means[1] * 1e6,
                means[2] * 1e6,
                means[1] / means[0],
                means[2] / means[0]
            );
        }
    }
    println!(
        "\n{cores} networks of {cores} threads each, forward: all at once over one after the other\n"
    );
    println!("| shape (TxBxIxH) | one by one ms | at once ms | ratio |");
    println!("|{}", " --- |".repeat(4));
    for shape in &shapes {
        let mut jobs = jobs(shape, &vec![cores; cores])?;
        let rounds = (0..4).map(|_| one_by_one_and_at_once(&mut jobs, 1000));
        let [one_by_one, at_once] = rounds.fold([0.0; 2], |[a, b], [c, d]| [a + c, b + d]);
        println!(
            "| {} | {:.0} | {:.0} | {:.2} |",
            shape.sizes(),
            one_by_one * 1e3,
            at_once * 1e3,
            at_once / one_by_one
        );
    }
    Ok(())
}
