//! Threads that wait for work.
//!
//! The threads are a rayon pool's, each of which runs one job for as long as the team exists: it waits for work and does
//! it. Handing work to rayon itself would put the caller to sleep meanwhile, wake a thread in its place, and allocate now
//! and then; where waking takes 40 microseconds, a call has to take far longer to be worth that. Here the caller is one of
//! the threads, and the others stay awake for a moment after their last piece of work ([`LINGER`]), so that calls which
//! follow each other start at once.
//!
//! This is a place for `unsafe` because a job borrows from the stack of the thread that waits for it, which only a wait
//! makes sound, not a lifetime.
//!
//! # Why no two threads meet
//!
//! A job lies on the stack of its owner, who has the team ([`Team::take`]) or works for a thread that has.
//!
//! - *One of the two runs it.* The owner writes the job, then stores its address in an empty mailbox. The worker takes it by
//!   a `swap`, the owner takes it back by a `compare_exchange`: one of these finds the address, the other one null. Nobody
//!   else stores to the mailbox meanwhile, so the address can't be that of another job. The store releases and the `swap`
//!   acquires, so the worker sees the job as it was written.
//! - *The worker is done before the owner goes on.* What is in the cells is the worker's from the `swap` on, until it swaps
//!   [`DONE`] into the state, which releases. The owner looks into the cells, and leaves the frame, after it has loaded
//!   `DONE`, which acquires. That `swap` is the worker's last touch of the job.
//! - *No worker sleeps over a job.* It stores `asleep`, then loads the mailbox; the owner stores to the mailbox, then loads
//!   `asleep`. All four are `SeqCst`, so at least one of the loads sees the other thread's store: the worker finds the job
//!   or the owner unparks it, and an `unpark` that comes before the `park` ends that at once.
//! - *No owner sleeps over the end.* Its `compare_exchange` to [`OWNER_SLEEPS`] and the worker's `swap` change one atomic:
//!   where the `swap` is first the owner sees `DONE`, otherwise the worker sees that it has to wake the owner, who holds the
//!   lock of its seat from the `compare_exchange` until it sleeps. The seat belongs to the team's threads, not to the job,
//!   so that the worker may touch it when the job is gone.
//! - *One call after the other.* `taken` is acquired by the call that gets the team and released by the one that had it.
//! - *The end.* Dropping the team needs it alone. The job that says so is only read, and lives until the threads have ended.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::simd::mode;
use crate::{Error, Result};

/// How long a thread without work stays awake.
const LINGER: Duration = Duration::from_micros(100);

/// How long a thread waits for the end of another one's work before it sleeps.
const WAIT: Duration = Duration::from_micros(50);

/// The threads of a network.
#[derive(Debug)]
pub struct Team {
    /// The caller's, then those of the team.
    seats: Arc<[Seat]>,
    /// Whether a call has the team.
    taken: AtomicBool,
    /// The process that has the threads: a fork of it has none.
    process: u32,
    /// None only while it is dropped.
    pool: Option<ThreadPool>,
    handles: Vec<JoinHandle<()>>,
}

/// Where a thread gets its work, and waits for the end of what it has handed on; alone in its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Seat {
    /// The next job; null where there is none, as always at the caller's.
    mailbox: AtomicPtr<Job>,
    asleep: AtomicBool,
    /// Who is to be woken for a job.
    thread: OnceLock<Thread>,
    lingers: bool,
    /// Held by an owner while it decides to sleep, and by who wakes it. The handle of the thread itself would not do for the
    /// caller's: the standard library allocates that of a foreign thread when it is first asked for.
    bed: Mutex<()>,
    bell: Condvar,
}

/// What a worker sees of a job.
#[derive(Debug)]
struct Job {
    /// Runs the job that this is the head of. None tells the worker to stop.
    run: Option<unsafe fn(*mut Job)>,
    state: AtomicU8,
    /// The seat of the thread that waits for its end; it lives as long as the team's threads.
    owner: *const Seat,
}

/// The states of a job.
const PENDING: u8 = 0;
const OWNER_SLEEPS: u8 = 1;
const DONE: u8 = 2;

/// A job on the stack of its owner.
#[repr(C)] // a pointer to it is one to its head
struct StackJob<F> {
    head: Job,
    work: UnsafeCell<Option<F>>,
    panic: UnsafeCell<Option<Box<dyn Any + Send>>>,
}

