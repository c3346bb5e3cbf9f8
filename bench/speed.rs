//! `cargo bench --bench speed`: the layer against the limits of the machine, as a Markdown table.
//!
//! `cargo bench --bench speed -- rows` prints the shapes alone whose name or sizes contain `rows`; several such words may
//! follow, and sizes TxBxIxH of one's own; the words `cells`, `dropout`, `denormals`, `load` and `threads` ask for the tables of
//! the cells beside each other, of what these cost, of threads that have no core and of what threads gain, which come last
//! otherwise, and one that fits nothing leaves the yardsticks. `cells medium` prints the cells at that shape alone. The tier is the
//! one that the process uses, which `ELMAN_TIER` chooses. Every time is the best of several.

mod cells;
mod denormals;
mod dropout;
mod job;
mod load;
mod shapes;
mod threads;
mod yardstick;

use elman::Tier;
use job::{Job, Stream};
use shapes::Shape;
use yardstick::{BUFFERS, Yardsticks, seconds};

/// The least time that a piece of work can take on this machine, and what it is that takes it.
///
/// The work falls into products that wait for the step before (those with W_h, and in a stream those with W_x) and
/// products that can be done for all steps at once (the rest). The second kind takes its operations at the FMA peak. The
/// first takes the longest of three:
///
/// - its operations at the FMA peak: the limit with about eight or more rows per core;
/// - reading its weights once per step, at the rate of a loop that reads as many bytes: the limit of few rows;
/// - the chain of dependent multiply-adds of each step, as every sum is one chain: the limit of a tiny layer.
///
/// Where H is at most 64 the activations are a good part of the work, and are added, at the rate of tanh over 16 KiB.
/// All but the chain is shared by as many cores as there are threads, whether the engine can share it or not. Calls,
/// copies of inputs and outputs, the update and packing are not counted.
///
/// Weights beyond the L2 cache may come out a few percent above 100: how fast they are read depends on the pages that they
/// happen to get.
struct Limit {
    seconds: f64,
    name: &'static str,
}

/// What [`Limit`] is found from.
struct Work {
    /// Steps that wait for each other.
    steps: usize,
    /// Rows of the batch.
    batch: usize,
    units: usize,
    /// Multiply-adds in the chain of one output at each of the steps.
    links: usize,
    /// Multiply-adds per output that can be done for all steps at once.
    free: usize,
    /// How often all steps are gone through: once, or forward and back.
    passes: usize,
}

impl Work {
    fn forward(shape: &Shape) -> Self {
        Self {
            steps: shape.steps,
            batch: shape.batch,
            units: shape.units,
            links: shape.units,
            free: shape.input,
            passes: 1,
        }
    }

    /// Forward, backward without the gradient of x.
    fn training(shape: &Shape) -> Self {
        Self {
            passes: 2,
            free: 2 * shape.input + shape.units,
            ..Self::forward(shape)
        }
    }

    fn streaming(shape: &Shape) -> Self {
        Self {
            steps: 1,
            batch: 1,
            links: shape.input + shape.units,
            free: 0,
            ..Self::forward(shape)
        }
    }

    fn limit(&self, machine: &mut Yardsticks, threads: usize) -> Limit {
        let cores = threads as f64;
        let weights = self.links * self.units * size_of::<f32>();
        let rate = machine.read_rate(weights.div_ceil(threads));
        let outputs = (self.steps * self.batch * self.units) as f64;
        let fma = |elements: usize| 2.0 * outputs * elements as f64 / (machine.fma_peak * cores);
        let times = (self.steps * self.passes) as f64;
        let candidates = [
            (fma(self.links * self.passes), "FMA"),
            (times * weights as f64 / (rate * cores), "reading"),
            (times * self.links as f64 * machine.fma_latency, "chain"),
        ];
        let (waiting, name) = candidates
            .into_iter()
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .expect("there are three");
        let mut limit = Limit {
            seconds: waiting + fma(self.free),
            name,
        };
        if self.units <= 64 {
            limit.seconds += outputs / (machine.tanh * cores);
            if name == "FMA" {
                limit.name = "FMA + tanh";
            }
        }
        limit
    }
}

