//! Work in parts, on the threads of a network.

pub mod cost;
mod team;

use std::sync::Arc;

use rayon::ThreadPool;
use team::Team;

use crate::simd::mode::{CallersMode, in_engine_mode, with_mode};
use crate::{Error, Result};

/// The threads of a network.
#[derive(Debug)]
pub struct Parallel {
    helpers: Helpers,
    /// Floating-point operations from which a call is worth more than one thread.
    threshold: usize,
    /// How many of the threads can run at a time.
    cores: usize,
}

/// Who works beside the caller's thread.
#[derive(Debug)]
enum Helpers {
    Nobody,
    Team(Team),
    /// The host's threads. They share the parts of a fork, but not the pieces of phases: whoever waits for a phase must not wait for
    /// other work of the host's.
    Pool(Arc<ThreadPool>),
}

/// The threads that a call has, the caller's among them.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    hands: Hands<'a>,
    threads: usize,
}

/// Those beside the caller's.
#[derive(Clone, Copy, Debug)]
enum Hands<'a> {
    Nobody,
    Team(&'a Team),
    /// And the mode that the caller's thread came with.
    Pool(&'a ThreadPool, CallersMode),
}

/// How many threads may share a call's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Its sequences, and the parts of other work that is cut once.
    pub threads: usize,
    /// The units and rows of each step.
    pub units: usize,
}

impl Shares {
    /// Of so many threads, which may be a host's.
    fn of(threads: usize, is_hosts: bool) -> Self {
        let units = if is_hosts { 1 } else { threads };
        Self { threads, units }
    }
}

/// What a call costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCost {
    /// Floating-point operations that threads can share.
    pub operations: usize,
    /// How often they come together meanwhile.
    pub meetings: usize,
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

impl Parallel {
    /// The caller's thread alone.
    pub const fn caller() -> Self {
        Self {
            helpers: Helpers::Nobody,
            threshold: 2 * cost::CALL,
            cores: 1,
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
        let mut parallel = Self::caller();
        // The threads inherit the cores that this one may use.
        parallel.cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match threads {
            0 => parallel.cores,
            threads => threads,
        };
        if threads > 1 {
            parallel.helpers = Helpers::Team(Team::new(threads - 1)?);
        }
        Ok(parallel)
    }

    /// The threads of a pool, of which the caller's takes the place of one.
    pub fn of_pool(pool: Arc<ThreadPool>) -> Self {
        Self {
            cores: pool.current_num_threads(),
            helpers: Helpers::Pool(pool),
            ..Self::caller()
        }
    }

    /// As many threads, with the same threshold.
    ///
    /// # Errors
    /// [`Error::Threads`]
    pub fn try_clone(&self) -> Result<Self> {
        let copy = match &self.helpers {
            Helpers::Pool(pool) => Self::of_pool(Arc::clone(pool)),
            _ => Self::new(self.threads())?,
        };
        Ok(Self {
            threshold: self.threshold,
            ..copy
        })
    }

    /// Sets the number of floating-point operations from which a call is worth two threads, each of which has half of them;
    /// with 0 every call gets all threads, also those that have no core.
    pub fn set_threshold(&mut self, operations: usize) {
        self.threshold = operations;
        if let Helpers::Team(team) = &mut self.helpers {
            team.insists = operations == 0;
        }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        match &self.helpers {
            Helpers::Nobody => 1,
            Helpers::Team(team) => team.len(),
            Helpers::Pool(pool) => pool.current_num_threads(),
        }
    }

    /// What threads may share, of so many.
    pub fn shares(&self, threads: usize) -> Shares {
        Shares::of(threads, matches!(self.helpers, Helpers::Pool(_)))
    }

    /// Number of threads that work is worth.
    pub fn threads_for(&self, cost: CallCost) -> usize {
        let CallCost {
            operations,
            meetings,
        } = cost;
        let each = self.threshold / 2;
        if each == 0 {
            return self.threads();
        }
        let worth = (operations / each).min(operations / meetings.max(1) / cost::PIECE);
        self.threads().min(self.cores).min(worth).max(1)
    }

    /// Runs `work` in the engine's floating-point mode with the threads that it is worth: with the caller's alone where it is
    /// worth no more, or where the others are at work on another call.
    pub fn enter<R>(&self, cost: CallCost, work: impl FnOnce(Crew<'_>) -> R) -> R {
        let threads = self.threads_for(cost);
        with_mode(|mode| match &self.helpers {
            Helpers::Team(team) if threads > 1 => team.take(|team| {
                work(team.map_or(Crew::ALONE, |team| Crew {
                    hands: Hands::Team(team),
                    threads,
                }))
            }),
            Helpers::Pool(pool) if threads > 1 => work(Crew {
                hands: Hands::Pool(pool, mode.of_caller()),
                threads,
            }),
            _ => work(Crew::ALONE),
        })
    }
}

impl Crew<'_> {
    /// The calling thread.
    pub const ALONE: Crew<'static> = Crew {
        hands: Hands::Nobody,
        threads: 1,
    };

