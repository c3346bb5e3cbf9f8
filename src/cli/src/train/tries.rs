//! Several trainings, of which the best one counts.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use elman::Network;
use elman::init::Rng;
use elman::optimizer::Optimizer;
use elman::train::{Progress, Score, fit_with};

use super::scale::Scale;
use super::watcher::Watcher;
use super::{Arguments, Training};
use crate::data::Sequences;
use crate::failure::{Failure, Result};
use crate::output::count;

/// The learning rates that are tried, the one that suits most data first.
const RATES: [f64; 3] = [0.003, 0.01, 0.001];
/// Trainings where a part is held out to compare them by: each rate from three seeds.
pub const DEFAULT: usize = 9;

/// What a training begins with.
#[derive(Clone, Copy)]
struct Start {
    seed: u64,
    rate: f64,
}

/// The beginnings of some trainings: each rate from one seed, then from the next one. The first seed is the user's own.
fn starts(arguments: &Arguments, tries: usize) -> Vec<Start> {
    let rates = arguments
        .training
        .rate
        .map_or(RATES.to_vec(), |rate| vec![rate]);
    let mut rng = Rng::new(arguments.seed);
    let drawn = std::iter::repeat_with(|| (rng.uniform() * (1_u64 << 53) as f64) as u64);
    let seeds = std::iter::once(arguments.seed).chain(drawn);
    let starts = seeds.flat_map(|seed| rates.iter().map(move |&rate| Start { seed, rate }));
    starts.take(tries).collect()
}

/// A training that has ended.
struct Try {
    /// Its place among all.
    index: usize,
    network: Network,
    /// The least loss on what is held out, which the trainings are compared by: not that of a mean of parameters.
    loss: f64,
    /// The epoch that the network is of, and its score there: on what is held out, where there is that, or else in training.
    epoch: usize,
    score: Option<Score>,
    has_validation: bool,
    /// Epochs there were.
    epochs: usize,
    /// That of the numbers to tell.
    scale: Option<Scale>,
}

impl Try {
    /// Whether it is to be kept, and not the other one: whichever ends first.
    fn is_better(&self, other: &Self) -> bool {
        let order = self.loss.total_cmp(&other.loss);
        order.then(self.index.cmp(&other.index)).is_lt()
    }

    fn describe(&self) -> String {
        let mut text = format!("epoch {} of {}", self.epoch, self.epochs);
        let part = match self.has_validation {
            true => "validation",
            false => "training",
        };
        if let Some(score) = self.score {
            text += &match (score.accuracy, self.scale) {
                (Some(accuracy), _) => {
                    format!(", {part} loss {:.4}, accuracy {accuracy:.4}", score.loss)
                }
                (None, Some(scale)) => {
                    format!(", {part} RMSE {:.4}", score.loss.sqrt() * scale.deviation)
                }
                (None, None) => format!(", {part} RMSE {:.4} of the deviation", score.loss.sqrt()),
            };
        }
        text
    }
}

/// How a training has ended.
enum Ended {
    Well(Box<Try>),
    /// Its numbers are finite no more.
    Exploded(Failure),
}

/// What has come of the trainings so far.
#[derive(Default)]
struct Outcome {
    ended: usize,
    best: Option<Box<Try>>,
    exploded: Option<Failure>,
    failure: Option<Failure>,
}

impl Outcome {
    /// Takes in a training. One that has exploded is left out, unless all have.
    fn add(&mut self, ended: Result<Ended>) {
        match ended {
            Ok(Ended::Well(trained)) => {
                self.ended += 1;
                if self
                    .best
                    .as_ref()
                    .is_none_or(|best| trained.is_better(best))
                {
                    self.best = Some(trained);
                }
            }
            Ok(Ended::Exploded(failure)) => self.exploded = Some(failure),
            Err(failure) => self.failure = Some(failure),
        }
    }
}