/// Columns of a row of the table: microseconds, percent of the limit, the limit.
fn columns(seconds: f64, limit: &Limit) -> String {
    let percent = 100.0 * limit.seconds / seconds;
    format!("{:.2} | {percent:.0} | {}", seconds * 1e6, limit.name)
}

fn print_yardsticks(tier: Tier, machine: &Yardsticks) {
    println!("| yardstick ({} tier, one core) | |", tier.name());
    println!("| --- | --- |");
    println!("| FMA peak | {:.1} GFLOP/s |", machine.fma_peak / 1e9);
    println!("| FMA latency | {:.2} ns |", machine.fma_latency * 1e9);
    for (bytes, rate) in BUFFERS.iter().zip(machine.read) {
        println!("| reading {} KiB | {:.1} GB/s |", bytes >> 10, rate / 1e9);
    }
    println!("| tanh | {:.2} Gelem/s |", machine.tanh / 1e9);
    let between = [
        ("wake-up and back, park", machine.park),
        ("wake-up and back, condition variable", machine.condvar),
        ("spinning barrier of two threads", machine.barrier),
    ];
    for (name, seconds) in between {
        match seconds {
            Some(seconds) => println!("| {name} | {:.2} us |", seconds * 1e6),
            None => println!("| {name} | one core |"),
        }
    }
    println!();
}

fn main() -> elman::Result<()> {
    if !shapes::is_measuring() {
        return Ok(());
    }
    // Cargo adds options of its own, such as --bench.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_named = |shape: &Shape| {
        let label = format!("{} {}", shape.name, shape.sizes());
        words.iter().any(|word| label.contains(word.as_str()))
    };
    let is_chosen = |shape: &Shape| words.is_empty() || is_named(shape);
    let tier = Tier::active()?;
    let mut machine = Yardsticks::measure(tier);
    print_yardsticks(tier, &machine);
    println!(
        "| shape (TxBxIxH) | threads | forward us | % | of | training us | % | of | streaming us | % | of | in blocks of 64 us |"
    );
    println!("|{}", " --- |".repeat(12));
    let own = words.iter().filter_map(|word| Shape::parse(word));
    for shape in shapes::all().filter(is_chosen).chain(own) {
        for threads in [1, 2] {
            let mut job = Job::new(shape, tier, threads)?;
            let forward = columns(
                seconds(|| job.forward()),
                &Work::forward(&shape).limit(&mut machine, threads),
            );
            let training = columns(
                seconds(|| job.training()),
                &Work::training(&shape).limit(&mut machine, threads),
            );
            // A stream runs on its caller's thread.
            let streaming = if threads == 1 {
                let mut stream = Stream::new(&shape, tier)?;
                let step = columns(
                    seconds(|| stream.step()),
                    &Work::streaming(&shape).limit(&mut machine, 1),
                );
                let block = seconds(|| stream.run()) / Stream::BLOCK as f64;
                format!("{step} | {:.2}", block * 1e6)
            } else {
                "| | |".to_string()
            };
            println!(
                "| {} {} | {threads} | {forward} | {training} | {streaming} |",
                shape.name,
                shape.sizes()
            );
        }
    }
    let is_asked_for = |name| words.is_empty() || words.iter().any(|word| word == name);
    if is_asked_for("cells") {
        let any = !shapes::all().any(|shape| is_named(&shape));
        cells::print(tier, &machine, |shape| any || is_named(shape))?;
    }
    if is_asked_for("dropout") {
        dropout::print(tier)?;
    }
    if is_asked_for("denormals") {
        denormals::print(tier)?;
    }
    if is_asked_for("load") {
        load::print(tier)?;
    }
    if is_asked_for("threads") {
        threads::print(tier)?;
    }
    Ok(())
}
