//! Work in parts, on the threads of a network.

mod team;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use team::Team;

use crate::simd::mode::in_engine_mode;
use crate::{Error, Result};

/// The threads of a network.
#[derive(Debug)]
pub struct Parallel {
    /// None where the caller's thread does the work alone.
    team: Option<Team>,
    /// Floating-point operations from which a call is worth more than one thread.
    threshold: usize,
}

/// The threads that a call has, the caller's among them.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    team: Option<&'a Team>,
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

/// Floating-point operations below which a second thread costs more than it saves, at least where it has fallen asleep.
const WORTH_FORKING: usize = 2_000_000;

impl Parallel {
    /// The caller's thread alone.
    pub const fn caller() -> Self {
        Self {
            team: None,
            threshold: WORTH_FORKING,
        }
    }

    /// The caller's thread and as many others as make `threads`; for 0 one per core.
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
        let mut parallel = Self::caller();
        if threads > 1 {
            parallel.team = Some(Team::new(threads - 1)?);
        }
        Ok(parallel)
    }

    /// As many threads, with the same threshold.
    ///
    /// # Errors
    /// [`Error::Threads`]
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            threshold: self.threshold,
            ..Self::new(self.threads())?
        })
    }

    /// Sets the number of floating-point operations from which a call is worth more than one thread.
    pub fn set_threshold(&mut self, operations: usize) {
        self.threshold = operations;
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        Crew {
            team: self.team.as_ref(),
        }
        .threads()
    }

    /// Number of threads that work which costs about `operations` is worth.
    pub fn threads_for(&self, operations: usize) -> usize {
        if operations >= self.threshold {
            self.threads()
        } else {
            1
        }
    }

    /// Runs `work`, which costs about `operations`, in the engine's floating-point mode with the threads that it is worth:
    /// with the caller's alone where it is worth no more, or where the others are at work on another call.
    pub fn enter<R>(&self, operations: usize, work: impl FnOnce(Crew<'_>) -> R) -> R {
        in_engine_mode(|| match &self.team {
            Some(team) if operations >= self.threshold => team.take(|team| work(Crew { team })),
            _ => work(Crew::ALONE),
        })
    }
}

impl<'a> Crew<'a> {
    /// The calling thread.
    pub const ALONE: Crew<'static> = Crew { team: None };

    /// Number of threads.
    pub fn threads(self) -> usize {
        self.team.map_or(1, Team::len)
    }

    /// The crew for work that costs `operations`, which is worth more than one thread from `least` on.
    pub fn if_worth(self, operations: usize, least: usize) -> Self {
        if operations < least {
            return Crew::ALONE;
        }
        self
    }

    /// Runs each part of `task`, which has at least one: the first ones on the calling thread, the next ones on the next
    /// thread and so on, about as many on each. Allocates nothing.
    ///
    /// # Panics
    /// Where a part does.
    pub fn fork<T: Cut>(self, task: T, run: &(impl Fn(T) + Sync)) {
        fork(self.team, 0..self.threads(), task, run);
    }

    /// Runs `work` on each thread at the same time.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn together(self, work: &(impl Fn(Member<'_>) + Sync)) {
        let barrier = Barrier::default();
        let count = self.threads();
        self.fork(Members(0..count), &|Members(range)| {
            let member = Member {
                index: range.start,
                count,
                barrier: &barrier,
                passed: 0,
                was_panicking: thread::panicking(),
            };
            work(member);
        });
    }
}

/// Runs the parts of `task` on some threads, of which the first is the calling one.
fn fork<T: Cut>(team: Option<&Team>, threads: Range<usize>, task: T, run: &(impl Fn(T) + Sync)) {
    let parts = task.size();
    if parts == 1 {
        return run(task);
    }
    let (start, count) = (threads.start, threads.len().min(parts));
    match team {
        Some(team) if count > 1 => {
            let left = count / 2;
            let (here, there) = task.cut(parts * left / count);
            team.join(
                [start, start + left],
                || fork(Some(team), start..start + left, here, run),
                || fork(Some(team), start + left..start + count, there, run),
            );
        }
        _ => {
            let (first, rest) = task.cut(parts / 2);
            fork(team, threads.clone(), first, run);
            fork(team, threads, rest, run);
        }
    }
}

