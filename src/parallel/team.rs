//! Threads that claim pieces of work.
//!
//! The threads are a rayon pool's, each of which runs one job for as long as the team exists: it waits for work and does
//! it. Handing work to rayon itself would put the caller to sleep meanwhile, wake a thread in its place, and allocate now
//! and then; where waking takes 40 microseconds, a call has to take far longer to be worth that. Here the caller is one of
//! the threads, and the others stay awake for a moment after their last piece of work ([`LINGER`]), so that calls which
//! follow each other start at once.
//!
//! Work has phases, one after the other, and each has the same pieces. Every piece has a lane, and every lane a thread that
//! takes its pieces first: so what a piece reads again and again stays in that thread's cache. But whoever has done its own
//! takes what others have not begun. A thread that does not run, because the system has given its core to another program,
//! is waited for only where it was stopped in the middle of a piece, and a call returns without the threads that have no
//! piece: what it lent them they may touch only while they have one. Where that wait has taken most of a call, the next ones do
//! without help for a while.
//!
//! This is a place for `unsafe` because what is lent lies on the stack of the caller, which only a wait makes sound, not a
//! lifetime.
//!
//! # Why no two threads meet
//!
//! Phases are counted over all calls of a team, and the counts never go back: `end` is that of the phases that have been
//! published, `closed` that of those whose pieces are all done, and each lane has that of the phases in which its piece has
//! been begun.
//!
//! - *One piece, one thread.* A piece of a phase is begun by who moves its lane's count from that phase to the next by a
//!   `compare_exchange`, which one thread can do.
//! - *No piece of another time.* A thread tries to begin a piece only of a phase `p` for which it has loaded a `closed` of `p`
//!   and an `end` beyond. Both may be old. But where the `compare_exchange` succeeds, the piece of `p` had not been begun,
//!   so `p` was not closed and its call has not returned; nor can the call return, or the next phase open, before the piece is
//!   done. Lanes that a call does not use are moved to its end before it is published: there nothing succeeds.
//! - *It sees what came before.* `closed` is stored by the thread that does the last piece of a phase. It has added to
//!   `done` after its piece, as all others have, and each such addition acquires and releases: so what was written in
//!   phase `p - 1` can be read by who loads a `closed` of `p`. Likewise the caller publishes by the store to `end`: who begins a
//!   piece of the first phase has loaded that, and who begins one of a later phase has loaded a `closed` from a thread which
//!   had loaded it, or one which had got it from there in the same way.
//! - *The caller goes on last.* It returns, and takes down what it lent, when it has loaded a `closed` as large as its `end`.
//!   Everybody else has added to `done` by then and touches nothing but what belongs to the team.
//! - *No thread sleeps over work.* It stores `is_asleep`, then loads `closed` and `end`; who changes one of these stores it,
//!   then loads `is_asleep`. All of them are `SeqCst`, so at least one of the loads sees the other thread's store; and an
//!   `unpark` that comes before the `park` ends that at once.
//! - *One call after the other.* `is_taken` and `is_busy` are acquired by who sets them and released by the same.
//! - *The end.* Dropping the team needs it alone. It ends when the threads have.

use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Cut, run_each};
use crate::simd::mode;
use crate::{Error, Result};

/// How long a thread without work stays awake.
const LINGER: Duration = Duration::from_micros(100);

/// Rounds that a thread waits before it lets threads run that may be waiting for its core, and before it looks for pieces of
/// others' lanes: some 2 microseconds.
const SPINS: usize = 100;

/// How long a caller waits like that before it sleeps. The one that it waits for may share its core and, where the caller
/// is a real-time thread, get nothing of it while that is awake.
const AWAKE: Duration = Duration::from_millis(1);

/// How long a thread that has let others run may have been away: then others want the core, and a thread that sleeps gets it
/// back when there is something to do, while one that offers it again is away for a whole turn of theirs each time.
const LENT: Duration = Duration::from_micros(200);

/// How long it sleeps at a time.
const NAP: Duration = Duration::from_micros(50);

/// A caller that has waited for longer, and would have done the work of all threads by then, has waited for a thread that did not
/// run. It then works alone for a while: as many times as long as it has waited, and no longer than the last of these.
const STALL: Duration = Duration::from_micros(500);
const ALONE_TIMES: u32 = 10;
const ALONE_MOST: Duration = Duration::from_millis(200);