impl Team {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// [`Error::Threads`]
    pub fn new(count: usize) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let seat = || Seat {
            mailbox: AtomicPtr::new(ptr::null_mut()),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
            lingers: count < cores,
            bed: Mutex::new(()),
            bell: Condvar::new(),
        };
        let seats: Arc<[Seat]> = (0..=count).map(|_| seat()).collect();
        let mut handles = Vec::new();
        let pool = ThreadPoolBuilder::new()
            .num_threads(count)
            .spawn_handler(|thread| {
                let name = format!("elman-{}", thread.index() + 1);
                let handle = thread::Builder::new().name(name).spawn(|| thread.run())?;
                handles.push(handle);
                Ok(())
            })
            .build();
        let pool = match pool {
            Ok(pool) => pool,
            Err(error) => {
                join(handles);
                return Err(Error::Threads {
                    threads: count + 1,
                    reason: error.to_string(),
                });
            }
        };
        // The threads have allocated what they need before anybody calls them.
        let ready = Arc::new(Barrier::new(count + 1));
        let (taken, arrived) = (Arc::clone(&seats), Arc::clone(&ready));
        pool.spawn_broadcast(move |context| {
            let seat = &taken[context.index() + 1];
            _ = seat.thread.set(thread::current());
            mode::enter_for_good();
            arrived.wait();
            seat.serve();
        });
        ready.wait();
        Ok(Self {
            seats,
            taken: AtomicBool::new(false),
            process: std::process::id(),
            pool: Some(pool),
            handles,
        })
    }

    /// The number of threads, the caller's among them.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Runs `work` with the team, or without where another call has it or its threads are another process's.
    pub fn take<R>(&self, work: impl FnOnce(Option<&Self>) -> R) -> R {
        struct Taken<'a>(&'a AtomicBool);
        impl Drop for Taken<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }
        if self.process != std::process::id() || self.taken.swap(true, Ordering::Acquire) {
            return work(None);
        }
        let _taken = Taken(&self.taken);
        work(Some(self))
    }

    /// Runs `here` on the calling thread, which has the first of the two seats, and `there` on the thread that has the second
    /// one; both here where that one has not begun when `here` is done. The team has been taken, and the other thread has
    /// nothing else to do. Allocates nothing.
    ///
    /// # Panics
    /// Where one of them does, once both are done; where the other thread has a job already, before either.
    pub fn join<F: FnOnce() + Send>(
        &self,
        [own, other]: [usize; 2],
        here: impl FnOnce(),
        there: F,
    ) {
        let seat = &self.seats[other];
        let mut job = StackJob {
            head: Job {
                run: Some(StackJob::<F>::run),
                state: AtomicU8::new(PENDING),
                owner: &raw const self.seats[own],
            },
            work: UnsafeCell::new(Some(there)),
            panic: UnsafeCell::new(None),
        };
        let head = (&raw mut job).cast();
        seat.post(head);
        // From here on the other thread may reach the job, so nothing leaves this frame, not even a panic, before it has
        // been taken back or is done.
        let result = catch_unwind(AssertUnwindSafe(here));
        let taken_back = seat.take_back(head);
        if !taken_back {
            // SAFETY: the job is on this frame; only what its owner may touch is touched.
            self.seats[own].wait(unsafe { &(*head).state });
        }
        if let Err(panic) = result {
            resume_unwind(panic);
        }
        if let Some(work) = job.work.into_inner() {
            debug_assert!(taken_back);
            work();
        }
        if let Some(panic) = job.panic.into_inner() {
            resume_unwind(panic);
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        let pool = self.pool.take();
        let handles = std::mem::take(&mut self.handles);
        if self.process != std::process::id() {
            // There is nobody to stop: the threads are the parent's.
            std::mem::forget((pool, handles));
            return;
        }
        let mut stop = Job {
            run: None,
            state: AtomicU8::new(PENDING),
            owner: &raw const self.seats[0],
        };
        for seat in &self.seats[1..] {
            seat.post(&raw mut stop);
        }
        drop(pool);
        // No thread is left in this library's code: it may be unloaded. And none is left that could read `stop`.
        join(handles);
    }
}

fn join(handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        // It has nothing to report: what panics in a job goes to the job's owner.
        _ = handle.join();
    }
}

impl Seat {
    /// Does what it is told until it is told to stop.
    fn serve(&self) {
        loop {
            let job = self.next();
            // SAFETY: the job's owner keeps it until it is done or taken back, which it can't be any more; the one that
            // tells to stop until this thread has ended.
            unsafe {
                match (*job).run {
                    Some(run) => run(job),
                    None => return,
                }
            }
        }
    }