    /// Number of threads.
    pub fn threads(self) -> usize {
        self.threads
    }

    /// What they may share.
    pub fn shares(self) -> Shares {
        Shares::of(self.threads, matches!(self.hands, Hands::Pool(..)))
    }

    /// At most so many of them.
    pub fn at_most(self, threads: usize) -> Self {
        Self {
            threads: self.threads.min(threads).max(1),
            ..self
        }
    }

    /// Runs each part of `task`, which has at least one, each thread about as many as the others. Who has run its own takes
    /// those that others have not begun. Allocates nothing, unless the threads are a host's.
    ///
    /// # Panics
    /// Where a part does.
    pub fn fork<T: Cut>(self, task: T, run: &(impl Fn(T) + Sync)) {
        match self.hands {
            Hands::Team(team) => team.fork(self.threads, task, run),
            Hands::Pool(pool, mode) if self.threads > 1 => fork_in(pool, mode, task, run),
            _ => run_each(task, run),
        }
    }

    /// Runs `run` for so many pieces of each of so many phases, of which it gets the numbers. All pieces of a phase are
    /// done before one of the next begins. Otherwise as [`Self::fork`].
    ///
    /// # Panics
    /// Where a piece does.
    pub fn phases(self, phases: usize, pieces: usize, run: &(impl Fn(usize, usize) + Sync)) {
        match self.hands {
            Hands::Team(team) => team.run(self.threads, pieces, phases, run),
            _ => {
                for phase in 0..phases {
                    (0..pieces).for_each(|piece| run(phase, piece));
                }
            }
        }
    }
}

/// Runs the parts of a task on the threads of a pool, in the engine's floating-point mode, and the last on the calling thread. That
/// may be one of the pool's, which does other work of the host's while it waits: so it waits in the mode that it came with.
fn fork_in<T: Cut>(pool: &ThreadPool, mode: CallersMode, mut task: T, run: &(impl Fn(T) + Sync)) {
    let scope = || {
        pool.in_place_scope(|scope| {
            while task.size() > 1 {
                let first;
                (first, task) = task.cut(1);
                scope.spawn(move |_| in_engine_mode(|| run(first)));
            }
            in_engine_mode(|| run(task));
        });
    };
    mode.run(scope);
}