/// Lanes for each thread, so that work may have more pieces than there are threads.
const LANES_EACH: usize = 2;

/// The threads of a network.
#[derive(Debug)]
pub struct Team {
    board: Arc<Board>,
    /// Whether a call has the team.
    is_taken: AtomicBool,
    /// Whether work is published.
    is_busy: AtomicBool,
    /// Until when callers work alone, in microseconds since `start`.
    alone_until: AtomicU64,
    start: Instant,
    /// Whether callers never work alone.
    pub insists: bool,
    /// The process that has the threads: a fork of it has none.
    process: u32,
    /// None only while it is dropped.
    pool: Option<ThreadPool>,
    handles: Vec<JoinHandle<()>>,
}

/// Where work is published.
#[derive(Debug)]
struct Board {
    gate: Gate,
    /// Pieces of the phase that are done.
    done: Line<AtomicUsize>,
    lanes: Box<[Line<Lane>]>,
    /// The caller's, then those of the team's threads.
    seats: Box<[Line<Seat>]>,
    work: Line<UnsafeCell<Work>>,
    /// What the first piece that panicked left.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Something alone in its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

/// What a waiting thread looks at.
#[derive(Debug)]
#[repr(align(128))]
struct Gate {
    closed: AtomicU64,
    end: AtomicU64,
    /// How many threads, and lanes, the work is for: who reads another work's does only what it may do anyway.
    threads: AtomicUsize,
    lanes: AtomicUsize,
    is_over: AtomicBool,
}

/// Pieces that one thread takes first.
struct Lane {
    begun: AtomicU64,
    /// A part of a task, for its piece.
    part: UnsafeCell<[MaybeUninit<u128>; PART]>,
}

/// Room for a part of a task.
const PART: usize = 48;

#[derive(Debug)]
struct Seat {
    is_asleep: AtomicBool,
    /// Who is to be woken; None is the caller's, who never sleeps for long.
    thread: OnceLock<Thread>,
}

/// Published work; of no meaning between two.
#[derive(Clone, Copy)]
struct Work {
    /// Runs a piece: of which phase, in which lane.
    run: *const (dyn Fn(usize, usize) + Sync),
    /// Count of the phases before the first one.
    first: u64,
    /// Pieces of a phase.
    pieces: usize,
    is_broken: *const AtomicBool,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.begun.fmt(formatter)
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} pieces", self.pieces)
    }
}

// SAFETY: `work` is written by a caller before it publishes it, and `part` of a lane likewise; they are read by who has begun
// a piece, when no caller writes; a part only by who has begun the piece of its lane. What `Work` points to may be used by
// any thread, and parts may move to another one, as `Team::run` and `Team::fork` see to.
unsafe impl Sync for Board {}
// SAFETY: as above; between two calls nothing in it has a meaning.
unsafe impl Send for Board {}

impl Team {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// [`Error::Threads`]
    pub fn new(count: usize) -> Result<Self> {
        let lane = || {
            Line(Lane {
                begun: AtomicU64::new(0),
                part: UnsafeCell::new([const { MaybeUninit::uninit() }; PART]),
            })
        };
        let seat = || {
            Line(Seat {
                is_asleep: AtomicBool::new(false),
                thread: OnceLock::new(),
            })
        };
        let nothing: *const fn(usize, usize) = std::ptr::null();
        let board = Arc::new(Board {
            gate: Gate {
                closed: AtomicU64::new(0),
                end: AtomicU64::new(0),
                threads: AtomicUsize::new(0),
                lanes: AtomicUsize::new(0),
                is_over: AtomicBool::new(false),
            },
            done: Line(AtomicUsize::new(0)),
            lanes: (0..LANES_EACH * (count + 1)).map(|_| lane()).collect(),
            seats: (0..=count).map(|_| seat()).collect(),
            work: Line(UnsafeCell::new(Work {
                run: nothing,
                first: 0,
                pieces: 0,
                is_broken: std::ptr::null(),
            })),
            panic: Mutex::new(None),
        });
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
        let (taken, arrived) = (Arc::clone(&board), Arc::clone(&ready));
        pool.spawn_broadcast(move |context| {
            let own = context.index() + 1;
            _ = taken.seats[own].0.thread.set(thread::current());
            mode::enter_for_good();
            arrived.wait();
            taken.serve(own);
        });
        ready.wait();
        Ok(Self {
            board,
            is_taken: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            alone_until: AtomicU64::new(0),
            start: Instant::now(),
            insists: false,
            process: std::process::id(),
            pool: Some(pool),
            handles,
        })
    }

