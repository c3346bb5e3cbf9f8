//! The only file that knows rayon: a pool of its own per network, and work cut into shards.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

/// The threads of a network.
#[derive(Debug)]
pub struct Parallel {
    /// None where the caller's thread does the work.
    pool: Option<ThreadPool>,
    threads: usize,
    /// Floating-point operations from which a call is worth more than one thread.
    threshold: usize,
}

/// Work that can be cut in two.
pub trait Cut: Sized + Send {
    /// The number of parts that it can be cut into at most.
    fn size(&self) -> usize;

    /// Cuts it, if it has a size of 2 or more, so that about `left` of `parts` of the work come first.
    fn cut(self, left: usize, parts: usize) -> (Self, Self);
}

/// More threads than that are a mistake, and the tables of a pool that large could take the host's memory.
const MAX_THREADS: usize = 1024;

/// Floating-point operations below which a second thread costs more than it saves: waking a thread takes some 5 to 16
/// microseconds.
const WORTH_FORKING: usize = 2_000_000;

impl Parallel {
    /// The caller's thread alone.
    pub const fn caller() -> Self {
        Self {
            pool: None,
            threads: 1,
            threshold: WORTH_FORKING,
        }
    }

    /// A pool of exactly `threads` threads; for 1 the caller's; for 0 as many as there are cores.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Threads`]
    pub fn new(threads: usize) -> Result<Self> {
        if threads > MAX_THREADS {
            return Err(Error::OutOfRange {
                name: "threads",
                value: threads as f64,
                expected: "at most 1024",
            });
        }
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        if threads == 1 {
            return Ok(Self::caller());
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("elman-{index}"))
            .build()
            .map_err(|error| Error::Threads {
                threads,
                reason: error.to_string(),
            })?;
        Ok(Self {
            pool: Some(pool),
            threads,
            threshold: WORTH_FORKING,
        })
    }

    /// Sets the number of floating-point operations from which a call is worth more than one thread.
    pub fn set_threshold(&mut self, operations: usize) {
        self.threshold = operations;
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work`, which costs about `operations`, where it can [`fork`] into as many parts as it is told. The wake-up
    /// is paid once, here.
    pub fn enter<R: Send>(&self, operations: usize, work: impl FnOnce(usize) -> R + Send) -> R {
        match &self.pool {
            Some(pool) if operations >= self.threshold => pool.install(|| work(self.threads)),
            _ => work(1),
        }
    }
}

/// Runs `task` cut into at most `parts`, each with `run`. Allocates nothing.
pub fn fork<T: Cut>(parts: usize, task: T, run: &(impl Fn(T) + Sync)) {
    let parts = parts.min(task.size());
    if parts <= 1 {
        run(task);
    } else {
        let left = parts / 2;
        let (first, second) = task.cut(left, parts);
        rayon::join(
            || fork(left, first, run),
            || fork(parts - left, second, run),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Numbers(std::ops::Range<usize>);

    impl Cut for Numbers {
        fn size(&self) -> usize {
            self.0.len()
        }

        fn cut(self, left: usize, parts: usize) -> (Self, Self) {
            let middle = self.0.start + (self.0.len() * left / parts).max(1);
            (Self(self.0.start..middle), Self(middle..self.0.end))
        }
    }

    #[test]
    fn a_fork_covers_the_work_once_on_no_more_threads_than_asked_for() {
        for threads in [1, 2, 3, 5] {
            let mut parallel = Parallel::new(threads).unwrap();
            parallel.set_threshold(0);
            for size in [1, 2, 3, 100] {
                let done = Mutex::new(Vec::new());
                parallel.enter(1, |parts| {
                    assert_eq!(parts, threads);
                    fork(parts, Numbers(0..size), &|Numbers(range)| {
                        let thread = std::thread::current().id();
                        done.lock().unwrap().push((range.start, range.end, thread));
                    });
                });
                let mut done = done.into_inner().unwrap();
                done.sort_unstable_by_key(|&(start, ..)| start);
                assert!(done.len() <= threads);
                assert_eq!((done[0].0, done[done.len() - 1].1), (0, size));
                assert!(done.windows(2).all(|pair| pair[0].1 == pair[1].0));
                let here = std::thread::current().id();
                assert!(threads > 1 || done.iter().all(|&(.., thread)| thread == here));
            }
        }
    }

    #[test]
    fn small_work_and_absurd_numbers_of_threads() {
        let parallel = Parallel::new(2).unwrap();
        let here = std::thread::current().id();
        parallel.enter(1, |parts| {
            assert_eq!(parts, 1);
            assert_eq!(std::thread::current().id(), here);
        });
        assert!(Parallel::new(0).unwrap().threads() >= 1);
        let error = Parallel::new(usize::MAX).unwrap_err();
        assert!(error.to_string().starts_with("threads is 1844674407370955"));
    }
}