    /// Waits for the next job.
    fn next(&self) -> *mut Job {
        let mut since = None;
        loop {
            for _ in 0..64 {
                let job = self.mailbox.swap_if_any();
                if !job.is_null() {
                    return job;
                }
                std::hint::spin_loop();
            }
            let since = since.get_or_insert_with(Instant::now);
            if self.lingers && since.elapsed() < LINGER {
                // A system that has woken this thread on the core of its caller must not let the caller wait for it.
                thread::yield_now();
                continue;
            }
            // Either `post` sees this, or this thread the job.
            self.asleep.store(true, Ordering::SeqCst);
            while self.mailbox.load(Ordering::SeqCst).is_null() {
                thread::park();
            }
            self.asleep.store(false, Ordering::Relaxed);
        }
    }

    /// Hands the seat's thread a job.
    ///
    /// # Panics
    /// Where it has one that it has not begun: that would be lost, and its owner would wait for ever.
    fn post(&self, job: *mut Job) {
        let before = self.mailbox.compare_exchange(
            ptr::null_mut(),
            job,
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
        assert!(before.is_ok(), "a thread has been handed two jobs");
        if self.asleep.load(Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Whether the job was still waiting; it is this thread's again then.
    fn take_back(&self, job: *mut Job) -> bool {
        let none = ptr::null_mut();
        self.mailbox
            .compare_exchange(job, none, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Waits until a job of this seat's thread, which has this state, is done.
    fn wait(&self, state: &AtomicU8) {
        let start = Instant::now();
        loop {
            for _ in 0..64 {
                if state.load(Ordering::Acquire) == DONE {
                    return;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > WAIT {
                break;
            }
            thread::yield_now();
        }
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        _ = state.compare_exchange(PENDING, OWNER_SLEEPS, Ordering::Relaxed, Ordering::Relaxed);
        while state.load(Ordering::Acquire) != DONE {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the seat's thread from a wait for the end of its job.
    fn wake(&self) {
        // Once it is free, the thread sleeps or sees that the job is done.
        drop(self.bed.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.notify_one();
    }
}

/// Taking what is in a mailbox.
trait Mailbox {
    /// The job that was there, or null. Only reads while there is none, so that the cache line can be shared meanwhile.
    fn swap_if_any(&self) -> *mut Job;
}

impl Mailbox for AtomicPtr<Job> {
    fn swap_if_any(&self) -> *mut Job {
        let none = ptr::null_mut();
        if self.load(Ordering::Relaxed).is_null() {
            return none;
        }
        self.swap(none, Ordering::Acquire)
    }
}

impl<F: FnOnce() + Send> StackJob<F> {
    /// Runs the job on a worker.
    ///
    /// # Safety
    /// - `job` must be the head of a job of this type, which its owner keeps until it is done, and nobody else runs it.
    unsafe fn run(job: *mut Job) {
        let whole: *mut Self = job.cast();
        // SAFETY: until the job is done, what is in its cells is this thread's alone, as the owner waits for that. The
        // state is the last of it that is touched; where the owner's seat is has been read before.
        unsafe {
            let work = (*(*whole).work.get()).take();
            if let Some(work) = work
                && let Err(panic) = catch_unwind(AssertUnwindSafe(work))
            {
                *(*whole).panic.get() = Some(panic);
            }
            let owner = (*job).owner;
            if (*job).state.swap(DONE, Ordering::AcqRel) == OWNER_SLEEPS {
                // The seat lives as long as this thread.
                (*owner).wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_job_for_a_thread_that_has_one_is_a_panic_and_the_first_is_done() {
        let team = Team::new(1).unwrap();
        let (held, done) = (Barrier::new(2), AtomicBool::new(false));
        team.take(|team| {
            let team = team.unwrap();
            let first = || {
                // The thread is at work on the first job now, so the second stays in its mailbox.
                held.wait();
                let second = || {
                    let third = || team.join([0, 1], || (), || ());
                    assert!(catch_unwind(AssertUnwindSafe(third)).is_err());
                    held.wait();
                };
                team.join([0, 1], second, || done.store(true, Ordering::SeqCst));
            };
            team.join([0, 1], first, || {
                held.wait();
                held.wait();
            });
        });
        assert!(done.load(Ordering::SeqCst));
    }
}
