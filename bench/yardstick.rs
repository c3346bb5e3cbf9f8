//! The limits of the machine, measured in the process that measures the engine.

use std::collections::HashMap;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use elman::{Tier, math};

/// Seconds that `run` takes at best: the minimum over several repetitions, each long enough for the clock.
pub fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    run();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let repetitions = (0.02 / once).ceil().max(1.0) as usize;
    (0..7)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..repetitions {
                run();
            }
            start.elapsed().as_secs_f64() / repetitions as f64
        })
        .fold(f64::MAX, f64::min)
}

/// What one core can do at best, and what two threads pay to talk to each other.
pub struct Yardsticks {
    tier: Tier,
    /// Floating-point operations per second: twelve chains of f32 multiply-add in registers.
    pub fma_peak: f64,
    /// Seconds until the next multiply-add of a dependent chain can start.
    pub fma_latency: f64,
    /// Bytes per second of a loop that only reads, over buffers of [`BUFFERS`] bytes.
    pub read: [f64; 4],
    /// The same over other buffers, by their size.
    other_reads: HashMap<usize, f64>,
    /// Elements per second of tanh over 16 KiB.
    pub tanh: f64,
    /// Seconds in which two sleeping threads wake each other by `park` and `unpark`. None with a single core.
    pub park: Option<f64>,
    /// The same with a condition variable.
    pub condvar: Option<f64>,
    /// Seconds of a barrier at which two threads spin.
    pub barrier: Option<f64>,
}

/// Bytes that fit the L1 cache, the L2 cache, an L3 cache and hardly any cache.
pub const BUFFERS: [usize; 4] = [16 << 10, 512 << 10, 8 << 20, 64 << 20];

impl Yardsticks {
    /// Measures them with the widest vectors that `tier` has.
    pub fn measure(tier: Tier) -> Self {
        let two_cores = thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        Self {
            tier,
            other_reads: HashMap::new(),
            fma_peak: fma_peak(tier),
            fma_latency: fma_latency(tier),
            read: BUFFERS.map(|bytes| read(tier, bytes)),
            tanh: tanh(tier),
            park: two_cores.then(park_round_trip),
            condvar: two_cores.then(condvar_round_trip),
            barrier: two_cores.then(spin_barrier),
        }
    }

    /// Bytes per second at which one core can read `bytes` over and over, measured when it is first asked for: where one
    /// cache ends and the next begins is not to be guessed.
    pub fn read_rate(&mut self, bytes: usize) -> f64 {
        // A smaller buffer is read at the same rate, but for the cost of the call.
        let bytes = bytes.max(BUFFERS[0]).next_multiple_of(READ_BLOCK);
        *self
            .other_reads
            .entry(bytes)
            .or_insert_with(|| read(self.tier, bytes))
    }
}

/// The loops of one tier.
struct Loops {
    lanes: usize,
    /// Twelve chains of that many multiply-adds.
    chains: fn(usize),
    /// One chain.
    chain: fn(usize),
    /// Reads all of a buffer of a multiple of [`READ_BLOCK`] bytes.
    read: fn(&[f32]),
}

impl Loops {
    /// Operations of [`Self::chains`] over [`ROUNDS`].
    fn chains_flops(&self) -> f64 {
        (2 * 12 * self.lanes * ROUNDS) as f64
    }

    fn of(tier: Tier) -> Self {
        match tier.name() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a tier only exists where the CPU has its instructions.
            "avx512" => unsafe {
                Self {
                    lanes: 16,
                    chains: |rounds| x86::chains_512::<12>(rounds),
                    chain: |rounds| x86::chains_512::<1>(rounds),
                    read: |buffer| x86::read_512(buffer),
                }
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            "avx2" => unsafe {
                Self {
                    lanes: 8,
                    chains: |rounds| x86::chains_256::<12>(rounds),
                    chain: |rounds| x86::chains_256::<1>(rounds),
                    read: |buffer| x86::read_256(buffer),
                }
            },
            // NEON too: on Arm, the vectors of `wide` are NEON's.
            _ => Self {
                lanes: 4,
                chains: portable::chains::<12>,
                chain: portable::chains::<1>,
                read: portable::read,
            },
        }
    }
}

const ROUNDS: usize = 10_000;

/// Bytes that one round of any tier's reading loop divides.
const READ_BLOCK: usize = 512;

fn fma_peak(tier: Tier) -> f64 {
    let loops = Loops::of(tier);
    loops.chains_flops() / seconds(|| (loops.chains)(black_box(ROUNDS)))
}

/// Floating-point operations per second of so many threads at once.
pub fn fma_peak_of(tier: Tier, threads: usize) -> f64 {
    const TIME: Duration = Duration::from_millis(200);
    let loops = Loops::of(tier);
    let (start, rates) = (Barrier::new(threads), Mutex::new(0.0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                start.wait();
                let (start, mut calls) = (Instant::now(), 0.0);
                while start.elapsed() < TIME {
                    (loops.chains)(black_box(ROUNDS));
                    calls += 1.0;
                }
                let rate = calls * loops.chains_flops() / start.elapsed().as_secs_f64();
                *rates.lock().expect("no thread panics") += rate;
            });
        }
    });
    rates.into_inner().expect("no thread panics")
}

fn fma_latency(tier: Tier) -> f64 {
    let loops = Loops::of(tier);
    seconds(|| (loops.chain)(black_box(ROUNDS))) / ROUNDS as f64
}

fn read(tier: Tier, bytes: usize) -> f64 {
    let loops = Loops::of(tier);
    // Not 0, whose untouched pages may all be the same memory.
    let storage = vec![1.0_f32; bytes / size_of::<f32>() + 16];
    // On a cache line, so that no load touches two.
    let start = storage.as_ptr().align_offset(64);
    let buffer = &storage[start..start + bytes / size_of::<f32>()];
    bytes as f64 / seconds(|| (loops.read)(black_box(buffer)))
}