    /// The number of threads, the caller's among them.
    pub fn len(&self) -> usize {
        self.board.seats.len()
    }

    /// Runs `work` with the team, or without where another call has it or its threads are another process's.
    pub fn take<R>(&self, work: impl FnOnce(Option<&Self>) -> R) -> R {
        if self.process != std::process::id() {
            return work(None);
        }
        match Flag::set(&self.is_taken) {
            Some(_taken) => work(Some(self)),
            None => work(None),
        }
    }

    /// Runs the pieces of so many phases on so many threads, of which the calling one is the first: `run` gets the number of
    /// the phase and of the piece. All pieces of a phase are done, and what they wrote can be read, before one of the next
    /// begins. The calling thread alone runs them where it is called in one of them. Allocates nothing.
    ///
    /// # Panics
    /// Where a piece does. Pieces that have not been begun by then are left out.
    pub fn run(
        &self,
        threads: usize,
        pieces: usize,
        phases: usize,
        run: &(dyn Fn(usize, usize) + Sync),
    ) {
        let fits = (2..=self.board.lanes.len()).contains(&pieces);
        match self.begin(fits, threads) {
            Some(busy) => self.publish(busy, threads, pieces, phases, run),
            None => {
                for phase in 0..phases {
                    (0..pieces).for_each(|piece| run(phase, piece));
                }
            }
        }
    }

    /// [`Self::run`], where there are lanes for the pieces and no other work is published.
    fn publish(
        &self,
        busy: Flag<'_>,
        threads: usize,
        pieces: usize,
        phases: usize,
        run: &(dyn Fn(usize, usize) + Sync),
    ) {
        let threads = threads.min(self.len()).min(pieces);
        let is_broken = AtomicBool::new(false);
        let board = &*self.board;
        // Nobody but a caller stores to it, and that is this one.
        let first = board.gate.end.load(Ordering::Relaxed);
        let end = first + phases as u64;
        for lane in &board.lanes[pieces..] {
            lane.0.begun.store(end, Ordering::Relaxed);
        }
        // SAFETY: no piece is at work or can be begun before the work is published; the lifetime is left out of the type, as
        // this function returns when all pieces are done.
        unsafe {
            *board.work.0.get() = Work {
                run: std::mem::transmute::<
                    *const (dyn Fn(usize, usize) + Sync + '_),
                    *const (dyn Fn(usize, usize) + Sync + 'static),
                >(run),
                first,
                pieces,
                is_broken: &raw const is_broken,
            };
        }
        let gate = &board.gate;
        gate.threads.store(threads, Ordering::Relaxed);
        gate.lanes.store(pieces, Ordering::Relaxed);
        gate.end.store(end, Ordering::SeqCst);
        let begun = Instant::now();
        // From here on others may reach what is on this frame, so nothing leaves it, not even a panic, before all is done.
        board.wake();
        let waited = board.work(0, || gate.closed.load(Ordering::Acquire) == end);
        drop(busy);
        if is_stalled(begun.elapsed(), waited, threads) {
            let alone = self.start.elapsed() + (waited * ALONE_TIMES).min(ALONE_MOST);
            self.alone_until
                .store(alone.as_micros() as u64, Ordering::Relaxed);
        }
        if is_broken.into_inner() {
            let panic = board.panic.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(panic) = { panic }.take() {
                resume_unwind(panic);
            }
        }
    }

    /// The right to publish work, where it can be and so many threads help. None leaves it to work within this one.
    fn begin(&self, can_be: bool, threads: usize) -> Option<Flag<'_>> {
        (can_be && self.has_help(threads))
            .then(|| Flag::set(&self.is_busy))
            .flatten()
    }

    /// Whether so many threads help the caller, who is one of them.
    fn has_help(&self, threads: usize) -> bool {
        let until = self.alone_until.load(Ordering::Relaxed);
        if until > 0 && threads > 1 && !self.insists {
            if self.start.elapsed().as_micros() < u128::from(until) {
                return false;
            }
            self.alone_until.store(0, Ordering::Relaxed);
        }
        threads > 1
    }

    /// Runs the parts of `task`, which has at least one, in about as many pieces as it has parts, on so many threads.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn fork<T: Cut>(&self, threads: usize, task: T, run: &(impl Fn(T) + Sync)) {
        // A part that has not been begun is left where it lies.
        const {
            assert!(size_of::<T>() <= size_of::<[u128; PART]>() && !needs_drop::<T>());
            assert!(align_of::<T>() <= align_of::<u128>());
        }
        let parts = task.size();
        let pieces = parts.min(self.board.lanes.len());
        let Some(busy) = self.begin(pieces > 1, threads) else {
            return run_each(task, run);
        };
        let part = |piece: usize| self.board.lanes[piece].0.part.get().cast::<T>();
        let mut rest = task;
        for piece in 0..pieces {
            let count = parts * (piece + 1) / pieces - parts * piece / pieces;
            let own;
            if piece + 1 < pieces {
                (own, rest) = rest.cut(count);
                // SAFETY: there is room, and nobody else looks at it: no work is published.
                unsafe { part(piece).write(own) };
            } else {
                // SAFETY: as above.
                unsafe { part(piece).write(rest) };
                break;
            }
        }
        self.publish(busy, threads, pieces, 1, &|_, piece| {
            // SAFETY: it has been written, and each piece is run once; `T` may go to another thread.
            let own = unsafe { part(piece).read() };
            run_each(own, run);
        });
    }
}

