//! The only file that knows rayon: a pool of its own per network, and work cut into parts.

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

/// Work in parts.
pub trait Cut: Sized + Send {
    /// The number of parts.
    fn size(&self) -> usize;

    /// Cuts it in two, the first of which has `left` parts.
    fn cut(self, left: usize) -> (Self, Self);
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

    /// Number of threads that work which costs about `operations` is worth.
    pub fn threads_for(&self, operations: usize) -> usize {
        if operations >= self.threshold {
            self.threads
        } else {
            1
        }
    }

    /// Runs `work`, which costs about `operations`, where it can [`fork`] as many parts as it is told. The wake-up is paid
    /// once, here.
    pub fn enter<R: Send>(&self, operations: usize, work: impl FnOnce(usize) -> R + Send) -> R {
        match (&self.pool, self.threads_for(operations)) {
            (Some(pool), threads @ 2..) => pool.install(|| work(threads)),
            _ => work(1),
        }
    }
}

/// Runs each part of `task`, which has at least one: on the threads of the pool that [`Parallel::enter`] has entered, or,
/// if it gave leave for one only, on this one. Allocates nothing.
pub fn fork<T: Cut>(threads: usize, task: T, run: &(impl Fn(T) + Sync)) {
    if task.size() == 1 {
        return run(task);
    }
    let left = task.size() / 2;
    let (first, second) = task.cut(left);
    let (first, second) = (|| fork(threads, first, run), || fork(threads, second, run));
    if threads > 1 {
        rayon::join(first, second);
    } else {
        first();
        second();
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

        fn cut(self, left: usize) -> (Self, Self) {
            let middle = self.0.start + left;
            (Self(self.0.start..middle), Self(middle..self.0.end))
        }
    }

    #[test]
    fn a_fork_runs_each_part_once_on_no_other_threads() {
        for threads in [1, 2, 3, 5] {
            let mut parallel = Parallel::new(threads).unwrap();
            parallel.set_threshold(0);
            let done = Mutex::new(Vec::new());
            parallel.enter(1, |parts| {
                assert_eq!(parts, threads);
                fork(parts, Numbers(0..parts), &|Numbers(range)| {
                    let thread = std::thread::current().id();
                    done.lock().unwrap().push((range.start, range.end, thread));
                });
            });
            let mut done = done.into_inner().unwrap();
            done.sort_unstable_by_key(|&(start, ..)| start);
            let ranges = done.iter().map(|&(start, end, _)| (start, end));
            assert!(ranges.eq((0..threads).map(|part| (part, part + 1))));
            let here = std::thread::current().id();
            assert!(threads > 1 || done[0].2 == here);
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