fn tanh(tier: Tier) -> f64 {
    const ELEMENTS: usize = 4096;
    let mut values: Vec<f32> = (0..ELEMENTS)
        .map(|index| (index as f32 * 0.37).sin())
        .collect();
    // In place, again and again: the values shrink, too slowly ever to become denormal.
    ELEMENTS as f64 / seconds(|| math::tanh(tier, black_box(&mut values)))
}

/// Whose turn it is: the thread that measures, the one that answers it, nobody's any more.
const CALLER: usize = 0;
const HELPER: usize = 1;
const OVER: usize = 2;

fn park_round_trip() -> f64 {
    let turn = AtomicUsize::new(CALLER);
    let caller = thread::current();
    thread::scope(|scope| {
        let helper = scope.spawn(|| {
            loop {
                match turn.load(Ordering::Acquire) {
                    CALLER => thread::park(),
                    HELPER => {
                        turn.store(CALLER, Ordering::Release);
                        caller.unpark();
                    }
                    _ => break,
                }
            }
        });
        let helper = helper.thread();
        let round_trip = seconds(|| {
            turn.store(HELPER, Ordering::Release);
            helper.unpark();
            while turn.load(Ordering::Acquire) == HELPER {
                thread::park();
            }
        });
        turn.store(OVER, Ordering::Release);
        helper.unpark();
        round_trip
    })
}

fn condvar_round_trip() -> f64 {
    const POISON: &str = "no thread panics";
    let (turn, changed) = (Mutex::new(CALLER), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut now = turn.lock().expect(POISON);
            loop {
                now = changed
                    .wait_while(now, |turn| *turn == CALLER)
                    .expect(POISON);
                if *now == OVER {
                    break;
                }
                *now = CALLER;
                changed.notify_one();
            }
        });
        let round_trip = seconds(|| {
            let mut now = turn.lock().expect(POISON);
            *now = HELPER;
            changed.notify_one();
            drop(
                changed
                    .wait_while(now, |turn| *turn == HELPER)
                    .expect(POISON),
            );
        });
        *turn.lock().expect(POISON) = OVER;
        changed.notify_one();
        round_trip
    })
}

/// A counter in a cache line of its own.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicUsize);

fn spin_barrier() -> f64 {
    let (caller, helper) = (Line::default(), Line::default());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            loop {
                round += 1;
                spin_until(&caller, round);
                // Read before the answer, after which the caller may announce the end for the next round only.
                let is_last = over.load(Ordering::Relaxed);
                helper.0.store(round, Ordering::Release);
                if is_last {
                    break;
                }
            }
        });
        let mut round = 0;
        let mut meet = || {
            round += 1;
            caller.0.store(round, Ordering::Release);
            spin_until(&helper, round);
        };
        let barrier = seconds(&mut meet);
        over.store(true, Ordering::Relaxed);
        meet();
        barrier
    })
}

/// Waits for the other thread's counter. Gives the core away at times, in case that both threads are on the same one.
fn spin_until(counter: &Line, round: usize) {
    let mut spins = 0_u32;
    while counter.0.load(Ordering::Acquire) != round {
        spins += 1;
        if spins.is_multiple_of(10_000) {
            thread::yield_now();
        }
        spin_loop();
    }
}

mod portable {
    use std::hint::black_box;

    use wide::f32x4;

    /// Multiply and add of four lanes each, as the portable tier has them.
    pub fn chains<const CHAINS: usize>(rounds: usize) {
        let (a, b) = (
            f32x4::splat(black_box(0.999)),
            f32x4::splat(black_box(1e-3)),
        );
        let mut sums = [f32x4::splat(1.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = sum.mul_add(a, b);
            }
        }
        black_box(sums);
    }

    /// Adds up eight sums, so that no addition waits for another.
    pub fn read(buffer: &[f32]) {
        let mut sums = [f32x4::splat(0.0); 8];
        for block in buffer.as_chunks::<32>().0 {
            for (sum, lanes) in sums.iter_mut().zip(block.as_chunks::<4>().0) {
                *sum += f32x4::new(*lanes);
            }
        }
        black_box(sums);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    macro_rules! loops {
        ($chains:ident, $read:ident, $features:literal, $lanes:literal;
         $set1:ident, $fmadd:ident, $add:ident, $load:ident) => {
            /// Chains of multiply-adds.
            ///
            /// # Safety
            /// - The CPU must have the features.
            #[target_feature(enable = $features)]
            pub unsafe fn $chains<const CHAINS: usize>(rounds: usize) {
                let (a, b) = ($set1(black_box(0.999)), $set1(black_box(1e-3)));
                let mut sums = [$set1(1.0); CHAINS];
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $fmadd(*sum, a, b);
                    }
                }
                black_box(sums);
            }

            /// Adds up eight sums, so that no addition waits for another.
            ///
            /// # Safety
            /// - The CPU must have the features.
            #[target_feature(enable = $features)]
            pub unsafe fn $read(buffer: &[f32]) {
                let mut sums = [$set1(0.0); 8];
                for block in buffer.as_chunks::<{ 8 * $lanes }>().0 {
                    for (sum, lanes) in sums.iter_mut().zip(block.as_chunks::<$lanes>().0) {
                        // SAFETY: the array is as long as a vector, and no alignment is needed.
                        *sum = $add(*sum, unsafe { $load(lanes.as_ptr()) });
                    }
                }
                black_box(sums);
            }
        };
    }

    loops!(chains_512, read_512, "avx512f", 16;
        _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_loadu_ps);
    loops!(chains_256, read_256, "avx2,fma", 8;
        _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_loadu_ps);
}