/// Runs the parts of a task on the calling thread.
fn run_each<T: Cut>(mut task: T, run: &impl Fn(T)) {
    while task.size() > 1 {
        let first;
        (first, task) = task.cut(1);
        run(first);
    }
    run(task);
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// So many parts.
    struct Parts(Range<usize>);

    impl Cut for Parts {
        fn size(&self) -> usize {
            self.0.len()
        }

        fn cut(self, left: usize) -> (Self, Self) {
            let middle = self.0.start + left;
            (Self(self.0.start..middle), Self(middle..self.0.end))
        }
    }

    /// Runs `work` with all threads of a network, as often as it takes to see a mistake in how they meet.
    fn each_crew(work: impl Fn(Crew<'_>)) {
        let most = if cfg!(miri) { 3 } else { 5 };
        for threads in [1, 2, 3, 5].into_iter().filter(|&threads| threads <= most) {
            let mut parallel = Parallel::new(threads).unwrap();
            parallel.set_threshold(0);
            for round in 0..if cfg!(miri) { 2 } else { 200 } {
                parallel.enter(CallCost::default(), |crew| {
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

    /// Waits until something is so, as it must be soon.
    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            thread::yield_now();
        }
    }

    #[test]
    fn a_pool_shares_forks_in_the_engines_mode_and_runs_phases_on_its_caller() {
        let threads = if cfg!(miri) { 2 } else { 4 };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = Arc::new(pool.unwrap());
        let mut parallel = Parallel::of_pool(Arc::clone(&pool));
        parallel.set_threshold(0);
        let small = f32::MIN_POSITIVE;
        let is_denormal = || std::hint::black_box(small) * std::hint::black_box(0.5) != 0.0;
        let before = is_denormal();
        parallel.enter(CallCost::default(), |crew| {
            assert_eq!(crew.threads(), threads);
            let done = Mutex::new(Vec::new());
            crew.fork(Parts(0..2 * threads), &|Parts(range)| {
                assert!(!is_denormal());
                done.lock()
                    .unwrap()
                    .push((range.start, thread::current().id()));
            });
            let mut done = done.into_inner().unwrap();
            done.sort_unstable_by_key(|part| part.0);
            assert!(done.iter().map(|part| part.0).eq(0..2 * threads));
            let caller = thread::current().id();
            assert_eq!(done[2 * threads - 1].1, caller);
            crew.phases(2, threads, &|_, _| {
                assert_eq!(thread::current().id(), caller)
            });
        });
        assert!(
            pool.broadcast(|_| is_denormal())
                .into_iter()
                .all(|mode| mode == before)
        );
        let panic = catch_unwind(AssertUnwindSafe(|| {
            parallel.enter(CallCost::default(), |crew| {
                crew.fork(Parts(0..threads), &|Parts(range)| {
                    assert_ne!(range.start, 1, "a part fails");
                });
            });
        }));
        assert!(panic.is_err() && before == is_denormal());
        assert_eq!(parallel.try_clone().unwrap().threads(), threads);
    }

    #[test]
    fn other_work_of_a_host_runs_in_its_own_mode() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        let pool = Arc::new(pool.unwrap());
        let mut parallel = Parallel::of_pool(Arc::clone(&pool));
        parallel.set_threshold(0);
        let is_denormal =
            || std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5) != 0.0;
        let before = is_denormal();
        let (has_begun, has_run) = (AtomicBool::new(false), Arc::new(Mutex::new(None)));
        // One thread is held in a part until the other one, which waits for it, has run something else.
        pool.install(|| {
            parallel.enter(CallCost::default(), |crew| {
                crew.fork(Parts(0..2), &|Parts(range)| {
                    if range.start == 0 {
                        has_begun.store(true, Ordering::SeqCst);
                        wait_until("nobody runs the host's work", || {
                            has_run.lock().unwrap().is_some()
                        });
                    } else {
                        wait_until("no thread helps", || has_begun.load(Ordering::SeqCst));
                        let has_run = Arc::clone(&has_run);
                        pool.spawn(move || *has_run.lock().unwrap() = Some(is_denormal()));
                    }
                });
            });
        });
        assert_eq!(*has_run.lock().unwrap(), Some(before));
    }

    #[test]
    fn a_fork_runs_each_part_once() {
        each_crew(|crew| {
            for parts in (1..crew.threads() + 2).chain([2 * crew.threads() + 3]) {
                let done = Mutex::new(Vec::new());
                crew.fork(Parts(0..parts), &|Parts(range)| {
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
            crew.fork(Parts(0..2 * threads + 1), &|_| {
                begun.lock().unwrap().insert(thread::current().id());
                // So that no thread does what another one has not begun yet.
                wait_until("a thread has got no part", || {
                    begun.lock().unwrap().len() >= threads
                });
            });
        });
    }

    /// As where one thread runs all sequences, and all of them share the units of each step.
    #[test]
    fn work_within_a_fork_of_one_part_has_all_threads() {
        each_crew(|crew| {
            let begun = Mutex::new(std::collections::HashSet::new());
            crew.fork(Parts(0..1), &|_| {
                crew.phases(1, crew.threads(), &|_, _| {
                    begun.lock().unwrap().insert(thread::current().id());
                    wait_until("a thread has got no piece", || {
                        begun.lock().unwrap().len() >= crew.threads()
                    });
                });
            });
        });
    }

    #[test]
    fn each_piece_of_a_phase_is_run_once_and_sees_what_the_phase_before_wrote() {
        each_crew(|crew| {
            for pieces in [
                1,
                crew.threads(),
                2 * crew.threads(),
                2 * crew.threads() + 1,
            ] {
                let cells: Vec<_> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                let phases = if cfg!(miri) { 5 } else { 50 };
                crew.phases(phases, pieces, &|phase, piece| {
                    let next = &cells[(piece + 1) % pieces];
                    assert!([phase, phase + 1].contains(&next.load(Ordering::Relaxed)));
                    assert_eq!(cells[piece].swap(phase + 1, Ordering::Relaxed), phase);
                });
                assert!(cells.iter().all(|it| it.load(Ordering::Relaxed) == phases));
            }
            crew.phases(0, 3, &|_, _| panic!("there is none"));
        });
    }

    /// A number of threads below that of the crew, and then more again.
    #[test]
    fn work_may_be_for_some_of_the_threads() {
        each_crew(|crew| {
            for threads in (1..=crew.threads()).chain((1..crew.threads()).rev()) {
                let sum = AtomicUsize::new(0);
                let some = crew.at_most(threads);
                assert_eq!(some.threads(), threads);
                some.phases(3, threads, &|phase, piece| {
                    sum.fetch_add(phase * threads + piece, Ordering::Relaxed);
                });
                assert_eq!(sum.into_inner(), (0..3 * threads).sum::<usize>());
            }
        });
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_begun_nothing() {
        let mut parallel = Parallel::new(3).unwrap();
        parallel.set_threshold(0);
        // One thread is held in a piece of the first phase; the others do all the rest of it, and all of another call.
        for _ in 0..20 {
            let is_held = AtomicBool::new(false);
            let done = AtomicUsize::new(0);
            parallel.enter(CallCost::default(), |crew| {
                crew.phases(2, 6, &|phase, _| {
                    if phase == 0 && !is_held.swap(true, Ordering::SeqCst) {
                        wait_until("pieces wait for a thread that is held", || {
                            done.load(Ordering::SeqCst) == 5
                        });
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                });
            });
            assert_eq!(done.into_inner(), 12);
        }
    }

    #[test]
    fn a_caller_that_has_waited_for_a_thread_that_does_not_run_works_alone_for_a_while() {
        let mut parallel = Parallel::new(2).unwrap();
        parallel.cores = 2;
        let cost = CallCost {
            operations: usize::MAX,
            meetings: 1,
        };
        // Whether the other thread has had a part of it.
        let is_helped = |time| {
            let caller = thread::current().id();
            let is_helped = AtomicBool::new(false);
            parallel.enter(cost, |crew| {
                crew.phases(1, 2, &|_, _| {
                    if thread::current().id() != caller {
                        is_helped.store(true, Ordering::SeqCst);
                        thread::sleep(time);
                    } else {
                        let end = Instant::now() + Duration::from_millis(1);
                        while !is_helped.load(Ordering::SeqCst) && Instant::now() < end {
                            std::hint::spin_loop();
                        }
                    }
                });
            });
            is_helped.into_inner()
        };
        wait_until("the other thread never helps", || {
            is_helped(Duration::from_millis(100))
        });
        let stalled = Instant::now();
        let was_helped = is_helped(Duration::ZERO);
        assert!(!was_helped || stalled.elapsed() > Duration::from_millis(150));
        wait_until("the other thread never helps again", || {
            is_helped(Duration::ZERO)
        });
        assert!(stalled.elapsed() > Duration::from_millis(150));
    }

    #[test]
    fn work_within_a_piece_is_done_by_its_thread() {
        each_crew(|crew| {
            let count = AtomicUsize::new(0);
            crew.phases(2, crew.threads(), &|_, _| {
                let own = thread::current().id();
                crew.phases(3, 4, &|_, _| {
                    assert_eq!(thread::current().id(), own);
                    count.fetch_add(1, Ordering::Relaxed);
                });
                crew.fork(Parts(0..5), &|_| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            });
            assert_eq!(count.into_inner(), 2 * 17 * crew.threads());
        });
    }

    #[test]
    fn a_destructor_may_call_while_its_thread_unwinds() {
        struct Destructor<'a>(Crew<'a>);
        impl Drop for Destructor<'_> {
            fn drop(&mut self) {
                assert!(thread::panicking());
                let count = AtomicUsize::new(0);
                self.0.phases(3, 3, &|_, _| {
                    count.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(count.into_inner(), 9);
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
    fn a_caller_that_waits_for_long_sleeps() {
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
        let caller = thread::current().id();
        let is_begun = AtomicBool::new(false);
        let before = processor_time();
        parallel.enter(CallCost::default(), |crew| {
            crew.phases(1, 2, &|_, _| {
                if thread::current().id() == caller {
                    while !is_begun.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                } else {
                    is_begun.store(true, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(300));
                }
            });
        });
        assert!(processor_time() - before < Duration::from_millis(100));
    }

    #[test]
    fn a_panic_comes_back_and_nobody_waits_for_ever() {
        let silent = |work: &dyn Fn()| catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        each_crew(|crew| {
            let threads = crew.threads();
            for panicking in 0..threads {
                let panic = silent(&|| {
                    crew.phases(3, threads, &|phase, piece| {
                        assert!(phase < 2, "what has panicked goes on");
                        if (phase, piece) == (1, panicking) {
                            std::panic::resume_unwind(Box::new("on purpose"));
                        }
                    });
                });
                assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
                let panic = silent(&|| {
                    crew.fork(Parts(0..threads), &|Parts(range)| {
                        if range.start == panicking {
                            std::panic::resume_unwind(Box::new("on purpose"));
                        }
                    });
                });
                assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
            }
        });
    }

    #[test]
    fn a_team_that_is_taken_is_not_shared() {
        let mut parallel = Parallel::new(2).unwrap();
        parallel.set_threshold(0);
        parallel.enter(CallCost::default(), |crew| {
            assert_eq!(crew.threads(), 2);
            parallel.enter(CallCost::default(), |crew| assert_eq!(crew.threads(), 1));
        });
        parallel.enter(CallCost::default(), |crew| assert_eq!(crew.threads(), 2));
    }

    #[test]
    fn a_call_gets_the_threads_that_it_is_worth() {
        let mut parallel = Parallel::new(8).unwrap();
        parallel.cores = 6;
        let mut check = |threshold, operations, meetings, threads| {
            parallel.set_threshold(threshold);
            let cost = CallCost {
                operations,
                meetings,
            };
            assert_eq!(parallel.threads_for(cost), threads, "{threshold}, {cost:?}");
            parallel.enter(cost, |crew| assert_eq!(crew.threads(), threads));
        };
        check(2_000_000, 1_999_999, 1, 1);
        check(2_000_000, 2_000_000, 1, 2);
        check(2_000_000, 3_500_000, 1, 3);
        check(2_000_000, 3_500_000, 8, 2);
        check(2_000_000, 3_500_000, 30, 1);
        check(2_000_000, usize::MAX, 1, 6);
        check(400_000, 1_000_000, 0, 5);
        check(usize::MAX, usize::MAX, 1, 2);
        // What has no core, too.
        check(0, 0, 0, 8);
    }

    #[test]
    fn small_work_and_absurd_numbers_of_threads() {
        let parallel = Parallel::new(2).unwrap();
        parallel.enter(CallCost::default(), |crew| assert_eq!(crew.threads(), 1));
        assert!(Parallel::new(0).unwrap().threads() >= 1);
        let error = Parallel::new(usize::MAX).unwrap_err();
        assert!(error.to_string().starts_with("threads is 1844674407370955"));
    }
}