/// Trains networks side by side, and gives the best one and how it went. Which one that is does not depend on the number of
/// threads.
pub fn run(arguments: &Arguments, data: &Sequences, tries: usize) -> Result<(Network, String)> {
    let threads = match arguments.threads {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads as usize,
    };
    let workers = threads.min(tries);
    let starts = starts(arguments, tries);
    let watcher = Watcher::new(tries, arguments.training.epochs as usize)?;
    let begin = Instant::now();
    let outcome = side_by_side(workers, &starts, &watcher, |index, start| {
        train(arguments, data, index, start, threads / workers, &watcher)
    });
    watcher.bar.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    if let Some(failure) = outcome.failure {
        return Err(failure);
    }
    let Some(mut best) = outcome.best else {
        let interrupted = || Failure::new("interrupted before a training began");
        return Err(outcome.exploded.unwrap_or_else(interrupted));
    };
    let early = match watcher.is_interrupted() {
        true => ", interrupted",
        false => "",
    };
    let report = format!(
        "{} in {seconds:.1} s{early}; {}rate {}, {}",
        count(outcome.ended, "training"),
        if tries > 1 { "the best: " } else { "" },
        starts[best.index].rate,
        best.describe()
    );
    best.network.set_threads(threads)?;
    if let Some(scale) = best.scale {
        scale.undo(&mut best.network)?;
    }
    Ok((best.network, report))
}

/// Trains from each start on so many threads, until the watcher says that it is over.
fn side_by_side(
    workers: usize,
    starts: &[Start],
    watcher: &Watcher,
    train: impl Fn(usize, &Start) -> Result<Ended> + Sync,
) -> Outcome {
    let (next, outcome) = (AtomicUsize::new(0), Mutex::new(Outcome::default()));
    let work = || {
        while !watcher.is_over() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(start) = starts.get(index) else {
                break;
            };
            let trained = train(index, start);
            if trained.is_err() {
                watcher.fail();
            }
            outcome.lock().expect("adding does not panic").add(trained);
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    outcome.into_inner().expect("adding does not panic")
}

/// Trains one network.
fn train(
    arguments: &Arguments,
    data: &Sequences,
    index: usize,
    start: &Start,
    threads: usize,
    watcher: &Watcher,
) -> Result<Ended> {
    let (mut network, training) = Training::new(arguments, data, start.seed)?;
    network.set_threads(threads)?;
    let options = training.options(&arguments.training, start.seed);
    let mut optimizer = Optimizer::new(arguments.training.optimizer.rule(), start.rate)?;
    let mut watch = watcher.watch();
    let trained = fit_with(
        &mut network,
        &training.train,
        &mut optimizer,
        &options,
        &mut watch,
    );
    watch.end();
    let progress = match trained {
        Ok(progress) => progress,
        Err(error @ elman::Error::NotFinite { .. }) => {
            return Ok(Ended::Exploded(Failure::new(format_args!(
                "training explodes: {error} (a smaller --rate may help)"
            ))));
        }
        Err(error) => return Err(error.into()),
    };
    let epochs = watch.epochs;
    let after = |epoch: usize| epoch.checked_sub(1).map(|index| epochs[index]);
    let measured = |progress: Progress| progress.validation.unwrap_or(progress.training);
    let best = progress.best_epoch.unwrap_or(epochs.len());
    let loss = after(best).map_or(f64::INFINITY, |progress| measured(progress).loss);
    let epoch = progress.average_epoch.unwrap_or(best);
    let score = after(epoch).map(|progress| progress.average.unwrap_or(measured(progress)));
    Ok(Ended::Well(Box::new(Try {
        index,
        network,
        loss,
        epoch,
        score,
        has_validation: training.validation.is_some(),
        epochs: epochs.len(),
        scale: training.scale,
    })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_training_that_fails_ends_the_others_and_is_what_is_told() {
        let watcher = Watcher::new(9, 1).unwrap();
        let starts = [Start { seed: 0, rate: 0.1 }; 9];
        let (begun, begin) = (AtomicUsize::new(0), Instant::now());
        let train = |index, _: &Start| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index == 1 {
                return Err(Failure::new("no memory"));
            }
            while !watcher.is_over() {
                assert!(begin.elapsed() < Duration::from_secs(60), "goes on");
                thread::yield_now();
            }
            Ok(Ended::Exploded(Failure::new("told by nobody")))
        };
        let outcome = side_by_side(3, &starts, &watcher, train);
        let told = outcome.failure.unwrap();
        assert!(matches!(told, Failure::Message(message) if message == "no memory"));
        assert!(begun.into_inner() <= 3);
        assert!(!watcher.is_interrupted());
    }
}