/// Whether a call of so many threads, each of which has about as much to do, would have been over earlier on its caller's alone.
fn is_stalled(elapsed: Duration, waited: Duration, threads: usize) -> bool {
    let alone = elapsed.saturating_sub(waited) * threads as u32;
    waited > STALL && elapsed > alone
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
        self.board.gate.is_over.store(true, Ordering::SeqCst);
        for seat in &self.board.seats {
            if let Some(thread) = seat.0.thread.get() {
                thread.unpark();
            }
        }
        drop(pool);
        // No thread is left in this library's code: it may be unloaded.
        join(handles);
    }
}

fn join(handles: Vec<JoinHandle<()>>) {
    for handle in handles {
        // It has nothing to report: what panics in a piece goes to the caller.
        _ = handle.join();
    }
}

/// A flag that this thread has set, for as long as it has this.
struct Flag<'a>(&'a AtomicBool);

impl<'a> Flag<'a> {
    /// None where it is set already.
    fn set(flag: &'a AtomicBool) -> Option<Self> {
        (!flag.swap(true, Ordering::Acquire)).then(|| Self(flag))
    }
}

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What a thread has seen of the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    closed: u64,
    end: u64,
}

impl Board {
    fn seen(&self, order: Ordering) -> Seen {
        Seen {
            end: self.gate.end.load(order),
            closed: self.gate.closed.load(order),
        }
    }

    /// Does what is published until the team is over.
    fn serve(&self, own: usize) {
        self.work(own, || self.gate.is_over.load(Ordering::SeqCst));
    }

    /// Does what is published, the pieces of a thread's own lanes first, until `is_over`. Returns for how long it has waited.
    fn work(&self, own: usize, is_over: impl Fn() -> bool) -> Duration {
        let mut waited = Duration::ZERO;
        // Whether others are late, and what they have not begun is taken at once: their threads may be asleep at first.
        let mut takes_at_once = true;
        while !is_over() {
            let seen = self.seen(Ordering::Acquire);
            let (threads, lanes) = (
                self.gate.threads.load(Ordering::Relaxed).max(1),
                self.gate
                    .lanes
                    .load(Ordering::Relaxed)
                    .min(self.lanes.len()),
            );
            if seen.closed < seen.end && own < threads {
                let mut lane = own;
                while lane < lanes {
                    self.claim(lane, seen);
                    lane += threads;
                }
                // Looking at others' lanes slows them down where they are about to be done.
                let is_last = seen.closed + 1 == seen.end;
                if !takes_at_once && !is_last && self.spin(seen) {
                    continue;
                }
                let mut has_taken = false;
                for distance in 1..lanes {
                    has_taken |= self.claim((own + distance) % lanes, seen);
                }
                takes_at_once = has_taken;
            }
            if !self.spin(seen) {
                waited += self.wait(own, seen, &is_over);
            }
        }
        waited
    }