/// Some threads of a crew.
struct Members(Range<usize>);

impl Cut for Members {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn cut(self, left: usize) -> (Self, Self) {
        let middle = self.0.start + left;
        (Self(self.0.start..middle), Self(middle..self.0.end))
    }
}

/// A thread of a crew whose threads run the same work together.
#[derive(Debug)]
pub struct Member<'a> {
    /// Which one it is.
    pub index: usize,
    /// How many there are.
    pub count: usize,
    barrier: &'a Barrier,
    /// How often it has waited.
    passed: usize,
    /// Whether the thread was unwinding already: a call from a destructor, say.
    was_panicking: bool,
}

/// Where the threads of a crew wait for each other.
#[derive(Debug, Default)]
struct Barrier {
    /// How many have arrived, over all waits; [`Barrier::BROKEN`] or more where one never will.
    arrived: AtomicUsize,
}

impl Barrier {
    const BROKEN: usize = usize::MAX / 2;
}

/// Rounds that a thread waits for others before it lets threads run that may be waiting for its core: some 2 microseconds.
const SPINS: usize = 100;

/// How long it goes on like that before it sleeps. The one that it waits for may share its core and, where this thread is a
/// real-time one, get nothing of it while this one is awake.
const AWAKE: Duration = Duration::from_millis(1);

/// How long it sleeps at a time.
const NAP: Duration = Duration::from_micros(50);

impl Member<'_> {
    /// Waits until every thread of the crew has come as far; what they wrote before can then be read.
    ///
    /// No thread arrives for the next time before all have arrived for this one, so a count of `passed` times the number of
    /// threads says that they have. Each arrival is a read-modify-write that releases, so whoever acquires a later count
    /// sees what all that it counts wrote before.
    ///
    /// # Panics
    /// Where another thread has panicked.
    pub fn wait(&mut self) {
        if self.count == 1 {
            return;
        }
        self.passed += 1;
        let expected = self.passed * self.count;
        let mut arrived = self.barrier.arrived.fetch_add(1, Ordering::AcqRel) + 1;
        let (mut spins, mut since) = (0, None);
        while arrived < expected {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else if since.get_or_insert_with(Instant::now).elapsed() < AWAKE {
                thread::yield_now();
            } else {
                thread::sleep(NAP);
            }
            arrived = self.barrier.arrived.load(Ordering::Acquire);
        }
        assert!(
            arrived < Barrier::BROKEN,
            "another thread of the crew has panicked"
        );
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.barrier
                .arrived
                .fetch_max(Barrier::BROKEN, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;

    /// Runs `work` with all threads of a network, as often as it takes to see a mistake in how they meet.
    fn each_crew(work: impl Fn(Crew<'_>)) {
        let most = if cfg!(miri) { 3 } else { 5 };
        for threads in [1, 2, 3, 5].into_iter().filter(|&threads| threads <= most) {
            let mut parallel = Parallel::new(threads).unwrap();
            parallel.set_threshold(0);
            for round in 0..if cfg!(miri) { 1 } else { 200 } {
                parallel.enter(1, |crew| {
                    assert_eq!(crew.threads(), threads);
                    work(crew);
                });
                if round % 50 == 49 {
                    // The threads fall asleep.
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    #[test]
    fn a_fork_runs_each_part_once() {
        each_crew(|crew| {
            for parts in 1..crew.threads() + 2 {
                let done = Mutex::new(Vec::new());
                crew.fork(Members(0..parts), &|Members(range)| {
                    done.lock().unwrap().push(range);
                });
                let mut done = done.into_inner().unwrap();
                done.sort_unstable_by_key(|range| range.start);
                assert!(done.into_iter().eq((0..parts).map(|part| part..part + 1)));
            }
        });
    }

    #[test]
    fn parts_beyond_the_threads_are_spread_over_all_of_them() {
        each_crew(|crew| {
            let threads = crew.threads();
            let begun = Mutex::new(std::collections::HashSet::new());
            let deadline = Instant::now() + Duration::from_secs(20);
            crew.fork(Members(0..2 * threads + 1), &|_| {
                begun.lock().unwrap().insert(thread::current().id());
                // So that no thread does what another one has not begun yet.
                while begun.lock().unwrap().len() < threads {
                    assert!(Instant::now() < deadline, "a thread has got no part");
                    thread::yield_now();
                }
            });
        });
    }

    #[test]
    fn a_destructor_may_call_while_its_thread_unwinds() {
        struct Destructor<'a>(Crew<'a>);
        impl Drop for Destructor<'_> {
            fn drop(&mut self) {
                assert!(thread::panicking());
                self.0.together(&|mut member| member.wait());
            }
        }
        each_crew(|crew| {
            let unwinding = || {
                let _destructor = Destructor(crew);
                std::panic::resume_unwind(Box::new(7));
            };
            let panic = catch_unwind(AssertUnwindSafe(unwinding)).unwrap_err();
            assert_eq!(
                panic.downcast_ref(),
                Some(&7),
                "the panic from before alone"
            );
        });
    }

    /// A thread that spins would never let a normal thread have its core where it is a real-time one itself.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_waits_for_long_sleeps() {
        fn processor_time() -> Duration {
            let mut time = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            // SAFETY: the clock exists, and the place for the time is valid.
            let status =
                unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
            assert_eq!(status, 0);
            Duration::new(
                time.tv_sec.cast_unsigned(),
                time.tv_nsec.cast_unsigned() as u32,
            )
        }
        let mut parallel = Parallel::new(2).unwrap();
        parallel.set_threshold(0);
        parallel.enter(1, |crew| {
            crew.together(&|mut member| {
                member.wait();
                if member.index == 0 {
                    thread::sleep(Duration::from_millis(300));
                }
                let before = processor_time();
                member.wait();
                if member.index == 1 {
                    assert!(processor_time() - before < Duration::from_millis(100));
                }
            });
        });
    }

    #[test]
    fn threads_that_work_together_see_what_the_others_wrote_before_a_wait() {
        each_crew(|crew| {
            let cells: Vec<_> = (0..crew.threads()).map(|_| AtomicUsize::new(0)).collect();
            crew.together(&|mut member| {
                assert_eq!(member.count, cells.len());
                for step in 1..if cfg!(miri) { 5 } else { 50 } {
                    cells[member.index].store(step, Ordering::Relaxed);
                    member.wait();
                    assert!(cells.iter().all(|it| it.load(Ordering::Relaxed) == step));
                    member.wait();
                }
            });
        });
    }

    #[test]
    fn a_panic_comes_back_and_nobody_waits_for_ever() {
        let silent = |work: &dyn Fn()| catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        each_crew(|crew| {
            for panicking in 0..crew.threads() {
                let panic = silent(&|| {
                    crew.together(&|mut member| {
                        if member.index == panicking {
                            std::panic::resume_unwind(Box::new("on purpose"));
                        }
                        member.wait();
                    });
                });
                assert!(panic.is::<&str>() || panic.is::<String>());
            }
        });
    }

    #[test]
    fn a_team_that_is_taken_is_not_shared() {
        let mut parallel = Parallel::new(2).unwrap();
        parallel.set_threshold(0);
        parallel.enter(1, |crew| {
            assert_eq!(crew.threads(), 2);
            parallel.enter(1, |crew| assert_eq!(crew.threads(), 1));
        });
        parallel.enter(1, |crew| assert_eq!(crew.threads(), 2));
    }

    #[test]
    fn small_work_and_absurd_numbers_of_threads() {
        let parallel = Parallel::new(2).unwrap();
        parallel.enter(1, |crew| assert_eq!(crew.threads(), 1));
        assert!(Parallel::new(0).unwrap().threads() >= 1);
        let error = Parallel::new(usize::MAX).unwrap_err();
        assert!(error.to_string().starts_with("threads is 1844674407370955"));
    }
}