    /// Runs the piece of a lane in the phase that has been seen to be open, where nobody has begun it.
    fn claim(&self, lane: usize, seen: Seen) -> bool {
        let begun = &self.lanes[lane].0.begun;
        let phase = seen.closed;
        if begun.load(Ordering::Relaxed) != phase
            || begun
                .compare_exchange(phase, phase + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        // SAFETY: the piece has been begun by this thread, so its call has not returned: the work is this call's, nobody
        // writes it, and what it points to stands until the piece is done.
        let (work, is_broken) = unsafe {
            let work = *self.work.0.get();
            (work, &*work.is_broken)
        };
        if !is_broken.load(Ordering::Relaxed) {
            let number = (phase - work.first) as usize;
            // SAFETY: as above.
            let run = || unsafe { (*work.run)(number, lane) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                is_broken.store(true, Ordering::Relaxed);
                let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(panic);
            }
        }
        // From here on, unless it is the last one, the call may return.
        if self.done.0.fetch_add(1, Ordering::AcqRel) + 1 == work.pieces {
            self.done.0.store(0, Ordering::Relaxed);
            self.gate.closed.store(phase + 1, Ordering::SeqCst);
            if phase + 1 < seen.end {
                self.wake();
            }
        }
        true
    }

    /// Looks for a moment whether something else is to be seen.
    fn spin(&self, seen: Seen) -> bool {
        for _ in 0..SPINS {
            if self.seen(Ordering::Relaxed) != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }

    /// Waits until something else is to be seen. Returns for how long.
    fn wait(&self, own: usize, seen: Seen, is_over: &impl Fn() -> bool) -> Duration {
        let since = Instant::now();
        let seat = &self.seats[own].0;
        let awake = match seat.thread.get() {
            Some(_) => LINGER,
            None => AWAKE,
        };
        let mut before = Duration::ZERO;
        while before < awake {
            // A system that has woken this thread on the core of another one must not let that wait for it.
            thread::yield_now();
            let now = since.elapsed();
            if self.spin(seen) || is_over() {
                return now;
            }
            if now - before > LENT {
                break;
            }
            before = now;
        }
        if seat.thread.get().is_none() {
            while self.seen(Ordering::Relaxed) == seen && !is_over() {
                thread::sleep(NAP);
            }
            return since.elapsed();
        }
        loop {
            // Either who changes the gate sees this, or this thread the change. Each time anew: the one that woke it may have
            // come late, for a change that it has seen before.
            seat.is_asleep.store(true, Ordering::SeqCst);
            if self.seen(Ordering::SeqCst) != seen || is_over() {
                break;
            }
            thread::park();
        }
        seat.is_asleep.store(false, Ordering::Relaxed);
        // The one that has woken this thread need not wake all others.
        self.wake();
        since.elapsed()
    }

    /// Wakes those who sleep of the threads that the work is for.
    fn wake(&self) {
        let threads = self.gate.threads.load(Ordering::Relaxed);
        for seat in self.seats.iter().take(threads) {
            if seat.0.is_asleep.load(Ordering::SeqCst)
                && seat.0.is_asleep.swap(false, Ordering::SeqCst)
                && let Some(thread) = seat.0.thread.get()
            {
                thread.unpark();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_a_wait_in_which_the_caller_had_done_all_of_the_work() {
        let time = Duration::from_micros;
        let stalled = |elapsed, waited, threads| is_stalled(time(elapsed), time(waited), threads);
        assert!(stalled(2_000, 1_100, 2));
        assert!(!stalled(2_000, 900, 2));
        // However much of a short one.
        assert!(!stalled(500, 499, 2));
        // A sixteenth of the work in a fifth of the time: alone it would have taken three times as long.
        assert!(!stalled(10_000, 8_000, 16));
        assert!(stalled(10_000, 9_500, 16));
    }
}
